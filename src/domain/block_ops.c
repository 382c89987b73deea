/* domain/block_ops.c - one disk of a machine: its size, its bytes, a mark to be told about
 *
 * Owns:    write marks ("thresholds"): kept beside the image in the live definition, for readers
 * Threads: workers; sleeps for QMP and for a child that reads
 * Locks:   the domain's, released for either
 * Errors:  VIR_ERR_INVALID_ARG for names, VIR_ERR_OPERATION_UNSUPPORTED for disks of the wrong kind, QEMU's own
 */
#include "config.h"

#include <inttypes.h>
#include <string.h>

#include "domain/block_ops.h"
#include "domain/private.h"
#include "model/chain_find.h"
#include "qemu/image_chain.h"
#include "qemu/props.h"
#include "api_enums.h"

#define PEEK_MS 15000u

/* ---- size -------------------------------------------------------------------------------------------------------------------- */

/* Flags of later libvirt that say what the size means: one that is overlooked costs the guest its data. */
static int check_resize_flags(unsigned flags, Err *err)
{
    if (flags & VIR_DOMAIN_BLOCK_RESIZE_CAPACITY)
        return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "flag VIR_DOMAIN_BLOCK_RESIZE_CAPACITY is not supported yet");
    if (flags & VIR_DOMAIN_BLOCK_RESIZE_EXTEND)
        return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "flag VIR_DOMAIN_BLOCK_RESIZE_EXTEND is not supported yet");
    return 0;
}

int domain_block_resize(Domain *d, const char *name, uint64_t size, unsigned flags, Err *err)
{
    if (check_resize_flags(flags, err) < 0)
        return -1;
    if (!(flags & VIR_DOMAIN_BLOCK_RESIZE_BYTES)) {
        if (size > UINT64_MAX / 1024)
            return err_set(err, VIR_ERR_OVERFLOW, "size must be less than %" PRIu64, UINT64_MAX / 1024);
        size *= 1024;
    }
    g_autoptr(DomainDef) live = domain_def_ref(d->live);
    const DiskDef *disk = *name ? domain_def_find_disk(live, name) : NULL;
    if (!disk)
        return err_set(err, VIR_ERR_INVALID_ARG, "disk '%s' was not found in the domain config", name);
    if (!disk->src->path || disk->readonly)
        return err_set(err, VIR_ERR_OPERATION_UNSUPPORTED, "can't resize empty or readonly disk '%s'", disk->dst);
    BlockJob *job = blockjob_of_disk(d, disk->info.alias);
    if (job)
        return err_set(err, VIR_ERR_OPERATION_UNSUPPORTED, "disk '%s' already in active block job (%s)", disk->dst, blockjob_id(job));
    if (disk->src->format == STORAGE_FORMAT_QCOW2 || disk->src->format == STORAGE_FORMAT_QED) {
        if (size > UINT64_MAX - 511)
            return err_set(err, VIR_ERR_OVERFLOW, "a disk of %" PRIu64 " bytes", size);
        size = (size + 511) & ~UINT64_C(511); /* these count in sectors */
    }
    if (size > INT64_MAX)
        return err_set(err, VIR_ERR_OVERFLOW, "size must be less than %" PRIu64, UINT64_MAX / 2048);
    g_autofree char *node = qemu_node_format(disk->src);
    return domain_qmp(d, "block_resize", json_pack("{s:s, s:I}", "node-name", node, "size", (json_int_t)size), NULL, err);
}

/* ---- bytes ------------------------------------------------------------------------------------------------------------------- */

int domain_block_peek(Domain *d, const char *name, uint64_t offset, uint8_t *buffer, size_t size, Err *err)
{
    g_autoptr(DomainDef) def = d->live ? domain_def_ref(d->live) : domain_parse_config(d, err);
    if (!def)
        return -1;
    const DiskDef *disk = chain_disk(def, name, err);
    if (!disk)
        return -1;
    if (!disk->src->path)
        return err_set(err, VIR_ERR_INVALID_ARG, "disk '%s' does not currently have a source assigned", disk->dst);
    const StorageSource *s = disk->src;
    if (qemu_image_fmt(s->format) != IMAGE_FMT_RAW)
        return err_set(err, VIR_ERR_OPERATION_UNSUPPORTED, "peeking is only supported for disk with 'raw' format not '%s'",
                       enum_word(storage_format_names, STORAGE_FORMAT_MAX, (int)s->format));
    if (s->fdgroup || (s->type != STORAGE_FILE && s->type != STORAGE_BLOCK))
        return err_set(err, VIR_ERR_OPERATION_UNSUPPORTED, "disk '%s' is no file or block device of this host by its path", disk->dst);
    uint64_t life = domain_leave(d);
    int r = image_read(s->path, offset, buffer, size, deadline_in_ms(PEEK_MS), err);
    g_auto(Err) ended = ERR_INIT;
    domain_enter(d, life, &ended); /* the bytes are true all the same */
    return r;
}

