"""One disk of a machine: sizes, bytes, write marks; what stock libvirtd says is what we say."""

import os
import struct
import subprocess

import libvirt
import libvirt_qemu
import pytest

from lib import events, xml
from lib.console import VirshConsole
from lib.guest import PROMPT

L = libvirt
MIB = 1 << 20


def error(call, *args):
    with pytest.raises(L.libvirtError) as failed:
        call(*args)
    return failed.value.get_error_code(), failed.value.get_error_message()


def indexes(dom):
    """Numbers of the images of vda, top first."""
    import xml.etree.ElementTree as ET
    node = ET.fromstring(dom.XMLDesc()).find("./devices/disk[target]")
    found = [int(node.find("source").get("index"))]
    node = node.find("backingStore")
    while node is not None and node.find("source") is not None:
        found.append(int(node.get("index")))
        node = node.find("backingStore")
    return found


def block_stats(conn, dom, backing=False):
    flags = L.VIR_CONNECT_GET_ALL_DOMAINS_STATS_BACKING if backing else 0
    return conn.domainListGetStats([dom], L.VIR_DOMAIN_STATS_BLOCK, flags)[0][1]


def test_sizes_and_bytes(server, conn, domain_xml):
    base = server.image("base.qcow2", "8M")
    top = server.image("top.qcow2", None, backing=("base.qcow2", "qcow2"))
    raw = server.image("raw.img", "3M", "raw")
    host = server.box.path("lib", "images", "raw.img")
    with open(host, "r+b") as f:
        f.seek(65530)
        f.write(b"across a piece")
    devices = (xml.disk(top) + xml.disk(raw, fmt="raw", target="vdb") + xml.disk(base + "-none", fmt="raw", target="vdc")
               .replace("<source file='%s-none'/>" % base, "").replace("device='disk'", "device='cdrom'").replace("vdc", "sda").replace("virtio", "sata"))
    dom = conn.defineXML(domain_xml("vm", real=False, devices=devices))

    def both():
        assert dom.blockPeek("vdb", 65530, 14) == b"across a piece"
        assert dom.blockPeek(raw, 3 * MIB - 4, 4) == b"\0" * 4
        code, text = error(dom.blockPeek, "vda", 0, 4)
        assert "peeking is only supported for disk with 'raw' format not 'qcow2'" in text
        assert error(dom.blockPeek, "vdz", 0, 4)[1] == "invalid argument: disk 'vdz' not found in domain"
        assert dom.blockInfo("vda")[0] == 8 * MIB and dom.blockInfo(top)[0] == 8 * MIB
        assert dom.blockInfo("vdb")[::2] == [3 * MIB, 3 * MIB]
        assert error(dom.blockInfo, "vdz")[1] == "invalid argument: invalid path vdz not assigned to domain"

    both()
    assert error(dom.blockResize, "vda", 16)[1] == "Requested operation is not valid: domain is not running"
    dom.create()
    both()
    dom.blockResize("vda", 16 * 1024)
    assert dom.blockInfo("vda")[0] == 16 * MIB
    dom.blockResize(top, 16 * MIB + 1, L.VIR_DOMAIN_BLOCK_RESIZE_BYTES)
    assert dom.blockInfo("vda")[0] == 16 * MIB + 512
    dom.blockResize("vdb", 4 * MIB, L.VIR_DOMAIN_BLOCK_RESIZE_BYTES)
    assert dom.blockInfo("vdb")[::2] == [4 * MIB, 4 * MIB] and os.stat(host).st_size == 4 * MIB
    # what later libvirt has: to the size of the device, and never smaller
    for size, flag in ((0, 2), (MIB, 4 | L.VIR_DOMAIN_BLOCK_RESIZE_BYTES)):
        assert error(dom.blockResize, "vdb", size, flag)[0] in (L.VIR_ERR_CONFIG_UNSUPPORTED, L.VIR_ERR_INVALID_ARG)
    assert os.stat(host).st_size == 4 * MIB
    assert error(dom.blockResize, "vdz", 1)[1] == "invalid argument: disk 'vdz' was not found in the domain config"
    assert "can't resize empty or readonly disk 'sda'" in error(dom.blockResize, "sda", 1)[1]
    # one image below the top: its numbers come with --backing
    stats = block_stats(conn, dom, backing=True)
    assert stats["block.count"] == 4
    assert [stats["block.%d.backingIndex" % i] for i in range(2)] == indexes(dom)
    assert stats["block.1.path"] == base and stats["block.1.capacity"] == 8 * MIB
    assert "block.0.threshold" not in stats
    # what people see
    def virsh(*args):
        done = server.virsh(*args)
        assert done.ok, done
        return done.out

    lines = virsh("domblkinfo", "vm", "--all").splitlines()
    assert [line.split()[:2] for line in lines if line.strip().startswith(("vd", "sd"))] == [["vda", str(16 * MIB + 512)], ["vdb", str(4 * MIB)], ["sda", "-"]]
    virsh("domblkthreshold", "vm", "vdb", "1M")
    assert "block.1.threshold=%d" % MIB in virsh("domstats", "vm", "--block")
    assert "block.1.backingIndex=%d" % indexes(dom)[1] in virsh("domstats", "vm", "--block", "--backing")
    dom.destroy()
    assert error(dom.blockResize, "vda", 16)[0] == L.VIR_ERR_OPERATION_INVALID


