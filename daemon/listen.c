/* daemon/listen.c - the sockets clients come to
 *
 * Owns:    socket files and links in the run directory; not the descriptors once the RpcServer has them
 * Threads: before the client loop runs, or on it
 * Errors:  Err; nothing of ours is left behind
 *
 * Theory of operation.  A file is ours when its device and inode are those noted after making it.  Permissions are set between bind and
 * listen: until listen every connect is refused, so nobody slips in under wider ones.  Whether a socket file found in place is alive is
 * asked by connecting to it: a refusal means that its daemon is gone.
 *
 * What sockets handed over are for is listen_role.c's to tell.
 */
#include "config.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>

#define LOG_AREA "daemon.listen"
#define ERR_FROM VIR_FROM_RPC

#include "daemon/listen.h"
#include "daemon/listen_net.h"
#include "daemon/listen_role.h"
#include "util/account.h"
#include "util/fd.h"
#include "util/file.h"
#include "util/log.h"

#define SOCK_RW "libvirt-sock"
#define SOCK_RO "libvirt-sock-ro"
#define SOCK_ADMIN "libvirt-admin-sock"

typedef struct MadeFile {
    char *path;
    dev_t dev;
    ino_t ino;
} MadeFile;

struct Listen {
    GArray *made; /* MadeFile, in the order made */
    bool activated;
    bool tls_is_ready;
    unsigned count;
};

static void note_made(Listen *l, const char *path)
{
    struct stat sb;
    if (lstat(path, &sb) < 0)
        return;
    MadeFile f = {g_strdup(path), sb.st_dev, sb.st_ino};
    g_array_append_val(l->made, f);
}

static RpcListenerSpec listener_spec(const ListenSpec *spec, ListenRole role, const char *name)
{
    RpcListenerSpec ls = {.name = name, .kind = RPC_KIND_UNIX, .auth = RPC_AUTH_NONE};
    switch (role) {
    case LISTEN_RW:
        ls.auth = spec->rw_auth;
        break;
    case LISTEN_RO:
        ls.auth = spec->ro_auth;
        ls.read_only = true;
        break;
    case LISTEN_ADMIN:
        break;
    case LISTEN_TCP:
        ls.kind = RPC_KIND_TCP;
        ls.auth = spec->tcp_auth;
        break;
    case LISTEN_TLS:
        ls.kind = RPC_KIND_TLS;
        ls.auth = spec->tls_auth;
        ls.make_transport = spec->tls_transport;
        ls.ud = spec->tls_ud;
        break;
    case LISTEN_ROLE_MAX:
        g_assert_not_reached();
    }
    return ls;
}

static int tls_ready(Listen *l, const ListenSpec *spec, const char *name, Err *err)
{
    if (l->tls_is_ready)
        return 0;
    if (!spec->tls_ready)
        return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "%s is a socket for TLS, which is not built yet", name);
    if (spec->tls_ready(spec->tls_ud, err) < 0)
        return -1;
    l->tls_is_ready = true;
    return 0;
}

/* Hands a listening descriptor (moved) to its server. */
static int serve(Listen *l, RpcServer *server, const ListenSpec *spec, ListenRole role, int fd, const char *name, Err *err)
{
    AUTO_CLOSE int own = fd;
    RpcListenerSpec ls = listener_spec(spec, role, name);
    if ((role == LISTEN_TLS && tls_ready(l, spec, name, err) < 0) || rpc_server_listen(server, take_fd(&own), &ls, err) < 0)
        return -1;
    l->count++;
    log_info("listening on %s, %s, authentication %s", name, listen_role_names[role], rpc_auth_names[ls.auth]);
    if (role == LISTEN_TCP && ls.auth == RPC_AUTH_NONE)
        log_warning("whoever reaches %s controls this host: auth_tcp is \"none\"", name);
    return 0;
}

/* ---- sockets handed over ---- */

static int adopt_one(Listen *l, RpcServer *main_server, RpcServer *admin, const ListenSpec *spec, int fd, const char *name, Err *err)
{
    AUTO_CLOSE int own = fd;
    g_autofree char *where = NULL;
    ListenRole role;
    if (listen_role_find(own, name, &role, &where, err) < 0)
        return -1;
    RpcServer *server = role == LISTEN_ADMIN ? admin : main_server;
    if (!server) {
        log_warning("%s: there is no administration server; the socket is not served", where);
        return 0;
    }
    return serve(l, server, spec, role, take_fd(&own), where, err);
}

