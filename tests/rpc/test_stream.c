/* tests/rpc/test_stream.c - streams: memory, descriptors, files, holes, every way to end
 */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "tests/rpc/toy.h"
#include "util/fd.h"

static Toy toy;
static int sock = -1;
static char *path;

static int setup(void **state)
{
    toy_start(&toy, NULL);
    sock = toy_connect(&toy);
    path = NULL;
    int fd = g_file_open_tmp("berth-stream-XXXXXX", &path, NULL);
    fd_close(&fd);
    toy.path = path;
    return 0;
}

static int teardown(void **state)
{
    fd_close(&sock);
    toy_stop(&toy);
    g_unlink(path);
    g_free(path);
    return 0;
}

static void open_stream(int32_t proc, uint32_t serial, uint32_t a, uint32_t b)
{
    g_autoptr(GByteArray) body = g_byte_array_new();
    put_be32(body, a);
    put_be32(body, b);
    client_send_packet(sock, RPC_TYPE_CALL, proc, serial, 0, body->data, body->len);
    client_expect(sock, RPC_TYPE_REPLY, serial, RPC_STATUS_OK, NULL);
}

static void send_stream(int32_t proc, uint32_t serial, uint32_t status, const void *data, size_t len)
{
    client_send_packet(sock, RPC_TYPE_STREAM, proc, serial, status, data, len);
}

static void send_hole(int32_t proc, uint32_t serial, int64_t len, uint32_t flags)
{
    g_autoptr(GByteArray) body = g_byte_array_new();
    put_be32(body, (uint32_t)((uint64_t)len >> 32));
    put_be32(body, (uint32_t)len);
    put_be32(body, flags);
    client_send_packet(sock, RPC_TYPE_HOLE, proc, serial, RPC_STATUS_CONTINUE, body->data, body->len);
}

static void expect_end(RpcStreamEnd how)
{
    toy_wait(&toy, &toy.streams_ended, 1);
    assert_int_equal(toy.last_end, how);
}

/* Reads data to the end-of-data packet. */
static GByteArray *read_to_end(uint32_t serial)
{
    GByteArray *all = g_byte_array_new();
    for (;;) {
        Packet p;
        client_expect(sock, RPC_TYPE_STREAM, serial, RPC_STATUS_CONTINUE, &p);
        assert_true(p.len <= RPC_STREAM_DATA_MAX);
        bool end = p.len == 0;
        g_byte_array_append(all, p.body, (guint)p.len);
        packet_done(&p);
        if (end)
            return all;
    }
}

static void finish_and_expect_confirmation(int32_t proc, uint32_t serial)
{
    Packet p;
    send_stream(proc, serial, RPC_STATUS_OK, NULL, 0);
    client_expect(sock, RPC_TYPE_STREAM, serial, RPC_STATUS_OK, &p);
    assert_int_equal(p.len, 0);
    assert_int_equal(p.h.proc, proc);
    packet_done(&p);
}

static void read_from_memory(void **state)
{
    static const uint32_t sizes[] = {0, 1, RPC_STREAM_DATA_MAX, RPC_STREAM_DATA_MAX + 1, 3000001};
    for (uint32_t i = 0; i < N_ELEMENTS(sizes); i++) {
        open_stream(TOY_STREAM_BYTES, i, sizes[i], 0);
        g_autoptr(GByteArray) all = read_to_end(i);
        assert_int_equal(all->len, sizes[i]);
        for (guint k = 0; k < all->len; k++)
            assert_true(all->data[k] == k % 251);
        finish_and_expect_confirmation(TOY_STREAM_BYTES, i);
        client_expect_silence(sock);
    }
    toy_wait(&toy, &toy.streams_ended, N_ELEMENTS(sizes));
    assert_int_equal(toy.last_end, RPC_STREAM_FINISHED);
}

