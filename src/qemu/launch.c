/* qemu/launch.c - from a definition to a QEMU process that waits at its first instruction
 *
 * Owns:    the order of a launch, and giving everything back when it fails
 * Threads: workers; sleeps until the request's deadline at most
 * Locks:   none held, none known
 * Errors:  err->phase names the step; QEMU's own words and a hint when it ended by itself
 *
 * Theory of operation.  Images are opened first, because their backing chains are part of the command line.  The command line then says
 * which further descriptors QEMU is to inherit; they are opened, among them the monitor's socket, already listening: so the connection
 * can be made the moment QEMU exists, with no polling for a path to appear, and stays possible for a restarted daemon.  Our copies of
 * all descriptors are closed as soon as QEMU has them; when it ends early, the connection that waits in the socket's queue is
 * reset at once, and the pidfd tells how it ended.
 */
#include "config.h"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define LOG_AREA "qemu.launch"
#include "util/log.h"

#include "host/cgroup.h"
#include "host/proc.h"
#include "host/tap.h"
#include "qemu/launch_private.h"
#include "qmp/client.h"
#include "util/fd.h"
#include "util/file.h"
#include "util/pool.h"

#define CPUSET_MAX 16384u    /* CPUs a definition can name (model/units.c) */
#define SHORT_NAME_CHARS 20u /* of the name in directories: UNIX socket paths are short */
#define EXIT_WAIT_MS 5000u   /* a QEMU that closed its monitor has this long to end */

uint64_t process_start_time(pid_t pid)
{
    unsigned long long t = 0;
    return host_process_start_time(pid, &t) == 0 ? t : 0;
}

void launched_process_clear(LaunchedProcess *p)
{
    g_free(p->monitor_path);
    g_free(p->private_dir);
    g_free(p->log_path);
    g_free(p->cgroup);
    if (p->taps)
        g_ptr_array_unref(p->taps);
    *p = (LaunchedProcess){0};
}

void launched_process_copy(LaunchedProcess *dest, const LaunchedProcess *src)
{
    *dest = (LaunchedProcess){
        .pid = src->pid,
        .start_time = src->start_time,
        .monitor_path = g_strdup(src->monitor_path),
        .private_dir = g_strdup(src->private_dir),
        .log_path = g_strdup(src->log_path),
        .cgroup = g_strdup(src->cgroup),
        .node_index = src->node_index,
        .taps = g_ptr_array_new_with_free_func(g_free),
    };
    for (unsigned i = 0; src->taps && i < src->taps->len; i++)
        g_ptr_array_add(dest->taps, g_strdup(src->taps->pdata[i]));
}

/* ---- steps ------------------------------------------------------------------------------------------------------------------- */

/* "domain-3-name", the name cut after 20 characters (not inside one). Caller frees. */
static char *private_dir_name(const DomainDef *def)
{
    const char *end = def->name;
    for (unsigned n = 0; n < SHORT_NAME_CHARS && *end; n++) {
        const char *next = g_utf8_find_next_char(end, NULL);
        end = next && next > end ? next : end + 1;
    }
    return g_strdup_printf("domain-%d-%.*s", def->id, (int)(end - def->name), def->name);
}

/* The account QEMU runs as, with its supplementary groups (kvm, disk, …). */
static int find_account(Launch *l, Err *err)
{
    uid_t me = geteuid();
    if (me != 0) {
        l->uid = me;
        l->gid = getegid();
        return 0;
    }
    if (l->req->config == NULL)
        return 0;
    if (qemu_config_ids(l->req->config, &l->uid, &l->gid, err) < 0)
        return -1;
    l->change_ids = l->uid != 0 || l->req->config->clear_emulator_capabilities;
    struct passwd pw, *found = NULL;
    char buf[4096];
    if (getpwuid_r(l->uid, &pw, buf, sizeof(buf), &found) != 0 || found == NULL)
        return 0; /* a bare number: no groups but its own */
    int n = 0;
    getgrouplist(found->pw_name, l->gid, NULL, &n);
    if (n <= 0 || n > 65536)
        return 0;
    l->groups = g_new0(gid_t, (size_t)n);
    if (getgrouplist(found->pw_name, l->gid, l->groups, &n) < 0)
        n = 0;
    l->n_groups = (unsigned)n;
    return 0;
}

