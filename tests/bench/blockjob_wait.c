/* tests/bench/blockjob_wait.c - from a block job's event on the monitor's socket to the return of who waits for it
 *
 * Owns:    machines of the real driver (domain_world.h) whose QEMU is only played: it answers everything, and says when a job is ready or over
 * Threads: one a machine, which waits in a region; one that plays all QEMUs and answers; main, which writes the events
 *
 * usage: blockjob_wait JOBS ROUNDS MS.  Prints microseconds: p50 and p99 of READY, p50 and p99 of COMPLETED (with the job's dismissal in it).
 * The events of all jobs are spread evenly over so many milliseconds; with 0 they are written one after the other, as fast as it goes.
 *
 * usage: blockjob_wait JOBS ROUNDS MS pipes.  What the machine can do: as many threads, each woken by a byte in a pipe of its own.  Prints p50
 * and p99.
 */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "domain/blockjob.h"
#include "domain/lifecycle.h"
#include "tests/unit/domain_world.h"
#include "util/fd.h"
#include "api_enums.h"

#define JOBS_MAX 200u
#define GREETING "{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 0, \"minor\": 2, \"major\": 7}, \"package\": \"\"}, \"capabilities\": [\"oob\"]}}\r\n"

typedef struct Machine {
    Domain *dom;
    int fd; /* QEMU's end */
    GString *in;
    pthread_t thread;
    uint64_t said_ns;  /* when the event was written */
    unsigned waiting;  /* how often the waiter has gone to sleep */
    int pipe[2];       /* for the limit */
} Machine;

static Machine machines[JOBS_MAX];
static unsigned n_machines, rounds, spread_ms;
static GArray *samples[2]; /* ready, completed: ns */
static GMutex samples_lock;
static int given_fd;
static int quit_pipe[2], ep; /* of who plays QEMU */

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void must(bool ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "blockjob_wait: %s\n", what ? what : "?");
        exit(1);
    }
}

static void say(int fd, const char *text)
{
    size_t len = strlen(text);
    must(write(fd, text, len) == (ssize_t)len, "a monitor takes nothing");
}

/* ---- QEMU, played ------------------------------------------------------------------------------------------------ */

static void answer(int fd, json_t *command)
{
    const char *name = json_string_value(json_object_get(command, "execute"));
    bool list = name && (g_str_has_prefix(name, "query-cpus") || g_str_equal(name, "query-jobs"));
    json_t *reply = json_pack("{s:o, s:O}", "return", list ? json_array() : json_object(), "id", json_object_get(command, "id"));
    g_autofree char *text = json_dumps(reply, JSON_COMPACT);
    g_autofree char *line = g_strconcat(text, "\r\n", NULL);
    say(fd, line);
    free(g_steal_pointer(&text));
    json_decref(reply);
}

static bool hear(Machine *m)
{
    char buf[4096];
    ssize_t n = read(m->fd, buf, sizeof(buf));
    if (n <= 0)
        return false;
    g_string_append_len(m->in, buf, n);
    for (;;) {
        json_error_t e;
        json_t *command = json_loadb(m->in->str, m->in->len, JSON_DISABLE_EOF_CHECK, &e);
        if (!command)
            return true;
        g_string_erase(m->in, 0, e.position);
        answer(m->fd, command);
        json_decref(command);
    }
}

static void watch(int fd, void *whose)
{
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = whose};
    must(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) == 0, "epoll");
}

static void *play(void *arg)
{
    for (;;) {
        struct epoll_event ready[16];
        int n = epoll_wait(ep, ready, 16, -1);
        must(n > 0, "epoll");
        for (int i = 0; i < n; i++) {
            Machine *m = ready[i].data.ptr;
            if (!m)
                return NULL;
            if (!hear(m))
                fd_close(&m->fd); /* not watched any more */
        }
    }
}

static int give_monitor(pid_t child)
{
    return given_fd;
}

/* ---- who waits --------------------------------------------------------------------------------------------------- */

static int nothing(Domain *d, BlockJob *job, int status)
{
    return 0;
}

static const BlockJobOps ops = {.type = VIR_DOMAIN_BLOCK_JOB_TYPE_COPY, .what = "copy", .concluded = nothing};

