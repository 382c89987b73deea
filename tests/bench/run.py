#!/usr/bin/python3
"""Runs every tests/bench/bench_*.py, and prints what they measured as one table.

usage: run.py [--only PATTERN] [--peer] [--write]     (as a rule: make bench, make bench BENCHFLAGS="--peer --write")

A bench prints one JSON object a line: row, limit, ours, peer, unit, ratio, bar, met, note (tests/lib/bench.py has the helpers).
It is given --peer when asked for, BERTHD and BERTH_BUILD in its environment, and an end: a bench that takes longer is stopped, and what it
printed until then counts.  All of it ends within ten minutes (with --peer, which waits for what takes the peer half a minute, within
twenty-five).  --write puts the table into docs/performance.md, between the marks there; rows that were not run keep what stands there.
"""

import argparse
import datetime
import fnmatch
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.dirname(os.path.dirname(HERE))
DOCUMENT = os.path.join(SOURCE, "docs", "performance.md")
BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"
SECONDS = {False: (200, 580), True: (300, 1500)}  # with the peer or not: one bench, all of them
BUILT_FOR_FAULTS = (b"__asan_init", b"__tsan_init")

# What is asked for, in the order of the table: row, bar.  A row nobody printed is shown as not measured.
ROWS = [
    ("small call, p50", "≤ 2 × limit"),
    ("small call, daemon CPU", "≤ 3 × limit"),
    ("connect + open + close", "≤ 2 × limit"),
    ("calls/s, 1 connection", "≥ 150k"),
    ("calls/s, 8 connections", "≥ 150k, not falling"),
    ("calls/s, 64 connections", "≥ 150k, not falling"),
    ("calls/s, 512 connections", "≥ 150k, not falling"),
    ("list all of 10,000 defined", "≤ 4 ms"),
    ("dumpxml with 10,000 defined", "≤ 20 µs"),
    ("dominfo with 10,000 defined", "≤ 20 µs"),
    ("define on disk (durable)", "≤ 1.3 × limit"),
    ("concurrent defines", "share syncs"),
    ("memory per defined domain", "≤ 3 KiB"),
    ("exec to connect + list, 0 defined", "≤ 30 ms"),
    ("exec to connect + list, 1,000 defined", "≤ 60 ms"),
    ("exec to connect + list, 10,000 defined", "≤ 300 ms"),
    ("exec to capabilities, cold", "≤ 120 ms"),
    ("RSS, idle", "≤ 10 MiB"),
    ("PSS, idle", "≤ 6 MiB"),
    ("threads, idle", "≤ 8"),
    ("threads with 100 running guests", "≤ 12"),
    ("start to running", "≤ 1.5 × limit"),
    ("destroy", "≤ 2 × limit"),
    ("50 starts at once", "≤ 1.3 × limit"),
    ("statistics of 100 running guests, from what is known", "≤ 5 ms"),
    ("statistics of 100 running guests, fresh", "≤ 1.2 × limit"),
    ("one guest hung, 20 calls waiting: others' p99", "≤ 1.2 × healthy"),
    ("20 guests hung: others' p99", "≤ 1.2 × healthy"),
    ("statistics of all, one guest hung", "≤ 10 ms"),
    ("second call on the hung guest refused", "within its deadline, naming the holder"),
    ("destroy a hung guest", "≤ 50 ms"),
    ("event to 1 client", "≤ 3 × limit"),
    ("event to 100 clients", "≤ 3 × limit"),
    ("event to 500 clients", "≤ 3 × limit"),
    ("blockcommit 256 MiB, whole", "≤ 1.05 × limit"),
    ("blockcommit 256 MiB, pivot call", "≤ 2 × limit"),
    ("blockcommit 256 MiB, daemon CPU", ""),
    ("blockcopy 256 MiB, whole", "≤ 1.05 × limit"),
    ("blockcopy 256 MiB, pivot call", "≤ 2 × limit"),
    ("blockcopy 256 MiB, daemon CPU", ""),
    ("virsh blockcommit --active --pivot --wait, 256 MiB", ""),
    ("READY to its waiter, p50, 1 job", "≤ 0.5 ms"),
    ("READY to its waiter, p99, 1 job", "≤ 2 ms"),
    ("COMPLETED to its waiter, p50, 1 job", "≤ 0.5 ms"),
    ("COMPLETED to its waiter, p99, 1 job", "≤ 2 ms"),
    ("READY to its waiter, p50, 100 jobs", "≤ 0.5 ms"),
    ("READY to its waiter, p99, 100 jobs", "≤ 2 ms"),
    ("COMPLETED to its waiter, p50, 100 jobs", "≤ 0.5 ms"),
    ("COMPLETED to its waiter, p99, 100 jobs", "≤ 2 ms"),
    ("upload 1 GiB over UNIX", "≥ 0.7 × limit"),
    ("download 1 GiB over UNIX", "≥ 0.7 × limit"),
    ("kill -9 with 50 running: all visible as running", "≤ 60 ms"),
    ("growth of 100,000 calls", "0"),
    ("growth of 1,000 connections", "0"),
    ("growth of a start + destroy", "0"),
    ("null call over TLS, p50", "≤ 2 × limit"),
    ("bulk over TLS, time per GiB", "≤ 1.3 × limit"),
    ("p99 of others during a handshake flood", "≤ 1.5 × without"),
]

