"""The daemon is killed at each step of each block job, and QEMU stopped: nothing is lost, definitions are true, the data is what it was.

In CI a sample of the points of every story; all of them with BERTH_SOAK=1 (`make soak`).
"""

import os
import select
import signal
import socket
import threading

import pytest

from blockjob_stories import ASKED_AGAIN, STORIES, interesting, learn

MOST = 5  # points of a story in CI


def run_until_killed(server, story, conn):
    """Runs the story on a thread, for it may wait for an event that never comes; returns its error, or None."""
    result = []
    ours, theirs = socket.socketpair()

    def body():
        try:
            story.run(conn)
        except BaseException as e:  # noqa: B902  the test's
            result.append(e)
        theirs.close()

    threading.Thread(target=body, daemon=True).start()
    ready, _, _ = select.select([ours, server.process.pidfd], [], [], 120)
    ours.close()
    assert ready, "neither ended nor killed"
    return result[0] if result else None


def one(server, story, point, nth, action):
    conn = server.connect()
    story.prepare(conn)
    server.faults.inject(point, nth, action=action)
    error = run_until_killed(server, story, conn)
    fired = server.faults.fired
    server.faults.off()
    if not fired:
        assert not error, error
        return False
    server.process.wait(30)
    server.start()
    conn = server.connect()
    story.check(story.settle(conn))
    conn.close()
    return True


@pytest.mark.parametrize("cls", STORIES + ASKED_AGAIN, ids=lambda c: c.__name__)
def test_daemon_killed(shared, cls):
    story = cls(shared)
    points = learn(shared, story)
    fired, wrong = 0, []
    runs = interesting(points, MOST)
    for point, nth in runs:
        # the client notices the end of its connection, or its last event never comes: both end run()
        try:
            fired += one(shared, story, point, nth, "kill-daemon")
        except AssertionError as e:
            wrong.append("%s (%d): %s" % (point, nth, e))
            shared.faults.off()
            if shared.process.poll() is None:
                shared.stop(9)
            for pid, _ in shared.box.qemus():
                os.kill(pid, signal.SIGKILL)
            shared.start()
    print("%s: %d points, %d runs, killed in %d" % (cls.__name__, len(points), len(runs), fired))
    assert not wrong, "\n\n".join(wrong)
    assert fired
