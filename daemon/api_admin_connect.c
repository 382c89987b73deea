/* daemon/api_admin_connect.c - the daemon as a whole: its servers, its log, its end
 *
 * Owns:    nothing; the settings of the log are util/log.c's, the timeout daemon/idle.c's
 * Threads: client event thread
 *
 * What is set here holds until the daemon ends or its configuration is read again.
 */
#include "config.h"

#define ERR_FROM VIR_FROM_ADMIN
#define LOG_AREA "daemon.admin"

#include "daemon/admin.h"
#include "daemon/idle.h"
#include "util/log.h"

#define TIMEOUT_MOST (86400u * 365u) /* as --timeout */

int api_admin_connect_get_lib_version(AdminCall *call, admin_connect_get_lib_version_ret *ret, Err *err)
{
    ret->libVer = BERTH_LIBVIRT_VERSION;
    return 0;
}

/* ---- servers --------------------------------------------------------------------------------------------------------------- */

int api_admin_connect_list_servers(AdminCall *call, const admin_connect_list_servers_args *args, admin_connect_list_servers_ret *ret,
                                   Err *err)
{
    const RpcServer *all[] = {call->server->admin, call->server->rpc}; /* by name */
    ret->ret = N_ELEMENTS(all);
    if (!args->need_results)
        return 0;
    ret->servers.servers_len = N_ELEMENTS(all);
    ret->servers.servers_val = arena_array(&call->arena, admin_nonnull_server, N_ELEMENTS(all));
    for (size_t i = 0; i < N_ELEMENTS(all); i++)
        admin_wire_server(&call->arena, &ret->servers.servers_val[i], all[i]);
    return 0;
}

int api_admin_connect_lookup_server(AdminCall *call, const admin_connect_lookup_server_args *args, admin_connect_lookup_server_ret *ret,
                                    Err *err)
{
    const RpcServer *srv = admin_find_server(call->server, args->name, err);
    if (!srv)
        return -1;
    admin_wire_server(&call->arena, &ret->srv, srv);
    return 0;
}

/* ---- the log --------------------------------------------------------------------------------------------------------------- */

static unsigned count_entries(const char *text)
{
    g_auto(GStrv) entries = g_strsplit(text, " ", -1);
    unsigned n = 0;
    for (char **e = entries; *e; e++)
        n += **e != 0;
    return n;
}

int api_admin_connect_get_logging_outputs(AdminCall *call, const admin_connect_get_logging_outputs_args *args,
                                          admin_connect_get_logging_outputs_ret *ret, Err *err)
{
    char *text;
    log_settings(NULL, NULL, &text);
    ret->outputs = arena_take(&call->arena, text);
    ret->noutputs = count_entries(text);
    return 0;
}

int api_admin_connect_get_logging_filters(AdminCall *call, const admin_connect_get_logging_filters_args *args,
                                          admin_connect_get_logging_filters_ret *ret, Err *err)
{
    char *text;
    log_settings(NULL, &text, NULL);
    char **slot = arena_new(&call->arena, char *);
    *slot = arena_take(&call->arena, text);
    ret->nfilters = count_entries(text);
    ret->filters = ret->nfilters ? slot : NULL;
    return 0;
}

/* One of the two is new; the rest stays as it is. */
static int set_log(const char *filters, const char *outputs, Err *err)
{
    int level;
    g_autofree char *old_filters = NULL;
    g_autofree char *old_outputs = NULL;
    g_auto(Err) why = ERR_INIT;
    log_settings(&level, &old_filters, &old_outputs);
    if (log_configure(level, filters ? filters : old_filters, outputs ? outputs : old_outputs, &why) == 0)
        return 0;
    if (why.code != VIR_ERR_CONF_SYNTAX)
        err_move(err, &why);
    else /* it came by no file */
        err_set(err, VIR_ERR_INVALID_ARG, "%s", why.detail);
    return -1;
}

int api_admin_connect_set_logging_outputs(AdminCall *call, const admin_connect_set_logging_outputs_args *args, Err *err)
{
    return set_log(NULL, args->outputs ? *args->outputs : "", err);
}

int api_admin_connect_set_logging_filters(AdminCall *call, const admin_connect_set_logging_filters_args *args, Err *err)
{
    return set_log(args->filters ? *args->filters : "", NULL, err);
}

/* ---- the end --------------------------------------------------------------------------------------------------------------- */

int api_admin_connect_set_daemon_timeout(AdminCall *call, const admin_connect_set_daemon_timeout_args *args, Err *err)
{
    if (args->timeout > TIMEOUT_MOST)
        return err_set(err, VIR_ERR_INVALID_ARG, "timeout is %u, must be from 0 to %u seconds", args->timeout, TIMEOUT_MOST);
    idle_watch_set(call->server->idle, args->timeout);
    return 0;
}

static void shut_down(Server *s)
{
    log_info("asked by an administrator: stopping, machines go on");
    event_loop_stop(s->client_loop, 0);
}

int api_admin_connect_daemon_shutdown(AdminCall *call, const admin_connect_daemon_shutdown_args *args, Err *err)
{
    call->after = shut_down;
    return 0;
}
