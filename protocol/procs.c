/* protocol/procs.c - the rows of procs.def and perms.def as constant tables
 *
 * Owns:    the tables, their checks at compile time, and the questions that need only a row and decoded args
 * Threads: any; all data is constant
 * Locks:   none
 * Errors:  none
 */
#include <assert.h>
#include <string.h>

#include "protocol/berth_protocol.h"
#include "protocol/keepalive_protocol.h"
#include "protocol/lxc_protocol.h"
#include "protocol/proc_columns.h"
#include "protocol/procs.h"
#include "protocol/qemu_protocol.h"
#include "protocol/remote_protocol.h"

/* Typed filters behind untyped pointers, so that no function pointer is cast. */
#define ROW(p, name, a, r) WIRE_FILTER_##a(p##_##name##_args) WIRE_FILTER_##r(p##_##name##_ret)
#define PROC(nr, NAME, name, a, r, ...) ROW(remote, name, a, r)
#define QEMU_PROC(nr, NAME, name, a, r, ...) ROW(qemu, name, a, r)
#define LXC_PROC(nr, NAME, name, a, r, ...) ROW(lxc, name, a, r)
#define BERTH_PROC(nr, NAME, name, a, r, ...) ROW(berth, name, a, r)
#include "protocol/procs.def"
#undef ROW

/* A name for each row's position; what the .x files call the procedure must have the row's number. */
enum {
#define PROC(nr, NAME, ...) ROW_REMOTE_##NAME,
#define QEMU_PROC(nr, NAME, ...) ROW_QEMU_##NAME,
#define LXC_PROC(nr, NAME, ...) ROW_LXC_##NAME,
#define BERTH_PROC(nr, NAME, ...) ROW_BERTH_##NAME,
#include "protocol/procs.def"
    ROW_MAX,
};

