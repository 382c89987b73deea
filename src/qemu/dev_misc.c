/* qemu/dev_misc.c - watchdogs, memory balloon, random numbers, panic devices
 *
 * Errors:  VIR_ERR_CONFIG_UNSUPPORTED naming model or backend
 */
#include "config.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#include "qemu/build.h"

/* Ends a props function: the address, or nothing. */
static json_t *with_address(json_t *o, const DomainDef *def, const DeviceInfo *info, const char *what, Err *err)
{
    if (props_address(o, def, info, what, err) == 0)
        return o;
    json_decref(o);
    return NULL;
}

json_t *qemu_watchdog_props(const DomainDef *def, const WatchdogDef *w, Err *err)
{
    if (w->model != WATCHDOG_MODEL_I6300ESB && w->model != WATCHDOG_MODEL_IB700) {
        err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "watchdog model '%s'",
                enum_word(watchdog_model_names, WATCHDOG_MODEL_MAX, (int)w->model));
        return NULL;
    }
    json_t *o = json_object();
    props_str(o, "driver", watchdog_model_names[w->model]);
    props_str(o, "id", w->info.alias);
    return with_address(o, def, &w->info, "a watchdog", err);
}

/* Model name with the suffix that says how old a driver may be. */
static const char *virtio_suffix(int model, int transitional, int non_transitional)
{
    if (model == transitional)
        return "-transitional";
    return model == non_transitional ? "-non-transitional" : "";
}

json_t *qemu_memballoon_props(const DomainDef *def, const MemballoonDef *m, Err *err)
{
    json_t *o = json_object();
    props_strf(o, "driver", "virtio-balloon-pci%s",
               virtio_suffix((int)m->model, MEMBALLOON_VIRTIO_TRANSITIONAL, MEMBALLOON_VIRTIO_NON_TRANSITIONAL));
    props_str(o, "id", m->info.alias);
    props_tri(o, "deflate-on-oom", m->autodeflate);
    props_tri(o, "free-page-reporting", m->free_page_reporting);
    return with_address(o, def, &m->info, "the memory balloon", err);
}

json_t *qemu_rng_object_props(const RngDef *rng, const char *filename, Err *err)
{
    json_t *o = json_object();
    switch (rng->backend) {
    case RNG_RANDOM:
        props_str(o, "qom-type", "rng-random");
        props_strf(o, "id", "obj%s", rng->info.alias);
        props_str(o, "filename", filename ? filename : rng->device);
        return o;
    case RNG_EGD:
        props_str(o, "qom-type", "rng-egd");
        props_strf(o, "id", "obj%s", rng->info.alias);
        props_strf(o, "chardev", "char%s", rng->info.alias);
        return o;
    case RNG_BUILTIN:
        props_str(o, "qom-type", "rng-builtin");
        props_strf(o, "id", "obj%s", rng->info.alias);
        return o;
    default:
        json_decref(o);
        err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "rng backend");
        return NULL;
    }
}

json_t *qemu_rng_props(const DomainDef *def, const RngDef *rng, Err *err)
{
    json_t *o = json_object();
    props_strf(o, "driver", "virtio-rng-pci%s",
               virtio_suffix((int)rng->model, RNG_MODEL_VIRTIO_TRANSITIONAL, RNG_MODEL_VIRTIO_NON_TRANSITIONAL));
    props_strf(o, "rng", "obj%s", rng->info.alias);
    props_str(o, "id", rng->info.alias);
    if (rng->rate_bytes.set) {
        props_u64(o, "max-bytes", rng->rate_bytes.v);
        props_u64(o, "period", rng->rate_period.set ? rng->rate_period.v : 1000);
    }
    return with_address(o, def, &rng->info, "a random number generator", err);
}

json_t *qemu_panic_props(const PanicDef *p, Err *err)
{
    if (p->model != PANIC_ISA) {
        err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "panic model '%s'", enum_word(panic_model_names, PANIC_MAX, (int)p->model));
        return NULL;
    }
    json_t *o = json_object();
    props_str(o, "driver", "pvpanic");
    if (p->info.addr.type == ADDRESS_ISA)
        props_opt(o, "ioport", p->info.addr.isa.iobase);
    return o;
}

static int argv_rng(ArgvBuild *b, const RngDef *rng, Err *err)
{
    g_autofree char *filename = NULL;
    if (rng->backend == RNG_EGD) {
        if (rng->egd == NULL)
            return err_set(err, VIR_ERR_XML_ERROR, "rng backend 'egd' without a source");
        if (argv_chardev(b, rng->egd, rng->info.alias, err) < 0)
            return -1;
    }
    /* the kernel's own are everybody's; a hardware generator is root's */
    if (rng->backend == RNG_RANDOM && !build_native(b) && rng->device && strcmp(rng->device, "/dev/urandom") != 0 &&
        strcmp(rng->device, "/dev/random") != 0) {
        int set = b->next_fdset++;
        argv_plan_fdset(b, set, O_RDONLY | O_NONBLOCK, rng->device, rng->info.alias);
        filename = g_strdup_printf("/dev/fdset/%d", set);
    }
    json_t *object = qemu_rng_object_props(rng, filename, err);
    if (object == NULL)
        return -1;
    argv_add_json(b, "-object", object);
    json_t *device = qemu_rng_props(b->def, rng, err);
    if (device == NULL)
        return -1;
    argv_add_json(b, "-device", device);
    return 0;
}

static int argv_watchdogs(ArgvBuild *b, Err *err)
{
    for (unsigned i = 0; i < b->def->watchdogs->len; i++) {
        const WatchdogDef *w = b->def->watchdogs->pdata[i];
        json_t *o = qemu_watchdog_props(b->def, w, err);
        if (o == NULL)
            return -1;
        argv_add_json(b, "-device", o);
        /* dumping is the daemon's work: QEMU pauses and tells */
        const char *action = w->action == WATCHDOG_DUMP ? "pause" : enum_word(watchdog_action_names, WATCHDOG_MAX, (int)w->action);
        argv_add(b, "-watchdog-action", action ? action : "reset");
    }
    return 0;
}

int argv_misc(ArgvBuild *b, Err *err)
{
    const DomainDef *def = b->def;
    if (argv_watchdogs(b, err) < 0)
        return -1;
    if (def->memballoon && def->memballoon->model != MEMBALLOON_NONE && def->memballoon->model != MEMBALLOON_ABSENT) {
        json_t *o = qemu_memballoon_props(def, def->memballoon, err);
        if (o == NULL)
            return -1;
        argv_add_json(b, "-device", o);
    }
    for (unsigned i = 0; i < def->rngs->len; i++) {
        if (argv_rng(b, def->rngs->pdata[i], err) < 0)
            return -1;
    }
    for (unsigned i = 0; i < def->panics->len; i++) {
        const PanicDef *p = def->panics->pdata[i];
        if (p->model == PANIC_HYPERV)
            continue; /* a CPU feature */
        json_t *o = qemu_panic_props(p, err);
        if (o == NULL)
            return -1;
        argv_add_json(b, "-device", o);
    }
    return 0;
}
