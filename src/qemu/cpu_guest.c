/* qemu/cpu_guest.c - a guest's <cpu>, made definite
 *
 * Owns:    nothing: edits a CpuDef that is its caller's alone
 * Threads: any
 * Errors:  VIR_ERR_CONFIG_UNSUPPORTED, VIR_ERR_CPU_INCOMPATIBLE, VIR_ERR_OPERATION_FAILED
 */
#include "config.h"

#include <string.h>

#include "util/err.h"
#include "qemu/cpu.h"
#include "qemu/cpu_guest.h"

static bool in(const GPtrArray *names, const char *name)
{
    for (unsigned i = 0; names && i < names->len; i++) {
        if (strcmp(names->pdata[i], name) == 0)
            return true;
    }
    return false;
}

static CpuFeature *feature_of(const CpuDef *cpu, const char *name)
{
    for (unsigned i = 0; cpu->features && i < cpu->features->len; i++) {
        CpuFeature *f = cpu->features->pdata[i];
        if (strcmp(f->name, name) == 0)
            return f;
    }
    return NULL;
}

static void add_feature(GPtrArray *list, const char *name, CpuFeaturePolicy policy)
{
    CpuFeature *f = g_new0(CpuFeature, 1);
    f->name = g_strdup(name);
    f->policy = policy;
    g_ptr_array_add(list, f);
}

static bool is_off(const CpuFeature *f)
{
    return f->policy == CPU_FEATURE_DISABLE || f->policy == CPU_FEATURE_FORBID;
}

/* ---- before the start */

static void take_all(CpuDef *cpu, GPtrArray *list, const GPtrArray *names, CpuFeaturePolicy policy)
{
    for (unsigned i = 0; i < names->len; i++) {
        /* What the user says of a feature wins, in the place where it comes up. */
        CpuFeature *said = feature_of(cpu, names->pdata[i]);
        add_feature(list, names->pdata[i], said ? said->policy : policy);
    }
}

/* The model of the choice, its features, and what else the user named. */
static void adopt_choice(CpuDef *cpu, const CpuChoice *ch)
{
    GPtrArray *list = g_ptr_array_new();
    take_all(cpu, list, ch->require, CPU_FEATURE_REQUIRE);
    take_all(cpu, list, ch->disable, CPU_FEATURE_DISABLE);
    for (unsigned i = 0; cpu->features && i < cpu->features->len; i++) {
        CpuFeature *f = cpu->features->pdata[i];
        if (!in(ch->require, f->name) && !in(ch->disable, f->name))
            add_feature(list, f->name, f->policy);
        g_free(f->name);
        g_free(f);
    }
    if (cpu->features)
        g_ptr_array_unref(cpu->features);
    cpu->features = list;
    cpu->mode = CPU_MODE_CUSTOM;
    cpu->match = CPU_MATCH_EXACT;
    cpu->fallback = CPU_FALLBACK_FORBID;
    g_free(cpu->model);
    cpu->model = g_strdup(ch->model);
    g_free(cpu->vendor);
    cpu->vendor = g_strdup(ch->vendor);
}

static bool model_exists(const QemuCaps *caps, QemuAccel accel, const char *name)
{
    unsigned n;
    const QemuCpuModel *models = qemu_caps_cpu_models(caps, accel, &n);
    for (unsigned i = 0; i < n; i++) {
        if (strcmp(models[i].name, name) == 0)
            return true;
    }
    return n == 0; /* QEMU says nothing about models on this architecture */
}

/* "optional" becomes what it comes down to. */
static void settle_policies(CpuDef *cpu, const GPtrArray *max)
{
    for (unsigned i = 0; cpu->features && i < cpu->features->len; i++) {
        CpuFeature *f = cpu->features->pdata[i];
        if (f->policy == CPU_FEATURE_OPTIONAL)
            f->policy = in(max, f->name) ? CPU_FEATURE_REQUIRE : CPU_FEATURE_DISABLE;
    }
}

/* Names the guest is to have and the accelerator lacks, as "a, b"; NULL when none. */
static char *missing_features(const CpuDef *cpu, const GPtrArray *of_model, const GPtrArray *max)
{
    g_autoptr(GString) s = g_string_new(NULL);
    for (unsigned i = 0; of_model && i < of_model->len; i++) {
        if (!in(max, of_model->pdata[i]) && !feature_of(cpu, of_model->pdata[i]))
            g_string_append_printf(s, "%s%s", s->len ? ", " : "", (const char *)of_model->pdata[i]);
    }
    for (unsigned i = 0; cpu->features && i < cpu->features->len; i++) {
        const CpuFeature *f = cpu->features->pdata[i];
        if (f->policy != CPU_FEATURE_FORCE && !is_off(f) && cpu_feature_find(f->name) && !in(max, f->name))
            g_string_append_printf(s, "%s%s", s->len ? ", " : "", f->name);
    }
    return s->len ? g_strdup(s->str) : NULL;
}

