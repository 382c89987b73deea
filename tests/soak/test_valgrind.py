"""The crowd under memcheck: no invalid access, no undefined value that matters, no memory lost, no descriptor open at the end.

Needs a build without sanitizers.  Debian 12's valgrind knows no pidfd_open, so nothing can be started under it: QEMU's capabilities are found
by the daemon run without it before, and a start fails; what guests do is left to the other sanitizers.  Valgrind runs one thread at a time and is thirty times slower: the preset is small, `make soak` takes hours over its million.
"""

import os
import re

import pytest

import soaking

CALLS = soaking.number("BERTH_SOAK_VALGRIND_CALLS", 5000)
CLIENTS = soaking.number("BERTH_SOAK_VALGRIND_CLIENTS", 16)
SEED = soaking.number("BERTH_SOAK_SEED", 1)
POWER = soaking.number("BERTH_SOAK_POWER", 4)


MEMCHECK = ["valgrind", "--leak-check=full", "--errors-for-leak-kinds=definite", "--show-leak-kinds=definite", "--track-fds=yes",
            "--error-exitcode=99", "--num-callers=30", "--child-silent-after-fork=yes", "--fair-sched=yes",
            "--log-file=/var/log/libvirt/valgrind.log"]


@pytest.fixture
def server():
    daemon = soaking.Daemon(env={"G_SLICE": "always-malloc"})
    daemon.box.start()
    # Whether KVM works is tried by a child with two seconds, too few under valgrind; capabilities found by another verdict are not used.
    if os.path.exists("/dev/kvm"):
        assert daemon.box.run(["mount", "--bind", "/dev/null", "/dev/kvm"]).returncode == 0
    daemon.write_config()
    daemon.start()
    try:
        yield daemon
    finally:
        daemon.close()


def test_memcheck(server):
    server.add_guests(2)
    server.stop()
    server.wrapper = MEMCHECK
    server.start()
    server.load(CALLS, CLIENTS, seed=SEED, power=POWER)
    server.put_back()
    status = server.stop(timeout=300)
    with open(server.box.path("log", "valgrind.log")) as log:
        text = log.read()
    print(re.search(r"ERROR SUMMARY.*", text).group(0), re.search(r"in use at exit:.*", text).group(0))
    assert status == 0, text[-10000:]
    assert "definitely lost: 0 bytes" in text or "All heap blocks were freed" in text, text[-10000:]
    left = re.findall(r"Open (?:file descriptor|AF_\S+ socket) \d+:(.*)\n\S*\s*(.*)", text)
    assert all("inherited" in origin or "daemon.log" in what for what, origin in left), left
