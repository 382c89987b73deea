/* tests/rpc/test_tls.c - the TLS transport: good clients, strangers, new certificates; hostile clients are test_tls_hostile.c's
 */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "tests/rpc/certs.h"
#include "tests/rpc/tls_world.h"

/* ---- good clients ----------------------------------------------------------------------------------------------------------- */

static void calls(void **state)
{
    static const char *const versions[] = {TLS12, TLS13, "NORMAL:-VERS-ALL:+VERS-TLS1.2:-KX-ALL:+ECDHE-ECDSA:-CIPHER-ALL:+AES-128-CBC"};
    static const uint8_t text[] = {0, 0, 0, 4, 't', 'e', 'x', 't'};
    world_load();
    for (size_t v = 0; v < N_ELEMENTS(versions); v++) {
        Peer p;
        peer_open(&p, "alice", versions[v]);
        for (uint32_t i = 0; i < 20; i++) {
            peer_call(&p, i & 1 ? TOY_WORKER : TOY_ECHO, i, text, sizeof(text));
            g_autofree uint8_t *body = NULL;
            assert_int_equal(peer_expect_reply(&p, i, &body), sizeof(text));
            assert_memory_equal(body, text, sizeof(text));
        }
        for (uint32_t i = 0; i < 50; i++) /* many at once */
            peer_call(&p, TOY_NULL, i, NULL, 0);
        for (uint32_t i = 0; i < 50; i++)
            peer_expect_reply(&p, i, NULL);
        assert_string_equal(rpc_conn_peer(world.toy.conn)->x509_dname, "CN=alice");
        assert_true(rpc_conn_is_authenticated(world.toy.conn));
        gnutls_bye(p.s, GNUTLS_SHUT_WR);
        assert_int_equal(peer_expect_end(&p), -1);
        peer_done(&p);
        toy_wait(&world.toy, &world.toy.closed, (unsigned)v + 1);
        assert_true(toy_last_reason_has(&world.toy, "end of file"));
    }
}

static void old_versions_are_not_spoken(void **state)
{
    Peer p;
    world_load();
    peer_init(&p, "alice", "NORMAL:-VERS-ALL:+VERS-TLS1.1:%VERIFY_ALLOW_BROKEN:+SHA1");
    assert_true(peer_shake(&p) < 0);
    peer_done(&p);
    toy_wait(&world.toy, &world.toy.closed, 1);
    assert_true(toy_last_reason_has(&world.toy, "TLS handshake failed"));
}

static void big_answers_and_big_calls(void **state)
{
    enum { BIG = 6 * 1024 * 1024, LONG = 300 * 1024 };
    Peer p;
    world_load();
    world.toy.stream_sndbuf = 0;
    peer_open(&p, "alice", NULL);
    uint32_t n = GUINT32_TO_BE(BIG);
    for (uint32_t i = 0; i < 3; i++)
        peer_call(&p, TOY_BIG, i, &n, sizeof(n));
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(peer_expect_reply(&p, i, NULL), 4 + BIG);
    g_autofree uint8_t *text = g_malloc(4 + LONG);
    uint32_t be = GUINT32_TO_BE(LONG);
    memcpy(text, &be, 4);
    for (size_t i = 0; i < LONG; i++)
        text[4 + i] = (uint8_t)('a' + i % 26);
    peer_call(&p, TOY_ECHO, 7, text, 4 + LONG);
    g_autofree uint8_t *body = NULL;
    assert_int_equal(peer_expect_reply(&p, 7, &body), 4 + LONG);
    assert_memory_equal(body, text, 4 + LONG);
    peer_done(&p);
}

static void frames_split_at_every_byte(void **state)
{
    static const uint8_t text[] = {0, 0, 0, 4, 't', 'e', 'x', 't'};
    Peer p;
    world_load();
    peer_open(&p, "alice", NULL);
    g_autoptr(GByteArray) a = packet_make(RPC_TYPE_CALL, TOY_ECHO, 5, 0, text, sizeof(text));
    for (guint at = 1; at < a->len; at++) { /* two records */
        peer_send(&p, a->data, at);
        peer_send(&p, a->data + at, a->len - at);
        peer_expect_reply(&p, 5, NULL);
    }
    for (guint at = 0; at < a->len; at++) /* a record a byte */
        peer_send(&p, a->data + at, 1);
    peer_expect_reply(&p, 5, NULL);
    peer_done(&p);
}

