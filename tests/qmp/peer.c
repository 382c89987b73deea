/* tests/qmp/peer.c - a scripted QEMU on a socket pair
 *
 * Owns:    the peer's end, the script and the thread that plays it
 * Threads: steps are appended by the test's, played by the peer's
 * Locks:   peer.lock; not held while reading or writing
 */
#include "config.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "util/fd.h"
#include "util/lock.h"
#include "tests/qmp/peer.h"

typedef enum { STEP_EXPECT, STEP_REPLY, STEP_FAIL, STEP_EMIT, STEP_STALL, STEP_DIE, STEP_RAW, STEP_FDS } StepKind;

typedef struct Step {
    StepKind kind;
    char *a, *b;
    size_t n;
} Step;

struct Peer {
    int fd;
    PeerFlags flags;
    pthread_t thread;
    Mutex lock;
    Cond changed;
    GPtrArray *steps;
    unsigned at; /* next step to play */
    unsigned resumes;
    bool ended, finished;
    char *problem;
    /* peer thread only */
    GString *in;
    json_t *last_id;
    unsigned last_fds; /* come since the last check; they may be read together with an earlier command */
};

static void step_free(void *p)
{
    Step *s = p;
    g_free(s->a);
    g_free(s->b);
    g_free(s);
}

static void problem(Peer *p, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void problem(Peer *p, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    LOCK_SCOPE(&p->lock);
    if (!p->problem)
        p->problem = g_steal_pointer(&text);
    g_free(text);
}

static void write_all(Peer *p, const char *data, size_t len)
{
    while (len) {
        ssize_t n = send(p->fd, data, len, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return; /* the client left: for the test to notice */
        data += n;
        len -= (size_t)n;
    }
}

static void write_json(Peer *p, json_t *msg)
{
    char *text = json_dumps(msg, 0);
    g_autofree char *line = g_strdup_printf("%s\r\n", text);
    write_all(p, line, strlen(line));
    free(text);
    json_decref(msg);
}

/* One line from the client; NULL when it left or was silent for 10 s. */
static char *read_line(Peer *p)
{
    for (;;) {
        char *nl = strchr(p->in->str, '\n');
        if (nl) {
            char *line = g_strndup(p->in->str, (gsize)(nl - p->in->str));
            g_string_erase(p->in, 0, nl - p->in->str + 1);
            return line;
        }
        struct pollfd pfd = {.fd = p->fd, .events = POLLIN};
        if (poll(&pfd, 1, 10000) <= 0)
            return NULL;
        char buf[4096];
        union {
            struct cmsghdr align;
            char buf[CMSG_SPACE(sizeof(int) * 16)];
        } ctl;
        struct iovec iov = {buf, sizeof(buf)};
        struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = ctl.buf, .msg_controllen = sizeof(ctl.buf)};
        ssize_t n = recvmsg(p->fd, &msg, MSG_CMSG_CLOEXEC);
        if (n <= 0)
            return NULL;
        for (struct cmsghdr *cm = CMSG_FIRSTHDR(&msg); cm; cm = CMSG_NXTHDR(&msg, cm)) {
            unsigned count = (unsigned)((cm->cmsg_len - CMSG_LEN(0)) / sizeof(int));
            int *fds = (int *)(void *)CMSG_DATA(cm);
            for (unsigned i = 0; i < count; i++)
                close(fds[i]);
            p->last_fds += count;
        }
        g_string_append_len(p->in, buf, n);
    }
}

/* Reads a command and compares; false ends the play. */
static bool play_expect(Peer *p, const char *name, const char *args_text)
{
    g_autofree char *line = read_line(p);
    if (!line) {
        problem(p, "expected '%s', got nothing", name);
        return false;
    }
    json_t *msg = json_loads(line, 0, NULL);
    const char *got = json_string_value(json_object_get(msg, "execute"));
    json_t *args = json_object_get(msg, "arguments");
    bool ok = true;
    g_auto(Err) err = ERR_INIT;
    if (g_strcmp0(got, name) != 0) {
        problem(p, "expected '%s', got %s", name, line);
        ok = false;
    } else if (args_text) {
        json_t *want = json_loads(args_text, 0, NULL);
        if (!want)
            problem(p, "script error: bad arguments for '%s'", name);
        if (!json_equal(want, args) && !(json_object_size(want) == 0 && !args)) {
            problem(p, "'%s' came as %s instead of %s", name, line, args_text);
            ok = false;
        }
        json_decref(want);
    }
    if (ok && !(p->flags & (PEER_NO_SCHEMA | PEER_NO_GREETING)) && peer_schema() &&
        qmp_schema_check(peer_schema(), name, args, &err) < 0) {
        problem(p, "QEMU would refuse %s: %s", line, err.detail);
        ok = false;
    }
    json_decref(p->last_id);
    p->last_id = json_incref(json_object_get(msg, "id"));
    json_decref(msg);
    return ok;
}

static json_t *parse_or_empty(const char *text)
{
    json_t *v = text ? json_loads(text, JSON_DECODE_ANY, NULL) : json_object();
    return v ? v : json_string("script error: bad JSON");
}

static json_t *timestamp(void)
{
    json_t *ts = json_object();
    json_object_set_new(ts, "seconds", json_integer(g_get_real_time() / 1000000));
    json_object_set_new(ts, "microseconds", json_integer(g_get_real_time() % 1000000));
    return ts;
}

static void wait_resume(Peer *p)
{
    Deadline d = deadline_in_ms(20000);
    LOCK_SCOPE(&p->lock);
    bool in_time = true;
    while (!p->resumes && !p->ended && in_time)
        in_time = cond_wait_until(&p->changed, &p->lock, d);
    if (p->resumes)
        p->resumes--;
}

static void answer(Peer *p, const char *key, json_t *value)
{
    json_t *msg = json_object();
    json_object_set_new(msg, key, value);
    if (p->last_id)
        json_object_set(msg, "id", p->last_id);
    write_json(p, msg);
}

static void emit(Peer *p, const Step *s)
{
    json_t *msg = json_object();
    json_object_set_new(msg, "timestamp", timestamp());
    json_object_set_new(msg, "event", json_string(s->a));
    if (s->b)
        json_object_set_new(msg, "data", parse_or_empty(s->b));
    write_json(p, msg);
}

static bool play(Peer *p, const Step *s)
{
    switch (s->kind) {
    case STEP_EXPECT:
        return play_expect(p, s->a, s->b);
    case STEP_REPLY:
        answer(p, "return", parse_or_empty(s->a));
        return true;
    case STEP_FAIL:
        answer(p, "error", json_pack("{s:s,s:s}", "class", s->a, "desc", s->b));
        return true;
    case STEP_EMIT:
        emit(p, s);
        return true;
    case STEP_STALL:
        wait_resume(p);
        return true;
    case STEP_RAW:
        write_all(p, s->a, s->n);
        return true;
    case STEP_FDS:
        if (p->last_fds != s->n)
            problem(p, "expected %zu descriptors, got %u", s->n, p->last_fds);
        p->last_fds = 0;
        return true;
    case STEP_DIE:
        return false;
    }
    return false;
}

static const char greeting_text[] =
    "{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 22, \"minor\": 2, \"major\": 7}, \"package\": \"test\"}, "
    "\"capabilities\": [\"oob\"]}}\r\n";

static void *peer_main(void *arg)
{
    Peer *p = arg;
    bool ok = true;
    if (!(p->flags & PEER_NO_GREETING)) {
        write_all(p, greeting_text, sizeof(greeting_text) - 1);
        ok = play_expect(p, "qmp_capabilities", NULL);
        if (ok)
            answer(p, "return", json_object());
    }
    while (ok) {
        Step *s = NULL;
        {
            LOCK_SCOPE(&p->lock);
            while (p->at == p->steps->len && !p->ended)
                cond_wait_until(&p->changed, &p->lock, deadline_in_ms(1000));
            if (p->at == p->steps->len)
                break;
            s = p->steps->pdata[p->at];
        }
        ok = play(p, s);
        LOCK_SCOPE(&p->lock);
        p->at++;
        cond_broadcast(&p->changed);
    }
    shutdown(p->fd, SHUT_RDWR);
    LOCK_SCOPE(&p->lock);
    p->finished = true;
    cond_broadcast(&p->changed);
    return NULL;
}

Peer *peer_new(PeerFlags flags, int *ret_fd)
{
    if (!(flags & (PEER_NO_SCHEMA | PEER_NO_GREETING)))
        peer_schema(); /* here, so that its time is not the first command's */
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        g_error("socketpair: %s", g_strerror(errno));
    Peer *p = g_new0(Peer, 1);
    p->fd = pair[0];
    p->flags = flags;
    p->steps = g_ptr_array_new_with_free_func(step_free);
    p->in = g_string_new(NULL);
    mutex_init(&p->lock, LOCK_LEAF, "peer");
    cond_init(&p->changed);
    *ret_fd = pair[1];
    pthread_create(&p->thread, NULL, peer_main, p);
    return p;
}

static void add(Peer *p, StepKind kind, const char *a, const char *b, size_t n)
{
    Step *s = g_new0(Step, 1);
    *s = (Step){.kind = kind, .b = g_strdup(b), .n = n};
    if (kind == STEP_RAW) {
        s->a = g_malloc(n + 1);
        memcpy(s->a, a, n);
    } else {
        s->a = g_strdup(a);
    }
    LOCK_SCOPE(&p->lock);
    g_ptr_array_add(p->steps, s);
    cond_broadcast(&p->changed);
}

void peer_expect(Peer *p, const char *command, const char *args)
{
    add(p, STEP_EXPECT, command, args, 0);
}

void peer_reply(Peer *p, const char *ret)
{
    add(p, STEP_REPLY, ret, NULL, 0);
}

void peer_fail(Peer *p, const char *class, const char *desc)
{
    add(p, STEP_FAIL, class, desc, 0);
}

void peer_emit(Peer *p, const char *event, const char *data)
{
    add(p, STEP_EMIT, event, data, 0);
}

void peer_stall(Peer *p)
{
    add(p, STEP_STALL, NULL, NULL, 0);
}

void peer_die(Peer *p)
{
    add(p, STEP_DIE, NULL, NULL, 0);
}

void peer_raw(Peer *p, const char *bytes, size_t len)
{
    add(p, STEP_RAW, bytes, NULL, len);
}

void peer_expect_fds(Peer *p, unsigned n)
{
    add(p, STEP_FDS, NULL, NULL, n);
}

void peer_repeat(Peer *p, unsigned steps, unsigned times)
{
    unsigned first;
    {
        LOCK_SCOPE(&p->lock);
        g_assert(steps <= p->steps->len);
        first = p->steps->len - steps;
    }
    for (unsigned t = 0; t < times; t++) {
        for (unsigned i = 0; i < steps; i++) {
            const Step *s;
            {
                LOCK_SCOPE(&p->lock);
                s = p->steps->pdata[first + i];
            }
            add(p, s->kind, s->a, s->b, s->n);
        }
    }
}

void peer_resume(Peer *p)
{
    LOCK_SCOPE(&p->lock);
    p->resumes++;
    cond_broadcast(&p->changed);
}

void peer_look_anew(Peer *p, const char *status)
{
    peer_expect(p, "query-status", NULL);
    peer_reply(p, status);
    peer_expect(p, "query-cpus-fast", NULL);
    peer_reply(p, "[]");
    peer_expect(p, "query-balloon", NULL);
    peer_fail(p, "DeviceNotActive", "none");
    peer_expect(p, "qom-list", NULL);
    peer_reply(p, "[]");
    peer_expect(p, "query-block", NULL);
    peer_reply(p, "[]");
    peer_expect(p, "query-jobs", NULL);
    peer_reply(p, "[]");
}

char *peer_end(Peer *p)
{
    Deadline d = deadline_in_ms(10000);
    {
        LOCK_SCOPE(&p->lock);
        bool in_time = true;
        while (p->at < p->steps->len && !p->finished && in_time)
            in_time = cond_wait_until(&p->changed, &p->lock, d);
        if (p->at < p->steps->len && !p->problem)
            p->problem = g_strdup_printf("step %u of %u was not played", p->at + 1, p->steps->len);
        p->ended = true;
        cond_broadcast(&p->changed);
    }
    shutdown(p->fd, SHUT_RDWR);
    pthread_join(p->thread, NULL);
    char *result = g_steal_pointer(&p->problem);
    close(p->fd);
    g_ptr_array_unref(p->steps);
    g_string_free(p->in, TRUE);
    json_decref(p->last_id);
    cond_done(&p->changed);
    mutex_done(&p->lock);
    g_free(p);
    return result;
}
