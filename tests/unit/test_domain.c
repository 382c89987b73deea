/* tests/unit/test_domain.c - machines through the real driver, with a scripted QEMU: definitions and life */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "domain/lifecycle.h"
#include "domain/private.h"
#include "qmp/client_private.h"
#include "store/defs.h"
#include "tests/unit/domain_script.h"
#include "api_enums.h"

/* ---- definitions ------------------------------------------------------------------------------------------------- */

static void test_define(void **state)
{
    g_auto(Err) err = ERR_INIT;
    Domain *a = script_define("a", UUID_A, &err);
    script_must(a ? 0 : -1, &err);
    assert_true(script_file_there("etc/a.xml"));
    script_expect_events("D0 ");
    object_unref(script_define("a", UUID_A, &err));
    script_expect_events("D1 ");
    assert_null(script_define("b", UUID_A, &err)); /* the uuid is a's */
    assert_int_equal(err.code, VIR_ERR_OPERATION_FAILED);
    err_clear(&err);
    assert_null(script_define("a", UUID_B, &err)); /* the name is a's */
    assert_int_equal(err.code, VIR_ERR_OPERATION_FAILED);
    err_clear(&err);
    assert_int_equal(registry_count(domain_driver_registry(world_drv)), 1);

    domain_lock(a);
    script_must(domain_set_autostart(a, true, &err), &err);
    domain_unlock(a);
    assert_true(script_file_there("etc/autostart/a.xml"));
    domain_lock(a);
    script_must(domain_rename(a, "c", &err), &err);
    domain_unlock(a);
    script_expect_events("U1 D2 ");
    assert_true(script_file_there("etc/c.xml") && script_file_there("etc/autostart/c.xml"));
    assert_false(script_file_there("etc/a.xml") || g_file_test("etc/autostart/a.xml", G_FILE_TEST_IS_SYMLINK));
    Domain *again = domain_by_name(world_drv, "c", &err);
    assert_ptr_equal(again, a);
    object_unref(again);

    script_driver_end(); /* a's last state is on disk */
    object_unref(a);
    world_driver_begin();
    a = domain_by_name(world_drv, "c", &err);
    script_must(a ? 0 : -1, &err);
    g_autoptr(DomainView) v = domain_view(a);
    assert_true(v->persistent && v->autostart && !v->live);
    domain_lock(a);
    script_must(domain_undefine(a, 0, &err), &err);
    domain_unlock(a);
    script_expect_events("U0 ");
    assert_false(script_file_there("etc/c.xml"));
    assert_null(domain_by_name(world_drv, "c", &err));
    assert_int_equal(err.code, VIR_ERR_NO_DOMAIN);
    g_autoptr(DomainView) gone = domain_view(a);
    err_clear(&err);
    g_autoptr(DomainDef) still = view_def(gone, false, &err); /* who still holds it can read it */
    script_must(still ? 0 : -1, &err);
    object_unref(a);
}

static void test_second_daemon(void **state)
{
    /* locks are per process: another one is needed */
    pid_t pid = fork();
    if (pid == 0) {
        g_autofree char *p = g_build_filename(world_dir, "run/driver.pid", NULL);
        int fd = open(p, O_RDWR);
        struct flock fl = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};
        _exit(fd >= 0 && fcntl(fd, F_SETLK, &fl) < 0 && (errno == EAGAIN || errno == EACCES) ? 0 : 1);
    }
    int status;
    waitpid(pid, &status, 0);
    assert_int_equal(status, 0);
}

#define STORM_NAMES 3
#define STORM_UUIDS 4

