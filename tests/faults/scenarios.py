"""What is done while something fails.  A scenario is prepared without faults, run with one, and looked at without.

prepare() leaves the host as run() needs it; run() makes the calls; done() says whether their effect is there; each may be called again and
again.  Names of machines are the scenario's own.
"""

import os

import libvirt

from lib import xml
from waiting import Wrong, eventually

NAME = "vm"


def small(name=NAME, title=None, **kw):
    """A machine that costs next to nothing: no disk, no operating system."""
    kw.setdefault("memory", 16)
    if title:
        kw["top"] = "<title>%s</title>" % title
    return xml.domain(name, usb="<controller type='usb' model='none'/>", memballoon="<memballoon model='none'/>", **kw)


def lookup(conn, name=NAME):
    try:
        return conn.lookupByName(name)
    except libvirt.libvirtError as e:
        if e.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:
            raise
        return None


class Scenario:
    changes = True      # done() tells something
    keeps_qemu = False  # whatever fails, the QEMU that runs is not harmed
    end_reasons = (libvirt.VIR_DOMAIN_SHUTOFF_CRASHED,)  # when the QEMU that runs is killed

    def prepare(self, server, conn):
        pass

    def run(self, server, conn):
        raise NotImplementedError

    def done(self, server, conn):
        return True

    def clear(self, server, conn):
        """Back to no machine at all."""
        for dom in conn.listAllDomains():
            if dom.isActive():
                dom.destroy()
            try:
                dom.undefine()
            except libvirt.libvirtError as e:
                if e.get_error_code() not in (libvirt.VIR_ERR_NO_DOMAIN, libvirt.VIR_ERR_OPERATION_INVALID):
                    raise


class Defined(Scenario):
    """There is a machine, off."""

    def prepare(self, server, conn):
        self.clear(server, conn)
        conn.defineXML(small(title="old"))


class Running(Scenario):
    """There is a machine, and it runs."""
    keeps_qemu = True
    flags = 0

    def prepare(self, server, conn):
        dom = lookup(conn)
        if not dom or not dom.isPersistent():
            self.clear(server, conn)
            dom = conn.defineXML(small(title="old"))
        if not dom.isActive():
            dom.createWithFlags(self.flags)
        if dom.state()[0] == libvirt.VIR_DOMAIN_PAUSED and not self.flags:
            dom.resume()


class Connect(Scenario):
    changes = False

    def run(self, server, conn):
        with_loop = server.connect()
        with_loop.getLibVersion()
        with_loop.close()


class Define(Scenario):
    def prepare(self, server, conn):
        self.clear(server, conn)

    def run(self, server, conn):
        conn.defineXML(small(title="new"))

    def done(self, server, conn):
        dom = lookup(conn)
        return bool(dom and dom.metadata(libvirt.VIR_DOMAIN_METADATA_TITLE, None) == "new")


class Redefine(Defined):
    run = Define.run
    done = Define.done


class Undefine(Defined):
    def prepare(self, server, conn):
        super().prepare(server, conn)
        lookup(conn).setAutostart(1)

    def run(self, server, conn):
        dom = lookup(conn)
        if dom:
            dom.undefine()

    def done(self, server, conn):
        return lookup(conn) is None


class AutostartOn(Defined):
    def run(self, server, conn):
        lookup(conn).setAutostart(1)

    def done(self, server, conn):
        return lookup(conn).autostart() == 1


class AutostartOff(Defined):
    def prepare(self, server, conn):
        super().prepare(server, conn)
        lookup(conn).setAutostart(1)

    def run(self, server, conn):
        lookup(conn).setAutostart(0)

    def done(self, server, conn):
        return lookup(conn).autostart() == 0


class Rename(Defined):
    def prepare(self, server, conn):
        super().prepare(server, conn)
        lookup(conn).setAutostart(1)

    def run(self, server, conn):
        dom = lookup(conn)
        if dom:
            dom.rename("other")

    def done(self, server, conn):
        dom = lookup(conn, "other")
        return bool(dom and dom.autostart() == 1 and lookup(conn) is None)


class Metadata(Defined):
    def run(self, server, conn):
        lookup(conn).setMetadata(libvirt.VIR_DOMAIN_METADATA_TITLE, "new", None, None)

    def done(self, server, conn):
        return lookup(conn).metadata(libvirt.VIR_DOMAIN_METADATA_TITLE, None) == "new"


