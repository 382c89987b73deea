/* domain/start.c - a definition becomes a running machine
 *
 * Owns:    the order of a start after QEMU exists; what is asked and told before the first instruction
 * Threads: workers; sleeps
 * Locks:   the domain's, released while QEMU is launched and spoken to; a MODIFY job is held throughout
 * Errors:  the launch's own (phase, QEMU's words, hint); later ones are wrapped with the step
 *
 * Theory of operation.  launch -> (the process exists, and is not QEMU yet) status file, marked "starting": a daemon
 * that dies from here on finds a half-started machine and kills it -> live is set, state paused/starting up -> questions and settings over QMP -> cont ->
 * STARTED.  A failure after the launch kills the process and tears down quietly: no client was told of a start, so none
 * is told of an end.
 */
#include "config.h"

#include <signal.h>
#include <string.h>

#define LOG_AREA "domain.start"
#include "util/log.h"
#include "domain/complete.h"
#include "domain/fd_groups.h"
#include "domain/lifecycle.h"
#include "domain/private.h"
#include "domain/snapshot.h"
#include "qemu/caps.h"
#include "qemu/conf.h"
#include "qemu/cpu_guest.h"
#include "store/status.h"
#include "api_enums.h"

#define BALLOON_PATH "/machine/peripheral/"

/* ---- questions --------------------------------------------------------------------------------------------------- */

/* A query whose failure is no reason to fail: QEMU has no such device, say.  1 answered, 0 refused by QEMU, -1 the
 * machine is gone. */
static int ask(Domain *d, const QmpCommand *cmd, json_t *args, json_t **ret, Err *err)
{
    g_auto(Err) own = ERR_INIT;
    QmpStatus s = domain_qmp_status(d, cmd, args, ret, &own);
    if (s == QMP_OK)
        return 1;
    if (qmp_status_is_reply(s)) {
        log_debug("%s: %s: %s", d->name, cmd->name, own.detail);
        return 0;
    }
    err_move(err, &own);
    return -1;
}

static int read_vcpus(Domain *d, Err *err)
{
    DomainPrivate *p = d->priv;
    json_t *ret = NULL;
    int r = ask(d, QMP(QUERY_CPUS_FAST), NULL, &ret, err);
    if (r <= 0)
        return r;
    unsigned n = MIN((unsigned)json_array_size(ret), d->live->max_vcpus);
    pid_t *tids = g_new0(pid_t, n + 1);
    size_t i;
    json_t *cpu;
    json_array_foreach(ret, i, cpu)
    {
        json_int_t index = json_integer_value(json_object_get(cpu, "cpu-index"));
        if (index >= 0 && index < (json_int_t)n)
            tids[index] = (pid_t)json_integer_value(json_object_get(cpu, "thread-id"));
    }
    json_decref(ret);
    g_free(p->vcpu_tids);
    p->vcpu_tids = tids;
    p->n_vcpu_tids = n;
    domain_mark_changed(d);
    return 0;
}

static int read_balloon(Domain *d, Err *err)
{
    json_t *ret = NULL;
    int r = ask(d, QMP(QUERY_BALLOON), NULL, &ret, err);
    if (r <= 0)
        return r;
    json_int_t actual = json_integer_value(json_object_get(ret, "actual"));
    json_decref(ret);
    uint64_t kib = actual > 0 ? (uint64_t)actual / 1024 : 0;
    if (kib != d->priv->balloon_kib) {
        d->priv->balloon_kib = kib;
        domain_mark_changed(d);
    }
    return 0;
}

/* Which channels the guest has open: "charchannel0" is the host side of "channel0". */
static int read_channels(Domain *d, int agent_reason, Err *err)
{
    if (d->live->channels->len == 0)
        return 0;
    json_t *ret = NULL;
    int r = ask(d, QMP(QUERY_CHARDEV), NULL, &ret, err);
    if (r <= 0)
        return r;
    size_t i;
    json_t *chr;
    json_array_foreach(ret, i, chr)
    {
        const char *label = json_string_value(json_object_get(chr, "label"));
        if (label && g_str_has_prefix(label, "charchannel"))
            domain_channel_state(d, label + strlen("char"), json_is_true(json_object_get(chr, "frontend-open")),
                                 agent_reason);
    }
    json_decref(ret);
    return 0;
}

int domain_read_back(Domain *d, int agent_reason, Err *err)
{
    return read_vcpus(d, err) < 0 || read_balloon(d, err) < 0 || read_channels(d, agent_reason, err) < 0 ? -1 : 0;
}

