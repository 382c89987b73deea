/* tests/fuzz/fuzz_preauth.c - fuzz target: what a stranger may send to a socket that asks for SASL, into the real gate with all handlers behind it
 *
 * Owns:    the input format: one byte of choices, then messages (one byte of type, two of procedure, two of length, the data) or plain bytes
 * Threads: the client's here; the daemon's event thread and workers of authentication
 * Locks:   none
 * Errors:  aborts when a call is not answered, when anything but AUTH_* is answered with success, when a refusal is not one of those of a
 *          stranger, when somebody gets in though there are no users.  There are no machines either: a handler that is reached finds NULL
 */
#include "config.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/access.h"
#include "daemon/gate.h"
#include "daemon/server.h"
#include "errors.h"
#include "fuzz.h"
#include "protocol/remote_protocol.h"
#include "tests/rpc/sasl_env.h"
#include "util/log.h"

#define CHOICE_TCP    1
#define CHOICE_RAW    2 /* the rest are bytes, not messages */
#define CHOICE_PIECES 4 /* in small pieces */

static Server server;
static RpcService service;
static GMutex lock;
static GCond changed;
static unsigned closed;

static void on_closed(void *ud, RpcConn *c, const char *reason)
{
    g_assert_false(rpc_conn_is_authenticated(c));
    g_mutex_lock(&lock);
    closed++;
    g_cond_broadcast(&changed);
    g_mutex_unlock(&lock);
}

static void init(void)
{
    if (server.rpc)
        return;
    g_assert_cmpint(log_configure(LOG_LEVEL_ERROR, NULL, "4:stderr", NULL), ==, 0);
    sasl_env_make("digest-md5 scram-sha-256 plain", false);
    const PoolLimits limits = {.cap = {[LANE_FAST] = 4, [LANE_NORMAL] = 4, [LANE_LONG] = 4}, .max_threads = 16, .idle_ms = 1000};
    server.client_loop = event_loop_new("client");
    server.pool = pool_new(&limits);
    server.auth_pool = pool_new(&limits);
    server.tcp_min_ssf = 112;
    server.access = access_new(NULL, NULL, NULL);
    service = (RpcService){.ud = &server, .known_program = gate_known_program, .call = gate_call, .opened = gate_opened, .closed = on_closed};
    RpcLimits rl = RPC_LIMITS_DEFAULT;
    rl.max_anonymous_clients = rl.max_clients;
    server.rpc = rpc_server_new(server.client_loop, "libvirt", &rl, &service);
    event_loop_start(server.client_loop);
}

static void on_all_done(void *arg)
{
    g_mutex_lock(&lock);
    *(bool *)arg = true;
    g_cond_broadcast(&changed);
    g_mutex_unlock(&lock);
}

/* The connection is closed, its calls have ended, and what they had posted has run: nothing of it is left. */
static void wait_for_the_end(unsigned before)
{
    bool done = false;
    g_mutex_lock(&lock);
    while (closed == before)
        g_cond_wait(&changed, &lock);
    g_mutex_unlock(&lock);
    g_assert_true(pool_wait_idle(server.auth_pool, deadline_in_ms(30000)));
    event_post(server.client_loop, on_all_done, &done);
    g_mutex_lock(&lock);
    while (!done)
        g_cond_wait(&changed, &lock);
    g_mutex_unlock(&lock);
}

typedef struct Visit {
    int fd;
    RpcKind kind;
} Visit;

static void adopt(void *arg)
{
    const Visit *v = arg;
    RpcListenerSpec spec = {.name = "fuzz", .kind = v->kind, .auth = RPC_AUTH_SASL};
    g_assert_nonnull(rpc_server_adopt(server.rpc, v->fd, &spec, NULL));
}

/* ---- the client ---- */

