/* tests/unit/test_qmp_client.c - the QMP client against a scripted peer
 */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <cmocka.h>

#include "util/fd.h"
#include "util/lock.h"
#include "util/spawn.h"
#include "qmp/commands.h"
#include "qmp/codec.h"
#include "tests/qmp/peer.h"

/* What the handlers saw. */
typedef struct Seen {
    Mutex lock;
    Cond changed;
    GString *events; /* names, each followed by a blank */
    unsigned ready, responsive, closed;
    char *reason;
} Seen;

typedef struct Fixture {
    EventLoop *loop;
    Seen seen;
    Peer *peer;
    QmpClient *client;
} Fixture;

static void on_ready(void *u)
{
    Seen *s = u;
    LOCK_SCOPE(&s->lock);
    s->ready++;
}

static void on_event(void *u, const char *name, json_t *data, uint64_t usec)
{
    Seen *s = u;
    LOCK_SCOPE(&s->lock);
    assert_int_equal(s->closed, 0);
    g_string_append_printf(s->events, "%s ", name);
    cond_broadcast(&s->changed);
}

static void on_responsive(void *u)
{
    Seen *s = u;
    LOCK_SCOPE(&s->lock);
    s->responsive++;
    cond_broadcast(&s->changed);
}

static void on_closed(void *u, const char *reason)
{
    Seen *s = u;
    LOCK_SCOPE(&s->lock);
    s->closed++;
    g_free(s->reason);
    s->reason = g_strdup(reason);
    cond_broadcast(&s->changed);
}

static const QmpHandlers handlers = {on_ready, on_event, on_responsive, on_closed};

static void begin_fd(Fixture *f, int fd, uint64_t greeting_ms)
{
    f->client = qmp_client_new(f->loop, fd, deadline_in_ms(greeting_ms), &handlers, &f->seen);
}

static void begin(Fixture *f, PeerFlags flags)
{
    int fd;
    f->peer = peer_new(flags, &fd);
    begin_fd(f, fd, 5000);
}

static int setup(void **state)
{
    Fixture *f = g_new0(Fixture, 1);
    f->loop = event_loop_new("monitor");
    event_loop_start(f->loop);
    mutex_init(&f->seen.lock, LOCK_LEAF, "seen");
    cond_init(&f->seen.changed);
    f->seen.events = g_string_new(NULL);
    *state = f;
    return 0;
}

static void wait_closed(Fixture *f)
{
    Deadline d = deadline_in_ms(5000);
    LOCK_SCOPE(&f->seen.lock);
    while (!f->seen.closed)
        assert_true(cond_wait_until(&f->seen.changed, &f->seen.lock, d));
}

static int teardown(void **state)
{
    Fixture *f = *state;
    if (f->client) {
        qmp_client_close(f->client, "end of test");
        wait_closed(f);
        qmp_client_unref(f->client);
    }
    char *problem = f->peer ? peer_end(f->peer) : NULL;
    event_loop_stop(f->loop, 0);
    event_loop_free(f->loop);
    assert_int_equal(f->seen.closed, f->client ? 1 : 0);
    if (problem)
        print_error("peer: %s\n", problem);
    int r = problem ? -1 : 0;
    g_free(problem);
    g_free(f->seen.reason);
    g_string_free(f->seen.events, TRUE);
    cond_done(&f->seen.changed);
    mutex_done(&f->seen.lock);
    g_free(f);
    return r;
}

/* ---- cases */

static void test_call(void **state)
{
    Fixture *f = *state;
    begin(f, 0);
    peer_expect(f->peer, "query-status", "{}");
    peer_reply(f->peer, "{\"running\": true, \"status\": \"running\", \"singlestep\": false}");
    json_t *ret = NULL;
    g_auto(Err) err = ERR_INIT;
    assert_int_equal(qmp_call(f->client, QMP(QUERY_STATUS), NULL, deadline_in_ms(5000), &ret, &err), QMP_OK);
    assert_string_equal(json_string_value(json_object_get(ret, "status")), "running");
    json_decref(ret);
    QmpVersion v;
    qmp_client_version(f->client, &v);
    assert_int_equal(v.major, 7);
    assert_int_equal(v.micro, 22);
    LOCK_SCOPE(&f->seen.lock);
    assert_int_equal(f->seen.ready, 1);
}

