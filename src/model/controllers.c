/* model/controllers.c - which controllers a definition has
 *
 * Owns:    order and index of controllers, and those nobody wrote down
 * Threads: any; the definition is the caller's own
 * Errors:  VIR_ERR_XML_ERROR, VIR_ERR_CONFIG_UNSUPPORTED
 */
#include "config.h"

#include <inttypes.h>
#include <string.h>

#include "base.h"
#include "errors.h"
#define ERR_FROM VIR_FROM_DOMAIN
#include "model/complete.h"

Chipset domain_def_chipset(const DomainDef *d)
{
    const char *m = d->os.machine;
    if (!m || !d->os.arch || (strcmp(d->os.arch, "x86_64") != 0 && strcmp(d->os.arch, "i686") != 0))
        return CHIPSET_OTHER;
    if (strcmp(m, "q35") == 0 || g_str_has_prefix(m, "pc-q35-"))
        return CHIPSET_Q35;
    if (strcmp(m, "pc") == 0 || g_str_has_prefix(m, "pc-i440fx-") || g_str_has_prefix(m, "pc-0.") || g_str_has_prefix(m, "pc-1."))
        return CHIPSET_I440FX;
    return CHIPSET_OTHER;
}

ControllerDef *controller_find(const DomainDef *d, ControllerType type, uint64_t index)
{
    for (guint i = 0; i < d->controllers->len; i++) {
        ControllerDef *ctl = d->controllers->pdata[i];
        if (ctl->type == type && ctl->index.v == index)
            return ctl;
    }
    return NULL;
}

ControllerDef *controller_add(DomainDef *d, ControllerType type, uint64_t index, ControllerModel model)
{
    ControllerDef *ctl = table_new(&controller_table);
    ctl->type = type;
    ctl->index = (OptU64){true, index};
    ctl->model = model;
    g_ptr_array_add(d->controllers, ctl);
    return ctl;
}

static bool is_ich9(const ControllerDef *ctl)
{
    return ctl->model >= CONTROLLER_MODEL_ICH9_EHCI1 && ctl->model <= CONTROLLER_MODEL_ICH9_UHCI3;
}

/* ---- order ----------------------------------------------------------------------------------------------------------------- */

/* Does `ctl` belong before `other` of its type?  A companion follows its master. */
static bool goes_before(const ControllerDef *ctl, const ControllerDef *other)
{
    if (!other->index.set)
        return false;
    if (other->index.v != ctl->index.v)
        return other->index.v > ctl->index.v;
    return other->usb_master_startport.set && !ctl->usb_master_startport.set;
}

/* Among those of its type by index, without one after the last of them, or at the end: where libvirt puts a controller it reads. */
void controller_insert(GPtrArray *list, ControllerDef *ctl)
{
    gint at = -1;
    for (guint k = list->len; k-- > 0;) {
        const ControllerDef *other = list->pdata[k];
        if (other->type != ctl->type)
            continue;
        if (!ctl->index.set) {
            at = (gint)k + 1;
            break;
        }
        if (goes_before(ctl, other))
            at = (gint)k;
        else if (at < 0)
            at = (gint)k + 1;
    }
    g_ptr_array_insert(list, at, ctl);
}

void disk_insert(GPtrArray *list, DiskDef *disk)
{
    gint at = -1;
    for (guint k = list->len; k-- > 0;) {
        const DiskDef *other = list->pdata[k];
        if (other->bus != disk->bus)
            continue;
        if (disk_name_index(other->dst) > disk_name_index(disk->dst))
            at = (gint)k;
        else if (at < 0)
            at = (gint)k + 1;
    }
    g_ptr_array_insert(list, at, disk);
}

/* As if the definition had been written and read again. */
void domain_def_resort(DomainDef *d)
{
    GPtrArray *disks = g_ptr_array_sized_new(d->disks->len), *controllers = g_ptr_array_sized_new(d->controllers->len);
    for (guint i = 0; i < d->disks->len; i++)
        disk_insert(disks, d->disks->pdata[i]);
    for (guint i = 0; i < d->controllers->len; i++)
        controller_insert(controllers, d->controllers->pdata[i]);
    g_ptr_array_unref(d->disks);
    g_ptr_array_unref(d->controllers);
    d->disks = disks;
    d->controllers = controllers;
    for (guint i = 0; i < d->consoles->len; i++)
        ((ChrDef *)d->consoles->pdata[i])->target_port = (OptU64){true, i};
}

