/* domain/blockjob_pull.c - block pull: what the images below hold is copied into the top
 *
 * Owns:    the kind "pull"
 * Threads: workers
 * Locks:   the domain's, released for QMP and files
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
#include "qmp/commands.h"
#include "api_enums.h"

/* The chain as the pull leaves it; false: it is that already. */
static bool pull_apart(DiskDef *disk, const BlockJobParams *p)
{
    StorageSource *top = chain_by_index(disk->src, p->top), *base = top && p->base ? chain_by_index(top, p->base) : NULL;
    if (!top || top->backing == base || (p->base && !base))
        return false;
    StorageSource *rest = base ? storage_source_copy(base) : NULL;
    storage_source_free(top->backing);
    top->backing = rest;
    top->backing_ends = !rest;
    return true;
}

static int pull_concluded(Domain *d, BlockJob *job, int status)
{
    const BlockJobParams *p = blockjob_data(job);
    DiskDef *disk;
    g_autoptr(DomainDef) def = status == VIR_DOMAIN_BLOCK_JOB_COMPLETED ? blockjob_edit(d, job, &disk) : NULL;
    g_autoptr(StorageSource) old = def ? storage_source_copy(disk->src) : NULL;
    if (!def || !pull_apart(disk, p))
        return 0;
    if (blockjob_leave_images(d, job, chain_by_index(old, p->top)->backing, p->base, disk->src, false) < 0)
        return -1;
    DomainDef *now = blockjob_edit(d, job, &disk);
    if (now) {
        pull_apart(disk, p);
        domain_set_live(d, now);
    }
    return 0;
}

/* Whether the chain in QEMU is as short as a pull that succeeded makes it. */
static int is_pulled(Domain *d, BlockJob *job)
{
    const BlockJobParams *p = blockjob_data(job);
    const DiskDef *disk = blockjob_live_disk(d, job);
    StorageSource *base = disk && p->base ? chain_by_index(disk->src, p->base) : NULL;
    if (!disk || (p->base && !base))
        return 0; /* the device was taken out meanwhile */
    bool filter = disk->copy_on_read == TRI_YES;
    json_int_t want = (json_int_t)chain_length(base) + filter;
    g_auto(Err) err = ERR_INIT;
    json_t *inserted = blockjob_query_inserted(d, job, &err);
    if (err_is_set(&err)) {
        log_warning("%s: how block job %s ended is not known: %s", d->name, blockjob_id(job), err.detail);
        return -1;
    }
    bool is = inserted && json_integer_value(json_object_get(inserted, "backing_file_depth")) == want;
    json_decref(inserted);
    return is;
}

/* What was pulled is on the disk before the images it came from are given up. */
static int flush_pulled(Domain *d, BlockJob *job, Err *err)
{
    const DiskDef *disk = blockjob_live_disk(d, job);
    return disk ? blockjob_flush(d, disk->src, err) : 0;
}

const BlockJobOps blockjob_pull_ops = {.type = VIR_DOMAIN_BLOCK_JOB_TYPE_PULL,
                                       .what = "pull",
                                       .name = "pull",
                                       .finalized_by_us = true,
                                       .goes_by_itself = true,
                                       .path = blockjob_source_path,
                                       .concluded = pull_concluded,
                                       .cleanup = blockjob_drop_removed,
                                       .pivoted = is_pulled,
                                       .before_finalize = flush_pulled,
                                       .free_data = blockjob_params_free};

