/* rpc/keepalive.c - pings and pongs
 *
 * Owns:    the ping timer of a connection
 * Threads: client event thread
 *
 * Theory of operation.  Any packet from the client shows it is alive.  After an interval without one a ping goes out; when `count` pings
 * in a row brought nothing, the connection is closed an interval after the last.  While we ourselves do not read the socket (in-flight
 * cap), silence proves nothing and is not counted.  Nor while a full socket goes on taking what waits for the client: it is alive, but the
 * ping is behind all that, and with that many answers waiting its packets are not read.
 *
 * A pong is an answer like any other: who sends pings and takes no pongs is not read any more (RPC_ANSWERS_BYTES).
 */
#include "config.h"

#define LOG_AREA "rpc.keepalive"

#include "rpc/internal.h"
#include "util/log.h"

static void send_message(RpcConn *c, int32_t proc)
{
    OutItem *it = out_item_new(0);
    out_item_set_header(
        it, &(RpcHeader){.prog = KEEPALIVE_PROG, .vers = KEEPALIVE_VERS, .proc = proc, .type = RPC_TYPE_MESSAGE}, 0);
    it->pong = proc == KEEPALIVE_PONG;
    conn_send(c, it);
}

void keepalive_handle(RpcConn *c, const RpcHeader *h)
{
    if (h->proc == KEEPALIVE_PING)
        send_message(c, KEEPALIVE_PONG);
}

/* Since the last time it was asked. */
static bool has_taken_some(RpcConn *c)
{
    uint64_t before = c->ping_bytes_out;
    c->ping_bytes_out = __atomic_load_n(&c->bytes_out, __ATOMIC_RELAXED);
    return c->blocked && c->ping_bytes_out != before;
}

static int on_timer(sd_event_source *s, uint64_t usec, void *userdata)
{
    RpcConn *c = userdata;
    const RpcLimits *limits = &c->server->limits;
    if (c->dead || limits->keepalive_interval <= 0)
        return 0;
    uint64_t interval = (uint64_t)limits->keepalive_interval * G_USEC_PER_SEC;
    uint64_t now = now_us(), next = now + interval;
    if (conn_in_flight(c) >= limits->max_client_requests) {
        log_debug("%s: not read at present, no ping", c->name);
    } else if (has_taken_some(c)) {
        c->pings = 0;
    } else if (now < c->last_rx_us + interval && c->pings == 0) {
        next = c->last_rx_us + interval;
    } else if (c->pings >= limits->keepalive_count) {
        conn_fail(c, "keepalive timeout: %u pings unanswered", c->pings);
        return 0;
    } else {
        c->pings++;
        send_message(c, KEEPALIVE_PING);
    }
    if (sd_event_source_set_time(s, next) < 0 || sd_event_source_set_enabled(s, SD_EVENT_ONESHOT) < 0)
        conn_fail(c, "no keepalive timer");
    return 0;
}

void keepalive_start_on_loop(RpcConn *c)
{
    int interval = c->server->limits.keepalive_interval;
    if (c->keepalive || interval <= 0)
        return;
    if (sd_event_add_time_relative(event_loop_sd(c->loop), &c->keepalive, CLOCK_MONOTONIC,
                                   (uint64_t)interval * G_USEC_PER_SEC, 0, on_timer, c) < 0)
        conn_fail(c, "no keepalive timer");
}
