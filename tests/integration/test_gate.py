"""What stands between a packet and a handler: order of the checks, refusals by name, nothing that ends the daemon."""

import os
import struct

import pytest

from lib import rawrpc

UNKNOWN_UUID = bytes(range(16))


@pytest.fixture
def raw(server):
    made = []

    def make(ro=False):
        path = server.box.path("run", "libvirt-sock-ro" if ro else "libvirt-sock")
        made.append(rawrpc.Client(path))
        return made[-1]

    yield make
    for client in made:
        client.close()


def test_call_before_open(raw):
    code, domain, _ = raw().call(3).error()
    assert (code, domain) == (1, 7)


def test_second_open(raw):
    client = raw().open()
    code, domain, _ = client.call(1, rawrpc.optional(rawrpc.string("qemu:///system")) + struct.pack(">I", 0)).error()
    assert (code, domain) == (1, 7)
    assert client.call(3).status == rawrpc.OK


def test_unknown_scheme_leaves_the_connection_usable(raw):
    client = raw()
    assert client.call(66).status == rawrpc.OK
    reply = client.call(1, rawrpc.optional(rawrpc.string("xen:///system")) + struct.pack(">I", 0))
    assert reply.error()[0] == 5
    assert client.call(1, rawrpc.optional(rawrpc.string("qemu:///system")) + struct.pack(">I", 0)).status == rawrpc.OK
    assert client.call(2).status == rawrpc.OK


def test_uris(raw):
    for uri, answer in (("qemu:///system", None), ("qemu:///session", None), ("", None), ("qemu:///system?mode=x", None),
                        ("qemu:///", (1, 0)), ("qemu:///other", (1, 0)), ("qemu+unix:///system", (5, 0)),
                        ("qemu:///system?x=%s" % ("x" * 4079), None), ("qemu:///system?x=%s" % ("x" * 4080), (8, 45))):
        client = raw()
        assert client.call(66).status == rawrpc.OK
        reply = client.call(1, rawrpc.optional(rawrpc.string(uri)) + struct.pack(">I", 0))
        assert (reply.error()[:2] if reply.status else None) == answer, uri
        if not answer:
            assert client.call(110).body == rawrpc.string(uri or "qemu:///system"), uri


@pytest.mark.parametrize("proc", [0, -1, 457, 107, 2147483647, -2147483648])
def test_unknown_procedure(raw, proc):
    code, domain, text = raw().open().call(proc).error()
    assert (code, domain) == (39, 7)
    assert text.startswith("unknown procedure")


def test_unknown_program_and_version(raw):
    client = raw().open()
    assert client.call(1, prog=0x12345678).error()[:2] == (39, 7)
    assert client.call(3, vers=2).error()[:2] == (39, 7)
    assert client.call(3).status == rawrpc.OK


def test_arguments_that_end_early(raw):
    client = raw().open()
    assert client.call(23, struct.pack(">I", 100) + b"abc").error()[0] == 39
    assert client.call(23, struct.pack(">I", 0xffffffff)).error()[0] == 39
    assert client.call(3).status == rawrpc.OK


def test_bytes_left_over_are_ignored(raw):
    assert raw().open().call(3, b"left over").status == rawrpc.OK


def test_unknown_flags_are_refused(raw):
    client = raw().open()
    assert client.call(273, struct.pack(">iI", 1, 0x40000000)).error()[0] == 8


def test_unknown_feature_is_answered_zero(raw):
    client = raw().open()
    for number in (0, -1, 17, 1000):
        reply = client.call(60, struct.pack(">i", number))
        assert reply.status == rawrpc.OK and reply.body == struct.pack(">i", 0)


def test_unknown_machine(raw):
    code, domain, text = raw().open().call(16, rawrpc.domain("nobody", UNKNOWN_UUID)).error()
    assert (code, domain) == (42, 10)
    assert "nobody" in text


@pytest.mark.parametrize("how", ["socket", "flag"])
def test_read_only_refuses_changes(raw, how):
    client = raw(ro=how == "socket").open(flags=1 if how == "flag" else 0)
    assert client.call(3).status == rawrpc.OK
    code, _, text = client.call(12, rawrpc.domain("nobody", UNKNOWN_UUID)).error()
    assert code == 29
    assert "virDomainDestroy" in text


@pytest.mark.parametrize("length", [0, 1, 3, 4, 27, 33554437, 0x7fffffff, 0xffffffff])
def test_bad_length_costs_the_sender_its_connection_only(raw, length):
    good, bad = raw().open(), raw().open()
    bad.send_raw(struct.pack(">I", length) + b"\0" * 24)
    with pytest.raises(rawrpc.Closed):
        while True:
            bad.receive()
    assert good.call(3).status == rawrpc.OK


def test_every_procedure_survives_garbage(raw, server):
    """Each number of each program with nothing, zeros, ones and noise as arguments: an answer or a closed connection, never more."""
    noise = os.urandom(512)
    for prog, last in ((rawrpc.REMOTE, 456), (rawrpc.QEMU, 7), (rawrpc.LXC, 1)):
        for proc in range(1, last + 1):
            if prog == rawrpc.REMOTE and proc in (2, 250):  # CONNECT_CLOSE; NODE_SUSPEND_FOR_DURATION
                continue
            for body in (b"", b"\0" * 256, b"\xff" * 256, noise):
                client = raw().open()
                try:
                    client.call(proc, body, prog=prog)
                except rawrpc.Closed:
                    pass
                client.close()
    assert server.process.poll() is None
    assert raw().open().call(3).status == rawrpc.OK


def test_pipelined_calls_are_all_answered(raw):
    client = raw().open()
    serials = [client.send(3) for _ in range(200)]
    assert sorted(client.receive().serial for _ in serials) == serials


def test_event_registrations_are_bounded(raw):
    """Raw monitor events may be asked for many times by one connection, but not without end; nor may a pattern run without end."""
    client = raw().open()

    def register(pattern, flags=0):
        return client.call(4, rawrpc.optional(None) + rawrpc.optional(rawrpc.string(pattern)) + struct.pack(">I", flags), prog=rawrpc.QEMU)

    assert register("(A+)+$", 1).status == rawrpc.OK
    assert register("(A", 1).error()[0] == 8
    assert register("A" * 257).error()[0] == 8
    replies = [register("STOP").status for _ in range(1100)]
    assert rawrpc.ERROR in replies and replies.index(rawrpc.ERROR) == 999
    assert client.call(3).status == rawrpc.OK


def test_open_flags_clients_keep_for_themselves(raw):
    """A stock client sends what it notes about a session's socket (2, 4) along with the public flags."""
    assert raw().open(flags=6).call(3).status == rawrpc.OK
