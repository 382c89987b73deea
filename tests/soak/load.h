/* tests/soak/load.h - a crowd of clients of all manners, inside one program
 *
 * load.c       options, threads, what a client does next, the count at the end
 * load_wire.c  one connection: packets out and in
 * load_args.c  arguments of any procedure, sensible or not
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <glib.h>

#include "protocol/procs.h"
#include "rpc/frame.h"

#define LOAD_CODES 128    /* error codes counted one by one; what is above goes into the last */
#define LOAD_BODY_MAX 65536u

typedef struct LoadGuest {
    char *name;
    uint8_t uuid[16];
    char *xml; /* its definition, to put back what others changed of it */
} LoadGuest;

/* The same for all clients; constant while they run, but for `unsupported` and `failed`. */
typedef struct Load {
    const char *path, *ro_path; /* sockets */
    unsigned clients;
    uint64_t calls; /* of all clients together */
    unsigned seed;
    unsigned power; /* calls of a thousand that start, stop or pause a guest */
    GArray *guests; /* LoadGuest */
    const char *domain_xml; /* with @NAME@ and @UUID@ */
    const ProcInfo *rows;
    size_t n_rows;
    gint *unsupported; /* a row of the table each: answered "not supported" once */
    gint failed;
} Load;

typedef struct LoadCount {
    uint64_t calls, ok, errors, events, connections, streams, stream_bytes, fds, aborted, garbage;
    uint64_t codes[LOAD_CODES];
} LoadCount;

typedef struct Client {
    Load *load;
    unsigned number;
    uint64_t rnd;
    int fd; /* -1: not connected */
    bool read_only;
    uint32_t serial;
    uint32_t stream; /* serial of the stream that is open */
    bool streaming, stream_over;
    int callbacks[8]; /* registrations of this connection */
    unsigned n_callbacks;
    RpcHeader h;   /* of the packet received last */
    uint8_t *body; /* its payload */
    size_t body_len, body_cap;
    LoadCount count;
} Client;

/* ---- load.c ---- */
/* Says why on stderr and makes the program fail. */
void load_fail(const Client *c, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
uint32_t load_rnd(Client *c, uint32_t below);

/* ---- load_wire.c ---- */
bool client_connect(Client *c, bool read_only);
typedef enum { END_PLAIN, END_RESET, END_HALF_PACKET, END_HALF_OPEN, END_MAX } LoadEnd;
void client_close(Client *c, LoadEnd how);
/* False: the connection broke.  body may be longer than LOAD_BODY_MAX, NULL when len is 0. */
bool client_send(Client *c, uint32_t prog, int32_t proc, uint32_t type, uint32_t serial, uint32_t status, const void *body, size_t len);
/* The next packet into c->h, c->body; events, pings and ends of streams are seen to.  False: the connection broke. */
bool client_receive(Client *c);
/* Until the reply with the serial is there. */
bool client_await(Client *c, uint32_t serial);
/* Sends the call, counts it; its serial. */
bool client_call(Client *c, const ProcInfo *p, const void *body, size_t len, uint32_t *ret_serial);

/* ---- load_args.c ---- */
typedef enum { WHOSE_OWN, WHOSE_ANY, WHOSE_GUEST, WHOSE_NOBODY, WHOSE_FRESH } Whose;
typedef struct LoadName {
    char name[64];
    uint8_t uuid[16];
    const LoadGuest *guest;
} LoadName;
/* A machine of the kind; without guests WHOSE_GUEST is WHOSE_ANY. */
void name_pick(Client *c, Whose whose, LoadName *ret);
/* Valid arguments of any procedure into buf; the object of its key is `name`.  Bytes used, or -1: cannot be made. */
ssize_t args_any(Client *c, const ProcInfo *p, const LoadName *name, uint8_t *buf, size_t size);
ssize_t args_garbage(Client *c, uint8_t *buf, size_t size);
/* The document that defines `name`; g_free. */
char *args_xml(Client *c, const LoadName *name);
