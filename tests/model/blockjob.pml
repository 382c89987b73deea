/* tests/model/blockjob.pml - who applies the news of a block job, and whether any is lost
 *
 * One machine, one job of QEMU, a caller that opens a region for it and another who would like one too, the task that applies without a region,
 * the drain, the resync after events were lost, the end of the machine, and (with -DRESTART) a daemon that is killed at any instant and started
 * again.  With -DPULL the job waits (PENDING) until it is finalized, and goes by itself then (finalized_by_us, goes_by_itself); with -DCOMMIT it
 * waits as well, and stays concluded until it is dismissed (finalized_by_us alone).
 *
 * Stands for:  Qemu        QEMU: BLOCK_JOB_READY (also repeated), JOB_STATUS_CHANGE "pending" and "concluded"; waits for job-complete or
 *                          job-cancel (one end here), job-finalize, job-dismiss; may fail by itself; may die
 *              Drain       drain_task() of inbox.c; DRAIN: inbox_drain(); KEEP: keep() of blockjob.c
 *              Task        task() of blockjob.c, as domain_task() runs it
 *              Caller      a handler: blockjob_sync_begin(), an end asked for (note_end() and blockjob_send_end()), blockjob_sync_wait(),
 *                          blockjob_sync_end(); it may leave the region early (client gone, time-out), with the news left to the task
 *              Second      a handler that comes later and begins a region of its own
 *              Resync      resync_blockjobs() of reconnect.c; QUERY: query-jobs and blockjob_compare(), which a region's ask_again() is too
 *              Death       domain_announce_death() and domain_tear_down()
 *              Restart     domain_load_status(), domain_reconnect(), blockjob_compare()
 * The domain lock is `locked`, the MODIFY job `job`, the bell `awake`.
 *
 * Checked:     no deadlock, and every process ends (invalid end states); READY, PENDING and the conclusion are applied at most once each, though
 *              a query repeats what an event said (without a restart; with one the conclusion's effect on definitions may be repeated, never
 *              left out); at most one region at a time, and one more is refused; an end that was noted reaches QEMU; a job that waits for its
 *              finalization is not left waiting; at the end the job has been applied and dismissed, or the machine is dead; a wait never returns
 *              news while the machine is dead.
 */
#ifdef PULL
#define WAITS_FOR_US
#define GOES_BY_ITSELF
#endif
#ifdef COMMIT
#define WAITS_FOR_US
#endif

mtype = { READY, PENDING, CONCLUDED, CLOSED };

chan inbox = [3] of { mtype };   /* inbox.c; what does not fit is lost, and asked for */
chan news = [3] of { mtype };    /* the queue of the job: each kind once */
bool scheduled;                  /* a drain is on its way */
bool locked, job;
bool awake;                      /* set by every ringing of `changed`; one who has the machine's job sleeps, so one flag does */
#ifndef RESTART
bool lossless;                   /* one loss shows what a loss does; with -DRESTART the kill is one */
#else
bool lossless = true;
#endif
bool overflow, resync_queued, resynced; /* resynced: what a region compares `resyncs` with */

/* the job object */
bool said_ready, said_pending, said_concluded; /* `said` */
byte regions;
bool task_queued, over;
bool exists;                     /* in the machine's list */
bool ending, end_sent;           /* state PIVOTING or ABORTING; QEMU has taken the command */
bool dying, off;

/* what outlives the daemon */
bool recorded, recorded_end;     /* the job is in the status file, with the end that was asked for */
bool q_started, q_ready, q_end, q_pending, q_finalized, q_concluded, q_dismissed, q_dead;

byte applied_ready, applied_pending, applied_concluded;
bool caller_done, second_done, daemon_up = true;

#define HAS_NEWS (len(news) > 0)

inline broadcast() { awake = true }

/* keep(): once each; queues the task when no region is open */
inline kick() {
    if
    :: regions == 0 && HAS_NEWS && !task_queued && !over -> task_queued = true
    :: else
    fi
}

inline KEEP(said, what) {
    if
    :: exists && !said && !over -> said = true; news!what; broadcast(); kick()
    :: else
    fi
}

inline drain() {
    do
    :: inbox?READY -> KEEP(said_ready, READY)
    :: inbox?PENDING -> KEEP(said_pending, PENDING)
    :: inbox?CONCLUDED -> KEEP(said_concluded, CONCLUDED)
    :: inbox?CLOSED -> dying = true; broadcast()
    :: empty(inbox) -> break
    od;
    if
    :: overflow -> overflow = false; resynced = true; resync_queued = true; broadcast() /* domain_resync_later() */
    :: else
    fi;
    scheduled = false
}

/* domain_lock(): whoever gets the lock drains first */
inline LOCK() { atomic { !locked -> locked = true; drain() } }
inline UNLOCK() { locked = false }

