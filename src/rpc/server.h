/* rpc/server.h - listeners, connections, limits, and the service behind them
 *
 * One server is what one set of clients sees: the main sockets, or the admin socket.  It knows no procedure: packets of a known
 * program that are calls go to the service.
 *
 * Threads: everything on the client event thread (or before that loop runs); callbacks of the service too, and they must not block.
 */
#pragma once

#include "event/event.h"
#include "rpc/auth.h"
#include "rpc/conn.h"
#include "rpc/forward.h"
#include "rpc/msg.h"
#include "util/err.h"

typedef struct RpcService {
    void *ud;
    /* Is this program served?  Otherwise the caller gets "unknown program". */
    bool (*known_program)(void *ud, RpcConn *c, uint32_t prog, uint32_t vers);
    /* A call (type 0 or 4, status 0) of a known program; `call` is the callee's: answer it, on any thread, and free it.  Checks of
     * state (authenticated, opened, read-only) are the service's. */
    void (*call)(void *ud, RpcMsg *call);
    /* A connection was accepted / is gone (after its streams ended; calls still running see !rpc_conn_is_alive).  May be NULL. */
    void (*opened)(void *ud, RpcConn *c);
    void (*closed)(void *ud, RpcConn *c, const char *reason);
} RpcService;

typedef struct RpcLimits {
    unsigned max_clients;           /* beyond: accept pauses until one leaves */
    unsigned max_anonymous_clients; /* not yet authenticated, on local sockets and on the network each; beyond: on the network accept
                                     * pauses until one leaves or has had its time, local users share them; 0: no limit of their own */
    unsigned max_client_requests;   /* calls and stream packets of one client under way; beyond: its socket is not read */
    size_t max_queue_bytes;         /* unsent bytes of one client; beyond: it is disconnected */
    unsigned stall_timeout_ms;      /* disconnected when so long nothing was read while more than RPC_STALL_BYTES wait, or nothing was
                                     * sent of a packet more than RPC_STALL_BYTES of which are here; 0: never */
    unsigned handshake_timeout_ms;  /* accept to a transport that is ready; 0: none */
    unsigned auth_timeout_ms;       /* from there to authenticated; 0: none */
    int keepalive_interval;         /* seconds; <= 0: never ping */
    unsigned keepalive_count;       /* unanswered pings before the connection is closed */
} RpcLimits;

/* What a stopped client may hold without limit of time: a console whose terminal was suspended has one data packet queued. */
#define RPC_STALL_BYTES (1u << 20)

/* libvirtd's defaults. */
#define RPC_LIMITS_DEFAULT \
    ((RpcLimits){.max_clients = 5000, \
                 .max_anonymous_clients = 20, \
                 .max_client_requests = 5, \
                 .max_queue_bytes = 32u << 20, \
                 .stall_timeout_ms = 60000, \
                 .handshake_timeout_ms = 10000, \
                 .auth_timeout_ms = 60000, \
                 .keepalive_interval = 5, \
                 .keepalive_count = 5})

typedef struct RpcListenerSpec {
    const char *name; /* for logs: path or address; copied */
    RpcKind kind;
    bool read_only;
    RpcAuthMethod auth;
    /* Makes the transport of an accepted socket; NULL: plain.  A failure closes the connection. */
    RpcTransport *(*make_transport)(void *ud, RpcConn *c, int fd, Err *err);
    void *ud;
} RpcListenerSpec;

/* `service` and what it points to live until rpc_server_free. */
RpcServer *rpc_server_new(EventLoop *loop, const char *name, const RpcLimits *limits, const RpcService *service);
/* Adopts a listening socket (moved, also on failure); made non-blocking.  0 or -1. */
int rpc_server_listen(RpcServer *s, int fd, const RpcListenerSpec *spec, Err *err);
/* Adopts a connected socket as if accepted by a listener of `spec` (moved).  Borrowed result, or NULL. */
RpcConn *rpc_server_adopt(RpcServer *s, int fd, const RpcListenerSpec *spec, Err *err);
/* New limits; connections that exist keep running. */
void rpc_server_set_limits(RpcServer *s, const RpcLimits *limits);
const RpcLimits *rpc_server_limits(const RpcServer *s);
/* As given to rpc_server_new. */
const char *rpc_server_name(const RpcServer *s);
unsigned rpc_server_n_clients(const RpcServer *s);
unsigned rpc_server_n_anonymous(const RpcServer *s);
/* Connections that are not closed; fn must not close any. */
void rpc_server_foreach(RpcServer *s, void (*fn)(RpcConn *c, void *arg), void *arg);
/* NULL when there is none (any more).  A ref is taken. */
RpcConn *rpc_server_find(RpcServer *s, uint64_t id);
/* Closes listeners and every connection with `reason`. */
void rpc_server_stop(RpcServer *s, const char *reason);
/* Stops if need be and gives up the caller's ref.  Calls still held by workers keep what they need; their loop must outlive them. */
void rpc_server_free(RpcServer *s);

/* Of rpc_conn_listener. */
const char *rpc_listener_name(const RpcListener *l);
