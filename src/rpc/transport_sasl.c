/* rpc/transport_sasl.c - the security layer of SASL around another transport
 *
 * Owns:    the tokens on their way; not the exchange that agreed on them (sasl.c)
 * Threads: client event thread
 * Errors:  negative errno; a token that does not decode ends the connection
 *
 * Theory of operation.  What the library gives out stays in its own memory until it is asked again, so nothing is copied twice: of input, the
 * part the caller had no room for; of output, the part the socket did not take.  Both are bounded by the longest token.  What was given to
 * writev counts as taken once it is encoded; it is on its way before anything later is encoded.
 */
#include "config.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

#include "rpc/sasl.h"
#include "rpc/transport.h"
#include "util/closer.h"

#define READ_BYTES 65536u

typedef struct SaslTransport {
    RpcTransport t;
    RpcTransport *inner;
    RpcSasl *sasl;
    const char *in, *out; /* the library's: decoded and not read yet; encoded and not written yet */
    size_t in_len, out_len;
    uint8_t *plain;       /* gathers what is to be encoded as one; made when first needed */
} SaslTransport;

static size_t take_input(SaslTransport *st, void *buf, size_t len)
{
    size_t n = MIN(len, st->in_len);
    memcpy(buf, st->in, n);
    st->in += n;
    st->in_len -= n;
    return n;
}

static ssize_t sasl_read(RpcTransport *t, void *buf, size_t len, int *fds, unsigned *n_fds)
{
    SaslTransport *st = (SaslTransport *)t;
    char raw[READ_BYTES];
    unsigned room = *n_fds;
    *n_fds = 0;
    if (st->in_len > 0)
        return (ssize_t)take_input(st, buf, len);
    do {
        unsigned got = room;
        ssize_t n = st->inner->ops->read(st->inner, raw, sizeof(raw), fds, &got);
        if (n <= 0)
            return n;
        fd_close_elsewhere(fds, got); /* there is nothing they could belong to */
        if (rpc_sasl_decode(st->sasl, raw, (size_t)n, &st->in, &st->in_len) < 0)
            return -EBADMSG;
    } while (st->in_len == 0 && st->inner->ops->pending && st->inner->ops->pending(st->inner)); /* the socket will not tell of that */
    return st->in_len > 0 ? (ssize_t)take_input(st, buf, len) : -EAGAIN;
}

static bool sasl_pending(RpcTransport *t)
{
    SaslTransport *st = (SaslTransport *)t;
    return st->in_len > 0 || (st->inner->ops->pending && st->inner->ops->pending(st->inner));
}

/* Writes what is encoded: 0 or negative errno. */
static int push(SaslTransport *st)
{
    while (st->out_len > 0) {
        struct iovec iov = {.iov_len = st->out_len};
        memcpy(&iov.iov_base, &st->out, sizeof(st->out)); /* only read from */
        ssize_t n = st->inner->ops->writev(st->inner, &iov, 1);
        if (n < 0)
            return (int)n;
        st->out += n;
        st->out_len -= (size_t)n;
    }
    return 0;
}

static int sasl_flush(RpcTransport *t)
{
    SaslTransport *st = (SaslTransport *)t;
    int r = push(st);
    return r == 0 && st->inner->ops->flush ? st->inner->ops->flush(st->inner) : r;
}

/* As much of the vector as one token holds, in one piece. */
static const char *gather(SaslTransport *st, const struct iovec *iov, int n_iov, size_t *ret_len)
{
    size_t max = rpc_sasl_encode_max(st->sasl), len = 0;
    if (n_iov == 1) {
        *ret_len = MIN(iov->iov_len, max);
        return iov->iov_base;
    }
    if (!st->plain)
        st->plain = g_malloc(max);
    for (int i = 0; i < n_iov && len < max; i++) {
        size_t n = MIN(iov[i].iov_len, max - len);
        memcpy(st->plain + len, iov[i].iov_base, n);
        len += n;
    }
    *ret_len = len;
    return (const char *)st->plain;
}

static ssize_t sasl_writev(RpcTransport *t, const struct iovec *iov, int n_iov)
{
    SaslTransport *st = (SaslTransport *)t;
    size_t len = 0;
    int r = push(st);
    if (r < 0)
        return r;
    const char *plain = gather(st, iov, n_iov, &len);
    if (rpc_sasl_encode(st->sasl, plain, len, &st->out, &st->out_len) < 0) {
        st->out_len = 0;
        return -EBADMSG;
    }
    r = push(st);
    return r < 0 && r != -EAGAIN ? r : (ssize_t)len;
}

static void sasl_adopt(RpcTransport *t, RpcTransport *inner)
{
    SaslTransport *st = (SaslTransport *)t;
    st->inner = inner;
    t->fd = inner->fd;
}

static void sasl_free(RpcTransport *t)
{
    SaslTransport *st = (SaslTransport *)t;
    rpc_transport_free(st->inner);
    rpc_sasl_free(st->sasl);
    g_free(st->plain);
    g_free(st);
}

static const RpcTransportOps sasl_ops = {
    .name = "sasl",
    .read = sasl_read,
    .writev = sasl_writev,
    .pending = sasl_pending,
    .flush = sasl_flush,
    .adopt = sasl_adopt,
    .free = sasl_free,
};

RpcTransport *rpc_transport_sasl(RpcSasl *s)
{
    g_assert(rpc_sasl_ssf(s) > 0);
    SaslTransport *st = g_new0(SaslTransport, 1);
    st->t.ops = &sasl_ops;
    st->t.fd = -1;
    st->sasl = s;
    return &st->t;
}
