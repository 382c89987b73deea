/* qmp/client.c - QMP calls: slots, deadlines, life of a client
 *
 * Owns:    QmpClient, the slots of commands outstanding; not the socket (client_io.c)
 * Threads: calls from any; completion on the loop's thread, or by the sleeper itself when its deadline passes
 * Locks:   client.lock (leaf; never held across a handler, a callback or a system call)
 * Errors:  QEMU's answers as VIR_ERR_INTERNAL_ERROR with its description, its class as QmpStatus
 *
 * Theory of operation.  A command becomes a Slot (who waits) and a Chunk (its bytes), which enter table and queue under one lock.
 * QEMU answers in order, but the slot is found by id all the same.  A slot ends in exactly one of four ways:
 *   answer    loop thread removes it from the table and wakes the sleeper or runs the callback
 *   close     whoever closes answers every synchronous slot at once; asynchronous ones are answered on the loop thread
 *   deadline  its chunk still unsent: taken out, as if it had been refused; else the slot stays as "abandoned" to catch the late reply
 *   refusal   before a slot exists
 * While a slot is abandoned the client counts as unresponsive and takes no new command: QEMU executes them one after the other, so a
 * new one would wait behind the one that hangs.  Unless QEMU has answered something since: it is back, and catching up.
 */
#define ERR_FROM VIR_FROM_QEMU
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <poll.h>

#include "util/fault.h"
#include "util/fd.h"
#include "util/pool.h"
#include "qmp/client_private.h"

#define CLOSED_TEXT "connection to the QEMU monitor is closed: %s"

/* ---- slots */

void qmp_slot_free(Slot *s)
{
    if (!s)
        return;
    json_decref(s->user_id);
    json_decref(s->ret);
    err_clear(&s->err);
    g_free(s->name);
    g_free(s);
}

bool qmp_slot_finish_locked(Slot *s, bool *ret_wake)
{
    s->done = true;
    *ret_wake = s->sync && s->waited;
    return !s->sync;
}

void qmp_slot_run(Slot *s)
{
    if (s->cb)
        s->cb(s->userdata, s->status, s->ret, &s->err);
    qmp_slot_free(s);
}

static QmpStatus status_of_class(const char *class)
{
    static const struct {
        const char *class;
        QmpStatus status;
    } classes[] = {
        {"CommandNotFound", QMP_COMMAND_NOT_FOUND},
        {"DeviceNotActive", QMP_DEVICE_NOT_ACTIVE},
        {"DeviceNotFound", QMP_DEVICE_NOT_FOUND},
        {"KVMMissingCap", QMP_KVM_MISSING_CAP},
    };
    for (unsigned i = 0; class && i < N_ELEMENTS(classes); i++) {
        if (strcmp(class, classes[i].class) == 0)
            return classes[i].status;
    }
    return QMP_GENERIC_ERROR;
}

void qmp_slot_answer(Slot *s, json_t *reply)
{
    /* What the sleeper gets is taken out of the message: no value is ever referred to from two threads. */
    if (s->raw) {
        json_object_del(reply, "id");
        if (s->user_id)
            json_object_set_new(reply, "id", g_steal_pointer(&s->user_id));
        s->ret = json_object();
        json_object_update(s->ret, reply);
        json_object_clear(reply);
        s->status = QMP_OK;
        return;
    }
    json_t *ret = json_object_get(reply, "return");
    if (ret) {
        s->ret = json_incref(ret);
        json_object_clear(reply);
        s->status = QMP_OK;
        return;
    }
    json_t *error = json_object_get(reply, "error");
    const char *desc = json_string_value(json_object_get(error, "desc"));
    s->status = status_of_class(json_string_value(json_object_get(error, "class")));
    err_set(&s->err, VIR_ERR_INTERNAL_ERROR, "unable to execute QEMU command '%s': %s", s->name,
            desc ? desc : "no reason given");
}

static void slot_closed(Slot *s, const char *reason)
{
    s->status = QMP_CLOSED;
    err_set(&s->err, VIR_ERR_OPERATION_FAILED, CLOSED_TEXT, reason);
}

/* ---- life */

