/* tests/unit/test_definition.c - what is stored of a machine can be read by the next daemon, whichever call stores it
 *
 * Owns:    definitions that no client can make, put into the driver by hand
 */
#include "config.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "domain/complete.h"
#include "domain/lifecycle.h"
#include "domain/private.h"
#include "domain/snapshot.h"
#include "tests/unit/domain_world.h"
#include "api_enums.h"

#define UUID "11111111-2222-3333-4444-555555555555"

/* pthread's: ThreadSanitizer does not see those of GLib */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static GString *events; /* a letter for each: D, U, and ? for any other */

static void note(const DomainEvent *e)
{
    bool lifecycle = e->id == VIR_DOMAIN_EVENT_ID_LIFECYCLE;
    pthread_mutex_lock(&mutex);
    g_string_append_c(events, !lifecycle                                         ? '?'
                              : e->lifecycle.event == VIR_DOMAIN_EVENT_DEFINED   ? 'D'
                              : e->lifecycle.event == VIR_DOMAIN_EVENT_UNDEFINED ? 'U'
                                                                                 : '?');
    pthread_cond_signal(&cond);
    pthread_mutex_unlock(&mutex);
}

static Domain *defined(const char *name)
{
    g_auto(Err) err = ERR_INIT;
    g_autofree char *xml = world_xml(name, UUID, NULL);
    Domain *d = domain_define(world_drv, xml, 0, &err);
    assert_non_null(d);
    return d;
}

static char *content(const char *file)
{
    g_autofree char *path = g_build_filename(world_dir, file, NULL);
    char *text = NULL;
    g_file_get_contents(path, &text, NULL, NULL);
    return text;
}

/* Can be parsed, and is not whole: what a bug of ours might leave in memory. */
static void spoil(Domain *d)
{
    g_auto(Err) err = ERR_INIT;
    g_autoptr(DomainDef) def = stored_def_parse(d->config, &err);
    g_clear_pointer(&def->emulator, g_free);
    domain_set_config(d, stored_def_new(def));
}

/* A failed assertion must not leave the lock behind. */
static int locked_rename(Domain *d, const char *name, Err *err)
{
    domain_lock(d);
    int r = domain_rename(d, name, err);
    domain_unlock(d);
    return r;
}

static int locked_autostart(Domain *d, Err *err)
{
    domain_lock(d);
    int r = domain_set_autostart(d, true, err);
    domain_unlock(d);
    return r;
}

static int locked_title(Domain *d, Err *err)
{
    domain_lock(d);
    int r = domain_set_metadata(d, VIR_DOMAIN_METADATA_TITLE, "title", NULL, NULL, VIR_DOMAIN_AFFECT_CONFIG, err);
    domain_unlock(d);
    return r;
}

static int locked_undefine(Domain *d, Err *err)
{
    domain_lock(d);
    int r = domain_undefine(d, 0, err);
    domain_unlock(d);
    return r;
}

static void test_rename_reads_back(void **state)
{
    Domain *d = defined("old");
    g_auto(Err) err = ERR_INIT;
    assert_int_equal(locked_autostart(d, &err), 0);
    domain_lock(d);
    StoredDef *good = stored_def_ref(d->config);
    spoil(d);
    domain_unlock(d);
    g_autofree char *before = content("etc/old.xml");

    assert_int_equal(locked_rename(d, "new", &err), -1);
    assert_non_null(strstr(err.detail, "cannot be stored as 'new'"));
    err_clear(&err);
    g_autofree char *after = content("etc/old.xml"), *other = content("etc/new.xml"), *link = content("etc/autostart/new.xml");
    assert_string_equal(after, before);
    assert_null(other);
    assert_null(link);

    domain_lock(d); /* and the refusal keeps no name */
    domain_set_config(d, good);
    domain_unlock(d);
    assert_int_equal(locked_rename(d, "new", &err), 0);
    g_autofree char *renamed = content("etc/new.xml"), *linked = content("etc/autostart/new.xml");
    assert_non_null(strstr(renamed, "<name>new</name>"));
    assert_string_equal(linked, renamed);
    object_unref(d);
}

