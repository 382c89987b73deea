/* qemu/props.h - devices as JSON objects, one function for the command line and for QMP
 *
 * Each function makes the object that `-device`, `-blockdev`, `-netdev`, `-object` take as JSON on the command line and that device_add,
 * blockdev-add, netdev_add, object-add take as arguments.  The order of members is kept.  The definition must have aliases and
 * addresses.  All return a new reference, or NULL with Err set; none locks or sleeps.
 */
#pragma once

#include <jansson.h>

#include "model/domain_def.h"
#include "qemu/caps.h"
#include "qemu/forward.h"

/* ---- helpers: absent values add nothing (props.c) */
void props_str(json_t *o, const char *key, const char *value);
void props_strf(json_t *o, const char *key, const char *fmt, ...) PRINTF_LIKE(3, 4);
void props_u64(json_t *o, const char *key, uint64_t value);
void props_opt(json_t *o, const char *key, OptU64 value);
void props_bool(json_t *o, const char *key, bool value);
void props_tri(json_t *o, const char *key, TriState value);       /* true, false */
void props_onoff(json_t *o, const char *key, TriState value);     /* "on", "off" */
/* "bus", "multifunction", "addr", "acpi-index" and the like for the device's address; fails when a controller it names is missing. */
int props_address(json_t *o, const DomainDef *def, const DeviceInfo *info, const char *what, Err *err);
/* "rombar", "romfile" */
void props_rom(json_t *o, const DeviceInfo *info);
/* Compact text, members in order. Caller frees. */
char *props_text(const json_t *o);

/* The bootindex of a device: <boot order=>, or what <os><boot dev=> gives the first device of its kind; 0: none. */
unsigned qemu_boot_index(const DomainDef *def, DeviceKind kind, const void *device);

/* ---- one per family (dev_*.c) */

/* Node names "libvirt-N-storage", "libvirt-N-format", "libvirt-CoR-vda". Caller frees. */
char *qemu_node_storage(const StorageSource *src);
char *qemu_node_format(const StorageSource *src);
/* What the device's "drive" names: the format node, or the copy-on-read filter above it. */
char *qemu_node_top(const DiskDef *disk);
/* The protocol node; `filename` replaces the path ("/dev/fdset/3"; then `writable` says which descriptor the set holds), NULL: the path
 * itself. */
json_t *qemu_storage_props(const DiskDef *disk, const StorageSource *src, const char *filename, bool writable, Err *err);
/* The format node on top of it; read_only for backing images and read-only disks. */
json_t *qemu_format_props(const DiskDef *disk, const StorageSource *src, bool read_only, Err *err);
json_t *qemu_copy_on_read_props(const DiskDef *disk);
json_t *qemu_disk_props(const DomainDef *def, const DiskDef *disk, const QemuCaps *caps, Err *err);
/* Arguments of block_set_io_throttle without its "id"; without limits they take away what there was. */
json_t *qemu_throttle_args(const DiskDef *disk);
/* What query-block's answer `blocks` says of the device with this alias, or of its part that holds the drive; borrowed, NULL: nothing. */
const json_t *qemu_block_of_alias(const json_t *blocks, const char *alias);

/* NULL without an error: the machine has it built in. */
json_t *qemu_controller_props(const DomainDef *def, const ControllerDef *c, const QemuCaps *caps, Err *err);

/* `fds`, `vhost_fds`: "31" or "31:32" for a tap; NULL for user. */
json_t *qemu_netdev_props(const NetDef *net, const char *fds, const char *vhost_fds, Err *err);
json_t *qemu_net_props(const DomainDef *def, const NetDef *net, const QemuCaps *caps, Err *err);
/* Needs a tap device. */
bool qemu_net_is_tap(const NetDef *net);
/* In-kernel virtio is wanted if the host has it. */
bool qemu_net_wants_vhost(const NetDef *net);

/* NULL without an error: nothing to add (a console that is a serial port's other name). */
json_t *qemu_chr_props(const DomainDef *def, const ChrDef *chr, Err *err);
/* NULL without an error: built in (ps2). */
json_t *qemu_input_props(const DomainDef *def, const InputDef *in, Err *err);
json_t *qemu_video_props(const DomainDef *def, const VideoDef *v, Err *err);
json_t *qemu_watchdog_props(const DomainDef *def, const WatchdogDef *w, Err *err);
json_t *qemu_memballoon_props(const DomainDef *def, const MemballoonDef *b, Err *err);
json_t *qemu_rng_object_props(const RngDef *rng, const char *filename, Err *err);
json_t *qemu_rng_props(const DomainDef *def, const RngDef *rng, Err *err);
/* *ret_codec: a second device the first one needs, or NULL. */
json_t *qemu_sound_props(const DomainDef *def, const SoundDef *sound, json_t **ret_codec, Err *err);
json_t *qemu_panic_props(const PanicDef *p, Err *err);
