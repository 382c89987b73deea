"""Sockets of a sandbox's network, for clients that run in the test itself."""

import ctypes
import os
import socket
import threading

CLONE_NEWNET = 0x40000000


def inside(box, fn):
    """Runs fn() on a thread of its own in the network namespace of `box`; what it makes stays there.  Returns its result."""
    result = []

    def run():
        try:
            fd = os.open("/proc/%d/ns/net" % box.holder.pid, os.O_RDONLY)
            try:
                if ctypes.CDLL(None, use_errno=True).setns(fd, CLONE_NEWNET) != 0:
                    raise OSError(ctypes.get_errno(), "setns")
            finally:
                os.close(fd)
            result.append((fn(), None))
        except BaseException as failure:  # handed to the caller
            result.append((None, failure))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    value, failure = result[0]
    if failure:
        raise failure
    return value


def connect(box, port, host="127.0.0.1", timeout=20):
    return inside(box, lambda: socket.create_connection((host, port), timeout))


class Tap:
    """A port that leads to another and keeps what passes, as somebody on the way could."""

    def __init__(self, box, port, target):
        self.box, self.target, self.seen, self.threads = box, target, [], []
        self.listener = inside(box, lambda: socket.create_server(("127.0.0.1", port)))
        self.main = threading.Thread(target=self._accept, daemon=True)
        self.main.start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = connect(self.box, self.target)
            server.settimeout(None)
            for source, sink in ((client, server), (server, client)):
                thread = threading.Thread(target=self._pass, args=(source, sink), daemon=True)
                thread.start()
                self.threads.append(thread)

    def _pass(self, source, sink):
        try:
            while True:
                data = source.recv(65536)
                self.seen.append(data)
                if not data:
                    sink.shutdown(socket.SHUT_WR)
                    return
                sink.sendall(data)
        except OSError:
            pass

    def close(self):
        """Ends it; returns all that passed, in either direction."""
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.main.join(20)
        for thread in self.threads:
            thread.join(20)
        return b"".join(self.seen)
