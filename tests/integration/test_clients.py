"""Stock clients other than virsh and python3-libvirt, as Debian packages them: each does its ordinary work.

All of it passes on libvirtd too, but for what needs drivers berthd does not have yet (see docs/differences.md, "Clients").
A client that is not installed is skipped by name; build-aux/install-deps.sh installs them all.
"""

import json
import shutil
import socket
import time
import xml.etree.ElementTree as ElementTree

import pytest

# Debian's programs with Debian's python3, whatever else is installed
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
VNC = "<graphics type='vnc' port='-1'/><video><model type='vga'/></video>"


@pytest.fixture
def run(server):
    """Runs a program inside, which must succeed unless `fails`; returns what it printed."""
    def call(*argv, fails=False, timeout=60, env=None):
        if not shutil.which(argv[0]):
            pytest.fail(argv[0] + " is not installed: build-aux/install-deps.sh installs it")
        environment = server.environment()
        environment.update({"PATH": PATH, "LC_ALL": "C", "HOME": server.box.base, "XDG_CACHE_HOME": server.box.base}, **(env or {}))
        done = server.box.run(argv, timeout=timeout, env=environment)
        assert (done.returncode != 0) == fails, "%r -> %d\n%s%s" % (argv, done.returncode, done.stdout, done.stderr)
        return done.stdout + done.stderr

    return call


# ---- virt-install, virt-xml, virt-clone --------------------------------------------------------------------------------------

def install(run, guest, name, *more, **kw):
    return run("virt-install", "--virt-type", "qemu", "--name", name, "--memory", "128", "--vcpus", "1", "--import", "--osinfo",
               "generic", "--disk", "none", "--boot", "kernel=%s,initrd=%s,kernel_args=console=ttyS0" % guest, "--noautoconsole",
               *more, **kw)


def test_virt_install(server, run, guest):
    printed = install(run, guest, "vi", "--graphics", "vnc", "--network", "user", "--print-xml")
    root = ElementTree.fromstring(printed[:printed.index("</domain>") + 9])
    assert root.find("os/type").get("machine").startswith("pc-") and root.find("devices/interface").get("type") == "user"
    assert server.sh("list", "--all", "--name").strip() == ""
    assert "Domain creation completed" in install(run, guest, "vi", "--graphics", "vnc", "--network", "bridge=berth-br0")
    assert server.sh("domstate", "vi").strip() == "running"
    root = ElementTree.fromstring(server.sh("dumpxml", "vi"))
    assert int(root.find("devices/graphics").get("port")) >= 5900 and root.find("devices/interface/target").get("dev")
    assert [c.get("model") for c in root.findall("devices/controller[@type='usb']")] == \
        ["ich9-ehci1", "ich9-uhci1", "ich9-uhci2", "ich9-uhci3"]


def test_virt_xml(server, run, domain_xml):
    server.define(domain_xml("vm", real=False, devices=VNC))
    before = ElementTree.fromstring(server.sh("dumpxml", "--inactive", "vm"))
    run("virt-xml", "vm", "--edit", "--metadata", "title=a title", "--define")
    run("virt-xml", "vm", "--edit", "--vcpus", "2", "--define")
    run("virt-xml", "vm", "--add-device", "--input", "tablet,bus=virtio", "--define")
    run("virt-xml", "vm", "--remove-device", "--graphics", "all", "--define")
    root = ElementTree.fromstring(server.sh("dumpxml", "--inactive", "vm"))
    assert root.findtext("title") == "a title" and root.findtext("vcpu") == "2"
    assert root.find("devices/input[@type='tablet'][@bus='virtio']/address") is not None
    assert root.find("devices/graphics") is None
    assert [e.find("address").attrib for e in before.findall("devices/memballoon")] == \
        [e.find("address").attrib for e in root.findall("devices/memballoon")]
    run("virt-xml", "vm", "--edit", "--memory", "96", "--define", "--start")
    assert server.sh("domstate", "vm").strip() == "running"


def test_virt_clone_without_disks(server, run, domain_xml):
    server.define(domain_xml("vm", real=False, devices=VNC))
    assert "created successfully" in run("virt-clone", "--original", "vm", "--name", "copy", "--auto-clone")
    first, second = (ElementTree.fromstring(server.sh("dumpxml", name)) for name in ("vm", "copy"))
    assert first.findtext("uuid") != second.findtext("uuid")
    assert [e.tag for e in first.find("devices")] == [e.tag for e in second.find("devices")]


