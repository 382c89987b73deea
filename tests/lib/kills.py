"""Kills of the daemon at random moments of a storm, and after each the question whether what it acknowledged is so.

Every client keeps a journal of its own machines: before a call the set of states that may be true from now on, after its answer the one
that is.  After a kill and a restart the daemon's word, and what is on the host, must be one of those: an operation that was not
acknowledged may have happened or not, or in part where it has parts; one that was must have.
The QEMUs are stubs (tests/lib/sick_qemu, in good health), because a cycle has to be short.
"""

import collections
import os
import random
import re
import shutil
import signal
import struct
import threading
import uuid

from . import rawrpc, xml as guest_xml

CREATE, DEFINE, DESTROY, XML, GET_AUTOSTART, RESUME, AUTOSTART, SUSPEND, UNDEFINE = 9, 11, 12, 14, 15, 28, 29, 34, 35
STATE, SEND_KEY, METADATA, LIST = 212, 226, 264, 273
RUNNING, PAUSED, SHUTOFF = 1, 3, 5

# What is known of a machine: title of the stored definition, autostart, "off", "running" or "paused", title of the running one
Known = collections.namedtuple("Known", "title auto run live")


def changed(state, **fields):
    return state._replace(**fields)


class Machine:
    def __init__(self, number, index, emulator):
        self.name = "kill-%d-%d" % (number, index)
        self.uuid = uuid.uuid5(uuid.NAMESPACE_DNS, self.name)
        self.ref = rawrpc.domain(self.name, self.uuid.bytes)
        self.emulator = emulator
        self.state = None  # Known, or None: not defined
        self.possible = {None}
        self.ident = None  # of the present run, once seen
        self.unsure = False  # a destroy was not acknowledged: its signal may act at any moment

    def xml(self, title):
        return guest_xml.domain(self.name, uuid=self.uuid, memory=16, memballoon="<memballoon model='none'/>",
                                top="<title>%s</title>" % title, console="<emulator>%s</emulator>" % self.emulator)

    def operations(self, rnd):
        """(procedure, arguments, states that may be true while it is under way, the state after it) of one that must succeed."""
        s, title = self.state, "title %d" % rnd.randrange(10000)
        define = (DEFINE, rawrpc.string(self.xml(title)))
        if s is None:
            return define + (set(), Known(title, False, "off", None))
        flag = rnd.randrange(2)
        found = [define + (set(), changed(s, title=title)),
                 (AUTOSTART, self.ref + struct.pack(">i", flag), set(), changed(s, auto=bool(flag)))]
        if s.run == "off":
            found += [(CREATE, self.ref, set(), changed(s, run="running", live=s.title))] * 3
            found += [(UNDEFINE, self.ref, {changed(s, auto=False)}, None)]
            found += [(METADATA, self._title(title, 2), set(), changed(s, title=title))]
        else:
            found += [(DESTROY, self.ref, set(), changed(s, run="off", live=None)),
                      (METADATA, self._title(title, 3), {changed(s, title=title)}, changed(s, title=title, live=title))]
            if s.run == "running":
                found += [(SUSPEND, self.ref, set(), changed(s, run="paused"))] * 2
            else:
                found += [(RESUME, self.ref, set(), changed(s, run="running"))] * 2
        return rnd.choice(found)

    def _title(self, title, flags):
        return self.ref + struct.pack(">i", 1) + rawrpc.optional(rawrpc.string(title)) + struct.pack(">IIi", 0, 0, flags)

    def step(self, client, rnd):
        proc, body, between, after = self.operations(rnd)
        self.possible = {self.state, after} | between
        if proc == CREATE or proc == DESTROY:
            self.ident = None
        self.unsure = proc == DESTROY
        reply = client.call(proc, body)
        assert reply.status == rawrpc.OK, (self.name, proc, self.state, reply.error())
        self.state, self.possible, self.unsure = after, {after}, False


