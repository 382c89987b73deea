/* util/fd.c - descriptors with one owner
 *
 * Owns:    nothing; small helpers over descriptors
 * Errors:  negative errno
 */
#include "config.h"

#include <fcntl.h>

#include "util/fault.h"
#include "util/fd.h"

#define FIRST_READ 16384u

int fd_set_nonblock(int fd, bool on)
{
    int fl = fcntl(fd, F_GETFL);
    if (fl < 0)
        return -errno;
    return fcntl(fd, F_SETFL, on ? fl | O_NONBLOCK : fl & ~O_NONBLOCK) < 0 ? -errno : 0;
}

int fd_set_cloexec(int fd, bool on)
{
    int fl = fcntl(fd, F_GETFD);
    if (fl < 0)
        return -errno;
    return fcntl(fd, F_SETFD, on ? fl | FD_CLOEXEC : fl & ~FD_CLOEXEC) < 0 ? -errno : 0;
}

int fd_write_all(int fd, const void *data, size_t len)
{
    const char *p = data;
    while (len > 0) {
        ssize_t n = write(fd, p, len);
        if (n < 0) {
            if (errno == EINTR)
                continue;
            return -errno;
        }
        p += n;
        len -= (size_t)n;
    }
    return 0;
}

int fd_read_all(int fd, size_t max, char **ret, size_t *ret_len)
{
    g_autofree char *text = NULL;
    size_t len = 0, cap = 0;
    for (;;) {
        if (len + 1 >= cap) { /* one for the NUL */
            cap = MAX(cap * 2, FIRST_READ);
            char *more = FAULT("content") ? NULL : g_try_realloc(text, cap);
            if (!more)
                return -ENOMEM;
            text = more;
        }
        ssize_t n = read(fd, text + len, cap - 1 - len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        len += (size_t)n;
        if (len > max)
            return -EFBIG;
    }
    text[len] = '\0';
    if (ret_len)
        *ret_len = len;
    *ret = g_realloc(g_steal_pointer(&text), len + 1);
    return 0;
}
