/* test_log.c - levels, filters, outputs, and how a line looks */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#define LOG_AREA "test.area"
#include "util/err.h"
#include "util/file.h"
#include "util/log.h"

static char *path;

static char *content(void)
{
    char *text = NULL;
    size_t len = 0;
    assert_int_equal(file_read(path, 1 << 20, &text, &len), 0);
    return text;
}

/* Settings with one file as output, emptied before. */
static void use_file(int level, const char *filters, int output_level)
{
    g_auto(Err) err = ERR_INIT;
    g_autofree char *outputs = g_strdup_printf("%d:file:%s", output_level, path);
    assert_int_equal(truncate(path, 0), 0);
    if (log_configure(level, filters, outputs, &err) < 0)
        fail_msg("%s", err.detail);
}

static void test_level(void **state)
{
    use_file(2, NULL, 1);
    log_debug("no");
    log_info("number %d", 7);
    g_autofree char *text = content();
    assert_null(strstr(text, "no\n"));
    assert_true(g_str_has_suffix(text, " info test.area: number 7\n"));
    assert_int_equal(text[4], '-');
    assert_int_equal(text[26], 'Z');
}

static void test_fields_and_forgery(void **state)
{
    use_file(3, NULL, 1);
    LogField fields[] = {{"DOMAIN", "vm"}, {"CLIENT", NULL}, {"CODE", "3\n8"}, {NULL, NULL}};
    log_fields(LOG_LEVEL_ERROR, fields, "a\nb\x1b");
    log_error("plain");
    g_autofree char *text = content();
    assert_non_null(strstr(text, "error test.area: a\\nb\\x1b [DOMAIN=vm CODE=3\\n8]\n"));
    assert_non_null(strstr(text, "error test.area: plain\n"));
}

/* What a client says may have megabytes. */
static void test_long_texts_are_cut(void **state)
{
    enum { LONG = 3 << 20 };
    g_autofree char *plain = g_strnfill(LONG, 'x'), *control = g_strnfill(LONG, '\x01');
    LogField fields[] = {{"OBJECT", plain}, {NULL, NULL}};
    use_file(3, NULL, 1);
    log_fields(LOG_LEVEL_ERROR, fields, "%s", control);
    g_autofree char *text = content();
    assert_in_range(strlen(text), 2 * 8192, 2 * 8192 + 256);
    assert_non_null(strstr(text, "\\x01... (3143680 bytes more) [OBJECT=xxx"));
    assert_true(g_str_has_suffix(text, "x... (3137536 bytes more)]\n"));
}

/* It says that it takes something, which need not be all of a line. */
static void test_stderr_is_not_waited_for(void **state)
{
    static const char page[4096];
    g_autofree char *text = g_strnfill(6000, 'x'), *got = g_malloc(2 * sizeof(page));
    g_auto(Err) err = ERR_INIT;
    int p[2], kept = dup(STDERR_FILENO);
    assert_int_equal(log_configure(3, NULL, "1:stderr", &err), 0);
    assert_int_equal(pipe2(p, O_NONBLOCK | O_CLOEXEC), 0);
    while (write(p[1], page, sizeof(page)) > 0)
        ;
    assert_int_equal(read(p[0], got, sizeof(page)), sizeof(page));
    assert_int_equal(fcntl(p[1], F_SETFL, 0), 0);
    assert_int_equal(dup2(p[1], STDERR_FILENO), STDERR_FILENO);
    alarm(60);
    log_error("%s", text); /* there is room for one page */
    log_error("lost");
    alarm(0);
    assert_int_equal(dup2(kept, STDERR_FILENO), STDERR_FILENO);
    close(kept);
    ssize_t n = 0;
    for (ssize_t more; (more = read(p[0], got, sizeof(page))) > 0;)
        n = more;
    assert_int_equal(n, sizeof(page));
    assert_int_equal(got[n - 2], 'x');
    assert_int_equal(got[n - 1], '\n');
    close(p[0]);
    close(p[1]);
}

static void test_filters(void **state)
{
    use_file(3, "1:test 4:test.other 2:*.dev?", 1);
    assert_true(log_wanted(LOG_LEVEL_DEBUG, "test.area"));
    assert_false(log_wanted(LOG_LEVEL_WARNING, "test.other.x"));
    assert_true(log_wanted(LOG_LEVEL_ERROR, "test.other.x"));
    assert_false(log_wanted(LOG_LEVEL_INFO, "elsewhere"));
    assert_true(log_wanted(LOG_LEVEL_WARNING, "elsewhere"));
    assert_true(log_wanted(LOG_LEVEL_INFO, "qemu.devx"));
    assert_false(log_wanted(LOG_LEVEL_DEBUG, "qemu.devx"));
}

