/* rpc/server.c - listeners, connections, limits
 *
 * Owns:    listening sockets, the table of connections, when to accept
 * Threads: client event thread; refs are atomic
 * Errors:  Err, origin RPC
 *
 * Theory of operation.  A listener is watched only while there is room for one more client, on the network also of the unauthenticated.
 * Those of the local sockets and those of the network are counted apart: whatever strangers do, who is on this host gets in (places.c).
 * When strangers have taken all places, the oldest of them has had at least a moment, and another one comes, the oldest goes: so many who
 * stop in the midst of a handshake keep nobody out who goes on with his.
 *
 * When descriptors run out, a reserve descriptor is given up for a moment to accept and close one client, which so learns of it, and
 * accepting rests for a while: the backlog waits, nothing spins.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define LOG_AREA "rpc.server"
#define ERR_FROM VIR_FROM_RPC

#include "rpc/internal.h"
#include "util/fd.h"
#include "util/log.h"

#define ACCEPT_REST_MS 500u /* after running out of descriptors */
#define STRANGER_MS    500u /* a stranger's place is its own for so long */
#define TELL_FULL_MS   10000u

const char *const rpc_auth_names[RPC_AUTH_MAX] = {
    [RPC_AUTH_NONE] = "none",
    [RPC_AUTH_SASL] = "sasl",
    [RPC_AUTH_POLKIT] = "polkit",
};

static RpcListener *listener_new(RpcServer *s, int fd, const RpcListenerSpec *spec)
{
    RpcListener *l = g_new0(RpcListener, 1);
    l->refs = 1;
    l->server = s;
    l->fd = fd;
    l->name = g_strdup(spec->name);
    l->spec = *spec;
    l->spec.name = l->name;
    return l;
}

void listener_unref(RpcListener *l)
{
    if (!l || !g_atomic_int_dec_and_test(&l->refs))
        return;
    g_free(l->name);
    g_free(l);
}

static void listener_close(RpcListener *l)
{
    l->io = event_io_free(l->io);
    fd_close(&l->fd);
    listener_unref(l);
}

const char *rpc_listener_name(const RpcListener *l)
{
    return l->name;
}

static void conn_table_unref(gpointer conn)
{
    rpc_conn_unref(conn);
}

static int on_retry(sd_event_source *src, uint64_t usec, void *userdata);
static int on_room(sd_event_source *src, uint64_t usec, void *userdata);

RpcServer *rpc_server_new(EventLoop *loop, const char *name, const RpcLimits *limits, const RpcService *service)
{
    RpcServer *s = g_new0(RpcServer, 1);
    s->refs = 1;
    s->loop = loop;
    s->name = g_strdup(name);
    s->limits = *limits;
    s->service = *service;
    s->listeners = g_ptr_array_new();
    s->conns = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, conn_table_unref);
    s->scratch = g_malloc(RPC_SCRATCH_SIZE);
    s->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    g_queue_init(&s->strangers);
    g_queue_init(&s->locals);
    g_queue_init(&s->waiting);
    s->users = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    if (sd_event_add_time(event_loop_sd(loop), &s->retry, CLOCK_MONOTONIC, UINT64_MAX, 0, on_retry, s) < 0 ||
        sd_event_source_set_enabled(s->retry, SD_EVENT_OFF) < 0 ||
        sd_event_add_time(event_loop_sd(loop), &s->room, CLOCK_MONOTONIC, UINT64_MAX, 0, on_room, s) < 0 ||
        sd_event_source_set_enabled(s->room, SD_EVENT_OFF) < 0)
        g_error("no timer for the server");
    return s;
}

void server_unref(RpcServer *s)
{
    if (!s || !g_atomic_int_dec_and_test(&s->refs))
        return;
    g_ptr_array_unref(s->listeners);
    g_hash_table_unref(s->conns);
    g_hash_table_unref(s->users);
    g_free(s->scratch);
    g_free(s->name);
    g_free(s);
}

/* ---- room ------------------------------------------------------------------------------------------------------------------- */

void server_count_anonymous(RpcConn *c)
{
    RpcServer *s = c->server;
    s->n_anonymous = c->anonymous ? s->n_anonymous + 1 : s->n_anonymous - 1;
    if (c->listener->spec.kind == RPC_KIND_UNIX) {
        if (c->anonymous)
            places_enter(c);
        else
            places_leave(c);
        return;
    }
    if (c->anonymous) {
        c->stranger.data = c;
        g_queue_push_tail_link(&s->strangers, &c->stranger);
    } else {
        g_queue_unlink(&s->strangers, &c->stranger);
        c->stranger.data = NULL;
    }
}

