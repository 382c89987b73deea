/* daemon/idle.c - ending when nobody needs the daemon
 *
 * Owns:    one timer
 * Threads: client event thread
 *
 * Theory of operation.  The timer runs while there is no client: from the moment the last one leaves, for the whole limit.  Machines and tasks change on
 * other threads, so they are looked at when it begins and when it ends: if one needed the daemon at either look, the timer runs once more.
 * So the daemon ends one limit after the last client, and between one and two limits after the last machine.
 */
#include "config.h"

#define LOG_AREA "daemon.idle"
#include "daemon/idle.h"
#include "util/log.h"

struct IdleWatch {
    Server *server;
    sd_event_source *timer; /* NULL: not running */
    uint64_t limit_us;      /* 0: never */
    bool was_busy;          /* when last looked at */
};

static bool has_clients(const Server *s)
{
    return rpc_server_n_clients(s->rpc) > 0 || (s->admin && rpc_server_n_clients(s->admin) > 0);
}

static int on_timer(sd_event_source *t, uint64_t usec, void *userdata)
{
    IdleWatch *w = userdata;
    bool busy = domain_driver_busy(w->server->domains);
    if (!busy && !w->was_busy) {
        log_info("nobody needs the daemon: ending");
        /* Here and now: a client that was still taken would lose its connection, one in the socket's queue waits for the next daemon. */
        rpc_server_stop(w->server->rpc, "the daemon ends");
        rpc_server_stop(w->server->admin, "the daemon ends");
        event_loop_stop(w->server->client_loop, 0);
        return 0;
    }
    w->was_busy = busy;
    if (busy)
        log_debug("no client, but machines or tasks need the daemon");
    sd_event_source_set_time_relative(t, w->limit_us);
    return sd_event_source_set_enabled(t, SD_EVENT_ONESHOT);
}

static void stop_timer(IdleWatch *w)
{
    w->timer = sd_event_source_disable_unref(w->timer);
}

void idle_watch_client(IdleWatch *w)
{
    if (!w || w->limit_us == 0)
        return;
    if (has_clients(w->server)) {
        stop_timer(w);
    } else if (!w->timer) {
        int r = sd_event_add_time_relative(event_loop_sd(w->server->client_loop), &w->timer, CLOCK_MONOTONIC, w->limit_us, 0, on_timer, w);
        w->was_busy = domain_driver_busy(w->server->domains);
        if (r < 0)
            log_error("no timer to end when idle: %s", g_strerror(-r));
    }
}

void idle_watch_set(IdleWatch *w, unsigned seconds)
{
    stop_timer(w);
    if (seconds)
        log_info("will end after %u s without client, machine and task", seconds);
    w->limit_us = (uint64_t)seconds * G_USEC_PER_SEC;
    idle_watch_client(w);
}

IdleWatch *idle_watch_new(Server *s, unsigned seconds)
{
    IdleWatch *w = g_new0(IdleWatch, 1);
    w->server = s;
    idle_watch_set(w, seconds);
    return w;
}

void idle_watch_free(IdleWatch *w)
{
    if (!w)
        return;
    stop_timer(w);
    g_free(w);
}
