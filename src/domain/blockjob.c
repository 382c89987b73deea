/* domain/blockjob.c - one block job of one machine: its states and its news
 *
 * Owns:    BlockJob, the list of them in the machine, the queue of news of each, the one place where news are applied
 * Threads: events are kept by the drain; applied on workers
 * Locks:   the domain's for every field; released for QMP while news are applied, under a job of the machine
 * Errors:  VIR_ERR_OPERATION_INVALID, VIR_ERR_BLOCK_COPY_ACTIVE
 *
 * Theory of operation.  Jobs are started with auto-dismiss off: QEMU keeps a concluded job until we say that we know, so the conclusion is
 * never missed, whether the event came, or query-jobs told of it after a restart.  Two events tell of an end: BLOCK_JOB_COMPLETED or
 * CANCELLED brings the outcome, JOB_STATUS_CHANGE "concluded", a moment later, means that the job can be dismissed.  Only the latter becomes
 * news; without the former the outcome is asked for.  READY also comes by two events, and is news once.
 *
 * Jobs that change what images below the guest's own mean wait before that (PENDING) until we finalize them (finalized_by_us): what they have written is
 * flushed first, see blockjob_flush().
 *
 * A pull is different (goes_by_itself).  QEMU 7.2 crashes when it is asked for its block nodes while a concluded pull is not dismissed: the
 * job keeps a filter without a node below it, and anybody's statistics ask that question.  So it is told to dismiss a pull by itself; since that
 * cannot happen before we finalize it, the conclusion cannot come before we look, and what it was is read from the chain.
 *
 * A conclusion whose stored definition cannot be written (a full disk) is tried again until it can: before that the job is not over, and who
 * waits for a pivot is not told that it succeeded, for the next start of the guest would take the old image.
 *
 * The order of a conclusion: definitions, list of jobs and verdict, status file, dismissal, nodes, event to clients, history.  A daemon that dies
 * between any two of these finds either the job still in its status file, and applies the conclusion (the kind's function can be run twice), or a concluded job
 * in QEMU that no file knows, which is dismissed.
 */
#include "config.h"

#include <string.h>

#define LOG_AREA "domain.blockjob"
#include "util/log.h"
#include "domain/blockjob_list.h"
#include "domain/blockjob_private.h"
#include "domain/private.h"
#include "qmp/commands.h"
#include "api_enums.h"

#define AGAIN_MS 3000u
#define ERROR_MAX 4096u /* of QEMU's words, which the status file holds */

static const char *const state_names[BLOCKJOB_STATE_MAX] = {"starting", "running", "ready", "pivoting", "aborting", "over"};

/* What may be asked of a job in which state. */
static const bool allowed[BLOCKJOB_STATE_MAX][BLOCKJOB_VERB_MAX] = {
    /*                      speed  pivot  abort */
    [BLOCKJOB_STARTING] = {false, false, false},
    [BLOCKJOB_RUNNING]  = {true,  false, true},
    [BLOCKJOB_READY]    = {true,  true,  true},
    [BLOCKJOB_PIVOTING] = {true,  false, false}, /* a guest that writes may keep it from its end */
    [BLOCKJOB_ABORTING] = {true,  false, false},
    [BLOCKJOB_OVER]     = {false, false, false},
};

/* ---- the object -------------------------------------------------------------------------------------------------- */

BlockJob *blockjob_ref(BlockJob *job)
{
    g_atomic_int_inc(&job->refs);
    return job;
}

void blockjob_unref(BlockJob *job)
{
    if (!job || !g_atomic_int_dec_and_test(&job->refs))
        return;
    if (job->data && job->ops->free_data)
        job->ops->free_data(job->data);
    g_free(job->id);
    g_free(job->disk);
    g_free(job->target);
    g_free(job->error);
    g_free(job);
}

static void drop_ref(gpointer p)
{
    blockjob_unref(p);
}

