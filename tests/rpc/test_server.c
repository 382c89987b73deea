/* tests/rpc/test_server.c - client bytes into a real server: odd packets, limits, slow readers, descriptors, keepalive
 */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "tests/rpc/toy.h"
#include "util/fd.h"

static int setup(void **state)
{
    Toy *t = g_new0(Toy, 1);
    toy_start(t, NULL);
    *state = t;
    return 0;
}

static int teardown(void **state)
{
    toy_stop(*state);
    g_free(*state);
    return 0;
}

static void use_limits(void **state, const RpcLimits *limits)
{
    toy_stop(*state);
    toy_start(*state, limits);
}

/* XDR string body; free with g_byte_array_unref. */
static GByteArray *text_body(const char *text)
{
    GByteArray *a = g_byte_array_new();
    guint len = (guint)strlen(text);
    put_be32(a, len);
    g_byte_array_append(a, (const guint8 *)text, len);
    g_byte_array_append(a, (const guint8 *)"\0\0\0", (4 - len % 4) % 4);
    return a;
}

static void call_text(int fd, int32_t proc, uint32_t serial, const char *text)
{
    g_autoptr(GByteArray) body = text_body(text);
    client_send_packet(fd, RPC_TYPE_CALL, proc, serial, 0, body->data, body->len);
}

static void calls_are_answered(void **state)
{
    AUTO_CLOSE int fd = toy_connect(*state);
    Packet p;
    client_call(fd, TOY_NULL, 0);
    client_expect(fd, RPC_TYPE_REPLY, 0, RPC_STATUS_OK, &p);
    assert_int_equal(p.len, 0);
    assert_int_equal(p.h.proc, TOY_NULL);
    packet_done(&p);
    for (uint32_t i = 1; i < 50; i++) {
        call_text(fd, i % 2 ? TOY_ECHO : TOY_WORKER, i, "hello");
        client_expect(fd, RPC_TYPE_REPLY, i, RPC_STATUS_OK, &p);
        assert_int_equal(p.len, 12);
        assert_memory_equal(p.body + 4, "hello\0\0\0", 8);
        packet_done(&p);
    }
}

static void split_call(void **state)
{
    AUTO_CLOSE int fd = toy_connect(*state);
    g_autoptr(GByteArray) body = text_body("cut anywhere");
    g_autoptr(GByteArray) a = packet_make(RPC_TYPE_CALL, TOY_ECHO, 3, 0, body->data, body->len);
    for (guint cut = 1; cut < a->len; cut++) {
        client_send(fd, a->data, cut);
        client_send(fd, a->data + cut, a->len - cut);
        client_expect(fd, RPC_TYPE_REPLY, 3, RPC_STATUS_OK, NULL);
    }
}

static void leftover_bytes_are_ignored(void **state)
{
    AUTO_CLOSE int fd = toy_connect(*state);
    static const uint8_t body[] = {0, 0, 0, 1, 'x', 0, 0, 0, 1, 2, 3};
    Packet p;
    client_send_packet(fd, RPC_TYPE_CALL, TOY_ECHO, 0, 0, body, sizeof(body));
    client_expect(fd, RPC_TYPE_REPLY, 0, RPC_STATUS_OK, &p);
    assert_int_equal(p.len, 8);
    packet_done(&p);
}

static void short_arguments(void **state)
{
    AUTO_CLOSE int fd = toy_connect(*state);
    static const uint8_t body[] = {0, 0, 0, 9, 'x'};
    client_send_packet(fd, RPC_TYPE_CALL, TOY_ECHO, 4, 0, body, sizeof(body));
    client_expect_error(fd, RPC_TYPE_REPLY, 4, VIR_ERR_RPC, VIR_FROM_RPC, NULL);
    client_expect_silence(fd);
}

static void send_raw_header(int fd, uint32_t prog, uint32_t vers, int32_t proc, uint32_t type, uint32_t status)
{
    uint8_t head[RPC_HEADER_SIZE];
    rpc_header_encode(head, &(RpcHeader){prog, vers, proc, type, 11, status}, 0);
    client_send(fd, head, sizeof(head));
}

