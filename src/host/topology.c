/* host/topology.c - cells, cpus, caches and page sizes of this machine
 *
 * Owns:    the cached topology
 * Threads: any
 * Locks:   cache.lock (leaf; held to look and to swap, never while files are read)
 * Errors:  Err; what the kernel does not say has the fallback node.h documents
 *
 * A cached topology is used for TOPOLOGY_FRESH_US: long enough that a client asking for capabilities in a loop costs
 * nothing, short enough that nobody notices a cpu or a huge page missing.  Two threads may read at once; the later one
 * wins.
 */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#define ERR_FROM VIR_FROM_NONE
#include "util/deadline.h"
#include "util/lock.h"
#include "host/hostfs.h"
#include "host/node.h"
#include "host/private.h"

#define TOPOLOGY_FRESH_US 1000000u
#define CACHE_MIN_LEVEL   3u
#define CACHE_MAX_INDEX   16u /* cache descriptions of one cpu */
#define CACHE_MAX_BANKS   4096u

#define SYS_CPU  "/sys/devices/system/cpu"
#define SYS_NODE "/sys/devices/system/node"

const char *const node_cache_types[NODE_CACHE_TYPE_MAX] = {"both", "code", "data"};

static struct {
    Mutex lock;
    NodeTopology *topology;
    uint64_t read_us;
} cache;
static pthread_once_t cache_once = PTHREAD_ONCE_INIT;

static void cache_init(void)
{
    mutex_init(&cache.lock, LOCK_LEAF, "topology");
}

/* ---- the object ------------------------------------------------------------------------------ */

NodeTopology *node_topology_ref(NodeTopology *t)
{
    g_atomic_int_inc(&t->refs);
    return t;
}

void *node_topology_unref(NodeTopology *t)
{
    if (!t || !g_atomic_int_dec_and_test(&t->refs))
        return NULL;
    for (unsigned i = 0; i < t->n_cells; i++) {
        for (unsigned j = 0; j < t->cells[i].n_cpus; j++)
            g_free(t->cells[i].cpus[j].siblings);
        g_free(t->cells[i].cpus);
        g_free(t->cells[i].distances);
    }
    for (unsigned i = 0; i < t->n_caches; i++)
        g_free(t->caches[i].cpus);
    g_free(t->caches);
    g_free(t->cells);
    g_free(t);
    return NULL;
}

const NodeCell *node_topology_cell(const NodeTopology *t, unsigned id)
{
    for (unsigned i = 0; i < t->n_cells; i++) {
        if (t->cells[i].id == id)
            return &t->cells[i];
    }
    return NULL;
}

/* ---- pages ----------------------------------------------------------------------------------- */

static int compare_unsigned(const void *a, const void *b)
{
    unsigned x = *(const unsigned *)a, y = *(const unsigned *)b;
    return x < y ? -1 : x > y;
}

unsigned topology_page_sizes(unsigned ret[], unsigned max, const char *dir)
{
    unsigned n = 0;
    ret[n++] = (unsigned)(sysconf(_SC_PAGESIZE) / 1024);
    g_autofree char *path = hostfs_path("%s", dir);
    DIR *d = opendir(path);
    if (!d)
        return n;
    for (struct dirent *e; n < max && (e = readdir(d));) {
        const char *at = e->d_name;
        unsigned long long kib;
        if (!g_str_has_prefix(at, "hugepages-"))
            continue;
        at += strlen("hugepages-");
        if (!text_number(&at, &kib) || strcmp(at, "kB") != 0 || kib <= ret[0] || kib > UINT32_MAX)
            continue;
        ret[n++] = (unsigned)kib;
    }
    closedir(d);
    qsort(ret, n, sizeof(*ret), compare_unsigned);
    return n;
}

static void read_pages(NodeCell *cell)
{
    unsigned sizes[NODE_MAX_PAGE_SIZES];
    g_autofree char *dir = g_strdup_printf(SYS_NODE "/node%u/hugepages", cell->id);
    unsigned n = topology_page_sizes(sizes, N_ELEMENTS(sizes), dir);
    unsigned long long left = cell->memory_kib;
    for (unsigned i = 1; i < n; i++) {
        unsigned long long total;
        if (hostfs_number(&total, "%s/hugepages-%ukB/nr_hugepages", dir, sizes[i]) < 0)
            total = 0;
        if (total > left / sizes[i])
            total = left / sizes[i]; /* never more than there is memory */
        left -= total * sizes[i];
        cell->pages[i] = (NodePages){.size_kib = sizes[i], .total = total};
    }
    cell->pages[0] = (NodePages){.size_kib = sizes[0], .total = left / sizes[0]};
    cell->n_pages = n;
}

/* ---- cells ----------------------------------------------------------------------------------- */

