"""The scripted tour gives with berthd what it gives with the stock daemon of libvirt 9.0.

Steps that differ on purpose are listed, with the reason, in the table of docs/differences.md; a step may be a pattern.  A difference that
is not listed fails, and so does a listed one that is none any more.
"""

import difflib
import fnmatch
import os
import re

import pytest

from lib import server as servers
from tour.tour import Tour  # noqa: E402

DIFFERENCES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs", "differences.md")


def listed():
    """First column of the rows of the table: step names in back quotes, several with commas."""
    patterns = []
    with open(DIFFERENCES) as text:
        for line in text:
            row = re.match(r"\| *(`[^|]*`) *\|", line)
            if row:
                patterns += re.findall(r"`([^`]+)`", row.group(1))
    return patterns


def tour(kind, guest):
    instance = servers.new(kind).open()
    try:
        return Tour(instance, guest).run()
    finally:
        instance.close()


def difference(ours, theirs):
    return "\n".join(difflib.unified_diff((theirs or "(no such step)").splitlines(), (ours or "(no such step)").splitlines(),
                                          "libvirtd", "berthd", lineterm="", n=2))


def test_tour_gives_what_libvirt_gives(guest, pytestconfig):
    if os.geteuid() != 0:
        pytest.fail("namespaces of our own need root")
    if not servers.peer_available():
        pytest.fail("no stock libvirtd here: build-aux/install-deps.sh installs it")
    assert servers.Berthd.binary(), "BERTHD names no binary"
    theirs = tour("peer", guest)
    ours = tour("berthd", guest)
    differing = {name: difference(ours.get(name), theirs.get(name))
                 for name in list(theirs) + [n for n in ours if n not in theirs] if ours.get(name) != theirs.get(name)}
    patterns = listed()
    unlisted = [name for name in differing if not any(fnmatch.fnmatchcase(name, p) for p in patterns)]
    stale = [p for p in patterns if not fnmatch.filter(differing, p)]
    print("%d steps, %d the same, %d differ as listed" % (len(theirs), len(theirs) - len(differing), len(differing) - len(unlisted)))
    assert not unlisted, "%d of %d steps differ and are not in docs/differences.md:\n%s" % (
        len(unlisted), len(theirs), "\n".join("---- %s\n%s" % (name, differing[name]) for name in unlisted))
    assert not stale, "listed in docs/differences.md and no difference any more: " + ", ".join(stale)
