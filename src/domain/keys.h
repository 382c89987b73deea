/* domain/keys.h - key presses for a machine
 */
#pragma once

#include "domain/domain.h"

#define KEYS_MAX 16u /* keys of one call, pressed together */

/* Presses all keys, holds them `hold_ms` (0: QEMU's default), releases them.  codeset: VIR_KEYCODE_SET_*.  MODIFY job and lock held. */
int domain_send_key(Domain *d, unsigned codeset, unsigned hold_ms, const unsigned *codes, unsigned n, Err *err);
/* The number QEMU knows a key by, or -1: no such key in that set (or the set is not supported: *ret_known false). */
int key_to_qnum(unsigned codeset, unsigned code, bool *ret_known);

/* One key in all sets; KEY_NONE where a set does not have it. */
#define KEY_NONE 0xffffu
typedef struct KeyRow {
    uint8_t linux_code, qnum;
    uint16_t set2, set3, macos;
    uint8_t usb;
    uint16_t win32;
} KeyRow;
extern const KeyRow key_rows[];
extern const unsigned n_key_rows;
