/* domain/snapshot_settle.c - definitions that say what a snapshot did, also one whose taker did not live to see it
 *
 * Owns:    the note of a snapshot under way; how its outcome is found out
 * Threads: workers; load on the main thread
 * Locks:   the domain's, released for QMP, files and storage
 * Errors:  those of the definition's file
 *
 * What is done here can be done twice.  QEMU is asked where it runs.  Where it does not, an overlay that stands on the image the machine
 * had is taken for the machine's: either it was in use, or it is empty and reads as that image does.  Storage that cannot be read says neither: the
 * note stays until it can.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define LOG_AREA "domain.snapshot"
#include "util/log.h"
#include "domain/chain.h"
#include "domain/snapshot_private.h"
#include "host/image.h"
#include "host/image_find.h"
#include "qemu/image_chain.h"
#include "qemu/props.h"
#include "store/snapshots.h"

#define LOOK_MS 15000u

static char *intent_base(const DomainDriver *drv)
{
    return g_build_filename(domain_driver_opts((DomainDriver *)(uintptr_t)drv)->state_dir, "snapshot-intent", NULL);
}

int snapshot_intent_note(Domain *d, const SnapshotIntent *in, Err *err)
{
    g_autofree char *base = intent_base(d->drv), *name = g_strdup(d->name);
    uint64_t life = domain_leave(d);
    pool_blocking_begin();
    int r = snapshot_intent_save(base, name, in, err);
    pool_blocking_end();
    g_auto(Err) ended = ERR_INIT;
    if (domain_enter(d, life, &ended) < 0 && r == 0) {
        snapshot_intent_forget(d);
        err_move(err, &ended);
        r = -1;
    }
    return r;
}

void snapshot_intent_forget(Domain *d)
{
    g_autofree char *base = intent_base(d->drv), *name = g_strdup(d->name);
    g_auto(Err) err = ERR_INIT;
    g_clear_pointer(&d->priv->snapshot_intent, snapshot_intent_free);
    domain_unlock(d);
    if (snapshot_intent_remove(base, name, &err) < 0)
        log_warning("%s: %s; the next daemon will look at that snapshot again", name, err.detail);
    domain_lock(d);
    d->priv->snapshot_busy = false;
}

void snapshot_drop_note(DomainDriver *drv, const char *name)
{
    g_autofree char *base = intent_base(drv);
    g_auto(Err) err = ERR_INIT;
    if (snapshot_intent_remove(base, name, &err) < 0)
        log_warning("%s: %s", name, err.detail);
}

/* ---- definitions ----------------------------------------------------------------------------------------------------------- */

static void change_live(Domain *d, const SnapshotIntent *in)
{
    g_autoptr(DomainDef) live = domain_def_copy(d->live);
    bool changed = false;
    for (unsigned i = 0; i < in->disks->len; i++) {
        const SnapshotIntentDisk *one = in->disks->pdata[i];
        DiskDef *disk = domain_def_find_disk(live, one->target);
        if (!disk || !disk->src->path || disk->src->index.v == one->index)
            continue;
        snapshot_put_on_top(disk, snapshot_def_disk(in->def, one->target));
        disk->src->index = (OptU64){true, one->index};
        changed = true;
    }
    if (changed)
        domain_set_live(d, g_steal_pointer(&live));
}

