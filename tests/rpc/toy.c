/* tests/rpc/toy.c - a real server with a toy service, and a blocking client
 *
 * Owns:    the loop, pool and server of one test
 * Threads: the service on the loop's thread and workers; the client on the test's
 */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/socket.h>

#define ERR_FROM VIR_FROM_RPC

#include "tests/rpc/toy.h"
#include "util/fd.h"

#define WAIT_MS 20000

/* ---- service ---- */

static bool_t filter_text(XDR *x, void *text)
{
    return xdr_string(x, text, 1u << 20);
}

typedef struct Opaque {
    char *data;
    u_int len;
} Opaque;

static bool_t filter_opaque(XDR *x, void *arg)
{
    Opaque *o = arg;
    return xdr_bytes(x, &o->data, &o->len, 64u << 20);
}

static void echo(void *arg)
{
    RpcMsg *m = arg;
    char *text = NULL;
    g_auto(Err) err = ERR_INIT;
    if (rpc_msg_decode(m, (xdrproc_t)filter_text, &text, &err) < 0)
        rpc_reply_error(m, &err);
    else
        rpc_reply(m, (xdrproc_t)filter_text, &text, NULL, 0, NULL);
    xdr_free((xdrproc_t)filter_text, (char *)&text);
    rpc_msg_free(m);
}

static void send_news(void *arg)
{
    g_autoptr(RpcConn) c = arg;
    g_autoptr(GBytes) nothing = g_bytes_new_static("", 0);
    rpc_event_send(c, TOY_PROG, 1, 100, NULL, nothing);
}

static void news(void *arg)
{
    g_autoptr(RpcMsg) m = arg;
    event_post(rpc_conn_loop(m->conn), send_news, rpc_conn_ref(m->conn));
    rpc_reply(m, NULL, NULL, NULL, 0, NULL);
}

static void big(RpcMsg *m)
{
    u_int n = 0;
    rpc_msg_decode(m, (xdrproc_t)xdr_u_int, &n, NULL);
    g_autofree char *data = g_malloc0(n + 1);
    Opaque o = {data, n};
    rpc_reply(m, (xdrproc_t)filter_opaque, &o, NULL, 0, NULL);
}

static void send_fds_back(RpcMsg *m)
{
    int fds[RPC_FDS_MAX];
    unsigned n = m->n_fds;
    for (unsigned i = 0; i < n; i++)
        fds[i] = rpc_msg_take_fd(m, i);
    rpc_reply(m, NULL, NULL, fds, n, NULL);
}

static void on_ended(void *ud, RpcStream *st, RpcStreamEnd how)
{
    Toy *t = ud;
    LOCK_SCOPE(&t->lock);
    t->streams_ended++;
    t->last_end = how;
    cond_broadcast(&t->changed);
}

static u_int arg_at(const RpcMsg *m, unsigned i)
{
    return m->body_len >= 4 * (i + 1) ? get_be32(m->body + 4 * i) : 0;
}

static void open_stream(Toy *t, RpcMsg *m)
{
    RpcStreamOwner owner = {on_ended, t};
    RpcStream *st = NULL;
    switch ((ToyProc)m->h.proc) {
    case TOY_STREAM_BYTES:
    case TOY_STREAM_FAILED_CALL: {
        size_t n = arg_at(m, 0);
        uint8_t *data = g_malloc(n + 1);
        for (size_t i = 0; i < n; i++)
            data[i] = (uint8_t)(i % 251);
        g_autoptr(GBytes) bytes = g_bytes_new_take(data, n);
        st = rpc_stream_open_bytes(m, bytes, &owner);
        break;
    }
    case TOY_STREAM_FD: {
        int sv[2];
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
        if (t->stream_sndbuf)
            assert_int_equal(setsockopt(sv[0], SOL_SOCKET, SO_SNDBUF, &t->stream_sndbuf, sizeof(int)), 0);
        {
            LOCK_SCOPE(&t->lock);
            fd_close(&t->stream_peer);
            t->stream_peer = sv[1];
        }
        st = rpc_stream_open_fd(m, sv[0], -1, &owner);
        break;
    }
    case TOY_STREAM_READ:
        st = rpc_stream_open_read(m, open(t->path, O_RDONLY | O_CLOEXEC), 0, UINT64_MAX, arg_at(m, 0), t->pool, &owner);
        break;
    default:
        st = rpc_stream_open_write(m, open(t->path, O_RDWR | O_CLOEXEC), 0, arg_at(m, 1), arg_at(m, 0), t->pool, &owner);
        break;
    }
    {
        LOCK_SCOPE(&t->lock);
        rpc_stream_unref(t->stream);
        t->stream = rpc_stream_ref(st);
    }
    if (m->h.proc == TOY_STREAM_FAILED_CALL)
        rpc_reply_error(m, NULL);
    else
        rpc_reply(m, NULL, NULL, NULL, 0, NULL);
}

