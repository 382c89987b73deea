"""A private place for one daemon: its own mount and network namespace, its own libvirt directories.

Stock clients and the stock daemon use fixed paths, so directories of the test are bound over them inside the namespace; the same files
are reachable from outside under `base`, so bindings in the test's own process connect to `base/run/libvirt-sock`.
Everything that runs in the namespace is killed at the end, found by its network namespace (QEMU may get a mount namespace of its own).
"""

import os
import shutil
import signal
import subprocess
import tempfile

# directory of the test -> where clients and daemons look for it
BOUND = {
    "etc": "/etc/libvirt",
    "lib": "/var/lib/libvirt",
    "log": "/var/log/libvirt",
    "cache": "/var/cache/libvirt",
    "run": "/run/libvirt",
}

_SETUP = """set -e
base=$1; uplink=$2
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/libvirt /run/lock
for pair in etc:/etc/libvirt lib:/var/lib/libvirt log:/var/log/libvirt cache:/var/cache/libvirt run:/run/libvirt; do
    mount --bind "$base/${pair%%:*}" "${pair#*:}"
done
if ! grep -q ^libvirt-qemu: /etc/passwd; then
    # the account of Debian's package, known inside only
    { cat /etc/passwd; echo libvirt-qemu:x:64055:64055::/var/lib/libvirt:/usr/sbin/nologin; } >/run/passwd
    { cat /etc/group; echo libvirt-qemu:x:64055:; } >/run/group
    chmod 644 /run/passwd /run/group
    mount --bind /run/passwd /etc/passwd
    mount --bind /run/group /etc/group
fi
ip link set lo up
ip link add name berth-br0 type bridge 2>/dev/null && ip link set berth-br0 up || :
echo ready
exec cat >/dev/null
"""


def _net_namespace(pid):
    try:
        return os.readlink("/proc/%s/ns/net" % pid)
    except OSError:
        return None


class Sandbox:
    """Use as a context manager, or start() and stop()."""

    def __init__(self, prefix="berth-"):
        # sun_path holds 108 bytes: keep it short
        self.base = tempfile.mkdtemp(prefix=prefix, dir=os.environ.get("BERTH_TEST_DIR", "/tmp"))
        os.chmod(self.base, 0o755)
        self.made = []
        self.holder = None

    def path(self, *parts):
        return os.path.join(self.base, *parts)

    def start(self):
        for name, target in BOUND.items():
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
            ["unshare", "--mount", "--net", "sh", "-c", _SETUP, "sh", self.base, ""],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        line = self.holder.stdout.readline()
        if line != "ready\n":
            raise RuntimeError("the namespace could not be made (needs root and CAP_SYS_ADMIN)")
        self.net = _net_namespace(self.holder.pid)
        if self.net == _net_namespace("self"):
            raise RuntimeError("no network namespace of our own")
        return self

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
                        import select
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
        for directory in reversed(self.made):
            try:
                os.rmdir(directory)
            except OSError:
                pass

    __enter__ = start

    def __exit__(self, *exc):
        self.stop()
