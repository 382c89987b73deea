"""Hostile bytes and documents against the whole daemon: an answer or a closed connection for who sent them, nothing for anybody else.

Each test has a bystander: a client that was there before and calls again afterwards.
"""

import os
import socket
import struct
import time

import libvirt
import pytest

from lib import rawrpc
from lib import xml as guest_xml

GET_VERSION, DEFINE, SET_METADATA, RENAME, LOOKUP, UNDEFINE = 3, 11, 264, 358, 23, 35
STRING_MAX = 4 << 20
PACKET_MAX = 33554432 + 4


@pytest.fixture
def raw(server):
    made = []

    def make():
        made.append(rawrpc.Client(server.box.path("run", "libvirt-sock")))
        return made[-1]

    yield make
    for client in made:
        client.close()


@pytest.fixture
def bystander(raw, server):
    """Opened before, asked afterwards."""
    client = raw().open()
    yield client
    assert client.call(GET_VERSION).status == rawrpc.OK
    assert server.process.poll() is None


def rss(server):
    """KiB of memory the daemon has."""
    with open("/proc/%d/status" % server.process.pid, encoding="ascii") as status:
        return int(next(line for line in status if line.startswith("VmRSS:")).split()[1])


def packet(proc, body=b"", prog=rawrpc.REMOTE, vers=1, kind=rawrpc.CALL, serial=7, status=0, length=None):
    return struct.pack(">IIIiIII", 28 + len(body) if length is None else length, prog, vers, proc, kind, serial, status) + body


def refused(client, data, accepted=False):
    """Sends; True when the daemon hung up, else every answer it gave by then is an error."""
    try:
        client.send_raw(data)
        serial = client.send(GET_VERSION)
        while True:
            answer = client.receive()
            if answer.serial == serial and answer.type == rawrpc.REPLY and answer.proc == GET_VERSION:
                return False
            assert answer.status == rawrpc.ERROR or accepted, answer.__dict__
    except rawrpc.Closed:
        return True


# ---- the wire

def test_packets_in_two_pieces_at_every_byte(raw, bystander):
    client = raw().open()
    call = packet(60, struct.pack(">i", 1), serial=1000)
    for at in range(1, len(call)):
        client.send_raw(call[:at])
        assert bystander.call(GET_VERSION).status == rawrpc.OK  # the daemon has been around its loop meanwhile
        client.send_raw(call[at:])
        assert client.receive().serial == 1000


def test_connection_lost_after_every_byte(raw, bystander):
    call = packet(DEFINE, rawrpc.string("<domain/>"))
    for at in range(len(call)):
        client = raw().open()
        client.send_raw(call[:at])
        client.close()
    assert bystander.call(GET_VERSION).status == rawrpc.OK


def test_lengths_that_lie(raw, bystander):
    """Shorter than the body: the rest is the next packet's head, and nonsense.  Longer: the next call is eaten as body."""
    body = rawrpc.string("x" * 100)
    assert refused(raw().open(), packet(LOOKUP, body, length=28 + 40))
    client = raw().open()
    client.send_raw(packet(LOOKUP, body, length=28 + len(body) + 28 + 4, serial=50))
    client.send_raw(packet(GET_VERSION, serial=51) + b"\0" * 4)
    answer = client.receive()
    assert answer.serial == 50 and answer.error()[0] == 42
    assert client.call(GET_VERSION).status == rawrpc.OK


@pytest.mark.parametrize("kind", [1, 2, 3, 4, 5, 6, 7, 255, 0x7fffffff, 0xffffffff])
@pytest.mark.parametrize("status", [0, 1, 2, 3, 0xffffffff])
def test_types_and_statuses_no_client_sends(raw, bystander, kind, status):
    """A call with no descriptors among them is a call."""
    refused(raw().open(), packet(GET_VERSION, b"\0" * 8, kind=kind, status=status), accepted=kind == rawrpc.CALL_FDS)


@pytest.mark.parametrize("count", [0, 1, 32, 33, 0x7fffffff, 0xffffffff])
def test_descriptors_that_do_not_come(raw, bystander, count):
    client = raw().open()
    data = packet(350, struct.pack(">I", count), kind=rawrpc.CALL_FDS)
    client.send_raw(data)
    client.sock.shutdown(socket.SHUT_WR)
    with pytest.raises(rawrpc.Closed):
        while True:
            client.receive()


