#!/usr/bin/python3
"""What TLS costs: a call, bulk data, connections, and what a flood of handshakes costs those who are in.

The limit is a server of gnutls and nothing else (tls_load bare), with the same certificates and sizes, in the same network namespace, measured in
turn with ours.  Bulk data goes through a stream of the RPC layer alone (tls_load rpc): the daemon has no stream of files yet.
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

from lib import bench, load, pki as pkis, sasl, server as servers  # noqa: E402

DAEMON, BARE, RPC, TCP = 16514, 17001, 17002, 16509
ROUNDS, CALLS, CONNECTS, HELD = 5, 5000, 200, 1000
BULK_MIB = 256


def program():
    return os.path.join(bench.build_dir(), "tests", "bench", "tls_load")


def run(box, *args):
    done = subprocess.run(box.argv([program(), *[str(a) for a in args]]), stdout=subprocess.PIPE, check=True, timeout=300)
    return json.loads(done.stdout)


class Background:
    """A server or a flood: started, ready; ends with the block."""

    def __init__(self, box, *args):
        self.process = subprocess.Popen(box.argv([program(), *[str(a) for a in args]]), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "ready\n"

    def __enter__(self):
        return self

    def end(self):
        """Tells it to end; the object it printed, or None."""
        self.process.stdin.close()
        line = self.process.stdout.readline()
        self.process.wait(20)
        return json.loads(line) if line else None

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def null_call(box, client, _daemon):
    with_bare = [run(box, "call", "tls", BARE, client, CALLS)]
    ours = [run(box, "call", "tls", DAEMON, client, CALLS, "open")]
    for _ in range(ROUNDS - 1):
        with_bare.append(run(box, "call", "tls", BARE, client, CALLS))
        ours.append(run(box, "call", "tls", DAEMON, client, CALLS, "open"))
    limit, best = min(one["p50"] for one in with_bare), min(one["p50"] for one in ours)
    bench.emit("null call over TLS, p50", best, "µs", "≤ 2 × limit", limit=limit, factor=2,
               note="28 bytes there, 36 back; p99 %.0f µs, limit's %.0f µs; limit: gnutls alone" %
               (min(one["p99"] for one in ours), min(one["p99"] for one in with_bare)))


def bulk(box, client, _daemon):
    limit = ours = 0
    for _ in range(ROUNDS):
        limit = max(limit, run(box, "bulk", BARE, client, 2)["rate"])
        ours = max(ours, run(box, "bulk", RPC, client, 2)["rate"])
    # the bar is one of times: limit's rate over ours
    bench.emit("bulk over TLS, time per GiB", 1024 / ours, "s", "≤ 1.3 × limit", limit=1024 / limit, factor=1.3,
               note="%.0f MiB/s, limit %.0f MiB/s; a file stream of %d MiB" % (ours, limit, BULK_MIB))


UNIX_SOCKET = "/run/libvirt/libvirt-sock"
USER = "fred:" + sasl.USERS["fred"]


def connections(box, client, daemon):
    with contextlib.ExitStack() as held:  # all at once: none gets the memory another has left
        other = held.enter_context(contextlib.closing(sasl.Berthd(mechs="digest-md5", libvirtd_conf='listen_tcp = 1\nlisten_tls = 0\n'
                                                                  'auth_tcp = "sasl"\nmax_clients = 20000\n').open()))
        load.go_ahead(other.process.pid)
        kinds = (("unix", "UNIX", daemon, UNIX_SOCKET, client, "connect, AUTH_LIST, CONNECT_OPEN, close"),
                 ("tcp", "TCP", daemon, TCP, client, "the same"), ("sasl", "TCP+SASL", other, TCP, USER, "DIGEST-MD5 with its layer; most of it cyrus-sasl's, which makes an OpenSSL context a session"),
                 ("tls", "TLS", daemon, DAEMON, client, "TLS 1.3, certificates of both sides"))
        for kind, name, server, where, who, note in kinds:
            best = max(run(server.box, "connect", kind, where, who, CONNECTS)["rate"] for _ in range(3))
            bench.emit("connections/s, %s" % name, best, "1/s", "report", note=note + "; one after the other")
        for kind, name, server, where, who, _ in kinds:
            before = bench.memory_kib(server.process.pid, "Pss_Anon")
            held.enter_context(Background(server.box, "hold", kind, where, who, HELD))
            after = bench.memory_kib(server.process.pid, "Pss_Anon")
            bench.emit("memory per connection, %s" % name, (after - before) / HELD, "KiB", "report", note="%d open and idle" % HELD)


def flood(box, client, daemon):
    """What a flood costs a client of the UNIX socket.  The row with a bar is what the daemon's part costs: hostile ones who send the first message of
    a handshake, which costs them nothing, and have the daemon sign.  Clients that compute their half take these very CPUs from the one who measures
    (beside whatever they flood), where they would be on hosts of their own; that is told in a row of its own."""
    def p99():
        return run(box, "call", "unix", UNIX_SOCKET, "-", CALLS, "open")["p99"]

    quiet, rates = [], {}
    floods = {(kind, port): [] for kind in ("hello", "flood") for port in (DAEMON, BARE)}
    for _ in range(ROUNDS):
        quiet.append(p99())
        for (kind, port), seen in floods.items():
            with Background(box, kind, port, client, 4) as flooding:
                seen.append(p99())
                rates.setdefault((kind, port), []).append((flooding.end() or {"rate": 0})["rate"])
    limit = bench.median(quiet)
    ours = {key: bench.median(seen) for key, seen in floods.items()}
    rate = {key: bench.median(seen) for key, seen in rates.items()}
    cpus = len(os.sched_getaffinity(0))
    bench.emit("p99 of others during a handshake flood", ours["hello", DAEMON], "µs", "≤ 1.5 × without", limit=limit, factor=1.5,
               note="a client of the UNIX socket; 4 threads that send first messages as fast as they can, %.0f/s, on the same %d CPUs; %.0f µs when "
               "they flood a least server (%.0f/s) instead" % (rate["hello", DAEMON], cpus, ours["hello", BARE], rate["hello", BARE]))
    bench.emit("p99 of others, flood of whole handshakes", ours["flood", DAEMON], "µs", "report", limit=limit,
               note="the flood's own share of the %d CPUs included: %.0f/s; %.0f µs when it goes to a least server (%.0f/s)" %
               (cpus, rate["flood", DAEMON], ours["flood", BARE], rate["flood", BARE]))


def main():
    args = bench.arguments(__doc__)
    load.go_ahead()
    root = tempfile.mkdtemp(prefix="berth-bench-pki-")
    data = tempfile.NamedTemporaryFile(prefix="berth-bench-", dir="/dev/shm")
    try:
        os.chmod(root, 0o755)
        pki = pkis.Pki(root)
        client = pki.client("bench")
        data.truncate(BULK_MIB << 20)
        conf = pki.conf() + 'listen_tcp = 1\nauth_tcp = "none"\nmax_clients = 20000\nmax_anonymous_clients = 100\n'
        daemon = servers.Berthd(libvirtd_conf=conf).open()
        try:
            load.go_ahead(daemon.process.pid)
            with Background(daemon.box, "bare", BARE, root, data.name), Background(daemon.box, "rpc", RPC, root, data.name):
                for part, name in ((null_call, "null call"), (bulk, "bulk"), (connections, "connections"), (flood, "flood")):
                    if args.rows in name:
                        bench.attempt(part, daemon.box, client, daemon)
        finally:
            daemon.close()
    finally:
        data.close()
        shutil.rmtree(root, ignore_errors=True)
    bench.finish()


if __name__ == "__main__":
    main()
