/* domain/complete.c - definitions from outside made whole
 *
 * Owns:    the model's questions about host and binary, answered from QEMU's capabilities
 * Threads: workers; a first look at a binary probes it and sleeps
 * Locks:   none held
 * Errors:  VIR_ERR_XML_*, VIR_ERR_CONFIG_UNSUPPORTED from the model; the probe's own
 */
#include "config.h"

#include <string.h>
#include <sys/utsname.h>

#define LOG_AREA "domain.complete"
#include "util/log.h"
#include "domain/complete.h"
#include "qemu/caps.h"
#include "store/defs.h"

#define PROBE_MS 60000u

/* What one completion asks; the capabilities it got live until it is over, since answers point into them. */
typedef struct Asker {
    DomainDriver *drv;
    GPtrArray *held; /* QemuCaps */
    Err err;         /* first probe that failed: better than "unknown machine" */
} Asker;

static const QemuCaps *caps_of(Asker *a, const char *emulator)
{
    for (unsigned i = 0; i < a->held->len; i++) {
        if (strcmp(qemu_caps_binary(a->held->pdata[i]), emulator) == 0)
            return a->held->pdata[i];
    }
    if (err_is_set(&a->err))
        return NULL;
    QemuCaps *c = qemu_caps_get(domain_driver_opts(a->drv)->caps, emulator, deadline_in_ms(PROBE_MS), &a->err);
    if (c)
        g_ptr_array_add(a->held, c);
    return c;
}

static const char *emulator_for(void *ud, const char *arch, VirtType virt)
{
    return qemu_caps_emulator_for_arch(arch);
}

static const char *machine_default(void *ud, const char *emulator)
{
    const QemuCaps *c = caps_of(ud, emulator);
    return c ? qemu_caps_default_machine(c) : NULL;
}

static const char *machine_canonical(void *ud, const char *emulator, const char *machine)
{
    const QemuCaps *c = caps_of(ud, emulator);
    return c ? qemu_caps_machine_canonical(c, machine) : NULL;
}

static const char *machine_default_cpu(void *ud, const char *emulator, const char *machine, VirtType virt)
{
    const QemuCaps *c = caps_of(ud, emulator);
    const QemuMachine *m = c ? qemu_caps_machine(c, machine) : NULL;
    return m ? m->default_cpu : NULL;
}

static void unref_caps(void *c)
{
    qemu_caps_unref(c);
}

int domain_def_make_whole(DomainDriver *drv, DomainDef *def, Err *err)
{
    static const uint8_t mac_prefix[3] = {0x52, 0x54, 0x00};
    struct utsname host;
    uname(&host);
    Asker a = {.drv = drv, .held = g_ptr_array_new_with_free_func(unref_caps)};
    CompleteEnv env = {
        .emulator_for = emulator_for,
        .machine_default = machine_default,
        .machine_canonical = machine_canonical,
        .machine_default_cpu = machine_default_cpu,
        .host_arch = host.machine,
        .mac_prefix = mac_prefix,
        .ud = &a,
    };
    g_auto(Err) own = ERR_INIT;
    int r = domain_def_complete(def, &env, &own);
    if (r < 0)
        err_move(err, err_is_set(&a.err) ? &a.err : &own);
    else
        r = domain_def_validate(def, err);
    err_clear(&a.err);
    g_ptr_array_unref(a.held);
    return r;
}

/* What the machine type can hold; the accelerator's own limit is told by QEMU at start. */
static int check_vcpus(DomainDriver *drv, const DomainDef *def, Err *err)
{
    g_autoptr(QemuCaps) caps = domain_def_caps(drv, def, err);
    const QemuMachine *m = caps ? qemu_caps_machine(caps, def->os.machine) : NULL;
    if (m == NULL || def->max_vcpus <= m->max_cpus)
        return err_is_set(err) ? -1 : 0;
    return err_set_full(err, VIR_FROM_QEMU, VIR_ERR_CONFIG_UNSUPPORTED, 0,
                        "Maximum CPUs greater than specified machine type limit %u: machine '%s', %u vcpus", m->max_cpus, m->name,
                        def->max_vcpus);
}

DomainDef *domain_def_from_client(DomainDriver *drv, const char *xml, bool strict, Err *err)
{
    g_autoptr(GPtrArray) unknown = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(DomainDef) def = domain_def_parse(xml, PARSE_INACTIVE | (strict ? PARSE_VALIDATE : 0), unknown, err);
    if (!def)
        return NULL;
    if (defs_check_name(def->name, err) < 0) {
        if (err)
            err->domain = VIR_FROM_DOMAIN; /* of the document, not of the driver */
        return NULL;
    }
    if (domain_def_make_whole(drv, def, err) < 0 || check_vcpus(drv, def, err) < 0)
        return NULL;
    if (unknown->len) {
        g_autoptr(GString) s = g_string_new(NULL);
        for (unsigned i = 0; i < unknown->len; i++)
            g_string_append_printf(s, "%s%s", i ? ", " : "", (const char *)unknown->pdata[i]);
        log_warning("%s: not known and left out: %s", def->name, s->str);
    }
    return g_steal_pointer(&def);
}

struct QemuCaps *domain_def_caps(DomainDriver *drv, const DomainDef *def, Err *err)
{
    if (!def->emulator) {
        err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "the definition of '%s' names no emulator", def->name);
        return NULL;
    }
    return qemu_caps_get(domain_driver_opts(drv)->caps, def->emulator, deadline_in_ms(PROBE_MS), err);
}
