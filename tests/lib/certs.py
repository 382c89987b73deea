"""Certificates for localhost made by berth-pki, as a daemon in a sandbox and stock clients there need them."""

import os
import subprocess

from . import server as servers


class Pki:
    def __init__(self, box):
        self.root, self.client = box.path("pki"), box.path("pki", "client")
        self.run("init")
        self.make_server()
        self.run("client", "test", "--output", self.client)

    def run(self, *args):
        tool = os.path.join(os.path.dirname(servers.Berthd.binary()), "berth-pki")
        subprocess.run([tool, "--root", self.root, *args], check=True, stdout=subprocess.DEVNULL,
                       env=dict(os.environ, ASAN_OPTIONS="detect_leaks=0"))

    def make_server(self, *options):
        self.run(*options, "server", "localhost", "127.0.0.1")

    @property
    def cert(self):
        return os.path.join(self.root, "libvirt", "servercert.pem")

    def keys(self):
        """Lines of libvirtd.conf."""
        return 'key_file = "%s"\ncert_file = "%s"\nca_file = "%s"\ncrl_file = ""\n' % (
            os.path.join(self.root, "libvirt", "private", "serverkey.pem"), self.cert, os.path.join(self.root, "CA", "cacert.pem"))