class Kills:
    def __init__(self, server, clients=8, machines=2, seed=None):
        self.server = server
        self.seed = random.randrange(1 << 30) if seed is None else seed
        self.rnd = random.Random(self.seed)
        os.mkdir(server.box.path("sick"), 0o755)
        emulator = server.box.path("sick", "sick_qemu")
        shutil.copy(os.path.join(os.path.dirname(__file__), "sick_qemu"), emulator)
        os.chmod(emulator, 0o755)
        server.file("sick/sick.mode", "healthy")
        self.machines = [[Machine(i, k, emulator) for k in range(machines)] for i in range(clients)]
        self.calls = collections.Counter()
        self.acknowledged = None  # released for each call that was answered, since the last kill

    def run(self, count):
        for number in range(count):
            try:
                self.cycle()
            except BaseException:
                print("kill %d of %d, seed %d\n%s" % (number, count, self.seed, self.server.tail()))
                raise

    # ---- the storm ---------------------------------------------------------------------------

    def cycle(self):
        failures = []
        self.acknowledged = threading.Semaphore(0)
        threads = [threading.Thread(target=self._client, args=(mine, random.Random(self.rnd.random()), failures))
                   for mine in self.machines]
        for thread in threads:
            thread.start()
        for _ in range(self.rnd.choice((0, 1, 5, 20))):  # however slow the machine is, there are calls between the kills
            if not self.acknowledged.acquire(timeout=60):
                break
        threading.Event().wait(self.rnd.random() ** 2 * 0.3)  # the random instant itself: nothing is waited for
        self.server.process.kill()
        for thread in threads:
            thread.join(120)
            assert not thread.is_alive(), "a client is still connected to a daemon that was killed"
        self.server.process.wait(30)
        assert not failures, failures[:3]
        self.server.start()
        self.check()

    def _client(self, machines, rnd, failures):
        try:
            with rawrpc.Client(self.server.socket, timeout=60) as client:
                client.open()
                while True:
                    rnd.choice(machines).step(client, rnd)
                    self.calls["done"] += 1
                    self.acknowledged.release()
        except (rawrpc.Closed, ConnectionError, FileNotFoundError, AttributeError):
            pass  # killed: AttributeError is a socket closed in connect
        except BaseException as failure:  # noqa: B902  a thread's failure is the test's
            failures.append(repr(failure))

    # ---- the truth ---------------------------------------------------------------------------

    def check(self):
        with rawrpc.Client(self.server.socket, timeout=60) as client:
            client.open()
            everything = [machine for mine in self.machines for machine in mine]
            for machine in everything:  # whoever is answered waited for the reconnect
                client.call(SEND_KEY, machine.ref + struct.pack(">IIIII", 0, 0, 1, 42, 0))
            for machine in everything:
                if machine.unsure:
                    client.call(DESTROY, machine.ref)
                    machine.possible = {changed(s, run="off", live=None) for s in machine.possible if s}
                    machine.unsure = False
            idents = self._list(client)
            for machine in everything:
                self._check_one(client, machine, idents.pop(machine.name, None))
            assert not idents, idents
            self._check_host(everything)

    @staticmethod
    def _list(client):
        body = client.call(LIST, struct.pack(">iI", 1, 0)).body
        count, = struct.unpack(">I", body[:4])
        found, at = {}, 4
        for _ in range(count):
            size, = struct.unpack(">I", body[at:at + 4])
            name = body[at + 4:at + 4 + size].decode()
            at += 4 + size + -size % 4 + 20
            found[name], = struct.unpack(">i", body[at - 4:at])
        return found

    def _check_one(self, client, machine, ident):
        if ident is None:
            now = None
        else:
            state, _ = struct.unpack(">ii", client.call(STATE, machine.ref + struct.pack(">I", 0)).body)
            run = {RUNNING: "running", PAUSED: "paused", SHUTOFF: "off"}[state]
            assert (ident == -1) == (run == "off"), (machine.name, ident, run)
            now = Known(self._title_of(client, machine, 2), client.call(GET_AUTOSTART, machine.ref).body == b"\0\0\0\1", run,
                        None if run == "off" else self._title_of(client, machine, 0))
        assert now in machine.possible, (machine.name, now, machine.possible)
        if now and now.run != "off":
            assert machine.ident in (None, ident), (machine.name, machine.ident, ident)
        machine.state, machine.possible = now, {now}
        machine.ident = ident if now and now.run != "off" else None

    @staticmethod
    def _title_of(client, machine, flags):
        text = client.call(XML, machine.ref + struct.pack(">I", flags)).body.decode(errors="replace")
        return re.search("<title>(.*)</title>", text).group(1)

    def _check_host(self, machines):
        """Files and processes are those of the machines that are there, and nothing else."""
        box = self.server.box
        defined = sorted(m.name for m in machines if m.state)
        running = sorted(m.name for m in machines if m.state and m.state.run != "off")
        etc, run = box.path("etc", "qemu"), box.path("run", "qemu")
        assert sorted(f for f in os.listdir(etc) if f != "autostart") == [name + ".xml" for name in defined]
        status = sorted(f for f in os.listdir(run) if f.endswith(".xml") or f.startswith("."))
        assert status == [n + ".xml" for n in running], (status, running)
        assert sorted(re.sub(r"domain-\d+-", "", d) for d in os.listdir(box.path("lib", "qemu")) if d.startswith("domain-")) == running
        guests = sorted(arg[len("guest="):].split(",")[0] for _, argv in box.processes() for arg in argv if arg.startswith("guest="))
        assert guests == running


def crash(server, count, **kw):
    """`count` kills; returns how many calls were acknowledged between them."""
    kills = Kills(server, **kw)
    kills.run(count)
    for pid, argv in server.box.processes():
        if any(a.startswith("guest=") for a in argv):
            os.kill(pid, signal.SIGKILL)
    return kills.calls["done"]
