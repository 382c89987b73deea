/* domain/snapshot.c - the snapshots a machine has: the list, its files, and how they go
 *
 * Owns:    the order of file and list in every change; the list readers see follows the files
 * Threads: workers (files); the main thread at start
 * Locks:   the domain's, released while files are written; its job keeps other writers out
 * Errors:  libvirt's codes; what failed to be written changes nothing
 */
#include "config.h"

#include <string.h>

#define LOG_AREA "domain.snapshot"
#include "util/log.h"
#include "domain/snapshot_private.h"
#include "store/snapshots.h"
#include "api_enums.h"

char *snapshot_base(const DomainDriver *drv)
{
    return g_build_filename(domain_driver_opts((DomainDriver *)(uintptr_t)drv)->state_dir, "snapshot", NULL);
}

/* `list` is taken. */
static void set_list(Domain *d, SnapshotList *list)
{
    domain_assert_locked(d);
    snapshot_list_unref(d->priv->snapshots);
    d->priv->snapshots = list;
    domain_mark_changed(d);
}

int snapshot_check_file(Domain *d, const char *name, Err *err)
{
    g_autofree char *base = snapshot_base(d->drv), *machine = g_strdup(d->name);
    domain_unlock(d);
    int r = snapshots_check_file(base, machine, name, err);
    domain_lock(d);
    return r;
}

/* ---- one comes ------------------------------------------------------------------------------------------------------------- */

/* `s` is written with the mark, in place of `replaced` (may be NULL); `before` loses it.  Where that fails the later one counts: one that is told of and is the
 * earlier would not be current for the next daemon, so it is taken back.  No lock held. */
static int unmark(const char *base, const char *machine, const SnapshotDef *before, const SnapshotDef *s, const SnapshotDef *replaced, Err *err)
{
    g_auto(Err) own = ERR_INIT, undo = ERR_INIT;
    if (snapshots_save(base, machine, before, false, &own) == 0)
        return 0;
    if (snapshots_is_later(s, before)) {
        log_warning("%s: snapshot '%s' is still marked as current: %s", machine, before->name, own.detail);
        return 0;
    }
    err_move(err, &own);
    if ((replaced ? snapshots_save(base, machine, replaced, false, &undo) : snapshots_remove(base, machine, s->name, &undo)) < 0)
        log_warning("%s: %s", machine, undo.detail);
    return -1;
}

int snapshot_store(Domain *d, SnapshotDef *s, bool make_current, Err *err)
{
    domain_assert_locked(d);
    g_autoptr(SnapshotList) old = snapshot_list_ref(d->priv->snapshots);
    const SnapshotDef *replaced = snapshot_list_find(old, s->name);
    const SnapshotDef *before = old && old->current ? snapshot_list_find(old, old->current) : NULL;
    if (!replaced && old && old->n >= SNAPSHOTS_MAX)
        return err_set(err, VIR_ERR_OPERATION_INVALID, "domain '%s' has %u snapshots already, more cannot be told apart by clients",
                       d->name, old->n);
    bool current = make_current || (before && before == replaced);
    g_autofree char *base = snapshot_base(d->drv), *name = g_strdup(d->name);
    domain_unlock(d);
    pool_blocking_begin();
    int r = snapshots_save(base, name, s, current, err);
    /* The new one first: two marks after a crash are no harm, the later one counts. */
    if (r == 0 && current && before && before != replaced)
        r = unmark(base, name, before, s, replaced, err);
    pool_blocking_end();
    domain_lock(d);
    if (r < 0)
        return -1;
    /* A machine that was never stored has ended meanwhile, or is about to be torn down, which may have removed its snapshots already. */
    if (d->removing || (!d->persistent && d->priv->dying)) {
        domain_unlock(d);
        r = snapshots_remove(base, name, s->name, err);
        domain_lock(d);
        return r < 0 ? -1 : err_set(err, VIR_ERR_NO_DOMAIN, "domain '%s' is being removed", name);
    }
    g_autoptr(GPtrArray) all = snapshot_list_members(old);
    guint at;
    if (replaced && g_ptr_array_find(all, replaced, &at))
        all->pdata[at] = s;
    else
        g_ptr_array_add(all, s);
    set_list(d, snapshot_list_new(all, current ? s->name : old ? old->current : NULL));
    return 0;
}

