/* daemon/api_domain_stats.c - counters of one machine
 *
 * Owns:    how long a call waits for storage
 *
 * Every call here shows the last numbers known, refreshed if the guest answers in time.  A guest that does not answer costs the first
 * such call STATS_FRESH_MS and later ones nothing (domain/stats.h).
 */
#include "config.h"

#include <string.h>

#include "daemon/access.h"
#include "daemon/api.h"
#include "daemon/domain_filter.h"
#include "daemon/wire.h"
#include "api_enums.h"
#include "api_strings.h"
#include "domain/disk_files.h"
#include "domain/driver.h"
#include "domain/stats.h"
#include "host/linkstat.h"
#include "host/proc.h"

#define STORAGE_MS 5000u

static DomainStats *fresh_stats(Domain *dom)
{
    domain_stats_refresh(&dom, 1, STATS_FRESH_MS);
    return domain_stats_last(dom);
}

/* ---- one disk -------------------------------------------------------------------------------------------------------------- */

/* Counters of the disk a call names by target or path; "" means all disks together.  0 or -1. */
static int block_sum(Domain *dom, const char *path, DomainBlockStats *sum, Err *err)
{
    g_autoptr(DomainView) v = domain_view(dom);
    if (!v->live)
        return domain_err_inactive(err);
    const DiskDef *one = NULL;
    if (*path) {
        one = domain_def_find_disk(v->live, path);
        if (!one)
            return err_set(err, VIR_ERR_INVALID_ARG, "invalid path: %s", path);
    }
    g_autoptr(DomainStats) st = fresh_stats(dom);
    if (!st)
        return err_set(err, VIR_ERR_OPERATION_TIMEOUT, "QEMU gave no statistics of '%s' within %u ms", v->name, STATS_FRESH_MS);
    *sum = (DomainBlockStats){0};
    for (unsigned i = 0; i < v->live->disks->len; i++) {
        const DiskDef *d = v->live->disks->pdata[i];
        const DomainBlockStats *b = one && d != one ? NULL : domain_stats_block(st, d->info.alias, 0);
        if (!b)
            continue;
        sum->rd_reqs += b->rd_reqs;
        sum->rd_bytes += b->rd_bytes;
        sum->rd_ns += b->rd_ns;
        sum->wr_reqs += b->wr_reqs;
        sum->wr_bytes += b->wr_bytes;
        sum->wr_ns += b->wr_ns;
        sum->fl_reqs += b->fl_reqs;
        sum->fl_ns += b->fl_ns;
    }
    return 0;
}

int api_domain_block_stats(Call *call, Domain *dom, const remote_domain_block_stats_args *args, remote_domain_block_stats_ret *ret,
                           Err *err)
{
    DomainBlockStats b;
    if (block_sum(dom, args->path, &b, err) < 0)
        return -1;
    *ret = (remote_domain_block_stats_ret){(quad_t)b.rd_reqs, (quad_t)b.rd_bytes, (quad_t)b.wr_reqs, (quad_t)b.wr_bytes, -1};
    return 0;
}

int api_domain_block_stats_flags(Call *call, Domain *dom, const remote_domain_block_stats_flags_args *args,
                                 remote_domain_block_stats_flags_ret *ret, Err *err)
{
    if (args->nparams < 0 || args->nparams > REMOTE_DOMAIN_BLOCK_STATS_PARAMETERS_MAX)
        return err_set_full(err, VIR_FROM_RPC, VIR_ERR_INTERNAL_ERROR, 0, "nparams too large");
    DomainBlockStats b;
    if (block_sum(dom, args->path, &b, err) < 0)
        return -1;
    Params p;
    params_init(&p, &call->arena);
    params_llong(&p, (int64_t)b.wr_bytes, VIR_DOMAIN_BLOCK_STATS_WRITE_BYTES);
    params_llong(&p, (int64_t)b.wr_reqs, VIR_DOMAIN_BLOCK_STATS_WRITE_REQ);
    params_llong(&p, (int64_t)b.rd_bytes, VIR_DOMAIN_BLOCK_STATS_READ_BYTES);
    params_llong(&p, (int64_t)b.rd_reqs, VIR_DOMAIN_BLOCK_STATS_READ_REQ);
    params_llong(&p, (int64_t)b.fl_reqs, VIR_DOMAIN_BLOCK_STATS_FLUSH_REQ);
    params_llong(&p, (int64_t)b.wr_ns, VIR_DOMAIN_BLOCK_STATS_WRITE_TOTAL_TIMES);
    params_llong(&p, (int64_t)b.rd_ns, VIR_DOMAIN_BLOCK_STATS_READ_TOTAL_TIMES);
    params_llong(&p, (int64_t)b.fl_ns, VIR_DOMAIN_BLOCK_STATS_FLUSH_TOTAL_TIMES);
    PARAMS_REPLY(&p, ret, args->nparams);
    return 0;
}

