/* model/snapshot_def.c - what <domainsnapshot> says: memory, reading and writing
 *
 * Owns:    the order of elements; the machine inside is domain_parse.c's
 * Threads: any
 * Errors:  VIR_ERR_XML_ERROR, VIR_ERR_XML_DETAIL for names that are no files', VIR_ERR_INTERNAL_ERROR where libvirt has that; other kinds of storage: VIR_ERR_CONFIG_UNSUPPORTED
 */
#include "config.h"

#include <inttypes.h>
#include <string.h>

#include "base.h"
#include "errors.h"
#define ERR_FROM VIR_FROM_DOMAIN_SNAPSHOT
#include "model/field.h"
#include "model/snapshot_def.h"

#define DISKS_MAX 4096u /* more than a machine can have */
#define NAME_MAX_LEN (255u - 12u) /* "." NAME ".xml" "." and six characters is a file's temporary name */

const char *const snapshot_state_names[SNAPSHOT_STATE_MAX] = {
    "nostate", "running", "blocked", "paused", "shutdown", "shutoff", "crashed", "pmsuspended", "disk-snapshot",
};

/* ---- memory ---------------------------------------------------------------------------------------------------------------- */

static void disk_free(void *p)
{
    snapshot_disk_free(p);
}

SnapshotDef *snapshot_def_new(void)
{
    SnapshotDef *s = g_new0(SnapshotDef, 1);
    s->refs = 1;
    s->disks = g_ptr_array_new_with_free_func(disk_free);
    return s;
}

SnapshotDisk *snapshot_disk_new(const char *name)
{
    SnapshotDisk *d = g_new0(SnapshotDisk, 1);
    d->name = g_strdup(name);
    return d;
}

void snapshot_disk_free(SnapshotDisk *d)
{
    if (!d)
        return;
    g_free(d->name);
    g_free(d->path);
    g_free(d);
}

SnapshotDef *snapshot_def_copy(const SnapshotDef *s)
{
    SnapshotDef *c = g_memdup2(s, sizeof(*s));
    c->refs = 1;
    c->name = g_strdup(s->name);
    c->description = g_strdup(s->description);
    c->parent = g_strdup(s->parent);
    c->memory_file = g_strdup(s->memory_file);
    c->cookie = g_strdup(s->cookie);
    c->domain = s->domain ? stored_def_ref(s->domain) : NULL;
    c->inactive = s->inactive ? stored_def_ref(s->inactive) : NULL;
    c->disks = g_ptr_array_new_with_free_func(disk_free);
    for (unsigned i = 0; i < s->disks->len; i++) {
        const SnapshotDisk *from = s->disks->pdata[i];
        SnapshotDisk *to = g_memdup2(from, sizeof(*from));
        to->name = g_strdup(from->name);
        to->path = g_strdup(from->path);
        g_ptr_array_add(c->disks, to);
    }
    return c;
}

SnapshotDef *snapshot_def_ref(const SnapshotDef *s)
{
    union {
        const SnapshotDef *in;
        SnapshotDef *out;
    } p = {.in = s};
    g_atomic_int_inc(&p.out->refs);
    return p.out;
}

void snapshot_def_unref(SnapshotDef *s)
{
    if (!s || !g_atomic_int_dec_and_test(&s->refs))
        return;
    g_free(s->name);
    g_free(s->description);
    g_free(s->parent);
    g_free(s->memory_file);
    g_free(s->cookie);
    g_ptr_array_unref(s->disks);
    stored_def_unref(s->domain);
    stored_def_unref(s->inactive);
    g_free(s);
}

SnapshotDisk *snapshot_def_disk(const SnapshotDef *s, const char *name)
{
    for (unsigned i = 0; i < s->disks->len; i++) {
        SnapshotDisk *d = s->disks->pdata[i];
        if (strcmp(d->name, name) == 0)
            return d;
    }
    return NULL;
}

