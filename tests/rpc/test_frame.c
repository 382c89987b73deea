/* tests/rpc/test_frame.c - the packet reader, without a socket
 */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <malloc.h>
#include <string.h>

#include "rpc/frame.h"
#include "rpc/msg.h"
#include "tests/rpc/toy.h"
#include "util/closer.h"
#include "util/fd.h"

static void header_round_trip(void **state)
{
    uint8_t bytes[RPC_HEADER_SIZE];
    RpcHeader h = {0x20008086, 1, -5, RPC_TYPE_REPLY, 0xfffffffe, RPC_STATUS_CONTINUE}, back;
    rpc_header_encode(bytes, &h, 100);
    assert_int_equal(rpc_header_decode(bytes, &back), RPC_HEADER_SIZE + 100);
    assert_memory_equal(&h, &back, sizeof(h));
    assert_int_equal(bytes[3], RPC_HEADER_SIZE + 100);
    assert_int_equal(bytes[4], 0x20);
}

/* Three packets of different shape, to be cut anywhere. */
static GByteArray *three_packets(void)
{
    GByteArray *all = g_byte_array_new();
    static const uint8_t fd_body[] = {0, 0, 0, 0, 'x', 'y', 'z', 'w'};
    const struct {
        uint32_t type;
        const void *body;
        size_t len;
    } rows[] = {{RPC_TYPE_CALL, NULL, 0}, {RPC_TYPE_STREAM, "abcde", 5}, {RPC_TYPE_CALL_FDS, fd_body, 8}};
    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        g_autoptr(GByteArray) one = packet_make(rows[i].type, 7, (uint32_t)i, 0, rows[i].body, rows[i].len);
        g_byte_array_append(all, one->data, one->len);
    }
    return all;
}

static void check_three(FrameReader *r, unsigned *seen)
{
    static const char *const bodies[] = {"", "abcde", "xyzw"};
    RpcMsg *m = NULL;
    const char *why = NULL;
    int got = 0;
    while ((got = frame_reader_next(r, &m, &why)) == 1) {
        assert_true(*seen < 3);
        assert_int_equal(m->h.serial, *seen);
        assert_int_equal(m->body_len, strlen(bodies[*seen]));
        assert_memory_equal(m->body, bodies[*seen], m->body_len);
        ++*seen;
        rpc_msg_free(m);
    }
    assert_int_equal(got, 0);
}

static void split_at_every_byte(void **state)
{
    g_autoptr(GByteArray) all = three_packets();
    for (guint cut = 0; cut <= all->len; cut++) {
        FrameReader r;
        unsigned seen = 0;
        frame_reader_init(&r, RPC_PACKET_MAX, true);
        frame_reader_feed(&r, all->data, cut);
        check_three(&r, &seen);
        frame_reader_feed(&r, all->data + cut, all->len - cut);
        check_three(&r, &seen);
        assert_int_equal(seen, 3);
        frame_reader_done(&r);
    }
    FrameReader r;
    unsigned seen = 0;
    frame_reader_init(&r, RPC_PACKET_MAX, true);
    for (guint i = 0; i < all->len; i++) {
        uint8_t byte = all->data[i]; /* each byte from memory of its own */
        frame_reader_feed(&r, &byte, 1);
        check_three(&r, &seen);
    }
    assert_int_equal(seen, 3);
    frame_reader_done(&r);
}

static void paused_input_survives(void **state)
{
    g_autoptr(GByteArray) all = three_packets();
    FrameReader r;
    RpcMsg *m = NULL;
    const char *why = NULL;
    frame_reader_init(&r, RPC_PACKET_MAX, true);
    frame_reader_feed(&r, all->data, all->len);
    assert_int_equal(frame_reader_next(&r, &m, &why), 1);
    rpc_msg_free(m);
    frame_reader_pause(&r);
    memset(all->data, 0xff, all->len);
    assert_true(frame_reader_has_input(&r));
    assert_int_equal(frame_reader_next(&r, &m, &why), 1);
    assert_memory_equal(m->body, "abcde", 5);
    rpc_msg_free(m);
    frame_reader_pause(&r);
    assert_int_equal(frame_reader_next(&r, &m, &why), 1);
    assert_memory_equal(m->body, "xyzw", 4);
    rpc_msg_free(m);
    frame_reader_pause(&r);
    assert_false(frame_reader_has_input(&r));
    frame_reader_done(&r);
}

