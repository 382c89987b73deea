"""Audit records: one for each call that changes something, for each refusal and each connection; nothing secret in them."""

import contextlib
import json
import os
import re
import resource
import select
import signal
import socket
import struct
import time

import pytest

from lib import identity, rawrpc, sasl, server as servers
from lib import xml as guest_xml

SECRET = "sword1sh"
PROCS = os.path.join(os.path.dirname(__file__), "..", "..", "protocol", "procs.def")


class Records:
    """The file of records, read as it grows."""

    def __init__(self, server, name="audit.json", socket_name="libvirt-sock"):
        self.socket = server.box.path("run", socket_name)
        self.path = server.box.path("log", name)
        self.server = server

    def all(self):
        try:
            with open(self.path) as lines:
                return [json.loads(line) for line in lines.read().splitlines()]
        except FileNotFoundError:
            return []

    def until(self, wanted):
        """All records once one of them is `wanted`; the client's calls pass the time."""
        end = time.monotonic() + 60
        with identity.Client(self.socket, 0) as client:
            client.open()
            while time.monotonic() < end:
                found = self.all()
                if any(wanted(record) for record in found):
                    return found
                client.call(110)
        raise AssertionError("no such record in %s" % self.all())


@pytest.fixture
def server():
    instance = servers.new("berthd", log_level="1", berthd_conf='audit_file = "/var/log/libvirt/audit.json"\n',
                           libvirtd_conf="max_client_requests = 50\n")
    instance.open()
    yield instance
    instance.close()


def test_records_say_who_what_which_and_how(server):
    uuid = "11112222-3333-4444-5555-666677778888"
    server.define(guest_xml.domain("web", uuid=uuid))
    server.sh("dumpxml", "web")
    server.sh("start", "web")
    with identity.Client(server.socket, 0) as client:  # runs already, which virsh would see itself
        client.open().call(9, rawrpc.domain("web", bytes.fromhex(uuid.replace("-", ""))))
    with identity.Client(server.box.path("run", "libvirt-sock-ro"), 0) as client:
        assert client.open().call(12, rawrpc.domain("web", bytes.fromhex(uuid.replace("-", "")))).error()[0] == 29
    server.sh("destroy", "web")
    server.sh("undefine", "web")
    found = Records(server).until(lambda r: r.get("procedure", "").startswith("domain_undefine"))
    of_web = [r for r in found if r.get("uuid") == uuid]
    calls = [(r["procedure"], r["result"]) for r in of_web]
    assert calls[0][0].startswith("domain_define_xml") and calls[0][1] == 0
    assert ("domain_create", 0) in calls or ("domain_create_with_flags", 0) in calls, calls
    assert [c for c in calls if c[0].startswith("domain_create") and c[1] == 55], calls
    assert [c for c in calls if c[0].startswith("domain_destroy")][-1][1] == 0
    assert calls[-1][0].startswith("domain_undefine") and calls[-1][1] == 0
    assert all(r["name"] == "web" and r["object"] == "domain" and r["from"] == "local" and "uid 0" in r["who"] for r in of_web), of_web
    assert [r for r in found if r["procedure"].startswith("domain_destroy") and r["result"] == 29]  # from the read-only socket
    assert not [r for r in found if r["procedure"] in ("domain_get_xml_desc", "domain_lookup_by_name")]
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$", r["time"]) and r["client"] > 0 for r in found)
    assert [r for r in found if r["procedure"] == "connect_open"]
    assert os.stat(server.box.path("log", "audit.json")).st_mode & 0o777 == 0o600


def test_no_secret_is_recorded_or_logged(server):
    """A password in a definition shows up with --security-info, and nowhere else: not in the log at its most talkative, not in records."""
    xml = guest_xml.domain("web").replace("</devices>", "<graphics type='vnc' passwd='%s' port='-1' autoport='yes'/></devices>" % SECRET)
    server.define(xml)
    server.virsh("create", server.file("bad.xml", xml.replace("<memory", "<nonsense/><memory").replace("type='qemu'", "type='xen'")))
    server.virsh("define", server.file("bad.xml", xml.replace("autoport='yes'/>", "autoport='yes' <")))  # quoted to the client
    server.sh("start", "web")
    server.virsh("start", "web")
    server.sh("qemu-monitor-command", "web", json.dumps({"execute": "set_password", "arguments": {"protocol": "vnc", "password": SECRET}}))
    server.sh("qemu-monitor-command", "web", "--hmp", "set_password vnc " + SECRET)
    server.sh("qemu-monitor-command", "web", "set_password vnc " + SECRET)  # virsh makes that the name of a command
    uuid = bytes.fromhex(server.sh("domuuid", "web").strip().replace("-", ""))
    with identity.Client(server.socket, 0) as client:
        client.open()
        for mistake in ("set_password vnc " + SECRET, '{"execute": "set_password" "%s"}' % SECRET):
            body = rawrpc.domain("web", uuid) + rawrpc.string(mistake) + struct.pack(">I", 0)
            assert client.call(1, body, prog=0x20008087).error()[0] == 1
    assert SECRET not in server.sh("dumpxml", "web")
    assert SECRET not in server.virsh("dumpxml", "web", readonly=True).out
    refused = server.virsh("dumpxml", "web", "--security-info", readonly=True)
    assert not refused.ok and SECRET not in refused.out + refused.err
    assert SECRET in server.sh("dumpxml", "web", "--security-info")
    server.sh("destroy", "web")
    server.sh("undefine", "web")
    Records(server).until(lambda r: r.get("procedure", "").startswith("domain_undefine"))
    for directory, _, names in os.walk(server.box.path("log")):
        for name in names:
            with open(os.path.join(directory, name), "rb") as text:
                assert SECRET.encode() not in text.read(), name
    with open(server.box.path("output"), "rb") as text:
        assert SECRET.encode() not in text.read()


