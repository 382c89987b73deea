/* model/addr_other.c - addresses on drive, virtio-serial and usb buses
 *
 * Owns:    the mapping of target names to drive addresses, ports of virtio-serial controllers, ports of usb controllers and hubs
 * Threads: any; the definition is the caller's own
 * Errors:  VIR_ERR_XML_ERROR
 */
#include "config.h"

#include <inttypes.h>
#include <string.h>

#include "base.h"
#include "errors.h"
#define ERR_FROM VIR_FROM_DOMAIN
#include "model/complete.h"

/* ---- drives ---------------------------------------------------------------------------------------------------------------- */

int disk_name_index(const char *name)
{
    static const char *const prefixes[] = {"fd", "hd", "vd", "sd", "xvd", "ubd"};
    const char *p = NULL;
    for (size_t i = 0; i < N_ELEMENTS(prefixes) && !p; i++) {
        if (g_str_has_prefix(name, prefixes[i]))
            p = name + strlen(prefixes[i]);
    }
    if (!p || !g_ascii_islower(*p))
        return -1;
    int index = 0;
    for (int i = 0; *p && g_ascii_islower(*p); i++, p++) {
        if (index > (INT32_MAX - 26) / 26)
            return -1;
        index = (i ? index + 1 : 0) * 26 + (*p - 'a');
    }
    /* A partition number is tolerated, more is not. */
    return p[strspn(p, "0123456789")] ? -1 : index;
}

int addr_assign_drives(DomainDef *d, Err *err)
{
    for (guint i = 0; i < d->disks->len; i++) {
        DiskDef *disk = d->disks->pdata[i];
        DeviceAddress *a = &disk->info.addr;
        if (a->type != ADDRESS_NONE ||
            (disk->bus != DISK_BUS_SCSI && disk->bus != DISK_BUS_IDE && disk->bus != DISK_BUS_SATA && disk->bus != DISK_BUS_FDC))
            continue;
        int index = disk_name_index(disk->dst);
        if (index < 0)
            return err_set(err, VIR_ERR_XML_ERROR, "Unknown disk name '%s' and no address specified", disk->dst);
        uint32_t n = (uint32_t)index;
        memset(a, 0, sizeof *a);
        a->type = ADDRESS_DRIVE;
        switch (disk->bus) {
        case DISK_BUS_SCSI:
            a->drive.controller = n / 7;
            a->drive.unit = n % 7;
            break;
        case DISK_BUS_IDE:
            a->drive.controller = n / 4;
            a->drive.bus = n % 4 / 2;
            a->drive.unit = n % 2;
            break;
        case DISK_BUS_SATA:
            a->drive.controller = n / 6;
            a->drive.unit = n % 6;
            break;
        default:
            a->drive.controller = n / 2;
            a->drive.unit = n % 2;
            break;
        }
    }
    return 0;
}

/* ---- virtio-serial --------------------------------------------------------------------------------------------------------- */

#define VIRTIO_PORTS_DEFAULT 31u
#define VIRTIO_PORTS_MAX     512u

typedef struct PortMap {
    ControllerDef *ctl;
    unsigned ports;
    bool used[VIRTIO_PORTS_MAX];
} PortMap;

static bool wants_virtio_port(const ChrDef *chr)
{
    return chr->target_type == CHR_TARGET_VIRTIO && (chr->kind == CHR_KIND_CHANNEL || chr->kind == CHR_KIND_CONSOLE);
}

static PortMap *map_of(GPtrArray *maps, uint32_t index)
{
    for (guint i = 0; i < maps->len; i++) {
        PortMap *m = maps->pdata[i];
        if (m->ctl->index.v == index)
            return m;
    }
    return NULL;
}

static void map_add(GPtrArray *maps, ControllerDef *ctl)
{
    PortMap *m = g_new0(PortMap, 1);
    m->ctl = ctl;
    m->ports = ctl->ports.set ? (unsigned)MIN(ctl->ports.v, VIRTIO_PORTS_MAX) : VIRTIO_PORTS_DEFAULT;
    guint at = 0;
    while (at < maps->len && ((const PortMap *)maps->pdata[at])->ctl->index.v < ctl->index.v)
        at++;
    g_ptr_array_insert(maps, (gint)at, m);
}