QmpClient *qmp_client_new(EventLoop *loop, int fd, Deadline greeting, const QmpHandlers *h, void *userdata)
{
    QmpClient *c = g_new0(QmpClient, 1);
    c->refs = 2; /* the caller's and the loop's */
    c->loop = loop;
    c->h = h;
    c->userdata = userdata;
    mutex_init(&c->lock, LOCK_LEAF, "qmp client");
    cond_init(&c->changed);
    c->slots = g_hash_table_new(g_int64_hash, g_int64_equal);
    c->next_id = 1;
    c->fd = fd;
    c->greeting = greeting;
    qmp_codec_init(&c->codec, QMP_MAX_LINE, QMP_MAX_DEPTH);
    event_post(loop, qmp_io_attach, c);
    return c;
}

QmpClient *qmp_client_ref(QmpClient *c)
{
    g_atomic_int_inc(&c->refs);
    return c;
}

void *qmp_client_unref(QmpClient *c)
{
    if (!c || !g_atomic_int_dec_and_test(&c->refs))
        return NULL;
    /* The loop's reference went in qmp_io_finish: the socket is closed and no slot is left. */
    g_hash_table_unref(c->slots);
    qmp_codec_done(&c->codec);
    cond_done(&c->changed);
    mutex_done(&c->lock);
    g_free(c->reason);
    g_free(c);
    return NULL;
}

void qmp_client_close(QmpClient *c, const char *reason)
{
    LOCK_SCOPE(&c->lock);
    if (c->state == QMP_STATE_CLOSED)
        return;
    c->state = QMP_STATE_CLOSED;
    c->reason = g_strdup(reason);
    GHashTableIter it;
    Slot *s;
    g_hash_table_iter_init(&it, c->slots);
    while (g_hash_table_iter_next(&it, NULL, (void **)&s)) {
        if (s->abandoned || !s->sync)
            continue; /* qmp_io_finish ends these */
        slot_closed(s, reason);
        g_hash_table_iter_remove(&it);
        bool wake;
        qmp_slot_finish_locked(s, &wake);
    }
    cond_broadcast(&c->changed);
    event_post(c->loop, qmp_io_finish, c);
}

int qmp_client_wait_ready(QmpClient *c, Deadline d, Err *err)
{
    event_assert_may_block();
    pool_blocking_begin();
    mutex_lock(&c->lock);
    bool in_time = true;
    while (c->state == QMP_STATE_GREETING && in_time)
        in_time = cond_wait_until(&c->changed, &c->lock, d);
    int r = 0;
    if (c->state == QMP_STATE_CLOSED)
        r = err_set(err, VIR_ERR_OPERATION_FAILED, CLOSED_TEXT, c->reason);
    else if (c->state == QMP_STATE_GREETING)
        r = err_set(err, VIR_ERR_OPERATION_TIMEOUT, "waiting for the greeting of the QEMU monitor");
    mutex_unlock(&c->lock);
    pool_blocking_end();
    return r;
}

bool qmp_client_is_closed(QmpClient *c)
{
    LOCK_SCOPE(&c->lock);
    return c->state == QMP_STATE_CLOSED;
}

bool qmp_client_is_responsive(QmpClient *c)
{
    LOCK_SCOPE(&c->lock);
    return c->state != QMP_STATE_CLOSED && c->abandoned == 0;
}

void qmp_client_version(QmpClient *c, QmpVersion *ret)
{
    LOCK_SCOPE(&c->lock);
    *ret = c->version;
}

/* ---- sending */

static Chunk *chunk_new(uint64_t id, json_t *command, const int *fds, unsigned n_fds)
{
    Chunk *ch = g_new0(Chunk, 1);
    ch->id = id;
    /* The newline makes QEMU's parser treat what follows as a new value even if this one were malformed. */
    char *text = json_dumps(command, JSON_COMPACT | JSON_ENCODE_ANY);
    if (text) {
        ch->len = strlen(text) + 1;
        ch->data = g_malloc(ch->len + 1);
        memcpy(ch->data, text, ch->len - 1);
        memcpy(ch->data + ch->len - 1, "\n", 2);
        free(text);
    }
    ch->fds = n_fds ? g_new(int, n_fds) : NULL;
    for (unsigned i = 0; i < n_fds; i++) {
        int copy = fcntl(fds[i], F_DUPFD_CLOEXEC, 3);
        if (copy < 0)
            break;
        ch->fds[ch->n_fds++] = copy;
    }
    return ch;
}

