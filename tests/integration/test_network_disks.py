"""Disks on servers of network block devices (qemu-nbd), and block jobs from and to them, with stock virsh and the bindings."""

import os
import re
import signal

import libvirt
import pytest

from lib import blockdev, events, xml as guest_xml
from lib.blockdev import IMAGES
from lib.console import VirshConsole
from lib.guest import PROMPT

L = libvirt
JOB, JOB_2 = L.VIR_DOMAIN_EVENT_ID_BLOCK_JOB, L.VIR_DOMAIN_EVENT_ID_BLOCK_JOB_2
COPY, ACTIVE = L.VIR_DOMAIN_BLOCK_JOB_TYPE_COPY, L.VIR_DOMAIN_BLOCK_JOB_TYPE_ACTIVE_COMMIT
COMPLETED, READY = L.VIR_DOMAIN_BLOCK_JOB_COMPLETED, L.VIR_DOMAIN_BLOCK_JOB_READY
TRANSIENT = L.VIR_DOMAIN_BLOCK_COPY_TRANSIENT_JOB
MIB = 1 << 20


class Nbd:
    """Servers inside the daemon's namespaces; they end with the sandbox, or by stop()."""

    def __init__(self, server):
        self.server = server
        self.pids = []

    def serve(self, name, fmt="raw", export="x"):
        """The image `name` on the socket NAME.sock; the socket's path."""
        socket = IMAGES + name + ".sock"
        pid_file = self.server.box.path("lib", "images", name + ".pid")
        argv = ["qemu-nbd", "-t", "-e", "8", "-x", export, "-f", fmt, "-k", socket, "--pid-file", IMAGES + name + ".pid", "--fork", IMAGES + name]
        assert self.server.box.popen(argv).wait() == 0
        os.chmod(self.server.box.path("lib", "images", name + ".sock"), 0o666)
        with open(pid_file) as text:
            self.pids.append(int(text.read()))
        return socket

    def stop(self):
        for pid in self.pids:
            pidfd = os.pidfd_open(pid)
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            os.close(pidfd)
        self.pids = []


def source(socket, export="x", more=""):
    return "<source protocol='nbd' name='%s'><host transport='unix' socket='%s'/>%s</source>" % (export, socket, more)


def disk(socket, fmt="raw", target="vda", more="", driver="", export="x"):
    return ("<disk type='network' device='disk'><driver name='qemu' type='%s'%s/>%s<target dev='%s' bus='virtio'/></disk>"
            % (fmt, driver, source(socket, export, more), target))


def to(socket, fmt="raw"):
    """What virsh blockcopy --xml takes."""
    return "<disk type='network'><driver type='%s'/>%s</disk>" % (fmt, source(socket))


@pytest.fixture
def images(server):
    for name in os.listdir(server.box.path("lib", "images")):
        os.unlink(server.box.path("lib", "images", name))
    return blockdev.Images(server)


@pytest.fixture
def nbd(server, images):
    made = Nbd(server)
    yield made
    made.stop()


@pytest.fixture
def heard(conn):
    recorder = events.Recorder(conn, [L.VIR_DOMAIN_EVENT_ID_LIFECYCLE, JOB, JOB_2])
    yield recorder
    recorder.close()


def jobs_heard(recorder):
    return [(event,) + args for event, _, args in recorder.seen if event in (JOB, JOB_2)]


def refused(call, code, text=""):
    with pytest.raises(L.libvirtError) as info:
        call()
    assert info.value.get_error_code() == code, info.value
    assert text in str(info.value), info.value


def source_of(dom, flags=0):
    """(type, socket, index) of the disk's image."""
    element = blockdev.disk_element(dom, flags=flags)
    src = element.find("source")
    host = src.find("host")
    return element.get("type"), host.get("socket") if host is not None else src.get("file"), src.get("index")


# ---- the disk ----------------------------------------------------------------------------------------------------------------


