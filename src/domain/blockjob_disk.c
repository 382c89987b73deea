/* domain/blockjob_disk.c - what all kinds of block jobs do with their disk and its definitions
 *
 * Owns:    how a job begins, how live and stored definition follow it
 * Threads: workers
 * Locks:   the domain's, released for QMP and files
 * Errors:  VIR_ERR_INVALID_ARG, VIR_ERR_OPERATION_INVALID, VIR_ERR_BLOCK_COPY_ACTIVE, VIR_ERR_OVERFLOW, QEMU's own
 */
#include "config.h"

#include <inttypes.h>
#include <string.h>

#define LOG_AREA "domain.blockjob"
#include "util/log.h"
#include "domain/blockjob_disk.h"
#include "domain/private.h"
#include "domain/reconnect.h"
#include "domain/snapshot.h"
#include "qemu/props.h"
#include "qmp/commands.h"
#include "api_enums.h"

#define MIB (1024u * 1024u)

/* ---- the call ---------------------------------------------------------------------------------------------------- */

DomainDef *blockjob_call_live(Domain *d, Err *err)
{
    if (snapshot_settle(d, err) < 0) {
        err_wrap(err, "an earlier snapshot is not settled yet");
        return NULL;
    }
    if (d->live && !d->priv->dying)
        return domain_def_ref(d->live);
    domain_err_inactive(err);
    return NULL;
}

DiskDef *blockjob_call_disk(Domain *d, const DomainDef *def, const char *name, Err *err)
{
    DiskDef *disk = chain_disk(def, name, err);
    if (!disk)
        return NULL;
    if (!disk->src->path) {
        err_set(err, VIR_ERR_INVALID_ARG, "disk '%s' does not have any media inserted", disk->dst);
        return NULL;
    }
    BlockJob *other = blockjob_of_disk(d, disk->info.alias);
    if (other) {
        blockjob_busy(d, other, disk->dst, err);
        return NULL;
    }
    return disk;
}

int blockjob_bandwidth(uint64_t value, bool in_bytes, uint64_t *ret, Err *err)
{
    uint64_t max = (uint64_t)INT64_MAX;
    if (!in_bytes && value > max / MIB)
        return err_set(err, VIR_ERR_OVERFLOW, "bandwidth must be less than %" PRIu64, max / MIB);
    if (in_bytes && value > max)
        return err_set(err, VIR_ERR_OVERFLOW, "bandwidth must be less than %" PRIu64, max);
    *ret = in_bytes ? value : value * MIB;
    return 0;
}

/* ---- begun ------------------------------------------------------------------------------------------------------- */

static void set_mirror(Domain *d, const BlockJob *job, const StorageSource *mirror)
{
    DiskDef *disk;
    g_autoptr(DomainDef) def = blockjob_edit(d, job, &disk);
    if (!def)
        return;
    storage_source_free(disk->mirror);
    disk->mirror = mirror ? storage_source_copy(mirror) : NULL;
    disk->mirror_job = !mirror                                                            ? MIRROR_JOB_ABSENT
                       : blockjob_ops(job)->type == VIR_DOMAIN_BLOCK_JOB_TYPE_ACTIVE_COMMIT ? MIRROR_ACTIVE_COMMIT
                                                                                            : MIRROR_COPY;
    disk->mirror_state = MIRROR_STATE_ABSENT;
    domain_set_live(d, g_steal_pointer(&def));
}

/* Ids never come again, so that a job whose dismissal failed does not stand in the way of the next. */
static char *new_id(const BlockJobOps *ops, const DiskDef *disk)
{
    return g_strdup_printf(BLOCKJOB_ID_PREFIX "%s-%s-%" PRIx64, ops->name, disk->dst, (uint64_t)g_get_real_time());
}

/* The call is over and does not know what became of it.  Had QEMU been lost and reached again meanwhile, that comparison left the job out. */
static void asked_in_vain(Domain *d, BlockJob *job)
{
    blockjob_set_asking(job, false);
    if (blockjob_state(job) != BLOCKJOB_OVER && domain_is_active(d) && !d->priv->dying)
        domain_resync_later(d);
}

