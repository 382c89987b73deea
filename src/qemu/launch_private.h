/* qemu/launch_private.h - between the files of a launch; inside src/qemu only
 */
#pragma once

#include "host/image.h"
#include "qemu/build.h"
#include "qemu/launch.h"

/* One launch on its way.  Whatever is acquired is noted here, so that one function gives all of it back. */
typedef struct Launch {
    const LaunchRequest *req;
    DomainDef *def; /* req->def */
    uid_t uid;
    gid_t gid;
    gid_t *groups;
    unsigned n_groups;
    bool change_ids;
    LaunchedProcess proc;
    ImageSet *images;     /* chains and boot files, opened before the arguments are made */
    GHashTable *node_fds; /* node index -> ImageNode* in images */
    GHashTable *boot_fds; /* path -> ImageNode* in images */
    Argv *argv;
    int *fds;             /* one per planned descriptor; -1: not open */
    GPtrArray *sockets;   /* char*, listening sockets made by us */
    GArray *ports;        /* int, reserved display ports */
    bool dir_made;
    int cgroup_fd;
    int log_fd;
    off_t log_start;      /* where this start's own output begins */
    Child child;
    QmpClient *qmp;
} Launch;

/* launch_prepare.c: what the live definition says beyond the stored one: paths, ports, CPU, chains. */
int launch_prepare_def(Launch *l, Err *err);
int launch_open_images(Launch *l, Err *err);
/* launch_fds.c: opens what the command line has planned, into l->fds. */
int launch_open_fds(Launch *l, Err *err);
void launch_close_fds(Launch *l);
/* launch_log.c: opens NAME.log and writes who starts what. */
int launch_open_log(Launch *l, Err *err);
/* Appends "TIME: text" to a log. */
void launch_log_line(const char *path, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* What was written to the log since `from`, its last `max` bytes. Caller frees. */
/* A guest's directory and all in it, none of which is followed.  NULL is fine. */
void launch_remove_private_dir(const char *path);
char *launch_log_since(const char *path, off_t from, size_t max);
/* Sets the error for a QEMU that ended by itself: its words, its status, a hint. */
void launch_explain_exit(Launch *l, int status, Err *err);
/* launch_ports.c: display ports of this daemon's guests. */
/* Reserves a free one in [min, max]; -1 with Err when all are taken. */
int launch_port_take(int min, int max, Err *err);
/* Marks a fixed one as ours. */
void launch_port_mark(int port);
void launch_port_release(int port);
/* launch_settle.c: questions and settings after QMP has answered. */
int launch_settle(Launch *l, Err *err);