def test_disks_on_a_server(server, images, nbd, conn, server_kind):
    """Raw, and qcow2 with a backing file that only QEMU sees; numbers, words and what the guest's QEMU really has."""
    server.image("raw", "1M", "raw")
    server.image("base", "2M")
    server.image("top", None, backing=(IMAGES + "base", "qcow2"))
    raw, top = nbd.serve("raw"), nbd.serve("top")
    dom = conn.defineXML(guest_xml.domain("vm", memory=32, devices=disk(raw) + disk(top, "qcow2", "vdb", "<reconnect delay='3'/>", " cache='none'")))
    listed = server.sh("domblklist", "vm", "--details")
    assert re.search(r"network\s+disk\s+vda\s+x\b", listed), listed
    assert "tls=" not in dom.XMLDesc()
    dom.create()
    live = dom.XMLDesc()
    assert live.count("<source protocol='nbd' name='x' tls='no' index=") == 2
    assert "<backingStore" not in live  # nobody here read what the servers have
    sizes = {n["node-name"]: n["image"]["virtual-size"] for n in blockdev.monitor(dom, "query-named-block-nodes", flat=True)}
    assert sizes["libvirt-2-format"] == MIB and sizes["libvirt-1-format"] == 2 * MIB
    (_, argv), = server.box.qemus()
    if server_kind == "berthd":  # later libvirts have it too
        assert any('"reconnect-delay":3' in a and '"path":"%s"' % top in a for a in argv)
        assert "<reconnect delay='3'/>" in live
    assert dom.blockInfo("vda")[0] == MIB and dom.blockInfo("vdb")[0] == 2 * MIB
    stats = conn.domainListGetStats([dom], L.VIR_DOMAIN_STATS_BLOCK)[0][1]
    assert stats["block.count"] == 2 and stats["block.0.capacity"] == MIB and "block.0.path" not in stats
    assert dom.blockStats("vda")[1] >= 0 and dom.blockStatsFlags("vdb")
    inactive = dom.XMLDesc(L.VIR_DOMAIN_XML_INACTIVE)
    assert " index=" not in inactive[inactive.index("<disk"):inactive.rindex("</disk>")] and "tls=" not in inactive
    dom.destroy()
    nbd.stop()
    with pytest.raises(L.libvirtError) as info:
        dom.create()
    assert raw in str(info.value) or top in str(info.value)


WRITE = ("dd if=/dev/urandom of=/dev/vda bs=64k count=64 seek=%d 2>/dev/null; sync; md5sum /dev/vda | sed s/^/sum'%s'-/\n")


def test_data_of_a_guest_reaches_the_server(server, images, nbd, conn, domain_xml):
    """Written through a network disk, an overlay over it, after the commit into it and after a copy to another server."""
    server.image("one", "16M", "raw")
    server.image("two", "16M", "raw")
    one, two = nbd.serve("one"), nbd.serve("two")
    dom = conn.defineXML(domain_xml("vm", devices=disk(one, driver=" cache='none' discard='unmap'")))
    dom.create()
    sums = []
    with VirshConsole(server, "vm", "--force") as console:
        def write(step):
            console.send(WRITE % (step * 40, step))
            console.expect("sum%d-" % step)
            sums.append(console.expect(" ").strip())
            assert re.fullmatch("[0-9a-f]{32}", sums[-1]), sums
        console.send("\n")
        console.expect(PROMPT, timeout=300)
        write(0)
        server.sh("snapshot-create-as", "vm", "s", "--disk-only", "--no-metadata", "--diskspec", "vda,file=%sover" % IMAGES)
        write(1)
        server.sh("blockcommit", "vm", "vda", "--active", "--wait", "--pivot")
        write(2)
        server.sh("blockcopy", "vm", "vda", "--xml", server.file("to.xml", to(two)), "--wait", "--pivot", "--transient-job")
        assert images.run("md5sum", IMAGES + "one").split()[0] == sums[2]
        write(3)
    dom.destroy()
    nbd.stop()
    assert images.run("md5sum", IMAGES + "two").split()[0] == sums[3]
    assert images.run("md5sum", IMAGES + "one").split()[0] == sums[2]
    assert len(set(sums)) == 4


# ---- jobs --------------------------------------------------------------------------------------------------------------------


