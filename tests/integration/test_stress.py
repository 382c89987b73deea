"""Many clients at once, of all manners: what they were told is true, what they leave behind is nothing.

BERTH_STRESS_SECONDS lengthens the storms (default 12), BERTH_STRESS_STOPS the number of stops under load (default 8).  Run it with BERTHD
naming a build with --enable-tsan or --enable-asan to look for races and leaks.
"""

import collections
import os
import random
import re
import socket
import struct
import threading
import time
import uuid

from lib import procfs, rawrpc, xml as guest_xml

SECONDS = float(os.environ.get("BERTH_STRESS_SECONDS", "12"))
STOPS = int(os.environ.get("BERTH_STRESS_STOPS", "8"))

CLOSE, CAPABILITIES, DEFINE, XML, INFO, LOOKUP, AUTOSTART, UNDEFINE = 2, 7, 11, 14, 16, 23, 29, 35
METADATA, LIST, REGISTER, LIFECYCLE, RENAME = 264, 273, 316, 318, 358
NO_DOMAIN, OPERATION_FAILED, OPERATION_INVALID, OPERATION_ABORTED = 42, 9, 55, 78

DEFINED, UNDEFINED = 0, 1
ADDED, UPDATED, DEFINED_RENAMED = 0, 1, 2
REMOVED, UNDEFINED_RENAMED = 0, 1

SANITIZER = re.compile(r"AddressSanitizer|LeakSanitizer|ThreadSanitizer|runtime error:|ERROR \*\*|assertion")


def domain_xml(name, ident):
    return guest_xml.domain(name, uuid=ident, memory=16, console="", memballoon="<memballoon model='none'/>")


def ref(name, ident):
    return rawrpc.domain(name, ident.bytes)


class Storm:
    """Threads with one task each, until `seconds` are over or end() is called; the first failure of any is raised by join()."""

    def __init__(self, server):
        self.server = server
        self.over = threading.Event()
        self.dying = False  # the daemon is being ended: connections may break
        self.failures = []
        self.threads = []

    def client(self, **kw):
        return rawrpc.Client(self.server.socket, timeout=60, **kw)

    def add(self, count, task):
        for _ in range(count):
            self.threads.append(threading.Thread(target=self._run, args=(task, len(self.threads))))

    def _run(self, task, number):
        name = getattr(task, "__name__", type(task).__name__)
        try:
            task(self, number, random.Random(number))
        except (rawrpc.Closed, OSError) as gone:
            if not self.dying:
                self.failures.append("%s %d: %r" % (name, number, gone))
        except BaseException as failure:  # noqa: B902  a thread's failure is the test's
            self.failures.append("%s %d: %r" % (name, number, failure))
        finally:
            if self.failures:
                self.over.set()

    def start(self):
        for thread in self.threads:
            thread.start()
        return self

    def end(self):
        self.over.set()
        return self

    def join(self):
        for thread in self.threads:
            thread.join(120)
            assert not thread.is_alive(), "a client hangs"
        assert not self.failures, "%s\n%s" % (self.failures[:5], self.server.text())


def call(client, proc, body, allowed=()):
    """True when the call succeeded, False when it failed with an allowed code."""
    reply = client.call(proc, body)
    if reply.status == rawrpc.OK:
        return reply
    error = reply.error()
    assert error[0] in allowed, (proc, error)
    return None


# ---- the clients -------------------------------------------------------------------------------------

class Owner:
    """Defines, renames, undefines machines nobody else touches, and knows what it was told of each."""

    def __init__(self):
        self.lock = threading.Lock()
        self.known = {}  # uuid -> set of possible (name, title); None: not there

    def __call__(self, storm, number, rnd):
        mine = [uuid.uuid5(uuid.NAMESPACE_DNS, "own-%d-%d" % (number, i)) for i in range(3)]
        state = {ident: None for ident in mine}
        with storm.client() as client:
            client.open()
            while not storm.over.is_set():
                ident = rnd.choice(mine)
                self.step(client, rnd, state, ident, "own-%d-%d" % (number, mine.index(ident)))

    def step(self, client, rnd, state, ident, stem):
        now = state[ident]
        if now is None:
            proc, after = DEFINE, (stem, None)
            body = rawrpc.string(domain_xml(stem, ident))
        else:
            proc = rnd.choice([DEFINE, UNDEFINE, RENAME, METADATA, AUTOSTART, XML])
            at, after = ref(now[0], ident), now
            if proc == DEFINE:
                after = (now[0], None)
                body = rawrpc.string(domain_xml(now[0], ident))
            elif proc == UNDEFINE:
                body, after = at, None
            elif proc == RENAME:
                after = (stem if now[0] != stem else stem + "-new", now[1])
                body = at + rawrpc.optional(rawrpc.string(after[0])) + struct.pack(">I", 0)
            elif proc == METADATA:
                after = (now[0], "title %d" % rnd.randrange(1000))
                body = at + struct.pack(">i", 1) + rawrpc.optional(rawrpc.string(after[1])) + struct.pack(">IIi", 0, 0, 2)
            elif proc == AUTOSTART:
                body = at + struct.pack(">i", rnd.randrange(2))
            else:
                body = at + struct.pack(">I", 2)
        with self.lock:
            self.known[ident] = {now, after}
        call(client, proc, body)
        state[ident] = after
        with self.lock:
            self.known[ident] = {after}


