/* daemon/confine.h - the privileges the daemon keeps
 */
#pragma once

#include "util/err.h"

/* Gives up every capability not in the list of confine.c, for good and for all children, and the means to win any back (no_new_privs).
 * Before any thread is started: a thread has the capabilities of the one that started it.  No effect on a daemon without privileges. */
int confine(Err *err);