static void test_output_level(void **state)
{
    use_file(1, NULL, 4);
    log_warning("low");
    log_error("high");
    g_autofree char *text = content();
    assert_null(strstr(text, "low"));
    assert_non_null(strstr(text, "high"));
}

static void test_settings(void **state)
{
    use_file(2, "1:a 3:b*", 3);
    int level = 0;
    g_autofree char *filters = NULL, *outputs = NULL;
    log_settings(&level, &filters, &outputs);
    g_autofree char *expected = g_strdup_printf("3:file:%s", path);
    assert_int_equal(level, 2);
    assert_string_equal(filters, "1:a 3:b*");
    assert_string_equal(outputs, expected);
}

static void test_errors(void **state)
{
    static const struct {
        int level;
        const char *filters, *outputs, *words;
    } cases[] = {
        {0, NULL, NULL, "log_level is 0"},
        {3, "5:x", NULL, "log_filters: \"5:x\" must start"},
        {3, "1:", NULL, "log_filters: \"1:\" must start"},
        {3, NULL, "3:paper", "\"paper\" is no output"},
        {3, NULL, "3:file", "file takes an absolute path"},
        {3, NULL, "3:file:x", "file takes an absolute path"},
        {3, NULL, "3:file:/nonexistent/dir/x", "opening the log file '/nonexistent/dir/x'"},
        {3, NULL, "3:syslog", "syslog takes a name"},
        {3, NULL, "3:stderr:x", "nothing may follow stderr"},
    };
    use_file(4, NULL, 1);
    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        g_auto(Err) err = ERR_INIT;
        assert_int_equal(log_configure(cases[i].level, cases[i].filters, cases[i].outputs, &err), -1);
        if (!strstr(err.detail, cases[i].words))
            fail_msg("case %zu: %s", i, err.detail);
        int level = 0;
        log_settings(&level, NULL, NULL);
        assert_int_equal(level, 4); /* the old settings stay */
    }
}

static unsigned count_fds(void)
{
    g_autoptr(GDir) d = g_dir_open("/proc/self/fd", 0, NULL);
    unsigned n = 0;
    while (g_dir_read_name(d))
        n++;
    return n;
}

static void *log_much(void *stop)
{
    unsigned n = 0;
    while (!g_atomic_int_get((gint *)stop))
        log_warning("line %u", n++);
    return NULL;
}

/* Settings that were replaced go, with their files, though others log meanwhile. */
static void test_replaced_settings_go(void **state)
{
    gint stop = 0;
    use_file(3, "1:other", 1);
    unsigned before = count_fds();
    pthread_t threads[2];
    for (size_t i = 0; i < N_ELEMENTS(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, log_much, &stop), 0);
    for (int i = 0; i < 500; i++)
        use_file(3, i % 2 ? "1:other" : NULL, 1);
    g_atomic_int_set(&stop, 1);
    for (size_t i = 0; i < N_ELEMENTS(threads); i++)
        pthread_join(threads[i], NULL);
    use_file(3, NULL, 1);
    assert_int_equal(count_fds(), before);
}

/* Nobody is waited for, not even at the opening. */
static void test_fifo_without_reader(void **state)
{
    g_autofree char *fifo = g_strconcat(path, "-fifo", NULL);
    g_autofree char *outputs = g_strconcat("1:file:", fifo, NULL);
    g_auto(Err) err = ERR_INIT;
    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_int_equal(log_configure(3, NULL, outputs, &err), -1);
    assert_non_null(strstr(err.detail, "-fifo"));
    unlink(fifo);
}

static int setup(void **state)
{
    int fd = g_file_open_tmp("berth-log-XXXXXX", &path, NULL);
    close(fd);
    return fd < 0;
}

static int teardown(void **state)
{
    log_done();
    unlink(path);
    g_clear_pointer(&path, g_free);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_level),        cmocka_unit_test(test_fields_and_forgery), cmocka_unit_test(test_filters),
        cmocka_unit_test(test_output_level), cmocka_unit_test(test_settings),           cmocka_unit_test(test_errors),
        cmocka_unit_test(test_replaced_settings_go), cmocka_unit_test(test_fifo_without_reader),
        cmocka_unit_test(test_long_texts_are_cut),   cmocka_unit_test(test_stderr_is_not_waited_for),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
