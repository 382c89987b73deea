/* host/linkstat.h - counters of network interfaces
 */
#pragma once

#include "base.h"

typedef struct LinkStats {
    char name[32];
    uint64_t rx_bytes, rx_packets, rx_errs, rx_drop;
    uint64_t tx_bytes, tx_packets, tx_errs, tx_drop;
} LinkStats;

/* All interfaces of our network namespace in one read: an array of LinkStats, caller unrefs; NULL when the kernel's list is unreadable
 * or larger than a bound (16 MiB). */
GArray *host_link_stats(void);
/* The row of one interface, or NULL. */
const LinkStats *link_stats_find(const GArray *all, const char *name);
