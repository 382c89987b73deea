/* daemon/events.h - who wants which event, and sending it
 *
 * All of it runs on the client event thread: registrations come from INLINE handlers, events from the bus.  One encoding an event and
 * generation, shared by all receivers.  A registration ends with its connection.
 */
#pragma once

#include "daemon/call.h"
#include "domain/events.h"

typedef struct EventWant {
    EventClass class;
    int event_id;          /* VIR_DOMAIN_EVENT_ID_*; not looked at for EVENT_QEMU_MONITOR */
    bool legacy;           /* first generation: no callback id, all machines */
    const uint8_t *uuid;   /* NULL: every machine */
    const char *monitor_event; /* EVENT_QEMU_MONITOR: name, or NULL for all */
    bool regex, nocase;    /* how monitor_event is meant */
} EventWant;

EventHub *event_hub_new(void);
void event_hub_free(EventHub *h);
/* Adds; the callback id, or -1 (unknown event, registered already). */
int event_hub_add(EventHub *h, RpcConn *c, const EventWant *want, Err *err);
/* Removes by id (callback generation) or by event id (legacy). */
int event_hub_remove(EventHub *h, RpcConn *c, EventClass class, int callback_id, Err *err);
int event_hub_remove_legacy(EventHub *h, RpcConn *c, int event_id, Err *err);
/* Whether anybody wants events of this class. */
bool event_hub_wanted(const EventHub *h, EventClass class);
/* An event (borrowed) of another program, encoded already but for its callback id. */
void event_hub_send(EventHub *h, const DomainEvent *e, uint32_t prog, uint32_t vers, int32_t proc, GBytes *payload);
void event_hub_drop_conn(EventHub *h, RpcConn *c);
/* The bus' sink: userdata is the hub, event a DomainEvent it takes over. */
void event_hub_sink(void *hub, void *event);
/* Any thread: whether there is any registration.  What is published after the answer to one finds it. */
bool event_hub_any(void *hub);

/* ---- encodings (event_encode.c) ---- */

typedef struct EventProcs {
    int legacy, callback; /* procedure numbers; legacy 0: none */
} EventProcs;

/* False: no such domain event id. */
bool event_procs(int event_id, EventProcs *ret);
/* The message's payload without a leading callback id. */
GBytes *event_encode(const DomainEvent *e, bool legacy, Err *err);
