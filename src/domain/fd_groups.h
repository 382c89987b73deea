/* domain/fd_groups.h - descriptors clients associate with a machine, for <source fdgroup=>
 *
 * A group lives as long as the connection that brought it, until another one takes its name, or until the machine goes.  A running QEMU
 * has duplicates of its own.
 */
#pragma once

#include "domain/domain.h"
#include "util/fdgroup.h"

#define FD_GROUPS_MAX     256u /* of one machine */
#define FD_GROUP_NAME_MAX 255u

/* Stores the group (stolen, also on failure) under its name, its owner being the connection's id.  Client event thread, so that the end of
 * the connection comes after it.  -1: too many groups, or too long a name. */
int domain_fd_associate(Domain *d, FdGroup *g, Err *err);
/* The groups of now: FdGroup* with a reference each; any thread.  Free with g_ptr_array_unref where closing may sleep. */
GPtrArray *domain_fd_groups(Domain *d);
/* One group by name with a reference, or NULL. */
FdGroup *domain_fd_group(Domain *d, const char *name);
/* The connection has ended: a worker closes what it brought, of all machines. */
void domain_fd_groups_drop(DomainDriver *drv, uint64_t conn_id);
