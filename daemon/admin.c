/* daemon/admin.c - the way from a packet on the admin socket to a handler
 *
 * Owns:    who may administer; the order of the checks; the life of an AdminCall
 * Threads: client event thread; handlers of other lanes than INLINE on workers
 * Locks:   none
 * Errors:  the caller's alone
 *
 * Theory of operation.  Whoever is not root (for a session daemon: not its user) is disconnected when it comes, before a byte of it is
 * looked at: the socket's permissions keep others away, this holds when somebody widened them.  The servers, their limits and their
 * connections belong to the event thread, so most handlers are a few assignments there; what takes effect does so before the reply.
 */
#include "config.h"

#define ERR_FROM VIR_FROM_ADMIN
#define LOG_AREA "daemon.admin"
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "api_enums.h"
#include "daemon/admin.h"
#include "daemon/audit.h"
#include "daemon/idle.h"
#include "daemon/listen_role.h"
#include "util/log.h"

/* What is kept of a connection: nothing but whether it was opened. */
static int opened_mark;

/* ---- from row to handler --------------------------------------------------------------------------------------------------- */

#define PASS_ARGS_A call->args,
#define PASS_ARGS__
#define PASS_RET_R call->ret,
#define PASS_RET__
#define ADMIN_PROC(nr, NAME, name, a, r, ...) \
    static int run_##name(AdminCall *call, Err *err) \
    { \
        return api_admin_##name(call, PASS_ARGS_##a PASS_RET_##r err); \
    }
#include "protocol/admin_procs.def"

static int (*const handlers[])(AdminCall *call, Err *err) = {
#define ADMIN_PROC(nr, NAME, name, ...) [nr] = run_##name,
#include "protocol/admin_procs.def"
};

/* ---- the life of a call ---------------------------------------------------------------------------------------------------- */

static void log_outcome(const AdminCall *call)
{
    const char *who = rpc_conn_name(call->conn);
    const LogField fields[] = {{"CLIENT", who}, {"PROCEDURE", call->proc->name}, {NULL, NULL}};
    if (err_is_set(&call->err))
        log_fields(LOG_LEVEL_INFO, fields, "%s: %s failed (%d): %s", who, call->proc->name, call->err.code, call->err.detail);
    else if (call->proc->changes)
        log_fields(LOG_LEVEL_INFO, fields, "%s: %s done", who, call->proc->name);
}

/* Answers with result or error and frees the call. */
static void call_done(AdminCall *call)
{
    log_outcome(call);
    audit_admin_end(call->server->audit, g_steal_pointer(&call->audit), call->err.code);
    if (err_is_set(&call->err)) {
        rpc_reply_error(call->msg, &call->err);
    } else {
        xdrproc_t filter = call->proc->ret.size ? (xdrproc_t)(void (*)(void))call->proc->ret.filter : NULL;
        if (rpc_reply(call->msg, filter, call->ret, NULL, 0, &call->err) < 0)
            log_warning("%s: %s: %s", rpc_conn_name(call->conn), call->proc->name, call->err.detail);
        else if (call->after)
            call->after(call->server);
    }
    if (call->args)
        wire_free(&call->proc->args, call->args);
    g_free(call->args);
    g_free(call->ret);
    err_clear(&call->err);
    arena_done(&call->arena);
    rpc_conn_unref(call->client);
    rpc_msg_free(call->msg);
    rpc_conn_unref(call->conn);
    g_free(call);
}

static void run(void *arg)
{
    AdminCall *call = arg;
    handlers[call->proc->nr](call, &call->err);
    call_done(call);
}

/* ---- checks ---------------------------------------------------------------------------------------------------------------- */