int api_domain_get_block_info(Call *call, Domain *dom, const remote_domain_get_block_info_args *args,
                              remote_domain_get_block_info_ret *ret, Err *err)
{
    g_autoptr(DomainView) v = domain_view(dom);
    g_autoptr(DomainDef) def = view_def(v, false, err);
    if (!def)
        return -1;
    const DiskDef *disk = domain_def_find_disk(def, args->path);
    if (!disk)
        return err_set(err, VIR_ERR_INVALID_ARG, "invalid path %s not assigned to domain", args->path);
    if (!disk->src->path)
        return err_set(err, VIR_ERR_INVALID_ARG, "disk '%s' does not currently have a source assigned", args->path);
    g_autoptr(DomainStats) stats = v->live ? fresh_stats(dom) : NULL;
    const DomainBlockStats *b = stats ? domain_stats_block(stats, disk->info.alias, 0) : NULL;
    DiskFile f;
    if (disk_file_read(dom, disk, deadline_in_ms(STORAGE_MS), &f, err) < 0) {
        /* storage hangs, or the client that brought its descriptors is gone; QEMU knew the numbers: better than none */
        bool known = b && b->capacity, late = v->live && (disk->src->fdgroup || disk->src->type == STORAGE_NETWORK);
        if (late && !known) {
            err_clear(err);
            return err_set(err, VIR_ERR_OPERATION_TIMEOUT, "QEMU gave no statistics of '%s' within %u ms", v->name, STATS_FRESH_MS);
        }
        if (!known || (err->code != VIR_ERR_OPERATION_TIMEOUT && !late))
            return -1;
        err_clear(err);
        f = (DiskFile){b->capacity, b->physical, b->physical};
    }
    ret->capacity = b && b->capacity ? b->capacity : f.capacity;
    /* how far a device was written only QEMU knows; a file knows what it takes */
    bool device = disk->src->type == STORAGE_BLOCK && disk->src->format != STORAGE_FORMAT_RAW;
    ret->allocation = device && b && b->allocation ? b->allocation : f.allocation;
    ret->physical = f.physical;
    return 0;
}

int api_domain_get_disk_errors(Call *call, Domain *dom, const remote_domain_get_disk_errors_args *args,
                               remote_domain_get_disk_errors_ret *ret, Err *err)
{
    g_autoptr(DomainView) v = domain_view(dom);
    if (!v->live)
        return domain_err_inactive(err);
    const GPtrArray *disks = v->live->disks;
    if (args->maxerrors == 0) { /* asks how many there may be */
        ret->nerrors = (int)disks->len;
        return 0;
    }
    if (args->maxerrors > REMOTE_DOMAIN_DISK_ERRORS_MAX)
        return err_set_full(err, VIR_FROM_RPC, VIR_ERR_INTERNAL_ERROR, 0, "maxerrors too large");
    g_autoptr(DomainStats) st = fresh_stats(dom);
    if (!st)
        return err_set(err, VIR_ERR_OPERATION_TIMEOUT, "QEMU gave no statistics of '%s' within %u ms", v->name, STATS_FRESH_MS);
    remote_domain_disk_error *out = arena_array(&call->arena, remote_domain_disk_error, disks->len);
    unsigned n = 0;
    for (unsigned i = 0; i < disks->len && n < args->maxerrors; i++) {
        const DiskDef *d = disks->pdata[i];
        const DomainBlockStats *b = domain_stats_block(st, d->info.alias, 0);
        if (b && b->io_error)
            out[n++] = (remote_domain_disk_error){arena_strdup(&call->arena, d->dst), b->io_error};
    }
    ret->errors.errors_val = out;
    ret->errors.errors_len = n;
    ret->nerrors = (int)n;
    return 0;
}

