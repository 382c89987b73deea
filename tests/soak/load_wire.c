/* tests/soak/load_wire.c - one connection of the crowd
 *
 * Owns:    the socket, packets, what the daemon sends unasked
 * Threads: each client has its own
 * Errors:  what the daemon must never do (a packet that makes no sense, silence) fails the program; an end of the connection is news
 */
#include "config.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "errors.h"
#include "protocol/keepalive_protocol.h"
#include "protocol/wire_types.h"
#include "tests/soak/load.h"

#define ANSWER_SECONDS 240 /* the longest a job may be waited for, many times over: under valgrind all is slow */

bool client_connect(Client *c, bool read_only)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    struct timeval patience = {.tv_sec = ANSWER_SECONDS};
    g_strlcpy(sun.sun_path, read_only ? c->load->ro_path : c->load->path, sizeof(sun.sun_path));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0) {
        load_fail(c, "connect to %s: %s", sun.sun_path, g_strerror(errno));
        if (fd >= 0)
            close(fd);
        return false;
    }
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    c->fd = fd;
    c->read_only = read_only;
    c->serial = 1;
    c->streaming = false;
    c->n_callbacks = 0;
    c->count.connections++;
    return true;
}

void client_close(Client *c, LoadEnd how)
{
    if (c->fd < 0)
        return;
    if (how == END_RESET) {
        struct linger now = {.l_onoff = 1};
        setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    } else if (how == END_HALF_PACKET) {
        uint8_t head[RPC_HEADER_SIZE + 8] = {0};
        rpc_header_encode(head, &(RpcHeader){c->load->rows[0].prog, 1, 11, RPC_TYPE_CALL, c->serial, 0}, 4000);
        (void)!send(c->fd, head, 1 + load_rnd(c, sizeof(head)), MSG_NOSIGNAL);
    } else if (how == END_HALF_OPEN) {
        shutdown(c->fd, SHUT_WR);
        while (client_receive(c))
            ;
    }
    close(c->fd);
    c->fd = -1;
    c->streaming = false;
}

bool client_send(Client *c, uint32_t prog, int32_t proc, uint32_t type, uint32_t serial, uint32_t status, const void *body, size_t len)
{
    uint8_t head[RPC_HEADER_SIZE];
    rpc_header_encode(head, &(RpcHeader){prog, 1, proc, type, serial, status}, len);
    struct iovec iov[2] = {{head, sizeof(head)}, {(void *)(uintptr_t)body, len}};
    struct msghdr mh = {.msg_iov = iov, .msg_iovlen = 2};
    while (iov[0].iov_len + iov[1].iov_len > 0) {
        ssize_t n = sendmsg(c->fd, &mh, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            if (errno == EAGAIN)
                load_fail(c, "the daemon takes nothing for %d s", ANSWER_SECONDS);
            return false;
        }
        for (unsigned i = 0; i < 2; i++) {
            size_t part = MIN((size_t)n, iov[i].iov_len);
            iov[i].iov_base = (char *)iov[i].iov_base + part;
            iov[i].iov_len -= part;
            n -= (ssize_t)part;
        }
    }
    return true;
}

