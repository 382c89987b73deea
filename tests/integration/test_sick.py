"""QEMUs that fail: at their start, while they run, when the daemon stops.  Errors are clear, nothing stays behind, others do not notice.

tests/lib/sick_qemu plays the sick one, because a real QEMU cannot be asked for these faults; the healthy ones beside it are real.
"""

import os
import re
import shutil
import signal
import socket
import struct
import threading
import uuid

import libvirt
import pytest

from lib import events, procfs, rawrpc, xml as guest_xml
from test_meanwhile import end_of, in_turn, reason

CREATE, DESTROY, SUSPEND, LIST = 9, 12, 34, 273


class Clinic:
    """A daemon with a sick machine `vm` and a healthy one `well`."""

    def __init__(self, server):
        self.server = server
        os.mkdir(server.box.path("sick"), 0o755)
        self.program = server.box.path("sick", "sick_qemu")
        shutil.copy(os.path.join(os.path.dirname(__file__), "..", "lib", "sick_qemu"), self.program)
        os.chmod(self.program, 0o755)
        server.define(guest_xml.domain("well", console="", memory=16, memballoon="<memballoon model='none'/>"))
        server.sh("start", "well")
        self.define()

    def define(self):
        self.server.define(guest_xml.domain("vm", console="<emulator>%s</emulator>" % self.program, memory=16,
                                            memballoon="<memballoon model='none'/>"))

    def fall_ill(self, mode):
        path = self.server.box.path("sick", "sick.mode")
        if os.path.exists(path):
            os.unlink(path)
        if mode:
            self.server.file("sick/sick.mode", mode)

    def processes(self, name="vm"):
        return [pid for pid, argv in self.server.box.processes() if any(a.startswith("guest=%s," % name) for a in argv)]

    def left(self):
        """What the machine has on the host."""
        box = self.server.box
        found = [entry for directory in (("run", "qemu"), ("lib", "qemu")) for entry in os.listdir(box.path(*directory))
                 if re.search(r"(^|-)vm(\.|$)", entry)]
        return found + self.processes()

    def well_works(self):
        self.server.sh("suspend", "well")
        self.server.sh("resume", "well")
        assert reason(self.server, "well") == "running (unpaused)"

    def next_start_works(self):
        self.fall_ill(None)
        self.server.sh("start", "vm")
        self.server.sh("destroy", "vm")
        assert self.left() == []


def ref(name):
    return rawrpc.domain(name, uuid.uuid5(uuid.NAMESPACE_DNS, name).bytes)


@pytest.fixture
def clinic(own_server):
    return Clinic(own_server(berthd_conf="start_timeout = 4\n"))


def descriptors(pid):
    return sorted(re.sub(r"\[\d+\]", "", link) for link in procfs.open_files(pid))


# ---- starts ------------------------------------------------------------------------------------------

def test_starts_that_fail(clinic):
    """One daemon for all: what one leaves behind would be seen at the end."""
    server = clinic.server
    wanted = {
        "exits": "process exited while connecting to monitor: .*sick: I do not want to",
        "exits-silently": "process exited while connecting to monitor: exit status 7",
        "dies-in-cont": "QEMU ended before the guest ran: .*sick: had enough",
        "garbage": "connecting to the monitor.*cannot parse JSON 'this is no QMP'",
        "mute": "waiting for the monitor.*greeting",
        "greeting-only": "waiting for the monitor.*negotiation|waiting for the monitor.*greeting",
        "stopped": "waiting for the monitor.*greeting",
        "stubborn": "waiting for the monitor.*greeting",
    }
    clinic.next_start_works()
    before = descriptors(server.process.pid)
    for mode, text in wanted.items():
        clinic.fall_ill(mode)
        failed = server.virsh("start", "vm")
        assert not failed.ok and re.search(text, failed.err, re.DOTALL), (mode, failed)
        assert clinic.left() == [], mode
        assert reason(server) == "shut off (failed)"
        clinic.well_works()
    clinic.next_start_works()
    assert [fd for fd in descriptors(server.process.pid) if fd not in before] == []


def test_last_words_of_a_start(clinic):
    """The call that used the monitor can hear of its end before the daemon has announced it; which of both comes first is
    chance, so it is tried often."""
    clinic.fall_ill("dies-in-cont")
    for _ in range(40):
        failed = clinic.server.virsh("start", "vm")
        assert "QEMU ended before the guest ran" in failed.err and "sick: had enough" in failed.err, failed
    assert clinic.left() == []


def test_binary_that_is_not_there(clinic):
    server = clinic.server
    clinic.next_start_works()
    os.chmod(clinic.program, 0o644)
    failed = server.virsh("start", "vm")
    assert "%s is not executable" % clinic.program in failed.err, failed
    os.rename(clinic.program, clinic.program + ".gone")
    failed = server.virsh("start", "vm")
    assert "Cannot check QEMU binary %s: No such file or directory" % clinic.program in failed.err, failed
    os.mkdir(clinic.program)
    failed = server.virsh("start", "vm")
    assert "%s is not executable" % clinic.program in failed.err, failed
    os.rmdir(clinic.program)
    assert clinic.left() == []
    os.rename(clinic.program + ".gone", clinic.program)
    os.chmod(clinic.program, 0o755)
    clinic.well_works()
    clinic.next_start_works()


