"""Disks whose descriptors a client brings (virDomainFDAssociate, <source fdgroup=>)."""

import os
import select

import libvirt
import pytest

from lib import xml
from lib.console import VirshConsole
from lib.guest import PROMPT

L = libvirt


@pytest.fixture
def fds():
    """Descriptors of the test, closed at its end: memory(data), reopened(fd, flags), keep(fd)."""
    class Fds:
        made = []

        def keep(self, fd):
            self.made.append(fd)
            return fd

        def memory(self, data=b"", size=1 << 20):
            fd = self.keep(os.memfd_create("disk"))
            os.ftruncate(fd, size)
            os.pwrite(fd, data, 0)
            return fd

        def reopened(self, fd, flags):
            return self.keep(os.open("/proc/self/fd/%d" % fd, flags))

    instance = Fds()
    instance.made = []
    yield instance
    for fd in instance.made:
        os.close(fd)


@pytest.fixture
def only_berthd(server_kind):
    return server_kind == "berthd"


def disk(group, fmt="raw", target="vda", more="", backing=""):
    return """<disk type='file' device='disk'>
      <driver name='qemu' type='%s'/>
      <source file='/nowhere/%s.img' fdgroup='%s'/>%s
      <target dev='%s' bus='virtio'/>%s
    </disk>""" % (fmt, group, group, backing, target, more)


def error(call, *args):
    with pytest.raises(L.libvirtError) as failed:
        call(*args)
    return failed.value.get_error_code(), failed.value.get_error_message()


def test_guest_reads_and_writes_a_file_without_a_name(own_server, domain_xml, fds, only_berthd):
    server = own_server()
    conn = server.connect()
    data, base = fds.memory(b"brought by a client\n"), fds.memory(b"read only and shared\n")
    dom = conn.defineXML(domain_xml("vm", devices=disk("data") + disk("base", target="vdb", more="<readonly/>")))
    dom.FDAssociate("data", [data])
    dom.FDAssociate("base", [fds.reopened(base, os.O_RDONLY), base])
    dom.create()
    live = dom.XMLDesc()
    assert "<source file='/nowhere/data.img' fdgroup='data' index='" in live
    assert "<source file='/nowhere/data.img' fdgroup='data'/>" in dom.XMLDesc(L.VIR_DOMAIN_XML_INACTIVE)
    if only_berthd:  # the other refuses for lack of a path
        assert dom.blockInfo("vda")[0] == 1 << 20
    with VirshConsole(server, "vm", "--force") as console:
        console.send("\n")
        console.expect(PROMPT)
        console.send("head -n1 /dev/vda; head -n1 /dev/vdb\n")
        console.expect("brought by a client")
        console.expect("read only and shared")
        console.expect(PROMPT)
        console.send("echo from the guest >/dev/vdb || echo refused-$((6*7)); echo from the guest >/dev/vda; sync; echo done-$((6*7))\n")
        console.expect("refused-42")
        console.expect("done-42")
    assert os.pread(data, 14, 0) == b"from the guest" and os.pread(base, 9, 0) == b"read only"

    # neither the client nor the daemon is needed any more
    conn.close()
    server.restart()
    conn = server.connect()
    dom = conn.lookupByName("vm")
    assert "<source file='/nowhere/data.img' fdgroup='data' index='" in dom.XMLDesc()
    assert dom.XMLDesc() == live or not only_berthd
    with VirshConsole(server, "vm", "--force") as console:
        console.send("\n")
        console.expect(PROMPT)
        console.send("dd if=/dev/vda bs=512 skip=1 count=1 iflag=direct 2>&1 | wc -c; head -c4 /dev/vda; echo; echo alive-$((6*7))\n")
        console.expect("alive-42")
    dom.destroy()
    code, text = error(dom.create)
    assert code == L.VIR_ERR_INVALID_ARG and "was not associated with the domain" in text
    dom.FDAssociate("data", [data])
    dom.FDAssociate("base", [base])
    dom.create()
    dom.destroy()
    conn.close()


def test_chain_of_files_without_names(server, conn, domain_xml, fds, only_berthd):
    def opened(name, flags):
        return fds.keep(os.open(server.box.path("lib", "images", name), flags))

    server.image("base.raw", "4M", "raw")
    server.image("top.qcow2", None, backing=("base.raw", "raw"))
    top, base = opened("top.qcow2", os.O_RDWR), opened("base.raw", os.O_RDONLY)
    for name in ("top.qcow2", "base.raw"):
        os.unlink(server.box.path("lib", "images", name))
    backing = "<backingStore type='file'><format type='raw'/><source file='/nowhere/base.raw' fdgroup='base'/></backingStore>"
    dom = conn.defineXML(domain_xml("vm", real=False, devices=disk("top", "qcow2", backing=backing)))
    dom.FDAssociate("top", [top])
    code, text = error(dom.create)
    assert code == L.VIR_ERR_INVALID_ARG and "'base' was not associated with the domain" in text
    dom.FDAssociate("base", [base])
    dom.create()
    assert dom.XMLDesc().count("fdgroup=") == 2
    if only_berthd:
        assert dom.blockInfo("vda")[0] == 4 << 20
    dom.destroy()


