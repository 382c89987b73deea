/* domain/reconnect.c - finding a running machine again, and asking QEMU what it missed
 *
 * Owns:    what a status file becomes; the questions that make up for missed events
 * Threads: load on the main thread before anything else runs; the rest on workers
 * Locks:   the domain's, under RECONNECT or QUERY; released while waiting
 * Errors:  logged: nobody called
 *
 * Theory of operation.  domain_load_status() makes the machine as the file tells, with a RECONNECT job held from the
 * first moment, so that reads answer at once and changes queue.  domain_reconnect() then meets one of these:
 *
 *   process gone, its pid another's, host rebooted  STOPPED, everything it left is removed
 *   half-started, or its client went with us        killed, then as above (of a half-started one no event tells)
 *   monitor answers, uuid matches                   resync, job given back
 *   monitor does not answer                         left running and marked stuck; tried again later; destroy works, by pidfd
 *   cannot be verified                              left alone, never signalled
 *
 * domain_resync() also serves after a QMP time-out and an inbox overflow.
 */
#include "config.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>

#define LOG_AREA "domain.reconnect"
#include "util/fd.h"
#include "util/log.h"
#include "util/uuid.h"
#include "host/proc.h"
#include "domain/blockjob_list.h"
#include "domain/complete.h"
#include "domain/private.h"
#include "domain/block_ops.h"
#include "domain/reconnect.h"
#include "domain/snapshot.h"
#include "qemu/caps.h"
#include "qemu/conf.h"
#include "store/status.h"
#include "api_enums.h"

#define RECONNECT_MS 10000u
#define RETRY_MS     15000u

/* ---- resync ------------------------------------------------------------------------------------------------------ */

static void missed(Domain *d, const char *event, json_t *data)
{
    domain_event_missed(d, event, data);
    json_decref(data);
}

/* QEMU's word for its state against ours. */
static void compare_state(Domain *d, const char *status, bool running)
{
    DomainPrivate *p = d->priv;
    if (running) {
        if (d->state == VIR_DOMAIN_PMSUSPENDED)
            missed(d, "WAKEUP", NULL);
        else if (d->state != VIR_DOMAIN_RUNNING)
            missed(d, "RESUME", NULL);
    } else if (strcmp(status, "shutdown") == 0) {
        if (p->got_shutdown)
            domain_act_again(d);
        else
            missed(d, "SHUTDOWN", NULL);
    } else if (strcmp(status, "guest-panicked") == 0) {
        if (d->state == VIR_DOMAIN_CRASHED)
            domain_act_again(d);
        else
            missed(d, "GUEST_PANICKED", NULL);
    } else if (strcmp(status, "suspended") == 0) {
        if (d->state != VIR_DOMAIN_PMSUSPENDED)
            missed(d, "SUSPEND", NULL);
    } else if (d->state == VIR_DOMAIN_RUNNING) {
        p->pause_reason = strcmp(status, "io-error") == 0   ? VIR_DOMAIN_PAUSED_IOERROR
                          : strcmp(status, "watchdog") == 0 ? VIR_DOMAIN_PAUSED_WATCHDOG
                                                            : VIR_DOMAIN_PAUSED_UNKNOWN;
        missed(d, "STOP", NULL);
    }
}

static int resync_state(Domain *d, Err *err)
{
    json_t *ret = NULL;
    if (domain_qmp_status(d, QMP(QUERY_STATUS), NULL, &ret, err) != QMP_OK)
        return -1;
    const char *status = json_string_value(json_object_get(ret, "status"));
    compare_state(d, status ? status : "", json_is_true(json_object_get(ret, "running")));
    json_decref(ret);
    return 0;
}

