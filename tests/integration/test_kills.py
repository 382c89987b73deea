"""The daemon killed at random moments under load; `make soak` does it 1,000 times.  BERTH_KILLS says how often here."""

import os

from lib import kills


def test_kills(own_server):
    count = int(os.environ.get("BERTH_KILLS", "25"))
    server = own_server(libvirtd_conf="max_clients = 200\n")
    done = kills.crash(server, count)
    print("%d calls acknowledged between %d kills" % (done, count))
    assert done > 0
