#!/usr/bin/python3
"""Block jobs: from the event to who waits for it, a whole commit and a whole copy of 256 MiB with their pivots, the daemon's CPU for one.

The wake-ups are measured inside the driver with a QEMU that is only played (blockjob_wait.c); everything else with real ones.  The limit
of a job is the same job by hand over QMP in a QEMU with the same images.
"""

import json
import os
import shutil
import struct
import subprocess
import time

import vms
from lib import bench, rawrpc, server as servers, xml

MIB = 256
ROUNDS = 5
COMMIT, COPY, ABORT, REGISTER, EVENT = 290, 345, 237, 316, 326
BLOCK_JOB, READY, COMPLETED = 8, 3, 0
ACTIVE, PIVOT, TRANSIENT_JOB = 4, 2, 4
BASE, TOP, COPIED = (vms.IMAGES + "/" + name for name in ("base.qcow2", "vm-0.qcow2", "copied.qcow2"))


# ---- wake-ups -------------------------------------------------------------------------------------------------------------------------

def measure_waiters():
    program = os.path.join(bench.build_dir(), "tests", "bench", "blockjob_wait")

    def run(*args):
        out = subprocess.run([program, *map(str, args)], stdout=subprocess.PIPE, text=True, check=True).stdout
        return [float(number) / 1000 for number in out.split()]

    for what, jobs, rounds, ms in (("1 job", 1, 500, 0), ("100 jobs", 100, 5, 400), ("100 jobs in one instant", 100, 10, 0)):
        pipe50, pipe99 = run(jobs, rounds, ms, "pipes")
        _, _, bare50, bare99 = run(jobs, rounds, ms, "bare")
        ready50, ready99, done50, done99 = run(jobs, rounds, ms)
        note = "limit: as many threads, each woken by a byte in a pipe" + (", the events spread over %d ms" % ms if ms else "")
        bench.emit("READY to its waiter, p50, " + what, ready50, "ms", "≤ 0.5 ms", limit=pipe50, at_most=0.5, note=note)
        bench.emit("READY to its waiter, p99, " + what, ready99, "ms", "≤ 2 ms", limit=pipe99, at_most=2, note=note)
        note = "with the job's dismissal, an exchange with QEMU; limit: one thread without a daemon, which replaces a file in memory and dismisses each"
        bench.emit("COMPLETED to its waiter, p50, " + what, done50, "ms", "≤ 0.5 ms", limit=bare50, at_most=0.5, note=note)
        bench.emit("COMPLETED to its waiter, p99, " + what, done99, "ms", "≤ 2 ms", limit=bare99, at_most=2, note=note)


# ---- images ---------------------------------------------------------------------------------------------------------------------------

class Images:
    """The images of one sandbox, made once and copied for each round: a base, and 256 MiB of data over it."""

    def __init__(self, box):
        self.box = box
        self.directory = box.path("lib", "images")
        self.run("qemu-img", "create", "-q", "-f", "qcow2", BASE, "%dM" % MIB)
        self.run("qemu-img", "create", "-q", "-f", "qcow2", "-b", BASE, "-F", "qcow2", TOP)
        self.run("qemu-io", "-f", "qcow2", "-c", "write -q -P 170 0 %dM" % MIB, TOP)
        for name in ("base", "vm-0"):
            os.rename(self.host(name + ".qcow2"), self.host(name + ".first"))

    def run(self, *argv):
        done = self.box.run(list(argv))
        assert done.returncode == 0, done.stderr

    def host(self, name):
        return os.path.join(self.directory, os.path.basename(name))

    def touch(self, name):
        with open(self.host(name), "wb"):
            pass

    def renew(self):
        for name in ("base", "vm-0"):
            shutil.copyfile(self.host(name + ".first"), self.host(name + ".qcow2"))
            os.chmod(self.host(name + ".qcow2"), 0o666)
        if os.path.exists(self.host("copied.qcow2")):
            os.unlink(self.host("copied.qcow2"))
        os.sync()  # what is measured next has the disk for itself


# ---- by hand --------------------------------------------------------------------------------------------------------------------------