def thresholds(recorder, start=0):
    return [args for event, _, args in recorder.seen[start:] if event == L.VIR_DOMAIN_EVENT_ID_BLOCK_THRESHOLD]


def test_write_marks(own_server, domain_xml, server_kind):
    server = own_server()
    base = server.image("base.qcow2", "64M")
    top = server.image("top.qcow2", None, backing=("base.qcow2", "qcow2"))
    conn = server.connect()
    recorder = events.Recorder(conn, [L.VIR_DOMAIN_EVENT_ID_BLOCK_THRESHOLD])
    dom = conn.defineXML(domain_xml("vm", devices=xml.disk(top)))
    dom.create()
    first, second = indexes(dom)

    def mark():
        return block_stats(conn, dom).get("block.0.threshold")

    assert mark() is None
    dom.setBlockThreshold("vda", MIB)
    assert mark() == MIB
    dom.setBlockThreshold("vda", 0)
    assert mark() is None
    dom.setBlockThreshold("vda", 2 * MIB)
    dom.setBlockThreshold("vda[%d]" % second, 3 * MIB)
    assert block_stats(conn, dom, backing=True)["block.1.threshold"] == 3 * MIB
    dom.setBlockThreshold("vda[%d]" % second, 0)
    assert error(dom.setBlockThreshold, "vda[%d]" % 77, MIB)[0] == L.VIR_ERR_INVALID_ARG
    assert error(dom.setBlockThreshold, "vdb", MIB)[0] == L.VIR_ERR_INVALID_ARG
    assert mark() == 2 * MIB
    if server_kind == "berthd":
        server.restart()  # the mark is QEMU's, and we know of it
        conn.close()
        conn = server.connect()
        recorder = events.Recorder(conn, [L.VIR_DOMAIN_EVENT_ID_BLOCK_THRESHOLD])
        dom = conn.lookupByName("vm")
        assert mark() == 2 * MIB
    with VirshConsole(server, "vm", "--force") as console:
        console.send("\n")
        console.expect(PROMPT, timeout=300)

        def write(megabytes, at):
            console.send("dd if=/dev/zero of=/dev/vda bs=1M count=%d seek=%d oflag=direct 2>/dev/null; echo written-$((%d*7))\n"
                         % (megabytes, at, at))
            console.expect("written-%d" % (at * 7))

        write(4, 1)
        recorder.wait(lambda e, n, a: a[0] == "vda[%d]" % first)
        found = thresholds(recorder)
        assert [(f[0], f[1], f[2]) for f in found] == [("vda", top, 2 * MIB), ("vda[%d]" % first, top, 2 * MIB)]
        assert all(f[3] > 0 for f in found)
        assert mark() is None
        # once: nothing more until it is set anew, by its index this time
        write(4, 8)
        assert len(thresholds(recorder)) == 2
        dom.setBlockThreshold("vda[%d]" % first, 14 * MIB)
        write(8, 16)
        recorder.wait(lambda e, n, a: a[2] == 14 * MIB)
        assert [f[0] for f in thresholds(recorder)[2:]] == ["vda[%d]" % first]
    # the file grew by what was written, not by where the guest wrote
    stats = block_stats(conn, dom)
    assert 16 * MIB <= stats["block.0.allocation"] <= 20 * MIB
    assert dom.blockInfo("vda")[1] == os.stat(server.box.path("lib", "images", "top.qcow2")).st_blocks * 512
    dom.destroy()
    recorder.close()
    conn.close()
    subprocess.run(["qemu-img", "check", "-q", server.box.path("lib", "images", "base.qcow2")], check=True)


def renamed(header, name):
    """The qcow2 image with another name of its backing file."""
    at, size = struct.unpack(">QI", header[8:20])
    return header[:16] + struct.pack(">I", len(name)) + header[20:at] + name + header[at + max(size, len(name)):]


def test_numbers_of_odd_images(server, conn, domain_xml):
    """Many images in a chain, and a name no text can hold: to ask for numbers must not cost the guest its life."""
    server.image("odd.qcow2", "8M")
    subprocess.run([b"qemu-img", b"snapshot", b"-c", b"x\xc0\x80y", os.fsencode(server.box.path("lib", "images", "odd.qcow2"))], check=True)
    top = server.image("odd00.qcow2", None, backing=("odd.qcow2", "qcow2")).replace("odd00", "odd70")
    header = open(server.box.path("lib", "images", "odd00.qcow2"), "rb").read()
    for i in range(1, 71):
        with open(server.box.path("lib", "images", "odd%02d.qcow2" % i), "wb") as f:
            f.write(renamed(header, b"odd%02d.qcow2" % (i - 1)))
    dom = conn.defineXML(domain_xml("vm", real=False, devices=xml.disk(top)))
    dom.create()
    answer = libvirt_qemu.qemuMonitorCommand(dom, '{"execute": "query-block"}', 0)
    assert answer.count('"backing-image"') == 71 and '"x\\u0000y"' in answer
    dom.suspend()
    assert dom.state()[0] == L.VIR_DOMAIN_PAUSED
