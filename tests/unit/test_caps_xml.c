/* tests/unit/test_caps_xml.c - capabilities documents, validated by libvirt's own schemas
 */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <libxml/parser.h>
#include <libxml/relaxng.h>
#include <libxml/xpath.h>
#include <cmocka.h>

#include "util/file.h"
#include "qemu/caps_xml.h"
#include "qemu/cpu.h"
#include "qemu/cpu_guest.h"
#include "qemu/firmware.h"

#define QEMU "/usr/bin/qemu-system-x86_64"
#define SCHEMAS "/usr/share/libvirt/schemas/"

static QemuCapsCache *cache; /* in memory, one for all cases */

static int group_setup(void **state)
{
    QemuCapsConfig cfg = {.uid = (uid_t)-1, .gid = (gid_t)-1};
    cache = qemu_caps_cache_new(&cfg);
    return 0;
}

static int group_teardown(void **state)
{
    qemu_caps_cache_free(cache);
    xmlRelaxNGCleanupTypes();
    xmlCleanupParser();
    return 0;
}

static void keep_quiet(void *ctx, const char *msg, ...)
{
}

/* Value of an XPath expression; caller frees. */
static char *at(xmlDoc *doc, const char *expr)
{
    xmlXPathContext *ctx = xmlXPathNewContext(doc);
    xmlXPathObject *obj = xmlXPathEvalExpression((const xmlChar *)expr, ctx);
    assert_non_null(obj);
    xmlChar *s = xmlXPathCastToString(obj);
    char *copy = g_strdup((const char *)s);
    xmlFree(s);
    xmlXPathFreeObject(obj);
    xmlXPathFreeContext(ctx);
    return copy;
}

#define assert_at(doc, expr, expected) \
    do { \
        g_autofree char *got_ = at((doc), (expr)); \
        assert_string_equal(got_, (expected)); \
    } while (0)

static xmlDoc *parse_valid(const char *text, const char *schema)
{
    xmlDoc *doc = xmlReadMemory(text, (int)strlen(text), "caps", NULL, XML_PARSE_NONET);
    assert_non_null(doc);
    if (access(schema, R_OK) < 0)
        return doc;
    xmlSetGenericErrorFunc(NULL, keep_quiet);
    xmlRelaxNGParserCtxt *pc = xmlRelaxNGNewParserCtxt(schema);
    xmlRelaxNG *rng = xmlRelaxNGParse(pc);
    assert_non_null(rng);
    xmlSetGenericErrorFunc(NULL, NULL);
    xmlRelaxNGValidCtxt *vc = xmlRelaxNGNewValidCtxt(rng);
    assert_int_equal(xmlRelaxNGValidateDoc(vc, doc), 0);
    xmlRelaxNGFreeValidCtxt(vc);
    xmlRelaxNGFree(rng);
    xmlRelaxNGFreeParserCtxt(pc);
    return doc;
}

static void test_capabilities(void **state)
{
    if (access(QEMU, X_OK) < 0)
        skip();
    g_auto(Err) err = ERR_INIT;
    g_autoptr(NodeTopology) topology = node_topology(&err);
    assert_non_null(topology);
    CapsHost host = {.uuid = {1, 2, 3}, .topology = topology, .qemu_uid = 64055, .qemu_gid = 64055, .live_migration = true};
    g_autofree char *text = capabilities_xml(cache, &host, deadline_in_ms(60000), &err);
    assert_non_null(text);
    /* libxml2 reads the schema's pattern for feature names as one without the dot ("sse4.1"); libvirtd's document fails there too. */
    for (char *p = text; (p = strstr(p, "'sse4.")); p += 6)
        p[5] = '_';
    xmlDoc *doc = parse_valid(text, SCHEMAS "capability.rng");
    assert_at(doc, "string(/capabilities/host/uuid)", "01020300-0000-0000-0000-000000000000");
    assert_at(doc, "string(/capabilities/host/cpu/arch)", node_arch());
    assert_at(doc, "string(/capabilities/host/secmodel[2]/baselabel[@type='qemu'])", "+64055:+64055");
    assert_at(doc, "string(/capabilities/guest/arch[@name='x86_64']/emulator)", QEMU);
    assert_at(doc, "string(count(/capabilities/guest/arch[@name='x86_64']/domain[@type='qemu']))", "1");
    assert_at(doc, "string(/capabilities/guest/arch[@name='x86_64']/machine[.='pc']/@canonical)", "pc-i440fx-7.2");
    /* the default comes first */
    assert_at(doc, "string(/capabilities/guest/arch[@name='x86_64']/machine[1])", "pc-i440fx-7.2");
    assert_at(doc, "string(count(/capabilities/guest/arch/machine[.='none']))", "0");
    xmlFreeDoc(doc);
}

