"""The administration socket: stock virt-admin, who may use it, and that what it sets takes effect."""

import json
import os
import re
import select
import signal
import struct
import subprocess
import sys

import pytest

from lib import identity, pki, rawrpc, sasl, servers_only

berthd = servers_only.berthd

ADMIN = 0x06900690
OPEN, CLOSE, LIB_VERSION, LIST_SERVERS, LOOKUP_SERVER, GET_POOL, SET_POOL, LIST_CLIENTS, LOOKUP_CLIENT, INFO, DISCONNECT, \
    GET_LIMITS, SET_LIMITS, GET_OUTPUTS, GET_FILTERS, SET_OUTPUTS, SET_FILTERS, UPDATE_TLS, SET_TIMEOUT, SHUTDOWN = range(1, 21)
NOBODY = "65534"


class Admin:
    """virt-admin against one daemon."""

    def __init__(self, server):
        self.server = server

    def run(self, *args, user=None):
        argv = ["virt-admin", "-c", "libvirtd:///system", *[str(a) for a in args]]
        if user:
            argv = ["setpriv", "--reuid", user, "--regid", user, "--clear-groups", *argv]
        env = dict(self.server.environment(), LC_ALL="C", TZ="UTC", HOME=self.server.box.path("home"))
        return self.server.box.run(argv, env=env)

    def __call__(self, *args):
        done = self.run(*args)
        assert done.returncode == 0, (args, done.stdout, done.stderr)
        return done.stdout

    def fails(self, *args):
        done = self.run(*args)
        assert done.returncode != 0, (args, done.stdout)
        return done.stderr

    def table(self, *args):
        """Lines of "name : value"."""
        return {k.strip(): v.strip() for k, v in (line.split(":", 1) for line in self(*args).splitlines() if ":" in line)}

    def ids(self, name):
        return [int(m.group(1)) for m in re.finditer(r"^ (\d+) ", self("srv-clients-list", name), re.M)]


def raw(server, name="libvirt-admin-sock"):
    return rawrpc.Client(server.box.path("run", name))


def admin_open(client):
    reply = client.call(OPEN, struct.pack(">I", 0), prog=ADMIN)
    assert reply.status == rawrpc.OK, reply.error()
    return client


def uint(name, value):
    return rawrpc.string(name) + struct.pack(">II", 2, value)


# ---- on both daemons -----------------------------------------------------------------------------------------------------------


def test_the_daemon_and_its_servers(server):
    admin = Admin(server)
    assert admin("uri").strip() == "libvirtd:///system"
    assert "9.0.0" in admin("version")
    assert sorted(re.findall(r"^ \d+ +(\w+)$", admin("srv-list"), re.M)) == ["admin", "libvirtd"]
    for name in ("admin", "libvirtd"):
        assert sorted(admin.table("srv-threadpool-info", name)) == \
            sorted(["minWorkers", "maxWorkers", "nWorkers", "freeWorkers", "prioWorkers", "jobQueueDepth"])
        assert sorted(admin.table("srv-clients-info", name)) == ["nclients", "nclients_max", "nclients_unauth", "nclients_unauth_max"]
    error = admin.fails("srv-threadpool-info", "nonsense")
    assert "Server not found: " in error and "'nonsense'" in error, error


def test_a_clients_identity(server):
    admin = Admin(server)
    with raw(server, "libvirt-sock") as first, raw(server, "libvirt-sock-ro") as second:
        first.open()
        second.open(flags=1)
        seen = [admin.table("client-info", "libvirtd", number) for number in admin.ids("libvirtd")]
        seen = [s for s in seen if s.get("unix_process_id") == str(os.getpid())]
        assert sorted(s["readonly"] for s in seen) == ["no", "yes"]
        for info in seen:
            assert info["transport"] == "unix" and re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", info["connection_time"])
            assert (info["unix_user_id"], info["unix_user_name"]) == ("0", "root")
            assert (info["unix_group_id"], info["unix_group_name"]) == ("0", "root")
    error = admin.fails("client-info", "libvirtd", 4000000000)
    assert "Client not found: " in error and "4000000000" in error, error


