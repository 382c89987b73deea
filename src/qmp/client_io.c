/* qmp/client_io.c - the socket of a QMP client
 *
 * Owns:    descriptor, event sources, reading and writing, routing of what QEMU says
 * Threads: the client's loop; who sends a command and waits for its answer writes it itself
 * Locks:   client.lock for slots and queue; released before any handler, callback or call of the kernel
 * Errors:  whatever is wrong with the peer closes the client with a reason
 *
 * One thread writes at a time (`writing`); who finds it taken leaves, for the one at it looks at the queue again before it goes.  What the socket does
 * not take is the loop's, which waits until it does.
 */
#define LOG_AREA "qmp.client"
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "util/fd.h"
#include "util/log.h"
#include "qmp/client_private.h"

/* Bytes read before other sources of the loop get their turn. */
#define READ_BUDGET (256u << 10)

void qmp_chunk_free(Chunk *ch)
{
    if (!ch)
        return;
    for (unsigned i = 0; i < ch->n_fds; i++)
        fd_close(&ch->fds[i]);
    g_free(ch->fds);
    g_free(ch->data);
    g_free(ch);
}

static bool is_closed(QmpClient *c)
{
    LOCK_SCOPE(&c->lock);
    return c->state == QMP_STATE_CLOSED;
}

/* ---- deadlines of asynchronous commands */

/* Sees to it that the timer fires by the next end: the greeting's, or the earliest asynchronous deadline.  One that is set for an earlier moment
 * stays as it is, and is set anew then. */
static void timer_update(QmpClient *c)
{
    uint64_t at = UINT64_MAX;
    {
        LOCK_SCOPE(&c->lock);
        if (c->state == QMP_STATE_GREETING)
            at = c->greeting.at_us;
        GHashTableIter it;
        Slot *s;
        g_hash_table_iter_init(&it, c->slots);
        while (g_hash_table_iter_next(&it, NULL, (void **)&s)) {
            if (!s->sync && !s->abandoned)
                at = MIN(at, s->deadline.at_us);
        }
    }
    if (!c->timer || at >= c->timer_at)
        return;
    c->timer_at = at;
    event_loop_sd(c->loop); /* it is to look at its timers */
    sd_event_source_set_time(c->timer, at);
    sd_event_source_set_enabled(c->timer, SD_EVENT_ONESHOT);
}

/* The next asynchronous slot whose deadline has passed: marked abandoned, its callback's data copied out.  False when none. */
static bool take_expired(QmpClient *c, Slot *ret)
{
    LOCK_SCOPE(&c->lock);
    GHashTableIter it;
    Slot *s;
    g_hash_table_iter_init(&it, c->slots);
    while (g_hash_table_iter_next(&it, NULL, (void **)&s)) {
        if (s->sync || s->abandoned || !deadline_passed(s->deadline))
            continue;
        *ret = (Slot){.cb = s->cb, .userdata = s->userdata, .status = QMP_TIMEOUT, .name = g_strdup(s->name)};
        s->abandoned = c->silent = true;
        c->abandoned++;
        return true;
    }
    return false;
}

static int on_timer(sd_event_source *src, uint64_t usec, void *userdata)
{
    QmpClient *c = userdata;
    bool greeting;
    c->timer_at = UINT64_MAX;
    {
        LOCK_SCOPE(&c->lock);
        greeting = c->state == QMP_STATE_GREETING && deadline_passed(c->greeting);
    }
    if (greeting) {
        qmp_client_close(c, c->negotiating ? "QEMU did not accept the QMP negotiation in time" : "no QMP greeting in time");
        return 0;
    }
    Slot s;
    while (take_expired(c, &s)) {
        err_set(&s.err, VIR_ERR_OPERATION_TIMEOUT, "waiting for QEMU's answer to '%s'", s.name);
        if (s.cb)
            s.cb(s.userdata, s.status, NULL, &s.err);
        err_clear(&s.err);
        g_free(s.name);
    }
    timer_update(c);
    return 0;
}

/* ---- writing */

/* Chunks that go out in one call of the kernel. */
#define TOGETHER 16u

/* Sends what it can of these, of which only the first may have descriptors, and is alone then.  1 all of it, 0 the socket is full, -1 the peer is
 * gone. */
