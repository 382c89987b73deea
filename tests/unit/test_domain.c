/* tests/unit/test_domain.c - machines through the real driver, with a scripted QEMU
 *
 * The launch is replaced: a child that only sleeps stands for the process, the scripted peer for its monitor.
 * Everything from the job queue to the status file is real.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "util/fd.h"
#include "util/file.h"
#include "util/uuid.h"
#include "host/proc.h"
#include "domain/complete.h"
#include "domain/driver.h"
#include "domain/events.h"
#include "domain/lifecycle.h"
#include "qemu/caps.h"
#include "qemu/cpu_guest.h"
#include "qemu/launch.h"
#include "qmp/client.h"
#include "store/defs.h"
#include "tests/qmp/peer.h"
#include "api_enums.h"

#define UUID_A "11111111-2222-4333-8444-555555555555"
#define UUID_B "11111111-2222-4333-8444-666666666666"

/* ---- the world --------------------------------------------------------------------------------------------------- */

static EventLoop *client_loop, *monitor_loop;
static Pool *pool;
static Bus *bus;
static DomainDriver *drv;
static char *dir;

static Mutex seen_lock;
static Cond seen_changed;
static GString *seen; /* lifecycle events as "S0 R0 …": first letter of a table, detail */

static void sink(void *ud, void *event)
{
    static const char letters[] =
        "DUSPRXHMC"; /* defined undefined started paused resumed stopped (X) shutdown (H) pmsuspended crashed */
    DomainEvent *e = event;
    mutex_lock(&seen_lock);
    if (e->class == EVENT_DOMAIN && e->id == VIR_DOMAIN_EVENT_ID_LIFECYCLE)
        g_string_append_printf(seen, "%c%d ", letters[e->lifecycle.event], e->lifecycle.detail);
    else if (e->class == EVENT_DOMAIN)
        g_string_append_printf(seen, "e%d ", e->id);
    cond_broadcast(&seen_changed);
    mutex_unlock(&seen_lock);
    domain_event_free(e);
}

static void free_event(void *event)
{
    domain_event_free(event);
}

/* Waits until the events since the last call are `want`, and forgets them. */
static void expect_events(const char *want)
{
    Deadline end = deadline_in_ms(10000);
    g_autofree char *got = NULL;
    mutex_lock(&seen_lock);
    while (strlen(seen->str) < strlen(want) && cond_wait_until(&seen_changed, &seen_lock, end))
        ;
    got = g_strdup(seen->str);
    g_string_truncate(seen, 0);
    mutex_unlock(&seen_lock);
    assert_string_equal(got, want);
}

static void must(int r, Err *err)
{
    if (r < 0)
        fail_msg("failed: %s", err->detail);
    assert_false(err_is_set(err));
}

/* ---- the scripted QEMU ------------------------------------------------------------------------------------------- */

static Peer *peer;
static int peer_fd = -1;
static pid_t child;
static bool launch_fails, gone_at_reconnect;
static gint cleanups;

static pid_t child_new(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;)
            pause();
    }
    return pid;
}

static void qemu_new(void)
{
    peer = peer_new(0, &peer_fd);
    child = child_new();
}

static int attach(const LaunchRequest *req, LaunchResult *ret, Err *err)
{
    ret->child.pid = child;
    ret->child.pidfd = (int)syscall(SYS_pidfd_open, child, 0);
    ret->qmp = qmp_client_new(req->monitor_loop, take_fd(&peer_fd), req->deadline, req->handlers, req->handlers_data);
    return qmp_client_wait_ready(ret->qmp, req->deadline, err);
}

static void (*during_launch)(void);

int qemu_launch(const LaunchRequest *req, LaunchResult *ret, Err *err)
{
    if (during_launch)
        during_launch();
    if (launch_fails) {
        err_set(err, VIR_ERR_OPERATION_FAILED, "QEMU said no");
        return -1;
    }
    unsigned long long started = 0;
    host_process_start_time(child, &started);
    ret->proc = (LaunchedProcess){.pid = child,
                                  .start_time = started,
                                  .monitor_path = g_strdup("/nowhere/monitor"),
                                  .private_dir = g_strdup("/nowhere"),
                                  .taps = g_ptr_array_new_with_free_func(g_free)};
    return attach(req, ret, err);
}

int qemu_launch_reconnect(const LaunchRequest *req, const LaunchedProcess *proc, LaunchResult *ret, bool *ret_gone,
                          Err *err)
{
    if (gone_at_reconnect) {
        *ret_gone = true;
        return err_set(err, VIR_ERR_OPERATION_FAILED, "no such process");
    }
    launched_process_copy(&ret->proc, proc);
    return attach(req, ret, err);
}

