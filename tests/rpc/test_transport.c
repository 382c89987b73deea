/* tests/rpc/test_transport.c - what TLS and SASL will plug into, with a toy cipher; TCP
 */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rpc/internal.h"
#include "tests/rpc/toy.h"
#include "util/fd.h"

static Toy toy;

#define KEY 0x5a
#define HOLD_BACK 7 /* bytes kept inside per read, to be told by pending() */

/* Every byte is XORed; reading keeps some bytes back; a handshake waits for one byte, by a watch of its own on the socket. */
typedef struct Cipher {
    RpcTransport t;
    RpcTransport *inner;
    RpcConn *conn;
    EventIo *io;
    int watched; /* a descriptor of the socket for `io` */
    bool over;
    int result;  /* of the handshake that is over */
    uint8_t kept[HOLD_BACK];
    size_t n_kept;
} Cipher;

static ssize_t cipher_read(RpcTransport *t, void *buf, size_t len, int *fds, unsigned *n_fds)
{
    Cipher *c = (Cipher *)t;
    uint8_t *p = buf;
    if (c->n_kept > 0) {
        size_t n = c->n_kept;
        memcpy(buf, c->kept, n);
        c->n_kept = 0;
        *n_fds = 0;
        return (ssize_t)n;
    }
    ssize_t n = c->inner->ops->read(c->inner, buf, len, fds, n_fds);
    for (ssize_t i = 0; i < n; i++)
        p[i] ^= KEY;
    if (n > HOLD_BACK) {
        n -= HOLD_BACK;
        memcpy(c->kept, p + n, HOLD_BACK);
        c->n_kept = HOLD_BACK;
    }
    return n;
}

static ssize_t cipher_writev(RpcTransport *t, const struct iovec *iov, int n_iov)
{
    Cipher *c = (Cipher *)t;
    g_autoptr(GByteArray) a = g_byte_array_new();
    for (int i = 0; i < n_iov; i++)
        g_byte_array_append(a, iov[i].iov_base, (guint)iov[i].iov_len);
    for (guint i = 0; i < a->len; i++)
        a->data[i] ^= KEY;
    struct iovec one = {a->data, a->len};
    return c->inner->ops->writev(c->inner, &one, 1); /* what was not taken is given again */
}

static bool cipher_pending(RpcTransport *t)
{
    return ((Cipher *)t)->n_kept > 0;
}

static void cipher_unwatch(Cipher *c)
{
    c->io = event_io_free(c->io);
    fd_close(&c->watched);
}

static void on_greeting(void *userdata, uint32_t revents)
{
    Cipher *c = userdata;
    char byte = 0;
    unsigned n_fds = 0;
    ssize_t n = c->inner->ops->read(c->inner, &byte, 1, NULL, &n_fds);
    c->result = n < 0 ? (int)n : byte == 'H' ? 0 : -EPROTO;
    c->over = true;
    cipher_unwatch(c);
    conn_handshake(c->conn);
}

static int cipher_handshake(RpcTransport *t, const char **why)
{
    Cipher *c = (Cipher *)t;
    if (!c->over && !c->io) {
        c->watched = dup(c->t.fd);
        c->io = event_io_new(toy.loop, c->watched, EPOLLIN, on_greeting, c);
        assert_non_null(c->io);
    }
    *why = "no toy greeting";
    return c->over ? c->result : -EAGAIN;
}

static void cipher_adopt(RpcTransport *t, RpcTransport *inner)
{
    ((Cipher *)t)->inner = inner;
}

static void cipher_free(RpcTransport *t)
{
    cipher_unwatch((Cipher *)t);
    rpc_transport_free(((Cipher *)t)->inner);
    g_free(t);
}

static const RpcTransportOps switched_ops = {
    .name = "toy cipher", .read = cipher_read, .writev = cipher_writev, .pending = cipher_pending,
    .adopt = cipher_adopt, .free = cipher_free,
};

static const RpcTransportOps shaking_ops = {
    .name = "toy cipher", .read = cipher_read, .writev = cipher_writev, .pending = cipher_pending,
    .handshake = cipher_handshake, .free = cipher_free,
};

static RpcTransport *next_transport(void)
{
    Cipher *c = g_new0(Cipher, 1);
    c->t.ops = &switched_ops;
    c->watched = -1;
    return &c->t;
}

static RpcTransport *make_transport(void *ud, RpcConn *conn, int fd, Err *err)
{
    Cipher *c = g_new0(Cipher, 1);
    c->t.ops = &shaking_ops;
    c->t.fd = fd;
    c->conn = conn;
    c->watched = -1;
    c->inner = rpc_transport_plain(fd, false);
    return &c->t;
}

