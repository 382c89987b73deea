"""Jobs on disks with stock virsh and the bindings, on real QEMU: definitions, events and data after each step."""

import os
import re
import shutil
import signal
import struct
import threading

import libvirt
import pytest

from lib import blockdev, events, rawrpc, xml as guest_xml
from lib.blockdev import IMAGES
from lib.console import VirshConsole
from lib.guest import PROMPT
from lib.monitor import Monitor

L = libvirt
TYPES = {"pull": L.VIR_DOMAIN_BLOCK_JOB_TYPE_PULL, "copy": L.VIR_DOMAIN_BLOCK_JOB_TYPE_COPY,
         "commit": L.VIR_DOMAIN_BLOCK_JOB_TYPE_COMMIT, "active": L.VIR_DOMAIN_BLOCK_JOB_TYPE_ACTIVE_COMMIT}
COMPLETED, FAILED, CANCELED, READY = (L.VIR_DOMAIN_BLOCK_JOB_COMPLETED, L.VIR_DOMAIN_BLOCK_JOB_FAILED,
                                      L.VIR_DOMAIN_BLOCK_JOB_CANCELED, L.VIR_DOMAIN_BLOCK_JOB_READY)
BLOCK_JOB_ABORT = 237
SLOW = "65536"  # bytes a second: a job that is still there whenever the test looks
JOB, JOB_2 = L.VIR_DOMAIN_EVENT_ID_BLOCK_JOB, L.VIR_DOMAIN_EVENT_ID_BLOCK_JOB_2


@pytest.fixture
def images(server):
    for name in os.listdir(server.box.path("lib", "images")):
        os.unlink(server.box.path("lib", "images", name))
    return blockdev.Images(server)


@pytest.fixture
def heard(conn):
    recorder = events.Recorder(conn, [L.VIR_DOMAIN_EVENT_ID_LIFECYCLE, JOB, JOB_2])
    yield recorder
    recorder.close()


@pytest.fixture
def vm(server, images, conn):
    """Makes a running guest without an operating system on a chain of three images."""
    def make(name="vm", names=("base", "mid", "top"), transient=False, **kw):
        top = images.layers(*names)
        text = guest_xml.domain(name, devices=guest_xml.disk(top), memory=32, **kw)
        dom = conn.createXML(text) if transient else conn.defineXML(text)
        if not transient:
            dom.create()
        return dom
    return make


def jobs_heard(recorder, start=0):
    """Block job events: (path or target, type, status), the old kind and the new in pairs."""
    return [(event,) + args for event, _, args in recorder.seen[start:] if event in (JOB, JOB_2)]


def expect_jobs(recorder, wanted):
    """These block job events and no others; they may come after the answer to the call that caused them."""
    recorder.wait(lambda *_: len(jobs_heard(recorder)) >= len(wanted))
    assert jobs_heard(recorder) == wanted


def wait_status(recorder, status, start=0, name="vm"):
    recorder.wait(lambda e, n, a: e == JOB_2 and n == name and a[2] == status, start=start)


def both(path, target, kind, status):
    return [(JOB, IMAGES + path, TYPES[kind], status), (JOB_2, target, TYPES[kind], status)]


def refused(call, code, text=""):
    with pytest.raises(L.libvirtError) as info:
        call()
    assert info.value.get_error_code() == code, info.value
    assert text in str(info.value), info.value
    return str(info.value)


# ---- commit ------------------------------------------------------------------------------------------------------------------


def test_active_commit_and_pivot(server, images, vm, heard):
    dom = vm()
    images.raw("top", "before")
    out = server.sh("blockcommit", "vm", "vda", "--active", "--pivot", "--wait", "--verbose")
    assert "Successfully pivoted" in out
    expect_jobs(heard, both("top", "vda", "active", READY) + both("base", "vda", "active", COMPLETED))
    assert blockdev.paths(dom) == ["base"]
    assert blockdev.mirror(dom) is None
    assert not blockdev.truthful(dom)
    assert dom.blockJobInfo("vda", 0) == {}
    dom.destroy()
    images.same("base", "before", other_fmt="raw")
    images.check("base")
    dom.create()  # from what is stored
    assert blockdev.paths(dom) == ["base"]


def test_active_commit_stays_in_step_until_told(server, images, vm, heard):
    dom = vm()
    server.sh("blockcommit", "vm", "vda", "--active", "--shallow", "--wait", "--verbose")
    assert blockdev.mirror(dom) == (2, "active-commit", "yes")
    info = dom.blockJobInfo("vda", 0)
    assert info["type"] == TYPES["active"] and info["cur"] == info["end"]
    refused(lambda: dom.blockPull("vda"), L.VIR_ERR_BLOCK_COPY_ACTIVE, "active commit")
    server.sh("blockjob", "vm", "vda", "--abort")
    assert blockdev.mirror(dom) is None
    assert blockdev.paths(dom) == ["top", "mid", "base"]
    assert not blockdev.truthful(dom)
    server.sh("blockcommit", "vm", "vda", "--active", "--shallow", "--wait", "--keep-overlay")
    server.sh("blockcommit", "vm", "vda", "--active", "--shallow", "--wait")
    server.sh("blockjob", "vm", "vda", "--pivot", "--async")
    wait_status(heard, COMPLETED)
    assert blockdev.paths(dom) == ["mid", "base"]
    assert not blockdev.truthful(dom)
    dom.destroy()
    images.check("mid")