def test_a_client_is_disconnected(server):
    admin = Admin(server)
    with raw(server, "libvirt-sock") as other:
        other.open()
        before = admin.ids("libvirtd")
        client = raw(server, "libvirt-sock").open()
        mine, = set(admin.ids("libvirtd")) - set(before)
        assert "disconnected" in admin("client-disconnect", "libvirtd", mine)
        with pytest.raises(rawrpc.Closed):
            client.receive()
        assert mine not in admin.ids("libvirtd")
        assert other.call(3).status == rawrpc.OK


def test_workers(server):
    admin = Admin(server)
    before = admin.table("srv-threadpool-info", "libvirtd")
    try:
        admin("srv-threadpool-set", "libvirtd", "--min-workers", 7, "--max-workers", 11, "--priority-workers", 3)
        now = admin.table("srv-threadpool-info", "libvirtd")
        assert (now["minWorkers"], now["maxWorkers"], now["prioWorkers"]) == ("7", "11", "3")
        assert int(now["nWorkers"]) >= 7
        error = admin.fails("srv-threadpool-set", "libvirtd", "--min-workers", 12)
        assert "invalid argument: minWorkers" in error and "maxWorkers" in error, error
        assert admin.table("srv-threadpool-info", "libvirtd")["minWorkers"] == "7"
        admin("srv-threadpool-set", "libvirtd", "--priority-workers", 0)  # none of their own: the others do their work
        assert admin.table("srv-threadpool-info", "libvirtd")["prioWorkers"] == "0"
        server.sh("list")
        server.sh("nodeinfo")
    finally:
        admin("srv-threadpool-set", "libvirtd", "--min-workers", before["minWorkers"], "--max-workers", before["maxWorkers"],
              "--priority-workers", before["prioWorkers"])


def test_log_filters_and_outputs(server):
    admin = Admin(server)
    filters, outputs = admin("daemon-log-filters"), admin("daemon-log-outputs")
    assert outputs.split(":", 1)[1].strip() == "%s:file:/var/log/libvirt/daemon.log" % server.log_level
    try:
        admin("daemon-log-filters", "1:rpc 3:qemu")
        shown = admin("daemon-log-filters").split(":", 1)[1].split()
        assert [re.sub(r"\*", "", s) for s in shown] == ["1:rpc", "3:qemu"]
        admin("daemon-log-outputs", "1:file:/var/log/libvirt/second.log")
        server.sh("uri")
        assert os.path.getsize(server.box.path("log", "second.log")) > 0
        before = os.path.getsize(server.box.path("log", "daemon.log"))
        server.sh("uri")
        assert os.path.getsize(server.box.path("log", "daemon.log")) == before
        assert admin.fails("daemon-log-filters", "9:rpc")
        assert admin.fails("daemon-log-outputs", "1:nowhere")
        assert "second.log" in admin("daemon-log-outputs")
        admin("daemon-log-filters", "")
        assert admin("daemon-log-filters").split(":", 1)[1].strip() in ("", "(none)")
    finally:
        admin("daemon-log-outputs", outputs.split(":", 1)[1].strip())
    assert admin("daemon-log-filters") == filters


def test_client_limits(server):
    admin = Admin(server)
    before = admin.table("srv-clients-info", "libvirtd")
    with raw(server, "libvirt-sock") as first:
        first.open()
        count = int(admin.table("srv-clients-info", "libvirtd")["nclients"])
        try:
            admin("srv-clients-set", "libvirtd", "--max-clients", count, "--max-unauth-clients", 1)
            now = admin.table("srv-clients-info", "libvirtd")
            assert (now["nclients_max"], now["nclients_unauth_max"], now["nclients"]) == (str(count), "1", str(count))
            with raw(server, "libvirt-sock") as second:
                serial = second.send(66)
                assert admin.table("srv-clients-info", "libvirtd")["nclients"] == str(count)
                first.close()
                assert second.receive().serial == serial
            error = admin.fails("srv-clients-set", "libvirtd", "--max-clients", 5, "--max-unauth-clients", 6)
            assert "--max-unauth-clients must be less than or equal to --max-clients" in error, error  # virt-admin's own
            error = admin.fails("srv-clients-set", "libvirtd", "--max-unauth-clients", count + 1)
            assert "invalid argument: " in error, error
        finally:
            admin("srv-clients-set", "libvirtd", "--max-clients", before["nclients_max"], "--max-unauth-clients",
                  before["nclients_unauth_max"])


