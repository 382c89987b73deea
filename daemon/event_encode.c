/* daemon/event_encode.c - events of machines as messages
 *
 * Owns:    one row an event id: procedure numbers, message type, and the function that fills it
 * Source:  framing.md section 9: in callback form the legacy body follows the callback id; three power events have a reason between;
 *          ids from 16 on exist in callback form only and have the callback id as first field of their struct
 */
#include "config.h"

#define ERR_FROM VIR_FROM_RPC
#include <string.h>

#include "daemon/events.h"
#include "daemon/wire.h"
#include "api_enums.h"
#include "protocol/qemu_protocol.h"

typedef union Msg {
    remote_domain_event_lifecycle_msg lifecycle;
    remote_domain_event_reboot_msg plain; /* also control error, power events: only a machine */
    remote_domain_event_rtc_change_msg rtc_change;
    remote_domain_event_watchdog_msg watchdog;
    remote_domain_event_io_error_msg io_error;
    remote_domain_event_io_error_reason_msg io_error_reason;
    remote_domain_event_graphics_msg graphics;
    remote_domain_event_block_job_msg block_job;
    remote_domain_event_disk_change_msg disk_change;
    remote_domain_event_tray_change_msg tray_change;
    remote_domain_event_balloon_change_msg balloon_change;
    remote_domain_event_device_removed_msg device_removed;
    remote_domain_event_block_job_2_msg block_job_2;
    remote_domain_event_callback_tunable_msg tunable;
    remote_domain_event_callback_agent_lifecycle_msg agent;
    remote_domain_event_callback_device_added_msg device; /* also removal failed */
    remote_domain_event_callback_job_completed_msg job_completed;
    remote_domain_event_callback_metadata_change_msg metadata;
    remote_domain_event_block_threshold_msg block_threshold;
    qemu_domain_monitor_event_msg monitor;
} Msg;

typedef struct Fill {
    Arena arena;
    const DomainEvent *e;
    Msg *m;
    char *opt[2]; /* cells that optional strings point to */
} Fill;

static remote_nonnull_domain domain_of(const DomainEvent *e)
{
    remote_nonnull_domain d = {.name = e->name, .id = e->dom_id};
    memcpy(d.uuid, e->uuid, UUID_LEN);
    return d;
}

static char *text(char *s)
{
    static char empty[] = "";
    return s ? s : empty;
}

static remote_string opt_text(Fill *f, int cell, char *s)
{
    f->opt[cell] = s;
    return s ? &f->opt[cell] : NULL;
}

static void fill_lifecycle(Fill *f)
{
    f->m->lifecycle = (remote_domain_event_lifecycle_msg){domain_of(f->e), f->e->lifecycle.event, f->e->lifecycle.detail};
}

static void fill_plain(Fill *f)
{
    f->m->plain.dom = domain_of(f->e);
}

static void fill_rtc_change(Fill *f)
{
    f->m->rtc_change = (remote_domain_event_rtc_change_msg){domain_of(f->e), f->e->rtc_change.offset};
}

static void fill_watchdog(Fill *f)
{
    f->m->watchdog = (remote_domain_event_watchdog_msg){domain_of(f->e), f->e->watchdog.action};
}

static void fill_io_error(Fill *f)
{
    f->m->io_error = (remote_domain_event_io_error_msg){domain_of(f->e), text(f->e->io_error.path), text(f->e->io_error.alias),
                                                        f->e->io_error.action};
}

static void fill_io_error_reason(Fill *f)
{
    f->m->io_error_reason =
        (remote_domain_event_io_error_reason_msg){domain_of(f->e), text(f->e->io_error.path), text(f->e->io_error.alias),
                                                  f->e->io_error.action, text(f->e->io_error.reason)};
}

static void fill_graphics(Fill *f)
{
    const DomainEvent *e = f->e;
    remote_domain_event_graphics_msg *m = &f->m->graphics;
    m->dom = domain_of(e);
    m->phase = e->graphics.phase;
    m->local = (remote_domain_event_graphics_address){e->graphics.local_family, text(e->graphics.local_node),
                                                      text(e->graphics.local_service)};
    m->remote = (remote_domain_event_graphics_address){e->graphics.remote_family, text(e->graphics.remote_node),
                                                       text(e->graphics.remote_service)};
    m->authScheme = text(e->graphics.auth_scheme);
    if (e->graphics.subject_type) {
        m->subject.subject_len = 1;
        m->subject.subject_val = arena_new(&f->arena, remote_domain_event_graphics_identity);
        m->subject.subject_val[0] =
            (remote_domain_event_graphics_identity){text(e->graphics.subject_type), text(e->graphics.subject_name)};
    }
}

static void fill_block_job(Fill *f)
{
    f->m->block_job = (remote_domain_event_block_job_msg){domain_of(f->e), text(f->e->block_job.path), f->e->block_job.type,
                                                          f->e->block_job.status};
}

