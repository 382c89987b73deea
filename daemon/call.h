/* daemon/call.h - one call from its arrival to its reply
 *
 * A Call owns message, arguments, result, error, arena, references, lock and job; call_done() undoes, in reverse, what was reached.
 * It is owned by one thread at a time: the event thread, then (unless INLINE) the job queue it is parked in, then a worker.
 */
#pragma once

#include "daemon/client.h"
#include "domain/domain.h"
#include "protocol/procs.h"
#include "rpc/stream.h"
#include "util/arena.h"

struct Call {
    Client *client;
    RpcConn *conn; /* reference */
    RpcMsg *msg;
    const ProcInfo *proc;
    void *args;    /* decoded; proc->args_size bytes */
    void *ret;     /* proc->ret_size zeroed bytes; what it points to is in the arena */
    GBytes *body;  /* the result encoded already, instead of `ret`; NULL as a rule */
    Err err;
    Arena arena;
    Domain *dom;   /* reference; NULL unless the procedure names a machine */
    JobRequest job;
    bool job_held;
    const char *checked_name; /* of `dom` when permissions were checked; NULL: they did not depend on it */
    bool access_asked;        /* by the handler, of a row that leaves it to it */
    const char *late_name;    /* what it asked for, for the audit record; NULL: it has not */
    uint8_t late_uuid[UUID_LEN];
    const char *login;        /* this call let its client in, or did not: by what, for the audit record; NULL: it was about something else */
    struct AuditRecord *audit; /* from the beginning of a call that changes something; NULL: none */
    void (*then)(Call *call); /* when polkit has answered */
    GHashTable *visible;      /* uuid -> name of the machines polkit lets a list show; NULL: it was not asked */
    int fds[RPC_FDS_MAX]; /* to go out with the reply */
    unsigned n_fds;
    GList link;    /* in client->calls */
    int (*finish)(Call *call, Err *err); /* on the client event thread, answers a call that succeeded instead of the gate; -1 with err: the gate
                                          * answers with that.  NULL as a rule */
    void (*after)(void *arg); /* runs once the reply is on its way; NULL as a rule */
    void *after_arg;
};

/* Hands a descriptor over to be sent with the reply. */
void call_send_fd(Call *call, int fd);
static inline Server *call_server(const Call *call)
{
    return call->client->server;
}
static inline DomainDriver *call_domains(const Call *call)
{
    return call->client->server->domains;
}