# ---- what is Berth's own -------------------------------------------------------------------------------------------------------


@pytest.fixture
def own(berthd):
    instance = berthd(log_level="2").open()
    yield instance
    instance.close()


def test_only_root(own):
    """The socket's permissions keep others away, and the daemon does when somebody widened them."""
    admin = Admin(own)
    path = own.box.path("run", "libvirt-admin-sock")
    assert os.stat(path).st_mode & 0o777 == 0o700
    assert "Permission denied" in admin.run("srv-list", user=NOBODY).stderr
    os.chmod(path, 0o777)
    refused = admin.run("srv-list", user=NOBODY)
    assert refused.returncode != 0 and "admin" not in refused.stdout
    assert "may not administer" in own.text()
    assert "libvirtd" in admin("srv-list")


def test_a_local_client_is_a_process(own):
    """Not a number only, which may be another's by now: the time it started is shown and logged, and so are all groups it is in."""
    admin = Admin(own)
    shown = r"client (\d+) \(uid %d pid (\d+)(?: read-only)?\): connected to /run/libvirt/libvirt-sock(?:-ro)?; process started (\d+), gid %d, groups (\S+)\n"
    with raw(own, "libvirt-sock") as mine, \
            identity.Client(own.box.path("run", "libvirt-sock-ro"), 2001, gid=2002, groups=(2003, 2004)) as gone:  # its process has ended
        mine.open()
        gone.open(flags=1)
        started, groups = identity.start_time(os.getpid()), ",".join(str(g) for g in os.getgroups())
        number, = [m[0] for m in re.findall(shown % (0, 0), own.text()) if m[1:] == (str(os.getpid()), str(started), groups or "none")]
        info = admin.table("client-info", "libvirtd", number)
        assert info["unix_process_start"] == str(started) and info.get("unix_groups", "") == groups, info
        (number, pid, _, groups), = re.findall(shown % (2001, 2002), own.text())
        info = admin.table("client-info", "libvirtd", number)
        assert info["unix_process_id"] == pid and info["unix_groups"] == groups == "2003,2004" and info["unix_group_id"] == "2002", info


def test_programs_stay_apart(own):
    with raw(own) as client:
        admin_open(client)
        code, _, text = client.call(66).error()
        assert code == 39 and "0x20008086" in text
    with raw(own, "libvirt-sock") as client:
        client.open()
        code, _, text = client.call(LIST_SERVERS, struct.pack(">II", 1, 0), prog=ADMIN).error()
        assert code == 39 and "0x6900690" in text


