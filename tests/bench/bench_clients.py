#!/usr/bin/python3
"""Clients: opening and closing, what an idle one and the idle daemon hold, events to many, what remains of many calls, start-up.

Events: from a call that changes a running guest's metadata to the moment the last of N clients has read the event.  The limit is a process
that writes as many bytes to as many sockets when told to.
"""

import os
import socket
import struct
import subprocess
import sys
import time
import uuid

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

from lib import bench, load, rawrpc, server as servers, xml  # noqa: E402

GET_LIB_VERSION, CAPABILITIES, LIST_ALL, SET_METADATA, HOSTNAME = 157, 7, 273, 264, 59
METADATA_EVENT, LIVE, TITLE = 23, 1, 1
NAME = "bench"
CONF = "max_clients = 20000\n"


def register():
    """CONNECT_DOMAIN_EVENT_CALLBACK_REGISTER_ANY for metadata changes of all machines."""
    return struct.pack(">iI", METADATA_EVENT, 0)


def set_title():
    ref = rawrpc.domain(NAME, uuid.uuid5(uuid.NAMESPACE_DNS, NAME).bytes)
    return ref + struct.pack(">i", TITLE) + rawrpc.optional(rawrpc.string("a title")) + rawrpc.optional(None) + rawrpc.optional(None) \
        + struct.pack(">I", LIVE)


def opening(daemon, peer):
    with load.Least("echo") as echo:
        # in many short turns: in each the kernel places the two processes anew, on one processor or on two that sleep
        loads = [lambda: load.run("open", echo.socket, echo.pid, 700), lambda: load.run("open", daemon.socket, daemon.process.pid, 700)]
        if peer:
            loads.append(lambda: load.run("open", peer.socket, peer.process.pid, 200))
        limit, ours, theirs = (load.best(*loads, rounds=15) + [{}])[:3]
        bench.emit("connect + open + close", ours["p50"], "µs", "≤ 2 × limit", limit=limit["p50"], peer=theirs.get("p50"), factor=2,
                   note="%.0f µs CPU, limit %.0f" % (ours["cpu"], limit["cpu"]))


def events(daemon, peer):
    for one in (daemon, peer):
        if one:
            one.define(xml.domain(NAME, memory=64))
            one.sh("start", "--paused", NAME)
    with load.Least("serve") as null:
        for clients in (1, 100, 500):
            rounds = 2000 if clients == 1 else 200
            loads = [lambda: load.run("event", null.socket, null.pid, clients, rounds, 9999, "-", register().hex()),
                     lambda: load.run("event", daemon.socket, daemon.process.pid, clients, rounds, SET_METADATA, set_title().hex(), register().hex())]
            if peer:
                loads.append(lambda: load.run("event", peer.socket, peer.process.pid, clients, rounds, SET_METADATA, set_title().hex(),
                                              register().hex()))
            limit, ours, theirs = (load.best(*loads, rounds=3) + [{}])[:3]
            bench.emit("event to %d client%s" % (clients, "" if clients == 1 else "s"), ours["p50"], "µs", "≤ 3 × limit", limit=limit["p50"],
                       peer=theirs.get("p50"), factor=3, note="%.0f µs CPU, limit %.0f" % (ours["cpu"], limit["cpu"]))
    for one in (daemon, peer):
        if one:
            one.sh("destroy", NAME)
            one.sh("undefine", NAME)


def kib(one, field):
    return bench.memory_kib(one.process.pid, field)


def footprint(row, daemon, peer):
    def of(one, fn):
        return fn(one) if one else None
    bench.emit("RSS, " + row, kib(daemon, "Rss") / 1024, "MiB", "≤ 10 MiB", peer=of(peer, lambda s: kib(s, "Rss") / 1024), at_most=10)
    bench.emit("PSS, " + row, kib(daemon, "Pss") / 1024, "MiB", "≤ 6 MiB", peer=of(peer, lambda s: kib(s, "Pss") / 1024), at_most=6)
    bench.emit("threads, " + row, bench.threads(daemon.process.pid), "", "≤ 8", peer=of(peer, lambda s: bench.threads(s.process.pid)), at_most=8)


def settled(daemon, peer):
    time.sleep(3)  # what many clients leave behind is given back a second after they went
    for name, field in (("RSS", "Rss"), ("PSS", "Pss")):
        bench.emit(name + ", after load", kib(daemon, field) / 1024, "MiB", "report", peer=kib(peer, field) / 1024 if peer else None,
                   note="10,000 clients have come and gone, and 200,000 calls")
    bench.emit("threads, after load", bench.threads(daemon.process.pid), "", "≤ 8", at_most=8, peer=bench.threads(peer.process.pid) if peer else None)


