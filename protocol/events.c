/* protocol/events.c - the rows of events.def as a constant table
 *
 * Owns:    the table and its checks at compile time
 * Threads: any; all data is constant
 * Locks:   none
 * Errors:  none
 */
#include <assert.h>

#include "protocol/events.h"
#include "protocol/proc_columns.h"
#include "protocol/qemu_protocol.h"
#include "protocol/remote_protocol.h"

#define EVENT(class, id, symbol, NAME, name, perm) WIRE_FILTER_A(remote_##name##_msg)
#define EVENT_BOTH(class, id, symbol, NAME, name, perm, LEGACY, legacy)                                                \
    WIRE_FILTER_A(remote_##name##_msg) WIRE_FILTER_A(remote_##legacy##_msg)
#define QEMU_EVENT(symbol, NAME, name, perm) WIRE_FILTER_A(qemu_##name##_msg)
#include "protocol/events.def"

/* Ids are those of the public enums. */
#define EVENT_ID_DOMAIN(symbol) VIR_DOMAIN_EVENT_ID_##symbol
#define EVENT_ID_NETWORK(symbol) VIR_NETWORK_EVENT_ID_##symbol
#define EVENT_ID_POOL(symbol) VIR_STORAGE_POOL_EVENT_ID_##symbol
#define EVENT_ID_NODEDEV(symbol) VIR_NODE_DEVICE_EVENT_ID_##symbol
#define EVENT_ID_SECRET(symbol) VIR_SECRET_EVENT_ID_##symbol
#define EVENT_ID_CONNECTION(symbol) 0
#define CHECK(class, id, symbol) static_assert((int)EVENT_ID_##class(symbol) == (id), #class " " #symbol ": wrong id");
#define EVENT(class, id, symbol, NAME, name, perm) CHECK(class, id, symbol)
#define EVENT_BOTH(class, id, symbol, NAME, name, perm, LEGACY, legacy) CHECK(class, id, symbol)
#include "protocol/events.def"

#define ROW(class_, id_, name_, NAME, perm_)                                                                           \
    .class = EVENT_CLASS_##class_, .id = id_, .name = #name_, .prog = REMOTE_PROGRAM, .proc = REMOTE_PROC_##NAME,      \
    .msg = WIRE_A(remote_##name_##_msg), .filter = PERM_##perm_
static const EventInfo events[] = {
#define EVENT(class, id, symbol, NAME, name, perm) {ROW(class, id, name, NAME, perm)},
#define EVENT_BOTH(class, id, symbol, NAME, name, perm, LEGACY, legacy_)                                               \
    {ROW(class, id, name, NAME, perm), .legacy_proc = REMOTE_PROC_##LEGACY, .legacy = WIRE_A(remote_##legacy_##_msg)},
#define QEMU_EVENT(symbol, NAME, name_, perm)                                                                          \
    {.class = EVENT_CLASS_QEMU, .name = #name_, .prog = QEMU_PROGRAM, .proc = QEMU_PROC_##NAME,                        \
     .msg = WIRE_A(qemu_##name_##_msg), .filter = PERM_##perm},
#include "protocol/events.def"
};

const EventInfo *event_lookup(EventClass class, int id)
{
    for (size_t i = 0; i < N_ELEMENTS(events); i++)
        if (events[i].class == class && events[i].id == id)
            return &events[i];
    return NULL;
}

const EventInfo *event_table(size_t *ret_n)
{
    *ret_n = N_ELEMENTS(events);
    return events;
}
