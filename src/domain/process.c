/* domain/process.c - the end of a machine's QEMU
 *
 * Owns:    the kill switch (pidfd and its timer), the announcement of a death, the tear-down
 * Threads: signal from any thread, the client event thread too; tear-down on workers
 * Locks:   kill.lock (leaf)
 * Errors:  none: what cannot be removed is logged
 *
 * Theory of operation.  A machine ends in three steps.
 *   1. announced: the monitor's end of file (or a broken monitor) sets `dying` and moves the life counter on; whoever
 * waits in QMP or on `changed` wakes and fails, and gives its job back.  The definition stays, so nothing is freed
 * beneath anybody.
 *   2. a task, or the destroy call that caused it, gets the DESTROY job.
 *      A QEMU that lives on, and whose end nobody wanted, is only a lost connection: it is reached again, and the machine goes on.
 *   3. tear-down waits for the process by pidfd, removes what it left on the host, makes the machine off, tells
 * everybody. Signals go through the pidfd only, which cannot come to mean another process.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOG_AREA "domain.process"
#include "util/fd.h"
#include "util/file.h"
#include "util/log.h"
#include "domain/lifecycle.h"
#include "domain/blockjob_list.h"
#include "domain/private.h"
#include "domain/snapshot.h"
#include "domain/reconnect.h"
#include "domain/stats.h"
#include "store/defs.h"
#include "store/status.h"
#include "api_enums.h"

#define LAST_FLUSH_MS 2000u /* between the end of the monitor and that of the process, usually */
#define LOOK_MS   100u
#define GRACE_MS  5000u  /* between asking and SIGKILL */
#define EXIT_MS   15000u /* a QEMU whose monitor has ended flushes and exits in this time, or is killed */
#define RETRY_MS  30000u
#define KILLED_MS 30000u /* a killed process that is not gone by then hangs in the kernel */

/* ---- kill switch ------------------------------------------------------------------------------------------------- */

static int pidfd_signal(int pidfd, int sig)
{
    return (int)syscall(SYS_pidfd_send_signal, pidfd, sig, NULL, 0);
}

/* A stopped process acts on no signal but SIGKILL. */
static bool is_stopped(pid_t pid)
{
    char path[64];
    g_snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    g_autofree char *text = NULL;
    size_t len;
    if (file_read(path, 4096, &text, &len) < 0)
        return false;
    const char *end = strrchr(text, ')');
    return end && end[1] == ' ' && (end[2] == 'T' || end[2] == 't');
}

/* First a look whether it can act on the signal at all (it may have been stopped a moment before), then the end of its
 * grace. */
static void on_grace(void *arg)
{
    Domain *d = arg;
    KillSwitch *k = &d->priv->kill;
    bool wait = false;
    Deadline end;
    {
        LOCK_SCOPE(&k->lock);
        end = k->grace_end;
        if (k->pidfd < 0 || k->asked_life != k->life || k->graceful)
            return;
        wait = !deadline_passed(end) && !is_stopped(k->pid);
        if (!wait)
            pidfd_signal(k->pidfd, SIGKILL);
    }
    if (wait)
        timer_arm(k->timer, end);
}

void kill_switch_init(Domain *d)
{
    KillSwitch *k = &d->priv->kill;
    mutex_init(&k->lock, LOCK_LEAF, "kill switch");
    k->pidfd = -1;
}

void kill_switch_done(Domain *d)
{
    KillSwitch *k = &d->priv->kill;
    timer_free(k->timer);
    fd_close(&k->pidfd);
    mutex_done(&k->lock);
}

void kill_switch_arm(Domain *d, int pidfd, pid_t pid, uint64_t life)
{
    KillSwitch *k = &d->priv->kill;
    LOCK_SCOPE(&k->lock);
    if (!k->timer)
        k->timer = timer_new(domain_driver_opts(d->drv)->monitor_loop, on_grace, d);
    fd_close(&k->pidfd);
    k->pidfd = pidfd;
    k->pid = pid;
    k->life = life;
    k->unresponsive = false;
    k->graceful = false;
}

void kill_switch_disarm(Domain *d)
{
    KillSwitch *k = &d->priv->kill;
    Timer *timer;
    {
        LOCK_SCOPE(&k->lock);
        timer = k->timer;
        fd_close(&k->pidfd);
        k->pid = 0;
    }
    if (timer)
        timer_disarm(timer);
}

