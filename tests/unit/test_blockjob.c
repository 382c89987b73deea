/* tests/unit/test_blockjob.c - the block job object and the region, step by step, with a scripted QEMU */
#include "config.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <cmocka.h>

#include "domain/blockjob.h"
#include "domain/inbox.h"
#include "domain/lifecycle.h"
#include "domain/reconnect.h"
#include "qmp/client.h"
#include "tests/qmp/peer.h"
#include "tests/unit/domain_world.h"
#include "api_enums.h"

#define UUID "11111111-2222-4333-8444-555555555555"
#define ID   "berth-copy-vda"

static Peer *peer;
static int peer_fd;
static Domain *dom;

/* ---- what clients hear ------------------------------------------------------------------------------------------- */

static Mutex heard_lock;
static Cond heard_changed;
static GString *heard; /* "8:vda:2:3 16:…" event id, what it names, type, status */

static void on_event(const DomainEvent *e)
{
    if (e->class != EVENT_DOMAIN || (e->id != VIR_DOMAIN_EVENT_ID_BLOCK_JOB && e->id != VIR_DOMAIN_EVENT_ID_BLOCK_JOB_2))
        return;
    mutex_lock(&heard_lock);
    g_string_append_printf(heard, "%d:%s:%d:%d ", e->id, e->block_job.path, e->block_job.type, e->block_job.status);
    cond_broadcast(&heard_changed);
    mutex_unlock(&heard_lock);
}

static void expect_heard(const char *want)
{
    Deadline end = deadline_in_ms(10000);
    mutex_lock(&heard_lock);
    while (strlen(heard->str) < strlen(want) && cond_wait_until(&heard_changed, &heard_lock, end))
        ;
    g_autofree char *got = g_strdup(heard->str);
    g_string_truncate(heard, 0);
    mutex_unlock(&heard_lock);
    assert_string_equal(got, want);
}

/* ---- a kind of job that only notes ------------------------------------------------------------------------------- */

static GString *noted;

static void note_ready(Domain *d, BlockJob *job)
{
    g_string_append(noted, "ready ");
}

static int note_concluded(Domain *d, BlockJob *job, int status)
{
    g_string_append_printf(noted, "concluded:%d ", status);
    return 0;
}

static void note_cleanup(Domain *d, BlockJob *job, int status, GArray *commands)
{
    g_string_append(noted, "cleanup ");
}

static const BlockJobOps ops = {.type = VIR_DOMAIN_BLOCK_JOB_TYPE_COPY,
                                .what = "copy",
                                .ready = note_ready,
                                .concluded = note_concluded,
                                .cleanup = note_cleanup};

/* ---- fixture ----------------------------------------------------------------------------------------------------- */

static int give_peer(pid_t child)
{
    return peer_fd;
}

static int call_start(Domain *d, void *arg, Err *err)
{
    return domain_start(d, 0, 0, err);
}

static int call_destroy(Domain *d, void *arg, Err *err)
{
    return domain_destroy(d, 0, err);
}

static void must(int r, const Err *err)
{
    if (r < 0)
        fail_msg("failed: %s", err->detail);
}

static int setup(void **state)
{
    if (world_setup(state) < 0)
        return -1;
    world_monitor = give_peer;
    world_on_event = on_event;
    g_string_truncate(noted, 0);
    g_string_truncate(heard, 0);
    peer = peer_new(0, &peer_fd);
    peer_expect(peer, "query-cpus-fast", NULL);
    peer_reply(peer, "[]");
    peer_expect(peer, "query-balloon", NULL);
    peer_fail(peer, "DeviceNotActive", "none");
    peer_expect(peer, "cont", NULL);
    peer_reply(peer, NULL);
    g_auto(Err) err = ERR_INIT;
    g_autofree char *xml = world_xml("m", UUID, NULL);
    dom = domain_define(world_drv, xml, 0, &err);
    if (!dom)
        fail_msg("%s", err.detail);
    must(world_as_gate(dom, JOB_MODIFY, call_start, NULL, &err), &err);
    peer_stall(peer); /* until the job exists: what is said of it before is nobody's */
    return 0;
}