/* ---- write marks ------------------------------------------------------------------------------------------------------------- */

/* Changes the image with this index in the live definition. */
static void set_mark(Domain *d, uint64_t index, uint64_t threshold, bool indexed)
{
    DomainDef *def = domain_def_copy(d->live);
    for (unsigned i = 0; i < def->disks->len; i++) {
        DiskDef *disk = def->disks->pdata[i];
        StorageSource *s = chain_by_index(disk->src, index);
        if (!s)
            continue;
        s->threshold = threshold;
        s->threshold_indexed = threshold && indexed;
    }
    domain_set_live(d, def);
}

int domain_set_block_threshold(Domain *d, const char *name, uint64_t threshold, Err *err)
{
    g_autoptr(DomainDef) live = domain_def_ref(d->live);
    DiskDef *disk = NULL;
    StorageSource *src = NULL;
    if (chain_address(live, name, &disk, &src, err) < 0)
        return -1;
    if (!src->path || !src->index.set)
        return err_set(err, VIR_ERR_OPERATION_UNSUPPORTED, "threshold currently can't be set for block device '%s'", name);
    if (threshold > INT64_MAX)
        return err_set(err, VIR_ERR_INVALID_ARG, "a threshold of %" PRIu64 " bytes", threshold);
    g_autofree char *node = qemu_node_storage(src);
    json_t *args = json_pack("{s:s, s:I}", "node-name", node, "write-threshold", (json_int_t)threshold);
    /* known before QEMU can say that it was passed */
    set_mark(d, src->index.v, threshold, strcmp(name, disk->dst) != 0);
    if (domain_qmp(d, "block-set-write-threshold", args, NULL, err) == 0)
        return 0;
    if (d->live && !d->priv->dying)
        set_mark(d, src->index.v, src->threshold, src->threshold_indexed);
    return -1;
}

static void tell(Domain *d, char *dev, const StorageSource *src, uint64_t threshold, uint64_t excess)
{
    DomainEvent *e = domain_event_new(EVENT_DOMAIN, VIR_DOMAIN_EVENT_ID_BLOCK_THRESHOLD, d);
    e->block_threshold.dev = dev;
    e->block_threshold.path = src->type == STORAGE_NETWORK ? NULL : g_strdup(src->path);
    e->block_threshold.threshold = threshold;
    e->block_threshold.excess = excess;
    domain_publish_event(d, e);
}

void domain_block_threshold_passed(Domain *d, const char *node, uint64_t threshold, uint64_t excess)
{
    g_autoptr(DomainDef) live = domain_def_ref(d->live);
    StorageSource *src = NULL;
    const DiskDef *disk = chain_by_node(live, node, &src);
    if (!disk)
        return;
    set_mark(d, src->index.v, 0, false);
    /* a top image has two names; who asked by index hears that one only */
    if (src == disk->src && !src->threshold_indexed)
        tell(d, g_strdup(disk->dst), src, threshold, excess);
    tell(d, g_strdup_printf("%s[%" PRIu64 "]", disk->dst, src->index.v), src, threshold, excess);
}

static bool any_mark(const DomainDef *def)
{
    for (unsigned i = 0; i < def->disks->len; i++) {
        for (const StorageSource *s = ((const DiskDef *)def->disks->pdata[i])->src; s; s = s->backing) {
            if (s->threshold)
                return true;
        }
    }
    return false;
}

int domain_resync_thresholds(Domain *d, Err *err)
{
    json_t *nodes = NULL, *n;
    size_t i;
    if (!any_mark(d->live))
        return 0;
    if (domain_qmp(d, "query-named-block-nodes", json_pack("{s:b}", "flat", 1), &nodes, err) < 0)
        return -1;
    json_array_foreach(nodes, i, n)
    {
        const char *name = json_string_value(json_object_get(n, "node-name"));
        json_int_t mark = json_integer_value(json_object_get(n, "write_threshold"));
        StorageSource *src = NULL;
        if (!name || !g_str_has_suffix(name, "-storage") || !chain_by_node(d->live, name, &src))
            continue;
        /* one that is gone was passed; by how much nobody knows any more */
        if (src->threshold && mark == 0)
            domain_block_threshold_passed(d, name, src->threshold, 0);
    }
    json_decref(nodes);
    return 0;
}
