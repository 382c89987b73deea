#!/usr/bin/python3
"""What a guest that hangs costs the others: real QEMUs stopped by SIGSTOP, calls waiting on them, and the clock on everybody else's.

Healthy and hung windows take turns, and a window asks the other guests what clients ask: state, info, a list of all, a QMP query.
"""

import os
import select
import signal
import struct
import time

import vms
from lib import bench, rawrpc, server as servers

GUESTS, HUNG = 25, 20
WINDOW = 400
SETTLE = 40
ROUNDS = 8
DEADLINE_S = 3
QUERY = rawrpc.string('{"execute":"query-status"}') + struct.pack(">I", 0)


class Hang:
    """Guests stopped inside the with block, `calls` calls waiting for them, all answered or refused when it is left."""

    def __init__(self, host, numbers, calls):
        self.host, self.numbers, self.calls = host, numbers, calls
        self.pids = host.qemu_pids()

    def __enter__(self):
        for number in self.numbers:
            os.kill(self.pids[number], signal.SIGSTOP)
        self.clients = self.host.pool(1 + self.calls)[1:]
        for place, client in enumerate(self.clients):
            client.send(1, self.host.wire(self.numbers[place % len(self.numbers)]) + QUERY, prog=rawrpc.QEMU)
        return self

    def first_refused(self, timeout):
        """(seconds until any of the calls is refused, the words); timeout or (None, None)."""
        began = time.monotonic()
        poll = select.poll()
        for client in self.clients:
            poll.register(client.sock, select.POLLIN)
        ready = poll.poll(timeout * 1000)
        if not ready:
            return None, None
        took = time.monotonic() - began
        client = next(c for c in self.clients if c.sock.fileno() == ready[0][0])
        self.clients = [c for c in self.clients if c is not client]
        return took, client.receive().error()[2]

    def __exit__(self, *_):
        for number in self.numbers:
            try:
                os.kill(self.pids[number], signal.SIGCONT)
            except ProcessLookupError:
                pass
        for client in self.clients:
            client.receive()


def window(host, others, calls=WINDOW):
    """Seconds of each call to guests that are well."""
    client = host.pool(1)[0]
    took = []
    for turn in range(calls):
        number = others[turn // 4 % len(others)]
        proc, body, prog = ((vms.INFO, host.wire(number), rawrpc.REMOTE), (vms.STATE, host.wire(number) + struct.pack(">I", 0), rawrpc.REMOTE),
                            (vms.ALL_DOMAINS, struct.pack(">iI", 1, 0), rawrpc.REMOTE), (1, host.wire(number) + QUERY, rawrpc.QEMU))[turn % 4]
        began = time.monotonic()
        reply = client.call(proc, body, prog=prog)
        took.append(time.monotonic() - began)
        assert reply.status == rawrpc.OK, reply.error()
    return took


def measure_others(host, row, hung, calls, peer=None, note=""):
    others = [number for number in range(GUESTS) if number not in hung]
    well, ill = [], []
    for _ in range(ROUNDS):
        window(host, others, SETTLE)
        well.append(window(host, others))
        with Hang(host, hung, calls):
            window(host, others, SETTLE)  # that the waiting calls arrive is not what is measured
            ill.append(window(host, others))
    # What else the machine does comes on top of some windows; what the daemon does would be in each.
    best = [min(bench.percentile(took, 0.99) for took in windows) * 1000 for windows in (well, ill)]
    middle = [bench.median(sum(windows, [])) * 1000 for windows in (well, ill)]
    bench.emit(row, best[1], "ms", "≤ 1.2 × healthy", limit=best[0], peer=peer, factor=1.2,
               note="best of %d windows of %d calls (state, info, list, QMP in turn), limit: the same when all are well; p50 %.2f and %.2f ms%s"
               % (ROUNDS, WINDOW, middle[1], middle[0], note))


def measure_statistics(host, peer_ms):
    client = host.pool(1)[0]
    host.all_stats(client)
    known, fresh, well, aged = [], [], [], True
    for _ in range(ROUNDS):
        well.append(host.all_stats(client)[0])
        with Hang(host, [0], 0):
            fresh.append(host.all_stats(client)[0])
            took, reply = host.all_stats(client, vms.NOWAIT)
            known.append(took)
            aged = aged and b"berth.stats.age" in reply.body
        window(host, [0], 8)  # it has answered again
    bench.emit("statistics of all, one guest hung", bench.median(known) * 1000 if aged else None, "ms", "≤ 10 ms", peer=peer_ms, at_most=10,
               note="of %d running: last known values with their age (NOWAIT)" % GUESTS)
    bench.emit("statistics of all, one guest hung, the others' fresh", bench.median(fresh) * 1000, "ms", "≤ healthy + 20 ms",
               limit=bench.median(well) * 1000, at_most=bench.median(well) * 1000 + 20,
               note="of %d running, without NOWAIT, first call after the guest hung; limit: all well" % GUESTS)


def measure_refusal(host, peer_s):
    with Hang(host, [0], 2) as hang:
        took, words = hang.first_refused(4 * DEADLINE_S)
    named = bool(words) and "held by" in words
    bench.emit("second call on the hung guest refused", took, "s", "within its deadline, naming the holder", limit=DEADLINE_S, peer=peer_s,
               factor=1.05 if named else 0, note='job_timeout = %d; "%s"' % (DEADLINE_S, words))


def measure_destroy(host, peer_ms):
    client = host.pool(1)[0]
    took = []
    for _ in range(ROUNDS):
        with Hang(host, [0], 5):
            began = time.monotonic()
            host.destroy(client, 0)
            took.append(time.monotonic() - began)
        host.start(client, 0)
    bench.emit("destroy a hung guest", bench.median(took) * 1000, "ms", "≤ 50 ms", peer=peer_ms, at_most=50, note="5 calls waiting on it")


def measure_peer():
    """What takes the peer half a minute is measured once: (a call to another guest, second call refused, destroy) or Nones."""
    with vms.Host("peer", 3) as peer:
        peer.start_all(range(3))
        with Hang(peer, [0], 20) as hang:
            client = peer.pool(1)[0]
            began = time.monotonic()
            client.call(1, peer.wire(1) + QUERY, prog=rawrpc.QEMU)  # an ordinary call to a guest that is well
            other = time.monotonic() - began
            refused = time.monotonic() - began + (hang.first_refused(40)[0] or 0)
        with Hang(peer, [0], 0):
            began = time.monotonic()
            peer.destroy(client, 0)
            destroy = time.monotonic() - began
    return other * 1000, refused, destroy * 1000


def main():
    options = bench.arguments(__doc__)
    peer = measure_peer() if options.peer and servers.peer_available() else (None, None, None)
    host = vms.Host("berthd", GUESTS)
    with open_configured(host):
        host.start_all(range(GUESTS))
        bench.attempt(measure_others, host, "one guest hung, 20 calls waiting: others' p99", [0], 20, peer[0])
        bench.attempt(measure_others, host, "20 guests hung: others' p99", list(range(HUNG)), 200, None, "; 200 calls waiting")
        bench.attempt(measure_statistics, host, None)
        bench.attempt(measure_refusal, host, peer[1])
        bench.attempt(measure_destroy, host, peer[2])
    bench.finish()


def open_configured(host):
    """The host with a job_timeout that one can wait for."""
    write = host.server.write_config

    def configured():
        write()
        with open(host.server.box.path("etc", "berthd.conf"), "w") as conf:
            conf.write("job_timeout = %d\n" % DEADLINE_S)
    host.server.write_config = configured
    return host


if __name__ == "__main__":
    main()
