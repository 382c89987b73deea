/* domain/blockjob_private.h - the inside of a block job; for blockjob.c, blockjob_sync.c and blockjob_record.c only
 */
#pragma once

#include "domain/blockjob.h"

/* Each comes at most once in a job's life, in this order. */
typedef enum {
    NEWS_READY,
    NEWS_PENDING, /* waits for its finalization */
    NEWS_CONCLUDED,
    NEWS_MAX,
} BlockJobNews;

struct BlockJob {
    gint refs;
    gint task_queued; /* a task that will apply news waits for its turn */
    const BlockJobOps *ops;
    void *data;
    char *id, *disk, *target;
    /* all below: domain lock */
    BlockJobState state;
    BlockJobState left_as;       /* what it was before it was OVER */
    bool aborted_ready;          /* the abort was asked for when it was READY */
    unsigned said;               /* bits of BlockJobNews that were kept once */
    BlockJobNews news[NEWS_MAX]; /* not yet applied, oldest first */
    unsigned n_news;
    bool asking;            /* a call is about to give QEMU a command of it: who asks QEMU beside that call is not to wonder */
    bool end_sent;          /* QEMU has taken the command for the end that `state` says */
    bool io_error;          /* one was logged */
    bool quiet;             /* nobody was told that it began */
    int outcome;            /* VIR_DOMAIN_BLOCK_JOB_*, BLOCKJOB_NO_STATUS while not known */
    char *error;
    uint64_t bytes;         /* done, as QEMU said at the end */
    uint64_t begun_us;      /* wall clock */
    BlockJobSync *region;   /* open, or NULL */
};

/* Adds one to the machine's, which takes the reference. */
void blockjob_add(Domain *d, BlockJob *job);
