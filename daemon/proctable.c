/* daemon/proctable.c - from a procedure's row to its handler
 *
 * Owns:    one thunk per row, which turns untyped pointers into the handler's typed ones
 * Threads: any; all data is constant
 * Locks:   none
 * Errors:  the handler's
 *
 * Handlers are referred to weakly: one that is not linked is a null address.  They must be objects of the program, not members of an
 * archive, for a weak reference pulls nothing out of an archive.
 */
#define API_WEAK __attribute__((weak))
#include "daemon/proctable.h"

#define PASS_DOM_DOMAIN(key) dom,
#define PASS_DOM_DOMAIN_ID(key) dom,
#define PASS_DOM_DOMAIN_UUID(key) dom,
#define PASS_DOM_DOMAIN_NAME(key) dom,
#define PASS_DOM_SNAPSHOT(key) dom,
#define PASS_DOM_CHECKPOINT(key) dom,
#define PASS_DOM_CONN
#define PASS_DOM_LATE(kind)
#define PASS_DOM_NETWORK(key)
#define PASS_DOM_PORT(key)
#define PASS_DOM_NWFILTER(key)
#define PASS_DOM_BINDING(key)
#define PASS_DOM_IFACE(key)
#define PASS_DOM_POOL(key)
#define PASS_DOM_VOL(key)
#define PASS_DOM_NODEDEV(key)
#define PASS_DOM_SECRET(key)
#define PASS_ARGS_A args,
#define PASS_ARGS__
#define PASS_RET_R ret,
#define PASS_RET__

#define THUNK(fn, a, r, obj)                                                                                           \
    static int thunk_##fn(Call *call, Domain *dom, const void *args, void *ret, Err *err)                              \
    {                                                                                                                  \
        return fn(call, PASS_DOM_##obj PASS_ARGS_##a PASS_RET_##r err);                                                \
    }
#define PROC(nr, NAME, name, a, r, perm, obj, ...) THUNK(api_##name, a, r, obj)
#define QEMU_PROC(nr, NAME, name, a, r, perm, obj, ...) THUNK(api_qemu_##name, a, r, obj)
#define LXC_PROC(nr, NAME, name, a, r, perm, obj, ...) THUNK(api_lxc_##name, a, r, obj)
#define BERTH_PROC(nr, NAME, name, a, r, perm, obj, ...) THUNK(api_berth_##name, a, r, obj)
#include "protocol/procs.def"

/* In the order of the rows, so ProcInfo.index finds the entry. */
static const struct {
    ProcHandler thunk;
    void (*present)(void); /* address of the handler, NULL if it is not linked */
} handlers[] = {
#define ENTRY(fn) {thunk_##fn, (void (*)(void))fn},
#define PROC(nr, NAME, name, ...) ENTRY(api_##name)
#define QEMU_PROC(nr, NAME, name, ...) ENTRY(api_qemu_##name)
#define LXC_PROC(nr, NAME, name, ...) ENTRY(api_lxc_##name)
#define BERTH_PROC(nr, NAME, name, ...) ENTRY(api_berth_##name)
#include "protocol/procs.def"
};

ProcHandler proc_handler(const ProcInfo *info)
{
    return handlers[info->index].present ? handlers[info->index].thunk : NULL;
}