static void woken(Machine *m, unsigned which)
{
    uint64_t took = now_ns() - __atomic_load_n(&m->said_ns, __ATOMIC_SEQ_CST);
    g_mutex_lock(&samples_lock);
    g_array_append_val(samples[which], took);
    g_mutex_unlock(&samples_lock);
}

static void waited(Machine *m, BlockJobSync *s, unsigned which, int wanted, Err *err)
{
    int status = BLOCKJOB_NO_STATUS;
    __atomic_add_fetch(&m->waiting, 1, __ATOMIC_SEQ_CST);
    must(blockjob_sync_wait(s, &status, err) == 0 && status == wanted, err->detail ? err->detail : "other news than awaited");
    woken(m, which);
}

static int call_wait(Domain *d, void *arg, Err *err)
{
    Machine *m = arg;
    g_autoptr(BlockJob) job = blockjob_new(d, &ops, BLOCKJOB_ID_PREFIX "copy-vda", "virtio-disk0", "vda", NULL, err);
    must(job != NULL, "no job");
    blockjob_started(d, job);
    g_auto(BlockJobSync) s = {0};
    must(blockjob_sync_begin(d, job, &s, err) == 0, "no region");
    waited(m, &s, 0, VIR_DOMAIN_BLOCK_JOB_READY, err);
    waited(m, &s, 1, VIR_DOMAIN_BLOCK_JOB_COMPLETED, err);
    return 0;
}

static void *wait_thread(void *arg)
{
    Machine *m = arg;
    for (unsigned i = 0; i < rounds; i++) {
        g_auto(Err) err = ERR_INIT;
        must(world_as_gate(m->dom, JOB_MODIFY, call_wait, m, &err) == 0, err.detail);
    }
    return NULL;
}

/* The limit: nothing but the wake-up. */
static void *pipe_thread(void *arg)
{
    Machine *m = arg;
    char byte;
    for (unsigned i = 0; i < rounds * 2; i++) {
        __atomic_add_fetch(&m->waiting, 1, __ATOMIC_SEQ_CST);
        must(read(m->pipe[0], &byte, 1) == 1, "pipe");
        woken(m, 0);
    }
    return NULL;
}

/* ---- main -------------------------------------------------------------------------------------------------------- */

static int call_start(Domain *d, void *arg, Err *err)
{
    return domain_start(d, 0, 0, err);
}

static int call_destroy(Domain *d, void *arg, Err *err)
{
    return domain_destroy(d, 0, err);
}

static void start_machine(unsigned i)
{
    Machine *m = &machines[i];
    int sv[2];
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) == 0, "socketpair");
    m->fd = sv[0];
    m->in = g_string_new(NULL);
    given_fd = sv[1];
    say(m->fd, GREETING);
    watch(m->fd, m);
    g_auto(Err) err = ERR_INIT;
    g_autofree char *name = g_strdup_printf("m%u", i), *uuid = g_strdup_printf("11111111-2222-4333-8444-%012u", i);
    g_autofree char *xml = world_xml(name, uuid, NULL);
    m->dom = domain_define(world_drv, xml, 0, &err);
    must(m->dom && world_as_gate(m->dom, JOB_MODIFY, call_start, NULL, &err) == 0, err.detail);
}

/* One piece of news for all; each machine's clock starts when its own is written. */
static void tell_all(unsigned turn, const char *events)
{
    for (unsigned i = 0; i < n_machines; i++)
        while (__atomic_load_n(&machines[i].waiting, __ATOMIC_SEQ_CST) < turn)
            g_usleep(100);
    g_usleep(1000); /* the last of them is about to sleep */
    uint64_t at = now_ns();
    for (unsigned i = 0; i < n_machines; i++) {
        Machine *m = &machines[i];
        struct timespec until = {.tv_sec = (time_t)(at / 1000000000u), .tv_nsec = (long)(at % 1000000000u)};
        if (spread_ms)
            clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
        at += (uint64_t)spread_ms * 1000000u / n_machines;
        __atomic_store_n(&m->said_ns, now_ns(), __ATOMIC_SEQ_CST);
        say(m->pipe[1] ? m->pipe[1] : m->fd, events);
    }
}

