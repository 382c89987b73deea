#!/usr/bin/python3
"""What 10,000 definitions cost: to list, to ask, to write, to keep, to start with.

Usage: bench_defs.py [--berthd PROGRAM] [--peer] [--load PROGRAM] [--small] [ROW...]

Everything runs in a private directory on the file system of /var/tmp; the definitions are written by the daemon itself.  Beside each
number stands the least the same work costs without a daemon, measured in the same run by defs_load.  One JSON object a line.
--small uses 1,000 definitions instead of 10,000.  ROW: list, ask, define, memory, start.
"""

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

from lib import bench  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))

# Of the size a plain machine's file has with the stock daemon: 1.2 KiB.
DEFINITION = """<domain type='qemu'>
  <name>@NAME@</name>
  <memory unit='KiB'>1048576</memory>
  <vcpu>2</vcpu>
  <os><type arch='x86_64' machine='pc-i440fx-7.2'>hvm</type></os>
  <devices>
    <controller type='usb' model='none'/>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2'/>
      <source file='/var/lib/libvirt/images/machine.qcow2'/>
      <target dev='vda' bus='virtio'/>
    </disk>
    <memballoon model='none'/>
  </devices>
</domain>
"""


class Daemon:
    """A private berthd; every call starts a new one in the same directories."""

    def __init__(self, program, top):
        self.program, self.top, self.process = program, top, None
        self.socket = os.path.join(top, "run", "libvirt-sock")
        for name in ("etc", "lib", "run", "log", "cache"):
            os.makedirs(os.path.join(top, name), exist_ok=True)
        with open(os.path.join(top, "etc", "libvirtd.conf"), "w") as conf:
            conf.write('auth_unix_rw = "none"\nunix_sock_group = "root"\nunix_sock_rw_perms = "0700"\n'
                       'log_outputs = "3:file:%s/log/daemon.log"\n' % top)
        with open(os.path.join(top, "etc", "qemu.conf"), "w") as conf:
            conf.write('user = "root"\ngroup = "root"\nsecurity_driver = "none"\n')

    def argv(self):
        d = self.top
        return [self.program, "--sysconfdir", d + "/etc", "--statedir", d + "/lib", "--rundir", d + "/run",
                "--logdir", d + "/log", "--cachedir", d + "/cache"]

    def start(self):
        self.process = subprocess.Popen(self.argv(), stdout=subprocess.DEVNULL)
        while True:
            try:
                with Probe(self.socket):
                    return
            except OSError:
                if self.process.poll() is not None:
                    sys.exit("the daemon ended at once, see %s/log" % self.top)
                time.sleep(0.002)

    def stop(self, sig=signal.SIGTERM):
        self.process.send_signal(sig)
        self.process.wait()

    def memory(self):
        """Anonymous memory of the process in KiB.  (Pages of programs and libraries are its own or shared by who else happens to run: another
        daemon beside it would make a difference of megabytes.)"""
        return bench.memory_kib(self.process.pid, "Anonymous")

    def cpu_ns(self):
        """Processor time of the main thread, which answers what memory can."""
        with open("/proc/%d/schedstat" % self.process.pid) as stat:
            return int(stat.read().split()[0])


class Probe:
    def __init__(self, path):
        import socket
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(path)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()


