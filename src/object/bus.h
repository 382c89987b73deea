/* object/bus.h - events from objects to whoever shows them
 *
 * publish() keeps the order of calls and never blocks; the sink runs on the client event thread.  Subscriptions,
 * filters and encodings are the sink's (daemon/events.c).  Bus lock: LOCK_BUS.
 */
#pragma once

#include "event/event.h"

typedef struct Bus Bus;
typedef void (*BusSink)(void *userdata, void *event);

Bus *bus_new(EventLoop *client_loop);
/* After this no sink runs any more. */
void bus_free(Bus *b);
/* `sink` owns each event it is given (bus passes ownership); set once before the first publish. */
void bus_set_sink(Bus *b, BusSink sink, void *userdata, void (*free_event)(void *event));
/* While wanted(userdata of the sink) says no, events are freed where they are published and the sink's thread is not woken.  It is asked on any thread,
 * under the bus's lock; set once before the first publish. */
void bus_set_wanted(Bus *b, bool (*wanted)(void *userdata));
/* Takes ownership of event.  Without a sink the event is freed. */
void bus_publish(Bus *b, void *event);
/* The same, and runs fn(arg), which takes leaf locks at most, when the event has its place in the order and before anybody can see it:
 * what fn lets others do comes after the event, and who sees the event sees what fn did. */
void bus_publish_with(Bus *b, void *event, void (*fn)(void *arg), void *arg);
