/* tests/unit/test_object.c - references, registry and bus, alone and from many threads */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "object/bus.h"
#include "object/registry.h"

typedef struct Thing {
    Object obj;
    int payload;
} Thing;

static gint alive;

static void thing_free(Object *o)
{
    object_done(o);
    g_atomic_int_add(&alive, -1);
    g_free(o);
}

static Thing *thing_new(uint8_t tag, uint8_t tag2)
{
    Thing *t = g_new0(Thing, 1);
    uint8_t uuid[UUID_LEN] = {tag, tag2, 3};
    object_init(&t->obj, uuid, "thing", thing_free);
    g_atomic_int_inc(&alive);
    return t;
}

static void test_registry(void **state)
{
    Registry *r = registry_new("things");
    Thing *a = thing_new(1, 0), *b = thing_new(2, 0), *a2 = thing_new(1, 0);
    Object *other = NULL;
    assert_int_equal(registry_add(r, &a->obj, "a", &other), 0);
    assert_int_equal(registry_add(r, &b->obj, "a", &other), -EEXIST);
    assert_ptr_equal(other, a);
    object_unref(other);
    assert_int_equal(registry_add(r, &a2->obj, "z", &other), -EEXIST); /* same uuid */
    object_unref(other);
    assert_int_equal(registry_add(r, &b->obj, "b", NULL), 0);
    assert_int_equal(registry_count(r), 2);
    assert_true(registry_has(r, &a->obj));
    assert_false(registry_has(r, &a2->obj));

    registry_set_id(r, &a->obj, 7);
    Thing *t = registry_by_id(r, 7);
    assert_ptr_equal(t, a);
    object_unref(t);
    registry_set_id(r, &a->obj, -1);
    assert_null(registry_by_id(r, 7));

    assert_int_equal(registry_reserve_name(r, &a->obj, "b"), -EEXIST);
    assert_int_equal(registry_reserve_name(r, &a2->obj, "q"), -ENOENT);
    assert_int_equal(registry_reserve_name(r, &a->obj, "z"), 0);
    assert_int_equal(registry_reserve_name(r, &a->obj, "y"), -EBUSY);
    registry_settle_name(r, &a->obj, "a"); /* taken back */
    assert_null(registry_by_name(r, "z"));
    assert_int_equal(registry_reserve_name(r, &a->obj, "c"), 0);
    Thing *in_way = thing_new(99, 0);
    assert_int_equal(registry_add(r, &in_way->obj, "a", NULL), -EEXIST); /* both names are taken meanwhile */
    assert_int_equal(registry_add(r, &in_way->obj, "c", NULL), -EEXIST);
    object_unref(in_way);
    registry_settle_name(r, &a->obj, "c");
    assert_null(registry_by_name(r, "a"));
    t = registry_by_name(r, "c");
    assert_ptr_equal(t, a);
    object_unref(t);

    GPtrArray *l = registry_list(r);
    assert_int_equal(l->len, 2);
    assert_ptr_equal(l->pdata[0], a);
    assert_ptr_equal(l->pdata[1], b);
    registry_remove(r, &a->obj);
    registry_remove(r, &a->obj);
    registry_remove(r, &a2->obj); /* not in: must not throw out its twin */
    assert_int_equal(registry_count(r), 1);
    assert_null(registry_by_uuid(r, a->obj.uuid));
    g_ptr_array_unref(l);
    object_unref(a);
    object_unref(a2);
    object_unref(b);
    assert_int_equal(alive, 1);
    registry_free(r);
    assert_int_equal(alive, 0);
}

typedef struct Storm {
    Registry *r;
    unsigned seed;
} Storm;

static gpointer storm(gpointer arg)
{
    Storm *s = arg;
    GRand *rnd = g_rand_new_with_seed(s->seed);
    for (int i = 0; i < 3000; i++) {
        uint8_t tag = (uint8_t)g_rand_int_range(rnd, 0, 16);
        char name[16], other[16];
        snprintf(name, sizeof(name), "t%d", tag);
        snprintf(other, sizeof(other), "t%d", g_rand_int_range(rnd, 0, 20));
        switch (g_rand_int_range(rnd, 0, 4)) {
        case 0: {
            Thing *t = thing_new(tag, 9);
            registry_add(s->r, &t->obj, name, NULL);
            object_unref(t);
            break;
        }
        case 1: {
            Thing *t = registry_by_name(s->r, name);
            if (t) {
                mutex_lock(&t->obj.lock);
                t->payload++;
                if (registry_reserve_name(s->r, &t->obj, other) == 0) /* under the object's lock: the registry's is a leaf */
                    registry_settle_name(s->r, &t->obj, g_rand_boolean(rnd) ? name : other);
                mutex_unlock(&t->obj.lock);
                registry_remove(s->r, &t->obj);
                object_unref(t);
            }
            break;
        }
        case 2: {
            uint8_t uuid[UUID_LEN] = {tag, 9, 3};
            object_unref(registry_by_uuid(s->r, uuid));
            break;
        }
        default:
            g_ptr_array_unref(registry_list(s->r));
        }
    }
    g_rand_free(rnd);
    return NULL;
}

