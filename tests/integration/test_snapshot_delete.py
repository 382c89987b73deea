"""Snapshots deleted with their data: what was written since goes into the images they were taken of."""

import os
import subprocess

import libvirt
import pytest

from lib import blockdev, xml as guest_xml
from lib.blockdev import IMAGES

L = libvirt
UNSUPPORTED = L.VIR_ERR_CONFIG_UNSUPPORTED


@pytest.fixture
def images(server):
    subprocess.run(["find", server.box.path("lib", "images"), "-mindepth", "1", "-delete"], check=True)
    return blockdev.Images(server)


@pytest.fixture
def vm(server, images, conn):
    """A running machine with two disks that have data."""
    for name in "ab":
        server.image(name, "8M")
        images.fill(name, ord(name), "0", "1M")
    dom = conn.defineXML(guest_xml.domain("vm", memory=32, devices=guest_xml.disk(IMAGES + "a") + guest_xml.disk(IMAGES + "b", "vdb")))
    dom.create()
    return dom


def refused(call, code, text=""):
    with pytest.raises(L.libvirtError) as info:
        call()
    assert info.value.get_error_code() == code, info.value
    assert text in str(info.value), info.value


def take(server, images, name, *more):
    """With overlays that have data already, as if the guest had written it since."""
    specs = []
    for disk, target in (("a", "vda"), ("b", "vdb")):
        below = blockdev.paths(server.connect().lookupByName("vm"), target)[0]
        server.image(disk + name, "8M")
        images.fill(disk + name, ord(name[-1]), "%dM" % (int(name[-1]) + 1), "1M")
        images.run("qemu-img", "rebase", "-u", "-f", "qcow2", "-b", IMAGES + below, "-F", "qcow2", IMAGES + disk + name)
        specs += ["--diskspec", "%s,file=%s" % (target, IMAGES + disk + name)]
    server.sh("snapshot-create-as", "vm", name, "--disk-only", "--reuse-external", *specs, *more)


def layers(dom):
    return [blockdev.paths(dom, target, flags) for target in ("vda", "vdb") for flags in (0, L.VIR_DOMAIN_XML_INACTIVE)]


@pytest.mark.parametrize("state", ["running", "off"])
def test_deleted_one_after_the_other(server, images, vm, server_kind, state):
    take(server, images, "s1")
    take(server, images, "s2")
    for name in "ab":
        images.run("qemu-img", "convert", "-U", "-O", "raw", IMAGES + name + "s2", IMAGES + name + "whole")
    assert blockdev.paths(vm) == ["as2", "as1", "a"]
    if state == "off":
        vm.destroy()
    if server_kind == "berthd" and state == "off":
        refused(lambda: vm.snapshotLookupByName("s1").delete(), UNSUPPORTED, "a child")
    server.sh("snapshot-delete", "vm", "s2")
    assert layers(vm)[0][0] == layers(vm)[1][0] == "as1" and layers(vm)[2][0] == layers(vm)[3][0] == "bs1"
    assert server.sh("snapshot-list", "vm", "--name").split() == ["s1"]
    assert vm.snapshotCurrent().getName() == "s1"
    server.sh("snapshot-delete", "vm", "s1")
    assert layers(vm) == [["a"], ["a"], ["b"], ["b"]]
    assert server.sh("snapshot-list", "vm", "--name").split() == [] and not vm.hasCurrentSnapshot()
    if server_kind == "berthd" and state == "running":
        assert not blockdev.truthful(vm) and not blockdev.truthful(vm, "vdb", "virtio-disk1")
    left = os.listdir(server.box.path("lib", "images"))
    assert sorted(left) == ["a", "awhole", "b", "bwhole"]
    if state == "running":
        vm.destroy()
    for name in "ab":
        images.same(name, name + "whole", other_fmt="raw")
        images.check(name)
    vm.create()
    assert blockdev.paths(vm) == ["a"]


def test_oldest_first(server, images, vm, server_kind):
    """As one who keeps the last few does: an overlay in the middle goes, and later snapshots know."""
    for name in ("s1", "s2", "s3"):
        take(server, images, name)
    for name in "ab":
        images.run("qemu-img", "convert", "-U", "-O", "raw", IMAGES + name + "s3", IMAGES + name + "whole")
    server.sh("snapshot-delete", "vm", "s1")
    assert blockdev.paths(vm) == ["as3", "as2", "a"] and blockdev.paths(vm, "vdb") == ["bs3", "bs2", "b"]
    assert sorted(server.sh("snapshot-list", "vm", "--name").split()) == ["s2", "s3"]
    assert vm.snapshotLookupByName("s3").getParent().getName() == "s2" and vm.snapshotCurrent().getName() == "s3"
    text = vm.snapshotLookupByName("s2").getXMLDesc()
    assert IMAGES + "as1" not in text and text.count("<source file='%sa'" % IMAGES) >= 1
    if server_kind == "berthd":
        server.stop()
        server.start()
        vm = server.connect().lookupByName("vm")
        assert not any(IMAGES + "as1'" in s.getXMLDesc() for s in vm.listAllSnapshots())
    server.sh("snapshot-delete", "vm", "s2")
    server.sh("snapshot-delete", "vm", "s3")
    assert layers(vm) == [["a"], ["a"], ["b"], ["b"]]
    assert sorted(os.listdir(server.box.path("lib", "images"))) == ["a", "awhole", "b", "bwhole"]
    if server_kind == "berthd":
        assert not blockdev.truthful(vm) and not blockdev.truthful(vm, "vdb", "virtio-disk1")
    vm.destroy()
    for name in "ab":
        images.same(name, name + "whole", other_fmt="raw")
        images.check(name)


