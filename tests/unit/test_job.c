/* tests/unit/test_job.c - the job queue alone: order, masks, deadlines, and a random storm */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "domain/job.h"
#include "object/object.h"

struct Domain {
    Object obj;
    JobQueue jobs;
    uint64_t last_seq;
};

JobQueue *domain_jobs(Domain *d)
{
    return &d->jobs;
}

static EventLoop *loop;

static void domain_free(Object *o)
{
    Domain *d = (Domain *)o;
    job_queue_done(&d->jobs);
    object_done(o);
    g_free(d);
}

static Domain *domain_new(void)
{
    Domain *d = g_new0(Domain, 1);
    uint8_t uuid[UUID_LEN] = {1};
    object_init(&d->obj, uuid, "domain", domain_free);
    job_queue_init(&d->jobs, d, loop, NULL);
    return d;
}

typedef struct Rec {
    JobRequest r;
    int granted, refused; /* number of calls; g_atomic */
    Err err;
} Rec;

static GString *order;

static void on_granted(JobRequest *r)
{
    Rec *rec = (Rec *)r;
    g_atomic_int_inc(&rec->granted);
    g_string_append(order, r->what);
}

static void on_refused(JobRequest *r, Err *err)
{
    Rec *rec = (Rec *)r;
    err_move(&rec->err, err);
    g_atomic_int_inc(&rec->refused);
}

static void ask(Domain *d, Rec *rec, JobKind kind, const char *what)
{
    *rec = (Rec){.r = {.kind = kind,
                       .what = what,
                       .granted = on_granted,
                       .refused = on_refused,
                       .deadline = deadline_in_ms(60000)}};
    job_request(d, &rec->r);
}

static void test_first_come_first_served(void **state)
{
    Domain *d = domain_new();
    Rec a, b, c, k;
    order = g_string_new(NULL);
    ask(d, &a, JOB_MODIFY, "a");
    ask(d, &b, JOB_QUERY, "b");
    ask(d, &c, JOB_MODIFY, "c");
    ask(d, &k, JOB_DESTROY, "k");
    assert_string_equal(order->str, "a");
    assert_int_equal(job_queue_length(&d->jobs), 3);
    JobInfo info;
    job_queue_info(&d->jobs, &info);
    assert_int_equal(info.kind, JOB_MODIFY);
    assert_string_equal(info.what, "a");
    job_end(&a.r); /* destroy passes all */
    assert_string_equal(order->str, "ak");
    job_end(&k.r);
    job_end(&b.r);
    assert_string_equal(order->str, "akbc");
    job_end(&c.r);
    job_queue_info(&d->jobs, &info);
    assert_int_equal(info.kind, JOB_NONE);
    assert_int_equal(a.granted + b.granted + c.granted + k.granted, 4);
    g_string_free(order, TRUE);
    object_unref(d);
}

static void test_beside_async(void **state)
{
    Domain *d = domain_new();
    Rec save, query, modify, modify2, kill, query2, save2, abort_job;
    order = g_string_new(NULL);
    ask(d, &save, JOB_ASYNC, "S");
    ask(d, &modify, JOB_MODIFY, "m");
    assert_string_equal(order->str, "S");
    ask(d, &query, JOB_QUERY, "q"); /* passes the modify, which waits for the save and not for queries */
    assert_string_equal(order->str, "Sq");
    ask(d, &save2, JOB_ASYNC, "T");
    ask(d, &query2, JOB_QUERY, "r");
    job_end(&query.r);
    assert_string_equal(order->str, "Sqr");
    job_abandon(&query2.r); /* by its client, not by that of the save */
    assert_false(job_abandoned(d));
    ask(d, &kill, JOB_DESTROY, "k");
    job_end(&query2.r);
    assert_string_equal(order->str, "Sqrk"); /* the save does not stop a destroy */
    ask(d, &abort_job, JOB_ABORT, "A");
    job_end(&kill.r);
    assert_string_equal(order->str, "SqrkA");
    ask(d, &modify2, JOB_MODIFY, "n");
    job_end(&abort_job.r);
    assert_string_equal(order->str, "SqrkA");
    job_end(&save.r);
    assert_string_equal(order->str, "SqrkAm"); /* T waits for m: its mask has only queries */
    job_abandon(&modify.r);
    assert_true(job_abandoned(d));
    job_end(&modify.r);
    assert_string_equal(order->str, "SqrkAmT");
    job_end(&save2.r);
    assert_string_equal(order->str, "SqrkAmTn");
    job_end(&modify2.r);
    g_string_free(order, TRUE);
    object_unref(d);
}

static void wait_for(gint *v)
{
    Deadline end = deadline_in_ms(5000);
    while (!g_atomic_int_get(v) && !deadline_passed(end))
        g_usleep(1000);
}

