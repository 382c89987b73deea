/* domain/snapshot_merge.c - the data of a snapshot deleted: what the guest wrote since it goes into the images it was taken of
 *
 * Owns:    which of a snapshot's disks are to be merged, and that this is the same as forgetting the snapshot
 * Threads: workers; sleeps until the block jobs end
 * Locks:   the domain's, released meanwhile; the job of the call keeps other changes out
 * Errors:  VIR_ERR_CONFIG_UNSUPPORTED naming what cannot be merged here; those of block commit
 *
 * Each disk is a block commit of its own, with pivot and deletion of the overlay; they are no transaction.  Who is interrupted finds disks that
 * are merged and disks that are not, and a snapshot that is still listed: deleting it again goes on with the rest.
 */
#include "config.h"

#include <string.h>

#define LOG_AREA "domain.snapshot"
#include "util/log.h"
#include "domain/blockjobs.h"
#include "domain/snapshot_private.h"
#include "model/chain_find.h"
#include "api_enums.h"

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
static GPtrArray *find_disks(const Domain *d, const SnapshotDef *s, Err *err)
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
        int r = check_disk(s, then, domain_def_find_disk(d->live, of->name), of, err);
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

static int merge(Domain *d, const char *target, Err *err)
{
    if (domain_block_commit(d, target, NULL, NULL, 0, COMMIT_FLAGS, err) < 0)
        return -1;
    if (wait_ready(d, target, err) == 0 && domain_block_job_abort(d, target, VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT, err) == 0)
        return 0;
    g_auto(Err) undo = ERR_INIT;
    if (d->live && !d->priv->dying && job_of(d, target) && domain_block_job_abort(d, target, VIR_DOMAIN_BLOCK_JOB_ABORT_ASYNC, &undo) < 0)
        log_warning("%s: %s", d->name, undo.detail);
    return -1;
}

int snapshot_merge(Domain *d, const SnapshotDef *s, const SnapshotList *l, Err *err)
{
    domain_assert_locked(d);
    job_assert_held(d);
    if (!d->live || d->priv->dying)
        return cannot(s, err, "the machine is off");
    if (snapshot_settle(d, err) < 0)
        return err_wrap(err, "an earlier snapshot is not settled yet");
    if (check_tree(s, l, err) < 0)
        return -1;
    g_autoptr(GPtrArray) targets = find_disks(d, s, err);
    if (!targets)
        return -1;
    for (unsigned i = 0; i < targets->len; i++) {
        if (merge(d, targets->pdata[i], err) < 0)
            return err_wrap(err, "disk '%s' of snapshot '%s'", (const char *)targets->pdata[i], s->name);
    }
    return 0;
}