static void test_domcapabilities(void **state)
{
    if (access(QEMU, X_OK) < 0)
        skip();
    g_auto(Err) err = ERR_INIT;
    DomCapsRequest rq = {.virttype = "qemu", .machine = "q35"};
    g_autofree char *text = domcapabilities_xml(cache, &rq, deadline_in_ms(60000), &err);
    assert_non_null(text);
    xmlDoc *doc = parse_valid(text, SCHEMAS "domaincaps.rng");
    assert_at(doc, "string(/domainCapabilities/machine)", "pc-q35-7.2");
    assert_at(doc, "string(/domainCapabilities/vcpu/@max)", "288");
    assert_at(doc, "string(//mode[@name='host-passthrough']/@supported)", "no");
    assert_at(doc, "string(//mode[@name='host-model']/@supported)", "yes");
    assert_at(doc, "string(//mode[@name='custom']/model[.='qemu64']/@usable)", "yes");
    assert_at(doc, "string(//mode[@name='custom']/model[.='Skylake-Server']/@usable)", "no");
    assert_at(doc, "string(count(//mode[@name='custom']/model[.='max' or .='host' or .='qemu64-v1']))", "0");
    assert_at(doc, "string(count(//disk/enum[@name='bus']/value[.='ide']))", "0");
    assert_at(doc, "string(count(//graphics/enum/value[.='vnc']))", "1");
    /* definitions with these are refused */
    assert_at(doc, "string(/domainCapabilities/iothreads/@supported)", "no");
    assert_at(doc, "string(/domainCapabilities/memoryBacking/@supported)", "no");
    assert_at(doc, "string(count(//rng/enum[@name='backendModel']/value[.='egd']))", "0");
    xmlFreeDoc(doc);
    DomCapsRequest pc = {.virttype = "qemu"};
    g_autofree char *pc_text = domcapabilities_xml(cache, &pc, deadline_in_ms(60000), &err);
    doc = parse_valid(pc_text, SCHEMAS "domaincaps.rng");
    assert_at(doc, "string(count(//disk/enum[@name='bus']/value[.='ide']))", "1");
    xmlFreeDoc(doc);
}

static void test_domcapabilities_errors(void **state)
{
    if (access(QEMU, X_OK) < 0)
        skip();
    static const struct {
        DomCapsRequest rq;
        int code;
        const char *words;
    } cases[] = {
        {{.arch = "nonsense"}, VIR_ERR_INVALID_ARG, "unknown architecture: nonsense"},
        {{.arch = "sparc64"}, VIR_ERR_CONFIG_UNSUPPORTED, "unable to find any emulator to serve 'sparc64' architecture"},
        {{.machine = "nonsense"}, VIR_ERR_INVALID_ARG, "the machine 'nonsense' is not supported by emulator '" QEMU "'"},
        {{.virttype = "nonsense"}, VIR_ERR_INVALID_ARG, "unknown virttype: nonsense"},
        {{.emulator = "/nonexistent"}, VIR_ERR_SYSTEM_ERROR, "Cannot check QEMU binary /nonexistent"},
        {{.emulator = "relative"}, VIR_ERR_INVALID_ARG, "absolute"},
        {{.emulator = QEMU, .arch = "aarch64"}, VIR_ERR_INVALID_ARG, "doesn't match given architecture"},
    };
    for (unsigned i = 0; i < N_ELEMENTS(cases); i++) {
        if (cases[i].rq.arch && !cases[i].rq.emulator && qemu_caps_emulator_for_arch(cases[i].rq.arch))
            continue;
        g_auto(Err) err = ERR_INIT;
        assert_null(domcapabilities_xml(cache, &cases[i].rq, deadline_in_ms(60000), &err));
        assert_int_equal(err.code, cases[i].code);
        if (!strstr(err.detail, cases[i].words))
            fail_msg("'%s' instead of '%s'", err.detail, cases[i].words);
    }
}

