/* daemon/access.h - who may do what
 *
 * The gate asks for every call, the list handlers for every object of a list, the event hub for every event.  Drivers are those of
 * access_drivers; all of them must allow.  None: whoever passed authentication may do what the read-only mark of its connection allows.
 *
 * Nothing here blocks an event thread: "berth" decides from compiled rules (access_rules.h), "polkit" is asked asynchronously, which makes a
 * step of the gate of it (daemon/polkit_check.h).
 */
#pragma once

#include "daemon/access_rules.h"
#include "daemon/call.h"

typedef struct Access Access;
struct DomainEvent;
struct Polkit;

/* rules_path: directory of the driver "berth", polkit: of the driver "polkit", which is the caller's; NULL: the driver is off.  NULL: a rule
 * is wrong. */
Access *access_new(const char *rules_path, struct Polkit *polkit, Err *err);
Access *access_free(Access *a); /* NULL */
/* Reads the rules again; those in force stay when one is wrong. */
int access_reload(Access *a, Err *err);
/* Are the rules in order?  For --check-config and for a reload that must be all or nothing. */
int access_check_rules(const char *rules_path, Err *err);

/* Refuses what no object could make right, before the object is looked for: so nobody learns which objects there are. */
int access_check_early(Call *call, Err *err);
/* Does the caller have every permission the procedure's row asks for, with these arguments and the object the gate found?  0 yes, -1 no, 1:
 * it is asked, and `then` runs on the client event thread when the answer is in call->err. */
int access_check(Call *call, void (*then)(Call *call), Err *err);
/* Is the object still called what it was when access_check looked?  Lock of the machine held. */
int access_check_again(const Call *call, Err *err);
/* The row's permissions on an object only the handler finds (KEY_LATE): a definition's name and uuid.  Before anything is done.  On a worker
 * without lock or job: polkit is waited for. */
int access_check_late(Call *call, const char *name, const uint8_t *uuid, Err *err);

/* May the call's caller see every machine there is, by the filter of the row, without a look at each? */
bool access_sees_all_domains(const Call *call);
/* May it see this one in its list? */
bool access_domain_visible(const Call *call, const DomainView *v);
/* May the caller learn of this one from a message?  Where polkit decides: no, it is not asked for that. */
bool access_domain_known(const Call *call, const DomainView *v);

typedef enum {
    ACCESS_NO,
    ACCESS_YES,
    ACCESS_ASK, /* by access_event_ask */
} AccessAnswer;

/* May this connection get the event?  The machine may be gone by now. */
AccessAnswer access_event(const RpcConn *conn, const struct DomainEvent *e);
void access_event_ask(RpcConn *conn, const struct DomainEvent *e, void (*done)(void *ud, bool allowed), void *ud);

/* "uid 1000, SASL user joe": the caller in refusals, in the log and in audit records.  Caller frees. */
char *access_who(const RpcConn *conn);
/* What the connection keeps of it; freed with the client. */
void access_forget(Client *cl);
