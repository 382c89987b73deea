/* tests/rpc/toy.h - a real server with a toy service on a loop of its own, and a blocking client to poke it with
 *
 * The toy program is TOY_PROG version 1.  Its procedures are the ToyProc below.  The server's end of a socket pair is adopted by the
 * server; the test keeps the other end and sends bytes of its choice.
 */
#pragma once

#include "rpc/server.h"
#include "rpc/stream.h"
#include "util/lock.h"
#include "util/pool.h"

#define TOY_PROG 0x20007878u

typedef enum {
    TOY_NULL = 1,      /* answers at once, on the event thread */
    TOY_ECHO = 2,      /* string -> string, on the event thread */
    TOY_WORKER = 3,    /* the same on a worker */
    TOY_HOLD = 4,      /* kept until toy_release_held */
    TOY_FAIL = 5,      /* an error with hint */
    TOY_FORGET = 6,    /* freed without an answer */
    TOY_BIG = 7,       /* u32 n -> n bytes as opaque */
    TOY_FDS = 8,       /* descriptors in -> the same descriptors out */
    TOY_CLOSE = 9,     /* answers, then closes after flush */
    TOY_AUTH = 10,     /* marks the connection authenticated */
    TOY_KEEPALIVE = 11,
    TOY_SWITCH = 12,   /* answers, then goes on through toy->next_transport() */
    TOY_NEWS = 13,     /* on a worker: posts an event (procedure 100, no payload) to the loop, then answers */
    TOY_STREAM_BYTES = 20, /* u32 n: n pattern bytes from memory */
    TOY_STREAM_FD = 21,    /* both ways over toy->stream_peer's other end */
    TOY_STREAM_READ = 22,  /* u32 sparse: from toy->path */
    TOY_STREAM_WRITE = 23, /* u32 sparse, u32 length: into toy->path */
    TOY_STREAM_FAILED_CALL = 24, /* opens a stream, then answers with an error */
} ToyProc;

typedef struct Toy {
    EventLoop *loop;
    RpcServer *server;
    Pool *pool;
    RpcListenerSpec spec;
    RpcLimits limits;
    RpcTransport *(*next_transport)(void);
    const char *path;     /* file of the file streams */
    int stream_peer;      /* our end of a fd stream's socket pair */
    int stream_sndbuf;
    /* lock */
    Mutex lock;
    Cond changed;
    GPtrArray *held;      /* RpcMsg of TOY_HOLD */
    unsigned calls_before_hold; /* calls that had come when the last TOY_HOLD did */
    unsigned calls, opened, closed, streams_ended;
    RpcStreamEnd last_end;
    char *last_reason;
    RpcStream *stream;    /* the last opened, a ref */
    RpcConn *conn;        /* the last opened, a ref */
} Toy;

/* Limits may be NULL.  The loop runs when this returns. */
void toy_start(Toy *t, const RpcLimits *limits);
void toy_stop(Toy *t);
/* Adopts one end of a socket pair; returns ours (blocking, with a receive timeout). */
int toy_connect(Toy *t);
/* The same with a socket of the test's making: moved. */
void toy_adopt(Toy *t, int fd);
/* Answers the first n held calls, or all when there are fewer. */
void toy_release_held(Toy *t, unsigned n);
/* Run fn on the loop's thread and wait for it. */
void toy_on_loop(Toy *t, void (*fn)(Toy *t));
/* Wait with a deadline of some seconds for the counter to reach a value; fails the test otherwise. */
void toy_wait(Toy *t, const unsigned *counter, unsigned value);
/* Closes the device of the last descriptor stream and aborts the last stream from the daemon's side. */
void toy_hang_up_stream(Toy *t);
/* Whether the last connection that closed gave a reason with this text in it. */
bool toy_last_reason_has(Toy *t, const char *text);
/* Number of held calls, under the lock. */
unsigned toy_n_held(Toy *t);
void toy_wait_held(Toy *t, unsigned n);

typedef struct Packet {
    RpcHeader h;
    uint8_t *body;
    size_t len;
} Packet;

/* Builds a packet with a body of its own; free with g_byte_array_unref. */
GByteArray *packet_make(uint32_t type, int32_t proc, uint32_t serial, uint32_t status, const void *body, size_t len);
void put_be32(GByteArray *a, uint32_t v);
uint32_t get_be32(const uint8_t *p);
void client_send(int fd, const void *data, size_t len);
void client_send_packet(int fd, uint32_t type, int32_t proc, uint32_t serial, uint32_t status, const void *body, size_t len);
void client_call(int fd, int32_t proc, uint32_t serial);
void client_call_u32(int fd, int32_t proc, uint32_t serial, uint32_t arg);
/* The next packet; false at end of file (or reset).  A timeout fails the test. */
bool client_recv(int fd, Packet *ret);
void packet_done(Packet *p);
/* Receives and asserts type, serial, status. */
void client_expect(int fd, uint32_t type, uint32_t serial, uint32_t status, Packet *ret);
/* An error reply of this code and origin; its message when ret_message is not NULL (caller frees). */
void client_expect_error(int fd, uint32_t type, uint32_t serial, int code, int domain, char **ret_message);
/* Nothing is answered: a null call sent now is answered first. */
void client_expect_silence(int fd);
void client_expect_eof(int fd);