static void test_model_names(void **state)
{
    g_auto(Err) err = ERR_INIT;
    assert_null(cpu_model_names(cache, "nonsense", deadline_in_ms(60000), &err));
    assert_string_equal(err.detail, "cannot find architecture nonsense");
    if (access(QEMU, X_OK) < 0)
        skip();
    g_auto(GStrv) names = cpu_model_names(cache, "x86_64", deadline_in_ms(60000), NULL);
    assert_true(g_strv_contains((const char *const *)names, "EPYC"));
    assert_false(g_strv_contains((const char *const *)names, "EPYC-v1"));
    assert_false(g_strv_contains((const char *const *)names, "max"));
    assert_int_equal(qemu_max_vcpus_of_type(NULL, NULL), 16);
    assert_int_equal(qemu_max_vcpus_of_type("nonsense", NULL), -1);
}

static bool in(const GPtrArray *names, const char *name)
{
    for (unsigned i = 0; i < names->len; i++) {
        if (strcmp(names->pdata[i], name) == 0)
            return true;
    }
    return false;
}

/* A made-up processor: Westmere with a bit more and no other. */
static void test_cpu_choice(void **state)
{
    if (access(QEMU, X_OK) < 0)
        skip();
    static const char cpuinfo[] =
        "processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 44\nmodel name\t: X\nstepping\t: 2\nmicrocode\t: 0x13\n"
        "flags\t\t: fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 clflush mmx fxsr sse sse2 syscall nx lm pni "
        "pclmulqdq ssse3 cx16 sse4_1 sse4_2 popcnt aes lahf_lm tsc_deadline_timer rdtscp arat\n"
        "address sizes\t: 40 bits physical, 48 bits virtual\n\nprocessor\t: 1\nvendor_id\t: Nonsense\n";
    g_autoptr(HostCpu) host = host_cpu_parse(cpuinfo);
    assert_string_equal(host->vendor, "GenuineIntel");
    assert_int_equal(host->model, 44);
    assert_int_equal(host->microcode, 0x13);
    assert_int_equal(host->phys_bits, 40);
    g_autoptr(QemuCaps) caps = qemu_caps_get(cache, QEMU, deadline_in_ms(60000), NULL);
    g_auto(CpuChoice) ch = {0};
    assert_int_equal(qemu_caps_host_cpu(caps, host, &ch), 0);
    assert_string_equal(ch.model, "Westmere");
    assert_string_equal(ch.vendor, "Intel");
    assert_true(in(ch.require, "tsc-deadline"));
    assert_true(in(ch.require, "rdtscp"));
    assert_false(in(ch.require, "sse4.2"));
    assert_int_equal(ch.disable->len, 0);
    /* nothing known: no model fits, and that is no crash */
    g_autoptr(HostCpu) empty = host_cpu_parse("");
    g_auto(CpuChoice) none = {0};
    assert_int_equal(qemu_caps_host_cpu(caps, empty, &none), -1);
}

