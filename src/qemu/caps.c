/* qemu/caps.c - what a QEMU binary can do: the facts
 *
 * Owns:    QemuCaps, made of a document and never changed
 * Threads: any; no locks
 * Errors:  VIR_ERR_INTERNAL_ERROR for a document that is none
 */
#include "config.h"

#include <string.h>

#include "qemu/caps_private.h"

struct QemuCaps {
    gint refs;
    char *binary;
    json_t *doc; /* strings below are its, unless said */
    unsigned version;
    const char *package;
    char *arch; /* libvirt's name; own */
    uint8_t flags[(QEMU_CAP_MAX + 7) / 8];
    bool kvm;
    GArray *machines; /* QemuMachine; own */
    GArray *cpus[QEMU_ACCEL_MAX]; /* QemuCpuModel; own */
};

static const char *const accel_keys[QEMU_ACCEL_MAX] = {"tcg", "kvm"};

/* ---- making */

static const char *str_of(json_t *obj, const char *key)
{
    return json_string_value(json_object_get(obj, key));
}

static void machine_done(void *p)
{
    QemuMachine *m = p;
    g_free(m->name);
    g_free(m->alias);
    g_free(m->default_cpu);
    g_free(m->default_ram_id);
}

static void cpu_model_done(void *p)
{
    QemuCpuModel *m = p;
    g_free(m->name);
    g_free(m->type);
    g_strfreev(m->blockers);
}

/* "qemu64-x86_64-cpu" -> "qemu64" */
static char *cpu_of_type(const char *type, const char *qemu_arch)
{
    if (!type)
        return NULL;
    g_autofree char *tail = g_strdup_printf("-%s-cpu", qemu_arch);
    size_t len = strlen(type), tail_len = strlen(tail);
    return len > tail_len && g_str_has_suffix(type, tail) ? g_strndup(type, len - tail_len) : g_strdup(type);
}

static void add_machines(QemuCaps *caps, const char *qemu_arch)
{
    size_t i;
    json_t *el;
    json_array_foreach (json_object_get(caps->doc, "machines"), i, el) {
        const char *name = str_of(el, "name");
        if (!name || strcmp(name, "none") == 0)
            continue;
        json_int_t max = json_integer_value(json_object_get(el, "cpu-max"));
        QemuMachine m = {
            .name = g_strdup(name),
            .alias = g_strdup(str_of(el, "alias")),
            .max_cpus = max > 0 && max <= 65536 ? (unsigned)max : 1,
            .default_cpu = cpu_of_type(str_of(el, "default-cpu-type"), qemu_arch),
            .default_ram_id = g_strdup(str_of(el, "default-ram-id")),
            .hotpluggable_cpus = json_is_true(json_object_get(el, "hotpluggable-cpus")),
            .numa_mem_supported = json_is_true(json_object_get(el, "numa-mem-supported")),
            .deprecated = json_is_true(json_object_get(el, "deprecated")),
            .is_default = json_is_true(json_object_get(el, "is-default")),
        };
        /* The default comes first, as libvirt lists it: clients take the first. */
        if (m.is_default)
            g_array_prepend_val(caps->machines, m);
        else
            g_array_append_val(caps->machines, m);
    }
}

static bool is_versioned(const char *name)
{
    const char *v = g_strrstr(name, "-v");
    return v && g_ascii_isdigit(v[2]) && strspn(v + 2, "0123456789") == strlen(v + 2);
}

static void add_cpus(QemuCaps *caps, QemuAccel accel)
{
    size_t i, k;
    json_t *el, *blocker;
    json_array_foreach (json_object_get(json_object_get(caps->doc, "cpus"), accel_keys[accel]), i, el) {
        const char *name = str_of(el, "name");
        if (!name)
            continue;
        json_t *missing = json_object_get(el, "unavailable-features");
        QemuCpuModel m = {
            .name = g_strdup(name),
            .type = g_strdup(str_of(el, "typename")),
            .usable = missing && json_array_size(missing) == 0,
            .deprecated = json_is_true(json_object_get(el, "deprecated")),
            .is_versioned = is_versioned(name),
            .is_static = json_is_true(json_object_get(el, "static")),
        };
        if (json_array_size(missing)) {
            m.blockers = g_new0(char *, json_array_size(missing) + 1);
            json_array_foreach (missing, k, blocker)
                m.blockers[k] = g_strdup(json_string_value(blocker) ? json_string_value(blocker) : "?");
        }
        g_array_append_val(caps->cpus[accel], m);
    }
}

static void add_flags(QemuCaps *caps)
{
    g_autoptr(GHashTable) set = g_hash_table_new(g_str_hash, g_str_equal);
    size_t i;
    json_t *el;
    json_array_foreach (json_object_get(caps->doc, "flags"), i, el) {
        if (json_is_string(el))
            g_hash_table_add(set, (void *)(uintptr_t)json_string_value(el));
    }
    for (unsigned f = 0; f < QEMU_CAP_MAX; f++) {
        if (g_hash_table_contains(set, cap_rows[f].name))
            caps->flags[f / 8] |= (uint8_t)(1u << f % 8);
    }
}

