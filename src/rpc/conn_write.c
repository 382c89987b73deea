/* rpc/conn_write.c - what leaves a connection, and who writes it
 *
 * Owns:    the out-queue, the right to write to the socket, the places of the in-flight cap; not the form of packets (msg.c, outq.c)
 * Threads: sending from any; the rest on the client event thread
 * Locks:   conn.lock (leaf; never held while the socket is written)
 * Errors:  a connection whose socket fails, or that does not read, ends with a reason
 *
 * Theory of operation.  The event thread queues packets and writes them together.  An answer given by a worker would have to wait for the
 * event thread to wake; when nothing else is on its way to this client, the worker writes it itself.  One writer at a time:
 *
 *   NONE    nothing of the out-queue is on its way; whoever comes may take the right
 *   LOOP    the event thread writes, or has more than the socket took
 *   WORKER  a worker writes one answer, in one system call, without the lock; the event thread queues meanwhile and does not wait
 *
 * What a worker could not write whole goes to the event thread as `partial`, ahead of all that is queued.
 *
 * Order.  A client sees its answers and events in the order in which they were given.  A worker therefore writes itself only when no work
 * is posted to the event thread: an event its handler published, or an answer posted before, is posted there (object/bus.c).
 */
#include "config.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

#define LOG_AREA "rpc.conn"

#include "rpc/internal.h"
#include "util/fd.h"
#include "util/log.h"

/* ---- the in-flight cap ------------------------------------------------------------------------------------------------------- */

void conn_hold(RpcConn *c)
{
    __atomic_add_fetch(&c->in_flight, 1, __ATOMIC_SEQ_CST);
}

static void give_back(RpcConn *c)
{
    int left = __atomic_sub_fetch(&c->in_flight, 1, __ATOMIC_SEQ_CST);
    g_assert(left >= 0);
}

void conn_expect_release(RpcConn *c)
{
    __atomic_store_n(&c->release_wanted, 1, __ATOMIC_SEQ_CST);
}

void conn_release(RpcConn *c)
{
    give_back(c);
    conn_process(c);
    conn_finish_closing(c);
}

/* ---- the event thread's writing ---------------------------------------------------------------------------------------------- */

/* What a client makes us send by sending: it counts until it has left. */
static bool is_answer(const OutItem *it)
{
    return it->ends_call || it->pong;
}

static void on_sent(void *ud, OutItem *it)
{
    RpcConn *c = ud;
    if (is_answer(it))
        c->answers -= it->head_len + it->len;
    if (it->pumps)
        stream_sent(it->pumps);
    if (it->switches) {
        c->switching = false;
        if (!frame_reader_is_empty(&c->reader))
            conn_fail(c, "protocol error: more was sent before the encryption began");
    }
}

static void watch_stall(RpcConn *c);

static uint64_t bytes_out(const RpcConn *c)
{
    return __atomic_load_n(&c->bytes_out, __ATOMIC_RELAXED);
}

/* Nothing was taken for the whole time: the client hangs.  Something was: another round, while still much waits. */
static int on_stall(sd_event_source *s, uint64_t usec, void *userdata)
{
    RpcConn *c = userdata;
    c->stall = sd_event_source_disable_unref(c->stall);
    if (c->dead || c->out.bytes <= RPC_STALL_BYTES)
        return 0;
    if (bytes_out(c) == c->stall_bytes)
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
    c->stall_bytes = bytes_out(c);
    if (sd_event_add_time_relative(event_loop_sd(c->loop), &c->stall, CLOCK_MONOTONIC, (uint64_t)ms * 1000, 0, on_stall, c) < 0)
        conn_fail(c, "no timer");
}

/* False when a worker writes: it will post when it is done. */
static bool take_right(RpcConn *c)
{
    OutItem *partial = NULL;
    {
        LOCK_SCOPE(&c->lock);
        if (c->writer == CONN_WRITER_WORKER) {
            c->flush_wanted = true;
            return false;
        }
        c->writer = CONN_WRITER_LOOP;
        partial = g_steal_pointer(&c->partial);
    }
    if (partial) {
        c->answers += partial->head_len + partial->len;
        out_queue_push_front(&c->out, partial);
        give_back(c);
    }
    return true;
}

static void give_right(RpcConn *c)
{
    LOCK_SCOPE(&c->lock);
    c->writer = CONN_WRITER_NONE;
    c->direct = rpc_conn_state(c) == RPC_CONN_OPEN && rpc_transport_is_plain(c->transport);
}

void conn_flush(RpcConn *c)
{
    if (c->dead || c->flushing || !take_right(c))
        return;
    if (!c->out.head && !c->blocked) { /* blocked with nothing queued: the transport holds some */
        give_right(c);
        return;
    }
    uint64_t n = 0;
    c->flushing = true; /* what on_sent makes a stream queue is written by this same loop */
    int r = out_queue_write(&c->out, &c->transport, on_sent, c, &n);
    c->flushing = false;
    __atomic_add_fetch(&c->bytes_out, n, __ATOMIC_RELAXED);
    c->blocked = r == -EAGAIN;
    if (r == -EAGAIN && c->out.bytes > RPC_STALL_BYTES)
        watch_stall(c);
    if (r < 0 && r != -EAGAIN) {
        conn_fail(c, "write: %s", g_strerror(-r));
        return;
    }
    if (r == 0) {
        give_right(c);
        conn_finish_closing(c);
    }
    conn_next_turn(c); /* what left may have been all that kept its calls from being taken */
}

