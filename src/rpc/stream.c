/* rpc/stream.c - bulk data beside a call
 *
 * Owns:    the states of a stream, its packets both ways, its end; not where bytes come from or go to (stream_fd.c, stream_file.c)
 * Threads: client event thread; opening, aborting and refs from any
 * Errors:  sent to the client as the stream's failure
 *
 * Theory of operation.  A kind gives one data packet when asked (produce) and is asked again when that has left, so at most one packet per
 * stream is queued.  Input packets queue here, each keeping its place of the client's in-flight cap until the kind has used it up; that
 * is the only bound needed, because a full cap stops the socket.  A finish waits for the input before it, an abort does not.
 *
 * The end is told to the owner exactly once, after the last pool task of the stream is over, so that the owner may count on nobody
 * touching its file any more.
 */
#include "config.h"

#include <arpa/inet.h>
#include <endian.h>
#include <string.h>

#define LOG_AREA "rpc.stream"
#define ERR_FROM VIR_FROM_STREAMS

#include "rpc/stream_internal.h"
#include "util/log.h"

const char *const rpc_stream_end_names[RPC_STREAM_END_MAX] = {
    [RPC_STREAM_FINISHED] = "finished",
    [RPC_STREAM_ABORTED] = "aborted",
    [RPC_STREAM_FAILED] = "failed",
    [RPC_STREAM_CLOSED] = "closed",
};

/* ---- life ---- */

RpcStream *stream_new(RpcMsg *call, const StreamKind *kind, void *pump, bool sparse, const RpcStreamOwner *owner)
{
    g_assert(!call->stream && !call->answered);
    RpcStream *st = g_new0(RpcStream, 1);
    st->refs = 1;
    st->kind = kind;
    st->conn = rpc_conn_ref(call->conn);
    st->call = call->h;
    if (owner)
        st->owner = *owner;
    st->pump = pump;
    st->sparse = sparse;
    g_queue_init(&st->input);
    call->stream = st;
    return st;
}

RpcStream *rpc_stream_ref(RpcStream *st)
{
    g_atomic_int_inc(&st->refs);
    return st;
}

RpcStream *rpc_stream_unref(RpcStream *st)
{
    if (!st || !g_atomic_int_dec_and_test(&st->refs))
        return NULL;
    g_assert(st->told);
    if (st->early_error)
        g_bytes_unref(st->early_error);
    rpc_conn_unref(st->conn);
    g_free(st);
    return NULL;
}

RpcConn *rpc_stream_conn(const RpcStream *st)
{
    return st->conn;
}

/* Frees the kind's part and the input left over, and tells the owner, once no task runs (a task may be reading the input). */
static void tell_end(RpcStream *st)
{
    if (st->busy > 0 || st->told)
        return;
    st->told = true;
    st->kind->free(st);
    st->pump = NULL;
    log_debug("%s: stream of procedure %d, serial %u: %s", rpc_conn_name(st->conn), st->call.proc, st->call.serial,
              rpc_stream_end_names[st->how]);
    if (st->owner.ended)
        st->owner.ended(st->owner.ud, st, st->how);
    while (st->input.length > 0)
        stream_input_done(st);
}

static void stream_end(RpcStream *st, RpcStreamEnd how)
{
    if (st->state == STREAM_ENDED)
        return;
    StreamState old = st->state;
    HOLD_STREAM(st);
    st->state = STREAM_ENDED;
    st->how = how;
    st->deadline = sd_event_source_disable_unref(st->deadline);
    if (old != STREAM_OPENING && st->kind->stop)
        st->kind->stop(st);
    if (st->listed) {
        st->listed = false;
        if (g_ptr_array_remove_fast(st->conn->streams, st))
            rpc_stream_unref(st);
    }
    tell_end(st);
}

bool stream_task_done(RpcStream *st)
{
    st->busy--;
    if (st->state != STREAM_ENDED)
        return true;
    tell_end(st);
    return false;
}

void stream_conn_closed(RpcStream *st)
{
    st->listed = false; /* the connection takes it off its list itself */
    stream_end(st, RPC_STREAM_CLOSED);
}

static void do_drop(void *arg)
{
    g_autoptr(RpcStream) st = arg;
    if (st->state == STREAM_OPENING)
        stream_end(st, RPC_STREAM_CLOSED);
}

void stream_drop(RpcStream *st)
{
    event_post(st->conn->loop, do_drop, rpc_stream_ref(st));
}

/* ---- to the client ---- */

static void send_item(RpcStream *st, OutItem *it, RpcType type, RpcStatus status)
{
    RpcHeader h = st->call;
    h.type = type;
    h.status = status;
    out_item_set_header(it, &h, 0);
    if (status == RPC_STATUS_CONTINUE) {
        st->sending = true;
        it->pumps = rpc_stream_ref(st);
    }
    conn_send(st->conn, it);
}

