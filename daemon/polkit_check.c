/* daemon/polkit_check.c - permissions on objects, as questions to polkit
 *
 * Owns:    the questions of one call, list or event, and how many of them polkit has at once
 * Threads: the client event thread
 * Errors:  as answers
 */
#include "config.h"

#include "daemon/polkit_check.h"
#include "util/uuid.h"

#define WINDOW 8u          /* questions of one check at a time: a long list leaves room for others */
#define CHECK_MS 30000u

bool polkit_subject(RpcConn *conn, PolkitSubject *ret, const char **ret_why)
{
    const RpcPeer *p = rpc_conn_peer(conn);
    rpc_conn_find_start(conn);
    if (!p->has_creds || p->pid <= 0)
        *ret_why = "polkit knows local processes only; the access driver \"berth\" knows remote users";
    else if (!rpc_peer_start(p))
        *ret_why = "the process that connected has ended";
    else {
        *ret = (PolkitSubject){p->pid, rpc_peer_start(p), p->uid};
        return true;
    }
    return false;
}

static void question_clear(void *arg)
{
    PolkitQuestion *q = arg;
    g_free(q->name);
}

PolkitCheck *polkit_check_new(Polkit *p, RpcConn *conn)
{
    PolkitCheck *c = g_new0(PolkitCheck, 1);
    c->polkit = p;
    c->conn = rpc_conn_ref(conn);
    c->questions = g_array_new(FALSE, TRUE, sizeof(PolkitQuestion));
    g_array_set_clear_func(c->questions, question_clear);
    return c;
}

void polkit_check_add(PolkitCheck *c, Perm perm, const AccessObject *o)
{
    PolkitQuestion q = {.perm = perm, .answer = POLKIT_FAILED};
    if (o) {
        q.name = g_strdup(o->name ? o->name : "");
        if (o->uuid)
            memcpy(q.uuid, o->uuid, UUID_LEN);
    }
    g_array_append_val(c->questions, q);
}

static void finish(PolkitCheck *c)
{
    c->done(c, c->ud);
    g_array_unref(c->questions);
    rpc_conn_unref(c->conn);
    g_free(c->why);
    g_free(c);
}

static void ask_more(PolkitCheck *c);

/* What an answer needs to find its question. */
typedef struct Pending {
    PolkitCheck *check;
    unsigned index;
} Pending;

static void answered(void *ud, PolkitAnswer answer, const char *why)
{
    Pending *p = ud;
    PolkitCheck *c = p->check;
    g_array_index(c->questions, PolkitQuestion, p->index).answer = answer;
    g_free(p);
    if (why && !c->why)
        c->why = g_strdup(why);
    c->open--;
    ask_more(c);
}

static void ask_more(PolkitCheck *c)
{
    PolkitSubject who;
    const char *why = NULL;
    bool ask = rpc_conn_is_alive(c->conn) && polkit_subject(c->conn, &who, &why);
    if (why && !c->why)
        c->why = g_strdup(why);
    while (ask && c->next < c->questions->len && c->open < WINDOW) {
        const PolkitQuestion *q = &g_array_index(c->questions, PolkitQuestion, c->next);
        char uuid[UUID_STRING_LEN];
        PolkitDetail details[] = {{"connect_driver", "QEMU"}, {"domain_name", q->name}, {"domain_uuid", uuid}};
        uuid_format(q->uuid, uuid);
        Pending *p = g_new(Pending, 1);
        *p = (Pending){c, c->next++};
        c->open++;
        polkit_ask(c->polkit, &who, perm_info(q->perm)->action, details, q->name ? 3 : 1, false, c->deadline, answered, p);
    }
    if (c->open == 0)
        finish(c);
}

void polkit_check_start(PolkitCheck *c, void (*done)(PolkitCheck *c, void *ud), void *ud)
{
    c->done = done;
    c->ud = ud;
    c->deadline = deadline_in_ms(CHECK_MS);
    ask_more(c);
}

const PolkitQuestion *polkit_check_refusal(const PolkitCheck *c)
{
    for (unsigned i = 0; i < c->questions->len; i++) {
        const PolkitQuestion *q = &g_array_index(c->questions, PolkitQuestion, i);
        if (q->answer != POLKIT_YES)
            return q;
    }
    return NULL;
}
