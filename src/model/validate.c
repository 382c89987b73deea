/* model/validate.c - checks over a whole definition
 *
 * Owns:    what no single element can know: duplicates, impossible combinations
 * Threads: any
 * Errors:  the codes libvirt's checks have; VIR_ERR_CONFIG_UNSUPPORTED names the element
 */
#include "config.h"

#include <inttypes.h>
#include <string.h>

#include "base.h"
#include "errors.h"
#define ERR_FROM VIR_FROM_QEMU
#include "model/chr_xml.h"
#include "model/complete.h"
#include "model/iotune.h"

#define VNC_PASSWORD_MAX 8u
#define VIDEO_KIB_MAX (UINT64_C(1) << 31) /* the last power of two that is read */
#define REFUSED(err, ...) err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, __VA_ARGS__)

/* ---- machine --------------------------------------------------------------------------------------------------------------- */

static int check_machine(const DomainDef *d, Err *err)
{
    if (d->virt != VIRT_QEMU && d->virt != VIRT_KVM)
        return REFUSED(err, "domain type '%s' is not supported, allowed: qemu, kvm", virt_type_names[d->virt]);
    if (strchr(d->name, '/'))
        return err_set_full(err, VIR_FROM_DOMAIN, VIR_ERR_XML_ERROR, 0, "name %s cannot contain '/'", d->name);
    if (strchr(d->name, '\n'))
        return err_set_full(err, VIR_FROM_XML, VIR_ERR_XML_DETAIL, 0, "invalid char in name: newline");
    if (d->title && strchr(d->title, '\n'))
        return err_set_full(err, VIR_FROM_DOMAIN, VIR_ERR_XML_ERROR, 0, "Domain title can't contain newlines");
    if (d->cpu.sockets.set) {
        uint64_t n = 1;
        const OptU64 parts[] = {d->cpu.sockets, d->cpu.dies, d->cpu.clusters, d->cpu.cores, d->cpu.threads};
        for (size_t i = 0; i < N_ELEMENTS(parts); i++)
            n = parts[i].set ? MIN(n * parts[i].v, UINT64_C(1) << 32) : n;
        if (n != d->max_vcpus)
            return REFUSED(err, "CPU topology doesn't match maximum vcpu count (%" PRIu64 " against %u)", n, d->max_vcpus);
    }
    if (d->features.smm_tseg_mib.set && domain_def_chipset(d) != CHIPSET_Q35)
        return REFUSED(err, "SMM TSEG is only supported with q35 machine type");
    if (d->os.bios_serial == TRI_YES && !d->serials->len)
        return err_set(err, VIR_ERR_XML_ERROR, "need at least one serial port to use BIOS serial output");
    if (d->os.nvram || (d->os.loader_type && strcmp(d->os.loader_type, "pflash") == 0))
        return REFUSED(err, "UEFI firmware (<loader type='pflash'>, <nvram>) is not supported yet");
    if (d->on_poweroff == ON_PRESERVE || d->on_reboot == ON_PRESERVE)
        return REFUSED(err, "qemu driver doesn't support the 'preserve' action for 'on_reboot'/'on_poweroff'");
    if (d->on_poweroff == ON_RENAME_RESTART || d->on_reboot == ON_RENAME_RESTART || d->on_crash == ON_RENAME_RESTART)
        return REFUSED(err, "qemu driver doesn't support the 'rename-restart' action for 'on_reboot'/'on_poweroff'/'on_crash'");
    if (d->on_poweroff == ON_RESTART && d->on_reboot == ON_DESTROY)
        return REFUSED(err, "qemu driver doesn't support 'onReboot' set to 'destroy and 'onPoweroff' set to 'reboot'");
    if (d->on_poweroff >= ON_COREDUMP_DESTROY || d->on_reboot >= ON_COREDUMP_DESTROY)
        return REFUSED(err, "'coredump-destroy' and 'coredump-restart' are for on_crash only");
    if (d->features.viridian || d->features.hap)
        return REFUSED(err, "<features><%s/> is not supported by QEMU", d->features.viridian ? "viridian" : "hap");
    return 0;
}

/* ---- cpu ------------------------------------------------------------------------------------------------------------------- */

