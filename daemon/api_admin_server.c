/* daemon/api_admin_server.c - servers of the daemon: their workers, their clients, their limits
 *
 * Owns:    nothing; the numbers are the pool's and the RpcServers'
 * Threads: client event thread; certificates are read by a worker
 *
 * The workers are one pool for all of "libvirtd": maxWorkers bounds ordinary calls executed at once and prioWorkers those that never wait for
 * a guest; calls asleep until a guest answers count for neither.  Calls of "admin" take no workers: its numbers are zeros, and stay so.
 */
#include "config.h"

#define ERR_FROM VIR_FROM_ADMIN
#include "api_strings.h"
#include "daemon/admin.h"
#include "daemon/tls.h"

#define WORKERS_MOST 10000u  /* the bounds of the same keys of libvirtd.conf */
#define CLIENTS_MOST 1000000u

static bool is_admin(const AdminCall *call)
{
    return call->target == call->server->admin;
}

/* ---- workers --------------------------------------------------------------------------------------------------------------- */

int api_admin_server_get_threadpool_parameters(AdminCall *call, const admin_server_get_threadpool_parameters_args *args,
                                               admin_server_get_threadpool_parameters_ret *ret, Err *err)
{
    PoolLimits limits = {0};
    PoolStats st = {0};
    unsigned queued = 0;
    if (!is_admin(call)) {
        pool_get_limits(call->server->pool, &limits);
        pool_stats(call->server->pool, &st);
    }
    for (Lane l = LANE_FAST; l < LANE_MAX; l++)
        queued += st.queued[l];
    Params p;
    params_init(&p, &call->arena);
    params_uint(&p, limits.min_threads, VIR_THREADPOOL_WORKERS_MIN);
    params_uint(&p, limits.cap[LANE_NORMAL], VIR_THREADPOOL_WORKERS_MAX);
    params_uint(&p, st.threads, VIR_THREADPOOL_WORKERS_CURRENT);
    params_uint(&p, st.idle, VIR_THREADPOOL_WORKERS_FREE);
    params_uint(&p, limits.cap[LANE_FAST], VIR_THREADPOOL_WORKERS_PRIORITY);
    params_uint(&p, queued, VIR_THREADPOOL_JOB_QUEUE_DEPTH);
    ret->params.params_val = admin_params(&p, &ret->params.params_len);
    return 0;
}

int api_admin_server_set_threadpool_parameters(AdminCall *call, const admin_server_set_threadpool_parameters_args *args, Err *err)
{
    PoolLimits limits = {0};
    bool none = is_admin(call);
    if (!none)
        pool_get_limits(call->server->pool, &limits);
    unsigned most = none ? 0 : WORKERS_MOST, least = none ? 0 : 1;
    const AdminUint known[] = {
        {VIR_THREADPOOL_WORKERS_MIN, &limits.min_threads, 0, most},
        {VIR_THREADPOOL_WORKERS_MAX, &limits.cap[LANE_NORMAL], least, most},
        {VIR_THREADPOOL_WORKERS_PRIORITY, &limits.cap[LANE_FAST], 0, most},
    };
    if (admin_read_uints(args->params.params_val, args->params.params_len, known, N_ELEMENTS(known), err) < 0) {
        if (none && err && err->code == VIR_ERR_INVALID_ARG)
            err_hint(err, "the calls of server '" ADMIN_SERVER_ADMIN "' take no workers");
        return -1;
    }
    if (limits.min_threads > limits.cap[LANE_NORMAL])
        return err_set(err, VIR_ERR_INVALID_ARG, "minWorkers is %u, must not be above maxWorkers, which is %u", limits.min_threads,
                       limits.cap[LANE_NORMAL]);
    if (!none)
        pool_set_limits(call->server->pool, &limits);
    return 0;
}

/* ---- clients --------------------------------------------------------------------------------------------------------------- */

static void collect(RpcConn *c, void *arg)
{
    g_ptr_array_add(arg, c);
}