def test_copy_to_a_server_and_back(server, images, nbd, conn, heard, server_kind):
    top = images.layers("base", "top", size="32M", filled="2M")
    images.raw("top", "before")
    server.image("target", "32M", "raw")
    target = nbd.serve("target")
    dom = conn.defineXML(guest_xml.domain("vm", memory=32, devices=guest_xml.disk(top)))
    dom.create()
    out = server.sh("blockcopy", "vm", "vda", "--xml", server.file("to.xml", to(target)), "--wait", "--verbose", "--transient-job")
    assert "Now in mirroring phase" in out
    mirror = blockdev.disk_element(dom).find("mirror")
    assert mirror.get("type") == "network" and mirror.get("ready") == "yes" and mirror.get("file") is None
    assert mirror.find("source").find("host").get("socket") == target
    server.sh("blockjob", "vm", "vda", "--pivot")
    heard.wait(lambda e, n, a: e == JOB_2 and a == ("vda", COPY, COMPLETED))
    # an image on the network has no path for the older event
    assert jobs_heard(heard) == [(JOB, top, COPY, READY), (JOB_2, "vda", COPY, READY), (JOB_2, "vda", COPY, COMPLETED)]
    assert source_of(dom)[:2] == source_of(dom, L.VIR_DOMAIN_XML_INACTIVE)[:2] == ("network", target)
    assert blockdev.graph(dom)[1] == {int(source_of(dom)[2])}  # the old images are out of QEMU
    server.sh("blockcopy", "vm", "vda", IMAGES + "again", "--format", "qcow2", "--wait", "--pivot", "--transient-job")
    assert source_of(dom)[:2] == ("file", IMAGES + "again")
    if server_kind == "berthd":
        assert not blockdev.truthful(dom)
    dom.destroy()
    nbd.stop()
    images.same("again", "before", other_fmt="raw")
    images.same("target", "before", fmt="raw", other_fmt="raw")


def test_a_format_made_on_the_server(server, images, nbd, conn, server_kind):
    """qcow2 inside an export: made there, a shallow copy, the backing image named; then commit through it."""
    top = images.layers("base", "top", size="32M", filled="2M")
    images.raw("top", "before")
    server.image("target", "48M", "raw")
    target = nbd.serve("target")
    dom = conn.defineXML(guest_xml.domain("vm", memory=32, devices=guest_xml.disk(top)))
    dom.create()
    server.sh("blockcopy", "vm", "vda", "--xml", server.file("to.xml", to(target, "qcow2")), "--shallow", "--wait", "--pivot", "--transient-job")
    assert source_of(dom)[:2] == ("network", target)
    assert blockdev.disk_element(dom).find("backingStore").find("source").get("file") == IMAGES + "base"
    server.sh("blockcommit", "vm", "vda", "--active", "--wait", "--pivot")
    assert blockdev.paths(dom) == ["base"]
    dom.destroy()
    nbd.stop()
    images.same("base", "before", other_fmt="raw")
    images.check("base")


def test_snapshot_and_commit_onto_a_server(server, images, nbd, conn, heard):
    server.image("data", "8M", "raw")
    socket = nbd.serve("data")
    dom = conn.defineXML(guest_xml.domain("vm", memory=32, devices=disk(socket)))
    dom.create()
    refused(lambda: dom.snapshotCreateXML("<domainsnapshot/>", L.VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY), L.VIR_ERR_CONFIG_UNSUPPORTED, "vda")
    server.sh("snapshot-create-as", "vm", "s", "--disk-only", "--no-metadata", "--diskspec", "vda,file=%sover" % IMAGES)
    below = blockdev.disk_element(dom).find("backingStore")
    assert below.get("type") == "network" and below.find("source").find("host").get("socket") == socket
    dom.destroy()
    dom.create()  # QEMU, and the daemon, find the server by what the overlay's header says
    below = blockdev.disk_element(dom).find("backingStore")
    assert below.get("type") == "network" and below.find("source").find("host").get("socket") == socket
    heard.seen.clear()
    server.sh("blockcommit", "vm", "vda", "--active", "--wait", "--pivot")
    assert source_of(dom)[:2] == ("network", socket)
    heard.wait(lambda e, n, a: e == JOB_2 and a == ("vda", ACTIVE, COMPLETED))
    dom.destroy()
    dom.create()
    assert source_of(dom)[:2] == ("network", socket)
    dom.destroy()


