"""Procedures of domains through the bindings: values, flags, errors; streams; threads that share a connection."""

import os
import threading

import libvirt
import pytest

from lib import xml
from lib.guest import PROMPT

L = libvirt


def code(call, *args):
    """Error code and origin of a call that must fail."""
    with pytest.raises(L.libvirtError) as failed:
        call(*args)
    return failed.value.get_error_code(), failed.value.get_error_domain()


@pytest.fixture
def running(conn, domain_xml):
    return conn.createXML(domain_xml("vm", real=False))


def test_errors_clients_match_on(conn, domain_xml):
    assert code(conn.lookupByName, "nope") == (L.VIR_ERR_NO_DOMAIN, L.VIR_FROM_QEMU)
    assert code(conn.lookupByID, 4711) == (L.VIR_ERR_NO_DOMAIN, L.VIR_FROM_QEMU)
    assert code(conn.lookupByUUIDString, "11111111-2222-3333-4444-555555555555") == (L.VIR_ERR_NO_DOMAIN, L.VIR_FROM_QEMU)
    assert code(conn.defineXML, "<domain/>")[0] in (L.VIR_ERR_NO_NAME, L.VIR_ERR_XML_ERROR)
    assert code(conn.defineXML, "no XML")[0] == L.VIR_ERR_XML_DETAIL
    dom = conn.defineXML(domain_xml("vm", real=False))
    assert code(dom.destroy) == (L.VIR_ERR_OPERATION_INVALID, L.VIR_FROM_DOMAIN)
    assert code(dom.suspend)[0] == L.VIR_ERR_OPERATION_INVALID
    assert code(dom.createWithFlags, 1 << 30)[0] == L.VIR_ERR_INVALID_ARG


def test_state_and_info(conn, running):
    assert running.state() == [L.VIR_DOMAIN_RUNNING, L.VIR_DOMAIN_RUNNING_BOOTED]
    assert running.info()[:4] == [L.VIR_DOMAIN_RUNNING, 128 * 1024, 128 * 1024, 1]
    assert running.controlInfo()[0] == L.VIR_DOMAIN_CONTROL_OK
    assert running.isActive() == 1 and running.isPersistent() == 0 and running.isUpdated() == 0
    assert running.ID() > 0 and conn.listDomainsID() == [running.ID()] and conn.numOfDomains() == 1
    assert running.OSType() == "hvm" and running.maxMemory() == 128 * 1024 and running.maxVcpus() == 1
    assert running.jobInfo()[0] == L.VIR_DOMAIN_JOB_NONE
    running.destroy()
    assert code(conn.lookupByName, "vm")[0] == L.VIR_ERR_NO_DOMAIN


def test_what_a_start_chooses(conn):
    """The socket of a channel nobody named, of this life only; but no port for a display that is told not to have one chosen."""
    channel = "<channel type='unix'><target type='virtio'/></channel>"
    dom = conn.createXML(xml.domain("vm", devices=channel), L.VIR_DOMAIN_START_PAUSED)
    chosen = "/channel/target/domain-%d-vm/vioser-00-00-01.sock'" % dom.ID()
    assert chosen in dom.XMLDesc()
    assert chosen not in conn.defineXML(dom.XMLDesc()).XMLDesc(L.VIR_DOMAIN_XML_INACTIVE)
    dom.destroy()
    mute = xml.domain("vm", devices="<graphics type='vnc' port='0' autoport='no'/>")
    assert code(conn.defineXML(mute).create) == (L.VIR_ERR_CONFIG_UNSUPPORTED, L.VIR_FROM_QEMU)


def test_statistics_of_all(conn, running):
    (dom, stats), = conn.getAllDomainStats(0, 0)
    assert dom.name() == "vm"
    assert stats["state.state"] == L.VIR_DOMAIN_RUNNING and stats["vcpu.current"] == 1 and stats["balloon.current"] == 128 * 1024
    assert stats["block.count"] == 0 and stats["net.count"] == 0 and stats["cpu.time"] > 0
    only = conn.getAllDomainStats(L.VIR_DOMAIN_STATS_STATE, L.VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT)
    assert set(only[0][1]) == {"state.state", "state.reason"}


def test_autodestroy_ends_with_its_connection(server, conn, recorder, domain_xml):
    other = server.connect()
    other.createXML(domain_xml("vm", real=False), L.VIR_DOMAIN_START_AUTODESTROY)
    recorder.lifecycle("vm", L.VIR_DOMAIN_EVENT_STARTED)
    other.close()
    assert recorder.lifecycle("vm", L.VIR_DOMAIN_EVENT_STOPPED) == L.VIR_DOMAIN_EVENT_STOPPED_DESTROYED
    assert conn.listAllDomains() == []


