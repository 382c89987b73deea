/* util/spawn.c - children: argument vectors, exact descriptors, killable by pidfd
 *
 * Owns:    the steps between clone and exec
 * Threads: any that may sleep
 * Locks:   for moments, of lent memory and of children that do not die; all signals are blocked around the clone so that no handler of ours runs
 *          in the child
 * Errors:  VIR_ERR_SYSTEM_ERROR naming program and step; the child reports through a pipe that exec closes
 *
 * Theory of operation.  Everything is prepared before the clone: vectors, the descriptor plan, /dev/null.  The child then makes raw
 * system calls only, and its code is not instrumented.  glibc's wrappers for the ids would try to bring the other threads along, which
 * exist in its books but not in the child; those of a sanitizer's runtime take locks that another thread may hold at the clone: a child
 * that stops there would keep copies of all our sockets for ever.  Descriptors: all wanted ones are first duplicated above the highest
 * target, so that no source is overwritten by another's target, then put in place; all others are closed at once, not only by exec, so
 * that a client whose daemon is killed meanwhile sees its connection end.
 *
 * With before_exec the child waits, just before exec, for a byte from us.  The caller notes who the child is before it becomes
 * anything; when we are killed before that, the child reads an end of file and goes too.
 *
 * Where this file knows how (x86-64), the child borrows our memory until it executes, on a stack of its own: copying the page tables of a daemon
 * with many machines, and breaking the copies up again page by page, costs milliseconds and stops all its threads for moments.  Elsewhere, and
 * where the kernel refuses, it is a plain copy.  The child writes nothing but its plan and its stack, which stay until the report's pipe ends: the
 * kernel has taken the child off our memory before it closes that.
 *
 * The cgroup is entered by CLONE_INTO_CGROUP: writing to cgroup.procs afterwards takes a kernel-wide lock and an RCU grace period,
 * milliseconds in which nothing happens.
 */
#include "config.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "util/fault.h"
#include "util/fd.h"
#include "util/pool.h"
#include "util/spawn.h"

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

/* Descriptors a child can be given at most; more is a mistake of the caller. */
#define SPAWN_MAX_FDS 4096u
#define SPAWN_STDERR_KEPT 2048u
#define CHILD_STACK 65536u
#define EXEC_MS 30000u
#define DEATH_MS 2000u

typedef enum {
    STEP_FDS,
    STEP_CGROUP,
    STEP_SESSION,
    STEP_LIMITS,
    STEP_CPUS,
    STEP_CAPS,
    STEP_IDS,
    STEP_PRIVS,
    STEP_CWD,
    STEP_EXEC,
    STEP_MAX,
} SpawnStep;

static const char *const step_names[] = {
    "placing descriptors",
    "entering the cgroup",
    "starting a session",
    "setting resource limits",
    "setting the CPUs to run on",
    "dropping capabilities",
    "changing user and group",
    "setting no_new_privs",
    "changing directory",
    "executing",
};
G_STATIC_ASSERT(N_ELEMENTS(step_names) == STEP_MAX);

typedef struct StepReport {
    int step;
    int error;
} StepReport;

/* For what runs in the child: see above.  With no_sanitize alone clang's ThreadSanitizer still counts entries to functions that call others, in
 * the record of the thread whose memory the child borrows; the child never leaves them, and after some ten thousand children that record is
 * full and the daemon under test crashes. */
#if defined(__has_attribute) && __has_attribute(disable_sanitizer_instrumentation)
#define IN_CHILD __attribute__((disable_sanitizer_instrumentation))
#else
#define IN_CHILD __attribute__((no_sanitize("thread", "address", "undefined")))
#endif

/* One descriptor on its way into the child. */
typedef struct FdMove {
    int fd;
    int high; /* where it waits */
    int target;
} FdMove;

/* All the child needs, in memory that exists before the clone. */
typedef struct Plan {
    const SpawnOpts *opts;
    char *const *argv;
    char *const *env;
    FdMove *moves;
    unsigned n_moves;
    int max_target;
    int status_fd;
    int go_fd; /* -1: need not wait */
    bool privileged;
    bool enter_cgroup; /* the kernel did not put us there */
    pid_t parent;
    char *stack; /* of a child that borrows our memory */
} Plan;

/* Changing its ids makes the kernel mark the memory it runs in, ours, as not to be dumped or traced, which keeps others of QEMU's account out
 * of it.  The mark goes when no child borrows any more. */