static void test_error_classes(void **state)
{
    Fixture *f = *state;
    begin(f, 0);
    peer_expect(f->peer, "device_del", "{\"id\": \"x\"}");
    peer_fail(f->peer, "DeviceNotFound", "Device 'x' not found");
    g_auto(Err) err = ERR_INIT;
    assert_int_equal(qmp_call(f->client, QMP(DEVICE_DEL), json_pack("{s:s}", "id", "x"), deadline_in_ms(5000), NULL, &err),
                     QMP_DEVICE_NOT_FOUND);
    assert_int_equal(err.code, VIR_ERR_INTERNAL_ERROR);
    assert_string_equal(err.detail, "unable to execute QEMU command 'device_del': Device 'x' not found");
}

/* QEMU's schema is what checks commands: one with a wrong member must be noticed. */
static void test_schema(void **state)
{
    const QmpSchema *s = peer_schema();
    if (!s)
        skip();
    g_auto(Err) err = ERR_INIT;
    json_t *good = json_pack("{s:s,s:s,s:{s:s,s:s}}", "driver", "qcow2", "node-name", "n", "file", "driver", "file", "filename", "/x");
    assert_int_equal(qmp_schema_check(s, "blockdev-add", good, &err), 0);
    json_object_set_new(json_object_get(good, "file"), "nonsense", json_true());
    assert_int_equal(qmp_schema_check(s, "blockdev-add", good, &err), -1);
    json_decref(good);
    err_clear(&err);
    assert_int_equal(qmp_schema_check(s, "balloon", NULL, &err), -1);
    assert_non_null(strstr(err.detail, "value"));
    err_clear(&err);
    assert_int_equal(qmp_schema_check(s, "no-such-command", NULL, &err), -1);
    assert_true(qmp_schema_has(s, "blockdev-add/+driver=file/aio=threads"));
    assert_false(qmp_schema_has(s, "blockdev-add/+driver=file/aio=nonsense"));
    assert_false(qmp_schema_has(s, "blockdev-add/+driver=nonsense"));
    assert_true(qmp_schema_has(s, "chardev-add/backend=socket"));
    assert_true(qmp_schema_has(s, "screendump/format=png"));
    assert_true(qmp_schema_has(s, "MEMORY_FAILURE"));
    /* every row of the table exists in the QEMU we are built for, or is one its build left out */
    static const char *const optional[] = {"query-spice", "query-sev", "query-sev-launch-measure", "query-sev-capabilities",
                                           "query-sgx-capabilities", "query-gic-capabilities", "query-cpu-model-baseline",
                                           "query-cpu-model-comparison"};
    for (unsigned i = 0; i < QMP_COMMAND_MAX; i++) {
        const char *name = qmp_commands[i].name;
        bool may_lack = false;
        for (unsigned k = 0; k < N_ELEMENTS(optional); k++)
            may_lack |= strcmp(optional[k], name) == 0;
        if (!qmp_schema_has(s, name) && !may_lack)
            fail_msg("QEMU has no command '%s'", name);
    }
}

static void test_events_in_order(void **state)
{
    Fixture *f = *state;
    begin(f, 0);
    peer_emit(f->peer, "RESUME", NULL);
    peer_expect(f->peer, "stop", NULL);
    peer_emit(f->peer, "STOP", "{\"x\": 1}");
    peer_reply(f->peer, NULL);
    assert_int_equal(qmp_call(f->client, QMP(STOP), NULL, deadline_in_ms(5000), NULL, NULL), QMP_OK);
    LOCK_SCOPE(&f->seen.lock);
    assert_string_equal(f->seen.events->str, "RESUME STOP "); /* before the reply was seen */
}

typedef struct Caller {
    Fixture *f;
    unsigned n, bad;
    pthread_t thread;
} Caller;

static void *caller_main(void *arg)
{
    Caller *k = arg;
    for (unsigned i = 0; i < 50; i++) {
        json_t *ret = NULL;
        if (qmp_call(k->f->client, QMP(QUERY_BALLOON), NULL, deadline_in_ms(10000), &ret, NULL) != QMP_OK)
            k->bad++;
        json_decref(ret);
    }
    return NULL;
}

static void test_eight_threads(void **state)
{
    Fixture *f = *state;
    begin(f, PEER_NO_SCHEMA);
    peer_expect(f->peer, "query-balloon", NULL);
    peer_emit(f->peer, "NOISE", NULL);
    peer_reply(f->peer, "{\"actual\": 1}");
    peer_repeat(f->peer, 3, 399);
    Caller callers[8];
    for (unsigned i = 0; i < 8; i++) {
        callers[i] = (Caller){.f = f, .n = i};
        pthread_create(&callers[i].thread, NULL, caller_main, &callers[i]);
    }
    for (unsigned i = 0; i < 8; i++) {
        pthread_join(callers[i].thread, NULL);
        assert_int_equal(callers[i].bad, 0);
    }
}