/* QEMU can be told of no cache but the third level's, and of that only that there is one. */
static int check_cpu(const DomainDef *d, Err *err)
{
    const CpuDef *cpu = &d->cpu;
    if (cpu->clusters.set && cpu->clusters.v > 1)
        return REFUSED(err, "CPU clusters are not supported by this machine type");
    bool host = cpu->mode == CPU_MODE_HOST_PASSTHROUGH || cpu->mode == CPU_MODE_MAXIMUM;
    if (cpu->cache_mode == CPU_CACHE_EMULATE && (!cpu->cache_level.set || cpu->cache_level.v != 3))
        return REFUSED(err, "CPU cache mode 'emulate' can only be used with level='3'");
    if (cpu->cache_mode == CPU_CACHE_PASSTHROUGH && !host)
        return REFUSED(err, "CPU cache mode 'passthrough' can only be used with 'host-passthrough' / 'maximum' CPUs");
    if (cpu->cache_mode != CPU_CACHE_EMULATE && cpu->cache_level.set)
        return REFUSED(err, "CPU cache mode '%s' is for all levels, level='%" PRIu64 "' is not supported", cpu_cache_mode_names[cpu->cache_mode],
                       cpu->cache_level.v);
    return 0;
}

/* ---- timers ---------------------------------------------------------------------------------------------------------------- */

static int timer_lacks(const TimerDef *t, const char *what, Err *err)
{
    return err_set_full(err, VIR_FROM_DOMAIN, VIR_ERR_CONFIG_UNSUPPORTED, 0, "timer %s doesn't support setting of timer %s",
                        timer_name_names[t->name], what);
}

/* What each timer has of the attributes they share. */
static int check_timer_parts(const TimerDef *t, Err *err)
{
    if (t->tickpolicy != TIMER_TICK_CATCHUP && (t->catchup_threshold || t->catchup_slew || t->catchup_limit))
        return err_set_full(err, VIR_FROM_DOMAIN, VIR_ERR_XML_ERROR, 0, "<catchup> of timer %s needs tickpolicy='catchup'",
                            timer_name_names[t->name]);
    if (t->name != TIMER_TSC && t->frequency.set)
        return timer_lacks(t, "frequency", err);
    if (t->name != TIMER_TSC && t->mode)
        return timer_lacks(t, "mode", err);
    if (t->name != TIMER_RTC && t->name != TIMER_PLATFORM && t->track)
        return timer_lacks(t, "track", err);
    return 0;
}

static int check_timer(const TimerDef *t, Err *err)
{
    switch (t->name) {
    case TIMER_PLATFORM:
        return REFUSED(err, "unsupported timer type (name) 'platform'");
    case TIMER_RTC:
        if (t->tickpolicy == TIMER_TICK_MERGE || t->tickpolicy == TIMER_TICK_DISCARD)
            return REFUSED(err, "unsupported rtc timer tickpolicy '%s', allowed: delay, catchup", timer_tick_policy_names[t->tickpolicy]);
        if (t->track == TIMER_TRACK_BOOT)
            return REFUSED(err, "unsupported rtc timer track 'boot', allowed: guest, wall, realtime");
        return 0;
    case TIMER_PIT:
        if (t->tickpolicy == TIMER_TICK_MERGE)
            return REFUSED(err, "unsupported pit tickpolicy 'merge', allowed: delay, catchup, discard");
        return 0;
    case TIMER_KVMCLOCK:
    case TIMER_HYPERVCLOCK:
    case TIMER_ARMVTIMER:
        if (t->tickpolicy && t->name != TIMER_ARMVTIMER)
            return timer_lacks(t, "tickpolicy", err);
        return 0;
    default:
        return 0;
    }
}

static int check_timers(const DomainDef *d, Err *err)
{
    for (guint i = 0; d->clock.timers && i < d->clock.timers->len; i++) {
        if (check_timer(d->clock.timers->pdata[i], err) < 0 || check_timer_parts(d->clock.timers->pdata[i], err) < 0)
            return -1;
    }
    return 0;
}

/* ---- controllers ----------------------------------------------------------------------------------------------------------- */

/* The one inside the chipset is where the chipset has it. */
static int check_place(const ControllerDef *ctl, unsigned slot, unsigned function, const char *what, Err *err)
{
    const PciAddress *a = &ctl->info.addr.pci;
    if (ctl->index.v != 0 || ctl->info.addr.type != ADDRESS_PCI || (!a->domain && !a->bus && a->slot == slot && a->function == function))
        return 0;
    return err_set(err, VIR_ERR_XML_ERROR, "%s must have PCI address 0:0:%x.%x", what, slot, function);
}

