/* qmp/client.h - one QMP connection
 *
 * A client lives on a monitor event loop: that thread alone reads and writes the socket and runs the handlers.  Calls come from any
 * worker; a reply is routed to its call by id.  Whatever the peer sends, the worst that happens is that the client closes with a
 * reason: every waiter wakes at once, and on_closed runs once, last.
 *
 * States:  GREETING -> READY -> CLOSED (also GREETING -> CLOSED).  Commands sent in GREETING wait for READY.  "Unresponsive" is a
 * mark on READY: a deadline passed, new commands fail at once until the late reply arrives (on_responsive).
 */
#pragma once

#include <jansson.h>

#include "event/event.h"
#include "util/err.h"
#include "qmp/command.h"

typedef struct QmpClient QmpClient;

/* How a command ended.  Everything but QMP_OK is negative and has Err set; the QEMU classes are kept apart because callers decide by
 * them (a device already gone is no error of a detach). */
typedef enum QmpStatus {
    QMP_OK = 0,
    QMP_REFUSED = -1,             /* not sent: queue full, arguments unusable, client unresponsive, deadline passed before */
    QMP_CLOSED = -2,              /* connection ended before the reply (VIR_ERR_OPERATION_FAILED) */
    QMP_TIMEOUT = -3,             /* deadline passed; the command may still run (VIR_ERR_OPERATION_TIMEOUT) */
    QMP_GENERIC_ERROR = -4,       /* QEMU's own answer, by class */
    QMP_COMMAND_NOT_FOUND = -5,
    QMP_DEVICE_NOT_ACTIVE = -6,
    QMP_DEVICE_NOT_FOUND = -7,
    QMP_KVM_MISSING_CAP = -8,
} QmpStatus;

/* QEMU itself answered with an error. */
static inline bool qmp_status_is_reply(QmpStatus s)
{
    return s <= QMP_GENERIC_ERROR;
}

/* It was not done and will not be: never sent, or refused by QEMU.  Of a command that timed out or lost its connection nobody knows. */
static inline bool qmp_status_is_refusal(QmpStatus s)
{
    return s == QMP_REFUSED || qmp_status_is_reply(s);
}

/* All run on the monitor thread, take leaf locks only, never block.  Any may be NULL. */
typedef struct QmpHandlers {
    /* Greeting read and capabilities negotiated. */
    void (*on_ready)(void *userdata);
    /* `data` is borrowed, NULL when the event has none; usec: QEMU's wall clock time of the event. */
    void (*on_event)(void *userdata, const char *name, json_t *data, uint64_t usec);
    /* The late reply came after a deadline had passed: state may have changed unseen, resync. */
    void (*on_responsive)(void *userdata);
    /* Exactly once, last; every call outstanding has been answered with QMP_CLOSED before. */
    void (*on_closed)(void *userdata, const char *reason);
    /* What had come has been read, events among it: a moment to do once what would be the same for each of them. */
    void (*on_read)(void *userdata);
} QmpHandlers;

typedef struct QmpVersion {
    unsigned major, minor, micro;
    char package[128];
} QmpVersion;

/* Runs on the monitor thread, exactly once per qmp_send.  `ret` (NULL unless QMP_OK) and `err` are borrowed; err may be moved from. */
typedef void (*QmpCallback)(void *userdata, QmpStatus status, json_t *ret, Err *err);

/* Takes over `fd`, a connected UNIX stream socket on which QEMU's greeting is still to come, or has just come.  The greeting and the
 * negotiation must be over by `greeting`, else the client closes.  `h` must outlive the client (static).  Any thread; returns one
 * reference, the loop holds another until on_closed has run. */
QmpClient *qmp_client_new(EventLoop *loop, int fd, Deadline greeting, const QmpHandlers *h, void *userdata);
QmpClient *qmp_client_ref(QmpClient *c);
void *qmp_client_unref(QmpClient *c); /* NULL */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(QmpClient, qmp_client_unref)

/* Ends the connection: waiters wake with QMP_CLOSED before this returns, on_closed follows on the monitor thread.  Any thread, any
 * number of times; the first reason is kept. */
void qmp_client_close(QmpClient *c, const char *reason);
/* Sleeps until READY (0) or closed (-1, Err with the reason) or the deadline (-1).  Workers only. */
int qmp_client_wait_ready(QmpClient *c, Deadline d, Err *err);
bool qmp_client_is_closed(QmpClient *c);
/* False after a deadline has passed until the late reply arrives, and when closed. */
bool qmp_client_is_responsive(QmpClient *c);
/* From the greeting; zeros before it. */
void qmp_client_version(QmpClient *c, QmpVersion *ret);

/* Connects to a UNIX socket QEMU listens on: retries nothing, gives up at the deadline.  Returns a descriptor or -1.  Workers only. */
int qmp_connect_unix(const char *path, Deadline d, Err *err);

/* Sends a command and sleeps until its reply, the end of the connection or the deadline.  `args` (stolen, may be NULL) become
 * "arguments".  On QMP_OK *ret, when asked for, is the "return" value with a reference for the caller.  Workers only. */
QmpStatus qmp_call(QmpClient *c, const QmpCommand *cmd, json_t *args, Deadline d, json_t **ret, Err *err);
/* As qmp_call, with descriptors that travel with the command (add-fd, getfd).  They stay the caller's; duplicates are sent. */
QmpStatus qmp_call_fds(QmpClient *c, const QmpCommand *cmd, json_t *args, const int *fds, unsigned n_fds, Deadline d, json_t **ret,
                       Err *err);
/* Commands that are sent one behind the other before the first answer is waited for: QEMU carries them out in this order, and one that fails
 * does not keep the others from it.  A GArray of these (qmp_requests_new); status and err are set by qmp_call_all().  Workers only. */
typedef struct QmpRequest {
    const QmpCommand *cmd;
    json_t *args; /* owned until sent; NULL: none */
    QmpStatus status;
    Err err;
} QmpRequest;
#define QMP_TOGETHER 32u
GArray *qmp_requests_new(void);
/* `args` are stolen, may be NULL. */
void qmp_requests_add(GArray *requests, const QmpCommand *cmd, json_t *args);
/* Each command's deadline is that of its class. */
void qmp_call_all(QmpClient *c, GArray *requests);
/* A whole command object of a user's own ("execute", "arguments"; stolen).  *ret_reply is QEMU's whole answer, error answers too
 * (QMP_OK then), with the user's "id" in place of ours, or none if he gave none. */
QmpStatus qmp_call_raw(QmpClient *c, json_t *command, const int *fds, unsigned n_fds, Deadline d, json_t **ret_reply, Err *err);
/* Sends without waiting; many may be outstanding and are answered in order.  `cb` may be NULL.  It never runs inside this function.
 * Any thread. */
void qmp_send(QmpClient *c, const QmpCommand *cmd, json_t *args, Deadline d, QmpCallback cb, void *userdata);
