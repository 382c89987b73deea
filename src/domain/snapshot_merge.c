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

static int cannot(const SnapshotDef *s, Err *err, const char *format, ...) G_GNUC_PRINTF(3, 4);
static int cannot(const SnapshotDef *s, Err *err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *why = g_strdup_vprintf(format, args);
    va_end(args);
    err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "the data of external snapshot '%s' cannot be deleted with it: %s", s->name, why);
    return err_hint(err, "merge the images with 'virsh blockcommit' or qemu-img, then forget the snapshot with --metadata");
}

/* ---- what there is to merge ------------------------------------------------------------------------------------------------ */

/* One deletion. */
typedef struct Merge {
    Domain *d;
    const SnapshotDef *s;
    const SnapshotList *list;
    bool has_child;  /* one was taken of the overlays */
    DomainDef *then; /* the machine as it was */
} Merge;

static StorageSource *find_overlay(const DiskDef *disk, const SnapshotDisk *of, StorageSource **ret_above)
{
    StorageSource *above = NULL;
    for (StorageSource *src = disk->src; src; above = src, src = src->backing) {
        if (!src->path || src->type == STORAGE_NETWORK || g_strcmp0(src->path, of->path) != 0)
            continue;
        if (ret_above)
            *ret_above = above;
        return src;
    }
    return NULL;
}

static bool has_place(const StorageSource *src, const StorageSource *place)
{
    for (; src; src = src->backing) {
        if (storage_source_same_place(src, place))
            return true;
    }
    return false;
}

/* 1: the disk is to be merged, 0: it has been, -1. */
static int check_disk(const Merge *m, const DiskDef *disk, const SnapshotDisk *of, Err *err)
{
    const DiskDef *was = domain_def_find_disk(m->then, of->name);
    StorageSource *above = NULL;
    if (!was || !was->src->path)
        return cannot(m->s, err, "what disk '%s' was before is not known", of->name);
    if (!disk)
        return cannot(m->s, err, "disk '%s' is not there any more", of->name);
    const StorageSource *overlay = find_overlay(disk, of, &above);
    if (!overlay)
        return has_place(disk->src, was->src) ? 0 : cannot(m->s, err, "disk '%s' is on '%s' now", of->name, disk->src->path);
    if (above && !m->has_child)
        return cannot(m->s, err, "'%s' of disk '%s' has another image above it", of->path, of->name);
    if (!overlay->backing || !storage_source_same_place(overlay->backing, was->src))
        return cannot(m->s, err, "'%s' of disk '%s' does not stand on '%s' any more", of->path, of->name, was->src->path);
    return 1;
}

/* Images that somebody else's snapshot stands on are not written to. */
static int check_tree(const Merge *m, Err *err)
{
    const SnapshotDef *s = m->s;
    g_autoptr(GPtrArray) below = snapshot_list_select(m->list, s, 0);
    if (below->len > 1 || (below->len && !domain_is_active(m->d)))
        return cannot(s, err, "it has %s", below->len > 1 ? "more than one child" : "a child, and the machine is off");
    const SnapshotDef *parent = snapshot_list_parent(m->list, s);
    g_autoptr(GPtrArray) beside = snapshot_list_select(m->list, parent, parent ? 0 : VIR_DOMAIN_SNAPSHOT_LIST_ROOTS);
    if (beside->len > 1)
        return cannot(s, err, "others were taken of the same images");
    return 0;
}

/* The disks to be merged, borrowed from the snapshot; NULL with Err. */
static GPtrArray *find_disks(const Merge *m, const DomainDef *now, Err *err)
{
    g_autoptr(GPtrArray) found = g_ptr_array_new();
    for (unsigned i = 0; i < m->s->disks->len; i++) {
        SnapshotDisk *of = m->s->disks->pdata[i];
        if (of->location != SNAPSHOT_EXTERNAL)
            continue;
        int r = check_disk(m, domain_def_find_disk(now, of->name), of, err);
        if (r < 0)
            return NULL;
        if (r > 0)
            g_ptr_array_add(found, of);
    }
    if (found->len && check_tree(m, err) < 0)
        return NULL;
    return g_steal_pointer(&found);
}

