/* tests/unit/test_defs_index.c - the index of known definitions is never believed against the files */
#include "config.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "util/file.h"
#include "store/defs.h"
#include "store/defs_index.h"

static char *top, *etc, *index_path;

static int setup(void **state)
{
    top = g_strdup("/tmp/berth-index-XXXXXX");
    if (!mkdtemp(top))
        return -1;
    etc = g_build_filename(top, "etc", NULL);
    index_path = g_build_filename(top, "cache", "definitions", NULL);
    return mkdir(etc, 0700);
}

static int teardown(void **state)
{
    g_autoptr(GDir) d = g_dir_open(etc, 0, NULL);
    for (const char *n; d && (n = g_dir_read_name(d));) {
        g_autofree char *p = g_build_filename(etc, n, NULL);
        unlink(p);
    }
    g_autofree char *cache = g_path_get_dirname(index_path);
    unlink(index_path);
    rmdir(cache);
    rmdir(etc);
    rmdir(top);
    g_free(index_path);
    g_free(etc);
    g_free(top);
    return 0;
}

/* Written as a person would: not in our words. */
static char *loose_xml(const char *name, unsigned nr, const char *more)
{
    return g_strdup_printf("<domain type='qemu'><name>%s</name><uuid>a1b2c3d4-0000-4000-8000-%012u</uuid>"
                           "<memory unit='KiB'>65536</memory><currentMemory>65536</currentMemory><vcpu>2</vcpu>"
                           "<os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os>"
                           "<devices><emulator>/usr/bin/qemu-system-x86_64</emulator>%s</devices></domain>\n",
                           name, nr, more);
}

static void put_file(const char *name, const char *text)
{
    g_autofree char *p = g_strdup_printf("%s/%s.xml", etc, name);
    assert_int_equal(file_replace(p, text, strlen(text), 0600, 0), 0);
}

static void put_loose(const char *name, unsigned nr, const char *more)
{
    g_autofree char *xml = loose_xml(name, nr, more);
    put_file(name, xml);
}

static StoredDef *stored(const char *name, unsigned nr)
{
    g_auto(Err) err = ERR_INIT;
    g_autofree char *xml = loose_xml(name, nr, "");
    g_autoptr(DomainDef) d = domain_def_parse(xml, PARSE_INACTIVE, NULL, &err);
    if (!d)
        fail_msg("%s", err.detail);
    return stored_def_new(d);
}

/* Everything a load tells, as one text. */
static char *load_with(const char *index)
{
    g_auto(Err) err = ERR_INIT;
    DefsStore *s = defs_open(etc, index);
    g_autoptr(GPtrArray) all = defs_load(s, &err);
    assert_non_null(all);
    GString *out = g_string_new(NULL);
    for (unsigned i = 0; i < all->len; i++) {
        const LoadedDef *l = all->pdata[i];
        const DefNumbers *n = &l->def->numbers;
        g_string_append_printf(out, "%s %02x %u %u %u %u %s %d\n%s", l->name, l->def->uuid[15], (unsigned)n->max_memory_kib,
                               (unsigned)n->cur_memory_kib, n->max_vcpus, n->cur_vcpus, n->os_type, l->def->plain, l->def->text);
    }
    defs_close(s);
    return g_string_free(out, FALSE);
}

static void same_as_files(void)
{
    g_autofree char *without = load_with(NULL), *with = load_with(index_path), *again = load_with(index_path);
    assert_string_equal(with, without);
    assert_string_equal(again, without);
}

static bool known(const char *name)
{
    g_autofree char *p = g_strdup_printf("%s/%s.xml", etc, name), *text = NULL;
    size_t len;
    assert_int_equal(file_read(p, 1 << 20, &text, &len), 0);
    DefsIndex *x = defs_index_open(index_path);
    g_autoptr(StoredDef) def = defs_index_find(x, defs_index_key(name, text, len), text, len);
    defs_index_free(x);
    return def != NULL;
}

static void save(const char *name, unsigned nr)
{
    g_auto(Err) err = ERR_INIT;
    DefsStore *s = defs_open(etc, index_path);
    g_autoptr(GPtrArray) all = defs_load(s, &err);
    assert_non_null(all);
    g_autoptr(StoredDef) def = stored(name, nr);
    assert_int_equal(defs_save(s, name, def, true, &err), 0);
    defs_close(s); /* without a word, as if killed */
}

