/* daemon/client.h - what the daemon keeps of one connection
 *
 * Made when the connection is accepted, freed with its last reference (the connection's userdata).  `open` and the
 * list of calls belong to the client event thread; the rest is set by CONNECT_OPEN before any other call is let through.
 */
#pragma once

#include "daemon/server.h"

typedef struct Call Call;
struct AccessProfile;
typedef struct EventsHeld EventsHeld;
typedef struct RpcSasl RpcSasl;

typedef struct Client {
    Server *server;
    RpcConn *conn;       /* borrowed: the connection owns us */
    bool open;           /* CONNECT_OPEN succeeded */
    gint gone;           /* atomic: the connection has ended */
    char *uri;           /* as opened: "qemu:///system" */
    struct AccessProfile *profile; /* access.c's */
    struct PolkitAsk *auth_ask;    /* auth_polkit.c's: AUTH_POLKIT under way */
    EventsHeld *held;              /* events_held.c's */
    GQueue regs;                   /* events.c's */
    RpcSasl *sasl;       /* the exchange under way; whose call has sasl_busy */
    gint sasl_busy;      /* atomic bool; stays set when the exchange is over */
    GQueue calls;        /* Call*: under way, for cancelling when the connection goes */
} Client;
