/* rpc/tls.c - the credentials TLS handshakes are made with
 *
 * Owns:    loading and replacing them, the threads of handshakes; not the bytes (transport_tls.c) nor who may come in (tls_peer.c)
 * Threads: loading on any that may read files; the rest on the client event thread
 * Locks:   RpcTls.lock (leaf)
 * Errors:  Err: file, field and remedy
 *
 * Keys are in memory only, and only here: what was read of the file is wiped.
 */
#include "config.h"

#include <errno.h>
#include <gnutls/x509.h>
#include <sys/sysinfo.h>
#include <time.h>

#define LOG_AREA "rpc.tls"
#define ERR_FROM VIR_FROM_RPC

#include "rpc/tls_internal.h"
#include "util/cert.h"
#include "util/log.h"

/* Older versions have no place on a new protocol's port; who needs them says so with tls_priority. */
#define DEFAULT_PRIORITY "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"
#define HANDSHAKE_THREADS_MAX 4

typedef struct Loaded {
    CertList ca, chain;
    CrlList crls;
    gnutls_x509_privkey_t key;
} Loaded;

static void loaded_done(Loaded *l)
{
    cert_list_done(&l->ca);
    cert_list_done(&l->chain);
    cert_crls_done(&l->crls);
    gnutls_x509_privkey_deinit(l->key);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Loaded, loaded_done)

TlsCreds *tls_creds_ref(TlsCreds *c)
{
    g_atomic_int_inc(&c->refs);
    return c;
}

TlsCreds *tls_creds_unref(TlsCreds *c)
{
    if (!c || !g_atomic_int_dec_and_test(&c->refs))
        return NULL;
    if (c->cred)
        gnutls_certificate_free_credentials(c->cred);
    if (c->priority)
        gnutls_priority_deinit(c->priority);
    if (c->revoked)
        g_hash_table_unref(c->revoked);
    g_strfreev(c->allowed_dns);
    g_free(c);
    return NULL;
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TlsCreds, tls_creds_unref)

/* ---- loading ---------------------------------------------------------------------------------------------------------------- */

static int read_crls(const RpcTlsConfig *config, CrlList *ret, Err *err)
{
    g_auto(Err) own = ERR_INIT;
    if (!config->crl_file || cert_crls_read(config->crl_file, ret, &own) == 0)
        return 0;
    if (config->crl_optional && own.os_errno == ENOENT)
        return 0;
    err_move(err, &own);
    return -1;
}

static int load_files(const RpcTlsConfig *config, Loaded *l, Err *err)
{
    if (cert_list_read(config->ca_file, &l->ca, err) < 0 || cert_list_read(config->cert_file, &l->chain, err) < 0 ||
        cert_key_read(config->key_file, &l->key, err) < 0)
        return -1;
    return read_crls(config, &l->crls, err);
}

/* The first problem that makes connections fail is the error; the others are in the log. */
static void on_problem(void *ud, bool fatal, const char *file, const char *what, const char *remedy)
{
    Err *err = ud;
    if (!fatal || err_is_set(err)) {
        log_warning("%s: %s; %s", file, what, remedy);
        return;
    }
    err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "%s: %s", file, what);
    err_hint(err, "%s", remedy);
}

static int check(const RpcTlsConfig *config, const Loaded *l, Err *err)
{
    time_t now = time(NULL);
    g_auto(Err) own = ERR_INIT;
    cert_check_key(&l->chain, config->cert_file, l->key, config->key_file, on_problem, &own);
    if (!config->no_sanity) {
        cert_check_list(&l->ca, config->ca_file, CERT_CA, now, on_problem, &own);
        cert_check_list(&l->chain, config->cert_file, CERT_SERVER, now, on_problem, &own);
        cert_check_issuer(&l->chain, config->cert_file, &l->ca, config->ca_file, &l->crls, on_problem, &own);
        cert_check_crls(&l->crls, config->crl_file, &l->ca, config->ca_file, now, on_problem, &own);
    }
    cert_check_key_mode(config->key_file, on_problem, &own);
    if (!err_is_set(&own))
        return 0;
    err_move(err, &own);
    return -1;
}

static int refused(const char *what, int r, Err *err)
{
    return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "%s: %s", what, gnutls_strerror(r));
}