@pytest.mark.parametrize("state", ["running", "off"])
def test_what_was_begun_by_hand_is_finished(server, images, vm, server_kind, state):
    if server_kind == "peer":
        pytest.skip("libvirt 9.0 gives up")
    take(server, images, "s1")
    server.sh("blockcommit", "vm", "vdb", "--active", "--wait", "--pivot")
    if state == "off":
        vm.destroy()
    server.sh("snapshot-delete", "vm", "s1")
    assert layers(vm) == [["a"], ["a"], ["b"], ["b"]]
    assert os.path.exists(server.box.path("lib", "images", "bs1")) and not os.path.exists(server.box.path("lib", "images", "as1"))


def test_not_into_an_image_the_header_alone_names(server, images, vm, server_kind):
    """qemu-img goes by the headers: an overlay that was told to stand on a copy of its base would be merged into the copy, and then deleted."""
    if server_kind == "peer":
        pytest.skip("libvirt 9.0 refuses other things")
    take(server, images, "s1")
    vm.destroy()

    def stands_on(base):
        images.run("qemu-img", "rebase", "-u", "-f", "qcow2", "-b", base, "-F", "qcow2", IMAGES + "as1")

    images.run("cp", IMAGES + "a", IMAGES + "copy")
    images.run("qemu-img", "convert", "-O", "raw", IMAGES + "as1", IMAGES + "whole")
    stands_on(IMAGES + "copy")
    refused(vm.snapshotLookupByName("s1").delete, UNSUPPORTED, "stands on '%scopy'" % IMAGES)
    assert layers(vm)[0] == layers(vm)[1] == ["as1", "a"] and os.path.exists(server.box.path("lib", "images", "as1"))
    images.run("ln", "-s", "a", IMAGES + "other-name")
    stands_on("other-name")
    server.sh("snapshot-delete", "vm", "s1")
    assert layers(vm) == [["a"], ["a"], ["b"], ["b"]]
    images.same("a", "whole", other_fmt="raw")


def test_what_cannot_be_deleted(server, images, vm, server_kind):
    if server_kind == "peer":
        pytest.skip("libvirt 9.0 refuses other things")
    take(server, images, "s1")
    snap = vm.snapshotLookupByName("s1")
    take(server, images, "t2", "--no-metadata")
    refused(snap.delete, UNSUPPORTED, "another image above it")
    refused(lambda: snap.delete(L.VIR_DOMAIN_SNAPSHOT_DELETE_CHILDREN), UNSUPPORTED, "children")
    server.sh("blockpull", "vm", "vda", "--wait")
    refused(snap.delete, UNSUPPORTED, "disk 'vda' is on")
    vm.destroy()
    refused(snap.delete, UNSUPPORTED, "disk 'vda' is on")
    images.run("mv", IMAGES + "b", IMAGES + "c")
    server.define(vm.XMLDesc().replace(IMAGES + "at2", IMAGES + "as1"))
    with pytest.raises(L.libvirtError) as info:
        snap.delete()
    assert "'%sb'" % IMAGES in str(info.value)
    server.define(vm.XMLDesc().replace(IMAGES + "as1", IMAGES + "at2"))
    assert server.sh("snapshot-list", "vm", "--name").split() == ["s1"]
    snap.delete(L.VIR_DOMAIN_SNAPSHOT_DELETE_METADATA_ONLY)
    assert blockdev.paths(vm) == ["at2"]


def test_none_is_reverted_to(server, images, vm):
    take(server, images, "s1")
    snap = vm.snapshotLookupByName("s1")
    for flags in (0, L.VIR_DOMAIN_SNAPSHOT_REVERT_RUNNING, L.VIR_DOMAIN_SNAPSHOT_REVERT_FORCE):
        refused(lambda: vm.revertToSnapshot(snap, flags), UNSUPPORTED, "revert to external snapshot not supported yet")
    vm.destroy()
    refused(lambda: vm.revertToSnapshot(snap), UNSUPPORTED, "revert to external snapshot not supported yet")
    snap.delete(L.VIR_DOMAIN_SNAPSHOT_DELETE_METADATA_ONLY)
    refused(lambda: vm.revertToSnapshot(snap), L.VIR_ERR_NO_DOMAIN_SNAPSHOT)
