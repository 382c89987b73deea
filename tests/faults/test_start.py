"""The daemon's own start on a host with guests, with each of its points failing: it says what is wrong and ends, or it serves; either way no
guest and no file comes to harm, and the next start finds everything.  Then the daemon is killed there, and QEMU."""

import os
import re

import libvirt
import pytest

import scenarios
from driver import Driver
from test_points import SOAK, TOTAL, ONLY, sample
from waiting import Wrong

GUESTS = ("vm", "stopped")


class Host:
    """A guest that runs, a paused one without a definition, a machine that is off and should start with the host."""

    def __init__(self, server):
        self.server = server
        self.driver = Driver(server)
        self.ran = 0

    def prepare(self):
        conn = self.driver.connect()
        names = {dom.name(): dom for dom in conn.listAllDomains()}
        if "off" not in names:
            conn.defineXML(scenarios.small("off", title="kept")).setAutostart(1)
        if "vm" not in names:
            names["vm"] = conn.defineXML(scenarios.small("vm"))
        if not names["vm"].isActive():
            names["vm"].create()
        if "stopped" not in names:
            conn.createXML(scenarios.small("stopped"), libvirt.VIR_DOMAIN_START_PAUSED)

    def shown(self):
        """What must be the same after any start."""
        self.driver.consistent()
        conn = self.driver.connect()
        for name in GUESTS:
            conn.lookupByName(name).ioThreadInfo(0)  # in its turn after the reconnect
        return {dom.name(): (dom.state(), dom.XMLDesc(libvirt.VIR_DOMAIN_XML_SECURE), dom.ID(), dom.autostart() if dom.isPersistent() else None)
                for dom in conn.listAllDomains()}

    def files(self):
        found = {}
        for directory, _, names in os.walk(self.driver.inside("/etc/libvirt")):
            for name in names:
                path = os.path.join(directory, name)
                found[path] = os.readlink(path) if os.path.islink(path) else open(path, "rb").read()
        return found

    def kill(self):
        self.driver.drop()
        if self.driver.alive():
            self.server.stop(9)

    def start(self):
        """True when it serves, False when it ended."""
        try:
            self.server.start()
        except RuntimeError as ended:
            if "is not ready" in str(ended):
                raise Wrong(str(ended))
            self.server.process.wait(10)
            return False
        return True

    def learn(self):
        self.prepare()
        self.kill()
        self.server.faults.record()
        self.server.start()
        self.shown()
        return self.server.faults.recorded()

    def look_around(self, patience):
        """While the fault may come yet: everything is answered, whatever it says."""
        for name in GUESTS:
            def question(server, _, wanted=name):
                conn = server.connect()
                try:
                    conn.lookupByName(wanted).ioThreadInfo(0)
                finally:
                    conn.close()
            # while no client is accepted a client waits: it gets its answer when the fault is over
            self.driver.call(question, None, patience)

    def one(self, point, nth, action, persistent):
        self.prepare()
        shown, files = self.shown(), self.files()
        guests = self.driver.guests()
        self.kill()
        at = os.path.getsize(self.server.box.path("output"))
        self.server.faults.inject(point, nth, persistent, action, qemu_pid=guests["vm"][0])
        served = self.start()
        if served:
            self.look_around(1 if persistent and point.startswith("accept4:") else 0)
        fired = self.server.faults.fired
        self.server.faults.off()
        if action == "errno" and not served:
            with open(self.server.box.path("output"), errors="replace") as output:
                output.seek(at)
                told = output.read()
            if not re.search(r"^berthd: \w|\*\* ERROR \*\*: |ERROR \*\*.*: no (event loop|thread|timer)", told, re.MULTILINE):
                raise Wrong("it ended without a word (%s): %s" % (self.server.process.poll(), told[-2000:]))
        if not fired:
            return
        self.ran += 1
        self.kill()
        self.server.start()
        if action == "kill-qemu":
            self.driver.consistent()
            vm = self.driver.connect().lookupByName("vm")
            # a daemon that served has seen its end, and forgets the reason with its own
            if vm.isActive() or vm.state()[1] not in (libvirt.VIR_DOMAIN_SHUTOFF_CRASHED, libvirt.VIR_DOMAIN_SHUTOFF_UNKNOWN):
                raise Wrong("the guest that was killed is %s" % vm.state())
            if self.files() != files:
                raise Wrong("files changed")
            return
        if self.driver.guests() != guests:
            raise Wrong("guests were %s, are %s" % (guests, self.driver.guests()))
        if self.files() != files:
            raise Wrong("files changed")
        now = self.shown()
        if now != shown:
            raise Wrong("was %s\nis %s" % (shown, now))


def walk(host, action, persistent=False, most=0, max_nth=2):
    points = host.learn()
    runs = [(point, nth) for point, count in points.items() if ONLY in point
            for nth in range(1, min(count, 1 if persistent else max_nth) + 1)]
    runs = sample(runs, most)
    wrong = []
    for point, nth in runs:
        try:
            host.one(point, nth, action, persistent)
        except (Wrong, libvirt.libvirtError) as e:
            wrong.append("%s (%d), %s%s: %s" % (point, nth, action, " for good" if persistent else "", e))
            host.server.faults.off()
            host.kill()
            for pid, _ in host.server.box.qemus():
                os.kill(pid, 9)
            host.server.start()
            host.driver.consistent()
            host.driver.drop()
    line = "start of the daemon, %s%s: %d points, %d runs, fired in %d" % (action, " for good" if persistent else "", len(points), len(runs),
                                                                         host.ran)
    print(line)
    if TOTAL:
        with open(TOTAL, "a") as total:
            total.write(line + "\n")
    assert not wrong, "\n\n".join(wrong)


@pytest.mark.parametrize("action, persistent, most", [("errno", False, 8), ("errno", True, 3), ("kill-daemon", False, 3), ("kill-qemu", False, 2)])
def test_start(own, action, persistent, most):
    server = own()
    server.faults.record()
    server.sh("list")
    if not server.faults.recorded():
        pytest.skip("this berthd was built without --enable-faults")
    host = Host(server)
    walk(host, action, persistent, most, max_nth=1000 if SOAK else 2)
    host.driver.drop()
