/* util/pool.h - worker threads in lanes
 *
 * Each lane has a cap on tasks that run at once, so long work never takes the threads of short work.  A task that sleeps (on QEMU,
 * on a child) says so with pool_blocking_begin/end and does not count against its lane's cap meanwhile: a hundred sick guests hold a
 * hundred sleeping threads and no lane.  Threads are made on demand and end after some idle seconds, but for
 * those that are always to be there.
 */
#pragma once

#include "base.h"
#include "util/deadline.h"
#include "lane.h"

typedef struct Pool Pool;

typedef struct PoolLimits {
    unsigned cap[LANE_MAX];   /* tasks running and not blocked, per lane; 0 of LANE_FAST: it shares those of LANE_NORMAL */
    unsigned min_threads;     /* so many are always there; 0 is one */
    unsigned max_threads;     /* of all kinds, blocked ones too */
    unsigned idle_ms;         /* an idle thread ends after this */
} PoolLimits;

extern const char *const lane_names[LANE_MAX];

Pool *pool_new(const PoolLimits *limits);
/* Waits for queued and running tasks, then frees.  No task may submit while this runs. */
void pool_free(Pool *p);
/* Sleeps until no task runs or waits (true) or the deadline.  Not on a worker. */
bool pool_wait_idle(Pool *p, Deadline d);
/* Runs fn(arg) on a worker, first in first out within the lane.  Any thread. */
void pool_submit(Pool *p, Lane lane, void (*fn)(void *arg), void *arg);
/* Around a sleep of the calling task.  No effect outside a worker, so code that sleeps may be called from anywhere. */
void pool_blocking_begin(void);
void pool_blocking_end(void);

typedef struct PoolStats {
    unsigned threads, idle, blocked;
    unsigned running[LANE_MAX], queued[LANE_MAX];
    uint64_t moves[LANE_MAX]; /* how often a task began, fell asleep, woke up, ended, since the beginning */
} PoolStats;

void pool_stats(Pool *p, PoolStats *ret);
/* The limits in force. */
void pool_get_limits(Pool *p, PoolLimits *ret);
/* Applies new limits; running tasks are not disturbed, threads beyond what is wanted end when they are idle. */
void pool_set_limits(Pool *p, const PoolLimits *limits);