def test_commit_below_the_top(server, images, vm, heard):
    dom = vm(names=("base", "one", "two", "top"))
    images.raw("top", "before")
    server.sh("blockcommit", "vm", "vda", "--top", "vda[2]", "--base", "vda[3]", "--wait", "--verbose")
    expect_jobs(heard, both("top", "vda", "commit", COMPLETED))
    assert blockdev.paths(dom) == ["top", "one", "base"]
    assert not blockdev.truthful(dom)
    server.sh("blockcommit", "vm", "vda", "--top", IMAGES + "one", "--base", IMAGES + "base", "--wait")
    assert blockdev.chain(dom) == [(1, IMAGES + "top"), (4, IMAGES + "base")]
    assert not blockdev.truthful(dom)
    dom.destroy()
    assert images.backing("top") == IMAGES + "base"
    images.same("top", "before", other_fmt="raw")
    images.check("top")
    images.check("base")


def test_header_of_an_image_in_the_middle_is_rewritten(server, images, vm):
    dom = vm(names=("base", "one", "two", "top"))
    server.sh("blockcommit", "vm", "vda", "--top", "vda[3]", "--base", "vda[4]", "--wait")
    assert blockdev.paths(dom) == ["top", "two", "base"]
    dom.destroy()
    assert images.backing("two") == IMAGES + "base"
    images.check("two")


def test_commit_that_deletes(server, images, vm, conn, heard):
    """Files nobody needs any more; what another machine has below its image stays, though only a header says so."""
    dom = vm(names=("base", "one", "two", "three", "top"))
    other = server.image("other", None, backing=(IMAGES + "two", "qcow2"))
    conn.defineXML(guest_xml.domain("other", devices=guest_xml.disk(other)))
    server.sh("blockcommit", "vm", "vda", "--top", IMAGES + "three", "--base", IMAGES + "one", "--delete", "--wait")
    there = lambda: sorted(os.listdir(server.box.path("lib", "images")))
    assert there() == ["base", "one", "other", "top", "two"]
    server.sh("blockcommit", "vm", "vda", "--active", "--pivot", "--shallow", "--delete", "--wait")
    assert there() == ["base", "one", "other", "two"]
    assert blockdev.paths(dom) == ["one", "base"]
    assert not blockdev.truthful(dom)


def test_what_a_commit_refuses(vm, images):
    dom = vm()
    base, top = "vda[3]", "vda[2]"
    arg = L.VIR_ERR_INVALID_ARG
    refused(lambda: dom.blockCommit("vda", None, None, 0, 0), arg, "requires active flag")
    refused(lambda: dom.blockCommit("vda", None, top, 0, L.VIR_DOMAIN_BLOCK_COMMIT_ACTIVE), arg, "not active")
    refused(lambda: dom.blockCommit("vda", "vda[1]", top, 0, 0), arg, "index '1'")
    refused(lambda: dom.blockCommit("vda", base, None, 0, L.VIR_DOMAIN_BLOCK_COMMIT_SHALLOW), arg, "not immediately below")
    refused(lambda: dom.blockCommit("vda", None, base, 0, 0), arg, "base image")
    refused(lambda: dom.blockCommit("vdq", None, None, 0, L.VIR_DOMAIN_BLOCK_COMMIT_ACTIVE), arg, "vdq")
    refused(lambda: dom.blockCommit("vda", None, None, 1 << 62, L.VIR_DOMAIN_BLOCK_COMMIT_ACTIVE), L.VIR_ERR_OVERFLOW)
    refused(lambda: dom.blockCommit("vda", base, top, 0, L.VIR_DOMAIN_BLOCK_COMMIT_RELATIVE), L.VIR_ERR_OPERATION_INVALID, "relative")
    assert dom.blockJobInfo("vda", 0) == {}
    dom.destroy()
    for call in (lambda: dom.blockCommit("vda", None, None, 0, L.VIR_DOMAIN_BLOCK_COMMIT_ACTIVE), lambda: dom.blockPull("vda"),
                 lambda: dom.blockJobAbort("vda"), lambda: dom.blockJobInfo("vda", 0), lambda: dom.blockJobSetSpeed("vda", 1)):
        refused(call, L.VIR_ERR_OPERATION_INVALID, "not running")


# ---- pull --------------------------------------------------------------------------------------------------------------------


def test_pull(server, images, vm, heard):
    dom = vm()
    images.raw("top", "before")
    server.sh("blockpull", "vm", "vda", "--base", "vda[3]", "--wait", "--verbose")
    assert blockdev.chain(dom) == [(1, IMAGES + "top"), (3, IMAGES + "base")]
    assert not blockdev.truthful(dom)
    assert images.backing("top") == IMAGES + "base"
    out = server.sh("blockpull", "vm", "vda", "--wait", "--verbose")
    assert "Pull complete" in out
    assert blockdev.chain(dom) == [(1, IMAGES + "top")]
    assert not blockdev.truthful(dom)
    expect_jobs(heard, 2 * both("top", "vda", "pull", COMPLETED))
    assert images.backing("top") is None
    dom.destroy()
    images.same("top", "before", other_fmt="raw")
    images.check("top")


