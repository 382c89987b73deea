/* qemu/argv_machine.c - machine, accelerator, CPU, memory, clock, boot
 *
 * Owns:    everything on the command line that is not a device
 * Errors:  VIR_ERR_CONFIG_UNSUPPORTED naming the element
 */
#include "config.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "util/uuid.h"
#include "qemu/build.h"
#include "qemu/cpu.h"

/* ---- machine, memory, processors --------------------------------------------------------------------------------------------- */

static bool machine_is_q35(const DomainDef *def)
{
    return def->os.machine && (strncmp(def->os.machine, "pc-q35", 6) == 0 || strcmp(def->os.machine, "q35") == 0);
}

static const TimerDef *find_timer(const DomainDef *def, TimerName name)
{
    for (unsigned i = 0; def->clock.timers && i < def->clock.timers->len; i++) {
        const TimerDef *t = def->clock.timers->pdata[i];
        if (t->name == name)
            return t;
    }
    return NULL;
}

static const char *ram_id(const ArgvBuild *b)
{
    const QemuMachine *m = b->env->caps ? qemu_caps_machine(b->env->caps, b->def->os.machine) : NULL;
    return m ? m->default_ram_id : NULL;
}

static void tri_opt(GString *s, const char *key, TriState v)
{
    if (v != TRI_ABSENT)
        g_string_append_printf(s, ",%s=%s", key, v == TRI_YES ? "on" : "off");
}

static void argv_machine_type(ArgvBuild *b)
{
    const DomainDef *def = b->def;
    const FeaturesDef *f = &def->features;
    const TimerDef *hpet = find_timer(def, TIMER_HPET);
    g_autoptr(GString) s = g_string_new(NULL);
    opts_escape(s, def->os.machine);
    g_string_append(s, ",usb=off");
    tri_opt(s, "vmport", f->vmport);
    tri_opt(s, "smm", f->smm);
    bool dump_core = def->dump_core != TRI_ABSENT ? def->dump_core == TRI_YES : b->env->config && b->env->config->dump_guest_core;
    g_string_append(s, dump_core ? ",dump-guest-core=on" : ",dump-guest-core=off");
    const char *ram = ram_id(b);
    if (ram) {
        g_string_append(s, ",memory-backend=");
        opts_escape(s, ram);
    }
    if (def->os.bios_serial == TRI_YES)
        g_string_append(s, ",graphics=off");
    if (hpet && hpet->present == TRI_NO) /* machines have one unless told */
        g_string_append(s, ",hpet=off");
    if (!f->acpi)
        g_string_append(s, ",acpi=off");
    argv_add(b, "-machine", s->str);
    if (f->smm_tseg_mib.set)
        argv_addf(b, "-global", "mch.extended-tseg-mbytes=%" PRIu64, f->smm_tseg_mib.v);
}

/* QEMU's property for a feature of the definition. Caller frees. */
static char *feature_name(const char *name)
{
    const char *known = cpu_feature_to_qemu(name);
    return known ? g_strdup(known) : g_strdelimit(g_strdup(name), "_", '-');
}

static const char *cpu_model(const DomainDef *def)
{
    switch (def->cpu.mode) {
    case CPU_MODE_HOST_PASSTHROUGH:
        return "host";
    case CPU_MODE_MAXIMUM:
        return "max";
    case CPU_MODE_HOST_MODEL: /* replaced by a custom model before the start; when that could not be done, the nearest there is */
        return def->cpu.model ? def->cpu.model : def->virt == VIRT_KVM ? "host" : "max";
    default:
        return def->cpu.model;
    }
}

static void cpu_features(GString *s, const DomainDef *def)
{
    const CpuDef *c = &def->cpu;
    for (unsigned i = 0; c->features && i < c->features->len; i++) {
        const CpuFeature *f = c->features->pdata[i];
        g_autofree char *name = feature_name(f->name);
        bool on = f->policy != CPU_FEATURE_DISABLE && f->policy != CPU_FEATURE_FORBID;
        g_string_append_c(s, ',');
        opts_escape(s, name);
        g_string_append(s, on ? "=on" : "=off");
    }
}

