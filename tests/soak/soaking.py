"""What the soaks share: a daemon with guests that can be started, the crowd of tests/soak/load.c, and what is left when it has gone.

The environment names the programs: BERTHD the daemon, BERTH_LOAD the crowd, BERTH_HEAP the library that says what the heap has in use.
"""

import collections
import json
import os
import random
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import uuid

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

from lib import procfs, rawrpc, server as servers, xml as guest_xml  # noqa: E402

CONF = "max_clients = 5000\nmax_queued_clients = 5000\nmax_client_requests = 20\nmax_workers = 40\n"
SANITIZER = re.compile(r"AddressSanitizer|LeakSanitizer|ThreadSanitizer|runtime error:|ERROR \*\*|assertion|CRITICAL \*\*|WARNING \*\*")

Left = collections.namedtuple("Left", "fds threads heap rss files cgroups")


def number(name, default):
    """A count from the environment."""
    return int(os.environ.get(name, default))


class Daemon(servers.Berthd):
    """The daemon under soak; `heap`: its heap can be asked for, which needs a build without sanitizers."""

    def __init__(self, heap=False, wrapper=(), env=None, **kw):
        kw.setdefault("libvirtd_conf", CONF)
        super().__init__(**kw)
        self.heap = heap
        self.wrapper = list(wrapper)
        self.more_env = env or {}
        self.guests = []

    def argv(self):
        return self.wrapper + super().argv()

    def environment(self):
        env = super().environment()
        if self.heap:
            env["LD_PRELOAD"] = os.environ["BERTH_HEAP"]
            env["GLIBC_TUNABLES"] = "glibc.malloc.tcache_count=0"  # what a thread keeps for itself counts as in use
            env["BERTH_HEAP_SOCKET"] = self.box.path("heap")
        env.update(self.more_env)
        return env

    # ---- guests ------------------------------------------------------------------------------

    def add_guests(self, count):
        """Machines with one of each device that leaves something behind: image, tap, pty, sockets."""
        for i in range(count):
            name = "guest-%d" % i
            ident = uuid.uuid5(uuid.NAMESPACE_DNS, name)
            image = self.image(name + ".img", "1M", "raw")
            xml = guest_xml.domain(name, uuid=ident, memory=16, memballoon="<memballoon model='virtio'/>", devices=guest_xml.disk(
                image, fmt="raw") + """
    <interface type='bridge'><source bridge='berth-br0'/><model type='virtio'/></interface>
    <channel type='unix'><target type='virtio' name='org.example.soak'/></channel>
    <graphics type='vnc' port='-1' autoport='yes' listen='127.0.0.1'/>
    <video><model type='vga' vram='16384'/></video>""")
            path = self.file(name + ".xml", xml)
            self.guests.append("%s=%s=%s" % (name, ident, path))
            self.sh("define", path)

    def start_guests(self):
        for guest in self.guests:
            self.sh("start", guest.split("=")[0])

    def put_back(self):
        """Stops all, undefines what clients defined, and makes the guests what they were."""
        self.stop_guests()
        for line in self.sh("list", "--all", "--name").split():
            self.sh("undefine", line)
        for guest in self.guests:
            self.sh("define", guest.split("=")[2])

    def stop_guests(self):
        for line in self.sh("list", "--name").split():
            self.virsh("destroy", line)
        for _ in range(100):
            if not self.box.qemus():
                return
            time.sleep(0.1)
        assert self.box.qemus() == []

    # ---- the crowd -----------------------------------------------------------------------------

    def load(self, calls, clients=64, seed=1, power=4, timeout=None):
        """Runs the crowd; returns its counts."""
        template = self.file("domain.xml", guest_xml.domain("@NAME@", uuid="@UUID@", memory=16, memballoon="<memballoon model='none'/>"))
        argv = [os.environ["BERTH_LOAD"], "--calls", str(calls), "--clients", str(clients), "--seed", str(seed), "--power", str(power),
                "--domain", template]
        for guest in self.guests:
            argv += ["--guest", guest]
        argv += [self.socket, self.box.path("run", "libvirt-sock-ro")]
        began = time.monotonic()
        done = subprocess.run(argv, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, timeout=timeout)
        lived = "" if self.process.poll() is None else "the daemon ended\n"
        assert not lived and done.returncode == 0, "%s%s%s\n%s" % (lived, done.stderr[-2000:], self.report(), self.text())
        counts = json.loads(done.stdout)
        counts["seconds"] = round(time.monotonic() - began, 1)
        print(json.dumps(counts), flush=True)
        return counts

    def administrator(self, seed=1):
        """Administers the daemon until end() is called; what it set is then as it was."""
        return Administrator(self, seed)

    def killer(self, seed=1, pause=1.0):
        """Kills, stops and continues guests at random until end() is called."""
        return Killer(self, seed, pause)

    # ---- what is left ----------------------------------------------------------------------------

    def symbolizers_pipes(self):
        """The sanitizer's own: it starts a symbolizer with the first report, also with one that is suppressed."""
        found = set()
        for pid, argv in self.box.processes():
            if "symbolizer" in os.path.basename(argv[0]):
                try:
                    found |= set(procfs.open_files(pid))
                except FileNotFoundError:
                    pass
        return {name for name in found if name.startswith("pipe:")}

    def descriptors(self):
        pid = self.process.pid
        found = []
        foreign = self.symbolizers_pipes()
        for fd in os.listdir("/proc/%d/fd" % pid):
            try:
                link = os.readlink("/proc/%d/fd/%s" % (pid, fd))
                if link in foreign:
                    continue
                name = re.sub(r"\[\d+\]", "", link)
                if name == "anon_inode:[pidfd]":
                    with open("/proc/%d/fdinfo/%s" % (pid, fd)) as info:
                        name += " of " + self.process_state(re.search(r"^Pid:\s*(-?\d+)", info.read(), re.M).group(1))
                found.append(name)
            except FileNotFoundError:
                pass
        # sd-event makes one timerfd a loop and clock when first needed, and keeps it
        return sorted(fd for fd in found if "timerfd" not in fd)

    @staticmethod
    def process_state(pid):
        try:
            with open("/proc/%s/stat" % pid) as stat:
                head, _, rest = stat.read().rpartition(")")
                ended = rest.split()[0] in "ZX"  # whether it runs or sleeps at this moment is no difference
                return head.partition("(")[2] + (" that has ended" if ended else "")
        except FileNotFoundError:
            return "a process that is reaped"

    def heap_in_use(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            path = self.box.path("asker")
            if os.path.exists(path):
                os.unlink(path)
            sock.bind(path)
            sock.settimeout(60)
            sock.sendto(b"?", self.box.path("heap"))
            return int(sock.recv(200).split()[0])

    def resident_kib(self):
        with open("/proc/%d/smaps_rollup" % self.process.pid) as rollup:
            return int(re.search(r"Rss:\s+(\d+)", rollup.read()).group(1))

    def left(self):
        pid = self.process.pid
        files = []
        for where in ("run", "etc", "lib"):
            for directory, _, names in os.walk(self.box.path(where)):
                files += [os.path.join(directory, name) for name in names if not name.startswith("asker")]
        cgroups = 0
        for directory, names, _ in os.walk("/sys/fs/cgroup"):
            cgroups += sum(1 for name in names if name.startswith("machine-qemu") or name.endswith(".libvirt-qemu"))
        heap = self.heap_in_use() if self.heap else 0
        return Left(self.descriptors(), len(os.listdir("/proc/%d/task" % pid)), heap, self.resident_kib(), sorted(files), cgroups)

    def settled(self, fds=None, threads=0, seconds=45, heap=None):
        """left(), when idle workers have ended, calls whose clients have gone are over and, where `heap` is said, no more of it is in use (a
        connection is closed before it is freed); nothing tells when that is."""
        end = time.monotonic() + seconds
        while True:
            if self.guests and any("pidfd" in fd for fd in self.descriptors()):
                # a child that opened images and died too slowly is reaped when the next one is made
                self.virsh("domblkinfo", self.guests[0].split("=")[0], "vda")
            now = self.descriptors(), len(os.listdir("/proc/%d/task" % self.process.pid))
            if (now[0] == fds and now[1] <= threads) or time.monotonic() > end:
                left = self.left()
                if heap is None or left.heap < heap or time.monotonic() > end:
                    return left
            time.sleep(0.3)

    def report(self):
        """The first of the sanitizer's, if there is one."""
        with open(self.box.path("output"), errors="replace") as output:
            found = re.search(r"^.*(?:WARNING|ERROR): \w+Sanitizer.*?^(?:SUMMARY.*?$|\Z)", output.read(), re.M | re.S)
            return "\n" + found.group(0)[:6000] if found else ""

    def clean_log(self):
        with open(self.box.path("output"), errors="replace") as output:
            found = [line for line in output if SANITIZER.search(line)]
        assert not found, self.text()


class Killer(threading.Thread):
    def __init__(self, daemon, seed, pause):
        super().__init__()
        self.server = daemon
        self.rnd = random.Random(seed)
        self.pause = pause
        self.over = threading.Event()
        self.kills = self.stops = 0
        self.start()

    def run(self):
        while not self.over.wait(self.rnd.random() * 2 * self.pause):
            qemus = self.server.box.qemus()
            if not qemus:
                continue
            pid = self.rnd.choice(qemus)[0]
            manner = self.rnd.randrange(3)
            try:
                if manner < 2:
                    os.kill(pid, signal.SIGKILL if manner == 0 else signal.SIGTERM)
                    self.kills += 1
                else:
                    os.kill(pid, signal.SIGSTOP)
                    self.stops += 1
                    self.over.wait(self.rnd.random())
                    os.kill(pid, signal.SIGCONT)
            except ProcessLookupError:
                pass

    def end(self):
        self.over.set()
        self.join()


class Administrator(threading.Thread):
    """One of the crowd on the admin socket: looks at everything, changes what there is to be changed, disconnects clients of its own, and has
    the configuration read again."""

    PROGRAM = 0x06900690
    OPEN, CLOSE, SERVERS, POOL, SET_POOL, CLIENTS, CLIENT_INFO, DISCONNECT, LIMITS, SET_LIMITS, OUTPUTS, FILTERS, SET_FILTERS, UPDATE_TLS, TIMEOUT = \
        1, 2, 4, 6, 7, 8, 10, 11, 12, 13, 14, 15, 17, 18, 19
    LIBVIRTD, NO_FLAGS = rawrpc.string("libvirtd"), struct.pack(">I", 0)

    def __init__(self, daemon, seed):
        super().__init__()
        self.server = daemon
        self.rnd = random.Random(seed)
        self.over = threading.Event()
        self.calls = self.refused = 0
        self.failure = None
        self.start()

    def call(self, proc, body=b""):
        reply = self.client.call(proc, body + (b"" if proc == self.CLOSE else self.NO_FLAGS), prog=self.PROGRAM)
        self.calls += 1
        self.refused += reply.status != rawrpc.OK
        return reply

    def params(self, **values):
        return struct.pack(">I", len(values)) + b"".join(rawrpc.string(name) + struct.pack(">II", 2, value) for name, value in values.items())

    def ref(self, number):
        """A client, as the calls about one name it."""
        return self.LIBVIRTD + struct.pack(">QqI", number, 0, 0)

    def clients(self):
        """Numbers of those who are there."""
        reply = self.call(self.CLIENTS, self.LIBVIRTD + struct.pack(">I", 1))
        if reply.status != rawrpc.OK:
            return []
        count, = struct.unpack_from(">I", reply.body)
        size = len(self.ref(0))
        return [struct.unpack_from(">Q", reply.body, 4 + i * size + len(self.LIBVIRTD))[0] for i in range(count)]

    def look(self):
        self.call(self.SERVERS, struct.pack(">I", 1))
        for proc in (self.POOL, self.LIMITS):
            self.call(proc, self.LIBVIRTD)
        for proc in (self.OUTPUTS, self.FILTERS):
            self.call(proc)
        for number in self.rnd.choices(self.clients() or [0], k=5):
            self.call(self.CLIENT_INFO, self.ref(number))

    def change(self):
        self.call(self.SET_POOL, self.LIBVIRTD + self.params(minWorkers=self.rnd.randrange(4), maxWorkers=self.rnd.randrange(4, 60),
                                                             prioWorkers=self.rnd.randrange(6)))
        self.call(self.SET_LIMITS, self.LIBVIRTD + self.params(nclients_max=self.rnd.randrange(4000, 6000)))
        self.call(self.SET_FILTERS, rawrpc.optional(rawrpc.string(self.rnd.choice(["", "4:rpc", "3:daemon 4:qemu"]))))
        self.call(self.UPDATE_TLS, self.LIBVIRTD)
        self.call(self.TIMEOUT, struct.pack(">I", self.rnd.choice([0, 3600])))

    def disconnect(self):
        before = set(self.clients())
        with rawrpc.Client(self.server.socket).open():
            for number in sorted(set(self.clients()) - before)[-1:]:
                if self.is_mine(number):
                    self.call(self.DISCONNECT, self.ref(number))

    def is_mine(self, number):
        """The crowd is another process."""
        info = self.call(self.CLIENT_INFO, self.ref(number))
        field = rawrpc.string("unix_process_id") + struct.pack(">Ii", 1, os.getpid())
        return info.status == rawrpc.OK and field in info.body

    def run(self):
        try:
            while not self.over.is_set():
                with rawrpc.Client(self.server.box.path("run", "libvirt-admin-sock"), timeout=240) as self.client:
                    self.call(self.OPEN)
                    for _ in range(self.rnd.randrange(1, 30)):
                        self.rnd.choice([self.look, self.look, self.change, self.disconnect])()
                if self.rnd.randrange(4) == 0:
                    self.server.process.send_signal(signal.SIGHUP)
        except Exception as error:  # told where the test waits
            self.failure = error

    def end(self):
        self.over.set()
        self.join()
        assert self.failure is None, repr(self.failure)
        self.server.reload()
