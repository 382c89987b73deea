"""A private place for one daemon: its own mount and network namespace, its own libvirt directories.

Stock clients and the stock daemon use fixed paths, so directories of the test are bound over them inside the namespace; the same files
are reachable from outside under `base`, so bindings in the test's own process connect to `base/run/libvirt-sock`.
Everything that runs in the namespace is killed at the end, found by its network namespace (QEMU may get a mount namespace of its own).
"""

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading

# directory of the test -> where clients and daemons look for it
BOUND = {
    "etc": "/etc/libvirt",
    "lib": "/var/lib/libvirt",
    "log": "/var/log/libvirt",
    "cache": "/var/cache/libvirt",
    "run": "/run/libvirt",
}

_SETUP = r"""set -e
base=$1; shift
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/libvirt /run/lock
# Whoever owns the host's node: the stock daemon probes QEMU anew before each start while the account cannot open it.
if [ -c /dev/kvm ]; then mknod -m 666 /run/kvm c 10 232; mount --bind /run/kvm /dev/kvm; fi
for pair in etc:/etc/libvirt lib:/var/lib/libvirt log:/var/log/libvirt cache:/var/cache/libvirt run:/run/libvirt; do
    mount --bind "$base/${pair%%:*}" "${pair#*:}"
done
# The account as Debian's package makes it, known inside only.
{ cat /etc/passwd; grep -q ^libvirt-qemu: /etc/passwd || echo libvirt-qemu:x:64055:64055::/var/lib/libvirt:/usr/sbin/nologin; } >/run/passwd
{
    sed -e 's/^\(kvm:[^:]*:[^:]*\):\(..*\)$/\1:\2,libvirt-qemu/' -e 's/^\(kvm:[^:]*:[^:]*\):$/\1:libvirt-qemu/' /etc/group
    grep -q ^libvirt-qemu: /etc/group || echo libvirt-qemu:x:64055:
} >/run/group
chmod 644 /run/passwd /run/group
mount --bind /run/passwd /etc/passwd
mount --bind /run/group /etc/group
ip link set lo up
ip link add name berth-br0 type bridge 2>/dev/null && ip link set berth-br0 up || :
exec "$@"
"""


def _net_namespace(pid):
    try:
        return os.readlink("/proc/%s/ns/net" % pid)
    except OSError:
        return None


class Daemon:
    """What subprocess.Popen offers, for a child of the sandbox's holder."""

    def __init__(self, pid, changed):
        self.pid = pid
        try:
            self.pidfd = os.pidfd_open(pid)
        except OSError:  # gone already: a descriptor that reads as ended
            self.pidfd, other = os.pipe()
            os.close(other)
        self.changed = changed
        self.returncode = None

    def __del__(self):
        os.close(self.pidfd)

    def poll(self):
        return self.returncode

    def wait(self, timeout):
        with self.changed:
            if not self.changed.wait_for(lambda: self.returncode is not None, timeout):
                raise subprocess.TimeoutExpired("daemon", timeout)
        return self.returncode

    def send_signal(self, number):
        try:
            signal.pidfd_send_signal(self.pidfd, number)
        except OSError:
            pass

    def terminate(self):
        self.send_signal(signal.SIGTERM)

    def kill(self):
        self.send_signal(signal.SIGKILL)