/* The kernel says "ibrs", "stibp" and "ssbd" of the processors of all vendors, QEMU and clients do not. */
static void test_cpu_hidden_by_kernel(void **state)
{
    if (access(QEMU, X_OK) < 0)
        skip();
    static const char flags[] = "fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 clflush mmx fxsr sse sse2 syscall nx lm pni "
                                "pclmulqdq ssse3 cx16 sse4_1 sse4_2 popcnt aes lahf_lm svm ibrs ibpb stibp ssbd";
    static const struct {
        const char *vendor, *model; /* NULL: any */
        HostCpuid id;
        const char *require[6], *not[6];
    } cases[] = {
        {"GenuineIntel", "Westmere-IBRS", {.r7_edx = 1u << 26 | 1u << 27 | 1u << 31}, {"stibp", "ssbd"}, {"ibpb", "ibrs", "amd-stibp", "amd-ssbd"}},
        {"AuthenticAMD", NULL, {.r8_ebx = 1u << 12 | 1u << 14 | 1u << 15 | 1u << 24, .ra_edx = 1u << 28},
         {"ibpb", "ibrs", "amd-stibp", "amd-ssbd", "svme-addr-chk"}, {"spec-ctrl", "stibp", "ssbd"}},
    };
    g_autoptr(QemuCaps) caps = qemu_caps_get(cache, QEMU, deadline_in_ms(60000), NULL);
    for (unsigned i = 0; i < N_ELEMENTS(cases); i++) {
        g_autofree char *cpuinfo = g_strdup_printf("vendor_id\t: %s\nflags\t\t: %s\n", cases[i].vendor, flags);
        g_autoptr(HostCpu) host = host_cpu_parse(cpuinfo);
        g_auto(CpuChoice) ch = {0};
        host_cpu_add_hidden(host, &cases[i].id);
        assert_int_equal(qemu_caps_host_cpu(caps, host, &ch), 0);
        if (cases[i].model)
            assert_string_equal(ch.model, cases[i].model);
        for (unsigned k = 0; cases[i].require[k]; k++)
            assert_true(in(ch.require, cases[i].require[k]));
        for (unsigned k = 0; cases[i].not[k]; k++)
            assert_false(in(ch.require, cases[i].not[k]));
    }
    /* what the kernel switched off is not the guests' either */
    g_autoptr(HostCpu) off = host_cpu_parse("vendor_id\t: GenuineIntel\nflags\t\t: fpu\n");
    host_cpu_add_hidden(off, &cases[0].id);
    assert_int_equal(g_hash_table_size(off->flags), 1);
}

/* A sketch of the same binary describes the host's CPU as the whole does, and leaves out no model of its vendor. */
static void test_sketch(void **state)
{
    if (access(QEMU, X_OK) < 0)
        skip();
    g_autoptr(QemuCaps) whole = qemu_caps_get(cache, QEMU, deadline_in_ms(60000), NULL);
    unsigned n;
    const QemuCpuModel *models = qemu_caps_cpu_models(whole, QEMU_ACCEL_TCG, &n);
    for (unsigned i = 0; i < n; i++) {
        const char *likely = cpu_model_likely_vendor(models[i].name);
        if (likely && qemu_cpu_model_is_plain(&models[i]))
            assert_string_equal(qemu_caps_cpu_vendor(whole, models[i].name), likely);
    }
    g_autoptr(QemuCaps) known = qemu_caps_sketch(cache, QEMU, deadline_in_ms(60000), NULL);
    assert_ptr_equal(known, whole);

    QemuCapsConfig cfg = {.uid = (uid_t)-1, .gid = (gid_t)-1};
    QemuCapsCache *fresh = qemu_caps_cache_new(&cfg);
    g_autoptr(QemuCaps) sketch = qemu_caps_sketch(fresh, QEMU, deadline_in_ms(60000), NULL);
    assert_non_null(sketch);
    assert_null(qemu_caps_peek(fresh, QEMU));
    assert_int_equal(qemu_caps_version(sketch), qemu_caps_version(whole));
    assert_string_equal(qemu_caps_arch(sketch), qemu_caps_arch(whole));
    assert_int_equal(qemu_caps_accel_usable(sketch, QEMU_ACCEL_KVM), qemu_caps_accel_usable(whole, QEMU_ACCEL_KVM));
    assert_string_equal(qemu_caps_default_machine(sketch), qemu_caps_default_machine(whole));
    g_autoptr(HostCpu) host = host_cpu_new();
    g_auto(CpuChoice) a = {0}, b = {0};
    assert_int_equal(qemu_caps_host_cpu(sketch, host, &a), qemu_caps_host_cpu(whole, host, &b));
    assert_string_equal(a.model, b.model);
    assert_int_equal(a.require->len, b.require->len);
    qemu_caps_cache_free(fresh);
}

/* ---- <cpu> of guests */

