/* tests/bench/blockjob_wait.c - from a block job's event on the monitor's socket to the return of who waits for it
 *
 * Owns:    machines of the real driver (domain_world.h) whose QEMU is only played: it answers everything, and says when a job is ready or over
 * Threads: one a machine, which waits in a region; one that plays all QEMUs and answers; main, which writes the events
 *
 * usage: blockjob_wait JOBS ROUNDS.  Prints microseconds: p50 and p99 of READY, p50 and p99 of COMPLETED (with the job's dismissal in it).
 * With many jobs the events of all are written one after the other, as fast as it goes.
 */
#include "config.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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
} Machine;

static Machine machines[JOBS_MAX];
static unsigned n_machines, rounds, n_started;
static GArray *samples[2]; /* ready, completed: ns */
static GMutex samples_lock;
static int given_fd;
static int quit_pipe[2];

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

static void *play(void *arg)
{
    for (;;) {
        struct pollfd fds[JOBS_MAX + 1];
        unsigned n = __atomic_load_n(&n_started, __ATOMIC_SEQ_CST);
        for (unsigned i = 0; i < n; i++)
            fds[i] = (struct pollfd){machines[i].fd, POLLIN, 0};
        fds[n] = (struct pollfd){quit_pipe[0], POLLIN, 0};
        must(poll(fds, n + 1, -1) > 0, "poll");
        char byte;
        if (fds[n].revents && (read(quit_pipe[0], &byte, 1) != 1 || byte == 'q'))
            return NULL;
        for (unsigned i = 0; i < n; i++)
            if (fds[i].revents && !hear(&machines[i])) {
                fd_close(&machines[i].fd); /* poll passes over it */
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

static void waited(Machine *m, BlockJobSync *s, unsigned which, int wanted, Err *err)
{
    int status = BLOCKJOB_NO_STATUS;
    __atomic_add_fetch(&m->waiting, 1, __ATOMIC_SEQ_CST);
    must(blockjob_sync_wait(s, &status, err) == 0 && status == wanted, err->detail ? err->detail : "other news than awaited");
    uint64_t took = now_ns() - __atomic_load_n(&m->said_ns, __ATOMIC_SEQ_CST);
    g_mutex_lock(&samples_lock);
    g_array_append_val(samples[which], took);
    g_mutex_unlock(&samples_lock);
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
    __atomic_store_n(&n_started, i + 1, __ATOMIC_SEQ_CST);
    must(write(quit_pipe[1], "n", 1) == 1, "pipe");
    g_auto(Err) err = ERR_INIT;
    g_autofree char *name = g_strdup_printf("m%u", i), *uuid = g_strdup_printf("11111111-2222-4333-8444-%012u", i);
    g_autofree char *xml = world_xml(name, uuid);
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
    for (unsigned i = 0; i < n_machines; i++) {
        __atomic_store_n(&machines[i].said_ns, now_ns(), __ATOMIC_SEQ_CST);
        say(machines[i].fd, events);
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

int main(int argc, char **argv)
{
    must(argc == 3, "usage: blockjob_wait JOBS ROUNDS");
    n_machines = CLAMP((unsigned)strtoul(argv[1], NULL, 10), 1, JOBS_MAX);
    rounds = MAX((unsigned)strtoul(argv[2], NULL, 10), 1);
    pthread_t player;
    for (unsigned i = 0; i < 2; i++)
        samples[i] = g_array_new(false, false, sizeof(uint64_t));
    must(pipe(quit_pipe) == 0 && world_begin(NULL) == 0 && world_setup(NULL) == 0, "no driver");
    world_monitor = give_monitor;
    must(pthread_create(&player, NULL, play, NULL) == 0, "no thread");
    for (unsigned i = 0; i < n_machines; i++)
        start_machine(i);
    for (unsigned i = 0; i < n_machines; i++)
        must(pthread_create(&machines[i].thread, NULL, wait_thread, &machines[i]) == 0, "no thread");
    for (unsigned turn = 1; turn <= rounds * 2; turn += 2) {
        tell_all(turn, STATUS("ready") BLOCK("BLOCK_JOB_READY"));
        tell_all(turn + 1, BLOCK("BLOCK_JOB_COMPLETED") STATUS("concluded"));
    }
    for (unsigned i = 0; i < n_machines; i++)
        pthread_join(machines[i].thread, NULL);
    for (unsigned i = 0; i < 2; i++) {
        GArray *a = samples[i];
        g_array_sort(a, by_size);
        printf("%.1f %.1f%s", (double)g_array_index(a, uint64_t, a->len / 2) / 1000, (double)g_array_index(a, uint64_t, a->len * 99 / 100) / 1000,
               i ? "\n" : " ");
        g_array_unref(a);
    }
    for (unsigned i = 0; i < n_machines; i++) {
        g_auto(Err) err = ERR_INIT;
        shutdown(machines[i].fd, SHUT_RDWR); /* as the end of a process does: nobody waits for last words */
        must(world_as_gate(machines[i].dom, JOB_DESTROY, call_destroy, NULL, &err) == 0, err.detail);
        object_unref((Object *)machines[i].dom);
    }
    must(write(quit_pipe[1], "q", 1) == 1, "pipe");
    pthread_join(player, NULL);
    world_teardown(NULL);
    world_end(NULL);
    for (unsigned i = 0; i < n_machines; i++) {
        fd_close(&machines[i].fd);
        g_string_free(machines[i].in, true);
    }
    close(quit_pipe[0]);
    close(quit_pipe[1]);
    return 0;
}