bool snapshot_def_is_external(const SnapshotDef *s)
{
    if (s->memory == SNAPSHOT_EXTERNAL)
        return true;
    for (unsigned i = 0; i < s->disks->len; i++) {
        if (((const SnapshotDisk *)s->disks->pdata[i])->location == SNAPSHOT_EXTERNAL)
            return true;
    }
    return false;
}

int snapshot_name_check(const char *name, Err *err)
{
    if (!*name)
        return err_set(err, VIR_ERR_XML_ERROR, "the snapshot's name is empty");
    if (strchr(name, '/'))
        return err_set_full(err, VIR_FROM_QEMU, VIR_ERR_XML_DETAIL, 0, "invalid snapshot name '%s': name can't contain '/'", name);
    if (name[0] == '.')
        return err_set_full(err, VIR_FROM_QEMU, VIR_ERR_XML_DETAIL, 0, "invalid snapshot name '%s': name can't start with '.'", name);
    for (const unsigned char *p = (const unsigned char *)name; *p; p++) {
        if (*p < 0x20 || *p == 0x7f)
            return err_set(err, VIR_ERR_XML_ERROR, "a snapshot's name cannot contain control characters (byte %u)", *p);
    }
    if (strlen(name) > NAME_MAX_LEN)
        return err_set(err, VIR_ERR_XML_ERROR, "a snapshot's name is longer than the %u bytes a file's name can hold", NAME_MAX_LEN);
    return 0;
}

/* ---- reading --------------------------------------------------------------------------------------------------------------- */

/* Elements <domainsnapshot> may have; what else is there is noted. */
static int check_children(ParseCtx *c, xmlNode *root)
{
    static const char *const known[] = {"name", "description", "state", "creationTime", "parent", "memory", "disks",
                                        "domain", "inactiveDomain", "active", "cookie"};
    for (xmlNode *n = root->children; n; n = n->next) {
        bool found = n->type != XML_ELEMENT_NODE;
        for (unsigned i = 0; i < N_ELEMENTS(known) && !found; i++)
            found = node_is(n, known[i]);
        if (!found && note_unknown(c, n, NULL) < 0)
            return -1;
    }
    return 0;
}

/* Text of a child; NULL when there is none, or nothing in it. */
static char *child_text(xmlNode *node, const char *name)
{
    xmlNode *child = node_child(node, name);
    char *text = child ? node_text(child) : NULL;
    if (text && !*text)
        g_clear_pointer(&text, g_free);
    return text;
}

static int absolute(const char *path, Err *err)
{
    if (path[0] == '/')
        return 0;
    return err_set(err, VIR_ERR_XML_ERROR, "disk snapshot image path '%s' must be absolute", path);
}

static int disk_source_parse(ParseCtx *c, xmlNode *node, SnapshotDisk *d)
{
    static const char *const foreign[] = {"encryption", "reservations", "slices", "seclabel", "auth", "cookies", "privateData"};
    xmlNode *source = node_child(node, "source");
    for (unsigned i = 0; source && i < N_ELEMENTS(foreign); i++) {
        xmlNode *n = node_child(source, foreign[i]);
        if (n)
            return refuse_element(c, n, NULL);
    }
    if (source)
        d->path = node_attr(source, d->type == STORAGE_BLOCK ? "dev" : "file");
    if (d->path && !*d->path)
        g_clear_pointer(&d->path, g_free);
    return d->path ? absolute(d->path, c->err) : 0;
}

static int disk_driver_parse(ParseCtx *c, xmlNode *node, SnapshotDisk *d)
{
    xmlNode *driver = node_child(node, "driver");
    if (!driver)
        return 0;
    xmlNode *cache = node_child(driver, "metadata_cache");
    if (cache)
        return refuse_element(c, cache, NULL);
    g_autofree char *type = node_attr(driver, "type");
    if (!type)
        return 0;
    int format = enum_find(storage_format_names, STORAGE_FORMAT_MAX, type);
    if (format <= 0)
        return err_set(c->err, VIR_ERR_CONFIG_UNSUPPORTED, "unknown disk snapshot driver '%s'", type);
    d->format = (StorageFormat)format; /* of an old snapshot any; what can be made new is asked when it is made */
    return 0;
}

