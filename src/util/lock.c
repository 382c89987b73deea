/* util/lock.c - mutexes with a rank, condition variables with a deadline, bells
 *
 * Owns:    the numbers of threads, the names of locks, and the per-thread list of held ranks (fault builds only)
 * Errors:  a broken lock order or an unlocked access is a bug and aborts
 */
#include "config.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "util/lock.h"

static gint last_thread;
static __thread uint32_t thread_number;

static inline uint32_t this_thread(void)
{
    if (G_UNLIKELY(thread_number == 0))
        thread_number = (uint32_t)g_atomic_int_add(&last_thread, 1) + 1;
    return thread_number;
}

/* All names that locks were ever given: a number in each lock instead of a pointer. */
static const char *names[UINT8_MAX + 1];

static uint8_t name_number(const char *name)
{
    for (unsigned i = 1; i < N_ELEMENTS(names); i++) {
        const char *there = __atomic_load_n(&names[i], __ATOMIC_RELAXED);
        if (!there && __atomic_compare_exchange_n(&names[i], &there, name, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
            return (uint8_t)i;
        if (there == name)
            return (uint8_t)i;
    }
    return 0;
}

static const char *name_of(const Mutex *m)
{
    const char *name = __atomic_load_n(&names[m->name], __ATOMIC_RELAXED);
    return name ? name : "a lock";
}

#ifdef ENABLE_FAULTS
static __thread unsigned held_count[LOCK_QUEUE + 1];

static void rank_enter(const Mutex *m)
{
    for (int r = m->rank; r <= LOCK_QUEUE; r++) {
        if (held_count[r])
            g_error("lock order: taking %s (rank %d) while holding rank %d", name_of(m), m->rank, r);
    }
    held_count[m->rank]++;
}

static void rank_leave(const Mutex *m)
{
    held_count[m->rank]--;
}
#else
static inline void rank_enter(const Mutex *m)
{
}

static inline void rank_leave(const Mutex *m)
{
}
#endif

void mutex_init(Mutex *m, LockRank rank, const char *name)
{
    pthread_mutex_init(&m->m, NULL);
    m->rank = (uint8_t)rank;
    m->name = name_number(name);
    m->owner = 0;
}

void mutex_done(Mutex *m)
{
    pthread_mutex_destroy(&m->m);
}

void mutex_lock(Mutex *m)
{
    rank_enter(m);
    int r = pthread_mutex_lock(&m->m);
    if (r)
        g_error("locking %s: %s", name_of(m), g_strerror(r));
    m->owner = this_thread();
}

void mutex_unlock(Mutex *m)
{
    m->owner = 0;
    rank_leave(m); /* before: who waits for the lock may free it */
    pthread_mutex_unlock(&m->m);
}

void mutex_assert_held(const Mutex *m)
{
    if (m->owner != this_thread())
        g_error("%s is not held by this thread", name_of(m));
}

void cond_init(Cond *c)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&c->c, &attr);
    pthread_condattr_destroy(&attr);
}

void cond_done(Cond *c)
{
    pthread_cond_destroy(&c->c);
}

void cond_broadcast(Cond *c)
{
    pthread_cond_broadcast(&c->c);
}

static struct timespec time_of(Deadline d)
{
    return (struct timespec){.tv_sec = (time_t)(d.at_us / 1000000), .tv_nsec = (long)(d.at_us % 1000000) * 1000};
}

bool cond_wait_until(Cond *c, Mutex *m, Deadline d)
{
    struct timespec ts = time_of(d);
    m->owner = 0;
    int r = pthread_cond_timedwait(&c->c, &m->m, &ts);
    m->owner = this_thread();
    return r != ETIMEDOUT;
}

/* ---- bells ------------------------------------------------------------------------------------------------------- */

/* Who sleeps says so before the kernel compares the count, who rings counts before it looks for sleepers: one of them sees the other. */

uint32_t bell_heard(const Bell *b)
{
    return __atomic_load_n(&b->rung, __ATOMIC_SEQ_CST);
}

bool bell_sleep(Bell *b, uint32_t heard, Deadline d)
{
    struct timespec ts = time_of(d);
    __atomic_add_fetch(&b->sleepers, 1, __ATOMIC_SEQ_CST);
    while (bell_heard(b) == heard && !deadline_passed(d))
        syscall(SYS_futex, &b->rung, FUTEX_WAIT_BITSET_PRIVATE, heard, &ts, NULL, FUTEX_BITSET_MATCH_ANY);
    __atomic_sub_fetch(&b->sleepers, 1, __ATOMIC_SEQ_CST);
    return bell_heard(b) != heard;
}

const uint32_t *bell_strike(Bell *b)
{
    __atomic_add_fetch(&b->rung, 1, __ATOMIC_SEQ_CST);
    return __atomic_load_n(&b->sleepers, __ATOMIC_SEQ_CST) ? &b->rung : NULL;
}

void bell_wake(const uint32_t *word)
{
    if (word)
        syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}
