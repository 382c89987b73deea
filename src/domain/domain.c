/* domain/domain.c - one machine: its lock, and the ways out of it
 *
 * Owns:    the object's life, lock and unlock, status flushing, the config writer's turn, QMP with the lock released
 * Threads: workers and tasks; event threads only read views and append to the inbox
 * Locks:   the domain's; leaves of its parts
 * Errors:  VIR_ERR_OPERATION_INVALID when a machine is not in the state a call needs
 *
 * Theory of operation.  Whoever takes the lock, or gets it back after a gap, first drains the inbox: no holder sees a
 * state older than what QEMU said before.  Whoever gives it up publishes the view if something changed.  A gap
 * (domain_leave/enter, domain_qmp) remembers the life counter: when the machine ended meanwhile the function that made
 * the gap fails, and all its callers unwind.
 */
#include "config.h"

#include <string.h>
#include <sys/syscall.h>

#define LOG_AREA "domain"
#include "util/fd.h"
#include "util/log.h"
#include "host/proc.h"
#include "domain/blockjob_list.h"
#include "domain/private.h"
#include "domain/snapshot_list.h"
#include "domain/stats.h"
#include "store/defs.h"
#include "store/snapshot_intent.h"
#include "store/status.h"
#include "api_enums.h"

#define CONFIG_WAIT_MS 30000u

/* ---- life -------------------------------------------------------------------------------------------------------- */

static void domain_free(Object *o)
{
    Domain *d = (Domain *)o;
    DomainPrivate *p = d->priv;
    g_assert(!p->qmp);
    job_queue_done(&p->jobs);
    kill_switch_done(d);
    timer_free(p->retry);
    timer_free(p->flush_retry);
    timer_free(p->blockjob_again);
    timer_free(p->sweep_again);
    fd_groups_done(d);
    inbox_done(&p->inbox);
    domain_view_done(d);
    stats_slot_free(d->stats);
    stored_def_unref(d->config);
    domain_def_unref(d->live);
    stored_def_unref(p->last);
    launched_process_clear(&p->proc);
    g_free(p->vcpu_tids);
    json_decref(p->early_shutdown);
    g_clear_pointer(&p->blockjobs, g_ptr_array_unref);
    g_clear_pointer(&p->verdicts, g_ptr_array_unref);
    snapshot_list_unref(p->snapshots);
    snapshot_intent_free(p->snapshot_intent);
    g_free(d->name);
    g_free(p);
    object_done(o);
    domain_driver_unref(d->drv);
    g_free(d);
}

Domain *domain_new(DomainDriver *drv, const uint8_t uuid[UUID_LEN], const char *name)
{
    EventLoop *loop = domain_driver_opts(drv)->monitor_loop;
    Domain *d = g_new0(Domain, 1);
    object_init(&d->obj, uuid, "domain", domain_free);
    d->drv = domain_driver_ref(drv);
    d->name = g_strdup(name);
    d->id = -1;
    d->state = VIR_DOMAIN_SHUTOFF;
    d->reason = VIR_DOMAIN_SHUTOFF_UNKNOWN;
    DomainPrivate *p = d->priv = g_new0(DomainPrivate, 1);
    job_queue_init(&p->jobs, d, loop, domain_view_job);
    inbox_init(&p->inbox);
    kill_switch_init(d);
    domain_view_init(d);
    mutex_lock(&d->obj.lock);
    domain_publish(d);
    mutex_unlock(&d->obj.lock);
    return d;
}

void domain_set_name(Domain *d, const char *name)
{
    domain_assert_locked(d);
    g_free(d->name);
    d->name = g_strdup(name);
    domain_mark_changed(d);
}

DomainDriver *domain_driver(Domain *d)
{
    return d->drv;
}

JobQueue *domain_jobs(Domain *d)
{
    return &d->priv->jobs;
}

struct StatsSlot *domain_stats_slot(Domain *d, bool make)
{
    struct StatsSlot *s = g_atomic_pointer_get(&d->stats);
    if (s || !make)
        return s;
    s = stats_slot_new();
    if (g_atomic_pointer_compare_and_exchange(&d->stats, NULL, s))
        return s;
    stats_slot_free(s);
    return g_atomic_pointer_get(&d->stats);
}

/* ---- lock -------------------------------------------------------------------------------------------------------- */

