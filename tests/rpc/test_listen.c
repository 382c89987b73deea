/* tests/rpc/test_listen.c - socket files: made, refused, replaced, removed; clients beyond the limits; running out of descriptors
 */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <grp.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "daemon/listen.h"
#include "daemon/listen_role.h"
#include "tests/rpc/toy.h"
#include "util/fd.h"

typedef struct Place {
    Toy toy;
    char *dir;
    ListenSpec spec;
    Listen *l;
    Err err;
    RpcLimits limits;
} Place;

static Place *place; /* for functions run on the loop */

static int setup(void **state)
{
    place = g_new0(Place, 1);
    place->dir = g_dir_make_tmp("berth-listen-XXXXXX", NULL);
    place->spec = (ListenSpec){.dir = place->dir, .privileged = true, .rw_mode = 0700, .ro_mode = 0777, .modular = true, .backlog = 64};
    toy_start(&place->toy, NULL);
    return 0;
}

static void do_open(Toy *t)
{
    place->l = listen_open(t->server, NULL, &place->spec, &place->err);
}

static void do_close(Toy *t)
{
    listen_close(g_steal_pointer(&place->l));
}

static char *in_dir(const char *name)
{
    return g_build_filename(place->dir, name, NULL);
}

static unsigned files_in_dir(void)
{
    unsigned n = 0;
    GDir *d = g_dir_open(place->dir, 0, NULL);
    while (g_dir_read_name(d))
        n++;
    g_dir_close(d);
    return n;
}

static int teardown(void **state)
{
    toy_on_loop(&place->toy, do_close);
    toy_stop(&place->toy);
    GDir *d = g_dir_open(place->dir, 0, NULL);
    for (const char *name = NULL; (name = g_dir_read_name(d));) {
        g_autofree char *path = in_dir(name);
        g_unlink(path);
    }
    g_dir_close(d);
    g_rmdir(place->dir);
    g_free(place->dir);
    err_clear(&place->err);
    g_free(place);
    return 0;
}

static struct sockaddr_un address(const char *name)
{
    g_autofree char *path = in_dir(name);
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    g_strlcpy(sun.sun_path, path, sizeof(sun.sun_path));
    return sun;
}

static int client(const char *name)
{
    struct sockaddr_un sun = address(name);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct timeval tv = {.tv_sec = 20};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
    if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0)
        fail_msg("connect %s: %s", name, strerror(errno));
    return fd;
}

static void all_names_lead_here(void **state)
{
    static const char *const names[] = {"libvirt-sock", "virtqemud-sock", "virtstoraged-sock", "virtnetworkd-sock", "virtnodedevd-sock",
                                        "virtsecretd-sock", "virtinterfaced-sock", "virtnwfilterd-sock", "virtproxyd-sock"};
    toy_on_loop(&place->toy, do_open);
    assert_non_null(place->l);
    assert_int_equal(listen_count(place->l), 2);
    assert_false(listen_activated(place->l));
    for (size_t i = 0; i < N_ELEMENTS(names); i++) {
        AUTO_CLOSE int fd = client(names[i]);
        client_expect_silence(fd);
        assert_false(rpc_conn_read_only(place->toy.conn));
        const RpcPeer *peer = rpc_conn_peer(place->toy.conn);
        assert_true(peer->has_creds && peer->uid == getuid() && peer->pid == getpid());
        g_autofree char *ro = g_strconcat(names[i], "-ro", NULL);
        AUTO_CLOSE int ro_fd = client(ro);
        client_expect_silence(ro_fd);
        assert_true(rpc_conn_read_only(place->toy.conn));
    }
    struct stat sb;
    g_autofree char *path = in_dir("libvirt-sock"), *ro_path = in_dir("libvirt-sock-ro");
    assert_int_equal(stat(path, &sb), 0);
    assert_int_equal(sb.st_mode & 07777, 0700);
    assert_int_equal(stat(ro_path, &sb), 0);
    assert_int_equal(sb.st_mode & 07777, 0777);
    toy_on_loop(&place->toy, do_close);
    assert_int_equal(files_in_dir(), 0);
}

