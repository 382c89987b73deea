/* domain/snapshot_list.c - the snapshots of one machine as a tree: immutable, shared with readers
 *
 * Owns:    who is whose parent, and which of them a list call means
 * Threads: any; immutable, references are atomic
 * Errors:  VIR_ERR_NO_DOMAIN_SNAPSHOT
 */
#include "config.h"

#include <string.h>

#include "base.h"
#include "errors.h"
#define ERR_FROM VIR_FROM_QEMU
#include "domain/snapshot_list.h"
#include "api_enums.h"

SnapshotList *snapshot_list_ref(const SnapshotList *l)
{
    union {
        const SnapshotList *in;
        SnapshotList *out;
    } p = {.in = l};
    if (l)
        g_atomic_int_inc(&p.out->refs);
    return p.out;
}

void snapshot_list_unref(SnapshotList *l)
{
    if (!l || !g_atomic_int_dec_and_test(&l->refs))
        return;
    for (unsigned i = 0; i < l->n; i++)
        snapshot_def_unref(l->v[i]);
    g_hash_table_unref(l->by_name);
    g_free(l->current);
    g_free(l);
}

SnapshotList *snapshot_list_new(const GPtrArray *all, const char *current)
{
    if (!all->len)
        return NULL;
    SnapshotList *l = g_malloc0(sizeof(SnapshotList) + all->len * sizeof(SnapshotDef *));
    l->refs = 1;
    l->n = all->len;
    l->by_name = g_hash_table_new(g_str_hash, g_str_equal);
    for (unsigned i = 0; i < all->len; i++) {
        l->v[i] = snapshot_def_ref(all->pdata[i]);
        g_hash_table_insert(l->by_name, l->v[i]->name, l->v[i]);
    }
    if (current && snapshot_list_find(l, current))
        l->current = g_strdup(current);
    return l;
}

GPtrArray *snapshot_list_members(const SnapshotList *l)
{
    GPtrArray *a = g_ptr_array_new();
    for (unsigned i = 0; l && i < l->n; i++)
        g_ptr_array_add(a, l->v[i]);
    return a;
}

const SnapshotDef *snapshot_list_find(const SnapshotList *l, const char *name)
{
    return l ? g_hash_table_lookup(l->by_name, name) : NULL;
}

const SnapshotDef *snapshot_list_get(const SnapshotList *l, const char *name, Err *err)
{
    const SnapshotDef *s = snapshot_list_find(l, name);
    if (!s)
        err_set(err, VIR_ERR_NO_DOMAIN_SNAPSHOT, "no domain snapshot with matching name '%s'", name);
    return s;
}

const SnapshotDef *snapshot_list_parent(const SnapshotList *l, const SnapshotDef *s)
{
    return s->parent ? snapshot_list_find(l, s->parent) : NULL;
}

bool snapshot_list_is_current(const SnapshotList *l, const SnapshotDef *s)
{
    return l && l->current && strcmp(l->current, s->name) == 0;
}

bool snapshot_list_would_loop(const SnapshotList *l, const char *name, const char *parent)
{
    for (unsigned steps = 0; parent && steps <= (l ? l->n : 0); steps++) {
        if (strcmp(parent, name) == 0)
            return true;
        const SnapshotDef *p = snapshot_list_find(l, parent);
        parent = p ? p->parent : NULL;
    }
    return parent != NULL; /* a loop above, made by hand in the files */
}

/* ---- the tree -------------------------------------------------------------------------------------------------------------- */

/* Children by parent's name; the roots under "".  Made for one walk. */
static GHashTable *children_of(const SnapshotList *l)
{
    GHashTable *children = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify)g_ptr_array_unref);
    for (unsigned i = 0; i < l->n; i++) {
        const char *parent = l->v[i]->parent;
        if (!parent || !snapshot_list_find(l, parent))
            parent = "";
        GPtrArray *list = g_hash_table_lookup(children, parent);
        if (!list)
            g_hash_table_insert(children, (char *)(uintptr_t)parent, list = g_ptr_array_new());
        g_ptr_array_add(list, l->v[i]);
    }
    return children;
}

static bool group(unsigned flags, unsigned yes, bool is_yes, unsigned no)
{
    if (!(flags & (yes | no)))
        return true;
    return (flags & yes && is_yes) || (flags & no && !is_yes);
}

static bool matches(const SnapshotDef *s, bool leaf, unsigned flags)
{
    if (!group(flags, VIR_DOMAIN_SNAPSHOT_LIST_LEAVES, leaf, VIR_DOMAIN_SNAPSHOT_LIST_NO_LEAVES) ||
        !group(flags, VIR_DOMAIN_SNAPSHOT_LIST_METADATA, true, VIR_DOMAIN_SNAPSHOT_LIST_NO_METADATA))
        return false;
    const unsigned states =
        VIR_DOMAIN_SNAPSHOT_LIST_INACTIVE | VIR_DOMAIN_SNAPSHOT_LIST_ACTIVE | VIR_DOMAIN_SNAPSHOT_LIST_DISK_ONLY;
    unsigned state = s->state == SNAPSHOT_STATE_SHUTOFF ? VIR_DOMAIN_SNAPSHOT_LIST_INACTIVE
                     : s->state == SNAPSHOT_STATE_DISK  ? VIR_DOMAIN_SNAPSHOT_LIST_DISK_ONLY
                                                        : VIR_DOMAIN_SNAPSHOT_LIST_ACTIVE;
    if ((flags & states) && !(flags & state))
        return false;
    const unsigned places = VIR_DOMAIN_SNAPSHOT_LIST_INTERNAL | VIR_DOMAIN_SNAPSHOT_LIST_EXTERNAL;
    unsigned place = snapshot_def_is_external(s) ? VIR_DOMAIN_SNAPSHOT_LIST_EXTERNAL : VIR_DOMAIN_SNAPSHOT_LIST_INTERNAL;
    return !(flags & places) || (flags & place);
}

GPtrArray *snapshot_list_select(const SnapshotList *l, const SnapshotDef *from, unsigned flags)
{
    GPtrArray *out = g_ptr_array_new();
    if (!l)
        return out;
    g_autoptr(GHashTable) children = children_of(l);
    /* The flag means "not only the children" below a snapshot, and "only the roots" of all. */
    bool deep = from ? (flags & VIR_DOMAIN_SNAPSHOT_LIST_DESCENDANTS) : !(flags & VIR_DOMAIN_SNAPSHOT_LIST_ROOTS);
    g_autoptr(GPtrArray) todo = g_ptr_array_new(); /* last comes next */
    const char *at = from ? from->name : "";
    for (unsigned seen = 0; at;) {
        const GPtrArray *list = g_hash_table_lookup(children, at);
        for (unsigned i = list ? list->len : 0; i > 0; i--)
            g_ptr_array_add(todo, list->pdata[i - 1]);
        at = NULL;
        if (todo->len && seen++ < l->n) { /* a loop in files made by hand ends here */
            SnapshotDef *s = g_ptr_array_steal_index(todo, todo->len - 1);
            bool leaf = !g_hash_table_contains(children, s->name);
            if (matches(s, leaf, flags))
                g_ptr_array_add(out, s);
            at = deep ? s->name : "\n"; /* which is nobody's name */
        }
    }
    return out;
}