static void test_registry_threads(void **state)
{
    Registry *r = registry_new("things");
    Storm s[4];
    GThread *th[4];
    for (unsigned i = 0; i < 4; i++) {
        s[i] = (Storm){r, i};
        th[i] = g_thread_new("storm", storm, &s[i]);
    }
    for (int i = 0; i < 4; i++)
        g_thread_join(th[i]);
    registry_free(r);
    assert_int_equal(g_atomic_int_get(&alive), 0);
}

#define PER_THREAD 5000
#define PUBLISHERS 4

typedef struct Seen {
    int last[PUBLISHERS];
    gint n;
    bool wrong;
} Seen;

static void sink(void *userdata, void *event)
{
    Seen *s = userdata;
    int v = GPOINTER_TO_INT(event), who = v >> 16, nr = v & 0xffff;
    if (s->last[who] >= nr)
        s->wrong = true;
    s->last[who] = nr;
    g_atomic_int_inc(&s->n);
}

static gint dropped;

static void drop(void *event)
{
    g_atomic_int_inc(&dropped);
}

typedef struct Pub {
    Bus *b;
    int who;
} Pub;

static gpointer publisher(gpointer arg)
{
    Pub *p = arg;
    for (int i = 1; i <= PER_THREAD; i++)
        bus_publish(p->b, GINT_TO_POINTER(p->who << 16 | i));
    return NULL;
}

/* Order of each publisher is kept, every event is either shown or freed. */
static void test_bus(void **state)
{
    EventLoop *l = event_loop_new("client");
    event_loop_start(l);
    Bus *b = bus_new(l);
    Seen seen = {0};
    dropped = 0;
    bus_publish(b, GINT_TO_POINTER(1)); /* nobody listens and nobody frees: must not crash */
    bus_set_sink(b, sink, &seen, drop);
    Pub p[PUBLISHERS];
    GThread *th[PUBLISHERS];
    for (int i = 0; i < PUBLISHERS; i++) {
        p[i] = (Pub){b, i};
        th[i] = g_thread_new("pub", publisher, &p[i]);
    }
    for (int i = 0; i < PUBLISHERS; i++)
        g_thread_join(th[i]);
    bus_free(b);
    event_loop_stop(l, 0);
    event_loop_free(l);
    assert_false(seen.wrong);
    assert_int_equal(seen.n + dropped, PER_THREAD * PUBLISHERS);
}

static void in_loop_done(void *arg)
{
    g_atomic_int_set((gint *)arg, 1);
}

static void test_bus_all_arrive(void **state)
{
    EventLoop *l = event_loop_new("client");
    Bus *b = bus_new(l);
    Seen seen = {0};
    gint done = 0;
    dropped = 0;
    bus_set_sink(b, sink, &seen, drop);
    for (int i = 1; i <= 10; i++)
        bus_publish(b, GINT_TO_POINTER(i));
    event_post(l, in_loop_done, &done);
    event_loop_start(l);
    event_loop_stop(l, 0);
    event_loop_free(l);
    assert_int_equal(done, 1);
    assert_int_equal(seen.n, 10);
    assert_int_equal(dropped, 0);
    bus_free(b);
}

static bool wanted_now;

static bool wanted(void *userdata)
{
    return wanted_now;
}

/* What nobody wants is freed at once and wakes nobody; what comes after somebody wants it arrives. */
static void test_bus_unwanted(void **state)
{
    EventLoop *l = event_loop_new("client");
    Bus *b = bus_new(l);
    Seen seen = {0};
    dropped = 0;
    bus_set_sink(b, sink, &seen, drop);
    bus_set_wanted(b, wanted);
    wanted_now = false;
    bus_publish(b, GINT_TO_POINTER(1));
    assert_int_equal(dropped, 1);
    assert_false(event_has_posts(l));
    wanted_now = true;
    bus_publish(b, GINT_TO_POINTER(1));
    bus_publish(b, GINT_TO_POINTER(2));
    event_loop_start(l);
    event_loop_stop(l, 0);
    event_loop_free(l);
    assert_int_equal(seen.n, 2);
    assert_int_equal(dropped, 1);
    bus_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_registry),
        cmocka_unit_test(test_registry_threads),
        cmocka_unit_test(test_bus),
        cmocka_unit_test(test_bus_all_arrive),
        cmocka_unit_test(test_bus_unwanted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
