/* tests/rpc/test_places.c - local users share the places of those that have not shown who they are
 *
 * The users are stand-ins: the kernel notes who made a socket pair, and a thread of root's may be anybody for that moment.
 */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/rpc/toy.h"
#include "util/fd.h"

#define PLACES 4
#define MANY   64

enum { ROOT = 0, GREEDY = 60001, HONEST = 60002, THIRD = 60003 };

static int setup(void **state)
{
    Toy *t = g_new0(Toy, 1);
    RpcLimits limits = RPC_LIMITS_DEFAULT;
    limits.max_anonymous_clients = PLACES;
    toy_start(t, &limits);
    t->spec.auth = RPC_AUTH_POLKIT;
    *state = t;
    return 0;
}

static int teardown(void **state)
{
    toy_stop(*state);
    g_free(*state);
    return 0;
}

/* Of this thread alone: the library's own call would change all. */
static void become(uid_t uid)
{
    assert_int_equal(syscall(SYS_setresuid, -1, uid, 0), 0);
}

static unsigned n_opened(Toy *t)
{
    LOCK_SCOPE(&t->lock);
    return t->opened;
}

static int connect_as(Toy *t, uid_t uid)
{
    int sv[2];
    unsigned opened = n_opened(t);
    if (uid != ROOT)
        become(uid);
    int r = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv);
    if (uid != ROOT)
        become(ROOT);
    assert_int_equal(r, 0);
    struct timeval tv = {.tv_sec = 20};
    assert_int_equal(setsockopt(sv[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)), 0);
    toy_adopt(t, sv[1]);
    toy_wait(t, &t->opened, opened + 1);
    return sv[0];
}

/* One of its calls is under way, as when its user types a password. */
static int asking_as(Toy *t, uid_t uid)
{
    int fd = connect_as(t, uid);
    unsigned held = toy_n_held(t);
    client_call(fd, TOY_HOLD, 1);
    toy_wait_held(t, held + 1);
    return fd;
}

static void is_served(int fd)
{
    client_call(fd, TOY_NULL, 7);
    client_expect(fd, RPC_TYPE_REPLY, 7, RPC_STATUS_OK, NULL);
}

static unsigned n_calls(Toy *t)
{
    LOCK_SCOPE(&t->lock);
    return t->calls;
}

/* What it sent is not read: one who came later has been. */
static void sends_and_waits(Toy *t, int fd)
{
    unsigned calls = n_calls(t);
    client_call(fd, TOY_NULL, 9);
    AUTO_CLOSE int root = connect_as(t, ROOT);
    is_served(root);
    assert_int_equal(n_calls(t), calls + 1);
}

static void gets_its_turn(int fd)
{
    client_expect(fd, RPC_TYPE_REPLY, 9, RPC_STATUS_OK, NULL);
}

static void authenticate(int fd)
{
    client_call(fd, TOY_AUTH, 8);
    client_expect(fd, RPC_TYPE_REPLY, 8, RPC_STATUS_OK, NULL);
}

static void close_all(int *fds, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        fd_close(&fds[i]);
}

static void the_silent_of_the_greedy_go(void **state)
{
    Toy *t = *state;
    int g[PLACES], h[3];
    for (unsigned i = 0; i < PLACES; i++)
        g[i] = i == 0 ? asking_as(t, GREEDY) : connect_as(t, GREEDY);
    h[0] = connect_as(t, HONEST);
    client_expect_eof(g[1]); /* the first has a question under way */
    toy_wait(t, &t->closed, 1);
    assert_true(toy_last_reason_has(t, "made room for another user"));
    is_served(h[0]);
    h[1] = connect_as(t, HONEST);
    client_expect_eof(g[2]);
    is_served(h[1]);
    h[2] = connect_as(t, HONEST); /* they have as many each */
    sends_and_waits(t, h[2]);
    is_served(g[3]);
    authenticate(h[1]);
    gets_its_turn(h[2]);
    close_all(g, PLACES);
    close_all(h, 3);
}

/* Questions that take for ever keep nobody out. */
static void who_asks_goes_when_all_do(void **state)
{
    Toy *t = *state;
    int g[PLACES];
    for (unsigned i = 0; i < PLACES; i++)
        g[i] = asking_as(t, GREEDY);
    AUTO_CLOSE int h = connect_as(t, HONEST);
    client_expect_eof(g[0]);
    is_served(h);
    close_all(g, PLACES);
}

