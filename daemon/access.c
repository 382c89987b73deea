/* daemon/access.c - who may do what
 *
 * Owns:    the rules in force, and the profile each connection has under them
 * Threads: any
 * Locks:   Access.lock (leaf): rules and the profiles of clients
 * Errors:  VIR_ERR_ACCESS_DENIED from VIR_FROM_ACCESS, naming identity, permission, object and rule
 *
 * A refusal calls an object what the client called it: who looks for a number does not learn the name behind it.
 */
#include "config.h"

#define ERR_FROM VIR_FROM_ACCESS
#define LOG_AREA "daemon.access"
#include <string.h>

#include "daemon/access.h"
#include "domain/events.h"
#include "protocol/remote_protocol.h"
#include "rpc/auth.h"
#include "util/lock.h"
#include "util/log.h"
#include "util/uuid.h"

struct Access {
    char *rules_path;
    Mutex lock;
    AccessRules *rules; /* NULL: the driver "berth" is off */
};

/* ---- rules ----------------------------------------------------------------------------------------------------------------- */

static void note(const char *text, void *arg)
{
    log_warning("%s", text);
}

Access *access_new(const char *rules_path, Err *err)
{
    g_autoptr(AccessRules) rules = NULL;
    if (rules_path && !(rules = access_rules_load(rules_path, note, NULL, err)))
        return NULL;
    if (rules && access_rules_count(rules) == 0)
        log_warning("access_drivers names \"berth\" and there is no rule in %s: every call is refused", rules_path);
    Access *a = g_new0(Access, 1);
    mutex_init(&a->lock, LOCK_LEAF, "access");
    a->rules_path = g_strdup(rules_path);
    a->rules = g_steal_pointer(&rules);
    return a;
}

Access *access_free(Access *a)
{
    if (a) {
        access_rules_unref(a->rules);
        mutex_done(&a->lock);
        g_free(a->rules_path);
        g_free(a);
    }
    return NULL;
}

int access_check_rules(const char *rules_path, Err *err)
{
    g_autoptr(AccessRules) rules = rules_path ? access_rules_load(rules_path, note, NULL, err) : NULL;
    return rules || !rules_path ? 0 : -1;
}

int access_reload(Access *a, Err *err)
{
    if (!a->rules_path)
        return 0;
    AccessRules *rules = access_rules_load(a->rules_path, note, NULL, err);
    if (!rules)
        return -1;
    log_info("%u access rules read from %s", access_rules_count(rules), a->rules_path);
    mutex_lock(&a->lock);
    AccessRules *old = a->rules;
    a->rules = rules;
    mutex_unlock(&a->lock);
    access_rules_unref(old);
    return 0;
}

/* ---- identities ------------------------------------------------------------------------------------------------------------ */

static AccessIdentity identity_of(const RpcConn *conn)
{
    const RpcPeer *p = rpc_conn_peer(conn);
    return (AccessIdentity){.has_creds = p->has_creds, .uid = p->uid, .gid = p->gid, .sasl_user = p->sasl_user, .x509_dname = p->x509_dname};
}

char *access_who(const RpcConn *conn)
{
    const RpcPeer *p = rpc_conn_peer(conn);
    g_autoptr(GString) s = g_string_new(NULL);
    if (p->has_creds)
        g_string_append_printf(s, "uid %u", (unsigned)p->uid);
    if (p->sasl_user)
        g_string_append_printf(s, "%sSASL user %s", s->len ? ", " : "", p->sasl_user);
    if (p->x509_dname)
        g_string_append_printf(s, "%sTLS name %s", s->len ? ", " : "", p->x509_dname);
    if (!s->len)
        g_string_append(s, "an unknown caller");
    return g_string_free(g_steal_pointer(&s), FALSE);
}

/* The client's profile under the rules in force; a reference, NULL when the driver is off. */
static AccessProfile *profile_of(const RpcConn *conn)
{
    Client *cl = rpc_conn_userdata(conn);
    Access *a = cl->server->access;
    if (!a->rules_path)
        return NULL;
    LOCK_SCOPE(&a->lock);
    if (!cl->profile || access_profile_rules(cl->profile) != a->rules) {
        AccessIdentity who = identity_of(conn);
        access_profile_unref(cl->profile);
        cl->profile = access_profile_new(a->rules, &who);
    }
    return access_profile_ref(cl->profile);
}

void access_forget(Client *cl)
{
    cl->profile = access_profile_unref(cl->profile);
}

/* ---- calls ----------------------------------------------------------------------------------------------------------------- */

/* The object as the client named it. */
static char *client_name(const Call *call)
{
    const ProcInfo *p = call->proc;
    const char *kind = proc_object_name(p->object), *at = call->args ? (const char *)call->args + p->key_at : NULL;
    char uuid[UUID_STRING_LEN];
    switch (p->object == OBJ_DOMAIN ? p->key : KEY_NONE) {
    case KEY_REF:
        return g_strdup_printf("%s '%s'", kind, ((const remote_nonnull_domain *)(const void *)at)->name);
    case KEY_ID:
        return g_strdup_printf("%s with id %d", kind, *(const int *)(const void *)at);
    case KEY_UUID:
        uuid_format((const uint8_t *)at, uuid);
        return g_strdup_printf("%s with uuid %s", kind, uuid);
    case KEY_NAME:
        return g_strdup_printf("%s '%s'", kind, *(char *const *)(const void *)at);
    case KEY_NONE:
    case KEY_LATE:
        break;
    }
    return g_strdup(p->object == OBJ_CONN ? "this host" : kind);
}

