/* host/nodestats.c - what this machine is doing: cpu time, memory, KSM
 *
 * Owns:    nothing; every call reads the kernel's present numbers
 * Threads: any
 * Locks:   none
 * Errors:  Err
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#define ERR_FROM VIR_FROM_NONE
#include "util/fd.h"
#include "host/hostfs.h"
#include "host/node.h"
#include "host/private.h"

#define STAT_MAX (4u << 20) /* /proc/stat: a line per cpu and one with a number per interrupt */
#define SYS_NODE "/sys/devices/system/node"
#define SYS_KSM  "/sys/kernel/mm/ksm"

/* ---- processors ------------------------------------------------------------------------------ */

/* The columns of a "cpu" line of /proc/stat that are reported; nothing of guests, which user and nice contain. */
enum { COL_USER, COL_NICE, COL_SYSTEM, COL_IDLE, COL_IOWAIT, COL_IRQ, COL_SOFTIRQ, COL_MAX };

int node_cpu_stats(int cpu, NodeCpuStats *ret, Err *err)
{
    char name[32] = "cpu ";
    if (cpu < NODE_ALL || cpu >= (int)NODE_MAX_CPUS)
        return err_set(err, VIR_ERR_INVALID_ARG, "cpu %d: this host has no such cpu", cpu);
    if (cpu != NODE_ALL)
        g_snprintf(name, sizeof(name), "cpu%d ", cpu);
    g_autofree char *text = NULL;
    int r = hostfs_read(&text, STAT_MAX, "/proc/stat");
    if (r < 0)
        return err_set_errno(err, -r, "cannot read /proc/stat");
    const char *at = text;
    while (at && !g_str_has_prefix(at, name)) {
        at = strchr(at, '\n');
        at = at ? at + 1 : NULL;
    }
    if (!at)
        return err_set(err, VIR_ERR_INVALID_ARG, "cpu %d: this host has no such cpu online", cpu);
    at += strlen(name);
    unsigned long long v[COL_MAX] = {0};
    for (unsigned i = 0; i < COL_MAX; i++) {
        at += strspn(at, " ");
        if (!text_number(&at, &v[i])) {
            if (i <= COL_IDLE)
                return err_set(err, VIR_ERR_INTERNAL_ERROR, "the line '%s' of /proc/stat is not understood",
                               g_strchomp(name));
            break; /* columns that old kernels do not have */
        }
    }
    long hz = sysconf(_SC_CLK_TCK);
    unsigned long long tick = 1000000000ULL / (hz > 0 ? (unsigned long long)hz : 100);
    *ret = (NodeCpuStats){
        .kernel = (v[COL_SYSTEM] + v[COL_IRQ] + v[COL_SOFTIRQ]) * tick,
        .user = (v[COL_USER] + v[COL_NICE]) * tick,
        .idle = v[COL_IDLE] * tick,
        .iowait = v[COL_IOWAIT] * tick,
    };
    return 0;
}

int node_cpu_map(NodeCpuMap *ret, Err *err)
{
    IdSet online, present;
    int r = hostfs_idset(&online, NODE_MAX_CPUS, "/sys/devices/system/cpu/online");
    if (r < 0)
        return err_set_errno(err, -r, "cannot read which cpus are online");
    if (hostfs_idset(&present, NODE_MAX_CPUS, "/sys/devices/system/cpu/present") < 0)
        present = online;
    NodeCpuMap m = {0};
    IDSET_EACH(i, &present)
    m.n = i + 1;
    IDSET_EACH(i, &online)
    m.n = MAX(m.n, i + 1);
    m.bits = g_malloc0((m.n + 7) / 8);
    IDSET_EACH(i, &online)
    m.bits[i / 8] |= (uint8_t)(1u << (i % 8));
    m.online = idset_count(&online);
    *ret = m;
    return 0;
}

void node_cpu_map_done(NodeCpuMap *m)
{
    g_free(m->bits);
    *m = (NodeCpuMap){0};
}

/* ---- memory ---------------------------------------------------------------------------------- */

bool cells_online(IdSet *ret)
{
    if (hostfs_idset(ret, NODE_MAX_CELLS, SYS_NODE "/online") == 0 && idset_count(ret) > 0)
        return true;
    memset(ret, 0, sizeof(*ret));
    idset_add(ret, 0);
    return false;
}

static unsigned last_cell(const IdSet *cells)
{
    unsigned last = 0;
    IDSET_EACH(i, cells)
    last = i;
    return last;
}

static int whole_memory(NodeMemoryStats *ret, Err *err)
{
    g_autofree char *text = NULL;
    int r = hostfs_read(&text, HOSTFS_MEDIUM, "/proc/meminfo");
    if (r < 0)
        return err_set_errno(err, -r, "cannot read /proc/meminfo");
    NodeMemoryStats s = {.whole = true};
    if (!text_field(text, "MemTotal:", &s.total) || !text_field(text, "MemFree:", &s.free))
        return err_set(err, VIR_ERR_INTERNAL_ERROR, "/proc/meminfo does not say how much memory there is");
    text_field(text, "Buffers:", &s.buffers);
    text_field(text, "Cached:", &s.cached);
    *ret = s;
    return 0;
}

