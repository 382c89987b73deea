/* rpc/stream.h - bulk data beside a call
 *
 * A handler opens a stream on its call, then replies; a good reply starts the stream, an error reply drops it.  From then on the
 * stream belongs to the connection: packets carry the call's program, procedure and serial.
 *
 * State     | to client         | from client                 | left by
 * OPENING   | nothing           | nothing (dropped)           | good reply -> RUNNING; error reply, close -> ENDED
 * RUNNING   | data, end of data | data, hole, finish, abort   | finish -> FINISHING; abort, failure, close -> ENDED
 * FINISHING | -                 | abort                       | queued input written -> confirmation, ENDED; failure, abort -> ENDED
 * ENDED     | -                 | ignored                     | -
 *
 * Flow control: one data packet to the client is under way at a time; while it is, the source is not read.  Packets from the client
 * take places of its in-flight cap until their bytes are written to the sink, so a slow sink stops the client's socket.
 *
 * Threads: pumping runs on the client event thread; open, abort, ref and unref on any; `ended` on the event thread.
 */
#pragma once

#include "rpc/forward.h"
#include "rpc/msg.h"
#include "util/err.h"
#include "util/pool.h"

typedef enum {
    RPC_STREAM_FINISHED, /* the client finished and got its confirmation */
    RPC_STREAM_ABORTED,  /* the client aborted */
    RPC_STREAM_FAILED,   /* we sent it an error */
    RPC_STREAM_CLOSED,   /* the connection went, or the call failed */
    RPC_STREAM_END_MAX,
} RpcStreamEnd;

extern const char *const rpc_stream_end_names[RPC_STREAM_END_MAX];

typedef struct RpcStreamOwner {
    /* Called once, on the event thread, when the stream ended; descriptors are closed by then.  May be NULL. */
    void (*ended)(void *ud, RpcStream *st, RpcStreamEnd how);
    void *ud;
} RpcStreamOwner;

/* All open functions: `owner` may be NULL and is copied; the result is also call->stream; the caller gets no ref of its own
 * (rpc_stream_ref to keep one).  One stream per call. */

/* Both ways over a pty, socket or pipe pair: `fd` is read, and written unless fd_out is a separate one (>= 0).  Moved.  End of the
 * device is end of data.  Console, channel. */
RpcStream *rpc_stream_open_fd(RpcMsg *call, int fd, int fd_out, const RpcStreamOwner *owner);
/* Daemon to client from memory (a ref is taken). */
RpcStream *rpc_stream_open_bytes(RpcMsg *call, GBytes *data, const RpcStreamOwner *owner);
/* Daemon to client from a regular file or block device: `length` bytes (UINT64_MAX: to the end) from `offset`; read by pool tasks.
 * `fd` is moved.  `sparse`: holes are sent as such. */
RpcStream *rpc_stream_open_read(RpcMsg *call, int fd, uint64_t offset, uint64_t length, bool sparse, Pool *pool,
                                const RpcStreamOwner *owner);
/* Client to daemon into a regular file or block device; more than `length` bytes fail with VIR_ERR_SYSTEM_ERROR ENOSPC.  Written and
 * synced by pool tasks; the confirmation follows the last write.  `fd` is moved. */
RpcStream *rpc_stream_open_write(RpcMsg *call, int fd, uint64_t offset, uint64_t length, bool sparse, Pool *pool,
                                 const RpcStreamOwner *owner);

/* Fails the stream from our side: the client gets `err` (NULL: internal error), the owner RPC_STREAM_FAILED.  No effect on an ended
 * one.  Any thread. */
void rpc_stream_abort(RpcStream *st, const Err *err);
RpcStream *rpc_stream_ref(RpcStream *st);
/* Returns NULL.  Any thread. */
RpcStream *rpc_stream_unref(RpcStream *st);
RpcConn *rpc_stream_conn(const RpcStream *st); /* borrowed */