def test_pull_given_up(server, images, vm, heard):
    dom = vm()
    server.sh("blockpull", "vm", "vda", "--bytes", "--bandwidth", SLOW)
    info = dom.blockJobInfo("vda", L.VIR_DOMAIN_BLOCK_JOB_INFO_BANDWIDTH_BYTES)
    assert info["type"] == TYPES["pull"] and info["bandwidth"] == int(SLOW) and info["cur"] < info["end"]
    assert dom.blockJobInfo("vda", 0)["bandwidth"] == 1  # MiB, rounded up
    refused(lambda: dom.blockJobAbort("vda", L.VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT), L.VIR_ERR_OPERATION_INVALID, "pivot")
    dom.blockJobSetSpeed("vda", 131072, L.VIR_DOMAIN_BLOCK_JOB_SPEED_BANDWIDTH_BYTES)
    assert dom.blockJobInfo("vda", L.VIR_DOMAIN_BLOCK_JOB_INFO_BANDWIDTH_BYTES)["bandwidth"] == 131072
    server.sh("blockjob", "vm", "vda", "--abort")
    expect_jobs(heard, both("top", "vda", "pull", CANCELED))
    assert blockdev.paths(dom) == ["top", "mid", "base"]
    assert not blockdev.truthful(dom)
    dom.blockRebase("vda", "vda[2]", 0, 0)  # a pull of nothing that is below
    wait_status(heard, COMPLETED)
    assert blockdev.paths(dom) == ["top", "mid", "base"]


# ---- copy --------------------------------------------------------------------------------------------------------------------

TRANSIENT = "--transient-job"


def test_copy_and_pivot(server, images, vm, heard):
    dom = vm()
    images.raw("top", "before")
    refused(lambda: dom.blockRebase("vda", IMAGES + "x", 0, L.VIR_DOMAIN_BLOCK_REBASE_COPY), L.VIR_ERR_OPERATION_INVALID, "transient")
    out = server.sh("blockcopy", "vm", "vda", IMAGES + "copy", "--wait", "--pivot", "--verbose", TRANSIENT)
    assert "Successfully pivoted" in out
    expect_jobs(heard, both("top", "vda", "copy", READY) + both("copy", "vda", "copy", COMPLETED))
    assert blockdev.chain(dom) == [(4, IMAGES + "copy")]
    assert not blockdev.truthful(dom)
    server.sh("blockcopy", "vm", "vda", IMAGES + "raw", "--wait", "--pivot", "--format", "raw", TRANSIENT, "--synchronous-writes",
              "--granularity", "65536", "--buf-size", "1048576")
    assert blockdev.chain(dom) == [(5, IMAGES + "raw")]
    assert blockdev.disk_element(dom).find("driver").get("type") == "raw"
    assert not blockdev.truthful(dom)
    dom.destroy()
    images.same("copy", "before", other_fmt="raw")
    images.same("raw", "before", fmt="raw", other_fmt="raw")
    images.check("copy")
    dom.create()
    assert blockdev.paths(dom) == ["raw"]


def test_shallow_copies(server, images, vm, heard):
    dom = vm()
    images.raw("top", "before")
    server.sh("blockcopy", "vm", "vda", IMAGES + "copy", "--shallow", "--wait", "--pivot", TRANSIENT)
    assert blockdev.chain(dom) == [(4, IMAGES + "copy"), (2, IMAGES + "mid"), (3, IMAGES + "base")]
    assert not blockdev.truthful(dom)
    assert images.backing("copy") == IMAGES + "mid"
    # as one that moves a machine's storage does: a target made beforehand, on backing images of its own
    images.run("cp", IMAGES + "base", IMAGES + "base2")
    images.run("cp", IMAGES + "mid", IMAGES + "mid2")
    images.run("qemu-img", "rebase", "-u", "-f", "qcow2", "-b", IMAGES + "base2", "-F", "qcow2", IMAGES + "mid2")
    server.image("copy2", None, backing=(IMAGES + "mid2", "qcow2"))
    server.sh("blockcopy", "vm", "vda", IMAGES + "copy2", "--shallow", "--reuse-external", "--wait", "--pivot", TRANSIENT)
    assert blockdev.paths(dom) == ["copy2", "mid2", "base2"]
    assert not blockdev.truthful(dom)
    dom.destroy()
    images.same("copy", "before", other_fmt="raw")
    images.same("copy2", "before", other_fmt="raw")


