/* tests/bench/bench_rpc.c - what a call costs beyond the bare socket
 *
 * Owns:    three round trips of the same 28 bytes over a socket pair: two threads that only read and write; the server answering on its
 *          event thread; the server answering through a worker
 * Threads: the client is the main thread
 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rpc/server.h"
#include "util/pool.h"

#define PROG 0x20007878u
#define WARM_UP 2000
#define ROUNDS 50000

enum { PROC_INLINE = 1, PROC_WORKER = 2 };

static Pool *pool;

static void answer(void *arg)
{
    RpcMsg *m = arg;
    rpc_reply(m, NULL, NULL, NULL, 0, NULL);
    rpc_msg_free(m);
}

static void on_call(void *ud, RpcMsg *m)
{
    if (m->h.proc == PROC_WORKER)
        pool_submit(pool, LANE_FAST, answer, m);
    else
        answer(m);
}

static bool known(void *ud, RpcConn *c, uint32_t prog, uint32_t vers)
{
    return prog == PROG;
}

static void exactly(ssize_t n, size_t want, const char *what)
{
    if (n != (ssize_t)want) {
        perror(what);
        exit(EXIT_FAILURE);
    }
}

static gpointer bare_peer(gpointer arg)
{
    int fd = GPOINTER_TO_INT(arg);
    uint8_t buf[RPC_HEADER_SIZE];
    while (read(fd, buf, sizeof(buf)) == (ssize_t)sizeof(buf))
        exactly(write(fd, buf, sizeof(buf)), sizeof(buf), "write");
    close(fd);
    return NULL;
}

static int by_value(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* Median nanoseconds of a round trip. */
static uint64_t round_trips(int fd, int32_t proc)
{
    uint64_t *ns = g_new(uint64_t, ROUNDS);
    uint8_t call[RPC_HEADER_SIZE], reply[RPC_HEADER_SIZE];
    for (uint32_t i = 0; i < WARM_UP + ROUNDS; i++) {
        struct timespec a, b;
        clock_gettime(CLOCK_MONOTONIC, &a);
        rpc_header_encode(call, &(RpcHeader){PROG, 1, proc, RPC_TYPE_CALL, i, 0}, 0);
        exactly(write(fd, call, sizeof(call)), sizeof(call), "write");
        exactly(read(fd, reply, sizeof(reply)), sizeof(reply), "read");
        clock_gettime(CLOCK_MONOTONIC, &b);
        if (i >= WARM_UP)
            ns[i - WARM_UP] = (uint64_t)((b.tv_sec - a.tv_sec) * 1000000000L + b.tv_nsec - a.tv_nsec);
    }
    qsort(ns, ROUNDS, sizeof(*ns), by_value);
    uint64_t median = ns[ROUNDS / 2];
    printf("%10.2f us median  %10.2f us 99%%", (double)median / 1000, (double)ns[ROUNDS * 99 / 100] / 1000);
    g_free(ns);
    return median;
}

static RpcServer *server;
static int server_fd;

static void adopt(void *arg)
{
    rpc_server_adopt(server, server_fd, &(RpcListenerSpec){.name = "bench", .kind = RPC_KIND_UNIX}, NULL);
}

static void stop(void *arg)
{
    rpc_server_stop(server, "done");
}

static void make_pair(int sv[2])
{
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) < 0) {
        perror("socketpair");
        exit(EXIT_FAILURE);
    }
}

int main(void)
{
    int sv[2];
    make_pair(sv);
    GThread *peer = g_thread_new("bare", bare_peer, GINT_TO_POINTER(sv[1]));
    printf("bare socket pair      ");
    uint64_t bare = round_trips(sv[0], PROC_INLINE);
    printf("\n");
    close(sv[0]);
    g_thread_join(peer);

    EventLoop *loop = event_loop_new("bench");
    pool = pool_new(&(PoolLimits){.cap = {0, 4, 4, 4}, .max_threads = 8, .idle_ms = 1000});
    server = rpc_server_new(loop, "bench", &RPC_LIMITS_DEFAULT, &(RpcService){.known_program = known, .call = on_call});
    make_pair(sv);
    server_fd = sv[1];
    event_loop_start(loop);
    event_post(loop, adopt, NULL);
    printf("null call, inline     ");
    uint64_t inl = round_trips(sv[0], PROC_INLINE);
    printf("  x%.2f\n", (double)inl / (double)bare);
    printf("null call, by a worker");
    uint64_t worker = round_trips(sv[0], PROC_WORKER);
    printf("  x%.2f\n", (double)worker / (double)bare);
    close(sv[0]);
    event_post(loop, stop, NULL);
    pool_free(pool);
    event_loop_stop(loop, 0);
    rpc_server_free(server);
    event_loop_free(loop);
    return EXIT_SUCCESS;
}
