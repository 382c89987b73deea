"""Fixtures of the integration tests.

Each test that takes `server` runs against the daemon built here (`berthd`, found by the environment's BERTHD) and, with
--peer or BERTH_TEST_SERVERS=peer,berthd, against the stock libvirtd as well: what passes on both is parity.
"""

import collections
import os
import shutil
import sys
import tempfile

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))

from lib import events, guest as guest_image, server as servers, xml as guest_xml  # noqa: E402
from lib.collector import pytest_runtest_call  # noqa: E402,F401

Guest = collections.namedtuple("Guest", "kernel initrd")


def pytest_addoption(parser):
    parser.addoption("--servers", default=os.environ.get("BERTH_TEST_SERVERS", "berthd"),
                     help="comma-separated: berthd, peer")


def pytest_generate_tests(metafunc):
    if "server_kind" in metafunc.fixturenames:
        kinds = metafunc.config.getoption("--servers").split(",")
        metafunc.parametrize("server_kind", kinds, scope="session")


def _require(kind):
    if os.geteuid() != 0:
        pytest.fail("namespaces of our own need root")
    if kind == "peer" and not servers.peer_available():
        pytest.fail("no stock libvirtd here: build-aux/install-deps.sh installs it")
    if kind == "berthd" and not servers.Berthd.binary():
        pytest.fail("BERTHD names no binary")


@pytest.fixture(scope="session")
def guest():
    """Kernel and initramfs of a real guest, built once."""
    directory = tempfile.mkdtemp(prefix="berth-guest-", dir=os.environ.get("BERTH_TEST_DIR", "/tmp"))
    os.chmod(directory, 0o755)
    initrd = os.path.join(directory, "initramfs.gz")
    guest_image.build_initramfs(initrd)
    kernel = os.path.join(directory, "vmlinuz")
    shutil.copyfile(guest_image.kernel_path(), kernel)
    os.chmod(kernel, 0o644)
    yield Guest(kernel, initrd)
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def shared_server(server_kind):
    """One daemon for all tests that leave nothing behind."""
    _require(server_kind)
    instance = servers.new(server_kind).open()
    yield instance
    instance.close()


def _clean(instance):
    """Removes all domains, whatever their state."""
    for line in instance.sh("list", "--all", "--name").split():
        instance.virsh("destroy", line)
        instance.virsh("undefine", line, "--managed-save", "--snapshots-metadata", "--checkpoints-metadata", "--nvram")


@pytest.fixture
def server(shared_server, request):
    """The shared daemon, without any domain before and after the test."""
    if shared_server.process.poll() is not None:
        shared_server.start()
    _clean(shared_server)
    failed = request.session.testsfailed
    yield shared_server
    if shared_server.process.poll() is not None:
        text = shared_server.tail()
        shared_server.start()
        pytest.fail("the daemon ended during the test:\n" + text)
    if request.session.testsfailed > failed:
        print(shared_server.tail())
    _clean(shared_server)


@pytest.fixture
def own_server(server_kind):
    """A daemon of the test's own: it may stop it, kill it, change its configuration.  Yields a function that makes one."""
    _require(server_kind)
    made = []

    def make(**kw):
        instance = servers.new(server_kind, **kw)
        made.append(instance)
        return instance.open()

    yield make
    for instance in made:
        instance.close()


@pytest.fixture
def conn(server):
    """A read-write connection of the bindings with the event loop running."""
    connection = server.connect()
    yield connection
    try:
        connection.close()
    except Exception:  # a test may have closed it
        pass


@pytest.fixture
def recorder(conn):
    """Lifecycle events of the connection."""
    instance = events.Recorder(conn)
    yield instance
    instance.close()


@pytest.fixture
def domain_xml(guest):
    """guest_xml.domain() with the real guest filled in; real=False leaves the operating system out."""
    def make(name="tour", real=True, **kw):
        return guest_xml.domain(name, guest=guest if real else None, **kw)
    return make
