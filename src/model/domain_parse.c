/* model/domain_parse.c - <domain>: its rows, and the way in
 *
 * Owns:    the table of the root element; parts have their own files (dom_os.c, dom_cpu.c, dom_devices.c)
 * Threads: any
 * Errors:  VIR_ERR_XML_DETAIL (not XML), VIR_ERR_NO_NAME, VIR_ERR_XML_ERROR, VIR_ERR_CONFIG_UNSUPPORTED
 */
#include "config.h"

#include <inttypes.h>
#include <string.h>

#include "base.h"
#include "errors.h"
#define ERR_FROM VIR_FROM_DOMAIN
#include "model/metadata.h"
#include "model/parts.h"
#include "util/uuid.h"

#define QEMU_NS "http://libvirt.org/schemas/domain/qemu/1.0"

/* ---- small parts ----------------------------------------------------------------------------------------------------------- */

static int uuid_parse_row(ParseCtx *c, xmlNode *node, void *base, const Field *f)
{
    DomainDef *d = base;
    g_autofree char *text = node_text(node);
    if (*text && !uuid_parse(text, d->uuid)) { /* empty is absent */
        g_autofree char *where = node_where(node);
        return err_set(c->err, VIR_ERR_XML_ERROR, "malformed uuid element '%s' (%s)", text, where);
    }
    return 0;
}

static void uuid_format_row(FormatCtx *c, const void *base, const Field *f)
{
    const DomainDef *d = base;
    char text[UUID_STRING_LEN];
    static const uint8_t none[UUID_LEN];
    if (memcmp(d->uuid, none, UUID_LEN) == 0)
        return;
    uuid_format(d->uuid, text);
    xml_leaf(&c->w, "uuid", text);
}
static const FieldHooks uuid_hooks = {uuid_parse_row, uuid_format_row};

static int metadata_parse_row(ParseCtx *c, xmlNode *node, void *base, const Field *f)
{
    ((DomainDef *)base)->metadata = metadata_from_node(node);
    return 0;
}

static void metadata_format_row(FormatCtx *c, const void *base, const Field *f)
{
    const DomainDef *d = base;
    if (d->metadata)
        metadata_write(&c->w, d->metadata);
}
static const FieldHooks metadata_hooks = {metadata_parse_row, metadata_format_row};

static int memory_parse_row(ParseCtx *c, xmlNode *node, void *base, const Field *f)
{
    DomainDef *d = base;
    if (f->off == offsetof(DomainDef, max_memory_kib) &&
        attr_enum(c, node, "dumpCore", tri_onoff_names, TRI_NO + 1, &d->dump_core) < 0)
        return -1;
    return memory_parse(c, node, (uint64_t *)(void *)((char *)base + f->off));
}

static void memory_format_row(FormatCtx *c, const void *base, const Field *f)
{
    const DomainDef *d = base;
    bool max = f->off == offsetof(DomainDef, max_memory_kib);
    g_autofree char *text = g_strdup_printf("%" PRIu64, max ? d->max_memory_kib : d->cur_memory_kib);
    xml_begin(&c->w, f->name);
    if (max)
        xml_attr(&c->w, "dumpCore", enum_word(tri_onoff_names, TRI_NO + 1, (int)d->dump_core));
    xml_attr(&c->w, "unit", "KiB");
    xml_text(&c->w, text);
    xml_end(&c->w);
}
static const FieldHooks memory_hooks = {memory_parse_row, memory_format_row};
static const Field memory_doc_table_fields[] = {IGNORE("@unit"), IGNORE("@dumpCore")};
static const Table memory_doc_table = {.element = "memory", .fields = memory_doc_table_fields, .n = 2};

