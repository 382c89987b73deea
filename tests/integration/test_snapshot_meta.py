"""Snapshots of a machine that is off, and what is asked about snapshots; the files are read by both daemons alike.

With --servers peer,berthd the first tests show parity with libvirt 9.0.
"""

import json
import os
import subprocess

import libvirt
import pytest

IMAGES = "/var/lib/libvirt/images/"
XML = """<domain type='qemu'><name>%(name)s</name><uuid>%(uuid)s</uuid><memory unit='MiB'>32</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os><devices>
<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='%(dir)s%(name)s-a.qcow2'/><target dev='vda' bus='virtio'/></disk>
<disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='%(dir)s%(name)s-b.img'/><target dev='vdb' bus='virtio'/></disk>
<disk type='file' device='cdrom'><target dev='sda' bus='sata'/></disk>
</devices></domain>"""
UUID = "0b1d4c3e-aaaa-4bbb-8ccc-00000000000%d"


def make(server, name, number=1, machine=None):
    for image in (name + "-a.qcow2", name + "-b.img"):
        path = server.box.path("lib", "images", image)
        if os.path.exists(path):
            os.unlink(path)
    server.image(name + "-a.qcow2", "1M")
    server.image(name + "-b.img", "1M", fmt="raw")
    text = XML % {"name": name, "uuid": UUID % number, "dir": IMAGES}
    server.define(text.replace("pc-q35-7.2", machine).replace("'sda' bus='sata'", "'hda' bus='ide'") if machine else text)


@pytest.fixture
def box(server):
    """The shared daemon without images of earlier tests."""
    images = server.box.path("lib", "images")
    for image in os.listdir(images):
        os.unlink(os.path.join(images, image))
    return server


def names(server, dom, *args):
    return server.sh("snapshot-list", dom, "--name", *args).split()


def take(server, dom, name, *args):
    server.sh("snapshot-create-as", dom, name, "--disk-only", *args)


def info(server, path):
    return json.loads(subprocess.run(server.box.argv(["qemu-img", "info", "--output=json", path]), check=True, capture_output=True).stdout)


def refused(result, *words):
    assert not result.ok, result
    for word in words:
        assert word in result.err, result


def test_offline(box):
    make(box, "off")
    take(box, "off", "one", "--atomic")
    a, b = IMAGES + "off-a.one", IMAGES + "off-b.one"
    text = box.sh("dumpxml", "off")
    assert a in text and b in text and "off-a.qcow2" not in text and text.count("type='qcow2'") == 2
    below = info(box, a)
    assert (below["format"], below["full-backing-filename"], below["backing-filename-format"]) == ("qcow2", IMAGES + "off-a.qcow2", "qcow2")
    assert info(box, b)["backing-filename-format"] == "raw"
    take(box, "off", "two", "--diskspec", "vda,snapshot=no", "--diskspec", "vdb,file=" + IMAGES + "mine.qcow2")
    assert info(box, IMAGES + "mine.qcow2")["full-backing-filename"] == b
    assert names(box, "off") == ["one", "two"]
    xml = box.sh("snapshot-dumpxml", "off", "two")
    for want in ("<state>shutoff</state>", "<parent>\n    <name>one</name>", "<memory snapshot='no'/>", "<disk name='vda' snapshot='no'/>",
                 "<source file='%smine.qcow2'/>" % IMAGES, "<disk name='sda' snapshot='no'/>"):
        assert want in xml, xml
    assert "<active>" not in xml and "<source file='%s'/>" % a in xml  # the machine as it was before
    # what cannot be: nothing is left behind
    before = sorted(os.listdir(box.box.path("lib", "images")))
    refused(box.virsh("snapshot-create-as", "off", "three", "--disk-only", "--diskspec", "vda,file=/nodir/x"))
    refused(box.virsh("snapshot-create-as", "off", "three", "--disk-only", "--diskspec", "vdb,file=/nodir/x"))
    refused(box.virsh("snapshot-create-as", "off", "three", "--disk-only", "--diskspec", "vda,file=" + IMAGES + "mine.qcow2"), "already exists")
    refused(box.virsh("snapshot-create-as", "off", "three", "--disk-only", "--diskspec", "vdz,snapshot=no"), "no disk named")
    refused(box.virsh("snapshot-create-as", "off", "three", "--disk-only", "--diskspec", "vda,snapshot=no", "--diskspec", "vdb,snapshot=no"),
            "nothing selected")
    refused(box.virsh("snapshot-create-as", "off", "three", "--disk-only", "--diskspec", "vda,driver=raw"), "raw")
    refused(box.virsh("snapshot-create-as", "off", "three", "--disk-only", "--diskspec", "sda,snapshot=external"), "without source")
    refused(box.virsh("snapshot-create-as", "off", "three", "--disk-only", "--reuse-external"), "missing existing file")
    assert sorted(os.listdir(box.box.path("lib", "images"))) == before
    assert box.sh("dumpxml", "off") != text and names(box, "off") == ["one", "two"]