static GPtrArray *jobs_of(Domain *d)
{
    domain_assert_locked(d);
    if (!d->priv->blockjobs)
        d->priv->blockjobs = g_ptr_array_new_with_free_func(drop_ref);
    return d->priv->blockjobs;
}

unsigned blockjob_count(Domain *d)
{
    domain_assert_locked(d);
    return d->priv->blockjobs ? d->priv->blockjobs->len : 0;
}

BlockJob *blockjob_at(Domain *d, unsigned i)
{
    return jobs_of(d)->pdata[i];
}

BlockJob *blockjob_of_disk(Domain *d, const char *disk_alias)
{
    for (unsigned i = 0; i < blockjob_count(d); i++) {
        BlockJob *job = blockjob_at(d, i);
        if (!g_strcmp0(job->disk, disk_alias))
            return job;
    }
    return NULL;
}

BlockJob *blockjob_by_id(Domain *d, const char *id)
{
    for (unsigned i = 0; i < blockjob_count(d); i++) {
        BlockJob *job = blockjob_at(d, i);
        if (!g_strcmp0(job->id, id))
            return job;
    }
    return NULL;
}

BlockJob *blockjob_leaving(Domain *d, const char *disk_alias)
{
    domain_assert_locked(d);
    BlockJob *job = d->priv->leaving;
    return job && !g_strcmp0(job->disk, disk_alias) ? job : NULL;
}

int blockjob_busy(const Domain *d, const BlockJob *job, const char *target, Err *err)
{
    err_set(err, VIR_ERR_BLOCK_COPY_ACTIVE, "disk '%s' already in active block job: %s '%s', %s", target, job->ops->what, job->id,
            state_names[job->state]);
    return err_hint(err, "wait for its end, or end it with 'virsh blockjob %s %s --abort'", d->name, target), -1;
}

BlockJob *blockjob_new(Domain *d, const BlockJobOps *ops, const char *id, const char *disk_alias, const char *target, void *data,
                       Err *err)
{
    GPtrArray *jobs = jobs_of(d);
    job_assert_held(d);
    const BlockJob *other = blockjob_of_disk(d, disk_alias);
    if (other) {
        blockjob_busy(d, other, target, err);
        return NULL;
    }
    if (jobs->len >= BLOCKJOBS_MAX || blockjob_by_id(d, id)) {
        err_set(err, VIR_ERR_OPERATION_INVALID, "domain '%s' has %u block jobs already", d->name, jobs->len);
        return NULL;
    }
    BlockJob *job = g_new0(BlockJob, 1);
    job->refs = 1;
    job->ops = ops;
    job->data = data;
    job->id = g_strdup(id);
    job->disk = g_strdup(disk_alias);
    job->target = g_strdup(target);
    job->outcome = BLOCKJOB_NO_STATUS;
    job->begun_us = (uint64_t)g_get_real_time();
    blockjob_add(d, blockjob_ref(job));
    return job;
}

void blockjob_add(Domain *d, BlockJob *job)
{
    g_ptr_array_add(jobs_of(d), job);
    domain_mark_changed(d);
}

int blockjob_write_down(Domain *d, BlockJob *job, Err *err)
{
    domain_assert_locked(d);
    uint64_t life = domain_leave(d);
    int r = domain_flush(d, err);
    g_auto(Err) ended = ERR_INIT;
    if (domain_enter(d, life, &ended) < 0) {
        err_clear(err);
        err_move(err, &ended);
        return -1;
    }
    if (r < 0) {
        err_wrap(err, "a block job that a restarted daemon would not know is not begun");
        blockjob_refused(d, job);
    }
    return r;
}

static void forget(Domain *d, BlockJob *job)
{
    job->left_as = job->state;
    job->state = BLOCKJOB_OVER;
    job->n_news = 0;
    g_ptr_array_remove(jobs_of(d), job); /* keeps the order of the others */
    domain_mark_changed(d);
    domain_ring(d);
}

