/* util/fdgroup.c - descriptors under one name, shared by who uses them
 *
 * Owns:    the descriptors of a group
 * Threads: any; the last unref may sleep in close()
 */
#include "config.h"

#include <fcntl.h>

#include "util/fd.h"
#include "util/fdgroup.h"

struct FdGroup {
    gint refs;
    uint64_t owner;
    char *name;
    unsigned n;
    int fds[];
};

FdGroup *fd_group_new(const char *name, uint64_t owner, int *fds, unsigned n)
{
    FdGroup *g = g_malloc(sizeof(*g) + n * sizeof(int));
    *g = (FdGroup){.refs = 1, .owner = owner, .name = g_strdup(name), .n = n};
    for (unsigned i = 0; i < n; i++)
        g->fds[i] = take_fd(&fds[i]);
    return g;
}

FdGroup *fd_group_ref(FdGroup *g)
{
    g_atomic_int_inc(&g->refs);
    return g;
}

void fd_group_unref(FdGroup *g)
{
    if (g == NULL || !g_atomic_int_dec_and_test(&g->refs))
        return;
    for (unsigned i = 0; i < g->n; i++)
        fd_close(&g->fds[i]);
    g_free(g->name);
    g_free(g);
}

const char *fd_group_name(const FdGroup *g)
{
    return g->name;
}

uint64_t fd_group_owner(const FdGroup *g)
{
    return g->owner;
}

int fd_group_pick(const FdGroup *g, int mode)
{
    for (unsigned i = 0; i < g->n; i++) {
        int flags = fcntl(g->fds[i], F_GETFL);
        if (flags >= 0 && !(flags & O_PATH) && (flags & O_ACCMODE) == mode)
            return g->fds[i];
    }
    return -1;
}