/* ---- settings before the first instruction ----------------------------------------------------------------------- */

static int set_balloon(Domain *d, Err *err)
{
    const MemballoonDef *b = d->live->memballoon;
    if (!b || b->model == MEMBALLOON_NONE || !b->info.alias)
        return 0;
    if (b->period.set) {
        g_autofree char *path = g_strconcat(BALLOON_PATH, b->info.alias, NULL);
        json_t *args = json_pack("{s:s, s:s, s:I}", "path", path, "property", "guest-stats-polling-interval", "value",
                                 (json_int_t)b->period.v);
        if (ask(d, QMP(QOM_SET), args, NULL, err) < 0)
            return -1;
    }
    if (d->live->cur_memory_kib >= d->live->max_memory_kib)
        return 0;
    return domain_qmp(d, "balloon", json_pack("{s:I}", "value", (json_int_t)(d->live->cur_memory_kib * 1024)), NULL,
                      err);
}

static int set_links(Domain *d, Err *err)
{
    g_autoptr(DomainDef) live = domain_def_ref(d->live);
    for (unsigned i = 0; i < live->nets->len; i++) {
        const NetDef *net = live->nets->pdata[i];
        if (net->link != NET_LINK_DOWN || !net->info.alias)
            continue;
        if (domain_qmp(d, "set_link", json_pack("{s:s, s:b}", "name", net->info.alias, "up", 0), NULL, err) < 0)
            return -1;
    }
    return 0;
}

/* passwdValidTo='2024-01-31T23:59:59' in UTC, as seconds; "never" without. */
static char *expiry(const char *valid_to, Err *err)
{
    if (!valid_to)
        return g_strdup("never");
    g_autoptr(GTimeZone) utc = g_time_zone_new_utc();
    g_autoptr(GDateTime) t = g_date_time_new_from_iso8601(valid_to, utc);
    if (!t) {
        err_set(err, VIR_ERR_XML_ERROR, "passwdValidTo='%s' is not a date like 2030-12-31T23:59:59", valid_to);
        return NULL;
    }
    return g_strdup_printf("%" G_GINT64_FORMAT, g_date_time_to_unix(t));
}

static int set_password(Domain *d, const GraphicsDef *g, const char *fallback, Err *err)
{
    const char *password = g->password ? g->password : fallback;
    if (g->type != GRAPHICS_VNC || !password)
        return 0;
    g_autofree char *time = expiry(g->password ? g->password_valid_to : NULL, err);
    if (!time)
        return -1;
    json_t *args = json_pack("{s:s, s:s}", "protocol", "vnc", "password", password);
    if (g->connected)
        json_object_set_new(args, "connected", json_string(graphics_connected_names[g->connected]));
    if (domain_qmp(d, "set_password", args, NULL, err) < 0)
        return -1;
    return domain_qmp(d, "expire_password", json_pack("{s:s, s:s}", "protocol", "vnc", "time", time), NULL, err);
}

static int set_passwords(Domain *d, Err *err)
{
    g_autoptr(DomainDef) live = domain_def_ref(d->live);
    g_autoptr(QemuConfig) cfg = domain_driver_config(d->drv);
    for (unsigned i = 0; i < live->graphics->len; i++) {
        if (set_password(d, live->graphics->pdata[i], cfg ? cfg->vnc_password : NULL, err) < 0)
            return -1;
    }
    return 0;
}

/* ---- the start --------------------------------------------------------------------------------------------------- */

typedef struct Birth {
    Domain *d;
    DomainDef *def;
    bool noted;
} Birth;

static int on_birth(void *data, const LaunchedProcess *proc, Err *err)
{
    Birth *b = data;
    b->noted = true;
    return domain_note_birth(b->d, b->def, proc, err);
}

/* A machine of this name that another daemon looks after, or of which nobody can tell: its file is not to be written over.  At the daemon's start only
 * a machine that was there then is told (foreign).  No lock held. */
static int check_status_file(const char *run_dir, const char *name, Err *err)
{
    g_auto(StatusRecord) there = {0};
    StatusRead found = status_load(run_dir, name, &there, err);
    return found == STATUS_OK || found == STATUS_MISSING ? 0 : -1;
}

