/* daemon/gate.c - the one way from a packet to a handler
 *
 * Owns:    the order of the checks, and the life of a Call
 * Threads: gate_call on the client event thread; INLINE handlers too; the others on workers
 * Locks:   the domain's, around handlers of scope LOCK and of the job scopes
 *
 * Theory of operation.  A call is checked and decoded on the event thread.  INLINE calls run there and are answered at once.  A call
 * without a job goes to its lane.  A call with a job is parked in its domain's queue first, as data, and goes to its lane when the job
 * is granted; so whoever waits for a sick guest holds no worker.  DESTROY signals the process before it asks for the job, which makes
 * the present holder fail and the job free.
 *
 *   ARRIVED -> (refused) -> answered
 *   ARRIVED -> INLINE handler -> answered
 *   ARRIVED -> lane -> handler -> answered
 *   ARRIVED -> parked -> lane -> lock, handler, status, job end -> answered
 *            `-> refused (deadline, client gone) -> answered
 *
 * A client that goes takes with it its calls that are parked or whose turn on a lane has not come.  Those whose handlers run finish, but a
 * handler that sleeps inside a job (a region of a block job) is told by job_abandon() and comes back at once.
 */
#include "config.h"

#define ERR_FROM VIR_FROM_RPC
#define LOG_AREA "daemon.gate"
#include <inttypes.h>
#include <string.h>

#include "daemon/access.h"
#include "daemon/api.h"
#include "daemon/audit.h"
#include "daemon/auth_polkit.h"
#include "daemon/events.h"
#include "daemon/events_held.h"
#include "daemon/gate.h"
#include "daemon/idle.h"
#include "daemon/proctable.h"
#include "daemon/tidy.h"
#include "api_enums.h"
#include "domain/driver.h"
#include "domain/fd_groups.h"
#include "domain/inbox.h"
#include "domain/lifecycle.h"
#include "rpc/sasl.h"
#include "util/log.h"
#include "util/mem.h"
#include "util/uuid.h"

#define AUTH_QUEUE_MAX 64u /* calls that wait for a worker of authentication; each may hold a token of 256 KiB */

/* ---- the life of a call ---------------------------------------------------------------------------------------------------- */

/* A bug of ours is an error; what clients find out every day by asking, and what they say amiss on the wire, is no more than information. */
static LogLevel failure_level(const Err *e)
{
    static const int everyday[] = {VIR_ERR_NO_SUPPORT,         VIR_ERR_NO_DOMAIN,      VIR_ERR_NO_NETWORK,   VIR_ERR_NO_STORAGE_POOL,
                                   VIR_ERR_NO_STORAGE_VOL,     VIR_ERR_NO_NODE_DEVICE, VIR_ERR_NO_INTERFACE, VIR_ERR_NO_NWFILTER,
                                   VIR_ERR_NO_SECRET,          VIR_ERR_NO_DOMAIN_SNAPSHOT, VIR_ERR_NO_DOMAIN_METADATA,
                                   VIR_ERR_OPERATION_INVALID};
    if (e->domain == VIR_FROM_RPC)
        return LOG_LEVEL_INFO;
    if (e->code == VIR_ERR_INTERNAL_ERROR)
        return LOG_LEVEL_ERROR;
    for (unsigned i = 0; i < N_ELEMENTS(everyday); i++)
        if (e->code == everyday[i])
            return LOG_LEVEL_INFO;
    return LOG_LEVEL_WARNING;
}

/* As much of the message as the log is to have: the lines of a client's document that may follow can hold a password. */
static int loggable(const Err *e)
{
    return (int)(e->code == VIR_ERR_XML_DETAIL ? strcspn(e->detail, "\n") : strlen(e->detail));
}

