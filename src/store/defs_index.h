/* store/defs_index.h - what is already known about the files of definitions
 *
 * Reading a definition costs fifty times what reading its file costs.  The index remembers, by the content of a file and its name, that
 * this very program has read it before, that it is good, and the numbers in it.  It is never asked what a definition says: the files
 * are read at every start, and one whose content is not known, for whatever reason, is read as if there were no index.  So a file may be
 * edited, added, copied or put back from a backup while no daemon runs, and the index may be missing, old, cut off or damaged.
 */
#pragma once

#include "model/stored_def.h"
#include "util/hash.h"

typedef struct DefsIndex DefsIndex;

/* Reads PATH; what is wrong with it is no error.  NULL path: an index that knows nothing and keeps nothing.  Never NULL. */
DefsIndex *defs_index_open(const char *path);
/* Writes what was added. */
void defs_index_free(DefsIndex *x);
/* What a file is known by. */
Hash128 defs_index_key(const char *name, const char *content, size_t len);
/* The definition in a file whose content is known, or NULL.  Any thread, until defs_index_settle(). */
StoredDef *defs_index_find(DefsIndex *x, Hash128 key, const char *content, size_t len);
/* Remembers that `def` is what stands in this content: as its end, letter by letter, or (in_file false) in other words.  Any thread. */
void defs_index_add(DefsIndex *x, Hash128 key, const StoredDef *def, bool in_file);
/* All files were looked at: writes what was added and found, forgets the rest.  From here on defs_index_add() writes now and then. */
void defs_index_settle(DefsIndex *x);