/* Lock held on entry and return; released for the launch itself. */
static int launch_process(Domain *d, DomainDef *def, GPtrArray *missing, LaunchResult *res, Err *err)
{
    DomainPrivate *p = d->priv;
    const DomainDriverOpts *o = domain_driver_opts(d->drv);
    LaunchDirs dirs = {.lib_dir = o->state_dir, .log_dir = o->log_dir};
    MonitorLink *link = monitor_link_new(d, d->life);
    domain_unlock(d);

    int r = -1;
    Birth birth = {d, def, false};
    g_autoptr(QemuConfig) cfg = domain_driver_config(d->drv);
    snapshot_drop_note(d->drv, def->name);
    g_autoptr(QemuCaps) caps = check_status_file(o->run_dir, def->name, err) == 0 ? domain_def_caps(d->drv, def, err) : NULL;
    g_autoptr(GPtrArray) fd_groups = domain_fd_groups(d);
    QemuAccel accel = def->virt == VIRT_KVM ? QEMU_ACCEL_KVM : QEMU_ACCEL_TCG;
    if (caps && !qemu_caps_accel_usable(caps, accel))
        err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "Emulator '%s' does not support virt type 'kvm'", def->emulator);
    else if (caps && qemu_cpu_resolve(caps, accel, &def->cpu, err) == 0) {
        LaunchRequest req = {.def = def,
                             .caps = caps,
                             .config = cfg,
                             .dirs = &dirs,
                             .monitor_loop = o->monitor_loop,
                             .handlers = &monitor_handlers,
                             .handlers_data = link,
                             .deadline = domain_driver_start_deadline(d->drv),
                             .born = on_birth,
                             .fd_groups = fd_groups,
                             .missing = missing,
                             .born_data = &birth};
        r = qemu_launch(&req, res, err);
        domain_def_keep_asked_cpu(def);
        def->cpu_asked.given = qemu_cpu_make_live(caps, accel, &def->cpu);
        if (r == 0 && status_pid_file(o->run_dir, def->name, res->proc.pid) < 0)
            log_warning("%s: no pid file in %s", def->name, o->run_dir);
    }
    g_auto(Err) remove_err = ERR_INIT;
    if (r < 0 && birth.noted && status_remove(o->run_dir, def->name, &remove_err) < 0)
        log_warning("%s", remove_err.detail);
    domain_lock(d);
    if (r < 0)
        monitor_link_free(link, o->monitor_loop);
    else
        p->link = link;
    return r;
}

void domain_adopt(Domain *d, LaunchResult *res)
{
    DomainPrivate *p = d->priv;
    domain_assert_locked(d);
    launched_process_clear(&p->proc);
    p->proc = res->proc;
    res->proc = (LaunchedProcess){0};
    domain_set_monitor(d, res->qmp);
    res->qmp = NULL;
    kill_switch_arm(d, res->child.pidfd, p->proc.pid, d->life);
    res->child.pidfd = -1;
    domain_mark_changed(d);
}

/* A guest that waits for its first instruction looks half-started to the next daemon unless its file says that it is not; so there is no
 * success without the file.  (One that runs is known by that.)  Lock held, released for the write. */
static int keep_paused(Domain *d, Err *err)
{
    d->priv->starting = false;
    domain_mark_changed(d);
    uint64_t life = domain_leave(d);
    int r = domain_flush(d, err);
    if (domain_enter(d, life, r < 0 ? NULL : err) == 0 && r == 0)
        return 0;
    d->priv->starting = true;
    return -1;
}

/* The steps between QEMU's answer and the guest's first instruction, and that.  Lock held, released by each QMP call.
 */
static int after_launch(Domain *d, unsigned flags, Err *err)
{
    DomainPrivate *p = d->priv;
    uint64_t life = domain_leave(d);
    int r = domain_flush(d, err);
    if (domain_enter(d, life, r < 0 ? NULL : err) < 0 || r < 0)
        return -1;
    if (domain_read_back(d, VIR_CONNECT_DOMAIN_EVENT_AGENT_LIFECYCLE_REASON_DOMAIN_STARTED, err) < 0 ||
        set_passwords(d, err) < 0 || set_links(d, err) < 0 || set_balloon(d, err) < 0)
        return -1;
    if (flags & VIR_DOMAIN_START_PAUSED) {
        domain_set_state(d, VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_USER);
        return keep_paused(d, err);
    }
    p->run_reason = VIR_DOMAIN_RUNNING_BOOTED;
    if (domain_qmp(d, "cont", NULL, NULL, err) < 0)
        return -1;
    if (d->state ==
        VIR_DOMAIN_PAUSED) /* QEMU's RESUME came before its reply and was applied; if it does not send one: */
        domain_set_state(d, VIR_DOMAIN_RUNNING, VIR_DOMAIN_RUNNING_BOOTED);
    return 0;
}

