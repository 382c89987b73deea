/* tests/unit/fakeroot.h - a directory that src/host takes for "/"
 */
#pragma once

#include "base.h"

/* Made empty and put to use; removed by fakeroot_done(). */
void fakeroot_init(void);
void fakeroot_done(void);
/* Writes a file below it, with the directories above; the name may have printf's %. */
void fakeroot_file(const char *content, const char *fmt, ...) PRINTF_LIKE(2, 3);
void fakeroot_bytes(const void *data, size_t len, const char *path);
void fakeroot_remove(const char *path);
/* The path of a file below it; static until the next call. */
const char *fakeroot_path(const char *path);
