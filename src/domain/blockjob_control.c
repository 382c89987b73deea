/* domain/blockjob_control.c - a block job asked after, slowed down, ended
 *
 * Owns:    nothing
 * Threads: workers
 * Locks:   the domain's, released for QMP and while the end is waited for
 * Errors:  VIR_ERR_INVALID_ARG (no job), VIR_ERR_BLOCK_COPY_ACTIVE, VIR_ERR_OPERATION_INVALID, VIR_ERR_OPERATION_FAILED
 */
#include "config.h"

#include <string.h>

#define LOG_AREA "domain.blockjob"
#include "util/log.h"
#include "domain/blockjob_disk.h"
#include "domain/blockjobs.h"
#include "domain/private.h"
#include "qemu/props.h"
#include "qmp/commands.h"
#include "api_enums.h"

/* The job of the disk a call names, with what QEMU has said of it applied: a task that would do that may be behind us in the queue. */
static BlockJob *find(Domain *d, const char *name, Err *err)
{
    g_autoptr(DomainDef) live = domain_def_ref(d->live);
    const DiskDef *disk = chain_disk(live, name, err);
    BlockJob *there = disk ? blockjob_of_disk(d, disk->info.alias) : NULL;
    g_autoptr(BlockJob) job = there ? blockjob_ref(there) : NULL;
    while (job && blockjob_has_news(job) && blockjob_apply(d, job) != BLOCKJOB_NO_STATUS)
        ;
    if (job && blockjob_state(job) != BLOCKJOB_OVER)
        return g_steal_pointer(&job);
    if (disk)
        err_set(err, VIR_ERR_INVALID_ARG, "disk %s does not have an active block job", disk->dst);
    return NULL;
}

/* ---- the end ----------------------------------------------------------------------------------------------------- */

/* What a daemon that finds the job needs to know is in the file before QEMU is asked to end it. */
static int note_end(Domain *d, BlockJob *job, bool pivot, Err *err)
{
    blockjob_mark_mirror(d, job, pivot ? MIRROR_PIVOT : MIRROR_ABORT);
    blockjob_set_state(d, job, pivot ? BLOCKJOB_PIVOTING : BLOCKJOB_ABORTING);
    uint64_t life = domain_leave(d);
    domain_flush_or_retry(d); /* a full disk does not keep anybody from ending a job: QEMU tells which image the disk is on */
    return domain_enter(d, life, err);
}

/* QEMU would not: the job is what it was. */
static void take_back(Domain *d, BlockJob *job, BlockJobState was)
{
    if (blockjob_state(job) == BLOCKJOB_OVER)
        return;
    blockjob_set_state(d, job, was);
    blockjob_mark_mirror(d, job, was == BLOCKJOB_READY ? MIRROR_READY : MIRROR_STATE_ABSENT);
}

static int ask_end(Domain *d, BlockJob *job, bool pivot, Err *err)
{
    BlockJobState was = blockjob_state(job);
    blockjob_set_asking(job, true);
    int noted = note_end(d, job, pivot, err);
    QmpStatus s = noted < 0 ? QMP_CLOSED : blockjob_send_end(d, job, err);
    blockjob_set_asking(job, false);
    if (s == QMP_OK)
        return 0;
    if (qmp_status_is_refusal(s)) {
        if (!pivot && blockjob_has_news(job)) { /* it ended by itself just now */
            err_clear(err);
            return 0;
        }
        take_back(d, job, was);
    }
    return -1;
}

/* Until the job is over. */
static int wait_end(BlockJobSync *sync, int *ret_status, Err *err)
{
    do {
        if (blockjob_sync_wait(sync, ret_status, err) < 0)
            return -1;
    } while (*ret_status == VIR_DOMAIN_BLOCK_JOB_READY);
    return 0;
}