/* "none" is for all of USB, and a controller beside it contradicts it. */
static int check_usb(const DomainDef *d, Err *err)
{
    unsigned n = 0;
    bool off = false;
    for (guint i = 0; i < d->controllers->len; i++) {
        const ControllerDef *ctl = d->controllers->pdata[i];
        n += ctl->type == CONTROLLER_USB;
        off |= ctl->type == CONTROLLER_USB && ctl->model == CONTROLLER_MODEL_NONE;
    }
    if (!off || n < 2)
        return 0;
    return err_set(err, VIR_ERR_XML_DETAIL, "Can't add another USB controller: USB is disabled for this domain");
}

/* The first index from `next` on that no controller of the type has. */
static uint64_t first_unused(const DomainDef *d, ControllerType type, uint64_t next)
{
    for (bool taken = true; taken;) {
        taken = false;
        for (guint k = 0; k < d->controllers->len && !taken; k++) {
            const ControllerDef *other = d->controllers->pdata[k];
            taken = other->type == type && other->index.set && other->index.v == next;
        }
        next += taken;
    }
    return next;
}

int controllers_settle(DomainDef *d, Err *err)
{
    if (check_usb(d, err) < 0)
        return -1;
    /* The first free index of each type; a companion shares its master's.  What is taken stays so: the search goes on where it ended. */
    uint64_t from[CONTROLLER_MAX] = {0};
    for (guint i = 0; i < d->controllers->len; i++) {
        ControllerDef *ctl = d->controllers->pdata[i];
        if (ctl->index.set)
            continue;
        uint64_t next = from[ctl->type] = first_unused(d, ctl->type, from[ctl->type]);
        const ControllerDef *previous = NULL;
        for (guint k = 0; k < d->controllers->len; k++) {
            const ControllerDef *other = d->controllers->pdata[k];
            if (other->type == ctl->type && other->index.set && is_ich9(other))
                previous = other;
        }
        if (ctl->type == CONTROLLER_USB && is_ich9(ctl) && ctl->usb_master_startport.set && previous)
            next = previous->index.v;
        if (next > 0 && (ctl->model == CONTROLLER_MODEL_PCI_ROOT || ctl->model == CONTROLLER_MODEL_PCIE_ROOT))
            next = 0; /* the root is always 0; a second one is caught below */
        ctl->index = (OptU64){true, next};
    }
    for (guint i = 0; i < d->controllers->len; i++) {
        const ControllerDef *a = d->controllers->pdata[i];
        if (a->index.v > 65535)
            return err_set(err, VIR_ERR_XML_ERROR, "controller index '%" PRIu64 "' is too large, at most 65535", a->index.v);
        bool root = a->model == CONTROLLER_MODEL_PCI_ROOT || a->model == CONTROLLER_MODEL_PCIE_ROOT;
        if (root && a->index.v != 0)
            return err_set(err, VIR_ERR_XML_ERROR, "pci-root and pcie-root controllers should have index 0");
        for (guint k = 0; k < i && !a->usb_master_startport.set; k++) {
            const ControllerDef *b = d->controllers->pdata[k];
            if (b->type == a->type && b->index.v == a->index.v && !(is_ich9(a) && is_ich9(b)))
                return err_set(err, VIR_ERR_XML_ERROR, "Multiple '%s' controllers with index '%" PRIu64 "'",
                               controller_type_names[a->type], a->index.v);
        }
    }
    return 0;
}

/* ---- what is always there -------------------------------------------------------------------------------------------------- */

static bool has_type(const DomainDef *d, ControllerType type)
{
    for (guint i = 0; i < d->controllers->len; i++) {
        if (((const ControllerDef *)d->controllers->pdata[i])->type == type)
            return true;
    }
    return false;
}