/* QEMU's target name to libvirt's architecture name. */
static const char *arch_of_target(const char *target)
{
    static const char *const map[][2] = {{"i386", "i686"}, {"arm", "armv7l"}, {"or1k", "or32"}};
    for (unsigned i = 0; i < N_ELEMENTS(map); i++) {
        if (strcmp(target, map[i][0]) == 0)
            return map[i][1];
    }
    return target;
}

QemuCaps *caps_from_document(const char *binary, json_t *doc, Err *err)
{
    const char *target = str_of(doc, "arch");
    json_int_t version = json_integer_value(json_object_get(doc, "version"));
    if (!target || version < 1000000 || version > 999999999 || !json_is_array(json_object_get(doc, "machines"))) {
        err_set(err, VIR_ERR_INTERNAL_ERROR, "capabilities of %s are incomplete", binary);
        return NULL;
    }
    if (version < 7002000) {
        err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "%s is QEMU %d.%d.%d, at least 7.2 is needed", binary, (int)(version / 1000000),
                (int)(version / 1000 % 1000), (int)(version % 1000));
        return NULL;
    }
    QemuCaps *caps = g_new0(QemuCaps, 1);
    caps->refs = 1;
    caps->binary = g_strdup(binary);
    caps->doc = json_incref(doc);
    caps->version = (unsigned)version;
    caps->package = str_of(doc, "package");
    caps->arch = g_strdup(arch_of_target(target));
    caps->kvm = json_is_true(json_object_get(doc, "kvm"));
    caps->machines = g_array_new(FALSE, TRUE, sizeof(QemuMachine));
    g_array_set_clear_func(caps->machines, machine_done);
    for (unsigned a = 0; a < QEMU_ACCEL_MAX; a++) {
        caps->cpus[a] = g_array_new(FALSE, TRUE, sizeof(QemuCpuModel));
        g_array_set_clear_func(caps->cpus[a], cpu_model_done);
        add_cpus(caps, a);
    }
    add_machines(caps, target);
    add_flags(caps);
    return caps;
}

QemuCaps *qemu_caps_ref(QemuCaps *caps)
{
    g_atomic_int_inc(&caps->refs);
    return caps;
}

void *qemu_caps_unref(QemuCaps *caps)
{
    if (!caps || !g_atomic_int_dec_and_test(&caps->refs))
        return NULL;
    g_array_unref(caps->machines);
    for (unsigned a = 0; a < QEMU_ACCEL_MAX; a++)
        g_array_unref(caps->cpus[a]);
    json_decref(caps->doc);
    g_free(caps->arch);
    g_free(caps->binary);
    g_free(caps);
    return NULL;
}

/* ---- asking */

json_t *caps_document(const QemuCaps *caps)
{
    return caps->doc;
}

const char *qemu_caps_binary(const QemuCaps *caps)
{
    return caps->binary;
}

unsigned qemu_caps_version(const QemuCaps *caps)
{
    return caps->version;
}

const char *qemu_caps_package(const QemuCaps *caps)
{
    return caps->package ? caps->package : "";
}

const char *qemu_caps_arch(const QemuCaps *caps)
{
    return caps->arch;
}

bool qemu_caps_has(const QemuCaps *caps, QemuCap cap)
{
    return caps->flags[cap / 8] & (1u << cap % 8);
}

const char *qemu_cap_name(QemuCap cap)
{
    return cap_rows[cap].name;
}

bool qemu_caps_accel_usable(const QemuCaps *caps, QemuAccel accel)
{
    return accel == QEMU_ACCEL_TCG || caps->kvm;
}

const QemuMachine *qemu_caps_machines(const QemuCaps *caps, unsigned *ret_n)
{
    *ret_n = caps->machines->len;
    return (const QemuMachine *)(void *)caps->machines->data;
}

const QemuMachine *qemu_caps_machine(const QemuCaps *caps, const char *name)
{
    for (unsigned i = 0; i < caps->machines->len; i++) {
        const QemuMachine *m = &g_array_index(caps->machines, QemuMachine, i);
        if (strcmp(m->name, name) == 0 || g_strcmp0(m->alias, name) == 0)
            return m;
    }
    return NULL;
}

const char *qemu_caps_machine_canonical(const QemuCaps *caps, const char *name)
{
    const QemuMachine *m = qemu_caps_machine(caps, name);
    return m ? m->name : NULL;
}

const char *qemu_caps_default_machine(const QemuCaps *caps)
{
    if (caps->machines->len == 0)
        return NULL;
    return g_array_index(caps->machines, QemuMachine, 0).name; /* the default is kept first */
}

const QemuCpuModel *qemu_caps_cpu_models(const QemuCaps *caps, QemuAccel accel, unsigned *ret_n)
{
    *ret_n = caps->cpus[accel]->len;
    return (const QemuCpuModel *)(void *)caps->cpus[accel]->data;
}

bool qemu_cpu_model_is_plain(const QemuCpuModel *m)
{
    return !m->is_versioned && strcmp(m->name, "max") != 0 && strcmp(m->name, "host") != 0 && strcmp(m->name, "base") != 0;
}
