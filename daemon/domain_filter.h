/* daemon/domain_filter.h - which machines a list call means
 */
#pragma once

#include "daemon/call.h"

/* Views (DomainView*, references, free func set) of all machines the caller may see and `flags` (VIR_CONNECT_LIST_DOMAINS_*; within
 * a group of flags any may hold, groups without a flag do not count) let through, in the order they were defined.  Shared: not to be
 * changed. */
GPtrArray *domain_filter_list(Call *call, unsigned flags);
bool domain_filter_match(const DomainView *v, unsigned flags);
