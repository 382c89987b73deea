/* tests/unit/test_blockjob_storm.c - thousands of regions, and jobs without one, against a QEMU that is at its worst
 *
 * A thread plays QEMU's monitor: it answers late, repeats its events, exchanges them, leaves some out, closes the connection and dies, at any
 * step of a job.  Others ask for a resync (as a full inbox does) and poke.  What is checked: every call returns; a job is concluded once, and
 * ready at most once and before; each conclusion is one event; under TSan and ASan, no race.
 */
#include "config.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "domain/blockjob.h"
#include "domain/inbox.h"
#include "domain/lifecycle.h"
#include "domain/reconnect.h"
#include "tests/unit/domain_world.h"
#include "api_enums.h"

#define MACHINES 4
#define STAMP    "\"timestamp\": {\"seconds\": 1, \"microseconds\": 2}"

static unsigned rounds = 600; /* of each machine; BERTH_STORM_ROUNDS */
static gint regions, deaths, told, servers, over;

/* ---- a QEMU with one job ----------------------------------------------------------------------------------------- */

typedef struct Qemu {
    int fd;
    pid_t pid;
    GRand *rnd;
    char *id;           /* of the job; NULL: none */
    const char *status; /* as query-jobs tells */
    bool self_ending;   /* goes by itself, after it was finalized */
    bool failed;
} Qemu;

static bool chance(Qemu *q, int one_in)
{
    return g_rand_int_range(q->rnd, 0, one_in) == 0;
}