static int disk_parse(ParseCtx *c, xmlNode *node, SnapshotDisk *d)
{
    d->name = node_attr(node, "name");
    if (!d->name || !*d->name)
        return err_set(c->err, VIR_ERR_XML_ERROR, "missing name from disk snapshot element");
    if (attr_enum(c, node, "snapshot", snapshot_location_names, SNAPSHOT_MAX, &d->location) < 0)
        return -1;
    g_autofree char *type = node_attr(node, "type");
    if (type && attr_enum(c, node, "type", storage_type_names, STORAGE_MAX, &d->type) < 0)
        return -1;
    if (d->type && d->type != STORAGE_FILE && d->type != STORAGE_BLOCK)
        return refuse_word(c, node, "type");
    if (disk_source_parse(c, node, d) < 0 || disk_driver_parse(c, node, d) < 0)
        return -1;
    if (!d->location && (d->path || d->format))
        d->location = SNAPSHOT_EXTERNAL;
    if (d->path && d->location != SNAPSHOT_EXTERNAL)
        return err_set(c->err, VIR_ERR_XML_ERROR, "file '%s' for disk '%s' requires use of external snapshot mode", d->path, d->name);
    return 0;
}

static int disks_parse(ParseCtx *c, xmlNode *root, SnapshotDef *s)
{
    xmlNode *disks = node_child(root, "disks");
    for (xmlNode *n = disks ? disks->children : NULL; n; n = n->next) {
        if (n->type != XML_ELEMENT_NODE)
            continue;
        if (!node_is(n, "disk")) {
            if (note_unknown(c, n, NULL) < 0)
                return -1;
            continue;
        }
        if (s->disks->len >= DISKS_MAX)
            return err_set(c->err, VIR_ERR_XML_ERROR, "a snapshot cannot have more than %u disks", DISKS_MAX);
        SnapshotDisk *d = g_new0(SnapshotDisk, 1);
        g_ptr_array_add(s->disks, d);
        if (disk_parse(c, n, d) < 0)
            return -1;
    }
    return 0;
}

static int memory_parse(ParseCtx *c, xmlNode *root, SnapshotDef *s)
{
    xmlNode *n = node_child(root, "memory");
    if (!n)
        return 0;
    if (attr_enum(c, n, "snapshot", snapshot_location_names, SNAPSHOT_MAX, &s->memory) < 0)
        return -1;
    s->memory_file = node_attr(n, "file");
    if (s->memory_file && !s->memory)
        s->memory = SNAPSHOT_EXTERNAL;
    if (s->memory == SNAPSHOT_MANUAL)
        return bad_value(c, n, "snapshot", "manual", "no, internal, external");
    if (s->memory_file && s->memory != SNAPSHOT_EXTERNAL)
        return err_set(c->err, VIR_ERR_XML_ERROR, "memory filename '%s' requires external snapshot", s->memory_file);
    if (!s->memory_file && s->memory == SNAPSHOT_EXTERNAL)
        return err_set(c->err, VIR_ERR_XML_ERROR, "external memory snapshots require a filename");
    if (s->memory_file && s->memory_file[0] != '/')
        return err_set(c->err, VIR_ERR_XML_ERROR, "memory snapshot file path (%s) must be absolute", s->memory_file);
    return 0;
}

/* The element in a document of its own, with the namespaces it uses, named <domain>. */
static char *text_of(const xmlNode *node)
{
    xmlDoc *doc = xmlNewDoc((const xmlChar *)"1.0");
    xmlNode *copy = doc ? xmlDocCopyNode((xmlNode *)(uintptr_t)node, doc, 1) : NULL;
    if (!copy)
        g_error("out of memory");
    xmlNodeSetName(copy, (const xmlChar *)"domain");
    xmlDocSetRootElement(doc, copy);
    xmlChar *text = NULL;
    int len = 0;
    xmlDocDumpMemoryEnc(doc, &text, &len, "UTF-8");
    xmlFreeDoc(doc);
    if (!text)
        g_error("out of memory");
    char *ret = g_strndup((const char *)text, (gsize)len);
    xmlFree(text);
    return ret;
}

