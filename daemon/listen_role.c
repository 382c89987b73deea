/* daemon/listen_role.c - what a socket is for
 *
 * Owns:    the names and addresses that mean something
 * Threads: any
 * Errors:  Err, with what the unit should say
 */
#include "config.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>

#define ERR_FROM VIR_FROM_RPC

#include "daemon/listen_net.h"
#include "daemon/listen_role.h"

#define PORT_TCP 16509
#define PORT_TLS 16514

const char *const listen_role_names[LISTEN_ROLE_MAX] = {
    [LISTEN_RW] = "full control", [LISTEN_RO] = "read-only", [LISTEN_ADMIN] = "administration", [LISTEN_TCP] = "TCP", [LISTEN_TLS] = "TLS",
};

const char *const listen_modular_daemons[] = {
    "virtqemud",   "virtstoraged",   "virtnetworkd",  "virtnodedevd",
    "virtsecretd", "virtinterfaced", "virtnwfilterd", "virtproxyd",
    NULL,
};

/* "berthd-ro", "libvirtd-ro.socket" or "ro". */
static int role_of_name(const char *name)
{
    static const char *const daemons[] = {"berthd", "libvirtd", "virtqemud", "virtproxyd"};
    static const char *const words[] = {[LISTEN_RO] = "ro", [LISTEN_ADMIN] = "admin", [LISTEN_TCP] = "tcp", [LISTEN_TLS] = "tls"};
    g_autofree char *stem = g_str_has_suffix(name, ".socket") ? g_strndup(name, strlen(name) - strlen(".socket")) : g_strdup(name);
    const char *word = stem;
    for (size_t i = 0; i < N_ELEMENTS(daemons); i++) {
        if (strcmp(stem, daemons[i]) == 0)
            return LISTEN_RW;
        if (g_str_has_prefix(stem, daemons[i]) && stem[strlen(daemons[i])] == '-')
            word = stem + strlen(daemons[i]) + 1;
    }
    for (int r = LISTEN_RO; r < LISTEN_ROLE_MAX; r++)
        if (strcmp(word, words[r]) == 0)
            return r;
    return strcmp(word, "rw") == 0 ? LISTEN_RW : -1;
}

static int role_of_path(const char *path)
{
    if (g_str_has_suffix(path, "-admin-sock"))
        return LISTEN_ADMIN;
    if (g_str_has_suffix(path, "-sock-ro"))
        return LISTEN_RO;
    return g_str_has_suffix(path, "-sock") ? LISTEN_RW : -1;
}

static int role_of_port(const struct sockaddr_storage *ss)
{
    in_port_t port = ss->ss_family == AF_INET ? ((const struct sockaddr_in *)ss)->sin_port : ((const struct sockaddr_in6 *)ss)->sin6_port;
    return port == htons(PORT_TCP) ? LISTEN_TCP : port == htons(PORT_TLS) ? LISTEN_TLS : -1;
}

static int unclear(const char *where, const char *name, bool net, Err *err)
{
    err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "neither its name \"%s\" nor its address says what the socket %s from the service manager is for",
            name, where);
    return err_hint(err, "its unit needs FileDescriptorName=%s",
                    net ? "berthd-tcp or berthd-tls" : "berthd (full control), berthd-ro or berthd-admin");
}

static int find_net(const char *where, const char *name, int by_name, int by_address, ListenRole *ret, Err *err)
{
    int role = by_name >= 0 ? by_name : by_address;
    if (role < 0)
        return unclear(where, name, true, err);
    if (role != LISTEN_TCP && role != LISTEN_TLS) {
        err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "the socket %s from the service manager is named \"%s\" (%s), which is for a UNIX socket only",
                where, name, listen_role_names[role]);
        return err_hint(err, "its unit needs FileDescriptorName=berthd-tcp or berthd-tls");
    }
    *ret = (ListenRole)role;
    return 0;
}

static int find_unix(const char *where, const char *name, int by_name, int by_address, ListenRole *ret, Err *err)
{
    int role = by_name >= 0 ? by_name : by_address;
    if (role < 0)
        return unclear(where, name, false, err);
    if (role == LISTEN_TCP || role == LISTEN_TLS)
        return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "the socket %s from the service manager is named \"%s\", but is a UNIX socket", where, name);
    if (by_name >= 0 && by_address >= 0 && by_name != by_address) {
        err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "the socket %s from the service manager is named \"%s\" (%s), which contradicts its path (%s)",
                where, name, listen_role_names[by_name], listen_role_names[by_address]);
        return err_hint(err, "correct FileDescriptorName= or ListenStream= of its unit");
    }
    *ret = (ListenRole)role;
    return 0;
}

int listen_role_find(int fd, const char *name, ListenRole *ret, char **ret_where, Err *err)
{
    int by_name = role_of_name(name);
    if (sd_is_socket_inet(fd, AF_UNSPEC, SOCK_STREAM, 1, 0) > 0) {
        struct sockaddr_storage ss = {0};
        socklen_t len = sizeof(ss);
        *ret_where = listen_net_name(fd);
        if (getsockname(fd, (struct sockaddr *)&ss, &len) < 0)
            return err_set_errno(err, errno, "descriptor %d (%s) from the service manager", fd, name);
        return find_net(*ret_where, name, by_name, role_of_port(&ss), ret, err);
    }
    if (sd_is_socket_unix(fd, SOCK_STREAM, 1, NULL, 0) <= 0)
        return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "descriptor %d (%s) from the service manager is no listening UNIX or TCP socket", fd,
                       name);
    struct sockaddr_un sun = {0};
    socklen_t len = sizeof(sun) - 1; /* keeps a NUL behind a path of full length */
    if (getsockname(fd, (struct sockaddr *)&sun, &len) < 0)
        return err_set_errno(err, errno, "descriptor %d (%s) from the service manager", fd, name);
    *ret_where = g_strdup(sun.sun_path[0] ? sun.sun_path : name);
    return find_unix(*ret_where, name, by_name, role_of_path(sun.sun_path), ret, err);
}

bool listen_role_handed_over(ListenRole role)
{
    char **names = NULL;
    int n = sd_listen_fds_with_names(0, &names);
    bool found = false;
    for (int i = 0; i < n; i++) {
        g_auto(Err) err = ERR_INIT;
        g_autofree char *where = NULL;
        ListenRole is;
        if (listen_role_find(SD_LISTEN_FDS_START + i, names && names[i] ? names[i] : "unknown", &is, &where, &err) == 0)
            found = found || is == role;
    }
    for (int i = 0; names && names[i]; i++)
        free(names[i]);
    free(names);
    return found;
}
