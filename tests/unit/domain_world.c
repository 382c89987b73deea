/* tests/unit/domain_world.c - the real domain driver over a launch that is only played
 *
 * Owns:    the stand-ins for launch, completion of definitions and capabilities; the driver's surroundings in a directory of its own
 * Threads: as the driver's
 */
#include "config.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "domain/complete.h"
#include "domain/lifecycle.h"
#include "host/proc.h"
#include "qemu/caps.h"
#include "qemu/cpu_guest.h"
#include "qemu/launch.h"
#include "qmp/client.h"
#include "tests/unit/domain_world.h"

EventLoop *world_client_loop, *world_monitor_loop;
Pool *world_pool;
DomainDriver *world_drv;
char *world_dir;
const char *world_run_dir;
int (*world_monitor)(pid_t child);
int (*world_launching)(Err *err);
bool world_reconnects;
gint world_launches, world_cleanups;
void (*world_on_event)(const DomainEvent *e);
static Bus *bus;

/* ---- stand-ins --------------------------------------------------------------------------------------------------- */

pid_t world_child(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;)
            pause();
    }
    return pid;
}

static int attach(const LaunchRequest *req, LaunchResult *ret, Err *err)
{
    pid_t pid = ret->proc.pid;
    ret->child = (Child){pid, (int)syscall(SYS_pidfd_open, pid, 0)};
    ret->qmp = qmp_client_new(req->monitor_loop, world_monitor(pid), req->deadline, req->handlers, req->handlers_data);
    return qmp_client_wait_ready(ret->qmp, req->deadline, err);
}

int qemu_launch(const LaunchRequest *req, LaunchResult *ret, Err *err)
{
    if (world_launching && world_launching(err) < 0)
        return -1;
    pid_t pid = world_child();
    unsigned long long started = 0;
    host_process_start_time(pid, &started);
    ret->proc = (LaunchedProcess){.pid = pid,
                                  .start_time = started,
                                  .monitor_path = g_strdup("/nowhere/monitor"),
                                  .private_dir = g_strdup("/nowhere"),
                                  .taps = g_ptr_array_new_with_free_func(g_free)};
    if (attach(req, ret, err) == 0) {
        g_atomic_int_inc(&world_launches);
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
    if (!world_reconnects) {
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
    g_atomic_int_inc(&world_cleanups);
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

static void sink(void *ud, void *event)
{
    if (world_on_event)
        world_on_event(event);
    domain_event_free(event);
}

static void free_event(void *event)
{
    domain_event_free(event);
}

int world_begin(void **state)
{
    world_client_loop = event_loop_new("client");
    world_monitor_loop = event_loop_new("monitor");
    event_loop_start(world_client_loop);
    event_loop_start(world_monitor_loop);
    return 0;
}

int world_end(void **state)
{
    event_loop_stop(world_client_loop, 0);
    event_loop_stop(world_monitor_loop, 0);
    event_loop_free(world_client_loop);
    event_loop_free(world_monitor_loop);
    return 0;
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

void world_driver_begin(void)
{
    PoolLimits limits = {.cap = {0, 4, 4, 2}, .max_threads = 64, .idle_ms = 200};
    world_pool = pool_new(&limits);
    bus = bus_new(world_client_loop);
    bus_set_sink(bus, sink, NULL, free_event);
    g_autofree char *config = g_build_filename(world_dir, "etc", NULL), *autostart = g_build_filename(world_dir, "etc/autostart", NULL),
                    *run = world_run_dir ? g_strdup(world_run_dir) : g_build_filename(world_dir, "run", NULL), *lib = g_build_filename(world_dir, "lib", NULL),
                    *log = g_build_filename(world_dir, "log", NULL);
    DomainDriverOpts o = {.monitor_loop = world_monitor_loop,
                          .client_loop = world_client_loop,
                          .pool = world_pool,
                          .bus = bus,
                          .config_dir = config,
                          .autostart_dir = autostart,
                          .run_dir = run,
                          .state_dir = lib,
                          .log_dir = log,
                          .cache_dir = lib};
    g_auto(Err) err = ERR_INIT;
    world_drv = domain_driver_new(&o, &err);
    if (!world_drv)
        fail_msg("%s", err.detail);
}

void world_driver_end(void)
{
    domain_driver_stop(world_drv);
    domain_driver_let_go(world_drv);
    pool_free(world_pool);
    domain_driver_free(world_drv);
    bus_free(bus);
}

int world_setup(void **state)
{
    world_dir = g_strdup("/tmp/berth-world-XXXXXX");
    if (!mkdtemp(world_dir))
        return -1;
    world_launches = world_cleanups = 0;
    world_driver_begin();
    return 0;
}

int world_teardown(void **state)
{
    world_driver_end();
    remove_all(world_dir);
    if (world_run_dir)
        remove_all(world_run_dir);
    g_clear_pointer(&world_dir, g_free);
    return 0;
}

/* ---- machines ---------------------------------------------------------------------------------------------------- */

char *world_xml(const char *name, const char *uuid, const char *more)
{
    return g_strdup_printf("<domain type='qemu'><name>%s</name><uuid>%s</uuid><memory unit='KiB'>65536</memory>"
                           "<currentMemory unit='KiB'>65536</currentMemory><vcpu>1</vcpu><os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os>%s"
                           "<devices><emulator>/usr/bin/qemu-system-x86_64</emulator></devices></domain>",
                           name, uuid, more ? more : "");
}

int world_as_gate(Domain *d, JobKind kind, WorldCall call, void *arg, Err *err)
{
    JobRequest r = {.kind = kind, .what = "test", .owner = 1, .deadline = deadline_in_ms(30000)};
    if (kind == JOB_DESTROY)
        domain_kill(d, 0);
    if (job_acquire(d, &r, err) < 0)
        return -1;
    domain_lock(d);
    int rc = call(d, arg, err);
    domain_unlock(d);
    domain_flush(d, NULL);
    job_end(&r);
    return rc;
}

bool world_wait_off(Domain *d)
{
    Deadline end = deadline_in_ms(10000);
    domain_lock(d);
    while (domain_is_active(d) && domain_wait(d, end))
        ;
    bool off = !domain_is_active(d);
    domain_unlock(d);
    return off;
}