/* Trays that moved unseen. */
static int resync_trays(Domain *d, Err *err)
{
    json_t *ret = NULL;
    QmpStatus s = domain_qmp_status(d, QMP(QUERY_BLOCK), NULL, &ret, err);
    if (s != QMP_OK)
        return -1;
    size_t i;
    json_t *dev;
    json_array_foreach(ret, i, dev)
    {
        const char *qdev = json_string_value(json_object_get(dev, "qdev"));
        json_t *tray = json_object_get(dev, "tray_open");
        if (!qdev || !tray)
            continue;
        for (unsigned k = 0; k < d->live->disks->len; k++) {
            const DiskDef *disk = d->live->disks->pdata[k];
            if (!g_strcmp0(disk->info.alias, qdev) && (disk->tray == DISK_TRAY_OPEN) != json_is_true(tray)) {
                missed(d, "DEVICE_TRAY_MOVED", json_pack("{s:s, s:b}", "id", qdev, "tray-open", json_is_true(tray)));
                break;
            }
        }
    }
    json_decref(ret);
    return 0;
}

/* Devices that are QEMU's by their alias and that a guest can let go. */
static bool may_be_gone(DeviceKind kind, const void *dev)
{
    switch (kind) {
    case DEVICE_DISK: {
        DiskBus bus = ((const DiskDef *)dev)->bus;
        return bus == DISK_BUS_VIRTIO || bus == DISK_BUS_SCSI || bus == DISK_BUS_USB;
    }
    case DEVICE_INPUT: {
        InputBus bus = ((const InputDef *)dev)->bus;
        return bus == INPUT_BUS_VIRTIO || bus == INPUT_BUS_USB;
    }
    case DEVICE_CHANNEL:
        return ((const ChrDef *)dev)->target_type == CHR_TARGET_VIRTIO;
    case DEVICE_CONTROLLER: {
        ControllerType type = ((const ControllerDef *)dev)->type;
        return type == CONTROLLER_SCSI || type == CONTROLLER_VIRTIO_SERIAL;
    }
    case DEVICE_MEMBALLOON:
        return ((const MemballoonDef *)dev)->model != MEMBALLOON_NONE;
    case DEVICE_NET:
    case DEVICE_RNG:
        return true;
    default:
        return false;
    }
}

/* Aliases (borrowed of def) of such devices. */
static GPtrArray *aliases_of(const DomainDef *def)
{
    GPtrArray *all = g_ptr_array_new();
    for (int kind = 1; kind < DEVICE_MAX; kind++) {
        GPtrArray *list = domain_def_devices(def, (DeviceKind)kind);
        for (unsigned i = 0; list && i < list->len; i++) {
            const DeviceInfo *info = list->pdata[i]; /* the first member of every device */
            if (info->alias && may_be_gone((DeviceKind)kind, info))
                g_ptr_array_add(all, info->alias);
        }
    }
    if (def->memballoon && def->memballoon->info.alias && may_be_gone(DEVICE_MEMBALLOON, def->memballoon))
        g_ptr_array_add(all, def->memballoon->info.alias);
    return all;
}

/* Devices removed unseen. */
static int resync_devices(Domain *d, Err *err)
{
    json_t *ret = NULL;
    if (domain_qmp_status(d, QMP(QOM_LIST), json_pack("{s:s}", "path", "/machine/peripheral"), &ret, err) != QMP_OK)
        return -1;
    g_autoptr(GHashTable) there = g_hash_table_new(g_str_hash, g_str_equal);
    size_t i;
    json_t *o;
    json_array_foreach(ret, i, o)
    {
        const char *name = json_string_value(json_object_get(o, "name"));
        if (name)
            g_hash_table_add(there, (void *)(uintptr_t)name);
    }
    g_autoptr(DomainDef) def = domain_def_ref(d->live);
    g_autoptr(GPtrArray) aliases = aliases_of(def);
    for (unsigned k = 0; json_is_array(ret) && k < aliases->len; k++) {
        if (!g_hash_table_contains(there, aliases->pdata[k]))
            missed(d, "DEVICE_DELETED", json_pack("{s:s}", "device", aliases->pdata[k]));
    }
    json_decref(ret);
    return 0;
}

/* News of block jobs that came unseen, and concluded ones nobody dismissed. */
static int resync_blockjobs(Domain *d, Err *err)
{
    json_t *ret = NULL;
    if (domain_qmp_status(d, QMP(QUERY_JOBS), NULL, &ret, err) != QMP_OK)
        return -1;
    if (!blockjob_compare(d, ret))
        blockjobs_sweep_later(d);
    json_decref(ret);
    return 0;
}

