/* rpc/transport.c - the plain transport
 *
 * Owns:    system calls on a connected socket; not the socket itself
 * Threads: client event thread
 * Errors:  negative errno
 */
#include "config.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "rpc/frame.h"
#include "rpc/transport.h"
#include "util/closer.h"
#include "util/mem.h"

#define KERNEL_FDS_MAX 253u  /* of one message */
#define DRAIN_MAX      1024u /* messages: more than a socket's buffer holds */

static ssize_t plain_read(RpcTransport *t, void *buf, size_t len, int *fds, unsigned *n_fds)
{
    *n_fds = 0;
    for (;;) {
        ssize_t n = recv(t->fd, buf, len, MSG_DONTWAIT);
        if (n >= 0 || errno != EINTR)
            return n < 0 ? -errno : n;
    }
}

/* There is room for as many descriptors as a message can have: what does not fit the kernel would close, and that may sleep. */
static ssize_t unix_read(RpcTransport *t, void *buf, size_t len, int *fds, unsigned *n_fds)
{
    union {
        char space[CMSG_SPACE(sizeof(int) * KERNEL_FDS_MAX)];
        struct cmsghdr align;
    } control;
    struct iovec iov = {buf, len};
    struct msghdr msg = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = &control,
        .msg_controllen = sizeof(control.space),
    };
    unsigned got = 0;
    bool too_many = false;
    ssize_t n = 0;
    do {
        n = recvmsg(t->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    } while (n < 0 && errno == EINTR);
    if (n < 0) {
        *n_fds = 0;
        return -errno;
    }
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        unsigned count = (unsigned)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        for (unsigned i = 0; i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
            if (got < *n_fds) {
                fds[got++] = fd;
            } else {
                fd_close_elsewhere(&fd, 1);
                too_many = true;
            }
        }
    }
    if (too_many || msg.msg_flags & MSG_CTRUNC) {
        fd_close_elsewhere(fds, got);
        *n_fds = 0;
        return -EMSGSIZE;
    }
    *n_fds = got;
    return n;
}

ssize_t rpc_transport_plain_write(int fd, const struct iovec *iov, int n_iov)
{
    /* sendmsg does not write through the vector; its type merely cannot say so */
    struct msghdr msg = {.msg_iovlen = (size_t)n_iov};
    memcpy(&msg.msg_iov, &iov, sizeof(iov));
    for (;;) {
        ssize_t n = sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n >= 0 || errno != EINTR)
            return n < 0 ? -errno : n;
    }
}

void rpc_transport_drain(int fd)
{
    char bytes[4096];
    int fds[RPC_FDS_MAX];
    RpcTransport t = {.fd = fd};
    shutdown(fd, SHUT_RDWR); /* so that nothing is added */
    for (unsigned i = 0; i < DRAIN_MAX; i++) {
        unsigned n_fds = RPC_FDS_MAX;
        ssize_t n = unix_read(&t, bytes, sizeof(bytes), fds, &n_fds);
        fd_close_elsewhere(fds, n_fds);
        if (n <= 0 && n != -EMSGSIZE)
            return;
    }
}

static ssize_t plain_writev(RpcTransport *t, const struct iovec *iov, int n_iov)
{
    return rpc_transport_plain_write(t->fd, iov, n_iov);
}

static int unix_send_fd(RpcTransport *t, int fd)
{
    union {
        char space[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {.space = {0}};
    char zero = 0;
    struct iovec iov = {&zero, 1};
    struct msghdr msg = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control.space)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &fd, sizeof(int));
    for (;;) {
        if (sendmsg(t->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
            return 0;
        if (errno != EINTR)
            return -errno;
    }
}

static void plain_free(RpcTransport *t)
{
    g_free(t);
}

static const RpcTransportOps plain_ops = {
    .name = "plain",
    .read = plain_read,
    .writev = plain_writev,
    .free = plain_free,
};

static const RpcTransportOps unix_ops = {
    .name = "unix",
    .read = unix_read,
    .writev = plain_writev,
    .send_fd = unix_send_fd,
    .free = plain_free,
};

RpcTransport *rpc_transport_plain(int fd, bool is_unix)
{
    RpcTransport *t = mem_new0(RpcTransport);
    t->ops = is_unix ? &unix_ops : &plain_ops;
    t->fd = fd;
    return t;
}

bool rpc_transport_is_plain(const RpcTransport *t)
{
    return t->ops == &plain_ops || t->ops == &unix_ops;
}

void rpc_transport_free(RpcTransport *t)
{
    if (t)
        t->ops->free(t);
}
