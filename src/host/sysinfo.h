/* host/sysinfo.h - what the firmware says of the machine
 */
#pragma once

#include "util/err.h"

/* <sysinfo type='smbios'>…</sysinfo> of this host in libvirt's layout, from the firmware's SMBIOS table as the kernel publishes it.
 * VIR_ERR_CONFIG_UNSUPPORTED when there is none.  Caller frees. */
char *sysinfo_host_xml(Err *err);