def fighter(storm, number, rnd):
    """The same few names and uuids for all of them: refusals are fine, others are not."""
    refusals = (NO_DOMAIN, OPERATION_FAILED, OPERATION_INVALID, OPERATION_ABORTED)
    with storm.client() as client:
        client.open()
        while not storm.over.is_set():
            name, ident = "fight-%d" % rnd.randrange(3), uuid.UUID(int=rnd.randrange(1, 5))
            at = ref(name, ident)
            proc = rnd.choice([DEFINE, DEFINE, UNDEFINE, RENAME, XML, METADATA, AUTOSTART, LOOKUP])
            if proc == DEFINE:
                body = rawrpc.string(domain_xml(name, ident))
            elif proc == RENAME:
                body = at + rawrpc.optional(rawrpc.string("fight-%d" % rnd.randrange(3))) + struct.pack(">I", 0)
            elif proc == METADATA:
                body = at + struct.pack(">i", 1) + rawrpc.optional(rawrpc.string("t")) + struct.pack(">IIi", 0, 0, 2)
            elif proc == AUTOSTART:
                body = at + struct.pack(">i", rnd.randrange(2))
            elif proc == LOOKUP:
                body = rawrpc.string(name)
            else:
                body = at + (struct.pack(">I", 0) if proc == XML else b"")
            call(client, proc, body, refusals)


def breaker(storm, number, rnd):
    """Goes in the middle: of a packet, of calls, of a registration, of the first words."""
    while not storm.over.is_set():
        client = storm.client()
        try:
            manner = rnd.randrange(6)
            if manner == 0:
                client.send_raw(os.urandom(rnd.randrange(1, 64)))
            elif manner == 1:
                client.send(66)
            else:
                client.open()
                name = "fight-%d" % rnd.randrange(3)
                if manner == 2:
                    client.send(REGISTER, struct.pack(">iI", 0, 0))
                for _ in range(rnd.randrange(1, 9)):
                    client.send(DEFINE, rawrpc.string(domain_xml(name, uuid.UUID(int=rnd.randrange(1, 5)))))
                    client.send(LIST, struct.pack(">iI", 1, 0))
                if manner == 3:
                    client.send_raw(struct.pack(">IIIiIII", 1 << 20, rawrpc.REMOTE, 1, DEFINE, 0, 99, 0) + b"<" * 5000)
                elif manner == 4:
                    client.receive()
                elif manner == 5:
                    client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        except (rawrpc.Closed, ConnectionError):
            pass
        finally:
            client.close()


def half_open(storm, number, rnd):
    """Says that it will say no more, and waits for the end."""
    while not storm.over.is_set():
        with storm.client() as client:
            client.open()
            for _ in range(3):
                client.send(LIST, struct.pack(">iI", 1, 0))
            client.sock.shutdown(socket.SHUT_WR)
            try:
                while True:
                    client.receive()
            except rawrpc.Closed:
                pass


def slow_reader(storm, number, rnd):
    """Wants all events and big answers and reads a few bytes now and then: it may be put out, nobody else may notice."""
    while not storm.over.is_set():
        with storm.client() as client:
            client.open()
            try:
                client.call(REGISTER, struct.pack(">iI", 0, 0))
                client.sock.settimeout(1)  # with five calls unanswered we are not read either: soon we cannot even send
                for _ in range(200):
                    client.send(CAPABILITIES)
                    client.sock.recv(100)
                    if storm.over.wait(0.01):
                        break
            except (rawrpc.Closed, socket.timeout, ConnectionError):
                pass


