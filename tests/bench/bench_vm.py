#!/usr/bin/python3
"""Start, destroy, fifty at once, statistics of a hundred, kill -9 with fifty running, growth; real QEMUs (see vms.py).

The limit of a start is the same command line by hand until `cont` is answered; of a destroy SIGTERM until the process is reaped; of fresh
statistics the same QMP commands to as many QEMUs at once; of a restart a new connection to as many monitors, greeting and query-status.
"""

import os
import signal
import struct
import time

import vms
from lib import bench, rawrpc, server as servers

ONE_ROUNDS = 15
MANY, MANY_ROUNDS = 50, 3
CROWD = 100
STATS_ROUNDS = 15
GROWTH_BLOCK, GROWTH_BLOCKS = 15, 16


def timed(what, *args):
    began = time.monotonic()
    what(*args)
    return time.monotonic() - began


def measure_one(host, bare, peer):
    """Start and destroy of one machine, turn by turn."""
    ours, theirs, limit = [], [], []
    for _ in range(ONE_ROUNDS):
        if bare:
            limit.append(bare.tell("one", "0"))
        for who, into in ((host, ours), (peer, theirs)):
            if who and len(into) < (ONE_ROUNDS if who is host else 5):
                client = who.pool(1)[0]
                start = timed(who.start, client, 0)
                into.append((start, timed(who.destroy, client, 0)))
    columns = []
    for place in (0, 1):
        columns.append([bench.median(item[place] for item in rows) * 1000 if rows else None for rows in (limit, ours, theirs)])
    (limit_s, ours_s, peer_s), (limit_d, ours_d, peer_d) = columns
    bench.emit("start to running", ours_s, "ms", "≤ 1.5 × limit", limit=limit_s, peer=peer_s, factor=1.5,
               note="median of %d; limit: the same argv by hand to the answer of cont" % ONE_ROUNDS)
    bench.emit("destroy", ours_d, "ms", "≤ 2 × limit", limit=limit_d, peer=peer_d, factor=2, note="limit: SIGTERM until reaped")


def measure_many(host, bare, peer):
    numbers = list(range(MANY))
    ours, limit, theirs = [], [], []
    for turn in range(MANY_ROUNDS):
        limit.append(bare.tell("all"))
        bare.tell("kill")
        ours.append(host.start_all(numbers))
        host.destroy_all(numbers)
        if peer and turn == 0:
            theirs.append(peer.start_all(numbers))
            peer.destroy_all(numbers)
    bench.emit("50 starts at once", min(ours), "s", "≤ 1.3 × limit", limit=min(limit), peer=min(theirs) if theirs else None, factor=1.3,
               note="best of %d; limit: 50 processes by hand at once" % MANY_ROUNDS)


def measure_statistics(host, bare, peer):
    client = host.pool(1)[0]
    host.all_stats(client)
    known, fresh, limit, theirs = [], [], [], []
    for turn in range(STATS_ROUNDS):
        limit.append(bare.tell("ask", os.path.join(bare.directory, "statistics")))
        fresh.append(host.all_stats(client)[0])
        time.sleep(0.1)  # a sample it has asked for itself does not count: NOWAIT asks too
        known.append(host.all_stats(client, vms.NOWAIT)[0])
        time.sleep(0.5)
        if peer and turn < 3:
            theirs.append(peer.all_stats(peer.pool(1)[0])[0])
    peer_ms = bench.median(theirs) * 1000 if theirs else None
    bench.emit("statistics of 100 running guests, from what is known", bench.median(known) * 1000, "ms", "≤ 5 ms", peer=peer_ms, at_most=5,
               note="VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT, all groups")
    bench.emit("statistics of 100 running guests, fresh", bench.median(fresh) * 1000, "ms", "≤ 1.2 × limit",
               limit=bench.median(limit) * 1000, peer=peer_ms, factor=1.2, note="limit: the same commands to 100 QEMUs by hand")


def measure_crowd(host, bare, peer):
    """A hundred running: threads, statistics."""
    numbers = list(range(CROWD))
    for first in range(0, CROWD, 50):
        host.start_all(numbers[first:first + 50])
        if peer:
            peer.start_all(numbers[first:first + 50])
    bare.tell("all")
    measure_statistics(host, bare, peer)
    bench.emit("threads with 100 running guests", bench.threads(host.pid), "", "≤ 12", at_most=12,
               peer=bench.threads(peer.pid) if peer else None, note="right after statistics of all; idle workers still there")
    bare.tell("kill")
    for first in range(0, CROWD, 50):
        host.destroy_all(numbers[first:first + 50])
        if peer:
            peer.destroy_all(numbers[first:first + 50])


