/* domain/job.h - who may work on a machine now
 *
 * A job is the right to change a machine (or to ask its QEMU) across the gaps where the domain lock is not held.  At
 * most one of QUERY, MODIFY, ABORT, DESTROY, RECONNECT runs at a time; an ASYNC job (save, migration, dump, backup) may
 * run beside those in its mask.  A request that cannot be granted at once is parked as data in the domain's queue,
 * first come first served; DESTROY goes to the head.  Nothing sleeps: granted() or refused() is called, exactly once,
 * from whatever thread ends the job before, from the timer of the deadline (monitor event thread), or from
 * job_request() itself; both must be short and not block (they submit to the pool).
 *
 * States of a request: IDLE -> PARKED -> GRANTED -> IDLE (job_end), PARKED -> REFUSED (deadline, cancel).
 */
#pragma once

#include "domain/forward.h"
#include "event/timer.h"
#include "util/deadline.h"
#include "util/err.h"
#include "util/lock.h"

typedef enum {
    JOB_NONE,
    JOB_QUERY,
    JOB_MODIFY,
    JOB_ABORT,   /* ends an ASYNC job; may run beside any of them */
    JOB_DESTROY, /* kills first, then goes to the head of the queue; may run beside any ASYNC job */
    JOB_ASYNC,
    JOB_RECONNECT,
    JOB_KIND_MAX,
} JobKind;

extern const char *const job_kind_names[JOB_KIND_MAX];

#define JOB_BIT(kind) (1u << (kind))

typedef enum {
    JOB_REQ_IDLE,
    JOB_REQ_PARKED,
    JOB_REQ_GRANTED,
    JOB_REQ_REFUSED,
} JobRequestState;

struct JobRequest {
    JobKind kind;
    const char *what; /* static text: the procedure or task, quoted in time-out errors of others */
    uint64_t owner;   /* client id, 0: the daemon itself */
    Deadline deadline;
    unsigned async_mask; /* ASYNC: JOB_BITs of the kinds that may run beside it; 0: QUERY */
    void (*granted)(JobRequest *r);
    void (*refused)(JobRequest *r, Err *err /* moved from */);
    void *userdata; /* the caller's */
    /* private to job.c */
    Domain *dom;
    uint64_t since_us;
    gint abandoned;
    int state;
    JobRequest *next, **prev;
};

#define JOB_WAIT_MS 30000u

/* Asks for the job.  granted() and refused() may run inside: a caller that holds the domain lock needs callbacks that
 * do not take it. The request must live until granted/refused and then job_end. */
void job_request(Domain *d, JobRequest *r);
/* Takes a parked request out (client gone); refused() is called with VIR_ERR_OPERATION_ABORTED.  No effect when granted
 * already.  The caller must know that the request still lives (its own state machine does: neither callback has freed
 * it). */
void job_cancel(JobRequest *r);
/* Gives the job back and grants the next.  Domain lock not held. */
void job_end(JobRequest *r);
/* Nobody waits any more for what the holder does (its client is gone).  The request must still be held.  A holder that can stop midway looks
 * with job_abandoned(); one that sleeps is woken by inbox_poke(), which the caller calls after this.  Any thread; blocks nowhere. */
void job_abandon(JobRequest *r);
/* Whether that was said of the short job that runs now.  Beside an ASYNC job it is of no matter: who sleeps then is that one, which goes on without
 * its client. */
bool job_abandoned(Domain *d);
/* For tasks on a worker that may sleep (event handlers' tasks, reconnect): request and wait.  Uses granted, refused of
 * its own. 0 or -1 with err. */
int job_acquire(Domain *d, JobRequest *r, Err *err);
/* Aborts unless a job is held. */
void job_assert_held(Domain *d);

/* ---- the queue itself, embedded in each domain ------------------------------------------------------------------- */

/* What runs now, as shown to readers.  seq grows with each change: a reader that gets two out of order keeps the newer.
 */
typedef struct JobInfo {
    JobKind kind; /* JOB_NONE: nothing; an ASYNC job is shown in preference to the one beside it */
    const char *what;
    uint64_t since_us, owner, seq;
} JobInfo;

typedef struct JobQueue {
    Mutex lock;         /* leaf */
    Domain *dom;        /* starts with its Object */
    JobRequest *holder; /* QUERY, MODIFY, ABORT, DESTROY or RECONNECT */
    JobRequest *async;
    JobRequest *head, **tail; /* parked, in order */
    EventLoop *timers;
    Timer *timer;             /* the earliest deadline of the parked; NULL until one was (atomic) */
    void (*changed)(Domain *d, const JobInfo *info);
    uint64_t seq;
} JobQueue;

/* `changed` (may be NULL) runs after each grant and end, without any lock of ours, on whatever thread. */
void job_queue_init(JobQueue *q, Domain *dom, EventLoop *timers, void (*changed)(Domain *d, const JobInfo *info));
/* Nothing may be parked or running. */
void job_queue_done(JobQueue *q);
void job_queue_info(JobQueue *q, JobInfo *ret);
/* Number of parked requests. */
unsigned job_queue_length(JobQueue *q);
/* The queue of a domain (domain.c). */
JobQueue *domain_jobs(Domain *d);
