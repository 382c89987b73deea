/* tests/bench/vm_bare.c - what a machine costs without a daemon
 *
 * Owns:    QEMU processes started with the very command lines a daemon has used, their monitors, the clock
 * Threads: one
 *
 * usage: vm_bare DIRECTORY COUNT, commands on standard input, one line of nanoseconds for each on standard output.  DIRECTORY/N.argv is a
 * command line as /proc/PID/cmdline shows it; DIRECTORY/N.fds has "descriptor path" a line, files to open before.  The descriptor of
 * the monitor's socket is found in the command line.
 *   one N      spawn, greeting, qmp_capabilities, cont, its answer; then SIGTERM, until it is reaped: two numbers
 *   all        the same of all machines at once, which run on
 *   ask FILE   sends the lines of FILE to all monitors at once, until all have answered each
 *   again      closes all monitors, connects to them anew: greeting, qmp_capabilities, query-status
 *   kill       SIGKILL to all, until all are reaped
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <glib.h>

#define MAX_MACHINES 1000
#define MAX_FDS      16
#define HIGH_FD      4096 /* descriptors wait above those a command line names */

typedef struct Machine {
    char *cmdline;
    char **argv;
    int monitor_target;
    int files[MAX_FDS], targets[MAX_FDS];
    char *paths[MAX_FDS];
    unsigned n_files;
    pid_t pid;
    int sock;
    GString *in;
    unsigned answers, wanted;
} Machine;

static Machine machines[MAX_MACHINES];
static unsigned n_machines;
static const char *directory;

static void __attribute__((noreturn)) fail(const char *what)
{
    perror(what);
    exit(EXIT_FAILURE);
}

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- command lines ----------------------------------------------------------------------------------------------- */

static void load_argv(Machine *m, unsigned nr)
{
    g_autofree char *path = g_strdup_printf("%s/%u.argv", directory, nr);
    gsize len;
    if (!g_file_get_contents(path, &m->cmdline, &len, NULL))
        fail(path);
    GPtrArray *argv = g_ptr_array_new();
    m->monitor_target = -1;
    for (char *p = m->cmdline; p < m->cmdline + len; p += strlen(p) + 1) {
        g_ptr_array_add(argv, p);
        const char *fd = g_str_has_prefix(p, "socket,id=charmonitor,") ? strstr(p, "fd=") : NULL;
        if (fd)
            m->monitor_target = atoi(fd + 3);
    }
    g_ptr_array_add(argv, NULL);
    m->argv = (char **)g_ptr_array_free(argv, FALSE);
    if (m->monitor_target < 3)
        fail("no monitor in the command line");
}

static void load_fds(Machine *m, unsigned nr)
{
    g_autofree char *path = g_strdup_printf("%s/%u.fds", directory, nr);
    g_autofree char *text = NULL;
    if (!g_file_get_contents(path, &text, NULL, NULL))
        fail(path);
    g_auto(GStrv) lines = g_strsplit(g_strchomp(text), "\n", MAX_FDS);
    for (char **l = lines; *l && **l; l++) {
        char *space = strchr(*l, ' ');
        m->targets[m->n_files] = atoi(*l);
        m->paths[m->n_files++] = g_strdup(space + 1);
    }
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

static int listen_at(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    g_strlcpy(a.sun_path, path, sizeof(a.sun_path));
    unlink(path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 1) < 0)
        fail(path);
    return fd;
}

static int connect_to(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    g_strlcpy(a.sun_path, path, sizeof(a.sun_path));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
        fail(path);
    return fd;
}

static void spawn_machine(Machine *m)
{
    g_autofree char *path = g_strdup_printf("%s/%u.sock", directory, (unsigned)(m - machines));
    int low = listen_at(path), listener = fcntl(low, F_DUPFD_CLOEXEC, HIGH_FD);
    close(low);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDWR, 0);
    posix_spawn_file_actions_adddup2(&actions, 0, 1);
    posix_spawn_file_actions_adddup2(&actions, 0, 2);
    posix_spawn_file_actions_adddup2(&actions, listener, m->monitor_target);
    for (unsigned i = 0; i < m->n_files; i++) {
        int fd = open(m->paths[i], O_RDWR | O_CLOEXEC);
        if (fd < 0)
            fail(m->paths[i]);
        m->files[i] = fcntl(fd, F_DUPFD_CLOEXEC, HIGH_FD);
        close(fd);
        posix_spawn_file_actions_adddup2(&actions, m->files[i], m->targets[i]);
    }
    /* A session of its own, as a daemon gives it: the kernel's scheduler shares the CPUs among sessions first. */
    posix_spawnattr_t attr;
    posix_spawnattr_init(&attr);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSID);
    int r = posix_spawn(&m->pid, m->argv[0], &actions, &attr, m->argv, environ);
    posix_spawnattr_destroy(&attr);
    if (r != 0) {
        errno = r;
        fail(m->argv[0]);
    }
    posix_spawn_file_actions_destroy(&actions);
    close(listener);
    for (unsigned i = 0; i < m->n_files; i++)
        close(m->files[i]);
    m->sock = connect_to(path);
    if (!m->in)
        m->in = g_string_new(NULL);
    g_string_truncate(m->in, 0);
    m->answers = 0;
    m->wanted = 3; /* the greeting, two answers */
    static const char words[] = "{\"execute\":\"qmp_capabilities\"}\n{\"execute\":\"cont\"}\n";
    if (write(m->sock, words, sizeof(words) - 1) != (ssize_t)sizeof(words) - 1)
        fail("write");
}

