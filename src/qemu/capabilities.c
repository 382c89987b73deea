/* qemu/capabilities.c - the <capabilities> document
 *
 * Owns:    its layout
 * Threads: workers (probing sleeps)
 * Errors:  none of its own
 */
#define LOG_AREA "qemu.caps"
#include "config.h"

#include <inttypes.h>
#include <string.h>

#include "util/log.h"
#include "util/pool.h"
#include "util/uuid.h"
#include "util/xml.h"
#include "qemu/caps_private.h"
#include "qemu/caps_xml.h"
#include "qemu/cpu.h"

#define SURVEY_THREADS 3u /* beside the caller's */

/* ---- host */

static void write_host_cpu_model(XmlWriter *w, const QemuCaps *caps, const HostCpu *cpu, CpuChoice *ch)
{
    if (!caps || qemu_caps_host_cpu(caps, cpu, ch) < 0)
        return;
    xml_leaf(w, "model", ch->model);
    if (ch->vendor)
        xml_leaf(w, "vendor", ch->vendor);
}

/* Sockets per cell, dies, cores and threads of one, as <topology>. */
static void write_cpu_topology(XmlWriter *w, const NodeTopology *t)
{
    g_auto(Err) err = ERR_INIT;
    NodeInfo info;
    if (node_info(&info, &err) < 0)
        return;
    int max_die = 0;
    for (unsigned c = 0; c < t->n_cells; c++) {
        for (unsigned i = 0; i < t->cells[c].n_cpus; i++)
            max_die = MAX(max_die, t->cells[c].cpus[i].die_id);
    }
    unsigned dies = (unsigned)max_die + 1;
    if (dies > 1 && info.cores % dies == 0)
        info.cores /= dies;
    else
        dies = 1;
    xml_begin(w, "topology");
    xml_attrf(w, "sockets", "%u", info.sockets);
    xml_attrf(w, "dies", "%u", dies);
    xml_attrf(w, "cores", "%u", info.cores);
    xml_attrf(w, "threads", "%u", info.threads);
    xml_end(w);
}

static void write_host_cpu(XmlWriter *w, const QemuCaps *caps, const NodeTopology *t)
{
    g_autoptr(HostCpu) cpu = host_cpu_new();
    g_auto(CpuChoice) ch = {0};
    xml_begin(w, "cpu");
    xml_leaf(w, "arch", node_arch());
    write_host_cpu_model(w, caps, cpu, &ch);
    if (cpu->microcode) {
        xml_begin(w, "microcode");
        xml_attrf(w, "version", "%" PRIu64, cpu->microcode);
        xml_end(w);
    }
    if (*cpu->vendor) {
        xml_begin(w, "signature");
        xml_attrf(w, "family", "%u", cpu->family);
        xml_attrf(w, "model", "%u", cpu->model);
        xml_attrf(w, "stepping", "%u", cpu->stepping);
        xml_end(w);
    }
    uint64_t hz;
    bool scaling;
    if (caps_kvm_tsc(&hz, &scaling)) {
        xml_begin(w, "counter");
        xml_attr(w, "name", "tsc");
        xml_attrf(w, "frequency", "%" PRIu64, hz);
        xml_attr(w, "scaling", scaling ? "yes" : "no");
        xml_end(w);
    }
    write_cpu_topology(w, t);
    if (cpu->phys_bits) {
        xml_begin(w, "maxphysaddr");
        xml_attr(w, "mode", "emulate");
        xml_attrf(w, "bits", "%u", cpu->phys_bits);
        xml_end(w);
    }
    for (unsigned i = 0; ch.require && i < ch.require->len; i++) {
        xml_begin(w, "feature");
        xml_attr(w, "name", ch.require->pdata[i]);
        xml_end(w);
    }
    for (unsigned i = 0; i < t->n_page_sizes; i++) {
        xml_begin(w, "pages");
        xml_attr(w, "unit", "KiB");
        xml_attrf(w, "size", "%u", t->page_sizes[i]);
        xml_end(w);
    }
    xml_end(w);
}