static int chunks_write(int fd, Chunk **ch, unsigned n)
{
    while (ch[n - 1]->sent < ch[n - 1]->len) {
        struct iovec iov[TOGETHER];
        struct msghdr msg = {.msg_iov = iov};
        for (unsigned i = 0; i < n; i++) {
            if (ch[i]->sent < ch[i]->len)
                iov[msg.msg_iovlen++] = (struct iovec){.iov_base = ch[i]->data + ch[i]->sent, .iov_len = ch[i]->len - ch[i]->sent};
        }
        union {
            struct cmsghdr align;
            char buf[CMSG_SPACE(sizeof(int) * QMP_MAX_FDS)];
        } ctl;
        if (ch[0]->n_fds && ch[0]->sent == 0) {
            memset(&ctl, 0, sizeof(ctl));
            msg.msg_control = ctl.buf;
            msg.msg_controllen = CMSG_SPACE(sizeof(int) * ch[0]->n_fds);
            struct cmsghdr *cm = CMSG_FIRSTHDR(&msg);
            cm->cmsg_level = SOL_SOCKET;
            cm->cmsg_type = SCM_RIGHTS;
            cm->cmsg_len = CMSG_LEN(sizeof(int) * ch[0]->n_fds);
            memcpy(CMSG_DATA(cm), ch[0]->fds, sizeof(int) * ch[0]->n_fds);
        }
        ssize_t sent = sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -1;
        for (unsigned i = 0; i < n && sent > 0; i++) {
            size_t part = MIN((size_t)sent, ch[i]->len - ch[i]->sent);
            ch[i]->sent += part;
            sent -= (ssize_t)part;
        }
    }
    return 1;
}

/* Heads of the queue that may go out now.  Taken out while they are written: an expiring sleeper must not free them under us. */
static unsigned next_chunks_locked(QmpClient *c, Chunk **ch)
{
    unsigned n = 0;
    while (n < TOGETHER && c->state != QMP_STATE_CLOSED) {
        const Chunk *head = g_queue_peek_head(&c->out);
        if (!head || (c->state == QMP_STATE_GREETING && head->id != 0 && !c->negotiating))
            break;
        if (n > 0 && (head->n_fds || ch[0]->n_fds))
            break;
        ch[n++] = g_queue_pop_head(&c->out);
    }
    return n;
}

/* After a write: what is not sent waits at the head of the queue, marked by ch->sent; unless all ended meanwhile, and the queue with it. */
static void give_back_locked(QmpClient *c, Chunk **ch, unsigned n, bool gone)
{
    while (n-- > 0) {
        if (!gone && !c->finished && ch[n]->sent < ch[n]->len) {
            g_queue_push_head(&c->out, ch[n]);
        } else {
            if (!c->finished)
                c->out_bytes -= ch[n]->len;
            qmp_chunk_free(ch[n]);
        }
    }
}

/* The descriptor, for closing, when nobody uses it any more; else -1. */
static int take_fd_locked(QmpClient *c)
{
    int fd = c->fd;
    if (!c->finished || c->writing)
        return -1;
    c->fd = -1;
    return fd;
}

bool qmp_io_write(QmpClient *c)
{
    Chunk *ch[TOGETHER];
    unsigned n;
    int r = 1;
    AUTO_CLOSE int done = -1;
    LOCK_SCOPE(&c->lock);
    if (c->writing || c->write_dead || c->finished)
        return true;
    c->writing = true;
    while (r > 0 && (n = next_chunks_locked(c, ch)) > 0) {
        int fd = c->fd;
        mutex_unlock(&c->lock);
        r = chunks_write(fd, ch, n);
        mutex_lock(&c->lock);
        give_back_locked(c, ch, n, r < 0);
    }
    c->writing = false;
    if (r < 0)
        c->write_dead = true; /* its last words are still to be read: read_some() closes */
    done = take_fd_locked(c);
    return r > 0;
}

static bool is_write_dead(QmpClient *c)
{
    LOCK_SCOPE(&c->lock);
    return c->write_dead;
}

static void write_queue(QmpClient *c)
{
    bool all = qmp_io_write(c);
    if (c->io && event_io_set(c->io, all || is_write_dead(c) ? EPOLLIN : EPOLLIN | EPOLLOUT) < 0) {
        LOCK_SCOPE(&c->lock);
        c->write_dead = true;
    }
}

static void read_some(QmpClient *c);

void qmp_io_flush(void *client)
{
    QmpClient *c = client;
    {
        LOCK_SCOPE(&c->lock);
        c->flush_posted = false;
    }
    write_queue(c);
    if (is_write_dead(c) && !is_closed(c))
        read_some(c);
    timer_update(c);
    qmp_client_unref(c);
}

/* ---- what QEMU says */

static void nonsense(QmpClient *c, const char *what)
{
    log_warning("closing a QMP connection: %s", what);
    qmp_client_close(c, what);
}