/* ---- interfaces, memory, cpu ----------------------------------------------------------------------------------------------- */

/* What the host received on a tap is what the guest sent. */
int api_domain_interface_stats(Call *call, Domain *dom, const remote_domain_interface_stats_args *args,
                               remote_domain_interface_stats_ret *ret, Err *err)
{
    g_autoptr(DomainView) v = domain_view(dom);
    const NetDef *net = v->live ? domain_def_find_net(v->live, args->device) : NULL;
    if (!net)
        return err_set_full(err, VIR_FROM_DOMAIN, VIR_ERR_INVALID_ARG, 0, "'%s' is not a known interface", args->device);
    g_autoptr(GArray) all = host_link_stats();
    const LinkStats *l = link_stats_find(all, net->ifname);
    if (!l)
        return err_set(err, VIR_ERR_INTERNAL_ERROR, "/proc/net/dev: Interface not found");
    *ret = (remote_domain_interface_stats_ret){(quad_t)l->tx_bytes, (quad_t)l->tx_packets, (quad_t)l->tx_errs, (quad_t)l->tx_drop,
                                               (quad_t)l->rx_bytes, (quad_t)l->rx_packets, (quad_t)l->rx_errs, (quad_t)l->rx_drop};
    return 0;
}

int api_domain_memory_stats(Call *call, Domain *dom, const remote_domain_memory_stats_args *args,
                            remote_domain_memory_stats_ret *ret, Err *err)
{
    if (args->maxStats > REMOTE_DOMAIN_MEMORY_STATS_MAX)
        return err_set_full(err, VIR_FROM_RPC, VIR_ERR_INTERNAL_ERROR, 0, "maxStats > REMOTE_DOMAIN_MEMORY_STATS_MAX");
    g_autoptr(DomainStats) st = fresh_stats(dom);
    g_autoptr(DomainView) v = domain_view(dom);
    unsigned n = 0;
    remote_domain_memory_stat *out = arena_array(&call->arena, remote_domain_memory_stat, VIR_DOMAIN_MEMORY_STAT_NR + 2);
    if (v->live)
        out[n++] = (remote_domain_memory_stat){VIR_DOMAIN_MEMORY_STAT_ACTUAL_BALLOON,
                                               st && st->balloon_kib ? st->balloon_kib : v->live->cur_memory_kib};
    for (int tag = 0; st && tag < VIR_DOMAIN_MEMORY_STAT_NR; tag++) {
        if (st->mem_set & (1u << tag))
            out[n++] = (remote_domain_memory_stat){tag, st->mem[tag]};
    }
    unsigned long long rss;
    if (v->pid && host_process_rss_kib(v->pid, &rss) == 0)
        out[n++] = (remote_domain_memory_stat){VIR_DOMAIN_MEMORY_STAT_RSS, rss};
    ret->stats.stats_val = out;
    ret->stats.stats_len = MIN(n, args->maxStats);
    return 0;
}

int api_domain_get_cpu_stats(Call *call, Domain *dom, const remote_domain_get_cpu_stats_args *args,
                             remote_domain_get_cpu_stats_ret *ret, Err *err)
{
    g_autoptr(DomainView) v = domain_view(dom);
    HostCpuTime t;
    if (args->start_cpu != -1)
        return err_set(err, VIR_ERR_OPERATION_INVALID, "times per host CPU are not kept by cgroup v2; ask for the total");
    if (args->ncpus != 1)
        return err_set(err, VIR_ERR_INVALID_ARG, "ncpus must be 1 for the total");
    if (!v->pid || host_process_cpu(v->pid, &t) < 0)
        return domain_err_inactive(err);
    Params p;
    params_init(&p, &call->arena);
    params_ullong(&p, t.total_ns, VIR_DOMAIN_CPU_STATS_CPUTIME);
    params_ullong(&p, t.user_ns, VIR_DOMAIN_CPU_STATS_USERTIME);
    params_ullong(&p, t.system_ns, VIR_DOMAIN_CPU_STATS_SYSTEMTIME);
    PARAMS_REPLY(&p, ret, args->nparams);
    if (args->nparams)
        ret->nparams = (int)p.n;
    return 0;
}

/* ---- vcpus ----------------------------------------------------------------------------------------------------------------- */

static unsigned host_cpus(void)
{
    long n = sysconf(_SC_NPROCESSORS_CONF);
    return n > 0 ? (unsigned)n : 1;
}

