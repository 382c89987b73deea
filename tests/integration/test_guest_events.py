"""Events whose cause is in a real guest: a kernel panic, a watchdog nobody feeds, a file system that is full."""

import xml.etree.ElementTree as ElementTree

import libvirt
import libvirt_qemu

from lib import events, xml
from lib.console import VirshConsole
from lib.guest import PROMPT
from test_meanwhile import in_turn

L = libvirt

# The cloud kernel has no driver for the i6300esb: its registers are written by hand (short timers, then enabled).
WATCHDOG = r"""W=$(for i in /sys/bus/pci/devices/*; do [ "$(cat $i/device)" = 0x25ab ] && echo $i; done); echo 1 >$W/enable
B=$(head -n1 $W/resource | cut -d' ' -f1); u() { devmem $((B+12)) 16 0x80; devmem $((B+12)) 16 0x86; }
u; devmem $B 32 0x200; u; devmem $((B+4)) 32 0x200; printf '\002' | dd of=$W/config bs=1 seek=104 count=1 conv=notrunc 2>/dev/null
"""


def test_full_disk_watchdog_and_panic(own_server, domain_xml):
    server = own_server()
    box = server.box
    box.run(["sh", "-ec", "mkdir /var/lib/libvirt/images/full; mount -t tmpfs -o size=1M,mode=777 t /var/lib/libvirt/images/full;"
             "truncate -s 16M /var/lib/libvirt/images/full/d; chmod 666 /var/lib/libvirt/images/full/d"])
    path = "/var/lib/libvirt/images/full/d"
    conn = server.connect()
    ids = (L.VIR_DOMAIN_EVENT_ID_LIFECYCLE, L.VIR_DOMAIN_EVENT_ID_IO_ERROR_REASON, L.VIR_DOMAIN_EVENT_ID_WATCHDOG)
    recorder = events.Recorder(conn, ids)
    devices = (xml.disk(path, fmt="raw", driver=" error_policy='stop'") + "<watchdog model='i6300esb' action='pause'/>"
               "<panic model='isa'/>")
    dom = conn.defineXML(domain_xml("vm", devices=devices, on="<on_crash>destroy</on_crash>"))
    dom.create()
    with VirshConsole(server, "vm", "--force") as console:
        console.send("\n")
        console.expect(PROMPT, timeout=300)
        console.send("dd if=/dev/zero of=/dev/vda bs=1M count=4 oflag=direct; echo written-$((6*7))\n")
        found = recorder.wait(lambda e, n, a: e == L.VIR_DOMAIN_EVENT_ID_IO_ERROR_REASON)
        assert found[2][:4] == (path, "virtio-disk0", L.VIR_DOMAIN_EVENT_IO_ERROR_PAUSE, "enospc")
        assert recorder.lifecycle("vm", L.VIR_DOMAIN_EVENT_SUSPENDED) == L.VIR_DOMAIN_EVENT_SUSPENDED_IOERROR
        assert dom.state() == [L.VIR_DOMAIN_PAUSED, L.VIR_DOMAIN_PAUSED_IOERROR]
        assert dom.diskErrors() == {"vda": L.VIR_DOMAIN_DISK_ERROR_NO_SPACE}
        box.run(["mount", "-o", "remount,size=32M", "/var/lib/libvirt/images/full"])
        dom.resume()
        console.expect("written-42")

        start = len(recorder.seen)
        console.send(WATCHDOG)
        found = recorder.wait(lambda e, n, a: e == L.VIR_DOMAIN_EVENT_ID_WATCHDOG, start=start)
        assert found[2][0] == L.VIR_DOMAIN_EVENT_WATCHDOG_PAUSE
        assert recorder.lifecycle("vm", L.VIR_DOMAIN_EVENT_SUSPENDED, start=start) == L.VIR_DOMAIN_EVENT_SUSPENDED_WATCHDOG
        assert dom.state() == [L.VIR_DOMAIN_PAUSED, L.VIR_DOMAIN_PAUSED_WATCHDOG]
        dom.resume()

        start = len(recorder.seen)
        console.send("\necho 1 >/proc/sys/kernel/sysrq; echo c >/proc/sysrq-trigger\n")
        assert recorder.lifecycle("vm", L.VIR_DOMAIN_EVENT_STOPPED, start=start) == L.VIR_DOMAIN_EVENT_STOPPED_CRASHED
    kinds = [a[0] for e, _, a in recorder.seen[start:] if e == L.VIR_DOMAIN_EVENT_ID_LIFECYCLE]
    kinds = [k for k in kinds if k not in (L.VIR_DOMAIN_EVENT_RESUMED, L.VIR_DOMAIN_EVENT_SUSPENDED)]  # the watchdog may bite again
    assert kinds == [L.VIR_DOMAIN_EVENT_CRASHED, L.VIR_DOMAIN_EVENT_STOPPED]
    assert dom.state() == [L.VIR_DOMAIN_SHUTOFF, L.VIR_DOMAIN_SHUTOFF_CRASHED]
    recorder.close()
    conn.close()