static int pull(Domain *d, const char *name, const char *base_name, uint64_t speed, unsigned flags, Err *err)
{
    g_autoptr(DomainDef) live = blockjob_call_live(d, err);
    DiskDef *disk = live ? blockjob_call_disk(d, live, name, err) : NULL;
    if (!disk)
        return -1;
    bool keep_relative = flags & VIR_DOMAIN_BLOCK_REBASE_RELATIVE;
    if (keep_relative && !base_name)
        return err_set(err, VIR_ERR_INVALID_ARG, "flag VIR_DOMAIN_BLOCK_REBASE_RELATIVE is valid only with non-null base");
    StorageSource *base = base_name ? chain_image(disk, disk->src, base_name, NULL, err) : NULL;
    if (base_name && !base)
        return -1;
    g_autofree char *relative = keep_relative ? blockjob_relative_name(d, disk->src, base, err) : NULL;
    if (keep_relative && !relative)
        return -1;
    g_autofree char *node = qemu_node_format(disk->src); /* not a filter above it, which would keep the image from the job */
    json_t *args = json_object();
    props_str(args, "device", node);
    if (base) {
        g_autofree char *base_node = qemu_node_format(base), *name_of_base = qemu_backing_name(base);
        props_str(args, "base-node", base_node);
        props_str(args, "backing-file", relative ? relative : name_of_base); /* QEMU itself knows it by a number only */
    }
    BlockJobParams params = {.top = (unsigned)disk->src->index.v, .base = base ? (unsigned)base->index.v : 0, .flags = flags};
    bool unsure;
    return blockjob_begin(d, &blockjob_pull_ops, disk, &params, NULL, "block-stream", args, speed, &unsure, err);
}

int domain_block_pull(Domain *d, const char *disk, const char *base, uint64_t bandwidth, unsigned flags, Err *err)
{
    uint64_t speed;
    if (blockjob_bandwidth(bandwidth, flags & VIR_DOMAIN_BLOCK_PULL_BANDWIDTH_BYTES, &speed, err) < 0)
        return -1;
    return pull(d, disk, base, speed, 0, err);
}

/* ---- rebase: a pull, or a copy in an older form ------------------------------------------------------------------ */

#define COPY_ONLY                                                                                                              \
    (VIR_DOMAIN_BLOCK_REBASE_SHALLOW | VIR_DOMAIN_BLOCK_REBASE_REUSE_EXT | VIR_DOMAIN_BLOCK_REBASE_COPY_RAW |                  \
     VIR_DOMAIN_BLOCK_REBASE_COPY_DEV)

static int rebase_copy(Domain *d, const char *disk, const char *target, uint64_t speed, unsigned flags, Err *err)
{
    if (!target)
        return err_set(err, VIR_ERR_INVALID_ARG, "a copy needs the name of its target");
    if (*target != '/')
        return err_set(err, VIR_ERR_INVALID_ARG, "target '%s' is no absolute path", target);
    if (flags & VIR_DOMAIN_BLOCK_REBASE_RELATIVE)
        return err_set(err, VIR_ERR_ARGUMENT_UNSUPPORTED, "flag VIR_DOMAIN_BLOCK_REBASE_RELATIVE with a copy");
    StorageSource *s = storage_source_new();
    s->type = flags & VIR_DOMAIN_BLOCK_REBASE_COPY_DEV ? STORAGE_BLOCK : STORAGE_FILE;
    s->path = g_strdup(target);
    if (flags & VIR_DOMAIN_BLOCK_REBASE_COPY_RAW)
        s->format = STORAGE_FORMAT_RAW;
    unsigned f = 0;
    if (flags & VIR_DOMAIN_BLOCK_REBASE_SHALLOW)
        f |= VIR_DOMAIN_BLOCK_COPY_SHALLOW;
    if (flags & VIR_DOMAIN_BLOCK_REBASE_REUSE_EXT)
        f |= VIR_DOMAIN_BLOCK_COPY_REUSE_EXT;
    return domain_block_copy(d, disk, s, &(BlockCopyTune){.bandwidth = speed}, f, err);
}

int domain_block_rebase(Domain *d, const char *disk, const char *base, uint64_t bandwidth, unsigned flags, Err *err)
{
    uint64_t speed;
    if (blockjob_bandwidth(bandwidth, flags & VIR_DOMAIN_BLOCK_REBASE_BANDWIDTH_BYTES, &speed, err) < 0)
        return -1;
    if (flags & VIR_DOMAIN_BLOCK_REBASE_COPY)
        return rebase_copy(d, disk, base, speed, flags, err);
    if (flags & COPY_ONLY)
        return err_set(err, VIR_ERR_INVALID_ARG, "use of flags requires a copy job");
    return pull(d, disk, base, speed, flags & VIR_DOMAIN_BLOCK_REBASE_RELATIVE, err);
}
