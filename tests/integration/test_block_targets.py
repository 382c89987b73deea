"""Block jobs where images are named relatively, read with copy_on_read, or are block devices, with stock virsh and the bindings."""

import os
import re
import subprocess

import libvirt
import pytest

from lib import blockdev, xml as guest_xml
from lib.blockdev import IMAGES
from lib.console import VirshConsole
from lib.guest import PROMPT

L = libvirt
MIB = 1 << 20
RELATIVE = L.VIR_DOMAIN_BLOCK_COMMIT_RELATIVE
REBASE_RELATIVE = L.VIR_DOMAIN_BLOCK_REBASE_RELATIVE


@pytest.fixture
def images(server):
    subprocess.run(["find", server.box.path("lib", "images"), "-mindepth", "1", "-delete"], check=True)
    return blockdev.Images(server)


def refused(call, code, text=""):
    with pytest.raises(L.libvirtError) as info:
        call()
    assert info.value.get_error_code() == code, info.value
    assert text in str(info.value), info.value


# ---- relative names ----------------------------------------------------------------------------------------------------------


def relative_chain(images, names, size="32M"):
    """Images in directories of their own, each naming the one below as seen from its own directory; the top's path."""
    below = None
    for n, name in enumerate(names):
        directory, image = os.path.split(name)
        images.run("mkdir", "-p", IMAGES + directory)
        named = below and os.path.relpath(below, directory)
        images.run("sh", "-c", 'cd "$1" && shift && exec qemu-img create -q -f qcow2 "$@"', "sh", IMAGES + directory,
                   *(["-b", named, "-F", "qcow2"] if below else []), image, *([] if below else [size]))
        images.fill(name, n + 1, "%dM" % (n * 2), "2M")
        below = name
    images.run("chmod", "-R", "a+rwX", IMAGES)
    return IMAGES + names[-1]


def moved(images, name):
    """The whole directory elsewhere: the chain opens there, and every image is under the new name."""
    images.run("mv", IMAGES + "here", IMAGES + "there")
    found = images.run("qemu-img", "info", "--backing-chain", IMAGES + name.replace("here", "there", 1))
    return [os.path.normpath(image) for image in re.findall("^image: .*images/(.*)$", found, re.M)]


def test_names_stay_relative(server, images, conn):
    top = relative_chain(images, ["here/base/base", "here/base/deep/one", "here/two", "here/top/top"])
    images.raw("here/top/top", "before")
    dom = conn.defineXML(guest_xml.domain("vm", memory=32, devices=guest_xml.disk(top)))
    dom.create()
    assert len(blockdev.chain(dom)) == 4
    server.sh("blockcommit", "vm", "vda", "--top", "vda[2]", "--base", "vda[3]", "--keep-relative", "--wait")
    assert images.backing("here/top/top") == "../base/deep/one"
    dom.blockCommit("vda", None, None, 0, RELATIVE | L.VIR_DOMAIN_BLOCK_COMMIT_ACTIVE | L.VIR_DOMAIN_BLOCK_COMMIT_SHALLOW)  # nothing to name
    dom.blockJobAbort("vda")
    dom.destroy()
    assert moved(images, "here/top/top") == ["there/top/top", "there/base/deep/one", "there/base/base"]
    images.same("there/top/top", "before", other_fmt="raw")


def test_a_pull_keeps_relative_names(server, images, conn, server_kind):
    top = relative_chain(images, ["here/base/base", "here/base/deep/one", "here/two", "here/top/top"])
    images.raw("here/top/top", "before")
    dom = conn.defineXML(guest_xml.domain("vm", memory=32, devices=guest_xml.disk(top)))
    dom.create()
    refused(lambda: dom.blockRebase("vda", None, 0, REBASE_RELATIVE), L.VIR_ERR_INVALID_ARG, "base")
    refused(lambda: dom.blockRebase("vda", IMAGES + "new", 0, REBASE_RELATIVE | L.VIR_DOMAIN_BLOCK_REBASE_COPY),
            L.VIR_ERR_ARGUMENT_UNSUPPORTED)
    server.sh("blockpull", "vm", "vda", "--base", "vda[3]", "--keep-relative", "--wait")
    assert images.backing("here/top/top") == "../base/deep/one"
    if server_kind == "peer":
        return  # it writes "base/deep/../base" next, which leads nowhere
    server.sh("blockpull", "vm", "vda", "--base", "vda[4]", "--keep-relative", "--wait")
    assert images.backing("here/top/top") == "../base/deep/../base"  # the names joined, as they are
    assert len(blockdev.chain(dom)) == 2
    dom.destroy()
    assert moved(images, "here/top/top") == ["there/top/top", "there/base/base"]
    images.same("there/top/top", "before", other_fmt="raw")


