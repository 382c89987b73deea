/* util/hash.h - is it the same text as before?
 */
#pragma once

#include <stddef.h>

#include "base.h"

/* 128 bits: two different texts of a directory do not meet in it.  Not made against somebody who tries. */
typedef struct Hash128 {
    uint64_t a, b;
} Hash128;

/* Continues `h` (start with {0}) with len bytes.  Two calls are not the same as one with both parts. */
Hash128 hash128(Hash128 h, const void *data, size_t len);

static inline bool hash128_equal(Hash128 x, Hash128 y)
{
    return x.a == y.a && x.b == y.b;
}