static void session_has_no_read_only_socket(void **state)
{
    place->spec.privileged = false;
    toy_on_loop(&place->toy, do_open);
    assert_int_equal(listen_count(place->l), 1);
    assert_int_equal(files_in_dir(), 1 + 8);
}

static int other_daemon(const char *name)
{
    struct sockaddr_un sun = address(name);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
    assert_int_equal(listen(fd, 1), 0);
    return fd;
}

static void living_daemon_is_respected(void **state)
{
    static const char *const names[] = {"libvirt-sock", "libvirt-sock-ro", "virtqemud-sock"};
    for (size_t i = 0; i < N_ELEMENTS(names); i++) {
        G_GNUC_UNUSED AUTO_CLOSE int other = other_daemon(names[i]);
        toy_on_loop(&place->toy, do_open);
        assert_null(place->l);
        assert_non_null(strstr(place->err.detail, names[i]));
        err_clear(&place->err);
        assert_int_equal(files_in_dir(), 1);
        G_GNUC_UNUSED AUTO_CLOSE int still = client(names[i]);
        g_autofree char *path = in_dir(names[i]);
        g_unlink(path);
        toy_stop(&place->toy);
        toy_start(&place->toy, NULL);
    }
}

static void stale_files_are_replaced(void **state)
{
    for (int i = 0; i < 2; i++) {
        int other = other_daemon(i ? "virtqemud-sock" : "libvirt-sock");
        fd_close(&other);
    }
    g_autofree char *link = in_dir("virtsecretd-sock"), *dangling = in_dir("virtproxyd-sock");
    assert_int_equal(symlink("libvirt-sock", link), 0);
    assert_int_equal(symlink("nowhere", dangling), 0);
    toy_on_loop(&place->toy, do_open);
    assert_non_null(place->l);
    AUTO_CLOSE int fd = client("virtqemud-sock"), fd2 = client("virtproxyd-sock");
    client_expect_silence(fd);
    client_expect_silence(fd2);
    toy_on_loop(&place->toy, do_close);
    assert_int_equal(files_in_dir(), 0);
}

static void files_that_are_no_sockets_stay(void **state)
{
    g_autofree char *path = in_dir("libvirt-sock");
    assert_true(g_file_set_contents(path, "precious", -1, NULL));
    toy_on_loop(&place->toy, do_open);
    assert_null(place->l);
    assert_non_null(strstr(place->err.detail, "no socket"));
    assert_int_equal(g_access(path, F_OK), 0);
}

static void successors_socket_stays(void **state)
{
    toy_on_loop(&place->toy, do_open);
    g_autofree char *path = in_dir("libvirt-sock");
    assert_int_equal(unlink(path), 0);
    G_GNUC_UNUSED AUTO_CLOSE int other = other_daemon("libvirt-sock");
    toy_on_loop(&place->toy, do_close);
    assert_int_equal(files_in_dir(), 1);
}

/* In place of the C library's: a group with thousands of members. */
int getgrnam_r(const char *name, struct group *gr, char *buf, size_t len, struct group **found)
{
    *found = NULL;
    if (strcmp(name, "crowd") != 0)
        return 0;
    if (len < 100000)
        return ERANGE;
    *gr = (struct group){.gr_gid = getgid()};
    *found = gr;
    return 0;
}

static void group_with_many_members(void **state)
{
    place->spec.group = "crowd";
    toy_on_loop(&place->toy, do_open);
    if (!place->l)
        fail_msg("%s", place->err.detail);
}

static void unknown_group(void **state)
{
    place->spec.group = "no-such-group-here";
    toy_on_loop(&place->toy, do_open);
    assert_null(place->l);
    assert_non_null(strstr(place->err.detail, "no-such-group-here"));
    assert_int_equal(files_in_dir(), 0);
}