def test_names_that_are_not_relative(server, images, conn, server_kind):
    """One absolute name between top and base is enough; without the flag an absolute one is written."""
    top = relative_chain(images, ["here/base", "here/one", "here/two", "here/top"])
    images.run("qemu-img", "rebase", "-u", "-f", "qcow2", "-b", IMAGES + "here/base", "-F", "qcow2", IMAGES + "here/one")
    dom = conn.createXML(guest_xml.domain("vm", memory=32, devices=guest_xml.disk(top)))
    for call in (lambda: dom.blockCommit("vda", "vda[4]", "vda[2]", 0, RELATIVE), lambda: dom.blockRebase("vda", "vda[4]", 0, REBASE_RELATIVE)):
        refused(call, L.VIR_ERR_OPERATION_INVALID, "can't keep relative backing relationship")
    assert dom.blockJobInfo("vda", 0) == {}
    server.sh("blockcommit", "vm", "vda", "--top", "vda[2]", "--base", "vda[3]", "--wait")
    assert images.backing("here/top") == IMAGES + "here/one"
    if server_kind == "berthd":  # the header as it is now counts, not as it was at the start
        refused(lambda: dom.blockRebase("vda", "vda[3]", 0, REBASE_RELATIVE), L.VIR_ERR_OPERATION_INVALID)
        assert not blockdev.truthful(dom)


# ---- copy on read ------------------------------------------------------------------------------------------------------------


def layers_in_use(dom):
    """Nodes from the device down."""
    found, layer = [], blockdev.monitor(dom, "query-blockstats")[0]
    while layer:
        found.append(layer["node-name"])
        layer = layer.get("backing")
    return found


def test_copy_on_read_with_each_job(server, images, conn, domain_xml, server_kind):
    """What the guest reads is copied up; the filter stays where it is with every job, and numbers are those of the images below it."""
    top = images.layers("base", "mid", "top", size="32M", filled="4M")
    images.raw("top", "before")
    whole = images.run("md5sum", IMAGES + "before").split()[0]
    dom = conn.defineXML(domain_xml("vm", devices=guest_xml.disk(top, driver=" copy_on_read='on'")))
    dom.create()
    filtered = ["libvirt-CoR-vda"]
    with VirshConsole(server, "vm", "--force") as console:
        def read():
            console.send("echo 3 >/proc/sys/vm/drop_caches; md5sum /dev/vda | sed s/^/wh''ole-/\n")
            console.expect("whole-")
            assert console.expect(" ").strip() == whole
        console.send("\n")
        console.expect(PROMPT, timeout=300)
        assert layers_in_use(dom) == filtered + ["libvirt-%d-format" % n for n in (1, 2, 3)]
        stats = conn.domainListGetStats([dom], L.VIR_DOMAIN_STATS_BLOCK, L.VIR_CONNECT_GET_ALL_DOMAINS_STATS_BACKING)[0][1]
        before = stats["block.0.physical"]
        read()
        stats = conn.domainListGetStats([dom], L.VIR_DOMAIN_STATS_BLOCK, L.VIR_CONNECT_GET_ALL_DOMAINS_STATS_BACKING)[0][1]
        assert stats["block.count"] == 3 and stats["block.2.path"] == IMAGES + "base" and stats["block.2.capacity"] == 32 * MIB
        assert stats["block.0.physical"] >= before + 7 * MIB > stats["block.2.physical"]  # what was below is above now
        assert stats["block.0.rd.bytes"] >= 32 * MIB
        server.sh("snapshot-create-as", "vm", "s", "--disk-only", "--no-metadata", "--diskspec", "vda,file=%sover" % IMAGES)
        assert layers_in_use(dom) == filtered + ["libvirt-%d-format" % n for n in (4, 1, 2, 3)]
        server.sh("blockcommit", "vm", "vda", "--active", "--shallow", "--wait", "--pivot")
        assert layers_in_use(dom) == filtered + ["libvirt-%d-format" % n for n in (1, 2, 3)]
        server.sh("blockcommit", "vm", "vda", "--top", "vda[2]", "--base", "vda[3]", "--wait")
        assert layers_in_use(dom) == filtered + ["libvirt-%d-format" % n for n in (1, 3)]
        read()
        server.sh("blockcopy", "vm", "vda", IMAGES + "shallow", "--shallow", "--wait", "--pivot", "--transient-job")
        if server_kind == "berthd":  # libvirt's disk loses its filter here, and keeps the attribute
            assert layers_in_use(dom) == filtered + ["libvirt-%d-format" % n for n in (5, 3)]
        read()
        server.sh("blockpull", "vm", "vda", "--wait")
        server.sh("blockcopy", "vm", "vda", IMAGES + "full", "--wait", "--finish", "--transient-job")
        server.sh("blockcopy", "vm", "vda", IMAGES + "last", "--wait", "--pivot", "--transient-job")
        if server_kind == "berthd":
            assert layers_in_use(dom) == filtered + ["libvirt-7-format"]
            assert blockdev.graph(dom)[1] == {7}
        read()
    assert blockdev.paths(dom) == blockdev.paths(dom, flags=L.VIR_DOMAIN_XML_INACTIVE) == ["last"]
    assert dom.XMLDesc().count("copy_on_read='on'") == 1
    dom.destroy()
    images.same("last", "before", other_fmt="raw")
    images.check("last")


