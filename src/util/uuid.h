/* util/uuid.h - 16-byte UUIDs and their text
 */
#pragma once

#include "base.h"

/* Parses 32 hex digits with optional dashes and surrounding white space, as libvirt's users write them.  False when malformed. */
bool uuid_parse(const char *text, uint8_t uuid[UUID_LEN]);
/* Writes the lower-case dashed form. */
void uuid_format(const uint8_t uuid[UUID_LEN], char text[UUID_STRING_LEN]);
/* A random version-4 UUID from the kernel. */
void uuid_generate(uint8_t uuid[UUID_LEN]);
/* All bytes equal (all zero, all ones): not acceptable as a machine's identity. */
bool uuid_is_trivial(const uint8_t uuid[UUID_LEN]);