@pytest.mark.parametrize("how", ["made", "reused"])
def test_shallow_copy_onto_a_chain_of_the_call(server, images, vm, heard, how):
    """<backingStore> beside the target: what is below it is told, and neither the disk's own nor what a header says."""
    dom = vm()
    images.raw("top", "before")
    images.run("qemu-img", "convert", "-f", "qcow2", "-O", "raw", IMAGES + "mid", IMAGES + "flat")
    images.run("chmod", "666", IMAGES + "flat")
    if how == "reused":
        server.image("copy", None, backing=(IMAGES + "flat", "raw"))
    below = "<backingStore type='file'><format type='raw'/><source file='%sflat'/></backingStore>" % IMAGES
    target = "<disk type='file'><driver type='qcow2'/><source file='%scopy'/>%s</disk>"
    flags = L.VIR_DOMAIN_BLOCK_COPY_TRANSIENT_JOB | L.VIR_DOMAIN_BLOCK_COPY_REUSE_EXT * (how == "reused")
    refused(lambda: dom.blockCopy("vda", target % (IMAGES, below), {}, flags), L.VIR_ERR_INVALID_ARG, "SHALLOW")
    refused(lambda: dom.blockCopy("vda", target % (IMAGES, "<backingStore/>"), {}, flags | L.VIR_DOMAIN_BLOCK_COPY_SHALLOW), L.VIR_ERR_INVALID_ARG)
    for end in ("--finish", "--pivot"):
        extra = ["--reuse-external"] if how == "reused" else []
        server.sh("blockcopy", "vm", "vda", "--xml", server.file("to.xml", target % (IMAGES, below)), "--shallow", "--wait", end, TRANSIENT, *extra)
        assert not blockdev.truthful(dom)
        if end == "--finish" and how == "made":
            images.run("rm", IMAGES + "copy")
    assert blockdev.paths(dom) == ["copy", "flat"]
    assert images.backing("copy") == IMAGES + "flat"
    dom.destroy()
    images.same("copy", "before", other_fmt="raw")
    dom.create()
    assert blockdev.paths(dom) == ["copy", "flat"]


def test_a_copy_given_up_is_a_copy(server, images, vm, heard):
    dom = vm()
    server.sh("blockcopy", "vm", "vda", IMAGES + "copy", "--wait", "--finish", TRANSIENT)
    expect_jobs(heard, both("top", "vda", "copy", READY) + both("top", "vda", "copy", CANCELED))
    assert blockdev.paths(dom) == ["top", "mid", "base"]
    assert not blockdev.truthful(dom)
    dom.destroy()
    images.check("copy")
    images.check("top")
    images.same("copy", "top")


def test_copy_before_it_is_in_step(server, images, vm, heard):
    dom = vm(transient=True)  # needs no flag
    server.sh("blockcopy", "vm", "vda", IMAGES + "copy", "--bytes", "--bandwidth", SLOW)
    assert blockdev.mirror(dom) == (4, "copy", None)
    assert not blockdev.truthful(dom)
    info = dom.blockJobInfo("vda", 0)
    assert info["cur"] < info["end"]
    refused(lambda: dom.blockJobAbort("vda", L.VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT), L.VIR_ERR_BLOCK_COPY_ACTIVE, "READY")
    text = refused(lambda: dom.blockCopy("vda", "<disk><source file='%sy'/></disk>" % IMAGES), L.VIR_ERR_BLOCK_COPY_ACTIVE)
    assert re.search(r"copy '\S+-vda-", text), text  # which one
    assert not os.path.exists(server.box.path("lib", "images", "y"))
    dom.blockJobAbort("vda")
    expect_jobs(heard, both("top", "vda", "copy", CANCELED))
    assert not blockdev.truthful(dom)
    assert dom.blockJobInfo("vda", 0) == {}


def test_what_a_copy_refuses(server, images, vm):
    dom = vm(transient=True)
    unsupported, arg = L.VIR_ERR_CONFIG_UNSUPPORTED, L.VIR_ERR_INVALID_ARG
    disk = "<disk type='%s'><driver type='%s'/><source %s/></disk>"
    server.image("full")
    refused(lambda: dom.blockCopy("vda", disk % ("file", "qcow2", "file='%sfull'" % IMAGES)), unsupported, "already exists")
    refused(lambda: dom.blockCopy("vda", disk % ("volume", "raw", "pool='p' volume='v'")), unsupported, "type")
    refused(lambda: dom.blockCopy("vda", disk % ("file", "vmdk", "file='%snew'" % IMAGES)), unsupported, "vmdk")
    refused(lambda: dom.blockCopy("vda", disk % ("file", "raw", "file='%snew'" % IMAGES), {}, L.VIR_DOMAIN_BLOCK_COPY_SHALLOW), arg, "raw")
    refused(lambda: dom.blockCopy("vda", disk % ("file", "raw", "file='%snew'" % IMAGES), {"granularity": 1000}), arg, "power of 2")
    refused(lambda: dom.blockCopy("vda", disk % ("file", "raw", "file='%snone/new'" % IMAGES)), L.VIR_ERR_SYSTEM_ERROR, "none/new")
    refused(lambda: dom.blockCopy("vda", disk % ("file", "raw", "file='%sgone'" % IMAGES), {}, L.VIR_DOMAIN_BLOCK_COPY_REUSE_EXT),
            L.VIR_ERR_SYSTEM_ERROR, "gone")
    for fmt in ("raw", "qcow2"):
        refused(lambda: dom.blockCopy("vda", disk % ("block", fmt, "dev='%sfull'" % IMAGES)), unsupported, "block device")
        refused(lambda: dom.blockCopy("vda", disk % ("block", fmt, "dev='%sgone'" % IMAGES)), L.VIR_ERR_SYSTEM_ERROR, "gone")
    refused(lambda: dom.blockRebase("vda", None, 0, L.VIR_DOMAIN_BLOCK_REBASE_SHALLOW), arg)
    refused(lambda: dom.blockJobAbort("vda"), arg, "vda")
    assert not blockdev.truthful(dom)
    assert sorted(os.listdir(server.box.path("lib", "images"))) == ["base", "full", "mid", "top"]


