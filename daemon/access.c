/* daemon/access.c - who may do what
 *
 * Owns:    the rules in force, the profile each connection has under them, what is asked of polkit
 * Threads: any; polkit's answers come on the client event thread
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
#include "daemon/audit.h"
#include "daemon/polkit_check.h"
#include "domain/events.h"
#include "domain/roster.h"
#include "protocol/remote_protocol.h"
#include "rpc/auth.h"
#include "util/lock.h"
#include "util/log.h"
#include "util/pool.h"
#include "util/uuid.h"

struct Access {
    char *rules_path; /* NULL: the driver "berth" is off */
    Polkit *polkit;   /* NULL: the driver "polkit" is off */
    Mutex lock;
    AccessRules *rules;
};

/* ---- rules ----------------------------------------------------------------------------------------------------------------- */

static void note(const char *text, void *arg)
{
    log_warning("%s", text);
}

Access *access_new(const char *rules_path, Polkit *polkit, Err *err)
{
    g_autoptr(AccessRules) rules = NULL;
    if (rules_path && !(rules = access_rules_load(rules_path, note, NULL, err)))
        return NULL;
    if (rules && access_rules_count(rules) == 0)
        log_warning("access_drivers names \"berth\" and there is no rule in %s: every call is refused", rules_path);
    Access *a = g_new0(Access, 1);
    mutex_init(&a->lock, LOCK_LEAF, "access");
    a->rules_path = g_strdup(rules_path);
    a->polkit = polkit;
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
    return (AccessIdentity){.has_creds = p->has_creds, .uid = p->uid, .gid = p->gid, .groups = p->groups, .n_groups = p->n_groups,
                            .sasl_user = p->sasl_user, .x509_dname = p->x509_dname};
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
    if (!a || !a->rules_path)
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

static int refuse(const Call *call, Perm perm, const char *object, const char *why, Err *err)
{
    const PermInfo *info = perm_info(perm);
    g_autofree char *who = access_who(call->conn);
    return err_set(err, VIR_ERR_ACCESS_DENIED, "%s has no permission %s:%s on %s: %s", who, info->object, info->permission, object, why);
}

static int refuse_by_rule(const Call *call, Perm perm, const char *object, const AccessDecision *d, Err *err)
{
    g_autofree char *rule = d->line ? g_strdup_printf("%s:%u refuses it", d->file, d->line) : g_strdup("no rule allows it");
    return refuse(call, perm, object, rule, err);
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
        return refuse_by_rule(call, perms[i], object, &why, err);
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
            return refuse_by_rule(call, perms[i], text, &d, err);
    }
    return 0;
}

/* Who is asked about this client beside the rules; NULL: nobody.  polkit lets root do everything, so it need not be there for root. */
static Polkit *polkit_for(const RpcConn *conn)
{
    const Client *cl = rpc_conn_userdata(conn);
    const RpcPeer *peer = rpc_conn_peer(conn);
    return !cl->server->access || (peer->has_creds && peer->uid == 0) ? NULL : cl->server->access->polkit;
}

static bool is_on(const Call *call)
{
    const Access *a = call_server(call)->access;
    return a && (a->rules_path || a->polkit);
}

/* ---- polkit ---------------------------------------------------------------------------------------------------------------- */

static int refuse_by_polkit(const Call *call, const PolkitCheck *c, const PolkitQuestion *q, const char *object, Err *err)
{
    const char *action = perm_info(q->perm)->action;
    g_autofree char *why = NULL;
    if (q->answer == POLKIT_ABSENT || q->answer == POLKIT_FAILED)
        why = g_strdup_printf("polkit cannot be asked for %s: %s", action, c->why ? c->why : "the client has gone");
    else if (q->answer == POLKIT_CHALLENGE || q->answer == POLKIT_DISMISSED)
        why = g_strdup_printf("polkit wants somebody to authenticate for %s, and a call does not wait for that", action);
    else
        why = g_strdup_printf("polkit refuses %s", action);
    return refuse(call, q->perm, object, why, err);
}

/* The row's permissions on `o`; those of the host are of no object. */
static void add_questions(PolkitCheck *c, const Call *call, const AccessObject *o)
{
    Perm perms[PROC_PERMS_MAX];
    size_t n = proc_perms_needed(call->proc, call->args, perms);
    for (size_t i = 0; i < n; i++)
        polkit_check_add(c, perms[i], strcmp(perm_info(perms[i])->object, "connect") == 0 ? NULL : o);
}

static guint uuid_hash(gconstpointer uuid)
{
    guint h;
    memcpy(&h, uuid, sizeof(h));
    return h;
}

static gboolean uuid_equal(gconstpointer a, gconstpointer b)
{
    return memcmp(a, b, UUID_LEN) == 0;
}

