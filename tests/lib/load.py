"""Runs tests/bench/load.c: its loads against a daemon, and its least servers as the limit."""

import json
import os
import subprocess
import tempfile

from . import bench, rawrpc

OPEN, CLOSE, AUTH_LIST = 1, 2, 66
REGISTER_ANY = 316


def program():
    path = os.environ.get("BERTH_LOAD") or os.path.join(bench.build_dir(), "tests", "bench", "load")
    if not os.access(path, os.X_OK):
        raise RuntimeError("no load generator at %s: make tests/bench/load" % path)
    return path


def run(mode, socket, *args):
    """One load; the object it printed (times in µs)."""
    done = subprocess.run([program(), mode, socket] + [str(a) for a in args], stdout=subprocess.PIPE, check=True, timeout=180)
    found = json.loads(done.stdout)
    for name in ("p50", "p99", "min", "cpu"):
        if name in found:
            found[name] /= 1000
    return found


def go_ahead(pid=None):
    """Before everything else on the machine where the kernel schedules sessions against each other: what is measured is the work, not who
    else had some.  Without a process: ours, and what we start."""
    try:
        if pid is None:
            os.setsid()
        with open("/proc/%s/autogroup" % (pid or "self"), "w") as autogroup:
            autogroup.write("-20")
    except OSError:
        pass


class Least:
    """The least server: `echo` for one client at a time, `serve` for many.  A context manager."""

    def __init__(self, mode):
        self.directory = tempfile.mkdtemp(prefix="berth-least-")
        self.socket = os.path.join(self.directory, "socket")
        self.process = subprocess.Popen([program(), mode, self.socket], stdout=subprocess.PIPE)
        self.process.stdout.readline()

    @property
    def pid(self):
        return self.process.pid

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        os.unlink(self.socket)
        os.rmdir(self.directory)


def best(*loads, rounds=5):
    """Runs the loads in turn, `rounds` times, and keeps of each value of each the least (of rates the greatest): what the work takes when
    nobody disturbs it."""
    kept = [{} for _ in loads]
    for _ in range(rounds):
        for load, least in zip(loads, kept):
            for name, value in load().items():
                least[name] = value if name not in least else max(least[name], value) if name == "rate" else min(least[name], value)
    return kept


def hexadecimal(*parts):
    return b"".join(parts).hex()


def domain_ref(name, uuid):
    return rawrpc.domain(name, uuid)
