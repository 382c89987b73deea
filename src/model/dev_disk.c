/* model/dev_disk.c - <disk>
 *
 * Owns:    the rows of a disk; its image chain is in dev_storage.c
 * Threads: any
 * Errors:  VIR_ERR_XML_ERROR; what libvirt knows and Berth does not: VIR_ERR_CONFIG_UNSUPPORTED
 */
#include "config.h"

#include <string.h>

#include "base.h"
#include "errors.h"
#define ERR_FROM VIR_FROM_DOMAIN
#include "model/complete.h"
#include "model/storage_xml.h"

/* ---- <driver>: type= belongs to the image --------------------------------------------------------------------------------- */

static void driver_type_format(FormatCtx *c, const void *base, const Field *f)
{
    const DiskDef *d = base;
    /* A running machine's empty drive has no format; a stored one's is that of the next image. */
    if (!d->src->path && format_is_live(c))
        return;
    xml_attr(&c->w, "type", enum_word(storage_format_names, STORAGE_FORMAT_MAX, (int)d->src->format));
}

static const FieldHooks driver_type_hooks = {NULL, driver_type_format};

static const Field driver_table_fields[] = {
    A_STR("name", DiskDef, driver_name, ABI),
    IGNORE("@type"),
    WRITTEN("type", driver_type_hooks),
    A_ENUM("cache", DiskDef, cache, disk_cache_names, DISK_CACHE_MAX, 0),
    A_ENUM("error_policy", DiskDef, error_policy, disk_error_policy_names, DISK_ERROR_MAX, 0),
    A_ENUM("rerror_policy", DiskDef, rerror_policy, disk_error_policy_names, DISK_ERROR_MAX, 0),
    A_ENUM("io", DiskDef, io, disk_io_names, DISK_IO_MAX, 0),
    A_ONOFF("ioeventfd", DiskDef, ioeventfd, 0),
    A_ONOFF("event_idx", DiskDef, event_idx, ABI),
    A_ONOFF("copy_on_read", DiskDef, copy_on_read, 0),
    A_ENUM("discard", DiskDef, discard, disk_discard_names, DISK_DISCARD_MAX, 0),
    REFUSE("@iothread"),
    A_ENUM("detect_zeroes", DiskDef, detect_zeroes, disk_detect_zeroes_names, DISK_DETECT_ZEROES_MAX, 0),
    A_OPT("queues", DiskDef, queues, ABI, UINT32_MAX),
    A_OPT("queue_size", DiskDef, queue_size, ABI, UINT32_MAX),
    REFUSE("@iommu"),
    REFUSE("@ats"),
    REFUSE("@packed"),
    REFUSE("@page_per_vq"),
    REFUSE("metadata_cache"),
};

static int driver_finish(ParseCtx *c, xmlNode *node, void *base)
{
    DiskDef *d = base;
    return attr_enum_u(c, node, "type", storage_format_names, STORAGE_FORMAT_MAX, &d->src->format);
}

static const Table driver_table = {.element = "driver",
                                   .fields = driver_table_fields,
                                   .n = N_ELEMENTS(driver_table_fields),
                                   .finish = driver_finish};

/* ---- the rest -------------------------------------------------------------------------------------------------------------- */

static const Field target_table_fields[] = {
    A_STR("dev", DiskDef, dst, ABI),
    A_ENUM("bus", DiskDef, bus, disk_bus_names, DISK_BUS_MAX, ABI),
    A_ENUM("tray", DiskDef, tray, disk_tray_names, DISK_TRAY_MAX, LIVE),
    A_ONOFF("removable", DiskDef, removable, ABI),
    A_OPT("rotation_rate", DiskDef, rotation_rate, ABI, 0xffff),
};
GROUP_TABLE(target_table, "target");

static const Field geometry_table_fields[] = {
    A_OPT("cyls", DiskDef, cyls, ABI, UINT32_MAX),
    A_OPT("heads", DiskDef, heads, ABI, UINT32_MAX),
    A_OPT("secs", DiskDef, secs, ABI, UINT32_MAX),
    REFUSE("@trans"),
};
GROUP_TABLE(geometry_table, "geometry");