@pytest.mark.parametrize("mode", ["mute", "stubborn", "stopped"])
def test_destroyed_while_it_hangs_in_its_start(own_server, mode):
    clinic = Clinic(own_server(berthd_conf="start_timeout = 600\n"))
    server = clinic.server
    clinic.fall_ill(mode)
    with rawrpc.Client(server.socket, timeout=120) as starter, rawrpc.Client(server.socket, timeout=120) as other:
        starter.open()
        other.open()
        starter.send(CREATE, ref("vm"))
        wait_for(clinic.processes)
        assert other.call(DESTROY, ref("vm")).status == rawrpc.OK
        error = starter.receive().error()
        assert "was destroyed while it was being started" in error[2], error
    assert clinic.left() == []
    clinic.next_start_works()


def wait_for(look):
    """For what nobody tells of: a process of another that appears in /proc."""
    tick = threading.Event()
    for _ in range(3000):
        found = look()
        if found:
            return found
        tick.wait(0.02)
    raise AssertionError("%r stays false" % look)


# ---- the daemon ends meanwhile -----------------------------------------------------------------------

@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_daemon_ends_in_a_start(own_server, how):
    """No start goes on without the daemon that began it, and none is waited for."""
    clinic = Clinic(own_server(berthd_conf="start_timeout = 600\n"))
    server = clinic.server
    clinic.fall_ill("stubborn")
    with rawrpc.Client(server.socket, timeout=120) as starter:
        starter.open()
        starter.send(CREATE, ref("vm"))
        wait_for(clinic.processes)
        assert server.stop(how) == (0 if how == signal.SIGTERM else -9)
    if how == signal.SIGTERM:
        assert clinic.left() == []
    server.start()
    in_turn(server)
    wait_for(lambda: not clinic.left())
    assert reason(server) in ("shut off (failed)", "shut off (unknown)")
    clinic.well_works()
    clinic.next_start_works()


def test_daemon_ends_in_a_destroy(clinic):
    """A QEMU that does not heed SIGTERM: what was asked for is done, without its grace."""
    server = clinic.server
    clinic.fall_ill("closes")
    server.sh("start", "vm")
    with rawrpc.Client(server.socket, timeout=120) as other:
        other.open()
        other.send(SUSPEND, ref("vm"))
        pid, = clinic.processes()
        wait_for(lambda: ignores_sigterm(pid))
        other.send(DESTROY, ref("vm"))
        assert other.call(LIST, struct.pack(">iI", 1, 0)).status == rawrpc.OK  # the destroy is under way
        assert server.stop() == 0
    end_of_all(clinic)
    server.start()
    in_turn(server)
    assert clinic.left() == []
    clinic.well_works()
    clinic.next_start_works()


def ignores_sigterm(pid):
    with open("/proc/%d/status" % pid) as status:
        return int(re.search(r"SigIgn:\s+(\w+)", status.read()).group(1), 16) & 1 << signal.SIGTERM - 1


def end_of_all(clinic):
    for pid in clinic.processes():
        try:
            end_of(pid)
        except ProcessLookupError:
            pass


# ---- while it runs -----------------------------------------------------------------------------------

def test_dies_in_a_command(clinic):
    server = clinic.server
    clinic.fall_ill("dies")
    server.sh("start", "vm")
    failed = server.virsh("suspend", "vm")
    assert "domain is not running" in failed.err, failed
    in_turn(server)
    wait_for(lambda: not clinic.left())
    assert reason(server) == "shut off (crashed)"
    clinic.well_works()
    clinic.next_start_works()


@pytest.mark.parametrize("mode", ["hangs-up", "long-line", "wrong-id"])
def test_monitor_is_lost_and_found(clinic, mode):
    """The connection cannot be gone on with; QEMU can: it is reached again, and only the call that was under way fails."""
    server = clinic.server
    clinic.fall_ill(mode)
    server.sh("start", "vm")
    pid, = clinic.processes()
    failed = server.virsh("suspend", "vm")
    assert not failed.ok and failed.err.strip(), failed
    clinic.well_works()
    server.sh("reset", "vm")
    assert clinic.processes() == [pid]
    assert reason(server) == "running (booted)"
    server.sh("destroy", "vm")
    assert clinic.left() == []
    clinic.next_start_works()


def test_monitor_is_lost_for_good(clinic):
    """QEMU lives on without a monitor: nobody can run it any more, so it is ended; nobody else waits for that."""
    server = clinic.server
    clinic.fall_ill("closes")
    server.sh("start", "vm")
    pid, = clinic.processes()
    assert not server.virsh("suspend", "vm").ok
    clinic.well_works()
    conn = server.connect()
    recorder = events.Recorder(conn)
    if conn.lookupByName("vm").isActive():
        recorder.lifecycle("vm", libvirt.VIR_DOMAIN_EVENT_STOPPED)
    assert clinic.left() == []
    recorder.close()
    conn.close()
    clinic.next_start_works()


def test_flood_of_events(clinic):
    """100,000 events at once from one guest: others are served in between, and it is itself afterwards."""
    server = clinic.server
    clinic.fall_ill("flood")
    server.sh("start", "vm")
    conn = server.connect()
    recorder = events.Recorder(conn, [libvirt.VIR_DOMAIN_EVENT_ID_RTC_CHANGE])
    with rawrpc.Client(server.socket, timeout=120) as client:
        client.open()
        serial = client.send(SUSPEND, ref("vm"))
        recorder.wait(lambda _event, name, _args: name == "vm")  # it has begun
        clinic.well_works()
        reply = client.receive()
        assert reply.serial == serial and reply.status == rawrpc.OK, reply.error()
    assert reason(server) == "paused (user)"
    recorder.close()
    conn.close()
    server.sh("destroy", "vm")
    clinic.next_start_works()