static void odd_packets(void **state)
{
    static const struct {
        uint32_t prog, vers;
        int32_t proc;
        uint32_t type, status;
        bool error; /* else silence */
    } rows[] = {
        {TOY_PROG + 1, 1, TOY_NULL, RPC_TYPE_CALL, 0, true},
        {TOY_PROG, 2, TOY_NULL, RPC_TYPE_CALL, 0, true},
        {TOY_PROG, 1, 9999, RPC_TYPE_CALL, 0, true},
        {TOY_PROG, 1, 0, RPC_TYPE_CALL, 0, true},
        {TOY_PROG, 1, -1, RPC_TYPE_CALL, 0, true},
        {TOY_PROG, 1, TOY_NULL, RPC_TYPE_CALL, RPC_STATUS_ERROR, true},
        {TOY_PROG, 1, TOY_NULL, RPC_TYPE_CALL, RPC_STATUS_CONTINUE, true},
        {TOY_PROG, 1, TOY_NULL, RPC_TYPE_CALL, 77, true},
        {TOY_PROG, 1, TOY_NULL, RPC_TYPE_REPLY, 0, false},
        {TOY_PROG, 1, TOY_NULL, RPC_TYPE_MESSAGE, 0, false},
        {TOY_PROG, 1, TOY_NULL, RPC_TYPE_HOLE, 2, false},
        {TOY_PROG, 1, TOY_NULL, 7, 0, false},
        {TOY_PROG, 1, TOY_NULL, 0xffffffff, 0, false},
        {TOY_PROG, 1, TOY_STREAM_FD, RPC_TYPE_STREAM, RPC_STATUS_CONTINUE, false},
        {TOY_PROG, 1, TOY_STREAM_FD, RPC_TYPE_STREAM, RPC_STATUS_OK, false},
        {TOY_PROG, 1, TOY_STREAM_FD, RPC_TYPE_STREAM, RPC_STATUS_ERROR, false},
        {0x6b656570, 1, 99, RPC_TYPE_MESSAGE, 0, false},
        {0x6b656570, 1, 1, RPC_TYPE_CALL, 0, true},
    };
    AUTO_CLOSE int fd = toy_connect(*state);
    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        send_raw_header(fd, rows[i].prog, rows[i].vers, rows[i].proc, rows[i].type, rows[i].status);
        if (rows[i].error)
            client_expect_error(fd, RPC_TYPE_REPLY, 11, VIR_ERR_RPC, VIR_FROM_RPC, NULL);
        client_expect_silence(fd);
    }
}

static void lying_lengths(void **state)
{
    static const uint32_t lengths[] = {0, 3, 4, 27, RPC_PACKET_MAX + 1, 0xffffffff};
    for (size_t i = 0; i < N_ELEMENTS(lengths); i++) {
        AUTO_CLOSE int fd = toy_connect(*state);
        client_expect_silence(fd);
        g_autoptr(GByteArray) a = g_byte_array_new();
        put_be32(a, lengths[i]);
        client_send(fd, a->data, a->len);
        client_expect_eof(fd);
    }
    Toy *t = *state;
    toy_wait(t, &t->closed, N_ELEMENTS(lengths));
    assert_true(toy_last_reason_has(t, "protocol error"));
}

static void error_encoding(void **state)
{
    AUTO_CLOSE int fd = toy_connect(*state);
    g_autofree char *message = NULL;
    client_call(fd, TOY_FAIL, 1);
    client_expect_error(fd, RPC_TYPE_REPLY, 1, VIR_ERR_OPERATION_INVALID, VIR_FROM_RPC, &message);
    assert_non_null(strstr(message, "toy is broken"));
    assert_non_null(strstr(message, "mend it"));
    client_call(fd, TOY_FORGET, 2);
    client_expect_error(fd, RPC_TYPE_REPLY, 2, VIR_ERR_INTERNAL_ERROR, VIR_FROM_RPC, NULL);
}