static void say(Qemu *q, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void say(Qemu *q, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    g_autofree char *text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    ssize_t n = send(q->fd, text, strlen(text), MSG_NOSIGNAL);
    (void)n;
}

static char *status_event(const Qemu *q, const char *status)
{
    return g_strdup_printf("{\"event\": \"JOB_STATUS_CHANGE\", \"data\": {\"id\": \"%s\", \"status\": \"%s\"}, " STAMP "}\n", q->id, status);
}

static char *block_event(const Qemu *q, const char *name)
{
    bool error = q->failed && strcmp(name, "BLOCK_JOB_COMPLETED") == 0;
    return g_strdup_printf("{\"event\": \"%s\", \"data\": {\"type\": \"mirror\", \"device\": \"%s\", \"len\": 9, \"offset\": 9, \"speed\": 0%s}, "
                           STAMP "}\n", name, q->id, error ? ", \"error\": \"No space left on device\"" : "");
}

/* Says two things in any order, either of them once, more often, or not at all. */
static void say_badly(Qemu *q, char *one, char *other)
{
    char *both[2] = {one, other};
    bool swap = chance(q, 4);
    for (unsigned i = 0; i < 2; i++) {
        const char *text = both[swap ? 1 - i : i];
        int times = chance(q, 12) ? 0 : 1 + (chance(q, 5) ? 2 : 0);
        for (; text && times > 0; times--)
            say(q, "%s", text);
    }
    g_free(one);
    g_free(other);
}

static void forget_job(Qemu *q)
{
    g_clear_pointer(&q->id, g_free);
}

static void conclude(Qemu *q, const char *event)
{
    q->status = "concluded";
    say_badly(q, block_event(q, event), status_event(q, "concluded"));
    if (!q->self_ending)
        return;
    char *null = status_event(q, "null");
    say_badly(q, null, NULL);
    forget_job(q);
}

/* What the command does to the job, before or after its reply. */
static void act(Qemu *q, const char *what, json_t *args)
{
    if (g_str_equal(what, "block-stream") || g_str_equal(what, "blockdev-mirror")) {
        forget_job(q);
        q->id = g_strdup(json_string_value(json_object_get(args, "job-id")));
        q->self_ending = g_str_equal(what, "block-stream");
        q->failed = chance(q, 8);
        q->status = "running";
        say_badly(q, status_event(q, "created"), status_event(q, "running"));
        if (q->failed) {
            conclude(q, "BLOCK_JOB_COMPLETED");
        } else if (q->self_ending) {
            q->status = "pending";
            say_badly(q, status_event(q, "pending"), block_event(q, "BLOCK_JOB_PENDING"));
        } else {
            q->status = "ready";
            say_badly(q, status_event(q, "ready"), block_event(q, "BLOCK_JOB_READY"));
        }
    } else if (!q->id || g_str_equal(q->status, "concluded")) {
        if (g_str_equal(what, "job-dismiss"))
            forget_job(q);
    } else if (g_str_equal(what, "job-complete") || g_str_equal(what, "job-finalize")) {
        conclude(q, "BLOCK_JOB_COMPLETED");
    } else if (g_str_equal(what, "block-job-cancel")) {
        conclude(q, chance(q, 2) ? "BLOCK_JOB_CANCELLED" : "BLOCK_JOB_COMPLETED");
    }
}

static void reply(Qemu *q, const char *what, const char *id)
{
    if (g_str_equal(what, "query-cpus-fast") || g_str_equal(what, "qom-list") || g_str_equal(what, "query-block"))
        say(q, "{\"return\": [], \"id\": %s}\n", id);
    else if (g_str_equal(what, "query-balloon"))
        say(q, "{\"error\": {\"class\": \"DeviceNotActive\", \"desc\": \"none\"}, \"id\": %s}\n", id);
    else if (g_str_equal(what, "query-status"))
        say(q, "{\"return\": {\"status\": \"running\", \"running\": true, \"singlestep\": false}, \"id\": %s}\n", id);
    else if (g_str_equal(what, "query-jobs") && q->id)
        say(q, "{\"return\": [{\"id\": \"%s\", \"type\": \"mirror\", \"status\": \"%s\", \"current-progress\": 1, \"total-progress\": 1%s}], "
               "\"id\": %s}\n", q->id, q->status, q->failed ? ", \"error\": \"No space left on device\"" : "", id);
    else if (g_str_equal(what, "query-jobs"))
        say(q, "{\"return\": [], \"id\": %s}\n", id);
    else
        say(q, "{\"return\": {}, \"id\": %s}\n", id);
}

/* False: QEMU has had enough. */
static bool answer(Qemu *q, json_t *cmd)
{
    const char *what = json_string_value(json_object_get(cmd, "execute"));
    char *id = json_dumps(json_object_get(cmd, "id"), JSON_ENCODE_ANY);
    bool job_command = strstr(what, "job") || strstr(what, "stream") || strstr(what, "mirror");
    bool lives = true, first = chance(q, 2);
    if (chance(q, 10))
        g_usleep((gulong)g_rand_int_range(q->rnd, 1, 2000));
    if (job_command && chance(q, 150))
        kill(q->pid, SIGKILL), lives = false;
    if (lives && first)
        act(q, what, json_object_get(cmd, "arguments"));
    if (lives && job_command && chance(q, 150))
        lives = false; /* after what it did, without a reply */
    if (lives) {
        reply(q, what, id);
        if (!first)
            act(q, what, json_object_get(cmd, "arguments"));
    }
    free(id);
    return lives;
}

static gpointer server(gpointer arg)
{
    Qemu *q = arg;
    g_autoptr(GString) in = g_string_new(NULL);
    bool lives = true;
    say(q, "{\"QMP\": {\"version\": {\"qemu\": {\"major\": 7, \"minor\": 2, \"micro\": 0}, \"package\": \"\"}, \"capabilities\": []}}\n");
    while (lives) {
        char buf[1024];
        ssize_t n = recv(q->fd, buf, sizeof(buf), 0);
        if (n <= 0)
            break;
        g_string_append_len(in, buf, n);
        char *nl;
        while (lives && (nl = memchr(in->str, '\n', in->len))) {
            json_t *cmd = json_loadb(in->str, (size_t)(nl - in->str), 0, NULL);
            lives = !cmd || answer(q, cmd);
            json_decref(cmd);
            g_string_erase(in, 0, nl - in->str + 1);
        }
    }
    close(q->fd);
    kill(q->pid, SIGKILL);
    forget_job(q);
    g_rand_free(q->rnd);
    g_free(q);
    g_atomic_int_add(&servers, -1);
    return NULL;
}

static int new_qemu(pid_t child)
{
    static gint seed = 1;
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    Qemu *q = g_new0(Qemu, 1);
    *q = (Qemu){.fd = pair[1], .pid = child, .rnd = g_rand_new_with_seed((guint32)g_atomic_int_add(&seed, 1))};
    g_atomic_int_inc(&servers);
    g_thread_unref(g_thread_new("qemu", server, q));
    return pair[0];
}

/* ---- a kind of job that counts ----------------------------------------------------------------------------------- */

typedef struct Count {
    unsigned ready, concluded, cleanup;
} Count;

static void count_ready(Domain *d, BlockJob *job)
{
    Count *c = blockjob_data(job);
    assert_int_equal(c->ready++, 0);
    assert_int_equal(c->concluded, 0);
}

static int count_concluded(Domain *d, BlockJob *job, int status)
{
    Count *c = blockjob_data(job);
    /* again only when the machine ended before the end of the first */
    c->concluded++;
    assert_int_equal(c->cleanup, 0);
    return 0;
}

static void count_cleanup(Domain *d, BlockJob *job, int status, GArray *commands)
{
    Count *c = blockjob_data(job);
    assert_int_equal(c->concluded, 1);
    assert_int_equal(c->cleanup++, 0);
}

static int say_done(Domain *d, BlockJob *job)
{
    return 1;
}

static const BlockJobOps copy_ops = {.type = VIR_DOMAIN_BLOCK_JOB_TYPE_COPY,
                                     .what = "copy",
                                     .can_pivot = true,
                                     .ready = count_ready,
                                     .concluded = count_concluded,
                                     .cleanup = count_cleanup,
                                     .free_data = g_free};
static const BlockJobOps pull_ops = {.type = VIR_DOMAIN_BLOCK_JOB_TYPE_PULL,
                                     .what = "pull",
                                     .finalized_by_us = true,
                                     .goes_by_itself = true,
                                     .concluded = count_concluded,
                                     .cleanup = count_cleanup,
                                     .pivoted = say_done,
                                     .free_data = g_free};

static void on_event(const DomainEvent *e)
{
    if (e->class == EVENT_DOMAIN && e->id == VIR_DOMAIN_EVENT_ID_BLOCK_JOB_2 && e->block_job.status != VIR_DOMAIN_BLOCK_JOB_READY)
        g_atomic_int_inc(&told);
}

/* ---- clients ----------------------------------------------------------------------------------------------------- */

typedef struct Client {
    Domain *d;
    GRand *rnd;
    unsigned round;
} Client;

static bool toss(Client *c, int one_in)
{
    return g_rand_int_range(c->rnd, 0, one_in) == 0;
}

/* The job's end inside the region: 0, or -1 when the machine ended. */
static int go_through(Client *c, BlockJob *job, BlockJobSync *s, Err *err)
{
    Domain *d = c->d;
    while (blockjob_state(job) != BLOCKJOB_OVER) {
        int status;
        if (blockjob_state(job) == BLOCKJOB_READY) {
            bool pivot = toss(c, 2);
            blockjob_set_state(d, job, pivot ? BLOCKJOB_PIVOTING : BLOCKJOB_ABORTING);
            if (blockjob_send_end(d, job, err) < 0 && (!d->live || blockjob_state(job) == BLOCKJOB_OVER))
                return -1;
            err_clear(err);
            if (toss(c, 6))
                return 0; /* somebody who does not wait: asynchronous from here */
        }
        int r = toss(c, 3) ? blockjob_sync_wait_timeout(s, (unsigned)g_rand_int_range(c->rnd, 0, 3), &status, err)
                           : blockjob_sync_wait(s, &status, err);
        if (r < 0)
            return -1;
    }
    return 0;
}

static int call_job(Domain *d, void *arg, Err *err)
{
    Client *c = arg;
    g_auto(BlockJobSync) s = {0};
    if (!domain_is_active(d))
        return domain_start(d, 0, 0, err);
    if (blockjob_count(d)) /* the last one, without a region, is not over */
        return 0;
    bool pull = toss(c, 3), sync = !toss(c, 5);
    g_autofree char *id = g_strdup_printf("berth-storm-%u", c->round++);
    g_autoptr(BlockJob) job = blockjob_new(d, pull ? &pull_ops : &copy_ops, id, "virtio-disk0", "vda", g_new0(Count, 1), err);
    assert_non_null(job);
    if (sync && blockjob_sync_begin(d, job, &s, err) < 0)
        fail_msg("no region: %s", err->detail);
    if (sync)
        g_atomic_int_inc(&regions);
    if (domain_qmp(d, pull ? "block-stream" : "blockdev-mirror", json_pack("{s:s}", "job-id", id), NULL, err) < 0)
        return -1; /* it died */
    blockjob_started(d, job);
    int r = sync ? go_through(c, job, &s, err) : 0;
    blockjob_sync_end(&s, NULL);
    const Count *n = blockjob_data(job);
    if (r == 0 && d->live && blockjob_state(job) == BLOCKJOB_OVER)
        assert_int_equal(n->concluded, 1);
    return r;
}

/* A copy that nobody waits for is in step, and stays so until it is ended. */
static int call_end(Domain *d, void *arg, Err *err)
{
    g_autoptr(BlockJob) job = domain_is_active(d) && blockjob_count(d) ? blockjob_ref(blockjob_at(d, 0)) : NULL;
    if (!job || blockjob_state(job) != BLOCKJOB_READY)
        return 0;
    blockjob_set_state(d, job, BLOCKJOB_PIVOTING);
    return blockjob_send_end(d, job, err);
}

static gpointer client(gpointer arg)
{
    Client *c = arg;
    while (c->round < rounds) {
        g_auto(Err) err = ERR_INIT;
        if (world_as_gate(c->d, JOB_MODIFY, call_job, c, &err) < 0)
            g_atomic_int_inc(&deaths);
        if (err.code == VIR_ERR_OPERATION_TIMEOUT)
            fail_msg("%s", err.detail);
        err_clear(&err);
        world_as_gate(c->d, JOB_MODIFY, call_end, NULL, &err);
    }
    g_atomic_int_add(&over, 1);
    return NULL;
}

/* Lost events are known to be lost: by an inbox that was full, by a time-out. */
static gpointer disturber(gpointer arg)
{
    Domain **all = arg;
    for (unsigned i = 0; g_atomic_int_get(&over) < MACHINES; i++) {
        Domain *d = all[i % MACHINES];
        if (i % 3 == 0) {
            inbox_poke(d);
        } else {
            domain_lock(d);
            domain_resync_later(d);
            domain_unlock(d);
        }
        g_usleep(1500);
    }
    return NULL;
}

static int call_destroy(Domain *d, void *arg, Err *err)
{
    return domain_destroy(d, 0, err);
}

static void test_storm(void **state)
{
    Domain *all[MACHINES];
    Client clients[MACHINES];
    GThread *threads[MACHINES];
    g_auto(Err) err = ERR_INIT;
    for (unsigned i = 0; i < MACHINES; i++) {
        g_autofree char *name = g_strdup_printf("m%u", i), *uuid = g_strdup_printf("11111111-2222-4333-8444-55555555555%u", i);
        g_autofree char *xml = world_xml(name, uuid, NULL);
        all[i] = domain_define(world_drv, xml, 0, &err);
        assert_non_null(all[i]);
        clients[i] = (Client){.d = all[i], .rnd = g_rand_new_with_seed(1000 + i)};
        threads[i] = g_thread_new("client", client, &clients[i]);
    }
    GThread *third = g_thread_new("disturber", disturber, all);
    for (unsigned i = 0; i < MACHINES; i++)
        g_thread_join(threads[i]);
    g_thread_join(third);
    for (unsigned i = 0; i < MACHINES; i++) {
        err_clear(&err);
        world_as_gate(all[i], JOB_DESTROY, call_destroy, NULL, &err); /* may be off already */
        assert_true(world_wait_off(all[i]));
        domain_lock(all[i]);
        assert_int_equal(blockjob_count(all[i]), 0);
        domain_unlock(all[i]);
        object_unref(all[i]);
        g_rand_free(clients[i].rnd);
    }
    Deadline end = deadline_in_ms(10000);
    while (g_atomic_int_get(&servers) && !deadline_passed(end))
        g_usleep(1000);
    assert_int_equal(g_atomic_int_get(&servers), 0);
    print_message("%d regions, %d calls ended by the machine, %d conclusions told\n", g_atomic_int_get(&regions), g_atomic_int_get(&deaths),
                  g_atomic_int_get(&told));
    assert_true(g_atomic_int_get(&regions) > (gint)rounds);
    assert_true(g_atomic_int_get(&told) > (gint)rounds);
    assert_true(g_atomic_int_get(&deaths) > 0);
}

static int setup(void **state)
{
    if (world_setup(state) < 0)
        return -1;
    world_monitor = new_qemu;
    world_on_event = on_event;
    const char *text = g_getenv("BERTH_STORM_ROUNDS");
    if (text)
        rounds = (unsigned)atoi(text);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_storm, setup, world_teardown),
    };
    return cmocka_run_group_tests(tests, world_begin, world_end);
}