def growth(daemon, peer):
    def calls(one):
        load.run("call", one.socket, one.process.pid, 80000, GET_LIB_VERSION)
        load.run("call", one.socket, one.process.pid, 10000, HOSTNAME)
        load.run("many", one.socket, one.process.pid, 8, 8, 300, GET_LIB_VERSION)

    def connections(one):
        load.run("open", one.socket, one.process.pid, 1000)

    for row, work in (("growth of 100,000 calls", calls), ("growth of 1,000 connections", connections)):
        grown = []
        for one in (daemon, peer):
            if one:
                work(one)
                before = kib(one, "Anonymous")
                work(one)
                grown.append(kib(one, "Anonymous") - before)
        bench.emit(row, grown[0], "KiB", "0", peer=grown[1] if peer else None, at_most=0, note="the second time; private memory")


def idle_connections(daemon):
    """Memory of one connection, from what 10,000 of them add."""
    count = 10000
    subprocess.run(["prlimit", "--pid", str(daemon.process.pid), "--nofile=20000:20000"], check=True)
    before = kib(daemon, "Anonymous")
    process = subprocess.Popen([load.program(), "idle", daemon.socket, str(count)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    process.stdout.readline()
    held = kib(daemon, "Anonymous") - before
    started = time.monotonic()
    load.run("call", daemon.socket, daemon.process.pid, 2000, GET_LIB_VERSION)
    lone = (time.monotonic() - started) / 2200 * 1e6
    process.stdin.close()
    process.wait()
    with rawrpc.Client(daemon.socket) as probe:  # answered after all the others were seen to go
        probe.open()
    bench.emit("memory of an idle connection", held / count, "KiB", "report", note="%d connections; a call then takes %.0f µs; %d KiB remain when "
               "they are gone" % (count, lone, kib(daemon, "Anonymous") - before))


def first_answer(one, call):
    """ms from exec to the answer of `call`, the daemon being started anew."""
    path = one.socket
    if os.path.exists(path):
        os.unlink(path)
    started = time.monotonic()
    one.start()
    load.go_ahead(one.process.pid)
    with rawrpc.Client(path, timeout=60) as client:
        client.open()
        call(client)
        return (time.monotonic() - started) * 1000


def list_all(client):
    assert client.call(LIST_ALL, struct.pack(">iI", 1, 0)).status == rawrpc.OK


def capabilities(client):
    assert client.call(CAPABILITIES).status == rawrpc.OK


def bare_probe():
    """ms for one QEMU to start without a machine and tell its version and machine types: the least that capabilities need."""
    ours, theirs = socket.socketpair()
    started = time.monotonic()
    process = subprocess.Popen(["qemu-system-x86_64", "-S", "-no-user-config", "-nodefaults", "-nographic", "-machine", "none,accel=tcg",
                                "-chardev", "socket,id=mon,fd=%d" % theirs.fileno(), "-mon", "chardev=mon,mode=control"],
                               pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                               start_new_session=True)  # as daemons do: no part in our place before others
    theirs.close()
    answers = b""
    ours.sendall(b'{"execute":"qmp_capabilities"}{"execute":"query-version"}{"execute":"query-machines"}')
    while answers.count(b"\n") < 4:
        answers += ours.recv(65536)
    took = (time.monotonic() - started) * 1000
    process.kill()
    process.wait()
    ours.close()
    return took


def start_up(pattern, daemon, peer):
    def cold(one):
        subprocess.run(["rm", "-rf", one.box.path("cache", "qemu")], check=True)
        one.stop()
        return first_answer(one, capabilities)

    def warm(one):
        one.stop()
        return first_answer(one, list_all)

    if pattern in "exec to capabilities, cold":
        theirs = min(cold(peer) for _ in range(2)) if peer else None
        bench.emit("exec to capabilities, cold", min(cold(daemon) for _ in range(6)), "ms", "≤ 120 ms", peer=theirs, at_most=120,
                   limit=min(bare_probe() for _ in range(5)), note="as many probes as there are emulators; limit: one")
    if pattern in "exec to connect + list, 0 defined":
        theirs = min(warm(peer) for _ in range(3)) if peer else None
        bench.emit("exec to connect + list, 0 defined", min(warm(daemon) for _ in range(5)), "ms", "≤ 30 ms", peer=theirs, at_most=30)


def main():
    args = bench.arguments(__doc__)
    load.go_ahead()
    daemon = servers.Berthd(libvirtd_conf=CONF).open()
    peer = servers.Peer(libvirtd_conf=CONF).open() if args.peer and servers.peer_available() else None
    parts = [
        ("RSS, PSS, threads, idle", lambda: footprint("idle", daemon, peer)),
        ("connect + open + close", lambda: opening(daemon, peer)),
        ("event to 1, 100, 500 clients", lambda: events(daemon, peer)),
        ("growth of 100,000 calls, 1,000 connections", lambda: growth(daemon, peer)),
        ("memory of an idle connection", lambda: idle_connections(daemon)),
        ("RSS, PSS, threads, after load", lambda: settled(daemon, peer)),
        ("exec to capabilities, cold; exec to connect + list, 0 defined", lambda: start_up(args.rows, daemon, peer)),
    ]
    try:
        for name, part in parts:
            if args.rows in name:
                for one in (daemon, peer):
                    if one:
                        load.go_ahead(one.process.pid)
                bench.attempt(part)
    finally:
        daemon.close()
        if peer:
            peer.close()
    bench.finish()


if __name__ == "__main__":
    main()
