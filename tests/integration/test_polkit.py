"""polkit: a real system bus, a real polkitd, stock virsh as users it allows, refuses, or asks."""

import json
import os
import pty
import select
import shutil
import signal
import socket
import struct
import subprocess

import pytest

from lib import identity, polkit, rawrpc, server as servers
from lib import xml as guest_xml

# Accounts every Debian has.
GAMES, MAN, DAEMON, NOBODY = 5, 6, 1, 65534
AUTH_FAILED, AUTH_CANCELLED, AUTH_UNAVAILABLE, DENIED = 45, 79, 94, 88
FROM_POLKIT = 60

RULES = """
polkit.addAdminRule(function(action, subject) { return ["unix-user:root"]; });
polkit.addRule(function(action, subject) {
    if (action.id == "org.libvirt.unix.manage") {
        if (subject.user == "games") return polkit.Result.YES;
        if (subject.user == "man") return polkit.Result.NO;
    }
    if (action.id == "org.libvirt.unix.monitor" && subject.user == "nobody") return polkit.Result.NO;
    return polkit.Result.NOT_HANDLED;
});
"""

# By object: what stock rules for libvirt look like.
OBJECT_RULES = RULES + """
polkit.addRule(function(action, subject) {
    if (action.id.indexOf("org.libvirt.api.domain.") == 0 && subject.user == "games") {
        if (action.lookup("connect_driver") != "QEMU" || action.lookup("domain_uuid").length != 36) return polkit.Result.NO;
        return action.lookup("domain_name").indexOf("mine-") == 0 ? polkit.Result.YES : polkit.Result.NO;
    }
    if (action.id.indexOf("org.libvirt.api.connect.") == 0 && subject.user == "games") return polkit.Result.YES;
    return polkit.Result.NOT_HANDLED;
});
"""


@pytest.fixture(scope="module", autouse=True)
def installed():
    for program in (polkit.POLKITD, "dbus-daemon", "pkttyagent"):
        assert shutil.which(program), "no %s here: build-aux/install-deps.sh installs it" % program


@pytest.fixture(scope="module")
def host():
    """A daemon with polkit at its door and in its access control."""
    instance = servers.new("berthd", log_level="2", libvirtd_conf='auth_unix_rw = "polkit"\nauth_unix_ro = "polkit"\n'
                           'unix_sock_rw_perms = "0777"\naccess_drivers = [ "polkit" ]\n',
                           berthd_conf='audit_file = "/var/log/libvirt/audit.json"\n')
    instance.box.start()
    instance.write_config()
    instance.polkit = polkit.Polkit(instance.box, OBJECT_RULES).start()
    instance.start()
    yield instance
    instance.close()


@pytest.fixture
def server(host):
    yield host
    if host.process.poll() is not None:
        pytest.fail("the daemon ended during the test:\n" + host.tail())
    for name in host.sh("list", "--all", "--name").split():
        host.virsh("destroy", name)
        host.virsh("undefine", name)


class Session:
    """A client of the wire whose process lives: polkit asks who it is.  It authenticates by polkit."""

    def __init__(self, server, uid, readonly=False):
        path = server.box.path("run", "libvirt-sock-ro" if readonly else "libvirt-sock")
        self.code = ("import os, socket, sys\n"
                     "os.setgroups([]); os.setresgid(%d, %d, %d); os.setresuid(%d, %d, %d)\n" % ((uid,) * 6) +
                     "s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM); s.connect(%r)\n" % path)
        ours, theirs = socket.socketpair()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                ours.close()
                scope = {}
                exec(self.code, scope)
                socket.send_fds(theirs, [b"x"], [scope["s"].fileno()])
                scope["s"].close()
                theirs.recv(1)  # until the parent goes
            finally:
                os._exit(0)
        theirs.close()
        self.leash = ours
        _, fds, _, _ = socket.recv_fds(ours, 1, 1)
        self.client = identity.Client.__new__(identity.Client)
        self.client.sock = socket.socket(fileno=fds[0])
        self.client.sock.settimeout(60)
        self.client.serial = 0

    def authenticate(self):
        methods = self.client.call(66)
        assert methods.status == rawrpc.OK
        self.method = struct.unpack(">II", methods.body)[1]
        if self.method == 2:
            reply = self.client.call(70)
            if reply.status != rawrpc.OK:
                return reply.error()
            assert reply.body == struct.pack(">i", 1)
        return None

    def open(self):
        assert self.authenticate() is None
        assert self.client.call(1, rawrpc.optional(rawrpc.string("qemu:///system")) + struct.pack(">I", 0)).status == rawrpc.OK
        return self.client

    def close(self):
        self.client.close()
        self.leash.close()
        os.waitpid(self.pid, 0)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def machine(name):
    return guest_xml.domain(name)


