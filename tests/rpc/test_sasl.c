/* tests/rpc/test_sasl.c - the exchange against the library's own client, and the security layer around a real server's connections
 */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <linux/sockios.h>
#include <sasl/sasl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "tests/rpc/sasl_env.h"
#include "tests/rpc/toy.h"
#include "util/fd.h"

#define USER     SASL_ENV_USER
#define PASSWORD SASL_ENV_PASSWORD

static const char *password = PASSWORD; /* what the client says */

/* ---- the library's client ---- */

static int say_name(void *context, int id, const char **result, unsigned *len)
{
    *result = USER;
    if (len)
        *len = (unsigned)strlen(USER);
    return SASL_OK;
}

static int say_password(sasl_conn_t *conn, void *context, int id, sasl_secret_t **ret)
{
    static union {
        sasl_secret_t s;
        char room[sizeof(sasl_secret_t) + 64];
    } secret;
    secret.s.len = strlen(password);
    memcpy(secret.s.data, password, secret.s.len + 1);
    *ret = &secret.s;
    return SASL_OK;
}

typedef int (*Callback)(void);

static sasl_conn_t *client_new(void)
{
    static const sasl_callback_t callbacks[] = {{SASL_CB_USER, (Callback)(void (*)(void))say_name, NULL},
                                                {SASL_CB_AUTHNAME, (Callback)(void (*)(void))say_name, NULL},
                                                {SASL_CB_PASS, (Callback)(void (*)(void))say_password, NULL},
                                                {SASL_CB_LIST_END, NULL, NULL}};
    static const sasl_security_properties_t props = {.max_ssf = 256, .maxbufsize = 65536};
    sasl_conn_t *c = NULL;
    assert_int_equal(sasl_client_new("libvirt", "localhost", NULL, NULL, callbacks, SASL_SUCCESS_DATA, &c), SASL_OK);
    assert_int_equal(sasl_setprop(c, SASL_SEC_PROPS, &props), SASL_OK);
    return c;
}

static RpcSasl *server_new(unsigned min_ssf, bool plaintext)
{
    g_auto(Err) err = ERR_INIT;
    RpcSasl *s = rpc_sasl_new(&(RpcSaslOpts){.remote = "127.0.0.1;99", .min_ssf = min_ssf, .plaintext = plaintext}, &err);
    if (!s)
        fail_msg("%s", err.detail);
    return s;
}

/* Both sides to the end, by one mechanism. */
static RpcSaslResult exchange(RpcSasl *s, sasl_conn_t *c, const char *mech)
{
    const char *out = NULL, *in = NULL, *chosen = NULL;
    unsigned out_len = 0;
    size_t in_len = 0;
    g_auto(Err) err = ERR_INIT;
    g_autofree char *mechs = rpc_sasl_mechs(s, &err);
    assert_non_null(mechs);
    int r = sasl_client_start(c, mech, NULL, &out, &out_len, &chosen);
    RpcSaslResult mine = rpc_sasl_start(s, mech, out, out_len, &in, &in_len, &err);
    for (int i = 0; i < 10 && mine == RPC_SASL_CONTINUE && (r == SASL_OK || r == SASL_CONTINUE); i++) {
        r = sasl_client_step(c, in, (unsigned)in_len, NULL, &out, &out_len);
        mine = rpc_sasl_step(s, out, out_len, &in, &in_len, &err);
    }
    if (mine == RPC_SASL_DONE && in && r == SASL_CONTINUE) /* what came with success */
        r = sasl_client_step(c, in, (unsigned)in_len, NULL, &out, &out_len);
    if (mine == RPC_SASL_DONE)
        assert_int_equal(r, SASL_OK);
    else
        assert_true(err_is_set(&err));
    return mine;
}

/* ---- exchanges ---- */

