/* event/timer.c - timers armed from any thread
 *
 * Owns:    the time wanted (any thread, under the lock) and the sd-event source (loop thread only)
 * Threads: arm, disarm, free from any; the function runs on the loop's
 * Locks:   timer.lock (leaf; not held while the function runs)
 * Errors:  none
 *
 * Theory of operation.  Arming writes the time and posts one update to the loop unless one is under way; the update
 * gives the source that time.  Every posted update holds a reference, so freeing never waits for the loop; it waits
 * only for the function itself.
 */
#include "config.h"

#include "event/timer.h"
#include "util/lock.h"

#define NEVER       UINT64_MAX
#define ACCURACY_US 1000

struct Timer {
    gint refs;
    EventLoop *loop;
    void (*fn)(void *userdata);
    void *userdata;
    Mutex lock;
    Cond idle;      /* running became false */
    uint64_t at_us; /* NEVER: not armed */
    bool posted;    /* an update is on its way */
    bool running, dead;
    sd_event_source *src; /* loop thread only */
};

Timer *timer_new(EventLoop *loop, void (*fn)(void *userdata), void *userdata)
{
    Timer *t = g_new0(Timer, 1);
    t->refs = 1;
    t->loop = loop;
    t->fn = fn;
    t->userdata = userdata;
    t->at_us = NEVER;
    mutex_init(&t->lock, LOCK_LEAF, "timer");
    cond_init(&t->idle);
    return t;
}

static void timer_unref(Timer *t)
{
    if (!g_atomic_int_dec_and_test(&t->refs))
        return;
    cond_done(&t->idle);
    mutex_done(&t->lock);
    g_free(t);
}

static int on_time(sd_event_source *s, uint64_t usec, void *userdata);

/* Loop thread: makes the source what the lock's holder last wished. */
static void source_set(Timer *t, uint64_t at, bool dead)
{
    if (dead) {
        t->src = sd_event_source_disable_unref(t->src);
    } else if (at == NEVER) {
        if (t->src)
            sd_event_source_set_enabled(t->src, SD_EVENT_OFF);
    } else if (!t->src) {
        if (sd_event_add_time(event_loop_sd(t->loop), &t->src, CLOCK_MONOTONIC, at, ACCURACY_US, on_time, t) < 0)
            g_error("no timer source");
    } else {
        event_loop_sd(t->loop); /* it is to look at its timers */
        sd_event_source_set_time(t->src, at);
        sd_event_source_set_enabled(t->src, SD_EVENT_ONESHOT);
    }
}

static void update(void *arg)
{
    Timer *t = arg;
    mutex_lock(&t->lock);
    t->posted = false;
    uint64_t at = t->at_us;
    bool dead = t->dead;
    mutex_unlock(&t->lock);
    source_set(t, at, dead);
    timer_unref(t);
}

static int on_time(sd_event_source *s, uint64_t usec, void *userdata)
{
    Timer *t = userdata;
    mutex_lock(&t->lock);
    bool due = !t->dead && t->at_us <= now_us();
    uint64_t at = t->at_us;
    if (due) {
        t->at_us = NEVER;
        t->running = true;
        g_atomic_int_inc(&t->refs); /* fn may free the timer */
    }
    bool dead = t->dead;
    mutex_unlock(&t->lock);
    if (!due) {
        if (!dead)
            source_set(t, at, false);
        return 0;
    }
    t->fn(t->userdata);
    mutex_lock(&t->lock);
    t->running = false;
    cond_broadcast(&t->idle);
    mutex_unlock(&t->lock);
    timer_unref(t);
    return 0;
}

static void arm(Timer *t, uint64_t at_us, bool only_earlier)
{
    bool post = false;
    {
        LOCK_SCOPE(&t->lock);
        if (only_earlier && at_us >= t->at_us)
            return;
        t->at_us = at_us;
        if (!t->posted) {
            t->posted = post = true;
            g_atomic_int_inc(&t->refs);
        }
    }
    if (post)
        event_post(t->loop, update, t);
}

void timer_arm(Timer *t, Deadline at)
{
    arm(t, at.at_us, false);
}

void timer_arm_by(Timer *t, Deadline at)
{
    arm(t, at.at_us, true);
}

void timer_disarm(Timer *t)
{
    arm(t, NEVER, false);
}

void timer_free(Timer *t)
{
    if (!t)
        return;
    {
        LOCK_SCOPE(&t->lock);
        t->dead = true;
        while (t->running && !event_on_thread(t->loop))
            cond_wait_until(&t->idle, &t->lock, deadline_in_ms(1000));
    }
    event_post(t->loop, update, t); /* gives our reference away: the source goes on its own thread */
}
