/* domain/job.h - who may work on a machine now
 *
 * A job is the right to change a machine (or to ask its QEMU) across the gaps where the domain lock is not held.  At most one of
 * QUERY, MODIFY, ABORT, DESTROY, RECONNECT runs at a time; an ASYNC job (save, migration, dump, backup) may run beside those in its
 * mask.  A request that cannot be granted at once is parked as data in the domain's queue, first come first served; DESTROY goes to
 * the head.  Nothing sleeps: granted() or refused() is called, exactly once, from whatever thread ends the job before, from the timer
 * of the deadline (monitor event thread), or from job_request() itself; both must be short and not block (they submit to the pool).
 *
 * States of a request: IDLE -> PARKED -> GRANTED -> IDLE (job_end), PARKED -> REFUSED (deadline, cancel).
 */
#pragma once

#include "domain/forward.h"
#include "util/deadline.h"
#include "util/err.h"

typedef enum {
    JOB_NONE,
    JOB_QUERY,
    JOB_MODIFY,
    JOB_ABORT,     /* ends an ASYNC job; may run beside any */
    JOB_DESTROY,   /* kills first, then goes to the head of the queue */
    JOB_ASYNC,
    JOB_RECONNECT,
    JOB_KIND_MAX,
} JobKind;

extern const char *const job_kind_names[JOB_KIND_MAX];

struct JobRequest {
    JobKind kind;
    const char *what;     /* static text: the procedure or task, quoted in time-out errors of others */
    uint64_t owner;       /* client id, 0: the daemon itself */
    Deadline deadline;
    void (*granted)(JobRequest *r);
    void (*refused)(JobRequest *r, Err *err /* moved from */);
    /* private to job.c */
    Domain *dom;
    uint64_t since_us;
    int state;
    JobRequest *next, **prev;
    void *timer;
};

#define JOB_WAIT_MS 30000u

/* Asks for the job.  Domain lock not held.  The request must live until granted/refused and then job_end. */
void job_request(Domain *d, JobRequest *r);
/* Takes a parked request out (client gone); refused() is called with VIR_ERR_OPERATION_ABORTED.  No effect when granted already. */
void job_cancel(JobRequest *r);
/* Gives the job back and grants the next.  Domain lock not held. */
void job_end(JobRequest *r);
/* For tasks on a worker that may sleep (event handlers' tasks, reconnect): request and wait.  0 or -1 with err. */
int job_acquire(Domain *d, JobRequest *r, Err *err);
/* Aborts unless a job is held. */
void job_assert_held(const Domain *d);
