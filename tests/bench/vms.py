"""Machines for the benches: a daemon in a sandbox with many small guests, and the same guests without a daemon.

The guests are real QEMU processes with real devices under TCG.  Only their firmware is replaced (bound over SeaBIOS in the sandbox): it halts at
the first instruction, so that a hundred of them cost the machine no CPU and what is measured is the daemon and QEMU.
"""

import os
import select
import shutil
import struct
import subprocess
import sys
import time
import uuid

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

from lib import bench, rawrpc, server as servers, xml  # noqa: E402

# In production /run is memory.  On disk, how quick the file system finds a free inode would be a good part of what is measured.
if os.path.isdir("/dev/shm"):
    os.environ.setdefault("BERTH_TEST_DIR", "/dev/shm")

FIRMWARE = "/usr/share/seabios/bios-256k.bin"
IMAGES = "/var/lib/libvirt/images"
CREATE, DESTROY, INFO, STATE, SUSPEND, RESUME, ALL_DOMAINS, ALL_STATS = 196, 12, 16, 212, 34, 28, 273, 344
NOWAIT = 1 << 29


def halting_firmware():
    """256 KiB whose reset vector is cli; hlt; jmp back."""
    rom = bytearray(262144)
    rom[0x3fff0:0x3fff4] = b"\xfa\xf4\xeb\xfd"
    return bytes(rom)