def test_virt_install_without_storage_driver(server, run):
    """What needs storage pools fails with a message and leaves nothing; it becomes parity when the driver exists."""
    if server.kind == "peer":
        pytest.skip("libvirtd has the driver")
    out = run("virt-install", "--virt-type", "qemu", "--name", "vi", "--memory", "64", "--disk", "size=1", "--import", "--osinfo",
              "generic", "--graphics", "none", "--network", "none", "--noautoconsole", fails=True)
    assert "not supported by the connection driver: virStoragePoolDefineXML" in out
    assert server.sh("list", "--all", "--name").strip() == ""


# ---- libvirt-dbus ------------------------------------------------------------------------------------------------------------

DBUS = r"""
libvirt-dbus --session & daemon=$!
gdbus wait --session --timeout 20 org.libvirt || exit 1
call() { gdbus call --session --timeout 20 --dest org.libvirt --object-path "$1" --method "$2" -- ${3+"$3"} $4 2>&1 || exit 1; }
connect=/org/libvirt/QEMU
domain=$(call $connect org.libvirt.Connect.DomainLookupByName vm | sed "s/.*'\(.*\)'.*/\1/")
echo "domain $domain"
call $connect org.libvirt.Connect.ListDomains 0
call $connect org.freedesktop.DBus.Properties.GetAll org.libvirt.Connect
call $domain org.libvirt.Domain.Create 0
call $domain org.freedesktop.DBus.Properties.GetAll org.libvirt.Domain
call $domain org.libvirt.Domain.GetState 0
call $domain org.libvirt.Domain.GetStats 0 0
call $domain org.libvirt.Domain.MemoryStats 0
call $domain org.libvirt.Domain.GetJobInfo
call $domain org.libvirt.Domain.Destroy 0
kill $daemon
"""


def test_libvirt_dbus(server, run, domain_xml):
    if not shutil.which("libvirt-dbus"):
        pytest.fail("libvirt-dbus is not installed: build-aux/install-deps.sh installs it")
    ident = server.define(domain_xml("vm", real=False)) and server.sh("domuuid", "vm").strip()
    out = run("dbus-run-session", "--", "sh", "-c", DBUS)
    path = "/org/libvirt/QEMU/domain/_" + ident.replace("-", "_")
    assert "domain %s\n" % path in out and "[objectpath '%s']" % path in out
    for part in ("'Version': <<uint64 700", "'Active': <<true>>", "((1, 1),)", "'state.state': <<1>>", "'vcpu.current': <<uint32 1>>"):
        assert part in out, out
    assert server.sh("domstate", "vm").strip() == "shut off"


# ---- Sys::Virt ---------------------------------------------------------------------------------------------------------------

PERL = r"""
use strict; use warnings; use Sys::Virt;
sub code { my $f = shift; eval { $f->(); 1 } and return "none"; return $@->code . "/" . $@->domain; }
my $c = Sys::Virt->new(uri => "qemu:///system");
local $/; open my $in, "<", $ARGV[0] or die; my $xml = <$in>;
my $d = $c->define_domain($xml);
print "type ", $c->get_type, " ", int($c->get_version / 1000000), "\n";
$d->create;
print "info ", $d->get_info->{state}, " ", $d->get_info->{maxMem}, "\n";
print "id ", $c->get_domain_by_id($d->get_id)->get_name, " ", $c->num_of_domains, "\n";
my @vcpus = $d->get_vcpu_info; print "vcpus ", scalar(@vcpus), "\n";
print "balloon ", $d->memory_stats->{actual_balloon}, "\n";
my ($all) = $c->get_all_domain_stats(Sys::Virt::Domain::STATS_STATE);
print "stats ", join(" ", sort keys %{$all->{data}}), "\n";
$d->suspend; print "state ", join("/", $d->get_state), "\n";
$d->resume; print "state ", join("/", $d->get_state), "\n";
my $stream = $c->new_stream; print "shot ", $d->screenshot($stream, 0), "\n";
my ($data, $size) = ("", 0); while ((my $n = $stream->recv($data, 65536)) > 0) { $size += $n; } $stream->finish;
print "bytes ", $size > 500 ? "many" : $size, "\n";
$d->set_metadata(Sys::Virt::Domain::METADATA_TITLE, "title", undef, undef);
print "title ", $d->get_metadata(Sys::Virt::Domain::METADATA_TITLE, undef), "\n";
print "errors ", code(sub { $c->get_domain_by_name("x") }), " ", code(sub { $d->create }), "\n";
$d->destroy; $d->undefine;
my $t = $c->create_domain($xml, Sys::Virt::Domain::START_PAUSED | Sys::Virt::Domain::START_AUTODESTROY);
print "paused ", join("/", $t->get_state), "\n";
"""