def test_rebase_as_a_copy(server, images, vm, heard):
    dom = vm(transient=True)
    dom.blockRebase("vda", IMAGES + "raw", 0, L.VIR_DOMAIN_BLOCK_REBASE_COPY | L.VIR_DOMAIN_BLOCK_REBASE_COPY_RAW)
    wait_status(heard, READY)
    dom.blockJobAbort("vda", L.VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT)
    assert blockdev.paths(dom) == ["raw"]
    assert not blockdev.truthful(dom)


# ---- what goes wrong ---------------------------------------------------------------------------------------------------------


def test_full_target(server, images, vm, heard):
    """A target on a file system that is too small: the job fails, everything else is as before."""
    dom = vm(transient=True)
    small = server.box.path("lib", "images", "small")
    os.mkdir(small)
    images.run("mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", IMAGES + "small")
    try:
        server.sh("blockcopy", "vm", "vda", IMAGES + "small/copy")
        wait_status(heard, FAILED)
        expect_jobs(heard, both("top", "vda", "copy", FAILED))
        assert blockdev.paths(dom) == ["top", "mid", "base"]
        assert blockdev.mirror(dom) is None
        assert not blockdev.truthful(dom)
        assert dom.state()[0] == L.VIR_DOMAIN_RUNNING
    finally:
        dom.destroy()
        images.run("umount", IMAGES + "small")
        os.rmdir(small)


def test_target_that_vanished(server, images, vm, conn, heard):
    """The file is there at the call, its directory is gone before the pivot: the guest goes on with the file QEMU has; and where a target's
    backing images are to be found only then, they are not, and the disk stays where it is."""
    dom = vm(transient=True)
    there, gone = server.box.path("lib", "images", "there"), server.box.path("lib", "images", "gone")
    os.mkdir(there)
    os.chmod(there, 0o777)
    server.image("there/mid2", None, backing=(IMAGES + "base", "qcow2"))
    server.image("there/copy", None, backing=(IMAGES + "there/mid2", "qcow2"))
    server.sh("blockcopy", "vm", "vda", IMAGES + "there/copy", "--shallow", "--reuse-external", "--wait")
    os.rename(there, gone)
    try:
        refused(lambda: dom.blockJobAbort("vda", L.VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT), L.VIR_ERR_SYSTEM_ERROR, "there/")
        assert blockdev.mirror(dom) == (4, "copy", "yes")  # still in step: it can be tried again, or given up
        assert blockdev.paths(dom) == ["top", "mid", "base"]
        dom.blockJobAbort("vda")
        assert not blockdev.truthful(dom)
        refused(lambda: dom.blockCopy("vda", "<disk><source file='%sthere/new'/></disk>" % IMAGES), L.VIR_ERR_SYSTEM_ERROR, "there/new")
        assert not blockdev.truthful(dom)
        server.sh("blockcopy", "vm", "vda", IMAGES + "gone/full", "--wait")
        os.rename(gone, there)
        dom.blockJobAbort("vda", L.VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT)
        assert blockdev.paths(dom) == ["gone/full"]
        assert dom.state()[0] == L.VIR_DOMAIN_RUNNING
    finally:
        dom.destroy()
        shutil.rmtree(there if os.path.exists(there) else gone)


def waiting(call):
    """Runs a call that waits on a thread; returns what joins it and gives its error."""
    result = []

    def body():
        try:
            result.append(call())
        except L.libvirtError as e:
            result.append(e)

    thread = threading.Thread(target=body)
    thread.start()

    def end():
        thread.join(30)
        assert not thread.is_alive(), "the call still waits"
        return result[0]

    end.over = lambda: not thread.is_alive()
    return end


def test_qemu_killed_in_mid_job(server, images, vm, heard):
    dom = vm()
    server.sh("blockcopy", "vm", "vda", IMAGES + "copy", TRANSIENT)
    wait_status(heard, READY)
    (pid, _), = server.box.qemus()
    monitor_stopped = waiting(lambda: dom.blockJobAbort("vda", L.VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT))
    os.kill(pid, signal.SIGKILL)
    heard.lifecycle("vm", L.VIR_DOMAIN_EVENT_STOPPED)
    monitor_stopped()
    assert dom.state()[0] == L.VIR_DOMAIN_SHUTOFF
    path = blockdev.paths(dom)[0]
    assert path in ("top", "copy")
    images.check(path)
    dom.create()
    assert not blockdev.truthful(dom)
    assert dom.blockJobInfo("vda", 0) == {}