static int teardown(void **state)
{
    g_auto(Err) err = ERR_INIT;
    must(world_as_gate(dom, JOB_DESTROY, call_destroy, NULL, &err), &err);
    g_clear_pointer((Object **)(void *)&dom, object_unref);
    world_teardown(state);
    return 0;
}

static int call_nothing(Domain *d, void *arg, Err *err)
{
    return 0;
}

/* After all tasks that wait for their turn: QEMU's end must not overtake its last reply. */
static void script_end(void)
{
    g_auto(Err) err = ERR_INIT;
    world_as_gate(dom, JOB_MODIFY, call_nothing, NULL, &err);
    g_autofree char *wrong = peer_end(peer);
    if (wrong)
        fail_msg("%s", wrong);
}

static void emit_status(const char *status)
{
    g_autofree char *data = g_strdup_printf("{\"id\": \"" ID "\", \"status\": \"%s\"}", status);
    peer_emit(peer, "JOB_STATUS_CHANGE", data);
}

static void emit_end(const char *event)
{
    peer_emit(peer, event, "{\"type\": \"mirror\", \"device\": \"" ID "\", \"len\": 10, \"offset\": 10, \"speed\": 0}");
}

static void expect_dismiss(void)
{
    peer_expect(peer, "job-dismiss", "{\"id\": \"" ID "\"}");
    peer_reply(peer, NULL);
}

static BlockJob *begun(Domain *d, Err *err)
{
    BlockJob *job = blockjob_new(d, &ops, ID, "virtio-disk0", "vda", NULL, err);
    if (!job)
        fail_msg("%s", err->detail);
    blockjob_started(d, job);
    return job;
}

/* ---- cases ------------------------------------------------------------------------------------------------------- */

/* READY, then the completion after a pivot, in one region. */
static int call_copy_pivot(Domain *d, void *arg, Err *err)
{
    g_autoptr(BlockJob) job = begun(d, err);
    g_auto(BlockJobSync) s = {0};
    int status = 77;
    must(blockjob_sync_begin(d, job, &s, err), err);
    peer_resume(peer);
    must(blockjob_sync_wait(&s, &status, err), err);
    assert_int_equal(status, VIR_DOMAIN_BLOCK_JOB_READY);
    assert_int_equal(blockjob_state(job), BLOCKJOB_READY);
    blockjob_set_state(d, job, BLOCKJOB_PIVOTING);
    must(domain_qmp(d, "job-complete", json_pack("{s:s}", "id", ID), NULL, err), err);
    must(blockjob_sync_wait(&s, &status, err), err);
    assert_int_equal(status, VIR_DOMAIN_BLOCK_JOB_COMPLETED);
    assert_int_equal(blockjob_state(job), BLOCKJOB_OVER);
    assert_null(blockjob_of_disk(d, "virtio-disk0"));
    blockjob_sync_end(&s, &status);
    assert_int_equal(status, BLOCKJOB_NO_STATUS);
    return 0;
}

static void test_many_waits(void **state)
{
    g_auto(Err) err = ERR_INIT;
    emit_status("running");
    emit_status("ready");
    emit_end("BLOCK_JOB_READY"); /* the same news again */
    peer_expect(peer, "job-complete", NULL);
    emit_end("BLOCK_JOB_READY");
    peer_reply(peer, NULL);
    emit_end("BLOCK_JOB_COMPLETED");
    emit_status("concluded");
    expect_dismiss();
    must(world_as_gate(dom, JOB_MODIFY, call_copy_pivot, NULL, &err), &err);
    expect_heard("8:vda:2:3 16:vda:2:3 8:vda:2:0 16:vda:2:0 ");
    assert_string_equal(noted->str, "ready concluded:0 cleanup ");
    script_end();
}

static int call_begin_only(Domain *d, void *arg, Err *err)
{
    blockjob_unref(begun(d, err)); /* the machine keeps its own */
    return 0;
}

