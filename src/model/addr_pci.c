/* model/addr_pci.c - PCI addresses, and the buses they need
 *
 * Owns:    which device sits where on i440fx and q35
 * Threads: any; the definition is the caller's own
 * Errors:  VIR_ERR_XML_ERROR naming the address
 *
 * Theory of operation
 *   An address, once assigned, is stored and never moves.  Choices are those libvirt 9.0 makes for the same input, found by observing
 *   it (tests/golden), so that a definition keeps its guest ABI in both directions.  Two rounds: the first, on a copy, finds how many
 *   buses are needed, growing them (pci-bridge on i440fx; a root port per express device, a root port with a pcie-to-pci-bridge for
 *   the conventional ones on q35); if it grew, one express slot more is asked for, for hotplug.  The new controllers are then added
 *   and the second round assigns for good, bridges first, on a fixed set of buses.
 */
#include "config.h"

#include <inttypes.h>
#include <string.h>

#include "base.h"
#include "errors.h"
#define ERR_FROM VIR_FROM_DOMAIN
#include "model/complete.h"

#define BUS_MAX 256u

/* What a device needs of a bus, and a bus offers. */
enum {
    PCI_DEVICE = 1 << 0,
    PCIE_DEVICE = 1 << 1,
    PCI_BRIDGE = 1 << 2,
    ROOT_PORT = 1 << 3,
    SWITCH_UPSTREAM = 1 << 4,
    SWITCH_DOWNSTREAM = 1 << 5,
    DMI_BRIDGE = 1 << 6,
    TO_PCI_BRIDGE = 1 << 7,
    PCI_EXPANDER = 1 << 8,
    PCIE_EXPANDER = 1 << 9,
    HOTPLUG = 1 << 10,
    AGGREGATE = 1 << 11, /* may share a slot with its like, one function each */
};
#define TYPES (HOTPLUG - 1)

typedef struct Bus {
    ControllerModel model; /* ABSENT: no such bus */
    unsigned offers;
    unsigned first, last; /* slots */
    uint8_t functions[32]; /* bit per function in use */
    bool aggregate[32];
} Bus;

typedef struct Pci {
    Bus bus[BUS_MAX];
    unsigned n;
    unsigned declared; /* n before any address or device asked for more */
    bool dry; /* may grow */
    bool q35;
    const DeviceInfo *builtin; /* the controller inside the chipset: q35's SATA at 1f.2, i440fx's USB at 01.2; NULL: there is none */
} Pci;

static void bus_set(Bus *b, ControllerModel model)
{
    *b = (Bus){.model = model, .first = 0, .last = 31};
    switch (model) {
    case CONTROLLER_MODEL_PCI_ROOT:
        b->offers = HOTPLUG | PCI_DEVICE | PCI_BRIDGE | PCI_EXPANDER;
        b->first = 1;
        break;
    case CONTROLLER_MODEL_PCI_BRIDGE:
    case CONTROLLER_MODEL_PCIE_TO_PCI_BRIDGE:
        b->offers = HOTPLUG | PCI_DEVICE | PCI_BRIDGE;
        b->first = 1;
        break;
    case CONTROLLER_MODEL_PCI_EXPANDER_BUS:
        b->offers = HOTPLUG | PCI_DEVICE | PCI_BRIDGE;
        break;
    case CONTROLLER_MODEL_PCIE_ROOT:
        b->offers = PCIE_DEVICE | ROOT_PORT | DMI_BRIDGE | PCIE_EXPANDER;
        b->first = 1;
        break;
    case CONTROLLER_MODEL_DMI_TO_PCI_BRIDGE:
        b->offers = PCI_DEVICE | PCI_BRIDGE;
        break;
    case CONTROLLER_MODEL_PCIE_ROOT_PORT:
    case CONTROLLER_MODEL_PCIE_SWITCH_DOWNSTREAM_PORT:
        b->offers = HOTPLUG | PCIE_DEVICE | SWITCH_UPSTREAM | TO_PCI_BRIDGE;
        b->last = 0;
        break;
    case CONTROLLER_MODEL_PCIE_SWITCH_UPSTREAM_PORT:
        b->offers = SWITCH_DOWNSTREAM;
        break;
    case CONTROLLER_MODEL_PCIE_EXPANDER_BUS:
        b->offers = ROOT_PORT | DMI_BRIDGE;
        break;
    default:
        break;
    }
}

/* ---- reserving ------------------------------------------------------------------------------------------------------------- */

