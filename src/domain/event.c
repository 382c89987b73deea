/* domain/event.c - what happened to a machine, as clients are told
 *
 * Owns:    making, freeing and publishing of DomainEvent
 * Threads: made with the domain lock held; freed anywhere
 */
#include "config.h"

#include <string.h>

#include "domain/private.h"
#include "api_enums.h"

DomainEvent *domain_event_new(EventClass class, int id, const Domain *d)
{
    domain_assert_locked(d);
    DomainEvent *e = g_new0(DomainEvent, 1);
    e->class = class;
    e->id = id;
    e->name = g_strdup(d->name);
    memcpy(e->uuid, d->obj.uuid, UUID_LEN);
    e->dom_id = d->id;
    return e;
}

static void free_strings(char **first, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        g_free(first[i]);
}

void domain_event_free(DomainEvent *e)
{
    if (!e)
        return;
    g_free(e->name);
    if (e->class == EVENT_QEMU_MONITOR) {
        g_free(e->monitor.event);
        g_free(e->monitor.details);
        g_free(e);
        return;
    }
    switch (e->id) {
    case VIR_DOMAIN_EVENT_ID_IO_ERROR:
    case VIR_DOMAIN_EVENT_ID_IO_ERROR_REASON:
        g_free(e->io_error.path);
        g_free(e->io_error.alias);
        g_free(e->io_error.reason);
        break;
    case VIR_DOMAIN_EVENT_ID_GRAPHICS:
        free_strings((char *[]){e->graphics.local_node, e->graphics.local_service, e->graphics.remote_node,
                                e->graphics.remote_service, e->graphics.auth_scheme, e->graphics.subject_type,
                                e->graphics.subject_name},
                     7);
        break;
    case VIR_DOMAIN_EVENT_ID_BLOCK_JOB:
    case VIR_DOMAIN_EVENT_ID_BLOCK_JOB_2:
        g_free(e->block_job.path);
        break;
    case VIR_DOMAIN_EVENT_ID_DISK_CHANGE:
        g_free(e->disk_change.old_path);
        g_free(e->disk_change.new_path);
        g_free(e->disk_change.alias);
        break;
    case VIR_DOMAIN_EVENT_ID_TRAY_CHANGE:
        g_free(e->tray_change.alias);
        break;
    case VIR_DOMAIN_EVENT_ID_DEVICE_ADDED:
    case VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED:
    case VIR_DOMAIN_EVENT_ID_DEVICE_REMOVAL_FAILED:
        g_free(e->device.alias);
        break;
    case VIR_DOMAIN_EVENT_ID_TUNABLE:
    case VIR_DOMAIN_EVENT_ID_JOB_COMPLETED:
        if (e->params.params)
            g_ptr_array_unref(e->params.params);
        break;
    case VIR_DOMAIN_EVENT_ID_METADATA_CHANGE:
        g_free(e->metadata.uri);
        break;
    case VIR_DOMAIN_EVENT_ID_BLOCK_THRESHOLD:
        g_free(e->block_threshold.dev);
        g_free(e->block_threshold.path);
        break;
    default:
        break;
    }
    g_free(e);
}

EventParam *event_param_string(const char *name, const char *text)
{
    EventParam *p = g_new0(EventParam, 1);
    p->name = g_strdup(name);
    p->text = g_strdup(text ? text : "");
    return p;
}

EventParam *event_param_ullong(const char *name, uint64_t number)
{
    EventParam *p = g_new0(EventParam, 1);
    p->name = g_strdup(name);
    p->number = number;
    return p;
}

void event_param_free(void *param)
{
    EventParam *p = param;
    g_free(p->name);
    g_free(p->text);
    g_free(p);
}

void domain_publish_event(Domain *d, DomainEvent *e)
{
    if (d->priv->dirty) /* who asks because of the event must see what it tells */
        domain_publish(d);
    bus_publish(domain_driver_bus(d->drv), e);
}

DomainEvent *domain_event_lifecycle(const Domain *d, int event, int detail)
{
    DomainEvent *e = domain_event_new(EVENT_DOMAIN, VIR_DOMAIN_EVENT_ID_LIFECYCLE, d);
    e->lifecycle.event = event;
    e->lifecycle.detail = detail;
    return e;
}

void domain_publish_lifecycle(Domain *d, int event, int detail)
{
    domain_publish_event(d, domain_event_lifecycle(d, event, detail));
}

void domain_publish_plain(Domain *d, int event_id)
{
    domain_publish_event(d, domain_event_new(EVENT_DOMAIN, event_id, d));
}