/* No region: the task applies. */
static void test_asynchronous(void **state)
{
    g_auto(Err) err = ERR_INIT;
    emit_status("ready");
    emit_end("BLOCK_JOB_COMPLETED");
    emit_status("concluded");
    expect_dismiss();
    must(world_as_gate(dom, JOB_MODIFY, call_begin_only, NULL, &err), &err);
    peer_resume(peer);
    expect_heard("8:vda:2:3 16:vda:2:3 8:vda:2:0 16:vda:2:0 ");
    script_end();
    assert_string_equal(noted->str, "ready concluded:0 cleanup ");
}

static int call_time_out(Domain *d, void *arg, Err *err)
{
    g_autoptr(BlockJob) job = begun(d, err);
    g_auto(BlockJobSync) s = {0}, second = {0};
    int status = 77;
    must(blockjob_sync_begin(d, job, &s, err), err);
    assert_int_equal(blockjob_sync_begin(d, job, &second, err), -1); /* one region a job */
    assert_int_equal(err->code, VIR_ERR_OPERATION_INVALID);
    err_clear(err);
    must(blockjob_sync_wait_timeout(&s, 1, &status, err), err);
    assert_int_equal(status, BLOCKJOB_NO_STATUS);
    peer_resume(peer);
    must(blockjob_sync_wait_timeout(&s, 30000, NULL, err), err); /* NULL is fine */
    assert_int_equal(blockjob_state(job), BLOCKJOB_OVER);
    assert_string_equal(blockjob_error(job), "No space left on device");
    assert_int_equal(blockjob_sync_wait(&s, &status, err), -1); /* nothing can come any more */
    assert_int_equal(err->code, VIR_ERR_OPERATION_INVALID);
    err_clear(err);
    return 0;
}

static void test_time_out(void **state)
{
    g_auto(Err) err = ERR_INIT;
    peer_emit(peer, "BLOCK_JOB_COMPLETED", "{\"type\": \"mirror\", \"device\": \"" ID "\", \"len\": 10, \"offset\": 3, \"speed\": 0, "
                                           "\"error\": \"No space left on device\"}");
    emit_status("concluded");
    expect_dismiss();
    must(world_as_gate(dom, JOB_MODIFY, call_time_out, NULL, &err), &err);
    expect_heard("8:vda:2:1 16:vda:2:1 ");
    script_end();
}

static int call_end_applies(Domain *d, void *arg, Err *err)
{
    g_autoptr(BlockJob) job = begun(d, err);
    BlockJobSync s;
    int status = 77;
    must(blockjob_sync_begin(d, job, &s, err), err);
    peer_resume(peer);
    /* the reply comes after the events: they are drained when it is here */
    must(domain_qmp(d, "query-status", NULL, NULL, err), err);
    assert_true(blockjob_has_news(job));
    assert_string_equal(noted->str, "");
    blockjob_sync_end(&s, &status);
    assert_int_equal(status, VIR_DOMAIN_BLOCK_JOB_CANCELED);
    blockjob_sync_end(&s, &status); /* no region any more: nothing */
    assert_int_equal(status, BLOCKJOB_NO_STATUS);
    return 0;
}

static void test_end_applies_the_rest(void **state)
{
    g_auto(Err) err = ERR_INIT;
    peer_expect(peer, "query-status", NULL);
    emit_status("ready");
    emit_end("BLOCK_JOB_CANCELLED");
    emit_status("concluded");
    peer_reply(peer, "{\"running\": true, \"singlestep\": false, \"status\": \"running\"}");
    expect_dismiss();
    must(world_as_gate(dom, JOB_MODIFY, call_end_applies, NULL, &err), &err);
    assert_string_equal(noted->str, "ready concluded:2 cleanup ");
    expect_heard("8:vda:2:3 16:vda:2:3 8:vda:2:2 16:vda:2:2 ");
    script_end();
}

static int call_die(Domain *d, void *arg, Err *err)
{
    g_autoptr(BlockJob) job = begun(d, err);
    g_auto(BlockJobSync) s = {0};
    int status = 77;
    must(blockjob_sync_begin(d, job, &s, err), err);
    domain_kill(d, 0);
    peer_resume(peer);
    if (blockjob_sync_wait(&s, &status, err) == 0) { /* what it said before it died may come first */
        assert_int_equal(status, VIR_DOMAIN_BLOCK_JOB_READY);
        assert_int_equal(blockjob_sync_wait(&s, &status, err), -1);
    }
    assert_int_equal(status, BLOCKJOB_NO_STATUS);
    assert_int_equal(err->code, VIR_ERR_OPERATION_INVALID);
    assert_non_null(strstr(err->detail, "vda"));
    assert_int_equal(blockjob_sync_wait_timeout(&s, 1, &status, NULL), -1);
    err_clear(err);
    return 0;
}

