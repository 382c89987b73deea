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
#include "util/xml.h"
#include "store/autostart.h"
#include "store/defs.h"
#include "store/status.h"

static char *dir;
static DefsStore *store;

static int setup(void **state)
{
    dir = g_strdup("/tmp/berth-store-XXXXXX");
    if (!mkdtemp(dir))
        return -1;
    store = defs_open(dir, NULL);
    return 0;
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
    defs_close(store);
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

static StoredDef *stored_named(const char *name)
{
    g_autoptr(DomainDef) d = def_named(name);
    return stored_def_new(d);
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

/* As a daemon that starts. */
static GPtrArray *load_anew(const char *path)
{
    g_auto(Err) err = ERR_INIT;
    DefsStore *s = defs_open(path, NULL);
    GPtrArray *all = defs_load(s, &err);
    defs_close(s);
    if (!all)
        fail_msg("%s", err.detail);
    return all;
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
                 {"a\xff", VIR_ERR_XML_ERROR},
                 {"a\xef\xbf\xbf", VIR_ERR_XML_ERROR},
                 {long_name, VIR_ERR_XML_ERROR}};
    for (unsigned i = 0; i < N_ELEMENTS(cases); i++) {
        g_auto(Err) err = ERR_INIT;
        assert_int_equal(defs_check_name(cases[i].name, &err), cases[i].code ? -1 : 0);
        assert_int_equal(err.code, cases[i].code);
    }
    /* the longest name also has room for its temporary */
    g_autoptr(StoredDef) d = stored_named(fits);
    g_auto(Err) err = ERR_INIT;
    assert_int_equal(defs_save(store, fits, d, true, &err), 0);
    assert_int_equal(defs_remove(store, fits, &err), 0);
}

static void test_definitions(void **state)
{
    g_auto(Err) err = ERR_INIT;
    g_autoptr(StoredDef) a = stored_named("a"), z = stored_named("z--<&'");
    assert_int_equal(defs_save(store, "z--<&'", z, true, &err), 0);
    assert_int_equal(defs_save(store, "a", a, true, &err), 0);
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

    g_autoptr(GPtrArray) all = load_anew(dir);
    assert_int_equal(all->len, 2);
    assert_string_equal(((LoadedDef *)all->pdata[0])->name, "a");
    assert_string_equal(((LoadedDef *)all->pdata[1])->name, "z--<&'");
    assert_true(there("broken.xml")); /* left for its owner to repair */

    g_autoptr(StoredDef) b = stored_named("b");
    assert_int_equal(defs_rename(store, "a", "b", b, true, &err), 0);
    assert_false(there("a.xml"));
    assert_true(there("b.xml"));
    assert_int_equal(defs_check_free(store, "a", &err), 0);
    assert_int_equal(defs_check_free(store, "broken", &err), -1);
    err_clear(&err);
    g_autofree char *b_xml = path_of("b.xml"), *old_xml = path_of("old.xml");
    assert_int_equal(rename(b_xml, old_xml), 0); /* as a crash in the middle leaves it */
    g_autoptr(GPtrArray) again = load_anew(dir);
    assert_int_equal(again->len, 2);
    assert_false(there("old.xml"));
    assert_true(there("b.xml"));
    assert_int_equal(defs_remove(store, "b", &err), 0);
    assert_int_equal(defs_remove(store, "b", &err), 0);
    assert_false(there("b.xml"));

    g_autofree char *missing = path_of("nowhere");
    g_autoptr(GPtrArray) none = load_anew(missing);
    assert_int_equal(none->len, 0);
    assert_int_equal(err.code, 0);
}

static void test_failed_write_keeps_old(void **state)
{
    if (geteuid() == 0) { /* permissions do not stop root: a directory in the way does */
        g_autofree char *p = path_of("x.xml");
        g_auto(Err) err = ERR_INIT;
        g_autoptr(StoredDef) x = stored_named("x");
        assert_int_equal(mkdir(p, 0700), 0);
        assert_int_equal(defs_save(store, "x", x, true, &err), -1);
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
    g_autoptr(StoredDef) a = stored_named("a");
    assert_int_equal(defs_save(store, "a", a, true, &err), 0);
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

static void free_verdict(gpointer v)
{
    job_verdict_free(v);
}

static void free_blockjob(gpointer j)
{
    status_blockjob_free(j);
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
    char id[] = "berth-<copy>", kind[] = "copy", disk[] = "virtio-disk0", target[] = "vda";
    StatusBlockJob job = {.id = id, .kind = kind, .disk = disk, .target = target, .state = 2, .aborted_ready = true, .top = 4, .base = 2, .flags = 5, .begun_us = UINT64_MAX};
    rec.blockjobs = g_ptr_array_new_with_free_func(free_blockjob);
    g_ptr_array_add(rec.blockjobs, status_blockjob_copy(&job));
    char why[] = "it's <full>", odd[] = "\x01\xff";
    JobVerdict ended = {.id = id, .kind = kind, .disk = disk, .type = 2, .status = 1, .error = why, .begun_us = 3, .ended_us = UINT64_MAX, .bytes = 9};
    rec.verdicts = g_ptr_array_new_with_free_func(free_verdict);
    g_ptr_array_add(rec.verdicts, job_verdict_copy(&ended));
    ended.error = odd; /* QEMU may say anything: the machine must be found again */
    g_ptr_array_add(rec.verdicts, job_verdict_copy(&ended));
    assert_int_equal(status_save(dir, &rec, &err), 0);
    g_auto(StatusRecord) back = {0};
    assert_int_equal(status_load(dir, "s", &back, &err), STATUS_OK);
    assert_int_equal(back.verdicts->len, 2);
    const JobVerdict *v = back.verdicts->pdata[0];
    assert_true(job_verdict_same(v, &ended));
    assert_string_equal(v->error, why);
    assert_true(v->type == 2 && v->status == 1 && v->ended_us == UINT64_MAX && v->bytes == 9);
    assert_int_equal(back.blockjobs->len, 1);
    const StatusBlockJob *j = back.blockjobs->pdata[0];
    assert_string_equal(j->id, "berth-<copy>");
    assert_string_equal(j->disk, "virtio-disk0");
    assert_true(j->state == 2 && j->aborted_ready && j->top == 4 && j->base == 2 && j->flags == 5 && j->begun_us == UINT64_MAX);
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

/* A chain of images as long as there may be makes a deeper document than clients may send. */
static void test_status_of_a_long_chain(void **state)
{
    g_autoptr(GString) xml = g_string_new("<domain type='qemu' id='1'><name>c</name><uuid>a1b2c3d4-0000-4000-8000-000000000001</uuid>"
                                          "<memory>1024</memory><currentMemory>1024</currentMemory><vcpu>1</vcpu>"
                                          "<os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os>"
                                          "<devices><emulator>/q</emulator><disk type='file'><source file='/0'/><target dev='vda'/>");
    const unsigned depth = 199;
    for (unsigned i = 1; i <= depth; i++)
        g_string_append_printf(xml, "<backingStore type='file'><format type='qcow2'/><source file='/%u'/>", i);
    for (unsigned i = 1; i <= depth; i++)
        g_string_append(xml, "</backingStore>");
    g_string_append(xml, "</disk></devices></domain>");
    g_auto(Err) err = ERR_INIT;
    assert_null(domain_def_parse(xml->str, 0, NULL, &err));
    assert_non_null(strstr(err.detail, "deeply"));
    err_clear(&err);
    g_auto(StatusRecord) rec = {.live = domain_def_parse(xml->str, PARSE_OWN, NULL, &err), .id = 1, .state = 1, .pid = 99, .start_time = 1,
                                .monitor_path = g_strdup("/m")};
    assert_non_null(rec.live);
    assert_int_equal(status_save(dir, &rec, &err), 0);
    g_auto(StatusRecord) back = {0};
    if (status_load(dir, "c", &back, &err) != STATUS_OK)
        fail_msg("%s", err.detail);
    assert_int_equal(status_remove(dir, "c", &err), 0);
}

static void test_numbers_of_a_status_out_of_bounds(void **state)
{
    static const char *const machines[] = {
        "id='0' state='1' reason='1'", "id='2147483647' state='1' reason='1'", "id='-1' state='1' reason='1'",
        "id='1' state='8' reason='1'", "id='1' state='-1' reason='1'",         "id='1' state='1' reason='-1'",
    };
    for (unsigned i = 0; i < N_ELEMENTS(machines); i++) {
        g_autofree char *text = g_strdup_printf("<berthstatus format='1'><machine %s pid='99' starttime='5' monitor='/m'/>"
                                                "<domain type='qemu'><name>v</name></domain></berthstatus>",
                                                machines[i]);
        write_file("v.xml", text);
        g_auto(Err) err = ERR_INIT;
        StatusRecord rec = {0};
        assert_int_equal(status_load(dir, "v", &rec, &err), STATUS_BAD);
        assert_true(strstr(err.detail, ": id ") || strstr(err.detail, ": state "));
    }
}

/* No file longer than what is read; what was there stays. */
static void test_too_long_is_refused(void **state)
{
    g_auto(Err) err = ERR_INIT;
    g_autoptr(StoredDef) d = stored_named("long");
    assert_int_equal(defs_save(store, "long", d, true, &err), 0);
    g_autofree char *text = g_strnfill(XML_OWN_BYTES, 'x'); /* and the comment at its head */
    g_autoptr(StoredDef) longer = stored_def_from_text(text, XML_OWN_BYTES, &d->numbers, d->uuid, true);
    assert_int_equal(defs_save(store, "long", longer, false, &err), -1);
    assert_int_equal(err.code, VIR_ERR_XML_ERROR);
    err_clear(&err);
    assert_int_equal(defs_rename(store, "long", "longer", longer, false, &err), -1);
    assert_false(there("longer.xml"));
    g_autofree char *path = path_of("long.xml"), *content = NULL;
    assert_true(g_file_get_contents(path, &content, NULL, NULL));
    assert_non_null(strstr(content, "<name>long</name>"));
    assert_int_equal(defs_remove(store, "long", &err), 0);
}

/* A stored text that the next daemon could not read is refused by what is asked before anything is stored. */
static void test_unreadable_is_refused(void **state)
{
    g_auto(Err) err = ERR_INIT;
    g_autoptr(DomainDef) d = def_named("u");
    g_autoptr(StoredDef) good = stored_def_new(d), good_again = stored_def_reread(good, &err);
    assert_non_null(good_again);
    g_autoptr(DomainDef) broken = domain_def_copy(d);
    broken->metadata = g_strdup("<metadata><a></metadata>");
    g_autoptr(StoredDef) broken_text = stored_def_new(broken);
    assert_null(stored_def_reread(broken_text, &err));
    err_clear(&err);
    g_autoptr(DomainDef) incomplete = domain_def_copy(d);
    incomplete->max_vcpus = 0;
    g_autoptr(StoredDef) incomplete_text = stored_def_new(incomplete);
    assert_null(stored_def_reread(incomplete_text, &err));
    err_clear(&err);
    /* what is no text is left out by the writer, so that even then it can be read */
    g_autoptr(DomainDef) odd = domain_def_copy(d);
    odd->title = g_strdup("a\xff\xc0\x80z\x01\xef\xbf\xbf");
    g_autoptr(StoredDef) odd_text = stored_def_new(odd);
    g_autoptr(DomainDef) back = stored_def_parse(odd_text, &err);
    assert_non_null(back);
    assert_string_equal(back->title, "az");
}

/* A directory that cannot be listed is not an empty one. */
static void test_unlistable(void **state)
{
    g_auto(Err) err = ERR_INIT;
    write_file("file", "x");
    g_autofree char *no_dir = path_of("file");
    assert_null(defs_names(no_dir, &err));
    assert_int_equal(err.code, VIR_ERR_SYSTEM_ERROR);
    err_clear(&err);
    DefsStore *s = defs_open(no_dir, NULL);
    assert_null(defs_load(s, &err));
    assert_true(err_is_set(&err));
    defs_close(s);
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
        cmocka_unit_test_setup_teardown(test_status_of_a_long_chain, setup, teardown),
        cmocka_unit_test_setup_teardown(test_numbers_of_a_status_out_of_bounds, setup, teardown),
        cmocka_unit_test_setup_teardown(test_too_long_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unreadable_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unlistable, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