def lister(storm, number, rnd):
    with storm.client() as client:
        client.open()
        while not storm.over.is_set():
            reply = call(client, LIST, struct.pack(">iI", 1, 0))
            count, = struct.unpack(">I", reply.body[:4])
            at = 4
            for _ in range(count):
                size, = struct.unpack(">I", reply.body[at:at + 4])
                name = reply.body[at + 4:at + 4 + size].decode()
                at += 4 + size + -size % 4
                ident = uuid.UUID(bytes=reply.body[at:at + 16])
                at += 20
                if rnd.randrange(4) == 0:
                    call(client, rnd.choice([XML, INFO]), ref(name, ident) + struct.pack(">I", 0), (NO_DOMAIN,))


class Watcher:
    """Reads all lifecycle events; the order of each machine's must make sense."""

    def __init__(self):
        self.started = threading.Barrier(2)

    def __call__(self, storm, number, rnd):
        there = collections.defaultdict(bool)
        last = {}
        with storm.client() as client:
            client.open()
            assert client.call(REGISTER, struct.pack(">iI", 0, 0)).status == rawrpc.OK
            self.started.wait(60)
            client.sock.settimeout(0.5)
            while not storm.over.is_set():
                try:
                    packet = client.receive()
                except socket.timeout:  # nothing happens; in the middle of a packet it would be a failure of the next
                    continue
                if packet.type == rawrpc.MESSAGE and packet.proc == LIFECYCLE:
                    self.check(packet.body, there, last)

    @staticmethod
    def check(body, there, last):
        size, = struct.unpack(">I", body[4:8])
        name = body[8:8 + size].decode()
        at = 8 + size + -size % 4
        ident = body[at:at + 16]
        event, detail = struct.unpack(">ii", body[at + 20:at + 28])
        news = (name, event, detail)
        before = last.get(ident)
        assert event in (DEFINED, UNDEFINED), news
        if before is None and not name.startswith("own-"):
            pass  # made before we came, by a call whose client did not wait for it
        elif (event, detail) == (DEFINED, ADDED):
            assert not there[ident], (before, news)
        elif (event, detail) == (DEFINED, DEFINED_RENAMED):
            assert before and before[1:] == (UNDEFINED, UNDEFINED_RENAMED), (before, news)
        else:
            assert there[ident] and before[0] == name, (before, news)
        if before and before[1:] == (UNDEFINED, UNDEFINED_RENAMED):
            assert (event, detail) == (DEFINED, DEFINED_RENAMED), (before, news)
        there[ident] = (event, detail) != (UNDEFINED, REMOVED)
        last[ident] = news


# ---- what is left ------------------------------------------------------------------------------------

def resources(pid):
    fds = [re.sub(r"\[\d+\]", "", link) for link in procfs.open_files(pid)]
    # sd-event makes one timerfd a loop and clock when first needed, and keeps it
    return sorted(fd for fd in fds if "timerfd" not in fd), len(os.listdir("/proc/%d/task" % pid))


def settle(pid, fds, tasks, seconds=30):
    """Idle workers end by themselves some seconds later, and nothing tells when."""
    end = time.monotonic() + seconds
    while True:
        now = resources(pid)
        if (now[0] == fds and now[1] <= tasks) or time.monotonic() > end:
            return now
        time.sleep(0.2)


def peers(pid):
    """The sockets of the process, for the text of a failure."""
    mine = set(procfs.open_files(pid))
    with open("/proc/%d/net/unix" % pid) as table:
        return [line.strip() for line in table if "socket:[%s]" % (line.split() + [""] * 7)[6] in mine]


def resident_kib(pid):
    with open("/proc/%d/status" % pid) as status:
        return int(re.search(r"VmRSS:\s+(\d+)", status.read()).group(1))


def is_sanitized(pid):
    with open("/proc/%d/maps" % pid) as maps:
        return "san.so" in maps.read()


def clean_log(server):
    with open(server.box.path("output"), errors="replace") as output:
        found = [line for line in output if SANITIZER.search(line)]
    assert not found, server.text()


def remove_all(server):
    """Undefines everything."""
    with rawrpc.Client(server.socket) as client:
        client.open()
        reply = client.call(LIST, struct.pack(">iI", 1, 0))
        count, = struct.unpack(">I", reply.body[:4])
        at = 4
        for _ in range(count):
            size, = struct.unpack(">I", reply.body[at:at + 4])
            end = at + 4 + size + -size % 4 + 20
            assert client.call(UNDEFINE, reply.body[at:end]).status == rawrpc.OK
            at = end