bool server_below_max_clients(const RpcServer *s)
{
    return !s->stopped && g_hash_table_size(s->conns) - s->waiting.length < s->limits.max_clients;
}

static bool has_room(const RpcServer *s, const RpcListener *l)
{
    unsigned max = s->limits.max_anonymous_clients;
    bool asks = l->spec.auth != RPC_AUTH_NONE || l->spec.make_transport; /* else its clients are nobody's strangers */
    return server_below_max_clients(s) && (l->spec.kind == RPC_KIND_UNIX || max == 0 || !asks || s->strangers.length < max);
}

/* The stranger that has to go for another one on this listener; NULL: there is none, or its time is not over (*ret_wait_us). */
static RpcConn *who_goes(const RpcServer *s, const RpcListener *l, uint64_t *ret_wait_us)
{
    RpcConn *oldest = s->strangers.head ? s->strangers.head->data : NULL;
    if (!oldest || l->spec.kind == RPC_KIND_UNIX || !server_below_max_clients(s))
        return NULL;
    uint64_t had = now_us() - oldest->accepted_us;
    if (had >= STRANGER_MS * 1000)
        return oldest;
    *ret_wait_us = STRANGER_MS * 1000 - had;
    return NULL;
}

void server_update_accept(RpcServer *s)
{
    uint64_t wait_us = 0;
    places_let_in_soon(s);
    for (guint i = 0; i < s->listeners->len; i++) {
        RpcListener *l = s->listeners->pdata[i];
        bool room = !s->resting && (has_room(s, l) || who_goes(s, l, &wait_us));
        int r = event_io_set(l->io, room ? EPOLLIN : 0);
        if (r < 0)
            log_error("cannot watch %s: %s", l->name, g_strerror(-r));
    }
    if (wait_us == 0 || s->resting || !s->room)
        return;
    event_loop_sd(s->loop); /* it is to look at its timers */
    if (sd_event_source_set_time_relative(s->room, wait_us) < 0 || sd_event_source_set_enabled(s->room, SD_EVENT_ONESHOT) < 0)
        log_error("no timer to accept clients again");
}

static int on_room(sd_event_source *src, uint64_t usec, void *userdata)
{
    server_update_accept(userdata);
    return 0;
}

/* True when there is room now. */
static bool make_room(RpcServer *s, const RpcListener *l)
{
    uint64_t wait_us = 0;
    if (has_room(s, l))
        return true;
    g_autoptr(RpcConn) c = who_goes(s, l, &wait_us);
    if (!c)
        return false;
    rpc_conn_ref(c);
    conn_fail(c, "made room for another client: has not shown who it is in the time it had");
    conn_close_impl(c);
    return true;
}

static void tell_full(RpcServer *s)
{
    uint64_t now = now_us();
    if (s->told_full_us && now - s->told_full_us < TELL_FULL_MS * 1000)
        return;
    s->told_full_us = now;
    log_warning("%s: %u clients (%u not authenticated), others have to wait", s->name, rpc_server_n_clients(s), s->n_anonymous);
}

/* ---- accepting -------------------------------------------------------------------------------------------------------------- */

static int on_retry(sd_event_source *src, uint64_t usec, void *userdata)
{
    RpcServer *s = userdata;
    s->resting = false;
    if (s->reserve_fd < 0)
        s->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    server_update_accept(s);
    return 0;
}

static void rest(RpcServer *s)
{
    s->resting = true;
    event_loop_sd(s->loop); /* it is to look at its timers */
    int r = sd_event_source_set_time_relative(s->retry, ACCEPT_REST_MS * 1000);
    if (r >= 0)
        r = sd_event_source_set_enabled(s->retry, SD_EVENT_ONESHOT);
    if (r < 0)
        log_error("no timer to accept clients again: %s", g_strerror(-r));
    server_update_accept(s);
}

static void out_of_fds(RpcListener *l, int errnum)
{
    RpcServer *s = l->server;
    log_error("cannot accept a client on %s: %s; resting for %u ms", l->name, g_strerror(errnum), ACCEPT_REST_MS);
    if (s->reserve_fd >= 0) {
        fd_close(&s->reserve_fd);
        AUTO_CLOSE int fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        fd_close(&fd);
        s->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    }
    rest(s);
}