static int change_config(Domain *d, const SnapshotIntent *in, Err *err)
{
    g_auto(Err) busy = ERR_INIT;
    if (!d->persistent)
        return 0;
    if (domain_config_begin(d, &busy) < 0) {
        if (!d->persistent) /* undefined meanwhile: there is nothing to change */
            return 0;
        err_move(err, &busy);
        return -1;
    }
    g_autoptr(DomainDef) def = domain_parse_config(d, err);
    bool changed = false;
    for (unsigned i = 0; def && i < in->disks->len; i++) {
        const SnapshotIntentDisk *one = in->disks->pdata[i];
        DiskDef *disk = domain_def_find_disk(def, one->target);
        /* defined anew with another image: that is what shall be */
        g_autofree char *now = disk && disk->src->path ? qemu_backing_name(disk->src) : NULL;
        if (!now || strcmp(now, one->old_path) != 0)
            continue;
        snapshot_put_on_top(disk, snapshot_def_disk(in->def, one->target));
        changed = true;
    }
    int r = def ? 0 : -1;
    if (changed)
        r = domain_config_commit(d, stored_def_new(def), err);
    domain_config_end(d);
    return r;
}

int snapshot_definitions(Domain *d, const SnapshotIntent *in, Err *err)
{
    domain_assert_locked(d);
    if (domain_is_active(d) && !d->priv->dying) {
        change_live(d, in);
        uint64_t life = domain_leave(d); /* the status file is what a later daemon goes by */
        domain_flush_or_retry(d);
        g_auto(Err) ended = ERR_INIT;
        domain_enter(d, life, &ended);
    }
    if (change_config(d, in, err) == 0)
        return 0;
    return err_wrap(err, "the guest is on its new images, but the stored definition still names the old ones; that is tried again");
}

/* ---- found after all ------------------------------------------------------------------------------------------------------- */

/* The transaction has happened where an overlay stands on something: it was given to QEMU standing on nothing. */
static bool is_taken(const json_t *nodes, const SnapshotIntent *in)
{
    size_t i;
    json_t *n;
    json_array_foreach(nodes, i, n) {
        const char *name = json_string_value(json_object_get(n, "node-name"));
        for (unsigned k = 0; name && k < in->disks->len; k++) {
            const SnapshotIntentDisk *one = in->disks->pdata[k];
            StorageSource src = {.index = {true, one->index}};
            g_autofree char *node = qemu_node_format(&src);
            if (strcmp(node, name) == 0 && json_integer_value(json_object_get(n, "backing_file_depth")) > 0)
                return true;
        }
    }
    return false;
}

typedef enum {
    OURS_NO,
    OURS_YES,
    OURS_UNKNOWN, /* storage that would tell is not there */
} Ours;

/* No overlay: it was never made, or the storage it is on is not mounted.  Then its directory or the image below it is likely to be missing too. */
static Ours missing(const SnapshotIntentDisk *one, const char *path, Err *err)
{
    g_autofree char *dir = g_path_get_dirname(path);
    const char *const needed[] = {dir, one->old_path};
    for (unsigned i = 0; i < N_ELEMENTS(needed); i++) {
        ImageFound f;
        if (needed[i][0] != '/') /* on the network */
            continue;
        if (image_find(needed[i], deadline_in_ms(LOOK_MS), &f, err) < 0)
            return OURS_UNKNOWN;
        if (!f.exists) {
            err_set_errno(err, ENOENT, "cannot open '%s'", needed[i]);
            return OURS_UNKNOWN;
        }
    }
    return OURS_NO;
}

/* The overlay we meant to make, and nobody else's file of that name?  Err is set when that is not known. */
static Ours look(const SnapshotIntent *in, const SnapshotIntentDisk *one, Err *err)
{
    const SnapshotDisk *to = snapshot_def_disk(in->def, one->target);
    ImageWant want = {.path = to->path, .open_flags = O_RDONLY, .fmt = qemu_image_fmt(to->format), .flags = IMAGE_WANT_PROBE};
    g_auto(Err) own = ERR_INIT;
    g_autoptr(ImageSet) set = image_open(&want, 1, deadline_in_ms(LOOK_MS), &own);
    if (!set) {
        if (own.os_errno == ENOENT)
            return missing(one, to->path, err);
        if ((!own.os_errno && own.code != VIR_ERR_OPERATION_TIMEOUT) || own.os_errno == EISDIR || own.os_errno == EINVAL)
            return OURS_NO; /* read, and it is something else */
        err_move(err, &own);
        return OURS_UNKNOWN;
    }
    ImageNode *n = image_set_node(set, 0, 0);
    if (!n || !n->header.backing || strcmp(n->header.backing, one->old_path) == 0)
        return n && n->header.backing ? OURS_YES : OURS_NO;
    g_autofree char *path = image_backing_path(to->path, &n->header, &own); /* one that was there before may name it in its own way */
    return g_strcmp0(path, one->old_path) == 0 ? OURS_YES : OURS_NO;
}

