"""Snapshots of the disks of running guests: real guests that write meanwhile, several disks at once, and a daemon killed at every step."""

import errno
import json
import os
import subprocess

import libvirt
import pytest

from lib import events, faults, server as servers, xml
from lib.console import VirshConsole
from lib.guest import PROMPT

IMAGES = "/var/lib/libvirt/images/"


def take(server, dom, name, *args):
    server.sh("snapshot-create-as", dom, name, "--disk-only", "--atomic", *args)


def nodes(server, dom):
    answer = json.loads(server.sh("qemu-monitor-command", dom, '{"execute":"query-named-block-nodes"}'))
    return {n["node-name"]: n for n in answer["return"]}


def tops(server, dom):
    """The node each device writes to."""
    answer = json.loads(server.sh("qemu-monitor-command", dom, '{"execute":"query-block"}'))
    return {b["qdev"].split("/")[3]: b["inserted"]["node-name"] for b in answer["return"] if "inserted" in b}


def chain(server, path):
    out = subprocess.run(server.box.argv(["qemu-img", "info", "-U", "--backing-chain", "--output=json", path]), check=True, capture_output=True)
    return [i["filename"] for i in json.loads(out.stdout)]


def sources(server, dom, *args):
    """target -> [paths from the top down] as the definition tells."""
    import xml.etree.ElementTree as etree
    found = {}
    for disk in etree.fromstring(server.sh("dumpxml", dom, *args)).findall("devices/disk"):
        paths, at = [], disk
        while at is not None and at.find("source") is not None:
            paths.append(at.find("source").get("file"))
            at = at.find("backingStore")
        found[disk.find("target").get("dev")] = paths
    return found


def two_disks(server, name, domain_xml=None, **kw):
    a, b = server.image(name + "-a.qcow2", "16M"), server.image(name + "-b.img", "16M", fmt="raw")
    text = (domain_xml or xml.domain)(name, devices=xml.disk(a) + xml.disk(b, "vdb", fmt="raw"), **kw)
    server.define(text)
    return a, b


def test_guest_writes_between_snapshots(server, domain_xml):
    two_disks(server, "writer", domain_xml)
    server.sh("start", "writer")
    with VirshConsole(server, "writer", "--force") as console:
        console.send("\n")
        console.expect(PROMPT, timeout=300)

        def run(command):
            console.send(command + "; echo done-$((6*7))\n")
            return console.expect("done-42", timeout=120)

        for step in range(3):
            for disk in ("vda", "vdb"):
                run("yes step-%d | tr -d '\\n' | dd of=/dev/%s bs=64k count=16 seek=%d iflag=fullblock conv=fsync 2>/dev/null" % (step, disk, step * 16))
            take(server, "writer", "s%d" % step)
        run("yes last | tr -d '\\n' | dd of=/dev/vda bs=64k count=8 seek=8 iflag=fullblock conv=fsync 2>/dev/null")
        sums = run("md5sum /dev/vda /dev/vdb")
        server.sh("domblklist", "writer")
    live = sources(server, "writer")
    assert live["vda"] == [IMAGES + n for n in ("writer-a.s2", "writer-a.s1", "writer-a.s0", "writer-a.qcow2")]
    assert live["vdb"] == [IMAGES + n for n in ("writer-b.s2", "writer-b.s1", "writer-b.s0", "writer-b.img")]
    assert sources(server, "writer", "--inactive") == live
    for target in live:
        assert chain(server, live[target][0]) == live[target]
    server.sh("destroy", "writer")
    for target in live:
        for path in live[target][:-1]:
            subprocess.run(server.box.argv(["qemu-img", "check", "-q", path]), check=True)
        raw = subprocess.run(server.box.argv(["qemu-img", "convert", "-O", "raw", live[target][0], IMAGES + "out.raw"]), check=True)
        assert raw.returncode == 0
        summed = subprocess.run(server.box.argv(["md5sum", IMAGES + "out.raw"]), check=True, capture_output=True, text=True)
        assert summed.stdout.split()[0] in sums, (target, sums)
    # what each snapshot keeps is what was there then: the image below holds no later step
    data = subprocess.run(server.box.argv(["qemu-img", "convert", "-O", "raw", IMAGES + "writer-a.s0", IMAGES + "then.raw"]), check=True)
    with open(server.box.path("lib", "images", "then.raw"), "rb") as then:
        content = then.read()
    assert data.returncode == 0 and b"step-1" in content and b"step-2" not in content and b"last" not in content
    server.sh("start", "writer", "--paused")
    assert sources(server, "writer") == live


