/* util/dirsync.c - many changes of one directory made durable together
 *
 * Owns:    who waits for which sync
 * Threads: any that may sleep on storage
 * Locks:   sync.lock (leaf; not held while the directory is synced)
 * Errors:  negative errno of fsync
 *
 * Theory of operation.  Whoever comes joins the next round, since the sync that runs now may have begun before its change.  When no sync
 * runs, one of the round's own does it for all of them; meanwhile the round after gathers.  So a lone change costs one sync and no wait,
 * and a hundred at once cost a few.  Nobody does the work of a round it is not in: every caller is served after two syncs at most.
 */
#include "config.h"

#include <errno.h>
#include <unistd.h>

#include "util/dirsync.h"

#define LOOK_AGAIN_MS 60000u /* a round ends when its fsync ends, and only then */

struct DirSyncRound {
    unsigned members;
    bool over;
    int result;
};

void dir_sync_init(DirSync *s)
{
    *s = (DirSync){0};
    mutex_init(&s->lock, LOCK_LEAF, "directory sync");
    cond_init(&s->over);
}

void dir_sync_done(DirSync *s)
{
    g_assert(!s->busy && !s->next);
    cond_done(&s->over);
    mutex_done(&s->lock);
}

/* Does the next round's work.  Lock held. */
static void serve(DirSync *s, int dir_fd)
{
    DirSyncRound *round = s->next;
    s->next = NULL;
    s->busy = true;
    mutex_unlock(&s->lock);
    int r = fsync(dir_fd) < 0 ? -errno : 0;
    mutex_lock(&s->lock);
    s->busy = false;
    s->syncs++;
    round->result = r;
    round->over = true;
    cond_broadcast(&s->over);
}

int dir_sync(DirSync *s, int dir_fd)
{
    mutex_lock(&s->lock);
    if (!s->next)
        s->next = g_new0(DirSyncRound, 1);
    DirSyncRound *mine = s->next;
    mine->members++;
    while (!mine->over) {
        if (s->busy)
            cond_wait_until(&s->over, &s->lock, deadline_in_ms(LOOK_AGAIN_MS));
        else
            serve(s, dir_fd); /* no round is between "next" and "over" when none is served: this is mine */
    }
    int r = mine->result;
    if (--mine->members == 0)
        g_free(mine);
    mutex_unlock(&s->lock);
    return r;
}
