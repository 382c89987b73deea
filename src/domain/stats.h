/* domain/stats.h - what a machine did: counters from QEMU and from the host
 *
 * Counters of QEMU (block devices, balloon) are asked beside any job, as queries without effect, all machines at once, and what was
 * answered last is kept.  A machine that still owes an answer is not asked again and not waited for: its last numbers and their age
 * stand.  Counters of the host (cpu, interfaces) are read when wanted; they cannot hang.
 *
 * Threads: refresh sleeps (workers); the rest any.  Locks: the slot's (leaf).
 */
#pragma once

#include "domain/domain.h"

#define STATS_FRESH_MS 150u /* how long a call waits for fresh numbers while no guest answers at all */

typedef struct DomainBlockStats {
    char *alias;     /* of the device, "virtio-disk0" */
    char *node;      /* node name of the layer: matches a StorageSource by index */
    unsigned depth;  /* 0: top of the chain */
    uint64_t rd_reqs, rd_bytes, rd_ns, wr_reqs, wr_bytes, wr_ns, fl_reqs, fl_ns;
    uint64_t allocation; /* highest offset written, bytes */
    uint64_t capacity, physical; /* bytes; 0: not known */
    int io_error; /* VIR_DOMAIN_DISK_ERROR_* the guest was stopped for */
} DomainBlockStats;

/* The last measurement of how fast the guest writes its memory. */
typedef struct DirtyRate {
    int status;    /* VIR_DOMAIN_DIRTYRATE_* */
    int64_t start_s;
    int period_s;
    unsigned mode; /* VIR_DOMAIN_DIRTYRATE_MODE_* */
    int64_t mib_per_s;
} DirtyRate;

/* Immutable once in the slot. */
typedef struct DomainStats {
    gint refs;
    uint64_t taken_us; /* monotonic: when QEMU answered */
    GArray *blocks;    /* DomainBlockStats */
    uint64_t balloon_kib; /* 0: no balloon */
    /* guest's own numbers by VIR_DOMAIN_MEMORY_STAT_* tag; valid where the bit of mem_set is */
    uint64_t mem[16];
    unsigned mem_set;
    bool dirty_known;
    DirtyRate dirty;
} DomainStats;

typedef struct StatsSlot StatsSlot;

StatsSlot *stats_slot_new(void);
void stats_slot_free(StatsSlot *s);

DomainStats *domain_stats_ref(DomainStats *s);
void domain_stats_unref(DomainStats *s);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DomainStats, domain_stats_unref)

/* The last sample of this life, a reference; NULL when there is none. */
DomainStats *domain_stats_last(Domain *d);
/* At the end of a life: a sample never outlives its machine's run. */
void domain_stats_reset(Domain *d);
/* Asks all these machines at once and waits until each has answered, none of the rest can (stopped, asleep in the kernel), or nobody has
 * for silence_ms.  Machines that are off, or owe an answer from before, are not waited for. */
void domain_stats_refresh(Domain *const *doms, unsigned n, unsigned silence_ms);
/* Asks and does not wait: the answers are the last known numbers of whoever looks next.  Any thread. */
void domain_stats_ask(Domain *const *doms, unsigned n);
/* The counters of one disk's top layer (depth 0) or of a backing layer. */
const DomainBlockStats *domain_stats_block(const DomainStats *s, const char *alias, unsigned depth);

/* User plus system time of the QEMU process in ns; 0 when it is gone. */
uint64_t domain_view_cpu_time_ns(const DomainView *v);