/* False: the daemon has closed the connection. */
static bool send_all(int fd, const uint8_t *data, size_t len, size_t piece)
{
    while (len > 0) {
        ssize_t n = send(fd, data, MIN(len, piece), MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        data += n;
        len -= (size_t)n;
    }
    return true;
}

static bool recv_all(int fd, void *to, size_t len)
{
    ssize_t n = recv(fd, to, len, MSG_WAITALL);
    g_assert_false(n < 0 && errno == EAGAIN); /* the time is up: something was not answered */
    return n == (ssize_t)len;
}

/* One packet of the daemon's; false at the end.  Counts answers. */
static bool take_packet(int fd, unsigned *answers)
{
    uint8_t head[RPC_HEADER_SIZE];
    RpcHeader h;
    if (!recv_all(fd, head, sizeof(head)))
        return false;
    uint32_t len = rpc_header_decode(head, &h) - RPC_HEADER_SIZE, code = 0;
    g_assert_cmpuint(len, <=, RPC_PACKET_MAX_PREAUTH);
    g_autofree uint8_t *body = g_malloc(len + 1);
    if (len > 0 && !recv_all(fd, body, len))
        return false;
    if (h.type != RPC_TYPE_REPLY) { /* a pong */
        g_assert_cmpuint(h.prog, ==, 0x6b656570);
        return true;
    }
    (*answers)++;
    if (h.status == RPC_STATUS_OK) {
        g_assert_cmpuint(h.prog, ==, REMOTE_PROGRAM);
        g_assert_true(h.proc >= REMOTE_PROC_AUTH_LIST && h.proc <= REMOTE_PROC_AUTH_SASL_STEP);
        return true;
    }
    g_assert_cmpuint(len, >=, 4);
    memcpy(&code, body, 4);
    code = ntohl(code);
    g_assert_true(code == VIR_ERR_RPC || code == VIR_ERR_AUTH_FAILED || code == VIR_ERR_NO_SUPPORT);
    return true;
}

/* Sends messages, and waits for as many answers as there were calls. */
static void talk(int fd, const uint8_t *at, const uint8_t *end, size_t piece)
{
    unsigned calls = 0, answers = 0;
    bool alive = true;
    for (uint32_t serial = 0; alive && end - at >= 5; serial++) {
        static const uint32_t progs[] = {REMOTE_PROGRAM, 0x20008087, 0x00068000, 0x62657274, 0x6b656570, 0x06900690};
        RpcHeader h = {progs[at[0] / 8 % G_N_ELEMENTS(progs)], 1, at[1] << 8 | at[2], at[0] % 8, serial, 0};
        size_t len = MIN((size_t)(at[3] << 8 | at[4]), (size_t)(end - at - 5));
        g_autofree uint8_t *packet = g_malloc(RPC_HEADER_SIZE + len);
        rpc_header_encode(packet, &h, len);
        memcpy(packet + RPC_HEADER_SIZE, at + 5, len);
        calls += h.type == RPC_TYPE_CALL || h.type == RPC_TYPE_CALL_FDS;
        alive = send_all(fd, packet, RPC_HEADER_SIZE + len, piece);
        at += 5 + len;
        while (alive && calls > answers + 3) /* fewer than it takes at once, so that neither side waits for the other */
            alive = take_packet(fd, &answers);
    }
    while (answers < calls && take_packet(fd, &answers))
        ;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int sv[2];
    const struct timeval tv = {.tv_sec = 30};
    init();
    if (size < 1)
        return 0;
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), ==, 0);
    g_assert_cmpint(setsockopt(sv[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)), ==, 0);
    g_assert_cmpint(setsockopt(sv[0], SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)), ==, 0);
    g_mutex_lock(&lock);
    unsigned before = closed;
    g_mutex_unlock(&lock);
    Visit v = {sv[1], data[0] & CHOICE_TCP ? RPC_KIND_TCP : RPC_KIND_UNIX};
    event_post(server.client_loop, adopt, &v);
    size_t piece = data[0] & CHOICE_PIECES ? (size_t)data[0] / 8 + 1 : size + RPC_HEADER_SIZE;
    if (data[0] & CHOICE_RAW)
        send_all(sv[0], data + 1, size - 1, piece);
    else
        talk(sv[0], data + 1, data + size, piece);
    unsigned answers = 0;
    shutdown(sv[0], SHUT_WR);
    while (take_packet(sv[0], &answers))
        ;
    close(sv[0]);
    wait_for_the_end(before);
    return 0;
}

const char *const fuzz_dirs[] = {"tests/fuzz/corpus/preauth", NULL};

/* Mechanisms and a start; calls of a stranger; keepalive and a call with descriptors; bytes.  As pairs of digits, for type, procedure, length
 * and data of each message. */
static const char *const seeds[] = {
    "00 0000430000 0000440014 00000005504c41494e0000000000000000000000",
    "01 0000420000 000001000400000000 00004500080000000100000000",
    "04 2200010000 040043000400000001",
    "02 0000001c2000808600000001000000430000000000000007 00000000",
};

uint8_t *fuzz_seed(unsigned i, size_t *ret_size)
{
    if (i >= G_N_ELEMENTS(seeds))
        return NULL;
    uint8_t *seed = malloc(strlen(seeds[i]) / 2 + 1);
    *ret_size = 0;
    for (const char *p = seeds[i]; *p; p++)
        if (*p != ' ') {
            seed[(*ret_size)++] = (uint8_t)(g_ascii_xdigit_value(p[0]) << 4 | g_ascii_xdigit_value(p[1]));
            p++;
        }
    return seed;
}
