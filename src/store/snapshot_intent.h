/* store/snapshot_intent.h - a snapshot of a running machine that is being taken, on disk: BASE/MACHINE.xml
 *
 * Written before QEMU is told to, removed when all definitions say what QEMU does.  Who finds one at start finds out what became of it.
 * Durable: after a crash of the host it still tells which images belong together.
 */
#pragma once

#include "model/snapshot_def.h"

typedef struct SnapshotIntentDisk {
    char *target;
    char *old_path;  /* what the guest was writing to, as a header names it */
    unsigned index;  /* of the new image in QEMU */
    bool made;       /* the new file is ours to remove if nothing comes of it */
} SnapshotIntentDisk;

typedef struct SnapshotIntent SnapshotIntent;
struct SnapshotIntent {
    SnapshotDef *def; /* own reference; new images by target */
    bool metadata;    /* it is to be noted */
    GPtrArray *disks; /* SnapshotIntentDisk*, only those taken */
};

/* `def` is referenced. */
SnapshotIntent *snapshot_intent_new(const SnapshotDef *def, bool metadata);
void snapshot_intent_add(SnapshotIntent *in, const char *target, const char *old_path, unsigned index, bool made);
void snapshot_intent_free(SnapshotIntent *in);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SnapshotIntent, snapshot_intent_free)

int snapshot_intent_save(const char *base, const char *machine, const SnapshotIntent *in, Err *err);
/* NULL without Err: there is none.  A broken file is an error; it is left alone. */
SnapshotIntent *snapshot_intent_load(const char *base, const char *machine, Err *err);
int snapshot_intent_remove(const char *base, const char *machine, Err *err);
