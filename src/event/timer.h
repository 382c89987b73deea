/* event/timer.h - timers armed from any thread
 *
 * A Timer belongs to a loop, whose thread runs its function.  It may fire early by a race (armed again meanwhile): the
 * function looks for itself what is due.
 */
#pragma once

#include "event/event.h"

typedef struct Timer Timer;

/* Costs nothing on the loop until armed.  fn must be short and not block.  The loop must outlive the timer. */
Timer *timer_new(EventLoop *loop, void (*fn)(void *userdata), void *userdata);
/* Fires once at `at`, instead of when it was to fire before.  Any thread. */
void timer_arm(Timer *t, Deadline at);
/* Fires at `at` at the latest: an earlier time stays.  Any thread. */
void timer_arm_by(Timer *t, Deadline at);
void timer_disarm(Timer *t);
/* After this fn does not run any more; waits for it if it runs now on the loop's thread (not when called from fn
 * itself).  NULL is fine.  Any thread. */
void timer_free(Timer *t);
