/* rpc/sasl_decoy.h - the challenge a user who does not exist would get
 */
#pragma once

#include "base.h"

/* SCRAM asks for the user first and answers with that user's salt, so the library's refusal tells who exists.  This is an answer of the same form
 * and cost to the client's first message, the same for a name each time; NULL when `mech` is no SCRAM or the message is none.  Caller frees. */
char *rpc_sasl_decoy(const char *mech, const char *in, size_t len);
/* Notes what a real challenge looks like. */
void rpc_sasl_decoy_learn(const char *challenge, size_t len);
