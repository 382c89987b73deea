/* domain/events.c - what each QMP event means for a machine
 *
 * Owns:    the table of events
 * Threads: the holder of the domain lock, draining the inbox
 * Locks:   the domain's, held by the caller
 * Errors:  none; an event that lacks what it should have is logged and left alone
 *
 * A handler only changes state and publishes.  What needs QEMU is queued as a task, which takes a job of its own.  An
 * event without a row still reaches the listeners of raw monitor events.
 */
#include "config.h"

#include <signal.h>
#include <string.h>

#define LOG_AREA "domain.events"
#include "util/log.h"
#include "domain/block_ops.h"
#include "domain/private.h"
#include "model/chain_find.h"
#include "api_enums.h"

#define AGENT_CHANNEL "org.qemu.guest_agent.0"

typedef struct EventCtx {
    const char *name;
    json_t *data;
    uint64_t usec;
    int arg; /* of the row */
} EventCtx;

static const char *text(const EventCtx *c, const char *key)
{
    return json_string_value(json_object_get(c->data, key));
}

static bool flag(const EventCtx *c, const char *key)
{
    return json_is_true(json_object_get(c->data, key));
}

/* ---- running, paused, off ---------------------------------------------------------------------------------------- */

static void suspended(Domain *d, int reason, int detail)
{
    if (d->state != VIR_DOMAIN_RUNNING && d->state != VIR_DOMAIN_PMSUSPENDED)
        return;
    domain_set_state(d, VIR_DOMAIN_PAUSED, reason);
    domain_publish_lifecycle(d, VIR_DOMAIN_EVENT_SUSPENDED, detail);
}

static void on_stop(Domain *d, const EventCtx *c)
{
    DomainPrivate *p = d->priv;
    int reason = p->pause_reason ? p->pause_reason : VIR_DOMAIN_PAUSED_UNKNOWN;
    p->pause_reason = 0;
    if (!p->got_shutdown && !p->starting) /* QEMU also stops by itself after SHUTDOWN */
        suspended(d, reason, VIR_DOMAIN_EVENT_SUSPENDED_PAUSED);
}

static void on_resume(Domain *d, const EventCtx *c)
{
    DomainPrivate *p = d->priv;
    int reason = p->run_reason ? p->run_reason : VIR_DOMAIN_RUNNING_UNPAUSED;
    p->run_reason = 0;
    if (d->state == VIR_DOMAIN_SHUTDOWN) /* preserved, and reset by somebody: its next end is a new one */
        p->got_shutdown = false;
    if (d->state == VIR_DOMAIN_RUNNING)
        return;
    domain_set_state(d, VIR_DOMAIN_RUNNING, reason);
    domain_publish_lifecycle(d, VIR_DOMAIN_EVENT_RESUMED, VIR_DOMAIN_EVENT_RESUMED_UNPAUSED);
}

/* True when the guest's end means a new beginning, by what was asked for or by the definition. */
static bool starts_over(const Domain *d, const char *reason)
{
    if (d->priv->fake_reboot)
        return true;
    if (!g_strcmp0(reason, "guest-reset") || !g_strcmp0(reason, "host-qmp-system-reset"))
        return d->live->on_reboot == ON_RESTART;
    return d->live->on_poweroff == ON_RESTART;
}

/* QEMU waits with -no-shutdown: SIGTERM lets it close its images and go. */
static void end_after_shutdown(Domain *d)
{
    if (d->live->on_poweroff != ON_PRESERVE)
        kill_switch_signal(d, 0, SIGTERM);
}