void qemu_launch_sweep(const LaunchDirs *dirs, GHashTable *in_use)
{
}

void qemu_launch_cleanup(const LaunchedProcess *proc, const DomainDef *def, const char *reason)
{
    g_atomic_int_inc(&cleanups);
}

void launched_process_clear(LaunchedProcess *p)
{
    g_free(p->monitor_path);
    g_free(p->private_dir);
    g_free(p->log_path);
    g_free(p->cgroup);
    if (p->taps)
        g_ptr_array_unref(p->taps);
    *p = (LaunchedProcess){0};
}

void launched_process_copy(LaunchedProcess *dest, const LaunchedProcess *src)
{
    *dest = (LaunchedProcess){.pid = src->pid,
                              .start_time = src->start_time,
                              .monitor_path = g_strdup(src->monitor_path),
                              .private_dir = g_strdup(src->private_dir),
                              .log_path = g_strdup(src->log_path),
                              .cgroup = g_strdup(src->cgroup),
                              .node_index = src->node_index,
                              .taps = src->taps ? g_ptr_array_ref(src->taps) : NULL};
}

char *qemu_log_tail(const char *log_path, size_t max)
{
    return NULL;
}

/* Whole as they are: completion is the model's own test. */
int domain_def_make_whole(DomainDriver *d, DomainDef *def, Err *err)
{
    return 0;
}

DomainDef *domain_def_from_client(DomainDriver *d, const char *xml, bool strict, Err *err)
{
    return domain_def_parse(xml, PARSE_INACTIVE | (strict ? PARSE_VALIDATE : 0), NULL, err);
}

struct QemuCaps *domain_def_caps(DomainDriver *d, const DomainDef *def, Err *err)
{
    static int any;
    return (struct QemuCaps *)&any;
}

/* Every CPU is as definite as the guest likes. */
int qemu_cpu_resolve(const QemuCaps *caps, QemuAccel accel, CpuDef *cpu, Err *err)
{
    return 0;
}

bool qemu_cpu_make_live(const QemuCaps *caps, QemuAccel accel, CpuDef *cpu)
{
    return false;
}

bool qemu_caps_accel_usable(const QemuCaps *caps, QemuAccel accel)
{
    return true;
}

void *qemu_caps_unref(QemuCaps *caps)
{
    return NULL;
}

/* ---- fixture ----------------------------------------------------------------------------------------------------- */

static int world_begin(void **state)
{
    client_loop = event_loop_new("client");
    monitor_loop = event_loop_new("monitor");
    event_loop_start(client_loop);
    event_loop_start(monitor_loop);
    mutex_init(&seen_lock, LOCK_LEAF, "seen");
    cond_init(&seen_changed);
    seen = g_string_new(NULL);
    return 0;
}

static int world_end(void **state)
{
    event_loop_stop(client_loop, 0);
    event_loop_stop(monitor_loop, 0);
    event_loop_free(client_loop);
    event_loop_free(monitor_loop);
    g_string_free(seen, TRUE);
    return 0;
}

static void driver_begin(void)
{
    PoolLimits limits = {.cap = {0, 4, 4, 2}, .max_threads = 32, .idle_ms = 200};
    pool = pool_new(&limits);
    bus = bus_new(client_loop);
    bus_set_sink(bus, sink, NULL, free_event);
    g_autofree char *config = g_build_filename(dir, "etc", NULL),
                    *autostart = g_build_filename(dir, "etc/autostart", NULL),
                    *run = g_build_filename(dir, "run", NULL), *lib = g_build_filename(dir, "lib", NULL),
                    *log = g_build_filename(dir, "log", NULL);
    DomainDriverOpts o = {.monitor_loop = monitor_loop,
                          .client_loop = client_loop,
                          .pool = pool,
                          .bus = bus,
                          .config_dir = config,
                          .autostart_dir = autostart,
                          .run_dir = run,
                          .state_dir = lib,
                          .log_dir = log,
                          .cache_dir = lib};
    g_auto(Err) err = ERR_INIT;
    drv = domain_driver_new(&o, &err);
    if (!drv)
        fail_msg("%s", err.detail);
}