static void abort_while_reading(void **state)
{
    open_stream(TOY_STREAM_BYTES, 3, 8u << 20, 0);
    Packet p;
    client_expect(sock, RPC_TYPE_STREAM, 3, RPC_STATUS_CONTINUE, NULL);
    send_stream(TOY_STREAM_BYTES, 3, RPC_STATUS_ERROR, NULL, 0);
    do { /* packets under way may come first */
        assert_true(client_recv(sock, &p));
        assert_int_equal(p.h.serial, 3);
        packet_done(&p);
    } while (p.h.status == RPC_STATUS_CONTINUE);
    assert_int_equal(p.h.status, RPC_STATUS_OK);
    expect_end(RPC_STREAM_ABORTED);
    send_stream(TOY_STREAM_BYTES, 3, RPC_STATUS_ERROR, NULL, 0); /* once more, after the end: ignored */
    client_expect_silence(sock);
}

static void calls_go_on_beside_a_stream(void **state)
{
    open_stream(TOY_STREAM_FD, 3, 0, 0);
    for (uint32_t i = 10; i < 20; i++) {
        client_call(sock, TOY_NULL, i);
        client_expect(sock, RPC_TYPE_REPLY, i, RPC_STATUS_OK, NULL);
    }
}

static void failed_call_opens_nothing(void **state)
{
    client_call(sock, TOY_STREAM_FAILED_CALL, 3);
    client_expect_error(sock, RPC_TYPE_REPLY, 3, VIR_ERR_INTERNAL_ERROR, VIR_FROM_RPC, NULL);
    expect_end(RPC_STREAM_CLOSED);
    send_stream(TOY_STREAM_FAILED_CALL, 3, RPC_STATUS_OK, NULL, 0);
    client_expect_silence(sock);
}

static void data_into_a_source(void **state)
{
    open_stream(TOY_STREAM_BYTES, 3, 0, 0);
    g_autoptr(GByteArray) all = read_to_end(3);
    assert_int_equal(all->len, 0);
    send_stream(TOY_STREAM_BYTES, 3, RPC_STATUS_CONTINUE, "x", 1);
    client_expect_error(sock, RPC_TYPE_STREAM, 3, VIR_ERR_RPC, VIR_FROM_STREAMS, NULL);
    expect_end(RPC_STREAM_FAILED);
}

static void console_both_ways(void **state)
{
    open_stream(TOY_STREAM_FD, 3, 0, 0);
    char buf[16];
    for (int i = 0; i < 20; i++) {
        Packet p;
        assert_int_equal(write(toy.stream_peer, "login:", 6), 6);
        client_expect(sock, RPC_TYPE_STREAM, 3, RPC_STATUS_CONTINUE, &p);
        assert_int_equal(p.len, 6);
        assert_memory_equal(p.body, "login:", 6);
        packet_done(&p);
        send_stream(TOY_STREAM_FD, 3, RPC_STATUS_CONTINUE, "root\n", 5);
        assert_int_equal(recv(toy.stream_peer, buf, 5, MSG_WAITALL), 5);
        assert_memory_equal(buf, "root\n", 5);
    }
    send_stream(TOY_STREAM_FD, 3, RPC_STATUS_CONTINUE, "bye", 3);
    finish_and_expect_confirmation(TOY_STREAM_FD, 3);
    expect_end(RPC_STREAM_FINISHED);
    assert_int_equal(recv(toy.stream_peer, buf, 16, MSG_WAITALL), 3); /* and then end of file */
}

static void device_ends(void **state)
{
    open_stream(TOY_STREAM_FD, 3, 0, 0);
    assert_int_equal(write(toy.stream_peer, "last words", 10), 10);
    fd_close(&toy.stream_peer);
    g_autoptr(GByteArray) all = read_to_end(3);
    assert_int_equal(all->len, 10);
    send_stream(TOY_STREAM_FD, 3, RPC_STATUS_CONTINUE, "x", 1); /* nobody there */
    client_expect_error(sock, RPC_TYPE_STREAM, 3, VIR_ERR_SYSTEM_ERROR, VIR_FROM_STREAMS, NULL);
    expect_end(RPC_STREAM_FAILED);
}

