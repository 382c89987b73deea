/* model/dev_storage.c - images: <source> of a disk and the chain of <backingStore> below it
 *
 * Owns:    reading and writing of StorageSource
 * Threads: any
 * Errors:  VIR_ERR_XML_ERROR; other kinds of storage than file and block: VIR_ERR_CONFIG_UNSUPPORTED
 */
#include "config.h"

#include <inttypes.h>
#include <string.h>

#include "base.h"
#include "errors.h"
#define ERR_FROM VIR_FROM_DOMAIN
#include "model/storage_xml.h"

#define NBD_PORT  10809u
#define CHAIN_MAX 200 /* images in one chain; the document's depth limit comes first in practice */

static const Field slice_table_fields[] = {
    IGNORE("@type"),
    A_OPT("offset", StorageSource, slice_offset, REQUIRED | ABI, 0),
    A_OPT("size", StorageSource, slice_size, REQUIRED | NONZERO | ABI, 0),
};
GROUP_TABLE(slice_table, "slice");

static const Field slices_table_fields[] = {
    GROUP("slice", slice_table, 0),
};
GROUP_TABLE(slices_table, "slices");

/* Read by hand: it means something on the network only. */
static const Field reconnect_table_fields[] = {
    IGNORE("@delay"),
};
GROUP_TABLE(reconnect_table, "reconnect");

static const Field seclabel_table_fields[] = {
    IGNORE("@model"),
    REFUSE("@labelskip"),
    A_YESNO("relabel", StorageSource, relabel, 0),
    REFUSE("label"),
};
/* Only the DAC driver exists here. */
static int seclabel_finish(ParseCtx *c, xmlNode *node, void *base)
{
    g_autofree char *model = node_attr(node, "model");
    return g_strcmp0(model, "dac") == 0 ? 0 : refuse_word(c, node, "model");
}
static const Table seclabel_table = {.element = "seclabel",
                                     .fields = seclabel_table_fields,
                                     .n = N_ELEMENTS(seclabel_table_fields),
                                     .finish = seclabel_finish};

/* Rows of memory for the chain, and what the hooks below read, for documentation. */
static const Field storage_source_table_fields[] = {
    IGNORE("@file"),
    IGNORE("@dev"),
    IGNORE("@startupPolicy"),
    IGNORE("@index"),
    REFUSE("@dir"),
    IGNORE("@protocol"),
    IGNORE("@name"),
    REFUSE("@pool"),
    REFUSE("@volume"),
    REFUSE("@mode"),
    IGNORE("@fdgroup"),
    REFUSE("@query"),
    IGNORE("@tls"),
    REFUSE("@tlsHostname"),
    REFUSE("@type"),
    REFUSE("@managed"),
    REFUSE("@namespace"),
    REFUSE("@path"),
    IGNORE("host"),
    REFUSE("auth"),
    REFUSE("encryption"),
    REFUSE("reservations"),
    REFUSE("initiator"),
    REFUSE("snapshot"),
    REFUSE("config"),
    REFUSE("address"),
    REFUSE("ssl"),
    REFUSE("cookies"),
    REFUSE("readahead"),
    REFUSE("timeout"),
    REFUSE("identity"),
    REFUSE("knownHosts"),
    IGNORE("privateData"),
    {.name = "reconnect", .at = AT_IGNORE, .flags = CHECKED, .sub = &reconnect_table},
    GROUP("slices", slices_table, 0),
    GROUP("seclabel", seclabel_table, 0),
    M_STR("@file", StorageSource, path, ABI),
    M_STR("@fdgroup", StorageSource, fdgroup, 0),
    M_STR("host/@name", StorageSource, nbd_host, 0),
    M_STR("host/@socket", StorageSource, nbd_socket, 0),
    {.name = "@tls", .at = AT_MEMORY, .type = T_ENUM, .off = offsetof(StorageSource, nbd_tls), .flags = 0},
    M_OPT("reconnect/@delay", StorageSource, nbd_reconnect, 0),
    {.name = "host/@port", .at = AT_MEMORY, .type = T_UINT, .off = offsetof(StorageSource, nbd_port), .flags = 0},
    {.name = "@type", .at = AT_MEMORY, .type = T_ENUM, .off = offsetof(StorageSource, type), .flags = 0},
    {.name = "format", .at = AT_MEMORY, .type = T_ENUM, .off = offsetof(StorageSource, format), .flags = 0},
    M_OPT("@index", StorageSource, index, RUNTIME),
    M_PTR("backingStore", StorageSource, backing, storage_source_table, 0),
};
const Table storage_source_table = {.element = "source",
                                    .size = sizeof(StorageSource),
                                    .fields = storage_source_table_fields,
                                    .n = N_ELEMENTS(storage_source_table_fields)};

