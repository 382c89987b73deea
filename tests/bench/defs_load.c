/* tests/bench/defs_load.c - a lean client for measuring many definitions, and the least the same work costs without a daemon
 *
 * Owns:    the few packets it needs, written by hand, so that no client library is measured
 * Threads: one a connection
 * Errors:  prints what failed and ends
 *
 * Used by bench_defs.py.  Prints microseconds, one number a word.
 */
#include "config.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <glib.h>

#define PROG 0x20008086u
#define OPEN 1
#define GET_INFO 16
#define GET_XML 14
#define DEFINE 11
#define LIST_ALL 273
#define HEADER 28u
#define PACKET_MAX (32u << 20)

static void G_GNUC_NORETURN die(const char *what)
{
    perror(what);
    exit(EXIT_FAILURE);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int by_number(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *v, size_t n)
{
    qsort(v, n, sizeof(*v), by_number);
    return v[n / 2];
}

/* ---- the wire -------------------------------------------------------------------------------------------------------------- */

typedef struct Client {
    int fd;
    uint32_t serial;
    uint8_t *reply; /* of the last call, from the length word on */
    size_t room, len;
} Client;

static void write_exactly(int fd, const void *p, size_t n)
{
    while (n) {
        ssize_t w = write(fd, p, n);
        if (w <= 0)
            die("write");
        p = (const char *)p + w;
        n -= (size_t)w;
    }
}

static void read_exactly(int fd, void *p, size_t n)
{
    while (n) {
        ssize_t r = read(fd, p, n);
        if (r <= 0)
            die("read");
        p = (char *)p + r;
        n -= (size_t)r;
    }
}

static uint32_t word(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, 4);
    return ntohl(v);
}

static void put(GByteArray *b, uint32_t v)
{
    v = htonl(v);
    g_byte_array_append(b, (const uint8_t *)&v, 4);
}

static void put_text(GByteArray *b, const char *s, uint32_t len)
{
    static const uint8_t zero[4];
    put(b, len);
    g_byte_array_append(b, (const uint8_t *)s, len);
    g_byte_array_append(b, zero, (4 - len % 4) % 4);
}

static bool try_connect(Client *c, const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
    c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd >= 0 && connect(c->fd, (struct sockaddr *)&a, sizeof(a)) == 0)
        return true;
    close(c->fd);
    return false;
}

/* One call; the reply's body is at c->reply + HEADER.  Ends the program when the answer is an error. */
static void call(Client *c, uint32_t proc, const GByteArray *args)
{
    GByteArray *b = g_byte_array_sized_new(HEADER + (args ? args->len : 0));
    put(b, HEADER + (args ? args->len : 0));
    put(b, PROG);
    put(b, 1);
    put(b, proc);
    put(b, 0);
    put(b, c->serial++);
    put(b, 0);
    if (args)
        g_byte_array_append(b, args->data, args->len);
    write_exactly(c->fd, b->data, b->len);
    g_byte_array_unref(b);
    uint8_t head[4];
    read_exactly(c->fd, head, 4);
    c->len = word(head);
    if (c->len < HEADER || c->len > PACKET_MAX) {
        fprintf(stderr, "a packet of %zu bytes\n", c->len);
        exit(EXIT_FAILURE);
    }
    if (c->len > c->room)
        c->reply = g_realloc(c->reply, c->room = c->len);
    read_exactly(c->fd, c->reply + 4, c->len - 4);
    if (word(c->reply + 24) != 0) {
        uint32_t n = word(c->reply + HEADER + 12);
        fprintf(stderr, "procedure %u: error %u: %.*s\n", proc, word(c->reply + HEADER), (int)n, c->reply + HEADER + 16);
        exit(EXIT_FAILURE);
    }
}

static void open_connection(Client *c)
{
    GByteArray *b = g_byte_array_new();
    put(b, 1);
    put_text(b, "qemu:///system", 14);
    put(b, 0);
    call(c, OPEN, b);
    g_byte_array_unref(b);
}

static void start_client(Client *c, const char *path)
{
    if (!try_connect(c, path))
        die(path);
    open_connection(c);
}

static void list_all(Client *c)
{
    GByteArray *b = g_byte_array_new();
    put(b, 1);
    put(b, 0);
    call(c, LIST_ALL, b);
    g_byte_array_unref(b);
}

/* ---- what is measured ------------------------------------------------------------------------------------------------------ */

