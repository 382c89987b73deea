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
 * work are few and warm.  The wake-up itself (a futex on a word of the sleeper's stack) comes after the lock is given back, so that the woken
 * thread does not run into it; the sleeper may be gone by then, and the word be nobody's: such a wake-up meets nobody.
 */
#include "config.h"

#include <linux/futex.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

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
    int called; /* and out of the list; atomic, written under the lock */
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

/* Without places of its own the lane of short tasks shares those of ordinary ones, and goes first. */
static bool has_place(const Pool *p, Lane l)
{
    bool shares = p->limits.cap[LANE_FAST] == 0 && (l == LANE_FAST || l == LANE_NORMAL);
    if (shares)
        return p->st.running[LANE_FAST] + p->st.running[LANE_NORMAL] < p->limits.cap[LANE_NORMAL];
    return p->st.running[l] < p->limits.cap[l];
}

static Lane next_lane(const Pool *p)
{
    for (Lane l = LANE_FAST; l < LANE_MAX; l++)
        if (p->head[l] && has_place(p, l))
            return l;
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

static void unlink_idler(Pool *p, Idler *i)
{
    Idler **at = &p->idle;
    while (*at != i)
        at = &(*at)->next;
    *at = i->next;
    p->st.idle--;
}

/* Calls the latest one.  Lock held.  What is returned goes to wake() when the lock is given back. */
static int *call_idler(Pool *p)
{
    Idler *i = p->idle;
    unlink_idler(p, i);
    __atomic_store_n(&i->called, 1, __ATOMIC_RELEASE);
    return &i->called;
}

/* NULL is fine; the word is not looked at. */
static void wake(const int *word)
{
    if (word)
        syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

/* Sleeps until called.  False: nobody did within the limit for idle threads.  Lock held on entry and return. */
static bool wait_for_work(Pool *p)
{
    Idler me = {.next = p->idle};
    p->idle = &me;
    p->st.idle++;
    Deadline d = deadline_in_ms(p->limits.idle_ms);
    mutex_unlock(&p->lock);
    while (!__atomic_load_n(&me.called, __ATOMIC_ACQUIRE) && !deadline_passed(d)) {
        int ms = deadline_left_ms(d);
        struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
        syscall(SYS_futex, &me.called, FUTEX_WAIT_PRIVATE, 0, &left, NULL, 0);
    }
    mutex_lock(&p->lock);
    bool called = __atomic_load_n(&me.called, __ATOMIC_RELAXED);
    if (!called)
        unlink_idler(p, &me);
    return called;
}

/* Makes the threads that are always to be there.  Lock held. */
static void make_least(Pool *p)
{
    while (p->st.threads < MIN(p->limits.min_threads, p->limits.max_threads)) {
        p->st.threads++;
        if (!thread_make(p)) {
            p->st.threads--; /* they are made when there is work, then */
            return;
        }
    }
}

/* Sees to it that somebody takes the next startable task.  Lock held; the caller gives what is returned to wake() without it. */
static int *kick(Pool *p)
{
    if (next_lane(p) == LANE_MAX)
        return NULL;
    if (p->idle)
        return call_idler(p);
    if (p->st.threads < p->limits.max_threads) {
        p->st.threads++;
        if (!thread_make(p))
            p->st.threads--; /* the next free thread takes it */
    }
    return NULL;
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
            if (!wait_for_work(p) && next_lane(p) == LANE_MAX && p->st.threads - p->st.blocked > MAX(p->limits.min_threads, 1))
                break;
            continue;
        }
        Task *t = p->head[l];
        p->head[l] = t->next;
        if (!p->head[l])
            p->tail[l] = &p->head[l];
        p->st.queued[l]--;
        p->st.running[l]++;
        p->st.moves[l]++;
        worker_lane = l;
        int *next = kick(p);
        mutex_unlock(&p->lock);
        wake(next);

        t->fn(t->arg);
        g_free(t);

        mutex_lock(&p->lock);
        p->st.running[l]--;
        p->st.moves[l]++;
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
    mutex_lock(&p->lock);
    make_least(p);
    mutex_unlock(&p->lock);
    return p;
}

void pool_free(Pool *p)
{
    if (!p)
        return;
    mutex_lock(&p->lock);
    p->closing = true;
    while (p->idle)
        wake(call_idler(p));
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
    mutex_lock(&p->lock);
    *p->tail[lane] = t;
    p->tail[lane] = &t->next;
    p->st.queued[lane]++;
    int *next = kick(p);
    mutex_unlock(&p->lock);
    wake(next);
}

void pool_blocking_begin(void)
{
    Pool *p = worker_pool;
    if (!p)
        return;
    mutex_lock(&p->lock);
    p->st.running[worker_lane]--;
    p->st.moves[worker_lane]++;
    p->st.blocked++;
    int *next = kick(p);
    mutex_unlock(&p->lock);
    wake(next);
}

void pool_blocking_end(void)
{
    Pool *p = worker_pool;
    if (!p)
        return;
    LOCK_SCOPE(&p->lock);
    p->st.running[worker_lane]++;
    p->st.moves[worker_lane]++;
    p->st.blocked--;
}

void pool_stats(Pool *p, PoolStats *ret)
{
    LOCK_SCOPE(&p->lock);
    *ret = p->st;
}

void pool_get_limits(Pool *p, PoolLimits *ret)
{
    LOCK_SCOPE(&p->lock);
    *ret = p->limits;
}

void pool_set_limits(Pool *p, const PoolLimits *limits)
{
    LOCK_SCOPE(&p->lock);
    p->limits = *limits;
    make_least(p);
    wake(kick(p));
}
