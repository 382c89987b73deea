/* object/bus.c - events from objects to whoever shows them
 *
 * Owns:    the events published and not yet handed over
 * Threads: publish from any; the sink runs on the client loop's thread
 * Locks:   bus.lock (LOCK_BUS; released before the sink runs)
 * Errors:  none
 *
 * Theory of operation.  One FIFO; whoever finds it empty posts one flush.  The flush takes the whole FIFO and hands it
 * over in order, so a burst costs one wake-up.  The Bus is shared by its owner and by a posted flush: bus_free() may
 * come while a flush is still queued.
 */
#include "config.h"

#include "object/bus.h"
#include "util/lock.h"

struct Bus {
    gint refs;
    Mutex lock;
    EventLoop *loop;
    GQueue queue;
    bool closed;
    BusSink sink;
    bool (*wanted)(void *userdata); /* NULL: always */
    void *userdata;
    void (*free_event)(void *event);
    Mutex sink_lock; /* held while the sink runs; bus_free() waits for it */
};

static void bus_unref(Bus *b)
{
    if (!g_atomic_int_dec_and_test(&b->refs))
        return;
    mutex_done(&b->sink_lock);
    mutex_done(&b->lock);
    g_free(b);
}

Bus *bus_new(EventLoop *client_loop)
{
    Bus *b = g_new0(Bus, 1);
    b->refs = 1;
    mutex_init(&b->lock, LOCK_BUS, "bus");
    /* The first lock its thread takes: the sink may look objects up and takes leaves. */
    mutex_init(&b->sink_lock, LOCK_REGISTRY, "bus sink");
    b->loop = client_loop;
    g_queue_init(&b->queue);
    return b;
}

void bus_set_sink(Bus *b, BusSink sink, void *userdata, void (*free_event)(void *event))
{
    LOCK_SCOPE(&b->lock);
    b->sink = sink;
    b->userdata = userdata;
    b->free_event = free_event;
}

void bus_set_wanted(Bus *b, bool (*wanted)(void *userdata))
{
    LOCK_SCOPE(&b->lock);
    b->wanted = wanted;
}

/* Frees events that found no sink. */
static void drop(Bus *b, GQueue *q)
{
    void *e;
    while ((e = g_queue_pop_head(q))) {
        if (b->free_event)
            b->free_event(e);
    }
}

static void flush(void *arg)
{
    Bus *b = arg;
    mutex_lock(&b->sink_lock);
    mutex_lock(&b->lock);
    GQueue q = b->queue;
    g_queue_init(&b->queue);
    BusSink sink = b->closed ? NULL : b->sink;
    mutex_unlock(&b->lock);
    void *e;
    while (sink && (e = g_queue_pop_head(&q)))
        sink(b->userdata, e);
    drop(b, &q);
    mutex_unlock(&b->sink_lock);
    bus_unref(b);
}

void bus_publish(Bus *b, void *event)
{
    bus_publish_with(b, event, NULL, NULL);
}

void bus_publish_with(Bus *b, void *event, void (*fn)(void *arg), void *arg)
{
    bool first = false;
    void (*discard)(void *event) = NULL;
    {
        LOCK_SCOPE(&b->lock);
        if (!b->sink || b->closed || (b->wanted && !b->wanted(b->userdata))) {
            discard = b->free_event;
        } else {
            first = g_queue_is_empty(&b->queue);
            g_queue_push_tail(&b->queue, event);
            event = NULL;
        }
        if (fn)
            fn(arg);
    }
    if (event && discard)
        discard(event);
    if (first) {
        g_atomic_int_inc(&b->refs);
        event_post(b->loop, flush, b);
    }
}

void bus_free(Bus *b)
{
    if (!b)
        return;
    mutex_lock(&b->lock);
    b->closed = true;
    mutex_unlock(&b->lock);
    if (!event_on_thread(b->loop)) { /* on the loop's own thread no sink can be running below us but our caller */
        mutex_lock(&b->sink_lock);
        mutex_unlock(&b->sink_lock);
    }
    GQueue q;
    {
        LOCK_SCOPE(&b->lock);
        q = b->queue;
        g_queue_init(&b->queue);
    }
    drop(b, &q);
    bus_unref(b);
}
