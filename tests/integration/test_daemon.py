"""What is berthd's own: options, configuration, sockets, one daemon a directory."""

import grp
import os
import signal
import socket
import stat
import subprocess
import time

from lib import servers_only

berthd = servers_only.berthd


def run(berthd, *args):
    return subprocess.run([berthd.binary(), *args], capture_output=True, text=True, timeout=60,
                          env=dict(os.environ, ASAN_OPTIONS="detect_leaks=0"))


def test_check_config(berthd, tmp_path):
    good = tmp_path / "good.conf"
    good.write_text("max_clients = 100\n")
    done = run(berthd, "--check-config", "--sysconfdir", str(tmp_path), "--config", str(good))
    assert done.returncode == 0, done
    bad = tmp_path / "bad.conf"
    bad.write_text("\n\nmax_cleints = 100\n")
    done = run(berthd, "--check-config", "--sysconfdir", str(tmp_path), "--config", str(bad))
    assert done.returncode == 1
    assert "%s:3: " % bad in done.stderr and '"max_clients"' in done.stderr
    refused = tmp_path / "qemu.conf"
    refused.write_text('lock_manager = "lockd"\n')
    done = run(berthd, "--check-config", "--sysconfdir", str(tmp_path), "--config", str(good))
    assert done.returncode == 1 and "lock_manager is not supported" in done.stderr


def test_an_account_that_does_not_exist(berthd, tmp_path):
    """Found by the check and by a reload: else the next start of a guest would, and the next of the daemon."""
    (tmp_path / "qemu.conf").write_text('user = "nobody-here"\n')
    done = run(berthd, "--check-config", "--sysconfdir", str(tmp_path))
    assert done.returncode == 1 and '"nobody-here"' in done.stderr, done
    server = berthd().open()
    try:
        with open(server.box.path("etc", "qemu.conf"), "a") as conf:
            conf.write('group = "nobody-here"\n')
        server.reload()
        assert 'group "nobody-here" of qemu.conf does not exist' in server.text()
    finally:
        server.close()


def test_a_named_file_must_be_there(berthd, tmp_path):
    (tmp_path / "there.conf").write_text("")
    for option in ("--config", "--berthd-config", "--qemu-config"):
        assert run(berthd, "--check-config", "--sysconfdir", str(tmp_path), option, str(tmp_path / "there.conf")).returncode == 0
        done = run(berthd, "--check-config", "--sysconfdir", str(tmp_path), option, str(tmp_path / "theer.conf"))
        assert done.returncode == 1 and "theer.conf" in done.stderr, done


def test_a_named_file_that_goes_changes_nothing(berthd):
    """What it allowed and refused stays, instead of giving way to what is preset."""
    server = berthd(libvirtd_conf="max_clients = 77\n")
    server.box.start()
    try:
        server.write_config()
        server.start(("--config", "/etc/libvirt/libvirtd.conf"))
        os.unlink(server.box.path("etc", "libvirtd.conf"))
        server.reload()
        assert "the configuration is not changed: " in server.text()
        limits = server.box.run(["virt-admin", "-c", "libvirtd:///system", "srv-clients-info", "libvirtd"])
        assert limits.returncode == 0 and "77" in limits.stdout, limits
    finally:
        server.close()


def test_relative_paths_are_those_of_the_command(berthd):
    """A daemon in the background is in the directory /, and reads its files again there."""
    server = berthd()
    server.box.start()
    try:
        server.write_config()
        argv = ["env", "--chdir=/etc/libvirt"] + server.argv() + ["--daemon", "--config", "libvirtd.conf", "--pid-file", "berthd.pid"]
        started = server.box.run(argv, env=server.environment())
        assert started.returncode == 0, started.stderr
        with open(server.box.path("etc", "berthd.pid")) as pid_file:
            pid = int(pid_file.read())
        assert any(found == pid for found, _ in server.box.processes())
    finally:
        server.close()


CLOSED = "import os, sys; os.closerange(0, 3); os.execvp(sys.argv[1], sys.argv[1:])"


def test_standard_descriptors_that_are_closed(berthd):
    """Their numbers go to nothing of the daemon's, which would be lost, or written to, when it goes to the background."""
    server = berthd(log_level="2")
    server.box.start()
    try:
        server.write_config()
        argv = ["/usr/bin/python3", "-c", CLOSED] + server.argv() + ["--daemon", "--pid-file", "/etc/libvirt/berthd.pid"]
        started = server.box.run(argv, env=server.environment())
        assert started.returncode == 0, server.text()
        with open(server.box.path("etc", "berthd.pid")) as pid_file:
            fds = "/proc/%d/fd" % int(pid_file.read())
        assert [os.readlink("%s/%d" % (fds, fd)) for fd in range(3)] == ["/dev/null"] * 3
    finally:
        server.close()


DEAF = "import os, signal, sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN); os.execvp(sys.argv[1], sys.argv[1:])"
WITH_DISK = """<domain type='qemu'><name>vm</name><memory>65536</memory><os><type>hvm</type></os>
<devices><disk type='file'><driver name='qemu' type='qcow2'/><source file='/etc/libvirt/disk'/><target dev='vda'/></disk></devices></domain>"""