/* Gives out whole records only; of one whose end has not come yet nothing. */
#define RECORD 32 /* bytes: a call with one number */

typedef struct Records {
    RpcTransport t;
    RpcTransport *inner;
    uint8_t part[RECORD];
    size_t n_part;
} Records;

static ssize_t records_read(RpcTransport *t, void *buf, size_t len, int *fds, unsigned *n_fds)
{
    Records *r = (Records *)t;
    ssize_t n = r->inner->ops->read(r->inner, r->part + r->n_part, RECORD - r->n_part, fds, n_fds);
    if (n <= 0)
        return n;
    r->n_part += (size_t)n;
    if (r->n_part < RECORD)
        return -EAGAIN;
    memcpy(buf, r->part, RECORD);
    r->n_part = 0;
    return RECORD;
}

static ssize_t records_writev(RpcTransport *t, const struct iovec *iov, int n_iov)
{
    Records *r = (Records *)t;
    return r->inner->ops->writev(r->inner, iov, n_iov);
}

static void records_adopt(RpcTransport *t, RpcTransport *inner)
{
    ((Records *)t)->inner = inner;
}

static void records_free(RpcTransport *t)
{
    rpc_transport_free(((Records *)t)->inner);
    g_free(t);
}

static const RpcTransportOps records_ops = {
    .name = "toy records", .read = records_read, .writev = records_writev, .adopt = records_adopt, .free = records_free,
};

static RpcTransport *next_records(void)
{
    Records *r = g_new0(Records, 1);
    r->t.ops = &records_ops;
    return &r->t;
}

/* ---- the client's half ---- */

static void send_xored(int fd, int32_t proc, uint32_t serial, const void *body, size_t len)
{
    g_autoptr(GByteArray) a = packet_make(RPC_TYPE_CALL, proc, serial, 0, body, len);
    for (guint i = 0; i < a->len; i++)
        a->data[i] ^= KEY;
    client_send(fd, a->data, a->len);
}

static void expect_xored_reply(int fd, uint32_t serial)
{
    uint8_t head[RPC_HEADER_SIZE];
    RpcHeader h;
    assert_int_equal(recv(fd, head, sizeof(head), MSG_WAITALL), sizeof(head));
    for (size_t i = 0; i < sizeof(head); i++)
        head[i] ^= KEY;
    size_t len = rpc_header_decode(head, &h);
    assert_int_equal(h.type, RPC_TYPE_REPLY);
    assert_int_equal(h.serial, serial);
    g_autofree uint8_t *body = g_malloc(len);
    if (len > sizeof(head))
        assert_int_equal(recv(fd, body, len - sizeof(head), MSG_WAITALL), len - sizeof(head));
}

static int setup(void **state)
{
    RpcLimits limits = RPC_LIMITS_DEFAULT;
    limits.handshake_timeout_ms = limits.auth_timeout_ms = 500;
    toy_start(&toy, &limits);
    toy.next_transport = next_transport;
    return 0;
}

static int teardown(void **state)
{
    toy_stop(&toy);
    return 0;
}

static void some_calls(int fd)
{
    static const uint8_t text[] = {0, 0, 0, 4, 't', 'e', 'x', 't'};
    for (uint32_t i = 0; i < 20; i++) {
        send_xored(fd, TOY_WORKER, i, text, sizeof(text));
        expect_xored_reply(fd, i);
    }
    for (uint32_t i = 0; i < 30; i++)
        send_xored(fd, TOY_NULL, i, NULL, 0);
    for (uint32_t i = 0; i < 30; i++)
        expect_xored_reply(fd, i);
}

static void handshake_first(void **state)
{
    toy.spec.make_transport = make_transport;
    AUTO_CLOSE int fd = toy_connect(&toy);
    toy_wait(&toy, &toy.opened, 1);
    assert_int_equal(rpc_conn_state(toy.conn), RPC_CONN_HANDSHAKE);
    client_send(fd, "H", 1);
    some_calls(fd);
    assert_int_equal(rpc_conn_state(toy.conn), RPC_CONN_OPEN);
}

static void handshake_fails(void **state)
{
    toy.spec.make_transport = make_transport;
    AUTO_CLOSE int fd = toy_connect(&toy);
    client_send(fd, "X", 1);
    client_expect_eof(fd);
    toy_wait(&toy, &toy.closed, 1);
    assert_true(toy_last_reason_has(&toy, "no toy greeting"));
}

static void handshake_too_slow(void **state)
{
    toy.spec.make_transport = make_transport;
    AUTO_CLOSE int fd = toy_connect(&toy);
    client_expect_eof(fd);
    toy_wait(&toy, &toy.closed, 1);
    assert_true(toy_last_reason_has(&toy, "in time"));
}

