/* tests/fuzz/fuzz_qmp.c - fuzz target: what QEMU, or a cache file, may say
 *
 * Owns:    the input format: size of the pieces, then bytes as they come from a monitor socket
 * Threads: one
 * Locks:   none
 * Errors:  aborts when pieces and the whole give different messages; schema and capabilities must survive any of them
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "qmp/codec.h"
#include "qmp/schema.h"
#include "qemu/caps_private.h"
#include "qemu/cpu.h"

typedef struct Run {
    unsigned messages;
    guint sum;
} Run;

static bool count(void *userdata, json_t *msg)
{
    Run *run = userdata;
    char *text = json_dumps(msg, JSON_COMPACT | JSON_ENCODE_ANY);
    run->messages++;
    if (text)
        run->sum = run->sum * 33 + g_str_hash(text);
    free(text);
    return true;
}

static bool use(void *userdata, json_t *msg)
{
    count(userdata, msg);
    g_autoptr(QmpSchema) schema = qmp_schema_new(msg, NULL);
    if (schema) {
        qmp_schema_has(schema, "a/b=c");
        qmp_schema_has(schema, "a/+b=c/d");
        qmp_schema_has(schema, "a->/b");
        json_t *args = json_pack("{s:s,s:[i]}", "b", "c", "d", 1);
        qmp_schema_check(schema, "a", args, NULL);
        json_decref(args);
    }
    g_autoptr(QemuCaps) caps = caps_from_document("/x", msg, NULL);
    if (caps) {
        g_auto(CpuChoice) ch = {0};
        qemu_caps_host_model(caps, QEMU_ACCEL_TCG, &ch);
        qemu_caps_default_machine(caps);
        qemu_caps_machine_canonical(caps, "q35");
    }
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    size_t piece = data[0] ? data[0] : 1;
    const char *text = (const char *)data + 1;
    size--;
    QmpCodec whole, pieces;
    Run a = {0}, b = {0};
    qmp_codec_init(&whole, 1u << 16, 16);
    int ra = qmp_codec_feed(&whole, text, size, use, &a, NULL), rb = 0;
    qmp_codec_done(&whole);
    qmp_codec_init(&pieces, 1u << 16, 16);
    for (size_t at = 0; at < size && rb == 0; at += piece)
        rb = qmp_codec_feed(&pieces, text + at, MIN(piece, size - at), count, &b, NULL);
    qmp_codec_done(&pieces);
    g_assert_cmpint(ra, ==, rb);
    g_assert_cmpuint(a.messages, ==, b.messages);
    g_assert_cmpuint(a.sum, ==, b.sum);
    return 0;
}

const char *const fuzz_dirs[] = {"tests/fuzz/corpus/qmp", NULL};

uint8_t *fuzz_seed(unsigned i, size_t *ret_size)
{
    static const char *const seeds[] = {
        "\x03{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 1, \"minor\": 2, \"major\": 7}, \"package\": \"\"}}}\r\n"
        "{\"return\": {}, \"id\": \"b-0\"}\r\n{\"event\": \"STOP\", \"timestamp\": {\"seconds\": 1, \"microseconds\": 2}}\n",
        "\x07[{\"name\": \"a\", \"meta-type\": \"command\", \"arg-type\": \"t\", \"ret-type\": \"t\"}, {\"name\": \"t\", \"meta-type\": \"object\", "
        "\"members\": [{\"name\": \"b\", \"type\": \"e\"}], \"tag\": \"b\", \"variants\": [{\"case\": \"c\", \"type\": \"t\"}]}, "
        "{\"name\": \"e\", \"meta-type\": \"enum\", \"values\": [\"c\"]}]\n",
        "\x05{\"version\": 7002000, \"arch\": \"x86_64\", \"machines\": [{\"name\": \"pc-q35-7.2\", \"alias\": \"q35\", \"cpu-max\": 288, "
        "\"default-cpu-type\": \"qemu64-x86_64-cpu\"}], \"flags\": [\"SANDBOX\"], \"cpus\": {\"tcg\": [{\"name\": \"EPYC\", "
        "\"unavailable-features\": [\"avx\"]}]}, \"models\": {\"EPYC\": {\"vendor\": \"AuthenticAMD\", \"features\": [\"avx\"]}}, "
        "\"max\": {\"tcg\": {\"features\": [\"avx\", 1]}}}\n",
        "\x01{\"a\": [18446744073709551615, -1.5e3, \"\\u00e4\\\\\\\"]\"]}\n[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]\n",
    };
    return i < N_ELEMENTS(seeds) ? fuzz_text_seed(seeds[i], ret_size) : NULL;
}
