/* tests/unit/test_util.c - arena, uuid, files, errors, bells, lanes of the pool, posts of an event loop */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "event/timer.h"
#include "util/arena.h"
#include "util/dirsync.h"
#include "util/err.h"
#include "util/file.h"
#include "util/lock.h"
#include "util/pool.h"
#include "util/uuid.h"

/* ---- arena ----------------------------------------------------------------------------------------------------------------- */

static void arena_gives_zeroed_aligned_memory(void **state)
{
    Arena a = {0};
    for (size_t size = 1; size < 20000; size = size * 3 / 2 + 1) {
        char *p = arena_alloc(&a, 1, size);
        assert_int_equal((uintptr_t)p % 16, 0);
        for (size_t i = 0; i < size; i++)
            assert_int_equal(p[i], 0);
        memset(p, 0xff, size); /* must not reach what follows */
    }
    assert_string_equal(arena_printf(&a, "%d-%s", 42, "x"), "42-x");
    assert_null(arena_strdup(&a, NULL));
    arena_done(&a);
    assert_null(a.blocks);
}

/* ---- uuid ------------------------------------------------------------------------------------------------------------------ */

static void uuid_forms(void **state)
{
    static const struct {
        const char *text;
        bool ok;
    } cases[] = {
        {"01234567-89ab-cdef-0123-456789abcdef", true}, {"0123456789ABCDEF0123456789abcdef", true},
        {"  01234567-89ab-cdef-0123-456789abcdef\n", true}, {"01234567-89ab-cdef-0123-456789abcde", false},
        {"01234567-89ab-cdef-0123-456789abcdef0", false}, {"g1234567-89ab-cdef-0123-456789abcdef", false}, {"", false},
        {"-01234567-89ab-cdef-0123-456789abcdef", false},
    };
    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        uint8_t u[UUID_LEN];
        char text[UUID_STRING_LEN];
        assert_int_equal(uuid_parse(cases[i].text, u), cases[i].ok);
        if (cases[i].ok) {
            uuid_format(u, text);
            assert_string_equal(text, "01234567-89ab-cdef-0123-456789abcdef");
        }
    }
    uint8_t r[UUID_LEN], ones[UUID_LEN];
    uuid_generate(r);
    memset(ones, 0xff, sizeof(ones));
    assert_false(uuid_is_trivial(r));
    assert_true(uuid_is_trivial(ones));
    assert_int_equal(r[6] >> 4, 4);
}

/* ---- files ----------------------------------------------------------------------------------------------------------------- */

static void replaced_as_one(void **state)
{
    char dir[] = "/tmp/berth-unit-XXXXXX";
    assert_non_null(mkdtemp(dir));
    g_autofree char *path = g_build_filename(dir, "x.xml", NULL);
    g_autofree char *text = NULL;
    size_t len;
    assert_int_equal(file_replace(path, "one", 3, 0600, FILE_DURABLE), 0);
    assert_int_equal(file_replace(path, "second", 6, 0640, 0), 0);
    assert_int_equal(file_read(path, 100, &text, &len), 0);
    assert_int_equal(len, 6);
    assert_string_equal(text, "second");
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
    char *other = NULL;
    assert_int_equal(file_read(path, 5, &other, NULL), -EFBIG);
    assert_int_equal(file_read(dir, 5, &other, NULL), -EINVAL);
    g_autofree char *missing = g_build_filename(dir, "no", "such", NULL);
    assert_int_equal(file_replace(missing, "x", 1, 0600, 0), -ENOENT);
    assert_int_equal(file_remove(path, FILE_DURABLE), 0);
    assert_int_equal(file_remove(path, 0), 0);
    assert_int_equal(rmdir(dir), 0); /* no temporary is left */
}

/* ---- errors ---------------------------------------------------------------------------------------------------------------- */