# ---- block devices -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def loop(server, images):
    made = []

    def make(name, size):
        images.run("truncate", "-s", str(size), IMAGES + name)
        done = subprocess.run(server.box.argv(["losetup", "-f", "--show", IMAGES + name]), capture_output=True, text=True)
        if done.returncode:
            pytest.skip("no loop devices here: " + done.stderr)
        made.append(done.stdout.strip())
        os.chmod(made[-1], 0o666)
        return made[-1]
    yield make
    for device in made:
        os.chmod(device, 0o600)
        subprocess.run(["losetup", "-d", device], check=True)


def source(dom, flags=0):
    element = blockdev.disk_element(dom, flags=flags)
    return element.get("type"), element.find("source").get("dev")


def test_block_devices_as_targets(server, images, loop, conn, server_kind):
    top = images.layers("base", "top", size="16M", filled="1M")
    images.raw("top", "before")
    exact, other, small = loop("exact", 16 * MIB), loop("other", 32 * MIB), loop("small", 8 * MIB)
    dom = conn.defineXML(guest_xml.domain("vm", memory=32, devices=guest_xml.disk(top)))
    dom.create()
    copy = ["blockcopy", "vm", "vda", "--transient-job", "--wait"]
    server.sh(*copy, exact, "--blockdev", "--format", "raw", "--pivot")
    assert source(dom) == source(dom, L.VIR_DOMAIN_XML_INACTIVE) == ("block", exact)
    assert dom.blockInfo("vda")[0] == 16 * MIB
    with pytest.raises(L.libvirtError):  # a device is as large as it is
        dom.blockResize("vda", 32 * MIB, L.VIR_DOMAIN_BLOCK_RESIZE_BYTES)
    server.sh(*copy, other, "--blockdev", "--format", "qcow2", "--pivot")
    assert source(dom) == ("block", other)
    dom.blockResize("vda", 17 * MIB, L.VIR_DOMAIN_BLOCK_RESIZE_BYTES)
    if server_kind == "berthd":
        assert dom.blockInfo("vda")[0] == 17 * MIB
        text = "<disk type='block'><driver type='raw'/><source dev='%s'/></disk>"
        refused(lambda: dom.blockCopy("vda", text % small, {}, 4), L.VIR_ERR_INVALID_ARG, "too small: it has %d bytes, disk 'vda' has %d" % (8 * MIB, 17 * MIB))
        refused(lambda: dom.blockCopy("vda", text % loop("large", 24 * MIB), {}, 4), L.VIR_ERR_INVALID_ARG, "slice")
    assert source(dom) == ("block", other) and dom.blockJobInfo("vda", 0) == {}
    dom.destroy()
    images.same("exact", "before", fmt="raw", other_fmt="raw")
    images.run("qemu-img", "check", "-q", "-f", "qcow2", other)
    dom.create()
    assert source(dom) == ("block", other)


