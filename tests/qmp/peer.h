/* tests/qmp/peer.h - a scripted QEMU on a socket pair
 *
 * The test appends steps; a thread of the peer's own plays them in order.  Every command is checked against the schema of the real
 * QEMU.  What goes wrong is kept and reported by peer_end().
 */
#pragma once

#include <jansson.h>

#include "qmp/schema.h"

typedef struct Peer Peer;

typedef enum {
    PEER_NO_GREETING = 1 << 0, /* no greeting, no negotiation: raw bytes only */
    PEER_NO_SCHEMA = 1 << 1,   /* commands are not checked */
} PeerFlags;

/* The schema of the QEMU that is installed, read once per process; NULL (and a note on stderr) when there is none. */
const QmpSchema *peer_schema(void);

/* The client's end of the pair goes to *ret_fd, owned by the caller. */
Peer *peer_new(PeerFlags flags, int *ret_fd);
/* Expects a command next; args (JSON text) NULL: any.  Followed by one of reply, fail, stall, die. */
void peer_expect(Peer *p, const char *command, const char *args);
/* Answers the last command; JSON text, NULL: {}. */
void peer_reply(Peer *p, const char *ret);
void peer_fail(Peer *p, const char *class, const char *desc);
void peer_emit(Peer *p, const char *event, const char *data);
/* Plays the last `steps` steps another `times` times. */
void peer_repeat(Peer *p, unsigned steps, unsigned times);
/* Stands still until peer_resume. */
void peer_stall(Peer *p);
void peer_resume(Peer *p);
/* Closes the connection. */
void peer_die(Peer *p);
/* Writes bytes as they are. */
void peer_raw(Peer *p, const char *bytes, size_t len);
/* The last command must have brought this many descriptors. */
void peer_expect_fds(Peer *p, unsigned n);
/* What the domain driver asks of a QEMU that has run without it; `status` answers query-status. */
void peer_look_anew(Peer *p, const char *status);
/* Waits (10 s) until all steps are played and ends the peer.  NULL: all as expected; else what was not (caller frees). */
char *peer_end(Peer *p);