static struct {
    pthread_mutex_t lock;
    unsigned children;
    int dumpable; /* before the first of them */
} lent = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void lend_memory(void)
{
    pthread_mutex_lock(&lent.lock);
    if (lent.children++ == 0)
        lent.dumpable = prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);
    pthread_mutex_unlock(&lent.lock);
}

static void take_memory_back(void)
{
    pthread_mutex_lock(&lent.lock);
    if (--lent.children == 0 && lent.dumpable == 1)
        prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
    pthread_mutex_unlock(&lent.lock);
}

/* Not before the child has executed or ended. */
static void plan_done(Plan *p)
{
    g_free(p->moves);
    if (p->stack)
        take_memory_back();
    g_free(p->stack);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Plan, plan_done)

static const char *const default_env[] = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", NULL};

/* ---- in the child: system calls only ---------------------------------------------------------------------------------------- */

/* A system call as the kernel answers it, negative errno: nothing of libc's is written, whose errno is the calling thread's own. */
static inline long IN_CHILD raw_call(long nr, long a, long b, long c, long d, long e)
{
#if defined(__x86_64__)
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    long r;
    __asm__ volatile("syscall" : "=a"(r) : "0"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8) : "rcx", "r11", "memory");
    return r;
#else
    long r = syscall(nr, a, b, c, d, e);
    return r < 0 ? -errno : r;
#endif
}

#define sys(...) SYS_PADDED(__VA_ARGS__, 0, 0, 0, 0, 0)
#define SYS_PADDED(nr, a, b, c, d, e, ...) raw_call(nr, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e))

static void IN_CHILD __attribute__((noreturn)) child_exit(int status)
{
    for (;;)
        sys(SYS_exit_group, status);
}

static void IN_CHILD __attribute__((noreturn)) child_fail(const Plan *p, SpawnStep step, int error)
{
    StepReport r = {step, error};
    long n = sys(SYS_write, p->status_fd, &r, sizeof(r));
    child_exit(n == (long)sizeof(r) ? 127 : 126);
}

static int IN_CHILD child_close(int first, int last)
{
    return first <= last ? (int)sys(SYS_close_range, first, last, 0) : 0;
}

/* The wanted ones are in order of their targets, 0 to 2 among them. */
static int IN_CHILD child_place_fds(Plan *p)
{
    const int status_slot = p->max_target + 1, go_slot = p->max_target + 2, above = p->max_target + 3;
    /* both out of the way of all slots before anything is put there */
    int r, s = (int)sys(SYS_fcntl, p->status_fd, F_DUPFD_CLOEXEC, above);
    if (s < 0)
        return s;
    p->status_fd = s;
    if (p->go_fd >= 0 && (p->go_fd = (int)sys(SYS_fcntl, p->go_fd, F_DUPFD_CLOEXEC, above)) < 0)
        return p->go_fd;
    for (unsigned i = 0; i < p->n_moves; i++) {
        p->moves[i].high = (int)sys(SYS_fcntl, p->moves[i].fd, F_DUPFD_CLOEXEC, above);
        if (p->moves[i].high < 0)
            return p->moves[i].high;
    }
    if ((r = (int)sys(SYS_dup3, p->status_fd, status_slot, O_CLOEXEC)) < 0 ||
        (p->go_fd >= 0 && (r = (int)sys(SYS_dup3, p->go_fd, go_slot, O_CLOEXEC)) < 0))
        return r;
    p->status_fd = status_slot;
    int next = 0; /* the first number not looked at */
    for (unsigned i = 0; i < p->n_moves; i++) {
        int target = p->moves[i].target;
        if ((r = child_close(next, target - 1)) < 0)
            return r;
        if ((r = (int)sys(SYS_dup3, p->moves[i].high, target, 0)) < 0)
            return r;
        next = target + 1;
    }
    if (p->go_fd >= 0)
        p->go_fd = go_slot;
    else if ((r = child_close(go_slot, go_slot)) < 0)
        return r;
    return (int)sys(SYS_close_range, above, ~0u, 0);
}

static int IN_CHILD child_enter_cgroup(const Plan *p)
{
    long fd = sys(SYS_openat, p->opts->cgroup_fd, "cgroup.procs", O_WRONLY | O_CLOEXEC);
    long n = fd < 0 ? fd : sys(SYS_write, fd, "0", 1);
    return n < 0 ? (int)n : 0;
}

