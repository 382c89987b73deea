/* model/dev_mirror.c - <mirror>: where a disk is being copied to
 *
 * Owns:    reading and writing of DiskDef.mirror; a client's is left out, for only a running job makes one
 * Threads: any
 * Errors:  VIR_ERR_XML_ERROR, in files of our own
 */
#include "config.h"

#include <string.h>

#include "base.h"
#include "errors.h"
#define ERR_FROM VIR_FROM_DOMAIN
#include "model/storage_xml.h"

static const Field mirror_table_fields[] = {
    IGNORE("@type"),
    IGNORE("@file"),
    IGNORE("@format"),
    IGNORE("@job"),
    IGNORE("@ready"),
    IGNORE("format"),
    {.name = "source", .at = AT_IGNORE, .sub = &storage_source_table},
    {.name = "backingStore", .at = AT_IGNORE, .sub = &storage_source_table},
};
const Table mirror_table = {.element = "mirror", .fields = mirror_table_fields, .n = N_ELEMENTS(mirror_table_fields)};

static int mirror_parse(ParseCtx *c, xmlNode *node, void *base, const Field *f)
{
    DiskDef *d = base;
    xmlNode *source = node_child(node, "source"), *format = node_child(node, "format");
    if (!(c->flags & PARSE_STATUS) || d->mirror)
        return 0;
    if (!source || !format)
        return bad_value(c, node, NULL, "mirror", "one with <source> and <format>");
    StorageSource *m = d->mirror = table_new(&storage_source_table);
    if (attr_enum(c, node, "type", storage_type_names, STORAGE_MAX, &m->type) < 0 ||
        attr_enum(c, node, "job", mirror_job_names, MIRROR_JOB_MAX, &d->mirror_job) < 0 ||
        attr_enum(c, node, "ready", mirror_state_names, MIRROR_STATE_MAX, &d->mirror_state) < 0 ||
        attr_enum(c, format, "type", storage_format_names, STORAGE_FORMAT_MAX, &m->format) < 0 ||
        storage_source_parse(c, source, m, NULL) < 0)
        return -1;
    return storage_backing_parse(c, node, m);
}

static void mirror_format(FormatCtx *c, const void *base, const Field *f)
{
    const DiskDef *d = base;
    const StorageSource *m = d->mirror;
    XmlWriter *w = &c->w;
    if (!m || !field_written(c, RUNTIME))
        return;
    const char *format = enum_word(storage_format_names, STORAGE_FORMAT_MAX, (int)m->format);
    xml_begin(w, "mirror");
    xml_attr(w, "type", storage_type_names[m->type]);
    if (m->type == STORAGE_FILE && d->mirror_job == MIRROR_COPY) { /* as older clients know it */
        xml_attr(w, "file", m->path);
        xml_attr(w, "format", format);
    }
    xml_attr(w, "job", enum_word(mirror_job_names, MIRROR_JOB_MAX, (int)d->mirror_job));
    xml_attr(w, "ready", enum_word(mirror_state_names, MIRROR_STATE_MAX, (int)d->mirror_state));
    xml_begin(w, "format");
    xml_attr(w, "type", format);
    xml_end(w);
    storage_source_format(c, m, STARTUP_ABSENT);
    storage_backing_format(c, m);
    xml_end(w);
}

const FieldHooks mirror_hooks = {mirror_parse, mirror_format};

/* ---- the target a client names ------------------------------------------------------------------------------------------------ */

StorageSource *mirror_target_parse(const char *xml, Err *err)
{
    g_autoptr(xmlDoc) doc = xml_parse(xml, strlen(xml), "(disk_definition)", err);
    if (!doc) {
        if (err)
            err->domain = VIR_FROM_DOMAIN;
        return NULL;
    }
    xmlNode *root = xmlDocGetRootElement(doc);
    if (!node_is(root, "disk")) {
        err_set_full(err, VIR_FROM_XML, VIR_ERR_XML_ERROR, 0, "expecting root element of 'disk', not '%s'", (const char *)root->name);
        return NULL;
    }
    ParseCtx c = {.flags = PARSE_INACTIVE, .err = err};
    xmlNode *source = node_child(root, "source"), *driver = node_child(root, "driver");
    g_autoptr(StorageSource) s = storage_source_new();
    if (attr_enum(&c, root, "type", storage_type_names, STORAGE_MAX, &s->type) < 0)
        return NULL;
    if (!s->type)
        s->type = STORAGE_FILE;
    if (s->type != STORAGE_FILE && s->type != STORAGE_BLOCK && s->type != STORAGE_NETWORK) {
        refuse_word(&c, root, "type");
        return NULL;
    }
    if (!source) {
        err_set(err, VIR_ERR_XML_ERROR, "missing source element of the target");
        return NULL;
    }
    if ((driver && attr_enum_u(&c, driver, "type", storage_format_names, STORAGE_FORMAT_MAX, &s->format) < 0) ||
        storage_source_parse(&c, source, s, NULL) < 0 || storage_backing_parse(&c, root, s) < 0)
        return NULL;
    return g_steal_pointer(&s);
}
