"""Another build of the daemon takes over a host of the old one's guests: the program is replaced under the running daemon, as a package does it."""

import difflib
import os
import re
import shutil
import signal
import xml.etree.ElementTree as ElementTree

import libvirt
import pytest

from lib import events, xml as guest_xml
from test_meanwhile import USB, in_turn, reason, status_path

# What a status file of any build of this format has; the rest came, or may go, with a build.
ALWAYS = {"id", "state", "reason", "pid", "starttime", "monitor", "dir", "log"}


def program(server, version=None):
    """Puts the daemon's program at a place of its own, with another version in it perhaps, in one step and under a daemon that runs it."""
    path = server.box.path("berthd")
    with open(server.binary(), "rb") as binary:
        content = binary.read()
    if version:
        now = server.box.run([server.binary(), "--version"]).stdout.split()[-1].encode()
        assert now and now in content
        new = version.encode()[:len(now)].ljust(len(now), b"0")
        content = re.sub(rb"(?<![\w.])%s(?![\w.])" % re.escape(now), new, content)
    with open(path + ".new", "wb") as out:
        out.write(content)
    os.chmod(path + ".new", 0o755)
    os.rename(path + ".new", path)
    argv = type(server).argv(server)
    server.argv = lambda: [path] + argv[1:]
    return server.box.run([path, "--version"]).stdout


def pids(server):
    return sorted(pid for pid, _ in server.box.qemus())


def shown(server):
    """All a client sees of all machines."""
    found = {"": [server.sh("list", "--all", "--title"), repr(pids(server))]}
    for name in server.sh("list", "--all", "--name").split():
        in_turn(server, name)
        found[name] = [re.sub("CPU time:.*", "", server.sh("dominfo", name)), reason(server, name), server.sh("dumpxml", name, "--security-info"),
                       server.sh("dumpxml", name, "--inactive", "--security-info")]
    return found


def assert_shown(server, before):
    now = shown(server)
    assert sorted(now) == sorted(before)
    wrong = []
    for name, texts in before.items():
        for was, is_now in zip(texts, now[name]):
            wrong += difflib.unified_diff(was.splitlines(), is_now.splitlines(), name, name, lineterm="", n=1)
    assert not wrong, "\n".join(wrong)


def host_of_guests(server, domain_xml):
    disk = guest_xml.disk(server.image("a.qcow2"), extra="<serial>kept</serial>")
    devices = disk + ("<interface type='bridge'><source bridge='berth-br0'/></interface>"
                      "<graphics type='vnc' autoport='yes' passwd='secret'/>"
                      "<channel type='unix'><target type='virtio' name='org.berth.0'/></channel><input type='tablet' bus='usb'/>")
    server.define(domain_xml("full", real=False, devices=devices, usb=USB))
    server.sh("start", "full")
    server.define(domain_xml("paused", real=False))
    server.sh("start", "paused", "--paused")
    server.file("transient.xml", domain_xml("transient", real=False, devices=devices.replace(disk, ""), usb=USB))
    server.sh("create", server.box.path("transient.xml"))
    server.define(domain_xml("off", real=False))
    server.sh("autostart", "off")
    server.define(domain_xml("changed", real=False))
    server.sh("start", "changed")
    server.sh("desc", "changed", "--config", "--title", "--new-desc", "for the next boot")


def works(server, name):
    """The guest is the new daemon's as if it had started it."""
    conn = server.connect()
    recorder = events.Recorder(conn)
    dom = conn.lookupByName(name)
    if dom.state()[0] == libvirt.VIR_DOMAIN_PAUSED:
        dom.resume()
        recorder.lifecycle(name, libvirt.VIR_DOMAIN_EVENT_RESUMED)
    dom.suspend()
    recorder.lifecycle(name, libvirt.VIR_DOMAIN_EVENT_SUSPENDED)
    dom.resume()
    dom.destroy()
    assert recorder.lifecycle(name, libvirt.VIR_DOMAIN_EVENT_STOPPED) == libvirt.VIR_DOMAIN_EVENT_STOPPED_DESTROYED
    recorder.close()
    conn.close()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_another_build(own_server, domain_xml, how):
    server = own_server()
    first = program(server)
    server.restart()
    host_of_guests(server, domain_xml)
    before = shown(server)
    second = program(server, "77.1")
    assert first != second
    assert_shown(server, before)  # the old one goes on without its program
    server.restart(how)
    assert os.path.samefile("/proc/%d/exe" % server.process.pid, server.box.path("berthd"))
    assert_shown(server, before)
    program(server)
    server.restart(how)  # and back
    assert_shown(server, before)
    for name in ("full", "paused", "transient", "changed"):
        works(server, name)
    server.sh("start", "full")
    server.sh("destroy", "full")
    assert server.box.qemus() == []
    assert [name for name in os.listdir(server.box.path("run", "qemu")) if name.endswith(".xml")] == []
    assert [name for name in os.listdir(server.box.path("lib", "qemu")) if name.startswith("domain-")] == []


def edit(server, name, change):
    path = status_path(server, name)
    tree = ElementTree.parse(path)
    change(tree.getroot())
    tree.write(path)


def older(root):
    machine = root.find("machine")
    for key in set(machine.attrib) - ALWAYS - {"persistent"}:
        del machine.attrib[key]


def newer(root):
    machine = root.find("machine")
    machine.set("colour", "green")
    ElementTree.SubElement(machine, "lease", {"until": "tomorrow"})
    ElementTree.SubElement(root, "blockjobs").append(ElementTree.Element("blockjob", {"disk": "vda"}))
    root.insert(0, ElementTree.Element("migration"))
    domain = root.find("domain")
    ElementTree.SubElement(domain, "launchSecurity2", {"type": "new"})
    ElementTree.SubElement(domain.find("devices/emulator/.."), "teapot", {"model": "short"})
    domain.find("devices/controller").set("colour", "green")


@pytest.mark.parametrize("form", [older, newer])
def test_status_of_another_build(own_server, domain_xml, form):
    """What an older build did not write is made up for, what a newer one writes besides is passed over."""
    server = own_server()
    host_of_guests(server, domain_xml)
    before = shown(server)
    server.stop()
    for name in ("full", "paused", "transient", "changed"):
        edit(server, name, form)
    server.start()
    assert_shown(server, before)
    for name in ("full", "paused", "transient", "changed"):
        works(server, name)
    server.sh("start", "full")
    server.sh("destroy", "full")
    assert server.box.qemus() == []
    server.restart()
    assert [name for name in os.listdir(server.box.path("lib", "qemu")) if name.startswith("domain-")] == []


def test_status_of_a_later_format(own_server, domain_xml):
    """A guest whose status file this build cannot read is nobody's to touch, and comes back with the build that can."""
    server = own_server()
    server.define(domain_xml("vm", real=False))
    server.define(domain_xml("other", real=False))
    server.sh("start", "vm")
    server.sh("start", "other")
    before = pids(server)
    server.stop()
    with open(status_path(server, "vm")) as file:
        text = file.read()
    later = text.replace("format='1'", "format='9'")
    assert later != text
    with open(status_path(server, "vm"), "w") as file:
        file.write(later)
    server.start()
    in_turn(server, "other")
    refused = server.virsh("start", "vm")
    assert not refused.ok and "looked after by another daemon" in refused.err, refused
    assert pids(server) == before
    works(server, "other")
    server.stop()
    with open(status_path(server, "vm")) as file:
        assert file.read() == later
    with open(status_path(server, "vm"), "w") as file:
        file.write(text)
    server.start()
    in_turn(server, "vm")
    assert reason(server, "vm") == "running (booted)"
    works(server, "vm")
