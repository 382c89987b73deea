"""What programs on python3-libvirt do and rely on, beyond test_domain_api.py and test_events.py: the same tests pass on libvirtd."""

import json
import os
import signal
import socket
import struct
import threading
import time
import zlib
import xml.etree.ElementTree as ElementTree

import libvirt
import libvirt_qemu
import pytest

from lib import events, rawrpc, xml
from lib.guest import MARKER, PROMPT

L = libvirt

VNC = "<graphics type='vnc' port='-1'/><video><model type='vga'/></video>"
BRIDGE = "<interface type='bridge'><mac address='52:54:00:12:34:56'/><source bridge='berth-br0'/><model type='virtio'/></interface>"


def code(call, *args):
    """Error code and origin of a call that must fail."""
    with pytest.raises(L.libvirtError) as failed:
        call(*args)
    return failed.value.get_error_code(), failed.value.get_error_domain()


def qemu_pid(server):
    (pid, _), = server.box.qemus()
    return pid


class Text:
    """Collects what a stream brings, in event callbacks, until a text appears."""

    def __init__(self, conn, dom, flags=0):
        self.stream = conn.newStream(L.VIR_STREAM_NONBLOCK)
        self.seen = b""
        self.ended = None
        self.cond = threading.Condition()
        dom.openConsole(None, self.stream, flags)
        self.stream.eventAddCallback(L.VIR_STREAM_EVENT_READABLE | L.VIR_STREAM_EVENT_ERROR | L.VIR_STREAM_EVENT_HANGUP, self._ready,
                                     None)

    def _ready(self, stream, what, _opaque):
        with self.cond:
            try:
                while what & L.VIR_STREAM_EVENT_READABLE:
                    data = stream.recv(1024)
                    if data == -2:
                        break
                    if not data:
                        self.ended = "end"
                        break
                    self.seen += data
                if what & (L.VIR_STREAM_EVENT_ERROR | L.VIR_STREAM_EVENT_HANGUP):
                    self.ended = "hangup"
            except L.libvirtError as error:
                self.ended = error
            if self.ended:
                stream.eventRemoveCallback()
            self.cond.notify_all()

    def expect(self, text, timeout=60):
        with self.cond:
            assert self.cond.wait_for(lambda: text.encode() in self.seen or self.ended, timeout), self.seen
            assert text.encode() in self.seen, (self.ended, self.seen)

    def restart(self, text):
        """Sends `text` and waits for the guest's shell after its next boot."""
        with self.cond:
            self.seen = b""
        self.send(text)
        self.expect(MARKER)
        self.expect(PROMPT)

    def send(self, text):
        data = text.encode()
        while data:
            sent = self.stream.send(data)
            if sent == -2:
                time.sleep(0.01)
            else:
                data = data[sent:]


def boot(conn, dom):
    """Waits on the console until the guest's shell answers."""
    console = Text(conn, dom, L.VIR_DOMAIN_CONSOLE_FORCE)
    console.send("\n")
    console.expect(PROMPT)
    return console


# ---- events ----------------------------------------------------------------------------------------------------------------

def test_every_event_id_registers(conn, domain_xml):
    last = L.VIR_DOMAIN_EVENT_ID_MEMORY_DEVICE_SIZE_CHANGE
    handles = [conn.domainEventRegisterAny(None, n, lambda *args: None, None) for n in range(last + 1)]
    assert len(set(handles)) == last + 1
    dom = conn.defineXML(domain_xml("vm", real=False))
    handles += [conn.domainEventRegisterAny(dom, n, lambda *args: None, None) for n in range(last + 1)]
    for handle in handles:
        conn.domainEventDeregisterAny(handle)
    assert code(conn.domainEventDeregisterAny, handles[0])[0] == L.VIR_ERR_INVALID_ARG


def test_legacy_events_by_id(server, conn, domain_xml):
    """The generation before callback ids: one registration an event and client, messages without callback id."""
    with rawrpc.Client(server.socket) as raw:
        raw.open()
        for number in range(15):
            assert raw.call(167, struct.pack(">i", number)).status == rawrpc.OK, number
        assert raw.call(167, struct.pack(">i", 3)).error()[0] == L.VIR_ERR_INVALID_ARG       # a second time
        assert raw.call(167, struct.pack(">i", 1000)).error()[0] == L.VIR_ERR_INTERNAL_ERROR
        assert raw.call(167, struct.pack(">i", -1)).error()[0] == L.VIR_ERR_INTERNAL_ERROR
        conn.defineXML(domain_xml("vm", real=False))
        packet = raw.receive()
        assert (packet.prog, packet.proc, packet.type) == (rawrpc.REMOTE, 107, rawrpc.MESSAGE)
        assert packet.body[:8] == rawrpc.string("vm") and packet.body[-8:] == struct.pack(">ii", 0, 0)
        assert raw.call(168, struct.pack(">i", 0)).status == rawrpc.OK
        assert raw.call(168, struct.pack(">i", 0)).error()[0] == L.VIR_ERR_INTERNAL_ERROR
        conn.lookupByName("vm").undefine()
        assert raw.call(3).status == rawrpc.OK


def lives(recorder, name="vm"):
    return [a for e, n, a in recorder.seen if e == L.VIR_DOMAIN_EVENT_ID_LIFECYCLE and n == name]


