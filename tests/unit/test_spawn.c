/* unit/test_spawn.c - children: descriptors, ids, capabilities, deadlines, failures
 */
#include "config.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "util/fd.h"
#include "util/spawn.h"

static char *run_sh(const char *script, SpawnOpts *o)
{
    const char *argv[] = {"/bin/sh", "-c", script, NULL};
    o->argv = argv;
    o->fd_in = -1;
    char *out = NULL;
    g_auto(Err) err = ERR_INIT;
    int r = spawn_run(o, deadline_in_ms(10000), 65536, &out, &err);
    if (r < 0)
        print_error("%s\n", err.detail);
    assert_int_equal(r, 0);
    return out;
}

static void test_output(void **state)
{
    SpawnOpts o = {0};
    g_autofree char *out = run_sh("pwd; umask; echo $LC_ALL; cat", &o);
    assert_string_equal(out, "/\n0077\nC\n");
}

static void test_exact_fds(void **state)
{
    /* sources and targets overlap in both directions, and a stray descriptor without close-on-exec must not get through */
    int a[2], b[2];
    assert_int_equal(pipe(a), 0);
    assert_int_equal(pipe(b), 0);
    assert_int_equal(write(a[1], "A", 1), 1);
    assert_int_equal(write(b[1], "B", 1), 1);
    close(a[1]);
    close(b[1]);
    SpawnFd fds[] = {{a[0], b[0]}, {b[0], a[0]}, {a[0], 40}};
    SpawnOpts o = {.fds = fds, .n_fds = 3};
    g_autofree char *script = g_strdup_printf("cat <&%d; cat <&%d; "
                                               "for f in /proc/$$/fd/*; do [ -e $f ] && echo $f; done", b[0], a[0]);
    g_autofree char *out = run_sh(script, &o);
    assert_int_equal(strncmp(out, "AB", 2), 0);
    assert_null(strstr(out, "/fd/41"));
    assert_non_null(strstr(out, "/fd/40"));
    unsigned n = 0;
    for (const char *p = out; (p = strstr(p, "/fd/")); p++)
        n++;
    assert_int_equal(n, 6); /* 0 1 2, two exchanged, 40 */
    close(a[0]);
    close(b[0]);
}

static void test_missing_program(void **state)
{
    const char *argv[] = {"/nonexistent/qemu", NULL};
    SpawnOpts o = {.argv = argv, .fd_in = -1, .fd_out = -1, .fd_err = -1};
    Child c = {0, -1};
    g_auto(Err) err = ERR_INIT;
    assert_int_equal(spawn(&o, &c, &err), -1);
    assert_int_equal(err.os_errno, ENOENT);
    assert_non_null(strstr(err.detail, "cannot execute /nonexistent/qemu"));
    assert_int_equal(c.pidfd, -1);
}

static void test_relative_program(void **state)
{
    const char *argv[] = {"sh", NULL};
    SpawnOpts o = {.argv = argv, .fd_in = -1, .fd_out = -1, .fd_err = -1};
    Child c;
    g_auto(Err) err = ERR_INIT;
    assert_int_equal(spawn(&o, &c, &err), -1);
}

static void test_bad_cwd(void **state)
{
    const char *argv[] = {"/bin/true", NULL};
    SpawnOpts o = {.argv = argv, .fd_in = -1, .fd_out = -1, .fd_err = -1, .cwd = "/nonexistent/dir"};
    Child c;
    g_auto(Err) err = ERR_INIT;
    assert_int_equal(spawn(&o, &c, &err), -1);
    assert_non_null(strstr(err.detail, "/nonexistent/dir"));
}

static void test_stderr_in_error(void **state)
{
    const char *argv[] = {"/bin/sh", "-c", "echo first >&2; echo it broke >&2; exit 3", NULL};
    SpawnOpts o = {.argv = argv, .fd_in = -1};
    g_auto(Err) err = ERR_INIT;
    assert_int_equal(spawn_run(&o, deadline_in_ms(10000), 100, NULL, &err), -1);
    assert_non_null(strstr(err.detail, "status 3"));
    assert_non_null(strstr(err.detail, "it broke"));
}

static void test_signal_in_error(void **state)
{
    const char *argv[] = {"/bin/sh", "-c", "kill -9 $$", NULL};
    SpawnOpts o = {.argv = argv, .fd_in = -1};
    g_auto(Err) err = ERR_INIT;
    assert_int_equal(spawn_run(&o, deadline_in_ms(10000), 100, NULL, &err), -1);
    assert_non_null(strstr(err.detail, "signal 9"));
}

