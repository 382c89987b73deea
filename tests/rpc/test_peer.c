/* tests/rpc/test_peer.c - what the kernel tells of a local peer, and how it is put into words
 */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <inttypes.h>
#include <grp.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rpc/peer.h"
#include "util/fd.h"

static int listener;
static struct sockaddr_un at = {.sun_family = AF_UNIX};
static socklen_t at_len;

static int setup(void **state)
{
    listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    at_len = sizeof(sa_family_t);
    assert_int_equal(bind(listener, (struct sockaddr *)&at, at_len), 0); /* a name of the kernel's choice */
    at_len = sizeof(at);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &at_len), 0);
    assert_int_equal(listen(listener, 8), 0);
    return 0;
}

static int teardown(void **state)
{
    return fd_close(&listener), 0;
}

/* A process that connects as `uid` in two more groups and stays until its standard input ends (stay), or ends at once. */
static pid_t visitor(bool stay, bool other_user, int *ret_hold)
{
    int p[2];
    assert_int_equal(pipe(p), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        char c;
        close(p[1]);
        const gid_t groups[] = {4711, 4712};
        if (other_user && (setgroups(2, groups) < 0 || setgid(4710) < 0 || setuid(4709) < 0))
            _exit(1);
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);
        if (fd < 0 || connect(fd, (struct sockaddr *)&at, at_len) < 0)
            _exit(2);
        while (stay && read(p[0], &c, 1) < 0 && errno == EINTR)
            ;
        _exit(0);
    }
    close(p[0]);
    *ret_hold = p[1];
    return pid;
}