static int check_controllers(const DomainDef *d, Err *err)
{
    Chipset chipset = domain_def_chipset(d);
    for (guint i = 0; i < d->controllers->len; i++) {
        const ControllerDef *ctl = d->controllers->pdata[i];
        int r = 0;
        if (ctl->type == CONTROLLER_IDE && chipset == CHIPSET_Q35)
            r = REFUSED(err, "IDE controllers are unsupported for machine type '%s', use bus='sata'", d->os.machine);
        else if (ctl->type == CONTROLLER_IDE && chipset == CHIPSET_I440FX && ctl->index.v > 0)
            r = REFUSED(err, "Only a single IDE controller is supported for this machine type");
        else if (ctl->type == CONTROLLER_IDE && chipset == CHIPSET_I440FX)
            r = check_place(ctl, 1, 1, "Primary IDE controller", err);
        else if (ctl->type == CONTROLLER_SATA && chipset == CHIPSET_Q35)
            r = check_place(ctl, 0x1f, 2, "Primary SATA controller", err);
        else if (ctl->type == CONTROLLER_USB && ctl->model == CONTROLLER_MODEL_PIIX3_UHCI && chipset == CHIPSET_I440FX)
            r = check_place(ctl, 1, 2, "PIIX3 USB controller at index 0", err);
        if (r < 0)
            return -1;
    }
    return 0;
}

/* ---- boot order ------------------------------------------------------------------------------------------------------------ */

static int check_boot_orders(const DomainDef *d, Err *err)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(g_direct_hash, g_direct_equal);
    for (int kind = 1; kind < DEVICE_MAX; kind++) {
        GPtrArray *list = domain_def_devices(d, (DeviceKind)kind);
        for (guint i = 0; list && i < list->len; i++) {
            const DeviceInfo *info = list->pdata[i];
            if (!info->boot_order.set)
                continue;
            if (d->os.n_boot)
                return REFUSED(err, "per-device boot elements cannot be used together with os/boot elements");
            if (!g_hash_table_add(seen, GUINT_TO_POINTER((guint)info->boot_order.v)))
                return err_set_full(err, VIR_FROM_DOMAIN, VIR_ERR_CONFIG_UNSUPPORTED, 0, "boot order '%" PRIu64 "' used for more than one device",
                                    info->boot_order.v);
        }
    }
    return 0;
}

/* ---- disks ----------------------------------------------------------------------------------------------------------------- */

static int check_wwn(const DiskDef *disk, Err *err)
{
    if (!disk->wwn)
        return 0;
    if (disk->bus != DISK_BUS_IDE && disk->bus != DISK_BUS_SCSI)
        return REFUSED(err, "Only ide and scsi disk support wwn (disk '%s')", disk->dst);
    if (strlen(disk->wwn) != 16 || strspn(disk->wwn, "0123456789abcdefABCDEF") != 16)
        return err_set(err, VIR_ERR_XML_ERROR, "Malformed wwn: %s, it has 16 hexadecimal digits", disk->wwn);
    return 0;
}

static int check_target(const DiskDef *disk, Err *err)
{
    if (disk_name_index(disk->dst) < 0)
        return err_set_full(err, VIR_FROM_DOMAIN, VIR_ERR_XML_ERROR, 0, "Unknown disk name '%s', it is letters, such as vda", disk->dst);
    if (strpbrk(disk->dst, "0123456789"))
        return REFUSED(err, "invalid disk target '%s', partitions can't appear in disk targets", disk->dst);
    return 0;
}

