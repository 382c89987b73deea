"""docs/remote.md and the door of docs/security.md, done as they are written, on a host that README's `make install` made, with stock clients.

One host under a real systemd; it is server and client at once, virt1.example.org.
"""

import os
import subprocess
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

from lib import systemd  # noqa: E402

NAME = "virt1.example.org"
PASSWORD = "swordfish"


@pytest.fixture(scope="module")
def host():
    if os.geteuid() != 0:
        pytest.fail("namespaces of our own need root")
    with systemd.Host() as made:
        made.write("/etc/systemd/system/berthd.service.d/tests.conf", "[Unit]\nStartLimitIntervalSec=0\n[Service]\n"
                   "Environment=ASAN_OPTIONS=abort_on_error=1:detect_leaks=0 UBSAN_OPTIONS=halt_on_error=1 G_SLICE=always-malloc\n")
        made.run("hostname", "virt1")
        with open(made.path("/etc/hosts"), "a") as hosts:
            hosts.write("127.0.0.1 %s virt1\n" % NAME)
        # README, "To install"
        made.run("systemd-sysusers")
        made.run("systemd-tmpfiles", "--create", ok=None)  # of all packages: those of others may complain here
        append(made, "/etc/libvirt/libvirtd.conf", 'log_filters = "2:daemon.main"\n')  # else the level it comes with
        made.run("systemctl", "enable", "--now", "berthd.service")
        yield made


def append(host, path, text):
    with open(host.path(path), "a") as out:
        out.write(text)


def without(host, path, words):
    """A configuration file without the lines a test has added."""
    with open(host.path(path)) as conf:
        kept = [line for line in conf if not any(word in line for word in words)]
    host.write(path, "".join(kept))


def virsh(host, *args, env=(), user=None, ok=True):
    argv = ["env", *env, "virsh", *args]
    return host.run(*(["runuser", "-u", user, "--"] if user else []), *argv, ok=ok)


def socket_unit(host, name):
    """As both sections have it."""
    host.run("systemctl", "stop", "berthd.service")
    host.run("systemctl", "enable", "--now", name)
    host.run("systemctl", "start", "berthd.service")


# ---- ssh

