/* daemon/events.c - who wants which event, and sending it
 *
 * Owns:    the registrations of all connections; not what events look like on the wire (event_encode.c)
 * Threads: client event thread
 * Errors:  libvirt's codes: 8 for a second registration of the same, 1 for an unknown event or callback
 *
 * A registration is in the list of all and in that of its client, so that what one client does costs by its own registrations, however many
 * others have.
 */
#include "config.h"

#define ERR_FROM VIR_FROM_RPC
#define LOG_AREA "daemon.events"
#include <string.h>

#include "daemon/access.h"
#include "daemon/events.h"
#include "daemon/events_held.h"
#include "domain/driver.h"
#include "protocol/qemu_protocol.h"
#include "protocol/remote_protocol.h"
#include "util/log.h"

typedef struct Reg {
    GList all, mine; /* in EventHub.regs and in Client.regs; data: this */
    int32_t id;
    RpcConn *conn; /* borrowed: dropped when it closes */
    EventClass class;
    int event_id;
    bool legacy, one; /* one: only the machine of uuid */
    uint8_t uuid[UUID_LEN];
    GRegex *match;    /* monitor events; NULL: all */
} Reg;

struct EventHub {
    GQueue regs;     /* Reg, in order of registration, through `all` */
    int32_t next_id; /* domain and monitor events share it */
    gint any;        /* atomic: there are registrations */
};

static void reg_free(Reg *r)
{
    if (r->match)
        g_regex_unref(r->match);
    g_free(r);
}

EventHub *event_hub_new(void)
{
    EventHub *h = g_new0(EventHub, 1);
    g_queue_init(&h->regs);
    return h;
}

void event_hub_free(EventHub *h)
{
    if (!h)
        return;
    g_assert(!h->regs.length); /* all connections have ended */
    g_free(h);
}

static void count_regs(EventHub *h)
{
    g_atomic_int_set(&h->any, h->regs.length > 0);
}

/* Those of one client. */
static GQueue *regs_of(const RpcConn *c)
{
    Client *cl = rpc_conn_userdata(c);
    return &cl->regs;
}

/* Packets are a connection's own, so it is there that an id must not be another's; after 2^31 of them they begin again. */
static int32_t next_id(EventHub *h, const RpcConn *c)
{
    for (;;) {
        int32_t id = h->next_id;
        const GList *l = regs_of(c)->head;
        h->next_id = id == INT32_MAX ? 0 : id + 1;
        while (l && ((const Reg *)l->data)->id != id)
            l = l->next;
        if (!l)
            return id;
    }
}

static void add_reg(EventHub *h, Reg *r)
{
    r->all.data = r->mine.data = r;
    g_queue_push_tail_link(&h->regs, &r->all);
    g_queue_push_tail_link(regs_of(r->conn), &r->mine);
    count_regs(h);
}

static void remove_reg(EventHub *h, Reg *r)
{
    g_queue_unlink(&h->regs, &r->all);
    g_queue_unlink(regs_of(r->conn), &r->mine);
    reg_free(r);
    count_regs(h);
}

bool event_hub_any(void *hub)
{
    EventHub *h = hub;
    return g_atomic_int_get(&h->any);
}

static bool same_object(const Reg *r, const EventWant *w)
{
    if (r->one != (w->uuid != NULL))
        return false;
    return !r->one || memcmp(r->uuid, w->uuid, UUID_LEN) == 0;
}

#define PATTERN_MAX 256u          /* bytes of a client's pattern */
#define PATTERN_STEPS "(*LIMIT_MATCH=10000)" /* it is matched on the event thread: one that backtracks without end matches nothing */
#define REGS_PER_CLIENT 1000u

/* A pattern for the monitor event filter: a name, or a regular expression of bounded cost. */
static int monitor_match(const EventWant *w, GRegex **ret, Err *err)
{
    if (!w->monitor_event)
        return 0;
    if (strlen(w->monitor_event) > PATTERN_MAX)
        return err_set_full(err, VIR_FROM_QEMU, VIR_ERR_INVALID_ARG, 0, "an event pattern has at most %u bytes", PATTERN_MAX);
    g_autofree char *quoted = w->regex ? NULL : g_regex_escape_string(w->monitor_event, -1);
    g_autofree char *whole = w->regex ? g_strconcat(PATTERN_STEPS, w->monitor_event, NULL) : g_strdup_printf("^%s$", quoted);
    g_autoptr(GError) gerr = NULL;
    *ret = g_regex_new(whole, w->nocase ? G_REGEX_CASELESS : 0, 0, &gerr);
    if (!*ret)
        return err_set_full(err, VIR_FROM_QEMU, VIR_ERR_INVALID_ARG, 0, "failed to compile regex '%s': %s", w->monitor_event,
                            gerr->message);
    return 0;
}

