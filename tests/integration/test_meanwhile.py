"""What happens to guests while no daemon looks is known to the next one: state, reason, devices, balloon; and events flow again."""

import contextlib
import os
import re
import select
import signal
import time
import tty
import xml.etree.ElementTree as ElementTree

import libvirt
import pytest

from lib import events, xml as guest_xml
from lib.console import VirshConsole
from lib.guest import PROMPT
from lib.monitor import Monitor

USB = "<controller type='usb' model='qemu-xhci'/>"


def reason(server, name="vm"):
    return server.sh("domstate", "--reason", name).strip()


def end_of(pid, how=None):
    """Waits for the end of a process, after a signal perhaps; without one it may have ended already."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        assert how is None
        return
    try:
        if how is not None:
            signal.pidfd_send_signal(pidfd, how)
        assert select.select([pidfd], [], [], 60)[0], "process %d does not end" % pid
    finally:
        os.close(pidfd)


@contextlib.contextmanager
def typed(path, text):
    """Types into a guest's serial console and keeps it open: what QEMU has not read yet is lost with the last one who has it open."""
    console = os.open(path, os.O_RDWR | os.O_NOCTTY)
    try:
        tty.setraw(console)
        os.write(console, text.encode())
        yield
    finally:
        os.close(console)


def in_turn(server, name="vm"):
    """Returns when the daemon is done with what it found out about the machine: a question to QEMU waits its turn behind the reconnect or the
    tear-down, whatever the state (reading state or XML, and writing definitions, waits for nothing)."""
    server.sh("iothreadinfo", name)


def until_shut_off(server, name="vm"):
    """The end of a machine's process is not yet its end: the daemon tidies up after it, and refuses a start until that is done."""
    end = time.monotonic() + 60
    while server.sh("domstate", name).strip() != "shut off":
        assert time.monotonic() < end


def settled(server, want, name="vm"):
    """The state once the machine was reached."""
    in_turn(server, name)
    assert reason(server, name) == want


# ---- states ------------------------------------------------------------------------------------------

def test_stopped_and_continued_by_another_monitor(own_server, domain_xml):
    server = own_server()
    server.define(domain_xml("vm", real=False))
    server.sh("start", "vm")
    ident = server.sh("domid", "vm")
    assert reason(server) == "running (booted)"
    server.stop(signal.SIGKILL)
    with Monitor(server, "vm") as monitor:
        monitor.call("stop")
    server.start()
    settled(server, "paused (unknown)")
    assert server.sh("domid", "vm") == ident
    server.stop(signal.SIGKILL)
    with Monitor(server, "vm") as monitor:
        monitor.call("cont")
    server.start()
    settled(server, "running (unpaused)")
    conn = server.connect()
    recorder = events.Recorder(conn)
    server.sh("suspend", "vm")
    recorder.lifecycle("vm", libvirt.VIR_DOMAIN_EVENT_SUSPENDED)
    assert reason(server) == "paused (user)"
    server.restart(signal.SIGKILL)
    assert reason(server) == "paused (user)"
    recorder.close()
    conn.close()


def power_off(monitor):
    """What a guest's system does to power off: writes the chipset's sleep register, which is there once the firmware has put it there."""
    while monitor.call("query-status")["status"] != "shutdown":
        monitor.call("human-monitor-command", command_line="o /w 0x604 0x2000")
    monitor.wait("SHUTDOWN", guest=True)


def test_powered_off_from_inside(own_server, domain_xml):
    server = own_server()
    server.define(domain_xml("vm", real=False))
    server.sh("start", "vm")
    (pid, _), = server.box.qemus()
    server.stop(signal.SIGKILL)
    with Monitor(server, "vm") as monitor:
        power_off(monitor)
    server.start()
    end_of(pid)
    conn = server.connect()
    recorder = events.Recorder(conn)
    if conn.lookupByName("vm").isActive():
        recorder.lifecycle("vm", libvirt.VIR_DOMAIN_EVENT_STOPPED)
    assert reason(server) == "shut off (shutdown)"
    recorder.close()
    conn.close()