static void error_text(void **state)
{
    g_auto(Err) err = ERR_INIT;
    assert_int_equal(err_set(&err, VIR_ERR_OPERATION_INVALID, "machine '%s' is %d", "x", 7), -1);
    err_wrap(&err, "starting");
    err_hint(&err, "do that");
    g_autofree char *text = err_message(&err);
    assert_string_equal(text, "Requested operation is not valid: starting: machine 'x' is 7 (do that)");

    g_auto(Err) bare = ERR_INIT;
    err_set_arg(&bare, "unsupported flags (0x%x)", 64u);
    g_autofree char *bare_text = err_message(&bare);
    assert_string_equal(bare_text, "unsupported flags (0x40)");

    g_auto(Err) sys = ERR_INIT;
    err_set_errno(&sys, ENOENT, "opening %s", "/x");
    assert_int_equal(sys.code, VIR_ERR_SYSTEM_ERROR);
    assert_int_equal(sys.os_errno, ENOENT);
    g_auto(Err) moved = ERR_INIT;
    err_move(&moved, &sys);
    assert_false(err_is_set(&sys));
    assert_string_equal(moved.detail, "opening /x: No such file or directory");
}

/* ---- bells ----------------------------------------------------------------------------------------------------------------- */

#define RINGS 20000u

static Bell there, back; /* what is rung for is counted beside them, without any lock */
static unsigned n_there, n_back;

static void ring_for(Bell *b, unsigned *n)
{
    __atomic_add_fetch(n, 1, __ATOMIC_SEQ_CST);
    bell_wake(bell_strike(b));
}

/* Sleeps until the count is at least this. */
static bool wait_for(Bell *b, const unsigned *n, unsigned least)
{
    Deadline end = deadline_in_ms(60000);
    for (;;) {
        uint32_t heard = bell_heard(b);
        if (__atomic_load_n(n, __ATOMIC_SEQ_CST) >= least)
            return true;
        if (!bell_sleep(b, heard, end))
            return false;
    }
}

static void *echo(void *arg)
{
    for (unsigned i = 1; i <= RINGS; i++) {
        if (!wait_for(&there, &n_there, i))
            return arg; /* lost */
        ring_for(&back, &n_back);
    }
    return NULL;
}

static void no_ringing_is_lost(void **state)
{
    pthread_t t;
    void *wrong;
    assert_int_equal(pthread_create(&t, NULL, echo, &back), 0);
    for (unsigned i = 1; i <= RINGS; i++) {
        ring_for(&there, &n_there);
        assert_true(wait_for(&back, &n_back, i));
    }
    pthread_join(t, &wrong);
    assert_null(wrong);
}

static void a_bell_that_is_silent(void **state)
{
    Bell b = {0};
    uint32_t heard = bell_heard(&b);
    assert_false(bell_sleep(&b, heard, deadline_in_ms(1)));
    assert_null(bell_strike(&b)); /* nobody to be woken, and not forgotten */
    assert_true(bell_sleep(&b, heard, deadline_in_ms(60000)));
    bell_wake(NULL);
}

/* ---- pool ------------------------------------------------------------------------------------------------------------------ */

typedef struct Gate {
    Mutex lock;
    Cond changed;
    unsigned inside, max_inside, done;
    bool open, blocking;
} Gate;

static void pass_gate(void *arg)
{
    Gate *g = arg;
    if (g->blocking)
        pool_blocking_begin();
    mutex_lock(&g->lock);
    g->inside++;
    g->max_inside = MAX(g->max_inside, g->inside);
    cond_broadcast(&g->changed);
    while (!g->open)
        cond_wait_until(&g->changed, &g->lock, deadline_in_ms(20000));
    g->inside--;
    g->done++;
    cond_broadcast(&g->changed);
    mutex_unlock(&g->lock);
    if (g->blocking)
        pool_blocking_end();
}

static void gate_init(Gate *g, bool blocking)
{
    *g = (Gate){.blocking = blocking};
    mutex_init(&g->lock, LOCK_DOMAIN, "test gate");
    cond_init(&g->changed);
}

static void wait_inside(Gate *g, unsigned n)
{
    LOCK_SCOPE(&g->lock);
    Deadline d = deadline_in_ms(20000);
    while (g->inside < n)
        assert_true(cond_wait_until(&g->changed, &g->lock, d) || g->inside >= n);
}

static void open_and_wait(Gate *g, unsigned n)
{
    LOCK_SCOPE(&g->lock);
    g->open = true;
    cond_broadcast(&g->changed);
    while (g->done < n)
        cond_wait_until(&g->changed, &g->lock, deadline_in_ms(20000));
}

