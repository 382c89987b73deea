/* domain/blockjob_copy.c - block copy: a disk's contents are written to another image, which it may change to when both are in step
 *
 * Owns:    the kind "copy"
 * Threads: workers
 * Locks:   the domain's, released for QMP, storage and files
 * Errors:  VIR_ERR_INVALID_ARG, VIR_ERR_OPERATION_INVALID; what is not done: VIR_ERR_CONFIG_UNSUPPORTED
 *
 * What the target stands on while it is copied to:
 *
 *   full copy                 nothing
 *   shallow copy              the image below the disk's own, the very nodes
 *   shallow, target reused    nothing: its own backing images may be written by others until the pivot, when they are opened and put below
 *   shallow, the call says    what it says (<backingStore> beside the target), opened with the target
 */
#include "config.h"

#include <inttypes.h>

#define LOG_AREA "domain.blockjob"
#include "util/log.h"
#include "domain/blockjob_disk.h"
#include "domain/blockjobs.h"
#include "domain/private.h"
#include "qemu/image_chain.h"
#include "qemu/props.h"
#include "qmp/commands.h"
#include "api_enums.h"

#define PROBE_MS        15000u
#define GRANULARITY_MIN 512u
#define GRANULARITY_MAX (64u * 1024 * 1024)

static bool is_shallow(unsigned flags)
{
    return flags & VIR_DOMAIN_BLOCK_COPY_SHALLOW;
}

static bool is_reused(unsigned flags)
{
    return flags & VIR_DOMAIN_BLOCK_COPY_REUSE_EXT;
}

/* ---- concluded --------------------------------------------------------------------------------------------------- */

static bool shares_backing(unsigned flags, const StorageSource *mirror)
{
    return is_shallow(flags) && !is_reused(flags) && !mirror->backing;
}

static StorageSource *take_mirror(DiskDef *disk)
{
    disk->mirror_job = MIRROR_JOB_ABSENT;
    disk->mirror_state = MIRROR_STATE_ABSENT;
    return g_steal_pointer(&disk->mirror);
}

/* The disk is on its mirror now. */
static void change_over(DiskDef *disk, const BlockJobParams *p)
{
    StorageSource *old = disk->src, *mirror = take_mirror(disk);
    mirror->relabel = old->relabel;
    if (shares_backing(p->flags, mirror)) {
        mirror->backing = g_steal_pointer(&old->backing);
        mirror->backing_ends = old->backing_ends;
    }
    storage_source_free(old);
    disk->src = mirror;
}

static int copy_concluded(Domain *d, BlockJob *job, int status)
{
    BlockJobParams *p = blockjob_data(job);
    bool pivoted = status == VIR_DOMAIN_BLOCK_JOB_COMPLETED;
    DiskDef *disk;
    g_autoptr(DomainDef) def = blockjob_edit(d, job, &disk);
    if (!def || !disk->mirror)
        return 0;
    g_autoptr(StorageSource) old = storage_source_copy(pivoted ? disk->src : disk->mirror);
    if (pivoted) {
        unsigned stop = shares_backing(p->flags, disk->mirror) && old->backing ? (unsigned)old->backing->index.v : 0;
        change_over(disk, p);
        if (blockjob_leave_images(d, job, old, stop, disk->src, false) < 0)
            return -1;
    } else {
        storage_source_free(p->removed);
        p->removed = g_steal_pointer(&old);
        p->stop = 0;
    }
    DomainDef *now = blockjob_edit(d, job, &disk);
    if (!now)
        return 0;
    if (pivoted)
        change_over(disk, p);
    else
        storage_source_free(take_mirror(disk));
    domain_set_live(d, now);
    return 0;
}

/* ---- pivot ------------------------------------------------------------------------------------------------------- */

