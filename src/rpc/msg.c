/* rpc/msg.c - a received packet, and the answers to it
 *
 * Owns:    decoding of arguments, encoding of replies, errors and events; not the queue they go to (conn.c)
 * Threads: any; an RpcMsg belongs to one at a time
 * Errors:  Err, VIR_ERR_RPC, origin RPC
 */
#include "config.h"

#include <arpa/inet.h>
#include <string.h>

#define ERR_FROM VIR_FROM_RPC

#include "rpc/internal.h"
#include "util/closer.h"
#include "util/fault.h"
#include "util/fd.h"

#define ENCODE_SCRATCH 8192u                                /* most replies fit; longer ones are measured first */
#define BODY_MAX (RPC_PACKET_MAX - RPC_HEADER_SIZE - 4u)    /* room for a descriptor count or callback id kept */
#define ERROR_TEXT_MAX 65536u                               /* bytes of one text in an error */

RpcMsg *rpc_msg_free(RpcMsg *m)
{
    if (!m)
        return NULL;
    if (m->expects_reply && !m->answered)
        rpc_reply_error(m, NULL);
    fd_close_elsewhere(m->fds, m->n_fds);
    rpc_stream_unref(m->stream);
    rpc_conn_unref(m->conn);
    g_free(m->data);
    g_free(m);
    return NULL;
}

int rpc_msg_take_fd(RpcMsg *m, unsigned i)
{
    return i < m->n_fds ? take_fd(&m->fds[i]) : -1;
}

int rpc_msg_decode(const RpcMsg *m, xdrproc_t filter, void *args, Err *err)
{
    XDR x;
    char *body = NULL;
    memcpy(&body, &m->body, sizeof(body)); /* a decoding stream only reads */
    xdrmem_create(&x, body, (u_int)m->body_len, XDR_DECODE);
    bool_t ok = filter(&x, args);
    xdr_destroy(&x);
    return ok ? 0 : err_set(err, VIR_ERR_RPC, "unable to decode the arguments of procedure %d", m->h.proc);
}

/* Encodes into `to`; the number of bytes, or -1 when they do not fit or the value breaks a bound of its type. */
static ssize_t encode_into(void *to, size_t len, xdrproc_t filter, const void *data)
{
    XDR x;
    void *value = NULL;
    memcpy(&value, &data, sizeof(value)); /* an encoding stream only reads it */
    xdrmem_create(&x, to, (u_int)len, XDR_ENCODE);
    ssize_t n = filter(&x, value) ? (ssize_t)xdr_getpos(&x) : -1;
    xdr_destroy(&x);
    return n;
}

static int check_body_len(size_t len, Err *err)
{
    if (len > BODY_MAX)
        return err_set(err, VIR_ERR_RPC, "message of %zu bytes is too large, a peer accepts %u", len, BODY_MAX);
    return 0;
}

/* Payload of `data` in `scratch` (returns NULL) or in memory of its own; *ret_len is -1 on failure. */
static uint8_t *encode(uint8_t scratch[ENCODE_SCRATCH], xdrproc_t filter, const void *data, ssize_t *ret_len, Err *err)
{
    *ret_len = 0;
    if (!filter)
        return NULL;
    *ret_len = encode_into(scratch, ENCODE_SCRATCH, filter, data);
    if (*ret_len >= 0)
        return NULL;
    void *value = NULL;
    memcpy(&value, &data, sizeof(value));
    size_t need = xdr_sizeof(filter, value);
    if (need <= ENCODE_SCRATCH) { /* the scratch was not too small, the value is at fault */
        err_set(err, VIR_ERR_RPC, "unable to encode the message payload");
        return NULL;
    }
    if (check_body_len(need, err) < 0)
        return NULL;
    uint8_t *own = FAULT("reply") ? NULL : g_try_malloc(need);
    if (!own) {
        err_set(err, VIR_ERR_NO_MEMORY, "a message of %zu bytes", need);
        return NULL;
    }
    *ret_len = encode_into(own, need, filter, data);
    if (*ret_len < 0) {
        g_free(own);
        err_set(err, VIR_ERR_RPC, "unable to encode the message payload");
        return NULL;
    }
    return own;
}

GBytes *rpc_encode(xdrproc_t filter, const void *data, Err *err)
{
    uint8_t scratch[ENCODE_SCRATCH];
    ssize_t len = 0;
    uint8_t *own = encode(scratch, filter, data, &len, err);
    if (len < 0)
        return NULL;
    return own ? g_bytes_new_take(own, (gsize)len) : g_bytes_new(scratch, (gsize)len);
}

static void put_u32(GByteArray *a, uint32_t v)
{
    v = htonl(v);
    g_byte_array_append(a, (const guint8 *)&v, 4);
}

static void put_optional_text(GByteArray *a, const char *text)
{
    if (!text) {
        put_u32(a, 0);
        return;
    }
    size_t len = strlen(text);
    if (len > ERROR_TEXT_MAX)
        len = (size_t)(g_utf8_find_prev_char(text, text + ERROR_TEXT_MAX + 1) - text);
    put_u32(a, 1);
    put_u32(a, (uint32_t)len);
    g_byte_array_append(a, (const guint8 *)text, (guint)len);
    static const guint8 zeros[4] = {0};
    g_byte_array_append(a, zeros, (guint)((4 - len % 4) % 4));
}