/* Why a command cannot be taken, or 0. */
static int check_sendable_locked(QmpClient *c, const char *name, size_t len, QmpStatus *ret_status, Err *err)
{
    *ret_status = QMP_REFUSED;
    if (c->state == QMP_STATE_CLOSED) {
        *ret_status = QMP_CLOSED;
        return err_set(err, VIR_ERR_OPERATION_FAILED, CLOSED_TEXT, c->reason);
    }
    if (c->abandoned && c->silent)
        return err_set(err, VIR_ERR_OPERATION_TIMEOUT, "QEMU has not answered an earlier command, '%s' is not sent", name);
    if (g_hash_table_size(c->slots) >= QMP_MAX_OUTSTANDING || c->out_bytes + len > QMP_MAX_OUT_BYTES)
        return err_set(err, VIR_ERR_OPERATION_FAILED, "too many commands wait for QEMU, '%s' is not sent", name);
    return 0;
}

#ifdef ENABLE_FAULTS
#define STOPPED_MS 300u

/* What a test wants of this command: refused by QEMU (here, without asking it), the connection closed, QEMU stopped. */
static int slot_fault(QmpClient *c, Slot *s)
{
    int close_it = 0, stopped = 0;
    int e = fault_qmp(s->name, &close_it, &stopped);
    if (close_it)
        qmp_client_close(c, "injected fault");
    if (stopped)
        s->deadline = deadline_in_ms(STOPPED_MS);
    if (e == 0)
        return 0;
    s->status = close_it ? QMP_CLOSED : QMP_GENERIC_ERROR;
    return err_set(&s->err, VIR_ERR_INTERNAL_ERROR, "unable to execute QEMU command '%s': injected fault", s->name);
}
#else
static int slot_fault(QmpClient *c, Slot *s)
{
    return 0;
}
#endif

/* Makes slot and chunk of a command and queues them: post_flush() sends.  On failure the slot is not in the table; status and err are in it. */
static int slot_send(QmpClient *c, Slot *s, json_t *command, const int *fds, unsigned n_fds)
{
    s->status = QMP_REFUSED;
    if (n_fds > QMP_MAX_FDS)
        return err_set(&s->err, VIR_ERR_INVALID_ARG, "too many descriptors for QEMU command '%s'", s->name);
    if (slot_fault(c, s) < 0)
        return -1;
    {
        LOCK_SCOPE(&c->lock);
        s->id = c->next_id++;
    }
    g_autofree char *id = g_strdup_printf("b-%" PRIu64, s->id);
    json_object_set_new(command, "id", json_string(id));
    Chunk *ch = chunk_new(s->id, command, fds, n_fds);
    if (!ch->data || ch->n_fds != n_fds) {
        int fds_missing = ch->n_fds != n_fds;
        qmp_chunk_free(ch);
        if (fds_missing)
            return err_set_errno(&s->err, errno, "cannot duplicate a descriptor for QEMU command '%s'", s->name);
        return err_set(&s->err, VIR_ERR_INTERNAL_ERROR, "cannot encode QEMU command '%s'", s->name);
    }
    LOCK_SCOPE(&c->lock);
    if (check_sendable_locked(c, s->name, ch->len, &s->status, &s->err) < 0) {
        qmp_chunk_free(ch);
        return -1;
    }
    g_hash_table_insert(c->slots, &s->id, s);
    g_queue_push_tail(&c->out, ch);
    c->out_bytes += ch->len;
    return 0;
}

/* What was queued goes out, by the loop.  `timed`: it is to look at the deadlines too, even if somebody else has written it all by now. */
static void post_flush(QmpClient *c, bool timed)
{
    bool post;
    {
        LOCK_SCOPE(&c->lock);
        post = !c->flush_posted && (timed || !g_queue_is_empty(&c->out) || c->write_dead);
        c->flush_posted = c->flush_posted || post;
    }
    if (post) /* without the lock, which the loop takes first thing */
        event_post(c->loop, qmp_io_flush, qmp_client_ref(c));
}

/* The same for who sleeps until it is answered: it need not wait for the loop to get round to it. */
static void flush_now(QmpClient *c)
{
    bool ready;
    {
        LOCK_SCOPE(&c->lock);
        ready = c->state == QMP_STATE_READY;
    }
    if (!ready || !qmp_io_write(c))
        post_flush(c, false);
}

