/* qemu/dev_disk.c - disks: the device in front of an image, and both on the command line
 *
 * Owns:    nothing; what an image is for QEMU stands in block_nodes.c
 * Errors:  VIR_ERR_CONFIG_UNSUPPORTED naming the part of <disk>
 */
#include "config.h"

#include <fcntl.h>
#include <string.h>

#include "qemu/build.h"

/* ---- the device -------------------------------------------------------------------------------------------------------------- */

static const ControllerDef *disk_controller(const DomainDef *def, ControllerType type, const DiskDef *disk, Err *err)
{
    for (unsigned i = 0; i < def->controllers->len; i++) {
        const ControllerDef *c = def->controllers->pdata[i];
        if (c->type == type && c->index.set && c->index.v == disk->info.addr.drive.controller)
            return c;
    }
    err_set(err, VIR_ERR_INTERNAL_ERROR, "disk '%s' is on %s controller %u, which does not exist", disk->dst,
            controller_type_names[type], disk->info.addr.drive.controller);
    return NULL;
}

static bool disk_is_cdrom(const DiskDef *d)
{
    return d->device == DISK_DEVICE_CDROM;
}

static int ide_head(json_t *o, const DomainDef *def, const DiskDef *disk, Err *err)
{
    bool sata = disk->bus == DISK_BUS_SATA;
    const ControllerDef *c = disk_controller(def, sata ? CONTROLLER_SATA : CONTROLLER_IDE, disk, err);
    if (c == NULL)
        return -1;
    props_str(o, "driver", disk_is_cdrom(disk) ? "ide-cd" : "ide-hd");
    const char *bus = c->info.alias ? c->info.alias : "ide";
    if (sata) {
        props_strf(o, "bus", "%s.%u", bus, disk->info.addr.drive.unit);
    } else {
        props_strf(o, "bus", "%s.%u", bus, disk->info.addr.drive.bus);
        props_u64(o, "unit", disk->info.addr.drive.unit);
    }
    return 0;
}

static int scsi_head(json_t *o, const DomainDef *def, const DiskDef *disk, Err *err)
{
    const ControllerDef *c = disk_controller(def, CONTROLLER_SCSI, disk, err);
    if (c == NULL)
        return -1;
    if (disk->device == DISK_DEVICE_LUN)
        props_str(o, "driver", "scsi-block");
    else
        props_str(o, "driver", disk_is_cdrom(disk) ? "scsi-cd" : "scsi-hd");
    props_strf(o, "bus", "%s.0", c->info.alias);
    switch (c->model) {
    case CONTROLLER_MODEL_LSILOGIC: /* knows targets only */
    case CONTROLLER_MODEL_DC390:
    case CONTROLLER_MODEL_AM53C974:
    case CONTROLLER_MODEL_NCR53C90:
        props_u64(o, "scsi-id", disk->info.addr.drive.unit);
        break;
    default:
        props_u64(o, "channel", disk->info.addr.drive.bus);
        props_u64(o, "scsi-id", disk->info.addr.drive.target);
        props_u64(o, "lun", disk->info.addr.drive.unit);
        break;
    }
    if (disk->device != DISK_DEVICE_LUN) {
        /* named so that the guest sees the same identifier QEMU once derived from the drive's id */
        if (disk->serial)
            props_str(o, "device_id", disk->serial);
        else
            props_strf(o, "device_id", "drive-%s", disk->info.alias);
    }
    return 0;
}

static int virtio_head(json_t *o, const DomainDef *def, const DiskDef *disk, Err *err)
{
    static const char *const drivers[DISK_MODEL_MAX] = {
        [DISK_MODEL_ABSENT] = "virtio-blk-pci",
        [DISK_MODEL_VIRTIO] = "virtio-blk-pci",
        [DISK_MODEL_VIRTIO_TRANSITIONAL] = "virtio-blk-pci-transitional",
        [DISK_MODEL_VIRTIO_NON_TRANSITIONAL] = "virtio-blk-pci-non-transitional",
    };
    if (disk->iothread.set)
        return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "iothread of disk '%s'", disk->dst);
    props_str(o, "driver", drivers[disk->model]);
    props_tri(o, "ioeventfd", disk->ioeventfd);
    props_tri(o, "event_idx", disk->event_idx);
    props_opt(o, "num-queues", disk->queues);
    props_opt(o, "queue-size", disk->queue_size);
    return props_address(o, def, &disk->info, "a disk", err);
}

static int disk_head(json_t *o, const DomainDef *def, const DiskDef *disk, Err *err)
{
    switch (disk->bus) {
    case DISK_BUS_IDE:
    case DISK_BUS_SATA:
        return ide_head(o, def, disk, err);
    case DISK_BUS_SCSI:
        return scsi_head(o, def, disk, err);
    case DISK_BUS_VIRTIO:
        return virtio_head(o, def, disk, err);
    case DISK_BUS_USB:
        props_str(o, "driver", "usb-storage");
        return props_address(o, def, &disk->info, "a disk", err);
    case DISK_BUS_FDC:
        props_str(o, "driver", "floppy");
        props_u64(o, "unit", disk->info.addr.drive.unit);
        return 0;
    default:
        return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "bus '%s' of disk '%s'", enum_word(disk_bus_names, DISK_BUS_MAX, (int)disk->bus),
                       disk->dst);
    }
}