GBytes *rpc_encode_error(const Err *err)
{
    g_auto(Err) unset = ERR_INIT;
    if (!err_is_set(err)) {
        err_set(&unset, VIR_ERR_INTERNAL_ERROR, "the handler failed without saying why");
        err = &unset;
    }
    g_autofree char *message = err_message(err);
    GByteArray *a = g_byte_array_sized_new(256);
    put_u32(a, (uint32_t)err->code);
    put_u32(a, (uint32_t)err->domain);
    put_optional_text(a, message);
    put_u32(a, (uint32_t)(err->level ? err->level : VIR_ERR_ERROR));
    put_u32(a, 0); /* dom */
    put_optional_text(a, err->bare ? "%s" : err_code_template(err->code, err->detail != NULL));
    put_optional_text(a, err->detail);
    put_optional_text(a, NULL);
    put_u32(a, err->code == VIR_ERR_SYSTEM_ERROR ? (uint32_t)err->os_errno : UINT32_MAX);
    put_u32(a, UINT32_MAX);
    put_u32(a, 0); /* net */
    return g_byte_array_free_to_bytes(a);
}

static RpcHeader reply_header(const RpcMsg *call, RpcType type, RpcStatus status)
{
    RpcHeader h = call->h;
    h.type = type;
    h.status = status;
    return h;
}

void rpc_reply_error(RpcMsg *call, const Err *err)
{
    g_assert(call->expects_reply && !call->answered);
    call->answered = true;
    OutItem *it = out_item_new(0);
    gsize len = 0;
    it->shared = rpc_encode_error(err);
    it->data = g_bytes_get_data(it->shared, &len);
    it->len = len;
    it->ends_call = true;
    RpcHeader h = reply_header(call, RPC_TYPE_REPLY, RPC_STATUS_ERROR);
    out_item_set_header(it, &h, 0);
    conn_send(call->conn, it);
    if (call->stream)
        stream_drop(call->stream);
}

static int reply(RpcMsg *call, xdrproc_t filter, const void *ret, const int *fds, unsigned n_fds, RpcTransport *next,
                 Err *err)
{
    g_assert(call->expects_reply && !call->answered);
    g_assert(n_fds <= RPC_FDS_MAX);
    uint8_t scratch[ENCODE_SCRATCH];
    ssize_t len = 0;
    g_auto(Err) why = ERR_INIT;
    uint8_t *own = encode(scratch, filter, ret, &len, &why);
    if (len < 0) {
        for (unsigned i = 0; i < n_fds; i++) {
            int fd = fds[i];
            fd_close(&fd);
        }
        rpc_transport_free(next);
        rpc_reply_error(call, &why);
        err_move(err, &why);
        return -1;
    }
    call->answered = true;
    OutItem *it = out_item_new(own ? 0 : (size_t)len);
    if (own)
        it->data = it->own = own;
    else
        memcpy(it->inline_data, scratch, (size_t)len);
    it->len = (size_t)len;
    it->ends_call = true;
    it->next_transport = next;
    if (n_fds > 0) {
        it->fds = g_memdup2(fds, n_fds * sizeof(*fds));
        it->n_fds = n_fds;
        uint32_t count = htonl(n_fds);
        memcpy(it->head + RPC_HEADER_SIZE, &count, 4);
    }
    if (call->stream)
        it->starts = rpc_stream_ref(call->stream);
    RpcHeader h = reply_header(call, n_fds > 0 ? RPC_TYPE_REPLY_FDS : RPC_TYPE_REPLY, RPC_STATUS_OK);
    out_item_set_header(it, &h, n_fds > 0 ? 4 : 0);
    conn_send(call->conn, it);
    return 0;
}

int rpc_reply(RpcMsg *call, xdrproc_t filter, const void *ret, const int *fds, unsigned n_fds, Err *err)
{
    return reply(call, filter, ret, fds, n_fds, NULL, err);
}

int rpc_reply_encoded(RpcMsg *call, GBytes *body, Err *err)
{
    g_assert(call->expects_reply && !call->answered);
    gsize len = 0;
    const uint8_t *data = g_bytes_get_data(body, &len);
    if (check_body_len(len, err) < 0) {
        rpc_reply_error(call, err);
        return -1;
    }
    call->answered = true;
    OutItem *it = out_item_new(0);
    it->shared = g_bytes_ref(body);
    it->data = data;
    it->len = len;
    it->ends_call = true;
    RpcHeader h = reply_header(call, RPC_TYPE_REPLY, RPC_STATUS_OK);
    out_item_set_header(it, &h, 0);
    conn_send(call->conn, it);
    return 0;
}

int rpc_reply_switch_transport(RpcMsg *call, xdrproc_t filter, const void *ret, RpcTransport *next, Err *err)
{
    RpcConn *c = call->conn;
    event_assert_thread(c->loop);
    c->switching = true;
    int r = reply(call, filter, ret, NULL, 0, next, err);
    if (r < 0)
        c->switching = false;
    return r;
}

void rpc_event_send(RpcConn *c, uint32_t prog, uint32_t vers, int32_t proc, const int32_t *callback_id, GBytes *payload)
{
    if (!rpc_conn_is_alive(c))
        return;
    OutItem *it = out_item_new(0);
    gsize len = 0;
    it->shared = g_bytes_ref(payload);
    it->data = g_bytes_get_data(payload, &len);
    it->len = len;
    if (callback_id) {
        uint32_t id = htonl((uint32_t)*callback_id);
        memcpy(it->head + RPC_HEADER_SIZE, &id, 4);
    }
    RpcHeader h = {.prog = prog, .vers = vers, .proc = proc, .type = RPC_TYPE_MESSAGE, .serial = 1};
    out_item_set_header(it, &h, callback_id ? 4 : 0);
    conn_send(c, it);
}
