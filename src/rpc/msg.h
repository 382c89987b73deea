/* rpc/msg.h - a received packet, and the answers to it
 *
 * An RpcMsg is owned by one thread at a time.  The service's call() callback gets calls on the client event thread and may hand them to
 * a worker; the functions here that answer run on any thread, encode on the calling thread and pass finished bytes to the event
 * thread, which alone touches the socket (when already on it, they try to write at once).
 *
 * Every call is answered exactly once, then freed: rpc_reply, rpc_reply_error, or, if it is freed unanswered, the internal error of
 * a handler that set none.  A call takes one place of the client's in-flight cap from arrival until its answer has left.
 *
 * Locks: conn's out-queue lock (leaf), taken inside.
 */
#pragma once

#include <rpc/types.h>
#include <rpc/xdr.h>

#include "rpc/forward.h"
#include "rpc/frame.h"
#include "util/err.h"

struct RpcMsg {
    RpcHeader h;
    const uint8_t *body; /* XDR body, past the descriptor count; may hold bytes beyond the arguments */
    size_t body_len;
    int fds[RPC_FDS_MAX]; /* received; what is left is closed by rpc_msg_free; take with rpc_msg_take_fd */
    unsigned n_fds;
    RpcConn *conn;       /* ref held */
    RpcStream *stream;   /* opened by the handler (rpc_stream_open…), started by a good reply; ref held */
    uint64_t at_us;      /* arrival, CLOCK_MONOTONIC */
    bool expects_reply;  /* a call; false for what needs no answer */
    bool answered;
    uint8_t *data;       /* allocation behind body, or NULL when inline */
    uint8_t inline_data[];
};

/* Frees the message, its descriptors and its refs; NULL is fine.  See above for unanswered calls.  Returns NULL. */
RpcMsg *rpc_msg_free(RpcMsg *m);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(RpcMsg, rpc_msg_free)

/* Takes descriptor i out: the caller closes it.  -1 when there is none or it was taken. */
int rpc_msg_take_fd(RpcMsg *m, unsigned i);
/* Decodes the body into *args (zeroed by the caller; free with xdr_free even on failure).  -1: VIR_ERR_RPC. */
int rpc_msg_decode(const RpcMsg *m, xdrproc_t filter, void *args, Err *err);

/* Answers with `ret` encoded by `filter` (NULL: void).  `fds` (may be NULL) are moved, sent after the packet, closed on every failure
 * and when the peer is gone.  If encoding fails or the reply is longer than the peer accepts, the peer gets that error instead and
 * *err holds it (for the log); the call is answered either way.  0 or -1. */
int rpc_reply(RpcMsg *call, xdrproc_t filter, const void *ret, const int *fds, unsigned n_fds, Err *err);
/* Answers with a body that is encoded already (a ref is taken).  A failure is that of rpc_reply(). */
int rpc_reply_encoded(RpcMsg *call, GBytes *body, Err *err);
/* Answers with an error (an unset one: internal error, origin RPC).  An open stream of the call is dropped. */
void rpc_reply_error(RpcMsg *call, const Err *err);

/* Encodes something once, to be sent to many: the payload of an event.  NULL: VIR_ERR_RPC.  Unref with g_bytes_unref. */
GBytes *rpc_encode(xdrproc_t filter, const void *data, Err *err);
/* Encodes an error as virNetMessageError.  Never NULL. */
GBytes *rpc_encode_error(const Err *err);
/* Sends an event (type 2) whose payload is the big-endian *callback_id (when not NULL: callback-id generation) followed by `payload`
 * (a ref is taken; shared by all receivers).  Any thread.  A client whose queue is over its limit is disconnected. */
void rpc_event_send(RpcConn *c, uint32_t prog, uint32_t vers, int32_t proc, const int32_t *callback_id, GBytes *payload);