/* All fields of virNetMessageError after the message, byte for byte. */
static void error_fields(void **state)
{
    g_auto(Err) err = ERR_INIT;
    err_set_full(&err, VIR_FROM_QEMU, VIR_ERR_SYSTEM_ERROR, ENOENT, "abc");
    g_autoptr(GBytes) b = rpc_encode_error(&err);
    gsize len;
    const uint8_t *p = g_bytes_get_data(b, &len);
    static const uint8_t want[] = {
        0, 0, 0, 38, 0, 0, 0, VIR_FROM_QEMU,
        0, 0, 0, 1,  0, 0, 0, 3, 'a', 'b', 'c', 0, /* message */
        0, 0, 0, 2,                                /* level */
        0, 0, 0, 0,                                /* dom */
        0, 0, 0, 1,  0, 0, 0, 2, '%', 's', 0, 0,   /* str1 */
        0, 0, 0, 1,  0, 0, 0, 3, 'a', 'b', 'c', 0, /* str2 */
        0, 0, 0, 0,                                /* str3 */
        0, 0, 0, ENOENT, 255, 255, 255, 255, 0, 0, 0, 0,
    };
    assert_int_equal(len, sizeof(want));
    assert_memory_equal(p, want, sizeof(want));
}

static void too_large_reply_is_an_error(void **state)
{
    AUTO_CLOSE int fd = toy_connect(*state);
    Packet p;
    client_call_u32(fd, TOY_BIG, 1, 34u << 20);
    client_expect_error(fd, RPC_TYPE_REPLY, 1, VIR_ERR_RPC, VIR_FROM_RPC, NULL);
    client_call_u32(fd, TOY_BIG, 2, 65u << 20); /* breaks the filter's own bound */
    client_expect_error(fd, RPC_TYPE_REPLY, 2, VIR_ERR_RPC, VIR_FROM_RPC, NULL);
    client_call_u32(fd, TOY_BIG, 3, 3u << 20);
    client_expect(fd, RPC_TYPE_REPLY, 3, RPC_STATUS_OK, &p);
    assert_int_equal(p.len, (3u << 20) + 4);
    packet_done(&p);
}

static void in_flight_cap(void **state)
{
    Toy *t = *state;
    AUTO_CLOSE int fd = toy_connect(t);
    enum { N = 23 };
    for (uint32_t i = 0; i < N; i++)
        client_call(fd, TOY_HOLD, i);
    unsigned total = 0;
    while (total < N) {
        unsigned batch = MIN(5, N - total);
        toy_wait_held(t, batch);
        struct pollfd pfd = {fd, POLLIN, 0};
        assert_int_equal(poll(&pfd, 1, 50), 0);
        assert_int_equal(toy_n_held(t), batch); /* never more than the cap */
        toy_release_held(t, batch);
        for (unsigned i = 0; i < batch; i++)
            client_expect(fd, RPC_TYPE_REPLY, total + i, RPC_STATUS_OK, NULL);
        total += batch;
        if (total < N)
            toy_wait(t, &t->calls, MIN(total + 5, N));
    }
    client_expect_silence(fd);
}

static void inline_pipelining(void **state)
{
    AUTO_CLOSE int fd = toy_connect(*state);
    g_autoptr(GByteArray) all = g_byte_array_new();
    for (uint32_t i = 0; i < 200; i++) {
        g_autoptr(GByteArray) a = packet_make(RPC_TYPE_CALL, TOY_NULL, i, 0, NULL, 0);
        g_byte_array_append(all, a->data, a->len);
    }
    client_send(fd, all->data, all->len);
    for (uint32_t i = 0; i < 200; i++)
        client_expect(fd, RPC_TYPE_REPLY, i, RPC_STATUS_OK, NULL);
}