def stored(server):
    """uuid -> (name, title) as the daemon tells, checked against the files."""
    found = {}
    with rawrpc.Client(server.socket) as client:
        client.open()
        reply = client.call(LIST, struct.pack(">iI", 1, 0))
        count, = struct.unpack(">I", reply.body[:4])
        at = 4
        for _ in range(count):
            size, = struct.unpack(">I", reply.body[at:at + 4])
            name = reply.body[at + 4:at + 4 + size].decode()
            end = at + 4 + size + -size % 4 + 20
            text = client.call(XML, reply.body[at:end] + struct.pack(">I", 2)).body.decode(errors="replace")
            ident = uuid.UUID(re.search("<uuid>(.*)</uuid>", text).group(1))
            title = re.search("<title>(.*)</title>", text)
            found[ident] = (name, title and title.group(1))
            with open(server.box.path("etc", "qemu", name + ".xml")) as stored_xml:
                on_disk = stored_xml.read()
            assert "<uuid>%s</uuid>" % ident in on_disk and "<name>%s</name>" % name in on_disk
            assert title is None or title.group(0) in on_disk
            at = end
    files = [f for f in os.listdir(server.box.path("etc", "qemu")) if f.endswith(".xml")]
    assert len(files) == len(found), (sorted(files), sorted(found.values()))
    return found


def patient(check, server):
    """Calls whose clients have gone may still be under way, and nothing tells when the last has ended."""
    end = time.monotonic() + 20
    while True:
        try:
            return check(server)
        except (AssertionError, FileNotFoundError):
            if time.monotonic() > end:
                raise
            time.sleep(0.2)


# ---- tests -------------------------------------------------------------------------------------------

CONF = 'max_clients = 500\nmax_queued_clients = 500\nmax_client_requests = 5\n'


def crowd(server, owner):
    storm = Storm(server)
    watcher = Watcher()
    storm.add(1, watcher)
    storm.add(20, owner)
    storm.add(10, fighter)
    storm.add(12, breaker)
    storm.add(6, half_open)
    storm.add(5, slow_reader)
    storm.add(10, lister)
    storm.threads[0].start()
    watcher.started.wait(60)
    for thread in storm.threads[1:]:
        thread.start()
    return storm


def test_nothing_is_left(own_server):
    server = own_server(libvirtd_conf=CONF)
    pid = server.process.pid
    warm = crowd(server, Owner())
    warm.over.wait(SECONDS / 4)
    warm.end().join()
    patient(remove_all, server)
    fds, tasks = settle(pid, None, 0, 6)
    quiet = resident_kib(pid)
    owner = Owner()
    storm = crowd(server, owner)
    storm.over.wait(SECONDS)
    storm.end().join()
    assert server.process.poll() is None, server.text()
    now = patient(stored, server)
    for ident, possible in owner.known.items():
        assert now.get(ident) in possible
    patient(remove_all, server)
    after = settle(pid, fds, tasks)
    assert after[0] == fds, peers(pid)
    assert after[1] <= tasks
    if not is_sanitized(pid):
        # what a client that does not read may hold is 32 MiB; the heap keeps some of that, but not more with each storm
        assert resident_kib(pid) - quiet < 32 * 1024
    assert server.stop() == 0
    clean_log(server)


def test_acknowledged_is_durable(own_server):
    """kill -9 in the middle of it all: what was acknowledged is there, what was not is there or not, nothing is half."""
    server = own_server(libvirtd_conf=CONF)
    for _ in range(3):
        owner = Owner()
        storm = Storm(server)
        storm.add(24, owner)
        storm.add(8, fighter)
        storm.start().over.wait(SECONDS / 8)
        storm.dying = True
        server.stop(9)
        storm.end().join()
        server.start()
        now = stored(server)
        for ident, possible in owner.known.items():
            assert now.get(ident) in possible, (ident, possible)
        remove_all(server)
    assert server.stop() == 0
    clean_log(server)