static int IN_CHILD child_limit(int what, uint64_t value)
{
    if (value == 0)
        return 0;
    struct rlimit r = {.rlim_cur = value, .rlim_max = value};
    return (int)sys(SYS_prlimit64, 0, what, &r, NULL);
}

static int IN_CHILD child_limits(const SpawnOpts *o)
{
    int r = child_limit(RLIMIT_CORE, o->rlimit_core);
    if (r == 0)
        r = child_limit(RLIMIT_NOFILE, o->rlimit_nofile);
    if (r == 0)
        r = child_limit(RLIMIT_NPROC, o->rlimit_nproc);
    return r;
}

/* Empties the bounding and ambient sets; the others go with the change of ids, or with capset when the id stays 0. */
static int IN_CHILD child_drop_bounding(void)
{
    for (int cap = 0; cap < 64; cap++) {
        int r = (int)sys(SYS_prctl, PR_CAPBSET_DROP, cap, 0, 0, 0);
        if (r == -EINVAL)
            break; /* beyond the kernel's last one */
        if (r < 0)
            return r;
    }
    return (int)sys(SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
}

static int IN_CHILD child_drop_caps(void)
{
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0, 0, 0}, {0, 0, 0}};
    return (int)sys(SYS_capset, &head, none);
}

static int IN_CHILD child_change_ids(const Plan *p)
{
    const SpawnOpts *o = p->opts;
    if (!p->privileged)
        return 0; /* checked before the clone: the ids are ours already */
    int r = (int)sys(SYS_setgroups, o->n_groups, o->groups);
    if (r == 0)
        r = (int)sys(SYS_setresgid, o->gid, o->gid, o->gid);
    if (r == 0)
        r = (int)sys(SYS_setresuid, o->uid, o->uid, o->uid);
    return r;
}

static void IN_CHILD child_reset_signals(void)
{
    /* libc's function refuses the two signals it keeps for itself, and those can be inherited ignored as well.  All zero is SIG_DFL
     * without flags in the kernel's layout of every architecture, and the empty set. */
    unsigned long zero[8] = {0};
    for (int s = 1; s <= 64; s++)
        sys(SYS_rt_sigaction, s, zero, NULL, 8); /* fails for KILL and STOP */
    sys(SYS_rt_sigprocmask, SIG_SETMASK, zero, NULL, 8);
}

/* Sleeps until the parent has noted who we are; ends when it cannot. */
static void IN_CHILD child_await_go(const Plan *p)
{
    char go;
    long n;
    if (p->go_fd < 0)
        return;
    do
        n = sys(SYS_read, p->go_fd, &go, 1);
    while (n == -EINTR);
    if (n != 1)
        child_exit(126);
}

