/* domain/blockjob.h - one block job of one machine: its states, its news, and who gets them
 *
 * A BlockJob stands for one job of QEMU, by QEMU's job id.  It is made before the command that starts the job is sent, and lives until its
 * conclusion has been applied (definitions, event, dismissed in QEMU) or the machine has ended.
 *
 * What QEMU says about a job becomes news, kept in order.  News are applied by one function, under a job of the machine (it talks to
 * QEMU).  Who applies them is the sole difference between the two ways: with no region open a task takes a MODIFY job and does; with
 * one open, the caller inside the region does, in blockjob_sync_wait() and blockjob_sync_end(), and the task stands back.
 *
 *            started            READY               pivot asked
 *   STARTING ------> RUNNING ----------> READY ----------------> PIVOTING
 *      |                |                  |                         |
 *      | refused        | abort asked      | abort asked             |
 *      v                v                  v                         | QEMU concludes, from any state
 *    (gone)          ABORTING          ABORTING ---------------------+--------------------------------> OVER
 *
 * What may be done in which state is the table in blockjob.c (blockjob_allows).
 */
#pragma once

#include <jansson.h>

#include "domain/forward.h"
#include "model/domain_def.h"
#include "util/deadline.h"
#include "util/err.h"

typedef struct BlockJob BlockJob;

typedef enum {
    BLOCKJOB_STARTING, /* recorded; QEMU has not yet said that it took the command */
    BLOCKJOB_RUNNING,
    BLOCKJOB_READY,    /* a copy in step with its source: waits for pivot or abort */
    BLOCKJOB_PIVOTING, /* the completion was asked for: pivot, or finalization */
    BLOCKJOB_ABORTING, /* the end was asked for */
    BLOCKJOB_OVER,     /* the conclusion was applied, or the machine ended */
    BLOCKJOB_STATE_MAX,
} BlockJobState;

typedef enum {
    BLOCKJOB_VERB_SPEED,
    BLOCKJOB_VERB_PIVOT,
    BLOCKJOB_VERB_ABORT,
    BLOCKJOB_VERB_MAX,
} BlockJobVerb;

/* A region without news, and a job that has not concluded: no value of virConnectDomainEventBlockJobStatus. */
#define BLOCKJOB_NO_STATUS (-1)

/* What one kind of job does with the conclusion.  Both run under a job of the machine and its lock, and may release the lock for QMP;
 * the machine may have ended when they return. */
typedef struct BlockJobOps {
    int type; /* VIR_DOMAIN_BLOCK_JOB_TYPE_* as clients are told; an active commit has its own */
    const char *what;
    /* What it is called in the status file; NULL: it is not written there.  With a name, `data` is a BlockJobParams. */
    const char *name;
    bool can_pivot;
    /* It waits for us before it changes the chain (auto-finalize off). */
    bool finalized_by_us;
    /* It goes by itself when it has (auto-dismiss on).  With finalized_by_us and `pivoted`. */
    bool goes_by_itself;
    /* Optional: what the BLOCK_JOB event names (a path); without it the target.  NULL from it: an image on the network, of which that event does
     * not tell.  Caller frees. */
    char *(*path)(Domain *d, const BlockJob *job);
    /* Optional: the job is in step (the live definition says so). */
    void (*ready)(Domain *d, BlockJob *job);
    /* Definitions are made true.  status: VIR_DOMAIN_BLOCK_JOB_COMPLETED, FAILED, CANCELED.  -1: the stored one cannot be written now; the
     * job is not over before it is, and this is called again. */
    int (*concluded)(Domain *d, BlockJob *job, int status);
    /* Adds the commands that take nodes nobody needs out of QEMU (qmp_requests_add); they follow the job's dismissal. */
    void (*cleanup)(Domain *d, BlockJob *job, int status, GArray *commands);
    /* Optional: the job ended without an error, or is gone; whether the disk's chain is now as its success makes it.  QEMU is asked: a daemon
     * that was killed need not know what was asked for.  1: it is, 0: it is not, -1: QEMU does not answer. */
    int (*pivoted)(Domain *d, BlockJob *job);
    /* Optional: what has to be done before QEMU is asked to complete a job that is in step.  The lock is released meanwhile. */
    int (*before_pivot)(Domain *d, BlockJob *job, Err *err);
    /* Optional, with finalized_by_us: what has to be done before QEMU changes the chain.  -1: it must not, the job fails with Err; 1: not now, asked
     * again when QEMU answers.  The lock is released meanwhile. */
    int (*before_finalize)(Domain *d, BlockJob *job, Err *err);
    GDestroyNotify free_data;
} BlockJobOps;

