/* daemon/events_held.h - events that wait for polkit
 *
 * An event polkit is asked about must not be overtaken by later ones of the same connection: all that come meanwhile wait behind it.
 *
 * Threads: the client event thread.
 */
#pragma once

#include "daemon/call.h"

struct DomainEvent;

/* One event on its way to one client. */
typedef struct EventPacket {
    uint32_t prog, vers;
    int proc;
    bool has_id;
    int32_t id; /* of the callback */
    GBytes *payload;
} EventPacket;

/* Sends it, or holds it: `ask` has polkit asked whether the client may get `e`.  The payload is referred to. */
void events_held_send(RpcConn *conn, const EventPacket *p, const struct DomainEvent *e, bool ask);
/* The connection is gone. */
void events_held_drop(Client *cl);
