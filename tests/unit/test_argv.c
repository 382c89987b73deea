/* unit/test_argv.c - definitions to command lines, against tests/golden/argv
 *
 * NAME.xml is a live definition (aliases and addresses in place) or one as users write it, NAME.argv the command line expected.  GOLDEN_UPDATE=1 writes the .argv
 * files anew; the difference is then to be reviewed.
 */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "golden.h"
#include "qemu/argv.h"
#include "qemu/image_chain.h"
#include "qemu/props.h"

static QemuCapsCache *cache;
static QemuCaps *caps;

static int setup(void **state)
{
    QemuCapsConfig c = {.uid = (uid_t)-1};
    cache = qemu_caps_cache_new(&c);
    g_auto(Err) err = ERR_INIT;
    if (access(GOLDEN_QEMU, X_OK) == 0) {
        caps = qemu_caps_get(cache, GOLDEN_QEMU, deadline_in_ms(60000), &err);
        if (caps == NULL)
            print_error("%s\n", err.detail);
    }
    return 0;
}

static int teardown(void **state)
{
    qemu_caps_unref(caps);
    qemu_caps_cache_free(cache);
    return 0;
}

static DomainDef *parse(const char *xml)
{
    g_auto(Err) err = ERR_INIT;
    DomainDef *d = golden_parse(xml, caps, &err);
    if (d == NULL)
        print_error("%s\n", err.detail);
    assert_non_null(d);
    return d;
}

static Argv *build(const DomainDef *def, ArgvFlags flags, Err *err)
{
    ArgvEnv env = {
        .caps = caps,
        .private_dir = "/lib/domain-1-golden",
        .channel_dir = "/lib/channel/target",
        .now = 1800000000,
        .flags = flags,
    };
    return qemu_argv_build(def, &env, err);
}

static void test_golden(void **state)
{
    if (caps == NULL)
        skip();
    g_auto(GStrv) names = golden_names();
    assert_non_null(names[0]);
    unsigned bad = 0;
    for (char **n = names; *n; n++) {
        g_autofree char *xml = golden_read(*n, ".xml");
        g_autoptr(DomainDef) def = parse(xml);
        unsigned next = 0;
        qemu_assign_nodes(def, &next);
        g_auto(Err) err = ERR_INIT;
        g_autoptr(Argv) a = build(def, 0, &err);
        if (a == NULL)
            print_error("%s: %s\n", *n, err.detail);
        assert_non_null(a);
        g_autofree char *line = qemu_argv_to_string(a, true);
        g_autofree char *text = g_strconcat(line, "\n", NULL);
        if (getenv("GOLDEN_UPDATE")) {
            g_autofree char *path = g_strdup_printf("%s/%s.argv", GOLDEN_DIR, *n);
            assert_true(g_file_set_contents(path, text, -1, NULL));
        }
        g_autofree char *want = golden_read(*n, ".argv");
        if (want == NULL || strcmp(want, text) != 0) {
            print_error("%s differs from its golden command line; it is now:\n%s", *n, text);
            bad++;
        }
    }
    assert_int_equal(bad, 0);
}

/* Every planned descriptor has a number of its own that the arguments name, and images of backing chains are read-only. */
static void test_fd_plan(void **state)
{
    g_autofree char *xml = golden_read("q35-devices", ".xml");
    g_autoptr(DomainDef) def = parse(xml);
    g_auto(Err) err = ERR_INIT;
    g_autoptr(Argv) a = build(def, 0, &err);
    assert_non_null(a);
    g_autofree char *line = qemu_argv_to_string(a, false);
    unsigned writable = 0;
    for (unsigned i = 0; i < a->fds->len; i++) {
        const ArgvFd *f = &g_array_index(a->fds, ArgvFd, i);
        assert_int_equal(f->target, ARGV_FIRST_FD + (int)i);
        g_autofree char *needle = g_strdup_printf("fd=%d", f->target);
        assert_non_null(strstr(line, needle));
        if (f->path && g_str_has_suffix(f->path, "base.raw"))
            assert_int_equal(f->flags & O_ACCMODE, O_RDONLY);
        if (f->path && g_str_has_suffix(f->path, "top.qcow2")) {
            assert_int_equal(f->flags & O_ACCMODE, O_RDWR);
            writable++;
        }
    }
    assert_int_equal(writable, 1);
    assert_null(strstr(line, "/images/top.qcow2")); /* QEMU learns no path of an image it gets as a descriptor */
    assert_null(strstr(line, "secret"));            /* nor a password */
}

