/* tests/unit/test_model_errors.c - bad documents get libvirt's codes, and say where
 */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "model_env.h"
#include "util/xml.h"

/* tests/golden/errors.txt holds the cases and what a stock libvirtd answered. */
static void test_codes(void **state)
{
    g_autofree char *path = g_build_filename(GOLDEN_DIR, "errors.txt", NULL);
    g_autofree char *text = NULL;
    assert_true(g_file_get_contents(path, &text, NULL, NULL));
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    unsigned n = 0, bad = 0;
    for (unsigned i = 0; lines[i]; i++) {
        if (!*lines[i] || *lines[i] == '#')
            continue;
        g_auto(GStrv) f = g_strsplit(lines[i], "|", 4);
        int want = atoi(*f[2] ? f[2] : f[1]);
        const char *xml = lines[i + 1] ? lines[++i] : "";
        g_auto(Err) err = ERR_INIT;
        DomainDef *d = model_define(xml, 0, &err);
        domain_def_unref(d);
        n++;
        if (err.code != want || (err.code && !err.detail)) {
            print_error("%s: code %d (%s), want %d\n", f[0], err.code, err.detail ? err.detail : "", want);
            bad++;
        }
    }
    print_message("%u documents, %u bad\n", n, bad);
    assert_true(n > 100);
    assert_int_equal(bad, 0);
}

#define HEAD "<domain type='qemu'>\n<name>x</name>\n<memory>65536</memory>\n<os><type>hvm</type></os>\n"

static void expect(const char *xml, ParseFlags flags, int code, const char *const *words)
{
    g_auto(Err) err = ERR_INIT;
    DomainDef *d = model_define(xml, flags, &err);
    domain_def_unref(d);
    if (err.code != code)
        print_error("%s\n", err.detail ? err.detail : "(accepted)");
    assert_int_equal(err.code, code);
    for (; *words; words++) {
        if (!strstr(err.detail, *words))
            print_error("no '%s' in: %s\n", *words, err.detail);
        assert_non_null(strstr(err.detail, *words));
    }
}
#define EXPECT(xml, flags, code, ...) expect(xml, flags, code, (const char *const[]){__VA_ARGS__, NULL})

static void test_words(void **state)
{
    EXPECT(HEAD "<devices>\n<disk>\n<source file='/a'/>\n<target dev='vda' bus='zork'/></disk></devices></domain>", 0, VIR_ERR_XML_ERROR,
           "'bus'", "/domain/devices/disk/target line 8", "zork", "virtio", "sata");
    EXPECT(HEAD "<devices>\n<hostdev mode='subsystem'/></devices></domain>", 0, VIR_ERR_CONFIG_UNSUPPORTED, "<hostdev>", "line 6");
    EXPECT(HEAD "<devices><graphics type='spice' autoport='yes'/></devices></domain>", 0, VIR_ERR_CONFIG_UNSUPPORTED, "<graphics type='spice'>");
    EXPECT(HEAD "<devices><disk type='volume'><source pool='p' volume='v'/><target dev='vda'/></disk></devices></domain>", 0,
           VIR_ERR_CONFIG_UNSUPPORTED, "<disk type='volume'>");
    EXPECT(HEAD "<devices><interface type='direct'><source dev='e' mode='bridge'/></interface></devices></domain>", 0,
           VIR_ERR_CONFIG_UNSUPPORTED, "<interface type='direct'>", "line 5");
    EXPECT(HEAD "<cputune/></domain>", 0, VIR_ERR_CONFIG_UNSUPPORTED, "<cputune>", "line 5");
    EXPECT(HEAD "<devices><disk type='network'><source protocol='rbd' name='x/y'/><target dev='vda'/></disk></devices></domain>", 0,
           VIR_ERR_CONFIG_UNSUPPORTED, "protocol 'rbd'", "disk/source line 5", "nbd");
    EXPECT(HEAD "<zork/></domain>", PARSE_VALIDATE, VIR_ERR_XML_INVALID_SCHEMA, "/domain/zork line 5");
    EXPECT(HEAD "<devices><disk colour='red'><source file='/a'/><target dev='vda'/></disk></devices></domain>", PARSE_VALIDATE,
           VIR_ERR_XML_INVALID_SCHEMA, "colour", "line 5");
}

/* An error goes to the log, where the passwords of those who mistype a tag have no business. */
static void test_no_password(void **state)
{
    g_auto(Err) err = ERR_INIT;
    assert_null(model_define(HEAD "<devices>\n<graphics type='vnc' passwd='hunter2' <</devices></domain>", 0, &err));
    assert_int_equal(err.code, VIR_ERR_XML_DETAIL);
    assert_non_null(strstr(err.detail, ":6: "));
    assert_non_null(strstr(err.detail, "<graphics type='vnc' passwd\n"));
    assert_null(strstr(err.detail, "hunter2"));
}

