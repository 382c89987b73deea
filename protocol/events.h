/* protocol/events.h - what the rows of events.def say
 *
 * Constant data.  An event is encoded by its message's WireType into a packet of type VIR_NET_MESSAGE, serial 1.
 */
#pragma once

#include "base.h"
#include "protocol/procs.h"

typedef enum {
    EVENT_CLASS_DOMAIN,
    EVENT_CLASS_NETWORK,
    EVENT_CLASS_POOL,
    EVENT_CLASS_NODEDEV,
    EVENT_CLASS_SECRET,
    EVENT_CLASS_CONNECTION,
    EVENT_CLASS_QEMU,
    EVENT_CLASS_MAX,
} EventClass;

typedef struct EventInfo {
    EventClass class;
    int id;           /* as in register calls; 0 for CONNECTION and QEMU */
    const char *name; /* "domain_event_callback_lifecycle" */
    uint32_t prog;
    int proc;        /* number of the message that carries a callback id */
    WireType msg;
    int legacy_proc; /* number of the message without one; 0: there is none */
    WireType legacy;
    Perm filter;     /* checked on the object when the event is sent */
} EventInfo;

/* NULL: the class has no such event. */
const EventInfo *event_lookup(EventClass class, int id);
/* All rows. */
const EventInfo *event_table(size_t *ret_n);
