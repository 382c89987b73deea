"""Takes out of a command's output what differs from run to run, so that two daemons can be compared."""

import glob
import os
import re


def text(out, server):
    """For everything: directories of the test, numbers of ptys and ids of processes, times."""
    out = out.replace(server.box.base, "BASE")
    out = re.sub(r"BASE/[A-Za-z0-9_.-]*-guest-[a-z0-9_]+", "GUEST", out)
    out = re.sub(r"/tmp/berth-guest-[a-z0-9_]+", "GUEST", out)
    out = re.sub(r"/dev/pts/\d+", "/dev/pts/N", out)
    out = re.sub(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?([+-]\d{4}|Z)?", "TIME", out)
    out = re.sub(r"domain-\d+-", "domain-ID-", out)
    out = re.sub(r"\"id\":\"[a-z]+-\d+\"", "\"id\":\"ID\"", out)
    # which of the two is said depends on how far QEMU came before it ended
    out = out.replace("qemu unexpectedly closed the monitor", "process exited while connecting to monitor")
    return out


def numbers(out):
    """For measurements: that a value is there is compared, not the value."""
    return re.sub(r" *(?<![A-Za-z_./:-])-?\d+(\.\d+)?", lambda m: (" " if m.group(0)[0] == " " else "") + "N", out)


def host_memory(out):
    """The host's memory, which may be another amount (memory is plugged into virtual machines) when the second daemon is asked: compared
    with the kernel's."""
    total = 0
    for path in glob.glob("/sys/devices/system/node/node*/meminfo") or ["/proc/meminfo"]:
        with open(path) as info:
            total += int(re.search(r"MemTotal: +(\d+)", info.read()).group(1))
    page = os.sysconf("SC_PAGE_SIZE") // 1024
    return re.sub(r"(?<!\d)%d(?!\d)" % (total // page), "PAGES", re.sub(r"(?<!\d)%d(?!\d)" % total, "TOTAL", out))


def live_id(out):
    """For live XML: the id counts starts, which differs after a failed one."""
    out = re.sub(r"(<domain [^>]*)id='\d+'", r"\1id='ID'", out)
    return re.sub(r"(<label>|<imagelabel>)[^<]*<", r"\1LABEL<", out)
