/* model/field_parse.c - an element read by its table
 *
 * Owns:    the words of every parse error: element path, line, allowed values
 * Threads: any
 * Errors:  VIR_ERR_XML_ERROR for values, VIR_ERR_CONFIG_UNSUPPORTED for what Berth does not do
 */
#include "config.h"

#include <inttypes.h>
#include <string.h>

#include "base.h"
#include "errors.h"
#define ERR_FROM VIR_FROM_XML
#include "model/field.h"

/* ---- nodes ----------------------------------------------------------------------------------------------------------------- */

bool node_is(const xmlNode *node, const char *name)
{
    return node->type == XML_ELEMENT_NODE && !node->ns && strcmp((const char *)node->name, name) == 0;
}

xmlNode *node_child(const xmlNode *node, const char *name)
{
    for (xmlNode *n = node->children; n; n = n->next) {
        if (node_is(n, name))
            return n;
    }
    return NULL;
}

char *node_attr(const xmlNode *node, const char *name)
{
    for (const xmlAttr *a = node->properties; a; a = a->next) {
        if (!a->ns && strcmp((const char *)a->name, name) == 0) {
            /* One text node is the rule; anything else goes through libxml2. */
            if (a->children && !a->children->next && a->children->type == XML_TEXT_NODE)
                return g_strdup((const char *)a->children->content);
            xmlChar *v = xmlNodeListGetString(node->doc, a->children, 1);
            char *copy = g_strdup(v ? (const char *)v : "");
            xmlFree(v);
            return copy;
        }
    }
    return NULL;
}

char *node_text(const xmlNode *node)
{
    const xmlNode *only = node->children;
    if (!only)
        return g_strdup("");
    if (!only->next && only->type == XML_TEXT_NODE)
        return g_strdup((const char *)only->content);
    GString *s = g_string_new(NULL);
    for (const xmlNode *n = only; n; n = n->next) {
        if (n->type == XML_TEXT_NODE || n->type == XML_CDATA_SECTION_NODE) {
            g_string_append(s, (const char *)n->content);
        } else if (n->type == XML_ELEMENT_NODE) {
            g_autofree char *inner = node_text(n);
            g_string_append(s, inner);
        }
    }
    return g_string_free(s, FALSE);
}

static void path_append(GString *s, const xmlNode *node)
{
    if (node->parent && node->parent->type == XML_ELEMENT_NODE)
        path_append(s, node->parent);
    g_string_append_c(s, '/');
    if (node->ns && node->ns->prefix)
        g_string_append_printf(s, "%s:", (const char *)node->ns->prefix);
    g_string_append(s, (const char *)node->name);
}

char *node_where(const xmlNode *node)
{
    GString *s = g_string_new(NULL);
    path_append(s, node);
    g_string_append_printf(s, " line %ld", xmlGetLineNo((xmlNode *)(uintptr_t)node));
    return g_string_free(s, FALSE);
}

/* ---- errors ---------------------------------------------------------------------------------------------------------------- */

static int refuse_value(ParseCtx *c, int domain, int code, const xmlNode *node, const char *attr, const char *value,
                        const char *allowed)
{
    g_autofree char *where = node_where(node);
    g_autofree char *what = attr ? g_strdup_printf("attribute '%s' of element", attr) : g_strdup("element");
    bool cut = strlen(value) > 60;
    g_autofree char *shown = g_utf8_make_valid(value, (gssize)MIN(strlen(value), (size_t)60));
    return err_set_full(c->err, domain, code, 0, "Invalid value for %s '%s': '%s%s'%s%s (%s)", what, (const char *)node->name, shown,
                        cut ? "..." : "", allowed ? ", allowed: " : "", allowed ? allowed : "", where);
}

int bad_value(ParseCtx *c, const xmlNode *node, const char *attr, const char *value, const char *allowed)
{
    return refuse_value(c, VIR_FROM_XML, VIR_ERR_XML_ERROR, node, attr, value, allowed);
}

int unsupported_value(ParseCtx *c, const xmlNode *node, const char *attr, const char *value, const char *allowed)
{
    return refuse_value(c, VIR_FROM_DOMAIN, VIR_ERR_CONFIG_UNSUPPORTED, node, attr, value, allowed);
}

int missing_attr(ParseCtx *c, const xmlNode *node, const char *attr)
{
    g_autofree char *where = node_where(node);
    return err_set(c->err, VIR_ERR_XML_ERROR, "Missing required attribute '%s' in element '%s' (%s)", attr,
                   (const char *)node->name, where);
}

