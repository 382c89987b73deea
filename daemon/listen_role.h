/* daemon/listen_role.h - what a socket is for
 */
#pragma once

#include "util/err.h"

typedef enum {
    LISTEN_RW,
    LISTEN_RO,
    LISTEN_ADMIN,
    LISTEN_TCP,
    LISTEN_TLS,
    LISTEN_ROLE_MAX,
} ListenRole;

extern const char *const listen_role_names[LISTEN_ROLE_MAX];

/* libvirt's modular daemons, whose socket names lead here too; ends with NULL. */
extern const char *const listen_modular_daemons[];

/* Tells what a listening socket of the service manager is for: by its name (FileDescriptorName of its unit, or the unit's own), and by its
 * address where the name says nothing.  One that is of another kind than its name says, or whose name and path contradict each other, is
 * refused: a mistake in a unit must not open more than was meant.  *ret_where is its path or address for people; the caller frees it.  0 or -1. */
int listen_role_find(int fd, const char *name, ListenRole *ret, char **ret_where, Err *err);

/* Did the service manager hand over a socket of that kind?  Until listen_open has taken them. */
bool listen_role_handed_over(ListenRole role);
