"""The installed units under a real systemd with stock clients: sockets, activation, reload, watchdog, idle end, and guests that outlive it all.

One host for all tests of this file; each leaves the sockets listening.
"""

import os
import pty
import re
import select
import stat
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

from lib import systemd, xml as guest_xml  # noqa: E402

SOCKETS = ["berthd.socket", "berthd-ro.socket", "berthd-admin.socket"]
MODULAR = ["virtqemud", "virtstoraged", "virtnetworkd", "virtnodedevd", "virtsecretd", "virtinterfaced", "virtnwfilterd"]
DROP_IN = "/etc/systemd/system/berthd.service.d/%s.conf"


@pytest.fixture(scope="module")
def host():
    if os.geteuid() != 0:
        pytest.fail("namespaces of our own need root")
    with systemd.Host() as made:
        # It is started more often here than in ten seconds of any host's life.
        made.write(DROP_IN % "tests", "[Unit]\nStartLimitIntervalSec=0\n[Service]\nEnvironment=ASAN_OPTIONS=abort_on_error=1:detect_leaks=0 UBSAN_OPTIONS=halt_on_error=1 "
                   "G_SLICE=always-malloc\n")
        with open(made.path("/etc/libvirt/libvirtd.conf"), "a") as conf:
            conf.write("log_level = 2\n")
        made.run("systemctl", "enable", "berthd.service")  # and with it the sockets
        made.run("systemctl", "daemon-reload")
        made.run("systemctl", "start", *SOCKETS)
        yield made


def main_pid(host):
    return int(host.show("berthd.service", "MainPID"))


def unit_cgroup(host):
    return "/sys/fs/cgroup" + host.show("berthd.service", "ControlGroup")


def qemu(host):
    """Processes in the control groups of guests, which are below the unit's."""
    return host.run("sh", "-c", "cat %s/guest-*/cgroup.procs" % unit_cgroup(host)).split()


@pytest.fixture
def guest(host):
    """A guest with all that the unit's hardening could take from it: a disk, a terminal, the network of a user, a display."""
    host.run("qemu-img", "create", "-q", "-f", "qcow2", "/var/lib/libvirt/images/one.qcow2", "8M")
    host.write("/root/one.xml", guest_xml.domain(
        "one", memory=32, devices="<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='/var/lib/libvirt/images/one.qcow2'/>"
        "<target dev='vda' bus='virtio'/></disk><interface type='user'><model type='virtio'/></interface><graphics type='vnc' autoport='yes'/>"))
    host.run("virsh", "define", "/root/one.xml")
    host.run("virsh", "start", "one")
    yield "one"
    host.run("virsh", "destroy", "one", ok=None)
    host.run("virsh", "undefine", "one")


def test_installed_files(host):
    units = [name for name in os.listdir(host.path("/usr/lib/systemd/system")) if name.startswith("berthd")]
    assert set(SOCKETS) < set(units)
    host.run("systemd-analyze", "verify", *("/usr/lib/systemd/system/" + name for name in units))
    for name in SOCKETS + ["berthd.service"]:
        assert host.run("systemctl", "is-enabled", name) == "enabled"
    host.run("getent", "group", "libvirt")
    assert host.run("id", "libvirt-qemu").startswith("uid=64055(libvirt-qemu) gid=64055(libvirt-qemu)")
    assert "kvm" in host.run("id", "-nG", "libvirt-qemu").split()
    for path, mode in (("/var/lib/libvirt/images", 0o711), ("/var/log/libvirt", 0o700), ("/run/libvirt", 0o755)):
        assert stat.S_IMODE(os.stat(host.path(path)).st_mode) == mode, path


def test_exposure_is_what_the_page_says(host):
    with open(os.path.join(systemd.TOP, "docs", "security.md")) as page:
        written = re.search(r"exposure of \*\*([0-9.]+)\*\*", page.read()).group(1)
    assert "level for berthd.service: %s " % written in host.run("systemd-analyze", "security", "--no-pager", "berthd.service")