int note_unknown(ParseCtx *c, const xmlNode *node, const char *attr)
{
    g_autofree char *where = node_where(node);
    char *text = attr ? g_strdup_printf("attribute '%s' of %s", attr, where) : g_strdup(where);
    if (c->flags & PARSE_VALIDATE) {
        err_set_full(c->err, VIR_FROM_XML, VIR_ERR_XML_INVALID_SCHEMA, 0, "unknown %s%s", attr ? "" : "element ", text);
        g_free(text);
        return -1;
    }
    if (c->unknown && c->unknown->len < 64)
        g_ptr_array_add(c->unknown, text);
    else
        g_free(text);
    return 0;
}

int refuse_element(ParseCtx *c, const xmlNode *node, const char *attr)
{
    g_autofree char *where = node_where(node);
    if (attr)
        return err_set_full(c->err, VIR_FROM_QEMU, VIR_ERR_CONFIG_UNSUPPORTED, 0,
                            "attribute '%s' of element <%s> is not supported (%s)", attr, (const char *)node->name, where);
    return err_set_full(c->err, VIR_FROM_QEMU, VIR_ERR_CONFIG_UNSUPPORTED, 0, "element <%s> is not supported (%s)",
                        (const char *)node->name, where);
}

int refuse_word(ParseCtx *c, const xmlNode *node, const char *attr)
{
    g_autofree char *where = node_where(node), *word = node_attr(node, attr);
    if (!word)
        return refuse_element(c, node, attr);
    return err_set_full(c->err, VIR_FROM_QEMU, VIR_ERR_CONFIG_UNSUPPORTED, 0, "<%s %s='%s'> is not supported (%s)", (const char *)node->name, attr,
                        word, where);
}

/* ---- values ---------------------------------------------------------------------------------------------------------------- */

bool parse_u64(const char *text, int base, uint64_t max, uint64_t *ret)
{
    if (base == 0) {
        base = 10;
        if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
            base = 16;
            text += 2;
        }
    }
    if (!*text)
        return false;
    uint64_t v = 0;
    for (const char *p = text; *p; p++) {
        int digit = base == 16 ? g_ascii_xdigit_value(*p) : g_ascii_digit_value(*p);
        if (digit < 0 || v > (UINT64_MAX - (uint64_t)digit) / (uint64_t)base)
            return false;
        v = v * (uint64_t)base + (uint64_t)digit;
    }
    if (max && v > max)
        return false;
    *ret = v;
    return true;
}

int attr_u64(ParseCtx *c, const xmlNode *node, const char *attr, int base, uint64_t max, uint64_t *ret, bool *ret_given)
{
    g_autofree char *text = node_attr(node, attr);
    if (ret_given)
        *ret_given = text != NULL;
    if (!text)
        return 0;
    if (!parse_u64(text, base, max, ret)) {
        g_autofree char *allowed =
            max ? g_strdup_printf("0 to %" PRIu64, max) : g_strdup("a number that is not negative");
        return bad_value(c, node, attr, text, allowed);
    }
    return 0;
}

static int attr_enum_as(ParseCtx *c, const xmlNode *node, const char *attr, const char *const *words, int max, void *ret,
                        bool unsupported)
{
    g_autofree char *text = node_attr(node, attr);
    if (!text)
        return 0;
    int v = enum_find(words, max, text);
    if (v < 0) {
        g_autofree char *allowed = enum_list(words, max);
        return unsupported ? unsupported_value(c, node, attr, text, allowed) : bad_value(c, node, attr, text, allowed);
    }
    memcpy(ret, &v, sizeof v);
    return 0;
}

int attr_enum(ParseCtx *c, const xmlNode *node, const char *attr, const char *const *words, int max, void *ret)
{
    return attr_enum_as(c, node, attr, words, max, ret, false);
}

int attr_enum_u(ParseCtx *c, const xmlNode *node, const char *attr, const char *const *words, int max, void *ret)
{
    return attr_enum_as(c, node, attr, words, max, ret, true);
}

static int value_enum(ParseCtx *c, const Field *f, xmlNode *node, const char *attr, const char *text,
                      const char *const *words, int max, void *slot)
{
    int v = enum_find(words, max, text);
    if (v < 0 || (v == 0 && (f->flags & NOT_DEFAULT))) {
        g_autofree char *allowed = enum_list(words, max);
        return f->flags & UNSUPPORTED ? unsupported_value(c, node, attr, text, allowed) : bad_value(c, node, attr, text, allowed);
    }
    memcpy(slot, &v, sizeof v);
    return 0;
}

