/* domain/memory.c - memory and vcpu numbers that change while a machine is defined or runs
 *
 * Owns:    nothing
 */
#include "config.h"

#include "api_enums.h"
#include "domain/memory.h"

/* One change to a writable copy of a definition. */
typedef int (*Edit)(DomainDef *def, const void *arg, Err *err);

static int edit_config(Domain *d, Edit edit, const void *arg, Err *err)
{
    if (domain_config_begin(d, err) < 0)
        return -1;
    g_autoptr(DomainDef) def = domain_parse_config(d, err);
    int r = def ? edit(def, arg, err) : -1;
    if (r == 0)
        r = domain_config_commit(d, stored_def_new(def), err);
    domain_config_end(d);
    return r;
}

/* `live` is immutable once published: the change goes into a copy that takes its place. */
static int edit_live(Domain *d, Edit edit, const void *arg, Err *err)
{
    g_autoptr(DomainDef) def = domain_def_copy(d->live);
    if (edit(def, arg, err) < 0)
        return -1;
    DomainDef *old = d->live;
    d->live = g_steal_pointer(&def);
    domain_def_unref(old);
    domain_mark_changed(d);
    return 0;
}

/* ---- memory ---------------------------------------------------------------------------------------------------------------- */

static int edit_cur_memory(DomainDef *def, const void *arg, Err *err)
{
    uint64_t kib = *(const uint64_t *)arg;
    if (kib > def->max_memory_kib)
        return err_set(err, VIR_ERR_INVALID_ARG, "cannot set memory higher than max memory (%" G_GUINT64_FORMAT " KiB)",
                       def->max_memory_kib);
    def->cur_memory_kib = kib;
    return 0;
}

static int edit_max_memory(DomainDef *def, const void *arg, Err *err)
{
    def->max_memory_kib = *(const uint64_t *)arg;
    def->cur_memory_kib = MIN(def->cur_memory_kib, def->max_memory_kib);
    return 0;
}

static int balloon_set(Domain *d, uint64_t kib, Err *err)
{
    const MemballoonDef *b = d->live->memballoon;
    if (!b || b->model == MEMBALLOON_NONE)
        return err_set(err, VIR_ERR_OPERATION_INVALID, "Unable to change memory of active domain without the balloon device and guest OS balloon driver");
    if (kib > d->live->max_memory_kib)
        return err_set(err, VIR_ERR_INVALID_ARG, "cannot set memory higher than max memory (%" G_GUINT64_FORMAT " KiB)",
                       d->live->max_memory_kib);
    return domain_qmp(d, "balloon", json_pack("{s:I}", "value", (json_int_t)kib * 1024), NULL, err);
}

int domain_set_memory(Domain *d, uint64_t kib, unsigned flags, Err *err)
{
    DomainAffect to;
    if (domain_affect(d, flags, &to, err) < 0)
        return -1;
    if (kib == 0 || kib > (uint64_t)INT64_MAX / 1024)
        return err_set(err, VIR_ERR_INVALID_ARG, "memory of %" G_GUINT64_FORMAT " KiB is out of range", kib);
    if (flags & VIR_DOMAIN_MEM_MAXIMUM) {
        if (to.live)
            return err_set(err, VIR_ERR_OPERATION_INVALID, "cannot resize the maximum memory on an active domain");
        return edit_config(d, edit_max_memory, &kib, err);
    }
    if (to.live && balloon_set(d, kib, err) < 0)
        return -1;
    return to.config ? edit_config(d, edit_cur_memory, &kib, err) : 0;
}

/* ---- statistics period ----------------------------------------------------------------------------------------------------- */

static int edit_period(DomainDef *def, const void *arg, Err *err)
{
    int seconds = *(const int *)arg;
    if (!def->memballoon || def->memballoon->model == MEMBALLOON_NONE)
        return err_set(err, VIR_ERR_OPERATION_INVALID, "No memory balloon device is configured: memory statistics are collected through it");
    def->memballoon->period = (OptU64){.set = seconds > 0, .v = (uint64_t)seconds};
    return 0;
}

/* QEMU first: the definition never says more than is so. */
static int set_live_period(Domain *d, int seconds, Err *err)
{
    const MemballoonDef *b = d->live->memballoon;
    if (b && b->info.alias && b->model != MEMBALLOON_NONE) {
        g_autofree char *path = g_strdup_printf("/machine/peripheral/%s", b->info.alias);
        json_t *args =
            json_pack("{s:s, s:s, s:i}", "path", path, "property", "guest-stats-polling-interval", "value", seconds);
        if (domain_qmp(d, "qom-set", args, NULL, err) < 0)
            return -1;
    }
    return edit_live(d, edit_period, &seconds, err);
}

int domain_set_memory_stats_period(Domain *d, int seconds, unsigned flags, Err *err)
{
    DomainAffect to;
    if (seconds < 0)
        return err_set(err, VIR_ERR_INVALID_ARG, "period must be 0 or more seconds, not %d", seconds);
    if (domain_affect(d, flags, &to, err) < 0)
        return -1;
    if (to.live && set_live_period(d, seconds, err) < 0)
        return -1;
    return to.config ? edit_config(d, edit_period, &seconds, err) : 0;
}

/* ---- vcpus ----------------------------------------------------------------------------------------------------------------- */

typedef struct VcpuChange {
    unsigned n;
    bool maximum;
} VcpuChange;

static int edit_vcpus(DomainDef *def, const void *arg, Err *err)
{
    const VcpuChange *c = arg;
    if (c->maximum) {
        if (def->cpu.sockets.set)
            return err_set(err, VIR_ERR_OPERATION_UNSUPPORTED, "the maximum is fixed by <cpu><topology>: change both in the definition");
        def->max_vcpus = c->n;
        def->cur_vcpus = MIN(def->cur_vcpus, c->n);
        return 0;
    }
    if (c->n > def->max_vcpus)
        return err_set(err, VIR_ERR_INVALID_ARG, "requested vcpus is greater than max allowable vcpus for the domain: %u > %u", c->n,
                       def->max_vcpus);
    def->cur_vcpus = c->n;
    return 0;
}

int domain_set_vcpus(Domain *d, unsigned n, unsigned flags, Err *err)
{
    DomainAffect to;
    VcpuChange c = {n, flags & VIR_DOMAIN_VCPU_MAXIMUM};
    if (domain_affect(d, flags, &to, err) < 0)
        return -1;
    if (n == 0)
        return err_set(err, VIR_ERR_INVALID_ARG, "a machine has at least one vcpu");
    if (flags & (VIR_DOMAIN_VCPU_GUEST | VIR_DOMAIN_VCPU_HOTPLUGGABLE))
        return err_set(err, VIR_ERR_ARGUMENT_UNSUPPORTED, "VIR_DOMAIN_VCPU_GUEST and VIR_DOMAIN_VCPU_HOTPLUGGABLE are not supported yet");
    if (to.live && !c.maximum && n > d->live->max_vcpus)
        return err_set(err, VIR_ERR_INVALID_ARG, "requested vcpus is greater than max allowable vcpus for the live domain: %u > %u", n,
                       d->live->max_vcpus);
    if (to.live) {
        err_set(err, VIR_ERR_OPERATION_UNSUPPORTED, "vcpus of a running machine cannot be changed yet");
        return err_hint(err, "use --config, it counts from the next start");
    }
    return edit_config(d, edit_vcpus, &c, err);
}
