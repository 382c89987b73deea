/* protocol/wire_xdr.h - XDR with the length of the message as a second limit
 *
 * The filters rpcgen writes refuse a count above the bound of its array, but a bound alone still lets a packet of forty bytes ask for
 * an array of a quarter million elements, which libtirpc allocates before it looks for the first.  So the generated code calls the
 * three functions below instead of libtirpc's xdr_array, xdr_bytes and xdr_string: while decoding through wire_decode() they also
 * demand that what is left of the message could hold the elements (each takes at least four bytes on the wire; a byte of a string or
 * of opaque data takes one).  Memory used for a message is so at most (largest element / 4) times its length, whatever it claims.
 *
 * Strings: the bytes are taken as they come.  A NUL inside ends the C string, as it does for libvirt's own daemon; the rest of the
 * bytes is skipped, never seen.  Nothing on the wire says which character set they are in.
 * Left over: bytes after the last field are ignored (framing.md: stock daemons do so).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <rpc/rpc.h>

/* One type on the wire.  `filter` has an untyped object so that tables need no casts; it encodes, decodes or frees by x->x_op. */
typedef bool_t (*WireFilter)(XDR *x, void *obj);
typedef struct WireType {
    const char *name; /* C name of the struct */
    WireFilter filter;
    size_t size; /* sizeof the struct */
} WireType;

/* Decodes one object from len bytes into obj, which the caller provides (type->size bytes; any content).  On success obj owns
 * allocated parts: wire_free().  On failure nothing is left allocated and obj is all zero.
 * ret_used, if not NULL, gets the number of bytes taken.  Returns 0, or -EBADMSG: ends early, or a bound is exceeded. */
int wire_decode(const WireType *type, void *obj, const void *buf, size_t len, size_t *ret_used);

/* Bytes the object takes on the wire, or 0 if it cannot be encoded: a string or array that must be there is NULL, or a bound is
 * exceeded.  (An empty struct would also take 0; no type of ours is one.) */
size_t wire_size(const WireType *type, const void *obj);

/* Encodes into buf[0..len).  Returns the number of bytes written, -EMSGSIZE if it does not fit, -EINVAL if it cannot be encoded. */
ssize_t wire_encode(const WireType *type, const void *obj, void *buf, size_t len);

/* Frees what wire_decode() allocated inside obj (not obj itself) and zeroes it.  All parts must come from malloc: an object that is
 * built by hand for encoding is freed by whoever built it unless every string and array in it is malloc'd. */
void wire_free(const WireType *type, void *obj);

/* Replacements for libtirpc's functions of the like name, called by generated code only (wire_generated.h). */
bool_t wire_xdr_string(XDR *x, char **sp, u_int max);
bool_t wire_xdr_bytes(XDR *x, char **sp, u_int *lenp, u_int max);
bool_t wire_xdr_array(XDR *x, char **ap, u_int *countp, u_int max, u_int elsize, xdrproc_t elproc);
