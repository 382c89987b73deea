/* rpc/transport.h - how bytes get to and from a socket
 *
 * Plain sockets; TLS takes the place of the plain transport at accept (transport_tls.c), a SASL security layer wraps whichever is there after authentication.
 * All functions run on the client event thread and never block: -EAGAIN means wait for the socket.
 */
#pragma once

#include <sys/uio.h>

#include "base.h"
#include "rpc/forward.h"

typedef struct RpcTransportOps {
    const char *name;
    /* Bytes read (> 0), 0 at end of stream, or negative errno.  Descriptors that came along go to fds[*n_fds…]; *n_fds holds the room
     * on entry and the number on return; a transport that carries none sets 0. */
    ssize_t (*read)(RpcTransport *t, void *buf, size_t len, int *fds, unsigned *n_fds);
    /* Bytes taken (> 0) or negative errno.  What was taken is written before anything given later. */
    ssize_t (*writev)(RpcTransport *t, const struct iovec *iov, int n_iov);
    /* Sends one zero byte with one descriptor; 0 or negative errno.  NULL: descriptors cannot be passed. */
    int (*send_fd)(RpcTransport *t, int fd);
    /* 0 done, or negative errno with *why (text that lives as long as the transport); -EAGAIN: it goes on beside the event thread, which
     * does not watch the socket meanwhile, and calls conn_handshake when it is over.  NULL: nothing to do. */
    int (*handshake)(RpcTransport *t, const char **why);
    /* True when bytes already read from the socket wait inside: the caller reads again without waiting for the socket. */
    bool (*pending)(RpcTransport *t);
    /* Writes what the transport has buffered: 0, -EAGAIN or negative errno.  NULL: it buffers nothing. */
    int (*flush)(RpcTransport *t);
    /* Put in place of `inner` while the connection runs: takes it over and goes on through it.  NULL: this transport wraps nothing. */
    void (*adopt)(RpcTransport *t, RpcTransport *inner);
    /* Frees the transport and what it adopted; does not close the socket. */
    void (*free)(RpcTransport *t);
} RpcTransportOps;

struct RpcTransport {
    const RpcTransportOps *ops;
    int fd; /* the socket, borrowed from the connection */
};

/* Plain read/write on the socket; is_unix: descriptors may be passed. */
RpcTransport *rpc_transport_plain(int fd, bool is_unix);
/* True when bytes go to the socket as they are. */
bool rpc_transport_is_plain(const RpcTransport *t);
/* What the plain transport does with its socket, for any thread that has the right to write to it: bytes taken or negative errno. */
ssize_t rpc_transport_plain_write(int fd, const struct iovec *iov, int n_iov);
/* Before a local socket is closed: takes out descriptors nobody has read, which the close would close as well, and that may sleep. */
void rpc_transport_drain(int fd);
void rpc_transport_free(RpcTransport *t);