def test_waiter_of_a_killed_qemu_returns(server, images, vm, heard):
    dom = vm()
    dom.blockPull("vda", int(SLOW), L.VIR_DOMAIN_BLOCK_PULL_BANDWIDTH_BYTES)
    (pid, _), = server.box.qemus()
    os.kill(pid, signal.SIGSTOP)
    end = waiting(lambda: dom.blockJobAbort("vda"))
    os.kill(pid, signal.SIGKILL)
    error = end()
    assert isinstance(error, L.libvirtError), error
    heard.lifecycle("vm", L.VIR_DOMAIN_EVENT_STOPPED)
    assert blockdev.paths(dom) == ["top"]


def test_twenty_wait_for_twenty(server, images, conn, heard):
    doms = []
    for i in range(4):
        disks = ""
        for k in range(5):
            base, top = "b%d%d" % (i, k), "t%d%d" % (i, k)
            images.layers(base, top, size="32M", filled="1M")
            disks += guest_xml.disk(IMAGES + top, target="vd%c" % (97 + k))
        doms.append(conn.createXML(guest_xml.domain("vm%d" % i, devices=disks, memory=16)))
    idle = conn.createXML(guest_xml.domain("idle", memory=16))
    ends = []
    for dom in doms:
        for k in range(5):
            dom.blockCommit("vd%c" % (97 + k), None, None, 0, L.VIR_DOMAIN_BLOCK_COMMIT_ACTIVE)
    for dom in doms:
        for k in range(5):
            target = "vd%c" % (97 + k)
            heard.wait(lambda e, n, a: e == JOB_2 and n == dom.name() and a == (target, TYPES["active"], READY))
    stopped = [pid for pid, argv in server.box.qemus() if any(a.startswith("guest=vm") for a in argv)]
    assert len(stopped) == 4
    for pid in stopped:  # so that all of them wait
        os.kill(pid, signal.SIGSTOP)
    try:
        for dom in doms:
            for k in range(5):
                own = server.connect()
                mine = own.lookupByName(dom.name())
                ends.append(waiting(lambda m=mine, t="vd%c" % (97 + k): m.blockJobAbort(t, L.VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT)))
        while not all(dom.controlInfo()[0] == L.VIR_DOMAIN_CONTROL_JOB for dom in doms):
            assert not any(end.over() for end in ends)
        for _ in range(5):
            idle.suspend()
            idle.resume()
            assert {dom.name() for dom in conn.listAllDomains()} >= {"vm0", "vm1", "vm2", "vm3", "idle"}
            assert all(blockdev.mirror(dom, "vda") for dom in doms)
        assert not any(end.over() for end in ends)
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
    assert [end() for end in ends] == [0] * 20
    for dom in doms:
        for k in range(5):
            assert not blockdev.truthful(dom, "vd%c" % (97 + k), "virtio-disk%d" % k)


# ---- the daemon is started again ---------------------------------------------------------------------------------------------


def restarted(server, sig):
    server.restart(sig)
    return server.connect()


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGKILL])
def test_jobs_outlive_the_daemon(own_server, sig):
    server = own_server()
    images = blockdev.Images(server)
    names = {"vda": "a", "vdb": "b", "vdc": "c", "vdd": "d"}
    disks = "".join(guest_xml.disk(images.layers("base-" + n, "mid-" + n, "top-" + n), target=t) for t, n in names.items())
    server.define(guest_xml.domain("vm", devices=disks, memory=32))
    server.sh("start", "vm")
    server.sh("blockcommit", "vm", "vda", "--active", "--wait")            # in step
    server.sh("blockcopy", "vm", "vdb", IMAGES + "copy", "--bytes", "--bandwidth", SLOW, TRANSIENT)
    server.sh("blockpull", "vm", "vdc", "--bytes", "--bandwidth", SLOW)
    server.sh("blockcommit", "vm", "vdd", "--top", IMAGES + "mid-d", "--base", IMAGES + "base-d", "--bytes", "--bandwidth", SLOW)
    before = server.sh("dumpxml", "vm")
    conn = restarted(server, sig)
    dom = conn.lookupByName("vm")
    heard = events.Recorder(conn, [JOB, JOB_2])
    assert server.sh("dumpxml", "vm") == before
    kinds = {target: dom.blockJobInfo(target, 0)["type"] for target in names}
    assert kinds == {"vda": TYPES["active"], "vdb": TYPES["copy"], "vdc": TYPES["pull"], "vdd": TYPES["commit"]}
    refused(lambda: dom.blockPull("vdd"), L.VIR_ERR_BLOCK_COPY_ACTIVE)
    dom.blockJobAbort("vda", L.VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT)
    assert blockdev.paths(dom, "vda") == ["base-a"]
    dom.blockJobSetSpeed("vdb", 0)
    heard.wait(lambda e, n, a: e == JOB_2 and a == ("vdb", TYPES["copy"], READY))
    dom.blockJobAbort("vdb", L.VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT)
    assert blockdev.paths(dom, "vdb") == ["copy"]
    dom.blockJobAbort("vdc")
    assert blockdev.paths(dom, "vdc") == ["top-c", "mid-c", "base-c"]
    dom.blockJobSetSpeed("vdd", 0)
    heard.wait(lambda e, n, a: e == JOB_2 and a == ("vdd", TYPES["commit"], COMPLETED))
    assert blockdev.paths(dom, "vdd") == ["top-d", "base-d"]
    for n, target in enumerate(names):
        assert not blockdev.truthful(dom, target, "virtio-disk%d" % n)
    heard.close()
    conn.close()


