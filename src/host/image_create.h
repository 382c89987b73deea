/* host/image_create.h - overlays: new images that begin as what another one holds
 *
 * Made and removed by children that can be killed: storage that hangs costs its caller the deadline and nothing else.
 */
#pragma once

#include "util/deadline.h"
#include "util/err.h"

/* Makes image `path` of format `fmt` (QEMU's name) over `backing`.  `size` in bytes; 0: as large as the backing image, which is opened and
 * must not be in use then.  What stands at `path` is overwritten: look first.  The file is for the daemon alone (0600).  A failure leaves no
 * file that was not there before.  Sleeps; no lock may be held. */
int image_create_overlay(const char *path, const char *fmt, const char *backing, const char *backing_fmt, uint64_t size, Deadline d,
                         Err *err);
/* What stands at a path, without opening it as an image. */
typedef struct ImageFound {
    bool exists, is_block, is_empty;
    int error; /* errno of the look, when it is neither 0 nor ENOENT */
} ImageFound;

/* -1 with Err when storage does not answer. */
int image_find(const char *path, Deadline d, ImageFound *ret, Err *err);