def test_reboots_and_power_off(conn, domain_xml):
    """The guest restarts itself, is restarted by the button, powers itself off: one life until then, seen from outside."""
    recorder = events.Recorder(conn, [L.VIR_DOMAIN_EVENT_ID_LIFECYCLE, L.VIR_DOMAIN_EVENT_ID_REBOOT])
    dom = conn.defineXML(domain_xml("vm"))
    dom.create()
    ident = dom.ID()
    console = boot(conn, dom)
    console.restart("reboot -f\n")
    recorder.wait(lambda e, n, a: e == L.VIR_DOMAIN_EVENT_ID_REBOOT)
    start = len(recorder.seen)
    dom.reboot()
    console.restart("")
    recorder.wait(lambda e, n, a: e == L.VIR_DOMAIN_EVENT_ID_REBOOT, start=start)
    assert dom.ID() == ident and dom.state() == [L.VIR_DOMAIN_RUNNING, L.VIR_DOMAIN_RUNNING_BOOTED]
    console.send("poweroff -f\n")
    assert recorder.lifecycle("vm", L.VIR_DOMAIN_EVENT_STOPPED) == L.VIR_DOMAIN_EVENT_STOPPED_SHUTDOWN
    recorder.close()
    assert [a for a in lives(recorder) if a[0] != L.VIR_DOMAIN_EVENT_DEFINED] == [
        (L.VIR_DOMAIN_EVENT_RESUMED, L.VIR_DOMAIN_EVENT_RESUMED_UNPAUSED),
        (L.VIR_DOMAIN_EVENT_STARTED, L.VIR_DOMAIN_EVENT_STARTED_BOOTED),
        (L.VIR_DOMAIN_EVENT_SHUTDOWN, L.VIR_DOMAIN_EVENT_SHUTDOWN_GUEST),
        (L.VIR_DOMAIN_EVENT_STOPPED, L.VIR_DOMAIN_EVENT_STOPPED_SHUTDOWN),
    ]
    assert dom.state() == [L.VIR_DOMAIN_SHUTOFF, L.VIR_DOMAIN_SHUTOFF_SHUTDOWN]


def test_reset_is_a_reboot_event(conn, domain_xml):
    recorder = events.Recorder(conn, [L.VIR_DOMAIN_EVENT_ID_REBOOT])
    dom = conn.createXML(domain_xml("vm", real=False))
    dom.reset()
    recorder.wait(lambda e, n, a: e == L.VIR_DOMAIN_EVENT_ID_REBOOT)
    recorder.close()


def test_on_reboot_destroy(conn, recorder, domain_xml):
    dom = conn.createXML(domain_xml("vm", on="<on_reboot>destroy</on_reboot>"))
    console = boot(conn, dom)
    console.send("reboot -f\n")
    assert recorder.lifecycle("vm", L.VIR_DOMAIN_EVENT_STOPPED) == L.VIR_DOMAIN_EVENT_STOPPED_SHUTDOWN
    assert conn.listAllDomains() == []


def test_qemu_killed(server, conn, recorder, domain_xml):
    """QEMU killed from outside: the machine has crashed."""
    dom = conn.defineXML(domain_xml("vm", real=False))
    dom.create()
    os.kill(qemu_pid(server), signal.SIGKILL)
    assert recorder.lifecycle("vm", L.VIR_DOMAIN_EVENT_STOPPED) == L.VIR_DOMAIN_EVENT_STOPPED_FAILED
    assert dom.state() == [L.VIR_DOMAIN_SHUTOFF, L.VIR_DOMAIN_SHUTOFF_CRASHED]
    dom.create()
    assert dom.state() == [L.VIR_DOMAIN_RUNNING, L.VIR_DOMAIN_RUNNING_BOOTED]


def test_undefine_while_running(conn, recorder, domain_xml):
    dom = conn.defineXML(domain_xml("vm", real=False))
    dom.create()
    dom.undefine()
    assert recorder.lifecycle("vm", L.VIR_DOMAIN_EVENT_UNDEFINED) == L.VIR_DOMAIN_EVENT_UNDEFINED_REMOVED
    assert dom.isPersistent() == 0 and dom.isActive() == 1
    dom.destroy()
    assert code(conn.lookupByName, "vm")[0] == L.VIR_ERR_NO_DOMAIN


def test_graphics_event(conn, domain_xml):
    recorder = events.Recorder(conn, [L.VIR_DOMAIN_EVENT_ID_GRAPHICS])
    dom = conn.createXML(domain_xml("vm", real=False, devices=VNC))
    fd = dom.openGraphicsFD(0)
    assert os.read(fd, 12) == b"RFB 003.008\n"
    os.write(fd, b"RFB 003.008\n")
    count = os.read(fd, 1)[0]
    assert 1 in os.read(fd, count)       # security type "none"
    os.write(fd, b"\x01")
    assert os.read(fd, 4) == b"\0\0\0\0"
    os.write(fd, b"\x01")
    _, _, args = recorder.wait(lambda e, n, a: a[0] == L.VIR_DOMAIN_EVENT_GRAPHICS_INITIALIZE)
    assert set(args[1]) == {"family", "node", "service"} and set(args[2]) == {"family", "node", "service"}
    os.close(fd)
    recorder.wait(lambda e, n, a: a[0] == L.VIR_DOMAIN_EVENT_GRAPHICS_DISCONNECT)
    recorder.close()