static void test_output_bound(void **state)
{
    const char *argv[] = {"/bin/sh", "-c", "while :; do echo 0123456789; done", NULL};
    SpawnOpts o = {.argv = argv, .fd_in = -1};
    g_auto(Err) err = ERR_INIT;
    assert_int_equal(spawn_run(&o, deadline_in_ms(10000), 1000, NULL, &err), -1);
    assert_non_null(strstr(err.detail, "more than 1000 bytes"));
}

static void test_deadline(void **state)
{
    const char *argv[] = {"/bin/sleep", "100", NULL};
    SpawnOpts o = {.argv = argv, .fd_in = -1};
    g_auto(Err) err = ERR_INIT;
    uint64_t before = now_us();
    assert_int_equal(spawn_run(&o, deadline_in_ms(100), 1000, NULL, &err), -1);
    assert_int_equal(err.code, VIR_ERR_OPERATION_TIMEOUT);
    assert_true(now_us() - before < 5000000);
}

static void test_wait_and_kill(void **state)
{
    const char *argv[] = {"/bin/sleep", "100", NULL};
    SpawnOpts o = {.argv = argv, .fd_in = -1, .fd_out = -1, .fd_err = -1, .new_session = true};
    Child c = {0, -1};
    g_auto(Err) err = ERR_INIT;
    assert_int_equal(spawn(&o, &c, &err), 0);
    assert_true(c.pid > 0 && c.pidfd >= 0);
    assert_int_equal(getsid(c.pid), c.pid);
    int status = 77;
    assert_int_equal(child_wait(&c, deadline_in_ms(20), &status), 0);
    kill(c.pid, SIGTERM);
    assert_int_equal(child_wait(&c, deadline_in_ms(10000), &status), 1);
    assert_int_equal(status, 128 + SIGTERM);
    child_kill(&c); /* harmless on one already gone */
    assert_int_equal(c.pidfd, -1);
}

static void test_signals_reset(void **state)
{
    signal(SIGPIPE, SIG_IGN);
    sigset_t s, old;
    sigemptyset(&s);
    sigaddset(&s, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &s, &old);
    SpawnOpts o = {0};
    g_autofree char *out = run_sh("grep -E '^Sig(Blk|Ign)' /proc/self/status", &o);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    signal(SIGPIPE, SIG_DFL);
    unsigned long long blocked = ~0ull, ignored = ~0ull;
    assert_int_equal(sscanf(out, "SigBlk:\t%llx\nSigIgn:\t%llx", &blocked, &ignored), 2);
    assert_int_equal(blocked, 0);
    /* 32 and 33 are libc's own: its posix_spawn() leaves them ignored in what started us, and no program can ask for a change */
    assert_int_equal(ignored & ~(3ull << 31), 0);
}

static void test_limits(void **state)
{
    SpawnOpts o = {.rlimit_nofile = 123, .no_new_privs = true, .umask = 0022};
    g_autofree char *out = run_sh("ulimit -n; umask; grep NoNewPrivs /proc/$$/status", &o);
    assert_string_equal(out, "123\n0022\nNoNewPrivs:\t1\n");
}

static void test_cpus(void **state)
{
    unsigned long cpus[4] = {1};
    SpawnOpts o = {.cpus = cpus, .cpus_size = sizeof(cpus)};
    g_autofree char *out = run_sh("grep Cpus_allowed_list /proc/$$/status", &o);
    assert_string_equal(out, "Cpus_allowed_list:\t0\n");
}

/* ---- before exec ------------------------------------------------------------------------------------------------------------- */

typedef struct Birth {
    pid_t pid;
    bool fail;
    int close_fd, watch_fd; /* -1: none */
    int tell_fd;            /* -1, or: write the pid there and die */
} Birth;

static int on_birth(void *data, pid_t pid, Err *err)
{
    Birth *b = data;
    b->pid = pid;
    if (b->tell_fd >= 0) {
        if (write(b->tell_fd, &pid, sizeof(pid)) != (ssize_t)sizeof(pid))
            _exit(3);
        kill(getpid(), SIGKILL);
    }
    if (b->close_fd >= 0) {
        close(b->close_fd);
        struct pollfd p = {.fd = b->watch_fd, .events = POLLIN};
        assert_int_equal(poll(&p, 1, 30000), 1);
        assert_true(p.revents & POLLHUP);
    }
    return b->fail ? err_set(err, VIR_ERR_OPERATION_FAILED, "not wanted") : 0;
}

static const char *const true_argv[] = {"/bin/true", NULL};

static void test_not_the_program_yet(void **state)
{
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    /* our end is closed in on_birth: the child, who waits for us, must have no copy */
    Birth b = {.close_fd = pair[0], .watch_fd = pair[1], .tell_fd = -1};
    SpawnOpts o = {
        .argv = true_argv, .fd_in = -1, .fd_out = -1, .fd_err = -1, .before_exec = on_birth, .before_exec_data = &b};
    Child c;
    int status;
    assert_int_equal(spawn(&o, &c, NULL), 0);
    assert_int_equal(c.pid, b.pid);
    assert_int_equal(child_wait(&c, deadline_in_ms(30000), &status), 1);
    assert_int_equal(status, 0);
    fd_close(&c.pidfd);
    close(pair[1]);
}