/* ---- merged ---------------------------------------------------------------------------------------------------------------- */

static BlockJob *job_of(Domain *d, const char *target)
{
    const DiskDef *disk = d->live ? domain_def_find_disk(d->live, target) : NULL;
    return disk ? blockjob_of_disk(d, disk->info.alias) : NULL;
}

/* Until image and overlay are in step; one below others: until it is merged. */
static int wait_for(Domain *d, const char *target, int wanted, Err *err)
{
    BlockJob *there = job_of(d, target);
    g_autoptr(BlockJob) job = there ? blockjob_ref(there) : NULL;
    g_auto(BlockJobSync) sync = {0};
    int status = 0;
    if (!job)
        return err_set(err, VIR_ERR_OPERATION_FAILED, "the block job of disk '%s' is gone", target);
    if (wanted == VIR_DOMAIN_BLOCK_JOB_READY && blockjob_state(job) == BLOCKJOB_READY)
        return 0;
    if (blockjob_sync_begin(d, job, &sync, err) < 0 || blockjob_sync_wait(&sync, &status, err) < 0)
        return -1;
    if (status == wanted)
        return 0;
    return err_set(err, VIR_ERR_OPERATION_FAILED, "block job '%s' failed: %s", blockjob_id(job),
                   blockjob_error(job) ? blockjob_error(job) : "it was cancelled");
}

/* What commits one disk. */
typedef struct Commit {
    bool active;
    char top[64], base[64]; /* as "vda[2]" */
    unsigned top_index, base_index, flags;
} Commit;

/* A destroy tears down beside our ASYNC job: after each wait the machine may be off. */
static int check_lives(const Domain *d, Err *err)
{
    return !d->live || d->priv->dying ? domain_err_inactive(err) : 0;
}

static int plan(Domain *d, const SnapshotDisk *of, Commit *c, Err *err)
{
    const DiskDef *disk = domain_def_find_disk(d->live, of->name);
    StorageSource *above = NULL;
    const StorageSource *overlay = disk ? find_overlay(disk, of, &above) : NULL;
    if (!overlay || !overlay->backing)
        return err_set(err, VIR_ERR_OPERATION_FAILED, "disk '%s' has changed meanwhile", of->name);
    *c = (Commit){.active = !above,
                  .top_index = (unsigned)overlay->index.v,
                  .base_index = (unsigned)overlay->backing->index.v,
                  .flags = VIR_DOMAIN_BLOCK_COMMIT_SHALLOW | VIR_DOMAIN_BLOCK_COMMIT_DELETE | (above ? 0 : VIR_DOMAIN_BLOCK_COMMIT_ACTIVE)};
    g_snprintf(c->top, sizeof(c->top), "%s[%u]", disk->dst, c->top_index);
    g_snprintf(c->base, sizeof(c->base), "%s[%u]", disk->dst, c->base_index);
    return 0;
}

/* Of an attempt that was interrupted: the daemon was killed, or the client had enough. */
static bool is_under_way(Domain *d, const char *target, const Commit *c)
{
    BlockJob *job = job_of(d, target);
    if (!job || blockjob_ops(job) != (c->active ? &blockjob_active_commit_ops : &blockjob_commit_ops))
        return false;
    const BlockJobParams *p = blockjob_data(job);
    return p->flags == c->flags && p->top == c->top_index && p->base == c->base_index;
}

