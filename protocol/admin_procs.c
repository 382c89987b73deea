/* protocol/admin_procs.c - the rows of admin_procs.def as a constant table
 *
 * Owns:    the table, its checks at compile time
 * Threads: any; all data is constant
 * Locks:   none
 * Errors:  none
 */
#include <assert.h>

#include "protocol/admin_procs.h"
#include "protocol/admin_protocol.h"
#include "protocol/keepalive_protocol.h"
#include "protocol/proc_columns.h"

/* Typed filters behind untyped pointers, so that no function pointer is cast. */
#define ADMIN_PROC(nr, NAME, name, a, r, ...) WIRE_FILTER_##a(admin_##name##_args) WIRE_FILTER_##r(admin_##name##_ret)
#include "protocol/admin_procs.def"

/* A name for each row's position, which is its number less one. */
enum {
#define ADMIN_PROC(nr, NAME, ...) ROW_##NAME,
#include "protocol/admin_procs.def"
    ROW_MAX,
};

#define ADMIN_PROC(nr, NAME, ...) \
    static_assert(ADMIN_PROC_##NAME == (nr), #NAME ": number differs from the .x file"); \
    static_assert(ROW_##NAME == (nr)-1, #NAME ": rows stand in the order of their numbers");
#include "protocol/admin_procs.def"

/* object: whether args have such a field, what it names, the field */
#define ADMIN_OBJECT_CONN NOFIELD, ADMIN_ON_CONN, _
#define ADMIN_OBJECT_SERVER(f) FIELD, ADMIN_ON_SERVER, f
#define ADMIN_OBJECT_CLIENT(f) FIELD, ADMIN_ON_CLIENT, f
#define ADMIN_OBJECT_INIT(...) ADMIN_OBJECT_INIT_(__VA_ARGS__)
#define ADMIN_OBJECT_INIT_(type, how, kind, field) .object = kind, .object_at = AT(how, type, field)

#define ADMIN_FLAGS__(type) .has_flags = false
#define ADMIN_FLAGS_NO_FLAGS(type) .has_flags = true, .flags_at = offsetof(type, flags)

#define ADMIN_EFFECT_READ false
#define ADMIN_EFFECT_CHANGE true

#define ADMIN_MORE__ false
#define ADMIN_MORE_PREOPEN true

static const AdminProcInfo procs[ROW_MAX] = {
#define ADMIN_PROC(nr_, NAME, name_, a, r, obj, lane_, flags, effect, more, api_) \
    [ROW_##NAME] = { \
        .nr = nr_, \
        .name = #name_, \
        .api = #api_, \
        .args = WIRE_##a(admin_##name_##_args), \
        .ret = WIRE_##r(admin_##name_##_ret), \
        ADMIN_OBJECT_INIT(admin_##name_##_args, ADMIN_OBJECT_##obj), \
        .lane = LANE_##lane_, \
        ADMIN_FLAGS_##flags(admin_##name_##_args), \
        .changes = ADMIN_EFFECT_##effect, \
        .preopen = ADMIN_MORE_##more, \
    },
#include "protocol/admin_procs.def"
};

const AdminProcInfo *admin_proc_lookup(int nr)
{
    return nr > 0 && nr <= ROW_MAX ? &procs[nr - 1] : NULL;
}

bool admin_program_known(uint32_t prog, uint32_t vers)
{
    return (prog == ADMIN_PROGRAM && vers == ADMIN_PROTOCOL_VERSION) || (prog == KEEPALIVE_PROGRAM && vers == KEEPALIVE_PROTOCOL_VERSION);
}

const AdminProcInfo *admin_proc_table(size_t *ret_n)
{
    *ret_n = ROW_MAX;
    return procs;
}