# Names of rows as benches give them, where they are a row above under another name.
SAME = {
    "define, durable": "define on disk (durable)",
    "define from 32 connections at once, each": "concurrent defines",
    "memory per defined domain, after a start": "memory per defined domain",
}


def row_name(name):
    name = re.sub(r"\b(\d{1,3})(000)\b", r"\1,\2", name)  # 10000 is 10,000
    return SAME.get(name, name)


def run_bench(path, peer, seconds):
    """(rows, what went wrong or None) of one bench."""
    argv = ["/usr/bin/python3", path] + (["--peer"] if peer else [])
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    wrong = None
    try:
        out, _ = process.communicate(timeout=seconds)
        if process.returncode != 0:
            wrong = "ended with status %d" % process.returncode
    except subprocess.TimeoutExpired:
        # Only itself: the holders of its sandboxes see the end of their input and clear up.
        process.kill()
        try:
            out, _ = process.communicate(timeout=20)
        except subprocess.TimeoutExpired as late:  # something it started keeps its output open
            out = late.stdout or b""
        wrong = "stopped after %d s" % seconds
    rows = []
    for line in out.decode(errors="replace").splitlines():
        if line.startswith("{"):
            try:
                rows.append(json.loads(line))
            except ValueError:
                wrong = wrong or "printed a line that is no JSON"
    return rows, wrong


def collect(only, peer):
    rows, problems = {}, []
    one, everything = SECONDS[peer]
    end = time.monotonic() + everything
    for path in sorted(glob.glob(os.path.join(HERE, "bench_*.py"))):
        name = os.path.basename(path)[len("bench_"):-len(".py")]
        if only and not fnmatch.fnmatch(name, only) and only not in name:
            continue
        left = min(one, end - time.monotonic())
        if left < 5:
            problems.append("%s: not run, no time left" % name)
            continue
        began = time.monotonic()
        print("== %s" % name, file=sys.stderr, flush=True)
        found, wrong = run_bench(path, peer, left)
        print("   %d rows, %.0f s%s" % (len(found), time.monotonic() - began, ": " + wrong if wrong else ""), file=sys.stderr, flush=True)
        if wrong:
            problems.append("%s: %s" % (name, wrong))
        for row in found:
            row["row"] = row_name(row["row"])
            rows[row["row"]] = row
    return rows, problems


# ---- the table -----------------------------------------------------------------------------------------------------------------------------


def number(value, unit):
    if value is None:
        return ""
    if isinstance(value, (int, float)):
        value = "{:,}".format(value)
    return "%s %s" % (value, unit) if unit else str(value)


def line_of(name, bar, row):
    if row is None:
        return [name, "", "", "not measured", "", bar, "", ""]
    met = {True: "yes", False: "**no**", None: ""}[row.get("met")]
    ratio = row.get("ratio")
    unit = row.get("unit", "")
    return [name, number(row.get("limit"), unit), number(row.get("peer"), unit), number(row.get("ours"), unit),
            "" if ratio is None else "%.2f" % ratio, bar, met, row.get("note") or ""]


HEAD = ["work", "limit", "libvirtd 9.0", "berthd", "berthd / limit", "bar", "met", "note"]


def table(rows, everything):
    lines = [line_of(name, bar, rows.get(name)) for name, bar in ROWS if everything or name in rows]
    known = {name for name, _ in ROWS}
    lines += [line_of(name, row.get("bar", ""), row) for name, row in rows.items() if name not in known]
    return lines