def test_all_or_nothing(server):
    if server.kind == "peer":
        pytest.skip("libvirt 9.0 does more kinds, and leaves nodes behind")
    two_disks(server, "all")
    server.sh("start", "all", "--paused")
    before, known = sorted(os.listdir(server.box.path("lib", "images"))), set(nodes(server, "all"))
    for spec in (("vda,file=/nodir/x",), ("vdb,file=/nodir/x",), ("vda,file=" + IMAGES + "all-b.img",), ("vda,driver=raw",), ("vdz,snapshot=no",)):
        args = [x for s in spec for x in ("--diskspec", s)]
        assert not server.virsh("snapshot-create-as", "all", "no", "--disk-only", *args).ok, spec
    assert not server.virsh("snapshot-create-as", "all", "no", "--disk-only", "--quiesce").ok
    assert not server.virsh("snapshot-create-as", "all", "no").ok
    assert not server.virsh("snapshot-create-as", "all", "no", "--live").ok
    assert not server.virsh("snapshot-create", "all", server.file("s.xml", "<domainsnapshot><disks><disk name='vda' snapshot='manual'/></disks>"
                                                                  "</domainsnapshot>"), "--disk-only").ok
    assert sorted(os.listdir(server.box.path("lib", "images"))) == before
    assert set(nodes(server, "all")) == known
    assert sources(server, "all", "--inactive") == {"vda": [IMAGES + "all-a.qcow2"], "vdb": [IMAGES + "all-b.img"]}


def test_specs_reuse_halt(server):
    a, _ = two_disks(server, "spec")
    server.sh("start", "spec", "--paused")
    take(server, "spec", "one", "--diskspec", "vda,file=%smine.img,driver=qed" % IMAGES, "--diskspec", "vdb,snapshot=no")
    assert sources(server, "spec")["vda"] == [IMAGES + "mine.img", a]
    server.image("over.qcow2", "16M")
    subprocess.run(server.box.argv(["qemu-img", "rebase", "-u", "-f", "qcow2", "-F", "qed", "-b", IMAGES + "mine.img", IMAGES + "over.qcow2"]), check=True)
    take(server, "spec", "two", "--reuse-external", "--no-metadata", "--diskspec", "vda,file=%sover.qcow2" % IMAGES, "--diskspec", "vdb,snapshot=no")
    assert sources(server, "spec")["vda"][:2] == [IMAGES + "over.qcow2", IMAGES + "mine.img"]
    assert server.sh("snapshot-list", "spec", "--name").split() == ["one"]
    assert server.sh("snapshot-info", "spec", "one").count("disk-snapshot") == 1
    recorder = events.Recorder(server.connect())
    take(server, "spec", "three", "--halt")
    assert recorder.lifecycle("spec", libvirt.VIR_DOMAIN_EVENT_STOPPED) == libvirt.VIR_DOMAIN_EVENT_STOPPED_FROM_SNAPSHOT
    assert "from snapshot" in server.sh("domstate", "spec", "--reason")
    recorder.close()
    server.sh("start", "spec", "--paused")
    assert sources(server, "spec")["vda"][0] == IMAGES + "over.three"


def test_transient(server):
    a = server.image("gone-a.qcow2", "16M")
    server.sh("create", server.file("gone.xml", xml.domain("gone", devices=xml.disk(a))), "--paused")
    assert not server.virsh("snapshot-create-as", "gone", "x", "--disk-only", "--halt").ok
    take(server, "gone", "x")
    assert sources(server, "gone")["vda"] == [IMAGES + "gone-a.x", a]
    server.sh("destroy", "gone")
    assert not os.path.exists(server.box.path("lib", "qemu", "snapshot", "gone"))


