/* store/defs.h - definitions on disk: one NAME.xml each, in libvirt's format
 *
 * A definition is durable when a function here returns 0: file and directory are synced.  All of it may block on
 * storage: workers only.
 */
#pragma once

#include "model/stored_def.h"

/* The definitions of one directory. */
typedef struct DefsStore DefsStore;

/* index_path: where to remember which files are known to be good (store/defs_index.h), NULL: nowhere.  Nothing is read yet. */
DefsStore *defs_open(const char *dir, const char *index_path);
void defs_close(DefsStore *s);

/* What else is filed by the name of a machine, and moves with its definition: 0 also when there is nothing (any more). */
typedef int (*DefsMove)(void *data, const char *old_name, const char *new_name, Err *err);
/* Once, before anything else is done with the store. */
void defs_set_move(DefsStore *s, DefsMove fn, void *data);

/* Fails with VIR_ERR_XML_ERROR when a machine of this name could not have a file of its own: empty, '/', control
 * characters, too long. */
int defs_check_name(const char *name, Err *err);
/* DIR/NAME.xml; the name must have passed defs_check_name.  Caller frees. */
char *defs_path(const char *dir, const char *name);
/* Writes DIR/NAME.xml; on failure what was there before is still there.  `fixed`: the text is known to be read as what it is
 * (stored_def_reread() gives it back), so the next start need not find out. */
int defs_save(DefsStore *s, const char *name, const StoredDef *def, bool fixed, Err *err);
/* Fails with VIR_ERR_OPERATION_FAILED when there is a file of that name: of a machine nobody knows, or could read. */
int defs_check_free(const DefsStore *s, const char *name, Err *err);
/* A missing file is no error. */
int defs_remove(DefsStore *s, const char *name, Err *err);
/* Writes `def`, the definition with its new name in it, into the old file, moves what goes along, then renames the file: at any moment there is one
 * file of the machine.  After a crash in between defs_load takes the steps that are left.  `fixed` as above. */
int defs_rename(DefsStore *s, const char *old_name, const char *new_name, const StoredDef *def, bool fixed, Err *err);

typedef struct LoadedDef {
    char *name; /* of the file and in it */
    StoredDef *def;
} LoadedDef;

/* All definitions of a directory, sorted by name of the file, as LoadedDef* (free func set).  Stored definitions are complete already, so
 * nothing is filled in.  What cannot be read is logged and left alone.  A missing directory is an empty one.  Once, before anything is
 * saved.  NULL with Err when the directory cannot be listed. */
GPtrArray *defs_load(DefsStore *s, Err *err);
/* Names (char*, free func set) of all files NAME.xml in dir, sorted; none when there is no such directory.  NULL with Err when it cannot be
 * listed: nobody may take that for an empty one. */
GPtrArray *defs_names(const char *dir, Err *err);
/* Removes temporaries a crash left behind.  Only at start, while nobody writes. */
void defs_clean(const char *dir);
