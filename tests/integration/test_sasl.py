"""SASL: stock clients with names and passwords, and others that try to get in without."""

import os
import select
import signal
import socket
import struct

import libvirt
import pytest

from lib import events, netns, pki, rawrpc, sasl

UNIX = 'auth_unix_rw = "sasl"\n'
TCP = 'listen_tcp = 1\nlisten_addr = "127.0.0.1"\nauth_tcp = "sasl"\n'
PORT, TAP_PORT = 16509, 16999
AT_PORT = "qemu+tcp://127.0.0.1:%d/system"
GET_VERSION = 4


@pytest.fixture
def sasl_server(server_kind):
    """A function that makes a daemon with SASL on its UNIX socket; it is closed at the end."""
    if server_kind != "berthd":
        pytest.skip("what is logged and how connections end is ours")
    made = []

    def make(**kw):
        kw.setdefault("libvirtd_conf", UNIX)
        kw.setdefault("log_level", "2")
        instance = sasl.Berthd(**kw)
        made.append(instance)
        return instance.open()

    yield make
    for instance in made:
        instance.close()


def client_of(server, socket_name="libvirt-sock"):
    return rawrpc.Client(server.box.path("run", socket_name))


def expect_refusal(client, reply=None):
    """Code 45 with the one text there is, then the end."""
    code, domain, text = (reply or client.receive()).error()
    assert (code, domain, text) == (45, 7, "authentication failed: SASL did not accept the credentials")
    with pytest.raises(rawrpc.Closed):
        while True:
            client.receive()


# ---- stock clients

@pytest.mark.parametrize("mech", ["digest-md5", "scram-sha-256", "plain"])
def test_stock_virsh_over_unix(sasl_server, mech):
    server = sasl_server(mechs=mech)
    good = server.virsh("list", "--all", env=server.auth_file())
    assert good.ok, (good, server.text())
    assert "authenticated by %s, 0 bits" % mech.upper() in server.text()
    bad = server.virsh("list", env=server.auth_file(password="not-it"))
    assert not bad.ok and "authentication failed" in bad.err, bad
    assert not server.virsh("list").ok
    text = server.text()
    assert "SASL authentication by %s failed" % mech.upper() in text
    assert sasl.USERS["fred"] not in text and "not-it" not in text
    assert server.virsh("-r", "list").ok  # the other socket asks for nothing


def test_bindings_with_a_callback(sasl_server):
    server = sasl_server(mechs="scram-sha-256")
    events.ensure_loop()

    def answer(wanted, who):
        for credential in wanted:
            credential[4] = who if credential[0] == libvirt.VIR_CRED_AUTHNAME else sasl.USERS["fred"]
        return 0

    kinds = [libvirt.VIR_CRED_AUTHNAME, libvirt.VIR_CRED_PASSPHRASE]
    conn = libvirt.openAuth(server.uri, [kinds, answer, "fred"], 0)
    assert conn.listAllDomains() == []
    conn.close()
    with pytest.raises(libvirt.libvirtError) as caught:
        libvirt.openAuth(server.uri, [kinds, answer, "joe"], 0)
    assert caught.value.get_error_code() == libvirt.VIR_ERR_AUTH_FAILED


def test_read_only_socket(sasl_server):
    server = sasl_server(libvirtd_conf='auth_unix_ro = "sasl"\n')
    assert not server.virsh("-r", "list").ok
    assert server.virsh("-r", "list", env=server.auth_file()).ok
    assert server.virsh("list").ok
    refused = server.virsh("-r", "define", "/dev/null", env=server.auth_file())
    assert not refused.ok


def test_digest_md5_over_tcp(sasl_server):
    """All after the exchange is encrypted; large answers and calls get through whole."""
    server = sasl_server(libvirtd_conf=TCP)
    uri, env = AT_PORT % PORT, server.auth_file(host="127.0.0.1")
    tap = netns.Tap(server.box, TAP_PORT, PORT)
    good = server.virsh("uri", uri=AT_PORT % TAP_PORT, env=env)
    assert good.ok, (good, server.text())
    passed = tap.close()
    assert b"DIGEST-MD5" in passed and b"qemu:///system" not in passed
    assert "authenticated by DIGEST-MD5, 128 bits" in server.text()

    words = "x" * (1 << 20)
    path = server.file("big.xml", "<domain type='qemu'><name>big</name><description>%s</description><memory>65536</memory>"
                                  "<os><type arch='x86_64'>hvm</type></os></domain>" % words)
    assert server.virsh("define", path, uri=uri, env=env).ok
    dump = server.virsh("dumpxml", "big", uri=uri, env=env)
    assert words in dump.out
    assert server.virsh("undefine", "big", uri=uri, env=env).ok
    for name, password in (("fred", "not-it"), ("joe", sasl.USERS["fred"])):
        bad = server.virsh("list", uri=uri, env=server.auth_file(name, password, host="127.0.0.1"))
        assert not bad.ok and "authentication failed" in bad.err


