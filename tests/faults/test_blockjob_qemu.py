"""QEMU is killed, or stopped and woken again, at each step of each block job: who waits is told at once, definitions are true, the data is what
it was, and the other guests do not notice.

In CI a sample of the points of every story; all of them with BERTH_SOAK=1 (`make soak`).
"""

import errno
import json
import os
import signal
import threading

import libvirt
import pytest

from blockjob_stories import CANCELED, JOB_2, LIFECYCLE, PIVOT, READY, STORIES, ActiveCommit, Commit, GuestEnded, Pull, Story, interesting, learn
from lib import blockdev, events, xml
from lib.blockdev import IMAGES
from waiting import Wrong, eventually

L = libvirt
KILLS, STOPS = 1, 1  # points of a story in CI, at another stage of each
PATIENCE = 60  # seconds after which a call counts as never answered


def qemu_of(server, name="vm"):
    (pid,) = [p for p, argv in server.box.qemus() if any(a.startswith("guest=%s," % name) for a in argv)]
    return pid


class Run:
    """A story on a thread of its own, with a fault at one of its steps."""

    def __init__(self, server, story, conn, point, nth, action):
        self.server, self.result = server, []
        self.pid = qemu_of(server)
        server.faults.inject(point, nth, action=action, qemu_pid=self.pid)

        def body():
            try:
                story.run(conn)
                self.result.append(None)
            except BaseException as e:  # noqa: B902  the test's
                self.result.append(e)

        self.thread = threading.Thread(target=body, daemon=True)
        self.thread.start()

    def end(self):
        """What the story's call ended with; None: it did what was asked."""
        self.thread.join(PATIENCE)
        if self.thread.is_alive():
            raise Wrong("neither ended nor told")
        return self.result[0]


def run_all(server, cls, action, kinds, most, one):
    """one(story, conn, point, nth) at each interesting point; tells what went wrong at the end."""
    story = cls(server)
    wrong, fired, runs = [], 0, interesting(learn(server, story), most, kinds, STORIES.index(cls))
    for point, nth in runs:
        conn = server.connect()
        story.prepare(conn)
        try:
            fired += one(story, conn, point, nth)
            conn.close()
        except AssertionError as e:
            wrong.append("%s (%d): %s" % (point, nth, e))
            server.faults.off()
            if server.process.poll() is None:
                server.stop(9)
            for pid, _ in server.box.qemus():
                os.kill(pid, signal.SIGKILL)
            server.start()
    print("%s, %s: %d runs, fired in %d" % (cls.__name__, action, len(runs), fired))
    assert not wrong, "\n\n".join(wrong)
    assert fired


# ---- killed ------------------------------------------------------------------------------------------------------------------


def sound(images, name):
    """No error; clusters that QEMU had reserved when it was killed harm nobody."""
    done = images.server.box.run(["qemu-img", "check", "-q", "-f", "qcow2", IMAGES + name])
    assert done.returncode in (0, 3), done


@pytest.mark.parametrize("cls", STORIES, ids=lambda c: c.__name__)
def test_qemu_killed(shared, cls):
    def one(story, conn, point, nth):
        run = Run(shared, story, conn, point, nth, "kill-qemu")
        error = run.end()
        fired = shared.faults.fired
        shared.faults.off()
        assert shared.process.poll() is None, "the daemon ended too"
        if not fired:
            assert not error, error
            return False
        # by a call that says why, by the event, or not at all: it was through
        if isinstance(error, libvirt.libvirtError):
            assert error.get_error_code() == L.VIR_ERR_OPERATION_INVALID, error
            assert "not running" in str(error) or "ended while" in str(error), error
        else:
            assert error is None or isinstance(error, GuestEnded), error
        dom = conn.lookupByName("vm")
        eventually("still running", lambda: dom.isActive())
        (top,) = [d.get("file") for d in story.sources(dom)]
        name = top.replace(IMAGES, "")
        assert name in [chain[0] for chain in story.ends], name
        sound(story.images, name)
        story.images.same(name, "golden", other_fmt="raw")
        dom.create()
        story.check(dom)
        return True

    run_all(shared, cls, "killed", ("qmp:", "rename:", "renameat"), KILLS, one)


