/* tests/unit/test_model_def.c - copy, compare, metadata, look-ups, single devices, tables, what text is written with
 */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "api_enums.h"
#include "model/units.h"
#include "util/xml.h"
#include "model_env.h"

#define XML                                                                                                            \
    "<domain type='qemu'><name>x</name><memory unit='MiB'>64</memory><os><type machine='q35'>hvm</type></os><devices>"  \
    "<disk type='file'><driver name='qemu' type='qcow2'/><source file='/a'/><target dev='vda'/></disk>"               \
    "<interface type='user'><mac address='52:54:00:11:22:33'/><target dev='tapx'/></interface>"                       \
    "<graphics type='vnc' passwd='secret'/></devices></domain>"

static DomainDef *sample(void)
{
    g_auto(Err) err = ERR_INIT;
    DomainDef *d = model_define(XML, 0, &err);
    assert_non_null(d);
    return d;
}

static void test_find(void **state)
{
    g_autoptr(DomainDef) d = sample();
    assert_non_null(domain_def_find_disk(d, "vda"));
    assert_ptr_equal(domain_def_find_disk(d, "vda"), domain_def_find_disk(d, "/a"));
    assert_null(domain_def_find_disk(d, "vdb"));
    assert_non_null(domain_def_find_net(d, "52:54:00:11:22:33"));
    assert_non_null(domain_def_find_net(d, "tapx"));
    assert_null(domain_def_find_alias(d, "virtio-disk0", NULL));
    domain_def_assign_aliases(d);
    DeviceKind kind = DEVICE_ABSENT;
    assert_ptr_equal(domain_def_find_alias(d, "virtio-disk0", &kind), domain_def_find_disk(d, "vda"));
    assert_int_equal(kind, DEVICE_DISK);
    assert_non_null(domain_def_find_alias(d, "balloon0", &kind));
    assert_int_equal(kind, DEVICE_MEMBALLOON);
}

static void test_secret(void **state)
{
    g_autoptr(DomainDef) d = sample();
    g_autofree char *plain = domain_def_format(d, FORMAT_INACTIVE);
    g_autofree char *secure = domain_def_format(d, FORMAT_INACTIVE | FORMAT_SECURE);
    assert_null(strstr(plain, "secret"));
    assert_non_null(strstr(secure, "passwd='secret'"));
}

/* White space a reader would take for other white space: what is written reads as what it was. */
static void test_white_space(void **state)
{
    static const char xml[] =
        "<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'><name>x</name><description>a&#13;\n\tb</description><memory>65536</memory>"
        "<os><type>hvm</type></os><devices><disk type='file'><source file='/a&#10;b&#9;c&#13;d'/><target dev='vda'/></disk></devices>"
        "<qemu:commandline><qemu:arg value='a&#10;b'/></qemu:commandline></domain>";
    g_auto(Err) err = ERR_INIT;
    g_autoptr(DomainDef) once = model_define(xml, 0, &err);
    assert_non_null(once);
    g_autofree char *text = domain_def_format(once, FORMAT_INACTIVE);
    g_autoptr(DomainDef) again = model_define(text, 0, &err);
    assert_non_null(again);
    assert_string_equal(domain_def_find_disk(again, "vda")->src->path, "/a\nb\tc\rd");
    assert_string_equal(again->description, "a\r\n\tb");
    assert_string_equal(again->qemu_args->pdata[0], "a\nb");
}

/* Elements with nothing in them are as if they were not there. */
static void test_empty_is_absent(void **state)
{
    static const uint8_t none[UUID_LEN];
    g_auto(Err) err = ERR_INIT;
    g_autoptr(DomainDef) d = model_define("<domain type='qemu'><name>x</name><uuid/><memory>65536</memory><os><type>hvm</type></os><on_reboot/><on_crash></on_crash>"
                                          "</domain>",
                                          0, &err);
    assert_non_null(d);
    assert_memory_not_equal(d->uuid, none, UUID_LEN);
    assert_int_equal(d->on_reboot, ON_RESTART);
    assert_int_equal(d->on_crash, ON_DESTROY);
}

static void count_change(void *ud, const char *path, unsigned flags)
{
    g_string_append_printf(ud, "%s;", path);
}

