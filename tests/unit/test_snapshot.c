/* tests/unit/test_snapshot.c - snapshots as data: documents, trees, files; limits of disks; how jobs ended
 */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "api_enums.h"
#include "domain/snapshot_list.h"
#include "domain/snapshot_private.h"
#include "host/image.h"
#include "model/iotune.h"
#include "model/snapshot_def.h"
#include "store/job_history.h"
#include "store/snapshot_intent.h"
#include "store/snapshots.h"

#define MACHINE                                                                                                                               \
    "<domain type='qemu'><name>m</name><uuid>a1b2c3d4-0000-4000-8000-000000000001</uuid><memory unit='KiB'>1</memory>"                        \
    "<currentMemory unit='KiB'>1</currentMemory><vcpu>1</vcpu><os><type arch='x86_64' machine='pc'>hvm</type></os>"                           \
    "<devices><emulator>/q</emulator></devices></domain>"
#define SNAP(inside) "<domainsnapshot>" inside "</domainsnapshot>"
#define PAST(name, inside) SNAP("<name>" name "</name><state>shutoff</state><creationTime>7</creationTime>" inside)

static StoredDef *as_stored(void *ud, const char *xml, Err *err)
{
    g_autoptr(DomainDef) d = domain_def_parse_stored(xml, err);
    return d ? stored_def_new(d) : NULL;
}

static SnapshotDef *parse(const char *text, SnapshotParseFlags flags, Err *err)
{
    return snapshot_def_parse(text, strlen(text), flags, as_stored, NULL, err);
}

/* ---- documents ------------------------------------------------------------------------------------------------------------- */

static void refused(void **state)
{
    static const struct {
        const char *text;
        SnapshotParseFlags flags;
        int code;
        const char *word;
    } cases[] = {
        {"<domain/>", 0, VIR_ERR_XML_ERROR, "domainsnapshot"},
        {SNAP("<name>a/b</name>"), 0, VIR_ERR_XML_DETAIL, "a/b"},
        {SNAP("<name>.a</name>"), 0, VIR_ERR_XML_DETAIL, ".a"},
        {SNAP("<name>a\tb</name>"), 0, VIR_ERR_XML_ERROR, "control"},
        {SNAP("<disks><disk snapshot='no'/></disks>"), 0, VIR_ERR_XML_ERROR, "missing name"},
        {SNAP("<disks><disk name='vda' snapshot='odd'/></disks>"), 0, VIR_ERR_XML_ERROR, "odd"},
        {SNAP("<disks><disk name='vda'><source file='x'/></disk></disks>"), 0, VIR_ERR_XML_ERROR, "absolute"},
        {SNAP("<disks><disk name='vda' snapshot='no'><source file='/x'/></disk></disks>"), 0, VIR_ERR_XML_ERROR, "/x"},
        {SNAP("<disks><disk name='vda' type='network'><source protocol='nbd'/></disk></disks>"), 0, VIR_ERR_CONFIG_UNSUPPORTED, "type"},
        {SNAP("<disks><disk name='vda'><driver type='odd'/></disk></disks>"), 0, VIR_ERR_CONFIG_UNSUPPORTED, "odd"},
        {SNAP("<memory snapshot='external'/>"), 0, VIR_ERR_XML_ERROR, "filename"},
        {SNAP("<memory snapshot='internal' file='/x'/>"), 0, VIR_ERR_XML_ERROR, "/x"},
        {SNAP("<odd/>"), SNAPSHOT_PARSE_VALIDATE, VIR_ERR_XML_INVALID_SCHEMA, "odd"},
        {SNAP("<name>a</name>"), SNAPSHOT_PARSE_REDEFINE, VIR_ERR_XML_ERROR, "creationTime"},
        {SNAP("<name>a</name><creationTime>-1</creationTime>"), SNAPSHOT_PARSE_REDEFINE, VIR_ERR_XML_ERROR, "creationTime"},
        {SNAP("<name>a</name><creationTime>1</creationTime>"), SNAPSHOT_PARSE_REDEFINE, VIR_ERR_XML_ERROR, "state"},
        {SNAP("<name>a</name><creationTime>1</creationTime><state>odd</state>"), SNAPSHOT_PARSE_REDEFINE, VIR_ERR_CONFIG_UNSUPPORTED, "odd"},
        {PAST("a", "<parent><name>../b</name></parent>"), SNAPSHOT_PARSE_FILE, VIR_ERR_XML_DETAIL, "../b"},
        {PAST("a", "<memory snapshot='internal'/>"), SNAPSHOT_PARSE_FILE, VIR_ERR_XML_ERROR, "memory"},
        {PAST("a", "<domain type='qemu'><name>m</name></domain>"), SNAPSHOT_PARSE_FILE, VIR_ERR_XML_ERROR, "domain"},
        {SNAP("<creationTime>1</creationTime>"), SNAPSHOT_PARSE_REDEFINE, VIR_ERR_XML_ERROR, "name"},
    };
    for (unsigned i = 0; i < N_ELEMENTS(cases); i++) {
        g_auto(Err) err = ERR_INIT;
        g_autoptr(SnapshotDef) s = parse(cases[i].text, cases[i].flags, &err);
        if (s || !err.detail || !strstr(err.detail, cases[i].word) || err.code != cases[i].code)
            fail_msg("%s: %d %s", cases[i].text, err.code, err.detail ? err.detail : "accepted");
    }
}

