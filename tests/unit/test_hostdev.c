/* unit/test_hostdev.c - taps and cgroups; needs root, else skipped
 */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <netlink/netlink.h>
#include <netlink/route/link.h>
#include <netlink/route/link/bridge.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/cgroup.h"
#include "host/linkstat.h"
#include "host/tap.h"
#include "util/fd.h"
#include "util/spawn.h"

static bool netns;
static char *base;

static int setup(void **state)
{
    if (geteuid() == 0 && unshare(CLONE_NEWNET) == 0 && access("/dev/net/tun", R_OK) == 0) {
        struct nl_sock *s = nl_socket_alloc();
        netns = nl_connect(s, NETLINK_ROUTE) == 0 && rtnl_link_bridge_add(s, "br0") == 0;
        nl_socket_free(s);
    }
    g_auto(Err) err = ERR_INIT;
    if (geteuid() == 0) {
        base = cgroup_base(&err);
        if (base == NULL)
            print_message("no cgroups: %s\n", err.detail);
    }
    return 0;
}

static int teardown(void **state)
{
    g_free(base);
    return 0;
}

static char *link_text(const char *name, const char *file)
{
    g_autofree char *path = g_strdup_printf("/sys/class/net/%s/%s", name, file);
    char *text = NULL;
    g_file_get_contents(path, &text, NULL, NULL);
    return text;
}

static int get_master(const char *name)
{
    struct nl_sock *s = nl_socket_alloc();
    struct rtnl_link *l = NULL;
    int master = -1;
    if (nl_connect(s, NETLINK_ROUTE) == 0 && rtnl_link_get_kernel(s, 0, name, &l) == 0) {
        master = rtnl_link_get_master(l);
        if (!(rtnl_link_get_flags(l) & 1)) /* IFF_UP */
            master = -2;
        rtnl_link_put(l);
    }
    nl_socket_free(s);
    return master;
}

static void test_tap_on_bridge(void **state)
{
    if (!netns)
        skip();
    const uint8_t mac[6] = {0x52, 0x54, 0x00, 1, 2, 3};
    TapOpts o = {.queues = 2, .vnet_hdr = true, .guest_mac = mac, .mtu = 1300, .bridge = "br0"};
    int fds[2];
    char name[LINK_NAME_LEN];
    g_auto(Err) err = ERR_INIT;
    if (tap_open(&o, fds, name, &err) < 0)
        fail_msg("%s", err.detail);
    assert_string_equal(name, "vnet0");
    assert_true(get_master(name) > 0);
    assert_true(fcntl(fds[1], F_GETFD) & FD_CLOEXEC);
    g_autoptr(GArray) all = host_link_stats();
    assert_non_null(link_stats_find(all, name));

    int one[1];
    char second[LINK_NAME_LEN];
    TapOpts p = {0};
    assert_int_equal(tap_open(&p, one, second, &err), 0);
    assert_string_equal(second, "vnet1");
    close(one[0]);
    assert_false(link_exists(second)); /* gone with its descriptor */
    close(fds[0]);
    close(fds[1]);
    assert_false(link_exists(name));
}

static void test_tap_errors(void **state)
{
    if (!netns)
        skip();
    int fd[1];
    char name[LINK_NAME_LEN];
    g_auto(Err) err = ERR_INIT;
    TapOpts no_bridge = {.bridge = "br9"};
    assert_int_equal(tap_open(&no_bridge, fd, name, &err), -1);
    assert_non_null(strstr(err.detail, "br9"));
    err_clear(&err);
    TapOpts no_bridge_at_all = {.bridge = "lo"};
    assert_int_equal(tap_open(&no_bridge_at_all, fd, name, &err), -1);
    err_clear(&err);
    TapOpts missing = {.name = "tapx", .existing = true};
    assert_int_equal(tap_open(&missing, fd, name, &err), -1);
    assert_non_null(strstr(err.detail, "does not exist"));
    err_clear(&err);
    TapOpts longer = {.name = "a-name-that-is-too-long"};
    assert_int_equal(tap_open(&longer, fd, name, &err), -1);
    err_clear(&err);
    /* in use by one, wanted by a second */
    TapOpts mine = {.name = "tapm"};
    assert_int_equal(tap_open(&mine, fd, name, &err), 0);
    int again[1];
    assert_int_equal(tap_open(&mine, again, name, &err), -1);
    assert_int_equal(err.os_errno, EBUSY);
    close(fd[0]);
    assert_int_equal(link_delete("tapm"), 0);
    g_autofree char *none = link_text("tapm", "mtu");
    assert_null(none);
}

static void test_cgroup(void **state)
{
    if (base == NULL)
        skip();
    char *path = NULL;
    AUTO_CLOSE int fd = -1;
    assert_int_equal(cgroup_make(base, "unit/test", &path, &fd), 0);
    assert_non_null(strstr(path, "guest-unit_test"));
    const char *argv[] = {"/bin/sleep", "100", NULL};
    SpawnOpts o = {.argv = argv, .fd_in = -1, .fd_out = -1, .fd_err = -1, .cgroup_fd = fd};
    Child c = {0, -1};
    g_auto(Err) err = ERR_INIT;
    if (spawn(&o, &c, &err) < 0)
        fail_msg("%s", err.detail);
    g_autofree char *procs_path = g_build_filename(path, "cgroup.procs", NULL);
    g_autofree char *procs = NULL;
    assert_true(g_file_get_contents(procs_path, &procs, NULL, NULL));
    assert_int_equal(atoi(procs), c.pid);

    g_autofree char *other = NULL, *third = NULL; /* another daemon's guest of that name, and one more while that is still empty */
    AUTO_CLOSE int other_fd = -1, third_fd = -1;
    assert_int_equal(cgroup_make(base, "unit/test", &other, &other_fd), 0);
    assert_int_equal(cgroup_make(base, "unit/test", &third, &third_fd), 0);
    assert_string_not_equal(other, path);
    assert_string_not_equal(third, path);
    assert_string_not_equal(third, other);
    assert_int_equal(cgroup_remove(other), 0);
    assert_int_equal(cgroup_remove(third), 0);
    assert_int_equal(cgroup_freeze(path, true, deadline_in_ms(5000)), 0);
    assert_int_equal(cgroup_freeze(path, false, deadline_in_ms(5000)), 0);
    CgroupStats s;
    assert_int_equal(cgroup_stats(path, &s), 0);
    assert_int_equal(cgroup_remove(path), -EBUSY);
    assert_int_equal(cgroup_kill(path), 0);
    int status = 0;
    assert_int_equal(child_wait(&c, deadline_in_ms(5000), &status), 1);
    assert_int_equal(status, 128 + 9);
    fd_close(&c.pidfd);
    assert_int_equal(cgroup_remove(path), 0);
    assert_int_equal(cgroup_remove(path), 0);
    g_free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tap_on_bridge),
        cmocka_unit_test(test_tap_errors),
        cmocka_unit_test(test_cgroup),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
