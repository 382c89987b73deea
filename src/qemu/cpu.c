/* qemu/cpu.c - names of CPU features, and models described by them
 *
 * Owns:    the table of feature names
 * Threads: any; no state but constants
 * Errors:  none worth words: -1 means QEMU does not describe models
 */
#include "config.h"

#include <pthread.h>
#include <string.h>

#include "qemu/caps_private.h"
#include "qemu/cpu.h"

typedef struct FeatureRow {
    const char *name, *qemu, *kernel; /* qemu, kernel NULL: by rule */
} FeatureRow;

static const FeatureRow rows[] = {
#define FEAT(name) {name, NULL, NULL},
#define FEAT2(name, qemu, kernel) {name, qemu, kernel},
#include "qemu/cpu_features.def"
#undef FEAT
#undef FEAT2
};

/* ---- names */

/* A copy with each of the characters `from` as `to`. */
static char *replaced(const char *name, const char *from, char to)
{
    return g_strdelimit(g_strdup(name), from, to);
}

/* The names QEMU and the kernel use, by row, and the rows (number + 1) by libvirt's and by QEMU's name: made once, for ever. */
static GHashTable *by_name, *by_qemu_name;
static const char *qemu_names[N_ELEMENTS(rows)], *kernel_names[N_ELEMENTS(rows)];

static void names_init(void)
{
    by_name = g_hash_table_new(g_str_hash, g_str_equal);
    by_qemu_name = g_hash_table_new(g_str_hash, g_str_equal);
    for (unsigned i = 0; i < N_ELEMENTS(rows); i++) {
        qemu_names[i] = rows[i].qemu ? rows[i].qemu : replaced(rows[i].name, "_", '-');
        kernel_names[i] = rows[i].kernel ? rows[i].kernel : replaced(rows[i].name, "-.", '_');
        g_hash_table_insert(by_name, (void *)(uintptr_t)rows[i].name, GUINT_TO_POINTER(i + 1));
        g_hash_table_insert(by_qemu_name, (void *)(uintptr_t)qemu_names[i], GUINT_TO_POINTER(i + 1));
    }
}

static pthread_once_t names_once = PTHREAD_ONCE_INIT;

/* Number + 1; 0: unknown. */
static unsigned row_of(const char *name)
{
    pthread_once(&names_once, names_init);
    return GPOINTER_TO_UINT(g_hash_table_lookup(by_name, name));
}

static const char *row_kernel(const FeatureRow *r)
{
    pthread_once(&names_once, names_init);
    return kernel_names[r - rows];
}

const char *cpu_feature_find(const char *name)
{
    unsigned row = row_of(name);
    return row ? rows[row - 1].name : NULL;
}

const char *cpu_feature_to_qemu(const char *name)
{
    unsigned row = row_of(name);
    return row ? qemu_names[row - 1] : NULL;
}

const char *cpu_feature_at(unsigned i)
{
    return i < N_ELEMENTS(rows) ? rows[i].name : NULL;
}

const char *cpu_vendor_name(const char *cpuid_vendor)
{
    static const char *const names[][2] = {{"GenuineIntel", "Intel"}, {"AuthenticAMD", "AMD"}, {"HygonGenuine", "Hygon"}};
    for (unsigned i = 0; cpuid_vendor && i < N_ELEMENTS(names); i++) {
        if (strcmp(names[i][0], cpuid_vendor) == 0)
            return names[i][1];
    }
    return NULL;
}

/* ---- models */

/* Models that stand for no vendor's processor, although QEMU has to put some vendor into CPUID. */
static bool is_generic(const char *model)
{
    static const char *const generic[] = {"486", "pentium", "pentium2", "pentium3", "qemu32", "qemu64", "kvm32", "kvm64"};
    for (unsigned i = 0; i < N_ELEMENTS(generic); i++) {
        if (strcmp(generic[i], model) == 0)
            return true;
    }
    return false;
}

const char *qemu_caps_cpu_vendor(const QemuCaps *caps, const char *model)
{
    json_t *def = json_object_get(json_object_get(caps_document(caps), "models"), model);
    return is_generic(model) ? NULL : cpu_vendor_name(json_string_value(json_object_get(def, "vendor")));
}

