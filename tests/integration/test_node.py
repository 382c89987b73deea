"""The host as stock clients see it: each number against the kernel's own, so that both daemons are held to the same truth."""

import os
import re
import socket
import struct

import libvirt
import pytest

from lib import rawrpc

MANY = 1 << 20


def read(path):
    with open(path) as text:
        return text.read()


def id_set(text):
    ids = set()
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        ids.update(range(int(first), int(last or first) + 1))
    return ids


def cells():
    return sorted(id_set(read("/sys/devices/system/node/online")))


def meminfo(path, key):
    return int(re.search(r"(?:^|\s)%s:\s+(\d+) kB" % key, read(path), re.M).group(1))


def cell_memory(cell, key):
    return meminfo("/sys/devices/system/node/node%d/meminfo" % cell, key)


def code_of(call, *args):
    with pytest.raises(libvirt.libvirtError) as caught:
        call(*args)
    return caught.value.get_error_code()


needs_numa = pytest.mark.skipif(not os.path.exists("/sys/devices/system/node/online"), reason="a kernel without NUMA")
needs_ksm = pytest.mark.skipif(not os.path.exists("/sys/kernel/mm/ksm/pages_to_scan"), reason="a kernel without KSM")


# ---- the machine ---------------------------------------------------------------------------


@needs_numa
def test_info(conn):
    model, memory, cpus, mhz, nodes, sockets, cores, threads = conn.getInfo()
    assert model == os.uname().machine
    assert memory == sum(cell_memory(c, "MemTotal") for c in cells()) // 1024
    assert cpus == len(id_set(read("/sys/devices/system/cpu/online")))
    assert nodes * sockets * cores * threads == len(id_set(read("/sys/devices/system/cpu/present")))
    told = re.search(r"^cpu MHz\s*: (\d+)", read("/proc/cpuinfo"), re.M)
    if told:
        assert mhz > 0


def test_nodeinfo_of_virsh(server):
    out = server.sh("nodeinfo")
    assert re.search(r"^CPU model: +%s$" % os.uname().machine, out, re.M)
    assert re.search(r"^Memory size: +\d+ KiB$", out, re.M)


def test_hostname(conn, server):
    name = conn.getHostname()
    assert name.split(".")[0] == socket.gethostname().split(".")[0]
    assert server.sh("hostname").strip() == name


def test_security_model(conn):
    assert conn.getSecurityModel() == ["none", "0"]


def test_sysinfo(server):
    tables = os.path.exists("/sys/firmware/dmi/tables/DMI") or os.path.exists("/sys/class/dmi/id")
    result = server.virsh("sysinfo")
    if tables:
        assert result.ok, result
        assert result.out.startswith("<sysinfo type='smbios'>\n") and "</sysinfo>\n" in result.out
    else:
        assert not result.ok
        assert "unsupported configuration:" in result.err


# ---- cpus ----------------------------------------------------------------------------------


def ticks(name):
    """kernel, user, idle and iowait of a line of /proc/stat, in nanoseconds"""
    line = re.search(r"^%s +(.*)$" % name, read("/proc/stat"), re.M).group(1)
    user, nice, system, idle, iowait, irq, softirq = (int(n) for n in line.split()[:7])
    tick = 1000000000 // os.sysconf("SC_CLK_TCK")
    return {"kernel": (system + irq + softirq) * tick, "user": (user + nice) * tick, "idle": idle * tick, "iowait": iowait * tick}


@pytest.mark.parametrize("cpu,line", [(-1, "cpu"), (0, "cpu0")])
def test_cpu_stats(conn, cpu, line):
    before = ticks(line)
    stats = conn.getCPUStats(cpu)
    after = ticks(line)
    assert list(stats) == ["kernel", "user", "idle", "iowait"]
    for name in ("kernel", "user"):  # idle and iowait may go backwards in the kernel
        assert before[name] <= stats[name] <= after[name], name


def test_cpu_stats_refused(conn):
    assert code_of(conn.getCPUStats, MANY) == libvirt.VIR_ERR_INVALID_ARG
    assert code_of(conn.getCPUStats, -2) == libvirt.VIR_ERR_INVALID_ARG


