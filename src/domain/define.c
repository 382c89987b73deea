/* domain/define.c - definitions come, change and go
 *
 * Owns:    the order of disk, memory and event in every change of a definition
 * Threads: workers (files, probing)
 * Locks:   the domain's; the turn of the definition's writer (domain_config_begin)
 * Errors:  libvirt's codes; what failed to be written changes nothing
 */
#include "config.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define LOG_AREA "domain.define"
#include "util/file.h"
#include "util/log.h"
#include "util/uuid.h"
#include "domain/blockjob_list.h"
#include "domain/complete.h"
#include "domain/lifecycle.h"
#include "domain/private.h"
#include "domain/snapshot.h"
#include "store/autostart.h"
#include "store/defs.h"
#include "api_enums.h"

#define CLAIM_MS 30000u

/* ---- finding the object a definition is for ---------------------------------------------------------------------- */

static int refuse_other(const Domain *other, const StoredDef *def, const DefinitionCheck *check, Err *err)
{
    char uuid[UUID_STRING_LEN];
    g_autoptr(DomainView) v = domain_view((Domain *)(uintptr_t)other);
    uuid_format(other->obj.uuid, uuid);
    if (memcmp(other->obj.uuid, def->uuid, UUID_LEN) != 0)
        return err_set_full(err, VIR_FROM_DOMAIN, VIR_ERR_OPERATION_FAILED, 0, "domain '%s' already exists with uuid %s", v->name, uuid);
    if (check && !check->may_know(check->ud, v))
        return err_set_full(err, VIR_FROM_DOMAIN, VIR_ERR_OPERATION_FAILED, 0, "another domain is already defined with uuid %s", uuid);
    return err_set_full(err, VIR_FROM_DOMAIN, VIR_ERR_OPERATION_FAILED, 0, "domain '%s' is already defined with uuid %s", v->name, uuid);
}

Domain *domain_claim(DomainDriver *drv, const char *name, StoredDef *def, const DefinitionCheck *check, bool *ret_new, Err *err)
{
    Registry *reg = domain_driver_registry(drv);
    Domain *d = domain_new(drv, def->uuid, name);
    mutex_lock(&d->obj.lock);            /* nobody else has it: no drain needed */
    d->priv->last = stored_def_ref(def); /* readers find a definition from the first moment */
    domain_publish(d);
    mutex_unlock(&d->obj.lock);
    Object *other = NULL;
    if (registry_add(reg, &d->obj, name, &other) == 0) {
        domain_roster_changed(drv);
        *ret_new = true;
        return d;
    }
    object_unref(d);
    d = (Domain *)other;
    g_autoptr(DomainView) v = domain_view(d);
    if (memcmp(d->obj.uuid, def->uuid, UUID_LEN) != 0 || strcmp(v->name, name) != 0) {
        refuse_other(d, def, check, err);
        object_unref(d);
        return NULL;
    }
    *ret_new = false;
    return d;
}

/* ---- define ------------------------------------------------------------------------------------------------------ */

/* The machine of this name and uuid, locked, with the writer's turn.  Between finding it and the turn it may be removed
 * (then there is room for a new one) or renamed (then it is another's name). */
static Domain *claim_turn(DomainDriver *drv, const char *name, StoredDef *def, const DefinitionCheck *check, Err *err)
{
    Deadline end = deadline_in_ms(CLAIM_MS);
    for (;;) {
        bool is_new;
        Domain *d = domain_claim(drv, name, def, check, &is_new, err);
        if (!d)
            return NULL;
        domain_lock(d);
        int r = domain_config_turn(d, check ? check->gone : NULL, err);
        if (r == 0 && strcmp(d->name, name) == 0)
            return d;
        bool again = r < 0 && d->removing && !deadline_passed(end);
        if (r == 0) {
            refuse_other(d, def, check, err);
            domain_config_end(d);
        }
        domain_unlock(d);
        object_unref(d);
        if (!again)
            return NULL;
        err_clear(err);
    }
}