def test_what_does_not_encrypt_is_not_offered_over_tcp(sasl_server):
    server = sasl_server(libvirtd_conf=TCP + UNIX, mechs="scram-sha-256 plain anonymous login digest-md5")
    with rawrpc.Client(netns.connect(server.box, PORT)) as client:
        assert sasl.mechanisms(client) == ["DIGEST-MD5"]
        expect_refusal(client, client.call(sasl.START, sasl.start("PLAIN", sasl.plain("fred", sasl.USERS["fred"]))))
    with client_of(server) as client:
        assert sorted(sasl.mechanisms(client)) == ["DIGEST-MD5", "LOGIN", "PLAIN", "SCRAM-SHA-256"]
        expect_refusal(client, client.call(sasl.START, sasl.start("ANONYMOUS", b"me")))


def test_nothing_that_encrypts(sasl_server):
    server = sasl_server(libvirtd_conf=TCP, mechs="scram-sha-256 plain")
    assert "SASL over plain TCP: nobody will get in: " in server.text()
    with rawrpc.Client(netns.connect(server.box, PORT)) as client:
        expect_refusal(client, client.call(sasl.INIT))
    bad = server.virsh("list", uri=AT_PORT % PORT, env=server.auth_file(host="127.0.0.1"))
    assert not bad.ok and "authentication failed" in bad.err


# ---- who may come in

def test_allowed_users(sasl_server):
    """Patterns; changed by a reload; who is not in the list is told what one with a wrong password is told."""
    server = sasl_server(libvirtd_conf=UNIX + 'sasl_allowed_username_list = [ "nobody", "fr?d*" ]\n', mechs="plain")
    assert server.virsh("list", env=server.auth_file("fred")).ok
    outsider = server.virsh("list", env=server.auth_file("joe"))
    wrong = server.virsh("list", env=server.auth_file("joe", "not-it"))
    assert not outsider.ok and outsider.err == wrong.err
    assert "user joe" in server.text() and "is not in sasl_allowed_username_list" in server.text()

    def reload(users):
        path = server.box.path("etc", "libvirtd.conf")
        with open(path) as conf:
            lines = [line for line in conf if not line.startswith("sasl_allowed")]
        with open(path, "w") as conf:
            conf.write("".join(lines) + users)
        before = server.text().count("configuration read again")
        server.process.send_signal(signal.SIGHUP)
        while server.text().count("configuration read again") == before:
            client_of(server, "libvirt-sock-ro").open().close()

    reload('sasl_allowed_username_list = [ "joe*" ]\n')
    assert server.virsh("list", env=server.auth_file("joe")).ok
    assert not server.virsh("list", env=server.auth_file("fred")).ok
    reload("sasl_allowed_username_list = [ ]\n")
    assert not server.virsh("list", env=server.auth_file("joe")).ok
    reload("")
    assert server.virsh("list", env=server.auth_file("fred")).ok


def test_who_it_was_is_in_the_log(sasl_server):
    server = sasl_server(mechs="plain")
    assert not server.virsh("domstate", "nobody", env=server.auth_file()).ok
    line = [line for line in server.text().splitlines() if "domain_lookup_by_name failed" in line or "lookup_by_name" in line][0]
    assert "SASL fred" in line and "uid 0" in line, line


@pytest.mark.parametrize("mech", ["SCRAM-SHA-256", "SCRAM-SHA-512", "SCRAM-SHA-1"])
def test_nobody_learns_which_names_exist(sasl_server, mech):
    """One who is there and one who is not get challenges of one form, each the same salt every time, and fail alike."""
    server = sasl_server(mechs="scram-sha-256 scram-sha-512 scram-sha-1")

    def ask(name):
        with client_of(server) as client:
            sasl.mechanisms(client)
            complete, data = sasl.answer(client.call(sasl.START, sasl.start(mech, b"n,,n=%s,r=mine" % name)))
            assert not complete
            parts = data.split(b",")
            expect_refusal(client, client.call(sasl.STEP, sasl.token(b"c=biws,%s,p=AAAA" % parts[0])))
            return parts

    there, again = ask(b"fred"), ask(b"fred")
    nobody, still_nobody, somebody = ask(b"nobody"), ask(b"nobody"), ask(b"somebody")
    for parts in (there, again, nobody, still_nobody, somebody):
        assert [len(part) for part in parts] == [len(part) for part in there]
        assert parts[0].startswith(b"r=mine") and parts[1].startswith(b"s=") and parts[2] == there[2]
    assert there[1] == again[1] and nobody[1] == still_nobody[1]
    assert len({there[1], nobody[1], somebody[1]}) == 3
    assert len({parts[0] for parts in (there, again, nobody, still_nobody)}) == 4
    assert "user not found" in server.text()


