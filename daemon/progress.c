/* daemon/progress.c - progress of block jobs, told to those who want to see it
 *
 * Owns:    who was told what: a Watched for each machine that had jobs when it was looked at last
 * Threads: client event thread; QEMU is asked on workers
 * Locks:   the domain's, on workers
 * Errors:  none: a machine that does not answer is told of with what is known, and asked again when it has answered
 *
 * QEMU tells how far a job is only when it is asked.  So while somebody is registered the machines' views are looked at four times a second, and
 * those that have jobs are asked, each by one worker at a time.  Nobody registered: no timer.  Ended jobs are told of once, with their verdict:
 * those behind the last that was there at the look before.  Times are the host's, whose clock may be set, so they decide only where there was none.
 */
#include "config.h"

#include <string.h>

#define LOG_AREA "daemon.progress"
#include "util/log.h"
#include "daemon/events.h"
#include "daemon/progress.h"
#include "domain/roster.h"
#include "event/timer.h"

#define EVERY_MS 250u

typedef struct Watched {
    uint8_t uuid[UUID_LEN];
    char *name;
    bool asked;        /* a worker is at it */
    bool there;        /* the last look at all machines found it */
    uint64_t since_us; /* wall clock of the last look, or of the first sight of a job */
    JobVerdict *last;  /* the newest of the ended jobs then; NULL: there was none, or no look yet */
    bool none_ended;   /* there was none */
} Watched;

struct Progress {
    Server *server;
    Timer *timer;
    GHashTable *watched; /* by uuid */
};

/* One look at one machine: there and back. */
typedef struct Look {
    Progress *p;
    Domain *d;     /* reference */
    uint8_t uuid[UUID_LEN];
    uint64_t since_us;  /* these three: as Watched's, before and after */
    JobVerdict *last;
    bool none_ended;
    DomainEvent *e; /* whom it is about */
    GBytes *payload;
    bool runs;      /* it has jobs */
} Look;

static guint uuid_hash(gconstpointer uuid)
{
    guint h;
    memcpy(&h, uuid, sizeof(h));
    return h;
}

static gboolean uuid_same(gconstpointer a, gconstpointer b)
{
    return memcmp(a, b, UUID_LEN) == 0;
}

/* ---- on a worker --------------------------------------------------------------------------------------------------------- */

/* The first of those that were not told of yet. */
static unsigned first_untold(const GPtrArray *ended, const Look *l)
{
    uint64_t now = (uint64_t)g_get_real_time();
    for (unsigned i = ended->len; l->last && i > 0; i--)
        if (job_verdict_same(ended->pdata[i - 1], l->last))
            return i;
    unsigned i = l->none_ended ? 0 : ended->len;
    for (; i > 0; i--) {
        const JobVerdict *v = ended->pdata[i - 1];
        if (v->ended_us <= l->since_us || v->ended_us > now) /* from then on, and not from a time the clock was ahead */
            break;
    }
    return i;
}

static void note_told(Look *l, const GPtrArray *ended)
{
    l->since_us = (uint64_t)g_get_real_time();
    l->none_ended = ended->len == 0;
    job_verdict_free(l->last);
    l->last = ended->len ? job_verdict_copy(ended->pdata[ended->len - 1]) : NULL;
}

static GBytes *encode(const DomainEvent *e, const GPtrArray *running, const GPtrArray *ended, unsigned from)
{
    Arena a = {0};
    unsigned n = 0;
    berth_block_job *jobs = arena_array(&a, berth_block_job, running->len + ended->len);
    for (unsigned i = 0; i < running->len; i++)
        jobs[n++] = wire_running_job(&a, running->pdata[i]);
    for (unsigned i = from; i < ended->len; i++)
        jobs[n++] = wire_ended_job(&a, ended->pdata[i]);
    berth_block_job_progress_msg m = {.dom = {.name = e->name, .id = e->dom_id}, .jobs = {.jobs_len = MIN(n, BERTH_BLOCK_JOBS_MAX), .jobs_val = jobs}};
    memcpy(m.dom.uuid, e->uuid, UUID_LEN);
    g_auto(Err) err = ERR_INIT;
    g_autoptr(GBytes) all = rpc_encode((xdrproc_t)xdr_berth_block_job_progress_msg, &m, &err);
    arena_done(&a);
    if (!all)
        log_warning("%s: the progress of %u block jobs is not told: %s", e->name, n, err.detail);
    return all ? g_bytes_new_from_bytes(all, 4, g_bytes_get_size(all) - 4) : NULL; /* each receiver's id comes before it */
}

static void told(void *arg);

static void look(void *arg)
{
    Look *l = arg;
    domain_lock(l->d);
    g_autoptr(GPtrArray) running = domain_block_jobs(l->d);
    l->e = domain_event_new(EVENT_BLOCK_JOBS, 0, l->d);
    l->runs = running->len > 0;
    domain_unlock(l->d);
    g_autoptr(GPtrArray) ended = domain_block_jobs_ended(l->d);
    l->payload = encode(l->e, running, ended, first_untold(ended, l));
    note_told(l, ended);
    event_post(l->p->server->client_loop, told, l);
}

