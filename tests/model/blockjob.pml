/* tests/model/blockjob.pml - who applies the news of a block job, and whether any is lost
 *
 * One machine, one job of QEMU, one caller that opens a region for it, the task that applies without a region, the drain, the end of the
 * machine, and (with -DRESTART) a daemon that is killed at any instant and started again.
 *
 * Stands for:  Qemu        QEMU: BLOCK_JOB_READY (also repeated), JOB_STATUS_CHANGE "concluded"; waits for job-dismiss; may die
 *              Drain       drain_task() of inbox.c; DRAIN: inbox_drain(); keep(): keep() of blockjob.c
 *              Task        task() of blockjob.c, as domain_task() runs it
 *              Caller      a handler: blockjob_sync_begin(), blockjob_sync_wait(), blockjob_sync_end(); it may leave the region early
 *                          (client gone, time-out), with the news left to the task
 *              Death       domain_announce_death() and domain_tear_down()
 *              Restart     domain_load_status(), domain_reconnect(), blockjob_compare()
 * The domain lock is `locked`, the MODIFY job `job`, the condition variable `gen`.
 *
 * Checked:     no deadlock, and every process ends (invalid end states); READY and the conclusion are applied at most once each (without a
 *              restart; with one the conclusion's effect on definitions may be repeated, never left out); at the end the job has been
 *              applied and dismissed, or the machine is dead; a wait never returns news while the machine is dead.
 */
mtype = { READY, CONCLUDED, CLOSED };

chan inbox = [4] of { mtype };   /* inbox.c; all the model's QEMU says fits */
bool scheduled;                  /* a drain is on its way */
bool locked, job;
byte gen;                        /* moves at every broadcast of `changed` */

/* the job object */
bool said_ready, said_concluded; /* `said` */
bool news_ready, news_concluded; /* the queue: READY is always before the conclusion */
bool region, task_queued, over;
bool exists;                     /* in the machine's list */
bool dying, off;

/* what outlives the daemon */
bool recorded;                   /* the job is in the status file */
bool q_started, q_concluded, q_dismissed, q_dead;

byte applied_ready, applied_concluded;
bool caller_done, daemon_up = true;

#define HAS_NEWS (news_ready || news_concluded)

inline broadcast() { gen = (gen + 1) % 16 }

/* keep(): once each; queues the task when no region is open */
inline kick() {
    if
    :: !region && HAS_NEWS && !task_queued && !over -> task_queued = true
    :: else
    fi
}

inline keep_ready() {
    if
    :: exists && !said_ready && !over -> said_ready = true; news_ready = true; broadcast(); kick()
    :: else
    fi
}

inline keep_concluded() {
    if
    :: exists && !said_concluded && !over -> said_concluded = true; news_concluded = true; broadcast(); kick()
    :: else
    fi
}

inline drain() {
    do
    :: inbox?READY -> keep_ready()
    :: inbox?CONCLUDED -> keep_concluded()
    :: inbox?CLOSED -> dying = true; broadcast()
    :: empty(inbox) -> break
    od;
    scheduled = false
}

/* domain_lock(): whoever gets the lock drains first */
inline LOCK() { atomic { !locked -> locked = true; drain() } }
inline UNLOCK() { locked = false }

/* apply_conclusion(): definitions, list, status file (lock released), event, dismissal (lock released) */
inline APPLY() {
    if
    :: news_ready -> atomic { news_ready = false; applied_ready++; assert(applied_ready == 1) }
    :: !news_ready && news_concluded ->
        applied_concluded++;                     /* ops->concluded */
        atomic { news_concluded = false; over = true; exists = false };
        UNLOCK();
        recorded = false;                        /* domain_flush() */
        LOCK();
        if
        :: dying
        :: !dying ->
            UNLOCK();
            if :: !q_dead -> q_dismissed = true :: q_dead fi;   /* job-dismiss; without an answer when QEMU is gone */
            LOCK()
        fi
    fi
}