static int check_and_decode(AdminCall *call, Err *err)
{
    const AdminProcInfo *p = call->proc;
    if (!rpc_conn_is_authenticated(call->conn) || !rpc_conn_is_alive(call->conn))
        return err_set(err, VIR_ERR_OPERATION_DENIED, "%s: only root may administer this daemon", p->api);
    if (!rpc_conn_userdata(call->conn) && !p->preopen)
        return err_set(err, VIR_ERR_INTERNAL_ERROR, "connection not open");
    if (call->msg->n_fds > 0)
        return err_set(err, VIR_ERR_RPC, "%s takes no file descriptors, %u came", p->api, call->msg->n_fds);
    if (p->args.size) {
        call->args = g_malloc0(p->args.size);
        if (wire_decode(&p->args, call->args, call->msg->body, call->msg->body_len, NULL) < 0)
            return err_set_full(err, VIR_FROM_RPC, VIR_ERR_RPC, 0, "Unable to decode message payload");
    }
    if (p->ret.size)
        call->ret = g_malloc0(p->ret.size);
    if (p->has_flags) {
        uint32_t flags;
        memcpy(&flags, (const char *)call->args + p->flags_at, sizeof(flags));
        if (flags)
            return err_set_bare(err, VIR_FROM_ADMIN, VIR_ERR_INVALID_ARG, "unsupported flags (0x%x) in function %s", flags, p->api);
    }
    return 0;
}

static int resolve(AdminCall *call, Err *err)
{
    const void *at = (const char *)call->args + call->proc->object_at;
    switch (call->proc->object) {
    case ADMIN_ON_CONN:
        return 0;
    case ADMIN_ON_SERVER: {
        const admin_nonnull_server *ref = at;
        call->target = admin_find_server(call->server, ref->name, err);
        return call->target ? 0 : -1;
    }
    case ADMIN_ON_CLIENT: {
        const admin_nonnull_client *ref = at;
        call->target = admin_find_server(call->server, ref->srv.name, err);
        if (!call->target)
            return -1;
        call->client = rpc_server_find(call->target, ref->id);
        if (!call->client)
            return admin_no_client(call->target, ref->id, err);
        rpc_conn_find_start(call->client); /* the handler may run on a worker, which must not ask */
        return 0;
    }
    }
    g_assert_not_reached();
}

/* ---- callbacks of the server ----------------------------------------------------------------------------------------------- */

bool admin_known_program(void *ud, RpcConn *c, uint32_t prog, uint32_t vers)
{
    return admin_program_known(prog, vers);
}

void admin_call(void *ud, RpcMsg *msg)
{
    Server *s = ud;
    const AdminProcInfo *p = admin_proc_lookup(msg->h.proc);
    if (!p) {
        g_auto(Err) err = ERR_INIT;
        err_set_full(&err, VIR_FROM_RPC, VIR_ERR_RPC, 0, "unknown procedure: %d", msg->h.proc);
        rpc_reply_error(msg, &err);
        rpc_msg_free(msg);
        return;
    }
    AdminCall *call = g_new0(AdminCall, 1);
    call->server = s;
    call->conn = rpc_conn_ref(msg->conn);
    call->msg = msg;
    call->proc = p;
    int r = check_and_decode(call, &call->err) < 0 ? -1 : resolve(call, &call->err);
    if (p->changes)
        call->audit = audit_admin_begin(s->audit, call->conn, p->name, call->target ? rpc_server_name(call->target) : NULL);
    if (r < 0)
        call_done(call);
    else if (p->lane == LANE_INLINE)
        run(call);
    else
        pool_submit(s->pool, p->lane, run, call);
}

void admin_opened(void *ud, RpcConn *c)
{
    const RpcPeer *peer = rpc_conn_peer(c);
    idle_watch_client(((Server *)ud)->idle);
    if (peer->has_creds && (peer->uid == 0 || peer->uid == geteuid()))
        return;
    log_warning("%s may not administer this daemon: disconnected", rpc_conn_name(c));
    rpc_conn_close(c, "user %u may not administer this daemon", (unsigned)peer->uid);
}

void admin_closed(void *ud, RpcConn *c, const char *reason)
{
    idle_watch_client(((Server *)ud)->idle);
}

int api_admin_connect_open(AdminCall *call, const admin_connect_open_args *args, Err *err)
{
    if (rpc_conn_userdata(call->conn))
        return err_set(err, VIR_ERR_INTERNAL_ERROR, "connection already open");
    rpc_conn_set_userdata(call->conn, &opened_mark, NULL);
    return 0;
}

