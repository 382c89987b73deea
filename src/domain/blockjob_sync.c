/* domain/blockjob_sync.c - the region in which a caller consumes the news of a block job
 *
 * Owns:    begin, wait, end
 * Threads: workers
 * Locks:   the domain's, released while a caller sleeps
 * Errors:  VIR_ERR_OPERATION_INVALID, VIR_ERR_OPERATION_ABORTED, VIR_ERR_OPERATION_TIMEOUT
 *
 * Theory of operation.  A sleeper waits for the machine's `changed`, like everybody who waits for something of a machine: each drained event, each
 * change of life and each client that goes away broadcasts it, and the sleeper looks again.  So there is no wake-up of its own that could be
 * lost.  An open region is only a mark on the job: news are kept the same way, and the task that would apply them is not queued.
 */
#include "config.h"

#define LOG_AREA "domain.blockjob"
#include "util/log.h"
#include "domain/blockjob_private.h"
#include "domain/private.h"
#include "api_enums.h"

/* A pivot or an abort waits for storage: minutes are possible, more is sick. */
#define SYNC_WAIT_MS (10u * 60 * 1000)
/* Between two attempts at news that could not be applied because QEMU did not answer. */
#define AGAIN_MS 1000u

static void say(int *ret_status, int status)
{
    if (ret_status)
        *ret_status = status;
}

int blockjob_sync_begin(Domain *d, BlockJob *job, BlockJobSync *s, Err *err)
{
    domain_assert_locked(d);
    job_assert_held(d);
    *s = (BlockJobSync){0};
    if (job->region)
        return err_set(err, VIR_ERR_OPERATION_INVALID, "somebody else waits for block job '%s' of disk '%s'", job->id, job->target);
    if (job->state == BLOCKJOB_OVER)
        return err_set(err, VIR_ERR_OPERATION_INVALID, "block job '%s' of disk '%s' is over", job->id, job->target);
    *s = (BlockJobSync){.d = d, .job = blockjob_ref(job), .life = d->life, .resyncs = d->priv->resyncs_done};
    job->region = s;
    return 0;
}

/* Whether waiting has a sense. */
static int look(BlockJobSync *s, Err *err)
{
    Domain *d = s->d;
    if (d->life != s->life || d->priv->dying || !d->live) {
        return err_set(err, VIR_ERR_OPERATION_INVALID, "domain '%s' ended while block job '%s' of disk '%s' was waited for", d->name,
                       s->job->id, s->job->target);
    }
    if (s->job->state == BLOCKJOB_OVER)
        return err_set(err, VIR_ERR_OPERATION_INVALID, "block job '%s' of disk '%s' is over", s->job->id, s->job->target);
    if (job_abandoned(d)) {
        err_set(err, VIR_ERR_OPERATION_ABORTED, "the client that waited for block job '%s' of disk '%s' is gone", s->job->id,
                s->job->target);
        return -1;
    }
    return 0;
}

/* Events were lost (the inbox overflowed, or QEMU was silent), perhaps before the region began: the resync that will be is behind our job in the
 * queue, so its question about jobs is asked here. */
static void ask_again(BlockJobSync *s)
{
    g_auto(Err) err = ERR_INIT;
    json_t *jobs = NULL;
    s->resyncs = s->d->priv->resyncs;
    if (domain_qmp(s->d, "query-jobs", NULL, &jobs, &err) < 0) {
        log_warning("%s: %s", s->d->name, err.detail);
        return;
    }
    blockjob_compare(s->d, jobs);
    json_decref(jobs);
}

/* 1: news was applied; 0: the deadline passed; -1 with Err. */
static int wait_until(BlockJobSync *s, Deadline end, int *ret_status, Err *err)
{
    Domain *d = s->d;
    domain_assert_locked(d);
    g_assert(s->job && s->job->region == s);
    say(ret_status, BLOCKJOB_NO_STATUS);
    for (;;) {
        Deadline until = end;
        if (look(s, err) < 0)
            return -1;
        if (s->resyncs != d->priv->resyncs) {
            ask_again(s);
            continue;
        }
        if (blockjob_has_news(s->job)) {
            int status = blockjob_apply(d, s->job);
            if (status != BLOCKJOB_NO_STATUS) {
                say(ret_status, status);
                return 1;
            }
            if (look(s, err) < 0)
                return -1;
            until = deadline_min(end, deadline_in_ms(AGAIN_MS));
        }
        if (deadline_passed(end))
            return 0;
        domain_wait(d, until);
    }
}

int blockjob_sync_wait(BlockJobSync *s, int *ret_status, Err *err)
{
    int r = wait_until(s, deadline_in_ms(SYNC_WAIT_MS), ret_status, err);
    if (r != 0)
        return r < 0 ? -1 : 0;
    err_set(err, VIR_ERR_OPERATION_TIMEOUT, "block job '%s' of disk '%s' had no news for %u s", s->job->id, s->job->target,
            SYNC_WAIT_MS / 1000);
    err_hint(err, "the job goes on: 'virsh blockjob %s %s --info' shows it", s->d->name, s->job->target);
    return -1;
}

int blockjob_sync_wait_timeout(BlockJobSync *s, unsigned ms, int *ret_status, Err *err)
{
    return wait_until(s, deadline_in_ms(ms), ret_status, err) < 0 ? -1 : 0;
}

void blockjob_sync_end(BlockJobSync *s, int *ret_status)
{
    say(ret_status, BLOCKJOB_NO_STATUS);
    if (!s->job)
        return;
    Domain *d = s->d;
    domain_assert_locked(d);
    while (d->life == s->life && !d->priv->dying && blockjob_has_news(s->job)) {
        int status = blockjob_apply(d, s->job);
        if (status == BLOCKJOB_NO_STATUS)
            break; /* stays news, for the task below */
        say(ret_status, status);
    }
    s->job->region = NULL;
    if (s->job->state != BLOCKJOB_OVER)
        blockjob_kick(d, s->job); /* a machine that was reached again meanwhile: its jobs go on */
    blockjob_unref(s->job);
    *s = (BlockJobSync){0};
}
