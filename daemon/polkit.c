/* daemon/polkit.c - asking polkit
 *
 * Owns:    the connection to the system bus; the questions under way
 * Threads: the client event thread
 * Errors:  as answers
 *
 * The connection is opened when the first question comes and again when it broke: the bus and polkit may start after us.
 */
#include "config.h"

#define LOG_AREA "daemon.polkit"
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <systemd/sd-bus.h>

#include "daemon/polkit.h"
#include "util/log.h"

#define ACTIVE_MAX 32u /* questions polkit has at once */
#define SERVICE "org.freedesktop.PolicyKit1"
#define OBJECT "/org/freedesktop/PolicyKit1/Authority"
#define INTERFACE "org.freedesktop.PolicyKit1.Authority"

enum { ALLOW_USER_INTERACTION = 1 };

struct PolkitAsk {
    Polkit *polkit;
    GList link; /* in waiting or active */
    bool active;
    PolkitSubject who;
    char *action;
    char **details; /* key, value, …, NULL */
    sd_bus_slot *slot;
    char *cancellation; /* name of an interactive question */
    Deadline deadline;
    PolkitDone *done;
    void *ud;
};

struct Polkit {
    EventLoop *loop;
    sd_bus *bus; /* NULL: not open */
    GQueue waiting, active;
    uint64_t last_id;
    bool posted;
    bool freeing;
};

static void start_waiting(void *arg);

Polkit *polkit_new(EventLoop *loop)
{
    Polkit *p = g_new0(Polkit, 1);
    p->loop = loop;
    g_queue_init(&p->waiting);
    g_queue_init(&p->active);
    return p;
}

/* Once, from a clean stack. */
static void post_start(Polkit *p)
{
    if (p->posted || p->freeing)
        return;
    p->posted = true;
    event_post(p->loop, start_waiting, p);
}

static void close_bus(Polkit *p)
{
    if (!p->bus)
        return;
    sd_bus_detach_event(p->bus);
    p->bus = sd_bus_close_unref(p->bus);
}

static void finish(PolkitAsk *a, PolkitAnswer answer, const char *why)
{
    Polkit *p = a->polkit;
    g_queue_unlink(a->active ? &p->active : &p->waiting, &a->link);
    sd_bus_slot_unref(a->slot); /* an answer on its way is dropped */
    a->done(a->ud, answer, why);
    g_strfreev(a->details);
    g_free(a->action);
    g_free(a->cancellation);
    g_free(a);
    if (p->waiting.length)
        post_start(p);
}

Polkit *polkit_free(Polkit *p)
{
    if (!p)
        return NULL;
    p->freeing = true;
    while (p->active.length)
        finish(p->active.head->data, POLKIT_FAILED, "the daemon stops");
    while (p->waiting.length)
        finish(p->waiting.head->data, POLKIT_FAILED, "the daemon stops");
    close_bus(p);
    if (!p->posted)
        g_free(p);
    return NULL;
}

/* ---- the bus --------------------------------------------------------------------------------------------------------------- */

static int open_bus(Polkit *p)
{
    if (p->bus && sd_bus_is_open(p->bus) > 0)
        return 0;
    close_bus(p);
    int r = sd_bus_open_system(&p->bus); /* does not wait: what is sent meanwhile queues */
    if (r >= 0)
        r = sd_bus_attach_event(p->bus, event_loop_sd(p->loop), SD_EVENT_PRIORITY_NORMAL);
    if (r < 0)
        close_bus(p);
    return r;
}

/* There is no bus.  One that is too busy to take us, or a descriptor we lack, is no absence: who may come in without polkit must not have a
 * hand in it. */
static bool is_bus_absence(int r)
{
    return r == -ENOENT || r == -ECONNREFUSED;
}

/* No polkit, in the words of the bus. */
static bool is_absence(const sd_bus_error *e)
{
    static const char *const names[] = {"org.freedesktop.DBus.Error.ServiceUnknown", "org.freedesktop.DBus.Error.NameHasNoOwner",
                                        "org.freedesktop.DBus.Error.NoServer",       "org.freedesktop.DBus.Error.FileNotFound",
                                        "org.freedesktop.systemd1.NoSuchUnit",       "org.freedesktop.systemd1.UnitMasked",
                                        NULL};
    return e->name && (g_strv_contains(names, e->name) || g_str_has_prefix(e->name, "org.freedesktop.DBus.Error.Spawn."));
}

/* (is_authorized, is_challenge, {key: value}) */
static int read_answer(sd_bus_message *m, PolkitAnswer *ret)
{
    int authorized = 0, challenge = 0;
    bool dismissed = false;
    const char *key, *value;
    int r = sd_bus_message_enter_container(m, 'r', "bba{ss}");
    if (r > 0)
        r = sd_bus_message_read(m, "bb", &authorized, &challenge);
    if (r > 0)
        r = sd_bus_message_enter_container(m, 'a', "{ss}");
    while (r > 0 && (r = sd_bus_message_read(m, "{ss}", &key, &value)) > 0)
        dismissed = dismissed || (strcmp(key, "polkit.dismissed") == 0 && *value);
    if (r < 0)
        return r;
    *ret = authorized ? POLKIT_YES : dismissed ? POLKIT_DISMISSED : challenge ? POLKIT_CHALLENGE : POLKIT_NO;
    return 0;
}

