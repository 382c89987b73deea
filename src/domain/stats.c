/* domain/stats.c - what a machine did: counters from QEMU
 *
 * Owns:    the last sample of each machine, the requests under way
 * Threads: refresh on workers; replies on the monitor thread
 * Locks:   slot.lock, round.lock (leaves)
 *
 * Theory of operation.  A round is one refresh of many machines.  For each machine that owes nothing a Probe sends its queries and
 * counts the answers; the last one makes the sample, puts it into the machine's slot and tells the round.  The round's caller sleeps
 * until all probes told, and goes before that when waiting has no point: nobody has answered for LOOK_MS, and a look at the processes
 * still out finds, twice, none that could answer (stopped, or asleep in the kernel on dead storage); or nobody has answered for as long
 * as the caller allows.  Probes still out finish on their own and free what they hold.
 */
#include "config.h"

#include <string.h>

#include "api_enums.h"
#include "domain/stats.h"
#include "host/proc.h"
#include "qmp/client.h"
#include "util/log.h"

#define PROBE_DEADLINE_MS 5000u
#define LOOK_MS           3u
#define ROUND_MS          5000u /* of answers coming in, at most */

struct StatsSlot {
    Mutex lock; /* leaf */
    DomainStats *last;
    bool asking; /* a probe is out */
    uint64_t round; /* moves on at reset: answers of an earlier life are dropped */
};

typedef struct Round {
    gint refs;
    Mutex lock; /* leaf */
    Cond told;
    unsigned out;
    GArray *pids; /* pid_t of each probe's process; 0 once it has told */
} Round;

typedef struct Probe {
    Domain *dom; /* reference */
    Round *round;
    unsigned place; /* in round->pids */
    DomainStats *sample;
    uint64_t slot_round;
    unsigned out;     /* answers still to come; monitor thread only, but for the sender's first count */
    bool failed;
} Probe;

/* ---- samples and slots ----------------------------------------------------------------------------------------------------- */

static void block_clear(void *p)
{
    DomainBlockStats *b = p;
    g_free(b->alias);
    g_free(b->node);
}

static DomainStats *sample_new(void)
{
    DomainStats *s = g_new0(DomainStats, 1);
    s->refs = 1;
    s->blocks = g_array_new(FALSE, TRUE, sizeof(DomainBlockStats));
    g_array_set_clear_func(s->blocks, block_clear);
    return s;
}

DomainStats *domain_stats_ref(DomainStats *s)
{
    g_atomic_int_inc(&s->refs);
    return s;
}

void domain_stats_unref(DomainStats *s)
{
    if (!s || !g_atomic_int_dec_and_test(&s->refs))
        return;
    g_array_unref(s->blocks);
    g_free(s);
}

StatsSlot *stats_slot_new(void)
{
    StatsSlot *s = g_new0(StatsSlot, 1);
    mutex_init(&s->lock, LOCK_LEAF, "stats slot");
    return s;
}

void stats_slot_free(StatsSlot *s)
{
    if (!s)
        return;
    domain_stats_unref(s->last);
    mutex_done(&s->lock);
    g_free(s);
}

DomainStats *domain_stats_last(Domain *d)
{
    StatsSlot *slot = domain_stats_slot(d, false);
    if (!slot)
        return NULL;
    LOCK_SCOPE(&slot->lock);
    return slot->last ? domain_stats_ref(slot->last) : NULL;
}

void domain_stats_reset(Domain *d)
{
    StatsSlot *slot = domain_stats_slot(d, false);
    if (!slot)
        return;
    LOCK_SCOPE(&slot->lock);
    g_clear_pointer(&slot->last, domain_stats_unref);
    slot->round++;
}

const DomainBlockStats *domain_stats_block(const DomainStats *s, const char *alias, unsigned depth)
{
    for (unsigned i = 0; alias && i < s->blocks->len; i++) {
        const DomainBlockStats *b = &g_array_index(s->blocks, DomainBlockStats, i);
        if (b->depth == depth && strcmp(b->alias, alias) == 0)
            return b;
    }
    return NULL;
}

uint64_t domain_view_cpu_time_ns(const DomainView *v)
{
    HostCpuTime t;
    return host_process_cpu(v->pid, &t) == 0 ? t.user_ns + t.system_ns : 0;
}

/* ---- answers (monitor thread) ---------------------------------------------------------------------------------------------- */

static void round_unref(Round *r)
{
    if (!g_atomic_int_dec_and_test(&r->refs))
        return;
    cond_done(&r->told);
    mutex_done(&r->lock);
    g_array_unref(r->pids);
    g_free(r);
}

