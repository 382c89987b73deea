/* domain/snapshot_private.h - the inside of snapshots; for the snapshot*.c files only
 */
#pragma once

#include "domain/private.h"
#include "domain/snapshot.h"
#include "store/snapshot_intent.h"

/* snapshot.c: the list and its files */

/* Writes `s` and makes it a member, in place of one of its name; `make_current` moves that mark.  Lock released meanwhile. */
int snapshot_store(Domain *d, SnapshotDef *s, bool make_current, Err *err);
/* A file of that name that could not be read is not to be written over.  Lock released meanwhile. */
int snapshot_check_file(Domain *d, const char *name, Err *err);
/* Takes `s` out of files and list after all; what cannot be removed is logged. */
void snapshot_unstore(Domain *d, const char *name, const char *current_before);
/* BASE of store/snapshots.h.  Caller frees. */
char *snapshot_base(const DomainDriver *drv);

/* snapshot_disks.c: which disks, into which files */

/* Completes the disks of `s` for the machine `def`: names become targets, what is not told gets `usual` or what the definition says, in the
 * order of the definition.  VIR_ERR_CONFIG_UNSUPPORTED for a disk that is not there or stands twice. */
int snapshot_disks_align(SnapshotDef *s, const DomainDef *def, SnapshotLocation usual, Err *err);
/* External disks without a file get one beside the present image; no two may be the same. */
int snapshot_disks_name(SnapshotDef *s, const DomainDef *def, Err *err);
/* VIR_ERR_OPERATION_UNSUPPORTED when the disk has as many images (`images`) as one can be started with, and found again by the next daemon. */
int snapshot_check_depth(const DiskDef *disk, unsigned images, Err *err);
/* Can it be made at all: kinds and formats.  Formats not told become qcow2. */
int snapshot_disks_check(SnapshotDef *s, const DomainDef *def, bool running, Err *err);

/* snapshot_redefine.c */

int snapshot_redefine(Domain *d, const char *xml, unsigned flags, char **ret_name, Err *err);

/* snapshot_offline.c */

/* How long images may take to be made or looked at. */
#define SNAPSHOT_IMAGES_MS 60000u
/* Is there what must be there, and nothing else?  No lock held. */
int snapshot_overlays_check(const SnapshotDef *s, bool reuse, Deadline deadline, Err *err);
/* Makes the new image of one disk over `below`, which is never opened.  A file made is noted in `made`.  Lock held, released meanwhile. */
int snapshot_overlay_make(Domain *d, const SnapshotDisk *what, const StorageSource *below, uint64_t size, GPtrArray *made, Err *err);
/* The new image in place of what `disk` has, which stays known below it. */
void snapshot_put_on_top(DiskDef *disk, const SnapshotDisk *to);
/* Removes files a failed snapshot had made.  No lock held. */
void snapshot_overlays_remove(const GPtrArray *paths);
/* Disks of a machine that is off get overlays, and its definition leads to them. */
int snapshot_take_offline(Domain *d, const SnapshotDef *s, unsigned flags, Err *err);

/* snapshot_live.c: those of a running machine, in one transaction; the definitions are settled.  After success the note of it is the
 * caller's to forget when the snapshot is in the list. */
int snapshot_take_live(Domain *d, const SnapshotDef *s, unsigned flags, Err *err);

/* snapshot_merge.c */

/* Commits what was written since into the images the snapshot `s` (of the list `l`) was taken of; for a snapshot without siblings and with one child at
 * most.  What later ones remember of the machine is rewritten.
 * Waits until that is done, lock released meanwhile; what an earlier attempt merged is skipped. */
int snapshot_merge(Domain *d, const SnapshotDef *s, const SnapshotList *l, Err *err);

/* snapshot_settle.c */

/* Writes the note of what is about to be done; lock released meanwhile.  -1 also when the machine ended. */
int snapshot_intent_note(Domain *d, const SnapshotIntent *in, Err *err);
/* It is settled: the note goes, in memory and on disk. */
void snapshot_intent_forget(Domain *d);
/* The transaction has happened: live and stored definition say so.  Can be done twice. */
int snapshot_definitions(Domain *d, const SnapshotIntent *in, Err *err);