static void slow_reader(void **state)
{
    RpcLimits limits = RPC_LIMITS_DEFAULT;
    limits.max_queue_bytes = 1u << 20;
    use_limits(state, &limits);
    Toy *t = *state;
    AUTO_CLOSE int slow = toy_connect(t);
    client_expect_silence(slow);
    RpcConn *slow_conn = rpc_conn_ref(t->conn);
    AUTO_CLOSE int good = toy_connect(t);
    client_expect_silence(good);
    g_autofree char *text = g_strnfill(10000, 'x');
    g_autoptr(GByteArray) body = text_body(text);
    g_autoptr(GBytes) payload = g_bytes_new(body->data, body->len);
    int32_t id = 42;
    for (uint32_t i = 0; i < 400 && rpc_conn_is_alive(slow_conn); i++) {
        rpc_event_send(slow_conn, TOY_PROG, 1, 100, &id, payload);
        client_call(good, TOY_NULL, i);
        client_expect(good, RPC_TYPE_REPLY, i, RPC_STATUS_OK, NULL);
    }
    toy_wait(t, &t->closed, 1);
    assert_true(toy_last_reason_has(t, "does not read"));
    client_expect_silence(good);
    rpc_conn_unref(slow_conn);
}

static void stalled_reader(void **state)
{
    RpcLimits limits = RPC_LIMITS_DEFAULT;
    limits.stall_timeout_ms = 300;
    use_limits(state, &limits);
    Toy *t = *state;
    AUTO_CLOSE int little = toy_connect(t), much = toy_connect(t);
    client_call_u32(little, TOY_BIG, 1, 700000);
    client_call_u32(much, TOY_BIG, 1, 4u << 20);
    toy_wait(t, &t->closed, 1);
    assert_true(toy_last_reason_has(t, "read nothing"));
    Packet p;
    client_expect(little, RPC_TYPE_REPLY, 1, RPC_STATUS_OK, &p); /* holds little, may stop as long as it likes */
    packet_done(&p);
}

static void stalled_sender(void **state)
{
    RpcLimits limits = RPC_LIMITS_DEFAULT;
    limits.stall_timeout_ms = 300;
    use_limits(state, &limits);
    Toy *t = *state;
    AUTO_CLOSE int little = toy_connect(t), whole = toy_connect(t), much = toy_connect(t);
    g_autofree uint8_t *body = g_malloc0(2u << 20);
    g_autoptr(GByteArray) half = packet_make(RPC_TYPE_CALL, TOY_NULL, 1, 0, body, 1u << 20);
    client_send(little, half->data, half->len - 4096); /* may be stopped in the midst of it as long as its user likes */
    g_autoptr(GByteArray) call = packet_make(RPC_TYPE_CALL, TOY_NULL, 1, 0, body, 2u << 20);
    client_send(whole, call->data, call->len);
    client_expect(whole, RPC_TYPE_REPLY, 1, RPC_STATUS_OK, NULL);
    client_send(much, call->data, call->len - 1);
    toy_wait(t, &t->closed, 1);
    assert_true(toy_last_reason_has(t, "has sent nothing"));
    client_expect_silence(whole);
    client_send(little, half->data + half->len - 4096, 4096);
    client_expect(little, RPC_TYPE_REPLY, 1, RPC_STATUS_OK, NULL);
}

#define MUCH 900000u /* more than makes us read on, less than what makes it a reader who stalls */

static bool_t filter_much(XDR *x, void *data)
{
    u_int len = MUCH;
    return xdr_bytes(x, (char **)data, &len, MUCH);
}

static void answer_held_with_much(Toy *t)
{
    g_autofree char *data = g_malloc0(MUCH);
    g_autoptr(RpcMsg) m = NULL;
    {
        LOCK_SCOPE(&t->lock);
        m = g_ptr_array_steal_index(t->held, 0);
    }
    rpc_reply(m, (xdrproc_t)filter_much, &data, NULL, 0, NULL);
}

