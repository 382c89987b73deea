/* domain/reconnect.h - finding a running machine again, and asking QEMU what it missed
 */
#pragma once

#include "domain/domain.h"

/* Under RECONNECT (or QUERY) job and lock: asks QEMU for all that events tell, and feeds every difference through the
 * same handlers. The lock is released meanwhile. */
int domain_resync(Domain *d, Err *err);
/* Queues a task that takes a job of its own and resyncs.  Lock held. */
void domain_resync_later(Domain *d);
/* The monitor of a dying machine ended, its process did not: connects again.  True: the machine goes on.  Under an exclusive
 * job and the lock, which is released meanwhile. */
bool domain_revive(Domain *d);
/* Reconnects one machine read from a status file; runs as a task under the RECONNECT job, lock held. */
void domain_reconnect(Domain *d, void *unused);
/* Makes the machine run as its status file tells.  At start, before anything else looks at it; takes the record's
 * contents. */
struct StatusRecord;
void domain_load_status(Domain *d, struct StatusRecord *rec);