/* A monitor's line: into the inbox, or lost.  inbox_deliver() rings for who waits, without the lock, and sends a drain. */
inline SAY(what) {
    if
    :: !daemon_up
    :: daemon_up && nfull(inbox) -> inbox!what; broadcast(); scheduled = true
    :: daemon_up && what != CLOSED && !lossless -> lossless = true; overflow = true; broadcast(); scheduled = true
    fi
}

inline SEND_END() {
    if
    :: !q_dead -> q_end = true; end_sent = true
    :: q_dead
    fi
}

/* query-jobs, and what it says against what is known: lock held, released meanwhile.  The answer may be older than events drained with it. */
inline QUERY(r, p, c, gone) {
    UNLOCK();
    atomic { r = q_ready; p = q_pending && !q_finalized; c = q_concluded && !q_dismissed; gone = q_started && q_dismissed };
    LOCK();
    if
    :: dying || q_dead
    :: else ->
        atomic {
            if :: r || c -> KEEP(said_ready, READY) :: else fi;
            if :: p -> KEEP(said_pending, PENDING) :: else fi;
            if :: c || gone -> KEEP(said_concluded, CONCLUDED) :: else fi
        };
        if
        :: exists && ending && !end_sent && !c && !gone -> UNLOCK(); SEND_END(); LOCK() /* send_ends() */
        :: else
        fi
    fi
}

/* blockjob_apply(): lock held, released for QMP and files */
inline APPLY() {
    if
    :: news?[READY] -> atomic { news?READY; applied_ready++; assert(applied_ready == 1) }
    :: news?[PENDING] ->
        UNLOCK();
        recorded_end = true;                      /* PIVOTING, flushed */
        if :: !q_dead -> q_finalized = true :: q_dead fi;   /* job-finalize */
        LOCK();
        if
        :: dying || over                          /* stays news, and ends with the machine */
        :: else -> atomic { news?PENDING; applied_pending++; assert(applied_pending == 1) }
        fi
    :: news?[CONCLUDED] ->
        applied_concluded++;                     /* ops->concluded */
        atomic { news?CONCLUDED; do :: news?_ :: len(news) == 0 -> break od; over = true; exists = false };
        UNLOCK();
        atomic { recorded = false; recorded_end = false }; /* domain_flush(): the verdict instead of the job */
        LOCK();
#ifndef GOES_BY_ITSELF
        if
        :: dying
        :: !dying ->
            UNLOCK();
            if :: !q_dead -> q_dismissed = true :: q_dead fi;   /* job-dismiss; without an answer when QEMU is gone */
            LOCK()
        fi
#endif
    fi
}

active proctype Qemu() {
    bool may_die;                                 /* chosen at once: one that lives must be enough for everybody to get on */
    if :: may_die = true :: skip fi;
end_unborn:
    q_started;
#ifndef WAITS_FOR_US                              /* these are never in step */
    do
    :: atomic { !q_concluded && !q_dead -> q_ready = true; SAY(READY) }; /* perhaps again */
       if :: break :: skip fi
    :: break
    od;
#endif
end_runs:                                         /* until it is told to end, or fails, or for ever: Verdict looks at the rest */
    if
    :: q_end
    :: skip
    :: may_die -> goto dies
    fi;
#ifdef WAITS_FOR_US
    atomic { q_pending = true; SAY(PENDING) };
end_pending:
    if
    :: q_finalized
    :: may_die -> goto dies
    fi;
#endif
#ifdef GOES_BY_ITSELF
    atomic { q_concluded = true; q_dismissed = true; SAY(CONCLUDED) };
    goto end_gone;
#else
    atomic { q_concluded = true; SAY(CONCLUDED) };
end_concluded:
    if
    :: q_dismissed -> goto end_gone
    :: may_die -> goto dies
    fi;
#endif
dies:
    atomic { nfull(inbox) || !daemon_up -> q_dead = true; SAY(CLOSED) };
end_gone:
    skip
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
end_turn: atomic { !job -> job = true };
          LOCK();
          task_queued = false;
          do
          :: regions == 0 && HAS_NEWS && !dying && !over -> APPLY()
          :: else -> break
          od;
          UNLOCK();
          job = false
      od } UNLESS_KILLED
}

#ifndef RESTART
active proctype Resync() {
    bool r, p, c, g;
    { skip;
      end: do
      :: resync_queued ->
end_turn: atomic { !job -> job = true };
          LOCK();
          resync_queued = false;
          if
          :: dying || over
          :: else -> QUERY(r, p, c, g)
          fi;
          UNLOCK();
          job = false
      od } UNLESS_KILLED
}
#endif

/* blockjob_sync_begin(): one at a time; a resync that waits for its turn behind us is asked for by the region itself */
inline REGION_BEGIN(refused) {
    if
    :: regions > 0 -> refused = true
    :: else -> regions++; refused = false; resynced = resync_queued
    fi
}