/* What a job of a kind with a name is about, and all that its conclusion needs, besides the live definition. */
typedef struct BlockJobParams {
    unsigned top, base; /* numbers of images; 0: none */
    unsigned flags;     /* of the call that began it */
    /* between conclusion and cleanup, not in the status file: */
    StorageSource *removed; /* images the disk is not on any more, down to `stop` */
    unsigned stop;          /* number of the first image that stays; 0: none of them does */
} BlockJobParams;

/* A copy without what conclusions add; blockjob_params_free is the free_data of all kinds with a name. */
BlockJobParams *blockjob_params_new(unsigned top, unsigned base, unsigned flags);
void blockjob_params_free(void *p);

/* What one machine may have: more than a person or an orchestrator uses, less than would hurt. */
#define BLOCKJOBS_MAX 256u

/* How ids of our jobs begin: a job of a user's own (raw monitor) is not ours to dismiss. */
#define BLOCKJOB_ID_PREFIX "berth-"

/* ---- the object -------------------------------------------------------------------------------------------------- */

/* A job named `id` on the disk with this alias and target name (all copied).  Before the command that starts it is sent, so that no word of
 * QEMU about it is missed; domain lock and a job of the machine held.  `data` is ops->free_data's.  NULL: the disk has a job already
 * (VIR_ERR_OPERATION_INVALID, naming it), or the machine has too many.  Returns a reference; the machine keeps its own. */
BlockJob *blockjob_new(Domain *d, const BlockJobOps *ops, const char *id, const char *disk_alias, const char *target, void *data,
                       Err *err);
BlockJob *blockjob_ref(BlockJob *job);
void blockjob_unref(BlockJob *job);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BlockJob, blockjob_unref)

/* Writes the new job to the status file; without that it must not be started.  The lock is released meanwhile.  -1: refused (and forgotten),
 * or the machine ended. */
int blockjob_write_down(Domain *d, BlockJob *job, Err *err);
/* Around the command that begins the job or ends it, from what is noted of it to QEMU's answer: a resync may run beside the call that sends it
 * (JOB_QUERY beside an ASYNC job).  Domain lock held. */
void blockjob_set_asking(BlockJob *job, bool asking);
/* QEMU accepted the command (news may be there already).  Domain lock held. */
void blockjob_started(Domain *d, BlockJob *job);
/* QEMU refused it: the object is forgotten.  Domain lock held. */
void blockjob_refused(Domain *d, BlockJob *job);

/* All under the domain lock. */
BlockJob *blockjob_of_disk(Domain *d, const char *disk_alias); /* borrowed; NULL: none */
BlockJob *blockjob_by_id(Domain *d, const char *id);           /* borrowed */
/* The one of this disk that is OVER here, while QEMU still has its nodes open: clients are to find it until nobody has the images any more.
 * Borrowed; NULL: none. */
BlockJob *blockjob_leaving(Domain *d, const char *disk_alias);
unsigned blockjob_count(Domain *d);
BlockJob *blockjob_at(Domain *d, unsigned i); /* borrowed */

/* VIR_ERR_BLOCK_COPY_ACTIVE naming the job a disk has already.  Returns -1. */
int blockjob_busy(const Domain *d, const BlockJob *job, const char *target, Err *err);

const char *blockjob_id(const BlockJob *job);
const BlockJobOps *blockjob_ops(const BlockJob *job);
void *blockjob_data(const BlockJob *job);
const char *blockjob_disk(const BlockJob *job);   /* alias */
const char *blockjob_target(const BlockJob *job); /* vda */
BlockJobState blockjob_state(const BlockJob *job);
/* Asks QEMU for the end that the state (PIVOTING, ABORTING) says.  Asked again by blockjob_compare() when QEMU has not got it.  Lock and a job of the
 * machine held; the lock is released meanwhile. */
int blockjob_send_end(Domain *d, BlockJob *job, Err *err);
/* It is being given up after it was in step. */
bool blockjob_was_ready(const BlockJob *job);
/* Bytes done, as QEMU said at the end; 0 before. */
uint64_t blockjob_bytes(const BlockJob *job);
/* It was in step once. */
bool blockjob_has_been_in_step(const BlockJob *job);
/* Why it failed, in QEMU's words; NULL when it did not. */
const char *blockjob_error(const BlockJob *job);
/* Whether the verb may be used now; if not, -1 with VIR_ERR_BLOCK_COPY_ACTIVE or VIR_ERR_OPERATION_INVALID and what to wait for. */
int blockjob_allows(const BlockJob *job, BlockJobVerb verb, Err *err);
/* Pivot or abort was asked of QEMU: before the command is sent.  Domain lock held. */
void blockjob_set_state(Domain *d, BlockJob *job, BlockJobState state);

/* ---- news -------------------------------------------------------------------------------------------------------- */

