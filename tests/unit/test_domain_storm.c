/* tests/unit/test_domain_storm.c - many clients, few machines, QEMUs that die at any moment
 *
 * The monitor's end is a thread that answers every command; the rest of the driver's surroundings are domain_world.c's.  What is checked at the
 * end: every machine can be stopped and started again, nobody waits for ever, no process, file or object is left; under
 * TSan and ASan, no race.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include <jansson.h>

#include "domain/lifecycle.h"
#include "tests/unit/domain_world.h"
#include "api_enums.h"

#define MACHINES 3
#define CLIENTS  6
#define ROUNDS   300

static gint lifecycle_events, servers;

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

static int monitor(pid_t pid)
{
    static gint seed;
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        abort();
    g_atomic_int_add(&servers, 2);
    Qemu *q = g_new0(Qemu, 1), *w = g_new0(Qemu, 1);
    *q = (Qemu){pair[1], pid, (unsigned)g_atomic_int_add(&seed, 1)};
    *w = (Qemu){fcntl(pair[1], F_DUPFD_CLOEXEC, 3), pid, 0};
    g_thread_unref(g_thread_new("qemu", server, q));
    g_thread_unref(g_thread_new("watch", watcher, w));
    return pair[0];
}

/* ---- clients ----------------------------------------------------------------------------------------------------- */

static void on_event(const DomainEvent *e)
{
    if (e->class == EVENT_DOMAIN && e->id == VIR_DOMAIN_EVENT_ID_LIFECYCLE)
        g_atomic_int_inc(&lifecycle_events);
}

static char *xml_of(unsigned i)
{
    g_autofree char *name = g_strdup_printf("m%u", i), *uuid = g_strdup_printf("11111111-2222-4333-8444-55555555555%u", i);
    return world_xml(name, uuid, NULL);
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
        object_unref(domain_define(world_drv, xml, 0, &err));
    } else if (what == DO_CREATE) {
        object_unref(domain_create_xml(world_drv, xml, 0, 0, &err));
    } else if (what == DO_LIST) {
        g_autoptr(GPtrArray) all = registry_list(domain_driver_registry(world_drv));
        for (unsigned k = 0; k < all->len; k++) {
            g_autoptr(DomainView) v = domain_view(all->pdata[k]);
            g_autoptr(DomainDef) def = view_def(v, g_rand_boolean(rnd), NULL);
            assert_non_null(def);
        }
    } else {
        Domain *d = domain_by_name(world_drv, name, &err);
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
    g_auto(Err) err = ERR_INIT;
    domain_driver_go(world_drv);

    GThread *t[CLIENTS];
    for (unsigned i = 0; i < CLIENTS; i++)
        t[i] = g_thread_new("client", client, GUINT_TO_POINTER(i + 1));
    for (int i = 0; i < CLIENTS; i++)
        g_thread_join(t[i]);

    /* all can still be defined, started and stopped, and nothing runs afterwards */
    GRand *rnd = g_rand_new_with_seed(99);
    for (unsigned i = 0; i < MACHINES; i++) {
        g_autofree char *xml = xml_of(i);
        Domain *d = domain_define(world_drv, xml, 0, &err);
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
    while (domain_driver_busy(world_drv) && !deadline_passed(end))
        g_usleep(1000);
    assert_false(domain_driver_busy(world_drv));
    assert_true(world_launches > 0);
    assert_int_equal(world_launches, world_cleanups); /* each process that was given away was cleaned up after */
    while (g_atomic_int_get(&servers) && !deadline_passed(end))
        g_usleep(1000);
    assert_int_equal(g_atomic_int_get(&servers), 0);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* and reaped */
    g_autofree char *status = g_build_filename(world_dir, "run/m0.xml", NULL);
    assert_int_equal(access(status, F_OK), -1);

    print_message("%d launches, %d lifecycle events\n", world_launches, g_atomic_int_get(&lifecycle_events));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(test_storm, world_setup, world_teardown)};
    world_monitor = monitor;
    world_on_event = on_event;
    return cmocka_run_group_tests(tests, world_begin, world_end);
}
