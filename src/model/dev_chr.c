/* model/dev_chr.c - <serial>, <parallel>, <console>, <channel>
 *
 * Owns:    the guest side: <target> by kind of device
 * Threads: any
 * Errors:  VIR_ERR_XML_ERROR with the target types of the kind
 */
#include "config.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <string.h>

#include "base.h"
#include "errors.h"
#define ERR_FROM VIR_FROM_DOMAIN
#include "model/chr_xml.h"

static bool target_fits(ChrKind kind, ChrTargetType t)
{
    switch (kind) {
    case CHR_KIND_SERIAL:
        return t >= CHR_TARGET_ISA_SERIAL && t <= CHR_TARGET_ISA_DEBUG;
    case CHR_KIND_CONSOLE:
        return t >= CHR_TARGET_SERIAL && t <= CHR_TARGET_SCLPLM;
    case CHR_KIND_CHANNEL:
        return t == CHR_TARGET_GUESTFWD || t == CHR_TARGET_VIRTIO || t == CHR_TARGET_XEN;
    default:
        return false;
    }
}

static char *targets_of(ChrKind kind)
{
    GString *s = g_string_new(NULL);
    for (int t = 1; t < CHR_TARGET_MAX; t++) {
        if (target_fits(kind, (ChrTargetType)t))
            g_string_append_printf(s, "%s%s", s->len ? ", " : "", chr_target_type_names[t]);
    }
    return g_string_free(s, FALSE);
}

/* ---- <target> -------------------------------------------------------------------------------------------------------------- */

static const Field target_doc_table_fields[] = {
    IGNORE("@type"), IGNORE("@port"), IGNORE("@name"), IGNORE("@address"), IGNORE("@state"), IGNORE("model"),
};
static const Table target_doc_table = {
    .element = "target", .fields = target_doc_table_fields, .n = N_ELEMENTS(target_doc_table_fields)};

static int target_type_read(ParseCtx *c, xmlNode *node, ChrDef *chr)
{
    g_autofree char *type = node_attr(node, "type");
    if (!type || chr->kind == CHR_KIND_PARALLEL)
        return 0;
    for (int t = 1; t < CHR_TARGET_MAX; t++) {
        if (strcmp(chr_target_type_names[t], type) == 0 && target_fits(chr->kind, (ChrTargetType)t)) {
            chr->target_type = (ChrTargetType)t;
            return 0;
        }
    }
    g_autofree char *allowed = targets_of(chr->kind);
    return unsupported_value(c, node, "type", type, allowed);
}

static int target_parse(ParseCtx *c, xmlNode *node, void *base, const Field *f)
{
    ChrDef *chr = base;
    if (table_parse(c, &target_doc_table, node, base) < 0 || target_type_read(c, node, chr) < 0)
        return -1;
    xmlNode *model = chr->kind == CHR_KIND_SERIAL ? node_child(node, "model") : NULL;
    if (model && attr_enum(c, model, "name", chr_target_model_names, CHR_MODEL_MAX, &chr->target_model) < 0)
        return -1;
    if (chr->kind == CHR_KIND_CHANNEL && chr->target_type == CHR_TARGET_GUESTFWD) {
        struct in_addr v4;
        chr->target_address = node_attr(node, "address");
        if (!chr->target_address)
            return missing_attr(c, node, "address");
        if (inet_pton(AF_INET, chr->target_address, &v4) != 1) /* QEMU takes it apart at ':' and '-', and "-cmd:" is a command */
            return unsupported_value(c, node, "address", chr->target_address, "an IPv4 address");
    }
    if (chr->kind == CHR_KIND_CHANNEL && chr->target_type != CHR_TARGET_GUESTFWD) {
        chr->target_name = node_attr(node, "name");
        if (!(c->flags & PARSE_INACTIVE) || (c->flags & PARSE_STATUS))
            return attr_enum(c, node, "state", channel_state_names, CHANNEL_STATE_MAX, &chr->target_state);
        return 0;
    }
    if (attr_u64(c, node, "port", 10, chr->kind == CHR_KIND_CHANNEL ? 65535 : UINT32_MAX, &chr->target_port.v, &chr->target_port.set) < 0)
        return -1;
    if (chr->kind == CHR_KIND_CHANNEL && !chr->target_port.set)
        return missing_attr(c, node, "port");
    return 0;
}

