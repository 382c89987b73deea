"""A disk of a running guest, seen from all sides: the definition, QEMU's graph, the files."""

import json
import re
import subprocess
import xml.etree.ElementTree as ET

import libvirt

IMAGES = "/var/lib/libvirt/images/"


def monitor(dom, command, **arguments):
    """A command on the machine's monitor; its "return"."""
    import libvirt_qemu
    text = json.dumps({"execute": command, "arguments": arguments} if arguments else {"execute": command})
    reply = json.loads(libvirt_qemu.qemuMonitorCommand(dom, text, 0))
    assert "return" in reply, reply
    return reply["return"]


def disk_element(dom, target="vda", flags=0):
    for disk in ET.fromstring(dom.XMLDesc(flags)).iter("disk"):
        if disk.find("target").get("dev") == target:
            return disk
    raise AssertionError("no disk " + target)


def chain(dom, target="vda", flags=0):
    """[(index, path)] from the top down, as the definition says."""
    found = []
    node = disk_element(dom, target, flags)
    while node is not None and node.find("source") is not None:
        source = node.find("source")
        found.append((int(source.get("index") or node.get("index") or 0), source.get("file") or source.get("dev")))
        node = node.find("backingStore")
    return found


def paths(dom, target="vda", flags=0):
    return [path.replace(IMAGES, "") for _, path in chain(dom, target, flags)]


def mirror(dom, target="vda"):
    """(index, job, ready) of <mirror>; None."""
    element = disk_element(dom, target).find("mirror")
    return element is not None and (int(element.find("source").get("index")), element.get("job"), element.get("ready")) or None


def graph(dom, alias="virtio-disk0"):
    """(node the device is on, numbers of all our images QEMU has, {number: number below})."""
    top = None
    for dev in monitor(dom, "query-block"):
        if alias in dev.get("qdev", "").split("/"):
            top = dev["inserted"]["node-name"]
    names = [n["node-name"] for n in monitor(dom, "query-named-block-nodes", flat=True)]
    numbers = {int(m.group(1)) for m in (re.match(r"libvirt-(\d+)-(format|storage)$", n) for n in names) if m}
    return top, numbers, names


def truthful(dom, target="vda", alias="virtio-disk0"):
    """What is wrong between definition and QEMU; empty: nothing."""
    top, numbers, _ = graph(dom, alias)
    wanted = chain(dom, target)
    copying = mirror(dom, target)
    wrong = []
    if top != "libvirt-%d-format" % wanted[0][0] and not copying:
        wrong.append("device on %s, definition has %s" % (top, wanted))
    known = {n for d in ET.fromstring(dom.XMLDesc(0)).iter("disk") for n, _ in chain(dom, d.find("target").get("dev"))}
    if copying:
        known.add(copying[0])
    if numbers != known:
        wrong.append("QEMU has images %s, the definition %s" % (sorted(numbers), sorted(known)))
    if dom.isPersistent() and paths(dom, target, libvirt.VIR_DOMAIN_XML_INACTIVE)[0] != paths(dom, target)[0]:
        wrong.append("stored definition has %s, live %s" % (paths(dom, target, libvirt.VIR_DOMAIN_XML_INACTIVE), paths(dom, target)))
    fdsets = {s["fdset-id"] for s in monitor(dom, "query-fdsets")}
    running = dom.state()[0] == libvirt.VIR_DOMAIN_RUNNING  # QEMU lets go of descriptors only then
    if fdsets and running and fdsets != known:  # (the peer has none)
        wrong.append("QEMU has fdsets %s, the definition %s" % (sorted(fdsets), sorted(known)))
    return wrong


class Images:
    """Images of a server, made and looked at while no guest has them."""

    def __init__(self, server):
        self.server = server

    def run(self, *argv):
        done = subprocess.run(self.server.box.argv(list(argv)), capture_output=True, text=True)
        assert done.returncode == 0, (argv, done.stdout, done.stderr)
        return done.stdout

    def fill(self, name, pattern, offset="0", length="8M", fmt="qcow2"):
        self.run("qemu-io", "-f", fmt, "-c", "write -P %d %s %s" % (pattern, offset, length), IMAGES + name)

    def layers(self, *names, size="64M", filled="8M"):
        """A chain, base first, each layer with a pattern of its own (1, 2, …) in a place of its own and one over the layer below."""
        below = None
        for number, name in enumerate(names):
            self.server.image(name, None if below else size, backing=below and (IMAGES + below, "qcow2"))
            self.fill(name, number + 1, "%dM" % (number * 8), filled)
            if below:
                self.fill(name, number + 101, "0", "1M")
            below = name
        return IMAGES + names[-1]

    def check(self, name, fmt="qcow2"):
        self.run("qemu-img", "check", "-q", "-f", fmt, IMAGES + name)

    def raw(self, name, out, fmt="qcow2"):
        self.run("qemu-img", "convert", "-U", "-f", fmt, "-O", "raw", IMAGES + name, IMAGES + out)

    def same(self, one, other, fmt="qcow2", other_fmt="qcow2"):
        self.run("qemu-img", "compare", "-q", "-f", fmt, "-F", other_fmt, IMAGES + one, IMAGES + other)

    def backing(self, name):
        return json.loads(self.run("qemu-img", "info", "-U", "--output=json", IMAGES + name)).get("backing-filename")