const char *cpu_model_likely_vendor(const char *model)
{
    static const char *const families[][2] = {
        {"EPYC", "AMD"},          {"Opteron_", "AMD"},      {"phenom", "AMD"},        {"athlon", "AMD"},         {"Dhyana", "Hygon"},
        {"Conroe", "Intel"},      {"Penryn", "Intel"},      {"Nehalem", "Intel"},     {"Westmere", "Intel"},     {"SandyBridge", "Intel"},
        {"IvyBridge", "Intel"},   {"Haswell", "Intel"},     {"Broadwell", "Intel"},   {"Skylake-", "Intel"},     {"Cascadelake-", "Intel"},
        {"Icelake-", "Intel"},    {"Cooperlake", "Intel"},  {"Snowridge", "Intel"},   {"Denverton", "Intel"},    {"KnightsMill", "Intel"},
        {"core2duo", "Intel"},    {"coreduo", "Intel"},     {"n270", "Intel"},
    };
    for (unsigned i = 0; i < N_ELEMENTS(families); i++) {
        if (g_str_has_prefix(model, families[i][0]))
            return families[i][1];
    }
    return NULL;
}

/* One byte a row: the feature is there. */
typedef struct FeatureSet {
    uint8_t has[N_ELEMENTS(rows)];
} FeatureSet;

/* QEMU tells every model to announce the hypervisor; that is no feature of the model. */
static bool is_of_model(unsigned row)
{
    return strcmp(rows[row].name, "hypervisor") != 0;
}

static GHashTable *rows_by_qemu_name(void)
{
    pthread_once(&names_once, names_init);
    return by_qemu_name;
}

static void set_of_definition(json_t *def, FeatureSet *ret)
{
    memset(ret, 0, sizeof(*ret));
    size_t i;
    json_t *el;
    json_array_foreach (json_object_get(def, "features"), i, el) {
        const char *name = json_string_value(el);
        unsigned row = name ? GPOINTER_TO_UINT(g_hash_table_lookup(rows_by_qemu_name(), name)) : 0;
        if (row)
            ret->has[row - 1] = 1;
    }
}

typedef struct ModelRow {
    const char *name, *lacks, *has, *off;
} ModelRow;

static const ModelRow model_rows[] = {
#define CPU_MODEL(name, lacks, has, off) {name, lacks, has, off},
#include "qemu/cpu_models.def"
#undef CPU_MODEL
};

static const ModelRow *model_row(const char *model)
{
    for (unsigned i = 0; i < N_ELEMENTS(model_rows); i++) {
        if (strcmp(model_rows[i].name, model) == 0)
            return &model_rows[i];
    }
    return NULL;
}

/* Is `name` one of the words of `list`? */
static bool listed(const char *list, const char *name)
{
    size_t n = strlen(name);
    for (const char *p = list; (p = strstr(p, name)) != NULL; p += n) {
        if ((p == list || p[-1] == ' ') && (p[n] == ' ' || !p[n]))
            return true;
    }
    return false;
}

/* What the model's name promises in a definition. */
static void set_of_model(json_t *def, const char *model, FeatureSet *ret)
{
    set_of_definition(def, ret);
    const ModelRow *m = model_row(model);
    for (unsigned i = 0; m && i < N_ELEMENTS(rows); i++) {
        if (listed(m->lacks, rows[i].name) || strcmp(m->off, rows[i].name) == 0)
            ret->has[i] = 0;
        else if (listed(m->has, rows[i].name))
            ret->has[i] = 1;
    }
}

const char *cpu_model_off_feature(const char *model)
{
    const ModelRow *m = model_row(model);
    return m && *m->off ? m->off : NULL;
}

/* How far a model is from a CPU: features to add and to remove. */
static void distance(const FeatureSet *cpu, const FeatureSet *model, unsigned *ret_add, unsigned *ret_remove)
{
    *ret_add = *ret_remove = 0;
    for (unsigned i = 0; i < N_ELEMENTS(rows); i++) {
        if (!is_of_model(i))
            continue;
        *ret_add += cpu->has[i] && !model->has[i];
        *ret_remove += model->has[i] && !cpu->has[i];
    }
}

/* The model nearest to `cpu`: fewest differences, among equals the one listed first (QEMU lists newer variants of a family after the
 * plain name's successors, so that is the plain one).  Another vendor's models do not count; with `subset`, neither do models that
 * have what the CPU has not. */
