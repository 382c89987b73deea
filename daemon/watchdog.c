/* daemon/watchdog.c - telling the service manager that the daemon works, only as long as it does
 *
 * Owns:    one timer, and a probe each in the monitor thread and in the lanes of workers
 * Threads: client event thread; probes run where they are sent
 *
 * Theory of operation.  Several times in the time allowed a round begins: a probe is posted to the monitor thread and one is submitted to each
 * lane.  Each posts its answer back here, and the last of them makes the ping: so a ping means that both event threads turn and that
 * workers can be had.  A lane whose probe still queues behind other work is alive all the same if one of its tasks has begun, ended, fallen
 * asleep or woken up since: load is no reason to be killed.  Tasks that wait for a QEMU or a child sleep as far as the pool knows, and take no
 * place: a lane stands still only when all of its places are held by tasks that neither compute to an end nor say that they wait.  Long work
 * may do so for a while (a large image is written out by one system call after another), so its lane has five times the time.  What does
 * not answer is named in the log, and when the time is up the service manager restarts the daemon; machines go on meanwhile.
 *
 * Workers of authentication are left out on purpose: what they wait for (saslauthd, a KDC) is no better after a restart, and whoever makes
 * them wait has not shown yet who he is.  He would end the connections of all who have.
 */
#include "config.h"

#define LOG_AREA "daemon.watchdog"
#include <string.h>
#include <systemd/sd-daemon.h>

#include "daemon/watchdog.h"
#include "util/log.h"

typedef enum { PART_MONITOR, PART_FAST, PART_NORMAL, PART_LONG, PART_MAX } Part;

static const struct {
    const char *name;
    Lane lane; /* INLINE: no lane */
    unsigned patience; /* rounds it may stand still and count as alive */
} parts[PART_MAX] = {
    [PART_MONITOR] = {"the monitor event thread", LANE_INLINE},
    [PART_FAST] = {"the workers of short calls", LANE_FAST},
    [PART_NORMAL] = {"the workers of ordinary calls", LANE_NORMAL},
    [PART_LONG] = {"the workers of long calls", LANE_LONG, WATCHDOG_LONG_ROUNDS},
};

typedef struct Probe {
    Watchdog *w; /* reference */
    Part part;
} Probe;

struct Watchdog {
    int refs; /* atomic: owner, probes */
    EventLoop *client, *monitor;
    Pool *pool;
    sd_event_source *timer; /* NULL: freed by the owner */
    uint64_t period_us;
    bool away[PART_MAX];    /* its probe has not come back */
    bool alive[PART_MAX];   /* in this round */
    unsigned still[PART_MAX]; /* rounds that saw neither its probe nor a move, in a row */
    unsigned silent;          /* rounds that did not become whole, in a row */
    uint64_t moves[LANE_MAX]; /* of tasks, when last looked at */
};

static void unref(Watchdog *w)
{
    if (g_atomic_int_dec_and_test(&w->refs))
        g_free(w);
}

static void ping_if_whole(Watchdog *w)
{
    for (Part p = 0; p < PART_MAX; p++)
        if (!w->alive[p])
            return;
    if (w->silent > 1)
        log_info("everything answers again");
    w->silent = 0;
    sd_notify(0, "WATCHDOG=1");
}

static void came_back(void *arg)
{
    Probe *probe = arg;
    Watchdog *w = probe->w;
    w->away[probe->part] = false;
    bool news = !w->alive[probe->part];
    w->alive[probe->part] = true;
    if (w->timer && news)
        ping_if_whole(w);
    g_free(probe);
    unref(w);
}

static void answer(void *arg)
{
    Probe *probe = arg;
    event_post(probe->w->client, came_back, probe);
}

static void send_probe(Watchdog *w, Part part)
{
    Probe *probe = g_new0(Probe, 1);
    probe->w = w;
    probe->part = part;
    g_atomic_int_inc(&w->refs);
    w->away[part] = true;
    if (parts[part].lane == LANE_INLINE)
        event_post(w->monitor, answer, probe);
    else
        pool_submit(w->pool, parts[part].lane, answer, probe);
}

/* Names what was silent for the whole of the last round. */
static void judge_round(Watchdog *w)
{
    bool whole = true;
    for (Part p = 0; p < PART_MAX; p++) {
        whole = whole && w->alive[p];
        if (!w->alive[p] && w->silent == 1)
            log_warning("%s did not answer for %u ms; without an answer the service manager will restart the daemon", parts[p].name,
                        (unsigned)((parts[p].patience + 2) * w->period_us / 1000));
    }
    w->silent = whole ? 0 : w->silent + 1;
}

static void begin_round(Watchdog *w)
{
    PoolStats st;
    pool_stats(w->pool, &st);
    for (Part p = 0; p < PART_MAX; p++) {
        Lane lane = parts[p].lane;
        bool moves = !w->away[p] || (lane != LANE_INLINE && st.moves[lane] != w->moves[lane]);
        w->still[p] = moves ? 0 : w->still[p] + 1;
        w->alive[p] = w->away[p] && (moves || w->still[p] <= parts[p].patience);
        if (!w->away[p])
            send_probe(w, p);
    }
    memcpy(w->moves, st.moves, sizeof(w->moves));
    ping_if_whole(w);
}

static int on_timer(sd_event_source *t, uint64_t usec, void *userdata)
{
    Watchdog *w = userdata;
    judge_round(w);
    begin_round(w);
    sd_event_source_set_time_relative(t, w->period_us);
    return sd_event_source_set_enabled(t, SD_EVENT_ONESHOT);
}

Watchdog *watchdog_new(EventLoop *client, EventLoop *monitor, Pool *pool)
{
    uint64_t allowed_us = 0;
    if (sd_watchdog_enabled(0, &allowed_us) <= 0 || allowed_us < WATCHDOG_ROUNDS)
        return NULL;
    Watchdog *w = g_new0(Watchdog, 1);
    w->refs = 1;
    w->client = client;
    w->monitor = monitor;
    w->pool = pool;
    w->period_us = allowed_us / WATCHDOG_ROUNDS;
    int r = sd_event_add_time_relative(event_loop_sd(client), &w->timer, CLOCK_MONOTONIC, w->period_us, w->period_us / 10, on_timer, w);
    if (r < 0)
        g_error("no timer for the watchdog");
    log_debug("pings every %u ms", (unsigned)(w->period_us / 1000));
    begin_round(w);
    return w;
}

void watchdog_free(Watchdog *w)
{
    if (!w)
        return;
    w->timer = sd_event_source_disable_unref(w->timer);
    unref(w);
}