int domain_block_job_abort(Domain *d, const char *disk, unsigned flags, Err *err)
{
    bool pivot = flags & VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT, async = flags & VIR_DOMAIN_BLOCK_JOB_ABORT_ASYNC;
    g_autoptr(BlockJob) job = find(d, disk, err);
    g_auto(BlockJobSync) sync = {0};
    if (!job)
        return -1;
    if (pivot && !blockjob_ops(job)->can_pivot)
        return err_set(err, VIR_ERR_OPERATION_INVALID, "job type '%s' does not support pivot", blockjob_ops(job)->name);
    if (blockjob_allows(job, pivot ? BLOCKJOB_VERB_PIVOT : BLOCKJOB_VERB_ABORT, err) < 0)
        return -1;
    if (!async && blockjob_sync_begin(d, job, &sync, err) < 0)
        return -1;
    if (pivot && blockjob_ops(job)->before_pivot && blockjob_ops(job)->before_pivot(d, job, err) < 0)
        return -1;
    if (ask_end(d, job, pivot, err) < 0)
        return -1;
    int status;
    if (async)
        return 0;
    if (wait_end(&sync, &status, err) < 0)
        return -1;
    if (pivot && status != VIR_DOMAIN_BLOCK_JOB_COMPLETED)
        return err_set(err, VIR_ERR_OPERATION_FAILED, "block job '%s' failed while pivoting: %s", blockjob_id(job),
                       blockjob_error(job) ? blockjob_error(job) : "it was cancelled");
    return 0;
}

/* ---- the end, when it can be ------------------------------------------------------------------------------------- */

/* Until the job is in step.  Lock held. */
static int wait_in_step(Domain *d, BlockJob *job, Deadline end, bool (*gone)(void *arg), void *arg, Err *err)
{
    uint64_t life = d->life;
    while (blockjob_state(job) <= BLOCKJOB_RUNNING) {
        if (deadline_passed(end))
            return err_set(err, VIR_ERR_OPERATION_TIMEOUT, "block job '%s' of disk '%s' is not in step in time", blockjob_id(job),
                           blockjob_target(job)),
                   err_hint(err, "the job goes on: pivot when it is ready"), -1;
        domain_wait(d, end);
        if (d->life != life || d->priv->dying || !d->live)
            return err_set(err, VIR_ERR_OPERATION_INVALID, "domain '%s' ended while block job '%s' of disk '%s' was waited for", d->name,
                           blockjob_id(job), blockjob_target(job));
        if (gone(arg))
            return err_set(err, VIR_ERR_OPERATION_ABORTED, "the client that waited for block job '%s' is gone", blockjob_id(job));
    }
    if (blockjob_state(job) == BLOCKJOB_OVER)
        return err_set(err, VIR_ERR_OPERATION_FAILED, "block job '%s' of disk '%s' ended before it was in step: %s", blockjob_id(job),
                       blockjob_target(job), blockjob_error(job) ? blockjob_error(job) : "it was cancelled");
    return 0;
}

int domain_block_job_pivot_in_step(Domain *d, const char *name, unsigned ms, uint64_t owner, bool (*gone)(void *arg), void *arg, Err *err)
{
    domain_assert_locked(d);
    const DiskDef *disk = chain_disk(d->live, name, err);
    if (!disk)
        return -1;
    BlockJob *there = blockjob_of_disk(d, disk->info.alias);
    if (!there)
        return err_set(err, VIR_ERR_INVALID_ARG, "disk %s does not have an active block job", disk->dst);
    g_autoptr(BlockJob) job = blockjob_ref(there);
    if (!blockjob_ops(job)->can_pivot)
        return err_set(err, VIR_ERR_OPERATION_INVALID, "job type '%s' does not support pivot", blockjob_ops(job)->name);
    if (wait_in_step(d, job, deadline_in_ms(ms), gone, arg, err) < 0)
        return -1;
    uint64_t life = domain_leave(d);
    JobRequest r = {.kind = JOB_MODIFY, .what = "pivot", .owner = owner, .deadline = deadline_in_ms(JOB_WAIT_MS)};
    int got = job_acquire(d, &r, err), rc = -1;
    if (got == 0 && domain_enter(d, life, err) == 0)
        rc = domain_block_job_abort(d, name, VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT, err);
    else if (got < 0)
        domain_lock(d);
    if (got == 0) {
        domain_unlock(d);
        domain_flush_or_retry(d);
        job_end(&r);
        domain_lock(d);
    }
    return rc;
}

/* ---- speed ------------------------------------------------------------------------------------------------------- */

int domain_block_job_set_speed(Domain *d, const char *disk, uint64_t bandwidth, unsigned flags, Err *err)
{
    uint64_t speed;
    if (blockjob_bandwidth(bandwidth, flags & VIR_DOMAIN_BLOCK_JOB_SPEED_BANDWIDTH_BYTES, &speed, err) < 0)
        return -1;
    g_autoptr(BlockJob) job = find(d, disk, err);
    if (!job || blockjob_allows(job, BLOCKJOB_VERB_SPEED, err) < 0)
        return -1;
    json_t *args = json_object();
    props_str(args, "device", blockjob_id(job));
    props_u64(args, "speed", speed);
    return domain_qmp(d, "block-job-set-speed", args, NULL, err);
}