void stream_give(RpcStream *st, const uint8_t *data, size_t len, GBytes *shared)
{
    g_assert(len <= RPC_STREAM_DATA_MAX);
    OutItem *it = out_item_new(shared ? 0 : len);
    if (shared) {
        it->shared = g_bytes_ref(shared);
        it->data = data;
        it->len = len;
    } else if (len > 0) {
        memcpy(it->inline_data, data, len);
    }
    send_item(st, it, RPC_TYPE_STREAM, RPC_STATUS_CONTINUE);
}

void stream_give_own(RpcStream *st, uint8_t *own, size_t len)
{
    g_assert(len <= RPC_STREAM_DATA_MAX);
    OutItem *it = out_item_new(0);
    it->data = it->own = own;
    it->len = len;
    send_item(st, it, RPC_TYPE_STREAM, RPC_STATUS_CONTINUE);
}

void stream_give_hole(RpcStream *st, uint64_t len)
{
    OutItem *it = out_item_new(12);
    uint64_t be = htobe64(len);
    memcpy(it->inline_data, &be, 8);
    memset(it->inline_data + 8, 0, 4);
    send_item(st, it, RPC_TYPE_HOLE, RPC_STATUS_CONTINUE);
}

void stream_give_eof(RpcStream *st)
{
    st->eof = true;
    stream_give(st, NULL, 0, NULL);
}

void stream_pump(RpcStream *st)
{
    if (st->in_pump || !st->kind->produce)
        return;
    HOLD_STREAM(st);
    st->in_pump = true;
    while (st->state == STREAM_RUNNING && !st->sending && !st->eof && st->kind->produce(st))
        ;
    st->in_pump = false;
}

void stream_sent(RpcStream *st)
{
    st->sending = false;
    stream_pump(st);
}

static void fail_encoded(RpcStream *st, GBytes *encoded)
{
    gsize len = 0;
    OutItem *it = out_item_new(0);
    it->shared = g_bytes_ref(encoded);
    it->data = g_bytes_get_data(encoded, &len);
    it->len = len;
    HOLD_STREAM(st);
    send_item(st, it, RPC_TYPE_STREAM, RPC_STATUS_ERROR);
    stream_end(st, RPC_STREAM_FAILED);
}

void stream_fail(RpcStream *st, const Err *err)
{
    if (st->state != STREAM_RUNNING && st->state != STREAM_FINISHING)
        return;
    log_info("%s: stream of procedure %d failed: %s", rpc_conn_name(st->conn), st->call.proc, err ? err->detail : "?");
    g_autoptr(GBytes) encoded = rpc_encode_error(err);
    fail_encoded(st, encoded);
}

typedef struct Abort {
    RpcStream *st;
    GBytes *encoded;
} Abort;

static void do_abort(void *arg)
{
    Abort *a = arg;
    RpcStream *st = a->st;
    if (st->state == STREAM_RUNNING || st->state == STREAM_FINISHING)
        fail_encoded(st, a->encoded);
    else if (st->state == STREAM_OPENING && !st->early_error)
        st->early_error = g_bytes_ref(a->encoded);
    g_bytes_unref(a->encoded);
    rpc_stream_unref(st);
    g_free(a);
}

void rpc_stream_abort(RpcStream *st, const Err *err)
{
    Abort *a = g_new0(Abort, 1);
    a->st = rpc_stream_ref(st);
    a->encoded = rpc_encode_error(err);
    event_post(st->conn->loop, do_abort, a);
}

void stream_confirm(RpcStream *st)
{
    HOLD_STREAM(st);
    send_item(st, out_item_new(0), RPC_TYPE_STREAM, RPC_STATUS_OK);
    stream_end(st, RPC_STREAM_FINISHED);
}

void stream_start(RpcStream *st)
{
    g_assert(st->state == STREAM_OPENING);
    st->state = STREAM_RUNNING;
    st->listed = true;
    g_ptr_array_add(st->conn->streams, rpc_stream_ref(st));
    if (st->early_error) {
        fail_encoded(st, st->early_error);
        return;
    }
    if (st->conn->streams->len > RPC_STREAMS_MAX) {
        g_auto(Err) err = ERR_INIT;
        err_set(&err, VIR_ERR_RESOURCE_BUSY, "this connection has %u streams open already", RPC_STREAMS_MAX);
        stream_fail(st, &err);
        return;
    }
    if (st->kind->start)
        st->kind->start(st);
    stream_pump(st);
}

/* ---- from the client ---- */

RpcStream *conn_find_stream(RpcConn *c, const RpcHeader *h)
{
    for (guint i = 0; i < c->streams->len; i++) {
        RpcStream *st = c->streams->pdata[i];
        if (st->call.serial == h->serial && st->call.prog == h->prog && st->call.vers == h->vers &&
            st->call.proc == h->proc)
            return st;
    }
    return NULL;
}