/* What was answered before a close arrives, and then the end is no accident. */
static void close_after_flush(void **state)
{
    enum { BIG = 2 * 1024 * 1024 };
    Peer p;
    world_load();
    peer_open(&p, "alice", NULL);
    uint32_t n = GUINT32_TO_BE(BIG);
    peer_call(&p, TOY_BIG, 1, &n, sizeof(n));
    peer_call(&p, TOY_CLOSE, 2, NULL, 0);
    assert_int_equal(peer_expect_reply(&p, 1, NULL), 4 + BIG);
    peer_expect_reply(&p, 2, NULL);
    char byte;
    assert_int_equal(gnutls_record_recv(p.s, &byte, 1), 0); /* close_notify; an end without would be an error */
    peer_done(&p);
}

static void strength(void **state)
{
    Peer p;
    world_load();
    peer_open(&p, "alice", "NORMAL:-CIPHER-ALL:+AES-128-GCM:-VERS-ALL:+VERS-TLS1.3");
    peer_null_call(&p, 1);
    assert_int_equal(rpc_transport_tls_bits(rpc_conn_transport(world.toy.conn)), 128);
    g_autofree char *how = rpc_transport_tls_describe(rpc_conn_transport(world.toy.conn));
    assert_string_equal(how, "TLS1.3 AES-128-GCM");
    peer_done(&p);
}

static void renegotiation_is_refused(void **state)
{
    Peer p;
    world_load();
    peer_open(&p, "alice", TLS12);
    peer_null_call(&p, 1);
    int r = gnutls_handshake(p.s);
    assert_true(r < 0);
    toy_wait(&world.toy, &world.toy.closed, 1);
    assert_true(toy_last_reason_has(&world.toy, "asked for a new TLS handshake"));
    peer_done(&p);
}

static void new_keys_are_fine(void **state)
{
    Peer p;
    world_load();
    peer_open(&p, "alice", TLS13);
    for (uint32_t i = 0; i < 5; i++) {
        peer_null_call(&p, i);
        assert_int_equal(gnutls_session_key_update(p.s, GNUTLS_KU_PEER), 0);
    }
    peer_null_call(&p, 9);
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
    world.config.crl_file = world_file("bob", ".crl");
    world.config.allowed_dns = allowed;
    world_load();
    for (size_t i = 0; i < 2 * N_ELEMENTS(cases); i++) {
        peer_init(&p, NULL, versions[i % 2]);
        if (cases[i / 2].name)
            peer_show(&p, cases[i / 2].name);
        assert_int_equal(peer_shake(&p), 0);
        assert_int_equal(peer_expect_end(&p), cases[i / 2].alert);
        peer_done(&p);
        toy_wait(&world.toy, &world.toy.closed, ++closed);
        if (!toy_last_reason_has(&world.toy, cases[i / 2].reason))
            fail_msg("%s: %s", cases[i / 2].name, world.toy.last_reason);
        assert_false(rpc_conn_is_authenticated(world.toy.conn));
        assert_null(rpc_conn_peer(world.toy.conn)->x509_dname);
    }
    peer_open(&p, "alice", NULL);
    peer_null_call(&p, 1);
    peer_done(&p);
}

