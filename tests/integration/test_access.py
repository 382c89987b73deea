"""Access control by Berth's own rules: every procedure of the table, lists, events, flags, reloads."""

import os
import re
import signal
import struct
import time
import uuid as uuid_module

import pytest

from lib import identity, rawrpc, sasl, server as servers
from lib import xml as guest_xml

ALICE, BOB = 2001, 2002  # accounts nobody has: the kernel does not ask
RULES = "allow user 0 to *\n"
DENIED = 88
UNREADABLE = 39
# Asked for before anybody is known, or about the connection alone: no permission is needed, by the table.
FREE = {2: "ends its own connection", 66: "before authentication", 67: "before authentication", 68: "before authentication",
        69: "before authentication", 70: "before authentication", 149: "about its own connection"}
UUID = bytes.fromhex("11112222333344445555666677778888")


def write_rules(server, text, name="10-test.rules"):
    directory = server.box.path("etc", "berthd.conf.d", "access")
    os.makedirs(directory, exist_ok=True)
    path = os.path.join(directory, name)
    with open(path, "w") as out:
        out.write(text)
    os.chmod(path, 0o644)


def reload(server, words):
    """SIGHUP, and waits until the log says `words` once more."""
    def said():
        with open(server.box.path("log", "daemon.log"), errors="replace") as log:
            return log.read().count(words)

    before = said()
    server.process.send_signal(signal.SIGHUP)
    end = time.monotonic() + 60
    with identity.Client(server.socket, 0) as client:
        client.open()
        while said() == before and time.monotonic() < end:
            client.call(110)
    assert said() > before


@pytest.fixture(scope="module")
def ruled():
    """A daemon ruled by files; root may do everything, others what the test writes."""
    instance = servers.new("berthd", log_level="2", libvirtd_conf='access_drivers = [ "berth" ]\nunix_sock_rw_perms = "0777"\n'
                           'max_client_requests = 50\n')
    instance.box.start()
    instance.write_config()
    write_rules(instance, RULES)
    instance.start()
    yield instance
    instance.close()


@pytest.fixture
def server(ruled):
    yield ruled
    if ruled.process.poll() is not None:
        pytest.fail("the daemon ended during the test:\n" + ruled.tail())
    write_rules(ruled, RULES)
    reload(ruled, "access rules read")
    for name in ruled.sh("list", "--all", "--name").split():
        ruled.virsh("destroy", name)
        ruled.virsh("undefine", name, "--snapshots-metadata")


def set_rules(server, text):
    write_rules(server, RULES + text)
    reload(server, "access rules read")


def machine(name, uuid=None):
    return guest_xml.domain(name, uuid=uuid and str(uuid_module.UUID(bytes=uuid)))


def table():
    """(program, number, name, supported) of every row, from the page made of the daemon's own tables."""
    rows, prog = [], None
    programs = {"Main": rawrpc.REMOTE, "QEMU": rawrpc.QEMU, "LXC": rawrpc.LXC, "Berth": 0x62657274}
    with open(os.path.join(os.path.dirname(__file__), "..", "..", "docs", "support.md")) as page:
        for line in page:
            heading = re.match(r"## (\w+).* (\d+) of (\d+) calls", line)
            if heading:
                prog = programs.get(heading.group(1))  # the administration's program has a socket of its own
            elif line.startswith("## "):
                prog = None
            row = re.match(r"\| (\d+) \| (\w+) \| ([^|]+) \|", line)
            if row and prog is not None:
                rows.append((prog, int(row.group(1)), row.group(2), row.group(3).strip()))
    return rows


def files_of(server):
    """Every file and its content's stamp below the directories the daemon writes to, its log aside."""
    found = {}
    for top in ("etc", "lib", "cache", "run"):
        for path, _, names in os.walk(os.path.realpath(server.box.path(top))):
            for name in names:
                full = os.path.join(path, name)
                info = os.lstat(full)
                found[full] = (info.st_mode, info.st_size, info.st_mtime_ns, info.st_ino)
    return found


