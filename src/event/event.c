/* event/event.c - the two event threads
 *
 * Owns:    the epoll descriptor, the sd-event object behind it, the thread, the posted queue and its eventfd
 * Threads: post from any; the rest on the loop's own
 * Locks:   queue.lock (leaf; never held while a posted function runs)
 *
 * Theory of operation.  What there are many of (clients' sockets) is watched by an epoll of our own: one wait fetches many, and each costs
 * the same however many others are ready.  sd-event handles one source a wait and looks at all that are ready each time; it keeps what
 * there are few of or what only it can do: timers, signals, the watchdog.  Its own descriptor is one more in our epoll.
 *
 * One round: wait; run what was posted; the ready EventIos; then sd-event, a few sources at most.  sd-event arms its timerfd only when it
 * is run, so whoever sets a timer asks for it by event_loop_sd(), and the round looks at it before the next wait.
 *
 * Strangers are late: of all that is posted about them and all descriptors of theirs that are ready one is looked at a round, after everybody
 * else's.  So a call waits for one stranger's coming or going, however many there are at once.
 *
 * Posting writes the eventfd only when the loop sleeps or is about to; the eventfd is edge-triggered and never read.
 */
#include "config.h"

#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>

#include "event/event.h"
#include "util/fd.h"
#include "util/lock.h"

#define READY_BATCH 64 /* EventIos a round */
#define SD_BATCH 16    /* sd-event sources a round */

typedef struct Post {
    struct Post *next;
    void (*fn)(void *arg);
    void *arg;
} Post;

struct EventIo {
    EventLoop *loop;
    int fd;
    uint32_t events;
    void (*fn)(void *userdata, uint32_t revents); /* NULL: freed, waits for the end of the round */
    void *userdata;
    bool late;
    EventIo *next_dead;
};

struct EventLoop {
    char *name;
    int ep;
    sd_event *e;
    int wake_fd;
    pthread_t thread;
    bool started;     /* has a thread of its own */
    bool sd_touched;  /* a timer may have been set */
    bool sd_again;    /* sd-event has more to do */
    bool stopped;
    int code;
    unsigned late_turn;
    EventIo *dead;
    Mutex lock;       /* leaf: head, tail, late_head, late_tail, unfinished, asleep */
    Post *head, **tail;
    Post *late_head, **late_tail;
    unsigned unfinished; /* posted and not yet returned */
    bool asleep;         /* waiting, or about to: a post must wake it */
};

static __thread EventLoop *this_loop;

/* ---- posts ------------------------------------------------------------------------------------------------------------------- */

/* Takes everything queued so far; work posted meanwhile is taken in the next round, so sources are not starved. */
static Post *take_posted(EventLoop *l)
{
    LOCK_SCOPE(&l->lock);
    Post *p = l->head;
    l->head = NULL;
    l->tail = &l->head;
    l->asleep = false;
    return p;
}

/* One of those that are late; NULL: there is none. */
static Post *take_late(EventLoop *l)
{
    LOCK_SCOPE(&l->lock);
    Post *p = l->late_head;
    if (!p)
        return NULL;
    l->late_head = p->next;
    if (!l->late_head)
        l->late_tail = &l->late_head;
    p->next = NULL;
    return p;
}

static void run_posted(EventLoop *l, Post *p)
{
    unsigned n = 0;
    while (p) {
        Post *next = p->next;
        p->fn(p->arg);
        g_free(p);
        p = next;
        n++;
    }
    if (n > 0) {
        LOCK_SCOPE(&l->lock);
        l->unfinished -= n;
    }
}

static void post(EventLoop *l, bool late, void (*fn)(void *arg), void *arg)
{
    Post *p = g_new(Post, 1);
    *p = (Post){NULL, fn, arg};
    bool wake = false;
    {
        LOCK_SCOPE(&l->lock);
        Post ***tail = late ? &l->late_tail : &l->tail;
        **tail = p;
        *tail = &p->next;
        l->unfinished++;
        wake = l->asleep;
        l->asleep = false;
    }
    if (wake) {
        uint64_t one = 1;
        while (write(l->wake_fd, &one, sizeof(one)) < 0 && errno == EINTR)
            ;
    }
}

