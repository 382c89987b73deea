/* rpc/conn.h - one client connection
 *
 * State            | bytes read        | calls reach the service | left by
 * HANDSHAKE        | transport only    | no                      | transport ready -> AUTH or OPEN; deadline, failure -> CLOSED
 * AUTH             | small packets     | yes (gate: AUTH_* only) | rpc_conn_authenticated -> OPEN; deadline -> CLOSED
 * OPEN             | all               | yes                     | close, flush request -> CLOSING or CLOSED
 * CLOSING          | no                | no                      | all answered and sent, or deadline -> CLOSED
 * CLOSED           | no                | no                      | -
 *
 * Threads: a connection lives on the client event thread.  Functions marked "any thread" post there; the fields read by the getters
 *          are set before opened() and never change, or are atomic.
 * Locks:   lock (leaf): who may write to the socket (conn_write.c), the reason of the end.
 */
#pragma once

#include "event/event.h"
#include "rpc/forward.h"
#include "rpc/peer.h"

typedef enum {
    RPC_CONN_HANDSHAKE,
    RPC_CONN_AUTH,
    RPC_CONN_OPEN,
    RPC_CONN_CLOSING,
    RPC_CONN_CLOSED,
    RPC_CONN_STATE_MAX,
} RpcConnState;

extern const char *const rpc_conn_state_names[RPC_CONN_STATE_MAX];

typedef enum {
    RPC_KIND_UNIX,
    RPC_KIND_TCP,
    RPC_KIND_TLS,
    RPC_KIND_MAX,
} RpcKind;

extern const char *const rpc_kind_names[RPC_KIND_MAX];

RpcConn *rpc_conn_ref(RpcConn *c);
/* Returns NULL.  Any thread. */
RpcConn *rpc_conn_unref(RpcConn *c);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(RpcConn, rpc_conn_unref)

/* Event thread: asks the kernel for the start time of a local peer's process, unless it is known (rpc/peer.h). */
void rpc_conn_find_start(RpcConn *c);

/* ---- any thread ---- */
uint64_t rpc_conn_id(const RpcConn *c);               /* from 1, never reused */
const RpcPeer *rpc_conn_peer(const RpcConn *c);       /* as long as the ref; sasl_user, x509_dname: only after authentication */
const RpcListener *rpc_conn_listener(const RpcConn *c);
RpcKind rpc_conn_kind(const RpcConn *c);
int64_t rpc_conn_connected_at(const RpcConn *c);      /* seconds since the epoch */
RpcConnState rpc_conn_state(const RpcConn *c);
bool rpc_conn_is_alive(const RpcConn *c);             /* state below CLOSING */
/* From the listener; set for good by CONNECT_OPEN's flag. */
bool rpc_conn_read_only(const RpcConn *c);
void rpc_conn_set_read_only(RpcConn *c);
/* Text for logs: "client 7 (uid 0 pid 123)", with what TLS and SASL said once they have.  Valid as long as the ref. */
const char *rpc_conn_name(const RpcConn *c);
EventLoop *rpc_conn_loop(const RpcConn *c);
/* Marks the peer authenticated: full limits from here on, no longer anonymous. */
void rpc_conn_authenticated(RpcConn *c);
/* Our own pings from here on (the client asked feature 10); a second call changes nothing. */
void rpc_conn_keepalive_start(RpcConn *c);
/* Closes at once; `reason` goes to the log and to closed().  The first reason wins. */
void rpc_conn_close(RpcConn *c, const char *reason_fmt, ...) PRINTF_LIKE(2, 3);
/* Stops reading, lets the calls taken be answered and sends what is queued, for some seconds at most, then closes. */
void rpc_conn_close_after_flush(RpcConn *c, const char *reason_fmt, ...) PRINTF_LIKE(2, 3);

/* ---- userdata of the service: set in opened(), read by anyone with a ref, freed by closed() or `free_fn` at the last unref ---- */
void rpc_conn_set_userdata(RpcConn *c, void *ud, void (*free_fn)(void *ud));
void *rpc_conn_userdata(const RpcConn *c);

/* ---- event thread ---- */
typedef struct RpcConnStats {
    uint64_t calls, bytes_in, bytes_out; /* since accept */
    size_t queued_bytes;
    unsigned in_flight, streams;
} RpcConnStats;

void rpc_conn_stats(const RpcConn *c, RpcConnStats *ret);