/* {"execute": name, "arguments": args}; args stolen. */
static json_t *command_object(const QmpCommand *cmd, json_t *args)
{
    json_t *command = json_object();
    json_object_set_new(command, "execute", json_string(cmd->name));
    if (args)
        json_object_set_new(command, "arguments", args);
    return command;
}

/* The deadline of a sleeper has passed. */
static void slot_expired_locked(QmpClient *c, Slot *s)
{
    for (GList *l = c->out.head; l; l = l->next) {
        Chunk *ch = l->data;
        if (ch->id != s->id || ch->sent)
            continue;
        c->out_bytes -= ch->len;
        g_queue_delete_link(&c->out, l);
        qmp_chunk_free(ch);
        g_hash_table_remove(c->slots, &s->id);
        s->status = QMP_REFUSED;
        err_set(&s->err, VIR_ERR_OPERATION_TIMEOUT, "QEMU takes no command, '%s' is not sent", s->name);
        return;
    }
    s->status = QMP_TIMEOUT;
    s->abandoned = c->silent = true;
    c->abandoned++;
}

/* Sleeps until a slot that was sent has ended.  Consumes it. */
static QmpStatus slot_wait(QmpClient *c, Slot *s, json_t **ret, Err *err)
{
    mutex_lock(&c->lock);
    bool in_time = true;
    s->waited = true;
    while (!s->done && in_time)
        in_time = cond_wait_until(&c->changed, &c->lock, s->deadline);
    if (!s->done)
        slot_expired_locked(c, s);
    QmpStatus status = s->status;
    bool keep = s->abandoned;
    if (status == QMP_TIMEOUT)
        err_set(err, VIR_ERR_OPERATION_TIMEOUT, "waiting for QEMU's answer to '%s'", s->name);
    mutex_unlock(&c->lock);
    if (keep)
        return status; /* the table owns it now */
    if (err_is_set(&s->err))
        err_move(err, &s->err);
    if (status == QMP_OK && ret)
        *ret = g_steal_pointer(&s->ret);
    qmp_slot_free(s);
    return status;
}

/* Queues (command is stolen).  False: it is not,  *ret_status and err say why, and the slot is gone. */
static bool slot_begin(QmpClient *c, Slot *s, json_t *command, const int *fds, unsigned n_fds, QmpStatus *ret_status, Err *err)
{
    int r = slot_send(c, s, command, fds, n_fds);
    json_decref(command);
    if (r == 0)
        return true;
    *ret_status = s->status;
    err_move(err, &s->err);
    qmp_slot_free(s);
    return false;
}

/* Sends and sleeps.  Consumes the slot. */
static QmpStatus slot_call(QmpClient *c, Slot *s, json_t *command, const int *fds, unsigned n_fds, json_t **ret, Err *err)
{
    QmpStatus status;
    event_assert_may_block();
    if (!slot_begin(c, s, command, fds, n_fds, &status, err))
        return status;
    flush_now(c);
    pool_blocking_begin();
    status = slot_wait(c, s, ret, err);
    pool_blocking_end();
    return status;
}

static Slot *slot_new(const char *name, Deadline d, bool sync)
{
    Slot *s = g_new0(Slot, 1);
    s->name = g_strdup(name);
    s->deadline = d;
    s->sync = sync;
    return s;
}

QmpStatus qmp_call_fds(QmpClient *c, const QmpCommand *cmd, json_t *args, const int *fds, unsigned n_fds, Deadline d, json_t **ret,
                       Err *err)
{
    return slot_call(c, slot_new(cmd->name, d, true), command_object(cmd, args), fds, n_fds, ret, err);
}

QmpStatus qmp_call(QmpClient *c, const QmpCommand *cmd, json_t *args, Deadline d, json_t **ret, Err *err)
{
    return qmp_call_fds(c, cmd, args, NULL, 0, d, ret, err);
}

static void requests_clear(gpointer p)
{
    QmpRequest *r = p;
    json_decref(r->args);
    err_clear(&r->err);
}

GArray *qmp_requests_new(void)
{
    GArray *a = g_array_new(FALSE, TRUE, sizeof(QmpRequest));
    g_array_set_clear_func(a, requests_clear);
    return a;
}