def test_jobs_that_end_while_no_daemon_looks(own_server):
    server = own_server()
    images = blockdev.Images(server)
    disks = guest_xml.disk(images.layers("base-a", "mid-a", "top-a"), target="vda")
    disks += guest_xml.disk(images.layers("base-b", "mid-b", "top-b"), target="vdb")
    disks += guest_xml.disk(images.layers("base-c", "mid-c", "top-c"), target="vdc")
    server.define(guest_xml.domain("vm", devices=disks, memory=32))
    server.sh("start", "vm")
    images.raw("top-a", "before-a")
    server.sh("blockpull", "vm", "vda", "--bytes", "--bandwidth", SLOW)
    server.sh("blockcommit", "vm", "vdb", "--top", IMAGES + "mid-b", "--bytes", "--bandwidth", SLOW)
    server.sh("blockcommit", "vm", "vdc", "--active", "--bytes", "--bandwidth", SLOW)
    server.stop(9)
    with Monitor(server, "vm") as monitor:
        for start, status in (("berth-pull-vda", "pending"), ("berth-commit-vdb", "pending"), ("berth-active-commit-vdc", "ready")):
            job, = [j for j in monitor.call("query-jobs") if j["id"].startswith(start)]
            monitor.call("block-job-set-speed", device=job["id"], speed=0)
            if job["status"] != status:
                monitor.wait("JOB_STATUS_CHANGE", id=job["id"], status=status)
    server.start()
    conn = server.connect()
    dom = conn.lookupByName("vm")
    dom.blockJobAbort("vdc", L.VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT)
    for target in ("vda", "vdb"):  # the events may have come before there was anybody to hear them
        while dom.blockJobInfo(target, 0):
            pass
    assert blockdev.paths(dom, "vda") == ["top-a"]
    assert blockdev.paths(dom, "vdb") == ["top-b", "base-b"]
    assert blockdev.paths(dom, "vdc") == ["base-c"]
    for n, target in enumerate(("vda", "vdb", "vdc")):
        assert not blockdev.truthful(dom, target, "virtio-disk%d" % n)
        assert dom.blockJobInfo(target, 0) == {}
    assert blockdev.monitor(dom, "query-jobs") == []
    dom.destroy()
    images.same("top-a", "before-a", other_fmt="raw")
    conn.close()


def test_the_last_verdict_is_kept(own_server):
    """No job, but how the last one ended: in the statistics of completed jobs, after a restart of the daemon and the end of the guest too."""
    server = own_server()
    images = blockdev.Images(server)
    server.define(guest_xml.domain("vm", devices=guest_xml.disk(images.layers("base", "top")), memory=32))
    server.sh("start", "vm")
    conn = server.connect()
    dom = conn.lookupByName("vm")
    assert dom.jobStats(L.VIR_DOMAIN_JOB_STATS_COMPLETED) == {"type": L.VIR_DOMAIN_JOB_NONE}
    server.sh("blockpull", "vm", "vda", "--bytes", "--bandwidth", SLOW)
    server.sh("blockjob", "vm", "vda", "--abort")
    stats = dom.jobStats(L.VIR_DOMAIN_JOB_STATS_COMPLETED)
    assert stats["type"] == L.VIR_DOMAIN_JOB_CANCELLED and not stats["success"] and "pull of disk 'vda'" in stats["errmsg"]
    server.sh("blockpull", "vm", "vda", "--wait")
    dom.destroy()
    conn.close()
    server.restart(9)
    conn = server.connect()
    stats = conn.lookupByName("vm").jobStats(L.VIR_DOMAIN_JOB_STATS_COMPLETED)
    assert stats["type"] == L.VIR_DOMAIN_JOB_COMPLETED and stats["success"]
    assert "Completed" in server.sh("domjobinfo", "vm", "--completed")
    conn.close()


# ---- a guest that writes -----------------------------------------------------------------------------------------------------

WRITER = "(i=0; while [ ! -e /tmp/stop ]; do i=$((i+1)); dd if=/dev/urandom of=/dev/vda bs=4k count=64 seek=$((i*97%8000)) " \
         "conv=notrunc 2>/dev/null; sync; done; echo writer-ended-$((6*7)) >/dev/console) &\n"


