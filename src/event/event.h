/* event/event.h - the two event threads
 *
 * A loop is an sd-event loop with a thread of its own and a queue of work posted by others.  Its sources (sockets, timers, pidfds) are
 * made, changed and freed on that thread only.  What runs on it never blocks and takes leaf locks only.
 */
#pragma once

#include <systemd/sd-event.h>

#include "util/deadline.h"

typedef struct EventLoop EventLoop;

/* `name` shows in ps and in assertion messages.  The thread starts with event_loop_start. */
EventLoop *event_loop_new(const char *name);
void event_loop_start(EventLoop *l);
/* Runs the loop on the calling thread instead, until event_loop_stop. Returns the exit code. */
int event_loop_run(EventLoop *l);
/* Asks the loop to end after what is queued; any thread. */
void event_loop_stop(EventLoop *l, int code);
/* Waits for the thread's end and frees the loop and what is still queued (posted functions are run, not dropped). */
void event_loop_free(EventLoop *l);

/* The sd-event object, for adding sources on the loop's thread. */
sd_event *event_loop_sd(EventLoop *l);
/* Runs fn(arg) on the loop's thread, in the order posted.  Any thread, never blocks. */
void event_post(EventLoop *l, void (*fn)(void *arg), void *arg);
bool event_on_thread(const EventLoop *l);
/* Aborts unless on the loop's thread. */
void event_assert_thread(const EventLoop *l);
/* Aborts on any event thread: for functions that may sleep. */
void event_assert_may_block(void);
