"""The daemon is killed at each step of each block job, and QEMU stopped: nothing is lost, definitions are true, the data is what it was.

In CI a sample of the points of every story; all of them with BERTH_SOAK=1 (`make soak`).  BERTH_FAULT_POINT names (a part of) the only
point to try.  One guest without an operating system serves a story: its disk is put back before each run.
"""

import os
import select
import signal
import socket
import threading

import libvirt
import pytest

from lib import blockdev, events, xml
from lib.blockdev import IMAGES
from waiting import eventually

L = libvirt
SOAK = bool(os.environ.get("BERTH_SOAK"))
ONLY = os.environ.get("BERTH_FAULT_POINT", "")
MOST = 5  # points of a story in CI
JOB_2 = L.VIR_DOMAIN_EVENT_ID_BLOCK_JOB_2
COMPLETED, FAILED, CANCELED, READY = range(4)
PIVOT = L.VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT
COPY = "<disk><driver type='qcow2'/><source file='%scopy'/></disk>" % IMAGES


class Story:
    """begin() starts a job and returns; finish() sees to its end.  `ends`: the chains that may be true afterwards."""
    in_step = False
    layers = ("base", "mid", "top")
    start = ["top", "mid", "base"]

    def __init__(self, server):
        self.server, self.images = server, blockdev.Images(server)

    def prepare(self, conn):
        for dom in conn.listAllDomains():
            if dom.isActive():
                dom.destroy()
            dom.undefine()
        directory = self.server.box.path("lib", "images")
        for name in os.listdir(directory):
            os.unlink(os.path.join(directory, name))
        top = self.images.layers(*self.layers, size="32M", filled="2M")
        self.images.raw("top", "golden")
        dom = conn.defineXML(xml.domain("vm", devices=xml.disk(top), memory=16, memballoon="<memballoon model='none'/>"))
        dom.create()

    def run(self, conn):
        dom = conn.lookupByName("vm")
        heard = events.Recorder(conn, [JOB_2])
        try:
            self.begin(dom)
            if self.in_step:
                heard.wait(lambda e, n, a: a[2] == READY)
                self.end(dom)
            else:
                heard.wait(lambda e, n, a: a[2] == COMPLETED)
        finally:
            heard.close()

    def end(self, dom):
        dom.blockJobAbort("vda", PIVOT)

    def settle(self, conn):
        """Whatever the daemon knows of the job is enough to end it."""
        dom = conn.lookupByName("vm")
        try:
            if self.in_step:
                eventually("neither in step nor over", lambda: self.copying(dom) is None and dom.blockJobInfo("vda", 0), 30)
                if self.copying(dom) == "yes":
                    self.end(dom)
            eventually("the job does not end", lambda: dom.blockJobInfo("vda", 0), 30)
        except libvirt.libvirtError as e:
            if e.get_error_code() != L.VIR_ERR_INVALID_ARG or "active block job" not in str(e):  # it ended by itself
                raise
        return dom

    @staticmethod
    def copying(dom):
        """What <mirror> says of its state; None: not in step yet, or there is none."""
        return (blockdev.mirror(dom) or (0, 0, None))[2]

    def check(self, dom):
        eventually("definition and QEMU differ", lambda: blockdev.truthful(dom), 10)
        chain = blockdev.paths(dom)
        assert chain in self.ends, chain
        assert blockdev.mirror(dom) is None
        assert blockdev.monitor(dom, "query-jobs") == []
        dom.destroy()
        self.images.same(chain[0], "golden", other_fmt="raw")
        self.images.check(chain[0])
        return chain


class ActiveCommit(Story):
    in_step = True
    ends = [Story.start, ["base"]]

    def begin(self, dom):
        dom.blockCommit("vda", None, None, 0, L.VIR_DOMAIN_BLOCK_COMMIT_ACTIVE)


class ActiveCommitGivenUp(ActiveCommit):
    ends = [Story.start]

    def end(self, dom):
        dom.blockJobAbort("vda")


class Commit(Story):
    ends = [Story.start, ["top", "base"]]

    def begin(self, dom):
        dom.blockCommit("vda", "vda[3]", "vda[2]", 0, L.VIR_DOMAIN_BLOCK_COMMIT_DELETE)


class Pull(Story):
    ends = [Story.start, ["top"]]

    def begin(self, dom):
        dom.blockPull("vda")