/* A link that an earlier machine of this name could not take along must not make the new one start with the host.  Lock released. */
static int drop_stale_autostart(Domain *d, Err *err)
{
    const DomainDriverOpts *o = domain_driver_opts(d->drv);
    g_autofree char *name = g_strdup(d->name);
    domain_unlock(d);
    int r = autostart_set(o->autostart_dir, o->config_dir, name, false, err);
    domain_lock(d);
    return r;
}

/* What a client's document means, at rest, and the name in it. */
static StoredDef *from_client(DomainDriver *drv, const char *xml, bool strict, char **ret_name, Err *err)
{
    g_autoptr(DomainDef) def = domain_def_from_client(drv, xml, strict, err);
    if (!def)
        return NULL;
    *ret_name = g_strdup(def->name);
    return stored_def_new(def);
}

Domain *domain_define_checked(DomainDriver *drv, const char *xml, unsigned flags, const DefinitionCheck *check, Err *err)
{
    g_autofree char *name = NULL;
    g_autoptr(StoredDef) def = from_client(drv, xml, flags & VIR_DOMAIN_DEFINE_VALIDATE, &name, err);
    if (!def || (check && check->allowed(check->ud, name, def->uuid, err) < 0))
        return NULL;
    Domain *d = claim_turn(drv, name, def, check, err);
    if (!d)
        return NULL;
    bool had = d->persistent; /* a transient machine that runs gets its first definition */
    int r = d->persistent ? 0 : drop_stale_autostart(d, err);
    if (r == 0)
        r = domain_config_commit(d, stored_def_ref(def), err);
    if (r == 0) {
        d->persistent = true;
        d->updated = false;
        domain_mark_changed(d);
        domain_publish_lifecycle(d, VIR_DOMAIN_EVENT_DEFINED,
                                 had ? VIR_DOMAIN_EVENT_DEFINED_UPDATED : VIR_DOMAIN_EVENT_DEFINED_ADDED);
    }
    domain_config_end(d);
    domain_unlock(d);
    if (r == 0)
        return d;
    object_unref(d);
    return NULL;
}

/* ---- undefine ---------------------------------------------------------------------------------------------------- */

/* *ret_remove: the nvram to remove, or NULL.  Caller frees. */
static int check_nvram(const Domain *d, unsigned flags, char **ret_remove, Err *err)
{
    g_autoptr(DomainDef) def = domain_parse_config(d, err);
    if (!def)
        return -1;
    char **nvram = &def->os.nvram;
    if (!*nvram || access(*nvram, F_OK) < 0 || (flags & VIR_DOMAIN_UNDEFINE_KEEP_NVRAM))
        return 0;
    if (!(flags & VIR_DOMAIN_UNDEFINE_NVRAM)) {
        err_set(err, VIR_ERR_OPERATION_INVALID, "cannot undefine domain with nvram");
        return err_hint(err, "say --nvram to remove '%s' or --keep-nvram to keep it", *nvram);
    }
    *ret_remove = g_steal_pointer(nvram);
    return 0;
}

/* The file of a definition, removed just before.  The nvram goes after it: what failed or was interrupted has cost no guest its variables. */
static void put_back(DomainDriver *drv, const char *name, const StoredDef *def)
{
    g_auto(Err) err = ERR_INIT;
    bool fixed = false;
    g_autoptr(StoredDef) file = stored_def_for_file(def, &fixed, &err);
    if (!file || defs_save(domain_driver_defs(drv), name, file, fixed, &err) < 0)
        log_error("%s: its definition is gone from disk and cannot be written again: %s", name, err.detail);
}

