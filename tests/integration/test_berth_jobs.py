"""How block jobs ended, kept over restarts, and the command that tells it."""

import os
import pty
import re
import select
import struct
import subprocess
import time

import libvirt
import pytest

from lib import blockdev, rawrpc, xml

IMAGES = "/var/lib/libvirt/images/"


@pytest.fixture
def daemon(own_server, server_kind):
    if server_kind != "berthd":
        pytest.skip("a program of our own")
    return own_server()


@pytest.fixture
def berth_jobs(daemon):
    program = os.path.join(os.path.dirname(os.environ["BERTHD"]), "berth-jobs")
    if not os.access(program, os.X_OK):
        pytest.skip("berth-jobs is not built")

    def run(*args, ok=True, socket="libvirt-sock-ro"):
        done = subprocess.run(run.argv(*args, socket=socket), capture_output=True, text=True, timeout=60)
        assert (done.returncode == 0) == ok, done
        return done.stdout if ok else done.stderr
    run.argv = lambda *args, socket="libvirt-sock-ro": daemon.box.argv([program, "-s", "/run/libvirt/" + socket, *args])
    return run


def machine(daemon, name, size="16M"):
    image = daemon.image(name + ".qcow2", size)
    daemon.define(xml.domain(name, devices=xml.disk(image)))
    daemon.sh("start", name, "--paused")


def lines(text, word):
    return [line for line in text.splitlines() if word in line.split()]


def test_verdicts(daemon, berth_jobs):
    machine(daemon, "web")
    assert berth_jobs() == ""
    daemon.sh("snapshot-create-as", "web", "one", "--disk-only", "--no-metadata")
    daemon.sh("blockcommit", "web", "vda", "--active", "--pivot", "--wait")
    daemon.sh("blockcopy", "web", "vda", IMAGES + "copy.qcow2", "--transient-job", "--wait", "--finish")
    for _ in range(2):
        out = berth_jobs()
        assert len(out.splitlines()) == 2 and out == berth_jobs("-e", "web")
        commit, copy = out.splitlines()
        assert commit.split()[:2] == ["web", "vda"] and "commit" in commit and "completed" in commit
        assert "copy" in copy and "cancelled" in copy
        assert berth_jobs("-r") == ""
        daemon.restart(9)  # a new daemon knows as much
    daemon.sh("destroy", "web")
    assert len(berth_jobs("web").splitlines()) == 2  # and of a machine that is off
    assert "no machine" in berth_jobs("nobody", ok=False)
    daemon.sh("domrename", "web", "web2")
    assert len(berth_jobs("web2").splitlines()) == 2
    daemon.sh("undefine", "web2")
    assert berth_jobs() == "" and os.listdir(daemon.box.path("lib", "qemu", "job-history")) == []


def test_cut_off_and_bar(daemon, berth_jobs):
    machine(daemon, "cut", "64M")
    # a copy that takes long: the image is full, and one byte a second may go
    daemon.sh("destroy", "cut")
    subprocess.run(daemon.box.argv(["qemu-io", "-c", "write -P 7 0 64M", IMAGES + "cut.qcow2"]), check=True, capture_output=True)
    daemon.sh("start", "cut", "--paused")
    daemon.sh("blockcopy", "cut", "vda", IMAGES + "cut-copy.qcow2", "--transient-job", "1", "--bytes")
    running = berth_jobs("-r")
    assert "running" in running and re.search(r"\[[#.]{24}\] +\d+%", running), running
    master, slave = pty.openpty()
    shown = subprocess.Popen(berth_jobs.argv("cut"), stdout=slave, stderr=slave, stdin=slave)
    os.close(slave)
    text = _until(master, "\033[1A")  # the line was drawn once, and is drawn again
    assert "running" in text
    daemon.sh("destroy", "cut")
    shown.wait(30)
    os.close(master)
    out = berth_jobs("cut")
    assert "failed" in out and "ended" in out, out


def _until(fd, what, timeout=30):
    seen, end = "", time.monotonic() + timeout
    while what not in seen:
        ready, _, _ = select.select([fd], [], [], max(0, end - time.monotonic()))
        assert ready, seen
        seen += os.read(fd, 4096).decode()
    return seen


# ---- our own program over the wire -------------------------------------------------------------------------------------------