active proctype Qemu() {
    bool may_die;                                 /* chosen at once: one that lives must be enough for everybody to get on */
    if :: may_die = true :: skip fi;
end_unborn:
    q_started;
    do
    :: atomic { nfull(inbox) && !q_concluded && !q_dead -> inbox!READY; scheduled = true }; /* perhaps again */
       if :: break :: skip fi
    :: break
    od;
    if
    :: atomic { q_concluded = true;
                if :: daemon_up -> inbox!CONCLUDED; scheduled = true :: !daemon_up fi }
    :: skip
    fi;
end_runs:                                         /* not concluded: the job simply runs on; Verdict and Restart look at the rest */
    if
    :: atomic { may_die && !q_dismissed -> q_dead = true;
                if :: daemon_up -> inbox!CLOSED; scheduled = true :: !daemon_up fi }
    :: atomic { q_concluded && q_dismissed }
    fi
}

#ifdef RESTART
#define UNLESS_KILLED unless { !daemon_up }
#else
#define UNLESS_KILLED
#endif

active proctype Drain() {
    { skip;
      end: do
      :: scheduled -> LOCK(); UNLOCK()
      od } UNLESS_KILLED
}

active proctype Task() {
    { skip;
      end: do
      :: task_queued ->
          atomic { !job -> job = true };
          LOCK();
          task_queued = false;
          do
          :: !region && HAS_NEWS && !dying && !over -> APPLY()
          :: else -> break
          od;
          UNLOCK();
          job = false
      od } UNLESS_KILLED
}

active proctype Caller() {
    byte seen;
    { atomic { !job -> job = true };
      LOCK();
      exists = true;
      region = true;                              /* blockjob_sync_begin(), before the command */
      UNLOCK();
      recorded = true;                            /* the intent, before the command is sent */
      q_started = true;
      LOCK();
      do
      :: dying -> break                           /* -1 */
      :: !dying && over -> break
      :: !dying && !over && HAS_NEWS -> APPLY()   /* 0 */
      :: !dying && !over && !HAS_NEWS ->
          if
          :: seen = gen; UNLOCK();                /* domain_wait() */
end_waits:   (gen != seen);                       /* for ever only when the job runs for ever: Verdict */
             LOCK()
          :: break                                /* the client is gone, or the time is over */
          fi
      od;
      /* blockjob_sync_end() */
      do
      :: !dying && !over && HAS_NEWS -> APPLY()
      :: else -> break
      od;
      atomic { region = false; kick() };
      UNLOCK();
      job = false;
      caller_done = true } UNLESS_KILLED
}

active proctype Death() {
    { skip;
      end: dying;
      atomic { !job -> job = true };              /* the DESTROY job: everybody who waited has unwound */
      LOCK();
      atomic { over = true; exists = false; news_ready = false; news_concluded = false; recorded = false; off = true };
      UNLOCK();
      job = false } UNLESS_KILLED
}

#ifdef RESTART
active proctype Restart() {
    /* kill -9 */
    atomic {
        daemon_up = false;
        locked = false; job = false; scheduled = false; region = false; task_queued = false;
        said_ready = false; said_concluded = false; news_ready = false; news_concluded = false;
        dying = false; over = false; applied_ready = 0; applied_concluded = 0;
        exists = recorded;                        /* what the status file says */
        do :: inbox?_ :: empty(inbox) -> break od
    };
    /* the new daemon, alone under its RECONNECT job */
    if
    :: q_dead -> off = true
    :: !q_dead ->
        if
        :: !q_started -> exists = false; recorded = false   /* recorded, and the command never sent: QEMU does not know it */
        :: q_started && exists ->
end_running:
            (q_concluded || q_dead);              /* by query-jobs, or by the event later */
            if
            :: q_dead -> off = true
            :: !q_dead -> applied_concluded++; exists = false; recorded = false; q_dismissed = true
            fi
        :: q_started && !exists ->
end_unknown:
            (q_concluded || q_dead);
            if
            :: q_dead -> off = true
            :: !q_dead -> q_dismissed = true      /* ours, concluded, and nobody knows it */
            fi
        fi
    fi;
    assert(off || !q_started || q_dismissed)
}
#else
/* When nothing can move any more. */
active proctype Verdict() {
    atomic { timeout -> assert(caller_done || (!q_concluded && !q_dead));
             assert(off || !q_concluded || (q_dismissed && applied_concluded == 1));
             assert(applied_concluded <= 1 && !locked && (!caller_done || !job)) }
}
#endif