static void test_diff(void **state)
{
    g_autoptr(DomainDef) a = sample();
    g_autoptr(DomainDef) b = domain_def_copy(a);
    GString *s = g_string_new(NULL);
    g_auto(Err) err = ERR_INIT;
    assert_int_equal(domain_def_diff(a, b, count_change, s), 0);
    assert_int_equal(domain_def_check_abi(a, b, &err), 0);
    DiskDef *disk = domain_def_find_disk(b, "vda");
    disk->cache = DISK_CACHE_NONE;
    assert_int_equal(domain_def_diff(a, b, count_change, s), 1);
    assert_non_null(strstr(s->str, "disk/driver/@cache"));
    assert_int_equal(domain_def_check_abi(a, b, &err), 0);
    disk->info.addr.pci.slot++;
    assert_int_equal(domain_def_check_abi(a, b, &err), -1);
    assert_int_equal(err.code, VIR_ERR_CONFIG_UNSUPPORTED);
    assert_non_null(strstr(err.detail, "disk/address"));
    err_clear(&err);
    /* The link of a card may change on a running guest, its model may not. */
    NetDef *net = domain_def_find_net(a, "tapx");
    NetDef *changed = device_def_copy(DEVICE_NET, net);
    changed->link = NET_LINK_DOWN;
    assert_int_equal(device_def_check_update(DEVICE_NET, net, changed, &err), 0);
    g_free(changed->model);
    changed->model = g_strdup("e1000");
    assert_int_equal(device_def_check_update(DEVICE_NET, net, changed, &err), -1);
    assert_non_null(strstr(err.detail, "model"));
    device_def_free(DEVICE_NET, changed);
    g_string_free(s, TRUE);
}

static void test_metadata(void **state)
{
    g_autoptr(DomainDef) d = sample();
    g_auto(Err) err = ERR_INIT;
    assert_null(domain_def_get_metadata(d, VIR_DOMAIN_METADATA_TITLE, NULL, &err));
    assert_int_equal(err.code, VIR_ERR_NO_DOMAIN_METADATA);
    err_clear(&err);
    assert_int_equal(domain_def_set_metadata(d, VIR_DOMAIN_METADATA_TITLE, "a\nb", NULL, NULL, &err), -1);
    err_clear(&err);
    assert_int_equal(domain_def_set_metadata(d, VIR_DOMAIN_METADATA_TITLE, "t", NULL, NULL, &err), 0);
    g_autofree char *title = domain_def_get_metadata(d, VIR_DOMAIN_METADATA_TITLE, NULL, &err);
    assert_string_equal(title, "t");
    assert_int_equal(domain_def_set_metadata(d, VIR_DOMAIN_METADATA_ELEMENT, "<a x='1'><b/></a>", "k", "http://u/1", &err), 0);
    assert_int_equal(domain_def_set_metadata(d, VIR_DOMAIN_METADATA_ELEMENT, "<other/>", "o", "http://u/2", &err), 0);
    assert_int_equal(domain_def_set_metadata(d, VIR_DOMAIN_METADATA_ELEMENT, "not xml", "k", "http://u/1", &err), -1);
    assert_int_equal(err.code, VIR_ERR_XML_DETAIL);
    err_clear(&err);
    g_autofree char *element = domain_def_get_metadata(d, VIR_DOMAIN_METADATA_ELEMENT, "http://u/1", &err);
    assert_non_null(element);
    assert_string_equal(element, "<a x=\"1\">\n  <b/>\n</a>");
    g_autofree char *xml = domain_def_format(d, FORMAT_INACTIVE);
    assert_non_null(strstr(xml, "  <metadata>\n    <k:a xmlns:k=\"http://u/1\" x=\"1\">\n      <k:b/>\n    </k:a>\n    <o:other xmlns:o=\"http://u/2\"/>\n  </metadata>\n"));
    g_autoptr(DomainDef) again = domain_def_parse(xml, PARSE_INACTIVE, NULL, &err);
    g_autofree char *same = domain_def_format(again, FORMAT_INACTIVE);
    assert_string_equal(same, xml);
    assert_int_equal(domain_def_set_metadata(d, VIR_DOMAIN_METADATA_ELEMENT, NULL, "k", "http://u/1", &err), 0);
    assert_null(domain_def_get_metadata(d, VIR_DOMAIN_METADATA_ELEMENT, "http://u/1", &err));
    err_clear(&err);
    g_autofree char *other = domain_def_get_metadata(d, VIR_DOMAIN_METADATA_ELEMENT, "http://u/2", &err);
    assert_non_null(other);
}

