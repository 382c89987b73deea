/* host/cgroup.h - one cgroup (v2) per guest
 *
 * For accounting, freezing and killing as a whole; limits come with their own work.  A host without a writable v2 hierarchy is no
 * error: guests then run in the daemon's cgroup.
 */
#pragma once

#include "util/deadline.h"
#include "util/err.h"

/* Finds the daemon's own v2 cgroup, which guests get theirs in: the absolute directory, or NULL with the reason in Err.  Caller frees. */
char *cgroup_base(Err *err);
/* Makes one in `base` that nobody else has, guest-`name`.XXXXXX (characters a directory name may not have are replaced), and opens it for spawn().
 * 0 or negative errno. */
int cgroup_make(const char *base, const char *name, char **ret_path, int *ret_fd);
/* SIGKILL to all in it, at once. 0 or negative errno. */
int cgroup_kill(const char *path);
/* Freezes or thaws and waits until it is done. 0 or negative errno (-ETIME). Sleeps. */
int cgroup_freeze(const char *path, bool freeze, Deadline d);
/* Removes an empty one; a missing one is 0. */
int cgroup_remove(const char *path);

typedef struct CgroupStats {
    uint64_t cpu_usec, user_usec, system_usec;
    bool has_memory;
    uint64_t memory, memory_peak; /* bytes; peak 0 where the kernel does not keep it */
} CgroupStats;

/* 0 or negative errno. Quick, does not sleep. */
int cgroup_stats(const char *path, CgroupStats *ret);