static int merge(Domain *d, const SnapshotDisk *of, Err *err)
{
    const char *target = of->name;
    Commit c;
    if (check_lives(d, err) < 0 || plan(d, of, &c, err) < 0)
        return -1;
    if (!is_under_way(d, target, &c) && domain_block_commit(d, target, c.base, c.active ? NULL : c.top, 0, c.flags, err) < 0)
        return -1;
    int r = wait_for(d, target, c.active ? VIR_DOMAIN_BLOCK_JOB_READY : VIR_DOMAIN_BLOCK_JOB_COMPLETED, err);
    if (r == 0 && c.active && (r = check_lives(d, err)) == 0)
        r = domain_block_job_abort(d, target, VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT, err);
    g_auto(Err) undo = ERR_INIT;
    if (r < 0 && d->live && !d->priv->dying && job_of(d, target) &&
        domain_block_job_abort(d, target, VIR_DOMAIN_BLOCK_JOB_ABORT_ASYNC, &undo) < 0)
        log_warning("%s: %s", d->name, undo.detail);
    return r;
}

/* ---- snapshots taken later --------------------------------------------------------------------------------------------------- */

/* The disk without the overlay: on what is below it. */
static bool take_out(DiskDef *disk, const SnapshotDisk *of, const StorageSource *was)
{
    StorageSource *above = NULL, *overlay = find_overlay(disk, of, &above);
    if (!overlay)
        return false;
    StorageSource *below = g_steal_pointer(&overlay->backing);
    if (!below && !above) { /* the definition names the top alone */
        below = storage_source_new();
        storage_source_replace(below, was->type, was->path, was->format);
    }
    if (above) {
        above->backing = below;
        above->backing_ends = !below && overlay->backing_ends;
    } else {
        below->relabel = overlay->relabel;
        disk->src = below;
    }
    storage_source_free(overlay);
    return true;
}

/* *def as it is without the overlays; false: it cannot be read. */
static bool rewrite(const Merge *m, StoredDef **def, bool *changed, Err *err)
{
    g_autoptr(DomainDef) tree = *def ? stored_def_parse(*def, err) : NULL;
    bool any = false;
    for (unsigned i = 0; tree && i < m->s->disks->len; i++) {
        const SnapshotDisk *of = m->s->disks->pdata[i];
        const DiskDef *was = of->location == SNAPSHOT_EXTERNAL ? domain_def_find_disk(m->then, of->name) : NULL;
        DiskDef *disk = was ? domain_def_find_disk(tree, of->name) : NULL;
        any |= disk && take_out(disk, of, was->src);
    }
    if (any) {
        stored_def_unref(*def);
        *def = stored_def_new(tree);
        *changed = true;
    }
    return tree || !*def;
}