/* End of file in the middle of a call wakes the caller at once, not at its deadline. */
static void test_eof_in_call(void **state)
{
    Fixture *f = *state;
    begin(f, 0);
    peer_expect(f->peer, "query-status", NULL);
    peer_emit(f->peer, "SHUTDOWN", "{\"guest\": false, \"reason\": \"x\"}");
    peer_die(f->peer);
    uint64_t start = now_us();
    g_auto(Err) err = ERR_INIT;
    assert_int_equal(qmp_call(f->client, QMP(QUERY_STATUS), NULL, deadline_in_ms(20000), NULL, &err), QMP_CLOSED);
    assert_true(now_us() - start < 5000000);
    assert_int_equal(err.code, VIR_ERR_OPERATION_FAILED);
    wait_closed(f);
    assert_string_equal(f->seen.events->str, "SHUTDOWN ");
    err_clear(&err);
    assert_int_equal(qmp_call(f->client, QMP(QUERY_STATUS), NULL, deadline_in_ms(20000), NULL, &err), QMP_CLOSED);
}

static void test_close_wakes(void **state)
{
    Fixture *f = *state;
    begin(f, 0);
    Caller k = {.f = f};
    peer_expect(f->peer, "query-balloon", NULL);
    peer_stall(f->peer);
    pthread_create(&k.thread, NULL, caller_main, &k);
    g_usleep(50000); /* lets the call reach its sleep; either way it must end */
    qmp_client_close(f->client, "test");
    pthread_join(k.thread, NULL);
    assert_int_equal(k.bad, 50);
    wait_closed(f);
    assert_string_equal(f->seen.reason, "test");
    peer_resume(f->peer);
}

static void test_deadline_and_late_reply(void **state)
{
    Fixture *f = *state;
    begin(f, 0);
    peer_expect(f->peer, "query-status", NULL);
    peer_stall(f->peer);
    peer_reply(f->peer, "{}");
    peer_expect(f->peer, "query-name", NULL);
    peer_reply(f->peer, "{}");
    assert_int_equal(qmp_client_wait_ready(f->client, deadline_in_ms(5000), NULL), 0);
    g_auto(Err) err = ERR_INIT;
    assert_int_equal(qmp_call(f->client, QMP(QUERY_STATUS), NULL, deadline_in_ms(50), NULL, &err), QMP_TIMEOUT);
    assert_int_equal(err.code, VIR_ERR_OPERATION_TIMEOUT);
    assert_false(qmp_client_is_responsive(f->client));
    err_clear(&err);
    uint64_t start = now_us();
    assert_int_equal(qmp_call(f->client, QMP(QUERY_NAME), NULL, deadline_in_ms(5000), NULL, &err), QMP_REFUSED);
    assert_int_equal(err.code, VIR_ERR_OPERATION_TIMEOUT);
    assert_true(now_us() - start < 1000000);
    peer_resume(f->peer);
    {
        Deadline d = deadline_in_ms(5000);
        LOCK_SCOPE(&f->seen.lock);
        while (!f->seen.responsive)
            assert_true(cond_wait_until(&f->seen.changed, &f->seen.lock, d));
    }
    assert_true(qmp_client_is_responsive(f->client));
    assert_int_equal(qmp_call(f->client, QMP(QUERY_NAME), NULL, deadline_in_ms(5000), NULL, NULL), QMP_OK);
}

/* ---- asynchronous */

typedef struct Answers {
    Mutex lock;
    Cond changed;
    unsigned n;
    QmpStatus last;
    int sum;
} Answers;

static void count_answer(void *u, QmpStatus status, json_t *ret, Err *err)
{
    Answers *a = u;
    assert_true((status == QMP_OK) == (ret != NULL));
    assert_true((status != QMP_OK) == err_is_set(err));
    LOCK_SCOPE(&a->lock);
    a->n++;
    a->last = status;
    int actual = (int)json_integer_value(json_object_get(ret, "actual"));
    a->sum = a->sum * 10 + actual;
    cond_broadcast(&a->changed);
}

static void answers_init(Answers *a)
{
    *a = (Answers){0};
    mutex_init(&a->lock, LOCK_LEAF, "answers");
    cond_init(&a->changed);
}