/* Puts the backing images of a reused target below it, as its header names them now. */
static int attach_below(Domain *d, const DiskDef *disk, StorageSource *mirror, Err *err)
{
    StorageSource *again = storage_source_new();
    again->type = mirror->type;
    again->path = g_strdup(mirror->path);
    again->format = mirror->format;
    /* its header is read; QEMU has the image itself already */
    g_autoptr(Chain) found = chain_open(d, again, 0, err);
    if (!found || !found->src->backing)
        return found ? 0 : -1;
    StorageSource *below = g_steal_pointer(&found->src->backing);
    g_autoptr(Chain) c = chain_open(d, below, 0, err);
    if (!c || chain_attach(d, disk, c, NULL, err) < 0)
        return -1;
    g_autofree char *node = qemu_node_format(c->src), *overlay = qemu_node_format(mirror);
    if (domain_qmp(d, "blockdev-snapshot", json_pack("{s:s, s:s}", "node", node, "overlay", overlay), NULL, err) < 0) {
        chain_detach(d, c->src, NULL);
        return -1;
    }
    mirror->backing = chain_take(c);
    mirror->backing_ends = false;
    return 0;
}

static int copy_before_pivot(Domain *d, BlockJob *job, Err *err)
{
    const BlockJobParams *p = blockjob_data(job);
    if (!is_shallow(p->flags) || !is_reused(p->flags))
        return 0;
    DiskDef *disk;
    g_autoptr(DomainDef) def = blockjob_edit(d, job, &disk);
    if (!def || !disk->mirror || disk->mirror->backing)
        return 0; /* done before a pivot that failed */
    if (attach_below(d, disk, disk->mirror, err) < 0)
        return -1;
    DiskDef *as_now;
    g_autoptr(DomainDef) now = blockjob_edit(d, job, &as_now); /* events may have changed the definition meanwhile */
    if (now && as_now->mirror) {
        as_now->mirror->backing = g_steal_pointer(&disk->mirror->backing);
        as_now->mirror->backing_ends = false;
        domain_set_live(d, g_steal_pointer(&now));
    }
    return 0;
}

const BlockJobOps blockjob_copy_ops = {.type = VIR_DOMAIN_BLOCK_JOB_TYPE_COPY,
                                       .what = "copy",
                                       .name = "copy",
                                       .can_pivot = true,
                                       .path = blockjob_source_path,
                                       .ready = blockjob_ready_mirror,
                                       .concluded = copy_concluded,
                                       .cleanup = blockjob_drop_removed,
                                       .pivoted = blockjob_on_mirror,
                                       .before_pivot = copy_before_pivot,
                                       .free_data = blockjob_params_free};

/* ---- the call ---------------------------------------------------------------------------------------------------- */

typedef struct Copy {
    Domain *d;
    const DiskDef *disk; /* of a definition the caller holds */
    StorageSource *target;
    const BlockCopyTune *tune;
    unsigned flags;
    bool made; /* the file is ours to remove */
} Copy;

static int check_tune(const BlockCopyTune *t, Err *err)
{
    uint64_t g = t->granularity;
    if (g & (g - 1))
        return err_set(err, VIR_ERR_INVALID_ARG, "granularity must be power of 2");
    if (g && (g < GRANULARITY_MIN || g > GRANULARITY_MAX))
        return err_set(err, VIR_ERR_INVALID_ARG, "granularity must be between %u and %u", GRANULARITY_MIN, GRANULARITY_MAX);
    if (t->buf_size > INT64_MAX)
        return err_set(err, VIR_ERR_OVERFLOW, "buf-size must be less than %" PRIi64, INT64_MAX);
    return 0;
}

