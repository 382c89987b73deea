"""A host with a real systemd as its first process: the units that `make install` puts there, run by what runs them on Debian 12.

Namespaces of their own for processes, mounts, network, control groups; the root is an overlay of this machine's, kept in memory, with none of
its units enabled, no kernel parameter writable, and directories of libvirt that are empty.  What the host did is in its journal, which is
followed: whoever waits, waits for a line of it.
"""

import os
import select
import shutil
import socket
import subprocess
import tempfile
import threading
import time

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")

_BOOT = r"""set -e
base=$1 installed=$2
root=$base/root
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs "$base"
mkdir "$base/upper" "$base/work" "$root"
mount -t overlay -o "lowerdir=/,upperdir=$base/upper,workdir=$base/work" overlay "$root"
mount -t proc proc "$root/proc"
mount --bind "$root/proc/sys" "$root/proc/sys"
mount -o remount,ro,bind "$root/proc/sys"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for node in null zero full random urandom tty; do
    touch "$root/dev/$node"
    mount --bind "/dev/$node" "$root/dev/$node"
done
mkdir "$root/dev/pts" "$root/dev/shm" "$root/run/host" "$root/run/host/notify"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
mount -t tmpfs tmpfs "$root/dev/shm"
mount --bind "$3" "$root/run/host/notify"
mount -t tmpfs tmpfs "$root/tmp"
mount -t tmpfs -o mode=755 tmpfs "$root/var/log"
rm -rf "$root"/etc/systemd/system/* "$root/etc/libvirt" "$root/var/lib/libvirt" "$root/var/cache/libvirt"
# accounts that are to be made
sed -i -e '/^libvirt/d' -e 's/libvirt-qemu//' "$root/etc/passwd" "$root/etc/group" "$root/etc/shadow" "$root/etc/gshadow"
# what would reach for the kernel or for disks of the machine outside
for unit in systemd-remount-fs systemd-modules-load; do ln -s /dev/null "$root/etc/systemd/system/$unit.service"; done
echo 0123456789abcdef0123456789abcdef >"$root/etc/machine-id"
cp -a "$installed/." "$root/"
ip link set lo up
mkdir -p "$root/run/outside"
cd "$root"
pivot_root . run/outside
umount -l /run/outside
exec env -i container=berth PATH=/usr/sbin:/usr/bin:/sbin:/bin NOTIFY_SOCKET=/run/host/notify/socket \
    /lib/systemd/systemd --system --unit=basic.target --show-status=false
"""


def _cgroup2():
    with open("/proc/mounts") as mounts:
        for line in mounts:
            _, where, kind = line.split()[:3]
            if kind == "cgroup2":
                return where
    raise RuntimeError("no cgroup v2 hierarchy is mounted here")


def install(destination):
    """What `make install` of the build under test makes, below `destination`."""
    build = os.path.dirname(os.path.abspath(os.environ["BERTHD"]))
    with open(os.path.join(build, "systemd", "berthd.service")) as unit:
        if "ExecStart=/usr/sbin/berthd" not in unit.read():
            raise RuntimeError("%s is not configured as it would be installed: --prefix=/usr --sysconfdir=/etc --localstatedir=/var "
                               "--runstatedir=/run" % build)
    done = subprocess.run(["make", "-C", build, "install", "DESTDIR=" + destination], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True)
    if done.returncode:
        raise RuntimeError(done.stdout)