void event_post(EventLoop *l, void (*fn)(void *arg), void *arg)
{
    post(l, false, fn, arg);
}

void event_post_late(EventLoop *l, void (*fn)(void *arg), void *arg)
{
    post(l, true, fn, arg);
}

bool event_has_posts(EventLoop *l)
{
    LOCK_SCOPE(&l->lock);
    return l->unfinished > 0;
}

/* ---- descriptors ------------------------------------------------------------------------------------------------------------- */

EventIo *event_io_new(EventLoop *l, int fd, uint32_t events, void (*fn)(void *userdata, uint32_t revents), void *userdata)
{
    EventIo *io = g_new(EventIo, 1);
    *io = (EventIo){.loop = l, .fd = fd, .events = events, .fn = fn, .userdata = userdata};
    struct epoll_event ev = {.events = events, .data.ptr = io};
    if (epoll_ctl(l->ep, EPOLL_CTL_ADD, fd, &ev) < 0) {
        int r = errno;
        g_free(io);
        errno = r;
        return NULL;
    }
    return io;
}

int event_io_set(EventIo *io, uint32_t events)
{
    if (io->events == events)
        return 0;
    struct epoll_event ev = {.events = events, .data.ptr = io};
    if (epoll_ctl(io->loop->ep, EPOLL_CTL_MOD, io->fd, &ev) < 0)
        return -errno;
    io->events = events;
    return 0;
}

void event_io_set_late(EventIo *io, bool late)
{
    io->late = late;
}

EventIo *event_io_free(EventIo *io)
{
    if (!io)
        return NULL;
    epoll_ctl(io->loop->ep, EPOLL_CTL_DEL, io->fd, NULL);
    io->fn = NULL; /* the round under way may still hold its readiness */
    io->next_dead = io->loop->dead;
    io->loop->dead = io;
    return NULL;
}

static void bury(EventLoop *l)
{
    while (l->dead) {
        EventIo *io = l->dead;
        l->dead = io->next_dead;
        g_free(io);
    }
}

/* ---- the loop ---------------------------------------------------------------------------------------------------------------- */

static int run_sd(EventLoop *l)
{
    int r = 1;
    for (int i = 0; i < SD_BATCH && r > 0; i++) {
        l->sd_touched = false;
        r = sd_event_run(l->e, 0);
    }
    l->sd_again = r > 0;
    return r;
}

/* What the next wait may cost: nothing when there is work already. */
static int wait_ms(EventLoop *l)
{
    bool busy = l->sd_again || l->sd_touched;
    LOCK_SCOPE(&l->lock);
    busy = busy || l->head || l->late_head;
    l->asleep = !busy;
    return busy ? 0 : -1;
}

static void run_io(const struct epoll_event *ready)
{
    EventIo *io = ready->data.ptr;
    if (io->fn)
        io->fn(io->userdata, ready->events);
}

static bool is_late(const EventLoop *l, const struct epoll_event *ready)
{
    const EventIo *io = ready->data.ptr;
    return ready->data.ptr && ready->data.ptr != l->e && io->late;
}

/* One of those who are late, each time another: the rest is there in the next round still.  What makes room comes before those who want it. */
static void run_late(EventLoop *l, struct epoll_event *ready, int n, unsigned n_late)
{
    Post *p = take_late(l);
    if (p) {
        run_posted(l, p);
        return;
    }
    unsigned which = n_late ? l->late_turn++ % n_late : 0;
    for (int i = 0; i < n && n_late > 0; i++) {
        if (is_late(l, &ready[i]) && which-- == 0) {
            run_io(&ready[i]);
            return;
        }
    }
}

