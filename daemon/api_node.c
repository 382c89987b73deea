/* daemon/api_node.c - the machine the daemon runs on: cpus, memory, name, firmware, suspend
 *
 * Owns:    nothing; src/host knows, here it is put into replies.  Everything but the security model reads files of
 * /proc and /sys, which is why none of it runs on the event thread.
 */
#include "config.h"

#include <limits.h>
#include <string.h>

#define ERR_FROM VIR_FROM_NONE
#include "host/node.h"
#include "host/sysinfo.h"
#include "daemon/api.h"
#include "daemon/wire.h"
#include "api_enums.h"
#include "api_strings.h"

#define SUSPEND_MIN_SECONDS 60u

/* ---- the machine ----------------------------------------------------------------------------- */

int api_node_get_info(Call *call, remote_node_get_info_ret *ret, Err *err)
{
    NodeInfo info;
    if (node_info(&info, err) < 0)
        return -1;
    G_STATIC_ASSERT(sizeof(ret->model) == sizeof(info.arch));
    memcpy(ret->model, info.arch, sizeof(ret->model));
    ret->memory = info.memory_kib;
    ret->cpus = (int)info.cpus;
    ret->mhz = (int)info.mhz;
    ret->nodes = (int)info.nodes;
    ret->sockets = (int)info.sockets;
    ret->cores = (int)info.cores;
    ret->threads = (int)info.threads;
    return 0;
}

int api_connect_get_hostname(Call *call, remote_connect_get_hostname_ret *ret, Err *err)
{
    ret->hostname = arena_take(&call->arena, node_hostname(err));
    return ret->hostname ? 0 : -1;
}

int api_connect_get_sysinfo(Call *call, const remote_connect_get_sysinfo_args *args,
                            remote_connect_get_sysinfo_ret *ret, Err *err)
{
    ret->sysinfo = arena_take(&call->arena, sysinfo_host_xml(err));
    return ret->sysinfo ? 0 : -1;
}

int api_node_get_security_model(Call *call, remote_node_get_security_model_ret *ret, Err *err)
{
    /* the arrays hold C strings, NUL included */
    static const char model[] = "none", doi[] = "0";
    ret->model.model_val = arena_memdup(&call->arena, model, sizeof(model));
    ret->model.model_len = sizeof(model);
    ret->doi.doi_val = arena_memdup(&call->arena, doi, sizeof(doi));
    ret->doi.doi_len = sizeof(doi);
    return 0;
}

/* ---- cpus ------------------------------------------------------------------------------------ */

/* How many parameters the caller has room for: none (it asks for the number) or exactly as many as there are. */
static int check_room(int asked, int bound, int have, Err *err)
{
    if (asked < 0 || asked > bound)
        return err_set_full(err, VIR_FROM_RPC, VIR_ERR_INTERNAL_ERROR, 0, "nparams is %d, at most %d are possible",
                            asked, bound);
    if (asked && asked != have)
        return err_set(err, VIR_ERR_INVALID_ARG, "nparams is %d, it must be %d", asked, have);
    return 0;
}

int api_node_get_cpu_stats(Call *call, const remote_node_get_cpu_stats_args *args, remote_node_get_cpu_stats_ret *ret,
                           Err *err)
{
    NodeCpuStats s;
    if (args->cpuNum < NODE_ALL)
        return err_set(err, VIR_ERR_INVALID_ARG, "cpuNum is %d; of negative values only -1, all cpus, has a meaning",
                       args->cpuNum);
    if (check_room(args->nparams, REMOTE_NODE_CPU_STATS_MAX, 4, err) < 0)
        return -1;
    if (args->nparams == 0) {
        ret->nparams = 4;
        return 0;
    }
    if (node_cpu_stats(args->cpuNum, &s, err) < 0)
        return -1;
    remote_node_get_cpu_stats *v = arena_array(&call->arena, remote_node_get_cpu_stats, 4);
    v[0] = (remote_node_get_cpu_stats){arena_strdup(&call->arena, VIR_NODE_CPU_STATS_KERNEL), s.kernel};
    v[1] = (remote_node_get_cpu_stats){arena_strdup(&call->arena, VIR_NODE_CPU_STATS_USER), s.user};
    v[2] = (remote_node_get_cpu_stats){arena_strdup(&call->arena, VIR_NODE_CPU_STATS_IDLE), s.idle};
    v[3] = (remote_node_get_cpu_stats){arena_strdup(&call->arena, VIR_NODE_CPU_STATS_IOWAIT), s.iowait};
    ret->params.params_val = v;
    ret->params.params_len = 4;
    return 0;
}

int api_node_get_cpu_map(Call *call, const remote_node_get_cpu_map_args *args, remote_node_get_cpu_map_ret *ret,
                         Err *err)
{
    g_auto(NodeCpuMap) m = {0};
    if (node_cpu_map(&m, err) < 0)
        return -1;
    G_STATIC_ASSERT((NODE_MAX_CPUS + 7) / 8 <= REMOTE_CPUMAP_MAX);
    if (args->need_map) {
        ret->cpumap.cpumap_len = (m.n + 7) / 8;
        ret->cpumap.cpumap_val = arena_memdup(&call->arena, m.bits, ret->cpumap.cpumap_len);
    }
    if (args->need_online)
        ret->online = m.online;
    ret->ret = (int)m.n;
    return 0;
}