/* More answers than are kept for it wait for it: it is we who do not read the rest of its packet. */
static void sender_who_is_not_read(void **state)
{
    RpcLimits limits = RPC_LIMITS_DEFAULT;
    limits.stall_timeout_ms = 1000; /* the test itself is a sender that must not stall */
    use_limits(state, &limits);
    Toy *t = *state;
    AUTO_CLOSE int fd = toy_connect(t);
    g_autofree uint8_t *body = g_malloc0(2u << 20);
    g_autoptr(GByteArray) call = packet_make(RPC_TYPE_CALL, TOY_NULL, 2, 0, body, 2u << 20);
    client_call(fd, TOY_HOLD, 1);
    toy_wait_held(t, 1);
    client_send(fd, call->data, call->len - 1);
    answer_held_with_much(t);
    for (unsigned i = 0; i < 2; i++) { /* as time passes, others who read nothing are closed: its own timer has seen that nothing comes */
        AUTO_CLOSE int other = toy_connect(t);
        client_call_u32(other, TOY_BIG, 1, 4u << 20);
        toy_wait(t, &t->closed, i + 1);
        assert_true(toy_last_reason_has(t, "read nothing"));
    }
    Packet p;
    client_expect(fd, RPC_TYPE_REPLY, 1, RPC_STATUS_OK, &p);
    packet_done(&p);
    client_send(fd, call->data + call->len - 1, 1);
    client_expect(fd, RPC_TYPE_REPLY, 2, RPC_STATUS_OK, NULL);
}

static void events(void **state)
{
    Toy *t = *state;
    AUTO_CLOSE int fd = toy_connect(t);
    client_expect_silence(fd);
    g_autoptr(GBytes) payload = g_bytes_new("abcd", 4);
    int32_t id = 7;
    rpc_event_send(t->conn, TOY_PROG, 1, 100, &id, payload);
    rpc_event_send(t->conn, TOY_PROG, 1, 101, NULL, payload);
    Packet p;
    client_expect(fd, RPC_TYPE_MESSAGE, 1, RPC_STATUS_OK, &p);
    assert_int_equal(p.h.proc, 100);
    assert_int_equal(p.len, 8);
    assert_memory_equal(p.body, "\0\0\0\7abcd", 8);
    packet_done(&p);
    client_expect(fd, RPC_TYPE_MESSAGE, 1, RPC_STATUS_OK, &p);
    assert_int_equal(p.len, 4);
    packet_done(&p);
}

static void send_fd_byte(int sock, int fd)
{
    char control[CMSG_SPACE(sizeof(int))] = {0};
    char zero = 0;
    struct iovec iov = {&zero, 1};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &fd, sizeof(int));
    assert_int_equal(sendmsg(sock, &msg, 0), 1);
}

static int recv_fd_byte(int sock)
{
    char control[CMSG_SPACE(sizeof(int) * 4)];
    char byte = 1;
    struct iovec iov = {&byte, 1};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
    assert_int_equal(recvmsg(sock, &msg, MSG_CMSG_CLOEXEC), 1);
    assert_int_equal(byte, 0);
    struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
    assert_non_null(c);
    assert_int_equal(c->cmsg_len, CMSG_LEN(sizeof(int)));
    int fd;
    memcpy(&fd, CMSG_DATA(c), sizeof(int));
    return fd;
}

static void fd_passing(void **state)
{
    AUTO_CLOSE int sock = toy_connect(*state);
    AUTO_CLOSE int file = open("/dev/null", O_RDONLY | O_CLOEXEC);
    struct stat want, got;
    assert_int_equal(fstat(file, &want), 0);
    for (uint32_t n = 1; n <= RPC_FDS_MAX; n += 31) {
        g_autoptr(GByteArray) body = g_byte_array_new();
        put_be32(body, n);
        client_send_packet(sock, RPC_TYPE_CALL_FDS, TOY_FDS, n, 0, body->data, body->len);
        for (uint32_t i = 0; i < n; i++)
            send_fd_byte(sock, file);
        client_call(sock, TOY_NULL, 1000); /* right behind: the bytes are not mixed up */
        Packet p;
        client_expect(sock, RPC_TYPE_REPLY_FDS, n, RPC_STATUS_OK, &p);
        assert_int_equal(p.len, 4);
        assert_int_equal(get_be32(p.body), n);
        packet_done(&p);
        for (uint32_t i = 0; i < n; i++) {
            AUTO_CLOSE int fd = recv_fd_byte(sock);
            assert_int_equal(fstat(fd, &got), 0);
            assert_true(want.st_ino == got.st_ino && want.st_dev == got.st_dev);
        }
        client_expect(sock, RPC_TYPE_REPLY, 1000, RPC_STATUS_OK, NULL);
    }
    /* none back: a plain reply */
    g_autoptr(GByteArray) body = g_byte_array_new();
    put_be32(body, 0);
    client_send_packet(sock, RPC_TYPE_CALL_FDS, TOY_FDS, 77, 0, body->data, body->len);
    client_expect(sock, RPC_TYPE_REPLY, 77, RPC_STATUS_OK, NULL);
}

