/* rpc/tls.h - TLS: what a listener's clients are let in by, and their transports
 *
 * One RpcTls a daemon.  rpc_tls_load reads certificates, key and lists; loaded again it serves new handshakes with the new ones, and ends the
 * sessions of clients whom the new ones would not let in: those with a revoked certificate or a name that is not allowed any more.
 * A failed load changes nothing.
 */
#pragma once

#include "event/event.h"
#include "rpc/forward.h"
#include "util/err.h"

typedef struct RpcTls RpcTls;

typedef struct RpcTlsConfig {
    const char *ca_file, *cert_file, *key_file;
    const char *crl_file;            /* NULL: none */
    bool crl_optional;               /* a missing crl_file is fine */
    bool no_sanity;                  /* tls_no_sanity_certificate: our own certificate is used as it is */
    bool no_verify;                  /* tls_no_verify_certificate: clients need no certificate; nothing is known of those who come so */
    const char *const *allowed_dns;  /* patterns; NULL: all names */
    const char *priority;            /* GnuTLS priority string; NULL: TLS 1.2 and 1.3 of GnuTLS's NORMAL */
} RpcTlsConfig;

/* Nothing is loaded yet.  `loop` is that of the server; it outlives rpc_tls_free. */
RpcTls *rpc_tls_new(EventLoop *loop);
/* Reads and checks the files, then uses them.  Any thread that may read files; waits for nothing else.  0 or -1. */
int rpc_tls_load(RpcTls *tls, const RpcTlsConfig *config, Err *err);
/* RpcListenerSpec.make_transport; `ud` is the RpcTls. */
RpcTransport *rpc_tls_transport(void *ud, RpcConn *c, int fd, Err *err);
/* Waits for handshake steps that run.  After the server's connections are gone; on the loop's thread or after it ended, never beside it.
 * NULL is fine. */
void rpc_tls_free(RpcTls *tls);

/* Event thread.  Strength in bits of what encrypts this transport: what SASL is told as external SSF.  0: it is no TLS transport, or one
 * that has not shaken hands. */
unsigned rpc_transport_tls_bits(const RpcTransport *t);
/* Event thread.  "TLS1.3 AES-256-GCM" for logs and administration; NULL as above.  Caller frees. */
char *rpc_transport_tls_describe(const RpcTransport *t);