static void fill_block_job_2(Fill *f)
{
    f->m->block_job_2 = (remote_domain_event_block_job_2_msg){0, domain_of(f->e), text(f->e->block_job.path),
                                                              f->e->block_job.type, f->e->block_job.status};
}

static void fill_disk_change(Fill *f)
{
    f->m->disk_change = (remote_domain_event_disk_change_msg){
        domain_of(f->e), opt_text(f, 0, f->e->disk_change.old_path), opt_text(f, 1, f->e->disk_change.new_path),
        text(f->e->disk_change.alias), f->e->disk_change.reason};
}

static void fill_tray_change(Fill *f)
{
    f->m->tray_change =
        (remote_domain_event_tray_change_msg){domain_of(f->e), text(f->e->tray_change.alias), f->e->tray_change.reason};
}

static void fill_balloon(Fill *f)
{
    f->m->balloon_change = (remote_domain_event_balloon_change_msg){domain_of(f->e), f->e->balloon.actual_kib};
}

static void fill_device_removed(Fill *f)
{
    f->m->device_removed = (remote_domain_event_device_removed_msg){domain_of(f->e), text(f->e->device.alias)};
}

static void fill_device(Fill *f)
{
    f->m->device = (remote_domain_event_callback_device_added_msg){0, domain_of(f->e), text(f->e->device.alias)};
}

static void fill_agent(Fill *f)
{
    f->m->agent =
        (remote_domain_event_callback_agent_lifecycle_msg){0, domain_of(f->e), f->e->agent.state, f->e->agent.reason};
}

static void fill_metadata(Fill *f)
{
    f->m->metadata = (remote_domain_event_callback_metadata_change_msg){0, domain_of(f->e), f->e->metadata.type,
                                                                        opt_text(f, 0, f->e->metadata.uri)};
}

static void fill_tunable(Fill *f)
{
    const GPtrArray *from = f->e->params.params;
    remote_domain_event_callback_tunable_msg *m = &f->m->tunable;
    m->dom = domain_of(f->e);
    m->params.params_len = MIN(from->len, REMOTE_DOMAIN_EVENT_TUNABLE_MAX);
    m->params.params_val = arena_array(&f->arena, remote_typed_param, m->params.params_len);
    for (unsigned i = 0; i < m->params.params_len; i++) {
        const EventParam *p = from->pdata[i];
        remote_typed_param *out = &m->params.params_val[i];
        out->field = p->name;
        out->value.type = p->text ? VIR_TYPED_PARAM_STRING : VIR_TYPED_PARAM_ULLONG;
        if (p->text)
            out->value.remote_typed_param_value_u.s = p->text;
        else
            out->value.remote_typed_param_value_u.ul = p->number;
    }
}

static void fill_block_threshold(Fill *f)
{
    f->m->block_threshold = (remote_domain_event_block_threshold_msg){
        0, domain_of(f->e), text(f->e->block_threshold.dev), opt_text(f, 0, f->e->block_threshold.path),
        f->e->block_threshold.threshold, f->e->block_threshold.excess};
}

static void fill_monitor(Fill *f)
{
    f->m->monitor = (qemu_domain_monitor_event_msg){0, domain_of(f->e), text(f->e->monitor.event), f->e->monitor.seconds,
                                                    f->e->monitor.micros, opt_text(f, 0, f->e->monitor.details)};
}

typedef enum {
    FORM_LEGACY,      /* body known to both generations */
    FORM_LEGACY_REASON, /* the callback form has an int reason before the body */
    FORM_CALLBACK,    /* callback form only; the struct starts with the callback id */
} Form;

typedef struct Row {
    int legacy, callback;
    Form form;
    xdrproc_t filter;
    void (*fill)(Fill *f);
} Row;

