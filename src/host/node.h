/* host/node.h - facts about this machine
 *
 * All of it comes from bounded reads of /proc and /sys: no fork, no D-Bus, no DNS.  Nothing in those files is trusted: a number that
 * does not parse is as if the file were missing, identifiers are capped (NODE_MAX_*), and a fact that is missing has the documented
 * fallback.  The functions may be called from any thread; they read a handful of small files and never sleep on anything else, so they
 * belong into the FAST lane (the topology, cached, into any lane).
 */
#pragma once

#include "util/err.h"

#define NODE_MAX_CPUS 8192u  /* highest cpu id + 1 that is looked at */
#define NODE_MAX_CELLS 1024u /* NUMA nodes */
#define NODE_MAX_PAGE_SIZES 16u

/* ---- node.c: the machine in one line ---------------------------------------------------------------------------------------- */

/* As virNodeGetInfo: sockets is per cell, cores per socket, threads per core, when the machine is that regular; else the whole machine
 * is told as one cell of one socket with as many cores as there are cpus (so nodes * sockets * cores * threads >= cpus always). */
typedef struct NodeInfo {
    char arch[32];             /* libvirt's name: "x86_64" */
    unsigned long long memory_kib;
    unsigned cpus;             /* online */
    unsigned mhz;              /* 0: unknown */
    unsigned nodes;
    unsigned sockets;
    unsigned cores;
    unsigned threads;
} NodeInfo;

int node_info(NodeInfo *ret, Err *err);
/* Highest cpu id that is present + 1 (what cpu maps are measured by); at least 1. */
unsigned node_max_cpus(void);
/* libvirt's name of this machine's architecture; constant. */
const char *node_arch(void);
/* The host's name, at most 255 bytes, UTF-8; never asks DNS.  A short name is completed only by what /etc/hosts says.  Caller frees. */
char *node_hostname(Err *err);
/* The UUID of the machine: the firmware's (/sys/class/dmi/id/product_uuid) unless that is trivial or unreadable, else the one kept in
 * `state_path`, which is made on first use (NULL: a random one for this process).  Constant for the life of the process. */
int node_uuid(const char *state_path, uint8_t ret[UUID_LEN], Err *err);

/* /dev/kvm: what there is, not whether a guest works with it (qemu/caps.h knows that). */
typedef enum NodeKvm {
    NODE_KVM_MISSING,    /* no device */
    NODE_KVM_FORBIDDEN,  /* there, but this process may not open it */
    NODE_KVM_BROKEN,     /* opens, but is not a KVM of API version 12 */
    NODE_KVM_PRESENT,
} NodeKvm;
NodeKvm node_kvm(void);
/* What the kernel's KVM allows (KVM_CAP_MAX_VCPUS), 0 when node_kvm() is not NODE_KVM_PRESENT. */
unsigned node_kvm_max_vcpus(void);
/* True if the kernel runs IOMMU groups (device assignment is possible). */
bool node_iommu(void);

/* Bits of what /sys/power/state offers; numbers are virNodeSuspendTarget. */
typedef enum NodeSuspend {
    NODE_SUSPEND_MEM = 1 << 0,
    NODE_SUSPEND_DISK = 1 << 1,
    NODE_SUSPEND_HYBRID = 1 << 2,
} NodeSuspend;
unsigned node_suspend_targets(void);

/* ---- topology.c: cells and cpus, for capabilities ---------------------------------------------------------------------------- */

typedef struct NodeCpu {
    unsigned id;
    int socket_id;       /* physical_package_id; 0 when unknown */
    int die_id;
    int core_id;
    char *siblings;      /* threads of the core: "0-1", "0,4"; canonical, includes the cpu itself */
} NodeCpu;

typedef struct NodePages {
    unsigned size_kib;          /* 4, 2048, 1048576; ascending */
    unsigned long long total;   /* pages of that size; small pages: memory that is not in huge ones */
} NodePages;

typedef struct NodeCell {
    unsigned id;
    unsigned long long memory_kib;
    unsigned n_pages;
    NodePages pages[NODE_MAX_PAGE_SIZES];
    unsigned n_distances;       /* 0 when the kernel says nothing; else one for each of the topology's cells */
    struct NodeDistance {
        unsigned cell;
        unsigned value;         /* 10: itself */
    } *distances;
    unsigned n_cpus;
    NodeCpu *cpus;              /* ascending; those online, no others have a place in the topology */
} NodeCell;

typedef enum NodeCacheType {
    NODE_CACHE_BOTH,
    NODE_CACHE_CODE,
    NODE_CACHE_DATA,
    NODE_CACHE_TYPE_MAX,
} NodeCacheType;
extern const char *const node_cache_types[NODE_CACHE_TYPE_MAX]; /* "both", "code", "data" */

