/* rpc/internal.h - what the files of this folder share
 *
 * Nothing here is for other folders.
 */
#pragma once

#include "rpc/auth.h"
#include "rpc/server.h"
#include "rpc/stream.h"
#include "util/lock.h"

#define RPC_SCRATCH_SIZE (256u * 1024u)  /* one read of a socket at most; one buffer for the server */
#define RPC_TURN_PACKETS 16u             /* of one client, before the others have theirs */
#define RPC_ANSWERS_BYTES (64u * 1024u)  /* answers a client has not taken; beyond, its calls are not taken either */
#define RPC_DIRECT_MAX (64u * 1024u)     /* longest answer a worker writes itself */
#define RPC_FLUSH_TIMEOUT_MS 10000u      /* CLOSING: what has not left by then is dropped */
#define RPC_STREAMS_MAX 64u              /* per connection */
#define RPC_WAITING_MAX 200u             /* local clients connected that wait for a place, see places.c */
#define RPC_STREAM_FINISH_MS 30000u      /* a console that takes no input does not hold a finish for ever */

#define KEEPALIVE_PROG 0x6b656570u
#define KEEPALIVE_VERS 1u
#define KEEPALIVE_PING 1
#define KEEPALIVE_PONG 2

/* One packet on its way out. */
typedef struct OutItem OutItem;
struct OutItem {
    OutItem *next;
    uint8_t head[RPC_HEADER_SIZE + 4]; /* header, then a descriptor count or a callback id */
    unsigned head_len;
    const uint8_t *data; /* payload: in `own`, `shared` or inline_data */
    size_t len;
    uint8_t *own;
    GBytes *shared;
    size_t sent;         /* of head and data together */
    int *fds;            /* owned */
    unsigned n_fds, fds_sent;
    bool ends_call;      /* the answer of a call: its place of the in-flight cap is free once this is queued */
    bool pong;           /* the answer of a ping */
    RpcConn *to;         /* ref: where it goes, while it is posted */
    RpcStream *starts;   /* ref: stream to start once this reply is queued */
    RpcStream *pumps;    /* ref: stream that waits for this data packet to leave */
    RpcTransport *next_transport;
    bool switches;       /* it had one, and it is in place */
    uint8_t inline_data[];
};

/* outq.c */
/* Item with room for `inline_len` bytes of payload in itself (data points there). */
OutItem *out_item_new(size_t inline_len);
/* Fills the header in; head_extra: 0 or the 4 bytes already put behind the header by the caller. */
void out_item_set_header(OutItem *it, const RpcHeader *h, unsigned head_extra);
OutItem *out_item_free(OutItem *it);

typedef struct OutQueue {
    OutItem *head, **tail;
    size_t bytes;
} OutQueue;

void out_queue_init(OutQueue *q);
void out_queue_done(OutQueue *q);
void out_queue_push(OutQueue *q, OutItem *it);
/* Before all others; only when none of them has begun to leave. */
void out_queue_push_front(OutQueue *q, OutItem *it);
/* Writes what the socket takes: 0 all gone, -EAGAIN, or negative errno.  `sent` is called for every item that has left, before it is
 * freed; *ret_bytes is increased by what was written. */
int out_queue_write(OutQueue *q, RpcTransport **t, void (*sent)(void *ud, OutItem *it), void *ud, uint64_t *ret_bytes);

struct RpcListener {
    RpcServer *server;
    int fd;
    char *name;
    RpcListenerSpec spec;
    EventIo *io;
    int refs; /* atomic */
};

void listener_unref(RpcListener *l);

/* What a local client that has not shown who it is has of the few there are for those. */
typedef enum {
    PLACE_NONE, /* needs none */
    PLACE_TAKEN,
    PLACE_WAITS, /* is not read */
    PLACE_MAX,
} Place;

typedef struct LocalUser LocalUser;

struct RpcServer {
    int refs; /* atomic: owner, connections */
    EventLoop *loop;
    char *name;
    RpcLimits limits;
    RpcService service;
    GPtrArray *listeners; /* RpcListener */
    GHashTable *conns;    /* id -> RpcConn, a ref each */
    unsigned n_anonymous;
    GQueue strangers;     /* those of them that come from the network, through their `stranger` link, oldest first */
    GQueue locals;        /* the same of local ones that have a place */
    GQueue waiting;       /* ... and of those that wait for one */
    GHashTable *users;    /* uid -> LocalUser, while it has any of those two */
    bool letting_in;      /* posted: places are free for some that wait */
    sd_event_source *room; /* the oldest stranger has had its time */
    uint64_t told_full_us;
    uint64_t last_id;
    uint8_t *scratch;
    int reserve_fd;       /* closed for a moment to turn a client away when descriptors run out */
    sd_event_source *retry; /* accept again after running out; made before, as it takes a descriptor */
    bool resting;
    bool stopped;
};

void server_unref(RpcServer *s);
/* The connection has become one of the anonymous, or is none any more. */
void server_count_anonymous(RpcConn *c);
/* Listeners are watched only while there is room for clients. */
void server_update_accept(RpcServer *s);
/* Those that wait for a place are not counted. */
bool server_below_max_clients(const RpcServer *s);

/* places.c */
/* A client is anonymous: it takes a place if it needs one, or waits; another one may have to go for it, or it itself. */
void places_enter(RpcConn *c);
/* It is not any more. */
void places_leave(RpcConn *c);
/* Posts that those who wait get the places that are free. */
void places_let_in_soon(RpcServer *s);

typedef enum {
    CONN_WRITER_NONE,
    CONN_WRITER_LOOP,   /* the event thread, until all it queued has left */
    CONN_WRITER_WORKER, /* for one system call */
} ConnWriter;