static bool kill_was_asked(Domain *d)
{
    KillSwitch *k = &d->priv->kill;
    LOCK_SCOPE(&k->lock);
    return k->pidfd >= 0 && k->asked_life == k->life;
}

bool kill_switch_forget(Domain *d)
{
    domain_assert_locked(d);
    bool asked = kill_was_asked(d);
    if (asked)
        d->priv->destroyed_life = d->priv->kill.life;
    kill_switch_disarm(d);
    return asked;
}

void kill_switch_hurry(Domain *d, bool starting)
{
    KillSwitch *k = &d->priv->kill;
    LOCK_SCOPE(&k->lock);
    if (k->pidfd >= 0 && (starting || (k->asked_life == k->life && !k->graceful)))
        pidfd_signal(k->pidfd, SIGKILL);
}

bool kill_switch_signal(Domain *d, uint64_t life, int sig)
{
    KillSwitch *k = &d->priv->kill;
    LOCK_SCOPE(&k->lock);
    if (k->pidfd < 0 || (life && k->life != life))
        return false;
    return pidfd_signal(k->pidfd, sig) == 0;
}

int kill_switch_pidfd(Domain *d)
{
    KillSwitch *k = &d->priv->kill;
    LOCK_SCOPE(&k->lock);
    return k->pidfd < 0 ? -1 : fcntl(k->pidfd, F_DUPFD_CLOEXEC, 3);
}

/* Waits for the end, and reaps what is ours to reap: not what an earlier daemon started. */
static bool has_ended(int pidfd, int timeout_ms)
{
    struct pollfd p = {.fd = pidfd, .events = POLLIN};
    int r;
    do
        r = poll(&p, 1, timeout_ms);
    while (r < 0 && errno == EINTR);
    if (r <= 0)
        return false;
    siginfo_t info;
    waitid((idtype_t)P_PIDFD, (id_t)pidfd, &info, WEXITED | WNOHANG);
    return true;
}

bool kill_switch_wait(Domain *d, uint64_t life, Deadline deadline)
{
    KillSwitch *k = &d->priv->kill;
    AUTO_CLOSE int fd = -1;
    event_assert_may_block();
    for (;;) {
        {
            LOCK_SCOPE(&k->lock);
            if (k->pidfd < 0 || (life && k->life != life))
                return true;
            fd = fcntl(k->pidfd, F_DUPFD_CLOEXEC, 3);
            if (fd < 0 && has_ended(k->pidfd, 0))
                return true;
        }
        if (fd >= 0 || deadline_passed(deadline))
            break;
        pool_blocking_begin(); /* no descriptors left: a guest that writes its last data must not be taken for one that hangs */
        g_usleep(1000ul * (unsigned)MIN(deadline_left_ms(deadline), (int)LOOK_MS));
        pool_blocking_end();
    }
    if (fd < 0)
        return false;
    pool_blocking_begin();
    bool ended = has_ended(fd, deadline_left_ms(deadline));
    pool_blocking_end();
    return ended;
}

void domain_kill(Domain *d, unsigned flags)
{
    KillSwitch *k = &d->priv->kill;
    bool graceful = flags & VIR_DOMAIN_DESTROY_GRACEFUL;
    bool grace = false;
    {
        LOCK_SCOPE(&k->lock);
        if (k->pidfd < 0)
            return;
        k->asked_life = k->life;
        k->graceful = graceful;
        grace = graceful || (!k->unresponsive && !is_stopped(k->pid));
        k->grace_end = deadline_in_ms(GRACE_MS);
        pidfd_signal(k->pidfd, grace ? SIGTERM : SIGKILL);
    }
    if (grace && !graceful)
        timer_arm_by(k->timer, deadline_in_ms(LOOK_MS));
}

void domain_set_stuck(Domain *d, bool stuck)
{
    DomainPrivate *p = d->priv;
    domain_assert_locked(d);
    if (p->stuck == stuck)
        return;
    p->stuck = stuck;
    domain_mark_changed(d);
    {
        LOCK_SCOPE(&p->kill.lock);
        p->kill.unresponsive = stuck;
    }
    if (stuck)
        domain_publish_plain(d, VIR_DOMAIN_EVENT_ID_CONTROL_ERROR);
}

/* ---- announced --------------------------------------------------------------------------------------------------- */

static void tear_down_task(Domain *d, void *unused)
{
    domain_tear_down(d);
}

