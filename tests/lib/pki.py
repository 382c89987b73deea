"""Certificates made by berth-pki, and clients of the wire that use them."""

import os
import ssl
import subprocess

from . import netns, rawrpc, server as servers


def program():
    return os.path.join(os.path.dirname(os.path.abspath(servers.Berthd.binary())), "berth-pki")


def run(*args, box=None):
    """Runs berth-pki, without a terminal; returns its Result."""
    argv = [program(), *[str(a) for a in args]]
    env = dict(os.environ, ASAN_OPTIONS="detect_leaks=0", LC_ALL="C")
    done = subprocess.run(box.argv(argv) if box else argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=60, env=env)
    return servers.Result(argv, done.returncode, done.stdout, done.stderr)


def sh(*args, **kw):
    result = run(*args, **kw)
    assert result.ok, result
    return result.out


class Pki:
    """An authority in a directory, as /etc/pki would be."""

    def __init__(self, root, hosts=("localhost", "127.0.0.1", "::1")):
        self.root = root
        os.makedirs(root, exist_ok=True)
        os.chmod(root, 0o755)
        self.sh("init")
        if hosts:
            self.sh("server", *hosts)

    def sh(self, *args):
        return sh("--root", self.root, *args)

    def path(self, *parts):
        return os.path.join(self.root, *parts)

    def client(self, name, *options):
        """Makes a client's directory, for ?pkipath=; returns it."""
        self.sh("client", name, "--output", self.path(name), *options)
        return self.path(name)

    def conf(self, crl=False):
        """Lines for libvirtd.conf."""
        lines = ['listen_tls = 1', 'ca_file = "%s"' % self.path("CA", "cacert.pem"),
                 'cert_file = "%s"' % self.path("libvirt", "servercert.pem"),
                 'key_file = "%s"' % self.path("libvirt", "private", "serverkey.pem")]
        if crl:
            lines.append('crl_file = "%s"' % self.path("CA", "cacrl.pem"))
        return "\n".join(lines) + "\n"

    def context(self, client=None):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(self.path("CA", "cacert.pem"))
        if client:
            context.load_cert_chain(os.path.join(client, "clientcert.pem"), os.path.join(client, "clientkey.pem"))
        return context

    def connect(self, box, client, port=16514):
        """A client of the wire that is let in."""
        sock = self.context(client).wrap_socket(netns.connect(box, port), server_hostname="localhost")
        assert sock.recv(1) == b"\1"
        return rawrpc.Client(sock)
