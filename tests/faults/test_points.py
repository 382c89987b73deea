"""Every point of every scenario fails: once and for good; then the daemon is killed there, then QEMU is killed, stopped, cut off.

In CI: every point of the cheap scenarios once, and a sample of the rest.  All of it with BERTH_SOAK=1 (`make soak`).  BERTH_FAULT_POINT
names (a part of) the only point to try."""

import os
import re

import pytest

import scenarios
from driver import Driver
from waiting import Wrong

SOAK = bool(os.environ.get("BERTH_SOAK"))
ONLY = os.environ.get("BERTH_FAULT_POINT", "")
MANY_WRONG = 12
TOTAL = os.environ.get("BERTH_FAULT_TOTAL")  # a file that gets one line a walk


def sample(runs, most):
    """All in a soak, else at most `most` of them, spread evenly."""
    if SOAK or len(runs) <= most:
        return runs
    return [runs[i * len(runs) // most] for i in range(most)]


def walk(server, scenario, action, persistent=False, most=0, max_nth=8 if SOAK else 3, only="", points=None):
    """Tries each point; what is wrong is told at the end, each by what runs just that."""
    driver = Driver(server)
    points = points or driver.learn(scenario)
    calm = driver.calm(scenario)
    started = server.process.pid
    runs = [(point, nth) for point, count in points.items() if re.match(only, point) and ONLY in point
            for nth in range(1, min(count, 1 if persistent else max_nth) + 1)]
    runs = sample(runs, most or len(runs))
    wrong = []
    for point, nth in runs:
        try:
            driver.one(scenario, point, nth, persistent, action)
        except Wrong as e:
            wrong.append("%s (%d) of %s, %s%s: %s" % (point, nth, type(scenario).__name__, action, " for good" if persistent else "", e))
            if len(wrong) == MANY_WRONG:
                break
            driver.faults.off()
            driver.drop()
            if driver.alive():
                server.stop(9)
            for pid, _ in driver.box.qemus():
                os.kill(pid, 9)
            server.start()
    line = "%s, %s%s: %d points, %d runs, fired in %d" % (type(scenario).__name__, action, " for good" if persistent else "", len(points),
                                                          len(runs), sum(driver.ran.values()))
    print(line)
    if TOTAL:
        with open(TOTAL, "a") as total:
            total.write(line + "\n")
    if server.process.pid == started:
        driver.no_leak(scenario, calm)
    driver.drop()
    assert not wrong, "\n\n".join(wrong)


cheap = pytest.mark.parametrize("cls", scenarios.CHEAP, ids=lambda c: c.__name__)
with_qemu = pytest.mark.parametrize("cls", scenarios.WITH_QEMU if SOAK else scenarios.SHORT, ids=lambda c: c.__name__)


# Each allocation whose size comes from outside (a client, a file, QEMU): packets, arguments, answers, documents, lines.
ALLOCATIONS = r"at:|xdr_|json_loadb|xmlCtxtReadMemory"
fed = pytest.mark.parametrize("cls", scenarios.FED, ids=lambda c: c.__name__)


@fed
def test_no_memory(shared, cls):
    walk(shared, cls(), "errno", only=ALLOCATIONS, most=8, max_nth=1000 if SOAK else 6)


@fed
def test_no_memory_for_good(shared, cls):
    walk(shared, cls(), "errno", persistent=True, only=ALLOCATIONS, most=2)


@cheap
def test_fails_once(shared, cls):
    walk(shared, cls(), "errno", most=12)


@cheap
def test_fails_for_good(shared, cls):
    walk(shared, cls(), "errno", persistent=True, most=1)


@cheap
def test_daemon_killed(shared, cls):
    walk(shared, cls(), "kill-daemon", most=1, max_nth=1)


@with_qemu
def test_qemu_fails_once(shared, cls):
    walk(shared, cls(), "errno", most=3)


@with_qemu
def test_qemu_fails_for_good(shared, cls):
    walk(shared, cls(), "errno", persistent=True, most=1)


@with_qemu
def test_qemu_daemon_killed(shared, cls):
    walk(shared, cls(), "kill-daemon", most=1)


@with_qemu
def test_qemu_killed(shared, cls):
    walk(shared, cls(), "kill-qemu", most=1)


@with_qemu
def test_qmp_stopped(shared, cls):
    walk(shared, cls(), "stop-qemu", most=1, only="qmp:")


@with_qemu
def test_qmp_closed(shared, cls):
    walk(shared, cls(), "close", most=1, only="qmp:")
