/* qemu/dev_controller.c - controllers: buses other devices sit on
 *
 * Owns:    which QEMU device stands for which model, and which controllers a machine has built in
 * Errors:  VIR_ERR_CONFIG_UNSUPPORTED naming type and model
 */
#include "config.h"

#include <inttypes.h>
#include <string.h>

#include "qemu/build.h"

static bool machine_is_q35(const DomainDef *def)
{
    const char *m = def->os.machine;
    return m && (strncmp(m, "pc-q35", 6) == 0 || strcmp(m, "q35") == 0);
}

static int unsupported(const ControllerDef *c, Err *err)
{
    const char *model = enum_word(controller_model_names, CONTROLLER_MODEL_MAX, (int)c->model);
    return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "controller type '%s' model '%s'", controller_type_names[c->type],
                   model ? model : "default");
}

/* ---- pci --------------------------------------------------------------------------------------------------------------------- */

static const char *pci_driver(const ControllerDef *c)
{
    if (c->pci_model_name != PCI_MODEL_NAME_ABSENT)
        return pci_model_name_names[c->pci_model_name];
    switch (c->model) {
    case CONTROLLER_MODEL_PCI_BRIDGE:
        return "pci-bridge";
    case CONTROLLER_MODEL_DMI_TO_PCI_BRIDGE:
        return "i82801b11-bridge";
    case CONTROLLER_MODEL_PCIE_TO_PCI_BRIDGE:
        return "pcie-pci-bridge";
    case CONTROLLER_MODEL_PCIE_ROOT_PORT:
        return "pcie-root-port";
    case CONTROLLER_MODEL_PCIE_SWITCH_UPSTREAM_PORT:
        return "x3130-upstream";
    case CONTROLLER_MODEL_PCIE_SWITCH_DOWNSTREAM_PORT:
        return "xio3130-downstream";
    case CONTROLLER_MODEL_PCI_EXPANDER_BUS:
        return "pxb";
    case CONTROLLER_MODEL_PCIE_EXPANDER_BUS:
        return "pxb-pcie";
    default:
        return NULL;
    }
}

static int pci_props(json_t *o, const ControllerDef *c, Err *err)
{
    const char *driver = pci_driver(c);
    if (driver == NULL)
        return unsupported(c, err);
    props_str(o, "driver", driver);
    switch (c->model) {
    case CONTROLLER_MODEL_PCI_BRIDGE:
        if (c->pci_chassis_nr.set)
            props_u64(o, "chassis_nr", c->pci_chassis_nr.v);
        else
            props_opt(o, "chassis_nr", c->index); /* unique as it has to be */
        break;
    case CONTROLLER_MODEL_PCIE_ROOT_PORT:
    case CONTROLLER_MODEL_PCIE_SWITCH_DOWNSTREAM_PORT:
        props_opt(o, "port", c->pci_port);
        props_opt(o, "chassis", c->pci_chassis);
        props_tri(o, "hotplug", c->pci_hotplug);
        break;
    case CONTROLLER_MODEL_PCI_EXPANDER_BUS:
    case CONTROLLER_MODEL_PCIE_EXPANDER_BUS:
        props_opt(o, "bus_nr", c->pci_bus_nr);
        if (c->pci_numa_node.set)
            return unsupported(c, err);
        break;
    default:
        break;
    }
    props_str(o, "id", c->info.alias);
    return 0;
}

/* ---- usb --------------------------------------------------------------------------------------------------------------------- */

static const char *usb_driver(ControllerModel m)
{
    switch (m) {
    case CONTROLLER_MODEL_ABSENT:
    case CONTROLLER_MODEL_PIIX3_UHCI:
        return "piix3-usb-uhci";
    case CONTROLLER_MODEL_PIIX4_UHCI:
        return "piix4-usb-uhci";
    case CONTROLLER_MODEL_EHCI:
        return "usb-ehci";
    case CONTROLLER_MODEL_ICH9_EHCI1:
        return "ich9-usb-ehci1";
    case CONTROLLER_MODEL_ICH9_UHCI1:
        return "ich9-usb-uhci1";
    case CONTROLLER_MODEL_ICH9_UHCI2:
        return "ich9-usb-uhci2";
    case CONTROLLER_MODEL_ICH9_UHCI3:
        return "ich9-usb-uhci3";
    case CONTROLLER_MODEL_VT82C686B_UHCI:
        return "vt82c686b-usb-uhci";
    case CONTROLLER_MODEL_PCI_OHCI:
        return "pci-ohci";
    case CONTROLLER_MODEL_NEC_XHCI:
        return "nec-usb-xhci";
    case CONTROLLER_MODEL_QEMU_XHCI:
        return "qemu-xhci";
    default:
        return NULL;
    }
}