#define STAMP "\"timestamp\": {\"seconds\": 1, \"microseconds\": 2}"
#define STATUS(status) "{\"event\": \"JOB_STATUS_CHANGE\", " STAMP ", \"data\": {\"id\": \"" BLOCKJOB_ID_PREFIX "copy-vda\", \"status\": \"" status "\"}}\r\n"
#define BLOCK(event) "{\"event\": \"" event "\", " STAMP ", \"data\": {\"type\": \"mirror\", \"device\": \"" BLOCKJOB_ID_PREFIX "copy-vda\", \"len\": 10, \"offset\": 10, \"speed\": 0}}\r\n"

static gint by_size(gconstpointer a, gconstpointer b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void print_samples(unsigned which, char end)
{
    GArray *a = samples[which];
    g_array_sort(a, by_size);
    printf("%.1f %.1f%c", (double)g_array_index(a, uint64_t, a->len / 2) / 1000, (double)g_array_index(a, uint64_t, a->len * 99 / 100) / 1000, end);
    g_array_unref(a);
}

static void run_threads(void *(*fn)(void *))
{
    for (unsigned i = 0; i < n_machines; i++)
        must(pthread_create(&machines[i].thread, NULL, fn, &machines[i]) == 0, "no thread");
}

static void join_threads(void)
{
    for (unsigned i = 0; i < n_machines; i++)
        pthread_join(machines[i].thread, NULL);
}

static void measure_pipes(void)
{
    for (unsigned i = 0; i < n_machines; i++)
        must(pipe(machines[i].pipe) == 0, "pipe");
    run_threads(pipe_thread);
    for (unsigned turn = 1; turn <= rounds * 2; turn++)
        tell_all(turn, ".");
    join_threads();
    print_samples(0, '\n');
    g_array_unref(samples[1]);
}

static void end_machine(Machine *m)
{
    g_auto(Err) err = ERR_INIT;
    shutdown(m->fd, SHUT_RDWR); /* as the end of a process does: nobody waits for last words */
    must(world_as_gate(m->dom, JOB_DESTROY, call_destroy, NULL, &err) == 0, err.detail);
    object_unref((Object *)m->dom);
}

static void measure_jobs(void)
{
    g_autofree char *run = g_strdup("/dev/shm/berth-bench-XXXXXX"); /* as hosts have them, in memory */
    pthread_t player;
    world_run_dir = mkdtemp(run);
    ep = epoll_create1(EPOLL_CLOEXEC);
    must(world_run_dir && pipe(quit_pipe) == 0 && ep >= 0 && world_begin(NULL) == 0 && world_setup(NULL) == 0, "no driver");
    world_monitor = give_monitor;
    watch(quit_pipe[0], NULL);
    must(pthread_create(&player, NULL, play, NULL) == 0, "no thread");
    for (unsigned i = 0; i < n_machines; i++)
        start_machine(i);
    run_threads(wait_thread);
    for (unsigned turn = 1; turn <= rounds * 2; turn += 2) {
        tell_all(turn, STATUS("ready") BLOCK("BLOCK_JOB_READY"));
        tell_all(turn + 1, BLOCK("BLOCK_JOB_COMPLETED") STATUS("concluded"));
    }
    join_threads();
    print_samples(0, ' ');
    print_samples(1, '\n');
    for (unsigned i = 0; i < n_machines; i++)
        end_machine(&machines[i]);
    must(write(quit_pipe[1], "q", 1) == 1, "pipe");
    pthread_join(player, NULL);
    world_teardown(NULL);
    world_end(NULL);
    for (unsigned i = 0; i < n_machines; i++) {
        fd_close(&machines[i].fd);
        g_string_free(machines[i].in, true);
    }
}

int main(int argc, char **argv)
{
    bool pipes = argc == 5 && g_str_equal(argv[4], "pipes");
    must(argc == 4 || pipes, "usage: blockjob_wait JOBS ROUNDS MS [pipes]");
    n_machines = CLAMP((unsigned)strtoul(argv[1], NULL, 10), 1, JOBS_MAX);
    rounds = MAX((unsigned)strtoul(argv[2], NULL, 10), 1);
    spread_ms = (unsigned)strtoul(argv[3], NULL, 10);
    for (unsigned i = 0; i < 2; i++)
        samples[i] = g_array_new(false, false, sizeof(uint64_t));
    if (pipes)
        measure_pipes();
    else
        measure_jobs();
    return 0;
}