static void test_refused_before_exec(void **state)
{
    Birth b = {.fail = true, .close_fd = -1, .tell_fd = -1};
    SpawnOpts o = {
        .argv = true_argv, .fd_in = -1, .fd_out = -1, .fd_err = -1, .before_exec = on_birth, .before_exec_data = &b};
    Child c;
    g_auto(Err) err = ERR_INIT;
    assert_int_equal(spawn(&o, &c, &err), -1);
    assert_string_equal(err.detail, "not wanted");
    assert_int_equal(waitpid(b.pid, NULL, WNOHANG), -1); /* reaped */
}

static void test_killed_before_exec(void **state)
{
    int tell[2], out[2];
    assert_int_equal(pipe(tell), 0);
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0);
    pid_t daemon = fork();
    assert_true(daemon >= 0);
    if (daemon == 0) {
        const char *argv[] = {"/bin/echo", "lives", NULL};
        Birth b = {.close_fd = -1, .tell_fd = tell[1]};
        SpawnOpts o = {
            .argv = argv, .fd_in = -1, .fd_out = out[1], .fd_err = -1, .before_exec = on_birth, .before_exec_data = &b};
        Child c;
        spawn(&o, &c, NULL);
        _exit(4);
    }
    close(out[1]);
    pid_t orphan;
    assert_int_equal(read(tell[0], &orphan, sizeof(orphan)), sizeof(orphan));
    int status;
    assert_int_equal(waitpid(daemon, &status, 0), daemon);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(waitpid(orphan, &status, 0), orphan); /* ours now */
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 126);
    char byte;
    assert_int_equal(read(out[0], &byte, 1), 0); /* never became the program */
    prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0);
    close(out[0]);
    close(tell[0]);
    close(tell[1]);
}

static void test_ids_and_caps(void **state)
{
    if (geteuid() != 0)
        skip();
    gid_t groups[] = {65533};
    SpawnOpts o = {.change_ids = true, .uid = 65534, .gid = 65534, .groups = groups, .n_groups = 1};
    g_autofree char *out = run_sh("grep -E '^(Uid|Gid|Groups|Cap(Inh|Prm|Eff|Bnd|Amb))' /proc/$$/status | tr -s '\\t ' '  '", &o);
    assert_string_equal(out, "Uid: 65534 65534 65534 65534\nGid: 65534 65534 65534 65534\nGroups: 65533 \n"
                             "CapInh: 0000000000000000\nCapPrm: 0000000000000000\nCapEff: 0000000000000000\n"
                             "CapBnd: 0000000000000000\nCapAmb: 0000000000000000\n");
    assert_int_equal(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0), 1); /* a child that borrowed our memory has left no mark */
}

static void test_root_without_caps(void **state)
{
    if (geteuid() != 0)
        skip();
    SpawnOpts o = {.change_ids = true, .uid = 0, .gid = 0};
    g_autofree char *out = run_sh("grep -E '^Cap(Prm|Eff|Bnd)' /proc/$$/status", &o);
    assert_string_equal(out, "CapPrm:\t0000000000000000\nCapEff:\t0000000000000000\nCapBnd:\t0000000000000000\n");
}

/* Storage that hangs, played by a watcher who never says whether the file may be executed. */
static void test_exec_hangs(void **state)
{
    AUTO_CLOSE int watch = fanotify_init(FAN_CLASS_CONTENT | FAN_CLOEXEC, 0);
    assert_true(watch >= 0);
    g_autofree char *dir = g_dir_make_tmp("berth-spawn-XXXXXX", NULL), *program = g_build_filename(dir, "true", NULL), *data = NULL;
    size_t len;
    assert_true(g_file_get_contents("/bin/true", &data, &len, NULL));
    assert_true(g_file_set_contents(program, data, (gssize)len, NULL));
    assert_int_equal(chmod(program, 0755), 0);
    assert_int_equal(fanotify_mark(watch, FAN_MARK_ADD, FAN_OPEN_EXEC_PERM, AT_FDCWD, program), 0);
    const char *const argv[] = {program, NULL};
    SpawnOpts o = {.argv = argv, .fd_in = -1, .fd_out = -1, .fd_err = -1, .exec_by = deadline_in_ms(100)};
    Child c = {0, -1};
    g_auto(Err) err = ERR_INIT;
    assert_int_equal(spawn(&o, &c, &err), -1);
    assert_int_equal(err.code, VIR_ERR_OPERATION_TIMEOUT);
    assert_non_null(strstr(err.detail, program));
    fd_close(&watch); /* it answers again */
    o.exec_by = deadline_in_ms(10000);
    err_clear(&err);
    assert_int_equal(spawn(&o, &c, &err), 0);
    int status = -1;
    assert_int_equal(child_wait(&c, deadline_in_ms(10000), &status), 1);
    assert_int_equal(status, 0);
    fd_close(&c.pidfd);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* nobody is left */
    unlink(program);
    rmdir(dir);
}

