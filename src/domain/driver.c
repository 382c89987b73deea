/* domain/driver.c - all machines of this host, and what they share
 *
 * Owns:    the registry, the lock file, ids, the present qemu.conf settings; load and end
 * Threads: new, go, free on the main thread; the rest any
 * Locks:   driver.lock (below the domain, above the leaves)
 * Errors:  VIR_ERR_OPERATION_FAILED naming the daemon that holds the state directory
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define LOG_AREA "domain.driver"
#include "util/fd.h"
#include "util/file.h"
#include "util/log.h"
#include "util/uuid.h"
#include "domain/lifecycle.h"
#include "domain/private.h"
#include "domain/reconnect.h"
#include "domain/snapshot.h"
#include "qemu/conf.h"
#include "store/autostart.h"
#include "store/defs.h"
#include "store/status.h"
#include "api_enums.h"

#define BOOT_ID  "/proc/sys/kernel/random/boot_id"
#define START_MS 60000

struct DomainDriver {
    gint refs;
    DomainDriverOpts opts; /* strings are ours */
    Registry *registry;
    RosterKeeper roster;
    DefsStore *defs;
    int lock_fd;
    GPtrArray *to_reconnect; /* Reconnect, until go */
    gint next_id;
    gint autodestroy_seen;
    gint start_ms;
    Mutex lock; /* LOCK_BUS: pool_submit() is called under it */
    unsigned tasks;
    bool stopping;
    QemuConfig *config;
};

/* ---- lock file --------------------------------------------------------------------------------------------------- */

/* The same file and kind of lock as libvirtd's, so that neither starts beside the other. */
static int take_lock(DomainDriver *drv, Err *err)
{
    g_autofree char *path = g_strdup_printf("%s/driver.pid", drv->opts.run_dir);
    AUTO_CLOSE int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0)
        return err_set_errno(err, errno, "cannot open the lock file '%s'", path);
    struct flock fl = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1};
    if (fcntl(fd, F_SETLK, &fl) < 0) {
        int e = errno;
        if (e != EACCES && e != EAGAIN)
            return err_set_errno(err, e, "cannot lock '%s'", path);
        struct flock holder = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1};
        if (fcntl(fd, F_GETLK, &holder) < 0)
            holder.l_pid = 0;
        g_autofree char *comm_path = g_strdup_printf("/proc/%d/comm", (int)holder.l_pid);
        g_autofree char *comm = NULL;
        size_t len;
        if (file_read(comm_path, 64, &comm, &len) == 0)
            g_strchomp(comm);
        err_set(err, VIR_ERR_OPERATION_FAILED, "process %d (%s) already looks after the machines of '%s'",
                (int)holder.l_pid, comm ? comm : "unknown", drv->opts.run_dir);
        return err_hint(err, "stop it first, or give this daemon directories of its own");
    }
    char text[32];
    int n = snprintf(text, sizeof(text), "%d\n", (int)getpid());
    if (ftruncate(fd, 0) < 0 || fd_write_all(fd, text, (size_t)n) < 0)
        log_warning("cannot write our pid into '%s'", path);
    drv->lock_fd = take_fd(&fd);
    return 0;
}

/* ---- load -------------------------------------------------------------------------------------------------------- */

/* A RECONNECT job held from load until the machine is reached. */
typedef struct Reconnect {
    JobRequest job;
    Domain *d; /* reference */
} Reconnect;

static void reconnect_granted(JobRequest *r)
{
    /* nobody else asks before the listeners are open: granted at once, run by domain_driver_go() */
}

static void reconnect_refused(JobRequest *r, Err *err)
{
    g_assert_not_reached();
}

static void reconnect_task(void *arg)
{
    Reconnect *r = arg;
    domain_lock(r->d);
    domain_reconnect(r->d, NULL);
    domain_unlock(r->d);
    domain_flush_or_retry(r->d);
    job_end(&r->job);
    domain_driver_task_end(r->d->drv);
    object_unref(r->d);
    g_free(r);
}

static void reconnect_drop(Reconnect *r)
{
    job_end(&r->job);
    object_unref(r->d);
    g_free(r);
}