static void test_death(void **state)
{
    g_auto(Err) err = ERR_INIT;
    emit_status("ready");
    peer_die(peer);
    must(world_as_gate(dom, JOB_MODIFY, call_die, NULL, &err), &err);
    assert_true(world_wait_off(dom));
    domain_lock(dom);
    assert_int_equal(blockjob_count(dom), 0);
    domain_unlock(dom);
    script_end();
}

static int call_abandoned(Domain *d, void *arg, Err *err)
{
    JobRequest *r = arg;
    g_autoptr(BlockJob) job = begun(d, err);
    g_auto(BlockJobSync) s = {0};
    must(blockjob_sync_begin(d, job, &s, err), err);
    job_abandon(r);
    inbox_poke(d);
    assert_int_equal(blockjob_sync_wait(&s, NULL, err), -1);
    assert_int_equal(err->code, VIR_ERR_OPERATION_ABORTED);
    err_clear(err);
    return 0;
}

/* The client goes; the job goes on, and its end is applied by the task. */
static void test_abandoned(void **state)
{
    g_auto(Err) err = ERR_INIT;
    emit_end("BLOCK_JOB_COMPLETED");
    emit_status("concluded");
    expect_dismiss();
    JobRequest r = {.kind = JOB_MODIFY, .what = "test", .owner = 1, .deadline = deadline_in_ms(10000)};
    must(job_acquire(dom, &r, &err), &err);
    domain_lock(dom);
    call_abandoned(dom, &r, &err);
    domain_unlock(dom);
    job_end(&r);
    peer_resume(peer);
    expect_heard("8:vda:2:0 16:vda:2:0 ");
    script_end();
}

static int call_lost_events(Domain *d, void *arg, Err *err)
{
    g_autoptr(BlockJob) job = begun(d, err);
    g_auto(BlockJobSync) s = {0};
    int status = 77;
    must(blockjob_sync_begin(d, job, &s, err), err);
    peer_resume(peer);
    domain_resync_later(d); /* as after an overflow of the inbox: its task waits for our job */
    must(blockjob_sync_wait(&s, &status, err), err);
    assert_int_equal(status, VIR_DOMAIN_BLOCK_JOB_COMPLETED);
    return 0;
}

static void test_lost_events(void **state)
{
    g_auto(Err) err = ERR_INIT;
    peer_expect(peer, "query-jobs", NULL);
    peer_reply(peer, "[{\"id\": \"" ID "\", \"type\": \"mirror\", \"status\": \"concluded\", \"current-progress\": 5, "
                     "\"total-progress\": 5}, {\"id\": \"berth-old\", \"type\": \"commit\", \"status\": \"concluded\", "
                     "\"current-progress\": 1, \"total-progress\": 1}, {\"id\": \"theirs\", \"type\": \"commit\", \"status\": "
                     "\"concluded\", \"current-progress\": 1, \"total-progress\": 1}]");
    peer_expect(peer, "job-dismiss", "{\"id\": \"berth-old\"}"); /* one of ours that nobody knows any more; not a user's own */
    peer_reply(peer, NULL);
    expect_dismiss();
    peer_look_anew(peer, "{\"running\": true, \"singlestep\": false, \"status\": \"running\"}"); /* the resync itself */
    must(world_as_gate(dom, JOB_MODIFY, call_lost_events, NULL, &err), &err);
    expect_heard("8:vda:2:0 16:vda:2:0 ");
    script_end();
}

