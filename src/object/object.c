/* object/object.c - what every managed object starts with
 *
 * Owns:    the reference count and the life of lock and condition
 * Threads: any
 * Locks:   none taken here; the embedded lock has rank LOCK_DOMAIN
 * Errors:  none
 */
#include "config.h"

#include <string.h>

#include "object/object.h"

void object_init(Object *o, const uint8_t uuid[UUID_LEN], const char *kind, void (*free_fn)(Object *o))
{
    g_atomic_int_set(&o->refs, 1);
    mutex_init(&o->lock, LOCK_DOMAIN, kind);
    memcpy(o->uuid, uuid, UUID_LEN);
    o->free = free_fn;
}

void object_done(Object *o)
{
    mutex_done(&o->lock);
}

void *object_ref(void *o)
{
    Object *obj = o;
    int before = g_atomic_int_add(&obj->refs, 1);
    g_assert(before > 0); /* a dead object cannot be brought back */
    return o;
}

void object_unref(void *o)
{
    Object *obj = o;
    if (obj && g_atomic_int_dec_and_test(&obj->refs))
        obj->free(obj);
}
