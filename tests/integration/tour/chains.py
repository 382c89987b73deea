"""The tour's chapter on chains of images: snapshots of disks, block jobs, limits of I/O.

On a guest without an operating system, whose disk nobody writes to: what a step says does not depend on how fast it is.
"""

import re

from lib import xml

from . import normalise

IMAGES = "/var/lib/libvirt/images/"


def progress(out):
    """How far it was when virsh looked, and how often it looked."""
    return re.sub(r"(\s*Block [A-Za-z]+: \[ *[\d.]+ ?%\])+", "\nPROGRESS", out)


class Quiet:
    """The tour, without the numbers that virsh writes beside the output while it waits."""

    def __init__(self, tour):
        self.tour, self.server = tour, tour.server

    def virsh(self, name, *args, then=None):
        self.tour.virsh(name, *args, then=then)
        self.tour.steps[name] = progress(self.tour.steps[name])


def creation(out):
    return re.sub(r"<creationTime>\d+<", "<creationTime>N<", out)


def live(out):
    """Also in the definition a snapshot keeps, and without the images' numbers: a command that is refused may use one up."""
    out = normalise.live_id(creation(out))
    return re.sub(r" index='\d+'", " index='N'", out)


def snapshots(tour):
    tour.virsh("chain-snap-create", "snapshot-create-as", "chain", "one", "--disk-only", "--diskspec", "vda,file=%sone" % IMAGES,
               "--description", "the first")
    tour.virsh("chain-snap-again", "snapshot-create-as", "chain", "one", "--disk-only", "--diskspec", "vda,file=%sone2" % IMAGES)
    tour.virsh("chain-snap-there", "snapshot-create-as", "chain", "two", "--disk-only", "--diskspec", "vda,file=%sone" % IMAGES)
    tour.virsh("chain-snap-no-disk", "snapshot-create-as", "chain", "two", "--disk-only", "--diskspec", "vdz,file=%stwo" % IMAGES)
    tour.virsh("chain-snap-two", "snapshot-create-as", "chain", "two", "--disk-only", "--atomic", "--diskspec", "vda,file=%stwo" % IMAGES)
    tour.virsh("chain-snap-no-metadata", "snapshot-create-as", "chain", "three", "--disk-only", "--no-metadata", "--diskspec",
               "vda,file=%sthree" % IMAGES)
    tour.virsh("chain-snap-list", "snapshot-list", "chain", "--name")
    tour.virsh("chain-snap-tree", "snapshot-list", "chain", "--tree")
    tour.virsh("chain-snap-info", "snapshot-info", "chain", "one")
    tour.virsh("chain-snap-dumpxml", "snapshot-dumpxml", "chain", "two", then=live)
    tour.virsh("chain-snap-current", "snapshot-current", "chain", "--name")
    tour.virsh("chain-snap-parent", "snapshot-parent", "chain", "two")
    tour.virsh("chain-snap-no-parent", "snapshot-parent", "chain", "one")
    tour.virsh("chain-snap-missing", "snapshot-info", "chain", "nope")
    tour.virsh("chain-domblklist", "domblklist", "chain", "--details")
    tour.virsh("chain-dumpxml", "dumpxml", "chain", then=live)
    tour.virsh("chain-dumpxml-inactive", "dumpxml", "chain", "--inactive", then=live)


def commit(tour):
    tour.virsh("chain-no-job", "blockjob", "chain", "vda", "--info")
    tour.virsh("chain-no-job-abort", "blockjob", "chain", "vda", "--abort")
    tour.virsh("chain-no-job-pivot", "blockjob", "chain", "vda", "--pivot")
    tour.virsh("chain-no-job-speed", "blockjob", "chain", "vda", "7")
    tour.virsh("chain-commit-not-active", "blockcommit", "chain", "vda")
    tour.virsh("chain-commit-no-disk", "blockcommit", "chain", "vdz", "--active")
    tour.virsh("chain-commit-no-base", "blockcommit", "chain", "vda", "--active", "--base", "/nope")
    tour.virsh("chain-commit-below", "blockcommit", "chain", "vda", "--top", IMAGES + "two", "--base", IMAGES + "one", "--wait", "--verbose",
               then=progress)
    tour.virsh("chain-commit-below-dumpxml", "dumpxml", "chain", then=live)
    tour.virsh("chain-commit-step", "blockcommit", "chain", "vda", "--active", "--shallow", "--wait", "--verbose", "--keep-overlay")
    tour.virsh("chain-commit-ready", "blockcommit", "chain", "vda", "--active", "--shallow", "--wait", "--verbose")
    tour.virsh("chain-commit-info", "blockjob", "chain", "vda", "--info")
    tour.virsh("chain-commit-dumpxml", "dumpxml", "chain", then=live)
    tour.virsh("chain-commit-busy", "blockpull", "chain", "vda")
    tour.virsh("chain-commit-speed", "blockjob", "chain", "vda", "9")
    tour.virsh("chain-commit-abort", "blockjob", "chain", "vda", "--abort")
    tour.virsh("chain-commit-aborted", "domblklist", "chain")
    tour.virsh("chain-commit-pivot", "blockcommit", "chain", "vda", "--active", "--pivot", "--wait", "--verbose")
    tour.virsh("chain-commit-pivoted", "dumpxml", "chain", then=live)
    tour.virsh("chain-commit-pivoted-inactive", "dumpxml", "chain", "--inactive", then=live)
    tour.virsh("chain-commit-nothing", "blockcommit", "chain", "vda", "--active")


