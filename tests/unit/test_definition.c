/* tests/unit/test_definition.c - what is stored of a machine can be read by the next daemon, whichever call stores it
 *
 * Owns:    definitions that no client can make, put into the driver by hand
 */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "domain/complete.h"
#include "domain/lifecycle.h"
#include "tests/unit/domain_world.h"
#include "api_enums.h"

#define UUID "11111111-2222-3333-4444-555555555555"

static GMutex mutex;
static GCond cond;
static GString *events; /* a letter for each: D, U, and ? for any other */

static void note(const DomainEvent *e)
{
    bool lifecycle = e->id == VIR_DOMAIN_EVENT_ID_LIFECYCLE;
    g_mutex_lock(&mutex);
    g_string_append_c(events, !lifecycle                                         ? '?'
                              : e->lifecycle.event == VIR_DOMAIN_EVENT_DEFINED   ? 'D'
                              : e->lifecycle.event == VIR_DOMAIN_EVENT_UNDEFINED ? 'U'
                                                                                 : '?');
    g_cond_signal(&cond);
    g_mutex_unlock(&mutex);
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
    g_mutex_lock(&mutex);
    while (events->len < 2) /* the last of them is the end of the machine */
        g_cond_wait(&cond, &mutex);
    g_mutex_unlock(&mutex);
    assert_string_equal(events->str, "DU");
    world_on_event = NULL;
    g_string_free(events, TRUE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_rename_reads_back, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_refused_makes_no_event, world_setup, world_teardown),
    };
    return cmocka_run_group_tests(tests, world_begin, world_end);
}