def until_visible(host, count):
    """Seconds from the order to execute the daemon until a list has all of them running."""
    host.hang_up()
    host.server.process.send_signal(signal.SIGKILL)
    host.server.process.wait(10)
    began = time.monotonic()
    host.server.start()
    client = host.client()
    while host.running(client) < count:
        pass
    visible = time.monotonic() - began
    host.at_once(vms.STATE, list(range(count)), struct.pack(">I", 0))
    return visible


def measure_restart(host, bare, peer):
    numbers = list(range(MANY))
    host.start_all(numbers)
    if peer:
        peer.start_all(numbers)
    bare.tell("all")
    ours, limit, theirs = [], [], []
    for turn in range(5):
        limit.append(bare.tell("again"))
        ours.append(until_visible(host, MANY))
        # the next kill shall meet machines that were reached, not a daemon that is still at it
        for number in numbers:
            client = host.pool(1)[0]
            reply = client.call(1, host.wire(number) + rawrpc.string('{"execute":"query-status"}') + struct.pack(">I", 0),
                                prog=rawrpc.QEMU)
            assert reply.status == rawrpc.OK, reply.error()
        if peer and turn < 2:
            theirs.append(until_visible(peer, MANY))
    bare.tell("kill")
    bench.emit("kill -9 with 50 running: all visible as running", bench.median(ours) * 1000, "ms", "≤ 60 ms", limit=bench.median(limit) * 1000,
               peer=bench.median(theirs) * 1000 if theirs else None, at_most=60,
               note="from the order to execute it to a list of 50; limit: reaching 50 monitors by hand")
    host.destroy_all(numbers)
    if peer:
        peer.destroy_all(numbers)


def growth(who, blocks):
    """KiB a cycle over the first three blocks of cycles in a row without any, else over the last three."""
    client = who.pool(1)[0]
    sizes = [bench.memory_kib(who.pid, "Pss_Anon")]
    while len(sizes) <= blocks and (len(sizes) < 4 or sizes[-1] > sizes[-4]):
        for _ in range(GROWTH_BLOCK):
            who.start(client, 0)
            who.destroy(client, 0)
        sizes.append(bench.memory_kib(who.pid, "Pss_Anon"))
    return max(0, sizes[-1] - sizes[-4]) / (3 * GROWTH_BLOCK), (len(sizes) - 1) * GROWTH_BLOCK


def measure_growth(host, peer):
    ours, cycles = growth(host, GROWTH_BLOCKS)
    theirs = growth(peer, 3)[0] if peer else None
    bench.emit("growth of a start + destroy", round(ours, 2), "KiB", "0", peer=theirs, at_most=0,
               note="anonymous memory over the last %d of %d cycles" % (3 * GROWTH_BLOCK, cycles))


def main():
    options = bench.arguments(__doc__)
    want = [part for part in ("one", "many", "crowd", "restart", "growth") if options.rows in part]
    with vms.Host("berthd", CROWD) as host:
        peer = vms.Host("peer", CROWD).__enter__() if options.peer and servers.peer_available() else None
        directory = host.server.box.path("bare")
        os.mkdir(directory)
        vms.commands_of_statistics(os.path.join(directory, "statistics"))
        bares = []
        try:
            for first in range(0, CROWD, 50):
                host.start_all(range(first, first + 50))
            host.note_argv(directory, range(CROWD))
            for first in range(0, CROWD, 50):
                host.destroy_all(range(first, first + 50))

            def bare(count):
                bares.append(vms.Bare(host, directory, count))
                return bares[-1]
            if "one" in want:
                bench.attempt(measure_one, host, bare(1), peer)
            if "many" in want:
                bench.attempt(measure_many, host, bare(MANY), peer)
            if "restart" in want:
                bench.attempt(measure_restart, host, bare(MANY), peer)
            if "growth" in want:
                bench.attempt(measure_growth, host, peer)
            if "crowd" in want:
                bench.attempt(measure_crowd, host, bare(CROWD), peer)
        finally:
            for one in bares:
                one.close()
            if peer:
                peer.__exit__()
    bench.finish()


if __name__ == "__main__":
    main()