static void nobody_is_asked(void **state)
{
    static const char *const names[] = {NULL, "stranger", "expired"};
    world.config.no_verify = true;
    world_load();
    for (size_t i = 0; i < N_ELEMENTS(names); i++) {
        Peer p;
        peer_init(&p, NULL, NULL);
        if (names[i])
            peer_show(&p, names[i]);
        assert_int_equal(peer_shake(&p), 0);
        peer_confirmed(&p);
        peer_null_call(&p, 1);
        assert_null(rpc_conn_peer(world.toy.conn)->x509_dname); /* nothing unverified is believed */
        peer_done(&p);
    }
    Peer p;
    peer_open(&p, "alice", NULL);
    peer_null_call(&p, 1);
    assert_string_equal(rpc_conn_peer(world.toy.conn)->x509_dname, "CN=alice");
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
    world.config.crl_file = world_file("none", ".crl");
    world_load();
    peer_open(&alice, "alice", NULL);
    peer_open(&bob, "bob", NULL);

    world.config.cert_file = world_file("server2", ".pem");
    world.config.key_file = world_file("server2", ".key");
    world_load(); /* another certificate: nobody is dropped */
    peer_open(&later, "bob", NULL);
    g_autofree char *before = server_name(&bob), *after = server_name(&later);
    assert_string_equal(before, "CN=server");
    assert_string_equal(after, "CN=server2");
    peer_null_call(&alice, 1);
    peer_null_call(&bob, 1);

    world.config.crl_file = world_file("bob", ".crl");
    world_load(); /* bob is revoked: out, both of him */
    peer_expect_end(&bob);
    peer_expect_end(&later);
    toy_wait(&world.toy, &world.toy.closed, 2);
    assert_true(toy_last_reason_has(&world.toy, "its certificate was revoked"));
    peer_null_call(&alice, 2);

    g_auto(Err) err = ERR_INIT;
    world.config.key_file = world_file("server", ".key");
    assert_int_equal(rpc_tls_load(world.tls, &world.config, &err), -1); /* not its key: nothing changes */
    assert_non_null(strstr(err.detail, "wrong key"));
    peer_null_call(&alice, 3);
    peer_done(&later);
    peer_open(&later, "alice", NULL);
    peer_null_call(&later, 1);

    world.config.key_file = world_file("server2", ".key");
    world.config.allowed_dns = only_bob;
    world_load();
    peer_expect_end(&alice);
    peer_expect_end(&later);
    toy_wait(&world.toy, &world.toy.closed, 4);
    assert_true(toy_last_reason_has(&world.toy, "not in tls_allowed_dn_list any more"));
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
        certs_make(world.dir, &bad[i]);
    certs_revoke(world.dir, "stale.crl", "ca", (const char *[]){NULL}, -1);
    certs_revoke(world.dir, "foreign.crl", "other-ca", (const char *[]){NULL}, 30);
    certs_revoke(world.dir, "us.crl", "ca", (const char *[]){"server2", NULL}, 30);
    assert_true(g_file_set_contents(world_file("garbage", ".pem"), "garbage", -1, NULL));
    assert_true(g_file_set_contents(world_file("garbage", ".key"), "garbage", -1, NULL));
    assert_true(g_file_set_contents(world_file("garbage", ".crl"), "garbage", -1, NULL));
    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        g_auto(Err) err = ERR_INIT;
        world.config = (RpcTlsConfig){.ca_file = world_file(cases[i].ca, ".pem"),
                                .cert_file = world_file(cases[i].cert, ".pem"),
                                .key_file = world_file(cases[i].key, ".key"),
                                .crl_file = cases[i].crl ? world_file(cases[i].crl, ".crl") : NULL};
        assert_int_equal(rpc_tls_load(world.tls, &world.config, &err), -1);
        if (!strstr(err.detail, cases[i].words) || !strstr(err.detail, cases[i].in_file) || !err.hint)
            fail_msg("case %zu: %s (%s)", i, err.detail, err.hint);
    }
    world.config = (RpcTlsConfig){
        .ca_file = world_file("ca", ".pem"), .cert_file = world_file("old", ".pem"), .key_file = world_file("old", ".key"), .no_sanity = true};
    world_load(); /* the administrator takes it as it is */
    world.config.crl_file = world_file("missing", ".crl");
    world.config.crl_optional = true;
    world_load();
    world.config.priority = "NONSENSE";
    g_auto(Err) err = ERR_INIT;
    assert_int_equal(rpc_tls_load(world.tls, &world.config, &err), -1);
    assert_non_null(strstr(err.detail, "tls_priority \"NONSENSE\""));
}

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    const struct CMUnitTest tests[] = {
        TLS_TEST(calls),
        TLS_TEST(old_versions_are_not_spoken),
        TLS_TEST(big_answers_and_big_calls),
        TLS_TEST(frames_split_at_every_byte),
        TLS_TEST(close_after_flush),
        TLS_TEST(strength),
        TLS_TEST(renegotiation_is_refused),
        TLS_TEST(new_keys_are_fine),
        TLS_TEST(strangers),
        TLS_TEST(nobody_is_asked),
        TLS_TEST(reload),
        TLS_TEST(sanity),
    };
    return cmocka_run_group_tests(tests, world_begin, world_end);
}
