/* tests/rpc/test_chaos.c - clients that send anything, read when they like and leave in the midst of it; the server must not care
 *
 * The seed is printed; the first argument sets another one, the second the number of clients.
 */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/rpc/toy.h"
#include "util/fd.h"

static uint32_t seed = 20240607;
static unsigned n_clients = 150;

static uint32_t pick(GRand *r, uint32_t n)
{
    return (uint32_t)g_rand_int_range(r, 0, (gint32)n);
}

/* A packet that is mostly sensible: the odd ones have tests of their own. */
static GByteArray *any_packet(GRand *r)
{
    static const int32_t procs[] = {TOY_NULL,         TOY_ECHO,         TOY_WORKER,        TOY_HOLD,          TOY_FAIL,
                                    TOY_FORGET,       TOY_BIG,          TOY_FDS,           TOY_STREAM_BYTES,  TOY_STREAM_BYTES,
                                    TOY_STREAM_FD,    TOY_STREAM_READ,  TOY_STREAM_READ,   TOY_STREAM_WRITE,  TOY_STREAM_WRITE,
                                    TOY_STREAM_WRITE, TOY_KEEPALIVE,    TOY_STREAM_FAILED_CALL, 99};
    static const uint32_t types[] = {0, 0, 0, 0, 3, 3, 3, 3, 3, 3, 6, 2, 4, 9};
    static const uint32_t sizes[] = {0, 0, 4, 8, 12, 100, 5000, 70000};
    uint32_t type = types[pick(r, N_ELEMENTS(types))];
    int32_t proc = procs[pick(r, N_ELEMENTS(procs))];
    uint32_t status = type == 0 ? 0 : (uint32_t[]){2, 2, 2, 2, 0, 1, 5}[pick(r, 7)];
    uint32_t len = sizes[pick(r, N_ELEMENTS(sizes))];
    g_autoptr(GByteArray) body = g_byte_array_new();
    if (proc == TOY_BIG || proc == TOY_STREAM_BYTES) {
        put_be32(body, pick(r, 900000));
    } else if (type == 6) {
        put_be32(body, 0);
        put_be32(body, pick(r, 100000));
        put_be32(body, pick(r, 8) == 0);
    } else if (proc == TOY_STREAM_READ || proc == TOY_STREAM_WRITE) {
        put_be32(body, pick(r, 2));
        put_be32(body, pick(r, 300000));
    } else {
        put_be32(body, len > 4 ? len - 4 : 0); /* a string's count, a stream's data */
    }
    if (type != 6 && body->len < len) {
        guint old = body->len;
        g_byte_array_set_size(body, len);
        for (guint i = old; i < len; i++)
            body->data[i] = 'a' + i % 20;
    }
    if (type == 4)
        g_byte_array_set_size(body, 4), body->data[0] = body->data[1] = body->data[2] = body->data[3] = 0;
    return packet_make(type, proc, pick(r, 8), status, body->data, body->len);
}

/* Sends what the socket takes; false when the server has hung up. */
static bool push(int fd, GByteArray *a, GRand *r)
{
    guint off = 0;
    char sink[65536];
    for (int patience = 0; off < a->len && patience < 20;) {
        guint n = 1 + pick(r, a->len - off);
        ssize_t got = send(fd, a->data + off, n, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (got > 0) {
            off += (guint)got;
            continue;
        }
        if (errno != EAGAIN)
            return false;
        struct pollfd pfd = {fd, POLLIN | POLLOUT, 0};
        poll(&pfd, 1, 5);
        if (recv(fd, sink, sizeof(sink), MSG_DONTWAIT) <= 0)
            patience++;
    }
    return off == a->len;
}

static void chaos(void **state)
{
    RpcLimits limits = RPC_LIMITS_DEFAULT;
    limits.max_queue_bytes = 2u << 20;
    limits.keepalive_interval = 1;
    Toy t;
    toy_start(&t, &limits);
    g_autofree char *path = NULL;
    int file = g_file_open_tmp("berth-chaos-XXXXXX", &path, NULL);
    assert_int_equal(ftruncate(file, 1 << 20), 0);
    fd_close(&file);
    t.path = path;
    g_autoptr(GRand) r = g_rand_new_with_seed(seed);
    printf("seed %u, %u clients\n", seed, n_clients);
    for (unsigned i = 0; i < n_clients; i++) {
        AUTO_CLOSE int fd = toy_connect(&t);
        unsigned n = 1 + pick(r, 60);
        for (unsigned k = 0; k < n; k++) {
            g_autoptr(GByteArray) a = any_packet(r);
            if (!push(fd, a, r))
                break;
            char sink[65536];
            if (pick(r, 3) == 0)
                (void)!recv(fd, sink, sizeof(sink), MSG_DONTWAIT);
            if (pick(r, 8) == 0)
                toy_release_held(&t, 1);
            if (pick(r, 10) == 0)
                toy_hang_up_stream(&t);
        }
        if (pick(r, 2))
            toy_release_held(&t, 5);
    }
    toy_release_held(&t, UINT_MAX);
    AUTO_CLOSE int fd = toy_connect(&t);
    client_expect_silence(fd);
    fd_close(&fd);
    toy_wait(&t, &t.closed, n_clients + 1);
    toy_stop(&t);
    g_unlink(path);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        seed = (uint32_t)strtoul(argv[1], NULL, 10);
    if (argc > 2)
        n_clients = (unsigned)strtoul(argv[2], NULL, 10);
    const struct CMUnitTest tests[] = {cmocka_unit_test(chaos)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