def test_balloon_and_its_event(conn, domain_xml):
    recorder = events.Recorder(conn, [L.VIR_DOMAIN_EVENT_ID_BALLOON_CHANGE])
    dom = conn.createXML(domain_xml("vm"))
    boot(conn, dom)
    dom.setMemory(100 * 1024)
    recorder.wait(lambda e, n, a: a[0] == 100 * 1024)
    assert dom.info()[1:3] == [128 * 1024, 100 * 1024]
    recorder.close()


# ---- a connection ----------------------------------------------------------------------------------------------------------

def test_long_call_does_not_hold_up_short_ones(server, conn, domain_xml):
    """A QEMU that does not answer holds the call that asks it, no other on that connection.

    On the wire, as libvirt's own client library lets a second thread wait for its reply until the next keepalive at times.
    """
    conn.createXML(domain_xml("vm", real=False))
    pid = qemu_pid(server)
    with rawrpc.Client(server.socket) as raw:
        dom = raw.open().call(23, rawrpc.string("vm")).body
        os.kill(pid, signal.SIGSTOP)
        try:
            long = raw.send(1, dom + rawrpc.string('{"execute":"query-status"}') + struct.pack(">I", 0), prog=rawrpc.QEMU)
            for _ in range(20):
                for proc, args in ((212, dom + struct.pack(">I", 0)), (23, rawrpc.string("vm")), (150, dom),
                                   (14, dom + struct.pack(">I", 0)), (273, struct.pack(">iI", 1, 0))):
                    serial = raw.send(proc, args)
                    packet = raw.receive()
                    assert (packet.serial, packet.status) == (serial, rawrpc.OK)
        finally:
            os.kill(pid, signal.SIGCONT)
        packet = raw.receive()
        assert (packet.serial, packet.status, packet.prog) == (long, rawrpc.OK, rawrpc.QEMU)
        assert b'"running"' in packet.body


def test_two_threads_share_a_connection(conn, domain_xml):
    """One thread starts and destroys a machine while the other asks."""
    asked = conn.defineXML(domain_xml("asked", real=False))
    made = conn.defineXML(domain_xml("made", real=False))
    failures = []

    def lives():
        try:
            for _ in range(2):
                made.create()
                made.suspend()
                made.resume()
                made.destroy()
        except L.libvirtError as error:
            failures.append(error)

    thread = threading.Thread(target=lives)
    thread.start()
    count = 0
    while thread.is_alive() or count < 20:
        assert asked.state()[0] == L.VIR_DOMAIN_SHUTOFF
        assert conn.lookupByUUIDString(made.UUIDString()).name() == "made"
        count += 1
    thread.join()
    assert not failures and made.isActive() == 0


def test_keepalive_finds_a_silent_daemon(own_server):
    server = own_server()
    conn = server.connect()
    reasons, closed = [], threading.Event()
    conn.registerCloseCallback(lambda _c, reason, _o: (reasons.append(reason), closed.set()), None)
    assert conn.setKeepAlive(1, 2) == 0
    assert conn.isAlive() == 1
    server.process.send_signal(signal.SIGSTOP)
    try:
        assert closed.wait(20)
    finally:
        server.process.send_signal(signal.SIGCONT)
    assert reasons == [L.VIR_CONNECT_CLOSE_REASON_KEEPALIVE]
    assert conn.isAlive() == 0
    conn.close()
    assert server.connect().getType() == "QEMU"


def test_autodestroy_with_a_dropped_socket(server, conn, recorder, domain_xml):
    """The client dies without a word: its registrations and its autodestroy machines go with it."""
    with rawrpc.Client(server.socket) as raw:
        raw.open()
        reply = raw.call(10, rawrpc.string(domain_xml("vm", real=False)) + struct.pack(">I", L.VIR_DOMAIN_START_AUTODESTROY))
        assert reply.status == rawrpc.OK
        assert conn.lookupByName("vm").isActive() == 1
    assert recorder.lifecycle("vm", L.VIR_DOMAIN_EVENT_STOPPED) == L.VIR_DOMAIN_EVENT_STOPPED_DESTROYED
    assert conn.listAllDomains() == []


def test_connection_facts(conn):
    assert conn.getType() == "QEMU" and conn.getVersion() // 1000000 == 7
    assert conn.isSecure() == 1 and conn.isEncrypted() == 0 and conn.isAlive() == 1
    assert conn.getURI().startswith("qemu")
    assert conn.getMaxVcpus("qemu") > 1
    info = conn.getInfo()
    assert info[0] == "x86_64" and info[1] > 100 and info[2] == os.sysconf("SC_NPROCESSORS_ONLN")
    assert conn.getFreeMemory() > 0 and set(conn.getMemoryStats(-1)) >= {"total", "free"}
    assert set(conn.getCPUStats(-1)) >= {"kernel", "user", "idle", "iowait"}
    total, online, count = conn.getCPUMap()
    assert total == len(online) and count == sum(online)
    assert conn.getSecurityModel() == ["none", "0"]
    assert ElementTree.fromstring(conn.getCapabilities()).findtext("host/cpu/arch") == "x86_64"
    caps = ElementTree.fromstring(conn.getDomainCapabilities(None, "x86_64", "q35", "qemu"))
    assert caps.findtext("machine").startswith("pc-q35-") and caps.findtext("domain") == "qemu"
    assert "qemu64" in conn.getCPUModelNames("x86_64")


# ---- errors ----------------------------------------------------------------------------------------------------------------