static void storm_op(GRand *rnd)
{
    static const char *const names[STORM_NAMES] = {"a", "b", "c"};
    g_auto(Err) err = ERR_INIT;
    const char *name = names[g_rand_int_range(rnd, 0, STORM_NAMES)];
    g_autofree char *uuid =
        g_strdup_printf("11111111-2222-4333-8444-00000000000%d", g_rand_int_range(rnd, 0, STORM_UUIDS));
    int op = g_rand_int_range(rnd, 0, 8);
    if (op < 3) {
        object_unref(script_define(name, uuid, &err));
        return;
    }
    Domain *d = registry_by_name(domain_driver_registry(world_drv), name);
    if (!d)
        return;
    const char *other = names[g_rand_int_range(rnd, 0, STORM_NAMES)];
    if (op == 3) {
        domain_lock(d);
        domain_set_autostart(d, g_rand_boolean(rnd), &err);
        domain_unlock(d);
    } else if (op == 4) {
        domain_lock(d);
        domain_set_metadata(d, VIR_DOMAIN_METADATA_TITLE, "x", NULL, NULL, VIR_DOMAIN_AFFECT_CONFIG, &err);
        domain_unlock(d);
    } else {
        JobRequest r = {.kind = JOB_MODIFY, .what = "storm", .deadline = deadline_in_ms(20000)};
        script_must(job_acquire(d, &r, &err), &err);
        domain_lock(d);
        if (!d->removing && op == 5)
            domain_undefine(d, 0, &err);
        else if (!d->removing)
            domain_rename(d, other, &err);
        domain_unlock(d);
        job_end(&r);
    }
    object_unref(d);
}

static gpointer storm(gpointer seed)
{
    GRand *rnd = g_rand_new_with_seed(GPOINTER_TO_UINT(seed));
    for (int i = 0; i < 150; i++)
        storm_op(rnd);
    g_rand_free(rnd);
    return NULL;
}

