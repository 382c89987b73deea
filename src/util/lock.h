/* util/lock.h - mutexes with a rank, condition variables with a deadline
 *
 * Lock order is registry < domain < bus < leaves < queues.  In fault builds a thread that takes a lock of a rank not above the highest it
 * holds aborts with both names.  Two locks of one rank are never held together.
 */
#pragma once

#include <pthread.h>

#include "util/deadline.h"

typedef enum {
    LOCK_REGISTRY = 1,
    LOCK_DOMAIN = 2,
    LOCK_BUS = 3,
    LOCK_LEAF = 4,
    LOCK_QUEUE = 5, /* where work is handed over (event loops, the pool): may be taken under a leaf, nothing is taken under it */
} LockRank;

/* There are five in every machine, so it is kept small. */
typedef struct Mutex {
    pthread_mutex_t m;
    uint32_t owner; /* the number this file gave the thread that holds it; 0: nobody */
    uint8_t rank;
    uint8_t name; /* its number; 0: none */
} Mutex;

typedef struct Cond {
    pthread_cond_t c; /* CLOCK_MONOTONIC */
} Cond;

/* `name` is kept: a literal.  Of more than 255 names the later ones are not told. */
void mutex_init(Mutex *m, LockRank rank, const char *name);
void mutex_done(Mutex *m);
void mutex_lock(Mutex *m);
void mutex_unlock(Mutex *m);
/* Aborts unless the calling thread holds it. */
void mutex_assert_held(const Mutex *m);
void cond_init(Cond *c);
void cond_done(Cond *c);
void cond_broadcast(Cond *c);
/* Sleeps until signalled or the deadline; returns false when the deadline passed.  Wakes may be spurious. */
bool cond_wait_until(Cond *c, Mutex *m, Deadline d);

/* What a condition variable is, for who may not take the mutex of those who wait: it is rung with or without, and no ringing is lost between their look
 * at what they wait for and their sleep. */
typedef struct Bell {
    uint32_t rung, sleepers; /* atomic */
} Bell;

/* Before the last look at what is waited for. */
uint32_t bell_heard(const Bell *b);
/* Sleeps, with the mutex given back, until it has been rung since; false when the deadline passed. */
bool bell_sleep(Bell *b, uint32_t heard, Deadline d);
/* Counts as rung; what is returned goes to bell_wake().  In two steps, so that the mutex can be given back in between and nobody wakes to wait for
 * it. */
const uint32_t *bell_strike(Bell *b);
/* NULL is fine.  The bell may be gone by now: then it wakes nobody. */
void bell_wake(const uint32_t *word);

static inline void lock_scope_end(Mutex **m)
{
    if (*m)
        mutex_unlock(*m);
}

static inline Mutex *lock_scope_begin(Mutex *m)
{
    mutex_lock(m);
    return m;
}

/* Holds `m` to the end of the enclosing block. */
#define LOCK_SCOPE(m) \
    __attribute__((cleanup(lock_scope_end), unused)) Mutex *G_PASTE(lock_scope_, __LINE__) = lock_scope_begin(m)