static void on_call(void *ud, RpcMsg *call)
{
    Toy *t = ud;
    g_autoptr(RpcMsg) m = call;
    g_auto(Err) err = ERR_INIT;
    {
        LOCK_SCOPE(&t->lock);
        t->calls++;
        cond_broadcast(&t->changed);
        if (m->h.proc == TOY_HOLD) {
            t->calls_before_hold = t->calls - 1;
            g_ptr_array_add(t->held, g_steal_pointer(&m));
            return;
        }
    }
    switch ((ToyProc)m->h.proc) {
    case TOY_NULL:
        rpc_reply(m, NULL, NULL, NULL, 0, NULL);
        break;
    case TOY_ECHO:
        echo(g_steal_pointer(&m));
        break;
    case TOY_WORKER:
        pool_submit(t->pool, LANE_FAST, echo, g_steal_pointer(&m));
        break;
    case TOY_NEWS:
        pool_submit(t->pool, LANE_FAST, news, g_steal_pointer(&m));
        break;
    case TOY_FAIL:
        err_set(&err, VIR_ERR_OPERATION_INVALID, "toy is broken");
        err_hint(&err, "mend it");
        rpc_reply_error(m, &err);
        break;
    case TOY_FORGET:
        break;
    case TOY_BIG:
        big(m);
        break;
    case TOY_FDS:
        send_fds_back(m);
        break;
    case TOY_CLOSE:
        rpc_reply(m, NULL, NULL, NULL, 0, NULL);
        rpc_conn_close_after_flush(m->conn, "asked to");
        break;
    case TOY_AUTH:
        rpc_conn_authenticated(m->conn);
        rpc_reply(m, NULL, NULL, NULL, 0, NULL);
        break;
    case TOY_KEEPALIVE:
        rpc_conn_keepalive_start(m->conn);
        rpc_reply(m, NULL, NULL, NULL, 0, NULL);
        break;
    case TOY_SWITCH:
        rpc_reply_switch_transport(m, NULL, NULL, t->next_transport(), NULL);
        break;
    case TOY_STREAM_BYTES:
    case TOY_STREAM_FD:
    case TOY_STREAM_READ:
    case TOY_STREAM_WRITE:
    case TOY_STREAM_FAILED_CALL:
        open_stream(t, m);
        break;
    default:
        err_set(&err, VIR_ERR_RPC, "unknown procedure: %d", m->h.proc);
        rpc_reply_error(m, &err);
        break;
    }
}

static bool known(void *ud, RpcConn *c, uint32_t prog, uint32_t vers)
{
    return prog == TOY_PROG && vers == 1;
}

static void on_opened(void *ud, RpcConn *c)
{
    Toy *t = ud;
    LOCK_SCOPE(&t->lock);
    t->opened++;
    rpc_conn_unref(t->conn);
    t->conn = rpc_conn_ref(c);
    cond_broadcast(&t->changed);
}

static void on_closed(void *ud, RpcConn *c, const char *reason)
{
    Toy *t = ud;
    LOCK_SCOPE(&t->lock);
    t->closed++;
    g_free(t->last_reason);
    t->last_reason = g_strdup(reason);
    cond_broadcast(&t->changed);
}

/* ---- server ---- */

void toy_start(Toy *t, const RpcLimits *limits)
{
    *t = (Toy){.stream_peer = -1};
    t->limits = limits ? *limits : RPC_LIMITS_DEFAULT;
    if (!t->spec.name)
        t->spec = (RpcListenerSpec){.name = "toy", .kind = RPC_KIND_UNIX};
    mutex_init(&t->lock, LOCK_REGISTRY, "toy");
    cond_init(&t->changed);
    t->held = g_ptr_array_new();
    t->loop = event_loop_new("toy");
    t->pool = pool_new(&(PoolLimits){.cap = {0, 4, 4, 4}, .max_threads = 16, .idle_ms = 1000});
    RpcService service = {.ud = t, .known_program = known, .call = on_call, .opened = on_opened, .closed = on_closed};
    t->server = rpc_server_new(t->loop, "toy", &t->limits, &service);
    event_loop_start(t->loop);
}

