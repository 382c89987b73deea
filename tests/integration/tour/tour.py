"""A scripted tour with stock virsh over what the daemon offers for domains.

Each step is one virsh command whose exit status, output and errors are kept under the step's name.  The same tour against berthd and
against the stock daemon of libvirt 9.0, each in its own namespaces, must give the same; what differs on purpose is listed with its
reason in docs/differences.md.
"""

import glob
import os
import re

import libvirt

from lib import events, xml
from lib.console import VirshConsole
from lib.guest import PROMPT

from . import chains, normalise

HERE = os.path.dirname(os.path.abspath(__file__))

FULL_UUID = "b5a3c1c2-2f4e-4b53-9c1a-0a6d1d7c5a01"

FULL_CURRENT_KIB = 128 * 1024  # <currentMemory> of FULL

FULL = """<domain type='qemu'>
  <name>full</name>
  <uuid>%(uuid)s</uuid>
  <title>A full guest</title>
  <description>Everything at once</description>
  <metadata>
    <app:owner xmlns:app="http://example.org/app/1">me</app:owner>
  </metadata>
  <memory unit='MiB'>160</memory>
  <currentMemory unit='MiB'>128</currentMemory>
  <vcpu placement='static' current='1'>2</vcpu>
  <os>
    <type arch='x86_64' machine='q35'>hvm</type>
    <kernel>%(kernel)s</kernel>
    <initrd>%(initrd)s</initrd>
    <cmdline>console=ttyS0 quiet</cmdline>
  </os>
  <features><acpi/><apic/></features>
  <cpu mode='custom' match='exact'><model>qemu64</model></cpu>
  <clock offset='utc'><timer name='rtc' tickpolicy='catchup'/></clock>
  <on_poweroff>destroy</on_poweroff>
  <on_reboot>restart</on_reboot>
  <on_crash>destroy</on_crash>
  <devices>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2' cache='none' discard='unmap'/>
      <source file='%(disk)s'/>
      <target dev='vda' bus='virtio'/>
      <serial>SERIAL1</serial>
    </disk>
    <disk type='file' device='cdrom'>
      <target dev='sda' bus='sata'/>
      <readonly/>
    </disk>
    <controller type='scsi' index='0' model='virtio-scsi'/>
    <disk type='file' device='disk'>
      <driver name='qemu' type='raw'/>
      <source file='%(raw)s'/>
      <target dev='sdb' bus='scsi'/>
      <shareable/>
    </disk>
    <interface type='user'>
      <mac address='52:54:00:11:22:33'/>
      <model type='virtio'/>
    </interface>
    <serial type='pty'/>
    <console type='pty'/>
    <channel type='unix'>
      <target type='virtio' name='org.qemu.guest_agent.0'/>
    </channel>
    <input type='tablet' bus='usb'/>
    <graphics type='vnc' port='-1' autoport='yes' passwd='sesame'/>
    <video><model type='vga'/></video>
    <watchdog model='i6300esb' action='reset'/>
    <memballoon model='virtio'/>
    <rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>
    <panic model='isa'/>
  </devices>
</domain>
"""

SMALL = """<domain type='qemu'>
  <name>%s</name>
  <uuid>%s</uuid>
  <memory unit='MiB'>64</memory>
  <os><type arch='x86_64' machine='q35'>hvm</type></os>
  <devices>
    <controller type='usb' model='none'/>
    <memballoon model='none'/>
  </devices>
</domain>
"""