def test_reuse_and_no_metadata(box):
    make(box, "re")
    box.image("re-over.qcow2", None, backing=(IMAGES + "re-a.qcow2", "qcow2"))
    take(box, "re", "x", "--reuse-external", "--no-metadata", "--diskspec", "vda,file=" + IMAGES + "re-over.qcow2", "--diskspec", "vdb,snapshot=no")
    assert names(box, "re") == []
    assert "re-over.qcow2" in box.sh("domblklist", "re")
    take(box, "re", "x")
    dom = box.connect().lookupByName("re")
    with pytest.raises(libvirt.libvirtError) as taken:
        dom.snapshotCreateXML("<domainsnapshot><name>x</name></domainsnapshot>", libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY)
    assert (taken.value.get_error_code(), taken.value.get_error_domain()) == (libvirt.VIR_ERR_OPERATION_FAILED, libvirt.VIR_FROM_DOMAIN)
    refused(box.virsh("snapshot-create-as", "re", "x", "--disk-only", "--reuse-external"), "x")
    take(box, "re", "x", "--no-metadata", "--diskspec", "vda,file=" + IMAGES + "re-last", "--diskspec", "vdb,snapshot=no")  # a name nobody keeps
    assert names(box, "re") == ["x"] and "re-last" in box.sh("domblklist", "re")


def test_tree(box):
    make(box, "tree")
    for name in ("a", "b", "c"):
        take(box, "tree", name, "--diskspec", "vdb,snapshot=no")
    assert box.sh("snapshot-current", "tree", "--name").strip() == "c"
    assert box.sh("snapshot-parent", "tree", "c").strip() == "b"
    refused(box.virsh("snapshot-parent", "tree", "a"), "parent")
    conn = box.connect()
    dom = conn.lookupByName("tree")
    a = dom.snapshotLookupByName("a")
    assert (dom.snapshotNum(), a.numChildren(), a.numChildren(libvirt.VIR_DOMAIN_SNAPSHOT_LIST_DESCENDANTS)) == (3, 1, 2)
    assert a.listChildrenNames() == ["b"] and [s.getName() for s in a.listAllChildren()] == ["b"]
    assert dom.hasCurrentSnapshot() and dom.snapshotCurrent().isCurrent() and not a.isCurrent() and a.hasMetadata()
    for flag, want in (("--roots", ["a"]), ("--leaves", ["c"]), ("--no-leaves", ["a", "b"]), ("--no-metadata", []), ("--inactive", ["a", "b", "c"]),
                       ("--active", []), ("--disk-only", []), ("--internal", []), ("--external", ["a", "b", "c"])):
        assert names(box, "tree", flag) == want, flag
    assert [s.getName() for s in dom.listAllSnapshots(libvirt.VIR_DOMAIN_SNAPSHOT_LIST_TOPOLOGICAL)] == ["a", "b", "c"]
    refused(box.virsh("undefine", "tree"), "3 snapshots")
    assert "tree" in box.sh("list", "--all", "--name").split()
    assert "tree" in box.sh("list", "--all", "--with-snapshot", "--name").split()
    assert "tree" not in box.sh("list", "--all", "--without-snapshot", "--name").split()
    # one in the middle goes: its child gets its parent
    box.sh("snapshot-delete", "tree", "b", "--metadata")
    assert box.sh("snapshot-parent", "tree", "c").strip() == "a"
    box.sh("snapshot-delete", "tree", "c", "--metadata")
    assert box.sh("snapshot-current", "tree", "--name").strip() == "a"
    box.sh("domrename", "tree", "tree2")
    assert names(box, "tree2") == ["a"]
    box.restart()
    assert names(box, "tree2") == ["a"] and box.sh("snapshot-current", "tree2", "--name").strip() == "a"
    assert os.listdir(box.box.path("lib", "qemu", "snapshot")) == ["tree2"]
    box.sh("undefine", "tree2", "--snapshots-metadata")
    assert not box.virsh("snapshot-list", "tree2").ok
    assert not os.path.exists(box.box.path("lib", "qemu", "snapshot", "tree2"))
    assert os.path.exists(box.box.path("lib", "images", "tree-a.c"))  # the images stay