/* What must be there, and is there with nothing in it. */
static void test_empty(void **state)
{
    EXPECT("<domain type='qemu'><name>x</name><memory>65536</memory><os><type>hvm</type>\n<smbios mode=''/></os></domain>", 0, VIR_ERR_XML_ERROR, "'mode'",
           "smbios line 2");
    EXPECT(HEAD "<devices><interface type='user'><ip address=''/></interface></devices></domain>", 0, VIR_ERR_XML_ERROR, "'address'", "interface/ip");
    EXPECT(HEAD "<cpu><model>qemu64</model><feature name=''/><feature name=''/></cpu></domain>", 0, VIR_ERR_XML_ERROR, "'name'", "cpu/feature");
    EXPECT(HEAD "<devices><interface type='bridge'><source bridge='br0'/><script path=''/></interface></devices></domain>", 0, VIR_ERR_XML_ERROR,
           "'path'", "interface/script");
    EXPECT(HEAD "<resource><partition/></resource></domain>", 0, VIR_ERR_XML_ERROR, "'partition'", "line 5");
}

/* What would be stored and then refused when it is read again. */
static void test_numbers_past_the_last(void **state)
{
#define SERIALS(port) HEAD "<devices><serial type='null'><target port='" port "'/></serial><serial type='null'/></devices></domain>"
    EXPECT(SERIALS("4294967295"), 0, VIR_ERR_XML_ERROR, "4294967295");
    EXPECT(SERIALS("4294967294"), 0, 0, NULL);
    EXPECT(HEAD "<devices><video><model type='vga' vram='4294967295'/></video></devices></domain>", 0, VIR_ERR_CONFIG_UNSUPPORTED, "'vram'", "2 TiB");
    EXPECT(HEAD "<devices><video><model type='qxl' ram='4294967295'/></video></devices></domain>", 0, VIR_ERR_CONFIG_UNSUPPORTED, "'ram'", "2 TiB");
}

/* What QEMU would take for more than one thing. */
static void test_what_qemu_takes_apart(void **state)
{
#define FORWARD(address, port) \
    HEAD "<devices><channel type='null'><target type='guestfwd' address='" address "' port='" port "'/></channel></devices></domain>"
#define DISK(target) HEAD "<devices><disk type='file'><source file='/a'/><target dev='" target "' bus='virtio'/></disk></devices></domain>"
    EXPECT(FORWARD("10.0.2.1:80-cmd:/bin/sh", "4600"), 0, VIR_ERR_CONFIG_UNSUPPORTED, "'address'", "IPv4");
    EXPECT(FORWARD("::1", "4600"), 0, VIR_ERR_CONFIG_UNSUPPORTED, "'address'", "IPv4");
    EXPECT(FORWARD("10.0.2.1", "65536"), 0, VIR_ERR_XML_ERROR, "'port'", "65535");
    EXPECT(HEAD "<cpu><model vendor_id='Gen,+x2apic,'>qemu64</model></cpu></domain>", 0, VIR_ERR_XML_ERROR, "'vendor_id'");
    EXPECT(HEAD "<cpu><model>qemu64</model><feature name='x2apic=off,enforce'/></cpu></domain>", 0, VIR_ERR_XML_ERROR, "'name'", "x2apic=off,enforce");
#define USER(inside) HEAD "<devices><interface type='user'>" inside "</interface></devices></domain>"
    EXPECT(USER("<ip address='1.2.3.4,hostfwd=x' prefix='24'/>"), 0, VIR_ERR_XML_ERROR, "'address'", "IPv4");
    EXPECT(USER("<ip family='ipv6' address='1.2.3.4'/>"), 0, VIR_ERR_XML_ERROR, "'address'", "IPv6");
    EXPECT(USER("<ip address='10.1.0.0' prefix='99'/>"), 0, VIR_ERR_XML_ERROR, "'prefix'", "0 to 32");
    EXPECT(USER("<ip address='10.1.0.0' prefix='24'/><ip address='fd00::' prefix='64'/>"), 0, 0, NULL);
    EXPECT(USER("<mtu size='9000'/>"), 0, VIR_ERR_CONFIG_UNSUPPORTED, "MTU");
    EXPECT(DISK("vd/../x"), 0, VIR_ERR_XML_ERROR, "vd/../x");
    EXPECT(DISK("vd"), 0, VIR_ERR_XML_ERROR, "'vd'");
    EXPECT(DISK("vda1"), 0, VIR_ERR_CONFIG_UNSUPPORTED, "vda1");
}

