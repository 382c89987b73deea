"""Limits of disks: set and read while the guest runs or rests, groups, contradictions, the event, and that QEMU has them."""

import json

import libvirt
import pytest

from lib import events

DISKS = """
<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='%s'/><target dev='vda' bus='virtio'/>%s</disk>
<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='%s'/><target dev='vdb' bus='virtio'/></disk>
<disk type='file' device='cdrom'><target dev='sda' bus='sata'/></disk>
"""


@pytest.fixture
def daemon(own_server):
    return own_server()


@pytest.fixture
def machine(daemon):
    def make(name, iotune=""):
        a, b = daemon.image(name + "-a.qcow2"), daemon.image(name + "-b.qcow2")
        daemon.define("""<domain type='qemu'><name>%s</name><memory unit='MiB'>32</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os><devices>%s</devices></domain>""" % (name, DISKS % (a, iotune, b)))
        return daemon.connect().lookupByName(name)
    return make


def limits(dom, disk="vda", flags=0):
    return {k: v for k, v in dom.blockIoTune(disk, flags).items() if v}


def fails(code, fn, *args):
    with pytest.raises(libvirt.libvirtError) as caught:
        fn(*args)
    assert caught.value.get_error_code() == code, caught.value


def throttles(daemon, name):
    """What QEMU itself says, by device."""
    answer = json.loads(daemon.sh("qemu-monitor-command", name, '{"execute":"query-block"}'))
    return {b["qdev"].split("/")[3]: b["inserted"] for b in answer["return"] if "inserted" in b}


def test_config(daemon, machine):
    dom = machine("rest")
    config = libvirt.VIR_DOMAIN_AFFECT_CONFIG
    assert limits(dom) == {}
    dom.setBlockIoTune("vda", {"total_bytes_sec": 1000, "total_bytes_sec_max": 50000, "total_bytes_sec_max_length": 3}, config)
    dom.setBlockIoTune("vda", {"read_iops_sec": 7}, config)
    # one of a class sets the class, the others stay
    dom.setBlockIoTune("vda", {"write_iops_sec": 8, "size_iops_sec": 4096}, config)
    want = {"total_bytes_sec": 1000, "total_bytes_sec_max": 50000, "total_bytes_sec_max_length": 3, "write_iops_sec": 8,
            "size_iops_sec": 4096}
    assert limits(dom) == want
    daemon.restart()
    dom = daemon.connect().lookupByName("rest")
    assert limits(dom, flags=config) == want
    text = daemon.sh("dumpxml", "rest")
    for name, value in want.items():
        assert "<%s>%d</%s>" % (name, value, name) in text
    fails(libvirt.VIR_ERR_INVALID_ARG, dom.setBlockIoTune, "vda", {"total_bytes_sec": 5, "read_bytes_sec": 6}, config)
    fails(libvirt.VIR_ERR_ARGUMENT_UNSUPPORTED, dom.setBlockIoTune, "vda", {"total_bytes_sec": 10**18}, config)
    fails(libvirt.VIR_ERR_INVALID_ARG, dom.setBlockIoTune, "vdz", {"total_bytes_sec": 5}, config)
    fails(libvirt.VIR_ERR_OPERATION_INVALID, dom.setBlockIoTune, "vda", {"total_bytes_sec": 5}, libvirt.VIR_DOMAIN_AFFECT_LIVE)
    fails(libvirt.VIR_ERR_CONFIG_UNSUPPORTED, dom.setBlockIoTune, "vdb", {"group_name": "x"}, config)
    fails(libvirt.VIR_ERR_INVALID_ARG, dom.setBlockIoTune, "vda", {"group_name": "a\x01b", "total_bytes_sec": 5}, config)
    assert limits(dom) == want


