/* rpc/frame.c - bytes of a socket to packets
 *
 * Owns:    the packet under assembly, its descriptors, input kept over a pause; not the socket (conn.c)
 * Threads: one at a time
 * Errors:  a text; the caller closes the connection
 *
 * Theory of operation.  head[] collects the length word first and is judged as soon as that is there; then the six header words; then
 * the body.  A body that is wholly in the input becomes one allocation together with its RpcMsg.  Otherwise body[] starts with what is
 * there and doubles as more arrives, so memory stays within twice what the peer really sent.  A type 4 packet then waits for one byte
 * per descriptor it announced; descriptors queue in fds[] as recvmsg delivers them, in the order of their bytes.
 *
 * The kernel ends a read of a UNIX socket after a piece that carried descriptors, so descriptors belong to the last bytes of the input
 * they came with, and when all input is used up and no packet waits for descriptors, none may be left.
 */
#include "config.h"

#include <arpa/inet.h>
#include <string.h>

#include "rpc/frame.h"
#include "rpc/msg.h"
#include "util/closer.h"
#include "util/fault.h"

#define FIRST_CHUNK 65536u /* first allocation of a body that is not all there yet, at most */

static void put32(uint8_t *p, uint32_t v)
{
    v = htonl(v);
    memcpy(p, &v, 4);
}

static uint32_t get32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, 4);
    return ntohl(v);
}

void rpc_header_encode(uint8_t *out, const RpcHeader *h, size_t payload_len)
{
    put32(out, (uint32_t)(RPC_HEADER_SIZE + payload_len));
    put32(out + 4, h->prog);
    put32(out + 8, h->vers);
    put32(out + 12, (uint32_t)h->proc);
    put32(out + 16, h->type);
    put32(out + 20, h->serial);
    put32(out + 24, h->status);
}

uint32_t rpc_header_decode(const uint8_t in[RPC_HEADER_SIZE], RpcHeader *ret)
{
    *ret = (RpcHeader){
        .prog = get32(in + 4),
        .vers = get32(in + 8),
        .proc = (int32_t)get32(in + 12),
        .type = get32(in + 16),
        .serial = get32(in + 20),
        .status = get32(in + 24),
    };
    return get32(in);
}

void frame_reader_init(FrameReader *r, size_t max_packet, bool fds_allowed)
{
    *r = (FrameReader){.max_packet = max_packet, .fds_allowed = fds_allowed};
}

void frame_reader_done(FrameReader *r)
{
    rpc_msg_free(r->msg);
    g_free(r->body);
    g_free(r->stash);
    fd_close_elsewhere(r->fds, r->n_fds);
    *r = (FrameReader){0};
}

void frame_reader_feed(FrameReader *r, const uint8_t *data, size_t len)
{
    g_assert(r->in_len == 0);
    g_clear_pointer(&r->stash, g_free);
    r->in = data;
    r->in_len = len;
}

int frame_reader_feed_fds(FrameReader *r, int *fds, unsigned n, const char **why)
{
    if (n == 0)
        return 0;
    if (r->fds_allowed && r->n_fds + n <= RPC_FDS_MAX) {
        memcpy(r->fds + r->n_fds, fds, n * sizeof(*fds));
        r->n_fds += n;
        return 0;
    }
    fd_close_elsewhere(fds, n);
    *why = r->fds_allowed ? "too many descriptors" : "descriptors before authentication or on a socket that takes none";
    return -1;
}

bool frame_reader_has_input(const FrameReader *r)
{
    return r->in_len > 0;
}

size_t frame_reader_holds(const FrameReader *r)
{
    return r->msg ? r->msg->body_len : r->body_len;
}

bool frame_reader_is_empty(const FrameReader *r)
{
    return r->in_len == 0 && r->head_len == 0 && !r->msg && r->n_fds == 0;
}

void frame_reader_pause(FrameReader *r)
{
    if (r->in_len == 0) {
        g_clear_pointer(&r->stash, g_free);
        r->in = NULL;
        return;
    }
    if (r->stash)
        return; /* it is the stash that is being parsed; it stays */
    r->in = r->stash = g_memdup2(r->in, r->in_len);
}

/* Moves up to `want` bytes of input to `to`. */
static size_t take(FrameReader *r, uint8_t *to, size_t want)
{
    size_t n = MIN(want, r->in_len);
    if (n == 0)
        return 0;
    memcpy(to, r->in, n);
    r->in += n;
    r->in_len -= n;
    return n;
}

