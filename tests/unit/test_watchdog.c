/* tests/unit/test_watchdog.c - a ping means that everything answers: both event threads and the workers
 *
 * Owns:    a socket that stands for the service manager's
 *
 * Rounds are counted by a timer on the watched loop itself, so "no ping" is what was seen in rounds that were held.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/watchdog.h"
#include "util/lock.h"

#define ALLOWED_US "80000" /* four rounds of 20 ms */
#define ROUND_US 20000

typedef struct Place {
    EventLoop *client, *monitor;
    Pool *pool;
    Watchdog *w;
    int notify;
    Mutex lock;
    Cond changed;
    unsigned held, let_go; /* tasks asleep; how many may go on */
} Place;

static void place_open(Place *p)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    char name[64];
    *p = (Place){0};
    g_snprintf(name, sizeof(name), "@berth-test-watchdog-%d", (int)getpid());
    memcpy(sun.sun_path + 1, name + 1, strlen(name) - 1);
    p->notify = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_return_code(bind(p->notify, (struct sockaddr *)&sun, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name))), 0);
    g_setenv("NOTIFY_SOCKET", name, TRUE);
    g_setenv("WATCHDOG_USEC", ALLOWED_US, TRUE);
    g_unsetenv("WATCHDOG_PID");
    mutex_init(&p->lock, LOCK_REGISTRY, "test");
    cond_init(&p->changed);
    p->client = event_loop_new("client");
    p->monitor = event_loop_new("monitor");
    event_loop_start(p->monitor);
    p->pool = pool_new(&(PoolLimits){.cap = {0, 1, 2, 1}, .max_threads = 8, .idle_ms = 1000});
    p->w = watchdog_new(p->client, p->monitor, p->pool);
    assert_non_null(p->w);
    event_loop_start(p->client);
}

static void let_go(Place *p, unsigned n)
{
    LOCK_SCOPE(&p->lock);
    p->let_go += n;
    cond_broadcast(&p->changed);
}

static void free_watchdog(void *arg)
{
    watchdog_free(((Place *)arg)->w);
}

static void place_close(Place *p)
{
    let_go(p, 1u << 20);
    event_post(p->client, free_watchdog, p);
    event_loop_stop(p->client, 0);
    event_loop_join(p->client); /* it may be about to ask the pool */
    pool_free(p->pool);
    event_loop_stop(p->monitor, 0);
    event_loop_join(p->monitor); /* it may be about to answer */
    event_loop_free(p->client);
    event_loop_free(p->monitor);
    cond_done(&p->changed);
    mutex_done(&p->lock);
    close(p->notify);
}

/* A task that sleeps until it may go, without saying so to the pool. */
static void hold(void *arg)
{
    Place *p = arg;
    LOCK_SCOPE(&p->lock);
    p->held++;
    cond_broadcast(&p->changed);
    while (p->let_go == 0)
        cond_wait_until(&p->changed, &p->lock, deadline_in_ms(20000));
    p->let_go--;
    p->held--;
}

static void wait_held(Place *p, unsigned n)
{
    LOCK_SCOPE(&p->lock);
    while (p->held < n)
        assert_true(cond_wait_until(&p->changed, &p->lock, deadline_in_ms(20000)) || p->held >= n);
}

static unsigned pings(Place *p)
{
    char buf[256];
    unsigned n = 0;
    for (ssize_t r; (r = recv(p->notify, buf, sizeof(buf) - 1, 0)) > 0;) {
        buf[r] = 0;
        n += strcmp(buf, "WATCHDOG=1") == 0;
    }
    return n;
}

typedef struct Rounds {
    Place *p;
    unsigned left;
    bool until_ping;
    unsigned seen;
    unsigned let_go; /* tasks let go each round */
    sd_event_source *timer;
    bool over; /* under the lock */
} Rounds;

static int on_round(sd_event_source *t, uint64_t usec, void *userdata)
{
    Rounds *r = userdata;
    r->seen += pings(r->p);
    if (r->let_go)
        let_go(r->p, r->let_go);
    if ((r->until_ping && r->seen > 0) || r->left-- == 0) {
        LOCK_SCOPE(&r->p->lock);
        r->timer = sd_event_source_disable_unref(r->timer);
        r->over = true;
        cond_broadcast(&r->p->changed);
        return 0;
    }
    sd_event_source_set_time_relative(t, ROUND_US);
    return sd_event_source_set_enabled(t, SD_EVENT_ONESHOT);
}

static void start_rounds(void *arg)
{
    Rounds *r = arg;
    sd_event *e = event_loop_sd(r->p->client);
    assert_true(sd_event_add_time_relative(e, &r->timer, CLOCK_MONOTONIC, ROUND_US, 0, on_round, r) >= 0);
}

