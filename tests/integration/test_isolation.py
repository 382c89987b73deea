"""Twenty real guests hang at once and two hundred calls wait on them: nobody else notices, and each of the calls ends with what it waited for.

Nothing here looks at a clock: what must not wait is done while none of the calls that must wait has been answered.
"""

import os
import re
import select
import signal
import struct
import uuid

import libvirt

from lib import events, rawrpc, xml as guest_xml

HUNG, CLIENTS, EACH = 20, 40, 5
LIBVERSION, SUSPEND, SEND_KEY, RESET = 157, 34, 226, 245
OPERATION_INVALID, OPERATION_TIMEOUT = 55, 68
HUNDREDS_OF_SECONDS = "job_timeout = 900\n"


def name_of(number):
    return "hung-%d" % number


def ref(name):
    return rawrpc.domain(name, uuid.uuid5(uuid.NAMESPACE_DNS, name).bytes)


def small(name):
    return guest_xml.domain(name, memory=16, console="", memballoon="<memballoon model='none'/>")


class Crowd:
    """Calls that wait on hung guests.  The first on each guest is a suspend, which QEMU is given minutes for; it is alone with its like on
    its connection."""

    def __init__(self, server, numbers, patient=True):
        self.clients = [rawrpc.Client(server.socket, timeout=120).open() for _ in range(CLIENTS)]
        self.waiting = {}  # (client, serial) -> (guest, which of its calls)
        for place in range(CLIENTS * EACH):
            client = self.clients[place // EACH]
            turn = place // len(numbers)
            self.send(client, numbers[place % len(numbers)], turn)
            if place % EACH == EACH - 1 and (patient or turn == 0):
                self.arrived(client)

    def send(self, client, number, turn):
        at, prog = ref(name_of(number)), rawrpc.REMOTE
        proc = (SUSPEND, RESET, SEND_KEY, None)[turn % 4]
        if proc == SEND_KEY:
            body = at + struct.pack(">IIIII", 0, 0, 1, 28, 0)
        elif proc == RESET:
            body = at + struct.pack(">I", 0)
        elif proc == SUSPEND:
            body = at
        else:  # a command of the monitor
            body, proc, prog = at + rawrpc.string('{"execute":"query-name"}') + struct.pack(">I", 0), 1, rawrpc.QEMU
        self.waiting[client, client.send(proc, body, prog=prog)] = (number, turn)

    @staticmethod
    def arrived(client):
        """Calls are taken in order: those before this one are under way, and none was answered."""
        serial = client.send(LIBVERSION)
        assert client.receive().serial == serial

    def assert_none_answered(self):
        ready, _, _ = select.select([client.sock for client in self.clients], [], [], 0)
        assert not ready, next(c for c in self.clients if c.sock is ready[0]).receive().error()

    def answers(self, wanted):
        """{guest: [(which call, packet)]} of all calls for which wanted(guest, which); no other is answered before them."""
        found = {}
        for client in self.clients:
            for _ in [key for key, call in self.waiting.items() if key[0] is client and wanted(*call)]:
                packet = client.receive()
                number, turn = self.waiting.pop((client, packet.serial))
                assert wanted(number, turn), (number, turn, packet.__dict__)
                found.setdefault(number, []).append((turn, packet))
        return found

    def close(self):
        for client in self.clients:
            client.close()


def pids(server):
    found = {}
    for pid, argv in server.box.qemus():
        found[next(a for a in argv if a.startswith("guest="))[6:].split(",")[0]] = pid
    return found


def everybody_else_is_served(server, crowd):
    """What clients do all day, by stock virsh, and after each of it still nobody who waits has been answered."""
    def does(*args):
        out = server.sh(*args)
        crowd.assert_none_answered()
        return out

    listed = does("list", "--all")
    assert len(re.findall(r"hung-\d+ +running", listed)) == HUNG and re.search("well +running", listed), listed
    for name in ("well", "hung-0"):
        assert re.search(r"State: +running", does("dominfo", name))
        assert "<name>%s</name>" % name in does("dumpxml", name)
        assert does("domstate", name).strip() == "running"
    stats = does("domstats")
    assert stats.count("Domain: ") == HUNG + 1 and stats.count("state.state=1") == HUNG + 1, stats
    server.define(small("new"))
    for args in (("start", "new"), ("suspend", "new"), ("resume", "new"), ("qemu-monitor-command", "well", "--hmp", "info name"),
                 ("reset", "well"), ("desc", "hung-0", "--config", "--title", "--new-desc", "changed"), ("autostart", "hung-1"),
                 ("destroy", "new"), ("undefine", "new")):
        does(*args)
    assert does("desc", "hung-0", "--title", "--config").strip() == "changed"


def the_hung_can_be_ended(server, crowd, numbers):
    """Destroy works beside the calls that wait, which are told; those of other guests go on waiting."""
    conn = server.connect()
    recorder = events.Recorder(conn)
    for number in numbers:
        server.sh("destroy", name_of(number))
        assert server.sh("domstate", "--reason", name_of(number)).strip() == "shut off (destroyed)"
        assert recorder.lifecycle(name_of(number), libvirt.VIR_DOMAIN_EVENT_STOPPED) == libvirt.VIR_DOMAIN_EVENT_STOPPED_DESTROYED
    recorder.close()
    conn.close()
    told = crowd.answers(lambda number, _: number in numbers)
    assert sorted(told) == numbers
    for packets in told.values():
        assert len(packets) == CLIENTS * EACH // HUNG
        for _, packet in packets:
            code, _, text = packet.error()
            assert code == OPERATION_INVALID and re.search("not running|destroyed", text), (code, text)
    crowd.assert_none_answered()


def the_others_go_on(server, crowd, numbers):
    """Once they run again, every call that waited is done."""
    running = pids(server)
    for number in numbers:
        os.kill(running[name_of(number)], signal.SIGCONT)
    told = crowd.answers(lambda number, _: number in numbers)
    assert sorted(told) == numbers
    for packets in told.values():
        for turn, packet in packets:
            assert packet.status == rawrpc.OK, (turn, packet.error())
    assert not crowd.waiting


def calls_end_by_themselves(server, crowd, numbers):
    """With a deadline of a second: each says what it was for, what it waited for, and who has it."""
    told = crowd.answers(lambda _, turn: turn > 0)
    assert sorted(told) == numbers
    for packets in told.values():
        for turn, packet in packets:
            code, _, text = packet.error()
            wanted = ("domain_suspend", "domain_reset", "domain_send_key", "domain_monitor_command")[turn % 4]
            assert code == OPERATION_TIMEOUT, (code, text)
            assert re.search(r"\(held by modify job 'domain_suspend' of client \d+ for [\d.]+ s\), wanted for \S*%s$" % wanted, text), text
    assert len(crowd.waiting) == len(numbers)
    crowd.assert_none_answered()
    for number in numbers:
        server.sh("destroy", name_of(number))
    assert sorted(crowd.answers(lambda *_: True)) == numbers


def test_twenty_hung_and_two_hundred_waiting(own_server):
    server = own_server(libvirtd_conf="max_client_requests = %d\n" % (EACH + 1), berthd_conf=HUNDREDS_OF_SECONDS)
    everyone = list(range(HUNG))
    for name in ["well"] + [name_of(number) for number in everyone]:
        server.define(small(name))
        server.sh("start", name)
    running = pids(server)
    for number in everyone:
        os.kill(running[name_of(number)], signal.SIGSTOP)
    crowd = Crowd(server, everyone)
    assert len(crowd.waiting) == 200
    everybody_else_is_served(server, crowd)
    the_hung_can_be_ended(server, crowd, everyone[:HUNG // 2])
    the_others_go_on(server, crowd, everyone[HUNG // 2:])
    crowd.close()

    server.stop()
    server.berthd_conf = "job_timeout = 1\n"
    server.write_config()
    server.start()
    left = everyone[HUNG // 2:]
    for number in left:
        resumed = server.virsh("resume", name_of(number))
        while not resumed.ok and "held by reconnect job" in resumed.err:  # the deadline holds for us too
            resumed = server.virsh("resume", name_of(number))
        assert resumed.ok, resumed
        os.kill(running[name_of(number)], signal.SIGSTOP)
    crowd = Crowd(server, left, patient=False)
    calls_end_by_themselves(server, crowd, left)
    crowd.close()
    assert [argv for _, argv in server.box.qemus() if "guest=well" not in " ".join(argv)] == []


BLOCK_PEEK, SNAPSHOT_CREATE, SET_MEMORY, GET_BLOCK_IO_TUNE, MEMORY_PERIOD, RENAME = 103, 185, 204, 253, 308, 358
DEFINE, UNDEFINE = 11, 35


def without_definition(at):
    """Calls that need no running guest, and look into its definition."""
    return [(BLOCK_PEEK, at + rawrpc.string("vda") + struct.pack(">QII", 0, 512, 0)),
            (SNAPSHOT_CREATE, at + rawrpc.string("<domainsnapshot/>") + struct.pack(">I", libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY)),
            (SET_MEMORY, at + struct.pack(">QI", 1024, libvirt.VIR_DOMAIN_AFFECT_CURRENT)),
            (GET_BLOCK_IO_TUNE, at + rawrpc.optional(rawrpc.string("vda")) + struct.pack(">iI", 16, 0)),
            (MEMORY_PERIOD, at + struct.pack(">iI", 1, libvirt.VIR_DOMAIN_AFFECT_CURRENT)),
            (RENAME, at + rawrpc.optional(rawrpc.string("other")) + struct.pack(">I", 0))]


def test_machine_that_ends_before_their_turn(own_server):
    server = own_server(libvirtd_conf="max_client_requests = 20\n", berthd_conf=HUNDREDS_OF_SECONDS)
    conn = server.connect()
    conn.createXML(small("brief"))
    os.kill(pids(server)["brief"], signal.SIGSTOP)
    at = ref("brief")
    with rawrpc.Client(server.socket, timeout=60) as first, rawrpc.Client(server.socket, timeout=60) as second:
        first.open()
        second.open()
        first.send(SUSPEND, at)
        Crowd.arrived(first)
        sent = {second.send(proc, body): proc for proc, body in without_definition(at)}
        Crowd.arrived(second)
        conn.lookupByName("brief").destroy()
        while sent:
            packet = second.receive()
            proc = sent.pop(packet.serial)
            code, _, text = packet.error()
            assert code in (libvirt.VIR_ERR_NO_DOMAIN, OPERATION_INVALID), (proc, code, text)
        assert second.call(LIBVERSION).status == rawrpc.OK
    conn.close()


def test_machine_that_is_being_defined(own_server):
    """Known from the moment its file is being written, it is asked for all that time."""
    server = own_server(libvirtd_conf="max_client_requests = 20\n")
    at, text = ref("new"), rawrpc.string(small("new"))
    with rawrpc.Client(server.socket, timeout=60) as maker, rawrpc.Client(server.socket, timeout=60) as asker:
        maker.open()
        asker.open()
        for _ in range(100):
            made = maker.send(DEFINE, text)
            sent = {asker.send(proc, body) for proc, body in without_definition(at) if proc not in (RENAME, SNAPSHOT_CREATE)}
            packet = maker.receive()
            assert packet.serial == made and packet.status == rawrpc.OK
            while sent:
                sent.remove(asker.receive().serial)
            assert maker.call(UNDEFINE, at).status == rawrpc.OK


def test_calls_of_clients_that_have_gone_delay_nobody(own_server):
    """All workers sleep, and calls wait for one.  Those whose clients leave meanwhile are not begun when there are workers again."""
    server = own_server(libvirtd_conf="max_client_requests = %d\n" % (HUNG + 1), berthd_conf=HUNDREDS_OF_SECONDS + "max_threads = 16\n")
    for number in range(HUNG):
        server.define(small(name_of(number)))
        server.sh("start", name_of(number))
    running = pids(server)
    here, waits, *leave = [rawrpc.Client(server.socket, timeout=120).open() for _ in range(5)]
    for name in running:
        os.kill(running[name], signal.SIGSTOP)
    asked = [waits.send(SUSPEND, ref(name)) for name in running]
    Crowd.arrived(waits)
    for number, client in enumerate(leave):
        for nth in range(EACH):
            client.send(DEFINE, rawrpc.string(small("left-%d-%d" % (number, nth))))
        client.close()
    for _ in range(10):  # each is a turn of the thread that sees them leave
        assert here.call(LIBVERSION).status == rawrpc.OK
    stays = here.send(DEFINE, rawrpc.string(small("stays")))
    for name in running:
        os.kill(running[name], signal.SIGCONT)
    assert {waits.receive().serial for _ in asked} == set(asked)
    reply = here.receive()
    assert (reply.serial, reply.status) == (stays, rawrpc.OK)
    assert sorted(server.sh("list", "--all", "--name").split()) == sorted([*running, "stays"])
    here.close()
    waits.close()
