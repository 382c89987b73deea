/* daemon/events_held.c - events that wait for polkit
 *
 * Owns:    the queue of each connection
 * Threads: the client event thread
 * Errors:  a client with too many events undecided is disconnected with the reason
 */
#include "config.h"

#define LOG_AREA "daemon.events"
#include "daemon/access.h"
#include "daemon/events_held.h"
#include "domain/events.h"

#define HELD_MAX 4096u

typedef struct HeldEvent {
    EventsHeld *queue;
    EventPacket packet; /* owns a reference to the payload */
    enum { HELD_ASKED, HELD_SEND, HELD_DROP } state;
} HeldEvent;

struct EventsHeld {
    RpcConn *conn; /* NULL: gone */
    GQueue events; /* HeldEvent*, oldest first */
    unsigned asked; /* questions whose answer comes to us yet */
};

static void send_packet(RpcConn *conn, const EventPacket *p)
{
    rpc_event_send(conn, p->prog, p->vers, p->proc, p->has_id ? &p->id : NULL, p->payload);
}

static void held_free(void *arg)
{
    HeldEvent *h = arg;
    g_bytes_unref(h->packet.payload);
    g_free(h);
}

static void queue_free_if_done(EventsHeld *q)
{
    if (q->conn || q->asked)
        return;
    g_queue_clear_full(&q->events, held_free);
    g_free(q);
}

static void answered(void *ud, bool allowed)
{
    HeldEvent *h = ud;
    EventsHeld *q = h->queue;
    h->state = allowed ? HELD_SEND : HELD_DROP;
    q->asked--;
    while (q->conn && q->events.length && ((HeldEvent *)q->events.head->data)->state != HELD_ASKED) {
        HeldEvent *first = g_queue_pop_head(&q->events);
        if (first->state == HELD_SEND)
            send_packet(q->conn, &first->packet);
        held_free(first);
    }
    queue_free_if_done(q);
}

void events_held_send(RpcConn *conn, const EventPacket *p, const struct DomainEvent *e, bool ask)
{
    Client *cl = rpc_conn_userdata(conn);
    EventsHeld *q = cl->held;
    if (!ask && (!q || q->events.length == 0)) {
        send_packet(conn, p);
        return;
    }
    if (!q) {
        q = cl->held = g_new0(EventsHeld, 1);
        q->conn = conn;
        g_queue_init(&q->events);
    }
    if (q->events.length >= HELD_MAX) {
        rpc_conn_close(conn, "%u events wait for polkit to say whether it may have them", q->events.length);
        return;
    }
    HeldEvent *h = g_new0(HeldEvent, 1);
    *h = (HeldEvent){.queue = q, .packet = *p, .state = ask ? HELD_ASKED : HELD_SEND};
    g_bytes_ref(p->payload);
    g_queue_push_tail(&q->events, h);
    if (ask) {
        q->asked++;
        access_event_ask(conn, e, answered, h);
    }
}

void events_held_drop(Client *cl)
{
    EventsHeld *q = cl->held;
    cl->held = NULL;
    if (!q)
        return;
    q->conn = NULL;
    queue_free_if_done(q);
}
