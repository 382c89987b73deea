/* model/metadata.c - <metadata>, <title>, <description>
 *
 * Owns:    the text of <metadata>; its elements are opaque but for their namespace
 * Threads: any; setters need a definition of the caller's own
 * Errors:  VIR_ERR_NO_DOMAIN_METADATA, VIR_ERR_INVALID_ARG, VIR_ERR_XML_DETAIL
 */
#include "config.h"

#include <string.h>

#include <libxml/parser.h>

#include "api_enums.h"
#include "base.h"
#include "errors.h"
#define ERR_FROM VIR_FROM_DOMAIN
#include "model/domain_def.h"
#include "model/metadata.h"

/* Indentation of a node at this level in the finished document: <domain><metadata>. */
#define TEXT_MAX (1u << 20) /* of title and description */
#define METADATA_LEVEL 1

static char *node_dump(xmlNode *node, int level)
{
    xmlBuffer *buf = xmlBufferCreate();
    if (!buf || xmlNodeDump(buf, node->doc, node, level, 1) < 0)
        g_error("out of memory");
    char *text = g_strndup((const char *)xmlBufferContent(buf), (gsize)xmlBufferLength(buf));
    xmlBufferFree(buf);
    return text;
}

/* A second element of one namespace, and one without, never survive: the API could not address them. */
static void drop_unaddressable(xmlNode *metadata)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal); /* URIs belong to the document, which outlives it */
    for (xmlNode *n = metadata->children, *next; n; n = next) {
        next = n->next;
        if (n->type != XML_ELEMENT_NODE)
            continue;
        if (n->ns && n->ns->href && !g_hash_table_contains(seen, n->ns->href)) {
            g_hash_table_add(seen, (gpointer)(uintptr_t)n->ns->href);
            continue;
        }
        xmlUnlinkNode(n);
        xmlFreeNode(n);
    }
}

static void drop_blanks(xmlNode *metadata)
{
    for (xmlNode *n = metadata->children, *next; n; n = next) {
        next = n->next;
        if (xmlIsBlankNode(n)) {
            xmlUnlinkNode(n);
            xmlFreeNode(n);
        }
    }
}

char *metadata_from_node(xmlNode *node)
{
    xmlNode *copy = xmlDocCopyNode(node, node->doc, 1);
    if (!copy)
        g_error("out of memory");
    drop_unaddressable(copy);
    char *text = node_dump(copy, METADATA_LEVEL);
    xmlFreeNode(copy);
    return text;
}

void metadata_write(XmlWriter *w, const char *metadata)
{
    /* Already indented for its place but for the first line. */
    xml_verbatim(w, metadata);
}

/* ---- API ------------------------------------------------------------------------------------------------------------------- */

static xmlNode *find_uri(xmlNode *metadata, const char *uri)
{
    for (xmlNode *n = metadata ? metadata->children : NULL; n; n = n->next) {
        if (n->type == XML_ELEMENT_NODE && n->ns && n->ns->href && strcmp((const char *)n->ns->href, uri) == 0)
            return n;
    }
    return NULL;
}

/* What was parsed once parses again. */
static xmlDoc *metadata_doc(const char *metadata)
{
    return metadata ? xmlReadMemory(metadata, (int)strlen(metadata), NULL, NULL, XML_PARSE_NONET | XML_PARSE_NOERROR |
                                                                                      XML_PARSE_NOWARNING | XML_PARSE_NOBLANKS)
                    : NULL;
}

/* Puts every element of `from` into `to` (either may be NULL: none), and the attributes that have its prefix.  The depth is that of a parsed
 * document: bounded. */
static void ns_replace(xmlNode *node, const xmlNs *from, xmlNs *to)
{
    for (xmlNode *n = node; n; n = n->next) {
        if (n->type != XML_ELEMENT_NODE)
            continue;
        bool same = from ? n->ns && xmlStrEqual(n->ns->href, from->href) : !n->ns;
        if (same)
            n->ns = to;
        for (xmlAttr *a = from ? n->properties : NULL; a; a = a->next) {
            if (a->ns == from)
                a->ns = to;
        }
        ns_replace(n->children, from, to);
    }
}

/* The client gave the element without our prefix and gets it back so. */
static char *element_text(xmlDoc *doc, xmlNode *node)
{
    xmlNode *copy = xmlDocCopyNode(node, doc, 1);
    if (!copy)
        g_error("out of memory");
    xmlNs *ns = copy->ns;
    for (xmlNs **p = &copy->nsDef; *p; p = &(*p)->next) {
        if (!xmlStrEqual((*p)->href, ns->href))
            continue;
        xmlNs *gone = *p;
        *p = gone->next;
        ns_replace(copy, gone, NULL);
        xmlFreeNs(gone);
        break;
    }
    char *text = node_dump(copy, 0);
    xmlFreeNode(copy);
    return text;
}

