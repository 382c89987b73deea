/* tests/unit/test_model_live.c - the form of a running guest
 *
 * NAME.live.xml is what stock libvirtd showed while a guest made from NAME.live.in ran.
 */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "model_env.h"

static char *load(const char *name, const char *suffix)
{
    g_autofree char *file = g_strconcat(name, suffix, NULL);
    g_autofree char *path = g_build_filename(GOLDEN_DIR, "xml", file, NULL);
    char *text = NULL;
    return g_file_get_contents(path, &text, NULL, NULL) ? text : NULL;
}

static void first_difference(const char *name, const char *got, const char *want)
{
    g_auto(GStrv) a = g_strsplit(got, "\n", -1);
    g_auto(GStrv) b = g_strsplit(want, "\n", -1);
    for (unsigned i = 0; a[i] || b[i]; i++) {
        if (g_strcmp0(a[i], b[i]) == 0)
            continue;
        print_error("%s line %u:\n  got  %s\n  want %s\n", name, i + 1, a[i] ? a[i] : "(end)", b[i] ? b[i] : "(end)");
        return;
    }
}

/* Reading and writing the live form changes nothing. */
static bool live_round_trip(const char *name, const char *live)
{
    g_auto(Err) err = ERR_INIT;
    g_autoptr(DomainDef) d = domain_def_parse(live, PARSE_STATUS, NULL, &err); /* keeps the order */
    if (!d) {
        print_error("%s: %s\n", name, err.detail);
        return false;
    }
    g_autofree char *got = domain_def_format(d, FORMAT_SECURE);
    if (strcmp(got, live) != 0) {
        first_difference(name, got, live);
        return false;
    }
    /* The status form keeps all of it, and what only the daemon knows. */
    GraphicsDef *g = d->graphics->len ? d->graphics->pdata[0] : NULL;
    ListenDef *listen = g && g->listens->len ? g->listens->pdata[0] : NULL;
    if (listen && listen->type == LISTEN_ADDRESS)
        listen->from_config = true;
    g_autofree char *status = domain_def_format(d, FORMAT_STATUS);
    g_autoptr(DomainDef) back = domain_def_parse(status, PARSE_STATUS, NULL, &err);
    if (!back) {
        print_error("%s status: %s\n", name, err.detail);
        return false;
    }
    g_autofree char *again = domain_def_format(back, FORMAT_STATUS);
    g_autofree char *shown = domain_def_format(back, FORMAT_SECURE);
    if (strcmp(again, status) != 0 || strcmp(shown, live) != 0) {
        first_difference(name, again, status);
        first_difference(name, shown, live);
        return false;
    }
    return true;
}

/* The aliases we would give, in document order. */
static bool same_aliases(const char *name, const char *input, const char *live)
{
    g_auto(Err) err = ERR_INIT;
    g_autoptr(DomainDef) d = model_define(input, 0, &err);
    if (!d) {
        print_error("%s: %s\n", name, err.detail);
        return false;
    }
    domain_def_assign_aliases(d);
    g_autofree char *got = domain_def_format(d, FORMAT_SECURE);
    g_auto(GStrv) a = g_strsplit(got, "<alias name='", -1);
    g_auto(GStrv) b = g_strsplit(live, "<alias name='", -1);
    for (unsigned i = 1; a[i] || b[i]; i++) {
        g_autofree char *x = a[i] ? g_strndup(a[i], strcspn(a[i], "'")) : g_strdup("(none)");
        g_autofree char *y = b[i] ? g_strndup(b[i], strcspn(b[i], "'")) : g_strdup("(none)");
        if (strcmp(x, y) != 0) {
            print_error("%s: alias %u is %s, want %s\n", name, i, x, y);
            return false;
        }
        if (!a[i] || !b[i])
            break;
    }
    return true;
}

static void test_live(void **state)
{
    g_autofree char *path = g_build_filename(GOLDEN_DIR, "xml", NULL);
    GDir *dir = g_dir_open(path, 0, NULL);
    assert_non_null(dir);
    unsigned n = 0, bad = 0;
    for (const char *file; (file = g_dir_read_name(dir));) {
        if (!g_str_has_suffix(file, ".live.xml"))
            continue;
        g_autofree char *name = g_strndup(file, strlen(file) - strlen(".live.xml"));
        g_autofree char *live = load(name, ".live.xml");
        g_autofree char *input = load(name, ".live.in");
        n++;
        bad += !live_round_trip(name, live) || !same_aliases(name, input, live);
    }
    g_dir_close(dir);
    print_message("%u live forms, %u bad\n", n, bad);
    assert_true(n >= 20);
    assert_int_equal(bad, 0);
}

/* Nothing of the running guest is left when its definition becomes the inactive one. */
static void test_inactive_of_live(void **state)
{
    g_autofree char *live = load("q35-typical", ".live.xml");
    assert_non_null(live);
    g_autoptr(DomainDef) d = domain_def_parse(live, PARSE_INACTIVE, NULL, NULL);
    assert_non_null(d);
    g_autofree char *text = domain_def_format(d, FORMAT_INACTIVE);
    static const char *const runtime[] = {"<alias", "tty=", " id='", "/dev/pts", "index='1'/>", "state=", "port='59"};
    for (size_t i = 0; i < N_ELEMENTS(runtime); i++) {
        if (strcmp(runtime[i], " id='") == 0 || strcmp(runtime[i], "index='1'/>") == 0)
            continue; /* also of <audio> and <controller> */
        if (strstr(text, runtime[i]))
            print_error("%s is left\n", runtime[i]);
        assert_null(strstr(text, runtime[i]));
    }
    assert_int_equal(d->id, -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_live),
        cmocka_unit_test(test_inactive_of_live),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
