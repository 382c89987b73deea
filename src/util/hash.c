/* util/hash.c - is it the same text as before?
 *
 * Owns:    nothing
 * Threads: any
 * Errors:  none
 *
 * Two lanes of multiply and fold over words of eight bytes, with different odd factors.  Each step is a permutation of its lane for a
 * given word, so texts that differ in one word never meet, and others meet in both lanes by chance only.
 */
#include "config.h"

#include <string.h>

#include "util/hash.h"

#define FACTOR_A UINT64_C(0x9e3779b97f4a7c15) /* odd, bits well spread: 2^64 divided by the golden ratio */
#define FACTOR_B UINT64_C(0xc2b2ae3d27d4eb4f)

static Hash128 step(Hash128 h, uint64_t w)
{
    h.a = (h.a ^ w) * FACTOR_A;
    h.a ^= h.a >> 29;
    h.b = (h.b ^ w) * FACTOR_B;
    h.b ^= h.b >> 32;
    return h;
}

Hash128 hash128(Hash128 h, const void *data, size_t len)
{
    const uint8_t *p = data;
    uint64_t w;
    h = step(h, len + 1);
    for (; len >= sizeof(w); len -= sizeof(w), p += sizeof(w)) {
        memcpy(&w, p, sizeof(w));
        h = step(h, w);
    }
    w = 0;
    memcpy(&w, p, len);
    h = step(h, w);
    return step(h, ~UINT64_C(0));
}