static void who_has_less_stays(void **state)
{
    Toy *t = *state;
    AUTO_CLOSE int silent = connect_as(t, HONEST);
    int g[MANY];
    for (unsigned i = 0; i < MANY; i++)
        g[i] = connect_as(t, GREEDY);
    is_served(silent);
    for (unsigned i = 0; i < PLACES - 1; i++)
        is_served(g[i]); /* its own are not in each other's way, but wait */
    AUTO_CLOSE int third = connect_as(t, THIRD);
    is_served(third);
    is_served(silent);
    close_all(g, MANY);
}

/* As many as there may be wait, and have come before: root has no part in this, and of the others who has least is next. */
static void the_last_may_be_first(void **state)
{
    Toy *t = *state;
    int g[PLACES + 200];
    for (unsigned i = 0; i < N_ELEMENTS(g); i++)
        g[i] = connect_as(t, GREEDY);
    AUTO_CLOSE int surplus = connect_as(t, GREEDY);
    client_expect_eof(surplus);
    toy_wait(t, &t->closed, 1);
    assert_true(toy_last_reason_has(t, "too many clients of its user wait"));
    for (unsigned i = 0; i < 2 * PLACES; i++) {
        AUTO_CLOSE int root = connect_as(t, ROOT);
        is_served(root);
    }
    int h[PLACES / 2 + 1];
    for (unsigned i = 0; i < N_ELEMENTS(h); i++)
        h[i] = connect_as(t, HONEST);
    sends_and_waits(t, h[PLACES / 2]);
    client_expect_eof(g[N_ELEMENTS(g) - 1]); /* made room for him among those that wait */
    AUTO_CLOSE int third = connect_as(t, THIRD);
    is_served(third);
    AUTO_CLOSE int another = connect_as(t, THIRD);
    sends_and_waits(t, another);
    authenticate(h[0]);
    gets_its_turn(h[PLACES / 2]);
    authenticate(h[1]);
    gets_its_turn(another);
    client_call(g[PLACES], TOY_NULL, 9);
    close_all(h, N_ELEMENTS(h));
    gets_its_turn(g[PLACES]); /* the oldest of those that wait */
    close_all(g, N_ELEMENTS(g));
}

/* A wave of one user's: nobody is turned away, all are served in their turn. */
static void one_users_wave(void **state)
{
    int fds[MANY];
    for (unsigned i = 0; i < MANY; i++) {
        fds[i] = connect_as(*state, HONEST);
        client_call(fds[i], TOY_AUTH, 8);
    }
    for (unsigned i = 0; i < MANY; i++)
        client_expect(fds[i], RPC_TYPE_REPLY, 8, RPC_STATUS_OK, NULL);
    close_all(fds, MANY);
}

static void no_limit_any_more(Toy *t)
{
    RpcLimits limits = *rpc_server_limits(t->server);
    limits.max_anonymous_clients = 0;
    rpc_server_set_limits(t->server, &limits);
}

static void new_limits_let_in(void **state)
{
    int fds[MANY];
    for (unsigned i = 0; i < MANY; i++)
        fds[i] = connect_as(*state, HONEST);
    sends_and_waits(*state, fds[MANY - 1]);
    toy_on_loop(*state, no_limit_any_more);
    gets_its_turn(fds[MANY - 1]);
    close_all(fds, MANY);
}

/* Who waits and goes is gone; who waits is closed with the server. */
static void waiting_ends(void **state)
{
    Toy *t = *state;
    int fds[PLACES + 2];
    for (unsigned i = 0; i < N_ELEMENTS(fds); i++)
        fds[i] = connect_as(t, HONEST);
    fd_close(&fds[PLACES]);
    toy_wait(t, &t->closed, 1);
    close_all(fds, N_ELEMENTS(fds) - 1);
    is_served(fds[PLACES + 1]);
    close_all(fds, N_ELEMENTS(fds));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_silent_of_the_greedy_go), TEST(who_asks_goes_when_all_do), TEST(who_has_less_stays), TEST(the_last_may_be_first),
        TEST(one_users_wave), TEST(new_limits_let_in), TEST(waiting_ends),
    };
    if (geteuid() != 0) /* nobody else may be somebody else */
        return 77;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