static int vcpu_parse_row(ParseCtx *c, xmlNode *node, void *base, const Field *f)
{
    DomainDef *d = base;
    uint64_t n = 0, cur = 0;
    bool given = false;
    g_autofree char *text = node_text(node);
    g_autofree char *cpuset = node_attr(node, "cpuset");
    if (!parse_u64(text, 10, UINT32_MAX, &n) || attr_u64(c, node, "current", 10, UINT32_MAX, &cur, &given) < 0) {
        if (!err_is_set(c->err))
            bad_value(c, node, NULL, text, "a number of at least 1");
        return -1;
    }
    if (n == 0)
        return err_set(c->err, VIR_ERR_XML_ERROR, "the number of vcpus is 0 (line %ld), at least 1 is needed",
                       xmlGetLineNo(node));
    if (given && (cur == 0 || cur > n))
        return err_set(c->err, VIR_ERR_CONFIG_UNSUPPORTED,
                       "maxvcpus must not be less than current vcpus (%" PRIu64 " < %" PRIu64 ", line %ld)", n, cur,
                       xmlGetLineNo(node));
    d->max_vcpus = (unsigned)n;
    d->cur_vcpus = given ? (unsigned)cur : (unsigned)n;
    if (attr_enum(c, node, "placement", vcpu_placement_names, VCPU_PLACEMENT_MAX, &d->vcpu_placement) < 0)
        return -1;
    if (d->vcpu_placement == VCPU_PLACEMENT_AUTO)
        return refuse_word(c, node, "placement");
    if (cpuset && *cpuset) {
        d->vcpu_cpuset = cpuset_normalize(cpuset);
        if (!d->vcpu_cpuset)
            return err_set_full(c->err, VIR_FROM_NONE, VIR_ERR_INVALID_ARG, 0,
                                "Failed to parse bitmap '%s' (attribute 'cpuset' of element 'vcpu', line %ld)", cpuset,
                                xmlGetLineNo(node));
    }
    return 0;
}

static void vcpu_format_row(FormatCtx *c, const void *base, const Field *f)
{
    const DomainDef *d = base;
    XmlWriter *w = &c->w;
    g_autofree char *text = g_strdup_printf("%u", d->max_vcpus);
    xml_begin(w, "vcpu");
    xml_attr(w, "placement", d->vcpu_placement ? vcpu_placement_names[d->vcpu_placement] : "static");
    xml_attr(w, "cpuset", d->vcpu_cpuset);
    if (d->cur_vcpus != d->max_vcpus)
        xml_attrf(w, "current", "%u", d->cur_vcpus);
    xml_text(w, text);
    xml_end(w);
}
static const FieldHooks vcpu_hooks = {vcpu_parse_row, vcpu_format_row};
static const Field vcpu_doc_table_fields[] = {IGNORE("@placement"), IGNORE("@cpuset"), IGNORE("@current")};
static const Table vcpu_doc_table = {.element = "vcpu", .fields = vcpu_doc_table_fields, .n = 3};

static const Field resource_table_fields[] = {
    L_STR("partition", DomainDef, resource_partition, REQUIRED),
    REFUSE("fibrechannel"),
};
GROUP_TABLE(resource_table, "resource");

static const Field s3_table_fields[] = {A_YESNO("enabled", DomainDef, pm_s3, ABI)};
GROUP_TABLE(s3_table, "suspend-to-mem");
static const Field s4_table_fields[] = {A_YESNO("enabled", DomainDef, pm_s4, ABI)};
GROUP_TABLE(s4_table, "suspend-to-disk");
static const Field pm_table_fields[] = {
    GROUP("suspend-to-mem", s3_table, 0),
    GROUP("suspend-to-disk", s4_table, 0),
};
GROUP_TABLE(pm_table, "pm");

static void cpu_format_row(FormatCtx *c, const void *base, const Field *f)
{
    const DomainDef *d = base;
    /* Where it goes to, the machine is started again from what was asked for. */
    const CpuDef *cpu = (c->flags & FORMAT_MIGRATABLE) && d->cpu_asked.given ? &d->cpu_asked : &d->cpu;
    if (cpu->given)
        table_format(c, &cpu_table, cpu);
}
static int cpu_parse_row(ParseCtx *c, xmlNode *node, void *base, const Field *f)
{
    return table_parse(c, &cpu_table, node, &((DomainDef *)base)->cpu);
}
static const FieldHooks cpu_hooks = {cpu_parse_row, cpu_format_row};

static void asked_cpu_format(FormatCtx *c, const void *base, const Field *f)
{
    const DomainDef *d = base;
    if (!d->cpu_asked.given)
        return;
    xml_begin(&c->w, f->name);
    table_format_inside(c, &cpu_table, &d->cpu_asked);
    xml_end(&c->w);
}
static int asked_cpu_parse(ParseCtx *c, xmlNode *node, void *base, const Field *f)
{
    if (!(c->flags & PARSE_STATUS))
        return note_unknown(c, node, NULL);
    return table_parse(c, &cpu_table, node, &((DomainDef *)base)->cpu_asked);
}
static const FieldHooks asked_cpu_hooks = {asked_cpu_parse, asked_cpu_format};