int domain_undefine(Domain *d, unsigned flags, Err *err)
{
    const DomainDriverOpts *o = domain_driver_opts(d->drv);
    if ((flags & VIR_DOMAIN_UNDEFINE_NVRAM) && (flags & VIR_DOMAIN_UNDEFINE_KEEP_NVRAM))
        return err_set(err, VIR_ERR_OPERATION_INVALID, "cannot both keep and delete nvram");
    if ((flags & VIR_DOMAIN_UNDEFINE_TPM) && (flags & VIR_DOMAIN_UNDEFINE_KEEP_TPM))
        return err_set(err, VIR_ERR_OPERATION_INVALID, "cannot both keep and delete TPM");
    if (!d->persistent)
        return err_set(err, VIR_ERR_OPERATION_INVALID, "cannot undefine transient domain");
    if (domain_config_begin(d, err) < 0)
        return -1;
    g_autofree char *nvram = NULL;
    int r = check_nvram(d, flags, &nvram, err);
    if (r == 0)
        r = domain_snapshots_undefine(d, flags, err);
    if (r == 0) {
        g_autofree char *name = g_strdup(d->name);
        g_autoptr(StoredDef) config = stored_def_ref(d->config);
        bool linked = d->autostart, active = domain_is_active(d);
        domain_unlock(d);
        if (linked)
            r = autostart_set(o->autostart_dir, o->config_dir, name, false, err);
        if (r == 0) {
            r = defs_remove(domain_driver_defs(d->drv), name, err);
            if (r == 0 && nvram && unlink(nvram) < 0 && errno != ENOENT) {
                r = err_set_errno(err, errno, "cannot remove the nvram '%s'", nvram);
                put_back(d->drv, name, config);
            }
            if (r < 0 && linked)
                autostart_set(o->autostart_dir, o->config_dir, name, true, NULL);
            else if (r == 0 && !active)
                blockjobs_forget_ended(d);
        }
        domain_lock(d);
    }
    if (r == 0) {
        d->persistent = d->autostart = d->updated = false;
        stored_def_unref(d->priv->last);
        d->priv->last = d->config;
        d->config = NULL;
        domain_mark_changed(d);
        if (!domain_is_active(d))
            snapshot_settle(d, NULL); /* its note is no business of a later machine of this name */
        d->priv->config_busy = false;
        domain_retire_with(d,
                           domain_event_lifecycle(d, VIR_DOMAIN_EVENT_UNDEFINED, VIR_DOMAIN_EVENT_UNDEFINED_REMOVED));
    }
    domain_config_end(d);
    return r;
}

/* ---- autostart --------------------------------------------------------------------------------------------------- */

int domain_set_autostart(Domain *d, bool on, Err *err)
{
    const DomainDriverOpts *o = domain_driver_opts(d->drv);
    if (!d->persistent)
        return err_set(err, VIR_ERR_OPERATION_INVALID, "cannot set autostart for transient domain");
    if (domain_config_begin(d, err) < 0)
        return -1;
    int r = 0;
    if (d->autostart != on) {
        g_autofree char *name = g_strdup(d->name);
        domain_unlock(d);
        r = autostart_set(o->autostart_dir, o->config_dir, name, on, err);
        domain_lock(d);
        if (r == 0) {
            d->autostart = on;
            domain_mark_changed(d);
        }
    }
    domain_config_end(d);
    return r;
}

/* ---- rename ------------------------------------------------------------------------------------------------------ */

/* The new autostart link first, the old one last: at any moment one that leads somewhere.  The snapshots go along with the file
 * (domain_snapshots_move).  No lock held. */
static int rename_files(DomainDriver *drv, const char *old_name, const char *new_name, const StoredDef *def, bool autostart,
                        Err *err)
{
    const DomainDriverOpts *o = domain_driver_opts(drv);
    bool fixed = false;
    g_autoptr(StoredDef) file = stored_def_for_file(def, &fixed, err);
    if (!file) {
        err_wrap(err, "the definition of '%s' cannot be stored as '%s'", old_name, new_name);
        return -1;
    }
    if (defs_check_free(domain_driver_defs(drv), new_name, err) < 0)
        return -1;
    /* a link that is there is of an earlier machine of that name */
    if (autostart_set(o->autostart_dir, o->config_dir, new_name, autostart, err) < 0)
        return -1;
    if (defs_rename(domain_driver_defs(drv), old_name, new_name, file, fixed, err) < 0) {
        if (autostart)
            autostart_set(o->autostart_dir, o->config_dir, new_name, false, NULL);
        return -1;
    }
    if (autostart)
        autostart_set(o->autostart_dir, o->config_dir, old_name, false,
                      NULL); /* a link that leads nowhere starts nothing */
    return 0;
}

