/* daemon/polkit.h - asking polkit
 *
 * Questions go over the system bus and are answered on the client event thread, each with a deadline; nobody waits.  So many are under way at
 * once that a long list is soon filtered, and so few that polkit's other clients have their turn; the rest queue here.
 *
 * Threads: the client event thread.
 */
#pragma once

#include <sys/types.h>

#include "event/event.h"

typedef struct Polkit Polkit;
typedef struct PolkitAsk PolkitAsk;

typedef enum {
    POLKIT_YES,
    POLKIT_NO,        /* its rules refuse */
    POLKIT_CHALLENGE, /* somebody would have to authenticate, and no agent is there to ask */
    POLKIT_DISMISSED, /* who was asked to authenticate would not */
    POLKIT_ABSENT,    /* no bus, or no polkit on it */
    POLKIT_FAILED,    /* no answer in time, or one that makes no sense */
} PolkitAnswer;

/* The process that asks.  `start` as in RpcPeer: without it another process could have the number by now. */
typedef struct PolkitSubject {
    pid_t pid;
    uint64_t start;
    uid_t uid;
} PolkitSubject;

typedef struct PolkitDetail {
    const char *key, *value;
} PolkitDetail;

/* `why`: what went wrong, for POLKIT_ABSENT and POLKIT_FAILED; else NULL. */
typedef void PolkitDone(void *ud, PolkitAnswer answer, const char *why);

Polkit *polkit_new(EventLoop *loop);
/* Answers what is under way with POLKIT_FAILED. */
Polkit *polkit_free(Polkit *p); /* NULL */
/* Asks whether the subject may do the action; interactive: an agent may ask its user.  done is called once, never before this returns. */
PolkitAsk *polkit_ask(Polkit *p, const PolkitSubject *who, const char *action, const PolkitDetail *details, unsigned n_details,
                      bool interactive, Deadline deadline, PolkitDone *done, void *ud);
/* Answers it with POLKIT_FAILED at once and takes the question back from polkit, so that no dialogue stays on the user's screen. */
void polkit_cancel(PolkitAsk *ask);
