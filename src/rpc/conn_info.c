/* rpc/conn_info.c - who is at the other end, and what may be asked about a connection
 *
 * Owns:    the peer's identity; the getters
 * Threads: any (identity is found before the connection is shown to anybody); stats on the client event thread
 * Errors:  none; what cannot be found out stays unset
 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define LOG_AREA "rpc.conn"

#include "rpc/internal.h"
#include "util/log.h"

const char *const rpc_conn_state_names[RPC_CONN_STATE_MAX] = {
    [RPC_CONN_HANDSHAKE] = "handshake", [RPC_CONN_AUTH] = "auth",     [RPC_CONN_OPEN] = "open",
    [RPC_CONN_CLOSING] = "closing",     [RPC_CONN_CLOSED] = "closed",
};

const char *const rpc_kind_names[RPC_KIND_MAX] = {
    [RPC_KIND_UNIX] = "unix",
    [RPC_KIND_TCP] = "tcp",
    [RPC_KIND_TLS] = "tls",
};

/* Field 22 of /proc/PID/stat; procfs answers from memory. */
static uint64_t process_start_time(pid_t pid)
{
    char path[64], buf[1024];
    g_snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    FILE *f = fopen(path, "re");
    if (!f)
        return 0;
    size_t n = fread(buf, 1, sizeof(buf) - 1, f);
    fclose(f);
    buf[n] = 0;
    char *p = strrchr(buf, ')'); /* the name before it may hold anything */
    for (int field = 2; p && field < 22; field++)
        p = strchr(p + 1, ' ');
    return p ? g_ascii_strtoull(p + 1, NULL, 10) : 0;
}

/* "address;port" of a TCP peer, and what small packets need. */
static void tcp_peer(RpcConn *c)
{
    struct sockaddr_storage ss;
    socklen_t len = sizeof(ss);
    char host[NI_MAXHOST], port[NI_MAXSERV];
    int on = 1;
    if (getpeername(c->fd, (struct sockaddr *)&ss, &len) == 0 &&
        getnameinfo((struct sockaddr *)&ss, len, host, sizeof(host), port, sizeof(port),
                    NI_NUMERICHOST | NI_NUMERICSERV) == 0)
        c->peer.address = g_strdup_printf("%s;%s", host, port);
    if (setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0 ||
        setsockopt(c->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on)) < 0)
        log_debug("socket options of %s: %s", c->peer.address, g_strerror(errno));
}

void conn_find_peer(RpcConn *c)
{
    struct ucred cred;
    socklen_t len = sizeof(cred);
    if (c->listener->spec.kind == RPC_KIND_UNIX) {
        if (getsockopt(c->fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == 0) {
            c->peer.has_creds = true;
            c->peer.uid = cred.uid;
            c->peer.gid = cred.gid;
            c->peer.pid = cred.pid;
            c->peer.pid_start = process_start_time(cred.pid);
        }
        c->name = g_strdup_printf("client %" PRIu64 " (uid %u pid %d%s)", c->id, (unsigned)c->peer.uid,
                                  (int)c->peer.pid, c->listener->spec.read_only ? " read-only" : "");
        return;
    }
    tcp_peer(c);
    c->name = g_strdup_printf("client %" PRIu64 " (%s)", c->id, c->peer.address ? c->peer.address : "unknown");
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
    return c->name;
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
    g_free(c->peer.sasl_user);
    c->peer.sasl_user = g_strdup(user);
}

void rpc_conn_set_x509_dname(RpcConn *c, const char *dname)
{
    g_free(c->peer.x509_dname);
    c->peer.x509_dname = g_strdup(dname);
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