def test_seen_off_but_not_acted_on(own_server, domain_xml):
    """The daemon ends between QEMU's SHUTDOWN, noted in the status file, and the SIGTERM that lets QEMU go."""
    server = own_server()
    server.define(domain_xml("vm", real=False))
    server.sh("start", "vm")
    (pid, _), = server.box.qemus()
    server.stop(signal.SIGKILL)
    with Monitor(server, "vm") as monitor:
        power_off(monitor)
    edit_status(server, "vm", state=libvirt.VIR_DOMAIN_SHUTDOWN, reason=0)
    server.start()
    end_of(pid)
    until_shut_off(server)
    server.sh("start", "vm")


def test_panicked_but_not_acted_on(own_server, domain_xml):
    """The same with a panic whose consequence is that the machine ends."""
    server = own_server()
    server.define(domain_xml("vm", real=False, devices="<panic model='isa'/>", on="<on_crash>destroy</on_crash>"))
    server.sh("start", "vm")
    (pid, _), = server.box.qemus()
    server.stop(signal.SIGKILL)
    with Monitor(server, "vm") as monitor:
        monitor.call("human-monitor-command", command_line="o /b 0x505 1")
        monitor.wait("GUEST_PANICKED")
        assert monitor.call("query-status")["status"] == "guest-panicked"
    edit_status(server, "vm", state=libvirt.VIR_DOMAIN_CRASHED, reason=libvirt.VIR_DOMAIN_CRASHED_PANICKED)
    server.start()
    end_of(pid)
    until_shut_off(server)
    server.sh("start", "vm")


@pytest.mark.parametrize("then, want", [("destroy", "shut off (crashed)"), ("preserve", "crashed (panicked)")])
def test_panicked_unseen(own_server, domain_xml, then, want):
    server = own_server()
    server.define(domain_xml("vm", real=False, devices="<panic model='isa'/>", on="<on_crash>%s</on_crash>" % then))
    server.sh("start", "vm")
    server.stop(signal.SIGKILL)
    with Monitor(server, "vm") as monitor:
        monitor.call("human-monitor-command", command_line="o /b 0x505 1")
        monitor.wait("GUEST_PANICKED")
    server.start()
    in_turn(server)
    conn = server.connect()
    recorder = events.Recorder(conn)
    if then == "destroy" and conn.lookupByName("vm").isActive():
        recorder.lifecycle("vm", libvirt.VIR_DOMAIN_EVENT_STOPPED)
    assert reason(server) == want
    assert len(server.box.qemus()) == (0 if then == "destroy" else 1)
    recorder.close()
    conn.close()
    server.virsh("destroy", "vm")
    server.sh("start", "vm")


@pytest.mark.parametrize("was, want", [("running", "shut off (crashed)"), ("paused", "shut off (crashed)")])
def test_killed(own_server, domain_xml, was, want):
    server = own_server()
    server.define(domain_xml("vm", real=False))
    server.sh("start", "vm", *(["--paused"] if was == "paused" else []))
    (pid, _), = server.box.qemus()
    server.stop(signal.SIGKILL)
    end_of(pid, signal.SIGKILL)
    server.start()
    assert reason(server) == want
    server.sh("start", "vm")


def test_reset(own_server, domain_xml):
    server = own_server()
    server.define(domain_xml("vm", real=False))
    server.sh("start", "vm")
    server.stop(signal.SIGKILL)
    with Monitor(server, "vm") as monitor:
        monitor.call("system_reset")
        monitor.wait("RESET")
    server.start()
    settled(server, "running (booted)")
    conn = server.connect()
    recorder = events.Recorder(conn, [libvirt.VIR_DOMAIN_EVENT_ID_REBOOT])
    server.sh("reset", "vm")
    recorder.wait(lambda _event, name, _args: name == "vm")
    recorder.close()
    conn.close()


# ---- devices -----------------------------------------------------------------------------------------