static void IN_CHILD __attribute__((noreturn)) child_run(Plan *p)
{
    const SpawnOpts *o = p->opts;
    int r;
    child_reset_signals();
    if (p->enter_cgroup && (r = child_enter_cgroup(p)) < 0)
        child_fail(p, STEP_CGROUP, -r);
    if ((r = child_place_fds(p)) < 0)
        child_fail(p, STEP_FDS, -r);
    if (o->new_session && (r = (int)sys(SYS_setsid)) < 0)
        child_fail(p, STEP_SESSION, -r);
    sys(SYS_umask, o->umask ? o->umask : 0077);
    if ((r = child_limits(o)) < 0)
        child_fail(p, STEP_LIMITS, -r);
    if (o->cpus && (r = (int)sys(SYS_sched_setaffinity, 0, o->cpus_size, o->cpus)) < 0)
        child_fail(p, STEP_CPUS, -r);
    if ((r = (int)sys(SYS_chdir, o->cwd ? o->cwd : "/")) < 0)
        child_fail(p, STEP_CWD, -r);
    if (o->change_ids) {
        if (p->privileged && (r = child_drop_bounding()) < 0)
            child_fail(p, STEP_CAPS, -r);
        if ((r = child_change_ids(p)) < 0)
            child_fail(p, STEP_IDS, -r);
        if ((r = child_drop_caps()) < 0)
            child_fail(p, STEP_CAPS, -r);
    }
    if (o->no_new_privs && (r = (int)sys(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) < 0)
        child_fail(p, STEP_PRIVS, -r);
    if (o->die_with_parent) {
        /* after the change of ids, which clears it; the kernel watches the thread that called spawn() */
        if ((r = (int)sys(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0)) < 0)
            child_fail(p, STEP_PRIVS, -r);
        if (sys(SYS_getppid) != p->parent)
            child_exit(126);
    }
    child_await_go(p);
    r = (int)sys(SYS_execve, p->argv[0], p->argv, p->env);
    child_fail(p, STEP_EXEC, -r);
}

/* ---- in the parent ----------------------------------------------------------------------------------------------------------- */

#if defined(__x86_64__)
/* clone3() whose child runs child_run(p) on args->stack.  Not by syscall(): the child would return from it on a stack where nobody called it.
 * The child has the registers of its parent, so none may be changed before both operands were used: any may hold them.
 * Returns what the kernel does: a pid or a negative errno. */
static pid_t clone_borrowing(struct clone_args *args, Plan *p)
{
    long r;
    __asm__ volatile("syscall\n\t"
                     "testq %%rax, %%rax\n\t"
                     "jnz 1f\n\t"
                     "movq %[plan], %%rdi\n\t"
                     "callq *%[run]\n\t"
                     "ud2\n"
                     "1:"
                     : "=a"(r)
                     : "0"((long)SYS_clone3), "D"(args), "S"(sizeof(*args)), [plan] "r"(p), [run] "r"(child_run)
                     : "rcx", "r11", "cc", "memory");
    return (pid_t)r;
}
#endif

/* Clones into the cgroup when the kernel can, else plainly; the child then enters by itself.  0 in the child, pid, or -errno. */
static pid_t clone_child(Plan *p, int *ret_pidfd)
{
    int fault = FAULT("clone");
    if (fault)
        return -fault;
    int pidfd = -1;
    struct clone_args args = {
        .flags = CLONE_PIDFD,
        .pidfd = (uint64_t)(uintptr_t)&pidfd,
        .exit_signal = SIGCHLD,
    };
    bool cgroup = p->opts->cgroup_fd > 0;
    if (cgroup) {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = (uint64_t)p->opts->cgroup_fd;
    }
    pid_t pid;
#if defined(__x86_64__)
    struct clone_args borrowing = args;
    lend_memory();
    p->stack = g_malloc(CHILD_STACK + 16);
    borrowing.flags |= CLONE_VM;
    borrowing.stack = ((uint64_t)(uintptr_t)p->stack + 15) & ~(uint64_t)15;
    borrowing.stack_size = CHILD_STACK;
    pid = clone_borrowing(&borrowing, p);
    if (pid > 0) {
        *ret_pidfd = pidfd;
        return pid;
    }
#endif
    pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
    if (pid < 0 && (errno == ENOSYS || (cgroup && (errno == EINVAL || errno == E2BIG)))) {
        p->enter_cgroup = cgroup;
        pid = fork();
        if (pid > 0) {
            pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
            if (pidfd < 0) {
                int e = errno;
                kill(pid, SIGKILL);
                waitpid(pid, NULL, 0);
                return -e;
            }
        }
    }
    if (pid < 0)
        return -errno;
    *ret_pidfd = pidfd;
    return pid;
}

static int check_opts(const SpawnOpts *o, Err *err)
{
    if (o->argv == NULL || o->argv[0] == NULL || o->argv[0][0] != '/')
        return err_set(err, VIR_ERR_INTERNAL_ERROR, "program to start is not an absolute path");
    if (o->n_fds > SPAWN_MAX_FDS)
        return err_set(err, VIR_ERR_INTERNAL_ERROR, "%u descriptors for %s", o->n_fds, o->argv[0]);
    return 0;
}

static int by_target(const void *a, const void *b)
{
    return ((const FdMove *)a)->target - ((const FdMove *)b)->target;
}

/* Fills p->moves: the three standard ones and the caller's, by target. */
static int plan_fds(Plan *p, int null_fd, Err *err)
{
    const SpawnOpts *o = p->opts;
    p->moves = g_new0(FdMove, o->n_fds + 3);
    int std[3] = {o->fd_in, o->fd_out, o->fd_err};
    for (int i = 0; i < 3; i++)
        p->moves[p->n_moves++] = (FdMove){std[i] >= 0 ? std[i] : null_fd, -1, i};
    p->max_target = 2;
    for (unsigned i = 0; i < o->n_fds; i++) {
        int target = o->fds[i].target >= 0 ? o->fds[i].target : o->fds[i].fd;
        if (o->fds[i].fd < 0 || target < 3 || target > (int)SPAWN_MAX_FDS * 16)
            return err_set(err, VIR_ERR_INTERNAL_ERROR, "descriptor %d to be %d in %s", o->fds[i].fd, target, o->argv[0]);
        p->moves[p->n_moves++] = (FdMove){o->fds[i].fd, -1, target};
        p->max_target = MAX(p->max_target, target);
    }
    qsort(p->moves, p->n_moves, sizeof(p->moves[0]), by_target);
    return 0;
}

/* Reads what the child reports: 1, 0 when exec closed the pipe, -1 when neither came in time. */
static int read_report(int fd, StepReport *ret, Deadline d)
{
    ssize_t n;
    struct pollfd p = {.fd = fd, .events = POLLIN};
    int r;
    pool_blocking_begin();
    do
        r = poll(&p, 1, deadline_left_ms(d));
    while ((r < 0 && errno == EINTR) || (r == 0 && !deadline_passed(d)));
    pool_blocking_end();
    if (r == 0)
        return -1;
    do
        n = read(fd, ret, sizeof(*ret));
    while (n < 0 && errno == EINTR);
    return n == (ssize_t)sizeof(*ret) ? 1 : 0;
}

/* One that does not execute hangs in the kernel.  It may not even die; it runs no instruction of its own any more, but is there with our memory and
 * perhaps other ids: then the mark on that stays, and the child's stack. */
static int give_up(Plan *p, Child *c, Err *err)
{
    const SpawnOpts *o = p->opts;
    pool_blocking_begin();
    if (!child_end(c, DEATH_MS))
        p->stack = NULL;
    pool_blocking_end();
    err_set(err, VIR_ERR_OPERATION_TIMEOUT, "%s was not executed in time", o->argv[0]);
    return err_hint(err, "is the file system that holds it reachable?");
}

static int report_failure(const StepReport *r, const SpawnOpts *o, Err *err)
{
    SpawnStep step = r->step >= 0 && r->step < STEP_MAX ? (SpawnStep)r->step : STEP_EXEC;
    if (step == STEP_EXEC)
        err_set_errno(err, r->error, "cannot execute %s", o->argv[0]);
    else if (step == STEP_CWD)
        err_set_errno(err, r->error, "cannot start %s: changing directory to %s", o->argv[0], o->cwd ? o->cwd : "/");
    else
        err_set_errno(err, r->error, "cannot start %s: %s", o->argv[0], step_names[step]);
    if (step == STEP_EXEC && r->error == EACCES && o->change_ids)
        err_hint(err, "uid %u gid %u must be allowed to execute it", (unsigned)o->uid, (unsigned)o->gid);
    return -1;
}

int spawn(const SpawnOpts *opts, Child *ret, Err *err)
{
    if (check_opts(opts, err) < 0)
        return -1;
    uid_t me = geteuid();
    if (opts->change_ids && me != 0 && (opts->uid != me || opts->gid != getegid()))
        return err_set(err, VIR_ERR_OPERATION_DENIED, "cannot start %s as uid %u: running as uid %u", opts->argv[0],
                       (unsigned)opts->uid, (unsigned)me);

    AUTO_CLOSE int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null_fd < 0)
        return err_set_errno(err, errno, "cannot open /dev/null");
    int pipe_fds[2];
    if (pipe2(pipe_fds, O_CLOEXEC) < 0)
        return err_set_errno(err, errno, "cannot start %s: pipe", opts->argv[0]);
    AUTO_CLOSE int report_fd = pipe_fds[0];
    AUTO_CLOSE int status_fd = pipe_fds[1];
    int go_fds[2] = {-1, -1};
    if (opts->before_exec && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, go_fds) < 0)
        return err_set_errno(err, errno, "cannot start %s: socket pair", opts->argv[0]);
    AUTO_CLOSE int child_go = go_fds[0];
    AUTO_CLOSE int our_go = go_fds[1];

    const char *const *env = opts->env ? opts->env : default_env;
    g_auto(Plan) p = {
        .opts = opts,
        .argv = (char *const *)(uintptr_t)opts->argv, /* execve's prototype predates const; it changes nothing */
        .env = (char *const *)(uintptr_t)env,
        .status_fd = status_fd,
        .go_fd = child_go,
        .privileged = me == 0,
        .parent = getpid(),
    };
    if (plan_fds(&p, null_fd, err) < 0)
        return -1;

    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int pidfd = -1;
    pid_t pid = clone_child(&p, &pidfd);
    if (pid == 0)
        child_run(&p);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (pid < 0)
        return err_set_errno(err, -pid, "cannot start %s: new process", opts->argv[0]);

    fd_close(&status_fd);
    fd_close(&child_go);
