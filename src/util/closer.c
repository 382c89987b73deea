/* util/closer.c - closing descriptors of strangers
 *
 * Owns:    descriptors given away, until they are closed
 * Threads: any to give; a few of its own to close, which come when there is something to close and go when there is nothing
 * Locks:   closer.lock (queue)
 * Errors:  none; without a thread the descriptors wait for the next that are given
 */
#include "config.h"

#include <pthread.h>

#include <glib.h>

#include "util/closer.h"
#include "util/fd.h"
#include "util/lock.h"

/* So many may sleep in close() at once; what comes then waits behind them. */
#define THREADS_MAX 8u

static struct {
    pthread_once_t once;
    Mutex lock;
    Cond idle;       /* a thread has ended */
    GArray *waiting; /* int */
    unsigned threads;
} closer = {.once = PTHREAD_ONCE_INIT};

static void closer_init(void)
{
    mutex_init(&closer.lock, LOCK_QUEUE, "closer");
    cond_init(&closer.idle);
    closer.waiting = g_array_new(FALSE, FALSE, sizeof(int));
}

static void *close_all(void *unused);

/* Another thread when something waits: those there are may all sleep.  Lock held. */
static void add_thread(void)
{
    if (closer.threads >= THREADS_MAX || !closer.waiting->len)
        return;
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_t t;
    if (pthread_create(&t, &attr, close_all, NULL) == 0)
        closer.threads++;
    pthread_attr_destroy(&attr);
}

static void *close_all(void *unused)
{
    mutex_lock(&closer.lock);
    while (closer.waiting->len) {
        int fd = g_array_index(closer.waiting, int, closer.waiting->len - 1);
        g_array_set_size(closer.waiting, closer.waiting->len - 1);
        add_thread();
        mutex_unlock(&closer.lock);
        fd_close(&fd);
        mutex_lock(&closer.lock);
    }
    closer.threads--;
    cond_broadcast(&closer.idle);
    mutex_unlock(&closer.lock);
    return NULL;
}

void fd_close_elsewhere(int *fds, unsigned n)
{
    bool any = false;
    for (unsigned i = 0; i < n; i++)
        any |= fds[i] >= 0;
    if (!any)
        return;
    pthread_once(&closer.once, closer_init);
    LOCK_SCOPE(&closer.lock);
    for (unsigned i = 0; i < n; i++) {
        int fd = take_fd(&fds[i]);
        if (fd >= 0)
            g_array_append_val(closer.waiting, fd);
    }
    add_thread();
}

void fd_closer_wait(void)
{
    pthread_once(&closer.once, closer_init);
    LOCK_SCOPE(&closer.lock);
    while (closer.threads)
        cond_wait_until(&closer.idle, &closer.lock, deadline_in_ms(1000));
}