def test_cpu_map(conn, server):
    present = id_set(read("/sys/devices/system/cpu/present"))
    online = id_set(read("/sys/devices/system/cpu/online"))
    number, bits, count = conn.getCPUMap()
    assert number == max(present) + 1
    assert count == len(online)
    assert {i for i, bit in enumerate(bits[:number]) if bit} == online
    out = server.sh("nodecpumap")
    assert re.search(r"^CPUs online: +%d$" % len(online), out, re.M)


# ---- memory --------------------------------------------------------------------------------


def near(value, expected, slack):
    return abs(value - expected) <= slack


def test_memory_stats(conn):
    stats = conn.getMemoryStats(-1)
    assert list(stats) == ["total", "free", "buffers", "cached"]
    assert stats["total"] == meminfo("/proc/meminfo", "MemTotal")
    assert near(stats["free"], meminfo("/proc/meminfo", "MemFree"), 512 * 1024)


@needs_numa
def test_memory_stats_of_a_cell(conn):
    stats = conn.getMemoryStats(cells()[0])
    assert list(stats) == ["total", "free"]
    assert stats["total"] == cell_memory(cells()[0], "MemTotal")
    assert code_of(conn.getMemoryStats, MANY) == libvirt.VIR_ERR_INVALID_ARG
    assert code_of(conn.getMemoryStats, -2) == libvirt.VIR_ERR_INVALID_ARG


@needs_numa
def test_free_memory(conn, server):
    free = sum(cell_memory(c, "MemFree") for c in cells()) * 1024
    assert near(conn.getFreeMemory(), free, 512 << 20)
    by_cell = conn.getCellsFreeMemory(0, 1000)
    assert len(by_cell) == max(cells()) + 1
    assert near(sum(by_cell), free, 512 << 20)
    refused = server.virsh("freecell", "--cellno", MANY)  # the binding loses this call's error code
    assert not refused.ok and "error: internal error: " in refused.err
    out = server.sh("freecell", "--all")
    assert re.search(r"^ +%d: +\d+ KiB$" % cells()[0], out, re.M)


