/* rpc/peer.c - who is at the other end of a connection
 *
 * Owns:    the questions to the kernel; not what TLS and SASL find out (they tell it here), nor what anybody may do
 * Threads: one at a time while it is filled in
 * Errors:  none; what cannot be found out stays unset
 *
 * Theory of operation.  The kernel notes the peer's credentials when it connects, so they cannot change under us.  The start time has to be
 * read from /proc by number, and by then the process may be gone and the number another's.  A descriptor of the process (SO_PEERPIDFD) settles
 * it: when that very process still is there after the reading, what was read was its own.
 *
 * That takes six system calls, a fifth of what a short connection costs.  But the socket itself holds on to the process: the descriptor can be
 * had from it as long as it is open, and never is another one's, so the start time is asked for when somebody wants it, and a pid whose process
 * is gone has none.  Kernels without such descriptors (before 6.5) are asked at once, where the window they leave open is smallest.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "rpc/peer.h"
#include "util/fd.h"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

#define GROUPS_MAX  65536u /* the kernel's own bound */
#define CONTEXT_MAX 4096u  /* longer contexts do not exist */

/* Field 22 of /proc/PID/stat; procfs answers from memory. */
static uint64_t process_start_time(pid_t pid)
{
    char path[64], buf[1024];
    g_snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, buf, sizeof(buf) - 1);
    if (n <= 0)
        return 0;
    buf[n] = 0;
    char *p = strrchr(buf, ')'); /* the name before it may hold anything */
    for (int field = 2; p && field < 22; field++)
        p = strchr(p + 1, ' ');
    return p ? g_ascii_strtoull(p + 1, NULL, 10) : 0;
}

/* A descriptor of the process that connected, or negative errno: -ENOPROTOOPT where the kernel has none. */
static int peer_pidfd(int fd)
{
    int pidfd = -1;
    socklen_t len = sizeof(pidfd);
    return getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &len) < 0 ? -errno : pidfd;
}

static bool sockets_know_processes(int fd)
{
    static gsize known; /* 1 no, 2 yes */
    if (g_once_init_enter(&known)) {
        AUTO_CLOSE int pidfd = peer_pidfd(fd);
        g_once_init_leave(&known, pidfd == -ENOPROTOOPT ? 1 : 2);
    }
    return known == 2;
}

void rpc_peer_find_start(RpcPeer *p, int fd)
{
    if (!p->has_creds || rpc_peer_start(p) || fd < 0)
        return;
    AUTO_CLOSE int pidfd = peer_pidfd(fd);
    if (pidfd < 0)
        return;
    uint64_t start = process_start_time(p->pid);
    if (syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 0) == 0 || errno == EPERM)
        __atomic_store_n(&p->pid_start, start, __ATOMIC_RELAXED);
}

static void read_groups(RpcPeer *p, int fd)
{
    socklen_t len = 0;
    gid_t none;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, &none, &len) == 0 || errno != ERANGE)
        return;
    if (len % sizeof(gid_t) != 0 || len > GROUPS_MAX * sizeof(gid_t))
        return;
    g_autofree gid_t *groups = g_malloc0(len);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) < 0)
        return;
    p->groups = g_steal_pointer(&groups);
    p->n_groups = (unsigned)(len / sizeof(gid_t));
}

/* Other security modules answer the same question in words of their own, which are no contexts. */
static bool has_selinux(void)
{
    static gsize known; /* 1 no, 2 yes */
    if (g_once_init_enter(&known))
        g_once_init_leave(&known, access("/sys/fs/selinux/enforce", F_OK) == 0 ? 2 : 1);
    return known == 2;
}

static void read_context(RpcPeer *p, int fd)
{
    char text[CONTEXT_MAX + 1];
    socklen_t len = CONTEXT_MAX;
    if (!has_selinux() || getsockopt(fd, SOL_SOCKET, SO_PEERSEC, text, &len) < 0 || len > CONTEXT_MAX)
        return;
    text[len] = 0;
    if (text[0])
        p->selinux = g_strdup(text);
}

void rpc_peer_read_unix(RpcPeer *p, int fd)
{
    struct ucred cred;
    socklen_t len = sizeof(cred);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
        return;
    p->has_creds = true;
    p->uid = cred.uid;
    p->gid = cred.gid;
    p->pid = cred.pid;
    if (!sockets_know_processes(fd))
        p->pid_start = process_start_time(cred.pid);
    read_groups(p, fd);
    read_context(p, fd);
}

void rpc_peer_read_tcp(RpcPeer *p, int fd)
{
    struct sockaddr_storage ss;
    socklen_t len = sizeof(ss);
    char host[NI_MAXHOST], port[NI_MAXSERV];
    if (getpeername(fd, (struct sockaddr *)&ss, &len) == 0 &&
        getnameinfo((struct sockaddr *)&ss, len, host, sizeof(host), port, sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV) == 0)
        p->address = g_strdup_printf("%s;%s", host, port);
}

void rpc_peer_set_sasl_user(RpcPeer *p, const char *user)
{
    g_free(p->sasl_user);
    p->sasl_user = g_strdup(user);
    const char *at = user ? strrchr(p->sasl_user, '@') : NULL;
    p->sasl_realm = at && at[1] ? at + 1 : NULL;
}

void rpc_peer_set_x509_dname(RpcPeer *p, const char *dname)
{
    g_free(p->x509_dname);
    p->x509_dname = g_strdup(dname);
}

void rpc_peer_done(RpcPeer *p)
{
    g_free(p->groups);
    g_free(p->selinux);
    g_free(p->address);
    g_free(p->x509_dname);
    g_free(p->sasl_user);
    *p = (RpcPeer){0};
}

bool rpc_peer_in_group(const RpcPeer *p, gid_t gid)
{
    if (!p->has_creds)
        return false;
    for (unsigned i = 0; i < p->n_groups; i++)
        if (p->groups[i] == gid)
            return true;
    return p->gid == gid;
}

static char *in_words(const RpcPeer *p, uint64_t start)
{
    GString *s = g_string_new(NULL);
    if (p->has_creds)
        g_string_append_printf(s, "uid %u pid %d", (unsigned)p->uid, (int)p->pid);
    else
        g_string_append(s, p->address ? p->address : "unknown");
    if (start)
        g_string_append_printf(s, " started %" PRIu64, start);
    if (p->x509_dname)
        g_string_append_printf(s, ", TLS %s", p->x509_dname);
    if (p->sasl_user)
        g_string_append_printf(s, ", SASL %s", p->sasl_user);
    return g_string_free(s, FALSE);
}

char *rpc_peer_text(const RpcPeer *p)
{
    return in_words(p, 0);
}

char *rpc_peer_text_with_start(const RpcPeer *p)
{
    return in_words(p, rpc_peer_start(p));
}

char *rpc_peer_groups_text(const RpcPeer *p, unsigned max)
{
    GString *s = g_string_new(NULL);
    for (unsigned i = 0; i < p->n_groups && i < max; i++)
        g_string_append_printf(s, i ? ",%u" : "%u", (unsigned)p->groups[i]);
    if (p->n_groups > max)
        g_string_append_printf(s, ",... (%u)", p->n_groups);
    return g_string_free(s, FALSE);
}