def test_descriptors_nobody_asked_for(raw, bystander, server):
    """Each is closed: the daemon's table does not grow."""
    before = len(os.listdir("/proc/%d/fd" % server.process.pid))
    with open("/dev/null", encoding="ascii") as null:
        for _ in range(20):
            client = raw().open()
            try:
                socket.send_fds(client.sock, [packet(GET_VERSION)], [null.fileno()] * 20)
                client.receive()
            except (rawrpc.Closed, OSError):
                pass
            client.close()
    probe, end = raw().open(), time.monotonic() + 60
    while len(os.listdir("/proc/%d/fd" % server.process.pid)) > before + 5:  # they are closed beside the calls
        assert probe.call(GET_VERSION).status == rawrpc.OK
        assert time.monotonic() < end


def test_descriptors_of_those_who_may_only_read(bystander, server):
    """No call of theirs takes any: not one is held, waiting for the others that were announced."""
    with open("/dev/null", encoding="ascii") as null, rawrpc.Client(server.box.path("run", "libvirt-sock-ro")).open() as client:
        socket.send_fds(client.sock, [packet(443, struct.pack(">I", 2), kind=rawrpc.CALL_FDS) + b"\0"], [null.fileno()])
        with pytest.raises(rawrpc.Closed):
            client.receive()


@pytest.mark.parametrize("length", [STRING_MAX + 1, 10 << 20, 0x7fffffff, 0xffffffff])
def test_strings_longer_than_allowed_or_there(raw, bystander, length):
    client = raw().open()
    there = min(length, 12 << 20)
    assert client.call(DEFINE, struct.pack(">I", length) + b"<" * there + b"\0" * (-there % 4)).error()[0] == 39
    assert client.call(GET_VERSION).status == rawrpc.OK


def test_every_procedure_with_counts_that_lie(raw, bystander, server):
    """10^6 elements, more than there is, and numbers small enough to be taken: as every word of the arguments."""
    words = (1, 2, 17, 1000000, 0x7fffffff, 0x80000000, 0xfffffffc)
    client = raw().open()
    for prog, last in ((rawrpc.REMOTE, 456), (rawrpc.QEMU, 7), (rawrpc.LXC, 1)):
        for proc in range(1, last + 1):
            if prog == rawrpc.REMOTE and proc in (2, 250):  # CONNECT_CLOSE; NODE_SUSPEND_FOR_DURATION
                continue
            for word in words:
                try:
                    client.call(proc, struct.pack(">I", word) * 100, prog=prog)
                except rawrpc.Closed:
                    client.close()
                    client = raw().open()
    assert bystander.call(GET_VERSION).status == rawrpc.OK


def test_a_million_elements(raw, bystander):
    """As many as are announced do come: refused by the bound of the array, not by the end of the packet."""
    many = struct.pack(">I", 1000000)
    client = raw().open()
    for proc, before in ((350, b""), (162, b""), (344, b"")):
        body = before + many + b"\0" * 4000000
        reply = client.call(proc, body)
        assert reply.status == rawrpc.ERROR, proc
    assert client.call(GET_VERSION).status == rawrpc.OK


def test_memory_stays_bounded(raw, bystander, server):
    """What is announced is not allocated, what was refused is not kept.  The margin is what a sanitizer sets aside."""
    margin = 450 << 10
    body = struct.pack(">I", 0xffffff) + b"\xff" * (16 << 20)
    for _ in range(3):
        assert raw().open().call(DEFINE, body).error()[0] == 39
    before = rss(server)
    for _ in range(40):
        client = raw().open()
        assert client.call(DEFINE, body).error()[0] == 39
        client.close()
    assert rss(server) < before + margin  # of 640 MiB
    before = rss(server)
    waiting = [raw().open() for _ in range(40)]
    for client in waiting:
        client.send_raw(packet(DEFINE, b"<" * 1000, length=PACKET_MAX))
    assert bystander.call(GET_VERSION).status == rawrpc.OK
    assert rss(server) < before + (100 << 10)  # of 1280 MiB announced