/* ---- memory ---------------------------------------------------------------------------------- */

int api_node_get_memory_stats(Call *call, const remote_node_get_memory_stats_args *args,
                              remote_node_get_memory_stats_ret *ret, Err *err)
{
    NodeMemoryStats s;
    if (args->cellNum < NODE_ALL)
        return err_set(err, VIR_ERR_INVALID_ARG, "cellNum is %d; of negative values only -1, all cells, has a meaning",
                       args->cellNum);
    if (node_memory_stats(args->cellNum, &s, err) < 0)
        return -1;
    /* of one cell, the kernel does not count buffers and page cache */
    int n = args->cellNum == NODE_ALL ? 4 : 2;
    if (check_room(args->nparams, REMOTE_NODE_MEMORY_STATS_MAX, n, err) < 0)
        return -1;
    if (args->nparams == 0) {
        ret->nparams = n;
        return 0;
    }
    const remote_node_get_memory_stats all[] = {
        {arena_strdup(&call->arena, VIR_NODE_MEMORY_STATS_TOTAL), s.total},
        {arena_strdup(&call->arena, VIR_NODE_MEMORY_STATS_FREE), s.free},
        {arena_strdup(&call->arena, VIR_NODE_MEMORY_STATS_BUFFERS), s.buffers},
        {arena_strdup(&call->arena, VIR_NODE_MEMORY_STATS_CACHED), s.cached},
    };
    ret->params.params_val = arena_memdup(&call->arena, all, (size_t)n * sizeof(all[0]));
    ret->params.params_len = (unsigned)n;
    return 0;
}

int api_node_get_free_memory(Call *call, remote_node_get_free_memory_ret *ret, Err *err)
{
    unsigned long long bytes;
    if (node_free_memory(&bytes, err) < 0)
        return -1;
    ret->freeMem = bytes;
    return 0;
}

int api_node_get_cells_free_memory(Call *call, const remote_node_get_cells_free_memory_args *args,
                                   remote_node_get_cells_free_memory_ret *ret, Err *err)
{
    if (args->maxcells < 0 || args->maxcells > REMOTE_NODE_MAX_CELLS)
        return err_set_full(err, VIR_FROM_RPC, VIR_ERR_RPC, 0, "maxcells is %d, it must be 1 to %d", args->maxcells,
                            REMOTE_NODE_MAX_CELLS);
    if (args->maxcells == 0 || args->startCell < 0)
        return err_set(err, VIR_ERR_INVALID_ARG, "%d cells from cell %d on", args->maxcells, args->startCell);
    unsigned long long bytes[REMOTE_NODE_MAX_CELLS];
    unsigned n;
    if (node_cells_free_memory(args->startCell, (unsigned)args->maxcells, bytes, &n, err) < 0)
        return -1;
    ret->cells.cells_val = arena_array(&call->arena, u_quad_t, n);
    ret->cells.cells_len = n;
    for (unsigned i = 0; i < n; i++)
        ret->cells.cells_val[i] = bytes[i];
    return 0;
}

/* The cells a call names: from startCell, of which -1 is the machine as a whole, at most cellCount of those there are.
 */
static int cell_range(int start, unsigned count, unsigned n_sizes, int *ret_end, Err *err)
{
    if (n_sizes == 0 || count == 0 || start < NODE_ALL)
        return err_set(err, VIR_ERR_INVALID_ARG, "page sizes, a number of cells, and a cell from -1 on are required");
    g_autoptr(NodeTopology) t = node_topology(err);
    if (!t)
        return -1;
    int last = (int)t->cells[t->n_cells - 1].id;
    if (start > last)
        return err_set(err, VIR_ERR_INTERNAL_ERROR, "cell %d is out of range (0-%d)", start, last);
    *ret_end = (int)MIN((int64_t)last, (int64_t)start + count - 1);
    return 0;
}

int api_node_get_free_pages(Call *call, const remote_node_get_free_pages_args *args,
                            remote_node_get_free_pages_ret *ret, Err *err)
{
    unsigned n_sizes = args->pages.pages_len, n = 0;
    int end;
    if ((uint64_t)n_sizes * args->cellCount > REMOTE_NODE_MAX_CELLS)
        return err_set_full(err, VIR_FROM_RPC, VIR_ERR_INTERNAL_ERROR, 0,
                            "%u sizes of %u cells are more than %d results", n_sizes, args->cellCount,
                            REMOTE_NODE_MAX_CELLS);
    if (cell_range(args->startCell, args->cellCount, n_sizes, &end, err) < 0)
        return -1;
    u_quad_t *counts = arena_array(&call->arena, u_quad_t, (size_t)n_sizes * args->cellCount);
    for (int cell = args->startCell; cell <= end; cell++) {
        for (unsigned i = 0; i < n_sizes; i++) {
            unsigned long long v;
            if (node_free_pages(args->pages.pages_val[i], cell, &v, err) < 0)
                return -1;
            counts[n++] = v;
        }
    }
    ret->counts.counts_val = counts;
    ret->counts.counts_len = n;
    return 0;
}