/* What QEMU cannot be told, or only in part: a machine would not be what it seems. */
static void test_no_effect(void **state)
{
#define CPU(inside) HEAD "<cpu><model>qemu64</model>" inside "</cpu></domain>"
#define VIDEO(model) HEAD "<devices><video><model " model "</video></devices></domain>"
#define VNC(attrs) HEAD "<devices><graphics type='vnc' " attrs "/></devices></domain>"
    EXPECT(CPU("<cache mode='emulate'/>"), 0, VIR_ERR_CONFIG_UNSUPPORTED, "level='3'");
    EXPECT(CPU("<cache level='1' mode='emulate'/>"), 0, VIR_ERR_CONFIG_UNSUPPORTED, "level='3'");
    EXPECT(CPU("<cache level='1' mode='disable'/>"), 0, VIR_ERR_CONFIG_UNSUPPORTED, "level='1'");
    EXPECT(CPU("<cache mode='passthrough'/>"), 0, VIR_ERR_CONFIG_UNSUPPORTED, "host-passthrough");
    EXPECT(CPU("<cache level='3' mode='emulate'/>"), 0, 0, NULL);
    EXPECT(CPU("<maxphysaddr mode='emulate'/>"), 0, VIR_ERR_XML_ERROR, "'bits'");
    EXPECT(HEAD "<vcpu>2</vcpu><cpu><topology sockets='1' clusters='2' cores='1' threads='1'/></cpu></domain>", 0, VIR_ERR_CONFIG_UNSUPPORTED, "clusters");
    EXPECT(HEAD "<features><smm state='on'><tseg>8</tseg></smm></features></domain>", 0, VIR_ERR_CONFIG_UNSUPPORTED, "q35");
    EXPECT(HEAD "<features><smm state='on'><tseg unit='KiB'>5</tseg></smm></features></domain>", 0, VIR_ERR_CONFIG_UNSUPPORTED, "1 MiB");
    EXPECT(HEAD "<clock offset='absolute' start='18446744073709551615'/></domain>", 0, VIR_ERR_CONFIG_UNSUPPORTED, "'start'");
    EXPECT(HEAD "<devices><controller type='pci' index='0' model='pci-root'><pcihole64 unit='GiB'>99999999999999999</pcihole64></controller></devices></domain>",
           0, VIR_ERR_OVERFLOW, "pcihole64");
    EXPECT(HEAD "<devices><disk type='file'><source file='/a'/><target dev='vda'/><vendor>v</vendor></disk></devices></domain>", 0,
           VIR_ERR_CONFIG_UNSUPPORTED, "vendor");
    EXPECT(VIDEO("type='cirrus'><resolution x='800' y='600'/></model>"), 0, VIR_ERR_XML_ERROR, "resolution", "cirrus");
    EXPECT(VIDEO("type='vga' vram='100'/>"), 0, VIR_ERR_CONFIG_UNSUPPORTED, "'vram'");
    EXPECT(VIDEO("type='vga' vgamem='8192'/>"), 0, VIR_ERR_CONFIG_UNSUPPORTED, "vgamem", "qxl");
    EXPECT(VIDEO("type='qxl' vgamem='5000'/>"), 0, VIR_ERR_CONFIG_UNSUPPORTED, "vgamem", "power of two");
    EXPECT(VIDEO("type='vga' heads='2'/>"), 0, VIR_ERR_CONFIG_UNSUPPORTED, "heads");
    EXPECT(VNC("passwd='123456789'"), 0, VIR_ERR_CONFIG_UNSUPPORTED, "9 characters");
    EXPECT(VNC("passwd='12345678' connected='disconnect'"), 0, VIR_ERR_CONFIG_UNSUPPORTED, "keep");
    EXPECT(VNC("passwd='12345678' connected='keep'"), 0, 0, NULL);
    EXPECT(HEAD "<devices><serial type='unix'/></devices></domain>", 0, VIR_ERR_XML_ERROR, "source path", "unix");
    EXPECT(HEAD "<devices><channel type='unix'><target type='virtio' name='a'/></channel></devices></domain>", 0, 0, NULL);
    EXPECT(HEAD "<devices><serial type='unix'><source mode='bind' path='/a'><reconnect enabled='yes' timeout='5'/></source></serial></devices></domain>", 0,
           VIR_ERR_CONFIG_UNSUPPORTED, "connect mode");
    EXPECT(VNC("websocket='65536'"), 0, VIR_ERR_CONFIG_UNSUPPORTED, "websocket");
}

