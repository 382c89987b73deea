/* util/fd.h - descriptors with one owner
 */
#pragma once

#include <errno.h>
#include <unistd.h>

#include "base.h"

/* Closes *fd if it is open and makes it -1; errno is kept. */
static inline void fd_close(int *fd)
{
    if (*fd >= 0) {
        int saved = errno;
        close(*fd);
        errno = saved;
    }
    *fd = -1;
}

/* Hands the descriptor over: returns it and leaves -1 behind. */
static inline int take_fd(int *fd)
{
    int r = *fd;
    *fd = -1;
    return r;
}

/* Declares a descriptor closed at the end of the block: AUTO_CLOSE int fd = -1; */
#define AUTO_CLOSE __attribute__((cleanup(fd_close)))

/* All return 0 or a negative errno. */
int fd_set_nonblock(int fd, bool on);
int fd_set_cloexec(int fd, bool on);
/* Writes all of it, retrying short writes and EINTR; for regular files and blocking descriptors only. */
int fd_write_all(int fd, const void *data, size_t len);
/* Reads to the end, at most max bytes (-EFBIG beyond); *ret is NUL-terminated, caller frees with g_free. */
int fd_read_all(int fd, size_t max, char **ret, size_t *ret_len);
