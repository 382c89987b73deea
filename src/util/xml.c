/* util/xml.c - bounded XML parsing, and an indenting writer
 *
 * Owns:    the limits every document from outside meets, and the layout of every document we write
 * Threads: any; a document or a writer belongs to one thread at a time
 * Errors:  not well-formed: VIR_ERR_XML_DETAIL; a limit: VIR_ERR_XML_ERROR
 */
#include "config.h"

#include <stdarg.h>
#include <string.h>

#include <libxml/parser.h>
#include <libxml/parserInternals.h>

#include "base.h"
#include "errors.h"
#define ERR_FROM VIR_FROM_XML
#include "util/xml.h"

typedef struct Limits {
    unsigned bytes, depth, nodes;
    int options; /* of libxml2, which has limits of its own */
} Limits;

static const Limits limits_of_clients = {XML_MAX_BYTES, XML_MAX_DEPTH, 200000, 0};
static const Limits limits_of_ours = {XML_OWN_BYTES, XML_OWN_DEPTH, 2000000, XML_PARSE_HUGE};

#define XML_ERR_LINE  80u /* of the offending line at most this much is quoted */

/* ---- parsing --------------------------------------------------------------------------------------------------------------- */

/* What the SAX hooks below count; reached through ctxt->_private. */
typedef struct ParseGuard {
    const Limits *limits;
    unsigned depth, nodes;
    const char *limit;    /* what was exceeded, or NULL */
    int line;
    startElementNsSAX2Func start;
    endElementNsSAX2Func end;
} ParseGuard;

static void guard_stop(xmlParserCtxt *ctxt, ParseGuard *g, const char *limit)
{
    if (g->limit)
        return;
    g->limit = limit;
    g->line = ctxt->input ? ctxt->input->line : 0;
    xmlStopParser(ctxt);
}

static void guard_start(void *ud, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri, int n_ns,
                        const xmlChar **ns, int n_attr, int n_default, const xmlChar **attrs)
{
    xmlParserCtxt *ctxt = ud;
    ParseGuard *g = ctxt->_private;
    g->nodes += 1 + (unsigned)n_attr + (unsigned)n_ns;
    if (++g->depth > g->limits->depth)
        guard_stop(ctxt, g, "elements are nested too deeply");
    else if (g->nodes > g->limits->nodes)
        guard_stop(ctxt, g, "too many elements and attributes");
    else
        g->start(ud, name, prefix, uri, n_ns, ns, n_attr, n_default, attrs);
}

static void guard_end(void *ud, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri)
{
    xmlParserCtxt *ctxt = ud;
    ParseGuard *g = ctxt->_private;
    if (g->limit)
        return;
    g->depth--;
    g->end(ud, name, prefix, uri);
}

/* Entities are the way a small document becomes a large one, and nobody's definition needs them. */
static void guard_entity(void *ud, const xmlChar *name, int type, const xmlChar *public_id, const xmlChar *system_id,
                         xmlChar *content)
{
    xmlParserCtxt *ctxt = ud;
    guard_stop(ctxt, ctxt->_private, "entity declarations are not allowed");
}

/* Attributes that are there though nobody wrote them: as many as one likes, each compared with each before it, and for every such element. */
static void guard_attribute(void *ud, const xmlChar *element, const xmlChar *name, int type, int def, const xmlChar *value, xmlEnumeration *tree)
{
    xmlParserCtxt *ctxt = ud;
    xmlFreeEnumeration(tree);
    guard_stop(ctxt, ctxt->_private, "attribute declarations are not allowed");
}

static void quiet(void *ud, xmlErrorPtr error)
{
}