static int grow(Pci *p, uint32_t *bus, unsigned needs, Err *err)
{
    if (p->n + 2 > BUS_MAX)
        return err_set(err, VIR_ERR_XML_ERROR, "more than %u PCI buses are needed", BUS_MAX);
    if (needs & PCI_DEVICE) {
        if (!p->q35) {
            bus_set(&p->bus[p->n++], CONTROLLER_MODEL_PCI_BRIDGE);
            *bus = p->n - 1;
            return 0;
        }
        bool bridges = false;
        for (unsigned i = 0; i < p->n; i++)
            bridges |= (p->bus[i].offers & PCI_BRIDGE) != 0;
        if (bridges) {
            bus_set(&p->bus[p->n++], CONTROLLER_MODEL_PCI_BRIDGE);
        } else {
            /* The port is there for the bridge: nobody else gets it. */
            bus_set(&p->bus[p->n], CONTROLLER_MODEL_PCIE_ROOT_PORT);
            p->bus[p->n++].functions[0] = 1;
            bus_set(&p->bus[p->n++], CONTROLLER_MODEL_PCIE_TO_PCI_BRIDGE);
        }
        *bus = p->n - 1;
        return 0;
    }
    if (needs & (PCIE_DEVICE | SWITCH_UPSTREAM)) {
        bus_set(&p->bus[p->n++], CONTROLLER_MODEL_PCIE_ROOT_PORT);
        *bus = p->n - 1;
        return 0;
    }
    return err_set(err, VIR_ERR_XML_ERROR, "Cannot automatically add a new PCI bus for a device with connect flags %.2x", needs & TYPES);
}

static bool fits(const Bus *b, unsigned needs)
{
    return (b->offers & needs & TYPES) && (!(needs & HOTPLUG) || (b->offers & HOTPLUG));
}

/* First place on a bus: a whole slot, or a function of a slot of its like.  function < 0: any. */
static bool find_on_bus(const Bus *b, unsigned needs, int function, PciAddress *a)
{
    if (!fits(b, needs))
        return false;
    for (unsigned slot = b->first; slot <= b->last; slot++) {
        if (!b->functions[slot]) {
            a->slot = slot;
            a->function = function < 0 ? 0 : (uint32_t)function;
            return true;
        }
        if (!(needs & AGGREGATE) || !b->aggregate[slot] || function >= 0)
            continue;
        for (unsigned f = 0; f < 8; f++) {
            if (!(b->functions[slot] >> f & 1)) {
                a->slot = slot;
                a->function = f;
                return true;
            }
        }
    }
    return false;
}

static void occupy(Bus *b, const PciAddress *a, unsigned needs)
{
    if (!b->functions[a->slot] && (needs & AGGREGATE))
        b->aggregate[a->slot] = true;
    b->functions[a->slot] |= (uint8_t)(1u << a->function);
}

/* The next free place for a device that has none. */
static int place(Pci *p, DeviceInfo *info, unsigned needs, int function, Err *err)
{
    PciAddress a = {0};
    bool found = false;
    for (a.bus = 0; a.bus < p->n && !found; a.bus++)
        found = find_on_bus(&p->bus[a.bus], needs, function, &a);
    if (found) {
        a.bus--;
    } else if (!p->dry) {
        return err_set(err, VIR_ERR_XML_ERROR, "No more available PCI slots");
    } else {
        if (grow(p, &a.bus, needs, err) < 0)
            return -1;
        a.slot = p->bus[a.bus].first;
        a.function = function < 0 ? 0 : (uint32_t)function;
    }
    occupy(&p->bus[a.bus], &a, needs);
    if (info) {
        TriState multi = info->addr.type == ADDRESS_NONE ? info->addr.pci.multifunction : TRI_ABSENT;
        memset(&info->addr, 0, sizeof info->addr);
        info->addr.type = ADDRESS_PCI;
        info->addr.pci = a;
        info->addr.pci.multifunction = multi;
    }
    return 0;
}

/* A fixed place; true when it was free. */
static bool take(Pci *p, DeviceInfo *info, unsigned slot, unsigned function, TriState multi)
{
    Bus *b = &p->bus[0];
    if (b->functions[slot] >> function & 1)
        return false;
    b->functions[slot] |= (uint8_t)(1u << function);
    if (info) {
        memset(&info->addr, 0, sizeof info->addr);
        info->addr.type = ADDRESS_PCI;
        info->addr.pci = (PciAddress){.slot = slot, .function = function, .multifunction = multi};
    }
    return true;
}