def redefine(server, dom, text, *args):
    return server.virsh("snapshot-create", dom, server.file("snap.xml", text), "--redefine", *args)


def past(name, domain, state="shutoff", parent=None, more="", time=100):
    return "<domainsnapshot><name>%s</name>%s<creationTime>%d</creationTime><state>%s</state>%s%s</domainsnapshot>" % (
        name, "<parent><name>%s</name></parent>" % parent if parent else "", time, state, more, domain)


def test_redefine(box):
    make(box, "past")
    domain = box.sh("dumpxml", "past")
    one = "<disks><disk name='vda' snapshot='external'><source file='/x/a.r1'/></disk></disks>"
    assert redefine(box, "past", past("r1", domain, "disk-snapshot", more=one), "--disk-only").ok
    assert redefine(box, "past", past("r2", domain, "running", parent="r1"), "--current").ok
    assert redefine(box, "past", past("r3", domain, parent="r1")).ok
    assert names(box, "past") == ["r1", "r2", "r3"]
    assert box.sh("snapshot-current", "past", "--name").strip() == "r2"
    assert names(box, "past", "--active") == ["r2"] and names(box, "past", "--disk-only") == ["r1"]
    assert names(box, "past", "--internal") == ["r2", "r3"]
    xml = box.sh("snapshot-dumpxml", "past", "r1")
    assert "<source file='/x/a.r1'/>" in xml and "<source file='%spast-b.r1'/>" % IMAGES in xml and "<creationTime>100</creationTime>" in xml
    assert "<memory snapshot='internal'/>" in box.sh("snapshot-dumpxml", "past", "r2")
    refused(redefine(box, "past", past("r4", domain, parent="nope")), "nope")
    refused(redefine(box, "past", past("r1", domain, "disk-snapshot", parent="r3"), "--disk-only"), "r1")
    refused(redefine(box, "past", past("r1", domain, "running")), "r1")
    refused(redefine(box, "past", past("r5", domain.replace(UUID % 1, UUID % 2))), UUID % 1)
    refused(redefine(box, "past", past("r5", domain, "nonsense")), "nonsense")
    refused(redefine(box, "past", past("a/b", domain)), "a/b")
    refused(redefine(box, "past", past(".r5", domain)), ".r5")
    refused(redefine(box, "past", past("r5", domain, more="<disks><disk name='vdz' snapshot='no'/></disks>")), "vdz")
    refused(redefine(box, "past", past("r5", domain, more="<foo/>"), "--validate"))
    assert redefine(box, "past", past("r1", domain, "disk-snapshot", more="<description>new</description>", time=101), "--disk-only").ok
    xml = box.sh("snapshot-dumpxml", "past", "r1")
    assert "<description>new</description>" in xml and "<creationTime>101</creationTime>" in xml
    box.sh("snapshot-delete", "past", "r1", "--children-only", "--metadata")
    assert names(box, "past") == ["r1"]
    assert box.sh("snapshot-current", "past", "--name").strip() == "r1"


# ---- Berth alone --------------------------------------------------------------------------------------------------------


@pytest.fixture
def berthd(own_server, server_kind):
    if server_kind != "berthd":
        pytest.skip("about files only we promise anything of")
    return own_server()


def test_missing_machine_is_an_error(berthd):
    """libvirt 9.0 dies of this one."""
    make(berthd, "m")
    domain = berthd.sh("dumpxml", "m")
    refused(redefine(berthd, "m", past("r1", "")), "missing domain")
    assert redefine(berthd, "m", past("r1", domain)).ok
    assert redefine(berthd, "m", past("r1", "", time=5)).ok
    assert "<creationTime>5</creationTime>" in berthd.sh("snapshot-dumpxml", "m", "r1")


def test_refused_by_name(berthd):
    make(berthd, "r")
    refused(berthd.virsh("snapshot-create-as", "r", "full"), "internal snapshots")
    take(berthd, "r", "one", "--diskspec", "vda,snapshot=no")
    take(berthd, "r", "two", "--diskspec", "vda,snapshot=no")
    refused(berthd.virsh("snapshot-delete", "r", "one"), "one", "child", "qemu-img")
    refused(berthd.virsh("snapshot-create-as", "r", "three", "--disk-only", "--diskspec", "vda,file=" + IMAGES + "z", "--diskspec",
                         "vdb,file=" + IMAGES + "z"), "vda", "vdb")
    assert names(berthd, "r") == ["one", "two"]


