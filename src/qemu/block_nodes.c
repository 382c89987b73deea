/* qemu/block_nodes.c - block nodes: an image as QEMU has it; throttling
 *
 * Owns:    node names and their numbering; which descriptors an image needs
 * Threads: any; pure
 * Errors:  VIR_ERR_CONFIG_UNSUPPORTED naming the part of <disk>
 *
 * Each image is two nodes: "libvirt-N-storage" (file or block device) and "libvirt-N-format".  Images are opened by the daemon and
 * reach QEMU in fdset N.  QEMU picks from a set by access mode and locks the open file description it got; the set keeps its own copy
 * of the descriptor, so when a node moves to another descriptor the locks on the old one stay behind and QEMU later trips over them
 * ("Failed to get shared write lock", in 7.2 even an abort at the end of a commit).  Hence:
 *   - an image is given with one descriptor: read-write for the writable top, read-only for everything else, but where a client's group
 *     of descriptors has a read-write one alone: then the storage node is read-write and the format node above it is not;
 *   - a writable image is opened without auto-read-only, so its node never moves, not even when it becomes a backing image;
 *   - to commit into a backing image: add-fd a read-write descriptor to its set, blockdev-reopen its storage node with auto-read-only
 *     and read-only off, then drop the locks left on the read-only one: qemu_image_make_writable.  The node stays read-write from then on.
 */
#include "config.h"

#include <string.h>

#include "model/iotune.h"
#include "qemu/build.h"

/* ---- nodes ------------------------------------------------------------------------------------------------------------------- */

char *qemu_node_storage(const StorageSource *src)
{
    return g_strdup_printf("libvirt-%u-storage", (unsigned)src->index.v);
}

char *qemu_node_format(const StorageSource *src)
{
    return g_strdup_printf("libvirt-%u-format", (unsigned)src->index.v);
}

char *qemu_node_top(const DiskDef *disk)
{
    if (disk->copy_on_read == TRI_YES)
        return g_strdup_printf("libvirt-CoR-%s", disk->dst);
    return qemu_node_format(disk->src);
}

void qemu_assign_nodes_disk(DiskDef *disk, unsigned *next)
{
    /* Who shares a disk must not keep parts of it in memory of this host. */
    if (disk->shareable && disk->cache == DISK_CACHE_ABSENT)
        disk->cache = DISK_CACHE_NONE;
    for (StorageSource *s = disk->src; s; s = s->backing) {
        if (!s->index.set)
            s->index = (OptU64){true, ++*next};
        else
            *next = MAX(*next, (unsigned)s->index.v);
    }
}

void qemu_assign_nodes(DomainDef *def, unsigned *next)
{
    /* last first: hot-plugged ones then number on from the top */
    for (unsigned i = def->disks->len; i > 0; i--)
        qemu_assign_nodes_disk(def->disks->pdata[i - 1], next);
}

/* What a cache mode means for the nodes. */
typedef struct CacheMode {
    bool direct, no_flush;
} CacheMode;

static const CacheMode cache_modes[DISK_CACHE_MAX] = {
    [DISK_CACHE_NONE] = {true, false},
    [DISK_CACHE_WRITETHROUGH] = {false, false},
    [DISK_CACHE_WRITEBACK] = {false, false},
    [DISK_CACHE_DIRECTSYNC] = {true, false},
    [DISK_CACHE_UNSAFE] = {false, true},
};

static void cache_props(json_t *o, const DiskDef *disk)
{
    if (disk->cache == DISK_CACHE_ABSENT)
        return;
    const CacheMode *m = &cache_modes[disk->cache];
    json_t *cache = json_object();
    props_bool(cache, "direct", m->direct);
    props_bool(cache, "no-flush", m->no_flush);
    json_object_set_new(o, "cache", cache);
}

/* QEMU's driver for a format; NULL: none. */
static const char *format_driver(StorageFormat f)
{
    switch (f) {
    case STORAGE_FORMAT_ABSENT:
    case STORAGE_FORMAT_RAW:
    case STORAGE_FORMAT_ISO:
        return "raw";
    case STORAGE_FORMAT_BOCHS:
    case STORAGE_FORMAT_CLOOP:
    case STORAGE_FORMAT_DMG:
    case STORAGE_FORMAT_VPC:
    case STORAGE_FORMAT_VDI:
    case STORAGE_FORMAT_QCOW:
    case STORAGE_FORMAT_QCOW2:
    case STORAGE_FORMAT_QED:
    case STORAGE_FORMAT_VMDK:
        return storage_format_names[f];
    case STORAGE_FORMAT_VHD:
        return "vpc";
    case STORAGE_FORMAT_PLOOP:
        return "parallels";
    default:
        return NULL;
    }
}

static bool format_can_back(StorageFormat f)
{
    return f == STORAGE_FORMAT_QCOW2 || f == STORAGE_FORMAT_QCOW || f == STORAGE_FORMAT_QED || f == STORAGE_FORMAT_VMDK;
}