class Raw:
    """A QEMU with the images, and its monitor on its standard input."""

    def __init__(self, images):
        self.images = images
        argv = ["qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-machine", "q35,accel=tcg", "-m", "32",
                "-qmp", "stdio"]
        for node in (self.image("base", BASE), self.image("top", TOP, "base")):
            argv += [word for part in node for word in ("-blockdev", json.dumps(part))]
        self.process = images.box.popen(argv + ["-device", "virtio-blk-pci,drive=top"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.seen = []
        self.process.stdout.readline()
        self.do("qmp_capabilities")

    @staticmethod
    def image(name, path, backing=None):
        return [{"driver": "file", "filename": path, "node-name": name + "-file", "auto-read-only": True, "discard": "unmap"},
                {"driver": "qcow2", "file": name + "-file", "node-name": name, "backing": backing, "read-only": backing is None,
                 "auto-read-only": True}]

    def do(self, command, **arguments):
        self.process.stdin.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self.process.stdin.flush()
        while True:
            line = json.loads(self.process.stdout.readline())
            if "event" in line:
                self.seen.append(line)
            elif "error" in line:
                raise RuntimeError("%s: %s" % (command, line["error"]["desc"]))
            else:
                return line["return"]

    def until(self, name, data=None):
        while not any(line["event"] == name and data in (None, line["data"]) for line in self.seen):
            line = json.loads(self.process.stdout.readline())
            if "event" in line:
                self.seen.append(line)

    def job(self, command, left, **arguments):
        """(seconds of all, seconds of the pivot): until the images the disk has left are free for others, as after the daemon's call"""
        began = time.monotonic()
        self.do(command, **{"job-id": "job", "auto-dismiss": False}, **arguments)
        self.until("BLOCK_JOB_READY")
        pivot = time.monotonic()
        self.do("job-complete", id="job")
        self.until("JOB_STATUS_CHANGE", {"id": "job", "status": "concluded"})
        self.do("job-dismiss", id="job")
        for name in left:
            self.do("blockdev-del", **{"node-name": name})
            self.do("blockdev-del", **{"node-name": name + "-file"})
        end = time.monotonic()
        return end - began, end - pivot

    def commit(self):
        return self.job("block-commit", ["top"], device="top")

    def copy(self):
        """Of the same data into a new image; making that is part of it."""
        protocol, fmt = self.image("copied", COPIED)
        fmt["read-only"] = False
        began = time.monotonic()
        self.images.touch(COPIED)
        self.do("blockdev-add", **protocol)
        self.do("blockdev-create", **{"job-id": "make", "options": {"driver": "qcow2", "file": "copied-file", "size": MIB << 20}})
        self.until("JOB_STATUS_CHANGE", {"id": "make", "status": "concluded"})
        self.do("job-dismiss", id="make")
        self.do("blockdev-add", **fmt)
        whole, pivot = self.job("blockdev-mirror", ["top", "base"], device="top", target="copied", sync="full")
        return time.monotonic() - began, pivot

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


# ---- by a daemon ----------------------------------------------------------------------------------------------------------------------

class Client:
    """A connection that hears of block jobs."""

    def __init__(self, host):
        self.wire = host.wire(0)
        self.raw = rawrpc.Client(host.server.socket, timeout=60).open()
        self.seen = set()
        self.call(REGISTER, struct.pack(">iI", BLOCK_JOB, 0))

    def packet(self):
        packet = self.raw.receive()
        if packet.type == rawrpc.MESSAGE and packet.proc == EVENT:
            self.seen.add(struct.unpack(">i", packet.body[-4:])[0])
        return packet

    def call(self, proc, body):
        serial = self.raw.send(proc, body)
        while True:
            packet = self.packet()
            if packet.type == rawrpc.REPLY and packet.serial == serial:
                assert packet.status == rawrpc.OK, packet.error()
                return

    def job(self, proc, body):
        """(seconds of all, seconds of the pivot)"""
        self.seen.clear()
        began = time.monotonic()
        self.call(proc, body)
        while READY not in self.seen:
            self.packet()
        pivot = time.monotonic()
        self.call(ABORT, self.wire + rawrpc.string("vda") + struct.pack(">I", PIVOT))
        end = time.monotonic()
        while COMPLETED not in self.seen:
            self.packet()
        return end - began, end - pivot

    def commit(self):
        nothing = rawrpc.optional(None)
        return self.job(COMMIT, self.wire + rawrpc.string("vda") + nothing + nothing + struct.pack(">QI", 0, ACTIVE))

    def copy(self):
        target = "<disk type='file'><source file='%s'/><driver type='qcow2'/></disk>" % COPIED
        return self.job(COPY, self.wire + rawrpc.string("vda") + rawrpc.string(target) + struct.pack(">II", 0, TRANSIENT_JOB))

    def close(self):
        self.raw.close()


def cpu_seconds(pid):
    """Of all threads it ever had; /proc counts in steps of 10 ms."""
    return time.clock_gettime(~pid << 3 | 2)


def turn(host, images, job):
    """One job on a machine of its own; by a daemon's client, or by hand where host is None."""
    images.renew()
    if host is None:
        raw = Raw(images)
        try:
            return getattr(raw, job)() + (None,)
        finally:
            raw.close()
    control = host.pool(1)[0]
    host.start(control, 0)
    client = Client(host)
    before = cpu_seconds(host.pid)
    try:
        return getattr(client, job)() + (cpu_seconds(host.pid) - before,)
    finally:
        client.close()
        host.destroy(control, 0)
        conn = host.server.connect()  # the definition names the copy, or the base
        conn.defineXML(definition(host))
        conn.close()


def by_virsh(host, images):
    """Seconds of the command people type."""
    images.renew()
    control = host.pool(1)[0]
    host.start(control, 0)
    began = time.monotonic()
    host.server.sh("blockcommit", host.name(0), "vda", "--active", "--pivot", "--wait")
    took = time.monotonic() - began
    host.destroy(control, 0)
    conn = host.server.connect()
    conn.defineXML(definition(host))
    conn.close()
    return took


def definition(host):
    return xml.domain(host.name(0), memory=32, devices=xml.disk(TOP), console="")


def column(rows, place, scale=1000):
    return bench.median(row[place] for row in rows) * scale if rows else None


def measure_jobs(host, peer):
    sides = [(one, Images(one.server.box)) for one in (host, peer) if one]
    for one, images in sides:
        images.renew()
        conn = one.server.connect()
        conn.defineXML(definition(one))
        conn.close()
    for job in ("commit", "copy"):
        limit, ours, theirs = [], [], []
        for _ in range(ROUNDS):
            limit.append(turn(None, sides[0][1], job))
            for (one, images), into in zip(sides, (ours, theirs)):
                into.append(turn(one, images, job))
        name = "block%s %d MiB" % (job, MIB)
        bench.emit(name + ", whole", column(ours, 0), "ms", "≤ 1.05 × limit", limit=column(limit, 0), peer=column(theirs, 0), factor=1.05,
                   note="with pivot; limit: the same by hand over QMP")
        bench.emit(name + ", pivot call", column(ours, 1), "ms", "≤ 2 × limit", limit=column(limit, 1), peer=column(theirs, 1), factor=2,
                   note="limit: job-complete to concluded, dismissal, the nodes of the images it has left deleted")
        bench.emit(name + ", daemon CPU", column(ours, 2), "ms", "", peer=column(theirs, 2))
    waits = [[by_virsh(one, images) for _ in range(3)] for one, images in sides]
    bench.emit("virsh blockcommit --active --pivot --wait, %d MiB" % MIB, bench.median(waits[0]) * 1000, "ms", "",
               peer=bench.median(waits[1]) * 1000 if peer else None, note="virsh's own start with it")


def main():
    args = bench.arguments(__doc__)
    measure_waiters()
    with vms.Host("berthd", 1, disk=False, console=False) as host:
        if args.peer and servers.peer_available():
            with vms.Host("peer", 1, disk=False, console=False) as peer:
                measure_jobs(host, peer)
        else:
            measure_jobs(host, None)


main()