/* ---- what a socket of the service manager is for ---- */

/* The role, or -1; `path` NULL: a TCP socket at a port of the kernel's choice, "" one without a path. */
static int role_of(const char *path, const char *name)
{
    union {
        struct sockaddr any;
        struct sockaddr_un un;
        struct sockaddr_in in;
    } a = {.any = {.sa_family = path ? AF_UNIX : AF_INET}};
    socklen_t len = path ? sizeof(sa_family_t) : sizeof(a.in);
    g_autofree char *full = path && *path ? g_build_filename(place->dir, path, NULL) : NULL;
    if (full) {
        g_strlcpy(a.un.sun_path, full, sizeof(a.un.sun_path));
        len = sizeof(a.un);
    }
    AUTO_CLOSE int fd = socket(a.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_return_code(bind(fd, &a.any, len), errno);
    assert_return_code(listen(fd, 1), errno);
    g_auto(Err) err = ERR_INIT;
    g_autofree char *where = NULL;
    ListenRole role = LISTEN_ROLE_MAX;
    int r = listen_role_find(fd, name, &role, &where, &err);
    assert_int_equal(r < 0, err_is_set(&err));
    if (full)
        unlink(full);
    return r < 0 ? -1 : (int)role;
}

static void roles_of_sockets(void **state)
{
    /* by name, wherever it is */
    assert_int_equal(role_of("odd", "berthd"), LISTEN_RW);
    assert_int_equal(role_of("odd", "rw"), LISTEN_RW);
    assert_int_equal(role_of("odd", "berthd-ro"), LISTEN_RO);
    assert_int_equal(role_of("odd", "ro"), LISTEN_RO);
    assert_int_equal(role_of("odd", "libvirtd-ro.socket"), LISTEN_RO);
    assert_int_equal(role_of("odd", "berthd-admin"), LISTEN_ADMIN);
    assert_int_equal(role_of("", "virtqemud-admin.socket"), LISTEN_ADMIN);
    assert_int_equal(role_of(NULL, "berthd-tcp"), LISTEN_TCP);
    assert_int_equal(role_of(NULL, "tls"), LISTEN_TLS);
    /* by path where the name says nothing */
    assert_int_equal(role_of("libvirt-sock", "unknown"), LISTEN_RW);
    assert_int_equal(role_of("virtqemud-sock-ro", "unknown"), LISTEN_RO);
    assert_int_equal(role_of("libvirt-admin-sock", "mine"), LISTEN_ADMIN);
    /* unclear, of another kind, contradicting */
    assert_int_equal(role_of("odd", "unknown"), -1);
    assert_int_equal(role_of(NULL, "unknown"), -1);
    assert_int_equal(role_of("odd", "berthd-tcp"), -1);
    assert_int_equal(role_of(NULL, "berthd"), -1);
    assert_int_equal(role_of(NULL, "berthd-admin"), -1);
    assert_int_equal(role_of("libvirt-sock-ro", "berthd"), -1);
    assert_int_equal(role_of("libvirt-admin-sock", "berthd-ro"), -1);
    assert_int_equal(role_of("odd", "berthd-rw-admin-x"), -1);
}

/* In a child, because the descriptors must be 3 and up, and the variables name the process. */
static int activated_child(const char *dir)
{
    static const char *const names[] = {"libvirt-sock", "libvirt-sock-ro", "libvirt-admin-sock"};
    char number[16];
    place->dir = g_strdup(dir);
    place->spec.dir = place->dir;
    for (int i = 0; i < 3; i++) {
        int fd = other_daemon(names[i]);
        if (fd != 3 + i && dup2(fd, 3 + i) < 0)
            return 10;
    }
    g_snprintf(number, sizeof(number), "%d", (int)getpid());
    g_setenv("LISTEN_PID", number, TRUE);
    g_setenv("LISTEN_FDS", "3", TRUE);
    g_setenv("LISTEN_FDNAMES", "berthd.socket:berthd-ro.socket:berthd-admin.socket", TRUE);
    toy_start(&place->toy, NULL);
    toy_on_loop(&place->toy, do_open);
    if (!place->l || !listen_activated(place->l) || listen_count(place->l) != 2)
        return 11;
    if (g_getenv("LISTEN_FDS"))
        return 12; /* children would take them for theirs */
    int fd = client("libvirt-sock");
    client_expect_silence(fd);
    if (rpc_conn_read_only(place->toy.conn))
        return 13;
    int ro = client("virtqemud-sock-ro");
    client_expect_silence(ro);
    if (!rpc_conn_read_only(place->toy.conn))
        return 14;
    toy_on_loop(&place->toy, do_close);
    return files_in_dir() == 3 ? 0 : 15; /* the service manager's stay */
}

static void sockets_from_the_service_manager(void **state)
{
    g_autofree char *dir = g_dir_make_tmp("berth-listen-XXXXXX", NULL);
    pid_t pid = fork();
    if (pid == 0) {
        place = g_new0(Place, 1);
        place->spec = (ListenSpec){.privileged = true, .modular = true, .backlog = 4};
        for (int fd = 3; fd < 64; fd++)
            close(fd);
        _exit(activated_child(dir));
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    GDir *d = g_dir_open(dir, 0, NULL);
    for (const char *name = NULL; (name = g_dir_read_name(d));) {
        g_autofree char *path = g_build_filename(dir, name, NULL);
        g_unlink(path);
    }
    g_dir_close(d);
    g_rmdir(dir);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void set_limits(Toy *t)
{
    rpc_server_set_limits(t->server, &place->limits);
}

static void too_many_clients_wait(void **state)
{
    place->limits = RPC_LIMITS_DEFAULT;
    place->limits.max_clients = 2;
    toy_on_loop(&place->toy, set_limits);
    toy_on_loop(&place->toy, do_open);
    AUTO_CLOSE int a = client("libvirt-sock"), b = client("libvirt-sock"), c = client("libvirt-sock");
    client_expect_silence(a);
    client_expect_silence(b);
    client_call(c, TOY_NULL, 5);
    struct pollfd pfd = {c, POLLIN, 0};
    assert_int_equal(poll(&pfd, 1, 100), 0);
    fd_close(&a);
    client_expect(c, RPC_TYPE_REPLY, 5, RPC_STATUS_OK, NULL); /* served once one has left */
}

static void out_of_descriptors(void **state)
{
    toy_on_loop(&place->toy, do_open);
    AUTO_CLOSE int first = client("libvirt-sock");
    client_expect_silence(first);
    AUTO_CLOSE int second = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct rlimit old, tight;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    tight = old;
    tight.rlim_cur = (rlim_t)second + 1; /* not one more */
    for (int fd = 0; fd < second; fd++)
        assert_true(fcntl(fd, F_GETFD) >= 0 || dup2(0, fd) == fd);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    struct sockaddr_un sun = address("libvirt-sock");
    struct timeval tv = {.tv_sec = 20};
    setsockopt(second, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
    assert_int_equal(connect(second, (struct sockaddr *)&sun, sizeof(sun)), 0);
    client_expect_eof(second);     /* told so, by means of the reserve */
    client_expect_silence(first);  /* those inside are served */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    AUTO_CLOSE int third = client("libvirt-sock");
    client_expect_silence(third);  /* after the rest */
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sockets_from_the_service_manager), /* first: it forks, and no thread runs yet */
        TEST(all_names_lead_here),
        TEST(session_has_no_read_only_socket),
        TEST(living_daemon_is_respected),
        TEST(stale_files_are_replaced),
        TEST(files_that_are_no_sockets_stay),
        TEST(successors_socket_stays),
        TEST(unknown_group), TEST(group_with_many_members),
        TEST(roles_of_sockets),
        TEST(too_many_clients_wait),
        TEST(out_of_descriptors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
