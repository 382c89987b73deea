/* qmp/client_private.h - shared by client.c (calls) and client_io.c (socket) only
 */
#pragma once

#include "util/lock.h"
#include "qmp/client.h"
#include "qmp/codec.h"

/* Outstanding commands and unsent bytes of one client; beyond them a command is refused. */
#define QMP_MAX_OUTSTANDING 1024u
#define QMP_MAX_OUT_BYTES (32u << 20)
#define QMP_MAX_FDS 16u

typedef enum QmpState {
    QMP_STATE_GREETING,
    QMP_STATE_READY,
    QMP_STATE_CLOSED,
} QmpState;

/* One command outstanding.  In client.slots from sending to its end; after `abandoned` only to swallow the late reply. */
typedef struct Slot {
    uint64_t id;
    char *name;
    Deadline deadline;
    bool raw;            /* ret becomes the whole answer */
    json_t *user_id;     /* raw: "id" as the user gave it, or NULL */
    bool abandoned;
    /* synchronous: the waiter sleeps on client.changed and frees the slot */
    bool sync, done;
    bool waited; /* somebody sleeps for it */
    /* asynchronous */
    QmpCallback cb;
    void *userdata;
    /* outcome */
    QmpStatus status;
    json_t *ret;
    Err err;
} Slot;

/* Bytes of one command on their way, with the descriptors that go with the first of them. */
typedef struct Chunk {
    uint64_t id; /* 0: the negotiation itself */
    char *data;
    size_t len, sent;
    int *fds;
    unsigned n_fds;
} Chunk;

struct QmpClient {
    gint refs;
    EventLoop *loop;
    const QmpHandlers *h;
    void *userdata;

    Mutex lock; /* leaf: from here */
    Cond changed;        /* state; a slot somebody sleeps for */
    QmpState state;
    char *reason;        /* of closing */
    QmpVersion version;
    uint64_t next_id;
    GHashTable *slots;   /* id -> Slot */
    unsigned abandoned;  /* slots in it whose deadline has passed */
    bool silent;         /* nothing was answered since the last of them */
    GQueue out;          /* Chunk; stays put in GREETING but for the negotiation at its head */
    size_t out_bytes;
    bool flush_posted;
    bool writing;        /* somebody is at the socket with heads of the queue */
    bool write_dead;     /* peer reads no more; what it still wrote is read to its end */
    bool finished;       /* the loop is done with the socket: closed by whoever is at it last */
    int fd;              /* to here; the loop, which reads, and who is writing may use it without the lock */

    /* loop thread only */
    bool negotiating;    /* greeting seen, qmp_capabilities sent */
    bool events;         /* some came since the socket was read empty */
    Deadline greeting;
    EventIo *io;
    sd_event_source *timer;
    uint64_t timer_at; /* when it fires: at the next end or before it; UINT64_MAX: it does not */
    QmpCodec codec;
};

/* ---- client_io.c */

/* Writes what is queued, as much as the socket takes, unless somebody else is doing that.  Never blocks.  On the loop's thread, or on any once the
 * client is READY.  False: the rest is for the loop (qmp_io_flush). */
bool qmp_io_write(QmpClient *c);
/* Posted by client.c: takes the socket into the loop; writes what is queued; tears down. */
void qmp_io_attach(void *client);
void qmp_io_flush(void *client);
void qmp_io_finish(void *client);
void qmp_chunk_free(Chunk *ch);

/* ---- client.c */

void qmp_slot_free(Slot *s);
/* Ends a slot from QEMU's answer or by what slot->status and err say.  Lock held for the synchronous part; returns true when the
 * callback is still to be run (asynchronous), without the lock.  *ret_wake: client.changed is to be broadcast then, because of its sleeper,
 * who would otherwise wake only to wait for the lock. */
bool qmp_slot_finish_locked(Slot *s, bool *ret_wake);
/* Runs the callback and frees. */
void qmp_slot_run(Slot *s);
/* Fills status, ret and err from an answer object. */
void qmp_slot_answer(Slot *s, json_t *reply);