# ---- who comes in -------------------------------------------------------------------------------------------------------------


def test_allowed_by_a_rule(server):
    assert identity.virsh(server, GAMES, "list", "--all").returncode == 0
    with Session(server, GAMES) as session:
        assert session.authenticate() is None and session.method == 2


def test_refused_by_a_rule(server):
    refused = identity.virsh(server, MAN, "list", "--all")
    assert refused.returncode != 0 and "org.libvirt.unix.manage" in refused.stderr, refused
    with Session(server, MAN) as session:
        code, domain, text = session.authenticate()
        assert (code, domain) == (AUTH_FAILED, FROM_POLKIT), text
        with pytest.raises(rawrpc.Closed):
            session.client.call(66)


def test_decisions_about_who_comes_in_are_recorded(server):
    """Both of them, with the action polkit decided about."""
    with Session(server, GAMES) as one, Session(server, MAN) as other:
        assert one.authenticate() is None and other.authenticate() is not None
    path = server.box.path("log", "audit.json")

    def decisions(uid):
        with open(path) as lines:
            found = [json.loads(line) for line in lines.read().splitlines()]
        return {(r["name"], r["result"]) for r in found if r["object"] == "login" and "uid %d " % uid in r["who"] + " "}

    while not decisions(GAMES) or not decisions(MAN):
        server.sh("uri")
    assert decisions(GAMES) == {("org.libvirt.unix.manage", 0)} and decisions(MAN) == {("org.libvirt.unix.manage", AUTH_FAILED)}


def test_no_agent_to_ask(server):
    """The code that makes virsh start an agent; it has no terminal here."""
    with Session(server, DAEMON) as session:
        code, domain, text = session.authenticate()
        assert (code, domain) == (AUTH_UNAVAILABLE, FROM_POLKIT), text
    assert identity.virsh(server, DAEMON, "list", "--all").returncode != 0


def test_root_needs_no_question(server):
    with Session(server, 0) as session:
        assert session.authenticate() is None and session.method == 0
    assert server.sh("list", "--all")


def test_the_read_only_socket_has_its_own_action(server):
    assert identity.virsh(server, MAN, "uri", readonly=True).returncode == 0
    with Session(server, NOBODY, readonly=True) as session:
        code, _, text = session.authenticate()
        assert code == AUTH_FAILED and "org.libvirt.unix.monitor" in text


def test_nothing_before_the_answer(server):
    """Calls in front of, beside and instead of authentication are refused, and a second question is."""
    with Session(server, DAEMON) as session:
        assert session.client.call(3).error()[0] == 39
        assert session.client.call(1, rawrpc.optional(rawrpc.string("qemu:///system")) + struct.pack(">I", 0)).error()[0] == 39
        first, second = session.client.send(70), session.client.send(70)
        answers = {}
        try:
            while len(answers) < 2:
                packet = session.client.receive()
                answers[packet.serial] = packet.error()[0]
        except rawrpc.Closed:
            pass
        assert set(answers) <= {first, second} and set(answers.values()) <= {AUTH_FAILED, AUTH_UNAVAILABLE} and answers, answers


