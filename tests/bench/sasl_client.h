/* tests/bench/sasl_client.h - a client's half of SASL for tls_load.c */
#pragma once

#include <sasl/sasl.h>
#include <stdbool.h>
#include <stdint.h>

/* How packets get to the server and back: *ret is the answer's payload, which the caller frees. */
typedef void (*SaslExchange)(void *ud, int32_t proc, const uint8_t *body, size_t len, uint8_t **ret, size_t *ret_len);

/* Proves to be `user`; exits when that fails.  What comes out protects all that follows. */
sasl_conn_t *sasl_client_prove(const char *mech, const char *user, const char *password, SaslExchange exchange, void *ud);