#ifdef ENABLE_FAULTS
    fault_child(pid);
#endif
    Child child = {pid, pidfd};
    if (opts->before_exec && opts->before_exec(opts->before_exec_data, pid, err) < 0) {
        child_kill(&child);
        return -1;
    }
    int unsent = our_go >= 0 && send(our_go, "g", 1, MSG_NOSIGNAL) != 1 ? errno : 0;
    if (unsent)
        fd_close(&our_go); /* a child that still waits sees the end and ends too; one that has ended left its report */
    StepReport report;
    int reported = read_report(report_fd, &report, opts->exec_by.at_us ? opts->exec_by : deadline_in_ms(EXEC_MS));
    if (reported < 0)
        return give_up(&p, &child, err);
    if (reported) {
        child_kill(&child);
        return report_failure(&report, opts, err);
    }
    if (unsent) {
        child_kill(&child);
        return err_set_errno(err, unsent, "cannot start %s: telling the new process to go on", opts->argv[0]);
    }
    *ret = child;
    return 0;
}

void child_kill(Child *c)
{
    if (c->pidfd >= 0) {
        syscall(SYS_pidfd_send_signal, c->pidfd, SIGKILL, NULL, 0);
        siginfo_t si;
        int r;
        do
            r = waitid((idtype_t)P_PIDFD, (id_t)c->pidfd, &si, WEXITED);
        while (r < 0 && errno == EINTR);
    }
    fd_close(&c->pidfd);
    c->pid = 0;
}

