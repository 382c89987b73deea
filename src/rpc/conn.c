/* rpc/conn.c - one client connection
 *
 * Owns:    the socket, its reader and out-queue, the state, the in-flight count; not what packets mean (dispatch.c) nor who the peer is
 *          (conn_info.c)
 * Threads: client event thread; posting, refs and closing from any
 * Locks:   conn.lock (leaf): packets posted by other threads, the reason of the end
 * Errors:  a connection ends with a reason, logged once
 *
 * Theory of operation.  One read takes what the socket has into the server's scratch buffer, the reader cuts packets out of it and each is
 * dispatched at once; answers given meanwhile are gathered and leave in one write at the end of the round.  When the in-flight cap is
 * reached the rest of the input is copied aside and the socket is not read until an answer has left.  So an idle connection holds no
 * buffer, and a call answered on the event thread costs one read and one write.
 *
 * Nothing is torn down under a caller: what goes wrong deep in a callback marks the connection dead and posts the teardown.
 */
#include "config.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

#define LOG_AREA "rpc.conn"

#include "rpc/internal.h"
#include "util/fd.h"
#include "util/log.h"

static void conn_process(RpcConn *c);
static void conn_flush(RpcConn *c);
static void finish_closing(RpcConn *c);

/* ---- life ---- */

RpcConn *rpc_conn_ref(RpcConn *c)
{
    g_atomic_int_inc(&c->refs);
    return c;
}

RpcConn *rpc_conn_unref(RpcConn *c)
{
    if (!c || !g_atomic_int_dec_and_test(&c->refs))
        return NULL;
    g_assert(c->fd < 0);
    while (c->posted) {
        OutItem *it = c->posted;
        c->posted = it->next;
        out_item_free(it);
    }
    if (c->userdata_free)
        c->userdata_free(c->userdata);
    g_ptr_array_unref(c->streams);
    mutex_done(&c->lock);
    g_free(c->reason);
    g_free(c->name);
    g_free(c->peer.address);
    g_free(c->peer.sasl_user);
    g_free(c->peer.x509_dname);
    listener_unref(c->listener);
    server_unref(c->server);
    g_free(c);
    return NULL;
}

/* State changes are few and all logged. */
static void set_state(RpcConn *c, RpcConnState state)
{
    RpcConnState old = rpc_conn_state(c);
    if (old == state)
        return;
    g_assert(state > old);
    log_debug("%s: %s -> %s", c->name, rpc_conn_state_names[old], rpc_conn_state_names[state]);
    __atomic_store_n(&c->state, (int)state, __ATOMIC_SEQ_CST);
}

/* What epoll shall tell: reading while there is room for calls, writing while something waits. */
static void update_events(RpcConn *c)
{
    if (!c->io || c->dead)
        return;
    RpcConnState state = rpc_conn_state(c);
    uint32_t events = 0;
    uint32_t wants = c->transport->ops->wants ? c->transport->ops->wants(c->transport) : 0;
    if (state == RPC_CONN_HANDSHAKE)
        events = wants ? wants : EPOLLIN;
    else if (state < RPC_CONN_CLOSING && c->in_flight < c->server->limits.max_client_requests)
        events = EPOLLIN | wants;
    if (c->out.head)
        events |= wants ? wants : EPOLLOUT;
    if (sd_event_source_set_io_events(c->io, events) < 0)
        conn_fail(c, "cannot watch its socket");
}

static void count_anonymous(RpcConn *c, bool anonymous)
{
    if (c->anonymous == anonymous)
        return;
    c->anonymous = anonymous;
    if (anonymous)
        c->server->n_anonymous++;
    else
        c->server->n_anonymous--;
    server_update_accept(c->server);
}

static int on_deadline(sd_event_source *s, uint64_t usec, void *userdata)
{
    RpcConn *c = userdata;
    if (rpc_conn_state(c) == RPC_CONN_CLOSING)
        conn_fail(c, "takes no data while closing");
    else
        conn_fail(c, "not authenticated in time");
    return 0;
}

static void set_deadline(RpcConn *c, unsigned ms)
{
    c->deadline = sd_event_source_disable_unref(c->deadline);
    if (ms > 0 && sd_event_add_time_relative(event_loop_sd(c->loop), &c->deadline, CLOCK_MONOTONIC,
                                             (uint64_t)ms * 1000, 0, on_deadline, c) < 0)
        conn_fail(c, "no timer");
}

/* The transport is ready: authentication, or straight to work. */
static void enter_auth(RpcConn *c)
{
    if (c->listener->spec.auth == RPC_AUTH_NONE)
        rpc_conn_authenticated(c);
    else
        set_state(c, RPC_CONN_AUTH);
    update_events(c);
}

