/* tests/fuzz/fuzz_sasl.c - fuzz target: the steps of a SASL exchange, and bytes behind it for its security layer
 *
 * Owns:    the input format: one byte of choices, then messages: one byte (mechanism, no data, piece), two of length, the data
 * Threads: one
 * Locks:   none
 * Errors:  aborts when somebody without the password gets in, when a failed exchange goes on, when the layer reads more than was written to it
 */
#include "config.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fuzz.h"
#include "rpc/transport.h"
#include "tests/rpc/sasl_env.h"

#define CHOICE_TCP   1 /* encryption wanted, no plain passwords */
#define CHOICE_LAYER 2 /* a good exchange, then all messages are read through its layer */
#define MESSAGE_NIL  0x80
#define LAYERS_MAX   20000 /* the library loses 16 KiB with each, so that more would look like a find */

static const char *const mechs[] = {"DIGEST-MD5", "SCRAM-SHA-256", "PLAIN", "plain", "CRAM-MD5", "SCRAM-SHA-1", "ANONYMOUS", "DIGEST-MD5,PLAIN"};

typedef struct Message {
    unsigned mech;
    bool nil;
    const char *data;
    size_t len;
} Message;

static bool next_message(const uint8_t **at, const uint8_t *end, Message *ret)
{
    if (end - *at < 3)
        return false;
    const uint8_t *p = *at;
    size_t left = (size_t)(end - p - 3), len = (size_t)(p[1] << 8 | p[2]);
    *ret = (Message){.mech = p[0] % G_N_ELEMENTS(mechs), .nil = p[0] & MESSAGE_NIL, .data = (const char *)p + 3, .len = MIN(len, left)};
    *at = p + 3 + ret->len;
    return true;
}

static void init(void)
{
    static bool done;
    if (done)
        return;
    done = true;
    sasl_env_make("digest-md5 scram-sha-256 scram-sha-1 plain cram-md5 anonymous", true);
    g_assert_cmpint(sasl_client_init(NULL), ==, SASL_OK);
}

/* ---- steps ---- */

static bool has_password(const Message *m)
{
    return memmem(m->data, m->len, SASL_ENV_PASSWORD, strlen(SASL_ENV_PASSWORD)) != NULL;
}

static void steps(uint8_t choice, const uint8_t *data, const uint8_t *end)
{
    bool tcp = choice & CHOICE_TCP, knew = false;
    RpcSasl *s = rpc_sasl_new(&(RpcSaslOpts){.remote = tcp ? "192.0.2.1;99" : NULL, .min_ssf = tcp ? 112 : 0, .plaintext = !tcp}, NULL);
    g_autofree char *list = rpc_sasl_mechs(s, NULL);
    g_assert_nonnull(list);
    RpcSaslResult r = RPC_SASL_CONTINUE;
    unsigned n = 0;
    for (Message m; next_message(&data, end, &m); n++) {
        const char *out = NULL;
        size_t out_len = 0;
        g_autofree char *copy = g_memdup2(m.data, m.len); /* so that a read past the end is seen */
        const char *in = m.nil ? NULL : copy ? copy : "";
        knew = knew || has_password(&m);
        RpcSaslResult now = n == 0 ? rpc_sasl_start(s, mechs[m.mech], in, m.nil ? 0 : m.len, &out, &out_len, NULL)
                                   : rpc_sasl_step(s, in, m.nil ? 0 : m.len, &out, &out_len, NULL);
        g_assert_true(r == RPC_SASL_CONTINUE || now == RPC_SASL_FAILED);
        g_assert_true(out_len <= RPC_SASL_DATA_MAX && (out || out_len == 0));
        g_assert_true(n <= RPC_SASL_STEPS_MAX || now == RPC_SASL_FAILED);
        r = now;
        if (r == RPC_SASL_DONE) {
            g_assert_true(knew); /* nobody guesses it, and no mechanism here tells it */
            g_assert_true(rpc_sasl_ssf(s) >= (tcp ? 112 : 0));
            g_assert_true(g_str_has_prefix(rpc_sasl_user(s), SASL_ENV_USER));
        }
        g_assert_true((rpc_sasl_user(s) != NULL) == (r == RPC_SASL_DONE));
    }
    rpc_sasl_free(s);
}

/* ---- the layer ---- */

static int say_name(void *context, int id, const char **result, unsigned *len)
{
    *result = SASL_ENV_USER;
    if (len)
        *len = (unsigned)strlen(SASL_ENV_USER);
    return SASL_OK;
}

static int say_password(sasl_conn_t *conn, void *context, int id, sasl_secret_t **ret)
{
    static union {
        sasl_secret_t s;
        char room[sizeof(sasl_secret_t) + 64];
    } secret;
    secret.s.len = strlen(SASL_ENV_PASSWORD);
    memcpy(secret.s.data, SASL_ENV_PASSWORD, secret.s.len + 1);
    *ret = &secret.s;
    return SASL_OK;
}

typedef int (*Callback)(void);