class PullToBase(Story):
    ends = [Story.start, ["top", "base"]]

    def begin(self, dom):
        dom.blockRebase("vda", IMAGES + "base")


class Copy(Story):
    in_step = True
    ends = [Story.start, ["copy"]]

    def begin(self, dom):
        dom.blockCopy("vda", COPY, {}, L.VIR_DOMAIN_BLOCK_COPY_TRANSIENT_JOB)


class CopyGivenUp(Copy):
    ends = [Story.start]

    def end(self, dom):
        dom.blockJobAbort("vda")


class ShallowCopy(Story):
    in_step = True
    ends = [Story.start, ["copy", "mid", "base"]]

    def begin(self, dom):
        dom.blockCopy("vda", COPY, {}, L.VIR_DOMAIN_BLOCK_COPY_TRANSIENT_JOB | L.VIR_DOMAIN_BLOCK_COPY_SHALLOW)


STORIES = [ActiveCommit, ActiveCommitGivenUp, Commit, Pull, PullToBase, Copy, CopyGivenUp, ShallowCopy]


def interesting(points):
    """Steps a job is made of: commands to QEMU, files put in their place, children; each time they are passed."""
    kinds = ("qmp:", "renameat", "rename:", "unlink", "at:", "pidfd_getfd")
    runs = [(point, nth) for point, count in points.items() if point.startswith(kinds) and ONLY in point
            for nth in range(1, count + 1)]
    if SOAK or ONLY or len(runs) <= MOST:
        return runs
    return [runs[i * len(runs) // MOST] for i in range(MOST)]


def learn(server, story):
    conn = server.connect()
    story.prepare(conn)
    server.faults.record()
    story.run(conn)
    points = server.faults.recorded()
    story.check(conn.lookupByName("vm"))
    conn.close()
    return points


def run_until_killed(server, story, conn):
    """Runs the story on a thread, for it may wait for an event that never comes; returns its error, or None."""
    result = []
    ours, theirs = socket.socketpair()

    def body():
        try:
            story.run(conn)
        except BaseException as e:  # noqa: B902  the test's
            result.append(e)
        theirs.close()

    threading.Thread(target=body, daemon=True).start()
    ready, _, _ = select.select([ours, server.process.pidfd], [], [], 120)
    ours.close()
    assert ready, "neither ended nor killed"
    return result[0] if result else None


def one(server, story, point, nth, action):
    conn = server.connect()
    story.prepare(conn)
    server.faults.inject(point, nth, action=action)
    error = run_until_killed(server, story, conn)
    fired = server.faults.fired
    server.faults.off()
    if not fired:
        assert not error, error
        return False
    server.process.wait(30)
    server.start()
    conn = server.connect()
    story.check(story.settle(conn))
    conn.close()
    return True


@pytest.mark.parametrize("cls", STORIES, ids=lambda c: c.__name__)
def test_daemon_killed(shared, cls):
    story = cls(shared)
    points = learn(shared, story)
    fired, wrong = 0, []
    runs = interesting(points)
    for point, nth in runs:
        # the client notices the end of its connection, or its last event never comes: both end run()
        try:
            fired += one(shared, story, point, nth, "kill-daemon")
        except AssertionError as e:
            wrong.append("%s (%d): %s" % (point, nth, e))
            shared.faults.off()
            if shared.process.poll() is None:
                shared.stop(9)
            for pid, _ in shared.box.qemus():
                os.kill(pid, signal.SIGKILL)
            shared.start()
    print("%s: %d points, %d runs, killed in %d" % (cls.__name__, len(points), len(runs), fired))
    assert not wrong, "\n\n".join(wrong)
    assert fired


def test_qemu_stops_answering(shared):
    """Calls about its job end, other guests do not notice, and what it was asked before it slept it does when it wakes."""
    story = Pull(shared)
    conn = shared.connect()
    story.prepare(conn)
    dom = conn.lookupByName("vm")
    other = conn.createXML(xml.domain("other", memory=16, memballoon="<memballoon model='none'/>"))
    heard = events.Recorder(conn, [JOB_2])
    dom.blockPull("vda", 65536, L.VIR_DOMAIN_BLOCK_PULL_BANDWIDTH_BYTES)
    (pid,) = [p for p, argv in shared.box.qemus() if any(a.startswith("guest=vm,") for a in argv)]
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
