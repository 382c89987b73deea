/* tests/rpc/test_tls_hostile.c - the TLS transport and clients that send what is none, too slowly, or are gone: nobody else notices
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
#include <sys/socket.h>

#include "tests/rpc/tls_world.h"
#include "util/fd.h"

static void bytes_that_are_no_tls(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
    } cases[] = {
        {"\0\0\0\x1c\x20\0\x80\x86\0\0\0\1\0\0\0\x42\0\0\0\0\0\0\0\0\0\0\0\0", 28}, /* AUTH_LIST */
        {"\0", 1},
        {"GET / HTTP/1.0\r\n\r\n", 18},
        {"\x16\x03\x01\xff\xff", 5},         /* longer than a record can be */
        {"\x16\x02\x01\0\x10", 5},           /* another version */
        {"\x17\x03\x03\0\x05hello", 10},     /* data before the handshake */
        {"\x16\x03\x01\0\x05hello", 10},     /* a handshake message of no kind */
        {"\x16\x03\x01\0\x04\x01\0\0\0", 9}, /* an empty ClientHello */
        {"\x15\x03\x01\0\x02\x02\x28", 7},   /* a fatal alert */
        {"\x14\x03\x01\0\x01\x01", 6},       /* ChangeCipherSpec */
        {"\x80\x2e\x01\x03\x01\0\x15\0\0\0\x10", 11}, /* SSLv2's hello */
    };
    Peer bystander;
    world_load();
    world.limits.handshake_timeout_ms = 500; /* what may still become a handshake waits so long */
    world_apply_limits();
    peer_open(&bystander, "alice", NULL);
    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        char buf[256];
        AUTO_CLOSE int fd = toy_connect(&world.toy);
        client_send(fd, cases[i].bytes, cases[i].len);
        while (recv(fd, buf, sizeof(buf), 0) > 0)
            ; /* an alert, perhaps */
        toy_wait(&world.toy, &world.toy.closed, (unsigned)i + 1);
        peer_null_call(&bystander, (uint32_t)i);
    }
    peer_done(&bystander);
}

static void garbage_after_the_handshake(void **state)
{
    static const char *const garbage[] = {"GET / HTTP/1.0\r\n\r\n", "\x17\x03\x03\x01\x01 a record that was not encrypted with our key at all"};
    world_load();
    for (size_t i = 0; i < N_ELEMENTS(garbage); i++) {
        Peer p;
        char pad[300] = {0};
        peer_open(&p, "alice", NULL);
        memcpy(pad, garbage[i], strlen(garbage[i]));
        client_send(p.fd, pad, sizeof(pad));
        peer_expect_end(&p);
        toy_wait(&world.toy, &world.toy.closed, (unsigned)i + 1);
        assert_true(toy_last_reason_has(&world.toy, "TLS: "));
        peer_done(&p);
    }
}

/* A frame that is none, inside good TLS. */
static void garbage_inside(void **state)
{
    Peer p;
    world_load();
    peer_open(&p, "alice", NULL);
    peer_send(&p, "\0\0\0\1garbage", 11);
    peer_expect_end(&p);
    toy_wait(&world.toy, &world.toy.closed, 1);
    assert_true(toy_last_reason_has(&world.toy, "protocol error"));
    peer_done(&p);
}

static GByteArray *caught;

static ssize_t catch_push(gnutls_transport_ptr_t ptr, const void *data, size_t len)
{
    g_byte_array_append(caught, data, (guint)len);
    return (ssize_t)len;
}

static GByteArray *client_hello(void)
{
    Peer p;
    caught = g_byte_array_new();
    peer_init(&p, "alice", NULL);
    gnutls_transport_set_push_function(p.s, catch_push);
    gnutls_transport_set_pull_timeout_function(p.s, gnutls_system_recv_timeout);
    gnutls_handshake_set_timeout(p.s, 1);
    gnutls_handshake(p.s); /* nobody answers */
    peer_done(&p);
    return caught;
}

/* To one that may have hung up by now: its deadline passes while we send. */
static void dribble(int fd, const void *data, size_t len)
{
    if (send(fd, data, len, MSG_NOSIGNAL) < 0)
        assert_true(errno == EPIPE || errno == ECONNRESET);
}

/* Nothing at all, or a byte now and then: closed when the time is up, and nobody else waits. */
static void dawdlers(void **state)
{
    Peer bystander;
    world_load();
    g_autoptr(GByteArray) hello = client_hello();
    assert_true(hello->len > 100);
    peer_open(&bystander, "alice", NULL);
    world.limits.handshake_timeout_ms = 200;
    world_apply_limits();
    toy_wait(&world.toy, &world.toy.closed, 1); /* that of client_hello */
    AUTO_CLOSE int silent = toy_connect(&world.toy), slow = toy_connect(&world.toy), half = toy_connect(&world.toy);
    for (guint i = 0; i < 100; i++) {
        dribble(slow, hello->data + i, 1);
        peer_null_call(&bystander, i);
    }
    dribble(half, hello->data, hello->len); /* and then nothing: the server's answer waits for ours */
    toy_wait(&world.toy, &world.toy.closed, 4);
    assert_true(toy_last_reason_has(&world.toy, "no handshake in time"));
    client_expect_eof(silent);
    client_expect_eof(slow);
    peer_null_call(&bystander, 1000);
    peer_done(&bystander);
}