def test_error_codes_and_origins(conn, domain_xml):
    assert code(conn.defineXML, "<domain/>") == (L.VIR_ERR_NO_NAME, L.VIR_FROM_DOMAIN)
    assert code(conn.createXML, "<domain/>") == (L.VIR_ERR_NO_NAME, L.VIR_FROM_DOMAIN)
    assert code(conn.defineXML, "not XML") == (L.VIR_ERR_XML_DETAIL, L.VIR_FROM_DOMAIN)
    assert code(conn.defineXML, "<network/>")[0] == L.VIR_ERR_XML_ERROR
    dom = conn.defineXML(domain_xml("vm", real=False))
    assert code(dom.suspend) == (L.VIR_ERR_OPERATION_INVALID, L.VIR_FROM_DOMAIN)
    for call in (dom.resume, dom.reset, dom.jobInfo, dom.memoryStats, dom.controlInfo, dom.injectNMI):
        assert code(call) == (L.VIR_ERR_OPERATION_INVALID, L.VIR_FROM_DOMAIN), call
    assert code(dom.vcpusFlags, L.VIR_DOMAIN_AFFECT_LIVE) == (L.VIR_ERR_OPERATION_INVALID, L.VIR_FROM_DOMAIN)
    assert code(dom.shutdown) == (L.VIR_ERR_OPERATION_INVALID, L.VIR_FROM_QEMU)
    assert code(conn.defineXML, domain_xml("v2", real=False, features="<no-such/>")) == (L.VIR_ERR_CONFIG_UNSUPPORTED, L.VIR_FROM_DOMAIN)
    assert code(dom.metadata, L.VIR_DOMAIN_METADATA_DESCRIPTION, None) == (L.VIR_ERR_NO_DOMAIN_METADATA, L.VIR_FROM_DOMAIN)
    assert code(dom.metadata, L.VIR_DOMAIN_METADATA_ELEMENT, "urn:none") == (L.VIR_ERR_NO_DOMAIN_METADATA, L.VIR_FROM_DOMAIN)
    assert code(dom.blockInfo, "vdz")[0] == L.VIR_ERR_INVALID_ARG
    other = domain_xml("vm", real=False, uuid="3b9c5c4e-0ac5-4d83-a1bb-0c1a5e1ff0aa")
    assert code(conn.defineXML, other) == (L.VIR_ERR_OPERATION_FAILED, L.VIR_FROM_DOMAIN)
    conn.defineXML(domain_xml("v3", real=False))
    assert code(dom.rename, "v3") == (L.VIR_ERR_OPERATION_INVALID, L.VIR_FROM_DOMAIN)
    for both in (L.VIR_DOMAIN_UNDEFINE_NVRAM | L.VIR_DOMAIN_UNDEFINE_KEEP_NVRAM,
                 L.VIR_DOMAIN_UNDEFINE_TPM | L.VIR_DOMAIN_UNDEFINE_KEEP_TPM):
        assert code(dom.undefineFlags, both) == (L.VIR_ERR_OPERATION_INVALID, L.VIR_FROM_QEMU)
    assert code(dom.createWithFlags, L.VIR_DOMAIN_START_VALIDATE) == (L.VIR_ERR_INVALID_ARG, L.VIR_FROM_QEMU)  # no XML to validate
    assert code(dom.snapshotCreateXML, "") == (L.VIR_ERR_XML_DETAIL, L.VIR_FROM_DOMAIN_SNAPSHOT)
    assert code(dom.snapshotCreateXML, "<domain/>") == (L.VIR_ERR_XML_ERROR, L.VIR_FROM_XML)
    for name in ("a/b", ".", ".hidden"):
        snapshot = "<domainsnapshot><name>%s</name></domainsnapshot>" % name
        assert code(dom.snapshotCreateXML, snapshot, L.VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY) == (L.VIR_ERR_XML_DETAIL, L.VIR_FROM_QEMU)
    dom.create()
    assert code(dom.create) == (L.VIR_ERR_OPERATION_INVALID, L.VIR_FROM_QEMU)
    dom.suspend()
    assert code(dom.shutdown) == (L.VIR_ERR_OPERATION_INVALID, L.VIR_FROM_QEMU)
    dom.reboot()
    dom.resume()
    for text, want in (("", (L.VIR_ERR_XML_DETAIL, L.VIR_FROM_DOMAIN)), ("<domain/>", (L.VIR_ERR_XML_ERROR, L.VIR_FROM_XML))):
        assert code(dom.blockCopy, "vda", text) == want
    assert code(conn.createXML, domain_xml("vm", real=False)) == (L.VIR_ERR_OPERATION_INVALID, L.VIR_FROM_DOMAIN)
    assert code(dom.blockStats, "vdz")[0] == L.VIR_ERR_INVALID_ARG
    assert code(dom.interfaceStats, "vnet99") == (L.VIR_ERR_INVALID_ARG, L.VIR_FROM_DOMAIN)
    assert dom.interfaceAddresses(L.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_LEASE) == {}


