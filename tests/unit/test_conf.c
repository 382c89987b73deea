/* test_conf.c - the syntax of configuration files, bounds, messages */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "util/conf.h"

typedef struct Sample {
    bool flag;
    int count;
    uint64_t size;
    char *name;
    char **items;
    int color;
    unsigned mode;
    char *port;
    bool fixed;
    char **limited;
    int inert;
} Sample;

static const char *const colors[] = {"red", "green", NULL};

static const ConfKey keys[] = {
    {.name = "flag", .type = CONF_BOOL, .offset = offsetof(Sample, flag), .preset = "1", .heading = "Things", .text = "A flag."},
    {.name = "count", .type = CONF_INT, .offset = offsetof(Sample, count), .preset = "5", .min = 1, .max = 10, .text = "A count."},
    {.name = "size", .type = CONF_SIZE, .offset = offsetof(Sample, size), .text = "A size.", .flags = CONF_RELOAD},
    {.name = "name", .type = CONF_STRING, .offset = offsetof(Sample, name), .preset = "\"x\"", .text = "A name."},
    {.name = "items", .type = CONF_LIST, .offset = offsetof(Sample, items), .text = "Some items."},
    {.name = "color", .type = CONF_ENUM, .offset = offsetof(Sample, color), .preset = "\"green\"", .words = colors, .text = "A color."},
    {.name = "mode", .type = CONF_MODE, .offset = offsetof(Sample, mode), .preset = "\"0700\"", .text = "A mode."},
    {.name = "port", .type = CONF_PORT, .offset = offsetof(Sample, port), .preset = "\"16509\"", .text = "A port."},
    {.name = "fixed", .type = CONF_BOOL, .offset = offsetof(Sample, fixed), .preset = "0", .flags = CONF_FIXED,
     .refusal = "it is not built", .text = "Fixed."},
    {.name = "limited", .type = CONF_LIST, .offset = offsetof(Sample, limited), .words = colors, .refusal = "no paint",
     .text = "Limited."},
    {.name = "inert", .type = CONF_INT, .offset = offsetof(Sample, inert), .preset = "1", .flags = CONF_INERT,
     .refusal = "later", .text = "Inert."},
    {.name = "gone", .type = CONF_REFUSED, .text = "it was a bad idea"},
    {.name = "idle", .type = CONF_IGNORED, .text = "nothing to do"},
    {.name = NULL},
};

static char *last_note;

static void keep_note(const char *file, unsigned line, const char *note, void *arg)
{
    g_free(last_note);
    last_note = g_strdup_printf("%s:%u: %s", file, line, note);
}

static int parse(Sample *s, const char *text, Err *err)
{
    conf_defaults(keys, s);
    return conf_parse(keys, s, "f", text, strlen(text), keep_note, NULL, err);
}

static void test_defaults(void **state)
{
    Sample s = {0};
    g_auto(Err) err = ERR_INIT;
    assert_int_equal(parse(&s, "", &err), 0);
    assert_true(s.flag);
    assert_int_equal(s.count, 5);
    assert_int_equal(s.size, 0);
    assert_string_equal(s.name, "x");
    assert_null(s.items);
    assert_int_equal(s.color, 1);
    assert_int_equal(s.mode, 0700);
    assert_string_equal(s.port, "16509");
    conf_free(keys, &s);
    assert_null(s.name);
}

static void test_values(void **state)
{
    Sample s = {0};
    g_auto(Err) err = ERR_INIT;
    assert_int_equal(parse(&s,
                           "# comment\n"
                           "flag = 0 # and more\r\n"
                           "\tcount=10\n"
                           "size = \"unlimited\"\n"
                           "name = 'it \"is\"'\n"
                           "items = [ \"a\", # first\n 'b',\n ]\n"
                           "color = \"red\"\n"
                           "mode = \"0770\"\n"
                           "port = 99\n"
                           "fixed = 0\n"
                           "limited = [ \"green\" ]\n"
                           "idle = 3\n"
                           "name = \"\"\"two\nlines\"\"\"",
                           &err),
                     0);
    assert_false(s.flag);
    assert_int_equal(s.count, 10);
    assert_true(s.size == UINT64_MAX);
    assert_string_equal(s.name, "two\nlines");
    assert_int_equal(g_strv_length(s.items), 2);
    assert_string_equal(s.items[1], "b");
    assert_int_equal(s.color, 0);
    assert_int_equal(s.mode, 0770);
    assert_string_equal(s.port, "99");
    assert_string_equal(s.limited[0], "green");
    assert_string_equal(last_note, "f:14: idle has no effect: nothing to do");
    conf_free(keys, &s);
}