void domain_lock(Domain *d)
{
    event_assert_may_block();
    mutex_lock(&d->obj.lock);
    inbox_drain(d);
}

void domain_ring(Domain *d)
{
    domain_assert_locked(d);
    d->priv->ring = true;
}

/* Who is to wake when the lock has been given back, so as not to run into it; NULL: nobody. */
typedef struct Wakes {
    const uint32_t *all, *next; /* who waits for a change of the machine; who waited for the turn */
} Wakes;

/* Before the lock is given up.  What is returned goes to wake() after it. */
static Wakes settle(Domain *d)
{
    DomainPrivate *p = d->priv;
    if (p->dirty)
        domain_publish(d);
    Wakes w = {.all = p->ring ? bell_strike(&d->obj.changed) : NULL, .next = p->turn_word};
    p->ring = false;
    p->turn_word = NULL;
    return w;
}

static void wake(Wakes w)
{
    bell_wake(w.next);
    bell_wake(w.all);
}

void domain_unlock(Domain *d)
{
    Wakes w = settle(d);
    mutex_unlock(&d->obj.lock);
    wake(w);
}

/* Sleeps on the domain's bell or on one's own. */
static bool wait_for(Domain *d, Bell *bell, Deadline deadline)
{
    domain_assert_locked(d);
    Wakes w = settle(d);
    uint32_t heard = bell_heard(bell);
    bool in_time = true, sleeps = inbox_is_empty(d); /* looked at after the bell: what comes from here on rings the domain's */
    if (sleeps)
        pool_blocking_begin();
    mutex_unlock(&d->obj.lock);
    wake(w);
    if (sleeps)
        in_time = bell_sleep(bell, heard, deadline);
    mutex_lock(&d->obj.lock);
    if (sleeps)
        pool_blocking_end();
    inbox_drain(d);
    return in_time;
}

bool domain_wait(Domain *d, Deadline deadline)
{
    return wait_for(d, &d->obj.changed, deadline);
}

uint64_t domain_leave(Domain *d)
{
    domain_assert_locked(d);
    uint64_t life = d->life;
    domain_unlock(d);
    return life;
}

int domain_enter(Domain *d, uint64_t life, Err *err)
{
    domain_lock(d);
    if (d->life == life && !(d->live && d->priv->dying))
        return 0;
    return domain_err_inactive(err);
}

int domain_err_inactive(Err *err)
{
    return err_set_full(err, VIR_FROM_DOMAIN, VIR_ERR_OPERATION_INVALID, 0, "domain is not running");
}

int domain_err_transient(Err *err)
{
    return err_set_full(err, VIR_FROM_DOMAIN, VIR_ERR_OPERATION_INVALID, 0, "transient domains do not have any persistent config");
}

/* ---- state ------------------------------------------------------------------------------------------------------- */

void domain_mark_changed(Domain *d)
{
    domain_assert_locked(d);
    d->priv->dirty = true;
    d->priv->changes++;
}

void domain_set_state(Domain *d, int state, int reason)
{
    domain_assert_locked(d);
    if (d->state == state && d->reason == reason)
        return;
    log_debug("%s: state %d (%d) -> %d (%d)", d->name, d->state, d->reason, state, reason);
    d->state = state;
    d->reason = reason;
    domain_mark_changed(d);
}

void domain_set_live(Domain *d, DomainDef *def)
{
    domain_assert_locked(d);
    domain_def_unref(d->live);
    d->live = def;
    domain_mark_changed(d);
}

void domain_set_config(Domain *d, StoredDef *def)
{
    domain_assert_locked(d);
    stored_def_unref(d->config);
    d->config = def;
    domain_mark_changed(d);
}

DomainDef *domain_parse_config(const Domain *d, Err *err)
{
    domain_assert_locked(d);
    if (d->config)
        return stored_def_parse(d->config, err);
    err_set(err, VIR_ERR_NO_DOMAIN, "domain '%s' has no definition: it is being made, or has ended", d->name);
    return NULL;
}

void domain_sort_config(Domain *d)
{
    StoredDef *sorted = d->config ? stored_def_resort(d->config, NULL) : NULL;
    if (sorted)
        domain_set_config(d, sorted);
}

