/* domain/block_ops.h - one disk of a machine: its size, its bytes, a mark to be told about
 */
#pragma once

#include "domain/domain.h"

/* BLOCK_RESIZE of a running machine's disk: `size` in KiB, or bytes with VIR_DOMAIN_BLOCK_RESIZE_BYTES.  MODIFY job and lock held. */
int domain_block_resize(Domain *d, const char *name, uint64_t size, unsigned flags, Err *err);
/* BLOCK_PEEK: `size` bytes of a raw image at `offset`, read in a child that is killed when storage does not answer; zeros beyond the
 * end.  A job and the lock held, which is released meanwhile. */
int domain_block_peek(Domain *d, const char *name, uint64_t offset, uint8_t *buffer, size_t size, Err *err);
/* SET_BLOCK_THRESHOLD: an event when something is written beyond `threshold` bytes of the image "vda" or "vda[2]" (0: none).  Once: the
 * mark is gone with the event.  MODIFY job and lock held. */
int domain_set_block_threshold(Domain *d, const char *name, uint64_t threshold, Err *err);
/* QEMU says that it happened.  Lock held. */
void domain_block_threshold_passed(Domain *d, const char *node, uint64_t threshold, uint64_t excess);
/* Marks that were passed when nobody heard of it are told now.  Job and lock held. */
int domain_resync_thresholds(Domain *d, Err *err);
