/* tests/bench/sasl_client.c - a client's half of SASL for tls_load.c
 *
 * Owns:    AUTH_SASL_INIT, START and STEP with cyrus-sasl's client; not the socket
 */
#include "config.h"

#include <glib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/sasl_client.h"

enum { INIT = 67, START = 68, STEP = 69 };

typedef struct Who {
    const char *user;
    sasl_secret_t *secret;
} Who;

static void __attribute__((noreturn)) give_up(const char *what, int r)
{
    fprintf(stderr, "tls_load: SASL: %s: %s\n", what, sasl_errstring(r, NULL, NULL));
    exit(EXIT_FAILURE);
}

static int name(void *ud, int id, const char **ret, unsigned *len)
{
    const Who *w = ud;
    *ret = id == SASL_CB_AUTHNAME ? w->user : "";
    if (len)
        *len = (unsigned)strlen(*ret);
    return SASL_OK;
}

static int password(sasl_conn_t *conn, void *ud, int id, sasl_secret_t **ret)
{
    const Who *w = ud;
    *ret = w->secret;
    return SASL_OK;
}

static void add_word(GByteArray *a, uint32_t n)
{
    n = GUINT32_TO_BE(n);
    g_byte_array_append(a, (const uint8_t *)&n, sizeof(n));
}

/* nil, and a word for each character. */
static void add_token(GByteArray *a, const char *data, unsigned len)
{
    add_word(a, data == NULL);
    add_word(a, data ? len : 0);
    for (unsigned i = 0; data && i < len; i++)
        add_word(a, (uint8_t)data[i]);
}

static uint32_t word(const uint8_t *p)
{
    uint32_t n;
    memcpy(&n, p, sizeof(n));
    return GUINT32_FROM_BE(n);
}

/* The same of an answer; true when the server is satisfied. */
static bool read_token(const uint8_t *body, size_t len, GByteArray *ret)
{
    g_byte_array_set_size(ret, 0);
    if (len < 12 || len < 12 + 4 * (size_t)word(body + 8))
        give_up("an answer is cut short", SASL_BADPROT);
    for (uint32_t i = 0; i < word(body + 8); i++) {
        uint8_t c = (uint8_t)word(body + 12 + 4 * i);
        g_byte_array_append(ret, &c, 1);
    }
    return word(body) != 0;
}

static sasl_conn_t *client_new(Who *w)
{
    /* they are asked during the exchange alone, which ends before `w` does */
    typedef int (*Callback)(void);
    sasl_callback_t callbacks[] = {{SASL_CB_AUTHNAME, (Callback)(void *)name, w},
                                   {SASL_CB_USER, (Callback)(void *)name, w},
                                   {SASL_CB_PASS, (Callback)(void *)password, w},
                                   {SASL_CB_LIST_END, NULL, NULL}};
    static sasl_callback_t kept[G_N_ELEMENTS(callbacks)];
    const sasl_security_properties_t props = {.min_ssf = 56, .max_ssf = 100000, .maxbufsize = 65536};
    sasl_conn_t *conn = NULL;
    memcpy(kept, callbacks, sizeof(kept));
    int r = sasl_client_init(NULL);
    if (r == SASL_OK)
        r = sasl_client_new("libvirt", "localhost", NULL, NULL, kept, 0, &conn);
    if (r == SASL_OK)
        r = sasl_setprop(conn, SASL_SEC_PROPS, &props);
    if (r != SASL_OK)
        give_up("a client", r);
    return conn;
}

sasl_conn_t *sasl_client_prove(const char *mech, const char *user, const char *secret, SaslExchange exchange, void *ud)
{
    size_t secret_len = strlen(secret), len = 0;
    Who w = {user, g_malloc0(sizeof(sasl_secret_t) + secret_len + 1)};
    w.secret->len = secret_len;
    memcpy(w.secret->data, secret, secret_len);
    sasl_conn_t *conn = client_new(&w);
    g_autoptr(GByteArray) in = g_byte_array_new();
    const char *out = NULL, *chosen = NULL;
    unsigned out_len = 0;
    uint8_t *reply = NULL;
    exchange(ud, INIT, NULL, 0, &reply, &len);
    g_free(reply);
    int r = sasl_client_start(conn, mech, NULL, &out, &out_len, &chosen);
    for (int32_t proc = START;; proc = STEP) {
        g_autoptr(GByteArray) body = g_byte_array_new();
        if (r != SASL_OK && r != SASL_CONTINUE)
            give_up(mech, r);
        if (proc == START) {
            static const uint8_t pad[4];
            guint n = (guint)strlen(mech);
            add_word(body, n);
            g_byte_array_append(body, (const uint8_t *)mech, n);
            g_byte_array_append(body, pad, (4 - n % 4) % 4);
        }
        add_token(body, out, out_len);
        exchange(ud, proc, body->data, body->len, &reply, &len);
        bool complete = read_token(reply, len, in);
        g_free(reply);
        if (complete && r == SASL_OK && in->len == 0)
            break;
        r = sasl_client_step(conn, (const char *)in->data, in->len, NULL, &out, &out_len);
        if (complete && r == SASL_OK)
            break;
    }
    g_free(w.secret);
    return conn;
}