typedef struct OnLoop {
    Toy *t;
    void (*fn)(Toy *t);
    bool done;
} OnLoop;

static void run_on_loop(void *arg)
{
    OnLoop *o = arg;
    o->fn(o->t);
    LOCK_SCOPE(&o->t->lock);
    o->done = true;
    cond_broadcast(&o->t->changed);
}

void toy_on_loop(Toy *t, void (*fn)(Toy *t))
{
    OnLoop o = {t, fn, false};
    event_post(t->loop, run_on_loop, &o);
    Deadline d = deadline_in_ms(WAIT_MS);
    LOCK_SCOPE(&t->lock);
    while (!o.done)
        assert_true(cond_wait_until(&t->changed, &t->lock, d));
}

static void stop_server(Toy *t)
{
    rpc_server_stop(t->server, "test ends");
}

void toy_stop(Toy *t)
{
    toy_on_loop(t, stop_server);
    toy_release_held(t, UINT_MAX);
    pool_free(t->pool);
    rpc_stream_unref(t->stream);
    rpc_conn_unref(t->conn);
    event_loop_stop(t->loop, 0);
    rpc_server_free(t->server);
    event_loop_free(t->loop);
    g_ptr_array_unref(t->held);
    fd_close(&t->stream_peer);
    g_free(t->last_reason);
    cond_done(&t->changed);
    mutex_done(&t->lock);
}

typedef struct Adopt {
    Toy *t;
    int fd;
} Adopt;

static void do_adopt(void *arg)
{
    Adopt *a = arg;
    g_auto(Err) err = ERR_INIT;
    if (!rpc_server_adopt(a->t->server, a->fd, &a->t->spec, &err))
        g_error("%s", err.detail);
    g_free(a);
}

void toy_adopt(Toy *t, int fd)
{
    Adopt *a = g_new0(Adopt, 1);
    *a = (Adopt){t, fd};
    event_post(t->loop, do_adopt, a);
}

int toy_connect(Toy *t)
{
    int sv[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
    struct timeval tv = {.tv_sec = WAIT_MS / 1000};
    assert_int_equal(setsockopt(sv[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)), 0);
    assert_int_equal(setsockopt(sv[0], SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)), 0);
    toy_adopt(t, sv[1]);
    return sv[0];
}

void toy_hang_up_stream(Toy *t)
{
    LOCK_SCOPE(&t->lock);
    fd_close(&t->stream_peer);
    if (t->stream)
        rpc_stream_abort(t->stream, NULL);
}

bool toy_last_reason_has(Toy *t, const char *text)
{
    LOCK_SCOPE(&t->lock);
    return t->last_reason && strstr(t->last_reason, text);
}

/* libtirpc reads the padding of opaques into one static buffer that nobody looks at; GLib's reference counts are atomic, which the
 * sanitizer cannot see in a library built without it. */
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
    return "race:libtirpc.so\nrace:g_bytes_unref\n";
}

unsigned toy_n_held(Toy *t)
{
    LOCK_SCOPE(&t->lock);
    return t->held->len;
}

void toy_wait_held(Toy *t, unsigned n)
{
    toy_wait(t, &t->held->len, n);
}

void toy_release_held(Toy *t, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        RpcMsg *m = NULL;
        {
            LOCK_SCOPE(&t->lock);
            if (t->held->len == 0)
                return;
            m = g_ptr_array_steal_index(t->held, 0);
        }
        rpc_reply(m, NULL, NULL, NULL, 0, NULL);
        rpc_msg_free(m);
    }
}

void toy_wait(Toy *t, const unsigned *counter, unsigned value)
{
    Deadline d = deadline_in_ms(WAIT_MS);
    LOCK_SCOPE(&t->lock);
    while (*counter < value)
        if (!cond_wait_until(&t->changed, &t->lock, d))
            fail_msg("counter stays at %u, waited for %u", *counter, value);
}

/* ---- client ---- */

void put_be32(GByteArray *a, uint32_t v)
{
    v = htonl(v);
    g_byte_array_append(a, (const guint8 *)&v, 4);
}