def test_a_part_of_a_larger_device(server, images, loop, conn, server_kind):
    """What QEMU cannot mirror to whole, it can in part."""
    if server_kind == "peer":
        pytest.skip("libvirt 9.0 refuses slices of targets")
    top = images.layers("base", "top", size="16M", filled="1M")
    images.raw("top", "before")
    device = loop("large", 24 * MIB)
    dom = conn.createXML(guest_xml.domain("vm", memory=32, devices=guest_xml.disk(top)))
    part = "<disk type='block'><driver type='raw'/><source dev='%s'><slices><slice type='storage' offset='%d' size='%d'/></slices></source></disk>"
    server.sh("blockcopy", "vm", "vda", "--xml", server.file("to.xml", part % (device, 4 * MIB, 16 * MIB)), "--wait", "--pivot")
    assert source(dom) == ("block", device) and dom.blockInfo("vda")[0] == 16 * MIB
    assert "<slice type='storage' offset='%d' size='%d'/>" % (4 * MIB, 16 * MIB) in dom.XMLDesc()
    dom.destroy()
    images.run("dd", "if=" + IMAGES + "large", "of=" + IMAGES + "part", "bs=1M", "skip=4", "count=16", "status=none")
    images.same("part", "before", fmt="raw", other_fmt="raw")


def test_targets_made_beforehand(server, images, loop, conn, server_kind):
    """Reused: a device in each format, a file of the right size, and what is not there or does not fit."""
    top = images.layers("base", "top", size="16M", filled="1M")
    images.raw("top", "before")
    raw, qcow2 = loop("raw", 16 * MIB), loop("qcow2", 24 * MIB)
    images.run("qemu-img", "create", "-q", "-f", "qcow2", "-b", IMAGES + "base", "-F", "qcow2", qcow2)
    dom = conn.defineXML(guest_xml.domain("vm", memory=32, devices=guest_xml.disk(top)))
    dom.create()
    copy = ["blockcopy", "vm", "vda", "--transient-job", "--wait", "--reuse-external"]
    server.sh(*copy, raw, "--blockdev", "--format", "raw", "--finish")
    server.sh(*copy, qcow2, "--blockdev", "--format", "qcow2", "--shallow", "--pivot")
    assert source(dom) == ("block", qcow2)
    assert blockdev.paths(dom) == [qcow2, "base"]
    images.run("truncate", "-s", str(16 * MIB), IMAGES + "file")
    images.run("chmod", "666", IMAGES + "file")
    server.sh(*copy, IMAGES + "file", "--format", "raw", "--pivot")
    assert blockdev.paths(dom) == ["file"]
    reuse = L.VIR_DOMAIN_BLOCK_COPY_REUSE_EXT | L.VIR_DOMAIN_BLOCK_COPY_TRANSIENT_JOB
    with pytest.raises(L.libvirtError) as info:
        dom.blockCopy("vda", "<disk type='block'><driver type='raw'/><source dev='/dev/none'/></disk>", {}, reuse)
    assert "/dev/none" in str(info.value)
    if server_kind == "berthd":
        images.run("qemu-img", "create", "-q", "-f", "qcow2", IMAGES + "less", "7M")
        refused(lambda: dom.blockCopy("vda", "<disk><driver type='qcow2'/><source file='%sless'/></disk>" % IMAGES, {}, reuse),
                L.VIR_ERR_INVALID_ARG, "too small")
        assert not blockdev.truthful(dom)
    dom.destroy()
    images.same("raw", "before", fmt="raw", other_fmt="raw")
    images.same("file", "before", fmt="raw", other_fmt="raw")
