/* store/snapshot_intent.c - a snapshot of a running machine that is being taken, on disk
 *
 * Owns:    its format, our own, with its number inside
 * Threads: workers, and the main thread at start (blocks on storage)
 * Errors:  VIR_ERR_SYSTEM_ERROR with the path, VIR_ERR_XML_ERROR
 */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "util/file.h"
#include "util/xml.h"
#include "store/defs.h"
#include "store/snapshot_intent.h"
#include "store/snapshots.h"

#define FORMAT "1"

static void disk_free(void *p)
{
    SnapshotIntentDisk *d = p;
    g_free(d->target);
    g_free(d->old_path);
    g_free(d);
}

SnapshotIntent *snapshot_intent_new(const SnapshotDef *def, bool metadata)
{
    SnapshotIntent *in = g_new0(SnapshotIntent, 1);
    in->def = snapshot_def_ref(def);
    in->metadata = metadata;
    in->disks = g_ptr_array_new_with_free_func(disk_free);
    return in;
}

void snapshot_intent_add(SnapshotIntent *in, const char *target, const char *old_path, unsigned index, bool made)
{
    SnapshotIntentDisk *d = g_new0(SnapshotIntentDisk, 1);
    *d = (SnapshotIntentDisk){.target = g_strdup(target), .old_path = g_strdup(old_path), .index = index, .made = made};
    g_ptr_array_add(in->disks, d);
}

void snapshot_intent_free(SnapshotIntent *in)
{
    if (!in)
        return;
    snapshot_def_unref(in->def);
    g_ptr_array_unref(in->disks);
    g_free(in);
}

int snapshot_intent_save(const char *base, const char *machine, const SnapshotIntent *in, Err *err)
{
    g_autofree char *def = snapshot_def_format(in->def, SNAPSHOT_FORMAT_SECURE | SNAPSHOT_FORMAT_FILE, false, err);
    if (!def)
        return -1;
    XmlWriter w;
    xml_writer_init(&w);
    xml_begin(&w, "snapshotintent");
    xml_attr(&w, "format", FORMAT);
    xml_attr(&w, "metadata", in->metadata ? "yes" : "no");
    for (unsigned i = 0; i < in->disks->len; i++) {
        const SnapshotIntentDisk *d = in->disks->pdata[i];
        xml_begin(&w, "disk");
        xml_attr(&w, "target", d->target);
        xml_attr(&w, "from", d->old_path);
        xml_attrf(&w, "index", "%u", d->index);
        xml_attr(&w, "made", d->made ? "yes" : "no");
        xml_end(&w);
    }
    xml_verbatim(&w, def);
    xml_end(&w);
    g_autofree char *text = xml_writer_steal(&w);
    g_autofree char *path = defs_path(base, machine);
    int r = dir_make_durable(base, 0700);
    if (r == 0)
        r = file_replace(path, text, strlen(text), 0600, FILE_DURABLE);
    return r < 0 ? err_set_errno(err, -r, "cannot write '%s'", path) : 0;
}

/* Caller frees; NULL when absent. */
static char *attr(xmlNode *n, const char *name)
{
    xmlChar *raw = xmlGetNoNsProp(n, (const xmlChar *)name);
    char *text = g_strdup((const char *)raw);
    xmlFree(raw);
    return text;
}

static int disk_parse(SnapshotIntent *in, xmlNode *n, Err *err)
{
    g_autofree char *target = attr(n, "target"), *from = attr(n, "from"), *index = attr(n, "index"), *made = attr(n, "made");
    guint64 number;
    if (!target || !from || !index || !g_ascii_string_to_unsigned(index, 10, 1, G_MAXUINT32, &number, NULL))
        return err_set(err, VIR_ERR_XML_ERROR, "a disk lacks its target, image or number");
    const SnapshotDisk *d = snapshot_def_disk(in->def, target);
    if (!d || !d->path || !d->format)
        return err_set(err, VIR_ERR_XML_ERROR, "disk '%s' has no new image", target);
    snapshot_intent_add(in, target, from, (unsigned)number, g_strcmp0(made, "yes") == 0);
    return 0;
}

static StoredDef *as_stored(void *ud, const char *xml, Err *err)
{
    g_autoptr(DomainDef) d = domain_def_parse_stored(xml, err);
    return d ? stored_def_new(d) : NULL;
}

static SnapshotDef *def_parse(xmlNode *n, Err *err)
{
    xmlBuffer *buf = xmlBufferCreate();
    if (!buf || xmlNodeDump(buf, n->doc, n, 0, 0) < 0)
        g_error("out of memory");
    const char *text = (const char *)xmlBufferContent(buf);
    SnapshotDef *s = snapshot_def_parse(text, strlen(text), SNAPSHOT_PARSE_FILE, as_stored, NULL, err);
    xmlBufferFree(buf);
    return s;
}

static SnapshotIntent *parse(const char *text, size_t len, Err *err)
{
    g_autoptr(xmlDoc) doc = xml_parse_own(text, len, "(snapshot)", err);
    if (!doc)
        return NULL;
    xmlNode *root = xmlDocGetRootElement(doc), *inner = NULL;
    g_autofree char *format = attr(root, "format"), *metadata = attr(root, "metadata");
    for (xmlNode *n = root->children; n; n = n->next) {
        if (n->type == XML_ELEMENT_NODE && strcmp((const char *)n->name, "domainsnapshot") == 0)
            inner = n;
    }
    if (strcmp((const char *)root->name, "snapshotintent") != 0 || g_strcmp0(format, FORMAT) != 0 || !inner) {
        err_set(err, VIR_ERR_XML_ERROR, "not a note of a snapshot in this daemon's format");
        return NULL;
    }
    g_autoptr(SnapshotDef) def = def_parse(inner, err);
    g_autoptr(SnapshotIntent) in = def ? snapshot_intent_new(def, g_strcmp0(metadata, "yes") == 0) : NULL;
    for (xmlNode *n = root->children; in && n; n = n->next) {
        if (n->type == XML_ELEMENT_NODE && strcmp((const char *)n->name, "disk") == 0 && disk_parse(in, n, err) < 0)
            return NULL;
    }
    return g_steal_pointer(&in);
}

SnapshotIntent *snapshot_intent_load(const char *base, const char *machine, Err *err)
{
    g_autofree char *path = defs_path(base, machine), *text = NULL;
    size_t len;
    int r = file_read(path, XML_OWN_BYTES, &text, &len);
    if (r == -ENOENT)
        return NULL;
    if (r < 0) {
        err_set_errno(err, -r, "cannot read '%s'", path);
        return NULL;
    }
    SnapshotIntent *in = parse(text, len, err);
    if (!in)
        err_wrap(err, "'%s'", path);
    return in;
}

int snapshot_intent_remove(const char *base, const char *machine, Err *err)
{
    g_autofree char *path = defs_path(base, machine);
    int r = file_remove(path, FILE_DURABLE);
    return r < 0 ? err_set_errno(err, -r, "cannot remove '%s'", path) : 0;
}