static bool is_ours(const SnapshotIntent *in, const SnapshotIntentDisk *one)
{
    g_auto(Err) err = ERR_INIT;
    return look(in, one, &err) == OURS_YES;
}

/* Made, and not written by qemu-img any more. */
static bool is_empty(const char *path)
{
    g_auto(Err) err = ERR_INIT;
    ImageFound f;
    return image_find(path, deadline_in_ms(LOOK_MS), &f, &err) == 0 && f.exists && !f.is_block && !f.error && f.is_empty;
}

/* Lock held; released. */
static void clear_up(Domain *d, const SnapshotIntent *in)
{
    g_autoptr(GPtrArray) made = g_ptr_array_new_with_free_func(g_free);
    for (unsigned i = 0; i < in->disks->len; i++) {
        const SnapshotIntentDisk *one = in->disks->pdata[i];
        StorageSource src = {.type = STORAGE_FILE, .path = snapshot_def_disk(in->def, one->target)->path, .index = {true, one->index}};
        if (domain_is_active(d))
            chain_detach(d, &src, NULL);
        d->priv->proc.node_index = MAX(d->priv->proc.node_index, one->index); /* given out, whatever became of it */
    }
    domain_mark_changed(d);
    domain_unlock(d);
    for (unsigned i = 0; i < in->disks->len; i++) {
        const SnapshotIntentDisk *one = in->disks->pdata[i];
        const char *path = snapshot_def_disk(in->def, one->target)->path;
        if (one->made && (is_ours(in, one) || is_empty(path)))
            g_ptr_array_add(made, g_strdup(path));
    }
    snapshot_overlays_remove(made);
    domain_lock(d);
}

static int complete(Domain *d, const SnapshotIntent *in, Err *err)
{
    for (unsigned i = 0; i < in->disks->len; i++)
        d->priv->proc.node_index = MAX(d->priv->proc.node_index, ((const SnapshotIntentDisk *)in->disks->pdata[i])->index);
    if (snapshot_definitions(d, in, err) < 0)
        return -1;
    if (in->metadata && !snapshot_list_find(d->priv->snapshots, in->def->name)) {
        g_autoptr(SnapshotDef) s = snapshot_def_copy(in->def);
        return snapshot_store(d, s, true, err);
    }
    return 0;
}

/* Is the disk still on what the snapshot was about?  One defined anew with another image needs no outcome.  NULL: not known. */
static bool matters(const DomainDef *def, const SnapshotIntent *in, const SnapshotIntentDisk *one)
{
    const DiskDef *disk = def ? domain_def_find_disk(def, one->target) : NULL;
    g_autofree char *now = disk && disk->src->path ? qemu_backing_name(disk->src) : NULL;
    return !def || (now && (strcmp(now, one->old_path) == 0 || strcmp(now, snapshot_def_disk(in->def, one->target)->path) == 0));
}

