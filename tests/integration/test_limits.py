"""Strangers and greedy clients, over UNIX, TCP and TLS: what each may take, and that nobody else pays for it."""

import contextlib
import os
import random
import resource
import shutil
import socket
import ssl
import struct
import time

import pytest

from lib import identity, netns, pki as pkis, rawrpc, sasl

PORT = 16509
GET_VERSION = 3
LIMIT = 20  # max_anonymous_clients
CONF = 'listen_tcp = 1\nlisten_addr = "127.0.0.1"\nauth_tcp = "sasl"\nauth_tls = "sasl"\nauth_unix_rw = "sasl"\nmax_anonymous_clients = %d\n' % LIMIT
PROGRAMS = ((rawrpc.REMOTE, 470), (rawrpc.QEMU, 9), (rawrpc.LXC, 3), (0x62657274, 20))
TRANSPORTS = ["unix", "tcp", "tls"]


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """One for all, with one client."""
    directory = str(tmp_path_factory.mktemp("pki"))
    for path in (directory, os.path.dirname(directory)):
        os.chmod(path, 0o755)
    pki = pkis.Pki(directory)
    pki.alice = pki.client("alice")
    yield pki
    shutil.rmtree(directory, ignore_errors=True)


def daemon(authority, conf, berthd_conf="", **kw):
    # no test is about how fast this machine shakes hands
    instance = sasl.Berthd(libvirtd_conf=conf + authority.conf(), log_level="2", berthd_conf=berthd_conf + "handshake_timeout = 600\n", **kw)
    instance.authority = authority
    return instance


@pytest.fixture(scope="module")
def strict(server_kind, authority):
    """Asks for SASL over UNIX, TCP and TLS; the read-only socket asks for nothing.  For the tests that leave nothing behind."""
    if server_kind != "berthd":
        pytest.skip("limits of our own")
    instance = daemon(authority, CONF).open()
    yield instance
    instance.close()


@pytest.fixture
def make_strict(server_kind, authority):
    if server_kind != "berthd":
        pytest.skip("limits of our own")
    made = []

    def make(conf=CONF, **kw):
        made.append(daemon(authority, conf, **kw))
        return made[-1].open()

    yield make
    for instance in made:
        instance.close()


def reach(server, transport):
    if transport == "tcp":
        return rawrpc.Client(netns.connect(server.box, PORT))
    if transport == "tls":
        return server.authority.connect(server.box, server.authority.alice)
    return rawrpc.Client(server.socket)


def local(server):
    """A client of a socket that asks for nothing."""
    return rawrpc.Client(server.box.path("run", "libvirt-sock-ro")).open()


def expect_end(client):
    with pytest.raises(rawrpc.Closed):
        while True:
            client.receive()
    client.close()


def sasl_login(server, transport="unix"):
    client = reach(server, transport)
    sasl.mechanisms(client)
    assert sasl.answer(client.call(sasl.START, sasl.start("PLAIN", sasl.plain("fred", sasl.USERS["fred"]))))[0] == 1
    return client


# ---- before authentication

@pytest.mark.parametrize("transport", TRANSPORTS)
def test_no_call_of_a_stranger_is_decoded(strict, transport):
    """Whatever the arguments, the answer is about the caller; the five of authentication are the only exceptions."""
    hostile = struct.pack(">I", 0xffffffff) * 64
    client = reach(strict, transport)
    for prog, last in PROGRAMS:
        for proc in range(1, last + 1):
            if prog == rawrpc.REMOTE and 66 <= proc <= 70:
                continue
            for body in (hostile, b""):
                code, domain, text = client.call(proc, body, prog=prog).error()
                assert (code, domain) == (39, 7), (prog, proc, text)
                assert text.endswith("authentication required") or "unknown procedure" in text or "unknown program" in text, (proc, text)
    assert client.call(66).status == rawrpc.OK
    client.close()
    for proc, code in ((68, 39), (69, 39), (67, None), (70, None)):
        client = reach(strict, transport)
        reply = client.call(proc, hostile)
        if code:  # decoded, for they are allowed, and found wanting
            assert reply.error()[0] == code
        client.close()
    with local(strict) as other:
        assert other.call(GET_VERSION).status == rawrpc.OK


def asks_in_vain(client, proc):
    assert client.call(proc).error()[0] == 45
    with pytest.raises(rawrpc.Closed):
        for _ in range(50):
            client.call(proc)
    client.close()


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_stranger_asks_once_the_wrong_way(strict, transport):
    """Each refusal is a record and a line in the log: who goes on asking in a way that is not his would fill both."""
    asks_in_vain(reach(strict, transport), 70)  # polkit


