"""TLS and TCP: stock clients with certificates of berth-pki, those without, hostile peers, reload; and what berth-pki finds wrong."""

import contextlib
import os
import re
import shutil
import signal
import socket
import ssl
import threading

import pytest

from lib import netns, pki as pkis, rawrpc, server as servers

GET_VERSION = 4
TLS, TCP = 16514, 16509


@pytest.fixture
def make(server_kind, tmp_path_factory):
    """A function that makes a daemon, and one an authority; all is gone at the end."""
    if server_kind != "berthd":
        pytest.skip("what is logged is ours, and so is berth-pki")
    made, dirs = [], []

    class Makers:
        @staticmethod
        def pki(**kw):
            directory = str(tmp_path_factory.mktemp("pki"))
            os.chmod(directory, 0o755)
            os.chmod(os.path.dirname(directory), 0o755)
            dirs.append(directory)
            return pkis.Pki(directory, **kw)

        @staticmethod
        def closed(**kw):
            kw.setdefault("log_level", "2")
            made.append(servers.Berthd(**kw))
            return made[-1]

        @classmethod
        def server(cls, **kw):
            return cls.closed(**kw).open()

    yield Makers
    for instance in made:
        instance.close()
    for directory in dirs:
        shutil.rmtree(directory, ignore_errors=True)


def uri(client, host="localhost"):
    return "qemu+tls://%s/system?pkipath=%s" % (host, client)


def call(client):
    assert client.call(GET_VERSION).status == rawrpc.OK


def expect_closed(client):
    with pytest.raises((rawrpc.Closed, ssl.SSLError)):
        while True:
            client.receive()


def log(server):
    """What the daemon has printed once it is done with what came before."""
    with rawrpc.Client(server.socket).open() as client:
        call(client)
    return server.text()