static void test_native(void **state)
{
    g_autofree char *xml = golden_read("q35-devices", ".xml");
    g_autoptr(DomainDef) def = parse(xml);
    g_auto(Err) err = ERR_INIT;
    g_autoptr(Argv) a = build(def, ARGV_NATIVE, &err);
    assert_non_null(a);
    assert_int_equal(a->fds->len, 0);
    g_autofree char *line = qemu_argv_to_string(a, false);
    assert_null(strchr(line, '\n'));
    assert_non_null(strstr(line, "\"filename\":\"/images/top.qcow2\""));
    assert_non_null(strstr(line, "path=/lib/domain-1-golden/monitor.sock,server=on,wait=off"));
    assert_null(strstr(line, "fd="));
}

#define MINIMAL(name, rest) \
    "<domain type='qemu'><name>" name "</name><uuid>11111111-2222-3333-4444-555555555599</uuid><memory>262144</memory><os>" \
    "<type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os><devices><emulator>/usr/bin/qemu</emulator>" rest "</devices></domain>"

/* A channel nobody named has its socket by its place, as libvirt calls it. */
static void test_channel_without_name(void **state)
{
    g_auto(Err) err = ERR_INIT;
    g_autoptr(DomainDef) def = domain_def_parse(
        MINIMAL("x", "<controller type='pci' index='0' model='pcie-root'><alias name='pcie.0'/></controller><controller type='virtio-serial' index='1'>"
                     "<alias name='virtio-serial1'/><address type='pci' bus='0' slot='5'/></controller><channel type='unix'><target type='virtio'/>"
                     "<alias name='channel0'/><address type='virtio-serial' controller='1' port='12'/></channel>"),
        0, NULL, &err);
    assert_non_null(def);
    g_autoptr(Argv) a = build(def, ARGV_NATIVE, &err);
    assert_non_null(a);
    g_autofree char *line = qemu_argv_to_string(a, false);
    assert_non_null(strstr(line, "path=/lib/channel/target/domain-1-golden/vioser-01-00-12.sock,"));
}

static void test_quoting(void **state)
{
    g_auto(Err) err = ERR_INIT;
    g_autoptr(DomainDef) def = domain_def_parse(MINIMAL("a,b'c d", ""), 0, NULL, &err);
    assert_non_null(def);
    g_autoptr(Argv) a = build(def, 0, &err);
    assert_non_null(a);
    assert_string_equal(a->args->pdata[2], "guest=a,,b'c d,debug-threads=on");
    g_autofree char *line = qemu_argv_to_string(a, false);
    assert_non_null(strstr(line, " -name 'guest=a,,b'\\''c d,debug-threads=on' "));
    g_autoptr(DomainDef) shown = domain_def_parse(MINIMAL("x", "<graphics type='vnc' port='5901' listen='127.0.0.1,password=off'/>"), 0, NULL, &err);
    assert_non_null(shown);
    g_autoptr(Argv) vnc = build(shown, 0, &err);
    assert_non_null(vnc);
    g_autofree char *text = qemu_argv_to_string(vnc, false);
    assert_non_null(strstr(text, " 127.0.0.1,,password=off:1,"));
}

#define BRIDGED(rest) "<interface type='bridge'><source bridge='br0'/><model type='virtio'/>" rest "</interface>"

