/* daemon/reload.c - the configuration: read at the start, and again while clients are served
 *
 * Owns:    what is in force of it
 * Threads: a reload goes from the client event thread to a worker and back, twice
 * Errors:  in the log, and in the status the service manager shows
 *
 * Theory of operation.  Files may lie on storage that does not answer, and names of users and groups in a database that is far away: so a
 * worker reads (read_files), the client event thread, which owns limits and connections, takes over what was read (take_over), and a
 * worker does the rest that may wait (read_rest): certificates, the audit file, access rules.  One reload at a time; who asks meanwhile gets
 * another behind it, so what is in the files when he asks is read.
 */
#include "config.h"

#define LOG_AREA "daemon.main"
#include <errno.h>
#include <inttypes.h>
#include <unistd.h>
#include <systemd/sd-daemon.h>

#include "daemon/access.h"
#include "daemon/daemon.h"
#include "daemon/idle.h"
#include "daemon/tls.h"
#include "host/image.h"
#include "util/log.h"

#define IDLE_ACTIVATED_S 120u /* as libvirtd's units have it */

/* ---- what the files say ---------------------------------------------------------------------------------------------------- */

/* The usual files may be absent, which means what is preset.  One that was named is not: nobody gets in because of a slip of the pen. */
static int check_named(const Options *o, Err *err)
{
    const struct {
        bool named;
        const char *path;
    } files[] = {{o->named_libvirtd_conf, o->libvirtd_conf}, {o->named_berthd_conf, o->berthd_conf}, {o->named_qemu_conf, o->qemu_conf}};
    for (size_t i = 0; i < N_ELEMENTS(files); i++)
        if (files[i].named && access(files[i].path, F_OK) < 0)
            return err_set_errno(err, errno, "reading the configuration '%s'", files[i].path);
    return 0;
}

int daemon_read_config(const Options *o, DaemonConfig **ret, QemuConfig **ret_qemu, Err *err)
{
    if (check_named(o, err) < 0)
        return -1;
    g_autoptr(DaemonConfig) c = daemon_config_load(o->libvirtd_conf, o->berthd_conf, err);
    if (!c)
        return -1;
    g_autoptr(QemuConfig) q = qemu_config_load(o->qemu_conf, err);
    if (!q || (geteuid() == 0 && qemu_config_check_accounts(q, err) < 0))
        return -1;
    *ret = g_steal_pointer(&c);
    *ret_qemu = g_steal_pointer(&q);
    return 0;
}

int daemon_apply_log(const Options *o, const DaemonConfig *c, Err *err)
{
    int level = o->verbose && c->log_level > LOG_LEVEL_INFO ? LOG_LEVEL_INFO : c->log_level;
    return log_configure(level, c->log_filters, c->log_outputs, err);
}

PoolLimits daemon_pool_limits(const DaemonConfig *c)
{
    return (PoolLimits){.cap = {[LANE_FAST] = (unsigned)c->prio_workers,
                                [LANE_NORMAL] = (unsigned)c->max_workers,
                                [LANE_LONG] = (unsigned)c->long_workers},
                        .min_threads = (unsigned)c->min_workers,
                        .max_threads = (unsigned)c->max_threads,
                        .idle_ms = 5000};
}

RpcLimits daemon_rpc_limits(const DaemonConfig *c)
{
    RpcLimits l = RPC_LIMITS_DEFAULT;
    l.max_clients = (unsigned)c->max_clients;
    l.max_anonymous_clients = (unsigned)c->max_anonymous_clients;
    l.max_client_requests = (unsigned)c->max_client_requests;
    l.max_queue_bytes = c->max_client_queue;
    l.auth_timeout_ms = (unsigned)c->auth_timeout * 1000;
    l.stall_timeout_ms = (unsigned)c->client_stall_timeout * 1000;
    l.handshake_timeout_ms = (unsigned)c->handshake_timeout * 1000;
    l.keepalive_interval = c->keepalive_interval;
    l.keepalive_count = (unsigned)c->keepalive_count;
    return l;
}

RpcLimits daemon_admin_limits(const DaemonConfig *c)
{
    RpcLimits l = daemon_rpc_limits(c);
    l.max_clients = l.max_anonymous_clients = (unsigned)c->admin_max_clients;
    l.max_client_requests = (unsigned)c->admin_max_client_requests;
    l.keepalive_interval = c->admin_keepalive_interval;
    l.keepalive_count = (unsigned)c->admin_keepalive_count;
    return l;
}

unsigned daemon_idle_seconds(const Daemon *d)
{
    int s = d->options.idle_timeout >= 0 ? d->options.idle_timeout : d->config->idle_timeout;
    return s >= 0 ? (unsigned)s : listen_activated(d->listen) ? IDLE_ACTIVATED_S : 0;
}

