/* tests/fuzz/fuzz_snapshot.c - fuzz target: what a snapshot's file may hold, ours or libvirtd's
 *
 * Owns:    nothing; the input is the file
 * Threads: one
 * Locks:   none
 * Errors:  aborts when what was accepted does not come back the same from its own text, or a refusal has no words
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "model/snapshot_def.h"

static StoredDef *as_stored(void *ud, const char *xml, Err *err)
{
    g_autoptr(DomainDef) d = domain_def_parse_stored(xml, err);
    return d ? stored_def_new(d) : NULL;
}

static SnapshotDef *parse(const char *text, size_t len, Err *err)
{
    return snapshot_def_parse(text, len, SNAPSHOT_PARSE_FILE, as_stored, NULL, err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup("", size); /* zeroed, and ended as file_read() ends it */
    if (size)
        memcpy(text, data, size);
    g_auto(Err) err = ERR_INIT;
    g_autoptr(SnapshotDef) s = parse(text, size, &err);
    fuzz_check(s || err.detail, "a snapshot refused without words");
    if (!s)
        return 0;
    fuzz_check(s->name && *s->name && s->name[0] != '.' && !strchr(s->name, '/'), "a name that is no file's");
    g_auto(Err) fmt = ERR_INIT;
    SnapshotFormatFlags how = SNAPSHOT_FORMAT_SECURE | SNAPSHOT_FORMAT_FILE;
    g_autofree char *once = snapshot_def_format(s, how, s->current, &fmt);
    if (!once)
        return 0; /* its machine is one that could not be stored: snapshots_save() refuses */
    g_auto(Err) again_err = ERR_INIT;
    g_autoptr(SnapshotDef) again = parse(once, strlen(once), &again_err);
    if (!again)
        fprintf(stderr, "%s\n%s\n", again_err.detail, once);
    fuzz_check(again != NULL, "our own snapshot is refused");
    g_autofree char *twice = snapshot_def_format(again, how, again->current, NULL);
    g_auto(Err) third_err = ERR_INIT;
    g_autoptr(SnapshotDef) third = twice ? parse(twice, strlen(twice), &third_err) : NULL;
    g_autofree char *thrice = third ? snapshot_def_format(third, how, third->current, NULL) : NULL;
    if (g_strcmp0(twice, thrice) != 0)
        fprintf(stderr, "%s\n----\n%s\n", twice, thrice);
    fuzz_check(twice && g_strcmp0(twice, thrice) == 0, "a snapshot moves whenever it is read again");
    return 0;
}

const char *const fuzz_dirs[] = {"tests/fuzz/corpus/snapshot", NULL};

#define MACHINE(element)                                                                                                                      \
    "<" element " type='qemu'><name>m</name><uuid>a1b2c3d4-0000-4000-8000-000000000001</uuid><memory>1</memory>"                              \
    "<currentMemory>1</currentMemory><vcpu>1</vcpu><os><type arch='x86_64' machine='pc'>hvm</type></os>"                                      \
    "<devices><emulator>/q</emulator></devices></" element ">"

uint8_t *fuzz_seed(unsigned i, size_t *ret_size)
{
    static const char *const seeds[] = {
        "<domainsnapshot><name>s</name><description>two\nlines</description><state>disk-snapshot</state><parent><name>p</name></parent>"
        "<creationTime>100</creationTime><memory snapshot='no'/><disks><disk name='vda' snapshot='external' type='file'>"
        "<driver type='qcow2'/><source file='/a.s'/></disk><disk name='sda' snapshot='no'/></disks>" MACHINE("domain")
            MACHINE("inactiveDomain") "<cookie><cpu mode='custom'/></cookie><active>1</active></domainsnapshot>",
        "<domainsnapshot><name>i</name><state>running</state><creationTime>1</creationTime><memory snapshot='external' file='/m'/>"
        "<disks><disk name='vda' snapshot='internal'/><disk name='vdb' type='block'><source dev='/dev/x'/></disk></disks>"
        "<domain><uuid>a1b2c3d4-0000-4000-8000-000000000001</uuid></domain><active>0</active></domainsnapshot>",
    };
    return i < N_ELEMENTS(seeds) ? fuzz_text_seed(seeds[i], ret_size) : NULL;
}
