/* daemon/gate.h - the one way from a packet to a handler
 *
 * The gate alone resolves objects, checks authentication, opening, read-only, permissions and flags, takes lock and job as the
 * procedure's row says, runs the handler, writes the status, and answers.  What a row does not say is refused.
 */
#pragma once

#include "daemon/call.h"

/* Callbacks for rpc/server.h; ud is the Server. */
bool gate_known_program(void *ud, RpcConn *c, uint32_t prog, uint32_t vers);
void gate_call(void *ud, RpcMsg *msg);
void gate_opened(void *ud, RpcConn *c);
void gate_closed(void *ud, RpcConn *c, const char *reason);