def markdown(lines):
    out = ["| " + " | ".join(HEAD) + " |", "|" + "---|" * len(HEAD)]
    out += ["| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in line) + " |" for line in lines]
    return "\n".join(out)


def plain(lines):
    shown = [HEAD[:-1]] + [line[:-1] for line in lines]
    widths = [max(len(line[i]) for line in shown) for i in range(len(shown[0]))]
    out = []
    for line, note in zip(shown, [""] + [line[-1] for line in lines]):
        out.append("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())
        if note:
            out.append("    " + note)
    return "\n".join(out)


# ---- the document --------------------------------------------------------------------------------------------------------------------------


def first_line(argv):
    try:
        return subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout.splitlines()[0].strip()
    except (OSError, IndexError):
        return "not installed"


def fact(path, key):
    with open(path) as text:
        for line in text:
            if line.startswith(key):
                return line.split(":", 1)[1].strip()
    return "unknown"


def facts():
    """What the numbers were measured on."""
    processor = "%s, %d CPUs" % (fact("/proc/cpuinfo", "model name"), len(os.sched_getaffinity(0)))
    memory = "%.0f GiB" % (int(fact("/proc/meminfo", "MemTotal").split()[0]) / 1048576)
    commit = first_line(["git", "-C", SOURCE, "describe", "--always", "--dirty", "--abbrev=10"])
    return [
        "Measured %s, commit %s." % (datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"), commit),
        "Machine: %s, %s, Linux %s, no KVM (guests run under TCG). %s; libvirtd %s." %
        (processor, memory, os.uname().release, first_line(["qemu-system-x86_64", "--version"]),
         first_line(["libvirtd", "--version"]).rsplit(" ", 1)[-1]),
        "Load of the machine over the last minute when it ended: %.1f." % os.getloadavg()[0],
    ]


def kept(lines, table_text, partial):
    """The lines, with those of an earlier table where nothing was measured; after a run of a part its other rows too."""
    old = {}
    for line in table_text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if len(cells) == len(HEAD):
            old[cells[0]] = cells
    names = {line[0] for line in lines}
    lines = [old.get(line[0], line) if line[3] == "not measured" else line for line in lines]
    more = [cells for name, cells in old.items() if name not in names and name != HEAD[0] and not name.startswith("-")]
    return lines + (more if partial else [])


def write(lines, problems, argv, partial):
    with open(DOCUMENT, encoding="utf-8") as document:
        text = document.read()
    before, rest = text.split(BEGIN, 1)
    present, after = rest.split(END, 1)
    lines = kept(lines, present, partial)
    flags = " ".join(argv)
    body = ["Made by `make bench%s`." % (' BENCHFLAGS="%s"' % flags if flags else ""), *facts(), "", markdown(lines)]
    if problems:
        body += ["", "Not complete: " + "; ".join(problems) + "."]
    with open(DOCUMENT, "w", encoding="utf-8") as document:
        document.write(before + BEGIN + "\n" + "\n".join(body) + "\n" + END + after)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="PATTERN", help="benches whose name (bench_NAME.py) has this in it, or matches it")
    parser.add_argument("--peer", action="store_true", help="libvirtd 9.0 too, in namespaces of its own")
    parser.add_argument("--write", action="store_true", help="put the table into docs/performance.md")
    options = parser.parse_args()
    berthd = os.environ.get("BERTHD")
    if not berthd or not os.access(berthd, os.X_OK):
        sys.exit("BERTHD must name the daemon to measure")
    os.environ["BERTHD"] = os.path.abspath(berthd)
    os.environ.setdefault("BERTH_BUILD", os.path.dirname(os.environ["BERTHD"]))
    if options.peer and not shutil.which("libvirtd"):
        print("no libvirtd here: its column stays empty", file=sys.stderr)
        options.peer = False
    with open(berthd, "rb") as program:
        code = program.read()
    if any(mark in code for mark in BUILT_FOR_FAULTS):
        print("built with sanitizers: these are not the numbers of the daemon", file=sys.stderr)
        if options.write:
            sys.exit("not written")
    rows, problems = collect(options.only, options.peer)
    print(plain(table(rows, not options.only)))
    for problem in problems:
        print("!", problem)
    if options.write:
        write(table(rows, True), problems, sys.argv[1:], bool(options.only))


if __name__ == "__main__":
    main()