/* Takes a start back.  Lock held on entry and return. */
static void give_up(Domain *d, Err *err)
{
    DomainPrivate *p = d->priv;
    g_autofree char *log_path = g_strdup(p->proc.log_path);
    /* A closed monitor is told to the call that used it before its end is announced. */
    bool died = p->dying || (p->qmp && qmp_client_is_closed(p->qmp));
    p->stop_reason = VIR_DOMAIN_SHUTOFF_FAILED;
    p->quiet_end = true;
    kill_switch_signal(d, 0, SIGKILL);
    if (!p->dying) {
        p->dying = true;
        d->life++;
    }
    domain_tear_down(d);
    if (died && err && err->code == VIR_ERR_OPERATION_INVALID && log_path) {
        /* "not running" is the consequence; QEMU's last words are the cause */
        domain_unlock(d);
        g_autofree char *words = qemu_log_tail(log_path, 1024);
        domain_lock(d);
        err_clear(err);
        err_set(err, VIR_ERR_OPERATION_FAILED, "QEMU ended before the guest ran: %s",
                words && *words ? words : "without a word");
        err_hint(err, "its log is %s", log_path);
    }
    err_set_phase(err, "starting the guest");
}

static void tell_missing(Domain *d, const GPtrArray *missing)
{
    for (unsigned i = 0; i < missing->len; i++) {
        const LaunchMissing *m = missing->pdata[i];
        DomainEvent *e = domain_event_new(EVENT_DOMAIN, VIR_DOMAIN_EVENT_ID_DISK_CHANGE, d);
        e->disk_change.old_path = g_strdup(m->path);
        e->disk_change.alias = g_strdup(m->alias);
        e->disk_change.reason =
            m->dropped ? VIR_DOMAIN_EVENT_DISK_DROP_MISSING_ON_START : VIR_DOMAIN_EVENT_DISK_CHANGE_MISSING_ON_START;
        domain_publish_event(d, e);
    }
}

int domain_launch(Domain *d, DomainDef *def, unsigned flags, uint64_t owner_conn, Err *err)
{
    DomainPrivate *p = d->priv;
    domain_assert_locked(d);
    job_assert_held(d);
    g_autoptr(DomainDef) own = def;
    if (flags & VIR_DOMAIN_START_RESET_NVRAM)
        return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "flag VIR_DOMAIN_START_RESET_NVRAM is not supported yet");
    if (p->foreign) {
        err_set(err, VIR_ERR_OPERATION_INVALID, "domain '%s' is looked after by another daemon", d->name);
        return err_hint(err, "stop it with that daemon; its status file is in %s", domain_driver_opts(d->drv)->run_dir);
    }
    if (own->on_crash == ON_COREDUMP_DESTROY || own->on_crash == ON_COREDUMP_RESTART) {
        err_set(err, VIR_ERR_CONFIG_UNSUPPORTED,
                "<on_crash>%s</on_crash> is not supported yet: no memory dump can be written",
                lifecycle_action_names[own->on_crash]);
        return err_hint(err, "use destroy, restart or preserve");
    }
    /* BYPASS_CACHE and FORCE_BOOT concern a saved image; there is none. */
    uint64_t life = ++d->life;
    p->starting = true;
    domain_mark_changed(d);
    p->owner_gone = false;
    p->autodestroy = (flags & VIR_DOMAIN_START_AUTODESTROY) ? owner_conn : 0;
    if (p->autodestroy)
        domain_driver_note_autodestroy(d->drv);
    own->id = domain_driver_next_id(d->drv);

    LaunchResult res = {.child = {.pidfd = -1}};
    g_autoptr(GPtrArray) missing = g_ptr_array_new_with_free_func(launch_missing_free);
    if (launch_process(d, own, missing, &res, err) < 0) {
        if (kill_switch_forget(d)) {
            err_clear(err);
            err_set(err, VIR_ERR_OPERATION_ABORTED, "domain '%s' was destroyed while it was being started", d->name);
        }
        p->starting = p->owner_gone = false;
        p->autodestroy = 0;
        d->life = life + 1;
        domain_set_state(d, VIR_DOMAIN_SHUTOFF, VIR_DOMAIN_SHUTOFF_FAILED);
        domain_mark_changed(d);
        return -1;
    }
    domain_adopt(d, &res);
    d->id = own->id;
    registry_set_id(domain_driver_registry(d->drv), &d->obj, d->id);
    domain_set_live(d, g_steal_pointer(&own));
    domain_sort_config(d);
    domain_set_state(d, VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_STARTING_UP);

    if (after_launch(d, flags, err) < 0) {
        give_up(d, err);
        return -1;
    }
    p->starting = false;
    domain_mark_changed(d);
    tell_missing(d, missing);
    domain_publish_lifecycle(d, VIR_DOMAIN_EVENT_STARTED, VIR_DOMAIN_EVENT_STARTED_BOOTED);
    if (flags & VIR_DOMAIN_START_PAUSED)
        domain_publish_lifecycle(d, VIR_DOMAIN_EVENT_SUSPENDED, VIR_DOMAIN_EVENT_SUSPENDED_PAUSED);
    domain_event_early_shutdown(d);
    if (p->owner_gone) {
        p->owner_gone = false;
        domain_autodestroy_now(d);
    }
    return 0;
}