static void comes_back(void **state)
{
    const char *text = PAST("a", "<description>x &lt; y</description><parent><name>p</name></parent><memory snapshot='no'/>"
                                 "<disks><disk name='vda' snapshot='external' type='file'><driver type='qed'/><source file='/a b'/></disk>"
                                 "<disk name='sda' snapshot='no'/></disks>" MACHINE "<cookie><cpu/></cookie><active>1</active>");
    g_auto(Err) err = ERR_INIT;
    g_autoptr(SnapshotDef) s = parse(text, SNAPSHOT_PARSE_FILE, &err);
    assert_non_null(s);
    assert_true(s->current);
    assert_int_equal(s->creation_time, 7);
    assert_string_equal(s->parent, "p");
    assert_string_equal(snapshot_def_disk(s, "vda")->path, "/a b");
    assert_true(snapshot_def_is_external(s));
    g_autofree char *file = snapshot_def_format(s, SNAPSHOT_FORMAT_FILE | SNAPSHOT_FORMAT_SECURE, true, &err);
    g_autofree char *shown = snapshot_def_format(s, 0, true, &err);
    assert_non_null(strstr(file, "  <cookie>"));
    assert_non_null(strstr(file, "  <active>1</active>"));
    assert_null(strstr(shown, "active"));
    assert_null(strstr(shown, "cookie"));
    g_autoptr(SnapshotDef) again = parse(file, SNAPSHOT_PARSE_FILE, &err);
    g_autofree char *file2 = snapshot_def_format(again, SNAPSHOT_FORMAT_FILE | SNAPSHOT_FORMAT_SECURE, true, &err);
    assert_string_equal(file, file2);
}

/* ---- trees ----------------------------------------------------------------------------------------------------------------- */

static SnapshotDef *node(const char *name, const char *parent, SnapshotState what)
{
    SnapshotDef *s = snapshot_def_new();
    s->name = g_strdup(name);
    s->parent = g_strdup(parent);
    s->state = what;
    return s;
}

static void expect(GPtrArray *got, const char *names)
{
    g_autoptr(GPtrArray) list = got;
    g_autoptr(GString) s = g_string_new(NULL);
    for (unsigned i = 0; i < list->len; i++)
        g_string_append(s, ((const SnapshotDef *)list->pdata[i])->name);
    assert_string_equal(s->str, names);
}

static void trees(void **state)
{
    g_autoptr(GPtrArray) all = g_ptr_array_new_with_free_func((GDestroyNotify)snapshot_def_unref);
    /* a - b - c, b - d; e, whose parent is gone; x - y - x */
    const char *const edges[][2] = {{"a", NULL}, {"b", "a"}, {"c", "b"}, {"d", "b"}, {"e", "gone"}, {"x", "y"}, {"y", "x"}};
    for (unsigned i = 0; i < N_ELEMENTS(edges); i++)
        g_ptr_array_add(all, node(edges[i][0], edges[i][1], i == 0 ? SNAPSHOT_STATE_SHUTOFF : SNAPSHOT_STATE_DISK));
    g_autoptr(SnapshotList) l = snapshot_list_new(all, "c");
    const SnapshotDef *a = snapshot_list_find(l, "a");
    assert_string_equal(l->current, "c");
    expect(snapshot_list_select(l, NULL, 0), "abcde");
    expect(snapshot_list_select(l, NULL, VIR_DOMAIN_SNAPSHOT_LIST_ROOTS), "ae");
    expect(snapshot_list_select(l, a, 0), "b");
    expect(snapshot_list_select(l, a, VIR_DOMAIN_SNAPSHOT_LIST_DESCENDANTS), "bcd");
    expect(snapshot_list_select(l, NULL, VIR_DOMAIN_SNAPSHOT_LIST_LEAVES), "cde");
    expect(snapshot_list_select(l, NULL, VIR_DOMAIN_SNAPSHOT_LIST_NO_LEAVES), "ab");
    expect(snapshot_list_select(l, NULL, VIR_DOMAIN_SNAPSHOT_LIST_INACTIVE), "a");
    expect(snapshot_list_select(l, NULL, VIR_DOMAIN_SNAPSHOT_LIST_NO_METADATA), "");
    expect(snapshot_list_select(l, snapshot_list_find(l, "x"), VIR_DOMAIN_SNAPSHOT_LIST_DESCENDANTS), "yxyxyxy"); /* ends all the same */
    assert_true(snapshot_list_would_loop(l, "a", "c"));
    assert_true(snapshot_list_would_loop(l, "n", "x"));
    assert_false(snapshot_list_would_loop(l, "n", "c"));
    assert_null(snapshot_list_parent(l, snapshot_list_find(l, "e")));
    g_auto(Err) err = ERR_INIT;
    assert_null(snapshot_list_get(l, "none", &err));
    assert_int_equal(err.code, VIR_ERR_NO_DOMAIN_SNAPSHOT);
    expect(snapshot_list_select(NULL, NULL, 0), "");
}

