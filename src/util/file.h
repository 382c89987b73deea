/* util/file.h - whole files: read with a bound, replaced as one
 */
#pragma once

#include "util/dirsync.h"

typedef enum {
    FILE_DURABLE = 1 << 0, /* fsync the file before the rename and the directory after it */
} FileWriteFlags;

/* Replaces `path` by `data` of `len` bytes: temporary in the same directory, mode `mode`, rename.  A reader sees the old or the new
 * content, never a mix; a failure, of the directory's sync too, leaves the old and no temporary.  0 or negative errno.  May block on storage:
 * not on an event thread. */
int file_replace(const char *path, const void *data, size_t len, mode_t mode, FileWriteFlags flags);
/* The same, durable, where others change the same directory at the same time: one sync of it serves all that are ready. */
int file_replace_shared(const char *path, const void *data, size_t len, mode_t mode, DirSync *shared);
/* Reads a regular file of at most `max` bytes (-EFBIG beyond, -EINVAL for anything but a regular file).  *ret is NUL-terminated. */
int file_read(const char *path, size_t max, char **ret, size_t *ret_len);
/* Unlinks a file or symbolic link and, with FILE_DURABLE, fsyncs the directory; puts it back when that fails.  A missing file is 0. */
int file_remove(const char *path, FileWriteFlags flags);
int file_remove_shared(const char *path, DirSync *shared);
/* mkdir -p; directories made get `mode`.  0 or negative errno. */
int dir_make(const char *path, mode_t mode);
/* The same; each that is made is synced into its own. */
int dir_make_durable(const char *path, mode_t mode);
/* fsync of the directory that holds `path`. */
int dir_sync_parent(const char *path);
