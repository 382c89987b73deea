/* event/event.h - event threads: the two of the daemon, and the porters of TLS
 *
 * A loop is a thread that waits for descriptors, timers and signals, and a queue of work posted by others.  Its sources (sockets, timers,
 * pidfds) are made, changed and freed on that thread only.  What runs on it never blocks and takes leaf locks only.
 *
 * Descriptors of which there may be many are EventIos; the rest are sd-event sources.
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
/* Waits for the thread's end, after event_loop_stop; what is queued stays.  Where two loops post to each other, both have ended before either is
 * freed.  NULL is fine. */
void event_loop_join(EventLoop *l);
/* Waits for the thread's end and frees the loop and what is still queued (posted functions are run, not dropped). */
void event_loop_free(EventLoop *l);

/* The sd-event object, for adding sources on the loop's thread.  Asked for anew whenever a timer is added, or set from anything but a
 * callback of sd-event: it makes the loop look at the timers before it sleeps. */
sd_event *event_loop_sd(EventLoop *l);

/* A descriptor watched by the loop (level-triggered epoll; EPOLLHUP and EPOLLERR always).  Loop's thread, or before it runs.  The
 * descriptor is the caller's and is closed after event_io_free.  NULL and errno: the kernel refused. */
typedef struct EventIo EventIo;
EventIo *event_io_new(EventLoop *l, int fd, uint32_t events, void (*fn)(void *userdata, uint32_t revents), void *userdata);
/* Of strangers: one such descriptor has its turn a round, when all others that were ready had theirs. */
void event_io_set_late(EventIo *io, bool late);
/* Other events; free of charge when they are the same.  0 or negative errno. */
int event_io_set(EventIo *io, uint32_t events);
/* fn does not run any more.  May be called by fn itself.  Returns NULL. */
EventIo *event_io_free(EventIo *io);

/* Runs fn(arg) on the loop's thread, in the order posted.  Any thread, never blocks. */
void event_post(EventLoop *l, void (*fn)(void *arg), void *arg);
/* The same of what concerns strangers: one a round, after everything else, in the order of these among themselves. */
void event_post_late(EventLoop *l, void (*fn)(void *arg), void *arg);
/* Is anything posted that has not run to its end?  What the caller posted itself before is seen for certain.  Any thread. */
bool event_has_posts(EventLoop *l);
bool event_on_thread(const EventLoop *l);
/* Aborts unless on the loop's thread. */
void event_assert_thread(const EventLoop *l);
/* Aborts on any event thread: for functions that may sleep. */
void event_assert_may_block(void);