class Sandbox:
    """Use as a context manager, or start() and stop()."""

    def __init__(self, prefix="berth-"):
        # sun_path holds 108 bytes: keep it short
        self.base = tempfile.mkdtemp(prefix=prefix, dir=os.environ.get("BERTH_TEST_DIR", "/tmp"))
        os.chmod(self.base, 0o755)
        self.made = []
        self.holder = None
        self.run_dir = None

    def path(self, *parts):
        return os.path.join(self.base, *parts)

    def start(self):
        for name, target in BOUND.items():
            if name == "run" and "BERTH_RUN_DIR" in os.environ:  # a directory in memory, as /run is on a host
                self.run_dir = tempfile.mkdtemp(prefix="berth-", dir=os.environ["BERTH_RUN_DIR"])
                os.chmod(self.run_dir, 0o755)
                os.symlink(self.run_dir, self.path(name))
            else:
                os.mkdir(self.path(name), 0o755)
            if target.startswith("/run/"):
                continue
            parent = target
            missing = []
            while not os.path.isdir(parent):
                missing.append(parent)
                parent = os.path.dirname(parent)
            for directory in reversed(missing):
                os.mkdir(directory, 0o755)
                self.made.append(directory)
        os.mkdir(self.path("lib", "images"), 0o755)
        self.holder = subprocess.Popen(
            ["unshare", "--mount", "--net", "sh", "-c", _SETUP, "sh", self.base, sys.executable,
             os.path.join(os.path.dirname(os.path.abspath(__file__)), "holder.py")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if not self.holder.stdout.readline().startswith('{"ready"'):
            raise RuntimeError("the namespace could not be made (needs root and CAP_SYS_ADMIN)")
        self.net = _net_namespace(self.holder.pid)
        if self.net == _net_namespace("self"):
            raise RuntimeError("no network namespace of our own")
        return self

    def daemon(self, argv, env, out):
        """Starts a process whose orphans are reaped as init would; returns a Daemon."""
        if not hasattr(self, "daemons"):
            self.daemons = {}
            self.started = 0
            self.newest = None
            self.changed = threading.Condition()
            threading.Thread(target=self._listen, daemon=True).start()
        with self.changed:
            number = self.started
            self.holder.stdin.write(json.dumps({"argv": argv, "env": env, "out": out}) + "\n")
            self.holder.stdin.flush()
            while self.started == number:
                self.changed.wait()
            daemon, self.newest = self.newest, None  # its descriptor goes with the last who needs it
            return daemon

    def _listen(self):
        for line in self.holder.stdout:
            news = json.loads(line)
            with self.changed:
                if "status" in news:
                    self.daemons.pop(news["pid"]).returncode = os.waitstatus_to_exitcode(news["status"])
                else:
                    daemon = Daemon(news["pid"], self.changed)
                    self.daemons[news["pid"]] = daemon
                    self.newest = daemon
                    self.started += 1
                self.changed.notify_all()

    def argv(self, argv):
        """The command line that runs `argv` inside."""
        return ["nsenter", "-t", str(self.holder.pid), "-m", "-n", "--wd=/", "--"] + list(argv)

    def run(self, argv, timeout=60, **kw):
        kw.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.run(self.argv(argv), timeout=timeout, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, **kw)

    def popen(self, argv, **kw):
        return subprocess.Popen(self.argv(argv), **kw)

    def processes(self):
        """(pid, argv) of all that runs inside, the holder aside."""
        found = []
        for name in os.listdir("/proc"):
            if name.isdigit() and int(name) != self.holder.pid and _net_namespace(name) == self.net:
                try:
                    with open("/proc/%s/cmdline" % name, "rb") as cmdline:
                        argv = cmdline.read().decode(errors="replace").split("\0")[:-1]
                except OSError:
                    continue
                if argv:
                    found.append((int(name), argv))
        return found

    def qemus(self):
        """(pid, argv) of the QEMU processes that run guests (probes for capabilities aside)."""
        return [(pid, argv) for pid, argv in self.processes()
                if "qemu-system" in argv[0] and any(a.startswith("guest=") for a in argv)]

    def stop(self):
        if self.holder:
            for _ in range(5):
                alive = self.processes()
                if not alive:
                    break
                for pid, _ in alive:
                    try:
                        pidfd = os.pidfd_open(pid)
                    except OSError:
                        continue
                    try:
                        if _net_namespace(pid) == self.net:
                            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
                        select.select([pidfd], [], [], 5)
                    except OSError:
                        pass
                    finally:
                        os.close(pidfd)
            self.holder.stdin.close()
            self.holder.wait(10)
            self.holder.stdout.close()
            self.holder = None
        if os.environ.get("BERTH_KEEP"):
            print("kept:", self.base)
        else:
            shutil.rmtree(self.base, ignore_errors=True)
            if self.run_dir:
                shutil.rmtree(self.run_dir, ignore_errors=True)
        for directory in reversed(self.made):
            try:
                os.rmdir(directory)
            except OSError:
                pass

    __enter__ = start

    def __exit__(self, *exc):
        self.stop()