class MetadataBoth(Running):
    def prepare(self, server, conn):
        super().prepare(server, conn)
        lookup(conn).setMetadata(libvirt.VIR_DOMAIN_METADATA_TITLE, "old", None, None,
                                 libvirt.VIR_DOMAIN_AFFECT_LIVE | libvirt.VIR_DOMAIN_AFFECT_CONFIG)

    def run(self, server, conn):
        lookup(conn).setMetadata(libvirt.VIR_DOMAIN_METADATA_TITLE, "new", None, None,
                                 libvirt.VIR_DOMAIN_AFFECT_LIVE | libvirt.VIR_DOMAIN_AFFECT_CONFIG)

    def done(self, server, conn):
        dom = lookup(conn)
        return all(dom.metadata(libvirt.VIR_DOMAIN_METADATA_TITLE, None, flags) == "new"
                   for flags in (libvirt.VIR_DOMAIN_AFFECT_LIVE, libvirt.VIR_DOMAIN_AFFECT_CONFIG) if flags or dom.isActive())


class Capabilities(Scenario):
    """The cache is gone, so QEMU is asked again."""
    changes = False

    def prepare(self, server, conn):
        for directory, _, files in os.walk(server.box.path("cache")):
            for name in files:
                os.unlink(os.path.join(directory, name))

    def run(self, server, conn):
        conn.getDomainCapabilities("/usr/bin/qemu-system-x86_64", "x86_64", "q35", "qemu")


class Events(Scenario):
    changes = False

    def run(self, server, conn):
        handle = conn.domainEventRegisterAny(None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, lambda *a: None, None)
        conn.domainEventDeregisterAny(handle)


class Start(Defined):
    def run(self, server, conn):
        dom = lookup(conn)
        if not dom.isActive():
            dom.create()

    def done(self, server, conn):
        return lookup(conn).state()[0] == libvirt.VIR_DOMAIN_RUNNING


class StartFull(Start):
    """With a disk on a backing chain, a tap, a channel, a password and a console."""
    DEVICES = """<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='%s'/><target dev='vda' bus='virtio'/></disk>
    <interface type='bridge'><source bridge='berth-br0'/><model type='virtio'/></interface>
    <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
    <graphics type='vnc' port='-1' autoport='yes' passwd='secret'/>"""

    def prepare(self, server, conn):
        self.clear(server, conn)
        top = "/var/lib/libvirt/images/top.qcow2"
        if not os.path.exists(server.box.path("lib", "images", "top.qcow2")):
            base = server.image("base.qcow2", "8M")
            server.image("top.qcow2", "8M", backing=(base, "qcow2"))
        conn.defineXML(xml.domain(NAME, devices=self.DEVICES % top, memory=16))


class CreateXml(Scenario):
    def prepare(self, server, conn):
        self.clear(server, conn)

    def run(self, server, conn):
        dom = lookup(conn)
        if not dom or not dom.isActive():
            conn.createXML(small())

    def done(self, server, conn):
        dom = lookup(conn)
        return bool(dom and dom.isActive())


class Destroy(Running):
    keeps_qemu = False
    end_reasons = (libvirt.VIR_DOMAIN_SHUTOFF_CRASHED, libvirt.VIR_DOMAIN_SHUTOFF_DESTROYED)

    def run(self, server, conn):
        dom = lookup(conn)
        if dom.isActive():
            dom.destroy()

    def done(self, server, conn):
        return not lookup(conn).isActive()


class Suspend(Running):
    def run(self, server, conn):
        dom = lookup(conn)
        if dom.state()[0] == libvirt.VIR_DOMAIN_RUNNING:
            dom.suspend()

    def done(self, server, conn):
        return lookup(conn).state()[0] == libvirt.VIR_DOMAIN_PAUSED


class Resume(Running):
    def prepare(self, server, conn):
        super().prepare(server, conn)
        if lookup(conn).state()[0] == libvirt.VIR_DOMAIN_RUNNING:
            lookup(conn).suspend()

    def run(self, server, conn):
        dom = lookup(conn)
        if dom.state()[0] == libvirt.VIR_DOMAIN_PAUSED:
            dom.resume()

    def done(self, server, conn):
        return lookup(conn).state()[0] == libvirt.VIR_DOMAIN_RUNNING


class Stats(Running):
    changes = False

    def run(self, server, conn):
        conn.getAllDomainStats(0, 0)
        lookup(conn).memoryStats()


class Monitor(Running):
    changes = False

    def run(self, server, conn):
        import libvirt_qemu
        libvirt_qemu.qemuMonitorCommand(lookup(conn), '{"execute":"query-name"}', 0)