typedef struct NodeCacheBank {  /* one element <bank> of capabilities */
    unsigned id, level;
    NodeCacheType type;
    unsigned long long size_kib;
    char *cpus;                 /* "0-1" */
} NodeCacheBank;

/* Immutable, shared by reference. */
typedef struct NodeTopology {
    gint refs;
    unsigned n_cells;           /* at least 1: a host without NUMA is one cell 0 */
    NodeCell *cells;            /* ascending by id */
    unsigned n_cpus;            /* online */
    unsigned max_cpu;           /* highest present cpu id */
    bool numa;                  /* the kernel has NUMA: /sys/devices/system/node exists; else the cell has neither pages nor distances */
    unsigned n_page_sizes;      /* of the host, ascending KiB, the base page first */
    unsigned page_sizes[NODE_MAX_PAGE_SIZES];
    unsigned n_caches;          /* level 3 and above, in order of level, type and id */
    NodeCacheBank *caches;
} NodeTopology;

/* The topology; read again at most every few seconds, so cpus and memory that come and go are seen.  NULL with err set.  One reference
 * for the caller. */
NodeTopology *node_topology(Err *err);
NodeTopology *node_topology_ref(NodeTopology *t);
void *node_topology_unref(NodeTopology *t); /* NULL */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(NodeTopology, node_topology_unref)
const NodeCell *node_topology_cell(const NodeTopology *t, unsigned id); /* or NULL */

/* ---- nodestats.c: numbers of now --------------------------------------------------------------------------------------------- */

#define NODE_ALL (-1) /* VIR_NODE_CPU_STATS_ALL_CPUS, VIR_NODE_MEMORY_STATS_ALL_CELLS */

typedef struct NodeCpuStats { /* ns since boot */
    unsigned long long kernel, user, idle, iowait;
} NodeCpuStats;
/* Of one cpu, or NODE_ALL of them together.  Unknown cpu: VIR_ERR_INVALID_ARG. */
int node_cpu_stats(int cpu, NodeCpuStats *ret, Err *err);

typedef struct NodeMemoryStats { /* KiB */
    unsigned long long total, free, buffers, cached;
    bool whole; /* of the whole machine: buffers and cached are known */
} NodeMemoryStats;
/* Of one cell, or NODE_ALL.  Unknown cell: VIR_ERR_INVALID_ARG. */
int node_memory_stats(int cell, NodeMemoryStats *ret, Err *err);
/* Bytes. */
int node_free_memory(unsigned long long *ret, Err *err);
/* Free bytes of cells start .. start+max-1 as far as they exist; *ret_n of them, 0 for an id between that is no cell.  A start beyond
 * the last: VIR_ERR_INTERNAL_ERROR, as clients know it. */
int node_cells_free_memory(int start, unsigned max, unsigned long long *ret, unsigned *ret_n, Err *err);
typedef struct NodeCpuMap {
    unsigned n;            /* bits: highest present id + 1 */
    unsigned online;       /* how many are set */
    uint8_t *bits;         /* (n + 7) / 8 bytes, little-endian bit order; cpus online */
} NodeCpuMap;
int node_cpu_map(NodeCpuMap *ret, Err *err);
void node_cpu_map_done(NodeCpuMap *m);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(NodeCpuMap, node_cpu_map_done)

/* KSM of the kernel; rows are VIR_NODE_MEMORY_* names. */
typedef struct NodeKsmParam {
    const char *field;      /* "shm_pages_to_scan" */
    bool wide;              /* an unsigned long long on the wire, else unsigned */
    bool writable;
    unsigned long long value;
} NodeKsmParam;
#define NODE_KSM_PARAMS 8u
/* Those the kernel has; *ret_n may be 0 (no KSM). */
int node_ksm_get(NodeKsmParam ret[NODE_KSM_PARAMS], unsigned *ret_n, Err *err);
/* Unknown, read-only or not in this kernel: VIR_ERR_ARGUMENT_UNSUPPORTED; refused by the kernel: VIR_ERR_SYSTEM_ERROR. */
int node_ksm_check(const char *field, Err *err); /* the same refusals, nothing set */
int node_ksm_set(const char *field, unsigned long long value, Err *err);

/* ---- nodepages.c: pages of every size ---------------------------------------------------------------------- */

/* Free pages of `size_kib` of one cell (NODE_ALL: of the machine).  Unknown size or cell: VIR_ERR_OPERATION_FAILED,
 * VIR_ERR_INTERNAL_ERROR. */
int node_free_pages(unsigned size_kib, int cell, unsigned long long *ret, Err *err);
/* Sets the pool of huge pages of one cell (NODE_ALL: of the machine, spread as the kernel likes) to `count`, or adds them to it.  Takes
 * as long as the kernel needs to make room.  The errors above; VIR_ERR_OPERATION_FAILED when it made fewer. */
int node_alloc_pages(unsigned size_kib, int cell, unsigned long long count, bool add, Err *err);