/* "what:line: words", the offending line (as far as no password is in it) and a caret, as clients are used to. */
static void set_detail(Err *err, const char *what, const char *text, const xmlError *e)
{
    int line_no = e ? e->line : 0;
    const char *line = text;
    for (int i = 1; i < line_no; i++) {
        const char *next = strchr(line, '\n');
        if (!next)
            break;
        line = next + 1;
    }
    size_t len = strcspn(line, "\n");
    int column = e ? e->int2 : 0;
    if (len > XML_ERR_LINE)
        len = XML_ERR_LINE;
    /* What fails goes to the log too. */
    const char *secret = g_strstr_len(line, (gssize)len, "passwd");
    if (secret)
        len = (size_t)(secret - line) + strlen("passwd");
    /* A cut or foreign line may not be UTF-8, which a message must be. */
    g_autofree char *quoted = g_utf8_make_valid(line, (gssize)len);
    g_autofree char *words = g_strdup(e && e->message ? e->message : "not well-formed");
    g_strchomp(words);
    int pad = column > 1 && column - 1 <= (int)len ? column - 1 : 0;
    g_autofree char *caret = g_strnfill((gsize)pad, '-');
    err_set(err, VIR_ERR_XML_DETAIL, "%s:%d: %s\n%s\n%s^", what, line_no, words, quoted, caret);
}

/* ---- before libxml2 ---------------------------------------------------------------------------------------------------------- */

/* libxml2 compares each attribute of an element with each before it, so an element with 10^5 of them takes it minutes, and calls us only
 * afterwards.  They are counted here, in the bytes; so these must be ASCII where XML's own characters are. */

#define ATTRIBUTES_MAX 128u /* of one element; namespaces count */

/* Past what begins at `p` with `open` and ends with `close`; NULL: it begins with something else. */
static const char *skip(const char *p, const char *end, const char *open, const char *close)
{
    size_t n = strlen(open);
    if ((size_t)(end - p) < n || memcmp(p, open, n) != 0)
        return NULL;
    const char *found = g_strstr_len(p + n, end - p - (gssize)n, close);
    return found ? found + strlen(close) : end;
}

/* Past the tag at `p`; *ret_n: its attributes. */
static const char *scan_tag(const char *p, const char *end, unsigned *ret_n)
{
    char quote = 0;
    *ret_n = 0;
    for (p++; p < end && (quote || *p != '>'); p++) {
        if (quote)
            quote = *p == quote ? 0 : quote;
        else if (*p == '"' || *p == '\'')
            quote = *p;
        else
            *ret_n += *p == '=';
    }
    return p;
}

/* A line of the document with an element of too many attributes, or 0. */
static int attributes_too_many(const char *text, size_t len)
{
    const char *end = text + len, *p = text;
    while ((p = memchr(p, '<', (size_t)(end - p)))) {
        unsigned n = 0;
        const char *next = skip(p, end, "<!--", "-->");
        next = next ? next : skip(p, end, "<![CDATA[", "]]>");
        next = next ? next : skip(p, end, "<?", "?>");
        next = next ? next : scan_tag(p, end, &n);
        if (n > ATTRIBUTES_MAX) {
            int line = 1;
            for (const char *c = text; c < p; c++)
                line += *c == '\n';
            return line;
        }
        p = next;
    }
    return 0;
}

/* Whether the document says it is in an encoding of which ASCII is no part, or begins as one. */
static bool is_foreign(const char *text, size_t len)
{
    static const char *const fine[] = {"utf-8", "utf8", "us-ascii", "ascii", "iso-8859-", "windows-125", "latin1"};
    static const char ebcdic[] = "\x4c\x6f\xa7\x94";
    if (memchr(text, 0, MIN(len, 4)) || (len >= 4 && memcmp(text, ebcdic, 4) == 0))
        return true;
    if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        text += 3;
    if (!g_str_has_prefix(text, "<?xml"))
        return false;
    const char *close = strstr(text, "?>"), *value = close ? g_strstr_len(text, close - text, "encoding") : NULL;
    if (!value)
        return false;
    value += strlen("encoding");
    value += strspn(value, " \t\r\n=\"'");
    for (unsigned i = 0; i < N_ELEMENTS(fine); i++) {
        if (g_ascii_strncasecmp(value, fine[i], strlen(fine[i])) == 0)
            return false;
    }
    return true;
}

/* ---- with libxml2 ------------------------------------------------------------------------------------------------------------ */

/* libxml2 sets itself up at first use, and not safely when two threads are first. */
static gpointer parser_init(gpointer unused)
{
    xmlInitParser();
    return NULL;
}

