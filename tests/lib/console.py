"""A guest's serial console, as a user of `virsh console` has it (on a pty) or as a stream of the bindings."""

import os
import pty
import select
import subprocess
import termios
import time


class VirshConsole:
    def __init__(self, server, domain, *args):
        self.master, slave = pty.openpty()
        env = server.environment()
        env.update({"LC_ALL": "C", "TERM": "dumb"})
        self.process = subprocess.Popen(
            server.box.argv(["virsh", "-c", "qemu:///system", "console", domain, *args]),
            stdin=slave, stdout=slave, stderr=slave, env=env, start_new_session=True)
        self.seen = ""
        self.expect("Escape character is")
        self._wait_for_raw(slave)
        os.close(slave)
        self.expect("\n")

    @staticmethod
    def _wait_for_raw(slave, timeout=20):
        """virsh throws away what was typed before it changes the terminal to raw mode, which it does after its greeting; nothing but
        the terminal's settings tells that it has."""
        end = time.monotonic() + timeout
        while termios.tcgetattr(slave)[3] & termios.ICANON:
            if time.monotonic() > end:
                raise AssertionError("virsh console did not change the terminal to raw mode in %d s" % timeout)
            select.select([], [], [], 0.01)

    def send(self, text):
        os.write(self.master, text.encode())

    def expect(self, text, timeout=60):
        """Reads until `text` appears; returns what came before it and forgets both."""
        end = time.monotonic() + timeout
        while text not in self.seen:
            left = end - time.monotonic()
            ready, _, _ = select.select([self.master], [], [], max(0, left))
            if not ready:
                raise AssertionError("no %r on the console in %d s; seen: %r" % (text, timeout, self.seen))
            try:
                data = os.read(self.master, 4096)
            except OSError:
                data = b""
            if not data:
                raise AssertionError("the console ended before %r; seen: %r" % (text, self.seen))
            self.seen += data.decode(errors="replace")
        before, _, self.seen = self.seen.partition(text)
        return before

    def close(self):
        if self.process.poll() is None:
            try:
                os.write(self.master, b"\x1d")
                self.process.wait(10)
            except (OSError, subprocess.TimeoutExpired):
                self.process.kill()
                self.process.wait(10)
        os.close(self.master)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()
