"""Domain XML for tests: a q35 guest that boots tests/lib/guest.py's kernel, parts of it replaceable."""

import uuid as _uuid

CONSOLE = """<serial type='pty'><target port='0'/></serial>
    <console type='pty'><target type='serial' port='0'/></console>"""


def disk(path, target="vda", bus="virtio", fmt="qcow2", extra="", device="disk", driver=""):
    return """<disk type='file' device='%s'>
      <driver name='qemu' type='%s'%s/>
      <source file='%s'/>
      <target dev='%s' bus='%s'/>%s
    </disk>""" % (device, fmt, driver, path, target, bus, extra)


def domain(name, guest=None, devices="", machine="q35", memory=128, vcpu="1", uuid=None, boot="", top="", features="<acpi/>",
           console=CONSOLE, memballoon="<memballoon model='virtio'/>", on="", cmdline="console=ttyS0 quiet", kind="qemu",
           usb="<controller type='usb' model='none'/>"):
    """`guest`: an object with .kernel and .initrd, or None for a guest without an operating system."""
    if guest is not None:
        boot += """
    <kernel>%s</kernel>
    <initrd>%s</initrd>
    <cmdline>%s</cmdline>""" % (guest.kernel, guest.initrd, cmdline)
    return """<domain type='%s'>
  <name>%s</name>
  <uuid>%s</uuid>
  <memory unit='MiB'>%d</memory>
  <vcpu>%s</vcpu>%s
  <os>
    <type arch='x86_64' machine='%s'>hvm</type>%s
  </os>
  <features>%s</features>%s
  <devices>
    %s
    %s
    %s
    %s
  </devices>
</domain>
""" % (kind, name, uuid or _uuid.uuid5(_uuid.NAMESPACE_DNS, name), memory, vcpu, top, machine, boot, features, on, usb, console,
       devices, memballoon)