static int usb_props(json_t *o, const ControllerDef *c, Err *err)
{
    const char *driver = usb_driver(c->model);
    if (driver == NULL)
        return unsupported(c, err);
    props_str(o, "driver", driver);
    if (c->ports.set) {
        props_u64(o, "p2", c->ports.v);
        props_u64(o, "p3", c->ports.v);
    }
    if (c->usb_master_startport.set) {
        /* a companion: its ports are the master's */
        props_strf(o, "masterbus", "%s.0", c->info.alias);
        props_u64(o, "firstport", c->usb_master_startport.v);
    } else {
        props_str(o, "id", c->info.alias);
    }
    return 0;
}

/* ---- scsi, virtio-serial, sata, fdc ------------------------------------------------------------------------------------------ */

static const char *scsi_driver(ControllerModel m)
{
    switch (m) {
    case CONTROLLER_MODEL_ABSENT:
    case CONTROLLER_MODEL_AUTO:
    case CONTROLLER_MODEL_LSILOGIC:
        return "lsi";
    case CONTROLLER_MODEL_VIRTIO_SCSI:
    case CONTROLLER_MODEL_VIRTIO:
        return "virtio-scsi-pci";
    case CONTROLLER_MODEL_VIRTIO_TRANSITIONAL:
        return "virtio-scsi-pci-transitional";
    case CONTROLLER_MODEL_VIRTIO_NON_TRANSITIONAL:
        return "virtio-scsi-pci-non-transitional";
    case CONTROLLER_MODEL_LSISAS1068:
        return "mptsas1068";
    case CONTROLLER_MODEL_LSISAS1078:
        return "megasas";
    case CONTROLLER_MODEL_VMPVSCSI:
        return "pvscsi";
    case CONTROLLER_MODEL_DC390:
        return "dc390";
    case CONTROLLER_MODEL_AM53C974:
        return "am53c974";
    default:
        return NULL;
    }
}

static int scsi_props(json_t *o, const ControllerDef *c, Err *err)
{
    const char *driver = scsi_driver(c->model);
    if (driver == NULL)
        return unsupported(c, err);
    if (c->iothread.set)
        return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "iothread of a scsi controller");
    props_str(o, "driver", driver);
    props_str(o, "id", c->info.alias);
    props_opt(o, "num_queues", c->queues);
    props_opt(o, "cmd_per_lun", c->cmd_per_lun);
    props_opt(o, "max_sectors", c->max_sectors);
    return 0;
}

static int virtio_serial_props(json_t *o, const ControllerDef *c, Err *err)
{
    switch (c->model) {
    case CONTROLLER_MODEL_ABSENT:
    case CONTROLLER_MODEL_VIRTIO:
        props_str(o, "driver", "virtio-serial-pci");
        break;
    case CONTROLLER_MODEL_VIRTIO_TRANSITIONAL:
        props_str(o, "driver", "virtio-serial-pci-transitional");
        break;
    case CONTROLLER_MODEL_VIRTIO_NON_TRANSITIONAL:
        props_str(o, "driver", "virtio-serial-pci-non-transitional");
        break;
    default:
        return unsupported(c, err);
    }
    props_str(o, "id", c->info.alias);
    props_opt(o, "max_ports", c->ports);
    props_opt(o, "vectors", c->vectors);
    return 0;
}

static void fdc_props(json_t *o, const DomainDef *def)
{
    props_str(o, "driver", "isa-fdc");
    for (unsigned i = 0; i < def->disks->len; i++) {
        const DiskDef *d = def->disks->pdata[i];
        unsigned boot = d->bus == DISK_BUS_FDC ? qemu_boot_index(def, DEVICE_DISK, d) : 0;
        if (boot)
            props_u64(o, d->info.addr.drive.unit ? "bootindexB" : "bootindexA", boot);
    }
}