static void answers_wait(Answers *a, unsigned n)
{
    Deadline d = deadline_in_ms(5000);
    LOCK_SCOPE(&a->lock);
    while (a->n < n)
        assert_true(cond_wait_until(&a->changed, &a->lock, d));
    assert_int_equal(a->n, n);
}

static void test_pipeline(void **state)
{
    Fixture *f = *state;
    begin(f, 0);
    Answers a;
    answers_init(&a);
    for (int i = 1; i <= 5; i++)
        qmp_send(f->client, QMP(QUERY_BALLOON), NULL, deadline_in_ms(5000), count_answer, &a);
    for (int i = 1; i <= 5; i++) {
        g_autofree char *ret = g_strdup_printf("{\"actual\": %d}", i);
        peer_expect(f->peer, "query-balloon", NULL);
        peer_reply(f->peer, ret);
    }
    answers_wait(&a, 5);
    assert_int_equal(a.sum, 12345);
}

/* What was not sent will not be done, and is no sign of a QEMU that hangs. */
static void test_deadline_before_it_is_sent(void **state)
{
    Fixture *f = *state;
    begin(f, PEER_NO_GREETING);
    g_auto(Err) err = ERR_INIT;
    assert_int_equal(qmp_call(f->client, QMP(QUERY_STATUS), NULL, deadline_in_ms(50), NULL, &err), QMP_REFUSED);
    assert_int_equal(err.code, VIR_ERR_OPERATION_TIMEOUT);
    assert_true(qmp_client_is_responsive(f->client));
}

static void test_async_deadline_and_close(void **state)
{
    Fixture *f = *state;
    begin(f, 0);
    peer_expect(f->peer, "query-balloon", NULL);
    peer_stall(f->peer);
    Answers a;
    answers_init(&a);
    qmp_send(f->client, QMP(QUERY_BALLOON), NULL, deadline_in_ms(60), count_answer, &a);
    qmp_send(f->client, QMP(QUERY_BALLOON), NULL, deadline_in_ms(60000), count_answer, &a);
    answers_wait(&a, 1);
    assert_int_equal(a.last, QMP_TIMEOUT);
    assert_false(qmp_client_is_responsive(f->client));
    qmp_client_close(f->client, "test");
    answers_wait(&a, 2);
    assert_int_equal(a.last, QMP_CLOSED);
    wait_closed(f);
    qmp_send(f->client, QMP(QUERY_BALLOON), NULL, deadline_in_ms(60), count_answer, &a);
    answers_wait(&a, 3);
    assert_int_equal(a.last, QMP_CLOSED);
    peer_resume(f->peer);
}

/* One that did not answer in time and answers again is asked again, though what it owes has not come yet. */
static void test_catches_up(void **state)
{
    Fixture *f = *state;
    begin(f, 0);
    peer_expect(f->peer, "query-balloon", NULL);
    peer_stall(f->peer);
    peer_reply(f->peer, "{\"actual\": 1}");
    peer_expect(f->peer, "query-status", NULL);
    peer_stall(f->peer);
    peer_reply(f->peer, "{}");
    peer_expect(f->peer, "query-balloon", NULL);
    peer_reply(f->peer, "{\"actual\": 2}");
    Answers patient, hasty;
    answers_init(&patient);
    answers_init(&hasty);
    qmp_send(f->client, QMP(QUERY_BALLOON), NULL, deadline_in_ms(60000), count_answer, &patient);
    qmp_send(f->client, QMP(QUERY_STATUS), NULL, deadline_in_ms(60), count_answer, &hasty);
    answers_wait(&hasty, 1);
    assert_int_equal(hasty.last, QMP_TIMEOUT);
    qmp_send(f->client, QMP(QUERY_NAME), NULL, deadline_in_ms(60000), count_answer, &hasty);
    answers_wait(&hasty, 2);
    assert_int_equal(hasty.last, QMP_REFUSED);
    peer_resume(f->peer);
    answers_wait(&patient, 1);
    assert_false(qmp_client_is_responsive(f->client));
    qmp_send(f->client, QMP(QUERY_BALLOON), NULL, deadline_in_ms(60000), count_answer, &patient);
    peer_resume(f->peer);
    answers_wait(&patient, 2);
    assert_int_equal(patient.last, QMP_OK);
    assert_int_equal(patient.sum, 12);
    assert_true(qmp_client_is_responsive(f->client));
}