int controllers_add_default(DomainDef *d, Err *err)
{
    Chipset chipset = domain_def_chipset(d);
    if (chipset == CHIPSET_OTHER)
        return 0;
    bool q35 = chipset == CHIPSET_Q35;
    if (!has_type(d, CONTROLLER_USB))
        controller_add(d, CONTROLLER_USB, 0, q35 ? CONTROLLER_MODEL_QEMU_XHCI : CONTROLLER_MODEL_PIIX3_UHCI);
    if (q35 && !controller_find(d, CONTROLLER_SATA, 0))
        controller_add(d, CONTROLLER_SATA, 0, CONTROLLER_MODEL_ABSENT);
    ControllerModel root = q35 ? CONTROLLER_MODEL_PCIE_ROOT : CONTROLLER_MODEL_PCI_ROOT;
    const ControllerDef *have = controller_find(d, CONTROLLER_PCI, 0);
    if (have && have->model != root)
        return err_set(err, VIR_ERR_XML_ERROR, "The PCI controller with index='0' must be model='%s' for this machine type, but model='%s' was found instead",
                       controller_model_names[root], controller_model_names[have->model]);
    if (!have)
        controller_add(d, CONTROLLER_PCI, 0, root);
    return 0;
}

/* ---- what devices need ----------------------------------------------------------------------------------------------------- */

static int add_up_to(DomainDef *d, ControllerType type, uint64_t max, Err *err)
{
    if (max > CONTROLLER_INDEX_MAX)
        return err_set(err, VIR_ERR_XML_ERROR, "a device wants %s controller %" PRIu64 ", at most %u is possible",
                       controller_type_names[type], max, CONTROLLER_INDEX_MAX);
    for (uint64_t i = 0; i <= max; i++) {
        if (!controller_find(d, type, i))
            controller_add(d, type, i, CONTROLLER_MODEL_ABSENT);
    }
    return 0;
}

static int add_for_disks(DomainDef *d, DiskBus bus, ControllerType type, Err *err)
{
    int64_t max = -1;
    for (guint i = 0; i < d->disks->len; i++) {
        const DiskDef *disk = d->disks->pdata[i];
        if (disk->bus == bus && disk->info.addr.type == ADDRESS_DRIVE)
            max = MAX(max, (int64_t)disk->info.addr.drive.controller);
    }
    return max < 0 ? 0 : add_up_to(d, type, (uint64_t)max, err);
}

/* Controllers for channels and virtio consoles: the one an address names, else the first; each when it is first met. */
static int add_for_channels(DomainDef *d, Err *err)
{
    GPtrArray *lists[] = {d->channels, d->consoles};
    for (size_t l = 0; l < N_ELEMENTS(lists); l++) {
        for (guint i = 0; i < lists[l]->len; i++) {
            const ChrDef *chr = lists[l]->pdata[i];
            if (chr->target_type != CHR_TARGET_VIRTIO)
                continue;
            uint64_t want = chr->info.addr.type == ADDRESS_VIRTIO_SERIAL ? chr->info.addr.virtio_serial.controller : 0;
            if (want > CONTROLLER_INDEX_MAX)
                return err_set(err, VIR_ERR_XML_ERROR, "a channel wants virtio-serial controller %" PRIu64 ", at most %u is possible", want,
                               CONTROLLER_INDEX_MAX);
            if (!controller_find(d, CONTROLLER_VIRTIO_SERIAL, want))
                controller_add(d, CONTROLLER_VIRTIO_SERIAL, want, CONTROLLER_MODEL_ABSENT);
        }
    }
    return 0;
}

int controllers_add_implied(DomainDef *d, Err *err)
{
    if (add_for_disks(d, DISK_BUS_SCSI, CONTROLLER_SCSI, err) < 0 || add_for_disks(d, DISK_BUS_FDC, CONTROLLER_FDC, err) < 0 ||
        add_for_disks(d, DISK_BUS_IDE, CONTROLLER_IDE, err) < 0 || add_for_disks(d, DISK_BUS_SATA, CONTROLLER_SATA, err) < 0 ||
        add_for_channels(d, err) < 0)
        return -1;
    for (guint i = 0; i < d->controllers->len; i++) {
        ControllerDef *ctl = d->controllers->pdata[i];
        if (ctl->type == CONTROLLER_SCSI && (!ctl->model || ctl->model == CONTROLLER_MODEL_AUTO))
            ctl->model = CONTROLLER_MODEL_LSILOGIC;
        if (ctl->type == CONTROLLER_USB && !ctl->model && domain_def_chipset(d) != CHIPSET_OTHER)
            ctl->model = CONTROLLER_MODEL_PIIX3_UHCI;
    }
    return 0;
}
