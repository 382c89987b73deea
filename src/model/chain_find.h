/* model/chain_find.h - images of a disk found by what people and QEMU call them
 *
 * A chain is disk->src and what hangs below it by `backing`; its last image has no `backing`.  All functions are pure and borrow: what they
 * return lives as long as the definition.
 */
#pragma once

#include "model/domain_def.h"

/* The disk a call names, by target ("vda") or by the path of its top image.  NULL with VIR_ERR_INVALID_ARG. */
DiskDef *chain_disk(const DomainDef *def, const char *name, Err *err);
/* An image of any disk as calls address it: "vda" or the top image's path is the top, "vda[2]" the image with index 2 in vda's chain.
 * 0, or -1 with VIR_ERR_INVALID_ARG.  ret_disk and ret_src may be NULL. */
int chain_address(const DomainDef *def, const char *name, DiskDef **ret_disk, StorageSource **ret_src, Err *err);
/* An image in one disk's chain, as base= and top= of block jobs name it: "vda[2]" with the disk's own target, or a path, as the chain
 * has it or relative to the image above.  Only images below `above` count when it is given.  *ret_parent (may be NULL) is the image above
 * the found one, NULL for the top.  NULL with VIR_ERR_INVALID_ARG. */
StorageSource *chain_image(const DiskDef *disk, const StorageSource *above, const char *name, StorageSource **ret_parent, Err *err);

/* The image with this index in the chain that starts at `top`; NULL: none. */
StorageSource *chain_by_index(StorageSource *top, uint64_t index);
/* The disk and image of a node name of ours ("libvirt-3-format"); NULL: none. */
DiskDef *chain_by_node(const DomainDef *def, const char *node, StorageSource **ret_src);
/* The image right above `s` in the chain that starts at `top`; NULL: it is the top, or not in it. */
StorageSource *chain_above(StorageSource *top, const StorageSource *s);
/* The last image. */
StorageSource *chain_base(StorageSource *top);
/* How many images; 0 for an empty drive. */
unsigned chain_length(const StorageSource *top);
