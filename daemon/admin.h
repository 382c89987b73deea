/* daemon/admin.h - the admin program: the way from a packet on the admin socket to a handler, and the prototypes of the handlers
 *
 *     int api_admin_client_get_info(AdminCall *call, const admin_client_get_info_args *args, admin_client_get_info_ret *ret, Err *err);
 *
 * args and ret when the row of admin_procs.def says so.  Returns 0, or -1 with err set.  The gate has found server and client as the row
 * says and made sure that there are no flags.  ret arrives zeroed; what it points to is in the call's arena.  A row without handler
 * does not link.
 */
#pragma once

#include "daemon/server.h"
#include "daemon/wire.h"
#include "protocol/admin_procs.h"
#include "protocol/admin_protocol.h"
#include "util/arena.h"

/* Names by which virt-admin asks for the two sets of clients, those of libvirtd's. */
#define ADMIN_SERVER_MAIN "libvirtd"
#define ADMIN_SERVER_ADMIN "admin"

/* One call, from its arrival to its reply.  Belongs to the event thread, then (unless INLINE) to a worker. */
typedef struct AdminCall {
    Server *server;
    RpcConn *conn; /* reference: who asks */
    RpcMsg *msg;
    const AdminProcInfo *proc;
    void *args, *ret;
    RpcServer *target; /* borrowed: rows on a server or a client */
    RpcConn *client;   /* reference: rows on a client */
    struct AuditRecord *audit; /* of a row that changes something; NULL: none is wanted */
    void (*after)(Server *s); /* runs once the reply is on its way, on the thread of the handler; NULL as a rule */
    Err err;
    Arena arena;
} AdminCall;

/* Callbacks for rpc/server.h; ud is the Server. */
bool admin_known_program(void *ud, RpcConn *c, uint32_t prog, uint32_t vers);
void admin_call(void *ud, RpcMsg *msg);
void admin_opened(void *ud, RpcConn *c);
void admin_closed(void *ud, RpcConn *c, const char *reason);

/* The server called `name`, or NULL with VIR_ERR_NO_SERVER. */
RpcServer *admin_find_server(Server *s, const char *name, Err *err);
/* VIR_ERR_NO_CLIENT; -1. */
int admin_no_client(const RpcServer *srv, uint64_t id, Err *err);
/* A server as the wire names it; in the arena. */
void admin_wire_server(Arena *a, admin_nonnull_server *out, const RpcServer *srv);
void admin_wire_client(Arena *a, admin_nonnull_client *out, const RpcServer *srv, const RpcConn *c);

/* Parameters as the admin program's type; in the arena of `p`. */
admin_typed_param *admin_params(const Params *p, u_int *ret_len);

/* One unsigned parameter that a call may set. */
typedef struct AdminUint {
    const char *field;
    unsigned *value; /* set when the parameter is there */
    unsigned min, max;
} AdminUint;

/* Reads parameters into those of `known`: an unknown one, one given twice, of another type or out of its bounds is refused by name. */
int admin_read_uints(const admin_typed_param *v, unsigned n, const AdminUint *known, unsigned n_known, Err *err);

#define API_ADMIN_ARGS_A(type) const type##_args *args,
#define API_ADMIN_ARGS__(type)
#define API_ADMIN_RET_R(type) type##_ret *ret,
#define API_ADMIN_RET__(type)
#define ADMIN_PROC(nr, NAME, name, a, r, ...) \
    int api_admin_##name(AdminCall *call, API_ADMIN_ARGS_##a(admin_##name) API_ADMIN_RET_##r(admin_##name) Err *err);
#include "protocol/admin_procs.def"
