/* store/job_history.h - how block jobs ended: BASE/UUID.xml, the newest ones of one machine
 *
 * So that "no job" has a verdict: what it was, on which disk, how it ended and why.  Kept across restarts of daemon and guest, until the
 * machine is undefined.  Workers only (blocks on storage); changes of one machine's file are kept apart by its jobs.
 */
#pragma once

#include "base.h"
#include "util/err.h"

#define JOB_HISTORY_MAX 64u

typedef struct JobVerdict {
    char *id;     /* QEMU's, unique with the time */
    char *kind;   /* "copy", "commit", … */
    char *disk;   /* target */
    int type;     /* VIR_DOMAIN_BLOCK_JOB_TYPE_* */
    int status;   /* VIR_DOMAIN_BLOCK_JOB_COMPLETED, FAILED, CANCELED */
    char *error;  /* NULL: none */
    uint64_t begun_us, ended_us; /* wall clock */
    uint64_t bytes;
} JobVerdict;

void job_verdict_free(JobVerdict *v);
JobVerdict *job_verdict_copy(const JobVerdict *v);
/* Of the same job. */
bool job_verdict_same(const JobVerdict *a, const JobVerdict *b);

/* Appends copies of these (JobVerdict*); of a job whose end is there already the first word stays.  The oldest go when there are too many.
 * Durable. */
int job_history_add(const char *base, const uint8_t uuid[UUID_LEN], const GPtrArray *verdicts, Err *err);
/* JobVerdict*, oldest first (free func set).  A broken file is logged, counts as empty and is replaced by the next.  Never NULL. */
GPtrArray *job_history_load(const char *base, const uint8_t uuid[UUID_LEN]);
/* A missing one is no error. */
int job_history_remove(const char *base, const uint8_t uuid[UUID_LEN], Err *err);
