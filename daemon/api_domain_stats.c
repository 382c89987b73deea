/* daemon/api_domain_stats.c - counters of machines
 *
 * Owns:    how long a call waits for fresh numbers of QEMU; the names of the numbers
 *
 * Every call here shows the last numbers known, refreshed if the guest answers in time.  A guest that does not answer costs the first
 * such call FRESH_MS and later ones nothing (domain/stats.h).
 */
#include "config.h"

#include <fcntl.h>
#include <string.h>

#include "daemon/access.h"
#include "daemon/api.h"
#include "daemon/domain_filter.h"
#include "daemon/wire.h"
#include "api_enums.h"
#include "api_strings.h"
#include "domain/driver.h"
#include "domain/stats.h"
#include "host/image.h"
#include "host/linkstat.h"
#include "host/proc.h"

#define FRESH_MS 150u
#define IMAGE_MS 10000u /* for storage to let us read an image's header */

static DomainStats *fresh_stats(Domain *dom)
{
    domain_stats_refresh(&dom, 1, FRESH_MS);
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
        return err_set(err, VIR_ERR_OPERATION_TIMEOUT, "QEMU gave no statistics of '%s' within %u ms", v->name, FRESH_MS);
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
    const DomainDef *def = view_def(v, false);
    const DiskDef *disk = domain_def_find_disk(def, args->path);
    if (!disk)
        return err_set(err, VIR_ERR_INVALID_ARG, "invalid path %s not assigned to domain", args->path);
    if (!disk->src->path)
        return err_set(err, VIR_ERR_INVALID_ARG, "disk '%s' does not currently have a source assigned", args->path);
    StorageFormat fmt = disk->src->format;
    ImageWant want = {.path = disk->src->path, .open_flags = O_RDONLY, .flags = IMAGE_WANT_PROBE,
                      .fmt = fmt == STORAGE_FORMAT_ABSENT ? IMAGE_FMT_RAW : image_fmt_find(storage_format_names[fmt])};
    g_autoptr(ImageSet) images = image_open(&want, 1, deadline_in_ms(IMAGE_MS), err);
    if (!images)
        return -1;
    const ImageNode *image = image_set_node(images, 0, 0);
    ret->physical = image->file_size;
    ret->capacity = image->header.virtual_size ? image->header.virtual_size : image->file_size;
    ret->allocation = image->allocated;
    g_autoptr(DomainStats) stats = v->live ? fresh_stats(dom) : NULL;
    const DomainBlockStats *b = stats ? domain_stats_block(stats, disk->info.alias, 0) : NULL;
    if (b && b->capacity)
        ret->capacity = b->capacity;
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
        return domain_err_inactive(err);
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
    unsigned n = MIN((unsigned)args->ncpumaps, view_def(v, args->flags & VIR_DOMAIN_AFFECT_CONFIG)->max_vcpus);
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
    ret->cpumaps.cpumaps_val = arena_array(&call->arena, char, (size_t)args->maplen);
    ret->cpumaps.cpumaps_len = (u_int)args->maplen;
    fill_cpumap(ret->cpumaps.cpumaps_val, (unsigned)args->maplen);
    ret->ret = 1;
    return 0;
}

/* ---- all numbers of many machines ------------------------------------------------------------------------------------------ */

typedef struct Collect {
    const DomainView *v;
    const DomainStats *st; /* may be NULL */
    const GArray *links;
    bool backing;
} Collect;

static void stats_state(Params *p, const Collect *c)
{
    params_int(p, c->v->state, "state.state");
    params_int(p, c->v->reason, "state.reason");
}

static void stats_cpu(Params *p, const Collect *c)
{
    HostCpuTime t;
    if (!c->v->pid || host_process_cpu(c->v->pid, &t) < 0)
        return;
    params_ullong(p, t.total_ns, "cpu.time");
    params_ullong(p, t.user_ns, "cpu.user");
    params_ullong(p, t.system_ns, "cpu.system");
}