static int port_reserve(GPtrArray *maps, ChrDef *chr, Err *err)
{
    DeviceAddress *a = &chr->info.addr;
    PortMap *m = map_of(maps, a->virtio_serial.controller);
    if (!m)
        return err_set(err, VIR_ERR_XML_ERROR, "virtio serial controller %u is missing", a->virtio_serial.controller);
    if (a->virtio_serial.port >= m->ports)
        return err_set(err, VIR_ERR_XML_ERROR, "virtio serial port %u is out of range, controller %u has ports 1 to %u",
                       a->virtio_serial.port, a->virtio_serial.controller, m->ports - 1);
    if (m->used[a->virtio_serial.port])
        return err_set(err, VIR_ERR_XML_ERROR, "virtio serial port %u on controller %u is already occupied",
                       a->virtio_serial.port, a->virtio_serial.controller);
    m->used[a->virtio_serial.port] = true;
    return 0;
}

static int port_assign(DomainDef *d, GPtrArray *maps, ChrDef *chr, Err *err)
{
    DeviceAddress *a = &chr->info.addr;
    bool console = chr->kind == CHR_KIND_CONSOLE;
    bool controller_given = a->type == ADDRESS_VIRTIO_SERIAL; /* with port 0: "any port of that one" */
    for (;;) {
        for (guint i = 0; i < maps->len; i++) {
            PortMap *m = maps->pdata[i];
            if (controller_given ? m->ctl->index.v != a->virtio_serial.controller : m->ctl->index.v > CONTROLLER_INDEX_MAX)
                continue; /* no address may name one beyond that */
            /* Port 0 is for a console: older guests want it so. */
            for (unsigned p = console ? 0 : 1; p < m->ports; p++) {
                if (m->used[p])
                    continue;
                m->used[p] = true;
                memset(a, 0, sizeof *a);
                a->type = ADDRESS_VIRTIO_SERIAL;
                a->virtio_serial.controller = (uint32_t)m->ctl->index.v;
                a->virtio_serial.port = p;
                return 0;
            }
        }
        if (controller_given || maps->len > 255)
            return err_set(err, VIR_ERR_XML_ERROR, "Unable to find a free virtio-serial port");
        uint64_t next = 0;
        while (controller_find(d, CONTROLLER_VIRTIO_SERIAL, next))
            next++;
        map_add(maps, controller_add(d, CONTROLLER_VIRTIO_SERIAL, next, CONTROLLER_MODEL_ABSENT));
    }
}

int addr_assign_virtio_serial(DomainDef *d, Err *err)
{
    g_autoptr(GPtrArray) maps = g_ptr_array_new_with_free_func(g_free);
    for (guint i = 0; i < d->controllers->len; i++) {
        ControllerDef *ctl = d->controllers->pdata[i];
        if (ctl->type == CONTROLLER_VIRTIO_SERIAL)
            map_add(maps, ctl);
    }
    GPtrArray *lists[] = {d->consoles, d->channels};
    for (int pass = 0; pass < 2; pass++) {
        for (size_t l = 0; l < N_ELEMENTS(lists); l++) {
            for (guint i = 0; i < lists[l]->len; i++) {
                ChrDef *chr = lists[l]->pdata[i];
                if (!wants_virtio_port(chr))
                    continue;
                bool given = chr->info.addr.type == ADDRESS_VIRTIO_SERIAL && chr->info.addr.virtio_serial.port;
                /* A console without a port stays on its default; only channels are given one. */
                if (chr->kind == CHR_KIND_CONSOLE && chr->info.addr.type == ADDRESS_NONE)
                    continue;
                if (pass == 0 && given && port_reserve(maps, chr, err) < 0)
                    return -1;
                if (pass == 1 && !given && port_assign(d, maps, chr, err) < 0)
                    return -1;
            }
        }
    }
    return 0;
}

/* ---- usb ------------------------------------------------------------------------------------------------------------------- */

#define USB_HUB_PORTS 8u
#define USB_PORTS_MAX 16u
#define USB_BUS_MAX   64u

typedef struct UsbHub {
    char prefix[24]; /* "" for a controller's own ports, "1." for a hub in port 1 */
    uint32_t bus;
    unsigned depth, ports;
    bool used[USB_PORTS_MAX + 1];
} UsbHub;

