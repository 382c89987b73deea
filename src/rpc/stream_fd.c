/* rpc/stream_fd.c - streams over a pty, socket or pipe
 *
 * Owns:    the descriptors and their event sources
 * Threads: client event thread
 * Errors:  a failed write fails the stream; a failed read is the end of data
 *
 * Theory of operation.  A source is watched only for what can be used now: reading while no packet is under way to the client, writing while
 * input waits.  One that is watched for nothing is switched off, because epoll reports a hang-up even then and would spin.
 */
#include "config.h"

#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define LOG_AREA "rpc.stream"
#define ERR_FROM VIR_FROM_STREAMS

#include "rpc/stream_internal.h"
#include "util/fd.h"
#include "util/log.h"

typedef struct FdPump {
    int in, out;                  /* out is -1 when in is used for both */
    sd_event_source *in_src, *out_src;
    bool out_is_socket;
    bool readable;                /* told by epoll, not read yet */
} FdPump;

static void watch(sd_event_source *s, uint32_t events)
{
    if (!s)
        return;
    if (events == 0) {
        sd_event_source_set_enabled(s, SD_EVENT_OFF);
        return;
    }
    sd_event_source_set_io_events(s, events);
    sd_event_source_set_enabled(s, SD_EVENT_ON);
}

static void update(RpcStream *st)
{
    FdPump *p = st->pump;
    uint32_t in = st->state == STREAM_RUNNING && !st->sending && !st->eof ? EPOLLIN : 0;
    uint32_t out = st->input.length > 0 ? EPOLLOUT : 0;
    if (p->out_src) {
        watch(p->in_src, in);
        watch(p->out_src, out);
    } else {
        watch(p->in_src, in | out);
    }
}

/* Called by the core when no packet is under way, and by on_in: reads only when epoll said there is something. */
static bool fd_produce(RpcStream *st)
{
    FdPump *p = st->pump;
    if (!p->readable) {
        update(st);
        return false;
    }
    p->readable = false;
    uint8_t *buf = st->conn->server->scratch; /* not in use: epoll's callbacks run outside of conn_process */
    ssize_t n = 0;
    do {
        n = read(p->in, buf, RPC_STREAM_DATA_MAX);
    } while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EAGAIN)
        return false;
    if (n < 0)
        log_debug("%s: stream: read: %s, taken as the end", rpc_conn_name(st->conn), g_strerror(errno));
    if (n <= 0)
        stream_give_eof(st);
    else
        stream_give(st, buf, (size_t)n, NULL);
    return true;
}

static void fd_consume(RpcStream *st)
{
    FdPump *p = st->pump;
    int fd = p->out >= 0 ? p->out : p->in;
    while (st->state != STREAM_ENDED && st->input.length > 0) {
        RpcMsg *m = g_queue_peek_head(&st->input);
        size_t len = m->body_len - st->input_off;
        if (len == 0) {
            stream_input_done(st);
            continue;
        }
        const uint8_t *data = m->body + st->input_off;
        ssize_t n = p->out_is_socket ? send(fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT) : write(fd, data, len);
        if (n >= 0) {
            st->input_off += (size_t)n;
        } else if (errno == EAGAIN) {
            break;
        } else if (errno != EINTR) {
            g_auto(Err) err = ERR_INIT;
            err_set_errno(&err, errno, "cannot write to the stream's device");
            stream_fail(st, &err);
            return;
        }
    }
    if (st->state != STREAM_ENDED)
        update(st);
}

static int on_event(sd_event_source *s, int fd, uint32_t revents, void *userdata)
{
    RpcStream *st = rpc_stream_ref(userdata);
    FdPump *p = st->pump;
    bool hangup = revents & (EPOLLHUP | EPOLLERR);
    if (st->input.length > 0 && (revents & EPOLLOUT || hangup) && (s == p->out_src || !p->out_src))
        stream_consume(st);
    if (st->state == STREAM_RUNNING && (revents & EPOLLIN || hangup) && s == p->in_src) {
        p->readable = !st->sending && !st->eof;
        if (p->readable)
            stream_pump(st);
    }
    if (st->state != STREAM_ENDED)
        update(st);
    rpc_stream_unref(st);
    return 0;
}

static bool is_socket(int fd)
{
    struct stat sb;
    return fstat(fd, &sb) == 0 && S_ISSOCK(sb.st_mode);
}

static void fd_start(RpcStream *st)
{
    FdPump *p = st->pump;
    sd_event *e = event_loop_sd(st->conn->loop);
    p->out_is_socket = is_socket(p->out >= 0 ? p->out : p->in);
    int r = fd_set_nonblock(p->in, true);
    if (r == 0 && p->out >= 0)
        r = fd_set_nonblock(p->out, true);
    if (r == 0)
        r = sd_event_add_io(e, &p->in_src, p->in, EPOLLIN, on_event, st);
    if (r >= 0 && p->out >= 0)
        r = sd_event_add_io(e, &p->out_src, p->out, 0, on_event, st);
    if (r < 0) {
        g_auto(Err) err = ERR_INIT;
        err_set_errno(&err, -r, "cannot watch the stream's device");
        stream_fail(st, &err);
        return;
    }
    update(st);
}

static void fd_stop(RpcStream *st)
{
    FdPump *p = st->pump;
    p->in_src = sd_event_source_disable_unref(p->in_src);
    p->out_src = sd_event_source_disable_unref(p->out_src);
}

static void fd_free(RpcStream *st)
{
    FdPump *p = st->pump;
    fd_close(&p->in);
    fd_close(&p->out);
    g_free(p);
}

static const StreamKind fd_kind = {
    .name = "descriptor",
    .start = fd_start,
    .produce = fd_produce,
    .consume = fd_consume,
    .stop = fd_stop,
    .free = fd_free,
};

RpcStream *rpc_stream_open_fd(RpcMsg *call, int fd, int fd_out, const RpcStreamOwner *owner)
{
    FdPump *p = g_new0(FdPump, 1);
    p->in = fd;
    p->out = fd_out;
    return stream_new(call, &fd_kind, p, false, owner);
}
