/* domain/blockjob_sweep.c - what is left in QEMU: by a daemon that was killed, or by commands that QEMU refused
 *
 * Owns:    nothing
 * Threads: workers; the timer's function on the monitor event thread
 * Locks:   the domain's, released for QMP, under a job of the machine
 * Errors:  logged
 *
 * Nodes are given to QEMU before a job on them begins, and taken away after it has ended.  A daemon that dies in between leaves nodes (and the
 * descriptors of their images) that no definition and no job names: at reconnect they are found by that.
 *
 * The same is looked for when QEMU refused to let a job or a node go: at once, then with growing pauses some more times (whatever uses the node may
 * end), after that with the end of the machine's next block job and when QEMU answers again after a silence.
 */
#include "config.h"

#include <stdio.h>
#include <string.h>

#define LOG_AREA "domain.blockjob"
#include "util/log.h"
#include "domain/blockjob_disk.h"
#include "domain/private.h"
#include "qmp/commands.h"

/* Each pass takes away those nobody stands on; a chain has two nodes an image. */
#define PASSES_MAX 400u

/* Of what QEMU refused: pauses of 3, 6, 12 … s. */
#define TRIES_MAX 5u
#define AGAIN_MS  3000u

static bool is_known(const DomainDef *def, uint64_t index)
{
    for (unsigned i = 0; i < def->disks->len; i++) {
        const DiskDef *disk = def->disks->pdata[i];
        if (chain_by_index(disk->src, index) || (disk->mirror && chain_by_index(disk->mirror, index)))
            return true;
    }
    return false;
}

/* The number in a node name of ours; 0: it is not one. */
static unsigned index_of(const char *node)
{
    unsigned index = 0;
    char kind[8] = "";
    if (!node || sscanf(node, "libvirt-%u-%7[a-z]", &index, kind) != 2 || (strcmp(kind, "format") != 0 && strcmp(kind, "storage") != 0))
        return 0;
    return index;
}

static bool drop(Domain *d, const char *node)
{
    g_auto(Err) err = ERR_INIT;
    return domain_qmp(d, "blockdev-del", json_pack("{s:s}", "node-name", node), NULL, &err) == 0;
}

/* False: some are still there. */
static bool drop_nodes(Domain *d, GPtrArray *nodes, uint64_t life)
{
    bool any = true;
    for (unsigned pass = 0; any && nodes->len && pass < PASSES_MAX; pass++) {
        any = false;
        for (unsigned i = nodes->len; i > 0 && d->life == life && !d->priv->dying; i--) {
            const char *node = nodes->pdata[i - 1];
            if (!drop(d, node))
                continue;
            log_info("%s: node %s, which nobody needs any more, is taken out", d->name, node);
            g_ptr_array_remove_index(nodes, i - 1);
            any = true;
        }
    }
    return nodes->len == 0;
}

static bool has_node(const GPtrArray *nodes, unsigned index)
{
    for (unsigned i = 0; i < nodes->len; i++) {
        if (index_of(nodes->pdata[i]) == index)
            return true;
    }
    return false;
}

/* Descriptors of images that neither the definition nor one of the nodes that are left needs. */
static void drop_sets(Domain *d, const GPtrArray *left, uint64_t life)
{
    json_t *sets = NULL, *set;
    size_t i;
    g_auto(Err) err = ERR_INIT;
    if (domain_qmp(d, "query-fdsets", NULL, &sets, &err) < 0)
        return;
    json_array_foreach(sets, i, set)
    {
        json_int_t number = json_integer_value(json_object_get(set, "fdset-id"));
        const char *opaque = json_string_value(json_object_get(json_array_get(json_object_get(set, "fds"), 0), "opaque"));
        if (d->life != life || d->priv->dying || !d->live)
            break;
        if (number <= 0 || index_of(opaque) != (unsigned)number || is_known(d->live, (uint64_t)number) || has_node(left, (unsigned)number))
            continue;
        g_auto(Err) gone = ERR_INIT;
        if (domain_qmp(d, "remove-fd", json_pack("{s:I}", "fdset-id", number), NULL, &gone) < 0)
            log_info("%s: descriptors of image %d: %s", d->name, (int)number, gone.detail);
    }
    json_decref(sets);
}

