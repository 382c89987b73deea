/* domain/flush.c - status files that cannot be written now
 *
 * Owns:    the repetition; the file itself is domain.c's and store/status.c's
 * Threads: workers; the timer's function on the monitor event thread
 * Locks:   the domain's
 * Errors:  logged: the machine goes on, and what its file does not say yet its QEMU does
 *
 * A full or read-only run directory must not harm a machine that runs, nor fail calls that were carried out.  The file is written again
 * and again until it is what it should be, so that there is something to find should this daemon end after the directory is well again.
 */
#include "config.h"

#define LOG_AREA "domain.flush"
#include "util/log.h"
#include "domain/private.h"

#define RETRY_MS 3000u

static void flush_task(void *arg)
{
    Domain *d = arg;
    domain_flush_or_retry(d);
    domain_driver_task_end(d->drv);
    object_unref(d);
}

static void on_flush_retry(void *arg)
{
    Domain *d = arg;
    g_autoptr(DomainView) v = domain_view(d);
    if (!v->live)
        return;
    domain_driver_task_begin(d->drv);
    object_ref(d);
    if (domain_driver_submit(d->drv, LANE_FAST, flush_task, d))
        return;
    domain_driver_task_end(d->drv); /* the daemon ends, and tries once more as it does */
    object_unref(d);
}

void domain_flush_or_retry(Domain *d)
{
    DomainPrivate *p = d->priv;
    g_auto(Err) err = ERR_INIT;
    int r = domain_flush(d, &err);
    if (r == 0 && !g_atomic_int_get(&p->flush_failed))
        return;
    domain_lock(d);
    if (r == 0) {
        g_atomic_int_set(&p->flush_failed, false);
        if (d->live && !p->dying)
            log_info("%s: the status file is written again", d->name);
    } else if (d->live && !p->dying) {
        if (!g_atomic_int_exchange(&p->flush_failed, true)) {
            g_autofree char *m = err_message(&err);
            log_warning("%s runs on, but a daemon started now would know an older state of it: %s; trying again every %u s", d->name, m,
                        RETRY_MS / 1000);
        }
        if (!p->flush_retry)
            p->flush_retry = timer_new(domain_driver_opts(d->drv)->monitor_loop, on_flush_retry, d);
        timer_arm_by(p->flush_retry, deadline_in_ms(RETRY_MS));
    }
    domain_unlock(d);
}
