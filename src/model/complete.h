/* model/complete.h - the steps of domain_def_complete(), each in its own file
 */
#pragma once

#include "model/field.h"

/* Beyond that no device may name one: implied controllers with more come from a mistyped address. */
#define CONTROLLER_INDEX_MAX 255u

/* Which of the two x86 chipsets; everything else gets no PCI of ours. */
typedef enum {
    CHIPSET_OTHER,
    CHIPSET_I440FX,
    CHIPSET_Q35,
} Chipset;
Chipset domain_def_chipset(const DomainDef *d);

/* controllers.c */
ControllerDef *controller_find(const DomainDef *d, ControllerType type, uint64_t index);
ControllerDef *controller_add(DomainDef *d, ControllerType type, uint64_t index, ControllerModel model);
/* Indexes for controllers without one. */
int controllers_settle(DomainDef *d, Err *err);
/* Libvirt's order of what it reads. */
void controller_insert(GPtrArray *list, ControllerDef *ctl);
void disk_insert(GPtrArray *list, DiskDef *disk);
/* The bus a target name stands for. */
DiskBus disk_default_bus(const DiskDef *disk);
/* The controllers a machine always has, then those its devices need. */
int controllers_add_default(DomainDef *d, Err *err);
int controllers_add_implied(DomainDef *d, Err *err);

/* dev_net.c: a host device's name that the kernel gave, which means nothing to the next life. */
void net_drop_generated(NetDef *net);

/* complete.c: paths of channels a start chose. */
void chrs_drop_generated(DomainDef *d);
/* The file such a path ends with: the channel's name, or one of its place.  Caller frees. */
char *channel_socket_name(const ChrDef *channel);

/* addr_other.c */
int addr_assign_drives(DomainDef *d, Err *err);
int addr_assign_virtio_serial(DomainDef *d, Err *err);
int addr_assign_usb(DomainDef *d, Err *err);
/* "sdb" -> 1; -1: no such name. */
int disk_name_index(const char *name);

/* addr_pci.c */
int addr_assign_pci(DomainDef *d, Err *err);