int child_wait(Child *c, Deadline d, int *ret_status)
{
    for (;;) {
        struct pollfd p = {.fd = c->pidfd, .events = POLLIN};
        int r = poll(&p, 1, deadline_left_ms(d));
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return -errno;
        if (r == 0) {
            if (deadline_passed(d))
                return 0;
            continue;
        }
        siginfo_t si = {0};
        if (waitid((idtype_t)P_PIDFD, (id_t)c->pidfd, &si, WEXITED | WNOHANG) < 0) {
            if (errno == EINTR)
                continue;
            if (errno != ECHILD)
                return -errno;
            if (ret_status)
                *ret_status = -1; /* ended, but it was not our child: its status went elsewhere */
            return 1;
        }
        if (ret_status)
            *ret_status = si.si_code == CLD_EXITED ? si.si_status : 128 + si.si_status;
        return 1;
    }
}

/* Children that were killed and are not dead yet, for whoever ends the next one. */
static struct {
    pthread_mutex_t lock;
    GSList *pidfds;
} lingering = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void reap_lingering(void)
{
    pthread_mutex_lock(&lingering.lock);
    for (GSList *l = lingering.pidfds, *next; l; l = next) {
        next = l->next;
        Child c = {0, GPOINTER_TO_INT(l->data)};
        if (child_wait(&c, deadline_in_ms(0), NULL) == 0)
            continue;
        fd_close(&c.pidfd);
        lingering.pidfds = g_slist_delete_link(lingering.pidfds, l);
    }
    pthread_mutex_unlock(&lingering.lock);
}

bool child_end(Child *c, unsigned ms)
{
    reap_lingering();
    if (c->pidfd < 0)
        return true;
    syscall(SYS_pidfd_send_signal, c->pidfd, SIGKILL, NULL, 0);
    bool ended = child_wait(c, deadline_in_ms(ms), NULL) != 0;
    if (!ended) {
        pthread_mutex_lock(&lingering.lock);
        lingering.pidfds = g_slist_prepend(lingering.pidfds, GINT_TO_POINTER(take_fd(&c->pidfd)));
        pthread_mutex_unlock(&lingering.lock);
    }
    fd_close(&c->pidfd);
    c->pid = 0;
    return ended;
}

/* ---- spawn_run --------------------------------------------------------------------------------------------------------------- */