/* Takes `text`: the value of an attribute or the text of an element. */
static int value_set(ParseCtx *c, const Field *f, xmlNode *node, const char *attr, char *text, void *slot)
{
    g_autofree char *own = text;
    uint64_t v = 0;
    switch (f->type) {
    case T_STR: {
        char **s = slot;
        if (!*text && (f->flags & REQUIRED)) /* who reads it later counts on there being one */
            return bad_value(c, node, attr, text, "text that is not empty");
        if (!*text && !(f->flags & ALWAYS))
            return 0; /* empty is absent, as libvirt reads it */
        g_free(*s);
        *s = g_steal_pointer(&own);
        return 0;
    }
    case T_ENUM:
        return value_enum(c, f, node, attr, text, f->words, (int)f->max, slot);
    case T_YESNO:
        return value_enum(c, f, node, attr, text, tri_yesno_names, TRI_NO + 1, slot);
    case T_ONOFF:
        return value_enum(c, f, node, attr, text, tri_onoff_names, TRI_NO + 1, slot);
    case T_BOOL: {
        int tri = 0;
        if (value_enum(c, f, node, attr, text, tri_yesno_names, TRI_NO + 1, &tri) < 0)
            return -1;
        *(bool *)slot = tri == TRI_YES;
        return 0;
    }
    case T_OPT:
    case T_OPT_HEX:
    case T_U64:
    case T_UINT: {
        uint64_t max = f->max ? f->max : f->type == T_UINT ? UINT32_MAX : 0;
        int base = f->type == T_OPT_HEX || (f->flags & BASE0) ? 0 : 10;
        if (!parse_u64(text, base, max, &v) || (v == 0 && (f->flags & NONZERO))) {
            g_autofree char *allowed = max ? g_strdup_printf("%d to %" PRIu64, f->flags & NONZERO ? 1 : 0, max)
                                           : g_strdup(f->flags & NONZERO ? "a positive number" : "a number that is not negative");
            return bad_value(c, node, attr, text, allowed);
        }
        if (f->type == T_U64) {
            *(uint64_t *)slot = v;
        } else if (f->type == T_UINT) {
            *(unsigned *)slot = (unsigned)v;
        } else {
            ((OptU64 *)slot)->set = true;
            ((OptU64 *)slot)->v = v;
        }
        return 0;
    }
    case T_OPT_INT: {
        bool minus = *text == '-';
        if (!parse_u64(text + minus, 10, INT64_MAX, &v))
            return bad_value(c, node, attr, text, "a number");
        ((OptI64 *)slot)->set = true;
        ((OptI64 *)slot)->v = minus ? -(int64_t)v : (int64_t)v;
        return 0;
    }
    default:
        g_assert_not_reached();
    }
}

/* ---- rows ------------------------------------------------------------------------------------------------------------------ */

static void *slot_of(void *base, const Field *f)
{
    return (char *)base + f->off;
}

/* Is the value of this row not to be read now? */
static bool skipped(const ParseCtx *c, const Field *f)
{
    return (f->flags & RUNTIME) && (c->flags & PARSE_INACTIVE) && !(c->flags & PARSE_STATUS);
}

static int parse_attr(ParseCtx *c, const Table *t, xmlNode *node, const xmlAttr *a, void *base, uint64_t *seen)
{
    const char *name = (const char *)a->name;
    if (a->ns)
        return note_unknown(c, node, name);
    for (uint32_t i = 0; i < t->n; i++) {
        const Field *f = &t->fields[i];
        if (f->at == AT_ATTR && strcmp(f->name, name) == 0) {
            seen[i / 64] |= UINT64_C(1) << (i % 64);
            return skipped(c, f) ? 0 : value_set(c, f, node, name, node_attr(node, name), slot_of(base, f));
        }
        if ((f->at == AT_REFUSE || f->at == AT_IGNORE) && f->name[0] == '@' && strcmp(f->name + 1, name) == 0)
            return f->at == AT_IGNORE ? 0 : refuse_element(c, node, name);
    }
    return note_unknown(c, node, name);
}

static int parse_child_as(ParseCtx *c, const Field *f, xmlNode *child, void *base)
{
    void *slot = slot_of(base, f);
    if ((f->flags & CHECKED) && table_check(c, f->sub, child) < 0)
        return -1;
    switch (f->at) {
    case AT_LEAF: {
        char *text = node_text(child);
        if (skipped(c, f) || (f->type == T_ENUM && !*text)) { /* an empty word is none, as libvirt reads it */
            g_free(text);
            return 0;
        }
        return value_set(c, f, child, NULL, text, slot);
    }
    case AT_FLAG:
        *(bool *)slot = true;
        return 0;
    case AT_GROUP:
        return skipped(c, f) ? 0 : table_parse(c, f->sub, child, slot);
    case AT_PTR: {
        void **p = slot;
        if (skipped(c, f))
            return 0;
        *p = table_parse_new(c, f->sub, child);
        return *p ? 0 : -1;
    }
    case AT_LIST: {
        GPtrArray **list = slot;
        void *item = table_parse_new(c, f->sub, child);
        if (!item)
            return -1;
        if (!*list)
            *list = g_ptr_array_new();
        g_ptr_array_add(*list, item);
        return 0;
    }
    case AT_CUSTOM:
        return f->hooks->parse(c, child, base, f);
    case AT_REFUSE:
        return refuse_element(c, child, NULL);
    default:
        return 0;
    }
}

