/* daemon/server.h - what the daemon consists of while it runs
 *
 * One Server per process, made by main.c, never changed after start but by the reload of configuration.
 */
#pragma once

#include "domain/driver.h"
#include "rpc/server.h"
#include "util/pool.h"

typedef struct EventHub EventHub;
typedef struct Progress Progress;
typedef struct Tidy Tidy;

typedef struct Server {
    EventLoop *client_loop;  /* main thread: sockets of clients, signals */
    EventLoop *monitor_loop; /* QMP, pidfds, job timers */
    Pool *pool;
    Bus *bus;
    DomainDriver *domains;
    struct QemuCapsCache *caps;
    RpcServer *rpc;
    EventHub *events;        /* daemon/events.c: who wants which event */
    Progress *progress;      /* daemon/progress.c: of block jobs, for those who want to see it */
    Tidy *tidy;              /* daemon/tidy.c: memory given back */
    gint job_timeout_ms;     /* how long a call waits for a machine's job; atomic, changed by reload */
    uint8_t host_uuid[UUID_LEN];
    bool privileged;         /* system daemon: qemu:///system, else qemu:///session */
} Server;
