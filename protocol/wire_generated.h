/* protocol/wire_generated.h - included by the .c files rpcgen writes, by nothing else
 *
 * Sends their calls for strings, bytes and arrays to wire_xdr.c, and turns off the warnings they cannot meet: rpcgen declares a buffer
 * it may not use and hands typed filters to functions that take untyped ones.
 */
#pragma once

#include "protocol/wire_xdr.h"

#define xdr_string wire_xdr_string
#define xdr_bytes wire_xdr_bytes
#define xdr_array wire_xdr_array

#pragma GCC diagnostic ignored "-Wunused-variable"
#pragma GCC diagnostic ignored "-Wcast-function-type"