static int refuse(const Call *call, Perm perm, const char *object, const AccessDecision *why, Err *err)
{
    const PermInfo *info = perm_info(perm);
    g_autofree char *who = access_who(call->conn);
    g_autofree char *rule = why->line ? g_strdup_printf("%s:%u refuses it", why->file, why->line) : g_strdup("no rule allows it");
    return err_set(err, VIR_ERR_ACCESS_DENIED, "%s has no permission %s:%s on %s: %s", who, info->object, info->permission, object, rule);
}

int access_check_early(Call *call, Err *err)
{
    Perm perms[PROC_PERMS_MAX];
    size_t n = proc_perms_needed(call->proc, call->args, perms);
    g_autoptr(AccessProfile) p = n ? profile_of(call->conn) : NULL;
    for (size_t i = 0; p && i < n; i++) {
        if (access_profile_may(p, perms[i]))
            continue;
        AccessDecision why = access_profile_decide(p, perms[i], NULL);
        g_autofree char *object = client_name(call);
        return refuse(call, perms[i], object, &why, err);
    }
    return 0;
}

/* All permissions of the row on one object. */
static int check_object(Call *call, const AccessObject *o, const char *text, Err *err)
{
    Perm perms[PROC_PERMS_MAX];
    size_t n = proc_perms_needed(call->proc, call->args, perms);
    g_autoptr(AccessProfile) p = n ? profile_of(call->conn) : NULL;
    for (size_t i = 0; p && i < n; i++) {
        AccessDecision d = access_profile_decide(p, perms[i], o);
        if (!d.allow)
            return refuse(call, perms[i], text, &d, err);
    }
    return 0;
}

static bool is_on(const Call *call)
{
    return call_server(call)->access->rules_path != NULL;
}

int access_check(Call *call, Err *err)
{
    if (!is_on(call) || (call->proc->object != OBJ_CONN && call->proc->key == KEY_LATE))
        return 0; /* a late one asks itself; without any chance it was refused early */
    g_autofree char *text = client_name(call);
    if (!call->dom)
        return check_object(call, NULL, text, err);
    g_autoptr(DomainView) v = domain_view(call->dom);
    call->checked_name = arena_strdup(&call->arena, v->name);
    const AccessObject o = {v->name, call->dom->obj.uuid};
    if (check_object(call, &o, text, err) < 0)
        return -1;
    if (call->proc->prog != REMOTE_PROGRAM || call->proc->nr != REMOTE_PROC_DOMAIN_RENAME)
        return 0;
    /* Nobody makes a machine another's by its name. */
    const remote_domain_rename_args *args = call->args;
    const AccessObject renamed = {args->new_name ? *args->new_name : NULL, call->dom->obj.uuid};
    g_autofree char *new_text = g_strdup_printf("domain '%s'", renamed.name ? renamed.name : "");
    return check_object(call, &renamed, new_text, err);
}

int access_check_again(const Call *call, Err *err)
{
    if (call->checked_name && strcmp(call->checked_name, call->dom->name) != 0)
        return err_set_full(err, VIR_FROM_QEMU, VIR_ERR_OPERATION_FAILED, 0, "domain '%s' was renamed while the call waited for it",
                            call->checked_name);
    return 0;
}

int access_check_late(Call *call, const char *name, const uint8_t *uuid, Err *err)
{
    call->access_asked = true;
    const AccessObject o = {name, uuid};
    g_autofree char *text = g_strdup_printf("%s '%s'", proc_object_name(call->proc->object), name);
    return is_on(call) ? check_object(call, &o, text, err) : 0;
}

/* ---- lists and events ------------------------------------------------------------------------------------------------------ */

bool access_sees_all_domains(const Call *call)
{
    if (!is_on(call) || call->proc->filter == PERM_NONE)
        return true;
    g_autoptr(AccessProfile) p = profile_of(call->conn);
    return access_profile_always(p, call->proc->filter);
}

bool access_domain_visible(const Call *call, const DomainView *v)
{
    if (!is_on(call) || call->proc->filter == PERM_NONE)
        return true;
    g_autoptr(AccessProfile) p = profile_of(call->conn);
    const AccessObject o = {v->name, v->uuid};
    return access_profile_decide(p, call->proc->filter, &o).allow;
}

bool access_event_visible(const RpcConn *conn, const struct DomainEvent *e)
{
    g_autoptr(AccessProfile) p = profile_of(conn);
    const AccessObject o = {e->name, e->uuid};
    return !p || access_profile_decide(p, PERM_DOMAIN_GETATTR, &o).allow; /* the filter of every event of machines */
}