char *domain_def_get_metadata(const DomainDef *d, int type, const char *uri, Err *err)
{
    char *ret = NULL;
    switch (type) {
    case VIR_DOMAIN_METADATA_DESCRIPTION:
        ret = g_strdup(d->description);
        break;
    case VIR_DOMAIN_METADATA_TITLE:
        ret = g_strdup(d->title);
        break;
    case VIR_DOMAIN_METADATA_ELEMENT: {
        if (!uri) {
            err_set(err, VIR_ERR_INVALID_ARG, "a metadata element is addressed by its namespace URI");
            return NULL;
        }
        g_autoptr(xmlDoc) doc = metadata_doc(d->metadata);
        xmlNode *n = doc ? find_uri(xmlDocGetRootElement(doc), uri) : NULL;
        if (n)
            ret = element_text(doc, n);
        break;
    }
    default:
        err_set(err, VIR_ERR_INVALID_ARG, "unknown metadata type %d", type);
        return NULL;
    }
    if (!ret)
        err_set(err, VIR_ERR_NO_DOMAIN_METADATA, "Requested metadata element is not present");
    return ret;
}

static int set_element(DomainDef *d, const char *text, const char *key, const char *uri, Err *err)
{
    if (!uri || (text && !key))
        return err_set(err, VIR_ERR_INVALID_ARG, "a metadata element needs a namespace URI and, to be set, a key");
    if (text && xmlValidateNCName((const xmlChar *)key, 0) != 0)
        return err_set(err, VIR_ERR_INVALID_ARG, "the key of a metadata element cannot be a prefix in XML");
    if (text && (!*uri || !xml_is_text(uri) || strpbrk(uri, "<&\n\t\r")))
        return err_set(err, VIR_ERR_INVALID_ARG, "the namespace URI of a metadata element is empty or has a character that no URI has");
    g_autoptr(xmlDoc) given = NULL;
    if (text) {
        given = xml_parse(text, strlen(text), "(metadata_xml)", err);
        if (!given) {
            if (err)
                err->domain = VIR_FROM_DOMAIN;
            return -1;
        }
    }
    g_autoptr(xmlDoc) doc = metadata_doc(d->metadata);
    if (!doc) {
        doc = xmlNewDoc((const xmlChar *)"1.0");
        xmlDocSetRootElement(doc, xmlNewNode(NULL, (const xmlChar *)"metadata"));
    }
    xmlNode *metadata = xmlDocGetRootElement(doc);
    xmlNode *old = find_uri(metadata, uri);
    if (old) {
        xmlUnlinkNode(old);
        xmlFreeNode(old);
    }
    if (given) {
        xmlNode *root = xmlDocCopyNode(xmlDocGetRootElement(given), doc, 1);
        xmlNs *ns = xmlNewNs(root, (const xmlChar *)uri, (const xmlChar *)key);
        if (!ns) {
            xmlFreeNode(root);
            return err_set(err, VIR_ERR_INTERNAL_ERROR, "the prefix '%s' is already declared in the given metadata", key);
        }
        xmlSetNs(root, ns);
        ns_replace(root->children, NULL, ns);
        xmlAddChild(metadata, root);
    }
    drop_blanks(metadata);
    g_autofree char *whole = metadata->children ? node_dump(metadata, METADATA_LEVEL) : NULL;
    if (whole && strlen(whole) > XML_MAX_BYTES)
        return err_set(err, VIR_ERR_INVALID_ARG, "the metadata of one machine may have %u bytes together", XML_MAX_BYTES);
    g_free(d->metadata);
    d->metadata = g_steal_pointer(&whole);
    return 0;
}

/* What is stored must be readable when the daemon starts again. */
static int check_text(const char *what, const char *text, Err *err)
{
    if (text && strlen(text) > TEXT_MAX)
        return err_set(err, VIR_ERR_INVALID_ARG, "the %s has more than %u bytes", what, TEXT_MAX);
    if (text && !xml_is_text(text))
        return err_set(err, VIR_ERR_INVALID_ARG, "the %s is not text in UTF-8", what);
    return 0;
}

int domain_def_set_metadata(DomainDef *d, int type, const char *text, const char *key, const char *uri, Err *err)
{
    char **slot = NULL;
    switch (type) {
    case VIR_DOMAIN_METADATA_TITLE:
        if (check_text("title", text, err) < 0)
            return -1;
        if (text && strchr(text, '\n'))
            return err_set(err, VIR_ERR_INVALID_ARG, "Domain title can't contain newlines");
        slot = &d->title;
        break;
    case VIR_DOMAIN_METADATA_DESCRIPTION:
        if (check_text("description", text, err) < 0)
            return -1;
        slot = &d->description;
        break;
    case VIR_DOMAIN_METADATA_ELEMENT:
        return set_element(d, text, key, uri, err);
    default:
        return err_set(err, VIR_ERR_INVALID_ARG, "unknown metadata type %d", type);
    }
    g_free(*slot);
    *slot = text && *text ? g_strdup(text) : NULL;
    return 0;
}