void storage_source_replace(StorageSource *src, StorageType type, const char *path, StorageFormat format)
{
    TriState relabel = src->relabel;
    table_clear(&storage_source_table, src);
    *src = (StorageSource){.type = type, .path = g_strdup(path), .format = format, .relabel = relabel};
}

StorageSource *storage_source_new(void)
{
    return table_new(&storage_source_table);
}

StorageSource *storage_source_copy(const StorageSource *s)
{
    return table_copy(&storage_source_table, s);
}

void storage_source_free(StorageSource *s)
{
    table_free(&storage_source_table, s);
}

bool storage_source_same_place(const StorageSource *a, const StorageSource *b)
{
    return a->type == b->type && g_strcmp0(a->path, b->path) == 0 && g_strcmp0(a->nbd_host, b->nbd_host) == 0 &&
           g_strcmp0(a->nbd_socket, b->nbd_socket) == 0 && a->nbd_port == b->nbd_port;
}

/* What libvirt knows. */
static const char *const protocol_names[] = {"nbd", "rbd",  "sheepdog", "gluster", "iscsi", "http", "https",
                                             "ftp", "ftps", "tftp",     "ssh",     "vxhs",  "nfs"};

static const char *path_attr(const StorageSource *src)
{
    return src->type == STORAGE_BLOCK ? "dev" : "file";
}

/* ---- servers of network block devices -------------------------------------------------------------------------------------- */

static int refuse_protocol(ParseCtx *c, xmlNode *node, const char *protocol)
{
    g_autofree char *where = node_where(node);
    err_set_full(c->err, VIR_FROM_QEMU, VIR_ERR_CONFIG_UNSUPPORTED, 0, "protocol '%s' of a network disk is not supported, allowed: nbd (%s)",
                 protocol, where);
    return err_hint(c->err, "a program such as nbdkit serves other storage as nbd");
}

/* <host name='h' port='10809'/>, or <host transport='unix' socket='/s'/>. */
static int nbd_host_parse(ParseCtx *c, xmlNode *host, StorageSource *src)
{
    g_autofree char *transport = node_attr(host, "transport"), *socket = node_attr(host, "socket");
    bool is_unix = transport && strcmp(transport, "unix") == 0;
    if (transport && !is_unix && strcmp(transport, "tcp") != 0)
        return strcmp(transport, "rdma") == 0 ? refuse_word(c, host, "transport")
                                              : unsupported_value(c, host, "transport", transport, "tcp, unix");
    if (is_unix) {
        src->nbd_socket = g_steal_pointer(&socket);
        return src->nbd_socket ? 0 : missing_attr(c, host, "socket");
    }
    if (socket)
        return bad_value(c, host, "socket", socket, "one with transport='unix'");
    g_autofree char *port = node_attr(host, "port");
    uint64_t n = 0;
    src->nbd_host = node_attr(host, "name");
    if (!src->nbd_host)
        return missing_attr(c, host, "name");
    if (port && !parse_u64(port, 10, 65535, &n)) {
        g_autofree char *where = node_where(host);
        return err_set_full(c->err, VIR_FROM_NONE, VIR_ERR_INVALID_ARG, 0, "'%s' is no port, allowed: 1 to 65535 (%s)", port, where);
    }
    src->nbd_port = n ? (unsigned)n : NBD_PORT;
    return 0;
}

