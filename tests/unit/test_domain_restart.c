/* tests/unit/test_domain_restart.c - what the real driver finds when it begins again, or its monitor ends, with a scripted QEMU */
#include "config.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "domain/lifecycle.h"
#include "domain/private.h"
#include "util/file.h"
#include "tests/unit/domain_script.h"
#include "api_enums.h"

static void script_reconnect(const char *uuid)
{
    peer_expect(script_peer, "query-uuid", NULL);
    g_autofree char *ret = g_strdup_printf("{\"UUID\": \"%s\"}", uuid);
    peer_reply(script_peer, ret);
}

static void test_reconnect(void **state)
{
    g_auto(Err) err = ERR_INIT;
    Domain *d = script_define("a", UUID_A, &err);
    script_boot(false);
    script_must(script_as_gate(d, JOB_MODIFY, script_start, 0, &err), &err);
    object_unref(d);
    script_driver_end();
    script_done();
    assert_true(script_file_there("run/a.xml"));

    /* paused by somebody while no daemon ran */
    script_qemu();
    script_reconnect(UUID_A);
    peer_look_anew(script_peer, "{\"status\": \"paused\", \"running\": false, \"singlestep\": false}");
    peer_expect(script_peer, "query-named-block-nodes", NULL); /* left over by a daemon that was killed? */
    peer_reply(script_peer, "[]");
    peer_expect(script_peer, "query-fdsets", NULL);
    peer_reply(script_peer, "[]");
    world_driver_begin();
    d = domain_by_name(world_drv, "a", &err);
    {
        g_autoptr(DomainView) v = domain_view(d); /* reads answer before anything was asked */
        assert_int_equal(v->state, VIR_DOMAIN_RUNNING);
        assert_int_equal(v->id, 1);
        assert_int_equal(v->pid, script_child);
        assert_int_equal(v->job, JOB_RECONNECT);
    }
    domain_driver_go(world_drv);
    JobRequest r = {.kind = JOB_QUERY, .what = "queued behind the reconnect", .deadline = deadline_in_ms(10000)};
    script_must(job_acquire(d, &r, &err), &err);
    job_end(&r);
    script_expect_state(d, VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_UNKNOWN);
    script_expect_events("P0 ");
    assert_int_equal(domain_driver_next_id(world_drv), 2);
    script_must(script_as_gate(d, JOB_DESTROY, domain_destroy, 0, &err), &err);
    script_expect_events("X1 ");
    assert_int_equal(kill(script_child, 0), -1);
    script_done();
    object_unref(d);
}

static void test_reconnect_dead_and_wrong(void **state)
{
    g_auto(Err) err = ERR_INIT;
    Domain *d = script_define("a", UUID_A, &err);
    script_boot(false);
    script_must(script_as_gate(d, JOB_MODIFY, script_start, 0, &err), &err);
    object_unref(d);
    script_driver_end();
    script_done();

    /* another machine answers: left alone, not signalled, and destroy still works by pidfd */
    script_qemu();
    script_reconnect(UUID_B);
    world_driver_begin();
    domain_driver_go(world_drv);
    d = domain_by_name(world_drv, "a", &err);
    JobRequest r = {.kind = JOB_QUERY, .what = "behind", .deadline = deadline_in_ms(10000)};
    script_must(job_acquire(d, &r, &err), &err);
    job_end(&r);
    {
        g_autoptr(DomainView) v = domain_view(d);
        assert_true(v->monitor_stuck && v->live);
    }
    assert_int_equal(kill(script_child, 0), 0);
    object_unref(d);
    script_driver_end();
    script_done();

    kill(script_child, SIGKILL);
    waitpid(script_child, NULL, 0);
    world_reconnects = false;
    world_driver_begin();
    domain_driver_go(world_drv);
    d = domain_by_name(world_drv, "a", &err);
    assert_true(world_wait_off(d));
    script_expect_events("X5 ");
    assert_false(script_file_there("run/a.xml"));
    object_unref(d);
}

