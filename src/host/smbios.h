/* host/smbios.h - the firmware's table of structures (DMTF DSP0134), read with bounds
 *
 * For the files of this folder.  The table comes from firmware, or from whoever wrote the virtual machine's: lengths, indexes and text in
 * it are checked, and a structure that runs over the end ends the table.
 */
#pragma once

#include "base.h"

#define SMBIOS_MAX_BYTES (1u << 20)

typedef struct SmbiosTable {
    uint8_t *data;
    size_t len;
    unsigned version; /* major << 8 | minor; 0: unknown */
} SmbiosTable;

typedef struct SmbiosStruct {
    uint8_t type;
    uint8_t len;           /* of the formatted part, header included */
    const uint8_t *data;   /* the formatted part */
    const char *strings;   /* first string */
    const uint8_t *end;    /* behind the strings' closing NUL */
} SmbiosStruct;

/* Reads the table the kernel publishes.  0 or a negative errno. */
int smbios_read(SmbiosTable *ret);
void smbios_done(SmbiosTable *t);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(SmbiosTable, smbios_done)

/* The structure after *s (zeroed: the first); false at the end. */
bool smbios_next(const SmbiosTable *t, SmbiosStruct *s);

/* Little-endian fields; `fallback` when the structure is too short to have it. */
unsigned smbios_byte(const SmbiosStruct *s, unsigned offset, unsigned fallback);
unsigned smbios_word(const SmbiosStruct *s, unsigned offset, unsigned fallback);
uint32_t smbios_dword(const SmbiosStruct *s, unsigned offset, uint32_t fallback);
/* The string number `index` (from 1), printable ASCII ('.' for all else), without trailing spaces.  "Not Specified" for index 0; NULL
 * when there is no such string.  Caller frees. */
char *smbios_string_at(const SmbiosStruct *s, unsigned index);
/* The string whose number is in the byte at `offset`; NULL also when the structure is too short for it.  Caller frees. */
char *smbios_string(const SmbiosStruct *s, unsigned offset);
