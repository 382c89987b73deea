"""The log's outputs, with stand-ins for the journal and for syslog in the sandbox's own /run and /dev: what arrives there, field by field."""

import os
import queue
import re
import resource
import signal
import socket
import struct
import threading
import uuid

import pytest

from lib import rawrpc, servers_only, xml as guest_xml

berthd = servers_only.berthd

INVALID, NO_DOMAIN = "55", "42"
LOOKUP_BY_NAME = 23
UUID = str(uuid.uuid5(uuid.NAMESPACE_DNS, "vm"))


class Receiver:
    """A datagram socket at a path inside the sandbox; its queue is short, so it is read all the time, or from listen() on."""

    def __init__(self, server, path, hangs=False):
        outside = "/proc/%d/root%s" % (server.box.holder.pid, path)
        os.makedirs(os.path.dirname(outside), exist_ok=True)
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(outside)
        os.chmod(outside, 0o666)
        self.messages = queue.Queue()
        self.thread = threading.Thread(target=self._read, daemon=True)
        if not hangs:
            self.listen()

    def listen(self):
        self.thread.start()

    def _read(self):
        while True:
            data = self.sock.recv(1 << 18)
            if not data:
                return
            self.messages.put(data)

    def until(self, parse, wanted):
        """Everything that comes, to the first for which wanted() holds."""
        seen = []
        while not seen or not wanted(seen[-1]):
            seen.append(parse(self.messages.get(timeout=30)))
        return seen

    def close(self):
        self.sock.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.sock.close()


def journal_entry(data):
    """The journal's own protocol: KEY=VALUE lines, or KEY, a length and bytes."""
    fields = {}
    while data:
        line, data = data.split(b"\n", 1)
        key, equals, value = line.partition(b"=")
        if not equals:
            size, = struct.unpack("<Q", data[:8])
            value, data = data[8:8 + size], data[9 + size:]
        fields[key.decode()] = value.decode()
    return fields


def make(berthd, outputs):
    """A server, its directories and namespace made, not yet started."""
    # without records of audit, which go to the journal too
    server = berthd(log_level="2", libvirtd_conf="audit_level = 0\n" + ("log_outputs = \"%s\"\n" % outputs if outputs else ""))
    server.box.start()
    server.write_config()
    return server


def strip_outputs(server):
    path = server.box.path("etc", "libvirtd.conf")
    with open(path) as conf:
        text = conf.read()
    with open(path, "w") as conf:
        conf.write(re.sub("log_outputs.*\n", "", text))


def fail_two_calls(server):
    server.define(guest_xml.domain("vm"))
    assert not server.virsh("domstate", "no-such").ok
    assert not server.virsh("shutdown", "vm").ok


@pytest.mark.parametrize("named", [True, False])
def test_journal(berthd, named):
    """With structured fields; and it is where the log goes by itself when there is one."""
    server = make(berthd, "1:journald" if named else None)
    if not named:
        strip_outputs(server)
    journal = Receiver(server, "/run/systemd/journal/socket")
    try:
        server.start()
        fail_two_calls(server)
        seen = journal.until(journal_entry, lambda entry: entry.get("BERTH_CODE") == INVALID)
        failed = [entry for entry in seen if "BERTH_CODE" in entry]
        assert [entry["BERTH_CODE"] for entry in failed] == [NO_DOMAIN, INVALID]  # one line a failed call
        for entry in seen:
            assert entry["SYSLOG_IDENTIFIER"] == "berthd" and entry["BERTH_AREA"] and entry["PRIORITY"] in "34567", entry
            assert entry["CODE_FILE"].endswith(".c") and int(entry["CODE_LINE"]) > 0 and entry["CODE_FUNC"], entry
        first, second = failed
        assert first["BERTH_PROCEDURE"] == "domain_lookup_by_name" and "no-such" in first["MESSAGE"], first
        assert second["BERTH_PROCEDURE"] == "domain_shutdown" and second["BERTH_OBJECT"] == UUID, second
        assert re.match(r"client \d+ \(uid 0 pid \d+\)", second["BERTH_CLIENT"]), second
        with open(server.box.path("output"), errors="replace") as output:
            assert "domain_shutdown" not in output.read()
    finally:
        journal.close()
        server.close()


def test_failed_calls_at_the_default_level(berthd):
    """What an administrator has to see is there with nothing set; what clients find out by asking is not."""
    server = make(berthd, "1:journald")
    journal = Receiver(server, "/run/systemd/journal/socket")
    try:
        with open(server.box.path("etc", "libvirtd.conf"), "a") as conf:
            conf.write("log_level = 3\n")
        server.start()
        fail_two_calls(server)
        server.define(guest_xml.domain("gone", devices=guest_xml.disk("/no/such.qcow2")))
        assert not server.virsh("start", "gone").ok
        seen = journal.until(journal_entry, lambda entry: entry.get("BERTH_PROCEDURE", "").startswith("domain_create"))
        assert [entry["BERTH_CODE"] for entry in seen if "BERTH_CODE" in entry] == ["38"]
        assert "/no/such.qcow2" in seen[-1]["MESSAGE"] and seen[-1]["PRIORITY"] == "4", seen[-1]
    finally:
        journal.close()
        server.close()