static void do_handshake(RpcConn *c)
{
    const char *why = "handshake failed";
    int r = c->transport->ops->handshake ? c->transport->ops->handshake(c->transport, &why) : 0;
    if (r == 0)
        enter_auth(c);
    else if (r == -EAGAIN)
        update_events(c);
    else
        conn_fail(c, "%s: %s", why, g_strerror(-r));
}

/* ---- reading ---- */

static bool may_take(const RpcConn *c)
{
    RpcConnState state = rpc_conn_state(c);
    return !c->dead && (state == RPC_CONN_AUTH || state == RPC_CONN_OPEN) &&
           c->in_flight < c->server->limits.max_client_requests;
}

/* Dispatches the input there is as far as the cap allows, and sends what was answered. */
static void conn_process(RpcConn *c)
{
    if (c->processing)
        return;
    c->processing = true;
    do {
        while (may_take(c)) {
            RpcMsg *m = NULL;
            const char *why = NULL;
            int r = frame_reader_next(&c->reader, &m, &why);
            if (r < 0)
                conn_fail(c, "protocol error: %s", why);
            if (r <= 0)
                break;
            m->at_us = c->last_rx_us;
            m->conn = rpc_conn_ref(c);
            dispatch_packet(c, m);
        }
        frame_reader_pause(&c->reader);
        conn_flush(c);
    } while (may_take(c) && frame_reader_has_input(&c->reader));
    c->processing = false;
    update_events(c);
}

static void conn_read(RpcConn *c)
{
    do {
        int fds[RPC_FDS_MAX];
        unsigned n_fds = RPC_FDS_MAX;
        const char *why = NULL;
        ssize_t n = c->transport->ops->read(c->transport, c->server->scratch, RPC_SCRATCH_SIZE, fds, &n_fds);
        if (n == -EAGAIN)
            break;
        if (n <= 0) {
            conn_fail(c, n == 0 ? "end of file" : "read: %s", n == 0 ? "" : g_strerror((int)-n));
            return;
        }
        c->bytes_in += (uint64_t)n;
        c->last_rx_us = now_us(); /* bytes, not packets: in the midst of a long one the peer cannot answer pings */
        c->pings = 0;
        if (frame_reader_feed_fds(&c->reader, fds, n_fds, &why) < 0) {
            conn_fail(c, "protocol error: %s", why);
            return;
        }
        frame_reader_feed(&c->reader, c->server->scratch, (size_t)n);
        conn_process(c);
    } while (may_take(c) && c->transport->ops->pending && c->transport->ops->pending(c->transport));
}

static int on_io(sd_event_source *s, int fd, uint32_t revents, void *userdata)
{
    g_autoptr(RpcConn) c = rpc_conn_ref(userdata);
    if (c->dead)
        return 0;
    if (rpc_conn_state(c) == RPC_CONN_HANDSHAKE) {
        do_handshake(c);
        return 0;
    }
    if (revents & EPOLLOUT) {
        conn_flush(c);
        conn_process(c);
    }
    if ((revents & EPOLLIN) && may_take(c) && !frame_reader_has_input(&c->reader))
        conn_read(c);
    else if (revents & (EPOLLHUP | EPOLLERR))
        conn_fail(c, "hung up");
    else if (!c->dead)
        update_events(c);
    return 0;
}

void conn_release(RpcConn *c)
{
    g_assert(c->in_flight > 0);
    c->in_flight--;
    if (!c->processing && !c->dead)
        conn_process(c);
    finish_closing(c);
}

/* ---- writing ---- */

static void on_sent(void *ud, OutItem *it)
{
    RpcConn *c = ud;
    if (it->ends_call) {
        g_assert(c->in_flight > 0);
        c->in_flight--;
    }
    if (it->pumps)
        stream_sent(it->pumps);
}

static void watch_stall(RpcConn *c);

/* Nothing was taken for the whole time: the client hangs.  Something was: another round, while still much waits. */
static int on_stall(sd_event_source *s, uint64_t usec, void *userdata)
{
    RpcConn *c = userdata;
    c->stall = sd_event_source_disable_unref(c->stall);
    if (c->dead || c->out.bytes <= RPC_STALL_BYTES)
        return 0;
    if (c->bytes_out == c->stall_bytes)
        conn_fail(c, "has read nothing for %u s: %zu bytes wait for it", c->server->limits.stall_timeout_ms / 1000, c->out.bytes);
    else
        watch_stall(c);
    return 0;
}

static void watch_stall(RpcConn *c)
{
    unsigned ms = c->server->limits.stall_timeout_ms;
    if (c->stall || ms == 0)
        return;
    c->stall_bytes = c->bytes_out;
    if (sd_event_add_time_relative(event_loop_sd(c->loop), &c->stall, CLOCK_MONOTONIC, (uint64_t)ms * 1000, 0, on_stall, c) < 0)
        conn_fail(c, "no timer");
}