static int cpu_cache(GString *s, const CpuDef *c, Err *err)
{
    switch (c->cache_mode) {
    case CPU_CACHE_ABSENT:
        return 0;
    case CPU_CACHE_EMULATE:
        g_string_append(s, ",l3-cache=on");
        return 0;
    case CPU_CACHE_PASSTHROUGH:
        g_string_append(s, ",host-cache-info=on");
        return 0;
    case CPU_CACHE_DISABLE:
        g_string_append(s, ",l3-cache=off,host-cache-info=off");
        return 0;
    default:
        return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "mode of <cpu><cache>");
    }
}

static void cpu_platform(GString *s, const DomainDef *def)
{
    const TimerDef *kvmclock = find_timer(def, TIMER_KVMCLOCK);
    const TimerDef *tsc = find_timer(def, TIMER_TSC);
    const TimerDef *hyperv = find_timer(def, TIMER_HYPERVCLOCK);
    if (hyperv && hyperv->present == TRI_YES)
        g_string_append(s, ",hv-time=on");
    if (kvmclock)
        tri_opt(s, "kvmclock", kvmclock->present);
    if (tsc && tsc->frequency.set)
        g_string_append_printf(s, ",tsc-frequency=%" PRIu64, tsc->frequency.v);
    tri_opt(s, "kvm-pv-eoi", def->features.apic_eoi);
    for (unsigned i = 0; i < def->panics->len; i++) {
        const PanicDef *p = def->panics->pdata[i];
        if (p->model == PANIC_HYPERV)
            g_string_append(s, ",hv-crash");
    }
    if (def->features.kvm_hidden)
        g_string_append(s, ",kvm=off");
    tri_opt(s, "pmu", def->features.pmu);
}

static int argv_cpu(ArgvBuild *b, Err *err)
{
    const DomainDef *def = b->def;
    const char *model = cpu_model(def);
    g_autoptr(GString) s = g_string_new(NULL);
    if (def->virt != VIRT_KVM && def->cpu.mode == CPU_MODE_HOST_PASSTHROUGH)
        return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "CPU mode 'host-passthrough' for %s qemu domain on %s host is not supported by "
                       "hypervisor", def->os.arch, def->os.arch);
    if (model)
        opts_escape(s, model);
    if (def->virt == VIRT_KVM && def->cpu.mode == CPU_MODE_HOST_PASSTHROUGH)
        tri_opt(s, "migratable", def->cpu.migratable);
    if (def->cpu.vendor_id) {
        g_string_append(s, ",vendor=");
        opts_escape(s, def->cpu.vendor_id);
    }
    cpu_features(s, def);
    cpu_platform(s, def);
    if (cpu_cache(s, &def->cpu, err) < 0)
        return -1;
    if (def->cpu.maxphysaddr_bits.set)
        g_string_append_printf(s, ",phys-bits=%" PRIu64, def->cpu.maxphysaddr_bits.v);
    if (model)
        argv_add(b, "-cpu", s->str);
    else if (s->len)
        return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "CPU features without a CPU model");
    return 0;
}

static void argv_memory(ArgvBuild *b)
{
    uint64_t mib = (b->def->max_memory_kib + 1023) / 1024;
    const char *ram = ram_id(b);
    argv_addf(b, "-m", "%" PRIu64, mib);
    if (ram) {
        json_t *o = json_object();
        props_str(o, "qom-type", "memory-backend-ram");
        props_str(o, "id", ram);
        props_u64(o, "size", mib * 1024 * 1024);
        argv_add_json(b, "-object", o);
    }
    argv_add(b, "-overcommit", "mem-lock=off");
}

