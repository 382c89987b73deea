/* domain/snapshot_disks.c - which disks a snapshot takes, and into which files
 *
 * Owns:    nothing; a snapshot that is being made and the definition it is made of
 * Threads: any; pure
 * Errors:  VIR_ERR_CONFIG_UNSUPPORTED naming the disk; VIR_ERR_OPERATION_UNSUPPORTED for a chain as long as may be
 */
#include "config.h"

#include <string.h>

#include "domain/snapshot_private.h"
#include "host/image.h"

static int position(const DomainDef *def, const DiskDef *disk)
{
    guint at = 0;
    g_ptr_array_find(def->disks, disk, &at);
    return (int)at;
}

/* What a disk gets that the request says nothing about. */
static SnapshotLocation by_itself(const DiskDef *disk, SnapshotLocation usual)
{
    if (disk->snapshot)
        return disk->snapshot;
    return disk->readonly || !disk->src->path ? SNAPSHOT_NO : usual;
}

int snapshot_disks_align(SnapshotDef *s, const DomainDef *def, SnapshotLocation usual, Err *err)
{
    g_autofree SnapshotDisk **by_position = g_new0(SnapshotDisk *, def->disks->len + 1);
    for (unsigned i = 0; i < s->disks->len; i++) {
        SnapshotDisk *d = s->disks->pdata[i];
        const DiskDef *disk = domain_def_find_disk(def, d->name);
        if (!disk)
            return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "no disk named '%s'", d->name);
        int at = position(def, disk);
        if (by_position[at])
            return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "disk '%s' specified twice", disk->dst);
        by_position[at] = d;
        g_free(d->name);
        d->name = g_strdup(disk->dst);
        if (!d->location)
            d->location = disk->snapshot ? disk->snapshot : usual;
    }
    GPtrArray *sorted = g_ptr_array_new_with_free_func((GDestroyNotify)snapshot_disk_free);
    for (unsigned i = 0; i < def->disks->len; i++) {
        const DiskDef *disk = def->disks->pdata[i];
        if (!by_position[i]) {
            by_position[i] = snapshot_disk_new(disk->dst);
            by_position[i]->location = by_itself(disk, usual);
        }
        g_ptr_array_add(sorted, by_position[i]);
    }
    g_ptr_array_set_free_func(s->disks, NULL); /* each moved */
    g_ptr_array_unref(s->disks);
    s->disks = sorted;
    return 0;
}

/* "/dir/disk.img" -> "/dir/disk.NAME" */
static char *beside(const char *path, const char *name)
{
    const char *slash = strrchr(path, '/'), *dot = strrchr(path, '.');
    size_t len = dot && (!slash || dot > slash) ? (size_t)(dot - path) : strlen(path);
    return g_strdup_printf("%.*s.%s", (int)len, path, name);
}

static int check_others(const SnapshotDef *s, const SnapshotDisk *d, bool made_up, Err *err)
{
    for (unsigned i = 0; i < s->disks->len; i++) {
        const SnapshotDisk *o = s->disks->pdata[i];
        if (o == d || !o->path || strcmp(o->path, d->path) != 0)
            continue;
        if (made_up)
            return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "cannot generate external snapshot name for disk '%s': collision with disk '%s'",
                           d->name, o->name);
        return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "disks '%s' and '%s' cannot both have the new image '%s'", o->name, d->name, d->path);
    }
    return 0;
}

int snapshot_disks_name(SnapshotDef *s, const DomainDef *def, Err *err)
{
    for (unsigned i = 0; i < s->disks->len; i++) {
        SnapshotDisk *d = s->disks->pdata[i];
        if (d->location != SNAPSHOT_EXTERNAL)
            continue;
        bool made_up = !d->path;
        const DiskDef *disk = domain_def_find_disk(def, d->name);
        if (made_up) {
            const StorageSource *src = disk->src;
            if (!src->path)
                return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "cannot generate external snapshot name for disk '%s' without source",
                               d->name);
            if (src->type != STORAGE_FILE || (d->type && d->type != STORAGE_FILE))
                return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED,
                               "cannot generate external snapshot name for disk '%s' on a '%s' device", d->name,
                               storage_type_names[src->type != STORAGE_FILE ? src->type : d->type]);
            d->path = beside(src->path, s->name);
        }
        if (!d->type)
            d->type = STORAGE_FILE;
        if (check_others(s, d, made_up, err) < 0)
            return -1;
    }
    return 0;
}