/* A monitor that ends while QEMU lives is connected again: the machine goes on, nobody is told of an end. */
static void test_lost_monitor(void **state)
{
    g_auto(Err) err = ERR_INIT;
    Domain *d = script_define("a", UUID_A, &err);
    script_boot(false);
    peer_stall(script_peer);
    peer_raw(script_peer, "this is no JSON}\n", 17);
    script_must(script_as_gate(d, JOB_MODIFY, script_start, 0, &err), &err);
    script_expect_events("D0 R0 S0 ");
    Peer *first = script_peer;
    script_qemu();
    script_reconnect(UUID_A);
    peer_look_anew(script_peer, "{\"status\": \"running\", \"running\": true, \"singlestep\": false}");
    peer_expect(script_peer, "stop", NULL);
    peer_emit(script_peer, "STOP", NULL);
    peer_reply(script_peer, NULL);
    peer_resume(first);
    Deadline end = deadline_in_ms(15000);
    int r = -1;
    while (r < 0 && !deadline_passed(end)) { /* until the monitor is back: in between calls fail fast */
        err_clear(&err);
        r = script_as_gate(d, JOB_MODIFY, script_suspend, 0, &err);
        if (r < 0)
            g_usleep(20000);
    }
    script_must(r, &err);
    script_expect_events("P0 ");
    g_autofree char *wrong = peer_end(first);
    assert_null(wrong);
    script_done();
    script_must(script_as_gate(d, JOB_DESTROY, domain_destroy, 0, &err), &err);
    object_unref(d);
}

static void test_foreign_status(void **state)
{
    g_auto(Err) err = ERR_INIT;
    object_unref(script_define("a", UUID_A, &err));
    script_driver_end();
    const char *text = "<domstatus state='running' reason='booted' pid='77'><domain type='kvm'/></domstatus>";
    static const char *const names[] = {"a", "b"}; /* the other is defined when the daemon runs */
    for (unsigned i = 0; i < N_ELEMENTS(names); i++) {
        g_autofree char *p = g_strdup_printf("%s/run/%s.xml", world_dir, names[i]);
        file_replace(p, text, strlen(text), 0600, 0);
    }
    world_driver_begin();
    domain_driver_go(world_drv);
    object_unref(script_define("b", UUID_B, &err));
    for (unsigned i = 0; i < N_ELEMENTS(names); i++) {
        Domain *d = domain_by_name(world_drv, names[i], &err);
        assert_int_equal(script_as_gate(d, JOB_MODIFY, script_start, 0, &err), -1);
        assert_int_equal(err.code, VIR_ERR_OPERATION_INVALID);
        err_clear(&err);
        g_autofree char *p = g_strdup_printf("%s/run/%s.xml", world_dir, names[i]), *now = NULL;
        size_t len;
        assert_int_equal(file_read(p, 4096, &now, &len), 0);
        assert_string_equal(now, text);
        object_unref(d);
    }
}

/* Where no descriptor is to be had, the end of a QEMU is seen all the same, and one that still writes is not taken for one that hangs. */
static void test_end_without_descriptors(void **state)
{
    g_auto(Err) err = ERR_INIT;
    struct rlimit old, none;
    Domain *d = script_define("a", UUID_A, &err);
    pid_t pid = fork();
    if (pid == 0) {
        pause();
        _exit(0);
    }
    kill_switch_arm(d, (int)syscall(SYS_pidfd_open, pid, 0), pid, 1);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    none = old;
    none.rlim_cur = 1; /* as many as one poll() asks about */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    bool early = kill_switch_wait(d, 1, deadline_in_ms(1));
    kill(pid, SIGKILL);
    bool late = kill_switch_wait(d, 1, deadline_in_ms(20000));
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    assert_false(early);
    assert_true(late);
    kill_switch_disarm(d);
    object_unref(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, script_setup, script_teardown)
        T(test_reconnect), T(test_reconnect_dead_and_wrong), T(test_lost_monitor), T(test_foreign_status),
        T(test_end_without_descriptors),
    };
    return cmocka_run_group_tests(tests, script_begin, script_end);
}
