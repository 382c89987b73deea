/* domain/disk_files.h - what the images of disks take and hold, for machines QEMU cannot be asked about
 */
#pragma once

#include "domain/domain.h"
#include "host/image.h"

/* Numbers in bytes. */
typedef struct DiskFile {
    uint64_t capacity;   /* what the guest sees */
    uint64_t allocation; /* what the file takes */
    uint64_t physical;   /* how long the file, how large the device is */
} DiskFile;

/* One image of `dom`, in a child that can be killed: 0, or -1 with the error of image_open(), or VIR_ERR_INVALID_ARG when nobody has
 * associated the image's descriptors.  Sleeps; no lock may be held. */
int disk_file_read(Domain *dom, const DiskDef *disk, Deadline d, DiskFile *ret, Err *err);

/* The images of many disks, by disk: DiskDef* -> DiskFile*, without those that are empty, missing, descriptors or did not answer in time.  The disks
 * must outlive it.  Sleeps; no lock may be held. */
GHashTable *disk_files_read(const GPtrArray *disks, Deadline d);
