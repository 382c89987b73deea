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
typedef struct IdleWatch IdleWatch;
typedef struct Tls Tls;

typedef struct Server {
    EventLoop *client_loop;  /* main thread: sockets of clients, signals */
    EventLoop *monitor_loop; /* QMP, pidfds, job timers */
    Pool *pool;
    Pool *auth_pool;         /* workers of authentication: what they wait for costs those who are in nothing; NULL: no socket asks for SASL */
    unsigned tcp_min_ssf;    /* least strength SASL must give on plain TCP */
    char **sasl_users;       /* patterns of users who may come in, of the configuration; NULL: all.  Client event thread */
    Bus *bus;
    DomainDriver *domains;
    struct QemuCapsCache *caps;
    RpcServer *rpc;          /* clients of the main sockets */
    RpcServer *admin;        /* those of the admin socket */
    IdleWatch *idle;         /* daemon/idle.c: the end when nobody needs the daemon */
    EventHub *events;        /* daemon/events.c: who wants which event */
    Progress *progress;      /* daemon/progress.c: of block jobs, for those who want to see it */
    struct Audit *audit;     /* daemon/audit.h */
    struct Polkit *polkit;   /* daemon/polkit.h; NULL: nobody needs it */
    struct Access *access;   /* daemon/access.h: who may do what */
    Tidy *tidy;              /* daemon/tidy.c: memory given back */
    Tls *tls;                /* daemon/tls.c: certificates, for those who let them be read again */
    gint job_timeout_ms;     /* how long a call waits for a machine's job; atomic, changed by reload */
    uint8_t host_uuid[UUID_LEN];
    bool privileged;         /* system daemon: qemu:///system, else qemu:///session */
} Server;