static void list_answered(PolkitCheck *c, void *ud)
{
    Call *call = ud;
    for (unsigned i = 0; i < c->questions->len; i++) {
        const PolkitQuestion *q = &g_array_index(c->questions, PolkitQuestion, i);
        if (q->answer == POLKIT_YES)
            g_hash_table_insert(call->visible, g_memdup2(q->uuid, UUID_LEN), g_strdup(q->name));
    }
    call->then(call);
}

/* A registration for events has a filter too, which is asked when there is one. */
static bool is_list(const ProcInfo *p)
{
    return p->filter != PERM_NONE && strcmp(perm_info(p->filter)->object, "domain") == 0 && !strstr(p->name, "register");
}

static void ask_for_list(Call *call)
{
    g_autoptr(DomainRoster) all = domain_roster(call_domains(call));
    g_autoptr(AccessProfile) p = profile_of(call->conn);
    PolkitCheck *c = polkit_check_new(polkit_for(call->conn), call->conn);
    call->visible = g_hash_table_new_full(uuid_hash, uuid_equal, g_free, g_free);
    for (unsigned i = 0; i < all->views->len; i++) {
        const DomainView *v = all->views->pdata[i];
        const AccessObject o = {v->name, v->uuid};
        if (!p || access_profile_decide(p, call->proc->filter, &o).allow)
            polkit_check_add(c, call->proc->filter, &o);
    }
    polkit_check_start(c, list_answered, call);
}

static int refuse_renamed(const Call *call, Err *err)
{
    return err_set_full(err, VIR_FROM_QEMU, VIR_ERR_OPERATION_FAILED, 0, "domain '%s' was renamed while the call waited for it",
                        call->checked_name);
}

/* Polkit took its time: what it allowed was what the machine was called then. */
static void check_name(Call *call)
{
    g_autoptr(DomainView) v = call->dom ? domain_view(call->dom) : NULL;
    if (v && strcmp(call->checked_name, v->name) != 0)
        refuse_renamed(call, &call->err);
}

static void call_answered(PolkitCheck *c, void *ud)
{
    Call *call = ud;
    const PolkitQuestion *q = polkit_check_refusal(c);
    if (q) {
        g_autofree char *text = client_name(call);
        refuse_by_polkit(call, c, q, text, &call->err);
    } else {
        check_name(call);
    }
    if (!q && is_list(call->proc))
        ask_for_list(call);
    else
        call->then(call);
}

/* ---- the gate's question --------------------------------------------------------------------------------------------------- */

/* What a rename makes of the machine: nobody makes it another's, or another's his own, by its name. */
static bool new_name(const Call *call, AccessObject *ret)
{
    if (call->proc->prog != REMOTE_PROGRAM || call->proc->nr != REMOTE_PROC_DOMAIN_RENAME)
        return false;
    const remote_domain_rename_args *args = call->args;
    *ret = (AccessObject){args->new_name ? *args->new_name : "", call->dom->obj.uuid};
    return true;
}

int access_check(Call *call, void (*then)(Call *call), Err *err)
{
    const ProcInfo *p = call->proc;
    if (!is_on(call) || p->perms[0] == PERM_NONE || (p->object != OBJ_CONN && p->key == KEY_LATE))
        return 0; /* a late one asks itself; without any chance it was refused early */
    g_autoptr(DomainView) v = call->dom ? domain_view(call->dom) : NULL;
    g_autofree char *text = client_name(call);
    const AccessObject o = {v ? v->name : NULL, v ? v->uuid : NULL};
    AccessObject renamed;
    bool renames = new_name(call, &renamed);
    if (v)
        call->checked_name = arena_strdup(&call->arena, v->name);
    if (check_object(call, v ? &o : NULL, text, err) < 0)
        return -1;
    if (renames) {
        g_autofree char *new_text = g_strdup_printf("domain '%s'", renamed.name);
        if (check_object(call, &renamed, new_text, err) < 0)
            return -1;
    }
    if (!polkit_for(call->conn))
        return 0;
    PolkitCheck *c = polkit_check_new(polkit_for(call->conn), call->conn);
    call->then = then;
    add_questions(c, call, v ? &o : NULL);
    if (renames)
        add_questions(c, call, &renamed);
    polkit_check_start(c, call_answered, call);
    return 1;
}

int access_check_again(const Call *call, Err *err)
{
    return call->checked_name && strcmp(call->checked_name, call->dom->name) != 0 ? refuse_renamed(call, err) : 0;
}

/* ---- a handler's question -------------------------------------------------------------------------------------------------- */

/* A worker waits for polkit: the check itself has the deadline, and always answers. */
typedef struct LateWait {
    Call *call;
    const AccessObject *o;
    Mutex lock;
    Cond cond;
    bool done;
    char *text;
    int result;
    Err *err;
} LateWait;