/* 1 when there were any, 0 when not, -1 on error. */
static int adopt_all(Listen *l, RpcServer *main_server, RpcServer *admin, const ListenSpec *spec, Err *err)
{
    char **names = NULL;
    int n = sd_listen_fds_with_names(1, &names);
    if (n < 0)
        return err_set_errno(err, -n, "sockets from the service manager");
    int r = n > 0;
    for (int i = 0; i < n; i++) {
        int fd = SD_LISTEN_FDS_START + i;
        if (r < 0)
            fd_close(&fd);
        else if (adopt_one(l, main_server, admin, spec, fd, names && names[i] ? names[i] : "unknown", err) < 0)
            r = -1;
    }
    for (int i = 0; names && names[i]; i++)
        free(names[i]);
    free(names);
    return r;
}

/* ---- sockets made here ---- */

static int address_of(const char *path, struct sockaddr_un *ret, Err *err)
{
    *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(ret->sun_path))
        return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "socket path %s is longer than the %zu bytes the kernel allows", path,
                       sizeof(ret->sun_path) - 1);
    memcpy(ret->sun_path, path, strlen(path) + 1);
    return 0;
}

/* Makes room for `path`: nothing there, or a socket or link nobody answers behind is removed.  `keep`: a link that leads to just that may stay,
 * however it is written (the service manager's are absolute); 1 is returned for it. */
static int clear_path(const char *path, const struct stat *keep, Err *err)
{
    struct stat sb;
    struct sockaddr_un sun;
    if (lstat(path, &sb) < 0)
        return errno == ENOENT ? 0 : err_set_errno(err, errno, "cannot look at %s", path);
    struct stat led;
    if (keep && S_ISLNK(sb.st_mode) && stat(path, &led) == 0 && led.st_dev == keep->st_dev && led.st_ino == keep->st_ino)
        return 1;
    if (!S_ISSOCK(sb.st_mode) && !S_ISLNK(sb.st_mode))
        return err_set(err, VIR_ERR_OPERATION_FAILED, "%s is in the way and is no socket", path);
    if (address_of(path, &sun, err) < 0)
        return -1;
    AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return err_set_errno(err, errno, "cannot make a socket");
    if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == 0 || errno == EAGAIN) {
        err_set(err, VIR_ERR_OPERATION_FAILED, "another daemon is listening on %s", path);
        return err_hint(err, "stop and mask libvirtd and the virt*d services and their sockets first");
    }
    if (errno != ECONNREFUSED && errno != ENOENT)
        return err_set_errno(err, errno, "cannot tell whether a daemon is listening on %s", path);
    if (unlink(path) < 0 && errno != ENOENT)
        return err_set_errno(err, errno, "cannot remove the stale %s", path);
    return 0;
}

static int make_socket(Listen *l, RpcServer *server, const ListenSpec *spec, ListenRole role, gid_t gid, Err *err)
{
    static const char *const names[] = {[LISTEN_RW] = SOCK_RW, [LISTEN_RO] = SOCK_RO, [LISTEN_ADMIN] = SOCK_ADMIN};
    const mode_t modes[] = {[LISTEN_RW] = spec->rw_mode, [LISTEN_RO] = spec->ro_mode, [LISTEN_ADMIN] = spec->admin_mode};
    g_autofree char *path = g_build_filename(spec->dir, names[role], NULL);
    struct sockaddr_un sun;
    if (address_of(path, &sun, err) < 0 || clear_path(path, NULL, err) < 0)
        return -1;
    AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return err_set_errno(err, errno, "cannot make a socket");
    if (bind(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0)
        return err_set_errno(err, errno, "cannot bind %s", path);
    note_made(l, path);
    if (gid != (gid_t)-1 && chown(path, (uid_t)-1, gid) < 0)
        return err_set_errno(err, errno, "cannot give %s to group %s", path, spec->group);
    if (chmod(path, modes[role]) < 0)
        return err_set_errno(err, errno, "cannot set the permissions of %s", path);
    if (listen(fd, role == LISTEN_ADMIN ? spec->admin_backlog : spec->backlog) < 0)
        return err_set_errno(err, errno, "cannot listen on %s", path);
    return serve(l, server, spec, role, take_fd(&fd), path, err);
}

static int make_link(Listen *l, const ListenSpec *spec, const char *name, const char *target, Err *err)
{
    g_autofree char *path = g_build_filename(spec->dir, name, NULL), *leads_to = g_build_filename(spec->dir, target, NULL);
    struct stat served;
    if (stat(leads_to, &served) < 0)
        return 0; /* not served: no socket of that kind was handed over, or it is elsewhere */
    int r = clear_path(path, &served, err);
    if (r < 0)
        return -1;
    if (r == 0 && symlink(target, path) < 0)
        return err_set_errno(err, errno, "cannot link %s to %s", path, target);
    if (r == 0 || !l->activated)
        note_made(l, path); /* a link left by an earlier life of ours goes with us; one of the service manager's stays */
    return 0;
}

static int make_links(Listen *l, const ListenSpec *spec, Err *err)
{
    for (size_t i = 0; spec->modular && listen_modular_daemons[i]; i++) {
        const char *daemon = listen_modular_daemons[i];
        g_autofree char *rw = g_strconcat(daemon, "-sock", NULL);
        g_autofree char *ro = g_strconcat(daemon, "-sock-ro", NULL);
        g_autofree char *admin = g_strconcat(daemon, "-admin-sock", NULL);
        if (make_link(l, spec, rw, SOCK_RW, err) < 0 || (spec->privileged && make_link(l, spec, ro, SOCK_RO, err) < 0) ||
            make_link(l, spec, admin, SOCK_ADMIN, err) < 0)
            return -1;
    }
    return 0;
}

static int find_group(const char *name, gid_t *ret, Err *err)
{
    bool found = false;
    if (!name)
        return 0;
    int r = account_find_group(name, ret, &found);
    if (!found && r != 0)
        return err_set_errno(err, r, "cannot look up group %s of unix_sock_group", name);
    if (!found)
        return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "unix_sock_group: there is no group %s", name);
    return 0;
}