/* Keeps the last `max` bytes appended. */
static void tail_append(GString *s, const char *data, size_t len, size_t max)
{
    g_string_append_len(s, data, (gssize)len);
    if (s->len > max)
        g_string_erase(s, 0, (gssize)(s->len - max));
}

/* Reads both pipes until both end.  1 done, 0 deadline, -EFBIG too much output, other -errno. */
static int run_collect(int out_fd, int err_fd, Deadline d, size_t max_out, GString *out, GString *errs)
{
    struct pollfd p[2] = {{.fd = out_fd, .events = POLLIN}, {.fd = err_fd, .events = POLLIN}};
    while (p[0].fd >= 0 || p[1].fd >= 0) {
        int r = poll(p, 2, deadline_left_ms(d));
        if (r < 0 && errno != EINTR)
            return -errno;
        if (r <= 0) {
            if (deadline_passed(d))
                return 0;
            continue;
        }
        for (int i = 0; i < 2; i++) {
            if (p[i].fd < 0 || p[i].revents == 0)
                continue;
            char buf[16384];
            ssize_t n = read(p[i].fd, buf, sizeof(buf));
            if (n < 0 && errno == EINTR)
                continue;
            if (n < 0)
                return -errno;
            if (n == 0)
                p[i].fd = -1;
            else if (i == 1)
                tail_append(errs, buf, (size_t)n, SPAWN_STDERR_KEPT);
            else if (out->len + (size_t)n > max_out)
                return -EFBIG;
            else
                g_string_append_len(out, buf, n);
        }
    }
    return 1;
}

static int run_result(const SpawnOpts *o, int collected, int ended, int status, size_t max_out, GString *errs, Err *err)
{
    const char *name = o->argv[0];
    if (collected == -EFBIG)
        return err_set(err, VIR_ERR_INTERNAL_ERROR, "%s wrote more than %zu bytes", name, max_out);
    if (collected < 0)
        return err_set_errno(err, -collected, "reading the output of %s", name);
    if (collected == 0 || ended == 0)
        return err_set(err, VIR_ERR_OPERATION_TIMEOUT, "%s did not end in time and was killed", name);
    if (ended < 0)
        return err_set_errno(err, -ended, "waiting for %s", name);
    if (status == 0)
        return 0;
    g_strchomp(errs->str);
    const char *colon = errs->str[0] ? ": " : "";
    if (status > 128)
        return err_set(err, VIR_ERR_INTERNAL_ERROR, "%s was killed by signal %d%s%s", name, status - 128, colon, errs->str);
    return err_set(err, VIR_ERR_INTERNAL_ERROR, "%s failed with status %d%s%s", name, status, colon, errs->str);
}

int spawn_run(const SpawnOpts *opts, Deadline d, size_t max_out, char **ret_out, Err *err)
{
    int o[2], e[2];
    if (pipe2(o, O_CLOEXEC) < 0)
        return err_set_errno(err, errno, "pipe");
    AUTO_CLOSE int out_r = o[0];
    AUTO_CLOSE int out_w = o[1];
    if (pipe2(e, O_CLOEXEC) < 0)
        return err_set_errno(err, errno, "pipe");
    AUTO_CLOSE int err_r = e[0];
    AUTO_CLOSE int err_w = e[1];

    SpawnOpts with_pipes = *opts;
    with_pipes.fd_out = out_w;
    with_pipes.fd_err = err_w;
    with_pipes.exec_by = d;
    Child c = {0, -1};
    if (spawn(&with_pipes, &c, err) < 0)
        return -1;
    fd_close(&out_w);
    fd_close(&err_w);

    GString *out = g_string_new(NULL);
    GString *errs = g_string_new(NULL);
    int ended = 0, status = 0;
    pool_blocking_begin();
    int collected = run_collect(out_r, err_r, d, max_out, out, errs);
    if (collected == 1)
        ended = child_wait(&c, d, &status);
    if (ended == 1)
        fd_close(&c.pidfd);
    else
        child_end(&c, DEATH_MS);
    pool_blocking_end();

    int r = run_result(opts, collected, ended, status, max_out, errs, err);
    g_string_free(errs, TRUE);
    if (r < 0 || ret_out == NULL)
        g_string_free(out, TRUE);
    else
        *ret_out = g_string_free(out, FALSE);
    return r;
}