static void stats_balloon(Params *p, const Collect *c)
{
    static const struct {
        int tag;
        const char *name;
    } names[] = {
        {VIR_DOMAIN_MEMORY_STAT_SWAP_IN, "swap_in"},         {VIR_DOMAIN_MEMORY_STAT_SWAP_OUT, "swap_out"},
        {VIR_DOMAIN_MEMORY_STAT_MAJOR_FAULT, "major_fault"}, {VIR_DOMAIN_MEMORY_STAT_MINOR_FAULT, "minor_fault"},
        {VIR_DOMAIN_MEMORY_STAT_UNUSED, "unused"},           {VIR_DOMAIN_MEMORY_STAT_AVAILABLE, "available"},
        {VIR_DOMAIN_MEMORY_STAT_USABLE, "usable"},           {VIR_DOMAIN_MEMORY_STAT_LAST_UPDATE, "last-update"},
        {VIR_DOMAIN_MEMORY_STAT_DISK_CACHES, "disk_caches"}, {VIR_DOMAIN_MEMORY_STAT_HUGETLB_PGALLOC, "hugetlb_pgalloc"},
        {VIR_DOMAIN_MEMORY_STAT_HUGETLB_PGFAIL, "hugetlb_pgfail"},
    };
    const DomainDef *def = view_def(c->v, false);
    bool known = c->st && c->st->balloon_kib;
    params_ullong(p, known ? c->st->balloon_kib : c->v->balloon_kib ? c->v->balloon_kib : def->cur_memory_kib, "balloon.current");
    params_ullong(p, def->max_memory_kib, "balloon.maximum");
    for (size_t i = 0; c->st && i < N_ELEMENTS(names); i++) {
        if (c->st->mem_set & (1u << names[i].tag))
            params_ullong(p, c->st->mem[names[i].tag], "balloon.%s", names[i].name);
    }
    unsigned long long rss;
    if (c->v->pid && host_process_rss_kib(c->v->pid, &rss) == 0)
        params_ullong(p, rss, "balloon.rss");
}

static void stats_vcpu(Params *p, const Collect *c)
{
    const DomainDef *def = view_def(c->v, false);
    params_uint(p, def->cur_vcpus, "vcpu.current");
    params_uint(p, def->max_vcpus, "vcpu.maximum");
    for (unsigned i = 0; c->v->live && i < def->cur_vcpus && i < c->v->n_vcpu_tids; i++) {
        unsigned long long ns, delay;
        int cpu;
        if (host_thread_stat(c->v->pid, c->v->vcpu_tids[i], &ns, &cpu) < 0)
            continue;
        params_int(p, VIR_VCPU_RUNNING, "vcpu.%u.state", i);
        params_ullong(p, ns, "vcpu.%u.time", i);
        params_ullong(p, 0, "vcpu.%u.wait", i);
        if (host_thread_delay(c->v->pid, c->v->vcpu_tids[i], &delay) == 0)
            params_ullong(p, delay, "vcpu.%u.delay", i);
    }
}

static void stats_interface(Params *p, const Collect *c)
{
    if (!c->v->live)
        return;
    const GPtrArray *nets = c->v->live->nets;
    params_uint(p, nets->len, "net.count");
    for (unsigned i = 0; i < nets->len; i++) {
        const NetDef *net = nets->pdata[i];
        if (net->ifname)
            params_string(p, net->ifname, "net.%u.name", i);
        const LinkStats *l = link_stats_find(c->links, net->ifname);
        if (!l)
            continue;
        params_ullong(p, l->tx_bytes, "net.%u.rx.bytes", i);
        params_ullong(p, l->tx_packets, "net.%u.rx.pkts", i);
        params_ullong(p, l->tx_errs, "net.%u.rx.errs", i);
        params_ullong(p, l->tx_drop, "net.%u.rx.drop", i);
        params_ullong(p, l->rx_bytes, "net.%u.tx.bytes", i);
        params_ullong(p, l->rx_packets, "net.%u.tx.pkts", i);
        params_ullong(p, l->rx_errs, "net.%u.tx.errs", i);
        params_ullong(p, l->rx_drop, "net.%u.tx.drop", i);
    }
}

static void block_layer(Params *p, unsigned i, const DiskDef *disk, const StorageSource *src, unsigned depth, const Collect *c)
{
    params_string(p, disk->dst, "block.%u.name", i);
    if (src->index.set)
        params_uint(p, (uint32_t)src->index.v, "block.%u.backingIndex", i);
    params_string(p, src->path, "block.%u.path", i);
    const DomainBlockStats *b = c->st ? domain_stats_block(c->st, disk->info.alias, depth) : NULL;
    if (!b)
        return;
    params_ullong(p, b->rd_reqs, "block.%u.rd.reqs", i);
    params_ullong(p, b->rd_bytes, "block.%u.rd.bytes", i);
    params_ullong(p, b->rd_ns, "block.%u.rd.times", i);
    params_ullong(p, b->wr_reqs, "block.%u.wr.reqs", i);
    params_ullong(p, b->wr_bytes, "block.%u.wr.bytes", i);
    params_ullong(p, b->wr_ns, "block.%u.wr.times", i);
    params_ullong(p, b->fl_reqs, "block.%u.fl.reqs", i);
    params_ullong(p, b->fl_ns, "block.%u.fl.times", i);
    if (!src->path)
        return;
    params_ullong(p, b->allocation, "block.%u.allocation", i);
    if (b->capacity)
        params_ullong(p, b->capacity, "block.%u.capacity", i);
    if (b->physical)
        params_ullong(p, b->physical, "block.%u.physical", i);
    if (b->write_threshold)
        params_ullong(p, b->write_threshold, "block.%u.threshold", i);
}