class Host:
    """Use as a context manager."""

    def __init__(self):
        self.base = tempfile.mkdtemp(prefix="berth-sd-", dir=os.environ.get("BERTH_TEST_DIR", "/tmp"))
        self.cgroup = os.path.join(_cgroup2(), os.path.basename(self.base))
        self.lines = []
        self.changed = threading.Condition()
        self.process = self.journal = None

    def path(self, path):
        """A file of the host, seen from here."""
        return "/proc/%d/root%s" % (self.pid, path)

    def __enter__(self):
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _start(self):
        for name in ("root", "installed", "notify"):
            os.mkdir(os.path.join(self.base, name))
        install(os.path.join(self.base, "installed"))
        os.mkdir(self.cgroup)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind(os.path.join(self.base, "notify", "socket"))
            self.process = subprocess.Popen(
                ["unshare", "--pid", "--mount", "--net", "--uts", "--ipc", "--fork", "--kill-child", "sh", "-c",
                 'echo 0 >"$1/cgroup.procs"; shift; exec unshare --cgroup sh -c "$@"', "sh", self.cgroup, _BOOT, "sh",
                 os.path.join(self.base, "root"), os.path.join(self.base, "installed"), os.path.join(self.base, "notify")],
                stdin=subprocess.DEVNULL, stdout=open(os.path.join(self.base, "output"), "wb"), stderr=subprocess.STDOUT)
            self._wait_until_up(notify)
        with open("/proc/%d/task/%d/children" % (self.process.pid, self.process.pid)) as children:
            self.pid = int(children.read().split()[0])
        self.journal = self.popen(["journalctl", "-f", "-n", "all", "-o", "cat"], stdout=subprocess.PIPE, text=True, errors="replace")
        threading.Thread(target=self._follow, daemon=True).start()

    def _wait_until_up(self, notify):
        pidfd = os.pidfd_open(self.process.pid)
        end = time.monotonic() + 120
        try:
            while True:
                ready = select.select([notify, pidfd], [], [], max(0, end - time.monotonic()))[0]
                if pidfd in ready or not ready:
                    with open(os.path.join(self.base, "output")) as output:
                        raise RuntimeError("systemd did not come up: " + output.read())
                if b"READY=1" in notify.recv(4096).split(b"\n"):
                    return
        finally:
            os.close(pidfd)

    def _follow(self):
        for line in self.journal.stdout:
            with self.changed:
                self.lines.append(line.rstrip("\n"))
                self.changed.notify_all()

    def said(self, text, after=0, timeout=60):
        """Waits for a line of the journal with `text`, number `after` or later; returns the number of the next."""
        with self.changed:
            def find():
                return next((i + 1 for i in range(after, len(self.lines)) if text in self.lines[i]), None)
            found = self.changed.wait_for(find, timeout)
            assert found, "not in the journal: %s\n%s" % (text, "\n".join(self.lines[after:]))
            return found

    def now(self):
        """Where the journal is: what is said later has this number or a higher one."""
        mark = "mark %d" % time.monotonic_ns()
        self.run("systemd-cat", "-t", "test", "echo", mark)
        return self.said(mark)

    def popen(self, argv, stdin=subprocess.DEVNULL, **kw):
        return subprocess.Popen(["nsenter", "-t", str(self.pid), "--pid", "--mount", "--net", "--uts", "--ipc", "--cgroup", "--root=/proc/%d/root"
                                 % self.pid, "--wd=/proc/%d/root" % self.pid, "--", "env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root",
                                 "LC_ALL=C"] + list(argv), stdin=stdin, **kw)

    def run(self, *argv, ok=True, timeout=90):
        """Runs a command inside and returns what it said on both outputs; with ok=None whatever its exit status."""
        with self.popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as child:
            try:
                out = child.communicate(timeout=timeout)[0]
            except subprocess.TimeoutExpired:
                child.kill()
                raise
        assert ok is None or (child.returncode == 0) == ok, "%s: %d\n%s\n%s" % (" ".join(argv), child.returncode, out, "\n".join(self.lines[-40:]))
        return out.strip()

    def show(self, unit, name):
        return self.run("systemctl", "show", "--value", "-p", name, unit)

    def write(self, path, text):
        os.makedirs(os.path.dirname(self.path(path)), exist_ok=True)
        with open(self.path(path), "w") as out:
            out.write(text)

    def __exit__(self, *exc):
        if self.process:
            self.process.kill()  # and with it the first process inside, and with that one all others
            self.process.wait()
        if self.journal:
            self.journal.wait()
        self._remove_cgroups()
        if os.environ.get("BERTH_KEEP"):
            print("kept:", self.base)
        else:
            shutil.rmtree(self.base, ignore_errors=True)

    def _remove_cgroups(self):
        if not os.path.isdir(self.cgroup):
            return
        events = os.open(os.path.join(self.cgroup, "cgroup.events"), os.O_RDONLY)
        try:
            poll = select.poll()
            poll.register(events, select.POLLPRI)
            while b"populated 1" in os.pread(events, 4096, 0):
                if not poll.poll(30000):
                    return
        finally:
            os.close(events)
        for directory, _, _ in os.walk(self.cgroup, topdown=False):
            os.rmdir(directory)