static int cell_memory(unsigned cell, NodeMemoryStats *ret, Err *err)
{
    g_autofree char *text = NULL;
    int r = hostfs_read(&text, HOSTFS_MEDIUM, SYS_NODE "/node%u/meminfo", cell);
    if (r < 0)
        return err_set_errno(err, -r, "cannot read the memory of NUMA node %u", cell);
    NodeMemoryStats s = {0};
    if (!text_field(text, "MemTotal:", &s.total) || !text_field(text, "MemFree:", &s.free))
        return err_set(err, VIR_ERR_INTERNAL_ERROR, "the kernel does not say how much memory NUMA node %u has", cell);
    *ret = s;
    return 0;
}

int node_memory_stats(int cell, NodeMemoryStats *ret, Err *err)
{
    if (cell == NODE_ALL)
        return whole_memory(ret, err);
    IdSet cells;
    bool numa = cells_online(&cells);
    if (cell < 0 || !idset_has(&cells, (unsigned)cell))
        return err_set(err, VIR_ERR_INVALID_ARG, "cell %d: cells of this host are 0 to %u", cell, last_cell(&cells));
    return numa ? cell_memory((unsigned)cell, ret, err) : whole_memory(ret, err);
}

/* The sum of the cells, which is what start-up of a guest can draw from; /proc/meminfo where there are none. */
int node_free_memory(unsigned long long *ret, Err *err)
{
    IdSet cells;
    NodeMemoryStats s;
    unsigned long long sum = 0;
    bool numa = cells_online(&cells);
    if (!numa) {
        if (whole_memory(&s, err) < 0)
            return -1;
        sum = s.free;
    } else {
        IDSET_EACH(i, &cells)
        {
            if (cell_memory(i, &s, err) < 0)
                return -1;
            sum += s.free;
        }
    }
    *ret = sum * 1024;
    return 0;
}

int cell_range_error(int start, const IdSet *cells, Err *err)
{
    return err_set(err, VIR_ERR_INTERNAL_ERROR, "cell %d is out of range (0-%u)", start, last_cell(cells));
}

int node_cells_free_memory(int start, unsigned max, unsigned long long *ret, unsigned *ret_n, Err *err)
{
    IdSet cells;
    unsigned n = 0;
    bool numa = cells_online(&cells);
    unsigned last = last_cell(&cells);
    if (start < 0 || (unsigned)start > last)
        return cell_range_error(start, &cells, err);
    for (unsigned i = (unsigned)start; i <= last && n < max; i++, n++) {
        NodeMemoryStats s = {0};
        if (idset_has(&cells, i) && (numa ? cell_memory(i, &s, err) : whole_memory(&s, err)) < 0)
            return -1;
        ret[n] = s.free * 1024;
    }
    *ret_n = n;
    return 0;
}

/* ---- KSM ------------------------------------------------------------------------------------- */

static const struct {
    const char *field, *file;
    bool wide, writable;
} ksm_rows[] = {
    {"shm_pages_to_scan", "pages_to_scan", false, true},
    {"shm_sleep_millisecs", "sleep_millisecs", false, true},
    {"shm_pages_shared", "pages_shared", true, false},
    {"shm_pages_sharing", "pages_sharing", true, false},
    {"shm_pages_unshared", "pages_unshared", true, false},
    {"shm_pages_volatile", "pages_volatile", true, false},
    {"shm_full_scans", "full_scans", true, false},
    {"shm_merge_across_nodes", "merge_across_nodes", false, true},
};
G_STATIC_ASSERT(N_ELEMENTS(ksm_rows) == NODE_KSM_PARAMS);

int node_ksm_get(NodeKsmParam ret[NODE_KSM_PARAMS], unsigned *ret_n, Err *err)
{
    unsigned n = 0;
    for (unsigned i = 0; i < NODE_KSM_PARAMS; i++) {
        unsigned long long v;
        int r = hostfs_number(&v, SYS_KSM "/%s", ksm_rows[i].file);
        if (r == -ENOENT || r == -ENOTDIR)
            continue;
        if (r == 0 && !ksm_rows[i].wide && v > UINT_MAX)
            r = -ERANGE;
        if (r < 0)
            return err_set_errno(err, -r, "cannot read %s of the kernel's page sharing", ksm_rows[i].file);
        ret[n++] = (NodeKsmParam){ksm_rows[i].field, ksm_rows[i].wide, ksm_rows[i].writable, v};
    }
    *ret_n = n;
    return 0;
}

static int ksm_row(const char *field, Err *err)
{
    for (unsigned i = 0; i < NODE_KSM_PARAMS; i++) {
        if (strcmp(ksm_rows[i].field, field) == 0 && ksm_rows[i].writable &&
            hostfs_exists(SYS_KSM "/%s", ksm_rows[i].file))
            return (int)i;
    }
    return err_set(err, VIR_ERR_ARGUMENT_UNSUPPORTED, "parameter '%s' cannot be set on this host", field);
}

int node_ksm_check(const char *field, Err *err)
{
    return ksm_row(field, err) < 0 ? -1 : 0;
}

int node_ksm_set(const char *field, unsigned long long value, Err *err)
{
    int row = ksm_row(field, err);
    if (row < 0)
        return -1;
    g_autofree char *path = hostfs_path(SYS_KSM "/%s", ksm_rows[row].file);
    g_autofree char *text = g_strdup_printf("%llu", value);
    AUTO_CLOSE int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC | O_NONBLOCK);
    int r = fd < 0 ? -errno : fd_write_all(fd, text, strlen(text));
    return r < 0 ? err_set_errno(err, -r, "failed to set %s", field) : 0;
}
