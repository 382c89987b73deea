/* rpc/sasl_decoy.c - the challenge a user who does not exist would get
 *
 * Owns:    a secret of this process, from which the salts of such users are made, as the library makes those of users who exist
 * Threads: any
 * Locks:   none
 * Errors:  NULL: there is no such challenge
 */
#include "config.h"

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <string.h>

#include "rpc/sasl_decoy.h"

#define SECRET_BYTES 32
#define NONCE_BYTES  24 /* of the server's part, as the library's */
#define HASH_MAX     64
#define COUNT_MAX    1000000

static gint count = 4096; /* atomic: rounds, as the library's users have them */

static const struct {
    const char *mech;
    gnutls_mac_algorithm_t mac;
} kinds[] = {{"SCRAM-SHA-1", GNUTLS_MAC_SHA1},     {"SCRAM-SHA-224", GNUTLS_MAC_SHA224}, {"SCRAM-SHA-256", GNUTLS_MAC_SHA256},
             {"SCRAM-SHA-384", GNUTLS_MAC_SHA384}, {"SCRAM-SHA-512", GNUTLS_MAC_SHA512}};

static const uint8_t *secret(void)
{
    static uint8_t bytes[SECRET_BYTES];
    static gsize made;
    if (g_once_init_enter(&made))
        g_once_init_leave(&made, gnutls_global_init() == 0 && gnutls_rnd(GNUTLS_RND_KEY, bytes, sizeof(bytes)) == 0 ? 1 : 2);
    return made == 1 ? bytes : NULL;
}

/* The value of "X=..." at *at, which is moved behind the comma that ends it. */
static bool take_part(const char **at, const char *end, char letter, const char **ret, size_t *ret_len)
{
    const char *p = *at;
    if (end - p < 2 || p[0] != letter || p[1] != '=')
        return false;
    const char *comma = memchr(p, ',', (size_t)(end - p));
    *ret = p + 2;
    *ret_len = (size_t)((comma ? comma : end) - *ret);
    *at = comma ? comma + 1 : end;
    return *ret_len > 0;
}

void rpc_sasl_decoy_learn(const char *challenge, size_t len)
{
    const char *at = memchr(challenge, 'i', len), *end = challenge + len;
    while (at && !(at > challenge && at[-1] == ',' && end - at > 2 && at[1] == '='))
        at = at + 1 < end ? memchr(at + 1, 'i', (size_t)(end - at - 1)) : NULL;
    int n = 0;
    for (at = at ? at + 2 : end; at < end && g_ascii_isdigit(*at) && n <= COUNT_MAX; at++)
        n = n * 10 + (*at - '0');
    if (n > 0 && n <= COUNT_MAX)
        g_atomic_int_set(&count, n);
}

char *rpc_sasl_decoy(const char *mech, const char *in, size_t len)
{
    gnutls_mac_algorithm_t mac = GNUTLS_MAC_UNKNOWN;
    const char *end = in + len, *user = NULL, *nonce = NULL;
    size_t user_len = 0, nonce_len = 0;
    uint8_t salt[HASH_MAX], rounds[HASH_MAX], random[NONCE_BYTES];
    for (size_t i = 0; i < N_ELEMENTS(kinds); i++)
        if (strcmp(mech, kinds[i].mech) == 0)
            mac = kinds[i].mac;
    if (mac == GNUTLS_MAC_UNKNOWN || !in || !secret())
        return NULL;
    for (int commas = 0; commas < 2 && in; commas++) { /* channel binding, another name to act as */
        in = memchr(in, ',', (size_t)(end - in));
        in = in ? in + 1 : NULL;
    }
    if (!in || !take_part(&in, end, 'n', &user, &user_len) || !take_part(&in, end, 'r', &nonce, &nonce_len))
        return NULL;
    unsigned size = gnutls_hmac_get_len(mac);
    int n = g_atomic_int_get(&count);
    gnutls_datum_t key = {salt, size}, salted = {salt, size};
    if (gnutls_hmac_fast(mac, secret(), SECRET_BYTES, user, user_len, salt) < 0 || gnutls_rnd(GNUTLS_RND_NONCE, random, sizeof(random)) < 0 ||
        gnutls_pbkdf2(mac, &key, &salted, (unsigned)n, rounds, size) < 0) /* its result is nothing, its cost is that of a real one */
        return NULL;
    g_autofree char *salt64 = g_base64_encode(salt, size), *random64 = g_base64_encode(random, sizeof(random));
    return g_strdup_printf("r=%.*s%s,s=%s,i=%d", (int)nonce_len, nonce, random64, salt64, n);
}
