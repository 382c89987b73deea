/* object/object.h - what every managed object starts with
 *
 * An Object is embedded first in Domain (later Network, StoragePool, …).  The registry of its kind holds one reference,
 * a call one. `name` and `id` as seen by look-ups belong to the registry and change under its lock only; everything
 * else needs object.lock.
 */
#pragma once

#include "util/lock.h"

typedef struct Object Object;

struct Object {
    gint refs;
    Mutex lock;             /* LOCK_DOMAIN rank */
    Bell changed;           /* rung after every drained event, life change and job end, and when events are there to be drained */
    uint8_t uuid[UUID_LEN]; /* never changes */
    void (*free)(Object *o);
};

/* Starts with one reference; `free` runs when the last goes. */
void object_init(Object *o, const uint8_t uuid[UUID_LEN], const char *kind, void (*free_fn)(Object *o));
/* Called by `free` of the kind. */
void object_done(Object *o);
void *object_ref(void *o);
void object_unref(void *o);
