/* daemon/api_domain_allstats.c - all numbers of many machines at once
 *
 * Owns:    the names of the numbers
 *
 * Shows the last numbers known, refreshed of all machines together if the guests answer in time; a guest that does not answer costs the
 * first such call little and later ones nothing (domain/stats.h).  NOWAIT: what is known now; the guests are asked when the reply is gone,
 * for the next call.  Numbers that are not of this call come with their age.  Images of machines that are off are read in one child.
 */
#include "config.h"

#include <string.h>

#include "daemon/access.h"
#include "daemon/api.h"
#include "daemon/domain_filter.h"
#include "daemon/wire.h"
#include "api_enums.h"
#include "domain/disk_files.h"
#include "domain/driver.h"
#include "domain/stats.h"
#include "host/linkstat.h"
#include "host/proc.h"

#define STORAGE_MS 500u /* for all images of all machines that are off */
#define BATCH 128u      /* so many definitions of machines that are off are held as structs at a time */

typedef struct Collect {
    const DomainView *v;
    const DomainDef *def; /* NULL: no numbers of block devices are wanted of a machine that is off */
    const DomainStats *st; /* may be NULL */
    bool used; /* whether the two below could be read */
    HostCpuTime cpu;
    unsigned long long rss_kib;
    const GArray *links;
    GHashTable *files;     /* DiskDef* -> DiskFile*, of machines that are off */
    bool backing;
} Collect;

static void stats_state(Params *p, const Collect *c)
{
    params_int(p, c->v->state, "state.state");
    params_int(p, c->v->reason, "state.reason");
}

static void stats_cpu(Params *p, const Collect *c)
{
    if (!c->used)
        return;
    params_ullong(p, c->cpu.total_ns, "cpu.time");
    params_ullong(p, c->cpu.user_ns, "cpu.user");
    params_ullong(p, c->cpu.system_ns, "cpu.system");
    params_uint(p, 0, "cpu.cache.monitor.count"); /* no definition can ask for a monitor */
    if (c->v->live->virt == VIRT_QEMU) {          /* only KVM polls, and does not tell us yet */
        params_ullong(p, 0, "cpu.haltpoll.success.time");
        params_ullong(p, 0, "cpu.haltpoll.fail.time");
    }
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
    DefNumbers def = view_numbers(c->v, false);
    bool known = c->st && c->st->balloon_kib;
    params_ullong(p, known ? c->st->balloon_kib : c->v->balloon_kib ? c->v->balloon_kib : def.cur_memory_kib, "balloon.current");
    params_ullong(p, def.max_memory_kib, "balloon.maximum");
    for (size_t i = 0; c->st && i < N_ELEMENTS(names); i++) {
        if (c->st->mem_set & (1u << names[i].tag))
            params_ullong(p, c->st->mem[names[i].tag], "balloon.%s", names[i].name);
    }
    if (c->used)
        params_ullong(p, c->rss_kib, "balloon.rss");
}

