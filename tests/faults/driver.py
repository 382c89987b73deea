"""Runs a scenario once to learn its points, then once for each of them with that point failing, and looks at what is left."""

import collections
import os
import re
import signal
import threading

import libvirt

from lib import procfs
from waiting import Wrong, eventually

HANG = 60          # seconds after which a call counts as never answered

# Points whose failure cuts the connection of the client that is looked at: its call ends with the connection's error.
CONNECTION = re.compile(r"(recv|send|recvmsg|sendmsg|accept4):socket|sd_event_add_io|sd_event_add_time|at:frame|at:reply")
CUT = ("End of file while reading data", "Cannot write data", "Cannot recv data", "client socket is closed", "Failed to connect socket",
       "Connection reset")

# What a machine that ended leaves behind when it cannot be removed: told in the log, and gone with the daemon's next start.
LEFT_BEHIND = re.compile(r"(unlink|unlinkat|openat):/(run/libvirt/qemu/|var/lib/libvirt/qemu/domain-)")


class Outcome(collections.namedtuple("Outcome", "error")):
    @property
    def ok(self):
        return self.error is None

    def __str__(self):
        return "ok" if self.ok else "error %d: %s" % (self.error.get_error_code(), self.error.get_error_message())


class Driver:
    def __init__(self, server):
        self.server = server
        self.box = server.box
        self.faults = server.faults
        self.conn = None
        self.ran = collections.Counter()

    # ---- talking to the daemon ---------------------------------------------------------------

    def alive(self):
        return self.server.process.poll() is None

    def connect(self):
        """A connection that works; a new one when the last was cut."""
        if self.conn:
            try:
                self.conn.getLibVersion()
                return self.conn
            except libvirt.libvirtError:
                self.drop()
        self.conn = self.server.connect()
        return self.conn

    def drop(self):
        conn, self.conn = self.conn, None
        try:
            if conn:
                conn.close()
        except libvirt.libvirtError:
            pass

    def call(self, run, conn, patience=0):
        """run() on a thread of its own, so that one that is never answered fails the test and does not hang it.  After `patience` seconds the
        fault ends."""
        result = []

        def body():
            try:
                run(self.server, conn)
                result.append(Outcome(None))
            except libvirt.libvirtError as e:
                result.append(Outcome(e))
            except BaseException as e:
                result.append(e)

        thread = threading.Thread(target=body, daemon=True)
        thread.start()
        if patience:
            thread.join(patience)
            self.faults.off()
        thread.join(HANG)
        if thread.is_alive():
            raise Wrong("the call was not answered in %d s" % HANG)
        if not isinstance(result[0], Outcome):
            raise result[0]
        return result[0]

    # ---- what must hold whenever nothing fails -------------------------------------------------

    def descriptors(self):
        return collections.Counter(re.sub(r"\d+", "#", link) for link in procfs.open_files(self.server.process.pid))

    def children(self):
        """Processes of the sandbox that are neither the daemon nor a guest's QEMU."""
        guests = {pid for pid, _ in self.box.qemus()}
        return [(pid, argv[0]) for pid, argv in self.box.processes()
                if pid not in guests and pid != self.server.process.pid and argv[0] != "virsh"]

    def inside(self, *path):
        """A path as the daemon sees it, whatever is mounted there."""
        return "/proc/%d/root%s" % (self.box.holder.pid, os.path.join(*path))

    def leftovers(self):
        """Files nobody owns."""
        wrong = []
        for directory in ("/etc/libvirt/qemu", "/run/libvirt/qemu", "/etc/libvirt/qemu/autostart"):
            try:
                wrong += [os.path.join(directory, f) for f in os.listdir(self.inside(directory)) if f.startswith(".")]
            except FileNotFoundError:
                pass
        return wrong

    def files_agree(self, conn):
        """Disk, processes and the daemon's word are one."""
        wrong = []
        doms = {d.name(): d for d in conn.listAllDomains()}
        try:
            files = {f[:-4] for f in os.listdir(self.inside("/etc/libvirt/qemu")) if f.endswith(".xml")}
        except FileNotFoundError:
            files = set()
        persistent = {n for n, d in doms.items() if d.isPersistent()}
        if files != persistent:
            wrong.append("definitions on disk %s, known %s" % (sorted(files), sorted(persistent)))
        for name in files & persistent:
            with open(self.inside("/etc/libvirt/qemu", name + ".xml")) as text:
                stored = text.read()
            if not stored.rstrip().endswith("</domain>"):
                wrong.append("half a definition: %s" % name)
            shown = doms[name].XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
            for tag in ("name", "title", "uuid"):
                if re.findall("<%s>.*?</%s>" % (tag, tag), stored) != re.findall("<%s>.*?</%s>" % (tag, tag), shown):
                    wrong.append("<%s> of %s differs on disk" % (tag, name))
            linked = os.path.islink(self.inside("/etc/libvirt/qemu/autostart", name + ".xml"))
            if linked != bool(doms[name].autostart()):
                wrong.append("autostart of %s: link %s, known %s" % (name, linked, doms[name].autostart()))
        running = collections.Counter(next(a for a in argv if a.startswith("guest="))[6:].split(",")[0]
                                      for _, argv in self.box.qemus())
        active = collections.Counter(n for n, d in doms.items() if d.isActive())
        if running != active:
            wrong.append("QEMU runs for %s, active are %s" % (dict(running), sorted(active)))
        status = {f[:-4] for f in os.listdir(self.inside("/run/libvirt/qemu")) if f.endswith(".xml")}
        if status != set(active):
            wrong.append("status files of %s, active are %s" % (sorted(status), sorted(active)))
        private = [d for d in os.listdir(self.inside("/var/lib/libvirt/qemu")) if d.startswith("domain-")]
        if len(private) != sum(active.values()):
            wrong.append("private directories %s, active are %s" % (private, sorted(active)))
        wrong += ["leftover %s" % f for f in self.leftovers()]
        return "; ".join(wrong)

    def consistent(self):
        conn = self.connect()
        eventually("inconsistent", lambda: self.files_agree(conn))
        eventually("children left", self.children)

    def consistent_after_restart(self):
        try:
            self.consistent()
        except Wrong as wrong:
            if "cannot remove" not in self.server.text():
                raise Wrong("not a word about it: %s" % wrong)
            self.drop()
            self.server.stop(signal.SIGKILL)
            self.server.start()
            self.consistent()

    def in_turn(self):
        """Returns when the daemon is done with what a fault on a monitor made it do: a question waits its turn behind a reconnect."""
        for dom in self.connect().listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE):
            try:
                dom.ioThreadInfo(0)
            except libvirt.libvirtError as e:
                if e.get_error_code() not in (libvirt.VIR_ERR_OPERATION_INVALID, libvirt.VIR_ERR_OPERATION_FAILED):
                    raise

    # ---- one fault -----------------------------------------------------------------------------

    def prepare(self, scenario):
        self.faults.off()
        if not self.alive():
            self.server.start()
        conn = self.connect()
        scenario.prepare(self.server, conn)
        self.consistent()

    def learn(self, scenario):
        """The points of the scenario and how often each is passed.  Run twice: what is done once in a daemon's life comes first."""
        self.prepare(scenario)
        outcome = self.call(scenario.run, self.conn)
        if not outcome.ok:
            raise Wrong("without any fault: %s" % outcome)
        self.prepare(scenario)
        self.faults.record()
        outcome = self.call(scenario.run, self.conn)
        points = self.faults.recorded()
        if not outcome.ok:
            raise Wrong("without any fault: %s" % outcome)
        self.consistent()
        return points

    def one(self, scenario, point, nth=1, persistent=False, action="errno"):
        """Runs the scenario with one fault, then looks, then runs it again without."""
        self.prepare(scenario)
        guests = self.guests()
        target = next((pid for pid, _ in guests.values()), 0)
        self.faults.inject(point, nth, persistent, action, qemu_pid=target)
        # while no client is accepted a client waits: it gets its answer when the fault is over
        outcome = self.call(scenario.run, self.conn, 1 if persistent and point.startswith("accept4:") else 0)
        fired, fired_name = self.faults.fired, self.faults.fired_name
        self.faults.off()
        if action == "stop-qemu":
            self.wake()
        if not outcome.ok and not fired:
            raise Wrong("failed without a fault: %s" % outcome)
        if not fired:
            return
        self.ran[action, persistent] += 1
        if action == "kill-daemon":
            self.server.process.wait(20)
            self.drop()
            self.server.start()
        elif not self.alive():
            raise Wrong("the daemon ended (%s): %s" % (self.server.process.poll(), self.server.text()[-6000:]))
        elif not outcome.ok:
            self.clear_error(outcome, fired_name)
        if action == "errno" and LEFT_BEHIND.match(fired_name):
            self.consistent_after_restart()
        else:
            self.consistent()
        if outcome.ok and scenario.changes and action in ("errno", "kill-daemon") and not scenario.done(self.server, self.connect()):
            raise Wrong("acknowledged, and not there")
        if scenario.keeps_qemu and action in ("errno", "kill-daemon", "stop-qemu", "close") and self.guests() != guests:
            raise Wrong("guests were %s, are %s" % (guests, self.guests()))
        if action == "kill-qemu":
            self.ended_well(scenario, guests, target)
            self.prepare(scenario)
        if action == "stop-qemu":  # it answers late, and takes new commands after that
            eventually("the guest does not come back", lambda: self.owes_answer())
        self.in_turn()
        outcome = self.call(scenario.run, self.connect())
        if not outcome.ok or not self.alive():
            raise Wrong("again, without a fault: %s" % outcome)
        if scenario.changes and not scenario.done(self.server, self.connect()):
            raise Wrong("again, without a fault: acknowledged, and not there")
        self.consistent()

    def owes_answer(self):
        for dom in self.connect().listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE):
            try:
                if dom.controlInfo()[0] != libvirt.VIR_DOMAIN_CONTROL_OK:
                    return dom.controlInfo()
            except libvirt.libvirtError as e:
                if e.get_error_code() != libvirt.VIR_ERR_OPERATION_INVALID:
                    raise
        return None

    def guests(self):
        """{name: (process, id)} of the machines that run."""
        found = {}
        ids = {d.name(): d.ID() for d in self.connect().listAllDomains() if d.isActive()}
        for pid, argv in self.box.qemus():
            name = next(a for a in argv if a.startswith("guest="))[6:].split(",")[0]
            found[name] = pid, ids.get(name)
        return found

    def ended_well(self, scenario, guests, killed):
        """Machines whose QEMU was killed are off, and say so; it takes a moment to die, and the daemon hears of it when it gets to it."""
        active = libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE
        eventually("killed, and there", lambda: [pid for pid, _ in self.box.qemus() if pid == killed])
        eventually("on without a process", lambda: {d.name() for d in self.connect().listAllDomains(active)} - self.guests().keys())
        for dom in self.connect().listAllDomains():
            if dom.name() in guests and not dom.isActive() and dom.state()[1] not in scenario.end_reasons:
                raise Wrong("%s is off for reason %d" % (dom.name(), dom.state()[1]))

    def calm(self, scenario):
        """Descriptors and threads while the scenario is prepared and nothing happens."""
        self.prepare(scenario)
        return self.descriptors()

    def no_leak(self, scenario, before):
        """`before`: what calm() told; the daemon has not been restarted since."""
        self.prepare(scenario)
        eventually("descriptors leaked", lambda: dict(self.descriptors() - before))

    def wake(self):
        for pid, _ in self.box.qemus():
            try:
                os.kill(pid, signal.SIGCONT)
            except ProcessLookupError:
                pass

    def clear_error(self, outcome, fired_name):
        """The client was told what is wrong, unless it was its own connection that failed."""
        message = outcome.error.get_error_message()
        if "did not say why" in message:
            raise Wrong("no clear error: %s" % outcome)
        if any(word in message for word in CUT) and not CONNECTION.match(fired_name):
            raise Wrong("the connection was cut: %s" % outcome)
