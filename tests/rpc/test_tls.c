/* tests/rpc/test_tls.c - the TLS transport against a client of gnutls, well-behaved and not
 */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <glib/gstdio.h>
#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "rpc/tls.h"
#include "tests/rpc/certs.h"
#include "tests/rpc/toy.h"
#include "util/fd.h"

#define TLS12 "NORMAL:-VERS-ALL:+VERS-TLS1.2"
#define TLS13 "NORMAL:-VERS-ALL:+VERS-TLS1.3"

static char *dir;
static Toy toy;
static RpcTls *tls;
static RpcTlsConfig config;
static RpcLimits limits;

/* ---- the world -------------------------------------------------------------------------------------------------------------- */

static int make_certs(void **state)
{
    static const CertWanted all[] = {
        {.name = "ca", .cn = "the authority", .ca = true},
        {.name = "other-ca", .cn = "another authority", .ca = true},
        {.name = "server", .signer = "ca", .purpose = GNUTLS_KP_TLS_WWW_SERVER},
        {.name = "server2", .signer = "ca"},
        {.name = "alice", .signer = "ca", .purpose = GNUTLS_KP_TLS_WWW_CLIENT},
        {.name = "bob", .signer = "ca"},
        {.name = "stranger", .signer = "other-ca"},
        {.name = "expired", .signer = "ca", .from_days = -3, .to_days = -1},
        {.name = "early", .signer = "ca", .from_days = 1, .to_days = 3},
        {.name = "no-client", .signer = "ca", .purpose = GNUTLS_KP_TLS_WWW_SERVER},
        {.name = "signed-by-alice", .signer = "alice"},
    };
    dir = g_dir_make_tmp("berth-tls-XXXXXX", NULL);
    for (size_t i = 0; i < N_ELEMENTS(all); i++)
        certs_make(dir, &all[i]);
    certs_revoke(dir, "none.crl", "ca", (const char *[]){NULL}, 30);
    certs_revoke(dir, "bob.crl", "ca", (const char *[]){"bob", NULL}, 30);
    return 0;
}

static int remove_certs(void **state)
{
    GDir *d = g_dir_open(dir, 0, NULL);
    for (const char *name = NULL; (name = g_dir_read_name(d));) {
        g_autofree char *path = g_build_filename(dir, name, NULL);
        g_unlink(path);
    }
    g_dir_close(d);
    g_rmdir(dir);
    g_free(dir);
    return 0;
}

/* Paths live as long as the test: they are interned. */
static const char *file(const char *name, const char *suffix)
{
    g_autofree char *path = certs_path(dir, name, suffix);
    return g_intern_string(path);
}

static int setup(void **state)
{
    limits = RPC_LIMITS_DEFAULT;
    toy_start(&toy, &limits);
    tls = rpc_tls_new(toy.loop);
    config = (RpcTlsConfig){.ca_file = file("ca", ".pem"), .cert_file = file("server", ".pem"), .key_file = file("server", ".key")};
    toy.spec = (RpcListenerSpec){.name = "tls", .kind = RPC_KIND_TLS, .make_transport = rpc_tls_transport, .ud = tls};
    return 0;
}

static void stop_server(Toy *t)
{
    rpc_server_stop(t->server, "the test ends");
}

static void free_tls(Toy *t)
{
    rpc_tls_free(tls);
}

static int teardown(void **state)
{
    toy_on_loop(&toy, stop_server);
    toy_on_loop(&toy, free_tls); /* handshakes that were under way tell the loop when they are over */
    toy_stop(&toy);
    return 0;
}

static void set_limits(Toy *t)
{
    rpc_server_set_limits(t->server, &limits);
}

static void load(void)
{
    g_auto(Err) err = ERR_INIT;
    if (rpc_tls_load(tls, &config, &err) < 0)
        fail_msg("%s", err.detail);
}

/* ---- a client --------------------------------------------------------------------------------------------------------------- */

typedef struct Peer {
    int fd;
    gnutls_session_t s;
    gnutls_certificate_credentials_t cred;
    gnutls_pcert_st shown;
    gnutls_privkey_t shown_key;
} Peer;

