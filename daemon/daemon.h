/* daemon/daemon.h - the process: what main.c starts and ends, and what reload.c changes while it runs
 */
#pragma once

#include "daemon/audit.h"
#include "daemon/conf.h"
#include "daemon/listen.h"
#include "daemon/options.h"
#include "daemon/server.h"
#include "daemon/watchdog.h"
#include "qemu/conf.h"

#define DAEMON_SERVING "Serving clients" /* STATUS for the service manager */

typedef struct Daemon {
    Server server;
    Options options;
    DaemonConfig *config;
    QemuConfig *qemu_config;
    RpcService service, admin_service;
    Listen *listen;
    Watchdog *watchdog;
    bool pid_file_ours;
    bool stopping;     /* the client loop has ended; what comes back from workers is thrown away */
    bool reloading;    /* one reload at a time, on the client event thread's word */
    bool reload_again; /* asked for while one was under way */
    int ready_pipe;    /* --daemon: the waiting parent reads our verdict here; -1 otherwise */
} Daemon;

/* ---- reload.c: what the files say, and how it comes into force --------------------------------------------------------------- */

/* Reads and checks both files.  May wait: for files, for the account database.  -1: nothing is set. */
int daemon_read_config(const Options *o, DaemonConfig **ret, QemuConfig **ret_qemu, Err *err);
int daemon_apply_log(const Options *o, const DaemonConfig *c, Err *err);
PoolLimits daemon_pool_limits(const DaemonConfig *c);
RpcLimits daemon_rpc_limits(const DaemonConfig *c);
RpcLimits daemon_admin_limits(const DaemonConfig *c);
AuditSpec daemon_audit_spec(const DaemonConfig *c);
/* After how many idle seconds the daemon ends; 0: never.  Who holds the sockets starts it again when it is needed. */
unsigned daemon_idle_seconds(const Daemon *d);
/* Reads the configuration, certificates, access rules again and puts in force what can be; the rest is named in the log.  Client event
 * thread; returns at once, the service manager is told when it is done. */
void reload_begin(Daemon *d);