static CpuDef cpu_def(CpuMode mode, const char *model, CpuCheck check)
{
    return (CpuDef){.given = true, .mode = mode, .match = CPU_MATCH_EXACT, .model = g_strdup(model), .check = check};
}

static void cpu_def_feature(CpuDef *cpu, const char *name, CpuFeaturePolicy policy)
{
    if (!cpu->features)
        cpu->features = g_ptr_array_new();
    CpuFeature *f = g_new0(CpuFeature, 1);
    f->name = g_strdup(name);
    f->policy = policy;
    g_ptr_array_add(cpu->features, f);
}

/* Policy of a feature, CPU_FEATURE_ABSENT when it is not listed. */
static CpuFeaturePolicy policy_of(const CpuDef *cpu, const char *name)
{
    CpuFeaturePolicy found = CPU_FEATURE_ABSENT;
    for (unsigned i = 0; cpu->features && i < cpu->features->len; i++) {
        const CpuFeature *f = cpu->features->pdata[i];
        if (strcmp(f->name, name) != 0)
            continue;
        assert_int_equal(found, CPU_FEATURE_ABSENT); /* listed once */
        found = f->policy;
    }
    return found;
}

static void cpu_def_done(CpuDef *cpu)
{
    for (unsigned i = 0; cpu->features && i < cpu->features->len; i++) {
        CpuFeature *f = cpu->features->pdata[i];
        g_free(f->name);
        g_free(f);
    }
    if (cpu->features)
        g_ptr_array_unref(cpu->features);
    g_free(cpu->model);
    g_free(cpu->vendor);
}