static const PoolLimits limits = {.cap = {[LANE_FAST] = 2, [LANE_NORMAL] = 3, [LANE_LONG] = 1}, .max_threads = 64, .idle_ms = 50};

/* A full lane queues; another lane goes on. */
static void lanes_have_caps(void **state)
{
    Pool *p = pool_new(&limits);
    Gate normal, fast;
    gate_init(&normal, false);
    gate_init(&fast, false);
    for (int i = 0; i < 10; i++)
        pool_submit(p, LANE_NORMAL, pass_gate, &normal);
    wait_inside(&normal, 3);
    pool_submit(p, LANE_FAST, pass_gate, &fast);
    wait_inside(&fast, 1);
    PoolStats st;
    pool_stats(p, &st);
    assert_int_equal(st.running[LANE_NORMAL], 3);
    assert_int_equal(st.queued[LANE_NORMAL], 7);
    open_and_wait(&fast, 1);
    open_and_wait(&normal, 10);
    assert_true(normal.max_inside <= 3);
    pool_free(p);
}

/* A cap that is raised lets those that wait in at once. */
static void caps_change(void **state)
{
    PoolLimits l = limits;
    l.cap[LANE_NORMAL] = 1;
    Pool *p = pool_new(&l);
    Gate g;
    gate_init(&g, false);
    for (int i = 0; i < 10; i++)
        pool_submit(p, LANE_NORMAL, pass_gate, &g);
    wait_inside(&g, 1);
    assert_int_equal(g.max_inside, 1);
    l.cap[LANE_NORMAL] = 4;
    pool_set_limits(p, &l);
    wait_inside(&g, 4);
    l.cap[LANE_NORMAL] = 2;
    pool_set_limits(p, &l);
    open_and_wait(&g, 10);
    assert_true(g.max_inside <= 4);
    pool_free(p);
}

/* Sleeping tasks take no place: all of them are inside at once. */
static void sleepers_do_not_count(void **state)
{
    Pool *p = pool_new(&limits);
    Gate g;
    gate_init(&g, true);
    for (int i = 0; i < 20; i++)
        pool_submit(p, LANE_LONG, pass_gate, &g);
    wait_inside(&g, 20);
    PoolStats st;
    pool_stats(p, &st);
    assert_int_equal(st.blocked, 20);
    open_and_wait(&g, 20);
    pool_free(p);
}

static void wait_threads(Pool *p, unsigned n)
{
    PoolStats st;
    do
        pool_stats(p, &st);
    while (st.threads != n);
}

/* Those that are always to be there are made at once, stay when idle, and go when they are wanted no more. */
static void some_are_always_there(void **state)
{
    PoolLimits l = limits;
    Pool *p = pool_new(&l);
    PoolStats st;
    l.min_threads = 6;
    pool_set_limits(p, &l);
    pool_stats(p, &st);
    assert_int_equal(st.threads, 6);
    Gate g;
    gate_init(&g, true);
    for (int i = 0; i < 20; i++)
        pool_submit(p, LANE_NORMAL, pass_gate, &g);
    wait_inside(&g, 20);
    open_and_wait(&g, 20);
    wait_threads(p, 6);
    l.min_threads = 0;
    pool_set_limits(p, &l);
    wait_threads(p, 1);
    pool_get_limits(p, &l);
    assert_int_equal(l.min_threads, 0);
    pool_free(p);
}

/* ---- event loop ------------------------------------------------------------------------------------------------------------ */

typedef struct Order {
    EventLoop *loop;
    GArray *seen;
} Order;

typedef struct Item {
    Order *order;
    int n;
} Item;

static void note(void *arg)
{
    Item *i = arg;
    event_assert_thread(i->order->loop);
    g_array_append_val(i->order->seen, i->n);
    g_free(i);
}

static void posts_keep_their_order(void **state)
{
    Order o = {.loop = event_loop_new("test"), .seen = g_array_new(FALSE, FALSE, sizeof(int))};
    event_loop_start(o.loop);
    for (int n = 0; n < 1000; n++) {
        Item *i = g_new0(Item, 1);
        *i = (Item){&o, n};
        event_post(o.loop, note, i);
    }
    event_loop_stop(o.loop, 0);
    event_loop_free(o.loop); /* what was posted is run, not dropped */
    assert_int_equal(o.seen->len, 1000);
    for (int n = 0; n < 1000; n++)
        assert_int_equal(g_array_index(o.seen, int, n), n);
    g_array_unref(o.seen);
}