static void switched_after_the_reply(void **state)
{
    AUTO_CLOSE int fd = toy_connect(&toy);
    client_expect_silence(fd);
    client_call(fd, TOY_SWITCH, 5);
    client_expect(fd, RPC_TYPE_REPLY, 5, RPC_STATUS_OK, NULL); /* still plain */
    some_calls(fd);
}

static void gone_before_the_switch(void **state)
{
    for (unsigned i = 1; i <= 20; i++) {
        AUTO_CLOSE int fd = toy_connect(&toy);
        client_call(fd, TOY_SWITCH, 5);
        fd_close(&fd);
        toy_wait(&toy, &toy.closed, i);
    }
}

static void nothing(Toy *t)
{
}

static void event_when_let(void *gate)
{
    char byte;
    g_autoptr(GBytes) payload = g_bytes_new_static("news", 4);
    assert_int_equal(read(GPOINTER_TO_INT(gate), &byte, 1), 1);
    rpc_event_send(toy.conn, TOY_PROG, 1, 100, NULL, payload);
}

/* A call has begun to come while answers wait for the client, and it is an event that finds the socket free again: what is read then is no
 * whole record, and the rest of it must be read as well. */
static void record_in_two_parts(void **state)
{
    enum { SIZE = 400000, BEGINNING = 10 };
    toy.next_transport = next_records;
    AUTO_CLOSE int fd = toy_connect(&toy);
    int gate[2];
    client_call(fd, TOY_SWITCH, 1);
    client_expect(fd, RPC_TYPE_REPLY, 1, RPC_STATUS_OK, NULL);
    assert_int_equal(pipe(gate), 0);
    client_call_u32(fd, TOY_BIG, 2, SIZE);
    toy_wait(&toy, &toy.calls, 2);
    g_autoptr(GByteArray) call = packet_make(RPC_TYPE_CALL, TOY_BIG, 3, 0, (const uint8_t[]){0, 0, 0, 8}, 4);
    assert_int_equal(call->len, RECORD);
    client_send(fd, call->data, BEGINNING);
    for (unsigned i = 0; i < 3; i++)
        toy_on_loop(&toy, nothing);
    event_post(toy.loop, event_when_let, GINT_TO_POINTER(gate[0]));
    g_autofree uint8_t *some = g_malloc(SIZE);
    size_t had = 0;
    for (ssize_t n; (n = recv(fd, some, SIZE - had, MSG_DONTWAIT)) > 0; had += (size_t)n)
        ;
    assert_in_range(had, 65536, SIZE); /* the rest fits into the socket */
    assert_int_equal(write(gate[1], "x", 1), 1);
    for (size_t left = RPC_HEADER_SIZE + 4 + SIZE - had; left > 0;) {
        ssize_t n = recv(fd, some, left, 0);
        assert_in_range(n, 1, left);
        left -= (size_t)n;
    }
    client_expect(fd, RPC_TYPE_MESSAGE, 1, RPC_STATUS_OK, NULL);
    for (unsigned i = 0; i < 3; i++)
        toy_on_loop(&toy, nothing);
    client_send(fd, call->data + BEGINNING, RECORD - BEGINNING);
    client_expect(fd, RPC_TYPE_REPLY, 3, RPC_STATUS_OK, NULL);
    close(gate[0]);
    close(gate[1]);
}

static void over_tcp(void **state)
{
    AUTO_CLOSE int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    AUTO_CLOSE int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(sin);
    assert_int_equal(bind(listener, (struct sockaddr *)&sin, sizeof(sin)), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&sin, &len), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
    toy.spec.kind = RPC_KIND_TCP;
    toy_adopt(&toy, accept4(listener, NULL, NULL, SOCK_CLOEXEC));
    client_expect_silence(fd);
    const RpcPeer *peer = rpc_conn_peer(toy.conn);
    assert_false(peer->has_creds);
    assert_true(g_str_has_prefix(peer->address, "127.0.0.1;"));
    assert_non_null(strstr(rpc_conn_name(toy.conn), "127.0.0.1"));
    static const uint8_t one[] = {0, 0, 0, 1};
    client_send_packet(fd, RPC_TYPE_CALL_FDS, TOY_FDS, 1, 0, one, 4); /* no descriptors here */
    client_expect_eof(fd);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(handshake_first),        TEST(handshake_fails),          TEST(handshake_too_slow),
        TEST(switched_after_the_reply), TEST(gone_before_the_switch), TEST(record_in_two_parts), TEST(over_tcp),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