/* ---- files ----------------------------------------------------------------------------------------------------------------- */

static char *directory(void)
{
    char *dir = g_dir_make_tmp("berth-snapshot-XXXXXX", NULL);
    assert_non_null(dir);
    return dir;
}

static void files(void **state)
{
    g_autofree char *base = directory();
    g_auto(Err) err = ERR_INIT;
    g_autoptr(SnapshotDef) s = parse(PAST("a", MACHINE), SNAPSHOT_PARSE_FILE, &err);
    assert_int_equal(snapshots_save(base, "m", s, true, &err), 0);
    g_autoptr(GPtrArray) machines = snapshots_machines(base);
    assert_int_equal(machines->len, 1);
    g_autoptr(GPtrArray) all = snapshots_load(base, "m");
    assert_int_equal(all->len, 1);
    assert_true(((SnapshotDef *)all->pdata[0])->current);
    assert_int_equal(snapshots_rename(base, "m", "n", &err), 0);
    assert_int_equal(snapshots_rename(base, "m", "o", &err), 0); /* there is none */
    assert_int_equal(snapshots_remove(base, "n", "a", &err), 0);
    assert_int_equal(rmdir(base), 0); /* nothing is left */
}

static void intents(void **state)
{
    g_autofree char *base = directory();
    g_auto(Err) err = ERR_INIT;
    assert_null(snapshot_intent_load(base, "m", &err));
    assert_int_equal(err.code, VIR_ERR_OK);
    g_autoptr(SnapshotDef) s = parse(PAST("a", "<disks><disk name='vda' snapshot='external'><driver type='qcow2'/><source file='/n'/></disk>"
                                              "</disks>" MACHINE), SNAPSHOT_PARSE_FILE, &err);
    g_autoptr(SnapshotIntent) in = snapshot_intent_new(s, true);
    snapshot_intent_add(in, "vda", "/old", 9, true);
    assert_int_equal(snapshot_intent_save(base, "m", in, &err), 0);
    g_autoptr(SnapshotIntent) again = snapshot_intent_load(base, "m", &err);
    assert_non_null(again);
    const SnapshotIntentDisk *d = again->disks->pdata[0];
    assert_string_equal(d->old_path, "/old");
    assert_int_equal(d->index, 9);
    assert_true(d->made && again->metadata);
    assert_string_equal(again->def->name, "a");
    snapshot_intent_add(in, "vdb", "/old", 10, true); /* which the snapshot does not have */
    assert_int_equal(snapshot_intent_save(base, "m", in, &err), 0);
    assert_null(snapshot_intent_load(base, "m", &err));
    assert_non_null(strstr(err.detail, "vdb"));
    err_clear(&err);
    assert_int_equal(snapshot_intent_remove(base, "m", &err), 0);
    assert_int_equal(rmdir(base), 0);
}