/* Each would have made a stored definition that is not XML, or says something else. */
/* The prefix goes with its declaration, of attributes too. */
static void test_metadata_attributes(void **state)
{
    g_auto(Err) err = ERR_INIT;
    g_autoptr(DomainDef) d = domain_def_parse("<domain type='qemu'><name>a</name><memory>1</memory><metadata><k:x xmlns:k='u' xmlns:j='u' k:a='1' b='2' j:c='3'>"
                                              "<k:y k:z='4'/></k:x></metadata><os><type>hvm</type></os></domain>", PARSE_INACTIVE, NULL, &err);
    assert_non_null(d);
    g_autofree char *got = domain_def_get_metadata(d, VIR_DOMAIN_METADATA_ELEMENT, "u", &err);
    assert_string_equal(got, "<x xmlns:j=\"u\" a=\"1\" b=\"2\" j:c=\"3\">\n  <y z=\"4\"/>\n</x>");
    assert_int_equal(domain_def_set_metadata(d, VIR_DOMAIN_METADATA_ELEMENT, got, "k", "u", &err), 0);
}

static void test_metadata_that_is_no_text(void **state)
{
    const struct {
        int type;
        const char *text, *key, *uri;
    } cases[] = {
        {VIR_DOMAIN_METADATA_TITLE, "a\xff", NULL, NULL},
        {VIR_DOMAIN_METADATA_TITLE, "a\x01", NULL, NULL},
        {VIR_DOMAIN_METADATA_DESCRIPTION, "\xed\xa0\x80", NULL, NULL}, /* half a surrogate pair */
        {VIR_DOMAIN_METADATA_DESCRIPTION, "\xef\xbf\xbe", NULL, NULL}, /* U+FFFE */
        {VIR_DOMAIN_METADATA_ELEMENT, "<a/>", "k a='1'", "u"},
        {VIR_DOMAIN_METADATA_ELEMENT, "<a/>", "k><b", "u"},
        {VIR_DOMAIN_METADATA_ELEMENT, "<a/>", "", "u"},
        {VIR_DOMAIN_METADATA_ELEMENT, "<a/>", "a:b", "u"},
        {VIR_DOMAIN_METADATA_ELEMENT, "<a/>", "k", "u<v"},
        {VIR_DOMAIN_METADATA_ELEMENT, "<a/>", "k", "u&v"},
        {VIR_DOMAIN_METADATA_ELEMENT, "<a/>", "k", "u\xff"},
        {VIR_DOMAIN_METADATA_ELEMENT, "<a/>", "k", ""},
        {VIR_DOMAIN_METADATA_ELEMENT, "<a>\xff</a>", "k", "u"},
        {VIR_DOMAIN_METADATA_ELEMENT, "<!DOCTYPE a [<!ENTITY e 'x'>]><a>&e;</a>", "k", "u"},
    };
    g_autoptr(DomainDef) d = sample();
    g_autofree char *before = domain_def_format(d, FORMAT_INACTIVE | FORMAT_SECURE);
    for (unsigned i = 0; i < N_ELEMENTS(cases); i++) {
        g_auto(Err) err = ERR_INIT;
        if (domain_def_set_metadata(d, cases[i].type, cases[i].text, cases[i].key, cases[i].uri, &err) == 0)
            fail_msg("case %u accepted", i);
        assert_non_null(err.detail);
    }
    g_autofree char *after = domain_def_format(d, FORMAT_INACTIVE | FORMAT_SECURE);
    assert_string_equal(before, after);
}

/* One element may be as large as a document, all together as well. */
static void test_metadata_has_a_bound(void **state)
{
    g_autoptr(DomainDef) d = sample();
    g_autofree char *filling = g_strnfill(1u << 20, 'x'), *text = g_strdup_printf("<a>%s</a>", filling);
    int r = 0;
    unsigned n = 0;
    g_auto(Err) err = ERR_INIT;
    for (; r == 0 && n < 10; n++) {
        g_autofree char *uri = g_strdup_printf("u%u", n);
        r = domain_def_set_metadata(d, VIR_DOMAIN_METADATA_ELEMENT, text, "k", uri, &err);
    }
    assert_int_equal(r, -1);
    assert_int_equal(n, 4);
    assert_int_equal(err.code, VIR_ERR_INVALID_ARG);
}