static xmlDoc *parse(const Limits *limits, const char *text, size_t len, const char *what, Err *err)
{
    static GOnce once = G_ONCE_INIT;
    g_once(&once, parser_init, NULL);
    if (len > limits->bytes) {
        err_set(err, VIR_ERR_XML_ERROR, "%s: the document has %zu bytes, at most %u are accepted", what, len,
                limits->bytes);
        return NULL;
    }
    int line = attributes_too_many(text, len);
    if (line || is_foreign(text, len)) {
        err_set(err, VIR_ERR_XML_ERROR, "%s:%d: %s", what, line ? line : 1,
                line ? "too many attributes of one element" : "the encoding is not supported, use UTF-8");
        return NULL;
    }
    xmlParserCtxt *ctxt = xmlNewParserCtxt();
    if (!ctxt)
        g_error("out of memory");
    ParseGuard guard = {.limits = limits, .start = ctxt->sax->startElementNs, .end = ctxt->sax->endElementNs};
    ctxt->_private = &guard;
    ctxt->sax->startElementNs = guard_start;
    ctxt->sax->endElementNs = guard_end;
    ctxt->sax->entityDecl = guard_entity;
    ctxt->sax->attributeDecl = guard_attribute;
    ctxt->sax->serror = quiet;
    xmlDoc *doc = xmlCtxtReadMemory(ctxt, text, (int)len, NULL, NULL,
                                    XML_PARSE_NONET | XML_PARSE_NOWARNING | XML_PARSE_NOBLANKS | XML_PARSE_COMPACT |
                                        XML_PARSE_BIG_LINES | limits->options);
    if (guard.limit) {
        err_set(err, VIR_ERR_XML_ERROR, "%s:%d: %s", what, guard.line, guard.limit);
    } else if (!doc && (!xmlCtxtGetLastError(ctxt) || ctxt->errNo == XML_ERR_NO_MEMORY)) {
        err_set(err, VIR_ERR_NO_MEMORY, "%s: a document of %zu bytes", what, len);
    } else if (!doc || !ctxt->wellFormed) {
        set_detail(err, what, text, xmlCtxtGetLastError(ctxt));
    } else if (!xmlDocGetRootElement(doc)) {
        err_set(err, VIR_ERR_INTERNAL_ERROR, "%s: missing root element", what);
    } else {
        xmlFreeParserCtxt(ctxt);
        return doc;
    }
    if (doc)
        xmlFreeDoc(doc);
    else if (ctxt->myDoc)
        xmlFreeDoc(ctxt->myDoc);
    xmlFreeParserCtxt(ctxt);
    return NULL;
}

xmlDoc *xml_parse(const char *text, size_t len, const char *what, Err *err)
{
    return parse(&limits_of_clients, text, len, what, err);
}

xmlDoc *xml_parse_own(const char *text, size_t len, const char *what, Err *err)
{
    return parse(&limits_of_ours, text, len, what, err);
}

/* ---- writer ---------------------------------------------------------------------------------------------------------------- */

void xml_writer_init(XmlWriter *w)
{
    *w = (XmlWriter){.out = g_string_sized_new(4096), .stack = g_ptr_array_new()};
}

char *xml_writer_steal(XmlWriter *w)
{
    char *text = g_string_free(w->out, FALSE);
    w->out = NULL;
    xml_writer_done(w);
    return text;
}

void xml_writer_done(XmlWriter *w)
{
    if (w->out)
        g_string_free(w->out, TRUE);
    if (w->stack)
        g_ptr_array_unref(w->stack);
    *w = (XmlWriter){0};
}

/* Bytes of the character at `p`; 0: XML cannot hold it, or it is none. */
static size_t char_len(const char *p)
{
    unsigned char c = (unsigned char)*p;
    if (c < 0x80)
        return c >= 0x20 || c == '\n' || c == '\t' || c == '\r';
    gunichar u = g_utf8_get_char_validated(p, -1);
    if (u >= (gunichar)-2 || u == 0xfffe || u == 0xffff)
        return 0;
    return (size_t)g_unichar_to_utf8(u, NULL);
}

bool xml_is_text(const char *s)
{
    for (size_t n; *s; s += n) {
        n = char_len(s);
        if (n == 0)
            return false;
    }
    return true;
}