int blockjob_begin(Domain *d, const BlockJobOps *ops, const DiskDef *disk, const BlockJobParams *params, const StorageSource *mirror,
                   const char *command, json_t *args, uint64_t speed, bool *ret_unsure, Err *err)
{
    g_autofree char *id = new_id(ops, disk);
    *ret_unsure = false;
    BlockJobParams *own = blockjob_params_new(params->top, params->base, params->flags);
    g_autoptr(BlockJob) job = blockjob_new(d, ops, id, disk->info.alias, disk->dst, own, err);
    if (!job) {
        blockjob_params_free(own);
        json_decref(args);
        return -1;
    }
    blockjob_set_asking(job, true);
    if (mirror)
        set_mirror(d, job, mirror);
    if (blockjob_write_down(d, job, err) < 0) {
        asked_in_vain(d, job);
        json_decref(args);
        if (mirror)
            set_mirror(d, job, NULL);
        return -1;
    }
    props_str(args, "job-id", id);
    if (speed)
        props_u64(args, "speed", speed);
    props_bool(args, "auto-finalize", !ops->finalized_by_us);
    props_bool(args, "auto-dismiss", ops->goes_by_itself);
    QmpStatus s = domain_qmp_status(d, qmp_command_find(command), args, NULL, err);
    if (s == QMP_CLOSED)
        asked_in_vain(d, job);
    blockjob_set_asking(job, false);
    if (s == QMP_OK) {
        blockjob_started(d, job);
        return 0;
    }
    *ret_unsure = !qmp_status_is_refusal(s); /* it may have begun: known when QEMU answers again */
    if (!*ret_unsure) {
        if (mirror)
            set_mirror(d, job, NULL);
        blockjob_refused(d, job);
    }
    return -1;
}

/* ---- definitions ------------------------------------------------------------------------------------------------- */

static DiskDef *disk_of_alias(const DomainDef *def, const char *alias)
{
    for (unsigned i = 0; i < def->disks->len; i++) {
        DiskDef *disk = def->disks->pdata[i];
        if (!g_strcmp0(disk->info.alias, alias))
            return disk;
    }
    return NULL;
}

DiskDef *blockjob_live_disk(Domain *d, const BlockJob *job)
{
    return d->live ? disk_of_alias(d->live, blockjob_disk(job)) : NULL;
}

DomainDef *blockjob_edit(Domain *d, const BlockJob *job, DiskDef **ret_disk)
{
    domain_assert_locked(d);
    if (!blockjob_live_disk(d, job))
        return NULL;
    DomainDef *def = domain_def_copy(d->live);
    *ret_disk = disk_of_alias(def, blockjob_disk(job));
    return def;
}

void blockjob_mark_mirror(Domain *d, const BlockJob *job, MirrorState state)
{
    DiskDef *disk = blockjob_live_disk(d, job);
    if (!disk || !disk->mirror || disk->mirror_state == state)
        return;
    DomainDef *def = blockjob_edit(d, job, &disk);
    disk->mirror_state = state;
    domain_set_live(d, def);
}

static int config_follow(Domain *d, const BlockJob *job, const StorageSource *old, const StorageSource *now, Err *err)
{
    g_autoptr(DomainDef) def = domain_parse_config(d, err);
    if (!def)
        return -1;
    DiskDef *disk = domain_def_find_disk(def, blockjob_target(job));
    if (!disk || !disk->src->path || !storage_source_same_place(disk->src, old))
        return 0; /* changed meanwhile: what the user wants next is not ours */
    bool same_top = storage_source_same_place(old, now);
    if (same_top && !disk->src->backing)
        return 0; /* the images below are found by reading this one */
    StorageSource *s = storage_source_copy(now);
    bool ends = s->backing_ends || (same_top && disk->src->backing_ends);
    /* where the chain of a base ends its header says, as before there was anything above it */
    if (blockjob_ops(job)->type == VIR_DOMAIN_BLOCK_JOB_TYPE_ACTIVE_COMMIT && !disk->src->backing)
        ends = false;
    s->relabel = disk->src->relabel;
    s->index.set = false;
    if (!s->backing)
        s->backing_ends = ends;
    storage_source_free(disk->src);
    disk->src = s;
    return domain_config_commit(d, stored_def_new(def), err);
}

static int follow(Domain *d, const BlockJob *job, const StorageSource *old, const StorageSource *now)
{
    if (!d->persistent || !d->config)
        return 0;
    g_auto(Err) err = ERR_INIT;
    int r = domain_config_begin(d, &err);
    if (r == 0) {
        r = config_follow(d, job, old, now, &err);
        domain_config_end(d);
    }
    if (r < 0)
        log_error("%s: the stored definition still has '%s' for disk '%s', which is on '%s' now: %s; trying again", d->name, old->path,
                  blockjob_target(job), now->path, err.detail);
    return r;
}

int blockjob_leave_images(Domain *d, BlockJob *job, const StorageSource *removed, unsigned stop, const StorageSource *now,
                          bool unlink_them)
{
    const DiskDef *disk = blockjob_live_disk(d, job);
    BlockJobParams *p = blockjob_data(job);
    g_autoptr(StorageSource) old = disk ? storage_source_copy(disk->src) : NULL;
    if (!old)
        return 0;
    storage_source_free(p->removed);
    p->removed = storage_source_copy(removed);
    p->stop = stop;
    if (follow(d, job, old, now) < 0)
        return -1;
    if (unlink_them)
        blockjob_delete_removed(d, job);
    return 0;
}