static void fd_abuse(void **state)
{
    AUTO_CLOSE int file = open("/dev/null", O_RDONLY | O_CLOEXEC);
    g_autoptr(GByteArray) body = g_byte_array_new();
    put_be32(body, 1);
    for (int i = 0; i < 3; i++) {
        AUTO_CLOSE int sock = toy_connect(*state);
        client_expect_silence(sock);
        if (i == 0) { /* byte without descriptor */
            client_send_packet(sock, RPC_TYPE_CALL_FDS, TOY_FDS, 1, 0, body->data, body->len);
            client_send(sock, "", 1);
        } else if (i == 1) { /* descriptor nobody asked for */
            send_fd_byte(sock, file);
        } else { /* more than any packet may have */
            body->data[3] = 33;
            client_send_packet(sock, RPC_TYPE_CALL_FDS, TOY_FDS, 1, 0, body->data, body->len);
        }
        client_expect_eof(sock);
    }
}

static void close_after_flush(void **state)
{
    Toy *t = *state;
    AUTO_CLOSE int fd = toy_connect(t);
    g_autoptr(GByteArray) both = packet_make(RPC_TYPE_CALL, TOY_CLOSE, 1, 0, NULL, 0); /* at once: after the first there may be nobody to take more */
    g_autoptr(GByteArray) second = packet_make(RPC_TYPE_CALL, TOY_NULL, 2, 0, NULL, 0);
    g_byte_array_append(both, second->data, second->len);
    client_send(fd, both->data, both->len);
    client_expect(fd, RPC_TYPE_REPLY, 1, RPC_STATUS_OK, NULL);
    toy_wait(t, &t->closed, 1);
    assert_true(toy_last_reason_has(t, "asked to"));
}

/* The order of closing and answering is the service's affair: answers of workers still leave. */
static void close_waits_for_answers(void **state)
{
    Toy *t = *state;
    AUTO_CLOSE int fd = toy_connect(t);
    client_call(fd, TOY_HOLD, 1);
    toy_wait_held(t, 1);
    rpc_conn_close_after_flush(t->conn, "asked to");
    struct pollfd pfd = {fd, POLLIN, 0};
    assert_int_equal(poll(&pfd, 1, 50), 0);
    toy_release_held(t, 1);
    client_expect(fd, RPC_TYPE_REPLY, 1, RPC_STATUS_OK, NULL);
    client_expect_eof(fd);
}

static void client_gone_while_held(void **state)
{
    Toy *t = *state;
    AUTO_CLOSE int fd = toy_connect(t);
    for (uint32_t i = 0; i < 5; i++)
        client_call(fd, TOY_HOLD, i);
    toy_wait_held(t, 5);
    fd_close(&fd); /* the cap is reached: nobody reads, the hang-up must be seen all the same */
    toy_wait(t, &t->closed, 1);
    toy_release_held(t, 5);
    AUTO_CLOSE int other = toy_connect(t);
    client_expect_silence(other);
}

static void recv_keepalive(int fd, int32_t proc)
{
    Packet p;
    assert_true(client_recv(fd, &p));
    assert_int_equal(p.h.prog, 0x6b656570);
    assert_int_equal(p.h.vers, 1);
    assert_int_equal(p.h.type, RPC_TYPE_MESSAGE);
    assert_int_equal(p.h.serial, 0);
    assert_int_equal(p.h.proc, proc);
    assert_int_equal(p.len, 0);
    packet_done(&p);
}

