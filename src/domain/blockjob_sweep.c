/* domain/blockjob_sweep.c - what a daemon that was killed left in QEMU
 *
 * Owns:    nothing
 * Threads: workers
 * Locks:   the domain's, released for QMP, under a job of the machine
 * Errors:  logged
 *
 * Nodes are given to QEMU before a job on them begins, and taken away after it has ended.  A daemon that dies in between leaves nodes (and the
 * descriptors of their images) that no definition and no job names: at reconnect they are found by that.
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

static void drop_nodes(Domain *d, GPtrArray *nodes, uint64_t life)
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
}

static void drop_sets(Domain *d, uint64_t life)
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
        if (number <= 0 || index_of(opaque) != (unsigned)number || is_known(d->live, (uint64_t)number))
            continue;
        g_auto(Err) gone = ERR_INIT;
        if (domain_qmp(d, "remove-fd", json_pack("{s:I}", "fdset-id", number), NULL, &gone) < 0)
            log_info("%s: descriptors of image %d: %s", d->name, (int)number, gone.detail);
    }
    json_decref(sets);
}

void blockjobs_sweep(Domain *d)
{
    domain_assert_locked(d);
    job_assert_held(d);
    g_auto(Err) err = ERR_INIT;
    json_t *nodes = NULL, *n;
    size_t i;
    uint64_t life = d->life;
    if (domain_qmp(d, "query-named-block-nodes", json_pack("{s:b}", "flat", 1), &nodes, &err) < 0)
        return;
    g_autoptr(GPtrArray) orphans = g_ptr_array_new_with_free_func(g_free);
    json_array_foreach(nodes, i, n)
    {
        const char *name = json_string_value(json_object_get(n, "node-name"));
        unsigned index = index_of(name);
        if (index && !is_known(d->live, index))
            g_ptr_array_add(orphans, g_strdup(name));
    }
    json_decref(nodes);
    drop_nodes(d, orphans, life);
    if (d->life == life && !d->priv->dying)
        drop_sets(d, life);
}
