/* tests/rpc/tls_world.h - a toy server behind TLS, its authority and certificates, and a client of gnutls
 *
 * One world a program: certificates are made once (world_begin), a server for each test (world_setup), which loads what world.config says
 * when the test calls world_load.  There are alice and bob, server and server2, a stranger of another authority, and certificates with
 * something wrong about them.
 */
#pragma once

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#include "rpc/tls.h"
#include "tests/rpc/toy.h"

#define TLS12 "NORMAL:-VERS-ALL:+VERS-TLS1.2"
#define TLS13 "NORMAL:-VERS-ALL:+VERS-TLS1.3"

typedef struct TlsWorld {
    char *dir; /* of certificates and keys */
    Toy toy;
    RpcTls *tls;
    RpcTlsConfig config;
    RpcLimits limits;
} TlsWorld;

extern TlsWorld world;

/* Fixtures of cmocka: of the group, and of each test. */
int world_begin(void **state);
int world_end(void **state);
int world_setup(void **state);
int world_teardown(void **state);
#define TLS_TEST(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)

/* A file of the world's directory; the path lives as long as the program. */
const char *world_file(const char *name, const char *suffix);
/* Loads world.config; fails the test where that fails. */
void world_load(void);
/* Makes world.limits those of the server. */
void world_apply_limits(void);

typedef struct Peer {
    int fd;
    gnutls_session_t s;
    gnutls_certificate_credentials_t cred;
    gnutls_pcert_st shown;
    gnutls_privkey_t shown_key;
} Peer;

/* A client with the certificate of that name, or none; priority as gnutls spells it, NULL: its own.  fd is moved. */
void peer_init_on(Peer *p, int fd, const char *name, const char *priority);
void peer_init(Peer *p, const char *name, const char *priority);
/* It shows this certificate whatever authorities the server asks for. */
void peer_show(Peer *p, const char *name);
void peer_done(Peer *p);
/* The handshake; gnutls' result. */
int peer_shake(Peer *p);
/* The server's byte that says the client is let in. */
void peer_confirmed(Peer *p);
/* Connected, shaken and let in. */
void peer_open(Peer *p, const char *name, const char *priority);
void peer_send(Peer *p, const void *data, size_t len);
void peer_call(Peer *p, int32_t proc, uint32_t serial, const void *body, size_t len);
/* A reply of that serial; the length of its body, which is the caller's when ret is not NULL. */
size_t peer_expect_reply(Peer *p, uint32_t serial, uint8_t **ret);
void peer_null_call(Peer *p, uint32_t serial);
/* The connection ends, however; the alert that said so, or -1. */
int peer_expect_end(Peer *p);