/* CLOSING ends when all calls taken are answered and the answers have left. */
static void finish_closing(RpcConn *c)
{
    if (!c->dead && rpc_conn_state(c) == RPC_CONN_CLOSING && !c->out.head && c->in_flight == 0)
        conn_fail(c, "closed");
}

static void conn_flush(RpcConn *c)
{
    if (c->dead || c->flushing || !c->out.head)
        return;
    c->flushing = true; /* what on_sent makes a stream queue is written by this same loop */
    int r = out_queue_write(&c->out, &c->transport, on_sent, c, &c->bytes_out);
    c->flushing = false;
    if (r == -EAGAIN && c->out.bytes > RPC_STALL_BYTES)
        watch_stall(c);
    if (r < 0 && r != -EAGAIN)
        conn_fail(c, "write: %s", g_strerror(-r));
    else if (r == 0)
        finish_closing(c);
}

static void enqueue(RpcConn *c, OutItem *it)
{
    if (c->dead) {
        out_item_free(it);
        return;
    }
    if (c->out.bytes > c->server->limits.max_queue_bytes) {
        conn_fail(c, "does not read: %zu bytes wait for it", c->out.bytes);
        out_item_free(it);
        return;
    }
    RpcStream *st = g_steal_pointer(&it->starts);
    out_queue_push(&c->out, it);
    if (st)
        stream_start(st);
    rpc_stream_unref(st);
}

/* Takes over what other threads posted. */
static void take_posted(RpcConn *c)
{
    OutItem *it = NULL;
    {
        LOCK_SCOPE(&c->lock);
        it = c->posted;
        c->posted = NULL;
        c->posted_tail = &c->posted;
        c->post_pending = false;
    }
    while (it) {
        OutItem *next = it->next;
        enqueue(c, it);
        it = next;
    }
}

static void on_posted(void *arg)
{
    g_autoptr(RpcConn) c = arg;
    take_posted(c);
    if (c->processing)
        return;
    conn_flush(c);
    if (!c->dead)
        conn_process(c);
}

void conn_send(RpcConn *c, OutItem *it)
{
    if (event_on_thread(c->loop)) {
        take_posted(c); /* keeps the order in which answers were given */
        enqueue(c, it);
        if (!c->processing) {
            conn_flush(c);
            update_events(c);
        }
        return;
    }
    bool wake = false;
    {
        LOCK_SCOPE(&c->lock);
        it->next = NULL;
        *c->posted_tail = it;
        c->posted_tail = &it->next;
        wake = !c->post_pending;
        c->post_pending = true;
    }
    if (wake)
        event_post(c->loop, on_posted, rpc_conn_ref(c));
}

/* ---- the end ---- */

static void set_reason(RpcConn *c, char *reason)
{
    LOCK_SCOPE(&c->lock);
    if (c->reason)
        g_free(reason);
    else
        c->reason = reason;
}

static void do_close(void *arg)
{
    g_autoptr(RpcConn) c = arg;
    conn_close_impl(c);
}

void conn_fail(RpcConn *c, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    set_reason(c, g_strdup_vprintf(fmt, ap));
    va_end(ap);
    conn_set_flag(&c->dying);
    if (c->dead)
        return;
    c->dead = true;
    if (c->io)
        sd_event_source_set_enabled(c->io, SD_EVENT_OFF);
    event_post(c->loop, do_close, rpc_conn_ref(c));
}

void conn_close_impl(RpcConn *c)
{
    if (rpc_conn_state(c) == RPC_CONN_CLOSED)
        return;
    conn_set_flag(&c->dying);
    c->dead = true;
    set_state(c, RPC_CONN_CLOSED);
    c->io = sd_event_source_disable_unref(c->io);
    c->deadline = sd_event_source_disable_unref(c->deadline);
    c->keepalive = sd_event_source_disable_unref(c->keepalive);
    c->stall = sd_event_source_disable_unref(c->stall);
    while (c->streams->len > 0) {
        RpcStream *st = g_ptr_array_steal_index(c->streams, c->streams->len - 1);
        stream_conn_closed(st);
        rpc_stream_unref(st);
    }
    frame_reader_done(&c->reader);
    out_queue_done(&c->out);
    rpc_transport_free(g_steal_pointer(&c->transport));
    fd_close(&c->fd);
    count_anonymous(c, false);
    log_info("%s: disconnected: %s", c->name, c->reason);
    RpcServer *s = c->server;
    uint64_t id = c->id;
    g_hash_table_remove(s->conns, &id); /* its ref; the caller holds one */
    if (s->service.closed)
        s->service.closed(s->service.ud, c, c->reason);
    server_update_accept(s);
}

