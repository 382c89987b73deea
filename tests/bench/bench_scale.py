#!/usr/bin/python3
"""Five hundred running guests.  They are tests/lib/stub_qemu.c, which speaks QMP and emulates nothing: so many QEMUs do not fit a small machine,
and what is measured is the daemon.  The limit is the same stub with the same command lines and QMP commands, without a daemon."""

import os
import signal
import struct
import time

import vms
from lib import bench, rawrpc

GUESTS, BATCH = 500, 50
REGISTER_ANY, LIFECYCLE = 316, 0


def in_batches(call, *args):
    took = 0.0
    for first in range(0, GUESTS, BATCH):
        took += call(list(range(first, first + BATCH)), *args)
    return took


def measure_events(host):
    """All suspended and resumed; seconds until a client has every lifecycle event of that."""
    listener = rawrpc.Client(host.server.socket, timeout=60).open()
    reply = listener.call(REGISTER_ANY, struct.pack(">II", LIFECYCLE, 0))  # event id, no domain
    assert reply.status == rawrpc.OK, reply.error()
    began = time.monotonic()
    in_batches(lambda numbers: host.at_once(vms.SUSPEND, numbers))
    in_batches(lambda numbers: host.at_once(vms.RESUME, numbers))
    seen = 0
    while seen < 2 * GUESTS:
        if listener.receive().type == rawrpc.MESSAGE:
            seen += 1
    took = time.monotonic() - began
    listener.close()
    return took


def until_visible(host):
    host.hang_up()
    host.server.process.send_signal(signal.SIGKILL)
    host.server.process.wait(10)
    began = time.monotonic()
    host.server.start()
    client = host.client()
    while host.running(client) < GUESTS:
        pass
    visible = time.monotonic() - began
    for number in range(GUESTS):
        reply = client.call(1, host.wire(number) + rawrpc.string('{"execute":"query-status"}') + struct.pack(">I", 0), prog=rawrpc.QEMU)
        assert reply.status == rawrpc.OK, reply.error()
    return visible, time.monotonic() - began


def main():
    bench.arguments(__doc__)
    stub = os.path.join(bench.build_dir(), "tests", "lib", "stub_qemu")
    with vms.Host("berthd", GUESTS, emulator=stub, disk=False, console=False) as host:
        directory = host.server.box.path("bare")
        os.mkdir(directory)
        vms.commands_of_statistics(os.path.join(directory, "statistics"))
        client = host.pool(1)[0]
        host.start(client, 0)  # capabilities are known from now on
        host.destroy(client, 0)
        before = bench.memory_kib(host.pid, "Pss_Anon")
        started = in_batches(host.start_all)
        host.hang_up()
        bench.emit("500 guests: memory per running domain", (bench.memory_kib(host.pid, "Pss_Anon") - before) / GUESTS, "KiB", "≤ 64 KiB",
                   at_most=64, note="anonymous memory; stub QEMU, as all rows of 500 guests")
        host.note_argv(directory, range(GUESTS))
        bare = vms.Bare(host, directory, GUESTS)
        limit = bare.tell("all")
        bench.emit("500 guests: start all", started, "s", "≤ 3 × limit", limit=limit, factor=3,
                   note="fifty at a time; limit: the stubs by hand, which cost next to nothing")
        client = host.pool(1)[0]
        host.all_stats(client)
        fresh, known, asked = [], [], []
        for _ in range(7):
            asked.append(bare.tell("ask", os.path.join(directory, "statistics")))
            fresh.append(host.all_stats(client)[0])
            known.append(host.all_stats(client, vms.NOWAIT)[0])
            time.sleep(0.2)
        bench.emit("500 guests: statistics of all, fresh", bench.median(fresh) * 1000, "ms", "≤ 3 × limit", limit=bench.median(asked) * 1000, factor=3)
        bench.emit("500 guests: statistics of all, from what is known", bench.median(known) * 1000, "ms", "≤ 25 ms", at_most=25)
        events = measure_events(host)
        bench.emit("500 guests: all suspended and resumed, every event received", events, "s", "≤ 2 s", at_most=2, note="1,000 calls and events")
        host.hang_up()
        time.sleep(6)
        bench.emit("500 guests: threads", bench.threads(host.pid), "", "≤ 12", at_most=12, note="idle workers of a burst end after 5 s")
        results = [until_visible(host) for _ in range(3)]
        bench.emit("500 guests: kill -9, all visible as running", min(r[0] for r in results) * 1000, "ms", "≤ 200 ms", at_most=200)
        bench.emit("500 guests: kill -9, each has answered QMP again", min(r[1] for r in results) * 1000, "ms", "≤ 1,000 ms",
                   limit=bare.tell("again") * 1000, at_most=1000, note="limit: 500 monitors reached by hand")
        bare.tell("kill")
        bare.close()
        in_batches(host.destroy_all)


if __name__ == "__main__":
    main()