BERTH = 0x62657274
PIVOT, REGISTER, DEREGISTER, PROGRESS = range(2, 6)
STATE_RUNNING, STATE_READY, STATE_ENDED = 1, 2, 5
SLOW = 65536


class Jobs:
    """The jobs of a progress message, read from its bytes."""

    def __init__(self, body):
        self.body, self.at = body, 0
        self.callback, self.name = self.number(), self.text()
        self.at += 20  # uuid, id
        self.all = [self.job() for _ in range(self.number())]

    def number(self, fmt=">i"):
        value, = struct.unpack_from(fmt, self.body, self.at)
        self.at += struct.calcsize(fmt)
        return value

    def text(self):
        size = self.number()
        value = self.body[self.at:self.at + size].decode()
        self.at += size + -size % 4
        return value

    def job(self):
        job = {key: self.text() for key in ("id", "kind", "disk")}
        job.update({key: self.number() for key in ("type", "state", "status")})
        job["error"] = self.text() if self.number() else None
        job.update({key: self.number(">Q") for key in ("begun", "ended", "cur", "end", "speed")})
        return job


@pytest.fixture
def wire(daemon):
    with rawrpc.Client(daemon.socket, timeout=60) as client:
        yield client.open()


def copying(daemon, name="web", size="64M"):
    """A machine whose disk is full, and copied as slowly as one asks for."""
    machine(daemon, name, size)
    daemon.sh("destroy", name)
    subprocess.run(daemon.box.argv(["qemu-io", "-c", "write -P 7 0 " + size, IMAGES + name + ".qcow2"]), check=True, capture_output=True)
    daemon.sh("start", name)
    daemon.sh("blockcopy", name, "vda", IMAGES + name + "-copy", "--transient-job", str(SLOW), "--bytes")
    return daemon.connect().lookupByName(name)


def pivot(dom, ms, flags=0):
    return rawrpc.domain(dom.name(), dom.UUID()) + rawrpc.string("vda") + struct.pack(">II", ms, flags)


def test_pivot_that_waits(daemon, wire):
    dom = copying(daemon)
    code, _, text = wire.call(PIVOT, pivot(dom, 0), prog=BERTH).error()
    assert code == libvirt.VIR_ERR_OPERATION_TIMEOUT and "in step" in text, text
    code, _, text = wire.call(PIVOT, pivot(dom, 600001), prog=BERTH).error()
    assert code == libvirt.VIR_ERR_INVALID_ARG and "timeout_ms" in text
    assert wire.call(PIVOT, pivot(dom, 1, 1), prog=BERTH).error()[0] == libvirt.VIR_ERR_INVALID_ARG
    serial = wire.send(PIVOT, pivot(dom, 300000), prog=BERTH)
    dom.blockJobSetSpeed("vda", 2 * SLOW, libvirt.VIR_DOMAIN_BLOCK_JOB_SPEED_BANDWIDTH_BYTES)  # who waits is in nobody's way
    dom.blockJobSetSpeed("vda", 0)
    packet = wire.receive()
    assert packet.serial == serial and packet.status == rawrpc.OK, packet.error()
    assert blockdev.paths(dom) == ["web-copy"] and not blockdev.truthful(dom)
    assert wire.call(PIVOT, pivot(dom, 1000), prog=BERTH).error()[0] == libvirt.VIR_ERR_INVALID_ARG  # no job any more


def test_pivot_command(daemon, berth_jobs):
    dom = copying(daemon)
    disk = dom.name(), "vda"
    assert "in step" in berth_jobs("pivot", *disk, ok=False, socket="libvirt-sock")
    assert "read only" in berth_jobs("pivot", *disk, ok=False)
    assert "no domain" in berth_jobs("pivot", "nobody", "vda", ok=False, socket="libvirt-sock").lower()
    for wrong in (("pivot", "web"), ("pivot", *disk, "-r"), ("pivot", *disk, "-w", "601"), ("pivot", *disk, "--wait=1s"), ("-w", "1", "web"),
                  ("turn", *disk)):
        said = berth_jobs(*wrong, ok=False, socket="libvirt-sock")
        assert "usage:" in said or "--wait takes seconds" in said, said
    with berth_jobs_client(berth_jobs, "pivot", *disk, "--wait", "300") as waiting:
        dom.blockJobSetSpeed("vda", 0)  # it is ready soon, before the command asks or after
        out, err = waiting.communicate(timeout=60)
    assert waiting.returncode == 0 and out == err == "", (out, err)
    assert blockdev.paths(dom) == ["web-copy"] and not blockdev.truthful(dom)
    assert "completed" in berth_jobs("web") and "active block job" in berth_jobs("pivot", *disk, ok=False, socket="libvirt-sock")