static void greeting(QmpClient *c, json_t *msg)
{
    json_t *v = json_object_get(json_object_get(msg, "QMP"), "version");
    json_t *q = json_object_get(v, "qemu");
    if (c->negotiating || !json_is_integer(json_object_get(q, "major"))) {
        nonsense(c, c->negotiating ? "second QMP greeting" : "QMP greeting without a version");
        return;
    }
    Chunk *ch = g_new0(Chunk, 1);
    ch->data = g_strdup("{\"execute\":\"qmp_capabilities\",\"id\":\"b-0\"}\n");
    ch->len = strlen(ch->data);
    {
        LOCK_SCOPE(&c->lock);
        c->version = (QmpVersion){
            .major = (unsigned)json_integer_value(json_object_get(q, "major")),
            .minor = (unsigned)json_integer_value(json_object_get(q, "minor")),
            .micro = (unsigned)json_integer_value(json_object_get(q, "micro")),
        };
        const char *package = json_string_value(json_object_get(v, "package"));
        g_strlcpy(c->version.package, package ? package : "", sizeof(c->version.package));
        g_queue_push_head(&c->out, ch);
        c->out_bytes += ch->len;
    }
    /* What is queued may follow at once: QEMU executes in order, so it comes after the negotiation. */
    c->negotiating = true;
    write_queue(c);
}

static void negotiated(QmpClient *c, json_t *msg)
{
    bool ready = false;
    if (!json_object_get(msg, "return") || !c->negotiating) {
        nonsense(c, "QEMU refused the QMP negotiation");
        return;
    }
    {
        LOCK_SCOPE(&c->lock);
        if (c->state == QMP_STATE_GREETING) {
            c->state = QMP_STATE_READY;
            ready = true;
            cond_broadcast(&c->changed);
        }
    }
    if (!ready) {
        nonsense(c, "second answer to the QMP negotiation");
        return;
    }
    timer_update(c);
    if (c->h && c->h->on_ready)
        c->h->on_ready(c->userdata);
}

/* Slot an answer belongs to, out of the table; NULL if none.  An answer without id is QEMU's to a command it could not even parse:
 * it belongs to the oldest one outstanding. */
static Slot *take_slot_locked(QmpClient *c, json_t *msg)
{
    const char *id = json_string_value(json_object_get(msg, "id"));
    uint64_t nr = 0;
    if (id && g_str_has_prefix(id, "b-")) {
        nr = g_ascii_strtoull(id + 2, NULL, 10);
    } else if (!id && json_object_get(msg, "error")) {
        GHashTableIter it;
        Slot *s;
        g_hash_table_iter_init(&it, c->slots);
        while (g_hash_table_iter_next(&it, NULL, (void **)&s)) {
            if (nr == 0 || s->id < nr)
                nr = s->id;
        }
    }
    Slot *s = g_hash_table_lookup(c->slots, &nr);
    if (s)
        g_hash_table_remove(c->slots, &nr);
    return s;
}

static void answer(QmpClient *c, json_t *msg)
{
    if (g_strcmp0(json_string_value(json_object_get(msg, "id")), "b-0") == 0) {
        negotiated(c, msg);
        return;
    }
    Slot *s;
    bool run = false, wake = false, late = false, revived = false;
    {
        LOCK_SCOPE(&c->lock);
        s = take_slot_locked(c, msg);
        c->silent = false;
        if (s && s->abandoned) {
            late = true;
            revived = --c->abandoned == 0;
        } else if (s) {
            qmp_slot_answer(s, msg);
            run = qmp_slot_finish_locked(s, &wake); /* a synchronous slot is its sleeper's from here on */
        }
    }
    if (wake)
        cond_broadcast(&c->changed);
    if (!s) {
        /* One closed meanwhile has lost its slots: nothing wrong with the peer then. */
        if (!is_closed(c))
            nonsense(c, "answer to a command that was not sent");
        return;
    }
    if (late) {
        log_info("late answer of QEMU to '%s'", s->name);
        qmp_slot_free(s);
    }
    if (run)
        qmp_slot_run(s);
    if (revived && c->h && c->h->on_responsive)
        c->h->on_responsive(c->userdata);
}

static void event(QmpClient *c, const char *name, json_t *msg)
{
    json_t *ts = json_object_get(msg, "timestamp");
    json_int_t sec = json_integer_value(json_object_get(ts, "seconds"));
    json_int_t usec = json_integer_value(json_object_get(ts, "microseconds"));
    uint64_t when = sec > 0 && usec >= 0 ? (uint64_t)sec * 1000000 + (uint64_t)usec : 0;
    c->events = true;
    if (c->h && c->h->on_event)
        c->h->on_event(c->userdata, name, json_object_get(msg, "data"), when);
}