def _deep(server, name, length):
    """The top of a chain of images: each is a copy of the second with another name of the one below in its header."""
    images = server.box.path("lib", "images")
    server.image("%s-000" % name, "1M")
    create = ["qemu-img", "create", "-q", "-u", "-f", "qcow2", "-F", "qcow2", "-b", "%s%s-000" % (IMAGES, name), "%s%s-001" % (IMAGES, name), "1M"]
    subprocess.run(server.box.argv(create), check=True)
    with open("%s/%s-001" % (images, name), "rb") as file:
        second = file.read()
    for i in range(2, length):
        with open("%s/%s-%03d" % (images, name, i), "wb") as file:
            file.write(second.replace(b"%s-000" % name.encode(), b"%s-%03d" % (name.encode(), i - 1)))
    return "%s%s-%03d" % (IMAGES, name, length - 1)


def test_many_images(own_server):
    """QEMU tells of each image inside the one above it; a guest with many is neither lost for that, nor given more than the next start can open."""
    server = own_server()
    for name, length in (("deep", 70), ("full", 200)):
        server.define(xml.domain(name, devices=xml.disk(_deep(server, name, length))))
        server.sh("start", name, "--paused")

    def refused():
        answer = server.virsh("snapshot-create-as", "full", "more", "--disk-only")
        assert not answer.ok and "200 images deep" in answer.err

    refused()
    server.sh("destroy", "full")
    refused()
    server.sh("snapshot-create-as", "deep", "s", "--disk-only")
    server.restart()
    server.sh("qemu-monitor-command", "deep", "--hmp", "info status")
    assert len(sources(server, "deep")["vda"]) == 71


# ---- the daemon dies ----------------------------------------------------------------------------------------------------


@pytest.fixture
def faulty(server_kind):
    if server_kind != "berthd":
        pytest.skip("of our own daemon")
    instance = servers.new("berthd")
    instance.box.start()
    instance.write_config()
    control = faults.Faults(instance.box.path("faults"))
    instance.environment = lambda base=instance.environment: dict(base(), BERTH_FAULTS=control.path)
    instance.start()
    instance.faults = control
    if not instance.faults_work():
        instance.close()
        pytest.skip("the daemon has no fault points")
    yield instance
    control.off()
    instance.close()


def _faults_work(self):
    self.faults.record()
    self.sh("list", "--all")
    return bool(self.faults.recorded())


servers.Berthd.faults_work = _faults_work


def _true(server, dom, name, base):
    """Definitions, files and the list all say what QEMU does; returns whether the snapshot is taken."""
    top, live, known = tops(server, dom), sources(server, dom), nodes(server, dom)
    new = {"vda": base["vda"] + "." + name, "vdb": base["vdb"] + "." + name}
    taken = live["vda"][0].endswith("." + name)
    for target, device in (("vda", "virtio-disk0"), ("vdb", "virtio-disk1")):
        assert live[target][0].endswith("." + name) == taken
        image = known[top[device]]["image"]
        assert ("backing-image" in image) == (len(live[target]) > 1), (target, live)
        number = int(top[device].split("-")[1])
        assert "index='%d'" % number in server.sh("dumpxml", dom)
    assert sources(server, dom, "--inactive") == live
    assert (name in server.sh("snapshot-list", dom, "--name").split()) == taken
    if not taken:
        for path in new.values():
            assert not os.path.exists(server.box.path("lib", "images", os.path.basename(path))), path
        used = {n for n in known if n.startswith("libvirt-")}
        assert len(used) == 2 * sum(len(paths) for paths in live.values()), used
    assert os.listdir(server.box.path("lib", "qemu", "snapshot-intent")) == []
    return taken


