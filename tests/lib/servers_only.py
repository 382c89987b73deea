"""A fixture for tests of what only berthd has."""

import os

import pytest

from . import server as servers


@pytest.fixture
def berthd():
    """The class Berthd; skips without root, fails without a binary."""
    if os.geteuid() != 0:
        pytest.fail("namespaces of our own need root")
    if not servers.Berthd.binary():
        pytest.skip("BERTHD names no binary") if os.environ.get("BERTH_TEST_SERVERS") == "peer" else pytest.fail("BERTHD names no binary")
    return servers.Berthd
