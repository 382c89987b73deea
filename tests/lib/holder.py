"""Runs inside a sandbox's namespaces, starts daemons there, and reaps whatever they leave behind (as init would).

Lines in: {"argv": […], "env": {…}, "out": path}.  Lines out: {"pid": n} once started, {"pid": n, "status": wait status} at its end.
Ends when stdin does.
"""

import ctypes
import json
import os
import resource
import select
import signal
import sys

PR_SET_CHILD_SUBREAPER = 36


def say(**what):
    os.write(1, json.dumps(what).encode() + b"\n")


def start(order):
    pid = os.fork()
    if pid == 0:
        try:
            os.setsid()
            # what systemd gives; the stock daemon walks all possible descriptors at each fork
            hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(8192, hard), hard))
            signal.pthread_sigmask(signal.SIG_SETMASK, [])
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.set_wakeup_fd(-1)
            null = os.open("/dev/null", os.O_RDONLY)
            out = os.open(order["out"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            os.dup2(null, 0)
            os.dup2(out, 1)
            os.dup2(out, 2)
            os.closerange(3, 256)
            os.execvpe(order["argv"][0], order["argv"], order["env"])
        except BaseException as why:  # whatever it is, the child ends here
            os.write(2, ("cannot run: %r\n" % why).encode())
        os._exit(127)
    say(pid=pid)
    return pid


def kill_all(outside):
    """Whoever ran the test is gone: nothing of the namespace outlives it."""
    ours = os.readlink("/proc/self/ns/net")
    if ours == outside:  # no namespace of our own: touch nothing
        return
    for name in os.listdir("/proc"):
        try:
            if name.isdigit() and int(name) != os.getpid() and os.readlink("/proc/%s/ns/net" % name) == ours:
                os.kill(int(name), signal.SIGKILL)
        except OSError:
            pass


def main():
    outside = os.readlink("/proc/%d/ns/net" % os.getppid())
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    wake_r, wake_w = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake_w)
    ours = set()
    buffered = b""
    say(ready=os.getpid())
    while True:
        readable, _, _ = select.select([0, wake_r], [], [])
        if wake_r in readable:
            os.read(wake_r, 4096)
            while True:
                try:
                    pid, status = os.waitpid(-1, os.WNOHANG)
                except ChildProcessError:
                    break
                if pid == 0:
                    break
                if pid in ours:
                    ours.discard(pid)
                    say(pid=pid, status=status)
        if 0 in readable:
            data = os.read(0, 65536)
            if not data:
                kill_all(outside)
                return
            buffered += data
            while b"\n" in buffered:
                line, buffered = buffered.split(b"\n", 1)
                ours.add(start(json.loads(line)))


if __name__ == "__main__":
    main()
    sys.exit(0)