static bool open_address(const DeviceInfo *info)
{
    return info->addr.type == ADDRESS_NONE;
}

/* ---- what each device needs ------------------------------------------------------------------------------------------------ */

static unsigned needs_virtio(const Pci *p)
{
    return p->q35 ? PCIE_DEVICE | HOTPLUG : PCI_DEVICE | HOTPLUG;
}

static unsigned needs_pcie(const Pci *p)
{
    return needs_virtio(p);
}

static unsigned needs_pci(void)
{
    return PCI_DEVICE | HOTPLUG;
}

/* Transitional virtio has an I/O bar and so is a conventional device. */
static unsigned needs_virtio_model(const Pci *p, bool transitional)
{
    return transitional ? needs_pci() : needs_virtio(p);
}

static unsigned needs_controller(const Pci *p, const ControllerDef *ctl)
{
    switch (ctl->type) {
    case CONTROLLER_SATA:
    case CONTROLLER_IDE:
        return needs_pci();
    case CONTROLLER_VIRTIO_SERIAL:
        return needs_virtio_model(p, ctl->model == CONTROLLER_MODEL_VIRTIO_TRANSITIONAL);
    case CONTROLLER_SCSI:
        switch (ctl->model) {
        case CONTROLLER_MODEL_VIRTIO_SCSI:
        case CONTROLLER_MODEL_VIRTIO_NON_TRANSITIONAL:
            return needs_virtio(p);
        case CONTROLLER_MODEL_LSISAS1068:
        case CONTROLLER_MODEL_LSISAS1078:
        default:
            return needs_pci();
        }
    case CONTROLLER_USB:
        switch (ctl->model) {
        case CONTROLLER_MODEL_NEC_XHCI:
        case CONTROLLER_MODEL_QEMU_XHCI:
            return needs_pcie(p);
        case CONTROLLER_MODEL_NONE:
            return 0;
        default:
            return needs_pci();
        }
    case CONTROLLER_PCI:
        switch (ctl->model) {
        case CONTROLLER_MODEL_PCI_BRIDGE:
            return PCI_BRIDGE;
        case CONTROLLER_MODEL_DMI_TO_PCI_BRIDGE:
            return DMI_BRIDGE;
        case CONTROLLER_MODEL_PCIE_TO_PCI_BRIDGE:
            return TO_PCI_BRIDGE;
        case CONTROLLER_MODEL_PCIE_ROOT_PORT:
            return ROOT_PORT | AGGREGATE;
        case CONTROLLER_MODEL_PCIE_SWITCH_UPSTREAM_PORT:
            return SWITCH_UPSTREAM;
        case CONTROLLER_MODEL_PCIE_SWITCH_DOWNSTREAM_PORT:
            return SWITCH_DOWNSTREAM;
        case CONTROLLER_MODEL_PCI_EXPANDER_BUS:
            return PCI_EXPANDER;
        case CONTROLLER_MODEL_PCIE_EXPANDER_BUS:
            return PCIE_EXPANDER;
        default:
            return 0;
        }
    default:
        return 0;
    }
}

static unsigned needs_net(const Pci *p, const NetDef *net)
{
    if (!net->model)
        return needs_pci();
    if (strcmp(net->model, "virtio") == 0 || strcmp(net->model, "virtio-non-transitional") == 0)
        return needs_virtio(p);
    if (strcmp(net->model, "e1000e") == 0 || strcmp(net->model, "vmxnet3") == 0 || strcmp(net->model, "igb") == 0)
        return needs_pcie(p);
    return g_str_has_prefix(net->model, "usb-") ? 0 : needs_pci();
}

static unsigned needs_video(const Pci *p, const VideoDef *v)
{
    switch (v->type) {
    case VIDEO_NONE:
    case VIDEO_RAMFB:
        return 0;
    case VIDEO_VIRTIO:
        return needs_virtio(p);
    case VIDEO_BOCHS:
        return needs_pcie(p);
    default:
        return needs_pci();
    }
}

static unsigned needs_sound(const Pci *p, const SoundDef *s)
{
    switch (s->model) {
    case SOUND_ICH9:
    case SOUND_ICH6:
    case SOUND_AC97:
    case SOUND_ES1370:
        return needs_pci();
    default:
        return 0;
    }
}

/* ---- chipset --------------------------------------------------------------------------------------------------------------- */

