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

/* BlockJobEntry* of all that run, and of one that QEMU has not let go yet (free func set).  Domain lock held, no job needed; released while QEMU is
 * asked, once for all of them.  QEMU not answering leaves the numbers 0.  Never NULL. */
GPtrArray *domain_block_jobs(Domain *d);
/* JobVerdict*, oldest first; not of one that still counts as running.  No lock held.  Never NULL. */
GPtrArray *domain_block_jobs_ended(Domain *d);

/* What its kind is called in lists. */
const char *blockjob_kind(const BlockJob *job);

/* ---- how they ended (blockjob_verdict.c) ----------------------------------------------------------------------------------- */

/* A job ends so: known from here on, and in the status file with its next write.  Domain lock held. */
void blockjob_keep_verdict(Domain *d, const BlockJob *job, int status, const char *error);
/* Has a task write what is kept to the history.  Domain lock held. */
void blockjob_verdicts_later(Domain *d);
/* Writes it now; what fails is logged and stays.  Domain lock held, released meanwhile. */
void blockjob_verdicts_write(Domain *d);
/* For the status file: JobVerdict* that are not in the history yet, NULL: none.  And back from there.  Domain lock held. */
GPtrArray *blockjob_verdicts_copy(const Domain *d);
void blockjob_verdicts_load(Domain *d, const GPtrArray *verdicts);
/* The machine is gone for good.  No lock held. */
void blockjobs_forget_ended(Domain *d);