def test_list_filters(conn, running, domain_xml):
    conn.defineXML(domain_xml("off", real=False))

    def names(flags):
        return sorted(d.name() for d in conn.listAllDomains(flags))

    assert names(0) == ["off", "vm"]
    assert names(L.VIR_CONNECT_LIST_DOMAINS_ACTIVE) == ["vm"]
    assert names(L.VIR_CONNECT_LIST_DOMAINS_INACTIVE) == ["off"]
    assert names(L.VIR_CONNECT_LIST_DOMAINS_TRANSIENT) == ["vm"]
    assert names(L.VIR_CONNECT_LIST_DOMAINS_PERSISTENT) == ["off"]
    assert names(L.VIR_CONNECT_LIST_DOMAINS_RUNNING) == ["vm"]
    assert names(L.VIR_CONNECT_LIST_DOMAINS_SHUTOFF) == ["off"]
    assert names(L.VIR_CONNECT_LIST_DOMAINS_PAUSED) == []
    assert names(L.VIR_CONNECT_LIST_DOMAINS_NO_AUTOSTART) == ["off", "vm"]
    assert names(L.VIR_CONNECT_LIST_DOMAINS_NO_MANAGEDSAVE) == ["off", "vm"]
    assert conn.listDefinedDomains() == ["off"]


def test_console_stream(conn, domain_xml):
    """A stream both ways, and the second user refused unless he forces."""
    dom = conn.createXML(domain_xml("vm"), L.VIR_DOMAIN_START_PAUSED)
    stream = conn.newStream(0)
    dom.openConsole(None, stream, L.VIR_DOMAIN_CONSOLE_SAFE)
    second = conn.newStream(0)
    assert code(dom.openConsole, None, second, L.VIR_DOMAIN_CONSOLE_SAFE)[0] == L.VIR_ERR_OPERATION_FAILED
    dom.resume()
    seen = b""
    while PROMPT.encode() not in seen:
        data = stream.recv(1024)
        assert data, seen
        seen += data
    stream.send(b"echo $((6*7))-answer\n")
    while b"42-answer" not in seen:
        data = stream.recv(1024)
        assert data, seen
        seen += data
    third = conn.newStream(0)
    dom.openConsole(None, third, L.VIR_DOMAIN_CONSOLE_FORCE)
    third.abort()
    try:
        stream.abort()
    except L.libvirtError:
        pass
    dom.destroy()


def test_second_user_of_a_channel(conn, domain_xml):
    dom = conn.createXML(domain_xml("vm", real=False, devices="<channel type='unix'><target type='virtio' name='c.0'/></channel>"))
    dom.openChannel("c.0", conn.newStream(0), 0)
    with pytest.raises(L.libvirtError, match="Active channel stream exists for this domain"):
        dom.openChannel("c.0", conn.newStream(0), 0)
    dom.openChannel("c.0", conn.newStream(0), L.VIR_DOMAIN_CHANNEL_FORCE)


def test_screenshot_stream(conn, domain_xml):
    dom = conn.createXML(domain_xml("vm", real=False,
                                    devices="<graphics type='vnc' port='-1'/><video><model type='vga'/></video>"))
    stream = conn.newStream(0)
    assert dom.screenshot(stream, 0, 0) == "image/png"
    image = b""
    stream.recvAll(lambda _s, data, _o: globals().__setitem__("_shot", globals().get("_shot", b"") + data), None)
    image = globals().pop("_shot")
    stream.finish()
    assert image[:4] == b"\x89PNG" and len(image) > 200
    dom.destroy()


def test_threads_share_a_connection(conn, running):
    """Replies come to the right caller, whatever their order."""
    failures = []

    def work(number):
        try:
            for _ in range(50):
                assert conn.lookupByName("vm").name() == "vm"
                assert "<name>vm</name>" in running.XMLDesc(0)
                assert code(conn.lookupByName, "nope-%d" % number)[0] == L.VIR_ERR_NO_DOMAIN
        except BaseException as why:
            failures.append(why)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failures and not any(t.is_alive() for t in threads)


def test_read_only_connection(server, conn, running):
    looking = server.connect(readonly=True)
    dom = looking.lookupByName("vm")
    assert dom.state()[0] == L.VIR_DOMAIN_RUNNING
    assert code(dom.destroy)[0] == L.VIR_ERR_OPERATION_DENIED
    assert code(looking.defineXML, "<domain/>")[0] == L.VIR_ERR_OPERATION_DENIED
    assert code(dom.XMLDesc, L.VIR_DOMAIN_XML_SECURE)[0] == L.VIR_ERR_OPERATION_DENIED
    looking.close()