def test_activation_by_stock_clients(host):
    """A client of any socket and of any name starts the daemon."""
    host.run("systemctl", "stop", "berthd.service")
    for name in SOCKETS:
        assert host.run("systemctl", "is-active", name) == "active"
    group = os.stat(host.path("/run/libvirt/libvirt-sock"))
    assert stat.S_IMODE(group.st_mode) == 0o660 and host.run("getent", "group", str(group.st_gid)).startswith("libvirt:")
    for argv in (["virsh", "-c", "qemu:///system", "uri"], ["virsh", "-r", "-c", "qemu:///system", "uri"],
                 ["virsh", "-c", "qemu:///system?mode=direct", "uri"], ["virt-admin", "-c", "libvirtd:///system", "srv-list"],
                 ["virt-admin", "-c", "virtqemud:///system", "srv-clients-info", "virtqemud"]):
        assert host.run("systemctl", "is-active", "berthd.service", ok=None) != "active"
        host.run(*argv)
        assert host.run("systemctl", "is-active", "berthd.service") == "active", argv
        host.run("systemctl", "stop", "berthd.service")
    names = ["/run/libvirt/" + daemon + kind for daemon in MODULAR for kind in ("-sock", "-sock-ro", "-admin-sock")]
    assert host.run("stat", "-L", "-c", "%F", *names).splitlines() == ["socket"] * len(names)


def test_a_guest_outlives_the_daemon(host, guest):
    """A restart, a crash, a stop; and what of the host is the guest's, the unit's hardening leaves it."""
    was = qemu(host)
    assert len(was) == 1 and host.run("virsh", "ttyconsole", guest).startswith("/dev/pts/")
    # One that gives controllers to its children lets no process in: the unit could not be started again.
    assert host.run("cat", unit_cgroup(host) + "/cgroup.subtree_control") == ""
    host.run("systemctl", "restart", "berthd.service")
    assert "running" in host.run("virsh", "list")

    before, old = host.now(), main_pid(host)
    host.run("kill", "-KILL", str(old))
    host.said("Started berthd.service", before)
    assert main_pid(host) not in (0, old)
    assert "running" in host.run("virsh", "list")

    host.run("systemctl", "stop", "berthd.service")
    assert qemu(host) == was
    assert "running" in host.run("virsh", "list")  # who asks starts it
    host.run("virsh", "destroy", guest)


def test_reload(host):
    host.run("systemctl", "start", "berthd.service")
    with open(host.path("/etc/libvirt/libvirtd.conf")) as conf:
        text = conf.read()
    pid = main_pid(host)
    try:
        host.write("/etc/libvirt/libvirtd.conf", text + "nonsense = 1\n")
        before = host.now()
        host.run("systemctl", "reload", "berthd.service")
        host.said("nonsense", before)
        host.write("/etc/libvirt/libvirtd.conf", text)
        before = host.now()
        host.run("systemctl", "reload", "berthd.service")
        host.said("configuration read again", before)
    finally:
        host.write("/etc/libvirt/libvirtd.conf", text)
    host.run("virsh", "uri")
    assert main_pid(host) == pid and host.run("systemctl", "is-active", "berthd.service") == "active"


def test_watchdog(host, guest):
    """A daemon that stands still is ended and started again; its guest does not notice."""
    assert host.show("berthd.service", "WatchdogUSec") == "1min"
    host.write(DROP_IN % "watchdog", "[Service]\nWatchdogSec=2\nWatchdogSignal=SIGKILL\n")  # a stopped process takes no other signal
    try:
        host.run("systemctl", "daemon-reload")
        host.run("systemctl", "restart", "berthd.service")
        was, before = qemu(host), host.now()
        host.run("kill", "-STOP", str(main_pid(host)))
        host.said("Watchdog timeout", before)
        host.said("Started berthd.service", before)
        assert "running" in host.run("virsh", "list") and qemu(host) == was
    finally:
        os.unlink(host.path(DROP_IN % "watchdog"))
        host.run("systemctl", "daemon-reload")
        host.run("systemctl", "restart", "berthd.service")