int domain_affect(const Domain *d, unsigned flags, DomainAffect *ret, Err *err)
{
    DomainAffect a = {.live = flags & VIR_DOMAIN_AFFECT_LIVE, .config = flags & VIR_DOMAIN_AFFECT_CONFIG};
    bool active = domain_is_active(d);
    if (!a.live && !a.config) {
        a.live = active;
        a.config = !active;
    }
    if (a.live && !active)
        return domain_err_inactive(err);
    if (a.config && !d->persistent)
        return domain_err_transient(err);
    *ret = a;
    return 0;
}

/* ---- status file ------------------------------------------------------------------------------------------------- */

static void fill_process(StatusRecord *rec, const LaunchedProcess *proc)
{
    rec->pid = proc->pid;
    rec->start_time = proc->start_time;
    rec->boot_id = g_strdup(host_boot_id());
    rec->monitor_path = g_strdup(proc->monitor_path);
    rec->private_dir = g_strdup(proc->private_dir);
    rec->log_path = g_strdup(proc->log_path);
    rec->cgroup = g_strdup(proc->cgroup);
    rec->node_index = proc->node_index;
    if (proc->taps && proc->taps->len) {
        rec->taps = g_new0(char *, proc->taps->len + 1);
        for (unsigned i = 0; i < proc->taps->len; i++)
            rec->taps[i] = g_strdup(proc->taps->pdata[i]);
    }
}

static void fill_record(const Domain *d, StatusRecord *rec)
{
    const DomainPrivate *p = d->priv;
    *rec = (StatusRecord){
        .live = domain_def_ref(d->live),
        .id = d->id,
        .state = d->state,
        .reason = d->reason,
        .life = d->life,
        .persistent = d->persistent,
        .starting = p->starting,
        .autodestroy = p->autodestroy != 0,
        .fake_reboot = p->fake_reboot,
        .tainted_monitor = p->tainted_monitor,
        .stop_reason = p->stop_reason,
        .blockjobs = blockjobs_save(d),
        .verdicts = blockjob_verdicts_copy(d),
    };
    fill_process(rec, &p->proc);
}

int domain_note_birth(Domain *d, DomainDef *def, const LaunchedProcess *proc, Err *err)
{
    StatusRecord rec = {
        .live = domain_def_ref(def),
        .id = def->id,
        .state = VIR_DOMAIN_PAUSED,
        .reason = VIR_DOMAIN_PAUSED_STARTING_UP,
        .starting = true,
    };
    fill_process(&rec, proc);
    domain_lock(d);
    rec.life = d->life;
    rec.persistent = d->persistent;
    domain_unlock(d);
    int r = status_save(domain_driver_opts(d->drv)->run_dir, &rec, err);
    if (r == 0) {
        AUTO_CLOSE int pidfd = (int)syscall(SYS_pidfd_open, proc->pid, 0);
        if (pidfd >= 0)
            kill_switch_arm(d, take_fd(&pidfd), proc->pid, rec.life);
    }
    status_record_clear(&rec);
    return r;
}

int domain_flush(Domain *d, Err *err)
{
    DomainPrivate *p = d->priv;
    int r = 0;
    domain_lock(d);
    /* One writer at a time; who waited finds its change written along. */
    while (p->flushing)
        domain_wait(d, deadline_in_ms(1000));
    while (r == 0 && d->live && !p->dying && p->written != p->changes) {
        g_auto(StatusRecord) rec = {0};
        uint64_t count = p->changes;
        fill_record(d, &rec);
        p->flushing = true;
        domain_unlock(d);
        r = status_save(domain_driver_opts(d->drv)->run_dir, &rec, err);
        domain_lock(d);
        p->flushing = false;
        if (r == 0)
            p->written = count;
        domain_ring(d);
    }
    domain_unlock(d);
    return r;
}

/* ---- QMP --------------------------------------------------------------------------------------------------------- */

/* Before a gap for QMP: the client to use, or NULL with Err. */
static QmpClient *qmp_begin(Domain *d, Err *err)
{
    domain_assert_locked(d);
    job_assert_held(d);
    if (!d->priv->qmp || d->priv->dying) {
        domain_err_inactive(err);
        return NULL;
    }
    return qmp_client_ref(d->priv->qmp);
}

/* After it. */
static QmpStatus qmp_end(Domain *d, uint64_t life, QmpStatus s, json_t **ret, Err *err)
{
    DomainPrivate *p = d->priv;
    domain_lock(d);
    if (d->life != life || p->dying || s == QMP_CLOSED) {
        err_clear(err);
        if (ret && s == QMP_OK)
            g_clear_pointer(ret, json_decref);
        domain_err_inactive(err);
        return QMP_CLOSED;
    }
    if (s == QMP_TIMEOUT)
        domain_set_stuck(d, true);
    return s;
}