def arguments(row, ident, name="victim", uuid=UUID):
    """What the call's arguments may look like, one of which every row can read: nothing but zeros, the machine first, its snapshot."""
    prog, number, _, _ = row
    if prog == rawrpc.REMOTE and number == 22:
        return [struct.pack(">i", ident)]
    if prog == rawrpc.REMOTE and number == 23:
        return [rawrpc.string(name)]
    if prog == rawrpc.REMOTE and number == 24:
        return [uuid]
    return [b"\0" * 1024, rawrpc.domain(name, uuid) + b"\0" * 1024, rawrpc.string("snap") + rawrpc.domain(name, uuid) + b"\0" * 1024]


def test_table_is_whole():
    rows = table()
    assert {row[0] for row in rows} == {rawrpc.REMOTE, rawrpc.QEMU, rawrpc.LXC, 0x62657274}
    assert len(rows) > 400


def walk(server, uid, ident=1):
    """Makes every call of the table as `uid`; {(program, number): {code of the answer: text}}."""
    answers, client = {}, None
    for row in table():
        prog, number, _, _ = row
        found = answers[prog, number] = {}
        for body in arguments(row, ident):
            try:
                if not client:
                    client = identity.Client(server.socket, uid).open()
                if (prog, number) == (rawrpc.REMOTE, 1):
                    continue
                reply = client.call(number, body, prog=prog)
                error = reply.error() if reply.status == rawrpc.ERROR else (0, 0, "allowed")
                found[error[0]] = error[2]
            except rawrpc.Closed:
                found["closed"] = ""
            if (prog, number) == (rawrpc.REMOTE, 2) or "closed" in found:
                client.close()
                client = None
    client.close()
    return answers


def test_nothing_for_an_identity_that_has_nothing(server):
    """The walk: all refused with 88, or free by definition, or not built; and nothing was done."""
    server.define(machine("victim", UUID))
    before = files_of(server)
    definition = server.sh("dumpxml", "victim", "--inactive")
    with identity.Client(server.socket, 0) as watcher:
        watcher.open()
        assert watcher.call(316, struct.pack(">iI", 0, 0)).status == rawrpc.OK  # lifecycle of every machine
        client = identity.Client(server.socket, BOB)
        assert client.call(66).status == rawrpc.OK
        assert client.call(1, rawrpc.optional(rawrpc.string("qemu:///system")) + struct.pack(">I", 0)).error()[0] == DENIED
        client.close()
        # The connection of one who may no more than open it, and every call on it.
        set_rules(server, "allow user %d to connect:getattr\n" % ALICE)
        answers = walk(server, ALICE)
        after = files_of(server)
        server.define(machine("later"))
        while True:
            packet = watcher.receive()
            if packet.type == rawrpc.MESSAGE:
                break
        assert b"later" in packet.body and b"victim" not in packet.body, packet.body
    server.sh("undefine", "later")
    free = {(rawrpc.REMOTE, number) for number in FREE}
    free |= {(rawrpc.REMOTE, number) for number in (1, 3, 4, 59, 60, 110, 157, 360, 361)}  # connect:getattr, which opening takes
    for row in table():
        codes = set(answers[row[0], row[1]]) - {UNREADABLE}
        if row[3] == "no":
            assert codes == {3}, (row, codes)  # no such thing here, whoever asks
        elif (row[0], row[1]) not in free:
            assert codes == {DENIED}, (row, answers[row[0], row[1]])
    assert {k: v for k, v in after.items() if before.get(k) != v and not k.endswith(".rules")} == {}
    assert set(before) - set(after) == set()
    assert server.sh("dumpxml", "victim", "--inactive") == definition


