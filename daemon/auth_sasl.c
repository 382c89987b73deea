/* daemon/auth_sasl.c - SASL: who a client is, by the mechanisms of cyrus-sasl
 *
 * Owns:    the AUTH_SASL_* procedures, which users may come in, what is logged of it; not the exchange itself (rpc/sasl.h)
 * Threads: handlers on the workers of authentication, because a step may wait for files, saslauthd or a KDC; the end of a good exchange on the
 *          client event thread
 * Locks:   none: Client.sasl_busy says whose the exchange is
 * Errors:  VIR_ERR_AUTH_FAILED with one text whatever the cause; the cause goes to the log
 *
 * Theory of operation.  One exchange a connection, one step of it at a time: a client that sends a second one meanwhile has failed, as has one
 * that does anything else wrong; its connection is closed once it has the answer.  The deadline is the connection's own (auth_timeout): when it
 * passes, the connection closes under the step, whose result then means nothing.
 *
 *   INIT -> mechanisms -> START -> STEP* -> complete: user allowed? -> reply, security layer behind it -> authenticated
 */
#include "config.h"

#define ERR_FROM VIR_FROM_RPC
#define LOG_AREA "daemon.auth"
#include <string.h>

#include "daemon/api.h"
#include "daemon/auth_sasl.h"
#include "daemon/call.h"
#include "rpc/auth.h"
#include "rpc/sasl.h"
#include "util/log.h"

typedef struct SaslToken {
    const char *data;
    size_t len;
} SaslToken;

/* ---- failure --------------------------------------------------------------------------------------------------------------- */

/* Ends the exchange and, when the answer has left, the connection.  -1 with the text every client gets. */
static int refuse(Call *call, const char *mech, const Err *why, Err *err)
{
    g_autofree char *text = why ? err_message(why) : NULL;
    const LogField fields[] = {{"CLIENT", rpc_conn_name(call->conn)}, {"MECHANISM", mech}, {NULL, NULL}};
    log_fields(LOG_LEVEL_WARNING, fields, "%s: SASL authentication%s%s failed: %s", rpc_conn_name(call->conn), mech ? " by " : "",
               mech ? mech : "", text ? text : "a call out of turn");
    if (!call->login)
        call->login = arena_strdup(&call->arena, mech ? mech : "SASL");
    rpc_conn_close_after_flush(call->conn, "SASL authentication failed");
    return err_set(err, VIR_ERR_AUTH_FAILED, "SASL did not accept the credentials");
}

/* Takes the connection's exchange for this call; given back by leave(). */
static int enter(Call *call, Err *err)
{
    RpcConn *c = call->conn;
    if (rpc_conn_is_authenticated(c))
        return err_set(err, VIR_ERR_AUTH_FAILED, "SASL was not asked for");
    if (rpc_conn_auth_method(c) != RPC_AUTH_SASL)
        return refuse(call, NULL, NULL, err);
    if (!rpc_conn_is_alive(c)) /* it waited for a worker: nobody is there any more */
        return err_set(err, VIR_ERR_AUTH_FAILED, "the connection is gone");
    if (!g_atomic_int_compare_and_exchange(&call->client->sasl_busy, 0, 1))
        return refuse(call, NULL, NULL, err);
    return 0;
}

static void leave(Call *call)
{
    g_atomic_int_set(&call->client->sasl_busy, 0);
}

/* ---- the exchange ---------------------------------------------------------------------------------------------------------- */

int api_auth_sasl_init(Call *call, remote_auth_sasl_init_ret *ret, Err *err)
{
    Client *cl = call->client;
    g_auto(Err) why = ERR_INIT;
    if (enter(call, err) < 0)
        return -1;
    const RpcPeer *peer = rpc_conn_peer(call->conn);
    bool bare = rpc_conn_kind(call->conn) == RPC_KIND_TCP;
    const RpcSaslOpts opts = {.remote = peer->address,
                              .tls_bits = peer->tls_bits,
                              .min_ssf = bare ? cl->server->tcp_min_ssf : 0,
                              .plaintext = !bare};
    g_autofree char *mechs = NULL;
    if (!cl->sasl)
        cl->sasl = rpc_sasl_new(&opts, &why);
    if (cl->sasl)
        mechs = rpc_sasl_mechs(cl->sasl, &why);
    if (!mechs)
        return refuse(call, NULL, &why, err); /* the exchange stays taken: there will be no other */
    ret->mechlist = arena_strdup(&call->arena, mechs);
    leave(call);
    return 0;
}

static bool user_is_allowed(const Server *s, const char *user)
{
    if (!s->sasl_users)
        return true;
    for (char **p = s->sasl_users; *p; p++)
        if (g_pattern_match_simple(*p, user))
            return true;
    return false;
}