static void i440fx_chipset(Pci *p, DomainDef *d)
{
    /* 01.0 is the ISA bridge, 01.3 the ACPI controller. */
    (void)take(p, NULL, 1, 0, TRI_ABSENT);
    (void)take(p, NULL, 1, 3, TRI_ABSENT);
    for (guint i = 0; i < d->controllers->len; i++) {
        ControllerDef *ctl = d->controllers->pdata[i];
        if (!open_address(&ctl->info) || ctl->index.v != 0)
            continue;
        if (ctl->type == CONTROLLER_IDE)
            (void)take(p, &ctl->info, 1, 1, TRI_ABSENT);
        else if (ctl->type == CONTROLLER_USB && ctl->model == CONTROLLER_MODEL_PIIX3_UHCI)
            (void)take(p, &ctl->info, 1, 2, TRI_ABSENT);
    }
}

static void q35_usb2(Pci *p, ControllerDef *ctl)
{
    static const unsigned slots[] = {0x1d, 0x1a};
    for (size_t i = 0; i < N_ELEMENTS(slots); i++) {
        if (!p->bus[0].functions[slots[i]] && take(p, &ctl->info, slots[i], 0, TRI_YES))
            return;
    }
}

static void q35_chipset(Pci *p, DomainDef *d)
{
    /* 1f.0 is the ISA bridge, 1f.3 the SMBus. */
    (void)take(p, NULL, 0x1f, 0, TRI_YES);
    (void)take(p, NULL, 0x1f, 3, TRI_ABSENT);
    for (guint i = 0; i < d->controllers->len; i++) {
        ControllerDef *ctl = d->controllers->pdata[i];
        if (!open_address(&ctl->info))
            continue;
        if (ctl->type == CONTROLLER_SATA && ctl->index.v == 0)
            (void)take(p, &ctl->info, 0x1f, 2, TRI_ABSENT);
        else if (ctl->type == CONTROLLER_USB && ctl->model == CONTROLLER_MODEL_ICH9_UHCI1)
            q35_usb2(p, ctl);
        else if (ctl->type == CONTROLLER_PCI && ctl->model == CONTROLLER_MODEL_DMI_TO_PCI_BRIDGE && !p->bus[0].functions[0x1e])
            (void)take(p, &ctl->info, 0x1e, 0, TRI_ABSENT);
    }
    for (guint i = 0; i < d->sounds->len; i++) {
        SoundDef *s = d->sounds->pdata[i];
        if (s->model == SOUND_ICH9 && open_address(&s->info) && !p->bus[0].functions[0x1b]) {
            (void)take(p, &s->info, 0x1b, 0, TRI_ABSENT);
            break;
        }
    }
}

/* The primary card sits where firmware of old looks for it, or comes before everything else. */
static int primary_video(Pci *p, DomainDef *d, Err *err)
{
    VideoDef *v = d->videos->len ? d->videos->pdata[0] : NULL;
    if (!v || !open_address(&v->info) || !needs_video(p, v))
        return 0;
    unsigned slot = p->q35 ? 1 : 2;
    if (!p->bus[0].functions[slot] && take(p, &v->info, slot, 0, TRI_ABSENT))
        return 0;
    return place(p, &v->info, needs_video(p, v), -1, err);
}

/* ---- all devices ----------------------------------------------------------------------------------------------------------- */

static bool is_usb2(const ControllerDef *ctl)
{
    return ctl->type == CONTROLLER_USB && ctl->model >= CONTROLLER_MODEL_ICH9_EHCI1 && ctl->model <= CONTROLLER_MODEL_ICH9_UHCI3;
}

/* Companions share a slot, each with the function real hardware gives it. */
static int place_usb2(Pci *p, DomainDef *d, ControllerDef *ctl, Err *err)
{
    static const int functions[] = {7, 0, 1, 2};
    int function = functions[ctl->model - CONTROLLER_MODEL_ICH9_EHCI1];
    TriState multi = ctl->model == CONTROLLER_MODEL_ICH9_UHCI1 ? TRI_YES : TRI_ABSENT;
    for (guint i = 0; i < d->controllers->len; i++) {
        const ControllerDef *other = d->controllers->pdata[i];
        if (!is_usb2(other) || other->index.v != ctl->index.v || other->info.addr.type != ADDRESS_PCI)
            continue;
        PciAddress a = other->info.addr.pci;
        if (a.bus >= p->n || a.slot > 31)
            break;
        Bus *b = &p->bus[a.bus];
        if (b->functions[a.slot] >> function & 1)
            return err_set(err, VIR_ERR_XML_ERROR, "PCI address %04x:%02x:%02x.%d is already in use", a.domain, a.bus, a.slot, function);
        b->functions[a.slot] |= (uint8_t)(1u << function);
        memset(&ctl->info.addr, 0, sizeof ctl->info.addr);
        ctl->info.addr.type = ADDRESS_PCI;
        ctl->info.addr.pci = (PciAddress){.domain = a.domain, .bus = a.bus, .slot = a.slot, .function = (uint32_t)function, .multifunction = multi};
        return 0;
    }
    if (place(p, &ctl->info, needs_pci(), function, err) < 0)
        return -1;
    ctl->info.addr.pci.multifunction = multi;
    return 0;
}

