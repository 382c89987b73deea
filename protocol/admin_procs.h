/* protocol/admin_procs.h - what the rows of admin_procs.def say, to be asked by number
 *
 * The admin program has a table of its own: its objects are servers and clients, it knows no permissions (its socket is root's), and it is
 * never served on the sockets of procs.h.  All data is constant.
 */
#pragma once

#include "base.h"
#include "lane.h"
#include "protocol/wire_xdr.h"

typedef enum {
    ADMIN_ON_CONN,
    ADMIN_ON_SERVER, /* admin_nonnull_server at object_at */
    ADMIN_ON_CLIENT, /* admin_nonnull_client at object_at */
} AdminObject;

typedef struct AdminProcInfo {
    int nr;
    const char *name; /* "client_close": for logs and support.md */
    const char *api;  /* "virAdmClientClose": for messages */
    WireType args;    /* .size 0: none */
    WireType ret;
    AdminObject object;
    size_t object_at;
    Lane lane;
    bool has_flags; /* a 4-byte field at flags_at, which must be 0 */
    size_t flags_at;
    bool changes; /* logged with who asked for it */
    bool preopen;
} AdminProcInfo;

/* The row of a call, or NULL.  O(1). */
const AdminProcInfo *admin_proc_lookup(int nr);
/* True for the programs and versions the admin socket serves. */
bool admin_program_known(uint32_t prog, uint32_t vers);
/* All rows in the order of their numbers, which begin with 1 and leave none out: returns the first, sets the count. */
const AdminProcInfo *admin_proc_table(size_t *ret_n);
