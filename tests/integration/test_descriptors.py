"""A daemon at the end of its descriptors, or of the clients it may have: who is in is served, who is not waits or is turned away, and all is
well when there is room again."""

import array
import collections
import os
import re
import resource
import signal
import socket
import struct
import time

import pytest

from lib import procfs, rawrpc, xml as guest_xml

CAPABILITIES, DEFINE, XML, LOOKUP, UNDEFINE, LIST, CREATE, DESTROY = 7, 11, 14, 23, 35, 273, 9, 12
CONF = "max_clients = 500\nmax_queued_clients = 500\nmax_anonymous_clients = 500\n"


def domain_xml(name):
    return guest_xml.domain(name, memory=16, console="", memballoon="<memballoon model='none'/>")


def names(client):
    reply = client.call(LIST, struct.pack(">iI", 1, 0))
    assert reply.status == rawrpc.OK, reply.error()
    return struct.unpack(">I", reply.body[:4])[0]


def descriptors(pid):
    """Sorted; sd-event makes one timerfd a loop and clock when first needed, and keeps it."""
    return sorted(link for link in procfs.open_files(pid) if "timerfd" not in link)


def test_descriptors_run_out(own_server):
    server = own_server(libvirtd_conf=CONF)
    pid = server.process.pid
    old = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    with rawrpc.Client(server.socket) as client:
        client.open()
        assert client.call(DEFINE, rawrpc.string(domain_xml("one"))).status == rawrpc.OK
        highest = max(int(fd) for fd in os.listdir("/proc/%d/fd" % pid))
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (highest + 5, old[1]))
        others = []
        turned_away = 0
        while turned_away < 2:  # the second: the first was no accident of the reserve
            other = rawrpc.Client(server.socket, timeout=10)
            try:
                other.open()
                others.append(other)
                assert len(others) < 20
            except rawrpc.Closed:
                turned_away += 1
                other.close()
        # What needs no descriptor works; what does fails, says so, and changes nothing.
        for i in range(20):
            assert names(client) == 1
            reply = client.call(DEFINE, rawrpc.string(domain_xml("two")))
            assert reply.status == rawrpc.ERROR and "Too many open files" in reply.error()[2], reply.__dict__
            assert client.call(LOOKUP, rawrpc.string("one")).status == rawrpc.OK
        ref = client.call(LOOKUP, rawrpc.string("one")).body
        reply = client.call(CREATE, ref)
        assert reply.status == rawrpc.ERROR and "Too many open files" in reply.error()[2], reply.__dict__
        assert [f for f in os.listdir(server.box.path("etc", "qemu")) if f.endswith(".xml")] == ["one.xml"]
        for other in others:
            assert names(other) == 1
            other.close()
        with rawrpc.Client(server.socket) as late:  # there is room again
            late.open()
            assert names(late) == 1
        resource.prlimit(pid, resource.RLIMIT_NOFILE, old)
        assert client.call(DEFINE, rawrpc.string(domain_xml("two"))).status == rawrpc.OK
        assert names(client) == 2
    assert server.stop() == 0


def test_clients_beyond_the_limit_wait(own_server):
    """The one who comes when max_clients are there is served when one of them has left."""
    server = own_server(libvirtd_conf="max_clients = 5\nmax_anonymous_clients = 5\nmax_queued_clients = 20\n")
    inside = [rawrpc.Client(server.socket).open() for _ in range(5)]
    waiting = [rawrpc.Client(server.socket) for _ in range(3)]
    for client in waiting:
        client.send(66)
    for client in inside:
        assert names(client) == 0
    for client in waiting:
        inside.pop(0).close()
        assert client.receive().status == rawrpc.OK
        inside.append(client)
    for client in inside:
        client.close()
    assert server.stop() == 0


def test_a_thousand_come_and_go(own_server):
    """While others work: no descriptor and no thread is left of them."""
    server = own_server(libvirtd_conf=CONF)
    pid = server.process.pid

    with rawrpc.Client(server.socket) as worker:
        worker.open()
        assert worker.call(DEFINE, rawrpc.string(domain_xml("one"))).status == rawrpc.OK
        assert names(worker) == 1
        before = descriptors(pid)
        for i in range(1000):
            with rawrpc.Client(server.socket) as client:
                if i % 4:
                    client.open()
                if i % 2:
                    client.send(CAPABILITIES)
                    client.send(LIST, struct.pack(">iI", 1, 0))
            if i % 10 == 0:
                assert names(worker) == 1
        assert names(worker) == 1
        # A client's end is seen when its socket is read, in the order of the loop: this one comes after all of them.
        with rawrpc.Client(server.socket) as last:
            last.open()
            assert names(last) == 1
        assert names(worker) == 1
        eventually_same(lambda: descriptors(pid), before)  # the last documents nobody reads are still being made
    assert server.stop() == 0


def children(pid):
    """Dead ones nobody has reaped too."""
    found = []
    for name in os.listdir("/proc"):
        try:
            with open("/proc/%s/stat" % name) as stat:
                state, parent = stat.read().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if parent == str(pid):
            found.append("child in state " + state)
    return found