static void test_refused(void **state)
{
    static const struct {
        const char *xml, *word;
    } cases[] = {
        {MINIMAL("x", "<interface type='network'><mac address='52:54:00:00:00:01'/><source network='default'/></interface>"), "network"},
        {MINIMAL("x", "<controller type='pci' index='0' model='pcie-root'/><controller type='pci' index='1' model='auto'/>"), "auto"},
        {MINIMAL("x", "<graphics type='sdl'/>"), "sdl"},
        {MINIMAL("x", "<graphics type='vnc' port='0' autoport='no'/>"), "vnc port"},
        {MINIMAL("x", "<graphics type='vnc' port='5899' autoport='no'/>"), "vnc port"},
        {MINIMAL("x", BRIDGED("<driver queues='4294967295'/>")), "4294967295 queues"},
        {MINIMAL("x", BRIDGED("<port isolated='yes'/>")), "isolated"},
        {MINIMAL("x", BRIDGED("<script path='/etc/qemu-ifup'/>")), "/etc/qemu-ifup"},
        {MINIMAL("x", BRIDGED("<downscript path='/etc/qemu-ifdown'/>")), "<downscript"},
        {MINIMAL("x", BRIDGED("<ip address='10.1.0.1' prefix='24'/>")), "<ip>"},
        {MINIMAL("x", "<interface type='bridge' trustGuestRxFilters='yes'><source bridge='br0'/></interface>"), "trustGuestRxFilters"},
        {MINIMAL("x", "<disk type='file'><driver name='qemu' type='qcow2'/><source file='/a' index='1'><slices><slice type='storage' offset='65536' "
                      "size='65536'/></slices></source><target dev='vda' bus='virtio'/></disk>"), "<slices>"},
    };
    for (unsigned i = 0; i < N_ELEMENTS(cases); i++) {
        g_auto(Err) err = ERR_INIT;
        g_autoptr(DomainDef) def = domain_def_parse(cases[i].xml, 0, NULL, &err);
        if (def == NULL)
            continue; /* refused earlier: as good */
        g_autoptr(Argv) a = build(def, 0, &err);
        assert_null(a);
        assert_int_equal(err.code, VIR_ERR_CONFIG_UNSUPPORTED);
        if (strstr(err.detail, cases[i].word) == NULL)
            print_error("%s\n", err.detail);
        assert_non_null(strstr(err.detail, cases[i].word));
    }
}

/* Once accepted and not passed on. */
static void test_not_forgotten(void **state)
{
    g_auto(Err) err = ERR_INIT;
    g_autoptr(DomainDef) def = domain_def_parse(
        "<domain type='qemu'><name>x</name><memory>262144</memory><os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os>"
        "<cpu><model>qemu64</model></cpu><clock offset='utc'><timer name='hypervclock' present='yes'/></clock><devices><emulator>/usr/bin/qemu</emulator>"
        "<controller type='pci' index='0' model='pcie-root'><alias name='pcie.0'/><pcihole64 unit='GiB'>2</pcihole64></controller>"
        "<rng model='virtio'><backend model='random'>/dev/urandom</backend><alias name='rng0'/><acpi index='7'/>"
        "<address type='pci' bus='0' slot='5'/></rng></devices></domain>",
        0, NULL, &err);
    assert_non_null(def);
    g_autoptr(Argv) a = build(def, 0, &err);
    assert_non_null(a);
    g_autofree char *line = qemu_argv_to_string(a, false);
    assert_non_null(strstr(line, " -cpu qemu64,hv-time=on "));
    assert_non_null(strstr(line, "\"addr\":\"0x5\",\"acpi-index\":7"));
    assert_non_null(strstr(line, " -global q35-pcihost.pci-hole64-size=2097152K "));
}

/* The same object serves the command line and device_add. */
static void test_props_are_shared(void **state)
{
    g_autofree char *xml = golden_read("q35-devices", ".xml");
    g_autoptr(DomainDef) def = parse(xml);
    g_auto(Err) err = ERR_INIT;
    g_autoptr(Argv) a = build(def, 0, &err);
    g_autofree char *line = qemu_argv_to_string(a, false);
    for (unsigned i = 0; i < def->disks->len; i++) {
        json_t *o = qemu_disk_props(def, def->disks->pdata[i], caps, &err);
        assert_non_null(o);
        g_autofree char *text = props_text(o);
        json_decref(o);
        g_autofree char *needle = g_strdup_printf("-device '%s'", text);
        assert_non_null(strstr(line, needle));
    }
}

static void test_node_numbers(void **state)
{
    g_autofree char *xml = golden_read("q35-devices", ".xml");
    g_autoptr(DomainDef) def = parse(xml);
    for (unsigned i = 0; i < def->disks->len; i++) {
        for (StorageSource *s = ((DiskDef *)def->disks->pdata[i])->src; s; s = s->backing)
            s->index.set = false;
    }
    unsigned next = 0;
    qemu_assign_nodes(def, &next);
    assert_int_equal(next, 11);
    const DiskDef *first = def->disks->pdata[0];
    assert_int_equal(first->src->index.v, 9); /* the last disk has 1, the chain of the first 9, 10, 11 */
    assert_int_equal(first->src->backing->backing->index.v, 11);
    qemu_assign_nodes(def, &next);
    assert_int_equal(next, 11); /* numbers stay */
}

#define NET(host, rest, driver)                                                                                                                    \
    MINIMAL("x", "<disk type='network'><driver name='qemu' type='raw'" driver "/><source protocol='nbd' name='a b/c'>" host                        \
                 "</source><target dev='vda' bus='virtio'/>" rest "</disk>")