def test_graphics_descriptor(conn, domain_xml):
    import os
    dom = conn.createXML(domain_xml("vm", real=False, devices="<graphics type='vnc' port='-1'/><video><model type='vga'/></video>"))
    fd = dom.openGraphicsFD(0, 0)
    assert os.read(fd, 12).startswith(b"RFB ")
    os.close(fd)
    dom.destroy()


def test_domain_without_its_disk_fails_and_says_why(conn, domain_xml):
    with pytest.raises(L.libvirtError) as failed:
        conn.createXML(domain_xml("vm", real=False, devices=xml.disk("/nonexistent/disk.raw", fmt="raw")))
    assert "/nonexistent/disk.raw" in str(failed.value)
    assert conn.listAllDomains() == []


def test_block_info_and_statistics_of_a_machine_that_is_off(server, conn, domain_xml):
    image = server.image("off.qcow2", "64M")
    gone = server.image("gone.qcow2", "16M")
    devices = xml.disk(image) + xml.disk(gone, "vdb") + "<disk type='file' device='cdrom'><target dev='sda' bus='sata'/></disk>"
    dom = conn.defineXML(domain_xml("off", real=False, devices=devices))
    capacity, allocation, physical = dom.blockInfo("vda")
    assert capacity == 64 << 20 and 0 < allocation < 1 << 20 and 0 < physical < 1 << 20
    assert code(dom.blockInfo, "sda")[0] == L.VIR_ERR_INVALID_ARG
    os.unlink(server.box.path("lib", "images", "gone.qcow2"))
    (_, stats), = conn.domainListGetStats([dom], L.VIR_DOMAIN_STATS_BLOCK)
    assert stats["block.count"] == 3 and stats["block.0.capacity"] == 64 << 20 and stats["block.0.allocation"] == allocation
    assert "block.1.capacity" not in stats and "block.2.path" not in stats
    dom.undefine()


def test_messages_of_a_running_machine(conn, domain_xml):
    """What is unusual about a machine, in the words programs show."""
    commandline = ("<qemu:commandline xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'><qemu:arg value='-no-user-config'/>"
                   "</qemu:commandline></domain>")
    plain = conn.createXML(domain_xml("plain", real=False))
    assert plain.messages() == []
    plain.destroy()
    dom = conn.createXML(domain_xml("odd", real=False, machine="pc-i440fx-1.7").replace("</domain>", commandline))
    assert dom.messages() == ["tainted: custom configuration parameters specified", "tainted: use of deprecated configuration settings",
                              "deprecated configuration: machine type 'pc-i440fx-1.7'"]
    assert code(dom.messages, 4)[0] in (L.VIR_ERR_CONFIG_UNSUPPORTED, L.VIR_ERR_INVALID_ARG)  # later libvirt: I/O errors
    assert dom.messages(L.VIR_DOMAIN_MESSAGE_DEPRECATION) == ["deprecated configuration: machine type 'pc-i440fx-1.7'"]
    dom.destroy()


def test_groups_of_statistics_without_numbers(conn, running):
    """Known groups pass ENFORCE_STATS though there is nothing to count."""
    for group in (L.VIR_DOMAIN_STATS_IOTHREAD, L.VIR_DOMAIN_STATS_PERF, L.VIR_DOMAIN_STATS_MEMORY):
        assert [stats for _, stats in conn.getAllDomainStats(group, L.VIR_CONNECT_GET_ALL_DOMAINS_STATS_ENFORCE_STATS)] == [{}]
    (_, stats), = conn.getAllDomainStats(L.VIR_DOMAIN_STATS_DIRTYRATE, L.VIR_CONNECT_GET_ALL_DOMAINS_STATS_ENFORCE_STATS)
    assert stats["dirtyrate.calc_status"] == L.VIR_DOMAIN_DIRTYRATE_UNSTARTED and stats["dirtyrate.calc_mode"] == "page-sampling"
    assert running.diskErrors() == {} and running.listAllSnapshots() == [] and running.ioThreadInfo() == []
    assert code(running.snapshotCurrent)[0] == L.VIR_ERR_NO_DOMAIN_SNAPSHOT
    assert code(running.snapshotLookupByName, "none")[0] == L.VIR_ERR_NO_DOMAIN_SNAPSHOT
    assert code(running.checkpointLookupByName, "none")[0] == L.VIR_ERR_NO_DOMAIN_CHECKPOINT
    assert code(running.pMWakeup)[0] == L.VIR_ERR_INTERNAL_ERROR


