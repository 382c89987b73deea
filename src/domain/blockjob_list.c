/* domain/blockjob_list.c - block jobs of a machine, those that run and those that ended
 *
 * Owns:    nothing; the file of those that ended is store/job_history.h's
 * Threads: workers (files, QMP)
 * Locks:   the domain's, released for either
 * Errors:  logged
 */
#include "config.h"

#include <string.h>

#define LOG_AREA "domain.blockjob"
#include "util/log.h"
#include "domain/blockjob_list.h"
#include "domain/blockjob_private.h"
#include "domain/private.h"
#include "qmp/commands.h"

static char *history_base(Domain *d)
{
    return g_build_filename(domain_driver_opts(d->drv)->state_dir, "job-history", NULL);
}

static const char *kind_of(const BlockJob *job)
{
    return job->ops->name ? job->ops->name : job->ops->what;
}

/* ---- those that run -------------------------------------------------------------------------------------------------------- */

static void entry_free(void *p)
{
    BlockJobEntry *e = p;
    g_free(e->id);
    g_free(e->kind);
    g_free(e->disk);
    g_free(e);
}

static uint64_t bytes_of(const json_t *o, const char *key)
{
    json_int_t v = json_integer_value(json_object_get(o, key));
    return v > 0 ? (uint64_t)v : 0;
}

static void fill_numbers(const json_t *jobs, GPtrArray *all)
{
    size_t i;
    json_t *o;
    json_array_foreach(jobs, i, o) {
        for (unsigned k = 0; k < all->len; k++) {
            BlockJobEntry *e = all->pdata[k];
            if (g_strcmp0(json_string_value(json_object_get(o, "device")), e->id) != 0)
                continue;
            e->cur = bytes_of(o, "offset");
            e->end = bytes_of(o, "len");
            e->speed = bytes_of(o, "speed");
        }
    }
}

GPtrArray *domain_block_jobs(Domain *d)
{
    domain_assert_locked(d);
    GPtrArray *all = g_ptr_array_new_with_free_func(entry_free);
    for (unsigned i = 0; i < blockjob_count(d); i++) {
        const BlockJob *job = blockjob_at(d, i);
        BlockJobEntry *e = g_new0(BlockJobEntry, 1);
        *e = (BlockJobEntry){.id = g_strdup(job->id),
                             .kind = g_strdup(kind_of(job)),
                             .disk = g_strdup(job->target),
                             .type = job->ops->type,
                             .state = job->state,
                             .begun_us = job->begun_us};
        g_ptr_array_add(all, e);
    }
    g_autoptr(QmpClient) qmp = all->len ? domain_monitor_ref(d) : NULL;
    if (!qmp || d->priv->dying)
        return all;
    json_t *jobs = NULL;
    g_auto(Err) err = ERR_INIT, ended = ERR_INIT;
    uint64_t life = domain_leave(d);
    if (qmp_do(qmp, QMP(QUERY_BLOCK_JOBS), NULL, &jobs, &err) == QMP_OK)
        fill_numbers(jobs, all);
    json_decref(jobs);
    domain_enter(d, life, &ended);
    return all;
}

/* ---- those that ended ------------------------------------------------------------------------------------------------------ */

GPtrArray *domain_block_jobs_ended(Domain *d)
{
    g_autofree char *base = history_base(d);
    return job_history_load(base, d->obj.uuid);
}

void blockjob_remember(Domain *d, const BlockJob *job, int status, const char *error, uint64_t bytes, uint64_t begun_us)
{
    domain_assert_locked(d);
    g_autofree char *base = history_base(d), *id = g_strdup(job->id), *kind = g_strdup(kind_of(job)), *disk = g_strdup(job->target),
                    *why = g_strdup(error);
    JobVerdict v = {.id = id,
                    .kind = kind,
                    .disk = disk,
                    .type = job->ops->type,
                    .status = status,
                    .error = why,
                    .begun_us = begun_us,
                    .ended_us = (uint64_t)g_get_real_time(),
                    .bytes = bytes};
    g_auto(Err) err = ERR_INIT, ended = ERR_INIT;
    uint64_t life = domain_leave(d);
    pool_blocking_begin();
    if (job_history_add(base, d->obj.uuid, &v, &err) < 0)
        log_warning("the end of block job %s is not kept: %s", id, err.detail);
    pool_blocking_end();
    domain_enter(d, life, &ended);
}

void blockjobs_forget_ended(Domain *d)
{
    g_autofree char *base = history_base(d);
    g_auto(Err) err = ERR_INIT;
    if (job_history_remove(base, d->obj.uuid, &err) < 0)
        log_warning("%s", err.detail);
}
