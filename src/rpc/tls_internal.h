/* rpc/tls_internal.h - what tls.c, tls_peer.c and transport_tls.c share
 */
#pragma once

#include <gnutls/gnutls.h>

#include "rpc/internal.h"
#include "rpc/tls.h"
#include "util/pool.h"

/* What one load gave.  Immutable, shared by the sessions that were begun with it. */
typedef struct TlsCreds {
    int refs; /* atomic */
    gnutls_certificate_credentials_t cred;
    gnutls_priority_t priority;
    char **allowed_dns;
    bool verify;
    GHashTable *revoked; /* cert_revoked_set; NULL: no list */
} TlsCreds;

TlsCreds *tls_creds_ref(TlsCreds *c);
TlsCreds *tls_creds_unref(TlsCreds *c);

/* Who the peer is, as far as its certificate was verified. */
typedef struct TlsPeer {
    char *dname;           /* NULL: not verified */
    GPtrArray *identities; /* GBytes of its certificates; NULL: not verified */
} TlsPeer;

typedef struct TlsTransport TlsTransport;

#define TLS_RECORD_MAX 16384u /* payload */
#define TLS_SCRATCH    65536u

struct RpcTls {
    int refs; /* atomic: owner, sweeps that are posted, transports */
    EventLoop *loop;
    Pool *pool;     /* handshake steps, and the end of sessions; NULL: nothing was loaded yet, or all ends */
    uint8_t *scratch, *record; /* event thread: TLS_SCRATCH and TLS_RECORD_MAX bytes, used within one function; there as the pool is */
    Mutex lock;     /* leaf: creds */
    TlsCreds *creds;
    GQueue open;    /* event thread: TlsTransport that have shaken hands, through their `link` */
};

/* tls.c */
RpcTls *tls_ref(RpcTls *tls);
void tls_unref(RpcTls *tls);
/* A ref to what is loaded; NULL: nothing. */
TlsCreds *tls_creds_now(RpcTls *tls);

/* tls_peer.c */
/* After a handshake: may this peer come in?  0, or -1 with *ret_alert to send and *ret_why to log (caller frees). */
int tls_peer_verify(gnutls_session_t s, const TlsCreds *creds, TlsPeer *ret, gnutls_alert_description_t *ret_alert, char **ret_why);
/* Would these credentials let a peer in that others did?  NULL, or why not (static). */
const char *tls_peer_refused(const TlsPeer *p, const TlsCreds *creds);
void tls_peer_done(TlsPeer *p);

/* transport_tls.c */
/* Ends the sessions the present credentials would not let in. */
void tls_transports_sweep(RpcTls *tls);
