/* protocol/wire_types.c - the types that stand outside any procedure
 *
 * Owns:    three constant rows
 * Threads: any
 * Locks:   none
 * Errors:  none
 */
#include "protocol/wire_types.h"

#define WIRE_TYPE(row, type)                                                                                           \
    static bool_t filter_##type(XDR *x, void *obj)                                                                     \
    {                                                                                                                  \
        return xdr_##type(x, obj);                                                                                     \
    }                                                                                                                  \
    const WireType row = {.name = #type, .filter = filter_##type, .size = sizeof(type)};

WIRE_TYPE(wire_message_header, virNetMessageHeader)
WIRE_TYPE(wire_message_error, virNetMessageError)
WIRE_TYPE(wire_stream_hole, virNetStreamHole)