void qmp_requests_add(GArray *requests, const QmpCommand *cmd, json_t *args)
{
    QmpRequest r = {.cmd = cmd, .args = args, .err = ERR_INIT};
    g_array_append_val(requests, r);
}

#ifdef ENABLE_FAULTS
static void shorten(Slot **sent, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        if (sent[i])
            sent[i]->deadline = deadline_in_ms(STOPPED_MS);
    }
}
#endif

static void call_some(QmpClient *c, QmpRequest *r, unsigned n)
{
    Slot *sent[QMP_TOGETHER];
    for (unsigned i = 0; i < n; i++) {
        sent[i] = slot_new(r[i].cmd->name, qmp_deadline(r[i].cmd), true);
        if (!slot_begin(c, sent[i], command_object(r[i].cmd, g_steal_pointer(&r[i].args)), NULL, 0, &r[i].status, &r[i].err))
            sent[i] = NULL;
    }
    flush_now(c);
#ifdef ENABLE_FAULTS
    for (unsigned i = 0; i < n; i++) { /* a QEMU that was stopped answers none of them */
        if (sent[i] && deadline_left_ms(sent[i]->deadline) <= (int)STOPPED_MS)
            shorten(sent, n);
    }
#endif
    for (unsigned i = n; i-- > 0;) { /* the last answer comes last: one sleep as a rule */
        if (sent[i])
            r[i].status = slot_wait(c, sent[i], NULL, &r[i].err);
    }
}

void qmp_call_all(QmpClient *c, GArray *requests)
{
    event_assert_may_block();
    pool_blocking_begin();
    for (unsigned at = 0; at < requests->len; at += QMP_TOGETHER)
        call_some(c, &g_array_index(requests, QmpRequest, at), MIN(requests->len - at, QMP_TOGETHER));
    pool_blocking_end();
}

QmpStatus qmp_call_raw(QmpClient *c, json_t *command, const int *fds, unsigned n_fds, Deadline d, json_t **ret_reply, Err *err)
{
    const char *name = json_string_value(json_object_get(command, "execute"));
    if (!name)
        name = json_string_value(json_object_get(command, "exec-oob"));
    Slot *s = slot_new(name ? name : "(none)", d, true);
    s->raw = true;
    s->user_id = json_deep_copy(json_object_get(command, "id")); /* the command itself stays this thread's */
    if (!json_is_object(command)) {
        err_set(err, VIR_ERR_INVALID_ARG, "a QEMU monitor command must be a JSON object");
        json_decref(command);
        qmp_slot_free(s);
        return QMP_REFUSED;
    }
    return slot_call(c, s, command, fds, n_fds, ret_reply, err);
}

static void run_refused(void *arg)
{
    qmp_slot_run(arg);
}

void qmp_send(QmpClient *c, const QmpCommand *cmd, json_t *args, Deadline d, QmpCallback cb, void *userdata)
{
    Slot *s = slot_new(cmd->name, d, false);
    s->cb = cb;
    s->userdata = userdata;
    json_t *command = command_object(cmd, args);
    if (slot_send(c, s, command, NULL, 0) < 0)
        event_post(c->loop, run_refused, s);
    else
        post_flush(c, true);
    json_decref(command);
}

/* ---- connecting */

int qmp_connect_unix(const char *path, Deadline d, Err *err)
{
    event_assert_may_block();
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(addr.sun_path))
        return err_set(err, VIR_ERR_INTERNAL_ERROR, "monitor socket path too long: %s", path);
    memcpy(addr.sun_path, path, strlen(path) + 1);
    AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_set_errno(err, errno, "cannot make a monitor socket");
    /* A full backlog makes connect() of a UNIX socket sleep; SO_SNDTIMEO bounds that (unix_stream_connect honours it). */
    int left = deadline_left_ms(d);
    struct timeval tv = {.tv_sec = left / 1000, .tv_usec = left % 1000 * 1000 + 1000};
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
    pool_blocking_begin();
    int r = connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ? -errno : 0;
    pool_blocking_end();
    if (r == -EAGAIN)
        return err_set(err, VIR_ERR_OPERATION_TIMEOUT, "connecting to the monitor socket %s", path);
    if (r < 0)
        return err_set_errno(err, -r, "cannot connect to the monitor socket %s", path);
    return take_fd(&fd);
}