static int check_disk(const DomainDef *d, const DiskDef *disk, Err *err)
{
    bool removable = disk->device == DISK_DEVICE_CDROM || disk->device == DISK_DEVICE_FLOPPY;
    if (disk->bus == DISK_BUS_XEN || disk->bus == DISK_BUS_UML || disk->bus == DISK_BUS_SD)
        return REFUSED(err, "unsupported disk bus '%s' for '%s'", disk_bus_names[disk->bus], disk->dst);
    if (!removable && !disk->src->path)
        return err_set_full(err, VIR_FROM_DOMAIN, VIR_ERR_NO_SOURCE, 0, "%s", disk->dst);
    if (disk->device == DISK_DEVICE_FLOPPY && disk->bus != DISK_BUS_FDC)
        return err_set_full(err, VIR_FROM_DOMAIN, VIR_ERR_XML_ERROR, 0, "Invalid bus type '%s' for floppy disk", disk_bus_names[disk->bus]);
    if (disk->device != DISK_DEVICE_FLOPPY && disk->bus == DISK_BUS_FDC)
        return err_set_full(err, VIR_FROM_DOMAIN, VIR_ERR_XML_ERROR, 0, "Invalid bus type '%s' for disk", disk_bus_names[disk->bus]);
    if (disk->device == DISK_DEVICE_CDROM && disk->bus == DISK_BUS_VIRTIO)
        return REFUSED(err, "disk type of '%s' does not support ejectable media", disk->dst);
    if (disk->device == DISK_DEVICE_LUN && disk->src->type != STORAGE_BLOCK)
        return REFUSED(err, "disk device='lun' is only valid for block type disk source");
    if (disk->device == DISK_DEVICE_LUN && disk->bus != DISK_BUS_SCSI && disk->bus != DISK_BUS_VIRTIO)
        return REFUSED(err, "disk device='lun' is not supported for bus='%s'", disk_bus_names[disk->bus]);
    if (disk->startup_policy && !removable && disk->startup_policy == STARTUP_REQUISITE)
        return err_set_full(err, VIR_FROM_DOMAIN, VIR_ERR_XML_ERROR, 0, "disk startupPolicy 'requisite' is for cdrom and floppy only (disk '%s')", disk->dst);
    for (unsigned i = 0; i < IOTUNE_FIELDS; i++) {
        if (iotune_get(&disk->iotune, i) > IOTUNE_LIMIT)
            return err_set(err, VIR_ERR_ARGUMENT_UNSUPPORTED, "block I/O throttle limit must be no more than %" PRIu64 " using QEMU: '%s' of disk '%s'",
                           IOTUNE_LIMIT, iotune_fields[i].name, disk->dst);
    }
    if (disk->iotune.group_name && !iotune_any(&disk->iotune))
        return REFUSED(err, "group_name can be configured only together with settings (disk '%s')", disk->dst);
    if (strcmp(disk->driver_name ? disk->driver_name : "qemu", "qemu") != 0)
        return REFUSED(err, "unsupported driver name '%s' for disk '%s'", disk->driver_name, disk->dst);
    if (disk->readonly && disk->device == DISK_DEVICE_DISK && (disk->bus == DISK_BUS_IDE || disk->bus == DISK_BUS_SATA))
        return REFUSED(err, "readonly %s disks are not supported", disk_bus_names[disk->bus]);
    if (disk->bus == DISK_BUS_VIRTIO && disk->info.addr.type == ADDRESS_DRIVE)
        return REFUSED(err, "virtio disk cannot have an address of type 'drive' (disk '%s')", disk->dst);
    if ((disk->vendor || disk->product) && disk->bus != DISK_BUS_SCSI)
        return REFUSED(err, "Only scsi disk supports vendor and product (disk '%s')", disk->dst);
    if (disk->vendor && strlen(disk->vendor) > 8)
        return REFUSED(err, "disk vendor is more than 8 characters (disk '%s')", disk->dst);
    if (disk->product && strlen(disk->product) > 16)
        return REFUSED(err, "disk product is more than 16 characters (disk '%s')", disk->dst);
    if (disk->model && disk->bus != DISK_BUS_VIRTIO)
        return REFUSED(err, "disk model='%s' is only for bus='virtio' (disk '%s')", disk_model_names[disk->model], disk->dst);
    if (disk->rotation_rate.set && disk->bus != DISK_BUS_SCSI && disk->bus != DISK_BUS_IDE && disk->bus != DISK_BUS_SATA)
        return REFUSED(err, "rotation rate is only valid for SCSI/IDE/SATA bus");
    if (disk->removable && disk->bus != DISK_BUS_USB && disk->bus != DISK_BUS_SCSI)
        return REFUSED(err, "removable is only valid for usb or scsi disks");
    if (disk->bus != DISK_BUS_VIRTIO && (disk->queues.set || disk->queue_size.set || disk->ioeventfd || disk->event_idx))
        return REFUSED(err, "disk driver queues, queue_size, ioeventfd and event_idx are only for bus='virtio' (disk '%s')", disk->dst);
    if (disk->shareable && disk->src->format != STORAGE_FORMAT_RAW)
        return REFUSED(err, "shared access for disk '%s' requires use of supported storage format", disk->dst);
    if (disk->shareable && disk->cache && disk->cache != DISK_CACHE_NONE && disk->cache != DISK_CACHE_DIRECTSYNC)
        return REFUSED(err, "shared access for disk '%s' requires use of cache='none' or 'directsync'", disk->dst);
    if (disk->io == DISK_IO_NATIVE && disk->cache != DISK_CACHE_NONE && disk->cache != DISK_CACHE_DIRECTSYNC)
        return REFUSED(err, "io='native' needs either no disk cache or directsync cache mode (disk '%s')", disk->dst);
    if (disk->rerror_policy == DISK_ERROR_ENOSPACE)
        return err_set_full(err, VIR_FROM_DOMAIN, VIR_ERR_CONFIG_UNSUPPORTED, 0, "Invalid disk read error policy: 'enospace' (disk '%s')", disk->dst);
    if (disk->src->format != STORAGE_FORMAT_RAW && disk->src->format != STORAGE_FORMAT_QCOW2)
        return REFUSED(err, "unsupported disk format '%s' for disk '%s', allowed: raw, qcow2", storage_format_names[disk->src->format], disk->dst);
    return check_target(disk, err) < 0 ? -1 : check_wwn(disk, err);
}