/* What would fail at a start, or be passed over then. */
static void test_late(void **state)
{
#define DRIVEN(driver) \
    HEAD "<devices><disk type='file'><driver name='qemu' " driver "/><source file='/a'/><target dev='vda' bus='virtio'/></disk></devices></domain>"
#define SERIAL(target) HEAD "<devices><serial type='pty'>" target "</serial></devices></domain>"
#define VALID_TO(date) VNC("passwd='x' passwdValidTo='" date "'")
    EXPECT(DRIVEN("io='native'"), 0, VIR_ERR_CONFIG_UNSUPPORTED, "native", "vda");
    EXPECT(DRIVEN("io='native' cache='none'"), 0, 0, NULL);
    EXPECT(DRIVEN("rerror_policy='enospace'"), 0, VIR_ERR_CONFIG_UNSUPPORTED, "enospace");
    EXPECT(DRIVEN("error_policy='enospace'"), 0, 0, NULL);
    EXPECT(USER("<driver rx_queue_size='300'/>"), 0, VIR_ERR_CONFIG_UNSUPPORTED, "rx_queue_size");
    EXPECT(USER("<driver tx_queue_size='3'/>"), 0, VIR_ERR_CONFIG_UNSUPPORTED, "tx_queue_size");
    EXPECT(USER("<driver rx_queue_size='0' tx_queue_size='256'/>"), 0, 0, NULL);
    EXPECT(USER("<rom enabled='no' file='/r'/>"), 0, VIR_ERR_CONFIG_UNSUPPORTED, "ROM");
    EXPECT(USER("<rom enabled='no'/>"), 0, 0, NULL);
    EXPECT(VALID_TO("gestern"), 0, VIR_ERR_XML_ERROR, "'gestern'", "YYYY");
    EXPECT(VALID_TO("2030-13-01T00:00:00"), 0, VIR_ERR_XML_ERROR, "2030-13");
    EXPECT(VALID_TO("2030-12-01T00:00:00Z"), 0, VIR_ERR_XML_ERROR, "00Z");
    EXPECT(VALID_TO(""), 0, VIR_ERR_XML_ERROR, "validity");
    EXPECT(VALID_TO("2030-12-01T00:00:00"), 0, 0, NULL);
    EXPECT(SERIAL("<target type='isa-serial'><model name='pci-serial'/></target>"), 0, VIR_ERR_CONFIG_UNSUPPORTED, "'pci-serial' requires", "'pci-serial'");
    EXPECT(SERIAL("<target type='isa-serial'><model name='pl011'/></target>"), 0, VIR_ERR_CONFIG_UNSUPPORTED, "pl011");
    EXPECT(SERIAL("<target type='system-serial'/>"), 0, VIR_ERR_CONFIG_UNSUPPORTED, "system-serial");
    EXPECT(SERIAL("<target type='pci-serial'/>"), 0, 0, NULL);
    EXPECT(HEAD "<devices><channel type='unix'><target type='guestfwd' address='10.0.2.1' port='22'/></channel></devices></domain>", 0, VIR_ERR_XML_ERROR,
           "source path");
    EXPECT(HEAD "<devices><channel type='unix'><target type='virtio'/></channel></devices></domain>", 0, 0, NULL);
    EXPECT(SERIAL("<boot order='1'/>"), PARSE_VALIDATE, VIR_ERR_XML_INVALID_SCHEMA, "serial/boot");
    EXPECT(SERIAL("<rom file='/r'/>"), PARSE_VALIDATE, VIR_ERR_XML_INVALID_SCHEMA, "serial/rom");
    EXPECT(SERIAL("<boot order='1'/>"), 0, 0, NULL);
}

static void test_unknown_collected(void **state)
{
    g_autoptr(GPtrArray) unknown = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(DomainDef) d =
        domain_def_parse(HEAD "<zork/>\n<devices><disk a='b'><target dev='vda'/></disk></devices></domain>", PARSE_INACTIVE, unknown, NULL);
    assert_non_null(d);
    assert_int_equal(unknown->len, 2);
    assert_string_equal(unknown->pdata[0], "/domain/zork line 5");
    assert_string_equal(unknown->pdata[1], "attribute 'a' of /domain/devices/disk line 6");
}

static void refused_by_limit(const char *xml, const char *word)
{
    g_auto(Err) err = ERR_INIT;
    DomainDef *d = domain_def_parse(xml, PARSE_INACTIVE, NULL, &err);
    assert_null(d);
    assert_int_equal(err.code, VIR_ERR_XML_ERROR);
    assert_non_null(strstr(err.detail, word));
}