/* One client a round: those connected are served in between, and the socket tells when there are more. */
static void on_accept(void *userdata, uint32_t revents)
{
    RpcListener *l = userdata;
    RpcServer *s = l->server;
    if (!make_room(s, l)) {
        server_update_accept(s);
        return;
    }
    AUTO_CLOSE int fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) {
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
            out_of_fds(l, errno);
        else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
            log_warning("accept on %s: %s", l->name, g_strerror(errno));
        return;
    }
    g_auto(Err) err = ERR_INIT;
    if (!conn_new(s, l, take_fd(&fd), &err))
        log_warning("client of %s turned away: %s", l->name, err.detail);
    if (!has_room(s, l) || s->waiting.length)
        tell_full(s);
    server_update_accept(s);
}

int rpc_server_listen(RpcServer *s, int fd, const RpcListenerSpec *spec, Err *err)
{
    AUTO_CLOSE int own = fd;
    int r = fd_set_nonblock(own, true);
    if (r == 0)
        r = fd_set_cloexec(own, true);
    if (r < 0)
        return err_set_errno(err, -r, "listening socket %s", spec->name);
    if (spec->kind != RPC_KIND_UNIX)
        conn_set_tcp_options(own);
    RpcListener *l = listener_new(s, own, spec);
    l->io = event_io_new(s->loop, own, EPOLLIN, on_accept, l);
    if (!l->io) {
        r = errno;
        listener_unref(l);
        return err_set_errno(err, r, "cannot watch %s", spec->name);
    }
    event_io_set_late(l->io, spec->kind != RPC_KIND_UNIX);
    take_fd(&own);
    g_ptr_array_add(s->listeners, l);
    server_update_accept(s);
    return 0;
}

RpcConn *rpc_server_adopt(RpcServer *s, int fd, const RpcListenerSpec *spec, Err *err)
{
    AUTO_CLOSE int own = fd;
    int r = fd_set_nonblock(own, true);
    if (r < 0) {
        err_set_errno(err, -r, "socket of %s", spec->name);
        return NULL;
    }
    if (spec->kind != RPC_KIND_UNIX)
        conn_set_tcp_options(own);
    RpcListener *l = listener_new(s, -1, spec);
    RpcConn *c = conn_new(s, l, take_fd(&own), err);
    listener_unref(l);
    return c;
}

static void process_soon(RpcConn *c, void *unused)
{
    conn_process_soon(c);
}

void rpc_server_set_limits(RpcServer *s, const RpcLimits *limits)
{
    s->limits = *limits;
    server_update_accept(s);
    rpc_server_foreach(s, process_soon, NULL); /* there may be more calls under way than may be now, or fewer: who waits for what changes */
}

const RpcLimits *rpc_server_limits(const RpcServer *s)
{
    return &s->limits;
}

const char *rpc_server_name(const RpcServer *s)
{
    return s->name;
}

unsigned rpc_server_n_clients(const RpcServer *s)
{
    return g_hash_table_size(s->conns);
}

unsigned rpc_server_n_anonymous(const RpcServer *s)
{
    return s->n_anonymous;
}

void rpc_server_foreach(RpcServer *s, void (*fn)(RpcConn *c, void *arg), void *arg)
{
    GHashTableIter it;
    gpointer conn = NULL;
    g_hash_table_iter_init(&it, s->conns);
    while (g_hash_table_iter_next(&it, NULL, &conn))
        fn(conn, arg);
}

RpcConn *rpc_server_find(RpcServer *s, uint64_t id)
{
    RpcConn *c = g_hash_table_lookup(s->conns, &id);
    return c ? rpc_conn_ref(c) : NULL;
}

void rpc_server_stop(RpcServer *s, const char *reason)
{
    if (s->stopped)
        return;
    s->stopped = true;
    s->retry = sd_event_source_disable_unref(s->retry);
    s->room = sd_event_source_disable_unref(s->room);
    for (guint i = 0; i < s->listeners->len; i++)
        listener_close(s->listeners->pdata[i]);
    g_ptr_array_set_size(s->listeners, 0);
    g_autoptr(GList) conns = g_hash_table_get_values(s->conns);
    for (GList *i = conns; i; i = i->next)
        rpc_conn_ref(i->data);
    for (GList *i = conns; i; i = i->next) {
        RpcConn *c = i->data;
        conn_fail(c, "%s", reason);
        conn_close_impl(c);
        rpc_conn_unref(c);
    }
    fd_close(&s->reserve_fd);
}

void rpc_server_free(RpcServer *s)
{
    if (!s)
        return;
    rpc_server_stop(s, "the server ends");
    server_unref(s);
}
