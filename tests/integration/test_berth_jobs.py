"""How block jobs ended, kept over restarts, and the command that tells it."""

import os
import pty
import re
import select
import subprocess
import time

import pytest

from lib import xml

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

    def run(*args, ok=True):
        argv = daemon.box.argv([program, "-s", "/run/libvirt/libvirt-sock-ro", *args])
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
        assert (done.returncode == 0) == ok, done
        return done.stdout if ok else done.stderr
    run.argv = lambda *args: daemon.box.argv([program, "-s", "/run/libvirt/libvirt-sock-ro", *args])
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