static void on_shutdown(Domain *d, const EventCtx *c)
{
    DomainPrivate *p = d->priv;
    bool asked;
    if (p->starting) { /* may come together with the answer to `cont`: nobody has been told of the start yet */
        json_decref(p->early_shutdown);
        p->early_shutdown = c->data ? json_deep_copy(c->data) : json_object();
        return;
    }
    {
        LOCK_SCOPE(&p->kill.lock);
        asked = p->kill.asked_life == p->kill.life;
    }
    if (p->got_shutdown)
        return;
    p->got_shutdown = true;
    if (p->stop_reason == VIR_DOMAIN_SHUTOFF_CRASHED)
        return; /* ours, after a panic: listeners know of the crash, and its end follows */
    if (!asked && !p->stop_reason && starts_over(d, text(c, "reason"))) {
        /* the guest goes on in a moment: for readers and listeners it never stopped, as with libvirt */
        domain_task(d, JOB_MODIFY, "reboot of the guest", d->life, domain_start_over, NULL, NULL);
        return;
    }
    json_t *guest = json_object_get(c->data, "guest");
    int detail = !guest                ? VIR_DOMAIN_EVENT_SHUTDOWN_FINISHED
                 : json_is_true(guest) ? VIR_DOMAIN_EVENT_SHUTDOWN_GUEST
                                       : VIR_DOMAIN_EVENT_SHUTDOWN_HOST;
    domain_set_state(d, VIR_DOMAIN_SHUTDOWN, VIR_DOMAIN_SHUTDOWN_UNKNOWN);
    domain_publish_lifecycle(d, VIR_DOMAIN_EVENT_SHUTDOWN, detail);
    if (!asked && !p->stop_reason)
        end_after_shutdown(d);
}

static void on_reset(Domain *d, const EventCtx *c)
{
    domain_publish_plain(d, VIR_DOMAIN_EVENT_ID_REBOOT);
}

static void on_powerdown(Domain *d, const EventCtx *c)
{
    /* the button was pressed; what the guest does about it is another event */
}

static void on_panic_restart(Domain *d, void *unused)
{
    d->priv->run_reason = VIR_DOMAIN_RUNNING_CRASHED;
    domain_start_over(d, NULL);
}

/* What the definition wants done with a crashed guest. */
static void act_on_panic(Domain *d)
{
    DomainPrivate *p = d->priv;
    switch (d->live->on_crash) {
    case ON_PRESERVE:
        break;
    case ON_RESTART:
    case ON_COREDUMP_RESTART:
        domain_task(d, JOB_MODIFY, "restart after a panic", d->life, on_panic_restart, NULL, NULL);
        break;
    default:
        p->stop_reason = VIR_DOMAIN_SHUTOFF_CRASHED;
        p->stop_detail = VIR_DOMAIN_EVENT_STOPPED_CRASHED;
        domain_mark_changed(d);
        kill_switch_signal(d, 0, SIGTERM);
    }
}

static void on_panic(Domain *d, const EventCtx *c)
{
    if (d->state == VIR_DOMAIN_CRASHED)
        return;
    domain_set_state(d, VIR_DOMAIN_CRASHED, VIR_DOMAIN_CRASHED_PANICKED);
    domain_publish_lifecycle(d, VIR_DOMAIN_EVENT_CRASHED, VIR_DOMAIN_EVENT_CRASHED_PANICKED);
    act_on_panic(d);
}

void domain_act_again(Domain *d)
{
    domain_assert_locked(d);
    if (d->state == VIR_DOMAIN_CRASHED)
        act_on_panic(d);
    else if (d->state == VIR_DOMAIN_SHUTDOWN)
        end_after_shutdown(d);
}

static void on_crashloaded(Domain *d, const EventCtx *c)
{
    domain_publish_lifecycle(d, VIR_DOMAIN_EVENT_CRASHED, VIR_DOMAIN_EVENT_CRASHED_CRASHLOADED);
}

/* ---- guest power management -------------------------------------------------------------------------------------- */

/* As libvirt: the event of its own first, then the change of state it makes. */
static void on_pmsuspend(Domain *d, const EventCtx *c)
{
    bool disk = c->arg == VIR_DOMAIN_EVENT_ID_PMSUSPEND_DISK, ran = d->state == VIR_DOMAIN_RUNNING;
    if (ran)
        domain_set_state(d, VIR_DOMAIN_PMSUSPENDED, VIR_DOMAIN_PMSUSPENDED_UNKNOWN);
    domain_publish_plain(d, c->arg);
    if (ran)
        domain_publish_lifecycle(d, VIR_DOMAIN_EVENT_PMSUSPENDED,
                                 disk ? VIR_DOMAIN_EVENT_PMSUSPENDED_DISK : VIR_DOMAIN_EVENT_PMSUSPENDED_MEMORY);
}

