/* tools/relay.h - bytes between a pair of descriptors and a socket
 */
#pragma once

#include "base.h"

/* Copies `in` to `sock` and `sock` to `out` until the socket's end has been passed on, or nobody reads `out` any more.  The end of `in` is
 * passed on as well, while the other direction goes on.  Holds 64 KiB a direction at most and never waits for one while the other could move.  Makes
 * the descriptors non-blocking.  0, or a negative errno. */
int relay_run(int in, int out, int sock);