void stream_input_done(RpcStream *st)
{
    RpcMsg *m = g_queue_pop_head(&st->input);
    st->input_off = 0;
    g_autoptr(RpcConn) c = rpc_conn_ref(m->conn);
    rpc_msg_free(m);
    conn_release(c);
}

static int on_finish_deadline(sd_event_source *s, uint64_t usec, void *userdata)
{
    RpcStream *st = userdata;
    g_auto(Err) err = ERR_INIT;
    err_set(&err, VIR_ERR_OPERATION_TIMEOUT, "the other end of the stream does not take its last data");
    stream_fail(st, &err);
    return 0;
}

/* A finish waits for queued input, but not for ever. */
static void begin_finish(RpcStream *st)
{
    st->state = STREAM_FINISHING;
    if (st->input.length == 0 || st->busy > 0)
        return; /* done at once, or pool tasks that end by themselves */
    if (sd_event_add_time_relative(event_loop_sd(st->conn->loop), &st->deadline, CLOCK_MONOTONIC,
                                   (uint64_t)RPC_STREAM_FINISH_MS * 1000, 0, on_finish_deadline, st) < 0)
        log_warning("no timer for the end of a stream");
}

void stream_consume(RpcStream *st)
{
    if (st->in_input)
        return;
    HOLD_STREAM(st);
    st->in_input = true;
    guint before = 0;
    do {
        before = st->input.length;
        if (before > 0 && (st->state == STREAM_RUNNING || st->state == STREAM_FINISHING))
            st->kind->consume(st);
    } while (st->state != STREAM_ENDED && st->input.length > 0 && st->input.length != before);
    st->in_input = false;
    if (st->state == STREAM_FINISHING && st->input.length == 0 && st->busy == 0 && !st->finish_asked) {
        st->finish_asked = true;
        if (!st->kind->finish || st->kind->finish(st))
            stream_confirm(st);
    }
}

/* Puts data or a hole into the queue; false when the stream takes none or the packet is no good. */
static bool accept_input(RpcStream *st, RpcMsg *m)
{
    g_auto(Err) err = ERR_INIT;
    if (m->h.type == RPC_TYPE_HOLE && (!st->sparse || !st->kind->consume)) {
        conn_fail(st->conn, "protocol error: hole in a stream that allows none");
        return false;
    }
    if (st->state != STREAM_RUNNING)
        return false;
    if (!st->kind->consume) {
        err_set(&err, VIR_ERR_RPC, "this stream takes no data");
        stream_fail(st, &err);
        return false;
    }
    if (m->h.type == RPC_TYPE_HOLE) {
        int64_t len = 0;
        uint32_t flags = 1;
        if (m->body_len >= 12) {
            memcpy(&len, m->body, 8);
            len = (int64_t)be64toh((uint64_t)len);
            memcpy(&flags, m->body + 8, 4);
        }
        if (len <= 0 || flags != 0) {
            err_set(&err, VIR_ERR_RPC, "malformed hole in a stream");
            stream_fail(st, &err);
            return false;
        }
    }
    g_queue_push_tail(&st->input, m);
    return true;
}

void stream_packet(RpcStream *st, RpcMsg *m)
{
    HOLD_STREAM(st);
    RpcConn *c = st->conn;
    uint32_t status = m->h.status;
    if (m->h.type == RPC_TYPE_HOLE || status == RPC_STATUS_CONTINUE) {
        if (accept_input(st, m)) {
            stream_consume(st);
            return;
        }
    } else if (status == RPC_STATUS_OK && st->state == STREAM_RUNNING) {
        begin_finish(st);
        stream_consume(st);
    } else if (status == RPC_STATUS_ERROR) {
        send_item(st, out_item_new(0), RPC_TYPE_STREAM, RPC_STATUS_OK);
        stream_end(st, RPC_STREAM_ABORTED);
    }
    rpc_msg_free(m);
    conn_release(c);
}

/* ---- from memory ---- */

typedef struct BytesPump {
    GBytes *data;
    size_t off;
} BytesPump;

static bool bytes_produce(RpcStream *st)
{
    BytesPump *p = st->pump;
    gsize len = 0;
    const uint8_t *data = g_bytes_get_data(p->data, &len);
    size_t n = MIN(len - p->off, RPC_STREAM_DATA_MAX);
    p->off += n;
    if (n == 0)
        stream_give_eof(st);
    else
        stream_give(st, data + p->off - n, n, p->data);
    return true;
}

static void bytes_free(RpcStream *st)
{
    BytesPump *p = st->pump;
    g_bytes_unref(p->data);
    g_free(p);
}

static const StreamKind bytes_kind = {
    .name = "memory",
    .produce = bytes_produce,
    .free = bytes_free,
};

RpcStream *rpc_stream_open_bytes(RpcMsg *call, GBytes *data, const RpcStreamOwner *owner)
{
    BytesPump *p = g_new0(BytesPump, 1);
    p->data = g_bytes_ref(data);
    return stream_new(call, &bytes_kind, p, false, owner);
}
