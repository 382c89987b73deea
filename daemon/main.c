/* daemon/main.c - start, run, stop
 *
 * Owns:    the order in which everything comes up and goes down; signals
 * Threads: the main thread is the client event thread
 *
 * Up: options, configuration, log, monitor thread, pool, capabilities, machines (views published, jobs of reconnect pending), sockets,
 * ready, reconnect and autostart.  Down (SIGTERM): sockets closed, running calls given their grace, status written, machines left
 * running.  SIGHUP: reload.c.
 */
#include "config.h"

#define LOG_AREA "daemon.main"
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <systemd/sd-daemon.h>

#include "daemon/access.h"
#include "daemon/admin.h"
#include "daemon/audit.h"
#include "daemon/auth_sasl.h"
#include "daemon/confine.h"
#include "daemon/daemon.h"
#include "daemon/events.h"
#include "daemon/gate.h"
#include "daemon/host.h"
#include "daemon/idle.h"
#include "daemon/listen.h"
#include "daemon/listen_role.h"
#include "daemon/options.h"
#include "daemon/polkit.h"
#include "daemon/server.h"
#include "daemon/progress.h"
#include "daemon/tidy.h"
#include "daemon/tls.h"
#include "daemon/watchdog.h"
#include "host/image.h"
#include "qemu/caps.h"
#include "qemu/conf.h"
#include "util/fd.h"
#include "util/file.h"
#include "util/log.h"

#define START_MOST_S 600u /* definitions read at the start */
#define GRACE_MS 3000u /* what running calls get at the end */
#define AUTH_WORKERS 16u /* who waits for a server of authentication takes one */
#define LAST_MS  2000u /* and those that waited for a QEMU, when they are told to stop */

/* ---- signals --------------------------------------------------------------------------------------------------------------- */

static int on_stop(sd_event_source *s, const struct signalfd_siginfo *si, void *userdata)
{
    Daemon *d = userdata;
    log_info("signal %u from process %u: stopping, machines go on", si->ssi_signo, si->ssi_pid);
    event_loop_stop(d->server.client_loop, 0);
    return 0;
}

static int on_reload(sd_event_source *s, const struct signalfd_siginfo *si, void *userdata)
{
    reload_begin(userdata);
    return 0;
}

static int signals_init(Daemon *d, Err *err)
{
    static const int stops[] = {SIGTERM, SIGINT, SIGQUIT};
    sd_event *e = event_loop_sd(d->server.client_loop);
    int r = sd_event_add_signal(e, NULL, SIGHUP, on_reload, d);
    for (size_t i = 0; i < N_ELEMENTS(stops) && r >= 0; i++)
        r = sd_event_add_signal(e, NULL, stops[i], on_stop, d);
    return r < 0 ? err_set_errno(err, -r, "catching signals") : 0;
}

/* Who starts us may have closed the three every program has: their numbers would go to files and sockets of ours, and what is written to
 * stderr, or put in their place in the background, with them. */
static int standard_fds_open(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR); /* not for children, who get theirs by name */
    while (fd >= 0 && fd <= 2);
    if (fd < 0)
        return -errno;
    close(fd);
    return 0;
}

/* ---- background and pid file ----------------------------------------------------------------------------------------------- */

/* Forks; the parent waits for one byte that says the daemon serves, and ends with that verdict. */
static int go_background(Daemon *d)
{
    int p[2];
    if (pipe2(p, O_CLOEXEC) < 0)
        return -errno;
    pid_t pid = fork();
    if (pid < 0)
        return -errno;
    if (pid > 0) {
        char ok = 0;
        close(p[1]);
        while (read(p[0], &ok, 1) < 0 && errno == EINTR)
            ;
        _exit(ok == 'y' ? 0 : 1);
    }
    close(p[0]);
    d->ready_pipe = p[1];
    setsid();
    return chdir("/") < 0 ? -errno : 0;
}

static void say_ready(Daemon *d)
{
    sd_notify(0, "READY=1\nSTATUS=" DAEMON_SERVING);
    if (d->ready_pipe < 0)
        return;
    AUTO_CLOSE int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = 0; fd < 3; fd++)
        dup2(null, fd);
    fd_write_all(d->ready_pipe, "y", 1);
    fd_close(&d->ready_pipe);
}

static int pid_file_write(Daemon *d, Err *err)
{
    const Options *o = &d->options;
    if (!o->pid_file)
        return 0;
    char text[32];
    int n = g_snprintf(text, sizeof(text), "%d\n", (int)getpid());
    int r = file_replace(o->pid_file, text, (size_t)n, 0644, 0);
    if (r < 0)
        return err_set_errno(err, -r, "writing the pid file %s", o->pid_file);
    d->pid_file_ours = true;
    return 0;
}

