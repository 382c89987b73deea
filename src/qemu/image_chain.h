/* qemu/image_chain.h - what was found by opening images becomes part of a definition
 */
#pragma once

#include "host/image.h"
#include "model/domain_def.h"

/* How QEMU is told to read an image of this format (none given: raw, never guessed). */
ImageFmt qemu_image_fmt(StorageFormat f);
/* The words a definition has for it; raw where there are none. */
StorageFormat qemu_storage_format(ImageFmt f);
/* What stands for this image in the header of one above it: its path, or "nbd://…" which QEMU and libvirt understand.  Caller frees. */
char *qemu_backing_name(const StorageSource *s);
/* What a running machine says of an image on the network: how it is read, and that its connection is not encrypted. */
void qemu_network_settle(StorageSource *s);
/* Whether the header of this image says what is below it: the definition does not, and images of this format can. */
bool qemu_chain_leads_on(const StorageSource *s);
/* Hangs the images found below the one of `want` (depth 1 and more) below `last`, marked as detected, and ends the chain. */
void qemu_chain_adopt(ImageSet *images, unsigned want, StorageSource *last);
