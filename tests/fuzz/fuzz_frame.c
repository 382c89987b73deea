/* tests/fuzz/fuzz_frame.c - fuzz target: the packet reader
 *
 * Owns:    the input format: flags, sizes of the pieces, then bytes as a client would send them
 * Threads: one
 * Locks:   none
 * Errors:  aborts when pieces and the whole give different packets, when memory outgrows what arrived, when a descriptor leaks
 */
#include "config.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuzz.h"
#include "rpc/frame.h"
#include "rpc/msg.h"
#include "util/closer.h"
#include "util/fd.h"

#define CHOICE 2 /* bytes in front: flags, seed of the piece sizes */
#define FLAG_FDS 1
#define FLAG_PREAUTH 2
#define FLAG_SEND_FDS 4
#define FLAG_PAUSE 8

/* At once instead of by util/closer.c's threads: memory of a thread that is about to end looks like a leak to the fuzzer, which then
 * searches all memory after every input. */
void fd_close_elsewhere(int *fds, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        fd_close(&fds[i]);
}

typedef struct Run {
    unsigned packets;
    uint32_t sum;     /* over headers and bodies */
    int verdict;
    size_t consumed;
} Run;

static uint32_t mix(uint32_t sum, const void *data, size_t len)
{
    const uint8_t *p = data;
    for (size_t i = 0; i < len; i++)
        sum = (sum ^ p[i]) * 16777619u;
    return sum;
}

/* Takes packets off until input is used up. */
static int drain(FrameReader *r, Run *run, bool pause)
{
    for (;;) {
        RpcMsg *m = NULL;
        const char *why = NULL;
        int got = frame_reader_next(r, &m, &why);
        if (got < 0)
            g_assert_nonnull(why);
        if (got <= 0)
            return got;
        g_assert_true(m->n_fds <= RPC_FDS_MAX);
        g_assert_true(m->body_len <= r->max_packet);
        run->packets++;
        run->sum = mix(run->sum, &m->h, sizeof(m->h));
        run->sum = mix(run->sum, m->body, m->body_len);
        rpc_msg_free(m);
        if (pause)
            frame_reader_pause(r);
    }
}

static Run parse(const uint8_t *data, size_t size, uint8_t flags, uint8_t pieces)
{
    Run run = {.sum = 2166136261u};
    FrameReader r;
    uint32_t state = pieces;
    frame_reader_init(&r, flags & FLAG_PREAUTH ? RPC_PACKET_MAX_PREAUTH : RPC_PACKET_MAX, flags & FLAG_FDS);
    for (size_t off = 0; off < size && run.verdict == 0;) {
        state = state * 1103515245u + 12345u;
        size_t n = pieces ? 1 + (state >> 16) % (pieces % 64 + 1) : size;
        n = MIN(n, size - off);
        g_autofree uint8_t *copy = g_memdup2(data + off, n); /* so that a read past the piece is seen */
        if (flags & FLAG_SEND_FDS && (state >> 8) % 3 == 0) {
            const char *why = NULL;
            int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
            run.verdict = frame_reader_feed_fds(&r, &fd, 1, &why);
        }
        if (run.verdict == 0) {
            frame_reader_feed(&r, copy, n);
            run.verdict = drain(&r, &run, flags & FLAG_PAUSE);
        }
        off += n;
        g_assert_true(r.body_cap <= 2 * off + 65536);
        frame_reader_pause(&r);
    }
    frame_reader_done(&r);
    return run;
}

/* The lowest free descriptor: moves up when one leaked. */
static int lowest_fd(void)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    close(fd);
    return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < CHOICE)
        return 0;
    uint8_t flags = data[0], pieces = data[1];
    int before = lowest_fd();
    Run a = parse(data + CHOICE, size - CHOICE, flags, pieces);
    if (!(flags & FLAG_SEND_FDS)) {
        Run b = parse(data + CHOICE, size - CHOICE, flags & (uint8_t)~FLAG_PAUSE, 0);
        g_assert_cmpuint(a.packets, ==, b.packets);
        g_assert_cmpuint(a.sum, ==, b.sum);
        g_assert_cmpint(a.verdict, ==, b.verdict);
    }
    g_assert_cmpint(lowest_fd(), ==, before);
    return 0;
}

const char *const fuzz_dirs[] = {"tests/fuzz/corpus/frame", NULL};

/* Two packets of one type each, in several ways of arriving. */
uint8_t *fuzz_seed(unsigned i, size_t *ret_size)
{
    static const uint8_t body[] = {0, 0, 0, 1, 0, 1, 2, 3, 4};
    if (i >= 7 * 4)
        return NULL;
    size_t size = CHOICE + 2 * (RPC_HEADER_SIZE + sizeof(body));
    uint8_t *seed = malloc(size), *p = seed + CHOICE;
    static const uint8_t ways[] = {FLAG_FDS, FLAG_FDS | FLAG_PREAUTH | FLAG_PAUSE, FLAG_FDS | FLAG_SEND_FDS, 0};
    seed[0] = ways[i % 4];
    seed[1] = (uint8_t)(i * 5);
    for (int k = 0; k < 2; k++, p += RPC_HEADER_SIZE + sizeof(body)) {
        rpc_header_encode(p, &(RpcHeader){0x20008086, 1, 1 + k, i / 4, i, 0}, sizeof(body));
        memcpy(p + RPC_HEADER_SIZE, body, sizeof(body));
    }
    *ret_size = size;
    return seed;
}
