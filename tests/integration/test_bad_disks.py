"""Disks that are not what the definition says: each a clear error at start, none a daemon or a start that hangs."""

import os
import subprocess

import libvirt
import pytest

from lib import events, xml

L = libvirt
IMAGES = "/var/lib/libvirt/images/"


@pytest.fixture
def box(server):
    """Files among the images: box(name) is where a test finds one; they go with the test."""
    folder = server.box.path("lib", "images")
    before = set(os.listdir(folder))
    yield lambda name: os.path.join(folder, name)
    for name in set(os.listdir(folder)) - before:
        path = os.path.join(folder, name)
        os.rmdir(path) if os.path.isdir(path) else os.unlink(path)


def start_error(dom):
    with pytest.raises(L.libvirtError) as failed:
        dom.create()
    assert dom.state()[0] == L.VIR_DOMAIN_SHUTOFF
    return failed.value.get_error_message()


def rebase(box, image, backing, fmt):
    subprocess.run(["qemu-img", "rebase", "-u", "-f", "qcow2", "-b", backing, "-F", fmt, box(image)], check=True)


def test_no_image(server, conn, domain_xml, box, server_kind):
    os.mkdir(box("folder"))
    os.mkfifo(box("fifo"))
    cases = {"none": "No such file", "folder": "", "fifo": ""}
    if server_kind == "berthd":
        cases.update(folder="is neither a file nor a block device", fifo="is neither a file nor a block device")
    else:
        del cases["fifo"]
    for name, words in cases.items():
        for fmt in ("raw", "qcow2"):
            dom = conn.defineXML(domain_xml("vm", real=False, devices=xml.disk(IMAGES + name, fmt=fmt)))
            text = start_error(dom)
            assert IMAGES + name in text and words in text, text
            dom.undefine()


def test_image_in_use(server, conn, domain_xml, box):
    server.image("first", "1M")
    server.image("shared", "1M")
    both = xml.disk(IMAGES + "first") + xml.disk(IMAGES + "shared", target="vdb")
    user = conn.defineXML(domain_xml("user", real=False, devices=xml.disk(IMAGES + "shared")))
    user.create()
    text = start_error(conn.defineXML(domain_xml("vm", real=False, devices=both)))
    assert "[%sshared]" % IMAGES in text, text
    user.destroy()


def test_chains(server, conn, domain_xml, box, server_kind):
    ours = server_kind == "berthd"
    server.image("base", "1M", "raw")
    for name in ("mid", "top"):
        server.image(name, None, backing=("base" if name == "mid" else "mid", "raw" if name == "mid" else "qcow2"))
    dom = conn.defineXML(domain_xml("vm", real=False, devices=xml.disk(IMAGES + "top")))

    os.rename(box("mid"), box("aside"))
    text = start_error(dom)
    assert IMAGES + "mid" in text and "No such file" in text, text
    assert not ours or "backing file '%smid' of image '%stop'" % (IMAGES, IMAGES) in text
    os.rename(box("aside"), box("mid"))

    rebase(box, "mid", "top", "qcow2")
    text = start_error(dom)
    assert "backing chain" in text or "self-referential" in text, text
    rebase(box, "top", "top", "qcow2")
    start_error(dom)
    if ours:
        # a chain nobody would make: each names the next
        subprocess.run(["qemu-img", "create", "-q", "-u", "-f", "qcow2", "-b", "deep001", "-F", "qcow2", box("deep000"), "1M"], check=True)
        with open(box("deep000"), "rb") as f:
            header = f.read(65536)
        for i in range(1, 205):
            with open(box("deep%03d" % i), "wb") as f:
                f.write(header.replace(b"deep001", b"deep%03d" % (i + 1)))
        deep = conn.defineXML(domain_xml("deep", real=False, devices=xml.disk(IMAGES + "deep000")))
        assert "is longer than 200 images" in start_error(deep)
        deep.undefine()

    rebase(box, "mid", "base", "raw")
    rebase(box, "top", "mid", "qcow2")
    with open(box("top"), "r+b") as f:  # what it is is not recorded any more: never guessed
        header = f.read(4096)
        f.seek(header.index(b"\xe2\x79\x2a\xca"))
        f.write(b"\x11\x11\x11\x11")
    text = start_error(dom)
    assert "of image '%stop' was not specified in the image metadata" % IMAGES in text
    if ours:
        command = text[text.index("qemu-img rebase"):].rstrip(")")
        assert "it looks like qcow2" in text
        assert command == "qemu-img rebase -u -f qcow2 -b 'mid' -F qcow2 '%stop'" % IMAGES
        assert server.box.run(["sh", "-c", command]).returncode == 0
    else:
        rebase(box, "top", "mid", "qcow2")
    dom.create()
    assert "<source file='%sbase'" % IMAGES in dom.XMLDesc()
    dom.destroy()