static int load_definitions(DomainDriver *drv, Err *err)
{
    defs_clean(drv->opts.config_dir);
    g_autoptr(GPtrArray) defs = defs_load(drv->defs, err);
    if (!defs)
        return -1;
    g_autoptr(GHashTable) autostart = autostart_names(drv->opts.autostart_dir);
    for (unsigned i = 0; i < defs->len; i++) {
        const LoadedDef *l = defs->pdata[i];
        Domain *d = domain_new(drv, l->def->uuid, l->name);
        domain_lock(d);
        d->persistent = true;
        d->autostart = g_hash_table_contains(autostart, l->name);
        domain_set_config(d, stored_def_ref(l->def));
        domain_unlock(d);
        Object *other = NULL;
        if (registry_add(drv->registry, &d->obj, l->name, &other) < 0) {
            log_error("definition of '%s' is skipped: '%s' has the same uuid; remove one of the files", l->name,
                      ((Domain *)other)->name);
            object_unref(other);
        }
        object_unref(d);
    }
    return 0;
}

static Domain *machine_of(DomainDriver *drv, const StatusRecord *rec)
{
    Domain *d = registry_by_uuid(drv->registry, rec->live->uuid);
    if (d && strcmp(d->name, rec->live->name) == 0)
        return d;
    if (d) {
        object_unref(d);
        return NULL;
    }
    d = domain_new(drv, rec->live->uuid, rec->live->name);
    domain_lock(d);
    d->priv->last = stored_def_new(rec->live);
    domain_mark_changed(d);
    domain_unlock(d);
    if (registry_add(drv->registry, &d->obj, rec->live->name, NULL) == 0)
        return d;
    object_unref(d);
    return NULL;
}

/* False: the machine is somebody else's, or cannot be told. */
static bool load_one_status(DomainDriver *drv, const char *name)
{
    g_auto(StatusRecord) rec = {0};
    g_auto(Err) err = ERR_INIT;
    switch (status_load(drv->opts.run_dir, name, &rec, &err)) {
    case STATUS_OK:
        break;
    case STATUS_MISSING:
        return true;
    default: {
        g_autofree char *m = err_message(&err);
        log_warning("machine '%s' is left alone: %s", name, m);
        Domain *d = registry_by_name(drv->registry, name);
        if (d) {
            d->priv->foreign = true;
            object_unref(d);
        }
        return false;
    }
    }
    Domain *d = machine_of(drv, &rec);
    if (!d) {
        log_error("running machine '%s' is left alone: another machine has its name or uuid", name);
        return false;
    }
    domain_load_status(d, &rec);
    Reconnect *r = g_new0(Reconnect, 1);
    r->d = d;
    r->job = (JobRequest){.kind = JOB_RECONNECT,
                          .what = "reconnect",
                          .deadline = {UINT64_MAX},
                          .granted = reconnect_granted,
                          .refused = reconnect_refused};
    job_request(d, &r->job);
    g_ptr_array_add(drv->to_reconnect, r);
    return true;
}

static void sweep_leftovers(const DomainDriver *drv)
{
    LaunchDirs dirs = {.lib_dir = drv->opts.state_dir, .log_dir = drv->opts.log_dir};
    g_autoptr(GHashTable) in_use = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (unsigned i = 0; i < drv->to_reconnect->len; i++) {
        const Reconnect *r = drv->to_reconnect->pdata[i];
        if (r->d->priv->proc.private_dir)
            g_hash_table_add(in_use, g_path_get_basename(r->d->priv->proc.private_dir));
    }
    qemu_launch_sweep(&dirs, in_use);
}

static int load_status(DomainDriver *drv, Err *err)
{
    defs_clean(drv->opts.run_dir);
    g_autoptr(GPtrArray) names = defs_names(drv->opts.run_dir, err);
    if (!names)
        return -1;
    bool all_known = true;
    for (unsigned i = 0; i < names->len; i++)
        all_known = load_one_status(drv, names->pdata[i]) && all_known;
    if (all_known) /* else a directory may belong to a machine of that other daemon */
        sweep_leftovers(drv);
    return 0;
}