/* Lets so many rounds pass; returns the pings that came. */
static unsigned run(Place *p, Rounds r)
{
    r.p = p;
    event_post(p->client, start_rounds, &r);
    LOCK_SCOPE(&p->lock);
    while (!r.over)
        assert_true(cond_wait_until(&p->changed, &p->lock, deadline_in_ms(60000)) || r.over);
    return r.seen;
}

#define UNTIL_PING ((Rounds){.left = 1000, .until_ping = true})

static void off_unless_asked(void **state)
{
    Place p;
    place_open(&p);
    g_unsetenv("WATCHDOG_USEC"); /* nothing is made, so any thread may ask */
    assert_null(watchdog_new(p.client, p.monitor, p.pool));
    place_close(&p);
}

static void pings_while_all_answer(void **state)
{
    Place p;
    place_open(&p);
    for (int i = 0; i < 5; i++)
        assert_true(run(&p, UNTIL_PING) > 0);
    place_close(&p);
}

static void none_while_the_monitor_thread_hangs(void **state)
{
    Place p;
    place_open(&p);
    assert_true(run(&p, UNTIL_PING) > 0);
    event_post(p.monitor, hold, &p);
    wait_held(&p, 1);
    run(&p, (Rounds){.left = 2}); /* an answer may have been on its way */
    assert_int_equal(run(&p, (Rounds){.left = 8}), 0);
    let_go(&p, 1);
    assert_true(run(&p, UNTIL_PING) > 0);
    place_close(&p);
}

static void hang_lane(Lane lane, unsigned n)
{
    Place p;
    place_open(&p);
    assert_true(run(&p, UNTIL_PING) > 0);
    for (unsigned i = 0; i < n; i++)
        pool_submit(p.pool, lane, hold, &p);
    wait_held(&p, n);
    run(&p, (Rounds){.left = 2});
    assert_int_equal(run(&p, (Rounds){.left = 8}), 0);
    let_go(&p, n);
    assert_true(run(&p, UNTIL_PING) > 0);
    place_close(&p);
}

static void none_while_workers_hang(void **state)
{
    hang_lane(LANE_FAST, 1);
    hang_lane(LANE_NORMAL, 2);
}

/* They have more time. */
static void none_while_long_work_stands_still(void **state)
{
    Place p;
    place_open(&p);
    pool_submit(p.pool, LANE_LONG, hold, &p);
    wait_held(&p, 1);
    assert_true(run(&p, (Rounds){.left = 2 * WATCHDOG_LONG_ROUNDS}) > WATCHDOG_ROUNDS);
    assert_int_equal(run(&p, (Rounds){.left = 8}), 0);
    let_go(&p, 1);
    assert_true(run(&p, UNTIL_PING) > 0);
    place_close(&p);
}

static void hold_and_say_so(void *arg)
{
    pool_blocking_begin();
    hold(arg);
    pool_blocking_end();
}

static void pings_while_all_long_work_waits(void **state)
{
    Place p;
    place_open(&p);
    for (int i = 0; i < 3; i++)
        pool_submit(p.pool, LANE_LONG, hold_and_say_so, &p);
    wait_held(&p, 3);
    run(&p, (Rounds){.left = 2 * WATCHDOG_LONG_ROUNDS});
    assert_true(run(&p, UNTIL_PING) > 0);
    place_close(&p);
}

/* Long work is no sign of anything, for a while. */
static void pings_while_long_work_runs(void **state)
{
    Place p;
    place_open(&p);
    pool_submit(p.pool, LANE_LONG, hold, &p);
    wait_held(&p, 1);
    for (int i = 0; i < 3; i++)
        assert_true(run(&p, UNTIL_PING) > 0);
    place_close(&p);
}

/* The probe waits behind a thousand tasks, but they do end. */
static void pings_under_load(void **state)
{
    Place p;
    place_open(&p);
    assert_true(run(&p, UNTIL_PING) > 0);
    for (unsigned i = 0; i < 1000; i++)
        pool_submit(p.pool, LANE_NORMAL, hold, &p);
    wait_held(&p, 2);
    run(&p, (Rounds){.left = 2});
    assert_true(run(&p, (Rounds){.left = 400, .until_ping = true, .let_go = 1}) > 0);
    PoolStats st;
    pool_stats(p.pool, &st);
    assert_true(st.queued[LANE_NORMAL] > 500);
    place_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(off_unless_asked),
        cmocka_unit_test(pings_while_all_answer),
        cmocka_unit_test(none_while_the_monitor_thread_hangs),
        cmocka_unit_test(none_while_workers_hang),
        cmocka_unit_test(none_while_long_work_stands_still),
        cmocka_unit_test(pings_while_all_long_work_waits),
        cmocka_unit_test(pings_while_long_work_runs),
        cmocka_unit_test(pings_under_load),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