static void log_failure(const Call *call)
{
    char code[16], uuid[UUID_STRING_LEN] = "";
    g_snprintf(code, sizeof(code), "%d", call->err.code);
    if (call->dom)
        uuid_format(call->dom->obj.uuid, uuid);
    const char *object = call->err.object ? call->err.object : uuid;
    const LogField fields[] = {{"CLIENT", rpc_conn_name(call->conn)},
                               {"PROCEDURE", call->proc->name},
                               {"OBJECT", object[0] ? object : NULL},
                               {"CODE", code},
                               {NULL, NULL}};
    log_fields(failure_level(&call->err), fields, "%s: %s%s%s failed (%d): %.*s%s%s", rpc_conn_name(call->conn),
               call->proc->name, object[0] ? " on " : "", object, call->err.code, loggable(&call->err), call->err.detail,
               call->err.hint ? "; " : "", call->err.hint ? call->err.hint : "");
}

/* Takes a call off its client's list of those that can be cancelled; client event thread. */
static void unlist(Call *call)
{
    if (call->link.data)
        g_queue_unlink(&call->client->calls, &call->link);
    call->link.data = NULL;
}

static void call_free(void *arg)
{
    Call *call = arg;
    unlist(call);
    for (unsigned i = 0; i < call->n_fds; i++)
        close(call->fds[i]);
    if (call->args)
        wire_free(&call->proc->args, call->args);
    g_free(call->args);
    g_free(call->ret);
    if (call->body)
        g_bytes_unref(call->body);
    err_clear(&call->err);
    g_clear_pointer(&call->visible, g_hash_table_unref);
    arena_done(&call->arena);
    if (call->dom)
        object_unref(call->dom);
    rpc_msg_free(call->msg);
    rpc_conn_unref(call->conn);
    g_free(call);
}

static void call_done(Call *call);

static void call_done_posted(void *arg)
{
    call_done(arg);
}

/* True when the call has seen to its answer itself. */
static bool call_finish(Call *call)
{
    return !err_is_set(&call->err) && call->finish && call->finish(call, &call->err) == 0;
}

/* Answers with result or error and frees the call.  Lock and job are given back by now. */
static void call_done(Call *call)
{
    if (call->finish && !event_on_thread(call_server(call)->client_loop)) {
        event_post(call_server(call)->client_loop, call_done_posted, call);
        return;
    }
    if (call_finish(call)) {
        audit_call(call_server(call)->audit, call);
        call_free(call);
        return;
    }
    audit_call(call_server(call)->audit, call);
    if (err_is_set(&call->err)) {
        log_failure(call);
        rpc_reply_error(call->msg, &call->err);
    } else if (call->body) {
        if (rpc_reply_encoded(call->msg, call->body, &call->err) < 0)
            log_failure(call);
    } else {
        xdrproc_t filter = call->proc->ret.size ? (xdrproc_t)(void (*)(void))call->proc->ret.filter : NULL;
        unsigned n = call->n_fds;
        call->n_fds = 0; /* moved, also on failure */
        if (rpc_reply(call->msg, filter, call->ret, call->fds, n, &call->err) < 0)
            log_failure(call);
    }
    if (call->after)
        call->after(call->after_arg);
    if (call->link.data && !event_on_thread(call_server(call)->client_loop))
        event_post(call_server(call)->client_loop, call_free, call);
    else
        call_free(call);
}

void call_send_fd(Call *call, int fd)
{
    g_assert(call->n_fds < N_ELEMENTS(call->fds));
    call->fds[call->n_fds++] = fd;
}

/* ---- checks ---------------------------------------------------------------------------------------------------------------- */

static int check_state(const Call *call, bool active, Err *err)
{
    if (call->proc->state == STATE_ACTIVE && !active)
        return err_set_full(err, VIR_FROM_DOMAIN, VIR_ERR_OPERATION_INVALID, 0, "domain is not running");
    if (call->proc->state == STATE_INACTIVE && active)
        return err_set_full(err, VIR_FROM_QEMU, VIR_ERR_OPERATION_INVALID, 0, "domain is already running");
    return 0;
}