int event_hub_add(EventHub *h, RpcConn *c, const EventWant *w, Err *err)
{
    EventProcs procs;
    if (w->class == EVENT_DOMAIN && (!event_procs(w->event_id, &procs) || (w->legacy && !procs.legacy)))
        return err_set(err, VIR_ERR_INTERNAL_ERROR, "unsupported event ID %d", w->event_id);
    GRegex *match = NULL;
    if (w->class == EVENT_QEMU_MONITOR && monitor_match(w, &match, err) < 0)
        return -1;
    unsigned mine = regs_of(c)->length;
    for (const GList *l = regs_of(c)->head; l; l = l->next) {
        const Reg *r = l->data;
        if (w->class == EVENT_DOMAIN && r->class == w->class && r->event_id == w->event_id && same_object(r, w))
            return err_set_full(err, VIR_FROM_NONE, VIR_ERR_INVALID_ARG, 0, "event callback already tracked");
    }
    if (mine >= REGS_PER_CLIENT) {
        g_clear_pointer(&match, g_regex_unref);
        return err_set(err, VIR_ERR_RESOURCE_BUSY, "this connection has %u event registrations, the most one may have", mine);
    }
    Reg *r = g_new0(Reg, 1);
    r->id = next_id(h, c);
    r->conn = c;
    r->class = w->class;
    r->event_id = w->event_id;
    r->legacy = w->legacy;
    r->match = match;
    if (w->uuid) {
        r->one = true;
        memcpy(r->uuid, w->uuid, UUID_LEN);
    }
    add_reg(h, r);
    return r->id;
}

int event_hub_remove(EventHub *h, RpcConn *c, EventClass class, int callback_id, Err *err)
{
    for (const GList *l = regs_of(c)->head; l; l = l->next) {
        Reg *r = l->data;
        if (r->class == class && !r->legacy && r->id == callback_id) {
            remove_reg(h, r);
            return 0;
        }
    }
    return err_set(err, VIR_ERR_INTERNAL_ERROR, "domain event callback %d not registered", callback_id);
}

int event_hub_remove_legacy(EventHub *h, RpcConn *c, int event_id, Err *err)
{
    for (const GList *l = regs_of(c)->head; l; l = l->next) {
        Reg *r = l->data;
        if (r->class == EVENT_DOMAIN && r->legacy && r->event_id == event_id) {
            remove_reg(h, r);
            return 0;
        }
    }
    return err_set(err, VIR_ERR_INTERNAL_ERROR, "domain event %d not registered", event_id);
}

void event_hub_drop_conn(EventHub *h, RpcConn *c)
{
    while (regs_of(c)->length)
        remove_reg(h, regs_of(c)->head->data);
}

static bool wants(const Reg *r, const DomainEvent *e)
{
    if (r->class != e->class || (r->one && memcmp(r->uuid, e->uuid, UUID_LEN) != 0))
        return false;
    if (e->class == EVENT_QEMU_MONITOR)
        return !r->match || g_regex_match(r->match, e->monitor.event, 0, NULL);
    return r->event_id == e->id;
}

bool event_hub_wanted(const EventHub *h, EventClass class)
{
    for (const GList *l = h->regs.head; l; l = l->next) {
        if (((const Reg *)l->data)->class == class)
            return true;
    }
    return false;
}

void event_hub_send(EventHub *h, const DomainEvent *e, uint32_t prog, uint32_t vers, int32_t proc, GBytes *payload)
{
    for (const GList *l = h->regs.head; l; l = l->next) {
        const Reg *r = l->data;
        AccessAnswer may = wants(r, e) ? access_event(r->conn, e) : ACCESS_NO;
        EventPacket packet = {prog, vers, proc, true, r->id, payload};
        if (may != ACCESS_NO)
            events_held_send(r->conn, &packet, e, may == ACCESS_ASK);
    }
}

/* Encodes on first use; [0] callback generation, [1] legacy. */
static GBytes *encoding(GBytes *enc[2], const DomainEvent *e, bool legacy)
{
    if (!enc[legacy]) {
        g_auto(Err) err = ERR_INIT;
        enc[legacy] = event_encode(e, legacy, &err);
        if (!enc[legacy]) {
            log_error("event %d of %s is not sent: %s", e->id, e->name, err.detail);
            enc[legacy] = g_bytes_new_static("", 0);
        }
    }
    return g_bytes_get_size(enc[legacy]) ? enc[legacy] : NULL;
}

void event_hub_sink(void *hub, void *event)
{
    EventHub *h = hub;
    DomainEvent *e = event;
    GBytes *enc[2] = {NULL, NULL};
    EventProcs procs = {0};
    if (e->class == EVENT_DOMAIN && !event_procs(e->id, &procs)) {
        domain_event_free(e);
        return;
    }
    for (const GList *l = h->regs.head; l; l = l->next) {
        const Reg *r = l->data;
        AccessAnswer may = wants(r, e) ? access_event(r->conn, e) : ACCESS_NO;
        if (may == ACCESS_NO)
            continue;
        GBytes *payload = encoding(enc, e, r->legacy);
        if (!payload)
            continue;
        EventPacket packet = {REMOTE_PROGRAM, REMOTE_PROTOCOL_VERSION, r->legacy ? procs.legacy : procs.callback, !r->legacy, r->id, payload};
        if (e->class == EVENT_QEMU_MONITOR) {
            packet.prog = QEMU_PROGRAM;
            packet.vers = QEMU_PROTOCOL_VERSION;
            packet.proc = QEMU_PROC_DOMAIN_MONITOR_EVENT;
        }
        events_held_send(r->conn, &packet, e, may == ACCESS_ASK);
    }
    g_clear_pointer(&enc[0], g_bytes_unref);
    g_clear_pointer(&enc[1], g_bytes_unref);
    domain_event_free(e);
}
