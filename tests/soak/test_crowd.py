"""A crowd of clients of all manners, guests started, stopped and killed meanwhile.

Run with BERTHD built with --enable-tsan, --enable-asan, or neither; counts by the environment (build-aux/soak.sh has the long ones):
BERTH_SOAK_CALLS, BERTH_SOAK_CLIENTS, BERTH_SOAK_GUESTS, BERTH_SOAK_SEED.
"""

import pytest

import soaking

CALLS = soaking.number("BERTH_SOAK_CALLS", 20000)
CLIENTS = soaking.number("BERTH_SOAK_CLIENTS", 64)
GUESTS = soaking.number("BERTH_SOAK_GUESTS", 4)
SEED = soaking.number("BERTH_SOAK_SEED", 1)
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
    """Whatever they do, the daemon lives, answers, and is as it was when they have gone."""
    server = daemon()
    server.add_guests(GUESTS)
    names = [guest.split("=")[0] for guest in server.guests]
    server.load(CALLS // 10, CLIENTS, seed=SEED + 1000, power=POWER)
    server.stop_guests()
    server.undefine_all(but=names)
    before = server.settled(seconds=10)
    killer = server.killer(SEED)
    try:
        counts = server.load(CALLS, CLIENTS, seed=SEED, power=POWER)
    finally:
        killer.end()
    print("killed %d, stopped %d" % (killer.kills, killer.stops))
    assert counts["ok"] > CALLS // 10 and counts["events"] > 0, counts
    server.stop_guests()
    server.undefine_all(but=names)
    after = server.settled(before.fds, before.threads)
    assert after.fds == before.fds
    assert after.threads <= before.threads
    assert after.cgroups == before.cgroups
    assert server.stop() == 0
    server.clean_log()