def test_all_but_this_object(server):
    """Who may do everything with its own machines can do nothing with another's, whatever way it is named."""
    server.define(machine("victim", UUID))
    definition = server.sh("dumpxml", "victim", "--inactive")
    server.sh("start", "victim")
    pids = [pid for pid, _ in server.box.qemus()]
    set_rules(server, "allow user %d to connect:*\nallow user %d to * on name mine-*\n" % (ALICE, ALICE))
    answers = walk(server, ALICE, int(server.sh("domid", "victim")))
    for row in table():
        prog, number, api, supported = row
        found = answers[prog, number]
        if supported == "no" or not api.startswith(("virDomain", "berthDomain")):
            continue
        # What a definition is of is known once it is read, and this one cannot be: test_definitions_are_asked_for_by_name_and_uuid.
        late = api in ("virDomainCreateXML", "virDomainDefineXML", "virDomainDefineXMLFlags")
        assert 0 not in found and "closed" not in found and (late or DENIED in found), (row, found)
    assert server.sh("dumpxml", "victim", "--inactive") == definition
    assert server.sh("list", "--all", "--name").split() == ["victim"]
    assert server.sh("domstate", "victim").strip() == "running" and [pid for pid, _ in server.box.qemus()] == pids


def as_alice(server, *args, **kw):
    return identity.virsh(server, ALICE, *args, **kw)


def test_definitions_are_asked_for_by_name_and_uuid(server):
    server.define(machine("victim", UUID))
    set_rules(server, "allow user %d to connect:*\nallow user %d to domain:* on name mine-*\n" % (ALICE, ALICE))
    own, foreign = server.file("own.xml", machine("mine-1")), server.file("foreign.xml", machine("other"))
    thief = server.file("thief.xml", machine("mine-2", UUID))
    assert as_alice(server, "define", own).returncode == 0
    refused = as_alice(server, "define", foreign)
    assert "access denied" in refused.stderr and "uid %d" % ALICE in refused.stderr and "'other'" in refused.stderr, refused
    assert "access denied" in as_alice(server, "create", foreign).stderr
    for command in ("define", "create"):  # the uuid is another machine's, whose name is not for her
        taken = as_alice(server, command, thief)
        assert taken.returncode != 0 and "already defined with uuid" in taken.stderr and "victim" not in taken.stderr, taken
    assert "domain 'victim' is already defined" in server.virsh("define", thief).err
    assert as_alice(server, "list", "--all", "--name").stdout.split() == ["mine-1"]
    assert server.sh("list", "--all", "--name").split() == ["mine-1", "victim"]
    # A name of one's own does not make a machine one's own, nor is one given away.
    assert "access denied" in as_alice(server, "domrename", "mine-1", "victim-2").stderr
    assert as_alice(server, "domrename", "mine-1", "mine-3").returncode == 0
    assert as_alice(server, "undefine", "mine-3").returncode == 0


def test_refusal_names_who_what_which_and_why(server):
    server.define(machine("web"))
    set_rules(server, "allow user %d to connect:* domain:getattr domain:read\n"
              "deny group 2001 to domain:start on name w*\n" % ALICE)
    text = as_alice(server, "start", "web").stderr
    assert re.search(r"access denied: uid 2001 has no permission domain:start on domain 'web': \S+/10-test\.rules:3 refuses it", text), text
    text = as_alice(server, "undefine", "web").stderr
    assert "domain:delete on domain 'web': no rule allows it" in text, text
    assert as_alice(server, "dominfo", "web").returncode == 0


def test_supplementary_groups(server):
    server.define(machine("web"))
    set_rules(server, "allow group 3003 to *\n")
    assert as_alice(server, "list", "--all").returncode != 0
    assert identity.virsh(server, ALICE, "list", "--all", "--name", groups=[3002, 3003]).stdout.split() == ["web"]
    assert identity.virsh(server, ALICE, "list", "--all", "--name", gid=3003).stdout.split() == ["web"]


