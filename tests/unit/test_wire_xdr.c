/* test_wire_xdr - types of the wire: round trips of all, bounds, exact bytes of the odd ones */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base.h"
#include "protocol/admin_procs.h"
#include "protocol/events.h"
#include "protocol/procs.h"
#include "protocol/remote_protocol.h"
#include "protocol/wire_types.h"
#include "xdr_sample.h"

/* args and ret of all calls, messages of all events, header, error, hole: a row that loses its type is noticed here. */
#define N_TYPES 727

typedef void (*TypeCheck)(const WireType *type);

/* Runs the check on every args, ret, event message and the types outside procedures; returns how many there were. */
static unsigned each_type(TypeCheck check)
{
    size_t n;
    unsigned done = 3;
    const ProcInfo *procs = proc_table(&n);

    for (size_t i = 0; i < n; i++) {
        if (procs[i].args.size)
            check(&procs[i].args), done++;
        if (procs[i].ret.size)
            check(&procs[i].ret), done++;
    }
    const EventInfo *events = event_table(&n);
    for (size_t i = 0; i < n; i++) {
        check(&events[i].msg), done++;
        if (events[i].legacy_proc)
            check(&events[i].legacy), done++;
    }
    const AdminProcInfo *admin = admin_proc_table(&n);
    for (size_t i = 0; i < n; i++) {
        if (admin[i].args.size)
            check(&admin[i].args), done++;
        if (admin[i].ret.size)
            check(&admin[i].ret), done++;
    }
    check(&wire_message_header);
    check(&wire_message_error);
    check(&wire_stream_hole);
    return done;
}

static uint8_t *encode_alloc(const WireType *type, const void *obj, size_t *ret_len)
{
    size_t len = wire_size(type, obj);
    uint8_t *buf = g_malloc(len + 8);

    if (len == 0)
        fail_msg("%s: sample cannot be encoded", type->name);
    assert_int_equal(wire_encode(type, obj, buf, len - 1), -EMSGSIZE);
    assert_int_equal(wire_encode(type, obj, buf, len + 8), len);
    *ret_len = len;
    return buf;
}

static void round_trip(const WireType *type)
{
    for (unsigned seed = 0; seed < 3; seed++) {
        g_autofree void *obj = g_malloc(type->size);
        g_autofree void *again = g_malloc(type->size);
        size_t len, len2, used = 0;

        if (!sample_fill(type, obj, seed))
            fail_msg("%s: no sample", type->name);
        g_autofree uint8_t *wire = encode_alloc(type, obj, &len);
        memset(wire + len, 0xff, 8); /* what follows is not looked at */
        assert_int_equal(wire_decode(type, again, wire, len + 8, &used), 0);
        assert_int_equal(used, len);
        g_autofree uint8_t *wire2 = encode_alloc(type, again, &len2);
        assert_int_equal(len2, len);
        assert_memory_equal(wire2, wire, len);
        wire_free(type, obj);
        wire_free(type, again);
    }
}

static void cut_short(const WireType *type)
{
    g_autofree void *obj = g_malloc(type->size);
    g_autofree uint8_t *zero = g_malloc0(type->size);
    size_t len;

    assert_true(sample_fill(type, obj, 1));
    g_autofree uint8_t *wire = encode_alloc(type, obj, &len);
    wire_free(type, obj);
    for (size_t n = 0; n < len; n++) {
        /* A copy of its own, so that AddressSanitizer sees a read past its end. */
        g_autofree uint8_t *part = g_memdup2(wire, n);
        if (wire_decode(type, obj, part, n, NULL) != -EBADMSG)
            fail_msg("%s: %zu of %zu bytes were taken for a whole", type->name, n, len);
        assert_memory_equal(obj, zero, type->size);
    }
}

static void all_types_survive_a_round_trip(void **state)
{
    assert_int_equal(each_type(round_trip), N_TYPES);
}

static void all_types_refuse_to_be_cut_short(void **state)
{
    assert_int_equal(each_type(cut_short), N_TYPES);
}

/* ---- bounds ---------------------------------------------------------------------------------------------------------------- */

static const WireType *args_of(int nr)
{
    return &proc_lookup(REMOTE_PROGRAM, nr)->args;
}

static const WireType *ret_of(int nr)
{
    return &proc_lookup(REMOTE_PROGRAM, nr)->ret;
}

static void put(GByteArray *b, uint32_t v)
{
    uint32_t be = g_htonl(v);
    g_byte_array_append(b, (const guint8 *)&be, sizeof(be));
}