static void write_power_management(XmlWriter *w)
{
    static const struct {
        NodeSuspend bit;
        const char *element;
    } kinds[] = {{NODE_SUSPEND_MEM, "suspend_mem"}, {NODE_SUSPEND_DISK, "suspend_disk"}, {NODE_SUSPEND_HYBRID, "suspend_hybrid"}};
    unsigned offered = node_suspend_targets();
    xml_begin(w, "power_management");
    for (unsigned i = 0; i < N_ELEMENTS(kinds); i++) {
        if (offered & kinds[i].bit) {
            xml_begin(w, kinds[i].element);
            xml_end(w);
        }
    }
    xml_end(w);
    xml_begin(w, "iommu");
    xml_attr(w, "support", node_iommu() ? "yes" : "no");
    xml_end(w);
}

static void write_migration(XmlWriter *w)
{
    xml_begin(w, "migration_features");
    xml_begin(w, "live");
    xml_end(w);
    xml_begin(w, "uri_transports");
    xml_leaf(w, "uri_transport", "tcp");
    xml_leaf(w, "uri_transport", "rdma");
    xml_end(w);
    xml_end(w);
}

static void write_cell(XmlWriter *w, const NodeCell *cell)
{
    xml_begin(w, "cell");
    xml_attrf(w, "id", "%u", cell->id);
    xml_begin(w, "memory");
    xml_attr(w, "unit", "KiB");
    g_autofree char *memory = g_strdup_printf("%llu", cell->memory_kib);
    xml_text(w, memory);
    xml_end(w);
    for (unsigned i = 0; i < cell->n_pages; i++) {
        g_autofree char *total = g_strdup_printf("%llu", cell->pages[i].total);
        xml_begin(w, "pages");
        xml_attr(w, "unit", "KiB");
        xml_attrf(w, "size", "%u", cell->pages[i].size_kib);
        xml_text(w, total);
        xml_end(w);
    }
    if (cell->n_distances)
        xml_begin(w, "distances");
    for (unsigned i = 0; i < cell->n_distances; i++) {
        xml_begin(w, "sibling");
        xml_attrf(w, "id", "%u", cell->distances[i].cell);
        xml_attrf(w, "value", "%u", cell->distances[i].value);
        xml_end(w);
    }
    if (cell->n_distances)
        xml_end(w);
    xml_begin(w, "cpus");
    xml_attrf(w, "num", "%u", cell->n_cpus);
    for (unsigned i = 0; i < cell->n_cpus; i++) {
        const NodeCpu *cpu = &cell->cpus[i];
        xml_begin(w, "cpu");
        xml_attrf(w, "id", "%u", cpu->id);
        xml_attrf(w, "socket_id", "%d", cpu->socket_id);
        xml_attrf(w, "die_id", "%d", cpu->die_id);
        xml_attrf(w, "core_id", "%d", cpu->core_id);
        xml_attr(w, "siblings", cpu->siblings);
        xml_end(w);
    }
    xml_end(w);
    xml_end(w);
}

static void write_topology(XmlWriter *w, const NodeTopology *t)
{
    xml_begin(w, "topology");
    xml_begin(w, "cells");
    xml_attrf(w, "num", "%u", t->n_cells);
    for (unsigned i = 0; i < t->n_cells; i++)
        write_cell(w, &t->cells[i]);
    xml_end(w);
    xml_end(w);
    if (t->n_caches)
        xml_begin(w, "cache");
    for (unsigned i = 0; i < t->n_caches; i++) {
        const NodeCacheBank *b = &t->caches[i];
        bool mib = b->size_kib % 1024 == 0;
        xml_begin(w, "bank");
        xml_attrf(w, "id", "%u", b->id);
        xml_attrf(w, "level", "%u", b->level);
        xml_attr(w, "type", node_cache_types[b->type]);
        xml_attrf(w, "size", "%llu", mib ? b->size_kib / 1024 : b->size_kib);
        xml_attr(w, "unit", mib ? "MiB" : "KiB");
        xml_attr(w, "cpus", b->cpus);
        xml_end(w);
    }
    if (t->n_caches)
        xml_end(w);
}

static void write_secmodels(XmlWriter *w, const CapsHost *host)
{
    xml_begin(w, "secmodel");
    xml_leaf(w, "model", "none");
    xml_leaf(w, "doi", "0");
    xml_end(w);
    xml_begin(w, "secmodel");
    xml_leaf(w, "model", "dac");
    xml_leaf(w, "doi", "0");
    static const char *const types[] = {"kvm", "qemu"};
    g_autofree char *label = g_strdup_printf("+%u:+%u", host->qemu_uid, host->qemu_gid);
    for (unsigned i = 0; i < N_ELEMENTS(types); i++) {
        xml_begin(w, "baselabel");
        xml_attr(w, "type", types[i]);
        xml_text(w, label);
        xml_end(w);
    }
    xml_end(w);
}

