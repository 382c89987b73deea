/* daemon/api.h - the prototype of every handler, from the rows of procs.def
 *
 *     int api_domain_destroy(Call *call, Domain *dom, const remote_domain_destroy_args *args, Err *err);
 *     int api_domain_get_info(Call *call, Domain *dom, const remote_domain_get_info_args *args,
 *                             remote_domain_get_info_ret *ret, Err *err);
 *     int api_connect_get_type(Call *call, remote_connect_get_type_ret *ret, Err *err);
 *
 * `dom` is there when the row's object is a domain the gate finds from args (DOMAIN, DOMAIN_ID, _UUID, _NAME, SNAPSHOT, CHECKPOINT);
 * args and ret when the procedure has them.  handlers of other programs are api_qemu_<name>, api_lxc_<name>, api_berth_<name>.
 *
 * Returns 0, or -1 with err set.  Called as the row says: scope taken, state checked, permissions checked except for LATE objects,
 * flags within the mask.  args are the caller's and stay as they are.  ret arrives zeroed; what it points to is in
 * the call's arena (call->arena) and goes with it.
 *
 * A handler that does not exist is not an error here: the symbol is weak where the table refers to it (proctable.c), and the call is
 * answered "not supported".
 */
#pragma once

#include "protocol/berth_protocol.h"
#include "protocol/lxc_protocol.h"
#include "protocol/qemu_protocol.h"
#include "protocol/remote_protocol.h"
#include "util/err.h"

typedef struct Call Call;
typedef struct Domain Domain;

/* Set by proctable.c only: a definition must stay a normal symbol, so that two of one name are a link error. */
#ifndef API_WEAK
#define API_WEAK
#endif

/* Beside a handler that does not do what its call is for, because it refuses or there is never anything to tell of: docs/support.md says so instead
 * of "yes".  The name is that of the handler without api_. */
#define API_INSTEAD(name, what)                    \
    extern const char *const api_instead_##name;   \
    const char *const api_instead_##name = what;

#define API_DOM_DOMAIN(key) Domain *dom,
#define API_DOM_DOMAIN_ID(key) Domain *dom,
#define API_DOM_DOMAIN_UUID(key) Domain *dom,
#define API_DOM_DOMAIN_NAME(key) Domain *dom,
#define API_DOM_SNAPSHOT(key) Domain *dom,
#define API_DOM_CHECKPOINT(key) Domain *dom,
#define API_DOM_CONN
#define API_DOM_LATE(kind)
#define API_DOM_NETWORK(key)
#define API_DOM_PORT(key)
#define API_DOM_NWFILTER(key)
#define API_DOM_BINDING(key)
#define API_DOM_IFACE(key)
#define API_DOM_POOL(key)
#define API_DOM_VOL(key)
#define API_DOM_NODEDEV(key)
#define API_DOM_SECRET(key)
#define API_ARGS_A(type) const type##_args *args,
#define API_ARGS__(type)
#define API_RET_R(type) type##_ret *ret,
#define API_RET__(type)

/* Refuses what an agent in the guest would have to do (api_agent.c); -1. */
int api_no_agent(Call *call, Domain *dom, Err *err);

#define API(fn, type, a, r, obj) API_WEAK int fn(Call *call, API_DOM_##obj API_ARGS_##a(type) API_RET_##r(type) Err *err);
#define PROC(nr, NAME, name, a, r, perm, obj, ...) API(api_##name, remote_##name, a, r, obj)
#define QEMU_PROC(nr, NAME, name, a, r, perm, obj, ...) API(api_qemu_##name, qemu_##name, a, r, obj)
#define LXC_PROC(nr, NAME, name, a, r, perm, obj, ...) API(api_lxc_##name, lxc_##name, a, r, obj)
#define BERTH_PROC(nr, NAME, name, a, r, perm, obj, ...) API(api_berth_##name, berth_##name, a, r, obj)
#include "protocol/procs.def"