static void test_strings_and_lists(void **state)
{
    Sample s = {0};
    g_auto(Err) err = ERR_INIT;
    assert_int_equal(parse(&s, "name = \"\"\nitems = \"one\"\n", &err), 0);
    assert_null(s.name);
    assert_int_equal(g_strv_length(s.items), 1);
    conf_free(keys, &s);
    assert_int_equal(parse(&s, "items = [ ]", &err), 0);
    assert_non_null(s.items);
    assert_null(s.items[0]);
    conf_free(keys, &s);
}

static void test_errors(void **state)
{
    static const struct {
        const char *text;
        int code;
        const char *message;
    } cases[] = {
        {"\ncuont = 5", VIR_ERR_CONF_SYNTAX, "f:2: there is no key \"cuont\"; the nearest is \"count\""},
        {"count = 11", VIR_ERR_CONF_SYNTAX, "f:1: count is 11, must be from 1 to 10"},
        {"count = \"5\"", VIR_ERR_CONF_SYNTAX, "f:1: count takes a number, not a string"},
        {"count = 99999999999999999999", VIR_ERR_CONF_SYNTAX, "f:1: the number 99999999999999999999 is too large"},
        {"count 5", VIR_ERR_CONF_SYNTAX, "f:1: = expected after \"count\""},
        {"count = 5 6", VIR_ERR_CONF_SYNTAX, "f:1: nothing may follow the value of count on its line"},
        {"count =", VIR_ERR_CONF_SYNTAX, "f:1: a value is expected here: a number, a \"string\" or a [ \"list\", \"of\", \"strings\" ]"},
        {"count = -", VIR_ERR_CONF_SYNTAX, "f:1: digits expected after '-'"},
        {"= 5", VIR_ERR_CONF_SYNTAX, "f:1: the name of a key is expected at the start of the line"},
        {"flag = 2", VIR_ERR_CONF_SYNTAX, "f:1: flag takes 0 or 1, not 2"},
        {"name = 'open\nflag = 1", VIR_ERR_CONF_SYNTAX, "f:1: the string has no closing ' on its line"},
        {"name = \"\"\"open", VIR_ERR_CONF_SYNTAX, "f:1: the string that starts with \"\"\" has no end"},
        {"items = [ \"a\" \"b\" ]", VIR_ERR_CONF_SYNTAX, "f:1: a comma or ] expected in the list"},
        {"items = [\n\"a\",\n5 ]", VIR_ERR_CONF_SYNTAX, "f:3: a string or ] expected in the list"},
        {"items = [ \"a\"", VIR_ERR_CONF_SYNTAX, "f:1: a comma or ] expected in the list"},
        {"items = 5", VIR_ERR_CONF_SYNTAX, "f:1: items takes a list of strings, not a number"},
        {"color = \"blue\"", VIR_ERR_CONF_SYNTAX, "f:1: color: \"blue\" is not accepted; allowed: red, green"},
        {"limited = [ \"blue\" ]", VIR_ERR_CONFIG_UNSUPPORTED, "f:1: limited: \"blue\" is not accepted, no paint; allowed: red, green"},
        {"mode = \"0800\"", VIR_ERR_CONF_SYNTAX, "f:1: mode: \"0800\" is not permissions; up to \"0777\" in octal digits"},
        {"mode = \"00000\"", VIR_ERR_CONF_SYNTAX, "f:1: mode: \"00000\" is not permissions; up to \"0777\" in octal digits"},
        {"port = \"0\"", VIR_ERR_CONF_SYNTAX, "f:1: port takes a port number from 1 to 65535 or the name of a service"},
        {"port = \"7 x\"", VIR_ERR_CONF_SYNTAX, "f:1: port takes a port number from 1 to 65535 or the name of a service"},
        {"port = 70000", VIR_ERR_CONF_SYNTAX, "f:1: port takes a port number from 1 to 65535 or the name of a service"},
        {"size = -1", VIR_ERR_CONF_SYNTAX, "f:1: size takes a number of bytes or \"unlimited\""},
        {"\n\nfixed = 1", VIR_ERR_CONFIG_UNSUPPORTED, "f:3: fixed: only 0 is accepted, it is not built"},
        {"gone = [\n\"x\" ]", VIR_ERR_CONFIG_UNSUPPORTED, "f:1: gone is not supported: it was a bad idea"},
    };
    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        Sample s = {0};
        g_auto(Err) err = ERR_INIT;
        assert_int_equal(parse(&s, cases[i].text, &err), -1);
        assert_string_equal(err.detail, cases[i].message);
        assert_int_equal(err.code, cases[i].code);
        assert_int_equal(err.domain, VIR_FROM_CONF);
        conf_free(keys, &s);
    }
}

