/* rpc/sasl.c - one SASL exchange of a connection
 *
 * Owns:    the library's object, the order of its calls, which mechanisms and strengths are good enough; not who may come in (the daemon)
 * Threads: one at a time an exchange; exchanges side by side
 * Locks:   the library's own, by sasl_set_mutex
 * Errors:  Err, for the log only
 *
 * Theory of operation.  The library answers every kind of failure differently; here they all end in FAILED, from which nothing leads on.  What
 * a peer sends is bounded before the library sees it: the mechanism must be one that was offered, tokens and steps have their maximum.
 * Where the library's answer would tell that there is no such user, the peer gets a challenge like any other, and fails with its answer.
 */
#include "config.h"

#include <pthread.h>
#include <sasl/sasl.h>
#include <stdlib.h>
#include <string.h>

#define LOG_AREA "rpc.sasl"
#define ERR_FROM VIR_FROM_RPC

#include "rpc/sasl.h"
#include "rpc/sasl_decoy.h"
#include "util/log.h"
#include "util/pool.h"

#define SERVICE     "libvirt"
#define SSF_MAX     65535u  /* as strong as the two can agree on */
#define LAYER_BYTES 65536u  /* longest token of the security layer we take */
#define USER_MAX    1024u

typedef enum {
    STATE_NEW,
    STATE_LISTED,
    STATE_STARTED,
    STATE_DONE,
    STATE_FAILED,
} State;

struct RpcSasl {
    sasl_conn_t *conn;
    State state;
    unsigned min_ssf, ssf, steps;
    size_t encode_max;
    char *mechs; /* offered, joined with commas */
    char *mech;
    char *user;
    char *decoy; /* a challenge that leads nowhere: there is no such user */
};

/* ---- the library ---- */

static void *lock_new(void)
{
    pthread_mutex_t *m = g_new0(pthread_mutex_t, 1);
    pthread_mutex_init(m, NULL);
    return m;
}

static int lock_take(void *m)
{
    pthread_mutex_lock(m);
    return SASL_OK;
}

static int lock_give(void *m)
{
    pthread_mutex_unlock(m);
    return SASL_OK;
}

static void lock_free(void *m)
{
    pthread_mutex_destroy(m);
    g_free(m);
}

static pthread_mutex_t load_lock = PTHREAD_MUTEX_INITIALIZER;
static bool loaded;   /* under load_lock: rpc_sasl_init has succeeded */
static Pool *ends;    /* there while `loaded` */
static bool starting; /* the same: it runs, and what plugins nobody asked for lack is no news */

/* Levels beyond these hold passwords. */
static int on_log(void *context, int level, const char *text)
{
    if (!text)
        return SASL_OK;
    if (level == SASL_LOG_ERR && !starting)
        log_warning("%s", text);
    else if (level == SASL_LOG_ERR || level == SASL_LOG_FAIL || level == SASL_LOG_WARN)
        log_info("%s", text);
    else if (level == SASL_LOG_NOTE)
        log_debug("%s", text);
    return SASL_OK;
}

/* Under load_lock. */
static int load(Err *err)
{
    /* the type of a callback depends on its number */
    static const sasl_callback_t callbacks[] = {{SASL_CB_LOG, (int (*)(void))(void (*)(void))on_log, NULL},
                                                {SASL_CB_LIST_END, NULL, NULL}};
    sasl_set_mutex(lock_new, lock_take, lock_give, lock_free);
    starting = true;
    int r = sasl_server_init(callbacks, SERVICE);
    starting = false;
    if (r != SASL_OK) {
        err_set(err, VIR_ERR_AUTH_FAILED, "the SASL library cannot be used: %s", sasl_errstring(r, NULL, NULL));
        return err_hint(err, "look at libvirt.conf in /etc/sasl2, or set the auth_* keys that say \"sasl\" to something else");
    }
    ends = pool_new(&(PoolLimits){.cap = {[LANE_FAST] = 1, [LANE_NORMAL] = 1, [LANE_LONG] = 1}, .max_threads = 1, .idle_ms = 5000});
    loaded = true;
    return 0;
}

int rpc_sasl_init(Err *err)
{
    pthread_mutex_lock(&load_lock);
    int r = loaded ? 0 : load(err);
    pthread_mutex_unlock(&load_lock);
    return r;
}

void rpc_sasl_done(void)
{
    pthread_mutex_lock(&load_lock);
    if (loaded) {
        pool_free(g_steal_pointer(&ends));
        sasl_server_done();
        loaded = false;
    }
    pthread_mutex_unlock(&load_lock);
}

/* ---- an exchange ---- */