/* The server's half of a good exchange; *ret is the client's. */
static RpcSasl *agree(sasl_conn_t **ret)
{
    static const sasl_callback_t callbacks[] = {{SASL_CB_USER, (Callback)(void (*)(void))say_name, NULL},
                                                {SASL_CB_AUTHNAME, (Callback)(void (*)(void))say_name, NULL},
                                                {SASL_CB_PASS, (Callback)(void (*)(void))say_password, NULL},
                                                {SASL_CB_LIST_END, NULL, NULL}};
    static const sasl_security_properties_t props = {.max_ssf = 256, .maxbufsize = 65536};
    const char *out = NULL, *in = NULL, *chosen = NULL;
    unsigned out_len = 0;
    size_t in_len = 0;
    RpcSasl *s = rpc_sasl_new(&(RpcSaslOpts){.min_ssf = 112}, NULL);
    g_free(rpc_sasl_mechs(s, NULL));
    g_assert_cmpint(sasl_client_new("libvirt", "localhost", NULL, NULL, callbacks, SASL_SUCCESS_DATA, ret), ==, SASL_OK);
    g_assert_cmpint(sasl_setprop(*ret, SASL_SEC_PROPS, &props), ==, SASL_OK);
    sasl_client_start(*ret, "DIGEST-MD5", NULL, &out, &out_len, &chosen);
    RpcSaslResult r = rpc_sasl_start(s, "DIGEST-MD5", out, out_len, &in, &in_len, NULL);
    while (r == RPC_SASL_CONTINUE) {
        sasl_client_step(*ret, in, (unsigned)in_len, NULL, &out, &out_len);
        r = rpc_sasl_step(s, out, out_len, &in, &in_len, NULL);
    }
    g_assert_cmpint(r, ==, RPC_SASL_DONE);
    sasl_client_step(*ret, in, (unsigned)in_len, NULL, &out, &out_len);
    return s;
}

/* Messages without MESSAGE_NIL are what a client says, sealed; the others are bytes of anybody's. */
static void layer(const uint8_t *data, const uint8_t *end)
{
    sasl_conn_t *client = NULL;
    int sv[2];
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, sv), ==, 0);
    RpcTransport *t = rpc_transport_sasl(agree(&client));
    t->ops->adopt(t, rpc_transport_plain(sv[1], true));
    size_t said = 0, heard = 0;
    bool honest = true;
    ssize_t n = 0;
    for (Message m; n >= 0 && next_message(&data, end, &m);) {
        const char *out = m.data;
        unsigned len = (unsigned)m.len;
        honest = honest && !m.nil;
        if (!m.nil && len > 0) {
            len = MIN(len, 60000);
            said += len;
            g_assert_cmpint(sasl_encode(client, m.data, len, &out, &len), ==, SASL_OK);
        }
        for (unsigned off = 0; off < len && n >= 0;) {
            ssize_t put = send(sv[0], out + off, MIN(len - off, 1000u + m.mech), MSG_NOSIGNAL);
            g_assert_true(put > 0);
            off += (unsigned)put;
            do {
                char got[777];
                unsigned n_fds = 0;
                int fds[1];
                n = t->ops->read(t, got, sizeof(got), fds, &n_fds);
                heard += n > 0 ? (size_t)n : 0;
            } while (n > 0);
            n = n == -EAGAIN ? 0 : -1;
        }
    }
    g_assert_true(heard <= said);
    if (honest)
        g_assert_true(n == 0 && heard == said);
    rpc_transport_free(t);
    sasl_dispose(&client);
    close(sv[0]);
    close(sv[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    init();
    if (size < 1)
        return 0;
    static unsigned layers;
    if (data[0] & CHOICE_LAYER && layers++ < LAYERS_MAX)
        layer(data + 1, data + size);
    else if (!(data[0] & CHOICE_LAYER))
        steps(data[0], data + 1, data + size);
    return 0;
}

const char *const fuzz_dirs[] = {"tests/fuzz/corpus/sasl", NULL};

/* Short, as each is run with hundreds of changes; whole exchanges are among the files. */
static const struct {
    uint8_t choice;
    const char *mech_and_data[4]; /* mechanism's number and data; "-" before it: no data */
} seeds[] = {
    {CHOICE_TCP, {"-0", "0username=\"fred\",nonce=\"A\""}},
    {0, {"1n,,n=fred,r=x", "1c=biws,r=x,p=y"}},
    {0, {"-4", "4fred 01"}},
    {0, {"7"}},
};

uint8_t *fuzz_seed(unsigned i, size_t *ret_size)
{
    if (i == G_N_ELEMENTS(seeds)) { /* the one that has a NUL in it */
        static const char plain[] = "\0\2\0\14\0fred\0sekrit";
        *ret_size = sizeof(plain) - 1;
        uint8_t *seed = malloc(*ret_size);
        memcpy(seed, plain, *ret_size);
        return seed;
    }
    if (i > G_N_ELEMENTS(seeds))
        return NULL;
    GByteArray *a = g_byte_array_new();
    g_byte_array_append(a, &seeds[i].choice, 1);
    for (unsigned k = 0; k < 4 && seeds[i].mech_and_data[k]; k++) {
        const char *p = seeds[i].mech_and_data[k];
        bool nil = *p == '-';
        p += nil;
        size_t len = strlen(p + 1);
        const uint8_t head[3] = {(uint8_t)((*p - '0') | (nil ? MESSAGE_NIL : 0)), (uint8_t)(len >> 8), (uint8_t)len};
        g_byte_array_append(a, head, 3);
        g_byte_array_append(a, (const guint8 *)p + 1, (guint)len);
    }
    uint8_t *seed = malloc(a->len);
    memcpy(seed, a->data, a->len);
    *ret_size = a->len;
    g_byte_array_unref(a);
    return seed;
}
