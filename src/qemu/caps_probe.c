/* qemu/caps_probe.c - asking a QEMU binary what it can do
 *
 * Owns:    the commands of a probe and the making of the document (caps_private.h) from their answers
 * Threads: the worker that probes
 * Locks:   none
 * Errors:  VIR_ERR_INTERNAL_ERROR, VIR_ERR_OPERATION_TIMEOUT; a failed KVM step is logged and leaves kvm false
 *
 * One exec and two rounds for TCG: everything that needs no earlier answer; definitions of the CPU models found; and a second exec,
 * only where KVM works, for what it makes of the CPU models.  For a sketch the second runs beside the first, or one exec does for both.
 */
#define LOG_AREA "qemu.caps"
#include "config.h"

#include <string.h>

#include "util/log.h"
#include "util/pool.h"
#include "host/node.h"
#include "qmp/command.h"
#include "qmp/schema.h"
#include "qemu/caps_session.h"
#include "qemu/cpu.h"

#define KVM_STEP_MS 10000

const CapRow cap_rows[QEMU_CAP_MAX] = {
#define CAP(id, evidence, qemu_name, more) [QEMU_CAP_##id] = {#id, CAP_KIND_##evidence, qemu_name, more},
#include "qemu/caps_flags.def"
#undef CAP
};

/* ---- rounds */

/* Commands of a round and the place of each answer. */
typedef struct Round {
    json_t *commands;
    json_t *answers;
} Round;

/* Appends a command; args stolen, may be NULL.  Returns its place. */
static size_t ask(Round *r, const QmpCommand *cmd, json_t *args)
{
    json_t *c = json_object();
    json_object_set_new(c, "execute", json_string(cmd->name));
    if (args)
        json_object_set_new(c, "arguments", args);
    json_array_append_new(r->commands, c);
    return json_array_size(r->commands) - 1;
}

/* "return" of an answer, borrowed; NULL when it was an error. */
static json_t *got(const Round *r, size_t place)
{
    return json_object_get(json_array_get(r->answers, place), "return");
}

static int run_round(CapsSession *s, Round *r, Err *err)
{
    r->answers = caps_session_round(s, json_incref(r->commands), err);
    return r->answers ? 0 : -1;
}

static void round_init(Round *r)
{
    *r = (Round){.commands = json_array()};
}

static void round_done(Round *r)
{
    json_decref(r->commands);
    json_decref(r->answers);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Round, round_done)

/* ---- CPU models */

/* "EPYC-v3": QEMU has each of these under a plain name or as a successor that is no name of libvirt's. */
static bool is_versioned(const char *name)
{
    const char *v = strrchr(name, '-');
    if (!v || v[1] != 'v' || !v[2])
        return false;
    for (v += 2; *v; v++) {
        if (!g_ascii_isdigit(*v))
            return false;
    }
    return true;
}

/* Boiled-down "static" expansion: {"vendor", "family", "model", "stepping", "features": [names of what is on]}. */
static json_t *distil(json_t *expansion)
{
    json_t *props = json_object_get(json_object_get(expansion, "model"), "props");
    if (!json_is_object(props))
        return NULL;
    json_t *out = json_object(), *features = json_array();
    const char *key, *const plain[] = {"vendor", "family", "model", "stepping"};
    for (unsigned i = 0; i < N_ELEMENTS(plain); i++) {
        json_t *v = json_object_get(props, plain[i]);
        if (v)
            json_object_set(out, plain[i], v);
    }
    json_t *v;
    json_object_foreach (props, key, v) {
        if (json_is_true(v))
            json_array_append_new(features, json_string(key));
    }
    json_object_set_new(out, "features", features);
    return out;
}

static json_t *expansion_args(const char *model)
{
    return json_pack("{s:s,s:{s:s}}", "type", "static", "model", "name", model);
}

/* Definitions of all plain named models, into doc.models, and of "max", into doc.max.tcg.  With a vendor those that are surely another's are
 * left out.  Architectures that cannot do it answer with errors, which leave their entries out. */
static int expand_models(CapsSession *s, json_t *cpus, json_t *doc, const char *vendor, Err *err)
{
    g_auto(Round) r;
    round_init(&r);
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    size_t i;
    json_t *cpu;
    json_array_foreach (cpus, i, cpu) {
        const char *name = json_string_value(json_object_get(cpu, "name"));
        if (!name || is_versioned(name) || strcmp(name, "host") == 0 || strcmp(name, "base") == 0)
            continue;
        const char *of = vendor ? cpu_model_likely_vendor(name) : NULL;
        if (of && strcmp(of, vendor) != 0)
            continue;
        g_ptr_array_add(names, (void *)(uintptr_t)name);
        ask(&r, QMP(QUERY_CPU_EXPANSION), expansion_args(name));
    }
    if (names->len == 0)
        return 0;
    if (run_round(s, &r, err) < 0)
        return -1;
    json_t *models = json_object_get(doc, "models");
    for (unsigned k = 0; k < names->len; k++) {
        json_t *def = distil(got(&r, k));
        if (!def)
            continue;
        if (strcmp(names->pdata[k], "max") == 0)
            json_object_set(json_object_get(doc, "max"), "tcg", def);
        else
            json_object_set(models, names->pdata[k], def);
        json_decref(def);
    }
    return 0;
}

