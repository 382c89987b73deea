/* tools/client.h - a connection of a small command to the daemon
 *
 * Blocking, one call at a time, over the UNIX socket.  Keepalive is not asked for.
 */
#pragma once

#include <rpc/rpc.h>

#include "base.h"

typedef struct Client Client;

/* Who only asks opens it read-only, which the read-only socket allows too.  NULL: said on stderr. */
Client *client_open(const char *socket_path, const char *uri, bool read_only);
void client_close(Client *c);
/* One call of a row of protocol/procs.def; `args` and *ret as the row says (NULL: none), *ret zeroed by the caller, who frees it with
 * client_free_ret().  -1: said on stderr. */
int client_call(Client *c, uint32_t prog, int proc, const void *args, void *ret);
void client_free_ret(uint32_t prog, int proc, void *ret);
/* Sleeps until an event of this program and procedure has come: 1, and its message decoded by `filter` into *ret (zeroed by the caller, freed with
 * xdr_free()).  0: a signal came.  -1: the daemon went, said on stderr. */
int client_event(Client *c, uint32_t prog, int proc, xdrproc_t filter, void *ret);