static void bad_lengths(void **state)
{
    static const struct {
        uint32_t len;
        size_t max;
        bool ok;
    } rows[] = {
        {0, RPC_PACKET_MAX, false},
        {3, RPC_PACKET_MAX, false},
        {4, RPC_PACKET_MAX, false},
        {27, RPC_PACKET_MAX, false},
        {28, RPC_PACKET_MAX, true},
        {RPC_PACKET_MAX, RPC_PACKET_MAX, true},
        {RPC_PACKET_MAX + 1, RPC_PACKET_MAX, false},
        {0x7fffffff, RPC_PACKET_MAX, false},
        {0xffffffff, RPC_PACKET_MAX, false},
        {RPC_PACKET_MAX_PREAUTH, RPC_PACKET_MAX_PREAUTH, true},
        {RPC_PACKET_MAX_PREAUTH + 1, RPC_PACKET_MAX_PREAUTH, false},
    };
    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        g_autoptr(GByteArray) a = g_byte_array_new();
        put_be32(a, rows[i].len);
        FrameReader r;
        RpcMsg *m = NULL;
        const char *why = NULL;
        frame_reader_init(&r, rows[i].max, true);
        frame_reader_feed(&r, a->data, a->len); /* judged by its length word alone */
        assert_int_equal(frame_reader_next(&r, &m, &why), rows[i].ok ? 0 : -1);
        assert_true(rows[i].ok || why);
        frame_reader_done(&r);
    }
}

static void lying_length_costs_nothing(void **state)
{
    g_autoptr(GByteArray) a = packet_make(RPC_TYPE_CALL, 1, 0, 0, "abcd", 4);
    uint32_t lie = GUINT32_TO_BE(RPC_PACKET_MAX);
    memcpy(a->data, &lie, 4);
    FrameReader r;
    RpcMsg *m = NULL;
    const char *why = NULL;
    frame_reader_init(&r, RPC_PACKET_MAX, true);
    frame_reader_feed(&r, a->data, a->len);
    assert_int_equal(frame_reader_next(&r, &m, &why), 0);
    assert_true(r.body_cap <= 16);
    frame_reader_done(&r);
}

static void memory_grows_with_what_arrived(void **state)
{
    size_t total = 5u << 20, sent = 0;
    g_autofree uint8_t *chunk = g_malloc0(10000);
    uint8_t head[RPC_HEADER_SIZE];
    rpc_header_encode(head, &(RpcHeader){TOY_PROG, 1, 1, 0, 0, 0}, total);
    FrameReader r;
    RpcMsg *m = NULL;
    const char *why = NULL;
    frame_reader_init(&r, RPC_PACKET_MAX, true);
    frame_reader_feed(&r, head, sizeof(head));
    assert_int_equal(frame_reader_next(&r, &m, &why), 0);
    while (!m) {
        size_t n = MIN(10000, total - sent);
        frame_reader_feed(&r, chunk, n);
        sent += n;
        int got = frame_reader_next(&r, &m, &why);
        assert_int_equal(got, sent == total);
        assert_true(got == 1 || r.body_cap <= MAX(2 * sent, 20000));
    }
    assert_int_equal(m->body_len, total);
    rpc_msg_free(m);
    frame_reader_done(&r);
}