@pytest.fixture(scope="module")
def sshd(host):
    host.run("mkdir", "-p", "/run/sshd")
    host.write("/root/sshd_config", "Port 22\nListenAddress 127.0.0.1\nHostKey /root/host_key\nUsePAM no\nStrictModes no\nPermitRootLogin yes\n")
    host.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "/root/host_key")
    host.run("useradd", "-m", "alice")
    host.run("sh", "-c", "echo alice:%s | chpasswd" % PASSWORD)  # sshd lets nobody in whose account is locked
    for user, home in (("root", "/root"), ("alice", "/home/alice")):
        host.run("install", "-d", "-m", "700", "-o", user, "-g", user, home + "/.ssh")
        host.run("rm", "-f", home + "/.ssh/known_hosts", home + "/.ssh/config")
    host.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "/root/.ssh/virt")
    host.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "/root/.ssh/looker")
    for home in ("/root", "/home/alice"):
        host.run("cp", "/root/.ssh/virt.pub", home + "/.ssh/authorized_keys")
    child = host.popen(["/usr/sbin/sshd", "-D", "-e", "-f", "/root/sshd_config"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while "open" not in host.run("sh", "-c", "nc -z 127.0.0.1 22 && echo open", ok=None):
        assert child.poll() is None
    yield "keyfile=/root/.ssh/virt&no_verify=1&no_tty=1"
    child.kill()
    child.wait()


def test_ssh(host, sshd):
    for proxy in ("", "&proxy=auto", "&proxy=native", "&proxy=netcat"):
        assert NAME in virsh(host, "-c", "qemu+ssh://root@%s/system?%s%s" % (NAME, sshd, proxy), "uri")
    alice = "qemu+ssh://alice@%s/system?%s" % (NAME, sshd)
    virsh(host, "-r", "-c", alice, "list", "--all")
    assert "cannot connect to /run/libvirt/libvirt-sock: Permission denied" in virsh(host, "-c", alice, "list", ok=False)
    host.run("usermod", "-a", "-G", "libvirt", "alice")
    virsh(host, "-c", alice, "list", "--all")
    host.run("gpasswd", "-d", "alice", "libvirt")
    assert "/session" in virsh(host, "-c", "qemu+ssh://alice@%s/session?%s" % (NAME, sshd), "uri")
    with open(host.path("/root/.ssh/looker.pub")) as key:
        append(host, "/root/.ssh/authorized_keys", 'restrict,command="virt-ssh-helper -r qemu:///system" ' + key.read())
    looking = "qemu+ssh://root@%s/system?%s" % (NAME, sshd.replace("virt&", "looker&"))
    virsh(host, "-c", looking, "list", "--all")
    host.write("/root/none.xml", "<domain type='qemu'><name>none</name></domain>")
    assert "read only access" in virsh(host, "-c", looking, "define", "/root/none.xml", ok=False)
    host.write("/root/.ssh/known_hosts", "")
    assert "Host key verification failed" in virsh(host, "-c", "qemu+ssh://root@%s/system?keyfile=/root/.ssh/virt&no_tty=1" % NAME, "uri", ok=False)


# ---- TLS

def test_tls(host):
    host.run("berth-pki", "init")
    host.run("berth-pki", "server", NAME, "virt1", "192.0.2.7")
    for path, mode in (("/etc/pki/CA/cacert.pem", "644"), ("/etc/pki/libvirt/servercert.pem", "644"), ("/etc/pki/libvirt/private/serverkey.pem", "600"),
                       ("/etc/pki/CA/private/cakey.pem", "600")):
        assert host.run("stat", "-c", "%a", path) == mode, path
    host.run("berth-pki", "server", "--output", "/root/other", "virt2.example.org")
    assert host.run("ls", "/root/other").split() == ["cacert.pem", "servercert.pem", "serverkey.pem"]
    host.run("berth-pki", "check")
    socket_unit(host, "berthd-tls.socket")
    said = host.run("berth-pki", "client", "alice", "--organisation", "Example", "--output", "/root/alice")
    assert "O=Example,CN=alice" in said.replace("CN=alice,O=Example", "O=Example,CN=alice"), said
    host.run("berth-pki", "client", "bob", "--organisation", "Example", "--output", "/root/bob")
    by = "qemu+tls://%s/system?pkipath=/root/%%s" % NAME
    assert NAME in virsh(host, "-c", by % "alice", "uri")
    # libvirt's places
    assert "Cannot read CA certificate" in virsh(host, "-c", "qemu+tls://%s/system?pkipath=/root/nowhere" % NAME, "uri", ok=False)
    for name, place in (("clientcert.pem", "/etc/pki/libvirt/clientcert.pem"), ("clientkey.pem", "/etc/pki/libvirt/private/clientkey.pem")):
        host.run("cp", "/root/alice/" + name, place)
    assert NAME in virsh(host, "-c", "qemu+tls://%s/system" % NAME, "uri")
    assert "owner does not match the hostname" in virsh(host, "-c", "qemu+tls://localhost/system", "uri", ok=False)
    # only some
    append(host, "/etc/libvirt/libvirtd.conf", 'tls_allowed_dn_list = [ "O=Example,CN=alice", "O=Example,CN=ops-*" ]\n')
    before = host.now()
    host.run("systemctl", "reload", "berthd")
    host.said("configuration read again", before)
    virsh(host, "-c", by % "alice", "list", "--all")
    before = host.now()
    assert "Unable to read TLS confirmation" in virsh(host, "-c", by % "bob", "list", ok=False)
    host.said("not let in", before)
    # one taken away: the session that is open ends, with the reload
    with host.popen(["virsh", "-c", by % "alice"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as shell:
        shell.stdin.write("echo here\n")
        shell.stdin.flush()
        for line in shell.stdout:
            if line.strip() == "here":
                break
        host.run("berth-pki", "revoke", "/root/alice/clientcert.pem")
        host.run("stat", "/etc/pki/CA/cacrl.pem")
        before = host.now()
        host.run("systemctl", "reload", "berthd")
        host.said("configuration read again", before)
        shell.stdin.write("list --all\nlist --all\n")
        shell.stdin.close()
        said = shell.stdout.read()
    assert "Disconnected from qemu+tls" in said or "error" in said, said
    virsh(host, "-c", by % "alice", "list", ok=False)
    without(host, "/etc/libvirt/libvirtd.conf", ["tls_allowed_dn_list"])
    # new ones
    host.run("berth-pki", "server", "--force", NAME)
    host.run("virt-admin", "server-update-tls", "libvirtd")
    host.run("systemctl", "reload", "berthd")
    assert NAME in virsh(host, "-c", by % "bob", "uri")


# ---- SASL

def login(host, name, password, server=NAME):
    host.write("/root/auth-%s" % name, "[credentials-virt]\nauthname=%s\npassword=%s\n\n[auth-libvirt-%s]\ncredentials=virt\n" % (name, password, server))
    return ["LIBVIRT_AUTH_FILE=/root/auth-%s" % name]


def test_tcp_with_sasl(host):
    host.write("/etc/sasl2/libvirt.conf", "mech_list: scram-sha-256 digest-md5\nsasldb_path: /etc/libvirt/passwd.db\n")
    for name in ("fred", "joe"):
        host.run("sh", "-c", "echo %s | saslpasswd2 -p -f /etc/libvirt/passwd.db -a libvirt -u \"$(hostname -f)\" %s" % (PASSWORD, name))
    assert "fred@%s" % NAME in host.run("sasldblistusers2", "-f", "/etc/libvirt/passwd.db")
    socket_unit(host, "berthd-tcp.socket")
    tcp = "qemu+tcp://%s/system" % NAME
    assert NAME in virsh(host, "-c", tcp, "uri", env=login(host, "fred", PASSWORD))
    assert NAME in virsh(host, "-c", tcp + "?authfile=/root/auth-fred", "uri")
    assert "authentication failed" in virsh(host, "-c", tcp, "uri", env=login(host, "fred", "wrong"), ok=False)
    append(host, "/etc/libvirt/libvirtd.conf", 'sasl_allowed_username_list = [ "fred@*", "*@EXAMPLE.COM", "fred" ]\nauth_tls = "sasl"\n')
    host.run("systemctl", "restart", "berthd")
    virsh(host, "-c", tcp, "list", "--all", env=login(host, "fred", PASSWORD))
    before = host.now()
    virsh(host, "-c", tcp, "list", "--all", env=login(host, "joe", PASSWORD), ok=False)
    host.said("is not in sasl_allowed_username_list", before)
    # SCRAM over TLS
    before = host.now()
    virsh(host, "-c", "qemu+tls://%s/system?pkipath=/root/bob" % NAME, "list", "--all", env=login(host, "fred", PASSWORD))
    host.run("saslpasswd2", "-f", "/etc/libvirt/passwd.db", "-a", "libvirt", "-u", NAME, "-d", "fred")
    virsh(host, "-c", tcp, "list", "--all", env=login(host, "fred", PASSWORD), ok=False)
    assert host.said("user not found", before) == host.said("on host " + NAME, before)