def devices(server):
    return {alias.get("name") for alias in ElementTree.fromstring(server.sh("dumpxml", "vm")).iter("alias")}


def everything(server):
    """A definition with one of each device a guest can let go, and others it cannot."""
    return (guest_xml.disk(server.image("a.qcow2")) +
            guest_xml.disk(server.image("b.qcow2"), "sda", "scsi") +
            guest_xml.disk(server.image("c.qcow2"), "sdb", "sata") +
            guest_xml.disk(server.image("d.qcow2"), "sdc", "usb") +
            "<controller type='scsi' model='virtio-scsi'/>"
            "<controller type='virtio-serial'/><channel type='unix'><target type='virtio' name='org.berth.0'/></channel>"
            "<interface type='bridge'><source bridge='berth-br0'/><model type='virtio'/></interface>"
            "<interface type='user'><model type='e1000'/></interface>"
            "<rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>"
            "<input type='tablet' bus='usb'/><input type='keyboard' bus='virtio'/>"
            "<watchdog model='i6300esb'/><sound model='ich9'/><video><model type='vga'/></video>")


def test_no_device_is_missed_that_is_there(own_server, domain_xml):
    server = own_server()
    server.define(domain_xml("vm", real=False, devices=everything(server), usb=USB))
    server.sh("start", "vm")
    before = server.sh("dumpxml", "vm")
    server.restart(signal.SIGKILL)
    settled(server, "running (booted)")
    assert server.sh("dumpxml", "vm") == before


def used_memory(server):
    return server.sh("dominfo", "vm").split("Used memory:")[1].split("\n")[0].strip()


def test_what_a_guest_does(own_server, domain_xml):
    """A real one: it lets a device go (another goes without asking it), gives memory back, and is stopped by its disk."""
    server = own_server()
    assert server.box.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=777", "tmpfs", "/var/lib/libvirt/images"]).returncode == 0
    small = "/var/lib/libvirt/images/small.qcow2"
    for image in (small, "/var/lib/libvirt/images/gone.qcow2"):
        assert server.box.run(["qemu-img", "create", "-q", "-f", "qcow2", image, "64M"]).returncode == 0
        assert server.box.run(["chmod", "666", image]).returncode == 0
    disks = (guest_xml.disk(small, driver=" error_policy='stop'") +
             guest_xml.disk("/var/lib/libvirt/images/gone.qcow2", "vdb"))
    server.define(domain_xml("vm", devices=disks + "<input type='tablet' bus='usb'/>", usb=USB, memory=192))
    server.sh("start", "vm")
    with VirshConsole(server, "vm", "--force") as console:
        console.send("\n")
        console.expect(PROMPT)
    tty_path = ElementTree.fromstring(server.sh("dumpxml", "vm")).find("devices/console/source").get("path")
    before = devices(server)
    gone = {"virtio-disk1", "input0"}
    assert gone < before
    assert used_memory(server) == "196608 KiB"
    stored = server.sh("dumpxml", "vm", "--inactive")
    server.stop(signal.SIGKILL)
    with Monitor(server, "vm") as monitor:
        for alias in gone:
            monitor.call("device_del", id=alias)
            monitor.wait("DEVICE_DELETED", device=alias)
        monitor.call("balloon", value=160 << 20)
        monitor.wait("BALLOON_CHANGE", actual=160 << 20)
    server.start()
    settled(server, "running (booted)")
    assert devices(server) == before - gone
    assert server.sh("dumpxml", "vm", "--inactive") == stored
    assert used_memory(server) == "163840 KiB"
    server.stop(signal.SIGKILL)
    with Monitor(server, "vm") as monitor, typed(tty_path, "dd if=/dev/urandom of=/dev/vda bs=1M count=8; sync\n"):
        monitor.wait("BLOCK_IO_ERROR")
        monitor.wait("STOP")
    server.start()
    settled(server, "paused (I/O error)")
    assert devices(server) == before - gone
    server.sh("destroy", "vm")


