/* rpc/conn_info.c - who is at the other end, and what may be asked about a connection
 *
 * Owns:    the connection's name; the getters; who the peer is asks peer.c
 * Threads: any (identity is found before the connection is shown to anybody); stats on the client event thread
 * Errors:  none; what cannot be found out stays unset
 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#define LOG_AREA "rpc.conn"

#include "rpc/internal.h"
#include "util/log.h"

#define LOG_GROUPS_MAX 32u

const char *const rpc_conn_state_names[RPC_CONN_STATE_MAX] = {
    [RPC_CONN_HANDSHAKE] = "handshake", [RPC_CONN_AUTH] = "auth",     [RPC_CONN_OPEN] = "open",
    [RPC_CONN_CLOSING] = "closing",     [RPC_CONN_CLOSED] = "closed",
};

const char *const rpc_kind_names[RPC_KIND_MAX] = {
    [RPC_KIND_UNIX] = "unix",
    [RPC_KIND_TCP] = "tcp",
    [RPC_KIND_TLS] = "tls",
};

/* Small packets leave at once; who goes without a word, and cannot be asked by our own pings, is found out within two minutes. */
void conn_set_tcp_options(int fd)
{
    static const struct {
        int level, name, value;
    } options[] = {{IPPROTO_TCP, TCP_NODELAY, 1},    {SOL_SOCKET, SO_KEEPALIVE, 1},  {IPPROTO_TCP, TCP_KEEPIDLE, 60},
                   {IPPROTO_TCP, TCP_KEEPINTVL, 10}, {IPPROTO_TCP, TCP_KEEPCNT, 6}};
    for (size_t i = 0; i < N_ELEMENTS(options); i++)
        if (setsockopt(fd, options[i].level, options[i].name, &options[i].value, sizeof(options[i].value)) < 0)
            log_debug("options of a TCP socket: %s", g_strerror(errno));
}

/* Other threads may hold the old name: it stays as long as the connection. */
static void update_name(RpcConn *c)
{
    g_autofree char *who = rpc_peer_text(&c->peer);
    char *name = g_strdup_printf("client %" PRIu64 " (%s%s)", c->id, who, c->listener->spec.read_only ? " read-only" : "");
    char *old = __atomic_exchange_n(&c->name, name, __ATOMIC_SEQ_CST);
    if (old)
        c->old_names = g_slist_prepend(c->old_names, old);
}

void conn_find_peer(RpcConn *c)
{
    if (c->listener->spec.kind == RPC_KIND_UNIX)
        rpc_peer_read_unix(&c->peer, c->fd);
    else
        rpc_peer_read_tcp(&c->peer, c->fd);
    update_name(c);
}

void rpc_conn_find_start(RpcConn *c)
{
    rpc_peer_find_start(&c->peer, c->fd);
}

/* One line of the log has all of it. */
void conn_log_connected(RpcConn *c)
{
    if (!log_wanted(LOG_LEVEL_INFO, LOG_AREA))
        return;
    if (!c->peer.has_creds) {
        log_info("%s: connected to %s", c->name, c->listener->name);
        return;
    }
    rpc_conn_find_start(c);
    g_autofree char *groups = rpc_peer_groups_text(&c->peer, LOG_GROUPS_MAX);
    log_info("%s: connected to %s; process started %" PRIu64 ", gid %u, groups %s", c->name, c->listener->name, rpc_peer_start(&c->peer),
             (unsigned)c->peer.gid, groups[0] ? groups : "none");
}

void conn_free_peer(RpcConn *c)
{
    rpc_peer_done(&c->peer);
    g_slist_free_full(c->old_names, g_free);
    g_free(c->name);
}

void conn_set_flag(int *flag)
{
    __atomic_store_n(flag, 1, __ATOMIC_SEQ_CST);
}

static bool get_flag(const int *flag)
{
    return __atomic_load_n(flag, __ATOMIC_SEQ_CST) != 0;
}

uint64_t rpc_conn_id(const RpcConn *c)
{
    return c->id;
}

const RpcPeer *rpc_conn_peer(const RpcConn *c)
{
    return &c->peer;
}

const RpcListener *rpc_conn_listener(const RpcConn *c)
{
    return c->listener;
}

RpcKind rpc_conn_kind(const RpcConn *c)
{
    return c->listener->spec.kind;
}

int64_t rpc_conn_connected_at(const RpcConn *c)
{
    return c->connected_at;
}

RpcConnState rpc_conn_state(const RpcConn *c)
{
    return (RpcConnState)__atomic_load_n(&c->state, __ATOMIC_SEQ_CST);
}

bool rpc_conn_is_alive(const RpcConn *c)
{
    return !get_flag(&c->dying) && rpc_conn_state(c) < RPC_CONN_CLOSING;
}

bool rpc_conn_read_only(const RpcConn *c)
{
    return get_flag(&c->read_only);
}

void rpc_conn_set_read_only(RpcConn *c)
{
    conn_set_flag(&c->read_only);
}

const char *rpc_conn_name(const RpcConn *c)
{
    return __atomic_load_n(&c->name, __ATOMIC_SEQ_CST);
}

EventLoop *rpc_conn_loop(const RpcConn *c)
{
    return c->loop;
}

void rpc_conn_set_userdata(RpcConn *c, void *ud, void (*free_fn)(void *ud))
{
    c->userdata = ud;
    c->userdata_free = free_fn;
}

void *rpc_conn_userdata(const RpcConn *c)
{
    return c->userdata;
}

RpcAuthMethod rpc_conn_auth_method(const RpcConn *c)
{
    return c->listener->spec.auth;
}

bool rpc_conn_is_authenticated(const RpcConn *c)
{
    return get_flag(&c->authenticated);
}

void rpc_conn_set_sasl_user(RpcConn *c, const char *user)
{
    rpc_peer_set_sasl_user(&c->peer, user);
    update_name(c);
}

void rpc_conn_set_x509_dname(RpcConn *c, const char *dname)
{
    rpc_peer_set_x509_dname(&c->peer, dname);
    update_name(c);
}

void rpc_conn_set_tls_bits(RpcConn *c, unsigned bits)
{
    c->peer.tls_bits = bits;
}

RpcTransport *rpc_conn_transport(RpcConn *c)
{
    return c->transport;
}

void rpc_conn_stats(const RpcConn *c, RpcConnStats *ret)
{
    *ret = (RpcConnStats){
        .calls = c->calls,
        .bytes_in = c->bytes_in,
        .bytes_out = __atomic_load_n(&c->bytes_out, __ATOMIC_RELAXED),
        .queued_bytes = c->out.bytes,
        .in_flight = conn_in_flight(c),
        .streams = c->streams->len,
    };
}
