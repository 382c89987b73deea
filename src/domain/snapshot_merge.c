/* domain/snapshot_merge.c - the data of a snapshot deleted: what the guest wrote since it goes into the images it was taken of
 *
 * Owns:    which of a snapshot's disks are to be merged, and that this is the same as forgetting the snapshot
 * Threads: workers; sleeps until the block jobs end
 * Locks:   the domain's, released meanwhile; the job of the call keeps other changes out
 * Errors:  VIR_ERR_CONFIG_UNSUPPORTED naming what cannot be merged here; those of block commit
 *
 * Each disk is a block commit of its own, with pivot and deletion of the overlay; they are no transaction.  Who is interrupted finds disks that
 * are merged and disks that are not, and a snapshot that is still listed: deleting it again goes on with the rest.  Of a machine that is off
 * qemu-img does the commit: the definition leads to the image below when it is done, and the overlay goes when the definition is written.
 */
#include "config.h"

#include <fcntl.h>
#include <string.h>

#define LOG_AREA "domain.snapshot"
#include "util/log.h"
#include "domain/blockjob_disk.h"
#include "domain/blockjobs.h"
#include "domain/snapshot_private.h"
#include "model/chain_find.h"
#include "qemu/image_chain.h"
#include "util/spawn.h"
#include "api_enums.h"

/* qemu-img copies as much as was ever written to the overlay. */
#define MERGE_MS (60u * 60 * 1000)

#define COMMIT_FLAGS (VIR_DOMAIN_BLOCK_COMMIT_ACTIVE | VIR_DOMAIN_BLOCK_COMMIT_SHALLOW | VIR_DOMAIN_BLOCK_COMMIT_DELETE)

static int cannot(const SnapshotDef *s, Err *err, const char *format, ...) G_GNUC_PRINTF(3, 4);
static int cannot(const SnapshotDef *s, Err *err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *why = g_strdup_vprintf(format, args);
    va_end(args);
    err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "the data of external snapshot '%s' cannot be deleted with it: %s", s->name, why);
    return err_hint(err, "merge the images with 'virsh blockcommit', then forget the snapshot with --metadata");
}

/* ---- what there is to merge ------------------------------------------------------------------------------------------------ */

static bool is_overlay(const StorageSource *src, const SnapshotDisk *of)
{
    return src->path && src->type != STORAGE_NETWORK && g_strcmp0(src->path, of->path) == 0;
}

static bool has_overlay(const DiskDef *disk, const SnapshotDisk *of)
{
    for (const StorageSource *src = disk->src; src; src = src->backing) {
        if (is_overlay(src, of))
            return true;
    }
    return false;
}

/* 1: the disk is to be merged, 0: it has been, -1. */
static int check_disk(const SnapshotDef *s, const DomainDef *then, const DiskDef *disk, const SnapshotDisk *of, Err *err)
{
    const DiskDef *was = domain_def_find_disk(then, of->name);
    if (!was || !was->src->path)
        return cannot(s, err, "what disk '%s' was before is not known", of->name);
    if (!disk)
        return cannot(s, err, "disk '%s' is not there any more", of->name);
    if (!has_overlay(disk, of))
        return storage_source_same_place(disk->src, was->src) ? 0 : cannot(s, err, "disk '%s' is on '%s' now", of->name, disk->src->path);
    if (!is_overlay(disk->src, of))
        return cannot(s, err, "'%s' of disk '%s' has another image above it", of->path, of->name);
    if (!disk->src->backing || !storage_source_same_place(disk->src->backing, was->src))
        return cannot(s, err, "'%s' of disk '%s' does not stand on '%s' any more", of->path, of->name, was->src->path);
    return 1;
}

static int check_tree(const SnapshotDef *s, const SnapshotList *l, Err *err)
{
    g_autoptr(GPtrArray) below = snapshot_list_select(l, s, 0);
    if (below->len)
        return cannot(s, err, "it has children");
    const SnapshotDef *parent = snapshot_list_parent(l, s);
    g_autoptr(GPtrArray) beside = snapshot_list_select(l, parent, parent ? 0 : VIR_DOMAIN_SNAPSHOT_LIST_ROOTS);
    if (beside->len > 1)
        return cannot(s, err, "others were taken of the same images");
    return 0;
}