static void late_answered(PolkitCheck *c, void *ud)
{
    LateWait *w = ud;
    const PolkitQuestion *q = polkit_check_refusal(c);
    LOCK_SCOPE(&w->lock);
    w->result = q ? refuse_by_polkit(w->call, c, q, w->text, w->err) : 0;
    w->done = true;
    cond_broadcast(&w->cond);
}

static void late_ask(void *ud)
{
    LateWait *w = ud;
    PolkitCheck *c = polkit_check_new(polkit_for(w->call->conn), w->call->conn);
    add_questions(c, w->call, w->o);
    polkit_check_start(c, late_answered, w);
}

static int late_wait(Call *call, const AccessObject *o, char *text, Err *err)
{
    LateWait w = {.call = call, .o = o, .text = text, .err = err};
    event_assert_may_block();
    mutex_init(&w.lock, LOCK_LEAF, "late access");
    cond_init(&w.cond);
    event_post(call_server(call)->client_loop, late_ask, &w);
    pool_blocking_begin();
    mutex_lock(&w.lock);
    while (!w.done)
        cond_wait_until(&w.cond, &w.lock, deadline_in_ms(60000));
    mutex_unlock(&w.lock);
    pool_blocking_end();
    cond_done(&w.cond);
    mutex_done(&w.lock);
    return w.result;
}

int access_check_late(Call *call, const char *name, const uint8_t *uuid, Err *err)
{
    call->access_asked = true;
    call->late_name = arena_strdup(&call->arena, name);
    memcpy(call->late_uuid, uuid, UUID_LEN);
    audit_named(call_server(call)->audit, call);
    if (!is_on(call))
        return 0;
    const AccessObject o = {name, uuid};
    g_autofree char *text = g_strdup_printf("%s '%s'", proc_object_name(call->proc->object), name);
    if (check_object(call, &o, text, err) < 0)
        return -1;
    return polkit_for(call->conn) ? late_wait(call, &o, text, err) : 0;
}

/* ---- lists and events ------------------------------------------------------------------------------------------------------ */

bool access_sees_all_domains(const Call *call)
{
    if (!is_on(call) || call->proc->filter == PERM_NONE)
        return true;
    g_autoptr(AccessProfile) p = profile_of(call->conn);
    return !polkit_for(call->conn) && (!p || access_profile_always(p, call->proc->filter));
}

bool access_domain_visible(const Call *call, const DomainView *v)
{
    if (!is_on(call) || call->proc->filter == PERM_NONE)
        return true;
    g_autoptr(AccessProfile) p = profile_of(call->conn);
    const AccessObject o = {v->name, v->uuid};
    if (p && !access_profile_decide(p, call->proc->filter, &o).allow)
        return false;
    const char *asked = call->visible ? g_hash_table_lookup(call->visible, v->uuid) : NULL;
    return !polkit_for(call->conn) || (asked && strcmp(asked, v->name) == 0);
}

bool access_domain_known(const Call *call, const DomainView *v)
{
    if (!is_on(call))
        return true;
    g_autoptr(AccessProfile) p = profile_of(call->conn);
    const AccessObject o = {v->name, v->uuid};
    return !polkit_for(call->conn) && (!p || access_profile_decide(p, PERM_DOMAIN_GETATTR, &o).allow);
}

/* As protocol/events.def says of every event of a machine; the list of block jobs takes what the call for it takes. */
static Perm event_perm(const struct DomainEvent *e)
{
    return e->class == EVENT_BLOCK_JOBS ? PERM_DOMAIN_READ : PERM_DOMAIN_GETATTR;
}

AccessAnswer access_event(const RpcConn *conn, const struct DomainEvent *e)
{
    g_autoptr(AccessProfile) p = profile_of(conn);
    const AccessObject o = {e->name, e->uuid};
    if (p && !access_profile_decide(p, event_perm(e), &o).allow)
        return ACCESS_NO;
    return polkit_for(conn) ? ACCESS_ASK : ACCESS_YES;
}

typedef struct EventAsk {
    void (*done)(void *ud, bool allowed);
    void *ud;
} EventAsk;

static void event_answered(PolkitCheck *c, void *ud)
{
    EventAsk *a = ud;
    a->done(a->ud, !polkit_check_refusal(c));
    g_free(a);
}

void access_event_ask(RpcConn *conn, const struct DomainEvent *e, void (*done)(void *ud, bool allowed), void *ud)
{
    PolkitCheck *c = polkit_check_new(polkit_for(conn), conn);
    EventAsk *a = g_new(EventAsk, 1);
    *a = (EventAsk){done, ud};
    polkit_check_add(c, event_perm(e), &(AccessObject){e->name, e->uuid});
    polkit_check_start(c, event_answered, a);
}