AuditSpec daemon_audit_spec(const DaemonConfig *c)
{
    return (AuditSpec){.level = c->audit_level, .logged = c->audit_logging, .file = c->audit_file};
}

/* ---- a reload -------------------------------------------------------------------------------------------------------------- */

typedef struct Reload {
    Daemon *d;
    DaemonConfig *config; /* a reference to what was read, then to what is in force */
    QemuConfig *qemu;     /* NULL: it is not changed */
    bool whole;
} Reload;

static void begin(Daemon *d);

static void reload_free(Reload *r)
{
    daemon_config_unref(r->config);
    qemu_config_unref(r->qemu);
    g_free(r);
}

static void complain(Reload *r, const char *what, const Err *err)
{
    g_autofree char *text = err_message(err);
    log_error("%s%s", what, text);
    r->whole = false;
}

static void done(void *arg)
{
    Reload *r = arg;
    Daemon *d = r->d;
    bool whole = r->whole;
    reload_free(r);
    if (d->stopping)
        return;
    d->reloading = false;
    if (d->reload_again)
        begin(d);
    else
        sd_notify(0, whole ? "READY=1\nSTATUS=" DAEMON_SERVING
                           : "READY=1\nSTATUS=" DAEMON_SERVING "; not all of the configuration is in force, see the log");
}

static void read_rest(void *arg)
{
    Reload *r = arg;
    Server *s = &r->d->server;
    g_auto(Err) tls_err = ERR_INIT, audit_err = ERR_INIT, rules_err = ERR_INIT;
    AuditSpec audit = daemon_audit_spec(r->config);
    pool_blocking_begin();
    if (r->qemu && tls_reload(s->tls, &tls_err) < 0)
        complain(r, "", &tls_err);
    if (audit_reload(s->audit, &audit, &audit_err) < 0)
        complain(r, "audit records go where they went: ", &audit_err);
    if (access_reload(s->access, &rules_err) < 0)
        complain(r, "the access rules are not changed: ", &rules_err);
    pool_blocking_end();
    event_post(s->client_loop, done, r);
}

static void put_in_force(Daemon *d, DaemonConfig *c, QemuConfig *q)
{
    Server *s = &d->server;
    g_auto(GStrv) late = daemon_config_needs_restart(d->config, c);
    for (char **l = late; *l; l++)
        log_warning("%s: needs a restart of the daemon", *l);
    PoolLimits pl = daemon_pool_limits(c);
    RpcLimits rl = daemon_rpc_limits(c), al = daemon_admin_limits(c);
    pool_set_limits(s->pool, &pl);
    rpc_server_set_limits(s->rpc, &rl);
    rpc_server_set_limits(s->admin, &al);
    s->sasl_users = c->sasl_allowed_username_list;
    g_atomic_int_set(&s->job_timeout_ms, c->job_timeout * 1000);
    domain_driver_reload(s->domains, q);
    domain_driver_set_start_timeout(s->domains, (unsigned)c->start_timeout * 1000);
    image_allow_probing(c->backing_format_probing);
    daemon_config_unref(d->config);
    qemu_config_unref(d->qemu_config);
    d->config = daemon_config_ref(c);
    d->qemu_config = qemu_config_ref(q);
    idle_watch_set(s->idle, daemon_idle_seconds(d));
    tls_set_config(s->tls, c);
    log_info("configuration read again");
}

static void take_over(void *arg)
{
    Reload *r = arg;
    Daemon *d = r->d;
    if (d->stopping) {
        reload_free(r);
        return;
    }
    if (r->qemu)
        put_in_force(d, r->config, r->qemu);
    else
        r->config = daemon_config_ref(d->config);
    pool_submit(d->server.pool, LANE_NORMAL, read_rest, r);
}

static void read_files(void *arg)
{
    Reload *r = arg;
    const Options *o = &r->d->options;
    g_auto(Err) err = ERR_INIT;
    pool_blocking_begin();
    if (daemon_read_config(o, &r->config, &r->qemu, &err) < 0 || daemon_apply_log(o, r->config, &err) < 0) {
        complain(r, "the configuration is not changed: ", &err);
        daemon_config_unref(g_steal_pointer(&r->config));
        qemu_config_unref(g_steal_pointer(&r->qemu));
    }
    pool_blocking_end();
    event_post(r->d->server.client_loop, take_over, r);
}

static void begin(Daemon *d)
{
    Reload *r = g_new0(Reload, 1);
    *r = (Reload){.d = d, .whole = true};
    d->reloading = true;
    d->reload_again = false;
    pool_submit(d->server.pool, LANE_NORMAL, read_files, r);
}

void reload_begin(Daemon *d)
{
    sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, (uint64_t)g_get_monotonic_time());
    if (d->reloading)
        d->reload_again = true;
    else
        begin(d);
}
