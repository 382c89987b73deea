/* qemu/launch.h - from a definition to a QEMU process that waits at its first instruction
 *
 * Knows no lock and no job: the caller holds whatever makes the definition its own, and calls from a thread that may sleep.
 */
#pragma once

#include "event/event.h"
#include "host/image.h"
#include "qemu/argv.h"
#include "util/fdgroup.h"
#include "util/spawn.h"

/* Directories of one daemon; all absolute. */
typedef struct LaunchDirs {
    const char *lib_dir;     /* /var/lib/libvirt/qemu: holds domain-ID-NAME/ and channel/ */
    const char *log_dir;     /* /var/log/libvirt/qemu: NAME.log */
    const char *cgroup_root; /* NULL: found from /proc/self/cgroup */
} LaunchDirs;

typedef struct LaunchedProcess LaunchedProcess;

/* An optional disk whose image is not there: a drive stands empty, any other disk is not part of the running machine. */
typedef struct LaunchMissing {
    char *path, *alias;
    bool dropped;
} LaunchMissing;
void launch_missing_free(void *p);

typedef struct LaunchRequest {
    /* A private copy nobody else sees: id set, completed, validated.  Launch completes it as the live definition: aliases, backing
     * chains found in the images, node indices, ports, tap names, pty paths, labels. */
    DomainDef *def;
    const QemuCaps *caps;
    const QemuConfig *config;
    const LaunchDirs *dirs;
    EventLoop *monitor_loop;
    const struct QmpHandlers *handlers; /* events and EOF of the monitor; qmp/client.h */
    void *handlers_data;
    GPtrArray *missing;   /* LaunchMissing* are added; NULL: nobody wants to know */
    GPtrArray *fd_groups; /* FdGroup*: what <source fdgroup=> may name; NULL: none */
    Deadline deadline; /* until QMP has answered */
    /* The process exists and waits to become QEMU: to be noted where a restarted daemon looks.  -1 with Err ends the launch.  After it was
     * called the launch may still fail.  NULL: none.  See SpawnOpts.before_exec. */
    int (*born)(void *data, const LaunchedProcess *proc, Err *err);
    void *born_data;
} LaunchRequest;

/* What is needed to find the process again; all of it goes into the status file. */
struct LaunchedProcess {
    pid_t pid;
    uint64_t start_time;   /* field 22 of /proc/PID/stat: the pid means this process only together with it */
    char *monitor_path;
    char *private_dir;
    char *log_path;
    char *cgroup;          /* NULL: none of its own */
    unsigned node_index;   /* last node index given out */
    GPtrArray *taps;       /* char*: tap devices made by us, to be deleted with the guest */
};

typedef struct LaunchResult {
    LaunchedProcess proc;
    Child child;     /* pidfd: owned by the caller from here on */
    QmpClient *qmp;  /* negotiated */
} LaunchResult;

/* Starts QEMU with -S.  On success the machine is ready to be continued (QMP "cont") and req->def shows it as it is: pty paths, ports,
 * interface names read back.  On failure nothing is left: process killed, sockets, taps, directory and cgroup gone; the error names
 * the phase (err->phase), QEMU's last words, its exit status, and where there is one a hint.  Sleeps (pool_blocking) until
 * req->deadline at most; takes no lock. */
int qemu_launch(const LaunchRequest *req, LaunchResult *ret, Err *err);

/* After a daemon restart: verifies that pid is still the process of start_time (by pidfd, so it cannot change underneath), connects
 * the monitor again.  VIR_ERR_OPERATION_FAILED when the process is gone (*ret_gone true) or cannot be verified (false: it must not be
 * signalled). */
int qemu_launch_reconnect(const LaunchRequest *req, const LaunchedProcess *proc, LaunchResult *ret, bool *ret_gone, Err *err);

/* After the process has ended (or was never found): removes sockets, private directory, taps, cgroup; writes `reason` with a time into
 * the guest's log ("shutting down, reason=destroyed").  Never fails; what cannot be removed is logged. Sleeps. */
void qemu_launch_cleanup(const LaunchedProcess *proc, const DomainDef *def, const char *reason);
/* Removes guests' directories but those whose names (not paths) are keys of `in_use`.  Before the first launch, and only where no other
 * daemon has guests. */
void qemu_launch_sweep(const LaunchDirs *dirs, GHashTable *in_use);

void launched_process_clear(LaunchedProcess *p);
void launched_process_copy(LaunchedProcess *dest, const LaunchedProcess *src);
/* Start time of a pid in clock ticks since boot, 0 when there is no such process. */
uint64_t process_start_time(pid_t pid);

/* The last lines of a guest's log below the newest start header, at most `max` bytes; NULL when there is none.  Caller frees. */
char *qemu_log_tail(const char *log_path, size_t max);