/* The stored definition with another name in it. */
static StoredDef *with_name(const StoredDef *def, const char *name, Err *err)
{
    g_autoptr(DomainDef) d = stored_def_parse(def, err);
    if (!d)
        return NULL;
    g_free(d->name);
    d->name = g_strdup(name);
    return stored_def_new(d);
}

int domain_rename(Domain *d, const char *new_name, Err *err)
{
    Registry *reg = domain_driver_registry(d->drv);
    if (!d->persistent)
        return err_set(err, VIR_ERR_OPERATION_INVALID, "cannot rename a transient domain");
    if (domain_is_active(d))
        return err_set(err, VIR_ERR_OPERATION_INVALID, "cannot rename active domain");
    if (defs_check_name(new_name, err) < 0)
        return -1;
    if (strcmp(d->name, new_name) == 0)
        return err_set_full(err, VIR_FROM_DOMAIN, VIR_ERR_OPERATION_INVALID, 0, "Can't rename domain to itself");
    if (snapshot_settle(d, err) < 0) /* its note is found by the name */
        return err_wrap(err, "an earlier snapshot is not settled yet");
    if (domain_config_begin(d, err) < 0)
        return -1;
    g_autoptr(StoredDef) def = with_name(d->config, new_name, err);
    if (!def) {
        domain_config_end(d);
        return -1;
    }
    g_autofree char *old_name = g_strdup(d->name);
    int r = registry_reserve_name(reg, &d->obj, new_name); /* the old one stays ours until its file is gone */
    if (r < 0) {
        domain_config_end(d);
        return err_set_full(err, VIR_FROM_DOMAIN, VIR_ERR_OPERATION_INVALID, 0, "domain with name '%s' already exists", new_name);
    }
    bool autostart = d->autostart;
    domain_unlock(d);
    pool_blocking_begin();
    r = rename_files(d->drv, old_name, new_name, def, autostart, err);
    pool_blocking_end();
    domain_lock(d);
    registry_settle_name(reg, &d->obj, r < 0 ? old_name : new_name);
    if (r == 0) {
        DomainEvent *e = domain_event_lifecycle(d, VIR_DOMAIN_EVENT_UNDEFINED, VIR_DOMAIN_EVENT_UNDEFINED_RENAMED);
        domain_set_name(d, new_name);
        domain_set_config(d, g_steal_pointer(&def));
        domain_publish_event(d, e);
        domain_publish_lifecycle(d, VIR_DOMAIN_EVENT_DEFINED, VIR_DOMAIN_EVENT_DEFINED_RENAMED);
    }
    domain_config_end(d);
    return r;
}

/* ---- metadata ---------------------------------------------------------------------------------------------------- */

int domain_set_metadata(Domain *d, int type, const char *text, const char *key, const char *uri, unsigned flags,
                        Err *err)
{
    DomainAffect a;
    if (domain_affect(d, flags, &a, err) < 0)
        return -1;
    if (a.config && domain_config_begin(d, err) < 0)
        return -1;
    int r = 0;
    if (a.config) {
        g_autoptr(DomainDef) def = domain_parse_config(d, err);
        r = def ? domain_def_set_metadata(def, type, text, key, uri, err) : -1;
        if (r == 0)
            r = domain_config_commit(d, stored_def_new(def), err);
        domain_config_end(d);
    }
    if (r == 0 && a.live && d->live) { /* it may have ended while the file was written */
        g_autoptr(DomainDef) def = domain_def_copy(d->live);
        r = domain_def_set_metadata(def, type, text, key, uri, err);
        if (r == 0)
            domain_set_live(d, g_steal_pointer(&def));
    }
    if (r == 0) {
        DomainEvent *e = domain_event_new(EVENT_DOMAIN, VIR_DOMAIN_EVENT_ID_METADATA_CHANGE, d);
        e->metadata.type = type;
        e->metadata.uri = g_strdup(uri);
        domain_publish_event(d, e);
    }
    return r;
}