def test_no_agent(conn, domain_xml):
    """No agent channel in the definition: VIR_ERR_ARGUMENT_UNSUPPORTED; a channel nobody answers on: VIR_ERR_AGENT_UNRESPONSIVE."""
    dom = conn.createXML(domain_xml("vm", real=False))
    assert code(dom.shutdownFlags, L.VIR_DOMAIN_SHUTDOWN_GUEST_AGENT)[0] == L.VIR_ERR_ARGUMENT_UNSUPPORTED
    dom.destroy()
    channel = "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>"
    dom = conn.createXML(domain_xml("vm", real=False, devices=channel))
    assert code(dom.shutdownFlags, L.VIR_DOMAIN_SHUTDOWN_GUEST_AGENT) == (L.VIR_ERR_AGENT_UNRESPONSIVE, L.VIR_FROM_QEMU)
    assert code(dom.vcpusFlags, L.VIR_DOMAIN_VCPU_GUEST) == (L.VIR_ERR_AGENT_UNRESPONSIVE, L.VIR_FROM_QEMU)


@pytest.mark.parametrize("call", ["fsInfo", "fsFreeze", "getTime"])
def test_no_agent_for(conn, domain_xml, call):
    channel = "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>"
    dom = conn.createXML(domain_xml("vm", real=False, devices=channel))
    assert code(getattr(dom, call)) == (L.VIR_ERR_AGENT_UNRESPONSIVE, L.VIR_FROM_QEMU)
    dom.suspend()
    assert code(getattr(dom, call)) == (L.VIR_ERR_OPERATION_INVALID, L.VIR_FROM_QEMU)
    dom.destroy()
    dom = conn.createXML(domain_xml("vm", real=False))
    assert code(getattr(dom, call)) == (L.VIR_ERR_ARGUMENT_UNSUPPORTED, L.VIR_FROM_QEMU)


# ---- numbers ---------------------------------------------------------------------------------------------------------------

def test_memory_statistics(conn, domain_xml):
    dom = conn.createXML(domain_xml("vm"))
    boot(conn, dom)
    stats = dom.memoryStats()
    assert stats["actual"] == 128 * 1024 and stats["rss"] > 1000 and "last_update" in stats
    assert dom.setMemoryStatsPeriod(1, L.VIR_DOMAIN_AFFECT_LIVE) == 0
    end = time.monotonic() + 20
    while "unused" not in dom.memoryStats():
        assert time.monotonic() < end, dom.memoryStats()
        time.sleep(0.2)
    stats = dom.memoryStats()
    assert stats["last_update"] > 0 and 0 < stats["available"] <= 128 * 1024 and 0 < stats["unused"] < stats["available"]
    root = ElementTree.fromstring(dom.XMLDesc(0))
    assert root.find("devices/memballoon/stats").get("period") == "1"


def test_cpu_statistics(conn, domain_xml):
    dom = conn.createXML(domain_xml("vm", real=False, vcpu="2"))
    infos, maps = dom.vcpus()
    assert [i[0] for i in infos] == [0, 1] and all(i[1] == L.VIR_VCPU_RUNNING for i in infos)
    assert len(maps) == 2 and all(any(m) for m in maps)
    stats = dom.vcpuPinInfo()
    assert len(stats) == 2
    for query in (dom.vcpuPinInfo, dom.emulatorPinInfo):  # of a definition that is not there
        assert code(query, L.VIR_DOMAIN_AFFECT_CONFIG) == (L.VIR_ERR_OPERATION_INVALID, L.VIR_FROM_DOMAIN)
    off = conn.defineXML(domain_xml("off", real=False))
    for query in (off.vcpuPinInfo, off.emulatorPinInfo, off.ioThreadInfo):
        assert code(query, L.VIR_DOMAIN_AFFECT_LIVE) == (L.VIR_ERR_OPERATION_INVALID, L.VIR_FROM_DOMAIN)
    assert code(off.backupGetXMLDesc) == (L.VIR_ERR_NO_DOMAIN_BACKUP, L.VIR_FROM_QEMU)
    off.undefine()
    assert dom.maxVcpus() == 2 and dom.vcpusFlags(L.VIR_DOMAIN_AFFECT_LIVE) == 2
    (_, all_stats), = conn.getAllDomainStats(L.VIR_DOMAIN_STATS_VCPU | L.VIR_DOMAIN_STATS_CPU_TOTAL)
    assert all_stats["vcpu.current"] == 2 and all_stats["vcpu.1.state"] == L.VIR_VCPU_RUNNING
    assert all_stats["vcpu.0.time"] >= 0


def test_block_statistics(server, conn, domain_xml):
    path = server.image("d.qcow2", "64M")
    dom = conn.createXML(domain_xml("vm", devices=xml.disk(path)))
    console = boot(conn, dom)
    console.send("dd if=/dev/vda of=/dev/null bs=64k count=16; dd if=/dev/zero of=/dev/vda bs=64k count=4 oflag=direct; echo do''ne\n")
    console.expect("done")
    reads, read_bytes, writes, write_bytes, errors = dom.blockStats("vda")
    assert reads > 0 and read_bytes >= 16 * 65536 and writes > 0 and write_bytes >= 4 * 65536 and errors == -1
    assert dom.blockStats(path) == (reads, read_bytes, writes, write_bytes, errors)
    assert dom.blockStats("")[0] == reads        # all disks
    flags = dom.blockStatsFlags("vda")
    assert flags["rd_bytes"] == read_bytes and flags["wr_operations"] == writes and "flush_operations" in flags
    capacity, allocation, physical = dom.blockInfo("vda")
    assert capacity == 64 << 20 and 0 < allocation and 0 < physical
    (_, stats), = conn.getAllDomainStats(L.VIR_DOMAIN_STATS_BLOCK)
    assert stats["block.count"] == 1 and stats["block.0.name"] == "vda" and stats["block.0.path"] == path
    assert stats["block.0.rd.bytes"] == read_bytes and stats["block.0.capacity"] == 64 << 20
    assert code(dom.blockStats, "vdz")[0] == L.VIR_ERR_INVALID_ARG
    dom.destroy()