static void peer_init_on(Peer *p, int fd, const char *name, const char *priority)
{
    *p = (Peer){.fd = fd};
    assert_int_equal(gnutls_init(&p->s, GNUTLS_CLIENT | GNUTLS_NO_SIGNAL), 0);
    assert_int_equal(gnutls_priority_set_direct(p->s, priority ? priority : "NORMAL", NULL), 0);
    assert_int_equal(gnutls_certificate_allocate_credentials(&p->cred), 0);
    if (name)
        assert_int_equal(gnutls_certificate_set_x509_key_file(p->cred, file(name, ".pem"), file(name, ".key"), GNUTLS_X509_FMT_PEM), 0);
    assert_int_equal(gnutls_credentials_set(p->s, GNUTLS_CRD_CERTIFICATE, p->cred), 0);
    gnutls_transport_set_int(p->s, p->fd);
}

static void peer_init(Peer *p, const char *name, const char *priority)
{
    peer_init_on(p, toy_connect(&toy), name, priority);
}

/* A client that shows its certificate whatever authorities the server asks for. */
static int shown(gnutls_session_t s, const gnutls_datum_t *dn, int n, const gnutls_pk_algorithm_t *algos, int n_algos,
                 gnutls_pcert_st **certs, unsigned *n_certs, gnutls_privkey_t *key)
{
    Peer *p = gnutls_session_get_ptr(s);
    *certs = &p->shown;
    *n_certs = 1;
    *key = p->shown_key;
    return 0;
}

static void peer_show(Peer *p, const char *name)
{
    gnutls_datum_t data;
    assert_int_equal(gnutls_load_file(file(name, ".pem"), &data), 0);
    assert_int_equal(gnutls_pcert_import_x509_raw(&p->shown, &data, GNUTLS_X509_FMT_PEM, 0), 0);
    gnutls_free(data.data);
    assert_int_equal(gnutls_load_file(file(name, ".key"), &data), 0);
    assert_int_equal(gnutls_privkey_init(&p->shown_key), 0);
    assert_int_equal(gnutls_privkey_import_x509_raw(p->shown_key, &data, GNUTLS_X509_FMT_PEM, NULL, 0), 0);
    gnutls_free(data.data);
    gnutls_session_set_ptr(p->s, p);
    gnutls_certificate_set_retrieve_function2(p->cred, shown);
}

static void peer_done(Peer *p)
{
    gnutls_deinit(p->s);
    gnutls_certificate_free_credentials(p->cred);
    if (p->shown_key) {
        gnutls_privkey_deinit(p->shown_key);
        gnutls_pcert_deinit(&p->shown);
    }
    fd_close(&p->fd);
}

static int shake(Peer *p)
{
    int r;
    do {
        r = gnutls_handshake(p->s);
    } while (r < 0 && r != GNUTLS_E_AGAIN && !gnutls_error_is_fatal(r));
    return r;
}

static void exactly(Peer *p, void *buf, size_t len)
{
    unsigned again = 0; /* after messages of TLS itself, or when the socket's timeout has passed */
    for (size_t got = 0; got < len;) {
        ssize_t n = gnutls_record_recv(p->s, (uint8_t *)buf + got, len - got);
        if (n == GNUTLS_E_INTERRUPTED || (n == GNUTLS_E_AGAIN && again++ < 2))
            continue;
        if (n <= 0)
            fail_msg("read: %s", n == 0 ? "end" : gnutls_strerror((int)n));
        got += (size_t)n;
    }
}

static void confirmed(Peer *p)
{
    char byte = 0;
    exactly(p, &byte, 1);
    assert_int_equal(byte, 1);
}

static void peer_open(Peer *p, const char *name, const char *priority)
{
    peer_init(p, name, priority);
    assert_int_equal(shake(p), 0);
    confirmed(p);
}

static void send_all(Peer *p, const void *data, size_t len)
{
    for (size_t sent = 0; sent < len;) {
        ssize_t n = gnutls_record_send(p->s, (const uint8_t *)data + sent, len - sent);
        assert_true(n > 0);
        sent += (size_t)n;
    }
}