# In the order they come in.
STEPS = [("rename:*/snapshot-intent/*", 1), ("fsync:*/snapshot-intent", 1), ("at:clone", 1), ("at:clone", 2), ("qmp:add-fd", 1), ("qmp:add-fd", 2),
         ("qmp:blockdev-add", 1), ("qmp:blockdev-add", 2), ("qmp:blockdev-add", 4), ("qmp:transaction", 1),
         ("rename:/run/libvirt/qemu/kill.xml", 1), ("rename:/etc/libvirt/qemu/kill.xml", 1), ("fsync:/etc/libvirt/qemu", 1),
         ("rename:*/snapshot/kill/*", 1), ("unlink:*/snapshot-intent/*", 1)]


def test_killed_at_every_step(faulty):
    server = faulty
    base = dict(zip(("vda", "vdb"), (IMAGES + "kill-a", IMAGES + "kill-b")))
    two_disks(server, "kill")
    server.sh("start", "kill", "--paused")
    outcomes = {}
    for number, (step, nth) in enumerate(STEPS):
        snap = "k%d" % number
        server.faults.inject(step, nth=nth, action="kill-daemon")
        server.virsh("snapshot-create-as", "kill", snap, "--disk-only")
        server.faults.off()
        assert server.faults.fired, step
        server.process.wait(30)
        server.start()
        outcomes[step, nth] = _true(server, "kill", snap, base)
    assert outcomes == {s: i > STEPS.index(("qmp:transaction", 1)) for i, s in enumerate(STEPS)}
    take(server, "kill", "last")
    assert _true(server, "kill", "last", base)


def test_qemu_killed_meanwhile(faulty):
    """The guest may have written to the new images: they are its from then on."""
    server = faulty
    a, b = two_disks(server, "die")
    server.sh("start", "die", "--paused")
    qemu = server.box.qemus()[0][0]
    server.faults.record()
    take(server, "die", "first")
    transaction = [n for n in server.faults.recorded() if "transaction" in n][0]
    server.faults.inject(transaction, action="kill-qemu", qemu_pid=qemu)
    recorder = events.Recorder(server.connect())
    assert not server.virsh("snapshot-create-as", "die", "x", "--disk-only").ok
    server.faults.off()
    recorder.lifecycle("die", libvirt.VIR_DOMAIN_EVENT_STOPPED)
    recorder.close()
    server.sh("start", "die", "--paused")  # after the task that settles it
    live = sources(server, "die")
    assert live["vda"][0] in (IMAGES + "die-a.first", IMAGES + "die-a.x")
    assert live["vda"][0].endswith(".x") == live["vdb"][0].endswith(".x")
    assert os.path.exists(server.box.path("lib", "images", "die-a.x")) == live["vda"][0].endswith(".x")
    assert os.listdir(server.box.path("lib", "qemu", "snapshot-intent")) == []
    assert a and b


def _ends_unsettled(server, dom, *args):
    """The guest is on its new images, the file of its definition could not be written, and it ends before that is mended."""
    two_disks(server, dom)
    server.sh("start", dom, "--paused")
    server.faults.inject("rename:/etc/libvirt/qemu/*", persistent=True, error=errno.ENOSPC)
    recorder = events.Recorder(server.connect())
    answer = server.virsh("snapshot-create-as", dom, "s", "--disk-only", *args)
    assert not answer.ok and "still names the old ones" in answer.err
    server.sh("destroy", dom)
    recorder.lifecycle(dom, libvirt.VIR_DOMAIN_EVENT_STOPPED)
    recorder.close()


def _refused_then(server, *calls):
    for call in calls:
        answer = server.virsh(*call)
        assert not answer.ok and "an earlier snapshot is not settled yet" in answer.err
    server.faults.off()
    server.sh(*calls[0])