def test_block_info_of_a_machine_that_is_off(server, conn, domain_xml):
    path = server.image("off.qcow2", "64M")
    dom = conn.defineXML(domain_xml("vm", real=False, devices=xml.disk(path)))
    capacity, allocation, physical = dom.blockInfo("vda")
    assert capacity == 64 << 20 and 0 < allocation <= 1 << 20 and 0 < physical <= 1 << 20
    assert dom.blockInfo(path) == [capacity, allocation, physical]


def test_interface_statistics(server, conn, domain_xml):
    dom = conn.createXML(domain_xml("vm", devices=BRIDGE))
    tap = ElementTree.fromstring(dom.XMLDesc(0)).find("devices/interface/target").get("dev")
    assert tap.startswith("vnet")
    assert "master berth-br0" in server.box.run(["ip", "link", "show", tap]).stdout
    console = boot(conn, dom)
    console.send("ip link set eth0 up; ip addr add 10.77.0.2/24 dev eth0; arping -c 2 -I eth0 10.77.0.1; echo do''ne\n")
    console.expect("done")
    stats = dom.interfaceStats(tap)
    assert len(stats) == 8 and stats[0] > 0 and stats[1] > 0
    assert dom.interfaceStats("52:54:00:12:34:56") == stats
    (_, all_stats), = conn.getAllDomainStats(L.VIR_DOMAIN_STATS_INTERFACE)
    assert all_stats["net.count"] == 1 and all_stats["net.0.name"] == tap and all_stats["net.0.rx.bytes"] >= stats[0]
    dom.destroy()
    assert tap not in server.box.run(["ip", "link"]).stdout


def test_statistics_of_chosen_domains(conn, domain_xml):
    conn.createXML(domain_xml("on", real=False))
    off = conn.defineXML(domain_xml("off", real=False))

    def names(flags):
        return sorted(d.name() for d, _ in conn.getAllDomainStats(0, flags))

    assert names(0) == ["off", "on"]
    assert names(L.VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE) == ["on"]
    assert names(L.VIR_CONNECT_GET_ALL_DOMAINS_STATS_INACTIVE) == ["off"]
    assert names(L.VIR_CONNECT_GET_ALL_DOMAINS_STATS_PERSISTENT) == ["off"]
    assert names(L.VIR_CONNECT_GET_ALL_DOMAINS_STATS_TRANSIENT) == ["on"]
    assert names(L.VIR_CONNECT_GET_ALL_DOMAINS_STATS_RUNNING) == ["on"]
    assert names(L.VIR_CONNECT_GET_ALL_DOMAINS_STATS_SHUTOFF) == ["off"]
    assert names(L.VIR_CONNECT_GET_ALL_DOMAINS_STATS_PAUSED) == []
    (dom, stats), = conn.domainListGetStats([off], L.VIR_DOMAIN_STATS_STATE | L.VIR_DOMAIN_STATS_BALLOON)
    assert dom.name() == "off" and stats["state.state"] == L.VIR_DOMAIN_SHUTOFF and stats["balloon.maximum"] == 128 * 1024
    gone = conn.defineXML(domain_xml("gone", real=False))
    gone.undefine()
    assert [d.name() for d, _ in conn.domainListGetStats([gone, off], L.VIR_DOMAIN_STATS_STATE)] == ["off"]
    assert conn.domainListGetStats([gone], L.VIR_DOMAIN_STATS_STATE) == []
    known = L.VIR_DOMAIN_STATS_STATE | L.VIR_DOMAIN_STATS_CPU_TOTAL | L.VIR_DOMAIN_STATS_BALLOON | L.VIR_DOMAIN_STATS_VCPU \
        | L.VIR_DOMAIN_STATS_INTERFACE | L.VIR_DOMAIN_STATS_BLOCK
    assert len(conn.getAllDomainStats(known, L.VIR_CONNECT_GET_ALL_DOMAINS_STATS_ENFORCE_STATS)) == 2
    assert code(conn.getAllDomainStats, 1 << 30, L.VIR_CONNECT_GET_ALL_DOMAINS_STATS_ENFORCE_STATS)[0] \
        == L.VIR_ERR_ARGUMENT_UNSUPPORTED
    assert code(conn.getAllDomainStats, 0, 1 << 25)[0] == L.VIR_ERR_INVALID_ARG


def test_job_information(conn, domain_xml):
    dom = conn.createXML(domain_xml("vm", real=False))
    assert dom.jobInfo()[0] == L.VIR_DOMAIN_JOB_NONE
    assert dom.jobStats() == {"type": L.VIR_DOMAIN_JOB_NONE}
    assert dom.jobStats(L.VIR_DOMAIN_JOB_STATS_COMPLETED) == {"type": L.VIR_DOMAIN_JOB_NONE}
    assert code(dom.abortJob)[0] == L.VIR_ERR_OPERATION_INVALID


# ---- what a machine offers ---------------------------------------------------------------------------------------------------