def test_an_agent_asks_the_user(server):
    """pkttyagent has the user authenticate, by a PAM service that lets everybody pass.  (The one virsh starts by itself is asked by polkit
    in sessions of logind only: tests/soak/test_systemd.py.)"""
    master, slave = pty.openpty()
    with Session(server, DAEMON) as session:
        ready, notify = os.pipe()
        argv = server.box.argv(["setpriv", "--reuid", str(DAEMON), "--regid", str(DAEMON), "--clear-groups", "setsid", "--ctty", "--wait",
                                "pkttyagent", "--process", str(session.pid), "--notify-fd", str(notify)])
        agent = subprocess.Popen(argv, stdin=slave, stdout=slave, stderr=slave, pass_fds=[notify],
                                 env={"PATH": os.environ["PATH"], "LC_ALL": "C", "HOME": "/"})
        os.close(slave)
        os.close(notify)
        try:
            assert os.read(ready, 1) == b""  # closed: the agent is known to polkit
            assert session.authenticate() is None
            text = b""
            while b"AUTHENTICATION COMPLETE" not in text and select.select([master], [], [], 30)[0]:
                text += os.read(master, 4096)
            assert b"AUTHENTICATING FOR org.libvirt.unix.manage" in text, text
        finally:
            for pid, command in server.box.processes():
                if command[0].endswith("pkttyagent"):
                    os.kill(pid, 15)
            agent.wait(20)
            os.close(master)
            os.close(ready)


# ---- every call ---------------------------------------------------------------------------------------------------------------


def as_games(server, *args, **kw):
    return identity.virsh(server, GAMES, *args, **kw)


def test_calls_are_asked_for_by_object(server):
    for name in ("mine-1", "other"):
        server.define(machine(name))
    assert as_games(server, "dominfo", "mine-1").returncode == 0
    assert as_games(server, "dominfo", "other").returncode != 0
    assert as_games(server, "start", "mine-1").returncode == 0
    assert as_games(server, "destroy", "mine-1").returncode == 0
    assert "access denied" in as_games(server, "domrename", "mine-1", "others").stderr
    with Session(server, GAMES) as session:
        client = session.open()
        code, domain, text = client.call(23, rawrpc.string("other")).error()
        assert (code, domain) == (DENIED, 55) and "uid 5" in text and "'other'" in text, text
        assert "polkit refuses org.libvirt.api.domain.getattr" in text, text


def test_definitions_are_asked_for_from_a_worker(server):
    own, foreign = server.file("own.xml", machine("mine-2")), server.file("foreign.xml", machine("foreign"))
    assert as_games(server, "define", own).returncode == 0
    assert "polkit refuses org.libvirt.api.domain.write" in as_games(server, "define", foreign).stderr
    assert server.sh("list", "--all", "--name").split() == ["mine-2"]


def test_lists_are_filtered(server):
    names = ["mine-%d" % i for i in range(10)] + ["other-%d" % i for i in range(10)]
    for name in names:
        server.define(machine(name))
    assert sorted(as_games(server, "list", "--all", "--name").stdout.split()) == sorted(names[:10])
    stats = as_games(server, "domstats", "--state").stdout
    assert stats.count("Domain:") == 10 and "other" not in stats
    with Session(server, GAMES) as session:
        assert session.open().call(25).body == struct.pack(">i", 10)
    assert len(server.sh("list", "--all", "--name").split()) == 20


def test_events_are_filtered_and_keep_their_order(server):
    with Session(server, GAMES) as session:
        client = session.open()
        assert client.call(316, struct.pack(">iI", 0, 0)).status == rawrpc.OK
        expected = []
        for i in range(10):
            for name in ("mine-%d" % i, "other-%d" % i):
                server.define(machine(name))
                server.sh("undefine", name)
            expected += ["mine-%d" % i] * 2
        seen = []
        while len(seen) < len(expected):
            packet = client.receive()
            if packet.type == rawrpc.MESSAGE:
                size, = struct.unpack(">I", packet.body[4:8])
                seen.append(packet.body[8:8 + size].decode())
        assert seen == expected


# ---- polkit comes and goes ----------------------------------------------------------------------------------------------------


def test_without_polkit_the_socket_group_counts(server):
    gid = 3007
    path = server.box.path("run", "libvirt-sock")
    os.chown(path, -1, gid)
    server.polkit.stop_polkitd()
    try:
        # In by the group; what its calls may do is polkit's to say, and it is not there.
        inside = identity.virsh(server, MAN, "uri", groups=[gid])
        assert "polkit cannot be asked" in inside.stderr and "access denied" in inside.stderr, inside
        outside = identity.virsh(server, GAMES, "uri")
        assert outside.returncode != 0 and "authentication failed" in outside.stderr, outside
        assert "polkit is not there" in server.text()
        assert "it is a member of the socket's group 3007 and gets in by that" in server.text()
        assert "it is not a member of the socket's group 3007" in server.text()
    finally:
        server.polkit.start_polkitd()
        os.chown(path, -1, 0)
    assert identity.virsh(server, GAMES, "uri").returncode == 0