def test_idle_end(host):
    """It ends when nobody needs it, without failing, and comes back for the next."""
    host.write("/etc/libvirt/berthd.conf", "idle_timeout = 1\n")
    try:
        host.run("systemctl", "restart", "berthd.service")
        before = host.now()
        host.run("virsh", "uri")
        host.said("berthd.service: Deactivated successfully", before)
        host.run("virsh", "uri")
    finally:
        host.write("/etc/libvirt/berthd.conf", "")
        host.run("systemctl", "restart", "berthd.service")


def test_the_socket_for_tls(host):
    """As docs/remote.md says: certificates, the socket, a client."""
    host.run("berth-pki", "init")
    host.run("berth-pki", "server", "localhost")
    host.run("berth-pki", "client", "one", "--output", "/root/pki")
    host.run("systemctl", "stop", "berthd.service")
    host.run("systemctl", "start", "berthd-tls.socket")
    try:
        assert host.run("systemctl", "is-active", "berthd.service", ok=None) != "active"
        assert "localhost" in host.run("virsh", "-c", "qemu+tls://localhost/system?pkipath=/root/pki", "uri")
    finally:
        host.run("systemctl", "stop", "berthd-tls.socket", "berthd.service")


def dialogue(host, argv, answers):
    """Runs a command on a terminal and answers what it asks: (what it says, what is typed then).  All it said, and its exit status."""
    master, slave = pty.openpty()
    try:
        with host.popen(argv, stdin=slave, stdout=slave, stderr=slave, start_new_session=True) as child:
            os.close(slave)
            text = b""
            while select.select([master], [], [], 60)[0]:
                try:
                    text += os.read(master, 4096)
                except OSError:  # nobody has the terminal any more
                    break
                if answers and answers[0][0] in text:
                    os.write(master, answers.pop(0)[1])
            return text.decode(), child.wait(60)
    finally:
        os.close(master)


def test_virsh_asks_for_the_password(host):
    """Stock virsh, in a session of logind, starts an agent by itself; the real polkitd and PAM take an administrator's password."""
    libvirtd_conf, drop_in = "/etc/libvirt/libvirtd.conf", "/etc/systemd/system/berthd.socket.d/tests.conf"
    with open(host.path(libvirtd_conf)) as conf:
        text = conf.read()
    host.run("useradd", "-m", "-G", "sudo", "berth-tester")
    host.run("sh", "-c", "echo berth-tester:swordfish | chpasswd")
    host.write(libvirtd_conf, text + 'auth_unix_rw = "polkit"\n')
    host.write(drop_in, "[Socket]\nSocketMode=0666\n")
    try:
        host.run("systemctl", "daemon-reload")
        host.run("systemctl", "stop", "berthd.service", *SOCKETS)
        host.run("systemctl", "start", *SOCKETS)
        virsh = ["systemd-run", "--quiet", "--pty", "--uid=berth-tester", "-p", "PAMName=login", "-E", "LC_ALL=C", "virsh", "-c", "qemu:///system", "uri"]
        said, status = dialogue(host, virsh, [(b"Password:", b"swordfish\n")])
        assert "AUTHENTICATING FOR org.libvirt.unix.manage" in said and "AUTHENTICATION COMPLETE" in said, said
        assert status == 0 and said.rstrip().endswith("qemu:///system"), said
        host.said("authenticated by polkit")
        assert not [line for line in host.lines if "swordfish" in line]
    finally:
        host.write(libvirtd_conf, text)
        os.unlink(host.path(drop_in))
        host.run("systemctl", "daemon-reload")
        host.run("systemctl", "stop", "berthd.service", *SOCKETS)
        host.run("systemctl", "start", *SOCKETS)
