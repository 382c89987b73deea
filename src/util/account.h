/* util/account.h - the account database
 */
#pragma once

#include <sys/types.h>

#include "base.h"

/* The number of the group, however many members it has.  Like getgrnam_r(): 0 or what kept the database from answering, *ret_found says whether
 * there is such a group.  May sleep. */
int account_find_group(const char *name, gid_t *ret, bool *ret_found);