/* ---- storage that does not answer -------------------------------------------------------------------------------------------- */

/* A file system that says it is one, and answers nothing else: who has asked it waits in the kernel, where no signal reaches him. */
typedef struct DeadStorage {
    char *dir;
    int fd;
    pthread_t thread;
    gint asked; /* atomic: questions without an answer */
} DeadStorage;

static void *dead_storage_serve(void *arg)
{
    DeadStorage *s = arg;
    static char buf[1 << 17];
    while (read(s->fd, buf, sizeof(buf)) > 0) {
        const struct fuse_in_header *in = (const void *)buf;
        struct {
            struct fuse_out_header head;
            struct fuse_init_out init;
        } out = {{sizeof(out), 0, in->unique}, {.major = FUSE_KERNEL_VERSION, .minor = FUSE_KERNEL_MINOR_VERSION, .max_write = 4096}};
        if (in->opcode != FUSE_INIT)
            g_atomic_int_inc(&s->asked);
        else if (write(s->fd, &out, sizeof(out)) != (ssize_t)sizeof(out))
            break;
    }
    return NULL;
}

static void dead_storage_make(DeadStorage *s)
{
    s->dir = g_dir_make_tmp("berth-spawn-XXXXXX", NULL);
    assert_non_null(s->dir);
    assert_int_equal(unshare(CLONE_NEWNS), 0);
    assert_int_equal(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
    s->fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    assert_true(s->fd >= 0);
    g_autofree char *options = g_strdup_printf("fd=%d,rootmode=40000,user_id=0,group_id=0", s->fd);
    assert_int_equal(mount("dead", s->dir, "fuse", 0, options), 0);
    assert_int_equal(pthread_create(&s->thread, NULL, dead_storage_serve, s), 0);
}

/* Whoever waits gets an error, and may die. */
static void dead_storage_end(DeadStorage *s)
{
    assert_int_equal(umount2(s->dir, MNT_FORCE | MNT_DETACH), 0);
    pthread_join(s->thread, NULL);
    close(s->fd);
    rmdir(s->dir);
    g_free(s->dir);
}

/* A helper that cannot even be killed costs its deadline and a moment, not for ever; and is reaped once it has died. */
static void test_a_helper_that_cannot_die(void **state)
{
    DeadStorage s = {.fd = -1};
    if (geteuid() != 0)
        skip();
    dead_storage_make(&s);
    const char *argv[] = {"/usr/bin/stat", s.dir, NULL}, *other[] = {"/bin/true", NULL};
    SpawnOpts o = {.argv = argv, .fd_in = -1};
    g_auto(Err) err = ERR_INIT;
    alarm(60); /* else it would wait for ever */
    assert_int_equal(spawn_run(&o, deadline_in_ms(2000), 1000, NULL, &err), -1);
    alarm(0);
    assert_int_equal(err.code, VIR_ERR_OPERATION_TIMEOUT);
    assert_true(g_atomic_int_get(&s.asked) > 0);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), 0); /* it is there still */
    dead_storage_end(&s);
    siginfo_t si;
    assert_int_equal(waitid(P_ALL, 0, &si, WEXITED | WNOWAIT), 0); /* now it has died */
    Child c = {0, -1};
    o.argv = other;
    err_clear(&err);
    assert_int_equal(spawn(&o, &c, &err), 0);
    assert_true(child_end(&c, 10000));
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* nobody is left */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_output),          cmocka_unit_test(test_exact_fds),       cmocka_unit_test(test_missing_program),
        cmocka_unit_test(test_relative_program), cmocka_unit_test(test_bad_cwd),        cmocka_unit_test(test_stderr_in_error),
        cmocka_unit_test(test_signal_in_error), cmocka_unit_test(test_output_bound),    cmocka_unit_test(test_deadline),
        cmocka_unit_test(test_wait_and_kill),   cmocka_unit_test(test_signals_reset),   cmocka_unit_test(test_limits),
        cmocka_unit_test(test_not_the_program_yet), cmocka_unit_test(test_refused_before_exec),
        cmocka_unit_test(test_killed_before_exec),
        cmocka_unit_test(test_cpus),            cmocka_unit_test(test_ids_and_caps),    cmocka_unit_test(test_root_without_caps),
        cmocka_unit_test(test_exec_hangs),      cmocka_unit_test(test_a_helper_that_cannot_die),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
