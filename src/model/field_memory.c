/* model/field_memory.c - free, copy and compare structs by their tables
 *
 * Owns:    nothing
 * Threads: any; the caller owns what it passes
 * Errors:  none
 */
#include "config.h"

#include <string.h>

#include "model/field.h"

/* How a row's value is held. */
typedef enum {
    HELD_PLAIN,
    HELD_STR,
    HELD_EMBEDDED,
    HELD_PTR,
    HELD_LIST,
    HELD_STRLIST,
    HELD_NOTHING,
} Held;

static Held held(const Field *f)
{
    switch (f->at) {
    case AT_CUSTOM:
    case AT_FORMAT:
    case AT_REFUSE:
    case AT_IGNORE:
        return HELD_NOTHING;
    case AT_GROUP:
        return HELD_EMBEDDED;
    default:
        break;
    }
    switch (f->type) {
    case T_STR:
        return HELD_STR;
    case T_TABLE:
        return HELD_PTR;
    case T_LIST:
        return HELD_LIST;
    case T_STRLIST:
        return HELD_STRLIST;
    case T_BYTES:
        return f->sub ? HELD_EMBEDDED : HELD_PLAIN;
    default:
        return HELD_PLAIN;
    }
}

void table_clear(const Table *t, void *base)
{
    for (uint32_t i = 0; i < t->n; i++) {
        const Field *f = &t->fields[i];
        void *slot = (char *)base + f->off;
        switch (held(f)) {
        case HELD_STR:
            g_clear_pointer((char **)slot, g_free);
            break;
        case HELD_EMBEDDED:
            table_clear(f->sub, slot);
            break;
        case HELD_PTR:
            table_free(f->sub, *(void **)slot);
            *(void **)slot = NULL;
            break;
        case HELD_LIST:
        case HELD_STRLIST: {
            GPtrArray *list = *(GPtrArray **)slot;
            for (guint k = 0; list && k < list->len; k++) {
                if (f->sub)
                    table_free(f->sub, list->pdata[k]);
                else
                    g_free(list->pdata[k]);
            }
            if (list)
                g_ptr_array_unref(list);
            *(GPtrArray **)slot = NULL;
            break;
        }
        default:
            break;
        }
    }
}

void table_free(const Table *t, void *base)
{
    if (!base)
        return;
    table_clear(t, base);
    g_free(base);
}

/* `to` is a byte copy of `from`; gives it its own memory. */
static void own_copies(const Table *t, void *to)
{
    for (uint32_t i = 0; i < t->n; i++) {
        const Field *f = &t->fields[i];
        void *slot = (char *)to + f->off;
        switch (held(f)) {
        case HELD_STR:
            *(char **)slot = g_strdup(*(char **)slot);
            break;
        case HELD_EMBEDDED:
            own_copies(f->sub, slot);
            break;
        case HELD_PTR:
            *(void **)slot = table_copy(f->sub, *(void **)slot);
            break;
        case HELD_LIST:
        case HELD_STRLIST: {
            GPtrArray *old = *(GPtrArray **)slot;
            if (!old)
                break;
            GPtrArray *list = g_ptr_array_new_full(old->len, NULL);
            for (guint k = 0; k < old->len; k++)
                g_ptr_array_add(list, f->sub ? table_copy(f->sub, old->pdata[k]) : g_strdup(old->pdata[k]));
            *(GPtrArray **)slot = list;
            break;
        }
        default:
            break;
        }
    }
}

void *table_copy(const Table *t, const void *base)
{
    if (!base)
        return NULL;
    uint8_t *p = g_malloc(t->size);
    memset(p, 0, t->head);
    memcpy(p + t->head, (const uint8_t *)base + t->head, t->size - t->head);
    own_copies(t, p);
    return p;
}

static bool plain_equal(const Field *f, const void *a, const void *b)
{
    switch (f->type) {
    case T_OPT:
    case T_OPT_HEX: {
        const OptU64 *x = a, *y = b;
        return x->set == y->set && (!x->set || x->v == y->v);
    }
    case T_OPT_INT: {
        const OptI64 *x = a, *y = b;
        return x->set == y->set && (!x->set || x->v == y->v);
    }
    case T_BOOL:
        return *(const bool *)a == *(const bool *)b;
    case T_U64:
        return *(const uint64_t *)a == *(const uint64_t *)b;
    case T_BYTES:
        return memcmp(a, b, f->max) == 0;
    default:
        return *(const int *)a == *(const int *)b;
    }
}

static unsigned list_diff(const Field *f, GPtrArray *a, GPtrArray *b, const char *path, ChangedFn changed, void *ud)
{
    guint na = a ? a->len : 0, nb = b ? b->len : 0;
    if (na != nb) {
        changed(ud, path, f->flags);
        return 1;
    }
    unsigned n = 0;
    for (guint i = 0; i < na; i++) {
        if (f->sub) {
            n += table_diff(f->sub, a->pdata[i], b->pdata[i], path, changed, ud);
        } else if (strcmp(a->pdata[i], b->pdata[i]) != 0) {
            changed(ud, path, f->flags);
            n++;
        }
    }
    return n;
}

unsigned table_diff(const Table *t, const void *a, const void *b, const char *path, ChangedFn changed, void *ud)
{
    unsigned n = 0;
    for (uint32_t i = 0; i < t->n; i++) {
        const Field *f = &t->fields[i];
        Held h = held(f);
        if (h == HELD_NOTHING)
            continue;
        const void *sa = (const char *)a + f->off, *sb = (const char *)b + f->off;
        g_autofree char *sub = g_strdup_printf("%s%s%s%s", path, *path ? "/" : "", f->at == AT_ATTR ? "@" : "", f->name);
        bool same = true;
        switch (h) {
        case HELD_PLAIN:
            same = plain_equal(f, sa, sb);
            break;
        case HELD_STR:
            same = g_strcmp0(*(char *const *)sa, *(char *const *)sb) == 0;
            break;
        case HELD_EMBEDDED:
            n += table_diff(f->sub, sa, sb, sub, changed, ud);
            break;
        case HELD_PTR: {
            const void *pa = *(void *const *)sa, *pb = *(void *const *)sb;
            if (pa && pb)
                n += table_diff(f->sub, pa, pb, sub, changed, ud);
            else
                same = pa == pb;
            break;
        }
        case HELD_LIST:
        case HELD_STRLIST:
            n += list_diff(f, *(GPtrArray *const *)sa, *(GPtrArray *const *)sb, sub, changed, ud);
            break;
        default:
            break;
        }
        if (!same) {
            changed(ud, sub, f->flags);
            n++;
        }
    }
    return n;
}