#define SHORT_SCOPE(scope)                                                                                             \
    (SCOPE_##scope == SCOPE_CONN || SCOPE_##scope == SCOPE_VIEW || SCOPE_##scope == SCOPE_LOCK ||                      \
     SCOPE_##scope == SCOPE_DESTROY)
#define CHECK(P, nr, NAME, scope, lane)                                                                                \
    static_assert(P##_PROC_##NAME == (nr), #NAME ": number differs from the .x file");                                 \
    static_assert(LANE_##lane >= LANE_NORMAL || SHORT_SCOPE(scope), #NAME ": a job must not be awaited in this lane");
#define PROC(nr, NAME, name, a, r, perm, obj, scope, state, lane, ...) CHECK(REMOTE, nr, NAME, scope, lane)
#define QEMU_PROC(nr, NAME, name, a, r, perm, obj, scope, state, lane, ...) CHECK(QEMU, nr, NAME, scope, lane)
#define LXC_PROC(nr, NAME, name, a, r, perm, obj, scope, state, lane, ...) CHECK(LXC, nr, NAME, scope, lane)
#define BERTH_PROC(nr, NAME, name, a, r, perm, obj, scope, state, lane, ...) CHECK(BERTH, nr, NAME, scope, lane)
#include "protocol/procs.def"

#define ROW(p, P, nr_, NAME, name_, a, r, perm, obj, scope_, state_, lane_, flags, ro_, more, api_)                    \
    [ROW_##P##_##NAME] = {                                                                                             \
        .index = ROW_##P##_##NAME,                                                                                     \
        .prog = P##_PROGRAM,                                                                                           \
        .nr = nr_,                                                                                                     \
        .name = #name_,                                                                                                \
        .api = #api_,                                                                                                  \
        .args = WIRE_##a(p##_##name_##_args),                                                                          \
        .ret = WIRE_##r(p##_##name_##_ret),                                                                            \
        .perms = PERMS_##perm,                                                                                         \
        .scope = SCOPE_##scope_,                                                                                       \
        .state = STATE_##state_,                                                                                       \
        .lane = LANE_##lane_,                                                                                          \
        OBJECT_INIT(p##_##name_##_args, OBJECT_##obj),                                                                 \
        FLAGS_INIT(p##_##name_##_args, FLAGS_##flags),                                                                 \
        READONLY_INIT(p##_##name_##_args, READONLY_##ro_),                                                             \
        MORE_##more,                                                                                                   \
    },
static const ProcInfo procs[ROW_MAX] = {
#define PROC(nr, NAME, name, a, r, perm, obj, scope, state, lane, flags, ro, more, api)                                \
    ROW(remote, REMOTE, nr, NAME, name, a, r, perm, obj, scope, state, lane, flags, ro, more, api)
#define QEMU_PROC(nr, NAME, name, a, r, perm, obj, scope, state, lane, flags, ro, more, api)                           \
    ROW(qemu, QEMU, nr, NAME, name, a, r, perm, obj, scope, state, lane, flags, ro, more, api)
#define LXC_PROC(nr, NAME, name, a, r, perm, obj, scope, state, lane, flags, ro, more, api)                            \
    ROW(lxc, LXC, nr, NAME, name, a, r, perm, obj, scope, state, lane, flags, ro, more, api)
#define BERTH_PROC(nr, NAME, name, a, r, perm, obj, scope, state, lane, flags, ro, more, api)                          \
    ROW(berth, BERTH, nr, NAME, name, a, r, perm, obj, scope, state, lane, flags, ro, more, api)
#include "protocol/procs.def"
};

/* From number to row; 0: not a call. */
static const uint16_t remote_rows[] = {
#define PROC(nr, NAME, ...) [nr] = ROW_REMOTE_##NAME + 1,
#include "protocol/procs.def"
};
static const uint16_t qemu_rows[] = {
#define QEMU_PROC(nr, NAME, ...) [nr] = ROW_QEMU_##NAME + 1,
#include "protocol/procs.def"
};
static const uint16_t lxc_rows[] = {
#define LXC_PROC(nr, NAME, ...) [nr] = ROW_LXC_##NAME + 1,
#include "protocol/procs.def"
};
static const uint16_t berth_rows[] = {
#define BERTH_PROC(nr, NAME, ...) [nr] = ROW_BERTH_##NAME + 1,
#include "protocol/procs.def"
};

/* In the order of the rows, so the rules of one row stand together. */
static const AclRule acl_rules[] = {
#define ACL_IF(NAME, perm_, flags) {.row = ROW_REMOTE_##NAME, .kind = ACL_RULE_IF, .perm = PERM_##perm_, .mask = flags},
#define ACL_CONFIG(NAME, perm_) {.row = ROW_REMOTE_##NAME, .kind = ACL_RULE_CONFIG, .perm = PERM_##perm_},
#define ACL_PARAM(NAME, perm_, field, value_) ACL_PARAM_##NAME(perm_, field, value_)
#define ACL_PARAM_DOMAIN_INTERFACE_ADDRESSES(perm_, field, value_)                                                     \
    {.row = ROW_REMOTE_DOMAIN_INTERFACE_ADDRESSES,                                                                     \
     .kind = ACL_RULE_PARAM,                                                                                           \
     .perm = PERM_##perm_,                                                                                             \
     .param_at = offsetof(remote_domain_interface_addresses_args, field),                                              \
     .value = value_},
#include "protocol/procs.def"
};

static const PermInfo perm_rows[PERM_MAX] = {
#define PERM(NAME, object_, permission_, action_)                                                                      \
    [PERM_##NAME] = {.object = #object_, .permission = #permission_, .action = action_},
#include "protocol/perms.def"
};

/* The three kinds of definition flags are one: ACL_CONFIG need not know which it is. */
static_assert((int)VIR_DOMAIN_AFFECT_LIVE == (int)VIR_NETWORK_UPDATE_AFFECT_LIVE &&
                  (int)VIR_DOMAIN_AFFECT_CONFIG == (int)VIR_NETWORK_UPDATE_AFFECT_CONFIG &&
                  (int)VIR_DOMAIN_AFFECT_LIVE == (int)VIR_NODE_DEVICE_UPDATE_AFFECT_LIVE &&
                  (int)VIR_DOMAIN_AFFECT_CONFIG == (int)VIR_NODE_DEVICE_UPDATE_AFFECT_CONFIG,
              "LIVE and CONFIG differ between kinds of object");

const PermInfo *perm_info(Perm perm)
{
    return perm > PERM_NONE && perm < PERM_MAX ? &perm_rows[perm] : NULL;
}

static const ProcInfo *row_at(const uint16_t *rows, size_t n, int nr)
{
    return nr > 0 && (size_t)nr < n && rows[nr] ? &procs[rows[nr] - 1] : NULL;
}

const ProcInfo *proc_lookup(uint32_t prog, int nr)
{
    switch (prog) {
    case REMOTE_PROGRAM:
        return row_at(remote_rows, N_ELEMENTS(remote_rows), nr);
    case QEMU_PROGRAM:
        return row_at(qemu_rows, N_ELEMENTS(qemu_rows), nr);
    case LXC_PROGRAM:
        return row_at(lxc_rows, N_ELEMENTS(lxc_rows), nr);
    case BERTH_PROGRAM:
        return row_at(berth_rows, N_ELEMENTS(berth_rows), nr);
    default:
        return NULL;
    }
}

bool proc_program_known(uint32_t prog, uint32_t vers)
{
    return (prog == REMOTE_PROGRAM && vers == REMOTE_PROTOCOL_VERSION) ||
           (prog == QEMU_PROGRAM && vers == QEMU_PROTOCOL_VERSION) ||
           (prog == LXC_PROGRAM && vers == LXC_PROTOCOL_VERSION) ||
           (prog == BERTH_PROGRAM && vers == BERTH_PROTOCOL_VERSION) ||
           (prog == KEEPALIVE_PROGRAM && vers == KEEPALIVE_PROTOCOL_VERSION);
}

const ProcInfo *proc_table(size_t *ret_n)
{
    *ret_n = ROW_MAX;
    return procs;
}

const AclRule *proc_acl_rules(const ProcInfo *info, size_t *ret_n)
{
    size_t low = 0, high = N_ELEMENTS(acl_rules);

    while (low < high) {
        size_t mid = (low + high) / 2;
        if (acl_rules[mid].row < info->index)
            low = mid + 1;
        else
            high = mid;
    }
    size_t n = 0;
    while (low + n < N_ELEMENTS(acl_rules) && acl_rules[low + n].row == info->index)
        n++;
    *ret_n = n;
    return acl_rules + low;
}

/* A 4-byte field of args. */
static uint32_t field_u32(const void *args, size_t at)
{
    uint32_t v;
    memcpy(&v, (const char *)args + at, sizeof(v));
    return v;
}

uint64_t proc_flags(const ProcInfo *info, const void *args)
{
    uint64_t v = 0;

    if (info->flags_width == (int)sizeof(v))
        memcpy(&v, (const char *)args + info->flags_at, sizeof(v));
    else if (info->flags_width != 0)
        v = field_u32(args, info->flags_at);
    return v;
}

static bool rule_holds(const AclRule *rule, const void *args, uint64_t flags)
{
    switch (rule->kind) {
    case ACL_RULE_IF:
        return (flags & rule->mask) == rule->mask;
    case ACL_RULE_CONFIG:
        return (flags & VIR_DOMAIN_AFFECT_CONFIG) || !(flags & VIR_DOMAIN_AFFECT_LIVE);
    case ACL_RULE_PARAM:
        return field_u32(args, rule->param_at) == rule->value;
    }
    return true; /* a kind nobody knows: ask for the permission */
}

size_t proc_perms_needed(const ProcInfo *info, const void *args, Perm out[PROC_PERMS_MAX])
{
    uint64_t flags = proc_flags(info, args);
    size_t n = 0, n_rules;
    const AclRule *rules = proc_acl_rules(info, &n_rules);

    for (size_t i = 0; i < N_ELEMENTS(info->perms) && info->perms[i] != PERM_NONE; i++)
        out[n++] = info->perms[i];
    for (size_t i = 0; i < n_rules && n < PROC_PERMS_MAX; i++)
        if (rule_holds(&rules[i], args, flags))
            out[n++] = rules[i].perm;
    return n;
}

bool proc_readonly_refused(const ProcInfo *info, const void *args)
{
    switch (info->ro) {
    case READONLY_ALLOWED:
        return false;
    case READONLY_REFUSED_FLAGS:
        return (proc_flags(info, args) & info->ro_mask) != 0;
    case READONLY_REFUSED_PARAM:
        return field_u32(args, info->ro_at) == info->ro_value;
    case READONLY_REFUSED:
        break;
    }
    return true;
}

const char *proc_scope_name(ProcScope scope)
{
    static const char *const names[] = {"conn", "view", "lock", "query", "modify", "abort", "destroy", "async"};
    static_assert(N_ELEMENTS(names) == SCOPE_MAX, "a scope has no name");
    return scope < SCOPE_MAX ? names[scope] : "?";
}

const char *proc_lane_name(Lane lane)
{
    static const char *const names[] = {"inline", "fast", "normal", "long"};
    static_assert(N_ELEMENTS(names) == LANE_MAX, "a lane has no name");
    return lane < LANE_MAX ? names[lane] : "?";
}

const char *proc_object_name(ProcObject object)
{
    static const char *const names[] = {"connect",   "domain",       "network",     "network_port", "nwfilter", "nwfilter_binding",
                                        "interface", "storage_pool", "storage_vol", "node_device",  "secret"};
    static_assert(N_ELEMENTS(names) == OBJ_MAX, "a kind of object has no name");
    return object < OBJ_MAX ? names[object] : "?";
}
