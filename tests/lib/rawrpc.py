"""A bare client of the wire: packets as bytes, for what no stock client would send."""

import socket
import struct

REMOTE, QEMU, LXC, KEEPALIVE = 0x20008086, 0x20008087, 0x00068000, 0x6b656570
CALL, REPLY, MESSAGE, STREAM, CALL_FDS, REPLY_FDS, HOLE = range(7)
OK, ERROR, CONTINUE = range(3)


class Closed(Exception):
    """The daemon closed the connection."""


class Packet:
    def __init__(self, data):
        self.prog, self.vers, self.proc, self.type, self.serial, self.status = struct.unpack(">IIiIII", data[:24])
        self.body = data[24:]

    def error(self):
        """(code, domain, message) of an error reply."""
        assert self.status == ERROR, self.__dict__
        code, domain, present = struct.unpack(">iiI", self.body[:12])
        text = None
        if present:
            size, = struct.unpack(">I", self.body[12:16])
            text = self.body[16:16 + size].decode()
        return code, domain, text


def string(text):
    raw = text if isinstance(text, bytes) else text.encode()
    return struct.pack(">I", len(raw)) + raw + b"\0" * (-len(raw) % 4)


def optional(data):
    return struct.pack(">I", 0) if data is None else struct.pack(">I", 1) + data


def domain(name, uuid=b"\0" * 16, ident=-1):
    return string(name) + uuid + struct.pack(">i", ident)


class Client:
    def __init__(self, path, timeout=20):
        """`path` of a UNIX socket, or a socket that is connected."""
        if isinstance(path, socket.socket):
            self.sock = path
        else:
            self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.sock.settimeout(timeout)
            self.sock.connect(path)
        self.serial = 0

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send_raw(self, data):
        try:
            self.sock.sendall(data)
        except (BrokenPipeError, ConnectionResetError) as gone:
            raise Closed from gone

    def send(self, proc, body=b"", prog=REMOTE, vers=1, kind=CALL, serial=None, status=OK):
        """Sends one packet; returns its serial."""
        if serial is None:
            serial, self.serial = self.serial, self.serial + 1
        self.send_raw(struct.pack(">IIIiIII", 28 + len(body), prog, vers, proc, kind, serial, status) + body)
        return serial

    def _exactly(self, n):
        data = b""
        while len(data) < n:
            try:
                part = self.sock.recv(n - len(data))
            except ConnectionResetError as gone:
                raise Closed from gone
            if not part:
                raise Closed
            data += part
        return data

    def receive(self):
        size, = struct.unpack(">I", self._exactly(4))
        return Packet(self._exactly(size - 4))

    def call(self, proc, body=b"", **kw):
        """Sends a call and returns its reply; other packets that come between are dropped."""
        serial = self.send(proc, body, **kw)
        while True:
            packet = self.receive()
            if packet.serial == serial and packet.type in (REPLY, REPLY_FDS):
                return packet

    def open(self, uri="qemu:///system", flags=0):
        """AUTH_LIST and CONNECT_OPEN."""
        assert self.call(66).status == OK
        reply = self.call(1, optional(string(uri)) + struct.pack(">I", flags))
        assert reply.status == OK, reply.error()
        return self
