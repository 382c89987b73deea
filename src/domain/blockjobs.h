/* domain/blockjobs.h - calls about block jobs
 *
 * Each expects the domain lock and (but for the query) a MODIFY job on an active machine, and returns with both; the lock is released
 * meanwhile.  `disk` is a target ("vda") or the path of its image; images of its chain are named by path or "vda[2]".
 */
#pragma once

#include "domain/domain.h"
#include "model/domain_def.h"

/* BLOCK_PULL, BLOCK_REBASE without COPY.  base NULL: everything.  flags: VIR_DOMAIN_BLOCK_PULL_*. */
int domain_block_pull(Domain *d, const char *disk, const char *base, uint64_t bandwidth, unsigned flags, Err *err);
/* BLOCK_REBASE: one of the others, by its flags. */
int domain_block_rebase(Domain *d, const char *disk, const char *base, uint64_t bandwidth, unsigned flags, Err *err);
/* BLOCK_COMMIT.  base, top may be NULL.  flags: VIR_DOMAIN_BLOCK_COMMIT_*. */
int domain_block_commit(Domain *d, const char *disk, const char *base, const char *top, uint64_t bandwidth, unsigned flags, Err *err);

typedef struct BlockCopyTune {
    uint64_t bandwidth; /* bytes a second; 0: no limit */
    uint64_t granularity, buf_size; /* 0: QEMU's choice */
} BlockCopyTune;
/* BLOCK_COPY.  target is stolen.  flags: VIR_DOMAIN_BLOCK_COPY_*. */
int domain_block_copy(Domain *d, const char *disk, StorageSource *target, const BlockCopyTune *tune, unsigned flags, Err *err);

/* BLOCK_JOB_ABORT.  Waits for the end unless flags have VIR_DOMAIN_BLOCK_JOB_ABORT_ASYNC. */
int domain_block_job_abort(Domain *d, const char *disk, unsigned flags, Err *err);
/* Waits without a job until the job of the disk is in step, so that others can look after it or end it; then pivots with a job of its own.  At most
 * `ms` for the former (VIR_ERR_OPERATION_TIMEOUT).  gone(arg): the caller does not want it any more, looked at when something changes.  Domain lock
 * held, released meanwhile. */
int domain_block_job_pivot_in_step(Domain *d, const char *disk, unsigned ms, uint64_t owner, bool (*gone)(void *arg), void *arg, Err *err);
/* BLOCK_JOB_SET_SPEED. */
int domain_block_job_set_speed(Domain *d, const char *disk, uint64_t bandwidth, unsigned flags, Err *err);

typedef struct BlockJobInfo {
    int type; /* VIR_DOMAIN_BLOCK_JOB_TYPE_* */
    uint64_t speed, cur, end; /* cur == end only when the job is in step */
} BlockJobInfo;
/* GET_BLOCK_JOB_INFO.  No job is needed: whoever waits for the end of a job is not in the way.  1: *ret is filled, 0: the disk has no job. */
int domain_block_job_info(Domain *d, const char *disk, BlockJobInfo *ret, Err *err);