static void on_wakeup(Domain *d, const EventCtx *c)
{
    bool slept = d->state == VIR_DOMAIN_PMSUSPENDED;
    if (slept)
        domain_set_state(d, VIR_DOMAIN_RUNNING, VIR_DOMAIN_RUNNING_WAKEUP);
    domain_publish_plain(d, VIR_DOMAIN_EVENT_ID_PMWAKEUP);
    if (slept)
        domain_publish_lifecycle(d, VIR_DOMAIN_EVENT_STARTED, VIR_DOMAIN_EVENT_STARTED_WAKEUP);
}

static void on_watchdog(Domain *d, const EventCtx *c)
{
    static const char *const actions[] = {"none", "pause", "reset", "poweroff", "shutdown", "debug", "inject-nmi"};
    const char *action = text(c, "action");
    int nr = VIR_DOMAIN_EVENT_WATCHDOG_NONE;
    for (unsigned i = 0; i < N_ELEMENTS(actions); i++) {
        if (!g_strcmp0(action, actions[i]))
            nr = (int)i;
    }
    DomainEvent *e = domain_event_new(EVENT_DOMAIN, VIR_DOMAIN_EVENT_ID_WATCHDOG, d);
    e->watchdog.action = nr;
    domain_publish_event(d, e);
    if (nr == VIR_DOMAIN_EVENT_WATCHDOG_PAUSE)
        suspended(d, VIR_DOMAIN_PAUSED_WATCHDOG, VIR_DOMAIN_EVENT_SUSPENDED_WATCHDOG);
}

/* ---- devices ----------------------------------------------------------------------------------------------------- */

static void on_write_threshold(Domain *d, const EventCtx *c)
{
    json_int_t mark = json_integer_value(json_object_get(c->data, "write-threshold"));
    json_int_t excess = json_integer_value(json_object_get(c->data, "amount-exceeded"));
    if (text(c, "node-name") && mark >= 0 && excess >= 0)
        domain_block_threshold_passed(d, text(c, "node-name"), (uint64_t)mark, (uint64_t)excess);
}

static void publish_io_error(Domain *d, int id, const char *path, const char *alias, int action, const char *reason)
{
    DomainEvent *e = domain_event_new(EVENT_DOMAIN, id, d);
    e->io_error.path = g_strdup(path ? path : "");
    e->io_error.alias = g_strdup(alias ? alias : "");
    e->io_error.action = action;
    e->io_error.reason = g_strdup(reason);
    domain_publish_event(d, e);
}

static void on_io_error(Domain *d, const EventCtx *c)
{
    const char *word = text(c, "action");
    int action = !g_strcmp0(word, "stop")     ? VIR_DOMAIN_EVENT_IO_ERROR_PAUSE
                 : !g_strcmp0(word, "report") ? VIR_DOMAIN_EVENT_IO_ERROR_REPORT
                                              : VIR_DOMAIN_EVENT_IO_ERROR_NONE;
    StorageSource *src = NULL;
    const DiskDef *disk = chain_by_node(d->live, text(c, "node-name"), &src);
    const char *path = src ? src->path : NULL, *alias = disk ? disk->info.alias : text(c, "device");
    const char *reason = flag(c, "nospace") ? "enospc" : "";
    publish_io_error(d, VIR_DOMAIN_EVENT_ID_IO_ERROR, path, alias, action, reason);
    publish_io_error(d, VIR_DOMAIN_EVENT_ID_IO_ERROR_REASON, path, alias, action, reason);
    if (action == VIR_DOMAIN_EVENT_IO_ERROR_PAUSE)
        suspended(d, VIR_DOMAIN_PAUSED_IOERROR, VIR_DOMAIN_EVENT_SUSPENDED_IOERROR);
}