static int machine_parse(ParseCtx *c, xmlNode *root, const char *element, SnapshotDomainFn read_domain, void *ud, StoredDef **ret)
{
    xmlNode *n = node_child(root, element);
    if (!n)
        return 0;
    if (strcmp(element, "domain") == 0 && !node_child(n, "name")) /* as files of very old daemons have it: the uuid alone */
        return 0;
    g_autofree char *text = text_of(n);
    *ret = read_domain(ud, text, c->err);
    return *ret ? 0 : err_wrap(c->err, "<%s> of the snapshot", element);
}

static bool is_offline(SnapshotState state)
{
    return state == SNAPSHOT_STATE_SHUTOFF || state == SNAPSHOT_STATE_DISK;
}

static int past_parse(ParseCtx *c, xmlNode *root, SnapshotDef *s, SnapshotDomainFn read_domain, void *ud)
{
    g_autofree char *time = child_text(root, "creationTime");
    g_autofree char *state = child_text(root, "state");
    xmlNode *parent = node_child(root, "parent");
    uint64_t t;
    if (!time || !parse_u64(time, 10, INT64_MAX, &t))
        return err_set(c->err, VIR_ERR_XML_ERROR, "missing creationTime from existing snapshot");
    s->creation_time = (int64_t)t;
    if (parent)
        s->parent = child_text(parent, "name");
    if (s->parent && snapshot_name_check(s->parent, c->err) < 0)
        return -1;
    if (!state)
        return err_set(c->err, VIR_ERR_XML_ERROR, "missing state from existing snapshot");
    int v = enum_find(snapshot_state_names, SNAPSHOT_STATE_MAX, state);
    if (v <= 0)
        return err_set(c->err, VIR_ERR_CONFIG_UNSUPPORTED, "Invalid state '%s' in domain snapshot XML", state);
    s->state = (SnapshotState)v;
    if (machine_parse(c, root, "domain", read_domain, ud, &s->domain) < 0 ||
        machine_parse(c, root, "inactiveDomain", read_domain, ud, &s->inactive) < 0)
        return -1;
    if (!s->memory)
        s->memory = is_offline(s->state) ? SNAPSHOT_NO : SNAPSHOT_INTERNAL;
    if (is_offline(s->state) && s->memory != SNAPSHOT_NO)
        return err_set(c->err, VIR_ERR_XML_ERROR, "memory state cannot be saved with offline or disk-only snapshot");
    return 0;
}

/* What only a file has. */
static void file_parse(xmlNode *root, SnapshotDef *s)
{
    g_autofree char *active = child_text(root, "active");
    s->current = active && strcmp(active, "0") != 0;
    xmlNode *cookie = node_child(root, "cookie");
    if (!cookie)
        return;
    xmlBuffer *buf = xmlBufferCreate();
    if (!buf || xmlNodeDump(buf, cookie->doc, cookie, 1, 1) < 0)
        g_error("out of memory");
    s->cookie = g_strdup((const char *)xmlBufferContent(buf));
    xmlBufferFree(buf);
}