/* A good exchange; client event thread.  The exchange is still taken. */
static int finish(Call *call, Err *err)
{
    Client *cl = call->client;
    const char *mech = rpc_sasl_mech(cl->sasl), *user = rpc_sasl_user(cl->sasl);
    unsigned ssf = rpc_sasl_ssf(cl->sasl);
    if (!rpc_conn_is_alive(call->conn))
        return err_set(err, VIR_ERR_AUTH_FAILED, "the connection is gone");
    if (!user_is_allowed(cl->server, user)) {
        g_auto(Err) why = ERR_INIT;
        g_autofree char *as = g_strdup_printf("%s as %s", mech, user);
        call->login = arena_strdup(&call->arena, as);
        err_set(&why, VIR_ERR_AUTH_FAILED, "user %s is not in sasl_allowed_username_list", user);
        return refuse(call, mech, &why, err);
    }
    rpc_conn_set_sasl_user(call->conn, user);
    call->login = arena_strdup(&call->arena, mech);
    log_info("%s: authenticated by %s, %u bits of encryption by SASL", rpc_conn_name(call->conn), mech, ssf);
    RpcSasl *sasl = g_steal_pointer(&cl->sasl);
    xdrproc_t filter = (xdrproc_t)(void (*)(void))call->proc->ret.filter;
    int r = 0;
    if (ssf > 0) {
        r = rpc_reply_switch_transport(call->msg, filter, call->ret, rpc_transport_sasl(sasl), err);
    } else {
        rpc_sasl_free(sasl);
        r = rpc_reply(call->msg, filter, call->ret, NULL, 0, err);
    }
    if (r == 0)
        rpc_conn_authenticated(call->conn);
    return 0; /* answered either way */
}

/* What START and STEP have in common: 0 with complete and the token of the answer (NULL: none). */
static int settle(Call *call, RpcSaslResult r, const Err *why, SaslToken *out, int *complete, Err *err)
{
    Client *cl = call->client;
    if (r == RPC_SASL_FAILED)
        return refuse(call, cl->sasl ? rpc_sasl_mech(cl->sasl) : NULL, why, err);
    if (out->data)
        out->data = arena_memdup(&call->arena, out->data, MAX(out->len, 1));
    *complete = r == RPC_SASL_DONE;
    if (r == RPC_SASL_DONE)
        call->finish = finish;
    else
        leave(call);
    return 0;
}

static int no_exchange(Call *call, Err *err)
{
    g_auto(Err) why = ERR_INIT;
    err_set(&why, VIR_ERR_AUTH_FAILED, "the list of mechanisms was not asked for");
    return refuse(call, NULL, &why, err);
}

int api_auth_sasl_start(Call *call, const remote_auth_sasl_start_args *args, remote_auth_sasl_start_ret *ret, Err *err)
{
    g_auto(Err) why = ERR_INIT;
    SaslToken out = {NULL, 0};
    if (enter(call, err) < 0)
        return -1;
    if (!call->client->sasl)
        return no_exchange(call, err);
    RpcSaslResult r = rpc_sasl_start(call->client->sasl, args->mech, args->nil ? NULL : args->data.data_val ? args->data.data_val : "",
                                     args->nil ? 0 : args->data.data_len, &out.data, &out.len, &why);
    if (settle(call, r, &why, &out, &ret->complete, err) < 0)
        return -1;
    ret->nil = !out.data;
    memcpy(&ret->data.data_val, &out.data, sizeof(out.data)); /* only read from */
    ret->data.data_len = (u_int)out.len;
    return 0;
}

int api_auth_sasl_step(Call *call, const remote_auth_sasl_step_args *args, remote_auth_sasl_step_ret *ret, Err *err)
{
    g_auto(Err) why = ERR_INIT;
    SaslToken out = {NULL, 0};
    if (enter(call, err) < 0)
        return -1;
    if (!call->client->sasl)
        return no_exchange(call, err);
    RpcSaslResult r = rpc_sasl_step(call->client->sasl, args->nil ? NULL : args->data.data_val ? args->data.data_val : "",
                                    args->nil ? 0 : args->data.data_len, &out.data, &out.len, &why);
    if (settle(call, r, &why, &out, &ret->complete, err) < 0)
        return -1;
    ret->nil = !out.data;
    memcpy(&ret->data.data_val, &out.data, sizeof(out.data)); /* only read from */
    ret->data.data_len = (u_int)out.len;
    return 0;
}

/* ---- the daemon's life ----------------------------------------------------------------------------------------------------- */

/* What a client of this kind of socket would be offered: said at the start rather than to the first one. */
static void check_mechanisms(const Server *s, bool bare)
{
    g_auto(Err) err = ERR_INIT;
    const RpcSaslOpts opts = {.min_ssf = bare ? s->tcp_min_ssf : 0, .plaintext = !bare};
    RpcSasl *sasl = rpc_sasl_new(&opts, &err);
    g_autofree char *mechs = sasl ? rpc_sasl_mechs(sasl, &err) : NULL;
    g_autofree char *text = mechs ? NULL : err_message(&err);
    if (mechs)
        log_info("SASL %s: %s", bare ? "over plain TCP" : "over UNIX sockets and TLS", mechs);
    else
        log_warning("SASL %s: nobody will get in: %s", bare ? "over plain TCP" : "over UNIX sockets and TLS", text);
    rpc_sasl_free(sasl);
}

int auth_sasl_up(Server *s, bool over_tcp, bool over_others, Err *err)
{
    if (!over_tcp && !over_others)
        return 0;
    if (rpc_sasl_init(err) < 0)
        return -1;
    if (over_tcp)
        check_mechanisms(s, true);
    if (over_others)
        check_mechanisms(s, false);
    return 0;
}

void auth_sasl_down(void)
{
    rpc_sasl_done();
}