static bool on_message(void *userdata, json_t *msg)
{
    QmpClient *c = userdata;
    const char *name = json_string_value(json_object_get(msg, "event"));
    if (name)
        event(c, name, msg);
    else if (json_object_get(msg, "return") || json_object_get(msg, "error"))
        answer(c, msg);
    else if (json_object_get(msg, "QMP"))
        greeting(c, msg);
    else
        nonsense(c, "message that is no answer, event or greeting");
    return !is_closed(c);
}

/* ---- reading */

static void read_all(QmpClient *c)
{
    char buf[16384];
    for (size_t total = 0; total < READ_BUDGET;) {
        ssize_t n = recv(c->fd, buf, sizeof(buf), MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            if (is_write_dead(c))
                qmp_client_close(c, "cannot write to the monitor");
            return;
        }
        if (n < 0) {
            g_autofree char *reason = g_strdup_printf("reading from QEMU: %s", g_strerror(errno));
            qmp_client_close(c, reason);
            return;
        }
        if (n == 0) {
            qmp_client_close(c, c->negotiating ? "end of file from the monitor" : "end of file before the QMP greeting");
            return;
        }
        total += (size_t)n;
        g_auto(Err) err = ERR_INIT;
        if (qmp_codec_feed(&c->codec, buf, (size_t)n, on_message, c, &err) < 0) {
            nonsense(c, err.detail);
            return;
        }
        if (is_closed(c))
            return;
    }
}

static void read_some(QmpClient *c)
{
    read_all(c);
    if (c->events && c->h && c->h->on_read)
        c->h->on_read(c->userdata);
    c->events = false;
}

static void on_io(void *userdata, uint32_t revents)
{
    QmpClient *c = userdata;
    if (!is_closed(c) && (revents & EPOLLOUT))
        write_queue(c);
    if (!is_closed(c) && ((revents & (EPOLLIN | EPOLLHUP | EPOLLERR)) || is_write_dead(c)))
        read_some(c);
    if (is_closed(c))
        c->io = event_io_free(c->io);
}

/* ---- life on the loop */

void qmp_io_attach(void *client)
{
    QmpClient *c = client;
    event_assert_thread(c->loop);
    if (is_closed(c))
        return; /* qmp_io_finish is queued behind us */
    c->timer_at = UINT64_MAX;
    int r = fd_set_nonblock(c->fd, true);
    if (r >= 0 && !(c->io = event_io_new(c->loop, c->fd, EPOLLIN, on_io, c)))
        r = -errno;
    if (r >= 0)
        r = sd_event_add_time(event_loop_sd(c->loop), &c->timer, CLOCK_MONOTONIC, UINT64_MAX, 1000, on_timer, c);
    if (r < 0) {
        g_autofree char *reason = g_strdup_printf("watching the monitor socket: %s", g_strerror(-r));
        qmp_client_close(c, reason);
        return;
    }
    timer_update(c);
}

static int slot_by_id(const void *a, const void *b)
{
    const Slot *x = *(Slot *const *)a, *y = *(Slot *const *)b;
    return x->id < y->id ? -1 : x->id > y->id;
}

void qmp_io_finish(void *client)
{
    QmpClient *c = client;
    event_assert_thread(c->loop);
    c->io = event_io_free(c->io);
    sd_event_source_disable_unref(g_steal_pointer(&c->timer));
    AUTO_CLOSE int fd = -1;
    g_autoptr(GPtrArray) left = g_ptr_array_new();
    {
        LOCK_SCOPE(&c->lock);
        c->finished = true;
        fd = take_fd_locked(c);
        GHashTableIter it;
        Slot *s;
        g_hash_table_iter_init(&it, c->slots);
        while (g_hash_table_iter_next(&it, NULL, (void **)&s)) {
            g_ptr_array_add(left, s);
            g_hash_table_iter_remove(&it);
        }
        c->abandoned = 0;
        Chunk *ch;
        while ((ch = g_queue_pop_head(&c->out)))
            qmp_chunk_free(ch);
        c->out_bytes = 0;
    }
    fd_close(&fd);
    g_ptr_array_sort(left, slot_by_id);
    for (unsigned i = 0; i < left->len; i++) {
        Slot *s = left->pdata[i];
        if (s->abandoned) {
            qmp_slot_free(s);
            continue;
        }
        s->status = QMP_CLOSED;
        err_set(&s->err, VIR_ERR_OPERATION_FAILED, "connection to the QEMU monitor is closed: %s", c->reason);
        qmp_slot_run(s);
    }
    if (c->h && c->h->on_closed)
        c->h->on_closed(c->userdata, c->reason);
    qmp_client_unref(c);
}