static void good_and_bad_passwords(void **state)
{
    static const struct {
        const char *mech;
        unsigned min_ssf, ssf;
    } cases[] = {{"DIGEST-MD5", 112, 128}, {"DIGEST-MD5", 56, 128}, {"DIGEST-MD5", 0, 0}, {"SCRAM-SHA-256", 0, 0}, {"PLAIN", 0, 0}};
    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        for (int good = 0; good < 2; good++) {
            RpcSasl *s = server_new(cases[i].min_ssf, true);
            sasl_conn_t *c = client_new();
            password = good ? PASSWORD : "wrong";
            RpcSaslResult r = exchange(s, c, cases[i].mech);
            password = PASSWORD;
            assert_int_equal(r, good ? RPC_SASL_DONE : RPC_SASL_FAILED);
            assert_string_equal(rpc_sasl_mech(s), cases[i].mech);
            if (good) {
                assert_true(g_str_has_prefix(rpc_sasl_user(s), USER));
                assert_int_equal(rpc_sasl_ssf(s), cases[i].ssf);
            } else {
                assert_null(rpc_sasl_user(s));
                assert_int_equal(rpc_sasl_ssf(s), 0);
            }
            sasl_dispose(&c);
            rpc_sasl_free(s);
        }
    }
}

static void what_is_offered(void **state)
{
    static const struct {
        unsigned min_ssf;
        bool plaintext;
        const char *with, *without;
    } cases[] = {{112, false, "DIGEST-MD5", "SCRAM-SHA-256 PLAIN ANONYMOUS"},
                 {0, false, "DIGEST-MD5 SCRAM-SHA-256", "PLAIN ANONYMOUS"},
                 {0, true, "DIGEST-MD5 SCRAM-SHA-256 PLAIN", "ANONYMOUS"}};
    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        RpcSasl *s = server_new(cases[i].min_ssf, cases[i].plaintext);
        g_autofree char *list = rpc_sasl_mechs(s, NULL);
        g_auto(GStrv) mechs = g_strsplit(list, ",", 0), with = g_strsplit(cases[i].with, " ", 0),
                      without = g_strsplit(cases[i].without, " ", 0);
        for (char **m = with; *m; m++)
            assert_true(g_strv_contains((const char *const *)mechs, *m));
        for (char **m = without; *m; m++)
            assert_false(g_strv_contains((const char *const *)mechs, *m));
        rpc_sasl_free(s);
    }
    RpcSasl *s = server_new(1000, false); /* nothing is as strong as that */
    g_auto(Err) err = ERR_INIT;
    assert_null(rpc_sasl_mechs(s, &err));
    assert_int_equal(err.code, VIR_ERR_AUTH_FAILED);
    rpc_sasl_free(s);
}

static void failed_for_good(RpcSasl *s)
{
    const char *out = NULL;
    size_t len = 0;
    assert_int_equal(rpc_sasl_step(s, "", 0, &out, &len, NULL), RPC_SASL_FAILED);
    assert_int_equal(rpc_sasl_start(s, "DIGEST-MD5", NULL, 0, &out, &len, NULL), RPC_SASL_FAILED);
    assert_null(rpc_sasl_mechs(s, NULL));
    assert_null(rpc_sasl_user(s));
    rpc_sasl_free(s);
}

static void out_of_turn(void **state)
{
    static const char *const not_offered[] = {"", "DIGEST", "DIGEST-MD5,PLAIN", ",", "ANONYMOUS", "digest-md5"};
    const char *out = NULL;
    size_t len = 0;
    RpcSasl *s = server_new(112, false);
    assert_int_equal(rpc_sasl_start(s, "DIGEST-MD5", NULL, 0, &out, &len, NULL), RPC_SASL_FAILED); /* no list asked for */
    failed_for_good(s);
    for (size_t i = 0; i < N_ELEMENTS(not_offered); i++) {
        s = server_new(112, false);
        g_free(rpc_sasl_mechs(s, NULL));
        assert_int_equal(rpc_sasl_start(s, not_offered[i], NULL, 0, &out, &len, NULL), RPC_SASL_FAILED);
        failed_for_good(s);
    }
    g_autofree char *big = g_malloc0(RPC_SASL_DATA_MAX + 1);
    s = server_new(0, true);
    g_free(rpc_sasl_mechs(s, NULL));
    assert_int_equal(rpc_sasl_start(s, "PLAIN", big, RPC_SASL_DATA_MAX + 1, &out, &len, NULL), RPC_SASL_FAILED);
    failed_for_good(s);
    s = server_new(0, true);
    g_free(rpc_sasl_mechs(s, NULL));
    assert_null(rpc_sasl_mechs(s, NULL));
    failed_for_good(s);
}