# ---- stopped -----------------------------------------------------------------------------------------------------------------


def others_do_not_notice(conn):
    other = conn.lookupByName("other")
    other.suspend()
    other.resume()
    assert other.info()[0] == L.VIR_DOMAIN_RUNNING


def calls_are_answered(conn):
    """On the machine itself: with what is known, or with an error."""
    dom = conn.lookupByName("vm")
    assert dom.info()[0] == L.VIR_DOMAIN_RUNNING
    for call in (lambda: dom.blockJobInfo("vda", 0), dom.XMLDesc, lambda: conn.getAllDomainStats(L.VIR_DOMAIN_STATS_BLOCK)):
        try:
            call()
        except libvirt.libvirtError as e:
            assert e.get_error_code() in (L.VIR_ERR_OPERATION_TIMEOUT, L.VIR_ERR_OPERATION_INVALID, L.VIR_ERR_OPERATION_FAILED), e


@pytest.mark.parametrize("cls", STORIES, ids=lambda c: c.__name__)
def test_qemu_stopped(shared, cls):
    def one(story, conn, point, nth):
        own = shared.connect()  # the story's thread is busy with the other one
        own.createXML(xml.domain("other", memory=16, memballoon="<memballoon model='none'/>"))
        run = Run(shared, story, conn, point, nth, "stop-qemu")
        eventually("the point is not passed", lambda: not shared.faults.fired and run.thread.is_alive(), PATIENCE)
        fired = shared.faults.fired
        shared.faults.off()
        try:
            if fired:
                others_do_not_notice(own)
                dom = own.lookupByName("vm")
                if point.startswith("qmp:"):  # elsewhere it may be that nobody asks it anything
                    eventually("its silence is not noticed", lambda: dom.controlInfo()[0] != L.VIR_DOMAIN_CONTROL_ERROR)
                calls_are_answered(own)
        finally:
            os.kill(run.pid, signal.SIGCONT)
        error = run.end()
        if fired and isinstance(error, libvirt.libvirtError):
            assert error.get_error_code() in (L.VIR_ERR_OPERATION_TIMEOUT, L.VIR_ERR_OPERATION_INVALID, L.VIR_ERR_BLOCK_COPY_ACTIVE), error
        else:
            assert not error, error
        own.lookupByName("other").destroy()
        dom = own.lookupByName("vm")
        eventually("QEMU answers, and is not believed", lambda: dom.controlInfo()[0] == L.VIR_DOMAIN_CONTROL_ERROR)
        story.check(story.settle(own))
        own.close()
        return bool(fired)

    run_all(shared, cls, "stopped", ("qmp:", "rename:", "renameat", "pidfd_getfd"), STOPS, one)


@pytest.mark.parametrize("cls, point", [(Commit, "qmp:job-dismiss"), (ActiveCommit, "qmp:job-dismiss"), (Pull, "qmp:blockdev-del")],
                         ids=["Commit", "ActiveCommit", "Pull"])
def test_over_when_the_images_are_free(shared, cls, point):
    """Who polls finds the job until QEMU has let go of the images it has left; then they can be written to at once."""
    story = cls(shared)
    conn = shared.connect()
    story.prepare(conn)
    own = shared.connect()
    dom = own.lookupByName("vm")
    run = Run(shared, story, conn, point, 1, "stop-qemu")
    eventually("the point is not passed", lambda: not shared.faults.fired and run.thread.is_alive(), PATIENCE)
    try:
        assert shared.faults.fired
        info = dom.blockJobInfo("vda")
        verdict = dom.jobStats(L.VIR_DOMAIN_JOB_STATS_COMPLETED)["type"]
        chain = blockdev.paths(dom)
    finally:
        shared.faults.off()
        os.kill(run.pid, signal.SIGCONT)
    assert chain in story.ends and chain != Story.start, "it was to be over but for QEMU"
    assert info and (info["cur"] == info["end"]) == story.in_step, info
    assert verdict == L.VIR_DOMAIN_JOB_NONE
    eventually("the job does not end", lambda: dom.blockJobInfo("vda"))
    assert dom.jobStats(L.VIR_DOMAIN_JOB_STATS_COMPLETED)["type"] == L.VIR_DOMAIN_JOB_COMPLETED
    for name in set(Story.start) - set(chain):
        if os.path.exists(shared.box.path("lib", "images", name)):
            alone = {"driver": "qcow2", "backing": None, "file": {"driver": "file", "filename": IMAGES + name}}
            story.images.run("qemu-io", "-c", "write -P 9 0 64k", "json:" + json.dumps(alone))
    assert run.end() is None
    assert story.check(dom) == chain
    own.close()
    conn.close()