# ---- those who do not keep to the order

def start_plain(client, name="fred", password=None):
    return client.call(sasl.START, sasl.start("PLAIN", sasl.plain(name, password or sasl.USERS[name])))


def test_out_of_turn(sasl_server):
    server = sasl_server(mechs="plain digest-md5")

    def listed():
        client = client_of(server)
        assert "PLAIN" in sasl.mechanisms(client)
        return client

    with client_of(server) as client:  # no list asked for
        expect_refusal(client, start_plain(client))
    with client_of(server) as client:
        expect_refusal(client, client.call(sasl.STEP, sasl.token(b"x")))
    with listed() as client:
        expect_refusal(client, client.call(sasl.INIT))
    with listed() as client:
        expect_refusal(client, client.call(sasl.STEP, sasl.token(None)))
    with listed() as client:
        complete, data = sasl.answer(client.call(sasl.START, sasl.start("DIGEST-MD5", None)))
        assert not complete and b"nonce" in data
        expect_refusal(client, client.call(sasl.START, sasl.start("DIGEST-MD5", None)))
    for mech in ("", "PLAI", "PLAINX", "PLAIN,DIGEST-MD5", ",", "plain\n", "NTLM", "X" * 60000):
        with listed() as client:
            expect_refusal(client, client.call(sasl.START, sasl.start(mech, None)))
    for data in (b"", b"\0", b"\0" * 65536, b"\xff" * 65536, b"fred", sasl.plain("fred", ""), b"joe\0fred\0" + sasl.USERS["fred"].encode()):
        with listed() as client:
            expect_refusal(client, client.call(sasl.START, sasl.start("PLAIN", data)))
    with listed() as client:  # the token does not decode: it never was a step
        code, _, _ = client.call(sasl.START, rawrpc.string("PLAIN") + struct.pack(">II", 0, 65537) + b"\0" * 4 * 65535).error()
        assert code == 39
        assert start_plain(client).status == rawrpc.OK
        assert client.call(1, rawrpc.optional(rawrpc.string("qemu:///system")) + b"\0\0\0\0").status == rawrpc.OK
        for proc, body in ((sasl.INIT, b""), (sasl.START, sasl.start("PLAIN", b"")), (sasl.STEP, sasl.token(None))):
            assert client.call(proc, body).error()[0] == 45  # who is in stays in
        assert client.call(GET_VERSION).status == rawrpc.OK
    with client_of(server, "libvirt-sock-ro").open() as client:  # a socket that does not ask for it
        assert client.call(sasl.INIT).error()[0] == 45
        assert client.call(GET_VERSION).status == rawrpc.OK


def test_step_bombs(sasl_server):
    """Steps side by side, and steps without end."""
    server = sasl_server(mechs="plain login digest-md5")
    for count in (2, 5, 50):
        with client_of(server) as client:
            assert "PLAIN" in sasl.mechanisms(client)
            packet = struct.pack(">IIIiIII", 0, rawrpc.REMOTE, 1, sasl.START, rawrpc.CALL, 7, rawrpc.OK)[4:]
            body = sasl.start("PLAIN", sasl.plain("fred", "not-it"))
            client.send_raw(b"".join(struct.pack(">I", 28 + len(body)) + packet + body for _ in range(count)))
            with pytest.raises(rawrpc.Closed):
                while True:
                    assert client.receive().error()[0] in (39, 45)
    with client_of(server) as client:
        sasl.mechanisms(client)
        reply = client.call(sasl.START, sasl.start("LOGIN", None))
        steps = 0
        with pytest.raises(rawrpc.Closed):
            while True:
                reply = client.call(sasl.STEP, sasl.token(b""))
                steps += 1
        assert steps <= 17
    assert server.virsh("list", env=server.auth_file()).ok


# ---- libraries that wait

class Hung:
    """A saslauthd that takes questions and does not answer."""

    def __init__(self, server):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.bind(server.box.path("etc", "mux"))
        self.sock.listen(200)
        self.held = []

    def wait_for(self, count):
        while len(self.held) < count:
            ready, _, _ = select.select([self.sock], [], [], 20)
            assert ready, "only %d asked" % len(self.held)
            self.held.append(self.sock.accept()[0])

    def close(self):
        for sock in self.held + [self.sock]:
            sock.close()