int domain_resync(Domain *d, Err *err)
{
    domain_assert_locked(d);
    job_assert_held(d);
    unsigned asked = d->priv->resyncs;
    if (resync_state(d, err) < 0 ||
        domain_read_back(d, VIR_CONNECT_DOMAIN_EVENT_AGENT_LIFECYCLE_REASON_CHANNEL, err) < 0 ||
        resync_devices(d, err) < 0)
        return -1;
    if (resync_trays(d, err) < 0 || domain_resync_thresholds(d, err) < 0)
        return -1;
    if (resync_blockjobs(d, err) < 0)
        return -1;
    d->priv->resyncs_done = asked;
    return 0;
}

static void resync_task(Domain *d, void *unused)
{
    g_auto(Err) err = ERR_INIT;
    if (!domain_is_active(d) || d->priv->dying || !d->priv->qmp)
        return;
    if (domain_resync(d, &err) < 0)
        log_warning("%s: not resynchronised: %s", d->name, err.detail);
    else
        snapshot_settle_later(d);
    blockjobs_sweep_now(d);
}

void domain_resync_later(Domain *d)
{
    domain_assert_locked(d);
    d->priv->resyncs++;
    if (domain_is_active(d))
        domain_task(d, JOB_QUERY, "resync with QEMU", d->life, resync_task, NULL, NULL);
}

/* ---- from the status file ---------------------------------------------------------------------------------------- */

void domain_load_status(Domain *d, StatusRecord *rec)
{
    DomainPrivate *p = d->priv;
    domain_lock(d);
    d->life = rec->life ? rec->life : 1;
    d->id = rec->id;
    d->state = rec->state;
    d->reason = rec->reason;
    rec->live->id = rec->id;
    domain_set_live(d, g_steal_pointer(&rec->live));
    p->starting = rec->starting;
    p->fake_reboot = rec->fake_reboot;
    p->tainted_monitor = rec->tainted_monitor;
    p->stop_reason = rec->stop_reason;
    p->got_shutdown = rec->state == VIR_DOMAIN_SHUTDOWN;
    p->owner_gone = rec->autodestroy;
    p->proc = (LaunchedProcess){
        .pid = rec->pid,
        .start_time = rec->start_time,
        .monitor_path = g_steal_pointer(&rec->monitor_path),
        .private_dir = g_steal_pointer(&rec->private_dir),
        .log_path = g_steal_pointer(&rec->log_path),
        .cgroup = g_steal_pointer(&rec->cgroup),
        .node_index = rec->node_index,
        .taps = g_ptr_array_new_with_free_func(g_free),
    };
    for (char **t = rec->taps; t && *t; t++)
        g_ptr_array_add(p->proc.taps, g_strdup(*t));
    blockjobs_load(d, rec->blockjobs);
    blockjob_verdicts_load(d, rec->verdicts);
    domain_mark_changed(d);
    p->written = p->changes;
    domain_driver_seen_id(d->drv, d->id);

    /* The kill switch works from now on, if the pid is still the process: a pidfd taken first, the start time compared after. */
    const char *boot = host_boot_id();
    bool other_boot = rec->boot_id && boot && strcmp(rec->boot_id, boot) != 0; /* unknown: the process's start time decides alone */
    AUTO_CLOSE int pidfd = other_boot ? -1 : (int)syscall(SYS_pidfd_open, p->proc.pid, 0);
    unsigned long long started = 0;
    struct pollfd ended = {.fd = pidfd, .events = POLLIN};
    if (other_boot) {
        /* gone with the host; what now has its names there is somebody else's */
        p->found_dead = true;
        g_clear_pointer(&p->proc.cgroup, g_free);
        g_ptr_array_set_size(p->proc.taps, 0);
    } else if (pidfd < 0) {
        p->found_dead = errno == ESRCH;
    } else {
        int r = host_process_start_time(p->proc.pid, &started);
        p->found_dead = r == -ESRCH || (r == 0 && started != p->proc.start_time) || poll(&ended, 1, 0) == 1;
        if (r == 0 && !p->found_dead)
            kill_switch_arm(d, take_fd(&pidfd), p->proc.pid, d->life);
    }
    if (p->starting) { /* nobody was told of a start */
        p->stop_reason = VIR_DOMAIN_SHUTOFF_FAILED;
        p->quiet_end = true;
    }
    if (p->found_dead)
        domain_set_state(d, VIR_DOMAIN_SHUTOFF, domain_shutoff_reason(d));
    else
        registry_set_id(domain_driver_registry(d->drv), &d->obj, d->id);
    domain_publish(d);
    domain_unlock(d);
}

