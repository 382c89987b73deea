"""What the benches share: arguments, medians, one JSON line a row, memory and threads of a process.

A bench is a number, not a test: it says what was measured and never fails because a bar was missed.
"""

import argparse
import json
import math
import os
import statistics
import sys
import traceback


def arguments(description):
    """--peer, and --rows PATTERN for those who want a part.  Builds are found by BERTHD and BERTH_BUILD."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--peer", action="store_true", help="measure the stock libvirtd too, where it is installed")
    parser.add_argument("--rows", default="", help="only rows whose name contains this")
    os.environ.setdefault("BERTH_RUN_DIR", "/dev/shm")
    return parser.parse_args()


def build_dir():
    """Where `make` put the load generators."""
    return os.environ.get("BERTH_BUILD") or os.path.dirname(os.path.abspath(os.environ["BERTHD"]))


_failed = []


def attempt(part, *args):
    """Runs a part of a bench.  What goes wrong in it is told, costs its own rows, and makes the bench end with a status of 1."""
    try:
        part(*args)
    except Exception:  # whatever it was, the other parts are worth their numbers
        traceback.print_exc()
        _failed.append(part)


def finish():
    sys.exit(1 if _failed else 0)


def emit(row, ours, unit, bar, limit=None, peer=None, factor=None, at_most=None, at_least=None, note=""):
    """Prints a row.  The bar as numbers: `factor` times the limit (at least that much where at_least is True), `at_most`, `at_least`."""
    ratio = None
    if limit and ours is not None:
        ratio = ours / limit
    met = None
    if ours is not None:
        if factor is not None and ratio is not None:
            met = ratio >= factor if at_least is True else ratio <= factor
        if at_most is not None:
            met = ours <= at_most
        if at_least is not None and at_least is not True:
            met = ours >= at_least
    line = {"row": row, "limit": _short(limit), "ours": _short(ours), "peer": _short(peer), "unit": unit,
            "ratio": None if ratio is None else round(ratio, 2), "bar": bar, "met": met, "note": note}
    print(json.dumps(line, ensure_ascii=False), flush=True)


def _short(number):
    """Four significant digits are more than any of this is worth."""
    if number is None or number == 0:
        return number
    digits = 3 - int(math.floor(math.log10(abs(number))))
    return round(number, digits) if digits > 0 else round(number)


median = statistics.median


def percentile(values, share):
    """The value below which `share` (0 to 1) of them lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def threads(pid):
    return len(os.listdir("/proc/%d/task" % pid))


def memory_kib(pid, field="Rss"):
    """Rss, Pss, Pss_Anon, … of smaps_rollup."""
    with open("/proc/%d/smaps_rollup" % pid) as rollup:
        for line in rollup:
            if line.startswith(field + ":"):
                return int(line.split()[1])
    return None


def cpu_seconds(pid):
    """User and system time of a process, all threads."""
    with open("/proc/%d/stat" % pid) as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def say(*words):
    """For people who watch; not part of the result."""
    print(*words, file=sys.stderr, flush=True)