def test_sys_virt(server, run, domain_xml, conn, recorder):
    path = server.box.path("vm.xml")
    with open(path, "w") as out:
        out.write(domain_xml("vm", real=False, devices=VNC))
    if run("perl", "-e", "print eval { require Sys::Virt } ? 1 : 0").strip() != "1":
        pytest.fail("Sys::Virt is not installed: build-aux/install-deps.sh installs it")
    assert run("perl", "-e", PERL, path).splitlines() == [
        "type QEMU 7", "info 1 131072", "id vm 1", "vcpus 1", "balloon 131072", "stats state.reason state.state", "state 3/1",
        "state 1/5", "shot image/png", "bytes many", "title title", "errors 42/10 55/10", "paused 3/1"]
    # it never says goodbye: its transient machine ends with its socket
    recorder.wait(lambda e, n, a: a == (5, 1), start=[a[0] for _, _, a in recorder.seen].index(1))
    assert server.sh("list", "--all", "--name").strip() == ""


# ---- libvirt-glib ------------------------------------------------------------------------------------------------------------

GLIB = r"""
import gi
gi.require_version("LibvirtGLib", "1.0"); gi.require_version("LibvirtGObject", "1.0")
from gi.repository import GLib, LibvirtGLib, LibvirtGObject
LibvirtGLib.init(None); LibvirtGLib.event_register()
conn = LibvirtGObject.Connection.new("qemu:///system")
conn.open(None); conn.fetch_domains(None)
dom = conn.find_domain_by_name("vm")
seen, loop = [], GLib.MainLoop()
def on(name):
    seen.append(name)
    if name == "stopped": loop.quit()
for name in ("started", "suspended", "resumed", "stopped"):
    dom.connect(name, lambda *args, name=name: on(name))
dom.start(0); dom.suspend(); dom.resume(); dom.stop(0)
GLib.timeout_add_seconds(20, loop.quit)
loop.run()
print(dom.get_config(0).get_name(), " ".join(seen))
"""


def test_libvirt_glib(server, run, domain_xml):
    try:
        import gi
        gi.require_version("LibvirtGObject", "1.0")
    except (ImportError, ValueError):
        pytest.fail("LibvirtGObject is not installed: build-aux/install-deps.sh installs it")
    server.define(domain_xml("vm", real=False))
    assert run("python3", "-c", GLIB).strip().endswith("vm resumed started suspended resumed stopped")


# ---- virt-qemu-qmp-proxy -----------------------------------------------------------------------------------------------------

def test_qmp_proxy(server, domain_xml):
    """QMP as QEMU speaks it, answers and events, through the daemon."""
    if not shutil.which("virt-qemu-qmp-proxy"):
        pytest.fail("virt-qemu-qmp-proxy is not installed: build-aux/install-deps.sh installs it")
    server.define(domain_xml("vm", real=False))
    server.sh("start", "vm")
    path = server.box.path("qmp")
    proxy = server.box.popen(["virt-qemu-qmp-proxy", "vm", path], env=dict(server.environment(), PATH=PATH))
    try:
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(20)
        end = time.monotonic() + 20
        while client.connect_ex(path) != 0:  # it says nowhere that it listens
            assert proxy.poll() is None and time.monotonic() < end
            time.sleep(0.02)
        lines = client.makefile("rw")
        assert "QMP" in json.loads(lines.readline())

        def ask(text, want):
            lines.write(text + "\n")
            lines.flush()
            while True:
                answer = json.loads(lines.readline())
                if want in answer:
                    return answer

        ask('{"execute":"qmp_capabilities"}', "return")
        assert ask('{"execute":"query-name","id":"q"}', "return")["return"] == {"name": "vm"}
        assert ask('{"execute":"no-such"}', "error")["error"]["class"] == "CommandNotFound"
        assert ask('{"execute":"stop"}', "event")["event"] == "STOP"
        client.close()
    finally:
        proxy.kill()
        proxy.wait()
    assert server.sh("domstate", "vm").strip() == "paused"