static int open_null(void)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static void descriptors(void **state)
{
    static const uint8_t two[] = {0, 0, 0, 2};
    g_autoptr(GByteArray) a = packet_make(RPC_TYPE_CALL_FDS, 1, 0, 0, two, 4);
    FrameReader r;
    RpcMsg *m = NULL;
    const char *why = NULL;
    frame_reader_init(&r, RPC_PACKET_MAX, true);
    frame_reader_feed(&r, a->data, a->len);
    assert_int_equal(frame_reader_next(&r, &m, &why), 0);
    static const uint8_t zero = 0;
    for (int i = 0; i < 2; i++) {
        int fd = open_null();
        assert_int_equal(frame_reader_feed_fds(&r, &fd, 1, &why), 0);
        frame_reader_feed(&r, &zero, 1);
        assert_int_equal(frame_reader_next(&r, &m, &why), i);
    }
    assert_int_equal(m->n_fds, 2);
    assert_int_equal(m->body_len, 0);
    int fd = rpc_msg_take_fd(m, 1);
    assert_true(fcntl(fd, F_GETFD) >= 0);
    assert_int_equal(rpc_msg_take_fd(m, 1), -1);
    int other = m->fds[0];
    rpc_msg_free(m);
    fd_closer_wait();
    assert_true(fcntl(other, F_GETFD) < 0);
    fd_close(&fd);
    frame_reader_done(&r);
}

static int expect_bad(const uint8_t *body, size_t len, bool allowed, unsigned n_fds, bool fd_byte)
{
    g_autoptr(GByteArray) a = packet_make(RPC_TYPE_CALL_FDS, 1, 0, 0, body, len);
    if (fd_byte)
        g_byte_array_append(a, (const guint8 *)"", 1);
    FrameReader r;
    RpcMsg *m = NULL;
    const char *why = NULL;
    int last = -1, got = 0;
    frame_reader_init(&r, RPC_PACKET_MAX, allowed);
    for (unsigned i = 0; i < n_fds && got == 0; i++) {
        int fd = last = open_null();
        got = frame_reader_feed_fds(&r, &fd, 1, &why);
    }
    if (got == 0) {
        frame_reader_feed(&r, a->data, a->len);
        got = frame_reader_next(&r, &m, &why);
    }
    frame_reader_done(&r);
    rpc_msg_free(m);
    fd_closer_wait();
    assert_true(last < 0 || fcntl(last, F_GETFD) < 0); /* never leaked */
    return got;
}

static void bad_descriptors(void **state)
{
    static const uint8_t none[] = {0, 0, 0, 0}, one[] = {0, 0, 0, 1}, many[] = {0, 0, 0, 33}, lots[] = {0x80, 0, 0, 1};
    assert_int_equal(expect_bad(none, 4, false, 0, false), 1);
    assert_int_equal(expect_bad(none, 3, true, 0, false), -1);  /* no count */
    assert_int_equal(expect_bad(many, 4, true, 0, false), -1);
    assert_int_equal(expect_bad(lots, 4, true, 0, false), -1);
    assert_int_equal(expect_bad(one, 4, false, 0, false), -1);  /* not on this socket */
    assert_int_equal(expect_bad(one, 4, false, 1, true), -1);
    assert_int_equal(expect_bad(one, 4, true, 0, true), -1);    /* byte without descriptor */
    assert_int_equal(expect_bad(none, 4, true, 1, false), -1);  /* descriptor nobody asked for */
    assert_int_equal(expect_bad(one, 4, true, 2, true), -1);    /* one too many */
    assert_int_equal(expect_bad(one, 4, true, 33, true), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(header_round_trip),
        cmocka_unit_test(split_at_every_byte),
        cmocka_unit_test(paused_input_survives),
        cmocka_unit_test(bad_lengths),
        cmocka_unit_test(lying_length_costs_nothing),
        cmocka_unit_test(memory_grows_with_what_arrived),
        cmocka_unit_test(descriptors),
        cmocka_unit_test(bad_descriptors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