static int run_round(EventLoop *l)
{
    struct epoll_event ready[READY_BATCH];
    bool sd_ready = false;
    int n = epoll_wait(l->ep, ready, READY_BATCH, wait_ms(l));
    if (n < 0 && errno != EINTR)
        return -errno;
    run_posted(l, take_posted(l));
    unsigned n_late = 0;
    for (int i = 0; i < n; i++) {
        if (ready[i].data.ptr == l->e)
            sd_ready = true;
        else if (is_late(l, &ready[i]))
            n_late++;
        else if (ready[i].data.ptr)
            run_io(&ready[i]);
    }
    run_late(l, ready, n, n_late);
    int r = sd_ready || l->sd_again || l->sd_touched ? run_sd(l) : 0;
    bury(l);
    return r;
}

int event_loop_run(EventLoop *l)
{
    int r = 0;
    this_loop = l;
    l->sd_touched = true;
    while (!l->stopped && r >= 0)
        r = run_round(l);
    run_posted(l, take_posted(l));
    this_loop = NULL;
    return r < 0 ? r : l->code;
}

EventLoop *event_loop_new(const char *name)
{
    EventLoop *l = g_new0(EventLoop, 1);
    l->name = g_strdup(name);
    l->tail = &l->head;
    l->late_tail = &l->late_head;
    mutex_init(&l->lock, LOCK_QUEUE, "event queue");
    l->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    l->ep = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event wake = {.events = EPOLLIN | EPOLLET}, sd = {.events = EPOLLIN};
    /* A clock has its descriptor from the first timer on: taken now, no timer fails for want of one. */
    if (l->wake_fd < 0 || l->ep < 0 || sd_event_new(&l->e) < 0 || sd_event_add_time(l->e, NULL, CLOCK_MONOTONIC, UINT64_MAX, 0, NULL, NULL) < 0)
        g_error("no event loop: %s", g_strerror(errno));
    sd.data.ptr = l->e;
    if (epoll_ctl(l->ep, EPOLL_CTL_ADD, l->wake_fd, &wake) < 0 || epoll_ctl(l->ep, EPOLL_CTL_ADD, sd_event_get_fd(l->e), &sd) < 0)
        g_error("no event loop: %s", g_strerror(errno));
    return l;
}

static void *thread_main(void *arg)
{
    EventLoop *l = arg;
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    prctl(PR_SET_NAME, l->name);
    event_loop_run(l);
    return NULL;
}

void event_loop_start(EventLoop *l)
{
    l->started = true; /* before: it is in one word with what the thread reads */
    if (pthread_create(&l->thread, NULL, thread_main, l) != 0)
        g_error("no thread for %s", l->name);
}

typedef struct Stop {
    EventLoop *l;
    int code;
} Stop;

static void do_stop(void *arg)
{
    Stop *s = arg;
    s->l->stopped = true;
    s->l->code = s->code;
    g_free(s);
}

void event_loop_stop(EventLoop *l, int code)
{
    Stop *s = g_new0(Stop, 1);
    *s = (Stop){l, code};
    event_post(l, do_stop, s);
}

void event_loop_join(EventLoop *l)
{
    if (l && l->started)
        pthread_join(l->thread, NULL);
    if (l)
        l->started = false;
}

void event_loop_free(EventLoop *l)
{
    if (!l)
        return;
    event_loop_join(l);
    EventLoop *ours = this_loop;
    this_loop = l;
    for (Post *p; (p = take_posted(l)) || (p = take_late(l));)
        run_posted(l, p);
    this_loop = ours;
    bury(l);
    sd_event_unref(l->e);
    fd_close(&l->wake_fd);
    fd_close(&l->ep);
    mutex_done(&l->lock);
    g_free(l->name);
    g_free(l);
}

sd_event *event_loop_sd(EventLoop *l)
{
    l->sd_touched = true;
    return l->e;
}

bool event_on_thread(const EventLoop *l)
{
    return this_loop == l;
}

void event_assert_thread(const EventLoop *l)
{
    if (this_loop != l)
        g_error("not on event thread %s", l->name);
}

void event_assert_may_block(void)
{
    if (this_loop)
        g_error("blocking call on event thread %s", this_loop->name);
}