static void read_cpu(NodeCpu *cpu, unsigned id, const IdSet *online)
{
    *cpu = (NodeCpu){.id = id};
    struct {
        const char *file;
        int *to;
    } ids[] = {{"physical_package_id", &cpu->socket_id}, {"die_id", &cpu->die_id}, {"core_id", &cpu->core_id}};
    for (unsigned i = 0; i < N_ELEMENTS(ids); i++) {
        if (hostfs_int(ids[i].to, SYS_CPU "/cpu%u/topology/%s", id, ids[i].file) < 0 || *ids[i].to < 0)
            *ids[i].to = 0;
    }
    IdSet siblings;
    if (hostfs_idset(&siblings, NODE_MAX_CPUS, SYS_CPU "/cpu%u/topology/thread_siblings_list", id) < 0 ||
        !idset_has(&siblings, id)) {
        memset(&siblings, 0, sizeof(siblings));
        idset_add(&siblings, id);
    }
    idset_and(&siblings, online);
    cpu->siblings = idset_format(&siblings);
}

static void read_cpus(NodeCell *cell, const IdSet *cpus, const IdSet *online)
{
    cell->cpus = g_new0(NodeCpu, idset_count(cpus));
    IDSET_EACH(i, cpus)
    read_cpu(&cell->cpus[cell->n_cpus++], i, online);
}

/* One number for each cell, in their order, or none at all. */
static void read_distances(const NodeTopology *t, NodeCell *cell)
{
    g_autofree char *text = NULL;
    if (hostfs_read(&text, HOSTFS_MEDIUM, SYS_NODE "/node%u/distance", cell->id) < 0)
        return;
    g_autofree struct NodeDistance *d = g_new0(struct NodeDistance, t->n_cells);
    const char *at = text;
    for (unsigned i = 0; i < t->n_cells; i++) {
        unsigned long long v;
        at += strspn(at, " ");
        if (!text_number(&at, &v) || v > UINT16_MAX)
            return;
        d[i].cell = t->cells[i].id;
        d[i].value = (unsigned)v;
    }
    if (*at)
        return;
    cell->distances = g_steal_pointer(&d);
    cell->n_distances = t->n_cells;
}

static int read_cells(NodeTopology *t, const IdSet *nodes, const IdSet *online, Err *err)
{
    IdSet placed = {0};
    IDSET_EACH(id, nodes)
    {
        NodeCell *cell = &t->cells[t->n_cells++];
        cell->id = id;
        g_autofree char *meminfo = NULL;
        if (hostfs_read(&meminfo, HOSTFS_MEDIUM, SYS_NODE "/node%u/meminfo", id) == 0)
            text_field(meminfo, "MemTotal:", &cell->memory_kib);
        IdSet cpus;
        if (hostfs_idset(&cpus, NODE_MAX_CPUS, SYS_NODE "/node%u/cpulist", id) < 0)
            memset(&cpus, 0, sizeof(cpus));
        idset_and(&cpus, online);
        IDSET_EACH(i, &cpus)
        {
            if (idset_has(&placed, i))
                return err_set(err, VIR_ERR_INTERNAL_ERROR, "the kernel lists cpu %u in two NUMA nodes", i);
            idset_add(&placed, i);
        }
        read_cpus(cell, &cpus, online);
        read_pages(cell);
    }
    for (unsigned i = 0; i < t->n_cells; i++)
        read_distances(t, &t->cells[i]);
    return 0;
}

/* ---- caches ---------------------------------------------------------------------------------- */

static bool parse_cache_type(const char *text, NodeCacheType *ret)
{
    static const char *const kernel[NODE_CACHE_TYPE_MAX] = {"Unified", "Instruction", "Data"};
    for (unsigned i = 0; i < NODE_CACHE_TYPE_MAX; i++) {
        if (strcmp(text, kernel[i]) == 0) {
            *ret = (NodeCacheType)i;
            return true;
        }
    }
    return false;
}

static bool read_cache(unsigned cpu, unsigned index, NodeCacheBank *ret)
{
    g_autofree char *type = NULL;
    g_autofree char *size = NULL;
    unsigned long long level, id;
    IdSet cpus;
    const char *at;
    if (hostfs_number(&level, SYS_CPU "/cpu%u/cache/index%u/level", cpu, index) < 0 || level < CACHE_MIN_LEVEL ||
        level > 64 || hostfs_number(&id, SYS_CPU "/cpu%u/cache/index%u/id", cpu, index) < 0 || id > UINT32_MAX ||
        hostfs_read(&type, HOSTFS_SMALL, SYS_CPU "/cpu%u/cache/index%u/type", cpu, index) < 0 ||
        !parse_cache_type(type, &ret->type) ||
        hostfs_read(&size, HOSTFS_SMALL, SYS_CPU "/cpu%u/cache/index%u/size", cpu, index) < 0 ||
        hostfs_idset(&cpus, NODE_MAX_CPUS, SYS_CPU "/cpu%u/cache/index%u/shared_cpu_list", cpu, index) < 0)
        return false;
    at = size;
    if (!text_number(&at, &ret->size_kib) || strcmp(at, "K") != 0)
        return false;
    ret->level = (unsigned)level;
    ret->id = (unsigned)id;
    ret->cpus = idset_format(&cpus);
    return true;
}

