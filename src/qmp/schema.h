/* qmp/schema.h - QEMU's own description of its QMP interface
 *
 * Built from the answer to query-qmp-schema.  Capabilities ask it what exists; tests check commands against it.
 */
#pragma once

#include <jansson.h>

#include "util/err.h"

typedef struct QmpSchema QmpSchema;

/* `answer` (borrowed) is the array QEMU returned.  NULL with Err when it is no schema. */
QmpSchema *qmp_schema_new(json_t *answer, Err *err);
void *qmp_schema_free(QmpSchema *s); /* NULL */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(QmpSchema, qmp_schema_free)

/* Whether a path exists.  It starts with a command or event name; each further part, behind a '/', is
 *   name         a member (arrays are looked through)
 *   name=value   a member whose enumeration has the value, or whose type has a variant of that name
 *   +tag=value   goes into the variant of the present object; tag must be its discriminator
 * A command name that ends in "->" stands for what the command returns instead of its arguments.
 * "blockdev-add/+driver=file/aio=io_uring" */
bool qmp_schema_has(const QmpSchema *s, const char *path);
/* Checks arguments (NULL: none) of a command: unknown or missing members, types, enumerations, variants.  0, or -1 with the path of
 * the first offence.  device_add takes properties of devices, which the schema does not list; those pass. */
int qmp_schema_check(const QmpSchema *s, const char *command, json_t *args, Err *err);