/* Which host CPUs vcpu `i` may run on: all, until pinning exists. */
static void fill_cpumap(char *map, unsigned maplen)
{
    for (unsigned c = 0; c < host_cpus() && c / 8 < maplen; c++)
        map[c / 8] = (char)(map[c / 8] | 1 << (c % 8));
}

int api_domain_get_vcpus(Call *call, Domain *dom, const remote_domain_get_vcpus_args *args, remote_domain_get_vcpus_ret *ret,
                         Err *err)
{
    if (args->maxinfo < 0 || args->maxinfo > REMOTE_VCPUINFO_MAX || args->maplen < 0 ||
        (int64_t)args->maxinfo * args->maplen > REMOTE_CPUMAPS_MAX)
        return err_set_full(err, VIR_FROM_RPC, VIR_ERR_INTERNAL_ERROR, 0, "maxinfo or maplen too large");
    g_autoptr(DomainView) v = domain_view(dom);
    if (!v->live)
        return err_set(err, VIR_ERR_OPERATION_INVALID, "cannot retrieve vcpu information for inactive domain");
    unsigned n = MIN((unsigned)args->maxinfo, v->live->cur_vcpus), maplen = (unsigned)args->maplen;
    ret->info.info_val = arena_array(&call->arena, remote_vcpu_info, n);
    ret->info.info_len = n;
    ret->cpumaps.cpumaps_val = arena_array(&call->arena, char, (size_t)n * maplen);
    ret->cpumaps.cpumaps_len = n * maplen;
    for (unsigned i = 0; i < n; i++) {
        unsigned long long ns = 0;
        int cpu = -1;
        if (i < v->n_vcpu_tids)
            host_thread_stat(v->pid, v->vcpu_tids[i], &ns, &cpu);
        ret->info.info_val[i] = (remote_vcpu_info){i, VIR_VCPU_RUNNING, ns, cpu};
        fill_cpumap(ret->cpumaps.cpumaps_val + (size_t)i * maplen, maplen);
    }
    return 0;
}

int api_domain_get_vcpu_pin_info(Call *call, Domain *dom, const remote_domain_get_vcpu_pin_info_args *args,
                                 remote_domain_get_vcpu_pin_info_ret *ret, Err *err)
{
    if (args->ncpumaps < 0 || args->ncpumaps > REMOTE_VCPUINFO_MAX || args->maplen < 0 ||
        (int64_t)args->ncpumaps * args->maplen > REMOTE_CPUMAPS_MAX)
        return err_set_full(err, VIR_FROM_RPC, VIR_ERR_INTERNAL_ERROR, 0, "ncpumaps or maplen too large");
    g_autoptr(DomainView) v = domain_view(dom);
    if (view_check_affect(v, args->flags, err) < 0)
        return -1;
    unsigned n = MIN((unsigned)args->ncpumaps, view_numbers(v, args->flags & VIR_DOMAIN_AFFECT_CONFIG).max_vcpus);
    unsigned maplen = (unsigned)args->maplen;
    ret->num = (int)n;
    ret->cpumaps.cpumaps_val = arena_array(&call->arena, char, (size_t)n * maplen);
    ret->cpumaps.cpumaps_len = n * maplen;
    for (unsigned i = 0; i < n; i++)
        fill_cpumap(ret->cpumaps.cpumaps_val + (size_t)i * maplen, maplen);
    return 0;
}

int api_domain_get_emulator_pin_info(Call *call, Domain *dom, const remote_domain_get_emulator_pin_info_args *args,
                                     remote_domain_get_emulator_pin_info_ret *ret, Err *err)
{
    if (args->maplen < 0 || args->maplen > REMOTE_CPUMAPS_MAX)
        return err_set_full(err, VIR_FROM_RPC, VIR_ERR_INTERNAL_ERROR, 0, "maplen too large");
    g_autoptr(DomainView) v = domain_view(dom);
    if (view_check_affect(v, args->flags, err) < 0)
        return -1;
    ret->cpumaps.cpumaps_val = arena_array(&call->arena, char, (size_t)args->maplen);
    ret->cpumaps.cpumaps_len = (u_int)args->maplen;
    fill_cpumap(ret->cpumaps.cpumaps_val, (unsigned)args->maplen);
    ret->ret = 1;
    return 0;
}
