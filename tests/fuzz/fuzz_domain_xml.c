/* tests/fuzz/fuzz_domain_xml.c - fuzz target: domain and device documents
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
    domain_def_assign_aliases(d);
    return 0;
}

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
