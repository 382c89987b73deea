/* rpc/sasl.h - one SASL exchange of a connection, and the protection that came out of it
 *
 *   NEW -> rpc_sasl_mechs -> LISTED -> rpc_sasl_start -> (rpc_sasl_step)* -> DONE: user, strength, rpc_transport_sasl
 *                                            `-> FAILED, from anywhere and for good
 *
 * Threads: one at a time.  Everything up to DONE may wait for files, name servers, saslauthd or a KDC: never on an event thread.
 */
#pragma once

#include "rpc/forward.h"
#include "util/err.h"

typedef struct RpcSasl RpcSasl;

#define RPC_SASL_DATA_MAX  65536u /* of one token, as the protocol allows */
#define RPC_SASL_STEPS_MAX 16u    /* no mechanism needs more than a few */

typedef struct RpcSaslOpts {
    const char *remote;    /* "address;port" of a TCP peer, or NULL */
    unsigned tls_bits;     /* strength of the encryption there is already */
    unsigned min_ssf;      /* least strength SASL itself must give; 0: it gives none */
    bool plaintext;        /* passwords may be sent as they are */
} RpcSaslOpts;

/* Loads the mechanisms and libvirt.conf of SASL's configuration directory, once; the first exchange does it where nobody did before. */
int rpc_sasl_init(Err *err);
/* When no exchange is left.  Fine without rpc_sasl_init. */
void rpc_sasl_done(void);

/* NULL with Err. */
RpcSasl *rpc_sasl_new(const RpcSaslOpts *opts, Err *err);
/* NULL is fine; returns NULL. */
RpcSasl *rpc_sasl_free(RpcSasl *s);
/* Mechanisms that may be used, joined with commas; caller frees.  None at all is an error. */
char *rpc_sasl_mechs(RpcSasl *s, Err *err);

typedef enum {
    RPC_SASL_FAILED = -1,
    RPC_SASL_CONTINUE = 0,
    RPC_SASL_DONE = 1,
} RpcSaslResult;

/* First message of the client (NULL: none, which is not the same as an empty one), by a mechanism of the list.  The answer (may be NULL) is
 * valid until the next call.  Errors are for the log: they tell more than the client may know. */
RpcSaslResult rpc_sasl_start(RpcSasl *s, const char *mech, const char *in, size_t len, const char **out, size_t *out_len, Err *err);
/* The next ones. */
RpcSaslResult rpc_sasl_step(RpcSasl *s, const char *in, size_t len, const char **out, size_t *out_len, Err *err);

/* What was chosen, once it was; NULL before. */
const char *rpc_sasl_mech(const RpcSasl *s);
/* Once DONE: who it is, and bits of encryption that all further bytes go through (0: they stay as they are). */
const char *rpc_sasl_user(const RpcSasl *s);
unsigned rpc_sasl_ssf(const RpcSasl *s);

/* ---- the security layer (transport_sasl.c) ---- */

/* Of a DONE exchange with a strength above 0; takes it.  To be put in place by rpc_reply_switch_transport(). */
RpcTransport *rpc_transport_sasl(RpcSasl *s);
/* For the transport: most bytes one encode takes, and the library's two ways; 0 or -1.  *out is the library's until the next call. */
size_t rpc_sasl_encode_max(const RpcSasl *s);
int rpc_sasl_encode(RpcSasl *s, const char *in, size_t len, const char **out, size_t *out_len);
int rpc_sasl_decode(RpcSasl *s, const char *in, size_t len, const char **out, size_t *out_len);
