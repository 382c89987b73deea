"""The long form of tests/integration/test_kills.py: BERTH_SOAK_KILLS kills (1,000)."""

import pytest

import soaking
from lib import kills


@pytest.fixture
def daemon():
    made = soaking.Daemon()
    yield made.open()
    made.close()


def test_kills(daemon):
    count = soaking.number("BERTH_SOAK_KILLS", 1000)
    done = kills.crash(daemon, count)
    print("%d calls acknowledged between %d kills" % (done, count))
    assert done > 0