static void send_call(Peer *p, int32_t proc, uint32_t serial, const void *body, size_t len)
{
    g_autoptr(GByteArray) a = packet_make(RPC_TYPE_CALL, proc, serial, 0, body, len);
    send_all(p, a->data, a->len);
}

static size_t expect_reply(Peer *p, uint32_t serial, uint8_t **ret)
{
    uint8_t head[RPC_HEADER_SIZE];
    RpcHeader h;
    exactly(p, head, sizeof(head));
    size_t len = rpc_header_decode(head, &h) - sizeof(head);
    assert_int_equal(h.type, RPC_TYPE_REPLY);
    assert_int_equal(h.serial, serial);
    g_autofree uint8_t *body = g_malloc(len + 1);
    exactly(p, body, len);
    if (ret)
        *ret = g_steal_pointer(&body);
    return len;
}

static void null_call(Peer *p, uint32_t serial)
{
    send_call(p, TOY_NULL, serial, NULL, 0);
    expect_reply(p, serial, NULL);
}

/* The connection ends, however; the alert that said so, or -1. */
static int expect_end(Peer *p)
{
    char buf[256];
    for (;;) {
        ssize_t n = gnutls_record_recv(p->s, buf, sizeof(buf));
        if (n == GNUTLS_E_FATAL_ALERT_RECEIVED)
            return (int)gnutls_alert_get(p->s);
        if (n == GNUTLS_E_AGAIN)
            fail_msg("the connection does not end");
        if (n == 0 || (n < 0 && gnutls_error_is_fatal((int)n)))
            return -1;
    }
}

/* ---- good clients ----------------------------------------------------------------------------------------------------------- */

static void calls(void **state)
{
    static const char *const versions[] = {TLS12, TLS13, "NORMAL:-VERS-ALL:+VERS-TLS1.2:-KX-ALL:+ECDHE-ECDSA:-CIPHER-ALL:+AES-128-CBC"};
    static const uint8_t text[] = {0, 0, 0, 4, 't', 'e', 'x', 't'};
    load();
    for (size_t v = 0; v < N_ELEMENTS(versions); v++) {
        Peer p;
        peer_open(&p, "alice", versions[v]);
        for (uint32_t i = 0; i < 20; i++) {
            send_call(&p, i & 1 ? TOY_WORKER : TOY_ECHO, i, text, sizeof(text));
            g_autofree uint8_t *body = NULL;
            assert_int_equal(expect_reply(&p, i, &body), sizeof(text));
            assert_memory_equal(body, text, sizeof(text));
        }
        for (uint32_t i = 0; i < 50; i++) /* many at once */
            send_call(&p, TOY_NULL, i, NULL, 0);
        for (uint32_t i = 0; i < 50; i++)
            expect_reply(&p, i, NULL);
        assert_string_equal(rpc_conn_peer(toy.conn)->x509_dname, "CN=alice");
        assert_true(rpc_conn_is_authenticated(toy.conn));
        gnutls_bye(p.s, GNUTLS_SHUT_WR);
        assert_int_equal(expect_end(&p), -1);
        peer_done(&p);
        toy_wait(&toy, &toy.closed, (unsigned)v + 1);
        assert_true(toy_last_reason_has(&toy, "end of file"));
    }
}

static void old_versions_are_not_spoken(void **state)
{
    Peer p;
    load();
    peer_init(&p, "alice", "NORMAL:-VERS-ALL:+VERS-TLS1.1:%VERIFY_ALLOW_BROKEN:+SHA1");
    assert_true(shake(&p) < 0);
    peer_done(&p);
    toy_wait(&toy, &toy.closed, 1);
    assert_true(toy_last_reason_has(&toy, "TLS handshake failed"));
}