static void test_remembers(void **state)
{
    put_loose("loose", 1, "");
    save("own", 2);
    same_as_files();
    assert_true(known("loose") && known("own"));
    save("late", 3); /* appended, not written by a load */
    assert_true(known("late") && known("loose"));
    same_as_files();
}

static void test_edited_by_hand(void **state)
{
    put_loose("a", 1, "");
    same_as_files();
    g_autofree char *p = g_strdup_printf("%s/a.xml", etc), *text = NULL;
    struct stat st;
    size_t len;
    assert_int_equal(stat(p, &st), 0);
    assert_int_equal(file_read(p, 1 << 20, &text, &len), 0);
    /* one digit, in place: inode, size and times stay */
    strstr(text, "65536")[0] = '7';
    int fd = open(p, O_WRONLY);
    assert_int_equal(write(fd, text, len), (ssize_t)len);
    const struct timespec times[2] = {st.st_atim, st.st_mtim};
    assert_int_equal(futimens(fd, times), 0);
    close(fd);
    assert_false(known("a"));
    g_autofree char *now = load_with(index_path);
    assert_non_null(strstr(now, "75536"));
    same_as_files();
}

static void test_copied_and_broken(void **state)
{
    put_loose("a", 1, "");
    same_as_files();
    g_autofree char *text = loose_xml("a", 1, "");
    put_file("copy", text); /* content that is known, under another name */
    put_file("broken", "<domain type='qemu'><name>broken</name>");
    same_as_files();
    g_autofree char *now = load_with(index_path);
    assert_null(strstr(now, "copy"));
    assert_null(strstr(now, "broken"));
    assert_false(known("copy") || known("broken"));
    put_loose("broken", 2, "");
    g_free(now);
    now = load_with(index_path);
    assert_non_null(strstr(now, "broken"));
    put_file("a", "<domain type='qemu'><name>a</name>"); /* was good, is not any more */
    g_free(now);
    now = load_with(index_path);
    assert_null(strstr(now, "a 01"));
}

static void test_damaged(void **state)
{
    put_loose("a", 1, "");
    save("b", 2);
    g_autofree char *want = load_with(NULL);
    g_free(load_with(index_path));
    g_autofree char *good = NULL;
    size_t len;
    assert_int_equal(file_read(index_path, 1 << 20, &good, &len), 0);
    for (size_t i = 0; i < len; i++) { /* cut off anywhere, any byte changed */
        assert_int_equal(file_replace(index_path, good, i, 0600, 0), 0);
        g_autofree char *cut = load_with(index_path);
        assert_string_equal(cut, want);
        g_autofree char *bad = g_memdup2(good, len);
        bad[i] ^= 0x11;
        assert_int_equal(file_replace(index_path, bad, len, 0600, 0), 0);
        g_autofree char *changed = load_with(index_path);
        assert_string_equal(changed, want);
        assert_true(known("a") && known("b")); /* and it is whole again */
    }
    unlink(index_path);
    same_as_files();
    unlink(index_path);
    assert_int_equal(mkdir(index_path, 0700), 0); /* cannot be read, cannot be written */
    same_as_files();
    rmdir(index_path);
}

static void test_secret_stays_in_its_file(void **state)
{
    put_loose("a", 1, "<graphics type='vnc' port='-1' autoport='yes' passwd='sesame'/>");
    same_as_files();
    g_autofree char *text = NULL;
    size_t len;
    assert_int_equal(file_read(index_path, 1 << 20, &text, &len), 0);
    assert_null(memmem(text, len, "sesame", 6));
}

static void test_forgets_what_is_gone(void **state)
{
    for (unsigned i = 0; i < 100; i++) { /* enough for more than one thread */
        g_autofree char *name = g_strdup_printf("m%u", i);
        put_loose(name, i, "");
    }
    same_as_files();
    struct stat before, after;
    assert_int_equal(stat(index_path, &before), 0);
    for (unsigned i = 10; i < 100; i++) {
        g_autofree char *p = g_strdup_printf("%s/m%u.xml", etc, i);
        unlink(p);
    }
    same_as_files();
    assert_int_equal(stat(index_path, &after), 0);
    assert_true(after.st_size < before.st_size / 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_remembers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_edited_by_hand, setup, teardown),
        cmocka_unit_test_setup_teardown(test_copied_and_broken, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damaged, setup, teardown),
        cmocka_unit_test_setup_teardown(test_secret_stays_in_its_file, setup, teardown),
        cmocka_unit_test_setup_teardown(test_forgets_what_is_gone, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