static int call_rules(Domain *d, void *arg, Err *err)
{
    g_autoptr(BlockJob) job = blockjob_new(d, &ops, ID, "virtio-disk0", "vda", NULL, err);
    assert_non_null(job);
    assert_null(blockjob_new(d, &ops, "berth-2", "virtio-disk0", "vda", NULL, err)); /* a disk has one */
    assert_int_equal(err->code, VIR_ERR_BLOCK_COPY_ACTIVE);
    assert_non_null(strstr(err->detail, ID));
    err_clear(err);
    assert_int_equal(blockjob_allows(job, BLOCKJOB_VERB_ABORT, err), -1);
    err_clear(err);
    blockjob_started(d, job);
    assert_int_equal(blockjob_allows(job, BLOCKJOB_VERB_SPEED, err), 0);
    assert_int_equal(blockjob_allows(job, BLOCKJOB_VERB_PIVOT, err), -1);
    assert_int_equal(err->code, VIR_ERR_BLOCK_COPY_ACTIVE);
    err_clear(err);
    blockjob_set_state(d, job, BLOCKJOB_READY);
    assert_int_equal(blockjob_allows(job, BLOCKJOB_VERB_PIVOT, err), 0);
    blockjob_set_state(d, job, BLOCKJOB_ABORTING);
    assert_int_equal(blockjob_allows(job, BLOCKJOB_VERB_ABORT, err), -1);
    err_clear(err);
    /* a copy in step that is given up has "completed" for QEMU, and is cancelled for us */
    g_auto(BlockJobSync) s = {0};
    int status;
    must(blockjob_sync_begin(d, job, &s, err), err);
    peer_resume(peer);
    must(blockjob_sync_wait(&s, &status, err), err);
    assert_int_equal(status, VIR_DOMAIN_BLOCK_JOB_CANCELED);

    g_autoptr(BlockJob) refused = blockjob_new(d, &ops, "berth-3", "virtio-disk0", "vda", NULL, err);
    blockjob_refused(d, refused);
    assert_int_equal(blockjob_count(d), 0);
    return 0;
}

static void test_rules(void **state)
{
    g_auto(Err) err = ERR_INIT;
    emit_end("BLOCK_JOB_COMPLETED");
    emit_status("concluded");
    expect_dismiss();
    must(world_as_gate(dom, JOB_MODIFY, call_rules, NULL, &err), &err);
    script_end();
}

static int call_not_sent_yet(Domain *d, void *arg, Err *err)
{
    g_autoptr(BlockJob) job = blockjob_new(d, &ops, ID, "virtio-disk0", "vda", NULL, err);
    json_t *none = json_array();
    blockjob_set_asking(job, true);
    blockjob_compare(d, none); /* by a resync beside us, while the status file is written */
    assert_int_equal(blockjob_state(job), BLOCKJOB_STARTING);
    assert_false(blockjob_has_news(job));
    blockjob_set_asking(job, false);
    blockjob_compare(d, none); /* the command came to nothing, or its daemon was killed before */
    assert_true(blockjob_has_news(job));
    json_decref(none);
    blockjob_refused(d, job);
    return 0;
}

/* QEMU does not know a job yet that it is about to be told of. */
static void test_not_sent_yet(void **state)
{
    g_auto(Err) err = ERR_INIT;
    must(world_as_gate(dom, JOB_MODIFY, call_not_sent_yet, NULL, &err), &err);
    peer_resume(peer);
    script_end();
}

/* ---- what QEMU does not let go ----------------------------------------------------------------------------------- */

#define NODES(names) "[" names "]"
#define NODE(name)                                                                                                          \
    "{\"node-name\": \"" name "\", \"ro\": false, \"drv\": \"qcow2\", \"encrypted\": false, \"file\": \"f\", \"bps\": 0, \"bps_rd\": 0, "     \
    "\"bps_wr\": 0, \"iops\": 0, \"iops_rd\": 0, \"iops_wr\": 0, \"backing_file_depth\": 0, \"detect_zeroes\": \"off\", "                \
    "\"write_threshold\": 0}"
#define CONCLUDED "[{\"id\": \"" ID "\", \"type\": \"mirror\", \"status\": \"concluded\", \"current-progress\": 1, \"total-progress\": 1}]"

static void note_nodes(Domain *d, BlockJob *job, int status, GArray *commands)
{
    qmp_requests_add(commands, qmp_command_find("blockdev-del"), json_pack("{s:s}", "node-name", "libvirt-8-format"));
    qmp_requests_add(commands, qmp_command_find("blockdev-del"), json_pack("{s:s}", "node-name", "libvirt-8-storage"));
}