static int make_creds(const RpcTlsConfig *config, const Loaded *l, TlsCreds *c, Err *err)
{
    const char *priority = config->priority ? config->priority : DEFAULT_PRIORITY, *at = NULL;
    int r = gnutls_priority_init(&c->priority, priority, &at);
    if (r < 0) {
        c->priority = NULL;
        return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "tls_priority \"%s\" is not understood from \"%s\" on", priority, at ? at : "");
    }
    r = gnutls_certificate_allocate_credentials(&c->cred);
    if (r < 0)
        return refused("TLS credentials", r, err);
    r = gnutls_certificate_set_x509_trust(c->cred, l->ca.certs, (int)l->ca.n);
    if (r < 0)
        return refused(config->ca_file, r, err);
    r = l->crls.n ? gnutls_certificate_set_x509_crl(c->cred, l->crls.crls, (int)l->crls.n) : 0;
    if (r < 0)
        return refused(config->crl_file, r, err);
    r = gnutls_certificate_set_x509_key(c->cred, l->chain.certs, (int)l->chain.n, l->key);
    if (r < 0)
        return refused(config->cert_file, r, err);
    c->verify = !config->no_verify;
    c->allowed_dns = g_strdupv((char **)(uintptr_t)config->allowed_dns);
    c->revoked = l->crls.n ? cert_revoked_set(&l->crls) : NULL;
    return 0;
}

RpcTls *tls_ref(RpcTls *tls)
{
    g_atomic_int_inc(&tls->refs);
    return tls;
}

void tls_unref(RpcTls *tls)
{
    if (!g_atomic_int_dec_and_test(&tls->refs))
        return;
    tls_creds_unref(tls->creds);
    mutex_done(&tls->lock);
    g_free(tls->scratch);
    g_free(tls->record);
    g_free(tls);
}

static void do_sweep(void *arg)
{
    tls_transports_sweep(arg);
    tls_unref(arg);
}

/* The daemon keeps gnutls from doing this unasked. */
static int library_init(Err *err)
{
    static gsize known; /* 1 + what it said, negated */
    if (g_once_init_enter(&known))
        g_once_init_leave(&known, (gsize)(1 - gnutls_global_init()));
    int r = 1 - (int)known;
    return r < 0 ? err_set(err, VIR_ERR_INTERNAL_ERROR, "gnutls: %s", gnutls_strerror(r)) : 0;
}

/* What connections need, with the first credentials: a daemon without TLS has neither threads nor buffers for it.  Lock held. */
static void make_ready(RpcTls *tls)
{
    if (tls->pool)
        return;
    unsigned threads = (unsigned)CLAMP(get_nprocs() / 2, 1, HANDSHAKE_THREADS_MAX);
    PoolLimits limits = {.cap = {[LANE_FAST] = 1, [LANE_NORMAL] = threads, [LANE_LONG] = 1}, .max_threads = threads + 2, .idle_ms = 5000};
    tls->scratch = g_malloc(TLS_SCRATCH);
    tls->record = g_malloc(TLS_RECORD_MAX);
    tls->pool = pool_new(&limits);
}

int rpc_tls_load(RpcTls *tls, const RpcTlsConfig *config, Err *err)
{
    g_auto(Loaded) l = {0};
    g_autoptr(TlsCreds) c = g_new0(TlsCreds, 1);
    c->refs = 1;
    if (library_init(err) < 0 || load_files(config, &l, err) < 0 || check(config, &l, err) < 0 || make_creds(config, &l, c, err) < 0)
        return -1;
    {
        LOCK_SCOPE(&tls->lock);
        make_ready(tls);
        TlsCreds *old = tls->creds;
        tls->creds = g_steal_pointer(&c);
        c = old; /* given back without the lock */
    }
    if (c) {
        event_post(tls->loop, do_sweep, tls_ref(tls));
    }
    return 0;
}

TlsCreds *tls_creds_now(RpcTls *tls)
{
    LOCK_SCOPE(&tls->lock);
    return tls->creds ? tls_creds_ref(tls->creds) : NULL;
}

/* ---- life ------------------------------------------------------------------------------------------------------------------- */

RpcTls *rpc_tls_new(EventLoop *loop)
{
    RpcTls *tls = g_new0(RpcTls, 1);
    tls->refs = 1;
    tls->loop = loop;
    g_queue_init(&tls->open);
    mutex_init(&tls->lock, LOCK_LEAF, "TLS credentials");
    return tls;
}

void rpc_tls_free(RpcTls *tls)
{
    if (!tls)
        return;
    g_assert(g_queue_is_empty(&tls->open));
    pool_free(g_steal_pointer(&tls->pool));
    tls_unref(tls);
}
