/* domain/iotune.h - limits of a disk set and read while the machine runs or rests
 */
#pragma once

#include "domain/domain.h"
#include "model/iotune.h"

/* Lock and MODIFY job; flags: AFFECT_*.  `disk` is a target or path.  Publishes TUNABLE when the running guest was changed. */
int domain_set_io_tune(Domain *d, const char *disk, const IoTuneChange *change, unsigned flags, Err *err);
/* Lock and QUERY job; of a running guest QEMU is asked.  The group's name in *ret is the caller's to free. */
int domain_get_io_tune(Domain *d, const char *disk, unsigned flags, DiskIoTune *ret, Err *err);