static int decode_bytes(const WireType *type, const GByteArray *b)
{
    g_autofree void *obj = g_malloc(type->size);
    int r = wire_decode(type, obj, b->data, b->len, NULL);
    wire_free(type, obj);
    return r;
}

static void counts_up_to_the_bound_and_no_further(void **state)
{
    const struct {
        const WireType *type;
        uint32_t words_before, max, words_each, words_after;
    } cases[] = {
        {ret_of(REMOTE_PROC_CONNECT_LIST_DOMAINS), 0, REMOTE_DOMAIN_LIST_MAX, 1, 0},
        {ret_of(REMOTE_PROC_CONNECT_LIST_DEFINED_DOMAINS), 0, REMOTE_DOMAIN_LIST_MAX, 1, 0}, /* empty strings */
        {ret_of(REMOTE_PROC_AUTH_LIST), 0, REMOTE_AUTH_TYPE_LIST_MAX, 1, 0},
        {args_of(REMOTE_PROC_NODE_GET_FREE_PAGES), 0, REMOTE_NODE_MAX_CELLS, 1, 3},
        {args_of(REMOTE_PROC_AUTH_SASL_STEP), 1, REMOTE_AUTH_SASL_DATA_MAX, 1, 0},
        {args_of(REMOTE_PROC_CONNECT_BASELINE_CPU), 0, REMOTE_CPU_BASELINE_MAX, 1, 1},
        {ret_of(REMOTE_PROC_DOMAIN_MEMORY_STATS), 0, REMOTE_DOMAIN_MEMORY_STATS_MAX, 3, 0},
        {ret_of(REMOTE_PROC_NODE_LIST_DEVICES), 0, REMOTE_NODE_DEVICE_LIST_MAX, 1, 0},
    };

    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        for (uint32_t over = 0; over < 2; over++) {
            g_autoptr(GByteArray) b = g_byte_array_new();
            uint32_t n = cases[i].max + over;
            for (uint32_t w = 0; w < cases[i].words_before; w++)
                put(b, 0);
            put(b, n);
            for (uint32_t w = 0; w < n * cases[i].words_each + cases[i].words_after; w++)
                put(b, 0);
            if (decode_bytes(cases[i].type, b) != (over ? -EBADMSG : 0))
                fail_msg("%s with %u elements", cases[i].type->name, n);
        }
    }
}

/* ---- no count without a bound: an endless message in which one word is as large as it can be ------------------------------------ */

#define BYTES_AT_ONCE (32u << 20) /* no bound is above the size of a packet */
#define WORDS_ENOUGH  (1u << 20)

typedef struct EndlessStream {
    unsigned words, large_at;
    unsigned bytes_at_once;
} EndlessStream;

static bool_t endless_getlong(XDR *x, long *v)
{
    EndlessStream *s = x->x_private;
    *v = s->words == s->large_at ? 0x7ffffff0 : 1;
    return s->words++ < WORDS_ENOUGH;
}

static bool_t endless_getbytes(XDR *x, char *to, u_int len)
{
    EndlessStream *s = x->x_private;
    s->bytes_at_once = MAX(s->bytes_at_once, len);
    memset(to, 'a', MIN(len, BYTES_AT_ONCE));
    return len < BYTES_AT_ONCE;
}

static int32_t *endless_inline(XDR *x, u_int len)
{
    return NULL;
}

static void no_count_without_a_bound(const WireType *type)
{
    static const struct xdr_ops ops = {.x_getlong = endless_getlong, .x_getbytes = endless_getbytes, .x_inline = endless_inline};
    g_autofree void *obj = g_malloc(type->size);
    EndlessStream s = {.large_at = 0};
    do {
        s.words = s.bytes_at_once = 0;
        XDR x = {.x_op = XDR_DECODE, .x_ops = &ops, .x_private = &s};
        memset(obj, 0, type->size);
        (void)type->filter(&x, obj);
        if (s.bytes_at_once >= BYTES_AT_ONCE || s.words >= WORDS_ENOUGH)
            fail_msg("%s: word %u is a count without a bound", type->name, s.large_at);
        wire_free(type, obj);
    } while (++s.large_at < s.words);
}

static void all_counts_are_bounded(void **state)
{
    assert_int_equal(each_type(no_count_without_a_bound), N_TYPES);
}

