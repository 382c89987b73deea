/* daemon/api_domain_blockjob.c - jobs on disks
 *
 * Owns:    nothing; each handler hands over to domain/blockjobs.h.  Lock and job are the gate's, by the procedure's row.
 */
#include "config.h"

#include <string.h>

#include "daemon/api.h"
#include "daemon/call.h"
#include "daemon/wire.h"
#include "api_enums.h"
#include "api_strings.h"
#include "domain/blockjobs.h"

int api_domain_block_pull(Call *call, Domain *dom, const remote_domain_block_pull_args *args, Err *err)
{
    return domain_block_pull(dom, args->path, NULL, args->bandwidth, args->flags, err);
}

int api_domain_block_rebase(Call *call, Domain *dom, const remote_domain_block_rebase_args *args, Err *err)
{
    return domain_block_rebase(dom, args->path, args->base ? *args->base : NULL, args->bandwidth, args->flags, err);
}

int api_domain_block_commit(Call *call, Domain *dom, const remote_domain_block_commit_args *args, Err *err)
{
    return domain_block_commit(dom, args->disk, args->base ? *args->base : NULL, args->top ? *args->top : NULL, args->bandwidth,
                               args->flags, err);
}

/* ---- copy ------------------------------------------------------------------------------------------------------------------ */

/* One parameter; type is what libvirt documents for it. */
static int take(const remote_typed_param *p, int type, uint64_t *slot, Err *err)
{
    if (p->value.type != type)
        return err_set(err, VIR_ERR_INVALID_ARG, "parameter '%s' has the wrong type", p->field);
    *slot = type == VIR_TYPED_PARAM_UINT ? p->value.remote_typed_param_value_u.ui : p->value.remote_typed_param_value_u.ul;
    return 0;
}

static int copy_tune(const remote_domain_block_copy_args *args, BlockCopyTune *t, Err *err)
{
    for (u_int i = 0; i < args->params.params_len; i++) {
        const remote_typed_param *p = &args->params.params_val[i];
        int r;
        if (strcmp(p->field, VIR_DOMAIN_BLOCK_COPY_BANDWIDTH) == 0)
            r = take(p, VIR_TYPED_PARAM_ULLONG, &t->bandwidth, err);
        else if (strcmp(p->field, VIR_DOMAIN_BLOCK_COPY_GRANULARITY) == 0)
            r = take(p, VIR_TYPED_PARAM_UINT, &t->granularity, err);
        else if (strcmp(p->field, VIR_DOMAIN_BLOCK_COPY_BUF_SIZE) == 0)
            r = take(p, VIR_TYPED_PARAM_ULLONG, &t->buf_size, err);
        else
            r = err_set(err, VIR_ERR_ARGUMENT_UNSUPPORTED, "parameter '%s' not supported", p->field);
        if (r < 0)
            return -1;
    }
    if (t->bandwidth > INT64_MAX)
        return err_set(err, VIR_ERR_OVERFLOW, "bandwidth must be less than %lld", (long long)INT64_MAX);
    return 0;
}

int api_domain_block_copy(Call *call, Domain *dom, const remote_domain_block_copy_args *args, Err *err)
{
    BlockCopyTune tune = {0};
    if (copy_tune(args, &tune, err) < 0)
        return -1;
    StorageSource *target = mirror_target_parse(args->destxml, err);
    return target ? domain_block_copy(dom, args->path, target, &tune, args->flags, err) : -1;
}

/* ---- under way ------------------------------------------------------------------------------------------------------------- */

int api_domain_block_job_abort(Call *call, Domain *dom, const remote_domain_block_job_abort_args *args, Err *err)
{
    return domain_block_job_abort(dom, args->path, args->flags, err);
}

int api_domain_block_job_set_speed(Call *call, Domain *dom, const remote_domain_block_job_set_speed_args *args, Err *err)
{
    return domain_block_job_set_speed(dom, args->path, args->bandwidth, args->flags, err);
}

int api_domain_get_block_job_info(Call *call, Domain *dom, const remote_domain_get_block_job_info_args *args,
                                  remote_domain_get_block_job_info_ret *ret, Err *err)
{
    static const uint64_t mib = 1024 * 1024;
    BlockJobInfo info = {0};
    int found = domain_block_job_info(dom, args->path, &info, err);
    if (found <= 0)
        return found;
    ret->found = 1;
    ret->type = info.type;
    ret->bandwidth = args->flags & VIR_DOMAIN_BLOCK_JOB_INFO_BANDWIDTH_BYTES ? info.speed : (info.speed + mib - 1) / mib;
    ret->cur = info.cur;
    ret->end = info.end;
    return 0;
}
