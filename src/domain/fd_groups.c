/* domain/fd_groups.c - descriptors clients associate with a machine, for <source fdgroup=>
 *
 * Owns:    the table of groups of each machine
 * Threads: any; descriptors are closed on workers only, because close() may have to wait for a file system
 * Locks:   view_lock (leaf); no domain lock is needed
 * Errors:  VIR_ERR_INVALID_ARG, VIR_ERR_OPERATION_FAILED
 */
#include "config.h"

#include <string.h>

#include "domain/fd_groups.h"
#include "domain/private.h"

/* Machines with groups there are or were: nobody searches when there are none. */
static gint ever;

static void unref_group(gpointer g)
{
    fd_group_unref(g);
}

/* ---- closing ----------------------------------------------------------------------------------------------------------------- */

typedef struct Closing {
    DomainDriver *drv;
    GPtrArray *groups;
} Closing;

static void close_task(void *arg)
{
    Closing *c = arg;
    pool_blocking_begin();
    g_ptr_array_unref(c->groups);
    pool_blocking_end();
    domain_driver_task_end(c->drv);
    domain_driver_unref(c->drv);
    g_free(c);
}

/* Takes the array of groups. */
static void close_later(DomainDriver *drv, GPtrArray *groups)
{
    if (groups == NULL)
        return;
    Closing *c = g_new0(Closing, 1);
    *c = (Closing){domain_driver_ref(drv), groups};
    domain_driver_task_begin(drv);
    if (domain_driver_submit(drv, LANE_FAST, close_task, c))
        return;
    g_ptr_array_unref(groups); /* the daemon ends */
    domain_driver_task_end(drv);
    domain_driver_unref(drv);
    g_free(c);
}

void fd_groups_done(Domain *d)
{
    close_later(d->drv, g_steal_pointer(&d->priv->fd_groups));
}

/* ---- the table --------------------------------------------------------------------------------------------------------------- */

/* Index of a name, or -1.  Lock held. */
static int find(const GPtrArray *groups, const char *name)
{
    for (unsigned i = 0; groups && i < groups->len; i++) {
        if (strcmp(fd_group_name(groups->pdata[i]), name) == 0)
            return (int)i;
    }
    return -1;
}

static GPtrArray *group_array(void)
{
    return g_ptr_array_new_with_free_func(unref_group);
}

int domain_fd_associate(Domain *d, FdGroup *g, Err *err)
{
    DomainPrivate *p = d->priv;
    GPtrArray *old = group_array();
    int r = 0;
    g_atomic_int_set(&ever, 1);
    mutex_lock(&p->view_lock);
    int at = find(p->fd_groups, fd_group_name(g));
    if (strlen(fd_group_name(g)) > FD_GROUP_NAME_MAX) {
        r = err_set(err, VIR_ERR_INVALID_ARG, "the name of a file descriptor group is at most %u bytes long", FD_GROUP_NAME_MAX);
    } else if (at < 0 && p->fd_groups && p->fd_groups->len >= FD_GROUPS_MAX) {
        r = err_set(err, VIR_ERR_OPERATION_FAILED, "the domain has %u file descriptor groups already, and no more are kept",
                    FD_GROUPS_MAX);
    } else {
        if (at >= 0)
            g_ptr_array_add(old, g_ptr_array_steal_index_fast(p->fd_groups, (guint)at));
        if (p->fd_groups == NULL)
            p->fd_groups = group_array();
        g_ptr_array_add(p->fd_groups, g);
        g = NULL;
    }
    mutex_unlock(&p->view_lock);
    if (g)
        g_ptr_array_add(old, g);
    close_later(d->drv, old);
    return r;
}

GPtrArray *domain_fd_groups(Domain *d)
{
    DomainPrivate *p = d->priv;
    GPtrArray *copy = group_array();
    LOCK_SCOPE(&p->view_lock);
    for (unsigned i = 0; p->fd_groups && i < p->fd_groups->len; i++)
        g_ptr_array_add(copy, fd_group_ref(p->fd_groups->pdata[i]));
    return copy;
}

FdGroup *domain_fd_group(Domain *d, const char *name)
{
    DomainPrivate *p = d->priv;
    LOCK_SCOPE(&p->view_lock);
    int at = find(p->fd_groups, name);
    return at < 0 ? NULL : fd_group_ref(p->fd_groups->pdata[at]);
}

/* ---- the end of a connection ------------------------------------------------------------------------------------------------- */

/* Moves what the connection brought from the machine to `gone`. */
static void take_owned(Domain *d, uint64_t conn, GPtrArray *gone)
{
    DomainPrivate *p = d->priv;
    LOCK_SCOPE(&p->view_lock);
    for (unsigned i = p->fd_groups ? p->fd_groups->len : 0; i > 0; i--) {
        if (fd_group_owner(p->fd_groups->pdata[i - 1]) == conn)
            g_ptr_array_add(gone, g_ptr_array_steal_index_fast(p->fd_groups, i - 1));
    }
}

typedef struct Gone {
    DomainDriver *drv;
    uint64_t conn;
} Gone;

static void gone_task(void *arg)
{
    Gone *g = arg;
    g_autoptr(GPtrArray) all = registry_list(domain_driver_registry(g->drv));
    GPtrArray *groups = group_array();
    for (unsigned i = 0; i < all->len; i++)
        take_owned(all->pdata[i], g->conn, groups);
    pool_blocking_begin();
    g_ptr_array_unref(groups);
    pool_blocking_end();
    domain_driver_task_end(g->drv);
    g_free(g);
}

void domain_fd_groups_drop(DomainDriver *drv, uint64_t conn_id)
{
    if (!g_atomic_int_get(&ever))
        return;
    Gone *g = g_new0(Gone, 1);
    *g = (Gone){drv, conn_id};
    domain_driver_task_begin(drv);
    if (!domain_driver_submit(drv, LANE_FAST, gone_task, g)) {
        domain_driver_task_end(drv); /* the daemon ends, and its descriptors with it */
        g_free(g);
    }
}