def test_flags_ask_for_more(server):
    """What a flag adds to a call is asked for, and only then."""
    server.define(machine("web").replace("</devices>", "<graphics type='vnc' passwd='sword1sh' port='-1' autoport='yes'/></devices>"))
    grant = "allow user %d to connect:* domain:getattr domain:read domain:write%%s\n" % ALICE
    set_rules(server, grant % "")
    assert as_alice(server, "dumpxml", "web").returncode == 0
    assert "sword1sh" not in as_alice(server, "dumpxml", "web").stdout
    refused = as_alice(server, "dumpxml", "web", "--security-info")
    assert refused.returncode != 0 and "domain:read_secure" in refused.stderr and "sword1sh" not in refused.stdout, refused
    assert "domain:read_secure" in as_alice(server, "dumpxml", "web", "--migratable").stderr
    assert "domain:save" in as_alice(server, "desc", "web", "--config", "--new-desc", "x").stderr
    assert "domain:save" in as_alice(server, "desc", "web", "--new-desc", "x").stderr  # off: the current one is the stored one
    set_rules(server, grant % " domain:read-secure domain:save")
    assert "sword1sh" in as_alice(server, "dumpxml", "web", "--security-info").stdout
    assert as_alice(server, "desc", "web", "--config", "--new-desc", "x").returncode == 0
    assert "sword1sh" not in server.text()


def test_lists_show_what_one_may_see(server):
    for name in ("mine-1", "mine-2", "other"):
        server.define(machine(name))
    set_rules(server, "allow user %d to connect:*\nallow user %d to domain:getattr on name mine-*\n"
              "allow user %d to domain:read on name mine-1\n" % (ALICE, ALICE, ALICE))
    assert sorted(as_alice(server, "list", "--all", "--name").stdout.split()) == ["mine-1", "mine-2"]
    assert as_alice(server, "list", "--name").stdout.split() == []
    stats = as_alice(server, "domstats", "--state").stdout
    assert "mine-1" in stats and "mine-2" not in stats and "other" not in stats, stats
    client = identity.Client(server.socket, ALICE).open()
    assert client.call(25).body == struct.pack(">i", 2)  # NUM_OF_DEFINED_DOMAINS
    names = client.call(21, struct.pack(">i", 100)).body
    assert b"mine-1" in names and b"mine-2" in names and b"other" not in names
    assert struct.unpack(">I", client.call(273, struct.pack(">iI", 1, 0)).body[:4]) == (2,)
    assert client.call(23, rawrpc.string("other")).error()[0] == DENIED
    client.close()


def test_events_are_of_what_one_may_see(server):
    set_rules(server, "allow user %d to connect:*\nallow user %d to domain:getattr on name mine-*\n" % (ALICE, ALICE))
    with identity.Client(server.socket, ALICE) as client:
        client.open()
        assert client.call(316, struct.pack(">iI", 0, 0)).status == rawrpc.OK
        server.define(machine("hidden"))
        server.sh("undefine", "hidden")
        server.define(machine("mine-1"))
        packet = client.receive()
        while packet.type != rawrpc.MESSAGE:
            packet = client.receive()
        assert b"mine-1" in packet.body, packet.body
        # What was allowed when it registered is not for ever.
        set_rules(server, "allow user %d to connect:*\nallow user %d to domain:getattr on name yours-*\n" % (ALICE, ALICE))
        server.sh("undefine", "mine-1")
        server.define(machine("yours-1"))
        packet = client.receive()
        while packet.type != rawrpc.MESSAGE:
            packet = client.receive()
        assert b"yours-1" in packet.body, packet.body


def test_wrong_rules_do_not_replace_those_in_force(server):
    set_rules(server, "allow user %d to connect:* domain:getattr\n" % ALICE)
    write_rules(server, "allow everybody to *\n")
    reload(server, "the access rules are not changed")
    assert "10-test.rules:1: \"everybody\" is not understood; allowed here: anyone, user NAME" in server.text()
    assert as_alice(server, "list", "--all").returncode == 0
    checked = server.box.run(server.argv() + ["--check-config"])
    assert checked.returncode == 1 and "10-test.rules:1:" in checked.stderr, checked
    write_rules(server, RULES)
    assert server.box.run(server.argv() + ["--check-config"]).returncode == 0