/* ---- up and down ----------------------------------------------------------------------------------------------------------- */

static int dirs_make(const ConfigDirs *d, Err *err)
{
    const char *all[] = {d->sysconf, d->state, d->run, d->log, d->cache};
    for (size_t i = 0; i < N_ELEMENTS(all); i++) {
        int r = dir_make(all[i], 0755);
        if (r < 0)
            return err_set_errno(err, -r, "making the directory %s", all[i]);
    }
    return 0;
}

static char *rules_path(const Options *o)
{
    return g_build_filename(o->dirs.sysconf, "berthd.conf.d", "access", NULL);
}

static int access_init(Daemon *d, Err *err)
{
    AuditSpec audit = daemon_audit_spec(d->config);
    g_autofree char *calls = g_build_filename(d->options.dirs.run, "audit-calls", NULL);
    if (!(d->server.audit = audit_new(&audit, calls, err)))
        return -1;
    g_autofree char *path = rules_path(&d->options);
    bool by_polkit = daemon_config_has_driver(d->config, "polkit");
    if (by_polkit || d->config->auth_unix_rw == AUTH_SCHEME_POLKIT || d->config->auth_unix_ro == AUTH_SCHEME_POLKIT)
        d->server.polkit = polkit_new(d->server.client_loop);
    d->server.access = access_new(daemon_config_has_driver(d->config, "berth") ? path : NULL, by_polkit ? d->server.polkit : NULL, err);
    return d->server.access ? 0 : -1;
}

static int domains_init(Daemon *d, Err *err)
{
    Server *s = &d->server;
    const ConfigDirs *dirs = &d->options.dirs;
    g_autofree char *config_dir = g_build_filename(dirs->sysconf, "qemu", NULL);
    g_autofree char *autostart_dir = g_build_filename(config_dir, "autostart", NULL);
    g_autofree char *run_dir = g_build_filename(dirs->run, "qemu", NULL);
    g_autofree char *state_dir = g_build_filename(dirs->state, "qemu", NULL);
    g_autofree char *log_dir = g_build_filename(dirs->log, "qemu", NULL);
    g_autofree char *cache_dir = g_build_filename(dirs->cache, "qemu", NULL);
    g_autofree char *caps_dir = g_build_filename(cache_dir, "capabilities", NULL);

    QemuCapsConfig cc = {.cache_dir = caps_dir, .uid = (uid_t)-1, .gid = (gid_t)-1};
    if (s->privileged && qemu_config_ids(d->qemu_config, &cc.uid, &cc.gid, err) < 0)
        return -1;
    s->caps = qemu_caps_cache_new(&cc);
    DomainDriverOpts o = {.monitor_loop = s->monitor_loop,
                          .client_loop = s->client_loop,
                          .pool = s->pool,
                          .bus = s->bus,
                          .config = d->qemu_config,
                          .caps = s->caps,
                          .config_dir = config_dir,
                          .autostart_dir = autostart_dir,
                          .run_dir = run_dir,
                          .state_dir = state_dir,
                          .log_dir = log_dir,
                          .cache_dir = cache_dir,
                          .privileged = s->privileged};
    /* Tens of thousands of definitions may take longer than a unit is commonly given to start. */
    sd_notifyf(0, "STATUS=Reading definitions\nEXTEND_TIMEOUT_USEC=%u", START_MOST_S * 1000000u);
    s->domains = domain_driver_new(&o, err);
    if (!s->domains)
        return -1;
    domain_driver_set_start_timeout(s->domains, (unsigned)d->config->start_timeout * 1000);
    image_allow_probing(d->config->backing_format_probing);
    return 0;
}

static void free_event(void *e)
{
    domain_event_free(e);
}

static RpcAuthMethod auth_method(AuthScheme scheme)
{
    static const RpcAuthMethod methods[AUTH_SCHEME_MAX] = {[AUTH_SCHEME_NONE] = RPC_AUTH_NONE, [AUTH_SCHEME_SASL] = RPC_AUTH_SASL,
                                                            [AUTH_SCHEME_POLKIT] = RPC_AUTH_POLKIT};
    return methods[scheme];
}

static bool wants_tls(const Daemon *d)
{
    return d->config->listen_tls > 0 || (d->config->listen_tls < 0 && d->options.listen);
}

