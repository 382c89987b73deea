"""libvirt's event loop on a thread, and waiting for events by condition, never by time."""

import threading
import time

import libvirt

_thread = None
_errors_off = None


def ensure_loop():
    """Starts the loop once; must come before the first connection."""
    global _thread, _errors_off
    if _thread:
        return
    libvirt.virEventRegisterDefaultImpl()
    # the bindings print every error to stderr unless told otherwise
    _errors_off = libvirt.registerErrorHandler(lambda _ctx, _err: None, None)

    def loop():
        while True:
            libvirt.virEventRunDefaultImpl()

    _thread = threading.Thread(target=loop, daemon=True, name="libvirt-events")
    _thread.start()


class Recorder:
    """Keeps the events of a connection: each is (event id, domain name, arguments)."""

    def __init__(self, conn, ids=None, domain=None):
        self.conn = conn
        self.seen = []
        self.cond = threading.Condition()
        self.handles = []
        for event in ids if ids is not None else [libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE]:
            self.handles.append(conn.domainEventRegisterAny(domain, event, self._take, event))

    def _take(self, _conn, dom, *args):
        event = args[-1]
        with self.cond:
            self.seen.append((event, dom.name(), args[:-1]))
            self.cond.notify_all()

    def wait(self, want, timeout=60, start=0):
        """The first event from position `start` on for which want(event, name, args) holds."""
        end = time.monotonic() + timeout
        with self.cond:
            while True:
                for item in self.seen[start:]:
                    if want(*item):
                        return item
                left = end - time.monotonic()
                if left <= 0:
                    raise AssertionError("no such event in %d s; seen: %r" % (timeout, self.seen))
                self.cond.wait(left)

    def lifecycle(self, name, event, timeout=60, start=0):
        """Waits for a lifecycle event of a domain; returns its detail."""
        found = self.wait(lambda e, n, a: e == libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE and n == name and a[0] == event,
                          timeout, start)
        return found[2][1]

    def close(self):
        for handle in self.handles:
            try:
                self.conn.domainEventDeregisterAny(handle)
            except libvirt.libvirtError:
                pass
        self.handles = []