static void connection_closes(void **state)
{
    open_stream(TOY_STREAM_FD, 3, 0, 0);
    fd_close(&sock);
    expect_end(RPC_STREAM_CLOSED);
    char c;
    assert_int_equal(recv(toy.stream_peer, &c, 1, 0), 0);
}

static void daemon_aborts(void **state)
{
    open_stream(TOY_STREAM_FD, 3, 0, 0);
    g_auto(Err) err = ERR_INIT;
    err_set_full(&err, VIR_FROM_QEMU, VIR_ERR_OPERATION_FAILED, 0, "taken over");
    rpc_stream_abort(toy.stream, &err);
    client_expect_error(sock, RPC_TYPE_STREAM, 3, VIR_ERR_OPERATION_FAILED, VIR_FROM_QEMU, NULL);
    expect_end(RPC_STREAM_FAILED);
    rpc_stream_abort(toy.stream, &err); /* no effect */
    client_expect_silence(sock);
}

static void slow_client_stops_the_device(void **state)
{
    open_stream(TOY_STREAM_FD, 3, 0, 0);
    assert_int_equal(fcntl(toy.stream_peer, F_SETFL, O_NONBLOCK), 0);
    char buf[65536] = {0};
    size_t total = 0;
    struct pollfd pfd = {toy.stream_peer, POLLOUT, 0};
    while (poll(&pfd, 1, 300) > 0) {
        ssize_t n = write(toy.stream_peer, buf, sizeof(buf));
        assert_true(n > 0);
        total += (size_t)n;
        assert_true(total < 8u << 20); /* else nothing is bounded */
    }
    AUTO_CLOSE int other = toy_connect(&toy);
    client_expect_silence(other);
    size_t got = 0;
    while (got < total) {
        Packet p;
        client_expect(sock, RPC_TYPE_STREAM, 3, RPC_STATUS_CONTINUE, &p);
        got += p.len;
        packet_done(&p);
    }
    assert_int_equal(got, total);
}

static void slow_device_stops_the_client(void **state)
{
    toy.stream_sndbuf = 4096;
    open_stream(TOY_STREAM_FD, 3, 0, 0);
    assert_int_equal(fcntl(sock, F_SETFL, O_NONBLOCK), 0);
    g_autofree char *data = g_malloc0(100000);
    g_autoptr(GByteArray) a = packet_make(RPC_TYPE_STREAM, TOY_STREAM_FD, 3, RPC_STATUS_CONTINUE, data, 100000);
    size_t sent = 0, packets = 0;
    struct pollfd pfd = {sock, POLLOUT, 0};
    while (poll(&pfd, 1, 300) > 0) {
        ssize_t n = send(sock, a->data + sent, a->len - sent, MSG_NOSIGNAL);
        assert_true(n > 0);
        sent += (size_t)n;
        if (sent == a->len) {
            sent = 0;
            assert_true(++packets < 100);
        }
    }
    AUTO_CLOSE int other = toy_connect(&toy);
    client_expect_silence(other);
    size_t got = 0, want = packets * 100000; /* whole packets sent; of the last the rest is missing */
    char buf[65536];
    while (got < want) {
        ssize_t n = recv(toy.stream_peer, buf, sizeof(buf), 0);
        assert_true(n > 0);
        got += (size_t)n;
    }
}

static void hole_where_none_is_allowed(void **state)
{
    open_stream(TOY_STREAM_FD, 3, 0, 0);
    send_hole(TOY_STREAM_FD, 3, 4096, 0);
    client_expect_eof(sock);
    expect_end(RPC_STREAM_CLOSED);
    toy_wait(&toy, &toy.closed, 1);
    assert_true(toy_last_reason_has(&toy, "hole"));
}