/* The label of the process, as libvirt's DAC driver shows it for a running guest. */
static int seclabel_parse(ParseCtx *c, xmlNode *node, void *base, const Field *f)
{
    DomainDef *d = base;
    g_autofree char *model = node_attr(node, "model");
    SeclabelType type = SECLABEL_ABSENT;
    if (attr_enum(c, node, "type", seclabel_type_names, SECLABEL_MAX, &type) < 0)
        return -1;
    if (type == SECLABEL_STATIC)
        return refuse_word(c, node, "type");
    if (model && strcmp(model, "dac") != 0) {
        /* "none" for a driver that is not there asks for nothing. */
        return type == SECLABEL_NONE ? 0 : refuse_word(c, node, "model");
    }
    g_autofree char *unasked = c->flags & PARSE_STATUS ? node_attr(node, "unasked") : NULL;
    d->seclabel = unasked ? SECLABEL_ABSENT : type ? type : SECLABEL_DYNAMIC;
    xmlNode *label = node_child(node, "label");
    if (label && (!(c->flags & PARSE_INACTIVE) || (c->flags & PARSE_STATUS))) {
        g_free(d->seclabel_dac);
        d->seclabel_dac = node_text(label);
    }
    return 0;
}

static void seclabel_format(FormatCtx *c, const void *base, const Field *f)
{
    const DomainDef *d = base;
    bool live = d->seclabel_dac && field_written(c, RUNTIME);
    if (!live && !d->seclabel)
        return;
    xml_begin(&c->w, "seclabel");
    xml_attr(&c->w, "type", d->seclabel == SECLABEL_NONE ? "none" : "dynamic");
    xml_attr(&c->w, "model", "dac");
    if (d->seclabel != SECLABEL_NONE) {
        xml_attr(&c->w, "relabel", "yes");
        if (!d->seclabel && c->flags & FORMAT_STATUS)
            xml_attr(&c->w, "unasked", "yes"); /* ours, not the user's */
        if (live) {
            xml_leaf(&c->w, "label", d->seclabel_dac);
            xml_leaf(&c->w, "imagelabel", d->seclabel_dac);
        }
    }
    xml_end(&c->w);
}
static const Field seclabel_doc_table_fields[] = {
    IGNORE("@type"), IGNORE("@model"), IGNORE("@relabel"), IGNORE("label"), IGNORE("imagelabel"), REFUSE("baselabel"),
};
GROUP_TABLE(seclabel_doc_table, "seclabel");
static const FieldHooks seclabel_hooks = {seclabel_parse, seclabel_format};

/* ---- <qemu:commandline> ----------------------------------------------------------------------------------------------------- */

static bool is_qemu(const xmlNode *n, const char *name)
{
    return n->type == XML_ELEMENT_NODE && n->ns && strcmp((const char *)n->ns->href, QEMU_NS) == 0 &&
           strcmp((const char *)n->name, name) == 0;
}

