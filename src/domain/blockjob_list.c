/* domain/blockjob_list.c - block jobs of a machine that run; how others ended is blockjob_verdict.c
 *
 * Owns:    nothing
 * Threads: workers
 * Locks:   the domain's, released for QMP
 * Errors:  none: numbers QEMU does not tell stay 0
 */
#include "config.h"

#include "domain/blockjob_list.h"
#include "domain/blockjob_private.h"
#include "domain/private.h"
#include "qmp/commands.h"

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

static void add_entry(GPtrArray *all, const BlockJob *job, BlockJobState state)
{
    BlockJobEntry *e = g_new0(BlockJobEntry, 1);
    *e = (BlockJobEntry){.id = g_strdup(job->id),
                         .kind = g_strdup(blockjob_kind(job)),
                         .disk = g_strdup(job->target),
                         .type = job->ops->type,
                         .state = state,
                         .begun_us = job->begun_us,
                         .cur = job->bytes,
                         .end = job->bytes};
    g_ptr_array_add(all, e);
}

GPtrArray *domain_block_jobs(Domain *d)
{
    domain_assert_locked(d);
    GPtrArray *all = g_ptr_array_new_with_free_func(entry_free);
    for (unsigned i = 0; i < blockjob_count(d); i++) {
        const BlockJob *job = blockjob_at(d, i);
        add_entry(all, job, job->state);
    }
    if (d->priv->leaving)
        add_entry(all, d->priv->leaving, d->priv->leaving->left_as);
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