static void strings_up_to_the_bound_and_no_further(void **state)
{
    const WireType *type = args_of(REMOTE_PROC_DOMAIN_LOOKUP_BY_NAME);

    for (uint32_t over = 0; over < 2; over++) {
        g_autoptr(GByteArray) b = g_byte_array_new();
        uint32_t n = REMOTE_STRING_MAX + over;
        put(b, n);
        for (uint32_t w = 0; w < (n + 3) / 4; w++)
            put(b, 0x61616161);
        assert_int_equal(decode_bytes(type, b), over ? -EBADMSG : 0);
    }
}

/* A count inside its bound, but more than the message can hold, is refused before anything is allocated for it. */
static void counts_are_not_believed(void **state)
{
    const WireType *types[] = {
        args_of(REMOTE_PROC_DOMAIN_LOOKUP_BY_NAME),                        /* string */
        args_of(REMOTE_PROC_CONNECT_GET_ALL_DOMAIN_STATS),                 /* array of structs */
        args_of(REMOTE_PROC_DOMAIN_MIGRATE_PREPARE3),                      /* opaque */
        ret_of(REMOTE_PROC_CONNECT_GET_ALL_DOMAIN_STATS),                  /* arrays in an array */
    };

    for (size_t i = 0; i < N_ELEMENTS(types); i++) {
        g_autoptr(GByteArray) b = g_byte_array_new();
        put(b, 16384);
        put(b, 0);
        put(b, 0);
        assert_int_equal(decode_bytes(types[i], b), -EBADMSG);
        put(b, 0xffffffff);
        assert_int_equal(decode_bytes(types[i], b), -EBADMSG);
    }
}

/* ---- exact bytes ----------------------------------------------------------------------------------------------------------- */

static void assert_encodes(const WireType *type, const void *obj, const uint8_t *want, size_t len)
{
    size_t got_len;
    g_autofree uint8_t *got = encode_alloc(type, obj, &got_len);

    assert_int_equal(got_len, len);
    assert_memory_equal(got, want, len);
}

static void header_words(void **state)
{
    const virNetMessageHeader h = {.prog = REMOTE_PROGRAM, .vers = 1, .proc = 66, .type = VIR_NET_REPLY, .serial = 7, .status = VIR_NET_ERROR};
    const uint8_t want[] = {0x20, 0x00, 0x80, 0x86, 0, 0, 0, 1, 0, 0, 0, 66, 0, 0, 0, 1, 0, 0, 0, 7, 0, 0, 0, 1};
    assert_encodes(&wire_message_header, &h, want, sizeof(want));
}

static void strings_are_padded_and_optional_ones_flagged(void **state)
{
    char uri[] = "a:///";
    char *name = uri;
    const remote_connect_open_args there = {.name = &name, .flags = 1};
    const remote_connect_open_args absent = {.name = NULL, .flags = 0};
    const uint8_t want_there[] = {0, 0, 0, 1, 0, 0, 0, 5, 'a', ':', '/', '/', '/', 0, 0, 0, 0, 0, 0, 1};
    const uint8_t want_absent[] = {0, 0, 0, 0, 0, 0, 0, 0};
    assert_encodes(args_of(REMOTE_PROC_CONNECT_OPEN), &there, want_there, sizeof(want_there));
    assert_encodes(args_of(REMOTE_PROC_CONNECT_OPEN), &absent, want_absent, sizeof(want_absent));
}

static void a_missing_string_cannot_be_sent(void **state)
{
    const remote_connect_get_type_ret ret = {.type = NULL};
    uint8_t buf[16];
    assert_int_equal(wire_size(ret_of(REMOTE_PROC_CONNECT_GET_TYPE), &ret), 0);
    assert_int_equal(wire_encode(ret_of(REMOTE_PROC_CONNECT_GET_TYPE), &ret, buf, sizeof(buf)), -EINVAL);
}

static void chars_take_a_word_each(void **state)
{
    const remote_node_get_info_ret info = {.model = "x86_64", .memory = 0x0102030405060708, .cpus = 2};
    uint8_t want[128 + 8 + 6 * 4] = {0};
    for (size_t i = 0; info.model[i]; i++)
        want[4 * i + 3] = (uint8_t)info.model[i];
    for (size_t i = 0; i < 8; i++)
        want[128 + i] = (uint8_t)(i + 1);
    want[139] = 2;
    assert_encodes(ret_of(REMOTE_PROC_NODE_GET_INFO), &info, want, sizeof(want));
}

