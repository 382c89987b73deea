/* protocol/proc_columns.h - what the words in the columns of procs.def expand to
 *
 * Included by the files that expand whole rows.  A row macro pastes the prefix of the column before the word, so the words themselves
 * are no macros.  Where a column may or may not name a field of args, it expands to FIELD or NOFIELD first, and AT() picks.
 */
#pragma once

#include "protocol/flag_masks.h"

#define AT(how, type, field) AT_##how(type, field)
#define AT_FIELD(type, field) offsetof(type, field)
#define AT_NOFIELD(type, field) 0
#define WIDTH(how, type) WIDTH_##how(type)
#define WIDTH_FIELD(type) sizeof(((type *)NULL)->flags)
#define WIDTH_NOFIELD(type) 0

/* args, ret */
#define WIRE_A(type) {.name = #type, .filter = filter_##type, .size = sizeof(type)}
#define WIRE_R(type) WIRE_A(type)
#define WIRE__(type) {.name = NULL}
#define WIRE_FILTER_A(type)                                                                                            \
    static bool_t filter_##type(XDR *x, void *obj)                                                                     \
    {                                                                                                                  \
        return xdr_##type(x, obj);                                                                                     \
    }
#define WIRE_FILTER_R(type) WIRE_FILTER_A(type)
#define WIRE_FILTER__(type)

/* permission */
#define PERMS_P0 {PERM_NONE}
#define PERMS_P1(a) {PERM_##a}
#define PERMS_P2(a, b) {PERM_##a, PERM_##b}
#define PERMS_P3(a, b, c) {PERM_##a, PERM_##b, PERM_##c}

/* object: whether args have a key field, kind of object, kind of key, the field */
#define OBJECT_CONN NOFIELD, OBJ_CONN, KEY_NONE, _
#define OBJECT_LATE(kind) NOFIELD, OBJ_##kind, KEY_LATE, _
#define OBJECT_DOMAIN(f) FIELD, OBJ_DOMAIN, KEY_REF, f
#define OBJECT_DOMAIN_ID(f) FIELD, OBJ_DOMAIN, KEY_ID, f
#define OBJECT_DOMAIN_UUID(f) FIELD, OBJ_DOMAIN, KEY_UUID, f
#define OBJECT_DOMAIN_NAME(f) FIELD, OBJ_DOMAIN, KEY_NAME, f
#define OBJECT_SNAPSHOT(f) FIELD, OBJ_DOMAIN, KEY_REF, f.dom
#define OBJECT_CHECKPOINT(f) FIELD, OBJ_DOMAIN, KEY_REF, f.dom
#define OBJECT_NETWORK(f) FIELD, OBJ_NETWORK, KEY_REF, f
#define OBJECT_PORT(f) FIELD, OBJ_PORT, KEY_REF, f
#define OBJECT_NWFILTER(f) FIELD, OBJ_NWFILTER, KEY_REF, f
#define OBJECT_BINDING(f) FIELD, OBJ_BINDING, KEY_REF, f
#define OBJECT_IFACE(f) FIELD, OBJ_IFACE, KEY_REF, f
#define OBJECT_POOL(f) FIELD, OBJ_POOL, KEY_REF, f
#define OBJECT_VOL(f) FIELD, OBJ_VOL, KEY_REF, f
#define OBJECT_NODEDEV(f) FIELD, OBJ_NODEDEV, KEY_NAME, f
#define OBJECT_SECRET(f) FIELD, OBJ_SECRET, KEY_REF, f
#define OBJECT_INIT(...) OBJECT_INIT_(__VA_ARGS__)
#define OBJECT_INIT_(type, how, obj, kind, field) .object = obj, .key = kind, .key_at = AT(how, type, field)

/* flags: whether there is the field, its mask */
#define FLAGS__ NOFIELD, 0
#define FLAGS_NO_FLAGS FIELD, 0
#define FLAGS_FLAGS(mask) FIELD, mask
#define FLAGS_INIT(...) FLAGS_INIT_(__VA_ARGS__)
#define FLAGS_INIT_(type, how, mask)                                                                                   \
    .flags_width = WIDTH(how, type), .flags_at = AT(how, type, flags), .flags_mask = (uint64_t)(mask)

/* read-only: whether args have a deciding field, kind, mask, the field, its value */
#define READONLY_RO NOFIELD, READONLY_ALLOWED, 0, _, 0
#define READONLY_RW NOFIELD, READONLY_REFUSED, 0, _, 0
#define READONLY_RW_IF(mask) NOFIELD, READONLY_REFUSED_FLAGS, mask, _, 0
#define READONLY_RW_PARAM(f, v) FIELD, READONLY_REFUSED_PARAM, 0, f, v
#define READONLY_INIT(...) READONLY_INIT_(__VA_ARGS__)
#define READONLY_INIT_(type, how, kind, mask, field, value)                                                            \
    .ro = kind, .ro_mask = mask, .ro_at = AT(how, type, field), .ro_value = value

/* more */
#define MORE__ .stream = STREAM_NONE
#define MORE_STREAM(direction) .stream = STREAM_##direction
#define MORE_SPARSE(direction, flag) .stream = STREAM_##direction, .sparse_flag = flag
#define MORE_FDS(least_in, most_in, most_out)                                                                          \
    .fds_in_min = least_in, .fds_in_max = most_in, .fds_out_max = most_out
#define MORE_FILTER(perm_) .filter = PERM_##perm_
#define MORE_PREAUTH .preauth = true, .preopen = true
#define MORE_PREOPEN .preopen = true
