/* util/xml.h - bounded XML parsing, and an indenting writer
 *
 * Documents from outside are parsed without network, without DTD entities, with size and depth limits.  The writer produces libvirt's
 * layout: two spaces a level, single quotes, "<x/>" for an empty element.
 */
#pragma once

#include <libxml/tree.h>

#include "util/err.h"

/* Limits of what clients send. */
#define XML_MAX_BYTES (4u << 20)
#define XML_MAX_DEPTH 64u
/* Limits of the files we write: escaping, chains of images and metadata set one by one make them larger and deeper than what is sent. */
#define XML_OWN_BYTES (32u << 20)
#define XML_OWN_DEPTH 250u

G_DEFINE_AUTOPTR_CLEANUP_FUNC(xmlDoc, xmlFreeDoc)

/* Parses `text`, which ends in a NUL of its own.  Not well-formed: VIR_ERR_XML_DETAIL with line, parser's words and the offending line.
 * DOCTYPE with entities, too large, too deep, too many elements or attributes, an encoding other than UTF-8 and its likes: VIR_ERR_XML_ERROR.
 * `what` names the document in errors ("(domain_definition)").  Caller frees with xmlFreeDoc. */
xmlDoc *xml_parse(const char *text, size_t len, const char *what, Err *err);
/* The same for a file of ours, with its limits. */
xmlDoc *xml_parse_own(const char *text, size_t len, const char *what, Err *err);

/* Whether an XML document can hold it: valid UTF-8 of characters XML has (no control characters but tab, line feed, carriage return).  To be
 * asked of every string that reaches a document by another way than through xml_parse(). */
bool xml_is_text(const char *s);

/* Writer.  Attribute values and text are escaped, what XML cannot hold is dropped: what is written can be read again. */
typedef struct XmlWriter {
    GString *out;
    unsigned depth;      /* current indentation level */
    bool tag_open;       /* "<x a='b'" written, no ">" yet */
    GPtrArray *stack;    /* names of open elements (borrowed) */
    bool text_inside;    /* the open element got text: its end tag goes on the same line */
} XmlWriter;

void xml_writer_init(XmlWriter *w);
/* Returns the text; the writer is done with. */
char *xml_writer_steal(XmlWriter *w);
void xml_writer_done(XmlWriter *w);
/* `name` must outlive the element (literals). */
void xml_begin(XmlWriter *w, const char *name);
void xml_end(XmlWriter *w);
/* Ends the start tag, so that the element gets an end tag though nothing may follow inside. */
void xml_open(XmlWriter *w);
/* An empty line between elements. */
void xml_blank(XmlWriter *w);
/* Attributes: after xml_begin, before anything inside.  NULL value: nothing is written. */
void xml_attr(XmlWriter *w, const char *name, const char *value);
void xml_attrf(XmlWriter *w, const char *name, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* Text of the open element. */
void xml_text(XmlWriter *w, const char *text);
/* <name>text</name> */
void xml_leaf(XmlWriter *w, const char *name, const char *text);
void xml_leaff(XmlWriter *w, const char *name, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* Finished XML: only its first line gets indented. */
void xml_verbatim(XmlWriter *w, const char *xml);
/* A copied subtree, indented at the present level. */
void xml_subtree(XmlWriter *w, xmlNode *node);
