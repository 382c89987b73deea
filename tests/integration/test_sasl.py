"""SASL: stock clients with names and passwords, and others that try to get in without."""

import os
import struct

import libvirt
import pytest

from lib import rawrpc, sasl


@pytest.fixture
def sasl_server():
    """A function that makes a daemon with SASL on its UNIX socket; it is closed at the end."""
    made = []

    def make(**kw):
        kw.setdefault("libvirtd_conf", "auth_unix_rw = \"sasl\"\n")
        kw.setdefault("log_level", "2")
        instance = sasl.Berthd(**kw)
        made.append(instance)
        return instance.open()

    yield make
    for instance in made:
        instance.close()


@pytest.mark.parametrize("mech", ["digest-md5", "scram-sha-256", "plain"])
def test_stock_virsh_over_unix(sasl_server, mech):
    server = sasl_server(mechs=mech)
    good = server.virsh("list", "--all", env=server.auth_file())
    assert good.ok, (good, server.text())
    assert "authenticated by %s" % mech.upper() in server.text()
    bad = server.virsh("list", env=server.auth_file(password="wrong"))
    assert not bad.ok and "authentication failed" in bad.err, bad
    assert sasl.USERS["fred"] not in server.text() and "wrong" not in server.text()
