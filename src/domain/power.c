/* domain/power.c - the buttons of a running machine
 *
 * Owns:    shutdown, reboot, reset, pause, resume, and the reboot that QEMU does not know
 * Threads: workers
 * Locks:   the domain's, under a MODIFY job; released by each QMP call
 * Errors:  VIR_ERR_OPERATION_INVALID where libvirt says so
 *
 * "Reboot" presses the power button with a note (fake_reboot): QEMU stops at the guest's shutdown, and
 * domain_start_over() resets and continues it.  State and events follow from QEMU's own events, applied before each QMP
 * call returns.
 */
#include "config.h"

#include <signal.h>

#define LOG_AREA "domain.power"
#include "util/log.h"
#include "domain/lifecycle.h"
#include "domain/private.h"
#include "api_enums.h"

/* Refuses all but the ACPI button (the default). */
static int check_way(const Domain *d, unsigned flags, unsigned acpi, unsigned agent, const char *what, Err *err)
{
    if (flags & ~(acpi | agent))
        return err_set_arg(err, "unsupported flags (0x%x) in function %s", flags & ~(acpi | agent), what);
    if (!(flags & agent))
        return 0;
    if (d->state != VIR_DOMAIN_RUNNING)
        return err_set(err, VIR_ERR_OPERATION_INVALID, "domain is not running");
    if (flags != agent)
        return 0; /* the agent if there is one, else the button: there is none */
    for (unsigned i = 0; i < d->live->channels->len; i++) {
        const ChrDef *ch = d->live->channels->pdata[i];
        if (!g_strcmp0(ch->target_name, "org.qemu.guest_agent.0"))
            return err_set(err, VIR_ERR_AGENT_UNRESPONSIVE, "QEMU guest agent is not connected");
    }
    return err_set(err, VIR_ERR_ARGUMENT_UNSUPPORTED, "QEMU guest agent is not configured");
}

static int press(Domain *d, bool reboot, Err *err)
{
    DomainPrivate *p = d->priv;
    bool before = p->fake_reboot;
    p->fake_reboot = reboot;
    domain_mark_changed(d);
    QmpStatus s = domain_qmp_status(d, QMP(SYSTEM_POWERDOWN), NULL, NULL, err);
    if (qmp_status_is_refusal(s)) {
        p->fake_reboot = before;
        domain_mark_changed(d);
    }
    return s == QMP_OK ? 0 : -1;
}

int domain_shutdown(Domain *d, unsigned flags, Err *err)
{
    if (check_way(d, flags, VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN, VIR_DOMAIN_SHUTDOWN_GUEST_AGENT,
                  "qemuDomainShutdownFlags", err) < 0)
        return -1;
    if (d->state != VIR_DOMAIN_RUNNING) /* a guest whose vCPUs stand would power off whenever it is resumed */
        return err_set(err, VIR_ERR_OPERATION_INVALID, "domain is not running");
    return press(d, d->live->on_poweroff == ON_RESTART, err);
}

int domain_reboot(Domain *d, unsigned flags, Err *err)
{
    if (check_way(d, flags, VIR_DOMAIN_REBOOT_ACPI_POWER_BTN, VIR_DOMAIN_REBOOT_GUEST_AGENT, "qemuDomainReboot", err) <
        0)
        return -1;
    return press(d, d->live->on_reboot != ON_DESTROY && d->live->on_reboot != ON_PRESERVE, err);
}

int domain_reset(Domain *d, Err *err)
{
    return domain_qmp(d, "system_reset", NULL, NULL, err);
}

int domain_suspend(Domain *d, Err *err)
{
    DomainPrivate *p = d->priv;
    if (d->state == VIR_DOMAIN_PMSUSPENDED)
        return err_set(err, VIR_ERR_OPERATION_INVALID, "domain is pmsuspended");
    if (d->state == VIR_DOMAIN_PAUSED)
        return 0;
    p->pause_reason = VIR_DOMAIN_PAUSED_USER;
    QmpStatus s = domain_qmp_status(d, QMP(STOP), NULL, NULL, err);
    if (qmp_status_is_refusal(s))
        p->pause_reason = 0;
    return s == QMP_OK ? 0 : -1;
}

int domain_resume(Domain *d, Err *err)
{
    DomainPrivate *p = d->priv;
    if (d->state == VIR_DOMAIN_PMSUSPENDED)
        return err_set(err, VIR_ERR_OPERATION_INVALID, "domain is pmsuspended");
    if (d->state == VIR_DOMAIN_RUNNING)
        return err_set(err, VIR_ERR_OPERATION_INVALID, "domain is already running");
    p->run_reason = VIR_DOMAIN_RUNNING_UNPAUSED;
    if (domain_qmp(d, "cont", NULL, NULL, err) < 0) {
        p->run_reason = 0;
        return -1;
    }
    return 0;
}

int domain_inject_nmi(Domain *d, Err *err)
{
    return domain_qmp(d, "inject-nmi", NULL, NULL, err);
}

int domain_wakeup(Domain *d, Err *err)
{
    return domain_qmp(d, "system_wakeup", NULL, NULL, err);
}

void domain_start_over(Domain *d, void *unused)
{
    DomainPrivate *p = d->priv;
    g_auto(Err) err = ERR_INIT;
    if (!domain_is_active(d) || p->dying)
        return;
    p->fake_reboot = false;
    domain_mark_changed(d);
    if (domain_qmp(d, "system_reset", NULL, NULL, &err) == 0) {
        /* Not before: QEMU's STOP that belongs to the shutdown may only now have been applied, and would look like a pause.  From here
         * on a SHUTDOWN is a new one. */
        p->got_shutdown = false;
        domain_mark_changed(d);
        if (domain_qmp(d, "cont", NULL, NULL, &err) == 0)
            return;
    }
    log_error("%s: does not start over: %s", d->name, err.detail);
    p->stop_reason = VIR_DOMAIN_SHUTOFF_FAILED;
    kill_switch_signal(d, 0, SIGTERM);
}
