/* daemon/client.h - what the daemon keeps of one connection
 *
 * Made when the connection is accepted, freed with its last reference (the connection's userdata).  `open` and the
 * list of calls belong to the client event thread; the rest is set by CONNECT_OPEN before any other call is let through.
 */
#pragma once

#include "daemon/server.h"

typedef struct Call Call;

typedef struct Client {
    Server *server;
    RpcConn *conn;       /* borrowed: the connection owns us */
    bool open;           /* CONNECT_OPEN succeeded */
    gint gone;           /* atomic: the connection has ended */
    char *uri;           /* as opened: "qemu:///system" */
    GQueue calls;        /* Call*: under way, for cancelling when the connection goes */
} Client;
