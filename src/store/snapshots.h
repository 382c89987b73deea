/* store/snapshots.h - snapshots on disk: BASE/MACHINE/SNAPSHOT.xml, in the form of libvirt's files
 *
 * Durable when a function here returns 0.  All of it may block on storage: workers only.
 */
#pragma once

#include "model/snapshot_def.h"

/* What one machine may have: as many as one reply can name. */
#define SNAPSHOTS_MAX 16384u

/* Writes BASE/MACHINE/NAME.xml; on failure what was there before is still there. */
int snapshots_save(const char *base, const char *machine, const SnapshotDef *s, bool current, Err *err);
/* Fails when there is a file of that name which cannot be read: what it tells would be lost. */
int snapshots_check_file(const char *base, const char *machine, const char *name, Err *err);
/* A missing file is no error; an empty directory goes too. */
int snapshots_remove(const char *base, const char *machine, const char *name, Err *err);
/* The directory moves along with the machine's name.  None is no error. */
int snapshots_rename(const char *base, const char *old_name, const char *new_name, Err *err);

/* All of a machine as SnapshotDef* (free func set), sorted by time and name.  What cannot be read is logged and left alone; leftovers of
 * writers go.  Never NULL. */
GPtrArray *snapshots_load(const char *base, const char *machine);
/* Their order: by time, then by name.  Of two that are marked as current the later is. */
bool snapshots_is_later(const SnapshotDef *a, const SnapshotDef *b);
/* Names of the machines (char*, free func set) that have a directory in BASE.  None when there is no BASE. */
GPtrArray *snapshots_machines(const char *base);