void domain_announce_death(Domain *d)
{
    DomainPrivate *p = d->priv;
    domain_assert_locked(d);
    if (p->dying || !d->live)
        return;
    p->dying = true;
    d->life++;
    domain_mark_changed(d);
    domain_ring(d);
    domain_task(d, JOB_DESTROY, "end of QEMU", d->life, tear_down_task, NULL, NULL);
}

/* ---- torn down --------------------------------------------------------------------------------------------------- */

/* Waits for the process; kills it when it outlives its monitor.  False: it is still there. */
static bool wait_for_end(Domain *d, const char *name)
{
    if (kill_switch_wait(d, 0, deadline_in_ms(kill_was_asked(d) ? KILLED_MS : EXIT_MS)))
        return true;
    log_warning("%s: QEMU outlives its monitor, killing it", name);
    kill_switch_signal(d, 0, SIGKILL);
    if (kill_switch_wait(d, 0, deadline_in_ms(KILLED_MS)))
        return true;
    log_error("%s: QEMU has not ended %u s after SIGKILL: it hangs in the kernel; the machine stays until it is gone",
              name, KILLED_MS / 1000);
    return false;
}

typedef struct Verdict {
    int reason, detail; /* VIR_DOMAIN_SHUTOFF_*, VIR_DOMAIN_EVENT_STOPPED_* */
    const char *word;
} Verdict;

/* Lock held, unless killed. */
static Verdict judge(const Domain *d, bool killed)
{
    const DomainPrivate *p = d->priv;
    if (p->stop_reason == VIR_DOMAIN_SHUTOFF_FROM_SNAPSHOT)
        return (Verdict){p->stop_reason, p->stop_detail, "destroyed"};
    if (killed)
        return (Verdict){VIR_DOMAIN_SHUTOFF_DESTROYED, VIR_DOMAIN_EVENT_STOPPED_DESTROYED, "destroyed"};
    switch (p->stop_reason) {
    case 0:
        break;
    case VIR_DOMAIN_SHUTOFF_DESTROYED:
        return (Verdict){VIR_DOMAIN_SHUTOFF_DESTROYED, VIR_DOMAIN_EVENT_STOPPED_DESTROYED, "destroyed"};
    case VIR_DOMAIN_SHUTOFF_CRASHED:
        return (Verdict){VIR_DOMAIN_SHUTOFF_CRASHED, VIR_DOMAIN_EVENT_STOPPED_CRASHED, "crashed"};
    case VIR_DOMAIN_SHUTOFF_FAILED:
        return (Verdict){VIR_DOMAIN_SHUTOFF_FAILED, VIR_DOMAIN_EVENT_STOPPED_FAILED, "failed"};
    default:
        return (Verdict){p->stop_reason, p->stop_detail, "stopped"};
    }
    if (p->got_shutdown)
        return (Verdict){VIR_DOMAIN_SHUTOFF_SHUTDOWN, VIR_DOMAIN_EVENT_STOPPED_SHUTDOWN, "shutdown"};
    return (Verdict){VIR_DOMAIN_SHUTOFF_CRASHED, VIR_DOMAIN_EVENT_STOPPED_FAILED, "crashed"};
}

int domain_shutoff_reason(const Domain *d)
{
    return judge(d, false).reason;
}

static void on_retry(void *arg)
{
    Domain *d = arg;
    g_autoptr(DomainView) v = domain_view(d);
    domain_task(d, JOB_DESTROY, "end of QEMU", v->life, tear_down_task, NULL, NULL);
}

/* The process cannot be got rid of: its images are still in use, so the machine must not look off.  Or its stored definition would lead the
 * next start to images that it is not on any more.  Lock held. */
static void try_again_later(Domain *d)
{
    DomainPrivate *p = d->priv;
    domain_set_stuck(d, true);
    timer_free(p->retry);
    p->retry = timer_new(domain_driver_opts(d->drv)->monitor_loop, on_retry, d);
    timer_arm(p->retry, deadline_in_ms(RETRY_MS));
}

