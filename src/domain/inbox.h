/* domain/inbox.h - events from QEMU, in order, to whoever holds the domain
 */
#pragma once

#include <jansson.h>

#include "domain/forward.h"
#include "util/lock.h"

typedef enum {
    INBOX_EVENT,      /* a QMP event */
    INBOX_RESPONSIVE, /* the late reply came after a deadline had passed */
    INBOX_CLOSED,     /* the monitor ended; name: why */
} InboxKind;

typedef struct InboxMsg InboxMsg;

typedef struct Inbox {
    Mutex lock; /* leaf */
    InboxMsg *head, **tail;
    unsigned n;
    bool scheduled; /* a worker is on its way to drain */
    bool overflow;  /* events were dropped: resync */
} Inbox;

#define INBOX_MAX 8192u

void inbox_init(Inbox *in);
void inbox_done(Inbox *in);
/* From the monitor thread: appends; what was appended is drained by somebody from inbox_deliver() on.  `data` is borrowed. */
void inbox_append(Domain *d, uint64_t life, InboxKind kind, const char *name, json_t *data, uint64_t usec);
/* Sees to it that somebody drains: who sleeps for something of the machine, and a worker.  Any thread. */
void inbox_deliver(Domain *d);
/* A reader of the bell looks after it whether there is something it was rung for.  Domain lock held. */
bool inbox_is_empty(Domain *d);
/* Wakes those who wait for something of the machine, to look again.  Any thread; a worker does it. */
void inbox_poke(Domain *d);
/* Applies all that is queued, in order.  Domain lock held; handlers only change state. */
void inbox_drain(Domain *d);
