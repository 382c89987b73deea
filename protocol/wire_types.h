/* protocol/wire_types.h - the types that stand outside any procedure */
#pragma once

#include "protocol/net_protocol.h"
#include "protocol/wire_xdr.h"

extern const WireType wire_message_header; /* virNetMessageHeader */
extern const WireType wire_message_error;  /* virNetMessageError */
extern const WireType wire_stream_hole;    /* virNetStreamHole */