/* One that is gone for good has no jobs: who follows them need not wait any more. */
static void tell_gone(Progress *p, const Watched *w)
{
    g_autoptr(GPtrArray) none = g_ptr_array_new();
    DomainEvent *e = g_new0(DomainEvent, 1);
    e->class = EVENT_BLOCK_JOBS;
    e->name = g_strdup(w->name);
    e->dom_id = -1;
    memcpy(e->uuid, w->uuid, UUID_LEN);
    g_autoptr(GBytes) payload = encode(e, none, none, 0);
    if (payload)
        event_hub_send(p->server->events, e, BERTH_PROGRAM, BERTH_PROTOCOL_VERSION, BERTH_PROC_BLOCK_JOB_PROGRESS, payload);
    domain_event_free(e);
}

/* ---- on the event thread ------------------------------------------------------------------------------------------------- */

static void look_free(Look *l)
{
    if (l->e)
        domain_event_free(l->e);
    g_clear_pointer(&l->payload, g_bytes_unref);
    job_verdict_free(l->last);
    object_unref(l->d);
    g_free(l);
}

static void told(void *arg)
{
    Look *l = arg;
    Progress *p = l->p;
    Watched *w = g_hash_table_lookup(p->watched, l->uuid);
    if (w) {
        w->asked = false;
        w->since_us = l->since_us;
        w->none_ended = l->none_ended;
        job_verdict_free(w->last);
        w->last = g_steal_pointer(&l->last);
        if (l->payload)
            event_hub_send(p->server->events, l->e, BERTH_PROGRAM, BERTH_PROTOCOL_VERSION, BERTH_PROC_BLOCK_JOB_PROGRESS, l->payload);
        if (!l->runs)
            g_hash_table_remove(p->watched, l->uuid);
    }
    look_free(l);
}

static void ask(Progress *p, const DomainView *v)
{
    Watched *w = g_hash_table_lookup(p->watched, v->uuid);
    if (!w && !v->block_jobs)
        return;
    if (!w) {
        w = g_new0(Watched, 1);
        w->name = g_strdup(v->name);
        memcpy(w->uuid, v->uuid, UUID_LEN);
        w->since_us = (uint64_t)g_get_real_time();
        g_hash_table_insert(p->watched, w->uuid, w);
    }
    w->there = true;
    if (w->asked)
        return;
    g_auto(Err) err = ERR_INIT;
    Look *l = g_new0(Look, 1);
    *l = (Look){.p = p, .d = domain_by_uuid(p->server->domains, v->uuid, v->name, &err), .since_us = w->since_us,
                .last = w->last ? job_verdict_copy(w->last) : NULL, .none_ended = w->none_ended};
    memcpy(l->uuid, v->uuid, UUID_LEN);
    if (l->d && domain_driver_submit(p->server->domains, LANE_NORMAL, look, l)) {
        w->asked = true;
        return;
    }
    look_free(l);
}

/* Those that are gone; all of them when nobody wants to know. */
static void forget(Progress *p, bool all)
{
    GHashTableIter it;
    Watched *w;
    g_hash_table_iter_init(&it, p->watched);
    while (g_hash_table_iter_next(&it, NULL, (void **)&w)) {
        if (w->asked || (w->there && !all))
            continue;
        if (!all)
            tell_gone(p, w);
        g_hash_table_iter_remove(&it);
    }
}

static void unmark(void *uuid, void *watched, void *unused)
{
    ((Watched *)watched)->there = false;
}

static void on_time(void *arg)
{
    Progress *p = arg;
    if (!event_hub_wanted(p->server->events, EVENT_BLOCK_JOBS)) {
        forget(p, true);
        return;
    }
    g_hash_table_foreach(p->watched, unmark, NULL);
    g_autoptr(DomainRoster) all = domain_roster(p->server->domains);
    for (unsigned i = 0; i < all->views->len; i++)
        ask(p, all->views->pdata[i]);
    forget(p, false);
    timer_arm(p->timer, deadline_in_ms(EVERY_MS));
}

void progress_wanted(Progress *p)
{
    timer_arm_by(p->timer, deadline_in_ms(0));
}

static void watched_free(void *p)
{
    Watched *w = p;
    job_verdict_free(w->last);
    g_free(w->name);
    g_free(w);
}

Progress *progress_new(Server *s)
{
    Progress *p = g_new0(Progress, 1);
    p->server = s;
    p->timer = timer_new(s->client_loop, on_time, p);
    p->watched = g_hash_table_new_full(uuid_hash, uuid_same, NULL, watched_free);
    return p;
}

void progress_stop(Progress *p)
{
    if (p)
        g_clear_pointer(&p->timer, timer_free);
}

void progress_free(Progress *p)
{
    if (!p)
        return;
    progress_stop(p);
    g_hash_table_unref(p->watched);
    g_free(p);
}