/* Exports of servers: what QEMU is told, what a header above says, and that this leads to the same export again. */
static void test_network(void **state)
{
    static const struct {
        const char *xml, *server, *options, *name;
    } cases[] = {
        {NET("<host name='127.0.0.1'/>", "", ""), "{\"type\":\"inet\",\"host\":\"127.0.0.1\",\"port\":\"10809\"}", "", "nbd://127.0.0.1:10809/a%20b/c"},
        {NET("<host name='::1' port='7'/>", "", " cache='none'"), "{\"type\":\"inet\",\"host\":\"::1\",\"port\":\"7\"}",
         "\"cache\":{\"direct\":true,\"no-flush\":false},", "nbd://[::1]:7/a%20b/c"},
        {NET("<host transport='unix' socket='/s p&amp;q'/><reconnect delay='9'/>", "", ""), "{\"type\":\"unix\",\"path\":\"/s p&q\"}", "",
         "nbd+unix:///a%20b/c?socket=/s%20p%26q"},
    };
    for (unsigned i = 0; i < N_ELEMENTS(cases); i++) {
        g_autoptr(DomainDef) def = parse(cases[i].xml);
        g_auto(Err) err = ERR_INIT;
        DiskDef *disk = def->disks->pdata[0];
        disk->src->index = (OptU64){true, 1};
        g_autoptr(Argv) a = build(def, 0, &err);
        assert_non_null(a);
        g_autofree char *line = qemu_argv_to_string(a, false);
        g_autofree char *want =
            g_strdup_printf("{\"driver\":\"nbd\",\"server\":%s,\"export\":\"a b/c\",%s\"node-name\":\"libvirt-1-storage\",%s"
                            "\"auto-read-only\":true,\"discard\":\"unmap\"}",
                            cases[i].server, disk->src->nbd_reconnect.v ? "\"reconnect-delay\":9," : "", cases[i].options);
        if (!strstr(line, want))
            fail_msg("no %s in %s", want, line);
        ImageHeader h = {.backing = qemu_backing_name(disk->src)};
        assert_string_equal(h.backing, cases[i].name);
        g_autoptr(ImageNbd) n = image_backing_nbd(&h);
        assert_non_null(n);
        assert_string_equal(n->name, "a b/c");
        assert_int_equal(g_strcmp0(n->host, disk->src->nbd_host), 0);
        assert_int_equal(g_strcmp0(n->socket, disk->src->nbd_socket), 0);
        assert_true(!n->host || n->port == disk->src->nbd_port);
        g_free(h.backing);
    }
}

/* What QEMU would take and make nothing of. */
static void test_impossible_clock(void **state)
{
    static const struct {
        const char *hz;
        bool good;
    } cases[] = {{"999", false}, {"1000", true}, {"2147483647000", true}, {"4294967295001", false}, {"18446744073709551615", false}};
    for (unsigned i = 0; i < N_ELEMENTS(cases); i++) {
        g_autofree char *xml =
            g_strdup_printf("<domain type='qemu'><name>x</name><memory>65536</memory><os><type arch='x86_64' machine='q35'>hvm</type></os>"
                            "<clock offset='utc'><timer name='tsc' frequency='%s'/><timer name='rtc' tickpolicy='catchup'>"
                            "<catchup threshold='1' slew='2' limit='3'/></timer></clock></domain>",
                            cases[i].hz);
        g_autoptr(DomainDef) def = parse(xml);
        g_auto(Err) err = ERR_INIT;
        g_autoptr(Argv) a = build(def, 0, &err);
        assert_int_equal(a != NULL, cases[i].good);
        if (!a) {
            assert_int_equal(err.code, VIR_ERR_CONFIG_UNSUPPORTED);
            assert_non_null(strstr(err.detail, cases[i].hz));
            continue;
        }
        g_autofree char *line = qemu_argv_to_string(a, false);
        assert_non_null(strstr(line, "driftfix=slew")); /* the rest of <catchup> QEMU has no words for */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),  cmocka_unit_test(test_fd_plan),          cmocka_unit_test(test_native),
        cmocka_unit_test(test_channel_without_name),
        cmocka_unit_test(test_quoting), cmocka_unit_test(test_refused),          cmocka_unit_test(test_props_are_shared),
        cmocka_unit_test(test_node_numbers), cmocka_unit_test(test_network), cmocka_unit_test(test_impossible_clock),
        cmocka_unit_test(test_not_forgotten),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