static int listening;
static uint16_t port;

static void listen_on_loopback(Toy *t)
{
    struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(sin);
    listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listening, (struct sockaddr *)&sin, sizeof(sin)), 0);
    assert_int_equal(listen(listening, 100), 0);
    assert_int_equal(getsockname(listening, (struct sockaddr *)&sin, &len), 0);
    port = sin.sin_port;
    assert_int_equal(rpc_server_listen(t->server, listening, &t->spec, NULL), 0);
}

static int tcp_client(void)
{
    struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = port, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct timeval tv = {.tv_sec = 20};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
    assert_int_equal(connect(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
    return fd;
}

/* Those who have come and say nothing take all places; who goes on with his handshake gets in. */
static void the_silent_make_room(void **state)
{
    enum { SILENT = 7, PLACES = 2 };
    int silent[SILENT];
    world_load();
    world.limits.max_anonymous_clients = PLACES;
    world.limits.handshake_timeout_ms = 600000;
    world_apply_limits();
    toy_on_loop(&world.toy, listen_on_loopback);
    for (int i = 0; i < SILENT; i++)
        silent[i] = tcp_client();
    Peer p;
    peer_init_on(&p, tcp_client(), "alice", NULL);
    assert_int_equal(peer_shake(&p), 0);
    peer_confirmed(&p);
    peer_null_call(&p, 1);
    toy_wait(&world.toy, &world.toy.closed, SILENT + 1 - PLACES);
    assert_true(toy_last_reason_has(&world.toy, "made room for another client"));
    peer_null_call(&p, 2);
    client_expect_eof(silent[0]);
    for (int i = 0; i < SILENT; i++)
        fd_close(&silent[i]);
    peer_done(&p);
}

static ssize_t byte_push(gnutls_transport_ptr_t ptr, const void *data, size_t len)
{
    const Peer *p = ptr;
    return send(p->fd, data, MIN(len, (size_t)1), MSG_NOSIGNAL);
}

static ssize_t some_pull(gnutls_transport_ptr_t ptr, void *data, size_t len)
{
    const Peer *p = ptr;
    return recv(p->fd, data, len, 0);
}

/* A handshake and a call in packets of one byte. */
static void every_byte_alone(void **state)
{
    world_load();
    for (int i = 0; i < 2; i++) {
        Peer p;
        peer_init(&p, "alice", i ? TLS12 : TLS13);
        gnutls_transport_set_ptr(p.s, &p);
        gnutls_transport_set_push_function(p.s, byte_push);
        gnutls_transport_set_pull_function(p.s, some_pull);
        assert_int_equal(peer_shake(&p), 0);
        peer_confirmed(&p);
        peer_null_call(&p, 1);
        peer_done(&p);
    }
}

/* Gone after each part of a handshake, and in the midst of one of our steps. */
static void gone_in_the_handshake(void **state)
{
    world_load();
    g_autoptr(GByteArray) hello = client_hello();
    unsigned closed = 1; /* that of client_hello */
    toy_wait(&world.toy, &world.toy.closed, closed);
    for (guint at = 0; at <= hello->len; at += at < 12 ? 1 : 37) {
        AUTO_CLOSE int fd = toy_connect(&world.toy);
        client_send(fd, hello->data, at);
        fd_close(&fd);
        toy_wait(&world.toy, &world.toy.closed, ++closed);
    }
    for (int i = 0; i < 20; i++) { /* whole, and gone at once: the step finds nobody */
        AUTO_CLOSE int fd = toy_connect(&world.toy);
        client_send(fd, hello->data, hello->len);
        fd_close(&fd);
        toy_wait(&world.toy, &world.toy.closed, ++closed);
    }
    AUTO_CLOSE int last = toy_connect(&world.toy); /* and the server is stopped beneath this one's */
    client_send(last, hello->data, hello->len);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    const struct CMUnitTest tests[] = {
        TLS_TEST(bytes_that_are_no_tls),
        TLS_TEST(garbage_after_the_handshake),
        TLS_TEST(garbage_inside),
        TLS_TEST(dawdlers),
        TLS_TEST(the_silent_make_room),
        TLS_TEST(every_byte_alone),
        TLS_TEST(gone_in_the_handshake),
    };
    return cmocka_run_group_tests(tests, world_begin, world_end);
}
