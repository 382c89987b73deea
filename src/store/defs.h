/* store/defs.h - definitions on disk: one NAME.xml each, in libvirt's format
 *
 * A definition is durable when a function here returns 0: file and directory are synced.  All of it may block on
 * storage: workers only.
 */
#pragma once

#include "model/domain_def.h"

/* Fails with VIR_ERR_XML_ERROR when a machine of this name could not have a file of its own: empty, '/', control
 * characters, too long. */
int defs_check_name(const char *name, Err *err);
/* DIR/NAME.xml; the name must have passed defs_check_name.  Caller frees. */
char *defs_path(const char *dir, const char *name);
/* Writes DIR/NAME.xml; on failure what was there before is still there. */
int defs_save(const char *dir, const DomainDef *def, Err *err);
/* A missing file is no error. */
int defs_remove(const char *dir, const char *name, Err *err);
/* Writes `def`, with its new name, into the old file, then renames that: at any moment there is one file of the machine.  After a crash
 * in between defs_load takes the second step. */
int defs_rename(const char *dir, const char *old_name, const DomainDef *def, Err *err);
/* One definition; file name and <name> must agree.  Stored definitions are complete already, so nothing is filled in.
 */
DomainDef *defs_load_one(const char *dir, const char *name, Err *err);
/* All definitions of a directory, sorted by name, as DomainDef* (free func set).  What cannot be read is logged and
 * left alone.  A missing directory is an empty one. */
GPtrArray *defs_load(const char *dir);
/* Names (char*, free func set) of all files NAME.xml in dir, sorted. */
GPtrArray *defs_names(const char *dir);
/* Removes temporaries a crash left behind.  Only at start, while nobody writes. */
void defs_clean(const char *dir);
