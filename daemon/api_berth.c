/* daemon/api_berth.c - Berth's own program
 *
 * Owns:    nothing; domain/blockjob_list.h knows the jobs.  The lock is the gate's, by the procedure's row.
 */
#include "config.h"

#include <assert.h>

#include "daemon/api.h"
#include "daemon/wire.h"
#include "domain/blockjob_list.h"

static_assert((int)BERTH_BLOCK_JOB_READY == (int)BLOCKJOB_READY && (int)BERTH_BLOCK_JOB_ENDED == (int)BLOCKJOB_OVER, "states differ");

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
    for (unsigned i = 0; i < n; i++) {
        if (i < ended->len) {
            const JobVerdict *j = ended->pdata[i];
            v[i] = (berth_block_job){.id = arena_strdup(a, j->id), .kind = arena_strdup(a, j->kind), .disk = arena_strdup(a, j->disk),
                                     .type = j->type, .state = BERTH_BLOCK_JOB_ENDED, .status = j->status, .begun = j->begun_us,
                                     .ended = j->ended_us, .cur = j->bytes, .end = j->bytes};
            if (j->error) {
                v[i].error = arena_new(a, remote_nonnull_string);
                *v[i].error = arena_strdup(a, j->error);
            }
        } else {
            const BlockJobEntry *j = running->pdata[i - ended->len];
            v[i] = (berth_block_job){.id = arena_strdup(a, j->id), .kind = arena_strdup(a, j->kind), .disk = arena_strdup(a, j->disk),
                                     .type = j->type, .state = (int)j->state, .status = BLOCKJOB_NO_STATUS, .begun = j->begun_us,
                                     .cur = j->cur, .end = j->end, .speed = j->speed};
        }
    }
    ret->jobs.jobs_val = v;
    ret->jobs.jobs_len = n;
    return 0;
}
