/* model/dom_devices.c - <devices>
 *
 * Owns:    which element is which kind of device, and the order they are written in
 * Threads: any
 * Errors:  kinds Berth does not do: VIR_ERR_CONFIG_UNSUPPORTED
 */
#include "config.h"

#include <string.h>

#include "base.h"
#include "errors.h"
#define ERR_FROM VIR_FROM_DOMAIN
#include "model/complete.h"
#include "model/parts.h"

/* A console that is the serial port seen again is written with the serial port's content. */
static void consoles_format(FormatCtx *c, const void *base, const Field *f)
{
    const DomainDef *d = base;
    for (guint i = 0; i < d->consoles->len; i++) {
        const ChrDef *console = d->consoles->pdata[i];
        if (i == 0 && console->target_type == CHR_TARGET_SERIAL && d->serials->len) {
            ChrDef mirror = *(const ChrDef *)d->serials->pdata[0];
            mirror.kind = CHR_KIND_CONSOLE;
            mirror.target_type = CHR_TARGET_SERIAL;
            mirror.target_model = CHR_MODEL_ABSENT;
            table_format(c, &console_table, &mirror);
        } else {
            table_format(c, &console_table, console);
        }
    }
}

static int console_parse(ParseCtx *c, xmlNode *node, void *base, const Field *f)
{
    DomainDef *d = base;
    ChrDef *item = table_parse_new(c, &console_table, node);
    if (!item)
        return -1;
    /* Its place is its number, whatever is written. */
    if (!(c->flags & PARSE_STATUS))
        item->target_port = (OptU64){true, d->consoles->len};
    g_ptr_array_add(d->consoles, item);
    return 0;
}
static const FieldHooks console_hooks = {console_parse, consoles_format};

/* An older peer adds these by itself and would not know them written out. */
static bool migratable_drops(const FormatCtx *c, const DomainDef *d, const Field *f, const void *item)
{
    if (!(c->flags & FORMAT_MIGRATABLE) || !d->os.arch || strcmp(d->os.arch, "x86_64") != 0)
        return false;
    if (f->sub == &controller_table) {
        const ControllerDef *ctl = item;
        bool i440fx = domain_def_chipset(d) == CHIPSET_I440FX;
        for (guint i = 0; i440fx && i < d->controllers->len; i++) {
            const ControllerDef *other = d->controllers->pdata[i];
            if (other != ctl && other->type == ctl->type)
                return false;
        }
        if (!i440fx || ctl->index.v != 0)
            return false;
        if (ctl->type == CONTROLLER_PCI)
            return ctl->model == CONTROLLER_MODEL_PCI_ROOT && !ctl->pci_hole64_kib.set;
        return ctl->type == CONTROLLER_USB && (!ctl->model || ctl->model == CONTROLLER_MODEL_PIIX3_UHCI) &&
               ctl->info.addr.type == ADDRESS_PCI && ctl->info.addr.pci.slot == 1 && ctl->info.addr.pci.function == 2;
    }
    if (f->sub == &input_table) {
        const InputDef *in = item;
        return in->bus == INPUT_BUS_PS2 && in->type == INPUT_KEYBOARD;
    }
    return f->sub == &audio_table && ((const AudioDef *)item)->type == AUDIO_NONE && ((const AudioDef *)item)->id.v == 1;
}

static void list_format(FormatCtx *c, const void *base, const Field *f)
{
    GPtrArray *list = *(GPtrArray *const *)(const void *)((const char *)base + f->off);
    for (guint i = 0; i < list->len; i++) {
        if (!migratable_drops(c, base, f, list->pdata[i]))
            table_format(c, f->sub, list->pdata[i]);
    }
}

/* No machine has as many.  Finding places and duplicates costs the square of it, which is time of a worker. */
#define DEVICES_MAX 2048u

static int list_parse(ParseCtx *c, xmlNode *node, void *base, const Field *f)
{
    GPtrArray *list = *(GPtrArray **)(void *)((char *)base + f->off);
    if (list->len >= DEVICES_MAX)
        return err_set(c->err, VIR_ERR_XML_ERROR, "more than %u devices <%s> (line %ld)", DEVICES_MAX, (const char *)node->name,
                       xmlGetLineNo(node));
    void *item = table_parse_new(c, f->sub, node);
    if (!item)
        return -1;
    /* Files of ours hold the order that was shown. */
    if (c->flags & (PARSE_STATUS | PARSE_OWN))
        g_ptr_array_add(list, item);
    else if (f->sub == &disk_table)
        disk_insert(list, item);
    else if (f->sub == &controller_table)
        controller_insert(list, item);
    else
        g_ptr_array_add(list, item);
    return 0;
}
static const FieldHooks list_hooks = {list_parse, list_format};

#define DEVICES(n, m, table_)                                                                                          \
    {.name = n, .at = AT_CUSTOM, .off = offsetof(DomainDef, m), .flags = ALWAYS, .hooks = &list_hooks, .sub = &table_},\
    {.name = n, .at = AT_MEMORY, .type = T_LIST, .off = offsetof(DomainDef, m), .sub = &table_}

