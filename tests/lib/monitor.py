"""A QEMU monitor's other user: speaks QMP to a guest while no daemon is connected (QEMU has one user of its monitor at a time)."""

import glob
import json
import socket


class Monitor:
    def __init__(self, server, name, timeout=60):
        path, = glob.glob(server.box.path("lib", "qemu", "domain-*-%s" % name, "monitor.sock"))
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(timeout)
        self.sock.connect(path)
        self.lines = self.sock.makefile("r")
        self.events = []
        assert "QMP" in self._message()
        self.call("qmp_capabilities")

    def _message(self):
        line = self.lines.readline()
        assert line, "QEMU closed its monitor"
        return json.loads(line)

    def call(self, command, **arguments):
        """What the command returns; events that come before are kept."""
        order = {"execute": command}
        if arguments:
            order["arguments"] = {key.replace("_", "-"): value for key, value in arguments.items()}
        self.sock.sendall(json.dumps(order).encode() + b"\n")
        while True:
            message = self._message()
            if "event" in message:
                self.events.append(message)
            else:
                assert "return" in message, message
                return message["return"]

    def wait(self, event, **data):
        """The first event of this name whose data has these members."""
        def fits(message):
            have = message.get("data", {})
            return message.get("event") == event and all(have.get(k.replace("_", "-")) == v for k, v in data.items())
        while True:
            for message in self.events:
                if fits(message):
                    return message
            message = self._message()
            if "event" in message:
                self.events.append(message)

    def close(self):
        self.lines.close()
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
