"""qemu+ssh://: stock virsh through a real sshd to virt-ssh-helper and to nc, and the helper's relay by itself."""

import os
import select
import shutil
import socket
import subprocess
import threading

import pytest

from lib import servers_only, server as servers, xml as guest_xml

berthd = servers_only.berthd

PORT, PORT_WITHOUT_HELPER = 2222, 2223
NOBODY = 65534


def helper():
    """The one built beside the daemon."""
    path = os.path.join(os.path.dirname(servers.Berthd.binary()), "virt-ssh-helper")
    assert os.access(path, os.X_OK), path
    return path


def looks_in_run():
    out = subprocess.run([helper(), "--help"], capture_output=True, text=True, check=True).stdout
    return "is /run/libvirt/" in out


# ---- through sshd --------------------------------------------------------------------------------------------------------------

SSHD_CONFIG = """
Port {port}
ListenAddress 127.0.0.1
HostKey {dir}/host_key
AuthorizedKeysFile {dir}/key.pub {dir}/limited
PidFile none
StrictModes no
UsePAM no
PermitRootLogin yes
PasswordAuthentication no
SetEnv PATH={path} ASAN_OPTIONS=detect_leaks=0
"""


class Remote:
    """A daemon and an sshd before it, in one private place."""

    def __init__(self, berthd):
        if not shutil.which("sshd", path="/usr/sbin:/usr/bin"):
            pytest.fail("no sshd here: build-aux/install-deps.sh installs it")
        if not looks_in_run():
            pytest.skip("this build looks for sockets elsewhere: configure it with --runstatedir=/run")
        self.server = berthd(log_level="2").open()
        box = self.server.box
        self.dir, with_helper, without = box.path("ssh"), box.path("bin"), box.path("bare")
        for path in (self.dir, with_helper, without):
            os.mkdir(path)
        os.symlink(helper(), os.path.join(with_helper, "virt-ssh-helper"))
        for name in ("sh", "which", "nc", "grep"):
            os.symlink(shutil.which(name), os.path.join(without, name))
        for name in ("host_key", "key", "limited_key"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", os.path.join(self.dir, name)], check=True)
        with open(os.path.join(self.dir, "limited_key.pub")) as key, open(os.path.join(self.dir, "limited"), "w") as limited:
            limited.write('restrict,command="virt-ssh-helper -r qemu:///system" ' + key.read())
        # Root may log in here whatever its password is, and what ssh writes into its home stays here.
        setup = "mkdir -p /run/sshd; sed 's/^root:[^:]*:/root:*:/' /etc/shadow >/run/shadow; mount --bind /run/shadow /etc/shadow; " \
                "mount -t tmpfs tmpfs /root"
        done = box.run(["sh", "-ec", setup])
        assert done.returncode == 0, done.stderr
        self.sshds = [self.start_sshd(PORT, with_helper + ":/usr/bin:/bin"), self.start_sshd(PORT_WITHOUT_HELPER, without)]

    def start_sshd(self, port, path):
        config = os.path.join(self.dir, "config-%d" % port)
        with open(config, "w") as out:
            out.write(SSHD_CONFIG.format(port=port, dir=self.dir, path=path))
        sshd = self.server.box.popen(["/usr/sbin/sshd", "-D", "-e", "-f", config], stderr=subprocess.PIPE, text=True)
        for line in sshd.stderr:
            if "Server listening" in line:
                return sshd
        pytest.fail("sshd did not start")

    def close(self):
        for sshd in self.sshds:
            sshd.terminate()
            sshd.wait(10)
            sshd.stderr.close()
        self.server.close()

    def argv(self, proxy, *args, port=PORT, readonly=False, more="", key="key"):
        uri = "qemu+ssh://root@localhost:%d/system?keyfile=%s/%s&no_verify=1&no_tty=1%s%s" % (
            port, self.dir, key, "&proxy=" + proxy if proxy else "", more)
        return ["virsh", "-q", "-c", uri] + (["-r"] if readonly else []) + list(args)

    def virsh(self, proxy, *args, **kw):
        return self.server.box.run(self.argv(proxy, *args, **kw), env=dict(self.server.environment(), LC_ALL="C"))

    def sh(self, proxy, *args, **kw):
        done = self.virsh(proxy, *args, **kw)
        assert done.returncode == 0, (done.args, done.stdout, done.stderr)
        return done.stdout.strip()

    def programs(self):
        return {os.path.basename(argv[0]) for _, argv in self.server.box.processes()}


@pytest.fixture(scope="module")
def remote(request):
    if not servers.Berthd.binary():
        pytest.fail("BERTHD names no binary")
    place = Remote(servers.Berthd)
    yield place
    place.close()


@pytest.mark.parametrize("proxy,program", [("", "virt-ssh-helper"), ("auto", "virt-ssh-helper"), ("native", "virt-ssh-helper"),
                                           ("netcat", "nc")])
def test_stock_virsh(remote, proxy, program):
    """Each way a client may ask for leads to the daemon, and by the program it names."""
    more = "&socket=/run/libvirt/libvirt-sock" if proxy == "netcat" else ""
    client = remote.server.box.popen(remote.argv(proxy, more=more), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                     env=dict(remote.server.environment(), LC_ALL="C"))
    try:
        client.stdin.write("hostname\n")
        client.stdin.flush()
        assert socket.gethostname() in client.stdout.readline() + client.stdout.readline()
        assert program in remote.programs(), remote.programs()
    finally:
        client.stdin.write("quit\n")
        client.stdin.close()
        client.stdout.read()
        assert client.wait(30) == 0
        client.stdout.close()
    path = remote.server.file("far.xml", guest_xml.domain("far", memory=64))
    remote.sh(proxy, "define", path, more=more)
    assert remote.sh(proxy, "list", "--all", "--name", more=more) == "far"
    remote.sh(proxy, "undefine", "far", more=more)


def test_read_only(remote):
    assert remote.sh("native", "uri", readonly=True).startswith("qemu+ssh://")
    refused = remote.virsh("native", "define", "/dev/null", readonly=True)
    assert refused.returncode != 0
    text = remote.server.text()
    assert "connected to /run/libvirt/libvirt-sock-ro" in text


def test_a_key_for_looking_on(remote):
    """The forced command of docs/remote.md: whatever the client asks for, the key gets the read-only socket and nothing else."""
    assert remote.sh("native", "list", "--all", key="limited_key") == ""
    refused = remote.virsh("netcat", "define", remote.server.file("far.xml", guest_xml.domain("far")), key="limited_key",
                           more="&socket=/run/libvirt/libvirt-sock")
    assert "read only access" in refused.stderr, refused.stderr


def test_auto_without_helper(remote):
    """Where no helper is installed the client takes nc; who insists on the helper is told."""
    assert remote.sh("auto", "list", "--all", port=PORT_WITHOUT_HELPER, more="&socket=/run/libvirt/libvirt-sock") == ""
    refused = remote.virsh("native", "list", port=PORT_WITHOUT_HELPER)
    assert refused.returncode != 0 and "virt-ssh-helper" in refused.stderr, refused.stderr


def test_a_large_answer(remote):
    """More than any buffer on the way holds, there and back."""
    text = "x" * (600 * 1024)
    path = remote.server.file("large.xml", guest_xml.domain("large", memory=64).replace(
        "<devices>", "<description>%s</description><devices>" % text, 1))
    for proxy in ("native", "netcat"):
        remote.sh(proxy, "define", path)
        assert text in remote.sh(proxy, "dumpxml", "large")
        remote.sh(proxy, "undefine", "large")


# ---- the helper by itself ------------------------------------------------------------------------------------------------------


class Relay:
    """The helper between two pipes and a socket of the test."""

    def __init__(self, tmp_path, *options):
        path = str(tmp_path / "sock")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            listener.listen(1)
            self.process = subprocess.Popen([helper(), *options, "qemu:///system?socket=" + path], stdin=subprocess.PIPE,
                                            stdout=subprocess.PIPE, bufsize=0, env=dict(os.environ, ASAN_OPTIONS="detect_leaks=0"))
            listener.settimeout(30)
            self.sock, _ = listener.accept()
            self.sock.settimeout(60)

    def close(self):
        self.sock.close()
        for pipe in (self.process.stdin, self.process.stdout):
            if not pipe.closed:
                pipe.close()
        self.process.kill()
        self.process.wait(10)


@pytest.fixture
def relay(tmp_path):
    made = Relay(tmp_path)
    yield made
    made.close()


def read_all(sock):
    return b"".join(iter(lambda: sock.recv(1 << 16), b""))


def test_each_side_may_end_first(relay):
    """The client's end is passed on and the daemon may still answer; its end is passed on too."""
    relay.process.stdin.write(b"question")
    relay.process.stdin.close()
    assert read_all(relay.sock) == b"question"
    relay.sock.sendall(b"answer")
    relay.sock.shutdown(socket.SHUT_WR)
    assert relay.process.stdout.read() == b"answer"
    assert relay.process.wait(30) == 0


def test_the_daemons_end_ends_it(relay):
    relay.sock.sendall(b"last words")
    relay.sock.close()
    assert relay.process.stdout.read() == b"last words"
    assert relay.process.wait(30) == 0


def test_the_clients_end_ends_it(relay):
    """ssh is gone: nobody reads any more, though the daemon says nothing."""
    relay.process.stdout.close()
    assert relay.process.wait(30) == 0


def test_both_ways_at_once(relay):
    there, back = os.urandom(1 << 20) * 8, os.urandom(1 << 20) * 8
    got = {}

    def feed():
        view = memoryview(there)
        while view:
            view = view[relay.process.stdin.write(view[:1 << 18]):]
        relay.process.stdin.close()

    def answer():
        relay.sock.sendall(back)
        relay.sock.shutdown(socket.SHUT_WR)

    def take():
        got["there"] = read_all(relay.sock)

    threads = [threading.Thread(target=f) for f in (feed, answer, take)]
    for thread in threads:
        thread.start()
    got["back"] = b"".join(iter(lambda: relay.process.stdout.read(1 << 18), b""))
    for thread in threads:
        thread.join()
    assert got["there"] == there and got["back"] == back
    assert relay.process.wait(30) == 0


def test_a_slow_daemon_stops_the_client(relay):
    """What nobody takes is not piled up, and meanwhile the other direction goes on."""
    fd = relay.process.stdin.fileno()
    os.set_blocking(fd, False)
    taken = 0
    while taken < 1 << 24 and select.select([], [fd], [], 1)[1]:
        taken += os.write(fd, b"x" * 65536)
    assert taken < 2 << 20
    relay.sock.sendall(b"still here")
    assert relay.process.stdout.read(10) == b"still here"
    relay.process.stdin.close()
    assert len(read_all(relay.sock)) == taken


@pytest.mark.parametrize("argument,message", [
    ("not a uri", "is no URI"), ("qemu:///nowhere", "names neither /system nor /session"),
    ("qemu:///system?mode=odd", "mode 'odd' is none of"), ("qemu:///system?socket=/nonexistent/sock", "is berthd running?")])
def test_what_it_refuses(argument, message):
    done = subprocess.run([helper(), argument], capture_output=True, text=True, stdin=subprocess.DEVNULL,
                          env=dict(os.environ, ASAN_OPTIONS="detect_leaks=0"))
    assert done.returncode == 1 and message in done.stderr, done


def test_a_users_daemon_is_started(tmp_path, berthd):
    """qemu:///session of a user without daemon: one is started, serves, and is the one the next helper finds."""
    home = tmp_path
    for parent in (home, home.parent, home.parent.parent):
        os.chmod(parent, 0o755)
    for name in ("run", "bin"):
        os.mkdir(home / name)
    shutil.copy(berthd.binary(), home / "bin" / "berthd")
    shutil.copy(helper(), home / "bin" / "virt-ssh-helper")
    os.chown(home, NOBODY, NOBODY)
    os.chown(home / "run", NOBODY, NOBODY)
    if os.path.exists("/usr/sbin/berthd"):
        pytest.skip("an installed berthd would be started instead")
    env = {"PATH": "%s:/usr/bin:/bin" % (home / "bin"), "HOME": str(home), "XDG_RUNTIME_DIR": str(home / "run"), "LC_ALL": "C",
           "ASAN_OPTIONS": "detect_leaks=0"}
    user = {"user": NOBODY, "group": NOBODY, "extra_groups": [], "env": env, "cwd": "/"}
    try:
        for _ in range(2):
            process = subprocess.Popen([str(home / "bin" / "virt-ssh-helper"), "qemu:///session"], stdin=subprocess.PIPE,
                                       stdout=subprocess.PIPE, **user)
            # AUTH_LIST, and its answer
            process.stdin.write(bytes.fromhex("0000001c 20008086 00000001 00000042 00000000 00000001 00000000".replace(" ", "")))
            process.stdin.flush()
            assert process.stdout.read(28)[4:16].hex() == "200080860000000100000042"
            process.stdin.close()
            assert process.stdout.read() is not None and process.wait(30) == 0
            process.stdout.close()
    finally:
        sock = str(home / "run" / "libvirt" / "libvirt-sock")
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(sock)
            pid = int.from_bytes(client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)[:4], "little")
        pidfd = os.pidfd_open(pid)
        os.kill(pid, 15)
        assert select.select([pidfd], [], [], 30)[0]
        os.close(pidfd)