/* Targets of the disks to be merged; NULL with Err. */
static GPtrArray *find_disks(const DomainDef *now, const SnapshotDef *s, Err *err)
{
    g_autoptr(GPtrArray) targets = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(DomainDef) then = s->domain ? stored_def_parse(s->domain, err) : NULL;
    if (!then) {
        if (!err_is_set(err))
            cannot(s, err, "what its disks were before is not known");
        return NULL;
    }
    for (unsigned i = 0; i < s->disks->len; i++) {
        const SnapshotDisk *of = s->disks->pdata[i];
        if (of->location != SNAPSHOT_EXTERNAL)
            continue;
        int r = check_disk(s, then, domain_def_find_disk(now, of->name), of, err);
        if (r < 0)
            return NULL;
        if (r > 0)
            g_ptr_array_add(targets, g_strdup(of->name));
    }
    return g_steal_pointer(&targets);
}

/* ---- merged ---------------------------------------------------------------------------------------------------------------- */

static BlockJob *job_of(Domain *d, const char *target)
{
    const DiskDef *disk = d->live ? domain_def_find_disk(d->live, target) : NULL;
    return disk ? blockjob_of_disk(d, disk->info.alias) : NULL;
}

/* Until image and overlay are in step. */
static int wait_ready(Domain *d, const char *target, Err *err)
{
    BlockJob *there = job_of(d, target);
    g_autoptr(BlockJob) job = there ? blockjob_ref(there) : NULL;
    g_auto(BlockJobSync) sync = {0};
    int status = 0;
    if (!job)
        return err_set(err, VIR_ERR_OPERATION_FAILED, "the block job of disk '%s' is gone", target);
    if (blockjob_state(job) == BLOCKJOB_READY)
        return 0;
    if (blockjob_sync_begin(d, job, &sync, err) < 0 || blockjob_sync_wait(&sync, &status, err) < 0)
        return -1;
    if (status == VIR_DOMAIN_BLOCK_JOB_READY)
        return 0;
    return err_set(err, VIR_ERR_OPERATION_FAILED, "block job '%s' failed: %s", blockjob_id(job),
                   blockjob_error(job) ? blockjob_error(job) : "it was cancelled");
}

/* Of an attempt that was interrupted: the daemon was killed, or the client had enough. */
static bool is_under_way(Domain *d, const char *target)
{
    BlockJob *job = job_of(d, target);
    if (!job || blockjob_ops(job) != &blockjob_active_commit_ops)
        return false;
    const BlockJobParams *p = blockjob_data(job);
    const StorageSource *src = domain_def_find_disk(d->live, target)->src;
    return p->flags == COMMIT_FLAGS && src->backing && p->base == src->backing->index.v;
}

static int merge(Domain *d, const char *target, Err *err)
{
    if (!is_under_way(d, target) && domain_block_commit(d, target, NULL, NULL, 0, COMMIT_FLAGS, err) < 0)
        return -1;
    if (wait_ready(d, target, err) == 0 && domain_block_job_abort(d, target, VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT, err) == 0)
        return 0;
    g_auto(Err) undo = ERR_INIT;
    if (d->live && !d->priv->dying && job_of(d, target) && domain_block_job_abort(d, target, VIR_DOMAIN_BLOCK_JOB_ABORT_ASYNC, &undo) < 0)
        log_warning("%s: %s", d->name, undo.detail);
    return -1;
}

/* ---- of a machine that is off ---------------------------------------------------------------------------------------------- */

/* What is below the last image a disk of `def` names.  Lock not held. */
static int read_chains(DomainDef *def, const SnapshotDef *s, Err *err)
{
    for (unsigned i = 0; i < s->disks->len; i++) {
        const SnapshotDisk *of = s->disks->pdata[i];
        DiskDef *disk = of->location == SNAPSHOT_EXTERNAL ? domain_def_find_disk(def, of->name) : NULL;
        StorageSource *last = disk ? chain_base(disk->src) : NULL;
        if (!last || !last->path || !qemu_chain_leads_on(last) || (last->type != STORAGE_FILE && last->type != STORAGE_BLOCK))
            continue;
        ImageWant w = {.path = last->path, .open_flags = O_RDONLY, .fmt = qemu_image_fmt(last->format), .flags = IMAGE_WANT_PROBE | IMAGE_WANT_CHAIN};
        g_autoptr(ImageSet) set = image_open(&w, 1, deadline_in_ms(SNAPSHOT_IMAGES_MS), err);
        if (!set)
            return -1;
        qemu_chain_adopt(set, 0, last);
    }
    return 0;
}

