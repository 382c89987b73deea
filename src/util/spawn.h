/* util/spawn.h - children: argument vectors, exact descriptors, killable by pidfd
 */
#pragma once

#include "util/deadline.h"

#ifndef ERR_FROM
#define ERR_FROM VIR_FROM_QEMU
#endif
#include "util/err.h"

typedef struct SpawnFd {
    int fd;     /* ours; stays open here */
    int target; /* number in the child; -1: the same number as fd */
} SpawnFd;

typedef struct SpawnOpts {
    const char *const *argv;  /* NULL-ended; argv[0] is an absolute path, never looked up in PATH */
    const char *const *env;   /* NULL-ended "K=V"; NULL: an environment of PATH and LC_ALL=C only */
    const char *cwd;          /* NULL: / */
    int fd_in, fd_out, fd_err; /* -1: /dev/null */
    const SpawnFd *fds;       /* further descriptors; all others are closed in the child */
    unsigned n_fds;
    bool change_ids;          /* drop to uid/gid/groups below, with no capability left */
    uid_t uid;
    gid_t gid;
    const gid_t *groups;
    unsigned n_groups;
    bool new_session;         /* setsid: survives the daemon's terminal and is no member of its group */
    bool die_with_parent;     /* PR_SET_PDEATHSIG KILL: helpers, never QEMU */
    bool no_new_privs;
    uint64_t rlimit_core, rlimit_nofile, rlimit_nproc; /* 0: unchanged */
    const unsigned long *cpus; /* bits of the CPUs it may run on; NULL: unchanged */
    size_t cpus_size;          /* in bytes */
    mode_t umask;             /* 0: 0077 */
    /* Called in the parent when the child exists but is not the program yet; -1 with Err kills it.  Should we be killed before this
     * returns, the child ends too: who the child is can be noted with no moment in which it is nobody's. NULL: none. */
    int (*before_exec)(void *data, pid_t pid, Err *err);
    void *before_exec_data;
    Deadline exec_by;         /* at_us 0: half a minute */
    int cgroup_fd;            /* open cgroup v2 directory the child is moved to before exec; <= 0: none */
} SpawnOpts;

typedef struct Child {
    pid_t pid;
    int pidfd; /* owned */
} Child;

/* Starts the child.  Only async-signal-safe calls run between clone and exec.  An exec failure is reported here with its errno and
 * the step that failed.  A program on storage that hangs is given up at exec_by (VIR_ERR_OPERATION_TIMEOUT), and the child killed.  Takes a moment
 * (fork), sleeps (pool_blocking): worker threads only. */
int spawn(const SpawnOpts *opts, Child *ret, Err *err);
/* SIGKILL by pidfd and reap; harmless on a child already gone.  For one that nothing holds in the kernel: its end is waited for. */
void child_kill(Child *c);
/* The same for one that storage may hold in the kernel, where it does not die: its end is waited for so long at most, then it is left, and reaped by a
 * later call of this.  True: it has ended. */
bool child_end(Child *c, unsigned ms);
/* Waits for the end until the deadline: 1 ended (*status as from waitid: exit code, or 128 + signal), 0 still running, -errno. */
int child_wait(Child *c, Deadline d, int *ret_status);

/* Runs a helper to its end with its output caught: stdout up to max_out bytes (NUL-terminated, caller frees), stderr's last 2 KiB
 * go into the error.  Non-zero exit, a signal, too much output or a passed deadline is an error that names the program; the child is
 * killed.  Sleeps (pool_blocking). */
int spawn_run(const SpawnOpts *opts, Deadline d, size_t max_out, char **ret_out, Err *err);
