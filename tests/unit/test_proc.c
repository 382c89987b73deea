/* tests/unit/test_proc.c - what processes use: ourselves, made-up and broken ones */
#include "config.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "host/proc.h"
#include "tests/unit/fakeroot.h"

#define PID       77
#define STAT_HEAD "77 (a) b (evil) R)) S 1 77 77 0 -1 4194560 1 0 0 0 "
#define STAT_TAIL " 0 0 20 0 5 0 4242 1000000 300 18446744073709551615 1 1 0 0 0 0 0 0 0 0 0 0 17 3 0 0\n"

static int setup(void **state)
{
    fakeroot_init();
    return 0;
}

static int teardown(void **state)
{
    fakeroot_done();
    return 0;
}

static void test_made_up(void **state)
{
    unsigned long long tick = 1000000000ULL / (unsigned long long)sysconf(_SC_CLK_TCK), v;
    HostCpuTime t;
    int cpu;
    fakeroot_file(STAT_HEAD "12 30" STAT_TAIL, "/proc/77/stat");
    fakeroot_file(STAT_HEAD "2 3" STAT_TAIL, "/proc/77/task/78/stat");
    fakeroot_file("1000 2000 3\n", "/proc/77/task/78/schedstat");
    assert_int_equal(host_process_cpu(PID, &t), 0);
    assert_int_equal(t.user_ns, 12 * tick);
    assert_int_equal(t.system_ns, 30 * tick);
    assert_int_equal(t.total_ns, 42 * tick);
    assert_int_equal(host_process_start_time(PID, &v), 0);
    assert_int_equal(v, 4242);
    assert_int_equal(host_process_rss_kib(PID, &v), 0);
    assert_int_equal(v, 300ULL * (unsigned long long)sysconf(_SC_PAGESIZE) / 1024);
    assert_int_equal(host_thread_stat(PID, 78, &v, &cpu), 0);
    assert_int_equal(v, 5 * tick);
    assert_int_equal(cpu, 3);
    unsigned long long run;
    assert_int_equal(host_thread_sched(PID, 78, &run, &v), 0);
    assert_int_equal(run, 1000);
    assert_int_equal(v, 2000);
    fakeroot_file("0 0 0\n", "/proc/77/task/78/schedstat");
    assert_int_equal(host_thread_sched(PID, 78, &run, &v), -ENOTSUP);
    assert_int_equal(host_process_usage(PID, &t, &v), 0);
    assert_int_equal(t.total_ns, 42 * tick);
    assert_int_equal(v, 300ULL * (unsigned long long)sysconf(_SC_PAGESIZE) / 1024);
}

static void test_can_answer(void **state)
{
    static const struct {
        char state;
        bool can;
    } cases[] = {{'R', true}, {'S', true}, {'I', true}, {'T', false}, {'t', false}, {'D', false}, {'Z', false}, {'X', false}};
    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        g_autofree char *text = g_strdup_printf("77 (a) S) %c 1 77\n", cases[i].state);
        fakeroot_file(text, "/proc/77/task/77/stat");
        assert_int_equal(host_process_can_answer(PID), cases[i].can);
    }
    fakeroot_file("nonsense\n", "/proc/77/task/77/stat");
    assert_true(host_process_can_answer(PID));
    assert_true(host_process_can_answer(PID + 1));
}

static void test_broken(void **state)
{
    static const char *const bad[] = {
        "",
        "77 a S 1",
        "77 (a)",
        "77 (a)S",
        STAT_HEAD,
        STAT_HEAD "x 30" STAT_TAIL,
        STAT_HEAD "1 -2" STAT_TAIL,
        STAT_HEAD "99999999999999999999999 1" STAT_TAIL,
    };
    HostCpuTime t = {1, 2, 3};
    for (unsigned i = 0; i < N_ELEMENTS(bad); i++) {
        fakeroot_file(bad[i], "/proc/77/stat");
        assert_int_equal(host_process_cpu(PID, &t), -EBADMSG);
    }
    assert_int_equal(t.total_ns, 3); /* untouched */
    fakeroot_file(STAT_HEAD "18446744073709551615 18446744073709551615" STAT_TAIL, "/proc/77/stat");
    assert_int_equal(host_process_cpu(PID, &t), 0); /* saturates */
    assert_true(t.total_ns >= t.user_ns);
}

static void test_nobody(void **state)
{
    HostCpuTime t;
    unsigned long long v;
    int cpu;
    assert_int_equal(host_process_cpu(1, &t), -ESRCH);
    assert_int_equal(host_process_cpu(0, &t), -ESRCH);
    assert_int_equal(host_process_cpu(-1, &t), -ESRCH);
    assert_int_equal(host_thread_stat(1, 0, &v, &cpu), -ESRCH);
    assert_int_equal(host_thread_sched(1, -1, &v, &v), -ESRCH);
}

static void test_ourselves(void **state)
{
    HostCpuTime t;
    unsigned long long v;
    int cpu;
    volatile unsigned spin = 0;
    while (clock() < CLOCKS_PER_SEC / 20)
        spin++;
    assert_int_equal(host_process_cpu(getpid(), &t), 0);
    assert_true(t.total_ns > 0);
    assert_int_equal(host_process_rss_kib(getpid(), &v), 0);
    assert_true(v > 100);
    assert_int_equal(host_thread_stat(getpid(), getpid(), &v, &cpu), 0);
    assert_true(v > 0 && cpu >= 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_made_up, setup, teardown),
        cmocka_unit_test_setup_teardown(test_can_answer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_broken, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nobody, setup, teardown),
        cmocka_unit_test(test_ourselves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