static void on_rtc_change(Domain *d, const EventCtx *c)
{
    json_t *offset = json_object_get(c->data, "offset");
    if (!json_is_integer(offset))
        return;
    int64_t v = json_integer_value(offset);
    if (d->live->clock.offset == CLOCK_VARIABLE &&
        !(d->live->clock.adjustment.set && d->live->clock.adjustment.v == v)) {
        DomainDef *def = domain_def_copy(d->live);
        def->clock.adjustment = (OptI64){true, v};
        domain_set_live(d, def);
    }
    DomainEvent *e = domain_event_new(EVENT_DOMAIN, VIR_DOMAIN_EVENT_ID_RTC_CHANGE, d);
    e->rtc_change.offset = v;
    domain_publish_event(d, e);
}

static void on_balloon(Domain *d, const EventCtx *c)
{
    json_t *actual = json_object_get(c->data, "actual");
    if (!json_is_integer(actual) || json_integer_value(actual) < 0)
        return;
    d->priv->balloon_kib = (uint64_t)json_integer_value(actual) / 1024;
    domain_mark_changed(d);
    DomainEvent *e = domain_event_new(EVENT_DOMAIN, VIR_DOMAIN_EVENT_ID_BALLOON_CHANGE, d);
    e->balloon.actual_kib = d->priv->balloon_kib;
    domain_publish_event(d, e);
}

/* The guest let go of it, whoever asked. */
static void on_device_deleted(Domain *d, const EventCtx *c)
{
    const char *alias = text(c, "device");
    if (!alias) /* a part of a device, or one without an id of ours */
        return;
    if (domain_def_find_alias(d->live, alias, NULL)) {
        DomainDef *def = domain_def_copy(d->live);
        domain_def_remove_alias(def, alias);
        domain_set_live(d, def);
    }
    DomainEvent *e = domain_event_new(EVENT_DOMAIN, VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED, d);
    e->device.alias = g_strdup(alias);
    domain_publish_event(d, e);
}

static void on_device_event(Domain *d, const EventCtx *c)
{
    const char *alias = text(c, "device");
    if (!alias) /* without an id of ours */
        return;
    DomainEvent *e = domain_event_new(EVENT_DOMAIN, c->arg, d);
    e->device.alias = g_strdup(alias);
    domain_publish_event(d, e);
}

static void on_tray(Domain *d, const EventCtx *c)
{
    const char *id = text(c, "id");
    bool open = flag(c, "tray-open");
    for (unsigned i = 0; id && i < d->live->disks->len; i++) {
        const DiskDef *disk = d->live->disks->pdata[i];
        if (g_strcmp0(disk->info.alias, id) != 0)
            continue;
        DomainDef *def = domain_def_copy(d->live);
        ((DiskDef *)def->disks->pdata[i])->tray = open ? DISK_TRAY_OPEN : DISK_TRAY_ABSENT; /* closed is the rule */
        domain_set_live(d, def);
        DomainEvent *e = domain_event_new(EVENT_DOMAIN, VIR_DOMAIN_EVENT_ID_TRAY_CHANGE, d);
        e->tray_change.alias = g_strdup(id);
        e->tray_change.reason = open ? VIR_DOMAIN_EVENT_TRAY_CHANGE_OPEN : VIR_DOMAIN_EVENT_TRAY_CHANGE_CLOSE;
        domain_publish_event(d, e);
        return;
    }
}