uint32_t get_be32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, 4);
    return ntohl(v);
}

GByteArray *packet_make(uint32_t type, int32_t proc, uint32_t serial, uint32_t status, const void *body, size_t len)
{
    uint8_t head[RPC_HEADER_SIZE];
    rpc_header_encode(head, &(RpcHeader){TOY_PROG, 1, proc, type, serial, status}, len);
    GByteArray *a = g_byte_array_new();
    g_byte_array_append(a, head, sizeof(head));
    if (len > 0)
        g_byte_array_append(a, body, (guint)len);
    return a;
}

void client_send(int fd, const void *data, size_t len)
{
    const char *p = data;
    while (len > 0) {
        ssize_t n = send(fd, p, len, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            fail_msg("send: %s", strerror(errno));
        p += n;
        len -= (size_t)n;
    }
}

void client_send_packet(int fd, uint32_t type, int32_t proc, uint32_t serial, uint32_t status, const void *body,
                        size_t len)
{
    g_autoptr(GByteArray) a = packet_make(type, proc, serial, status, body, len);
    client_send(fd, a->data, a->len);
}

void client_call(int fd, int32_t proc, uint32_t serial)
{
    client_send_packet(fd, RPC_TYPE_CALL, proc, serial, 0, NULL, 0);
}

void client_call_u32(int fd, int32_t proc, uint32_t serial, uint32_t arg)
{
    arg = htonl(arg);
    client_send_packet(fd, RPC_TYPE_CALL, proc, serial, 0, &arg, 4);
}

/* False at end of file. */
static bool recv_all(int fd, void *to, size_t len)
{
    char *p = to;
    while (len > 0) {
        ssize_t n = recv(fd, p, len, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n == 0 || (n < 0 && errno == ECONNRESET))
            return false;
        if (n < 0)
            fail_msg("recv: %s", strerror(errno));
        p += n;
        len -= (size_t)n;
    }
    return true;
}

bool client_recv(int fd, Packet *ret)
{
    uint8_t head[RPC_HEADER_SIZE];
    if (!recv_all(fd, head, sizeof(head)))
        return false;
    uint32_t len = rpc_header_decode(head, &ret->h);
    assert_true(len >= RPC_HEADER_SIZE && len <= RPC_PACKET_MAX);
    ret->len = len - RPC_HEADER_SIZE;
    ret->body = g_malloc(ret->len + 1);
    return recv_all(fd, ret->body, ret->len);
}

void packet_done(Packet *p)
{
    g_clear_pointer(&p->body, g_free);
}

void client_expect(int fd, uint32_t type, uint32_t serial, uint32_t status, Packet *ret)
{
    Packet p = {0};
    if (!client_recv(fd, &p))
        fail_msg("end of file instead of a packet");
    assert_int_equal(p.h.prog, TOY_PROG);
    assert_int_equal(p.h.type, type);
    assert_int_equal(p.h.serial, serial);
    assert_int_equal(p.h.status, status);
    if (ret)
        *ret = p;
    else
        packet_done(&p);
}

void client_expect_error(int fd, uint32_t type, uint32_t serial, int code, int domain, char **ret_message)
{
    Packet p;
    if (!client_recv(fd, &p))
        fail_msg("end of file instead of an error");
    assert_int_equal(p.h.type, type);
    assert_int_equal(p.h.serial, serial);
    assert_int_equal(p.h.status, RPC_STATUS_ERROR);
    assert_true(p.len >= 16);
    assert_int_equal(get_be32(p.body), code);
    assert_int_equal(get_be32(p.body + 4), domain);
    assert_int_equal(get_be32(p.body + 8), 1);
    uint32_t len = get_be32(p.body + 12);
    assert_true(len <= p.len - 16);
    if (ret_message)
        *ret_message = g_strndup((const char *)p.body + 16, len);
    packet_done(&p);
}

void client_expect_silence(int fd)
{
    client_call(fd, TOY_NULL, 0xfffffff0);
    client_expect(fd, RPC_TYPE_REPLY, 0xfffffff0, RPC_STATUS_OK, NULL);
}

void client_expect_eof(int fd)
{
    Packet p = {0};
    if (client_recv(fd, &p))
        fail_msg("packet of type %u, serial %u instead of end of file", p.h.type, p.h.serial);
    packet_done(&p);
}