/* ---- reconnect --------------------------------------------------------------------------------------------------- */

static void bury(Domain *d)
{
    d->priv->dying = true;
    d->life++;
    domain_ring(d);
    domain_tear_down(d);
}

/* The lock is released meanwhile.  0, or -1 with Err; *ret_gone: there is no such process. */
static int reach(Domain *d, bool *ret_gone, Err *err)
{
    DomainPrivate *p = d->priv;
    const DomainDriverOpts *o = domain_driver_opts(d->drv);
    g_autoptr(DomainDef) def = domain_def_copy(d->live);
    LaunchDirs dirs = {.lib_dir = o->state_dir, .log_dir = o->log_dir};
    LaunchedProcess proc = {0};
    launched_process_copy(&proc, &p->proc);
    uint64_t life = d->life;
    MonitorLink *link = monitor_link_new_trial(d, life);
    LaunchResult res = {.child = {.pidfd = -1}};
    domain_unlock(d);
    g_autoptr(QemuConfig) cfg = domain_driver_config(d->drv);
    LaunchRequest req = {.def = def,
                         .config = cfg,
                         .dirs = &dirs,
                         .monitor_loop = o->monitor_loop,
                         .handlers = &monitor_handlers,
                         .handlers_data = link,
                         .deadline = deadline_in_ms(RECONNECT_MS)};
    int r = qemu_launch_reconnect(&req, &proc, &res, ret_gone, err);
    launched_process_clear(&proc);
    domain_lock(d);
    if (r < 0) {
        monitor_link_free(link, o->monitor_loop);
        return -1;
    }
    p->link = link;
    monitor_link_prove(link, res.qmp);
    domain_adopt(d, &res);
    return 0;
}

static int check_uuid(Domain *d, Err *err)
{
    json_t *ret = NULL;
    if (domain_qmp(d, "query-uuid", NULL, &ret, err) < 0)
        return -1;
    const char *text = json_string_value(json_object_get(ret, "UUID"));
    uint8_t uuid[UUID_LEN];
    bool same = text && uuid_parse(text, uuid) && memcmp(uuid, d->obj.uuid, UUID_LEN) == 0;
    if (!same)
        err_set(err, VIR_ERR_OPERATION_FAILED, "the QEMU behind the monitor is machine %s",
                text ? text : "without a uuid");
    json_decref(ret);
    return same ? 0 : -1;
}

/* A machine that is not to live on.  Nobody is told when nobody was told that it started. */
static void end_unwanted(Domain *d, const char *why)
{
    log_info("%s: %s when the daemon ended; killed", d->name, why);
    d->priv->owner_gone = false;
    kill_switch_signal(d, 0, SIGKILL);
    bury(d);
}

/* A file that says "starting" may be older than the start's success, when the disk was full just then: QEMU knows whether the guest ever
 * ran.  0, or -1 with Err. */
static int guest_begun(Domain *d, bool *ret_begun, Err *err)
{
    json_t *ret = NULL;
    if (domain_qmp_status(d, QMP(QUERY_STATUS), NULL, &ret, err) != QMP_OK)
        return -1;
    *ret_begun = g_strcmp0(json_string_value(json_object_get(ret, "status")), "prelaunch") != 0;
    json_decref(ret);
    if (*ret_begun) {
        d->priv->starting = d->priv->quiet_end = false;
        d->priv->stop_reason = 0;
        domain_mark_changed(d);
    }
    return 0;
}

static void retry(void *arg);

