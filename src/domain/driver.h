/* domain/driver.h - all machines of this host, and what they share
 */
#pragma once

#include "domain/domain.h"
#include "event/event.h"
#include "object/bus.h"
#include "object/registry.h"
#include "store/defs.h"

typedef struct DomainDriverOpts {
    EventLoop *monitor_loop;
    EventLoop *client_loop;
    Pool *pool;
    Bus *bus;
    struct QemuConfig *config;   /* reference; swapped by domain_driver_reload */
    struct QemuCapsCache *caps;
    const char *config_dir;      /* /etc/libvirt/qemu */
    const char *autostart_dir;   /* /etc/libvirt/qemu/autostart */
    const char *run_dir;         /* /run/libvirt/qemu: status files, pid files, monitor sockets' parent when short paths are needed */
    const char *state_dir;       /* /var/lib/libvirt/qemu: per-guest directories, managed save */
    const char *log_dir;         /* /var/log/libvirt/qemu */
    const char *cache_dir;       /* /var/cache/libvirt/qemu: what can be found out again; NULL: nothing is kept */
    bool privileged;
} DomainDriverOpts;

/* Loads definitions and status files, publishes all views and puts a RECONNECT job on each running one.  Refuses (naming the pid of
 * the other) when another daemon holds the state directory's lock. */
DomainDriver *domain_driver_new(const DomainDriverOpts *opts, Err *err);
/* After the listeners are open: reconnects running machines on the pool, then autostarts (once per host boot). */
void domain_driver_go(DomainDriver *drv);
/* First step of the end: from its return on the driver itself puts no task into the pool and arms no timer.  Calls that run go on.  NULL
 * is fine. */
void domain_driver_stop(DomainDriver *drv);
/* After stop, when calls still wait for a QEMU: closes all monitors, so that every waiter fails at once.  The machines run on, except
 * those that are being destroyed or are only half started. */
void domain_driver_let_go(DomainDriver *drv);
/* Writes the status files that are behind. */
void domain_driver_flush(DomainDriver *drv);
/* After the pool is gone: flushes status files, leaves machines running. */
void domain_driver_free(DomainDriver *drv);
void domain_driver_reload(DomainDriver *drv, struct QemuConfig *config);
/* How long a start may take until QEMU answers; 60 s unless told otherwise. */
void domain_driver_set_start_timeout(DomainDriver *drv, unsigned ms);
Deadline domain_driver_start_deadline(DomainDriver *drv);

Registry *domain_driver_registry(DomainDriver *drv);
/* The definitions on disk (store/defs.h). */
DefsStore *domain_driver_defs(DomainDriver *drv);
Bus *domain_driver_bus(DomainDriver *drv);
const DomainDriverOpts *domain_driver_opts(DomainDriver *drv);
/* A reference to the present qemu.conf settings; unref with qemu_config_unref. */
struct QemuConfig *domain_driver_config(DomainDriver *drv);
/* Anything that keeps the daemon from exiting when idle: a running machine or a task. */
bool domain_driver_busy(DomainDriver *drv);

/* Look-ups for calls: a reference, or NULL with VIR_ERR_NO_DOMAIN in libvirt's wording. */
Domain *domain_by_uuid(DomainDriver *drv, const uint8_t uuid[UUID_LEN], const char *name_for_error, Err *err);
Domain *domain_by_name(DomainDriver *drv, const char *name, Err *err);
Domain *domain_by_id(DomainDriver *drv, int id, Err *err);

/* pool_submit, unless the driver was stopped: false then, and nothing was done with arg. */
bool domain_driver_submit(DomainDriver *drv, Lane lane, void (*fn)(void *arg), void *arg);
/* Counts what keeps the daemon busy (tasks of this folder). */
void domain_driver_task_begin(DomainDriver *drv);
void domain_driver_task_end(DomainDriver *drv);
/* The next id of a running machine. */
int domain_driver_next_id(DomainDriver *drv);
/* After a restart: ids given out before are not given again. */
void domain_driver_seen_id(DomainDriver *drv, int id);
/* Some machine is to end with its client: domain_autodestroy() has something to look for from now on. */
void domain_driver_note_autodestroy(DomainDriver *drv);
bool domain_driver_has_autodestroy(DomainDriver *drv);
/* The driver lives as long as its machines, wherever they are still referenced. */
DomainDriver *domain_driver_ref(DomainDriver *drv);
void domain_driver_unref(DomainDriver *drv);
