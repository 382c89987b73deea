/* tests/unit/test_store.c - definitions, autostart links and status files on a real directory */
#include "config.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "util/file.h"
#include "util/uuid.h"
#include "store/autostart.h"
#include "store/defs.h"
#include "store/status.h"

static char *dir;

static int setup(void **state)
{
    dir = g_strdup("/tmp/berth-store-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static void remove_all(const char *path)
{
    GDir *d = g_dir_open(path, 0, NULL);
    const char *n;
    while (d && (n = g_dir_read_name(d))) {
        g_autofree char *p = g_build_filename(path, n, NULL);
        if (g_file_test(p, G_FILE_TEST_IS_DIR) && !g_file_test(p, G_FILE_TEST_IS_SYMLINK))
            remove_all(p);
        else
            unlink(p);
    }
    if (d)
        g_dir_close(d);
    rmdir(path);
}

static int teardown(void **state)
{
    remove_all(dir);
    g_free(dir);
    return 0;
}

static DomainDef *def_named(const char *name)
{
    g_autofree char *xml =
        g_markup_printf_escaped("<domain type='qemu'><name>%s</name><uuid>a1b2c3d4-0000-4000-8000-000000000001</uuid>"
                                "<memory unit='KiB'>65536</memory><currentMemory>65536</currentMemory><vcpu>1</vcpu>"
                                "<os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os>"
                                "<devices><emulator>/usr/bin/qemu-system-x86_64</emulator></devices></domain>",
                                name);
    Err err = ERR_INIT;
    DomainDef *d = domain_def_parse(xml, PARSE_INACTIVE, NULL, &err);
    if (!d)
        fail_msg("%s", err.detail);
    return d;
}

static char *path_of(const char *file)
{
    return g_build_filename(dir, file, NULL);
}

static void write_file(const char *file, const char *text)
{
    g_autofree char *p = path_of(file);
    assert_int_equal(file_replace(p, text, strlen(text), 0600, 0), 0);
}

static bool there(const char *file)
{
    g_autofree char *p = path_of(file);
    return access(p, F_OK) == 0;
}

static void test_names(void **state)
{
    g_autofree char *long_name = g_strnfill(300, 'x');
    g_autofree char *fits = g_strnfill(243, 'x');
    const struct {
        const char *name;
        int code;
    } cases[] = {{"vm", 0},
                 {"a b", 0},
                 {"..", 0},
                 {"\xc3\xa4", 0},
                 {".hidden", 0},
                 {fits, 0},
                 {"", VIR_ERR_NO_NAME},
                 {NULL, VIR_ERR_NO_NAME},
                 {"a/b", VIR_ERR_XML_ERROR},
                 {"/", VIR_ERR_XML_ERROR},
                 {"a\nb", VIR_ERR_XML_ERROR},
                 {long_name, VIR_ERR_XML_ERROR}};
    for (unsigned i = 0; i < N_ELEMENTS(cases); i++) {
        g_auto(Err) err = ERR_INIT;
        assert_int_equal(defs_check_name(cases[i].name, &err), cases[i].code ? -1 : 0);
        assert_int_equal(err.code, cases[i].code);
    }
    /* the longest name also has room for its temporary */
    g_autoptr(DomainDef) d = def_named(fits);
    g_auto(Err) err = ERR_INIT;
    assert_int_equal(defs_save(dir, d, &err), 0);
    assert_int_equal(defs_remove(dir, fits, &err), 0);
}

static void test_definitions(void **state)
{
    g_auto(Err) err = ERR_INIT;
    g_autoptr(DomainDef) a = def_named("a"), z = def_named("z--<&'");
    assert_int_equal(defs_save(dir, z, &err), 0);
    assert_int_equal(defs_save(dir, a, &err), 0);
    struct stat st;
    g_autofree char *p = path_of("a.xml");
    assert_int_equal(stat(p, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);

    write_file("broken.xml", "<domain><name>broken</name>");
    write_file("other.xml", "<domain type='qemu'><name>not-other</name></domain>");
    write_file(".gone.xml.Ab12Cd", "half");
    write_file(".keep.xml.ab.xml", "no temporary of ours");
    defs_clean(dir);
    assert_false(there(".gone.xml.Ab12Cd"));
    assert_true(there(".keep.xml.ab.xml"));

    g_autoptr(GPtrArray) all = defs_load(dir);
    assert_int_equal(all->len, 2);
    assert_string_equal(((DomainDef *)all->pdata[0])->name, "a");
    assert_string_equal(((DomainDef *)all->pdata[1])->name, "z--<&'");
    assert_true(there("broken.xml")); /* left for its owner to repair */

    g_autoptr(DomainDef) b = def_named("b");
    assert_int_equal(defs_rename(dir, "a", b, &err), 0);
    assert_false(there("a.xml"));
    assert_true(there("b.xml"));
    g_autofree char *b_xml = path_of("b.xml"), *old_xml = path_of("old.xml");
    assert_int_equal(rename(b_xml, old_xml), 0); /* as a crash in the middle leaves it */
    g_autoptr(GPtrArray) again = defs_load(dir);
    assert_int_equal(again->len, 2);
    assert_false(there("old.xml"));
    assert_true(there("b.xml"));
    assert_int_equal(defs_remove(dir, "b", &err), 0);
    assert_int_equal(defs_remove(dir, "b", &err), 0);
    assert_false(there("b.xml"));

    g_autofree char *missing = path_of("nowhere");
    g_autoptr(GPtrArray) none = defs_load(missing);
    assert_int_equal(none->len, 0);
    assert_int_equal(err.code, 0);
}

static void test_failed_write_keeps_old(void **state)
{
    if (geteuid() == 0) { /* permissions do not stop root: a directory in the way does */
        g_autofree char *p = path_of("x.xml");
        g_auto(Err) err = ERR_INIT;
        g_autoptr(DomainDef) x = def_named("x");
        assert_int_equal(mkdir(p, 0700), 0);
        assert_int_equal(defs_save(dir, x, &err), -1);
        assert_int_equal(err.code, VIR_ERR_SYSTEM_ERROR);
        assert_non_null(strstr(err.detail, p));
        g_autoptr(GDir) d = g_dir_open(dir, 0, NULL);
        const char *n;
        while ((n = g_dir_read_name(d)))
            assert_false(g_str_has_prefix(n, ".x.xml.")); /* no temporary stays */
        rmdir(p);
    }
}

static void test_autostart(void **state)
{
    g_auto(Err) err = ERR_INIT;
    g_autofree char *links = path_of("autostart");
    g_autoptr(DomainDef) a = def_named("a");
    assert_int_equal(defs_save(dir, a, &err), 0);
    assert_false(autostart_get(links, "a"));
    assert_int_equal(autostart_set(links, dir, "a", true, &err), 0);
    assert_int_equal(autostart_set(links, dir, "a", true, &err), 0);
    assert_true(autostart_get(links, "a"));
    g_autofree char *link = path_of("autostart/a.xml"), *target = g_file_read_link(link, NULL),
                    *want = path_of("a.xml");
    assert_string_equal(target, want);
    assert_int_equal(autostart_set(links, dir, "a", false, &err), 0);
    assert_false(autostart_get(links, "a"));
    assert_int_equal(err.code, 0);
}

static void test_status(void **state)
{
    g_auto(Err) err = ERR_INIT;
    char *taps[] = {g_strdup("vnet0"), g_strdup("vnet1"), NULL};
    StatusRecord rec = {.live = def_named("s"),
                        .id = 7,
                        .state = 1,
                        .reason = 2,
                        .life = 99,
                        .pid = 1234,
                        .start_time = UINT64_MAX - 1,
                        .monitor_path = g_strdup("/run/<odd>'&/monitor.sock"),
                        .private_dir = g_strdup("/d"),
                        .node_index = 5,
                        .taps = g_strdupv(taps),
                        .persistent = true,
                        .fake_reboot = true,
                        .job_what = g_strdup("save"),
                        .job_phase = 3};
    assert_int_equal(status_save(dir, &rec, &err), 0);
    g_auto(StatusRecord) back = {0};
    assert_int_equal(status_load(dir, "s", &back, &err), STATUS_OK);
    assert_int_equal(back.id, 7);
    assert_int_equal(back.pid, 1234);
    assert_true(back.start_time == UINT64_MAX - 1);
    assert_string_equal(back.monitor_path, rec.monitor_path);
    assert_null(back.cgroup);
    assert_int_equal(back.node_index, 5);
    assert_int_equal(g_strv_length(back.taps), 2);
    assert_true(back.persistent && back.fake_reboot && !back.starting);
    assert_string_equal(back.job_what, "save");
    assert_memory_equal(back.live->uuid, rec.live->uuid, UUID_LEN);
    status_record_clear(&rec);
    g_free(taps[0]);
    g_free(taps[1]);
    assert_int_equal(status_remove(dir, "s", &err), 0);
    StatusRecord none = {0};
    assert_int_equal(status_load(dir, "s", &none, &err), STATUS_MISSING);
    assert_int_equal(err.code, 0);
}

static void test_status_of_others(void **state)
{
    const struct {
        const char *text;
        StatusRead want;
    } cases[] = {
        {"<domstatus state='running' reason='booted' pid='77'><domain type='kvm'><name>v</name></domain></domstatus>",
         STATUS_FOREIGN},
        {"<berthstatus format='2'><machine/></berthstatus>", STATUS_FOREIGN},
        {"<berthstatus><machine/></berthstatus>", STATUS_FOREIGN},
        {"", STATUS_BAD},
        {"<berthstatus format='1'>", STATUS_BAD},
        {"<berthstatus format='1'/>", STATUS_BAD},
        {"<berthstatus format='1'><machine id='1'/><domain/></berthstatus>", STATUS_BAD},
        {"<berthstatus format='1'><machine id='x' state='1' reason='1' pid='5' starttime='5' monitor='/m'/>"
         "<domain type='qemu'><name>v</name></domain></berthstatus>",
         STATUS_BAD},
        {"<berthstatus format='1'><machine id='1' state='1' reason='1' pid='1' starttime='5' monitor='/m'/>"
         "<domain type='qemu'><name>v</name></domain></berthstatus>",
         STATUS_BAD},
    };
    for (unsigned i = 0; i < N_ELEMENTS(cases); i++) {
        g_auto(Err) err = ERR_INIT;
        StatusRecord rec = {0};
        write_file("v.xml", cases[i].text);
        if (status_load(dir, "v", &rec, &err) != cases[i].want)
            fail_msg("case %u: %s", i, err.detail ? err.detail : "accepted");
        assert_true(err_is_set(&err));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_names, setup, teardown),
        cmocka_unit_test_setup_teardown(test_definitions, setup, teardown),
        cmocka_unit_test_setup_teardown(test_failed_write_keeps_old, setup, teardown),
        cmocka_unit_test_setup_teardown(test_autostart, setup, teardown),
        cmocka_unit_test_setup_teardown(test_status, setup, teardown),
        cmocka_unit_test_setup_teardown(test_status_of_others, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