def test_started_by_one_who_ignores_his_children(berthd):
    """A program that ended well has done so, whatever of that was inherited."""
    server = berthd()
    server.box.start()
    try:
        server.write_config()
        with open(server.box.path("etc", "vm.xml"), "w") as definition:
            definition.write(WITH_DISK)
        virsh = ["virsh", "-c", "qemu:///system"]
        for argv in (["qemu-img", "create", "-q", "-f", "qcow2", "/etc/libvirt/disk", "1M"],
                     ["/usr/bin/python3", "-c", DEAF] + server.argv() + ["--daemon"],
                     virsh + ["define", "/etc/libvirt/vm.xml"],
                     virsh + ["snapshot-create-as", "vm", "s", "--disk-only", "--diskspec", "vda,file=/etc/libvirt/over"]):
            done = server.box.run(argv, env=server.environment())
            assert done.returncode == 0, done
    finally:
        server.close()


def test_samples_are_accepted(berthd, tmp_path):
    conf = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "conf")
    done = run(berthd, "--check-config", "--sysconfdir", conf)
    assert done.returncode == 0, done


def test_sockets_and_modular_names(berthd):
    server = berthd().open()
    try:
        for name, mode in (("libvirt-sock", 0o700), ("libvirt-sock-ro", 0o777)):
            found = os.stat(server.box.path("run", name))
            assert stat.S_ISSOCK(found.st_mode) and stat.S_IMODE(found.st_mode) == mode, name
        for name in ("virtqemud-sock", "virtqemud-sock-ro", "virtstoraged-sock", "virtnetworkd-sock"):
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(server.box.path("run", name))
        assert server.stop() == 0
        assert not os.path.lexists(server.box.path("run", "libvirt-sock"))
        assert not os.path.lexists(server.box.path("run", "virtqemud-sock"))
    finally:
        server.close()


def test_sockets_as_configured(berthd):
    """Group, permissions and directory of libvirtd.conf; members of the group get in with no more than the group."""
    group = grp.getgrnam("daemon").gr_gid
    server = berthd(libvirtd_conf='unix_sock_group = "daemon"\nunix_sock_ro_perms = "0775"\nunix_sock_rw_perms = "0770"\n'
                                  'unix_sock_dir = "/run/libvirt/elsewhere"\n')
    server.box.start()
    try:
        server.write_config()
        server.start()
        for name, mode in (("libvirt-sock", 0o770), ("libvirt-sock-ro", 0o775)):
            found = os.stat(server.box.path("run", "elsewhere", name))
            assert stat.S_ISSOCK(found.st_mode) and (stat.S_IMODE(found.st_mode), found.st_gid) == (mode, group), name
        assert not os.path.lexists(server.box.path("run", "libvirt-sock"))
        uri = "qemu+unix:///system?socket=/run/libvirt/elsewhere/libvirt-sock"
        as_user = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
        assert "Permission denied" in server.box.run(as_user + ["virsh", "-c", uri, "uri"]).stderr
        member = server.box.run(as_user[:-1] + ["--groups", str(group), "virsh", "-c", uri, "uri"])
        assert member.returncode == 0, member.stderr
    finally:
        server.close()


def test_second_daemon_refuses(berthd):
    server = berthd().open()
    try:
        second = server.box.run(server.argv(), env=server.environment())
        assert second.returncode == 1, second
        assert str(server.process.pid) in second.stderr or "libvirt-sock" in second.stderr, second
        server.sh("uri")
    finally:
        server.close()


def test_reload(berthd):
    server = berthd(log_level="3").open()
    try:
        with open(server.box.path("etc", "libvirtd.conf"), "a") as conf:
            conf.write("log_level = 1\nmax_client_requests = 7\n")
        before = server.text()
        server.process.send_signal(signal.SIGHUP)
        server.sh("uri")
        end = time.monotonic() + 20
        while server.text() == before and time.monotonic() < end:
            server.sh("uri")
        assert server.text() != before
        with open(server.box.path("etc", "libvirtd.conf"), "a") as conf:
            conf.write("nonsense = 1\n")
        server.process.send_signal(signal.SIGHUP)
        server.sh("uri")
        end = time.monotonic() + 20
        while "nonsense" not in server.text() and time.monotonic() < end:
            server.sh("uri")
        assert "nonsense" in server.text()
    finally:
        server.close()


def test_socket_activation(berthd):
    server = berthd()
    server.box.start()
    try:
        server.write_config()
        env = server.environment()
        argv = ["systemd-socket-activate", "-l", "/run/libvirt/libvirt-sock", "-l", "/run/libvirt/libvirt-sock-ro",
                *["-E" + name for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "SASL_PATH")], *server.argv()]
        server.process = server.box.daemon(argv, env, server.box.path("output"))
        end = time.monotonic() + 20
        while not os.path.exists(server.socket) and time.monotonic() < end:
            server.box.run(["true"])
        assert server.sh("uri").strip() == "qemu:///system"
        assert server.virsh("list", readonly=True).ok
        denied = server.virsh("define", "/dev/null", readonly=True)
        assert not denied.ok
    finally:
        server.close()


def test_idle_end(berthd):
    server = berthd()
    server.box.start()
    try:
        server.write_config()
        server.start(["--timeout", "1"])
        server.sh("uri")
        assert server.process.wait(30) == 0
    finally:
        server.close()
