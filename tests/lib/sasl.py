"""A daemon that asks for SASL, with users of its own, and what clients need to answer.

The daemon reads libvirt.conf from a directory of its own (SASL_CONF_PATH), the users are in a sasldb beside it.
"""

import os
import re
import subprocess

from . import rawrpc, server

USERS = {"fred": "sekrit-of-fred", "joe": "sekrit-of-joe"}
INIT, START, STEP = 67, 68, 69


class Berthd(server.Berthd):
    def __init__(self, mechs="digest-md5 scram-sha-256 plain", users=None, sasl_conf="", rules=None, **kw):
        keys = kw.pop("libvirtd_conf", "")
        super().__init__(**kw)
        self.mechs, self.users, self.sasl_conf = mechs, USERS if users is None else users, sasl_conf
        self.libvirtd_conf, self.rules = keys, rules

    def write_config(self):
        super().write_config()
        path = self.box.path("etc", "libvirtd.conf")
        with open(path) as conf:
            lines = conf.read()
        for key in ("auth_unix_rw", "auth_unix_ro"):  # may be there once only
            if key in self.libvirtd_conf:
                lines = lines.replace(key + ' = "none"\n', "", 1)
        with open(path, "w") as conf:
            conf.write(lines)
        os.makedirs(self.box.path("etc", "sasl2"), exist_ok=True)
        with open(self.box.path("etc", "sasl2", "libvirt.conf"), "w") as conf:
            conf.write("mech_list: %s\nsasldb_path: /etc/libvirt/passwd.db\n%s" % (self.mechs, self.sasl_conf))
        if self.rules:
            path = self.box.path("etc", "berthd.conf.d", "access", "10-test.rules")
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w") as rules:
                rules.write(self.rules)
            os.chmod(path, 0o644)
        for name, password in self.users.items():
            self.add_user(name, password)

    def add_user(self, name, password):
        full = subprocess.run(["hostname", "-f"], text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout.strip()
        realm = ["-u", full] if full else []  # the library's idea of it; saslpasswd2 takes the short name
        subprocess.run(self.box.argv(["saslpasswd2", "-f", "/etc/libvirt/passwd.db", "-p", "-c", "-a", "libvirt", *realm, name]),
                       input=password + "\n", text=True, check=True, stdout=subprocess.DEVNULL)

    def environment(self):
        env = super().environment()
        env["SASL_CONF_PATH"] = "/etc/libvirt/sasl2"
        return env

    def auth_file(self, name="fred", password=None, host="localhost"):
        """The file of credentials a stock client reads; returns the environment that names it."""
        path = self.file("auth-%s.conf" % name, "[credentials-test]\nauthname=%s\npassword=%s\n\n"
                         "[auth-libvirt-%s]\ncredentials=test\n" % (name, USERS[name] if password is None else password, host))
        return {"LIBVIRT_AUTH_FILE": path}


def token(data):
    """nil and data as AUTH_SASL_* carry them: a word for each character."""
    if data is None:
        return b"\0\0\0\1" + b"\0\0\0\0"
    return b"\0\0\0\0" + len(data).to_bytes(4, "big") + b"".join(b"\0\0\0" + bytes([c]) for c in data)


def start(mech, data):
    return rawrpc.string(mech) + token(data)


def answer(packet):
    """(complete, data or None) of a good reply to START or STEP."""
    assert packet.status == rawrpc.OK, packet.error()
    words = [int.from_bytes(packet.body[i:i + 4], "big") for i in range(0, len(packet.body), 4)]
    complete, nil, count = words[:3]
    assert len(words) == 3 + count
    return complete, None if nil else bytes(w & 0xff for w in words[3:])


def plain(name, password):
    return b"\0" + name.encode() + b"\0" + password.encode()


def mechanisms(client):
    """The list a client is offered; asked once a connection."""
    reply = client.call(INIT)
    assert reply.status == rawrpc.OK, reply.error()
    return reply.body[4:4 + int.from_bytes(reply.body[:4], "big")].decode().split(",")


def challenge(data):
    """Name and value of the parts of a SCRAM or DIGEST-MD5 message."""
    return dict(re.findall(r'(\w+)="?([^",]*)"?', data.decode()))
