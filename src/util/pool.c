/* util/pool.c - worker threads in lanes
 *
 * Owns:    the threads, one queue a lane, the counts
 * Threads: any may submit; workers are detached from their caller's stack and signals
 * Locks:   pool.lock (leaf, never held while a task runs)
 *
 * Theory of operation.  A task may start when its lane runs fewer unblocked tasks than its cap.  A thread that becomes free, or whose
 * task blocks, looks for the next task that may start, highest lane first (FAST before NORMAL before LONG).  If a task may start and
 * nobody is idle, a thread is made, up to max_threads.  pool_blocking_end() does not wait for a place: the lane may exceed its cap
 * for as long as the woken tasks need to finish, which is better than a woken task holding its object's job while it queues.
 *
 * Who became idle last is woken first: what a burst made beyond the usual need is then left alone until it ends, and the threads that
 * work are few and warm.
 */
#include "config.h"

#include <signal.h>

#include "util/lock.h"
#include "util/pool.h"

typedef struct Task {
    struct Task *next;
    void (*fn)(void *arg);
    void *arg;
} Task;

/* A thread that waits for work; on its stack. */
typedef struct Idler {
    struct Idler *next;
    Cond wake;
    bool called; /* and out of the list */
} Idler;

struct Pool {
    Mutex lock;  /* leaf */
    Idler *idle; /* the latest first */
    Cond idle_change;
    PoolLimits limits;
    Task *head[LANE_MAX], **tail[LANE_MAX];
    PoolStats st;
    bool closing;
};

const char *const lane_names[LANE_MAX] = {"inline", "fast", "normal", "long"};

static __thread Pool *worker_pool;
static __thread Lane worker_lane;

static Lane next_lane(const Pool *p)
{
    for (Lane l = LANE_FAST; l < LANE_MAX; l++) {
        if (p->head[l] && p->st.running[l] < p->limits.cap[l])
            return l;
    }
    return LANE_MAX;
}

static void *worker_main(void *arg);

static bool thread_make(Pool *p)
{
    pthread_attr_t attr;
    pthread_t t;
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attr, 512 * 1024);
    int r = pthread_create(&t, &attr, worker_main, p);
    pthread_attr_destroy(&attr);
    return r == 0;
}

static void call_idler(Pool *p, Idler *i)
{
    Idler **at = &p->idle;
    while (*at != i)
        at = &(*at)->next;
    *at = i->next;
    i->called = true;
    p->st.idle--;
    pthread_cond_signal(&i->wake.c);
}

/* Sleeps until called.  False: nobody did within the limit for idle threads. */
static bool wait_for_work(Pool *p)
{
    Idler me = {.next = p->idle};
    cond_init(&me.wake);
    p->idle = &me;
    p->st.idle++;
    Deadline d = deadline_in_ms(p->limits.idle_ms);
    bool in_time = true;
    while (!me.called && in_time)
        in_time = cond_wait_until(&me.wake, &p->lock, d);
    bool called = me.called;
    if (!called)
        call_idler(p, &me);
    cond_done(&me.wake);
    return called;
}

/* Sees to it that somebody takes the next startable task.  Lock held. */
static void kick(Pool *p)
{
    if (next_lane(p) == LANE_MAX)
        return;
    if (p->idle) {
        call_idler(p, p->idle);
    } else if (p->st.threads < p->limits.max_threads) {
        p->st.threads++;
        if (!thread_make(p))
            p->st.threads--; /* the next free thread takes it */
    }
}

static void *worker_main(void *arg)
{
    Pool *p = arg;
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    worker_pool = p;

    mutex_lock(&p->lock);
    for (;;) {
        Lane l = next_lane(p);
        if (l == LANE_MAX) {
            if (p->closing)
                break;
            /* The last one that could take a task stays: the host may refuse a new thread just when one is needed. */
            if (!wait_for_work(p) && next_lane(p) == LANE_MAX && p->st.threads - p->st.blocked > 1)
                break;
            continue;
        }
        Task *t = p->head[l];
        p->head[l] = t->next;
        if (!p->head[l])
            p->tail[l] = &p->head[l];
        p->st.queued[l]--;
        p->st.running[l]++;
        worker_lane = l;
        kick(p);
        mutex_unlock(&p->lock);

        t->fn(t->arg);
        g_free(t);

        mutex_lock(&p->lock);
        p->st.running[l]--;
        cond_broadcast(&p->idle_change);
    }
    p->st.threads--;
    cond_broadcast(&p->idle_change);
    mutex_unlock(&p->lock);
    return NULL;
}

Pool *pool_new(const PoolLimits *limits)
{
    Pool *p = g_new0(Pool, 1);
    mutex_init(&p->lock, LOCK_QUEUE, "pool");
    cond_init(&p->idle_change);
    p->limits = *limits;
    for (int l = 0; l < LANE_MAX; l++)
        p->tail[l] = &p->head[l];
    p->st.threads = 1;
    if (!thread_make(p))
        g_error("no thread for the workers");
    return p;
}

void pool_free(Pool *p)
{
    if (!p)
        return;
    mutex_lock(&p->lock);
    p->closing = true;
    while (p->idle)
        call_idler(p, p->idle);
    while (p->st.threads > 0)
        cond_wait_until(&p->idle_change, &p->lock, deadline_in_ms(1000));
    mutex_unlock(&p->lock);
    cond_done(&p->idle_change);
    mutex_done(&p->lock);
    g_free(p);
}

static bool has_work(const Pool *p)
{
    unsigned n = p->st.blocked;
    for (Lane l = LANE_FAST; l < LANE_MAX; l++)
        n += p->st.running[l] + p->st.queued[l];
    return n > 0;
}

bool pool_wait_idle(Pool *p, Deadline d)
{
    LOCK_SCOPE(&p->lock);
    bool in_time = true;
    while (has_work(p) && in_time)
        in_time = cond_wait_until(&p->idle_change, &p->lock, d);
    return !has_work(p);
}

void pool_submit(Pool *p, Lane lane, void (*fn)(void *arg), void *arg)
{
    g_assert(lane > LANE_INLINE && lane < LANE_MAX);
    Task *t = g_new0(Task, 1);
    t->fn = fn;
    t->arg = arg;
    LOCK_SCOPE(&p->lock);
    *p->tail[lane] = t;
    p->tail[lane] = &t->next;
    p->st.queued[lane]++;
    kick(p);
}

void pool_blocking_begin(void)
{
    Pool *p = worker_pool;
    if (!p)
        return;
    LOCK_SCOPE(&p->lock);
    p->st.running[worker_lane]--;
    p->st.blocked++;
    kick(p);
}

void pool_blocking_end(void)
{
    Pool *p = worker_pool;
    if (!p)
        return;
    LOCK_SCOPE(&p->lock);
    p->st.running[worker_lane]++;
    p->st.blocked--;
}

void pool_stats(Pool *p, PoolStats *ret)
{
    LOCK_SCOPE(&p->lock);
    *ret = p->st;
}

void pool_set_limits(Pool *p, const PoolLimits *limits)
{
    LOCK_SCOPE(&p->lock);
    p->limits = *limits;
    kick(p);
}