static int check_missing(const QemuCaps *caps, const CpuDef *cpu, const GPtrArray *max, Err *err)
{
    g_autoptr(GPtrArray) of_model = qemu_caps_cpu_model_features(caps, cpu->model);
    g_autofree char *missing = missing_features(cpu, of_model, max);
    if (!missing)
        return 0;
    if (cpu->check == CPU_CHECK_FULL)
        return err_set(err, VIR_ERR_OPERATION_FAILED, "guest CPU doesn't match specification: missing features: %s", missing);
    err_set(err, VIR_ERR_CPU_INCOMPATIBLE, "Host CPU does not provide required features: %s", missing);
    return err_hint(err, "mode='host-model' gives the guest what this host has");
}

int qemu_cpu_resolve(const QemuCaps *caps, QemuAccel accel, CpuDef *cpu, Err *err)
{
    bool host_model = cpu->mode == CPU_MODE_HOST_MODEL;
    bool minimum = cpu->mode == CPU_MODE_CUSTOM && cpu->model && cpu->match == CPU_MATCH_MINIMUM;
    g_autoptr(GPtrArray) max = qemu_caps_cpu_max_features(caps, accel);
    if (max)
        settle_policies(cpu, max);
    /* What the guest gets is the host's, and always there: whether that is the least it asks for is seen by the model it names. */
    if (minimum && max && cpu->check == CPU_CHECK_PARTIAL && check_missing(caps, cpu, max, err) < 0)
        return -1;
    if (host_model || minimum) {
        g_auto(CpuChoice) ch = {0};
        if (qemu_caps_host_model(caps, accel, &ch) < 0)
            return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "CPU mode '%s' for %s %s domain is not supported by hypervisor",
                           host_model ? "host-model" : "custom", qemu_caps_arch(caps), accel == QEMU_ACCEL_KVM ? "kvm" : "qemu");
        adopt_choice(cpu, &ch);
        if (!host_model)
            g_clear_pointer(&cpu->vendor, g_free); /* "at least this" asks for no vendor */
        if (cpu->check == CPU_CHECK_ABSENT)
            cpu->check = CPU_CHECK_PARTIAL;
    }
    if (cpu->mode != CPU_MODE_CUSTOM || !cpu->model)
        return 0;
    const char *off = cpu_model_off_feature(cpu->model);
    if (off && !feature_of(cpu, off)) {
        if (!cpu->features)
            cpu->features = g_ptr_array_new();
        add_feature(cpu->features, off, CPU_FEATURE_DISABLE);
    }
    if (!model_exists(caps, accel, cpu->model))
        return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "CPU model '%s' is not supported by hypervisor", cpu->model);
    cpu->fallback = CPU_FALLBACK_FORBID; /* it is this model now, nothing near it */
    bool checked = cpu->check == CPU_CHECK_FULL || (cpu->check == CPU_CHECK_PARTIAL && !host_model);
    return checked && max ? check_missing(caps, cpu, max, err) : 0;
}

/* ---- after the start */

bool qemu_cpu_make_live(const QemuCaps *caps, QemuAccel accel, CpuDef *cpu)
{
    if (cpu->mode != CPU_MODE_CUSTOM || !cpu->model)
        return false;
    g_autoptr(GPtrArray) max = qemu_caps_cpu_max_features(caps, accel);
    g_autoptr(GPtrArray) of_model = qemu_caps_cpu_model_features(caps, cpu->model);
    g_autoptr(GPtrArray) given = qemu_caps_cpu_given_features(caps, cpu->model);
    if (!max || !of_model || !given)
        return false; /* not told: nothing can be said of the guest's CPU beyond what was asked for */
    if (!cpu->features)
        cpu->features = g_ptr_array_new();
    bool changed = false;
    for (unsigned i = 0; i < cpu->features->len; i++) {
        CpuFeature *f = cpu->features->pdata[i];
        if (!is_off(f) && cpu_feature_find(f->name) && !in(max, f->name)) {
            f->policy = CPU_FEATURE_DISABLE;
            changed = true;
        }
    }
    /* Where the guest differs from what the model's name promises, and nobody asked for it. */
    const char *name;
    for (unsigned i = 0; (name = cpu_feature_at(i)) != NULL; i++) {
        bool promised = in(of_model, name), has = in(max, name) && (in(given, name) || strcmp(name, "hypervisor") == 0);
        if (promised == has || feature_of(cpu, name))
            continue;
        add_feature(cpu->features, name, has ? CPU_FEATURE_REQUIRE : CPU_FEATURE_DISABLE);
        changed = true;
    }
    cpu->check = CPU_CHECK_FULL;
    cpu->match = CPU_MATCH_EXACT;
    cpu->fallback = CPU_FALLBACK_FORBID;
    return changed;
}
