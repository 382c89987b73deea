/* qemu/props.c - devices as JSON objects: what all families share
 *
 * Owns:    the forms of addresses and bus names in QEMU
 * Errors:  VIR_ERR_CONFIG_UNSUPPORTED, VIR_ERR_INTERNAL_ERROR for an address that names no controller
 */
#include "config.h"

#include <inttypes.h>
#include <stdlib.h>

#include "qemu/props.h"

void props_str(json_t *o, const char *key, const char *value)
{
    if (value)
        json_object_set_new(o, key, json_string(value));
}

void props_strf(json_t *o, const char *key, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    g_autofree char *s = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    props_str(o, key, s);
}

void props_u64(json_t *o, const char *key, uint64_t value)
{
    json_object_set_new(o, key, json_integer((json_int_t)value));
}

void props_opt(json_t *o, const char *key, OptU64 value)
{
    if (value.set)
        props_u64(o, key, value.v);
}

void props_bool(json_t *o, const char *key, bool value)
{
    json_object_set_new(o, key, json_boolean(value));
}

void props_tri(json_t *o, const char *key, TriState value)
{
    if (value != TRI_ABSENT)
        props_bool(o, key, value == TRI_YES);
}

void props_onoff(json_t *o, const char *key, TriState value)
{
    if (value != TRI_ABSENT)
        props_str(o, key, value == TRI_YES ? "on" : "off");
}

char *props_text(const json_t *o)
{
    /* jansson keeps the order of insertion; its text is malloc'ed */
    char *text = json_dumps(o, JSON_COMPACT | JSON_PRESERVE_ORDER);
    char *ret = g_strdup(text);
    free(text);
    return ret;
}

static const ControllerDef *find_controller(const DomainDef *def, ControllerType type, uint64_t index)
{
    for (unsigned i = 0; i < def->controllers->len; i++) {
        const ControllerDef *c = def->controllers->pdata[i];
        if (c->type == type && c->index.set && c->index.v == index)
            return c;
    }
    return NULL;
}

static int no_controller(const char *what, const char *type, uint64_t index, Err *err)
{
    return err_set(err, VIR_ERR_INTERNAL_ERROR, "the address of %s names %s controller %" PRIu64 ", which does not exist", what, type,
                   index);
}

static int pci_address(json_t *o, const DomainDef *def, const PciAddress *a, const char *what, Err *err)
{
    const ControllerDef *c = find_controller(def, CONTROLLER_PCI, a->bus);
    if (c == NULL || c->info.alias == NULL)
        return no_controller(what, "pci", a->bus, err);
    if (a->domain != 0)
        return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "PCI domain %04x of %s: only domain 0 exists", a->domain, what);
    props_str(o, "bus", c->info.alias);
    if (a->multifunction != TRI_ABSENT)
        props_bool(o, "multifunction", a->multifunction == TRI_YES);
    if (a->function)
        props_strf(o, "addr", "0x%x.0x%x", a->slot, a->function);
    else
        props_strf(o, "addr", "0x%x", a->slot);
    return 0;
}

int props_address(json_t *o, const DomainDef *def, const DeviceInfo *info, const char *what, Err *err)
{
    const DeviceAddress *a = &info->addr;
    const ControllerDef *c;
    switch (a->type) {
    case ADDRESS_PCI:
        if (pci_address(o, def, &a->pci, what, err) < 0)
            return -1;
        props_opt(o, "acpi-index", info->acpi_index);
        return 0;
    case ADDRESS_USB:
        c = find_controller(def, CONTROLLER_USB, a->usb.bus);
        if (c == NULL || c->info.alias == NULL)
            return no_controller(what, "usb", a->usb.bus, err);
        props_strf(o, "bus", "%s.0", c->info.alias);
        if (a->usb.port[0])
            props_str(o, "port", a->usb.port);
        return 0;
    case ADDRESS_VIRTIO_SERIAL:
        c = find_controller(def, CONTROLLER_VIRTIO_SERIAL, a->virtio_serial.controller);
        if (c == NULL || c->info.alias == NULL)
            return no_controller(what, "virtio-serial", a->virtio_serial.controller, err);
        props_strf(o, "bus", "%s.%u", c->info.alias, a->virtio_serial.bus);
        props_u64(o, "nr", a->virtio_serial.port);
        return 0;
    case ADDRESS_ISA:
        props_opt(o, "iobase", a->isa.iobase);
        props_opt(o, "irq", a->isa.irq);
        return 0;
    case ADDRESS_NONE:
    case ADDRESS_DRIVE: /* disks write theirs themselves: it depends on the bus */
        return 0;
    default:
        return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "address type '%s' of %s",
                       enum_word(address_type_names, ADDRESS_MAX, (int)a->type), what);
    }
}

void props_rom(json_t *o, const DeviceInfo *info)
{
    if (info->rom_enabled == TRI_NO) {
        props_str(o, "romfile", "");
        return;
    }
    if (info->rom_bar != TRI_ABSENT)
        props_u64(o, "rombar", info->rom_bar == TRI_YES ? 1 : 0);
    props_str(o, "romfile", info->rom_file);
}

/* ---- boot order -------------------------------------------------------------------------------------------------------------- */

static bool disk_boots_as(const DiskDef *d, int boot)
{
    switch (boot) {
    case BOOT_FD:
        return d->device == DISK_DEVICE_FLOPPY;
    case BOOT_CDROM:
        return d->device == DISK_DEVICE_CDROM;
    case BOOT_HD:
        return d->device == DISK_DEVICE_DISK || d->device == DISK_DEVICE_LUN;
    default:
        return false;
    }
}

/* The first device of the kind <boot dev=> means, or NULL. */
static const void *first_of(const DomainDef *def, int boot, DeviceKind kind)
{
    if (boot == BOOT_NETWORK)
        return kind == DEVICE_NET && def->nets->len > 0 ? def->nets->pdata[0] : NULL;
    if (kind != DEVICE_DISK)
        return NULL;
    for (unsigned i = 0; i < def->disks->len; i++) {
        if (disk_boots_as(def->disks->pdata[i], boot))
            return def->disks->pdata[i];
    }
    return NULL;
}

unsigned qemu_boot_index(const DomainDef *def, DeviceKind kind, const void *device)
{
    const DeviceInfo *info = device; /* head of every device */
    if (info->boot_order.set)
        return (unsigned)info->boot_order.v;
    for (unsigned i = 0; i < def->os.n_boot; i++) {
        if (first_of(def, def->os.boot[i], kind) == device)
            return i + 1;
    }
    return 0;
}