void conn_finish_closing(RpcConn *c)
{
    if (c->dead || rpc_conn_state(c) != RPC_CONN_CLOSING || c->out.head || c->blocked) /* blocked: the transport holds the last of it */
        return;
    conn_expect_release(c);
    if (conn_in_flight(c) == 0) /* a worker gives the place back only when what it writes has left or is posted */
        conn_fail(c, "closed");
}

static void enqueue(RpcConn *c, OutItem *it)
{
    if (c->dead) {
        if (it->ends_call)
            give_back(c);
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
    if (is_answer(it))
        c->answers += it->head_len + it->len;
    if (it->ends_call)
        give_back(c);
    if (st)
        stream_start(st);
    rpc_stream_unref(st);
}

/* A packet another thread posted.  Each has a post of its own: an event published between two answers stays between them. */
static void on_item(void *arg)
{
    OutItem *it = arg;
    g_autoptr(RpcConn) c = g_steal_pointer(&it->to);
    enqueue(c, it);
    if (c->processing)
        return;
    conn_process(c); /* flushes, too */
    conn_finish_closing(c);
}

static void on_soon(void *arg)
{
    g_autoptr(RpcConn) c = arg;
    if (c->processing)
        return;
    conn_process(c);
    conn_finish_closing(c);
}

void conn_process_soon(RpcConn *c)
{
    event_post(c->loop, on_soon, rpc_conn_ref(c));
}

/* Takes out first what the client has sent and nobody read. */
static void close_for_good(const RpcConn *c, int *fd)
{
    if (*fd >= 0 && c->listener->spec.kind == RPC_KIND_UNIX)
        rpc_transport_drain(*fd);
    fd_close(fd);
}

/* ---- workers ----------------------------------------------------------------------------------------------------------------- */

static bool may_go_direct(const OutItem *it)
{
    return it->ends_call && !it->starts && !it->pumps && it->n_fds == 0 && !it->next_transport && it->len <= RPC_DIRECT_MAX;
}

/* Ends a worker's turn: what it wrote is `n` (or negative errno). */
static void worker_wrote(RpcConn *c, OutItem *it, ssize_t n)
{
    int orphan = -1;
    bool wake = false, gone = false, whole = n == (ssize_t)(it->head_len + it->len);
    {
        LOCK_SCOPE(&c->lock);
        orphan = take_fd(&c->orphan_fd);
        gone = orphan >= 0;
        if (!whole && !gone) { /* an error the event thread meets again */
            it->sent = n > 0 ? (size_t)n : 0;
            c->partial = it;
        }
        wake = (c->flush_wanted || c->partial) && !gone;
        c->flush_wanted = false;
        c->writer = wake ? CONN_WRITER_LOOP : CONN_WRITER_NONE; /* nobody passes what the event thread has to write */
    }
    if (n > 0)
        __atomic_add_fetch(&c->bytes_out, (uint64_t)n, __ATOMIC_RELAXED);
    close_for_good(c, &orphan);
    if (whole || gone) {
        out_item_free(it);
        give_back(c);
    }
    if (__atomic_exchange_n(&c->release_wanted, 0, __ATOMIC_SEQ_CST) || wake)
        conn_process_soon(c);
}

/* Writes the answer now.  False: it has to go the way of all others. */
static bool send_direct(RpcConn *c, OutItem *it)
{
    if (!may_go_direct(it) || event_has_posts(c->loop))
        return false;
    int fd;
    {
        LOCK_SCOPE(&c->lock);
        if (!c->direct || c->writer != CONN_WRITER_NONE)
            return false;
        c->writer = CONN_WRITER_WORKER;
        fd = c->fd;
    }
    struct iovec iov[2] = {{it->head, it->head_len}, {NULL, it->len}};
    memcpy(&iov[1].iov_base, &it->data, sizeof(it->data)); /* only read from */
    worker_wrote(c, it, rpc_transport_plain_write(fd, iov, it->len ? 2 : 1));
    return true;
}

void conn_send(RpcConn *c, OutItem *it)
{
    if (event_on_thread(c->loop)) {
        enqueue(c, it);
        if (!c->processing) {
            conn_flush(c);
            conn_update_events(c);
        }
        return;
    }
    if (send_direct(c, it))
        return;
    it->to = rpc_conn_ref(c);
    event_post(c->loop, on_item, it);
}

/* ---- the end ----------------------------------------------------------------------------------------------------------------- */

int conn_leave_socket(RpcConn *c)
{
    return take_fd(&c->fd);
}

void conn_close_socket(RpcConn *c)
{
    OutItem *partial = NULL;
    {
        LOCK_SCOPE(&c->lock);
        c->direct = false;
        partial = g_steal_pointer(&c->partial);
        if (c->writer == CONN_WRITER_WORKER)
            c->orphan_fd = take_fd(&c->fd);
    }
    close_for_good(c, &c->fd);
    out_item_free(partial);
}
