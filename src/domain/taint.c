/* domain/taint.c - what about a running machine makes its behaviour hard to answer for
 *
 * Owns:    which facts count, and their words
 * Threads: any, the event threads too
 *
 * Nothing is recorded when it happens but the use of the monitor (it is in the view): all else follows from the live definition.
 */
#include "config.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "api_enums.h"
#include "domain/taint.h"

static const QemuCpuModel *model_of(const QemuCaps *caps, const DomainDef *def)
{
    unsigned n;
    const QemuCpuModel *m = qemu_caps_cpu_models(caps, def->virt == VIRT_KVM ? QEMU_ACCEL_KVM : QEMU_ACCEL_TCG, &n);
    for (unsigned i = 0; def->cpu.model && i < n; i++) {
        if (strcmp(m[i].name, def->cpu.model) == 0)
            return &m[i];
    }
    return NULL;
}

static bool passes_cdrom(const DomainDef *def)
{
    for (unsigned i = 0; i < def->disks->len; i++) {
        const DiskDef *d = def->disks->pdata[i];
        if (d->device == DISK_DEVICE_CDROM && d->src->type == STORAGE_BLOCK && d->src->path)
            return true;
    }
    return false;
}

/* The live label says what account QEMU got; none means the daemon's own. */
static bool runs_as_root(const DomainDef *def)
{
    unsigned uid, gid;
    if (geteuid() != 0)
        return false;
    return !def->seclabel_dac || sscanf(def->seclabel_dac, "+%u:+%u", &uid, &gid) != 2 || uid == 0 || gid == 0;
}

GPtrArray *domain_messages(const DomainView *v, const QemuCaps *caps, unsigned flags)
{
    GPtrArray *out = g_ptr_array_new_with_free_func(g_free);
    const DomainDef *def = v->live;
    if (!def)
        return out;
    const QemuMachine *machine = caps ? qemu_caps_machine(caps, def->os.machine) : NULL;
    const QemuCpuModel *cpu = caps ? model_of(caps, def) : NULL;
    bool old_machine = machine && machine->deprecated, old_cpu = cpu && cpu->deprecated;
    const struct {
        bool so;
        const char *words;
    } taints[] = {
        {def->qemu_args && def->qemu_args->len, "custom configuration parameters specified"},
        {v->monitor_used, "custom monitor control commands issued"},
        {runs_as_root(def), "running with undesirable elevated privileges"},
        {def->cpu.mode == CPU_MODE_HOST_PASSTHROUGH, "potentially unsafe use of host CPU passthrough"},
        {passes_cdrom(def), "use of host cdrom passthrough"},
        {def->os.dtb != NULL, "custom device tree blob used"},
        {old_machine || old_cpu, "use of deprecated configuration settings"},
    };
    for (size_t i = 0; i < N_ELEMENTS(taints); i++) {
        if (taints[i].so && (!flags || (flags & VIR_DOMAIN_MESSAGE_TAINTING)))
            g_ptr_array_add(out, g_strdup_printf("tainted: %s", taints[i].words));
    }
    if (flags && !(flags & VIR_DOMAIN_MESSAGE_DEPRECATION))
        return out;
    if (old_machine)
        g_ptr_array_add(out, g_strdup_printf("deprecated configuration: machine type '%s'", def->os.machine));
    if (old_cpu)
        g_ptr_array_add(out, g_strdup_printf("deprecated configuration: CPU model '%s'", def->cpu.model));
    return out;
}