def trays(dom):
    return ElementTree.fromstring(dom.XMLDesc()).find("devices/disk/target").get("tray")


def test_tray_and_sleep(own_server, domain_xml):
    """A guest whose disc tray moves, and that sleeps in memory: events, their order, state and XML, also across a restart of the daemon."""
    server = own_server()
    disc = xml.disk(server.image("cd.iso", "1M", "raw"), "sda", "sata", "raw", "<readonly/>", "cdrom")
    conn = server.connect()
    ids = (L.VIR_DOMAIN_EVENT_ID_LIFECYCLE, L.VIR_DOMAIN_EVENT_ID_TRAY_CHANGE, L.VIR_DOMAIN_EVENT_ID_PMSUSPEND, L.VIR_DOMAIN_EVENT_ID_PMWAKEUP)
    recorder = events.Recorder(conn, ids)
    dom = conn.defineXML(domain_xml("vm", devices=disc, memory=192, top="<pm><suspend-to-mem enabled='yes'/></pm>"))
    dom.create()
    with VirshConsole(server, "vm", "--force") as console:
        console.send("\n")
        console.expect(PROMPT, timeout=300)
        for command, event, tray in (("open-tray", L.VIR_DOMAIN_EVENT_TRAY_CHANGE_OPEN, "open"),
                                     ("close-tray", L.VIR_DOMAIN_EVENT_TRAY_CHANGE_CLOSE, None)):
            start = len(recorder.seen)
            libvirt_qemu.qemuMonitorCommand(dom, '{"execute":"blockdev-%s","arguments":{"id":"sata0-0-0"}}' % command, 0)
            found = recorder.wait(lambda e, n, a: e == L.VIR_DOMAIN_EVENT_ID_TRAY_CHANGE, start=start)
            assert found[2] == ("sata0-0-0", event)
            assert trays(dom) == tray
        start = len(recorder.seen)
        console.send("echo mem >/sys/power/state; echo awake-$((6*7))\n")
        assert recorder.lifecycle("vm", L.VIR_DOMAIN_EVENT_PMSUSPENDED) == L.VIR_DOMAIN_EVENT_PMSUSPENDED_MEMORY
        assert [e for e, _, _ in recorder.seen[start:]] == [L.VIR_DOMAIN_EVENT_ID_PMSUSPEND, L.VIR_DOMAIN_EVENT_ID_LIFECYCLE]
        assert dom.state() == [L.VIR_DOMAIN_PMSUSPENDED, L.VIR_DOMAIN_PMSUSPENDED_UNKNOWN]
    recorder.close()
    conn.close()
    server.restart(9)
    in_turn(server)
    conn = server.connect()
    recorder = events.Recorder(conn, ids)
    dom = conn.lookupByName("vm")
    assert dom.state()[0] == L.VIR_DOMAIN_PMSUSPENDED
    with VirshConsole(server, "vm", "--force") as console:
        dom.pMWakeup()
        console.expect("awake-42", timeout=300)
    assert recorder.lifecycle("vm", L.VIR_DOMAIN_EVENT_STARTED) == L.VIR_DOMAIN_EVENT_STARTED_WAKEUP
    assert [e for e, _, _ in recorder.seen] == [L.VIR_DOMAIN_EVENT_ID_PMWAKEUP, L.VIR_DOMAIN_EVENT_ID_LIFECYCLE]
    assert dom.state() == [L.VIR_DOMAIN_RUNNING, L.VIR_DOMAIN_RUNNING_WAKEUP]
    recorder.close()
    conn.close()
