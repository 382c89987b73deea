/* daemon/tidy.c - giving freed memory back to the kernel
 *
 * Owns:    when the heap is trimmed
 * Threads: client event thread; the trimming itself on a worker
 *
 * The allocator returns what is free at the end of a heap by itself, not the holes that many clients leave behind.  A while after many
 * have gone it is told to.
 */
#include "config.h"

#include <malloc.h>

#include "daemon/tidy.h"
#include "event/timer.h"

#define AFTER_CLOSED 64u   /* fewer leave too little behind */
#define AFTER_MS     1000u /* more may be going */

struct Tidy {
    Server *server;
    Timer *timer;
    unsigned closed; /* since the last time */
};

static void trim(void *arg)
{
    malloc_trim(256 * 1024);
}

static void on_time(void *userdata)
{
    Tidy *t = userdata;
    t->closed = 0;
    pool_submit(t->server->pool, LANE_FAST, trim, NULL);
}

Tidy *tidy_new(Server *s)
{
    Tidy *t = g_new0(Tidy, 1);
    t->server = s;
    t->timer = timer_new(s->client_loop, on_time, t);
    return t;
}

void tidy_free(Tidy *t)
{
    if (!t)
        return;
    timer_free(t->timer);
    g_free(t);
}

void tidy_closed(Tidy *t)
{
    if (t && ++t->closed == AFTER_CLOSED)
        timer_arm(t->timer, deadline_in_ms(AFTER_MS));
}
