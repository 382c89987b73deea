/* event/event.c - the two event threads
 *
 * Owns:    the sd-event object, its thread, the posted queue and its eventfd
 * Threads: post from any; the rest on the loop's own
 * Locks:   queue.lock (leaf; never held while a posted function runs)
 */
#include "config.h"

#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>

#include "event/event.h"
#include "util/fd.h"
#include "util/lock.h"

typedef struct Post {
    struct Post *next;
    void (*fn)(void *arg);
    void *arg;
} Post;

struct EventLoop {
    char *name;
    sd_event *e;
    sd_event_source *wake;
    int wake_fd;
    pthread_t thread;
    bool started;  /* has a thread of its own */
    Mutex lock;    /* leaf: head, tail, signalled */
    Post *head, **tail;
    bool signalled;
};

static __thread EventLoop *this_loop;

/* Runs everything queued so far; work posted meanwhile is taken in the next round, so sources are not starved. */
static void run_posted(EventLoop *l)
{
    mutex_lock(&l->lock);
    Post *p = l->head;
    l->head = NULL;
    l->tail = &l->head;
    l->signalled = false;
    mutex_unlock(&l->lock);
    while (p) {
        Post *next = p->next;
        p->fn(p->arg);
        g_free(p);
        p = next;
    }
}

static int on_wake(sd_event_source *s, int fd, uint32_t revents, void *userdata)
{
    uint64_t n;
    if (read(fd, &n, sizeof(n)) < 0 && errno != EAGAIN)
        return -errno;
    run_posted(userdata);
    return 0;
}

EventLoop *event_loop_new(const char *name)
{
    EventLoop *l = g_new0(EventLoop, 1);
    l->name = g_strdup(name);
    l->tail = &l->head;
    mutex_init(&l->lock, LOCK_QUEUE, "event queue");
    l->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (l->wake_fd < 0 || sd_event_new(&l->e) < 0 ||
        sd_event_add_io(l->e, &l->wake, l->wake_fd, EPOLLIN, on_wake, l) < 0)
        g_error("no event loop: %s", g_strerror(errno));
    return l;
}

int event_loop_run(EventLoop *l)
{
    this_loop = l;
    int r = sd_event_loop(l->e);
    run_posted(l);
    this_loop = NULL;
    return r;
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
    if (pthread_create(&l->thread, NULL, thread_main, l) != 0)
        g_error("no thread for %s", l->name);
    l->started = true;
}

typedef struct Stop {
    EventLoop *l;
    int code;
} Stop;

static void do_stop(void *arg)
{
    Stop *s = arg;
    sd_event_exit(s->l->e, s->code);
    g_free(s);
}

void event_loop_stop(EventLoop *l, int code)
{
    Stop *s = g_new0(Stop, 1);
    *s = (Stop){l, code};
    event_post(l, do_stop, s);
}

void event_loop_free(EventLoop *l)
{
    if (!l)
        return;
    if (l->started)
        pthread_join(l->thread, NULL);
    this_loop = l;
    while (l->head)
        run_posted(l);
    this_loop = NULL;
    sd_event_source_unref(l->wake);
    sd_event_unref(l->e);
    fd_close(&l->wake_fd);
    mutex_done(&l->lock);
    g_free(l->name);
    g_free(l);
}

sd_event *event_loop_sd(EventLoop *l)
{
    return l->e;
}

void event_post(EventLoop *l, void (*fn)(void *arg), void *arg)
{
    Post *p = g_new0(Post, 1);
    p->fn = fn;
    p->arg = arg;
    bool wake = false;
    {
        LOCK_SCOPE(&l->lock);
        *l->tail = p;
        l->tail = &p->next;
        wake = !l->signalled;
        l->signalled = true;
    }
    if (wake) {
        uint64_t one = 1;
        while (write(l->wake_fd, &one, sizeof(one)) < 0 && errno == EINTR)
            ;
    }
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