class Host:
    """A daemon with `count` guests defined: names are vm-0, vm-1, …"""

    def __init__(self, kind, count, memory=32, emulator=None, disk=True, console=True, **kw):
        self.kind, self.count = kind, count
        self.server = servers.new(kind, **kw)
        self.memory, self.emulator, self.disk = memory, emulator, disk
        self.extra = {} if console else {"console": ""}
        self.clients = []

    def __enter__(self):
        self.server.box.start()
        images = self.server.box.path("lib", "images")
        with open(os.path.join(images, "halt.rom"), "wb") as rom:
            rom.write(halting_firmware())
        os.chmod(os.path.join(images, "halt.rom"), 0o644)
        if os.path.exists(FIRMWARE):
            done = self.server.box.run(["mount", "--bind", IMAGES + "/halt.rom", FIRMWARE])
            assert done.returncode == 0, done.stderr
        self.server.write_config()
        self.server.start()
        try:
            self._define()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for client in self.clients:
            client.close()
        self.server.close()

    def _define(self):
        images = self.server.box.path("lib", "images")
        if self.disk:
            self.server.image("first.qcow2", "16M")
        conn = self.server.connect()
        for number in range(self.count):
            devices = ""
            if self.disk:
                path = os.path.join(images, "vm-%d.qcow2" % number)
                shutil.copyfile(os.path.join(images, "first.qcow2"), path)
                os.chmod(path, 0o666)
                devices = xml.disk(self.image(number))
            if self.emulator:
                devices = "<emulator>%s</emulator>" % self.emulator + devices
            conn.defineXML(xml.domain(self.name(number), memory=self.memory, devices=devices, **self.extra))
        conn.close()

    # ---- names ---------------------------------------------------------------------------------------------------------------------

    @staticmethod
    def name(number):
        return "vm-%d" % number

    @staticmethod
    def image(number):
        return "%s/vm-%d.qcow2" % (IMAGES, number)

    def wire(self, number):
        """The machine as an argument on the wire."""
        name = self.name(number)
        return rawrpc.domain(name, uuid.uuid5(uuid.NAMESPACE_DNS, name).bytes)

    @property
    def pid(self):
        return self.server.process.pid

    # ---- calls ---------------------------------------------------------------------------------------------------------------------

    def client(self):
        client = rawrpc.Client(self.server.socket, timeout=60).open()
        self.clients.append(client)
        return client

    def pool(self, count):
        while len(self.clients) < count:
            self.client()
        return self.clients[:count]

    def hang_up(self):
        for client in self.clients:
            client.close()
        self.clients = []

    def start(self, client, number):
        reply = client.call(CREATE, self.wire(number) + struct.pack(">I", 0))
        assert reply.status == rawrpc.OK, reply.error()

    def destroy(self, client, number):
        reply = client.call(DESTROY, self.wire(number))
        assert reply.status == rawrpc.OK, reply.error()

    def at_once(self, proc, numbers, tail=b""):
        """One call for each machine, all sent before any answer is read, each over a connection of its own; seconds until the last."""
        clients = self.pool(len(numbers))
        began = time.monotonic()
        for client, number in zip(clients, numbers):
            client.send(proc, self.wire(number) + tail)
        waiting = dict((client.sock, client) for client in clients[:len(numbers)])
        poll = select.poll()
        by_fd = {}
        for sock, client in waiting.items():
            poll.register(sock, select.POLLIN)
            by_fd[sock.fileno()] = client
        left = len(numbers)
        while left:
            for fd, _ in poll.poll(60000):
                reply = by_fd[fd].receive()
                assert reply.status == rawrpc.OK, reply.error()
                poll.unregister(fd)
                left -= 1
        return time.monotonic() - began

    def start_all(self, numbers):
        return self.at_once(CREATE, numbers, struct.pack(">I", 0))

    def destroy_all(self, numbers):
        return self.at_once(DESTROY, numbers)

    def all_stats(self, client, flags=0, stats=0):
        """Seconds of one call for the statistics of all machines; the reply's size tells that they were there."""
        began = time.monotonic()
        reply = client.call(ALL_STATS, struct.pack(">III", 0, stats, flags))
        took = time.monotonic() - began
        assert reply.status == rawrpc.OK, reply.error()
        return took, reply

    def running(self, client):
        """How many machines a list of the running ones has."""
        reply = client.call(ALL_DOMAINS, struct.pack(">iI", 0, 16))
        assert reply.status == rawrpc.OK, reply.error()
        return struct.unpack(">II", reply.body)[1]

    # ---- without a daemon -----------------------------------------------------------------------------------------------------------

    def qemu_pids(self):
        """{machine number: pid}"""
        found = {}
        for pid, argv in self.server.box.processes():
            for arg in argv:
                if arg.startswith("guest=vm-"):
                    found[int(arg.split(",")[0][len("guest=vm-"):])] = pid
        return found

    def note_argv(self, directory, numbers):
        """Writes down the command lines of running machines for vm_bare."""
        pids = self.qemu_pids()
        for place, number in enumerate(numbers):
            with open("/proc/%d/cmdline" % pids[number], "rb") as cmdline:
                raw = cmdline.read()
            with open(os.path.join(directory, "%d.argv" % place), "wb") as out:
                out.write(raw)
            with open(os.path.join(directory, "%d.fds" % place), "w") as out:
                for arg in raw.decode().split("\0"):
                    if arg.startswith("set=") and ",fd=" in arg:
                        image = os.path.join(directory, "%d.qcow2" % place)  # its own: QEMU locks images
                        shutil.copyfile(self.server.box.path("lib", "images", "first.qcow2"), image)
                        out.write("%s %s\n" % (arg.split(",fd=")[1].split(",")[0], image))


class Bare:
    """vm_bare, the machines without a daemon, in the sandbox of a host."""

    def __init__(self, host, directory, count):
        self.directory = directory
        program = os.path.join(bench.build_dir(), "tests", "bench", "vm_bare")
        self.process = host.server.box.popen([program, directory, str(count)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def tell(self, *words):
        """Seconds it took; a list where there are several numbers."""
        self.process.stdin.write(" ".join(words) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().split()
        if not answer:
            raise RuntimeError("vm_bare ended")
        seconds = [int(number) / 1e9 for number in answer]
        return seconds if len(seconds) > 1 else seconds[0]

    def close(self):
        self.process.stdin.close()
        self.process.wait(20)
        self.process.stdout.close()


def commands_of_statistics(path):
    """What the daemon asks a machine for a fresh sample, byte for byte but for the ids (src/domain/stats.c)."""
    commands = ['"query-blockstats"', '"query-block"', '"query-dirty-rate"', '"query-balloon"',
                '"qom-get","arguments":{"path":"/machine/peripheral/balloon0","property":"guest-stats"}']
    with open(path, "w") as out:
        for number, command in enumerate(commands):
            out.write('{"execute":%s,"id":"b-%d"}\n' % (command, 10 + number))
