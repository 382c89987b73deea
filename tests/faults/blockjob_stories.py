"""The stories of block jobs that fault tests tell: how each kind begins and ends, and what may be true afterwards.

One guest without an operating system serves a story: its disk is put back before each run.  BERTH_FAULT_POINT names (a part of) the only
point to try.
"""

import os
from xml.etree import ElementTree

import libvirt

from lib import blockdev, events, xml
from lib.blockdev import IMAGES
from waiting import eventually

L = libvirt
SOAK = bool(os.environ.get("BERTH_SOAK"))
ONLY = os.environ.get("BERTH_FAULT_POINT", "")
LIFECYCLE, JOB_2 = L.VIR_DOMAIN_EVENT_ID_LIFECYCLE, L.VIR_DOMAIN_EVENT_ID_BLOCK_JOB_2
COMPLETED, FAILED, CANCELED, READY = range(4)
PIVOT = L.VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT
COPY = "<disk><driver type='qcow2'/><source file='%scopy'/></disk>" % IMAGES


class GuestEnded(Exception):
    """While the story waited for an event."""


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
        history = self.server.box.path("lib", "qemu", "job-history", dom.UUIDString() + ".xml")
        heard = events.Recorder(conn, [LIFECYCLE, JOB_2])
        try:
            self.begin(dom)
            self.wait(heard, READY if self.in_step else COMPLETED)
            if self.in_step:
                self.end(dom)
            eventually("how it ended is not on disk", lambda: not os.path.exists(history))  # written after the answer
        finally:
            heard.close()

    @staticmethod
    def wait(heard, status):
        event, _, _ = heard.wait(lambda e, n, a: n == "vm" and (a[0] == L.VIR_DOMAIN_EVENT_STOPPED if e == LIFECYCLE else a[2] == status))
        if event == LIFECYCLE:
            raise GuestEnded()

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

    @staticmethod
    def sources(dom):
        """<source> of each disk of the stored definition."""
        return ElementTree.fromstring(dom.XMLDesc(L.VIR_DOMAIN_XML_INACTIVE)).findall("devices/disk/source")

    def check(self, dom):
        eventually("definition and QEMU differ", lambda: blockdev.truthful(dom), 10)
        chain = blockdev.paths(dom)
        assert chain in self.ends, chain
        assert blockdev.mirror(dom) is None
        if chain != self.start:
            assert dom.jobStats(L.VIR_DOMAIN_JOB_STATS_COMPLETED)["type"] == L.VIR_DOMAIN_JOB_COMPLETED
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


class SnapshotDeleted(Story):
    """An active commit that a call waits for; asked for again it goes on, and the snapshot is forgotten in the end."""
    ends = [Story.start]
    off = False
    later = []  # snapshots that stay

    def prepare(self, conn):
        for dom in conn.listAllDomains():
            for snap in dom.listAllSnapshots():
                snap.delete(L.VIR_DOMAIN_SNAPSHOT_DELETE_METADATA_ONLY)
        super().prepare(conn)
        dom = conn.lookupByName("vm")
        for name in ["s"] + self.later:
            dom.snapshotCreateXML("<domainsnapshot><name>%s</name><disks><disk name='vda'><source file='%sover-%s'/></disk></disks>"
                                  "</domainsnapshot>" % (name, IMAGES, name), L.VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY)
        if self.off:
            dom.destroy()

    def run(self, conn):
        conn.lookupByName("vm").snapshotLookupByName("s").delete()

    def settle(self, conn):
        dom = conn.lookupByName("vm")
        if "s" in dom.snapshotListNames():
            eventually("the snapshot is not deleted", lambda: self.refused(dom), 30)
        return dom

    @staticmethod
    def refused(dom):
        """Why it was not deleted: what the daemon finds at its start is settled a moment later."""
        try:
            if "s" in dom.snapshotListNames():
                dom.snapshotLookupByName("s").delete()
        except libvirt.libvirtError as e:
            return e

    def check(self, dom):
        assert dom.snapshotListNames() == self.later
        assert not any("over-s'" in snap.getXMLDesc() for snap in dom.listAllSnapshots())
        assert not os.path.exists(self.server.box.path("lib", "images", "over-s"))
        if self.off:
            dom.create()
        return super().check(dom)


class SnapshotDeletedOff(SnapshotDeleted):
    off = True


STORIES = [ActiveCommit, ActiveCommitGivenUp, Commit, Pull, PullToBase, Copy, CopyGivenUp, ShallowCopy]
class OldestSnapshotDeleted(SnapshotDeleted):
    """A commit below the top; what the later one remembers is rewritten."""
    ends = [["over-t"] + Story.start]
    later = ["t"]


ASKED_AGAIN = [SnapshotDeleted] + [SnapshotDeletedOff, OldestSnapshotDeleted] * SOAK  # of which a guest that ends leaves more than one of its `ends`


STEPS = ("qmp:", "renameat", "rename:", "unlink", "at:", "pidfd_getfd")


def interesting(points, most, kinds=STEPS, turn=0):
    """Steps a job is made of: commands to QEMU, files put in their place, children; each time they are passed.  At most so many, but in a soak: spread
    evenly, and elsewhere each turn."""
    runs = [(point, nth) for point, count in points.items() if point.startswith(kinds) and ONLY in point
            for nth in range(1, count + 1)]
    if SOAK or ONLY or len(runs) <= most:
        return runs
    offset = (0.5 + turn * 0.618) % 1
    return [runs[int((i + offset) * len(runs) / most)] for i in range(most)]


_learned = {}


def learn(server, story):
    """The points a story passes."""
    if type(story) not in _learned:
        _learned[type(story)] = _learn(server, story)
    return _learned[type(story)]


def _learn(server, story):
    conn = server.connect()
    story.prepare(conn)
    server.faults.record()
    story.run(conn)
    points = server.faults.recorded()
    story.check(conn.lookupByName("vm"))
    conn.close()
    return points