/* A refused change is heard of by nobody. */
static void test_refused_makes_no_event(void **state)
{
    events = g_string_new(NULL);
    world_on_event = note;
    Domain *d = defined("old");
    g_auto(Err) err = ERR_INIT;
    domain_lock(d);
    spoil(d);
    domain_unlock(d);
    assert_int_equal(locked_rename(d, "new", &err), -1);
    err_clear(&err);
    assert_int_equal(locked_title(d, &err), -1);
    err_clear(&err);
    assert_int_equal(locked_undefine(d, &err), 0);
    object_unref(d);
    pthread_mutex_lock(&mutex);
    while (events->len < 2) /* the last of them is the end of the machine */
        pthread_cond_wait(&cond, &mutex);
    pthread_mutex_unlock(&mutex);
    assert_string_equal(events->str, "DU");
    world_on_event = NULL;
    g_string_free(events, TRUE);
}

static gpointer undefine_it(gpointer d)
{
    g_auto(Err) err = ERR_INIT;
    return GINT_TO_POINTER(locked_undefine(d, &err) == 0);
}

static gpointer take_turn_once(gpointer arg)
{
    Domain *d = arg;
    g_auto(Err) err = ERR_INIT;
    domain_lock(d);
    int r = domain_config_begin(d, &err);
    if (r == 0)
        domain_config_end(d);
    domain_unlock(d);
    return GINT_TO_POINTER(r == 0);
}

static unsigned queued(Domain *d)
{
    unsigned n = 0;
    domain_lock(d);
    for (const ConfigTurn *t = d->priv->config_queue; t; t = t->next)
        n++;
    domain_unlock(d);
    return n;
}

/* Standing in the queue is told to nobody. */
static void wait_queued(Domain *d, unsigned n)
{
    Deadline end = deadline_in_ms(10000);
    while (queued(d) != n && !deadline_passed(end))
        g_usleep(1000);
    assert_int_equal(queued(d), n);
}

/* Who takes the turn again and again does not keep it from who waits: the second time it comes after them. */
static void test_turn_goes_to_who_waits(void **state)
{
    g_auto(Err) err = ERR_INIT;
    Domain *d = defined("busy");
    domain_lock(d);
    assert_int_equal(domain_config_begin(d, &err), 0);
    domain_unlock(d);
    GThread *t = g_thread_new("waits", take_turn_once, d);
    wait_queued(d, 1);
    domain_lock(d);
    domain_config_end(d);
    assert_true(d->priv->config_busy); /* it is the other's, who may not even have woken */
    assert_int_equal(domain_config_begin(d, &err), 0);
    assert_null(d->priv->config_queue);
    domain_config_end(d);
    domain_unlock(d);
    assert_int_equal(GPOINTER_TO_INT(g_thread_join(t)), 1);
    object_unref(d);
}

/* Each change wakes the one whose turn it is: were all of them woken, hundreds of calls for one machine would keep the processors from the others. */
static void test_turn_wakes_one(void **state)
{
    enum { WAITING = 100, WAKES_EACH = 5 };
    g_auto(Err) err = ERR_INIT;
    Domain *d = defined("crowded");
    GThread *threads[WAITING];
    domain_lock(d);
    assert_int_equal(domain_config_begin(d, &err), 0);
    domain_unlock(d);
    for (unsigned i = 0; i < WAITING; i++)
        threads[i] = g_thread_new("waits", take_turn_once, d);
    wait_queued(d, WAITING);
    struct rusage before, after;
    getrusage(RUSAGE_SELF, &before);
    domain_lock(d);
    domain_config_end(d);
    domain_unlock(d);
    for (unsigned i = 0; i < WAITING; i++)
        assert_int_equal(GPOINTER_TO_INT(g_thread_join(threads[i])), 1);
    getrusage(RUSAGE_SELF, &after);
    assert_in_range(after.ru_nvcsw - before.ru_nvcsw, 0, WAITING * WAKES_EACH);
    object_unref(d);
}

