/* util/file.c - whole files: read with a bound, replaced as one
 *
 * Owns:    the naming of temporaries (".NAME.XXXXXX" beside the target; leftovers of a crash are removed by the store at start)
 * Errors:  negative errno
 */
#include "config.h"

#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "util/fd.h"
#include "util/file.h"

int dir_sync_parent(const char *path)
{
    g_autofree char *dir = g_path_get_dirname(path);
    AUTO_CLOSE int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    return fsync(fd) < 0 ? -errno : 0;
}

int file_replace(const char *path, const void *data, size_t len, mode_t mode, FileWriteFlags flags)
{
    g_autofree char *dir = g_path_get_dirname(path);
    g_autofree char *base = g_path_get_basename(path);
    g_autofree char *tmp = g_strdup_printf("%s/.%s.XXXXXX", dir, base);

    AUTO_CLOSE int fd = mkostemp(tmp, O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int r = fd_write_all(fd, data, len);
    if (r == 0 && fchmod(fd, mode) < 0)
        r = -errno;
    if (r == 0 && (flags & FILE_DURABLE) && fsync(fd) < 0)
        r = -errno;
    if (r == 0 && rename(tmp, path) < 0)
        r = -errno;
    if (r < 0) {
        unlink(tmp);
        return r;
    }
    return (flags & FILE_DURABLE) ? dir_sync_parent(path) : 0;
}

int file_read(const char *path, size_t max, char **ret, size_t *ret_len)
{
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return -errno;
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode))
        return -EINVAL;
    return fd_read_all(fd, max, ret, ret_len);
}

int file_remove(const char *path, FileWriteFlags flags)
{
    if (unlink(path) < 0)
        return errno == ENOENT ? 0 : -errno;
    return (flags & FILE_DURABLE) ? dir_sync_parent(path) : 0;
}

int dir_make(const char *path, mode_t mode)
{
    return g_mkdir_with_parents(path, (int)mode) < 0 ? -errno : 0;
}