def test_refusals(own):
    with raw(own) as client:
        assert client.call(LIST_SERVERS, struct.pack(">II", 1, 0), prog=ADMIN).error()[2].endswith("connection not open")
        assert client.call(OPEN, struct.pack(">I", 1), prog=ADMIN).error()[2] == "unsupported flags (0x1) in function virAdmConnectOpen"
        admin_open(client)
        for body, text in (
                (uint("nWorkers", 3), "parameter 'nWorkers' not supported"),
                (uint("minWorkers", 1) * 2, "parameter 'minWorkers' occurs multiple times"),
                (rawrpc.string("minWorkers") + struct.pack(">Ii", 1, 1), "invalid type for parameter 'minWorkers', expected 'uint'"),
                (uint("prioWorkers", 10001), "prioWorkers is 10001, must be from 0 to 10000"),
                (uint("maxWorkers", 4294967295), "maxWorkers is 4294967295, must be from 1 to 10000")):
            n = 2 if "multiple" in text else 1
            reply = client.call(SET_POOL, rawrpc.string("libvirtd") + struct.pack(">I", n) + body + struct.pack(">I", 0), prog=ADMIN)
            assert text in reply.error()[2], reply.error()
        reply = client.call(SET_POOL, rawrpc.string("admin") + struct.pack(">I", 1) + uint("maxWorkers", 5) + struct.pack(">I", 0),
                            prog=ADMIN)
        assert "server 'admin' take no workers" in reply.error()[2]
        reply = client.call(LOOKUP_SERVER, rawrpc.string("x" * 1000000) + struct.pack(">I", 0), prog=ADMIN)
        assert reply.error()[0] == 95 and len(reply.error()[2]) < 500
        assert client.call(21, prog=ADMIN).error()[2].endswith("unknown procedure: 21")
        assert client.call(CLOSE, prog=ADMIN).status == rawrpc.OK
        with pytest.raises(rawrpc.Closed):
            client.receive()


def test_garbage_costs_only_its_sender(own):
    """Bytes that are no packets, and every procedure with bodies that are too short, too long or nonsense."""
    with raw(own) as good:
        admin_open(good)
        for data in (b"GET / HTTP/1.1\r\n\r\n", b"\0" * 64, b"\xff" * 64, struct.pack(">I", 0x7fffffff), struct.pack(">I", 3)):
            with raw(own) as bad:
                with pytest.raises(rawrpc.Closed):
                    bad.send_raw(data)
                    bad.sock.shutdown(1)
                    while True:
                        bad.receive()
        for number in list(range(0, 22)) + [-1, 0x7fffffff]:
            if number in (SHUTDOWN, CLOSE, SET_OUTPUTS, SET_TIMEOUT):
                continue
            for body in (b"", b"\xff" * 4, b"\xff" * 400, struct.pack(">I", 0xfffffff0) + b"x" * 64, b"\0" * 3):
                with raw(own) as bad:
                    admin_open(bad)
                    bad.call(number, body, prog=ADMIN)
        assert good.call(LIST_SERVERS, struct.pack(">II", 1, 0), prog=ADMIN).status == rawrpc.OK
    own.sh("uri")


def test_nothing_is_left_behind(own):
    """Hundreds of administrators who come and go in all ways leave no descriptor and no thread."""
    def count():
        return [len(os.listdir("/proc/%d/%s" % (own.process.pid, what))) for what in ("fd", "task")]

    with raw(own) as steady:
        admin_open(steady)

        def alone():
            reply = steady.call(LIST_CLIENTS, rawrpc.string("admin") + struct.pack(">II", 0, 0), prog=ADMIN)
            return struct.unpack(">II", reply.body)[1] == 1

        before = None
        for turn in range(200):
            with raw(own) as client:
                if turn % 4:
                    admin_open(client)
                if turn % 4 == 2:
                    client.call(SET_FILTERS, struct.pack(">I", 1) + rawrpc.string("1:rpc" if turn % 8 == 2 else "") + struct.pack(">I", 0),
                                prog=ADMIN)
                    client.call(SET_OUTPUTS, struct.pack(">I", 1) + rawrpc.string("1:file:/var/log/libvirt/daemon.log")
                                + struct.pack(">I", 0), prog=ADMIN)
                elif turn % 4 == 3:
                    client.send(LIST_SERVERS, struct.pack(">II", 1, 0), prog=ADMIN)  # and does not wait for the answer
            while not alone():
                pass
            if turn == 20:
                before = count()
        assert count()[0] == before[0] and count()[1] <= before[1]