static int check_call(Copy *c, Err *err)
{
    const StorageSource *t = c->target;
    if (c->d->persistent && !(c->flags & VIR_DOMAIN_BLOCK_COPY_TRANSIENT_JOB)) {
        err_set(err, VIR_ERR_OPERATION_INVALID, "domain is not transient");
        return err_hint(err, "a copy ends with this run of the guest: VIR_DOMAIN_BLOCK_COPY_TRANSIENT_JOB (--transient-job) says that you "
                             "know");
    }
    if (c->flags & VIR_DOMAIN_BLOCK_COPY_TARGET_ZEROED) {
        err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "flag VIR_DOMAIN_BLOCK_COPY_TARGET_ZEROED");
        return err_hint(err, "without it zeroes are written to the target");
    }
    bool known = t->type == STORAGE_FILE || t->type == STORAGE_BLOCK || t->type == STORAGE_NETWORK;
    if (!known || !t->path)
        return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "copying disk '%s' to a target of type '%s', allowed: file, block, network",
                       c->disk->dst, enum_word(storage_type_names, STORAGE_MAX, (int)t->type));
    if (t->type == STORAGE_NETWORK && is_reused(c->flags) && t->format == STORAGE_FORMAT_ABSENT)
        return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "the format of a network target that is reused must be given: <driver type=> of its <disk>");
    if (t->backing && !is_shallow(c->flags))
        return err_set(err, VIR_ERR_INVALID_ARG, "<backingStore> of the target needs VIR_DOMAIN_BLOCK_COPY_SHALLOW");
    if (is_shallow(c->flags) && t->backing_ends && c->disk->src->backing)
        return err_set(err, VIR_ERR_INVALID_ARG, "a shallow copy to a target with nothing below it, as its <backingStore/> says, is half a disk");
    if (is_shallow(c->flags) && t->format == STORAGE_FORMAT_RAW && c->disk->src->format != STORAGE_FORMAT_RAW)
        return err_set(err, VIR_ERR_INVALID_ARG, "raw shallow copy of non-raw disk '%s' not possible", c->disk->dst);
    if (!c->disk->src->backing)
        c->flags &= ~(unsigned)VIR_DOMAIN_BLOCK_COPY_SHALLOW; /* the same thing */
    if (t->type == STORAGE_NETWORK && is_reused(c->flags) && is_shallow(c->flags) && !t->backing) {
        err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "a shallow copy to a network image that is reused: what is below '%s' is not known",
                t->path);
        return err_hint(err, "<backingStore> beside its <source> says it");
    }
    return check_tune(c->tune, err);
}

/* The file is there because the caller made it: what it made it tells its header. */
static int probe_format(Copy *c, Err *err)
{
    ImageWant w = {.path = c->target->path, .fmt = IMAGE_FMT_NONE, .flags = IMAGE_WANT_PROBE};
    uint64_t life = domain_leave(c->d);
    g_autoptr(ImageSet) set = image_open(&w, 1, deadline_in_ms(PROBE_MS), err);
    g_auto(Err) ended = ERR_INIT;
    if (domain_enter(c->d, life, &ended) < 0 && set) {
        err_move(err, &ended);
        return -1;
    }
    if (!set) {
        if (err->os_errno == ENOENT)
            err_wrap(err, "missing destination file for disk %s: %s", c->disk->dst, c->target->path);
        return -1;
    }
    c->target->format = qemu_storage_format(image_set_node(set, 0, 0)->header.fmt);
    return 0;
}

/* What a guest sees of an image, in bytes, from QEMU. */
static int image_size(Domain *d, const StorageSource *src, uint64_t *ret, Err *err)
{
    g_autofree char *name = qemu_node_format(src);
    json_t *nodes = NULL, *n;
    size_t i;
    *ret = 0;
    if (domain_qmp(d, "query-named-block-nodes", json_pack("{s:b}", "flat", 1), &nodes, err) < 0)
        return -1;
    json_array_foreach(nodes, i, n)
    {
        if (!g_strcmp0(json_string_value(json_object_get(n, "node-name")), name))
            *ret = (uint64_t)json_integer_value(json_object_get(json_object_get(n, "image"), "virtual-size"));
    }
    json_decref(nodes);
    return *ret ? 0 : err_set(err, VIR_ERR_INTERNAL_ERROR, "QEMU does not tell the size of image '%s'", src->path);
}

/* One that was not made for it may be too small, which the job would find out late. */
static int check_room(const Copy *c, const StorageSource *target, Err *err)
{
    uint64_t have = 0, want = 0;
    if (c->made)
        return 0;
    if (image_size(c->d, target, &have, err) < 0 || image_size(c->d, c->disk->src, &want, err) < 0)
        return -1;
    if (have == want)
        return 0;
    g_autofree char *name = qemu_backing_name(target);
    err_set(err, VIR_ERR_INVALID_ARG, "target '%s' is too %s: it has %" PRIu64 " bytes, disk '%s' has %" PRIu64, name,
            have < want ? "small" : "large", have, c->disk->dst, want);
    if (have > want && target->format == STORAGE_FORMAT_RAW)
        err_hint(err, "<slices><slice type='storage' offset='0' size='%" PRIu64 "'/></slices> in the <source> of the target (--xml) takes a part of "
                      "it", want);
    return -1;
}

