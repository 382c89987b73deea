"""Kerberos: a KDC of the test's own, the daemon's key in a keytab, stock virsh with a ticket.

The library leaves the realm out of the names of the host's own realm.
"""

import os
import shutil
import socket
import subprocess

import pytest

from lib import netns, sasl

REALM = "BERTH.TEST"
PORT, TAP_PORT = 16509, 16999
KRB5_CONF = """
[libdefaults]
default_realm = BERTH.TEST
dns_lookup_realm = false
dns_lookup_kdc = false
dns_canonicalize_hostname = false
rdns = false
[realms]
BERTH.TEST = {
    kdc = 127.0.0.1:88
}
"""
KDC_CONF = """
[kdcdefaults]
kdc_listen = 127.0.0.1:88
kdc_tcp_listen = 127.0.0.1:88
[realms]
BERTH.TEST = {
    database_name = /etc/libvirt/krb5/principal
    key_stash_file = /etc/libvirt/krb5/stash
    acl_file = /etc/libvirt/krb5/acl
}
[logging]
kdc = FILE:/etc/libvirt/krb5/kdc.log
"""
ENVIRONMENT = {"KRB5_CONFIG": "/etc/libvirt/krb5.conf", "KRB5_KDC_PROFILE": "/etc/libvirt/kdc.conf", "KRB5RCACHENAME": "none:"}


class Berthd(sasl.Berthd):
    host = socket.gethostname()

    def write_config(self):
        super().write_config()
        os.mkdir(self.box.path("etc", "krb5"))
        self.file("etc/krb5.conf", KRB5_CONF)
        self.file("etc/kdc.conf", KDC_CONF)
        self.file("etc/hosts", "127.0.0.1 localhost\n127.0.0.1 %s\n" % self.host)
        self.inside("mount", "--bind", "/etc/libvirt/hosts", "/etc/hosts")
        self.inside("ip", "address", "add", "192.0.2.1/24", "dev", "berth-br0")  # else the library looks no address up
        self.inside("kdb5_util", "create", "-s", "-r", REALM, "-P", "of-the-master")
        for name in ("fred", "joe"):
            self.inside("kadmin.local", "-q", "addprinc -pw %s %s" % (sasl.USERS[name], name))
        self.inside("kadmin.local", "-q", "addprinc -randkey libvirt/" + self.host)
        self.inside("kadmin.local", "-q", "ktadd -k /etc/libvirt/krb5.tab libvirt/" + self.host)
        self.inside("krb5kdc")  # goes to the background once it listens

    def inside(self, *argv, text=""):
        done = subprocess.run(self.box.argv(argv), env=dict(os.environ, **ENVIRONMENT), input=text, text=True, timeout=60,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert done.returncode == 0, (argv, done.stdout)

    def environment(self):
        return dict(super().environment(), **ENVIRONMENT)

    def ticket(self, name):
        cache = "FILE:/etc/libvirt/krb5/ticket-" + name
        self.inside("kinit", "-c", cache, name, text=sasl.USERS[name] + "\n")
        return {"KRB5CCNAME": cache}


@pytest.fixture
def kerberos(server_kind):
    if server_kind != "berthd":
        pytest.skip("what is logged is ours")
    if not shutil.which("krb5kdc"):
        pytest.fail("no KDC here: build-aux/install-deps.sh installs it")
    instance = Berthd(mechs="gssapi", users={}, sasl_conf="keytab: /etc/libvirt/krb5.tab\n", log_level="2",
                      libvirtd_conf='listen_tcp = 1\nlisten_addr = "127.0.0.1"\nauth_tcp = "sasl"\nauth_unix_rw = "sasl"\n'
                                    'sasl_allowed_username_list = [ "fred" ]\n')
    try:
        yield instance.open()
    finally:
        instance.close()


def test_tickets(kerberos):
    server = kerberos
    assert "SASL over plain TCP: GSSAPI" in server.text()
    uri = "qemu+tcp://%s:%%d/system" % server.host
    fred, joe = server.ticket("fred"), server.ticket("joe")
    tap = netns.Tap(server.box, TAP_PORT, PORT)
    good = server.virsh("uri", uri=uri % TAP_PORT, env=fred)
    assert good.ok, (good, server.text())
    passed = tap.close()
    assert b"GSSAPI" in passed and b"qemu:///system" not in passed
    assert "SASL fred)" in server.text() and "authenticated by GSSAPI, 256 bits" in server.text()

    big = server.file("big.xml", "<domain type='qemu'><name>big</name><description>%s</description><memory>65536</memory>"
                                 "<os><type arch='x86_64'>hvm</type></os></domain>" % ("x" * 500000))
    assert server.virsh("define", big, uri=uri % PORT, env=fred).ok
    assert len(server.virsh("dumpxml", "big", uri=uri % PORT, env=fred).out) > 500000

    for env in (joe, {"KRB5CCNAME": "FILE:/etc/libvirt/krb5/none"}):
        bad = server.virsh("list", uri=uri % PORT, env=env)
        assert not bad.ok and "authentication failed" in bad.err, bad
    assert "user joe is not in sasl_allowed_username_list" in server.text()
