/* qemu/firmware.h - firmware images the host has for guests
 *
 * From QEMU's firmware descriptors (JSON files, one per image): /usr/share/qemu/firmware, overridden by files of the same name in
 * /etc/qemu/firmware; an empty file there hides one.
 */
#pragma once

#include "base.h"

typedef struct Firmware {
    char *code;        /* executable image, or the image itself ("memory" mapping) */
    char *code_format; /* "raw", "qcow2"; NULL: not flash */
    char *nvram;       /* template of variables, NULL: none */
    char *nvram_format;
    bool uefi, bios;   /* interface types */
    bool pflash;       /* mapped as flash, else loaded ("rom") */
    bool secure_boot, enrolled_keys, requires_smm;
    char **machines;   /* patterns of machine types for `arch`, NULL-ended ("pc-q35-*") */
} Firmware;

/* Descriptors that fit an architecture (libvirt's name), in the order they are to be preferred; `machine` NULL: any.  Elements are
 * Firmware*, freed with the array.  Descriptors that cannot be read or understood are left out. */
GPtrArray *firmware_list(const char *arch, const char *machine);
/* The same from other directories (tests), NULL-ended, later ones override. */
GPtrArray *firmware_list_in(const char *const *dirs, const char *arch, const char *machine);