def test_settled_before_anything_else(faulty):
    """A start on the old images would lose what the guest wrote to the new ones; and the note is of this machine, not of one of its name."""
    server = faulty
    _ends_unsettled(server, "late")
    text = server.file("late.xml", server.sh("dumpxml", "late", "--inactive"))
    _refused_then(server, ("start", "late", "--paused"), ("create", text, "--paused"))
    assert sources(server, "late") == {"vda": [IMAGES + "late-a.s", IMAGES + "late-a.qcow2"], "vdb": [IMAGES + "late-b.s", IMAGES + "late-b.img"]}
    assert sources(server, "late", "--inactive")["vda"][0] == IMAGES + "late-a.s"

    subprocess.run(server.box.argv(["sh", "-c", "cd %s && qemu-img create -q -u -f qcow2 -F qcow2 -b named-a.qcow2 over 16M" % IMAGES]), check=True)
    _ends_unsettled(server, "named", "--reuse-external", "--diskspec", "vda,file=%sover" % IMAGES, "--diskspec", "vdb,snapshot=no")
    _refused_then(server, ("domrename", "named", "soon"))
    assert server.sh("snapshot-list", "soon", "--name").split() == ["s"]
    assert sources(server, "soon", "--inactive")["vda"][0] == IMAGES + "over"

    _ends_unsettled(server, "gone")
    server.sh("undefine", "gone")
    server.faults.off()
    assert os.listdir(server.box.path("lib", "qemu", "snapshot-intent")) == []


def test_settled_before_block_jobs(faulty):
    """An overlay that was merged or left behind stands on the old image for ever: it must not be taken for the machine's when the guest has ended."""
    server = faulty
    a, _ = two_disks(server, "jobs")
    server.sh("start", "jobs", "--paused")
    server.faults.inject("rename:/etc/libvirt/qemu/*", persistent=True, error=errno.ENOSPC)
    assert not server.virsh("snapshot-create-as", "jobs", "s", "--disk-only", "--no-metadata").ok
    commit = ("blockcommit", "jobs", "vda", "--active", "--pivot", "--wait")
    for call in (commit, ("blockpull", "jobs", "vda"), ("blockcopy", "jobs", "vda", IMAGES + "copy", "--transient-job")):
        answer = server.virsh(*call)
        assert not answer.ok and "an earlier snapshot is not settled yet" in answer.err, call
    server.faults.off()
    server.sh(*commit)
    recorder = events.Recorder(server.connect())
    server.sh("destroy", "jobs")
    recorder.lifecycle("jobs", libvirt.VIR_DOMAIN_EVENT_STOPPED)
    recorder.close()
    server.sh("start", "jobs", "--paused")  # after the task that settles
    assert sources(server, "jobs")["vda"] == sources(server, "jobs", "--inactive")["vda"] == [a]
    assert os.path.exists(server.box.path("lib", "images", "jobs-a.s")) and os.listdir(server.box.path("lib", "qemu", "snapshot-intent")) == []


def _task_is_over(server, dom):
    """The guest's end makes one that tries to settle it: it has the job before the second of these at the latest."""
    for _ in range(2):
        answer = server.virsh("start", dom, "--paused")
        assert not answer.ok and "an earlier snapshot is not settled yet" in answer.err


def test_settled_when_storage_is_back(faulty):
    """Images that cannot be read, or are not there with all their storage, do not say that the guest is not on them."""
    server = faulty
    _ends_unsettled(server, "nfs")
    _task_is_over(server, "nfs")
    images = server.box.path("lib", "images")
    away = os.path.join(images, "..", "away")
    os.mkdir(away)
    for name in ("nfs-a.s", "nfs-a.qcow2"):
        os.rename(os.path.join(images, name), os.path.join(away, name))
    server.faults.off()

    def refused():
        answer = server.virsh("start", "nfs", "--paused")
        assert not answer.ok and "an earlier snapshot is not settled yet" in answer.err and "make its storage reachable" in answer.err, answer.err
        assert os.listdir(server.box.path("lib", "qemu", "snapshot-intent")) == ["nfs.xml"]

    refused()  # nothing is mounted
    os.symlink("nfs-a.s", os.path.join(images, "nfs-a.s"))
    refused()  # something is, and it gives errors
    os.unlink(os.path.join(images, "nfs-a.s"))
    for name in ("nfs-a.s", "nfs-a.qcow2"):
        os.rename(os.path.join(away, name), os.path.join(images, name))
    server.sh("start", "nfs", "--paused")
    assert sources(server, "nfs", "--inactive")["vda"][0] == IMAGES + "nfs-a.s"
    assert os.listdir(server.box.path("lib", "qemu", "snapshot-intent")) == []

    server.sh("destroy", "nfs")
    _ends_unsettled(server, "moved")
    _task_is_over(server, "moved")
    os.unlink(os.path.join(images, "moved-a.s"))
    os.symlink("moved-a.s", os.path.join(images, "moved-a.s"))
    server.faults.off()
    other = server.sh("dumpxml", "moved", "--inactive").replace("moved-a.qcow2", "nfs-a.qcow2")
    server.sh("define", server.file("moved.xml", other))
    server.sh("start", "moved", "--paused")  # which image it shall have was said
    assert os.listdir(server.box.path("lib", "qemu", "snapshot-intent")) == []


