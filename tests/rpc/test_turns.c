/* tests/rpc/test_turns.c - whose turn it is: to be served, and to write
 *
 * A client that sends more than others does not delay them.  Answers written by workers keep the order with events, and no bytes mix.
 */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/rpc/toy.h"
#include "util/fd.h"

static Toy toy;

static int setup(void **state)
{
    toy_start(&toy, NULL);
    return 0;
}

static int teardown(void **state)
{
    toy_stop(&toy);
    return 0;
}

/* ---- being served ---- */

static void wait_for_byte(void *arg)
{
    char byte;
    assert_int_equal(read(GPOINTER_TO_INT(arg), &byte, 1), 1);
}

static void greedy_client(void **state)
{
    enum { CALLS = 2000 };
    AUTO_CLOSE int greedy = toy_connect(&toy);
    AUTO_CLOSE int modest = toy_connect(&toy);
    client_expect_silence(greedy);
    client_expect_silence(modest);
    int gate[2];
    assert_int_equal(pipe(gate), 0);
    event_post(toy.loop, wait_for_byte, GINT_TO_POINTER(gate[0]));
    g_autoptr(GByteArray) all = g_byte_array_new();
    for (uint32_t i = 0; i < CALLS; i++) {
        g_autoptr(GByteArray) a = packet_make(RPC_TYPE_CALL, TOY_NULL, i, 0, NULL, 0);
        g_byte_array_append(all, a->data, a->len);
    }
    client_send(greedy, all->data, all->len);
    client_call(modest, TOY_HOLD, 7);
    unsigned before = 0;
    {
        LOCK_SCOPE(&toy.lock);
        before = toy.calls;
    }
    assert_int_equal(write(gate[1], "x", 1), 1); /* both have something now */
    toy_wait_held(&toy, 1);
    {
        LOCK_SCOPE(&toy.lock);
        assert_in_range(toy.calls_before_hold - before, 0, 100);
    }
    toy_release_held(&toy, 1);
    client_expect(modest, RPC_TYPE_REPLY, 7, RPC_STATUS_OK, NULL);
    for (uint32_t i = 0; i < CALLS; i++)
        client_expect(greedy, RPC_TYPE_REPLY, i, RPC_STATUS_OK, NULL);
    close(gate[0]);
    close(gate[1]);
}

static size_t queued;
static unsigned in_flight;

static void look(Toy *t)
{
    RpcConnStats st;
    rpc_conn_stats(t->conn, &st);
    queued = MAX(queued, st.queued_bytes);
    in_flight = st.in_flight;
}

/* Answered at once, calls never fill the in-flight cap; what is not read of the answers bounds them all the same. */
static void answers_not_read(void **state)
{
    enum { CALLS = 200, SIZE = 20000 };
    AUTO_CLOSE int fd = toy_connect(&toy);
    queued = 0;
    for (uint32_t i = 0; i < CALLS; i++) {
        client_call_u32(fd, TOY_BIG, i, SIZE);
        toy_on_loop(&toy, look);
    }
    for (uint32_t i = 0; i < CALLS; i++) {
        Packet p;
        client_expect(fd, RPC_TYPE_REPLY, i, RPC_STATUS_OK, &p);
        assert_int_equal(p.len, SIZE + 4);
        packet_done(&p);
        toy_on_loop(&toy, look);
    }
    assert_in_range(queued, SIZE, 65536 + 2 * SIZE);
    client_expect_silence(fd);
}

/* Sends what the socket takes of it; how much of it has gone. */
static size_t send_some(int fd, const GByteArray *a, size_t sent)
{
    ssize_t n = sent < a->len ? send(fd, a->data + sent, a->len - sent, MSG_DONTWAIT | MSG_NOSIGNAL) : 0;
    return n > 0 ? sent + (size_t)n : sent;
}