def leftovers(server, pid):
    """What a start makes."""
    found = descriptors(pid) + [argv for _, argv in server.box.qemus()]
    for where in ("run", "lib", "etc"):
        for directory, _, files in os.walk(server.box.path(where)):
            found += [os.path.join(directory, name) for name in files]
    return found + re.findall(r"^\d+: (\S+):", server.box.run(["ip", "-o", "link"]).stdout, re.M)


def test_a_start_at_each_number_of_descriptors(own_server):
    """With one descriptor to spare, with two, ... until it succeeds: each failure says why and leaves nothing."""
    server = own_server(libvirtd_conf=CONF)
    pid = server.process.pid
    old = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    image = server.image("one.img", "1M", "raw")
    xml = guest_xml.domain("one", memory=16, devices=guest_xml.disk(image, fmt="raw") + """
        <interface type='bridge'><source bridge='berth-br0'/><model type='virtio'/></interface>
        <channel type='unix'><target type='virtio' name='org.example.soak'/></channel>""")
    with rawrpc.Client(server.socket, timeout=120) as client:
        client.open()
        ref = client.call(DEFINE, rawrpc.string(xml)).body
        assert client.call(CREATE, ref).status == rawrpc.OK  # capabilities are known from here on
        assert client.call(DESTROY, ref).status == rawrpc.OK
        before = collections.Counter(leftovers(server, pid))
        failures = []
        for room in range(1, 100):
            highest = max(int(fd) for fd in os.listdir("/proc/%d/fd" % pid))
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (highest + 1 + room, old[1]))
            reply = client.call(CREATE, ref)
            resource.prlimit(pid, resource.RLIMIT_NOFILE, old)
            if reply.status == rawrpc.OK:
                break
            assert reply.error()[2], room
            failures.append(reply.error()[2])
            left = collections.Counter(leftovers(server, pid))
            assert left == before, (room, reply.error(), left - before, before - left)
        else:
            raise AssertionError(reply.error())
        # QEMU has the same limit; what it says of it is its own
        assert len(failures) > 5 and all("Too many open files" in f or "QEMU" in f or "qemu" in f for f in failures), failures
        assert client.call(DESTROY, ref).status == rawrpc.OK
        assert collections.Counter(leftovers(server, pid)) == before
    assert server.stop() == 0


class Lingering:
    """Descriptors whose last close() sleeps until the test ends it: sockets that linger, with bytes their peer does not take."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.peers = []

    def make(self):
        sock = socket.create_connection(self.listener.getsockname())
        self.peers.append(self.listener.accept()[0])
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 3600))
        sock.setblocking(False)
        try:
            while True:
                sock.send(b"x" * 65536)
        except BlockingIOError:
            pass
        return sock

    def release(self):
        for peer in self.peers:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            peer.close()  # with a reset: nobody has to wait any more
        self.listener.close()


AUTH_LIST_HEAD = struct.pack(">IIIiIII", 28, rawrpc.REMOTE, 1, 66, 0, 0, 0)


def give(pid, client, data, socks, first=b""):
    """Bytes with descriptors, of which we keep none: the last to close them, who sleeps, is the daemon."""
    os.kill(pid, signal.SIGSTOP)
    client.send_raw(first)
    client.sock.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [sock.fileno() for sock in socks]))])
    for sock in socks:
        os.close(sock.detach())
    os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize("manner", ["not allowed", "too many", "not read", "with a refused call"])
def test_descriptors_that_sleep_when_closed(own_server, manner):
    """A stranger's descriptor costs nobody else the time its close() takes."""
    server = own_server()
    pid = server.process.pid
    lingering = Lingering()
    ro = server.box.path("run", "libvirt-sock-ro")
    with rawrpc.Client(server.socket) as other:
        other.open()
        before = descriptors(pid)
        with rawrpc.Client(ro if manner != "with a refused call" else server.socket) as client:
            if manner == "not allowed":
                give(pid, client, AUTH_LIST_HEAD, [lingering.make()])
            elif manner == "too many":
                give(pid, client, AUTH_LIST_HEAD, [lingering.make() for _ in range(40)])
            elif manner == "not read":
                give(pid, client, AUTH_LIST_HEAD, [lingering.make()], first=struct.pack(">I", 1))  # no packet is so short: the connection ends
            else:
                client.open()
                body = struct.pack(">I", 1)
                head = struct.pack(">IIIiIII", 28 + len(body), rawrpc.REMOTE, 1, LIST, rawrpc.CALL_FDS, 9, 0)
                client.send_raw(head + body)
                give(pid, client, b"\0", [lingering.make()])
            try:
                while client.receive().status == rawrpc.OK:
                    pass
            except rawrpc.Closed:
                pass
        for _ in range(3):
            assert names(other) == 0
            with rawrpc.Client(server.socket) as late:
                late.open()
        lingering.release()
        eventually_same(lambda: descriptors(pid), before)


def eventually_same(ask, want):
    """What the daemon does on its own is done a moment later, and nobody tells."""
    end = time.monotonic() + 30
    while ask() != want:
        assert time.monotonic() < end, (ask(), want)
        time.sleep(0.05)
