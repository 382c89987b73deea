#!/usr/bin/python3
"""What a call costs: round trip and CPU time of the daemon, one call after the other, and how many a second many clients get.

The limit is a process that only reads and writes (load echo, load serve), measured in turn with the daemon.
"""

import os
import struct
import sys
import uuid

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

from lib import bench, load, rawrpc, server as servers, xml  # noqa: E402

GET_LIB_VERSION, GET_HOSTNAME, GET_VERSION, NODE_INFO, DOMINFO, DUMPXML, STATE, LIST_ALL = 157, 59, 4, 6, 16, 14, 212, 273
SET_METADATA, GET_AUTOSTART = 264, 15
NAME = "bench"
CALLS = 20000


def calls():
    """(name, procedure, arguments, why a worker does it: "" for those that are done at once)"""
    ref = rawrpc.domain(NAME, uuid.uuid5(uuid.NAMESPACE_DNS, NAME).bytes)
    return [
        ("version of the library", GET_LIB_VERSION, b"", ""),
        ("hostname", GET_HOSTNAME, b"", "reads /etc/hosts"),
        ("version of QEMU", GET_VERSION, b"", "looks whether the binary is still the same"),
        ("node info", NODE_INFO, b"", "reads the kernel's files"),
        ("state", STATE, ref + struct.pack(">I", 0), ""),
        ("dominfo", DOMINFO, ref, ""),
        ("dumpxml", DUMPXML, ref + struct.pack(">I", 0), ""),
        ("list all", LIST_ALL, struct.pack(">iI", 1, 0), "may have 16,384 machines to list"),
    ]


def small_calls(pattern, daemon, peer):
    with load.Least("echo") as echo:
        for name, proc, args, why in calls():
            if pattern not in name and pattern not in "small call":
                continue
            count = CALLS // 5 if why else CALLS
            loads = [lambda: load.run("call", echo.socket, echo.pid, count, proc, args.hex()),
                     lambda: load.run("call", daemon.socket, daemon.process.pid, count, proc, args.hex())]
            if peer:
                loads.append(lambda: load.run("call", peer.socket, peer.process.pid, CALLS // 10, proc, args.hex()))
            limit, ours, theirs = (load.best(*loads) + [{}])[:3]
            row = "small call" if proc == GET_LIB_VERSION else "call %s" % name
            # The bars are those of a call that asks memory; a call that a worker does has two hand-overs between threads in it.
            p50, cpu = ("report", "report") if why else ("≤ 2 × limit", "≤ 3 × limit")
            bench.emit(row + ", p50", ours["p50"], "µs", p50, limit=limit["p50"], peer=theirs.get("p50"), factor=None if why else 2,
                       note="p99 %.1f µs%s" % (ours["p99"], "; by a worker: " + why if why else ""))
            bench.emit(row + ", daemon CPU", ours["cpu"], "µs", cpu, limit=limit["cpu"], peer=theirs.get("cpu"), factor=None if why else 3)


def throughput(pattern, daemon, peer):
    for conns in (1, 8, 64, 512):
        row = "calls/s, %d connection%s" % (conns, "" if conns == 1 else "s")
        if pattern not in row:
            continue
        with load.Least("serve") as null:
            loads = [lambda: load.run("many", null.socket, null.pid, conns, 8, 300, GET_LIB_VERSION),
                     lambda: load.run("many", daemon.socket, daemon.process.pid, conns, 8, 300, GET_LIB_VERSION)]
            if peer:
                loads.append(lambda: load.run("many", peer.socket, peer.process.pid, conns, 8, 300, GET_LIB_VERSION))
            limit, ours, theirs = (load.best(*loads, rounds=10) + [{}])[:3]  # short turns: each is placed on the processors anew
            bench.emit(row, ours["rate"], "1/s", "≥ 150k" if conns == 1 else "≥ 150k, not falling", limit=limit["rate"], peer=theirs.get("rate"),
                       at_least=150000, note="8 in flight each; %.2f µs CPU a call" % ours["cpu"])


def main():
    args = bench.arguments(__doc__)
    load.go_ahead()
    conf = "max_clients = 20000\n"
    daemon = servers.Berthd(libvirtd_conf=conf).open()
    peer = servers.Peer(libvirtd_conf=conf).open() if args.peer and servers.peer_available() else None
    try:
        for one in (daemon, peer):
            if one:
                load.go_ahead(one.process.pid)
                one.define(xml.domain(NAME))
        bench.attempt(small_calls, args.rows, daemon, peer)
        bench.attempt(throughput, args.rows, daemon, peer)
    finally:
        daemon.close()
        if peer:
            peer.close()
    bench.finish()


if __name__ == "__main__":
    main()