static void upload(void **state)
{
    open_stream(TOY_STREAM_WRITE, 3, 0, 1000000);
    g_autofree uint8_t *data = g_malloc(1000000);
    for (size_t i = 0; i < 1000000; i++)
        data[i] = (uint8_t)(i % 249);
    for (size_t off = 0; off < 1000000; off += 50000)
        send_stream(TOY_STREAM_WRITE, 3, RPC_STATUS_CONTINUE, data + off, 50000);
    finish_and_expect_confirmation(TOY_STREAM_WRITE, 3);
    expect_end(RPC_STREAM_FINISHED);
    g_autofree char *got = NULL;
    gsize len = 0;
    assert_true(g_file_get_contents(path, &got, &len, NULL));
    assert_int_equal(len, 1000000);
    assert_memory_equal(got, data, len);
}

static void upload_past_its_length(void **state)
{
    open_stream(TOY_STREAM_WRITE, 3, 0, 10);
    send_stream(TOY_STREAM_WRITE, 3, RPC_STATUS_CONTINUE, "0123456789", 10);
    send_stream(TOY_STREAM_WRITE, 3, RPC_STATUS_CONTINUE, "x", 1);
    client_expect_error(sock, RPC_TYPE_STREAM, 3, VIR_ERR_SYSTEM_ERROR, VIR_FROM_STREAMS, NULL);
    expect_end(RPC_STREAM_FAILED);
}

static void upload_aborted(void **state)
{
    open_stream(TOY_STREAM_WRITE, 3, 0, 1000000);
    send_stream(TOY_STREAM_WRITE, 3, RPC_STATUS_CONTINUE, "0123456789", 10);
    send_stream(TOY_STREAM_WRITE, 3, RPC_STATUS_ERROR, NULL, 0);
    client_expect(sock, RPC_TYPE_STREAM, 3, RPC_STATUS_OK, NULL);
    expect_end(RPC_STREAM_ABORTED);
    client_expect_silence(sock);
}

static void sparse_upload(void **state)
{
    open_stream(TOY_STREAM_WRITE, 3, 1, 1u << 30);
    send_stream(TOY_STREAM_WRITE, 3, RPC_STATUS_CONTINUE, "head", 4);
    send_hole(TOY_STREAM_WRITE, 3, 1 << 20, 0);
    send_stream(TOY_STREAM_WRITE, 3, RPC_STATUS_CONTINUE, "tail", 4);
    send_hole(TOY_STREAM_WRITE, 3, 4096, 0);
    finish_and_expect_confirmation(TOY_STREAM_WRITE, 3);
    g_autofree char *got = NULL;
    gsize len = 0;
    assert_true(g_file_get_contents(path, &got, &len, NULL));
    assert_int_equal(len, 4 + (1 << 20) + 4 + 4096);
    assert_memory_equal(got, "head\0\0", 6);
    assert_memory_equal(got + 4 + (1 << 20), "tail\0", 5);
}

static void malformed_holes(void **state)
{
    static const struct {
        int64_t len;
        uint32_t flags;
        int code;
    } rows[] = {{0, 0, VIR_ERR_RPC}, {-1, 0, VIR_ERR_RPC}, {4096, 1, VIR_ERR_RPC}, {INT64_MAX, 0, VIR_ERR_SYSTEM_ERROR}};
    for (uint32_t i = 0; i < N_ELEMENTS(rows); i++) {
        open_stream(TOY_STREAM_WRITE, i, 1, 1u << 20);
        send_hole(TOY_STREAM_WRITE, i, rows[i].len, rows[i].flags);
        client_expect_error(sock, RPC_TYPE_STREAM, i, rows[i].code, VIR_FROM_STREAMS, NULL);
    }
}

static void download(void **state)
{
    g_autofree char *data = g_malloc(700000);
    memset(data, 'd', 700000);
    assert_true(g_file_set_contents(path, data, 700000, NULL));
    open_stream(TOY_STREAM_READ, 3, 0, 0);
    g_autoptr(GByteArray) all = read_to_end(3);
    assert_int_equal(all->len, 700000);
    assert_memory_equal(all->data, data, 700000);
    finish_and_expect_confirmation(TOY_STREAM_READ, 3);
    expect_end(RPC_STREAM_FINISHED);
}