static void big_answers_and_big_calls(void **state)
{
    enum { BIG = 6 * 1024 * 1024, LONG = 300 * 1024 };
    Peer p;
    load();
    toy.stream_sndbuf = 0;
    peer_open(&p, "alice", NULL);
    uint32_t n = GUINT32_TO_BE(BIG);
    for (uint32_t i = 0; i < 3; i++)
        send_call(&p, TOY_BIG, i, &n, sizeof(n));
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(expect_reply(&p, i, NULL), 4 + BIG);
    g_autofree uint8_t *text = g_malloc(4 + LONG);
    uint32_t be = GUINT32_TO_BE(LONG);
    memcpy(text, &be, 4);
    for (size_t i = 0; i < LONG; i++)
        text[4 + i] = (uint8_t)('a' + i % 26);
    send_call(&p, TOY_ECHO, 7, text, 4 + LONG);
    g_autofree uint8_t *body = NULL;
    assert_int_equal(expect_reply(&p, 7, &body), 4 + LONG);
    assert_memory_equal(body, text, 4 + LONG);
    peer_done(&p);
}

static void frames_split_at_every_byte(void **state)
{
    static const uint8_t text[] = {0, 0, 0, 4, 't', 'e', 'x', 't'};
    Peer p;
    load();
    peer_open(&p, "alice", NULL);
    g_autoptr(GByteArray) a = packet_make(RPC_TYPE_CALL, TOY_ECHO, 5, 0, text, sizeof(text));
    for (guint at = 1; at < a->len; at++) { /* two records */
        send_all(&p, a->data, at);
        send_all(&p, a->data + at, a->len - at);
        expect_reply(&p, 5, NULL);
    }
    for (guint at = 0; at < a->len; at++) /* a record a byte */
        send_all(&p, a->data + at, 1);
    expect_reply(&p, 5, NULL);
    peer_done(&p);
}

/* What was answered before a close arrives, and then the end is no accident. */
static void close_after_flush(void **state)
{
    enum { BIG = 2 * 1024 * 1024 };
    Peer p;
    load();
    peer_open(&p, "alice", NULL);
    uint32_t n = GUINT32_TO_BE(BIG);
    send_call(&p, TOY_BIG, 1, &n, sizeof(n));
    send_call(&p, TOY_CLOSE, 2, NULL, 0);
    assert_int_equal(expect_reply(&p, 1, NULL), 4 + BIG);
    expect_reply(&p, 2, NULL);
    char byte;
    assert_int_equal(gnutls_record_recv(p.s, &byte, 1), 0); /* close_notify; an end without would be an error */
    peer_done(&p);
}

static void strength(void **state)
{
    Peer p;
    load();
    peer_open(&p, "alice", "NORMAL:-CIPHER-ALL:+AES-128-GCM:-VERS-ALL:+VERS-TLS1.3");
    null_call(&p, 1);
    assert_int_equal(rpc_transport_tls_bits(rpc_conn_transport(toy.conn)), 128);
    g_autofree char *how = rpc_transport_tls_describe(rpc_conn_transport(toy.conn));
    assert_string_equal(how, "TLS1.3 AES-128-GCM");
    peer_done(&p);
}

/* ---- who is not let in ------------------------------------------------------------------------------------------------------ */

static void strangers(void **state)
{
    static const struct {
        const char *name;
        int alert;
        const char *reason;
    } cases[] = {
        {NULL, GNUTLS_A_CERTIFICATE_REQUIRED, "sent no certificate"},
        {"stranger", GNUTLS_A_UNKNOWN_CA, "not signed by our authority"},
        {"signed-by-alice", GNUTLS_A_UNKNOWN_CA, "not signed by our authority"},
        {"expired", GNUTLS_A_CERTIFICATE_EXPIRED, "has expired"},
        {"early", GNUTLS_A_CERTIFICATE_EXPIRED, "not valid yet"},
        {"no-client", GNUTLS_A_UNSUPPORTED_CERTIFICATE, "not for TLS clients"},
        {"bob", GNUTLS_A_CERTIFICATE_REVOKED, "was revoked"},
        {"server2", GNUTLS_A_ACCESS_DENIED, "\"CN=server2\" is not in tls_allowed_dn_list"},
    };
    static const char *const allowed[] = {"CN=nobody", "CN=ali?e", NULL};
    static const char *const versions[] = {TLS12, TLS13};
    unsigned closed = 0;
    Peer p;
    config.crl_file = file("bob", ".crl");
    config.allowed_dns = allowed;
    load();
    for (size_t i = 0; i < 2 * N_ELEMENTS(cases); i++) {
        peer_init(&p, NULL, versions[i % 2]);
        if (cases[i / 2].name)
            peer_show(&p, cases[i / 2].name);
        assert_int_equal(shake(&p), 0);
        assert_int_equal(expect_end(&p), cases[i / 2].alert);
        peer_done(&p);
        toy_wait(&toy, &toy.closed, ++closed);
        if (!toy_last_reason_has(&toy, cases[i / 2].reason))
            fail_msg("%s: %s", cases[i / 2].name, toy.last_reason);
        assert_false(rpc_conn_is_authenticated(toy.conn));
        assert_null(rpc_conn_peer(toy.conn)->x509_dname);
    }
    peer_open(&p, "alice", NULL);
    null_call(&p, 1);
    peer_done(&p);
}

