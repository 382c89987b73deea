/* domain/private.h - the inside of a machine; for the files of this folder only
 */
#pragma once

#include "domain/blockjob.h"
#include "domain/domain.h"
#include "domain/driver.h"
#include "domain/events.h"
#include "domain/inbox.h"
#include "qemu/launch.h"
#include "qmp/client.h"

/* What the monitor's handlers are given: which life of which machine a message is from.  Freed on the monitor thread,
 * after on_closed. */
typedef struct MonitorLink {
    Domain *d; /* reference */
    uint64_t life;
    gint is_trial; /* its end means that QEMU was not reached, not that it has ended */
} MonitorLink;

/* What a signal needs, so that a kill takes no domain lock. */
typedef struct KillSwitch {
    Mutex lock; /* leaf */
    int pidfd;  /* owned; -1: off */
    pid_t pid;
    uint64_t life;       /* of the process above */
    uint64_t asked_life; /* domain_kill() was called in this life */
    Deadline grace_end;  /* of the last request */
    bool graceful;       /* no SIGKILL unless asked again without */
    bool unresponsive;   /* the monitor is stuck: no use in asking nicely */
    Timer *timer;        /* SIGKILL when the grace is over; made with the first life, set once */
} KillSwitch;

/* Somebody who waits for the turn to change the stored definition; on its stack. */
typedef struct ConfigTurn {
    struct ConfigTurn *next;
    gint *gone; /* atomic: nobody wants it any more; NULL: somebody does */
    Bell bell;        /* its own: of hundreds that wait for one definition each change wakes one */
    enum { TURN_WAITS, TURN_GIVEN, TURN_DROPPED } state;
} ConfigTurn;

typedef struct DomainPrivate {
    JobQueue jobs;
    Inbox inbox;
    KillSwitch kill;
    Timer *retry; /* of a reconnect; NULL until needed */
    Timer *blockjob_again; /* news that could not be applied (blockjob.c); NULL until needed */
    Timer *sweep_again;    /* what QEMU did not let go (blockjob_sweep.c); NULL until needed */
    Timer *flush_retry; /* of the status file (flush.c); NULL until needed */
    gint flush_failed;  /* the last try at the status file failed */

    Mutex view_lock;      /* leaf: the next four */
    GPtrArray *fd_groups; /* FdGroup*: descriptors clients associated with the machine; NULL: none yet */
    DomainView *view;
    JobInfo job;
    QmpClient *monitor; /* the client again, for those without the domain lock */

    /* all below: domain lock */
    uint64_t changes; /* counts domain_mark_changed */
    uint64_t written; /* the count the status file shows */
    ConfigTurn *config_queue; /* who waits to change the stored definition, longest first */
    const uint32_t *turn_word; /* whose turn it became; woken when the lock is given back.  NULL: nobody's */
    StoredDef *last;  /* what ran last, for readers of a transient machine that has ended */

    QmpClient *qmp; /* NULL: off */
    MonitorLink *link;
    LaunchedProcess proc;
    int stop_reason;         /* VIR_DOMAIN_SHUTOFF_* somebody asked for, 0: nobody */
    int stop_detail;         /* VIR_DOMAIN_EVENT_STOPPED_* that goes with it */
    int pause_reason;        /* VIR_DOMAIN_PAUSED_* of the next STOP, 0: unknown */
    int run_reason;          /* VIR_DOMAIN_RUNNING_* of the next RESUME, 0: unpaused */
    uint64_t destroyed_life; /* the last life that ended by a destroy */
    uint64_t autodestroy;    /* connection id, 0: none */
    uint64_t balloon_kib;
    pid_t *vcpu_tids; /* by vcpu index; NULL: not known */
    unsigned n_vcpu_tids;
    json_t *early_shutdown; /* the data of a SHUTDOWN during the start; NULL: none */
    GPtrArray *blockjobs; /* NULL until the first (blockjob.c) */
    BlockJob *leaving;    /* OVER, and QEMU is still being told to let its nodes go; NULL: none */
    GPtrArray *verdicts;  /* JobVerdict* that are not in the history on disk yet (blockjob_verdict.c); NULL until the first */
    unsigned sweeps;      /* tries to take out what QEMU did not let go; 0: there is nothing (blockjob_sweep.c) */
    unsigned resyncs;     /* counts domain_resync_later() */
    unsigned resyncs_done; /* what it was when the last resync began that succeeded */
    struct SnapshotList *snapshots; /* NULL: none (snapshot.c) */
    struct SnapshotIntent *snapshot_intent; /* of one whose outcome is not known; NULL: none (snapshot_settle.c) */
    /* together, as there are many */
    bool dirty;           /* the view is older than the object */
    bool ring;            /* those who wait are to look again: rung when the lock is given up */
    bool flushing;        /* somebody writes the status file */
    bool config_busy;     /* somebody changes the stored definition, or has just been given the turn to */
    bool starting;        /* between launch and the first cont */
    bool dying;           /* the monitor ended: fails all work until torn down */
    bool stuck;           /* a QMP deadline passed and no answer came since */
    bool got_shutdown;    /* QEMU said SHUTDOWN: its end is no crash */
    bool fake_reboot;     /* the next SHUTDOWN of the guest means: start it over */
    bool tainted_monitor;
    bool foreign;         /* another daemon's status file has our name */
    bool owner_gone;      /* the connection of autodestroy ended while the machine was starting */
    bool found_dead;      /* its process was gone when its status file was read: readers see it off at once */
    bool quiet_end;       /* a start taken back: no event tells of the end */
    bool verdicts_busy;   /* somebody writes verdicts to the history on disk */
    bool snapshot_busy;   /* one is being taken: it settles itself */
} DomainPrivate;

