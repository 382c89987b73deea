/* model/field_format.c - an element written by its table
 *
 * Owns:    which rows are written under which flags
 * Threads: any
 * Errors:  none
 */
#include "config.h"

#include <inttypes.h>

#include "model/field.h"

bool field_written(const FormatCtx *c, uint32_t flags)
{
    if (c->flags & FORMAT_STATUS)
        return true;
    if (flags & STATUS)
        return false;
    if ((flags & SECRET) && !(c->flags & FORMAT_SECURE))
        return false;
    return !((flags & RUNTIME) && (c->flags & FORMAT_INACTIVE));
}

bool format_is_live(const FormatCtx *c)
{
    return c->def && c->def->id >= 0 && !(c->flags & (FORMAT_INACTIVE | FORMAT_STATUS));
}

/* The value as text in `buf` or in place; NULL when absent. */
static const char *value_text(const Field *f, const void *slot, char buf[32])
{
    switch (f->type) {
    case T_STR:
        return *(char *const *)slot;
    case T_ENUM:
        return enum_word(f->words, (int)f->max, *(const int *)slot);
    case T_YESNO:
        return enum_word(tri_yesno_names, TRI_NO + 1, *(const int *)slot);
    case T_ONOFF:
        return enum_word(tri_onoff_names, TRI_NO + 1, *(const int *)slot);
    case T_BOOL:
        return *(const bool *)slot ? "yes" : NULL;
    case T_OPT:
    case T_OPT_HEX: {
        const OptU64 *o = slot;
        if (!o->set)
            return NULL;
        g_snprintf(buf, 32, f->type == T_OPT ? "%" PRIu64 : "0x%" PRIx64, o->v);
        return buf;
    }
    case T_OPT_INT: {
        const OptI64 *o = slot;
        if (!o->set)
            return NULL;
        g_snprintf(buf, 32, "%" PRId64, o->v);
        return buf;
    }
    case T_U64:
        if (!*(const uint64_t *)slot)
            return NULL;
        g_snprintf(buf, 32, "%" PRIu64, *(const uint64_t *)slot);
        return buf;
    case T_UINT:
        if (!*(const unsigned *)slot)
            return NULL;
        g_snprintf(buf, 32, "%u", *(const unsigned *)slot);
        return buf;
    default:
        return NULL;
    }
}

/* Writes a group unless nothing would be inside. */
static void format_group(FormatCtx *c, const Field *f, const void *base)
{
    XmlWriter *w = &c->w;
    gsize before = w->out->len;
    bool open_before = w->tag_open;
    xml_begin(w, f->name);
    gsize begun = w->out->len;
    table_format_inside(c, f->sub, base);
    if (w->out->len != begun || (f->flags & ALWAYS)) {
        xml_end(w);
        return;
    }
    /* Nothing: as if it had never been begun. */
    g_ptr_array_set_size(w->stack, (gint)w->stack->len - 1);
    w->depth--;
    g_string_truncate(w->out, before);
    w->tag_open = open_before;
}

static void format_row(FormatCtx *c, const Field *f, const void *base)
{
    const void *slot = (const char *)base + f->off;
    char buf[32];
    switch (f->at) {
    case AT_ATTR:
        xml_attr(&c->w, f->name, value_text(f, slot, buf));
        break;
    case AT_LEAF: {
        const char *text = value_text(f, slot, buf);
        if (text)
            xml_leaf(&c->w, f->name, text);
        break;
    }
    case AT_TEXT: {
        const char *text = value_text(f, slot, buf);
        if (text)
            xml_text(&c->w, text);
        break;
    }
    case AT_FLAG:
        if (*(const bool *)slot) {
            xml_begin(&c->w, f->name);
            xml_end(&c->w);
        }
        break;
    case AT_GROUP:
        format_group(c, f, slot);
        break;
    case AT_PTR:
        if (*(void *const *)slot) {
            xml_begin(&c->w, f->name);
            table_format_inside(c, f->sub, *(void *const *)slot);
            xml_end(&c->w);
        }
        break;
    case AT_LIST: {
        GPtrArray *list = *(GPtrArray *const *)slot;
        for (guint i = 0; list && i < list->len; i++) {
            xml_begin(&c->w, f->name);
            table_format_inside(c, f->sub, list->pdata[i]);
            xml_end(&c->w);
        }
        break;
    }
    case AT_CUSTOM:
    case AT_FORMAT:
        if (f->hooks->format)
            f->hooks->format(c, base, f);
        break;
    default:
        break;
    }
}

void table_format_inside(FormatCtx *c, const Table *t, const void *base)
{
    for (uint32_t i = 0; i < t->n; i++) {
        if (field_written(c, t->fields[i].flags))
            format_row(c, &t->fields[i], base);
    }
}

void table_format(FormatCtx *c, const Table *t, const void *base)
{
    xml_begin(&c->w, t->element);
    table_format_inside(c, t, base);
    xml_end(&c->w);
}
