/* daemon/idle.h - ending when nobody needs the daemon
 */
#pragma once

#include "daemon/server.h"

typedef struct IdleWatch IdleWatch;

/* Ends the client loop once there was no client, running machine or task for `seconds`; 0: never (NULL is returned). */
IdleWatch *idle_watch_new(Server *s, int seconds);
void idle_watch_free(IdleWatch *w);
