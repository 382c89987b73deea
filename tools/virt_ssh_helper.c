/* tools/virt_ssh_helper.c - virt-ssh-helper: what a client of qemu+ssh:// runs here to reach the daemon
 *
 * Owns:    which socket a URI means
 * Threads: one
 * Errors:  stderr, which the client's ssh shows; status 1
 *
 * Clients run it as `virt-ssh-helper [-r] URI` with the URI they would open here.
 */
#include "config.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base.h"
#include "tools/relay.h"

static const char help[] = "usage: virt-ssh-helper [option...] URI\n"
                           "Connects standard input and output to the socket of the daemon that serves URI.\n\n"
                           "  -r, --readonly  the read-only socket\n"
                           "  -V, --version   version\n"
                           "  -h, --help      this text\n\n"
                           "qemu:///system is " RUNSTATEDIR "/libvirt/libvirt-sock; ?socket=PATH names another.\n";

static int complain(const char *fmt, ...) PRINTF_LIKE(1, 2);

static int complain(const char *fmt, ...)
{
    va_list ap;
    fputs("virt-ssh-helper: ", stderr);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    return -1;
}

/* A parameter of the URI's query; NULL: not there.  Caller frees. */
static char *parameter(GUri *uri, const char *name)
{
    const char *query = g_uri_get_query(uri);
    g_autoptr(GHashTable) all = query ? g_uri_parse_params(query, -1, "&;", G_URI_PARAMS_NONE, NULL) : NULL;
    return all ? g_strdup(g_hash_table_lookup(all, name)) : NULL;
}

typedef struct Place {
    char *path;    /* socket */
    char *instead; /* another name to try when nothing is there; NULL: none */
    bool session;
} Place;

static int find_place(const char *text, bool readonly, Place *ret)
{
    g_autoptr(GUri) uri = g_uri_parse(text, G_URI_FLAGS_NONE, NULL);
    if (!uri)
        return complain("'%s' is no URI", text);
    g_auto(GStrv) scheme = g_strsplit(g_uri_get_scheme(uri), "+", 2);
    const char *path = g_uri_get_path(uri);
    g_autofree char *mode = parameter(uri, "mode");
    if (mode && strcmp(mode, "auto") != 0 && strcmp(mode, "direct") != 0 && strcmp(mode, "legacy") != 0)
        return complain("mode '%s' is none of auto, direct, legacy", mode);
    bool none = !*path || strcmp(path, "/") == 0;
    bool session = strcmp(path, "/session") == 0;
    if (!none && !session && strcmp(path, "/system") != 0)
        return complain("'%s' names neither /system nor /session", text);
    ret->session = (session || none) && geteuid() != 0; /* root's session is the system's daemon */
    ret->path = parameter(uri, "socket");
    if (ret->path)
        return 0;
    const char *dir = ret->session ? g_get_user_runtime_dir() : RUNSTATEDIR;
    const char *suffix = readonly && !ret->session ? "-ro" : ""; /* a user's own daemon has one socket */
    char *whole = g_strdup_printf("%s/libvirt/libvirt-sock%s", dir, suffix);
    char *modular = g_strdup_printf("%s/libvirt/virt%sd-sock%s", dir, scheme[0], suffix);
    bool direct = mode && strcmp(mode, "direct") == 0;
    ret->path = direct ? modular : whole;
    ret->instead = direct ? whole : modular;
    if (mode && strcmp(mode, "auto") != 0)
        g_clear_pointer(&ret->instead, g_free);
    return 0;
}

/* A descriptor or a negative errno. */
static int connect_to(const char *path)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(sun.sun_path))
        return -ENAMETOOLONG;
    memcpy(sun.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == 0)
        return fd;
    int r = -errno;
    close(fd);
    return r;
}

static int connect_place(const Place *p)
{
    int fd = connect_to(p->path);
    return fd == -ENOENT && p->instead ? connect_to(p->instead) : fd;
}

/* Starts the user's own daemon, which answers on its socket when its parent has ended.  It gets nothing of the client's descriptors. */
static int start_daemon(void)
{
    char name[] = "berthd", background[] = "--daemon", limit[] = "--timeout=120";
    char *const argv[] = {name, background, limit, NULL};
    pid_t pid = fork();
    if (pid < 0)
        return -errno;
    if (pid == 0) {
        if (!freopen("/dev/null", "r", stdin) || !freopen("/dev/null", "w", stdout))
            _exit(127);
        execv(SBINDIR "/berthd", argv);
        execvp(name, argv); /* moved elsewhere: the user's own choice, with his own rights */
        _exit(127);
    }
    int status = 0;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return -errno;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -ECHILD;
}

static bool nobody_there(int r)
{
    return r == -ENOENT || r == -ECONNREFUSED;
}

static int serve(const char *uri, bool readonly)
{
    Place p = {0};
    if (find_place(uri, readonly, &p) < 0)
        return 1;
    int fd = connect_place(&p);
    if (nobody_there(fd) && p.session && start_daemon() == 0)
        fd = connect_place(&p);
    int status = 1;
    if (fd < 0) {
        complain("cannot connect to %s: %s%s", p.path, g_strerror(-fd),
                 nobody_there(fd) ? "; is berthd running? (systemctl status berthd.socket)" : "");
    } else {
        int r = relay_run(STDIN_FILENO, STDOUT_FILENO, fd);
        if (r < 0)
            complain("passing bytes on: %s", g_strerror(-r));
        status = r < 0;
        close(fd);
    }
    g_free(p.path);
    g_free(p.instead);
    return status;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"readonly", no_argument, NULL, 'r'},
                                            {"version", no_argument, NULL, 'V'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    bool readonly = false;
    for (int c; (c = getopt_long(argc, argv, "rVh", options, NULL)) != -1;) {
        switch (c) {
        case 'r':
            readonly = true;
            break;
        case 'V':
            puts(PACKAGE_STRING);
            return 0;
        case 'h':
            fputs(help, stdout);
            return 0;
        default:
            fputs("virt-ssh-helper: --help shows the options\n", stderr);
            return 2;
        }
    }
    if (optind + 1 != argc) {
        complain("exactly one URI is expected; --help shows more");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    return serve(argv[optind], readonly);
}