HUNG = {"mechs": "plain", "sasl_conf": "pwcheck_method: saslauthd\nsaslauthd_path: /etc/libvirt/mux\n"}


def send_start(server):
    client = client_of(server)
    sasl.mechanisms(client)
    client.send(sasl.START, sasl.start("PLAIN", sasl.plain("fred", "any")))
    return client


def test_an_authority_that_does_not_answer(sasl_server):
    """It holds those who ask it and nobody else; who waits is told off by the deadline, also before it had a worker."""
    server = sasl_server(libvirtd_conf=UNIX + "max_anonymous_clients = 100\n", berthd_conf="auth_timeout = 3\n", **HUNG)
    hung = Hung(server)
    waiting = [send_start(server) for _ in range(10)]
    hung.wait_for(10)
    gone = [send_start(server) for _ in range(6)]  # with these all workers of authentication wait
    hung.wait_for(16)
    for client in gone:
        client.close()
    parked = [client_of(server) for _ in range(20)]
    for client in parked:
        client.send(sasl.INIT)
    with client_of(server, "libvirt-sock-ro").open() as other:
        for _ in range(100):
            assert other.call(GET_VERSION).status == rawrpc.OK
    for client in waiting + parked:
        with pytest.raises(rawrpc.Closed):
            client.receive()
    client_of(server, "libvirt-sock-ro").open().close()  # what is served now comes after what was logged
    assert server.text().count("not authenticated in time") >= 30
    for sock in hung.held:
        sock.close()
    del hung.held[:]
    with send_start(server) as client:  # the workers are free again
        hung.wait_for(1)
        question = hung.held[0].recv(4096)
        assert b"fred" in question and b"libvirt" in question
        hung.held[0].sendall(struct.pack(">H", 2) + b"OK")
        assert sasl.answer(client.receive())[0] == 1
        assert client.call(1, rawrpc.optional(rawrpc.string("qemu:///system")) + b"\0\0\0\0").status == rawrpc.OK
    hung.close()


def test_stop_while_the_authority_does_not_answer(sasl_server):
    server = sasl_server(**HUNG)
    hung = Hung(server)
    client = send_start(server)
    hung.wait_for(1)
    assert server.stop() == 0
    with pytest.raises(rawrpc.Closed):
        client.receive()
    hung.close()
    assert not os.path.exists(server.box.path("run", "libvirt-sock"))


# ---- under TLS

@pytest.mark.parametrize("mech", ["scram-sha-256", "plain"])
def test_over_tls(sasl_server, tmp_path_factory, mech):
    """The certificate first, then the password; both are shown."""
    authority = pki.Pki(str(tmp_path_factory.mktemp("pki")))
    alice = authority.client("alice")
    server = sasl_server(libvirtd_conf=authority.conf() + 'listen_addr = "127.0.0.1"\nauth_tls = "sasl"\n', mechs=mech)
    uri = "qemu+tls://localhost/system?pkipath=" + alice
    good = server.virsh("list", uri=uri, env=server.auth_file())
    assert good.ok, (good, server.text())
    line = [line for line in server.text().splitlines() if "authenticated by %s, 0 bits" % mech.upper() in line][0]
    assert "TLS CN=alice" in line and "SASL fred" in line
    for env in (server.auth_file(password="not-it"), {}):
        bad = server.virsh("list", uri=uri, env=env)
        assert not bad.ok and "authentication failed" in bad.err, bad


def test_ipv6(sasl_server, tmp_path_factory):
    """On ::1 alone: DIGEST-MD5 over TCP, a password behind a certificate over TLS, and access rules that know the user of either."""
    authority = pki.Pki(str(tmp_path_factory.mktemp("pki")))
    alice = authority.client("alice")
    server = sasl_server(libvirtd_conf=authority.conf() + 'listen_tcp = 1\nlisten_addr = "::1"\nauth_tcp = "sasl"\nauth_tls = "sasl"\n'
                         'access_drivers = [ "berth" ]\n', mechs="digest-md5 scram-sha-256",
                         rules="allow sasl fred* to *\nallow sasl joe* to connect:getattr\n")
    for uri in ("qemu+tcp://[::1]/system", "qemu+tls://[::1]/system?pkipath=" + alice):
        fred, joe = server.auth_file("fred", host="::1"), server.auth_file("joe", host="::1")
        assert server.virsh("list", "--all", uri=uri, env=fred).ok, server.text()
        assert server.virsh("uri", uri=uri, env=joe).ok, server.text()
        refused = server.virsh("nodeinfo", uri=uri, env=joe)
        assert "SASL user joe" in refused.err and "has no permission connect:read" in refused.err, refused
    with pytest.raises(OSError):
        netns.connect(server.box, PORT)
    assert "::1;" in server.text()
