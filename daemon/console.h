/* daemon/console.h - who holds which console
 *
 * One user per device: a second one is refused, or with FORCE takes over.  Client event thread and workers.
 */
#pragma once

#include "daemon/call.h"

/* Opens the device behind a stream on the call.  force: VIR_DOMAIN_CONSOLE_FORCE, or that of a channel. */
int console_open(Call *call, const char *path, bool is_socket, bool channel, bool force, Err *err);