def rows():
    """(number, name, changes something) of the main program's rows."""
    with open(PROCS) as text:
        for line in text:
            row = re.match(r"PROC\(\s*(\d+),\s*\w+,\s*(\w+),", line)
            if row:
                yield int(row.group(1)), row.group(2), re.search(r",\s*RW,\s", line) is not None


def test_every_call_that_changes_something_leaves_one(server):
    """A walk over the rows: as many records as calls for those that change something, none for the others."""
    calls = {}
    client = identity.Client(server.socket, 0).open()
    for number, name, changes in rows():
        if name in ("connect_open", "connect_close", "node_suspend_for_duration") or name.startswith("auth_"):
            continue
        calls[name] = changes
        client.call(number, b"\0" * 1024)
    client.call(35, rawrpc.domain("last", b"\x01" * 16))
    found = Records(server).until(lambda r: r["procedure"] == "domain_undefine" and r.get("uuid") == "01010101-0101-0101-0101-010101010101")
    counted = {}
    for record in found:
        counted[record["procedure"]] = counted.get(record["procedure"], 0) + 1
    missing = [name for name, changes in calls.items() if changes and name not in counted]
    assert not missing
    idle = [name for name in counted if name in calls and not calls[name]]
    assert not idle
    client.close()


def test_refusals_are_recorded_whatever_was_asked():
    instance = servers.new("berthd", libvirtd_conf='access_drivers = [ "berth" ]\nunix_sock_rw_perms = "0777"\n',
                           berthd_conf='audit_file = "/var/log/libvirt/audit.json"\n')
    instance.box.start()
    instance.write_config()
    rules = instance.box.path("etc", "berthd.conf.d", "access")
    os.makedirs(rules)
    with open(os.path.join(rules, "1.rules"), "w") as out:
        out.write("allow user 0 to *\nallow user 2001 to connect:*\n")
    try:
        instance.start()
        instance.define(guest_xml.domain("web"))
        identity.virsh(instance, 2001, "dominfo", "web")
        found = Records(instance).until(lambda r: r["result"] == 88)
        refused = [r for r in found if r["result"] == 88][0]
        assert refused["procedure"] == "domain_lookup_by_name" and "uid 2001" in refused["who"] and refused["name"] == "web", refused
    finally:
        instance.close()


@pytest.mark.parametrize("late", [False, True], ids=["from the start", "since a reload"])
def test_a_call_the_daemon_is_killed_in(server, late):
    """Its record comes from the next daemon, once, and says that the end is not known."""
    if late:
        conf = server.box.path("etc", "libvirtd.conf")
        with open(conf) as lines:
            text = lines.read()
        with open(conf, "w") as out:
            out.write(text + "audit_level = 0\n")
        server.restart()
        with open(conf, "w") as out:
            out.write(text)
        server.reload()
    uuid = "11112222-3333-4444-5555-666677778888"
    server.define(guest_xml.domain("web", uuid=uuid))
    server.sh("start", "web")
    (qemu, _), = server.box.qemus()
    os.kill(qemu, signal.SIGSTOP)
    try:
        client = rawrpc.Client(server.socket).open()
        client.send(34, rawrpc.domain("web", bytes.fromhex(uuid.replace("-", ""))))  # waits for QEMU
        client.call(157)  # calls are taken in order
        server.process.kill()
        server.process.wait(60)
    finally:
        os.kill(qemu, signal.SIGCONT)

    def suspends():
        return [r for r in Records(server).all() if r["procedure"] == "domain_suspend"]

    assert not suspends()
    assert os.stat(server.box.path("run", "audit-calls")).st_mode & 0o777 == 0o600
    server.start()
    Records(server).until(lambda r: r["procedure"] == "domain_suspend")
    for _ in range(2):
        found, = suspends()
        assert found["result"] is None and found["name"] == "web" and found["uuid"] == uuid and "uid 0" in found["who"], found
        assert server.stop() == 0
        assert not os.path.exists(server.box.path("run", "audit-calls"))
        server.start()