@contextlib.contextmanager
def notified(server, word):
    """What is done inside makes the daemon tell the service manager `word`."""
    path = server.box.path("notify")
    os.unlink(path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(path)
        notify.settimeout(30)
        yield
        while word not in notify.recv(4096).decode().split("\n"):
            pass


def reload(server):
    """SIGHUP; returns when it is done."""
    before = log(server).count("configuration read again")
    with notified(server, "READY=1"):
        server.process.send_signal(signal.SIGHUP)
    assert log(server).count("configuration read again") > before, server.text()


# ---- stock clients

def test_stock_clients(make, domain_xml):
    """virsh and the bindings, by each of the host's names, with a guest defined through TLS."""
    pki = make.pki()
    alice = pki.client("alice", "--organisation", "Example")
    server = make.server(libvirtd_conf=pki.conf())
    for host in ("localhost", "127.0.0.1", "[::1]"):
        result = server.virsh("list", "--all", uri=uri(alice, host))
        assert result.ok, (result, log(server))
    assert "certificate O=Example,CN=alice" in log(server)
    path = server.file("guest.xml", domain_xml(real=False))
    assert server.virsh("define", path, uri=uri(alice)).ok
    script = ("import libvirt, sys; c = libvirt.open(sys.argv[1]); d = c.lookupByName('tour'); print(c.getURI(), c.isEncrypted(), c.isSecure(),"
              "len(c.getCapabilities()) > 1000, 'tour' in d.XMLDesc()); d.undefine()")
    done = server.box.run(["/usr/bin/python3", "-c", script, uri(alice)])
    assert done.stdout.split()[-4:] == ["1", "1", "True", "True"], done


def test_default_places(make):
    """Nothing configured but that it listens: both sides find what berth-pki has put into /etc/pki."""
    server = make.closed(libvirtd_conf='listen_tls = 1\n')
    server.box.start()
    if not os.path.isdir("/etc/pki"):
        os.mkdir("/etc/pki")
        server.box.made.append("/etc/pki")
    os.mkdir(server.box.path("pki"), 0o755)
    server.box.run(["mount", "--bind", server.box.path("pki"), "/etc/pki"])
    for args in (["init"], ["server", "localhost"], ["client", "alice"]):
        pkis.sh(*args, box=server.box)
    server.write_config()
    server.start()
    assert server.virsh("list", uri="qemu+tls://localhost/system").ok
    checked = pkis.run("check", "localhost", box=server.box)
    assert checked.ok and "all is well" in checked.out, checked
    pkis.sh("revoke", "/etc/pki/libvirt/clientcert.pem", box=server.box)
    reload(server)
    assert not server.virsh("list", uri="qemu+tls://localhost/system").ok
    assert "not let in: the client's certificate was revoked" in log(server)


def test_listen_option_means_tls(make):
    """libvirtd's rule: --listen alone opens TLS, and listen_tls = 0 keeps it closed."""
    pki = make.pki()
    server = make.closed(libvirtd_conf=pki.conf().replace("listen_tls = 1\n", ""))
    server.box.start()
    server.write_config()
    server.start()
    with pytest.raises(OSError):
        netns.connect(server.box, TLS)
    server.stop()
    server.start(["--listen"])
    netns.connect(server.box, TLS).close()


def test_tcp(make):
    """IPv4 and IPv6; a port by the name of its service, on one address only."""
    server = make.server(libvirtd_conf='listen_tcp = 1\nauth_tcp = "none"\ntcp_port = "domain"\nlisten_addr = "::1"\n')
    assert server.virsh("list", uri="qemu+tcp://[::1]:53/system").ok
    with pytest.raises(OSError):
        netns.connect(server.box, 53, host="127.0.0.1")
    assert "whoever reaches [::1]:53 controls this host" in log(server)
    both = make.server(libvirtd_conf='listen_tcp = 1\nauth_tcp = "none"\n')
    for host in ("127.0.0.1", "[::1]"):
        assert both.virsh("list", uri="qemu+tcp://%s/system" % host).ok


@pytest.mark.parametrize("conf,words", [
    ('listen_tcp = 1\nlisten_addr = "192.0.2.99"\n', "tcp_port: cannot listen on 192.0.2.99:16509: Cannot assign requested address"),
    ('listen_tcp = 1\ntcp_port = "no-such-service"\n', 'tcp_port: there is no TCP service "no-such-service"'),
    ('listen_tcp = 1\nlisten_addr = "999.1.1.1"\n', 'listen_addr: cannot find the address "999.1.1.1"'),
    ('listen_tls = 1\nca_file = "/nonexistent/ca.pem"\n', "cannot read the certificate /nonexistent/ca.pem: No such file or directory"),
])
def test_start_refused(make, conf, words):
    server = make.closed(libvirtd_conf=conf)
    with pytest.raises(RuntimeError) as refusal:
        server.open()
    assert words in str(refusal.value), refusal.value


# ---- who is not let in

def test_strangers(make):
    """No certificate, another authority, a name that is not allowed, a server by a name it does not have: and nobody else notices."""
    pki, other = make.pki(), make.pki()
    alice, bob, stranger = pki.client("alice"), pki.client("bob"), other.client("stranger")
    shutil.copy(pki.path("CA", "cacert.pem"), stranger)  # it believes the server
    nobody = pki.path("nobody")
    os.mkdir(nobody)
    shutil.copy(pki.path("CA", "cacert.pem"), nobody)
    server = make.server(libvirtd_conf=pki.conf() + 'tls_allowed_dn_list = [ "CN=ali*", "CN=carol" ]\n')
    with pki.connect(server.box, alice).open() as bystander:
        for client, words in ((nobody, "the client has sent no certificate"),
                              (bob, 'the name "CN=bob" is not in tls_allowed_dn_list')):
            refused = server.virsh("list", uri=uri(client))
            assert not refused.ok and "not let in: " + words in log(server), (refused, log(server))
            call(bystander)
        # stock clients do not start with a certificate their own authority has not signed: one of the wire shows it
        with pytest.raises((ssl.SSLError, ConnectionError, AssertionError)):
            pki.connect(server.box, stranger)
        assert re.search(r"not let in: the client's certificate was not signed|not let in: the client has sent no", log(server))
        wrong = server.virsh("list", uri=uri(alice, "127.0.0.2"))
        assert not wrong.ok and "127.0.0.2" in wrong.err, wrong
        lost = server.virsh("list", uri=uri(other.client("alice")))
        assert not lost.ok and "issuer" in lost.err, lost
        call(bystander)


def test_expired_certificates(make):
    """The server's own is found at start, with the file and what to do; one that is used nevertheless is refused by stock clients.  A client's is
    refused by the daemon, whose log says why."""
    pki = make.pki()
    alice, bob = pki.client("alice"), pki.client("bob")
    pkis.expire(pki, "alice", "clientcert.pem")
    server = make.server(libvirtd_conf=pki.conf())
    with pki.connect(server.box, bob).open() as bystander:
        with pytest.raises((ssl.SSLError, ConnectionError, AssertionError)):
            pki.connect(server.box, alice)  # stock clients look at their own before they start
        assert "not let in: the client's certificate has expired" in log(server), server.text()
        stock = server.virsh("list", uri=uri(alice))
        assert not stock.ok and "expired" in stock.err, stock
        call(bystander)

    pkis.expire(pki, "libvirt", "servercert.pem")
    unfit = make.closed(libvirtd_conf=pki.conf())
    with pytest.raises(RuntimeError) as refusal:
        unfit.open()
    assert re.search(re.escape(pki.path("libvirt", "servercert.pem")) + ": the certificate expired on 20..-", str(refusal.value)), refusal.value
    assert "make a new one: berth-pki server" in str(refusal.value)
    forced = make.server(libvirtd_conf=pki.conf() + "tls_no_sanity_certificate = 1\n")
    late = forced.virsh("list", uri=uri(bob))
    assert not late.ok and "verify peer's certificate" in late.err, late


def test_names_decide_who_may_what(make, domain_xml):
    """The list of names decides who comes in, the access rules what he may then do; the refusal names him."""
    pki = make.pki()
    admin, guest, other = (pki.client(name, "--organisation", "Example") for name in ("admin", "guest", "other"))
    server = make.closed(libvirtd_conf=pki.conf() + 'access_drivers = [ "berth" ]\ntls_allowed_dn_list = [ "O=Example,CN=admin", "O=Example,CN=gu*" ]\n')
    server.box.start()
    server.write_config()
    rules = server.box.path("etc", "berthd.conf.d", "access", "10-test.rules")
    os.makedirs(os.path.dirname(rules), exist_ok=True)
    with open(rules, "w") as out:
        out.write('allow user root to *\nallow dn "O=Example,CN=admin" to *\n'
                  'allow dn "O=Example,CN=gu*" to connect:getattr connect:search_domains domain:getattr\n')
    os.chmod(rules, 0o644)
    server.start()
    path = server.file("guest.xml", domain_xml(real=False))
    assert server.virsh("define", path, uri=uri(admin)).ok, server.text()
    assert server.virsh("list", "--all", "--name", uri=uri(guest)).out.split() == ["tour"]
    refused = server.virsh("undefine", "tour", uri=uri(guest))
    assert "access denied: TLS name O=Example,CN=guest has no permission domain:read on domain 'tour'" in refused.err, refused
    assert not server.virsh("list", uri=uri(other)).ok
    assert 'the name "O=Example,CN=other" is not in tls_allowed_dn_list' in log(server)
    assert server.virsh("undefine", "tour", uri=uri(admin)).ok


def test_no_verify(make):
    """A server that asks nobody, and one whose configuration contradicts itself."""
    pki = make.pki()
    nobody = pki.path("nobody")
    os.mkdir(nobody)
    shutil.copy(pki.path("CA", "cacert.pem"), nobody)
    server = make.server(libvirtd_conf=pki.conf() + "tls_no_verify_certificate = 1\n")
    assert server.virsh("list", uri=uri(nobody)).ok
    assert "whoever reaches the TLS port controls this host" in log(server)
    assert "certificate not verified" in log(server)


# ---- hostile peers

def test_no_tls_on_the_tls_port(make):
    pki = make.pki()
    alice = pki.client("alice")
    server = make.server(libvirtd_conf=pki.conf() + 'listen_tcp = 1\nauth_tcp = "none"\n')
    with pki.connect(server.box, alice).open() as bystander:
        plain = rawrpc.Client(netns.connect(server.box, TLS))
        plain.send_raw(b"\0\0\0\x1c" + b"\x20\0\x80\x86" + bytes(20))
        expect_closed(plain)
        assert "this is not TLS" in log(server)
        with pytest.raises((ssl.SSLError, OSError)):
            pki.context(alice).wrap_socket(netns.connect(server.box, TCP), server_hostname="localhost")
        torn = pki.connect(server.box, alice).open()
        raw = socket.socket(fileno=os.dup(torn.sock.fileno()))  # past TLS
        raw.sendall(b"GET / HTTP/1.0\r\n\r\n" * 20)
        expect_closed(torn)
        raw.close()
        call(bystander)


def test_half_open_peers_cost_nobody_anything(make):
    """More than max_anonymous_clients that stop in the handshake, before its first byte or after it: others come in meanwhile."""
    pki = make.pki()
    alice = pki.client("alice")
    server = make.server(libvirtd_conf=pki.conf() + 'max_anonymous_clients = 5\n', berthd_conf="handshake_timeout = 600\n")
    peers = []
    for i in range(20):
        peer = netns.connect(server.box, TLS)
        if i % 2:
            peer.sendall(b"\x16\x03\x01\x02\x00\x01")  # the beginning of a ClientHello
        peers.append(peer)
    assert server.virsh("list").ok
    assert server.virsh("list", uri=uri(alice)).ok
    with pki.connect(server.box, alice).open() as client:
        call(client)
    for peer in peers:
        peer.close()


def test_handshake_flood(make):
    """While four shake hands and leave as fast as they can, local clients and those of TLS are served."""
    pki = make.pki()
    alice = pki.client("alice")
    server = make.server(libvirtd_conf=pki.conf(), berthd_conf="handshake_timeout = 600\n")
    enough, shaken, failed = threading.Event(), [], []

    def shake():
        while not enough.is_set():
            try:
                pki.connect(server.box, alice).close()
                shaken.append(1)
            except Exception as failure:  # told by the test
                failed.append(failure)
                return

    threads = [threading.Thread(target=shake) for _ in range(4)]
    try:
        with pki.connect(server.box, alice).open() as inside, rawrpc.Client(server.socket).open() as local:
            for thread in threads:
                thread.start()
            for _ in range(100):
                call(inside)
                call(local)
            assert server.virsh("list", uri=uri(alice)).ok
    finally:
        enough.set()
        for thread in threads:
            thread.join()
    assert shaken and not failed, failed


def test_handshake_deadline(make):
    pki = make.pki()
    server = make.server(libvirtd_conf=pki.conf(), berthd_conf="handshake_timeout = 1\n")
    peer = netns.connect(server.box, TLS)
    peer.sendall(b"\x16\x03\x01\x02\x00\x01")
    assert peer.recv(1) == b""
    assert "no handshake in time" in log(server)


# ---- reload

def test_reload(make):
    """A new certificate for those who come, nobody dropped; a revoked one ends its sessions; a bad one changes nothing."""
    pki = make.pki()
    alice, bob = pki.client("alice"), pki.client("bob")
    server = make.server(libvirtd_conf=pki.conf())
    a, b = pki.connect(server.box, alice).open(), pki.connect(server.box, bob).open()
    pki.sh("server", "--force", "localhost")
    reload(server)
    call(a)
    call(b)
    later = pki.connect(server.box, bob)
    assert later.sock.getpeercert(True) != a.sock.getpeercert(True)
    later.open()

    pki.sh("revoke", os.path.join(bob, "clientcert.pem"))
    with open(server.box.path("etc", "libvirtd.conf"), "a") as conf:
        conf.write('crl_file = "%s"\n' % pki.path("CA", "cacrl.pem"))
    reload(server)
    expect_closed(b)
    expect_closed(later)
    call(a)
    assert "its certificate was revoked: session ended, certificate CN=bob" in log(server)
    refused = server.virsh("list", uri=uri(bob))
    assert not refused.ok and "not let in: the client's certificate was revoked" in log(server)

    os.rename(pki.path("libvirt", "private", "serverkey.pem"), pki.path("kept.pem"))
    reload(server)
    assert "TLS goes on with the certificates it had" in log(server)
    call(a)
    assert server.virsh("list", uri=uri(alice)).ok
    os.rename(pki.path("kept.pem"), pki.path("libvirt", "private", "serverkey.pem"))
    for client in (a, b, later):
        client.close()


# ---- berth-pki

def test_check_finds_what_is_wrong(make):
    pki, other = make.pki(), make.pki()
    pki.sh("client", "alice")
    key, cert = pki.path("libvirt", "private", "serverkey.pem"), pki.path("libvirt", "servercert.pem")

    def check(*hosts):
        return pkis.run("--root", pki.root, "check", *(hosts or ["localhost"]))

    assert check().ok
    wrong = check("localhost", "virt.example.org")
    assert wrong.rc == 1 and "servercert.pem: wrong subject alternative name: the certificate is not for virt.example.org" in wrong.out
    os.chmod(key, 0o640)
    wrong = check()
    assert wrong.rc == 1 and "serverkey.pem: wrong mode: the key has mode 0640" in wrong.out and "chmod 600 " + key in wrong.out
    os.chmod(key, 0o600)
    shutil.copy(other.path("libvirt", "private", "serverkey.pem"), key)
    wrong = check()
    assert wrong.rc == 1 and "serverkey.pem: wrong key: it does not belong to the certificate " + cert in wrong.out
    shutil.copy(other.path("libvirt", "servercert.pem"), cert)
    wrong = check()
    assert wrong.rc == 1 and "servercert.pem: wrong authority" in wrong.out and "1 problem" in wrong.out
    os.unlink(key)
    wrong = check()
    assert wrong.rc == 1 and "cannot read the key " + key in wrong.out
    pki.sh("server", "--force", "localhost")
    assert check().ok
    os.unlink(pki.path("CA", "cacert.pem"))
    wrong = check()
    assert wrong.rc == 1 and "cacert.pem" in wrong.out


def test_pki_files(make):
    """Keys are their owner's alone, nothing is replaced unasked, and names that are none are refused."""
    pki = make.pki()
    for path in (pki.path("CA", "private", "cakey.pem"), pki.path("libvirt", "private", "serverkey.pem")):
        assert os.stat(path).st_mode & 0o7777 == 0o600
    alice = pki.client("alice")
    assert os.stat(os.path.join(alice, "clientkey.pem")).st_mode & 0o7777 == 0o600
    assert sorted(os.listdir(alice)) == ["cacert.pem", "clientcert.pem", "clientkey.pem"]
    for args in (["init"], ["server", "localhost"], ["client", "alice", "--output", alice]):
        again = pkis.run("--root", pki.root, *args)
        assert again.rc == 1 and "is there already" in again.err and "--force" in again.err
    for args in (["server"], ["server", "a b"], ["client"], ["client", "a\nb"], ["client", "x" * 65], ["frobnicate"], [], ["--days", "0", "init"],
                 ["--output", alice, "init"], ["--name", "x", "client", "y"], ["--force", "check"], ["--output", alice, "revoke", alice]):
        assert pkis.run("--root", pki.root, *args).rc == 2, args
    none = pkis.run("--root", pki.path("none"), "client", "x")
    assert none.rc == 1 and "there is no authority" in none.err and "berth-pki init" in none.err