def test_lies_about_the_format(server, conn, domain_xml, box):
    secret = b"what the host has"
    server.image("secret", "1M", "raw")
    with open(box("secret"), "r+b") as f:
        f.write(secret)
    # a guest wrote a header that names a file of the host into its raw disk: bytes, no more
    server.image("evil", "1M", "raw")
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", IMAGES + "secret", "-F", "raw", "-u", box("header"), "1M"], check=True)
    with open(box("header"), "rb") as h, open(box("evil"), "r+b") as f:
        header = h.read(65536)
        f.write(header)
    dom = conn.defineXML(domain_xml("vm", real=False, devices=xml.disk(IMAGES + "evil", fmt="raw")))
    dom.create()
    assert "secret" not in dom.XMLDesc()
    assert dom.blockPeek("vda", 0, 512) == header[:512]
    dom.destroy()
    # and the other way round
    with open(box("evil"), "r+b") as f:
        f.write(b"\0" * 65536)
    dom = conn.defineXML(domain_xml("vm", real=False, devices=xml.disk(IMAGES + "evil", fmt="qcow2")))
    text = start_error(dom)
    assert "evil" in text or "qcow2" in text, text


@pytest.mark.parametrize("user", ["ends", "names"])
def test_chain_written_by_the_user(server, conn, domain_xml, box, user):
    """What the definition says of the chain counts, not the header."""
    server.image("base", "1M", "raw")
    server.image("other", "1M", "raw")
    server.image("top", None, backing=("base", "raw"))
    chain = {"ends": "<backingStore/>",
             "names": "<backingStore type='file'><format type='raw'/><source file='%sother'/></backingStore>" % IMAGES}[user]
    dom = conn.defineXML(domain_xml("vm", real=False, devices=xml.disk(IMAGES + "top", extra=chain)))
    dom.create()
    live = dom.XMLDesc()
    assert IMAGES + "base" not in live
    assert (IMAGES + "other" in live) == (user == "names")
    assert (IMAGES + "other" in dom.XMLDesc(L.VIR_DOMAIN_XML_INACTIVE)) == (user == "names")
    dom.destroy()


def disk_at(target, policy, device="disk", bus="virtio"):
    return xml.disk(IMAGES + "gone-" + target, fmt="raw", target=target, bus=bus, device=device).replace(
        "'/>\n      <target", "' startupPolicy='%s'/>\n      <target" % policy)