static void test_inert(void **state)
{
    Sample s = {0};
    g_auto(Err) err = ERR_INIT;
    g_clear_pointer(&last_note, g_free);
    assert_int_equal(parse(&s, "inert = 1", &err), 0);
    assert_null(last_note);
    conf_free(keys, &s);
    assert_int_equal(parse(&s, "inert = 2", &err), 0);
    assert_string_equal(last_note, "f:1: inert has no effect yet: later");
    conf_free(keys, &s);
}

static void test_nul_and_size(void **state)
{
    Sample s = {0};
    g_auto(Err) err = ERR_INIT;
    assert_int_equal(conf_parse(keys, &s, "f", "flag\0= 1", 8, NULL, NULL, &err), -1);
    assert_string_equal(err.detail, "f:1: the file holds a NUL byte");
    err_clear(&err);
    g_autofree char *big = g_malloc(CONF_MAX_BYTES + 1);
    memset(big, '\n', CONF_MAX_BYTES + 1);
    assert_int_equal(conf_parse(keys, &s, "f", big, CONF_MAX_BYTES + 1, NULL, NULL, &err), -1);
    assert_int_equal(conf_parse(keys, &s, "f", big, CONF_MAX_BYTES, NULL, NULL, NULL), 0);
}

static void test_load(void **state)
{
    Sample s = {0};
    g_auto(Err) err = ERR_INIT;
    assert_int_equal(conf_load(keys, &s, "/nonexistent/x.conf", NULL, NULL, &err), 0);
    assert_int_equal(conf_load(keys, &s, "/dev", NULL, NULL, &err), -1);
    assert_int_equal(err.code, VIR_ERR_SYSTEM_ERROR);
}

static void test_changes(void **state)
{
    Sample a = {0}, b = {0};
    g_auto(Err) err = ERR_INIT;
    assert_int_equal(parse(&a, "items = [ \"a\" ]", &err), 0);
    assert_int_equal(parse(&b, "items = [ \"b\" ]\ncount = 6\nname = \"x\"", &err), 0);
    unsigned pos = 0;
    assert_string_equal(conf_next_change(keys, &a, &b, &pos)->name, "count");
    assert_string_equal(conf_next_change(keys, &a, &b, &pos)->name, "items");
    assert_null(conf_next_change(keys, &a, &b, &pos));
    conf_free(keys, &a);
    conf_free(keys, &b);
}

static void test_documents(void **state)
{
    g_autofree char *sample = conf_sample(keys, "intro");
    assert_non_null(strstr(sample, "# A count.\n# From 1 to 10. Needs a restart.\n#count = 5\n"));
    assert_non_null(strstr(sample, "# A size.\n# A number of bytes, or \"unlimited\". Applied on reload.\n# Not set by default.\n#size = 0\n"));
    assert_non_null(strstr(sample, "# gone: refused: it was a bad idea\n"));
    /* with every # removed from assignments the sample must still parse */
    GString *live = g_string_new(NULL);
    g_auto(GStrv) lines = g_strsplit(sample, "\n", -1);
    for (char **l = lines; *l; l++)
        if (**l == '#' && (*l)[1] != ' ' && strchr(*l, '='))
            g_string_append_printf(live, "%s\n", *l + 1);
    Sample s = {0};
    g_auto(Err) err = ERR_INIT;
    assert_int_equal(parse(&s, live->str, &err), 0);
    conf_free(keys, &s);
    g_string_free(live, TRUE);
    g_autofree char *man = conf_man(keys);
    assert_non_null(strstr(man, ".It Ic name No = \\(dqx\\(dq\n"));
}

static int clean(void **state)
{
    g_clear_pointer(&last_note, g_free);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),          cmocka_unit_test(test_values),       cmocka_unit_test(test_strings_and_lists),
        cmocka_unit_test(test_errors),            cmocka_unit_test(test_nul_and_size), cmocka_unit_test(test_load),
        cmocka_unit_test(test_changes),           cmocka_unit_test(test_documents),  cmocka_unit_test(test_inert),
    };
    return cmocka_run_group_tests(tests, NULL, clean);
}
