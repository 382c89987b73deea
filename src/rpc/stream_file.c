/* rpc/stream_file.c - streams over regular files and block devices
 *
 * Owns:    the file's descriptor, position and bounds
 * Threads: reading, writing and syncing in pool tasks; the rest on the client event thread.  While a task runs (st->busy) it alone touches
 *          the pump's job fields.
 * Errors:  a failed system call fails the stream with its errno
 *
 * Theory of operation.  One task at a time moves one piece: storage may hang, and then only this stream does.  Reading cuts pieces at the
 * borders of holes when the client understands holes.  Writing a hole punches the range where the file can, else writes zeros in
 * pieces; a finish syncs the data before it is confirmed.
 */
#include "config.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define ERR_FROM VIR_FROM_STREAMS

#include "rpc/stream_internal.h"
#include "util/fault.h"
#include "util/fd.h"

#define ZERO_CHUNK 65536u

typedef struct FilePump {
    int fd;
    Pool *pool;
    uint64_t pos, end; /* end: UINT64_MAX when open */
    bool writing, grew; /* grew: a hole at the end may have to become part of the size */
    /* the task's */
    RpcMsg *input;      /* borrowed: the first of st->input */
    bool sync;
    uint8_t *data;
    size_t len;         /* read; 0 with hole 0: end */
    uint64_t hole;
    int error;          /* positive errno */
} FilePump;

static void submit(RpcStream *st, void (*fn)(void *arg))
{
    FilePump *p = st->pump;
    p->error = 0;
    st->busy++;
    pool_submit(p->pool, LANE_LONG, fn, rpc_stream_ref(st));
}

static void fail_errno(RpcStream *st, int error, const char *what)
{
    g_auto(Err) err = ERR_INIT;
    err_set_errno(&err, error, "%s", what);
    stream_fail(st, &err);
}

/* ---- daemon to client ---- */

/* Length of the hole at pos (0: data there); *ret_data bytes of data follow at least, bounded by `most`. */
static uint64_t hole_at(FilePump *p, uint64_t most, size_t *ret_data)
{
    off_t data = lseek(p->fd, (off_t)p->pos, SEEK_DATA);
    struct stat sb;
    if (data < 0 && errno == ENXIO && fstat(p->fd, &sb) == 0) /* nothing but hole up to the end */
        return (uint64_t)sb.st_size > p->pos ? MIN((uint64_t)sb.st_size - p->pos, most) : 0;
    if (data < 0)
        return 0; /* a file system that cannot tell */
    if ((uint64_t)data > p->pos)
        return MIN((uint64_t)data - p->pos, most);
    off_t hole = lseek(p->fd, (off_t)p->pos, SEEK_HOLE);
    if (hole > data)
        *ret_data = (size_t)MIN((uint64_t)(hole - data), (uint64_t)*ret_data);
    return 0;
}

static void read_done(void *arg)
{
    RpcStream *st = arg;
    FilePump *p = st->pump;
    uint8_t *data = g_steal_pointer(&p->data);
    size_t len = p->len;
    uint64_t hole = p->hole;
    int error = p->error;
    if (!stream_task_done(st) || st->state != STREAM_RUNNING) {
        g_free(data);
    } else if (error) {
        g_free(data);
        fail_errno(st, error, "cannot read the stream's file");
    } else if (hole > 0) {
        p->pos += hole;
        stream_give_hole(st, hole);
    } else if (len == 0) {
        g_free(data);
        stream_give_eof(st);
    } else {
        p->pos += len;
        stream_give_own(st, data, len);
    }
    if (st->state == STREAM_FINISHING)
        stream_consume(st);
    else
        stream_pump(st);
    rpc_stream_unref(st);
}

static void read_task(void *arg)
{
    RpcStream *st = arg;
    FilePump *p = st->pump;
    uint64_t most = p->end - p->pos;
    size_t want = (size_t)MIN(most, (uint64_t)RPC_STREAM_DATA_MAX);
    p->hole = st->sparse ? hole_at(p, most, &want) : 0;
    p->len = 0;
    if (p->hole == 0 && want > 0) {
        p->data = FAULT("stream") ? NULL : g_try_malloc(want);
        ssize_t n = 0;
        errno = ENOMEM;
        do {
            n = !p->data ? -1 : pread(p->fd, p->data, want, (off_t)p->pos);
        } while (n < 0 && errno == EINTR);
        if (n < 0)
            p->error = errno;
        else
            p->len = (size_t)n;
        if (n <= 0)
            g_clear_pointer(&p->data, g_free);
    }
    event_post(st->conn->loop, read_done, st);
}

static bool read_produce(RpcStream *st)
{
    if (st->busy == 0)
        submit(st, read_task);
    return false;
}

/* ---- client to daemon ---- */

