/* protocol/wire_xdr.c - XDR with the length of the message as a second limit
 *
 * Owns:    decode, encode, free of one object; the checks before libtirpc allocates
 * Threads: any; no state
 * Locks:   none
 * Errors:  negative errno
 */
#include <errno.h>
#include <string.h>

#include "base.h"
#include "protocol/wire_xdr.h"

/* Hangs off x->x_public while wire_decode() runs, so the filters find the end of the message. */
typedef struct WireLimit {
    u_int end;
} WireLimit;

/* True unless a decode is under way in which the next word, a count of elements taking at least `unit` bytes each, claims more than
 * the message still holds.  The position is left at the count. */
static bool count_fits(XDR *x, u_int unit)
{
    if (x->x_op != XDR_DECODE || !x->x_public)
        return true;

    /* x_public is char * in libtirpc; the object behind it is ours and aligned. */
    const WireLimit *limit = (const void *)x->x_public;
    u_int start = xdr_getpos(x);
    u_int count;

    if (!xdr_u_int(x, &count))
        return false;
    u_int left = limit->end - xdr_getpos(x);
    return count <= left / unit && xdr_setpos(x, start);
}

/* libtirpc takes strlen(NULL) of a string nobody filled in; that must be an error of one call, not the end of the daemon. */
static bool encodable(const XDR *x, const char *p, u_int count)
{
    return x->x_op != XDR_ENCODE || p || count == 0;
}

bool_t wire_xdr_string(XDR *x, char **sp, u_int max)
{
    return encodable(x, *sp, 1) && count_fits(x, 1) && xdr_string(x, sp, max);
}

bool_t wire_xdr_bytes(XDR *x, char **sp, u_int *lenp, u_int max)
{
    return encodable(x, *sp, *lenp) && count_fits(x, 1) && xdr_bytes(x, sp, lenp, max);
}

bool_t wire_xdr_array(XDR *x, char **ap, u_int *countp, u_int max, u_int elsize, xdrproc_t elproc)
{
    return encodable(x, *ap, *countp) && count_fits(x, 4) && xdr_array(x, ap, countp, max, elsize, elproc);
}

int wire_decode(const WireType *type, void *obj, const void *buf, size_t len, size_t *ret_used)
{
    WireLimit limit = {.end = (u_int)len};
    XDR x;

    memset(obj, 0, type->size);
    if (len > UINT32_MAX)
        return -EBADMSG;
    /* A decoding stream only reads, but one constructor serves both directions and takes char *. */
    union {
        const void *in;
        char *out;
    } mem = {.in = len ? buf : ""};
    xdrmem_create(&x, mem.out, (u_int)len, XDR_DECODE);
    x.x_public = (void *)&limit;
    if (!type->filter(&x, obj)) {
        wire_free(type, obj);
        return -EBADMSG;
    }
    if (ret_used)
        *ret_used = xdr_getpos(&x);
    return 0;
}

/* Filters take a plain pointer as one function serves all three directions; encoding writes nothing through it. */
static void *unconst(const void *obj)
{
    union {
        const void *in;
        void *out;
    } u = {.in = obj};
    return u.out;
}

/* A stream that counts.  libtirpc's xdr_sizeof() wants its own kind of function pointer and takes no part in the checks. */
static bool_t size_putlong(XDR *x, const long *v)
{
    if (x->x_handy > UINT32_MAX - 8)
        return FALSE;
    x->x_handy += 4;
    return TRUE;
}

static bool_t size_putbytes(XDR *x, const char *v, u_int len)
{
    if (len > UINT32_MAX - 8 - x->x_handy)
        return FALSE;
    x->x_handy += len;
    return TRUE;
}

static bool_t size_none_getlong(XDR *x, long *v)
{
    return FALSE;
}

static bool_t size_none_getbytes(XDR *x, char *v, u_int len)
{
    return FALSE;
}

static u_int size_getpos(XDR *x)
{
    return x->x_handy;
}

static bool_t size_none_setpos(XDR *x, u_int pos)
{
    return FALSE;
}

static int32_t *size_none_inline(XDR *x, u_int len)
{
    return NULL;
}

static void size_destroy(XDR *x)
{
}

static bool_t size_control(XDR *x, int op, void *arg)
{
    return FALSE;
}

static const struct xdr_ops size_ops = {
    .x_getlong = size_none_getlong,
    .x_putlong = size_putlong,
    .x_getbytes = size_none_getbytes,
    .x_putbytes = size_putbytes,
    .x_getpostn = size_getpos,
    .x_setpostn = size_none_setpos,
    .x_inline = size_none_inline,
    .x_destroy = size_destroy,
    .x_control = size_control,
};

size_t wire_size(const WireType *type, const void *obj)
{
    XDR x = {.x_op = XDR_ENCODE, .x_ops = &size_ops};

    return type->filter(&x, unconst(obj)) ? x.x_handy : 0;
}

ssize_t wire_encode(const WireType *type, const void *obj, void *buf, size_t len)
{
    size_t need = wire_size(type, obj);
    XDR x;

    if (need == 0)
        return -EINVAL;
    if (need > len)
        return -EMSGSIZE;
    xdrmem_create(&x, buf, (u_int)need, XDR_ENCODE);
    return type->filter(&x, unconst(obj)) ? (ssize_t)xdr_getpos(&x) : -EINVAL;
}

void wire_free(const WireType *type, void *obj)
{
    XDR x = {.x_op = XDR_FREE};

    type->filter(&x, obj);
    memset(obj, 0, type->size);
}
