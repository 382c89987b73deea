/* domain/monitor.c - what the monitor's connection tells, on its way into the inbox
 *
 * Owns:    MonitorLink: the life a connection belongs to
 * Threads: handlers on the monitor event thread
 * Locks:   none of its own
 */
#include "config.h"

#include "domain/private.h"

static void on_event(void *userdata, const char *name, json_t *data, uint64_t usec)
{
    MonitorLink *link = userdata;
    inbox_append(link->d, link->life, INBOX_EVENT, name, data, usec);
}

static void on_responsive(void *userdata)
{
    MonitorLink *link = userdata;
    inbox_append(link->d, link->life, INBOX_RESPONSIVE, NULL, NULL, 0);
    inbox_deliver(link->d);
}

static void on_read(void *userdata)
{
    MonitorLink *link = userdata;
    inbox_deliver(link->d);
}

static void on_closed(void *userdata, const char *reason)
{
    MonitorLink *link = userdata;
    if (g_atomic_int_get(&link->is_trial))
        return;
    inbox_append(link->d, link->life, INBOX_CLOSED, reason, NULL, 0);
    inbox_deliver(link->d);
}

const QmpHandlers monitor_handlers = {
    .on_event = on_event,
    .on_responsive = on_responsive,
    .on_closed = on_closed,
    .on_read = on_read,
};

MonitorLink *monitor_link_new(Domain *d, uint64_t life)
{
    MonitorLink *link = g_new0(MonitorLink, 1);
    link->d = object_ref(d);
    link->life = life;
    return link;
}

MonitorLink *monitor_link_new_trial(Domain *d, uint64_t life)
{
    MonitorLink *link = monitor_link_new(d, life);
    link->is_trial = true;
    return link;
}

void monitor_link_prove(MonitorLink *link, QmpClient *qmp)
{
    g_atomic_int_set(&link->is_trial, false);
    if (qmp_client_is_closed(qmp)) /* it may have ended just before */
        on_closed(link, "closed while it was connected");
}

static void free_now(void *arg)
{
    MonitorLink *link = arg;
    object_unref(link->d);
    g_free(link);
}

typedef struct Later {
    EventLoop *loop;
    MonitorLink *link;
} Later;

static void free_later(void *arg)
{
    Later *l = arg;
    event_post(l->loop, free_now, l->link);
    g_free(l);
}

/* The client's end is posted to the loop by qmp_client_close(), and from there on_closed may be posted once more: two
 * rounds later nothing refers to the link. */
void monitor_link_free(MonitorLink *link, EventLoop *loop)
{
    if (!link)
        return;
    Later *l = g_new0(Later, 1);
    *l = (Later){loop, link};
    event_post(loop, free_later, l);
}

void domain_drop_monitor(Domain *d, const char *reason)
{
    domain_assert_locked(d);
    QmpClient *qmp = domain_set_monitor(d, NULL);
    d->life++; /* what it still says when it closes is of a past life */
    domain_mark_changed(d);
    if (qmp)
        qmp_client_close(qmp, reason);
    qmp_client_unref(qmp);
    monitor_link_free(g_steal_pointer(&d->priv->link), domain_driver_opts(d->drv)->monitor_loop);
}
