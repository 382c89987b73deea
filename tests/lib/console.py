"""A guest's serial console, as a user of `virsh console` has it (on a pty) or as a stream of the bindings."""

import os
import pty
import select
import subprocess
import time
import tty


class VirshConsole:
    def __init__(self, server, domain, *args):
        self.master, slave = pty.openpty()
        tty.setraw(slave)
        env = server.environment()
        env.update({"LC_ALL": "C", "TERM": "dumb"})
        self.process = subprocess.Popen(
            server.box.argv(["virsh", "-c", "qemu:///system", "console", domain, *args]),
            stdin=slave, stdout=slave, stderr=slave, env=env, start_new_session=True)
        os.close(slave)
        self.seen = ""
        self.expect("Escape character is")  # what is typed before is thrown away with the change to raw mode
        self.expect("\n")

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