/* What can be said of a call before its arguments are read. */
static int check_procedure(const Call *call, Err *err)
{
    const ProcInfo *p = call->proc;
    if (!rpc_conn_is_authenticated(call->conn) && !p->preauth)
        return err_set(err, VIR_ERR_RPC, "authentication required");
    if (!call->client->open && !p->preopen && !p->preauth)
        return err_set(err, VIR_ERR_INTERNAL_ERROR, "connection not open");
    if (!proc_handler(p))
        return err_set_full(err, VIR_FROM_NONE, VIR_ERR_NO_SUPPORT, 0, "%s", p->api);
    return 0;
}

static int check_args(const Call *call, Err *err)
{
    const ProcInfo *p = call->proc;
    uint64_t flags = proc_flags(p, call->args);
    if (rpc_conn_read_only(call->conn) && proc_readonly_refused(p, call->args))
        return err_set_full(err, VIR_FROM_NONE, VIR_ERR_OPERATION_DENIED, 0, "read only access prevents %s", p->api);
    if (p->flags_width && (flags & ~p->flags_mask))
        return err_set_bare(err, VIR_FROM_QEMU, VIR_ERR_INVALID_ARG, "unsupported flags (0x%" PRIx64 ") in function %s",
                            flags & ~p->flags_mask, p->api);
    return 0;
}

/* Finds the machine the arguments name.  0 without one when the procedure names none. */
static int resolve(Call *call, Err *err)
{
    const ProcInfo *p = call->proc;
    if (p->object != OBJ_DOMAIN || p->key == KEY_NONE || p->key == KEY_LATE)
        return 0;
    const char *at = (const char *)call->args + p->key_at;
    DomainDriver *drv = call_domains(call);
    switch (p->key) {
    case KEY_REF: {
        const remote_nonnull_domain *ref = (const void *)at;
        call->dom = domain_by_uuid(drv, (const uint8_t *)ref->uuid, ref->name, err);
        break;
    }
    case KEY_ID:
        call->dom = domain_by_id(drv, *(const int *)(const void *)at, err);
        break;
    case KEY_UUID:
        call->dom = domain_by_uuid(drv, (const uint8_t *)at, NULL, err);
        break;
    case KEY_NAME:
        call->dom = domain_by_name(drv, *(char *const *)(const void *)at, err);
        break;
    default:
        g_assert_not_reached();
    }
    return call->dom ? 0 : -1;
}

/* The rest, after the permissions: before them the state of a machine is nobody's business. */
static int check_rest(const Call *call, Err *err)
{
    const ProcInfo *p = call->proc;
    if (call->msg->n_fds < (unsigned)p->fds_in_min || call->msg->n_fds > (unsigned)p->fds_in_max)
        return err_set(err, VIR_ERR_RPC, "%s takes %d to %d file descriptors, %u came", p->api, p->fds_in_min, p->fds_in_max,
                       call->msg->n_fds);
    if (!call->dom || (p->scope != SCOPE_DESTROY && p->scope != SCOPE_VIEW))
        return 0;
    g_autoptr(DomainView) v = domain_view(call->dom);
    /* a start that hangs can be ended too */
    return check_state(call, v->live || (p->scope == SCOPE_DESTROY && v->starting), err);
}

/* ---- running --------------------------------------------------------------------------------------------------------------- */

static void run_handler(Call *call)
{
    if (proc_handler(call->proc)(call, call->dom, call->args, call->ret, &call->err) < 0) {
        if (!err_is_set(&call->err))
            err_set(&call->err, VIR_ERR_INTERNAL_ERROR, "%s failed and did not say why", call->proc->api);
        return;
    }
    /* A handler that must ask for permission itself cannot have forgotten to. */
    g_assert(call->access_asked || call->proc->key != KEY_LATE || call->proc->object == OBJ_CONN);
    if (err_is_set(&call->err)) {
        /* a handler that succeeded all the same */
        err_clear(&call->err);
    }
}

static void run_unlocked(Call *call)
{
    if (call->proc->scope == SCOPE_LOCK) {
        domain_lock(call->dom);
        if (access_check_again(call, &call->err) == 0 && check_state(call, domain_is_active(call->dom), &call->err) == 0)
            run_handler(call);
        domain_unlock(call->dom);
        domain_flush_or_retry(call->dom);
    } else {
        run_handler(call);
    }
    call_done(call);
}