int api_node_alloc_pages(Call *call, const remote_node_alloc_pages_args *args, remote_node_alloc_pages_ret *ret,
                         Err *err)
{
    unsigned n_sizes = args->pageSizes.pageSizes_len;
    int end, done = 0;
    if (args->pageCounts.pageCounts_len != n_sizes)
        return err_set(err, VIR_ERR_INVALID_ARG, "%u page sizes, but %u numbers of pages", n_sizes,
                       args->pageCounts.pageCounts_len);
    if (cell_range(args->startCell, args->cellCount, n_sizes, &end, err) < 0)
        return -1;
    bool add = !(args->flags & VIR_NODE_ALLOC_PAGES_SET);
    for (int cell = args->startCell; cell <= end; cell++) {
        for (unsigned i = 0; i < n_sizes; i++, done++) {
            if (node_alloc_pages(args->pageSizes.pageSizes_val[i], cell, args->pageCounts.pageCounts_val[i], add, err) <
                0)
                return -1;
        }
    }
    ret->ret = done;
    return 0;
}

/* ---- memory parameters: KSM ------------------------------------------------------------------ */

int api_node_get_memory_parameters(Call *call, const remote_node_get_memory_parameters_args *args,
                                   remote_node_get_memory_parameters_ret *ret, Err *err)
{
    NodeKsmParam ksm[NODE_KSM_PARAMS];
    unsigned n;
    Params p;
    if (args->nparams < 0 || args->nparams > REMOTE_NODE_MEMORY_PARAMETERS_MAX)
        return err_set_full(err, VIR_FROM_RPC, VIR_ERR_INTERNAL_ERROR, 0, "nparams is %d, at most %d are possible",
                            args->nparams, REMOTE_NODE_MEMORY_PARAMETERS_MAX);
    if (node_ksm_get(ksm, &n, err) < 0)
        return -1;
    params_init(&p, &call->arena);
    for (unsigned i = 0; i < n; i++) {
        if (ksm[i].wide)
            params_ullong(&p, ksm[i].value, "%s", ksm[i].field);
        else
            params_uint(&p, (uint32_t)ksm[i].value, "%s", ksm[i].field);
    }
    PARAMS_REPLY(&p, ret, args->nparams);
    return 0;
}

int api_node_set_memory_parameters(Call *call, const remote_node_set_memory_parameters_args *args, Err *err)
{
    const remote_typed_param *v = args->params.params_val;
    unsigned n = args->params.params_len;
    /* all are looked at before one is set */
    for (unsigned i = 0; i < n; i++) {
        if (node_ksm_check(v[i].field, err) < 0)
            return -1;
        if (v[i].value.type != VIR_TYPED_PARAM_UINT)
            return err_set(err, VIR_ERR_INVALID_ARG, "parameter '%s' must be of type uint", v[i].field);
        for (unsigned j = 0; j < i; j++) {
            if (strcmp(v[i].field, v[j].field) == 0)
                return err_set(err, VIR_ERR_INVALID_ARG, "parameter '%s' is given twice", v[i].field);
        }
    }
    for (unsigned i = 0; i < n; i++) {
        if (node_ksm_set(v[i].field, v[i].value.remote_typed_param_value_u.ui, err) < 0)
            return -1;
    }
    return 0;
}

/* ---- suspend --------------------------------------------------------------------------------- */

int api_node_suspend_for_duration(Call *call, const remote_node_suspend_for_duration_args *args, Err *err)
{
    static const struct {
        NodeSuspend bit;
        const char *name;
    } targets[] = {
        [VIR_NODE_SUSPEND_TARGET_MEM] = {NODE_SUSPEND_MEM, "Suspend-to-RAM"},
        [VIR_NODE_SUSPEND_TARGET_DISK] = {NODE_SUSPEND_DISK, "Suspend-to-Disk"},
        [VIR_NODE_SUSPEND_TARGET_HYBRID] = {NODE_SUSPEND_HYBRID, "Hybrid-Suspend"},
    };
    if (args->target >= N_ELEMENTS(targets))
        return err_set(err, VIR_ERR_INVALID_ARG, "suspend target %u: it is 0 (mem), 1 (disk) or 2 (hybrid)",
                       args->target);
    if (!(node_suspend_targets() & targets[args->target].bit))
        return err_set(err, VIR_ERR_ARGUMENT_UNSUPPORTED, "%s", targets[args->target].name);
    if (args->duration < SUSPEND_MIN_SECONDS)
        return err_set(err, VIR_ERR_INVALID_ARG, "suspend duration %llu: at least %u seconds are needed",
                       (unsigned long long)args->duration, SUSPEND_MIN_SECONDS);
    err_set(err, VIR_ERR_OPERATION_UNSUPPORTED, "%s of the host by this daemon", targets[args->target].name);
    return err_hint(err, "use rtcwake on the host");
}