static int choose(const QemuCaps *caps, const FeatureSet *cpu, const char *vendor, bool subset, CpuChoice *ret)
{
    json_t *models = json_object_get(caps_document(caps), "models"), *def;
    const char *name, *best = NULL;
    unsigned best_distance = UINT32_MAX;
    FeatureSet best_set = {{0}}, set;
    json_object_foreach (models, name, def) {
        const char *of = qemu_caps_cpu_vendor(caps, name);
        if (of && vendor && strcmp(of, vendor) != 0)
            continue;
        unsigned add, remove;
        set_of_model(def, name, &set);
        distance(cpu, &set, &add, &remove);
        /* Taking away weighs double: of two that are equally far, the one that is more nearly a subset. */
        unsigned far = add + 2 * remove;
        if ((subset && remove) || far >= best_distance)
            continue;
        best = name;
        best_distance = far;
        best_set = set;
    }
    if (!best)
        return -1;
    *ret = (CpuChoice){.model = g_strdup(best), .vendor = vendor, .require = g_ptr_array_new(), .disable = g_ptr_array_new()};
    for (unsigned i = 0; i < N_ELEMENTS(rows); i++) {
        /* "hypervisor" is a guest's as a matter of course, and said of the CPU where it is there. */
        bool in_model = best_set.has[i] && is_of_model(i);
        if (cpu->has[i] && !in_model)
            g_ptr_array_add(ret->require, (void *)(uintptr_t)rows[i].name);
        else if (in_model && !cpu->has[i])
            g_ptr_array_add(ret->disable, (void *)(uintptr_t)rows[i].name);
    }
    return 0;
}

void cpu_choice_done(CpuChoice *ch)
{
    g_free(ch->model);
    if (ch->require)
        g_ptr_array_unref(ch->require);
    if (ch->disable)
        g_ptr_array_unref(ch->disable);
    *ch = (CpuChoice){0};
}

int qemu_caps_host_model(const QemuCaps *caps, QemuAccel accel, CpuChoice *ret)
{
    static const char *const keys[QEMU_ACCEL_MAX] = {"tcg", "kvm"};
    json_t *max = json_object_get(json_object_get(caps_document(caps), "max"), keys[accel]);
    if (!max)
        return -1;
    FeatureSet cpu;
    set_of_definition(max, &cpu);
    return choose(caps, &cpu, cpu_vendor_name(json_string_value(json_object_get(max, "vendor"))), false, ret);
}

int qemu_caps_host_cpu(const QemuCaps *caps, const HostCpu *host, CpuChoice *ret)
{
    FeatureSet cpu = {{0}};
    for (unsigned i = 0; i < N_ELEMENTS(rows); i++)
        cpu.has[i] = g_hash_table_contains(host->flags, row_kernel(&rows[i]));
    return choose(caps, &cpu, cpu_vendor_name(host->vendor), true, ret);
}

int qemu_caps_cpu_choose(const QemuCaps *caps, GHashTable *features, const char *vendor, bool subset, CpuChoice *ret)
{
    FeatureSet cpu = {{0}};
    for (unsigned i = 0; i < N_ELEMENTS(rows); i++)
        cpu.has[i] = g_hash_table_contains(features, rows[i].name);
    return choose(caps, &cpu, vendor, subset, ret);
}

static GPtrArray *names_of(const FeatureSet *set, bool with_hypervisor)
{
    GPtrArray *names = g_ptr_array_new();
    for (unsigned i = 0; i < N_ELEMENTS(rows); i++) {
        if (set->has[i] && (with_hypervisor || is_of_model(i)))
            g_ptr_array_add(names, (void *)(uintptr_t)rows[i].name);
    }
    return names;
}

static json_t *model_definition(const QemuCaps *caps, const char *model)
{
    return json_object_get(json_object_get(caps_document(caps), "models"), model);
}

GPtrArray *qemu_caps_cpu_model_features(const QemuCaps *caps, const char *model)
{
    FeatureSet set;
    json_t *def = model_definition(caps, model);
    if (!def)
        return NULL;
    set_of_model(def, model, &set);
    return names_of(&set, false);
}

GPtrArray *qemu_caps_cpu_given_features(const QemuCaps *caps, const char *model)
{
    FeatureSet set;
    json_t *def = model_definition(caps, model);
    if (!def)
        return NULL;
    set_of_definition(def, &set);
    return names_of(&set, false);
}

GPtrArray *qemu_caps_cpu_max_features(const QemuCaps *caps, QemuAccel accel)
{
    FeatureSet set;
    json_t *def = json_object_get(json_object_get(caps_document(caps), "max"), accel == QEMU_ACCEL_KVM ? "kvm" : "tcg");
    if (!def)
        return NULL;
    set_of_definition(def, &set);
    return names_of(&set, true);
}
