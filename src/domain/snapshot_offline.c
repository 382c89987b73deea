/* domain/snapshot_offline.c - a snapshot of the disks of a machine that is off
 *
 * Owns:    the order: overlays first, then the definition that leads to them; what failed leaves no file
 * Threads: workers (qemu-img, files)
 * Locks:   the domain's, released while images are made; the writer's turn of the definition
 * Errors:  those of host/image_create.h and of the definition's file
 */
#include "config.h"

#include <string.h>

#define LOG_AREA "domain.snapshot"
#include "util/log.h"
#include "domain/snapshot_private.h"
#include "host/image.h"
#include "host/image_create.h"
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

int snapshot_overlay_make(const SnapshotDisk *d, const StorageSource *below, uint64_t size, Deadline deadline, GPtrArray *made, Err *err)
{
    const char *fmt = enum_word(storage_format_names, STORAGE_FORMAT_MAX, (int)below->format);
    if (image_create_overlay(d->path, storage_format_names[d->format], below->path, fmt ? fmt : "raw", size, deadline, err) < 0)
        return err_wrap(err, "new image of disk '%s'", d->name);
    if (d->type == STORAGE_FILE)
        g_ptr_array_add(made, g_strdup(d->path));
    return 0;
}

static int make_all(const SnapshotDef *s, const DomainDef *def, Deadline deadline, GPtrArray *made, Err *err)
{
    for (unsigned i = 0; i < s->disks->len; i++) {
        const SnapshotDisk *d = s->disks->pdata[i];
        if (d->location == SNAPSHOT_EXTERNAL &&
            snapshot_overlay_make(d, domain_def_find_disk(def, d->name)->src, 0, deadline, made, err) < 0)
            return -1;
    }
    return 0;
}

/* Disks of `def` lead to their new images.  What was below is in the images' headers. */
static void lead_to_overlays(DomainDef *def, const SnapshotDef *s)
{
    for (unsigned i = 0; i < s->disks->len; i++) {
        const SnapshotDisk *d = s->disks->pdata[i];
        DiskDef *disk = domain_def_find_disk(def, d->name);
        if (d->location == SNAPSHOT_EXTERNAL)
            storage_source_replace(disk->src, d->type, d->path, d->format);
    }
}

int snapshot_take_offline(Domain *d, const SnapshotDef *s, unsigned flags, Err *err)
{
    domain_assert_locked(d);
    bool reuse = flags & VIR_DOMAIN_SNAPSHOT_CREATE_REUSE_EXT;
    if (domain_config_begin(d, err) < 0)
        return -1;
    g_autoptr(DomainDef) def = stored_def_parse(d->config, err);
    g_autoptr(GPtrArray) made = g_ptr_array_new_with_free_func(g_free);
    int r = -1;
    if (def) {
        Deadline deadline = deadline_in_ms(SNAPSHOT_IMAGES_MS);
        domain_unlock(d);
        r = snapshot_overlays_check(s, reuse, deadline, err);
        if (r == 0 && !reuse)
            r = make_all(s, def, deadline, made, err);
        domain_lock(d);
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
