/* daemon/progress.h - progress of block jobs, told to those who want to see it
 */
#pragma once

#include "daemon/server.h"
#include "domain/blockjob_list.h"
#include "protocol/berth_protocol.h"
#include "util/arena.h"

Progress *progress_new(Server *s);
/* Nobody is told any more; workers that are at it may still come back. */
void progress_stop(Progress *p);
/* After the client event loop. */
void progress_free(Progress *p);
/* Somebody wants it (EVENT_BLOCK_JOBS of daemon/events.h) from now on.  Client event thread. */
void progress_wanted(Progress *p);

/* As the wire has them (api_berth.c); strings are the arena's. */
berth_block_job wire_ended_job(Arena *a, const JobVerdict *j);
berth_block_job wire_running_job(Arena *a, const BlockJobEntry *j);