/* What authentication stands on, for the sockets that ask for it. */
static int auth_init(Daemon *d, Err *err)
{
    const DaemonConfig *c = d->config;
    Server *s = &d->server;
    s->tcp_min_ssf = (unsigned)c->tcp_min_ssf;
    s->sasl_users = c->sasl_allowed_username_list;
    bool handed = sd_listen_fds(0) > 0; /* then the keys that ask for sockets are ignored */
    bool tcp = c->auth_tcp == AUTH_SCHEME_SASL && (handed ? listen_role_handed_over(LISTEN_TCP) : c->listen_tcp);
    bool tls = c->auth_tls == AUTH_SCHEME_SASL && (handed ? listen_role_handed_over(LISTEN_TLS) : wants_tls(d));
    bool local = c->auth_unix_rw == AUTH_SCHEME_SASL || (c->auth_unix_ro == AUTH_SCHEME_SASL && s->privileged);
    if (tcp || tls || local) {
        const PoolLimits limits = {.cap = {[LANE_FAST] = AUTH_WORKERS, [LANE_NORMAL] = AUTH_WORKERS, [LANE_LONG] = AUTH_WORKERS},
                                   .max_threads = AUTH_WORKERS,
                                   .idle_ms = 5000};
        s->auth_pool = pool_new(&limits);
    }
    return auth_sasl_up(s, tcp, tls || local, err);
}

static int up(Daemon *d, Err *err)
{
    Server *s = &d->server;
    if (dirs_make(&d->options.dirs, err) < 0)
        return -1;
    s->privileged = geteuid() == 0;
    s->client_loop = event_loop_new("client");
    s->monitor_loop = event_loop_new("monitor");
    s->job_timeout_ms = d->config->job_timeout * 1000;
    PoolLimits pl = daemon_pool_limits(d->config);
    s->pool = pool_new(&pl);
    s->bus = bus_new(s->client_loop);
    s->events = event_hub_new();
    s->progress = progress_new(s);
    s->tidy = tidy_new(s);
    bus_set_sink(s->bus, event_hub_sink, s->events, free_event);
    bus_set_wanted(s->bus, event_hub_any);
    event_loop_start(s->monitor_loop);
    if (access_init(d, err) < 0 || host_uuid_find(d->config, d->options.dirs.state, s->host_uuid, err) < 0 || signals_init(d, err) < 0 ||
        domains_init(d, err) < 0 || auth_init(d, err) < 0)
        return -1;
    d->service = (RpcService){.ud = s,
                              .known_program = gate_known_program,
                              .call = gate_call,
                              .opened = gate_opened,
                              .closed = gate_closed};
    RpcLimits rl = daemon_rpc_limits(d->config);
    s->rpc = rpc_server_new(s->client_loop, ADMIN_SERVER_MAIN, &rl, &d->service);
    d->admin_service = (RpcService){.ud = s,
                                    .known_program = admin_known_program,
                                    .call = admin_call,
                                    .opened = admin_opened,
                                    .closed = admin_closed};
    RpcLimits al = daemon_admin_limits(d->config);
    s->admin = rpc_server_new(s->client_loop, ADMIN_SERVER_ADMIN, &al, &d->admin_service);
    s->tls = tls_new(s->client_loop, d->config, s->privileged);
    ListenSpec spec = {.dir = d->config->unix_sock_dir ? d->config->unix_sock_dir : d->options.dirs.run,
                       .privileged = s->privileged,
                       .group = d->config->unix_sock_group,
                       .rw_mode = d->config->unix_sock_rw_perms,
                       .ro_mode = d->config->unix_sock_ro_perms,
                       .admin_mode = d->config->unix_sock_admin_perms,
                       .rw_auth = auth_method(d->config->auth_unix_rw),
                       .ro_auth = auth_method(d->config->auth_unix_ro),
                       .modular = d->config->modular_sockets,
                       .backlog = d->config->max_queued_clients,
                       .admin_backlog = d->config->admin_max_queued_clients,
                       .addr = d->config->listen_addr,
                       .tcp_port = d->config->listen_tcp ? d->config->tcp_port : NULL,
                       .tls_port = wants_tls(d) ? d->config->tls_port : NULL,
                       .tcp_auth = auth_method(d->config->auth_tcp),
                       .tls_auth = auth_method(d->config->auth_tls),
                       .tls_ready = tls_ready,
                       .tls_transport = tls_transport,
                       .tls_ud = s->tls};
    d->listen = listen_open(s->rpc, s->admin, &spec, err);
    if (!d->listen || pid_file_write(d, err) < 0)
        return -1;
    s->idle = idle_watch_new(s, daemon_idle_seconds(d));
    d->watchdog = watchdog_new(s->client_loop, s->monitor_loop, s->pool);
    return 0;
}

/* What still waits cannot be woken: for storage, for a process that does not end.  It would be waited for until its deadline; but all that
 * counts is in the files, and the next daemon finds the rest as after a crash. */
static void __attribute__((noreturn)) leave_them(Server *s)
{
    PoolStats st;
    pool_stats(s->pool, &st);
    log_warning("%u calls wait for what does not answer: not waited for", st.blocked + st.running[LANE_FAST] + st.running[LANE_NORMAL] +
                                                                            st.running[LANE_LONG]);
    domain_driver_flush(s->domains);
    audit_stop(s->audit);
    _exit(0);
}