SnapshotDef *snapshot_def_parse(const char *text, size_t len, SnapshotParseFlags flags, SnapshotDomainFn read_domain, void *ud, Err *err)
{
    bool file = flags & SNAPSHOT_PARSE_FILE, past = file || (flags & SNAPSHOT_PARSE_REDEFINE);
    g_autoptr(xmlDoc) doc = (file ? xml_parse_own : xml_parse)(text, len, "(domain_snapshot)", err);
    if (!doc) {
        if (err)
            err->domain = ERR_FROM;
        return NULL;
    }
    xmlNode *root = xmlDocGetRootElement(doc);
    if (!node_is(root, "domainsnapshot")) {
        err_set_full(err, VIR_FROM_XML, VIR_ERR_XML_ERROR, 0, "expecting root element of 'domainsnapshot', not '%s'", (const char *)root->name);
        return NULL;
    }
    g_autoptr(SnapshotDef) s = snapshot_def_new();
    ParseCtx c = {.flags = flags & SNAPSHOT_PARSE_VALIDATE ? PARSE_VALIDATE : 0, .err = err};
    if (check_children(&c, root) < 0)
        return NULL;
    s->name = child_text(root, "name");
    s->description = child_text(root, "description");
    if (!s->name && past) {
        err_set(err, VIR_ERR_XML_ERROR, "a redefined snapshot must have a name");
        return NULL;
    }
    if (s->name && snapshot_name_check(s->name, err) < 0)
        return NULL;
    if (memory_parse(&c, root, s) < 0 || disks_parse(&c, root, s) < 0)
        return NULL;
    if (past && past_parse(&c, root, s, read_domain, ud) < 0)
        return NULL;
    if (file)
        file_parse(root, s);
    return g_steal_pointer(&s);
}

/* ---- writing --------------------------------------------------------------------------------------------------------------- */

static void disk_format(XmlWriter *w, const SnapshotDisk *d)
{
    xml_begin(w, "disk");
    xml_attr(w, "name", d->name);
    if (d->location)
        xml_attr(w, "snapshot", snapshot_location_names[d->location]);
    if (d->location == SNAPSHOT_EXTERNAL && (d->path || d->format)) {
        StorageType type = d->type ? d->type : STORAGE_FILE;
        xml_attr(w, "type", storage_type_names[type]);
        if (d->format) {
            xml_begin(w, "driver");
            xml_attr(w, "type", storage_format_names[d->format]);
            xml_end(w);
        }
        if (d->path) {
            xml_begin(w, "source");
            xml_attr(w, type == STORAGE_BLOCK ? "dev" : "file", d->path);
            xml_end(w);
        }
    }
    xml_end(w);
}

static int machine_format(FormatCtx *c, const char *element, const StoredDef *def, Err *err)
{
    g_autoptr(DomainDef) d = stored_def_parse(def, err);
    if (!d)
        return -1;
    Table t = domain_table;
    t.element = element;
    c->def = d;
    table_format(c, &t, d);
    return 0;
}

char *snapshot_def_format(const SnapshotDef *s, SnapshotFormatFlags flags, bool current, Err *err)
{
    FormatCtx c = {.flags = FORMAT_INACTIVE | (flags & SNAPSHOT_FORMAT_SECURE ? FORMAT_SECURE : 0)};
    XmlWriter *w = &c.w;
    xml_writer_init(w);
    xml_begin(w, "domainsnapshot");
    xml_leaf(w, "name", s->name);
    if (s->description)
        xml_leaf(w, "description", s->description);
    if (s->state)
        xml_leaf(w, "state", snapshot_state_names[s->state]);
    if (s->parent) {
        xml_begin(w, "parent");
        xml_leaf(w, "name", s->parent);
        xml_end(w);
    }
    xml_leaff(w, "creationTime", "%" PRId64, s->creation_time);
    if (s->memory) {
        xml_begin(w, "memory");
        xml_attr(w, "snapshot", snapshot_location_names[s->memory]);
        xml_attr(w, "file", s->memory_file);
        xml_end(w);
    }
    if (s->disks->len) {
        xml_begin(w, "disks");
        for (unsigned i = 0; i < s->disks->len; i++)
            disk_format(w, s->disks->pdata[i]);
        xml_end(w);
    }
    int r = 0;
    if (s->domain)
        r = machine_format(&c, "domain", s->domain, err);
    if (r == 0 && s->inactive)
        r = machine_format(&c, "inactiveDomain", s->inactive, err);
    if (flags & SNAPSHOT_FORMAT_FILE) {
        if (s->cookie)
            xml_verbatim(w, s->cookie);
        xml_leaff(w, "active", "%d", current ? 1 : 0);
    }
    xml_end(w);
    if (r == 0)
        return xml_writer_steal(w);
    xml_writer_done(w);
    return NULL;
}