void rpc_conn_close(RpcConn *c, const char *reason_fmt, ...)
{
    va_list ap;
    va_start(ap, reason_fmt);
    set_reason(c, g_strdup_vprintf(reason_fmt, ap));
    va_end(ap);
    conn_set_flag(&c->dying);
    event_post(c->loop, do_close, rpc_conn_ref(c));
}

static void do_close_after_flush(void *arg)
{
    g_autoptr(RpcConn) c = arg;
    take_posted(c);
    if (c->dead || rpc_conn_state(c) >= RPC_CONN_CLOSING)
        return;
    if (rpc_conn_state(c) != RPC_CONN_OPEN && rpc_conn_state(c) != RPC_CONN_AUTH) {
        conn_fail(c, "closed");
        return;
    }
    set_state(c, RPC_CONN_CLOSING);
    set_deadline(c, RPC_FLUSH_TIMEOUT_MS);
    conn_flush(c);
    finish_closing(c);
    update_events(c);
}

void rpc_conn_close_after_flush(RpcConn *c, const char *reason_fmt, ...)
{
    va_list ap;
    va_start(ap, reason_fmt);
    set_reason(c, g_strdup_vprintf(reason_fmt, ap));
    va_end(ap);
    conn_set_flag(&c->dying);
    event_post(c->loop, do_close_after_flush, rpc_conn_ref(c));
}

/* ---- set-up ---- */

static void do_authenticated(void *arg)
{
    g_autoptr(RpcConn) c = arg;
    if (c->dead || rpc_conn_state(c) >= RPC_CONN_OPEN)
        return;
    c->reader.max_packet = RPC_PACKET_MAX;
    c->reader.fds_allowed = c->transport->ops->send_fd != NULL;
    set_deadline(c, 0);
    set_state(c, RPC_CONN_OPEN);
    count_anonymous(c, false);
}

void rpc_conn_authenticated(RpcConn *c)
{
    conn_set_flag(&c->authenticated);
    if (event_on_thread(c->loop))
        do_authenticated(rpc_conn_ref(c));
    else
        event_post(c->loop, do_authenticated, rpc_conn_ref(c));
}

static void do_keepalive_start(void *arg)
{
    g_autoptr(RpcConn) c = arg;
    if (!c->dead)
        keepalive_start_on_loop(c);
}

void rpc_conn_keepalive_start(RpcConn *c)
{
    event_post(c->loop, do_keepalive_start, rpc_conn_ref(c));
}

/* First step of a connection, from the loop, so that nothing runs inside accept. */
static void do_begin(void *arg)
{
    g_autoptr(RpcConn) c = arg;
    if (!c->dead && rpc_conn_state(c) == RPC_CONN_HANDSHAKE)
        do_handshake(c);
}

RpcConn *conn_new(RpcServer *s, RpcListener *l, int fd, Err *err)
{
    RpcConn *c = g_new0(RpcConn, 1);
    c->refs = 1;
    c->server = s;
    g_atomic_int_inc(&s->refs);
    c->loop = s->loop;
    c->listener = l;
    g_atomic_int_inc(&l->refs);
    c->id = ++s->last_id;
    c->connected_at = g_get_real_time() / G_USEC_PER_SEC;
    c->fd = fd;
    c->read_only = l->spec.read_only;
    c->last_rx_us = now_us();
    c->posted_tail = &c->posted;
    mutex_init(&c->lock, LOCK_LEAF, "rpc connection");
    out_queue_init(&c->out);
    frame_reader_init(&c->reader, RPC_PACKET_MAX_PREAUTH, false);
    c->streams = g_ptr_array_new();
    conn_find_peer(c);
    c->transport = l->spec.make_transport ? l->spec.make_transport(l->spec.ud, c, fd, err)
                                          : rpc_transport_plain(fd, l->spec.kind == RPC_KIND_UNIX);
    if (!c->transport ||
        sd_event_add_io(event_loop_sd(c->loop), &c->io, fd, EPOLLIN, on_io, c) < 0) {
        if (!err_is_set(err))
            err_set_full(err, VIR_FROM_RPC, VIR_ERR_SYSTEM_ERROR, ENOMEM, "cannot watch a client's socket");
        rpc_transport_free(c->transport);
        fd_close(&c->fd);
        rpc_conn_unref(c);
        return NULL;
    }
    g_hash_table_insert(s->conns, &c->id, c);
    count_anonymous(c, true);
    set_deadline(c, s->limits.auth_timeout_ms);
    log_info("%s: connected to %s", c->name, l->name);
    if (s->service.opened)
        s->service.opened(s->service.ud, c);
    if (c->transport->ops->handshake)
        event_post(c->loop, do_begin, rpc_conn_ref(c));
    else
        enter_auth(c);
    return c;
}