static void test_limits(void **state)
{
    refused_by_limit("<!DOCTYPE d [<!ENTITY a 'x'><!ENTITY b '&a;&a;&a;'>]><domain>&b;</domain>", "entity");
    refused_by_limit("<!DOCTYPE domain [<!ATTLIST domain a CDATA 'x' b (c|d) 'c'>]><domain/>", "attribute declarations");
    GString *deep = g_string_new("<domain>");
    for (unsigned i = 0; i < 100; i++)
        g_string_append(deep, "<a>");
    for (unsigned i = 0; i < 100; i++)
        g_string_append(deep, "</a>");
    g_string_append(deep, "</domain>");
    refused_by_limit(deep->str, "deeply");
    g_string_assign(deep, "<domain>");
    for (unsigned i = 0; i < 1000000; i++)
        g_string_append(deep, "<a/>");
    refused_by_limit(deep->str, "many");
    g_string_set_size(deep, 0);
    for (unsigned i = 0; i < 5u << 20; i++)
        g_string_append_c(deep, ' ');
    refused_by_limit(deep->str, "bytes");
    g_string_assign(deep, "<!-- '\"> --><domain a='<' b=\"'>\" ");
    for (unsigned i = 0; i < 300000; i++)
        g_string_append_printf(deep, "a%u='' ", i);
    g_string_append(deep, "/>");
    refused_by_limit(deep->str, "too many attributes");
    g_string_assign(deep, "<domain type='qemu'><name>x</name><memory>1</memory><os><type>hvm</type></os><devices>");
    for (unsigned i = 0; i < 20000; i++)
        g_string_append_printf(deep, "<disk><target dev='sd%c%c%c'/></disk>", (int)('a' + i % 26), (int)('a' + i / 26 % 26), (int)('a' + i / 676 % 26));
    g_string_append(deep, "</devices></domain>");
    refused_by_limit(deep->str, "more than 2048 devices <disk>");
    g_string_free(deep, TRUE);
    refused_by_limit("<?xml version='1.0' encoding='UTF-7'?>+ADw-domain+AC8-+AD4-", "encoding");
    refused_by_limit("<?xml version='1.0' encoding = \"EBCDIC-US\"?><domain/>", "encoding");
    refused_by_limit("\x4c\x6f\xa7\x94", "encoding");
}

/* Not taken for attributes: what stands in comments, CDATA, instructions, values and text. */
static void test_what_only_looks_like_attributes(void **state)
{
    g_autofree char *many = g_strnfill(1000, '=');
    g_autofree char *xml = g_strdup_printf("<?xml version='1.0' encoding='ISO-8859-1'?><!-- <a %s> --><?pi <a %s>?><domain type='qemu'>"
                                           "<name>x</name><title>%s</title><description><![CDATA[<a %s>]]></description>"
                                           "<memory unit='KiB'>65536</memory><os><type>hvm</type></os></domain>",
                                           many, many, many, many);
    g_auto(Err) err = ERR_INIT;
    g_autoptr(DomainDef) d = model_define(xml, 0, &err);
    if (!d)
        fail_msg("%s", err.detail);
}

/* Defines it in a child that has 60 s of processor time, of which comparing each with each of `n` would need many times that. */
static void define_soon(const char *head, const char *each, unsigned n, const char *tail)
{
    g_autoptr(GString) xml = g_string_new(HEAD);
    g_string_append(xml, head);
    for (unsigned i = 0; i < n; i++)
        g_string_append_printf(xml, "%s%u'/>", each, i);
    g_string_append(xml, tail);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        const struct rlimit cpu = {60, 60};
        setrlimit(RLIMIT_CPU, &cpu);
        g_auto(Err) err = ERR_INIT;
        domain_def_unref(model_define(xml->str, 0, &err));
        _exit(0); /* taken or refused: that it ended is what counts */
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
}

static void test_many_of_a_kind(void **state)
{
    define_soon("<metadata>", "<a xmlns='", 95000, "</metadata></domain>");
    define_soon("<cpu><model>qemu64</model>", "<feature name='f", 95000, "</cpu></domain>");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_codes),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_no_password),
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_late),
        cmocka_unit_test(test_numbers_past_the_last),
        cmocka_unit_test(test_what_qemu_takes_apart),
        cmocka_unit_test(test_no_effect),
        cmocka_unit_test(test_unknown_collected),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_what_only_looks_like_attributes),
        cmocka_unit_test(test_many_of_a_kind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
