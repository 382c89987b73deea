/* daemon/watchdog.h - telling the service manager that the daemon works, only as long as it does
 */
#pragma once

#include "event/event.h"
#include "util/pool.h"

#define WATCHDOG_ROUNDS 4u                          /* in the time the service manager allows */
#define WATCHDOG_LONG_ROUNDS (5u * WATCHDOG_ROUNDS) /* the workers of long calls may stand still for so many */

typedef struct Watchdog Watchdog;

/* Pings as WATCHDOG_USEC asks.  NULL when it is not set.  Event thread of `client`, or before that loop runs. */
Watchdog *watchdog_new(EventLoop *client, EventLoop *monitor, Pool *pool);
/* NULL is fine.  Same thread; probes still under way come back to nobody. */
void watchdog_free(Watchdog *w);