/* list SOCKET ROUNDS: median; how many; bytes of the reply */
static int do_list(char **a)
{
    Client c = {0};
    unsigned rounds = (unsigned)atoi(a[1]);
    double *t = g_new0(double, rounds);
    start_client(&c, a[0]);
    for (unsigned i = 0; i < rounds; i++) {
        double from = now();
        list_all(&c);
        t[i] = now() - from;
    }
    printf("%.2f %u %zu\n", median(t, rounds), word(c.reply + HEADER), c.len);
    return 0;
}

/* each SOCKET info|xml ROUNDS: median of calls about one machine after another in no order; bytes of the last reply */
static int do_each(char **a)
{
    Client c = {0};
    bool xml = strcmp(a[1], "xml") == 0;
    unsigned rounds = (unsigned)atoi(a[2]);
    start_client(&c, a[0]);
    list_all(&c);
    uint32_t n = word(c.reply + HEADER);
    GPtrArray *args = g_ptr_array_new();
    const uint8_t *p = c.reply + HEADER + 4;
    for (uint32_t i = 0; i < n; i++) {
        size_t len = 4 + (word(p) + 3) / 4 * 4 + 16 + 4;
        GByteArray *b = g_byte_array_new();
        g_byte_array_append(b, p, (guint)len);
        if (xml)
            put(b, 0);
        g_ptr_array_add(args, b);
        p += len;
    }
    double *t = g_new0(double, rounds);
    for (unsigned i = 0; i < rounds; i++) {
        GByteArray *b = args->pdata[(i * 7919u) % n];
        double from = now();
        call(&c, xml ? GET_XML : GET_INFO, b);
        t[i] = now() - from;
    }
    printf("%.2f %zu\n", median(t, rounds), c.len);
    return 0;
}

typedef struct Definer {
    Client c;
    const char *xml, *prefix;
    unsigned nr, n;
    double *took;
} Definer;

static char *xml_of(const char *xml, const char *prefix, unsigned a, unsigned b)
{
    const char *at = strstr(xml, "@NAME@");
    if (!at) {
        fprintf(stderr, "no @NAME@ in the definition\n");
        exit(EXIT_FAILURE);
    }
    return g_strdup_printf("%.*s%s-%u-%u%s", (int)(at - xml), xml, prefix, a, b, at + 6);
}

static void *define_some(void *arg)
{
    Definer *d = arg;
    for (unsigned i = 0; i < d->n; i++) {
        char *xml = xml_of(d->xml, d->prefix, d->nr, i);
        GByteArray *b = g_byte_array_new();
        put_text(b, xml, (uint32_t)strlen(xml));
        double from = now();
        call(&d->c, DEFINE, b);
        d->took[i] = now() - from;
        g_byte_array_unref(b);
        g_free(xml);
    }
    return NULL;
}

/* define SOCKET FILE PREFIX CONNECTIONS EACH: wall time of all; median of one */
static int do_define(char **a)
{
    char *xml;
    if (!g_file_get_contents(a[1], &xml, NULL, NULL))
        die(a[1]);
    unsigned conns = (unsigned)atoi(a[3]), each = (unsigned)atoi(a[4]);
    Definer *d = g_new0(Definer, conns);
    pthread_t *t = g_new0(pthread_t, conns);
    double *took = g_new0(double, conns * each);
    for (unsigned i = 0; i < conns; i++) {
        d[i] = (Definer){.xml = xml, .prefix = a[2], .nr = i, .n = each, .took = took + i * each};
        start_client(&d[i].c, a[0]);
    }
    double from = now();
    for (unsigned i = 0; i < conns; i++)
        pthread_create(&t[i], NULL, define_some, &d[i]);
    for (unsigned i = 0; i < conns; i++)
        pthread_join(t[i], NULL);
    double all = now() - from;
    printf("%.2f %.2f\n", all, median(took, conns * each));
    return 0;
}

/* disk DIR FILE ROUNDS: median of writing FILE as one more definition durably, by hand.  The files stay: a file system that has just been told
 * to forget some finds room for the next one more slowly. */
