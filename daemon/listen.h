/* daemon/listen.h - the sockets clients come to
 *
 * Either the service manager hands them over (LISTEN_FDS), or they are made here.  Made: libvirt-sock, libvirt-sock-ro (system daemon only),
 * libvirt-admin-sock (with an admin server), and the names of the modular daemons as links to them, because stock clients try those first;
 * TCP and TLS sockets when asked for.
 *
 * Threads: before the client loop runs, or on it.
 */
#pragma once

#include "rpc/server.h"

typedef struct Listen Listen;

typedef struct ListenSpec {
    const char *dir;       /* /run/libvirt, or the user's; made when missing */
    bool privileged;       /* system daemon: read-only socket, directory open to all */
    const char *group;     /* owner group of the sockets by name; NULL: unchanged */
    mode_t rw_mode, ro_mode, admin_mode;
    RpcAuthMethod rw_auth, ro_auth;
    bool modular;          /* links under the names of the modular daemons */
    int backlog;           /* clients the kernel keeps waiting */
    int admin_backlog;

    const char *addr;               /* of the network sockets; NULL: all */
    const char *tcp_port, *tls_port; /* number or service; NULL: no such socket is made */
    RpcAuthMethod tcp_auth, tls_auth;
    /* Called once when there is a socket for TLS, before clients come; 0 or -1.  NULL: such a socket is an error. */
    int (*tls_ready)(void *ud, Err *err);
    RpcTransport *(*tls_transport)(void *ud, RpcConn *c, int fd, Err *err); /* as RpcListenerSpec.make_transport */
    void *tls_ud;
} ListenSpec;

/* Opens all sockets and gives them to `main_server` and `admin` (may be NULL).  A socket file nobody listens on is replaced; one with a living
 * daemon behind it is an error that names it.  On failure nothing of ours is left.  NULL with Err. */
Listen *listen_open(RpcServer *main_server, RpcServer *admin, const ListenSpec *spec, Err *err);
/* Removes the files made here, unless somebody else has replaced them meanwhile.  Sockets are closed by rpc_server_stop.  NULL is fine. */
void listen_close(Listen *l);
/* True when the service manager holds the sockets: the daemon may end when idle. */
bool listen_activated(const Listen *l);
/* How many sockets were opened. */
unsigned listen_count(const Listen *l);
