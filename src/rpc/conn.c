/* rpc/conn.c - one client connection
 *
 * Owns:    the socket, its reader, the state; not what packets mean (dispatch.c), what is written (conn_write.c) nor who the peer is
 *          (conn_info.c)
 * Threads: client event thread; posting, refs and closing from any
 * Locks:   conn.lock (leaf): the reason of the end; see conn_write.c
 * Errors:  a connection ends with a reason, logged once
 *
 * Theory of operation.  One read takes what the socket has into the server's scratch buffer, the reader cuts packets out of it and each is
 * dispatched at once; answers given meanwhile are gathered and leave in one write at the end of the turn.  So an idle connection holds no
 * buffer, and a call answered on the event thread costs one read and one write, or its share of them when more came together.
 *
 * A turn takes some packets at most; when the input holds more, or a cap is reached, the rest of it is copied aside and the socket is
 * not read until it is used up.  The other connections have their turns in between, however much one has sent.
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
#include "util/mem.h"

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
    g_assert(!c->partial && c->orphan_fd < 0);
    if (c->userdata_free)
        c->userdata_free(c->userdata);
    g_ptr_array_unref(c->streams);
    mutex_done(&c->lock);
    g_free(c->reason);
    conn_free_peer(c);
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

/* What epoll shall tell: writing while the socket is full; reading always but when it said there is something and we may not take it. */
void conn_update_events(RpcConn *c)
{
    if (!c->io || c->dead)
        return;
    RpcConnState state = rpc_conn_state(c);
    uint32_t events = 0;
    if (state < RPC_CONN_CLOSING && !c->muted)
        events = EPOLLIN;
    if (c->blocked)
        events |= EPOLLOUT;
    if (event_io_set(c->io, events) < 0)
        conn_fail(c, "cannot watch its socket");
}

static void count_anonymous(RpcConn *c, bool anonymous)
{
    if (c->anonymous == anonymous)
        return;
    c->anonymous = anonymous;
    server_count_anonymous(c);
    server_update_accept(c->server);
}

