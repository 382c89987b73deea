/* daemon/console.h - who holds which console
 *
 * One user per device: a second one is refused, or with FORCE takes over.  Client event thread and workers.
 */
#pragma once

#include "daemon/call.h"

/* Opens the device behind a stream on the call.  flags: VIR_DOMAIN_CONSOLE_FORCE, _SAFE. */
int console_open(Call *call, const char *path, bool is_socket, bool force, Err *err);
