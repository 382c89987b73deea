"""A small real Linux guest: Debian's cloud kernel and an initramfs made here.

It boots in a few seconds without KVM, prints MARKER on ttyS0, offers a shell there, powers off when the ACPI button is pressed and on
`poweroff`.  Nothing is downloaded: the kernel is that of linux-image-cloud-amd64, the user space is busybox-static.
"""

import glob
import gzip
import os
import stat
import struct
import subprocess

MARKER = "BERTH-GUEST-READY"
PROMPT = "guest# "

# In the order of loading; a module the kernel package lacks (or has built in) is left out.
MODULES = [
    "button", "evdev", "virtio_pci", "virtio_blk", "virtio_scsi", "sd_mod", "sr_mod", "ata_piix", "ahci", "virtio_net",
    "virtio_console", "virtio_balloon", "virtio-rng", "virtio_input", "i6300esb", "pvpanic-mmio",
]

INIT = """#!/bin/sh
export PATH=/bin HOME=/ PS1='%(prompt)s'
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev 2>/dev/null
mkdir -p /dev/pts
mount -t devpts devpts /dev/pts
echo 1 >/proc/sys/kernel/printk
for m in $(cat /modules/order); do insmod /modules/$m 2>/dev/null; done
mdev -s
ip link set lo up
acpid -c /etc/acpi -l /dev/null -p /acpid.pid
if [ -c /dev/hvc0 ]; then setsid sh -c 'while :; do sh </dev/hvc0 >/dev/hvc0 2>&1; done' & fi
echo %(marker)s >/dev/console
while :; do setsid cttyhack sh; done
"""

POWER_BUTTON = """#!/bin/sh
echo BERTH-GUEST-POWER-BUTTON >/dev/console
poweroff -f
"""


def kernel_path():
    """The newest cloud kernel in /boot."""
    found = sorted(glob.glob("/boot/vmlinuz-*-cloud-amd64"), key=os.path.getmtime)
    if not found:
        raise RuntimeError("no /boot/vmlinuz-*-cloud-amd64: install linux-image-cloud-amd64")
    return found[-1]


def _module_files(release):
    """Paths of MODULES and what they need, dependencies first."""
    base = "/lib/modules/" + release
    needs = {}
    with open(base + "/modules.dep") as dep:
        for line in dep:
            path, _, rest = line.partition(":")
            needs[path] = rest.split()
    by_name = {}
    for path in needs:
        by_name[os.path.basename(path).split(".ko")[0].replace("-", "_")] = path
    order = []

    def add(path):
        for other in reversed(needs[path]):
            if other not in order:
                add(other)
        if path not in order:
            order.append(path)

    for name in MODULES:
        path = by_name.get(name.replace("-", "_"))
        if path:
            add(path)
    return [(base + "/" + path, os.path.basename(path)) for path in order]


class _Cpio:
    """Writer of the 'newc' archive the kernel unpacks."""

    def __init__(self):
        self.parts = []
        self.inode = 1

    def add(self, name, mode, data=b"", rdev=(0, 0)):
        raw = name.encode() + b"\0"
        fields = [self.inode, mode, 0, 0, 1, 0, len(data), 0, 0, rdev[0], rdev[1], len(raw), 0]
        head = b"070701" + b"".join(b"%08X" % field for field in fields)
        entry = head + raw
        entry += b"\0" * (-len(entry) % 4)
        self.parts.append(entry + data + b"\0" * (-len(data) % 4))
        self.inode += 1

    def finish(self):
        self.add("TRAILER!!!", 0)
        return b"".join(self.parts)


def build_initramfs(path):
    """Writes the initramfs to `path`."""
    kernel = kernel_path()
    release = os.path.basename(kernel)[len("vmlinuz-"):]
    busybox = next(p for p in ("/bin/busybox", "/usr/bin/busybox") if os.path.exists(p))
    with open(busybox, "rb") as binary:
        if b"ld-linux" in binary.read(4096):
            raise RuntimeError("busybox is not static: install busybox-static")
    applets = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout.split()
    cpio = _Cpio()
    for directory in ("bin", "proc", "sys", "dev", "modules", "etc", "etc/acpi", "etc/acpi/PWRF", "mnt", "tmp"):
        cpio.add(directory, stat.S_IFDIR | 0o755)
    cpio.add("dev/console", stat.S_IFCHR | 0o600, rdev=(5, 1))
    cpio.add("dev/null", stat.S_IFCHR | 0o666, rdev=(1, 3))
    with open(busybox, "rb") as binary:
        cpio.add("bin/busybox", stat.S_IFREG | 0o755, binary.read())
    for applet in applets:
        if applet != "busybox":
            cpio.add("bin/" + applet, stat.S_IFLNK | 0o777, b"busybox")
    modules = _module_files(release)
    for source, name in modules:
        with open(source, "rb") as module:
            cpio.add("modules/" + name, stat.S_IFREG | 0o644, module.read())
    cpio.add("modules/order", stat.S_IFREG | 0o644, "\n".join(name for _, name in modules).encode() + b"\n")
    cpio.add("etc/acpi/PWRF/00000080", stat.S_IFREG | 0o755, POWER_BUTTON.encode())
    cpio.add("init", stat.S_IFREG | 0o755, (INIT % {"marker": MARKER, "prompt": PROMPT}).encode())
    with gzip.open(path, "wb", compresslevel=1) as out:
        out.write(cpio.finish())
    os.chmod(path, 0o644)


if __name__ == "__main__":
    import sys
    build_initramfs(sys.argv[1])
    print(kernel_path())
