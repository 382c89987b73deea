/* domain/blockjob_commit.c - block commit: what images hold is written into one below them
 *
 * Owns:    the kinds "commit" (the guest's own image stays) and "active-commit" (it goes: in step first, then pivot)
 * Threads: workers
 * Locks:   the domain's, released for QMP, storage and files
 * Errors:  VIR_ERR_INVALID_ARG; what is not done: VIR_ERR_CONFIG_UNSUPPORTED
 */
#include "config.h"

#define LOG_AREA "domain.blockjob"
#include "util/log.h"
#include "domain/blockjob_disk.h"
#include "domain/blockjobs.h"
#include "domain/private.h"
#include "qemu/image_chain.h"
#include "qemu/props.h"
#include "api_enums.h"

/* ---- concluded --------------------------------------------------------------------------------------------------- */

static bool deletes(const BlockJobParams *p)
{
    return p->flags & VIR_DOMAIN_BLOCK_COMMIT_DELETE;
}

/* The chain as the commit leaves it; false: it is that already. */
static bool take_out(DiskDef *disk, const BlockJobParams *p)
{
    StorageSource *top = chain_by_index(disk->src, p->top), *base = top ? chain_by_index(top, p->base) : NULL;
    StorageSource *above = base ? chain_above(disk->src, top) : NULL;
    if (!above)
        return false;
    above->backing = storage_source_copy(base);
    storage_source_free(top);
    return true;
}

static int commit_concluded(Domain *d, BlockJob *job, int status)
{
    const BlockJobParams *p = blockjob_data(job);
    DiskDef *disk;
    g_autoptr(DomainDef) def = status == VIR_DOMAIN_BLOCK_JOB_COMPLETED ? blockjob_edit(d, job, &disk) : NULL;
    g_autoptr(StorageSource) old = def ? storage_source_copy(disk->src) : NULL;
    if (!def || !take_out(disk, p))
        return 0;
    if (blockjob_leave_images(d, job, chain_by_index(old, p->top), p->base, disk->src, deletes(p)) < 0)
        return -1;
    DomainDef *now = blockjob_edit(d, job, &disk);
    if (now) {
        take_out(disk, p);
        domain_set_live(d, now);
    }
    return 0;
}

static void no_mirror(DiskDef *disk)
{
    storage_source_free(disk->mirror);
    disk->mirror = NULL;
    disk->mirror_job = MIRROR_JOB_ABSENT;
    disk->mirror_state = MIRROR_STATE_ABSENT;
}

static bool change_over(DiskDef *disk, const BlockJobParams *p)
{
    StorageSource *top = disk->src, *base = chain_by_index(top, p->base);
    if (!base || base == top)
        return false;
    disk->src = storage_source_copy(base);
    disk->src->detected = false;
    storage_source_free(top);
    return true;
}

static int active_concluded(Domain *d, BlockJob *job, int status)
{
    const BlockJobParams *p = blockjob_data(job);
    bool pivoted = status == VIR_DOMAIN_BLOCK_JOB_COMPLETED;
    DiskDef *disk;
    g_autoptr(DomainDef) def = blockjob_edit(d, job, &disk);
    if (!def || !disk->mirror)
        return 0;
    g_autoptr(StorageSource) old = storage_source_copy(disk->src);
    if (pivoted && change_over(disk, p) && blockjob_leave_images(d, job, old, p->base, disk->src, deletes(p)) < 0)
        return -1;
    DomainDef *now = blockjob_edit(d, job, &disk);
    if (now) {
        no_mirror(disk);
        if (pivoted)
            change_over(disk, p);
        domain_set_live(d, now);
    }
    return 0;
}

/* What was committed is on the disk before the image above calls the base its own. */
static int flush_base(Domain *d, BlockJob *job, Err *err)
{
    const BlockJobParams *p = blockjob_data(job);
    const DiskDef *disk = blockjob_live_disk(d, job);
    const StorageSource *base = disk ? chain_by_index(disk->src, p->base) : NULL;
    return base ? blockjob_flush(d, base, err) : 0;
}

const BlockJobOps blockjob_commit_ops = {.type = VIR_DOMAIN_BLOCK_JOB_TYPE_COMMIT,
                                         .what = "commit",
                                         .name = "commit",
                                         .finalized_by_us = true,
                                         .path = blockjob_source_path,
                                         .concluded = commit_concluded,
                                         .cleanup = blockjob_drop_removed,
                                         .before_finalize = flush_base,
                                         .free_data = blockjob_params_free};

const BlockJobOps blockjob_active_commit_ops = {.type = VIR_DOMAIN_BLOCK_JOB_TYPE_ACTIVE_COMMIT,
                                                .what = "active commit",
                                                .name = "active-commit",
                                                .can_pivot = true,
                                                .path = blockjob_source_path,
                                                .ready = blockjob_ready_mirror,
                                                .concluded = active_concluded,
                                                .cleanup = blockjob_drop_removed,
                                                .pivoted = blockjob_on_mirror,
                                                .free_data = blockjob_params_free};

