/* host/image_find.h - what stands at a path, without taking it for an image
 */
#pragma once

#include "util/deadline.h"
#include "util/err.h"

typedef struct ImageFound {
    bool exists, is_block, is_empty;
    int error; /* errno of the look, when it is neither 0 nor ENOENT */
} ImageFound;

/* Looks in a child that can be killed.  -1 with Err when storage does not answer.  Sleeps; no lock may be held. */
int image_find(const char *path, Deadline d, ImageFound *ret, Err *err);
