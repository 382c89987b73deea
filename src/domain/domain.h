/* domain/domain.h - one machine
 *
 * `config` is what the next boot uses (NULL: transient), kept as text; `live` what runs now (NULL: off).  They never swap meaning.  All mutable
 * fields need the domain lock; the lock is short and is never held across QMP, fork, fsync or probing.  The only ways out of it while
 * a function goes on are domain_qmp() and domain_unlock/relock; both drain the inbox and check the life counter on the way back.
 */
#pragma once

#include <jansson.h>

#include "domain/forward.h"
#include "domain/job.h"
#include "model/domain_def.h"
#include "model/stored_def.h"
#include "object/object.h"
#include "util/pool.h"

/* ---- view: what readers see -------------------------------------------------------------------------------------- */

/* Immutable once published; refcounted.  Every field is a fact as of `published_us`. */
struct DomainView { /* what is small stands together: there is one of a machine */
    gint refs;
    uint8_t uuid[UUID_LEN];
    int id;                 /* -1 when off */
    char *name;
    int state, reason;      /* VIR_DOMAIN_*, and the reason of that state */
    StoredDef *config;      /* own reference; NULL: transient */
    DomainDef *live;        /* own reference; NULL: off */
    uint64_t life;
    uint64_t balloon_kib;   /* actual, 0 when not known */
    uint64_t published_us;
    pid_t pid;              /* 0: off */
    /* the job as GET_JOB_INFO and GET_CONTROL_INFO show it */
    JobKind job;
    const char *job_what;
    uint64_t job_since_us;  /* monotonic; 0: no job */
    struct SnapshotList *snapshots; /* own reference; NULL: none (domain/snapshot_list.h) */
    char *dir;              /* the guest's private directory, NULL when off */
    pid_t *vcpu_tids;       /* thread ids of the vcpus by index, as QEMU told at start; NULL when off */
    unsigned n_vcpu_tids;
    unsigned block_jobs;    /* that run */
    bool persistent, autostart, updated, managed_save;
    bool starting;          /* a start is under way: off yet, but there may be a process to destroy */
    bool monitor_used;      /* a client sent QEMU commands of its own in this life */
    bool monitor_stuck;     /* a QMP deadline passed and no answer came since */
};

/* A reference to the latest view; never waits.  Free with domain_view_unref. */
DomainView *domain_view(Domain *d);
DomainView *domain_view_ref(DomainView *v);
void domain_view_unref(DomainView *v);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DomainView, domain_view_unref)
/* Sets the error for a machine that is off, the one code and origin clients know it by.  Returns -1. */
int domain_err_inactive(Err *err);
/* "transient domains do not have any persistent config", -1. */
int domain_err_transient(Err *err);
/* Is the definition readers are shown the live one: when running and not asked for the inactive one. */
static inline bool view_is_live(const DomainView *v, bool inactive)
{
    return v->live && !(inactive && v->config);
}
/* That definition, a reference.  The one at rest is read from its text: for numbers there is view_numbers().  NULL with Err when the
 * text cannot be read. */
DomainDef *view_def(const DomainView *v, bool inactive, Err *err);
DefNumbers view_numbers(const DomainView *v, bool inactive);
/* Is there the definition a query with these flags (AFFECT_LIVE or _CONFIG; neither: the live one if there is one) is about?  0 or -1. */
int view_check_affect(const DomainView *v, unsigned flags, Err *err);

/* ---- the object -------------------------------------------------------------------------------------------------- */

#include "domain/domain_struct.h" /* struct Domain: owned by domain.c, used by the folder */

DomainDriver *domain_driver(Domain *d);
void domain_lock(Domain *d);
/* Publishes the view if something changed, then unlocks.  (Status flushing is domain_flush(), it may block.) */
void domain_unlock(Domain *d);
/* Marks the state changed: the next unlock publishes, the next domain_flush() writes the status file. */
void domain_mark_changed(Domain *d);
/* Writes the status file if something changed since the last time; lock not held, job held. */
int domain_flush(Domain *d, Err *err);
/* As domain_flush(); what fails is logged and tried again by itself, for as long as the machine runs. */
void domain_flush_or_retry(Domain *d);
static inline bool domain_is_active(const Domain *d);
void domain_set_state(Domain *d, int state, int reason);
/* Wakes those who wait for something of the machine, to look again, when the lock is given up.  Lock held. */
void domain_ring(Domain *d);
/* Sleeps until something changes (or the deadline: false); lock held on entry and return, the inbox is drained. */
bool domain_wait(Domain *d, Deadline deadline);
/* Replaces `live` or `config` (stolen) and marks the machine changed.  Lock held. */
void domain_set_live(Domain *d, DomainDef *def);
void domain_set_config(Domain *d, StoredDef *def);
/* The stored definition, the caller's to change and free.  NULL and an error: one that is being defined this moment or has ended, or what is stored
 * cannot be read.  Lock held. */
DomainDef *domain_parse_config(const Domain *d, Err *err);
/* The stored definition of a machine that runs is shown with its disks and controllers in order, as with libvirt.  Lock held. */
void domain_sort_config(Domain *d);

/* Runs a QMP command: lock and job held on entry and return; released while waiting.  On return the inbox is drained.  -1 also when
 * the machine's life ended meanwhile (VIR_ERR_OPERATION_INVALID).  args is stolen; *ret (may be NULL) is the "return" member, caller
 * decrefs.  The deadline is the command's class in qmp/commands.def. */
int domain_qmp(Domain *d, const char *command, json_t *args, json_t **ret, Err *err);
/* A gap of another kind (fork, fsync, probing): leave publishes and releases the lock, enter takes it again and drains.  enter fails
 * (VIR_ERR_OPERATION_INVALID, lock held all the same) when the machine's life moved on meanwhile. */
uint64_t domain_leave(Domain *d);
int domain_enter(Domain *d, uint64_t life, Err *err);

/* The same with a descriptor that travels with the command (getfd, add-fd); it stays the caller's. */
int domain_qmp_fd(Domain *d, const char *command, json_t *args, int fd, json_t **ret, Err *err);

/* A whole command object (stolen) of a user's; *ret_reply is QEMU's whole answer, error answers too. */
int domain_qmp_raw(Domain *d, json_t *command, const int *fds, unsigned n_fds, Deadline deadline, json_t **ret_reply, Err *err);

/* The machine's monitor, or NULL when off: a reference, any thread, no domain lock needed (leaf lock).  For queries that change nothing
 * and may go beside a job (statistics); everything else goes through domain_qmp(). */
struct QmpClient *domain_monitor_ref(Domain *d);

/* Where the last statistics of a machine are kept: one slot, owned by stats.c. */
struct StatsSlot *domain_stats_slot(Domain *d, bool make);

/* Which definitions a call with AFFECT_LIVE/CONFIG/CURRENT means; VIR_ERR_OPERATION_INVALID when that one does not exist. */
typedef struct DomainAffect {
    bool live, config;
} DomainAffect;
int domain_affect(const Domain *d, unsigned flags, DomainAffect *ret, Err *err);

/* Changing the stored definition: begin waits (deadline) until no other writer is in, and fails when the machine has no stored definition
 * (any more); commit writes the file durably (lock released
 * meanwhile), swaps `config`; end leaves.  Lock held on entry and return of each.  Independent of jobs, so a hung guest can still be
 * redefined. */
int domain_config_begin(Domain *d, Err *err);
int domain_config_commit(Domain *d, StoredDef *new_config /* stolen, also on failure */, Err *err);
void domain_config_end(Domain *d);

static inline bool domain_is_active(const Domain *d)
{
    return d->live != NULL;
}