static void keepalive(void **state)
{
    RpcLimits limits = RPC_LIMITS_DEFAULT;
    limits.keepalive_interval = 1;
    limits.keepalive_count = 2;
    use_limits(state, &limits);
    Toy *t = *state;
    AUTO_CLOSE int fd = toy_connect(t);
    send_raw_header(fd, 0x6b656570, 1, 1, RPC_TYPE_MESSAGE, 0);
    recv_keepalive(fd, 2);
    client_call(fd, TOY_KEEPALIVE, 5);
    client_expect(fd, RPC_TYPE_REPLY, 5, RPC_STATUS_OK, NULL);
    recv_keepalive(fd, 1);
    send_raw_header(fd, 0x6b656570, 1, 2, RPC_TYPE_MESSAGE, 0); /* pong: the count starts anew */
    uint64_t start = now_us();
    recv_keepalive(fd, 1);
    recv_keepalive(fd, 1);
    client_expect_eof(fd);
    uint64_t ms = (now_us() - start) / 1000;
    assert_true(ms >= 2500 && ms < 10000);
    toy_wait(t, &t->closed, 1);
    assert_true(toy_last_reason_has(t, "keepalive"));
}

/* While the cap keeps us from reading its pongs, a client is not taken for dead. */
static void keepalive_while_capped(void **state)
{
    RpcLimits limits = RPC_LIMITS_DEFAULT;
    limits.keepalive_interval = 1;
    limits.keepalive_count = 1;
    use_limits(state, &limits);
    Toy *t = *state;
    AUTO_CLOSE int fd = toy_connect(t);
    client_call(fd, TOY_KEEPALIVE, 5);
    client_expect(fd, RPC_TYPE_REPLY, 5, RPC_STATUS_OK, NULL);
    for (uint32_t i = 0; i < 5; i++)
        client_call(fd, TOY_HOLD, i);
    toy_wait_held(t, 5);
    struct pollfd pfd = {fd, POLLIN, 0};
    assert_int_equal(poll(&pfd, 1, 3200), 0); /* neither ping nor end of file */
    toy_release_held(t, 5);
    for (uint32_t i = 0; i < 5; i++)
        client_expect(fd, RPC_TYPE_REPLY, i, RPC_STATUS_OK, NULL);
}

/* Reads `n` bytes and drops them. */
static void take_bytes(int fd, size_t n)
{
    char some[65536];
    while (n > 0) {
        ssize_t r = read(fd, some, MIN(n, sizeof(some)));
        assert_true(r > 0);
        n -= (size_t)r;
    }
}

/* Who is long at reading an answer, before which he cannot see a ping, is not taken for dead either.  Another client's pings tell the time. */
static void keepalive_of_a_slow_reader(void **state)
{
    RpcLimits limits = RPC_LIMITS_DEFAULT;
    limits.keepalive_interval = 1;
    limits.keepalive_count = 3;
    use_limits(state, &limits);
    Toy *t = *state;
    AUTO_CLOSE int slow = toy_connect(t), clock = toy_connect(t);
    client_call(slow, TOY_KEEPALIVE, 1);
    client_expect(slow, RPC_TYPE_REPLY, 1, RPC_STATUS_OK, NULL);
    client_call(clock, TOY_KEEPALIVE, 1);
    client_expect(clock, RPC_TYPE_REPLY, 1, RPC_STATUS_OK, NULL);
    const uint32_t much = 8u << 20;
    size_t left = RPC_HEADER_SIZE + 4 + much;
    client_call_u32(slow, TOY_BIG, 2, much);
    for (unsigned i = 0; i < 6; i++) {
        recv_keepalive(clock, 1);
        send_raw_header(clock, 0x6b656570, 1, 2, RPC_TYPE_MESSAGE, 0);
        take_bytes(slow, 1u << 20);
        left -= 1u << 20;
    }
    take_bytes(slow, left);
    client_call(slow, TOY_NULL, 3);
    Packet p = {0};
    do {
        packet_done(&p);
        assert_true(client_recv(slow, &p));
    } while (p.h.prog == 0x6b656570);
    assert_int_equal(p.h.serial, 3);
    packet_done(&p);
}

