"""A real guest: defined, started, watched, used and destroyed by stock clients."""

import libvirt
import pytest

from lib.console import VirshConsole
from lib.guest import MARKER, PROMPT


def test_boots_and_console_answers(server, domain_xml):
    server.define(domain_xml("vm"))
    server.sh("start", "vm")
    assert " vm " in server.sh("list")
    with VirshConsole(server, "vm", "--force") as console:
        console.send("\n")
        console.expect(PROMPT)
        console.send("echo answer-$((6*7))\n")
        console.expect("answer-42")
    server.sh("destroy", "vm")
    assert server.sh("domstate", "vm").strip() == "shut off"


def test_shutdown_by_power_button(server, conn, recorder, domain_xml):
    dom = conn.defineXML(domain_xml("vm"))
    dom.create()
    with VirshConsole(server, "vm", "--force") as console:
        console.send("\n")
        console.expect(PROMPT)
        dom.shutdown()
        detail = recorder.lifecycle("vm", libvirt.VIR_DOMAIN_EVENT_STOPPED)
    assert detail == libvirt.VIR_DOMAIN_EVENT_STOPPED_SHUTDOWN
    assert dom.state() == [libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_SHUTOFF_SHUTDOWN]