static void test_device(void **state)
{
    g_auto(Err) err = ERR_INIT;
    DeviceKind kind = DEVICE_ABSENT;
    DiskDef *disk = device_def_parse("<disk><source file='/x'/><target dev='vdc'/></disk>", PARSE_INACTIVE, &kind, &err);
    assert_non_null(disk);
    assert_int_equal(kind, DEVICE_DISK);
    assert_int_equal(disk->bus, DISK_BUS_VIRTIO);
    g_autofree char *text = device_def_format(kind, disk, FORMAT_INACTIVE);
    assert_non_null(strstr(text, "<target dev='vdc' bus='virtio'/>"));
    device_def_free(kind, disk);
    assert_null(device_def_parse("<tpm model='tpm-tis'/>", PARSE_INACTIVE, &kind, &err));
    assert_int_equal(err.code, VIR_ERR_CONFIG_UNSUPPORTED);
    err_clear(&err);
    assert_null(device_def_parse("<zork/>", PARSE_INACTIVE, &kind, &err));
    assert_int_equal(err.code, VIR_ERR_XML_ERROR);
}

/* Every word of every table leads back to its value. */
static void test_tables(void **state)
{
    static const struct {
        const char *const *names;
        int max;
    } tables[] = {
        {virt_type_names, VIRT_MAX}, {disk_bus_names, DISK_BUS_MAX}, {disk_cache_names, DISK_CACHE_MAX},
        {controller_type_names, CONTROLLER_MAX}, {controller_model_names, CONTROLLER_MODEL_MAX}, {net_type_names, NET_MAX},
        {chr_type_names, CHR_MAX}, {video_type_names, VIDEO_MAX}, {timer_name_names, TIMER_MAX},
        {lifecycle_action_names, ON_MAX}, {device_kind_names, DEVICE_MAX}, {address_type_names, ADDRESS_MAX},
    };
    for (size_t t = 0; t < N_ELEMENTS(tables); t++) {
        for (int i = 1; i < tables[t].max; i++) {
            assert_non_null(tables[t].names[i]);
            assert_int_equal(enum_find(tables[t].names, tables[t].max, tables[t].names[i]), i);
        }
    }
}

static void test_cpuset(void **state)
{
    static const char *const cases[][2] = {{"0-3", "0-3"}, {"3,1,2", "1-3"}, {"0-3,^2", "0-1,3"}, {"1", "1"},  {"", NULL},
                                           {"a", NULL},    {"1-", NULL},     {"3-1", NULL},       {"1,", NULL}, {"99999", NULL},
                                           {" 0 - 2 , 5,\n^1 ", "0,2,5"}, {" ", NULL}, {"1 2", NULL}, {"1, ", NULL}};
    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        g_autofree char *got = cpuset_normalize(cases[i][0]);
        if (cases[i][1])
            assert_string_equal(got, cases[i][1]);
        else
            assert_null(got);
    }
}

static void test_support_table(void **state)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    model_support_print(out);
    fclose(out);
    assert_non_null(strstr(text, "| `domain/devices/disk/driver/@cache` | supported |"));
    assert_non_null(strstr(text, "| `domain/devices/hostdev` | refused |"));
    assert_null(strstr(text, "(null)"));
    free(text);
}

#define GUEST(devices)                                                                                                        \
    "<domain type='qemu' id='3'><name>e</name><memory>65536</memory><vcpu>1</vcpu><os><type arch='x86_64' machine='q35'>hvm</type></os>" \
    "<cpu mode='custom' match='exact' check='none'><model fallback='forbid'>EPYC</model></cpu><devices>" devices            \
    "</devices></domain>"

