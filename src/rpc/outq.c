/* rpc/outq.c - packets waiting to leave a connection
 *
 * Owns:    the items, their descriptors, the order of bytes on the wire; not the decision when a queue is too long (conn.c)
 * Threads: client event thread (items are made on any)
 * Errors:  negative errno of the transport
 *
 * Theory of operation.  As many packets as fit one vector go out in one system call.  A packet with descriptors ends its batch: each
 * descriptor travels on a byte of its own, in a call of its own, before any later packet.  So does one that changes the transport.
 */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "rpc/internal.h"
#include "util/fd.h"

#define IOV_BATCH 64

OutItem *out_item_new(size_t inline_len)
{
    OutItem *it = g_malloc(sizeof(OutItem) + inline_len);
    memset(it, 0, sizeof(*it));
    it->data = it->inline_data;
    it->len = inline_len;
    return it;
}

void out_item_set_header(OutItem *it, const RpcHeader *h, unsigned head_extra)
{
    rpc_header_encode(it->head, h, head_extra + it->len);
    it->head_len = RPC_HEADER_SIZE + head_extra;
}

OutItem *out_item_free(OutItem *it)
{
    if (!it)
        return NULL;
    for (unsigned i = it->fds_sent; i < it->n_fds; i++)
        fd_close(&it->fds[i]);
    g_free(it->fds);
    g_free(it->own);
    if (it->shared)
        g_bytes_unref(it->shared);
    if (it->starts) {
        stream_drop(it->starts); /* the reply never got into a queue */
        rpc_stream_unref(it->starts);
    }
    rpc_stream_unref(it->pumps);
    rpc_transport_free(it->next_transport);
    g_free(it);
    return NULL;
}

void out_queue_init(OutQueue *q)
{
    *q = (OutQueue){.tail = &q->head};
}

void out_queue_done(OutQueue *q)
{
    while (q->head) {
        OutItem *it = q->head;
        q->head = it->next;
        out_item_free(it);
    }
    out_queue_init(q);
}

void out_queue_push(OutQueue *q, OutItem *it)
{
    it->next = NULL;
    *q->tail = it;
    q->tail = &it->next;
    q->bytes += it->head_len + it->len;
}

void out_queue_push_front(OutQueue *q, OutItem *it)
{
    g_assert(!q->head || q->head->sent == 0);
    it->next = q->head;
    if (!q->head)
        q->tail = &it->next;
    q->head = it;
    q->bytes += it->head_len + it->len;
}

static size_t item_left(const OutItem *it)
{
    return it->head_len + it->len - it->sent;
}

/* True when nothing behind this item may share its system call. */
static bool ends_batch(const OutItem *it)
{
    return it->n_fds > 0 || it->next_transport;
}

static int gather(const OutQueue *q, struct iovec *iov)
{
    int n = 0;
    for (OutItem *it = q->head; it && n + 2 <= IOV_BATCH; it = it->next) {
        size_t data_off = 0;
        if (it->sent < it->head_len)
            iov[n++] = (struct iovec){it->head + it->sent, it->head_len - it->sent};
        else
            data_off = it->sent - it->head_len;
        if (data_off < it->len) {
            const uint8_t *p = it->data + data_off;
            iov[n].iov_len = it->len - data_off;
            memcpy(&iov[n++].iov_base, &p, sizeof(p)); /* only read from */
        }
        if (ends_batch(it))
            break;
    }
    return n;
}

/* Takes the head item off; it has left. */
static void pop(OutQueue *q, RpcTransport **t, void (*sent)(void *ud, OutItem *it), void *ud)
{
    OutItem *it = q->head;
    q->head = it->next;
    if (!q->head)
        q->tail = &q->head;
    q->bytes -= it->head_len + it->len;
    if (it->next_transport) {
        it->next_transport->ops->adopt(it->next_transport, *t);
        *t = g_steal_pointer(&it->next_transport);
        it->switches = true;
    }
    sent(ud, it);
    out_item_free(it);
}

int out_queue_write(OutQueue *q, RpcTransport **t, void (*sent)(void *ud, OutItem *it), void *ud, uint64_t *ret_bytes)
{
    while (q->head) {
        OutItem *it = q->head;
        if (item_left(it) > 0) {
            struct iovec iov[IOV_BATCH];
            int n_iov = gather(q, iov);
            ssize_t n = (*t)->ops->writev(*t, iov, n_iov);
            if (n < 0)
                return (int)n;
            *ret_bytes += (uint64_t)n;
            for (size_t rest = (size_t)n; rest > 0;) {
                size_t part = MIN(rest, item_left(q->head));
                q->head->sent += part;
                rest -= part;
                if (item_left(q->head) == 0 && !ends_batch(q->head))
                    pop(q, t, sent, ud);
                else
                    break; /* partly sent, or descriptors follow: nothing behind it was in the vector */
            }
            continue;
        }
        while (it->fds_sent < it->n_fds) {
            int r = (*t)->ops->send_fd ? (*t)->ops->send_fd(*t, it->fds[it->fds_sent]) : -EOPNOTSUPP;
            if (r < 0)
                return r;
            fd_close(&it->fds[it->fds_sent++]);
        }
        pop(q, t, sent, ud);
    }
    if ((*t)->ops->flush)
        return (*t)->ops->flush(*t);
    return 0;
}
