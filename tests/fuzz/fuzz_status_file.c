/* tests/fuzz/fuzz_status_file.c - fuzz target: what a status file may hold after a crash, an upgrade or an accident
 *
 * Owns:    nothing; the input is the file
 * Threads: one
 * Locks:   none
 * Errors:  aborts when what was accepted does not come back the same from its own text, is out of bounds, or a refusal has no words
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "api_enums.h"
#include "fuzz.h"
#include "store/status.h"

static StatusRead parse(const char *text, size_t len, StatusRecord *rec, Err *err)
{
    return status_parse(text, len, "/run/m.xml", rec, err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup("", size); /* zeroed, and ended as file_read() ends it */
    if (size)
        memcpy(text, data, size);
    g_auto(StatusRecord) rec = {0};
    g_auto(Err) err = ERR_INIT;
    StatusRead how = parse(text, size, &rec, &err);
    fuzz_check(how == STATUS_OK || err.detail, "a status file refused without words");
    if (how != STATUS_OK)
        return 0;
    fuzz_check(rec.live && rec.live->name && rec.pid > 1, "a record without a machine or a process");
    fuzz_check(rec.state >= 0 && rec.state <= VIR_DOMAIN_PMSUSPENDED, "no such state");
    g_autofree char *once = status_format(&rec);
    g_auto(StatusRecord) again = {0};
    g_auto(Err) again_err = ERR_INIT;
    how = parse(once, strlen(once), &again, &again_err);
    if (how != STATUS_OK)
        fprintf(stderr, "%s\n%s\n", again_err.detail, once);
    fuzz_check(how == STATUS_OK, "our own status file is refused");
    g_autofree char *twice = status_format(&again);
    if (strcmp(once, twice) != 0)
        fprintf(stderr, "%s\n----\n%s\n", once, twice);
    fuzz_check(strcmp(once, twice) == 0, "a status file moves when read again");
    return 0;
}

const char *const fuzz_dirs[] = {"tests/fuzz/corpus/status_file", NULL};

uint8_t *fuzz_seed(unsigned i, size_t *ret_size)
{
    static const char *const seeds[] = {
        "<berthstatus format='1'><machine id='3' state='1' reason='1' life='2' pid='99' starttime='7' monitor='/m' persistent='yes'/>"
        "<tap name='t0'/><domain type='qemu' id='3'><name>m</name><uuid>a1b2c3d4-0000-4000-8000-000000000001</uuid><memory>1</memory>"
        "<currentMemory>1</currentMemory><vcpu>1</vcpu><os><type arch='x86_64' machine='pc'>hvm</type></os>"
        "<devices><emulator>/q</emulator></devices></domain></berthstatus>",
        "<domstatus state='running' reason='booted' pid='2'><domain type='qemu'/></domstatus>",
    };
    return i < N_ELEMENTS(seeds) ? fuzz_text_seed(seeds[i], ret_size) : NULL;
}