/* ---- flags */

typedef struct Evidence {
    GHashTable *types;    /* QOM type names */
    QmpSchema *schema;
    json_t *options;      /* query-command-line-options */
    GHashTable *props;    /* type -> property list (borrowed json_t) */
} Evidence;

static bool list_has(json_t *list, const char *key, const char *value)
{
    size_t i;
    json_t *el;
    json_array_foreach (list, i, el) {
        if (g_strcmp0(json_string_value(json_object_get(el, key)), value) == 0)
            return true;
    }
    return false;
}

static bool has_option(json_t *options, const char *option, const char *parameter)
{
    size_t i;
    json_t *el;
    json_array_foreach (options, i, el) {
        if (g_strcmp0(json_string_value(json_object_get(el, "option")), option) == 0)
            return !parameter || list_has(json_object_get(el, "parameters"), "name", parameter);
    }
    return false;
}

static bool row_holds(const CapRow *row, const Evidence *ev)
{
    switch (row->kind) {
    case CAP_KIND_TYPE:
        return g_hash_table_contains(ev->types, row->what);
    case CAP_KIND_PROP:
        return list_has(g_hash_table_lookup(ev->props, row->what), "name", row->detail);
    case CAP_KIND_COMMAND:
    case CAP_KIND_EVENT:
    case CAP_KIND_SCHEMA:
        return qmp_schema_has(ev->schema, row->what);
    case CAP_KIND_OPTION:
        return has_option(ev->options, row->what, row->detail);
    }
    return false;
}

static json_t *make_flags(const Evidence *ev)
{
    json_t *flags = json_array();
    for (unsigned i = 0; i < QEMU_CAP_MAX; i++) {
        if (row_holds(&cap_rows[i], ev))
            json_array_append_new(flags, json_string(cap_rows[i].name));
    }
    return flags;
}

/* ---- the TCG step: everything that does not depend on the accelerator */

static void set_version(json_t *doc, json_t *answer)
{
    json_t *q = json_object_get(answer, "qemu");
    json_int_t version = json_integer_value(json_object_get(q, "major")) * 1000000 +
                         json_integer_value(json_object_get(q, "minor")) * 1000 + json_integer_value(json_object_get(q, "micro"));
    const char *package = json_string_value(json_object_get(answer, "package"));
    json_object_set_new(doc, "version", json_integer(version));
    json_object_set_new(doc, "package", json_string(package ? package : ""));
}

static void set_list(json_t *doc, const char *key, json_t *answer)
{
    json_object_set_new(doc, key, json_is_array(answer) ? json_incref(answer) : json_array());
}

/* What every depth asks. */
typedef struct Basics {
    size_t version, target, machines;
} Basics;

static Basics ask_basics(Round *r)
{
    json_array_append_new(r->commands, json_pack("{s:s}", "execute", "qmp_capabilities"));
    return (Basics){.version = ask(r, QMP(QUERY_VERSION), NULL),
                    .target = ask(r, QMP(QUERY_TARGET), NULL),
                    .machines = ask(r, QMP(QUERY_MACHINES), NULL)};
}

static int set_basics(json_t *doc, const Round *r, const Basics *b, Err *err)
{
    if (!got(r, b->version) || !got(r, b->target) || !got(r, b->machines))
        return err_set(err, VIR_ERR_INTERNAL_ERROR, "QEMU refused a query every supported version answers");
    set_version(doc, got(r, b->version));
    json_object_set(doc, "arch", json_object_get(got(r, b->target), "arch"));
    set_list(doc, "machines", got(r, b->machines));
    return 0;
}