/* A call whose client has gone before its turn came is nobody's any more; to run it would let clients that call and leave delay those who
 * stay, with five calls a connection.  Nothing was acknowledged. */
static void task_run(void *arg)
{
    Call *call = arg;
    if (g_atomic_int_get(&call->client->gone)) {
        err_set(&call->err, VIR_ERR_RPC, "the client has gone");
        call_done(call);
        return;
    }
    run_unlocked(call);
}

static void task_run_job(void *arg)
{
    Call *call = arg;
    Domain *d = call->dom;
    domain_lock(d);
    if (call->proc->scope == SCOPE_DESTROY)
        run_handler(call); /* knows whether the machine is off because of its own signal */
    else if (d->removing)
        err_set_full(&call->err, VIR_FROM_QEMU, VIR_ERR_NO_DOMAIN, 0, "domain '%s' was removed while the call waited for it", d->name);
    else if (access_check_again(call, &call->err) == 0 && check_state(call, domain_is_active(d), &call->err) == 0)
        run_handler(call);
    domain_unlock(d);
    domain_flush_or_retry(d);
    job_end(&call->job);
    call_done(call);
}

static const JobKind scope_jobs[SCOPE_MAX] = {
    [SCOPE_QUERY] = JOB_QUERY,     [SCOPE_MODIFY] = JOB_MODIFY, [SCOPE_ABORT] = JOB_ABORT,
    [SCOPE_DESTROY] = JOB_DESTROY, [SCOPE_ASYNC] = JOB_ASYNC,
};

static void job_granted(JobRequest *r)
{
    Call *call = (Call *)(void *)((char *)r - offsetof(Call, job));
    /* So that the worker can free it: cancelling has no effect any more.  One that may wait for long stays, to be told that its client is
     * gone. */
    if (call->proc->lane != LANE_LONG && event_on_thread(call_server(call)->client_loop))
        unlist(call);
    pool_submit(call_server(call)->pool, call->proc->lane, task_run_job, call);
}

static void job_refused(JobRequest *r, Err *err)
{
    Call *call = (Call *)(void *)((char *)r - offsetof(Call, job));
    err_move(&call->err, err);
    call_done(call);
}

/* Those who are not in yet wait for libraries, files and servers of authentication on workers of their own. */
static void submit_auth(Call *call)
{
    Server *s = call_server(call);
    PoolStats st;
    if (!s->auth_pool) { /* it is refused without waiting for anything */
        run_unlocked(call);
        return;
    }
    pool_stats(s->auth_pool, &st);
    if (st.queued[LANE_FAST] + st.queued[LANE_NORMAL] + st.queued[LANE_LONG] < AUTH_QUEUE_MAX) {
        pool_submit(s->auth_pool, call->proc->lane, task_run, call);
        return;
    }
    err_set(&call->err, VIR_ERR_AUTH_FAILED, "too many clients wait for authentication");
    rpc_conn_close_after_flush(call->conn, "too many clients wait for authentication");
    call_done(call);
}

static void submit(Call *call)
{
    const ProcInfo *p = call->proc;
    JobKind kind = call->dom ? scope_jobs[p->scope] : JOB_NONE;
    audit_begin(call_server(call)->audit, call);
    if (kind != JOB_NONE) {
        call->link.data = call;
        g_queue_push_tail_link(&call->client->calls, &call->link);
        if (p->scope == SCOPE_DESTROY)
            domain_kill(call->dom, (unsigned)proc_flags(p, call->args));
        call->job = (JobRequest){.kind = kind,
                                 .what = p->name,
                                 .owner = rpc_conn_id(call->conn),
                                 .deadline = deadline_in_ms((uint64_t)g_atomic_int_get(&call_server(call)->job_timeout_ms)),
                                 .granted = job_granted,
                                 .refused = job_refused};
        job_request(call->dom, &call->job);
    } else if (p->lane == LANE_INLINE) {
        run_unlocked(call);
    } else if (p->preauth) {
        submit_auth(call);
    } else {
        pool_submit(call_server(call)->pool, p->lane, task_run, call);
    }
}