def test_data_of_a_guest_that_writes(server, images, conn, domain_xml, heard):
    top = images.layers("base", "mid", "top", size="48M")
    server.define(domain_xml("vm", devices=guest_xml.disk(top)))
    server.sh("start", "vm")
    dom = conn.lookupByName("vm")
    with VirshConsole(server, "vm", "--force") as console:
        console.send("\n")
        console.expect(PROMPT, timeout=300)
        console.send("dd if=/dev/urandom of=/dev/vda bs=1M count=2 seek=36 2>/dev/null; sync\n")
        console.expect(PROMPT)

        def read_back():
            """The checksum of what was written first, from the disk and not from the guest's memory."""
            console.send("echo 3 >/proc/sys/vm/drop_caches; dd if=/dev/vda bs=1M skip=36 count=2 2>/dev/null | md5sum | sed s/^/s''um-/\n")
            console.expect("sum-")
            return console.expect(" ").strip()

        kept = read_back()
        assert re.fullmatch("[0-9a-f]{32}", kept), kept
        console.send(WRITER)
        console.expect(PROMPT)
        for words, chain in (
                (["snapshot-create-as", "vm", "snap", "--disk-only", "--no-metadata", "--diskspec", "vda,file=" + IMAGES + "over"],
                 ["over", "top", "mid", "base"]),
                (["blockcommit", "vm", "vda", "--active", "--shallow", "--pivot", "--wait", "--verbose"], ["top", "mid", "base"]),
                (["blockcopy", "vm", "vda", IMAGES + "copy", "--shallow", "--wait", "--pivot", TRANSIENT], ["copy", "mid", "base"]),
                (["blockcommit", "vm", "vda", "--top", IMAGES + "mid", "--base", IMAGES + "base", "--wait"], ["copy", "base"]),
                (["blockpull", "vm", "vda", "--wait"], ["copy"]),
                (["blockcopy", "vm", "vda", IMAGES + "full", "--wait", "--pivot", TRANSIENT, "--synchronous-writes"], ["full"])):
            server.sh(*words)
            assert blockdev.paths(dom) == chain, words
            assert read_back() == kept, words
        console.send("touch /tmp/stop\n")
        console.expect("writer-ended-42", timeout=120)
        console.send("sync; echo 3 >/proc/sys/vm/drop_caches\n")
        console.send("md5sum /dev/vda | sed s/^/wh''ole-/\n")
        console.expect("whole-")
        whole = console.expect(" ").strip()
    assert blockdev.paths(dom) == ["full"]
    assert not blockdev.truthful(dom)
    dom.destroy()
    images.check("full")
    images.raw("full", "raw")
    assert images.run("md5sum", IMAGES + "raw").split()[0] == whole


def test_client_that_goes_while_it_waits(server, images, conn, domain_xml, heard):
    """Its call unwinds, so that the next one has its turn; the job ends all the same."""
    top = images.layers("base", "top", size="48M")
    server.define(domain_xml("vm", devices=guest_xml.disk(top)))
    server.sh("start", "vm")
    dom = conn.lookupByName("vm")
    with VirshConsole(server, "vm", "--force") as console:
        console.send("\n")
        console.expect(PROMPT, timeout=300)
        console.send(WRITER)
        console.expect(PROMPT)
        copies = ("copy-%d" % number for number in range(1000))
        while blockdev.mirror(dom) is None:  # a guest on a busy machine may have written nothing just then: the job ended at once
            copy = next(copies)
            server.sh("blockcopy", "vm", "vda", IMAGES + copy, "--wait", TRANSIENT)
            # what the guest writes keeps a copy this slow from its end
            dom.blockJobSetSpeed("vda", int(SLOW), L.VIR_DOMAIN_BLOCK_JOB_SPEED_BANDWIDTH_BYTES)
            with rawrpc.Client(server.socket) as client:
                client.open()
                client.send(BLOCK_JOB_ABORT, rawrpc.domain("vm", dom.UUID()) + rawrpc.string("vda") + struct.pack(">I", 0))
                while (blockdev.mirror(dom) or (0, "", "abort"))[2] != "abort":
                    pass
            if blockdev.mirror(dom) is None:
                wait_status(heard, CANCELED)
        dom.suspend()  # nobody has the machine's job; and the copy can come into step
        wait_status(heard, CANCELED)
    assert not blockdev.truthful(dom)
    dom.destroy()
    images.same(copy, "top")


def test_guest_that_powers_off_in_mid_job(server, images, conn, domain_xml, heard):
    top = images.layers("base", "mid", "top", size="48M")
    server.define(domain_xml("vm", devices=guest_xml.disk(top)))
    server.sh("start", "vm")
    dom = conn.lookupByName("vm")
    with VirshConsole(server, "vm", "--force") as console:
        console.send("\n")
        console.expect(PROMPT, timeout=300)
        dom.blockCommit("vda", None, None, int(SLOW), L.VIR_DOMAIN_BLOCK_COMMIT_ACTIVE | L.VIR_DOMAIN_BLOCK_COMMIT_BANDWIDTH_BYTES)
        console.send("poweroff -f\n")
        detail = heard.lifecycle("vm", L.VIR_DOMAIN_EVENT_STOPPED)
    assert detail == L.VIR_DOMAIN_EVENT_STOPPED_SHUTDOWN
    assert blockdev.paths(dom) == ["top"]
    images.check("top")
    images.check("base")
    dom.create()
    assert blockdev.paths(dom) == ["top", "mid", "base"]
