"""The service manager's side: sockets handed over, what is told on NOTIFY_SOCKET, and the end when nobody needs the daemon."""

import ctypes
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time

import pytest

from lib import pki, rawrpc, servers_only, xml as guest_xml

berthd = servers_only.berthd

# Runs a program as systemd would: the descriptors named are 3 and up, and the variables say so.
ACTIVATOR = """
import os, sys
fds = [int(f) for f in sys.argv[1].split(",")]
kept = [os.dup(f) for f in fds]
high = [os.dup2(f, 200 + i) for i, f in enumerate(kept)]
for i, f in enumerate(high):
    os.dup2(f, 3 + i)
    os.close(f)
os.closerange(3 + len(high), 190)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(high)), LISTEN_FDNAMES=sys.argv[2])
os.execv(sys.argv[3], sys.argv[3:])
"""


@pytest.fixture
def server(berthd):
    made = []

    def make(**kw):
        instance = berthd(**kw)
        instance.box.start()
        made.append(instance)
        instance.write_config()
        return instance

    yield make
    for instance in made:
        instance.close()


def activate(server, listens, names=()):
    """Puts the daemon behind systemd-socket-activate, which starts it for the first client."""
    argv = ["systemd-socket-activate"]
    for where in listens:
        argv += ["-l", where]
    if names:
        argv.append("--fdname=" + ":".join(names))
    env = server.environment()
    for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS", "G_SLICE", "SASL_PATH"):
        argv.append("-E" + name)
    server.process = server.box.daemon(argv + server.argv(), env, server.box.path("output"))
    while "Listening on %s as" % listens[-1] not in server.text():
        assert server.process.poll() is None, server.text()
        server.box.run(["true"])


def check_all_five(server, rw, ro, admin, tcp, tls, pkipath):
    def virsh(uri, *args):
        env = dict(server.environment(), LC_ALL="C", HOME=server.box.path("home"))
        return server.box.run(["virsh", "-q", "-c", uri, *args], env=env)

    path = server.file("one.xml", guest_xml.domain("one", memory=64))
    for uri in ("qemu+unix:///system?socket=" + rw, "qemu+tcp://127.0.0.1:%d/system" % tcp,
                "qemu+tls://localhost:%d/system?pkipath=%s" % (tls, pkipath)):
        for args in (["define", path], ["undefine", "one"]):
            done = virsh(uri, *args)
            assert done.returncode == 0, (uri, done.stderr, server.text())
    done = virsh("qemu+unix:///system?socket=" + ro, "list")
    assert done.returncode == 0, done.stderr
    refused = virsh("qemu+unix:///system?socket=" + ro, "define", path)
    assert "read only access" in refused.stderr, refused.stderr
    done = server.box.run(["virt-admin", "-c", "libvirtd:///system?socket=" + admin, "srv-list"])
    assert done.returncode == 0 and "libvirtd" in done.stdout, done.stderr


def test_every_socket_by_its_name(server):
    """The names of the units' FileDescriptorName, at paths and ports that say nothing; the keys for sockets of our own are ignored."""
    own = server(log_level="2", libvirtd_conf='auth_tcp = "none"\nlisten_tcp = 1\n')
    authority = pki.Pki(own.box.path("pki"))
    with open(own.box.path("etc", "libvirtd.conf"), "a") as conf:
        conf.write(authority.conf())
    run = "/run/libvirt/"
    activate(own, [run + "a", run + "b", run + "c", "127.0.0.1:3001", "127.0.0.1:3002"],
             ["berthd", "berthd-ro", "berthd-admin", "berthd-tcp", "berthd-tls"])
    check_all_five(own, run + "a", run + "b", run + "c", 3001, 3002, authority.client("test"))
    assert "listen_tcp" in own.text() and "ignored" in own.text()
    assert "will end after 120 s" in own.text()
    assert not os.path.lexists(own.box.path("run", "libvirt-sock"))


def test_every_socket_by_its_address(server):
    """Without names the paths and libvirt's ports tell."""
    own = server(libvirtd_conf='auth_tcp = "none"\n')
    authority = pki.Pki(own.box.path("pki"))
    with open(own.box.path("etc", "libvirtd.conf"), "a") as conf:
        conf.write(authority.conf())
    run = "/run/libvirt/libvirt-"
    activate(own, [run + "sock", run + "sock-ro", run + "admin-sock", "127.0.0.1:16509", "127.0.0.1:16514"])
    check_all_five(own, run + "sock", run + "sock-ro", run + "admin-sock", 16509, 16514, authority.client("test"))


@pytest.mark.parametrize("where,name,message", [
    ("/run/libvirt/libvirt-sock-ro", "berthd", 'is named "berthd" (full control), which contradicts its path (read-only)'),
    ("127.0.0.1:3001", "berthd-admin", "which is for a UNIX socket only"),
    ("/run/libvirt/odd", "odd", 'neither its name "odd" nor its address says')])