bool blockjobs_sweep(Domain *d)
{
    domain_assert_locked(d);
    job_assert_held(d);
    g_auto(Err) err = ERR_INIT;
    json_t *nodes = NULL, *n;
    size_t i;
    uint64_t life = d->life;
    if (domain_qmp(d, "query-named-block-nodes", json_pack("{s:b}", "flat", 1), &nodes, &err) < 0)
        return false;
    g_autoptr(GPtrArray) orphans = g_ptr_array_new_with_free_func(g_free);
    json_array_foreach(nodes, i, n)
    {
        const char *name = json_string_value(json_object_get(n, "node-name"));
        unsigned index = index_of(name);
        if (index && !is_known(d->live, index))
            g_ptr_array_add(orphans, g_strdup(name));
    }
    json_decref(nodes);
    bool clean = drop_nodes(d, orphans, life);
    if (d->life == life && !d->priv->dying)
        drop_sets(d, orphans, life);
    return clean;
}

/* ---- what QEMU refused ------------------------------------------------------------------------------------------- */

static void sweep_task(Domain *d, void *unused)
{
    DomainPrivate *p = d->priv;
    g_auto(Err) err = ERR_INIT;
    json_t *jobs = NULL;
    if (!p->sweeps || !p->qmp || p->dying)
        return;
    uint64_t life = d->life;
    bool clean = domain_qmp(d, "query-jobs", NULL, &jobs, &err) == 0 && blockjob_compare(d, jobs);
    json_decref(jobs);
    if (d->life != life || p->dying)
        return;
    clean = blockjobs_sweep(d) && clean;
    if (d->life != life || p->dying)
        return;
    if (clean)
        p->sweeps = 0;
    else
        blockjobs_sweep_later(d);
}

void blockjobs_sweep_now(Domain *d)
{
    domain_assert_locked(d);
    if (d->priv->sweeps)
        domain_task(d, JOB_MODIFY, "what is left of block jobs", d->life, sweep_task, NULL, NULL);
}

static void on_again(void *arg)
{
    Domain *d = arg;
    g_autoptr(DomainView) v = domain_view(d);
    if (v->live)
        domain_task(d, JOB_MODIFY, "what is left of block jobs", v->life, sweep_task, NULL, NULL);
}

void blockjobs_sweep_later(Domain *d)
{
    DomainPrivate *p = d->priv;
    domain_assert_locked(d);
    if (p->sweeps > TRIES_MAX)
        return; /* the next end of a block job comes here again */
    if (p->sweeps++ == 0) {
        blockjobs_sweep_now(d);
        return;
    }
    if (!p->sweep_again)
        p->sweep_again = timer_new(domain_driver_opts(d->drv)->monitor_loop, on_again, d);
    timer_arm(p->sweep_again, deadline_in_ms(AGAIN_MS << (p->sweeps - 2)));
}

void blockjobs_take_out(Domain *d, GArray *commands)
{
    domain_assert_locked(d);
    uint64_t life = d->life;
    bool left = d->priv->sweeps > TRIES_MAX;
    if (left)
        d->priv->sweeps = 0;
    domain_qmp_all(d, commands);
    if (d->life != life || d->priv->dying)
        return;
    for (unsigned i = 0; i < commands->len; i++) {
        const QmpRequest *r = &g_array_index(commands, QmpRequest, i);
        if (r->status == QMP_OK)
            continue;
        log_warning("%s: %s", d->name, r->err.detail);
        left = left || r->cmd != QMP(REMOVE_FD); /* a set stays no longer than its node */
    }
    if (left)
        blockjobs_sweep_later(d);
}
