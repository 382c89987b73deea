/* domain/roster.c - all machines at one moment, for lists
 *
 * Owns:    the latest roster, as long as it is true
 * Threads: any
 * Locks:   keeper.lock (leaf; not held while a roster is made or freed)
 * Errors:  none
 *
 * A change is counted when readers can see it (domain_publish, and after the registry changed), and takes the roster away.  One that was
 * made while something changed goes to who asked for it, and is not kept.
 */
#include "config.h"

#include "domain/private.h"
#include "domain/roster.h"

void roster_keeper_init(RosterKeeper *k)
{
    *k = (RosterKeeper){0};
    mutex_init(&k->lock, LOCK_LEAF, "roster");
}

void roster_keeper_done(RosterKeeper *k)
{
    domain_roster_unref(k->latest);
    mutex_done(&k->lock);
}

void domain_roster_changed(DomainDriver *drv)
{
    if (!drv)
        return;
    RosterKeeper *k = domain_driver_roster_keeper(drv);
    DomainRoster *old = NULL;
    {
        LOCK_SCOPE(&k->lock);
        k->changes++;
        old = g_steal_pointer(&k->latest);
    }
    domain_roster_unref(old);
}

void *domain_roster_unref(DomainRoster *r)
{
    if (!r || !g_atomic_int_dec_and_test(&r->refs))
        return NULL;
    g_ptr_array_unref(r->views);
    if (r->encoded)
        g_bytes_unref(r->encoded);
    g_free(r);
    return NULL;
}

static DomainRoster *roster_new(DomainDriver *drv)
{
    g_autoptr(GPtrArray) all = registry_list(domain_driver_registry(drv));
    DomainRoster *r = g_new0(DomainRoster, 1);
    r->refs = 1;
    r->views = g_ptr_array_new_full(all->len, (GDestroyNotify)domain_view_unref);
    for (unsigned i = 0; i < all->len; i++)
        g_ptr_array_add(r->views, domain_view(all->pdata[i]));
    return r;
}

/* The latest, or NULL with the count it takes for one made from now on to be kept. */
static DomainRoster *latest(RosterKeeper *k, uint64_t *ret_changes)
{
    LOCK_SCOPE(&k->lock);
    *ret_changes = k->changes;
    if (k->latest)
        g_atomic_int_inc(&k->latest->refs);
    return k->latest;
}

DomainRoster *domain_roster(DomainDriver *drv)
{
    RosterKeeper *k = domain_driver_roster_keeper(drv);
    uint64_t changes;
    DomainRoster *r = latest(k, &changes);
    if (r)
        return r;
    r = roster_new(drv);
    LOCK_SCOPE(&k->lock);
    if (k->changes == changes && !k->latest) {
        g_atomic_int_inc(&r->refs);
        k->latest = r;
    }
    return r;
}

GBytes *domain_roster_encoded(DomainRoster *r, GBytes *(*encode)(const GPtrArray *views))
{
    GBytes *b = g_atomic_pointer_get(&r->encoded);
    if (!b) {
        b = encode(r->views);
        if (!g_atomic_pointer_compare_and_exchange(&r->encoded, NULL, b)) {
            g_bytes_unref(b); /* another was first */
            b = g_atomic_pointer_get(&r->encoded);
        }
    }
    return g_bytes_ref(b);
}