static int compare_banks(const void *pa, const void *pb)
{
    const NodeCacheBank *a = pa, *b = pb;
    if (a->level != b->level)
        return a->level < b->level ? -1 : 1;
    if (a->type != b->type)
        return a->type < b->type ? -1 : 1;
    return a->id < b->id ? -1 : a->id > b->id;
}

static void read_caches(NodeTopology *t, const IdSet *online)
{
    GArray *banks = g_array_new(FALSE, FALSE, sizeof(NodeCacheBank));
    IDSET_EACH(cpu, online)
    {
        for (unsigned index = 0; index < CACHE_MAX_INDEX && banks->len < CACHE_MAX_BANKS; index++) {
            NodeCacheBank bank;
            if (!hostfs_exists(SYS_CPU "/cpu%u/cache/index%u", cpu, index))
                break;
            if (!read_cache(cpu, index, &bank))
                continue;
            /* each cpu of a bank describes it: the last ones read are the likely matches */
            unsigned i = banks->len;
            while (i && compare_banks(&g_array_index(banks, NodeCacheBank, i - 1), &bank) != 0)
                i--;
            if (i)
                g_free(bank.cpus);
            else
                g_array_append_val(banks, bank);
        }
    }
    g_array_sort(banks, compare_banks);
    t->n_caches = banks->len;
    t->caches = (NodeCacheBank *)(void *)g_array_free(banks, banks->len == 0);
}

/* ---- all of it ------------------------------------------------------------------------------- */

static void all_up_to(IdSet *s, long n)
{
    memset(s, 0, sizeof(*s));
    for (long i = 0; i < CLAMP(n, 1, (long)NODE_MAX_CPUS); i++)
        idset_add(s, (unsigned)i);
}

static NodeTopology *read_topology(Err *err)
{
    g_autoptr(NodeTopology) t = g_new0(NodeTopology, 1);
    t->refs = 1;
    IdSet online, present, nodes;
    if (hostfs_idset(&online, NODE_MAX_CPUS, SYS_CPU "/online") < 0 || idset_count(&online) == 0)
        all_up_to(&online, sysconf(_SC_NPROCESSORS_ONLN));
    if (hostfs_idset(&present, NODE_MAX_CPUS, SYS_CPU "/present") < 0)
        present = online;
    IDSET_EACH(i, &online)
    idset_add(&present, i);
    t->n_cpus = idset_count(&online);
    IDSET_EACH(i, &present)
    t->max_cpu = i;
    t->n_page_sizes = topology_page_sizes(t->page_sizes, N_ELEMENTS(t->page_sizes), "/sys/kernel/mm/hugepages");

    t->numa = hostfs_idset(&nodes, NODE_MAX_CELLS, SYS_NODE "/online") == 0 && idset_count(&nodes) > 0;
    t->cells = g_new0(NodeCell, t->numa ? idset_count(&nodes) : 1);
    if (t->numa) {
        if (read_cells(t, &nodes, &online, err) < 0)
            return NULL;
    } else {
        NodeMemoryStats mem;
        if (node_memory_stats(NODE_ALL, &mem, err) < 0)
            return NULL;
        t->n_cells = 1;
        t->cells[0].memory_kib = mem.total;
        read_cpus(&t->cells[0], &online, &online);
    }
    read_caches(t, &online);
    return g_steal_pointer(&t);
}

NodeTopology *node_topology(Err *err)
{
    pthread_once(&cache_once, cache_init);
    mutex_lock(&cache.lock);
    NodeTopology *t =
        cache.topology && now_us() - cache.read_us < TOPOLOGY_FRESH_US ? node_topology_ref(cache.topology) : NULL;
    mutex_unlock(&cache.lock);
    if (t)
        return t;
    t = read_topology(err);
    if (!t)
        return NULL;
    mutex_lock(&cache.lock);
    NodeTopology *old = cache.topology;
    cache.topology = node_topology_ref(t);
    cache.read_us = now_us();
    mutex_unlock(&cache.lock);
    node_topology_unref(old);
    return t;
}

void topology_forget(void)
{
    pthread_once(&cache_once, cache_init);
    mutex_lock(&cache.lock);
    NodeTopology *old = g_steal_pointer(&cache.topology);
    mutex_unlock(&cache.lock);
    node_topology_unref(old);
}