static void test_fds(void **state)
{
    Fixture *f = *state;
    begin(f, 0);
    peer_expect(f->peer, "add-fd", "{\"fdset-id\": 3}");
    peer_expect_fds(f->peer, 1);
    peer_reply(f->peer, "{\"fdset-id\": 3, \"fd\": 20}");
    AUTO_CLOSE int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_int_equal(qmp_call_fds(f->client, QMP(ADD_FD), json_pack("{s:i}", "fdset-id", 3), &fd, 1, deadline_in_ms(5000), NULL, NULL),
                     QMP_OK);
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC); /* still ours */
}

static void test_raw(void **state)
{
    Fixture *f = *state;
    begin(f, PEER_NO_SCHEMA);
    peer_expect(f->peer, "nonsense", NULL);
    peer_fail(f->peer, "CommandNotFound", "The command nonsense has not been found");
    peer_expect(f->peer, "query-name", NULL);
    peer_reply(f->peer, "{}");
    json_t *ret = NULL;
    assert_int_equal(qmp_call_raw(f->client, json_pack("{s:s,s:i}", "execute", "nonsense", "id", 7), NULL, 0, deadline_in_ms(5000), &ret,
                                  NULL),
                     QMP_OK);
    assert_int_equal(json_integer_value(json_object_get(ret, "id")), 7);
    assert_non_null(json_object_get(ret, "error"));
    json_decref(ret);
    assert_int_equal(qmp_call_raw(f->client, json_pack("{s:s}", "execute", "query-name"), NULL, 0, deadline_in_ms(5000), &ret, NULL),
                     QMP_OK);
    assert_null(json_object_get(ret, "id"));
    assert_int_equal(json_object_size(ret), 1);
    json_decref(ret);
    assert_int_equal(qmp_call_raw(f->client, json_array(), NULL, 0, deadline_in_ms(5000), &ret, NULL), QMP_REFUSED);
}

/* Every wrapper once: what it sends is in QEMU's schema (the peer checks). */
static void test_wrappers(void **state)
{
    Fixture *f = *state;
    begin(f, 0);
    static const char *const commands[] = {
        "cont", "stop", "system_powerdown", "system_reset", "system_wakeup", "quit", "inject-nmi", "send-key", "query-cpus-fast", "qom-get",
        "qom-set", "qom-list", "device_add", "device_del", "object-add", "object-del", "balloon", "qom-get", "qom-set", "blockdev-add",
        "blockdev-del", "query-blockstats", "query-block", "query-named-block-nodes", "query-jobs", "query-block-jobs", "job-dismiss",
        "job-cancel", "job-complete", "job-finalize", "block_set_io_throttle", "block_resize", "blockdev-open-tray", "blockdev-close-tray",
        "blockdev-remove-medium", "blockdev-insert-medium", "netdev_add", "netdev_del", "set_link", "query-rx-filter", "query-chardev",
        "chardev-add", "chardev-remove", "set_password", "expire_password", "query-vnc-servers", "screendump", "remove-fd", "getfd",
        "closefd", "getfd", "add_client", "human-monitor-command",
    };
    for (unsigned i = 0; i < N_ELEMENTS(commands); i++) {
        peer_expect(f->peer, commands[i], NULL);
        peer_reply(f->peer, "{}");
    }
    QmpClient *c = f->client;
    const unsigned keys[] = {29, 56, 211};
    AUTO_CLOSE int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int bad = qmp_cont(c, NULL) || qmp_stop(c, NULL) || qmp_system_powerdown(c, NULL) || qmp_system_reset(c, NULL) ||
              qmp_system_wakeup(c, NULL) || qmp_quit(c, NULL) || qmp_inject_nmi(c, NULL) || qmp_send_key(c, keys, 3, 20, NULL) ||
              qmp_query_cpus(c, NULL, NULL) || qmp_qom_get(c, "/a", "b", NULL, NULL) || qmp_qom_set(c, "/a", "b", json_true(), NULL) ||
              qmp_qom_list(c, "/", NULL, NULL) || qmp_device_add(c, json_pack("{s:s,s:s}", "driver", "e1000", "id", "n"), NULL) ||
              qmp_device_del(c, "n", NULL) || qmp_object_add(c, json_pack("{s:s,s:s}", "qom-type", "iothread", "id", "i"), NULL) ||
              qmp_object_del(c, "i", NULL) || qmp_balloon(c, 1 << 20, NULL) || qmp_balloon_stats(c, "/b", NULL, NULL) ||
              qmp_balloon_set_period(c, "/b", 2, NULL) ||
              qmp_blockdev_add(c, json_pack("{s:s,s:s}", "driver", "null-co", "node-name", "n"), NULL) || qmp_blockdev_del(c, "n", NULL) ||
              qmp_query_blockstats(c, true, NULL, NULL) || qmp_query_block(c, NULL, NULL) || qmp_query_block_nodes(c, true, NULL, NULL) ||
              qmp_query_jobs(c, NULL, NULL) || qmp_query_block_jobs(c, NULL, NULL) || qmp_job_dismiss(c, "j", NULL) ||
              qmp_job_cancel(c, "j", NULL) || qmp_job_complete(c, "j", NULL) || qmp_job_finalize(c, "j", NULL) ||
              qmp_block_io_throttle(c, json_pack("{s:s,s:i,s:i,s:i,s:i,s:i,s:i}", "id", "d", "bps", 0, "bps_rd", 0, "bps_wr", 0, "iops", 0,
                                                 "iops_rd", 0, "iops_wr", 0), NULL) ||
              qmp_block_resize(c, "n", 1 << 30, NULL) || qmp_blockdev_open_tray(c, "d", true, NULL) ||
              qmp_blockdev_close_tray(c, "d", NULL) || qmp_blockdev_remove_medium(c, "d", NULL) ||
              qmp_blockdev_insert_medium(c, "d", "n", NULL) || qmp_netdev_add(c, json_pack("{s:s,s:s}", "type", "user", "id", "n"), NULL) ||
              qmp_netdev_del(c, "n", NULL) || qmp_set_link(c, "n", false, NULL) || qmp_query_rx_filter(c, "n", NULL, NULL) ||
              qmp_query_chardev(c, NULL, NULL) ||
              qmp_chardev_add(c, "c", json_pack("{s:s,s:{}}", "type", "null", "data"), NULL, NULL) || qmp_chardev_remove(c, "c", NULL) ||
              qmp_set_password(c, "vnc", "x", "keep", NULL) || qmp_expire_password(c, "vnc", "never", NULL) ||
              qmp_query_vnc(c, NULL, NULL) || qmp_screendump(c, "/dev/fdset/1", "v", 0, "png", NULL) || qmp_remove_fd(c, 1, NULL) ||
              qmp_getfd(c, fd, "x", NULL) || qmp_closefd(c, "x", NULL) || qmp_add_client(c, "vnc", fd, true, NULL);
    assert_int_equal(bad, 0);
    g_autofree char *text = NULL;
    assert_int_equal(qmp_human_monitor(c, "info version", &text, NULL), QMP_OK);
}