static void nobody_is_asked(void **state)
{
    static const char *const names[] = {NULL, "stranger", "expired"};
    config.no_verify = true;
    load();
    for (size_t i = 0; i < N_ELEMENTS(names); i++) {
        Peer p;
        peer_init(&p, NULL, NULL);
        if (names[i])
            peer_show(&p, names[i]);
        assert_int_equal(shake(&p), 0);
        confirmed(&p);
        null_call(&p, 1);
        assert_null(rpc_conn_peer(toy.conn)->x509_dname); /* nothing unverified is believed */
        peer_done(&p);
    }
    Peer p;
    peer_open(&p, "alice", NULL);
    null_call(&p, 1);
    assert_string_equal(rpc_conn_peer(toy.conn)->x509_dname, "CN=alice");
    peer_done(&p);
}

/* ---- hostile ones ----------------------------------------------------------------------------------------------------------- */

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
    load();
    limits.handshake_timeout_ms = 500; /* what may still become a handshake waits so long */
    toy_on_loop(&toy, set_limits);
    peer_open(&bystander, "alice", NULL);
    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        char buf[256];
        AUTO_CLOSE int fd = toy_connect(&toy);
        client_send(fd, cases[i].bytes, cases[i].len);
        while (recv(fd, buf, sizeof(buf), 0) > 0)
            ; /* an alert, perhaps */
        toy_wait(&toy, &toy.closed, (unsigned)i + 1);
        null_call(&bystander, (uint32_t)i);
    }
    peer_done(&bystander);
}

static void garbage_after_the_handshake(void **state)
{
    static const char *const garbage[] = {"GET / HTTP/1.0\r\n\r\n", "\x17\x03\x03\x01\x01 a record that was not encrypted with our key at all"};
    load();
    for (size_t i = 0; i < N_ELEMENTS(garbage); i++) {
        Peer p;
        char pad[300] = {0};
        peer_open(&p, "alice", NULL);
        memcpy(pad, garbage[i], strlen(garbage[i]));
        client_send(p.fd, pad, sizeof(pad));
        expect_end(&p);
        toy_wait(&toy, &toy.closed, (unsigned)i + 1);
        assert_true(toy_last_reason_has(&toy, "TLS: "));
        peer_done(&p);
    }
}