static void write_host(XmlWriter *w, const CapsHost *host, const QemuCaps *native)
{
    char uuid[UUID_STRING_LEN];
    uuid_format(host->uuid, uuid);
    xml_begin(w, "host");
    xml_leaf(w, "uuid", uuid);
    write_host_cpu(w, native, host->topology);
    write_power_management(w);
    if (host->live_migration)
        write_migration(w);
    write_topology(w, host->topology);
    write_secmodels(w, host);
    xml_end(w);
}

/* ---- guests */

static bool is_x86(const char *arch)
{
    return strcmp(arch, "x86_64") == 0 || strcmp(arch, "i686") == 0;
}

static const char *wordsize_of(const char *arch)
{
    return strstr(arch, "64") || strcmp(arch, "s390x") == 0 || strcmp(arch, "alpha") == 0 ? "64" : "32";
}

static void write_machine(XmlWriter *w, const QemuMachine *m, bool as_alias)
{
    xml_begin(w, "machine");
    if (as_alias)
        xml_attr(w, "canonical", m->name);
    xml_attrf(w, "maxCpus", "%u", m->max_cpus);
    if (m->deprecated)
        xml_attr(w, "deprecated", "yes");
    xml_text(w, as_alias ? m->alias : m->name);
    xml_end(w);
}

static void write_toggle(XmlWriter *w, const char *name, const char *toggle)
{
    xml_begin(w, name);
    xml_attr(w, "default", "on");
    xml_attr(w, "toggle", toggle);
    xml_end(w);
}

static void write_guest_features(XmlWriter *w, const char *arch)
{
    static const char *const plain[] = {"cpuselection", "deviceboot"};
    xml_begin(w, "features");
    if (strcmp(arch, "i686") == 0) {
        xml_begin(w, "pae");
        xml_end(w);
        xml_begin(w, "nonpae");
        xml_end(w);
    }
    if (is_x86(arch) || strcmp(arch, "aarch64") == 0)
        write_toggle(w, "acpi", "yes");
    if (is_x86(arch))
        write_toggle(w, "apic", "no");
    for (unsigned i = 0; i < N_ELEMENTS(plain); i++) {
        xml_begin(w, plain[i]);
        xml_end(w);
    }
    write_toggle(w, "disksnapshot", "no");
    xml_end(w);
}

static void write_guest(XmlWriter *w, const char *arch, const QemuCaps *caps)
{
    unsigned n;
    const QemuMachine *machines = qemu_caps_machines(caps, &n);
    xml_begin(w, "guest");
    xml_leaf(w, "os_type", "hvm");
    xml_begin(w, "arch");
    xml_attr(w, "name", arch);
    xml_leaf(w, "wordsize", wordsize_of(arch));
    xml_leaf(w, "emulator", qemu_caps_binary(caps));
    for (unsigned i = 0; i < n; i++) {
        write_machine(w, &machines[i], false);
        if (machines[i].alias)
            write_machine(w, &machines[i], true);
    }
    xml_begin(w, "domain");
    xml_attr(w, "type", "qemu");
    xml_end(w);
    if (qemu_caps_accel_usable(caps, QEMU_ACCEL_KVM)) {
        xml_begin(w, "domain");
        xml_attr(w, "type", "kvm");
        xml_end(w);
    }
    xml_end(w);
    write_guest_features(w, arch);
    xml_end(w);
}

/* Emulators are asked side by side: most of the time goes by in the QEMUs. */
typedef struct Survey {
    QemuCapsCache *cc;
    Deadline d;
    GPtrArray *binaries; /* each once; static strings */
    QemuCaps **caps;     /* by the same index, NULL: cannot be probed */
    gint next;
} Survey;

static gpointer survey_some(gpointer arg)
{
    Survey *s = arg;
    unsigned i;
    while ((i = (unsigned)g_atomic_int_add(&s->next, 1)) < s->binaries->len) {
        g_auto(Err) err = ERR_INIT;
        const char *binary = s->binaries->pdata[i];
        if (s->caps[i])
            continue;
        s->caps[i] = qemu_caps_sketch(s->cc, binary, s->d, &err);
        if (!s->caps[i])
            log_warning("%s is left out of the capabilities: %s", binary, err.detail);
    }
    return NULL;
}