static int do_disk(char **a)
{
    char *xml;
    gsize len;
    if (!g_file_get_contents(a[1], &xml, &len, NULL))
        die(a[1]);
    unsigned rounds = (unsigned)atoi(a[2]);
    double *t = g_new0(double, rounds);
    for (unsigned i = 0; i < rounds; i++) {
        char *tmp = g_strdup_printf("%s/.hand%d-%u", a[0], getpid(), i), *name = g_strdup_printf("%s/hand%d-%u", a[0], getpid(), i);
        double from = now();
        int fd = open(tmp, O_CREAT | O_EXCL | O_WRONLY, 0600), dir;
        write_exactly(fd, xml, len);
        if (fsync(fd) < 0 || close(fd) < 0 || rename(tmp, name) < 0)
            die(name);
        dir = open(a[0], O_RDONLY | O_DIRECTORY);
        if (fsync(dir) < 0)
            die(a[0]);
        close(dir);
        t[i] = now() - from;
    }
    printf("%.2f\n", median(t, rounds));
    return 0;
}

static void *answer_pings(void *arg)
{
    int *p = arg;
    uint8_t ask[HEADER], *reply = g_malloc0((size_t)p[1]);
    for (;;) {
        if (read(p[0], ask, sizeof(ask)) != (ssize_t)sizeof(ask))
            return NULL;
        write_exactly(p[0], reply, (size_t)p[1]);
    }
}

/* ping BYTES ROUNDS: median of a round trip with an answer of so many bytes between two threads that do nothing else */
static int do_ping(char **a)
{
    int s[2], arg[2];
    unsigned rounds = (unsigned)atoi(a[1]);
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, s) < 0)
        die("socketpair");
    arg[0] = s[1];
    arg[1] = atoi(a[0]);
    pthread_t t;
    pthread_create(&t, NULL, answer_pings, arg);
    uint8_t ask[HEADER] = {0}, *reply = g_malloc((size_t)arg[1]);
    double *took = g_new0(double, rounds);
    for (unsigned i = 0; i < rounds; i++) {
        double from = now();
        write_exactly(s[0], ask, sizeof(ask));
        read_exactly(s[0], reply, (size_t)arg[1]);
        took[i] = now() - from;
    }
    printf("%.2f\n", median(took, rounds));
    return 0;
}

/* read DIR: every file once */
static int do_read(char **a)
{
    DIR *d = opendir(a[0]);
    char *buf = g_malloc(1 << 20);
    size_t total = 0;
    if (!d)
        die(a[0]);
    for (struct dirent *e; (e = readdir(d));) {
        int fd = openat(dirfd(d), e->d_name, O_RDONLY | O_CLOEXEC);
        ssize_t n = fd < 0 ? 0 : read(fd, buf, 1 << 20);
        total += n > 0 ? (size_t)n : 0;
        close(fd);
    }
    closedir(d);
    return total == 0;
}

/* exec ARGV...: from fork to the end of a program; its processor time */
static int do_exec(char **a)
{
    double from = now();
    pid_t pid = fork();
    if (pid == 0) {
        execv(a[0], a);
        _exit(127);
    }
    struct rusage u;
    wait4(pid, NULL, 0, &u);
    double took = now() - from;
    printf("%.2f %.2f\n", took, (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e6 + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec));
    return 0;
}

/* start SOCKET ARGV...: from fork to the list of all machines; how many there are; processor time of the daemon until then.  The daemon is
 * ended again. */
static int do_start(char **a)
{
    Client c = {0};
    unlink(a[0]);
    double from = now();
    pid_t pid = fork();
    if (pid == 0) {
        execv(a[1], a + 1);
        _exit(127);
    }
    while (!try_connect(&c, a[0])) {
        struct timespec wait = {.tv_nsec = 100000};
        if (waitpid(pid, NULL, WNOHANG) == pid)
            die("the daemon ended");
        nanosleep(&wait, NULL);
    }
    open_connection(&c);
    list_all(&c);
    double took = now() - from;
    clockid_t clock;
    struct timespec cpu;
    if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &cpu) < 0)
        die("processor time");
    printf("%.2f %u %.2f\n", took, word(c.reply + HEADER), (double)cpu.tv_sec * 1e6 + (double)cpu.tv_nsec / 1e3);
    kill(pid, SIGTERM);
    waitpid(pid, NULL, 0);
    return 0;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int args;
        int (*run)(char **args);
    } modes[] = {{"list", 2, do_list}, {"each", 3, do_each}, {"define", 5, do_define}, {"disk", 3, do_disk},
                 {"ping", 2, do_ping}, {"read", 1, do_read}, {"exec", 1, do_exec},     {"start", 2, do_start}};
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        if (argc >= 2 + modes[i].args && strcmp(argv[1], modes[i].name) == 0)
            return modes[i].run(argv + 2);
    }
    fprintf(stderr, "usage: defs_load list|each|define|disk|ping|read|exec|start ...\n");
    return EXIT_FAILURE;
}
