"""A crowd of clients of all manners, guests started, stopped and killed, the daemon administered and its configuration read again meanwhile.

Run with BERTHD built with --enable-tsan, --enable-asan, or neither; counts by the environment (build-aux/soak.sh has the long ones):
BERTH_SOAK_CALLS, BERTH_SOAK_PARTS, BERTH_SOAK_CLIENTS, BERTH_SOAK_GUESTS, BERTH_SOAK_SEED, BERTH_SOAK_POWER.
"""

import collections

import pytest

import soaking

CALLS = soaking.number("BERTH_SOAK_CALLS", 20000)
CLIENTS = soaking.number("BERTH_SOAK_CLIENTS", 64)
GUESTS = soaking.number("BERTH_SOAK_GUESTS", 4)
SEED = soaking.number("BERTH_SOAK_SEED", 1)
QUARTERS = soaking.number("BERTH_SOAK_PARTS", 1)
POWER = soaking.number("BERTH_SOAK_POWER", 4)


@pytest.fixture
def daemon():
    made = []

    def make(**kw):
        instance = soaking.Daemon(**kw)
        made.append(instance)
        return instance.open()

    yield make
    for instance in made:
        instance.close()


def test_crowd(daemon):
    """Whatever they do, the daemon lives, answers, and is as it was when they have gone; so after each quarter."""
    server = daemon()
    server.add_guests(GUESTS)
    server.load(max(CALLS // 10, 1000), CLIENTS, seed=SEED + 1000, power=POWER)
    server.put_back()
    before = server.settled(seconds=10)
    for quarter in range(QUARTERS):
        server.start_guests()
        killer, admin = server.killer(SEED + quarter), server.administrator(SEED + quarter)
        try:
            counts = server.load(CALLS // QUARTERS, CLIENTS, seed=SEED + quarter, power=POWER)
        finally:
            killer.end()
            admin.end()
        assert admin.calls > admin.refused > 0, (admin.calls, admin.refused)
        assert counts["ok"] > CALLS // QUARTERS // 10 and counts["streams"] > 0 and counts["events"] > 0, counts
        server.put_back()
        after = server.settled(before.fds, before.threads)
        print("part %d: %d guests killed, %d stopped, %d calls of the administrator; rss %d KiB, %d descriptors, %d threads" % (
            quarter, killer.kills, killer.stops, admin.calls, after.rss, len(after.fds), after.threads), flush=True)
        gained = collections.Counter(after.fds) - collections.Counter(before.fds)
        assert not gained, gained
        assert after.threads <= before.threads
        assert after.cgroups == before.cgroups
        assert after.files == before.files
    assert server.stop(timeout=120) == 0
    server.clean_log()
