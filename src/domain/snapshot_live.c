/* domain/snapshot_live.c - a snapshot of the disks of a running machine
 *
 * Owns:    the order: overlays made, noted, given to QEMU, switched to in one transaction; then the definitions (snapshot_settle.c)
 * Threads: workers (qemu-img, opening, QMP)
 * Locks:   the domain's, released for each of these; its job keeps other changes out
 * Errors:  those of images and QEMU, wrapped with the disk; what failed leaves no file and no node
 *
 *   look -> note -> make overlays -> nodes -> transaction -> definitions -> list -> note removed (the last two by the caller)
 *
 * A daemon killed before the transaction finds the note and clears up; after it, the note and the truth in QEMU, and goes on from there.
 */
#include "config.h"

#include <string.h>

#define LOG_AREA "domain.snapshot"
#include "util/log.h"
#include "domain/chain.h"
#include "domain/snapshot_private.h"
#include "model/chain_find.h"
#include "qemu/image_chain.h"
#include "qemu/props.h"
#include "api_enums.h"

/* One disk on its way. */
typedef struct Taken {
    const SnapshotDisk *what;
    const DiskDef *disk; /* of `live` */
    uint64_t size;
    Chain *chain; /* NULL: not opened yet */
    bool attached;
} Taken;

typedef struct Taking {
    Domain *d;
    DomainDef *live; /* as it was */
    GArray *disks;   /* Taken */
    GPtrArray *made; /* paths of files made */
} Taking;

static void taking_done(Taking *t)
{
    for (unsigned i = 0; i < t->disks->len; i++)
        chain_free(g_array_index(t->disks, Taken, i).chain);
    g_array_unref(t->disks);
    g_ptr_array_unref(t->made);
    domain_def_unref(t->live);
}

/* ---- before ---------------------------------------------------------------------------------------------------------------- */

static int check_disk(Domain *d, const DiskDef *disk, Err *err)
{
    const BlockJob *job = blockjob_of_disk(d, disk->info.alias);
    if (job) {
        err_set(err, VIR_ERR_OPERATION_UNSUPPORTED, "disk '%s' already in active block job: %s", disk->dst, blockjob_ops(job)->what);
        return err_hint(err, "wait for its end or end it with 'virsh blockjob --abort'");
    }
    if (snapshot_check_depth(disk, chain_length(disk->src), err) < 0)
        return -1;
    return disk->src->index.set ? 0 : err_set(err, VIR_ERR_INTERNAL_ERROR, "disk '%s' has no node in QEMU", disk->dst);
}

static int pick_disks(Taking *t, const SnapshotDef *s, Err *err)
{
    for (unsigned i = 0; i < s->disks->len; i++) {
        Taken one = {.what = s->disks->pdata[i]};
        if (one.what->location != SNAPSHOT_EXTERNAL)
            continue;
        one.disk = domain_def_find_disk(t->live, one.what->name);
        if (!one.disk)
            return err_set(err, VIR_ERR_INTERNAL_ERROR, "disk '%s' is not there any more", one.what->name);
        if (check_disk(t->d, one.disk, err) < 0)
            return -1;
        g_array_append_val(t->disks, one);
    }
    return 0;
}

/* How large the guest sees each disk now; an overlay must be no smaller. */
static int read_sizes(Taking *t, Err *err)
{
    json_t *blocks = NULL;
    if (domain_qmp(t->d, "query-block", NULL, &blocks, err) < 0)
        return -1;
    int r = 0;
    for (unsigned i = 0; r == 0 && i < t->disks->len; i++) {
        Taken *one = &g_array_index(t->disks, Taken, i);
        const json_t *b = qemu_block_of_alias(blocks, one->disk->info.alias);
        const json_t *image = json_object_get(json_object_get(b, "inserted"), "image");
        json_int_t size = json_integer_value(json_object_get(image, "virtual-size"));
        if (size <= 0)
            r = err_set(err, VIR_ERR_OPERATION_FAILED, "QEMU does not tell the size of disk '%s'", one->disk->dst);
        one->size = (uint64_t)size;
    }
    json_decref(blocks);
    return r;
}

static SnapshotIntent *intent_of(const Taking *t, const SnapshotDef *s, unsigned flags)
{
    SnapshotIntent *in = snapshot_intent_new(s, !(flags & VIR_DOMAIN_SNAPSHOT_CREATE_NO_METADATA));
    bool reuse = flags & VIR_DOMAIN_SNAPSHOT_CREATE_REUSE_EXT;
    unsigned index = t->d->priv->proc.node_index;
    for (unsigned i = 0; i < t->disks->len; i++) {
        const Taken *one = &g_array_index(t->disks, Taken, i);
        bool made = !reuse && one->what->type == STORAGE_FILE;
        g_autofree char *below = qemu_backing_name(one->disk->src);
        snapshot_intent_add(in, one->disk->dst, below, ++index, made);
    }
    return in;
}

/* ---- images and nodes ------------------------------------------------------------------------------------------------------ */