def copy_and_pull(tour):
    tour.virsh("chain-copy-persistent", "blockcopy", "chain", "vda", IMAGES + "copy")
    tour.virsh("chain-copy-finish", "blockcopy", "chain", "vda", IMAGES + "copy", "--transient-job", "--wait", "--verbose", "--finish")
    tour.virsh("chain-copy-there", "blockcopy", "chain", "vda", IMAGES + "copy", "--transient-job")
    tour.virsh("chain-copy-granularity", "blockcopy", "chain", "vda", IMAGES + "other", "--transient-job", "--granularity", "1000")
    tour.virsh("chain-copy-wait", "blockcopy", "chain", "vda", IMAGES + "copy2", "--transient-job", "--wait", "--verbose")
    tour.virsh("chain-copy-dumpxml", "dumpxml", "chain", then=live)
    tour.virsh("chain-copy-info", "blockjob", "chain", "vda", "--info")
    tour.virsh("chain-copy-pivot", "blockjob", "chain", "vda", "--pivot")
    tour.virsh("chain-copy-pivoted", "domblklist", "chain")
    tour.server.virsh("snapshot-create-as", "chain", "five", "--disk-only", "--no-metadata", "--diskspec", "vda,file=%sfive" % IMAGES)
    tour.virsh("chain-pull-no-base", "blockpull", "chain", "vda", "--base", "/nope")
    tour.virsh("chain-pull-no-index", "blockpull", "chain", "vda", "--base", "vda[77]")
    tour.virsh("chain-pull", "blockpull", "chain", "vda", "--wait", "--verbose")
    tour.virsh("chain-pulled", "dumpxml", "chain", then=live)
    tour.virsh("chain-pulled-inactive", "dumpxml", "chain", "--inactive", then=live)


def iotune(tour):
    tour.virsh("chain-iotune", "blkdeviotune", "chain", "vda")
    tour.virsh("chain-iotune-set", "blkdeviotune", "chain", "vda", "--total-bytes-sec", "1000000", "--total-iops-sec", "500", "--group-name", "g")
    tour.virsh("chain-iotune-get", "blkdeviotune", "chain", "vda")
    tour.virsh("chain-iotune-config", "blkdeviotune", "chain", "vda", "--config", "--read-bytes-sec", "70000", "--write-iops-sec", "80")
    tour.virsh("chain-iotune-config-get", "blkdeviotune", "chain", "vda", "--config")
    tour.virsh("chain-iotune-both", "blkdeviotune", "chain", "vda", "--total-bytes-sec", "5", "--read-bytes-sec", "6")
    tour.virsh("chain-iotune-no-disk", "blkdeviotune", "chain", "vdz")
    tour.virsh("chain-iotune-dumpxml", "dumpxml", "chain", then=live)


def off(tour):
    tour.virsh("chain-destroy", "destroy", "chain")
    for name, words in (("blockjob", ["--info"]), ("blockcommit", ["--active"]), ("blockpull", []), ("blockcopy", [IMAGES + "new", "--transient-job"])):
        tour.virsh("chain-off-" + name, name, "chain", "vda", *words)
    tour.virsh("chain-off-iotune", "blkdeviotune", "chain", "vda")
    tour.virsh("chain-off-snap-delete", "snapshot-delete", "chain", "two", "--metadata")
    tour.virsh("chain-off-snap-list", "snapshot-list", "chain", "--name")
    tour.virsh("chain-off-undefine", "undefine", "chain")
    tour.virsh("chain-off-undefine-metadata", "undefine", "chain", "--snapshots-metadata")


def run(whole):
    tour = Quiet(whole)
    server = tour.server
    disk = server.image("zero", "16M", backing=None)
    definition = xml.domain("chain", uuid="b5a3c1c2-2f4e-4b53-9c1a-0a6d1d7c5a11", memory=32, devices=xml.disk(disk), console="")
    tour.virsh("chain-define", "define", server.file("chain.xml", definition))
    tour.virsh("chain-start", "start", "chain")
    snapshots(tour)
    commit(tour)
    copy_and_pull(tour)
    iotune(tour)
    off(tour)