def test_a_bus_that_is_too_busy_is_no_absence():
    """Whoever is in the group could see to it that no more connections fit into the bus's queue: it gets him in no more than polkit would."""
    instance = servers.new("berthd", libvirtd_conf='auth_unix_rw = "polkit"\nunix_sock_rw_perms = "0777"\n')
    instance.box.start()
    instance.write_config()
    directory, gid = instance.box.path("dbus"), 3007
    os.mkdir(directory)
    try:
        with socket.socket(socket.AF_UNIX) as bus, socket.socket(socket.AF_UNIX) as waits:
            bus.bind(os.path.join(directory, "system_bus_socket"))
            bus.listen(0)
            waits.connect(bus.getsockname())  # the one there is room for
            assert instance.box.run(["sh", "-c", "mkdir -p /run/dbus && mount --bind %s /run/dbus" % directory]).returncode == 0
            instance.start()
            os.chown(instance.socket, -1, gid)
            busy = identity.virsh(instance, MAN, "uri", groups=[gid])
            assert busy.returncode != 0 and "authentication failed" in busy.stderr and "no answer" in busy.stderr, busy
        absent = identity.virsh(instance, MAN, "uri", groups=[gid])  # nobody listens there any more
        assert absent.returncode == 0, absent
    finally:
        instance.close()


def test_a_polkit_that_hangs_harms_only_whom_it_is_asked_about(server):
    """polkitd is stopped: who waits for it may leave, root and others go on, and when it runs again it is as before."""
    daemons = [pid for pid, argv in server.box.processes() if argv[0] == polkit.POLKITD]
    with Session(server, GAMES) as inside:
        client = inside.open()
        for pid in daemons:
            os.kill(pid, signal.SIGSTOP)
        try:
            waiting = [client.send(25) for _ in range(3)]
            with Session(server, DAEMON) as leaves:
                assert leaves.client.call(66).status == rawrpc.OK
                leaves.client.send(70)
            with Session(server, GAMES) as stays:
                assert stays.client.call(66).status == rawrpc.OK
                asked = stays.client.send(70)
                for _ in range(20):
                    assert server.sh("list", "--all") is not None  # root is not asked about
                for pid in daemons:
                    os.kill(pid, signal.SIGCONT)
                packet = stays.client.receive()
                assert packet.serial == asked and packet.status == rawrpc.OK
        finally:
            for pid in daemons:
                os.kill(pid, signal.SIGCONT)
        answered = [client.receive() for _ in waiting]
        assert sorted(p.serial for p in answered) == waiting and all(p.status == rawrpc.OK for p in answered)


def test_a_yes_is_for_the_name_that_was_asked_about(server):
    """A machine that is renamed while polkit is being asked has become somebody else's."""
    secret = guest_xml.domain("mine-1").replace("</devices>", "<graphics type='vnc' passwd='herring' port='-1'/></devices>")
    server.define(secret)
    uuid = bytes.fromhex(server.sh("domuuid", "mine-1").strip().replace("-", ""))
    daemons = [pid for pid, argv in server.box.processes() if argv[0] == polkit.POLKITD]
    with Session(server, GAMES) as inside:
        client = inside.open()
        dump = rawrpc.domain("mine-1", uuid) + struct.pack(">I", 1)
        assert b"herring" in client.call(14, dump).body
        for pid in daemons:
            os.kill(pid, signal.SIGSTOP)
        try:
            asked = client.send(14, dump)
            assert client.call(66).status == rawrpc.OK  # so the other was looked at
            server.sh("domrename", "mine-1", "theirs")
        finally:
            for pid in daemons:
                os.kill(pid, signal.SIGCONT)
        packet = client.receive()
        assert packet.serial == asked and "was renamed" in packet.error()[2]
        assert client.call(14, dump).error()[0] == DENIED
