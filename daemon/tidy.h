/* daemon/tidy.h - giving freed memory back to the kernel
 */
#pragma once

#include "daemon/server.h"

/* Client event thread, all three.  Before the pool and the loop of `s` go. */
Tidy *tidy_new(Server *s);
void tidy_free(Tidy *t);
/* A connection has gone, and with it what was made for it.  NULL is fine. */
void tidy_closed(Tidy *t);
