"""Stands in the place of a QEMU's monitor: takes each connection and hangs up, until it is told to go."""

import glob
import os
import socket
import threading


class Impostor:
    def __init__(self, server, name):
        self.path, = glob.glob(server.box.path("lib", "qemu", "domain-*-%s" % name, "monitor.sock"))
        os.rename(self.path, self.path + ".real")
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.bind(self.path)
        self.sock.listen()
        self.met = threading.Semaphore(0)
        self.thread = threading.Thread(target=self._hang_up, daemon=True)
        self.thread.start()

    def _hang_up(self):
        while True:
            try:
                conn, _ = self.sock.accept()
            except OSError:
                return
            conn.close()
            self.met.release()

    def wait(self):
        assert self.met.acquire(timeout=60), "nobody came"

    def go(self):
        os.rename(self.path + ".real", self.path)
        self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()
        self.thread.join()
