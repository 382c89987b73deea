/* domain/job.c - who may work on a machine now
 *
 * Owns:    the queue of parked requests of one domain, the two holders (short job, ASYNC job), the timer of the deadlines
 * Threads: any; callbacks run on the thread that made the change
 * Locks:   queue.lock (leaf; no callback runs under it)
 * Errors:  VIR_ERR_OPERATION_TIMEOUT naming the holder, VIR_ERR_OPERATION_ABORTED
 *
 * Theory of operation.  A request that changes nothing for others is one lock and a look at two pointers.  Whenever a
 * place may have become free, scan() walks the queue once in order and takes out what may run: since a short job is
 * granted only while no other runs, a request passed over is one the ASYNC job does not allow, and what stands behind
 * it may go first without being unfair to it.  Callbacks are collected and run after the lock is released, each exactly
 * once: leaving PARKED is decided under the lock.
 *
 * One timer serves all parked requests.  It is armed "no later than": a late arming from a thread that was overtaken
 * cannot move it past a nearer deadline, and a superfluous firing finds nothing due.
 */
#include "config.h"

#include <inttypes.h>

#include "util/pool.h"
#include "object/object.h"
#include "domain/job.h"

const char *const job_kind_names[JOB_KIND_MAX] = {"none", "query", "modify", "abort", "destroy", "async", "reconnect"};

/* ---- under the lock ---------------------------------------------------------------------------------------------- */

static void link_request(JobQueue *q, JobRequest *r)
{
    JobRequest **at = q->tail;
    if (r->kind == JOB_DESTROY) {
        /* Before all others, behind the DESTROYs already there. */
        at = &q->head;
        while (*at && (*at)->kind == JOB_DESTROY)
            at = &(*at)->next;
    }
    r->next = *at;
    r->prev = at;
    if (r->next)
        r->next->prev = &r->next;
    else
        q->tail = &r->next;
    *at = r;
    r->state = JOB_REQ_PARKED;
}

static void unlink_request(JobQueue *q, JobRequest *r)
{
    *r->prev = r->next;
    if (r->next)
        r->next->prev = r->prev;
    else
        q->tail = r->prev;
    r->next = NULL;
    r->prev = NULL;
}

static unsigned mask_of(const JobRequest *async)
{
    return async->async_mask ? async->async_mask : JOB_BIT(JOB_QUERY);
}

static bool may_run(const JobQueue *q, const JobRequest *r)
{
    if (r->kind == JOB_ASYNC)
        return !q->async && (!q->holder || (mask_of(r) & JOB_BIT(q->holder->kind)));
    if (q->holder)
        return false;
    return !q->async || r->kind == JOB_ABORT || r->kind == JOB_DESTROY || (mask_of(q->async) & JOB_BIT(r->kind));
}

static void hold(JobQueue *q, JobRequest *r)
{
    if (r->kind == JOB_ASYNC)
        q->async = r;
    else
        q->holder = r;
    r->state = JOB_REQ_GRANTED;
    r->since_us = now_us();
}

/* Takes every request that may run now out of the queue into *ret_list, in order. */
static void scan(JobQueue *q, JobRequest **ret_list)
{
    JobRequest **end = ret_list;
    JobRequest *next;
    for (JobRequest *r = q->head; r && (!q->holder || !q->async); r = next) {
        next = r->next;
        if (!may_run(q, r))
            continue;
        unlink_request(q, r);
        hold(q, r);
        *end = r;
        end = &r->next;
    }
    *end = NULL;
}

static void info_locked(JobQueue *q, JobInfo *ret)
{
    const JobRequest *r = q->async ? q->async : q->holder;
    *ret = (JobInfo){.seq = q->seq};
    if (r)
        *ret = (JobInfo){r->kind, r->what, r->since_us, r->owner, q->seq};
}

/* ---- outside ----------------------------------------------------------------------------------------------------- */

static void tell(JobQueue *q, const JobInfo *info)
{
    if (q->changed)
        q->changed(q->dom, info);
}

