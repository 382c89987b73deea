/* domain/lifecycle.h - define, start, stop, and what lies between
 *
 * Functions on a Domain expect its lock and the job named, and return with both held.
 */
#pragma once

#include "domain/domain.h"

/* Whose document it is, and what they may. */
struct DefinitionCheck {
    /* Asked once its name and uuid are known and before anything is done with it; no lock held.  -1 with Err refuses it. */
    int (*allowed)(void *ud, const char *name, const uint8_t *uuid, Err *err);
    /* May the client learn the name of this machine, which has the document's uuid? */
    bool (*may_know)(void *ud, const DomainView *other);
    void *ud;
    gint *gone; /* atomic: they have left, and a definition that still waits for its turn is not written; NULL: they stay */
};

/* DEFINE_XML(_FLAGS).  No job: a definition can change while the guest is busy.  flags: VIR_DOMAIN_DEFINE_VALIDATE.  Durable before
 * return.  check may be NULL.  Returns a reference. */
Domain *domain_define_checked(DomainDriver *drv, const char *xml, unsigned flags, const DefinitionCheck *check, Err *err);
static inline Domain *domain_define(DomainDriver *drv, const char *xml, unsigned flags, Err *err)
{
    return domain_define_checked(drv, xml, flags, NULL, err);
}
/* UNDEFINE(_FLAGS).  flags: VIR_DOMAIN_UNDEFINE_*.  Lock and MODIFY job. */
int domain_undefine(Domain *d, unsigned flags, Err *err);
/* CREATE_XML(_FLAGS): a transient machine, or a start of the defined one with the same name and uuid.  Takes its own job (may sleep).
 * fds/n_fds: descriptors for init (always refused on QEMU).  owner_conn: for AUTODESTROY, 0 none.  check may be NULL.  Returns a reference. */
Domain *domain_create_xml_checked(DomainDriver *drv, const char *xml, unsigned flags, uint64_t owner_conn, const DefinitionCheck *check,
                                  Err *err);
static inline Domain *domain_create_xml(DomainDriver *drv, const char *xml, unsigned flags, uint64_t owner_conn, Err *err)
{
    return domain_create_xml_checked(drv, xml, flags, owner_conn, NULL, err);
}
/* CREATE(_WITH_FLAGS): VIR_DOMAIN_START_*.  Lock and MODIFY job, inactive. */
int domain_start(Domain *d, unsigned flags, uint64_t owner_conn, Err *err);
/* DESTROY(_FLAGS).  Called WITHOUT job and lock, before the DESTROY job is asked for: signals QEMU by pidfd at once (SIGTERM, or
 * SIGKILL unless GRACEFUL after its grace).  No effect when off. */
void domain_kill(Domain *d, unsigned flags);
/* The rest, under the DESTROY job and lock: waits for the process (deadline), tears down, publishes STOPPED/DESTROYED. */
int domain_destroy(Domain *d, unsigned flags, Err *err);
/* MODIFY job. flags: VIR_DOMAIN_SHUTDOWN_*, VIR_DOMAIN_REBOOT_*.  Shutting down refuses a machine that does not run, also a paused one; rebooting
 * wants it active. */
int domain_shutdown(Domain *d, unsigned flags, Err *err);
int domain_reboot(Domain *d, unsigned flags, Err *err);
int domain_reset(Domain *d, Err *err);
int domain_suspend(Domain *d, Err *err);
int domain_resume(Domain *d, Err *err);
int domain_inject_nmi(Domain *d, Err *err);
/* Wakes a guest that suspended itself to memory; QEMU refuses when it did not. */
int domain_wakeup(Domain *d, Err *err);
/* Lock held, no job. */
int domain_set_autostart(Domain *d, bool on, Err *err);
/* MODIFY job, inactive. */
int domain_rename(Domain *d, const char *new_name, Err *err);
/* Lock held, no job; publishes METADATA_CHANGE.  flags: AFFECT_*. */
int domain_set_metadata(Domain *d, int type, const char *text, const char *key, const char *uri, unsigned flags, Err *err);
/* Kills machines started with AUTODESTROY by this connection; posted by the daemon when a connection closes.  Any thread. */
void domain_autodestroy(DomainDriver *drv, uint64_t conn_id);
