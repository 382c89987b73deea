/* tests/lib/stub_qemu.c - an emulator that emulates nothing, given as <emulator>
 *
 * Why a stub is allowed: it stands in for scale only. Five hundred real QEMUs do not fit a small machine, and what is looked at is the daemon
 * with five hundred monitors, processes and definitions.  What a guest does is never tested with it.
 *
 * Owns:    a QMP server on the descriptor of -chardev socket,id=charmonitor,fd=N; the answers of a small running machine
 * Threads: one
 *
 * Asked what it can do (-machine none) it becomes the real QEMU, so capabilities are the real ones.  Otherwise it speaks QMP: greeting,
 * negotiation, answers by id in order, QEMU's errors for commands it does not know, RESUME, STOP and SHUTDOWN events with time stamps; one
 * client at a time, and another after it, as QEMU does.  SIGTERM ends it with a SHUTDOWN event, SIGUSR1 makes it say RTC_CHANGE.
 */
#include "config.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>

#include "base.h"

#define REAL_QEMU "/usr/bin/qemu-system-x86_64"
#define LINE_MAX_BYTES 65536

static int client = -1;
static bool negotiated, running;
static const char *uuid = "";
static long memory_mib = 128;

static void say(json_t *message)
{
    char *text = json_dumps(message, JSON_COMPACT);
    json_decref(message);
    size_t len = strlen(text);
    text[len++] = '\n'; /* in place of the end */
    for (size_t at = 0; client >= 0 && at < len;) {
        ssize_t n = send(client, text + at, len - at, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            break;
        at += (size_t)n;
    }
    free(text);
}

static void event(const char *name, json_t *data)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    json_t *e = json_pack("{s:{s:I,s:I},s:s}", "timestamp", "seconds", (json_int_t)t.tv_sec, "microseconds", (json_int_t)t.tv_nsec / 1000,
                          "event", name);
    if (data)
        json_object_set_new(e, "data", data);
    if (negotiated)
        say(e);
    else
        json_decref(e);
}

static void set_running(bool now)
{
    if (now != running)
        event(now ? "RESUME" : "STOP", NULL);
    running = now;
}

/* ---- answers ----------------------------------------------------------------------------------------------------- */

static json_t *nothing(json_t *args)
{
    return json_object();
}

static json_t *no_list(json_t *args)
{
    return json_array();
}

static json_t *cont(json_t *args)
{
    set_running(true);
    return json_object();
}

static json_t *stop(json_t *args)
{
    set_running(false);
    return json_object();
}

static json_t *query_status(json_t *args)
{
    return json_pack("{s:s,s:b,s:b}", "status", running ? "running" : "paused", "singlestep", 0, "running", running);
}

static json_t *query_uuid(json_t *args)
{
    return json_pack("{s:s}", "UUID", uuid);
}

static json_t *query_cpus(json_t *args)
{
    return json_pack("[{s:i,s:i,s:s,s:s,s:{}}]", "cpu-index", 0, "thread-id", (int)getpid(), "qom-path", "/machine/unattached/device[0]",
                     "target", "x86_64", "props");
}

static json_t *query_balloon(json_t *args)
{
    return json_pack("{s:I}", "actual", (json_int_t)memory_mib << 20);
}

static json_t *query_dirty_rate(json_t *args)
{
    return json_pack("{s:s,s:i,s:i,s:i,s:s}", "status", "unstarted", "sample-pages", 512, "start-time", 0, "calc-time", 0, "mode",
                     "page-sampling");
}

static json_t *qom_get(json_t *args)
{
    return json_pack("{s:{s:I,s:I},s:i}", "stats", "stat-free-memory", (json_int_t)-1, "stat-total-memory", (json_int_t)-1, "last-update", 0);
}

static json_t *system_powerdown(json_t *args)
{
    event("SHUTDOWN", json_pack("{s:b,s:s}", "guest", 1, "reason", "guest-shutdown"));
    set_running(false);
    return json_object();
}

static const struct {
    const char *name;
    json_t *(*answer)(json_t *args);
} commands[] = {
    {"cont", cont},
    {"stop", stop},
    {"query-status", query_status},
    {"query-uuid", query_uuid},
    {"query-cpus-fast", query_cpus},
    {"query-balloon", query_balloon},
    {"query-chardev", no_list},
    {"query-block", no_list},
    {"query-blockstats", no_list},
    {"query-named-block-nodes", no_list},
    {"query-block-jobs", no_list},
    {"query-jobs", no_list},
    {"query-pci", no_list},
    {"qom-list", no_list},
    {"query-iothreads", no_list},
    {"query-memory-devices", no_list},
    {"query-dirty-rate", query_dirty_rate},
    {"qom-get", qom_get},
    {"qom-set", nothing},
    {"set-action", nothing},
    {"set_link", nothing},
    {"balloon", nothing},
    {"system_reset", nothing},
    {"system_powerdown", system_powerdown},
};

