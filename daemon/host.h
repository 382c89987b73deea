/* daemon/host.h - who this host is
 */
#pragma once

#include "daemon/conf.h"

/* The host's UUID: libvirtd.conf's host_uuid, else the firmware's or the machine id by host_uuid_source, else one generated once and
 * kept in the state directory. */
int host_uuid_find(const DaemonConfig *c, const char *state_dir, uint8_t ret[UUID_LEN], Err *err);
