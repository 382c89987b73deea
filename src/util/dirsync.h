/* util/dirsync.h - many changes of one directory made durable together
 */
#pragma once

#include "util/lock.h"

typedef struct DirSyncRound DirSyncRound;

/* One for each directory whose changes come from several threads. */
typedef struct DirSync {
    Mutex lock; /* leaf */
    Cond over;
    DirSyncRound *next; /* those who will be served by the sync after the one that runs now */
    bool busy;
    unsigned syncs; /* done so far */
} DirSync;

void dir_sync_init(DirSync *s);
void dir_sync_done(DirSync *s);
/* What the caller changed in the directory before the call is durable when this returns 0; negative errno: the sync that should have made
 * it so failed, for all who were in it.  Sleeps as long as fsync does. */
int dir_sync(DirSync *s, int dir_fd);
