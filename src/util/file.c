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

#define SAVED_MAX (64u << 20)

static int open_parent(const char *path)
{
    g_autofree char *dir = g_path_get_dirname(path);
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

int dir_sync_parent(const char *path)
{
    AUTO_CLOSE int fd = open_parent(path);
    if (fd < 0)
        return fd;
    return fsync(fd) < 0 ? -errno : 0;
}

/* What a name led to before it is changed.  A change whose directory cannot be synced is taken back with it: the caller is told that
 * nothing was changed, and that has to be so. */
typedef struct Saved {
    char *text; /* of a file, or where a link leads; NULL: there was nothing, or nothing we could keep */
    size_t len;
    mode_t mode;
    bool link, absent;
} Saved;

static Saved save(const char *path)
{
    Saved s = {0};
    struct stat st;
    if (lstat(path, &st) < 0) {
        s.absent = errno == ENOENT;
    } else if (S_ISLNK(st.st_mode)) {
        s.link = true;
        s.text = g_file_read_link(path, NULL);
    } else if (file_read(path, SAVED_MAX, &s.text, &s.len) == 0) {
        s.mode = st.st_mode & 07777;
    }
    return s;
}

static void restore(const char *path, const Saved *s)
{
    if (s->text && !s->link) {
        file_replace(path, s->text, s->len, s->mode, 0);
        return;
    }
    if (s->text || s->absent)
        unlink(path);
    if (s->text && symlink(s->text, path) < 0)
        return; /* the link is lost; the failure that led here is told */
}

static int sync_of(DirSync *shared, int dir_fd)
{
    if (shared)
        return dir_sync(shared, dir_fd);
    return fsync(dir_fd) < 0 ? -errno : 0;
}

static int replace(const char *path, const void *data, size_t len, mode_t mode, bool durable, DirSync *shared)
{
    g_autofree char *dir = g_path_get_dirname(path);
    g_autofree char *base = g_path_get_basename(path);
    g_autofree char *tmp = g_strdup_printf("%s/.%s.XXXXXX", dir, base);

    AUTO_CLOSE int dir_fd = durable ? open_parent(path) : -1;
    if (durable && dir_fd < 0)
        return dir_fd;
    AUTO_CLOSE int fd = mkostemp(tmp, O_CLOEXEC);
    if (fd < 0)
        return -errno;
    Saved saved = durable ? save(path) : (Saved){0};
    int r = fd_write_all(fd, data, len);
    if (r == 0 && fchmod(fd, mode) < 0)
        r = -errno;
    if (r == 0 && durable && fsync(fd) < 0)
        r = -errno;
    if (r == 0 && rename(tmp, path) < 0)
        r = -errno;
    if (r < 0) {
        unlink(tmp);
    } else if (durable) {
        r = sync_of(shared, dir_fd);
        if (r < 0)
            restore(path, &saved);
    }
    g_free(saved.text);
    return r;
}

int file_replace(const char *path, const void *data, size_t len, mode_t mode, FileWriteFlags flags)
{
    return replace(path, data, len, mode, flags & FILE_DURABLE, NULL);
}

int file_replace_shared(const char *path, const void *data, size_t len, mode_t mode, DirSync *shared)
{
    return replace(path, data, len, mode, true, shared);
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

static int remove_durably(const char *path, DirSync *shared)
{
    struct stat st;
    if (lstat(path, &st) < 0 && errno == ENOENT)
        return 0; /* unlink() would say EROFS before it says that */
    AUTO_CLOSE int dir_fd = open_parent(path);
    if (dir_fd < 0)
        return dir_fd == -ENOENT ? 0 : dir_fd;
    Saved saved = save(path);
    int r = 0;
    if (unlink(path) < 0) {
        r = errno == ENOENT ? 0 : -errno;
    } else {
        r = sync_of(shared, dir_fd);
        if (r < 0)
            restore(path, &saved);
    }
    g_free(saved.text);
    return r;
}

int file_remove(const char *path, FileWriteFlags flags)
{
    if (flags & FILE_DURABLE)
        return remove_durably(path, NULL);
    struct stat st;
    if (lstat(path, &st) < 0 && errno == ENOENT)
        return 0; /* the same */
    return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
}

int file_remove_shared(const char *path, DirSync *shared)
{
    return remove_durably(path, shared);
}

int dir_make(const char *path, mode_t mode)
{
    return g_mkdir_with_parents(path, (int)mode) < 0 ? -errno : 0;
}

int dir_make_durable(const char *path, mode_t mode)
{
    struct stat st;
    if (stat(path, &st) == 0)
        return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
    g_autofree char *parent = g_path_get_dirname(path);
    int r = dir_make_durable(parent, mode);
    if (r == 0 && mkdir(path, mode) < 0 && errno != EEXIST)
        r = -errno;
    return r < 0 ? r : dir_sync_parent(path);
}
