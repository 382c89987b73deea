/* tests/fuzz/fuzz_domain_xml.c - fuzz target: domain and device documents, through a define and as far as the command line of a start
 *
 * Owns:    nothing; the input is the document
 * Threads: one
 * Locks:   none
 * Errors:  aborts when what was accepted does not come back the same through text or a copy, or a refusal has no words
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "fuzz_caps.h"
#include "qemu/argv.h"
#include "qemu/caps_private.h"
#include "qemu/cpu_guest.h"
#include "unit/model_env.h"

static void check_device(const char *xml)
{
    g_auto(Err) err = ERR_INIT;
    DeviceKind kind = DEVICE_ABSENT;
    void *dev = device_def_parse(xml, PARSE_INACTIVE, &kind, &err);
    fuzz_check(dev || err.detail, "a device refused without words");
    if (!dev)
        return;
    g_autofree char *text = device_def_format(kind, dev, FORMAT_SECURE);
    fuzz_check(text && *text, "a device without text");
    void *copy = device_def_copy(kind, dev);
    device_def_free(kind, dev);
    device_def_free(kind, copy);
}

static void check_status(const char *xml)
{
    g_autoptr(DomainDef) d = domain_def_parse(xml, PARSE_STATUS, NULL, NULL);
    if (!d)
        return;
    g_autofree char *once = domain_def_format(d, FORMAT_STATUS);
    g_autoptr(DomainDef) copy = domain_def_copy(d);
    g_autofree char *same = domain_def_format(copy, FORMAT_STATUS);
    fuzz_check(strcmp(once, same) == 0, "a copy differs");
}

/* A binary that knows the models and machines of the seeds. */
static const char binary[] =
    "{\"version\": 7002000, \"arch\": \"x86_64\", \"machines\": [{\"name\": \"pc-q35-7.2\", \"alias\": \"q35\", \"cpu-max\": 288, "
    "\"default-cpu-type\": \"qemu64-x86_64-cpu\"}, {\"name\": \"pc-i440fx-7.2\", \"alias\": \"pc\", \"cpu-max\": 255, "
    "\"default-cpu-type\": \"qemu64-x86_64-cpu\"}], \"flags\": [], \"cpus\": {\"tcg\": [{\"name\": \"EPYC\"}, {\"name\": \"qemu64\"}]}, "
    "\"models\": {\"EPYC\": {\"vendor\": \"AuthenticAMD\", \"family\": 23, \"model\": 1, \"stepping\": 2, "
    "\"features\": [\"avx\", \"sse4.1\", \"svm\", \"lm\"]}, "
    "\"qemu64\": {\"vendor\": \"AuthenticAMD\", \"family\": 15, \"model\": 107, \"stepping\": 1, \"features\": [\"lm\", \"svm\"]}}, "
    "\"max\": {\"tcg\": {\"features\": [\"avx\", \"sse4.1\", \"lm\", \"svm\", \"vmx\"]}}}";

static QemuCaps *caps(void)
{
    static QemuCaps *made;
    return fuzz_caps(&made, binary);
}

/* A start, up to the command line; `d` is live after it. */
static void check_start(DomainDef *d)
{
    g_auto(Err) cpu_err = ERR_INIT;
    if (qemu_cpu_resolve(caps(), QEMU_ACCEL_TCG, &d->cpu, &cpu_err) < 0) {
        fuzz_check(cpu_err.detail != NULL, "a CPU refused without words");
        return;
    }
    domain_def_assign_aliases(d);
    unsigned next = 0;
    qemu_assign_nodes(d, &next);
    for (unsigned native = 0; native <= 1; native++) {
        g_auto(Err) err = ERR_INIT;
        ArgvEnv env = {.caps = caps(), .private_dir = "/p", .channel_dir = "/c", .now = 1800000000, .vhost_net = true, .flags = native ? ARGV_NATIVE : 0};
        g_autoptr(Argv) argv = qemu_argv_build(d, &env, &err);
        fuzz_check(argv || err.detail, "a start refused without words");
        g_autofree char *line = argv ? qemu_argv_to_string(argv, true) : NULL;
        fuzz_check(!argv || *line, "a start without a command line");
    }
    qemu_cpu_make_live(caps(), QEMU_ACCEL_TCG, &d->cpu);
    g_autofree char *status = domain_def_format(d, FORMAT_STATUS);
    g_auto(Err) err = ERR_INIT;
    g_autoptr(DomainDef) again = domain_def_parse(status, PARSE_STATUS | PARSE_OWN, NULL, &err);
    if (!again)
        fprintf(stderr, "%s\n%s\n", err.detail, status);
    fuzz_check(again != NULL, "our own status is refused");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size || size > 1u << 20 || memchr(data, 0, size))
        return 0;
    g_autofree char *xml = g_strndup((const char *)data, size);
    g_auto(Err) err = ERR_INIT;
    check_device(xml);
    check_status(xml);
    g_autoptr(DomainDef) d = model_define(xml, 0, &err);
    fuzz_check(d || err.detail, "a domain refused without words");
    if (!d)
        return 0;
    /* What was defined once is defined again from its own text, and stays. */
    g_autofree char *text = domain_def_format(d, FORMAT_INACTIVE | FORMAT_SECURE);
    g_auto(Err) again_err = ERR_INIT;
    g_autoptr(DomainDef) again = model_define(text, 0, &again_err);
    if (!again)
        fprintf(stderr, "%s\n%s\n", again_err.detail, text);
    fuzz_check(again != NULL, "our own text is refused");
    g_autofree char *second = domain_def_format(again, FORMAT_INACTIVE | FORMAT_SECURE);
    g_autoptr(DomainDef) third = model_define(second, 0, NULL);
    g_autofree char *fixed = domain_def_format(third, FORMAT_INACTIVE | FORMAT_SECURE);
    fuzz_check(strcmp(second, fixed) == 0, "a definition moves when read again");
    check_start(d);
    return 0;
}

const char *const fuzz_documents[] = {"tests/fuzz/corpus/domain_xml/seldom-met.xml", NULL};

const char *const fuzz_dirs[] = {"tests/fuzz/corpus/domain_xml", "tests/golden/xml", "tests/golden/argv", NULL};

uint8_t *fuzz_seed(unsigned i, size_t *ret_size)
{
    static const char *const seeds[] = {
        "<domain type='qemu'><name>a</name><memory>65536</memory><os><type machine='q35'>hvm</type></os><devices>"
        "<disk device='cdrom'><target dev='sda' bus='sata'/></disk><interface type='user'><model type='virtio'/></interface>"
        "<serial type='pty'/><graphics type='vnc'/><channel type='unix'><target type='virtio' name='x'/></channel>"
        "<controller type='pci' model='pcie-root-port'/></devices></domain>",
        "<disk type='file'><source file='/a'/><target dev='vda'/><address type='pci' slot='3'/></disk>",
        "<interface type='bridge'><source bridge='b'/><mac address='52:54:00:00:00:01'/></interface>",
    };
    return i < N_ELEMENTS(seeds) ? fuzz_text_seed(seeds[i], ret_size) : NULL;
}