def test_it_may_disconnect_itself(own):
    with raw(own) as client:
        admin_open(client)
        reply = client.call(LIST_CLIENTS, rawrpc.string("admin") + struct.pack(">II", 1, 0), prog=ADMIN)
        number, = struct.unpack(">Q", reply.body[16:24])
        reply = client.call(DISCONNECT, rawrpc.string("admin") + struct.pack(">QqII", number, 0, 0, 0), prog=ADMIN)
        assert reply.status == rawrpc.OK
        with pytest.raises(rawrpc.Closed):
            client.receive()


# ---- identities and limits of those who must show who they are -----------------------------------------------------------------


@pytest.mark.parametrize("uri,transport", [("qemu+unix:///system?socket=/run/libvirt/libvirt-sock", "unix"),
                                           ("qemu+tcp://127.0.0.1/system", "tcp")])
def test_a_sasl_user_is_named(uri, transport):
    own = sasl.Berthd(libvirtd_conf='auth_unix_rw = "sasl"\nlisten_tcp = 1\nlisten_addr = "127.0.0.1"\n').open()
    try:
        admin = Admin(own)
        env = dict(own.environment(), LC_ALL="C", **own.auth_file(host="127.0.0.1" if transport == "tcp" else "localhost"))
        with own.box.popen(["virsh", "-q", "-c", uri], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env) as client:
            client.stdin.write("list --all\nhostname\n")
            client.stdin.flush()
            client.stdout.readline()
            number, = admin.ids("libvirtd")
            info = admin.table("client-info", "libvirtd", number)
            assert info["transport"] == transport and info["sasl_user_name"].startswith("fred"), info
            assert ("unix_user_id" in info) == (transport == "unix") and ("sock_addr" in info) == (transport == "tcp"), info
            client.stdin.close()
    finally:
        own.close()


def test_limit_of_the_unknown():
    """Those who have not shown who they are have a limit of their own, 0 is none; it holds from the moment it is set.  Root's need no place."""
    own = sasl.Berthd(libvirtd_conf='auth_unix_ro = "sasl"\n').open()
    path = own.box.path("run", "libvirt-sock-ro")
    try:
        admin = Admin(own)
        with identity.Client(path, 65534) as first:
            first.call(66)
            assert admin.table("srv-clients-info", "libvirtd")["nclients_unauth"] == "1"
            admin("srv-clients-set", "libvirtd", "--max-unauth-clients", 1)
            with identity.Client(path, 65534) as second, raw(own, "libvirt-sock-ro") as root:
                serial = second.send(66)
                assert root.call(66).status == rawrpc.OK
                assert not select.select([second.sock], [], [], 0)[0]  # connected, and not read
                admin("srv-clients-set", "libvirtd", "--max-unauth-clients", 0)
                assert second.receive().serial == serial
                assert admin.table("srv-clients-info", "libvirtd")["nclients_unauth"] == "3"
    finally:
        own.close()


# ---- certificates --------------------------------------------------------------------------------------------------------------


def test_certificates_are_read_again(berthd):
    own = berthd(libvirtd_conf='listen_addr = "127.0.0.1"\n')
    own.box.start()
    try:
        authority = pki.Pki(own.box.path("pki"))
        cert = authority.path("libvirt", "servercert.pem")
        own.libvirtd_conf += authority.conf()
        own.write_config()
        own.start()
        admin = Admin(own)

        def shown():
            done = own.box.run([sys.executable, "-c", "import ssl; print(ssl.get_server_certificate(('127.0.0.1', 16514)))"])
            assert done.returncode == 0, done.stderr
            return done.stdout

        before = shown()
        uri = "qemu+tls://localhost/system?pkipath=" + authority.client("test")
        with own.box.popen(["virsh", "-q", "-c", uri], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                           env=dict(own.environment(), LC_ALL="C")) as client:
            client.stdin.write("hostname\n")
            client.stdin.flush()
            client.stdout.readline()
            info = admin.table("client-info", "libvirtd", admin.ids("libvirtd")[0])
            assert info["transport"] == "tls" and "CN=test" in info["tls_x509_dname"], info
            assert info["sock_addr"].startswith("127.0.0.1:") or info["sock_addr"].startswith("127.0.0.1;"), info
            authority.sh("server", "--force", "localhost", "127.0.0.1")
            assert shown() == before
            admin("server-update-tls", "libvirtd")
            now = shown()
            assert now != before
            with open(cert, "w") as out:
                out.write("nonsense\n")
            error = admin.fails("server-update-tls", "libvirtd")
            assert cert in error, error
            assert shown() == now
            client.stdin.write("uri\nquit\n")
            client.stdin.close()
            assert uri in client.stdout.read()
        assert "has no socket for TLS" in admin.fails("server-update-tls", "admin")
    finally:
        own.close()


