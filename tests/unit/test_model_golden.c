/* tests/unit/test_model_golden.c - each input becomes what libvirt 9.0 makes of it
 *
 * NAME.xml is an input; NAME.out.xml and NAME.mig.xml are what stock libvirtd showed for it, NAME.err the code and domain it refused it
 * with (tests/golden/record.py).  NAME.berth, when there, is the code Berth refuses it with instead, with the reason.
 */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "model/complete.h"
#include "model_env.h"

static char *load(const char *name, const char *suffix)
{
    g_autofree char *file = g_strconcat(name, suffix, NULL);
    g_autofree char *path = g_build_filename(GOLDEN_DIR, "xml", file, NULL);
    char *text = NULL;
    return g_file_get_contents(path, &text, NULL, NULL) ? text : NULL;
}

/* True when equal; else prints where they part. */
static bool same(const char *name, const char *what, const char *got, const char *want)
{
    if (strcmp(got, want) == 0)
        return true;
    g_auto(GStrv) a = g_strsplit(got, "\n", -1);
    g_auto(GStrv) b = g_strsplit(want, "\n", -1);
    for (unsigned i = 0; a[i] || b[i]; i++) {
        if (g_strcmp0(a[i], b[i]) == 0)
            continue;
        print_error("%s%s line %u:\n  got  %s\n  want %s\n", name, what, i + 1, a[i] ? a[i] : "(end)", b[i] ? b[i] : "(end)");
        break;
    }
    const char *dir = g_getenv("GOLDEN_GOT");
    if (dir) {
        g_autofree char *file = g_strconcat(name, what, NULL);
        g_autofree char *path = g_build_filename(dir, file, NULL);
        (void)g_file_set_contents(path, got, -1, NULL);
    }
    return false;
}

static bool replay_error(const char *name, const Err *err)
{
    g_autofree char *ours = load(name, ".berth");
    g_autofree char *theirs = load(name, ".err");
    const char *want = ours ? ours : theirs;
    if (!want) {
        print_error("%s refused: %d %s\n", name, err->code, err->detail);
        return false;
    }
    if (atoi(want) != err->code) {
        print_error("%s refused with code %d (%s), want %s\n", name, err->code, err->detail, want);
        return false;
    }
    return true;
}

static bool replay(const char *name)
{
    g_autofree char *xml = load(name, ".xml");
    g_autofree char *out = load(name, ".out.xml");
    g_autofree char *mig = load(name, ".mig.xml");
    g_autofree char *ours = load(name, ".berth");
    g_auto(Err) err = ERR_INIT;
    g_autoptr(DomainDef) d = model_define(xml, 0, &err);
    if (!d)
        return replay_error(name, &err);
    if (!out || ours) {
        print_error("%s was accepted\n", name);
        return false;
    }
    g_autofree char *got = domain_def_format(d, FORMAT_INACTIVE | FORMAT_SECURE);
    if (!same(name, ".out.xml", got, out))
        return false;
    g_autofree char *got_mig = domain_def_format(d, FORMAT_MIGRATABLE | FORMAT_SECURE);
    if (!same(name, ".mig.xml", got_mig, mig ? mig : out))
        return false;
    /* Completed once, nothing moves any more: neither through a copy nor through text. */
    g_autoptr(DomainDef) copy = domain_def_copy(d);
    if (domain_def_complete(copy, model_env(), &err) < 0)
        return false;
    g_autofree char *twice = domain_def_format(copy, FORMAT_INACTIVE | FORMAT_SECURE);
    g_autoptr(DomainDef) again = model_define(out, 0, &err);
    if (!again)
        return replay_error(name, &err);
    g_autofree char *thrice = domain_def_format(again, FORMAT_INACTIVE | FORMAT_SECURE);
    /* Reading sorts controllers and disks and numbers consoles; beyond that nothing changes. */
    domain_def_resort(copy);
    g_autofree char *sorted = domain_def_format(copy, FORMAT_INACTIVE | FORMAT_SECURE);
    return same(name, ".twice", twice, out) && same(name, ".thrice", thrice, sorted);
}

static void test_all(void **state)
{
    unsigned n = 0, bad = 0;

    g_autofree char *path = g_build_filename(GOLDEN_DIR, "xml", NULL);
    GDir *dir = g_dir_open(path, 0, NULL);
    assert_non_null(dir);
    const char *only = g_getenv("GOLDEN_ONLY");
    for (const char *file; (file = g_dir_read_name(dir));) {
        if (!g_str_has_suffix(file, ".xml") || g_str_has_suffix(file, ".out.xml") || g_str_has_suffix(file, ".mig.xml") ||
            g_str_has_suffix(file, ".live.xml"))
            continue;
        g_autofree char *name = g_strndup(file, strlen(file) - 4);
        if (only && strcmp(only, name) != 0)
            continue;
        n++;
        bad += !replay(name);
    }
    g_dir_close(dir);
    print_message("%u goldens, %u bad\n", n, bad);
    assert_true(n >= 60 || only);
    assert_int_equal(bad, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