typedef struct Waiter {
    Domain *d;
    gint gone;
} Waiter;

static void *take_turn_unless_gone(void *arg)
{
    Waiter *w = arg;
    g_auto(Err) err = ERR_INIT;
    domain_lock(w->d);
    int r = domain_config_turn(w->d, &w->gone, &err);
    if (r == 0)
        domain_config_end(w->d);
    domain_unlock(w->d);
    return GINT_TO_POINTER(r == 0 ? VIR_ERR_OK : err.code);
}

/* Whose client leaves while it waits gets no turn, and who stands behind it gets the next. */
static void test_turn_of_who_has_gone(void **state)
{
    g_auto(Err) err = ERR_INIT;
    Domain *d = defined("left");
    Waiter waiters[] = {{.d = d}, {.d = d}, {.d = d}, {.d = d}};
    const int told[] = {VIR_ERR_RPC, VIR_ERR_OK, VIR_ERR_RPC, VIR_ERR_RPC};
    GThread *threads[G_N_ELEMENTS(waiters)];
    domain_lock(d);
    assert_int_equal(domain_config_begin(d, &err), 0);
    domain_unlock(d);
    for (unsigned i = 0; i < G_N_ELEMENTS(waiters); i++) {
        threads[i] = g_thread_new("waits", take_turn_unless_gone, &waiters[i]);
        wait_queued(d, i + 1);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(waiters); i++)
        g_atomic_int_set(&waiters[i].gone, told[i] != VIR_ERR_OK);
    domain_lock(d);
    domain_config_end(d);
    domain_unlock(d);
    for (unsigned i = 0; i < G_N_ELEMENTS(waiters); i++)
        assert_int_equal(GPOINTER_TO_INT(g_thread_join(threads[i])), told[i]);
    assert_false(d->priv->config_busy);
    object_unref(d);
}

/* The machine ends while somebody waits to change it: told so, and nobody is left with the turn. */
static void test_turn_of_a_machine_that_goes(void **state)
{
    g_auto(Err) err = ERR_INIT;
    Domain *d = defined("gone");
    domain_lock(d);
    assert_int_equal(domain_config_begin(d, &err), 0);
    domain_unlock(d);
    GThread *undefines = g_thread_new("undefines", undefine_it, d);
    wait_queued(d, 1);
    GThread *waits = g_thread_new("waits", take_turn_once, d);
    wait_queued(d, 2); /* it stands behind */
    domain_lock(d);
    domain_config_end(d);
    domain_unlock(d);
    assert_int_equal(GPOINTER_TO_INT(g_thread_join(undefines)), 1);
    assert_int_equal(GPOINTER_TO_INT(g_thread_join(waits)), 0);
    assert_false(d->priv->config_busy);
    assert_true(d->removing);
    object_unref(d);
}

#define DISK "<disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='/nowhere/a.img'/><target dev='vda' bus='virtio'/></disk>"

static int call_snapshot(Domain *d, void *arg, Err *err)
{
    g_autofree char *name = NULL;
    return domain_snapshot_create(d, "<domainsnapshot><name>s</name></domainsnapshot>", VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY, &name, err);
}

static gpointer snapshot_it(gpointer d)
{
    g_auto(Err) err = ERR_INIT;
    int r = world_as_gate(d, JOB_ASYNC, call_snapshot, NULL, &err);
    return r < 0 ? g_strdup(err.detail) : NULL;
}