def test_cpus_compared_and_reduced(conn):
    nehalem = "<cpu mode='custom' match='exact'><model>Nehalem</model></cpu>"
    of_any = (None, None, None, None)
    assert conn.compareHypervisorCPU(*of_any, "<cpu/>", 0) == L.VIR_CPU_COMPARE_SUPERSET
    assert conn.compareCPU("<cpu><arch>ppc64</arch><model>POWER8</model></cpu>", 0) == L.VIR_CPU_COMPARE_INCOMPATIBLE
    fail = L.VIR_CONNECT_COMPARE_CPU_FAIL_INCOMPATIBLE
    unknown = "<cpu><arch>x86_64</arch><model>qemu64</model><unknown/></cpu>"  # passes only where nobody asks for a check
    assert conn.compareCPU(unknown, 0) != L.VIR_CPU_COMPARE_ERROR
    code(conn.compareCPU, unknown, L.VIR_CONNECT_COMPARE_CPU_VALIDATE_XML)
    code(conn.compareHypervisorCPU, *of_any, unknown, L.VIR_CONNECT_COMPARE_CPU_VALIDATE_XML)
    for later in (1, 2, 4):
        code(conn.getDomainCapabilities, None, None, None, None, later)
    impossible = "<cpu mode='custom' match='exact'><model>EPYC</model><feature policy='require' name='avx512f'/></cpu>"
    assert code(conn.compareHypervisorCPU, *of_any, impossible, fail) == (L.VIR_ERR_CPU_INCOMPATIBLE, L.VIR_FROM_CPU)
    for broken, number in (("<nope/>", L.VIR_ERR_XML_ERROR), ("<", L.VIR_ERR_XML_DETAIL),
                           ("<cpu><model>nope</model></cpu>", L.VIR_ERR_INTERNAL_ERROR)):
        assert code(conn.compareCPU, broken, 0) == (number, L.VIR_FROM_CPU)
        assert code(conn.baselineHypervisorCPU, *of_any, [broken], 0) == (number, L.VIR_FROM_CPU)
    assert "<model fallback='forbid'>Nehalem</model>" in conn.baselineHypervisorCPU(*of_any, [nehalem], 0)
    hosts = ["<cpu><arch>x86_64</arch><model>Westmere</model><feature name='avx'/></cpu>",
             "<cpu><arch>x86_64</arch><model>Westmere</model></cpu>"]
    shared = conn.baselineCPU(hosts, 0)
    assert "<model fallback='forbid'>Westmere</model>" in shared and "avx" not in shared
    assert "name='aes'" in conn.baselineCPU(hosts, L.VIR_CONNECT_BASELINE_CPU_EXPAND_FEATURES)
    assert code(conn.baselineCPU, [nehalem], 0) == (L.VIR_ERR_CONFIG_UNSUPPORTED, L.VIR_FROM_CPU)


def test_what_could_not_be_started_or_read_again_is_refused(conn, domain_xml):
    text = domain_xml("vm", real=False)
    assert code(conn.defineXML, text.replace("<vcpu>1<", "<vcpu>300<")) == (L.VIR_ERR_CONFIG_UNSUPPORTED, L.VIR_FROM_QEMU)
    two = "<panic model='isa'/><panic model='isa'/>"
    assert code(conn.defineXML, domain_xml("vm", real=False, devices=two)) == (L.VIR_ERR_XML_ERROR, L.VIR_FROM_DOMAIN)
    drive = "<address type='drive' controller='0' bus='0' target='0' unit='0'/>"
    assert code(conn.defineXML, domain_xml("vm", real=False, devices=xml.disk("/x", extra=drive)))[0] == L.VIR_ERR_CONFIG_UNSUPPORTED
    vendor = xml.disk("/x", "sda", "scsi", extra="<vendor>ninechars</vendor>")
    assert code(conn.defineXML, domain_xml("vm", real=False, devices=vendor))[0] == L.VIR_ERR_CONFIG_UNSUPPORTED
    dom = conn.defineXML(text)
    with pytest.raises(L.libvirtError):
        dom.setMetadata(L.VIR_DOMAIN_METADATA_ELEMENT, "<x/>", "1k", "urn:x", L.VIR_DOMAIN_AFFECT_CONFIG)
    assert conn.defineXML(dom.XMLDesc()).name() == "vm"