def test_a_stranger_asks_polkits_socket_for_sasl(make_strict):
    server = make_strict('auth_unix_ro = "polkit"\n')
    asks_in_vain(identity.Client(server.box.path("run", "libvirt-sock-ro"), 65534), sasl.INIT)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_more_than_a_stranger_may_send(strict, transport):
    client = reach(strict, transport)
    client.send_raw(struct.pack(">I", 272 * 1024 + 1))
    expect_end(client)
    client = reach(strict, transport)
    assert client.call(1, b"\0" * (272 * 1024 - 28)).error()[0] == 39
    client.close()
    if transport == "unix":
        with open("/dev/null", encoding="ascii") as null:
            client = reach(strict, transport)
            socket.send_fds(client.sock, [b"\0\0\0\x1c"], [null.fileno()])
            expect_end(client)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_frames_split_at_every_byte(strict, transport):
    packet = struct.pack(">IIIiIII", 28, rawrpc.REMOTE, 1, 66, rawrpc.CALL, 7, rawrpc.OK)
    client = reach(strict, transport)
    if transport != "unix":
        client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for at in range(1, len(packet)):
        client.send_raw(packet[:at])
        with local(strict) as other:  # the first part has been read by the time it is answered
            other.call(GET_VERSION)
        client.send_raw(packet[at:])
        assert client.receive().serial == 7
    client.close()


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_garbage(strict, transport):
    noise = random.Random(5)
    for size in (1, 3, 4, 5, 27, 28, 29, 100, 5000, 100000):
        for _ in range(5):
            client = reach(strict, transport)
            try:
                client.send_raw(noise.randbytes(size))
                socket.socket.shutdown(client.sock, socket.SHUT_WR)  # of the socket, whatever TLS thinks of it
            except (rawrpc.Closed, OSError):
                pass
            expect_end(client)
    for text in (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"SSH-2.0-x\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 505):
        client = reach(strict, transport)
        client.send_raw(text)
        expect_end(client)
    with local(strict) as other:
        assert other.call(GET_VERSION).status == rawrpc.OK


# ---- those who take their time

@pytest.mark.parametrize("transport", TRANSPORTS)
def test_slow_loris(make_strict, transport):
    """As many as there may be, each a byte now and then: closed when their time is up, and nobody on another side waits for them."""
    server = make_strict(berthd_conf="auth_timeout = 3\n")
    other_side = "tcp" if transport == "unix" else "unix"
    slow = []
    for _ in range(LIMIT):
        slow.append(reach(server, transport))
        slow[-1].send_raw(b"\0")
    late = reach(server, transport)  # connected as far as the kernel goes; waits for a place
    late.send(66)
    for client in slow[::2]:
        with contextlib.suppress(OSError, rawrpc.Closed):  # it may have made room already
            client.send_raw(b"\0\0")
    with local(server) as other:  # neither the host's own ...
        assert other.call(GET_VERSION).status == rawrpc.OK
    with reach(server, other_side) as other:  # ... nor those of the other side
        assert other.call(66).status == rawrpc.OK
    for client in slow:
        expect_end(client)
    assert late.receive().status == rawrpc.OK
    late.close()
    local(server).close()  # a connection is closed before that is logged, and all of it before another is served
    text = server.text()
    assert text.count("not authenticated in time") + text.count("made room for another client") >= LIMIT


def test_one_user_of_the_host_keeps_no_other_out(make_strict):
    """His silent ones make room for others, who are not taken for him; root needs none."""
    server = make_strict('auth_unix_ro = "sasl"\nmax_anonymous_clients = %d\n' % LIMIT, berthd_conf="auth_timeout = 600\n")
    path = server.box.path("run", "libvirt-sock-ro")
    with contextlib.ExitStack() as stack:
        silent = [stack.enter_context(identity.Client(path, 65534)) for _ in range(2 * LIMIT)]
        for _ in range(LIMIT + 1):
            assert stack.enter_context(rawrpc.Client(path)).call(66).status == rawrpc.OK
        other = stack.enter_context(identity.Client(path, 65533))
        assert other.call(66).status == rawrpc.OK
        expect_end(silent[0])
        assert silent[1].call(66).status == rawrpc.OK
        other.call(66)
    assert "made room for another user's client" in server.text()


def test_a_peer_that_has_gone_without_a_word(strict):
    """The kernel asks after network peers itself, and keepalive those that answer to it."""
    with reach(strict, "tcp") as client:
        assert client.call(66).status == rawrpc.OK
        shown = strict.box.run(["ss", "-Htno", "state", "established", "sport", "= :%d" % PORT]).stdout
        assert "timer:(keepalive," in shown, shown


def test_pings_that_are_not_answered(make_strict):
    server = make_strict(conf='auth_unix_ro = "sasl"\nkeepalive_interval = 1\nkeepalive_count = 1\n')
    with rawrpc.Client(server.socket) as client:
        assert client.call(60, struct.pack(">i", 10)).status == rawrpc.OK
        pings = 0
        with pytest.raises(rawrpc.Closed):
            while True:
                pings += client.receive().prog == rawrpc.KEEPALIVE
        assert pings == 1
    end = time.monotonic() + 60
    while "keepalive timeout" not in server.text():  # the log's line may come after the connection's end
        assert time.monotonic() < end
        rawrpc.Client(server.socket).close()


# ---- those who are many

def status_of(server, field):
    with open("/proc/%d/status" % server.process.pid, encoding="ascii") as status:
        return int(next(line for line in status if line.startswith(field + ":")).split()[1])


def settled(server, transports):
    """All who left are gone: as many clients as there may be find room again, and one more is served."""
    for transport in transports:
        room = [reach(server, transport) for _ in range(LIMIT)]
        for client in room:
            assert client.call(66).status == rawrpc.OK
        for client in room:
            client.close()
    with local(server) as client:
        assert client.call(GET_VERSION).status == rawrpc.OK


def test_a_thousand_strangers_come_and_go(make_strict):
    """In all stages of their exchange, while one who is in works: no descriptor, no thread is left of them, and no memory to speak of."""
    server = make_strict(mechs="plain scram-sha-256 digest-md5")
    worker = sasl_login(server)
    assert worker.call(1, rawrpc.optional(rawrpc.string("qemu:///system")) + b"\0\0\0\0").status == rawrpc.OK
    pid = server.process.pid

    def visit(i):
        client = reach(server, TRANSPORTS[i % 2])  # what a sanitizer keeps of a thousand sessions of TLS would hide a leak
        stage = i // 2 % 6
        if stage > 0:
            client.send(sasl.INIT)
        if stage > 1:
            client.receive()
        if stage > 2:
            client.send(sasl.START, sasl.start("DIGEST-MD5", None))
        if stage > 3:
            client.receive()
        if stage > 4:
            client.send(sasl.STEP, sasl.token(b"nonsense"))
        client.close()

    for i in range(200):
        visit(i)
    settled(server, TRANSPORTS)
    before = len(os.listdir("/proc/%d/fd" % pid))
    memory = status_of(server, "VmRSS")
    for i in range(1000):
        visit(i)
        if i % 50 == 0:
            assert worker.call(GET_VERSION).status == rawrpc.OK
    settled(server, TRANSPORTS)
    assert len(os.listdir("/proc/%d/fd" % pid)) <= before + 2 * LIMIT
    assert status_of(server, "Threads") < 64
    assert status_of(server, "VmRSS") < memory + (60 << 10)  # what a sanitizer keeps of freed memory; a leak of a token each were 250 MiB
    worker.close()


def test_strangers_of_tls_leave_nothing(make_strict):
    """In the handshake, before its first byte or within, right behind it and later: their descriptors go with them."""
    server = make_strict()
    fds = "/proc/%d/fd" % server.process.pid

    def visit(i):
        stage = i % 4
        if stage < 2:
            with contextlib.closing(netns.connect(server.box, pkis.PORT)) as sock:
                sock.sendall(b"\x16\x03\x01\x02\x00\x01"[:stage * 6])
            return
        with reach(server, "tls") as client:
            if stage == 3:
                client.send(sasl.INIT)

    for i in range(20):
        visit(i)
    settled(server, ["tls"])
    before = len(os.listdir(fds))
    for i in range(100):
        visit(i)
    settled(server, ["tls"])
    assert len(os.listdir(fds)) <= before + LIMIT  # the last ones may be on their way out
    assert status_of(server, "Threads") < 64


def test_ten_thousand_idle_connections(make_strict):
    """They cost memory and no more; who comes besides is served."""
    many = 10000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = max(hard, many + 1000)  # root may have more than he was given
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, allowed))
    idle = []
    try:
        server = make_strict(conf='auth_unix_ro = "sasl"\nmax_clients = 20000\nmax_queued_clients = 1000\n')
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (allowed, allowed))
        with rawrpc.Client(server.socket).open() as bystander:
            before = status_of(server, "VmRSS")
            for _ in range(many + 1):
                sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                sock.connect(server.socket)  # waits while the queue of those to be accepted is full
                idle.append(sock)
            idle[-1].settimeout(60)
            with rawrpc.Client(idle.pop()).open() as last:
                assert last.call(GET_VERSION).status == rawrpc.OK
            each = (status_of(server, "VmRSS") - before) * 1024 / many
            print("%.0f bytes a connection" % each)
            assert each < 16384  # what is asked of an idle one is 4 KiB; sanitizers add red zones
            assert bystander.call(GET_VERSION).status == rawrpc.OK
            for sock in idle:
                sock.close()
            assert bystander.call(GET_VERSION).status == rawrpc.OK
        assert server.stop() == 0
    finally:
        for sock in idle:
            sock.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_one_pipelines_others_are_served(make_strict, transport):
    """While a client's calls wait in their thousands, another's hundred are all answered."""
    server = make_strict(conf='auth_unix_ro = "sasl"\nlisten_tcp = 1\nauth_tcp = "none"\n')
    with reach(server, transport).open() as greedy, reach(server, transport).open() as other:
        packet = struct.pack(">IIIiIII", 28, rawrpc.REMOTE, 1, GET_VERSION, rawrpc.CALL, 7, rawrpc.OK)
        greedy.sock.setblocking(False)
        sent = 0
        try:
            while sent < 50 << 20:  # nothing is read: at some point nothing more is taken
                sent += greedy.sock.send(packet * 2000)
        except (BlockingIOError, ssl.SSLWantWriteError):
            pass
        assert sent < 50 << 20
        for _ in range(100):
            assert other.call(GET_VERSION).status == rawrpc.OK