static int on_deadline(sd_event_source *s, uint64_t usec, void *userdata)
{
    RpcConn *c = userdata;
    if (rpc_conn_state(c) == RPC_CONN_CLOSING)
        conn_fail(c, "takes no data while closing");
    else if (rpc_conn_state(c) == RPC_CONN_HANDSHAKE)
        conn_fail(c, "no handshake in time");
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

static void on_io(void *userdata, uint32_t revents);

static bool watch(RpcConn *c)
{
    c->io = event_io_new(c->loop, c->fd, EPOLLIN, on_io, c);
    return c->io != NULL;
}

/* The transport is ready: authentication, or straight to work. */
static void enter_auth(RpcConn *c)
{
    if (!c->io && !watch(c)) {
        conn_fail(c, "cannot watch its socket");
        return;
    }
    if (c->listener->spec.auth == RPC_AUTH_NONE) {
        rpc_conn_authenticated(c);
    } else {
        set_state(c, RPC_CONN_AUTH);
        set_deadline(c, c->server->limits.auth_timeout_ms);
    }
    conn_update_events(c);
    conn_next_turn(c); /* calls may have come with the end of the handshake */
}

void conn_handshake(RpcConn *c)
{
    if (c->dead || rpc_conn_state(c) != RPC_CONN_HANDSHAKE)
        return;
    const char *why = "handshake failed";
    int r = c->transport->ops->handshake ? c->transport->ops->handshake(c->transport, &why) : 0;
    if (r == 0)
        enter_auth(c);
    else if (r == -EAGAIN)
        conn_update_events(c);
    else
        conn_fail(c, "%s: %s", why, g_strerror(-r));
}

/* ---- reading ---- */

/* Both caps bound what one client may make us hold: calls under way, and answers it does not read. */
static bool may_take(const RpcConn *c)
{
    RpcConnState state = rpc_conn_state(c);
    return !c->dead && !c->switching && c->place != PLACE_WAITS && (state == RPC_CONN_AUTH || state == RPC_CONN_OPEN) &&
           conn_in_flight(c) < c->server->limits.max_client_requests && c->answers <= RPC_ANSWERS_BYTES;
}

static void watch_sender(RpcConn *c);

/* Nothing came for the whole time, of a long packet that has begun: its sender hangs.  What we did not read is not held against it. */
static int on_sender_stalls(sd_event_source *s, uint64_t usec, void *userdata)
{
    RpcConn *c = userdata;
    c->rx_stall = sd_event_source_disable_unref(c->rx_stall);
    if (c->dead || frame_reader_holds(&c->reader) <= RPC_STALL_BYTES)
        return 0;
    if (c->bytes_in == c->rx_stall_bytes && may_take(c) && !c->muted && !c->turn_posted)
        conn_fail(c, "has sent nothing for %u s, in the midst of a packet: %zu bytes of it are here", c->server->limits.stall_timeout_ms / 1000,
                  frame_reader_holds(&c->reader));
    else
        watch_sender(c);
    return 0;
}

static void watch_sender(RpcConn *c)
{
    unsigned ms = c->server->limits.stall_timeout_ms;
    if (c->rx_stall || ms == 0 || frame_reader_holds(&c->reader) <= RPC_STALL_BYTES)
        return;
    c->rx_stall_bytes = c->bytes_in;
    if (sd_event_add_time_relative(event_loop_sd(c->loop), &c->rx_stall, CLOCK_MONOTONIC, (uint64_t)ms * 1000, 0, on_sender_stalls, c) < 0)
        conn_fail(c, "no timer");
}

/* Takes packets out of the input there is, as far as the caps and this turn allow. */
static void take_packets(RpcConn *c, unsigned *turn)
{
    while (*turn > 0 && may_take(c)) {
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
        (*turn)--;
    }
}

static void conn_read(RpcConn *c);

static bool transport_has_input(const RpcConn *c)
{
    return c->transport->ops->pending && c->transport->ops->pending(c->transport);
}

static void on_next_turn(void *arg)
{
    g_autoptr(RpcConn) c = arg;
    c->turn_posted = false;
    if (!c->dead && may_take(c) && !frame_reader_has_input(&c->reader))
        conn_read(c);
    else
        conn_process(c);
}

/* Sees to it that what the client has sent and the socket will not tell of again is taken. */
void conn_next_turn(RpcConn *c)
{
    bool waits = c->muted || frame_reader_has_input(&c->reader) || (!c->reading && transport_has_input(c));
    if (c->turn_posted || c->processing || !waits || !may_take(c))
        return;
    c->turn_posted = true;
    event_post(c->loop, on_next_turn, rpc_conn_ref(c));
}

/* Dispatches the input there is and sends what was answered.  A client that has sent many calls gets a turn of some; the rest waits until
 * the others had theirs. */
void conn_process(RpcConn *c)
{
    if (c->processing || c->dead)
        return;
    unsigned turn = RPC_TURN_PACKETS;
    c->processing = true;
    do {
        take_packets(c, &turn);
        conn_flush(c);
    } while (turn > 0 && may_take(c) && frame_reader_has_input(&c->reader));
    frame_reader_pause(&c->reader);
    c->processing = false;
    watch_sender(c);
    if (c->dead)
        return;
    if (!may_take(c))
        conn_expect_release(c);
    if (may_take(c)) { /* looked at again: a place may have become free just before */
        c->muted = false;
        conn_next_turn(c);
    }
    conn_update_events(c);
}

/* False when there is nothing more, for now or for good. */
static bool read_once(RpcConn *c)
{
    int fds[RPC_FDS_MAX];
    unsigned n_fds = RPC_FDS_MAX;
    const char *why = NULL;
    ssize_t n = c->transport->ops->read(c->transport, c->server->scratch, RPC_SCRATCH_SIZE, fds, &n_fds);
    if (n == -EAGAIN)
        return false;
    if (n <= 0) {
        conn_fail(c, n == 0 ? "end of file" : "read: %s", n == 0 ? "" : g_strerror((int)-n));
        return false;
    }
    c->bytes_in += (uint64_t)n;
    c->last_rx_us = now_us(); /* bytes, not packets: in the midst of a long one the peer cannot answer pings */
    c->pings = 0;
    if (frame_reader_feed_fds(&c->reader, fds, n_fds, &why) < 0) {
        conn_fail(c, "protocol error: %s", why);
        return false;
    }
    frame_reader_feed(&c->reader, c->server->scratch, (size_t)n);
    conn_process(c);
    return true;
}

static void conn_read(RpcConn *c)
{
    c->muted = false; /* what the socket has is looked at now; it may be the beginning of a record, of whose end the socket has to tell */
    c->reading = true;
    while (read_once(c) && may_take(c) && !frame_reader_has_input(&c->reader) && transport_has_input(c))
        ;
    c->reading = false;
    conn_update_events(c);
}

static void on_io(void *userdata, uint32_t revents)
{
    g_autoptr(RpcConn) c = rpc_conn_ref(userdata);
    if (c->dead)
        return;
    if (revents & EPOLLOUT) {
        conn_flush(c);
        conn_process(c);
    }
    if ((revents & EPOLLIN) && may_take(c)) {
        if (!frame_reader_has_input(&c->reader))
            conn_read(c);
        /* else: its next turn is posted, then it reads on */
    } else if (revents & (EPOLLHUP | EPOLLERR)) {
        conn_fail(c, "hung up");
    } else if (!c->dead) {
        c->muted = (revents & EPOLLIN) != 0;
        conn_update_events(c);
    }
}

void conn_let_in(RpcConn *c)
{
    if (c->dead)
        return;
    if (rpc_conn_state(c) == RPC_CONN_AUTH)
        set_deadline(c, c->server->limits.auth_timeout_ms);
    conn_next_turn(c);
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
    if (c->anonymous && c->listener->spec.kind != RPC_KIND_UNIX) {
        if (c->io) /* others may be closed first, for some rounds */
            event_io_set(c->io, 0);
        event_post_late(c->loop, do_close, rpc_conn_ref(c));
    } else {
        event_post(c->loop, do_close, rpc_conn_ref(c));
    }
}

void conn_close_impl(RpcConn *c)
{
    if (rpc_conn_state(c) == RPC_CONN_CLOSED)
        return;
    conn_set_flag(&c->dying);
    c->dead = true;
    set_state(c, RPC_CONN_CLOSED);
    c->io = event_io_free(c->io);
    c->deadline = sd_event_source_disable_unref(c->deadline);
    c->keepalive = sd_event_source_disable_unref(c->keepalive);
    c->stall = sd_event_source_disable_unref(c->stall);
    c->rx_stall = sd_event_source_disable_unref(c->rx_stall);
    while (c->streams->len > 0) {
        RpcStream *st = g_ptr_array_steal_index(c->streams, c->streams->len - 1);
        stream_conn_closed(st);
        rpc_stream_unref(st);
    }
    frame_reader_done(&c->reader);
    out_queue_done(&c->out);
    rpc_transport_free(g_steal_pointer(&c->transport));
    conn_close_socket(c);
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
    if (c->dead || rpc_conn_state(c) >= RPC_CONN_CLOSING)
        return;
    if (rpc_conn_state(c) != RPC_CONN_OPEN && rpc_conn_state(c) != RPC_CONN_AUTH) {
        conn_fail(c, "closed");
        return;
    }
    set_state(c, RPC_CONN_CLOSING);
    conn_flush(c);
    conn_finish_closing(c);
    if (c->dead) /* as most are: everything has left */
        return;
    set_deadline(c, RPC_FLUSH_TIMEOUT_MS);
    conn_update_events(c);
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
    c->reader.fds_allowed = c->transport->ops->send_fd != NULL && !c->listener->spec.read_only; /* no call that only reads takes any */
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

RpcConn *conn_new(RpcServer *s, RpcListener *l, int fd, Err *err)
{
    RpcConn *c = mem_new0(RpcConn);
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
    c->last_rx_us = c->accepted_us = now_us();
    c->orphan_fd = -1;
    mutex_init(&c->lock, LOCK_LEAF, "rpc connection");
    out_queue_init(&c->out);
    frame_reader_init(&c->reader, RPC_PACKET_MAX_PREAUTH, false);
    c->streams = g_ptr_array_new();
    conn_find_peer(c);
    c->transport = l->spec.make_transport ? l->spec.make_transport(l->spec.ud, c, fd, err)
                                          : rpc_transport_plain(fd, l->spec.kind == RPC_KIND_UNIX);
    if (!c->transport || (!c->transport->ops->handshake && !watch(c))) {
        if (!err_is_set(err))
            err_set_full(err, VIR_FROM_RPC, VIR_ERR_SYSTEM_ERROR, ENOMEM, "cannot watch a client's socket");
        rpc_transport_free(c->transport);
        fd_close(&c->fd);
        rpc_conn_unref(c);
        return NULL;
    }
    g_hash_table_insert(s->conns, &c->id, c);
    count_anonymous(c, true);
    if (c->transport->ops->handshake)
        set_deadline(c, s->limits.handshake_timeout_ms);
    conn_log_connected(c);
    if (s->service.opened)
        s->service.opened(s->service.ud, c);
    conn_handshake(c);
    return c;
}
