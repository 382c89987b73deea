/* domain/snapshot_list.h - the snapshots of one machine as a tree: immutable, shared with readers
 *
 * A change makes a new list; the machine's view holds a reference to the one of its time.  NULL is the empty list.  A snapshot whose parent
 * is not there is a root.
 */
#pragma once

#include "model/snapshot_def.h"

typedef struct SnapshotList SnapshotList;
struct SnapshotList {
    gint refs;
    unsigned n;
    char *current; /* name; NULL: none */
    GHashTable *by_name;
    SnapshotDef *v[];
};

SnapshotList *snapshot_list_ref(const SnapshotList *l);
void snapshot_list_unref(SnapshotList *l);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SnapshotList, snapshot_list_unref)
/* Of those in `all` (borrowed SnapshotDef*); `current` may name none of them.  NULL when there is none. */
SnapshotList *snapshot_list_new(const GPtrArray *all, const char *current);
/* The members as an array that can be edited: borrowed SnapshotDef*, no free func. */
GPtrArray *snapshot_list_members(const SnapshotList *l);

/* Borrowed; NULL: none. */
const SnapshotDef *snapshot_list_find(const SnapshotList *l, const char *name);
/* The same, or VIR_ERR_NO_DOMAIN_SNAPSHOT. */
const SnapshotDef *snapshot_list_get(const SnapshotList *l, const char *name, Err *err);
/* The parent, NULL: a root. */
const SnapshotDef *snapshot_list_parent(const SnapshotList *l, const SnapshotDef *s);
bool snapshot_list_is_current(const SnapshotList *l, const SnapshotDef *s);

/* Those below `from` (NULL: all there are) that VIR_DOMAIN_SNAPSHOT_LIST_* in `flags` asks for, parents before children: borrowed
 * SnapshotDef*.  Without DESCENDANTS only the children of `from`; of all, ROOTS (the same number) asks for the roots only. */
GPtrArray *snapshot_list_select(const SnapshotList *l, const SnapshotDef *from, unsigned flags);
/* Would `name` be below itself if its parent were `parent`? */
bool snapshot_list_would_loop(const SnapshotList *l, const char *name, const char *parent);
