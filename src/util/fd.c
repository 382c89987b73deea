/* util/fd.c - descriptors with one owner
 *
 * Owns:    nothing; small helpers over descriptors
 * Errors:  negative errno
 */
#include "config.h"

#include <fcntl.h>

#include "util/fd.h"

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
    GString *s = g_string_sized_new(4096);
    for (;;) {
        char buf[16384];
        ssize_t n = read(fd, buf, sizeof(buf));
        if (n < 0) {
            if (errno == EINTR)
                continue;
            int e = -errno;
            g_string_free(s, TRUE);
            return e;
        }
        if (n == 0)
            break;
        if (s->len + (size_t)n > max) {
            g_string_free(s, TRUE);
            return -EFBIG;
        }
        g_string_append_len(s, buf, n);
    }
    if (ret_len)
        *ret_len = s->len;
    *ret = g_string_free(s, FALSE);
    return 0;
}