def berth_jobs_client(berth_jobs, *args):
    return subprocess.Popen(berth_jobs.argv(*args, socket="libvirt-sock"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_pivot_that_waits_in_vain(daemon, wire):
    """The job is given up, then the guest ends: who waits is told."""
    dom = copying(daemon)
    wire.send(PIVOT, pivot(dom, 300000), prog=BERTH)
    dom.blockJobAbort("vda")
    code, _, text = wire.receive().error()
    assert code in (libvirt.VIR_ERR_OPERATION_FAILED, libvirt.VIR_ERR_INVALID_ARG) and ("ended before" in text or "active block job" in text), text
    daemon.sh("blockcopy", "web", "vda", IMAGES + "web-copy2", "--transient-job", str(SLOW), "--bytes")
    wire.send(PIVOT, pivot(dom, 300000), prog=BERTH)
    dom.destroy()
    code, _, text = wire.receive().error()
    assert code == libvirt.VIR_ERR_OPERATION_INVALID, text


@pytest.mark.parametrize("ahead", [False, True], ids=["no history", "clock was ahead"])
def test_progress(daemon, wire, ahead):
    dom = copying(daemon)
    if ahead:  # the clock was set back since: what ends now has ended before that
        os.makedirs(daemon.box.path("lib", "qemu", "job-history"), exist_ok=True)
        with open(daemon.box.path("lib", "qemu", "job-history", dom.UUIDString() + ".xml"), "w") as out:
            out.write("<jobhistory format='1'><job id='old' kind='pull' disk='vdb' type='1' status='0' begun='9000000000000000' "
                      "ended='9000000001000000' bytes='0'/></jobhistory>")
    reply = wire.call(REGISTER, rawrpc.optional(None), prog=BERTH)
    assert reply.status == rawrpc.OK, reply.error()
    callback, = struct.unpack(">i", reply.body)

    def until(want):
        while True:
            packet = wire.receive()
            if packet.type != rawrpc.MESSAGE:
                continue
            assert (packet.prog, packet.proc) == (BERTH, PROGRESS)
            jobs = Jobs(packet.body)
            assert jobs.callback == callback and jobs.name == "web" and len(jobs.all) <= 2, jobs.all
            for job in jobs.all:
                assert job["kind"] == "copy" and job["disk"] == "vda"
                if want(job):
                    return job

    first = until(lambda job: job["state"] == STATE_RUNNING and job["end"])
    assert first["cur"] < first["end"] and first["speed"] == SLOW
    dom.blockJobSetSpeed("vda", 4 << 20, libvirt.VIR_DOMAIN_BLOCK_JOB_SPEED_BANDWIDTH_BYTES)
    assert until(lambda job: job["cur"] > first["cur"])["id"] == first["id"]
    dom.blockJobSetSpeed("vda", 0)
    until(lambda job: job["state"] == STATE_READY)
    dom.blockJobAbort("vda", libvirt.VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT)
    last = until(lambda job: job["state"] == STATE_ENDED)
    assert last["id"] == first["id"] and last["status"] == libvirt.VIR_DOMAIN_BLOCK_JOB_COMPLETED
    assert wire.call(DEREGISTER, reply.body, prog=BERTH).status == rawrpc.OK
    assert wire.call(DEREGISTER, reply.body, prog=BERTH).status == rawrpc.ERROR


def test_broken_history(daemon, berth_jobs):
    machine(daemon, "odd")
    directory = daemon.box.path("lib", "qemu", "job-history")
    os.makedirs(directory)
    uuid = daemon.sh("domuuid", "odd").strip()
    for content in ("", "<jobhistory format='9'/>", "<x", "<jobhistory format='1'><job id='a'/><y/></jobhistory>"):
        with open(os.path.join(directory, uuid + ".xml"), "w") as out:
            out.write(content)
        assert berth_jobs("odd") == ""
    daemon.sh("blockcopy", "odd", "vda", IMAGES + "odd-copy.qcow2", "--transient-job", "--wait", "--finish")
    assert len(berth_jobs("odd").splitlines()) == 1
