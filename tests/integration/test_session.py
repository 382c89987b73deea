"""The daemon of an ordinary user: sockets under XDG_RUNTIME_DIR, qemu:///session, no privilege anywhere."""

import os
import shutil
import socket
import subprocess
import tempfile

import pytest

from lib import server as servers, xml as guest_xml

NOBODY = 65534


@pytest.fixture
def session():
    """(environment, daemon) of a user who owns nothing but a directory."""
    home = tempfile.mkdtemp(prefix="berth-session-")
    binary = shutil.copy(servers.Berthd.binary(), os.path.join(home, "berthd"))
    os.mkdir(os.path.join(home, "run"))
    for path in (home, os.path.join(home, "run")):
        os.chown(path, NOBODY, NOBODY)
    env = {"ASAN_OPTIONS": "abort_on_error=1:detect_leaks=0", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": home, "LC_ALL": "C",
           "XDG_RUNTIME_DIR": os.path.join(home, "run"), "XDG_CONFIG_HOME": os.path.join(home, "config"),
           "XDG_CACHE_HOME": os.path.join(home, "cache"), "NOTIFY_SOCKET": os.path.join(home, "run", "notify")}
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(env["NOTIFY_SOCKET"])
        os.chown(env["NOTIFY_SOCKET"], NOBODY, NOBODY)
        notify.settimeout(60)
        daemon = subprocess.Popen([binary], env=env, cwd=home, user=NOBODY, group=NOBODY, extra_groups=[],
                                  stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        while b"READY=1" not in notify.recv(4096).split(b"\n"):
            pass
    del env["NOTIFY_SOCKET"]
    yield env, daemon
    daemon.terminate()
    _, errors = daemon.communicate(timeout=60)
    shutil.rmtree(home, ignore_errors=True)
    assert daemon.returncode == 0, errors


def test_a_users_own_machines(session):
    env, daemon = session

    def virsh(*args):
        done = subprocess.run(["virsh", "-c", "qemu:///session", *args], env=env, cwd="/", user=NOBODY, group=NOBODY,
                              extra_groups=[], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    path = os.path.join(env["HOME"], "own.xml")
    with open(path, "w") as out:
        out.write(guest_xml.domain("own"))
    os.chmod(path, 0o644)
    assert virsh("uri") == "qemu:///session"
    virsh("define", path)
    virsh("start", "own")
    assert virsh("domstate", "own") == "running"
    assert virsh("list", "--name") == "own"
    pid = int(open(os.path.join(env["XDG_RUNTIME_DIR"], "libvirt", "qemu", "own.pid")).read())
    assert os.stat("/proc/%d" % pid).st_uid == NOBODY
    virsh("destroy", "own")
    virsh("undefine", "own")
    assert virsh("list", "--all", "--name") == ""