static void round_tell(Round *r, unsigned place)
{
    {
        LOCK_SCOPE(&r->lock);
        g_array_index(r->pids, pid_t, place) = 0;
        if (--r->out == 0)
            cond_broadcast(&r->told);
    }
    round_unref(r);
}

static void probe_answered(Probe *p)
{
    if (--p->out > 0)
        return;
    StatsSlot *slot = domain_stats_slot(p->dom, false);
    {
        LOCK_SCOPE(&slot->lock);
        slot->asking = false;
        if (!p->failed && slot->round == p->slot_round) {
            domain_stats_unref(slot->last);
            p->sample->taken_us = now_us();
            slot->last = g_steal_pointer(&p->sample);
        }
    }
    round_tell(p->round, p->place);
    domain_stats_unref(p->sample);
    object_unref(p->dom);
    g_free(p);
}

/* Unsigned member of a counter object; absent, negative or no number: 0. */
static uint64_t number(json_t *obj, const char *key)
{
    json_int_t n = json_integer_value(json_object_get(obj, key));
    return n > 0 ? (uint64_t)n : 0;
}

/* "/machine/peripheral/virtio-disk0/virtio-backend" -> "virtio-disk0"; a plain id stays. */
static char *alias_of_qdev(const char *qdev)
{
    static const char prefix[] = "/machine/peripheral/";
    if (!qdev)
        return NULL;
    const char *p = g_str_has_prefix(qdev, prefix) ? qdev + sizeof(prefix) - 1 : qdev;
    return g_strndup(p, strcspn(p, "/"));
}

static DomainBlockStats *block_of(DomainStats *s, const char *alias, unsigned depth)
{
    DomainBlockStats *have = (DomainBlockStats *)(uintptr_t)domain_stats_block(s, alias, depth);
    if (have)
        return have;
    DomainBlockStats b = {.alias = g_strdup(alias), .depth = depth};
    g_array_append_val(s->blocks, b);
    return &g_array_index(s->blocks, DomainBlockStats, s->blocks->len - 1);
}

#define MAX_DEPTH 200u

/* A filter of ours in front of the images counts for the device, not as an image. */
static bool is_filter(json_t *layer)
{
    const char *node = json_string_value(json_object_get(layer, "node-name"));
    return node && g_str_has_prefix(node, "libvirt-CoR-");
}

static void on_blockstats(void *ud, QmpStatus status, json_t *ret, Err *err)
{
    Probe *p = ud;
    size_t i;
    json_t *dev;
    p->failed = p->failed || status != QMP_OK;
    json_array_foreach(ret, i, dev)
    {
        g_autofree char *alias = alias_of_qdev(json_string_value(json_object_get(dev, "qdev")));
        unsigned depth = 0;
        for (json_t *layer = dev; alias && layer && depth < MAX_DEPTH; layer = json_object_get(layer, "backing"), depth++) {
            json_t *st = json_object_get(layer, "stats");
            DomainBlockStats *b = block_of(p->sample, alias, depth);
            if (depth == 0 && is_filter(layer))
                layer = json_object_get(layer, "backing");
            g_free(b->node);
            b->node = g_strdup(json_string_value(json_object_get(layer, "node-name")));
            b->rd_reqs = number(st, "rd_operations");
            b->rd_bytes = number(st, "rd_bytes");
            b->rd_ns = number(st, "rd_total_time_ns");
            b->wr_reqs = number(st, "wr_operations");
            b->wr_bytes = number(st, "wr_bytes");
            b->wr_ns = number(st, "wr_total_time_ns");
            b->fl_reqs = number(st, "flush_operations");
            b->fl_ns = number(st, "flush_total_time_ns");
            /* of the file, where the format's node stands on one */
            json_t *below = json_object_get(json_object_get(layer, "parent"), "stats");
            b->allocation = number(below ? below : json_object_get(layer, "stats"), "wr_highest_offset");
        }
    }
    probe_answered(p);
}

static void on_block(void *ud, QmpStatus status, json_t *ret, Err *err)
{
    Probe *p = ud;
    size_t i;
    json_t *dev;
    json_array_foreach(ret, i, dev)
    {
        json_t *inserted = json_object_get(dev, "inserted");
        json_t *image = json_object_get(inserted, "image");
        if (is_filter(inserted))
            image = json_object_get(image, "backing-image");
        g_autofree char *alias = alias_of_qdev(json_string_value(json_object_get(dev, "qdev")));
        const char *io = json_string_value(json_object_get(dev, "io-status"));
        if (alias && io && strcmp(io, "ok") != 0)
            block_of(p->sample, alias, 0)->io_error = strcmp(io, "nospace") == 0 ? VIR_DOMAIN_DISK_ERROR_NO_SPACE : VIR_DOMAIN_DISK_ERROR_UNSPEC;
        for (unsigned depth = 0; alias && image && depth < MAX_DEPTH; image = json_object_get(image, "backing-image"), depth++) {
            DomainBlockStats *b = block_of(p->sample, alias, depth);
            b->capacity = number(image, "virtual-size");
            b->physical = number(image, "actual-size");
        }
    }
    probe_answered(p);
}