typedef struct MakeNet {
    Listen *l;
    RpcServer *server;
    const ListenSpec *spec;
    ListenRole role;
} MakeNet;

static int got_net(void *ud, int fd, const char *name, Err *err)
{
    const MakeNet *m = ud;
    return serve(m->l, m->server, m->spec, m->role, fd, name, err);
}

static int make_net(Listen *l, RpcServer *server, const ListenSpec *spec, Err *err)
{
    MakeNet tcp = {l, server, spec, LISTEN_TCP}, tls = {l, server, spec, LISTEN_TLS};
    if (spec->tcp_port && listen_net_open("tcp_port", spec->addr, spec->tcp_port, spec->backlog, got_net, &tcp, err) < 0)
        return -1;
    if (spec->tls_port && listen_net_open("tls_port", spec->addr, spec->tls_port, spec->backlog, got_net, &tls, err) < 0)
        return -1;
    return 0;
}

static int make_all(Listen *l, RpcServer *main_server, RpcServer *admin, const ListenSpec *spec, Err *err)
{
    gid_t gid = (gid_t)-1;
    if (find_group(spec->group, &gid, err) < 0 || make_socket(l, main_server, spec, LISTEN_RW, gid, err) < 0)
        return -1;
    if (spec->privileged && make_socket(l, main_server, spec, LISTEN_RO, gid, err) < 0)
        return -1;
    if (admin && make_socket(l, admin, spec, LISTEN_ADMIN, gid, err) < 0)
        return -1;
    return make_net(l, main_server, spec, err);
}

Listen *listen_open(RpcServer *main_server, RpcServer *admin, const ListenSpec *spec, Err *err)
{
    Listen *l = g_new0(Listen, 1);
    l->made = g_array_new(FALSE, FALSE, sizeof(MadeFile));
    int r = adopt_all(l, main_server, admin, spec, err);
    l->activated = r > 0;
    if (l->activated && (spec->tcp_port || spec->tls_port))
        log_warning("listen_tcp, listen_tls, listen_addr, tcp_port and tls_port are ignored: the service manager holds the sockets; enable "
                    "berthd-tcp.socket or berthd-tls.socket instead");
    if (r >= 0) {
        int made = dir_make(spec->dir, spec->privileged ? 0755 : 0700);
        r = made < 0 ? err_set_errno(err, -made, "cannot make directory %s", spec->dir) : r;
    }
    if (r == 0)
        r = make_all(l, main_server, admin, spec, err);
    if (r >= 0)
        r = make_links(l, spec, err);
    if (r < 0) {
        listen_close(l);
        return NULL;
    }
    return l;
}

void listen_close(Listen *l)
{
    if (!l)
        return;
    for (guint i = l->made->len; i-- > 0;) {
        MadeFile *f = &g_array_index(l->made, MadeFile, i);
        struct stat sb;
        if (lstat(f->path, &sb) == 0 && sb.st_dev == f->dev && sb.st_ino == f->ino && unlink(f->path) < 0)
            log_warning("cannot remove %s: %s", f->path, g_strerror(errno));
        g_free(f->path);
    }
    g_array_unref(l->made);
    g_free(l);
}

bool listen_activated(const Listen *l)
{
    return l->activated;
}

unsigned listen_count(const Listen *l)
{
    return l->count;
}
