"""The other side of src/util/fault.c: a control file shared with a daemon built with --enable-faults."""

import mmap
import os
import struct

MAGIC = 0x544c4642
OFF, RECORD, INJECT = range(3)
ERRNO, KILL_DAEMON, KILL_QEMU, STOP_QEMU, CLOSE = range(5)
ACTIONS = {"errno": ERRNO, "kill-daemon": KILL_DAEMON, "kill-qemu": KILL_QEMU, "stop-qemu": STOP_QEMU, "close": CLOSE}

# struct Control
_HEAD = struct.Struct("=IIIIIiiiiIIBxxxIIII192s256s")
_NAME, _ENTRIES = 252, 2048
_SEEN = 4 + _NAME
SIZE = _HEAD.size + _SEEN * _ENTRIES
_FIELDS = ("magic", "mode", "nth", "persistent", "action", "error", "daemon_pid", "qemu_pid", "newest_child", "matches", "fired",
           "busy", "n_seen", "r0", "r1", "r2", "pattern", "fired_name")


class Faults:
    def __init__(self, path):
        self.path = path
        with open(path, "wb") as out:
            out.truncate(SIZE)
        with open(path, "r+b") as both:
            self.map = mmap.mmap(both.fileno(), SIZE)
        self._write(mode=OFF)

    def close(self):
        self.map.close()

    def _read(self):
        return dict(zip(_FIELDS, _HEAD.unpack_from(self.map, 0)))

    def _write(self, mode=OFF, nth=0, persistent=0, action=0, error=0, qemu_pid=0, pattern=b""):
        """Everything but who the daemon is; the mode last."""
        now = self._read()
        values = dict(magic=MAGIC, mode=OFF, nth=nth, persistent=persistent, action=action, error=error,
                      daemon_pid=now["daemon_pid"], qemu_pid=qemu_pid, newest_child=0, matches=0, fired=0, busy=0,
                      n_seen=0, r0=0, r1=0, r2=0, pattern=pattern, fired_name=b"")
        struct.pack_into("=I", self.map, 4, OFF)
        _HEAD.pack_into(self.map, 0, *(values[f] for f in _FIELDS))
        struct.pack_into("=I", self.map, 4, mode)

    def off(self):
        struct.pack_into("=I", self.map, 4, OFF)

    def record(self):
        self._write(mode=RECORD)

    def recorded(self):
        """{name: how often} in the order first passed."""
        self.off()
        found = {}
        for i in range(self._read()["n_seen"]):
            count, name = struct.unpack_from("=I%ds" % _NAME, self.map, _HEAD.size + i * _SEEN)
            found[name.split(b"\0")[0].decode()] = count
        return found

    def inject(self, pattern, nth=1, persistent=False, action="errno", error=0, qemu_pid=0):
        self._write(mode=INJECT, nth=nth, persistent=int(persistent), action=ACTIONS[action], error=error, qemu_pid=qemu_pid,
                    pattern=pattern.encode()[:191])

    @property
    def fired(self):
        return self._read()["fired"]

    @property
    def fired_name(self):
        return self._read()["fired_name"].split(b"\0")[0].decode()
