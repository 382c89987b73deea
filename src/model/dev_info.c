/* model/dev_info.c - what every device has: alias, boot order, rom, address
 *
 * Owns:    reading and writing of <address> in all its types
 * Threads: any
 * Errors:  VIR_ERR_XML_ERROR naming the attribute
 */
#include "config.h"

#include <string.h>

#include "model/field.h"

static const Field info_boot_table_fields[] = {
    A_OPT("order", DeviceInfo, boot_order, REQUIRED | NONZERO | ABI, UINT32_MAX),
    A_STR("loadparm", DeviceInfo, load_parm, ABI),
};
TABLE(info_boot_table, "boot", DeviceInfo, );

static const Field info_rom_table_fields[] = {
    A_YESNO("enabled", DeviceInfo, rom_enabled, ABI),
    A_ONOFF("bar", DeviceInfo, rom_bar, ABI),
    A_STR("file", DeviceInfo, rom_file, ABI),
};
TABLE(info_rom_table, "rom", DeviceInfo, );

static const Field info_acpi_table_fields[] = {
    A_OPT("index", DeviceInfo, acpi_index, REQUIRED | ABI, UINT32_MAX),
};
TABLE(info_acpi_table, "acpi", DeviceInfo, );

/* For documentation: the hook below decides by state whether an alias is kept. */
static const Field info_alias_table_fields[] = {
    A_STR("name", DeviceInfo, alias, RUNTIME),
};
TABLE(info_alias_table, "alias", DeviceInfo, );

/* A user's own alias survives in the inactive definition; ours are made at each start. */
static bool alias_is_users(const char *alias)
{
    return g_str_has_prefix(alias, "ua-");
}