/* The guest's directory and everything QEMU put into it: a tree of QEMU's making, so nothing is followed. */
static void remove_tree(int parent, const char *name, unsigned depth)
{
    AUTO_CLOSE int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || depth > 16)
        return;
    char link[64];
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    g_autoptr(GDir) d = g_dir_open(link, 0, NULL);
    const char *n;
    while (d && (n = g_dir_read_name(d))) {
        if (unlinkat(fd, n, 0) < 0 && (errno == EISDIR || errno == EPERM))
            remove_tree(fd, n, depth + 1);
    }
    unlinkat(parent, name, AT_REMOVEDIR);
}

static void remove_private_dir(const char *path)
{
    if (path == NULL)
        return;
    remove_tree(AT_FDCWD, path, 0);
    if (access(path, F_OK) == 0)
        log_warning("cannot remove '%s' whole", path);
}

/* "domain-3-name" */
static bool is_private_dir(const char *name)
{
    if (!g_str_has_prefix(name, "domain-"))
        return false;
    const char *p = name + strlen("domain-");
    size_t digits = strspn(p, "0123456789");
    return digits > 0 && p[digits] == '-';
}

void qemu_launch_clean(const char *lib_dir, GHashTable *keep)
{
    g_autoptr(GDir) d = g_dir_open(lib_dir, 0, NULL);
    const char *n;
    while (d && (n = g_dir_read_name(d))) {
        g_autofree char *path = g_build_filename(lib_dir, n, NULL);
        if (!is_private_dir(n) || g_hash_table_contains(keep, path))
            continue;
        log_info("removing '%s', which an interrupted start left", path);
        remove_private_dir(path);
    }
}