static void test_deadline_names_holder(void **state)
{
    Domain *d = domain_new();
    Rec a, b, c;
    order = g_string_new(NULL);
    ask(d, &a, JOB_MODIFY, "holder-call");
    a.r.owner = 12;
    b = (Rec){.r = {.kind = JOB_QUERY,
                    .what = "waiting-call",
                    .granted = on_granted,
                    .refused = on_refused,
                    .deadline = deadline_in_ms(20)}};
    ask(d, &c, JOB_QUERY, "later");
    job_request(d, &b.r);
    wait_for(&b.refused);
    assert_int_equal(b.refused, 1);
    assert_int_equal(b.granted, 0);
    assert_int_equal(b.err.code, VIR_ERR_OPERATION_TIMEOUT);
    assert_non_null(
        strstr(b.err.detail, "cannot acquire state change lock (held by modify job 'holder-call' of client 12 for"));
    assert_non_null(strstr(b.err.detail, "wanted for waiting-call"));
    err_clear(&b.err);
    job_cancel(&c.r);
    assert_int_equal(c.refused, 1);
    assert_int_equal(c.err.code, VIR_ERR_OPERATION_ABORTED);
    err_clear(&c.err);
    job_cancel(&a.r); /* granted: no effect */
    job_end(&a.r);
    assert_int_equal(job_queue_length(&d->jobs), 0);
    g_string_free(order, TRUE);
    object_unref(d);
}

/* ---- storm: every request is answered once, at most one short job and one async job at a time */

typedef struct Storm {
    Domain *d;
    unsigned seed;
    int got, timed_out;
} Storm;

static gint running[JOB_KIND_MAX], short_running, broken;

static gpointer storm(gpointer arg)
{
    Storm *s = arg;
    GRand *rnd = g_rand_new_with_seed(s->seed);
    for (int i = 0; i < 400; i++) {
        JobKind kind = (JobKind)g_rand_int_range(rnd, JOB_QUERY, JOB_KIND_MAX);
        JobRequest r = {.kind = kind,
                        .what = "storm",
                        .deadline = {now_us() + (uint64_t)g_rand_int_range(rnd, 0, 4000)},
                        .async_mask = JOB_BIT(JOB_QUERY) | JOB_BIT(JOB_MODIFY)};
        g_auto(Err) err = ERR_INIT;
        if (job_acquire(s->d, &r, &err) < 0) {
            if (err.code != VIR_ERR_OPERATION_TIMEOUT)
                g_atomic_int_inc(&broken);
            s->timed_out++;
            continue;
        }
        s->got++;
        bool is_short = kind != JOB_ASYNC;
        if (g_atomic_int_add(&running[kind], 1) != 0 || (is_short && g_atomic_int_add(&short_running, 1) != 0))
            g_atomic_int_inc(&broken);
        if (is_short && kind == JOB_RECONNECT && g_atomic_int_get(&running[JOB_ASYNC]))
            g_atomic_int_inc(&broken); /* not in the mask */
        if (g_rand_boolean(rnd))
            g_usleep((gulong)g_rand_int_range(rnd, 0, 200));
        if (is_short)
            g_atomic_int_add(&short_running, -1);
        g_atomic_int_add(&running[kind], -1);
        job_end(&r);
    }
    g_rand_free(rnd);
    return NULL;
}

static void test_storm(void **state)
{
    Domain *d = domain_new();
    Storm s[6];
    GThread *t[6];
    for (unsigned i = 0; i < 6; i++) {
        s[i] = (Storm){.d = d, .seed = i + 1};
        t[i] = g_thread_new("storm", storm, &s[i]);
    }
    int total = 0, got = 0;
    for (int i = 0; i < 6; i++) {
        g_thread_join(t[i]);
        total += s[i].got + s[i].timed_out;
        got += s[i].got;
    }
    assert_int_equal(total, 6 * 400);
    assert_true(got > 0);
    assert_int_equal(g_atomic_int_get(&broken), 0);
    assert_int_equal(job_queue_length(&d->jobs), 0);
    object_unref(d);
}

static gint fired;

static void on_timer(void *arg)
{
    g_atomic_int_inc(&fired);
}

static void test_timer(void **state)
{
    Timer *t = timer_new(loop, on_timer, NULL);
    timer_arm(t, deadline_in_ms(100000));
    timer_arm_by(t, deadline_in_ms(5));
    timer_arm_by(t, deadline_in_ms(100000)); /* must not postpone it */
    wait_for(&fired);
    assert_int_equal(g_atomic_int_get(&fired), 1);
    timer_arm(t, deadline_in_ms(0));
    timer_disarm(t);
    timer_free(t);
    for (int i = 0; i < 200; i++) { /* arm and free race */
        t = timer_new(loop, on_timer, NULL);
        timer_arm(t, (Deadline){now_us() + (uint64_t)i});
        if (i % 3 == 0)
            g_usleep((gulong)i);
        timer_free(t);
        int now = g_atomic_int_get(&fired);
        g_usleep(50);
        assert_int_equal(g_atomic_int_get(&fired), now); /* nothing fires after the free */
    }
}

int main(void)
{
    loop = event_loop_new("monitor");
    event_loop_start(loop);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_come_first_served),
        cmocka_unit_test(test_beside_async),
        cmocka_unit_test(test_deadline_names_holder),
        cmocka_unit_test(test_timer),
        cmocka_unit_test(test_storm),
    };
    int r = cmocka_run_group_tests(tests, NULL, NULL);
    event_loop_stop(loop, 0);
    event_loop_free(loop);
    return r;
}