/* ---- the layer ---- */

static Toy toy;
static sasl_conn_t *client;
static RpcSasl *agreed;

static RpcTransport *next_transport(void)
{
    return rpc_transport_sasl(g_steal_pointer(&agreed));
}

static int setup(void **state)
{
    agreed = server_new(112, false);
    client = client_new();
    assert_int_equal(exchange(agreed, client, "DIGEST-MD5"), RPC_SASL_DONE);
    RpcLimits limits = RPC_LIMITS_DEFAULT;
    toy_start(&toy, &limits);
    toy.next_transport = next_transport;
    return 0;
}

static int teardown(void **state)
{
    toy_stop(&toy);
    sasl_dispose(&client);
    agreed = rpc_sasl_free(agreed);
    return 0;
}

/* A connection behind its switch. */
static int layered(void)
{
    int fd = toy_connect(&toy);
    client_call(fd, TOY_SWITCH, 1);
    client_expect(fd, RPC_TYPE_REPLY, 1, RPC_STATUS_OK, NULL);
    return fd;
}

/* One packet as the client's half of the layer sends it. */
static GBytes *sealed(int32_t proc, uint32_t serial, const void *body, size_t len)
{
    g_autoptr(GByteArray) a = packet_make(RPC_TYPE_CALL, proc, serial, 0, body, len);
    GByteArray *all = g_byte_array_new();
    const void *max = NULL;
    assert_int_equal(sasl_getprop(client, SASL_MAXOUTBUF, &max), SASL_OK);
    for (guint off = 0; off < a->len;) {
        const char *out = NULL;
        unsigned n = 0, part = MIN(a->len - off, *(const unsigned *)max);
        assert_int_equal(sasl_encode(client, (const char *)a->data + off, part, &out, &n), SASL_OK);
        g_byte_array_append(all, (const guint8 *)out, n);
        off += part;
    }
    return g_byte_array_free_to_bytes(all);
}

static void send_sealed(int fd, int32_t proc, uint32_t serial, const void *body, size_t len)
{
    g_autoptr(GBytes) b = sealed(proc, serial, body, len);
    client_send(fd, g_bytes_get_data(b, NULL), g_bytes_get_size(b));
}

/* Receives until `need` bytes of what was said are there; `piece` bytes of the socket at a time. */
static void open_sealed(int fd, GByteArray *said, size_t need, size_t piece)
{
    g_autofree char *raw = g_malloc(piece);
    while (said->len < need) {
        const char *out = NULL;
        unsigned n = 0;
        ssize_t got = recv(fd, raw, piece, 0);
        assert_true(got > 0);
        assert_int_equal(sasl_decode(client, raw, (unsigned)got, &out, &n), SASL_OK);
        if (n > 0)
            g_byte_array_append(said, (const guint8 *)out, n);
    }
}

/* A reply of this serial; its body's length. */
static size_t expect_sealed(int fd, GByteArray *said, uint32_t serial, size_t piece)
{
    RpcHeader h;
    open_sealed(fd, said, RPC_HEADER_SIZE, piece);
    size_t len = rpc_header_decode(said->data, &h);
    assert_int_equal(h.type, RPC_TYPE_REPLY);
    assert_int_equal(h.status, RPC_STATUS_OK);
    assert_int_equal(h.serial, serial);
    open_sealed(fd, said, len, piece);
    g_byte_array_remove_range(said, 0, (guint)len);
    return len - RPC_HEADER_SIZE;
}