static void driver_end(void)
{
    domain_driver_stop(drv);
    pool_free(pool);
    domain_driver_free(drv);
    bus_free(bus);
    g_string_truncate(seen, 0);
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

static int setup(void **state)
{
    dir = g_strdup("/tmp/berth-domain-XXXXXX");
    if (!mkdtemp(dir))
        return -1;
    launch_fails = gone_at_reconnect = false;
    cleanups = 0;
    driver_begin();
    return 0;
}

static int teardown(void **state)
{
    driver_end();
    remove_all(dir);
    g_free(dir);
    return 0;
}

static bool file_there(const char *name)
{
    g_autofree char *p = g_build_filename(dir, name, NULL);
    return access(p, F_OK) == 0;
}

static char *xml_of(const char *name, const char *uuid, const char *more)
{
    return g_strdup_printf("<domain type='qemu'><name>%s</name><uuid>%s</uuid><memory unit='KiB'>65536</memory>"
                           "<currentMemory unit='KiB'>65536</currentMemory><vcpu>1</vcpu>"
                           "<os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os>%s"
                           "<devices><emulator>/usr/bin/qemu-system-x86_64</emulator></devices></domain>",
                           name, uuid, more ? more : "");
}

static Domain *define(const char *name, const char *uuid, Err *err)
{
    g_autofree char *xml = xml_of(name, uuid, NULL);
    return domain_define(drv, xml, 0, err);
}

/* Runs a call as the gate would: job, lock, call, flush, end. */
typedef int (*Call)(Domain *d, unsigned flags, Err *err);

static int as_gate(Domain *d, JobKind kind, Call call, unsigned flags, Err *err)
{
    JobRequest r = {.kind = kind, .what = "test", .owner = 1, .deadline = deadline_in_ms(10000)};
    if (kind == JOB_DESTROY)
        domain_kill(d, flags);
    if (job_acquire(d, &r, err) < 0)
        return -1;
    domain_lock(d);
    int rc = call(d, flags, err);
    domain_unlock(d);
    domain_flush(d, NULL);
    job_end(&r);
    return rc;
}

static int call_start(Domain *d, unsigned flags, Err *err)
{
    return domain_start(d, flags, 5, err);
}

static int call_suspend(Domain *d, unsigned flags, Err *err)
{
    return domain_suspend(d, err);
}

static int call_resume(Domain *d, unsigned flags, Err *err)
{
    return domain_resume(d, err);
}

/* What a plain start asks. */
static void script_start(bool paused)
{
    qemu_new();
    peer_expect(peer, "query-cpus-fast", NULL);
    peer_reply(peer, "[{\"cpu-index\": 0, \"qom-path\": \"/x\", \"thread-id\": 4711, \"target\": \"x86_64\"}]");
    peer_expect(peer, "query-balloon", NULL);
    peer_fail(peer, "DeviceNotActive", "No balloon device has been activated");
    if (!paused) {
        peer_expect(peer, "cont", NULL);
        peer_emit(peer, "RESUME", NULL);
        peer_reply(peer, NULL);
    }
}

static void script_end(void)
{
    g_autofree char *wrong = peer_end(peer);
    if (wrong)
        fail_msg("%s", wrong);
    peer = NULL;
}

static void expect_state(Domain *d, int state, int reason)
{
    g_autoptr(DomainView) v = domain_view(d);
    assert_int_equal(v->state, state);
    assert_int_equal(v->reason, reason);
}

static void wait_off(Domain *d)
{
    Deadline end = deadline_in_ms(10000);
    domain_lock(d);
    while (domain_is_active(d) && domain_wait(d, end))
        ;
    bool off = !domain_is_active(d);
    domain_unlock(d);
    assert_true(off);
}

/* ---- definitions ------------------------------------------------------------------------------------------------- */

static void test_define(void **state)
{
    g_auto(Err) err = ERR_INIT;
    Domain *a = define("a", UUID_A, &err);
    must(a ? 0 : -1, &err);
    assert_true(file_there("etc/a.xml"));
    expect_events("D0 ");
    object_unref(define("a", UUID_A, &err));
    expect_events("D1 ");
    assert_null(define("b", UUID_A, &err)); /* the uuid is a's */
    assert_int_equal(err.code, VIR_ERR_OPERATION_FAILED);
    err_clear(&err);
    assert_null(define("a", UUID_B, &err)); /* the name is a's */
    assert_int_equal(err.code, VIR_ERR_OPERATION_FAILED);
    err_clear(&err);
    assert_int_equal(registry_count(domain_driver_registry(drv)), 1);

    domain_lock(a);
    must(domain_set_autostart(a, true, &err), &err);
    domain_unlock(a);
    assert_true(file_there("etc/autostart/a.xml"));
    domain_lock(a);
    must(domain_rename(a, "c", &err), &err);
    domain_unlock(a);
    expect_events("U1 D2 ");
    assert_true(file_there("etc/c.xml") && file_there("etc/autostart/c.xml"));
    assert_false(file_there("etc/a.xml") || g_file_test("etc/autostart/a.xml", G_FILE_TEST_IS_SYMLINK));
    Domain *again = domain_by_name(drv, "c", &err);
    assert_ptr_equal(again, a);
    object_unref(again);

    driver_end(); /* a's last state is on disk */
    object_unref(a);
    driver_begin();
    a = domain_by_name(drv, "c", &err);
    must(a ? 0 : -1, &err);
    g_autoptr(DomainView) v = domain_view(a);
    assert_true(v->persistent && v->autostart && !v->live);
    domain_lock(a);
    must(domain_undefine(a, 0, &err), &err);
    domain_unlock(a);
    expect_events("U0 ");
    assert_false(file_there("etc/c.xml"));
    assert_null(domain_by_name(drv, "c", &err));
    assert_int_equal(err.code, VIR_ERR_NO_DOMAIN);
    g_autoptr(DomainView) gone = domain_view(a);
    err_clear(&err);
    g_autoptr(DomainDef) still = view_def(gone, false, &err); /* who still holds it can read it */
    must(still ? 0 : -1, &err);
    object_unref(a);
}

static void test_second_daemon(void **state)
{
    /* locks are per process: another one is needed */
    pid_t pid = fork();
    if (pid == 0) {
        g_autofree char *p = g_build_filename(dir, "run/driver.pid", NULL);
        int fd = open(p, O_RDWR);
        struct flock fl = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};
        _exit(fd >= 0 && fcntl(fd, F_SETLK, &fl) < 0 && (errno == EAGAIN || errno == EACCES) ? 0 : 1);
    }
    int status;
    waitpid(pid, &status, 0);
    assert_int_equal(status, 0);
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

static void test_start_pause_destroy(void **state)
{
    g_auto(Err) err = ERR_INIT;
    Domain *d = define("a", UUID_A, &err);
    expect_events("D0 ");
    script_start(false);
    peer_expect(peer, "stop", NULL);
    peer_emit(peer, "STOP", NULL);
    peer_reply(peer, NULL);
    peer_expect(peer, "cont", NULL);
    peer_emit(peer, "RESUME", NULL);
    peer_reply(peer, NULL);
    must(as_gate(d, JOB_MODIFY, call_start, 0, &err), &err);
    expect_events("R0 S0 ");
    expect_state(d, VIR_DOMAIN_RUNNING, VIR_DOMAIN_RUNNING_BOOTED);
    assert_true(file_there("run/a.xml"));
    {
        g_autoptr(DomainView) v = domain_view(d);
        assert_int_equal(v->id, 1);
        assert_int_equal(v->pid, child);
        assert_int_equal(v->n_vcpu_tids, 1);
        assert_int_equal(v->vcpu_tids[0], 4711);
        Domain *by_id = domain_by_id(drv, 1, &err);
        assert_ptr_equal(by_id, d);
        object_unref(by_id);
    }
    assert_int_equal(as_gate(d, JOB_MODIFY, call_start, 0, &err), -1);
    assert_int_equal(err.code, VIR_ERR_OPERATION_INVALID);
    err_clear(&err);

    must(as_gate(d, JOB_MODIFY, call_suspend, 0, &err), &err);
    expect_state(d, VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_USER);
    expect_events("P0 ");
    must(as_gate(d, JOB_MODIFY, call_suspend, 0, &err), &err); /* asks nobody */
    must(as_gate(d, JOB_MODIFY, call_resume, 0, &err), &err);
    expect_state(d, VIR_DOMAIN_RUNNING, VIR_DOMAIN_RUNNING_UNPAUSED);
    expect_events("R0 ");

    must(as_gate(d, JOB_DESTROY, domain_destroy, 0, &err), &err);
    expect_events("X1 ");
    expect_state(d, VIR_DOMAIN_SHUTOFF, VIR_DOMAIN_SHUTOFF_DESTROYED);
    assert_false(file_there("run/a.xml"));
    assert_int_equal(cleanups, 1);
    assert_null(domain_by_id(drv, 1, &err));
    err_clear(&err);
    script_end();
    object_unref(d);
}

static void test_start_fails(void **state)
{
    g_auto(Err) err = ERR_INIT;
    Domain *d = define("a", UUID_A, &err);
    launch_fails = true;
    assert_int_equal(as_gate(d, JOB_MODIFY, call_start, 0, &err), -1);
    assert_string_equal(err.detail, "QEMU said no");
    err_clear(&err);
    expect_state(d, VIR_DOMAIN_SHUTOFF, VIR_DOMAIN_SHUTOFF_FAILED);
    launch_fails = false;

    /* after the launch: everything is taken back, and nobody hears of it */
    qemu_new();
    peer_expect(peer, "query-cpus-fast", NULL);
    peer_reply(peer, "[]");
    peer_expect(peer, "query-balloon", NULL);
    peer_fail(peer, "DeviceNotActive", "none");
    peer_expect(peer, "cont", NULL);
    peer_fail(peer, "GenericError", "image is locked");
    assert_int_equal(as_gate(d, JOB_MODIFY, call_start, 0, &err), -1);
    assert_non_null(strstr(err.detail, "image is locked"));
    err_clear(&err);
    expect_state(d, VIR_DOMAIN_SHUTOFF, VIR_DOMAIN_SHUTOFF_FAILED);
    assert_false(file_there("run/a.xml"));
    assert_int_equal(kill(child, 0), -1);
    script_end();

    /* QEMU dies on the way */
    qemu_new();
    peer_expect(peer, "query-cpus-fast", NULL);
    peer_die(peer);
    assert_int_equal(as_gate(d, JOB_MODIFY, call_start, 0, &err), -1);
    err_clear(&err);
    script_end();
    expect_events("D0 ");

    script_start(true);
    must(as_gate(d, JOB_MODIFY, call_start, VIR_DOMAIN_START_PAUSED, &err), &err);
    expect_events("S0 P0 ");
    expect_state(d, VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_USER);
    must(as_gate(d, JOB_DESTROY, domain_destroy, 0, &err), &err);
    script_end();
    object_unref(d);
}

static void test_guest_shutdown(void **state)
{
    g_auto(Err) err = ERR_INIT;
    Domain *d = define("a", UUID_A, &err);
    script_start(false);
    peer_expect(peer, "system_powerdown", NULL);
    peer_reply(peer, NULL);
    peer_emit(peer, "POWERDOWN", NULL);
    peer_emit(peer, "SHUTDOWN", "{\"guest\": true, \"reason\": \"guest-shutdown\"}");
    peer_emit(peer, "STOP", NULL);
    peer_stall(peer);
    peer_die(peer);
    must(as_gate(d, JOB_MODIFY, call_start, 0, &err), &err);
    must(as_gate(d, JOB_MODIFY, domain_shutdown, 0, &err), &err);
    int status;
    waitpid(child, &status, WNOWAIT); /* SHUTDOWN made the driver end QEMU politely */
    peer_resume(peer);
    wait_off(d);
    expect_events("D0 R0 S0 H1 X0 ");
    expect_state(d, VIR_DOMAIN_SHUTOFF, VIR_DOMAIN_SHUTOFF_SHUTDOWN);
    script_end();
    object_unref(d);
}

static void test_reboot(void **state)
{
    g_auto(Err) err = ERR_INIT;
    g_autofree char *xml = xml_of("a", UUID_A, "<on_poweroff>destroy</on_poweroff><on_reboot>restart</on_reboot>");
    Domain *d = domain_define(drv, xml, 0, &err);
    script_start(false);
    peer_expect(peer, "system_powerdown", NULL);
    peer_reply(peer, NULL);
    peer_emit(peer, "SHUTDOWN", "{\"guest\": true, \"reason\": \"guest-shutdown\"}");
    peer_emit(peer, "STOP", NULL);
    peer_expect(peer, "system_reset", NULL);
    peer_emit(peer, "RESET", "{\"guest\": false, \"reason\": \"host-qmp-system-reset\"}");
    peer_reply(peer, NULL);
    peer_expect(peer, "cont", NULL);
    peer_emit(peer, "RESUME", NULL);
    peer_reply(peer, NULL);
    must(as_gate(d, JOB_MODIFY, call_start, 0, &err), &err);
    must(as_gate(d, JOB_MODIFY, domain_reboot, 0, &err), &err);
    expect_events("D0 R0 S0 e1 "); /* nobody hears of the guest's end in between */
    expect_state(d, VIR_DOMAIN_RUNNING, VIR_DOMAIN_RUNNING_BOOTED);
    must(as_gate(d, JOB_DESTROY, domain_destroy, 0, &err), &err);
    expect_events("X1 ");
    script_end();
    object_unref(d);
}

static void test_crash_wakes_waiters(void **state)
{
    g_auto(Err) err = ERR_INIT;
    g_autofree char *xml = xml_of("t", UUID_B, NULL);
    script_start(false);
    peer_expect(peer, "stop", NULL);
    peer_stall(peer);
    peer_die(peer);
    Domain *d = domain_create_xml(drv, xml, 0, 5, &err); /* transient */
    must(d ? 0 : -1, &err);
    assert_false(file_there("etc/t.xml"));
    JobRequest r = {.kind = JOB_MODIFY, .what = "suspend", .deadline = deadline_in_ms(10000)};
    must(job_acquire(d, &r, &err), &err);
    domain_lock(d);
    kill(child, SIGKILL);
    peer_resume(peer);
    uint64_t before = now_us();
    assert_int_equal(domain_suspend(d, &err), -1);
    assert_true(now_us() - before < 5 * G_USEC_PER_SEC); /* not the command's deadline */
    assert_int_equal(err.code, VIR_ERR_OPERATION_INVALID);
    err_clear(&err);
    domain_unlock(d);
    job_end(&r);
    wait_off(d);
    expect_events("R0 S0 X5 ");
    expect_state(d, VIR_DOMAIN_SHUTOFF, VIR_DOMAIN_SHUTOFF_CRASHED);
    assert_null(domain_by_name(drv, "t", &err));
    err_clear(&err);
    script_end();
    object_unref(d);
}

static void test_autodestroy(void **state)
{
    g_auto(Err) err = ERR_INIT;
    g_autofree char *xml = xml_of("t", UUID_B, NULL);
    script_start(false);
    Domain *d = domain_create_xml(drv, xml, VIR_DOMAIN_START_AUTODESTROY, 5, &err);
    must(d ? 0 : -1, &err);
    domain_autodestroy(drv, 6); /* somebody else's connection */
    domain_autodestroy(drv, 5);
    wait_off(d);
    expect_events("R0 S0 X1 ");
    script_end();
    object_unref(d);
}

static void test_events(void **state)
{
    g_auto(Err) err = ERR_INIT;
    Domain *d = define("a", UUID_A, &err);
    script_start(false);
    peer_stall(peer);
    peer_emit(peer, "RTC_CHANGE", "{\"offset\": 42, \"qom-path\": \"/machine/rtc\"}");
    peer_emit(peer, "WATCHDOG", "{\"action\": \"pause\"}");
    peer_emit(peer, "STOP", NULL);
    peer_emit(peer, "RESUME", NULL);
    peer_emit(peer, "BALLOON_CHANGE", "{\"actual\": 33554432}");
    peer_emit(peer, "SUSPEND", NULL);
    peer_emit(peer, "WAKEUP", NULL);
    peer_emit(peer, "DEVICE_DELETED", "{\"path\": \"/machine/peripheral/net0\", \"device\": \"net0\"}");
    peer_emit(
        peer, "BLOCK_IO_ERROR",
        "{\"device\": \"\", \"operation\": \"write\", \"action\": \"stop\", \"reason\": \"x\", \"nospace\": true}");
    peer_emit(peer, "SOMETHING_NEW", "{\"x\": 1}");
    must(as_gate(d, JOB_MODIFY, call_start, 0, &err), &err);
    peer_resume(peer);
    expect_events("D0 R0 S0 e2 e3 P3 R0 e13 e12 M0 e11 S4 e15 e4 e6 P2 ");
    g_autoptr(DomainView) v = domain_view(d);
    assert_int_equal(v->balloon_kib, 32768);
    assert_int_equal(v->state, VIR_DOMAIN_PAUSED);
    assert_int_equal(v->reason, VIR_DOMAIN_PAUSED_IOERROR);
    must(as_gate(d, JOB_DESTROY, domain_destroy, 0, &err), &err);
    script_end();
    object_unref(d);
}

/* ---- restart of the daemon --------------------------------------------------------------------------------------- */

static void script_reconnect(const char *uuid)
{
    peer_expect(peer, "query-uuid", NULL);
    g_autofree char *ret = g_strdup_printf("{\"UUID\": \"%s\"}", uuid);
    peer_reply(peer, ret);
}

static void test_reconnect(void **state)
{
    g_auto(Err) err = ERR_INIT;
    Domain *d = define("a", UUID_A, &err);
    script_start(false);
    must(as_gate(d, JOB_MODIFY, call_start, 0, &err), &err);
    object_unref(d);
    driver_end();
    script_end();
    assert_true(file_there("run/a.xml"));

    /* paused by somebody while no daemon ran */
    peer = peer_new(0, &peer_fd);
    script_reconnect(UUID_A);
    peer_expect(peer, "query-status", NULL);
    peer_reply(peer, "{\"status\": \"paused\", \"running\": false, \"singlestep\": false}");
    peer_expect(peer, "query-cpus-fast", NULL);
    peer_reply(peer, "[]");
    peer_expect(peer, "query-balloon", NULL);
    peer_fail(peer, "DeviceNotActive", "none");
    peer_expect(peer, "qom-list", NULL);
    peer_reply(peer, "[]");
    peer_expect(peer, "query-block", NULL);
    peer_reply(peer, "[]");
    peer_expect(peer, "query-jobs", NULL);
    peer_reply(peer, "[]");
    peer_expect(peer, "query-named-block-nodes", NULL); /* left over by a daemon that was killed? */
    peer_reply(peer, "[]");
    peer_expect(peer, "query-fdsets", NULL);
    peer_reply(peer, "[]");
    driver_begin();
    d = domain_by_name(drv, "a", &err);
    {
        g_autoptr(DomainView) v = domain_view(d); /* reads answer before anything was asked */
        assert_int_equal(v->state, VIR_DOMAIN_RUNNING);
        assert_int_equal(v->id, 1);
        assert_int_equal(v->pid, child);
        assert_int_equal(v->job, JOB_RECONNECT);
    }
    domain_driver_go(drv);
    JobRequest r = {.kind = JOB_QUERY, .what = "queued behind the reconnect", .deadline = deadline_in_ms(10000)};
    must(job_acquire(d, &r, &err), &err);
    job_end(&r);
    expect_state(d, VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_UNKNOWN);
    expect_events("P0 ");
    assert_int_equal(domain_driver_next_id(drv), 2);
    must(as_gate(d, JOB_DESTROY, domain_destroy, 0, &err), &err);
    expect_events("X1 ");
    assert_int_equal(kill(child, 0), -1);
    script_end();
    object_unref(d);
}

static void test_reconnect_dead_and_wrong(void **state)
{
    g_auto(Err) err = ERR_INIT;
    Domain *d = define("a", UUID_A, &err);
    script_start(false);
    must(as_gate(d, JOB_MODIFY, call_start, 0, &err), &err);
    object_unref(d);
    driver_end();
    script_end();

    /* another machine answers: left alone, not signalled, and destroy still works by pidfd */
    peer = peer_new(0, &peer_fd);
    script_reconnect(UUID_B);
    driver_begin();
    domain_driver_go(drv);
    d = domain_by_name(drv, "a", &err);
    JobRequest r = {.kind = JOB_QUERY, .what = "behind", .deadline = deadline_in_ms(10000)};
    must(job_acquire(d, &r, &err), &err);
    job_end(&r);
    {
        g_autoptr(DomainView) v = domain_view(d);
        assert_true(v->monitor_stuck && v->live);
    }
    assert_int_equal(kill(child, 0), 0);
    object_unref(d);
    driver_end();
    script_end();

    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    gone_at_reconnect = true;
    driver_begin();
    domain_driver_go(drv);
    d = domain_by_name(drv, "a", &err);
    wait_off(d);
    expect_events("X5 ");
    assert_false(file_there("run/a.xml"));
    object_unref(d);
}

/* A monitor that ends while QEMU lives is connected again: the machine goes on, nobody is told of an end. */
static void test_lost_monitor(void **state)
{
    g_auto(Err) err = ERR_INIT;
    Domain *d = define("a", UUID_A, &err);
    script_start(false);
    peer_stall(peer);
    peer_raw(peer, "this is no JSON}\n", 17);
    must(as_gate(d, JOB_MODIFY, call_start, 0, &err), &err);
    expect_events("D0 R0 S0 ");
    Peer *first = peer;
    peer = peer_new(0, &peer_fd);
    script_reconnect(UUID_A);
    peer_expect(peer, "query-status", NULL);
    peer_reply(peer, "{\"status\": \"running\", \"running\": true, \"singlestep\": false}");
    peer_expect(peer, "query-cpus-fast", NULL);
    peer_reply(peer, "[]");
    peer_expect(peer, "query-balloon", NULL);
    peer_fail(peer, "DeviceNotActive", "none");
    peer_expect(peer, "qom-list", NULL);
    peer_reply(peer, "[]");
    peer_expect(peer, "query-block", NULL);
    peer_reply(peer, "[]");
    peer_expect(peer, "query-jobs", NULL);
    peer_reply(peer, "[]");
    peer_expect(peer, "stop", NULL);
    peer_emit(peer, "STOP", NULL);
    peer_reply(peer, NULL);
    peer_resume(first);
    Deadline end = deadline_in_ms(15000);
    int r = -1;
    while (r < 0 && !deadline_passed(end)) { /* until the monitor is back: in between calls fail fast */
        err_clear(&err);
        r = as_gate(d, JOB_MODIFY, call_suspend, 0, &err);
        if (r < 0)
            g_usleep(20000);
    }
    must(r, &err);
    expect_events("P0 ");
    g_autofree char *wrong = peer_end(first);
    assert_null(wrong);
    script_end();
    must(as_gate(d, JOB_DESTROY, domain_destroy, 0, &err), &err);
    object_unref(d);
}

static void test_foreign_status(void **state)
{
    g_auto(Err) err = ERR_INIT;
    object_unref(define("a", UUID_A, &err));
    driver_end();
    const char *text =
        "<domstatus state='running' reason='booted' pid='77'><domain type='kvm'><name>a</name></domain></domstatus>";
    g_autofree char *p = g_build_filename(dir, "run/a.xml", NULL);
    file_replace(p, text, strlen(text), 0600, 0);
    driver_begin();
    domain_driver_go(drv);
    Domain *d = domain_by_name(drv, "a", &err);
    assert_int_equal(as_gate(d, JOB_MODIFY, call_start, 0, &err), -1);
    assert_int_equal(err.code, VIR_ERR_OPERATION_INVALID);
    g_autofree char *now = NULL;
    size_t len;
    assert_int_equal(file_read(p, 4096, &now, &len), 0);
    assert_string_equal(now, text);
    object_unref(d);
}

/* ---- several at once
 * ------------------------------------------------------------------------------------------------------- */

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
        object_unref(define(name, uuid, &err));
        return;
    }
    Domain *d = registry_by_name(domain_driver_registry(drv), name);
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
        must(job_acquire(d, &r, &err), &err);
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
    g_autofree char *etc = g_build_filename(dir, "etc", NULL);
    DefsStore *store = defs_open(etc, NULL);
    g_auto(Err) err = ERR_INIT;
    g_autoptr(GPtrArray) on_disk = defs_load(store, &err);
    assert_non_null(on_disk);
    defs_close(store);
    g_autoptr(GPtrArray) here = registry_list(domain_driver_registry(drv));
    assert_int_equal(on_disk->len, here->len);
    for (unsigned i = 0; i < on_disk->len; i++) {
        const LoadedDef *l = on_disk->pdata[i];
        Domain *d = registry_by_name(domain_driver_registry(drv), l->name);
        assert_non_null(d);
        g_autoptr(DomainView) v = domain_view(d);
        g_autoptr(DomainDef) def = stored_def_parse(v->config, &err);
        must(def ? 0 : -1, &err);
        assert_string_equal(v->name, l->name);
        assert_string_equal(def->name, l->name);
        assert_memory_equal(d->obj.uuid, l->def->uuid, UUID_LEN);
        g_autofree char *link = g_strdup_printf("etc/autostart/%s.xml", l->name);
        assert_int_equal(file_there(link), v->autostart);
        object_unref(d);
    }
}