static void test_asked_cpu(void **state)
{
    g_auto(Err) err = ERR_INIT;
    g_autoptr(DomainDef) d = domain_def_parse(GUEST(""), PARSE_STATUS, NULL, &err);
    assert_non_null(d);
    domain_def_keep_asked_cpu(d);
    d->cpu.check = CPU_CHECK_FULL;
    /* a restarted daemon knows it still, and clients see it in the migratable form only */
    g_autofree char *status = domain_def_format(d, FORMAT_STATUS);
    g_autoptr(DomainDef) back = domain_def_parse(status, PARSE_STATUS, NULL, &err);
    if (!back)
        fail_msg("%s\n%s", err.detail, status);
    g_autofree char *live = domain_def_format(back, 0), *migratable = domain_def_format(back, FORMAT_MIGRATABLE);
    assert_non_null(strstr(live, "check='full'"));
    assert_null(strstr(live, "check='none'"));
    assert_null(strstr(live, "askedCpu"));
    assert_non_null(strstr(migratable, "check='none'"));
    assert_null(strstr(migratable, "check='full'"));
}

static void test_generated_path(void **state)
{
    g_auto(Err) err = ERR_INIT;
#define CHANNEL(path) "<channel type='unix'><source mode='bind' path='" path "'/><target type='virtio' name='c.0'/></channel>"
#define NAMELESS \
    "<channel type='unix'><source mode='bind' path='/l/channel/target/domain-3-e/vioser-00-00-02.sock'/><target type='virtio'/>" \
    "<address type='virtio-serial' controller='0' bus='0' port='2'/></channel>"
    g_autoptr(DomainDef) d = domain_def_parse(GUEST(CHANNEL("/l/channel/target/domain-3-e/c.0") CHANNEL("/l/channel/target/mine/c.0") NAMELESS),
                                              PARSE_STATUS, NULL, &err);
    assert_non_null(d);
    g_autofree char *live = domain_def_format(d, 0), *migratable = domain_def_format(d, FORMAT_MIGRATABLE);
    assert_non_null(strstr(live, "domain-3-e"));
    assert_null(strstr(migratable, "domain-3-e"));
    assert_non_null(strstr(migratable, "/l/channel/target/mine/c.0"));
}

static void test_generated_interface(void **state)
{
    g_auto(Err) err = ERR_INIT;
#define INTERFACE(target) "<interface type='bridge'><source bridge='b'/><target dev='" target "'/></interface>"
    g_autoptr(DomainDef) d = domain_def_parse(GUEST(INTERFACE("vnet7") INTERFACE("mine")), PARSE_STATUS, NULL, &err);
    assert_non_null(d);
    g_autofree char *live = domain_def_format(d, 0), *migratable = domain_def_format(d, FORMAT_MIGRATABLE);
    assert_non_null(strstr(live, "vnet7"));
    assert_null(strstr(migratable, "vnet7"));
    assert_non_null(strstr(migratable, "mine"));
}

static void test_escapes(void **state)
{
    XmlWriter w;
    xml_writer_init(&w);
    xml_begin(&w, "e");
    xml_attr(&w, "a", "<x>\n\t\r'\"& \u00e9");
    xml_attr(&w, "b", "\x01" "a\x01\xff" "b\xc3"); /* what XML cannot hold: a control, no character, half of one */
    xml_attr(&w, "c", "");
    xml_text(&w, "\"&\n\t\r\xe2\x82\xac<");
    xml_end(&w);
    g_autofree char *text = xml_writer_steal(&w);
    assert_string_equal(text, "<e a='&lt;x&gt;&#10;&#9;&#13;&apos;&quot;&amp; \u00e9' b='ab' c=''>&quot;&amp;\n\t&#13;\xe2\x82\xac&lt;</e>\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_find),   cmocka_unit_test(test_secret), cmocka_unit_test(test_diff),
        cmocka_unit_test(test_metadata), cmocka_unit_test(test_metadata_attributes), cmocka_unit_test(test_metadata_that_is_no_text), cmocka_unit_test(test_metadata_has_a_bound),
        cmocka_unit_test(test_device), cmocka_unit_test(test_tables),
        cmocka_unit_test(test_cpuset), cmocka_unit_test(test_support_table), cmocka_unit_test(test_asked_cpu),
        cmocka_unit_test(test_generated_path), cmocka_unit_test(test_generated_interface), cmocka_unit_test(test_white_space),
        cmocka_unit_test(test_empty_is_absent), cmocka_unit_test(test_escapes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