static inline void domain_assert_locked(const Domain *d)
{
    mutex_assert_held(&d->obj.lock);
}

/* domain.c */

/* A new machine with one reference, not in the registry. */
Domain *domain_new(DomainDriver *drv, const uint8_t uuid[UUID_LEN], const char *name);
void domain_set_name(Domain *d, const char *name);
/* Writes the status file of a process that is about to become the machine's QEMU: a daemon that finds no more than this kills it.
 * From here on the kill switch works.
 * `def` is the caller's own yet.  No lock held; nobody else writes the file while the machine is off and its job is held. */
int domain_note_birth(Domain *d, DomainDef *def, const LaunchedProcess *proc, Err *err);
/* As domain_qmp, with the way it ended: callers decide by QEMU's class. */
QmpStatus domain_qmp_status(Domain *d, const QmpCommand *cmd, json_t *args, json_t **ret, Err *err);
/* The same with descriptors and a deadline. */
QmpStatus domain_qmp_fds(Domain *d, const QmpCommand *cmd, json_t *args, const int *fds, unsigned n_fds,
                         Deadline deadline, json_t **ret, Err *err);
/* qmp_call_all() (qmp/client.h): status and err of each request.  Lock and job held; the lock is released meanwhile.  Look afterwards whether the
 * machine still lives. */
void domain_qmp_all(Domain *d, GArray *requests);
/* The turn of domain_config_begin() also for a machine without a stored definition, to give it one.  VIR_ERR_NO_DOMAIN and `removing`:
 * the object is out of the registry.  gone: atomic, true when nobody wants it any more (then VIR_ERR_RPC instead of a turn); NULL: somebody does. */
int domain_config_turn(Domain *d, gint *gone, Err *err);
/* Takes the machine out of the registry if it is neither stored, nor runs, nor is about to become either.  Lock held. */
void domain_retire(Domain *d);
/* The same with the event (stolen) that tells of it: whoever sees the event does not find the machine any more, and what another one of
 * its name publishes comes later.  Lock held; not by who has the writer's turn. */
void domain_retire_with(Domain *d, DomainEvent *e);

/* Installs or (NULL) takes away the monitor; the reference moves.  Returns what was there.  Lock held. */
QmpClient *domain_set_monitor(Domain *d, QmpClient *qmp);

/* view.c */

/* Makes the present state what readers see.  Lock held. */
void domain_publish(Domain *d);
void domain_view_init(Domain *d);
void domain_view_done(Domain *d);
/* The job queue's hook: readers see the job without the domain lock. */
void domain_view_job(Domain *d, const JobInfo *info);

/* roster.c */

/* Where the driver keeps the latest roster. */
typedef struct RosterKeeper {
    Mutex lock; /* leaf */
    struct DomainRoster *latest; /* NULL: something changed since */
    uint64_t changes;
} RosterKeeper;
void roster_keeper_init(RosterKeeper *k);
void roster_keeper_done(RosterKeeper *k);
RosterKeeper *domain_driver_roster_keeper(DomainDriver *drv);
/* A machine came, went, or has another view (its job aside).  Any lock up to the bus may be held; NULL is fine. */
void domain_roster_changed(DomainDriver *drv);

/* task.c */

/* Runs fn(d, userdata) on a worker with this job and the lock held, if the machine is still in `life` then (0: in any);
 * free_data runs afterwards in any case.  Any thread, no lock needed. */
typedef void (*DomainTask)(Domain *d, void *userdata);
void domain_task(Domain *d, JobKind kind, const char *what, uint64_t life, DomainTask fn, void *userdata,
                 GDestroyNotify free_data);

/* monitor.c */