static void owner_leaves(void)
{
    domain_autodestroy(drv, 5);
    Deadline end = deadline_in_ms(10000);
    while (domain_driver_busy(drv) &&
           !deadline_passed(end)) /* until the task has seen the machine that is being started */
        g_usleep(1000);
}

/* The client goes during a start that fails: the next start is nobody's business. */
static void test_owner_gone_once(void **state)
{
    g_auto(Err) err = ERR_INIT;
    Domain *a = define("a", UUID_A, &err);
    expect_events("D0 ");
    launch_fails = true;
    during_launch = owner_leaves;
    assert_int_equal(as_gate(a, JOB_MODIFY, call_start, VIR_DOMAIN_START_AUTODESTROY, &err), -1);
    during_launch = NULL;
    launch_fails = false;
    err_clear(&err);
    script_start(false);
    must(as_gate(a, JOB_MODIFY, call_start, 0, &err), &err);
    expect_events("R0 S0 ");
    script_end();
    kill(child, SIGKILL);
    wait_off(a);
    object_unref(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        T(test_define),           T(test_second_daemon),   T(test_start_pause_destroy),      T(test_start_fails),
        T(test_guest_shutdown),   T(test_reboot),          T(test_crash_wakes_waiters),      T(test_autodestroy),
        T(test_events),           T(test_reconnect),       T(test_reconnect_dead_and_wrong), T(test_foreign_status), T(test_lost_monitor),
        T(test_definition_storm), T(test_owner_gone_once),
    };
    return cmocka_run_group_tests(tests, world_begin, world_end);
}