/* Header words; 1 when complete, 0 when input ended, -1 on a length no packet has. */
static int read_head(FrameReader *r, const char **why)
{
    if (r->head_len < RPC_LEN_SIZE) {
        r->head_len += (unsigned)take(r, r->head + r->head_len, RPC_LEN_SIZE - r->head_len);
        if (r->head_len < RPC_LEN_SIZE)
            return 0;
        uint32_t len = get32(r->head);
        if (len < RPC_HEADER_SIZE) {
            *why = "packet shorter than its header";
            return -1;
        }
        if (len > r->max_packet) {
            *why = "packet longer than allowed";
            return -1;
        }
        r->body_need = len - RPC_HEADER_SIZE;
    }
    r->head_len += (unsigned)take(r, r->head + r->head_len, RPC_HEADER_SIZE - r->head_len);
    return r->head_len == RPC_HEADER_SIZE;
}

/* NULL when there is no memory for it: packets are what clients make us hold most by. */
static RpcMsg *msg_new(const FrameReader *r, size_t inline_len)
{
    RpcMsg *m = FAULT("frame") ? NULL : g_try_malloc(sizeof(RpcMsg) + inline_len);
    if (!m)
        return NULL;
    memset(m, 0, sizeof(*m));
    rpc_header_decode(r->head, &m->h);
    return m;
}

static int no_memory(const char **why)
{
    *why = "no memory for the packet";
    return -1;
}

/* Body; 1 when msg is complete but for descriptors, 0 when input ended, -1 without memory for it. */
static int read_body(FrameReader *r, const char **why)
{
    if (!r->body && r->in_len >= r->body_need) {
        r->msg = msg_new(r, r->body_need);
        if (!r->msg)
            return no_memory(why);
        take(r, r->msg->inline_data, r->body_need);
        r->msg->body = r->msg->inline_data;
        r->msg->body_len = r->body_need;
        return 1;
    }
    if (r->in_len == 0)
        return 0;
    size_t n = MIN(r->in_len, r->body_need - r->body_len);
    if (r->body_len + n > r->body_cap) {
        size_t cap = MAX(r->body_cap * 2, MIN(n * 2, FIRST_CHUNK));
        cap = MIN(MAX(cap, r->body_len + n), r->body_need);
        uint8_t *body = FAULT("frame") ? NULL : g_try_realloc(r->body, cap);
        if (!body)
            return no_memory(why);
        r->body = body;
        r->body_cap = cap;
    }
    r->body_len += take(r, r->body + r->body_len, n);
    if (r->body_len < r->body_need)
        return 0;
    r->msg = msg_new(r, 0);
    if (!r->msg)
        return no_memory(why);
    r->msg->data = g_steal_pointer(&r->body);
    r->msg->body = r->msg->data;
    r->msg->body_len = r->body_len;
    return 1;
}

/* Descriptor count of a type 4 or 5 packet, taken off the body. */
static int read_fd_count(FrameReader *r, const char **why)
{
    RpcMsg *m = r->msg;
    if (m->h.type != RPC_TYPE_CALL_FDS && m->h.type != RPC_TYPE_REPLY_FDS)
        return 0;
    if (m->body_len < 4) {
        *why = "packet without its descriptor count";
        return -1;
    }
    uint32_t n = get32(m->body);
    m->body += 4;
    m->body_len -= 4;
    if (n > RPC_FDS_MAX || (n > 0 && !r->fds_allowed)) {
        *why = n > RPC_FDS_MAX ? "too many descriptors" : "descriptors before authentication or on a socket that takes none";
        return -1;
    }
    r->fds_need = n;
    return 0;
}

/* One byte per descriptor; 1 when all are there. */
static int read_fds(FrameReader *r, const char **why)
{
    unsigned claimed = 0;
    while (r->fds_need > 0 && r->in_len > 0) {
        if (claimed == r->n_fds) {
            *why = "descriptor byte without descriptor";
            return -1;
        }
        r->in++;
        r->in_len--;
        r->fds_need--;
        r->msg->fds[r->msg->n_fds++] = r->fds[claimed++];
        r->fds[claimed - 1] = -1;
    }
    if (claimed > 0) {
        r->n_fds -= claimed;
        memmove(r->fds, r->fds + claimed, r->n_fds * sizeof(r->fds[0]));
    }
    return r->fds_need == 0;
}

int frame_reader_next(FrameReader *r, RpcMsg **ret, const char **why)
{
    if (!r->msg) {
        int got = 0;
        if ((got = read_head(r, why)) <= 0 || (got = read_body(r, why)) <= 0) {
            if (got < 0)
                return -1;
            if (r->n_fds > 0) {
                *why = "descriptors that belong to no packet";
                return -1;
            }
            return 0;
        }
        if (read_fd_count(r, why) < 0)
            return -1;
    }
    int got = read_fds(r, why);
    if (got <= 0)
        return got;
    if (r->n_fds > 0 && r->in_len == 0) {
        *why = "descriptors that belong to no packet";
        return -1;
    }
    *ret = g_steal_pointer(&r->msg);
    r->head_len = 0;
    r->body_need = 0;
    r->body_len = r->body_cap = 0;
    return 1;
}