static int make_target(Copy *c, Err *err)
{
    if (is_reused(c->flags)) {
        bool given = c->target->format != STORAGE_FORMAT_ABSENT;
        return given ? 0 : probe_format(c, err);
    }
    if (c->target->format == STORAGE_FORMAT_ABSENT)
        c->target->format = c->disk->src->format;
    if (c->target->type != STORAGE_FILE && c->target->format == STORAGE_FORMAT_RAW)
        return 0; /* nothing to be written into it first */
    ChainCreate how = {.what = "external destination", .dst = c->disk->dst};
    if (is_shallow(c->flags))
        how.backing = c->target->backing ? c->target->backing : c->disk->src->backing;
    if (image_size(c->d, c->disk->src, &how.size, err) < 0)
        return -1;
    return chain_create(c->d, c->target, &how, &c->made, err);
}

static json_t *mirror_args(const Copy *c)
{
    g_autofree char *device = qemu_node_top(c->disk), *target = qemu_node_format(c->target);
    json_t *args = json_object();
    props_str(args, "device", device);
    props_str(args, "target", target);
    if (c->disk->copy_on_read == TRI_YES) { /* the guest's device stays on its filter, which stands on the target then */
        g_autofree char *image = qemu_node_format(c->disk->src);
        props_str(args, "replaces", image);
    }
    props_str(args, "sync", is_shallow(c->flags) ? "top" : "full");
    if (c->tune->granularity)
        props_u64(args, "granularity", c->tune->granularity);
    if (c->tune->buf_size)
        props_u64(args, "buf-size", c->tune->buf_size);
    if (c->flags & VIR_DOMAIN_BLOCK_COPY_SYNCHRONOUS_WRITES)
        props_str(args, "copy-mode", "write-blocking");
    return args;
}

/* The target is there; QEMU gets it and begins. */
static int begin_copy(Copy *c, Err *err)
{
    Domain *d = c->d;
    const StorageSource *below = shares_backing(c->flags, c->target) ? c->disk->src->backing : NULL;
    ChainFlags alone = c->target->backing ? 0 : CHAIN_ALONE;
    g_autoptr(Chain) chain = chain_open(d, storage_source_copy(c->target), CHAIN_WRITABLE | alone, err);
    if (!chain || chain_attach(d, c->disk, chain, below, err) < 0)
        return -1;
    if (check_room(c, chain->src, err) < 0) {
        chain_detach(d, chain->src, NULL);
        return -1;
    }
    chain->src->backing_ends = !is_shallow(c->flags) && !chain->src->backing;
    storage_source_free(c->target);
    c->target = storage_source_copy(chain->src);
    BlockJobParams params = {.top = (unsigned)c->disk->src->index.v, .flags = c->flags};
    bool unsure;
    if (blockjob_begin(d, &blockjob_copy_ops, c->disk, &params, c->target, "blockdev-mirror", mirror_args(c), c->tune->bandwidth, &unsure,
                       err) == 0)
        return 0;
    if (unsure)
        c->made = false; /* the job may go on */
    else
        chain_detach(d, chain->src, NULL);
    return -1;
}

int domain_block_copy(Domain *d, const char *name, StorageSource *target, const BlockCopyTune *tune, unsigned flags, Err *err)
{
    g_autoptr(DomainDef) live = blockjob_call_live(d, err);
    Copy c = {.d = d, .target = target, .tune = tune, .flags = flags};
    c.disk = live ? blockjob_call_disk(d, live, name, err) : NULL;
    int r = c.disk && check_call(&c, err) == 0 && make_target(&c, err) == 0 ? begin_copy(&c, err) : -1;
    if (r < 0 && c.made)
        chain_unmake(d, c.target);
    storage_source_free(c.target);
    return r;
}