def test_startup_policy(server, conn, domain_xml, box):
    recorder = events.Recorder(conn, [L.VIR_DOMAIN_EVENT_ID_DISK_CHANGE, L.VIR_DOMAIN_EVENT_ID_LIFECYCLE])
    server.image("there", "1M", "raw")
    below = "<backingStore type='file'><format type='raw'/><source file='%sthere'/><backingStore/></backingStore>" % IMAGES
    layered = disk_at("vdc", "optional").replace("type='raw'", "type='qcow2'").replace("      <target", below + "<target")
    devices = (layered + disk_at("vda", "optional") + disk_at("sda", "optional", "cdrom", "sata")
               + xml.disk(IMAGES + "there", fmt="raw", target="vdb"))
    dom = conn.defineXML(domain_xml("vm", real=False, devices=devices))
    dom.create()
    recorder.lifecycle("vm", L.VIR_DOMAIN_EVENT_STARTED)
    found = [a for e, _, a in recorder.seen if e == L.VIR_DOMAIN_EVENT_ID_DISK_CHANGE]
    assert sorted((f[0], f[1], f[3]) for f in found) == [
        (IMAGES + "gone-sda", None, L.VIR_DOMAIN_EVENT_DISK_CHANGE_MISSING_ON_START),
        (IMAGES + "gone-vda", None, L.VIR_DOMAIN_EVENT_DISK_DROP_MISSING_ON_START),
        (IMAGES + "gone-vdc", None, L.VIR_DOMAIN_EVENT_DISK_DROP_MISSING_ON_START)]
    live = dom.XMLDesc()
    assert "vda" not in live and "dev='vdb'" in live and "gone-" not in live
    assert "dev='sda'" in live and "startupPolicy" not in live
    # the next start tries again
    stored = dom.XMLDesc(L.VIR_DOMAIN_XML_INACTIVE)
    assert stored.count("startupPolicy='optional'") == 3
    dom.destroy()
    for policy, device, bus, target in (("mandatory", "disk", "virtio", "vda"), ("mandatory", "cdrom", "sata", "sda"), ("requisite", "cdrom", "sata", "sda")):
        dom = conn.defineXML(domain_xml("vm", real=False, devices=disk_at(target, policy, device, bus)))
        assert "gone-" + target in start_error(dom)
    recorder.close()


def test_backing_file_on_a_server(server, conn, domain_xml, box, server_kind):
    """nbd below an image, as the header names it in each way: found, shown, read by QEMU."""
    server.image("data", "1M", "raw")
    socket = "/var/lib/libvirt/images/nbd.sock"
    names = {"uri": "nbd+unix:///x?socket=" + socket, "words": "nbd:unix:%s:exportname=x" % socket,
             "json": 'json:{"driver":"raw","file":{"driver":"nbd","server":{"type":"unix","path":"%s"},"export":"x"}}' % socket}
    program = server.box.popen(["qemu-nbd", "-t", "-r", "-e", "8", "-x", "x", "-f", "raw", "-k", socket, "--fork", IMAGES + "data"])
    assert program.wait() == 0
    os.chmod(box("nbd.sock"), 0o666)
    shown = []
    for how, name in names.items():
        subprocess.run(["qemu-img", "create", "-q", "-u", "-f", "qcow2", "-b", name, "-F", "raw", box(how), "1M"], check=True)
        os.chmod(box(how), 0o666)
        dom = conn.defineXML(domain_xml("vm", real=False, devices=xml.disk(IMAGES + how)))
        dom.create()
        live = dom.XMLDesc()
        shown.append(live[live.index("<backingStore"):live.index("<target")].split())
        stats = conn.domainListGetStats([dom], L.VIR_DOMAIN_STATS_BLOCK, L.VIR_CONNECT_GET_ALL_DOMAINS_STATS_BACKING)[0][1]
        assert stats["block.count"] == 2 and "block.1.path" not in stats and stats["block.1.backingIndex"] == 2
        assert "<backingStore" not in dom.XMLDesc(L.VIR_DOMAIN_XML_INACTIVE)
        if server_kind == "berthd" and how == "json":
            before = live
            server.restart()
            conn = server.connect()
            dom = conn.lookupByName("vm")
            dom.reset(0)  # after the reconnect
            assert dom.XMLDesc() == before
        dom.destroy()
    assert shown[0] == shown[1] == shown[2] == (
        "<backingStore type='network' index='2'> <format type='raw'/> <source protocol='nbd' name='x' tls='no'> "
        "<host transport='unix' socket='%s'/> </source> </backingStore>" % socket).split()
    subprocess.run(["qemu-img", "create", "-q", "-u", "-f", "qcow2", "-b", "nbd://127.0.0.1:1/x", "-F", "qcow2", box("other"), "1M"], check=True)
    dom = conn.defineXML(domain_xml("vm", real=False, devices=xml.disk(IMAGES + "other")))
    start_error(dom)