extern const QmpHandlers monitor_handlers;
MonitorLink *monitor_link_new(Domain *d, uint64_t life);
/* Of a connection to a QEMU that runs already: until monitor_link_prove() says that it is the machine's, its end is nobody's death. */
MonitorLink *monitor_link_new_trial(Domain *d, uint64_t life);
void monitor_link_prove(MonitorLink *link, QmpClient *qmp);
/* After the client was closed, or when none came to be. */
void monitor_link_free(MonitorLink *link, EventLoop *loop);
/* Ends the connection, not the machine; the life counter moves on.  Lock held. */
void domain_drop_monitor(Domain *d, const char *reason);

/* events.c */

/* Applies one QMP event.  Lock held. */
void domain_event_apply(Domain *d, const char *name, json_t *data, uint64_t usec);
/* The start was told: now a SHUTDOWN that came before.  Lock held. */
void domain_event_early_shutdown(Domain *d);
/* The guest opened or closed the port of a channel; reason is VIR_CONNECT_DOMAIN_EVENT_AGENT_LIFECYCLE_REASON_*. */
void domain_channel_state(Domain *d, const char *alias, bool open, int reason);

/* event.c */

/* Publishes the view if it is older than the machine, then the event (stolen). */
void domain_publish_event(Domain *d, DomainEvent *e);
/* With the name and id of now, to be published after a change of them. */
DomainEvent *domain_event_lifecycle(const Domain *d, int event, int detail);
void domain_publish_lifecycle(Domain *d, int event, int detail);
void domain_publish_plain(Domain *d, int event_id);

/* Whoever saw the guest's end (SHUTDOWN, a panic) may have ended before it acted on it: does so.  Lock held. */
void domain_act_again(Domain *d);
/* Fed by domain_resync: as if QEMU had said it now. */
void domain_event_missed(Domain *d, const char *name, json_t *data);

/* define.c */

/* The object of this name and uuid: a new one, already in the registry, or the one that is there (*ret_new false). NULL
 * when name or uuid belong to another.  check may be NULL.  A reference. */
Domain *domain_claim(DomainDriver *drv, const char *name, StoredDef *def, const DefinitionCheck *check, bool *ret_new, Err *err);

/* fd_groups.c */

/* Closes what is left, on a worker if there is one. */
void fd_groups_done(Domain *d);

/* start.c */

/* Starts `def` (stolen: a writable, whole copy).  Lock and exclusive job held, inactive; the lock is released
 * meanwhile.  A failure leaves everything as before.  flags: VIR_DOMAIN_START_*. */
int domain_launch(Domain *d, DomainDef *def, unsigned flags, uint64_t owner_conn, Err *err);
/* Takes over process and monitor of a launch or reconnect.  Lock held. */
void domain_adopt(Domain *d, LaunchResult *res);
/* After QEMU was reached: asks what only it knows (threads, balloon, channels).  Lock and job held. */
int domain_read_back(Domain *d, int agent_reason, Err *err);

/* stop.c */

/* Its connection is gone.  Lock held. */
void domain_autodestroy_now(Domain *d);

/* power.c */

/* Starts the guest's system over in the same QEMU after a SHUTDOWN; a task under a MODIFY job. */
void domain_start_over(Domain *d, void *unused);

/* process.c */

/* QEMU does not answer (any more, again): readers, listeners and the kill switch know.  Lock held. */
void domain_set_stuck(Domain *d, bool stuck);
/* The monitor ended.  Lock held: from here on everything fails fast; a task tears down. */
void domain_announce_death(Domain *d);
/* Under DESTROY (or any exclusive) job and lock: waits for the end of a dying process, removes what it left, makes the
 * machine off and publishes STOPPED.  No effect on a machine that lives or is off.  The lock is released meanwhile. */
void domain_tear_down(Domain *d);
/* The VIR_DOMAIN_SHUTOFF_* of a process found gone.  Lock held. */
int domain_shutoff_reason(const Domain *d);
/* Installs pidfd (taken) and pid of a new life / forgets them. */
void kill_switch_arm(Domain *d, int pidfd, pid_t pid, uint64_t life);
void kill_switch_disarm(Domain *d);
/* The same after a start that failed; true: a destroy asked for that, and has its wish.  Lock held. */
bool kill_switch_forget(Domain *d);
/* The daemon ends: what it was asked to destroy, and what it has only half started, goes without further grace. */
void kill_switch_hurry(Domain *d, bool starting);
void kill_switch_init(Domain *d);
void kill_switch_done(Domain *d);
/* Signals if the machine is in `life` (0: any).  False when it is not. */
bool kill_switch_signal(Domain *d, uint64_t life, int sig);
/* The process's pidfd, a duplicate for the caller; -1: off. */
int kill_switch_pidfd(Domain *d);
/* Sleeps until the process has ended; false: the deadline passed.  No lock held. */
bool kill_switch_wait(Domain *d, uint64_t life, Deadline deadline);