def test_paused_start(conn, domain_xml):
    dom = conn.createXML(domain_xml("vm", real=False), L.VIR_DOMAIN_START_PAUSED)
    assert dom.state() == [L.VIR_DOMAIN_PAUSED, L.VIR_DOMAIN_PAUSED_USER]
    dom.resume()
    assert dom.state() == [L.VIR_DOMAIN_RUNNING, L.VIR_DOMAIN_RUNNING_UNPAUSED]
    dom.suspend()
    assert dom.state() == [L.VIR_DOMAIN_PAUSED, L.VIR_DOMAIN_PAUSED_USER]


def test_console_by_callbacks(conn, domain_xml):
    """A non-blocking stream in the event loop; the end of the machine is the end of the stream."""
    dom = conn.createXML(domain_xml("vm"), L.VIR_DOMAIN_START_PAUSED)
    console = Text(conn, dom)
    dom.resume()
    console.expect(MARKER)
    console.expect(PROMPT)
    console.send("echo $((6*7))-answer\n")
    console.expect("42-answer")
    with console.cond:
        console.seen = b""
    console.send("seq 1 3000; echo la''st\n")
    console.expect("last")
    assert b"\n2999\r\n3000\r\n" in console.seen
    assert console.seen.count(b"\n") >= 3000
    dom.destroy()
    with console.cond:
        assert console.cond.wait_for(lambda: console.ended, 20)


def png_chunks(data):
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    data = data[8:]
    while data:
        size, kind = struct.unpack(">I4s", data[:8])
        body = data[8:8 + size]
        assert zlib.crc32(kind + body) == struct.unpack(">I", data[8 + size:12 + size])[0]
        yield kind, body
        data = data[12 + size:]


def test_screenshot_is_a_whole_picture(conn, domain_xml):
    dom = conn.createXML(domain_xml("vm", real=False, devices=VNC))
    stream = conn.newStream()
    assert dom.screenshot(stream, 0) == "image/png"
    image = b""
    while True:
        data = stream.recv(65536)
        if not data:
            break
        image += data
    stream.finish()
    chunks = list(png_chunks(image))
    assert chunks[0][0] == b"IHDR" and chunks[-1][0] == b"IEND"
    width, height = struct.unpack(">II", chunks[0][1][:8])
    pixels = zlib.decompress(b"".join(body for kind, body in chunks if kind == b"IDAT"))
    assert width >= 640 and height >= 350 and len(pixels) >= width * height
    assert code(dom.screenshot, conn.newStream(), 9)[0] in (L.VIR_ERR_INVALID_ARG, L.VIR_ERR_OPERATION_INVALID)


def test_monitor_command(conn, domain_xml, server_kind):
    dom = conn.createXML(domain_xml("vm", real=False))
    answer = json.loads(libvirt_qemu.qemuMonitorCommand(dom, json.dumps({"execute": "query-name"}), 0))
    assert answer["return"]["name"] == "vm"
    failed = json.loads(libvirt_qemu.qemuMonitorCommand(dom, '{"execute":"no-such"}', 0))
    assert failed["error"]["class"] == "CommandNotFound"
    assert "running" in libvirt_qemu.qemuMonitorCommand(dom, "info status", libvirt_qemu.VIR_DOMAIN_QEMU_MONITOR_COMMAND_HMP)
    assert code(libvirt_qemu.qemuMonitorCommand, dom, "no JSON", 0)[0] == L.VIR_ERR_INTERNAL_ERROR
    too_much = ("[" * 1500 + "]" * 1500, "[%s0]" % ("0," * 1100000))  # QEMU would answer more than once
    for value in too_much if server_kind == "berthd" else ():
        assert code(libvirt_qemu.qemuMonitorCommand, dom, '{"execute":"query-name","arguments":%s}' % value, 0)[0] == L.VIR_ERR_INVALID_ARG
        assert json.loads(libvirt_qemu.qemuMonitorCommand(dom, '{"execute":"query-name"}', 0)) == answer


def test_monitor_events(conn, domain_xml):
    dom = conn.createXML(domain_xml("vm", real=False))
    seen, cond = [], threading.Condition()

    def callback(_conn, machine, event, seconds, micros, details, opaque):
        with cond:
            seen.append((machine.name(), event, seconds, details, opaque))
            cond.notify_all()

    all_events = libvirt_qemu.qemuMonitorEventRegister(conn, None, None, callback, "all", 0)
    only_stop = libvirt_qemu.qemuMonitorEventRegister(conn, dom, "stop", callback, "stop",
                                                      libvirt_qemu.VIR_CONNECT_DOMAIN_QEMU_MONITOR_EVENT_REGISTER_NOCASE)
    by_pattern = libvirt_qemu.qemuMonitorEventRegister(conn, None, "^RE[A-Z]+$", callback, "pattern",
                                                       libvirt_qemu.VIR_CONNECT_DOMAIN_QEMU_MONITOR_EVENT_REGISTER_REGEX)
    dom.suspend()
    dom.resume()
    with cond:
        assert cond.wait_for(lambda: len(seen) >= 4, 20), seen
    assert sorted((e, o) for _, e, _, _, o in seen) == [("RESUME", "all"), ("RESUME", "pattern"), ("STOP", "all"), ("STOP", "stop")]
    assert all(n == "vm" and s > 1000000000 and d in (None, "{}") for n, _, s, d, _ in seen)
    for handle in (all_events, only_stop, by_pattern):
        libvirt_qemu.qemuMonitorEventDeregister(conn, handle)
    dom.suspend()
    dom.resume()
    assert len(seen) == 4