void domain_channel_state(Domain *d, const char *alias, bool open, int reason)
{
    for (unsigned i = 0; i < d->live->channels->len; i++) {
        const ChrDef *ch = d->live->channels->pdata[i];
        ChannelState state = open ? CHANNEL_STATE_CONNECTED : CHANNEL_STATE_DISCONNECTED;
        if (g_strcmp0(ch->info.alias, alias) != 0 || ch->target_state == state)
            continue;
        bool agent = !g_strcmp0(ch->target_name, AGENT_CHANNEL);
        DomainDef *def = domain_def_copy(d->live);
        ((ChrDef *)def->channels->pdata[i])->target_state = state;
        domain_set_live(d, def);
        if (agent) {
            DomainEvent *e = domain_event_new(EVENT_DOMAIN, VIR_DOMAIN_EVENT_ID_AGENT_LIFECYCLE, d);
            e->agent.state = open ? VIR_CONNECT_DOMAIN_EVENT_AGENT_LIFECYCLE_STATE_CONNECTED
                                  : VIR_CONNECT_DOMAIN_EVENT_AGENT_LIFECYCLE_STATE_DISCONNECTED;
            e->agent.reason = reason;
            domain_publish_event(d, e);
        }
        return;
    }
}

static void on_vserport(Domain *d, const EventCtx *c)
{
    const char *id = text(c, "id");
    if (id)
        domain_channel_state(d, id, flag(c, "open"), VIR_CONNECT_DOMAIN_EVENT_AGENT_LIFECYCLE_REASON_CHANNEL);
}

/* ---- screens ----------------------------------------------------------------------------------------------------- */

static int family_of(const char *word)
{
    if (!g_strcmp0(word, "ipv6"))
        return VIR_DOMAIN_EVENT_GRAPHICS_ADDRESS_IPV6;
    return !g_strcmp0(word, "unix") ? VIR_DOMAIN_EVENT_GRAPHICS_ADDRESS_UNIX : VIR_DOMAIN_EVENT_GRAPHICS_ADDRESS_IPV4;
}

static char *member(json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return g_strdup(s ? s : "");
}

static void on_vnc(Domain *d, const EventCtx *c)
{
    json_t *server = json_object_get(c->data, "server"), *client = json_object_get(c->data, "client");
    DomainEvent *e = domain_event_new(EVENT_DOMAIN, VIR_DOMAIN_EVENT_ID_GRAPHICS, d);
    e->graphics.phase = c->arg;
    e->graphics.local_family = family_of(json_string_value(json_object_get(server, "family")));
    e->graphics.local_node = member(server, "host");
    e->graphics.local_service = member(server, "service");
    e->graphics.remote_family = family_of(json_string_value(json_object_get(client, "family")));
    e->graphics.remote_node = member(client, "host");
    e->graphics.remote_service = member(client, "service");
    e->graphics.auth_scheme = member(server, "auth");
    const char *dn = json_string_value(json_object_get(client, "x509_dname"));
    const char *user = json_string_value(json_object_get(client, "sasl_username"));
    if (dn || user) {
        e->graphics.subject_type = g_strdup(dn ? "x509dname" : "saslUsername");
        e->graphics.subject_name = g_strdup(dn ? dn : user);
    }
    domain_publish_event(d, e);
}

/* ---- block jobs -------------------------------------------------------------------------------------------------- */

static void on_blockjob(Domain *d, const EventCtx *c)
{
    blockjob_event(d, c->name, c->data);
}

/* ---- recorded for later ------------------------------------------------------------------------------------------ */

/* Nothing of Berth causes these yet; a user of the raw monitor might. */
static void on_recorded(Domain *d, const EventCtx *c)
{
    log_info("%s: %s", d->name, c->name);
}

/* ---- table ------------------------------------------------------------------------------------------------------- */

typedef struct EventRow {
    const char *name;
    void (*fn)(Domain *d, const EventCtx *c);
    int arg;
} EventRow;