struct RpcConn {
    int refs; /* atomic */
    RpcServer *server; /* ref */
    EventLoop *loop;
    RpcListener *listener; /* ref */
    uint64_t id;
    int64_t connected_at;
    RpcPeer peer;
    char *name;        /* atomic; the event thread sets another when more is known */
    GSList *old_names; /* which others may still read */
    void *userdata;
    void (*userdata_free)(void *ud);
    int state;         /* atomic RpcConnState; written on the event thread */
    int read_only;     /* atomic bool */
    int authenticated; /* atomic bool */
    int dying;         /* atomic bool: a close was asked for */

    int in_flight;     /* atomic: calls and stream packets under way */
    int release_wanted; /* atomic bool: the event thread waits for a place to become free */
    uint64_t bytes_out; /* atomic */

    Mutex lock;        /* leaf: the rest of this block */
    ConnWriter writer; /* who may write to the socket */
    bool direct;       /* workers may: plain bytes, state OPEN */
    bool flush_wanted; /* the event thread found a worker writing */
    OutItem *partial;  /* what a worker could not write whole; first to leave */
    int orphan_fd;     /* the socket, closed while a worker wrote: the worker closes it */
    char *reason;      /* why it closes; first wins */

    /* event thread only */
    int fd;
    RpcTransport *transport;
    EventIo *io;
    sd_event_source *deadline, *keepalive, *stall, *rx_stall;
    FrameReader reader;
    OutQueue out;
    size_t answers;    /* bytes of answers, pongs too, in `out` */
    bool blocked;      /* the socket is full */
    bool muted;        /* it has input we may not take: not watched for more */
    bool turn_posted;
    bool anonymous;    /* counted in server->n_anonymous */
    GList stranger;    /* in server->strangers, locals or waiting; data: this, while it is there */
    Place place;
    LocalUser *user;   /* borrowed, while it has a place or waits */
    uint64_t accepted_us;
    bool processing;   /* in conn_process: sends are batched */
    bool reading;      /* in conn_read */
    bool flushing;     /* in out_queue_write */
    bool switching;    /* an answer waits behind which another transport begins: nothing is read until then */
    bool dead;         /* teardown is posted; touch nothing */
    GPtrArray *streams; /* RpcStream, a ref each */
    uint64_t calls, bytes_in;
    uint64_t last_rx_us;
    uint64_t stall_bytes; /* bytes_out when the stall timer was armed */
    uint64_t rx_stall_bytes; /* bytes_in when its sister was */
    unsigned pings;    /* sent without any packet since */
    uint64_t ping_bytes_out; /* bytes_out when the keepalive timer last looked */
};

/* conn.c */
RpcConn *conn_new(RpcServer *s, RpcListener *l, int fd, Err *err);
/* Event thread: closes soon (posted), so callers deep in a callback need not expect it.  reason as rpc_conn_close. */
void conn_fail(RpcConn *c, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Goes on with the handshake; event thread. */
void conn_handshake(RpcConn *c);
/* It has waited for a place and has one: reads, and its time to authenticate begins. */
void conn_let_in(RpcConn *c);
/* Dispatches the input that waits, as far as may be; event thread. */
void conn_process(RpcConn *c);
/* The same, posted; any thread. */
void conn_process_soon(RpcConn *c);
/* Posts that when calls wait which may be taken now; whoever frees a place or lets answers leave on the event thread. */
void conn_next_turn(RpcConn *c);
void conn_update_events(RpcConn *c);
/* Packet of type call: to the service; the rest of dispatch.c's rules. */
void dispatch_packet(RpcConn *c, RpcMsg *m);
void conn_close_impl(RpcConn *c);

/* conn_write.c */
/* Sends a packet (owned); any thread.  Dropped when the connection is gone. */
void conn_send(RpcConn *c, OutItem *it);
/* Event thread, all the rest. */
/* Writes what is queued, as far as the socket takes it. */
void conn_flush(RpcConn *c);
/* CLOSING ends when all calls taken are answered and the answers have left. */
void conn_finish_closing(RpcConn *c);
/* Closes the socket, or leaves that to the worker that writes to it this moment. */
void conn_close_socket(RpcConn *c);
/* Event thread, from a transport's free: the socket is the caller's now, who closes it. */
int conn_leave_socket(RpcConn *c);
/* Places of the in-flight cap: one more in use; one given back, and reading goes on. */
void conn_hold(RpcConn *c);
void conn_release(RpcConn *c);
/* From here on a place given back by a worker makes the event thread process the connection. */
void conn_expect_release(RpcConn *c);
static inline unsigned conn_in_flight(const RpcConn *c)
{
    return (unsigned)__atomic_load_n(&c->in_flight, __ATOMIC_SEQ_CST);
}

/* conn_info.c */
void conn_find_peer(RpcConn *c);
void conn_log_connected(RpcConn *c);
/* Of a listening socket: those accepted from it have them too. */
void conn_set_tcp_options(int fd);
void conn_free_peer(RpcConn *c);
/* Sets one of the atomic flags. */
void conn_set_flag(int *flag);

/* keepalive.c */
void keepalive_handle(RpcConn *c, const RpcHeader *h);
void keepalive_start_on_loop(RpcConn *c);

/* stream.c */
RpcStream *conn_find_stream(RpcConn *c, const RpcHeader *h);
/* Event thread, once the good reply is queued. */
void stream_start(RpcStream *st);
/* The opening call failed. */
void stream_drop(RpcStream *st);
/* A type 3 or 6 packet (owned) that counts in in_flight. */
void stream_packet(RpcStream *st, RpcMsg *m);
/* Its data packet has left. */
void stream_sent(RpcStream *st);
void stream_conn_closed(RpcStream *st);
