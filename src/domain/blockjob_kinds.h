/* domain/blockjob_kinds.h - the kinds of block jobs there are
 */
#pragma once

#include "domain/blockjob.h"

extern const BlockJobOps blockjob_pull_ops, blockjob_commit_ops, blockjob_active_commit_ops, blockjob_copy_ops;

/* The kind of this name in a status file; NULL: none of ours. */
const BlockJobOps *blockjob_ops_find(const char *name);