static int on_answer(sd_bus_message *m, void *userdata, sd_bus_error *ret_error)
{
    PolkitAsk *a = userdata;
    PolkitAnswer answer = POLKIT_FAILED;
    const sd_bus_error *e = sd_bus_message_get_error(m);
    if (e) {
        g_autofree char *why = g_strdup_printf("%s", e->message ? e->message : e->name);
        finish(a, is_absence(e) ? POLKIT_ABSENT : POLKIT_FAILED, why);
    } else if (read_answer(m, &answer) < 0) {
        finish(a, POLKIT_FAILED, "its answer makes no sense");
    } else {
        finish(a, answer, NULL);
    }
    return 1;
}

/* ---- questions ------------------------------------------------------------------------------------------------------------- */

/* A message belongs to a bus, so it is made when it can be sent. */
static int make_call(const PolkitAsk *a, sd_bus_message **ret)
{
    sd_bus_message *m = NULL;
    int r = sd_bus_message_new_method_call(a->polkit->bus, &m, SERVICE, OBJECT, INTERFACE, "CheckAuthorization");
    if (r >= 0)
        r = sd_bus_message_append(m, "(sa{sv})s", "unix-process", 3, "pid", "u", (uint32_t)a->who.pid, "start-time", "t", a->who.start,
                                  "uid", "i", (int32_t)a->who.uid, a->action);
    if (r >= 0)
        r = sd_bus_message_open_container(m, 'a', "{ss}");
    for (char **d = a->details; *d && r >= 0; d += 2)
        r = sd_bus_message_append(m, "{ss}", d[0], d[1]);
    if (r >= 0)
        r = sd_bus_message_close_container(m);
    if (r >= 0)
        r = sd_bus_message_append(m, "us", (uint32_t)(a->cancellation ? ALLOW_USER_INTERACTION : 0), a->cancellation ? a->cancellation : "");
    if (r < 0)
        m = sd_bus_message_unref(m);
    *ret = m;
    return r;
}

static int send_call(PolkitAsk *a)
{
    sd_bus_message *m = NULL;
    int left = deadline_left_ms(a->deadline);
    int r = left ? make_call(a, &m) : -ETIMEDOUT;
    if (r >= 0)
        r = sd_bus_call_async(a->polkit->bus, &a->slot, m, on_answer, a, (uint64_t)left * 1000);
    sd_bus_message_unref(m);
    return r;
}

/* Sends what may be sent.  What cannot be is answered; those it is told may ask again, at the end of the queue. */
static void start_waiting(void *arg)
{
    Polkit *p = arg;
    p->posted = false;
    if (p->freeing) {
        g_free(p);
        return;
    }
    for (unsigned n = p->waiting.length; n > 0 && p->waiting.length && p->active.length < ACTIVE_MAX; n--) {
        PolkitAsk *a = p->waiting.head->data;
        int r = open_bus(p);
        if (r < 0) {
            g_autofree char *why = g_strdup_printf("the system bus: %s", g_strerror(-r));
            finish(a, is_bus_absence(r) ? POLKIT_ABSENT : POLKIT_FAILED, why);
            continue;
        }
        g_queue_unlink(&p->waiting, &a->link);
        g_queue_push_tail_link(&p->active, &a->link);
        a->active = true;
        r = send_call(a);
        if (r < 0) {
            g_autofree char *why = g_strdup(g_strerror(-r));
            finish(a, POLKIT_FAILED, why);
        }
    }
    event_loop_sd(p->loop); /* the bus has set timers and wants to write */
}

PolkitAsk *polkit_ask(Polkit *p, const PolkitSubject *who, const char *action, const PolkitDetail *details, unsigned n_details,
                      bool interactive, Deadline deadline, PolkitDone *done, void *ud)
{
    event_assert_thread(p->loop);
    PolkitAsk *a = g_new0(PolkitAsk, 1);
    *a = (PolkitAsk){.polkit = p, .who = *who, .action = g_strdup(action), .deadline = deadline, .done = done, .ud = ud};
    a->details = g_new0(char *, 2 * n_details + 1);
    for (unsigned i = 0; i < n_details; i++) {
        a->details[2 * i] = g_strdup(details[i].key);
        a->details[2 * i + 1] = g_strdup(details[i].value);
    }
    if (interactive)
        a->cancellation = g_strdup_printf("berth-%" PRIu64, ++p->last_id);
    a->link.data = a;
    g_queue_push_tail_link(&p->waiting, &a->link);
    post_start(p);
    return a;
}

void polkit_cancel(PolkitAsk *a)
{
    Polkit *p = a->polkit;
    event_assert_thread(p->loop);
    if (a->active && a->cancellation && p->bus) {
        sd_bus_call_method_async(p->bus, NULL, SERVICE, OBJECT, INTERFACE, "CancelCheckAuthorization", NULL, NULL, "s", a->cancellation);
        event_loop_sd(p->loop);
    }
    finish(a, POLKIT_FAILED, "the client has gone");
}