static const char *source_text(const DiskDef *disk)
{
    return disk->src->path ? disk->src->path : "<null>";
}

static int check_disks(const DomainDef *d, Err *err)
{
    g_autoptr(GHashTable) targets = g_hash_table_new(g_str_hash, g_str_equal);
    g_autoptr(GHashTable) places = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (guint i = 0; i < d->disks->len; i++) {
        DiskDef *disk = d->disks->pdata[i];
        const DeviceAddress *a = &disk->info.addr;
        const DiskDef *other = g_hash_table_lookup(targets, disk->dst);
        if (other)
            return err_set_full(err, VIR_FROM_DOMAIN, VIR_ERR_XML_ERROR, 0, "target '%s' duplicated for disk sources '%s' and '%s'", disk->dst,
                                source_text(other), source_text(disk));
        g_hash_table_insert(targets, disk->dst, disk);
        if (check_disk(d, disk, err) < 0)
            return -1;
        if (a->type != ADDRESS_DRIVE)
            continue;
        char *place = g_strdup_printf("%d:%u:%u:%u:%u", (int)disk->bus, a->drive.controller, a->drive.bus, a->drive.target, a->drive.unit);
        if (!g_hash_table_add(places, place))
            return err_set_full(err, VIR_FROM_DOMAIN, VIR_ERR_CONFIG_UNSUPPORTED, 0,
                                "Found duplicate drive address for disk with target name '%s' controller='%u' bus='%u' target='%u' unit='%u'",
                                disk->dst, a->drive.controller, a->drive.bus, a->drive.target, a->drive.unit);
    }
    return 0;
}

/* ---- other devices --------------------------------------------------------------------------------------------------------- */

/* The model of a serial port is one its type has; the other types are those of other architectures. */
static int check_serial(const ChrDef *chr, Err *err)
{
    static const struct {
        ChrTargetType type;
        ChrTargetModel model;
    } fit[] = {
        {CHR_TARGET_ISA_SERIAL, CHR_MODEL_ISA_SERIAL},
        {CHR_TARGET_USB_SERIAL, CHR_MODEL_USB_SERIAL},
        {CHR_TARGET_PCI_SERIAL, CHR_MODEL_PCI_SERIAL},
        {CHR_TARGET_ISA_DEBUG, CHR_MODEL_ISA_DEBUGCON},
    };
    const char *type = chr_target_type_names[chr->target_type], *model = chr_target_model_names[chr->target_model];
    bool known = false;
    for (size_t i = 0; i < N_ELEMENTS(fit); i++) {
        if (fit[i].type == chr->target_type && fit[i].model == chr->target_model)
            return 0;
        if (fit[i].model == chr->target_model)
            return REFUSED(err, "Target model '%s' requires target type '%s'", model, chr_target_type_names[fit[i].type]);
        known |= fit[i].type == chr->target_type;
    }
    return known ? REFUSED(err, "Target model '%s' is not one of target type '%s'", model, type)
                 : REFUSED(err, "Serial device with target type '%s' not compatible with guest architecture or machine type", type);
}

