"""Every point of every scenario fails: once and for good; then the daemon is killed there, then QEMU.

In CI the cheap scenarios and a sample of the others; all of it with BERTH_SOAK=1 (`make soak`)."""

import os

import pytest

import scenarios
from driver import Driver, Wrong

SOAK = bool(os.environ.get("BERTH_SOAK"))
ONLY = os.environ.get("BERTH_FAULT_POINT")


def walk(driver, scenario, actions, step=1, max_nth=3):
    """Each point with each action; all that is wrong is told at the end, with how to run just that."""
    points = driver.learn(scenario)
    todo = []
    for point, count in points.items():
        for action in actions:
            for nth in range(1, min(count, max_nth) + 1):
                todo.append((point, nth, action))
    wrong = []
    for i, (point, nth, action) in enumerate(todo):
        if ONLY and ONLY not in point:
            continue
        if i % step:
            continue
        kind, persistent = action
        try:
            driver.one(scenario, point, nth, persistent, kind)
        except Wrong as e:
            wrong.append("%s of %s, %s%s: %s" % (point, type(scenario).__name__, kind, " for good" if persistent else " at %d" % nth, e))
            driver.drop()
            if driver.alive():
                driver.server.stop(9)
            for pid, _ in driver.box.qemus():
                os.kill(pid, 9)
            driver.server.start()
        if len(wrong) > 15:
            break
    print("%s: %d points, %d runs, %s" % (type(scenario).__name__, len(points), len(todo), dict(driver.ran)))
    assert not wrong, "\n\n".join(wrong)


@pytest.mark.parametrize("cls", scenarios.CHEAP, ids=lambda c: c.__name__)
def test_fails_once(shared, cls):
    walk(Driver(shared), cls(), [("errno", False)])


@pytest.mark.parametrize("cls", scenarios.CHEAP, ids=lambda c: c.__name__)
def test_fails_for_good(shared, cls):
    walk(Driver(shared), cls(), [("errno", True)], max_nth=1)


@pytest.mark.parametrize("cls", scenarios.CHEAP, ids=lambda c: c.__name__)
def test_daemon_killed(shared, cls):
    walk(Driver(shared), cls(), [("kill-daemon", False)], step=1 if SOAK else 5)


@pytest.mark.parametrize("cls", scenarios.WITH_QEMU, ids=lambda c: c.__name__)
def test_qemu_fails_once(shared, cls):
    walk(Driver(shared), cls(), [("errno", False)], step=1 if SOAK else 15)
