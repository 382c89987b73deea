/* tools/relay.h - bytes between a pair of descriptors and a socket
 */
#pragma once

#include "base.h"

/* Copies `in` to `sock` and `sock` to `out`.  The end of either is passed on (`out` is closed) while the other direction goes on.  Returns when
 * both have ended, when the socket's peer is gone, or when nobody reads `out` any more.  Holds 64 KiB a direction at most and never waits for
 * one while the other could move.  The descriptors are non-blocking meanwhile.  0, or a negative errno. */
int relay_run(int in, int out, int sock);