static void argv_smp(ArgvBuild *b)
{
    const DomainDef *def = b->def;
    const CpuDef *c = &def->cpu;
    unsigned max = def->max_vcpus ? def->max_vcpus : 1;
    unsigned now = def->cur_vcpus ? def->cur_vcpus : max;
    g_autoptr(GString) s = g_string_new(NULL);
    g_string_append_printf(s, "%u", now);
    if (now != max)
        g_string_append_printf(s, ",maxcpus=%u", max);
    if (c->sockets.set) {
        g_string_append_printf(s, ",sockets=%" PRIu64 ",dies=%" PRIu64 ",cores=%" PRIu64 ",threads=%" PRIu64, c->sockets.v,
                               c->dies.set ? c->dies.v : 1, c->cores.set ? c->cores.v : 1, c->threads.set ? c->threads.v : 1);
    } else {
        g_string_append_printf(s, ",sockets=%u,cores=1,threads=1", max);
    }
    argv_add(b, "-smp", s->str);
}

int argv_machine(ArgvBuild *b, Err *err)
{
    const DomainDef *def = b->def;
    if (def->os.machine == NULL)
        return err_set(err, VIR_ERR_INTERNAL_ERROR, "the definition has no machine type");
    if (def->os.loader || def->os.firmware || def->os.nvram)
        return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "<loader>, <nvram> and firmware='%s'",
                       def->os.firmware ? def->os.firmware : "");
    argv_machine_type(b);
    argv_add(b, "-accel", def->virt == VIRT_KVM ? "kvm" : "tcg");
    if (argv_cpu(b, err) < 0)
        return -1;
    argv_memory(b);
    argv_smp(b);
    char uuid[UUID_STRING_LEN];
    uuid_format(def->uuid, uuid);
    argv_add(b, "-uuid", uuid);
    return 0;
}

/* ---- clock ------------------------------------------------------------------------------------------------------------------- */

static int64_t build_now(const ArgvBuild *b)
{
    return b->env->now ? b->env->now : (int64_t)time(NULL);
}

static int rtc_date(GString *s, int64_t t, bool local, Err *err)
{
    time_t when = (time_t)t;
    struct tm tm;
    if ((local ? localtime_r(&when, &tm) : gmtime_r(&when, &tm)) == NULL)
        return err_set(err, VIR_ERR_XML_ERROR, "clock start %" PRId64 " is not a date", t);
    char text[64];
    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
    g_string_append_printf(s, "base=%s", text);
    return 0;
}

static int rtc_base(ArgvBuild *b, GString *s, Err *err)
{
    const ClockDef *c = &b->def->clock;
    switch (c->offset) {
    case CLOCK_ABSENT:
    case CLOCK_UTC:
        if (c->adjustment.set && c->adjustment.v)
            return rtc_date(s, build_now(b) + c->adjustment.v, false, err);
        g_string_append(s, "base=utc");
        return 0;
    case CLOCK_LOCALTIME:
    case CLOCK_TIMEZONE: /* TZ is in QEMU's environment */
        g_string_append(s, "base=localtime");
        return 0;
    case CLOCK_VARIABLE:
        return rtc_date(s, build_now(b) + c->adjustment.v, c->basis == CLOCK_BASIS_LOCALTIME, err);
    case CLOCK_ABSOLUTE:
        return rtc_date(s, (int64_t)c->start.v, false, err);
    default:
        return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "clock offset '%s'",
                       enum_word(clock_offset_names, CLOCK_MAX, (int)c->offset));
    }
}

static int rtc_timer(GString *s, const TimerDef *t, Err *err)
{
    switch (t->track) {
    case TIMER_TRACK_ABSENT:
        break;
    case TIMER_TRACK_GUEST:
        g_string_append(s, ",clock=vm");
        break;
    case TIMER_TRACK_WALL:
        g_string_append(s, ",clock=host");
        break;
    case TIMER_TRACK_REALTIME:
        g_string_append(s, ",clock=rt");
        break;
    default:
        return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "track of the rtc timer");
    }
    if (t->tickpolicy == TIMER_TICK_CATCHUP)
        g_string_append(s, ",driftfix=slew");
    else if (t->tickpolicy != TIMER_TICK_ABSENT && t->tickpolicy != TIMER_TICK_DELAY)
        return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "unsupported rtc timer tickpolicy '%s'",
                       enum_word(timer_tick_policy_names, TIMER_TICK_MAX, (int)t->tickpolicy));
    return 0;
}