static const Field blockio_table_fields[] = {
    A_OPT("logical_block_size", DiskDef, logical_block_size, ABI, UINT32_MAX),
    A_OPT("physical_block_size", DiskDef, physical_block_size, ABI, UINT32_MAX),
    REFUSE("@discard_granularity"),
};
GROUP_TABLE(blockio_table, "blockio");

#define TUNE(m) L_U64(#m, DiskIoTune, m, LIVE)
static const Field iotune_table_fields[] = {
    TUNE(total_bytes_sec),
    TUNE(read_bytes_sec),
    TUNE(write_bytes_sec),
    TUNE(total_iops_sec),
    TUNE(read_iops_sec),
    TUNE(write_iops_sec),
    TUNE(total_bytes_sec_max),
    TUNE(read_bytes_sec_max),
    TUNE(write_bytes_sec_max),
    TUNE(total_iops_sec_max),
    TUNE(read_iops_sec_max),
    TUNE(write_iops_sec_max),
    TUNE(size_iops_sec),
    L_STR("group_name", DiskIoTune, group_name, LIVE),
    TUNE(total_bytes_sec_max_length),
    TUNE(read_bytes_sec_max_length),
    TUNE(write_bytes_sec_max_length),
    TUNE(total_iops_sec_max_length),
    TUNE(read_iops_sec_max_length),
    TUNE(write_iops_sec_max_length),
};

/* A limit for the total and one for a direction contradict each other. */
static int iotune_finish(ParseCtx *c, xmlNode *node, void *base)
{
    const DiskIoTune *t = base;
    if ((t->total_bytes_sec && (t->read_bytes_sec || t->write_bytes_sec)) ||
        (t->total_iops_sec && (t->read_iops_sec || t->write_iops_sec)) ||
        (t->total_bytes_sec_max && (t->read_bytes_sec_max || t->write_bytes_sec_max)) ||
        (t->total_iops_sec_max && (t->read_iops_sec_max || t->write_iops_sec_max))) {
        g_autofree char *where = node_where(node);
        return err_set(c->err, VIR_ERR_XML_ERROR, "total and read/write limits cannot be set at the same time (%s)", where);
    }
    return 0;
}
static const Table iotune_table = {.element = "iotune",
                                   .size = sizeof(DiskIoTune),
                                   .fields = iotune_table_fields,
                                   .n = N_ELEMENTS(iotune_table_fields),
                                   .finish = iotune_finish};

static void type_format(FormatCtx *c, const void *base, const Field *f)
{
    const DiskDef *d = base;
    xml_attr(&c->w, "type", storage_type_names[d->src->type]);
}
static const FieldHooks type_hooks = {NULL, type_format};

static void source_format(FormatCtx *c, const void *base, const Field *f)
{
    const DiskDef *d = base;
    storage_source_format(c, d->src, d->startup_policy);
    storage_backing_format(c, d->src);
}
static const FieldHooks source_hooks = {NULL, source_format};

static const Field disk_table_fields[] = {
    IGNORE("@type"),
    WRITTEN("type", type_hooks),
    A_ENUM("device", DiskDef, device, disk_device_names, DISK_DEVICE_MAX, ABI),
    A_ENUM("model", DiskDef, model, disk_model_names, DISK_MODEL_MAX, ABI),
    REFUSE("@rawio"),
    REFUSE("@sgio"),
    A_ENUM("snapshot", DiskDef, snapshot, snapshot_location_names, SNAPSHOT_MAX, LIVE),
    GROUP("driver", driver_table, 0),
    REFUSE("auth"),
    {.name = "source", .at = AT_IGNORE, .sub = &storage_source_table},
    {.name = "backingStore", .at = AT_IGNORE, .sub = &storage_source_table},
    WRITTEN("source", source_hooks),
    CUSTOM("mirror", mirror_hooks, &mirror_table, CHECKED),
    REFUSE("backenddomain"),
    GROUP("geometry", geometry_table, 0),
    GROUP("blockio", blockio_table, 0),
    GROUP("target", target_table, 0),
    EMBED("iotune", DiskDef, iotune, iotune_table, 0),
    REFUSE("throttlefilters"),
    FLAG("readonly", DiskDef, readonly, ABI),
    FLAG("shareable", DiskDef, shareable, 0),
    FLAG("transient", DiskDef, transient, NO_START),
    L_STR("serial", DiskDef, serial, ABI),
    L_STR("wwn", DiskDef, wwn, ABI),
    L_STR("vendor", DiskDef, vendor, ABI),
    L_STR("product", DiskDef, product, ABI),
    REFUSE("encryption"),
    IGNORE("privateData"),
    INFO_BOOT,
    INFO_ROWS,
    M_PTR("source", DiskDef, src, storage_source_table, LIVE),
    M_PTR("mirror", DiskDef, mirror, storage_source_table, RUNTIME),
    {.name = "source/@startupPolicy",
     .at = AT_MEMORY,
     .type = T_ENUM,
     .off = offsetof(DiskDef, startup_policy),
     .flags = LIVE},
};