def test_bad_files_cost_themselves(berthd):
    make(berthd, "bad")
    for name in ("one", "two"):
        take(berthd, "bad", name, "--diskspec", "vda,snapshot=no")
    directory = berthd.box.path("lib", "qemu", "snapshot", "bad")
    with open(os.path.join(directory, "one.xml")) as good:
        text = good.read()
    bad = {"broken.xml": text[:-30], "empty.xml": "", "other.xml": text, "entity.xml": "<!DOCTYPE a [<!ENTITY b 'c'>]><domainsnapshot/>",
           "state.xml": text.replace("<name>one", "<name>state").replace("shutoff", "nonsense"),
           "loop.xml": text.replace("<name>one</name>", "<name>loop</name><parent><name>loop</name></parent>", 1).replace(">1</active>", ">0</active>"),
           ".one.xml.Ab12Cd": "left by a crash"}
    for name, content in bad.items():
        with open(os.path.join(directory, name), "w") as out:
            out.write(content)
    os.mkdir(os.path.join(directory, "dir.xml"))
    os.mkfifo(os.path.join(directory, "fifo.xml"))
    os.makedirs(berthd.box.path("lib", "qemu", "snapshot", "nobody"))
    berthd.restart(9)
    assert names(berthd, "bad") == ["loop", "one", "two"]
    assert berthd.sh("snapshot-current", "bad", "--name").strip() == "two"
    assert berthd.sh("snapshot-parent", "bad", "two").strip() == "one"
    assert not berthd.virsh("snapshot-parent", "bad", "loop").ok
    log = berthd.text()
    for name in ("broken", "empty", "other", "entity", "state"):
        assert name + ".xml" in log
    assert not os.path.exists(os.path.join(directory, ".one.xml.Ab12Cd"))
    # what they tell is not lost to one of their name, which may also be told to be the parent of another
    with open(os.path.join(directory, "two.xml")) as file:
        orphan = file.read().replace("<name>one</name>", "<name>missing</name>", 1)
    with open(os.path.join(directory, "two.xml"), "w") as file:
        file.write(orphan)
    berthd.restart(9)
    refused(berthd.virsh("snapshot-create-as", "bad", "broken", "--disk-only"), "could not be read", "another name")
    refused(berthd.virsh("snapshot-create", "bad", berthd.file("state.xml", text.replace("<name>one", "<name>state", 1)), "--redefine"), "could not be read")
    refused(berthd.virsh("snapshot-create-as", "bad", "missing", "--disk-only"), "below itself")
    with open(os.path.join(directory, "broken.xml")) as file:
        assert file.read() == bad["broken.xml"]
    take(berthd, "bad", "three", "--diskspec", "vda,snapshot=no")
    assert names(berthd, "bad") == ["loop", "one", "three", "two"]


@pytest.mark.parametrize("machine", [None, "pc-i440fx-7.2"])
def test_drop_in(berthd, machine):
    """Libvirtd's files are read by us, and ours by libvirtd."""
    from lib import server as servers
    peer = servers.new("peer").open()
    try:
        make(peer, "both", machine=machine)
        take(peer, "both", "p1")
        take(peer, "both", "p2", "--diskspec", "vda,snapshot=no")
        shown = {n: peer.sh("snapshot-dumpxml", "both", n) for n in ("p1", "p2")}
        _copy(peer, berthd)
        berthd.restart()
        assert names(berthd, "both") == ["p1", "p2"]
        assert {n: berthd.sh("snapshot-dumpxml", "both", n) for n in shown} == shown
        take(berthd, "both", "b1")
        assert berthd.sh("snapshot-parent", "both", "b1").strip() == "p2"
        ours = berthd.sh("snapshot-dumpxml", "both", "b1")
        _copy(berthd, peer)
        peer.restart()
        assert names(peer, "both") == ["b1", "p1", "p2"]
        assert peer.sh("snapshot-dumpxml", "both", "b1") == ours
        assert peer.sh("snapshot-current", "both", "--name").strip() == "b1"
    finally:
        peer.close()


def _copy(source, target):
    for part in (("lib", "qemu", "snapshot"), ("lib", "images")):
        subprocess.run(["cp", "-a", source.box.path(*part) + "/.", target.box.path(*part) + "/"], check=True) \
            if os.path.isdir(target.box.path(*part)) else subprocess.run(["cp", "-a", source.box.path(*part), target.box.path(*part)], check=True)
    name = "both.xml"
    for root in ("etc",):
        subprocess.run(["cp", "-a", source.box.path(root, "qemu", name), target.box.path(root, "qemu", name)], check=True)