# ---- documents

def domain(inside="", name="hostile", head="", memory="<memory>65536</memory>", devices=""):
    return "%s<domain type='qemu'><name>%s</name>%s<os><type arch='x86_64' machine='q35'>hvm</type></os>%s<devices>%s</devices></domain>" % (
        head, name, memory, inside, devices)


BOMB = "<!DOCTYPE d [<!ENTITY a 'aaaaaaaaaa'>%s]>" % "".join(
    "<!ENTITY %s '%s'>" % (chr(98 + i), ("&%s;" % chr(97 + i)) * 10) for i in range(9))

# Document and code of the error.  The codes are the peer's, but for entities, which it leaves out or expands within libxml2's bounds, and we
# refuse, and for what is too deep or too much, which takes it minutes.
DOCUMENTS = {
    "bomb": (domain(head=BOMB, name="&j;"), 27),
    "bomb in metadata": (domain("<metadata><x:a xmlns:x='u'>&j;</x:a></metadata>", head=BOMB), 27),
    "external entity": (domain(head="<!DOCTYPE d [<!ENTITY x SYSTEM 'file:///etc/hostname'>]>", name="&x;"), 27),
    "parameter entity": (domain(head="<!DOCTYPE d [<!ENTITY % p SYSTEM 'file:///etc/hostname'> %p;]>"), 27),
    "deep": ("<domain type='qemu'>" + "<a>" * 100000 + "</a>" * 100000 + "</domain>", 27),
    "deep metadata": (domain("<metadata>%s%s</metadata>" % ("<x:a xmlns:x='u'>" * 100000, "</x:a>" * 100000)), 27),
    "many": (domain("<a/>" * 900000), 27),
    "many attributes": ("<domain type='qemu' %s/>" % " ".join("a%d=''" % i for i in range(300000)), 27),
    "not ended": (domain()[:-40], 35),
    "nothing": ("", 35),
    "blank": ("  ", 35),
    "no document": ("hello", 35),
    "wrong root": ("<network><name>a</name></network>", 27),
    "wrong type of a number": (domain(memory="<memory>lots</memory>"), 27),
    "number too large": (domain(memory="<memory unit='EiB'>99999999999999999999</memory>"), 27),
    "number below zero": (domain(memory="<memory>-1</memory>"), 27),
    "wrong word": (domain("<on_crash>explode</on_crash>"), 67),
    "no name": (domain(name=""), 21),
    "name with a slash": (domain(name="a/b"), 27),
}


@pytest.mark.parametrize("what", list(DOCUMENTS))
def test_documents(server, conn, bystander, what):
    text, code = DOCUMENTS[what]
    before = rss(server)
    with pytest.raises(libvirt.libvirtError) as caught:
        conn.defineXML(text)
    assert caught.value.get_error_code() == code, caught.value
    assert len(caught.value.get_error_message()) > 10
    assert conn.listAllDomains() == []
    assert rss(server) < before + (300 << 10)


def test_bytes_that_are_no_text(raw, bystander):
    """Stock bindings cannot send these."""
    client = raw().open()
    for text in (b"<domain type='qemu'><name>\xff\xfe</name></domain>", b"<domain type='qemu'><name>a\x01</name></domain>",
                 b"<?xml version='1.0' encoding='UTF-16'?><domain/>", b"\xff\xfe<\0d\0/\0>\0"):
        code, _, words = client.call(DEFINE, rawrpc.string(text)).error()
        assert code in (27, 35), words
    code, _, _ = client.call(DEFINE, rawrpc.string(domain().encode().replace(b"<os>", b"\0<os>"))).error()
    assert code in (27, 35)


def test_huge_attributes_and_texts(conn, bystander):
    long = "x" * (2 << 20)
    machine = conn.defineXML(domain("<description>%s</description>" % long))
    assert len(machine.XMLDesc()) > len(long)
    machine.undefine()
    with pytest.raises(libvirt.libvirtError) as caught:
        conn.defineXML(domain(name=long))
    assert caught.value.get_error_code() == 27