def test_device_removed_while_the_daemon_looks(own_server, domain_xml):
    server = own_server()
    server.define(domain_xml("vm", real=False, devices="<input type='tablet' bus='usb'/>", usb=USB))
    server.sh("start", "vm")
    conn = server.connect()
    recorder = events.Recorder(conn, [libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED])
    server.sh("qemu-monitor-command", "vm", '{"execute":"device_del","arguments":{"id":"input0"}}')
    recorder.wait(lambda _event, name, args: name == "vm" and args == ("input0",))
    assert "input0" not in devices(server)
    recorder.close()
    conn.close()


# ---- the host ----------------------------------------------------------------------------------------

def status_path(server, name):
    return server.box.path("run", "qemu", name + ".xml")


def edit_status(server, name, **attributes):
    """Changes attributes of the status file's <machine>."""
    with open(status_path(server, name)) as file:
        text = file.read()
    for key, value in attributes.items():
        text, changed = re.subn(r"(<machine [^>]*\b%s=')[^']*'" % key, r"\g<1>%s'" % value, text)
        assert changed == 1, key
    with open(status_path(server, name), "w") as file:
        file.write(text)


def reboot_host(server, number=[0]):
    """Ends all guests at once and gives the host another boot id; the daemon must be down."""
    for pid, _ in server.box.qemus():
        end_of(pid, signal.SIGKILL)
    number[0] += 1
    path = server.file("boot_id", "01234567-89ab-cdef-0123-%012d\n" % number[0])
    assert server.box.run(["mount", "--bind", path, "/proc/sys/kernel/random/boot_id"]).returncode == 0


def start_time(pid):
    with open("/proc/%d/stat" % pid) as stat:
        return int(stat.read().rpartition(")")[2].split()[19])


@pytest.mark.parametrize("boot", ["same", "next"])
def test_pid_of_another(own_server, domain_xml, boot):
    """The pid in a stale status file is another process's now: it is not the guest, and nothing is done to it."""
    server = own_server()
    server.define(domain_xml("vm", real=False))
    server.sh("start", "vm")
    (pid, _), = server.box.qemus()
    server.stop(signal.SIGKILL)
    other = server.box.popen(["sleep", "1000"])
    try:
        if boot == "next":
            reboot_host(server)
            edit_status(server, "vm", pid=other.pid, starttime=start_time(other.pid))  # even with the same number of ticks
        else:
            end_of(pid, signal.SIGKILL)
            edit_status(server, "vm", pid=other.pid)
        server.start()
        assert reason(server) == "shut off (crashed)"
        server.sh("start", "vm")
        server.sh("destroy", "vm")
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_host_reboot(own_server, domain_xml):
    """Clean state, and the names of a guest's things on the host are nobody's property after it."""
    server = own_server()
    server.define(domain_xml("vm", real=False,
                             devices="<interface type='bridge'><source bridge='berth-br0'/><target dev='berth-tap0'/></interface>"))
    server.sh("start", "vm")
    server.file("transient.xml", domain_xml("transient", real=False))
    server.sh("create", server.box.path("transient.xml"))
    server.stop(signal.SIGKILL)
    reboot_host(server)
    assert server.box.run(["ip", "link", "add", "berth-tap0", "type", "bridge"]).returncode == 0
    server.start()
    assert reason(server) == "shut off (crashed)"
    conn = server.connect()
    recorder = events.Recorder(conn)
    if server.virsh("domstate", "transient").ok and conn.lookupByName("transient").isActive():
        recorder.lifecycle("transient", libvirt.VIR_DOMAIN_EVENT_STOPPED)
    in_turn(server)
    recorder.close()
    conn.close()
    assert server.box.run(["ip", "link", "show", "berth-tap0"]).returncode == 0
    assert server.box.run(["ip", "link", "delete", "berth-tap0"]).returncode == 0
    server.sh("start", "vm")
    assert [name for name in os.listdir(server.box.path("run", "qemu")) if name.endswith(".xml")] == ["vm.xml"]
    assert len([name for name in os.listdir(server.box.path("lib", "qemu")) if name.startswith("domain-")]) == 1
