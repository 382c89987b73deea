/* tests/fuzz/fuzz_args.c - fuzz target: arguments and results of every procedure, messages of every event
 *
 * Owns:    the input format: two bytes that choose the type, then its bytes as on the wire
 * Threads: one
 * Locks:   none
 * Errors:  aborts when a decoded object does not encode to something that decodes to the same
 */
#include <stdlib.h>
#include <string.h>

#include "base.h"
#include "fuzz.h"
#include "protocol/admin_procs.h"
#include "protocol/events.h"
#include "protocol/procs.h"
#include "protocol/wire_types.h"
#include "unit/xdr_sample.h"

#define CHOICE 2 /* bytes in front that choose the type */

typedef struct Subject {
    const WireType *type;
    const ProcInfo *args_of; /* its row, if these are arguments */
} Subject;

static GArray *subjects(void)
{
    static GArray *all;
    size_t n;

    if (all)
        return all;
    all = g_array_new(FALSE, FALSE, sizeof(Subject));
    const ProcInfo *procs = proc_table(&n);
    for (size_t i = 0; i < n; i++) {
        const Subject args = {&procs[i].args, &procs[i]}, ret = {&procs[i].ret, NULL};
        if (args.type->size)
            g_array_append_val(all, args);
        if (ret.type->size)
            g_array_append_val(all, ret);
    }
    const EventInfo *events = event_table(&n);
    for (size_t i = 0; i < n; i++) {
        const Subject msg = {&events[i].msg, NULL};
        g_array_append_val(all, msg);
    }
    const AdminProcInfo *admin = admin_proc_table(&n);
    for (size_t i = 0; i < n; i++) {
        const Subject both[] = {{&admin[i].args, NULL}, {&admin[i].ret, NULL}};
        for (size_t k = 0; k < N_ELEMENTS(both); k++)
            if (both[k].type->size)
                g_array_append_val(all, both[k]);
    }
    const Subject outside[] = {{&wire_message_header, NULL}, {&wire_message_error, NULL}, {&wire_stream_hole, NULL}};
    g_array_append_vals(all, outside, N_ELEMENTS(outside));
    return all;
}

/* What was decoded can be sent again, and comes back the same.  (Not always the same bytes: a NUL ends a string, any number but 0
 * means "present".) */
static void check_again(const WireType *type, const void *obj)
{
    size_t len = wire_size(type, obj);
    g_autofree uint8_t *once = g_malloc(len), *twice = g_malloc(len);
    g_autofree void *again = g_malloc(type->size);

    g_assert_cmpuint(len, >, 0);
    g_assert_cmpint(wire_encode(type, obj, once, len), ==, len);
    g_assert_cmpint(wire_decode(type, again, once, len, NULL), ==, 0);
    g_assert_cmpint(wire_encode(type, again, twice, len), ==, len);
    g_assert_true(memcmp(once, twice, len) == 0);
    wire_free(type, again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    GArray *all = subjects();
    Perm perms[PROC_PERMS_MAX];

    if (size < CHOICE)
        return 0;
    const Subject *s = &g_array_index(all, Subject, (data[0] << 8 | data[1]) % all->len);
    g_autofree void *obj = g_malloc(s->type->size);
    if (wire_decode(s->type, obj, data + CHOICE, size - CHOICE, NULL) < 0)
        return 0;
    check_again(s->type, obj);
    if (s->args_of) {
        (void)proc_readonly_refused(s->args_of, obj);
        g_assert_cmpuint(proc_perms_needed(s->args_of, obj, perms), <=, PROC_PERMS_MAX);
    }
    wire_free(s->type, obj);
    return 0;
}

const char *const fuzz_dirs[] = {"tests/fuzz/corpus/args", NULL};

uint8_t *fuzz_seed(unsigned i, size_t *ret_size)
{
    GArray *all = subjects();

    if (i >= all->len)
        return NULL;
    const WireType *type = g_array_index(all, Subject, i).type;
    g_autofree void *obj = g_malloc(type->size);
    g_assert_true(sample_fill(type, obj, i));
    size_t len = wire_size(type, obj);
    uint8_t *seed = g_malloc(CHOICE + len);
    seed[0] = (uint8_t)(i >> 8);
    seed[1] = (uint8_t)i;
    g_assert_cmpint(wire_encode(type, obj, seed + CHOICE, len), ==, len);
    wire_free(type, obj);
    *ret_size = CHOICE + len;
    return seed;
}