def test_changes_are_recorded(berthd):
    """In the log and in the audit: who changed what, on which server, with which result; looking on is not."""
    own = berthd(log_level="2", berthd_conf='audit_file = "/var/log/libvirt/audit.json"\n').open()
    try:
        admin = Admin(own)
        admin("srv-threadpool-set", "libvirtd", "--max-workers", 12)
        admin.fails("srv-threadpool-set", "libvirtd", "--min-workers", 13)
        admin("srv-threadpool-info", "libvirtd")
        line = next(line for line in own.text().splitlines() if "server_set_threadpool_parameters done" in line)
        assert "uid 0" in line
        assert own.stop() == 0
        with open(own.box.path("log", "audit.json")) as audit:
            records = [json.loads(line) for line in audit]
        seen = [(r["who"].split()[:2], r["procedure"], r["name"], r["result"]) for r in records if r["procedure"].startswith("server_")]
        assert seen == [(["uid", "0"], "server_set_threadpool_parameters", "libvirtd", code) for code in (0, 8)], records
    finally:
        own.close()


def test_reading_the_configuration_again_undoes(own):
    admin = Admin(own)
    with open(own.box.path("etc", "libvirtd.conf"), "a") as conf:
        conf.write("max_workers = 17\nadmin_max_clients = 9\n")
    admin("srv-threadpool-set", "libvirtd", "--max-workers", 12)
    own.process.send_signal(signal.SIGHUP)
    while "configuration read again" not in own.text():
        own.sh("uri")
    assert admin.table("srv-threadpool-info", "libvirtd")["maxWorkers"] == "17"
    assert admin.table("srv-clients-info", "admin")["nclients_max"] == "9"


def test_timeout(own):
    """Set while a client is there it begins when that one leaves; 0 ends it."""
    admin = Admin(own)
    with raw(own, "libvirt-sock") as client:
        client.open()
        admin("daemon-timeout", "--timeout", 1)
        client.call(3)
    assert own.process.wait(30) == 0


def test_shutdown(own):
    with raw(own) as client:
        admin_open(client)
        assert client.call(SHUTDOWN, struct.pack(">I", 0), prog=ADMIN).status == rawrpc.OK
    assert own.process.wait(30) == 0


def test_session_daemon_is_its_users(berthd, tmp_path):
    """The admin socket of a session daemon is for its user."""
    own = berthd()
    own.box.start()
    try:
        home = own.box.path("home")
        os.makedirs(os.path.join(home, "run"))
        for path in (home, os.path.join(home, "run")):
            os.chown(path, int(NOBODY), int(NOBODY))
        env = dict(own.environment(), HOME=home, XDG_RUNTIME_DIR=os.path.join(home, "run"), LC_ALL="C")
        for name in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME"):
            env.pop(name, None)
        binary = own.file("berthd", "")
        with open(own.binary(), "rb") as source, open(binary, "wb") as out:
            out.write(source.read())
        os.chmod(binary, 0o755)
        user = ["setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"]
        started = own.box.run(user + [binary, "--daemon", "--timeout", "60"], env=env)
        assert started.returncode == 0, started.stderr
        done = own.box.run(user + ["virt-admin", "-c", "libvirtd:///session", "srv-clients-list", "admin"], env=env)
        assert done.returncode == 0 and "unix" in done.stdout, (done.stdout, done.stderr)
    finally:
        own.close()