def test_running(daemon, machine):
    dom = machine("run", "<iotune><read_bytes_sec>1000000</read_bytes_sec><total_iops_sec>100</total_iops_sec></iotune>")
    dom.createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED)
    live, config = libvirt.VIR_DOMAIN_AFFECT_LIVE, libvirt.VIR_DOMAIN_AFFECT_CONFIG
    inserted = throttles(daemon, "run")["virtio-disk0"]
    assert (inserted["bps_rd"], inserted["iops"]) == (1000000, 100)
    # contradictions with what is set already change nothing, in neither definition
    both = ("--live", "--config")  # the bindings cannot say both: they read first
    assert not daemon.virsh("blkdeviotune", "run", "vda", "--total-iops-sec-max", "50", *both).ok
    assert not daemon.virsh("blkdeviotune", "run", "vda", "--total-iops-sec", "0", "--size-iops-sec", "512", *both).ok
    fails(libvirt.VIR_ERR_OPERATION_INVALID, dom.setBlockIoTune, "sda", {"total_iops_sec": 50}, live)
    assert throttles(daemon, "run")["virtio-disk0"]["iops"] == 100
    assert limits(dom, flags=config) == {"read_bytes_sec": 1000000, "total_iops_sec": 100}
    daemon.sh("blkdeviotune", "run", "vda", "--total-iops-sec", "200", "--total-iops-sec-max", "400", "--total-iops-sec-max-length", "2", *both)
    inserted = throttles(daemon, "run")["virtio-disk0"]
    assert (inserted["bps_rd"], inserted["iops"], inserted["iops_max"], inserted["iops_max_length"]) == (1000000, 200, 400, 2)
    # a group: who joins gets its limits, who changes them changes all
    dom.setBlockIoTune("vda", {"group_name": "both"}, live)
    dom.setBlockIoTune("vdb", {"group_name": "both", "total_iops_sec": 300}, live)
    for disk in ("vda", "vdb"):
        assert limits(dom, disk) == {"read_bytes_sec": 1000000, "total_iops_sec": 300, "total_iops_sec_max": 400,
                                     "total_iops_sec_max_length": 2, "group_name": "both"}
    dom.setBlockIoTune("vdb", {"group_name": "", "total_iops_sec": 250}, live)
    assert limits(dom, "vda")["total_iops_sec"] == 300
    assert limits(dom, "vdb")["total_iops_sec"] == 250
    assert throttles(daemon, "run")["virtio-disk1"]["group"] != "both"
    assert limits(dom, flags=config)["total_iops_sec"] == 200
    # a new daemon knows, and can take them away
    daemon.restart(9)
    dom = daemon.connect().lookupByName("run")
    assert limits(dom, "vdb")["total_iops_sec"] == 250
    zero = {n: 0 for n in ("total_iops_sec", "total_iops_sec_max", "total_iops_sec_max_length", "total_bytes_sec")}
    dom.setBlockIoTune("vdb", zero, live)
    assert limits(dom, "vdb") == {}
    assert "iops_max" not in throttles(daemon, "run")["virtio-disk1"]


def test_event(daemon, machine):
    dom = machine("event")
    dom.createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED)
    recorder = events.Recorder(dom.connect(), [libvirt.VIR_DOMAIN_EVENT_ID_TUNABLE])
    daemon.sh("blkdeviotune", "event", "vda", "--total-iops-sec", "60", "--group-name", "g", "--live")
    _, name, args = recorder.wait(lambda *_: True)
    assert (name, args[0]) == ("event", {"blkdeviotune.disk": "vda", "blkdeviotune.total_iops_sec": 60, "blkdeviotune.group_name": "g"})
    recorder.close()


def test_refused_at_define(daemon):
    for iotune in ("<group_name>a</group_name>", "<total_bytes_sec>5000000000000000</total_bytes_sec>",
                   "<total_bytes_sec>5</total_bytes_sec><read_bytes_sec>5</read_bytes_sec>"):
        path = daemon.file("bad.xml", "<domain type='qemu'><name>bad</name><memory>32768</memory><os><type>hvm</type></os><devices>"
                           "%s</devices></domain>" % (DISKS % ("/a", "<iotune>%s</iotune>" % iotune, "/b")))
        assert not daemon.virsh("define", path).ok
