/* util/fdgroup.h - descriptors under one name, shared by who uses them
 *
 * Immutable once made and refcounted; the last reference closes the descriptors, which may sleep (a file system may want to be told).
 */
#pragma once

#include "base.h"

typedef struct FdGroup FdGroup;

/* Takes the n descriptors: -1 is left in `fds`. `owner` is the caller's to mean something. */
FdGroup *fd_group_new(const char *name, uint64_t owner, int *fds, unsigned n);
FdGroup *fd_group_ref(FdGroup *g);
void fd_group_unref(FdGroup *g);
const char *fd_group_name(const FdGroup *g);
uint64_t fd_group_owner(const FdGroup *g);
/* The first descriptor opened for `mode` (O_RDONLY or O_RDWR), -1 when there is none.  It stays the group's.  Descriptors that only
 * name a file (O_PATH) are never picked. */
int fd_group_pick(const FdGroup *g, int mode);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FdGroup, fd_group_unref)