static const BlockJobOps left_ops = {.type = VIR_DOMAIN_BLOCK_JOB_TYPE_COPY,
                                     .what = "copy",
                                     .ready = note_ready,
                                     .concluded = note_concluded,
                                     .cleanup = note_nodes};

static int call_left(Domain *d, void *arg, Err *err)
{
    g_autoptr(BlockJob) job = blockjob_new(d, &left_ops, ID, "virtio-disk0", "vda", NULL, err);
    assert_non_null(job);
    blockjob_started(d, job);
    return 0;
}

static void expect_del(const char *node, bool good)
{
    g_autofree char *args = g_strdup_printf("{\"node-name\": \"%s\"}", node);
    peer_expect(peer, "blockdev-del", args);
    if (good)
        peer_reply(peer, NULL);
    else
        peer_fail(peer, "GenericError", "Node is in use");
}

/* QEMU refuses to let the job and its nodes go: they are gone a moment later, without anybody asking for it. */
static void test_left_in_qemu(void **state)
{
    g_auto(Err) err = ERR_INIT;
    emit_end("BLOCK_JOB_COMPLETED");
    emit_status("concluded");
    peer_expect(peer, "job-dismiss", "{\"id\": \"" ID "\"}");
    peer_fail(peer, "GenericError", "not now");
    expect_del("libvirt-8-format", false); /* sent before the answer above: all the same */
    expect_del("libvirt-8-storage", false);
    peer_expect(peer, "query-jobs", NULL);
    peer_reply(peer, CONCLUDED);
    expect_dismiss();
    peer_expect(peer, "query-named-block-nodes", NULL);
    peer_reply(peer, NODES(NODE("libvirt-8-storage") "," NODE("theirs") "," NODE("libvirt-8-format")));
    expect_del("libvirt-8-format", true);
    expect_del("libvirt-8-storage", false); /* once more now that the other is gone, and then after a pause */
    expect_del("libvirt-8-storage", false);
    peer_expect(peer, "query-fdsets", NULL);
    peer_reply(peer, "[{\"fdset-id\": 8, \"fds\": [{\"fd\": 20, \"opaque\": \"libvirt-8-storage\"}]}]"); /* still needed */
    peer_expect(peer, "query-jobs", NULL);
    peer_reply(peer, "[]");
    peer_expect(peer, "query-named-block-nodes", NULL);
    peer_reply(peer, NODES(NODE("libvirt-8-storage")));
    expect_del("libvirt-8-storage", true);
    peer_expect(peer, "query-fdsets", NULL);
    peer_reply(peer, "[{\"fdset-id\": 8, \"fds\": [{\"fd\": 20, \"opaque\": \"libvirt-8-storage\"}]}]");
    peer_expect(peer, "remove-fd", "{\"fdset-id\": 8}");
    peer_reply(peer, NULL);
    must(world_as_gate(dom, JOB_MODIFY, call_left, NULL, &err), &err);
    peer_resume(peer);
    expect_heard("8:vda:2:0 16:vda:2:0 ");
    script_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_many_waits, setup, teardown),
        cmocka_unit_test_setup_teardown(test_asynchronous, setup, teardown),
        cmocka_unit_test_setup_teardown(test_time_out, setup, teardown),
        cmocka_unit_test_setup_teardown(test_end_applies_the_rest, setup, teardown),
        cmocka_unit_test_setup_teardown(test_death, setup, teardown),
        cmocka_unit_test_setup_teardown(test_abandoned, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lost_events, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rules, setup, teardown),
        cmocka_unit_test_setup_teardown(test_not_sent_yet, setup, teardown),
        cmocka_unit_test_setup_teardown(test_left_in_qemu, setup, teardown),
    };
    mutex_init(&heard_lock, LOCK_LEAF, "heard");
    cond_init(&heard_changed);
    heard = g_string_new(NULL);
    noted = g_string_new(NULL);
    int r = cmocka_run_group_tests(tests, world_begin, world_end);
    g_string_free(heard, TRUE);
    g_string_free(noted, TRUE);
    return r;
}
