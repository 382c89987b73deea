/* domain/snapshot_offline.c - a snapshot of the disks of a machine that is off
 *
 * Owns:    the order: overlays first, then the definition that leads to them; what failed leaves no file
 * Threads: workers (qemu-img, files)
 * Locks:   the domain's, released while images are made; the writer's turn of the definition
 * Errors:  those of domain/chain.h and of the definition's file
 */
#include "config.h"

#include <fcntl.h>
#include <string.h>

#define LOG_AREA "domain.snapshot"
#include "util/log.h"
#include "domain/chain.h"
#include "domain/snapshot_private.h"
#include "host/image.h"
#include "host/image_find.h"
#include "model/chain_find.h"
#include "qemu/image_chain.h"
#include "api_enums.h"

int snapshot_overlays_check(const SnapshotDef *s, bool reuse, Deadline deadline, Err *err)
{
    for (unsigned i = 0; i < s->disks->len; i++) {
        const SnapshotDisk *d = s->disks->pdata[i];
        ImageFound f;
        if (d->location != SNAPSHOT_EXTERNAL)
            continue;
        if (image_find(d->path, deadline, &f, err) < 0)
            return err_wrap(err, "new image of disk '%s'", d->name);
        if (f.error)
            return err_set_errno(err, f.error, "cannot look at the new image of disk '%s': '%s'", d->name, d->path);
        if (!f.exists && (reuse || d->type == STORAGE_BLOCK))
            return err_set_errno(err, ENOENT, "missing existing file for disk %s: %s", d->name, d->path);
        if (f.exists && f.is_block != (d->type == STORAGE_BLOCK))
            return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED,
                           "mismatch between configured type for snapshot disk '%s' and the type of existing file '%s'", d->name, d->path);
        if (f.exists && !reuse && !f.is_block && !f.is_empty) {
            err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "external snapshot file for disk %s already exists and is not a block device: %s",
                    d->name, d->path);
            return err_hint(err, "remove it, give another name with --diskspec, or say --reuse-external if it is an overlay made for this");
        }
    }
    return 0;
}

void snapshot_overlays_remove(const GPtrArray *paths)
{
    for (unsigned i = 0; i < paths->len; i++) {
        g_auto(Err) err = ERR_INIT;
        if (image_remove(paths->pdata[i], deadline_in_ms(SNAPSHOT_IMAGES_MS), &err) < 0)
            log_warning("the image '%s' of a snapshot that was not taken stays behind: %s", (const char *)paths->pdata[i], err.detail);
    }
}

int snapshot_overlay_make(Domain *d, const SnapshotDisk *what, const StorageSource *below, uint64_t size, GPtrArray *made, Err *err)
{
    StorageSource src = {.type = what->type, .path = what->path, .format = what->format};
    ChainCreate how = {.size = size, .backing = below, .what = "external snapshot", .dst = what->name};
    bool is_new = false;
    if (chain_create(d, &src, &how, &is_new, err) < 0)
        return -1;
    if (is_new)
        g_ptr_array_add(made, g_strdup(what->path));
    return 0;
}

/* How large the guest sees an image, by its header. */
static int read_size(const StorageSource *src, Deadline deadline, uint64_t *ret, Err *err)
{
    ImageWant want = {.path = src->path, .open_flags = O_RDONLY, .fmt = qemu_image_fmt(src->format), .flags = IMAGE_WANT_PROBE};
    g_autoptr(ImageSet) set = image_open(&want, 1, deadline, err);
    const ImageNode *n = set ? image_set_node(set, 0, 0) : NULL;
    if (!n)
        return -1;
    *ret = n->header.virtual_size;
    return *ret ? 0 : err_set(err, VIR_ERR_OPERATION_FAILED, "the size of image '%s' is not known", src->path);
}

/* Images of a disk: those the definition tells, and those that the header of the last leads to. */
static unsigned count_images(const StorageSource *src, Deadline deadline)
{
    unsigned n = chain_length(src), deeper = 0;
    while (src->backing)
        src = src->backing;
    if (!qemu_chain_leads_on(src) || (src->type != STORAGE_FILE && src->type != STORAGE_BLOCK))
        return n;
    ImageWant want = {.path = src->path, .open_flags = O_RDONLY, .fmt = qemu_image_fmt(src->format), .flags = IMAGE_WANT_PROBE | IMAGE_WANT_CHAIN};
    g_autoptr(ImageSet) set = image_look(&want, 1, deadline);
    while (image_set_node(set, 0, deeper + 1))
        deeper++;
    return n + deeper;
}

static int make_all(Domain *d, const SnapshotDef *s, const DomainDef *def, Deadline deadline, GPtrArray *made, Err *err)
{
    for (unsigned i = 0; i < s->disks->len; i++) {
        const SnapshotDisk *what = s->disks->pdata[i];
        uint64_t size = 0;
        if (what->location != SNAPSHOT_EXTERNAL)
            continue;
        const StorageSource *below = domain_def_find_disk(def, what->name)->src;
        domain_unlock(d);
        int r = snapshot_check_depth(domain_def_find_disk(def, what->name), count_images(below, deadline), err);
        if (r == 0)
            r = read_size(below, deadline, &size, err);
        domain_lock(d);
        if (r < 0 || snapshot_overlay_make(d, what, below, size, made, err) < 0)
            return err_wrap(err, "disk '%s'", what->name);
    }
    return 0;
}

void snapshot_put_on_top(DiskDef *disk, const SnapshotDisk *to)
{
    StorageSource *top = storage_source_new();
    storage_source_replace(top, to->type, to->path, to->format);
    top->backing = disk->src;
    disk->src = top;
}

/* Disks of `def` lead to their new images.  What was below is in the images' headers. */
static void lead_to_overlays(DomainDef *def, const SnapshotDef *s)
{
    for (unsigned i = 0; i < s->disks->len; i++) {
        const SnapshotDisk *d = s->disks->pdata[i];
        DiskDef *disk = domain_def_find_disk(def, d->name);
        if (d->location != SNAPSHOT_EXTERNAL)
            continue;
        if (disk->src->backing || disk->src->backing_ends) /* a chain the user tells is told on */
            snapshot_put_on_top(disk, d);
        else
            storage_source_replace(disk->src, d->type, d->path, d->format);
    }
}

int snapshot_take_offline(Domain *d, const SnapshotDef *s, unsigned flags, Err *err)
{
    domain_assert_locked(d);
    bool reuse = flags & VIR_DOMAIN_SNAPSHOT_CREATE_REUSE_EXT;
    if (domain_config_begin(d, err) < 0)
        return -1;
    if (d->config != s->domain) { /* while the turn was waited for: its disks may be others */
        domain_config_end(d);
        return err_set(err, VIR_ERR_OPERATION_FAILED, "the definition of '%s' was changed while the snapshot waited for it; take it again", d->name);
    }
    g_autoptr(DomainDef) def = domain_parse_config(d, err);
    g_autoptr(GPtrArray) made = g_ptr_array_new_with_free_func(g_free);
    int r = -1;
    if (def) {
        Deadline deadline = deadline_in_ms(SNAPSHOT_IMAGES_MS);
        domain_unlock(d);
        r = snapshot_overlays_check(s, reuse, deadline, err);
        domain_lock(d);
        if (r == 0 && !reuse)
            r = make_all(d, s, def, deadline, made, err);
    }
    if (r == 0) {
        lead_to_overlays(def, s);
        r = domain_config_commit(d, stored_def_new(def), err);
    }
    domain_config_end(d);
    if (r < 0) {
        domain_unlock(d);
        snapshot_overlays_remove(made);
        domain_lock(d);
    }
    return r;
}