static void histories(void **state)
{
    static const uint8_t uuid[UUID_LEN] = {1, 2, 3};
    g_autofree char *base = directory();
    g_auto(Err) err = ERR_INIT;
    char id[16];
    for (unsigned i = 0; i < JOB_HISTORY_MAX + 5; i++) {
        g_snprintf(id, sizeof(id), "j%u", i);
        JobVerdict v = {.id = id, .kind = (char[]){"copy"}, .disk = (char[]){"vda"}, .status = 1, .begun_us = i, .ended_us = i + 1, .bytes = 5};
        JobVerdict again = v;
        again.status = 0;
        g_autoptr(GPtrArray) two = g_ptr_array_new();
        g_ptr_array_add(two, &v);
        g_ptr_array_add(two, &again); /* told again: kept once, as it was told first */
        assert_int_equal(job_history_add(base, uuid, two, &err), 0);
        assert_int_equal(job_history_add(base, uuid, two, &err), 0);
    }
    g_autoptr(GPtrArray) all = job_history_load(base, uuid);
    assert_int_equal(all->len, JOB_HISTORY_MAX);
    assert_string_equal(((JobVerdict *)all->pdata[0])->id, "j5");
    assert_null(((JobVerdict *)all->pdata[0])->error);
    assert_int_equal(((JobVerdict *)all->pdata[0])->status, 1);
    assert_int_equal(job_history_remove(base, uuid, &err), 0);
    assert_int_equal(rmdir(base), 0);
}

/* ---- limits ---------------------------------------------------------------------------------------------------------------- */

static void limits(void **state)
{
    DiskIoTune t = {.total_bytes_sec = 100, .total_bytes_sec_max = 200, .read_iops_sec = 3, .group_name = g_strdup("g")};
    IoTuneChange c = {.given = 1u << iotune_find("write_bytes_sec")};
    iotune_set(&c.values, (unsigned)iotune_find("write_bytes_sec"), 50);
    iotune_apply(&t, &t, &c); /* one of a class sets the class */
    assert_int_equal(t.total_bytes_sec, 0);
    assert_int_equal(t.write_bytes_sec, 50);
    assert_int_equal(t.total_bytes_sec_max, 200);
    assert_int_equal(t.read_iops_sec, 3);
    assert_string_equal(t.group_name, "g");
    g_auto(Err) err = ERR_INIT;
    assert_int_equal(iotune_check_live(&t, &err), -1); /* a maximum without its limit */
    assert_int_equal(err.code, VIR_ERR_CONFIG_UNSUPPORTED);
    err_clear(&err);
    c = (IoTuneChange){.group_given = true, .values.group_name = (char[]){""}};
    iotune_apply(&t, &t, &c);
    assert_null(t.group_name);
    c = (IoTuneChange){.given = 3, .values = {.total_bytes_sec = 1, .read_bytes_sec = 1}};
    assert_int_equal(iotune_change_check(&c, &err), -1);
    assert_int_equal(err.code, VIR_ERR_INVALID_ARG);
    err_clear(&err);
    c.values = (DiskIoTune){.total_bytes_sec = IOTUNE_LIMIT + 1};
    assert_int_equal(iotune_change_check(&c, &err), -1);
    assert_int_equal(err.code, VIR_ERR_ARGUMENT_UNSUPPORTED);
    assert_int_equal(iotune_find("odd"), -1);
}

/* ---- chains ---------------------------------------------------------------------------------------------------------------- */

/* A machine whose chain became longer than a start takes would be lost with the next daemon, too. */
static void longest_chain(void **state)
{
    g_auto(Err) err = ERR_INIT;
    g_autoptr(DomainDef) m = domain_def_parse_stored("<domain type='qemu'><name>m</name><uuid>a1b2c3d4-0000-4000-8000-000000000001</uuid>"
        "<memory unit='KiB'>1</memory><currentMemory unit='KiB'>1</currentMemory><vcpu>1</vcpu><os><type arch='x86_64' machine='pc'>hvm</type></os>"
        "<devices><emulator>/q</emulator><disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='/i/0'/>"
        "<target dev='vda' bus='virtio'/></disk></devices></domain>", &err);
    g_autoptr(SnapshotDef) s = parse(SNAP("<disks><disk name='vda' snapshot='external'><source file='/i/new'/></disk></disks>"), 0, &err);
    if (!m || !s)
        fail_msg("%s", err.detail);
    StorageSource *last = domain_def_find_disk(m, "vda")->src;
    for (unsigned n = 1; n < IMAGE_MAX_DEPTH; n++) {
        assert_int_equal(snapshot_disks_check(s, m, true, &err), 0);
        last = last->backing = storage_source_new();
        last->type = STORAGE_FILE;
        last->format = STORAGE_FORMAT_QCOW2;
        last->path = g_strdup_printf("/i/%u", n);
    }
    assert_int_equal(snapshot_disks_check(s, m, true, &err), -1);
    assert_int_equal(err.code, VIR_ERR_OPERATION_UNSUPPORTED);
    assert_non_null(strstr(err.detail, "200 images already"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refused), cmocka_unit_test(comes_back), cmocka_unit_test(trees), cmocka_unit_test(files),
        cmocka_unit_test(intents), cmocka_unit_test(histories),  cmocka_unit_test(limits), cmocka_unit_test(longest_chain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