/* In kHz it is 32 bits wide, and 0 would be none. */
#define TSC_MIN UINT64_C(1000)
#define TSC_MAX (UINT64_C(1000) * UINT32_MAX)

int argv_clock(ArgvBuild *b, Err *err)
{
    const TimerDef *tsc = find_timer(b->def, TIMER_TSC);
    if (tsc && tsc->frequency.set && (tsc->frequency.v < TSC_MIN || tsc->frequency.v > TSC_MAX))
        return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "frequency '%" PRIu64 "' of timer tsc, allowed: %" PRIu64 " to %" PRIu64 " Hz",
                       tsc->frequency.v, TSC_MIN, TSC_MAX);
    g_autoptr(GString) s = g_string_new(NULL);
    if (rtc_base(b, s, err) < 0)
        return -1;
    const TimerDef *rtc = find_timer(b->def, TIMER_RTC);
    if (rtc && rtc_timer(s, rtc, err) < 0)
        return -1;
    argv_add(b, "-rtc", s->str);
    const TimerDef *pit = find_timer(b->def, TIMER_PIT);
    if (pit && (pit->tickpolicy == TIMER_TICK_DELAY || pit->tickpolicy == TIMER_TICK_DISCARD))
        argv_addf(b, "-global", "kvm-pit.lost_tick_policy=%s", timer_tick_policy_names[pit->tickpolicy]);
    else if (pit && pit->tickpolicy == TIMER_TICK_MERGE)
        return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "unsupported pit timer tickpolicy 'merge'");
    return 0;
}

/* ---- boot -------------------------------------------------------------------------------------------------------------------- */

/* A kernel, initrd or device tree: QEMU opens /proc/self/fd/N, so no directory above the file needs to be open to its account. */
static void boot_file(ArgvBuild *b, const char *option, const char *path)
{
    if (path == NULL)
        return;
    if (build_native(b))
        argv_add(b, option, path);
    else
        argv_addf(b, option, "/proc/self/fd/%d", argv_plan_fd(b, ARGV_FD_BOOT_FILE, 0, path, option + 1));
}

int argv_boot(ArgvBuild *b, Err *err)
{
    const OsDef *os = &b->def->os;
    const char *pm = machine_is_q35(b->def) ? "ICH9-LPC" : "PIIX4_PM";
    if (b->def->pm_s3 != TRI_ABSENT)
        argv_addf(b, "-global", "%s.disable_s3=%d", pm, b->def->pm_s3 == TRI_NO);
    if (b->def->pm_s4 != TRI_ABSENT)
        argv_addf(b, "-global", "%s.disable_s4=%d", pm, b->def->pm_s4 == TRI_NO);
    g_autoptr(GString) s = g_string_new(NULL);
    if (os->bootmenu != TRI_ABSENT)
        g_string_append(s, os->bootmenu == TRI_YES ? "menu=on," : "menu=off,");
    if (os->reboot_timeout.set)
        g_string_append_printf(s, "reboot-timeout=%" PRId64 ",", os->reboot_timeout.v);
    if (os->bootmenu_timeout.set)
        g_string_append_printf(s, "splash-time=%" PRIu64 ",", os->bootmenu_timeout.v);
    g_string_append(s, "strict=on");
    argv_add(b, "-boot", s->str);
    boot_file(b, "-kernel", os->kernel);
    boot_file(b, "-initrd", os->initrd);
    argv_add(b, os->cmdline ? "-append" : NULL, os->cmdline);
    boot_file(b, "-dtb", os->dtb);
    return 0;
}