void blockjob_set_asking(BlockJob *job, bool asking)
{
    job->asking = asking;
}

void blockjob_started(Domain *d, BlockJob *job)
{
    domain_assert_locked(d);
    if (job->state == BLOCKJOB_STARTING)
        blockjob_set_state(d, job, BLOCKJOB_RUNNING);
}

void blockjob_refused(Domain *d, BlockJob *job)
{
    domain_assert_locked(d);
    if (job->state != BLOCKJOB_OVER)
        forget(d, job);
}

/* QEMU is gone and cannot be asked: what it said and what was asked of it decides. */
static bool succeeded(const BlockJob *job)
{
    if (job->outcome != VIR_DOMAIN_BLOCK_JOB_COMPLETED || job->aborted_ready)
        return false;
    return !job->ops->can_pivot || job->state == BLOCKJOB_PIVOTING;
}

bool blockjobs_settle(Domain *d)
{
    unsigned left = 0;
    domain_assert_locked(d);
    while (left < blockjob_count(d)) {
        g_autoptr(BlockJob) job = blockjob_ref(blockjob_at(d, left));
        bool good = succeeded(job);
        if (good && job->ops->concluded(d, job, VIR_DOMAIN_BLOCK_JOB_COMPLETED) < 0) {
            left++;
            continue;
        }
        blockjob_keep_verdict(d, job, good ? VIR_DOMAIN_BLOCK_JOB_COMPLETED : VIR_DOMAIN_BLOCK_JOB_FAILED,
                              good ? NULL : job->error ? job->error : "the guest ended before the job did");
        forget(d, job);
    }
    if (d->persistent) /* else nobody can ask for them any more */
        blockjob_verdicts_write(d);
    return left == 0;
}

void blockjobs_forget(Domain *d)
{
    domain_assert_locked(d);
    while (blockjob_count(d))
        forget(d, blockjob_at(d, 0));
}

void blockjob_set_state(Domain *d, BlockJob *job, BlockJobState state)
{
    domain_assert_locked(d);
    if (job->state == state)
        return;
    log_debug("%s: block job %s of %s: %s -> %s", d->name, job->id, job->target, state_names[job->state], state_names[state]);
    job->end_sent = false;
    job->aborted_ready = state == BLOCKJOB_ABORTING && job->state == BLOCKJOB_READY;
    job->state = state;
    domain_mark_changed(d);
    domain_ring(d); /* who waits for it to be in step */
}

int blockjob_allows(const BlockJob *job, BlockJobVerb verb, Err *err)
{
    if (allowed[job->state][verb])
        return 0;
    if (verb == BLOCKJOB_VERB_PIVOT && job->state <= BLOCKJOB_RUNNING) {
        err_set(err, VIR_ERR_BLOCK_COPY_ACTIVE, "block job of disk '%s' is not ready for the pivot yet", job->target);
        return err_hint(err, "wait for its BLOCK_JOB_READY event ('virsh blockjob --info' shows the progress), then pivot again"), -1;
    }
    err_set(err, VIR_ERR_OPERATION_INVALID, "block job '%s' of disk '%s' is %s", job->id, job->target, state_names[job->state]);
    return err_hint(err, "wait for its end; an event tells of it"), -1;
}

const char *blockjob_id(const BlockJob *job)
{
    return job->id;
}

const BlockJobOps *blockjob_ops(const BlockJob *job)
{
    return job->ops;
}

void *blockjob_data(const BlockJob *job)
{
    return job->data;
}

const char *blockjob_disk(const BlockJob *job)
{
    return job->disk;
}

const char *blockjob_target(const BlockJob *job)
{
    return job->target;
}

BlockJobState blockjob_state(const BlockJob *job)
{
    return job->state;
}

bool blockjob_was_ready(const BlockJob *job)
{
    return job->aborted_ready;
}

uint64_t blockjob_bytes(const BlockJob *job)
{
    return job->bytes;
}