class Tour:
    def __init__(self, server, guest):
        self.server = server
        self.guest = guest
        self.steps = {}

    def keep(self, name, content):
        assert name not in self.steps, "two steps named " + name
        self.steps[name] = content

    def virsh(self, name, *args, then=None, readonly=False):
        """One step.  `then`: a function, or several, that take more out of the output."""
        done = self.server.virsh(*args, readonly=readonly)
        out = normalise.text(done.out, self.server)
        err = normalise.text(done.err, self.server)
        for change in (then if isinstance(then, (list, tuple)) else [then] if then else []):
            out = change(out)
        self.keep(name, "$ virsh %s\n-> %d\n%s%s" % (normalise.text(" ".join(str(a) for a in args), self.server), done.rc, out, err))
        return done

    # ---- chapters ----------------------------------------------------------------------------

    def host(self):
        num = normalise.numbers
        self.virsh("host-version", "version")
        self.virsh("host-version-daemon", "version", "--daemon")
        self.virsh("host-uri", "uri")
        self.virsh("host-hostname", "hostname")
        self.virsh("host-nodeinfo", "nodeinfo", then=[lambda o: re.sub(r"(CPU frequency: *)\d+", r"\1N", o), normalise.host_memory])
        self.virsh("host-nodecpumap", "nodecpumap")
        self.virsh("host-nodecpustats", "nodecpustats", then=num)
        self.virsh("host-nodecpustats-percent", "nodecpustats", "--percent", then=num)
        self.virsh("host-nodecpustats-one", "nodecpustats", "--cpu", "0", then=num)
        self.virsh("host-nodecpustats-bad", "nodecpustats", "--cpu", "999")
        self.virsh("host-nodememstats", "nodememstats", then=num)
        self.virsh("host-nodememstats-cell", "nodememstats", "--cell", "0", then=num)
        self.virsh("host-freecell", "freecell", then=num)
        self.virsh("host-freecell-all", "freecell", "--all", then=num)
        self.virsh("host-maxvcpus", "maxvcpus")
        self.virsh("host-maxvcpus-qemu", "maxvcpus", "--type", "qemu")
        self.virsh("host-maxvcpus-xen", "maxvcpus", "--type", "xen")
        self.virsh("host-sysinfo", "sysinfo")
        self.virsh("host-capabilities", "capabilities", then=[lambda o: re.sub(r"(<counter name='tsc' frequency=')\d+", r"\1N", o), normalise.host_memory])
        self.virsh("host-domcapabilities", "domcapabilities")
        self.virsh("host-domcapabilities-pc", "domcapabilities", "--machine", "pc", "--virttype", "qemu")
        self.virsh("host-domcapabilities-bad", "domcapabilities", "--arch", "sparc")
        self.virsh("host-domcapabilities-badmachine", "domcapabilities", "--machine", "nonsense")
        self.virsh("host-cpu-models", "cpu-models", "x86_64")
        self.virsh("host-cpu-models-bad", "cpu-models", "nonsense")
        self.virsh("host-version-ro", "version", readonly=True)

    def nothing_there(self):
        for flag in ("--all", "--inactive", "--persistent", "--transient", "--autostart", "--state-running", "--with-snapshot"):
            self.virsh("empty-list" + flag, "list", flag)
        self.virsh("empty-domstats", "domstats")
        for command in ("dominfo", "domstate", "domid", "domuuid", "start", "destroy", "undefine", "dumpxml", "shutdown", "suspend",
                        "resume", "reset", "reboot", "autostart", "vcpucount", "domblklist", "domstats", "domname"):
            self.virsh("missing-" + command, command, "nope")
        self.virsh("missing-uuid", "dominfo", "11111111-2222-3333-4444-555555555555")
        self.virsh("missing-id", "domname", "77")

    def bad_xml(self):
        cases = {
            "not-xml": "this is not XML",
            "unclosed": "<domain type='qemu'><name>x</name>",
            "empty": "<domain/>",
            "wrong-root": "<network><name>x</name></network>",
            "no-name": "<domain type='qemu'><memory>65536</memory><os><type>hvm</type></os></domain>",
            "no-memory": "<domain type='qemu'><name>x</name><os><type>hvm</type></os></domain>",
            "no-os": "<domain type='qemu'><name>x</name><memory>65536</memory></domain>",
            "bad-type": "<domain type='nonsense'><name>x</name><memory>65536</memory><os><type>hvm</type></os></domain>",
            "no-type": "<domain><name>x</name><memory>65536</memory><os><type>hvm</type></os></domain>",
            "bad-os": "<domain type='qemu'><name>x</name><memory>65536</memory><os><type>nonsense</type></os></domain>",
            "bad-arch": "<domain type='qemu'><name>x</name><memory>65536</memory><os><type arch='nonsense'>hvm</type></os></domain>",
            "bad-machine": "<domain type='qemu'><name>x</name><memory>65536</memory><os><type machine='nonsense'>hvm</type></os></domain>",
            "bad-uuid": "<domain type='qemu'><name>x</name><uuid>zz</uuid><memory>65536</memory><os><type>hvm</type></os></domain>",
            "bad-unit": "<domain type='qemu'><name>x</name><memory unit='cows'>65536</memory><os><type>hvm</type></os></domain>",
            "bad-memory": "<domain type='qemu'><name>x</name><memory>many</memory><os><type>hvm</type></os></domain>",
            "bad-vcpu": "<domain type='qemu'><name>x</name><memory>65536</memory><vcpu>none</vcpu><os><type>hvm</type></os></domain>",
            "zero-vcpu": "<domain type='qemu'><name>x</name><memory>65536</memory><vcpu>0</vcpu><os><type>hvm</type></os></domain>",
            "slash-name": "<domain type='qemu'><name>a/b</name><memory>65536</memory><os><type>hvm</type></os></domain>",
        }
        device = {
            "disk-no-target": "<disk type='file' device='disk'><source file='/x'/></disk>",
            "disk-bad-bus": "<disk type='file'><source file='/x'/><target dev='vda' bus='nonsense'/></disk>",
            "disk-bad-device": "<disk type='file' device='tape'><source file='/x'/><target dev='vda'/></disk>",
            "disk-bad-cache": "<disk type='file'><driver name='qemu' cache='maybe'/><source file='/x'/><target dev='vda'/></disk>",
            "disk-twice": "<disk type='file'><source file='/x'/><target dev='vda'/></disk>"
                          "<disk type='file'><source file='/y'/><target dev='vda'/></disk>",
            "interface-bad-mac": "<interface type='user'><mac address='nonsense'/></interface>",
            "interface-bad-type": "<interface type='nonsense'/>",
            "graphics-bad-type": "<graphics type='nonsense'/>",
            "controller-bad-type": "<controller type='nonsense'/>",
            "watchdog-bad-model": "<watchdog model='nonsense'/>",
            "memballoon-bad-model": "<memballoon model='nonsense'/>",
            "rng-no-backend": "<rng model='virtio'/>",
            "input-bad-bus": "<input type='mouse' bus='nonsense'/>",
            "video-bad-model": "<video><model type='nonsense'/></video>",
            "emulator-missing": "<emulator>/nonexistent/qemu</emulator>",
            "address-bad": "<rng model='virtio'><backend model='random'>/dev/random</backend><address type='pci' slot='99'/></rng>",
        }
        for name, inside in device.items():
            cases[name] = ("<domain type='qemu'><name>x</name><uuid>%s</uuid><memory>65536</memory>"
                           "<os><type arch='x86_64' machine='q35'>hvm</type></os><devices>%s</devices></domain>"
                           % ("c1a3c1c2-2f4e-4b53-9c1a-0a6d1d7c5a01", inside))
        for name, content in cases.items():
            self.virsh("bad-" + name, "define", self.server.file("bad.xml", content))
            self.server.virsh("undefine", "x")
        self.virsh("bad-validate", "define", "--validate",
                   self.server.file("bad.xml", SMALL.replace("<devices>", "<nonsense/><devices>")
                                    % ("x", "c1a3c1c2-2f4e-4b53-9c1a-0a6d1d7c5a02")))
        self.server.virsh("undefine", "x")

    def definition(self):
        server = self.server
        disk = server.image("full.qcow2", "64M")
        raw = server.image("full.raw", "8M", "raw")
        path = server.file("full.xml", FULL % {"uuid": FULL_UUID, "kernel": self.guest.kernel, "initrd": self.guest.initrd,
                                               "disk": disk, "raw": raw})
        self.virsh("def-define", "define", path)
        self.virsh("def-again", "define", path)
        self.virsh("def-dumpxml", "dumpxml", "full")
        self.virsh("def-dumpxml-inactive", "dumpxml", "full", "--inactive")
        self.virsh("def-dumpxml-secure", "dumpxml", "full", "--security-info")
        self.virsh("def-dumpxml-secure-ro", "dumpxml", "full", "--security-info", readonly=True)
        self.virsh("def-dumpxml-migratable", "dumpxml", "full", "--migratable")
        self.virsh("def-dominfo", "dominfo", "full")
        self.virsh("def-domstate", "domstate", "full", "--reason")
        self.virsh("def-domid", "domid", "full")
        self.virsh("def-domuuid", "domuuid", "full")
        self.virsh("def-domname", "domname", FULL_UUID)
        self.virsh("def-list", "list", "--all")
        self.virsh("def-list-uuid", "list", "--all", "--uuid")
        self.virsh("def-list-title", "list", "--all", "--title")
        self.virsh("def-list-running", "list", "--state-running")
        self.virsh("def-list-shutoff", "list", "--state-shutoff")
        self.virsh("def-list-managed-save", "list", "--all", "--managed-save")
        self.virsh("def-vcpucount", "vcpucount", "full")
        self.virsh("def-vcpucount-max-config", "vcpucount", "full", "--maximum", "--config")
        self.virsh("def-vcpucount-live", "vcpucount", "full", "--current", "--live")
        self.virsh("def-vcpuinfo", "vcpuinfo", "full")
        self.virsh("def-domblklist", "domblklist", "full", "--details")
        self.virsh("def-domiflist", "domiflist", "full")
        self.virsh("def-domblkinfo", "domblkinfo", "full", "vda")
        self.virsh("def-domblkinfo-all", "domblkinfo", "full", "--all")
        self.virsh("def-domblkinfo-bad", "domblkinfo", "full", "vdz")
        self.virsh("def-domblkstat", "domblkstat", "full", "vda")
        self.virsh("def-domifstat", "domifstat", "full", "52:54:00:11:22:33")
        self.virsh("def-dommemstat", "dommemstat", "full")
        self.virsh("def-domstats", "domstats", "full")
        self.virsh("def-domjobinfo", "domjobinfo", "full")
        self.virsh("def-domcontrol", "domcontrol", "full")
        self.virsh("def-domdisplay", "domdisplay", "full")
        self.virsh("def-vncdisplay", "vncdisplay", "full")
        self.virsh("def-cpu-stats", "cpu-stats", "full")
        self.virsh("def-suspend", "suspend", "full")
        self.virsh("def-resume", "resume", "full")
        self.virsh("def-shutdown", "shutdown", "full")
        self.virsh("def-reboot", "reboot", "full")
        self.virsh("def-reset", "reset", "full")
        self.virsh("def-destroy", "destroy", "full")
        self.virsh("def-console", "console", "full")
        self.virsh("def-send-key", "send-key", "full", "KEY_A")
        self.virsh("def-screenshot", "screenshot", "full", server.box.path("shot"))
        self.virsh("def-monitor", "qemu-monitor-command", "full", '{"execute":"query-status"}')
        self.virsh("def-autostart", "autostart", "full")
        self.keep("def-autostart-link", repr(os.readlink(server.box.path("etc", "qemu", "autostart", "full.xml"))
                                             if os.path.islink(server.box.path("etc", "qemu", "autostart", "full.xml")) else None))
        self.virsh("def-list-autostart", "list", "--all", "--autostart")
        self.virsh("def-dominfo-autostart", "dominfo", "full")
        self.virsh("def-autostart-off", "autostart", "full", "--disable")
        self.virsh("def-desc", "desc", "full")
        self.virsh("def-desc-title", "desc", "full", "--title")
        self.virsh("def-desc-set", "desc", "full", "--config", "New words")
        self.virsh("def-desc-title-set", "desc", "full", "--config", "--title", "New title")
        self.virsh("def-desc-title-lines", "desc", "full", "--config", "--title", "Two\nlines")
        self.virsh("def-desc-live", "desc", "full", "--live", "Live words")
        self.virsh("def-metadata", "metadata", "full", "http://example.org/app/1")
        self.virsh("def-metadata-missing", "metadata", "full", "http://example.org/app/2")
        self.virsh("def-metadata-set", "metadata", "full", "http://example.org/app/2", "--key", "two", "--set", "<a><b c='1'/></a>")
        self.virsh("def-metadata-bad", "metadata", "full", "http://example.org/app/2", "--key", "two", "--set", "<a>")
        self.virsh("def-metadata-dumpxml", "dumpxml", "full")
        self.virsh("def-metadata-remove", "metadata", "full", "http://example.org/app/2", "--remove")
        self.virsh("def-metadata-dumpxml-2", "dumpxml", "full")
        self.virsh("def-rename", "domrename", "full", "renamed")
        self.virsh("def-rename-list", "list", "--all", "--name")
        self.virsh("def-rename-back", "domrename", "renamed", "full")
        self.virsh("def-rename-slash", "domrename", "full", "a/b")
        self.virsh("def-other", "define", server.file("other.xml", SMALL % ("other", "b5a3c1c2-2f4e-4b53-9c1a-0a6d1d7c5a02")))
        self.virsh("def-rename-taken", "domrename", "full", "other")
        self.virsh("def-name-taken", "define", server.file("other.xml", SMALL % ("full", "b5a3c1c2-2f4e-4b53-9c1a-0a6d1d7c5a03")))
        self.virsh("def-uuid-taken", "define", server.file("other.xml", SMALL % ("third", FULL_UUID)))
        self.virsh("def-list-all", "list", "--all")
        self.virsh("def-other-undefine", "undefine", "other")
        self.keep("def-file", normalise.text(self._definition_file("full"), server))

    def _definition_file(self, name):
        """The stored definition without the comment that heads it."""
        with open(self.server.box.path("etc", "qemu", name + ".xml")) as stored:
            return re.sub(r"^<!--.*?-->\s*", "", stored.read(), flags=re.S)

    def life(self):
        server, num = self.server, normalise.numbers
        live = normalise.live_id
        self.virsh("run-start-paused", "start", "full", "--paused")
        self.virsh("run-state-paused", "domstate", "full", "--reason")
        self.virsh("run-list-paused", "list", "--state-paused", then=lambda o: re.sub(r"^ \d+ +", " ID ", o, flags=re.M))
        self.virsh("run-start-again", "start", "full")
        conn = server.connect()
        balloon = events.Recorder(conn, [libvirt.VIR_DOMAIN_EVENT_ID_BALLOON_CHANGE])
        self.virsh("run-resume", "resume", "full")
        self.virsh("run-state", "domstate", "full", "--reason")
        with VirshConsole(server, "full", "--force") as console:
            console.send("\n")
            console.expect(PROMPT)
            console.send("echo $((6*7))-answered\n")
            console.expect("42-answered")
        balloon.wait(lambda _event, name, args: name == "full" and args[0] == FULL_CURRENT_KIB)  # the guest gives memory back by and by
        balloon.close()
        conn.close()
        self.virsh("run-dumpxml", "dumpxml", "full", then=live)
        self.virsh("run-dumpxml-inactive", "dumpxml", "full", "--inactive")
        self.virsh("run-dumpxml-secure", "dumpxml", "full", "--security-info", then=live)
        self.virsh("run-dumpxml-migratable", "dumpxml", "full", "--migratable", then=live)
        self.virsh("run-dominfo", "dominfo", "full", then=lambda o: re.sub(r"(Id: +|CPU time: +)[\d.]+", r"\1N", o))
        self.virsh("run-vcpucount", "vcpucount", "full")
        self.virsh("run-vcpuinfo", "vcpuinfo", "full", then=lambda o: re.sub(r"(CPU: +|CPU time: +)[\d.]+", r"\1N", o, flags=re.M))
        self.virsh("run-vcpupin", "vcpupin", "full")
        self.virsh("run-emulatorpin", "emulatorpin", "full")
        self.virsh("run-domblklist", "domblklist", "full", "--details")
        self.virsh("run-domiflist", "domiflist", "full")
        self.virsh("run-domblkinfo", "domblkinfo", "full", "vda", then=num)
        self.virsh("run-domblkinfo-all", "domblkinfo", "full", "--all", then=num)
        self.virsh("run-domblkstat", "domblkstat", "full", "vda", then=num)
        self.virsh("run-domblkstat-human", "domblkstat", "full", "vda", "--human", then=num)
        self.virsh("run-domblkstat-all", "domblkstat", "full", then=num)
        self.virsh("run-domblkstat-bad", "domblkstat", "full", "vdz")
        self.virsh("run-domblkerror", "domblkerror", "full")
        self.virsh("run-domifstat-bad", "domifstat", "full", "nope")
        self.virsh("run-domif-getlink", "domif-getlink", "full", "52:54:00:11:22:33")
        self.virsh("run-dommemstat", "dommemstat", "full", then=num)
        self.virsh("run-domstats", "domstats", "full", then=num)
        for group in ("--state", "--cpu-total", "--balloon", "--vcpu", "--interface", "--block"):
            self.virsh("run-domstats" + group, "domstats", "full", group, then=num)
        self.virsh("run-domstats-nowait", "domstats", "--nowait", "--state", "full")
        self.virsh("run-domstats-enforce", "domstats", "--enforce", "--state", "full")
        self.virsh("run-cpu-stats", "cpu-stats", "full", "--total", then=num)
        self.virsh("run-domjobinfo", "domjobinfo", "full")
        self.virsh("run-domjobinfo-completed", "domjobinfo", "full", "--completed")
        self.virsh("run-domjobabort", "domjobabort", "full")
        self.virsh("run-domcontrol", "domcontrol", "full")
        self.virsh("run-domdisplay", "domdisplay", "full")
        self.virsh("run-domdisplay-password", "domdisplay", "full", "--include-password")
        self.virsh("run-vncdisplay", "vncdisplay", "full")
        self.virsh("run-ttyconsole", "ttyconsole", "full")
        self.virsh("run-send-key", "send-key", "full", "KEY_LEFTCTRL", "KEY_C")
        self.virsh("run-send-key-set", "send-key", "full", "--codeset", "win32", "--holdtime", "50", "65")
        self.virsh("run-send-key-bad", "send-key", "full", "--codeset", "linux", "65535")
        shot = server.box.path("shot")
        self.virsh("run-screenshot", "screenshot", "full", shot)
        with open(shot, "rb") as image:
            self.keep("run-screenshot-kind", repr(image.read(4)))
        self.virsh("run-screenshot-bad", "screenshot", "full", shot, "--screen", "7")
        self.virsh("run-monitor", "qemu-monitor-command", "full", '{"execute":"query-status"}', "--return-value")
        self.virsh("run-monitor-bad", "qemu-monitor-command", "full", '{"execute":"nonsense"}')
        self.virsh("run-monitor-hmp", "qemu-monitor-command", "full", "--hmp", "info status")
        self.virsh("run-taint", "dominfo", "full", then=lambda o: "".join(l for l in o.splitlines(True) if "Messages" in l))
        self.virsh("run-agent", "qemu-agent-command", "full", '{"execute":"guest-ping"}')
        self.virsh("run-domfsinfo", "domfsinfo", "full")
        self.virsh("run-domtime", "domtime", "full")
        self.virsh("run-guestinfo", "guestinfo", "full")
        self.virsh("run-undefine", "undefine", "full")
        self.virsh("run-dominfo-transient", "dominfo", "full",
                   then=lambda o: "".join(l for l in o.splitlines(True) if l.startswith(("Persistent", "State"))))
        self.virsh("run-list-transient", "list", "--transient", "--name")
        self.virsh("run-redefine", "define", server.file("again.xml", server.virsh("dumpxml", "full", "--inactive",
                                                                                  "--security-info").out))
        self.virsh("run-persistent", "list", "--persistent", "--name")
        self.virsh("run-suspend", "suspend", "full")
        self.virsh("run-suspended", "domstate", "full", "--reason")
        self.virsh("run-suspend-again", "suspend", "full")
        self.virsh("run-resume-2", "resume", "full")
        self.virsh("run-resume-again", "resume", "full")
        self.virsh("run-resumed", "domstate", "full", "--reason")
        self.virsh("run-reset", "reset", "full")
        self.virsh("run-rename", "domrename", "full", "running")
        self.virsh("run-desc-live", "desc", "full", "--live", "Live words")
        self.virsh("run-desc-both", "desc", "full", "--live", "--config", "Both words")
        self.virsh("run-destroy-graceful", "destroy", "full", "--graceful")
        self.virsh("run-destroyed", "domstate", "full", "--reason")
        self.virsh("run-destroy-again", "destroy", "full")

    def power(self):
        """What the guest does by itself and by the button, with the events it makes."""
        server = self.server
        self.virsh("power-start", "start", "full")
        conn = server.connect()
        recorder = events.Recorder(conn, [libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, libvirt.VIR_DOMAIN_EVENT_ID_REBOOT])
        try:
            with VirshConsole(server, "full", "--force") as console:
                console.send("\n")
                console.expect(PROMPT)
                console.send("reboot -f\n")
                recorder.wait(lambda e, n, a: e == libvirt.VIR_DOMAIN_EVENT_ID_REBOOT)
                console.expect("BERTH-GUEST-READY")
                console.send("\n")
                console.expect(PROMPT)
                self.virsh("power-shutdown", "shutdown", "full", "--mode", "acpi")
                recorder.lifecycle("full", libvirt.VIR_DOMAIN_EVENT_STOPPED)
            # how often a reset is told differs from run to run: repetitions count once
            seen = [s for i, s in enumerate(recorder.seen) if i == 0 or s != recorder.seen[i - 1]]
            self.keep("power-events", repr(seen))
            self.virsh("power-state", "domstate", "full", "--reason")
            self.virsh("power-shutdown-bad", "shutdown", "full", "--mode", "nonsense")
        finally:
            recorder.close()
            conn.close()

    def transient(self):
        server = self.server
        path = server.file("small.xml", SMALL % ("small", "b5a3c1c2-2f4e-4b53-9c1a-0a6d1d7c5a09"))
        self.virsh("tr-create-paused", "create", path, "--paused")
        self.virsh("tr-list", "list", "--transient", "--name")
        self.virsh("tr-create-again", "create", path)
        self.virsh("tr-autostart", "autostart", "small")
        self.virsh("tr-dumpxml", "dumpxml", "small", then=normalise.live_id)
        self.virsh("tr-desc-config", "desc", "small", "--config", "words")
        self.virsh("tr-undefine", "undefine", "small")
        self.virsh("tr-destroy", "destroy", "small")
        self.virsh("tr-gone", "dominfo", "small")
        conn = server.connect()
        recorder = events.Recorder(conn)
        self.virsh("tr-autodestroy", "create", path, "--autodestroy")
        recorder.lifecycle("small", libvirt.VIR_DOMAIN_EVENT_STOPPED)  # some time after virsh has left
        recorder.close()
        conn.close()
        self.virsh("tr-autodestroy-gone", "list", "--all", "--name")
        self.virsh("tr-validate", "create", path, "--validate")
        self.server.virsh("destroy", "small")
        missing = xml.domain("small", devices=xml.disk("/nonexistent/disk.img", fmt="raw"), console="")
        self.virsh("tr-missing-disk", "create", server.file("missing.xml", missing))
        self.virsh("tr-after-failure", "list", "--all", "--name")

    def documents(self):
        """Every file of xml/: what becomes of it when defined, on the command line of QEMU, and when it runs."""
        server = self.server
        images = {name: server.image(name, size, fmt) for name, size, fmt in
                  (("a.qcow2", "16M", "qcow2"), ("b.raw", "16M", "raw"), ("c.raw", "1440K", "raw"), ("d.raw", "4M", "raw"))}
        server.image("top.qcow2", None, "qcow2", backing=(images["a.qcow2"], "qcow2"))
        for path in sorted(glob.glob(os.path.join(HERE, "xml", "*.xml"))):
            name = os.path.basename(path)[:-4]
            with open(path) as document:
                content = document.read()
            content = content.replace("@NAME@", name).replace("@IMAGES@", "/var/lib/libvirt/images") \
                .replace("@KERNEL@", self.guest.kernel).replace("@INITRD@", self.guest.initrd)
            done = self.virsh("xml-%s-define" % name, "define", server.file("doc.xml", content))
            if not done.ok:
                continue
            self.virsh("xml-%s-inactive" % name, "dumpxml", name, "--inactive")
            if "no-start" not in content:
                started = self.virsh("xml-%s-start" % name, "start", name, "--paused")
                if started.ok:
                    self.virsh("xml-%s-live" % name, "dumpxml", name, then=normalise.live_id)
                    self.server.virsh("destroy", name)
                    self.virsh("xml-%s-after" % name, "dumpxml", name)
            self.virsh("xml-%s-undefine" % name, "undefine", name)

    def leave(self):
        self.virsh("leave-undefine", "undefine", "full")
        self.virsh("leave-list", "list", "--all", "--name")
        self.keep("leave-files", repr(sorted(f for f in os.listdir(self.server.box.path("etc", "qemu")) if f.endswith(".xml"))))

    def run(self):
        self.host()
        self.nothing_there()
        self.bad_xml()
        self.definition()
        self.life()
        self.power()
        self.transient()
        self.documents()
        chains.run(self)
        self.leave()
        return self.steps


if __name__ == "__main__":
    # usage: tour.py berthd|peer FILE - writes all steps, for reading or for diff
    import collections
    import signal
    import sys
    import tempfile
    from lib import guest as guest_image, server as servers

    with tempfile.TemporaryDirectory(prefix="berth-guest-") as directory:
        os.chmod(directory, 0o755)
        initrd = os.path.join(directory, "initramfs.gz")
        guest_image.build_initramfs(initrd)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
        instance = servers.new(sys.argv[1]).open()
        tour = Tour(instance, collections.namedtuple("Guest", "kernel initrd")(guest_image.kernel_path(), initrd))
        try:
            tour.run()
        finally:
            with open(sys.argv[2], "w") as out:
                for name, content in tour.steps.items():
                    out.write("==== %s\n%s\n" % (name, content))
            instance.close()