static void uuids_are_sixteen_bytes_without_a_count(void **state)
{
    char name[] = "vm";
    remote_domain_lookup_by_name_ret ret = {.dom = {.name = name, .id = -1}};
    uint8_t want[] = {0, 0, 0, 2, 'v', 'm', 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 255, 255, 255, 255};
    for (int i = 0; i < UUID_LEN; i++)
        ret.dom.uuid[i] = (char)i;
    assert_encodes(ret_of(REMOTE_PROC_DOMAIN_LOOKUP_BY_NAME), &ret, want, sizeof(want));
}

static void typed_parameters(void **state)
{
    char names[][4] = {"i", "d", "b", "s"}, text[] = "ab";
    remote_typed_param params[] = {
        {.field = names[0], .value = {.type = VIR_TYPED_PARAM_INT, .remote_typed_param_value_u.i = -2}},
        {.field = names[1], .value = {.type = VIR_TYPED_PARAM_DOUBLE, .remote_typed_param_value_u.d = 1.0}},
        {.field = names[2], .value = {.type = VIR_TYPED_PARAM_BOOLEAN, .remote_typed_param_value_u.b = 1}},
        {.field = names[3], .value = {.type = VIR_TYPED_PARAM_STRING, .remote_typed_param_value_u.s = text}},
    };
    const remote_domain_get_job_stats_ret ret = {.type = 1, .params = {.params_len = 4, .params_val = params}};
    const uint8_t want[] = {
        0, 0, 0, 1, 0, 0, 0, 4,
        0, 0, 0, 1, 'i', 0, 0, 0, 0, 0, 0, 1, 255, 255, 255, 254,
        0, 0, 0, 1, 'd', 0, 0, 0, 0, 0, 0, 5, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 1, 'b', 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 1,
        0, 0, 0, 1, 's', 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 2, 'a', 'b', 0, 0,
    };
    assert_encodes(ret_of(REMOTE_PROC_DOMAIN_GET_JOB_STATS), &ret, want, sizeof(want));
}

static void a_parameter_of_unknown_type_is_refused(void **state)
{
    g_autoptr(GByteArray) b = g_byte_array_new();
    put(b, 1); /* one parameter */
    put(b, 1);
    put(b, 0x61000000); /* "a" */
    put(b, 8);          /* type */
    put(b, 0);
    put(b, 0); /* flags */
    assert_int_equal(decode_bytes(args_of(REMOTE_PROC_NODE_SET_MEMORY_PARAMETERS), b), -EBADMSG);
    b->data[15] = 1;
    assert_int_equal(decode_bytes(args_of(REMOTE_PROC_NODE_SET_MEMORY_PARAMETERS), b), 0);
}

/* What libvirt's own daemon does too: the C string ends at the NUL. */
static void a_nul_ends_a_string(void **state)
{
    const uint8_t wire[] = {0, 0, 0, 4, 'a', 0, 'b', 'c'};
    remote_domain_lookup_by_name_args args;
    assert_int_equal(wire_decode(args_of(REMOTE_PROC_DOMAIN_LOOKUP_BY_NAME), &args, wire, sizeof(wire), NULL), 0);
    assert_string_equal(args.name, "a");
    wire_free(args_of(REMOTE_PROC_DOMAIN_LOOKUP_BY_NAME), &args);
    assert_null(args.name);
}

static void error_of_stock_shape(void **state)
{
    char text[] = "x";
    char *message = text;
    const virNetMessageError e = {.code = 39, .domain = 7, .message = &message, .level = 2, .int1 = -1, .int2 = -1};
    const uint8_t want[] = {0, 0, 0, 39, 0, 0, 0, 7, 0, 0, 0, 1, 0, 0, 0, 1, 'x', 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0,
                            0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 0};
    assert_encodes(&wire_message_error, &e, want, sizeof(want));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_types_survive_a_round_trip),
        cmocka_unit_test(all_types_refuse_to_be_cut_short),
        cmocka_unit_test(counts_up_to_the_bound_and_no_further),
        cmocka_unit_test(all_counts_are_bounded),
        cmocka_unit_test(strings_up_to_the_bound_and_no_further),
        cmocka_unit_test(counts_are_not_believed),
        cmocka_unit_test(header_words),
        cmocka_unit_test(strings_are_padded_and_optional_ones_flagged),
        cmocka_unit_test(a_missing_string_cannot_be_sent),
        cmocka_unit_test(chars_take_a_word_each),
        cmocka_unit_test(uuids_are_sixteen_bytes_without_a_count),
        cmocka_unit_test(typed_parameters),
        cmocka_unit_test(a_parameter_of_unknown_type_is_refused),
        cmocka_unit_test(a_nul_ends_a_string),
        cmocka_unit_test(error_of_stock_shape),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