static int probe_tcg(CapsSession *s, json_t *doc, Err *err)
{
    g_auto(Round) r;
    round_init(&r);
    Basics basics = ask_basics(&r);
    size_t types = ask(&r, QMP(QOM_LIST_TYPES), NULL), schema = ask(&r, QMP(QUERY_QMP_SCHEMA), NULL), options = ask(&r, QMP(QUERY_CMDLINE_OPTIONS), NULL),
           cpus = ask(&r, QMP(QUERY_CPU_DEFINITIONS), NULL), tpm_models = ask(&r, QMP(QUERY_TPM_MODELS), NULL),
           tpm_types = ask(&r, QMP(QUERY_TPM_TYPES), NULL);
    g_autoptr(GHashTable) places = g_hash_table_new(g_str_hash, g_str_equal);
    for (unsigned i = 0; i < QEMU_CAP_MAX; i++) {
        const CapRow *row = &cap_rows[i];
        if (row->kind != CAP_KIND_PROP || g_hash_table_contains(places, row->what))
            continue;
        size_t place = ask(&r, QMP(DEVICE_LIST_PROPERTIES), json_pack("{s:s}", "typename", row->what));
        g_hash_table_insert(places, (void *)(uintptr_t)row->what, GSIZE_TO_POINTER(place));
    }
    if (run_round(s, &r, err) < 0)
        return -1;
    if (set_basics(doc, &r, &basics, err) < 0)
        return -1;
    if (!got(&r, types) || !got(&r, schema))
        return err_set(err, VIR_ERR_INTERNAL_ERROR, "QEMU refused a query every supported version answers");

    g_autoptr(QmpSchema) sch = qmp_schema_new(got(&r, schema), err);
    if (!sch)
        return -1;
    g_autoptr(GHashTable) type_names = g_hash_table_new(g_str_hash, g_str_equal);
    g_autoptr(GHashTable) props = g_hash_table_new(g_str_hash, g_str_equal);
    size_t i;
    json_t *el;
    json_array_foreach (got(&r, types), i, el) {
        const char *name = json_string_value(json_object_get(el, "name"));
        if (name)
            g_hash_table_add(type_names, (void *)(uintptr_t)name);
    }
    GHashTableIter it;
    void *type, *place;
    g_hash_table_iter_init(&it, places);
    while (g_hash_table_iter_next(&it, &type, &place)) {
        json_t *list = got(&r, GPOINTER_TO_SIZE(place));
        if (list)
            g_hash_table_insert(props, type, list);
    }
    Evidence ev = {.types = type_names, .schema = sch, .options = got(&r, options), .props = props};
    json_object_set_new(doc, "flags", make_flags(&ev));
    set_list(doc, "tpm-models", got(&r, tpm_models));
    set_list(doc, "tpm-types", got(&r, tpm_types));
    set_list(json_object_get(doc, "cpus"), "tcg", got(&r, cpus));
    return expand_models(s, got(&r, cpus), doc, NULL, err);
}

/* ---- the KVM step */

static int probe_kvm(CapsSession *s, json_t *doc, Err *err)
{
    g_auto(Round) r;
    round_init(&r);
    json_array_append_new(r.commands, json_pack("{s:s}", "execute", "qmp_capabilities"));
    size_t kvm = ask(&r, QMP(QUERY_KVM), NULL), cpus = ask(&r, QMP(QUERY_CPU_DEFINITIONS), NULL),
           host = ask(&r, QMP(QUERY_CPU_EXPANSION), expansion_args("host"));
    if (run_round(s, &r, err) < 0)
        return -1;
    if (!json_is_true(json_object_get(got(&r, kvm), "enabled")))
        return err_set(err, VIR_ERR_INTERNAL_ERROR, "QEMU runs, but without KVM");
    json_object_set_new(doc, "kvm", json_true());
    set_list(json_object_get(doc, "cpus"), "kvm", got(&r, cpus));
    json_t *def = distil(got(&r, host));
    if (def)
        json_object_set_new(json_object_get(doc, "max"), "kvm", def);
    return 0;
}

static json_t *document_new(void)
{
    return json_pack("{s:b,s:{s:[],s:[]},s:{},s:{}}", "kvm", 0, "cpus", "tcg", "kvm", "models", "max");
}

/* KVM runs guests of this host's architecture only. */
static bool could_have_kvm(json_t *doc)
{
    static const char *const also[][2] = {{"x86_64", "i386"}, {"i686", "i386"}, {"armv7l", "arm"}, {"ppc64le", "ppc64"}};
    const char *target = json_string_value(json_object_get(doc, "arch"));
    bool yes = g_strcmp0(target, node_arch()) == 0;
    for (unsigned i = 0; i < N_ELEMENTS(also); i++)
        yes = yes || (strcmp(also[i][0], node_arch()) == 0 && g_strcmp0(target, also[i][1]) == 0);
    return yes;
}

/* KVM was to be had: that this QEMU did without may have been the moment (a host that was busy), or an account that is given the right later. */
static void note_doubt(json_t *doc)
{
    if (!json_is_true(json_object_get(doc, "kvm")) && could_have_kvm(doc))
        json_object_set_new(doc, "doubtful", json_true());
}

/* A step of its own, with its own end: nothing KVM does or fails to do takes TCG away. */
static Deadline kvm_deadline(Deadline d)
{
    return deadline_min(d, deadline_in_ms(KVM_STEP_MS));
}