static void call_granted(JobRequest *list)
{
    while (list) {
        JobRequest *r = list;
        list = r->next; /* the request may be gone when granted() returns */
        r->next = NULL;
        r->granted(r);
    }
}

/* Text of who holds the place `r` waits for.  Lock held. */
static char *holder_text(const JobQueue *q, const JobRequest *r)
{
    const JobRequest *h = q->holder ? q->holder : q->async;
    if (q->async && r->kind == JOB_ASYNC)
        h = q->async;
    if (!h)
        return g_strdup("nobody"); /* given back while the timer fired */
    double s = (double)(now_us() - h->since_us) / 1e6;
    if (h->owner)
        return g_strdup_printf("%s job '%s' of client %" PRIu64 " for %.1f s", job_kind_names[h->kind], h->what,
                               h->owner, s);
    return g_strdup_printf("%s job '%s' of the daemon for %.1f s", job_kind_names[h->kind], h->what, s);
}

static void on_deadline(void *arg)
{
    JobQueue *q = arg;
    Domain *keep = NULL; /* refused() may drop the reference the request held, the last one even */
    for (;;) {
        JobRequest *due = NULL;
        g_autofree char *holder = NULL;
        Deadline next = {UINT64_MAX};
        {
            LOCK_SCOPE(&q->lock);
            for (JobRequest *r = q->head; r && !due; r = r->next) {
                if (deadline_passed(r->deadline))
                    due = r;
                else
                    next = deadline_min(next, r->deadline);
            }
            if (due) {
                unlink_request(q, due);
                due->state = JOB_REQ_REFUSED;
                holder = holder_text(q, due);
                if (!keep)
                    keep = object_ref(q->dom);
            }
        }
        if (!due) {
            if (next.at_us != UINT64_MAX)
                timer_arm_by(g_atomic_pointer_get(&q->timer), next);
            break;
        }
        g_auto(Err) err = ERR_INIT;
        err_set(&err, VIR_ERR_OPERATION_TIMEOUT, "cannot acquire state change lock (held by %s), wanted for %s", holder,
                due->what);
        due->refused(due, &err);
    }
    object_unref(keep);
}

/* The timer, made when the first request has to wait: most machines never see one. */
static Timer *timer_of(JobQueue *q)
{
    Timer *t = g_atomic_pointer_get(&q->timer);
    if (t)
        return t;
    t = timer_new(q->timers, on_deadline, q);
    if (g_atomic_pointer_compare_and_exchange(&q->timer, NULL, t))
        return t;
    timer_free(t);
    return g_atomic_pointer_get(&q->timer);
}

void job_queue_init(JobQueue *q, Domain *dom, EventLoop *timers, void (*changed)(Domain *d, const JobInfo *info))
{
    *q = (JobQueue){.dom = dom, .timers = timers, .changed = changed};
    mutex_init(&q->lock, LOCK_LEAF, "job queue");
    q->tail = &q->head;
}

void job_queue_done(JobQueue *q)
{
    g_assert(!q->holder && !q->async && !q->head);
    timer_free(q->timer);
    mutex_done(&q->lock);
}

void job_request(Domain *d, JobRequest *r)
{
    JobQueue *q = domain_jobs(d);
    JobInfo info;
    bool granted = false;
    Deadline deadline = r->deadline;
    object_ref(d); /* once parked, the caller's reference may go with the request at any moment, and it may be the last */
    r->dom = d;
    r->next = NULL;
    {
        LOCK_SCOPE(&q->lock);
        /* Nobody who could run is parked: each change scans the queue.  So what may run now may pass those that may
         * not. */
        if (may_run(q, r)) {
            hold(q, r);
            q->seq++;
            info_locked(q, &info);
            granted = true;
        } else {
            link_request(q, r);
        }
    }
    /* Parked: from here on r may be granted and freed by another thread at any moment. */
    if (granted) {
        tell(q, &info);
        r->granted(r);
    } else {
        timer_arm_by(timer_of(q), deadline);
    }
    object_unref(d);
}

