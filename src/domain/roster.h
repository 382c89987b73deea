/* domain/roster.h - all machines at one moment, for lists
 *
 * Made when somebody lists and kept until a machine comes, goes or changes, so that listing an unchanged host touches no machine.
 */
#pragma once

#include "domain/domain.h"

typedef struct DomainRoster {
    gint refs;
    GPtrArray *views; /* DomainView*, references, in the order in which they were defined; their job part may be older */
    GBytes *encoded;  /* domain_roster_encoded() */
} DomainRoster;

/* All machines as they are now: whatever was published before the call is in it.  Any thread; a reference for the caller. */
DomainRoster *domain_roster(DomainDriver *drv);
void *domain_roster_unref(DomainRoster *r); /* NULL */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DomainRoster, domain_roster_unref)

/* What `encode` makes of the views, made once a roster.  A reference for the caller. */
GBytes *domain_roster_encoded(DomainRoster *r, GBytes *(*encode)(const GPtrArray *views));