/* Makes the machine off.  Lock held. */
static void make_off(Domain *d, const Verdict *v)
{
    DomainPrivate *p = d->priv;
    stored_def_unref(p->last);
    p->last = d->config ? NULL : stored_def_new(d->live);
    domain_def_unref(d->live);
    d->live = NULL;
    d->life++;
    domain_set_stuck(d, false);
    p->dying = p->starting = p->got_shutdown = p->fake_reboot = p->tainted_monitor = false;
    p->stop_reason = p->stop_detail = p->pause_reason = p->run_reason = 0;
    p->autodestroy = 0;
    p->owner_gone = false;
    p->balloon_kib = 0;
    g_clear_pointer(&p->early_shutdown, json_decref);
    g_clear_pointer(&p->vcpu_tids, g_free);
    p->n_vcpu_tids = 0;
    domain_stats_reset(d);
    blockjobs_forget(d);
    p->sweeps = 0;
    launched_process_clear(&p->proc);
    domain_set_state(d, VIR_DOMAIN_SHUTOFF, v->reason);
    domain_mark_changed(d);
    DomainEvent *e = p->quiet_end ? NULL : domain_event_lifecycle(d, VIR_DOMAIN_EVENT_STOPPED, v->detail);
    p->quiet_end = p->found_dead = false;
    registry_set_id(domain_driver_registry(d->drv), &d->obj, -1);
    d->id = -1;
    /* not one that is being defined just now: its writer's domain_config_end() looks again */
    if (e)
        domain_retire_with(d, e);
    else
        domain_retire(d);
    domain_publish(d);
    domain_ring(d);
}

/* A machine whose definition could not be read when this daemon started runs as one that was never stored.  What is kept beside its file stays for
 * who repairs that. */
static bool has_file(const DomainDriverOpts *o, const char *name)
{
    g_autofree char *path = defs_path(o->config_dir, name);
    return access(path, F_OK) == 0;
}

/* Nobody writes the status file after it is removed: dying machines are not flushed anew.  Lock held. */
static void wait_for_flush(Domain *d)
{
    while (d->priv->flushing)
        domain_wait(d, deadline_in_ms(1000));
}

void domain_tear_down(Domain *d)
{
    DomainPrivate *p = d->priv;
    domain_assert_locked(d);
    job_assert_held(d);
    if (!d->live || !p->dying)
        return;
    wait_for_flush(d);
    domain_drop_monitor(d, "the machine ended");
    g_autoptr(DomainDef) def = domain_def_ref(d->live);
    LaunchedProcess proc = {0};
    launched_process_copy(&proc, &p->proc);
    g_autofree char *name = g_strdup(d->name);
    const DomainDriverOpts *o = domain_driver_opts(d->drv);
    bool wanted = kill_was_asked(d) || p->stop_reason || p->got_shutdown;

    domain_unlock(d);
    bool ended = kill_switch_wait(d, 0, deadline_in_ms(LAST_FLUSH_MS));
    if (!ended && !wanted) {
        domain_lock(d);
        if (domain_revive(d)) {
            launched_process_clear(&proc);
            return;
        }
        wait_for_flush(d); /* for a moment it was not dying */
        domain_unlock(d);
    }
    if (!ended)
        ended = wait_for_end(d, name);
    /* Judged now: a destroy may have come while we waited, and be what ended it. */
    domain_lock(d);
    Verdict v = judge(d, kill_was_asked(d));
    domain_unlock(d);
    if (ended) {
        if (kill_was_asked(d)) /* while we waited: then it is the destroy that ended it */
            v = judge(d, true);
        domain_lock(d);
        if (!blockjobs_settle(d)) { /* while there is a status file that tells of them */
            launched_process_clear(&proc);
            try_again_later(d);
            return;
        }
        domain_unlock(d);
        kill_switch_disarm(d);
        qemu_launch_cleanup(&proc, def, v.word);
        g_auto(Err) err = ERR_INIT;
        if (status_remove(o->run_dir, name, &err) < 0)
            log_warning("%s", err.detail);
        status_pid_file(o->run_dir, name, 0);
    }
    launched_process_clear(&proc);
    bool kept = has_file(o, name);
    domain_lock(d);
    if (!ended) {
        try_again_later(d);
        return;
    }
    if (!d->persistent && !kept)
        domain_snapshots_drop(d);

    {
        LOCK_SCOPE(&p->kill.lock); /* a destroy that came after the verdict finds its wish fulfilled all the same */
        if (p->kill.asked_life == p->kill.life)
            p->destroyed_life = p->kill.life;
    }
    if (!d->persistent && !kept) { /* nobody can ask for them any more */
        domain_unlock(d);
        blockjobs_forget_ended(d);
        domain_lock(d);
    }
    make_off(d, &v);
    snapshot_settle_later(d); /* one whose outcome QEMU never told, or whose definition could not be written */
}