static int make_overlays(Taking *t, Err *err)
{
    for (unsigned i = 0; i < t->disks->len; i++) {
        const Taken *one = &g_array_index(t->disks, Taken, i);
        if (snapshot_overlay_make(t->d, one->what, one->disk->src, one->size, t->made, err) < 0)
            return err_wrap(err, "new image of disk '%s'", one->disk->dst);
    }
    return 0;
}

static int attach(Taking *t, const SnapshotIntent *in, Err *err)
{
    for (unsigned i = 0; i < t->disks->len; i++) {
        Taken *one = &g_array_index(t->disks, Taken, i);
        const SnapshotIntentDisk *noted = in->disks->pdata[i];
        StorageSource *src = storage_source_new();
        storage_source_replace(src, one->what->type, one->what->path, one->what->format);
        one->chain = chain_open(t->d, src, CHAIN_WRITABLE | CHAIN_ALONE, err);
        if (!one->chain || chain_attach(t->d, one->disk, one->chain, NULL, err) < 0)
            return err_wrap(err, "new image of disk '%s'", one->disk->dst);
        one->attached = true;
        if (one->chain->src->index.v != noted->index)
            return err_set(err, VIR_ERR_INTERNAL_ERROR, "the image of disk '%s' has number %u, %u was noted", one->disk->dst,
                           (unsigned)one->chain->src->index.v, noted->index);
    }
    return 0;
}

static json_t *transaction(const Taking *t)
{
    json_t *actions = json_array();
    for (unsigned i = 0; i < t->disks->len; i++) {
        const Taken *one = &g_array_index(t->disks, Taken, i);
        g_autofree char *node = qemu_node_format(one->disk->src), *overlay = qemu_node_format(one->chain->src);
        json_array_append_new(actions, json_pack("{s:s, s:{s:s, s:s}}", "type", "blockdev-snapshot", "data", "node", node, "overlay", overlay));
    }
    return json_pack("{s:o}", "actions", actions);
}

/* Nothing came of it: no node, no file. */
static void undo(Taking *t)
{
    for (unsigned i = t->disks->len; i > 0; i--) {
        const Taken *one = &g_array_index(t->disks, Taken, i - 1);
        if (one->attached)
            chain_detach(t->d, one->chain->src, NULL);
    }
    domain_unlock(t->d);
    snapshot_overlays_remove(t->made);
    domain_lock(t->d);
}

/* ---- all ------------------------------------------------------------------------------------------------------------------- */

static int go(Taking *t, const SnapshotIntent *in, unsigned flags, Err *err)
{
    bool reuse = flags & VIR_DOMAIN_SNAPSHOT_CREATE_REUSE_EXT;
    if ((!reuse && make_overlays(t, err) < 0) || attach(t, in, err) < 0) {
        undo(t);
        return -1;
    }
    QmpStatus s = domain_qmp_status(t->d, QMP(TRANSACTION), transaction(t), NULL, err);
    if (s == QMP_OK)
        return 0;
    if (s == QMP_TIMEOUT || s == QMP_CLOSED) { /* the guest may be writing to the new images, or have done so before it ended */
        err_wrap(err, "whether the snapshot was taken is not known yet");
        return 1;
    }
    undo(t);
    return err_wrap(err, "taking the snapshot");
}

int snapshot_take_live(Domain *d, const SnapshotDef *s, unsigned flags, Err *err)
{
    domain_assert_locked(d);
    job_assert_held(d);
    Taking t = {.d = d,
                .live = domain_def_ref(d->live),
                .disks = g_array_new(FALSE, TRUE, sizeof(Taken)),
                .made = g_ptr_array_new_with_free_func(g_free)};
    d->priv->snapshot_busy = true;
    int r = pick_disks(&t, s, err);
    if (r == 0)
        r = read_sizes(&t, err);
    if (r == 0) {
        uint64_t life = domain_leave(d);
        g_auto(Err) ended = ERR_INIT;
        r = snapshot_overlays_check(s, flags & VIR_DOMAIN_SNAPSHOT_CREATE_REUSE_EXT, deadline_in_ms(SNAPSHOT_IMAGES_MS), err);
        if (domain_enter(d, life, &ended) < 0 && r == 0) {
            err_move(err, &ended);
            r = -1;
        }
    }
    g_autoptr(SnapshotIntent) in = r == 0 ? intent_of(&t, s, flags) : NULL;
    if (r == 0)
        r = snapshot_intent_note(d, in, err);
    if (r == 0) {
        r = go(&t, in, flags, err);
        if (r < 0)
            snapshot_intent_forget(d);
        else
            d->priv->snapshot_intent = g_steal_pointer(&in);
        if (r == 0 && snapshot_definitions(d, d->priv->snapshot_intent, err) < 0)
            r = 1;
    }
    d->priv->snapshot_busy = r == 0;
    if (r > 0) /* the note stays: it is tried again until it is settled */
        snapshot_settle_later(d);
    taking_done(&t);
    return r == 0 ? 0 : -1;
}