@pytest.mark.parametrize("output", ["journald", "stderr"])
def test_a_log_that_hangs(berthd, output):
    """Nobody waits for it, and afterwards it hears how many lines it has missed."""
    server = make(berthd, "1:" + output)
    journal = None
    if output == "journald":
        journal = Receiver(server, "/run/systemd/journal/socket", hangs=True)
    else:
        os.mkfifo(server.box.path("output"))
        out = os.open(server.box.path("output"), os.O_RDWR | os.O_NONBLOCK)
    try:
        server.start()
        for number in range(300):  # a pipe has room for the lines of many calls
            for client in [rawrpc.Client(server.socket).open() for _ in range(4)]:
                assert client.call(LOOKUP_BY_NAME, rawrpc.string("no-such-%d" % number)).status == rawrpc.ERROR
                client.close()
        if journal:
            journal.listen()
            server.sh("uri")
            seen = journal.until(journal_entry, lambda entry: "lines were lost" in entry["MESSAGE"])
            assert re.match(r"\d+ log lines were lost: journald did not take them", seen[-1]["MESSAGE"])
        else:
            read = b""
            while b"lines were lost: stderr did not take them" not in read:
                server.sh("uri")
                try:
                    read = (read + os.read(out, 1 << 20))[-(1 << 20):]
                except BlockingIOError:
                    pass
    finally:
        if journal:
            journal.close()
        else:
            os.close(out)
        server.close()


def test_a_log_file_that_may_not_grow(berthd):
    """As large as the limit of the daemon's files: lines are lost, and nothing else."""
    server = make(berthd, "1:file:/var/log/libvirt/berthd.log")
    plain = server.argv
    server.argv = lambda: ["env", "--default-signal=XFSZ"] + plain()  # Python ignores it, and so would what it starts
    try:
        server.start()
        server.sh("uri")
        hard = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)[1]
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (os.path.getsize(server.box.path("log", "berthd.log")), hard))
        for _ in range(2):
            server.sh("uri")
        assert server.stop() == 0
    finally:
        server.close()


def test_syslog(berthd):
    """Under the name asked for, with the facility of daemons, and nothing in it can start a line of its own."""
    server = make(berthd, "1:syslog:berth-test")
    script = "mkdir /run/dev && mount --rbind /dev /run/dev && mount -t tmpfs tmpfs /dev && for f in /run/dev/*; do ln -s $f /dev/; done; rm -f /dev/log"
    assert server.box.run(["sh", "-c", script]).returncode == 0
    syslog = Receiver(server, "/dev/log")
    try:
        server.start()
        assert not server.virsh("domstate", "two\nlines").ok
        fail_two_calls(server)
        seen = syslog.until(bytes.decode, lambda line: "CODE=55" in line)
        failed = [line for line in seen if "CODE=" in line]
        assert len(failed) == 3, failed
        for line in seen:
            line = line.rstrip("\0\n")
            priority, pid = re.match(r"<(\d+)>\w+ +\d+ [\d:]+ berth-test\[(\d+)\]: ", line).groups()
            assert int(priority) >> 3 == 3 and int(pid) == server.process.pid, line
            assert "\n" not in line, line
        assert "two\\nlines" in failed[0]
        assert re.search(r"PROCEDURE=domain_shutdown .*CODE=55", failed[2]) and "OBJECT=" + UUID in failed[2]
    finally:
        syslog.close()
        server.close()


def test_filters_and_reload(berthd):
    """An area's own level, changed while the daemon runs; what was wrong with a file that is not taken stands in the log."""
    server = make(berthd, "1:journald")
    journal = Receiver(server, "/run/systemd/journal/socket")
    try:
        with open(server.box.path("etc", "libvirtd.conf"), "a") as conf:
            conf.write('log_level = 4\nlog_filters = "2:daemon.gate"\n')
        server.start()
        fail_two_calls(server)
        seen = journal.until(journal_entry, lambda entry: entry.get("BERTH_CODE") == INVALID)
        assert {entry["BERTH_AREA"] for entry in seen if int(entry["PRIORITY"]) > 3} == {"daemon.gate"}, seen
        with open(server.box.path("etc", "libvirtd.conf"), "a") as conf:
            conf.write('log_filters = "2:rpc"\n')
        server.process.send_signal(signal.SIGHUP)
        while True:  # the first line of the new settings
            server.sh("uri")
            if any(entry["BERTH_AREA"].startswith("rpc") for entry in journal.until(journal_entry, lambda entry: True)):
                break
        with open(server.box.path("etc", "libvirtd.conf"), "a") as conf:
            conf.write("max_clients = \"many\"\n")
        lines = open(server.box.path("etc", "libvirtd.conf")).read().count("\n")
        server.process.send_signal(signal.SIGHUP)
        wrong = journal.until(journal_entry, lambda entry: entry["PRIORITY"] == "3")[-1]
        assert "libvirtd.conf:%d:" % lines in wrong["MESSAGE"] and "max_clients" in wrong["MESSAGE"], wrong
        server.sh("uri")
    finally:
        journal.close()
        server.close()