static void on_balloon(void *ud, QmpStatus status, json_t *ret, Err *err)
{
    Probe *p = ud;
    p->sample->balloon_kib = number(ret, "actual") / 1024; /* no balloon device: an error, and 0 */
    probe_answered(p);
}

/* QEMU's names of the guest's numbers; those in bytes are shown in KiB. */
static const struct {
    const char *name;
    int tag;
    bool bytes;
} memory_names[] = {
    {"stat-swap-in", VIR_DOMAIN_MEMORY_STAT_SWAP_IN, true},
    {"stat-swap-out", VIR_DOMAIN_MEMORY_STAT_SWAP_OUT, true},
    {"stat-major-faults", VIR_DOMAIN_MEMORY_STAT_MAJOR_FAULT, false},
    {"stat-minor-faults", VIR_DOMAIN_MEMORY_STAT_MINOR_FAULT, false},
    {"stat-free-memory", VIR_DOMAIN_MEMORY_STAT_UNUSED, true},
    {"stat-total-memory", VIR_DOMAIN_MEMORY_STAT_AVAILABLE, true},
    {"stat-available-memory", VIR_DOMAIN_MEMORY_STAT_USABLE, true},
    {"stat-disk-caches", VIR_DOMAIN_MEMORY_STAT_DISK_CACHES, true},
    {"stat-htlb-pgalloc", VIR_DOMAIN_MEMORY_STAT_HUGETLB_PGALLOC, false},
    {"stat-htlb-pgfail", VIR_DOMAIN_MEMORY_STAT_HUGETLB_PGFAIL, false},
};

static void on_guest_stats(void *ud, QmpStatus status, json_t *ret, Err *err)
{
    Probe *p = ud;
    json_t *st = json_object_get(ret, "stats");
    for (size_t i = 0; st && i < N_ELEMENTS(memory_names); i++) {
        json_t *v = json_object_get(st, memory_names[i].name);
        json_int_t n = json_integer_value(v);
        if (!json_is_integer(v) || n < 0) /* the guest has not said: all ones, which reads as -1 */
            continue;
        p->sample->mem[memory_names[i].tag] = memory_names[i].bytes ? (uint64_t)n / 1024 : (uint64_t)n;
        p->sample->mem_set |= 1u << memory_names[i].tag;
    }
    json_int_t at = json_integer_value(json_object_get(ret, "last-update"));
    if (st && at >= 0) { /* 0: no driver in the guest has spoken yet */
        p->sample->mem[VIR_DOMAIN_MEMORY_STAT_LAST_UPDATE] = (uint64_t)at;
        p->sample->mem_set |= 1u << VIR_DOMAIN_MEMORY_STAT_LAST_UPDATE;
    }
    probe_answered(p);
}

/* Word of QEMU to its place in `words`, or -1. */
static int word_index(const char *word, const char *const *words, unsigned n)
{
    for (unsigned i = 0; word && i < n; i++) {
        if (strcmp(words[i], word) == 0)
            return (int)i;
    }
    return -1;
}

static void on_dirty_rate(void *ud, QmpStatus qs, json_t *ret, Err *err)
{
    static const char *const states[] = {"unstarted", "measuring", "measured"}; /* VIR_DOMAIN_DIRTYRATE_* */
    static const char *const modes[] = {"page-sampling", "dirty-bitmap", "dirty-ring"};
    Probe *p = ud;
    int status = word_index(json_string_value(json_object_get(ret, "status")), states, N_ELEMENTS(states));
    int mode = word_index(json_string_value(json_object_get(ret, "mode")), modes, N_ELEMENTS(modes));
    if (qs == QMP_OK && status >= 0) { /* a QEMU without the command answers with an error: nothing known */
        p->sample->dirty = (DirtyRate){
            .status = status,
            .start_s = json_integer_value(json_object_get(ret, "start-time")),
            .period_s = (int)json_integer_value(json_object_get(ret, "calc-time")),
            .mode = mode > 0 ? (unsigned)mode : 0,
            .mib_per_s = json_integer_value(json_object_get(ret, "dirty-rate")),
        };
        p->sample->dirty_known = true;
    }
    probe_answered(p);
}

