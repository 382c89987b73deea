"""The privileges of the daemon, thread by thread, and of what it starts."""

import os
import re

from lib import server as servers
from lib import xml as guest_xml

TOP = os.path.join(os.path.dirname(__file__), "..", "..")
NUMBERS = ("CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST "
           "NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE "
           "SYS_RESOURCE").split()


def kept():
    """Names in the daemon's list."""
    with open(os.path.join(TOP, "daemon", "confine.c")) as text:
        return set(re.findall(r"^    KEEP\((CAP_\w+)\),\s+/\*", text.read(), re.M))


def bits(names):
    return sum(1 << NUMBERS.index(name[4:]) for name in names)


def status(path):
    with open(path + "/status") as text:
        return dict(line.rstrip("\n").split(":\t", 1) for line in text if ":\t" in line)


def test_each_is_explained_and_the_unit_says_the_same():
    names = kept()
    assert len(names) > 5 and names <= {"CAP_" + name for name in NUMBERS}
    with open(os.path.join(TOP, "daemon", "confine.c")) as text:
        assert len(re.findall(r"^    KEEP\(", text.read(), re.M)) == len(names)  # none without a reason behind it
    with open(os.path.join(TOP, "systemd", "berthd.service.in")) as unit:
        assert set(" ".join(re.findall(r"^CapabilityBoundingSet=(.*)", unit.read(), re.M)).split()) == names
    with open(os.path.join(TOP, "docs", "security.md")) as page:
        text = page.read()
        assert [name for name in names if name not in text] == []


def test_daemon_and_guests_have_no_more_than_that():
    server = servers.new("berthd").open()
    try:
        server.define(guest_xml.domain("web"))
        server.sh("start", "web")
        server.sh("domstats", "web")
        ours = status("/proc/self")
        for task in os.listdir("/proc/%d/task" % server.process.pid):
            of = status("/proc/%d/task/%s" % (server.process.pid, task))
            for field in ("CapEff", "CapPrm", "CapBnd"):
                assert int(of[field], 16) == bits(kept()) & int(ours["CapBnd"], 16), (task, field, of[field])
            assert int(of["CapInh"], 16) == int(of["CapAmb"], 16) == 0 and of["NoNewPrivs"] == "1", (task, of)
        for pid, _ in server.box.qemus():
            of = status("/proc/%d" % pid)
            for field in ("CapEff", "CapPrm", "CapBnd", "CapInh", "CapAmb"):
                assert int(of[field], 16) == 0, (field, of[field])
            assert of["NoNewPrivs"] == "1" and of["Seccomp"] == "2" and of["Uid"].split()[0] != "0", of
        assert server.box.qemus()
        server.sh("destroy", "web")
    finally:
        server.close()