/* The machine is off: see the head of this file.  All images, or none; -1 while storage does not tell. */
static int stands(Domain *d, const SnapshotIntent *in, Err *err)
{
    g_auto(Err) unread = ERR_INIT;
    g_autoptr(DomainDef) def = domain_parse_config(d, &unread);
    domain_unlock(d);
    int r = 1;
    for (unsigned i = 0; r >= 0 && i < in->disks->len; i++) {
        const SnapshotIntentDisk *one = in->disks->pdata[i];
        g_auto(Err) own = ERR_INIT;
        Ours ours = look(in, one, &own);
        if (ours == OURS_UNKNOWN && matters(def, in, one)) {
            err_move(err, &own);
            err_wrap(err, "whether disk '%s' is on its new image is not known", one->target);
            r = err_hint(err, "make its storage reachable; if that is gone for good, define the disk with the image it shall have");
        } else if (ours != OURS_YES) {
            r = 0;
        }
    }
    domain_lock(d);
    return r;
}

int snapshot_settle(Domain *d, Err *err)
{
    domain_assert_locked(d);
    if (!d->priv->snapshot_intent || d->priv->snapshot_busy)
        return 0;
    job_assert_held(d);
    SnapshotIntent *in = d->priv->snapshot_intent; /* nobody else changes it: our job */
    if (!domain_is_active(d) && !d->persistent) { /* it was never stored: there is no definition to make true */
        snapshot_intent_forget(d);
        return 0;
    }
    bool taken;
    if (domain_is_active(d)) {
        json_t *nodes = NULL; /* not flat: that says of each that it stands on nothing */
        if (domain_qmp(d, "query-named-block-nodes", NULL, &nodes, err) < 0)
            return -1;
        taken = is_taken(nodes, in);
        json_decref(nodes);
    } else {
        int r = stands(d, in, err);
        if (r < 0)
            return -1;
        taken = r > 0;
    }
    log_info("%s: snapshot '%s' was interrupted: it %s", d->name, in->def->name, taken ? "is taken" : "was not taken");
    if (taken && complete(d, in, err) < 0)
        return -1;
    if (!taken)
        clear_up(d, in);
    snapshot_intent_forget(d);
    return 0;
}

/* ---- at start -------------------------------------------------------------------------------------------------------------- */

static void settle_task(Domain *d, void *unused)
{
    g_auto(Err) err = ERR_INIT;
    if (snapshot_settle(d, &err) < 0)
        log_error("%s: an interrupted snapshot is not settled: %s", d->name, err.detail);
}

void snapshot_settle_later(Domain *d)
{
    if (d->priv->snapshot_intent)
        domain_task(d, JOB_MODIFY, "an interrupted snapshot", 0, settle_task, NULL, NULL);
}

void domain_snapshots_load_intents(DomainDriver *drv)
{
    g_autofree char *base = intent_base(drv);
    g_auto(Err) listing = ERR_INIT;
    defs_clean(base);
    g_autoptr(GPtrArray) names = defs_names(base, &listing);
    for (unsigned i = 0; names && i < names->len; i++) {
        g_auto(Err) err = ERR_INIT;
        const char *name = names->pdata[i];
        Domain *d = registry_by_name(domain_driver_registry(drv), name);
        if (!d) {
            log_warning("the note of a snapshot of '%s' is left alone: there is no such machine", name);
            continue;
        }
        SnapshotIntent *in = snapshot_intent_load(base, name, &err);
        if (!in) {
            log_error("%s: a note of an interrupted snapshot is left alone: %s", name, err.detail);
        } else if (in->def->domain && memcmp(in->def->domain->uuid, d->obj.uuid, UUID_LEN) != 0) {
            log_warning("the note of a snapshot of an earlier machine named '%s' is left alone", name);
            g_clear_pointer(&in, snapshot_intent_free);
        }
        d->priv->snapshot_intent = in;
        object_unref(d);
    }
}

void domain_snapshots_go(DomainDriver *drv)
{
    g_autoptr(GPtrArray) all = registry_list(domain_driver_registry(drv));
    for (unsigned i = 0; i < all->len; i++) {
        Domain *d = all->pdata[i];
        g_autoptr(DomainView) v = domain_view(d);
        if (d->priv->snapshot_intent && !v->live && !d->priv->foreign) /* of a running one: when it is reached */
            snapshot_settle_later(d);
    }
}
