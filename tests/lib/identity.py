"""Connections and commands as somebody else.

The kernel's word about a peer is that of the moment it connected: a child becomes the user, connects, and hands the socket over.
"""

import os
import socket
import subprocess

from . import rawrpc


def connected(path, uid, gid=None, groups=()):
    """A socket connected to `path` by a process of these ids."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                os.setgroups(list(groups))
                os.setresgid(*[gid if gid is not None else uid] * 3)
                os.setresuid(uid, uid, uid)
                with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
                    sock.connect(path)
                    socket.send_fds(theirs, [b"x"], [sock.fileno()])
                code = 0
            finally:
                os._exit(code)
        _, status = os.waitpid(pid, 0)
        assert status == 0, "connecting to %s as %d failed" % (path, uid)
        _, fds, _, _ = socket.recv_fds(ours, 1, 1)
        return socket.socket(fileno=fds[0])


def start_time(pid):
    """When a process started, in clock ticks since boot: with its number it is one process and no other."""
    with open("/proc/%d/stat" % pid) as stat:
        return int(stat.read().rsplit(")", 1)[1].split()[19])


class Client(rawrpc.Client):
    """A bare client of the wire that connected as `uid`."""

    def __init__(self, path, uid, gid=None, groups=(), timeout=60):
        self.sock = connected(path, uid, gid, groups)
        self.sock.settimeout(timeout)
        self.serial = 0


def virsh(server, uid, *args, gid=None, groups=(), readonly=False, timeout=120, env=None):
    """Stock virsh inside the sandbox as `uid`; a subprocess.CompletedProcess."""
    groups = ["--groups", ",".join(map(str, groups))] if groups else ["--clear-groups"]
    argv = ["setpriv", "--reuid", str(uid), "--regid", str(gid if gid is not None else uid)] + groups
    argv += ["virsh", "-c", "qemu:///system"] + (["-r"] if readonly else []) + [str(a) for a in args]
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C", "HOME": "/", "TZ": "UTC", **(env or {})}
    return subprocess.run(server.box.argv(argv), env=environment, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=timeout)