static int make_dirs(const DomainDriverOpts *o, Err *err)
{
    const struct {
        const char *path;
        mode_t mode;
    } dirs[] = {
        {o->config_dir, 0700}, {o->autostart_dir, 0700}, {o->run_dir, 0755}, {o->state_dir, 0751}, {o->log_dir, 0711}};
    for (unsigned i = 0; i < N_ELEMENTS(dirs); i++) {
        int r = dir_make_durable(dirs[i].path, dirs[i].mode);
        if (r < 0)
            return err_set_errno(err, -r, "cannot make the directory '%s'", dirs[i].path);
    }
    return 0;
}

DomainDriver *domain_driver_new(const DomainDriverOpts *opts, Err *err)
{
    DomainDriver *drv = g_new0(DomainDriver, 1);
    drv->refs = 1;
    drv->lock_fd = -1;
    drv->next_id = 1;
    drv->start_ms = START_MS;
    drv->opts = *opts;
    drv->opts.config_dir = g_strdup(opts->config_dir);
    drv->opts.autostart_dir = g_strdup(opts->autostart_dir);
    drv->opts.run_dir = g_strdup(opts->run_dir);
    drv->opts.state_dir = g_strdup(opts->state_dir);
    drv->opts.log_dir = g_strdup(opts->log_dir);
    drv->opts.cache_dir = g_strdup(opts->cache_dir);
    drv->config = opts->config ? qemu_config_ref(opts->config) : NULL;
    drv->opts.config = NULL; /* domain_driver_config() */
    mutex_init(&drv->lock, LOCK_BUS, "domain driver");
    drv->registry = registry_new("domains");
    roster_keeper_init(&drv->roster);
    drv->to_reconnect = g_ptr_array_new();
    g_autofree char *index = opts->cache_dir ? g_build_filename(opts->cache_dir, "definitions", NULL) : NULL;
    drv->defs = defs_open(drv->opts.config_dir, index);
    defs_set_move(drv->defs, domain_snapshots_move, drv);
    /* A directory that cannot be read is not an empty one: running machines would be taken for leftovers. */
    if (make_dirs(&drv->opts, err) < 0 || take_lock(drv, err) < 0 || load_definitions(drv, err) < 0 || load_status(drv, err) < 0) {
        domain_driver_free(drv);
        return NULL;
    }
    domain_snapshots_load(drv);
    domain_snapshots_load_intents(drv);
    log_info("%u machines, %u of them running", registry_count(drv->registry), drv->to_reconnect->len);
    return drv;
}

/* ---- go ---------------------------------------------------------------------------------------------------------- */

static void autostart_task(Domain *d, void *unused)
{
    g_auto(Err) err = ERR_INIT;
    if (domain_is_active(d) || d->removing || !d->autostart)
        return;
    if (domain_start(d, 0, 0, &err) < 0)
        log_error("%s: not autostarted: %s%s%s", d->name, err.detail, err.hint ? "; " : "", err.hint ? err.hint : "");
}

/* True once per boot of the host.  When it cannot be found out, machines that somebody may have shut down since are not started again. */
static bool first_time_this_boot(const DomainDriver *drv)
{
    g_autofree char *path = g_strdup_printf("%s/autostarted", drv->opts.run_dir);
    g_autofree char *now = NULL, *then = NULL;
    size_t len;
    int r = file_read(path, 256, &then, &len);
    if (r < 0 && r != -ENOENT) {
        log_error("cannot read '%s': %s; no machine is started with the host", path, g_strerror(-r));
        return false;
    }
    int known = file_read(BOOT_ID, 256, &now, &len);
    if (then && (known < 0 || strcmp(now, then) == 0))
        return false;
    if (known < 0)
        now = g_strdup("unknown\n");
    r = file_replace(path, now, strlen(now), 0600, 0);
    if (r < 0)
        log_warning("cannot write '%s': %s; machines may be started again by the next daemon", path, g_strerror(-r));
    return true;
}