class Console(Running):
    changes = False

    def run(self, server, conn):
        stream = conn.newStream(libvirt.VIR_STREAM_NONBLOCK)
        try:
            lookup(conn).openConsole(None, stream, libvirt.VIR_DOMAIN_CONSOLE_FORCE)
        finally:
            try:
                stream.abort()
            except libvirt.libvirtError:
                pass


class Screenshot(Running):
    changes = False

    def prepare(self, server, conn):
        dom = lookup(conn)
        if not dom or not dom.isActive() or "<video>" not in dom.XMLDesc():
            self.clear(server, conn)
            conn.defineXML(small(devices="<video><model type='vga'/></video><graphics type='vnc' autoport='yes'/>")).create()

    def run(self, server, conn):
        stream = conn.newStream()
        try:
            lookup(conn).screenshot(stream, 0)
            stream.recvAll(lambda *_: None, None)
            stream.finish()
        except libvirt.libvirtError:
            try:
                stream.abort()
            except libvirt.libvirtError:
                pass
            raise


class GuestEnds(Running):
    """QEMU ends by itself, as after a shutdown from inside."""
    keeps_qemu = False
    end_reasons = (libvirt.VIR_DOMAIN_SHUTOFF_CRASHED, libvirt.VIR_DOMAIN_SHUTOFF_SHUTDOWN)

    def run(self, server, conn):
        import libvirt_qemu
        dom = lookup(conn)
        if dom.isActive():
            try:
                libvirt_qemu.qemuMonitorCommand(dom, '{"execute":"quit"}', 0)
            except libvirt.libvirtError as e:
                if e.get_error_code() != libvirt.VIR_ERR_OPERATION_INVALID:
                    raise
                try:
                    eventually("running on", dom.isActive)  # one before was heard, though it failed, and it is ending
                except Wrong:
                    raise e  # the word was never sent, and the monitor is connected again
            else:
                eventually("running on", dom.isActive)

    def done(self, server, conn):
        return not lookup(conn).isActive()


class Big(Scenario):
    """What is large for a client to ask: a definition of 600 KB comes in more than one piece, and so does it go back."""

    def prepare(self, server, conn):
        self.clear(server, conn)

    def run(self, server, conn):
        dom = conn.defineXML(small(top="<title>new</title><description>%s</description>" % ("word " * 120000)))
        assert len(dom.XMLDesc()) > 600000

    done = Define.done


class SnapshotOff(Scenario):
    """A disk's overlay, the definition that leads to it, and the note of both."""
    flags = None
    number = 0

    def machine(self, server, conn):
        for dom in conn.listAllDomains():
            if dom.isActive():
                dom.destroy()
            dom.undefineFlags(libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA)
        images = server.box.path("lib", "images")
        for image in os.listdir(images):
            if image.startswith("snap."):
                os.unlink(os.path.join(images, image))
        return conn.defineXML(small(devices=xml.disk(server.image("snap.img", "1M"))))

    def prepare(self, server, conn):
        dom = lookup(conn)
        if not dom or not dom.isPersistent() or "snap." not in dom.XMLDesc() or dom.snapshotNum() > 8:
            dom = self.machine(server, conn)
        if self.flags is not None and not dom.isActive():
            dom.createWithFlags(self.flags)

    def run(self, server, conn):
        SnapshotOff.number += 1
        lookup(conn).snapshotCreateXML("<domainsnapshot><name>s%d</name></domainsnapshot>" % self.number,
                                       libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY)

    def done(self, server, conn):
        dom, source = lookup(conn), "<source file='/var/lib/libvirt/images/snap.s%d'" % self.number
        return (dom.snapshotCurrent().getName() == "s%d" % self.number and source in dom.XMLDesc()
                and source in dom.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))


class SnapshotLive(SnapshotOff):
    """The same of a running guest: nodes and a transaction besides."""
    flags = libvirt.VIR_DOMAIN_START_PAUSED
    keeps_qemu = True


CHEAP = [Connect, Define, Redefine, Undefine, AutostartOn, AutostartOff, Rename, Metadata, Events]
WITH_QEMU = [Capabilities, Start, StartFull, CreateXml, Destroy, Suspend, Resume, MetadataBoth, Stats, Monitor, Console, Screenshot, GuestEnds,
             SnapshotOff, SnapshotLive]
FED = [Big, Metadata, Capabilities, Stats, Screenshot]  # with something of everything that is allocated by the size others say
SHORT = [Start, Suspend]  # those of them that CI tries