static void stats_block(Params *p, const Collect *c)
{
    const GPtrArray *disks = view_def(c->v, false)->disks;
    unsigned count_at = p->n, i = 0;
    params_uint(p, 0, "block.count");
    for (unsigned k = 0; k < disks->len; k++) {
        const DiskDef *disk = disks->pdata[k];
        unsigned depth = 0;
        for (const StorageSource *s = disk->src; s && (s->path || depth == 0); s = s->backing, depth++) {
            block_layer(p, i++, disk, s, depth, c);
            if (!c->backing)
                break;
        }
    }
    p->v[count_at].value.remote_typed_param_value_u.ui = i;
}

static const struct {
    unsigned bit;
    void (*collect)(Params *p, const Collect *c);
    bool needs_qemu;
} groups[] = {
    {VIR_DOMAIN_STATS_STATE, stats_state, false},         {VIR_DOMAIN_STATS_CPU_TOTAL, stats_cpu, false},
    {VIR_DOMAIN_STATS_BALLOON, stats_balloon, true},      {VIR_DOMAIN_STATS_VCPU, stats_vcpu, false},
    {VIR_DOMAIN_STATS_INTERFACE, stats_interface, false}, {VIR_DOMAIN_STATS_BLOCK, stats_block, true},
};

static GPtrArray *wanted(Call *call, const remote_connect_get_all_domain_stats_args *args, unsigned filter, Err *err)
{
    GPtrArray *doms = g_ptr_array_new_with_free_func((GDestroyNotify)object_unref);
    if (args->doms.doms_len == 0) {
        g_autoptr(GPtrArray) all = registry_list(domain_driver_registry(call_domains(call)));
        for (unsigned i = 0; i < all->len; i++)
            g_ptr_array_add(doms, object_ref(all->pdata[i]));
    }
    for (unsigned i = 0; i < args->doms.doms_len; i++) {
        const remote_nonnull_domain *ref = &args->doms.doms_val[i];
        Domain *d = domain_by_uuid(call_domains(call), (const uint8_t *)ref->uuid, ref->name, err);
        if (!d) {
            g_ptr_array_unref(doms);
            return NULL;
        }
        g_ptr_array_add(doms, d);
    }
    for (unsigned i = doms->len; i-- > 0;) {
        g_autoptr(DomainView) v = domain_view(doms->pdata[i]);
        if (!domain_filter_match(v, filter) || !access_domain_visible(call->conn, v))
            g_ptr_array_remove_index(doms, i);
    }
    return doms;
}

int api_connect_get_all_domain_stats(Call *call, const remote_connect_get_all_domain_stats_args *args,
                                     remote_connect_get_all_domain_stats_ret *ret, Err *err)
{
    const unsigned own = VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT | VIR_CONNECT_GET_ALL_DOMAINS_STATS_BACKING |
                         VIR_CONNECT_GET_ALL_DOMAINS_STATS_ENFORCE_STATS;
    unsigned known = 0;
    bool ask = false;
    for (size_t g = 0; g < N_ELEMENTS(groups); g++) {
        known |= groups[g].bit;
        ask = ask || (groups[g].needs_qemu && (!args->stats || (args->stats & groups[g].bit)));
    }
    if ((args->flags & VIR_CONNECT_GET_ALL_DOMAINS_STATS_ENFORCE_STATS) && (args->stats & ~known))
        return err_set(err, VIR_ERR_ARGUMENT_UNSUPPORTED, "Stats types bits 0x%x are not supported by this daemon", args->stats & ~known);

    g_autoptr(GPtrArray) doms = wanted(call, args, args->flags & ~own, err);
    if (!doms)
        return -1;
    if (ask)
        domain_stats_refresh((Domain *const *)doms->pdata, doms->len,
                             args->flags & VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT ? 0 : FRESH_MS);
    g_autoptr(GArray) links = host_link_stats();
    ret->retStats.retStats_val = arena_array(&call->arena, remote_domain_stats_record, doms->len);
    ret->retStats.retStats_len = doms->len;
    for (unsigned i = 0; i < doms->len; i++) {
        g_autoptr(DomainView) v = domain_view(doms->pdata[i]);
        g_autoptr(DomainStats) st = domain_stats_last(doms->pdata[i]);
        Collect c = {v, st, links, args->flags & VIR_CONNECT_GET_ALL_DOMAINS_STATS_BACKING};
        remote_domain_stats_record *rec = &ret->retStats.retStats_val[i];
        wire_domain(&call->arena, &rec->dom, v);
        Params p;
        params_init(&p, &call->arena);
        for (size_t g = 0; g < N_ELEMENTS(groups); g++) {
            if (!args->stats || (args->stats & groups[g].bit))
                groups[g].collect(&p, &c);
        }
        rec->params.params_val = p.v;
        rec->params.params_len = p.n;
    }
    return 0;
}