static void authentication(void **state)
{
    RpcLimits limits = RPC_LIMITS_DEFAULT;
    limits.auth_timeout_ms = 300;
    use_limits(state, &limits);
    Toy *t = *state;
    t->spec.auth = RPC_AUTH_SASL;
    AUTO_CLOSE int late = toy_connect(t);
    client_expect_eof(late);
    toy_wait(t, &t->closed, 1);
    assert_true(toy_last_reason_has(t, "not authenticated in time"));

    AUTO_CLOSE int fd = toy_connect(t);
    g_autofree uint8_t *body = g_malloc0(RPC_PACKET_MAX_PREAUTH);
    client_send_packet(fd, RPC_TYPE_CALL, TOY_NULL, 1, 0, body, RPC_PACKET_MAX_PREAUTH - RPC_HEADER_SIZE);
    client_expect(fd, RPC_TYPE_REPLY, 1, RPC_STATUS_OK, NULL);
    assert_false(rpc_conn_is_authenticated(t->conn));
    client_call(fd, TOY_AUTH, 2);
    client_expect(fd, RPC_TYPE_REPLY, 2, RPC_STATUS_OK, NULL);
    assert_true(rpc_conn_is_authenticated(t->conn));
    client_send_packet(fd, RPC_TYPE_CALL, TOY_NULL, 3, 0, body, RPC_PACKET_MAX_PREAUTH);
    client_expect(fd, RPC_TYPE_REPLY, 3, RPC_STATUS_OK, NULL);
    struct pollfd pfd = {fd, POLLIN, 0};
    assert_int_equal(poll(&pfd, 1, 500), 0); /* the deadline is off */

    AUTO_CLOSE int greedy = toy_connect(t);
    g_autoptr(GByteArray) a = g_byte_array_new();
    put_be32(a, RPC_PACKET_MAX_PREAUTH + 1);
    client_send(greedy, a->data, a->len);
    client_expect_eof(greedy);
}

typedef struct Hammer {
    Toy *t;
    int fd;
} Hammer;

static gpointer hammer(gpointer arg)
{
    Hammer *h = arg;
    for (uint32_t i = 0; i < 300; i++) {
        for (uint32_t k = 0; k < 4; k++)
            call_text(h->fd, TOY_WORKER, i * 4 + k, "spread over workers");
        unsigned seen = 0;
        for (uint32_t k = 0; k < 4; k++) {
            Packet p;
            assert_true(client_recv(h->fd, &p));
            assert_int_equal(p.h.status, RPC_STATUS_OK);
            assert_true(p.h.serial >= i * 4 && p.h.serial < i * 4 + 4);
            seen |= 1u << (p.h.serial - i * 4);
            packet_done(&p);
        }
        assert_int_equal(seen, 15);
    }
    return NULL;
}

static void concurrent_workers(void **state)
{
    Hammer h[4];
    GThread *threads[4];
    for (size_t i = 0; i < N_ELEMENTS(h); i++) {
        h[i] = (Hammer){*state, toy_connect(*state)};
        threads[i] = g_thread_new("hammer", hammer, &h[i]);
    }
    for (size_t i = 0; i < N_ELEMENTS(h); i++) {
        g_thread_join(threads[i]);
        fd_close(&h[i].fd);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(calls_are_answered), TEST(split_call), TEST(leftover_bytes_are_ignored), TEST(short_arguments),
        TEST(odd_packets), TEST(lying_lengths), TEST(error_encoding), cmocka_unit_test(error_fields),
        TEST(too_large_reply_is_an_error), TEST(in_flight_cap), TEST(inline_pipelining), TEST(slow_reader), TEST(stalled_reader),
        TEST(stalled_sender), TEST(sender_who_is_not_read), TEST(events),
        TEST(fd_passing), TEST(fd_abuse), TEST(close_after_flush), TEST(close_waits_for_answers), TEST(client_gone_while_held), TEST(keepalive), TEST(keepalive_while_capped),
        TEST(keepalive_of_a_slow_reader),
        TEST(authentication), TEST(concurrent_workers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
