/* rpc/stream_internal.h - a stream as its kinds see it (stream.c, stream_fd.c, stream_file.c)
 */
#pragma once

#include "rpc/internal.h"

typedef enum {
    STREAM_OPENING,
    STREAM_RUNNING,
    STREAM_FINISHING,
    STREAM_ENDED,
} StreamState;

/* What a kind does.  All on the event thread. */
typedef struct StreamKind {
    const char *name;
    /* The reply is queued: make event sources. */
    void (*start)(RpcStream *st);
    /* Nothing is under way to the client: give one packet (stream_give_…) and return true, or return false and give it later.  NULL:
     * nothing is ever sent. */
    bool (*produce)(RpcStream *st);
    /* st->input has packets: use up what is possible, stream_input_done each.  Also called when a finish was asked.  NULL: takes none. */
    void (*consume)(RpcStream *st);
    /* Queued input is used up and the client asked to finish: true when confirmed at once, false when stream_confirm comes later. */
    bool (*finish)(RpcStream *st);
    /* The stream ended: drop event sources. */
    void (*stop)(RpcStream *st);
    /* Frees `pump`, closes descriptors.  Not while tasks run (st->busy). */
    void (*free)(RpcStream *st);
} StreamKind;

struct RpcStream {
    int refs; /* atomic */
    const StreamKind *kind;
    RpcConn *conn;     /* ref */
    RpcHeader call;    /* program, procedure and serial of its packets */
    RpcStreamOwner owner;
    void *pump;        /* the kind's own */
    bool sparse;

    /* event thread only */
    StreamState state;
    bool listed;       /* in conn->streams, which holds a ref */
    bool sending;      /* a data packet is on its way out */
    bool eof;          /* end of data was sent */
    bool in_pump, in_input, finish_asked;
    unsigned busy;     /* pool tasks running; the end is told when they are done */
    RpcStreamEnd how;
    bool told;
    GQueue input;      /* RpcMsg: data and holes from the client, in order */
    size_t input_off;  /* used up of the first */
    GBytes *early_error; /* rpc_stream_abort before the start */
    sd_event_source *deadline;
};

G_DEFINE_AUTOPTR_CLEANUP_FUNC(RpcStream, rpc_stream_unref)

/* Keeps the stream to the end of the block, whatever ends it meanwhile. */
#define HOLD_STREAM(st) G_GNUC_UNUSED g_autoptr(RpcStream) stream_held = rpc_stream_ref(st)

RpcStream *stream_new(RpcMsg *call, const StreamKind *kind, void *pump, bool sparse, const RpcStreamOwner *owner);
/* Starts giving data if nothing is under way. */
void stream_pump(RpcStream *st);
/* Data packet of `len` <= RPC_STREAM_DATA_MAX bytes, copied, or shared (then data points into it). */
void stream_give(RpcStream *st, const uint8_t *data, size_t len, GBytes *shared);
/* As above; `own` is taken over. */
void stream_give_own(RpcStream *st, uint8_t *own, size_t len);
void stream_give_hole(RpcStream *st, uint64_t len);
void stream_give_eof(RpcStream *st);
/* The first packet of input is used up. */
void stream_input_done(RpcStream *st);
/* Goes on with input or with a finish that waits for it. */
void stream_consume(RpcStream *st);
void stream_confirm(RpcStream *st);
/* Tells the client, ends the stream. */
void stream_fail(RpcStream *st, const Err *err);
/* A pool task of the stream is over (st->busy was raised when it was submitted); true when the stream still runs. */
bool stream_task_done(RpcStream *st);
