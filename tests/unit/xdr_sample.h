/* tests/unit/xdr_sample.h - makes a valid object of any wire type without knowing its fields
 *
 * A decoder run on a stream that invents its input: every word is a small number and all bytes are letters, so counts stay small,
 * optional parts are there, and union tags are valid.
 */
#pragma once

#include <string.h>

#include "protocol/wire_xdr.h"

typedef struct SampleStream {
    unsigned words; /* words handed out so far */
    unsigned seed;
} SampleStream;

static bool_t sample_getlong(XDR *x, long *v)
{
    SampleStream *s = x->x_private;
    *v = 1 + (long)((s->words++ * 7 + s->seed) % 3);
    return TRUE;
}

static bool_t sample_getbytes(XDR *x, char *to, u_int len)
{
    SampleStream *s = x->x_private;
    for (u_int i = 0; i < len; i++)
        to[i] = (char)('a' + (i + s->seed) % 26);
    return TRUE;
}

static int32_t *sample_inline(XDR *x, u_int len)
{
    return NULL;
}

/* obj: type->size bytes.  Free with wire_free().  False: the type cannot be made this way. */
static inline bool sample_fill(const WireType *type, void *obj, unsigned seed)
{
    static const struct xdr_ops ops = {
        .x_getlong = sample_getlong, .x_getbytes = sample_getbytes, .x_inline = sample_inline};
    SampleStream s = {.seed = seed};
    XDR x = {.x_op = XDR_DECODE, .x_ops = &ops, .x_private = &s};

    memset(obj, 0, type->size);
    return type->filter(&x, obj);
}
