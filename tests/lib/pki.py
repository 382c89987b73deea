"""Certificates made by berth-pki, and clients of the wire that use them."""

import ctypes
import functools
import os
import ssl
import subprocess
import time

from . import netns, rawrpc, server as servers


PORT = 16514


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

    def connect(self, box, client, port=PORT):
        """A client of the wire that is let in."""
        sock = self.context(client).wrap_socket(netns.connect(box, port), server_hostname="localhost")
        assert sock.recv(1) == b"\1"
        return rawrpc.Client(sock)


# ---- what berth-pki does not make

class _Datum(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("size", ctypes.c_uint)]


def _gnutls(function, *args):
    result = getattr(_library(), "gnutls_" + function)(*args)
    assert result >= 0, (function, result)


@functools.lru_cache(maxsize=None)
def _library():
    return ctypes.CDLL("libgnutls.so.30")


def _load(kind, path):
    """A certificate ("crt") or key ("privkey") of a file."""
    thing = ctypes.c_void_p()
    with open(path, "rb") as stored:
        text = stored.read()
    _gnutls("x509_%s_init" % kind, ctypes.byref(thing))
    _gnutls("x509_%s_import" % kind, thing, ctypes.byref(_Datum(ctypes.cast(ctypes.c_char_p(text), ctypes.c_void_p), len(text))), 1)
    return thing


def expire(pki, *parts):
    """Signs a certificate of this authority again, for a time that is over."""
    path, now = pki.path(*parts), int(time.time())
    cert, ca = _load("crt", path), _load("crt", pki.path("CA", "cacert.pem"))
    key = _load("privkey", pki.path("CA", "private", "cakey.pem"))
    _gnutls("x509_crt_set_activation_time", cert, ctypes.c_long(now - 3 * 86400))
    _gnutls("x509_crt_set_expiration_time", cert, ctypes.c_long(now - 86400))
    _gnutls("x509_crt_sign2", cert, ca, key, 6, 0)  # SHA-256
    text = ctypes.create_string_buffer(65536)
    size = ctypes.c_size_t(len(text))
    _gnutls("x509_crt_export", cert, 1, text, ctypes.byref(size))
    with open(path, "wb") as stored:
        stored.write(text.raw[:size.value])
    for kind, thing in (("crt", cert), ("crt", ca), ("privkey", key)):
        getattr(_library(), "gnutls_x509_%s_deinit" % kind)(thing)