/* How many there is nothing known of. */
static unsigned survey_known(Survey *s)
{
    unsigned left = 0;
    s->caps = g_new0(QemuCaps *, s->binaries->len);
    for (unsigned i = 0; i < s->binaries->len; i++)
        if (!(s->caps[i] = qemu_caps_known_sketch(s->cc, s->binaries->pdata[i])))
            left++;
    return left;
}

static void survey(Survey *s)
{
    GThread *help[SURVEY_THREADS];
    unsigned left = survey_known(s), n = 0;
    while (n < SURVEY_THREADS && n + 1 < left && (help[n] = g_thread_try_new("survey", survey_some, s, NULL)))
        n++;
    survey_some(s);
    pool_blocking_begin();
    for (unsigned i = 0; i < n; i++)
        g_thread_join(help[i]);
    pool_blocking_end();
}

static QemuCaps *surveyed(const Survey *s, const char *binary)
{
    guint i;
    return binary && g_ptr_array_find_with_equal_func(s->binaries, binary, g_str_equal, &i) ? s->caps[i] : NULL;
}

char *capabilities_xml(QemuCapsCache *cc, const CapsHost *host, Deadline d, Err *err)
{
    unsigned n;
    const char *const *arches = qemu_caps_arches(&n);
    g_autoptr(GPtrArray) by_arch = g_ptr_array_new(); /* binary, NULL: none */
    g_autoptr(GPtrArray) binaries = g_ptr_array_new();
    for (unsigned i = 0; i < n; i++) {
        const char *binary = qemu_caps_emulator_for_arch(arches[i]);
        g_ptr_array_add(by_arch, (void *)(uintptr_t)binary);
        if (binary && !g_ptr_array_find_with_equal_func(binaries, binary, g_str_equal, NULL))
            g_ptr_array_add(binaries, (void *)(uintptr_t)binary);
    }
    Survey s = {.cc = cc, .d = d, .binaries = binaries};
    survey(&s);
    XmlWriter w;
    xml_writer_init(&w);
    xml_begin(&w, "capabilities");
    xml_blank(&w);
    write_host(&w, host, surveyed(&s, qemu_caps_emulator_for_arch(node_arch())));
    xml_blank(&w);
    for (unsigned i = 0; i < n; i++) {
        const QemuCaps *caps = surveyed(&s, by_arch->pdata[i]);
        if (!caps)
            continue;
        write_guest(&w, arches[i], caps);
        xml_blank(&w);
    }
    for (unsigned i = 0; i < binaries->len; i++)
        qemu_caps_unref(s.caps[i]);
    g_free(s.caps);
    xml_end(&w);
    return xml_writer_steal(&w);
}

/* ---- the questions beside it */

char **cpu_model_names(QemuCapsCache *cc, const char *arch, Deadline d, Err *err)
{
    if (!qemu_caps_arch_known(arch)) {
        err_set(err, VIR_ERR_INVALID_ARG, "cannot find architecture %s", arch);
        return NULL;
    }
    g_autoptr(GStrvBuilder) b = g_strv_builder_new();
    const char *binary = qemu_caps_emulator_for_arch(arch);
    if (binary) {
        g_autoptr(QemuCaps) caps = qemu_caps_get(cc, binary, d, err);
        if (!caps)
            return NULL;
        unsigned n;
        const QemuCpuModel *models = qemu_caps_cpu_models(caps, QEMU_ACCEL_TCG, &n);
        for (unsigned i = 0; i < n; i++) {
            if (qemu_cpu_model_is_plain(&models[i]))
                g_strv_builder_add(b, models[i].name);
        }
    }
    return g_strv_builder_end(b);
}

int qemu_max_vcpus_of_type(const char *type, Err *err)
{
    if (!type || g_ascii_strcasecmp(type, "qemu") == 0)
        return 16; /* what libvirt answers; real limits are the machine types' (domain capabilities) */
    if (g_ascii_strcasecmp(type, "kvm") == 0) {
        unsigned n = node_kvm_max_vcpus();
        return n ? (int)n : err_set(err, VIR_ERR_SYSTEM_ERROR, "unable to get the number of vCPUs KVM allows");
    }
    return err_set(err, VIR_ERR_INVALID_ARG, "unknown type '%s'", type);
}