static int place_if(Pci *p, DeviceInfo *info, unsigned needs, Err *err)
{
    return needs && open_address(info) ? place(p, info, needs, -1, err) : 0;
}

#define EACH(Type, var, list)                                                                                          \
    for (guint i_##var = 0; i_##var < (list)->len; i_##var++)                                                          \
        for (Type *var = (list)->pdata[i_##var]; var; var = NULL)

static int place_controllers(Pci *p, DomainDef *d, Err *err)
{
    EACH(ControllerDef, ctl, d->controllers)
    {
        if (ctl->type == CONTROLLER_PCI || !open_address(&ctl->info))
            continue;
        if (is_usb2(ctl)) {
            if (place_usb2(p, d, ctl, err) < 0)
                return -1;
            continue;
        }
        if (place_if(p, &ctl->info, needs_controller(p, ctl), err) < 0)
            return -1;
    }
    return 0;
}

static int place_rest(Pci *p, DomainDef *d, Err *err)
{
    EACH(DiskDef, disk, d->disks)
    {
        if (disk->bus == DISK_BUS_VIRTIO &&
            place_if(p, &disk->info, needs_virtio_model(p, disk->model == DISK_MODEL_VIRTIO_TRANSITIONAL), err) < 0)
            return -1;
    }
    MemballoonDef *balloon = d->memballoon;
    if (balloon && balloon->model != MEMBALLOON_NONE && balloon->model != MEMBALLOON_XEN &&
        place_if(p, &balloon->info, needs_virtio_model(p, balloon->model == MEMBALLOON_VIRTIO_TRANSITIONAL), err) < 0)
        return -1;
    EACH(RngDef, rng, d->rngs)
    {
        if (place_if(p, &rng->info, needs_virtio_model(p, rng->model == RNG_MODEL_VIRTIO_TRANSITIONAL), err) < 0)
            return -1;
    }
    EACH(WatchdogDef, dog, d->watchdogs)
    {
        if (dog->model == WATCHDOG_MODEL_I6300ESB && place_if(p, &dog->info, needs_pci(), err) < 0)
            return -1;
    }
    EACH(VideoDef, video, d->videos)
    {
        if (place_if(p, &video->info, needs_video(p, video), err) < 0)
            return -1;
    }
    EACH(InputDef, input, d->inputs)
    {
        if (input->bus == INPUT_BUS_VIRTIO &&
            place_if(p, &input->info, needs_virtio_model(p, input->model == INPUT_MODEL_VIRTIO_TRANSITIONAL), err) < 0)
            return -1;
    }
    EACH(ChrDef, serial, d->serials)
    {
        if (serial->target_type == CHR_TARGET_PCI_SERIAL && place_if(p, &serial->info, needs_pci(), err) < 0)
            return -1;
    }
    return 0;
}

static int place_all(Pci *p, DomainDef *d, Err *err)
{
    EACH(ControllerDef, bridge, d->controllers)
    {
        if (bridge->type == CONTROLLER_PCI && place_if(p, &bridge->info, needs_controller(p, bridge), err) < 0)
            return -1;
    }
    EACH(NetDef, net, d->nets)
    {
        if (place_if(p, &net->info, needs_net(p, net), err) < 0)
            return -1;
    }
    EACH(SoundDef, sound, d->sounds)
    {
        if (place_if(p, &sound->info, needs_sound(p, sound), err) < 0)
            return -1;
    }
    return place_controllers(p, d, err) < 0 ? -1 : place_rest(p, d, err);
}

/* ---- what is given --------------------------------------------------------------------------------------------------------- */

typedef int (*InfoFn)(Pci *p, DeviceInfo *info, unsigned needs, Err *err);

static unsigned needs_device(const Pci *p, DeviceKind kind, const void *dev)
{
    switch (kind) {
    case DEVICE_CONTROLLER:
        return needs_controller(p, dev);
    case DEVICE_DISK:
        return needs_virtio_model(p, ((const DiskDef *)dev)->model == DISK_MODEL_VIRTIO_TRANSITIONAL);
    case DEVICE_NET:
        return needs_net(p, dev);
    case DEVICE_VIDEO:
        return needs_video(p, dev);
    case DEVICE_RNG:
        return needs_virtio_model(p, ((const RngDef *)dev)->model == RNG_MODEL_VIRTIO_TRANSITIONAL);
    case DEVICE_INPUT:
        return needs_virtio_model(p, ((const InputDef *)dev)->model == INPUT_MODEL_VIRTIO_TRANSITIONAL);
    default:
        return needs_pci();
    }
}

/* Calls fn for each device that has a PCI address. */
static int each_given(Pci *p, DomainDef *d, InfoFn fn, Err *err)
{
    for (int kind = 1; kind < DEVICE_MAX; kind++) {
        GPtrArray *list = domain_def_devices(d, (DeviceKind)kind);
        for (guint i = 0; list && i < list->len; i++) {
            DeviceInfo *info = list->pdata[i];
            unsigned needs = needs_device(p, (DeviceKind)kind, list->pdata[i]);
            if (info->addr.type == ADDRESS_PCI && fn(p, info, needs, err) < 0)
                return -1;
        }
    }
    if (d->memballoon && d->memballoon->info.addr.type == ADDRESS_PCI)
        return fn(p, &d->memballoon->info, needs_virtio_model(p, d->memballoon->model == MEMBALLOON_VIRTIO_TRANSITIONAL), err);
    return 0;
}

/* A given address may name a bus nobody declared.  A conventional device on the first bus beyond those of q35 moves one further: the bus
 * it named becomes the port of the bridge it needs. */
static int given_grow(Pci *p, DeviceInfo *info, unsigned needs, Err *err)
{
    uint32_t bus = info->addr.pci.bus;
    if (bus >= BUS_MAX)
        return err_set(err, VIR_ERR_XML_ERROR, "PCI bus %u is too high, at most %u", bus, BUS_MAX - 1);
    unsigned wants = p->q35 && !(needs & PCI_DEVICE) ? PCIE_DEVICE : PCI_DEVICE;
    bool last = bus == p->n;
    while (p->dry && bus >= p->n) {
        uint32_t at = 0;
        if (grow(p, &at, wants, err) < 0)
            return -1;
        if (last && at > bus)
            bus = info->addr.pci.bus = at;
    }
    if (bus >= p->n || !p->bus[bus].model)
        return err_set(err, VIR_ERR_XML_ERROR, "PCI address refers to bus %u, which has no controller", bus);
    return 0;
}

/* Is the address the chipset's own?  `info` is who asks for it. */
static bool is_taken_by_chipset(const Pci *p, const DeviceInfo *info, const PciAddress *a)
{
    if (a->bus != 0 || a->slot != (p->q35 ? 0x1f : 1))
        return false;
    return a->function == 0 || a->function == 3 || (a->function == 2 && p->builtin && info != p->builtin);
}

static int given_reserve(Pci *p, DeviceInfo *info, unsigned needs, Err *err)
{
    const PciAddress *a = &info->addr.pci;
    g_autofree char *text = g_strdup_printf("%04x:%02x:%02x.%x", a->domain, a->bus, a->slot, a->function);
    if (a->domain != 0)
        return err_set(err, VIR_ERR_XML_ERROR, "Invalid PCI address %s: only PCI domain 0 is available", text);
    Bus *b = &p->bus[a->bus];
    if (a->slot < b->first || a->slot > b->last)
        return err_set(err, VIR_ERR_XML_ERROR, "Invalid PCI address %s: slot must be %u to %u on a bus of model '%s'", text, b->first,
                       b->last, controller_model_names[b->model]);
    /* What the user placed may be conventional or express; ports and switches must fit. */
    unsigned endpoint = PCI_DEVICE | PCIE_DEVICE | PCI_BRIDGE;
    if ((needs & TYPES) && !(b->offers & (needs & endpoint ? endpoint : needs & TYPES)))
        return err_set(err, VIR_ERR_XML_ERROR, "The device at PCI address %s cannot be plugged into the PCI controller of model '%s'", text,
                       controller_model_names[b->model]);
    if (b->functions[a->slot] >> a->function & 1 || is_taken_by_chipset(p, info, a))
        return err_set(err, VIR_ERR_XML_ERROR, "Attempted double use of PCI Address %s", text);
    occupy(b, a, needs);
    return 0;
}

static int buses_read(Pci *p, const DomainDef *d, Err *err)
{
    memset(p->bus, 0, sizeof p->bus);
    p->n = 0;
    for (guint i = 0; i < d->controllers->len; i++) {
        const ControllerDef *ctl = d->controllers->pdata[i];
        if (ctl->type != CONTROLLER_PCI)
            continue;
        if (ctl->index.v >= BUS_MAX)
            return err_set(err, VIR_ERR_XML_ERROR, "PCI controller index %" PRIu64 " is too high, at most %u", ctl->index.v, BUS_MAX - 1);
        bus_set(&p->bus[ctl->index.v], ctl->model);
        p->n = MAX(p->n, (unsigned)ctl->index.v + 1);
    }
    /* Holes in the numbering are filled with the plainest bus. */
    for (unsigned i = 1; i < p->n; i++) {
        if (!p->bus[i].model)
            bus_set(&p->bus[i], p->q35 ? CONTROLLER_MODEL_PCIE_ROOT_PORT : CONTROLLER_MODEL_PCI_BRIDGE);
    }
    return 0;
}

/* Everything that has no choice. */
static int round_begin(Pci *p, DomainDef *d, Err *err)
{
    if (buses_read(p, d, err) < 0)
        return -1;
    p->declared = p->n;
    const ControllerDef *builtin = controller_find(d, p->q35 ? CONTROLLER_SATA : CONTROLLER_USB, 0);
    p->builtin = builtin && (p->q35 || builtin->model == CONTROLLER_MODEL_PIIX3_UHCI) ? &builtin->info : NULL;
    if (each_given(p, d, given_grow, err) < 0 || each_given(p, d, given_reserve, err) < 0)
        return -1;
    if (p->q35)
        q35_chipset(p, d);
    else
        i440fx_chipset(p, d);
    return primary_video(p, d, err);
}

static bool all_full(const Pci *p)
{
    for (unsigned i = 0; i < p->n; i++) {
        for (unsigned slot = p->bus[i].first; slot <= p->bus[i].last; slot++) {
            if (!p->bus[i].functions[slot])
                return false;
        }
    }
    return true;
}

/* The first round: adds the controllers that are missing to `d`. */
static int find_buses(Pci *p, DomainDef *d, Err *err)
{
    p->dry = true;
    if (buses_read(p, d, err) < 0 || each_given(p, d, given_grow, err) < 0)
        return -1;
    g_autoptr(DomainDef) trial = domain_def_copy(d);
    if (round_begin(p, trial, err) < 0)
        return -1;
    bool full = all_full(p);
    if (place_all(p, trial, err) < 0)
        return -1;
    /* i440fx: a slot stays free for a bridge, unless the user filled every one. */
    if (!p->q35 && !full && place(p, NULL, needs_pci(), -1, err) < 0)
        return -1;
    bool spare = false;
    unsigned i = 1;
    for (;;) {
        /* Bridges found missing need places themselves, which may again take bridges. */
        for (; i < p->n; i++) {
            if (controller_find(d, CONTROLLER_PCI, i))
                continue;
            ControllerDef *ctl = controller_add(d, CONTROLLER_PCI, i, p->bus[i].model);
            if (ctl->model != CONTROLLER_MODEL_PCIE_TO_PCI_BRIDGE && place(p, NULL, needs_controller(p, ctl), -1, err) < 0)
                return -1;
        }
        /* q35: who let us choose all ports gets one more, for hotplug. */
        if (spare || !p->q35 || p->declared != 1 || p->n == p->declared)
            return 0;
        spare = true;
        if (place(p, NULL, PCIE_DEVICE | HOTPLUG, -1, err) < 0)
            return -1;
    }
}

/* ---- finishing ------------------------------------------------------------------------------------------------------------- */

static int mark_multi(Pci *p, DeviceInfo *info, unsigned needs, Err *err)
{
    PciAddress *a = &info->addr.pci;
    /* Function 0 of a slot that is shared must say so. */
    if (a->function == 0 && a->multifunction == TRI_ABSENT && a->bus < p->n && a->slot < 32 &&
        (p->bus[a->bus].functions[a->slot] & ~1u))
        a->multifunction = TRI_YES;
    return 0;
}

static PciModelName default_name(ControllerModel model)
{
    switch (model) {
    case CONTROLLER_MODEL_PCI_BRIDGE:
        return PCI_MODEL_NAME_PCI_BRIDGE;
    case CONTROLLER_MODEL_DMI_TO_PCI_BRIDGE:
        return PCI_MODEL_NAME_I82801B11_BRIDGE;
    case CONTROLLER_MODEL_PCIE_TO_PCI_BRIDGE:
        return PCI_MODEL_NAME_PCIE_PCI_BRIDGE;
    case CONTROLLER_MODEL_PCIE_ROOT_PORT:
        return PCI_MODEL_NAME_PCIE_ROOT_PORT;
    case CONTROLLER_MODEL_PCIE_SWITCH_UPSTREAM_PORT:
        return PCI_MODEL_NAME_X3130_UPSTREAM;
    case CONTROLLER_MODEL_PCIE_SWITCH_DOWNSTREAM_PORT:
        return PCI_MODEL_NAME_XIO3130_DOWNSTREAM;
    case CONTROLLER_MODEL_PCI_EXPANDER_BUS:
        return PCI_MODEL_NAME_PXB;
    case CONTROLLER_MODEL_PCIE_EXPANDER_BUS:
        return PCI_MODEL_NAME_PXB_PCIE;
    default:
        return PCI_MODEL_NAME_ABSENT;
    }
}

static void give(OptU64 *slot, uint64_t v)
{
    if (!slot->set)
        *slot = (OptU64){true, v};
}

/* Highest free bus number for an expander, leaving room for the buses behind the one before it. */
static uint64_t expander_bus_nr(const DomainDef *d)
{
    uint64_t lowest = 256;
    for (guint i = 0; i < d->controllers->len; i++) {
        const ControllerDef *ctl = d->controllers->pdata[i];
        if (ctl->type == CONTROLLER_PCI && ctl->pci_bus_nr.set)
            lowest = MIN(lowest, ctl->pci_bus_nr.v);
    }
    return lowest >= 2 ? lowest - 2 : 0;
}

static void pci_options(DomainDef *d)
{
    EACH(ControllerDef, ctl, d->controllers)
    {
        if (ctl->type != CONTROLLER_PCI)
            continue;
        if (!ctl->pci_model_name)
            ctl->pci_model_name = default_name(ctl->model);
        switch (ctl->model) {
        case CONTROLLER_MODEL_PCI_BRIDGE:
            give(&ctl->pci_chassis_nr, ctl->index.v);
            break;
        case CONTROLLER_MODEL_PCIE_SWITCH_DOWNSTREAM_PORT:
            give(&ctl->pci_chassis, ctl->index.v);
            give(&ctl->pci_port, ctl->info.addr.pci.slot);
            break;
        case CONTROLLER_MODEL_PCIE_ROOT_PORT:
            give(&ctl->pci_chassis, ctl->index.v);
            give(&ctl->pci_port, (uint64_t)ctl->info.addr.pci.slot << 3 | ctl->info.addr.pci.function);
            break;
        case CONTROLLER_MODEL_PCI_EXPANDER_BUS:
        case CONTROLLER_MODEL_PCIE_EXPANDER_BUS:
            give(&ctl->pci_bus_nr, expander_bus_nr(d));
            break;
        default:
            break;
        }
    }
}

int addr_assign_pci(DomainDef *d, Err *err)
{
    Chipset chipset = domain_def_chipset(d);
    if (chipset == CHIPSET_OTHER)
        return err_set(err, VIR_ERR_XML_ERROR, "No PCI buses available: machine '%s' is not supported, only i440fx ('pc') and 'q35' are",
                       d->os.machine);
    g_autofree Pci *p = g_new0(Pci, 1);
    p->q35 = chipset == CHIPSET_Q35;
    if (find_buses(p, d, err) < 0)
        return -1;
    p->dry = false;
    if (round_begin(p, d, err) < 0 || place_all(p, d, err) < 0 || each_given(p, d, mark_multi, err) < 0)
        return -1;
    pci_options(d);
    EACH(ControllerDef, ctl, d->controllers)
    {
        if (ctl->model == CONTROLLER_MODEL_PCI_BRIDGE && ctl->info.addr.type == ADDRESS_PCI && ctl->index.v <= ctl->info.addr.pci.bus)
            return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "PCI controller at index %" PRIu64 " has bus='0x%02x', but index must be larger than bus",
                           ctl->index.v, ctl->info.addr.pci.bus);
    }
    return 0;
}
