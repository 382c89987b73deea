/* object/registry.h - all objects of one kind, by uuid, name and id
 *
 * Look-ups take the registry's lock for a hash probe and return a reference; they never touch an object's lock, so no
 * look-up waits for a busy object.  Names are unique; ids (running machines) are unique and are given out by the
 * caller.
 *
 * The registry's lock is a leaf: nothing is called under it, so whoever holds an object's lock may rename it or give it
 * an id, and object and registry never disagree for a reader that holds the object.
 */
#pragma once

#include "object/object.h"
#include "util/err.h"

typedef struct Registry Registry;

Registry *registry_new(const char *kind);
/* Drops its references; objects still referenced elsewhere live on. */
void registry_free(Registry *r);
/* All return a reference or NULL. */
void *registry_by_uuid(Registry *r, const uint8_t uuid[UUID_LEN]);
void *registry_by_name(Registry *r, const char *name);
void *registry_by_id(Registry *r, int id);
/* Adds and takes a reference of its own; fails (-EEXIST, *ret_other gets a reference to the object in the way, NULL if
 * not wanted) when uuid or name is taken. */
int registry_add(Registry *r, Object *o, const char *name, Object **ret_other);
/* Takes the object out and drops the registry's reference; no effect on one that is not in. */
void registry_remove(Registry *r, Object *o);
/* A change of name in two steps, so that neither name can be taken by another while files are renamed.  Reserve: the object is found by
 * both names from here on; -EEXIST when the new one is taken, -ENOENT when the object is not in, -EBUSY when it has two already.
 * Settle: `name`, one of the two, stays; the other is free. */
int registry_reserve_name(Registry *r, Object *o, const char *new_name);
void registry_settle_name(Registry *r, Object *o, const char *name);
/* id -1 takes the object out of the id table. */
void registry_set_id(Registry *r, Object *o, int id);
/* True while the object is in. */
bool registry_has(Registry *r, const Object *o);
/* Array of references (free func set), in order of insertion.  A snapshot: objects may go meanwhile. */
GPtrArray *registry_list(Registry *r);
unsigned registry_count(Registry *r);