bool blockjob_has_been_in_step(const BlockJob *job)
{
    return job->said & (1u << NEWS_READY);
}

const char *blockjob_error(const BlockJob *job)
{
    return job->error;
}

/* ---- news: kept -------------------------------------------------------------------------------------------------- */

bool blockjob_has_news(const BlockJob *job)
{
    return job->n_news > 0;
}

static void task(Domain *d, void *userdata)
{
    BlockJob *job = userdata;
    g_atomic_int_set(&job->task_queued, 0);
    while (!job->region && blockjob_has_news(job) && blockjob_apply(d, job) != BLOCKJOB_NO_STATUS)
        ;
}

static void task_done(void *userdata)
{
    BlockJob *job = userdata;
    g_atomic_int_set(&job->task_queued, 0);
    blockjob_unref(job);
}

void blockjob_kick(Domain *d, BlockJob *job)
{
    domain_assert_locked(d);
    if (job->region || !blockjob_has_news(job) || !g_atomic_int_compare_and_exchange(&job->task_queued, 0, 1))
        return;
    domain_task(d, JOB_MODIFY, "news of a block job", d->life, task, blockjob_ref(job), task_done);
}

/* Each kind of news comes once in a job's life: the queue cannot overflow, and repetition is no news. */
static void keep(Domain *d, BlockJob *job, BlockJobNews news)
{
    if (job->said & (1u << news))
        return;
    job->said |= 1u << news;
    job->news[job->n_news++] = news;
    domain_ring(d);
    blockjob_kick(d, job);
}

static const char *text(json_t *data, const char *key)
{
    return json_string_value(json_object_get(data, key));
}

/* The first outcome stands: after it QEMU has nothing else to say about a job. */
static void learn_outcome(BlockJob *job, int outcome, const char *error)
{
    if (job->outcome != BLOCKJOB_NO_STATUS)
        return;
    job->outcome = outcome;
    if (error && !job->error)
        job->error = g_strndup(error, ERROR_MAX);
}

static void learn_status(Domain *d, BlockJob *job, const char *status)
{
    if (!g_strcmp0(status, "ready") || !g_strcmp0(status, "standby"))
        keep(d, job, NEWS_READY);
    else if (!g_strcmp0(status, "pending") && job->ops->finalized_by_us)
        keep(d, job, NEWS_PENDING);
    else if (!g_strcmp0(status, "concluded"))
        keep(d, job, NEWS_CONCLUDED);
    else if (!g_strcmp0(status, "null"))
        keep(d, job, NEWS_CONCLUDED); /* dismissed behind our back: over all the same */
}

void blockjob_event(Domain *d, const char *name, json_t *data)
{
    bool change = !strcmp(name, "JOB_STATUS_CHANGE");
    const char *id = text(data, change ? "id" : "device");
    BlockJob *job = id ? blockjob_by_id(d, id) : NULL;
    if (!job) {
        log_info("%s: %s of a job that is not ours: %s", d->name, name, id ? id : "-");
        return;
    }
    if (change) {
        learn_status(d, job, text(data, "status"));
    } else if (!strcmp(name, "BLOCK_JOB_READY")) {
        keep(d, job, NEWS_READY);
    } else if (!strcmp(name, "BLOCK_JOB_COMPLETED")) {
        const char *error = text(data, "error");
        job->bytes = (uint64_t)json_integer_value(json_object_get(data, "offset"));
        learn_outcome(job, error ? VIR_DOMAIN_BLOCK_JOB_FAILED : VIR_DOMAIN_BLOCK_JOB_COMPLETED, error);
    } else if (!strcmp(name, "BLOCK_JOB_CANCELLED")) {
        job->bytes = (uint64_t)json_integer_value(json_object_get(data, "offset"));
        learn_outcome(job, VIR_DOMAIN_BLOCK_JOB_CANCELED, NULL);
    } else if (!strcmp(name, "BLOCK_JOB_ERROR")) {
        if (!job->io_error) /* one for each request that fails */
            log_warning("%s: block job %s of %s met an I/O error (%s, %s)", d->name, job->id, job->target, text(data, "operation"),
                        text(data, "action"));
        job->io_error = true;
    }
}

