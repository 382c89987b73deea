/* tests/bench/load.c - a lean client of the wire, and the least server it can be compared with
 *
 * Owns:    the clients' side of bench_rpc.py and bench_clients.py; a server that answers every packet with an empty reply and fans one out
 * Threads: one
 *
 * Prints one JSON object with nanoseconds; the CPU time is that of the process given (the server's), not ours.  Knows only the packet
 * frame: procedures and their arguments come from the caller as numbers and hexadecimal digits.
 *
 *   load serve SOCKET                  the least server for many clients (epoll)
 *   load echo SOCKET                   the least server for one client at a time (read, write)
 *   load call SOCKET PID ROUNDS PROC [HEX]      one call after the other
 *   load open SOCKET PID ROUNDS                 connect, three round trips (AUTH_LIST, CONNECT_OPEN, CONNECT_CLOSE), close
 *   load many SOCKET PID CONNS DEPTH MS PROC    CONNS clients with DEPTH calls in flight each, all the time
 *   load event SOCKET PID CONNS ROUNDS PROC HEX REGISTER-HEX    from a call to the last client's receipt of what it caused
 *   load idle SOCKET CONNS                      opens so many, says so, waits for the end of its standard input
 */
#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define PROG 0x20008086u
#define HEAD 28u
#define BODY_MAX 4096u
#define FANOUT 9999u   /* procedure of `serve`: a message to all who sent REGISTER, then the reply */
#define REGISTER 316u  /* CONNECT_DOMAIN_EVENT_CALLBACK_REGISTER_ANY */
#define EVENT_BYTES 92u /* of a lifecycle-like event */

enum { CALL, REPLY, MESSAGE };

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static uint64_t clock_ns(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t now_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

static uint64_t cpu_ns(pid_t pid)
{
    clockid_t id;
    if (pid <= 0 || clock_getcpuclockid(pid, &id) != 0)
        return 0;
    return clock_ns(id);
}

static uint32_t get32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, 4);
    return ntohl(v);
}

static void put32(uint8_t *p, uint32_t v)
{
    v = htonl(v);
    memcpy(p, &v, 4);
}

static size_t packet(uint8_t *p, uint32_t proc, uint32_t type, uint32_t serial, const uint8_t *body, size_t len)
{
    put32(p, (uint32_t)(HEAD + len));
    put32(p + 4, PROG);
    put32(p + 8, 1);
    put32(p + 12, proc);
    put32(p + 16, type);
    put32(p + 20, serial);
    put32(p + 24, 0);
    if (len)
        memcpy(p + HEAD, body, len);
    return HEAD + len;
}

static size_t from_hex(const char *hex, uint8_t *out)
{
    size_t n = 0;
    unsigned byte = 0;
    for (; hex && hex[0] && hex[1] && n < BODY_MAX; hex += 2) {
        if (sscanf(hex, "%2x", &byte) != 1)
            die("hexadecimal digits");
        out[n++] = (uint8_t)byte;
    }
    return n;
}

/* ---- sockets ---------------------------------------------------------------------------------------------------------------- */

static struct sockaddr_un address(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(a.sun_path)) {
        errno = ENAMETOOLONG;
        die(path);
    }
    memcpy(a.sun_path, path, strlen(path) + 1);
    return a;
}