static void expect_end(pid_t pid)
{
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static uint64_t start_time_of(pid_t pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/stat", (int)pid), *text = NULL;
    assert_true(g_file_get_contents(path, &text, NULL, NULL));
    g_auto(GStrv) words = g_strsplit(strrchr(text, ')') + 2, " ", 0);
    return g_ascii_strtoull(words[19], NULL, 10);
}

static void someone_else(void **state)
{
    if (geteuid() != 0)
        skip();
    AUTO_CLOSE int hold = -1;
    pid_t pid = visitor(true, true, &hold);
    AUTO_CLOSE int fd = accept(listener, NULL, NULL);
    RpcPeer p = {0};
    rpc_peer_read_unix(&p, fd);
    rpc_peer_find_start(&p, fd);
    assert_true(p.has_creds);
    assert_int_equal(p.uid, 4709);
    assert_int_equal(p.gid, 4710);
    assert_int_equal(p.pid, pid);
    assert_int_equal(rpc_peer_start(&p), start_time_of(pid));
    assert_int_equal(p.n_groups, 2);
    assert_int_equal(p.groups[0], 4711);
    assert_int_equal(p.groups[1], 4712);
    assert_true(rpc_peer_in_group(&p, 4710));
    assert_true(rpc_peer_in_group(&p, 4712));
    assert_false(rpc_peer_in_group(&p, 4709));
    assert_false(rpc_peer_in_group(&p, 0));
    assert_null(p.address);
    g_autofree char *two = rpc_peer_groups_text(&p, 2), *one = rpc_peer_groups_text(&p, 1), *who = rpc_peer_text_with_start(&p);
    assert_string_equal(two, "4711,4712");
    assert_string_equal(one, "4711,... (2)");
    g_autofree char *expected = g_strdup_printf("uid 4709 pid %d started %" PRIu64, (int)pid, start_time_of(pid));
    assert_string_equal(who, expected);
    fd_close(&hold);
    expect_end(pid);
    rpc_peer_find_start(&p, fd); /* what was known stays */
    g_autofree char *still = rpc_peer_text_with_start(&p);
    assert_string_equal(still, expected);
    rpc_peer_done(&p);
    assert_null(p.groups);
}

/* Its number is free for others: no start time is better than that of somebody else. */
static void gone_before_it_was_looked_at(void **state)
{
    AUTO_CLOSE int hold = -1;
    pid_t pid = visitor(false, false, &hold);
    expect_end(pid);
    AUTO_CLOSE int fd = accept(listener, NULL, NULL);
    RpcPeer p = {0};
    rpc_peer_read_unix(&p, fd);
    rpc_peer_find_start(&p, fd);
    assert_true(p.has_creds);
    assert_int_equal(p.pid, pid);
    assert_int_equal(p.pid_start, 0);
    rpc_peer_done(&p);
}

/* The socket outlives the process that connected, which was there when we accepted; whoever has the number by now is not asked about. */
static void gone_before_it_was_asked_for(void **state)
{
    AUTO_CLOSE int hold = -1;
    pid_t pid = visitor(true, false, &hold);
    AUTO_CLOSE int fd = accept(listener, NULL, NULL);
    RpcPeer p = {0};
    rpc_peer_read_unix(&p, fd);
    bool at_once = rpc_peer_start(&p) != 0; /* a kernel that could not tell later */
    fd_close(&hold);
    expect_end(pid);
    p.pid = getpid(); /* the number's next owner */
    rpc_peer_find_start(&p, fd);
    if (!at_once)
        assert_int_equal(rpc_peer_start(&p), 0);
    rpc_peer_done(&p);
}

static void in_words(void **state)
{
    RpcPeer p = {.has_creds = true, .uid = 7, .pid = 123};
    g_autofree char *local = rpc_peer_text(&p);
    assert_string_equal(local, "uid 7 pid 123");
    rpc_peer_set_sasl_user(&p, "fred@example.com");
    g_autofree char *sasl = rpc_peer_text(&p);
    assert_string_equal(sasl, "uid 7 pid 123, SASL fred@example.com");
    rpc_peer_done(&p);
    g_autofree char *nobody = rpc_peer_text(&p);
    assert_string_equal(nobody, "unknown");
    p.address = g_strdup("192.0.2.7;40312");
    rpc_peer_set_x509_dname(&p, "CN=joe");
    g_autofree char *remote = rpc_peer_text(&p);
    assert_string_equal(remote, "192.0.2.7;40312, TLS CN=joe");
    assert_false(rpc_peer_in_group(&p, 0)); /* numbers nobody told are no group */
    rpc_peer_done(&p);
}

static void realms(void **state)
{
    static const struct {
        const char *user, *realm;
    } cases[] = {{"fred", NULL}, {"fred@example.com", "example.com"}, {"host/a@b@EXAMPLE.COM", "EXAMPLE.COM"}, {"fred@", NULL}, {NULL, NULL}};
    RpcPeer p = {0};
    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        rpc_peer_set_sasl_user(&p, cases[i].user);
        assert_true(g_strcmp0(p.sasl_user, cases[i].user) == 0);
        assert_true(g_strcmp0(p.sasl_realm, cases[i].realm) == 0);
    }
    rpc_peer_done(&p);
}

static void over_tcp(void **state)
{
    AUTO_CLOSE int srv = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), cli = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(sin);
    assert_int_equal(bind(srv, (struct sockaddr *)&sin, sizeof(sin)), 0);
    assert_int_equal(listen(srv, 1), 0);
    assert_int_equal(getsockname(srv, (struct sockaddr *)&sin, &len), 0);
    assert_int_equal(connect(cli, (struct sockaddr *)&sin, sizeof(sin)), 0);
    AUTO_CLOSE int fd = accept(srv, NULL, NULL);
    RpcPeer p = {0};
    rpc_peer_read_tcp(&p, fd);
    assert_false(p.has_creds);
    assert_true(g_str_has_prefix(p.address, "127.0.0.1;"));
    rpc_peer_done(&p);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(someone_else), TEST(gone_before_it_was_looked_at), TEST(gone_before_it_was_asked_for), TEST(in_words), TEST(realms), TEST(over_tcp),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
