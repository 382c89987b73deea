/* tests/unit/test_domain_storm.c - many clients, few machines, QEMUs that die at any moment
 *
 * The launch is replaced by a thread that answers every command, and a child that only sleeps.  What is checked at the
 * end: every machine can be stopped and started again, nobody waits for ever, no process, file or object is left; under
 * TSan and ASan, no race.
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
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "util/fd.h"
#include "host/proc.h"
#include "domain/complete.h"
#include "domain/driver.h"
#include "domain/events.h"
#include "domain/lifecycle.h"
#include "qemu/caps.h"
#include "qemu/cpu_guest.h"
#include "qemu/launch.h"
#include "qmp/client.h"
#include "api_enums.h"

#define MACHINES 3
#define CLIENTS  6
#define ROUNDS   300

static EventLoop *client_loop, *monitor_loop;
static Pool *pool;
static Bus *bus;
static DomainDriver *drv;
static char *dir;
static gint lifecycle_events, cleanups, launches, servers;

/* ---- a QEMU that says yes ---------------------------------------------------------------------------------------- */

typedef struct Qemu {
    int fd;
    pid_t pid;
    unsigned seed;
} Qemu;

static void say(int fd, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void say(int fd, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    g_autofree char *text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    ssize_t n = send(fd, text, strlen(text), MSG_NOSIGNAL);
    (void)n;
}

#define STAMP "\"timestamp\": {\"seconds\": 1, \"microseconds\": 2}"

static void answer(Qemu *q, json_t *cmd, GRand *rnd)
{
    const char *what = json_string_value(json_object_get(cmd, "execute"));
    json_t *jid = json_object_get(cmd, "id");
    char *text = jid ? json_dumps(jid, JSON_ENCODE_ANY) : NULL;
    if (g_rand_int_range(rnd, 0, 60) == 0) /* dies instead of answering */
        kill(q->pid, SIGKILL);
    if (g_str_equal(what, "cont"))
        say(q->fd, "{\"event\": \"RESUME\", " STAMP "}\n");
    else if (g_str_equal(what, "stop"))
        say(q->fd, "{\"event\": \"STOP\", " STAMP "}\n");
    else if (g_str_equal(what, "system_powerdown") && g_rand_boolean(rnd))
        say(q->fd,
            "{\"event\": \"SHUTDOWN\", \"data\": {\"guest\": true, \"reason\": \"guest-shutdown\"}, " STAMP "}\n");
    if (g_str_equal(what, "query-cpus-fast"))
        say(q->fd, "{\"return\": [], \"id\": %s}\n", text);
    else if (g_str_equal(what, "query-balloon"))
        say(q->fd, "{\"error\": {\"class\": \"DeviceNotActive\", \"desc\": \"none\"}, \"id\": %s}\n", text);
    else
        say(q->fd, "{\"return\": {}, \"id\": %s}\n", text);
    free(text);
}

static gpointer server(gpointer arg)
{
    Qemu *q = arg;
    GRand *rnd = g_rand_new_with_seed(q->seed);
    g_autoptr(GString) in = g_string_new(NULL);
    say(q->fd, "{\"QMP\": {\"version\": {\"qemu\": {\"major\": 7, \"minor\": 2, \"micro\": 0}, \"package\": \"\"}, "
               "\"capabilities\": []}}\n");
    for (;;) {
        char buf[1024];
        ssize_t n = recv(q->fd, buf, sizeof(buf), 0);
        if (n <= 0)
            break;
        g_string_append_len(in, buf, n);
        char *nl;
        while ((nl = memchr(in->str, '\n', in->len))) {
            json_t *cmd = json_loadb(in->str, (size_t)(nl - in->str), 0, NULL);
            if (cmd)
                answer(q, cmd, rnd);
            json_decref(cmd);
            g_string_erase(in, 0, nl - in->str + 1);
        }
    }
    shutdown(q->fd, SHUT_RDWR);
    close(q->fd);
    kill(q->pid, SIGKILL);
    g_rand_free(rnd);
    g_free(q);
    g_atomic_int_add(&servers, -1);
    return NULL;
}

/* The server sees the end of its process as QEMU's own sockets would: by being closed. */
static gpointer watcher(gpointer arg)
{
    Qemu *q = arg;
    int pidfd = (int)syscall(SYS_pidfd_open, q->pid, 0), fd = q->fd;
    g_free(q);
    siginfo_t info;
    waitid((idtype_t)P_PIDFD, (id_t)pidfd, &info, WEXITED | WNOWAIT);
    shutdown(fd, SHUT_RDWR);
    close(fd);
    close(pidfd);
    g_atomic_int_add(&servers, -1);
    return NULL;
}

int qemu_launch(const LaunchRequest *req, LaunchResult *ret, Err *err)
{
    static gint seed;
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return err_set(err, VIR_ERR_INTERNAL_ERROR, "socketpair");
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;)
            pause();
    }
    g_atomic_int_add(&servers, 2);
    Qemu *q = g_new0(Qemu, 1), *w = g_new0(Qemu, 1);
    *q = (Qemu){pair[1], pid, (unsigned)g_atomic_int_add(&seed, 1)};
    *w = (Qemu){fcntl(pair[1], F_DUPFD_CLOEXEC, 3), pid, 0};
    unsigned long long started = 0;
    host_process_start_time(pid, &started);
    ret->proc = (LaunchedProcess){.pid = pid, .start_time = started, .monitor_path = g_strdup("/nowhere")};
    ret->child = (Child){pid, (int)syscall(SYS_pidfd_open, pid, 0)};
    g_thread_unref(g_thread_new("qemu", server, q));
    g_thread_unref(g_thread_new("watch", watcher, w));
    ret->qmp = qmp_client_new(req->monitor_loop, pair[0], req->deadline, req->handlers, req->handlers_data);
    if (qmp_client_wait_ready(ret->qmp, req->deadline, err) == 0) {
        g_atomic_int_inc(&launches);
        return 0;
    }
    qmp_client_close(ret->qmp, "start failed");
    qmp_client_unref(ret->qmp);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    close(ret->child.pidfd);
    launched_process_clear(&ret->proc);
    return -1;
}