static void calls_both_ways(void **state)
{
    static const uint8_t text[] = {0, 0, 0, 4, 't', 'e', 'x', 't'};
    AUTO_CLOSE int fd = layered();
    g_autoptr(GByteArray) said = g_byte_array_new();
    for (uint32_t i = 0; i < 20; i++) {
        send_sealed(fd, TOY_WORKER, i, text, sizeof(text));
        assert_int_equal(expect_sealed(fd, said, i, 4096), sizeof(text));
    }
    for (uint32_t i = 0; i < 50; i++)
        send_sealed(fd, TOY_NULL, i, NULL, 0);
    for (uint32_t i = 0; i < 50; i++)
        expect_sealed(fd, said, i, 1);
}

/* Longer than a token, a socket's buffer and what one read takes; the client reads late and in small pieces. */
static void long_answers_and_calls(void **state)
{
    static const uint32_t sizes[] = {1, 65511 - 32, 65511, 65512, 65536, 3000000};
    int small = 4096;
    AUTO_CLOSE int fd = layered();
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
    g_autoptr(GByteArray) said = g_byte_array_new();
    for (uint32_t i = 0; i < N_ELEMENTS(sizes); i++) {
        uint8_t arg[4] = {(uint8_t)(sizes[i] >> 24), (uint8_t)(sizes[i] >> 16), (uint8_t)(sizes[i] >> 8), (uint8_t)sizes[i]};
        send_sealed(fd, TOY_BIG, i, arg, sizeof(arg));
        assert_int_equal(expect_sealed(fd, said, i, 1500), 4 + ((sizes[i] + 3) & ~3u));
        g_autofree uint8_t *body = g_malloc0(sizes[i] + 4);
        send_sealed(fd, TOY_NULL, i, body, sizes[i]);
        expect_sealed(fd, said, i, 1500);
    }
}

/* The last answer leaves whole before the end, although the socket is full and nothing more is queued. */
static void closed_after_the_last_byte(void **state)
{
    static const uint8_t arg[4] = {0, 0x20, 0, 0};
    int small = 4096;
    AUTO_CLOSE int fd = layered();
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
    g_autoptr(GByteArray) said = g_byte_array_new();
    send_sealed(fd, TOY_BIG, 1, arg, sizeof(arg));
    send_sealed(fd, TOY_CLOSE, 2, NULL, 0);
    assert_int_equal(expect_sealed(fd, said, 1, 700), 4 + 0x200000);
    expect_sealed(fd, said, 2, 700);
    client_expect_eof(fd);
}

static void split_at_every_byte(void **state)
{
    static const uint8_t text[] = {0, 0, 0, 4, 't', 'e', 'x', 't'};
    AUTO_CLOSE int fd = layered();
    g_autoptr(GByteArray) said = g_byte_array_new();
    for (uint32_t at = 1;; at++) {
        g_autoptr(GBytes) b = sealed(TOY_ECHO, at, text, sizeof(text));
        gsize len = 0;
        const uint8_t *data = g_bytes_get_data(b, &len);
        if (at >= len)
            break;
        client_send(fd, data, at);
        for (int unread = 1; unread > 0; sched_yield()) /* until the first part was read by itself */
            assert_int_equal(ioctl(fd, SIOCOUTQ, &unread), 0);
        client_send(fd, data + at, len - at);
        expect_sealed(fd, said, at, 4096);
    }
}

static void garbage(void **state)
{
    static const uint8_t tokens[][8] = {{0, 0, 0, 4, 1, 2, 3, 4}, {0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0}, {0x7f, 0xff, 0xff, 0xff, 1, 1, 1, 1},
                                        {0, 1, 0, 1, 0, 0, 0, 0}, {0, 0, 0, 0, 0, 0, 0, 0}};
    for (size_t i = 0; i < N_ELEMENTS(tokens); i++) {
        if (i > 0) {
            sasl_dispose(&client);
            client = client_new();
            agreed = server_new(112, false);
            assert_int_equal(exchange(agreed, client, "DIGEST-MD5"), RPC_SASL_DONE);
        }
        AUTO_CLOSE int fd = layered();
        g_autofree uint8_t *much = g_malloc0(70000);
        memcpy(much, tokens[i], 8);
        send(fd, much, 70000, MSG_NOSIGNAL); /* may be cut off */
        client_expect_eof(fd);
        toy_wait(&toy, &toy.closed, (unsigned)i + 1);
    }
}