void domain_driver_go(DomainDriver *drv)
{
    for (unsigned i = 0; i < drv->to_reconnect->len; i++) {
        Reconnect *r = drv->to_reconnect->pdata[i];
        domain_driver_task_begin(drv);
        if (!domain_driver_submit(drv, LANE_NORMAL, reconnect_task, r)) {
            domain_driver_task_end(drv);
            reconnect_drop(r);
        }
    }
    g_ptr_array_set_size(drv->to_reconnect, 0);
    domain_snapshots_go(drv);
    if (!first_time_this_boot(drv))
        return;
    g_autoptr(GPtrArray) all = registry_list(drv->registry);
    for (unsigned i = 0; i < all->len; i++) {
        Domain *d = all->pdata[i];
        g_autoptr(DomainView) v = domain_view(d);
        if (v->autostart && !v->live)
            domain_task(d, JOB_MODIFY, "autostart", 0, autostart_task, NULL, NULL);
    }
}

/* ---- end --------------------------------------------------------------------------------------------------------- */

/* Lets go of a running machine: it runs on, its file says how to find it. */
static void let_go(Domain *d)
{
    g_auto(Err) err = ERR_INIT;
    if (domain_flush(d, &err) < 0)
        log_warning("status of %s is not written: %s", d->name, err.detail);
    domain_lock(d);
    domain_drop_monitor(d, "the daemon ends");
    Timer *retry = g_steal_pointer(&d->priv->retry), *flush_retry = g_steal_pointer(&d->priv->flush_retry);
    domain_unlock(d);
    timer_free(retry); /* before the machine goes: they make tasks of it */
    timer_free(flush_retry);
    kill_switch_disarm(d);
}

DomainDriver *domain_driver_ref(DomainDriver *drv)
{
    g_atomic_int_inc(&drv->refs);
    return drv;
}

void domain_driver_unref(DomainDriver *drv)
{
    if (!g_atomic_int_dec_and_test(&drv->refs))
        return;
    g_ptr_array_unref(drv->to_reconnect);
    defs_close(drv->defs);
    qemu_config_unref(drv->config);
    mutex_done(&drv->lock);
    roster_keeper_done(&drv->roster);
    const char *strings[] = {drv->opts.config_dir, drv->opts.autostart_dir, drv->opts.run_dir, drv->opts.state_dir,
                             drv->opts.log_dir, drv->opts.cache_dir};
    for (unsigned i = 0; i < N_ELEMENTS(strings); i++)
        g_free((void *)(uintptr_t)strings[i]);
    g_free(drv);
}

void domain_driver_stop(DomainDriver *drv)
{
    if (!drv)
        return;
    LOCK_SCOPE(&drv->lock);
    drv->stopping = true;
}

void domain_driver_let_go(DomainDriver *drv)
{
    if (!drv)
        return;
    g_autoptr(GPtrArray) all = registry_list(drv->registry);
    for (unsigned i = 0; i < all->len; i++) {
        Domain *d = all->pdata[i];
        domain_lock(d);
        kill_switch_hurry(d, d->priv->starting);
        if (d->priv->qmp)
            domain_drop_monitor(d, "the daemon ends");
        domain_unlock(d);
    }
}

void domain_driver_flush(DomainDriver *drv)
{
    if (!drv)
        return;
    g_autoptr(GPtrArray) all = registry_list(drv->registry);
    for (unsigned i = 0; i < all->len; i++) {
        g_auto(Err) err = ERR_INIT;
        if (domain_flush(all->pdata[i], &err) < 0)
            log_warning("%s", err.detail);
    }
}

bool domain_driver_submit(DomainDriver *drv, Lane lane, void (*fn)(void *arg), void *arg)
{
    LOCK_SCOPE(&drv->lock);
    if (drv->stopping)
        return false;
    pool_submit(drv->opts.pool, lane, fn, arg);
    return true;
}

void domain_driver_free(DomainDriver *drv)
{
    if (!drv)
        return;
    for (unsigned i = 0; i < drv->to_reconnect->len; i++) /* never went */
        reconnect_drop(drv->to_reconnect->pdata[i]);
    g_ptr_array_set_size(drv->to_reconnect, 0);
    domain_driver_stop(drv);
    g_autoptr(GPtrArray) all = registry_list(drv->registry);
    for (unsigned i = 0; i < all->len; i++) {
        Domain *d = all->pdata[i];
        g_autoptr(DomainView) v = domain_view(d);
        if (v->live)
            let_go(d);
    }
    g_ptr_array_set_size(all, 0);
    g_clear_pointer(&drv->registry, registry_free);
    fd_close(&drv->lock_fd);
    domain_driver_unref(drv);
}