/* Each of these must close the client with a reason, and nothing else. */
static void test_garbage(void **state)
{
    Fixture *f = *state;
    static const char *const inputs[] = {
        "\xff\xfe\xfd\n",
        "hello\n",
        "[1,2,3]\n",
        "{}\n",
        "\"x\"\n",
        "{\"return\": {}, \"id\": \"b-99\"}\n",
        "{\"return\": {}}\n",
        "{\"return\": {}, \"id\": \"b-0\"}\n",
        "{\"QMP\": {}}\n",
        "{\"QMP\": 7}\n",
        "{\"QMP\": {\"version\": {\"qemu\": {\"major\": \"x\"}}}}\n",
        "{\"event\": \"X\"\n",
        "",
    };
    for (unsigned i = 0; i < N_ELEMENTS(inputs); i++) {
        int pair[2];
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        begin_fd(f, pair[1], 5000);
        assert_int_equal(send(pair[0], inputs[i], strlen(inputs[i]), MSG_NOSIGNAL), (ssize_t)strlen(inputs[i]));
        shutdown(pair[0], SHUT_WR);
        g_auto(Err) err = ERR_INIT;
        assert_int_equal(qmp_client_wait_ready(f->client, deadline_in_ms(5000), &err), -1);
        assert_int_equal(err.code, VIR_ERR_OPERATION_FAILED);
        wait_closed(f);
        assert_int_equal(f->seen.closed, 1);
        f->seen.closed = 0;
        f->client = qmp_client_unref(f->client);
        close(pair[0]);
    }
}