/* Pongs cost more memory than pings: who does not take them is not read any more, and has them all when it goes on. */
static void pongs_not_read(void **state)
{
    enum { PINGS = 20000, ROUNDS = 4000 };
    AUTO_CLOSE int fd = toy_connect(&toy);
    client_expect_silence(fd);
    g_autoptr(GByteArray) all = g_byte_array_new();
    for (uint32_t i = 0; i < PINGS; i++) {
        g_autoptr(GByteArray) a = packet_make(RPC_TYPE_MESSAGE, 1, 0, 0, NULL, 0);
        memcpy(a->data + 4, (const uint8_t[]){0x6b, 0x65, 0x65, 0x70}, 4);
        g_byte_array_append(all, a->data, a->len);
    }
    size_t sent = 0;
    queued = 0;
    for (unsigned i = 0; i < ROUNDS && sent < all->len; i++) {
        sent = send_some(fd, all, sent);
        toy_on_loop(&toy, look);
    }
    assert_in_range(queued, 1, 65536 + 16 * RPC_HEADER_SIZE);
    for (uint32_t i = 0; i < PINGS; i++) {
        Packet p;
        sent = send_some(fd, all, sent);
        assert_true(client_recv(fd, &p));
        assert_int_equal(p.h.prog, 0x6b656570);
        assert_int_equal(p.h.proc, 2);
        packet_done(&p);
    }
    client_expect_silence(fd);
}

static void news_when_let(void *arg)
{
    g_autoptr(GBytes) payload = g_bytes_new_static("news", 4);
    wait_for_byte(arg);
    rpc_event_send(toy.conn, TOY_PROG, 1, 100, NULL, payload);
}

/* Calls wait for the client to take an answer; it is an event that finds the socket free again. */
static void calls_go_on_after_an_event(void **state)
{
    enum { SIZE = 400000 };
    AUTO_CLOSE int fd = toy_connect(&toy);
    Packet p;
    int gate[2];
    assert_int_equal(pipe(gate), 0);
    client_call_u32(fd, TOY_BIG, 1, SIZE);
    client_call(fd, TOY_NULL, 2);
    for (unsigned i = 0; i < 3; i++)
        toy_on_loop(&toy, look);
    event_post(toy.loop, news_when_let, GINT_TO_POINTER(gate[0]));
    g_autofree uint8_t *some = g_malloc(SIZE);
    size_t had = 0;
    for (ssize_t n; (n = recv(fd, some + had, SIZE - had, MSG_DONTWAIT)) > 0; had += (size_t)n)
        ;
    assert_in_range(had, 65536, SIZE); /* the rest fits into the socket */
    assert_int_equal(write(gate[1], "x", 1), 1);
    for (size_t left = 28 + SIZE + 4 - had; left > 0;) {
        ssize_t n = recv(fd, some, MIN(left, SIZE), 0);
        assert_in_range(n, 1, left);
        left -= (size_t)n;
    }
    assert_true(client_recv(fd, &p));
    assert_int_equal(p.h.type, RPC_TYPE_MESSAGE);
    packet_done(&p);
    client_expect(fd, RPC_TYPE_REPLY, 2, RPC_STATUS_OK, NULL);
    close(gate[0]);
    close(gate[1]);
}

static unsigned requests;

static void allow_requests(Toy *t)
{
    RpcLimits limits = t->limits;
    limits.max_client_requests = requests;
    rpc_server_set_limits(t->server, &limits);
}

/* Until what was posted so far is over: a worker writes its answer itself then. */
static void until_idle(void)
{
    for (unsigned i = 0; i < 4; i++)
        toy_on_loop(&toy, look);
    while (event_has_posts(toy.loop))
        g_thread_yield();
}

/* A client has more calls under way than it may have by now; its next one is taken when they are answered. */
static void fewer_requests_allowed(void **state)
{
    AUTO_CLOSE int fd = toy_connect(&toy);
    for (uint32_t i = 0; i < 3; i++)
        client_call(fd, TOY_HOLD, i);
    toy_wait_held(&toy, 3);
    requests = 1;
    toy_on_loop(&toy, allow_requests);
    client_call(fd, TOY_NULL, 3);
    until_idle();
    toy_release_held(&toy, 3);
    for (uint32_t i = 0; i < 4; i++)
        client_expect(fd, RPC_TYPE_REPLY, i, RPC_STATUS_OK, NULL);
}

/* A client whose calls are all that it may have may have more: the next one is taken at once. */
static void more_requests_allowed(void **state)
{
    AUTO_CLOSE int fd = toy_connect(&toy);
    for (uint32_t i = 0; i < 5; i++)
        client_call(fd, TOY_HOLD, i);
    toy_wait_held(&toy, 5);
    client_call(fd, TOY_NULL, 5);
    until_idle();
    requests = 6;
    toy_on_loop(&toy, allow_requests);
    client_expect(fd, RPC_TYPE_REPLY, 5, RPC_STATUS_OK, NULL);
    toy_release_held(&toy, 5);
    for (uint32_t i = 0; i < 5; i++)
        client_expect(fd, RPC_TYPE_REPLY, i, RPC_STATUS_OK, NULL);
}

