/* util/uuid.c - 16-byte UUIDs and their text
 *
 * Owns:    nothing
 */
#include "config.h"

#include <string.h>
#include <sys/random.h>

#include "util/uuid.h"

bool uuid_parse(const char *text, uint8_t uuid[UUID_LEN])
{
    uint8_t out[UUID_LEN];
    while (g_ascii_isspace(*text))
        text++;
    for (int i = 0; i < UUID_LEN; i++) {
        while (*text == '-' && i > 0)
            text++;
        int hi = g_ascii_xdigit_value(text[0]);
        int lo = hi < 0 ? -1 : g_ascii_xdigit_value(text[1]);
        if (hi < 0 || lo < 0)
            return false;
        out[i] = (uint8_t)(hi << 4 | lo);
        text += 2;
    }
    while (g_ascii_isspace(*text))
        text++;
    if (*text)
        return false;
    memcpy(uuid, out, UUID_LEN);
    return true;
}

void uuid_format(const uint8_t uuid[UUID_LEN], char text[UUID_STRING_LEN])
{
    static const char hex[] = "0123456789abcdef";
    char *p = text;
    for (int i = 0; i < UUID_LEN; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *p++ = '-';
        *p++ = hex[uuid[i] >> 4];
        *p++ = hex[uuid[i] & 15];
    }
    *p = '\0';
}

void uuid_generate(uint8_t uuid[UUID_LEN])
{
    if (getrandom(uuid, UUID_LEN, 0) != UUID_LEN)
        g_error("no random bytes from the kernel");
    uuid[6] = (uint8_t)((uuid[6] & 0x0f) | 0x40);
    uuid[8] = (uint8_t)((uuid[8] & 0x3f) | 0x80);
}

bool uuid_is_trivial(const uint8_t uuid[UUID_LEN])
{
    for (int i = 1; i < UUID_LEN; i++) {
        if (uuid[i] != uuid[0])
            return false;
    }
    return true;
}