int qemu_launch_reconnect(const LaunchRequest *req, const LaunchedProcess *proc, LaunchResult *ret, bool *ret_gone,
                          Err *err)
{
    *ret_gone = true;
    return err_set(err, VIR_ERR_OPERATION_FAILED, "gone");
}

void qemu_launch_cleanup(const LaunchedProcess *proc, const DomainDef *def, const char *reason)
{
    g_atomic_int_inc(&cleanups);
}

void launched_process_clear(LaunchedProcess *p)
{
    g_free(p->monitor_path);
    *p = (LaunchedProcess){0};
}

void launched_process_copy(LaunchedProcess *dest, const LaunchedProcess *src)
{
    *dest =
        (LaunchedProcess){.pid = src->pid, .start_time = src->start_time, .monitor_path = g_strdup(src->monitor_path)};
}

char *qemu_log_tail(const char *log_path, size_t max)
{
    return NULL;
}

int domain_def_make_whole(DomainDriver *d, DomainDef *def, Err *err)
{
    return 0;
}

DomainDef *domain_def_from_client(DomainDriver *d, const char *xml, bool strict, Err *err)
{
    return domain_def_parse(xml, PARSE_INACTIVE, NULL, err);
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

/* ---- clients ----------------------------------------------------------------------------------------------------- */

static void sink(void *ud, void *event)
{
    DomainEvent *e = event;
    if (e->class == EVENT_DOMAIN && e->id == VIR_DOMAIN_EVENT_ID_LIFECYCLE)
        g_atomic_int_inc(&lifecycle_events);
    domain_event_free(e);
}

static void free_event(void *event)
{
    domain_event_free(event);
}

static char *xml_of(unsigned i)
{
    return g_strdup_printf(
        "<domain type='qemu'><name>m%u</name><uuid>11111111-2222-4333-8444-55555555555%u</uuid>"
        "<memory unit='KiB'>65536</memory><currentMemory>65536</currentMemory><vcpu>1</vcpu>"
        "<os><type arch='x86_64' machine='q35'>hvm</type></os>"
        "<devices><emulator>/usr/bin/qemu-system-x86_64</emulator></devices></domain>",
        i, i);
}

typedef enum {
    DO_START,
    DO_DESTROY,
    DO_SUSPEND,
    DO_RESUME,
    DO_SHUTDOWN,
    DO_DEFINE,
    DO_UNDEFINE,
    DO_CREATE,
    DO_LIST,
    DO_MAX
} What;

static void one_job(Domain *d, What what, GRand *rnd)
{
    static const JobKind kinds[DO_MAX] = {JOB_MODIFY, JOB_DESTROY, JOB_MODIFY, JOB_MODIFY,
                                          JOB_MODIFY, JOB_NONE,    JOB_MODIFY};
    g_auto(Err) err = ERR_INIT;
    JobRequest r = {.kind = kinds[what], .what = "storm", .owner = 1, .deadline = deadline_in_ms(20000)};
    if (what == DO_DESTROY)
        domain_kill(d, 0);
    if (job_acquire(d, &r, &err) < 0)
        fail_msg("a job was never granted: %s", err.detail);
    domain_lock(d);
    bool active = domain_is_active(d);
    if (what == DO_DESTROY)
        domain_destroy(d, 0, &err);
    else if (d->removing)
        ;
    else if (what == DO_START && !active)
        domain_start(d, g_rand_boolean(rnd) ? VIR_DOMAIN_START_PAUSED : 0, 0, &err);
    else if (what == DO_SUSPEND && active)
        domain_suspend(d, &err);
    else if (what == DO_RESUME && active)
        domain_resume(d, &err);
    else if (what == DO_SHUTDOWN && active)
        domain_shutdown(d, 0, &err);
    else if (what == DO_UNDEFINE)
        domain_undefine(d, 0, &err);
    domain_unlock(d);
    domain_flush(d, NULL);
    job_end(&r);
}

static void step(GRand *rnd)
{
    unsigned i = (unsigned)g_rand_int_range(rnd, 0, MACHINES);
    What what = (What)g_rand_int_range(rnd, 0, DO_MAX);
    g_auto(Err) err = ERR_INIT;
    g_autofree char *xml = xml_of(i), *name = g_strdup_printf("m%u", i);
    if (what == DO_DEFINE) {
        object_unref(domain_define(drv, xml, 0, &err));
    } else if (what == DO_CREATE) {
        object_unref(domain_create_xml(drv, xml, 0, 0, &err));
    } else if (what == DO_LIST) {
        g_autoptr(GPtrArray) all = registry_list(domain_driver_registry(drv));
        for (unsigned k = 0; k < all->len; k++) {
            g_autoptr(DomainView) v = domain_view(all->pdata[k]);
            g_autoptr(DomainDef) def = view_def(v, g_rand_boolean(rnd), NULL);
            assert_non_null(def);
        }
    } else {
        Domain *d = domain_by_name(drv, name, &err);
        if (d)
            one_job(d, what, rnd);
        object_unref(d);
    }
}

static gpointer client(gpointer arg)
{
    GRand *rnd = g_rand_new_with_seed(GPOINTER_TO_UINT(arg));
    for (int i = 0; i < ROUNDS; i++)
        step(rnd);
    g_rand_free(rnd);
    return NULL;
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

#ifdef __SANITIZE_THREAD__
/* glib and jansson are not built with TSan, which does not see their atomics and slices; table_copy reads a reference
 * count along with the rest and sets its own. */
__attribute__((visibility("default"))) const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
    return "called_from_lib:libglib-2.0.so.0\ncalled_from_lib:libjansson.so.4\nrace:table_copy\n";
}
#endif

static void test_storm(void **state)
{
    client_loop = event_loop_new("client");
    monitor_loop = event_loop_new("monitor");
    event_loop_start(client_loop);
    event_loop_start(monitor_loop);
    PoolLimits limits = {.cap = {0, 4, 4, 2}, .max_threads = 64, .idle_ms = 200};
    pool = pool_new(&limits);
    bus = bus_new(client_loop);
    bus_set_sink(bus, sink, NULL, free_event);
    dir = g_strdup("/tmp/berth-storm-XXXXXX");
    assert_non_null(mkdtemp(dir));
    g_autofree char *config = g_build_filename(dir, "etc", NULL), *run = g_build_filename(dir, "run", NULL),
                    *lib = g_build_filename(dir, "lib", NULL);
    DomainDriverOpts o = {.monitor_loop = monitor_loop,
                          .client_loop = client_loop,
                          .pool = pool,
                          .bus = bus,
                          .config_dir = config,
                          .autostart_dir = lib,
                          .run_dir = run,
                          .state_dir = lib,
                          .log_dir = lib,
                          .cache_dir = lib};
    g_auto(Err) err = ERR_INIT;
    drv = domain_driver_new(&o, &err);
    assert_non_null(drv);
    domain_driver_go(drv);

    GThread *t[CLIENTS];
    for (unsigned i = 0; i < CLIENTS; i++)
        t[i] = g_thread_new("client", client, GUINT_TO_POINTER(i + 1));
    for (int i = 0; i < CLIENTS; i++)
        g_thread_join(t[i]);

    /* all can still be defined, started and stopped, and nothing runs afterwards */
    GRand *rnd = g_rand_new_with_seed(99);
    for (unsigned i = 0; i < MACHINES; i++) {
        g_autofree char *xml = xml_of(i);
        Domain *d = domain_define(drv, xml, 0, &err);
        if (!d)
            fail_msg("%s", err.detail);
        one_job(d, DO_START, rnd);
        one_job(d, DO_DESTROY, rnd);
        g_autoptr(DomainView) v = domain_view(d);
        assert_null(v->live);
        object_unref(d);
    }
    g_rand_free(rnd);
    Deadline end = deadline_in_ms(20000);
    while (domain_driver_busy(drv) && !deadline_passed(end))
        g_usleep(1000);
    assert_false(domain_driver_busy(drv));
    assert_true(launches > 0);
    assert_int_equal(launches, cleanups); /* each process that was given away was cleaned up after */
    while (g_atomic_int_get(&servers) && !deadline_passed(end))
        g_usleep(1000);
    assert_int_equal(g_atomic_int_get(&servers), 0);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* and reaped */
    g_autofree char *status = g_build_filename(run, "m0.xml", NULL);
    assert_int_equal(access(status, F_OK), -1);

    domain_driver_stop(drv);
    pool_free(pool);
    domain_driver_free(drv);
    bus_free(bus);
    event_loop_stop(client_loop, 0);
    event_loop_stop(monitor_loop, 0);
    event_loop_free(client_loop);
    event_loop_free(monitor_loop);
    remove_all(dir);
    g_free(dir);
    print_message("%d launches, %d lifecycle events\n", launches, lifecycle_events);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_storm)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
