/* rpc/peer.h - who is at the other end of a connection
 *
 * One object a connection: what the kernel tells of a local peer, where a remote one is, and what TLS and SASL found out.  rpc_conn_peer()
 * gives it; everything that decides or tells about a client (log, rules, the administration's client-info) takes it from there.
 *
 * Threads: filled in before the connection is shown to anybody; what TLS knows by the handshake, sasl_user by authentication, on the client
 *          event thread, before rpc_conn_is_authenticated() says yes.  Constant from then on: read by any thread, except pid_start, which
 *          that thread asks the kernel for when it is first wanted (rpc_conn_find_start); others read it by rpc_peer_start().
 */
#pragma once

#include <sys/types.h>

#include "base.h"

typedef struct RpcPeer {
    bool has_creds; /* the kernel told the next seven: UNIX sockets */
    uid_t uid;
    gid_t gid;
    pid_t pid;
    uint64_t pid_start; /* atomic: start time of pid in clock ticks since boot; 0: not asked for, or the process had ended by then */
    gid_t *groups;      /* supplementary, as they were when it connected */
    unsigned n_groups;
    char *selinux;      /* its SELinux context; NULL where the kernel has none */

    char *address;      /* "127.0.0.1;1234" form of TCP peers; NULL on UNIX */
    unsigned tls_bits;  /* strength of its TLS session; 0 without one */
    char *x509_dname;   /* subject of its verified certificate, else NULL */
    char *sasl_user;    /* "fred@example.com", as SASL names it, else NULL */
    const char *sasl_realm; /* the part of sasl_user behind its last @; NULL without one */
} RpcPeer;

/* Asks the kernel about the peer of a local socket; what it does not tell stays unset.  pid_start costs more than all the rest, and is asked
 * for here only where it could not be later. */
void rpc_peer_read_unix(RpcPeer *p, int fd);
/* Asks for pid_start, of the same socket, unless it is known.  Stays 0 when that very process is not there any more. */
void rpc_peer_find_start(RpcPeer *p, int fd);
static inline uint64_t rpc_peer_start(const RpcPeer *p)
{
    return __atomic_load_n(&p->pid_start, __ATOMIC_RELAXED);
}
/* The address of a TCP peer. */
void rpc_peer_read_tcp(RpcPeer *p, int fd);
/* Takes copies; NULL is nobody. */
void rpc_peer_set_sasl_user(RpcPeer *p, const char *user);
void rpc_peer_set_x509_dname(RpcPeer *p, const char *dname);
void rpc_peer_done(RpcPeer *p);

/* Is it a member, by its primary or a supplementary group?  Never for one without credentials. */
bool rpc_peer_in_group(const RpcPeer *p, gid_t gid);
/* In words, for logs: "uid 0 pid 123", "192.0.2.7;40312, TLS CN=joe, SASL fred@example.com".  Caller frees. */
char *rpc_peer_text(const RpcPeer *p);
/* The same with the start time, where it is known: "uid 0 pid 123 started 4567".  Caller frees. */
char *rpc_peer_text_with_start(const RpcPeer *p);
/* Numbers of the supplementary groups, `max` of them: "4,24,27".  Caller frees. */
char *rpc_peer_groups_text(const RpcPeer *p, unsigned max);