/* Whatever order they come in: afterwards the registry and the disk tell the same. */
static void test_definition_storm(void **state)
{
    GThread *t[8];
    for (unsigned i = 0; i < N_ELEMENTS(t); i++)
        t[i] = g_thread_new("storm", storm, GUINT_TO_POINTER(i + 1));
    for (unsigned i = 0; i < N_ELEMENTS(t); i++)
        g_thread_join(t[i]);
    g_autofree char *etc = g_build_filename(world_dir, "etc", NULL);
    DefsStore *store = defs_open(etc, NULL);
    g_auto(Err) err = ERR_INIT;
    g_autoptr(GPtrArray) on_disk = defs_load(store, &err);
    assert_non_null(on_disk);
    defs_close(store);
    g_autoptr(GPtrArray) here = registry_list(domain_driver_registry(world_drv));
    assert_int_equal(on_disk->len, here->len);
    for (unsigned i = 0; i < on_disk->len; i++) {
        const LoadedDef *l = on_disk->pdata[i];
        Domain *d = registry_by_name(domain_driver_registry(world_drv), l->name);
        assert_non_null(d);
        g_autoptr(DomainView) v = domain_view(d);
        g_autoptr(DomainDef) def = stored_def_parse(v->config, &err);
        script_must(def ? 0 : -1, &err);
        assert_string_equal(v->name, l->name);
        assert_string_equal(def->name, l->name);
        assert_memory_equal(d->obj.uuid, l->def->uuid, UUID_LEN);
        g_autofree char *link = g_strdup_printf("etc/autostart/%s.xml", l->name);
        assert_int_equal(script_file_there(link), v->autostart);
        object_unref(d);
    }
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

static void test_start_pause_destroy(void **state)
{
    g_auto(Err) err = ERR_INIT;
    Domain *d = script_define("a", UUID_A, &err);
    script_expect_events("D0 ");
    script_boot(false);
    peer_expect(script_peer, "stop", NULL);
    peer_emit(script_peer, "STOP", NULL);
    peer_reply(script_peer, NULL);
    peer_expect(script_peer, "cont", NULL);
    peer_emit(script_peer, "RESUME", NULL);
    peer_reply(script_peer, NULL);
    script_must(script_as_gate(d, JOB_MODIFY, script_start, 0, &err), &err);
    script_expect_events("R0 S0 ");
    script_expect_state(d, VIR_DOMAIN_RUNNING, VIR_DOMAIN_RUNNING_BOOTED);
    assert_true(script_file_there("run/a.xml"));
    {
        g_autoptr(DomainView) v = domain_view(d);
        assert_int_equal(v->id, 1);
        assert_int_equal(v->pid, script_child);
        assert_int_equal(v->n_vcpu_tids, 1);
        assert_int_equal(v->vcpu_tids[0], 4711);
        Domain *by_id = domain_by_id(world_drv, 1, &err);
        assert_ptr_equal(by_id, d);
        object_unref(by_id);
    }
    assert_int_equal(script_as_gate(d, JOB_MODIFY, script_start, 0, &err), -1);
    assert_int_equal(err.code, VIR_ERR_OPERATION_INVALID);
    err_clear(&err);

    script_must(script_as_gate(d, JOB_MODIFY, script_suspend, 0, &err), &err);
    script_expect_state(d, VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_USER);
    script_expect_events("P0 ");
    script_must(script_as_gate(d, JOB_MODIFY, script_suspend, 0, &err), &err); /* asks nobody */
    script_must(script_as_gate(d, JOB_MODIFY, script_resume, 0, &err), &err);
    script_expect_state(d, VIR_DOMAIN_RUNNING, VIR_DOMAIN_RUNNING_UNPAUSED);
    script_expect_events("R0 ");

    script_must(script_as_gate(d, JOB_DESTROY, domain_destroy, 0, &err), &err);
    script_expect_events("X1 ");
    script_expect_state(d, VIR_DOMAIN_SHUTOFF, VIR_DOMAIN_SHUTOFF_DESTROYED);
    assert_false(script_file_there("run/a.xml"));
    assert_int_equal(world_cleanups, 1);
    assert_null(domain_by_id(world_drv, 1, &err));
    err_clear(&err);
    script_done();
    object_unref(d);
}

static int qemu_refuses(Err *err)
{
    return err_set(err, VIR_ERR_OPERATION_FAILED, "QEMU said no");
}

static void test_start_fails(void **state)
{
    g_auto(Err) err = ERR_INIT;
    Domain *d = script_define("a", UUID_A, &err);
    world_launching = qemu_refuses;
    assert_int_equal(script_as_gate(d, JOB_MODIFY, script_start, 0, &err), -1);
    assert_string_equal(err.detail, "QEMU said no");
    err_clear(&err);
    script_expect_state(d, VIR_DOMAIN_SHUTOFF, VIR_DOMAIN_SHUTOFF_FAILED);
    world_launching = NULL;

    /* after the launch: everything is taken back, and nobody hears of it */
    script_qemu();
    peer_expect(script_peer, "query-cpus-fast", NULL);
    peer_reply(script_peer, "[]");
    peer_expect(script_peer, "query-balloon", NULL);
    peer_fail(script_peer, "DeviceNotActive", "none");
    peer_expect(script_peer, "cont", NULL);
    peer_fail(script_peer, "GenericError", "image is locked");
    assert_int_equal(script_as_gate(d, JOB_MODIFY, script_start, 0, &err), -1);
    assert_non_null(strstr(err.detail, "image is locked"));
    err_clear(&err);
    script_expect_state(d, VIR_DOMAIN_SHUTOFF, VIR_DOMAIN_SHUTOFF_FAILED);
    assert_false(script_file_there("run/a.xml"));
    assert_int_equal(kill(script_child, 0), -1);
    script_done();

    /* QEMU dies on the way */
    script_qemu();
    peer_expect(script_peer, "query-cpus-fast", NULL);
    peer_die(script_peer);
    assert_int_equal(script_as_gate(d, JOB_MODIFY, script_start, 0, &err), -1);
    err_clear(&err);
    script_done();
    script_expect_events("D0 ");

    script_boot(true);
    script_must(script_as_gate(d, JOB_MODIFY, script_start, VIR_DOMAIN_START_PAUSED, &err), &err);
    script_expect_events("S0 P0 ");
    script_expect_state(d, VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_USER);
    script_must(script_as_gate(d, JOB_DESTROY, domain_destroy, 0, &err), &err);
    script_done();
    object_unref(d);
}

static void test_guest_shutdown(void **state)
{
    g_auto(Err) err = ERR_INIT;
    Domain *d = script_define("a", UUID_A, &err);
    script_boot(false);
    peer_expect(script_peer, "system_powerdown", NULL);
    peer_reply(script_peer, NULL);
    peer_emit(script_peer, "POWERDOWN", NULL);
    peer_emit(script_peer, "SHUTDOWN", "{\"guest\": true, \"reason\": \"guest-shutdown\"}");
    peer_emit(script_peer, "STOP", NULL);
    peer_stall(script_peer);
    peer_die(script_peer);
    script_must(script_as_gate(d, JOB_MODIFY, script_start, 0, &err), &err);
    script_must(script_as_gate(d, JOB_MODIFY, domain_shutdown, 0, &err), &err);
    int status;
    waitpid(script_child, &status, WNOWAIT); /* SHUTDOWN made the driver end QEMU politely */
    peer_resume(script_peer);
    assert_true(world_wait_off(d));
    script_expect_events("D0 R0 S0 H1 X0 ");
    script_expect_state(d, VIR_DOMAIN_SHUTOFF, VIR_DOMAIN_SHUTOFF_SHUTDOWN);
    script_done();
    object_unref(d);
}

static int script_reset(Domain *d, unsigned flags, Err *err)
{
    return domain_reset(d, err);
}

static void test_reboot(void **state)
{
    g_auto(Err) err = ERR_INIT;
    g_autofree char *xml = world_xml("a", UUID_A, "<on_poweroff>destroy</on_poweroff><on_reboot>restart</on_reboot>");
    Domain *d = domain_define(world_drv, xml, 0, &err);
    script_boot(false);
    peer_expect(script_peer, "system_powerdown", NULL);
    peer_reply(script_peer, NULL);
    peer_emit(script_peer, "SHUTDOWN", "{\"guest\": true, \"reason\": \"guest-shutdown\"}");
    peer_emit(script_peer, "STOP", NULL);
    peer_expect(script_peer, "system_reset", NULL);
    peer_emit(script_peer, "RESET", "{\"guest\": false, \"reason\": \"host-qmp-system-reset\"}");
    peer_reply(script_peer, NULL);
    peer_expect(script_peer, "cont", NULL);
    peer_emit(script_peer, "RESUME", NULL);
    peer_reply(script_peer, NULL);
    script_must(script_as_gate(d, JOB_MODIFY, script_start, 0, &err), &err);
    script_must(script_as_gate(d, JOB_MODIFY, domain_reboot, 0, &err), &err);
    script_expect_events("D0 R0 S0 e1 "); /* nobody hears of the guest's end in between */
    script_expect_state(d, VIR_DOMAIN_RUNNING, VIR_DOMAIN_RUNNING_BOOTED);
    script_must(script_as_gate(d, JOB_DESTROY, domain_destroy, 0, &err), &err);
    script_expect_events("X1 ");
    script_done();
    object_unref(d);
}

/* The time of all commands QEMU has been sent is over. */
static void expire_commands(Domain *d)
{
    g_autoptr(QmpClient) c = domain_monitor_ref(d);
    LOCK_SCOPE(&c->lock);
    GHashTableIter it;
    Slot *s;
    g_hash_table_iter_init(&it, c->slots);
    while (g_hash_table_iter_next(&it, NULL, (void **)&s))
        s->deadline = (Deadline){1};
    cond_broadcast(&c->changed);
}

static gpointer reboot_in_vain(gpointer d)
{
    g_auto(Err) err = ERR_INIT;
    int r = script_as_gate(d, JOB_MODIFY, domain_reboot, 0, &err);
    return GINT_TO_POINTER(r < 0 ? err.code : 0);
}

/* QEMU takes its time: the call has given up when the button is pressed after all.  What was asked for is a reboot. */
static void test_late_reboot(void **state)
{
    g_auto(Err) err = ERR_INIT;
    g_autofree char *xml = world_xml("a", UUID_A, "<on_poweroff>destroy</on_poweroff><on_reboot>restart</on_reboot>");
    Domain *d = domain_define(world_drv, xml, 0, &err);
    script_boot(false);
    peer_expect(script_peer, "system_powerdown", NULL);
    peer_emit(script_peer, "RESET", "{\"guest\": true, \"reason\": \"guest-reset\"}"); /* tells us that it was sent */
    peer_stall(script_peer);
    peer_reply(script_peer, NULL);
    peer_look_anew(script_peer, "{\"status\": \"running\", \"running\": true, \"singlestep\": false}");
    peer_emit(script_peer, "SHUTDOWN", "{\"guest\": true, \"reason\": \"guest-shutdown\"}");
    peer_emit(script_peer, "STOP", NULL);
    peer_expect(script_peer, "system_reset", NULL);
    peer_emit(script_peer, "RESET", "{\"guest\": false, \"reason\": \"host-qmp-system-reset\"}");
    peer_reply(script_peer, NULL);
    peer_expect(script_peer, "cont", NULL);
    peer_emit(script_peer, "RESUME", NULL);
    peer_reply(script_peer, NULL);
    script_must(script_as_gate(d, JOB_MODIFY, script_start, 0, &err), &err);
    GThread *t = g_thread_new("reboot", reboot_in_vain, d);
    script_expect_events("D0 R0 S0 e1 ");
    expire_commands(d);
    assert_int_equal(GPOINTER_TO_INT(g_thread_join(t)), VIR_ERR_OPERATION_TIMEOUT);
    script_expect_events("e7 ");
    peer_resume(script_peer);
    script_expect_events("e1 ");
    script_done();
    script_must(script_as_gate(d, JOB_DESTROY, domain_destroy, 0, &err), &err);
    script_expect_events("X1 ");
    object_unref(d);
}

/* A guest that powers itself off at once: its end is told after its start. */
static void test_start_then_shutdown(void **state)
{
    g_auto(Err) err = ERR_INIT;
    Domain *d = script_define("a", UUID_A, &err);
    script_boot(true);
    peer_expect(script_peer, "cont", NULL);
    peer_emit(script_peer, "RESUME", NULL);
    peer_emit(script_peer, "SHUTDOWN", "{\"guest\": true, \"reason\": \"guest-shutdown\"}");
    peer_emit(script_peer, "STOP", NULL);
    peer_reply(script_peer, NULL);
    script_must(script_as_gate(d, JOB_MODIFY, script_start, 0, &err), &err);
    script_expect_events("D0 R0 S0 H1 ");
    script_done();
    assert_true(world_wait_off(d));
    script_expect_events("X0 ");
    script_expect_state(d, VIR_DOMAIN_SHUTOFF, VIR_DOMAIN_SHUTOFF_SHUTDOWN);
    object_unref(d);
}

/* One that stays when the guest powers it off, and is reset and resumed by hand: its next end is a new one. */
static void test_preserved(void **state)
{
    g_auto(Err) err = ERR_INIT;
    g_autofree char *xml = world_xml("a", UUID_A, "<on_poweroff>preserve</on_poweroff>");
    Domain *d = domain_define(world_drv, xml, 0, &err);
    script_boot(false);
    for (unsigned i = 0; i < 2; i++) {
        peer_expect(script_peer, "system_powerdown", NULL);
        peer_reply(script_peer, NULL);
        peer_emit(script_peer, "SHUTDOWN", "{\"guest\": true, \"reason\": \"guest-shutdown\"}");
        peer_emit(script_peer, "STOP", NULL);
        if (i > 0)
            break;
        peer_expect(script_peer, "system_reset", NULL);
        peer_emit(script_peer, "RESET", "{\"guest\": false, \"reason\": \"host-qmp-system-reset\"}");
        peer_reply(script_peer, NULL);
        peer_expect(script_peer, "cont", NULL);
        peer_emit(script_peer, "RESUME", NULL);
        peer_reply(script_peer, NULL);
    }
    script_must(script_as_gate(d, JOB_MODIFY, script_start, 0, &err), &err);
    script_expect_events("D0 R0 S0 ");
    script_must(script_as_gate(d, JOB_MODIFY, domain_shutdown, 0, &err), &err);
    script_expect_events("H1 ");
    script_must(script_as_gate(d, JOB_MODIFY, script_reset, 0, &err), &err);
    script_must(script_as_gate(d, JOB_MODIFY, script_resume, 0, &err), &err);
    script_expect_events("e1 R0 ");
    script_must(script_as_gate(d, JOB_MODIFY, domain_shutdown, 0, &err), &err);
    script_expect_events("H1 ");
    script_expect_state(d, VIR_DOMAIN_SHUTDOWN, VIR_DOMAIN_SHUTDOWN_UNKNOWN);
    script_must(script_as_gate(d, JOB_DESTROY, domain_destroy, 0, &err), &err);
    script_done();
    object_unref(d);
}

static void note_run(Domain *d, void *ran)
{
    g_atomic_int_set((gint *)ran, 1);
}

/* The time of who is parked is over; true when nobody is parked with that any more. */
static bool expired(JobQueue *q, bool make)
{
    LOCK_SCOPE(&q->lock);
    if (make && q->head)
        q->head->deadline = (Deadline){1};
    return !q->head || q->head->deadline.at_us != 1;
}

/* A long job keeps a task waiting beyond its time: it is done all the same. */
static void test_task_waits_on(void **state)
{
    g_auto(Err) err = ERR_INIT;
    Domain *d = script_define("a", UUID_A, &err);
    JobQueue *q = domain_jobs(d);
    JobRequest r = {.kind = JOB_ASYNC, .what = "long", .deadline = deadline_in_ms(10000)};
    gint ran = 0;
    script_must(job_acquire(d, &r, &err), &err);
    domain_task(d, JOB_MODIFY, "task", 0, note_run, &ran, NULL);
    expired(q, true);
    timer_arm(q->timer, deadline_in_ms(0));
    Deadline end = deadline_in_ms(10000);
    while (!expired(q, false) && !deadline_passed(end))
        g_usleep(1000);
    assert_true(expired(q, false));
    assert_int_equal(g_atomic_int_get(&ran), 0);
    job_end(&r);
    while (!g_atomic_int_get(&ran) && !deadline_passed(end))
        g_usleep(1000);
    assert_int_equal(g_atomic_int_get(&ran), 1);
    object_unref(d);
}

static void test_crash_wakes_waiters(void **state)
{
    g_auto(Err) err = ERR_INIT;
    g_autofree char *xml = world_xml("t", UUID_B, NULL);
    script_boot(false);
    peer_expect(script_peer, "stop", NULL);
    peer_stall(script_peer);
    peer_die(script_peer);
    Domain *d = domain_create_xml(world_drv, xml, 0, 5, &err); /* transient */
    script_must(d ? 0 : -1, &err);
    assert_false(script_file_there("etc/t.xml"));
    JobRequest r = {.kind = JOB_MODIFY, .what = "suspend", .deadline = deadline_in_ms(10000)};
    script_must(job_acquire(d, &r, &err), &err);
    domain_lock(d);
    kill(script_child, SIGKILL);
    peer_resume(script_peer);
    assert_int_equal(domain_suspend(d, &err), -1);
    assert_int_equal(err.code, VIR_ERR_OPERATION_INVALID); /* not the command's deadline */
    err_clear(&err);
    domain_unlock(d);
    job_end(&r);
    assert_true(world_wait_off(d));
    script_expect_events("R0 S0 X5 ");
    script_expect_state(d, VIR_DOMAIN_SHUTOFF, VIR_DOMAIN_SHUTOFF_CRASHED);
    assert_null(domain_by_name(world_drv, "t", &err));
    err_clear(&err);
    script_done();
    object_unref(d);
}

static void test_autodestroy(void **state)
{
    g_auto(Err) err = ERR_INIT;
    g_autofree char *xml = world_xml("t", UUID_B, NULL);
    script_boot(false);
    Domain *d = domain_create_xml(world_drv, xml, VIR_DOMAIN_START_AUTODESTROY, 5, &err);
    script_must(d ? 0 : -1, &err);
    domain_autodestroy(world_drv, 6); /* somebody else's connection */
    domain_autodestroy(world_drv, 5);
    assert_true(world_wait_off(d));
    script_expect_events("R0 S0 X1 ");
    script_done();
    object_unref(d);
}

static void test_events(void **state)
{
    g_auto(Err) err = ERR_INIT;
    Domain *d = script_define("a", UUID_A, &err);
    script_boot(false);
    peer_stall(script_peer);
    peer_emit(script_peer, "RTC_CHANGE", "{\"offset\": 42, \"qom-path\": \"/machine/rtc\"}");
    peer_emit(script_peer, "WATCHDOG", "{\"action\": \"pause\"}");
    peer_emit(script_peer, "STOP", NULL);
    peer_emit(script_peer, "RESUME", NULL);
    peer_emit(script_peer, "BALLOON_CHANGE", "{\"actual\": 33554432}");
    peer_emit(script_peer, "SUSPEND", NULL);
    peer_emit(script_peer, "WAKEUP", NULL);
    peer_emit(script_peer, "DEVICE_DELETED", "{\"path\": \"/machine/peripheral/net0\", \"device\": \"net0\"}");
    peer_emit(
        script_peer, "BLOCK_IO_ERROR",
        "{\"device\": \"\", \"operation\": \"write\", \"action\": \"stop\", \"reason\": \"x\", \"nospace\": true}");
    peer_emit(script_peer, "SOMETHING_NEW", "{\"x\": 1}");
    script_must(script_as_gate(d, JOB_MODIFY, script_start, 0, &err), &err);
    peer_resume(script_peer);
    script_expect_events("D0 R0 S0 e2 e3 P3 R0 e13 e12 M0 e11 S4 e15 e4 e6 P2 ");
    g_autoptr(DomainView) v = domain_view(d);
    assert_int_equal(v->balloon_kib, 32768);
    assert_int_equal(v->state, VIR_DOMAIN_PAUSED);
    assert_int_equal(v->reason, VIR_DOMAIN_PAUSED_IOERROR);
    script_must(script_as_gate(d, JOB_DESTROY, domain_destroy, 0, &err), &err);
    script_done();
    object_unref(d);
}

static int owner_leaves(Err *err)
{
    domain_autodestroy(world_drv, 5);
    Deadline end = deadline_in_ms(10000);
    while (domain_driver_busy(world_drv) &&
           !deadline_passed(end)) /* until the task has seen the machine that is being started */
        g_usleep(1000);
    return qemu_refuses(err);
}

/* The client goes during a start that fails: the next start is nobody's business. */
static void test_owner_gone_once(void **state)
{
    g_auto(Err) err = ERR_INIT;
    Domain *a = script_define("a", UUID_A, &err);
    script_expect_events("D0 ");
    world_launching = owner_leaves;
    assert_int_equal(script_as_gate(a, JOB_MODIFY, script_start, VIR_DOMAIN_START_AUTODESTROY, &err), -1);
    world_launching = NULL;
    err_clear(&err);
    script_boot(false);
    script_must(script_as_gate(a, JOB_MODIFY, script_start, 0, &err), &err);
    script_expect_events("R0 S0 ");
    script_done();
    kill(script_child, SIGKILL);
    assert_true(world_wait_off(a));
    object_unref(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, script_setup, script_teardown)
        T(test_define), T(test_second_daemon), T(test_definition_storm), T(test_start_pause_destroy),
        T(test_start_fails), T(test_guest_shutdown), T(test_reboot), T(test_late_reboot), T(test_start_then_shutdown),
        T(test_preserved), T(test_task_waits_on), T(test_crash_wakes_waiters),
        T(test_autodestroy), T(test_events), T(test_owner_gone_once),
    };
    return cmocka_run_group_tests(tests, script_begin, script_end);
}