/* blockjob_sync_wait() until the job is over, or the wait is given up */
inline WAIT(r, p, c, g) {
    do
    :: dying -> break                           /* -1 */
    :: !dying && over -> break
    :: !dying && !over && resynced -> resynced = false; QUERY(r, p, c, g)   /* ask_again() */
    :: !dying && !over && !resynced && HAS_NEWS -> APPLY()                  /* 0 */
    :: !dying && !over && !resynced && !HAS_NEWS ->
        if
        :: awake = false;                       /* domain_wait(): the bell, then the inbox */
           if
           :: nempty(inbox) -> UNLOCK()
           :: empty(inbox) -> UNLOCK();
end_waits:    awake                             /* for ever only when the job runs for ever: Verdict */
           fi;
           LOCK()
        :: break                                /* the client is gone, or the time is over */
        fi
    od
}

/* blockjob_sync_end() */
inline REGION_END() {
    do
    :: !dying && !over && HAS_NEWS -> APPLY()
    :: else -> break
    od;
    atomic { regions--; kick() }
}

active proctype Caller() {
    bool refused, r, p, c, g;
    { atomic { !job -> job = true };
      LOCK();
      exists = true;
      REGION_BEGIN(refused);                      /* before the command */
      assert(!refused);
      REGION_BEGIN(refused);
      assert(refused && regions == 1);
      UNLOCK();
      recorded = true;                            /* the intent, before the command is sent */
      q_started = true;
      LOCK();
      if
      :: !dying && !over ->                       /* an abort, or a pivot */
          ending = true;
          UNLOCK();
          recorded_end = true;
          LOCK();
          if
          :: dying || over
          :: else -> UNLOCK(); SEND_END(); LOCK()
          fi
      :: skip
      fi;
      WAIT(r, p, c, g);
      REGION_END();
      UNLOCK();
      job = false;
      caller_done = true } UNLESS_KILLED
}

#ifndef RESTART
active proctype Second() {
    bool refused, r, p, c, g;
    { skip;
end_unborn:
      q_started;
end_turn:
      atomic { !job -> job = true };
      LOCK();
      if
      :: !exists || dying || over                 /* refused: nothing to wait for */
      :: else ->
          REGION_BEGIN(refused);
          assert(!refused);                       /* who has the machine's job finds none open */
          WAIT(r, p, c, g);
          REGION_END()
      fi;
      UNLOCK();
      job = false;
      second_done = true } UNLESS_KILLED
}
#endif

active proctype Death() {
    { skip;
      end: dying;
      atomic { !job -> job = true };              /* the DESTROY job: everybody who waited has unwound */
      LOCK();
      atomic { over = true; exists = false; do :: news?_ :: len(news) == 0 -> break od; recorded = false; recorded_end = false; off = true };
      UNLOCK();
      job = false } UNLESS_KILLED
}

#ifdef RESTART
active proctype Restart() {
    /* kill -9 */
    atomic {
        daemon_up = false;
        locked = false; job = false; scheduled = false; regions = 0; task_queued = false;
        overflow = false; resync_queued = false; resynced = false;
        said_ready = false; said_pending = false; said_concluded = false;
        dying = false; over = false; applied_ready = 0; applied_pending = 0; applied_concluded = 0;
        exists = recorded;                        /* what the status file says */
        ending = recorded_end; end_sent = false;
        do :: inbox?_ :: empty(inbox) -> break od;
        do :: news?_ :: len(news) == 0 -> break od
    };
    /* the new daemon, alone under its RECONNECT job */
    if
    :: q_dead -> off = true
    :: !q_dead ->
        if
        :: !q_started -> exists = false; recorded = false   /* recorded, and the command never sent: QEMU does not know it */
        :: q_started && exists ->
            if
            :: ending && !q_end && !q_dead -> q_end = true  /* send_ends(): an end that was noted is asked for again */
            :: else
            fi;
end_running:
#ifdef WAITS_FOR_US
            if
            :: q_pending && !q_finalized -> q_finalized = true
            :: q_finalized || q_dead
            fi;
#endif
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
    assert(off || !q_started || q_dismissed);
    assert(off || !recorded_end || q_end || q_finalized)
}
#else
/* When nothing can move any more. */
active proctype Verdict() {
    atomic { timeout -> assert(caller_done || (!q_concluded && !q_dead));
             assert(second_done || !caller_done || (!q_concluded && !q_dead));
             assert(off || !q_concluded || (q_dismissed && applied_concluded == 1));
             assert(off || !ending || end_sent);
             assert(off || !q_pending || q_finalized);
             assert(applied_concluded <= 1 && !locked && regions <= 1 && (!caller_done || !second_done || (!job && regions == 0))) }
}
#endif