static void test_cpu_of_guest(void **state)
{
    if (access(QEMU, X_OK) < 0)
        skip();
    g_auto(Err) err = ERR_INIT;
    g_autoptr(QemuCaps) caps = qemu_caps_get(cache, QEMU, deadline_in_ms(60000), NULL);

    CpuDef cpu = cpu_def(CPU_MODE_HOST_MODEL, NULL, CPU_CHECK_ABSENT);
    cpu_def_feature(&cpu, "ss", CPU_FEATURE_DISABLE);
    cpu_def_feature(&cpu, "vmx", CPU_FEATURE_OPTIONAL);
    assert_int_equal(qemu_cpu_resolve(caps, QEMU_ACCEL_TCG, &cpu, &err), 0);
    assert_int_equal(cpu.mode, CPU_MODE_CUSTOM);
    assert_int_equal(cpu.fallback, CPU_FALLBACK_FORBID);
    assert_non_null(cpu.model);
    assert_int_equal(policy_of(&cpu, "ss"), CPU_FEATURE_DISABLE);
    assert_int_equal(policy_of(&cpu, "vmx"), CPU_FEATURE_DISABLE);
    assert_int_equal(policy_of(&cpu, "la57"), CPU_FEATURE_REQUIRE);
    unsigned n = cpu.features->len;
    assert_false(qemu_cpu_make_live(caps, QEMU_ACCEL_TCG, &cpu));
    assert_int_equal(cpu.check, CPU_CHECK_FULL);
    assert_int_equal(cpu.features->len, n); /* it was definite already */
    cpu_def_done(&cpu);

    cpu = cpu_def(CPU_MODE_CUSTOM, "EPYC", CPU_CHECK_ABSENT);
    assert_int_equal(qemu_cpu_resolve(caps, QEMU_ACCEL_TCG, &cpu, &err), 0);
    assert_string_equal(cpu.model, "EPYC");
    assert_int_equal(cpu.fallback, CPU_FALLBACK_FORBID);
    assert_int_equal(cpu.features->len, 1);
    assert_int_equal(policy_of(&cpu, "monitor"), CPU_FEATURE_DISABLE); /* QEMU's model has it, a guest of that name never had */
    assert_true(qemu_cpu_make_live(caps, QEMU_ACCEL_TCG, &cpu));
    assert_int_equal(policy_of(&cpu, "npt"), CPU_FEATURE_REQUIRE);
    assert_int_equal(policy_of(&cpu, "vme"), CPU_FEATURE_DISABLE);
    assert_int_equal(policy_of(&cpu, "hypervisor"), CPU_FEATURE_REQUIRE);
    assert_int_equal(policy_of(&cpu, "sha-ni"), CPU_FEATURE_DISABLE);
    assert_int_equal(policy_of(&cpu, "avx2"), CPU_FEATURE_ABSENT);
    cpu_def_done(&cpu);

    cpu = cpu_def(CPU_MODE_CUSTOM, "qemu64", CPU_CHECK_FULL);
    cpu_def_feature(&cpu, "avx512f", CPU_FEATURE_REQUIRE);
    assert_int_equal(qemu_cpu_resolve(caps, QEMU_ACCEL_TCG, &cpu, &err), -1);
    assert_string_equal(err.detail, "guest CPU doesn't match specification: missing features: avx512f");
    err_clear(&err);
    cpu_def_done(&cpu);

    cpu = cpu_def(CPU_MODE_CUSTOM, "qemu64", CPU_CHECK_NONE);
    cpu_def_feature(&cpu, "3dnow", CPU_FEATURE_FORCE);
    assert_int_equal(qemu_cpu_resolve(caps, QEMU_ACCEL_TCG, &cpu, &err), 0);
    assert_true(qemu_cpu_make_live(caps, QEMU_ACCEL_TCG, &cpu));
    assert_int_equal(policy_of(&cpu, "3dnow"), CPU_FEATURE_FORCE);
    assert_int_equal(policy_of(&cpu, "lahf_lm"), CPU_FEATURE_REQUIRE); /* QEMU's qemu64 has it, the name does not promise it */
    cpu_def_done(&cpu);

    cpu = cpu_def(CPU_MODE_CUSTOM, "EPYC", CPU_CHECK_PARTIAL);
    assert_int_equal(qemu_cpu_resolve(caps, QEMU_ACCEL_TCG, &cpu, &err), -1);
    assert_int_equal(err.code, VIR_ERR_CPU_INCOMPATIBLE);
    err_clear(&err);
    cpu_def_done(&cpu);

    /* "at least this": not met by whatever there is */
    for (unsigned less = 0; less < 2; less++) {
        cpu = cpu_def(CPU_MODE_CUSTOM, less ? "Westmere" : "Skylake-Server", CPU_CHECK_PARTIAL);
        cpu.match = CPU_MATCH_MINIMUM;
        cpu_def_feature(&cpu, "avx512f", CPU_FEATURE_OPTIONAL);
        assert_int_equal(qemu_cpu_resolve(caps, QEMU_ACCEL_TCG, &cpu, &err), less ? 0 : -1);
        if (!less)
            assert_int_equal(err.code, VIR_ERR_CPU_INCOMPATIBLE);
        err_clear(&err);
        cpu_def_done(&cpu);
    }

    cpu = cpu_def(CPU_MODE_CUSTOM, "nonsense", CPU_CHECK_ABSENT);
    assert_int_equal(qemu_cpu_resolve(caps, QEMU_ACCEL_TCG, &cpu, &err), -1);
    assert_int_equal(err.code, VIR_ERR_CONFIG_UNSUPPORTED);
    cpu_def_done(&cpu);

    cpu = cpu_def(CPU_MODE_MAXIMUM, NULL, CPU_CHECK_ABSENT);
    err_clear(&err);
    assert_int_equal(qemu_cpu_resolve(caps, QEMU_ACCEL_TCG, &cpu, &err), 0);
    qemu_cpu_make_live(caps, QEMU_ACCEL_TCG, &cpu);
    assert_int_equal(cpu.mode, CPU_MODE_MAXIMUM);
    assert_null(cpu.features);
    cpu_def_done(&cpu);
}

