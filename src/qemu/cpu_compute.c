/* qemu/cpu_compute.c - CPUs given as <cpu> documents, compared and reduced to what they share
 *
 * Owns:    the reading of such a document as a set of features
 * Errors:  from VIR_FROM_CPU, as clients know them
 */
#include "config.h"

#include <string.h>

#include "api_enums.h"
#include "host/node.h"
#include "qemu/cpu_compute.h"
#include "util/xml.h"

#define CPU_ERR(err, code, ...) err_set_full(err, VIR_FROM_CPU, code, 0, __VA_ARGS__)

/* A document: what it demands and what it rules out; names are the feature table's own. */
typedef struct CpuDoc {
    char *arch, *model, *vendor;
    bool has_mode, strict;
    GPtrArray *order;     /* features demanded, model's first */
    GHashTable *features; /* the same as a set */
    GPtrArray *forbidden;
} CpuDoc;

static void cpu_doc_done(CpuDoc *c)
{
    g_free(c->arch);
    g_free(c->model);
    g_free(c->vendor);
    g_clear_pointer(&c->order, g_ptr_array_unref);
    g_clear_pointer(&c->features, g_hash_table_unref);
    g_clear_pointer(&c->forbidden, g_ptr_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CpuDoc, cpu_doc_done)

/* ---- reading ----------------------------------------------------------------------------------------------------------------- */

static char *attribute(xmlNode *n, const char *name)
{
    xmlChar *v = xmlGetNoNsProp(n, (const xmlChar *)name);
    char *s = v ? g_strdup((const char *)v) : NULL;
    xmlFree(v);
    return s;
}

static char *text_of(xmlNode *n)
{
    xmlChar *v = xmlNodeGetContent(n);
    char *s = g_strstrip(g_strdup(v ? (const char *)v : ""));
    xmlFree(v);
    return s;
}

static bool is_element(const xmlNode *n, const char *name)
{
    return n->type == XML_ELEMENT_NODE && strcmp((const char *)n->name, name) == 0;
}

static void demand(CpuDoc *c, const char *feature)
{
    gpointer key = (gpointer)(uintptr_t)feature;
    if (g_hash_table_add(c->features, key))
        g_ptr_array_add(c->order, key);
}

static int read_feature(CpuDoc *c, xmlNode *n, Err *err)
{
    g_autofree char *name = attribute(n, "name"), *policy = attribute(n, "policy");
    if (!name)
        return CPU_ERR(err, VIR_ERR_XML_ERROR, "Invalid CPU feature name");
    const char *feature = cpu_feature_find(name);
    if (!feature)
        return CPU_ERR(err, VIR_ERR_INTERNAL_ERROR, "Unknown CPU feature %s", name);
    gpointer key = (gpointer)(uintptr_t)feature;
    if (!policy || strcmp(policy, "require") == 0 || strcmp(policy, "force") == 0) {
        demand(c, feature);
    } else if (strcmp(policy, "disable") == 0 || strcmp(policy, "forbid") == 0) {
        g_hash_table_remove(c->features, key);
        g_ptr_array_remove(c->order, key);
        if (strcmp(policy, "forbid") == 0 && !g_ptr_array_find(c->forbidden, key, NULL))
            g_ptr_array_add(c->forbidden, key);
    } else if (strcmp(policy, "optional") != 0) {
        return CPU_ERR(err, VIR_ERR_INTERNAL_ERROR, "Invalid CPU feature policy '%s'", policy);
    }
    return 0;
}

static int read_model(const QemuCaps *caps, CpuDoc *c, Err *err)
{
    bool foreign = c->arch && strcmp(c->arch, qemu_caps_arch(caps)) != 0;
    g_autoptr(GPtrArray) names = foreign ? NULL : qemu_caps_cpu_model_features(caps, c->model);
    if (!names)
        return foreign ? 0 : CPU_ERR(err, VIR_ERR_INTERNAL_ERROR, "Unknown CPU model %s", c->model);
    for (unsigned i = 0; i < names->len; i++)
        demand(c, names->pdata[i]);
    return 0;
}

static int cpu_doc_read(const QemuCaps *caps, const char *xml, CpuDoc *c, Err *err)
{
    g_autoptr(xmlDoc) doc = xml_parse(xml, strlen(xml), "(CPU_definition)", err);
    if (!doc) {
        err->domain = VIR_FROM_CPU;
        return -1;
    }
    xmlNode *root = xmlDocGetRootElement(doc);
    if (!is_element(root, "cpu"))
        return CPU_ERR(err, VIR_ERR_XML_ERROR, "XML does not contain expected 'cpu' element");
    c->features = g_hash_table_new(g_str_hash, g_str_equal);
    c->order = g_ptr_array_new();
    c->forbidden = g_ptr_array_new();
    g_autofree char *mode = attribute(root, "mode"), *match = attribute(root, "match");
    c->has_mode = mode != NULL;
    c->strict = match && strcmp(match, "strict") == 0;
    for (xmlNode *n = root->children; n; n = n->next) {
        char **to = is_element(n, "arch") ? &c->arch : is_element(n, "model") ? &c->model : is_element(n, "vendor") ? &c->vendor : NULL;
        if (to && !*to)
            *to = text_of(n);
    }
    if (mode && strcmp(mode, "custom") != 0)
        g_clear_pointer(&c->model, g_free); /* host-model and the like are what they are compared with */
    if (c->model && read_model(caps, c, err) < 0)
        return -1;
    for (xmlNode *n = root->children; n; n = n->next) {
        if (is_element(n, "feature") && read_feature(c, n, err) < 0)
            return -1;
    }
    return 0;
}

/* ---- references -------------------------------------------------------------------------------------------------------------- */

static void add_all(GHashTable *set, const GPtrArray *names)
{
    for (unsigned i = 0; names && i < names->len; i++)
        g_hash_table_add(set, names->pdata[i]);
}

int cpu_reference_guest(const QemuCaps *caps, QemuAccel accel, CpuReference *ret, Err *err)
{
    g_autoptr(GPtrArray) names = qemu_caps_cpu_max_features(caps, accel);
    if (!names)
        return CPU_ERR(err, VIR_ERR_OPERATION_UNSUPPORTED, "QEMU does not describe the CPUs of architecture %s", qemu_caps_arch(caps));
    g_auto(CpuChoice) ch = {0};
    qemu_caps_host_model(caps, accel, &ch);
    ret->features = g_hash_table_new(g_str_hash, g_str_equal);
    ret->vendor = accel == QEMU_ACCEL_KVM ? ch.vendor : NULL; /* TCG runs models of any vendor */
    add_all(ret->features, names);
    return 0;
}

int cpu_reference_host(const QemuCaps *caps, CpuReference *ret, Err *err)
{
    g_autoptr(HostCpu) cpu = host_cpu_new();
    g_auto(CpuChoice) ch = {0};
    if (qemu_caps_host_cpu(caps, cpu, &ch) < 0)
        return CPU_ERR(err, VIR_ERR_OPERATION_UNSUPPORTED, "the processor of this host is not described by any model of QEMU");
    ret->features = g_hash_table_new(g_str_hash, g_str_equal);
    ret->vendor = ch.vendor;
    g_autoptr(GPtrArray) names = qemu_caps_cpu_model_features(caps, ch.model);
    add_all(ret->features, names);
    add_all(ret->features, ch.require);
    return 0;
}

void cpu_reference_done(CpuReference *r)
{
    g_clear_pointer(&r->features, g_hash_table_unref);
}

/* ---- compare ----------------------------------------------------------------------------------------------------------------- */

static int incompatible(unsigned flags, int *ret, Err *err, const char *why, const char *what)
{
    *ret = VIR_CPU_COMPARE_INCOMPATIBLE;
    if (!(flags & VIR_CONNECT_COMPARE_CPU_FAIL_INCOMPATIBLE))
        return 0;
    return CPU_ERR(err, VIR_ERR_CPU_INCOMPATIBLE, "%s: %s", why, what);
}

int cpu_compare_xml(const QemuCaps *caps, const CpuReference *with, const char *xml, unsigned flags, int *ret, Err *err)
{
    g_auto(CpuDoc) c = {0};
    if (cpu_doc_read(caps, xml, &c, err) < 0)
        return -1;
    if (c.arch && strcmp(c.arch, qemu_caps_arch(caps)) != 0)
        return incompatible(flags, ret, err, "CPU arch does not match host arch", c.arch);
    if (c.vendor && with->vendor && strcmp(c.vendor, with->vendor) != 0)
        return incompatible(flags, ret, err, "host CPU vendor does not match required CPU vendor", c.vendor);
    g_autoptr(GString) missing = g_string_new(NULL);
    for (unsigned i = 0; i < c.order->len; i++) {
        if (!g_hash_table_contains(with->features, c.order->pdata[i]))
            g_string_append_printf(missing, "%s%s", missing->len ? ", " : "", (const char *)c.order->pdata[i]);
    }
    if (missing->len)
        return incompatible(flags, ret, err, "Host CPU does not provide required features", missing->str);
    for (unsigned i = 0; i < c.forbidden->len; i++) {
        if (g_hash_table_contains(with->features, c.forbidden->pdata[i]))
            return incompatible(flags, ret, err, "Host CPU provides forbidden features", c.forbidden->pdata[i]);
    }
    bool more = g_hash_table_size(with->features) > g_hash_table_size(c.features);
    if (more && c.strict)
        return incompatible(flags, ret, err, "Host CPU does not strictly match", "it has more features");
    *ret = more ? VIR_CPU_COMPARE_SUPERSET : VIR_CPU_COMPARE_IDENTICAL;
    return 0;
}

/* ---- baseline ---------------------------------------------------------------------------------------------------------------- */

/* Takes out of `set` what is not in `other`. */
static void intersect(GHashTable *set, GHashTable *other)
{
    GHashTableIter it;
    gpointer name;
    g_hash_table_iter_init(&it, set);
    while (g_hash_table_iter_next(&it, &name, NULL)) {
        if (!g_hash_table_contains(other, name))
            g_hash_table_iter_remove(&it);
    }
}

static void write_features(XmlWriter *w, const char *policy, const GPtrArray *names, GPtrArray *except)
{
    for (unsigned i = 0; i < names->len; i++) {
        if (except && g_ptr_array_find(except, names->pdata[i], NULL))
            continue;
        xml_begin(w, "feature");
        xml_attr(w, "policy", policy);
        xml_attr(w, "name", names->pdata[i]);
        xml_end(w);
    }
}

/* The name stays (it says what the guest is), what it cannot have here is disabled or not asked for. */
static void apply_limit(const QemuCaps *caps, const CpuReference *limit, CpuChoice *ch)
{
    for (unsigned i = ch->require->len; i-- > 0;) {
        if (!g_hash_table_contains(limit->features, ch->require->pdata[i]))
            g_ptr_array_remove_index(ch->require, i);
    }
    g_autoptr(GPtrArray) of_model = qemu_caps_cpu_model_features(caps, ch->model);
    for (unsigned i = 0; i < of_model->len; i++) {
        gpointer name = of_model->pdata[i];
        if (!g_hash_table_contains(limit->features, name) && !g_ptr_array_find(ch->disable, name, NULL))
            g_ptr_array_add(ch->disable, name);
    }
}

static char *write_choice(const QemuCaps *caps, const CpuChoice *ch, const char *vendor, bool expand)
{
    XmlWriter w;
    xml_writer_init(&w);
    xml_begin(&w, "cpu");
    xml_attr(&w, "mode", "custom");
    xml_attr(&w, "match", "exact");
    xml_begin(&w, "model");
    xml_attr(&w, "fallback", "forbid");
    xml_text(&w, ch->model);
    xml_end(&w);
    if (vendor && *vendor)
        xml_leaf(&w, "vendor", vendor);
    if (expand) {
        g_autoptr(GPtrArray) of_model = qemu_caps_cpu_model_features(caps, ch->model);
        write_features(&w, "require", of_model, ch->disable);
    }
    write_features(&w, "require", ch->require, NULL);
    write_features(&w, "disable", ch->disable, NULL);
    xml_end(&w);
    return xml_writer_steal(&w);
}

static int check_baseline_doc(const QemuCaps *caps, const CpuDoc *c, bool hosts, unsigned index, Err *err)
{
    if (hosts && c->has_mode)
        return CPU_ERR(err, VIR_ERR_CONFIG_UNSUPPORTED, "Attribute mode is only allowed for guest CPU");
    if (hosts && !c->arch)
        return CPU_ERR(err, VIR_ERR_XML_ERROR, "Missing CPU architecture");
    if (!c->model)
        return CPU_ERR(err, VIR_ERR_INVALID_ARG, "no CPU model specified at index %u", index);
    if (c->arch && strcmp(c->arch, qemu_caps_arch(caps)) != 0)
        return CPU_ERR(err, VIR_ERR_CONFIG_UNSUPPORTED, "CPU architecture '%s', expected '%s'", c->arch, qemu_caps_arch(caps));
    return 0;
}

char *cpu_baseline_xml(const QemuCaps *caps, const CpuReference *limit, bool hosts, const char *const *xmls, unsigned n, unsigned flags,
                       Err *err)
{
    g_autoptr(GHashTable) shared = NULL;
    g_autofree char *vendor = NULL; /* of all; "": they differ, so only a model of no vendor fits */
    bool vendor_told = false;
    for (unsigned i = 0; i < n; i++) {
        g_auto(CpuDoc) c = {0};
        if (cpu_doc_read(caps, xmls[i], &c, err) < 0 || check_baseline_doc(caps, &c, hosts, i, err) < 0)
            return NULL;
        const char *of = c.vendor ? c.vendor : qemu_caps_cpu_vendor(caps, c.model);
        vendor_told = vendor_told || c.vendor;
        if (i == 0)
            vendor = g_strdup(of);
        else if (g_strcmp0(of, vendor) != 0) {
            g_free(vendor);
            vendor = g_strdup("");
        }
        if (i == 0)
            shared = g_steal_pointer(&c.features);
        else
            intersect(shared, c.features);
    }
    if (!shared) {
        CPU_ERR(err, VIR_ERR_INVALID_ARG, "no CPUs to make a baseline of");
        return NULL;
    }
    if (flags & VIR_CONNECT_BASELINE_CPU_MIGRATABLE)
        g_hash_table_remove(shared, "invtsc");
    g_auto(CpuChoice) ch = {0};
    if (qemu_caps_cpu_choose(caps, shared, vendor, hosts, &ch) < 0 && qemu_caps_cpu_choose(caps, shared, vendor, false, &ch) < 0) {
        CPU_ERR(err, VIR_ERR_OPERATION_FAILED, "CPUs are incompatible");
        return NULL;
    }
    if (limit && !(flags & VIR_CONNECT_BASELINE_CPU_IGNORE_HOST))
        apply_limit(caps, limit, &ch);
    return write_choice(caps, &ch, vendor_told ? vendor : NULL, flags & VIR_CONNECT_BASELINE_CPU_EXPAND_FEATURES);
}
