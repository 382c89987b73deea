#!/usr/bin/python3
"""Records what a stock libvirtd makes of each input: NAME.xml -> NAME.out.xml (inactive, secure), NAME.mig.xml (migratable), or
NAME.err ("code domain" and the message, for reading).  Run it against a private daemon, never one that runs guests:

    record.py [--uri URI] [--live] [NAME ...]

With --live: NAME.live.in is started paused and NAME.live.xml is what the daemon shows; missing images are made, empty.
"""
import argparse
import pathlib
import re
import sys

import libvirt

HERE = pathlib.Path(__file__).parent / "xml"


def put(path, text):
    """Writes text, or removes the file for None."""
    if text is None:
        path.unlink(missing_ok=True)
    else:
        path.write_text(text)


def record(conn, src):
    base = src.with_suffix("")
    out = mig = err = None
    try:
        dom = conn.defineXML(src.read_text())
        out = dom.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE)
        try:
            mig = dom.XMLDesc(libvirt.VIR_DOMAIN_XML_MIGRATABLE | libvirt.VIR_DOMAIN_XML_SECURE)
        except libvirt.libvirtError:
            pass  # it parses its own output again, with stricter checks
        dom.undefineFlags(libvirt.VIR_DOMAIN_UNDEFINE_KEEP_NVRAM)
    except libvirt.libvirtError as e:
        err = f"{e.get_error_code()} {e.get_error_domain()}\n{e.get_error_message()}\n"
    put(base.with_suffix(".out.xml"), out)
    put(base.with_suffix(".mig.xml"), mig if mig != out else None)
    put(base.with_suffix(".err"), err)


def record_live(conn, src):
    xml = src.read_text()
    for image in re.findall(r"<source file='(/var/lib/libvirt/images/[^']*)'", xml):
        if not pathlib.Path(image).exists():
            with open(image, "wb") as f:
                f.truncate(1 << 20)
    dom = conn.createXML(xml, libvirt.VIR_DOMAIN_START_PAUSED)
    put(src.with_suffix(".xml"), dom.XMLDesc(libvirt.VIR_DOMAIN_XML_SECURE))
    dom.destroy()


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--uri", default="qemu:///system")
    p.add_argument("--live", action="store_true")
    p.add_argument("names", nargs="*")
    a = p.parse_args()
    libvirt.registerErrorHandler(lambda *_: None, None)
    conn = libvirt.open(a.uri)
    if a.live:
        for f in sorted(HERE.glob("*.live.in")):
            if not a.names or f.name.removesuffix(".live.in") in a.names:
                record_live(conn, f)
        return
    files = sorted(f for f in HERE.glob("*.xml") if not f.name.endswith((".out.xml", ".mig.xml", ".live.xml")))
    for f in files:
        if not a.names or f.stem in a.names:
            record(conn, f)
            if f.with_suffix(".err").exists():
                print(f.stem, f.with_suffix(".err").read_text().splitlines(), file=sys.stderr)


main()
