"""Takes out of a command's output what differs from run to run, so that two daemons can be compared."""

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
    return out


def numbers(out):
    """For measurements: that a value is there is compared, not the value."""
    return re.sub(r"(?<![A-Za-z_./:-])-?\d+(\.\d+)?", "N", out)


def live_id(out):
    """For live XML: the id counts starts, which differs after a failed one."""
    out = re.sub(r"(<domain [^>]*)id='\d+'", r"\1id='ID'", out)
    return re.sub(r"(<label>|<imagelabel>)[^<]*<", r"\1LABEL<", out)