static void test_feature_names(void **state)
{
    assert_string_equal(cpu_feature_to_qemu("pclmuldq"), "pclmulqdq");
    assert_string_equal(cpu_feature_to_qemu("lahf_lm"), "lahf-lm");
    assert_string_equal(cpu_feature_to_qemu("sse4.1"), "sse4.1");
    /* what clients ask for is looked up, never kept: a copy gives the table's string, an invented name nothing */
    g_autofree char *asked = g_strdup("avx512f");
    assert_ptr_equal(cpu_feature_find(asked), cpu_feature_find("avx512f"));
    assert_ptr_not_equal(cpu_feature_find(asked), asked);
    for (unsigned i = 0; i < 1000; i++) {
        g_autofree char *invented = g_strdup_printf("nonsense-%u_x", i);
        assert_null(cpu_feature_find(invented));
        assert_null(cpu_feature_to_qemu(invented));
        assert_int_equal(g_quark_try_string(invented), 0);
    }
}

/* ---- firmware descriptors in a directory of our own */

static void put(const char *dir, const char *name, const char *text)
{
    g_autofree char *path = g_build_filename(dir, name, NULL);
    assert_int_equal(file_replace(path, text, strlen(text), 0644, 0), 0);
}

static void test_firmware(void **state)
{
    g_autofree char *top = g_dir_make_tmp("fw-XXXXXX", NULL);
    g_autofree char *sys = g_build_filename(top, "sys", NULL), *etc = g_build_filename(top, "etc", NULL);
    assert_int_equal(mkdir(sys, 0755) | mkdir(etc, 0755), 0);
#define FW(iface, arch, machine, code) \
    "{\"interface-types\":[\"" iface "\"],\"mapping\":{\"device\":\"flash\",\"executable\":{\"filename\":\"" code "\",\"format\":\"raw\"}," \
    "\"nvram-template\":{\"filename\":\"/v\",\"format\":\"raw\"}},\"targets\":[{\"architecture\":\"" arch "\",\"machines\":[\"" machine \
    "\"]}],\"features\":[\"secure-boot\",\"requires-smm\"]}"
    put(sys, "50-a.json", FW("uefi", "x86_64", "pc-q35-*", "/dev/null"));
    put(sys, "40-b.json", FW("uefi", "x86_64", "pc-i440fx-*", "/dev/null"));
    put(sys, "60-gone.json", FW("uefi", "x86_64", "pc-q35-*", "/nonexistent"));
    put(sys, "70-hidden.json", FW("uefi", "x86_64", "pc-q35-*", "/dev/null"));
    put(etc, "70-hidden.json", "");
    put(sys, "80-arm.json", FW("uefi", "aarch64", "virt-*", "/dev/null"));
    put(sys, "90-bad.json", "{\"interface-types\": 7}");
    put(sys, "91-worse.json", "[[[[");
    const char *const dirs[] = {sys, etc, NULL};
    g_autoptr(GPtrArray) q35 = firmware_list_in(dirs, "x86_64", "pc-q35-7.2");
    assert_int_equal(q35->len, 1);
    const Firmware *f = q35->pdata[0];
    assert_true(f->uefi && f->pflash && f->secure_boot && f->requires_smm && !f->bios);
    assert_string_equal(f->code, "/dev/null");
    assert_string_equal(f->nvram, "/v");
    g_autoptr(GPtrArray) all = firmware_list_in(dirs, "x86_64", NULL);
    assert_int_equal(all->len, 2);
    g_autoptr(GPtrArray) none = firmware_list_in(dirs, "i686", NULL);
    assert_int_equal(none->len, 0);
    const char *const names[] = {"sys/50-a.json", "sys/40-b.json", "sys/60-gone.json", "sys/70-hidden.json", "etc/70-hidden.json",
                                 "sys/80-arm.json", "sys/90-bad.json", "sys/91-worse.json", "sys", "etc", ""};
    for (unsigned i = 0; i < N_ELEMENTS(names); i++) {
        g_autofree char *path = g_build_filename(top, names[i], NULL);
        assert_int_equal(remove(path), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sketch), cmocka_unit_test(test_capabilities), cmocka_unit_test(test_domcapabilities), cmocka_unit_test(test_domcapabilities_errors),
        cmocka_unit_test(test_model_names), cmocka_unit_test(test_cpu_choice), cmocka_unit_test(test_cpu_hidden_by_kernel), cmocka_unit_test(test_feature_names),
        cmocka_unit_test(test_firmware), cmocka_unit_test(test_cpu_of_guest),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
