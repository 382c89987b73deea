/* protocol/procs.h - what the rows of procs.def, events.def and perms.def say, to be asked by number
 *
 * All data is constant.  Handlers are not here (daemon/api.h): tests and fuzzers use these tables without the daemon.
 */
#pragma once

#include "base.h"
#include "lane.h"
#include "protocol/wire_xdr.h"

/* A right on an object.  PERM_NONE ends a list, and stands for "none needed" in first place. */
typedef enum {
    PERM_NONE,
#define PERM(NAME, object, permission, action) PERM_##NAME,
#include "protocol/perms.def"
    PERM_MAX,
} Perm;

typedef struct PermInfo {
    const char *object;     /* "domain" */
    const char *permission; /* "read_secure" */
    const char *action;     /* polkit action */
} PermInfo;

/* NULL for PERM_NONE and what is out of range. */
const PermInfo *perm_info(Perm perm);

typedef enum {
    OBJ_CONN,
    OBJ_DOMAIN,
    OBJ_NETWORK,
    OBJ_PORT,
    OBJ_NWFILTER,
    OBJ_BINDING,
    OBJ_IFACE,
    OBJ_POOL,
    OBJ_VOL,
    OBJ_NODEDEV,
    OBJ_SECRET,
    OBJ_MAX,
} ProcObject;

/* How args name the object. */
typedef enum {
    KEY_NONE, /* OBJ_CONN: the connection of the caller */
    KEY_LATE, /* found by the handler, which must ask for the row's permissions itself */
    KEY_REF,  /* remote_nonnull_<object> at key_at */
    KEY_ID,   /* int at key_at */
    KEY_UUID, /* remote_uuid at key_at */
    KEY_NAME, /* remote_nonnull_string (char *) at key_at */
} ProcKey;

typedef enum {
    SCOPE_CONN,
    SCOPE_VIEW,
    SCOPE_LOCK,
    SCOPE_QUERY,
    SCOPE_MODIFY,
    SCOPE_ABORT,
    SCOPE_DESTROY,
    SCOPE_ASYNC,
    SCOPE_MAX,
} ProcScope;

typedef enum { STATE_ANY, STATE_ACTIVE, STATE_INACTIVE } ProcState;


typedef enum {
    READONLY_ALLOWED,
    READONLY_REFUSED,
    READONLY_REFUSED_FLAGS, /* if any flag of ro_mask is set */
    READONLY_REFUSED_PARAM, /* if the 4-byte field at ro_at is ro_value */
} ProcReadOnly;

typedef enum { STREAM_NONE, STREAM_READ, STREAM_WRITE, STREAM_BOTH } ProcStream;

/* A permission under a condition; ACL_CONFIG holds if the call reaches the persistent definition. */
typedef struct AclRule {
    int row; /* index of its ProcInfo */
    enum { ACL_RULE_IF, ACL_RULE_CONFIG, ACL_RULE_PARAM } kind;
    Perm perm;
    uint64_t mask;   /* IF: all of these flags */
    size_t param_at; /* PARAM: the 4-byte field here */
    uint32_t value;  /* PARAM: has this value */
} AclRule;

typedef struct ProcInfo {
    int index; /* position in the table; daemon/proctable.c has the handler at the same one */
    uint32_t prog;
    int nr;
    const char *name; /* "domain_destroy": for logs and support.md */
    const char *api;  /* "virDomainDestroy": for messages */
    WireType args;    /* .size 0: none */
    WireType ret;
    Perm perms[3]; /* all must hold */
    ProcObject object;
    ProcKey key;
    size_t key_at;
    ProcScope scope;
    ProcState state;
    Lane lane;
    int flags_width; /* bytes of the flags field: 0 (there is none), 4, 8 */
    size_t flags_at;
    uint64_t flags_mask;
    ProcReadOnly ro;
    uint64_t ro_mask;
    size_t ro_at;
    uint32_t ro_value;
    ProcStream stream;
    uint64_t sparse_flag; /* the stream may have holes if this flag is set; 0: never */
    int fds_in_min, fds_in_max, fds_out_max;
    Perm filter; /* each object listed must allow it; events are filtered by their own row */
    bool preauth, preopen;
} ProcInfo;

/* The row of a call, or NULL: no such program, no such number, or a number only the daemon sends.  O(1). */
const ProcInfo *proc_lookup(uint32_t prog, int nr);
/* True if the daemon serves the program on its main sockets with this version (keepalive included). */
bool proc_program_known(uint32_t prog, uint32_t vers);
/* All rows, for walks: returns the first, sets the count. */
const ProcInfo *proc_table(size_t *ret_n);
/* Conditional permissions of a row; returns the first, sets the count (often 0). */
const AclRule *proc_acl_rules(const ProcInfo *info, size_t *ret_n);
/* Flags of a decoded call, 0 if it has no such field. */
uint64_t proc_flags(const ProcInfo *info, const void *args);
/* The permissions that hold for these args: perms and the rules whose condition is met.  Fills out[], returns the number;
 * PROC_PERMS_MAX entries are enough. */
#define PROC_PERMS_MAX 8
size_t proc_perms_needed(const ProcInfo *info, const void *args, Perm out[PROC_PERMS_MAX]);
/* True if a read-only connection may not make this call with these args. */
bool proc_readonly_refused(const ProcInfo *info, const void *args);
/* Names for support.md, logs, tests; never NULL. */
const char *proc_scope_name(ProcScope scope);
const char *proc_lane_name(Lane lane);
const char *proc_object_name(ProcObject object);