/* One job as query-jobs tells of it. */
static void learn_from_query(Domain *d, BlockJob *job, json_t *info)
{
    const char *status = text(info, "status"), *error = text(info, "error");
    if (!g_strcmp0(status, "concluded")) {
        job->bytes = (uint64_t)json_integer_value(json_object_get(info, "current-progress"));
        if (error)
            learn_outcome(job, VIR_DOMAIN_BLOCK_JOB_FAILED, error);
        else
            learn_outcome(job, job->state == BLOCKJOB_ABORTING ? VIR_DOMAIN_BLOCK_JOB_CANCELED : VIR_DOMAIN_BLOCK_JOB_COMPLETED, NULL);
    }
    if (job->state == BLOCKJOB_STARTING)
        blockjob_started(d, job);
    learn_status(d, job, status);
}

static json_t *find_info(json_t *jobs, const char *id)
{
    size_t i;
    json_t *info;
    json_array_foreach(jobs, i, info)
    {
        if (!g_strcmp0(text(info, "id"), id))
            return info;
    }
    return NULL;
}

/* QEMU has dismissed it: what it came to is to be seen in the chain, if at all. */
static void learn_gone(BlockJob *job)
{
    if (job->ops->pivoted && job->state != BLOCKJOB_STARTING)
        learn_outcome(job, VIR_DOMAIN_BLOCK_JOB_COMPLETED, NULL);
    else
        learn_outcome(job, VIR_DOMAIN_BLOCK_JOB_FAILED, "QEMU does not know this job any more");
}

/* One of ours that nobody knows any more. */
static bool dismiss(Domain *d, const char *id)
{
    g_auto(Err) err = ERR_INIT;
    if (domain_qmp(d, "job-dismiss", json_pack("{s:s}", "id", id), NULL, &err) == 0)
        return true;
    log_warning("%s: block job %s is not dismissed: %s", d->name, id, err.detail);
    return false;
}

int blockjob_send_end(Domain *d, BlockJob *job, Err *err)
{
    QmpStatus s;
    if (job->state == BLOCKJOB_ABORTING)
        s = domain_qmp_status(d, QMP(BLOCK_JOB_CANCEL), json_pack("{s:s}", "device", job->id), NULL, err);
    else
        s = domain_qmp_status(d, QMP(JOB_COMPLETE), json_pack("{s:s}", "id", job->id), NULL, err);
    job->end_sent = s == QMP_OK;
    return s;
}

/* An end that was noted, and then the daemon was killed or the monitor lost, before QEMU had it. */
static bool lacks_end(const BlockJob *job, json_t *info)
{
    const char *status = text(info, "status");
    bool goes_on = !g_strcmp0(status, "running") || !g_strcmp0(status, "ready") || !g_strcmp0(status, "paused") ||
                   !g_strcmp0(status, "standby");
    bool asked = job->state == BLOCKJOB_ABORTING || (job->state == BLOCKJOB_PIVOTING && !job->ops->finalized_by_us);
    return asked && goes_on && !job->end_sent && !job->asking;
}

static void send_ends(Domain *d, json_t *jobs)
{
    g_autoptr(GPtrArray) lack = g_ptr_array_new_with_free_func(drop_ref);
    for (unsigned i = 0; i < blockjob_count(d); i++) {
        BlockJob *job = blockjob_at(d, i);
        json_t *info = find_info(jobs, job->id);
        if (info && lacks_end(job, info))
            g_ptr_array_add(lack, blockjob_ref(job));
    }
    for (unsigned i = 0; i < lack->len; i++) {
        BlockJob *job = lack->pdata[i];
        g_auto(Err) err = ERR_INIT;
        if (job->state != BLOCKJOB_OVER && blockjob_send_end(d, job, &err) != QMP_OK)
            log_warning("%s: block job %s goes on, %s: %s", d->name, job->id, state_names[job->state], err.detail);
    }
}

