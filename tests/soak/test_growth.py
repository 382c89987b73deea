"""What the daemon has in use when all have gone is the same after the hundredth storm as after the second.

Needs a build without sanitizers: the heap is asked by tests/soak/heap.c (BERTH_HEAP).  The first two quarters warm up: caches fill, tables
take their size.  "No growth" is less than SLACK bytes between the end of the second and that of the last; a table that doubles or a worker's
arena is less than that, a leak of one byte a call is more.
"""

import gc

import pytest

import soaking
from lib import rawrpc

CALLS = soaking.number("BERTH_SOAK_GROWTH_CALLS", 100000)
CLIENTS = soaking.number("BERTH_SOAK_CLIENTS", 64)
SEED = soaking.number("BERTH_SOAK_SEED", 1)
POWER = soaking.number("BERTH_SOAK_POWER", 4)
SLACK = 32 * 1024


@pytest.fixture
def server():
    daemon = soaking.Daemon(heap=True)
    try:
        yield daemon.open()
    finally:
        daemon.close()


def rounds(server, work, count=6, per=1):
    """work(i) `count` times; what is left after each."""
    left = None
    all_left = []
    for i in range(count):
        work(i)
        gc.collect()
        left = server.settled(left.fds if left else None, left.threads if left else 0, 30 if left else 8)
        print("round %d: heap %d, rss %d KiB, %d descriptors, %d threads" % (i, left.heap, left.rss, len(left.fds), left.threads), flush=True)
        all_left.append(left)
    first, last = all_left[1], all_left[-1]
    print("%+d bytes of heap in %d rounds, %.3f a unit" % (last.heap - first.heap, count - 2, (last.heap - first.heap) / (count - 2) / per))
    assert last.fds == first.fds
    assert last.threads <= first.threads
    assert last.cgroups == first.cgroups
    assert last.files == first.files
    assert last.heap - first.heap < SLACK
    return all_left


def test_crowd(server):
    """Six equal parts, the first of which is not counted."""
    server.add_guests(4)

    def work(i):
        server.load(CALLS // 5, CLIENTS, seed=SEED + i, power=POWER)
        server.put_back()

    rounds(server, work, per=CALLS // 5)


def test_connections(server):
    def work(_):
        for _ in range(1000):
            with rawrpc.Client(server.socket) as client:
                client.open()

    rounds(server, work, per=1000)


def test_starts(server):
    server.add_guests(1)

    def work(_):
        for _ in range(10):
            server.sh("start", "guest-0")
            server.sh("destroy", "guest-0")

    rounds(server, work, per=10)


def test_reads(server):
    """The same calls over and over, of one client."""
    server.add_guests(1)
    server.sh("start", "guest-0")
    name = server.guests[0].split("=")[0]

    def work(_):
        conn = server.connect()
        domain = conn.lookupByName(name)
        for _ in range(500):
            domain.info()
            domain.XMLDesc()
            domain.state()
            domain.memoryStats()
            conn.getAllDomainStats()
            conn.listAllDomains()
        conn.close()

    rounds(server, work, per=3000)
    server.sh("destroy", name)