static int parse_child(ParseCtx *c, const Table *t, xmlNode *child, void *base, uint64_t *seen)
{
    const char *name = (const char *)child->name;
    if (child->ns)
        return note_unknown(c, child, NULL);
    for (uint32_t i = 0; i < t->n; i++) {
        const Field *f = &t->fields[i];
        if (f->at < AT_LEAF || f->at == AT_TEXT || f->at == AT_FORMAT || f->at == AT_MEMORY || strcmp(f->name, name) != 0)
            continue;
        uint64_t bit = UINT64_C(1) << (i % 64);
        /* The first one counts; hooks that take many say so with ALWAYS. */
        if ((seen[i / 64] & bit) && f->at != AT_LIST && f->at != AT_REFUSE && !(f->flags & ALWAYS && f->at == AT_CUSTOM))
            return 0;
        seen[i / 64] |= bit;
        return parse_child_as(c, f, child, base);
    }
    return note_unknown(c, child, NULL);
}

/* The row that names an attribute (or, with attr false, a child element); NULL: none. */
static const Field *row_of(const Table *t, const char *name, bool attr)
{
    for (uint32_t i = 0; i < t->n; i++) {
        const Field *f = &t->fields[i];
        if (f->at == AT_MEMORY || f->at == AT_FORMAT || f->at == AT_TEXT)
            continue;
        bool at = f->at == AT_ATTR || f->name[0] == '@';
        if (at == attr && strcmp(f->name + (f->name[0] == '@'), name) == 0)
            return f;
    }
    return NULL;
}

int table_check(ParseCtx *c, const Table *t, xmlNode *node)
{
    for (const xmlAttr *a = node->properties; a; a = a->next) {
        const char *name = (const char *)a->name;
        const Field *f = a->ns ? NULL : row_of(t, name, true);
        if (f ? f->at == AT_REFUSE && refuse_element(c, node, name) < 0 : note_unknown(c, node, name) < 0)
            return -1;
    }
    for (xmlNode *n = node->children; n; n = n->next) {
        if (n->type != XML_ELEMENT_NODE)
            continue;
        const Field *f = n->ns ? NULL : row_of(t, (const char *)n->name, false);
        if (f ? f->at == AT_REFUSE && refuse_element(c, n, NULL) < 0 : note_unknown(c, n, NULL) < 0)
            return -1;
        if (f && (f->flags & CHECKED) && table_check(c, f->sub, n) < 0)
            return -1;
    }
    return 0;
}

int table_parse(ParseCtx *c, const Table *t, xmlNode *node, void *base)
{
    uint64_t seen[FIELD_MAX / 64] = {0};
    g_assert(t->n <= FIELD_MAX);
    for (const xmlAttr *a = node->properties; a; a = a->next) {
        if (parse_attr(c, t, node, a, base, seen) < 0)
            return -1;
    }
    for (xmlNode *child = node->children; child; child = child->next) {
        if (child->type == XML_ELEMENT_NODE && parse_child(c, t, child, base, seen) < 0)
            return -1;
    }
    for (uint32_t i = 0; i < t->n; i++) {
        const Field *f = &t->fields[i];
        if (f->at == AT_TEXT && value_set(c, f, node, NULL, node_text(node), slot_of(base, f)) < 0)
            return -1;
        if (!(f->flags & REQUIRED) || (seen[i / 64] >> (i % 64) & 1))
            continue;
        if (f->at == AT_ATTR)
            return missing_attr(c, node, f->name);
        g_autofree char *where = node_where(node);
        return err_set(c->err, VIR_ERR_XML_ERROR, "Missing required element '%s' in element '%s' (%s)", f->name,
                       (const char *)node->name, where);
    }
    return t->finish ? t->finish(c, node, base) : 0;
}

void *table_new(const Table *t)
{
    void *p = g_malloc0(t->size);
    if (t->init)
        t->init(p);
    return p;
}

void *table_parse_new(ParseCtx *c, const Table *t, xmlNode *node)
{
    void *p = table_new(t);
    if (table_parse(c, t, node, p) < 0) {
        table_free(t, p);
        return NULL;
    }
    return p;
}
