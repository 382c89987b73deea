/* daemon/listen_net.c - TCP sockets to listen on
 *
 * Owns:    look-up of addresses and services, one socket an address; not what is served on them (listen.c)
 * Threads: before the client loop runs: a look-up of names may wait for a name server
 * Errors:  Err, naming the key of the configuration
 *
 * An IPv6 socket takes IPv6 only, so that the two families never fight for a port, whatever the kernel's preset is.
 */
#include "config.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#define LOG_AREA "daemon.listen"
#define ERR_FROM VIR_FROM_RPC

#include "daemon/listen_net.h"
#include "util/fd.h"
#include "util/log.h"

static char *name_of(const struct sockaddr *sa, socklen_t len)
{
    char host[NI_MAXHOST], port[NI_MAXSERV];
    if (getnameinfo(sa, len, host, sizeof(host), port, sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return g_strdup("an unknown address");
    return g_strdup_printf(sa->sa_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
}

char *listen_net_name(int fd)
{
    struct sockaddr_storage ss;
    socklen_t len = sizeof(ss);
    if (getsockname(fd, (struct sockaddr *)&ss, &len) < 0)
        return g_strdup("an unknown address");
    return name_of((struct sockaddr *)&ss, len);
}

/* The socket, or negative errno. */
static int open_one(const struct addrinfo *a, int backlog)
{
    int on = 1;
    AUTO_CLOSE int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
        return -errno;
    if (a->ai_family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0)
        return -errno;
    if (bind(fd, a->ai_addr, a->ai_addrlen) < 0 || listen(fd, backlog) < 0)
        return -errno;
    return take_fd(&fd);
}

static int look_up(const char *key, const char *addr, const char *port, struct addrinfo **ret, Err *err)
{
    const struct addrinfo hints = {.ai_flags = AI_PASSIVE, .ai_socktype = SOCK_STREAM, .ai_protocol = IPPROTO_TCP};
    int r = getaddrinfo(addr, port, &hints, ret);
    if (r == 0)
        return 0;
    if (r == EAI_SERVICE) {
        err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "%s: there is no TCP service \"%s\"", key, port);
        return err_hint(err, "give the port as a number, or add the service to /etc/services");
    }
    err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "listen_addr: cannot find the address \"%s\": %s", addr ? addr : "any",
            r == EAI_SYSTEM ? g_strerror(errno) : gai_strerror(r));
    return err_hint(err, "give an address of this host as a number");
}

/* The kernel, or this host, has no such family of addresses. */
static bool no_family(int r)
{
    return r == -EAFNOSUPPORT || r == -EADDRNOTAVAIL || r == -EPROTONOSUPPORT;
}

static int cannot(const char *key, const char *name, int r, Err *err)
{
    err_set_errno(err, -r, "%s: cannot listen on %s", key, name);
    if (r == -EADDRINUSE)
        err_hint(err, "stop what listens there, or choose another port with %s", key);
    else if (r == -EADDRNOTAVAIL)
        err_hint(err, "listen_addr must be an address of this host");
    else if (r == -EACCES)
        err_hint(err, "ports below 1024 are root's");
    return -1;
}

int listen_net_open(const char *key, const char *addr, const char *port, int backlog, ListenNetGot *got, void *ud, Err *err)
{
    struct addrinfo *all = NULL;
    if (look_up(key, addr, port, &all, err) < 0)
        return -1;
    unsigned opened = 0;
    int result = 0, missing = 0;
    g_autofree char *missing_name = NULL;
    for (struct addrinfo *a = all; a && result == 0; a = a->ai_next) {
        g_autofree char *name = name_of(a->ai_addr, a->ai_addrlen);
        int r = open_one(a, backlog);
        if (r >= 0) {
            result = got(ud, r, name, err);
            opened++;
        } else if (no_family(r)) {
            log_debug("%s: %s: %s", key, name, g_strerror(-r));
            missing = r;
            g_free(missing_name);
            missing_name = g_steal_pointer(&name);
        } else {
            result = cannot(key, name, r, err);
        }
    }
    freeaddrinfo(all);
    if (result == 0 && opened == 0)
        result = cannot(key, missing_name ? missing_name : port, missing ? missing : -EADDRNOTAVAIL, err);
    return result;
}