QmpClient *domain_set_monitor(Domain *d, QmpClient *qmp)
{
    DomainPrivate *p = d->priv;
    domain_assert_locked(d);
    QmpClient *old = p->qmp, *old_ref;
    p->qmp = qmp;
    {
        LOCK_SCOPE(&p->view_lock);
        old_ref = p->monitor;
        p->monitor = qmp ? qmp_client_ref(qmp) : NULL;
    }
    qmp_client_unref(old_ref);
    return old;
}

struct QmpClient *domain_monitor_ref(Domain *d)
{
    DomainPrivate *p = d->priv;
    LOCK_SCOPE(&p->view_lock);
    return p->monitor ? qmp_client_ref(p->monitor) : NULL;
}

QmpStatus domain_qmp_fds(Domain *d, const QmpCommand *cmd, json_t *args, const int *fds, unsigned n_fds,
                         Deadline deadline, json_t **ret, Err *err)
{
    g_autoptr(QmpClient) client = qmp_begin(d, err);
    if (!client) {
        json_decref(args);
        return QMP_CLOSED;
    }
    uint64_t life = domain_leave(d);
    QmpStatus s = qmp_call_fds(client, cmd, args, fds, n_fds, deadline, ret, err);
    return qmp_end(d, life, s, ret, err);
}

QmpStatus domain_qmp_status(Domain *d, const QmpCommand *cmd, json_t *args, json_t **ret, Err *err)
{
    return domain_qmp_fds(d, cmd, args, NULL, 0, qmp_deadline(cmd), ret, err);
}

int domain_qmp(Domain *d, const char *command, json_t *args, json_t **ret, Err *err)
{
    const QmpCommand *cmd = qmp_command_find(command);
    if (!cmd)
        g_error("QMP command %s has no row in commands.def", command);
    return domain_qmp_status(d, cmd, args, ret, err) == QMP_OK ? 0 : -1;
}

int domain_qmp_fd(Domain *d, const char *command, json_t *args, int fd, json_t **ret, Err *err)
{
    const QmpCommand *cmd = qmp_command_find(command);
    if (!cmd)
        g_error("QMP command %s has no row in commands.def", command);
    return domain_qmp_fds(d, cmd, args, &fd, 1, qmp_deadline(cmd), ret, err) == QMP_OK ? 0 : -1;
}

void domain_qmp_all(Domain *d, GArray *requests)
{
    g_auto(Err) err = ERR_INIT;
    g_autoptr(QmpClient) client = requests->len ? qmp_begin(d, &err) : NULL;
    if (!client) {
        for (unsigned i = 0; i < requests->len; i++) {
            QmpRequest *r = &g_array_index(requests, QmpRequest, i);
            r->status = QMP_CLOSED;
            domain_err_inactive(&r->err);
        }
        return;
    }
    uint64_t life = domain_leave(d);
    qmp_call_all(client, requests);
    domain_lock(d);
    for (unsigned i = 0; i < requests->len; i++) {
        if (g_array_index(requests, QmpRequest, i).status == QMP_TIMEOUT && d->life == life && !d->priv->dying)
            domain_set_stuck(d, true);
    }
}

int domain_qmp_raw(Domain *d, json_t *command, const int *fds, unsigned n_fds, Deadline deadline, json_t **ret_reply,
                   Err *err)
{
    g_autoptr(QmpClient) client = qmp_begin(d, err);
    if (!client) {
        json_decref(command);
        return -1;
    }
    if (!d->priv->tainted_monitor) {
        d->priv->tainted_monitor = true;
        domain_mark_changed(d);
    }
    uint64_t life = domain_leave(d);
    QmpStatus s = qmp_call_raw(client, command, fds, n_fds, deadline, ret_reply, err);
    if (s == QMP_OK) { /* an answer is an answer, "quit" has one too */
        domain_lock(d);
        return 0;
    }
    return qmp_end(d, life, s, ret_reply, err) == QMP_OK ? 0 : -1;
}

/* ---- the stored definition --------------------------------------------------------------------------------------- */

