/* tests/unit/domain_script.c - a machine whose QEMU follows a script
 *
 * Owns:    the scripted peer of the machine at hand, the events seen; not the driver's surroundings (domain_world.c)
 * Threads: the test's own; events come from the client loop
 */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "domain/lifecycle.h"
#include "tests/unit/domain_script.h"
#include "util/fd.h"
#include "api_enums.h"

Peer *script_peer;
pid_t script_child;
static int peer_fd = -1;

static Mutex seen_lock;
static Cond seen_changed;
static GString *seen;

/* ---- events ------------------------------------------------------------------------------------------------------- */

static void on_event(const DomainEvent *e)
{
    static const char letters[] = "DUSPRXHMC"; /* defined undefined started paused resumed stopped (X) shutdown (H) pmsuspended crashed */
    LOCK_SCOPE(&seen_lock);
    if (e->class == EVENT_DOMAIN && e->id == VIR_DOMAIN_EVENT_ID_LIFECYCLE)
        g_string_append_printf(seen, "%c%d ", letters[e->lifecycle.event], e->lifecycle.detail);
    else if (e->class == EVENT_DOMAIN)
        g_string_append_printf(seen, "e%d ", e->id);
    cond_broadcast(&seen_changed);
}

void script_expect_events(const char *want)
{
    Deadline end = deadline_in_ms(10000);
    g_autofree char *got = NULL;
    {
        LOCK_SCOPE(&seen_lock);
        while (strlen(seen->str) < strlen(want) && cond_wait_until(&seen_changed, &seen_lock, end))
            ;
        got = g_strdup(seen->str);
        g_string_truncate(seen, 0);
    }
    assert_string_equal(got, want);
}

/* ---- fixture ------------------------------------------------------------------------------------------------------ */

static int monitor(pid_t child)
{
    script_child = child;
    return take_fd(&peer_fd);
}

int script_begin(void **state)
{
    mutex_init(&seen_lock, LOCK_LEAF, "seen");
    cond_init(&seen_changed);
    seen = g_string_new(NULL);
    world_monitor = monitor;
    world_on_event = on_event;
    return world_begin(state);
}

int script_end(void **state)
{
    int r = world_end(state);
    g_string_free(seen, TRUE);
    return r;
}

int script_setup(void **state)
{
    world_reconnects = true;
    world_launching = NULL;
    g_string_truncate(seen, 0);
    return world_setup(state);
}

int script_teardown(void **state)
{
    return world_teardown(state);
}

void script_driver_end(void)
{
    world_driver_end();
    LOCK_SCOPE(&seen_lock);
    g_string_truncate(seen, 0);
}

/* ---- the script --------------------------------------------------------------------------------------------------- */

void script_qemu(void)
{
    script_peer = peer_new(0, &peer_fd);
}

void script_boot(bool paused)
{
    script_qemu();
    peer_expect(script_peer, "query-cpus-fast", NULL);
    peer_reply(script_peer, "[{\"cpu-index\": 0, \"qom-path\": \"/x\", \"thread-id\": 4711, \"target\": \"x86_64\"}]");
    peer_expect(script_peer, "query-balloon", NULL);
    peer_fail(script_peer, "DeviceNotActive", "No balloon device has been activated");
    if (!paused) {
        peer_expect(script_peer, "cont", NULL);
        peer_emit(script_peer, "RESUME", NULL);
        peer_reply(script_peer, NULL);
    }
}

void script_done(void)
{
    g_autofree char *wrong = peer_end(script_peer);
    if (wrong)
        fail_msg("%s", wrong);
    script_peer = NULL;
}

/* ---- the machine -------------------------------------------------------------------------------------------------- */

void script_must(int r, Err *err)
{
    if (r < 0)
        fail_msg("failed: %s", err->detail);
    assert_false(err_is_set(err));
}

void script_expect_state(Domain *d, int state, int reason)
{
    g_autoptr(DomainView) v = domain_view(d);
    assert_int_equal(v->state, state);
    assert_int_equal(v->reason, reason);
}

bool script_file_there(const char *name)
{
    g_autofree char *p = g_build_filename(world_dir, name, NULL);
    return access(p, F_OK) == 0;
}

Domain *script_define(const char *name, const char *uuid, Err *err)
{
    g_autofree char *xml = world_xml(name, uuid, NULL);
    return domain_define(world_drv, xml, 0, err);
}

typedef struct Flagged {
    ScriptCall call;
    unsigned flags;
} Flagged;

static int call_flagged(Domain *d, void *arg, Err *err)
{
    const Flagged *f = arg;
    return f->call(d, f->flags, err);
}

int script_as_gate(Domain *d, JobKind kind, ScriptCall call, unsigned flags, Err *err)
{
    return world_as_gate(d, kind, call_flagged, &(Flagged){call, flags}, err);
}

int script_start(Domain *d, unsigned flags, Err *err)
{
    return domain_start(d, flags, 5, err);
}

int script_suspend(Domain *d, unsigned flags, Err *err)
{
    return domain_suspend(d, err);
}

int script_resume(Domain *d, unsigned flags, Err *err)
{
    return domain_resume(d, err);
}
