/* domain/native.c - a definition as the command line it would start with, for people to read
 *
 * Owns:    nothing
 */
#include "config.h"

#include "domain/complete.h"
#include "domain/native.h"
#include "qemu/argv.h"
#include "qemu/caps.h"
#include "qemu/conf.h"
#include "qemu/cpu_guest.h"

char *domain_native_argv(DomainDriver *drv, const char *xml, Err *err)
{
    g_autoptr(DomainDef) given = domain_def_from_client(drv, xml, false, err);
    if (!given)
        return NULL;
    g_autoptr(QemuCaps) caps = domain_def_caps(drv, given, err);
    if (!caps)
        return NULL;
    g_autoptr(QemuConfig) config = domain_driver_config(drv);
    g_autoptr(DomainDef) def = domain_def_copy(given);
    if (qemu_cpu_resolve(caps, def->virt == VIRT_KVM ? QEMU_ACCEL_KVM : QEMU_ACCEL_TCG, &def->cpu, err) < 0)
        return NULL;
    domain_def_assign_aliases(def);
    unsigned next = 0;
    qemu_assign_nodes(def, &next);
    const DomainDriverOpts *o = domain_driver_opts(drv);
    g_autofree char *dir = g_strdup_printf("%s/domain--1-%s", o->state_dir, def->name);
    g_autofree char *channels = g_build_filename(o->state_dir, "channel", "target", NULL);
    ArgvEnv env = {.caps = caps, .config = config, .private_dir = dir, .channel_dir = channels, .flags = ARGV_NATIVE};
    g_autoptr(Argv) argv = qemu_argv_build(def, &env, err);
    return argv ? qemu_argv_to_string(argv, false) : NULL;
}
