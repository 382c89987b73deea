/* domain/blockjob_verdict.c - how block jobs ended: known at once, in a file of their own a moment later
 *
 * Owns:    DomainPrivate.verdicts; the file is store/job_history.h's
 * Threads: workers; the list is also read for the status file
 * Locks:   the domain's, released while the file is written
 * Errors:  logged: what cannot be kept is told once more with the next verdict
 *
 * The history is durable, and nobody who waits for the end of a job waits for that.  The write of the status file that takes a job out of its list
 * puts the verdict in, so a daemon that is killed at any moment has told the next one; a task writes the history when the caller has its answer.
 * A verdict that is in both is the same one: the first word stays.
 */
#include "config.h"

#include <string.h>

#define LOG_AREA "domain.blockjob"
#include "util/log.h"
#include "util/pool.h"
#include "domain/blockjob_list.h"
#include "domain/blockjob_private.h"
#include "domain/private.h"

static char *history_base(Domain *d)
{
    return g_build_filename(domain_driver_opts(d->drv)->state_dir, "job-history", NULL);
}

const char *blockjob_kind(const BlockJob *job)
{
    return job->ops->name ? job->ops->name : job->ops->what;
}

static void free_verdict(gpointer v)
{
    job_verdict_free(v);
}

static void add(Domain *d, JobVerdict *v)
{
    DomainPrivate *p = d->priv;
    if (!p->verdicts)
        p->verdicts = g_ptr_array_new_with_free_func(free_verdict);
    /* a disk that stays full: the newest count, as in the file */
    if (!p->verdicts_busy && p->verdicts->len >= JOB_HISTORY_MAX)
        g_ptr_array_remove_index(p->verdicts, 0);
    g_ptr_array_add(p->verdicts, v);
}

GPtrArray *blockjob_verdicts_copy(const Domain *d)
{
    const GPtrArray *all = d->priv->verdicts;
    domain_assert_locked(d);
    if (!all || !all->len)
        return NULL;
    GPtrArray *copy = g_ptr_array_new_with_free_func(free_verdict);
    for (unsigned i = 0; i < all->len; i++)
        g_ptr_array_add(copy, job_verdict_copy(all->pdata[i]));
    return copy;
}

void blockjob_verdicts_load(Domain *d, const GPtrArray *verdicts)
{
    domain_assert_locked(d);
    for (unsigned i = 0; verdicts && i < verdicts->len; i++)
        add(d, job_verdict_copy(verdicts->pdata[i]));
}

void blockjob_keep_verdict(Domain *d, const BlockJob *job, int status, const char *error)
{
    JobVerdict v = {.id = job->id,
                    .kind = (char *)(uintptr_t)blockjob_kind(job),
                    .disk = job->target,
                    .type = job->ops->type,
                    .status = status,
                    .error = (char *)(uintptr_t)error,
                    .begun_us = job->begun_us,
                    .ended_us = (uint64_t)g_get_real_time(),
                    .bytes = job->bytes};
    domain_assert_locked(d);
    add(d, job_verdict_copy(&v));
    domain_mark_changed(d);
}

void blockjob_verdicts_write(Domain *d)
{
    DomainPrivate *p = d->priv;
    domain_assert_locked(d);
    while (p->verdicts_busy) /* who writes goes on until there is nothing left */
        domain_wait(d, deadline_in_ms(1000));
    g_autofree char *base = history_base(d);
    p->verdicts_busy = true;
    bool good = true;
    while (good && p->verdicts && p->verdicts->len) {
        g_autoptr(GPtrArray) batch = blockjob_verdicts_copy(d);
        g_auto(Err) err = ERR_INIT;
        domain_unlock(d);
        pool_blocking_begin();
        good = job_history_add(base, d->obj.uuid, batch, &err) == 0;
        pool_blocking_end();
        domain_lock(d);
        if (!good)
            log_warning("%s: how %u block jobs ended is not kept yet: %s", d->name, batch->len, err.detail);
        else if (p->verdicts->len >= batch->len) /* else they were dropped meanwhile */
            g_ptr_array_remove_range(p->verdicts, 0, batch->len);
    }
    p->verdicts_busy = false;
    domain_ring(d);
}

static void write_task(void *arg)
{
    Domain *d = arg;
    domain_lock(d);
    if (!d->priv->verdicts_busy)
        blockjob_verdicts_write(d);
    domain_unlock(d);
    domain_driver_task_end(d->drv);
    object_unref(d);
}

void blockjob_verdicts_later(Domain *d)
{
    const DomainPrivate *p = d->priv;
    domain_assert_locked(d);
    if (!p->verdicts || !p->verdicts->len || p->verdicts_busy)
        return;
    domain_driver_task_begin(d->drv);
    object_ref(d);
    if (domain_driver_submit(d->drv, LANE_NORMAL, write_task, d))
        return;
    domain_driver_task_end(d->drv); /* the daemon ends: the status file has them */
    object_unref(d);
}

static void remove_id(GPtrArray *all, const char *id)
{
    for (unsigned i = all->len; i > 0; i--) {
        const JobVerdict *v = all->pdata[i - 1];
        if (!strcmp(v->id, id))
            g_ptr_array_remove_index(all, i - 1);
    }
}

GPtrArray *domain_block_jobs_ended(Domain *d)
{
    g_autofree char *base = history_base(d);
    domain_lock(d);
    GPtrArray *young = blockjob_verdicts_copy(d); /* before the file is read: one that is on its way is in either */
    g_autofree char *leaving = d->priv->leaving ? g_strdup(blockjob_id(d->priv->leaving)) : NULL;
    domain_unlock(d);
    GPtrArray *all = job_history_load(base, d->obj.uuid);
    for (unsigned i = 0; young && i < young->len; i++) {
        const JobVerdict *v = young->pdata[i];
        bool known = false;
        for (unsigned k = 0; k < all->len && !known; k++)
            known = job_verdict_same(all->pdata[k], v);
        if (!known)
            g_ptr_array_add(all, job_verdict_copy(v));
    }
    if (young)
        g_ptr_array_unref(young);
    if (leaving)
        remove_id(all, leaving);
    return all;
}

/* Those that are not in the file yet are not to come there any more. */
static void drop_young(Domain *d)
{
    DomainPrivate *p = d->priv;
    domain_lock(d);
    if (p->verdicts && !p->verdicts_busy)
        g_ptr_array_set_size(p->verdicts, 0);
    while (p->verdicts_busy)
        domain_wait(d, deadline_in_ms(1000));
    if (p->verdicts)
        g_ptr_array_set_size(p->verdicts, 0);
    domain_unlock(d);
}

void blockjobs_forget_ended(Domain *d)
{
    g_autofree char *base = history_base(d);
    g_auto(Err) err = ERR_INIT;
    drop_young(d);
    if (job_history_remove(base, d->obj.uuid, &err) < 0)
        log_warning("%s", err.detail);
}
