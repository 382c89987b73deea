/* daemon/auth_polkit.h - who comes in by polkit
 *
 * AUTH_POLKIT asks for org.libvirt.unix.monitor on a read-only socket, org.libvirt.unix.manage on the other.  Where there is no polkit, the
 * members of the socket's group get in, and the log says so.
 *
 * Threads: the client event thread.
 */
#pragma once

#include "daemon/call.h"

/* True if the client needs no question: root and the daemon's own user, who could do everything without us. */
bool auth_polkit_exempt(const RpcConn *conn);
/* AUTH_POLKIT: as access_check.  -1 ends the connection once the refusal has left. */
int auth_polkit_check(Call *call, void (*then)(Call *call), Err *err);
/* The connection is gone: what its user is asked is taken back. */
void auth_polkit_gone(Client *cl);