def test_qemu_stops_answering(shared):
    """Calls about its job end, other guests do not notice, and what it was asked before it slept it does when it wakes."""
    story = Pull(shared)
    conn = shared.connect()
    story.prepare(conn)
    dom = conn.lookupByName("vm")
    other = conn.createXML(xml.domain("other", memory=16, memballoon="<memballoon model='none'/>"))
    heard = events.Recorder(conn, [JOB_2])
    dom.blockPull("vda", 65536, L.VIR_DOMAIN_BLOCK_PULL_BANDWIDTH_BYTES)
    pid = qemu_of(shared)
    shared.faults.inject("qmp:block-job-cancel", action="stop-qemu", qemu_pid=pid)
    try:
        with pytest.raises(libvirt.libvirtError) as info:
            dom.blockJobAbort("vda")
        assert shared.faults.fired
        assert info.value.get_error_code() == L.VIR_ERR_OPERATION_TIMEOUT, info.value
        other.suspend()
        other.resume()
        with pytest.raises(libvirt.libvirtError):
            dom.blockJobInfo("vda", 0)
    finally:
        shared.faults.off()
        os.kill(pid, signal.SIGCONT)
    heard.wait(lambda e, n, a: a[2] == CANCELED)
    heard.close()
    other.destroy()
    assert story.check(dom) == Story.start
    conn.close()


def _pivots_into_a_full_disk(server, story):
    conn = server.connect()
    story.prepare(conn)
    dom = conn.lookupByName("vm")
    heard = events.Recorder(conn, [LIFECYCLE, JOB_2])
    story.begin(dom)
    story.wait(heard, READY)
    server.faults.inject("rename:/etc/libvirt/qemu/vm.xml", persistent=True, error=errno.ENOSPC)
    dom.blockJobAbort("vda", PIVOT | L.VIR_DOMAIN_BLOCK_JOB_ABORT_ASYNC)
    status = server.box.path("run", "qemu", "vm.xml")
    eventually("the outcome is not noted", lambda: "done='yes'" not in open(status).read())
    return dom, heard


def test_guest_ends_before_its_definition_is_written(shared):
    """The disk is on its new image, and the next start must be too: until the file can be written the machine is not off."""
    story = ActiveCommit(shared)
    dom, heard = _pivots_into_a_full_disk(shared, story)
    with pytest.raises(libvirt.libvirtError, match="which images its disks are on"):
        dom.destroy()
    with pytest.raises(libvirt.libvirtError):
        dom.create()
    shared.faults.off()
    dom.destroy()
    _, _, args = heard.wait(lambda e, n, a: e == LIFECYCLE and a[0] == L.VIR_DOMAIN_EVENT_STOPPED)
    assert args[1] == L.VIR_DOMAIN_EVENT_STOPPED_DESTROYED
    heard.close()
    assert not shared.box.qemus()
    dom.create()
    assert story.check(dom) == ["base"]

    dom, heard = _pivots_into_a_full_disk(shared, story)
    heard.close()
    shared.stop(9)
    os.kill(qemu_of(shared), signal.SIGKILL)
    shared.faults.off()
    shared.start()
    dom = shared.connect().lookupByName("vm")
    dom.create()
    assert story.check(dom) == ["base"]
