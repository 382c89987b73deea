/* tests/fuzz/fuzz_definition.c - fuzz target: a stored definition, and what clients may do to it
 *
 * Owns:    the input format: the file, then calls, each behind a NUL: a letter for the call and its text
 * Threads: one
 * Locks:   none
 * Errors:  aborts when what was accepted does not come back the same from its own text, a copy differs, a refusal has no words, or a
 *          call leaves a definition that cannot be stored
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "api_enums.h"
#include "errors.h"
#include "fuzz.h"
#include "unit/model_env.h"

#define STORED (FORMAT_INACTIVE | FORMAT_SECURE)
#define CALLS_MAX 64

/* As the store reads it. */
static DomainDef *load(const char *text, Err *err)
{
    g_autoptr(DomainDef) d = domain_def_parse(text, PARSE_INACTIVE | PARSE_OWN, NULL, err);
    return d && domain_def_check_whole(d, err) == 0 ? g_steal_pointer(&d) : NULL;
}

/* Stored and read again, it is the same, but for the order completion leaves devices in: that is settled by the first reading. */
static void check_stored(const DomainDef *d, const char *when)
{
    g_autoptr(DomainDef) sorted = domain_def_copy(d);
    domain_def_resort(sorted);
    g_autofree char *once = domain_def_format(sorted, STORED);
    g_auto(Err) err = ERR_INIT;
    g_autoptr(DomainDef) again = load(once, &err);
    if (!again)
        fprintf(stderr, "%s: %s\n%s\n", when, err.detail, once);
    fuzz_check(again != NULL, "our own file is refused");
    g_autofree char *twice = domain_def_format(again, STORED);
    if (strcmp(once, twice) != 0)
        fprintf(stderr, "%s:\n%s\n----\n%s\n", when, once, twice);
    fuzz_check(strcmp(once, twice) == 0, "a stored definition moves when read again");
}

static void check_copy(const DomainDef *d)
{
    g_autoptr(DomainDef) copy = domain_def_copy(d);
    g_autofree char *a = domain_def_format(d, STORED), *b = domain_def_format(copy, STORED);
    fuzz_check(strcmp(a, b) == 0, "a copy differs");
    fuzz_check(domain_def_diff(d, copy, NULL, NULL) == 0, "a copy differs field by field");
    fuzz_check(domain_def_check_abi(d, copy, NULL) == 0, "a copy is another machine to the guest");
}

static void call_metadata(DomainDef *d, const char *text)
{
    static const char uri[] = "http://example.org/fuzz";
    g_auto(Err) err = ERR_INIT;
    if (domain_def_set_metadata(d, VIR_DOMAIN_METADATA_ELEMENT, *text ? text : NULL, "k", uri, &err) < 0) {
        fuzz_check(err.detail != NULL, "metadata refused without words");
        return;
    }
    g_auto(Err) get_err = ERR_INIT;
    g_autofree char *got = domain_def_get_metadata(d, VIR_DOMAIN_METADATA_ELEMENT, uri, &get_err);
    fuzz_check(*text ? got != NULL : get_err.code == VIR_ERR_NO_DOMAIN_METADATA, "metadata set is not there, or removed is");
}

static void call_text(DomainDef *d, int type, const char *text)
{
    g_auto(Err) err = ERR_INIT;
    if (domain_def_set_metadata(d, type, *text ? text : NULL, NULL, NULL, &err) < 0)
        fuzz_check(err.detail != NULL, "a text refused without words");
}

/* A device as for an update of each of its kind. */
static void call_device(const DomainDef *d, const char *xml)
{
    DeviceKind kind = DEVICE_ABSENT;
    void *dev = device_def_parse(xml, PARSE_INACTIVE, &kind, NULL);
    GPtrArray *all = dev ? domain_def_devices(d, kind) : NULL;
    for (unsigned i = 0; all && i < all->len; i++) {
        g_auto(Err) err = ERR_INIT;
        int r = device_def_check_update(kind, all->pdata[i], dev, &err);
        fuzz_check(r == 0 || err.detail, "an update refused without words");
    }
    if (dev)
        device_def_free(kind, dev);
}