def test_renamed_with_its_snapshots(faulty):
    """Killed anywhere in a change of name: the machine has one of the two names, and its snapshots."""
    server = faulty
    two_disks(server, "n0")
    server.sh("snapshot-create-as", "n0", "s", "--disk-only")
    name, moved = "n0", []
    for number, (step, nth) in enumerate([("rename:/etc/libvirt/qemu/n*", 1), ("rename:*/snapshot/*", 1), ("fsync:*/snapshot", 1),
                                          ("rename:/etc/libvirt/qemu/n*", 2), ("fsync:/etc/libvirt/qemu", 2)]):
        new = "n%d" % (number + 1)
        server.faults.inject(step, nth=nth, action="kill-daemon")
        server.virsh("domrename", name, new)
        server.faults.off()
        assert server.faults.fired, step
        server.process.wait(30)
        server.start()
        there = server.sh("list", "--all", "--name").split()
        assert there in ([name], [new])
        moved.append(there == [new])
        name = there[0]
        assert server.sh("snapshot-list", name, "--name").split() == ["s"], step
        assert os.listdir(server.box.path("lib", "qemu", "snapshot")) == [name]
    assert moved == [False, True, True, True, True]


def test_forgotten_when_there_is_room_again(faulty):
    """What could not be written when a snapshot went is not taken for written: the tree is right when it goes later, and for the next daemon."""
    server = faulty
    two_disks(server, "room")
    for name in ("a", "b", "c"):
        server.sh("snapshot-create-as", "room", name, "--disk-only", "--diskspec", "vdb,snapshot=no")
    server.sh("snapshot-create", "room", server.file("b.xml", server.sh("snapshot-dumpxml", "room", "b")), "--redefine", "--current")

    def parent(name):
        answer = server.virsh("snapshot-parent", "room", name)
        return answer.out.strip() if answer.ok else None

    server.faults.inject("rename:*/snapshot/room/*", persistent=True, error=errno.ENOSPC)
    assert not server.virsh("snapshot-delete", "room", "b", "--metadata").ok
    server.faults.off()
    assert server.sh("snapshot-current", "room", "--name").strip() == "b" and parent("c") == "b"
    server.faults.inject("rename:*/snapshot/room/b.xml", persistent=True, error=errno.ENOSPC)  # which is to lose the mark, and is the later
    assert not server.virsh("snapshot-current", "room", "a").ok
    server.faults.off()
    for _ in range(2):
        assert server.sh("snapshot-current", "room", "--name").strip() == "b"
        server.restart()
    server.sh("snapshot-delete", "room", "b", "--metadata")
    for _ in range(2):
        assert server.sh("snapshot-current", "room", "--name").strip() == "a" and (parent("c"), parent("a")) == ("a", None)
        server.restart()