/* Whether the caller may is known by now; client event thread. */
static void permitted(Call *call)
{
    if (!err_is_set(&call->err) && !rpc_conn_is_alive(call->conn)) /* polkit took its time */
        err_set(&call->err, VIR_ERR_RPC, "the client has gone");
    if (err_is_set(&call->err) || check_rest(call, &call->err) < 0)
        call_done(call);
    else
        submit(call);
}

/* ---- callbacks of the server ------------------------------------------------------------------------------------------------ */

bool gate_known_program(void *ud, RpcConn *c, uint32_t prog, uint32_t vers)
{
    return proc_program_known(prog, vers);
}

static bool is_auth_polkit(const ProcInfo *p)
{
    return p->prog == REMOTE_PROGRAM && p->nr == REMOTE_PROC_AUTH_POLKIT;
}

void gate_call(void *ud, RpcMsg *msg)
{
    const ProcInfo *p = proc_lookup(msg->h.prog, msg->h.proc);
    if (!p) {
        g_auto(Err) err = ERR_INIT;
        err_set(&err, VIR_ERR_RPC, "unknown procedure: %d", msg->h.proc);
        rpc_reply_error(msg, &err);
        rpc_msg_free(msg);
        return;
    }
    Call *call = mem_new0(Call);
    call->msg = msg;
    call->conn = rpc_conn_ref(msg->conn);
    call->client = rpc_conn_userdata(msg->conn);
    call->proc = p;
    if (check_procedure(call, &call->err) < 0) {
        call_done(call);
        return;
    }
    if (p->args.size) {
        call->args = mem_alloc0(p->args.size);
        if (wire_decode(&p->args, call->args, msg->body, msg->body_len, NULL) < 0) {
            err_set(&call->err, VIR_ERR_RPC, "Unable to decode message payload");
            call_done(call);
            return;
        }
    }
    if (p->ret.size)
        call->ret = mem_alloc0(p->ret.size);
    int asked = -1;
    if (access_check_early(call, &call->err) == 0 && check_args(call, &call->err) == 0 && resolve(call, &call->err) == 0)
        asked = is_auth_polkit(p) ? auth_polkit_check(call, permitted, &call->err) : access_check(call, permitted, &call->err);
    if (asked <= 0)
        permitted(call);
}

static void client_free(void *p)
{
    Client *cl = p;
    access_forget(cl);
    rpc_sasl_free(cl->sasl);
    g_free(cl->uri);
    g_free(cl);
}

void gate_opened(void *ud, RpcConn *c)
{
    Client *cl = mem_new0(Client);
    cl->server = ud;
    cl->conn = c;
    rpc_conn_set_userdata(c, cl, client_free);
    idle_watch_client(cl->server->idle);
}

void gate_closed(void *ud, RpcConn *c, const char *reason)
{
    Server *s = ud;
    Client *cl = rpc_conn_userdata(c);
    if (!cl)
        return;
    cl->open = false;
    g_atomic_int_set(&cl->gone, true);
    auth_polkit_gone(cl);
    event_hub_drop_conn(s->events, c);
    events_held_drop(cl);
    tidy_closed(s->tidy);
    /* refused() of a cancelled call frees it here and now, so its successor is taken first */
    GList *next;
    for (GList *l = cl->calls.head; l; l = next) {
        next = l->next;
        Call *call = l->data;
        Domain *d = object_ref(call->dom);
        job_abandon(&call->job); /* one that waits inside its job looks when it is poked */
        job_cancel(&call->job);
        inbox_poke(d);
        object_unref(d);
    }
    domain_autodestroy(s->domains, rpc_conn_id(c));
    domain_fd_groups_drop(s->domains, rpc_conn_id(c));
    idle_watch_client(s->idle);
}