static void call(DomainDef **d, const char *text)
{
    switch (*text) {
    case 'm':
        call_metadata(*d, text + 1);
        break;
    case 'g': {
        g_auto(Err) err = ERR_INIT;
        g_autofree char *got = domain_def_get_metadata(*d, VIR_DOMAIN_METADATA_ELEMENT, text + 1, &err);
        fuzz_check(got || err.detail, "metadata not given without words");
        break;
    }
    case 't':
        call_text(*d, VIR_DOMAIN_METADATA_TITLE, text + 1);
        break;
    case 'd':
        call_text(*d, VIR_DOMAIN_METADATA_DESCRIPTION, text + 1);
        break;
    case 'u':
        call_device(*d, text + 1);
        break;
    case 'f':
        (void)domain_def_find_disk(*d, text + 1);
        (void)domain_def_find_net(*d, text + 1);
        (void)domain_def_find_alias(*d, text + 1, NULL);
        break;
    case 'c': {
        g_autoptr(DomainDef) copy = domain_def_copy(*d);
        if (domain_def_complete(copy, model_env(), NULL) == 0 && domain_def_validate(copy, NULL) == 0) {
            domain_def_unref(*d);
            *d = g_steal_pointer(&copy);
        }
        break;
    }
    case 's':
        domain_def_resort(*d);
        break;
    case 'a':
        domain_def_assign_aliases(*d);
        break;
    default:
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size || size > 1u << 20)
        return 0;
    g_autofree char *text = g_strndup("", size);
    memcpy(text, data, size);
    g_auto(Err) err = ERR_INIT;
    g_autoptr(DomainDef) d = load(text, &err);
    fuzz_check(d || err.detail, "a definition refused without words");
    if (!d)
        return 0;
    check_stored(d, "read");
    check_copy(d);
    const char *at = text + strlen(text), *end = text + size;
    for (unsigned n = 0; at < end && n < CALLS_MAX; n++) {
        call(&d, ++at);
        check_stored(d, at);
        at += strlen(at);
    }
    return 0;
}

const char *const fuzz_dirs[] = {"tests/fuzz/corpus/definition", "tests/golden/xml", NULL};

#define DOMAIN \
    "<domain type='qemu'><name>a</name><uuid>a1b2c3d4-0000-4000-8000-000000000001</uuid><memory>65536</memory>" \
    "<currentMemory>65536</currentMemory><vcpu>1</vcpu><os><type arch='x86_64' machine='q35'>hvm</type></os>"
#define EMULATOR "<emulator>/usr/bin/qemu-system-x86_64</emulator>"
#define CALL(letter, text) "%" letter text

/* '%' stands for the NUL. */
uint8_t *fuzz_seed(unsigned i, size_t *ret_size)
{
    static const char *const seeds[] = {
        DOMAIN "<devices>" EMULATOR "<disk device='cdrom'><target dev='sda' bus='sata'/></disk></devices></domain>" CALL("c", "")
            CALL("m", "<x><y/>t</x>") CALL("m", "") CALL("u", "<disk device='cdrom'><target dev='sda' bus='sata'/></disk>") CALL("f", "sda"),
        DOMAIN "<metadata><a:b xmlns:a='u'/></metadata><devices>" EMULATOR "</devices></domain>" CALL("t", "title") CALL("m", "<x:y xmlns:x='z'/>") CALL("d", "words")
            CALL("t", "") CALL("c", "") CALL("s", "") CALL("a", ""),
        DOMAIN "<metadata><a:b xmlns:a='u' a:c='1' d='2'><a:e a:f='3'/></a:b></metadata><devices>" EMULATOR "</devices></domain>" CALL("g", "u"),
    };
    if (i >= N_ELEMENTS(seeds))
        return NULL;
    uint8_t *seed = fuzz_text_seed(seeds[i], ret_size);
    for (size_t k = 0; k < *ret_size; k++)
        seed[k] = seed[k] == '%' ? 0 : seed[k];
    return seed;
}