/* What stands for a character that cannot be written as it is, or NULL.  The characters libvirt escapes, in attributes and text alike, and white
 * space a reader would take for other white space: in attributes all but the blank, in text the carriage return. */
static const char *escape_of(char c, bool attribute)
{
    switch (c) {
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '&':
        return "&amp;";
    case '"':
        return "&quot;";
    case '\'':
        return "&apos;";
    case '\r':
        return "&#13;";
    case '\n':
        return attribute ? "&#10;" : NULL;
    case '\t':
        return attribute ? "&#9;" : NULL;
    default:
        return NULL;
    }
}

/* What XML cannot hold is dropped. */
static void append_escaped(GString *out, const char *s, bool attribute)
{
    while (*s) {
        const char *plain = s, *escape = NULL;
        for (size_t n; *s && !(escape = escape_of(*s, attribute)) && (n = char_len(s)) > 0; s += n)
            ;
        g_string_append_len(out, plain, s - plain);
        if (escape)
            g_string_append(out, escape);
        if (*s)
            s++;
    }
}

static void indent(XmlWriter *w)
{
    for (unsigned i = 0; i < w->depth; i++)
        g_string_append(w->out, "  ");
}

/* Ends the open start tag so that something can go inside. */
static void close_tag(XmlWriter *w, bool newline)
{
    if (!w->tag_open)
        return;
    g_string_append_c(w->out, '>');
    if (newline)
        g_string_append_c(w->out, '\n');
    w->tag_open = false;
}

void xml_begin(XmlWriter *w, const char *name)
{
    close_tag(w, true);
    indent(w);
    g_string_append_c(w->out, '<');
    g_string_append(w->out, name);
    union {
        const char *in;
        gpointer out;
    } p = {.in = name};
    g_ptr_array_add(w->stack, p.out);
    w->depth++;
    w->tag_open = true;
    w->text_inside = false;
}

void xml_end(XmlWriter *w)
{
    g_assert(w->stack->len > 0);
    const char *name = g_ptr_array_steal_index(w->stack, w->stack->len - 1);
    w->depth--;
    if (w->tag_open) {
        g_string_append(w->out, "/>\n");
    } else {
        if (!w->text_inside)
            indent(w);
        g_string_append(w->out, "</");
        g_string_append(w->out, name);
        g_string_append(w->out, ">\n");
    }
    w->tag_open = false;
    w->text_inside = false;
}

void xml_open(XmlWriter *w)
{
    close_tag(w, true);
}

void xml_blank(XmlWriter *w)
{
    close_tag(w, true);
    g_string_append_c(w->out, '\n');
}

void xml_attr(XmlWriter *w, const char *name, const char *value)
{
    if (!value)
        return;
    g_assert(w->tag_open);
    g_string_append_c(w->out, ' ');
    g_string_append(w->out, name);
    g_string_append(w->out, "='");
    append_escaped(w->out, value, true);
    g_string_append_c(w->out, '\'');
}

void xml_attrf(XmlWriter *w, const char *name, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    g_autofree char *value = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    xml_attr(w, name, value);
}

void xml_text(XmlWriter *w, const char *text)
{
    close_tag(w, false);
    append_escaped(w->out, text, false);
    w->text_inside = true;
}

void xml_leaf(XmlWriter *w, const char *name, const char *text)
{
    xml_begin(w, name);
    xml_text(w, text);
    xml_end(w);
}

void xml_leaff(XmlWriter *w, const char *name, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    g_autofree char *text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    xml_leaf(w, name, text);
}

void xml_verbatim(XmlWriter *w, const char *xml)
{
    close_tag(w, true);
    indent(w);
    g_string_append(w->out, xml);
    g_string_append_c(w->out, '\n');
}

void xml_subtree(XmlWriter *w, xmlNode *node)
{
    xmlBuffer *buf = xmlBufferCreate();
    if (!buf || xmlNodeDump(buf, node->doc, node, (int)w->depth, 1) < 0)
        g_error("out of memory");
    xml_verbatim(w, (const char *)xmlBufferContent(buf));
    xmlBufferFree(buf);
}