def test_what_is_refused(server, conn, domain_xml, fds):
    dom = conn.defineXML(domain_xml("vm", real=False, devices=disk("g")))
    writable = fds.memory()
    assert error(dom.FDAssociate, "g", [])[0] == L.VIR_ERR_INVALID_ARG
    assert error(dom.FDAssociate, "g", [writable], 4)[0] == L.VIR_ERR_INVALID_ARG
    readonly = server.connect(readonly=True)
    assert error(readonly.lookupByName("vm").FDAssociate, "g", [writable])[0] == L.VIR_ERR_OPERATION_DENIED
    readonly.close()

    dom.FDAssociate("g", [fds.reopened(writable, os.O_RDONLY)])
    assert not dom.isActive() and error(dom.create)[0] in (L.VIR_ERR_INVALID_ARG, L.VIR_ERR_INTERNAL_ERROR)
    dom.FDAssociate("g", [fds.keep(os.open("/", os.O_RDONLY | os.O_DIRECTORY))])
    error(dom.create)
    dom.FDAssociate("g", [fds.keep(os.open("/etc/passwd", os.O_PATH))])
    error(dom.create)
    dom.FDAssociate("g", [writable], L.VIR_DOMAIN_FD_ASSOCIATE_SECLABEL_RESTORE | L.VIR_DOMAIN_FD_ASSOCIATE_SECLABEL_WRITABLE)
    dom.create()
    dom.destroy()


def test_one_writer_of_a_group(server, conn, domain_xml, fds, only_berthd):
    """QEMU's locks would not notice: both nodes would have the same open file description."""
    dom = conn.defineXML(domain_xml("vm", real=False, devices=disk("g") + disk("g", target="vdb", more="<readonly/>")))
    fd = fds.memory()
    dom.FDAssociate("g", [fd])
    code, text = error(dom.create)
    if only_berthd:
        assert code == L.VIR_ERR_CONFIG_UNSUPPORTED and "'vda'" in text and "'vdb'" in text
    both = disk("g", more="<readonly/>") + disk("g", target="vdb", more="<readonly/>")
    dom = conn.defineXML(domain_xml("vm", real=False, devices=both))
    dom.FDAssociate("g", [fds.reopened(fd, os.O_RDONLY)])
    dom.create()
    dom.destroy()


def closed(reader):
    """True when all writing ends of the pipe are closed; waits for that."""
    poll = select.poll()
    poll.register(reader, 0)
    return bool(poll.poll(20000))


def pipe_for(dom, fds, name="g"):
    reader, writer = os.pipe()
    fds.keep(reader)
    dom.FDAssociate(name, [writer])
    os.close(writer)
    return reader


def test_descriptors_are_closed(server, conn, domain_xml, fds):
    dom = conn.defineXML(domain_xml("vm", real=False, devices=disk("g")))
    other = server.connect()
    by_other = pipe_for(other.lookupByName("vm"), fds, "of the other")
    first = pipe_for(dom, fds)
    second = pipe_for(dom, fds)
    assert closed(first), "replaced"
    other.close()
    assert closed(by_other), "its connection has ended"
    poll = select.poll()
    poll.register(second, 0)
    assert not poll.poll(0)
    dom.undefine()
    del dom
    assert closed(second), "the machine is gone"


def test_limits(server, conn, domain_xml, fds, only_berthd):
    dom = conn.defineXML(domain_xml("vm", real=False))
    fd = fds.memory()
    dom.FDAssociate("many", [fd] * 32)
    if only_berthd:
        for i in range(255):
            dom.FDAssociate("g%d" % i, [fd])
        assert error(dom.FDAssociate, "one more", [fd])[0] == L.VIR_ERR_OPERATION_FAILED
        dom.FDAssociate("g7", [fd])
        assert error(dom.FDAssociate, "n" * 256, [fd])[0] == L.VIR_ERR_INVALID_ARG
    with pytest.raises(L.libvirtError):
        dom.FDAssociate("too many", [fd] * 33)
    assert conn.isAlive()


def test_hostile_kinds_of_descriptors(server, conn, domain_xml, fds):
    """A start with what is no image fails with words; the daemon answers on."""
    dom = conn.defineXML(domain_xml("vm", real=False, devices=disk("g")))
    reader, writer = os.pipe()
    fds.keep(reader), fds.keep(writer)
    import socket
    pair = socket.socketpair()
    for fd in (reader, writer, pair[0].fileno(), fds.keep(os.open("/dev/zero", os.O_RDWR))):
        dom.FDAssociate("g", [fd])
        error(dom.create)
    for s in pair:
        s.close()
    assert conn.getLibVersion()