def test_the_administrations_changes_survive_a_kill(server):
    """The answer is out, the record may still wait to be written with others: it is there afterwards, whoever wrote it."""
    admin, open_it, set_pool = 0x06900690, struct.pack(">I", 0), 7
    arguments = rawrpc.string("libvirtd") + struct.pack(">I", 1) + rawrpc.string("maxWorkers") + struct.pack(">II", 2, 12) + struct.pack(">I", 0)
    wanted = {"who": "uid 0 pid %d started %d" % (os.getpid(), identity.start_time(os.getpid())), "procedure": "server_set_threadpool_parameters",
              "object": "server", "name": "libvirtd", "result": 0}
    before = 0
    for _ in range(3):
        with rawrpc.Client(server.box.path("run", "libvirt-admin-sock")) as client:
            assert client.call(1, open_it, prog=admin).status == rawrpc.OK
            assert client.call(set_pool, arguments, prog=admin).status == rawrpc.OK
            server.process.kill()
            server.process.wait(60)
        server.start()
        assert server.stop() == 0  # all is written
        found = [{k: r.get(k) for k in wanted} for r in Records(server).all() if r.get("procedure", "").startswith("server_")]
        assert len(found) > before and all(r == wanted for r in found), found  # twice, if it was killed just after writing it
        before = len(found)
        server.start()


@pytest.mark.parametrize("mech", ["digest-md5", "plain"])
def test_whoever_comes_in_by_a_name(mech):
    """Both what SASL let in and what it did not; and no password is anywhere, however talkative the log is."""
    instance = sasl.Berthd(mechs=mech, log_level="1", libvirtd_conf='auth_unix_rw = "sasl"\nauth_unix_ro = "none"\nsasl_allowed_username_list = [ "fred" ]\n',
                           berthd_conf='audit_file = "/var/log/libvirt/audit.json"\n')
    try:
        instance.open()
        assert instance.virsh("list", env=instance.auth_file("fred")).ok
        for env in (instance.auth_file("joe"), instance.auth_file("fred", "not-it")):
            assert not instance.virsh("list", env=env).ok
        instance.virsh("uri", readonly=True)
        found = Records(instance, socket_name="libvirt-sock-ro").until(lambda r: r["procedure"] == "connect_open" and "SASL" not in r["who"])
        logins = [(r["name"], "fred" in r["who"], r["result"]) for r in found if r["object"] == "login"]
        assert logins == [(mech.upper(), True, 0), (mech.upper() + " as joe", False, 45), (mech.upper(), False, 45)], found
        for directory, _, names in os.walk(instance.box.path("log")):
            for name in names:
                with open(os.path.join(directory, name), errors="replace") as text:
                    said = text.read()
                assert not [word for word in (*sasl.USERS.values(), "not-it") if word in said], name
    finally:
        instance.close()


def test_reload_opens_the_file_anew(server):
    """What log rotation does: the file is renamed, the daemon told."""
    server.define(guest_xml.domain("a"))
    Records(server).until(lambda r: r.get("name") == "a")
    old = server.box.path("log", "audit.json")
    os.rename(old, old + ".1")
    server.reload()
    server.define(guest_xml.domain("b"))
    assert not [r for r in Records(server).until(lambda r: r.get("name") == "b") if r.get("name") == "a"]


def test_a_daemon_without_descriptors_goes_on_recording(server):
    """Not one is to be had: what is refused and changed meanwhile is in the file all the same."""
    old = resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)
    with identity.Client(server.socket, 0) as client:
        client.open()
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (3, old[1]))
        try:
            assert client.call(35, rawrpc.domain("nobody", b"\x02" * 16)).error()[0] == 42
            end = time.monotonic() + 60
            while not any(r.get("name") == "nobody" for r in Records(server).all()):
                assert time.monotonic() < end, Records(server).all()
                client.call(110)
        finally:
            resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, old)


