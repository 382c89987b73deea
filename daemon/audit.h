/* daemon/audit.h - a record of everything clients change
 *
 * One record for each call that changes something, each that was refused for who made it, each connection that was opened: who, from where,
 * which procedure, which object, with what result.  Names and numbers only: no argument, no XML, no text of an error, so no secret.
 *
 * Records wait in a bounded queue for a thread that writes them.  What does not fit is counted, and the count is a record of its own.  A daemon
 * that is killed leaves calls under way and records not yet written in slots (audit_slots.h), which the next one makes records of.
 */
#pragma once

#include "daemon/call.h"

typedef struct Audit Audit;
typedef struct AuditRecord AuditRecord;

typedef struct AuditSpec {
    int level;        /* 0: none, 1: where there is a place for them, 2: the daemon does not start without */
    bool logged;      /* to the log as well */
    const char *file; /* one JSON object a line; NULL: to the journal */
} AuditSpec;

/* slots_path: the file of calls under way.  NULL: the file of records cannot be opened, or level 2 and there is no journal. */
Audit *audit_new(const AuditSpec *spec, const char *slots_path, Err *err);
/* Takes new settings and opens the file anew, which may have been renamed.  -1: the old ones stay. */
int audit_reload(Audit *a, const AuditSpec *spec, Err *err);
/* Writes what waits; records that come later are dropped.  For a daemon that leaves its threads behind. */
void audit_stop(Audit *a);
/* Stops, then frees.  NULL is fine. */
Audit *audit_free(Audit *a); /* NULL */
/* A call that may be carried out begins: from here on it leaves a record, whatever becomes of the daemon.  Client event thread, never waits. */
void audit_begin(Audit *a, Call *call);
/* Its late_name and late_uuid are known, nothing is done yet. */
void audit_named(Audit *a, const Call *call);
/* The call has ended, call->err says how.  Any thread, never waits. */
void audit_call(Audit *a, Call *call);
/* The same for a call of the administration that changes something; `proc` is constant, server NULL: none in particular.  Client event thread.
 * NULL: nobody wants records. */
AuditRecord *audit_admin_begin(Audit *a, RpcConn *conn, const char *proc, const char *server);
/* Takes the record; NULL is fine.  Any thread. */
void audit_admin_end(Audit *a, AuditRecord *r, int code);