bool blockjob_compare(Domain *d, json_t *jobs)
{
    bool clean = true;
    domain_assert_locked(d);
    job_assert_held(d);
    for (unsigned i = 0; i < blockjob_count(d); i++) {
        BlockJob *job = blockjob_at(d, i);
        json_t *info = find_info(jobs, job->id);
        if (info) {
            learn_from_query(d, job, info);
        } else if (job->state == BLOCKJOB_STARTING && job->asking) {
            continue; /* QEMU has not got it yet */
        } else if (!(job->said & (1u << NEWS_CONCLUDED))) {
            job->quiet = job->state == BLOCKJOB_STARTING; /* the daemon was killed before the command was sent */
            learn_gone(job);
            keep(d, job, NEWS_CONCLUDED);
        }
        blockjob_kick(d, job);
    }
    /* Those whose conclusion we applied, and then died before we could say so. */
    size_t i;
    json_t *info;
    json_array_foreach(jobs, i, info)
    {
        const char *id = text(info, "id");
        if (id && g_str_has_prefix(id, BLOCKJOB_ID_PREFIX) && !g_strcmp0(text(info, "status"), "concluded") &&
            !blockjob_by_id(d, id))
            clean = dismiss(d, id) && clean;
    }
    send_ends(d, jobs);
    return clean;
}

/* ---- news: applied ----------------------------------------------------------------------------------------------- */

typedef struct JobEvents {
    DomainEvent *by_path, *by_target;
} JobEvents;

static DomainEvent *event_of(const Domain *d, const BlockJob *job, int id, char *path, int status)
{
    if (!path)
        return NULL; /* on the network: there is none to tell */
    DomainEvent *e = domain_event_new(EVENT_DOMAIN, id, d);
    e->block_job.path = path;
    e->block_job.type = job->ops->type;
    e->block_job.status = status;
    return e;
}

/* As things are now. */
static JobEvents events_of(Domain *d, const BlockJob *job, int status)
{
    char *path = job->ops->path ? job->ops->path(d, job) : g_strdup(job->target);
    return (JobEvents){event_of(d, job, VIR_DOMAIN_EVENT_ID_BLOCK_JOB, path, status),
                       event_of(d, job, VIR_DOMAIN_EVENT_ID_BLOCK_JOB_2, g_strdup(job->target), status)};
}

static void tell(Domain *d, const JobEvents *e)
{
    if (e->by_path)
        domain_publish_event(d, e->by_path);
    if (e->by_target)
        domain_publish_event(d, e->by_target);
}

/* The status file as it is now; the lock is released meanwhile.  False: the machine ended. */
static bool flush(Domain *d)
{
    g_auto(Err) err = ERR_INIT;
    uint64_t life = domain_leave(d);
    domain_flush_or_retry(d);
    return domain_enter(d, life, &err) == 0;
}

static int apply_ready(Domain *d, BlockJob *job)
{
    if (job->state == BLOCKJOB_STARTING || job->state == BLOCKJOB_RUNNING)
        blockjob_set_state(d, job, BLOCKJOB_READY);
    if (job->ops->ready)
        job->ops->ready(d, job);
    JobEvents events = events_of(d, job, VIR_DOMAIN_BLOCK_JOB_READY);
    tell(d, &events);
    return VIR_DOMAIN_BLOCK_JOB_READY;
}

