/* domain/blockjob_disk.h - what all kinds of block jobs do with their disk and its definitions
 *
 * For the kinds' own files.  All under the domain lock and a job of the machine.
 */
#pragma once

#include "domain/blockjob_kinds.h"
#include "domain/chain.h"

/* The live definition a job is to begin on, a reference.  A snapshot that is not settled is settled first (lock released meanwhile): the job would
 * change the chain its outcome is told by.  NULL with Err: it cannot be, or the machine has ended. */
DomainDef *blockjob_call_live(Domain *d, Err *err);
/* The disk a call names, fit for a job: not empty, without another job.  Borrowed from `def`, which is the live definition. */
DiskDef *blockjob_call_disk(Domain *d, const DomainDef *def, const char *name, Err *err);
/* A bandwidth of a call in bytes a second; `in_bytes`: it is that already, else MiB. */
int blockjob_bandwidth(uint64_t value, bool in_bytes, uint64_t *ret, Err *err);

/* The name of `base` relative to the image `above` (somewhere over it in one chain), made of the names in the headers from there down; they must
 * all be relative.  Headers are read, the lock is released meanwhile.  NULL: VIR_ERR_OPERATION_INVALID naming the image that is in the way.
 * Caller frees. */
char *blockjob_relative_name(Domain *d, const StorageSource *above, const StorageSource *base, Err *err);

/* Begins a job: notes it with its mirror (may be NULL; copied) in live definition and status file, sends the command.  `args` (stolen) lack
 * what is the same for all: job-id, speed, auto-finalize, auto-dismiss.  0, or -1: QEMU refused, and all is as before; or nobody knows, then
 * the job stays and resync decides (*ret_unsure). */
int blockjob_begin(Domain *d, const BlockJobOps *ops, const DiskDef *disk, const BlockJobParams *params, const StorageSource *mirror,
                   const char *command, json_t *args, uint64_t speed, bool *ret_unsure, Err *err);

/* A copy of the live definition to be edited, and the job's disk in it; NULL: it has gone.  Give the copy to domain_set_live(). */
DomainDef *blockjob_edit(Domain *d, const BlockJob *job, DiskDef **ret_disk);
/* The live disk of a job, borrowed; NULL when it or the machine has gone. */
DiskDef *blockjob_live_disk(Domain *d, const BlockJob *job);
/* A conclusion that changes the chain, in the order a daemon that is killed anywhere can do again: notes what goes (from `removed` down to the
 * image `stop`), lets the stored definition follow, deletes the files when `unlink_them`.  `now` is the disk's chain as it will be.  The lock is
 * released meanwhile; the caller changes the live definition afterwards, from a fresh copy of it, and releases the lock no more.  -1: the
 * stored definition cannot be written (logged), nothing was deleted. */
int blockjob_leave_images(Domain *d, BlockJob *job, const StorageSource *removed, unsigned stop, const StorageSource *now,
                          bool unlink_them);
/* Deletes the files of params->removed, but those that something else needs (blockjob_delete.c).  The lock is released meanwhile. */
void blockjob_delete_removed(Domain *d, BlockJob *job);
/* The same for one file that a machine which is off had, and its stored definition has no more. */
void blockjob_delete_file(Domain *d, const char *path);
/* The mirror's state in the live definition. */
void blockjob_mark_mirror(Domain *d, const BlockJob *job, MirrorState state);

/* ops of more than one kind */
/* For before_finalize: what a job has written into this image is on the disk before QEMU writes the header that relies on it.  QEMU 7.2 does it in the
 * other order (a commit) or only when the guest happens to flush (a pull): one that was killed in between left an image with holes.  There is no QMP
 * command for a flush. */
int blockjob_flush(Domain *d, const StorageSource *image, Err *err);
char *blockjob_source_path(Domain *d, const BlockJob *job);
void blockjob_ready_mirror(Domain *d, BlockJob *job);
/* What query-block says is in the job's disk; NULL: nothing, or no answer (Err).  Caller decrefs. */
json_t *blockjob_query_inserted(Domain *d, const BlockJob *job, Err *err);
/* Whether the disk's device is on the mirror's node. */
int blockjob_on_mirror(Domain *d, BlockJob *job);
/* Takes what params->removed says out of QEMU. */
void blockjob_drop_removed(Domain *d, BlockJob *job, int status, GArray *commands);
