/* object/registry.c - all objects of one kind, by uuid, name and id
 *
 * Owns:    one reference to each object, the name and id they are found by
 * Threads: any
 * Locks:   registry.lock (leaf; nothing is called under it, last references are dropped outside)
 * Errors:  negative errno
 */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "object/registry.h"

/* One object's place.  The list of entries keeps the order of insertion, which is what list calls show. */
typedef struct Entry {
    Object *o;
    char *name, *second; /* second: the other name of one being renamed, else NULL */
    int id;
    GList link;
} Entry;

struct Registry {
    Mutex lock;
    GHashTable *by_uuid; /* Object.uuid -> Entry, owns the entry */
    GHashTable *by_name; /* Entry.name -> Entry */
    GHashTable *by_id;   /* id -> Entry */
    GQueue order;
};

static guint uuid_hash(gconstpointer key)
{
    guint h;
    memcpy(&h, key, sizeof(h));
    return h;
}

static gboolean uuid_equal(gconstpointer a, gconstpointer b)
{
    return memcmp(a, b, UUID_LEN) == 0;
}

Registry *registry_new(const char *kind)
{
    Registry *r = g_new0(Registry, 1);
    mutex_init(&r->lock, LOCK_LEAF, kind);
    r->by_uuid = g_hash_table_new(uuid_hash, uuid_equal);
    r->by_name = g_hash_table_new(g_str_hash, g_str_equal);
    r->by_id = g_hash_table_new(NULL, NULL);
    g_queue_init(&r->order);
    return r;
}

static void entry_free(Entry *e)
{
    object_unref(e->o);
    g_free(e->name);
    g_free(e->second);
    g_free(e);
}

void registry_free(Registry *r)
{
    if (!r)
        return;
    GList *l;
    while ((l = g_queue_pop_head_link(&r->order)))
        entry_free(l->data);
    g_hash_table_destroy(r->by_id);
    g_hash_table_destroy(r->by_name);
    g_hash_table_destroy(r->by_uuid);
    mutex_done(&r->lock);
    g_free(r);
}

static void *look_up(Registry *r, GHashTable *t, gconstpointer key)
{
    LOCK_SCOPE(&r->lock);
    Entry *e = g_hash_table_lookup(t, key);
    return e ? object_ref(e->o) : NULL;
}

void *registry_by_uuid(Registry *r, const uint8_t uuid[UUID_LEN])
{
    return look_up(r, r->by_uuid, uuid);
}

void *registry_by_name(Registry *r, const char *name)
{
    return look_up(r, r->by_name, name);
}

void *registry_by_id(Registry *r, int id)
{
    return look_up(r, r->by_id, GINT_TO_POINTER(id));
}

int registry_add(Registry *r, Object *o, const char *name, Object **ret_other)
{
    LOCK_SCOPE(&r->lock);
    Entry *in_way = g_hash_table_lookup(r->by_uuid, o->uuid);
    if (!in_way)
        in_way = g_hash_table_lookup(r->by_name, name);
    if (in_way) {
        if (ret_other)
            *ret_other = object_ref(in_way->o);
        return -EEXIST;
    }
    Entry *e = g_new0(Entry, 1);
    e->o = object_ref(o);
    e->name = g_strdup(name);
    e->id = -1;
    e->link.data = e;
    g_hash_table_insert(r->by_uuid, o->uuid, e);
    g_hash_table_insert(r->by_name, e->name, e);
    g_queue_push_tail_link(&r->order, &e->link);
    return 0;
}

/* The entry of exactly this object.  Lock held. */
static Entry *entry_of(Registry *r, const Object *o)
{
    Entry *e = g_hash_table_lookup(r->by_uuid, o->uuid);
    return e && e->o == o ? e : NULL;
}

void registry_remove(Registry *r, Object *o)
{
    Entry *e;
    {
        LOCK_SCOPE(&r->lock);
        e = entry_of(r, o);
        if (!e)
            return;
        g_hash_table_remove(r->by_uuid, o->uuid);
        g_hash_table_remove(r->by_name, e->name);
        if (e->second)
            g_hash_table_remove(r->by_name, e->second);
        if (e->id != -1)
            g_hash_table_remove(r->by_id, GINT_TO_POINTER(e->id));
        g_queue_unlink(&r->order, &e->link);
    }
    entry_free(e);
}

int registry_reserve_name(Registry *r, Object *o, const char *new_name)
{
    LOCK_SCOPE(&r->lock);
    Entry *e = entry_of(r, o);
    if (!e)
        return -ENOENT;
    if (e->second)
        return -EBUSY;
    if (g_hash_table_contains(r->by_name, new_name))
        return -EEXIST;
    e->second = g_strdup(new_name);
    g_hash_table_insert(r->by_name, e->second, e);
    return 0;
}

void registry_settle_name(Registry *r, Object *o, const char *name)
{
    LOCK_SCOPE(&r->lock);
    Entry *e = entry_of(r, o);
    if (!e || !e->second)
        return;
    if (strcmp(e->second, name) == 0) {
        char *old = e->name;
        e->name = e->second;
        e->second = old;
    }
    g_hash_table_remove(r->by_name, e->second);
    g_clear_pointer(&e->second, g_free);
}

void registry_set_id(Registry *r, Object *o, int id)
{
    LOCK_SCOPE(&r->lock);
    Entry *e = entry_of(r, o);
    if (!e)
        return;
    if (e->id != -1)
        g_hash_table_remove(r->by_id, GINT_TO_POINTER(e->id));
    e->id = id;
    if (id != -1) {
        g_assert(!g_hash_table_contains(r->by_id, GINT_TO_POINTER(id)));
        g_hash_table_insert(r->by_id, GINT_TO_POINTER(id), e);
    }
}

bool registry_has(Registry *r, const Object *o)
{
    LOCK_SCOPE(&r->lock);
    return entry_of(r, o) != NULL;
}

GPtrArray *registry_list(Registry *r)
{
    LOCK_SCOPE(&r->lock);
    GPtrArray *a = g_ptr_array_new_full(g_queue_get_length(&r->order), object_unref);
    for (GList *l = r->order.head; l; l = l->next)
        g_ptr_array_add(a, object_ref(((Entry *)l->data)->o));
    return a;
}

unsigned registry_count(Registry *r)
{
    LOCK_SCOPE(&r->lock);
    return g_queue_get_length(&r->order);
}
