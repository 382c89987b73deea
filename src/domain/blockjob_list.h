/* domain/blockjob_list.h - block jobs of a machine, those that run and those that ended
 */
#pragma once

#include "domain/blockjob.h"
#include "domain/domain.h"
#include "store/job_history.h"

/* One that runs. */
typedef struct BlockJobEntry {
    char *id, *kind, *disk;
    int type;
    BlockJobState state;
    uint64_t begun_us;
    uint64_t cur, end, speed; /* bytes; 0 when QEMU does not tell */
} BlockJobEntry;

/* BlockJobEntry* of all that run (free func set).  Domain lock held, no job needed; released while QEMU is asked, once for all of them.  QEMU
 * not answering leaves the numbers 0.  Never NULL. */
GPtrArray *domain_block_jobs(Domain *d);
/* JobVerdict*, oldest first.  No lock held.  Never NULL. */
GPtrArray *domain_block_jobs_ended(Domain *d);

/* A job ends so: it is kept on disk.  What cannot be kept is logged.  Domain lock and a job held; the lock is released meanwhile. */
void blockjob_remember(Domain *d, const BlockJob *job, int status, const char *error, uint64_t bytes, uint64_t begun_us);
/* The machine is gone for good.  No lock held. */
void blockjobs_forget_ended(Domain *d);