/* What became of a job for which no event said it. */
static bool ask_outcome(Domain *d, BlockJob *job)
{
    g_auto(Err) err = ERR_INIT;
    json_t *jobs = NULL;
    if (domain_qmp(d, "query-jobs", NULL, &jobs, &err) < 0) {
        log_warning("%s: the end of block job %s is not known: %s", d->name, job->id, err.detail);
        return false;
    }
    json_t *info = find_info(jobs, job->id);
    if (info)
        learn_from_query(d, job, info);
    else
        learn_gone(job);
    json_decref(jobs);
    return job->outcome != BLOCKJOB_NO_STATUS;
}

static void kick_all(Domain *d, void *unused)
{
    for (unsigned i = 0; i < blockjob_count(d); i++)
        blockjob_kick(d, blockjob_at(d, i));
}

static void on_again(void *arg)
{
    Domain *d = arg;
    g_autoptr(DomainView) v = domain_view(d);
    if (v->live)
        domain_task(d, JOB_MODIFY, "news of block jobs", v->life, kick_all, NULL, NULL);
}

/* News that cannot be applied now stays; nobody else may come back to it. */
static void again_later(Domain *d)
{
    DomainPrivate *p = d->priv;
    domain_assert_locked(d);
    if (!p->blockjob_again)
        p->blockjob_again = timer_new(domain_driver_opts(d->drv)->monitor_loop, on_again, d);
    timer_arm_by(p->blockjob_again, deadline_in_ms(AGAIN_MS));
}

/* Whether the disk has changed over is beyond doubt: this daemon asked for it, QEMU took it and had no error, and nobody else gives it commands. */
static bool surely_pivoted(const Domain *d, const BlockJob *job)
{
    return job->ops->can_pivot && job->state == BLOCKJOB_PIVOTING && job->end_sent && !d->priv->tainted_monitor;
}

/* What the job came to.  BLOCKJOB_NO_STATUS: not known now, it stays news. */
static int judge(Domain *d, BlockJob *job)
{
    if (job->outcome == BLOCKJOB_NO_STATUS && !ask_outcome(d, job))
        return BLOCKJOB_NO_STATUS; /* asked again when QEMU answers again */
    /* A copy in step that is given up has "completed" for QEMU. */
    if (job->outcome != VIR_DOMAIN_BLOCK_JOB_COMPLETED || !job->ops->pivoted || surely_pivoted(d, job))
        return job->outcome == VIR_DOMAIN_BLOCK_JOB_COMPLETED && job->aborted_ready ? VIR_DOMAIN_BLOCK_JOB_CANCELED : job->outcome;
    uint64_t life = d->life;
    int r = job->ops->pivoted(d, job);
    if (r < 0 || d->life != life || job->state == BLOCKJOB_OVER)
        return BLOCKJOB_NO_STATUS;
    if (r)
        return VIR_DOMAIN_BLOCK_JOB_COMPLETED;
    if (job->ops->can_pivot || job->state == BLOCKJOB_ABORTING)
        return VIR_DOMAIN_BLOCK_JOB_CANCELED;
    if (!job->error)
        job->error = g_strdup("QEMU does not know this job any more");
    return VIR_DOMAIN_BLOCK_JOB_FAILED;
}

/* Job and nodes go, in one exchange with QEMU. */
static void take_out(Domain *d, BlockJob *job, int status)
{
    g_autoptr(GArray) commands = qmp_requests_new();
    if (!job->ops->goes_by_itself)
        qmp_requests_add(commands, QMP(JOB_DISMISS), json_pack("{s:s}", "id", job->id));
    if (job->ops->cleanup)
        job->ops->cleanup(d, job, status, commands);
    blockjobs_take_out(d, commands);
}

