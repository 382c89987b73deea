/* qemu/image_writable.h - a backing image of a running guest made writable
 */
#pragma once

#include "qemu/forward.h"
#include "model/domain_def.h"

/* Lets QEMU write to an image it was given read-only, as a commit into it needs: rw_fd (read-write; stays the caller's) joins the
 * image's fdset, its storage node is opened again on it, and the locks left on the old descriptor are dropped (block_nodes.c says why).
 * Works for paused guests too.  The node stays read-write from then on.  pidfd is QEMU's.  Sleeps; workers only.  0, or -1 with QEMU's
 * answer or the step that failed. */
int qemu_image_make_writable(QmpClient *qmp, int pidfd, const DiskDef *disk, const StorageSource *src, int rw_fd, Err *err);