def test_strings_that_would_make_a_definition_unreadable(own_server, server_kind):
    """A machine with any of these in its file would be gone after the next start."""
    server = own_server()
    conn = server.connect()
    machine = conn.defineXML(domain("<title>mine</title>"))
    identity = machine.UUID()
    conn.close()
    with rawrpc.Client(server.box.path("run", "libvirt-sock")).open() as client:
        key = rawrpc.domain("hostile", identity)

        def metadata(kind, text, prefix=None, uri=None):
            return client.call(SET_METADATA, key + struct.pack(">i", kind) + rawrpc.optional(rawrpc.string(text)) +
                               rawrpc.optional(prefix and rawrpc.string(prefix)) + rawrpc.optional(uri and rawrpc.string(uri)) +
                               struct.pack(">I", 2))

        for kind in (0, 1):
            for text in (b"a\xffb", b"a\x01b", b"\xef\xbf\xbf"):
                assert metadata(kind, text).error()[0] == 8
        for prefix in ("a b", "a><b", "a:b", "1", b"\xff"):
            assert metadata(2, "<x/>", prefix, "u").error()[0] == 8
        for uri in ("a<b", "a&b", b"\xff"):
            assert metadata(2, "<x/>", "p", uri).error()[0] == 8
        assert metadata(2, "<x/>" * 3, "p", "u").error()[0] in (27, 35)
        assert metadata(2, "<x>" * 60 + "</x>" * 60, "p", "u").status == rawrpc.OK
        assert client.call(RENAME, key + rawrpc.optional(rawrpc.string(b"new\xff")) + struct.pack(">I", 0)).error()[0] == 27
    server.stop()
    server.start()
    conn = server.connect()
    machine = conn.lookupByUUID(identity)
    assert machine.name() == "hostile" and "<title>mine</title>" in machine.XMLDesc()
    conn.close()


# ---- twice the same

DISK = "<disk type='file'><source file='%s'/><target dev='%s'/>%s</disk>"
PCI = "<address type='pci' domain='0' bus='0' slot='9' function='0'/>"

TWICE = {
    "target": (DISK % ("/a", "vda", "") + DISK % ("/b", "vda", ""), 27),
    "address": (DISK % ("/a", "vda", PCI) + DISK % ("/b", "vdb", PCI), 27),
    "alias": (DISK % ("/a", "vda", "<alias name='ua-x'/>") + DISK % ("/b", "vdb", "<alias name='ua-x'/>"), 67),
    "boot order": (DISK % ("/a", "vda", "<boot order='1'/>") + DISK % ("/b", "vdb", "<boot order='1'/>"), 67),
    "controller": ("<controller type='usb' index='0'/>" * 2, 27),
    "mac": ("<interface type='user'><mac address='52:54:00:00:00:07'/></interface>" * 2, None),
    "source": (DISK % ("/a", "vda", "") + DISK % ("/a", "vdb", ""), None),
    "balloon": ("<memballoon model='virtio'/>" * 2, 1),
    "watchdog": ("<watchdog model='i6300esb'/>" * 2, 1),
}


@pytest.mark.parametrize("what", list(TWICE))
def test_twice(conn, bystander, what):
    devices, code = TWICE[what]
    if code is None:
        conn.defineXML(domain(devices=devices)).undefine()
        return
    with pytest.raises(libvirt.libvirtError) as caught:
        conn.defineXML(domain(devices=devices))
    assert caught.value.get_error_code() == code, caught.value


def test_names_and_uuids_twice(conn, bystander):
    first = conn.defineXML(guest_xml.domain("first"))
    for name, uuid in (("first", "11111111-2222-3333-4444-555555555555"), ("second", first.UUIDString())):
        for make in (conn.defineXML, lambda text: conn.createXML(text, 0)):
            with pytest.raises(libvirt.libvirtError) as caught:
                make(guest_xml.domain(name, uuid=uuid))
            assert caught.value.get_error_code() == 9, caught.value
            assert "already exists" in str(caught.value) or "already defined" in str(caught.value), caught.value
    assert [d.name() for d in conn.listAllDomains()] == ["first"]
    second = conn.defineXML(guest_xml.domain("second"))
    with pytest.raises(libvirt.libvirtError) as caught:
        second.rename("first")
    assert caught.value.get_error_code() == 55