static int apply_conclusion(Domain *d, BlockJob *job)
{
    uint64_t life = d->life;
    int status = judge(d, job);
    if (status == BLOCKJOB_NO_STATUS)
        return status;
    if (job->ops->concluded(d, job, status) < 0) {
        domain_mark_changed(d); /* a daemon that finds QEMU gone goes by what the file says of the outcome */
        again_later(d);
        return BLOCKJOB_NO_STATUS;
    }
    if (d->life != life || job->state == BLOCKJOB_OVER)
        return BLOCKJOB_NO_STATUS; /* the machine ended; or its monitor was lost, and what it is reached by will tell again */
    log_info("%s: block job %s of %s: %s%s%s", d->name, job->id, job->target,
             status == VIR_DOMAIN_BLOCK_JOB_COMPLETED  ? "completed"
             : status == VIR_DOMAIN_BLOCK_JOB_CANCELED ? "cancelled"
                                                       : "failed",
             job->error ? ": " : "", job->error ? job->error : "");
    JobEvents events = {0};
    if (!job->quiet)
        events = events_of(d, job, status);
    blockjob_keep_verdict(d, job, status, job->error);
    d->priv->leaving = job; /* whoever asks after it finds it until QEMU has let its images go */
    forget(d, job);
    bool lives = flush(d); /* from here on a daemon that is killed has left the verdict instead of the job */
    if (lives)
        take_out(d, job, status);
    d->priv->leaving = NULL;
    tell(d, &events); /* who hears of it may do with the images what he likes */
    blockjob_verdicts_later(d);
    return status;
}

/* QEMU must not change the chain: it ends the job instead. */
static QmpStatus fail_pending(Domain *d, BlockJob *job, const Err *why, Err *err)
{
    log_warning("%s: block job %s is not finalized: %s", d->name, job->id, why->detail);
    learn_outcome(job, VIR_DOMAIN_BLOCK_JOB_FAILED, why->detail);
    return domain_qmp_status(d, QMP(JOB_CANCEL), json_pack("{s:s}", "id", job->id), NULL, err);
}

/* The end that QEMU waits with.  False: it could not be asked for and stays news. */
static bool apply_pending(Domain *d, BlockJob *job)
{
    g_auto(Err) err = ERR_INIT, why = ERR_INIT;
    if (job->state == BLOCKJOB_ABORTING)
        return true; /* on its way out already */
    blockjob_set_state(d, job, BLOCKJOB_PIVOTING);
    if (!flush(d))
        return false;
    uint64_t life = d->life;
    int ready = job->ops->before_finalize ? job->ops->before_finalize(d, job, &why) : 0;
    if (d->life != life || job->state == BLOCKJOB_OVER)
        return false;
    QmpStatus s = QMP_REFUSED;
    if (ready < 0)
        s = fail_pending(d, job, &why, &err);
    else if (ready == 0)
        s = domain_qmp_status(d, QMP(JOB_FINALIZE), json_pack("{s:s}", "id", job->id), NULL, &err);
    else
        err_move(&err, &why);
    if (s == QMP_OK)
        return true;
    log_warning("%s: block job %s is not finalized: %s", d->name, job->id, err.detail);
    if (job->n_news > 1)
        return true; /* its end is here already */
    if (d->live && !d->priv->dying)
        again_later(d);
    return false;
}

static void pop(BlockJob *job)
{
    if (!job->n_news)
        return; /* forget() empties the queue */
    job->n_news--;
    memmove(job->news, job->news + 1, job->n_news * sizeof(*job->news));
}

int blockjob_apply(Domain *d, BlockJob *job)
{
    domain_assert_locked(d);
    job_assert_held(d);
    if (!job->n_news || job->state == BLOCKJOB_OVER)
        return BLOCKJOB_NO_STATUS;
    g_autoptr(BlockJob) keep_it G_GNUC_UNUSED = blockjob_ref(job);
    if (job->news[0] == NEWS_PENDING) {
        if (!apply_pending(d, job) || job->state == BLOCKJOB_OVER)
            return BLOCKJOB_NO_STATUS;
        pop(job);
        return blockjob_apply(d, job); /* no news for anybody else; the end may be here already */
    }
    int status = job->news[0] == NEWS_READY ? apply_ready(d, job) : apply_conclusion(d, job);
    if (status != BLOCKJOB_NO_STATUS)
        pop(job);
    return status;
}
