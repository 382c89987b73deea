/* domain/stop.c - the end of a machine because somebody wants it
 *
 * Owns:    destroy after the signal, and the machines that end with their client
 * Threads: workers; domain_autodestroy from any
 * Locks:   the domain's, under a DESTROY job
 */
#include "config.h"

#include <signal.h>

#define LOG_AREA "domain.stop"
#include "util/log.h"
#include "domain/lifecycle.h"
#include "domain/private.h"
#include "api_enums.h"

#define GRACEFUL_MS   15000u
#define LAST_WORDS_MS 1000u
#define FORCED_MS     40000u /* the kill switch's own grace lies within */

int domain_destroy(Domain *d, unsigned flags, Err *err)
{
    DomainPrivate *p = d->priv;
    bool graceful = flags & VIR_DOMAIN_DESTROY_GRACEFUL;
    uint64_t asked;
    bool armed;
    {
        LOCK_SCOPE(&p->kill.lock);
        asked = p->kill.asked_life;
        armed = p->kill.pidfd >= 0;
    }
    if (!domain_is_active(d)) {
        /* Our own signal was faster than our job, and the tear-down too. */
        if (asked && p->destroyed_life == asked)
            return 0;
        return domain_err_inactive(err);
    }
    if (flags & VIR_DOMAIN_DESTROY_REMOVE_LOGS)
        return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "flag VIR_DOMAIN_DESTROY_REMOVE_LOGS is not supported yet");
    pid_t pid = p->proc.pid;
    if (!armed) {
        err_set(err, VIR_ERR_OPERATION_FAILED,
                "process %d cannot be verified to be the QEMU of '%s', so it is not signalled", (int)pid, d->name);
        return err_hint(err, "see whether it is, and end it by hand");
    }
    domain_kill(d, flags);
    domain_unlock(d);
    bool ended = kill_switch_wait(d, 0, deadline_in_ms(graceful ? GRACEFUL_MS : FORCED_MS));
    domain_lock(d);
    if (!ended) {
        err_set(err, VIR_ERR_OPERATION_FAILED, "QEMU (process %d) did not end within %u s of %s", (int)pid,
                (graceful ? GRACEFUL_MS : FORCED_MS) / 1000, graceful ? "being asked" : "SIGKILL");
        return err_hint(err,
                        graceful ? "destroy it without --graceful" : "it hangs in the kernel, on storage most likely");
    }
    /* The process is gone; what it said last, and its monitor's end, are on their way through the monitor thread. */
    Deadline last_words = deadline_in_ms(LAST_WORDS_MS);
    while (p->qmp && !p->dying && domain_wait(d, last_words))
        ;
    if (domain_is_active(d) && !p->dying) {
        p->dying = true;
        d->life++;
        domain_ring(d);
    }
    domain_tear_down(d);
    if (!domain_is_active(d))
        return 0;
    err_set(err, VIR_ERR_OPERATION_FAILED, "QEMU has ended, but the definition of '%s' does not say yet which images its disks are on", d->name);
    return err_hint(err, "the log says why it cannot be written; that is tried again");
}

/* ---- with the client --------------------------------------------------------------------------------------------- */

static void destroy_task(Domain *d, void *unused)
{
    g_auto(Err) err = ERR_INIT;
    if (domain_is_active(d) && domain_destroy(d, 0, &err) < 0)
        log_error("%s: not destroyed with its client: %s", d->name, err.detail);
}

void domain_autodestroy_now(Domain *d)
{
    log_info("%s: its client is gone, and it goes too", d->name);
    domain_kill(d, 0);
    domain_task(d, JOB_DESTROY, "end of its client", d->life, destroy_task, NULL, NULL);
}

typedef struct Gone {
    DomainDriver *drv;
    uint64_t conn;
} Gone;

static void gone_task(void *arg)
{
    Gone *g = arg;
    g_autoptr(GPtrArray) all = registry_list(domain_driver_registry(g->drv));
    for (unsigned i = 0; i < all->len; i++) {
        Domain *d = all->pdata[i];
        domain_lock(d);
        if (d->priv->autodestroy == g->conn) {
            if (!domain_is_active(d) && d->priv->starting)
                d->priv->owner_gone = true; /* the starter looks at it when done */
            else if (domain_is_active(d))
                domain_autodestroy_now(d);
        }
        domain_unlock(d);
    }
    domain_driver_task_end(g->drv);
    g_free(g);
}

void domain_autodestroy(DomainDriver *drv, uint64_t conn_id)
{
    if (conn_id == 0 || !domain_driver_has_autodestroy(drv))
        return;
    Gone *g = g_new0(Gone, 1);
    *g = (Gone){drv, conn_id};
    domain_driver_task_begin(drv);
    if (!domain_driver_submit(drv, LANE_FAST, gone_task, g)) {
        domain_driver_task_end(drv); /* the next daemon ends them: their status files say whose they are */
        g_free(g);
    }
}