def test_unclear_sockets(server, where, name, message):
    own = server()
    activate(own, [where], [name])
    poke = "import socket; s = socket.socket(socket.AF_UNIX) if %r.startswith('/') else socket.socket(); s.connect(%s); s.recv(1)" % (
        where, repr(where) if where.startswith("/") else "('127.0.0.1', 3001)")
    own.box.run([sys.executable, "-c", poke])
    assert own.process.wait(60) == 1
    assert message in own.text(), own.text()
    assert "FileDescriptorName=" in own.text()


# ---- what is told --------------------------------------------------------------------------------------------------------------


class Manager:
    """The service manager's end of NOTIFY_SOCKET."""

    def __init__(self, own, **env):
        self.own = own
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(own.box.path("notify"))
        self.sock.settimeout(60)
        env = dict(own.environment(), NOTIFY_SOCKET=own.box.path("notify"), **env)
        own.process = own.box.daemon(own.argv(), env, own.box.path("output"))

    def receive(self):
        """One message as a dict."""
        return dict(line.split("=", 1) for line in self.sock.recv(4096).decode().splitlines())

    def until(self, key, drop=()):
        """Messages up to the one with `key`."""
        seen = []
        while not seen or key not in seen[-1]:
            message = self.receive()
            if not set(message) <= set(drop):
                seen.append(message)
        return seen


