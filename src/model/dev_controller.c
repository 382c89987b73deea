/* model/dev_controller.c - <controller>
 *
 * Owns:    the rows of controllers of every type, and which model goes with which type
 * Threads: any
 * Errors:  VIR_ERR_XML_ERROR with the models allowed for the type
 */
#include "config.h"

#include <inttypes.h>
#include <string.h>

#include "base.h"
#include "errors.h"
#define ERR_FROM VIR_FROM_XML
#include "model/units.h"

static const Field driver_table_fields[] = {
    A_OPT("queues", ControllerDef, queues, ABI, UINT32_MAX),
    A_OPT("cmd_per_lun", ControllerDef, cmd_per_lun, ABI, UINT32_MAX),
    A_OPT("max_sectors", ControllerDef, max_sectors, ABI, UINT32_MAX),
    REFUSE("@ioeventfd"),
    REFUSE("@iothread"),
    REFUSE("@iommu"),
    REFUSE("@ats"),
    REFUSE("@packed"),
    REFUSE("@page_per_vq"),
};
GROUP_TABLE(driver_table, "driver");

static const Field model_table_fields[] = {
    A_ENUM("name", ControllerDef, pci_model_name, pci_model_name_names, PCI_MODEL_NAME_MAX, REQUIRED | ABI),
};
GROUP_TABLE(model_table, "model");

static const Field target_table_fields[] = {
    A_OPT("chassisNr", ControllerDef, pci_chassis_nr, ABI | BASE0, 255),
    A_OPT("chassis", ControllerDef, pci_chassis, ABI | BASE0, 255),
    A_HEX("port", ControllerDef, pci_port, ABI, 255),
    A_OPT("busNr", ControllerDef, pci_bus_nr, ABI | BASE0, 254),
    REFUSE("@index"),
    A_ONOFF("hotplug", ControllerDef, pci_hotplug, ABI),
    L_OPT("node", ControllerDef, pci_numa_node, ABI),
};
GROUP_TABLE(target_table, "target");

static const Field master_table_fields[] = {
    A_OPT("startport", ControllerDef, usb_master_startport, REQUIRED | ABI, UINT32_MAX),
};
GROUP_TABLE(master_table, "master");

static int hole_parse(ParseCtx *c, xmlNode *node, void *base, const Field *f)
{
    ControllerDef *ctl = base;
    ctl->pci_hole64_kib.set = true;
    return memory_parse(c, node, &ctl->pci_hole64_kib.v);
}

static void hole_format(FormatCtx *c, const void *base, const Field *f)
{
    const ControllerDef *ctl = base;
    if (!ctl->pci_hole64_kib.set)
        return;
    xml_begin(&c->w, "pcihole64");
    xml_attr(&c->w, "unit", "KiB");
    g_autofree char *text = g_strdup_printf("%" PRIu64, ctl->pci_hole64_kib.v);
    xml_text(&c->w, text);
    xml_end(&c->w);
}
static const Field hole_table_fields[] = {IGNORE("@unit")};
GROUP_TABLE(hole_table, "pcihole64");
static const FieldHooks hole_hooks = {hole_parse, hole_format};

static const Field controller_table_fields[] = {
    A_ENUM("type", ControllerDef, type, controller_type_names, CONTROLLER_MAX, REQUIRED | ABI),
    A_OPT("index", ControllerDef, index, ABI, UINT32_MAX),
    A_ENUM("model", ControllerDef, model, controller_model_names, CONTROLLER_MODEL_MAX, ABI | UNSUPPORTED),
    A_OPT("ports", ControllerDef, ports, ABI, INT32_MAX),
    A_OPT("vectors", ControllerDef, vectors, ABI, INT32_MAX),
    REFUSE("@maxGrantFrames"),
    REFUSE("@maxEventChannels"),
    GROUP("model", model_table, 0),
    GROUP("target", target_table, 0),
    GROUP("driver", driver_table, 0),
    INFO_HEAD,
    GROUP("master", master_table, 0),
    INFO_TAIL,
    CUSTOM("pcihole64", hole_hooks, &hole_table, ABI | CHECKED),
    M_OPT("pcihole64", ControllerDef, pci_hole64_kib, ABI),
};

static char *models_of(ControllerType type)
{
    GString *s = g_string_new(NULL);
    for (int m = 1; m < CONTROLLER_MODEL_MAX; m++) {
        if (controller_model_fits(type, (ControllerModel)m))
            g_string_append_printf(s, "%s%s", s->len ? ", " : "", controller_model_names[m]);
    }
    return g_string_free(s, FALSE);
}

static int controller_finish(ParseCtx *c, xmlNode *node, void *base)
{
    ControllerDef *ctl = base;
    if (ctl->model && !controller_model_fits(ctl->type, ctl->model)) {
        g_autofree char *allowed = models_of(ctl->type);
        return unsupported_value(c, node, "model", controller_model_names[ctl->model], *allowed ? allowed : "none for this type");
    }
    if (ctl->type == CONTROLLER_PCI && !ctl->model) {
        return missing_attr(c, node, "model");
    }
    if (ctl->model != CONTROLLER_MODEL_PCI_ROOT && ctl->model != CONTROLLER_MODEL_PCIE_ROOT)
        ctl->pci_hole64_kib = (OptU64){0}; /* as libvirt reads it: a root's alone */
    /* Companions hang on fixed ports of their master. */
    if (ctl->model >= CONTROLLER_MODEL_ICH9_UHCI1 && ctl->model <= CONTROLLER_MODEL_ICH9_UHCI3)
        ctl->usb_master_startport = (OptU64){true, 2 * (uint64_t)(ctl->model - CONTROLLER_MODEL_ICH9_UHCI1)};
    if (ctl->type == CONTROLLER_USB && ctl->ports.set && (ctl->ports.v < 1 || ctl->ports.v > 15)) {
        g_autofree char *ports = node_attr(node, "ports");
        return unsupported_value(c, node, "ports", ports, "1 to 15");
    }
    return 0;
}

TABLE(controller_table, "controller", ControllerDef, .finish = controller_finish);