static int make_private_dir(Launch *l, Err *err)
{
    const char *lib = l->req->dirs->lib_dir;
    g_autofree char *name = private_dir_name(l->def);
    int r = dir_make(lib, 0751);
    if (r < 0)
        return err_set_errno(err, -r, "cannot make directory '%s'", lib);
    l->proc.private_dir = g_build_filename(lib, name, NULL);
    l->proc.monitor_path = g_build_filename(l->proc.private_dir, "monitor.sock", NULL);
    remove_private_dir(l->proc.private_dir); /* left by a crash; another guest's QEMU may have written in it */
    if (mkdir(l->proc.private_dir, 0750) < 0)
        return err_set_errno(err, errno, "cannot make directory '%s'", l->proc.private_dir);
    l->dir_made = true;
    AUTO_CLOSE int fd = open(l->proc.private_dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return err_set_errno(err, errno, "cannot open directory '%s'", l->proc.private_dir);
    if (l->change_ids && fchown(fd, l->uid, l->gid) < 0)
        return err_set_errno(err, errno, "cannot give directory '%s' to uid %u", l->proc.private_dir, (unsigned)l->uid);
    if (fchmod(fd, 0750) < 0)
        return err_set_errno(err, errno, "cannot set the mode of directory '%s'", l->proc.private_dir);
    return 0;
}

static int build_argv(Launch *l, Err *err)
{
    AUTO_CLOSE int vhost = -1;
    for (unsigned i = 0; i < l->def->nets->len && vhost < 0; i++) {
        if (qemu_net_wants_vhost(l->def->nets->pdata[i]))
            vhost = vhost_net_open();
    }
    ArgvEnv env = {
        .caps = l->req->caps,
        .config = l->req->config,
        .private_dir = l->proc.private_dir,
        .vhost_net = vhost >= 0,
    };
    l->argv = qemu_argv_build(l->def, &env, err);
    return l->argv ? 0 : -1;
}

/* Where guests' cgroups go; found once, and once said when there is no such place. */
static const char *guests_cgroup(const LaunchDirs *dirs)
{
    static pthread_mutex_t once = PTHREAD_MUTEX_INITIALIZER;
    static bool looked;
    static char *base;
    if (dirs->cgroup_root)
        return dirs->cgroup_root;
    pthread_mutex_lock(&once);
    if (!looked) {
        g_auto(Err) err = ERR_INIT;
        base = cgroup_base(&err);
        if (base == NULL)
            log_warning("guests get no cgroups of their own: %s", err.detail);
        looked = true;
    }
    pthread_mutex_unlock(&once);
    return base;
}

/* "0-3,7", as the model normalized it, as bits. */
static void cpuset_bits(const char *text, unsigned long *bits)
{
    const unsigned per = 8 * sizeof(unsigned long);
    for (const char *p = text; *p;) {
        char *end;
        unsigned long first = strtoul(p, &end, 10), last = *end == '-' ? strtoul(end + 1, &end, 10) : first;
        for (unsigned long i = first; i <= last && i < CPUSET_MAX; i++)
            bits[i / per] |= 1ul << (i % per);
        p = *end == ',' ? end + 1 : "";
    }
}

static void enter_cgroup(Launch *l)
{
    const char *base = guests_cgroup(l->req->dirs);
    if (base == NULL)
        return;
    g_autofree char *name = g_path_get_basename(l->proc.private_dir);
    int r = cgroup_make(base, name, &l->proc.cgroup, &l->cgroup_fd);
    if (r < 0)
        log_warning("%s: no cgroup of its own: %s", l->def->name, g_strerror(-r));
}

static int on_birth(void *data, pid_t pid, Err *err)
{
    Launch *l = data;
    l->proc.pid = pid;
    l->proc.start_time = process_start_time(pid);
    return l->req->born ? l->req->born(l->req->born_data, &l->proc, err) : 0;
}

static int spawn_qemu(Launch *l, Err *err)
{
    const QemuConfig *c = l->req->config;
    unsigned n = l->argv->fds->len;
    unsigned long cpus[CPUSET_MAX / (8 * sizeof(unsigned long))] = {0};
    const char *cpuset = l->def->vcpu_cpuset;
    if (cpuset)
        cpuset_bits(cpuset, cpus);
    g_autofree SpawnFd *fds = g_new0(SpawnFd, n + 1);
    for (unsigned i = 0; i < n; i++)
        fds[i] = (SpawnFd){l->fds[i], g_array_index(l->argv->fds, ArgvFd, i).target};
    SpawnOpts o = {
        .argv = (const char *const *)l->argv->args->pdata,
        .env = (const char *const *)l->argv->env->pdata,
        .fd_in = -1,
        .fd_out = l->log_fd,
        .fd_err = l->log_fd,
        .fds = fds,
        .n_fds = n,
        .change_ids = l->change_ids,
        .uid = l->uid,
        .gid = l->gid,
        .groups = l->groups,
        .n_groups = l->n_groups,
        .new_session = true,
        .no_new_privs = true,
        .cpus = cpuset ? cpus : NULL,
        .cpus_size = sizeof(cpus),
        .umask = 0002,
        .cgroup_fd = l->cgroup_fd,
        .before_exec = on_birth,
        .before_exec_data = l,
    };
    if (c) {
        o.rlimit_core = c->max_core == UINT64_MAX ? 0 : MAX(c->max_core, 1);
        o.rlimit_nofile = c->max_files > 0 ? (uint64_t)c->max_files : 0;
        o.rlimit_nproc = c->max_processes > 0 ? (uint64_t)c->max_processes : 0;
    }
    if (spawn(&o, &l->child, err) < 0)
        return -1;
    /* QEMU has them now; a copy of ours would keep a dead QEMU's sockets alive */
    launch_close_fds(l);
    return 0;
}

/* The connection ended before QMP was ready: because QEMU ended, or for its own reason (already in err). */
static int monitor_failed(Launch *l, Err *qmp_err, Err *err)
{
    int status = 0;
    pool_blocking_begin();
    int ended = child_wait(&l->child, deadline_in_ms(EXIT_WAIT_MS), &status);
    pool_blocking_end();
    if (ended != 1) {
        err_move(err, qmp_err);
        return err_wrap(err, "connecting to the monitor");
    }
    fd_close(&l->child.pidfd); /* reaped */
    launch_explain_exit(l, status, err);
    launch_log_line(l->proc.log_path, "shutting down, reason=failed");
    return -1;
}

static int connect_monitor(Launch *l, Err *err)
{
    const LaunchRequest *req = l->req;
    g_auto(Err) own = ERR_INIT;
    int fd = qmp_connect_unix(l->proc.monitor_path, req->deadline, &own);
    if (fd < 0)
        return monitor_failed(l, &own, err);
    l->qmp = qmp_client_new(req->monitor_loop, fd, req->deadline, req->handlers, req->handlers_data);
    if (qmp_client_wait_ready(l->qmp, req->deadline, &own) == 0)
        return 0;
    if (deadline_passed(req->deadline)) {
        err_move(err, &own);
        return err_wrap(err, "waiting for the monitor");
    }
    return monitor_failed(l, &own, err);
}

/* After a step over QMP failed: QEMU may have died meanwhile, and then its words are the better explanation. */
static int settle(Launch *l, Err *err)
{
    g_auto(Err) own = ERR_INIT;
    if (launch_settle(l, &own) == 0)
        return 0;
    if (qmp_client_is_closed(l->qmp))
        return monitor_failed(l, &own, err);
    err_move(err, &own);
    return -1;
}

/* ---- the whole --------------------------------------------------------------------------------------------------------------- */

typedef struct Step {
    int (*run)(Launch *l, Err *err);
    const char *phase;
} Step;

static const Step steps[] = {
    {find_account, "finding QEMU's account"},
    {make_private_dir, "preparing the guest's directory"},
    {launch_prepare_def, "preparing the definition"},
    {launch_open_images, "opening images"},
    {build_argv, "making the command line"},
    {launch_open_fds, "opening devices"},
    {launch_open_log, "opening the log"},
    {spawn_qemu, "starting QEMU"},
    {connect_monitor, "connecting to the monitor"},
    {settle, "setting up the machine"},
};

/* Channel sockets and the directory they were made in. */
static void remove_channels(const DomainDef *def, const char *private_dir)
{
    g_autofree char *base = g_path_get_basename(private_dir);
    g_autofree char *dir = NULL;
    for (unsigned i = 0; i < def->channels->len; i++) {
        const ChrDef *c = def->channels->pdata[i];
        if (c->source.type != CHR_UNIX || c->source.mode == CHR_MODE_CONNECT || c->source.path == NULL)
            continue;
        g_autofree char *parent = g_path_get_dirname(c->source.path);
        g_autofree char *leaf = g_path_get_basename(parent);
        if (strcmp(leaf, base) != 0)
            continue; /* a place of the user's */
        unlink(c->source.path);
        g_free(dir);
        dir = g_steal_pointer(&parent);
    }
    if (dir)
        rmdir(dir);
}

static void forget_cgroup(const char *path)
{
    if (path == NULL)
        return;
    int r = cgroup_remove(path);
    if (r == -EBUSY) { /* something QEMU left behind */
        cgroup_kill(path);
        r = cgroup_remove(path);
    }
    if (r < 0)
        log_debug("cgroup '%s': %s", path, g_strerror(-r));
}

/* Gives back what a failed launch holds. */
static void undo(Launch *l)
{
    if (l->qmp) {
        qmp_client_close(l->qmp, "the start failed");
        l->qmp = qmp_client_unref(l->qmp);
    }
    if (l->child.pidfd >= 0) {
        child_kill(&l->child);
        launch_log_line(l->proc.log_path, "shutting down, reason=failed");
    }
    for (unsigned i = 0; i < l->sockets->len; i++)
        unlink(l->sockets->pdata[i]);
    for (unsigned i = 0; i < l->ports->len; i++)
        launch_port_release(g_array_index(l->ports, int, i));
    if (l->dir_made) {
        remove_channels(l->def, l->proc.private_dir);
        remove_private_dir(l->proc.private_dir);
    }
    forget_cgroup(l->proc.cgroup);
    launched_process_clear(&l->proc);
}

static void launch_done(Launch *l)
{
    launch_close_fds(l);
    fd_close(&l->log_fd);
    fd_close(&l->cgroup_fd);
    g_free(l->fds);
    g_free(l->groups);
    qemu_argv_free(l->argv);
    image_set_free(l->images);
    g_hash_table_unref(l->node_fds);
    g_hash_table_unref(l->boot_fds);
    g_ptr_array_unref(l->sockets);
    g_array_unref(l->ports);
}

static void launch_init(Launch *l, const LaunchRequest *req)
{
    *l = (Launch){
        .req = req,
        .def = req->def,
        .node_fds = g_hash_table_new(NULL, NULL),
        .boot_fds = g_hash_table_new(g_str_hash, g_str_equal),
        .sockets = g_ptr_array_new_with_free_func(g_free),
        .ports = g_array_new(FALSE, TRUE, sizeof(int)),
        .cgroup_fd = -1,
        .log_fd = -1,
        .child = {0, -1},
        .proc = {.taps = g_ptr_array_new_with_free_func(g_free)},
    };
}

int qemu_launch(const LaunchRequest *req, LaunchResult *ret, Err *err)
{
    Launch l;
    launch_init(&l, req);
    int r = 0;
    for (unsigned i = 0; i < N_ELEMENTS(steps) && r == 0; i++) {
        uint64_t began = now_us();
        if (steps[i].run == spawn_qemu)
            enter_cgroup(&l);
        r = steps[i].run(&l, err);
        if (r < 0)
            err_set_phase(err, steps[i].phase);
        log_debug("%s: %s: %" G_GUINT64_FORMAT " us", req->def->name, steps[i].phase, (guint64)(now_us() - began));
    }
    if (r == 0) {
        *ret = (LaunchResult){.proc = l.proc, .child = l.child, .qmp = l.qmp};
        l.child.pidfd = -1;
    } else {
        undo(&l);
    }
    launch_done(&l);
    return r;
}

/* ---- reconnect, cleanup ------------------------------------------------------------------------------------------------------ */

/* A pidfd of the very process; -1 when it is gone (*ret_gone) or cannot be told. */
static int verify_process(const LaunchedProcess *proc, bool *ret_gone, Err *err)
{
    *ret_gone = false;
    /* the descriptor first: from then on the pid cannot come to mean another process without the descriptor saying so */
    AUTO_CLOSE int pidfd = (int)syscall(SYS_pidfd_open, proc->pid, 0);
    if (pidfd < 0) {
        *ret_gone = errno == ESRCH;
        return err_set_errno(err, errno, "process %d of the guest", (int)proc->pid);
    }
    uint64_t start = process_start_time(proc->pid);
    if (start != proc->start_time) {
        *ret_gone = start != 0; /* another process: ours is gone */
        if (start == 0)
            *ret_gone = syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 0) < 0 && errno == ESRCH;
        return err_set(err, VIR_ERR_OPERATION_FAILED, "process %d is not the guest's QEMU any more", (int)proc->pid);
    }
    return take_fd(&pidfd);
}