static void target_format(FormatCtx *c, const void *base, const Field *f)
{
    const ChrDef *chr = base;
    XmlWriter *w = &c->w;
    const char *type = enum_word(chr_target_type_names, CHR_TARGET_MAX, (int)chr->target_type);
    xml_begin(w, "target");
    switch (chr->kind) {
    case CHR_KIND_CHANNEL:
        xml_attr(w, "type", type);
        if (chr->target_type == CHR_TARGET_GUESTFWD) {
            xml_attr(w, "address", chr->target_address);
            xml_attrf(w, "port", "%" PRIu64, chr->target_port.v);
        } else {
            xml_attr(w, "name", chr->target_name);
            if (chr->target_type == CHR_TARGET_VIRTIO && chr->target_state && field_written(c, RUNTIME))
                xml_attr(w, "state", channel_state_names[chr->target_state]);
        }
        break;
    case CHR_KIND_SERIAL:
    case CHR_KIND_CONSOLE:
        xml_attr(w, "type", type);
        xml_attrf(w, "port", "%" PRIu64, chr->target_port.v);
        if (chr->target_model) {
            xml_begin(w, "model");
            xml_attr(w, "name", chr_target_model_names[chr->target_model]);
            xml_end(w);
        }
        break;
    default:
        if (chr->target_port.set)
            xml_attrf(w, "port", "%" PRIu64, chr->target_port.v);
        break;
    }
    xml_end(w);
}
static const FieldHooks target_hooks = {target_parse, target_format};

/* ---- rows ------------------------------------------------------------------------------------------------------------------ */

static void type_format(FormatCtx *c, const void *base, const Field *f)
{
    const ChrDef *chr = base;
    chr_type_format(c, &chr->source, chr->kind == CHR_KIND_CONSOLE && chr->target_port.v == 0);
}
static const FieldHooks type_hooks = {NULL, type_format};

static void source_format(FormatCtx *c, const void *base, const Field *f)
{
    const ChrDef *chr = base;
    /* The path of a channel's socket we invented is not the user's. */
    chr_source_format(c, &chr->source);
}
static const FieldHooks source_hooks = {NULL, source_format};

static const Field protocol_doc_table_fields[] = {IGNORE("@type")};
GROUP_TABLE(protocol_doc_table, "protocol");
static const Field log_doc_table_fields[] = {IGNORE("@file"), IGNORE("@append")};
GROUP_TABLE(log_doc_table, "log");

static const Field chr_table_fields[] = {
    IGNORE("@type"),
    IGNORE("@tty"),
    WRITTEN("type", type_hooks),
    {.name = "source", .at = AT_IGNORE, .sub = &chr_source_doc_table},
    {.name = "protocol", .at = AT_IGNORE, .flags = CHECKED, .sub = &protocol_doc_table},
    {.name = "log", .at = AT_IGNORE, .flags = CHECKED, .sub = &log_doc_table},
    WRITTEN("source", source_hooks),
    CUSTOM("target", target_hooks, &target_doc_table, ABI),
    INFO_ROWS,
    M_EMBED("source", ChrDef, source, chr_source_table, 0),
    {.name = "target/@type", .at = AT_MEMORY, .type = T_ENUM, .off = offsetof(ChrDef, target_type), .flags = ABI},
    {.name = "target/model", .at = AT_MEMORY, .type = T_ENUM, .off = offsetof(ChrDef, target_model), .flags = ABI},
    M_OPT("target/@port", ChrDef, target_port, ABI),
    M_STR("target/@name", ChrDef, target_name, ABI),
    M_STR("target/@address", ChrDef, target_address, ABI),
};

static int chr_finish(ParseCtx *c, xmlNode *node, void *base)
{
    ChrDef *chr = base;
    if (chr_source_parse(c, node, &chr->source) < 0)
        return -1;
    if (chr->kind == CHR_KIND_CHANNEL && !chr->target_type) {
        xmlNode *target = node_child(node, "target");
        return missing_attr(c, target ? target : node, target ? "type" : "target");
    }
    if (chr->kind == CHR_KIND_CONSOLE && !chr->target_type)
        chr->target_type = CHR_TARGET_ABSENT;
    return 0;
}

#define KIND(name, element_, KIND_)                                                                                    \
    static void name##_init(void *base)                                                                                \
    {                                                                                                                  \
        ((ChrDef *)base)->kind = KIND_;                                                                                \
    }                                                                                                                  \
    const Table name##_table = {.element = element_,                                                                   \
                                .size = sizeof(ChrDef),                                                                \
                                .fields = chr_table_fields,                                                            \
                                .n = N_ELEMENTS(chr_table_fields),                                                     \
                                .init = name##_init,                                                                   \
                                .finish = chr_finish};
KIND(serial, "serial", CHR_KIND_SERIAL)
KIND(parallel, "parallel", CHR_KIND_PARALLEL)
KIND(console, "console", CHR_KIND_CONSOLE)
KIND(channel, "channel", CHR_KIND_CHANNEL)