int api_admin_connect_close(AdminCall *call, Err *err)
{
    rpc_conn_close_after_flush(call->conn, "closed by the client");
    return 0;
}

/* ---- what handlers share --------------------------------------------------------------------------------------------------- */

RpcServer *admin_find_server(Server *s, const char *name, Err *err)
{
    RpcServer *all[] = {s->rpc, s->admin};
    for (size_t i = 0; i < N_ELEMENTS(all); i++)
        if (strcmp(rpc_server_name(all[i]), name) == 0)
            return all[i];
    for (size_t i = 0; listen_modular_daemons[i]; i++) /* virt-admin -c virtqemud:///system comes here too, and its users say the name */
        if (strcmp(listen_modular_daemons[i], name) == 0)
            return s->rpc;
    err_set(err, VIR_ERR_NO_SERVER, "no server '%.100s'; there are " ADMIN_SERVER_MAIN " and " ADMIN_SERVER_ADMIN, name);
    return NULL;
}

int admin_no_client(const RpcServer *srv, uint64_t id, Err *err)
{
    return err_set(err, VIR_ERR_NO_CLIENT, "no client %" PRIu64 " of server '%s'", id, rpc_server_name(srv));
}

void admin_wire_server(Arena *a, admin_nonnull_server *out, const RpcServer *srv)
{
    out->name = arena_strdup(a, rpc_server_name(srv));
}

void admin_wire_client(Arena *a, admin_nonnull_client *out, const RpcServer *srv, const RpcConn *c)
{
    admin_wire_server(a, &out->srv, srv);
    out->id = rpc_conn_id(c);
    out->timestamp = rpc_conn_connected_at(c);
    out->transport = (u_int)rpc_conn_kind(c); /* the numbers are the same: unix, tcp, tls */
}

/* The two programs' parameters are one struct with two names. */
G_STATIC_ASSERT(sizeof(admin_typed_param) == sizeof(remote_typed_param));
G_STATIC_ASSERT(offsetof(admin_typed_param, value.type) == offsetof(remote_typed_param, value.type));
G_STATIC_ASSERT(offsetof(admin_typed_param, value.admin_typed_param_value_u) == offsetof(remote_typed_param, value.remote_typed_param_value_u));

admin_typed_param *admin_params(const Params *p, u_int *ret_len)
{
    admin_typed_param *v = arena_array(p->arena, admin_typed_param, p->n);
    if (p->n)
        memcpy(v, p->v, p->n * sizeof(*v));
    *ret_len = p->n;
    return v;
}

static int read_uint(const admin_typed_param *v, const AdminUint *known, unsigned n_known, uint64_t *seen, Err *err)
{
    unsigned k = 0;
    while (k < n_known && strcmp(known[k].field, v->field) != 0)
        k++;
    if (k == n_known)
        return err_set(err, VIR_ERR_ARGUMENT_UNSUPPORTED, "parameter '%.100s' not supported", v->field);
    if (v->value.type != VIR_TYPED_PARAM_UINT)
        return err_set(err, VIR_ERR_INVALID_ARG, "invalid type for parameter '%s', expected 'uint'", v->field);
    if (*seen & (UINT64_C(1) << k))
        return err_set(err, VIR_ERR_INVALID_ARG, "parameter '%s' occurs multiple times", v->field);
    *seen |= UINT64_C(1) << k;
    unsigned value = v->value.admin_typed_param_value_u.ui;
    if (value < known[k].min || value > known[k].max)
        return err_set(err, VIR_ERR_INVALID_ARG, "%s is %u, must be from %u to %u", v->field, value, known[k].min, known[k].max);
    *known[k].value = value;
    return 0;
}

int admin_read_uints(const admin_typed_param *v, unsigned n, const AdminUint *known, unsigned n_known, Err *err)
{
    uint64_t seen = 0;
    for (unsigned i = 0; i < n; i++)
        if (read_uint(&v[i], known, n_known, &seen, err) < 0)
            return -1;
    return 0;
}