static const Field devices_table_fields[] = {
    L_STR("emulator", DomainDef, emulator, 0),
    DEVICES("disk", disks, disk_table),
    DEVICES("controller", controllers, controller_table),
    REFUSE("lease"),
    REFUSE("filesystem"),
    DEVICES("interface", nets, net_table),
    REFUSE("smartcard"),
    DEVICES("serial", serials, serial_table),
    DEVICES("parallel", parallels, parallel_table),
    {.name = "console", .at = AT_CUSTOM, .flags = ALWAYS, .hooks = &console_hooks, .sub = &console_table},
    {.name = "console", .at = AT_MEMORY, .type = T_LIST, .off = offsetof(DomainDef, consoles), .sub = &console_table},
    DEVICES("channel", channels, channel_table),
    DEVICES("input", inputs, input_table),
    REFUSE("tpm"),
    DEVICES("graphics", graphics, graphics_table),
    DEVICES("sound", sounds, sound_table),
    DEVICES("audio", audios, audio_table),
    DEVICES("video", videos, video_table),
    REFUSE("hostdev"),
    REFUSE("redirdev"),
    REFUSE("redirfilter"),
    DEVICES("hub", hubs, hub_table),
    DEVICES("watchdog", watchdogs, watchdog_table),
    PTR("memballoon", DomainDef, memballoon, memballoon_table, 0),
    DEVICES("rng", rngs, rng_table),
    REFUSE("nvram"),
    DEVICES("panic", panics, panic_table),
    REFUSE("shmem"),
    REFUSE("memory"),
    REFUSE("iommu"),
    REFUSE("vsock"),
    REFUSE("crypto"),
};
const Table devices_table = {
    .element = "devices", .fields = devices_table_fields, .n = N_ELEMENTS(devices_table_fields)};

/* ---- one device alone ------------------------------------------------------------------------------------------------------ */

static const Table *const kind_tables[DEVICE_MAX] = {
    NULL,
#define DEVICE(ID, element, Struct, table, member) &table,
#include "model/devices.def"
};

const Table *device_table(DeviceKind kind)
{
    return kind > DEVICE_ABSENT && kind < DEVICE_MAX ? kind_tables[kind] : NULL;
}

void *device_def_parse(const char *xml, ParseFlags flags, DeviceKind *ret_kind, Err *err)
{
    g_autoptr(xmlDoc) doc = xml_parse(xml, strlen(xml), "(device_definition)", err);
    if (!doc) {
        if (err)
            err->domain = VIR_FROM_DOMAIN;
        return NULL;
    }
    xmlNode *root = xmlDocGetRootElement(doc);
    ParseCtx c = {.flags = flags, .err = err};
    for (int kind = 1; kind < DEVICE_MAX; kind++) {
        if (!node_is(root, device_kind_names[kind]))
            continue;
        void *dev = table_parse_new(&c, kind_tables[kind], root);
        if (!dev)
            return NULL;
        *ret_kind = (DeviceKind)kind;
        if (kind == DEVICE_DISK && !((DiskDef *)dev)->bus)
            ((DiskDef *)dev)->bus = disk_default_bus(dev);
        return dev;
    }
    for (uint32_t i = 0; i < devices_table.n; i++) {
        if (devices_table.fields[i].at == AT_REFUSE && node_is(root, devices_table.fields[i].name)) {
            refuse_element(&c, root, NULL);
            return NULL;
        }
    }
    g_autofree char *allowed = enum_list(device_kind_names, DEVICE_MAX);
    err_set(err, VIR_ERR_XML_ERROR, "unknown device type '%s', allowed: %s", (const char *)root->name, allowed);
    return NULL;
}

void device_def_free(DeviceKind kind, void *dev)
{
    if (dev)
        table_free(kind_tables[kind], dev);
}

void *device_def_copy(DeviceKind kind, const void *dev)
{
    return table_copy(kind_tables[kind], dev);
}

char *device_def_format(DeviceKind kind, const void *dev, FormatFlags flags)
{
    FormatCtx c = {.flags = flags};
    xml_writer_init(&c.w);
    table_format(&c, kind_tables[kind], dev);
    return xml_writer_steal(&c.w);
}

unsigned device_def_diff(DeviceKind kind, const void *a, const void *b, DefChangedFn changed, void *ud)
{
    return table_diff(kind_tables[kind], a, b, device_kind_names[kind], changed, ud);
}

/* Each list and the single pointer, by kind. */
GPtrArray *domain_def_devices(const DomainDef *d, DeviceKind kind)
{
    switch (kind) {
#define DEVICE(ID, element, Struct, table, member)                                                                     \
    case DEVICE_##ID:                                                                                                  \
        return d->member;
#define DEVICE_ONE(ID, element, Struct, table, member)
#include "model/devices.def"
    default:
        return NULL;
    }
}

DeviceKind domain_def_remove_alias(DomainDef *d, const char *alias)
{
    DeviceKind kind = 0;
    void *dev = domain_def_find_alias(d, alias, &kind); /* the info is a device's first member */
    if (!dev)
        return 0;
    GPtrArray *list = domain_def_devices(d, kind);
    if (list)
        g_ptr_array_remove(list, dev);
    else
        d->memballoon = NULL;
    device_def_free(kind, dev);
    return kind;
}