static unsigned usb_ports(const ControllerDef *ctl)
{
    switch (ctl->model) {
    case CONTROLLER_MODEL_EHCI:
    case CONTROLLER_MODEL_ICH9_EHCI1:
        return 6;
    case CONTROLLER_MODEL_PCI_OHCI:
        return 3;
    case CONTROLLER_MODEL_NEC_XHCI:
    case CONTROLLER_MODEL_QEMU_XHCI:
        return ctl->ports.set ? (unsigned)MIN(ctl->ports.v, USB_PORTS_MAX) : 4;
    case CONTROLLER_MODEL_NONE:
    case CONTROLLER_MODEL_ICH9_UHCI1:
    case CONTROLLER_MODEL_ICH9_UHCI2:
    case CONTROLLER_MODEL_ICH9_UHCI3:
        return 0; /* companions have no ports of their own */
    default:
        return 2;
    }
}

static void usb_hub_add(GPtrArray *hubs, uint32_t bus, const char *prefix, unsigned depth, unsigned ports)
{
    UsbHub *h = g_new0(UsbHub, 1);
    g_strlcpy(h->prefix, prefix, sizeof h->prefix);
    h->bus = bus;
    h->depth = depth;
    h->ports = ports;
    g_ptr_array_add(hubs, h);
}

/* Devices that sit on USB, hubs first: they make room for the others. */
static void usb_collect(const DomainDef *d, GPtrArray *out)
{
    for (guint i = 0; i < d->hubs->len; i++)
        g_ptr_array_add(out, &((HubDef *)d->hubs->pdata[i])->info);
    for (guint i = 0; i < d->disks->len; i++) {
        DiskDef *disk = d->disks->pdata[i];
        if (disk->bus == DISK_BUS_USB)
            g_ptr_array_add(out, &disk->info);
    }
    for (guint i = 0; i < d->controllers->len; i++) {
        ControllerDef *ctl = d->controllers->pdata[i];
        if (ctl->type == CONTROLLER_CCID)
            g_ptr_array_add(out, &ctl->info);
    }
    for (guint i = 0; i < d->inputs->len; i++) {
        InputDef *in = d->inputs->pdata[i];
        if (in->bus == INPUT_BUS_USB)
            g_ptr_array_add(out, &in->info);
    }
    for (guint i = 0; i < d->serials->len; i++) {
        ChrDef *chr = d->serials->pdata[i];
        if (chr->target_type == CHR_TARGET_USB_SERIAL)
            g_ptr_array_add(out, &chr->info);
    }
    for (guint i = 0; i < d->sounds->len; i++) {
        SoundDef *s = d->sounds->pdata[i];
        if (s->model == SOUND_USB)
            g_ptr_array_add(out, &s->info);
    }
}

static int usb_reserve(GPtrArray *hubs, const DeviceAddress *a, Err *err)
{
    const char *dot = strrchr(a->usb.port, '.');
    g_autofree char *prefix = g_strndup(a->usb.port, dot ? (gsize)(dot - a->usb.port + 1) : 0);
    uint64_t port = 0;
    if (!parse_u64(dot ? dot + 1 : a->usb.port, 10, USB_PORTS_MAX, &port) || port == 0)
        return err_set(err, VIR_ERR_XML_ERROR, "USB port '%s' on bus %u is not possible", a->usb.port, a->usb.bus);
    for (guint i = 0; i < hubs->len; i++) {
        UsbHub *h = hubs->pdata[i];
        if (h->bus != a->usb.bus || strcmp(h->prefix, prefix) != 0)
            continue;
        if (port > h->ports)
            return err_set(err, VIR_ERR_XML_ERROR, "requested USB port %s not present on USB bus %u", a->usb.port, a->usb.bus);
        if (h->used[port])
            return err_set(err, VIR_ERR_XML_ERROR, "Duplicate USB address bus %u port %s", a->usb.bus, a->usb.port);
        h->used[port] = true;
        return 0;
    }
    return err_set(err, VIR_ERR_XML_ERROR, "Missing USB bus %u or hub for port %s", a->usb.bus, a->usb.port);
}