/* 0 or positive errno. */
static int write_piece(FilePump *p, const uint8_t *data, size_t len)
{
    while (len > 0) {
        ssize_t n = pwrite(p->fd, data, len, (off_t)p->pos);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno;
        if (n == 0)
            return ENOSPC;
        data += n;
        len -= (size_t)n;
        p->pos += (uint64_t)n;
    }
    return 0;
}

static int write_hole(FilePump *p, uint64_t len)
{
    if (fallocate(p->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)p->pos, (off_t)len) == 0) {
        p->pos += len;
        p->grew = true;
        return 0;
    }
    if (errno != EOPNOTSUPP && errno != ENOSYS)
        return errno;
    static const uint8_t zeros[ZERO_CHUNK];
    int error = 0;
    for (uint64_t left = len; left > 0 && !error;) {
        size_t n = (size_t)MIN(left, (uint64_t)ZERO_CHUNK);
        error = write_piece(p, zeros, n);
        left -= n;
    }
    return error;
}

static uint64_t hole_length(const RpcMsg *m)
{
    uint64_t len;
    memcpy(&len, m->body, 8); /* stream.c checked that it is there and positive */
    return be64toh(len);
}

static uint64_t input_length(const RpcMsg *m)
{
    return m->h.type == RPC_TYPE_HOLE ? hole_length(m) : m->body_len;
}

static void write_done(void *arg)
{
    RpcStream *st = arg;
    FilePump *p = st->pump;
    int error = p->error;
    bool sync = p->sync;
    if (!stream_task_done(st)) {
        rpc_stream_unref(st);
        return;
    }
    if (error) {
        fail_errno(st, error, sync ? "cannot complete the stream's file" : "cannot write the stream's file");
    } else if (sync) {
        stream_confirm(st);
    } else {
        stream_input_done(st);
        if (st->state != STREAM_ENDED)
            stream_consume(st);
    }
    rpc_stream_unref(st);
}

static void write_task(void *arg)
{
    RpcStream *st = arg;
    FilePump *p = st->pump;
    if (p->input->h.type == RPC_TYPE_HOLE)
        p->error = write_hole(p, hole_length(p->input));
    else
        p->error = write_piece(p, p->input->body, p->input->body_len);
    event_post(st->conn->loop, write_done, st);
}

static void sync_task(void *arg)
{
    RpcStream *st = arg;
    FilePump *p = st->pump;
    struct stat sb;
    if (p->grew && fstat(p->fd, &sb) == 0 && S_ISREG(sb.st_mode) && (uint64_t)sb.st_size < p->pos &&
        ftruncate(p->fd, (off_t)p->pos) < 0)
        p->error = errno;
    else if (fdatasync(p->fd) < 0 && errno != EINVAL)
        p->error = errno;
    event_post(st->conn->loop, write_done, st);
}

static void write_consume(RpcStream *st)
{
    FilePump *p = st->pump;
    if (st->busy > 0)
        return;
    RpcMsg *m = g_queue_peek_head(&st->input);
    uint64_t len = input_length(m);
    if (len > p->end - p->pos || len > (uint64_t)INT64_MAX - p->pos) {
        fail_errno(st, ENOSPC, "more data than the stream's length allows");
        return;
    }
    p->input = m;
    submit(st, write_task);
}

static bool write_finish(RpcStream *st)
{
    FilePump *p = st->pump;
    p->sync = true;
    submit(st, sync_task);
    return false;
}

/* ---- both ---- */

static void file_free(RpcStream *st)
{
    FilePump *p = st->pump;
    fd_close(&p->fd);
    g_free(p->data);
    g_free(p);
}

static const StreamKind read_kind = {
    .name = "file to client",
    .produce = read_produce,
    .free = file_free,
};

static const StreamKind write_kind = {
    .name = "client to file",
    .consume = write_consume,
    .finish = write_finish,
    .free = file_free,
};

static RpcStream *open_file(RpcMsg *call, const StreamKind *kind, int fd, uint64_t offset, uint64_t length, bool sparse,
                            Pool *pool, const RpcStreamOwner *owner)
{
    FilePump *p = g_new0(FilePump, 1);
    p->fd = fd;
    p->pool = pool;
    p->pos = MIN(offset, (uint64_t)INT64_MAX);
    p->end = length > (uint64_t)INT64_MAX - p->pos ? (uint64_t)INT64_MAX : p->pos + length;
    return stream_new(call, kind, p, sparse, owner);
}

RpcStream *rpc_stream_open_read(RpcMsg *call, int fd, uint64_t offset, uint64_t length, bool sparse, Pool *pool,
                                const RpcStreamOwner *owner)
{
    return open_file(call, &read_kind, fd, offset, length, sparse, pool, owner);
}

RpcStream *rpc_stream_open_write(RpcMsg *call, int fd, uint64_t offset, uint64_t length, bool sparse, Pool *pool,
                                 const RpcStreamOwner *owner)
{
    return open_file(call, &write_kind, fd, offset, length, sparse, pool, owner);
}
