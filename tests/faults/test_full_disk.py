"""Directories that are really full, or really read-only: file systems of the test's own, mounted over the daemon's in its namespace."""

import os
import subprocess

import libvirt
import pytest

import scenarios
from driver import Driver
from waiting import eventually

DIRECTORIES = {
    "definitions": "/etc/libvirt/qemu",
    "status": "/run/libvirt/qemu",
    "state": "/var/lib/libvirt/qemu",
    "log": "/var/log/libvirt/qemu",
    "cache": "/var/cache/libvirt",
}
ADVICE = {"full": ("No space left on device", "make room"), "read-only": ("Read-only file system", "read-write")}

FILL = """cd %s || exit 1
dd if=/dev/zero of=fill bs=4096 2>/dev/null
i=0; while [ $i -lt 64 ] && touch empty.$i 2>/dev/null; do i=$((i+1)); done
exit 0"""


class Disk:
    """One of the daemon's directories on a small file system that can be full or read-only."""

    def __init__(self, box, directory):
        self.box, self.directory = box, directory

    def sh(self, script, check=True):
        return subprocess.run(self.box.argv(["sh", "-c", script]), check=check, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def mount(self):
        self.sh("mkdir -p %s && mount -t tmpfs -o size=96k,nr_inodes=48,mode=755 tmpfs %s" % (self.directory, self.directory))
        return self

    def spoil(self, how):
        if how == "full":
            self.sh(FILL % self.directory)
        else:
            self.sh("mount -o remount,bind,ro %s" % self.directory)

    def mend(self, how):
        if how == "full":
            self.sh("cd %s && rm -f fill empty.*" % self.directory)
        else:
            self.sh("mount -o remount,bind,rw %s" % self.directory)

    def files(self):
        return self.sh("find %s ! -name fill ! -name 'empty.*' -printf '%%P %%l\\n' | sort; cat %s/*.xml 2>/dev/null; true" %
                       (self.directory, self.directory)).stdout


class Host:
    def __init__(self, make, kind):
        self.server = make()
        self.server.stop()
        self.disk = Disk(self.server.box, DIRECTORIES[kind]).mount()
        self.server.start()
        self.driver = Driver(self.server)

    @property
    def conn(self):
        return self.driver.connect()


@pytest.fixture
def host(own):
    made = []

    def make(kind):
        made.append(Host(own, kind))
        return made[-1]

    yield make
    for each in made:
        each.driver.drop()


def refused(host, how, call, path):
    """The call fails, names the file, and says what to do."""
    words, advice = ADVICE[how]
    with pytest.raises(libvirt.libvirtError) as caught:
        call()
    message = caught.value.get_error_message()
    assert caught.value.get_error_code() == libvirt.VIR_ERR_SYSTEM_ERROR, message
    assert path in message and words in message and advice in message, message


@pytest.mark.parametrize("how", ADVICE)
def test_definitions(host, how):
    h = host("definitions")
    other = scenarios.small("other")
    h.conn.defineXML(scenarios.small(title="old"))
    before = h.disk.files()
    h.disk.spoil(how)
    dom = h.conn.lookupByName("vm")
    place = DIRECTORIES["definitions"]
    refused(h, how, lambda: h.conn.defineXML(other), place + "/other.xml")
    refused(h, how, lambda: h.conn.defineXML(scenarios.small(title="new")), place + "/vm.xml")
    refused(h, how, lambda: dom.setMetadata(libvirt.VIR_DOMAIN_METADATA_TITLE, "new", None, None), place + "/vm.xml")
    refused(h, how, lambda: dom.setAutostart(1), place + "/autostart")
    refused(h, how, lambda: dom.rename("other"), place)
    if how == "read-only":
        refused(h, how, dom.undefine, place + "/vm.xml")
    assert h.disk.files() == before
    assert [d.name() for d in h.conn.listAllDomains()] == ["vm"] and dom.autostart() == 0
    assert dom.metadata(libvirt.VIR_DOMAIN_METADATA_TITLE, None) == "old"
    h.driver.drop()
    h.server.restart(9)  # what was acknowledged is there, what was refused is not
    dom = h.conn.lookupByName("vm")
    assert dom.metadata(libvirt.VIR_DOMAIN_METADATA_TITLE, None) == "old"
    h.disk.mend(how)
    h.conn.defineXML(scenarios.small(title="new"))
    h.conn.defineXML(other)
    dom.setAutostart(1)
    h.driver.consistent()


def test_full_disk_can_be_emptied(host):
    """What makes room works without room."""
    h = host("definitions")
    dom = h.conn.defineXML(scenarios.small())
    dom.setAutostart(1)
    h.disk.spoil("full")
    dom.setAutostart(0)
    dom.undefine()
    h.disk.mend("full")
    h.driver.consistent()


def test_running_guest_and_its_status(host):
    """Full only: while the daemon holds its lock file there the kernel makes nothing read-only."""
    how = "full"
    h = host("status")
    dom = h.conn.defineXML(scenarios.small())
    dom.create()
    guests = h.driver.guests()
    h.disk.spoil(how)
    dom.suspend()
    dom.resume()
    dom.setMetadata(libvirt.VIR_DOMAIN_METADATA_TITLE, "live", None, None, libvirt.VIR_DOMAIN_AFFECT_LIVE)
    assert h.driver.guests() == guests and dom.state()[0] == libvirt.VIR_DOMAIN_RUNNING
    assert "/run/libvirt/qemu/vm.xml" in h.server.text() and ADVICE[how][0] in h.server.text()
    refused(h, how, lambda: h.conn.defineXML(scenarios.small("other")).create(), "/run/libvirt/qemu/other.xml")
    assert h.driver.guests() == guests
    h.disk.mend(how)
    # by itself: nobody calls
    eventually("the status file is not written again", lambda: b"<title>live</title>" not in h.disk.files(), timeout=30)
    h.driver.drop()
    h.server.restart(9)
    assert h.driver.guests() == guests
    assert h.conn.lookupByName("vm").metadata(libvirt.VIR_DOMAIN_METADATA_TITLE, None, libvirt.VIR_DOMAIN_AFFECT_LIVE) == "live"
    h.conn.lookupByName("other").create()


@pytest.mark.parametrize("how", ADVICE)
def test_restart_with_a_status_directory_that_cannot_be_written(host, how):
    h = host("status")
    dom = h.conn.defineXML(scenarios.small())
    dom.create()
    guests = h.driver.guests()
    h.driver.drop()
    h.server.stop(9)
    h.disk.spoil(how)
    if how == "read-only":
        with pytest.raises(RuntimeError) as caught:
            h.server.start()
        assert "driver.pid" in str(caught.value) and ADVICE[how][1] in str(caught.value)
        h.disk.mend(how)
    h.server.start()
    assert h.driver.guests() == guests
    dom = h.conn.lookupByName("vm")
    dom.suspend()
    dom.resume()
    if how == "full":
        h.disk.mend(how)
    dom.destroy()
    h.driver.drop()


@pytest.mark.parametrize("how", ADVICE)
@pytest.mark.parametrize("kind", ["state", "log"])
def test_start_needs_its_directories(host, how, kind):
    h = host(kind)
    h.conn.createXML(scenarios.small("first")).destroy()
    dom = h.conn.defineXML(scenarios.small())
    h.disk.spoil(how)
    refused(h, how, dom.create, DIRECTORIES[kind] + ("/vm.log" if kind == "log" else "/domain-"))
    assert not dom.isActive() and h.driver.guests() == {}
    h.disk.mend(how)
    dom.create()
    dom.destroy()


@pytest.mark.parametrize("how", ADVICE)
def test_no_cache_is_no_harm(host, how):
    h = host("cache")
    h.disk.spoil(how)
    dom = h.conn.defineXML(scenarios.small())
    dom.create()
    dom.destroy()
    h.disk.mend(how)