/* What later snapshots remember has the overlays no more, as the machine has not. */
static int rewrite_later(const Merge *m, Err *err)
{
    g_autoptr(GPtrArray) later = snapshot_list_select(m->list, m->s, VIR_DOMAIN_SNAPSHOT_LIST_DESCENDANTS);
    for (unsigned i = 0; i < later->len; i++) {
        g_autoptr(SnapshotDef) c = snapshot_def_copy(later->pdata[i]);
        bool changed = false;
        if (!rewrite(m, &c->domain, &changed, err) || !rewrite(m, &c->inactive, &changed, err))
            return err_wrap(err, "snapshot '%s'", c->name);
        if (changed && snapshot_store(m->d, c, false, err) < 0)
            return -1;
    }
    return 0;
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

/* qemu-img goes by the headers, a guest by the definition.  Where they differ the data would go to an image that the machine is not on.  Lock not
 * held. */
static int check_headers(const Merge *m, const StorageSource *top, Err *err)
{
    g_autoptr(GArray) wants = g_array_new(FALSE, TRUE, sizeof(ImageWant));
    ImageWant w = {.path = top->path, .open_flags = O_RDONLY, .fmt = qemu_image_fmt(top->format), .flags = IMAGE_WANT_PROBE | IMAGE_WANT_CHAIN};
    g_array_append_val(wants, w);
    for (const StorageSource *s = top; s && s->type != STORAGE_NETWORK; s = s->backing) {
        w = (ImageWant){.path = s->path, .open_flags = O_RDONLY, .fmt = IMAGE_FMT_RAW, .flags = IMAGE_WANT_PROBE};
        g_array_append_val(wants, w);
    }
    g_autoptr(ImageSet) set = image_open((const ImageWant *)(void *)wants->data, wants->len, deadline_in_ms(SNAPSHOT_IMAGES_MS), err);
    if (!set)
        return -1;
    g_autoptr(StorageSource) found = storage_source_new(); /* what the headers lead to */
    qemu_chain_adopt(set, 0, found);
    const StorageSource *s = top, *f = found;
    for (unsigned depth = 0; s && f; s = s->backing, f = f->backing, depth++) {
        const ImageNode *named = image_set_node(set, 0, depth), *known = image_set_node(set, depth + 1, 0);
        bool same = named && known ? named->dev == known->dev && named->ino == known->ino : storage_source_same_place(s, f);
        if (!same || (depth && qemu_image_fmt(s->format) != qemu_image_fmt(f->format)))
            break;
    }
    if (!s && !f)
        return 0;
    return cannot(m->s, err, "by the headers '%s' stands on '%s' (%s), by the definition on '%s' (%s)", top->path,
                  f ? f->path : "nothing", f ? image_fmt_names[qemu_image_fmt(f->format)] : "-",
                  s ? s->path : "nothing", s ? image_fmt_names[qemu_image_fmt(s->format)] : "-");
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
static int merge_offline_disks(const Merge *m, DomainDef *def, const GPtrArray *targets, Err *err)
{
    Domain *d = m->d;
    for (unsigned i = 0; i < targets->len; i++) {
        DiskDef *disk = domain_def_find_disk(def, ((const SnapshotDisk *)targets->pdata[i])->name);
        domain_unlock(d);
        int r = check_headers(m, disk->src, err);
        if (r == 0)
            r = commit_offline(disk->src, err);
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

static int merge_offline(const Merge *m, Err *err)
{
    Domain *d = m->d;
    if (domain_config_begin(d, err) < 0)
        return -1;
    g_autoptr(DomainDef) def = domain_parse_config(d, err);
    int r = def ? 0 : -1;
    if (def) {
        domain_unlock(d);
        r = read_chains(def, m->s, err);
        domain_lock(d);
    }
    g_autoptr(GPtrArray) targets = r == 0 ? find_disks(m, def, err) : NULL;
    if (targets)
        r = merge_offline_disks(m, def, targets, err);
    domain_config_end(d);
    return targets ? r : -1;
}

/* ---- all ------------------------------------------------------------------------------------------------------------------- */

static int merge_live(const Merge *m, Err *err)
{
    g_autoptr(GPtrArray) disks = find_disks(m, m->d->live, err);
    if (!disks)
        return -1;
    for (unsigned i = 0; i < disks->len; i++) {
        const SnapshotDisk *of = disks->pdata[i];
        if (merge(m->d, of, err) < 0)
            return err_wrap(err, "disk '%s' of snapshot '%s'", of->name, m->s->name);
    }
    return rewrite_later(m, err);
}

int snapshot_merge(Domain *d, const SnapshotDef *s, const SnapshotList *l, Err *err)
{
    domain_assert_locked(d);
    job_assert_held(d);
    if (snapshot_settle(d, err) < 0)
        return err_wrap(err, "an earlier snapshot is not settled yet");
    if (d->removing || (d->live && d->priv->dying))
        return domain_err_inactive(err);
    if (!s->domain)
        return cannot(s, err, "what its disks were before is not known");
    g_autoptr(DomainDef) then = stored_def_parse(s->domain, err);
    g_autoptr(GPtrArray) below = snapshot_list_select(l, s, 0);
    Merge m = {.d = d, .s = s, .list = l, .has_child = below->len > 0, .then = then};
    if (!then)
        return -1;
    return domain_is_active(d) ? merge_live(&m, err) : merge_offline(&m, err);
}