#define F(type) ((xdrproc_t)(void (*)(void))xdr_##type)
#define BOTH(id, NAME, type, fn) \
    [VIR_DOMAIN_EVENT_ID_##id] = {REMOTE_PROC_DOMAIN_EVENT_##NAME, REMOTE_PROC_DOMAIN_EVENT_CALLBACK_##NAME, FORM_LEGACY, F(type), fn}
#define POWER(id, NAME) \
    [VIR_DOMAIN_EVENT_ID_##id] = {REMOTE_PROC_DOMAIN_EVENT_##NAME, REMOTE_PROC_DOMAIN_EVENT_CALLBACK_##NAME, FORM_LEGACY_REASON, \
                                  F(remote_domain_event_reboot_msg), fill_plain}
#define NEW(id, proc, type, fn) [VIR_DOMAIN_EVENT_ID_##id] = {0, REMOTE_PROC_DOMAIN_EVENT_##proc, FORM_CALLBACK, F(type), fn}

static const Row rows[] = {
    BOTH(LIFECYCLE, LIFECYCLE, remote_domain_event_lifecycle_msg, fill_lifecycle),
    BOTH(REBOOT, REBOOT, remote_domain_event_reboot_msg, fill_plain),
    BOTH(RTC_CHANGE, RTC_CHANGE, remote_domain_event_rtc_change_msg, fill_rtc_change),
    BOTH(WATCHDOG, WATCHDOG, remote_domain_event_watchdog_msg, fill_watchdog),
    BOTH(IO_ERROR, IO_ERROR, remote_domain_event_io_error_msg, fill_io_error),
    BOTH(GRAPHICS, GRAPHICS, remote_domain_event_graphics_msg, fill_graphics),
    BOTH(IO_ERROR_REASON, IO_ERROR_REASON, remote_domain_event_io_error_reason_msg, fill_io_error_reason),
    BOTH(CONTROL_ERROR, CONTROL_ERROR, remote_domain_event_reboot_msg, fill_plain),
    BOTH(BLOCK_JOB, BLOCK_JOB, remote_domain_event_block_job_msg, fill_block_job),
    BOTH(DISK_CHANGE, DISK_CHANGE, remote_domain_event_disk_change_msg, fill_disk_change),
    BOTH(TRAY_CHANGE, TRAY_CHANGE, remote_domain_event_tray_change_msg, fill_tray_change),
    POWER(PMWAKEUP, PMWAKEUP),
    POWER(PMSUSPEND, PMSUSPEND),
    BOTH(BALLOON_CHANGE, BALLOON_CHANGE, remote_domain_event_balloon_change_msg, fill_balloon),
    POWER(PMSUSPEND_DISK, PMSUSPEND_DISK),
    BOTH(DEVICE_REMOVED, DEVICE_REMOVED, remote_domain_event_device_removed_msg, fill_device_removed),
    NEW(BLOCK_JOB_2, BLOCK_JOB_2, remote_domain_event_block_job_2_msg, fill_block_job_2),
    NEW(TUNABLE, CALLBACK_TUNABLE, remote_domain_event_callback_tunable_msg, fill_tunable),
    NEW(AGENT_LIFECYCLE, CALLBACK_AGENT_LIFECYCLE, remote_domain_event_callback_agent_lifecycle_msg, fill_agent),
    NEW(DEVICE_ADDED, CALLBACK_DEVICE_ADDED, remote_domain_event_callback_device_added_msg, fill_device),
    NEW(MIGRATION_ITERATION, CALLBACK_MIGRATION_ITERATION, remote_domain_event_callback_migration_iteration_msg, NULL),
    NEW(JOB_COMPLETED, CALLBACK_JOB_COMPLETED, remote_domain_event_callback_job_completed_msg, NULL),
    NEW(DEVICE_REMOVAL_FAILED, CALLBACK_DEVICE_REMOVAL_FAILED, remote_domain_event_callback_device_added_msg, fill_device),
    NEW(METADATA_CHANGE, CALLBACK_METADATA_CHANGE, remote_domain_event_callback_metadata_change_msg, fill_metadata),
    NEW(BLOCK_THRESHOLD, BLOCK_THRESHOLD, remote_domain_event_block_threshold_msg, fill_block_threshold),
    NEW(MEMORY_FAILURE, MEMORY_FAILURE, remote_domain_event_memory_failure_msg, NULL),
    NEW(MEMORY_DEVICE_SIZE_CHANGE, MEMORY_DEVICE_SIZE_CHANGE, remote_domain_event_memory_device_size_change_msg, NULL),
};

static const Row monitor_row = {0, 0, FORM_CALLBACK, F(qemu_domain_monitor_event_msg), fill_monitor};

bool event_procs(int event_id, EventProcs *ret)
{
    if (event_id < 0 || (size_t)event_id >= N_ELEMENTS(rows))
        return false;
    *ret = (EventProcs){rows[event_id].legacy, rows[event_id].callback};
    return true;
}

GBytes *event_encode(const DomainEvent *e, bool legacy, Err *err)
{
    const Row *row = e->class == EVENT_QEMU_MONITOR ? &monitor_row : &rows[e->id];
    if (!row->fill) {
        err_set(err, VIR_ERR_INTERNAL_ERROR, "nothing publishes this event yet");
        return NULL;
    }
    Msg m;
    memset(&m, 0, sizeof(m));
    Fill f = {.e = e, .m = &m};
    row->fill(&f);
    g_autoptr(GBytes) all = rpc_encode(row->filter, &m, err);
    arena_done(&f.arena);
    if (!all)
        return NULL;
    gsize len;
    const char *p = g_bytes_get_data(all, &len);
    if (row->form == FORM_CALLBACK)
        return g_bytes_new_from_bytes(all, 4, len - 4); /* rpc_event_send puts each receiver's id there */
    if (row->form == FORM_LEGACY_REASON && !legacy) {
        GByteArray *a = g_byte_array_sized_new((guint)len + 4);
        uint32_t reason = GUINT32_TO_BE((uint32_t)e->pm.reason);
        g_byte_array_append(a, (const guint8 *)&reason, 4);
        g_byte_array_append(a, (const guint8 *)p, (guint)len);
        return g_byte_array_free_to_bytes(a);
    }
    return g_bytes_ref(all);
}
