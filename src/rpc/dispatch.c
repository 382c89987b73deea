/* rpc/dispatch.c - what a packet is, and who gets it
 *
 * Owns:    the rules for odd packets; not the meaning of calls (the service)
 * Threads: client event thread
 *
 * Theory of operation.  In this order: keepalive is answered here and takes no place of the in-flight cap.  A stream packet or hole goes
 * to the open stream of its call, or nowhere.  Replies, messages and unknown types are dropped.  A call of an unknown program or with a
 * status gets an error.  The rest are calls of known programs: they take a place of the cap and go to the service.
 */
#include "config.h"

#define LOG_AREA "rpc.dispatch"
#define ERR_FROM VIR_FROM_RPC

#include "rpc/internal.h"
#include "util/log.h"

static void refuse(RpcMsg *m, const Err *err)
{
    log_debug("%s: refused: %s", rpc_conn_name(m->conn), err->detail);
    rpc_reply_error(m, err);
    rpc_msg_free(m);
}

static void dispatch_call(RpcConn *c, RpcMsg *m)
{
    g_auto(Err) err = ERR_INIT;
    const RpcService *service = &c->server->service;
    c->calls++;
    conn_hold(c);
    m->expects_reply = true;
    if (!service->known_program(service->ud, c, m->h.prog, m->h.vers)) {
        err_set(&err, VIR_ERR_RPC, "unknown program 0x%x version %u", m->h.prog, m->h.vers);
        refuse(m, &err);
        return;
    }
    if (m->h.status != RPC_STATUS_OK) {
        err_set(&err, VIR_ERR_RPC, "call with status %u, must be %u", m->h.status, (unsigned)RPC_STATUS_OK);
        refuse(m, &err);
        return;
    }
    service->call(service->ud, m);
}

void dispatch_packet(RpcConn *c, RpcMsg *m)
{
    if (m->h.prog == KEEPALIVE_PROG && m->h.vers == KEEPALIVE_VERS && m->h.type == RPC_TYPE_MESSAGE) {
        keepalive_handle(c, &m->h);
        rpc_msg_free(m);
        return;
    }
    switch (m->h.type) {
    case RPC_TYPE_CALL:
    case RPC_TYPE_CALL_FDS:
        dispatch_call(c, m);
        return;
    case RPC_TYPE_STREAM:
    case RPC_TYPE_HOLE: {
        RpcStream *st = conn_find_stream(c, &m->h);
        if (st) {
            conn_hold(c);
            stream_packet(st, m);
            return;
        }
        break;
    }
    default:
        break;
    }
    log_debug("%s: packet of type %u, program 0x%x, procedure %d ignored", rpc_conn_name(c), m->h.type, m->h.prog,
              m->h.proc);
    rpc_msg_free(m);
}