static void down(Daemon *d)
{
    Server *s = &d->server;
    watchdog_free(d->watchdog);
    idle_watch_free(g_steal_pointer(&s->idle));
    listen_close(d->listen);
    if (s->rpc)
        rpc_server_stop(s->rpc, "the daemon stops");
    progress_stop(s->progress);
    if (s->admin)
        rpc_server_stop(s->admin, "the daemon stops");
    polkit_free(s->polkit);
    tidy_free(g_steal_pointer(&s->tidy));
    if (d->pid_file_ours) /* while the machines' lock is ours still: after it another daemon may have written its own */
        unlink(d->options.pid_file);
    /* Calls end first (they hold machines), then machines.  What workers posted to the client loop holds some of both; freed with that
     * loop, it lets timers go on the monitor loop, which therefore is the last. */
    domain_driver_stop(s->domains);
    if (s->pool && !pool_wait_idle(s->pool, deadline_in_ms(GRACE_MS))) {
        log_info("calls still wait for their machines: given up");
        domain_driver_let_go(s->domains);
        if (!pool_wait_idle(s->pool, deadline_in_ms(LAST_MS)))
            leave_them(s);
    }
    if (s->auth_pool && !pool_wait_idle(s->auth_pool, deadline_in_ms(LAST_MS)))
        leave_them(s);
    pool_free(s->auth_pool);
    pool_free(s->pool);
    domain_driver_free(s->domains);
    bus_free(s->bus);
    rpc_server_free(s->rpc);
    rpc_server_free(s->admin);
    tls_free(s->tls);
    if (s->monitor_loop) /* its thread may still post to the client loop (watchdog) */
        event_loop_stop(s->monitor_loop, 0);
    event_loop_join(s->monitor_loop);
    event_loop_free(s->client_loop);
    event_loop_free(s->monitor_loop);
    auth_sasl_down();
    event_hub_free(s->events);
    progress_free(s->progress);
    access_free(s->access);
    audit_free(s->audit);
    qemu_caps_cache_free(s->caps);
    daemon_config_unref(d->config);
    qemu_config_unref(d->qemu_config);
    options_done(&d->options);
}

static void report(const Err *err)
{
    g_autofree char *text = err_message(err);
    fprintf(stderr, "berthd: %s\n", text);
    log_error("%s", text);
}

int main(int argc, char **argv)
{
    static Daemon d = {.ready_pipe = -1};
    g_auto(Err) err = ERR_INIT;
    int r = standard_fds_open();
    if (r < 0) {
        err_set_errno(&err, -r, "opening /dev/null");
        report(&err);
        return 1;
    }
    r = options_parse(argc, argv, geteuid() == 0, &d.options);
    if (r >= 0)
        return r;
    sigset_t block;
    sigemptyset(&block);
    sigaddset(&block, SIGHUP); /* it would end us, where the others may: names in the configuration may be looked up far away */
    pthread_sigmask(SIG_BLOCK, &block, NULL);
    if (daemon_read_config(&d.options, &d.config, &d.qemu_config, &err) < 0) {
        report(&err);
        return 1;
    }
    if (d.options.check_config) {
        g_autofree char *rules = rules_path(&d.options);
        if (access_check_rules(rules, &err) < 0) {
            report(&err);
            return 1;
        }
        puts("the configuration is valid");
        return 0;
    }
    umask(022);
    /* One heap a thread (eight a core) would keep what a burst of workers freed: with two the daemon stays small. */
    mallopt(M_ARENA_MAX, 2);
    mallopt(M_TRIM_THRESHOLD, 256 * 1024);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is an error like any other */
    signal(SIGCHLD, SIG_DFL); /* ignored, as it may be inherited, it would take from us how children ended */
    sigaddset(&block, SIGTERM);
    sigaddset(&block, SIGINT);
    sigaddset(&block, SIGQUIT);
    pthread_sigmask(SIG_BLOCK, &block, NULL);
    if (d.options.daemonize && (r = go_background(&d)) < 0) {
        fprintf(stderr, "berthd: going to the background: %s\n", g_strerror(-r));
        return 1;
    }
    if (daemon_apply_log(&d.options, d.config, &err) < 0 || confine(&err) < 0 || up(&d, &err) < 0) {
        report(&err);
        down(&d);
        return 1;
    }
    say_ready(&d);
    domain_driver_go(d.server.domains);
    log_info("%s serves, process %d", PACKAGE_STRING, (int)getpid());
    r = event_loop_run(d.server.client_loop);
    d.stopping = true;
    sd_notify(0, "STOPPING=1\nSTATUS=Stopping; machines go on");
    down(&d);
    return r < 0 ? 1 : 0;
}