/* ---- begun ------------------------------------------------------------------------------------------------------- */

typedef struct CommitPlan {
    DiskDef *disk;
    StorageSource *top, *above, *base; /* above: NULL when the top is the guest's own image */
    char *base_name;                   /* what the image above will call it; NULL: by its path */
} CommitPlan;

static int find_base(CommitPlan *c, const char *name, bool shallow, Err *err)
{
    const StorageSource *top = c->top;
    if (shallow && !top->backing)
        return err_set(err, VIR_ERR_INVALID_ARG, "top '%s' in chain for '%s' has no backing file", top->path, c->disk->src->path);
    if (name) {
        c->base = chain_image(c->disk, top, name, NULL, err);
        if (!c->base)
            return -1;
        if (shallow && c->base != top->backing)
            return err_set(err, VIR_ERR_INVALID_ARG, "base '%s' is not immediately below '%s' in chain for '%s'", name, top->path,
                           c->disk->src->path);
        return 0;
    }
    c->base = shallow ? top->backing : chain_base(c->disk->src);
    if (c->base == top)
        return err_set_full(err, VIR_FROM_STORAGE, VIR_ERR_INVALID_ARG, 0, "could not find base image in chain for '%s'", c->disk->dst);
    return 0;
}

static int plan(CommitPlan *c, const char *base, const char *top, unsigned flags, Err *err)
{
    c->top = top ? chain_image(c->disk, NULL, top, &c->above, err) : c->disk->src;
    if (!c->top || find_base(c, base, flags & VIR_DOMAIN_BLOCK_COMMIT_SHALLOW, err) < 0)
        return -1;
    bool active = flags & VIR_DOMAIN_BLOCK_COMMIT_ACTIVE;
    if (c->top == c->disk->src && !active)
        return err_set(err, VIR_ERR_INVALID_ARG, "commit of '%s' active layer requires active flag", c->disk->dst);
    if (c->top != c->disk->src && active)
        return err_set(err, VIR_ERR_INVALID_ARG, "active commit requested but '%s' is not active", c->top->path);
    return 0;
}

static json_t *commit_args(const CommitPlan *c)
{
    g_autofree char *device = qemu_node_top(c->disk), *top = qemu_node_format(c->top), *base = qemu_node_format(c->base);
    json_t *args = json_object();
    props_str(args, "device", device);
    props_str(args, "top-node", top);
    props_str(args, "base-node", base);
    if (c->above) { /* QEMU itself knows the base by a number only */
        g_autofree char *name = qemu_backing_name(c->base);
        props_str(args, "backing-file", c->base_name ? c->base_name : name);
    }
    return args;
}

static int begin_commit(Domain *d, const CommitPlan *c, uint64_t speed, unsigned flags, Err *err)
{
    bool active = c->above == NULL, unsure;
    BlockJobParams params = {.top = (unsigned)c->top->index.v, .base = (unsigned)c->base->index.v, .flags = flags};
    g_autoptr(StorageSource) mirror = NULL;
    if (active) { /* as clients are shown where it goes: the image alone */
        mirror = storage_source_copy(c->base);
        storage_source_free(g_steal_pointer(&mirror->backing));
        mirror->backing_ends = false;
    }
    return blockjob_begin(d, active ? &blockjob_active_commit_ops : &blockjob_commit_ops, c->disk, &params, mirror, "block-commit",
                          commit_args(c), speed, &unsure, err);
}

int domain_block_commit(Domain *d, const char *disk, const char *base, const char *top, uint64_t bandwidth, unsigned flags, Err *err)
{
    g_autoptr(DomainDef) live = blockjob_call_live(d, err);
    CommitPlan c = {.disk = live ? blockjob_call_disk(d, live, disk, err) : NULL};
    uint64_t speed;
    if (!c.disk || blockjob_bandwidth(bandwidth, flags & VIR_DOMAIN_BLOCK_COMMIT_BANDWIDTH_BYTES, &speed, err) < 0 ||
        plan(&c, base, top, flags, err) < 0)
        return -1;
    g_autofree char *relative = NULL;
    if (c.above && flags & VIR_DOMAIN_BLOCK_COMMIT_RELATIVE) {
        c.base_name = relative = blockjob_relative_name(d, c.above, c.base, err);
        if (!relative)
            return -1;
    }
    /* The base is written to; so is the header of the image above what goes. */
    if (chain_make_writable(d, c.disk, c.base, err) < 0)
        return -1;
    if (c.above && c.above != c.disk->src && chain_make_writable(d, c.disk, c.above, err) < 0)
        return -1;
    return begin_commit(d, &c, speed, flags, err);
}
