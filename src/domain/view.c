/* domain/view.c - what readers see of a machine
 *
 * Owns:    the published view, and the job as readers see it
 * Threads: read from any, the event threads too; published by the holder of the domain lock, the job part by the job queue
 * Locks:   view_lock (leaf)
 * Errors:  of the questions for a definition there is not
 *
 * A view never changes once published.  The job comes and goes without the domain lock, so its part is copied into a
 * new view on its own; its sequence number keeps an older state of the queue from overwriting a newer one.
 */
#include "config.h"

#include <string.h>

#include "api_enums.h"
#include "domain/private.h"
#include "domain/snapshot_list.h"

DomainView *domain_view_ref(DomainView *v)
{
    g_atomic_int_inc(&v->refs);
    return v;
}

void domain_view_unref(DomainView *v)
{
    if (!v || !g_atomic_int_dec_and_test(&v->refs))
        return;
    g_free(v->name);
    g_free(v->dir);
    stored_def_unref(v->config);
    domain_def_unref(v->live);
    g_free(v->vcpu_tids);
    snapshot_list_unref(v->snapshots);
    g_free(v);
}

DomainView *domain_view(Domain *d)
{
    DomainPrivate *p = d->priv;
    LOCK_SCOPE(&p->view_lock);
    return domain_view_ref(p->view);
}

DomainDef *view_def(const DomainView *v, bool inactive, Err *err)
{
    return view_is_live(v, inactive) ? domain_def_ref(v->live) : stored_def_parse(v->config, err);
}

DefNumbers view_numbers(const DomainView *v, bool inactive)
{
    return view_is_live(v, inactive) ? domain_def_numbers(v->live) : v->config->numbers;
}

int view_check_affect(const DomainView *v, unsigned flags, Err *err)
{
    bool live = flags & VIR_DOMAIN_AFFECT_LIVE, config = flags & VIR_DOMAIN_AFFECT_CONFIG;
    if (live && config)
        return err_set_bare(err, VIR_FROM_DOMAIN, VIR_ERR_INVALID_ARG,
                            "flags 'VIR_DOMAIN_AFFECT_LIVE' and 'VIR_DOMAIN_AFFECT_CONFIG' are mutually exclusive");
    if (live && !v->live)
        return domain_err_inactive(err);
    return config && !v->config ? domain_err_transient(err) : 0;
}

static void put_job(DomainView *v, const JobInfo *job)
{
    v->job = job->kind;
    v->job_what = job->what;
    v->job_since_us = job->since_us;
}

static DomainDef *def_ref(const DomainDef *def)
{
    return def ? domain_def_ref(def) : NULL;
}

static StoredDef *stored_ref(const StoredDef *def)
{
    return def ? stored_def_ref(def) : NULL;
}

static DomainView *build(Domain *d)
{
    DomainPrivate *p = d->priv;
    DomainView *v = g_new0(DomainView, 1);
    v->refs = 1;
    memcpy(v->uuid, d->obj.uuid, UUID_LEN);
    v->name = g_strdup(d->name);
    v->id = p->found_dead ? -1 : d->id;
    v->state = d->state;
    v->reason = d->reason;
    v->config = stored_ref(d->config);
    v->live = p->found_dead ? NULL : def_ref(d->live);
    if (!v->config && !v->live) /* a reader always has a definition */
        v->config = d->live ? stored_def_new(d->live) : stored_ref(p->last);
    v->persistent = d->persistent;
    v->autostart = d->autostart;
    v->updated = d->updated;
    v->starting = p->starting;
    v->pid = v->live ? p->proc.pid : 0;
    v->life = d->life;
    v->balloon_kib = p->balloon_kib;
    v->published_us = now_us();
    v->monitor_used = p->tainted_monitor;
    v->monitor_stuck = p->stuck;
    v->block_jobs = v->live && p->blockjobs ? p->blockjobs->len : 0;
    v->dir = v->live ? g_strdup(p->proc.private_dir) : NULL;
    v->vcpu_tids = g_memdup2(p->vcpu_tids, p->n_vcpu_tids * sizeof(pid_t));
    v->n_vcpu_tids = p->n_vcpu_tids;
    v->snapshots = snapshot_list_ref(p->snapshots);
    return v;
}

void domain_publish(Domain *d)
{
    DomainPrivate *p = d->priv;
    domain_assert_locked(d);
    p->dirty = false;
    DomainView *v = build(d), *old;
    {
        LOCK_SCOPE(&p->view_lock);
        put_job(v, &p->job);
        old = p->view;
        p->view = v;
    }
    domain_view_unref(old);
    domain_roster_changed(d->drv);
}

void domain_view_job(Domain *d, const JobInfo *info)
{
    DomainPrivate *p = d->priv;
    DomainView *old = NULL;
    {
        LOCK_SCOPE(&p->view_lock);
        if (info->seq <= p->job.seq)
            return;
        p->job = *info;
        old = p->view;
        DomainView *v = g_new0(DomainView, 1);
        v->refs = 1; /* all but this is copied: readers change it under our eyes */
        memcpy(&v->uuid, &old->uuid, sizeof(*v) - offsetof(DomainView, uuid));
        v->name = g_strdup(old->name);
        v->dir = g_strdup(old->dir);
        v->config = stored_ref(old->config);
        v->live = def_ref(old->live);
        v->vcpu_tids = g_memdup2(old->vcpu_tids, old->n_vcpu_tids * sizeof(pid_t));
        v->snapshots = snapshot_list_ref(old->snapshots);
        put_job(v, info);
        p->view = v;
    }
    domain_view_unref(old);
}

void domain_view_init(Domain *d)
{
    mutex_init(&d->priv->view_lock, LOCK_LEAF, "view");
}

void domain_view_done(Domain *d)
{
    domain_view_unref(d->priv->view);
    mutex_done(&d->priv->view_lock);
}