def test_stops_under_load(own_server):
    """SIGTERM at any moment: a clean exit, no socket left, and the next one serves at once."""
    server = own_server(libvirtd_conf=CONF)
    rnd = random.Random(1)
    for round_number in range(STOPS):
        storm = Storm(server)
        storm.add(6, Owner())
        storm.add(4, fighter)
        storm.add(4, breaker)
        storm.add(2, lister)
        storm.add(1, slow_reader)
        storm.start().over.wait(rnd.random() * 0.4)
        storm.dying = True
        assert server.stop() == 0, server.text()
        storm.end().join()
        assert not [name for name in os.listdir(server.box.path("run")) if name.endswith("-sock") or name.endswith("-sock-ro")]
        clean_log(server)
        server.start()
        stored(server)
        remove_all(server)
    assert server.stop() == 0
    clean_log(server)


def test_second_daemon_refuses(own_server):
    server = own_server(libvirtd_conf=CONF)
    second = server.box.run(server.argv(), env=server.environment())
    assert second.returncode != 0
    assert str(server.process.pid) in second.stderr
    with rawrpc.Client(server.socket) as client:  # and has done the first no harm
        client.open()


# ---- with guests -------------------------------------------------------------------------------------

CREATE, DESTROY, SUSPEND, RESUME, RESET = 9, 12, 34, 28, 245


class Driver:
    """Starts, pauses, resets and destroys its own guests."""

    def __init__(self):
        self.calls = collections.Counter()

    def __call__(self, storm, number, rnd):
        name = "guest-%d" % (number // 2)  # two clients a guest
        at = ref(name, uuid.uuid5(uuid.NAMESPACE_DNS, name))
        with storm.client() as client:
            client.open()
            while not storm.over.is_set():
                proc = rnd.choice([CREATE, CREATE, DESTROY, SUSPEND, RESUME, RESET, XML])
                body = at + (struct.pack(">I", 0) if proc in (RESET, XML) else b"")
                began = time.monotonic()
                done = call(client, proc, body, (OPERATION_INVALID, OPERATION_FAILED, OPERATION_ABORTED))
                assert time.monotonic() - began < 25, (proc, "took %.1f s" % (time.monotonic() - began))
                self.calls[proc, done is not None] += 1


def test_guests_beside_a_hung_one(own_server):
    """Guests come and go while one is stopped dead: nobody waits for it but who asks it."""
    server = own_server(libvirtd_conf=CONF)
    names = ["guest-%d" % i for i in range(4)] + ["hung"]
    with rawrpc.Client(server.socket, timeout=60) as client:
        client.open()
        for name in names:
            call(client, DEFINE, rawrpc.string(domain_xml(name, uuid.uuid5(uuid.NAMESPACE_DNS, name))))
        hung = ref("hung", uuid.uuid5(uuid.NAMESPACE_DNS, "hung"))
        call(client, CREATE, hung)
        pid, = [pid for pid, argv in server.box.qemus() if any("guest=hung" in a for a in argv)]
        os.kill(pid, 19)
        client.send(SUSPEND, hung)  # holds its job until QEMU answers or the deadline comes
        driver = Driver()
        storm = Storm(server)
        storm.add(8, driver)
        storm.add(2, lister)
        storm.start().over.wait(SECONDS)
        storm.end().join()
        assert driver.calls[CREATE, True] > 3 and driver.calls[DESTROY, True] > 3, driver.calls
        for name in names:
            reply = client.call(DESTROY, ref(name, uuid.uuid5(uuid.NAMESPACE_DNS, name)))
            assert reply.status == rawrpc.OK or reply.error()[0] == OPERATION_INVALID, reply.error()
    assert server.box.qemus() == []
    remove_all(server)
    assert server.stop() == 0
    clean_log(server)


def test_stop_with_a_hung_guest(own_server):
    """A call that waits for a QEMU that does not answer keeps nobody from stopping the daemon; the guest stays."""
    server = own_server(libvirtd_conf=CONF)
    ident = uuid.uuid5(uuid.NAMESPACE_DNS, "hung")
    at = ref("hung", ident)
    with rawrpc.Client(server.socket, timeout=60) as client:
        client.open()
        call(client, DEFINE, rawrpc.string(domain_xml("hung", ident)))
        call(client, CREATE, at)
        (pid, _), = server.box.qemus()
        os.kill(pid, 19)
        client.send(SUSPEND, at)
        call(client, LIST, struct.pack(">iI", 1, 0))
        assert server.stop(timeout=25) == 0
    os.kill(pid, 18)
    server.start()
    with rawrpc.Client(server.socket, timeout=60) as client:
        client.open()
        assert call(client, DESTROY, at)
    clean_log(server)
