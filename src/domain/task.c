/* domain/task.c - work on a machine that nobody called for: a worker, a job, the lock
 *
 * Owns:    the request and its data from the moment it is queued until it has run or was refused
 * Threads: queued from any; runs on a worker
 * Locks:   the domain's while the function runs
 */
#include "config.h"

#define LOG_AREA "domain.task"
#include "util/log.h"
#include "domain/private.h"

/* So often the log tells of a task that waits for its turn. */
#define TASK_WAIT_MS (10u * 60 * 1000)

typedef struct Task {
    JobRequest job;
    Domain *d; /* reference */
    uint64_t life;
    DomainTask fn;
    void *userdata;
    GDestroyNotify free_data;
} Task;

static void task_free(Task *t)
{
    if (t->free_data)
        t->free_data(t->userdata);
    domain_driver_task_end(t->d->drv);
    object_unref(t->d);
    g_free(t);
}

static void task_run(void *arg)
{
    Task *t = arg;
    Domain *d = t->d;
    domain_lock(d);
    if (!t->life || d->life == t->life)
        t->fn(d, t->userdata);
    domain_unlock(d);
    domain_flush_or_retry(d);
    job_end(&t->job);
    task_free(t);
}

static void task_granted(JobRequest *r)
{
    Task *t = (Task *)(void *)((char *)r - offsetof(Task, job));
    if (domain_driver_submit(t->d->drv, LANE_NORMAL, task_run, t))
        return;
    job_end(r); /* the daemon ends; the next one finds out by itself what was to be done */
    task_free(t);
}

/* Nobody else comes back to what a task was to do: as long as the machine lives the same life it goes on waiting. */
static void task_refused(JobRequest *r, Err *err)
{
    Task *t = (Task *)(void *)((char *)r - offsetof(Task, job));
    g_autoptr(DomainView) v = domain_view(t->d);
    log_error("%s: '%s' did not get its turn: %s", v->name, r->what, err->detail);
    if (t->life && v->life != t->life) {
        task_free(t);
        return;
    }
    r->deadline = deadline_in_ms(TASK_WAIT_MS);
    job_request(t->d, r);
}

void domain_task(Domain *d, JobKind kind, const char *what, uint64_t life, DomainTask fn, void *userdata,
                 GDestroyNotify free_data)
{
    Task *t = g_new0(Task, 1);
    *t = (Task){.d = object_ref(d), .life = life, .fn = fn, .userdata = userdata, .free_data = free_data};
    t->job = (JobRequest){.kind = kind,
                          .what = what,
                          .deadline = deadline_in_ms(TASK_WAIT_MS),
                          .granted = task_granted,
                          .refused = task_refused};
    domain_driver_task_begin(d->drv);
    job_request(d, &t->job);
}