/* ---- some go --------------------------------------------------------------------------------------------------------------- */

static bool in(GHashTable *set, const SnapshotDef *s)
{
    return s && g_hash_table_contains(set, s);
}

/* What the files of those that stay must say anew: another parent, the mark. */
static GPtrArray *to_rewrite(const SnapshotList *old, GHashTable *gone, GPtrArray *left, const char *current)
{
    GPtrArray *changed = g_ptr_array_new_with_free_func((GDestroyNotify)snapshot_def_unref);
    for (unsigned i = 0; i < left->len; i++) {
        const SnapshotDef *s = left->pdata[i], *p = snapshot_list_parent(old, s);
        if (in(gone, s))
            continue;
        bool orphan = in(gone, p), marked = g_strcmp0(current, s->name) == 0;
        if (!orphan && marked == snapshot_list_is_current(old, s))
            continue;
        SnapshotDef *c = snapshot_def_copy(s);
        while (in(gone, p))
            p = snapshot_list_parent(old, p);
        if (orphan) {
            g_free(c->parent);
            c->parent = p ? g_strdup(p->name) : NULL;
        }
        g_ptr_array_add(changed, c);
        left->pdata[i] = c;
    }
    return changed;
}

/* The first `n` of those that were to be rewritten are; the others are what they were: a later try finds them to be rewritten still. */
static void keep_unwritten(const SnapshotList *old, GPtrArray *left, unsigned n)
{
    g_autoptr(GPtrArray) before = snapshot_list_members(old);
    for (unsigned i = 0, written = 0; i < left->len; i++) {
        if (left->pdata[i] != before->pdata[i] && written++ >= n)
            left->pdata[i] = before->pdata[i];
    }
}

/* Members of `gone` leave files and list; children of theirs that stay get their parent.  `current` (NULL: none) is marked.  The first failure
 * ends it: what went is gone, the list says what is left. */
static int forget(Domain *d, const GPtrArray *gone, const char *current, Err *err)
{
    domain_assert_locked(d);
    g_autoptr(SnapshotList) old = snapshot_list_ref(d->priv->snapshots);
    g_autoptr(GPtrArray) left = snapshot_list_members(old);
    g_autoptr(GHashTable) set = g_hash_table_new(NULL, NULL), went = g_hash_table_new(NULL, NULL);
    for (unsigned i = 0; i < gone->len; i++)
        g_hash_table_add(set, gone->pdata[i]);
    g_autoptr(GPtrArray) changed = to_rewrite(old, set, left, current);
    g_autofree char *base = snapshot_base(d->drv), *name = g_strdup(d->name);
    domain_unlock(d);
    pool_blocking_begin();
    int r = 0;
    unsigned written = 0;
    for (; r == 0 && written < changed->len; written += r == 0) {
        const SnapshotDef *c = changed->pdata[written];
        r = snapshots_save(base, name, c, g_strcmp0(current, c->name) == 0, err);
    }
    if (r < 0) {
        keep_unwritten(old, left, written);
        current = old->current;
    }
    for (unsigned i = 0; r == 0 && i < gone->len; i++) {
        const SnapshotDef *s = gone->pdata[i];
        r = snapshots_remove(base, name, s->name, err);
        if (r == 0)
            g_hash_table_add(went, gone->pdata[i]);
    }
    pool_blocking_end();
    g_autoptr(GPtrArray) now = g_ptr_array_new();
    for (unsigned i = 0; i < left->len; i++) {
        if (!in(went, left->pdata[i]))
            g_ptr_array_add(now, left->pdata[i]);
    }
    domain_lock(d);
    set_list(d, snapshot_list_new(now, current));
    return r;
}