/* One QMP event about jobs (JOB_STATUS_CHANGE, BLOCK_JOB_*).  Only keeps it, and makes sure that somebody applies it.  Domain lock held. */
void blockjob_event(Domain *d, const char *name, json_t *data);
/* What query-jobs says, as if the events had said it; and jobs of ours that nobody knows are dismissed (false: one is not).  At reconnect, and after
 * a time-out or an overflow.  Domain lock held. */
bool blockjob_compare(Domain *d, json_t *jobs);
/* Queues a task that applies what is there, unless a region is open or one is queued.  Domain lock held. */
void blockjob_kick(Domain *d, BlockJob *job);
/* Whether there is news not yet applied. */
bool blockjob_has_news(const BlockJob *job);
/* Applies the oldest news.  Lock and a job of the machine held; the lock is released for QMP.  Returns the status
 * (VIR_DOMAIN_BLOCK_JOB_*), BLOCKJOB_NO_STATUS when there was none, or when it could not be applied and stays (QEMU does not answer, the
 * machine ended). */
int blockjob_apply(Domain *d, BlockJob *job);
/* The machine ends, its process is gone: jobs whose success QEMU had told are concluded in the definitions.  The lock is released
 * meanwhile.  False: a stored definition cannot be written now; the machine must not be off before it is, and this is called again. */
bool blockjobs_settle(Domain *d);
/* The machine ended: all its jobs are over.  Domain lock held. */
void blockjobs_forget(Domain *d);

/* ---- the status file (blockjob_record.c) ------------------------------------------------------------------------- */

/* StatusBlockJob* of all jobs that have a name; NULL when there is none.  Domain lock held. */
GPtrArray *blockjobs_save(const Domain *d);
/* Makes them again from there; what they became meanwhile blockjob_compare() finds out.  Domain lock held. */
void blockjobs_load(Domain *d, const GPtrArray *records);

/* After a reconnect: takes nodes out of QEMU that a daemon which was killed left there (blockjob_sweep.c).  False: some are still there.  The lock
 * is released meanwhile. */
bool blockjobs_sweep(Domain *d);
/* Sends commands that take jobs and nodes out of QEMU (qmp_requests_new).  What QEMU refuses is logged, and swept by a task later.  Lock and a job
 * held; the lock is released meanwhile. */
void blockjobs_take_out(Domain *d, GArray *commands);
/* Something may be left in QEMU: a task looks.  Lock held. */
void blockjobs_sweep_later(Domain *d);
/* QEMU answers again: what was left is looked for at once.  Lock held. */
void blockjobs_sweep_now(Domain *d);

/* ---- the region -------------------------------------------------------------------------------------------------- */

/* On the caller's stack, for one region. */
typedef struct BlockJobSync {
    Domain *d;
    BlockJob *job; /* reference; NULL: no region */
    uint64_t life;
    unsigned resyncs; /* how often a resync was asked for when the region looked last */
} BlockJobSync;

/* From here on the news of this job is kept for wait and end (counterpart: qemuBlockJobSyncBegin).  Domain lock and a job of the machine
 * held, before the command that can cause the news is sent.  One region per job: a second is VIR_ERR_OPERATION_INVALID.  Use with
 * g_auto(BlockJobSync), which ends it. */
int blockjob_sync_begin(Domain *d, BlockJob *job, BlockJobSync *s, Err *err);
/* Applies the next news; if there is none, releases the domain lock and sleeps until there is (qemuBlockJobSyncWait).  0: news was applied,
 * *ret_status (may be NULL) says which.  -1: the machine ended (VIR_ERR_OPERATION_INVALID), the client that asked is gone
 * (VIR_ERR_OPERATION_ABORTED), or the deadline of a job is over (VIR_ERR_OPERATION_TIMEOUT); *ret_status is BLOCKJOB_NO_STATUS then.
 * Lock held on entry and return; may be called many times in a region. */
int blockjob_sync_wait(BlockJobSync *s, int *ret_status, Err *err);
/* The same for at most `ms` milliseconds: a time-out is 0 with BLOCKJOB_NO_STATUS, and the region stays open
 * (qemuBlockJobSyncWaitWithTimeout). */
int blockjob_sync_wait_timeout(BlockJobSync *s, unsigned ms, int *ret_status, Err *err);
/* Applies all that is still queued, in order; *ret_status (may be NULL) is the last of it, BLOCKJOB_NO_STATUS when there was none.  From here on
 * asynchronous again (qemuBlockJobSyncEnd).  Safe when the machine has ended, and when no region is open.  Lock held. */
void blockjob_sync_end(BlockJobSync *s, int *ret_status);
static inline void blockjob_sync_scope_end(BlockJobSync *s)
{
    blockjob_sync_end(s, NULL);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(BlockJobSync, blockjob_sync_scope_end)