/* Reads what has come; counts lines that are no events. */
static void read_machine(Machine *m)
{
    char buf[65536];
    ssize_t n = read(m->sock, buf, sizeof(buf));
    if (n <= 0) {
        fprintf(stderr, "machine %u closed its monitor\n", (unsigned)(m - machines));
        exit(EXIT_FAILURE);
    }
    g_string_append_len(m->in, buf, n);
    char *end;
    while ((end = memchr(m->in->str, '\n', m->in->len))) {
        *end = '\0';
        if (strstr(m->in->str, "\"event\":") == NULL)
            m->answers++;
        g_string_erase(m->in, 0, end + 1 - m->in->str);
    }
}

static void wait_for(Machine *first, unsigned n)
{
    static struct pollfd p[MAX_MACHINES];
    for (;;) {
        nfds_t k = 0;
        static Machine *of[MAX_MACHINES];
        for (unsigned i = 0; i < n; i++) {
            if (first[i].answers >= first[i].wanted)
                continue;
            of[k] = &first[i];
            p[k++] = (struct pollfd){.fd = first[i].sock, .events = POLLIN};
        }
        if (k == 0)
            return;
        if (poll(p, k, 60000) <= 0)
            fail("no answer in 60 s");
        for (nfds_t i = 0; i < k; i++) {
            if (p[i].revents)
                read_machine(of[i]);
        }
    }
}

static void kill_machine(Machine *m, int sig)
{
    kill(m->pid, sig);
}

static void reap_machine(Machine *m)
{
    if (waitpid(m->pid, NULL, 0) != m->pid)
        fail("waitpid");
    close(m->sock);
}

/* ---- commands ---------------------------------------------------------------------------------------------------- */

static void do_one(unsigned nr)
{
    Machine *m = &machines[nr];
    uint64_t a = now_ns();
    spawn_machine(m);
    wait_for(m, 1);
    uint64_t b = now_ns();
    kill_machine(m, SIGTERM);
    reap_machine(m);
    uint64_t c = now_ns();
    printf("%llu %llu\n", (unsigned long long)(b - a), (unsigned long long)(c - b));
}

static uint64_t do_all(void)
{
    uint64_t a = now_ns();
    for (unsigned i = 0; i < n_machines; i++)
        spawn_machine(&machines[i]);
    wait_for(machines, n_machines);
    return now_ns() - a;
}

static uint64_t do_ask(const char *path)
{
    g_autofree char *text = NULL;
    gsize len;
    if (!g_file_get_contents(path, &text, &len, NULL))
        fail(path);
    unsigned lines = 0;
    for (gsize i = 0; i < len; i++)
        lines += text[i] == '\n';
    uint64_t a = now_ns();
    for (unsigned i = 0; i < n_machines; i++) {
        machines[i].wanted = machines[i].answers + lines;
        if (write(machines[i].sock, text, len) != (ssize_t)len)
            fail("write");
    }
    wait_for(machines, n_machines);
    return now_ns() - a;
}

static uint64_t do_again(void)
{
    static const char words[] = "{\"execute\":\"qmp_capabilities\"}\n{\"execute\":\"query-status\"}\n";
    for (unsigned i = 0; i < n_machines; i++)
        close(machines[i].sock);
    uint64_t a = now_ns();
    for (unsigned i = 0; i < n_machines; i++) {
        Machine *m = &machines[i];
        g_autofree char *path = g_strdup_printf("%s/%u.sock", directory, i);
        m->sock = connect_to(path);
        g_string_truncate(m->in, 0);
        m->wanted = m->answers + 3;
        if (write(m->sock, words, sizeof(words) - 1) != (ssize_t)sizeof(words) - 1)
            fail("write");
    }
    wait_for(machines, n_machines);
    return now_ns() - a;
}

static uint64_t do_kill(void)
{
    uint64_t a = now_ns();
    for (unsigned i = 0; i < n_machines; i++)
        kill_machine(&machines[i], SIGKILL);
    for (unsigned i = 0; i < n_machines; i++)
        reap_machine(&machines[i]);
    return now_ns() - a;
}

int main(int argc, char **argv)
{
    if (argc != 3 || atoi(argv[2]) < 1 || atoi(argv[2]) > MAX_MACHINES) {
        fprintf(stderr, "usage: vm_bare DIRECTORY COUNT\n");
        return EXIT_FAILURE;
    }
    directory = argv[1];
    n_machines = (unsigned)atoi(argv[2]);
    for (unsigned i = 0; i < n_machines; i++) {
        load_argv(&machines[i], i);
        load_fds(&machines[i], i);
    }
    char line[4096];
    while (fgets(line, sizeof(line), stdin)) {
        g_strchomp(line);
        if (g_str_has_prefix(line, "one "))
            do_one((unsigned)atoi(line + 4));
        else if (strcmp(line, "all") == 0)
            printf("%llu\n", (unsigned long long)do_all());
        else if (g_str_has_prefix(line, "ask "))
            printf("%llu\n", (unsigned long long)do_ask(line + 4));
        else if (strcmp(line, "again") == 0)
            printf("%llu\n", (unsigned long long)do_again());
        else if (strcmp(line, "kill") == 0)
            printf("%llu\n", (unsigned long long)do_kill());
        else
            printf("what?\n");
        fflush(stdout);
    }
    return EXIT_SUCCESS;
}