/* The nearest free port: controllers before hubs, in order of bus. */
static int usb_assign(GPtrArray *hubs, DeviceAddress *a, Err *err)
{
    bool bus_given = a->type == ADDRESS_USB;
    for (unsigned depth = 0; depth < 6; depth++) {
        for (guint i = 0; i < hubs->len; i++) {
            UsbHub *h = hubs->pdata[i];
            if (h->depth != depth || (bus_given && h->bus != a->usb.bus))
                continue;
            for (unsigned p = 1; p <= h->ports; p++) {
                if (h->used[p])
                    continue;
                h->used[p] = true;
                memset(a, 0, sizeof *a);
                a->type = ADDRESS_USB;
                a->usb.bus = h->bus;
                g_snprintf(a->usb.port, sizeof a->usb.port, "%s%u", h->prefix, p);
                return 0;
            }
        }
    }
    return err_set(err, VIR_ERR_XML_ERROR, "No free USB ports");
}

static bool has_port(const DeviceInfo *info)
{
    return info->addr.type == ADDRESS_USB && info->addr.usb.port[0];
}

static unsigned free_ports(const GPtrArray *hubs)
{
    unsigned n = 0;
    for (guint i = 0; i < hubs->len; i++) {
        const UsbHub *h = hubs->pdata[i];
        for (unsigned p = 1; p <= h->ports; p++)
            n += !h->used[p];
    }
    return n;
}

/* Opens the ports a hub brings, once it sits somewhere. */
static void hub_open(GPtrArray *hubs, const DeviceInfo *info)
{
    char prefix[24];
    unsigned depth = 1;
    for (const char *p = info->addr.usb.port; *p; p++)
        depth += *p == '.';
    g_snprintf(prefix, sizeof prefix, "%.20s.", info->addr.usb.port);
    usb_hub_add(hubs, info->addr.usb.bus, prefix, depth, USB_HUB_PORTS);
}

/* Devices that want a bus which the definition says there is none of. */
static int usb_is_off(const DomainDef *d, const GPtrArray *devices, Err *err)
{
    const ControllerDef *first = controller_find(d, CONTROLLER_USB, 0);
    if (!devices->len || !first || first->model != CONTROLLER_MODEL_NONE)
        return 0;
    if (d->hubs->len)
        return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "Can't add USB hub: USB is disabled for this domain");
    for (guint i = 0; i < d->inputs->len; i++) {
        if (((const InputDef *)d->inputs->pdata[i])->bus == INPUT_BUS_USB)
            return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "Can't add USB input device: USB is disabled for this domain");
    }
    return err_set_full(err, VIR_FROM_QEMU, VIR_ERR_CONFIG_UNSUPPORTED, 0, "USB is disabled for this domain, and it has devices on USB");
}

int addr_assign_usb(DomainDef *d, Err *err)
{
    g_autoptr(GPtrArray) hubs = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GPtrArray) devices = g_ptr_array_new();
    unsigned waiting = 0;
    for (guint i = 0; i < d->controllers->len; i++) {
        const ControllerDef *ctl = d->controllers->pdata[i];
        if (ctl->type == CONTROLLER_USB && usb_ports(ctl))
            usb_hub_add(hubs, (uint32_t)ctl->index.v, "", 0, usb_ports(ctl));
    }
    usb_collect(d, devices);
    if (usb_is_off(d, devices, err) < 0)
        return -1;
    /* Hubs come first in the collection, so that a port behind a given hub is found; nearest hubs first. */
    for (guint i = 0; i < devices->len; i++) {
        const DeviceInfo *info = devices->pdata[i];
        if (!has_port(info)) {
            waiting++;
            continue;
        }
        if (i < d->hubs->len)
            hub_open(hubs, info);
    }
    for (guint i = 0; i < devices->len; i++) {
        const DeviceInfo *info = devices->pdata[i];
        if (has_port(info) && usb_reserve(hubs, &info->addr, err) < 0)
            return -1;
    }
    unsigned room = free_ports(hubs);
    if (hubs->len && waiting > room && waiting < 512) {
        unsigned more = (waiting - room + 1 + USB_HUB_PORTS - 2) / (USB_HUB_PORTS - 1);
        for (unsigned i = 0; i < more; i++)
            g_ptr_array_add(d->hubs, table_new(&hub_table));
        g_ptr_array_set_size(devices, 0);
        usb_collect(d, devices);
    }
    for (guint i = 0; i < devices->len; i++) {
        DeviceInfo *info = devices->pdata[i];
        if (has_port(info))
            continue;
        if (usb_assign(hubs, &info->addr, err) < 0)
            return -1;
        if (i < d->hubs->len)
            hub_open(hubs, info);
    }
    return 0;
}
