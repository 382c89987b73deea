/* rpc/auth.h - where TLS, SASL and polkit plug in
 *
 * A listener names its authentication.  The path of a connection:
 *
 *   accept -> HANDSHAKE (transport->handshake; nothing to do on plain sockets)
 *          -> AUTH      (method other than none: packets are small, only AUTH_* calls pass the gate, a deadline runs, the client is
 *                        "anonymous" and counts against max_anonymous_clients)
 *          -> OPEN      (rpc_conn_authenticated)
 *
 * RPC_AUTH_NONE goes from HANDSHAKE straight to OPEN.
 *
 * Who does what:
 * - TLS: the listener's make_transport returns the wrapped transport; its handshake() checks the certificate, sets peer.x509_dname and
 *   sends the confirming byte; failure closes with a reason.
 * - polkit: the gate answers AUTH_POLKIT after asking polkit asynchronously on the event thread, then rpc_conn_authenticated.
 * - SASL: the gate answers AUTH_SASL_*, then rpc_conn_set_sasl_user and rpc_conn_authenticated; with a security layer it gives the
 *   wrapping transport to rpc_reply_switch_transport, which puts it in place once the final (still plain) reply has left.
 *
 * Threads: event thread, except where marked.
 */
#pragma once

#include "rpc/conn.h"
#include "rpc/msg.h"
#include "rpc/transport.h"

/* Values as AUTH_LIST sends them. */
typedef enum {
    RPC_AUTH_NONE = 0,
    RPC_AUTH_SASL = 1,
    RPC_AUTH_POLKIT = 2,
    RPC_AUTH_MAX,
} RpcAuthMethod;

extern const char *const rpc_auth_names[RPC_AUTH_MAX];

/* Method asked of this connection (from its listener).  Any thread. */
RpcAuthMethod rpc_conn_auth_method(const RpcConn *c);
/* True once the peer is authenticated (at accept for RPC_AUTH_NONE).  Any thread. */
bool rpc_conn_is_authenticated(const RpcConn *c);
/* Records the identity; before rpc_conn_authenticated.  Copied. */
void rpc_conn_set_sasl_user(RpcConn *c, const char *user);
void rpc_conn_set_x509_dname(RpcConn *c, const char *dname);
/* Strength of the TLS session, before rpc_conn_authenticated: SASL needs no encryption of its own then. */
void rpc_conn_set_tls_bits(RpcConn *c, unsigned bits);
/* As rpc_reply, and from the byte after this reply on the connection reads and writes through `next` (owned): when the reply has left,
 * next->ops->adopt gets the present transport.  Until then nothing is read, and a peer that sent more before it had the reply is
 * disconnected: such bytes may be anybody's.  Event thread only. */
int rpc_reply_switch_transport(RpcMsg *call, xdrproc_t filter, const void *ret, RpcTransport *next, Err *err);
/* The transport in use. */
RpcTransport *rpc_conn_transport(RpcConn *c);