/* An image of the machine's must not become the overlay of itself or of another. */
static int check_in_use(const DomainDef *def, const SnapshotDisk *d, Err *err)
{
    for (unsigned i = 0; i < def->disks->len; i++) {
        const DiskDef *disk = def->disks->pdata[i];
        for (const StorageSource *src = disk->src; src; src = src->backing) {
            if (src->path && src->type != STORAGE_NETWORK && strcmp(src->path, d->path) == 0)
                return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED,
                               "external snapshot file for disk %s already exists and is not a block device: %s", d->name, d->path);
        }
    }
    return 0;
}

static int check_one(SnapshotDisk *d, const DomainDef *def, bool running, Err *err)
{
    const DiskDef *disk = domain_def_find_disk(def, d->name);
    if (!disk->src->path)
        return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "disk '%s' is empty: there is nothing to take a snapshot of", d->name);
    if (disk->device == DISK_DEVICE_LUN)
        return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "a snapshot of disk '%s' cannot be taken: the guest has the host's device itself", d->name);
    if (disk->shareable)
        return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "a snapshot of disk '%s' cannot be taken: it is shared with other machines", d->name);
    if (disk->transient)
        return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "a snapshot of disk '%s' cannot be taken: it is transient", d->name);
    if (disk->src->fdgroup)
        return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED,
                       "a snapshot of disk '%s' cannot be taken: its image is a client's descriptor, which the overlay cannot name", d->name);
    if (disk->src->type == STORAGE_NETWORK && !running)
        return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED,
                       "a snapshot of disk '%s' cannot be taken while the machine is off: the size of an image on the network is not known",
                       d->name);
    if (disk->src->slice_size.set)
        return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "a snapshot of disk '%s' cannot be taken: it is a slice of its image", d->name);
    if (!d->format)
        d->format = STORAGE_FORMAT_QCOW2;
    if (d->format != STORAGE_FORMAT_QCOW2 && d->format != STORAGE_FORMAT_QED)
        return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "external snapshot format for disk %s is unsupported: %s", d->name,
                       storage_format_names[d->format]);
    if (strlen(d->path) > 4000 || strchr(d->path, '\n'))
        return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "the name of the new image for disk '%s' is too long or has a line feed in it", d->name);
    return check_in_use(def, d, err);
}

int snapshot_check_depth(const DiskDef *disk, unsigned images, Err *err)
{
    if (images < IMAGE_MAX_DEPTH)
        return 0;
    err_set(err, VIR_ERR_OPERATION_UNSUPPORTED, "disk '%s' is %u images deep, and more than %u are not supported", disk->dst, images, IMAGE_MAX_DEPTH);
    return err_hint(err, "make it shorter with 'virsh blockcommit', 'virsh blockpull', or snapshots deleted");
}

int snapshot_disks_check(SnapshotDef *s, const DomainDef *def, bool running, Err *err)
{
    unsigned external = 0;
    for (unsigned i = 0; i < s->disks->len; i++) {
        SnapshotDisk *d = s->disks->pdata[i];
        if (d->location == SNAPSHOT_INTERNAL) {
            err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "internal snapshots are not supported: disk '%s'", d->name);
            return err_hint(err, "take an external one: --disk-only, and snapshot=external for this disk");
        }
        if (d->location == SNAPSHOT_MANUAL && running)
            return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED,
                           "snapshot='manual' is not supported while the guest runs, which would have to be paused for it: disk '%s'", d->name);
        if (d->location != SNAPSHOT_EXTERNAL)
            continue;
        external++;
        if (check_one(d, def, running, err) < 0)
            return -1;
    }
    return external ? 0 : err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "nothing selected for snapshot");
}
