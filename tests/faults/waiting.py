"""Waiting for what nobody announces, with an end."""

import select
import time

SETTLE = 10  # seconds in which what goes on in the background has to end


class Wrong(AssertionError):
    pass


def eventually(what, ask, timeout=SETTLE):
    """Waits until ask() returns nothing wrong (None or empty); the daemon's descriptors have nobody who tells of their end."""
    end = time.monotonic() + timeout
    while True:
        wrong = ask()
        if not wrong:
            return
        if time.monotonic() > end:
            raise Wrong("%s: %s" % (what, wrong))
        select.select([], [], [], 0.02)