/* ---- ops of more than one kind ----------------------------------------------------------------------------------- */

char *blockjob_source_path(Domain *d, const BlockJob *job)
{
    const DiskDef *disk = blockjob_live_disk(d, job);
    if (disk && disk->src->type == STORAGE_NETWORK)
        return NULL;
    return g_strdup(disk && disk->src->path ? disk->src->path : "");
}

void blockjob_ready_mirror(Domain *d, BlockJob *job)
{
    if (blockjob_state(job) == BLOCKJOB_READY)
        blockjob_mark_mirror(d, job, MIRROR_READY);
}

/* Whether a "qdev" of query-block means this alias: the device itself or its backend, "/machine/peripheral/ALIAS/virtio-backend". */
static bool is_device(const char *qdev, const char *alias)
{
    if (strcmp(qdev, alias) == 0)
        return true;
    g_auto(GStrv) parts = g_strsplit(qdev, "/", -1);
    return g_strv_contains((const char *const *)parts, alias);
}

json_t *blockjob_query_inserted(Domain *d, const BlockJob *job, Err *err)
{
    json_t *devices = NULL, *dev, *found = NULL;
    size_t i;
    if (domain_qmp(d, "query-block", NULL, &devices, err) < 0)
        return NULL;
    json_array_foreach(devices, i, dev)
    {
        const char *qdev = json_string_value(json_object_get(dev, "qdev"));
        if (qdev && !found && is_device(qdev, blockjob_disk(job)))
            found = json_incref(json_object_get(dev, "inserted"));
    }
    json_decref(devices);
    return found;
}

/* The image a disk is on: what its device has, or what the filter the device has stands on.  Caller frees; NULL: none, or no answer (Err). */
static char *node_in_use(Domain *d, const BlockJob *job, bool filtered, Err *err)
{
    char *node = NULL;
    json_t *inserted = NULL, *devices = NULL, *dev;
    size_t i;
    if (!filtered) {
        inserted = blockjob_query_inserted(d, job, err);
        node = g_strdup(json_string_value(json_object_get(inserted, "node-name")));
        json_decref(inserted);
        return node;
    }
    if (domain_qmp(d, "query-blockstats", NULL, &devices, err) < 0)
        return NULL;
    json_array_foreach(devices, i, dev)
    {
        const char *qdev = json_string_value(json_object_get(dev, "qdev"));
        if (qdev && !node && is_device(qdev, blockjob_disk(job)))
            node = g_strdup(json_string_value(json_object_get(json_object_get(dev, "backing"), "node-name")));
    }
    json_decref(devices);
    return node;
}

int blockjob_on_mirror(Domain *d, BlockJob *job)
{
    const DiskDef *disk = blockjob_live_disk(d, job);
    if (!disk || !disk->mirror)
        return 0; /* applied before */
    g_autofree char *want = qemu_node_format(disk->mirror);
    g_auto(Err) err = ERR_INIT;
    g_autofree char *node = node_in_use(d, job, disk->copy_on_read == TRI_YES, &err);
    if (err_is_set(&err)) {
        log_warning("%s: how block job %s ended is not known: %s", d->name, blockjob_id(job), err.detail);
        return -1;
    }
    return !g_strcmp0(node, want);
}

int blockjob_flush(Domain *d, const StorageSource *image, Err *err)
{
    g_autofree char *node = qemu_node_format(image), *line = g_strdup_printf("qemu-io %s \"flush\"", node);
    json_t *ret = NULL;
    QmpStatus s = domain_qmp_status(d, QMP(HUMAN_MONITOR), json_pack("{s:s}", "command-line", line), &ret, err);
    if (s != QMP_OK)
        return qmp_status_is_reply(s) ? -1 : 1;
    const char *wrong = json_string_value(ret);
    int r = 0;
    if (wrong && *wrong)
        r = err_set(err, VIR_ERR_OPERATION_FAILED, "what the job has written cannot be flushed: %.200s", wrong);
    json_decref(ret);
    return r;
}

void blockjob_drop_removed(Domain *d, BlockJob *job, int status, GArray *commands)
{
    BlockJobParams *p = blockjob_data(job);
    g_autoptr(StorageSource) removed = g_steal_pointer(&p->removed);
    const StorageSource *stop = removed && p->stop ? chain_by_index(removed, p->stop) : NULL;
    chain_detach_commands(removed, stop, commands);
}