static void mark_ports(const DomainDef *def)
{
    for (unsigned i = 0; i < def->graphics->len; i++) {
        const GraphicsDef *g = def->graphics->pdata[i];
        launch_port_mark(g->port);
        launch_port_mark(g->websocket);
    }
}

int qemu_launch_reconnect(const LaunchRequest *req, const LaunchedProcess *proc, LaunchResult *ret, bool *ret_gone, Err *err)
{
    AUTO_CLOSE int pidfd = verify_process(proc, ret_gone, err);
    if (pidfd < 0)
        return -1;
    mark_ports(req->def);
    int fd = qmp_connect_unix(proc->monitor_path, req->deadline, err);
    if (fd < 0)
        return err_wrap(err, "connecting to the monitor again");
    QmpClient *qmp = qmp_client_new(req->monitor_loop, fd, req->deadline, req->handlers, req->handlers_data);
    if (qmp_client_wait_ready(qmp, req->deadline, err) < 0) {
        qmp_client_close(qmp, "no answer after a restart of the daemon");
        qmp_client_unref(qmp);
        return err_wrap(err, "connecting to the monitor again");
    }
    *ret = (LaunchResult){.child = {proc->pid, take_fd(&pidfd)}, .qmp = qmp};
    launched_process_copy(&ret->proc, proc);
    return 0;
}

void qemu_launch_cleanup(const LaunchedProcess *proc, const DomainDef *def, const char *reason)
{
    if (reason)
        launch_log_line(proc->log_path, "shutting down, reason=%s", reason);
    for (unsigned i = 0; proc->taps && i < proc->taps->len; i++)
        link_delete(proc->taps->pdata[i]);
    for (unsigned i = 0; def && i < def->graphics->len; i++) {
        const GraphicsDef *g = def->graphics->pdata[i];
        launch_port_release(g->port);
        launch_port_release(g->websocket);
    }
    if (def && proc->private_dir)
        remove_channels(def, proc->private_dir);
    remove_private_dir(proc->private_dir);
    forget_cgroup(proc->cgroup);
}
