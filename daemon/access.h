/* daemon/access.h - who may do what
 *
 * The gate asks for every call, the list handlers for every object of a list, the event hub for every event.  The only driver now is
 * "none": whoever passed authentication may do everything the read-only mark of its connection allows.  polkit and Berth's own rules
 * come in behind these functions.  They never block: an answer that needs asking is an asynchronous step of the gate.
 */
#pragma once

#include "daemon/call.h"

/* May it see every machine there is, without a look at each? */
bool access_sees_all_domains(const RpcConn *conn);
/* May this connection see the object in lists and events (aclfilter of the procedure)? */
bool access_domain_visible(const RpcConn *conn, const DomainView *v);
struct DomainEvent;
/* The same for events of a machine, which may be gone by now. */
bool access_event_visible(const RpcConn *conn, const struct DomainEvent *e);
/* Does the caller have every permission the procedure's row asks for, with these arguments? */
int access_check(Call *call, Err *err);
