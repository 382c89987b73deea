"""Boots a real guest under a daemon in namespaces of its own, with stock virsh, and talks to its console.  Run by build-aux/demo.sh."""

import collections
import os
import shutil
import sys
import tempfile

from lib import guest as guest_image, server as servers, xml
from lib.console import VirshConsole
from lib.guest import PROMPT


def main():
    directory = tempfile.mkdtemp(prefix="berth-guest-")
    os.chmod(directory, 0o755)
    initrd = os.path.join(directory, "initramfs.gz")
    guest_image.build_initramfs(initrd)
    kernel = os.path.join(directory, "vmlinuz")
    shutil.copyfile(guest_image.kernel_path(), kernel)
    guest = collections.namedtuple("Guest", "kernel initrd")(kernel, initrd)
    server = servers.new("berthd").open()

    def show(*args):
        print("\n# virsh", " ".join(args))
        done = server.virsh(*args)
        print(done.out + done.err, end="", flush=True)
        if not done.ok:
            print(server.tail())
            sys.exit(1)

    try:
        disk = server.image("demo.qcow2", "64M")
        path = server.file("demo.xml", xml.domain("demo", guest=guest, devices=xml.disk(disk)))
        show("version")
        show("define", path)
        show("start", "demo")
        print("\n# virsh console demo")
        with VirshConsole(server, "demo", "--force") as console:
            console.send("\n")
            console.expect(PROMPT, timeout=120)
            console.send("uname -sr; cat /proc/partitions; echo console-$((6*7))\n")
            answer = console.expect("console-42").replace("\r", "")
            answer += console.expect("console-42") if "echo console" in answer.splitlines()[-1] else ""
            answer = answer.replace("\x1b[6n", "")  # the shell asks where the cursor is
            print(PROMPT + answer.strip() + "\nconsole-42", flush=True)
        show("list")
        show("shutdown", "demo")
    finally:
        server.close()
        shutil.rmtree(directory, ignore_errors=True)
    print("\nA real guest was booted by berthd, listed by stock virsh, and its console answered.")


if __name__ == "__main__":
    main()