static int check_chrs(const DomainDef *d, Err *err)
{
    GPtrArray *lists[] = {d->serials, d->parallels, d->consoles, d->channels};
    unsigned isa = 0;
    for (size_t l = 0; l < N_ELEMENTS(lists); l++) {
        for (guint i = 0; i < lists[l]->len; i++) {
            const ChrDef *chr = lists[l]->pdata[i];
            if (chr_source_validate(&chr->source, err) < 0)
                return -1;
            /* A start finds a place for a channel's socket, and for no other's. */
            if (chr->source.type == CHR_UNIX && !chr->source.path && (chr->kind != CHR_KIND_CHANNEL || chr->target_type != CHR_TARGET_VIRTIO))
                return err_set(err, VIR_ERR_XML_ERROR, "Missing source path attribute for char device of type unix");
            if (chr->kind == CHR_KIND_SERIAL && check_serial(chr, err) < 0)
                return -1;
            isa += chr->kind == CHR_KIND_SERIAL && chr->target_type == CHR_TARGET_ISA_SERIAL;
            if (chr->kind == CHR_KIND_CHANNEL && chr->target_type == CHR_TARGET_XEN)
                return REFUSED(err, "<channel><target type='xen'> is not supported");
            if (chr->kind == CHR_KIND_CONSOLE && chr->target_type != CHR_TARGET_SERIAL && chr->target_type != CHR_TARGET_VIRTIO)
                return REFUSED(err, "unsupported console target type %s", chr_target_type_names[chr->target_type]);
        }
    }
    if (isa > 4)
        return err_set_full(err, VIR_FROM_DOMAIN, VIR_ERR_XML_ERROR, 0, "Maximum supported number of ISA serial ports is '4'");
    return 0;
}