@needs_numa
def test_free_pages(conn):
    base = os.sysconf("SC_PAGESIZE") // 1024
    cell = cells()[0]
    pages = conn.getFreePages([base], cell, 1)
    assert near(pages[cell][base], cell_memory(cell, "MemFree") // base, (512 << 10) // base)
    huge = [int(re.search(r"\d+", name).group()) for name in os.listdir("/sys/kernel/mm/hugepages")]
    for size in huge:
        free = int(read("/sys/devices/system/node/node%d/hugepages/hugepages-%dkB/free_hugepages" % (cell, size)))
        assert conn.getFreePages([size, base], cell, 5)[cell][size] == free
    assert -1 in conn.getFreePages([base], -1, 1)
    assert code_of(conn.getFreePages, [3], cell, 1) == libvirt.VIR_ERR_OPERATION_FAILED
    assert code_of(conn.getFreePages, [base], MANY, 1) == libvirt.VIR_ERR_INTERNAL_ERROR


@needs_numa
@pytest.mark.skipif(not os.path.exists("/sys/kernel/mm/hugepages/hugepages-2048kB"), reason="no huge pages of 2 MiB")
def test_alloc_pages_that_changes_nothing(conn):
    assert conn.allocPages({2048: 0}, cells()[0], 1) == 1
    assert code_of(conn.allocPages, {2048: 0}, MANY, 1) == libvirt.VIR_ERR_INTERNAL_ERROR
    assert code_of(conn.allocPages, {3: 0}, cells()[0], 1) == libvirt.VIR_ERR_OPERATION_FAILED


@needs_ksm
def test_memory_parameters(conn, server):
    params = conn.getMemoryParameters()
    assert params["shm_pages_to_scan"] == int(read("/sys/kernel/mm/ksm/pages_to_scan"))
    names = ["shm_pages_to_scan", "shm_sleep_millisecs", "shm_pages_shared", "shm_pages_sharing", "shm_pages_unshared",
             "shm_pages_volatile", "shm_full_scans", "shm_merge_across_nodes"]
    assert list(params) == [n for n in names if os.path.exists("/sys/kernel/mm/ksm/" + n[4:])]
    conn.setMemoryParameters({"shm_pages_to_scan": params["shm_pages_to_scan"]})  # as it is: the host is everybody's
    assert code_of(conn.setMemoryParameters, {"shm_full_scans": 1}) == libvirt.VIR_ERR_ARGUMENT_UNSUPPORTED
    out = server.sh("node-memory-tune")
    assert re.search(r"^\tshm_pages_to_scan +%d$" % params["shm_pages_to_scan"], out, re.M)


# ---- what no stock client would ask ---------------------------------------------------------


@pytest.fixture
def raw(server):
    with rawrpc.Client(server.box.path("run", "libvirt-sock")) as client:
        yield client.open()


INTERNAL, INVALID, RPC = libvirt.VIR_ERR_INTERNAL_ERROR, libvirt.VIR_ERR_INVALID_ARG, libvirt.VIR_ERR_RPC


@pytest.mark.parametrize("proc,ints,code", [
    (227, (-1, 1, 0), INVALID), (227, (-1, 16, 0), INVALID), (227, (-1, 17, 0), INTERNAL), (227, (-1, -1, 0), INTERNAL),
    (227, (-1, 0, 1), INVALID), (227, (-2, 0, 0), INVALID),
    (228, (2, -1, 0), INVALID), (228, (17, -1, 0), INTERNAL), (228, (-1, -1, 0), INTERNAL), (228, (0, MANY, 0), INVALID),
    (101, (0, 0), INVALID), (101, (-1, 1), INVALID), (101, (0, 1025), RPC), (101, (0, -1), RPC), (101, (MANY, 1), INTERNAL),
    (289, (65, 4), INTERNAL), (289, (-1, 4), INTERNAL), (293, (1, 1, 1), INVALID),
    (340, (0, 0, 1, 0), INVALID), (340, (1, 4, 0, 0, 0), INVALID), (340, (1, 4, 0, 1025, 0), INTERNAL),
    (340, (1, 4, 0, -1, 0), INTERNAL), (340, (2, 4, 4, 0, 1024, 0), INTERNAL),
    (347, (1, 2048, 0, 0, 1, 0), INVALID),
])
def test_bounds(raw, proc, ints, code):
    assert raw.call(proc, struct.pack(">%di" % len(ints), *ints)).error()[0] == code


def test_number_of_parameters_is_asked_first(raw):
    for proc, ints, number in ((227, (-1, 0, 0), 4), (228, (0, -1, 0), 4)):
        assert raw.call(proc, struct.pack(">3i", *ints)).body == struct.pack(">II", 0, number)
    reply = raw.call(227, struct.pack(">3i", -1, 4, 0)).body
    assert struct.unpack(">I", reply[:4]) == (4,) and struct.unpack(">I", reply[-4:]) == (0,)


def test_layout_of_char_arrays(raw):
    body = raw.call(6).body
    assert len(body) == 32 * 4 + 8 + 6 * 4
    assert bytes(body[3:128:4]).rstrip(b"\0").decode() == os.uname().machine
    assert raw.call(122).body == struct.pack(">I5iI2i", 5, *b"none\0", 2, *b"0\0")


# ---- what read-only connections and hosts refuse --------------------------------------------


def test_read_only(server):
    conn = server.connect(readonly=True)
    assert conn.getInfo()[0] == os.uname().machine
    assert code_of(conn.setMemoryParameters, {"shm_pages_to_scan": 100}) == libvirt.VIR_ERR_OPERATION_DENIED
    assert code_of(conn.suspendForDuration, 0, 60) == libvirt.VIR_ERR_OPERATION_DENIED
    conn.close()


def test_suspend_refused(conn):
    assert code_of(conn.suspendForDuration, 9, 60) == libvirt.VIR_ERR_INVALID_ARG
    if not os.path.exists("/sys/power/state") or "mem" not in read("/sys/power/state"):
        assert code_of(conn.suspendForDuration, libvirt.VIR_NODE_SUSPEND_TARGET_MEM, 60) == libvirt.VIR_ERR_ARGUMENT_UNSUPPORTED