/* ---- asking ---------------------------------------------------------------------------------------------------------------- */

static bool slot_take(Domain *d, uint64_t *ret_round)
{
    StatsSlot *slot = domain_stats_slot(d, true);
    LOCK_SCOPE(&slot->lock);
    if (slot->asking)
        return false;
    slot->asking = true;
    *ret_round = slot->round;
    return true;
}

static bool has_balloon(const DomainView *v)
{
    return v->live->memballoon && v->live->memballoon->model != MEMBALLOON_NONE && v->live->memballoon->info.alias;
}

static void ask(Domain *d, Round *round)
{
    g_autoptr(DomainView) v = domain_view(d);
    if (!v->live)
        return;
    g_autoptr(QmpClient) mon = domain_monitor_ref(d);
    uint64_t slot_round;
    if (!mon || !slot_take(d, &slot_round))
        return;
    bool balloon = has_balloon(v);
    Probe *p = g_new0(Probe, 1);
    p->dom = object_ref(d);
    p->round = round;
    g_atomic_int_inc(&round->refs);
    p->sample = sample_new();
    p->slot_round = slot_round;
    p->out = balloon ? 5 : 3; /* before the first is sent: answers come on another thread, never inside qmp_send */
    {
        LOCK_SCOPE(&round->lock);
        round->out++;
        p->place = round->pids->len;
        g_array_append_val(round->pids, v->pid);
    }
    Deadline dl = deadline_in_ms(PROBE_DEADLINE_MS);
    /* the last command's answer frees the probe: what is needed after is taken before */
    g_autofree char *path = balloon ? g_strdup_printf("/machine/peripheral/%s", v->live->memballoon->info.alias) : NULL;
    qmp_send(mon, qmp_command_find("query-blockstats"), NULL, dl, on_blockstats, p);
    qmp_send(mon, qmp_command_find("query-block"), NULL, dl, on_block, p);
    qmp_send(mon, qmp_command_find("query-dirty-rate"), NULL, dl, on_dirty_rate, p);
    if (balloon) {
        qmp_send(mon, qmp_command_find("query-balloon"), NULL, dl, on_balloon, p);
        qmp_send(mon, qmp_command_find("qom-get"), json_pack("{s:s, s:s}", "path", path, "property", "guest-stats"), dl, on_guest_stats, p);
    }
}

static Round *round_begin(Domain *const *doms, unsigned n)
{
    Round *r = g_new0(Round, 1);
    r->refs = 1;
    mutex_init(&r->lock, LOCK_LEAF, "stats round");
    cond_init(&r->told);
    r->pids = g_array_sized_new(FALSE, FALSE, sizeof(pid_t), n);
    for (unsigned i = 0; i < n; i++)
        ask(doms[i], r);
    return r;
}

void domain_stats_ask(Domain *const *doms, unsigned n)
{
    round_unref(round_begin(doms, n));
}

/* Whether any of the processes that have not answered could. */
static bool any_can_answer(Round *r)
{
    g_autofree pid_t *pids;
    unsigned n;
    {
        LOCK_SCOPE(&r->lock);
        n = r->pids->len;
        pids = g_memdup2(r->pids->data, n * sizeof(pid_t));
    }
    for (unsigned i = 0; i < n; i++) {
        if (pids[i] && host_process_can_answer(pids[i]))
            return true;
    }
    return false;
}

/* Sleeps until an answer came, LOOK_MS passed or nobody is out.  Returns how many are. */
static unsigned round_listen(Round *r)
{
    LOCK_SCOPE(&r->lock);
    if (r->out > 0)
        cond_wait_until(&r->told, &r->lock, deadline_in_ms(LOOK_MS));
    return r->out;
}

void domain_stats_refresh(Domain *const *doms, unsigned n, unsigned silence_ms)
{
    event_assert_may_block();
    Round *r = round_begin(doms, n);
    Deadline end = deadline_in_ms(ROUND_MS), patience = deadline_in_ms(silence_ms);
    unsigned before = n + 1, idle_looks = 0, out;
    pool_blocking_begin();
    while ((out = round_listen(r)) > 0 && !deadline_passed(end) && !deadline_passed(patience)) {
        if (out != before) {
            before = out;
            idle_looks = 0;
            patience = deadline_in_ms(silence_ms);
        } else if (any_can_answer(r)) {
            idle_looks = 0;
        } else if (++idle_looks == 2) {
            break;
        }
    }
    pool_blocking_end();
    round_unref(r);
}