/* ---- writing ---- */

static void news_before_the_answer(void **state)
{
    AUTO_CLOSE int fd = toy_connect(&toy);
    for (uint32_t i = 0; i < 2000; i++) {
        Packet p;
        client_call(fd, TOY_NEWS, i);
        assert_true(client_recv(fd, &p));
        assert_int_equal(p.h.type, RPC_TYPE_MESSAGE);
        packet_done(&p);
        client_expect(fd, RPC_TYPE_REPLY, i, RPC_STATUS_OK, NULL);
    }
}

#define TEXT 50000

static GByteArray *text_args(char fill)
{
    GByteArray *a = g_byte_array_new();
    put_be32(a, TEXT);
    g_byte_array_set_size(a, 4 + TEXT);
    memset(a->data + 4, fill, TEXT);
    return a;
}

static void check_text(const Packet *p)
{
    assert_int_equal(p->len, 4 + TEXT);
    for (size_t i = 0; i < TEXT; i++)
        assert_int_equal(p->body[4 + i], 'a' + (int)(p->h.serial % 26));
}

/* Workers, the event thread and its events write to a socket that takes little at a time. */
static void no_bytes_mix(void **state)
{
    enum { ROUNDS = 100, WORKERS = 4 };
    int sv[2], little = 4096;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
    assert_int_equal(setsockopt(sv[1], SOL_SOCKET, SO_SNDBUF, &little, sizeof(little)), 0);
    AUTO_CLOSE int fd = sv[0];
    toy_adopt(&toy, sv[1]);
    toy_wait(&toy, &toy.opened, 1);
    g_autoptr(GBytes) payload = g_bytes_new_static("news", 4);
    uint32_t serial = 0;
    for (unsigned round = 0; round < ROUNDS; round++) {
        unsigned replies = 0, messages = 0;
        for (unsigned i = 0; i < WORKERS; i++, serial++) {
            g_autoptr(GByteArray) args = text_args((char)('a' + serial % 26));
            client_send_packet(fd, RPC_TYPE_CALL, TOY_WORKER, serial, RPC_STATUS_OK, args->data, args->len);
        }
        client_call(fd, TOY_NULL, serial++);
        rpc_event_send(toy.conn, TOY_PROG, 1, 100, NULL, payload);
        while (replies < WORKERS + 1 || messages < 1) {
            Packet p;
            assert_true(client_recv(fd, &p));
            if (p.h.type == RPC_TYPE_MESSAGE) {
                assert_int_equal(p.len, 4);
                assert_memory_equal(p.body, "news", 4);
                messages++;
            } else {
                assert_int_equal(p.h.type, RPC_TYPE_REPLY);
                assert_int_equal(p.h.status, RPC_STATUS_OK);
                if (p.h.proc == TOY_WORKER)
                    check_text(&p);
                replies++;
            }
            packet_done(&p);
        }
    }
    client_expect_silence(fd);
    toy_on_loop(&toy, look);
    assert_int_equal(in_flight, 0);
}

/* The connection goes while workers answer on it. */
static void gone_while_answered(void **state)
{
    enum { ROUNDS = 300 };
    g_autoptr(GByteArray) args = text_args('x');
    for (unsigned i = 0; i < ROUNDS; i++) {
        AUTO_CLOSE int fd = toy_connect(&toy);
        for (uint32_t k = 0; k < 4; k++)
            client_send_packet(fd, RPC_TYPE_CALL, TOY_WORKER, k, RPC_STATUS_OK, args->data, args->len);
        toy_wait(&toy, &toy.opened, i + 1);
        if (i % 3 == 0)
            rpc_conn_close(toy.conn, "from our side");
        else if (i % 3 == 1)
            rpc_conn_close_after_flush(toy.conn, "from our side, in peace");
    }
    toy_wait(&toy, &toy.closed, ROUNDS);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(greedy_client), TEST(answers_not_read), TEST(pongs_not_read), TEST(calls_go_on_after_an_event),
        TEST(fewer_requests_allowed), TEST(more_requests_allowed), TEST(news_before_the_answer), TEST(no_bytes_mix), TEST(gone_while_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