def test_metadata(conn, domain_xml):
    dom = conn.createXML(domain_xml("vm", real=False))
    dom.setMetadata(L.VIR_DOMAIN_METADATA_TITLE, "a title", None, None)
    dom.setMetadata(L.VIR_DOMAIN_METADATA_DESCRIPTION, "a < description\nof two lines", None, None)
    dom.setMetadata(L.VIR_DOMAIN_METADATA_ELEMENT, "<app a='1'><b>text</b></app>", "k", "urn:test")
    assert dom.metadata(L.VIR_DOMAIN_METADATA_TITLE, None) == "a title"
    assert dom.metadata(L.VIR_DOMAIN_METADATA_DESCRIPTION, None) == "a < description\nof two lines"
    assert ElementTree.fromstring(dom.metadata(L.VIR_DOMAIN_METADATA_ELEMENT, "urn:test")).find("b").text == "text"
    assert "<k:app xmlns:k=\"urn:test\" a=\"1\">" in dom.XMLDesc(0)
    dom.setMetadata(L.VIR_DOMAIN_METADATA_ELEMENT, None, "k", "urn:test")
    assert code(dom.metadata, L.VIR_DOMAIN_METADATA_ELEMENT, "urn:test")[0] == L.VIR_ERR_NO_DOMAIN_METADATA


def test_send_key(conn, domain_xml):
    dom = conn.createXML(domain_xml("vm", real=False, devices=VNC))
    assert dom.sendKey(L.VIR_KEYCODE_SET_LINUX, 50, [29, 56, 111], 3, 0) == 0
    assert dom.injectNMI() == 0
    assert code(dom.sendKey, 99, 50, [29], 1, 0)[0] in (L.VIR_ERR_INVALID_ARG, L.VIR_ERR_OPERATION_FAILED)


# ---- the machine libguestfs makes --------------------------------------------------------------------------------------------

APPLIANCE = """<domain type="qemu" xmlns:qemu="http://libvirt.org/schemas/domain/qemu/1.0">
  <name>guestfs-appliance</name>
  <memory unit="MiB">192</memory>
  <currentMemory unit="MiB">192</currentMemory>
  <vcpu>1</vcpu>
  <clock offset="utc"><timer name="rtc" tickpolicy="catchup"/><timer name="pit" tickpolicy="delay"/></clock>
  <os>
    <type>hvm</type>
    <kernel>%(kernel)s</kernel><initrd>%(initrd)s</initrd>
    <cmdline>panic=1 console=ttyS0 root=/dev/sdb</cmdline>
    <bios useserial="yes"/>
  </os>
  <cpu mode="maximum"><feature policy="disable" name="la57"/></cpu>
  <on_reboot>destroy</on_reboot>
  <devices>
    <rng model="virtio"><backend model="random">/dev/urandom</backend></rng>
    <controller type="scsi" index="0" model="virtio-scsi"/>
    <disk device="disk" type="file"><source file="%(disk)s"/><target dev="sda" bus="scsi"/>
      <driver name="qemu" type="qcow2" cache="writeback"/><address type="drive" controller="0" bus="0" target="0" unit="0"/></disk>
    <disk type="file" device="disk"><source file="%(overlay)s"/><target dev="sdb" bus="scsi"/>
      <driver name="qemu" type="qcow2" cache="unsafe"/><address type="drive" controller="0" bus="0" target="1" unit="0"/></disk>
    <serial type="unix"><source mode="connect" path="%(console)s"/><target port="0"/></serial>
    <channel type="unix"><source mode="connect" path="%(channel)s"/><target type="virtio" name="org.libguestfs.channel.0"/></channel>
    <controller type="usb" model="none"/>
    <memballoon model="none"/>
  </devices>
  <qemu:commandline><qemu:env name="TMPDIR" value="/var/tmp"/></qemu:commandline>
</domain>"""


def test_machine_of_libguestfs(server, conn, guest):
    """QEMU connects to sockets the client listens on; closing the connection ends the machine."""
    directory = server.box.path("guestfs")
    os.mkdir(directory, 0o755)
    listeners = {}
    for name in ("console", "channel"):
        listeners[name] = socket.socket(socket.AF_UNIX)
        listeners[name].bind(os.path.join(directory, name))
        os.chmod(os.path.join(directory, name), 0o777)
        listeners[name].listen(1)
        listeners[name].settimeout(60)
    text = APPLIANCE % {"kernel": guest.kernel, "initrd": guest.initrd, "disk": server.image("a.qcow2"),
                        "overlay": server.image("b.qcow2"), "console": directory + "/console", "channel": directory + "/channel"}
    owner = server.connect()
    dom = owner.createXML(text, L.VIR_DOMAIN_START_AUTODESTROY)
    console, _ = listeners["console"].accept()
    listeners["channel"].accept()[0].close()
    console.settimeout(60)
    seen = b""
    while MARKER.encode() not in seen:
        seen += console.recv(4096)
    root = ElementTree.fromstring(dom.XMLDesc(0))
    assert root.find("os/type").get("machine").startswith("pc-") and root.findtext("devices/emulator")
    recorder = events.Recorder(conn)
    dom = None
    owner.close()
    assert recorder.lifecycle("guestfs-appliance", L.VIR_DOMAIN_EVENT_STOPPED) == L.VIR_DOMAIN_EVENT_STOPPED_DESTROYED
    while console.recv(4096):
        pass
    recorder.close()
    for listener in listeners.values():
        listener.close()
    console.close()