/* ---- progress ---------------------------------------------------------------------------------------------------- */

static uint64_t number(json_t *o, const char *key)
{
    json_int_t v = json_integer_value(json_object_get(o, key));
    return v > 0 ? (uint64_t)v : 0;
}

/* Clients take cur == end for "in step" (or "done"), some without waiting for the event. */
static void no_early_end(bool in_step, BlockJobInfo *ret)
{
    if (ret->cur > ret->end)
        ret->end = ret->cur;
    if (in_step) {
        ret->end = MAX(ret->end, 1u);
        ret->cur = ret->end;
    } else if (ret->end == 0) {
        ret->end = 1;
    } else if (ret->cur == ret->end) {
        ret->cur--;
    }
}

static bool is_in_step(const BlockJob *job)
{
    bool pivots = blockjob_state(job) == BLOCKJOB_PIVOTING && blockjob_ops(job)->can_pivot; /* others only wait there for their end */
    return blockjob_state(job) == BLOCKJOB_READY || pivots || blockjob_was_ready(job);
}

static bool find_info(json_t *jobs, const BlockJob *job, BlockJobInfo *ret)
{
    json_t *o;
    size_t i;
    json_array_foreach(jobs, i, o)
    {
        if (g_strcmp0(json_string_value(json_object_get(o, "device")), blockjob_id(job)) != 0)
            continue;
        ret->speed = number(o, "speed");
        ret->cur = number(o, "offset");
        ret->end = number(o, "len");
        return true;
    }
    return false;
}

/* What is known of a job without asking: QEMU has ended it already, and what follows from that is being done, or cannot be asked now. */
static int tell_known(const BlockJob *job, bool in_step, BlockJobInfo *ret)
{
    ret->cur = ret->end = blockjob_bytes(job);
    no_early_end(in_step, ret);
    return 1;
}

/* Not over before nobody has its images any more: who hears that there is no job may do with them what he likes. */
static int tell_leaving(Domain *d, const BlockJob *job, BlockJobInfo *ret)
{
    if (blockjob_leaving(d, blockjob_disk(job)) != job)
        return 0;
    ret->type = blockjob_ops(job)->type;
    return tell_known(job, blockjob_ops(job)->can_pivot && blockjob_has_been_in_step(job), ret);
}

int domain_block_job_info(Domain *d, const char *name, BlockJobInfo *ret, Err *err)
{
    domain_assert_locked(d);
    const DiskDef *disk = chain_disk(d->live, name, err);
    if (!disk)
        return -1;
    BlockJob *there = blockjob_of_disk(d, disk->info.alias);
    if (!there) {
        there = blockjob_leaving(d, disk->info.alias);
        return there ? tell_leaving(d, there, ret) : 0;
    }
    g_autoptr(BlockJob) job = blockjob_ref(there);
    g_autoptr(QmpClient) qmp = domain_monitor_ref(d);
    if (d->priv->dying)
        return domain_err_inactive(err);
    ret->type = blockjob_ops(job)->type;
    if (!qmp) /* being reconnected: how far it is QEMU will tell */
        return tell_known(job, is_in_step(job), ret);
    json_t *jobs = NULL;
    uint64_t life = domain_leave(d);
    QmpStatus s = qmp_do(qmp, QMP(QUERY_BLOCK_JOBS), NULL, &jobs, err);
    g_auto(Err) ended = ERR_INIT;
    if (domain_enter(d, life, &ended) < 0) {
        json_decref(jobs);
        err_clear(err);
        err_move(err, &ended);
        return -1;
    }
    if (s != QMP_OK)
        return -1;
    bool listed = find_info(jobs, job, ret);
    json_decref(jobs);
    if (blockjob_state(job) == BLOCKJOB_OVER)
        return tell_leaving(d, job, ret);
    if (!listed) /* one that QEMU has dismissed by itself, or has not begun */
        return blockjob_state(job) == BLOCKJOB_STARTING ? 0 : tell_known(job, is_in_step(job), ret);
    no_early_end(is_in_step(job), ret);
    return 1;
}