/* A frame that is none, inside good TLS. */
static void garbage_inside(void **state)
{
    Peer p;
    load();
    peer_open(&p, "alice", NULL);
    send_all(&p, "\0\0\0\1garbage", 11);
    expect_end(&p);
    toy_wait(&toy, &toy.closed, 1);
    assert_true(toy_last_reason_has(&toy, "protocol error"));
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

/* Nothing at all, or a byte now and then: closed when the time is up, and nobody else waits. */
/* To one that may have hung up by now: its deadline passes while we send. */
static void dribble(int fd, const void *data, size_t len)
{
    if (send(fd, data, len, MSG_NOSIGNAL) < 0)
        assert_true(errno == EPIPE || errno == ECONNRESET);
}

static void dawdlers(void **state)
{
    Peer bystander;
    load();
    g_autoptr(GByteArray) hello = client_hello();
    assert_true(hello->len > 100);
    peer_open(&bystander, "alice", NULL);
    limits.handshake_timeout_ms = 200;
    toy_on_loop(&toy, set_limits);
    toy_wait(&toy, &toy.closed, 1); /* that of client_hello */
    AUTO_CLOSE int silent = toy_connect(&toy), slow = toy_connect(&toy), half = toy_connect(&toy);
    for (guint i = 0; i < 100; i++) {
        dribble(slow, hello->data + i, 1);
        null_call(&bystander, i);
    }
    dribble(half, hello->data, hello->len); /* and then nothing: the server's answer waits for ours */
    toy_wait(&toy, &toy.closed, 4);
    assert_true(toy_last_reason_has(&toy, "no handshake in time"));
    client_expect_eof(silent);
    client_expect_eof(slow);
    null_call(&bystander, 1000);
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
    load();
    limits.max_anonymous_clients = PLACES;
    limits.handshake_timeout_ms = 600000;
    toy_on_loop(&toy, set_limits);
    toy_on_loop(&toy, listen_on_loopback);
    for (int i = 0; i < SILENT; i++)
        silent[i] = tcp_client();
    Peer p;
    peer_init_on(&p, tcp_client(), "alice", NULL);
    assert_int_equal(shake(&p), 0);
    confirmed(&p);
    null_call(&p, 1);
    toy_wait(&toy, &toy.closed, SILENT + 1 - PLACES);
    assert_true(toy_last_reason_has(&toy, "made room for another client"));
    null_call(&p, 2);
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
    load();
    for (int i = 0; i < 2; i++) {
        Peer p;
        peer_init(&p, "alice", i ? TLS12 : TLS13);
        gnutls_transport_set_ptr(p.s, &p);
        gnutls_transport_set_push_function(p.s, byte_push);
        gnutls_transport_set_pull_function(p.s, some_pull);
        assert_int_equal(shake(&p), 0);
        confirmed(&p);
        null_call(&p, 1);
        peer_done(&p);
    }
}

/* Gone after each part of a handshake, and in the midst of one of our steps. */
static void gone_in_the_handshake(void **state)
{
    load();
    g_autoptr(GByteArray) hello = client_hello();
    unsigned closed = 1; /* that of client_hello */
    toy_wait(&toy, &toy.closed, closed);
    for (guint at = 0; at <= hello->len; at += at < 12 ? 1 : 37) {
        AUTO_CLOSE int fd = toy_connect(&toy);
        client_send(fd, hello->data, at);
        fd_close(&fd);
        toy_wait(&toy, &toy.closed, ++closed);
    }
    for (int i = 0; i < 20; i++) { /* whole, and gone at once: the step finds nobody */
        AUTO_CLOSE int fd = toy_connect(&toy);
        client_send(fd, hello->data, hello->len);
        fd_close(&fd);
        toy_wait(&toy, &toy.closed, ++closed);
    }
    AUTO_CLOSE int last = toy_connect(&toy); /* and the server is stopped beneath this one's */
    client_send(last, hello->data, hello->len);
}

static void renegotiation_is_refused(void **state)
{
    Peer p;
    load();
    peer_open(&p, "alice", TLS12);
    null_call(&p, 1);
    int r = gnutls_handshake(p.s);
    assert_true(r < 0);
    toy_wait(&toy, &toy.closed, 1);
    assert_true(toy_last_reason_has(&toy, "asked for a new TLS handshake"));
    peer_done(&p);
}

static void new_keys_are_fine(void **state)
{
    Peer p;
    load();
    peer_open(&p, "alice", TLS13);
    for (uint32_t i = 0; i < 5; i++) {
        null_call(&p, i);
        assert_int_equal(gnutls_session_key_update(p.s, GNUTLS_KU_PEER), 0);
    }
    null_call(&p, 9);
    peer_done(&p);
}

/* ---- reload ----------------------------------------------------------------------------------------------------------------- */

static char *server_name(const Peer *p)
{
    unsigned n = 0;
    const gnutls_datum_t *raw = gnutls_certificate_get_peers(p->s, &n);
    gnutls_x509_crt_t crt;
    char dn[256];
    size_t size = sizeof(dn);
    assert_true(n > 0);
    assert_int_equal(gnutls_x509_crt_init(&crt), 0);
    assert_int_equal(gnutls_x509_crt_import(crt, raw, GNUTLS_X509_FMT_DER), 0);
    assert_int_equal(gnutls_x509_crt_get_dn(crt, dn, &size), 0);
    gnutls_x509_crt_deinit(crt);
    return g_strdup(dn);
}

static void reload(void **state)
{
    static const char *const only_bob[] = {"CN=bob", NULL};
    Peer alice, bob, later;
    config.crl_file = file("none", ".crl");
    load();
    peer_open(&alice, "alice", NULL);
    peer_open(&bob, "bob", NULL);

    config.cert_file = file("server2", ".pem");
    config.key_file = file("server2", ".key");
    load(); /* another certificate: nobody is dropped */
    peer_open(&later, "bob", NULL);
    g_autofree char *before = server_name(&bob), *after = server_name(&later);
    assert_string_equal(before, "CN=server");
    assert_string_equal(after, "CN=server2");
    null_call(&alice, 1);
    null_call(&bob, 1);

    config.crl_file = file("bob", ".crl");
    load(); /* bob is revoked: out, both of him */
    expect_end(&bob);
    expect_end(&later);
    toy_wait(&toy, &toy.closed, 2);
    assert_true(toy_last_reason_has(&toy, "its certificate was revoked"));
    null_call(&alice, 2);

    g_auto(Err) err = ERR_INIT;
    config.key_file = file("server", ".key");
    assert_int_equal(rpc_tls_load(tls, &config, &err), -1); /* not its key: nothing changes */
    assert_non_null(strstr(err.detail, "wrong key"));
    null_call(&alice, 3);
    peer_done(&later);
    peer_open(&later, "alice", NULL);
    null_call(&later, 1);

    config.key_file = file("server2", ".key");
    config.allowed_dns = only_bob;
    load();
    expect_end(&alice);
    expect_end(&later);
    toy_wait(&toy, &toy.closed, 4);
    assert_true(toy_last_reason_has(&toy, "not in tls_allowed_dn_list any more"));
    peer_done(&alice);
    peer_done(&bob);
    peer_done(&later);
}

/* ---- what is wrong with our own files --------------------------------------------------------------------------------------- */

static void sanity(void **state)
{
    static const CertWanted bad[] = {
        {.name = "old", .signer = "ca", .from_days = -3, .to_days = -1},
        {.name = "young", .signer = "ca", .from_days = 1, .to_days = 3},
        {.name = "is-ca", .signer = "ca", .ca = true, .usage = GNUTLS_KEY_DIGITAL_SIGNATURE},
        {.name = "no-usage", .signer = "ca", .usage = GNUTLS_KEY_KEY_AGREEMENT},
        {.name = "for-clients", .signer = "ca", .purpose = GNUTLS_KP_TLS_WWW_CLIENT},
        {.name = "foreign", .signer = "other-ca"},
        {.name = "old-ca", .ca = true, .from_days = -3, .to_days = -1},
        {.name = "plain-ca", .no_constraints = true, .usage = GNUTLS_KEY_KEY_CERT_SIGN},
        {.name = "false-ca", .ca = false, .usage = GNUTLS_KEY_KEY_CERT_SIGN},
        {.name = "mute-ca", .ca = true, .usage = GNUTLS_KEY_DIGITAL_SIGNATURE},
    };
    static const struct {
        const char *ca, *cert, *key, *crl;
        const char *words, *in_file;
    } cases[] = {
        {"missing", "server", "server", NULL, "cannot read the certificate", "missing.pem"},
        {"ca", "missing", "server", NULL, "cannot read the certificate", "missing.pem"},
        {"ca", "server", "missing", NULL, "cannot read the key", "missing.key"},
        {"ca", "server", "server", "missing", "cannot read the revocation list", "missing.crl"},
        {"ca", "server", "garbage", NULL, "holds no key in PEM form", "garbage.key"},
        {"ca", "garbage", "server", NULL, "holds no certificate in PEM form", "garbage.pem"},
        {"garbage", "server", "server", NULL, "holds no certificate in PEM form", "garbage.pem"},
        {"ca", "server", "server", "garbage", "holds no revocation list in PEM form", "garbage.crl"},
        {"ca", "server", "alice", NULL, "wrong key", "alice.key"},
        {"ca", "old", "old", NULL, "expired on", "old.pem"},
        {"ca", "young", "young", NULL, "not valid before", "young.pem"},
        {"ca", "is-ca", "is-ca", NULL, "basic constraints: CA is true", "is-ca.pem"},
        {"ca", "no-usage", "no-usage", NULL, "key usage", "no-usage.pem"},
        {"ca", "for-clients", "for-clients", NULL, "key purpose: TLS server authentication is missing", "for-clients.pem"},
        {"ca", "foreign", "foreign", NULL, "wrong authority", "foreign.pem"},
        {"old-ca", "server", "server", NULL, "expired on", "old-ca.pem"},
        {"plain-ca", "server", "server", NULL, "basic constraints: there are none", "plain-ca.pem"},
        {"false-ca", "server", "server", NULL, "basic constraints: CA is false", "false-ca.pem"},
        {"mute-ca", "server", "server", NULL, "key usage: it may not sign certificates", "mute-ca.pem"},
        {"ca", "server", "server", "stale", "revocation list is out of date", "stale.crl"},
        {"ca", "server", "server", "foreign", "wrong authority: the revocation list", "foreign.crl"},
        {"ca", "server2", "server2", "us", "the certificate was revoked", "server2.pem"},
    };
    for (size_t i = 0; i < N_ELEMENTS(bad); i++)
        certs_make(dir, &bad[i]);
    certs_revoke(dir, "stale.crl", "ca", (const char *[]){NULL}, -1);
    certs_revoke(dir, "foreign.crl", "other-ca", (const char *[]){NULL}, 30);
    certs_revoke(dir, "us.crl", "ca", (const char *[]){"server2", NULL}, 30);
    assert_true(g_file_set_contents(file("garbage", ".pem"), "garbage", -1, NULL));
    assert_true(g_file_set_contents(file("garbage", ".key"), "garbage", -1, NULL));
    assert_true(g_file_set_contents(file("garbage", ".crl"), "garbage", -1, NULL));
    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        g_auto(Err) err = ERR_INIT;
        config = (RpcTlsConfig){.ca_file = file(cases[i].ca, ".pem"),
                                .cert_file = file(cases[i].cert, ".pem"),
                                .key_file = file(cases[i].key, ".key"),
                                .crl_file = cases[i].crl ? file(cases[i].crl, ".crl") : NULL};
        assert_int_equal(rpc_tls_load(tls, &config, &err), -1);
        if (!strstr(err.detail, cases[i].words) || !strstr(err.detail, cases[i].in_file) || !err.hint)
            fail_msg("case %zu: %s (%s)", i, err.detail, err.hint);
    }
    config = (RpcTlsConfig){
        .ca_file = file("ca", ".pem"), .cert_file = file("old", ".pem"), .key_file = file("old", ".key"), .no_sanity = true};
    load(); /* the administrator takes it as it is */
    config.crl_file = file("missing", ".crl");
    config.crl_optional = true;
    load();
    config.priority = "NONSENSE";
    g_auto(Err) err = ERR_INIT;
    assert_int_equal(rpc_tls_load(tls, &config, &err), -1);
    assert_non_null(strstr(err.detail, "tls_priority \"NONSENSE\""));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    const struct CMUnitTest tests[] = {
        TEST(calls),
        TEST(old_versions_are_not_spoken),
        TEST(big_answers_and_big_calls),
        TEST(frames_split_at_every_byte),
        TEST(close_after_flush),
        TEST(strength),
        TEST(strangers),
        TEST(nobody_is_asked),
        TEST(bytes_that_are_no_tls),
        TEST(garbage_after_the_handshake),
        TEST(garbage_inside),
        TEST(dawdlers),
        TEST(the_silent_make_room),
        TEST(every_byte_alone),
        TEST(gone_in_the_handshake),
        TEST(renegotiation_is_refused),
        TEST(new_keys_are_fine),
        TEST(reload),
        TEST(sanity),
    };
    return cmocka_run_group_tests(tests, make_certs, remove_certs);
}
