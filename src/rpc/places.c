/* rpc/places.c - places of local clients that have not shown who they are
 *
 * Owns:    who of them has a place, who waits for one and who has to go; not the places of the network (server.c)
 * Threads: client event thread
 * Errors:  none; who goes has the reason
 *
 * Theory of operation.  The kernel tells whose a local connection is, but only once it is accepted.  So all are accepted: who finds no place is
 * connected and not read, and waits.  Users share the places.  While all are taken, a newcomer gets one of the user that has most, if that one
 * has at least as many as the newcomer's then: the oldest connection that says nothing goes, or the oldest of all when each of that user's has
 * a question under way.  Users that have as many as he has lose none to him.  A place that becomes free is given to the user that has fewest,
 * and of those to the one of whom fewest wait.  When too many wait, the last of the user that has most of those goes.
 *
 * Root and the daemon's own user take no place: nobody keeps them out.
 */
#include "config.h"

#include <unistd.h>

#define LOG_AREA "rpc.server"

#include "rpc/internal.h"

struct LocalUser {
    uid_t uid;
    unsigned n[PLACE_MAX]; /* connections, by their place */
};

static bool needs_place(const RpcConn *c)
{
    const RpcListenerSpec *spec = &c->listener->spec;
    return spec->kind == RPC_KIND_UNIX && spec->auth != RPC_AUTH_NONE && !(c->peer.has_creds && (c->peer.uid == 0 || c->peer.uid == geteuid()));
}

static LocalUser *user_of(RpcServer *s, const RpcConn *c)
{
    uid_t uid = c->peer.has_creds ? c->peer.uid : (uid_t)-1;
    LocalUser *u = g_hash_table_lookup(s->users, GUINT_TO_POINTER(uid));
    if (!u) {
        u = g_new0(LocalUser, 1);
        u->uid = uid;
        g_hash_table_insert(s->users, GUINT_TO_POINTER(uid), u);
    }
    return u;
}

static GQueue *queue_of(RpcServer *s, Place place)
{
    return place == PLACE_TAKEN ? &s->locals : &s->waiting;
}

static void set_place(RpcConn *c, Place place)
{
    RpcServer *s = c->server;
    LocalUser *u = c->user;
    if (c->place != PLACE_NONE) {
        g_queue_unlink(queue_of(s, c->place), &c->stranger);
        u->n[c->place]--;
    }
    c->place = place;
    c->stranger.data = c;
    if (place != PLACE_NONE) {
        g_queue_push_tail_link(queue_of(s, place), &c->stranger);
        u->n[place]++;
    } else if (u->n[PLACE_TAKEN] + u->n[PLACE_WAITS] == 0) {
        g_hash_table_remove(s->users, GUINT_TO_POINTER(u->uid));
    }
}

static bool is_full(const RpcServer *s)
{
    return s->limits.max_anonymous_clients && s->locals.length >= s->limits.max_anonymous_clients;
}

/* The user with most connections of this place. */
static LocalUser *user_with_most(const RpcServer *s, Place place)
{
    GHashTableIter it;
    gpointer user = NULL;
    LocalUser *most = NULL;
    g_hash_table_iter_init(&it, s->users);
    while (g_hash_table_iter_next(&it, NULL, &user))
        if (!most || ((LocalUser *)user)->n[place] > most->n[place])
            most = user;
    return most;
}

/* Who of the user goes: the oldest that says nothing, else the oldest. */
static RpcConn *who_goes(const RpcServer *s, const LocalUser *u)
{
    RpcConn *oldest = NULL;
    for (const GList *i = s->locals.head; i; i = i->next) {
        RpcConn *c = i->data;
        if (c->user != u)
            continue;
        if (conn_in_flight(c) == 0)
            return c;
        if (!oldest)
            oldest = c;
    }
    return oldest;
}

static void show_out(RpcConn *c, const char *why)
{
    set_place(c, PLACE_NONE);
    conn_fail(c, "%s", why);
}

static bool take_from_greedier(RpcServer *s, const LocalUser *u)
{
    const LocalUser *most = user_with_most(s, PLACE_TAKEN);
    if (most->n[PLACE_TAKEN] <= u->n[PLACE_TAKEN] + 1)
        return false;
    show_out(who_goes(s, most), "made room for another user's client: has not shown who it is, and its user has most of those");
    return true;
}

static void turn_one_away(RpcServer *s)
{
    const LocalUser *most = user_with_most(s, PLACE_WAITS);
    for (GList *i = s->waiting.tail; i; i = i->prev) {
        RpcConn *c = i->data;
        if (c->user == most) {
            show_out(c, "too many clients of its user wait to show who they are");
            return;
        }
    }
}

void places_enter(RpcConn *c)
{
    RpcServer *s = c->server;
    if (!needs_place(c))
        return;
    c->user = user_of(s, c);
    if (!is_full(s) || take_from_greedier(s, c->user)) {
        set_place(c, PLACE_TAKEN);
        return;
    }
    set_place(c, PLACE_WAITS);
    if (s->waiting.length > RPC_WAITING_MAX)
        turn_one_away(s);
}

void places_leave(RpcConn *c)
{
    if (c->place != PLACE_NONE)
        set_place(c, PLACE_NONE);
}

/* The oldest of those whose user has least. */
static RpcConn *who_is_next(const RpcServer *s)
{
    RpcConn *next = NULL;
    for (const GList *i = s->waiting.head; i; i = i->next) {
        RpcConn *c = i->data;
        const unsigned *a = c->user->n, *b = next ? next->user->n : NULL;
        if (!b || a[PLACE_TAKEN] < b[PLACE_TAKEN] || (a[PLACE_TAKEN] == b[PLACE_TAKEN] && a[PLACE_WAITS] < b[PLACE_WAITS]))
            next = c;
    }
    return next;
}

static bool has_place_for_waiting(const RpcServer *s)
{
    return s->waiting.length && !is_full(s) && server_below_max_clients(s);
}

static void let_in(void *arg)
{
    RpcServer *s = arg;
    s->letting_in = false;
    while (has_place_for_waiting(s)) {
        RpcConn *c = who_is_next(s);
        set_place(c, PLACE_TAKEN);
        conn_let_in(c);
    }
    server_unref(s);
}

void places_let_in_soon(RpcServer *s)
{
    if (s->letting_in || !has_place_for_waiting(s))
        return;
    s->letting_in = true;
    g_atomic_int_inc(&s->refs);
    event_post(s->loop, let_in, s);
}