def test_a_full_file_system_spoils_no_other_record():
    """What a record's last page had no room for, its first is not left of."""
    server = servers.new("berthd", berthd_conf='audit_file = "/var/log/libvirt/small/audit.json"\n')
    server.box.start()
    small = "/var/log/libvirt/small"

    def calls(first):
        with identity.Client(server.socket, 0) as client:
            client.open()
            for i in range(first, first + 60):
                client.call(35, rawrpc.domain("x" * 100, i.to_bytes(16, "big")))

    def lines():
        return server.box.run(["cat", small + "/audit.json"]).stdout.splitlines()

    try:
        server.write_config()
        assert server.box.run(["sh", "-c", "mkdir %s && mount -t tmpfs -o size=8k tmpfs %s && head -c 4096 /dev/zero >%s/ballast"
                               % (small, small, small)]).returncode == 0
        server.start()
        calls(0)
        end = time.monotonic() + 60
        while "audit records could not be written" not in server.text() and time.monotonic() < end:
            calls(0)
        os_full = len(lines())
        assert server.box.run(["rm", small + "/ballast"]).returncode == 0
        server.stop()
        server.start()
        calls(1000)
        server.stop()
        found = [json.loads(line) for line in lines()]
        assert len(found) > os_full > 0
    finally:
        server.close()


@contextlib.contextmanager
def with_journal(conf=""):
    """A daemon that has a journal, and that one's socket, which nobody reads but the test."""
    instance = servers.new("berthd", libvirtd_conf=conf)
    instance.box.start()
    instance.write_config()
    directory = instance.box.path("journal")
    os.mkdir(directory)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
        journal.bind(os.path.join(directory, "socket"))
        journal.settimeout(60)
        assert instance.box.run(["sh", "-c", "mkdir -p /run/systemd/journal && mount --bind %s /run/systemd/journal" % directory]).returncode == 0
        try:
            instance.start()
            yield instance, journal
        finally:
            instance.close()


def test_records_go_to_the_journal():
    with with_journal() as (instance, journal):
        instance.define(guest_xml.domain("web"))
        while True:
            entry = journal.recv(65536).decode(errors="replace")
            if "BERTH_OBJECT=web\n" in entry:
                break
        for field in ("MESSAGE_ID=3f0e2cbd5b7a4f2c9e1d6a8b47c0915e", "BERTH_RESULT=0", "BERTH_FROM=local", "BERTH_WHO=uid 0",
                      "BERTH_PROCEDURE=domain_define_xml"):
            assert field in entry, entry


def test_a_journal_that_hangs_costs_records_not_calls():
    """Nobody reads the journal's socket: calls go on, the queue fills, and how many records were lost is a record and a warning."""
    calls = 12000  # more than the queue and the socket hold
    with with_journal("max_client_requests = 100\n") as (instance, journal):
        with identity.Client(instance.socket, 0) as client:
            client.open()
            body = rawrpc.domain("nobody", bytes(range(16)))
            for _ in range(calls // 50):
                for _ in range(50):
                    client.send(12, body)
                for _ in range(50):
                    assert client.receive().error()[0] == 42
        seen, lost = 0, 0
        while not lost or seen + lost < calls:
            entry = journal.recv(65536).decode(errors="replace")
            seen += "BERTH_PROCEDURE=domain_destroy\n" in entry
            found = re.search(r"BERTH_LOST=(\d+)", entry)
            lost += int(found.group(1)) if found else 0
        assert seen + lost == calls and lost > 0
        end = time.monotonic() + 60
        while "audit records were not taken in time and are lost" not in instance.text():
            assert time.monotonic() < end
            with identity.Client(instance.socket, 0) as client:
                client.open()


def test_refusals_crowd_out_no_change():
    """Of a queue that is full since the journal is slow, half is for what was carried out."""
    with with_journal("max_client_requests = 100\n") as (instance, journal):
        instance.define(guest_xml.domain("vm"))
        vm = rawrpc.domain("vm", bytes.fromhex(instance.sh("domuuid", "vm").strip().replace("-", "")))
        rename = vm + rawrpc.optional(rawrpc.string("vm")) + struct.pack(">I", 0)  # to itself: carried out as far as that is found
        with identity.Client(instance.box.path("run", "libvirt-sock-ro"), 65534) as refused, identity.Client(instance.socket, 0) as client:
            refused.open()
            client.open()
            for _ in range(240):  # more than the queue and the socket hold
                for _ in range(50):
                    refused.send(12, vm)
                for _ in range(50):
                    assert refused.receive().error()[0] == 29
                journal.recv(65536)
            for _ in range(50):
                assert client.call(358, rename).error()[0] == 55
        instance.process.send_signal(signal.SIGTERM)
        entries = []
        while journal in select.select([journal, instance.process.pidfd], [], [], 60)[0]:
            entries.append(journal.recv(65536).decode(errors="replace"))
        assert sum("BERTH_LOST=" in entry for entry in entries) > 0
        assert sum("BERTH_PROCEDURE=domain_rename\n" in entry for entry in entries) == 50


def test_level_two_wants_a_place():
    instance = servers.new("berthd", libvirtd_conf="audit_level = 2\n")
    instance.box.start()
    instance.write_config()
    try:
        with pytest.raises(RuntimeError, match="audit_level is 2, and there is no journal"):
            instance.start()
    finally:
        instance.close()
