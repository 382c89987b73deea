/* domain/snapshot_create.c - a snapshot is asked for
 *
 * Owns:    what may be asked, and the order of taking it and noting it
 * Threads: workers
 * Locks:   the domain's, released for images, files and QEMU
 * Errors:  VIR_ERR_CONFIG_UNSUPPORTED and VIR_ERR_OPERATION_UNSUPPORTED naming what is not done here
 *
 * The note follows the deed: a daemon killed between them leaves a machine with true definitions and a snapshot less in the list.
 */
#include "config.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#define LOG_AREA "domain.snapshot"
#include "util/log.h"
#include "domain/lifecycle.h"
#include "domain/snapshot_private.h"
#include "api_enums.h"

#define HALT_MS 30000u
#define FLAG(name) VIR_DOMAIN_SNAPSHOT_CREATE_##name

static int check_flags(unsigned flags, Err *err)
{
    static const struct {
        unsigned flag, with;
        bool required; /* else excluded */
        const char *flag_name, *with_name;
    } rules[] = {
#define NEEDS(a, b) {FLAG(a), FLAG(b), true, "VIR_DOMAIN_SNAPSHOT_CREATE_" #a, "VIR_DOMAIN_SNAPSHOT_CREATE_" #b}
#define EXCLUDES(a, b) {FLAG(a), FLAG(b), false, "VIR_DOMAIN_SNAPSHOT_CREATE_" #a, "VIR_DOMAIN_SNAPSHOT_CREATE_" #b}
        NEEDS(CURRENT, REDEFINE),       NEEDS(QUIESCE, DISK_ONLY),      EXCLUDES(REDEFINE, NO_METADATA), EXCLUDES(REDEFINE, HALT),
        EXCLUDES(REDEFINE, LIVE),       EXCLUDES(REDEFINE, REUSE_EXT),  EXCLUDES(REDEFINE, QUIESCE),
    };
    for (unsigned i = 0; i < N_ELEMENTS(rules); i++) {
        if (!(flags & rules[i].flag) || !(flags & rules[i].with) == !rules[i].required)
            continue;
        if (rules[i].required)
            return err_set_bare(err, VIR_FROM_QEMU, VIR_ERR_INVALID_ARG, "Flag '%s' is required by flag '%s'", rules[i].with_name,
                                rules[i].flag_name);
        return err_set_bare(err, VIR_FROM_QEMU, VIR_ERR_INVALID_ARG, "Flags '%s' and '%s' are mutually exclusive", rules[i].flag_name,
                            rules[i].with_name);
    }
    return 0;
}

/* What this machine can have now. */
static int check_kind(const Domain *d, const SnapshotDef *s, unsigned flags, Err *err)
{
    bool active = domain_is_active(d), disks_only = (flags & FLAG(DISK_ONLY)) || !active;
    if (!d->persistent && (flags & FLAG(HALT)))
        return err_set(err, VIR_ERR_OPERATION_INVALID, "cannot halt after transient domain snapshot");
    if ((flags & FLAG(LIVE)) && (disks_only || s->memory != SNAPSHOT_EXTERNAL))
        return err_set(err, VIR_ERR_OPERATION_UNSUPPORTED, "live snapshot creation is supported only during full system snapshots");
    if (disks_only && s->memory && s->memory != SNAPSHOT_NO)
        return err_set(err, VIR_ERR_XML_ERROR, "memory state cannot be saved with offline or disk-only snapshot");
    if (!disks_only) {
        err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "snapshots of memory are not supported: VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY is missing");
        return err_hint(err, "use --disk-only");
    }
    if (active && (flags & FLAG(QUIESCE)))
        return err_set(err, VIR_ERR_ARGUMENT_UNSUPPORTED,
                       "VIR_DOMAIN_SNAPSHOT_CREATE_QUIESCE is not supported: there is no connection to the guest agent");
    return 0;
}