static int check_nets(const DomainDef *d, Err *err)
{
    for (guint i = 0; i < d->nets->len; i++) {
        const NetDef *net = d->nets->pdata[i];
        if (net->model && net->model[strspn(net->model, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")])
            return err_set(err, VIR_ERR_INVALID_ARG, "Model name contains invalid characters");
        const OptU64 sizes[] = {net->rx_queue_size, net->tx_queue_size};
        for (size_t k = 0; k < N_ELEMENTS(sizes); k++) {
            if (sizes[k].v & (sizes[k].v - 1))
                return REFUSED(err, "%s has to be a power of two", k ? "tx_queue_size" : "rx_queue_size");
        }
        if (net->info.rom_enabled == TRI_NO && (net->info.rom_bar || net->info.rom_file))
            return err_set_full(err, VIR_FROM_DOMAIN, VIR_ERR_CONFIG_UNSUPPORTED, 0, "ROM tuning is not supported when ROM is disabled");
        if (net->mtu.set && net->type == NET_USER)
            return REFUSED(err, "setting MTU on interface type %s is not supported yet", net_type_names[net->type]);
    }
    return 0;
}

/* Sizes QEMU would take for others. */
static int check_video_memory(const VideoDef *v, Err *err)
{
    const char *of_qxl = v->ram.set ? "ram" : v->vgamem.set ? "vgamem" : v->vram64.set ? "vram64" : NULL;
    if (of_qxl && v->type != VIDEO_QXL)
        return REFUSED(err, "%s attribute only supported for video type qxl", of_qxl);
    if (v->ram.v > VIDEO_KIB_MAX || v->vram.v > VIDEO_KIB_MAX)
        return REFUSED(err, "value for '%s' must be at most 2 TiB", v->ram.v > VIDEO_KIB_MAX ? "ram" : "vram");
    if (v->vgamem.set && v->vgamem.v < 1024)
        return REFUSED(err, "value for 'vgamem' must be at least 1 MiB (1024 KiB)");
    if (v->vgamem.set && (v->vgamem.v & (v->vgamem.v - 1)))
        return REFUSED(err, "value for 'vgamem' must be power of two");
    if ((v->type == VIDEO_VGA || v->type == VIDEO_VMVGA) && v->vram.set && v->vram.v < 1024)
        return REFUSED(err, "value for 'vram' must be at least 1 MiB (1024 KiB)");
    return 0;
}

static int check_videos(const DomainDef *d, Err *err)
{
    for (guint i = 0; i < d->videos->len; i++) {
        const VideoDef *v = d->videos->pdata[i];
        if (v->type == VIDEO_NONE && d->videos->len > 1)
            return err_set_full(err, VIR_FROM_DOMAIN, VIR_ERR_CONFIG_UNSUPPORTED, 0, "a '%s' video type must be the only video device defined for the domain", "none");
        switch (v->type) {
        case VIDEO_VGA:
        case VIDEO_CIRRUS:
        case VIDEO_VMVGA:
        case VIDEO_RAMFB:
        case VIDEO_BOCHS:
            if (i > 0)
                return REFUSED(err, "video type '%s' is only valid as primary video device", video_type_names[v->type]);
            break;
        case VIDEO_XEN:
        case VIDEO_VBOX:
        case VIDEO_PARALLELS:
        case VIDEO_GOP:
            return REFUSED(err, "video type '%s' is not supported with QEMU", video_type_names[v->type]);
        default:
            break;
        }
        bool sized = v->type == VIDEO_VGA || v->type == VIDEO_QXL || v->type == VIDEO_VIRTIO || v->type == VIDEO_BOCHS;
        if ((v->res_x.set || v->res_y.set) && !sized)
            return err_set_full(err, VIR_FROM_DOMAIN, VIR_ERR_XML_ERROR, 0, "model resolution is not supported by video type '%s'",
                                video_type_names[v->type]);
        if (v->heads.set && v->heads.v > 1 && v->type != VIDEO_QXL && v->type != VIDEO_VIRTIO)
            return REFUSED(err, "video type '%s' doesn't support multiple 'heads'", video_type_names[v->type]);
        if (check_video_memory(v, err) < 0)
            return -1;
        if (v->accel2d == TRI_YES || v->accel3d == TRI_YES)
            return REFUSED(err, "<video><model><acceleration> is not supported");
    }
    return 0;
}

/* As a start reads it (UTC), and nothing else: a password that is thought to expire must. */
static bool date_is_valid(const char *text)
{
    static const char form[] = "dddd-dd-ddTdd:dd:dd";
    for (size_t i = 0; i < sizeof form; i++) {
        if (form[i] == 'd' ? !g_ascii_isdigit(text[i]) : text[i] != form[i])
            return false;
    }
    g_autoptr(GTimeZone) utc = g_time_zone_new_utc();
    g_autoptr(GDateTime) t = g_date_time_new_from_iso8601(text, utc);
    return t != NULL;
}

static int check_graphics(const DomainDef *d, Err *err)
{
    for (guint i = 0; i < d->graphics->len; i++) {
        const GraphicsDef *g = d->graphics->pdata[i];
        if (g->listens->len > 1)
            return REFUSED(err, "qemu supports only one listen element for 'vnc' graphics");
        if (i > 0)
            return REFUSED(err, "only one <graphics type='vnc'> is supported");
        if (g->port > 65535)
            return REFUSED(err, "vnc port must be in range [5900,65535]");
        if (g->websocket > 65535)
            return REFUSED(err, "vnc websocket port must be at most 65535");
        if (g->password && strlen(g->password) > VNC_PASSWORD_MAX) /* the protocol has no more: the rest would protect nothing */
            return REFUSED(err, "VNC password is %zu characters long, only %u permitted", strlen(g->password), VNC_PASSWORD_MAX);
        if (g->password && g->password_valid_to && !date_is_valid(g->password_valid_to))
            return err_set_full(err, VIR_FROM_DOMAIN, VIR_ERR_XML_ERROR, 0, "cannot parse password validity time '%s', expect YYYY-MM-DDTHH:MM:SS",
                                g->password_valid_to);
        if (g->connected && g->connected != GRAPHICS_CONNECTED_KEEP)
            return REFUSED(err, "VNC supports connected='keep' only");
    }
    return 0;
}

static int check_small(const DomainDef *d, Err *err)
{
    if (d->watchdogs->len > 1)
        return err_set_full(err, VIR_FROM_QEMU, VIR_ERR_INTERNAL_ERROR, 0, "only a single watchdog device is supported");
    for (guint i = 0; i < d->watchdogs->len; i++) {
        const WatchdogDef *w = d->watchdogs->pdata[i];
        if (w->model == WATCHDOG_MODEL_DIAG288)
            return REFUSED(err, "watchdog model 'diag288' is not supported, allowed: i6300esb, ib700");
    }
    if (d->memballoon && d->memballoon->model == MEMBALLOON_XEN)
        return REFUSED(err, "Memory balloon device type '%s' is not supported by this version of qemu", "xen");
    for (guint i = 0; i < d->panics->len; i++) {
        const PanicDef *p = d->panics->pdata[i];
        if (p->model == PANIC_PSERIES || p->model == PANIC_S390)
            return REFUSED(err, "panic model '%s' is not for this machine", panic_model_names[p->model]);
        for (guint k = 0; k < i; k++) {
            if (((const PanicDef *)d->panics->pdata[k])->model == p->model)
                return err_set_full(err, VIR_FROM_DOMAIN, VIR_ERR_XML_ERROR, 0, "Multiple panic devices with model '%s'",
                                    panic_model_names[p->model]);
        }
    }
    for (guint i = 0; i < d->inputs->len; i++) {
        const InputDef *in = d->inputs->pdata[i];
        if (in->bus == INPUT_BUS_XEN || in->bus == INPUT_BUS_PARALLELS || in->bus == INPUT_BUS_NONE)
            return REFUSED(err, "input bus '%s' is not supported, allowed: ps2, usb, virtio", input_bus_names[in->bus]);
        if (in->bus == INPUT_BUS_PS2 && in->type == INPUT_TABLET)
            return err_set_full(err, VIR_FROM_DOMAIN, VIR_ERR_XML_ERROR, 0, "ps2 bus does not support tablet input device");
        if (in->model && in->type != INPUT_PASSTHROUGH)
            return REFUSED(err, "virtio (non-)transitional models are not supported for input type=%s", input_type_names[in->type]);
    }
    return 0;
}

/* ---- aliases --------------------------------------------------------------------------------------------------------------- */

static int check_aliases(const DomainDef *d, Err *err)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
    for (int kind = 1; kind < DEVICE_MAX; kind++) {
        GPtrArray *list = domain_def_devices(d, (DeviceKind)kind);
        for (guint i = 0; list && i < list->len; i++) {
            const DeviceInfo *info = list->pdata[i];
            if (!info->alias || !g_str_has_prefix(info->alias, "ua-") || kind == DEVICE_CONSOLE)
                continue;
            if (!g_hash_table_add(seen, info->alias))
                return err_set_full(err, VIR_FROM_DOMAIN, VIR_ERR_CONFIG_UNSUPPORTED, 0, "non unique alias detected: %s", info->alias);
        }
    }
    return 0;
}

int domain_def_check_whole(const DomainDef *d, Err *err)
{
    static const uint8_t no_uuid[UUID_LEN];
    const char *lacks = memcmp(d->uuid, no_uuid, UUID_LEN) == 0 ? "uuid"
                        : !d->max_memory_kib                    ? "memory"
                        : !d->cur_memory_kib                    ? "currentMemory"
                        : !d->max_vcpus                         ? "vcpu"
                        : !d->os.arch                           ? "os/type/@arch"
                        : !d->os.machine                        ? "os/type/@machine"
                        : !d->emulator                          ? "devices/emulator"
                                                                : NULL;
    if (!lacks)
        return 0;
    err_set(err, VIR_ERR_XML_ERROR, "it is incomplete: no %s", lacks);
    return err_hint(err, "have it completed by defining it: virsh define FILE");
}

int domain_def_validate(const DomainDef *d, Err *err)
{
    static int (*const checks[])(const DomainDef *, Err *) = {
        check_machine, check_cpu,  check_timers, check_boot_orders, check_disks, check_controllers,
        check_chrs,    check_nets, check_videos, check_graphics,    check_small, check_aliases,
    };
    for (size_t i = 0; i < N_ELEMENTS(checks); i++) {
        if (checks[i](d, err) < 0)
            return -1;
    }
    return 0;
}
