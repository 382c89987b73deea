/* rpc/tls_internal.h - what tls.c, tls_handshake.c, tls_peer.c and transport_tls.c share
 */
#pragma once

#include <gnutls/gnutls.h>

#include "rpc/internal.h"
#include "rpc/tls.h"

#define TLS_RECORD_MAX 16384u                   /* payload */
#define TLS_RECORD_WIRE (TLS_RECORD_MAX + 2048u) /* what TLS 1.2 lets a record grow to */
#define TLS_SCRATCH     65536u
#define TLS_PORTERS_MAX 4

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

struct RpcTls {
    int refs; /* atomic: owner, sweeps that are posted, transports */
    EventLoop *loop;
    EventLoop *porters[TLS_PORTERS_MAX]; /* NULL: not needed yet */
    unsigned n_porters, next_porter;     /* event thread */
    bool ended;     /* there are no porters any more */
    uint8_t *scratch, *record; /* event thread: TLS_SCRATCH and TLS_RECORD_MAX bytes, used within one function; NULL: nothing was loaded yet */
    Mutex lock;     /* leaf: creds */
    TlsCreds *creds;
    GQueue open;    /* event thread: TlsTransport that have shaken hands, through their `link` */
};

typedef enum { TLS_NEW, TLS_SHAKING, TLS_SHAKEN, TLS_OPEN, TLS_REFUSED } TlsState;

/* While SHAKING all but the first block, which is the event thread's always, is the porter's. */
typedef struct TlsTransport {
    RpcTransport t;
    RpcTls *tls;
    RpcConn *conn;     /* NULL: gone while a porter had this */
    TlsState state;
    EventLoop *porter; /* NULL: had none yet */
    GList link;        /* in tls->open */

    TlsCreds *creds;   /* ref */
    gnutls_session_t session;
    GByteArray *in;    /* read from the socket, not by gnutls; NULL: nothing */
    size_t in_at;      /* what of it gnutls has taken */
    size_t in_ready;   /* handshake: end of the last whole record */
    GByteArray *out;   /* made by gnutls, not taken by the socket; NULL: nothing */
    size_t out_at;
    bool broken;       /* the session is of no use any more */
    bool read_over;    /* the next read tells read_error: */
    int read_error;    /* negative errno, or 0 for the end */
    TlsPeer peer;

    /* of the handshake */
    EventIo *io;
    int left_fd;       /* the socket, when the connection has left it to us; set before the porter is told */
    bool done;         /* no further step */
    bool refused;      /* and it ended badly: `why` */
    bool turned_away;  /* because of who it is */
    bool over;         /* told the event thread */
    int result;
    char *why;
} TlsTransport;

/* tls.c */
RpcTls *tls_ref(RpcTls *tls);
void tls_unref(RpcTls *tls);
/* A ref to what is loaded; NULL: nothing. */
TlsCreds *tls_creds_now(RpcTls *tls);
/* Event thread: a porter for one more stranger. */
EventLoop *tls_porter(RpcTls *tls);

/* tls_peer.c */
/* After a handshake: may this peer come in?  0, or -1 with *ret_alert to send and *ret_why to log (caller frees). */
int tls_peer_verify(gnutls_session_t s, const TlsCreds *creds, TlsPeer *ret, gnutls_alert_description_t *ret_alert, char **ret_why);
/* Would these credentials let a peer in that others did?  NULL, or why not (static). */
const char *tls_peer_refused(const TlsPeer *p, const TlsCreds *creds);
void tls_peer_done(TlsPeer *p);

/* tls_handshake.c; posted to the porter, arg is the TlsTransport */
void tls_porter_begin(void *arg);
/* The connection is gone.  Frees the transport, now or when its result comes back. */
void tls_porter_abandon(void *arg);

/* transport_tls.c */
/* Posted to the event thread: the handshake is over. */
void tls_shaken(void *transport);
void tls_transport_dispose(void *transport);
/* Lets a new session read and write by this transport's buffers. */
void tls_plug(TlsTransport *t);
size_t tls_in_left(const TlsTransport *t);
void tls_in_drop(TlsTransport *t);
/* Reads the socket behind what is in `in`, by way of `scratch`: bytes, 0 at its end, negative errno. */
ssize_t tls_in_fill(TlsTransport *t, uint8_t *scratch, size_t room);
/* Writes what is in `out`: 0 all gone, -EAGAIN or negative errno. */
int tls_out_send(TlsTransport *t);
/* Ends the sessions the present credentials would not let in. */
void tls_transports_sweep(RpcTls *tls);