/* The same dialogue with the writes cut at ever other places. */
static void test_split(void **state)
{
    Fixture *f = *state;
    static const char text[] =
        "{\"QMP\": {\"version\": {\"qemu\": {\"major\": 7, \"minor\": 2, \"micro\": 0}, \"package\": \"\"}}}\r\n"
        "{\"return\": {}, \"id\": \"b-0\"}\r\n\r\n{\"event\": \"A\\n\\\"{[\", \"data\": {\"n\": 18446744073709551615}}\r\n";
    for (size_t cut = 1; cut < sizeof(text) - 1; cut += 3) {
        int pair[2];
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        g_string_truncate(f->seen.events, 0);
        begin_fd(f, pair[1], 5000);
        for (size_t at = 0; at < sizeof(text) - 1; at += cut)
            assert_true(send(pair[0], text + at, MIN(cut, sizeof(text) - 1 - at), MSG_NOSIGNAL) > 0);
        shutdown(pair[0], SHUT_WR);
        wait_closed(f);
        assert_string_equal(f->seen.events->str, "A\n\"{[ ");
        f->seen.closed = 0;
        f->client = qmp_client_unref(f->client);
        close(pair[0]);
    }
}

static void test_no_greeting(void **state)
{
    Fixture *f = *state;
    int fd;
    f->peer = peer_new(PEER_NO_GREETING, &fd);
    begin_fd(f, fd, 50);
    /* A command waits for the greeting and ends with the client. */
    g_auto(Err) err = ERR_INIT;
    assert_int_equal(qmp_call(f->client, QMP(QUERY_STATUS), NULL, deadline_in_ms(20000), NULL, &err), QMP_CLOSED);
    assert_non_null(strstr(err.detail, "greeting"));
}

/* The real one: greeting, pipelined start, a passed descriptor, an error by class, the end. */
static void test_real_qemu(void **state)
{
    Fixture *f = *state;
    static const char qemu[] = "/usr/bin/qemu-system-x86_64";
    if (access(qemu, X_OK) < 0)
        skip();
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    const char *const argv[] = {qemu, "-S", "-nodefaults", "-display", "none", "-machine", "none,accel=tcg", "-chardev", "socket,id=m,fd=3",
                                "-mon", "chardev=m,mode=control", NULL};
    const SpawnFd fds[] = {{.fd = pair[1], .target = 3}};
    const SpawnOpts opts = {.argv = argv, .fd_in = -1, .fd_out = -1, .fd_err = -1, .fds = fds, .n_fds = 1, .die_with_parent = true};
    Child child;
    assert_int_equal(spawn(&opts, &child, NULL), 0);
    close(pair[1]);
    begin_fd(f, pair[0], 20000);
    QmpRunState run;
    assert_int_equal(qmp_query_status(f->client, &run, NULL), QMP_OK); /* sent before the greeting came */
    assert_string_equal(run.status, "prelaunch");
    QmpVersion v;
    qmp_client_version(f->client, &v);
    assert_true(v.major >= 7);
    AUTO_CLOSE int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int set = -1;
    assert_int_equal(qmp_add_fd(f->client, fd, -1, "test", &set, NULL), QMP_OK);
    assert_true(set >= 0);
    assert_int_equal(qmp_remove_fd(f->client, set, NULL), QMP_OK);
    g_auto(Err) err = ERR_INIT;
    assert_int_equal(qmp_device_del(f->client, "nonsense", &err), QMP_DEVICE_NOT_FOUND);
    const QmpCommand unknown = {.name = "nonsense"};
    assert_int_equal(qmp_do(f->client, &unknown, NULL, NULL, NULL), QMP_COMMAND_NOT_FOUND);
    /* A descriptor with each of many commands in flight: each must find its own. */
    Answers a;
    answers_init(&a);
    for (unsigned i = 0; i < 64; i++)
        qmp_send(f->client, QMP(QUERY_NAME), NULL, deadline_in_ms(20000), count_answer, &a);
    for (int i = 0; i < 8; i++)
        assert_int_equal(qmp_getfd(f->client, fd, "n", NULL), QMP_OK);
    answers_wait(&a, 64);
    assert_int_equal(qmp_quit(f->client, NULL), QMP_OK);
    int status = -1;
    assert_int_equal(child_wait(&child, deadline_in_ms(20000), &status), 1);
    assert_int_equal(status, 0);
    wait_closed(f);
    assert_non_null(strstr(f->seen.events->str, "SHUTDOWN"));
}

/* ---- codec */

static bool keep_message(void *u, json_t *msg)
{
    json_t **slot = u;
    json_decref(*slot);
    *slot = json_incref(msg);
    return true;
}