class Bench:
    def __init__(self, options):
        self.o = options
        self.n = 1000 if options.small else 10000
        self.top = tempfile.mkdtemp(prefix="berth-defs-", dir="/var/tmp")
        self.xml = os.path.join(self.top, "definition.xml")
        with open(self.xml, "w") as out:
            out.write(DEFINITION)
        self.daemon = Daemon(options.berthd, self.top)

    def load(self, *args):
        out = subprocess.run([self.o.load] + [str(a) for a in args], check=True, stdout=subprocess.PIPE, text=True).stdout
        return [float(word) for word in out.split()]

    def row(self, row, limit, ours, peer, unit, bar, met, note=""):
        print(json.dumps({"row": row, "limit": round(limit, 2), "ours": round(ours, 2), "peer": peer, "unit": unit,
                          "ratio": round(ours / limit, 2) if limit else None, "bar": bar, "met": bool(met), "note": note}), flush=True)

    def files(self):
        return os.path.join(self.top, "etc", "qemu")

    def stored(self):
        """Bytes of one definition's file."""
        name = next(f for f in os.listdir(self.files()) if f.endswith(".xml"))
        return os.stat(os.path.join(self.files(), name)).st_size

    # ---- rows --------------------------------------------------------------------------------------------------------------

    def fill(self, upto):
        """As many definitions as that, all by the daemon (which runs), from 16 connections."""
        have = len([f for f in os.listdir(self.files()) if f.endswith(".xml")])
        if have < upto:
            self.load("define", self.daemon.socket, self.xml, "fill%d" % upto, 10, (upto - have) // 10)

    def list(self):
        ours, limits = [], []
        for _ in range(5):
            us, n, size = self.load("list", self.daemon.socket, 30)
            ours.append(us)
            limits.append(self.load("ping", int(size), 30)[0])
        us = min(ours)
        self.row("list all of %d defined" % n, min(limits) / 1000, us / 1000, 54.0, "ms", "≤ 4 ms", us <= 4000)

    def ask(self):
        # In short turns: a round trip is 10 or 40 µs depending on where the kernel puts the two processes, anew in each, and all have to get
        # the same choice.
        kinds, took = ("xml", "info"), {}
        for _ in range(16):
            for kind in kinds:
                cpu = self.daemon.cpu_ns()
                us, size = self.load("each", self.daemon.socket, kind, 2000)
                took.setdefault(kind, []).append((us, self.load("ping", int(size), 2000)[0], (self.daemon.cpu_ns() - cpu) / 2000 / 1000))
        for kind, row, peer in zip(kinds, ("dumpxml", "dominfo"), (104.0, 97.0)):
            us, limit, cpu = (min(side) for side in zip(*took[kind]))
            self.row("%s with %d defined" % (row, self.n), limit, us, peer, "µs", "≤ 20 µs", us <= 20, "%.0f µs CPU" % cpu)

    def define(self):
        # In turns so short that both see the same disk; the quietest quarter of each counts.
        rounds, pairs = 25, []
        by_hand = os.path.join(self.top, "hand")  # with as many files: what one more costs depends on that
        shutil.copytree(self.files(), by_hand)
        os.sync()
        for i in range(24):
            limit = self.load("disk", by_hand, self.xml, rounds)[0]
            pairs.append((self.load("define", self.daemon.socket, self.xml, "serial%d" % i, 1, rounds)[1], limit))
        us, limit = (statistics.median(sorted(side)[:6]) for side in zip(*pairs))
        self.row("define, durable", limit / 1000, us / 1000, 3.3, "ms", "≤ 1.3 × limit", us <= 1.3 * limit,
                 "median of all turns: %.2f × limit" % statistics.median(ours / hand for ours, hand in pairs))
        for conns in (8, 32):
            each, best = 640 // conns, []
            for i in range(3):
                best.append(self.load("define", self.daemon.socket, self.xml, "group%d-%d" % (conns, i), conns, each)[0] / (conns * each))
            us = statistics.median(best)
            self.row("define from %d connections at once, each" % conns, limit / 1000, us / 1000, None, "ms", "< limit (syncs shared)",
                     us < limit)

    def memory(self):
        with_all = []
        empty = Daemon(self.o.berthd, os.path.join(self.top, "empty"))
        empty.start()
        self.load("list", empty.socket, 1)
        base = empty.memory()
        self.load("define", empty.socket, self.xml, "first", 1, 1)
        told = empty.memory()  # it has asked QEMU what it can, which is no memory of a machine
        grown = self.daemon.memory()  # the one that was told all of them
        empty.stop()
        n = len([f for f in os.listdir(self.files()) if f.endswith(".xml")])
        self.daemon.stop()
        for _ in range(2):
            self.daemon.start()
            self.load("list", self.daemon.socket, 1)
            with_all.append(self.daemon.memory())
            self.daemon.stop()
        self.daemon.start()
        size = self.stored() / 1024
        none = "none"
        for what, kib, less, beside in (("after defining them", grown, told, "one: both know QEMU"), ("after a start", with_all[0], base, none),
                                        ("after a second start", with_all[1], base, none)):
            each = (kib - less) / n
            self.row("memory per defined domain, " + what, size, each, 6.3, "KiB", "≤ 3 KiB", each <= 3,
                     "%d defined; beside a daemon with %s" % (n, beside))

    def start(self):
        self.daemon.stop()
        for count, bar, peer in ((0, 30, 127.0), (1000, 60, 959.0), (10000, 300, 5500.0)):
            if count > self.n:
                continue
            top = os.path.join(self.top, "start%d" % count)
            d = Daemon(self.o.berthd, top)
            os.makedirs(top + "/etc/qemu", exist_ok=True)
            names = sorted(f for f in os.listdir(self.files()) if f.endswith(".xml"))[:count]
            for name in names:
                shutil.copy(os.path.join(self.files(), name), top + "/etc/qemu/")
            shutil.copytree(os.path.join(self.top, "cache"), top + "/cache", dirs_exist_ok=True,
                            ignore=lambda d, names: [n for n in names if n == "definitions"])
            first = self.load("start", d.socket, *d.argv())[0]
            ours, limits, cpus = [], [], []
            for _ in range(9 if count < 10000 else 5):
                us, n, cpu = self.load("start", d.socket, *d.argv())
                ours.append(us)
                cpus.append(cpu)
                limits.append(self.load("exec", self.o.load, "read", top + "/etc/qemu")[0])
            us = min(ours)
            self.row("exec to connect + list, %d defined" % n, min(limits) / 1000, us / 1000, peer, "ms", "≤ %d ms" % bar,
                     us <= bar * 1000, "files never seen before: %.0f ms; processor time %.0f ms; limit: exec, read every file" %
                     (first / 1000, statistics.median(cpus) / 1000))
        self.daemon.start()

    def run(self):
        self.daemon.start()
        try:
            self.fill(self.n)
            for name in self.o.rows or ("list", "ask", "memory", "start", "define"):
                bench.attempt(getattr(self, name))
                if self.daemon.process.poll() is not None:  # a part that failed halfway
                    self.daemon.start()
        finally:
            self.daemon.stop()
            shutil.rmtree(self.top)
        bench.finish()


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--berthd", default=os.environ.get("BERTHD", os.path.join(os.getcwd(), "berthd")))
    p.add_argument("--load", default=os.path.join(os.environ.get("BERTH_BUILD", os.getcwd()), "tests", "bench", "defs_load"))
    p.add_argument("--peer", action="store_true", help="accepted; the peer's numbers are those of its own measurement")
    p.add_argument("--small", action="store_true")
    p.add_argument("rows", nargs="*", choices=[[], "list", "ask", "memory", "start", "define"])
    Bench(p.parse_args()).run()


if __name__ == "__main__":
    main()
