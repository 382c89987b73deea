/* tests/fuzz/fuzz_cpu_xml.c - fuzz target: CPU documents clients ask to compare and to reduce
 *
 * Owns:    the input format: a byte of flags, then documents with a NUL between them
 * Threads: one
 * Locks:   none
 * Errors:  aborts when a refusal has no words, or a baseline is not a CPU that can be compared
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "api_enums.h"
#include "fuzz.h"
#include "fuzz_caps.h"
#include "qemu/caps_private.h"
#include "qemu/cpu_compute.h"

#define DOCS_MAX 8
#define FLAG_HOSTS 1
#define FLAG_LIMIT 2
#define FLAG_API 2 /* bits to the left of which are the flags of the API */

/* A binary with two models of two vendors, and an accelerator that has most of them. */
static const char binary[] =
    "{\"version\": 7002000, \"arch\": \"x86_64\", \"machines\": [{\"name\": \"pc-q35-7.2\", \"alias\": \"q35\", \"cpu-max\": 288, "
    "\"default-cpu-type\": \"qemu64-x86_64-cpu\"}], \"flags\": [], "
    "\"cpus\": {\"tcg\": [{\"name\": \"EPYC\", \"unavailable-features\": [\"avx2\"]}, {\"name\": \"Nehalem\"}]}, "
    "\"models\": {\"EPYC\": {\"vendor\": \"AuthenticAMD\", \"family\": 23, \"model\": 1, \"stepping\": 2, "
    "\"features\": [\"avx\", \"avx2\", \"sse4.1\", \"svm\", \"lm\"]}, "
    "\"Nehalem\": {\"vendor\": \"GenuineIntel\", \"family\": 6, \"model\": 26, \"stepping\": 3, \"features\": [\"sse4.1\", \"lm\", \"vmx\"]}}, "
    "\"max\": {\"tcg\": {\"features\": [\"avx\", \"sse4.1\", \"lm\", \"svm\", \"vmx\", \"sse4.2\"]}}}";

static QemuCaps *caps(void)
{
    static QemuCaps *made;
    return fuzz_caps(&made, binary);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    g_autofree char *text = g_strndup("", size);
    memcpy(text, data, size);
    const char *docs[DOCS_MAX];
    unsigned n = 0, flags = (unsigned char)text[0] >> FLAG_API;
    for (const char *at = text + 1; at < text + size && n < DOCS_MAX; at += strlen(at) + 1)
        docs[n++] = at;
    g_auto(CpuReference) guest = {0};
    fuzz_check(cpu_reference_guest(caps(), QEMU_ACCEL_TCG, &guest, NULL) == 0, "the accelerator");
    for (unsigned i = 0; i < n; i++) {
        g_auto(Err) err = ERR_INIT;
        int verdict = 0;
        fuzz_check(cpu_compare_xml(caps(), &guest, docs[i], flags & 3, &verdict, &err) == 0 || err.detail, "refused without words");
    }
    g_auto(Err) err = ERR_INIT;
    bool hosts = text[0] & FLAG_HOSTS;
    g_autofree char *base = cpu_baseline_xml(caps(), text[0] & FLAG_LIMIT ? &guest : NULL, hosts, docs, n, flags & 3, &err);
    fuzz_check(base || err.detail, "a baseline refused without words");
    int verdict = 0;
    g_auto(Err) compare_err = ERR_INIT;
    if (base && cpu_compare_xml(caps(), &guest, base, 0, &verdict, &compare_err) < 0) {
        fprintf(stderr, "%s\n%s\n", compare_err.detail, base);
        fuzz_check(false, "a baseline that cannot be compared");
    }
    return 0;
}

const char *const fuzz_dirs[] = {"tests/fuzz/corpus/cpu_xml", NULL};

uint8_t *fuzz_seed(unsigned i, size_t *ret_size)
{
    static const char *const seeds[] = {
        "\x04<cpu mode='custom' match='exact'><model>EPYC</model><vendor>AMD</vendor><feature policy='require' name='avx'/>"
        "<feature policy='disable' name='svm'/></cpu>%<cpu><arch>x86_64</arch><model>Nehalem</model><feature name='vmx'/></cpu>",
        "\x03<cpu mode='host-model'/>%<cpu mode='maximum'/>%<cpu match='strict'><model>EPYC</model><feature policy='forbid' name='avx'/></cpu>",
    };
    if (i >= N_ELEMENTS(seeds))
        return NULL;
    uint8_t *seed = fuzz_text_seed(seeds[i], ret_size);
    for (size_t k = 0; k < *ret_size; k++)
        seed[k] = seed[k] == '%' ? 0 : seed[k];
    return seed;
}