/* Leaves the machine as it is, unreachable, and comes back. */
static void leave_alone(Domain *d, const Err *why)
{
    log_error("%s: running (process %d) but not reached: %s; trying again in %u s", d->name, (int)d->priv->proc.pid,
              why->detail, RETRY_MS / 1000);
    domain_set_stuck(d, true);
    timer_free(d->priv->retry);
    d->priv->retry = timer_new(domain_driver_opts(d->drv)->monitor_loop, retry, d);
    timer_arm(d->priv->retry, deadline_in_ms(RETRY_MS));
}

static void retry(void *arg)
{
    Domain *d = arg;
    g_autoptr(DomainView) v = domain_view(d);
    if (v->live)
        domain_task(d, JOB_RECONNECT, "reconnect", v->life, domain_reconnect, NULL, NULL);
}

/* Under the job of the reconnect: before anybody else sees the definitions. */
static void settle_snapshot(Domain *d)
{
    g_auto(Err) err = ERR_INIT;
    if (snapshot_settle(d, &err) < 0)
        log_error("%s: an interrupted snapshot is not settled: %s", d->name, err.detail);
}

void domain_reconnect(Domain *d, void *unused)
{
    DomainPrivate *p = d->priv;
    domain_assert_locked(d);
    if (!domain_is_active(d) || p->qmp || p->dying)
        return;
    if (p->found_dead) {
        log_info("%s: ended while no daemon looked", d->name);
        bury(d);
        return;
    }
    bool verified;
    {
        LOCK_SCOPE(&p->kill.lock);
        verified = p->kill.pidfd >= 0;
    }
    if (verified && p->owner_gone) {
        if (!p->starting)
            p->stop_reason = VIR_DOMAIN_SHUTOFF_DESTROYED;
        end_unwanted(d, "to end with its client");
        return;
    }
    p->owner_gone = false;
    g_auto(Err) err = ERR_INIT;
    bool gone = false;
    uint64_t life = d->life;
    if (reach(d, &gone, &err) < 0) {
        if (d->life != life)
            return; /* destroyed meanwhile */
        if (gone) {
            log_info("%s: ended while no daemon looked", d->name);
            bury(d);
            settle_snapshot(d);
        } else if (verified && p->starting) {
            end_unwanted(d, "half started");
        } else {
            leave_alone(d, &err);
        }
        return;
    }
    bool begun = true;
    if (check_uuid(d, &err) < 0 || (p->starting && guest_begun(d, &begun, &err) < 0) || (begun && domain_resync(d, &err) < 0)) {
        if (p->dying || d->life != life)
            return;
        domain_drop_monitor(d, "not the machine's");
        if (verified && p->starting)
            end_unwanted(d, "half started");
        else
            leave_alone(d, &err);
        return;
    }
    if (!begun) {
        end_unwanted(d, "half started");
        return;
    }
    if (!blockjobs_sweep(d))
        blockjobs_sweep_later(d);
    blockjob_verdicts_later(d);
    domain_set_stuck(d, false);
    domain_sort_config(d); /* the file has it in the order in which it was defined */
    settle_snapshot(d);
    domain_mark_changed(d);
    log_info("%s: reconnected to process %d, state %d", d->name, (int)p->proc.pid, d->state);
}

bool domain_revive(Domain *d)
{
    DomainPrivate *p = d->priv;
    domain_assert_locked(d);
    g_auto(Err) err = ERR_INIT;
    bool gone = false;
    if (reach(d, &gone, &err) < 0) {
        log_error("%s: the monitor is lost and QEMU does not answer again: %s", d->name, err.detail);
        return false;
    }
    p->dying = false;
    if (check_uuid(d, &err) < 0 || domain_resync(d, &err) < 0) {
        log_error("%s: the monitor is lost and QEMU does not answer as it should: %s", d->name, err.detail);
        domain_drop_monitor(d, "it does not answer as it should"); /* also when its end was announced: the tear-down goes on behind us */
        p->dying = true;
        return false;
    }
    domain_set_stuck(d, false);
    domain_mark_changed(d);
    domain_ring(d);
    log_warning("%s: the monitor was lost and is connected again", d->name);
    return true;
}
