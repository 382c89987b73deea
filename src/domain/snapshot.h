/* domain/snapshot.h - snapshots of a machine's disks: made, told of, forgotten
 *
 * Only external disk snapshots are made.  What libvirtd made of other kinds is read, shown and can be forgotten.
 * Functions on a Domain expect its lock and a job that changes it (MODIFY or ASYNC), and return with both held.
 */
#pragma once

#include "domain/driver.h"
#include "domain/snapshot_list.h"

/* VIR_DOMAIN_SNAPSHOT_CREATE_*; *ret_name (caller frees) is what it is called. */
int domain_snapshot_create(Domain *d, const char *xml, unsigned flags, char **ret_name, Err *err);
/* VIR_DOMAIN_SNAPSHOT_DELETE_*. */
int domain_snapshot_delete(Domain *d, const char *name, unsigned flags, Err *err);
/* REVERT_TO_SNAPSHOT: none can be reverted to; says why.  -1. */
int domain_snapshot_revert(Domain *d, const char *name, Err *err);

/* Reads the files of all machines of the registry; at start, before anybody asks. */
void domain_snapshots_load(DomainDriver *drv);
/* Before the definition goes: refuses while there are snapshots, or with VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA forgets them. */
int domain_snapshots_undefine(Domain *d, unsigned flags, Err *err);
/* A machine that was never stored has ended: nobody can ask for its snapshots any more. */
void domain_snapshots_drop(Domain *d);
/* What was under way when a daemon died: read, before anybody asks; settled where the machine is off, once tasks may run. */
void domain_snapshots_load_intents(DomainDriver *drv);
void domain_snapshots_go(DomainDriver *drv);
/* Finds out what became of an interrupted snapshot and makes definitions and files true; no effect when there is none.  Of a running machine
 * QEMU is asked.  An exclusive job. */
int snapshot_settle(Domain *d, Err *err);
/* Before a machine is launched that has no note: a file of one, left by an earlier machine that nobody can settle any more, goes, for the next daemon would
 * take it for this life's.  No lock held. */
void snapshot_drop_note(DomainDriver *drv, const char *name);
/* The same as a task. */
void snapshot_settle_later(Domain *d);
/* Moves the files along with the machine's name.  No lock held. */
int domain_snapshots_move(void *driver, const char *old_name, const char *new_name, Err *err);
