"""Many definitions: what was acknowledged is there after a kill, and the files are what counts at every start."""

import os
import re
import signal
import threading

import libvirt


def plain(name, memory=64, more=""):
    return """<domain type='qemu'><name>%s</name><memory unit='MiB'>%d</memory><vcpu>1</vcpu>
      <os><type arch='x86_64' machine='q35'>hvm</type></os>%s</domain>""" % (name, memory, more)


def names(server):
    return set(server.sh("list", "--all", "--name").split())


def test_acknowledged_is_there_after_kill(own_server):
    server = own_server()
    acknowledged, lock, enough = [], threading.Lock(), threading.Event()

    def define(nr):
        conn = server.connect()
        try:
            for i in range(10000):
                name = "vm-%d-%d" % (nr, i)
                conn.defineXML(plain(name))
                with lock:
                    acknowledged.append(name)
                    if len(acknowledged) >= 100:
                        enough.set()
        except libvirt.libvirtError:
            pass  # killed

    threads = [threading.Thread(target=define, args=(nr,)) for nr in range(8)]
    for thread in threads:
        thread.start()
    assert enough.wait(120)
    server.stop(signal.SIGKILL)
    for thread in threads:
        thread.join()
    server.start()
    there = names(server)
    assert set(acknowledged) <= there
    assert len(there) <= len(acknowledged) + len(threads)  # and no more than what was under way besides
    directory = server.box.path("etc", "qemu")
    assert {f[:-4] for f in os.listdir(directory) if f.endswith(".xml")} == there
    assert not [f for f in os.listdir(directory) if f.startswith(".")]


def test_files_count_whatever_is_remembered(own_server):
    server = own_server()
    for nr in range(3):
        server.define(plain("vm%d" % nr))
    server.define(plain("secret", more="<devices><graphics type='vnc' passwd='sesame'/></devices>"))
    directory = server.box.path("etc", "qemu")
    index = server.box.path("cache", "qemu", "definitions")
    server.restart()
    before = {name: server.sh("dumpxml", "--inactive", "--security-info", name) for name in names(server)}
    assert "sesame" in before["secret"] and "sesame" not in server.sh("dumpxml", "secret")

    for damage in (None, b"", b"no index of ours", open(index, "rb").read()[:-7]):
        server.stop()
        if damage is None:
            os.unlink(index)
        else:
            with open(index, "wb") as out:
                out.write(damage)
        server.start()
        assert {name: server.sh("dumpxml", "--inactive", "--security-info", name) for name in names(server)} == before

    server.stop()

    def edit(name, old, new):
        path = os.path.join(directory, name + ".xml")
        with open(path) as text:
            changed = text.read().replace(old, new)
        with open(path, "w") as out:
            out.write(changed)

    edit("vm0", "65536</memory>", "75536</memory>")
    edit("vm1", "</domain>", "")
    with open(os.path.join(directory, "added.xml"), "w") as out:
        out.write(re.sub("<uuid>.*</uuid>", "<uuid>11111111-2222-4333-8444-000000000001</uuid>",
                         before["vm2"].replace("<name>vm2<", "<name>added<")))
    os.unlink(os.path.join(directory, "vm2.xml"))
    server.start()
    assert names(server) == {"vm0", "secret", "added"}
    assert "75536</memory>" in server.sh("dumpxml", "vm0")
    assert "vm1.xml" in server.text()
    edit("vm1", "</devices>\n", "</devices>\n</domain>")
    server.restart()
    assert names(server) == {"vm0", "vm1", "secret", "added"}


def test_shown_is_what_the_next_daemon_shows(own_server, domain_xml):
    """Parts of a definition that a daemon would only find out when it reads its file are there at once or never."""
    server = own_server()
    server.define(domain_xml("vm", devices="<controller type='scsi'/><controller type='usb' model='nec-xhci'/>", usb=""))
    server.sh("desc", "vm", "--config", "--title", "a title")
    server.sh("setmem", "vm", "65536", "--config")
    server.restart()
    at_rest = server.sh("dumpxml", "vm")
    assert "<title>a title</title>" in at_rest and "65536</currentMemory>" in at_rest
    assert server.sh("dumpxml", "vm", "--inactive") == at_rest
    server.sh("domrename", "vm", "other")
    renamed = server.sh("dumpxml", "other")
    server.restart()
    assert server.sh("dumpxml", "other") == renamed == at_rest.replace("<name>vm<", "<name>other<")


def test_a_list_shows_every_change_at_once(own_server):
    """Lists are kept between changes: one that comes after the answer to a change shows it, to every client."""
    server = own_server()
    writer, reader = server.connect(), server.connect()

    def listed(flags=0):
        return {(d.name(), d.UUIDString(), d.ID()) for d in reader.listAllDomains(flags)}

    expected = set()
    for i in range(21):
        d = writer.defineXML(plain("vm%d" % i))
        expected.add((d.name(), d.UUIDString(), -1))
        assert listed() == expected == listed()
        assert listed(libvirt.VIR_CONNECT_LIST_DOMAINS_INACTIVE) == expected
        if i % 3 == 0:
            expected.remove((d.name(), d.UUIDString(), -1))
            d.rename("other name %d" % i)
            expected.add(("other name %d" % i, d.UUIDString(), -1))
            assert listed() == expected
        if i % 3 == 1:
            expected.remove((d.name(), d.UUIDString(), -1))
            d.undefine()
            assert listed() == expected
    assert reader.numOfDefinedDomains() == len(expected)
    assert not listed(libvirt.VIR_CONNECT_LIST_DOMAINS_AUTOSTART)
    d.setAutostart(1)
    assert {name for name, _, _ in listed(libvirt.VIR_CONNECT_LIST_DOMAINS_AUTOSTART)} == {d.name()}
    d.create()
    assert d.ID() > 0 and {e for e in listed() if e[2] != -1} == {(d.name(), d.UUIDString(), d.ID())}
    d.destroy()
    assert listed() == expected