static int commit_offline(const StorageSource *overlay, Err *err)
{
    g_autofree char *program = g_find_program_in_path("qemu-img");
    if (!program)
        return err_set(err, VIR_ERR_OPERATION_FAILED, "qemu-img is not installed (not found in PATH)");
    if (*overlay->path != '/')
        return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "'%s' is no absolute path", overlay->path);
    const char *argv[] = {program, "commit", "-q", "-d", "-f", image_fmt_names[qemu_image_fmt(overlay->format)], overlay->path, NULL};
    SpawnOpts o = {.argv = argv, .fd_in = -1, .die_with_parent = true, .no_new_privs = true};
    if (spawn_run(&o, deadline_in_ms(MERGE_MS), 65536, NULL, err) < 0)
        return err_wrap(err, "committing image '%s'", overlay->path);
    return 0;
}

/* The disk leads to what was below its overlay, which the caller gets. */
static StorageSource *step_down(DiskDef *disk)
{
    StorageSource *overlay = disk->src, *base = storage_source_copy(overlay->backing);
    if (base->detected) {
        storage_source_free(g_steal_pointer(&base->backing));
        base->backing_ends = false;
        base->detected = false;
    }
    base->relabel = overlay->relabel;
    disk->src = base;
    return overlay;
}

/* A place of the configuration's writer is held. */
static int merge_offline_disks(Domain *d, DomainDef *def, const GPtrArray *targets, Err *err)
{
    for (unsigned i = 0; i < targets->len; i++) {
        DiskDef *disk = domain_def_find_disk(def, targets->pdata[i]);
        domain_unlock(d);
        int r = commit_offline(disk->src, err);
        domain_lock(d);
        if (r < 0)
            return -1;
        g_autoptr(StorageSource) overlay = step_down(disk);
        if (domain_config_commit(d, stored_def_new(def), err) < 0)
            return -1;
        if (overlay->type == STORAGE_FILE)
            blockjob_delete_file(d, overlay->path);
    }
    return 0;
}

static int merge_offline(Domain *d, const SnapshotDef *s, Err *err)
{
    if (domain_config_begin(d, err) < 0)
        return -1;
    g_autoptr(DomainDef) def = d->config ? stored_def_parse(d->config, err) : NULL;
    int r = def ? 0 : -1;
    if (def) {
        domain_unlock(d);
        r = read_chains(def, s, err);
        domain_lock(d);
    }
    g_autoptr(GPtrArray) targets = r == 0 ? find_disks(def, s, err) : NULL;
    if (targets)
        r = merge_offline_disks(d, def, targets, err);
    domain_config_end(d);
    return targets ? r : -1;
}

/* ---- all ------------------------------------------------------------------------------------------------------------------- */

int snapshot_merge(Domain *d, const SnapshotDef *s, const SnapshotList *l, Err *err)
{
    domain_assert_locked(d);
    job_assert_held(d);
    if (snapshot_settle(d, err) < 0)
        return err_wrap(err, "an earlier snapshot is not settled yet");
    if (d->removing || (d->live && d->priv->dying))
        return domain_err_inactive(err);
    if (check_tree(s, l, err) < 0)
        return -1;
    if (!domain_is_active(d))
        return merge_offline(d, s, err);
    g_autoptr(GPtrArray) targets = find_disks(d->live, s, err);
    if (!targets)
        return -1;
    for (unsigned i = 0; i < targets->len; i++) {
        if (merge(d, targets->pdata[i], err) < 0)
            return err_wrap(err, "disk '%s' of snapshot '%s'", (const char *)targets->pdata[i], s->name);
    }
    return 0;
}
