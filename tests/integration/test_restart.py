"""Guests outlive the daemon; definitions and marks outlive both."""

import os
import signal

import libvirt

from lib import events
from lib.impostor import Impostor
from lib.console import VirshConsole
from lib.guest import PROMPT
from test_meanwhile import in_turn, reason, reboot_host


def test_guest_survives_stop_and_crash(own_server, domain_xml):
    server = own_server()
    server.define(domain_xml("vm", usb=""))
    server.sh("start", "vm")
    with VirshConsole(server, "vm", "--force") as console:
        console.send("\n")
        console.expect(PROMPT)
        console.send("mark=kept\n")
        console.expect(PROMPT)
    before = server.box.qemus()
    identity = server.sh("domid", "vm")
    live = server.sh("dumpxml", "vm")
    for how in (signal.SIGTERM, signal.SIGKILL):
        server.restart(how)
        assert [pid for pid, _ in server.box.qemus()] == [pid for pid, _ in before]
        assert server.sh("domstate", "vm").strip() == "running"
        assert server.sh("domid", "vm") == identity
        assert server.sh("dumpxml", "vm") == live
    with VirshConsole(server, "vm", "--force") as console:
        console.send("echo $mark-$((6*7))\n")
        console.expect("kept-42")
    conn = server.connect()
    recorder = events.Recorder(conn)
    server.sh("destroy", "vm")
    assert recorder.lifecycle("vm", libvirt.VIR_DOMAIN_EVENT_STOPPED) == libvirt.VIR_DOMAIN_EVENT_STOPPED_DESTROYED
    recorder.close()
    conn.close()
    assert server.box.qemus() == []


def test_guest_that_ended_meanwhile(own_server, domain_xml):
    server = own_server()
    server.define(domain_xml("vm", real=False))
    server.sh("start", "vm")
    (pid, _), = server.box.qemus()
    pidfd = os.pidfd_open(pid)
    server.stop()
    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    import select
    assert select.select([pidfd], [], [], 20)[0]
    os.close(pidfd)
    server.start()
    assert server.sh("domstate", "vm").strip() == "shut off"
    server.sh("start", "vm")


def test_paused_state_survives(own_server, domain_xml):
    server = own_server()
    server.define(domain_xml("vm", real=False))
    server.sh("start", "vm", "--paused")
    server.restart()
    assert server.sh("domstate", "vm").strip() == "paused"
    server.sh("resume", "vm")


def test_definitions_survive(own_server, domain_xml):
    server = own_server()
    server.define(domain_xml("vm", real=False))
    server.sh("autostart", "vm")
    before = server.sh("dumpxml", "vm")
    server.stop()
    server.start()
    assert server.sh("dumpxml", "vm") == before
    assert "enable" in server.sh("dominfo", "vm").split("Autostart:")[1].split("\n")[0]


def started(server, *names):
    """Waits for machines the daemon starts by itself."""
    conn = server.connect()
    recorder = events.Recorder(conn)
    for name in names:
        if not conn.lookupByName(name).isActive():
            recorder.lifecycle(name, libvirt.VIR_DOMAIN_EVENT_STARTED)
        in_turn(server, name)
        assert reason(server, name) == "running (booted)"
    recorder.close()
    conn.close()


def test_autostart_after_a_reboot_with_guests(own_server, domain_xml):
    """What ran when the host went down and what did not: all that should start does, once, and nothing else."""
    server = own_server()
    for name in ("ran", "off", "ran-unmarked", "paused"):
        server.define(domain_xml(name, real=False))
    for name in ("ran", "ran-unmarked", "paused"):
        server.sh("start", name, *(["--paused"] if name == "paused" else []))
    for name in ("ran", "off", "paused"):
        server.sh("autostart", name)
    for _ in range(2):
        server.stop(signal.SIGKILL)
        reboot_host(server)
        server.start()
        started(server, "ran", "off", "paused")
        assert reason(server, "ran-unmarked").startswith("shut off")
        assert len(server.box.qemus()) == 3
        for how in (signal.SIGKILL, signal.SIGTERM):
            server.virsh("destroy", "off")
            server.restart(how)
            for name in ("ran", "off", "ran-unmarked", "paused"):
                in_turn(server, name)
            assert reason(server, "off").startswith("shut off")  # once a boot, whichever way the daemon went
            assert len(server.box.qemus()) == 2


def test_autostart_once_a_boot(own_server, domain_xml):
    server = own_server()
    server.define(domain_xml("vm", real=False))
    server.sh("autostart", "vm")
    server.restart()
    assert server.sh("domstate", "vm").strip() == "shut off"  # the daemon ran before since boot
    server.stop()
    reboot_host(server)
    server.start()
    started(server, "vm")


def test_guest_that_cannot_be_reached_is_left_alone(own_server, domain_xml):
    """A monitor that hangs up on the new daemon says nothing about the guest: it runs on, and is reached when it can be."""
    server = own_server()
    server.define(domain_xml("vm", real=False))
    server.sh("start", "vm", "--paused")
    guests = server.box.qemus()
    ident = server.sh("domid", "vm")
    server.stop(signal.SIGKILL)
    impostor = Impostor(server, "vm")
    server.start()
    impostor.wait()
    in_turn(server)
    assert reason(server, "vm").startswith("paused")
    refused = server.virsh("resume", "vm")
    assert not refused.ok and refused.err.strip(), refused
    impostor.go()
    for _ in range(6000):  # it is tried again after a while; nothing tells of that
        if server.virsh("resume", "vm").ok:
            break
    assert server.box.qemus() == guests and server.sh("domid", "vm") == ident
    assert reason(server, "vm") == "running (unpaused)"
    server.sh("destroy", "vm")