static void disk_init(void *base)
{
    DiskDef *d = base;
    d->src = table_new(&storage_source_table);
}

DiskBus disk_default_bus(const DiskDef *d)
{
    static const struct {
        const char *prefix;
        DiskBus bus;
    } prefixes[] = {{"hd", DISK_BUS_IDE}, {"sd", DISK_BUS_SCSI}, {"vd", DISK_BUS_VIRTIO},
                    {"xvd", DISK_BUS_XEN}, {"ubd", DISK_BUS_UML}, {"fd", DISK_BUS_FDC}};
    if (d->device == DISK_DEVICE_FLOPPY)
        return DISK_BUS_FDC;
    for (size_t i = 0; i < N_ELEMENTS(prefixes); i++) {
        if (g_str_has_prefix(d->dst, prefixes[i].prefix))
            return prefixes[i].bus;
    }
    return DISK_BUS_IDE;
}

static int disk_finish(ParseCtx *c, xmlNode *node, void *base)
{
    DiskDef *d = base;
    g_autofree char *where = NULL;
    if (attr_enum(c, node, "type", storage_type_names, STORAGE_MAX, &d->src->type) < 0)
        return -1;
    if (!d->src->type)
        d->src->type = STORAGE_FILE;
    if (!d->device)
        d->device = DISK_DEVICE_DISK;
    if (d->src->type != STORAGE_FILE && d->src->type != STORAGE_BLOCK && d->src->type != STORAGE_NETWORK)
        return refuse_word(c, node, "type");
    xmlNode *source = node_child(node, "source");
    if (!source && d->src->type == STORAGE_NETWORK)
        d->src->type = STORAGE_FILE; /* an empty drive is on no network */
    if (source && storage_source_parse(c, source, d->src, &d->startup_policy) < 0)
        return -1;
    if (d->startup_policy && d->src->type == STORAGE_NETWORK) {
        where = node_where(node);
        return err_set(c->err, VIR_ERR_XML_ERROR, "startupPolicy '%s' is not allowed for a disk of type 'network' (%s)",
                       startup_policy_names[d->startup_policy], where);
    }
    if (storage_backing_parse(c, node, d->src) < 0)
        return -1;
    if (!d->dst) {
        where = node_where(node);
        return err_set(c->err, VIR_ERR_NO_TARGET, "%s", where);
    }
    if (!g_str_has_prefix(d->dst, "hd") && !g_str_has_prefix(d->dst, "sd") && !g_str_has_prefix(d->dst, "vd") &&
        !g_str_has_prefix(d->dst, "xvd") && !g_str_has_prefix(d->dst, "ubd") && !g_str_has_prefix(d->dst, "fd")) {
        where = node_where(node);
        return err_set(c->err, VIR_ERR_XML_ERROR, "Invalid disk target name '%s', it must start with one of: fd, hd, sd, ubd, vd, xvd (%s)",
                       d->dst, where);
    }
    if (d->device == DISK_DEVICE_CDROM || d->device == DISK_DEVICE_FLOPPY) {
        if (d->device == DISK_DEVICE_CDROM)
            d->readonly = true;
    }
    /* "open" is state; a closed tray is the rule and is not written. */
    if (d->tray == DISK_TRAY_CLOSED || d->device == DISK_DEVICE_DISK || d->device == DISK_DEVICE_LUN)
        d->tray = DISK_TRAY_ABSENT;
    return 0;
}

TABLE(disk_table, "disk", DiskDef, .init = disk_init, .finish = disk_finish);