static int nbd_parse(ParseCtx *c, xmlNode *node, StorageSource *src)
{
    g_autofree char *protocol = node_attr(node, "protocol");
    if (!protocol)
        return missing_attr(c, node, "protocol");
    if (enum_find(protocol_names, N_ELEMENTS(protocol_names), protocol) < 0)
        return bad_value(c, node, "protocol", protocol, "nbd");
    if (strcmp(protocol, "nbd") != 0)
        return refuse_protocol(c, node, protocol);
    if (attr_enum(c, node, "tls", tri_yesno_names, TRI_NO + 1, &src->nbd_tls) < 0)
        return -1;
    if (src->nbd_tls == TRI_YES)
        return refuse_element(c, node, "tls");
    src->path = node_attr(node, "name");
    if (!src->path)
        src->path = g_strdup("");
    xmlNode *host = node_child(node, "host"), *reconnect = node_child(node, "reconnect");
    if (!host) {
        g_autofree char *where = node_where(node);
        return err_set(c->err, VIR_ERR_XML_ERROR, "missing <host> of protocol nbd (%s)", where);
    }
    for (xmlNode *n = host->next; n; n = n->next) {
        if (node_is(n, "host")) {
            g_autofree char *where = node_where(n);
            return err_set(c->err, VIR_ERR_CONFIG_UNSUPPORTED, "protocol nbd has one <host> (%s)", where);
        }
    }
    if (reconnect && attr_u64(c, reconnect, "delay", 10, UINT32_MAX, &src->nbd_reconnect.v, &src->nbd_reconnect.set) < 0)
        return -1;
    return nbd_host_parse(c, host, src);
}

static void nbd_format(FormatCtx *c, const StorageSource *src)
{
    XmlWriter *w = &c->w;
    xml_begin(w, "host");
    xml_attr(w, "name", src->nbd_host);
    if (src->nbd_host)
        xml_attrf(w, "port", "%u", src->nbd_port);
    if (src->nbd_socket) {
        xml_attr(w, "transport", "unix");
        xml_attr(w, "socket", src->nbd_socket);
    }
    xml_end(w);
    if (src->nbd_reconnect.set && src->nbd_reconnect.v) {
        xml_begin(w, "reconnect");
        xml_attrf(w, "delay", "%" PRIu64, src->nbd_reconnect.v);
        xml_end(w);
    }
}

/* Descriptors stand in for files; the path beside them is what the image is called. */
static int fdgroup_parse(ParseCtx *c, xmlNode *node, StorageSource *src)
{
    src->fdgroup = node_attr(node, "fdgroup");
    if (src->fdgroup == NULL)
        return 0;
    if (src->type != STORAGE_FILE)
        return refuse_element(c, node, "fdgroup");
    return src->path ? 0 : missing_attr(c, node, "file");
}

/* What the next daemon must know and XML has no words for: in the status file only. */
static int own_parse(ParseCtx *c, xmlNode *node, StorageSource *src)
{
    bool marked = false;
    g_autofree char *indexed = node_attr(node, "thresholdIndexed"), *detected = node_attr(node, "detected");
    src->threshold_indexed = indexed != NULL;
    src->detected = detected != NULL;
    return attr_u64(c, node, "threshold", 10, INT64_MAX, &src->threshold, &marked);
}

static void own_format(FormatCtx *c, const StorageSource *src)
{
    if (!(c->flags & FORMAT_STATUS))
        return;
    if (src->threshold)
        xml_attrf(&c->w, "threshold", "%" PRIu64, src->threshold);
    if (src->threshold_indexed)
        xml_attr(&c->w, "thresholdIndexed", "yes");
    if (src->detected)
        xml_attr(&c->w, "detected", "yes");
}

int storage_source_parse(ParseCtx *c, xmlNode *node, StorageSource *src, StartupPolicy *ret_policy)
{
    if (table_parse(c, &storage_source_table, node, src) < 0)
        return -1;
    if (src->type == STORAGE_NETWORK) {
        if (nbd_parse(c, node, src) < 0)
            return -1;
    } else {
        src->path = node_attr(node, path_attr(src));
        if (src->path && !*src->path)
            g_clear_pointer(&src->path, g_free);
    }
    if (fdgroup_parse(c, node, src) < 0)
        return -1;
    if (ret_policy && attr_enum(c, node, "startupPolicy", startup_policy_names, STARTUP_MAX, ret_policy) < 0)
        return -1;
    if ((c->flags & PARSE_STATUS) && own_parse(c, node, src) < 0)
        return -1;
    if (!(c->flags & PARSE_INACTIVE) || (c->flags & PARSE_STATUS))
        return attr_u64(c, node, "index", 10, UINT32_MAX, &src->index.v, &src->index.set);
    return 0;
}