static void finish_before_the_end(void **state)
{
    assert_int_equal(truncate(path, 64 << 20), 0);
    open_stream(TOY_STREAM_READ, 3, 0, 0);
    send_stream(TOY_STREAM_READ, 3, RPC_STATUS_OK, NULL, 0);
    Packet p;
    do {
        assert_true(client_recv(sock, &p));
        packet_done(&p);
    } while (p.h.status == RPC_STATUS_CONTINUE);
    assert_int_equal(p.h.status, RPC_STATUS_OK);
    expect_end(RPC_STREAM_FINISHED);
}

static void sparse_download(void **state)
{
    AUTO_CLOSE int fd = open(path, O_RDWR | O_CLOEXEC);
    uint64_t want_size = (8 << 20) + 5;
    assert_int_equal(ftruncate(fd, (off_t)want_size), 0);
    assert_int_equal(pwrite(fd, "middle", 6, 4 << 20), 6);
    open_stream(TOY_STREAM_READ, 3, 1, 0);
    uint64_t pos = 0, holes = 0;
    for (;;) {
        Packet p;
        assert_true(client_recv(sock, &p));
        assert_int_equal(p.h.status, RPC_STATUS_CONTINUE);
        if (p.h.type == RPC_TYPE_HOLE) {
            assert_int_equal(p.len, 12);
            uint64_t len = ((uint64_t)get_be32(p.body) << 32) | get_be32(p.body + 4);
            assert_true(len > 0 && get_be32(p.body + 8) == 0);
            pos += len;
            holes += len;
        } else if (pos <= 4 << 20 && pos + p.len >= (4 << 20) + 6) {
            assert_memory_equal(p.body + ((4 << 20) - pos), "middle", 6);
            pos += p.len;
        } else {
            pos += p.len;
        }
        bool end = p.h.type == RPC_TYPE_STREAM && p.len == 0;
        packet_done(&p);
        if (end)
            break;
    }
    assert_int_equal(pos, want_size);
    assert_true(holes > 0);
    finish_and_expect_confirmation(TOY_STREAM_READ, 3);
}

static void connection_closes_under_a_file_task(void **state)
{
    for (uint32_t i = 1; i <= 20; i++) {
        open_stream(TOY_STREAM_WRITE, 3, 0, 1u << 30);
        g_autofree char *data = g_malloc0(200000);
        send_stream(TOY_STREAM_WRITE, 3, RPC_STATUS_CONTINUE, data, 200000);
        fd_close(&sock);
        toy_wait(&toy, &toy.streams_ended, i);
        assert_int_equal(toy.last_end, RPC_STREAM_CLOSED);
        sock = toy_connect(&toy);
    }
}

static void too_many_streams(void **state)
{
    uint32_t serial = 0;
    for (; serial < 64; serial++) {
        open_stream(TOY_STREAM_BYTES, serial, 0, 0);
        g_autoptr(GByteArray) all = read_to_end(serial);
        assert_int_equal(all->len, 0);
    }
    open_stream(TOY_STREAM_BYTES, serial, 0, 0);
    client_expect_error(sock, RPC_TYPE_STREAM, serial, VIR_ERR_RESOURCE_BUSY, VIR_FROM_STREAMS, NULL);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(read_from_memory), TEST(abort_while_reading), TEST(calls_go_on_beside_a_stream), TEST(failed_call_opens_nothing),
        TEST(data_into_a_source), TEST(console_both_ways), TEST(device_ends), TEST(connection_closes), TEST(daemon_aborts),
        TEST(slow_client_stops_the_device), TEST(slow_device_stops_the_client), TEST(hole_where_none_is_allowed), TEST(upload),
        TEST(upload_past_its_length), TEST(upload_aborted), TEST(sparse_upload), TEST(malformed_holes), TEST(download),
        TEST(finish_before_the_end), TEST(sparse_download), TEST(connection_closes_under_a_file_task), TEST(too_many_streams),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
