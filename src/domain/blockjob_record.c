/* domain/blockjob_record.c - block jobs in the status file
 *
 * Owns:    what of a job is written there and how it is made again from that
 * Threads: workers; load on the main thread
 * Locks:   the domain's
 * Errors:  logged: what cannot be made again is not ours to end
 */
#include "config.h"

#include <string.h>

#define LOG_AREA "domain.blockjob"
#include "util/log.h"
#include "domain/blockjob_kinds.h"
#include "domain/blockjob_private.h"
#include "domain/private.h"
#include "store/status.h"
#include "api_enums.h"

const BlockJobOps *blockjob_ops_find(const char *name)
{
    static const BlockJobOps *const all[] = {&blockjob_pull_ops, &blockjob_commit_ops, &blockjob_active_commit_ops, &blockjob_copy_ops};
    for (unsigned i = 0; i < N_ELEMENTS(all); i++) {
        if (strcmp(all[i]->name, name) == 0)
            return all[i];
    }
    return NULL;
}

BlockJobParams *blockjob_params_new(unsigned top, unsigned base, unsigned flags)
{
    BlockJobParams *p = g_new0(BlockJobParams, 1);
    *p = (BlockJobParams){.top = top, .base = base, .flags = flags};
    return p;
}

void blockjob_params_free(void *data)
{
    BlockJobParams *p = data;
    storage_source_free(p->removed);
    g_free(p);
}

static StatusBlockJob *record_of(const BlockJob *job)
{
    const BlockJobParams *p = job->data;
    StatusBlockJob rec = {.id = job->id,
                          .kind = g_strdup(job->ops->name),
                          .disk = job->disk,
                          .target = job->target,
                          .state = job->state,
                          .aborted_ready = job->aborted_ready,
                          .done = job->outcome == VIR_DOMAIN_BLOCK_JOB_COMPLETED,
                          .top = p->top,
                          .base = p->base,
                          .flags = p->flags,
                          .begun_us = job->begun_us};
    StatusBlockJob *copy = status_blockjob_copy(&rec);
    g_free(rec.kind);
    return copy;
}

static void free_record(gpointer rec)
{
    status_blockjob_free(rec);
}

GPtrArray *blockjobs_save(const Domain *d)
{
    const GPtrArray *jobs = d->priv->blockjobs;
    GPtrArray *all = NULL;
    for (unsigned i = 0; jobs && i < jobs->len; i++) {
        const BlockJob *job = jobs->pdata[i];
        if (!job->ops->name)
            continue;
        if (!all)
            all = g_ptr_array_new_with_free_func(free_record);
        g_ptr_array_add(all, record_of(job));
    }
    return all;
}

static void load_one(Domain *d, const StatusBlockJob *rec)
{
    const BlockJobOps *ops = blockjob_ops_find(rec->kind);
    if (!ops || rec->state >= BLOCKJOB_OVER || blockjob_by_id(d, rec->id) || blockjob_of_disk(d, rec->disk) ||
        blockjob_count(d) >= BLOCKJOBS_MAX) {
        log_warning("%s: block job '%s' of disk '%s' (%s) in the status file is left alone", d->name, rec->id, rec->target, rec->kind);
        return;
    }
    BlockJob *job = g_new0(BlockJob, 1);
    *job = (BlockJob){.refs = 1,
                      .ops = ops,
                      .data = blockjob_params_new(rec->top, rec->base, rec->flags),
                      .id = g_strdup(rec->id),
                      .disk = g_strdup(rec->disk),
                      .target = g_strdup(rec->target),
                      .state = (BlockJobState)rec->state,
                      .aborted_ready = rec->aborted_ready,
                      .outcome = rec->done ? VIR_DOMAIN_BLOCK_JOB_COMPLETED : BLOCKJOB_NO_STATUS,
                      .begun_us = rec->begun_us};
    /* READY is news once in a job's life, not once in a daemon's. */
    if (job->state == BLOCKJOB_READY || job->state == BLOCKJOB_PIVOTING || job->aborted_ready)
        job->said = 1u << NEWS_READY;
    blockjob_add(d, job);
}

void blockjobs_load(Domain *d, const GPtrArray *records)
{
    for (unsigned i = 0; records && i < records->len; i++)
        load_one(d, records->pdata[i]);
}
