/* daemon/idle.h - ending when nobody needs the daemon
 */
#pragma once

#include "daemon/server.h"

/* Watches for the server's life; ends its client loop once there was no client, running machine or task for `seconds`; 0: never. */
IdleWatch *idle_watch_new(Server *s, unsigned seconds);
void idle_watch_free(IdleWatch *w);
/* Another limit, counted from now; 0: never.  Event thread. */
void idle_watch_set(IdleWatch *w, unsigned seconds);
/* A client came or went; NULL is fine.  Event thread. */
void idle_watch_client(IdleWatch *w);
