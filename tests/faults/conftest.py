"""Fixtures of the fault tests: a daemon of our own in a sandbox, with its control file.  They need a build with --enable-faults."""

import os
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))

from lib import faults as fault_control, server as servers  # noqa: E402
from lib.collector import pytest_runtest_call  # noqa: E402,F401
from lib.servers_only import berthd  # noqa: E402,F401


class FaultyServer(servers.Berthd):
    """A berthd that listens to a control file, which outlives its restarts."""

    def open(self):
        self.box.start()
        self.faults = fault_control.Faults(self.box.path("faults"))
        self.write_config()
        self.start()
        return self

    def environment(self):
        env = super().environment()
        env["BERTH_FAULTS"] = self.faults.path
        return env

    def close(self):
        self.faults.off()
        super().close()


@pytest.fixture(scope="module")
def shared(request):
    """One daemon for a file's tests: what a fault leaves behind is to be seen."""
    if os.geteuid() != 0:
        pytest.fail("namespaces of our own need root")
    if not servers.Berthd.binary():
        pytest.fail("BERTHD names no binary")
    server = FaultyServer().open()
    server.faults.record()
    server.sh("list")
    if not server.faults.recorded():
        server.close()
        pytest.skip("this berthd was built without --enable-faults")
    yield server
    server.close()


@pytest.fixture
def own():
    """Makes daemons of the test's own."""
    if os.geteuid() != 0:
        pytest.fail("namespaces of our own need root")
    if not servers.Berthd.binary():
        pytest.fail("BERTHD names no binary")
    made = []

    def make():
        server = FaultyServer().open()
        made.append(server)
        return server

    yield make
    for server in made:
        server.close()