/* Part of the machine itself: no device is to be added. */
static bool is_builtin(const DomainDef *def, const ControllerDef *c)
{
    bool first = c->index.set && c->index.v == 0;
    switch (c->type) {
    case CONTROLLER_PCI:
        return c->model == CONTROLLER_MODEL_PCI_ROOT || c->model == CONTROLLER_MODEL_PCIE_ROOT;
    case CONTROLLER_USB:
        return c->model == CONTROLLER_MODEL_NONE;
    case CONTROLLER_IDE:
        return first && !machine_is_q35(def);
    case CONTROLLER_SATA:
        return first && machine_is_q35(def);
    case CONTROLLER_FDC:
        return !machine_is_q35(def);
    case CONTROLLER_ISA:
        return true;
    default:
        return false;
    }
}

static int controller_head(json_t *o, const DomainDef *def, const ControllerDef *c, Err *err)
{
    switch (c->type) {
    case CONTROLLER_PCI:
        return pci_props(o, c, err);
    case CONTROLLER_USB:
        return usb_props(o, c, err);
    case CONTROLLER_SCSI:
        return scsi_props(o, c, err);
    case CONTROLLER_VIRTIO_SERIAL:
        return virtio_serial_props(o, c, err);
    case CONTROLLER_SATA:
        props_str(o, "driver", "ahci");
        props_str(o, "id", c->info.alias);
        return 0;
    case CONTROLLER_FDC:
        fdc_props(o, def);
        return 0;
    case CONTROLLER_CCID:
        props_str(o, "driver", "usb-ccid");
        props_str(o, "id", c->info.alias);
        return 0;
    default:
        return unsupported(c, err);
    }
}

json_t *qemu_controller_props(const DomainDef *def, const ControllerDef *c, const QemuCaps *caps, Err *err)
{
    if (is_builtin(def, c))
        return NULL;
    json_t *o = json_object();
    if (controller_head(o, def, c, err) < 0 || props_address(o, def, &c->info, "a controller", err) < 0) {
        json_decref(o);
        return NULL;
    }
    return o;
}

/* Hubs: what sits behind one names its port, so they come first. */
static int argv_hubs(ArgvBuild *b, Err *err)
{
    for (unsigned i = 0; i < b->def->hubs->len; i++) {
        const HubDef *hub = b->def->hubs->pdata[i];
        json_t *o = json_object();
        props_str(o, "driver", "usb-hub");
        props_str(o, "id", hub->info.alias);
        if (props_address(o, b->def, &hub->info, "a USB hub", err) < 0) {
            json_decref(o);
            return -1;
        }
        argv_add_json(b, "-device", o);
    }
    return 0;
}

int argv_controllers(ArgvBuild *b, Err *err)
{
    /* buses before what sits on them */
    static const ControllerType order[] = {CONTROLLER_PCI, CONTROLLER_USB,           CONTROLLER_SCSI, CONTROLLER_IDE,
                                           CONTROLLER_SATA, CONTROLLER_VIRTIO_SERIAL, CONTROLLER_FDC,  CONTROLLER_CCID};
    for (unsigned t = 0; t < N_ELEMENTS(order); t++) {
        for (unsigned i = 0; i < b->def->controllers->len; i++) {
            const ControllerDef *c = b->def->controllers->pdata[i];
            if (c->type != order[t] || is_builtin(b->def, c))
                continue;
            json_t *o = qemu_controller_props(b->def, c, b->env->caps, err);
            if (o == NULL)
                return -1;
            argv_add_json(b, "-device", o);
        }
    }
    for (unsigned i = 0; i < b->def->controllers->len; i++) {
        const ControllerDef *c = b->def->controllers->pdata[i];
        if (c->type == CONTROLLER_PCI && c->pci_hole64_kib.set)
            argv_addf(b, "-global", "%s.pci-hole64-size=%" PRIu64 "K", machine_is_q35(b->def) ? "q35-pcihost" : "i440FX-pcihost", c->pci_hole64_kib.v);
        if (c->type == CONTROLLER_XENBUS)
            return unsupported(c, err);
        if (c->type != CONTROLLER_FDC || !is_builtin(b->def, c))
            continue;
        json_t *o = json_object();
        fdc_props(o, b->def);
        const char *keys[] = {"bootindexA", "bootindexB"};
        for (unsigned k = 0; k < 2; k++) {
            json_t *v = json_object_get(o, keys[k]);
            if (v)
                argv_addf(b, "-global", "isa-fdc.%s=%d", keys[k], (int)json_integer_value(v));
        }
        json_decref(o);
    }
    return argv_hubs(b, err);
}