def test_a_refused_call_does_not_run(server):
    """A destroy signals QEMU before it waits for anything: not when it is refused."""
    server.define(machine("victim"))
    server.sh("start", "victim")
    set_rules(server, "allow user %d to connect:* domain:getattr domain:read\n" % ALICE)
    pids = [pid for pid, _ in server.box.qemus()]
    assert "domain:stop" in as_alice(server, "destroy", "victim").stderr
    assert "domain:suspend" in as_alice(server, "suspend", "victim").stderr
    assert [pid for pid, _ in server.box.qemus()] == pids
    assert server.sh("domstate", "victim").strip() == "running"


def test_remote_identities():
    """Users SASL knows are told apart, whatever process they come from."""
    instance = sasl.Berthd(log_level="2", libvirtd_conf='auth_unix_rw = "sasl"\naccess_drivers = [ "berth" ]\n')
    instance.box.start()
    instance.write_config()
    write_rules(instance, "allow sasl fred* to *\nallow sasl joe* to connect:getattr connect:search_domains\n"
                "allow sasl joe* to domain:getattr on name joe-*\n")
    try:
        instance.start()
        fred, joe = instance.auth_file("fred"), instance.auth_file("joe")
        for name in ("joe-1", "other"):
            assert instance.virsh("define", instance.file("x.xml", machine(name)), env=fred).ok
        assert sorted(instance.virsh("list", "--all", "--name", env=fred).out.split()) == ["joe-1", "other"]
        assert instance.virsh("list", "--all", "--name", env=joe).out.split() == ["joe-1"]
        refused = instance.virsh("undefine", "joe-1", env=joe)
        assert re.search(r"access denied: uid 0, SASL user joe\S* has no permission domain:read on domain 'joe-1'", refused.err), refused
        assert not instance.virsh("list").ok
    finally:
        instance.close()


def opening(pid):
    """Threads of a process that are inside openat()."""
    found = set()
    for tid in os.listdir("/proc/%d/task" % pid):
        try:
            with open("/proc/%d/task/%s/syscall" % (pid, tid)) as now:
                if now.read().split()[0] == "257":
                    found.add(tid)
        except OSError:
            pass
    return found


def test_a_reload_waits_for_accounts_alone(ruled):
    """The account database does not answer: calls are served, and the reload goes on when it does."""
    def read():
        return ruled.text().count("access rules read from")

    def wait_until(holds):
        end = time.monotonic() + 60
        while not holds() and time.monotonic() < end:
            assert client.call(110).status == rawrpc.OK
        assert holds()

    write_rules(ruled, RULES + "allow user daemon to connect:getattr\n")
    slow = ruled.box.path("accounts")
    os.mkfifo(slow)  # who opens it waits for somebody who writes
    assert ruled.box.run(["mount", "--bind", slow, "/etc/passwd"]).returncode == 0
    before = read()
    try:
        with identity.Client(ruled.socket, 0) as client:
            client.open()
            ruled.process.send_signal(signal.SIGHUP)
            wait_until(lambda: opening(ruled.process.pid) & opening(ruled.process.pid))
            ruled.process.send_signal(signal.SIGHUP)  # another one, which comes behind it
            for _ in range(10):
                assert client.call(110).status == rawrpc.OK
            assert read() == before and opening(ruled.process.pid)
            # Whoever asks from now on finds the file of before; who waits is told that it is no file.
            assert ruled.box.run(["umount", "-l", "/etc/passwd"]).returncode == 0
            os.close(os.open(slow, os.O_WRONLY))
            wait_until(lambda: read() > before)
    finally:
        os.unlink(slow)
        write_rules(ruled, RULES)
        reload(ruled, "access rules read from")