/* Which images are the machine's must be known before it runs on them.  The lock may be released meanwhile. */
static int settle_snapshot(Domain *d, Err *err)
{
    if (snapshot_settle(d, err) < 0)
        return err_wrap(err, "an earlier snapshot is not settled yet");
    return d->removing ? err_set(err, VIR_ERR_NO_DOMAIN, "domain '%s' is being removed", d->name) : 0;
}

int domain_start(Domain *d, unsigned flags, uint64_t owner_conn, Err *err)
{
    if (domain_is_active(d))
        return err_set(err, VIR_ERR_OPERATION_INVALID, "domain is already running");
    if (settle_snapshot(d, err) < 0)
        return -1;
    DomainDef *own = domain_parse_config(d, err);
    return own ? domain_launch(d, own, flags, owner_conn, err) : -1;
}

/* ---- createXML --------------------------------------------------------------------------------------------------- */

/* The machine of this name and uuid, locked, with a MODIFY job; a new one when the one found was removed while we
 * waited for it. */
static Domain *claim_job(DomainDriver *drv, const char *name, StoredDef *def, const DefinitionCheck *check, JobRequest *job, Err *err)
{
    const JobRequest want = *job;
    for (;;) {
        bool is_new;
        Domain *d = domain_claim(drv, name, def, check, &is_new, err);
        if (!d)
            return NULL;
        *job = want;
        int r = job_acquire(d, job, err);
        domain_lock(d);
        if (r == 0 && !d->removing && strcmp(d->name, name) == 0)
            return d;
        bool again = r == 0 && d->removing && !deadline_passed(job->deadline);
        if (r == 0 && !again)
            err_set(err, VIR_ERR_OPERATION_FAILED, "domain '%s' was renamed or removed while the call waited for it",
                    name);
        domain_retire(d); /* ours, perhaps, and nobody made anything of it */
        domain_unlock(d);
        if (r == 0)
            job_end(job);
        object_unref(d);
        if (!again)
            return NULL;
    }
}

Domain *domain_create_xml_checked(DomainDriver *drv, const char *xml, unsigned flags, uint64_t owner_conn, const DefinitionCheck *check,
                                  Err *err)
{
    g_autoptr(DomainDef) def = domain_def_from_client(drv, xml, flags & VIR_DOMAIN_START_VALIDATE, err);
    if (!def || (check && check->allowed(check->ud, def->name, def->uuid, err) < 0))
        return NULL;
    JobRequest job = {
        .kind = JOB_MODIFY, .what = "DOMAIN_CREATE_XML", .owner = owner_conn, .deadline = deadline_in_ms(JOB_WAIT_MS)};
    g_autoptr(StoredDef) stored = stored_def_new(def);
    Domain *d = claim_job(drv, def->name, stored, check, &job, err);
    if (!d)
        return NULL;
    int r;
    if (domain_is_active(d))
        r = err_set_full(err, VIR_FROM_DOMAIN, VIR_ERR_OPERATION_INVALID, 0, "domain '%s' is already active", d->name);
    else if ((r = settle_snapshot(d, err)) == 0)
        r = domain_launch(d, domain_def_copy(def), flags, owner_conn, err);
    domain_retire(d);
    domain_unlock(d);
    domain_flush_or_retry(d);
    job_end(&job);
    if (r == 0)
        return d;
    object_unref(d);
    return NULL;
}
