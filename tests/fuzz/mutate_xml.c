/* tests/fuzz/mutate_xml.c - changes of a document that leave it a document
 *
 * Owns:    the sites of a document (attributes, elements) and what is done to one: other values, nothing in it, gone, twice
 * Threads: one
 * Locks:   none
 * Errors:  what is no document has no sites
 *
 * Bytes changed at random seldom leave XML that parses, and hardly ever take the whole of one value away: <smbios mode=''/> was not met in hours.
 * replay.c runs every change of a few documents once; libFuzzer makes one at random, or its own of bytes.
 */
#include "config.h"

#include <string.h>
#include <libxml/parser.h>

#include "base.h"
#include "fuzz.h"

/* Nothing, small, just past what 8, 31, 32 and 63 bits hold, below zero, and what QEMU's options are taken apart at. */
static const char *const values[] = {
    "", "0", "1", "256", "2147483647", "4294967295", "9223372036854775808", "18446744073709551615", "-1", "a,b=c", "/", "no", "\xc3\xa9:[x]%",
};

typedef struct Site {
    xmlNode *element;
    xmlAttr *attribute; /* NULL: the element itself */
} Site;

static void collect(xmlNode *n, GArray *sites)
{
    for (; n; n = n->next) {
        if (n->type != XML_ELEMENT_NODE)
            continue;
        for (xmlAttr *a = n->properties; a; a = a->next)
            g_array_append_val(sites, ((Site){n, a}));
        g_array_append_val(sites, ((Site){n, NULL}));
        collect(n->children, sites);
    }
}

/* The changes a site has: each value, then those of its kind. */
enum { GONE = N_ELEMENTS(values), TWICE, CHANGES };

static void set_value(const Site *s, const char *value)
{
    if (s->attribute)
        xmlSetProp(s->element, s->attribute->name, (const xmlChar *)value);
    else
        xmlNodeSetContent(s->element, (const xmlChar *)value);
}

static void change(const Site *s, unsigned what)
{
    if (what < N_ELEMENTS(values)) {
        set_value(s, values[what]);
    } else if (s->attribute) {
        if (what == GONE)
            xmlRemoveProp(s->attribute);
    } else if (what == TWICE) {
        xmlAddNextSibling(s->element, xmlCopyNode(s->element, 1));
    } else {
        xmlUnlinkNode(s->element);
        xmlFreeNode(s->element);
    }
}

static xmlDoc *parse(const uint8_t *data, size_t size)
{
    return xmlReadMemory((const char *)data, (int)size, NULL, NULL, XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
}

unsigned fuzz_xml_changes(const uint8_t *data, size_t size)
{
    xmlDoc *doc = parse(data, size);
    g_autoptr(GArray) sites = g_array_new(FALSE, FALSE, sizeof(Site));
    if (doc)
        collect(xmlDocGetRootElement(doc)->children, sites); /* the root stays */
    xmlFreeDoc(doc);
    return sites->len * CHANGES;
}

uint8_t *fuzz_xml_changed(const uint8_t *data, size_t size, unsigned i, size_t *ret_size)
{
    xmlDoc *doc = parse(data, size);
    g_autoptr(GArray) sites = g_array_new(FALSE, FALSE, sizeof(Site));
    collect(xmlDocGetRootElement(doc)->children, sites);
    change(&g_array_index(sites, Site, i / CHANGES), i % CHANGES);
    xmlBuffer *out = xmlBufferCreate();
    xmlNodeDump(out, doc, xmlDocGetRootElement(doc), 0, 0); /* the document's first line would be one more to parse */
    *ret_size = (size_t)xmlBufferLength(out);
    uint8_t *text = g_memdup2(xmlBufferContent(out), *ret_size);
    xmlBufferFree(out);
    xmlFreeDoc(doc);
    return text;
}

/* ---- libFuzzer ----------------------------------------------------------------------------------------------------------------- */

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max) __attribute__((weak));
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed);

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    unsigned n = seed % 2 ? fuzz_xml_changes(data, size) : 0;
    size_t len = 0;
    g_autofree uint8_t *text = n ? fuzz_xml_changed(data, size, seed / 2 % n, &len) : NULL;
    if (!text || len > max)
        return LLVMFuzzerMutate(data, size, max);
    memcpy(data, text, len);
    return len;
}
