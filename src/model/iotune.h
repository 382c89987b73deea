/* model/iotune.h - the limits of a disk, as a table: name, place, QEMU's key, and which of them go together
 */
#pragma once

#include "model/domain_def.h"

/* Setting one of a class sets the whole class: the others become 0. */
typedef enum {
    IOTUNE_BYTES,
    IOTUNE_IOPS,
    IOTUNE_BYTES_MAX,
    IOTUNE_IOPS_MAX,
    IOTUNE_SIZE,
    IOTUNE_BYTES_LENGTH,
    IOTUNE_IOPS_LENGTH,
    IOTUNE_CLASS_MAX,
} IoTuneClass;

typedef struct IoTuneField {
    const char *name; /* in XML and in the API */
    const char *qmp;
    IoTuneClass class;
    uint32_t off;
    int base; /* of a max or a length: the field it needs, by index; -1: none */
} IoTuneField;

#define IOTUNE_FIELDS 19u
extern const IoTuneField iotune_fields[IOTUNE_FIELDS];
#define IOTUNE_LIMIT UINT64_C(1000000000000000) /* more QEMU does not take */

uint64_t iotune_get(const DiskIoTune *t, unsigned field);
void iotune_set(DiskIoTune *t, unsigned field, uint64_t value);
/* The field of that name, or -1. */
int iotune_find(const char *name);
bool iotune_any(const DiskIoTune *t);

/* A change of some of the limits. */
typedef struct IoTuneChange {
    DiskIoTune values;  /* group_name is borrowed */
    uint32_t given;     /* bit i: field i */
    bool group_given;   /* "": none any more */
} IoTuneChange;

/* Contradictions inside one change: VIR_ERR_INVALID_ARG, VIR_ERR_ARGUMENT_UNSUPPORTED for a number out of range. */
int iotune_change_check(const IoTuneChange *c, Err *err);
/* `t` (whose group_name is owned) after the change, `base` before it. */
void iotune_apply(DiskIoTune *t, const DiskIoTune *base, const IoTuneChange *c);
/* Whether a guest that runs can have them: VIR_ERR_CONFIG_UNSUPPORTED naming two that contradict each other. */
int iotune_check_live(const DiskIoTune *t, Err *err);