/* A token sent twice is not taken twice; one changed on the way is none. */
static void replayed_and_changed(void **state)
{
    AUTO_CLOSE int fd = layered();
    g_autoptr(GByteArray) said = g_byte_array_new();
    g_autoptr(GBytes) b = sealed(TOY_NULL, 7, NULL, 0);
    client_send(fd, g_bytes_get_data(b, NULL), g_bytes_get_size(b));
    expect_sealed(fd, said, 7, 4096);
    client_send(fd, g_bytes_get_data(b, NULL), g_bytes_get_size(b));
    client_expect_eof(fd);
}

static void plain_call_behind_the_switch(void **state)
{
    AUTO_CLOSE int fd = layered();
    client_call(fd, TOY_HOLD, 2); /* its length is taken for that of a token, */
    client_call(fd, TOY_HOLD, 3); /* which is whole with this and does not decode */
    client_expect_eof(fd);
    assert_int_equal(toy_n_held(&toy), 0);
}

/* What somebody on the way put behind the client's last plain call would be taken for the client's. */
static void plain_call_before_the_switch(void **state)
{
    AUTO_CLOSE int fd = toy_connect(&toy);
    g_autoptr(GByteArray) both = packet_make(RPC_TYPE_CALL, TOY_SWITCH, 1, 0, NULL, 0);
    g_autoptr(GByteArray) more = packet_make(RPC_TYPE_CALL, TOY_HOLD, 2, 0, NULL, 0);
    g_byte_array_append(both, more->data, more->len - 1); /* not even the whole of it */
    client_send(fd, both->data, both->len);
    client_expect(fd, RPC_TYPE_REPLY, 1, RPC_STATUS_OK, NULL);
    client_expect_eof(fd);
    toy_wait(&toy, &toy.closed, 1);
    assert_true(toy_last_reason_has(&toy, "before the encryption"));
    assert_int_equal(toy_n_held(&toy), 0);
}

static void gone_at_any_time(void **state)
{
    static const uint8_t arg[4] = {0, 0x20, 0, 0};
    for (int i = 0; i < 6; i++) {
        if (!agreed) {
            sasl_dispose(&client);
            client = client_new();
            agreed = server_new(112, false);
            assert_int_equal(exchange(agreed, client, "DIGEST-MD5"), RPC_SASL_DONE);
        }
        AUTO_CLOSE int fd = layered();
        g_autoptr(GBytes) b = sealed(TOY_BIG, 1, arg, sizeof(arg));
        client_send(fd, g_bytes_get_data(b, NULL), g_bytes_get_size(b) / (i + 1));
        fd_close(&fd);
        toy_wait(&toy, &toy.closed, (unsigned)i + 1);
    }
}

static int group_setup(void **state)
{
    sasl_env_make("digest-md5 scram-sha-256 plain anonymous", true);
    assert_int_equal(sasl_client_init(NULL), SASL_OK);
    return 0;
}

/* Waits for the sessions that are still being freed: OpenSSL takes itself down when the program ends.  The client's half keeps the plugins loaded. */
static int group_teardown(void **state)
{
    rpc_sasl_done();
    return 0;
}

#define LAYER(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_and_bad_passwords),
        cmocka_unit_test(what_is_offered),
        cmocka_unit_test(out_of_turn),
        LAYER(calls_both_ways),
        LAYER(long_answers_and_calls),
        LAYER(closed_after_the_last_byte),
        LAYER(split_at_every_byte),
        LAYER(garbage),
        LAYER(replayed_and_changed),
        LAYER(plain_call_behind_the_switch),
        LAYER(plain_call_before_the_switch),
        LAYER(gone_at_any_time),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