void storage_source_format(FormatCtx *c, const StorageSource *src, StartupPolicy policy)
{
    XmlWriter *w = &c->w;
    bool index = src->index.set && src->index.v && field_written(c, RUNTIME) && (src->path || !format_is_live(c));
    bool label = src->relabel != TRI_ABSENT && src->type != STORAGE_NETWORK, slice = src->slice_size.set;
    if (!src->path && !policy && !index && !label && !slice)
        return;
    xml_begin(w, "source");
    if (src->type == STORAGE_NETWORK) {
        xml_attr(w, "protocol", "nbd");
        xml_attr(w, "name", src->path && *src->path ? src->path : NULL);
        xml_attr(w, "tls", enum_word(tri_yesno_names, TRI_NO + 1, (int)src->nbd_tls));
    } else {
        xml_attr(w, path_attr(src), src->path);
    }
    xml_attr(w, "fdgroup", src->fdgroup);
    xml_attr(w, "startupPolicy", enum_word(startup_policy_names, STARTUP_MAX, (int)policy));
    if (index)
        xml_attrf(w, "index", "%" PRIu64, src->index.v);
    own_format(c, src);
    if (src->type == STORAGE_NETWORK)
        nbd_format(c, src);
    if (slice) {
        xml_begin(w, "slices");
        xml_begin(w, "slice");
        xml_attr(w, "type", "storage");
        xml_attrf(w, "offset", "%" PRIu64, src->slice_offset.v);
        xml_attrf(w, "size", "%" PRIu64, src->slice_size.v);
        xml_end(w);
        xml_end(w);
    }
    if (label) {
        xml_begin(w, "seclabel");
        xml_attr(w, "model", "dac");
        xml_attr(w, "relabel", tri_yesno_names[src->relabel]);
        xml_end(w);
    }
    xml_end(w);
}

int storage_backing_parse(ParseCtx *c, xmlNode *parent, StorageSource *src)
{
    xmlNode *node = node_child(parent, "backingStore");
    for (unsigned depth = 0; node; depth++) {
        g_autofree char *type = node_attr(node, "type");
        xmlNode *source = node_child(node, "source");
        if (!type && !source) {
            src->backing_ends = true;
            return 0;
        }
        if (depth >= CHAIN_MAX)
            return bad_value(c, node, NULL, "backingStore", "a shorter chain");
        if (!type)
            return missing_attr(c, node, "type");
        StorageSource *below = src->backing = table_new(&storage_source_table);
        if (attr_enum(c, node, "type", storage_type_names, STORAGE_MAX, &below->type) < 0)
            return -1;
        if (below->type != STORAGE_FILE && below->type != STORAGE_BLOCK && below->type != STORAGE_NETWORK)
            return refuse_word(c, node, "type");
        xmlNode *format = node_child(node, "format");
        if (!source || !format) {
            g_autofree char *where = node_where(node);
            return err_set(c->err, VIR_ERR_XML_ERROR, "missing <%s> in <backingStore> (%s)", source ? "format" : "source", where);
        }
        if (attr_enum(c, format, "type", storage_format_names, STORAGE_FORMAT_MAX, &below->format) < 0)
            return -1;
        if (!below->format)
            return missing_attr(c, format, "type");
        if (storage_source_parse(c, source, below, NULL) < 0)
            return -1;
        if (!below->path)
            return missing_attr(c, source, path_attr(below));
        if (!below->index.set && !(c->flags & PARSE_INACTIVE) &&
            attr_u64(c, node, "index", 10, UINT32_MAX, &below->index.v, &below->index.set) < 0)
            return -1;
        src = below;
        node = node_child(node, "backingStore");
    }
    return 0;
}

void storage_backing_format(FormatCtx *c, const StorageSource *src)
{
    XmlWriter *w = &c->w;
    unsigned open = 0;
    for (; src->backing; src = src->backing, open++) {
        const StorageSource *below = src->backing;
        if (below->detected && !field_written(c, RUNTIME))
            break;
        xml_begin(w, "backingStore");
        xml_attr(w, "type", storage_type_names[below->type]);
        if (below->index.set && below->index.v && field_written(c, RUNTIME))
            xml_attrf(w, "index", "%" PRIu64, below->index.v);
        xml_begin(w, "format");
        xml_attr(w, "type", enum_word(storage_format_names, STORAGE_FORMAT_MAX, (int)below->format));
        xml_end(w);
        StorageSource bare = *below;
        bare.index.set = false; /* stands on <backingStore> */
        storage_source_format(c, &bare, STARTUP_ABSENT);
    }
    if (!src->backing && src->backing_ends) {
        xml_begin(w, "backingStore");
        xml_end(w);
    }
    for (; open > 0; open--)
        xml_end(w);
}