static void note_and_post(void *arg)
{
    const Item *i = arg;
    Item *next = g_new0(Item, 1);
    *next = (Item){i->order, i->n + 100};
    event_post(i->order->loop, note, next);
    note(arg);
}

/* One of them a round, after all the rest; in their own order. */
static void strangers_are_late(void **state)
{
    static const int expected[] = {0, 1, 2, 10, 110, 11, 111, 12, 112};
    Order o = {.loop = event_loop_new("test"), .seen = g_array_new(FALSE, FALSE, sizeof(int))};
    for (int n = 0; n < 3; n++) {
        Item *late = g_new0(Item, 1), *item = g_new0(Item, 1);
        *late = (Item){&o, 10 + n};
        *item = (Item){&o, n};
        event_post_late(o.loop, note_and_post, late);
        event_post(o.loop, note, item);
    }
    event_loop_start(o.loop);
    while (event_has_posts(o.loop))
        g_thread_yield();
    event_loop_stop(o.loop, 0);
    event_loop_free(o.loop);
    assert_int_equal(o.seen->len, N_ELEMENTS(expected));
    assert_memory_equal(o.seen->data, expected, sizeof(expected));
    g_array_unref(o.seen);
}

/* ---- directories synced together --------------------------------------------------------------------------------- */

typedef struct Syncers {
    DirSync sync;
    int fd;
} Syncers;

static void *sync_often(void *arg)
{
    Syncers *s = arg;
    for (unsigned i = 0; i < 20; i++)
        assert_int_equal(dir_sync(&s->sync, s->fd), 0);
    return NULL;
}

static void changes_are_synced_together(void **state)
{
    Syncers s = {.fd = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    dir_sync_init(&s.sync);
    assert_int_equal(dir_sync(&s.sync, s.fd), 0);
    assert_int_equal(s.sync.syncs, 1); /* alone: one sync, at once */
    assert_int_equal(dir_sync(&s.sync, -1), -EBADF);
    pthread_t t[16];
    for (unsigned i = 0; i < N_ELEMENTS(t); i++)
        assert_int_equal(pthread_create(&t[i], NULL, sync_often, &s), 0);
    for (unsigned i = 0; i < N_ELEMENTS(t); i++)
        pthread_join(t[i], NULL);
    assert_true(s.sync.syncs >= 2 + 20 && s.sync.syncs <= 2 + 16 * 20); /* no thread's changes were left out, nobody synced twice */
    dir_sync_done(&s.sync);
    close(s.fd);
}

static void ring(void *userdata)
{
    event_loop_stop(userdata, 0);
}

/* The first timer of a loop comes when it must, also when no descriptor is left. */
static void a_timer_needs_no_descriptor(void **state)
{
    EventLoop *l = event_loop_new("test");
    Timer *t = timer_new(l, ring, l);
    struct rlimit old, none;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    none = (struct rlimit){.rlim_cur = 0, .rlim_max = old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    timer_arm(t, deadline_in_ms(1));
    assert_int_equal(event_loop_run(l), 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    timer_free(t);
    event_loop_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changes_are_synced_together),
        cmocka_unit_test(arena_gives_zeroed_aligned_memory),
        cmocka_unit_test(uuid_forms),
        cmocka_unit_test(replaced_as_one),
        cmocka_unit_test(error_text),
        cmocka_unit_test(no_ringing_is_lost),
        cmocka_unit_test(a_bell_that_is_silent),
        cmocka_unit_test(lanes_have_caps),
        cmocka_unit_test(caps_change),
        cmocka_unit_test(sleepers_do_not_count),
        cmocka_unit_test(some_are_always_there),
        cmocka_unit_test(posts_keep_their_order),
        cmocka_unit_test(strangers_are_late),
        cmocka_unit_test(a_timer_needs_no_descriptor),
    };
    return cmocka_run_group_tests_name("util", tests, NULL, NULL);
}