/* In strcmp order: looked up by bsearch. */
static const EventRow rows[] = {
    {"BALLOON_CHANGE", on_balloon, 0},
    {"BLOCK_IO_ERROR", on_io_error, 0},
    {"BLOCK_JOB_CANCELLED", on_blockjob, 0},
    {"BLOCK_JOB_COMPLETED", on_blockjob, 0},
    {"BLOCK_JOB_ERROR", on_blockjob, 0},
    {"BLOCK_JOB_PENDING", on_recorded, 0}, /* JOB_STATUS_CHANGE says it too */
    {"BLOCK_JOB_READY", on_blockjob, 0},
    {"BLOCK_WRITE_THRESHOLD", on_write_threshold, 0},
    {"DEVICE_DELETED", on_device_deleted, 0},
    {"DEVICE_TRAY_MOVED", on_tray, 0},
    {"DEVICE_UNPLUG_GUEST_ERROR", on_device_event, VIR_DOMAIN_EVENT_ID_DEVICE_REMOVAL_FAILED},
    {"GUEST_CRASHLOADED", on_crashloaded, 0},
    {"GUEST_PANICKED", on_panic, 0},
    {"JOB_STATUS_CHANGE", on_blockjob, 0},
    {"MIGRATION", on_recorded, 0},
    {"MIGRATION_PASS", on_recorded, 0},
    {"NIC_RX_FILTER_CHANGED", on_recorded, 0},
    {"POWERDOWN", on_powerdown, 0},
    {"RESET", on_reset, 0},
    {"RESUME", on_resume, 0},
    {"RTC_CHANGE", on_rtc_change, 0},
    {"SHUTDOWN", on_shutdown, 0},
    {"STOP", on_stop, 0},
    {"SUSPEND", on_pmsuspend, VIR_DOMAIN_EVENT_ID_PMSUSPEND},
    {"SUSPEND_DISK", on_pmsuspend, VIR_DOMAIN_EVENT_ID_PMSUSPEND_DISK},
    {"VNC_CONNECTED", on_vnc, VIR_DOMAIN_EVENT_GRAPHICS_CONNECT},
    {"VNC_DISCONNECTED", on_vnc, VIR_DOMAIN_EVENT_GRAPHICS_DISCONNECT},
    {"VNC_INITIALIZED", on_vnc, VIR_DOMAIN_EVENT_GRAPHICS_INITIALIZE},
    {"VSERPORT_CHANGE", on_vserport, 0},
    {"WAKEUP", on_wakeup, 0},
    {"WATCHDOG", on_watchdog, 0},
};

static int row_cmp(const void *key, const void *row)
{
    return strcmp(key, ((const EventRow *)row)->name);
}

static void publish_raw(Domain *d, const EventCtx *c)
{
    DomainEvent *e = domain_event_new(EVENT_QEMU_MONITOR, 0, d);
    e->monitor.event = g_strdup(c->name);
    e->monitor.seconds = (int64_t)(c->usec / G_USEC_PER_SEC);
    e->monitor.micros = (unsigned)(c->usec % G_USEC_PER_SEC);
    if (c->data) {
        char *s = json_dumps(c->data, JSON_COMPACT | JSON_PRESERVE_ORDER);
        e->monitor.details = g_strdup(s);
        free(s);
    }
    domain_publish_event(d, e);
}

static void apply(Domain *d, const EventRow *row, const char *name, json_t *data, uint64_t usec)
{
    EventCtx c = {name, data, usec, row->arg};
    if (d->live)
        row->fn(d, &c);
}

static const EventRow *row_of(const char *name)
{
    return bsearch(name, rows, N_ELEMENTS(rows), sizeof(rows[0]), row_cmp);
}

void domain_event_apply(Domain *d, const char *name, json_t *data, uint64_t usec)
{
    domain_assert_locked(d);
    log_debug("%s: %s", d->name, name);
    publish_raw(d, &(EventCtx){name, data, usec, 0});
    const EventRow *row = row_of(name);
    if (row)
        apply(d, row, name, data, usec);
}

void domain_event_early_shutdown(Domain *d)
{
    json_t *data = g_steal_pointer(&d->priv->early_shutdown);
    domain_assert_locked(d);
    if (data)
        apply(d, row_of("SHUTDOWN"), "SHUTDOWN", data, 0);
    json_decref(data);
}

void domain_event_missed(Domain *d, const char *name, json_t *data)
{
    domain_assert_locked(d);
    log_info("%s: %s was missed", d->name, name);
    apply(d, row_of(name), name, data, (uint64_t)g_get_real_time());
}
