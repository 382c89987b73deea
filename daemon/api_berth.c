/* daemon/api_berth.c - Berth's own program
 *
 * Owns:    nothing; domain/blockjob_list.h knows the jobs, daemon/progress.c who wants to see them.  The lock is the gate's, by the procedure's row.
 */
#include "config.h"

#include <assert.h>

#include "daemon/api.h"
#include "daemon/events.h"
#include "daemon/progress.h"
#include "daemon/wire.h"
#include "domain/blockjob_list.h"
#include "domain/blockjobs.h"

static_assert((int)BERTH_BLOCK_JOB_READY == (int)BLOCKJOB_READY && (int)BERTH_BLOCK_JOB_ENDED == (int)BLOCKJOB_OVER, "states differ");

berth_block_job wire_ended_job(Arena *a, const JobVerdict *j)
{
    berth_block_job v = {.id = arena_strdup(a, j->id), .kind = arena_strdup(a, j->kind), .disk = arena_strdup(a, j->disk), .type = j->type,
                         .state = BERTH_BLOCK_JOB_ENDED, .status = j->status, .begun = j->begun_us, .ended = j->ended_us, .cur = j->bytes,
                         .end = j->bytes};
    if (j->error) {
        v.error = arena_new(a, remote_nonnull_string);
        *v.error = arena_strdup(a, j->error);
    }
    return v;
}

berth_block_job wire_running_job(Arena *a, const BlockJobEntry *j)
{
    return (berth_block_job){.id = arena_strdup(a, j->id), .kind = arena_strdup(a, j->kind), .disk = arena_strdup(a, j->disk), .type = j->type,
                             .state = (int)j->state, .status = BLOCKJOB_NO_STATUS, .begun = j->begun_us, .cur = j->cur, .end = j->end,
                             .speed = j->speed};
}

int api_berth_domain_list_block_jobs(Call *call, Domain *dom, const berth_domain_list_block_jobs_args *args,
                                     berth_domain_list_block_jobs_ret *ret, Err *err)
{
    Arena *a = &call->arena;
    bool both = args->flags == 0;
    g_autoptr(GPtrArray) running = both || args->flags & BERTH_BLOCK_JOBS_RUNNING ? domain_block_jobs(dom) : g_ptr_array_new();
    g_autoptr(GPtrArray) ended = NULL;
    if (both || args->flags & BERTH_BLOCK_JOBS_ENDED) {
        domain_unlock(dom);
        ended = domain_block_jobs_ended(dom);
        domain_lock(dom);
    } else {
        ended = g_ptr_array_new();
    }
    unsigned n = MIN(ended->len + running->len, BERTH_BLOCK_JOBS_MAX);
    berth_block_job *v = arena_array(a, berth_block_job, n);
    for (unsigned i = 0; i < n; i++)
        v[i] = i < ended->len ? wire_ended_job(a, ended->pdata[i]) : wire_running_job(a, running->pdata[i - ended->len]);
    ret->jobs.jobs_val = v;
    ret->jobs.jobs_len = n;
    return 0;
}

static bool is_gone(void *client)
{
    return g_atomic_int_get(&((Client *)client)->gone);
}

int api_berth_domain_block_job_pivot(Call *call, Domain *dom, const berth_domain_block_job_pivot_args *args, Err *err)
{
    if (args->timeout_ms > BERTH_BLOCK_JOB_PIVOT_MS_MAX)
        return err_set(err, VIR_ERR_INVALID_ARG, "timeout_ms %u is above %d", args->timeout_ms, BERTH_BLOCK_JOB_PIVOT_MS_MAX);
    return domain_block_job_pivot_in_step(dom, args->disk, args->timeout_ms, rpc_conn_id(call->conn), is_gone, call->client, err);
}

int api_berth_connect_block_job_progress_register(Call *call, const berth_connect_block_job_progress_register_args *args,
                                                  berth_connect_block_job_progress_register_ret *ret, Err *err)
{
    EventWant w = {.class = EVENT_BLOCK_JOBS, .uuid = args->dom ? (const uint8_t *)args->dom->uuid : NULL};
    ret->callbackID = event_hub_add(call_server(call)->events, call->conn, &w, err);
    if (ret->callbackID < 0)
        return -1;
    progress_wanted(call_server(call)->progress);
    return 0;
}

int api_berth_connect_block_job_progress_deregister(Call *call, const berth_connect_block_job_progress_deregister_args *args, Err *err)
{
    return event_hub_remove(call_server(call)->events, call->conn, EVENT_BLOCK_JOBS, args->callbackID, err);
}