/* The host's name as the library has it is the realm of names without one, and in the principal of its key. */
static int fail(RpcSasl *s, const char *what, int r, Err *err)
{
    const void *host = NULL;
    s->state = STATE_FAILED;
    if (sasl_getprop(s->conn, SASL_SERVERFQDN, &host) != SASL_OK)
        host = NULL;
    return err_set(err, VIR_ERR_AUTH_FAILED, "%s: %.512s (%d) on host %.255s", what, sasl_errdetail(s->conn), r, host ? (const char *)host : "?");
}

static int misuse(RpcSasl *s, const char *what, Err *err)
{
    s->state = STATE_FAILED;
    return err_set(err, VIR_ERR_AUTH_FAILED, "%s", what);
}

static int set_props(RpcSasl *s, const RpcSaslOpts *o, Err *err)
{
    const sasl_security_properties_t props = {
        .min_ssf = o->min_ssf,
        .max_ssf = o->min_ssf ? SSF_MAX : 0,
        .maxbufsize = LAYER_BYTES,
        .security_flags = SASL_SEC_NOANONYMOUS | (o->plaintext ? 0 : SASL_SEC_NOPLAINTEXT),
    };
    const sasl_ssf_t external = o->tls_bits;
    int r = external ? sasl_setprop(s->conn, SASL_SSF_EXTERNAL, &external) : SASL_OK;
    if (r == SASL_OK)
        r = sasl_setprop(s->conn, SASL_SEC_PROPS, &props);
    return r == SASL_OK ? 0 : fail(s, "cannot set the strength wanted", r, err);
}

RpcSasl *rpc_sasl_new(const RpcSaslOpts *opts, Err *err)
{
    if (rpc_sasl_init(err) < 0)
        return NULL;
    RpcSasl *s = g_new0(RpcSasl, 1);
    s->min_ssf = opts->min_ssf;
    /* the library reads numeric addresses with a port only; a zone ("fe80::1%eth0") is beyond it */
    const char *port = opts->remote ? strchr(opts->remote, ';') : NULL;
    const char *remote = port && g_ascii_isdigit(port[1]) && !strchr(opts->remote, '%') ? opts->remote : NULL;
    int r = sasl_server_new(SERVICE, NULL, NULL, NULL, remote, NULL, SASL_SUCCESS_DATA, &s->conn);
    if (r != SASL_OK) {
        s->conn = NULL;
        err_set(err, VIR_ERR_AUTH_FAILED, "cannot begin a SASL exchange: %s", sasl_errstring(r, NULL, NULL));
        return rpc_sasl_free(s);
    }
    return set_props(s, opts, err) < 0 ? rpc_sasl_free(s) : s;
}

static void dispose(void *arg)
{
    RpcSasl *s = arg;
    if (s->conn)
        sasl_dispose(&s->conn);
    g_free(s->mechs);
    g_free(s->mech);
    g_free(s->user);
    g_free(s->decoy);
    g_free(s);
}

/* With DIGEST-MD5 a session is an OpenSSL of its own, whose end takes a millisecond: not on the event thread. */
RpcSasl *rpc_sasl_free(RpcSasl *s)
{
    if (s && ends)
        pool_submit(ends, LANE_LONG, dispose, s);
    else if (s)
        dispose(s);
    return NULL;
}

char *rpc_sasl_mechs(RpcSasl *s, Err *err)
{
    const char *list = NULL;
    if (s->state != STATE_NEW) {
        misuse(s, "asked for the mechanisms again", err);
        return NULL;
    }
    int r = sasl_listmech(s->conn, NULL, "", ",", "", &list, NULL, NULL);
    if (r != SASL_OK || !list || !*list) {
        if (s->min_ssf)
            misuse(s, "no mechanism that encrypts is there", err);
        else
            fail(s, "no mechanism is there", r, err);
        err_hint(err, "see mech_list in libvirt.conf of /etc/sasl2; packages libsasl2-modules and libsasl2-modules-gssapi-mit have mechanisms");
        return NULL;
    }
    s->mechs = g_strdup(list);
    s->state = STATE_LISTED;
    return g_strdup(list);
}

static bool was_offered(const RpcSasl *s, const char *mech)
{
    size_t len = strlen(mech);
    if (len == 0 || strchr(mech, ','))
        return false;
    for (const char *p = s->mechs; p; p = strchr(p, ',')) {
        p += *p == ',';
        if (strncmp(p, mech, len) == 0 && (p[len] == ',' || !p[len]))
            return true;
    }
    return false;
}