static void test_codec_limits(void **state)
{
    QmpCodec q;
    json_t *got = NULL;
    g_auto(Err) err = ERR_INIT;
    qmp_codec_init(&q, 64, 4);
    assert_int_equal(qmp_codec_feed(&q, "{\"a\":[[[1]]]}\n", 14, keep_message, &got, &err), 0);
    assert_non_null(got);
    /* deeper: refused while reading, before a newline */
    assert_int_equal(qmp_codec_feed(&q, "{\"a\":[[[[", 9, keep_message, &got, &err), -1);
    err_clear(&err);
    qmp_codec_done(&q);
    /* brackets inside strings do not count */
    qmp_codec_init(&q, 64, 4);
    static const char brackets[] = "[\"[[[[[[[[\\\"[[\"]\n";
    assert_int_equal(qmp_codec_feed(&q, brackets, sizeof(brackets) - 1, keep_message, &got, &err), 0);
    assert_string_equal(json_string_value(json_array_get(got, 0)), "[[[[[[[[\"[[");
    /* longer: refused without a newline too */
    char big[65];
    memset(big, ' ', sizeof(big));
    assert_int_equal(qmp_codec_feed(&q, big, sizeof(big), keep_message, &got, &err), -1);
    err_clear(&err);
    qmp_codec_done(&q);
    json_decref(got);

    /* fuller: many tiny values */
    g_autoptr(GString) full = g_string_new("[");
    for (unsigned i = 0; i <= QMP_MAX_VALUES; i++)
        g_string_append(full, "0,");
    assert_null(qmp_json_parse(full->str, full->len, 4, &err));
    assert_string_equal(err.detail, "JSON with too many values");
    err_clear(&err);

    static const char numbers[] = "{\"a\": [18446744073709551615, 1.5e3, \"18446744073709551615\", -5]}";
    json_t *v = qmp_json_parse(numbers, sizeof(numbers) - 1, 8, &err);
    json_t *a = json_object_get(v, "a");
    assert_true((uint64_t)json_integer_value(json_array_get(a, 0)) == UINT64_MAX);
    assert_true(json_real_value(json_array_get(a, 1)) == 1500.0);
    assert_string_equal(json_string_value(json_array_get(a, 2)), "18446744073709551615");
    assert_int_equal(json_integer_value(json_array_get(a, 3)), -5);
    json_decref(v);
}

/* A string of an image's author, and a chain of images: both are in what QEMU says when it is asked for statistics. */
static void test_codec_takes_images(void **state)
{
    QmpCodec q;
    json_t *got = NULL;
    g_auto(Err) err = ERR_INIT;
    qmp_codec_init(&q, QMP_MAX_LINE, QMP_MAX_DEPTH);
    static const char nul[] = "{\"return\": {\"name\": \"x\\u0000y\", \"size\": 18446744073709551615}}\n";
    assert_int_equal(qmp_codec_feed(&q, nul, sizeof(nul) - 1, keep_message, &got, &err), 0);
    json_t *name = json_object_get(json_object_get(got, "return"), "name");
    assert_int_equal(json_string_length(name), 3);
    assert_string_equal(json_string_value(name), "x");
    g_autoptr(GString) chain = g_string_new("{\"return\": [{\"inserted\": ");
    for (unsigned i = 0; i < 200; i++)
        g_string_append(chain, "{\"backing-image\": ");
    g_string_append(chain, "{\"format-specific\": {\"data\": {}}}");
    for (unsigned i = 0; i < 200; i++)
        g_string_append_c(chain, '}');
    g_string_append(chain, "}]}\n");
    assert_int_equal(qmp_codec_feed(&q, chain->str, chain->len, keep_message, &got, &err), 0);
    json_t *image = json_object_get(json_array_get(json_object_get(got, "return"), 0), "inserted");
    unsigned n = 0;
    for (; (image = json_object_get(image, "backing-image")) != NULL; n++)
        ;
    assert_int_equal(n, 200);
    json_decref(got);
    qmp_codec_done(&q);
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_codec_limits), cmocka_unit_test(test_codec_takes_images), cmocka_unit_test(test_schema), CASE(test_call), CASE(test_error_classes),
        CASE(test_events_in_order), CASE(test_eight_threads), CASE(test_eof_in_call), CASE(test_close_wakes),
        CASE(test_deadline_and_late_reply), CASE(test_pipeline), CASE(test_deadline_before_it_is_sent), CASE(test_async_deadline_and_close), CASE(test_catches_up), CASE(test_fds),
        CASE(test_raw), CASE(test_wrappers), CASE(test_garbage), CASE(test_split), CASE(test_no_greeting), CASE(test_real_qemu),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
