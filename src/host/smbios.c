/* host/smbios.c - the firmware's table of structures, read with bounds
 *
 * Owns:    nothing
 * Threads: any
 * Locks:   none
 * Errors:  negative errno
 */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "util/file.h"
#include "host/hostfs.h"
#include "host/smbios.h"

#define DMI_TABLES "/sys/firmware/dmi/tables"
#define HEADER_LEN 4u

/* The version from the entry point: 0 when that is missing or not understood. */
static unsigned read_version(void)
{
    g_autofree char *path = hostfs_path(DMI_TABLES "/smbios_entry_point");
    g_autofree char *ep = NULL;
    size_t len;
    if (file_read(path, HOSTFS_SMALL, &ep, &len) < 0)
        return 0;
    const uint8_t *b = (const uint8_t *)ep;
    if (len >= 9 && memcmp(ep, "_SM3_", 5) == 0)
        return (unsigned)b[7] << 8 | b[8];
    if (len >= 8 && memcmp(ep, "_SM_", 4) == 0)
        return (unsigned)b[6] << 8 | b[7];
    return 0;
}

int smbios_read(SmbiosTable *ret)
{
    g_autofree char *path = hostfs_path(DMI_TABLES "/DMI");
    char *data;
    size_t len;
    int r = file_read(path, SMBIOS_MAX_BYTES, &data, &len);
    if (r < 0)
        return r;
    *ret = (SmbiosTable){.data = (uint8_t *)data, .len = len, .version = read_version()};
    return 0;
}

void smbios_done(SmbiosTable *t)
{
    g_free(t->data);
    *t = (SmbiosTable){0};
}

bool smbios_next(const SmbiosTable *t, SmbiosStruct *s)
{
    const uint8_t *at = s->end ? s->end : t->data, *end = t->data + t->len;
    if ((size_t)(end - at) < HEADER_LEN || at[1] < HEADER_LEN || (size_t)(end - at) < at[1])
        return false;
    /* the strings end with an empty one */
    const uint8_t *p = at + at[1];
    while (end - p >= 2 && (p[0] || p[1]))
        p++;
    if (end - p < 2)
        return false;
    *s = (SmbiosStruct){.type = at[0], .len = at[1], .data = at, .strings = (const char *)at + at[1], .end = p + 2};
    return true;
}

unsigned smbios_byte(const SmbiosStruct *s, unsigned offset, unsigned fallback)
{
    return offset < s->len ? s->data[offset] : fallback;
}

unsigned smbios_word(const SmbiosStruct *s, unsigned offset, unsigned fallback)
{
    return offset + 1 < s->len ? (unsigned)s->data[offset] | (unsigned)s->data[offset + 1] << 8 : fallback;
}

uint32_t smbios_dword(const SmbiosStruct *s, unsigned offset, uint32_t fallback)
{
    return offset + 3 < s->len ? smbios_word(s, offset, 0) | (uint32_t)smbios_word(s, offset + 2, 0) << 16 : fallback;
}

char *smbios_string_at(const SmbiosStruct *s, unsigned index)
{
    if (index == 0)
        return g_strdup("Not Specified");
    const char *p = s->strings, *end = (const char *)s->end;
    for (; p < end && *p; p += strlen(p) + 1) { /* end is behind two NULs */
        if (--index == 0)
            break;
    }
    if (p >= end || !*p)
        return NULL;
    char *text = g_strdup(p);
    for (char *c = text; *c; c++) {
        if (*c < ' ' || *c > '~')
            *c = '.';
    }
    return g_strchomp(text);
}

char *smbios_string(const SmbiosStruct *s, unsigned offset)
{
    return offset < s->len ? smbios_string_at(s, s->data[offset]) : NULL;
}