static void answer(const char *line)
{
    json_error_t wrong;
    json_t *command = json_loads(line, 0, &wrong), *reply;
    const char *name = json_string_value(json_object_get(command, "execute"));
    json_t *result = NULL;
    if (name && strcmp(name, "qmp_capabilities") == 0) {
        negotiated = true;
        result = json_object();
    }
    for (size_t i = 0; name && !result && negotiated && i < N_ELEMENTS(commands); i++) {
        if (strcmp(name, commands[i].name) == 0)
            result = commands[i].answer(json_object_get(command, "arguments"));
    }
    if (result)
        reply = json_pack("{s:o}", "return", result);
    else
        reply = json_pack("{s:{s:s,s:s}}", "error", "class", name ? "CommandNotFound" : "GenericError", "desc",
                          name ? "The command has not been found" : "Invalid JSON syntax");
    if (json_object_get(command, "id"))
        json_object_set(reply, "id", json_object_get(command, "id"));
    json_decref(command);
    say(reply);
}

/* ---- the socket -------------------------------------------------------------------------------------------------- */

static void hang_up(void)
{
    close(client);
    client = -1;
    negotiated = false;
}

static void read_client(void)
{
    static char line[LINE_MAX_BYTES];
    static size_t len;
    ssize_t n = recv(client, line + len, sizeof(line) - 1 - len, 0);
    if (n <= 0 || len + (size_t)n >= sizeof(line) - 1) {
        len = 0;
        hang_up();
        return;
    }
    len += (size_t)n;
    char *from = line, *end;
    while (client >= 0 && (end = memchr(from, '\n', len - (size_t)(from - line)))) {
        *end = '\0';
        answer(from);
        from = end + 1;
    }
    len -= (size_t)(from - line);
    memmove(line, from, len);
}

static void take_client(int listener)
{
    client = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (client >= 0)
        say(json_pack("{s:{s:{s:{s:i,s:i,s:i},s:s},s:[s]}}", "QMP", "version", "qemu", "micro", 22, "minor", 2, "major", 7, "package", "stub",
                      "capabilities", "oob"));
}

static void __attribute__((noreturn)) serve(int listener)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    int signals = signalfd(-1, &set, SFD_CLOEXEC);
    for (;;) {
        struct pollfd p[] = {{signals, POLLIN, 0}, {client >= 0 ? client : listener, POLLIN, 0}};
        if (poll(p, 2, -1) < 0 && errno != EINTR)
            exit(EXIT_FAILURE);
        struct signalfd_siginfo si;
        if (p[0].revents && read(signals, &si, sizeof(si)) == (ssize_t)sizeof(si)) {
            if (si.ssi_signo == SIGTERM) {
                event("SHUTDOWN", json_pack("{s:b,s:s}", "guest", 0, "reason", "host-signal"));
                exit(EXIT_SUCCESS);
            }
            event("RTC_CHANGE", json_pack("{s:i,s:s}", "offset", 1, "qom-path", "/machine/unattached/device[3]"));
        }
        if (p[1].revents && client >= 0)
            read_client();
        else if (p[1].revents)
            take_client(listener);
    }
}

int main(int argc, char **argv)
{
    int listener = -1;
    bool paused = false;
    for (int i = 1; i < argc; i++) {
        const char *next = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(argv[i], "-machine") == 0 && strncmp(next, "none", 4) == 0) {
            argv[0] = (char *)(uintptr_t)REAL_QEMU;
            execv(REAL_QEMU, argv);
            perror(REAL_QEMU);
            return EXIT_FAILURE;
        }
        if (strcmp(argv[i], "-chardev") == 0 && strncmp(next, "socket,id=charmonitor,fd=", 25) == 0)
            listener = atoi(next + 25);
        else if (strcmp(argv[i], "-uuid") == 0)
            uuid = next;
        else if (strcmp(argv[i], "-m") == 0)
            memory_mib = atol(next);
        else if (strcmp(argv[i], "-S") == 0)
            paused = true;
    }
    if (listener < 0) {
        fprintf(stderr, "stub_qemu: no monitor with a descriptor\n");
        return EXIT_FAILURE;
    }
    running = !paused;
    serve(listener);
}