/* A snapshot of a machine that is off waits for the turn, and the disk it was to take is taken out of the definition meanwhile. */
static void test_snapshot_of_what_was_changed(void **state)
{
    g_auto(Err) err = ERR_INIT;
    Domain *d = defined("changed");
    g_autoptr(StoredDef) before = stored_def_ref(d->config);
    g_autofree char *bare = world_xml("changed", UUID, NULL);
    g_auto(GStrv) parts = g_strsplit(bare, "</devices>", 2);
    g_autofree char *with = g_strjoinv(DISK "</devices>", parts);
    object_unref(domain_define(world_drv, with, 0, &err));
    domain_lock(d);
    assert_int_equal(domain_config_begin(d, &err), 0);
    domain_unlock(d);
    GThread *t = g_thread_new("snapshot", snapshot_it, d);
    wait_queued(d, 1);
    domain_lock(d);
    domain_set_config(d, stored_def_ref(before));
    domain_config_end(d);
    domain_unlock(d);
    g_autofree char *why = g_thread_join(t);
    assert_non_null(why);
    assert_non_null(strstr(why, "was changed while the snapshot waited"));
    object_unref(d);
}

static int locked_undefine_nvram(Domain *d, Err *err)
{
    domain_lock(d);
    int r = domain_undefine(d, VIR_DOMAIN_UNDEFINE_NVRAM, err);
    domain_unlock(d);
    return r;
}

/* The variables of a machine that stays are not lost, and a machine whose variables stay is not either. */
static void test_undefine_keeps_nvram(void **state)
{
    Domain *d = defined("uefi");
    g_auto(Err) err = ERR_INIT;
    g_autofree char *nvram = g_build_filename(world_dir, "uefi_VARS.fd", NULL);
    g_autofree char *file = g_build_filename(world_dir, "etc/uefi.xml", NULL), *aside = g_strconcat(file, ".aside", NULL);
    assert_int_equal(locked_autostart(d, &err), 0);
    domain_lock(d);
    DomainDef *def = stored_def_parse(d->config, &err);
    def->os.nvram = g_strdup(nvram);
    domain_set_config(d, stored_def_new(def));
    domain_def_unref(def);
    domain_unlock(d);

    assert_true(g_file_set_contents(nvram, "variables", -1, NULL));
    assert_int_equal(rename(file, aside), 0); /* a directory in the way: the definition cannot be removed */
    assert_int_equal(mkdir(file, 0700), 0);
    assert_int_equal(locked_undefine_nvram(d, &err), -1);
    assert_true(g_file_test(nvram, G_FILE_TEST_IS_REGULAR));
    err_clear(&err);
    assert_int_equal(rmdir(file), 0);
    assert_int_equal(rename(aside, file), 0);

    assert_int_equal(unlink(nvram), 0); /* and the other way round */
    assert_int_equal(mkdir(nvram, 0700), 0);
    assert_int_equal(locked_undefine_nvram(d, &err), -1);
    assert_non_null(strstr(err.detail, "cannot remove the nvram"));
    err_clear(&err);
    g_autofree char *stays = content("etc/uefi.xml"), *linked = content("etc/autostart/uefi.xml");
    assert_non_null(stays);
    assert_non_null(strstr(stays, "<name>uefi</name>"));
    assert_string_equal(linked, stays);

    assert_int_equal(rmdir(nvram), 0);
    assert_true(g_file_set_contents(nvram, "variables", -1, NULL));
    assert_int_equal(locked_undefine_nvram(d, &err), 0);
    assert_false(g_file_test(nvram, G_FILE_TEST_EXISTS));
    assert_false(g_file_test(file, G_FILE_TEST_EXISTS));
    object_unref(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_undefine_keeps_nvram, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_rename_reads_back, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_refused_makes_no_event, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_turn_goes_to_who_waits, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_turn_wakes_one, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_turn_of_who_has_gone, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_turn_of_a_machine_that_goes, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_snapshot_of_what_was_changed, world_setup, world_teardown),
    };
    return cmocka_run_group_tests(tests, world_begin, world_end);
}
