/* tests/rpc/tls_world.c - a toy server behind TLS, its authority and certificates, and a client of gnutls
 */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <glib/gstdio.h>
#include <string.h>

#include "tests/rpc/certs.h"
#include "tests/rpc/tls_world.h"
#include "util/fd.h"

TlsWorld world;

/* ---- the world -------------------------------------------------------------------------------------------------------------- */

int world_begin(void **state)
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
    world.dir = g_dir_make_tmp("berth-tls-XXXXXX", NULL);
    for (size_t i = 0; i < N_ELEMENTS(all); i++)
        certs_make(world.dir, &all[i]);
    certs_revoke(world.dir, "none.crl", "ca", (const char *[]){NULL}, 30);
    certs_revoke(world.dir, "bob.crl", "ca", (const char *[]){"bob", NULL}, 30);
    return 0;
}

int world_end(void **state)
{
    GDir *d = g_dir_open(world.dir, 0, NULL);
    for (const char *name = NULL; (name = g_dir_read_name(d));) {
        g_autofree char *path = g_build_filename(world.dir, name, NULL);
        g_unlink(path);
    }
    g_dir_close(d);
    g_rmdir(world.dir);
    g_free(world.dir);
    return 0;
}

const char *world_file(const char *name, const char *suffix)
{
    g_autofree char *path = certs_path(world.dir, name, suffix);
    return g_intern_string(path);
}

int world_setup(void **state)
{
    world.limits = RPC_LIMITS_DEFAULT;
    toy_start(&world.toy, &world.limits);
    world.tls = rpc_tls_new(world.toy.loop);
    world.config = (RpcTlsConfig){.ca_file = world_file("ca", ".pem"), .cert_file = world_file("server", ".pem"), .key_file = world_file("server", ".key")};
    world.toy.spec = (RpcListenerSpec){.name = "tls", .kind = RPC_KIND_TLS, .make_transport = rpc_tls_transport, .ud = world.tls};
    return 0;
}

static void stop_server(Toy *t)
{
    rpc_server_stop(t->server, "the test ends");
}

static void free_tls(Toy *t)
{
    rpc_tls_free(world.tls);
}

int world_teardown(void **state)
{
    toy_on_loop(&world.toy, stop_server);
    toy_on_loop(&world.toy, free_tls); /* handshakes that were under way tell the loop when they are over */
    toy_stop(&world.toy);
    return 0;
}

static void set_limits(Toy *t)
{
    rpc_server_set_limits(t->server, &world.limits);
}

void world_apply_limits(void)
{
    toy_on_loop(&world.toy, set_limits);
}

void world_load(void)
{
    g_auto(Err) err = ERR_INIT;
    if (rpc_tls_load(world.tls, &world.config, &err) < 0)
        fail_msg("%s", err.detail);
}

/* ---- a client --------------------------------------------------------------------------------------------------------------- */

void peer_init_on(Peer *p, int fd, const char *name, const char *priority)
{
    *p = (Peer){.fd = fd};
    assert_int_equal(gnutls_init(&p->s, GNUTLS_CLIENT | GNUTLS_NO_SIGNAL), 0);
    assert_int_equal(gnutls_priority_set_direct(p->s, priority ? priority : "NORMAL", NULL), 0);
    assert_int_equal(gnutls_certificate_allocate_credentials(&p->cred), 0);
    if (name)
        assert_int_equal(gnutls_certificate_set_x509_key_file(p->cred, world_file(name, ".pem"), world_file(name, ".key"), GNUTLS_X509_FMT_PEM), 0);
    assert_int_equal(gnutls_credentials_set(p->s, GNUTLS_CRD_CERTIFICATE, p->cred), 0);
    gnutls_transport_set_int(p->s, p->fd);
}

void peer_init(Peer *p, const char *name, const char *priority)
{
    peer_init_on(p, toy_connect(&world.toy), name, priority);
}

static int shown(gnutls_session_t s, const gnutls_datum_t *dn, int n, const gnutls_pk_algorithm_t *algos, int n_algos,
                 gnutls_pcert_st **certs, unsigned *n_certs, gnutls_privkey_t *key)
{
    Peer *p = gnutls_session_get_ptr(s);
    *certs = &p->shown;
    *n_certs = 1;
    *key = p->shown_key;
    return 0;
}

void peer_show(Peer *p, const char *name)
{
    gnutls_datum_t data;
    assert_int_equal(gnutls_load_file(world_file(name, ".pem"), &data), 0);
    assert_int_equal(gnutls_pcert_import_x509_raw(&p->shown, &data, GNUTLS_X509_FMT_PEM, 0), 0);
    gnutls_free(data.data);
    assert_int_equal(gnutls_load_file(world_file(name, ".key"), &data), 0);
    assert_int_equal(gnutls_privkey_init(&p->shown_key), 0);
    assert_int_equal(gnutls_privkey_import_x509_raw(p->shown_key, &data, GNUTLS_X509_FMT_PEM, NULL, 0), 0);
    gnutls_free(data.data);
    gnutls_session_set_ptr(p->s, p);
    gnutls_certificate_set_retrieve_function2(p->cred, shown);
}

void peer_done(Peer *p)
{
    gnutls_deinit(p->s);
    gnutls_certificate_free_credentials(p->cred);
    if (p->shown_key) {
        gnutls_privkey_deinit(p->shown_key);
        gnutls_pcert_deinit(&p->shown);
    }
    fd_close(&p->fd);
}

int peer_shake(Peer *p)
{
    int r;
    do {
        r = gnutls_handshake(p->s);
    } while (r < 0 && r != GNUTLS_E_AGAIN && !gnutls_error_is_fatal(r));
    return r;
}

static void peer_read(Peer *p, void *buf, size_t len)
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

void peer_confirmed(Peer *p)
{
    char byte = 0;
    peer_read(p, &byte, 1);
    assert_int_equal(byte, 1);
}

void peer_open(Peer *p, const char *name, const char *priority)
{
    peer_init(p, name, priority);
    assert_int_equal(peer_shake(p), 0);
    peer_confirmed(p);
}

void peer_send(Peer *p, const void *data, size_t len)
{
    for (size_t sent = 0; sent < len;) {
        ssize_t n = gnutls_record_send(p->s, (const uint8_t *)data + sent, len - sent);
        assert_true(n > 0);
        sent += (size_t)n;
    }
}

void peer_call(Peer *p, int32_t proc, uint32_t serial, const void *body, size_t len)
{
    g_autoptr(GByteArray) a = packet_make(RPC_TYPE_CALL, proc, serial, 0, body, len);
    peer_send(p, a->data, a->len);
}

size_t peer_expect_reply(Peer *p, uint32_t serial, uint8_t **ret)
{
    uint8_t head[RPC_HEADER_SIZE];
    RpcHeader h;
    peer_read(p, head, sizeof(head));
    size_t len = rpc_header_decode(head, &h) - sizeof(head);
    assert_int_equal(h.type, RPC_TYPE_REPLY);
    assert_int_equal(h.serial, serial);
    g_autofree uint8_t *body = g_malloc(len + 1);
    peer_read(p, body, len);
    if (ret)
        *ret = g_steal_pointer(&body);
    return len;
}

void peer_null_call(Peer *p, uint32_t serial)
{
    peer_call(p, TOY_NULL, serial, NULL, 0);
    peer_expect_reply(p, serial, NULL);
}

int peer_expect_end(Peer *p)
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