def test_kept_while_the_definition_cannot_be_read(faulty):
    """A machine that runs when its file cannot be read is none that was never stored: at its end its snapshots stay for who repairs the file."""
    server = faulty
    two_disks(server, "torn")
    server.sh("snapshot-create-as", "torn", "s", "--disk-only")
    server.sh("start", "torn", "--paused")
    server.stop(9)
    path = server.box.path("etc", "qemu", "torn.xml")
    with open(path) as file:
        text = file.read()
    with open(path, "w") as file:
        file.write(text.replace("</domain>", "</domian>"))
    server.start()
    server.sh("destroy", "torn")
    with open(path, "w") as file:
        file.write(text)
    server.restart()
    assert server.sh("snapshot-list", "torn", "--name").split() == ["s"]


def test_names_of_definitions_nobody_could_read(faulty):
    """A change of name does not write over them; and their links to be started with the host are nothing to the machine that has the name later."""
    server = faulty
    two_disks(server, "old")
    path, link = server.box.path("etc", "qemu", "new.xml"), server.box.path("etc", "qemu", "autostart", "new.xml")
    with open(path, "w") as file:
        file.write("<domain>")
    os.symlink("/etc/libvirt/qemu/new.xml", link)
    server.restart()
    answer = server.virsh("domrename", "old", "new")
    assert not answer.ok and "could not be read" in answer.err and os.path.lexists(link)
    with open(path) as file:
        assert file.read() == "<domain>"
    os.unlink(path)
    server.sh("domrename", "old", "new")
    for _ in range(2):
        assert "disable" in server.sh("dominfo", "new").split("Autostart:")[1].split("\n")[0]
        server.restart()


def test_first_snapshot_of_a_machine_is_durable(faulty):
    """Also the directory that is made for it."""
    server = faulty
    two_disks(server, "first")
    server.faults.record()
    server.sh("snapshot-create-as", "first", "s", "--disk-only")
    synced = [n for n in server.faults.recorded() if n.startswith("fsync:")]
    server.faults.off()
    assert any(n.endswith("/snapshot") for n in synced) and any(n.endswith("/snapshot/first") for n in synced), synced


def test_note_of_another_machine(faulty):
    """What was left of one that is gone is nothing to a machine that was given its name and its images."""
    server = faulty
    a, b = two_disks(server, "heir")
    server.sh("start", "heir", "--paused")
    server.faults.inject("rename:/etc/libvirt/qemu/*", persistent=True, error=errno.ENOSPC)
    assert not server.virsh("snapshot-create-as", "heir", "s", "--disk-only").ok
    server.sh("destroy", "heir")
    server.stop(9)
    server.faults.off()
    os.unlink(server.box.path("etc", "qemu", "heir.xml"))
    server.start()
    assert "heir" not in server.sh("list", "--all", "--name").split()
    server.define(xml.domain("heir", devices=xml.disk(a) + xml.disk(b, "vdb", fmt="raw"), uuid="1e6ac1ab-0000-4000-8000-000000000001"))
    server.restart()
    server.sh("start", "heir", "--paused")
    assert sources(server, "heir", "--inactive") == {"vda": [a], "vdb": [b]} and server.sh("snapshot-list", "heir", "--name").split() == []


def test_note_of_an_earlier_life(faulty):
    """Nor is it to the same machine, when that was defined anew and started: the overlay, which may have the guest's data, stays where it is."""
    server = faulty
    two_disks(server, "again")
    text = server.sh("dumpxml", "again", "--inactive")
    server.sh("start", "again", "--paused")
    server.faults.inject("rename:/etc/libvirt/qemu/*", persistent=True, error=errno.ENOSPC)
    assert not server.virsh("snapshot-create-as", "again", "s", "--disk-only").ok
    server.sh("destroy", "again")
    server.stop(9)
    server.faults.off()
    os.unlink(server.box.path("etc", "qemu", "again.xml"))
    server.start()
    server.define(text)
    server.sh("start", "again", "--paused")
    server.restart()
    assert sources(server, "again") == sources(server, "again", "--inactive") and len(sources(server, "again")["vda"]) == 1
    assert os.path.exists(server.box.path("lib", "images", "again-a.s"))
    assert os.listdir(server.box.path("lib", "qemu", "snapshot-intent")) == []
