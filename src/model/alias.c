/* model/alias.c - names of the devices of a running guest
 *
 * Owns:    the scheme of aliases, which are also QEMU's device ids
 * Threads: any; the definition is the caller's own
 * Errors:  none
 */
#include "config.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "model/complete.h"

static void name(DeviceInfo *info, const char *fmt, ...) PRINTF_LIKE(2, 3);

static void name(DeviceInfo *info, const char *fmt, ...)
{
    if (info->alias)
        return;
    va_list ap;
    va_start(ap, fmt);
    info->alias = g_strdup_vprintf(fmt, ap);
    va_end(ap);
}

static void name_disk(const DomainDef *d, DiskDef *disk)
{
    const DeviceAddress *a = &disk->info.addr;
    int index = disk_name_index(disk->dst);
    switch (disk->bus) {
    case DISK_BUS_IDE:
    case DISK_BUS_SCSI:
    case DISK_BUS_SATA:
    case DISK_BUS_FDC: {
        const char *bus = disk_bus_names[disk->bus];
        const ControllerDef *ctl = disk->bus == DISK_BUS_SCSI ? controller_find(d, CONTROLLER_SCSI, a->drive.controller) : NULL;
        if (disk->bus == DISK_BUS_SCSI && (!ctl || ctl->model != CONTROLLER_MODEL_LSILOGIC))
            name(&disk->info, "%s%u-%u-%u-%u", bus, a->drive.controller, a->drive.bus, a->drive.target, a->drive.unit);
        else
            name(&disk->info, "%s%u-%u-%u", bus, a->drive.controller, a->drive.bus, a->drive.unit);
        return;
    }
    default:
        name(&disk->info, "%s-disk%d", disk_bus_names[disk->bus], index < 0 ? 0 : index);
        return;
    }
}

static unsigned count(const DomainDef *d, ControllerType type)
{
    unsigned n = 0;
    for (guint i = 0; i < d->controllers->len; i++)
        n += ((const ControllerDef *)d->controllers->pdata[i])->type == type;
    return n;
}

static void name_controller(const DomainDef *d, ControllerDef *ctl)
{
    Chipset chipset = domain_def_chipset(d);
    uint64_t index = ctl->index.v;
    switch (ctl->type) {
    case CONTROLLER_PCI:
        name(&ctl->info, ctl->model == CONTROLLER_MODEL_PCIE_ROOT ? "pcie.%" PRIu64 : "pci.%" PRIu64, index);
        return;
    case CONTROLLER_IDE:
        /* The chipset's own has the name QEMU gave it. */
        if (chipset == CHIPSET_I440FX && index == 0)
            name(&ctl->info, "ide");
        else
            name(&ctl->info, "ide%" PRIu64, index);
        return;
    case CONTROLLER_SATA:
        if (chipset == CHIPSET_Q35 && index == 0)
            name(&ctl->info, "ide");
        else
            name(&ctl->info, "sata%" PRIu64, index);
        return;
    case CONTROLLER_USB:
        if (index == 0)
            name(&ctl->info, "usb");
        else
            name(&ctl->info, "usb%" PRIu64, index);
        return;
    case CONTROLLER_SCSI:
        if (ctl->model == CONTROLLER_MODEL_NCR53C90 && count(d, CONTROLLER_SCSI) == 1)
            name(&ctl->info, "scsi");
        else
            name(&ctl->info, "scsi%" PRIu64, index);
        return;
    default:
        name(&ctl->info, "%s%" PRIu64, controller_type_names[ctl->type], index);
        return;
    }
}

#define EACH(Type, var, list)                                                                                          \
    for (guint i = 0; i < (list)->len; i++)                                                                            \
        for (Type *var = (list)->pdata[i]; var; var = NULL)

void domain_def_assign_aliases(DomainDef *d)
{
    EACH(DiskDef, disk, d->disks)
        name_disk(d, disk);
    EACH(ControllerDef, ctl, d->controllers)
        name_controller(d, ctl);
    EACH(NetDef, net, d->nets)
        name(&net->info, "net%u", i);
    EACH(ChrDef, serial, d->serials)
        name(&serial->info, "serial%u", i);
    EACH(ChrDef, parallel, d->parallels)
        name(&parallel->info, "parallel%u", i);
    EACH(ChrDef, console, d->consoles)
    {
        const ChrDef *serial = d->serials->len ? d->serials->pdata[0] : NULL;
        if (console->target_type == CHR_TARGET_SERIAL && serial && i == 0)
            name(&console->info, "%s", serial->info.alias);
        else
            name(&console->info, "console%u", i);
    }
    EACH(ChrDef, channel, d->channels)
        name(&channel->info, "channel%u", i);
    EACH(InputDef, input, d->inputs)
        name(&input->info, "input%u", i);
    EACH(SoundDef, sound, d->sounds)
        name(&sound->info, "sound%u", i);
    EACH(VideoDef, video, d->videos)
        name(&video->info, "video%u", i);
    EACH(HubDef, hub, d->hubs)
        name(&hub->info, "hub%u", i);
    EACH(WatchdogDef, dog, d->watchdogs)
        name(&dog->info, "watchdog%u", i);
    EACH(RngDef, rng, d->rngs)
        name(&rng->info, "rng%u", i);
    if (d->memballoon && d->memballoon->model != MEMBALLOON_NONE)
        name(&d->memballoon->info, "balloon0");
}
