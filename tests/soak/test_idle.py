"""Ten thousand clients that want nothing: what each costs, and that the others are served as before.

BERTH_SOAK_CONNECTIONS says how many; the descriptors of this process are raised for them.
"""

import contextlib
import os
import resource
import shutil
import struct
import subprocess

import pytest

import soaking
from lib import pki as pkis, rawrpc

CONNECTIONS = soaking.number("BERTH_SOAK_CONNECTIONS", 10000)
LIST, REGISTER, DEFINE, UNDEFINE = 273, 316, 11, 35
CONF = "max_clients = 20000\nmax_queued_clients = 20000\nmax_anonymous_clients = 20000\n"


@contextlib.contextmanager
def started(conf):
    needed = CONNECTIONS + 1000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, needed), max(hard, needed)))
    daemon = soaking.Daemon(heap=True, libvirtd_conf=conf)
    try:
        daemon.open()
        resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE, (needed, max(hard, needed)))
        yield daemon
    finally:
        daemon.close()


@pytest.fixture
def server():
    with started(CONF) as daemon:
        yield daemon


@pytest.fixture
def authority(tmp_path):
    for directory in (tmp_path, tmp_path.parent):
        os.chmod(directory, 0o755)
    yield pkis.Pki(str(tmp_path / "pki"))
    shutil.rmtree(tmp_path / "pki", ignore_errors=True)


def crowd(server, events):
    clients = []
    for _ in range(CONNECTIONS):
        client = rawrpc.Client(server.socket, timeout=60)
        client.open()
        if events:
            assert client.call(REGISTER, struct.pack(">iI", 0, 0)).status == rawrpc.OK
        clients.append(client)
    return clients


@pytest.mark.parametrize("events", [False, True], ids=["silent", "listening"])
def test_idle_connections(server, events):
    for client in crowd(server, events):  # warms up: tables take their size, QEMU's capabilities are known
        client.close()
    server.add_guests(1)
    server.sh("undefine", "guest-0")
    before = server.settled(seconds=10)
    clients = crowd(server, events)
    during = server.left()
    assert len(during.fds) == len(before.fds) + CONNECTIONS
    print("%d clients: %.0f bytes of heap and %.2f KiB resident each, %d threads" % (
        CONNECTIONS, (during.heap - before.heap) / CONNECTIONS, (during.rss - before.rss) / CONNECTIONS, during.threads), flush=True)
    server.add_guests(1)
    assert "guest-0" in server.sh("list", "--all")
    if events:  # both events of the definition reach each of them
        for client in clients:
            assert client.receive().type == rawrpc.MESSAGE
    for client in clients[::100]:
        client.send(LIST, struct.pack(">iI", 1, 0))
    for client in clients[::100]:
        while client.receive().type != rawrpc.REPLY:
            pass
    server.sh("undefine", "guest-0")
    for client in clients:
        client.close()
    after = server.settled(before.fds, before.threads, heap=before.heap + 32 * 1024)
    assert after.fds == before.fds and after.threads <= before.threads
    assert after.heap - before.heap < 32 * 1024
    assert server.stop() == 0


@contextlib.contextmanager
def held(server, certificates, count):
    """So many clients of tls_load that have come in over TLS and opened the connection."""
    program = os.path.join(os.path.dirname(os.path.abspath(os.environ["BERTHD"])), "tests", "bench", "tls_load")
    with subprocess.Popen(server.box.argv([program, "hold", "tls", "16514", certificates, str(count)]), stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as crowd:
        assert crowd.stdout.readline() == "ready\n"
        yield
        crowd.stdin.close()


def test_idle_tls_connections(authority):
    """The same over TLS; and nothing of ten thousand sessions is left when they have gone."""
    alice = authority.client("alice")
    with started(CONF + authority.conf()) as server:
        with held(server, alice, CONNECTIONS // 10):  # warms up
            pass
        before = server.settled(seconds=10)
        with held(server, alice, CONNECTIONS):
            during = server.left()
            assert len(during.fds) == len(before.fds) + CONNECTIONS
            print("%d clients: %.0f bytes of heap and %.2f KiB resident each, %d threads" % (
                CONNECTIONS, (during.heap - before.heap) / CONNECTIONS, (during.rss - before.rss) / CONNECTIONS, during.threads), flush=True)
            with authority.connect(server.box, alice).open() as client:
                assert client.call(LIST, struct.pack(">iI", 1, 0)).status == rawrpc.OK
            assert "Id" in server.sh("list", "--all")
        after = server.settled(before.fds, before.threads, heap=before.heap + 64 * 1024)
        assert after.fds == before.fds and after.threads <= before.threads
        assert after.heap - before.heap < 64 * 1024
        assert server.stop() == 0