/* QEMU connects by itself, and again when the server comes back. */
static json_t *nbd_props(const StorageSource *src)
{
    json_t *o = json_object(), *server = json_object();
    props_str(o, "driver", "nbd");
    props_str(server, "type", src->nbd_socket ? "unix" : "inet");
    if (src->nbd_socket) {
        props_str(server, "path", src->nbd_socket);
    } else {
        props_str(server, "host", src->nbd_host);
        props_strf(server, "port", "%u", src->nbd_port);
    }
    json_object_set_new(o, "server", server);
    if (*src->path)
        props_str(o, "export", src->path);
    if (src->nbd_reconnect.v)
        props_u64(o, "reconnect-delay", src->nbd_reconnect.v);
    return o;
}

json_t *qemu_storage_props(const DiskDef *disk, const StorageSource *src, const char *filename, bool writable, Err *err)
{
    if (src->type == STORAGE_NETWORK) {
        json_t *o = nbd_props(src);
        g_autofree char *node = qemu_node_storage(src);
        props_str(o, "node-name", node);
        cache_props(o, disk);
        props_bool(o, "auto-read-only", true);
        props_str(o, "discard", "unmap");
        return o;
    }
    if (src->type != STORAGE_FILE && src->type != STORAGE_BLOCK) {
        err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "source type '%s' of disk '%s'",
                enum_word(storage_type_names, STORAGE_MAX, (int)src->type), disk->dst);
        return NULL;
    }
    json_t *o = json_object();
    props_str(o, "driver", src->type == STORAGE_BLOCK ? "host_device" : "file");
    props_str(o, "filename", filename ? filename : src->path);
    props_str(o, "aio", enum_word(disk_io_names, DISK_IO_MAX, (int)disk->io));
    g_autofree char *node = qemu_node_storage(src);
    props_str(o, "node-name", node);
    cache_props(o, disk);
    props_bool(o, "auto-read-only", filename == NULL || !writable);
    props_str(o, "discard", "unmap");
    return o;
}

json_t *qemu_format_props(const DiskDef *disk, const StorageSource *src, bool read_only, Err *err)
{
    const char *driver = format_driver(src->format);
    if (driver == NULL) {
        err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "format '%s' of disk '%s'",
                enum_word(storage_format_names, STORAGE_FORMAT_MAX, (int)src->format), disk->dst);
        return NULL;
    }
    bool raw = strcmp(driver, "raw") == 0;
    if (src->slice_size.set && !raw) { /* it would be read and written outside its slice */
        err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "<slices> of disk '%s' for an image of format '%s', allowed: raw", disk->dst, driver);
        return NULL;
    }
    bool top = src == disk->src;
    g_autofree char *node = qemu_node_format(src);
    g_autofree char *file = qemu_node_storage(src);
    json_t *o = json_object();
    props_str(o, "node-name", node);
    props_bool(o, "read-only", read_only);
    props_str(o, "discard", enum_word(disk_discard_names, DISK_DISCARD_MAX, (int)disk->discard));
    if (top) {
        /* unmapping zeroes needs discarding to be on */
        DiskDetectZeroes z = disk->detect_zeroes;
        if (z == DISK_DETECT_ZEROES_UNMAP && disk->discard != DISK_DISCARD_UNMAP)
            z = DISK_DETECT_ZEROES_ON;
        props_str(o, "detect-zeroes", enum_word(disk_detect_zeroes_names, DISK_DETECT_ZEROES_MAX, (int)z));
    }
    cache_props(o, disk);
    props_str(o, "driver", driver);
    if (raw) {
        props_opt(o, "offset", src->slice_offset);
        props_opt(o, "size", src->slice_size);
    }
    props_str(o, "file", file);
    if (src->backing) {
        g_autofree char *backing = qemu_node_format(src->backing);
        props_str(o, "backing", backing);
    } else if (src->backing_ends && format_can_back(src->format)) {
        json_object_set_new(o, "backing", json_null());
    }
    return o;
}

json_t *qemu_copy_on_read_props(const DiskDef *disk)
{
    g_autofree char *node = qemu_node_top(disk);
    g_autofree char *file = qemu_node_format(disk->src);
    json_t *o = json_object();
    props_str(o, "driver", "copy-on-read");
    props_str(o, "node-name", node);
    props_str(o, "file", file);
    props_str(o, "discard", "unmap");
    return o;
}

/* ---- throttling -------------------------------------------------------------------------------------------------------------- */

json_t *qemu_throttle_args(const DiskDef *disk)
{
    json_t *o = json_object();
    for (unsigned i = 0; i < IOTUNE_FIELDS; i++) {
        const IoTuneField *f = &iotune_fields[i];
        uint64_t v = iotune_get(&disk->iotune, i);
        if (v || f->class == IOTUNE_BYTES || f->class == IOTUNE_IOPS) /* those QEMU wants in any case */
            props_u64(o, f->qmp, v);
    }
    props_str(o, "group", disk->iotune.group_name);
    return o;
}

const json_t *qemu_block_of_alias(const json_t *blocks, const char *alias)
{
    size_t i;
    json_t *b;
    g_autofree char *part = g_strdup_printf("/%s/", alias);
    json_array_foreach(blocks, i, b) {
        const char *qdev = json_string_value(json_object_get(b, "qdev"));
        if (qdev && (strcmp(qdev, alias) == 0 || strstr(qdev, part)))
            return b;
    }
    return NULL;
}
