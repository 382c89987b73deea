/* rpc/frame.h - bytes of a socket to packets
 *
 * A packet is a length word (counting itself), six header words and a payload.  The reader takes bytes in pieces of any size, checks
 * every limit before it allocates, and lets memory grow with what has arrived, never with what was announced.
 *
 * Threads: a reader belongs to one thread (the client event thread); no locks.
 */
#pragma once

#include "base.h"
#include "rpc/forward.h"

#define RPC_LEN_SIZE 4u
#define RPC_HEADER_SIZE 28u                  /* the length word and the six words after it */
#define RPC_PACKET_MAX (33554432u + 4u)      /* longest packet either side accepts, length word included */
#define RPC_PACKET_MAX_PREAUTH (272u * 1024u) /* before authentication: SASL's 65536 characters of four bytes, and room */
#define RPC_FDS_MAX 32u
#define RPC_STREAM_DATA_MAX 262120u          /* most bytes in one data packet we send */

typedef enum {
    RPC_TYPE_CALL = 0,
    RPC_TYPE_REPLY = 1,
    RPC_TYPE_MESSAGE = 2,
    RPC_TYPE_STREAM = 3,
    RPC_TYPE_CALL_FDS = 4,
    RPC_TYPE_REPLY_FDS = 5,
    RPC_TYPE_HOLE = 6,
} RpcType;

typedef enum {
    RPC_STATUS_OK = 0,
    RPC_STATUS_ERROR = 1,
    RPC_STATUS_CONTINUE = 2,
} RpcStatus;

typedef struct RpcHeader {
    uint32_t prog, vers;
    int32_t proc;
    uint32_t type;   /* RpcType, or anything a peer sent */
    uint32_t serial;
    uint32_t status; /* RpcStatus, or anything a peer sent */
} RpcHeader;

/* Writes length word (RPC_HEADER_SIZE + payload_len) and header into out[RPC_HEADER_SIZE]. */
void rpc_header_encode(uint8_t *out, const RpcHeader *h, size_t payload_len);
/* Reads the six words; returns the length word. */
uint32_t rpc_header_decode(const uint8_t in[RPC_HEADER_SIZE], RpcHeader *ret);

/* One packet under assembly.  Embedded; zero it and call frame_reader_init. */
typedef struct FrameReader {
    size_t max_packet;      /* raised when the peer is authenticated */
    bool fds_allowed;       /* UNIX socket, not one for reading only, authenticated */
    uint8_t head[RPC_HEADER_SIZE];
    unsigned head_len;
    RpcMsg *msg;            /* header complete, body under way; owned */
    uint32_t body_need;     /* announced body bytes */
    uint8_t *body;          /* owned until it moves into msg */
    size_t body_len, body_cap;
    unsigned fds_need;      /* descriptor bytes still to come for msg */
    int fds[RPC_FDS_MAX];   /* arrived and not yet claimed by a packet; owned */
    unsigned n_fds;
    const uint8_t *in;      /* input being parsed: borrowed from the caller, or stash */
    size_t in_len;
    uint8_t *stash;         /* input kept because parsing was paused; owned */
} FrameReader;

void frame_reader_init(FrameReader *r, size_t max_packet, bool fds_allowed);
void frame_reader_done(FrameReader *r);
/* Hands bytes in; they must stay valid until frame_reader_next returned 0 or frame_reader_pause was called.  Only when the previous
 * input is used up.  */
void frame_reader_feed(FrameReader *r, const uint8_t *data, size_t len);
/* Adds descriptors that came with the bytes about to be fed; moved (closed on failure).  -1 with *why when not allowed or too many. */
int frame_reader_feed_fds(FrameReader *r, int *fds, unsigned n, const char **why);
/* 1: *ret is the next packet (caller owns; conn is unset); 0: all input is used up; -1: the peer broke the protocol, *why says how:
 * close the connection. */
int frame_reader_next(FrameReader *r, RpcMsg **ret, const char **why);
/* Copies unparsed input, so that the caller's buffer can be reused; frame_reader_next goes on with it later. */
void frame_reader_pause(FrameReader *r);
/* True while unparsed input is held. */
bool frame_reader_has_input(const FrameReader *r);
/* Bytes held of the packet that has begun. */
size_t frame_reader_holds(const FrameReader *r);
/* Nothing was fed that has not come out as a packet, not even a part of one. */
bool frame_reader_is_empty(const FrameReader *r);