json_t *caps_probe(const char *binary, CapsAccount account, bool kvm, Deadline d, Err *err)
{
    json_t *doc = document_new();
    {
        g_autoptr(CapsSession) s = caps_session_start(binary, account, "tcg", d, err);
        if (!s || probe_tcg(s, doc, err) < 0) {
            json_decref(doc);
            return NULL;
        }
    }
    if (!kvm)
        return doc;
    g_auto(Err) kvm_err = ERR_INIT;
    g_autoptr(CapsSession) s = caps_session_start(binary, account, "kvm", kvm_deadline(d), &kvm_err);
    if (!s || probe_kvm(s, doc, &kvm_err) < 0)
        log_warning("%s does not run with KVM: %s", binary, kvm_err.detail);
    note_doubt(doc);
    return doc;
}

/* ---- sketches */

static bool kvm_enabled(const Round *r, size_t place)
{
    return json_is_true(json_object_get(got(r, place), "enabled"));
}

/* Without models one QEMU tells all: with whichever accelerator it got. */
static int sketch_plain(CapsSession *s, json_t *doc, bool kvm, Err *err)
{
    g_auto(Round) r;
    round_init(&r);
    Basics basics = ask_basics(&r);
    size_t with_kvm = ask(&r, QMP(QUERY_KVM), NULL);
    if (run_round(s, &r, err) < 0 || set_basics(doc, &r, &basics, err) < 0)
        return -1;
    json_object_set_new(doc, "kvm", json_boolean(kvm && kvm_enabled(&r, with_kvm)));
    return 0;
}

/* Models are those of TCG, whatever else there is, which the host's CPU can be described by: those of its vendor. */
static int sketch_models(CapsSession *s, json_t *doc, Err *err)
{
    g_auto(Round) r;
    round_init(&r);
    Basics basics = ask_basics(&r);
    size_t cpus = ask(&r, QMP(QUERY_CPU_DEFINITIONS), NULL);
    if (run_round(s, &r, err) < 0 || set_basics(doc, &r, &basics, err) < 0)
        return -1;
    g_autoptr(HostCpu) host = host_cpu_new();
    return expand_models(s, got(&r, cpus), doc, cpu_vendor_name(host->vendor), err);
}

/* Whether a binary runs with KVM, found out beside the models. */
typedef struct KvmQuestion {
    const char *binary;
    CapsAccount account;
    Deadline d;
    bool runs;
} KvmQuestion;

static gpointer ask_kvm(gpointer arg)
{
    KvmQuestion *q = arg;
    g_auto(Err) err = ERR_INIT;
    g_auto(Round) r;
    round_init(&r);
    json_array_append_new(r.commands, json_pack("{s:s}", "execute", "qmp_capabilities"));
    size_t kvm = ask(&r, QMP(QUERY_KVM), NULL);
    g_autoptr(CapsSession) s = caps_session_start(q->binary, q->account, "kvm", q->d, &err);
    if (s && run_round(s, &r, &err) == 0)
        q->runs = kvm_enabled(&r, kvm);
    else
        log_warning("%s does not run with KVM: %s", q->binary, err.detail);
    return NULL;
}

static int sketch_alone(const char *binary, CapsAccount account, bool kvm, Deadline d, json_t *doc, Err *err)
{
    g_autoptr(CapsSession) s = caps_session_start(binary, account, kvm ? "kvm:tcg" : "tcg", kvm ? kvm_deadline(d) : d, err);
    return s ? sketch_plain(s, doc, kvm, err) : -1;
}

static int sketch_with_models(const char *binary, CapsAccount account, bool kvm, Deadline d, json_t *doc, Err *err)
{
    KvmQuestion q = {.binary = binary, .account = account, .d = kvm_deadline(d)};
    g_autoptr(CapsSession) s = caps_session_start(binary, account, "tcg", d, err);
    if (!s)
        return -1;
    GThread *beside = kvm ? g_thread_try_new("kvm", ask_kvm, &q, NULL) : NULL;
    int r = sketch_models(s, doc, err);
    if (kvm && !beside)
        ask_kvm(&q);
    if (beside) {
        pool_blocking_begin();
        g_thread_join(beside);
        pool_blocking_end();
    }
    json_object_set_new(doc, "kvm", json_boolean(q.runs));
    return r;
}

json_t *caps_probe_sketch(const char *binary, CapsAccount account, bool kvm, bool models, Deadline d, Err *err)
{
    json_t *doc = document_new();
    g_auto(Err) kvm_err = ERR_INIT;
    int r = -1;
    if (models)
        r = sketch_with_models(binary, account, kvm, d, doc, err);
    else if (!kvm || sketch_alone(binary, account, true, d, doc, &kvm_err) < 0)
        r = sketch_alone(binary, account, false, d, doc, err);
    else
        r = 0;
    if (r == 0 && kvm)
        note_doubt(doc);
    if (r == 0)
        return doc;
    json_decref(doc);
    return NULL;
}
