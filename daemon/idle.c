/* daemon/idle.c - ending when nobody needs the daemon
 *
 * Owns:    one timer on the client event thread.  It looks once a period: idle at two looks in a row with no call between ends it.
 */
#include "config.h"

#define LOG_AREA "daemon.idle"
#include "daemon/idle.h"
#include "util/log.h"

struct IdleWatch {
    Server *server;
    sd_event_source *timer;
    uint64_t period_us;
    bool was_idle;
};

static int on_timer(sd_event_source *t, uint64_t usec, void *userdata)
{
    IdleWatch *w = userdata;
    bool idle = rpc_server_n_clients(w->server->rpc) == 0 && !domain_driver_busy(w->server->domains);
    if (idle && w->was_idle) {
        log_info("nobody needs the daemon: ending");
        event_loop_stop(w->server->client_loop, 0);
        return 0;
    }
    w->was_idle = idle;
    sd_event_source_set_time_relative(t, w->period_us);
    return sd_event_source_set_enabled(t, SD_EVENT_ONESHOT);
}

IdleWatch *idle_watch_new(Server *s, int seconds)
{
    if (seconds <= 0)
        return NULL;
    IdleWatch *w = g_new0(IdleWatch, 1);
    w->server = s;
    w->period_us = (uint64_t)seconds * 1000000;
    sd_event_add_time_relative(event_loop_sd(s->client_loop), &w->timer, CLOCK_MONOTONIC, w->period_us, 0, on_timer, w);
    return w;
}

void idle_watch_free(IdleWatch *w)
{
    if (!w)
        return;
    sd_event_source_unref(w->timer);
    g_free(w);
}