static bool read_exactly(Client *c, void *buf, size_t len)
{
    char *at = buf;
    while (len > 0) {
        ssize_t n = recv(c->fd, at, len, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            load_fail(c, "no answer for %d s; the last packet was of procedure %d", ANSWER_SECONDS, c->h.proc);
        if (n <= 0)
            return false;
        at += n;
        len -= (size_t)n;
    }
    return true;
}

/* A descriptor follows its packet with a byte of its own. */
static bool take_fds(Client *c)
{
    uint32_t n = c->body_len >= 4 ? GUINT32_FROM_BE(*(uint32_t *)(void *)c->body) : UINT32_MAX;
    if (n > RPC_FDS_MAX) {
        load_fail(c, "a reply with %u descriptors", n);
        return false;
    }
    for (uint32_t i = 0; i < n; i++) {
        char byte;
        union {
            struct cmsghdr align;
            char space[CMSG_SPACE(sizeof(int))];
        } control;
        struct iovec iov = {&byte, 1};
        struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
        if (recvmsg(c->fd, &mh, MSG_CMSG_CLOEXEC) != 1)
            return false;
        struct cmsghdr *cm = CMSG_FIRSTHDR(&mh);
        if (!cm || cm->cmsg_type != SCM_RIGHTS) {
            load_fail(c, "a descriptor is missing");
            return false;
        }
        int fd;
        memcpy(&fd, CMSG_DATA(cm), sizeof(fd));
        close(fd);
        c->count.fds++;
    }
    return true;
}

static void count_error(Client *c)
{
    virNetMessageError e;
    if (wire_decode(&wire_message_error, &e, c->body, c->body_len, NULL) < 0) {
        load_fail(c, "the error of procedure %d cannot be decoded", c->h.proc);
        return;
    }
    c->count.errors++;
    c->count.codes[CLAMP(e.code, 0, LOAD_CODES - 1)]++;
    const ProcInfo *p = proc_lookup(c->h.prog, c->h.proc);
    if (p && e.code == VIR_ERR_NO_SUPPORT)
        g_atomic_int_set(&c->load->unsupported[p->index], 1);
    wire_free(&wire_message_error, &e);
}

static void check_reply(Client *c)
{
    if (c->h.status == RPC_STATUS_ERROR) {
        count_error(c);
        return;
    }
    c->count.ok++;
    const ProcInfo *p = proc_lookup(c->h.prog, c->h.proc);
    if (p)
        g_atomic_int_set(&c->load->unsupported[p->index], 0);
    if (c->h.status != RPC_STATUS_OK || !p) {
        load_fail(c, "a reply of procedure %d with status %u", c->h.proc, c->h.status);
    } else if (p->ret.size > 0) {
        unsigned skip = c->h.type == RPC_TYPE_REPLY_FDS ? 4 : 0;
        size_t used;
        void *ret = g_malloc0(p->ret.size);
        if (wire_decode(&p->ret, ret, c->body + skip, c->body_len - skip, &used) < 0 || used != c->body_len - skip)
            load_fail(c, "the result of %s cannot be decoded", p->name);
        else
            wire_free(&p->ret, ret);
        g_free(ret);
    }
}

bool client_receive(Client *c)
{
    uint8_t head[RPC_HEADER_SIZE];
    if (!read_exactly(c, head, sizeof(head)))
        return false;
    uint32_t len = rpc_header_decode(head, &c->h);
    if (len < RPC_HEADER_SIZE || len > RPC_PACKET_MAX) {
        load_fail(c, "a packet of %u bytes", len);
        return false;
    }
    c->body_len = len - RPC_HEADER_SIZE;
    if (c->body_len > c->body_cap) {
        c->body = g_realloc(c->body, c->body_len);
        c->body_cap = c->body_len;
    }
    if (!read_exactly(c, c->body, c->body_len))
        return false;
    if (c->h.prog == KEEPALIVE_PROGRAM) {
        if (c->h.proc == KEEPALIVE_PROC_PING)
            return client_send(c, KEEPALIVE_PROGRAM, KEEPALIVE_PROC_PONG, RPC_TYPE_MESSAGE, 0, RPC_STATUS_OK, NULL, 0);
        return true;
    }
    switch (c->h.type) {
    case RPC_TYPE_MESSAGE:
        c->count.events++;
        return true;
    case RPC_TYPE_STREAM:
    case RPC_TYPE_HOLE:
        c->count.stream_bytes += c->body_len;
        if (c->streaming && c->h.serial == c->stream && c->h.status != RPC_STATUS_CONTINUE)
            c->stream_over = true;
        return true;
    case RPC_TYPE_REPLY_FDS:
        if (!take_fds(c))
            return false;
        check_reply(c);
        return true;
    case RPC_TYPE_REPLY:
        check_reply(c);
        return true;
    default:
        load_fail(c, "a packet of type %u", c->h.type);
        return false;
    }
}

bool client_await(Client *c, uint32_t serial)
{
    do {
        if (!client_receive(c))
            return false;
    } while ((c->h.type != RPC_TYPE_REPLY && c->h.type != RPC_TYPE_REPLY_FDS) || c->h.serial != serial);
    return true;
}

bool client_call(Client *c, const ProcInfo *p, const void *body, size_t len, uint32_t *ret_serial)
{
    uint32_t serial = c->serial++;
    if (!client_send(c, p->prog, p->nr, RPC_TYPE_CALL, serial, RPC_STATUS_OK, body, len))
        return false;
    c->count.calls++;
    *ret_serial = serial;
    return true;
}