/* To who waits longest: whoever comes just then must not take it from them for ever.  Those whose clients have gone are sent away on the way. */
static void pass_turn(DomainPrivate *p)
{
    ConfigTurn *next;
    while ((next = p->config_queue)) {
        p->config_queue = next->next;
        bool wanted = !next->gone || !g_atomic_int_get(next->gone);
        next->state = wanted ? TURN_GIVEN : TURN_DROPPED;
        bell_wake(p->turn_word);
        p->turn_word = bell_strike(&next->bell);
        if (wanted)
            break;
    }
    p->config_busy = next != NULL;
}

/* What became of it: TURN_WAITS, the deadline has passed. */
static int queue_for_turn(Domain *d, gint *gone, Deadline end)
{
    ConfigTurn me = {.gone = gone}, **at = &d->priv->config_queue;
    while (*at)
        at = &(*at)->next;
    *at = &me;
    while (me.state == TURN_WAITS && wait_for(d, &me.bell, end))
        ;
    if (me.state != TURN_WAITS)
        return me.state;
    for (at = &d->priv->config_queue; *at != &me; at = &(*at)->next)
        ;
    *at = me.next;
    return TURN_WAITS;
}

int domain_config_turn(Domain *d, gint *gone, Err *err)
{
    DomainPrivate *p = d->priv;
    domain_assert_locked(d);
    int turn = p->config_busy ? queue_for_turn(d, gone, deadline_in_ms(CONFIG_WAIT_MS)) : TURN_GIVEN;
    if (turn == TURN_DROPPED)
        return err_set_full(err, VIR_FROM_RPC, VIR_ERR_RPC, 0, "the client has gone");
    if (turn == TURN_WAITS)
        return err_set(err, VIR_ERR_OPERATION_TIMEOUT, "other changes of the definition of '%s' have been written for %u s", d->name,
                       CONFIG_WAIT_MS / 1000);
    p->config_busy = true;
    if (!d->removing)
        return 0;
    pass_turn(p);
    domain_ring(d);
    return err_set(err, VIR_ERR_NO_DOMAIN, "domain '%s' is being removed", d->name);
}

int domain_config_begin(Domain *d, Err *err)
{
    if (domain_config_turn(d, NULL, err) < 0)
        return -1;
    if (d->config && d->persistent)
        return 0;
    domain_config_end(d); /* undefined while we waited, and running on */
    return err_set(err, VIR_ERR_OPERATION_INVALID, "domain '%s' has no persistent definition any more", d->name);
}

int domain_config_commit(Domain *d, StoredDef *new_config, Err *err)
{
    domain_assert_locked(d);
    g_assert(d->priv->config_busy);
    g_autoptr(StoredDef) def = new_config;
    g_autofree char *name = g_strdup(d->name); /* stays while we have the writer's turn */
    domain_unlock(d);
    bool fixed = false;
    g_autoptr(StoredDef) file = stored_def_for_file(def, &fixed, err);
    if (!file)
        err_wrap(err, "the definition of '%s' cannot be stored", name);
    pool_blocking_begin(); /* storage takes its time, and those who write at the same time share it */
    int r = file ? defs_save(domain_driver_defs(d->drv), name, file, fixed, err) : -1;
    pool_blocking_end();
    domain_lock(d);
    if (r == 0)
        domain_set_config(d, g_steal_pointer(&def));
    return r;
}

void domain_config_end(Domain *d)
{
    domain_assert_locked(d);
    pass_turn(d->priv);
    domain_retire(d);
    domain_ring(d);
}

/* ---- the end of the object ------------------------------------------------------------------------------------------------- */

static bool begin_retire(Domain *d)
{
    const DomainPrivate *p = d->priv;
    domain_assert_locked(d);
    if (d->persistent || d->live || d->removing || p->starting || p->config_busy)
        return false;
    d->removing = true;
    domain_mark_changed(d);
    return true;
}

static void take_out(void *arg)
{
    Domain *d = arg;
    registry_remove(domain_driver_registry(d->drv), &d->obj);
    domain_roster_changed(d->drv);
}

void domain_retire(Domain *d)
{
    if (begin_retire(d))
        take_out(d);
}

void domain_retire_with(Domain *d, DomainEvent *e)
{
    bool out = begin_retire(d);
    if (d->priv->dirty)
        domain_publish(d);
    bus_publish_with(domain_driver_bus(d->drv), e, out ? take_out : NULL, d);
}