static int alias_parse(ParseCtx *c, xmlNode *node, void *base, const Field *f)
{
    DeviceInfo *info = base;
    g_autofree char *name = node_attr(node, "name");
    if (!name || !*name)
        return 0;
    if ((c->flags & PARSE_INACTIVE) && !(c->flags & PARSE_STATUS)) {
        if (!alias_is_users(name) || name[strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")])
            return 0;
    }
    info->alias = g_steal_pointer(&name);
    return 0;
}

static void alias_format(FormatCtx *c, const void *base, const Field *f)
{
    const DeviceInfo *info = base;
    if (!info->alias || ((c->flags & FORMAT_INACTIVE) && !alias_is_users(info->alias)))
        return;
    xml_begin(&c->w, "alias");
    xml_attr(&c->w, "name", info->alias);
    xml_end(&c->w);
}

const FieldHooks info_alias_hooks = {alias_parse, alias_format};

/* ---- address --------------------------------------------------------------------------------------------------------------- */

/* For documentation; the hook reads by type. */
static const Field address_table_fields[] = {
    A_ENUM("type", DeviceAddress, type, address_type_names, ADDRESS_MAX, REQUIRED | ABI),
    {.name = "domain", .at = AT_ATTR, .type = T_UINT}, {.name = "bus", .at = AT_ATTR, .type = T_UINT},
    {.name = "slot", .at = AT_ATTR, .type = T_UINT},   {.name = "function", .at = AT_ATTR, .type = T_UINT},
    {.name = "multifunction", .at = AT_ATTR},          {.name = "controller", .at = AT_ATTR, .type = T_UINT},
    {.name = "target", .at = AT_ATTR, .type = T_UINT}, {.name = "unit", .at = AT_ATTR, .type = T_UINT},
    {.name = "port", .at = AT_ATTR, .type = T_UINT},   {.name = "iobase", .at = AT_ATTR, .type = T_UINT},
    {.name = "irq", .at = AT_ATTR, .type = T_UINT},
};
TABLE(address_table, "address", DeviceAddress, );

static int read_u32(ParseCtx *c, xmlNode *node, const char *attr, int base, uint64_t max, uint32_t *ret)
{
    uint64_t v = 0;
    if (attr_u64(c, node, attr, base, max, &v, NULL) < 0)
        return -1;
    *ret = (uint32_t)v;
    return 0;
}

static int read_opt(ParseCtx *c, xmlNode *node, const char *attr, uint64_t max, OptU64 *ret)
{
    return attr_u64(c, node, attr, 0, max, &ret->v, &ret->set);
}

static int pci_parse(ParseCtx *c, xmlNode *node, PciAddress *pci)
{
    if (read_u32(c, node, "domain", 0, 0xffff, &pci->domain) < 0 || read_u32(c, node, "bus", 0, 0xff, &pci->bus) < 0 ||
        read_u32(c, node, "slot", 0, 0x1f, &pci->slot) < 0 || read_u32(c, node, "function", 0, 7, &pci->function) < 0 ||
        attr_enum(c, node, "multifunction", tri_onoff_names, TRI_NO + 1, &pci->multifunction) < 0)
        return -1;
    return 0;
}

static int usb_parse(ParseCtx *c, xmlNode *node, DeviceAddress *a)
{
    g_autofree char *port = node_attr(node, "port");
    if (port && (!*port || strlen(port) >= sizeof a->usb.port || port[strspn(port, "0123456789.")] ||
                 port[0] == '.' || strstr(port, "..") || g_str_has_suffix(port, ".")))
        return bad_value(c, node, "port", port, "numbers joined by dots, such as 1 or 1.2");
    if (port)
        g_strlcpy(a->usb.port, port, sizeof a->usb.port);
    return read_u32(c, node, "bus", 10, UINT32_MAX, &a->usb.bus);
}

static int address_parse(ParseCtx *c, xmlNode *node, void *base, const Field *f)
{
    DeviceAddress a;
    memset(&a, 0, sizeof a); /* compared bytewise: padding included */
    if (attr_enum_u(c, node, "type", address_type_names, ADDRESS_MAX, &a.type) < 0)
        return -1;
    int rc = 0;
    switch (a.type) {
    case ADDRESS_NONE:
        return missing_attr(c, node, "type");
    case ADDRESS_PCI:
        rc = pci_parse(c, node, &a.pci);
        /* All zero is "a PCI address, you choose". */
        if (rc == 0 && !a.pci.domain && !a.pci.bus && !a.pci.slot && !a.pci.function) {
            TriState multi = a.pci.multifunction;
            memset(&a, 0, sizeof a);
            a.pci.multifunction = multi;
        }
        break;
    case ADDRESS_DRIVE:
        if (read_u32(c, node, "controller", 10, UINT32_MAX, &a.drive.controller) < 0 ||
            read_u32(c, node, "bus", 10, UINT32_MAX, &a.drive.bus) < 0 ||
            read_u32(c, node, "target", 10, UINT32_MAX, &a.drive.target) < 0 ||
            read_u32(c, node, "unit", 10, UINT32_MAX, &a.drive.unit) < 0)
            rc = -1;
        break;
    case ADDRESS_VIRTIO_SERIAL:
        if (read_u32(c, node, "controller", 10, UINT32_MAX, &a.virtio_serial.controller) < 0 ||
            read_u32(c, node, "bus", 10, UINT32_MAX, &a.virtio_serial.bus) < 0 ||
            read_u32(c, node, "port", 10, UINT32_MAX, &a.virtio_serial.port) < 0)
            rc = -1;
        break;
    case ADDRESS_CCID:
        if (read_u32(c, node, "controller", 10, UINT32_MAX, &a.ccid.controller) < 0 ||
            read_u32(c, node, "slot", 10, UINT32_MAX, &a.ccid.slot) < 0)
            rc = -1;
        break;
    case ADDRESS_USB:
        rc = usb_parse(c, node, &a);
        break;
    case ADDRESS_ISA:
        if (read_opt(c, node, "iobase", UINT32_MAX, &a.isa.iobase) < 0 || read_opt(c, node, "irq", UINT32_MAX, &a.isa.irq) < 0)
            rc = -1;
        break;
    default:
        return refuse_word(c, node, "type");
    }
    if (rc == 0)
        memcpy(&((DeviceInfo *)base)->addr, &a, sizeof a);
    return rc;
}

static void address_format(FormatCtx *c, const void *base, const Field *f)
{
    const DeviceAddress *a = &((const DeviceInfo *)base)->addr;
    XmlWriter *w = &c->w;
    if (a->type == ADDRESS_NONE)
        return;
    xml_begin(w, "address");
    xml_attr(w, "type", address_type_names[a->type]);
    switch (a->type) {
    case ADDRESS_PCI:
        xml_attrf(w, "domain", "0x%04x", a->pci.domain);
        xml_attrf(w, "bus", "0x%02x", a->pci.bus);
        xml_attrf(w, "slot", "0x%02x", a->pci.slot);
        xml_attrf(w, "function", "0x%x", a->pci.function);
        xml_attr(w, "multifunction", enum_word(tri_onoff_names, TRI_NO + 1, (int)a->pci.multifunction));
        break;
    case ADDRESS_DRIVE:
        xml_attrf(w, "controller", "%u", a->drive.controller);
        xml_attrf(w, "bus", "%u", a->drive.bus);
        xml_attrf(w, "target", "%u", a->drive.target);
        xml_attrf(w, "unit", "%u", a->drive.unit);
        break;
    case ADDRESS_VIRTIO_SERIAL:
        xml_attrf(w, "controller", "%u", a->virtio_serial.controller);
        xml_attrf(w, "bus", "%u", a->virtio_serial.bus);
        xml_attrf(w, "port", "%u", a->virtio_serial.port);
        break;
    case ADDRESS_CCID:
        xml_attrf(w, "controller", "%u", a->ccid.controller);
        xml_attrf(w, "slot", "%u", a->ccid.slot);
        break;
    case ADDRESS_USB:
        xml_attrf(w, "bus", "%u", a->usb.bus);
        xml_attr(w, "port", a->usb.port[0] ? a->usb.port : NULL);
        break;
    case ADDRESS_ISA:
        if (a->isa.iobase.set)
            xml_attrf(w, "iobase", "0x%x", (unsigned)a->isa.iobase.v);
        if (a->isa.irq.set)
            xml_attrf(w, "irq", "0x%x", (unsigned)a->isa.irq.v);
        break;
    default:
        break;
    }
    xml_end(w);
}

const FieldHooks address_hooks = {address_parse, address_format};
