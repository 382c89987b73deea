/* tests/unit/domain_world.h - the real domain driver over a launch that is only played
 *
 * Everything from the job queue to the status file is real.  A child that only sleeps stands for the process, and the test says where
 * the monitor's descriptor comes from.
 */
#pragma once

#include "domain/domain.h"
#include "domain/driver.h"
#include "domain/events.h"
#include "event/event.h"
#include "object/bus.h"
#include "util/pool.h"

extern EventLoop *world_client_loop, *world_monitor_loop;
extern Pool *world_pool;
extern DomainDriver *world_drv;
extern char *world_dir;
/* Where the status files are, given before world_setup() and removed by world_teardown(); NULL: in world_dir.  Hosts have them in memory. */
extern const char *world_run_dir;

/* The monitor's end for a QEMU played by this child; called by the launch. */
extern int (*world_monitor)(pid_t child);
/* Before each launch; it fails when this does.  NULL: nothing. */
extern int (*world_launching)(Err *err);
/* A driver that begins finds the children of the one before; else they are gone. */
extern bool world_reconnects;
/* Since world_setup(), atomic: launches that went well, and how often what a machine left was cleaned up. */
extern gint world_launches, world_cleanups;
/* Each event that reaches clients; borrowed. */
extern void (*world_on_event)(const DomainEvent *e);

/* cmocka's group and test fixtures. */
int world_begin(void **state);
int world_end(void **state);
int world_setup(void **state);
int world_teardown(void **state);
/* The driver alone, as a daemon ends and the next one begins: after setup one runs.  Machines run on. */
void world_driver_begin(void);
void world_driver_end(void);

/* A child that sleeps until it is killed, and dies with the test. */
pid_t world_child(void);
/* An XML of a machine without devices; `more` elements of <domain>, or NULL. */
char *world_xml(const char *name, const char *uuid, const char *more);
/* Runs a call as the gate would: job, lock, call, unlock, flush, end. */
typedef int (*WorldCall)(Domain *d, void *arg, Err *err);
int world_as_gate(Domain *d, JobKind kind, WorldCall call, void *arg, Err *err);
/* Sleeps until the machine is off; false after 10 s. */
bool world_wait_off(Domain *d);