/* What the machine is at this moment. */
static int describe(SnapshotDef *s, const Domain *d, unsigned flags, Err *err)
{
    bool active = domain_is_active(d);
    const SnapshotList *l = d->priv->snapshots;
    s->creation_time = (int64_t)time(NULL);
    if (!s->name)
        s->name = g_strdup_printf("%" PRId64, s->creation_time);
    if (!(flags & FLAG(NO_METADATA)) && snapshot_list_find(l, s->name))
        return err_set_full(err, VIR_FROM_DOMAIN, VIR_ERR_OPERATION_FAILED, 0, "domain moment %s already exists", s->name);
    s->state = active ? SNAPSHOT_STATE_DISK : SNAPSHOT_STATE_SHUTOFF;
    s->memory = SNAPSHOT_NO;
    s->parent = l && l->current ? g_strdup(l->current) : NULL;
    if (!(flags & FLAG(NO_METADATA)) && snapshot_list_would_loop(l, s->name, s->parent))
        return err_set(err, VIR_ERR_OPERATION_FAILED, "snapshot '%s' would be below itself: one above the current snapshot has a parent of that name, "
                       "which is gone", s->name);
    g_autoptr(DomainDef) def = NULL;
    if (active) {
        g_autoptr(DomainDef) now = domain_def_copy(d->live);
        domain_def_take_asked_cpu(now);
        s->domain = stored_def_new(now);
        s->inactive = d->config ? stored_def_ref(d->config) : NULL;
        def = stored_def_parse(s->domain, err);
    } else if ((def = domain_parse_config(d, err))) {
        s->domain = stored_def_ref(d->config);
    }
    if (!def)
        return -1;
    SnapshotLocation usual = flags & FLAG(DISK_ONLY) ? SNAPSHOT_EXTERNAL : SNAPSHOT_INTERNAL;
    if (snapshot_disks_align(s, def, usual, err) < 0 || snapshot_disks_name(s, def, err) < 0)
        return -1;
    return snapshot_disks_check(s, active ? d->live : def, active, err);
}

static int take(Domain *d, SnapshotDef *s, unsigned flags, Err *err)
{
    if (!domain_is_active(d))
        return snapshot_take_offline(d, s, flags, err);
    return snapshot_take_live(d, s, flags, err);
}

/* The guest ends where the snapshot was taken.  Its end is torn down by whoever sees it. */
static int halt(Domain *d, Err *err)
{
    int id = d->id;
    if (!domain_is_active(d))
        return 0;
    d->priv->stop_reason = VIR_DOMAIN_SHUTOFF_FROM_SNAPSHOT;
    d->priv->stop_detail = VIR_DOMAIN_EVENT_STOPPED_FROM_SNAPSHOT;
    domain_kill(d, 0);
    Deadline end = deadline_in_ms(HALT_MS);
    while (domain_is_active(d) && d->id == id) {
        if (!domain_wait(d, end))
            return err_set(err, VIR_ERR_OPERATION_TIMEOUT, "the snapshot is taken, but the guest has not ended after %u s", HALT_MS / 1000);
    }
    return 0;
}

int domain_snapshot_create(Domain *d, const char *xml, unsigned flags, char **ret_name, Err *err)
{
    domain_assert_locked(d);
    job_assert_held(d);
    if (check_flags(flags, err) < 0)
        return -1;
    if (flags & FLAG(REDEFINE))
        return snapshot_redefine(d, xml, flags, ret_name, err);
    if (snapshot_settle(d, err) < 0)
        return err_wrap(err, "an earlier snapshot is not settled yet");
    if (d->removing || (d->live && d->priv->dying))
        return domain_err_inactive(err);
    SnapshotParseFlags how = flags & FLAG(VALIDATE) ? SNAPSHOT_PARSE_VALIDATE : 0;
    g_autoptr(SnapshotDef) s = snapshot_def_parse(xml, strlen(xml), how, NULL, NULL, err);
    if (!s || check_kind(d, s, flags, err) < 0 || describe(s, d, flags, err) < 0)
        return -1;
    uint64_t life = d->life;
    if (!(flags & FLAG(NO_METADATA)) && snapshot_check_file(d, s->name, err) < 0)
        return -1;
    if (d->life != life || (d->live && d->priv->dying))
        return domain_err_inactive(err);
    if (take(d, s, flags, err) < 0)
        return -1;
    int r = flags & FLAG(NO_METADATA) ? 0 : snapshot_store(d, s, true, err);
    if (d->priv->snapshot_busy && r == 0)
        snapshot_intent_forget(d);
    if (r < 0) { /* of a running guest the note stays, and it is tried again */
        d->priv->snapshot_busy = false;
        snapshot_settle_later(d);
    }
    if (r < 0)
        return err_wrap(err, "the images are made and in use, but the snapshot '%s' is not noted", s->name);
    if ((flags & FLAG(HALT)) && halt(d, err) < 0)
        return -1;
    *ret_name = g_strdup(s->name);
    return 0;
}