def test_states_are_told(server):
    own = server()
    manager = Manager(own)
    try:
        before = manager.until("READY")
        assert int(before[0]["EXTEND_TIMEOUT_USEC"]) > 0 and "definitions" in before[0]["STATUS"]
        assert before[-1] == {"READY": "1", "STATUS": "Serving clients"}
        begun = time.monotonic_ns() // 1000
        own.process.send_signal(signal.SIGHUP)
        reloading, ready = manager.receive(), manager.receive()
        assert reloading["RELOADING"] == "1" and begun <= int(reloading["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000
        assert ready == {"READY": "1", "STATUS": "Serving clients"}
        with open(own.box.path("etc", "libvirtd.conf"), "a") as conf:
            conf.write("nonsense = 1\n")
        own.process.send_signal(signal.SIGHUP)
        assert manager.receive()["RELOADING"] == "1"
        assert "not all of the configuration is in force" in manager.receive()["STATUS"]
        own.process.send_signal(signal.SIGTERM)
        assert manager.receive()["STOPPING"] == "1"
        assert own.process.wait(30) == 0
    finally:
        manager.sock.close()


def test_watchdog_of_a_whole_daemon(server):
    """Pings come as long as it serves; that they end when a thread hangs is tests/unit/test_watchdog.c's."""
    own = server()
    manager = Manager(own, WATCHDOG_USEC="400000")
    try:
        manager.until("READY", drop=["WATCHDOG"])
        for _ in range(4):
            assert manager.receive() == {"WATCHDOG": "1"}
        own.sh("list")
        assert manager.receive() == {"WATCHDOG": "1"}
        own.process.send_signal(signal.SIGTERM)
        assert "STOPPING" in manager.until("STOPPING", drop=["WATCHDOG"])[0]
    finally:
        manager.sock.close()


class Stopped:
    """One thread of a process stands still, the others go on."""

    SEIZE, INTERRUPT, DETACH, WALL = 0x4206, 0x4207, 17, 0x40000000

    def __init__(self, pid, name):
        tasks = "/proc/%d/task" % pid
        for tid in os.listdir(tasks):
            with open(os.path.join(tasks, tid, "comm")) as comm:
                if comm.read().strip() == name:
                    self.tid = int(tid)
        self.ptrace = ctypes.CDLL(None, use_errno=True).ptrace
        self.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]

    def __enter__(self):
        for request in (self.SEIZE, self.INTERRUPT):
            assert self.ptrace(request, self.tid, None, None) == 0, os.strerror(ctypes.get_errno())
        os.waitpid(self.tid, self.WALL)

    def __exit__(self, *_):
        self.ptrace(self.DETACH, self.tid, None, None)


def test_a_daemon_that_hangs_is_told_by_silence(server):
    """Its monitor thread hangs: clients are served still, but no ping comes until it goes on; the log says what does not answer."""
    own = server(log_level="2")
    manager = Manager(own, WATCHDOG_USEC="400000")
    try:
        manager.until("READY", drop=["WATCHDOG"])
        with Stopped(own.process.pid, "monitor"):
            while "the monitor event thread did not answer" not in own.text():
                own.sh("uri")
            manager.sock.setblocking(False)
            with pytest.raises(BlockingIOError):
                while True:
                    manager.sock.recv(4096)  # those of before
            for _ in range(5):
                own.sh("uri")
            with pytest.raises(BlockingIOError):
                manager.sock.recv(4096)
        manager.sock.settimeout(60)
        assert manager.receive() == {"WATCHDOG": "1"}
    finally:
        manager.sock.close()


def test_no_watchdog_unless_asked(server):
    own = server()
    manager = Manager(own)
    try:
        manager.until("READY")
        own.sh("list")
        own.process.send_signal(signal.SIGTERM)
        assert "STOPPING" in manager.receive()
    finally:
        manager.sock.close()


# ---- the end when idle ---------------------------------------------------------------------------------------------------------


class Activator:
    """Holds the sockets and starts the daemon when there is a client and no daemon, as systemd does."""

    def __init__(self, own, *options):
        self.own, self.options = own, options
        self.sockets = []
        for name in ("libvirt-sock", "libvirt-sock-ro", "libvirt-admin-sock"):
            sock = socket.socket(socket.AF_UNIX)
            sock.bind(own.box.path("run", name))
            sock.listen(100)
            self.sockets.append(sock)
        self.process = None
        self.starts = 0

    def start(self):
        """When somebody waits to be let in."""
        assert select.select(self.sockets, [], [], 60)[0]
        fds = [s.fileno() for s in self.sockets]
        self.process = self.own.box.popen(
            [sys.executable, "-c", ACTIVATOR, ",".join(str(f) for f in fds), "berthd:berthd-ro:berthd-admin", *self.own.argv(),
             *self.options], pass_fds=fds, env=self.own.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.starts += 1

    def close(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(30)
        for sock in self.sockets:
            sock.close()


def test_no_client_is_lost_between_two_daemons(server):
    """The daemon ends when its last client left; who comes then, or while it ends, waits and is served by the next one."""
    own = server(berthd_conf="idle_timeout = 1\n")
    activator = Activator(own)
    try:
        for turn in range(3):
            clients = [rawrpc.Client(own.box.path("run", name), timeout=60) for name in ("libvirt-sock", "libvirt-sock-ro")]
            serials = [c.send(66) for c in clients]
            activator.start()
            for client, serial in zip(clients, serials):
                assert client.receive().serial == serial
                client.close()
            assert activator.process.wait(60) == 0
            assert os.path.exists(own.box.path("run", "libvirt-sock"))  # the service manager's, not ours to remove
        assert activator.starts == 3
    finally:
        activator.close()


def test_an_administrator_is_a_client(server):
    own = server(log_level="1")
    activator = Activator(own, "--timeout", "1")
    try:
        with rawrpc.Client(own.box.path("run", "libvirt-admin-sock"), timeout=60) as admin:
            serial = admin.send(1, b"\0\0\0\0", prog=0x06900690)
            activator.start()
            assert admin.receive().serial == serial
            with rawrpc.Client(own.box.path("run", "libvirt-sock"), timeout=60) as client:
                client.call(66)
            with pytest.raises(subprocess.TimeoutExpired):
                activator.process.wait(1.5)  # longer than the limit: it counts from the end of the last of all
            assert admin.call(3, prog=0x06900690).status == rawrpc.OK
        assert activator.process.wait(60) == 0
    finally:
        activator.close()


def test_a_guest_needs_the_daemon(server):
    """While a guest runs the daemon stays; once it is off the daemon ends."""
    own = server(berthd_conf="idle_timeout = 1\n")
    with open(own.box.path("etc", "libvirtd.conf")) as conf:
        text = re.sub(r'log_outputs = .*', 'log_outputs = "1:file:/var/log/libvirt/daemon.log"\nlog_filters = "1:daemon.idle"', conf.read())
    with open(own.box.path("etc", "libvirtd.conf"), "w") as conf:
        conf.write(text)
    own.start()
    own.define(guest_xml.domain("busy", memory=64))
    own.sh("start", "busy")
    # looks that found the guest, on a daemon without any client
    while own.text().count("machines or tasks need the daemon") < 2:
        assert own.process.poll() is None, own.text()
        own.box.run(["true"])
    own.sh("destroy", "busy")
    assert own.process.wait(60) == 0


def test_timeout_of_the_command_line_goes_first(server):
    own = server(berthd_conf="idle_timeout = 3600\n")
    own.start(["--timeout", "1"])
    own.sh("uri")
    assert own.process.wait(60) == 0
    own.berthd_conf = "idle_timeout = 1\n"
    own.write_config()
    own.start(["--timeout", "0"])
    own.sh("uri")
    with open(own.box.path("etc", "berthd.conf"), "w") as conf:
        conf.write("idle_timeout = 1\n")
    own.process.send_signal(signal.SIGHUP)
    own.sh("uri")
    assert own.process.poll() is None
