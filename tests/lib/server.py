"""The daemon under test: `Berthd`, or `Peer` (the stock libvirtd of libvirt 9.0), with one interface.

Both run in a Sandbox.  Nothing here waits for time to pass: the daemon says READY on NOTIFY_SOCKET, ends are seen by wait().
"""

import glob
import os
import select
import shutil
import signal
import socket
import subprocess
import time

from . import sandbox

QEMU_CONF = """
user = "libvirt-qemu"
group = "libvirt-qemu"
security_driver = "none"
stdio_handler = "file"
remember_owner = 0
namespaces = [ ]
cgroup_controllers = [ ]
"""

LIBVIRTD_CONF = """
auth_unix_ro = "none"
auth_unix_rw = "none"
unix_sock_group = "root"
unix_sock_rw_perms = "0700"
unix_sock_ro_perms = "0777"
log_outputs = "%(level)s:file:%(log)s"
log_level = %(level)s
host_uuid = "8f6ba7f9-3a53-4c6c-94c2-3f5a10a3b7d1"
"""


class Result:
    """What a command printed and how it ended."""

    def __init__(self, argv, rc, out, err):
        self.argv, self.rc, self.out, self.err = argv, rc, out, err

    @property
    def ok(self):
        return self.rc == 0

    def __repr__(self):
        return "%s -> %d\n%s%s" % (" ".join(self.argv), self.rc, self.out, self.err)


class Server:
    kind = None

    def __init__(self, log_level=None, qemu_conf="", libvirtd_conf="", berthd_conf=""):
        self.box = sandbox.Sandbox()
        self.process = None
        self.log_level = log_level or os.environ.get("BERTH_LOG_LEVEL", "3")
        self.qemu_conf = qemu_conf
        self.libvirtd_conf = libvirtd_conf
        self.berthd_conf = berthd_conf

    # ---- life ------------------------------------------------------------------------------

    def open(self):
        self.box.start()
        self.write_config()
        self.start()
        return self

    def close(self):
        try:
            if self.process and self.process.poll() is None:
                self.process.terminate()
                try:
                    self.process.wait(20)
                except subprocess.TimeoutExpired:
                    self.process.kill()
                    self.process.wait(10)
        finally:
            self.box.stop()

    def write_config(self):
        with open(self.box.path("etc", "qemu.conf"), "w") as conf:
            conf.write(QEMU_CONF + self.qemu_conf)
        with open(self.box.path("etc", "libvirtd.conf"), "w") as conf:
            conf.write(LIBVIRTD_CONF % {"level": self.log_level, "log": "/var/log/libvirt/daemon.log"} + self.libvirtd_conf)
        with open(self.box.path("etc", "berthd.conf"), "w") as conf:
            conf.write(self.berthd_conf)

    def reload(self):
        """SIGHUP; returns when the daemon says that it is done with it."""
        path = self.box.path("notify")
        if os.path.exists(path):
            os.unlink(path)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind(path)
            notify.settimeout(60)
            self.process.send_signal(signal.SIGHUP)
            while "READY=1" not in notify.recv(4096).decode().split("\n"):
                pass

    def argv(self):
        raise NotImplementedError

    def environment(self):
        env = dict(os.environ)
        for name in list(env):
            if name.startswith(("LIBVIRT_", "VIRSH_", "VIR")):
                del env[name]
        return env

    def start(self, extra=()):
        """Starts the daemon and returns when it says it is ready."""
        path = self.box.path("notify")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            if os.path.exists(path):
                os.unlink(path)
            notify.bind(path)
            env = self.environment()
            env["NOTIFY_SOCKET"] = path
            self.process = self.box.daemon(self.argv() + list(extra), env, self.box.path("output"))
            pidfd = self.process.pidfd
            end = time.monotonic() + 60
            while True:
                ready, _, _ = select.select([notify, pidfd], [], [], max(0, end - time.monotonic()))
                if notify in ready:
                    if b"READY=1" in notify.recv(4096).split(b"\n"):
                        return
                elif pidfd in ready:
                    raise RuntimeError("%s ended at once:\n%s" % (self.kind, self.tail()))
                else:
                    raise RuntimeError("%s is not ready after 60 s:\n%s" % (self.kind, self.tail()))

    def stop(self, sig=15, timeout=30):
        """Ends the daemon (guests live on); returns its exit status."""
        self.process.send_signal(sig)
        return self.process.wait(timeout)

    def restart(self, sig=15):
        self.stop(sig)
        self.start()

    def text(self):
        """What the daemon printed and logged, all of it."""
        out = ""
        for path in (self.box.path("output"), self.box.path("log", "daemon.log")):
            if os.path.exists(path):
                with open(path, errors="replace") as text:
                    out += text.read()
        return out

    def tail(self):
        """The end of it, for messages."""
        return self.text()[-20000:]

    # ---- use -------------------------------------------------------------------------------

    @property
    def socket(self):
        return self.box.path("run", "libvirt-sock")

    @property
    def uri(self):
        return "qemu+unix:///system?socket=" + self.socket

    def virsh(self, *args, timeout=120, input=None, readonly=False, env=None, uri="qemu:///system"):
        """Stock virsh with no more than the URI it would use anyway."""
        argv = ["virsh", "-c", uri] + (["-r"] if readonly else []) + [str(a) for a in args]
        environment = self.environment()
        environment.update({"LC_ALL": "C", "HOME": self.box.path("home"), "TZ": "UTC"})
        environment.update(env or {})
        kw = {"input": input} if input is not None else {"stdin": subprocess.DEVNULL}
        done = subprocess.run(self.box.argv(argv), text=True, errors="replace", stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=timeout, env=environment, **kw)
        return Result(argv, done.returncode, done.stdout, done.stderr)

    def sh(self, *args, **kw):
        """As virsh(), and fails the test unless it succeeds."""
        result = self.virsh(*args, **kw)
        assert result.ok, result
        return result.out

    def define(self, xml):
        path = self.file("define.xml", xml)
        return self.sh("define", path)

    def file(self, name, content):
        """Writes a file seen by client and daemon alike; returns its path."""
        path = self.box.path(name)
        with open(path, "w") as out:
            out.write(content)
        os.chmod(path, 0o644)
        return path

    def image(self, name, size="64M", fmt="qcow2", backing=None):
        """Makes a disk image; returns its path as the daemon sees it."""
        path = self.box.path("lib", "images", name)
        argv = ["qemu-img", "create", "-q", "-f", fmt]
        if backing:
            argv += ["-b", backing[0], "-F", backing[1]]
        subprocess.run(self.box.argv(argv + ["/var/lib/libvirt/images/" + name] + ([] if backing and size is None else [size])),
                       check=True)
        os.chmod(path, 0o666)
        return "/var/lib/libvirt/images/" + name

    def connect(self, readonly=False):
        import libvirt
        from . import events
        events.ensure_loop()
        uri = self.uri
        if readonly:
            uri = "qemu+unix:///system?socket=" + self.box.path("run", "libvirt-sock-ro")
            return libvirt.openReadOnly(uri)
        return libvirt.open(uri)