void job_cancel(JobRequest *r)
{
    JobQueue *q = domain_jobs(r->dom);
    {
        LOCK_SCOPE(&q->lock);
        if (r->state != JOB_REQ_PARKED)
            return;
        unlink_request(q, r);
        r->state = JOB_REQ_REFUSED;
    }
    g_auto(Err) err = ERR_INIT;
    err_set(&err, VIR_ERR_OPERATION_ABORTED, "%s was given up by its client before it began", r->what);
    r->refused(r, &err);
}

void job_end(JobRequest *r)
{
    JobQueue *q = domain_jobs(r->dom);
    JobRequest *list = NULL;
    JobInfo info;
    {
        LOCK_SCOPE(&q->lock);
        g_assert(r->state == JOB_REQ_GRANTED && (q->holder == r || q->async == r));
        if (q->holder == r)
            q->holder = NULL;
        else
            q->async = NULL;
        r->state = JOB_REQ_IDLE;
        scan(q, &list);
        q->seq++;
        info_locked(q, &info);
    }
    tell(q, &info);
    call_granted(list);
}

void job_abandon(JobRequest *r)
{
    g_atomic_int_set(&r->abandoned, 1);
}

bool job_abandoned(Domain *d)
{
    JobQueue *q = domain_jobs(d);
    LOCK_SCOPE(&q->lock);
    return q->holder && !q->async && g_atomic_int_get(&q->holder->abandoned);
}

/* ---- for callers that may sleep ---------------------------------------------------------------------------------- */

/* Shared by the sleeper and the callback: whichever comes last frees it. */
typedef struct Waiter {
    gint refs;
    Mutex lock;
    Cond done;
    int outcome; /* 0 waiting, 1 granted, -1 refused */
    Err err;
} Waiter;

static void waiter_unref(Waiter *w)
{
    if (!g_atomic_int_dec_and_test(&w->refs))
        return;
    err_clear(&w->err);
    cond_done(&w->done);
    mutex_done(&w->lock);
    g_free(w);
}

static void waiter_wake(Waiter *w, int outcome, Err *err)
{
    mutex_lock(&w->lock);
    w->outcome = outcome;
    if (err)
        err_move(&w->err, err);
    cond_broadcast(&w->done);
    mutex_unlock(&w->lock);
    waiter_unref(w);
}

static void waiter_granted(JobRequest *r)
{
    waiter_wake(r->userdata, 1, NULL);
}

static void waiter_refused(JobRequest *r, Err *err)
{
    waiter_wake(r->userdata, -1, err);
}

int job_acquire(Domain *d, JobRequest *r, Err *err)
{
    event_assert_may_block();
    Waiter *w = g_new0(Waiter, 1);
    w->refs = 2;
    mutex_init(&w->lock, LOCK_LEAF, "job waiter");
    cond_init(&w->done);
    r->granted = waiter_granted;
    r->refused = waiter_refused;
    r->userdata = w;
    job_request(d, r);

    mutex_lock(&w->lock);
    bool sleeps = w->outcome == 0;
    mutex_unlock(&w->lock);
    if (sleeps)
        pool_blocking_begin();
    mutex_lock(&w->lock);
    while (w->outcome == 0)
        cond_wait_until(&w->done, &w->lock, deadline_in_ms(60000)); /* the queue's timer ends the wait */
    int outcome = w->outcome;
    mutex_unlock(&w->lock);
    if (sleeps)
        pool_blocking_end();
    if (outcome < 0)
        err_move(err, &w->err);
    waiter_unref(w);
    return outcome > 0 ? 0 : -1;
}

void job_assert_held(Domain *d)
{
    JobQueue *q = domain_jobs(d);
    LOCK_SCOPE(&q->lock);
    if (!q->holder && !q->async)
        g_error("no job is held");
}

void job_queue_info(JobQueue *q, JobInfo *ret)
{
    LOCK_SCOPE(&q->lock);
    info_locked(q, ret);
}

unsigned job_queue_length(JobQueue *q)
{
    LOCK_SCOPE(&q->lock);
    unsigned n = 0;
    for (const JobRequest *r = q->head; r; r = r->next)
        n++;
    return n;
}