static void error_policy_props(json_t *o, const DiskDef *disk)
{
    const char *w = enum_word(disk_error_policy_names, DISK_ERROR_MAX, (int)disk->error_policy);
    const char *r = enum_word(disk_error_policy_names, DISK_ERROR_MAX, (int)disk->rerror_policy);
    if (disk->error_policy == DISK_ERROR_ENOSPACE) {
        w = "enospc"; /* for writes only; reads cannot run out of space */
    } else if (disk->rerror_policy == DISK_ERROR_ABSENT) {
        r = w;
    }
    props_str(o, "werror", w);
    props_str(o, "rerror", r);
}

/* WWNs are 16 hex digits in XML and a number in QEMU. */
static int wwn_prop(json_t *o, const DiskDef *disk, Err *err)
{
    if (disk->wwn == NULL)
        return 0;
    guint64 wwn;
    if (!g_ascii_string_to_unsigned(g_str_has_prefix(disk->wwn, "0x") ? disk->wwn + 2 : disk->wwn, 16, 0, G_MAXUINT64, &wwn, NULL))
        return err_set(err, VIR_ERR_XML_ERROR, "wwn '%s' of disk '%s' is not 16 hexadecimal digits", disk->wwn, disk->dst);
    props_u64(o, "wwn", wwn);
    return 0;
}

static bool writes_through(DiskCache c)
{
    return c == DISK_CACHE_WRITETHROUGH || c == DISK_CACHE_DIRECTSYNC;
}

static int disk_tail(json_t *o, const DomainDef *def, const DiskDef *disk, Err *err)
{
    if (disk->shareable && disk->bus != DISK_BUS_FDC)
        props_bool(o, "share-rw", true);
    if (disk->src->path) {
        g_autofree char *drive = qemu_node_top(disk);
        props_str(o, "drive", drive);
    }
    props_str(o, "id", disk->info.alias);
    unsigned boot = qemu_boot_index(def, DEVICE_DISK, disk);
    if (boot && disk->bus != DISK_BUS_FDC) /* a floppy's is a property of its controller */
        props_u64(o, "bootindex", boot);
    props_opt(o, "logical_block_size", disk->logical_block_size);
    props_opt(o, "physical_block_size", disk->physical_block_size);
    if (wwn_prop(o, disk, err) < 0)
        return -1;
    props_opt(o, "rotation_rate", disk->rotation_rate);
    props_str(o, "vendor", disk->vendor);
    props_str(o, "product", disk->product);
    if (disk->bus == DISK_BUS_USB)
        props_tri(o, "removable", disk->removable);
    if (disk->cache != DISK_CACHE_ABSENT && disk->bus != DISK_BUS_FDC)
        props_str(o, "write-cache", writes_through(disk->cache) ? "off" : "on");
    props_opt(o, "cyls", disk->cyls);
    props_opt(o, "heads", disk->heads);
    props_opt(o, "secs", disk->secs);
    props_str(o, "serial", disk->serial);
    error_policy_props(o, disk);
    return 0;
}

json_t *qemu_disk_props(const DomainDef *def, const DiskDef *disk, const QemuCaps *caps, Err *err)
{
    json_t *o = json_object();
    if (disk_head(o, def, disk, err) < 0 || disk_tail(o, def, disk, err) < 0) {
        json_decref(o);
        return NULL;
    }
    return o;
}

/* ---- command line ------------------------------------------------------------------------------------------------------------ */

/* The file name of an image for QEMU: NULL for its path, or the fdset its planned descriptor goes to. Caller frees. */
static char *plan_image(ArgvBuild *b, const StorageSource *src, bool writable)
{
    if (build_native(b) || src->type == STORAGE_NETWORK)
        return NULL;
    int set = (int)src->index.v;
    g_autofree char *node = qemu_node_storage(src);
    argv_plan_fdset(b, set, writable ? O_RDWR : O_RDONLY, src->path, node);
    return g_strdup_printf("/dev/fdset/%d", set);
}

/* Deepest image first: each names the one below. */
static int argv_image(ArgvBuild *b, const DiskDef *disk, const StorageSource *src, Err *err)
{
    if (src->backing && argv_image(b, disk, src->backing, err) < 0)
        return -1;
    bool read_only = src != disk->src || disk->readonly || disk_is_cdrom(disk);
    bool writable = !read_only || src->fd_writable;
    g_autofree char *filename = plan_image(b, src, writable);
    json_t *storage = qemu_storage_props(disk, src, filename, writable, err);
    if (storage == NULL)
        return -1;
    argv_add_json(b, "-blockdev", storage);
    json_t *format = qemu_format_props(disk, src, read_only, err);
    if (format == NULL)
        return -1;
    argv_add_json(b, "-blockdev", format);
    return 0;
}

int argv_disks(ArgvBuild *b, Err *err)
{
    for (unsigned i = 0; i < b->def->disks->len; i++) {
        const DiskDef *disk = b->def->disks->pdata[i];
        if (disk->transient)
            return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "<transient/> of disk '%s'", disk->dst);
        if (disk->src->path) {
            if (argv_image(b, disk, disk->src, err) < 0)
                return -1;
            if (disk->copy_on_read == TRI_YES)
                argv_add_json(b, "-blockdev", qemu_copy_on_read_props(disk));
        }
        json_t *props = qemu_disk_props(b->def, disk, b->env->caps, err);
        if (props == NULL)
            return -1;
        argv_add_json(b, "-device", props);
    }
    return 0;
}