class Peer(Server):
    kind = "peer"

    def argv(self):
        return ["libvirtd"]


class Berthd(Server):
    kind = "berthd"

    @staticmethod
    def binary():
        path = os.environ.get("BERTHD")
        if path and not os.access(path, os.X_OK):
            raise RuntimeError("BERTHD=%s cannot be run" % path)
        return path

    def argv(self):
        return [self.binary(), "--sysconfdir", "/etc/libvirt", "--statedir", "/var/lib/libvirt", "--rundir", "/run/libvirt",
                "--logdir", "/var/log/libvirt", "--cachedir", "/var/cache/libvirt"]

    def _sasl_plugins(self):
        """All of the host's but GS2's, which loses 228 bytes when it is loaded, whatever is done with it: the one thing not ours that a sanitizer
        would find."""
        made = self.box.path("sasl-plugins")
        if not os.path.exists(made):
            os.mkdir(made)
            for plugin in glob.glob("/usr/lib/*/sasl2/*.so*"):
                if not os.path.basename(plugin).startswith("libgs2"):
                    os.symlink(plugin, os.path.join(made, os.path.basename(plugin)))
        return made

    def environment(self):
        env = super().environment()
        env.setdefault("ASAN_OPTIONS", "abort_on_error=1:detect_leaks=1:detect_stack_use_after_return=1")
        env.setdefault("SASL_PATH", self._sasl_plugins())
        env.setdefault("G_SLICE", "always-malloc")  # else GLib's own allocator hides frees from the sanitizers
        env.setdefault("TSAN_OPTIONS", "halt_on_error=1:abort_on_error=1:suppressions="
                       + os.path.join(os.path.dirname(__file__), "..", "tsan.supp"))
        env.setdefault("UBSAN_OPTIONS", "print_stacktrace=1:halt_on_error=1")
        return env


def peer_available():
    return shutil.which("libvirtd") is not None


def new(kind, **kw):
    return {"peer": Peer, "berthd": Berthd}[kind](**kw)