static int by_id(gconstpointer a, gconstpointer b)
{
    uint64_t x = rpc_conn_id(*(RpcConn *const *)a), y = rpc_conn_id(*(RpcConn *const *)b);
    return x < y ? -1 : x > y;
}

int api_admin_server_list_clients(AdminCall *call, const admin_server_list_clients_args *args, admin_server_list_clients_ret *ret,
                                  Err *err)
{
    ret->ret = rpc_server_n_clients(call->target);
    if (!args->need_results)
        return 0;
    if (ret->ret > ADMIN_CLIENT_LIST_MAX)
        return err_set_full(err, VIR_FROM_RPC, VIR_ERR_RPC, 0, "%u clients are more than the %d a list may hold", ret->ret,
                            ADMIN_CLIENT_LIST_MAX);
    g_autoptr(GPtrArray) all = g_ptr_array_new();
    rpc_server_foreach(call->target, collect, all);
    g_ptr_array_sort(all, by_id);
    ret->ret = ret->clients.clients_len = all->len;
    ret->clients.clients_val = arena_array(&call->arena, admin_nonnull_client, all->len);
    for (guint i = 0; i < all->len; i++)
        admin_wire_client(&call->arena, &ret->clients.clients_val[i], call->target, all->pdata[i]);
    return 0;
}

int api_admin_server_lookup_client(AdminCall *call, const admin_server_lookup_client_args *args, admin_server_lookup_client_ret *ret,
                                   Err *err)
{
    g_autoptr(RpcConn) c = rpc_server_find(call->target, args->id);
    if (!c)
        return admin_no_client(call->target, args->id, err);
    admin_wire_client(&call->arena, &ret->clnt, call->target, c);
    return 0;
}

int api_admin_server_get_client_limits(AdminCall *call, const admin_server_get_client_limits_args *args,
                                       admin_server_get_client_limits_ret *ret, Err *err)
{
    const RpcLimits *l = rpc_server_limits(call->target);
    Params p;
    params_init(&p, &call->arena);
    params_uint(&p, l->max_clients, VIR_SERVER_CLIENTS_MAX);
    params_uint(&p, rpc_server_n_clients(call->target), VIR_SERVER_CLIENTS_CURRENT);
    params_uint(&p, l->max_anonymous_clients, VIR_SERVER_CLIENTS_UNAUTH_MAX);
    params_uint(&p, rpc_server_n_anonymous(call->target), VIR_SERVER_CLIENTS_UNAUTH_CURRENT);
    ret->params.params_val = admin_params(&p, &ret->params.params_len);
    return 0;
}

int api_admin_server_set_client_limits(AdminCall *call, const admin_server_set_client_limits_args *args, Err *err)
{
    RpcLimits l = *rpc_server_limits(call->target);
    const AdminUint known[] = {
        {VIR_SERVER_CLIENTS_MAX, &l.max_clients, 1, CLIENTS_MOST},
        {VIR_SERVER_CLIENTS_UNAUTH_MAX, &l.max_anonymous_clients, 0, CLIENTS_MOST},
    };
    if (admin_read_uints(args->params.params_val, args->params.params_len, known, N_ELEMENTS(known), err) < 0)
        return -1;
    if (l.max_anonymous_clients > l.max_clients)
        return err_set(err, VIR_ERR_INVALID_ARG, "nclients_unauth_max is %u, must not be above nclients_max, which is %u",
                       l.max_anonymous_clients, l.max_clients);
    rpc_server_set_limits(call->target, &l);
    return 0;
}

/* ---- certificates ---------------------------------------------------------------------------------------------------------- */

int api_admin_server_update_tls_files(AdminCall *call, const admin_server_update_tls_files_args *args, Err *err)
{
    if (is_admin(call) || !tls_in_use(call->server->tls))
        return err_set(err, VIR_ERR_OPERATION_INVALID, "server '%s' has no socket for TLS", args->srv.name);
    return tls_reload(call->server->tls, err);
}