/* ---- what is shared ---------------------------------------------------------------------------------------------- */

void domain_driver_reload(DomainDriver *drv, QemuConfig *config)
{
    QemuConfig *old;
    {
        LOCK_SCOPE(&drv->lock);
        old = drv->config;
        drv->config = qemu_config_ref(config);
    }
    qemu_config_unref(old);
}

void domain_driver_set_start_timeout(DomainDriver *drv, unsigned ms)
{
    g_atomic_int_set(&drv->start_ms, (gint)ms);
}

Deadline domain_driver_start_deadline(DomainDriver *drv)
{
    return deadline_in_ms((uint64_t)g_atomic_int_get(&drv->start_ms));
}

QemuConfig *domain_driver_config(DomainDriver *drv)
{
    LOCK_SCOPE(&drv->lock);
    return drv->config ? qemu_config_ref(drv->config) : NULL;
}

RosterKeeper *domain_driver_roster_keeper(DomainDriver *drv)
{
    return &drv->roster;
}

Registry *domain_driver_registry(DomainDriver *drv)
{
    return drv->registry;
}

DefsStore *domain_driver_defs(DomainDriver *drv)
{
    return drv->defs;
}

Bus *domain_driver_bus(DomainDriver *drv)
{
    return drv->opts.bus;
}

const DomainDriverOpts *domain_driver_opts(DomainDriver *drv)
{
    return &drv->opts;
}

void domain_driver_task_begin(DomainDriver *drv)
{
    LOCK_SCOPE(&drv->lock);
    drv->tasks++;
}

void domain_driver_task_end(DomainDriver *drv)
{
    LOCK_SCOPE(&drv->lock);
    drv->tasks--;
}

bool domain_driver_busy(DomainDriver *drv)
{
    {
        LOCK_SCOPE(&drv->lock);
        if (drv->tasks > 0)
            return true;
    }
    g_autoptr(GPtrArray) all = registry_list(drv->registry);
    for (unsigned i = 0; i < all->len; i++) {
        g_autoptr(DomainView) v = domain_view(all->pdata[i]);
        if (v->live)
            return true;
    }
    return false;
}

int domain_driver_next_id(DomainDriver *drv)
{
    return g_atomic_int_add(&drv->next_id, 1);
}

void domain_driver_seen_id(DomainDriver *drv, int id)
{
    gint now = g_atomic_int_get(&drv->next_id);
    while (id >= now && !g_atomic_int_compare_and_exchange(&drv->next_id, now, id + 1))
        now = g_atomic_int_get(&drv->next_id);
}

void domain_driver_note_autodestroy(DomainDriver *drv)
{
    g_atomic_int_set(&drv->autodestroy_seen, 1);
}

bool domain_driver_has_autodestroy(DomainDriver *drv)
{
    return g_atomic_int_get(&drv->autodestroy_seen) != 0;
}

/* ---- look-ups
 * -------------------------------------------------------------------------------------------------------------- */

Domain *domain_by_uuid(DomainDriver *drv, const uint8_t uuid[UUID_LEN], const char *name_for_error, Err *err)
{
    Domain *d = registry_by_uuid(drv->registry, uuid);
    if (d)
        return d;
    char text[UUID_STRING_LEN];
    uuid_format(uuid, text);
    if (name_for_error)
        err_set(err, VIR_ERR_NO_DOMAIN, "no domain with matching uuid '%s' (%s)", text, name_for_error);
    else
        err_set(err, VIR_ERR_NO_DOMAIN, "no domain with matching uuid '%s'", text);
    return NULL;
}

Domain *domain_by_name(DomainDriver *drv, const char *name, Err *err)
{
    Domain *d = registry_by_name(drv->registry, name);
    if (!d)
        err_set(err, VIR_ERR_NO_DOMAIN, "no domain with matching name '%s'", name);
    return d;
}

Domain *domain_by_id(DomainDriver *drv, int id, Err *err)
{
    Domain *d = registry_by_id(drv->registry, id);
    if (!d)
        err_set(err, VIR_ERR_NO_DOMAIN, "no domain with matching id %d", id);
    return d;
}
