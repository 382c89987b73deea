/* tools/relay.c - bytes between a pair of descriptors and a socket
 *
 * Owns:    one buffer a direction
 * Threads: one
 * Errors:  negative errno
 *
 * Theory of operation.  A direction either has something to write, or reads; a descriptor is watched only for what its direction waits
 * for, so nothing wakes it in vain, and a slow reader stops the sender by not taking what it has.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tools/relay.h"

#define BUFFER 65536

typedef struct Direction {
    int from, to;
    size_t at, len; /* what is still to be written */
    bool ended;     /* `from` gives no more, or `to` takes no more */
    bool told;      /* and `to` knows */
    char buf[BUFFER];
} Direction;

static bool again(int errnum)
{
    return errnum == EAGAIN || errnum == EWOULDBLOCK || errnum == EINTR;
}

static int fill(Direction *d)
{
    ssize_t n = read(d->from, d->buf, sizeof(d->buf));
    if (n > 0)
        d->len = (size_t)n;
    else if (n == 0 || errno == ECONNRESET)
        d->ended = true;
    else if (!again(errno))
        return -errno;
    return 0;
}

/* A reader that is gone ends the direction; what it was to get is lost. */
static int drain(Direction *d)
{
    ssize_t n = write(d->to, d->buf + d->at, d->len);
    if (n < 0) {
        if (again(errno))
            return 0;
        if (errno != EPIPE && errno != ECONNRESET)
            return -errno;
        d->ended = true;
        d->len = 0;
        return 0;
    }
    d->at += (size_t)n;
    d->len -= (size_t)n;
    if (d->len == 0)
        d->at = 0;
    return 0;
}

/* Moves what may move: writes first, and reads on when all is written. */
static int move(Direction *d, bool readable, bool writable)
{
    int r = d->len > 0 && writable ? drain(d) : 0;
    if (r == 0 && d->len == 0 && !d->ended && readable) {
        r = fill(d);
        if (r == 0 && d->len > 0)
            r = drain(d);
    }
    return r;
}

static struct pollfd watch(int fd, short events)
{
    return (struct pollfd){.fd = events ? fd : -1, .events = events};
}

/* Passes the ends on: that of `in` to the socket's peer, that of the socket to who reads `out`. */
static void tell_ends(Direction *up, Direction *down)
{
    if (up->ended && up->len == 0 && !up->told) {
        up->told = true;
        shutdown(up->to, SHUT_WR); /* fails when it is gone: then it says so when read */
    }
    if (down->ended && down->len == 0 && !down->told) {
        down->told = true;
        close(down->to);
        down->to = -1;
    }
}

static int loop(Direction *up, Direction *down)
{
    while (!down->told || !up->told) {
        short sock = (short)((down->len == 0 && !down->ended ? POLLIN : 0) | (up->len > 0 ? POLLOUT : 0));
        struct pollfd p[] = {
            watch(up->from, up->len == 0 && !up->ended ? POLLIN : 0),
            watch(up->to, sock),
            {.fd = down->to, .events = down->len > 0 ? POLLOUT : 0}, /* always, for the end of who reads */
        };
        if (down->told)
            p[1].fd = up->to; /* always, for the end of who listens */
        if (poll(p, N_ELEMENTS(p), -1) < 0) {
            if (errno == EINTR)
                continue;
            return -errno;
        }
        if (p[2].revents & (POLLERR | POLLNVAL) || (p[2].revents & POLLHUP && !(p[2].revents & POLLOUT)))
            return 0;
        if (down->told && p[1].revents & (POLLHUP | POLLERR))
            return 0;
        int r = move(down, p[1].revents & (POLLIN | POLLHUP | POLLERR), p[2].revents & POLLOUT);
        if (r == 0)
            r = move(up, p[0].revents != 0, p[1].revents & (POLLOUT | POLLHUP | POLLERR));
        if (r < 0)
            return r;
        tell_ends(up, down);
    }
    return 0;
}

int relay_run(int in, int out, int sock)
{
    const int fds[] = {in, out, sock};
    int flags[N_ELEMENTS(fds)], r = 0;
    for (size_t i = 0; i < N_ELEMENTS(fds); i++) {
        flags[i] = fcntl(fds[i], F_GETFL);
        if (flags[i] < 0 || fcntl(fds[i], F_SETFL, flags[i] | O_NONBLOCK) < 0)
            r = -errno;
    }
    g_autofree Direction *up = g_new0(Direction, 1);
    g_autofree Direction *down = g_new0(Direction, 1);
    up->from = in;
    up->to = sock;
    down->from = sock;
    down->to = out;
    if (r == 0)
        r = loop(up, down);
    for (size_t i = 0; i < N_ELEMENTS(fds); i++)
        if (flags[i] >= 0) /* a terminal is the shell's too; one that was closed does not mind */
            fcntl(fds[i], F_SETFL, flags[i]);
    return r;
}