static int commandline_parse(ParseCtx *c, DomainDef *d, xmlNode *node)
{
    for (xmlNode *n = node->children; n; n = n->next) {
        if (n->type != XML_ELEMENT_NODE)
            continue;
        if (is_qemu(n, "arg")) {
            char *value = node_attr(n, "value");
            if (!value)
                return err_set(c->err, VIR_ERR_XML_ERROR, "No QEMU command-line argument specified (line %ld)", xmlGetLineNo(n));
            g_ptr_array_add(d->qemu_args, value);
        } else if (is_qemu(n, "env")) {
            g_autofree char *name = node_attr(n, "name");
            g_autofree char *value = node_attr(n, "value");
            if (!name)
                return err_set(c->err, VIR_ERR_XML_ERROR, "No QEMU environment name specified (line %ld)", xmlGetLineNo(n));
            if (!*name)
                return err_set(c->err, VIR_ERR_XML_ERROR, "Empty QEMU environment name specified (line %ld)", xmlGetLineNo(n));
            if (!g_ascii_isalpha(*name) && *name != '_')
                return err_set(c->err, VIR_ERR_XML_ERROR,
                               "Invalid environment name, it must begin with a letter or underscore (line %ld)", xmlGetLineNo(n));
            if (name[strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_")])
                return err_set(c->err, VIR_ERR_XML_ERROR,
                               "Invalid environment name, it must contain only alphanumerics and underscore (line %ld)", xmlGetLineNo(n));
            g_ptr_array_add(d->qemu_env, g_strdup_printf("%s=%s", name, value ? value : ""));
        } else if (note_unknown(c, n, NULL) < 0) {
            return -1;
        }
    }
    return 0;
}

static void commandline_format(FormatCtx *c, const void *base, const Field *f)
{
    const DomainDef *d = base;
    XmlWriter *w = &c->w;
    if (!d->qemu_args->len && !d->qemu_env->len)
        return;
    xml_begin(w, "qemu:commandline");
    for (guint i = 0; i < d->qemu_args->len; i++) {
        xml_begin(w, "qemu:arg");
        xml_attr(w, "value", d->qemu_args->pdata[i]);
        xml_end(w);
    }
    for (guint i = 0; i < d->qemu_env->len; i++) {
        const char *pair = d->qemu_env->pdata[i];
        const char *eq = strchr(pair, '=');
        g_autofree char *name = g_strndup(pair, (gsize)(eq - pair));
        xml_begin(w, "qemu:env");
        xml_attr(w, "name", name);
        xml_attr(w, "value", eq[1] ? eq + 1 : NULL);
        xml_end(w);
    }
    xml_end(w);
}
static const FieldHooks commandline_hooks = {NULL, commandline_format};

static void root_attrs_format(FormatCtx *c, const void *base, const Field *f)
{
    const DomainDef *d = base;
    if (d->id >= 0 && field_written(c, RUNTIME))
        xml_attrf(&c->w, "id", "%d", d->id);
    if (d->qemu_args->len || d->qemu_env->len)
        xml_attr(&c->w, "xmlns:qemu", QEMU_NS);
}
static const FieldHooks root_attrs_hooks = {NULL, root_attrs_format};

/* ---- <domain> -------------------------------------------------------------------------------------------------------------- */

static const Field domain_table_fields[] = {
    A_ENUM("type", DomainDef, virt, virt_type_names, VIRT_MAX, ABI),
    IGNORE("@id"),
    WRITTEN("id", root_attrs_hooks),
    L_STR("name", DomainDef, name, 0),
    CUSTOM("uuid", uuid_hooks, NULL, ABI),
    REFUSE("genid"),
    L_STR("title", DomainDef, title, LIVE),
    L_STR("description", DomainDef, description, LIVE),
    CUSTOM("metadata", metadata_hooks, NULL, LIVE),
    REFUSE("maxMemory"),
    {.name = "memory", .at = AT_CUSTOM, .off = offsetof(DomainDef, max_memory_kib), .flags = CHECKED, .hooks = &memory_hooks, .sub = &memory_doc_table},
    {.name = "currentMemory", .at = AT_CUSTOM, .off = offsetof(DomainDef, cur_memory_kib), .flags = CHECKED, .hooks = &memory_hooks, .sub = &memory_doc_table},
    REFUSE("blkiotune"),
    REFUSE("memtune"),
    REFUSE("memoryBacking"),
    CUSTOM("vcpu", vcpu_hooks, &vcpu_doc_table, ABI | CHECKED),
    REFUSE("vcpus"),
    REFUSE("iothreads"),
    REFUSE("iothreadids"),
    REFUSE("defaultiothread"),
    REFUSE("cputune"),
    REFUSE("numatune"),
    GROUP("resource", resource_table, 0),
    REFUSE("sysinfo"),
    REFUSE("bootloader"),
    REFUSE("bootloader_args"),
    EMBED("os", DomainDef, os, os_table, ABI),
    REFUSE("idmap"),
    EMBED("features", DomainDef, features, features_table, ABI),
    CUSTOM("cpu", cpu_hooks, &cpu_table, ABI),
    M_EMBED("cpu", DomainDef, cpu, cpu_table, ABI),
    CUSTOM("askedCpu", asked_cpu_hooks, NULL, STATUS),
    M_EMBED("askedCpu", DomainDef, cpu_asked, cpu_table, RUNTIME),
    EMBED("clock", DomainDef, clock, clock_table, ABI),
    L_ENUM("on_poweroff", DomainDef, on_poweroff, lifecycle_action_names, ON_MAX, LIVE | UNSUPPORTED),
    L_ENUM("on_reboot", DomainDef, on_reboot, lifecycle_action_names, ON_MAX, LIVE | UNSUPPORTED),
    L_ENUM("on_crash", DomainDef, on_crash, lifecycle_action_names, ON_MAX, LIVE | UNSUPPORTED),
    REFUSE("on_lockfailure"),
    GROUP("pm", pm_table, ABI),
    REFUSE("perf"),
    {.name = "devices", .at = AT_GROUP, .type = T_TABLE, .flags = ALWAYS, .sub = &devices_table},
    CUSTOM("seclabel", seclabel_hooks, &seclabel_doc_table, ALWAYS | CHECKED),
    REFUSE("keywrap"),
    REFUSE("launchSecurity"),
    WRITTEN("qemu:commandline", commandline_hooks),
    M_BYTES("uuid", DomainDef, uuid, ABI),
    M_STR("metadata", DomainDef, metadata, LIVE),
    {.name = "memory", .at = AT_MEMORY, .type = T_U64, .off = offsetof(DomainDef, max_memory_kib), .flags = ABI},
    {.name = "currentMemory", .at = AT_MEMORY, .type = T_U64, .off = offsetof(DomainDef, cur_memory_kib), .flags = LIVE},
    {.name = "vcpu", .at = AT_MEMORY, .type = T_UINT, .off = offsetof(DomainDef, max_vcpus), .flags = ABI},
    {.name = "vcpu/@current", .at = AT_MEMORY, .type = T_UINT, .off = offsetof(DomainDef, cur_vcpus), .flags = LIVE},
    M_STR("vcpu/@cpuset", DomainDef, vcpu_cpuset, LIVE),
    M_STRLIST("qemu:arg", DomainDef, qemu_args, ABI),
    M_STRLIST("qemu:env", DomainDef, qemu_env, 0),
    M_STR("seclabel", DomainDef, seclabel_dac, RUNTIME),
};

static void domain_init(void *base)
{
    DomainDef *d = base;
    d->refs = 1;
    d->id = -1;
#define DEVICE(ID, element, Struct, table, member) d->member = g_ptr_array_new();
#define DEVICE_ONE(ID, element, Struct, table, member)
#include "model/devices.def"
    d->qemu_args = g_ptr_array_new();
    d->qemu_env = g_ptr_array_new();
}

static int domain_finish(ParseCtx *c, xmlNode *node, void *base)
{
    DomainDef *d = base;
    g_autofree char *id = node_attr(node, "id");
    uint64_t v = 0;
    if (id && (!(c->flags & PARSE_INACTIVE) || (c->flags & PARSE_STATUS)) && parse_u64(id, 10, INT32_MAX, &v))
        d->id = (int)v;
    return 0;
}

const Table domain_table = {.element = "domain",
                            .size = sizeof(DomainDef),
                            .head = offsetof(DomainDef, refs) + sizeof(((DomainDef *)NULL)->refs),
                            .fields = domain_table_fields,
                            .n = N_ELEMENTS(domain_table_fields),
                            .init = domain_init,
                            .finish = domain_finish};

/* What libvirt checks first, in its order: which error a client sees for a document with several faults. */
static int parse_head(ParseCtx *c, DomainDef *d, xmlNode *root)
{
    g_autofree char *type = node_attr(root, "type");
    xmlNode *name = node_child(root, "name");
    g_autofree char *text = name ? node_text(name) : NULL;
    if (!text || !*text) {
        g_autofree char *where = node_where(root);
        return err_set(c->err, VIR_ERR_NO_NAME, "%s", where);
    }
    if (!type)
        return missing_attr(c, root, "type");
    return attr_enum_u(c, root, "type", virt_type_names, VIRT_MAX, &d->virt);
}

static int parse_root(ParseCtx *c, DomainDef *d, xmlNode *root)
{
    if (!node_is(root, "domain")) {
        g_autofree char *where = node_where(root);
        return err_set_full(c->err, VIR_FROM_XML, VIR_ERR_XML_ERROR, 0, "unexpected root element <%s>, expecting <domain> (%s)",
                            (const char *)root->name, where);
    }
    if (parse_head(c, d, root) < 0)
        return -1;
    /* The engine takes what has no namespace; QEMU's own goes first, so that it is not "unknown". */
    for (xmlNode *n = root->children, *next; n; n = next) {
        next = n->next;
        if (!is_qemu(n, "commandline")) {
            if (is_qemu(n, "capabilities") || is_qemu(n, "deprecation") || is_qemu(n, "override"))
                return refuse_element(c, n, NULL);
            continue;
        }
        if (commandline_parse(c, d, n) < 0)
            return -1;
        xmlUnlinkNode(n);
        xmlFreeNode(n);
    }
    return table_parse(c, &domain_table, root, d);
}

DomainDef *domain_def_parse(const char *xml, ParseFlags flags, GPtrArray *ret_unknown, Err *err)
{
    g_autoptr(xmlDoc) doc = (flags & PARSE_OWN ? xml_parse_own : xml_parse)(xml, strlen(xml), "(domain_definition)", err);
    if (!doc) {
        if (err)
            err->domain = VIR_FROM_DOMAIN;
        return NULL;
    }
    g_autoptr(DomainDef) d = domain_def_new();
    ParseCtx c = {.flags = flags, .unknown = ret_unknown, .err = err};
    if (parse_root(&c, d, xmlDocGetRootElement(doc)) < 0)
        return NULL;
    return g_steal_pointer(&d);
}
