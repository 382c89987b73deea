/* qemu/caps_session.h - a short QMP conversation with a QEMU that runs no guest
 *
 * For probes only: synchronous, on one worker, without an event loop.  All commands of a round are sent at once.
 */
#pragma once

#include "qemu/caps_private.h"
#include "qmp/codec.h"
#include "util/spawn.h"

typedef struct CapsSession CapsSession;

/* Starts `binary` with machine type none and the accelerator.  NULL with Err; QEMU's own words are in it. */
CapsSession *caps_session_start(const char *binary, CapsAccount account, const char *accel, Deadline d, Err *err);
/* Sends {"execute"} objects (array, stolen) and waits for all answers.  New array of answers ("return" or "error" in each), in
 * order; NULL with Err. */
json_t *caps_session_round(CapsSession *s, json_t *commands, Err *err);
/* Kills and reaps. */
void *caps_session_end(CapsSession *s); /* NULL */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CapsSession, caps_session_end)