void snapshot_unstore(Domain *d, const char *name, const char *current_before)
{
    g_autoptr(SnapshotList) l = snapshot_list_ref(d->priv->snapshots);
    const SnapshotDef *s = snapshot_list_find(l, name);
    g_autoptr(GPtrArray) gone = g_ptr_array_new();
    g_auto(Err) err = ERR_INIT;
    if (!s)
        return;
    g_ptr_array_add(gone, (SnapshotDef *)(uintptr_t)s);
    if (forget(d, gone, current_before, &err) < 0)
        log_error("%s: snapshot '%s', which was not taken, stays in the list: %s", d->name, name, err.detail);
}

/* Where the mark goes when `s` and what is below it are forgotten (or, with `keep`, only what is below). */
static const char *next_current(const SnapshotList *l, const SnapshotDef *s, const GPtrArray *gone, bool keep)
{
    const SnapshotDef *c = l->current ? snapshot_list_find(l, l->current) : NULL;
    if (!c || !g_ptr_array_find((GPtrArray *)(uintptr_t)gone, c, NULL))
        return c ? c->name : NULL;
    if (keep)
        return s->name;
    const SnapshotDef *p = snapshot_list_parent(l, s);
    return p ? p->name : NULL;
}

static int check_delete_data(const SnapshotDef *s, unsigned flags, Err *err)
{
    const unsigned children = VIR_DOMAIN_SNAPSHOT_DELETE_CHILDREN | VIR_DOMAIN_SNAPSHOT_DELETE_CHILDREN_ONLY;
    if (flags & VIR_DOMAIN_SNAPSHOT_DELETE_METADATA_ONLY)
        return 0;
    if (flags & children)
        return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "deletion of external disk snapshots with children not supported");
    if (!snapshot_def_is_external(s)) {
        err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "the data of internal snapshot '%s' cannot be deleted: internal snapshots are not supported",
                s->name);
        return err_hint(err, "say --metadata to forget the snapshot and leave its data in the image");
    }
    return 0;
}

int domain_snapshot_delete(Domain *d, const char *name, unsigned flags, Err *err)
{
    domain_assert_locked(d);
    const unsigned below = VIR_DOMAIN_SNAPSHOT_DELETE_CHILDREN, only_below = VIR_DOMAIN_SNAPSHOT_DELETE_CHILDREN_ONLY;
    if ((flags & below) && (flags & only_below))
        return err_set(err, VIR_ERR_INVALID_ARG, "children and children_only flags are mutually exclusive");
    g_autoptr(SnapshotList) l = snapshot_list_ref(d->priv->snapshots);
    const SnapshotDef *s = snapshot_list_get(l, name, err);
    if (!s || check_delete_data(s, flags, err) < 0)
        return -1;
    if (!(flags & VIR_DOMAIN_SNAPSHOT_DELETE_METADATA_ONLY)) {
        if (snapshot_merge(d, s, l, err) < 0)
            return -1;
        snapshot_list_unref(l);
        l = snapshot_list_ref(d->priv->snapshots);
        s = snapshot_list_get(l, name, err);
        if (!s)
            return -1;
    }
    g_autoptr(GPtrArray) gone = g_ptr_array_new();
    if (flags & (below | only_below)) {
        g_autoptr(GPtrArray) all = snapshot_list_select(l, s, VIR_DOMAIN_SNAPSHOT_LIST_DESCENDANTS);
        for (unsigned i = all->len; i > 0; i--) /* children before parents: what a failure leaves is a tree */
            g_ptr_array_add(gone, all->pdata[i - 1]);
    }
    if (!(flags & only_below))
        g_ptr_array_add(gone, (SnapshotDef *)(uintptr_t)s);
    g_autofree char *current = g_strdup(next_current(l, s, gone, flags & only_below));
    return forget(d, gone, current, err);
}

