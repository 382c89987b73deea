/* domain/inbox.c - events from QEMU, in order, to whoever holds the domain
 *
 * Owns:    the queue of undelivered messages of one domain; not what they mean (events.c)
 * Threads: append from the monitor event thread; drain by the holder of the domain lock
 * Locks:   inbox.lock (leaf, never held across a call out)
 * Errors:  none; on overflow the domain is resynchronised
 *
 * Theory of operation.  When all that could be read is here, it is delivered: who sleeps in domain_wait() is woken, by the monitor's thread itself,
 * and drains as it wakes; and a worker is sent, unless one is on its way.  Every taker of the domain lock drains first, and domain_qmp() drains when it
 * comes back: what QEMU said before a reply is applied before the caller sees that reply.  The worker then finds nothing and only flushes the status
 * file.  Messages of an earlier life are dropped.
 */
#include "config.h"

#include <string.h>

#define LOG_AREA "domain.inbox"
#include "util/log.h"
#include "domain/private.h"
#include "domain/reconnect.h"

#define MANY 32u /* are not let wait for the monitor's thread: in a flood the inbox would overflow */

struct InboxMsg {
    InboxMsg *next;
    InboxKind kind;
    uint64_t life, usec;
    char *name;
    json_t *data;
};

void inbox_init(Inbox *in)
{
    mutex_init(&in->lock, LOCK_LEAF, "inbox");
    in->tail = &in->head;
}

static void msg_free(InboxMsg *m)
{
    g_free(m->name);
    json_decref(m->data);
    g_free(m);
}

void inbox_done(Inbox *in)
{
    InboxMsg *next;
    for (InboxMsg *m = in->head; m; m = next) {
        next = m->next;
        msg_free(m);
    }
    mutex_done(&in->lock);
}

static void drain_task(void *arg)
{
    Domain *d = arg;
    domain_lock(d); /* drains */
    domain_unlock(d);
    domain_flush_or_retry(d);
    object_unref(d);
}

static void poke_task(void *arg)
{
    Domain *d = arg;
    domain_lock(d);
    domain_ring(d);
    domain_unlock(d);
    object_unref(d);
}

void inbox_poke(Domain *d)
{
    if (!domain_driver_submit(d->drv, LANE_FAST, poke_task, object_ref(d)))
        object_unref(d);
}

bool inbox_is_empty(Domain *d)
{
    Inbox *in = &d->priv->inbox;
    LOCK_SCOPE(&in->lock);
    return !in->head;
}

void inbox_deliver(Domain *d)
{
    Inbox *in = &d->priv->inbox;
    {
        LOCK_SCOPE(&in->lock);
        if (!in->head || in->scheduled)
            return;
        in->scheduled = true;
    }
    bell_wake(bell_strike(&d->obj.changed));
    if (!domain_driver_submit(d->drv, LANE_FAST, drain_task, object_ref(d)))
        object_unref(d);
}

void inbox_append(Domain *d, uint64_t life, InboxKind kind, const char *name, json_t *data, uint64_t usec)
{
    Inbox *in = &d->priv->inbox;
    InboxMsg *m = g_new0(InboxMsg, 1);
    /* a copy: jansson's counts do not order one thread's reading before another's freeing */
    *m = (InboxMsg){.kind = kind, .life = life, .usec = usec, .name = g_strdup(name), .data = json_deep_copy(data)};
    bool many = false;
    {
        LOCK_SCOPE(&in->lock);
        if (in->n >= INBOX_MAX && kind == INBOX_EVENT) {
            in->overflow = true;
        } else {
            *in->tail = m;
            in->tail = &m->next;
            in->n++;
            many = in->n == MANY;
            m = NULL;
        }
    }
    if (m)
        msg_free(m);
    if (many)
        inbox_deliver(d);
}

static void apply(Domain *d, const InboxMsg *m)
{
    DomainPrivate *p = d->priv;
    if (m->life != d->life)
        return;
    switch (m->kind) {
    case INBOX_EVENT:
        if (!p->dying)
            domain_event_apply(d, m->name, m->data, m->usec);
        break;
    case INBOX_RESPONSIVE:
        if (p->stuck) {
            domain_set_stuck(d, false);
            domain_resync_later(d);
        }
        break;
    case INBOX_CLOSED:
        log_info("monitor of %s ended: %s", d->name, m->name ? m->name : "-");
        domain_announce_death(d);
        break;
    }
}

void inbox_drain(Domain *d)
{
    Inbox *in = &d->priv->inbox;
    domain_assert_locked(d);
    bool any = false, overflow = false;
    for (;;) {
        InboxMsg *list;
        {
            LOCK_SCOPE(&in->lock);
            list = in->head;
            in->head = NULL;
            in->tail = &in->head;
            in->n = 0;
            overflow |= in->overflow;
            in->overflow = false;
            in->scheduled = false;
        }
        if (!list)
            break;
        any = true;
        while (list) {
            InboxMsg *m = list;
            list = m->next;
            apply(d, m);
            msg_free(m);
        }
    }
    if (overflow) {
        log_warning("%s: more than %u events waited, some were dropped", d->name, INBOX_MAX);
        domain_resync_later(d);
    }
    if (any)
        domain_ring(d);
}