def test_targets_that_will_not_do(server, images, nbd, conn, server_kind):
    if server_kind == "peer":
        pytest.skip("libvirt 9.0 begins the copy and fails in the middle; and it accepts all protocols")
    server.image("disk", "2M")
    server.image("small", "1M", "raw")
    small = nbd.serve("small")
    dom = conn.createXML(guest_xml.domain("vm", memory=32, devices=guest_xml.disk(IMAGES + "disk")))
    before = dom.XMLDesc()
    refused(lambda: dom.blockCopy("vda", to(small)), L.VIR_ERR_INVALID_ARG, "too small")
    with pytest.raises(L.libvirtError) as info:
        dom.blockCopy("vda", to(IMAGES + "gone"))
    assert IMAGES + "gone" in str(info.value)
    with pytest.raises(L.libvirtError):
        dom.blockCopy("vda", to(small, "qcow2"), {}, L.VIR_DOMAIN_BLOCK_COPY_REUSE_EXT)  # there is no qcow2 in it
    refused(lambda: dom.blockCopy("vda", "<disk type='network'>%s</disk>" % source(small), {}, L.VIR_DOMAIN_BLOCK_COPY_REUSE_EXT),
            L.VIR_ERR_CONFIG_UNSUPPORTED, "format")
    for protocol in ("rbd", "iscsi", "http", "https", "ftp", "ssh", "gluster", "sheepdog", "vxhs", "nfs"):
        xml = "<disk type='network'><source protocol='%s' name='x'><host name='h'/></source></disk>" % protocol
        refused(lambda: dom.blockCopy("vda", xml), L.VIR_ERR_CONFIG_UNSUPPORTED, "protocol '%s'" % protocol)
        whole = before.replace("<devices>", "<devices>" + xml.replace("</disk>", "<target dev='vdz'/></disk>"), 1)
        refused(lambda: conn.defineXML(whole), L.VIR_ERR_CONFIG_UNSUPPORTED, "protocol '%s'" % protocol)
    assert dom.XMLDesc() == before and not blockdev.truthful(dom)


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGKILL])
def test_a_copy_to_a_server_outlives_the_daemon(own_server, sig, server_kind):
    server = own_server()
    images, nbd = blockdev.Images(server), Nbd(server)
    top = images.layers("base", "top", size="32M", filled="2M")
    images.raw("top", "before")
    server.image("target", "32M", "raw")
    target = nbd.serve("target")
    server.define(guest_xml.domain("vm", memory=32, devices=guest_xml.disk(top)))
    server.sh("start", "vm")
    server.sh("blockcopy", "vm", "vda", "--xml", server.file("to.xml", to(target)), "--bytes", "--bandwidth", "65536", "--transient-job")
    before = server.sh("dumpxml", "vm")
    server.restart(sig)
    conn = server.connect()
    dom = conn.lookupByName("vm")
    heard = events.Recorder(conn, [JOB, JOB_2])
    assert server.sh("dumpxml", "vm") == before or server_kind == "peer"
    assert dom.blockJobInfo("vda", 0)["type"] == COPY
    dom.blockJobSetSpeed("vda", 0)
    heard.wait(lambda e, n, a: e == JOB_2 and a == ("vda", COPY, READY))
    server.restart(sig)
    heard.close()
    conn = server.connect()
    dom = conn.lookupByName("vm")
    dom.blockJobAbort("vda", L.VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT)
    assert source_of(dom)[:2] == ("network", target)
    live = dom.XMLDesc()
    server.restart(sig)
    conn = server.connect()
    dom = conn.lookupByName("vm")
    dom.reset(0)  # after the reconnect
    assert dom.XMLDesc() == live or server_kind == "peer"
    dom.destroy()
    nbd.stop()
    images.same("target", "before", fmt="raw", other_fmt="raw")
    conn.close()
