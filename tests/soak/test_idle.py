"""Ten thousand clients that want nothing: what each costs, and that the others are served as before.

BERTH_SOAK_CONNECTIONS says how many; the descriptors of this process are raised for them.
"""

import resource
import struct

import pytest

import soaking
from lib import rawrpc

CONNECTIONS = soaking.number("BERTH_SOAK_CONNECTIONS", 10000)
LIST, REGISTER, DEFINE, UNDEFINE = 273, 316, 11, 35
CONF = "max_clients = 20000\nmax_queued_clients = 20000\nmax_anonymous_clients = 20000\n"


@pytest.fixture
def server():
    needed = CONNECTIONS + 1000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, needed), max(hard, needed)))
    daemon = soaking.Daemon(heap=True, libvirtd_conf=CONF)
    try:
        daemon.open()
        resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE, (needed, max(hard, needed)))
        yield daemon
    finally:
        daemon.close()


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
    after = server.settled(before.fds, before.threads)
    assert after.fds == before.fds and after.threads <= before.threads
    assert after.heap - before.heap < 32 * 1024
    assert server.stop() == 0