static bool is_good_name(const char *user)
{
    if (!user || !*user || strlen(user) > USER_MAX || !g_utf8_validate(user, -1, NULL))
        return false;
    for (const char *p = user; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            return false;
    return true;
}

/* The library is satisfied: are we? */
static int conclude(RpcSasl *s, Err *err)
{
    const void *user = NULL, *ssf = NULL, *max = NULL;
    int r = sasl_getprop(s->conn, SASL_USERNAME, &user);
    if (r == SASL_OK)
        r = sasl_getprop(s->conn, SASL_SSF, &ssf);
    if (r == SASL_OK)
        r = sasl_getprop(s->conn, SASL_MAXOUTBUF, &max);
    if (r != SASL_OK || !ssf)
        return fail(s, "what was agreed cannot be found out", r, err);
    if (!is_good_name(user))
        return misuse(s, "the user's name is none", err);
    s->ssf = *(const sasl_ssf_t *)ssf;
    if (s->ssf < s->min_ssf)
        return misuse(s, "the encryption agreed on is too weak", err);
    s->encode_max = max ? MIN(*(const unsigned *)max, LAYER_BYTES) : 0;
    if (s->ssf > 0 && s->encode_max == 0)
        return misuse(s, "the encryption agreed on leaves no room for data", err);
    s->user = g_strdup(user);
    s->state = STATE_DONE;
    return 0;
}

static RpcSaslResult settle(RpcSasl *s, int r, const char **out, size_t *out_len, unsigned len, Err *err)
{
    if (r != SASL_OK && r != SASL_CONTINUE)
        return fail(s, s->mech, r, err);
    if (*out && len > RPC_SASL_DATA_MAX)
        return misuse(s, "the answer is longer than the protocol allows", err);
    *out_len = *out ? len : 0;
    if (r == SASL_CONTINUE)
        return RPC_SASL_CONTINUE;
    return conclude(s, err) < 0 ? RPC_SASL_FAILED : RPC_SASL_DONE;
}

RpcSaslResult rpc_sasl_start(RpcSasl *s, const char *mech, const char *in, size_t len, const char **out, size_t *out_len, Err *err)
{
    unsigned n = 0;
    *out = NULL;
    *out_len = 0;
    if (s->state != STATE_LISTED)
        return misuse(s, "started out of turn", err);
    if (!was_offered(s, mech))
        return misuse(s, "asked for a mechanism that was not offered", err);
    if (len > RPC_SASL_DATA_MAX)
        return misuse(s, "a token longer than the protocol allows", err);
    s->mech = g_strdup(mech);
    s->state = STATE_STARTED;
    int r = sasl_server_start(s->conn, mech, in, (unsigned)len, out, &n);
    if (r == SASL_NOUSER && in && (s->decoy = rpc_sasl_decoy(mech, in, len))) {
        *out = s->decoy;
        *out_len = strlen(s->decoy);
        return RPC_SASL_CONTINUE;
    }
    if (r == SASL_CONTINUE && *out && g_str_has_prefix(mech, "SCRAM-"))
        rpc_sasl_decoy_learn(*out, n);
    return settle(s, r, out, out_len, n, err);
}

RpcSaslResult rpc_sasl_step(RpcSasl *s, const char *in, size_t len, const char **out, size_t *out_len, Err *err)
{
    unsigned n = 0;
    *out = NULL;
    *out_len = 0;
    if (s->state != STATE_STARTED)
        return misuse(s, "a step out of turn", err);
    if (++s->steps > RPC_SASL_STEPS_MAX)
        return misuse(s, "too many steps", err);
    if (len > RPC_SASL_DATA_MAX)
        return misuse(s, "a token longer than the protocol allows", err);
    if (s->decoy)
        return fail(s, s->mech, SASL_NOUSER, err);
    int r = sasl_server_step(s->conn, in, (unsigned)len, out, &n);
    return settle(s, r, out, out_len, n, err);
}

const char *rpc_sasl_mech(const RpcSasl *s)
{
    return s->mech;
}

const char *rpc_sasl_user(const RpcSasl *s)
{
    return s->state == STATE_DONE ? s->user : NULL;
}

unsigned rpc_sasl_ssf(const RpcSasl *s)
{
    return s->state == STATE_DONE ? s->ssf : 0;
}

/* ---- the security layer ---- */

size_t rpc_sasl_encode_max(const RpcSasl *s)
{
    return s->encode_max;
}

int rpc_sasl_encode(RpcSasl *s, const char *in, size_t len, const char **out, size_t *out_len)
{
    unsigned n = 0;
    *out = NULL;
    int r = sasl_encode(s->conn, in, (unsigned)len, out, &n);
    *out_len = n;
    return r == SASL_OK ? 0 : -1;
}

int rpc_sasl_decode(RpcSasl *s, const char *in, size_t len, const char **out, size_t *out_len)
{
    unsigned n = 0;
    *out = NULL;
    int r = sasl_decode(s->conn, in, (unsigned)len, out, &n);
    *out_len = *out ? n : 0;
    return r == SASL_OK ? 0 : -1;
}