int domain_snapshot_revert(Domain *d, const char *name, Err *err)
{
    domain_assert_locked(d);
    const SnapshotDef *s = snapshot_list_get(d->priv->snapshots, name, err);
    if (!s)
        return -1;
    if (snapshot_def_is_external(s))
        return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "revert to external snapshot not supported yet");
    return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "revert to internal snapshot '%s': internal snapshots are not supported", name);
}

int domain_snapshots_undefine(Domain *d, unsigned flags, Err *err)
{
    domain_assert_locked(d);
    const SnapshotList *l = d->priv->snapshots;
    if (!l || domain_is_active(d)) /* a running machine keeps them until it ends */
        return 0;
    if (!(flags & VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA)) {
        err_set(err, VIR_ERR_OPERATION_INVALID, "cannot delete inactive domain with %u snapshots", l->n);
        return err_hint(err, "say --snapshots-metadata to forget them; their images stay");
    }
    g_autoptr(GPtrArray) all = snapshot_list_members(l);
    return forget(d, all, NULL, err);
}

void domain_snapshots_drop(Domain *d)
{
    g_auto(Err) err = ERR_INIT;
    if (!d->priv->snapshots)
        return;
    g_autoptr(GPtrArray) all = snapshot_list_members(d->priv->snapshots);
    if (forget(d, all, NULL, &err) < 0)
        log_warning("%s: files of its snapshots stay behind: %s", d->name, err.detail);
}

int domain_snapshots_move(void *driver, const char *old_name, const char *new_name, Err *err)
{
    g_autofree char *base = snapshot_base(driver);
    return snapshots_rename(base, old_name, new_name, err);
}

/* ---- at start -------------------------------------------------------------------------------------------------------------- */

/* Files made by hand may go round in circles; from no root does a way lead there. */
static void cut_loops(const char *machine, const GPtrArray *all)
{
    g_autoptr(SnapshotList) l = snapshot_list_new(all, NULL);
    g_autoptr(GPtrArray) reached = snapshot_list_select(l, NULL, 0);
    g_autoptr(GHashTable) good = g_hash_table_new(NULL, NULL);
    for (unsigned i = 0; i < reached->len; i++)
        g_hash_table_add(good, reached->pdata[i]);
    for (unsigned i = 0; i < all->len; i++) {
        SnapshotDef *s = all->pdata[i]; /* nobody else's yet */
        if (in(good, s))
            continue;
        log_error("%s: snapshot '%s' is below itself by the files; taken for one without parent", machine, s->name);
        g_clear_pointer(&s->parent, g_free);
    }
}

static void load_machine(Domain *d, const char *base)
{
    g_autoptr(GPtrArray) all = snapshots_load(base, d->name);
    const char *current = NULL;
    cut_loops(d->name, all);
    for (unsigned i = 0; i < all->len; i++) {
        const SnapshotDef *s = all->pdata[i];
        if (!s->current)
            continue;
        if (current)
            log_warning("%s: snapshots '%s' and '%s' are both marked as current: the later one is", d->name, current, s->name);
        current = s->name;
    }
    domain_lock(d);
    set_list(d, snapshot_list_new(all, current));
    domain_unlock(d);
}

void domain_snapshots_load(DomainDriver *drv)
{
    g_autofree char *base = snapshot_base(drv);
    g_autoptr(GPtrArray) names = snapshots_machines(base);
    for (unsigned i = 0; i < names->len; i++) {
        Object *o = registry_by_name(domain_driver_registry(drv), names->pdata[i]);
        if (!o) {
            log_info("snapshots of '%s' are left alone: there is no such machine", (const char *)names->pdata[i]);
            continue;
        }
        load_machine((Domain *)o, base);
        object_unref(o);
    }
}