static int dial(const char *path)
{
    struct sockaddr_un a = address(path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
        die(path);
    return fd;
}

static bool write_some(int fd, const uint8_t *p, size_t n)
{
    while (n > 0) {
        ssize_t r = send(fd, p, n, MSG_NOSIGNAL);
        if (r < 0 && errno == EINTR)
            continue;
        if (r <= 0)
            return false;
        p += r;
        n -= (size_t)r;
    }
    return true;
}

static void write_all(int fd, const uint8_t *p, size_t n)
{
    if (!write_some(fd, p, n))
        die("write");
}

static void read_exactly(int fd, uint8_t *p, size_t n)
{
    while (n > 0) {
        ssize_t r = read(fd, p, n);
        if (r < 0 && errno == EINTR)
            continue;
        if (r <= 0)
            die("read");
        p += r;
        n -= (size_t)r;
    }
}

static uint8_t big[1 << 20];

/* The next packet of a blocking socket, in one read when it is small.  Returns its type. */
static uint32_t receive(int fd, uint32_t *status)
{
    ssize_t n = read(fd, big, sizeof(big));
    if (n < 4)
        die("read");
    uint32_t len = get32(big);
    if (len > sizeof(big) || (size_t)n > len) {
        fprintf(stderr, "a packet of %u bytes, %zd read\n", len, n);
        exit(1);
    }
    read_exactly(fd, big + n, len - (size_t)n);
    *status = get32(big + 24);
    return get32(big + 16);
}

static void round_trip(int fd, uint32_t proc, uint32_t serial, const uint8_t *body, size_t len)
{
    uint8_t p[HEAD + BODY_MAX];
    uint32_t status = 0;
    write_all(fd, p, packet(p, proc, CALL, serial, body, len));
    while (receive(fd, &status) != REPLY)
        ;
    if (status != 0) {
        fprintf(stderr, "procedure %u failed: %.200s\n", proc, (const char *)big + HEAD + 16);
        exit(1);
    }
}

/* CONNECT_OPEN with the name "qemu:///system" */
static const uint8_t open_args[] = "\0\0\0\1\0\0\0\16qemu:///system\0\0\0\0\0";

static int opened(const char *path)
{
    int fd = dial(path);
    round_trip(fd, 66, 0, NULL, 0);
    round_trip(fd, 1, 1, open_args, 28);
    return fd;
}

static int by_value(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static void report(uint64_t *ns, size_t n, uint64_t cpu)
{
    qsort(ns, n, sizeof(*ns), by_value);
    printf("{\"n\": %zu, \"p50\": %" PRIu64 ", \"p99\": %" PRIu64 ", \"min\": %" PRIu64 ", \"cpu\": %.1f}\n", n, ns[n / 2], ns[n * 99 / 100],
           ns[0], (double)cpu / (double)n);
    free(ns);
}

/* ---- the least servers ------------------------------------------------------------------------------------------------------ */

static int listening(const char *path)
{
    struct sockaddr_un a = address(path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    unlink(path);
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 4096) < 0)
        die(path);
    puts("ready");
    fflush(stdout);
    return fd;
}

static void run_echo(const char *path)
{
    int l = listening(path);
    uint8_t in[HEAD + BODY_MAX], out[HEAD];
    for (;;) {
        int fd = accept4(l, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0)
            die("accept");
        while (read(fd, in, sizeof(in)) > 0) {
            packet(out, get32(in + 12), REPLY, get32(in + 20), NULL, 0);
            if (!write_some(fd, out, sizeof(out)))
                break;
        }
        close(fd);
    }
}

typedef struct Peer {
    int fd;
    size_t have;
    bool registered;
    uint8_t in[8192];
} Peer;

static Peer **peers;
static size_t n_peers, cap_peers;

static void fan_out(void)
{
    uint8_t p[HEAD + EVENT_BYTES];
    static const uint8_t zeros[EVENT_BYTES];
    size_t n = packet(p, 318, MESSAGE, 1, zeros, EVENT_BYTES);
    for (size_t i = 0; i < n_peers; i++) {
        if (peers[i]->registered)
            write_some(peers[i]->fd, p, n);
    }
}

/* False when the peer is gone. */
static bool serve_peer(Peer *p)
{
    static uint8_t out[sizeof(p->in)];
    ssize_t n = read(p->fd, p->in + p->have, sizeof(p->in) - p->have);
    if (n <= 0)
        return false;
    p->have += (size_t)n;
    size_t at = 0, len = 0;
    while (p->have - at >= HEAD && p->have - at >= get32(p->in + at)) {
        const uint8_t *call = p->in + at;
        uint32_t proc = get32(call + 12);
        if (proc == REGISTER)
            p->registered = true;
        if (proc == FANOUT)
            fan_out();
        len += packet(out + len, proc, REPLY, get32(call + 20), NULL, 0);
        at += get32(call);
    }
    memmove(p->in, p->in + at, p->have - at);
    p->have -= at;
    return write_some(p->fd, out, len);
}

static void run_serve(const char *path)
{
    int l = listening(path), ep = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event ev = {.events = EPOLLIN}, got[64];
    epoll_ctl(ep, EPOLL_CTL_ADD, l, &ev);
    for (;;) {
        int n = epoll_wait(ep, got, 64, -1);
        for (int i = 0; i < n; i++) {
            Peer *p = got[i].data.ptr;
            if (!p) {
                p = calloc(1, sizeof(*p));
                p->fd = accept4(l, NULL, NULL, SOCK_CLOEXEC);
                if (p->fd < 0)
                    die("accept");
                if (n_peers == cap_peers) {
                    cap_peers = cap_peers ? cap_peers * 2 : 64;
                    peers = realloc(peers, cap_peers * sizeof(*peers));
                }
                peers[n_peers++] = p;
                ev.data.ptr = p;
                epoll_ctl(ep, EPOLL_CTL_ADD, p->fd, &ev);
            } else if (!serve_peer(p)) {
                for (size_t j = 0; j < n_peers; j++) {
                    if (peers[j] == p)
                        peers[j] = peers[--n_peers];
                }
                close(p->fd);
                free(p);
            }
        }
    }
}

/* ---- the loads -------------------------------------------------------------------------------------------------------------- */

static void run_call(const char *path, pid_t pid, size_t rounds, uint32_t proc, const char *hex)
{
    uint8_t body[BODY_MAX];
    size_t len = from_hex(hex, body);
    uint64_t *ns = calloc(rounds, sizeof(*ns)), cpu = 0;
    int fd = opened(path);
    for (size_t i = 0; i < rounds + rounds / 10; i++) {
        size_t at = i < rounds / 10 ? 0 : i - rounds / 10;
        if (i == rounds / 10)
            cpu = cpu_ns(pid);
        uint64_t start = now_ns();
        round_trip(fd, proc, (uint32_t)i, body, len);
        ns[at] = now_ns() - start;
    }
    report(ns, rounds, cpu_ns(pid) - cpu);
    close(fd);
}

static void run_open(const char *path, pid_t pid, size_t rounds)
{
    uint64_t *ns = calloc(rounds, sizeof(*ns)), cpu = cpu_ns(pid);
    for (size_t i = 0; i < rounds; i++) {
        uint64_t start = now_ns();
        int fd = opened(path);
        round_trip(fd, 2, 2, NULL, 0);
        close(fd);
        ns[i] = now_ns() - start;
    }
    report(ns, rounds, cpu_ns(pid) - cpu);
}

typedef struct Flow {
    int fd;
    size_t have;
    uint32_t serial;
    uint8_t in[16384];
} Flow;

static void send_calls(Flow *f, uint32_t proc, unsigned n)
{
    uint8_t out[HEAD * 64];
    size_t len = 0;
    for (unsigned i = 0; i < n && len + HEAD <= sizeof(out); i++)
        len += packet(out + len, proc, CALL, f->serial++, NULL, 0);
    write_all(f->fd, out, len);
}

static void run_many(const char *path, pid_t pid, size_t conns, unsigned depth, uint64_t ms, uint32_t proc)
{
    Flow *flows = calloc(conns, sizeof(*flows));
    int ep = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event ev = {.events = EPOLLIN}, got[64];
    for (size_t i = 0; i < conns; i++) {
        flows[i].fd = opened(path);
        ev.data.ptr = &flows[i];
        epoll_ctl(ep, EPOLL_CTL_ADD, flows[i].fd, &ev);
    }
    for (size_t i = 0; i < conns; i++)
        send_calls(&flows[i], proc, depth);
    uint64_t begin = 0, cpu = 0, done = 0, start = now_ns();
    for (;;) {
        uint64_t now = now_ns();
        if (!begin && now > start + ms * 100000u) { /* a tenth to warm up */
            begin = now;
            cpu = cpu_ns(pid);
            done = 0;
        }
        if (begin && now > begin + ms * 1000000u) {
            uint64_t spent = cpu_ns(pid) - cpu;
            printf("{\"n\": %" PRIu64 ", \"rate\": %.0f, \"cpu\": %.1f}\n", done, (double)done * 1e9 / (double)(now - begin),
                   (double)spent / (double)done);
            return;
        }
        int n = epoll_wait(ep, got, 64, 1000);
        for (int i = 0; i < n; i++) {
            Flow *f = got[i].data.ptr;
            ssize_t r = read(f->fd, f->in + f->have, sizeof(f->in) - f->have);
            if (r <= 0)
                die("read");
            f->have += (size_t)r;
            size_t at = 0;
            unsigned replies = 0;
            while (f->have - at >= HEAD && f->have - at >= get32(f->in + at)) {
                if (get32(f->in + at + 24) != 0) {
                    fprintf(stderr, "procedure %u failed\n", proc);
                    exit(1);
                }
                at += get32(f->in + at);
                replies++;
            }
            memmove(f->in, f->in + at, f->have - at);
            f->have -= at;
            done += replies;
            send_calls(f, proc, replies);
        }
    }
}

static void run_event(const char *path, pid_t pid, size_t conns, size_t rounds, uint32_t proc, const char *hex, const char *register_hex)
{
    uint8_t body[BODY_MAX], want[BODY_MAX], call[HEAD + BODY_MAX], in[4096];
    size_t want_len = from_hex(register_hex, want);
    size_t call_len = packet(call, proc, CALL, 1, body, from_hex(hex, body));
    int *fds = calloc(conns, sizeof(*fds)), cause = opened(path);
    uint64_t *ns = calloc(rounds, sizeof(*ns)), cpu = 0;
    int ep = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event ev = {.events = EPOLLIN}, ready[64];
    for (size_t i = 0; i < conns; i++) {
        fds[i] = opened(path);
        round_trip(fds[i], REGISTER, 2, want, want_len);
        ev.data.fd = fds[i];
        epoll_ctl(ep, EPOLL_CTL_ADD, fds[i], &ev);
    }
    for (size_t i = 0; i < rounds + 5; i++) {
        uint32_t status = 0;
        if (i == 5)
            cpu = cpu_ns(pid);
        uint64_t start = now_ns();
        write_all(cause, call, call_len);
        for (size_t left = conns; left > 0;) {
            int n = epoll_wait(ep, ready, 64, -1);
            for (int j = 0; j < n; j++, left--) {
                if (read(ready[j].data.fd, in, sizeof(in)) < (ssize_t)HEAD || get32(in + 16) != MESSAGE)
                    die("event");
            }
        }
        ns[i < 5 ? 0 : i - 5] = now_ns() - start;
        receive(cause, &status);
        if (status != 0) {
            fprintf(stderr, "procedure %u failed\n", proc);
            exit(1);
        }
    }
    report(ns, rounds, cpu_ns(pid) - cpu);
}

static void run_idle(const char *path, size_t conns)
{
    for (size_t i = 0; i < conns; i++)
        opened(path);
    puts("{\"ready\": true}");
    fflush(stdout);
    while (getchar() != EOF)
        ;
}

static const char *arg(int argc, char **argv, int i)
{
    return i < argc ? argv[i] : NULL;
}

static unsigned long number(int argc, char **argv, int i)
{
    const char *text = arg(argc, argv, i);
    return text ? strtoul(text, NULL, 10) : 0;
}

int main(int argc, char **argv)
{
    const char *mode = arg(argc, argv, 1), *path = arg(argc, argv, 2);
    struct rlimit files;
    if (!mode || !path) {
        fprintf(stderr, "usage: load MODE SOCKET ...; see the head of load.c\n");
        return 2;
    }
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
#define N(i) number(argc, argv, i)
    if (strcmp(mode, "serve") == 0)
        run_serve(path);
    else if (strcmp(mode, "echo") == 0)
        run_echo(path);
    else if (strcmp(mode, "call") == 0)
        run_call(path, (pid_t)N(3), N(4), (uint32_t)N(5), arg(argc, argv, 6));
    else if (strcmp(mode, "open") == 0)
        run_open(path, (pid_t)N(3), N(4));
    else if (strcmp(mode, "many") == 0)
        run_many(path, (pid_t)N(3), N(4), (unsigned)N(5), N(6), (uint32_t)N(7));
    else if (strcmp(mode, "event") == 0)
        run_event(path, (pid_t)N(3), N(4), N(5), (uint32_t)N(6), arg(argc, argv, 7), arg(argc, argv, 8));
    else if (strcmp(mode, "idle") == 0)
        run_idle(path, N(3));
    else
        return 2;
    return 0;
}
