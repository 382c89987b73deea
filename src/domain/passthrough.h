/* domain/passthrough.h - QEMU's own commands, as the qemu program lets clients send them
 */
#pragma once

#include "domain/domain.h"

/* `cmd` is a QMP command object, or with hmp the text of a human monitor command.  *ret is QEMU's whole answer, error answers too
 * (QMP), or the command's text (HMP).  fds travel with the command and stay the caller's.  MODIFY job and lock held, running.  The
 * machine counts as tainted from here on: what the user changes behind our back we do not know. */
int domain_monitor_command(Domain *d, const char *cmd, bool hmp, const int *fds, unsigned n_fds, char **ret, Err *err);