static void stats_vcpu(Params *p, const Collect *c)
{
    DefNumbers def = view_numbers(c->v, false);
    params_uint(p, def.cur_vcpus, "vcpu.current");
    params_uint(p, def.max_vcpus, "vcpu.maximum");
    for (unsigned i = 0; c->v->live && i < def.cur_vcpus && i < c->v->n_vcpu_tids; i++) {
        unsigned long long ns, delay;
        int cpu;
        bool counted = host_thread_sched(c->v->pid, c->v->vcpu_tids[i], &ns, &delay) == 0;
        if (!counted && host_thread_stat(c->v->pid, c->v->vcpu_tids[i], &ns, &cpu) < 0)
            continue;
        params_int(p, VIR_VCPU_RUNNING, "vcpu.%u.state", i);
        params_ullong(p, ns, "vcpu.%u.time", i);
        params_ullong(p, 0, "vcpu.%u.wait", i);
        if (counted)
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

static void block_counters(Params *p, unsigned i, const StorageSource *src, const DomainBlockStats *b)
{
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
}

static void block_layer(Params *p, unsigned i, const DiskDef *disk, const StorageSource *src, unsigned depth, const Collect *c)
{
    params_string(p, disk->dst, "block.%u.name", i);
    if (src->type != STORAGE_NETWORK)
        params_string(p, src->path, "block.%u.path", i);
    if (c->v->live && src->path && src->index.set)
        params_uint(p, (uint32_t)src->index.v, "block.%u.backingIndex", i);
    const DiskFile *f = depth == 0 && c->files ? g_hash_table_lookup(c->files, disk) : NULL;
    if (f) {
        params_ullong(p, f->allocation, "block.%u.allocation", i);
        params_ullong(p, f->capacity, "block.%u.capacity", i);
        params_ullong(p, f->physical, "block.%u.physical", i);
    }
    const DomainBlockStats *b = c->st ? domain_stats_block(c->st, disk->info.alias, depth) : NULL;
    if (b)
        block_counters(p, i, src, b);
    if (src->threshold)
        params_ullong(p, src->threshold, "block.%u.threshold", i);
}

static void stats_block(Params *p, const Collect *c)
{
    if (!c->def)
        return;
    const GPtrArray *disks = c->def->disks;
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

static void stats_dirtyrate(Params *p, const Collect *c)
{
    if (!c->st || !c->st->dirty_known)
        return;
    static const char *const modes[] = {"page-sampling", "dirty-bitmap", "dirty-ring"};
    const DirtyRate *r = &c->st->dirty;
    params_int(p, r->status, "dirtyrate.calc_status");
    params_llong(p, r->start_s, "dirtyrate.calc_start_time");
    params_int(p, r->period_s, "dirtyrate.calc_period");
    params_string(p, r->mode < N_ELEMENTS(modes) ? modes[r->mode] : NULL, "dirtyrate.calc_mode");
    if (r->status == VIR_DOMAIN_DIRTYRATE_MEASURED)
        params_llong(p, r->mib_per_s, "dirtyrate.megabytes_per_second");
}

/* Numbers of things no definition can have yet: there are none. */
static void stats_none(Params *p, const Collect *c)
{
}

static const struct {
    unsigned bit;
    void (*collect)(Params *p, const Collect *c);
    bool needs_qemu;
} groups[] = {
    {VIR_DOMAIN_STATS_STATE, stats_state, false},         {VIR_DOMAIN_STATS_CPU_TOTAL, stats_cpu, false},
    {VIR_DOMAIN_STATS_BALLOON, stats_balloon, true},      {VIR_DOMAIN_STATS_VCPU, stats_vcpu, false},
    {VIR_DOMAIN_STATS_INTERFACE, stats_interface, false}, {VIR_DOMAIN_STATS_BLOCK, stats_block, true},
    {VIR_DOMAIN_STATS_PERF, stats_none, false},           {VIR_DOMAIN_STATS_IOTHREAD, stats_none, false},
    {VIR_DOMAIN_STATS_MEMORY, stats_none, false},         {VIR_DOMAIN_STATS_DIRTYRATE, stats_dirtyrate, true},
};

/* How old QEMU's numbers are, where they are not this call's own. */
static void stats_age(Params *p, const DomainStats *st, uint64_t began_us)
{
    if (st && st->taken_us < began_us)
        params_ullong(p, (now_us() - st->taken_us) / 1000, "berth.stats.age.ms");
}

/* After the reply of a call that did not wait. */
static void ask_now(void *arg)
{
    GPtrArray *doms = arg;
    domain_stats_ask((Domain *const *)doms->pdata, doms->len);
    g_ptr_array_unref(doms);
}

/* A machine that went since its caller listed it has no numbers, and takes nobody else's away. */
static GPtrArray *wanted(Call *call, const remote_connect_get_all_domain_stats_args *args, unsigned filter)
{
    Registry *reg = domain_driver_registry(call_domains(call));
    GPtrArray *doms = g_ptr_array_new_with_free_func((GDestroyNotify)object_unref);
    if (args->doms.doms_len == 0) {
        g_autoptr(GPtrArray) all = registry_list(reg);
        for (unsigned i = 0; i < all->len; i++)
            g_ptr_array_add(doms, object_ref(all->pdata[i]));
    }
    for (unsigned i = 0; i < args->doms.doms_len; i++) {
        Domain *d = registry_by_uuid(reg, (const uint8_t *)args->doms.doms_val[i].uuid);
        if (d)
            g_ptr_array_add(doms, d);
    }
    for (unsigned i = doms->len; i-- > 0;) {
        g_autoptr(DomainView) v = domain_view(doms->pdata[i]);
        if (!domain_filter_match(v, filter) || !access_domain_visible(call, v))
            g_ptr_array_remove_index(doms, i);
    }
    return doms;
}

/* Machines whose definitions are read together, and their images together. */
typedef struct Batch {
    GPtrArray *views; /* DomainView */
    GPtrArray *defs;  /* DomainDef or NULL, by the same index */
    GHashTable *files;
} Batch;

static void def_unref(void *def)
{
    domain_def_unref(def);
}

static void batch_open(Batch *b, Domain *const *doms, unsigned n, bool block, Deadline storage_end)
{
    g_autoptr(GPtrArray) disks = g_ptr_array_new();
    *b = (Batch){g_ptr_array_new_with_free_func((GDestroyNotify)domain_view_unref), g_ptr_array_new_with_free_func(def_unref), NULL};
    for (unsigned i = 0; i < n; i++) {
        DomainView *v = domain_view(doms[i]);
        DomainDef *def = block || v->live ? view_def(v, false, NULL) : NULL;
        for (unsigned k = 0; def && !v->live && k < def->disks->len; k++)
            g_ptr_array_add(disks, def->disks->pdata[k]);
        g_ptr_array_add(b->views, v);
        g_ptr_array_add(b->defs, def);
    }
    if (disks->len)
        b->files = disk_files_read(disks, storage_end);
}

static void batch_close(Batch *b)
{
    g_clear_pointer(&b->files, g_hash_table_unref);
    g_ptr_array_unref(b->defs);
    g_ptr_array_unref(b->views);
}

/* asked_us: when QEMU's numbers were asked for, 0: they are not wanted. */
static void fill_record(Call *call, const Collect *c, unsigned stats, uint64_t asked_us, remote_domain_stats_record *rec)
{
    Params p;
    wire_domain(&call->arena, &rec->dom, c->v);
    params_init(&p, &call->arena);
    for (size_t g = 0; g < N_ELEMENTS(groups); g++) {
        if (!stats || (stats & groups[g].bit))
            groups[g].collect(&p, c);
    }
    if (asked_us)
        stats_age(&p, c->st, asked_us);
    rec->params.params_val = p.v;
    rec->params.params_len = p.n;
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

    g_autoptr(GPtrArray) doms = wanted(call, args, args->flags & ~own);
    uint64_t began = now_us();
    if (ask && (args->flags & VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT)) {
        call->after = ask_now;
        call->after_arg = g_ptr_array_ref(doms);
    } else if (ask) {
        domain_stats_refresh((Domain *const *)doms->pdata, doms->len, STATS_FRESH_MS);
    }
    g_autoptr(GArray) links = host_link_stats();
    bool block = !args->stats || (args->stats & VIR_DOMAIN_STATS_BLOCK);
    Deadline storage_end = deadline_in_ms(STORAGE_MS);
    ret->retStats.retStats_val = arena_array(&call->arena, remote_domain_stats_record, doms->len);
    ret->retStats.retStats_len = doms->len;
    for (unsigned at = 0; at < doms->len; at += BATCH) {
        Batch b;
        batch_open(&b, (Domain *const *)doms->pdata + at, MIN(BATCH, doms->len - at), block, storage_end);
        for (unsigned i = 0; i < b.views->len; i++) {
            const DomainView *v = b.views->pdata[i];
            g_autoptr(DomainStats) st = domain_stats_last(doms->pdata[at + i]);
            Collect c = {.v = v,
                         .def = b.defs->pdata[i],
                         .st = st,
                         .links = links,
                         .files = b.files,
                         .backing = args->flags & VIR_CONNECT_GET_ALL_DOMAINS_STATS_BACKING};
            if (v->live && v->pid && (!args->stats || (args->stats & (VIR_DOMAIN_STATS_CPU_TOTAL | VIR_DOMAIN_STATS_BALLOON))))
                c.used = host_process_usage(v->pid, &c.cpu, &c.rss_kib) == 0;
            fill_record(call, &c, args->stats, ask ? began : 0, &ret->retStats.retStats_val[at + i]);
        }
        batch_close(&b);
    }
    return 0;
}
