/* tools/berth_jobs.c - berth-jobs: block jobs that run, how others ended, and a pivot that waits for its job
 *
 * Owns:    the table on the terminal
 * Threads: one
 * Errors:  stderr; status 1
 */
#include "config.h"

#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "api_enums.h"
#include "protocol/berth_protocol.h"
#include "protocol/remote_protocol.h"
#include "tools/client.h"

#define BAR 24

typedef struct Options {
    const char *socket, *uri, *domain;
    unsigned flags; /* BERTH_BLOCK_JOBS_* */
    bool once;
    const char *disk; /* to be pivoted; NULL: jobs are shown */
    unsigned wait_s;
} Options;

static volatile sig_atomic_t interrupted;

static void on_signal(int sig)
{
    interrupted = 1;
}

/* ---- one line -------------------------------------------------------------------------------------------------------------- */

/* Names come from clients: nothing of them may steer the terminal. */
static void put_text(const char *s, int width)
{
    int n = 0;
    for (const unsigned char *p = (const unsigned char *)s; *p; p++, n++)
        putchar(*p < 0x20 || *p == 0x7f ? '?' : *p);
    for (; n < width; n++)
        putchar(' ');
    putchar(' ');
}

static void put_time(uint64_t us)
{
    time_t t = (time_t)(us / 1000000);
    struct tm tm;
    char text[32];
    if (!localtime_r(&t, &tm) || strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm) == 0)
        g_strlcpy(text, "-", sizeof(text));
    put_text(text, 19);
}

static void put_bytes(uint64_t n)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    unsigned u = 0;
    double v = (double)n;
    for (; v >= 1024 && u + 1 < N_ELEMENTS(units); u++)
        v /= 1024;
    printf(u ? "%.1f %s" : "%.0f %s", v, units[u]);
}

static void put_bar(const berth_block_job *j)
{
    double part = j->end ? (double)j->cur / (double)j->end : 0;
    int full = (int)(MIN(part, 1.0) * BAR);
    putchar('[');
    for (int i = 0; i < BAR; i++)
        putchar(i < full ? '#' : '.');
    printf("] %3d%% ", (int)(MIN(part, 1.0) * 100));
    put_bytes(j->cur);
    fputs(" of ", stdout);
    put_bytes(j->end);
}

static const char *state_word(const berth_block_job *j)
{
    static const char *const words[] = {"starting", "running", "ready", "pivoting", "aborting"};
    if (j->state >= 0 && (size_t)j->state < N_ELEMENTS(words))
        return words[j->state];
    return j->status == VIR_DOMAIN_BLOCK_JOB_COMPLETED  ? "completed"
           : j->status == VIR_DOMAIN_BLOCK_JOB_CANCELED ? "cancelled"
           : j->status == VIR_DOMAIN_BLOCK_JOB_FAILED   ? "failed"
                                                        : "ended";
}

static void put_job(const char *domain, const berth_block_job *j)
{
    put_text(domain, 16);
    put_text(j->disk, 6);
    put_text(j->kind, 14);
    put_text(state_word(j), 10);
    put_time(j->begun);
    if (j->state == BERTH_BLOCK_JOB_ENDED) {
        put_time(j->ended);
        put_bytes(j->cur);
        if (j->error) {
            fputs(": ", stdout);
            put_text(*j->error, 0);
        }
    } else {
        put_bar(j);
    }
    putchar('\n');
}

/* ---- all ------------------------------------------------------------------------------------------------------------------- */

/* What is known of one machine: its last message, or what it had when we came. */
static void free_machine(void *p)
{
    xdr_free((xdrproc_t)xdr_berth_block_job_progress_msg, p);
    free(p);
}

static int put_jobs(const berth_block_job_progress_msg *m, bool ended)
{
    int n = 0;
    for (unsigned i = 0; i < m->jobs.jobs_len; i++) {
        const berth_block_job *j = &m->jobs.jobs_val[i];
        if ((j->state == BERTH_BLOCK_JOB_ENDED) != ended)
            continue;
        put_job(m->dom.name, j);
        n++;
    }
    return n;
}

/* A job may end between the question for those that run and the one for those that have ended. */
static void drop_twice(berth_block_job_progress_msg *m)
{
    for (unsigned i = 0; i < m->jobs.jobs_len; i++) {
        berth_block_job *j = &m->jobs.jobs_val[i];
        for (unsigned k = 0; k < m->jobs.jobs_len && j->state != BERTH_BLOCK_JOB_ENDED; k++) {
            const berth_block_job *o = &m->jobs.jobs_val[k];
            if (o->state != BERTH_BLOCK_JOB_ENDED || o->begun != j->begun || strcmp(o->id, j->id) != 0)
                continue;
            xdr_free((xdrproc_t)xdr_berth_block_job, (char *)j);
            *j = m->jobs.jobs_val[--m->jobs.jobs_len];
            i--;
            break;
        }
    }
}

/* Keeps a message (its members move) as what is known of its machine. */
static void keep(GHashTable *machines, berth_block_job_progress_msg *msg)
{
    berth_block_job_progress_msg *m = calloc(1, sizeof(*m));
    *m = *msg;
    drop_twice(m);
    g_hash_table_replace(machines, m->dom.uuid, m);
}

static int load_domain(Client *c, const Options *o, const remote_nonnull_domain *dom, GHashTable *machines)
{
    berth_domain_list_block_jobs_args args = {.dom = *dom, .flags = o->flags};
    berth_domain_list_block_jobs_ret ret = {0};
    if (client_call(c, BERTH_PROGRAM, BERTH_PROC_DOMAIN_LIST_BLOCK_JOBS, &args, &ret) < 0)
        return -1;
    berth_block_job_progress_msg m = {.dom = *dom, .jobs = {.jobs_len = ret.jobs.jobs_len, .jobs_val = ret.jobs.jobs_val}};
    m.dom.name = strdup(dom->name);
    keep(machines, &m);
    return put_jobs(g_hash_table_lookup(machines, dom->uuid), true);
}

/* Prints those that have ended, and keeps all. */
static int load(Client *c, const Options *o, GHashTable *machines)
{
    remote_connect_list_all_domains_args args = {.need_results = 1};
    remote_connect_list_all_domains_ret ret = {0};
    int r = client_call(c, REMOTE_PROGRAM, REMOTE_PROC_CONNECT_LIST_ALL_DOMAINS, &args, &ret);
    bool found = false;
    for (unsigned i = 0; r == 0 && i < ret.domains.domains_len; i++) {
        const remote_nonnull_domain *dom = &ret.domains.domains_val[i];
        if (o->domain && strcmp(o->domain, dom->name) != 0)
            continue;
        found = true;
        load_domain(c, o, dom, machines); /* one that is gone by now has said so */
    }
    if (r == 0)
        client_free_ret(REMOTE_PROGRAM, REMOTE_PROC_CONNECT_LIST_ALL_DOMAINS, &ret);
    if (r == 0 && o->domain && !found) {
        fprintf(stderr, "berth-jobs: there is no machine '%s'\n", o->domain);
        r = -1;
    }
    return r;
}

/* Those that run; returns how many. */
static int put_running(GHashTable *machines)
{
    GHashTableIter it;
    berth_block_job_progress_msg *m;
    int n = 0;
    g_hash_table_iter_init(&it, machines);
    while (g_hash_table_iter_next(&it, NULL, (void **)&m))
        n += put_jobs(m, false);
    fflush(stdout);
    return n;
}

/* Redraws what runs with every message, those that ended stay above it; until nothing runs any more. */
static int follow(Client *c, const Options *o, GHashTable *machines, int lines)
{
    while (lines > 0 && !interrupted) {
        berth_block_job_progress_msg msg = {0};
        int r = client_event(c, BERTH_PROGRAM, BERTH_PROC_BLOCK_JOB_PROGRESS, (xdrproc_t)xdr_berth_block_job_progress_msg, &msg);
        if (r < 0)
            return -1;
        if (r == 0)
            continue;
        bool known = g_hash_table_contains(machines, msg.dom.uuid);
        if (o->domain && !known) { /* somebody else's */
            xdr_free((xdrproc_t)xdr_berth_block_job_progress_msg, &msg);
            continue;
        }
        printf("\033[%dA\033[J", lines); /* up to the first line, and clear from there */
        keep(machines, &msg);
        if (o->flags != BERTH_BLOCK_JOBS_RUNNING)
            put_jobs(g_hash_table_lookup(machines, msg.dom.uuid), true);
        lines = put_running(machines);
    }
    return 0;
}

static guint hash_uuid(const void *uuid)
{
    guint h;
    memcpy(&h, uuid, sizeof(h));
    return h;
}

static gboolean same_uuid(const void *a, const void *b)
{
    return memcmp(a, b, VIR_UUID_BUFLEN) == 0;
}

/* Until nothing runs any more, on a terminal; elsewhere once. */
static int run(Client *c, const Options *o)
{
    bool live = !o->once && isatty(STDOUT_FILENO) && o->flags != BERTH_BLOCK_JOBS_ENDED;
    berth_connect_block_job_progress_register_args args = {0};
    berth_connect_block_job_progress_register_ret ret = {0};
    if (live && client_call(c, BERTH_PROGRAM, BERTH_PROC_CONNECT_BLOCK_JOB_PROGRESS_REGISTER, &args, &ret) < 0)
        return -1;
    GHashTable *machines = g_hash_table_new_full(hash_uuid, same_uuid, NULL, free_machine);
    int r = load(c, o, machines);
    int lines = r == 0 ? put_running(machines) : 0;
    if (r == 0 && live)
        r = follow(c, o, machines, lines);
    g_hash_table_unref(machines);
    return r;
}

/* ---- the pivot ------------------------------------------------------------------------------------------------------------- */

static int pivot(Client *c, const Options *o)
{
    remote_domain_lookup_by_name_args by_name = {.name = (char *)(uintptr_t)o->domain};
    remote_domain_lookup_by_name_ret found = {0};
    if (client_call(c, REMOTE_PROGRAM, REMOTE_PROC_DOMAIN_LOOKUP_BY_NAME, &by_name, &found) < 0)
        return -1;
    berth_domain_block_job_pivot_args args = {.dom = found.dom, .disk = (char *)(uintptr_t)o->disk, .timeout_ms = o->wait_s * 1000};
    int r = client_call(c, BERTH_PROGRAM, BERTH_PROC_DOMAIN_BLOCK_JOB_PIVOT, &args, NULL);
    client_free_ret(REMOTE_PROGRAM, REMOTE_PROC_DOMAIN_LOOKUP_BY_NAME, &found);
    return r;
}

/* ---- the command line ------------------------------------------------------------------------------------------------------ */

static void usage(FILE *out)
{
    fputs("usage: berth-jobs [-re1] [-s SOCKET] [-c URI] [DOMAIN]\n"
          "       berth-jobs [-w SECONDS] [-s SOCKET] [-c URI] pivot DOMAIN DISK\n"
          "  -r, --running      only jobs that run\n"
          "  -e, --ended        only jobs that have ended\n"
          "  -1, --once         do not follow running jobs, also on a terminal\n"
          "  -w, --wait SECONDS pivot as soon as the job is ready, within this time (0, at most 600)\n"
          "  -s, --socket PATH  of the daemon (" RUNSTATEDIR "/libvirt/libvirt-sock-ro; to pivot, libvirt-sock there)\n"
          "  -c, --connect URI  qemu:///system unless told otherwise\n"
          "  -V, --version, -h, --help\n",
          out);
}

static bool take_wait(Options *o, const char *text)
{
    guint64 n;
    if (!g_ascii_string_to_unsigned(text, 10, 0, BERTH_BLOCK_JOB_PIVOT_MS_MAX / 1000, &n, NULL)) {
        fprintf(stderr, "berth-jobs: --wait takes seconds, 0 to %d, not '%s'\n", BERTH_BLOCK_JOB_PIVOT_MS_MAX / 1000, text);
        return false;
    }
    o->wait_s = (unsigned)n;
    return true;
}

/* [DOMAIN], or pivot DOMAIN DISK.  A machine may have the name "pivot". */
static bool take_words(Options *o, char **words, int n, bool waits)
{
    bool listing = n <= 1 && !waits, pivoting = n == 3 && strcmp(words[0], "pivot") == 0 && !o->flags && !o->once;
    if (!listing && !pivoting)
        return false;
    o->domain = words[pivoting]; /* NULL behind the last */
    o->disk = pivoting ? words[2] : NULL;
    if (!o->socket)
        o->socket = pivoting ? RUNSTATEDIR "/libvirt/libvirt-sock" : RUNSTATEDIR "/libvirt/libvirt-sock-ro";
    return true;
}

int main(int argc, char **argv)
{
    static const struct option longs[] = {{"running", no_argument, NULL, 'r'},       {"ended", no_argument, NULL, 'e'},
                                          {"once", no_argument, NULL, '1'},          {"socket", required_argument, NULL, 's'},
                                          {"connect", required_argument, NULL, 'c'}, {"wait", required_argument, NULL, 'w'},
                                          {"version", no_argument, NULL, 'V'},       {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    Options o = {.uri = "qemu:///system"};
    bool waits = false;
    for (int k; (k = getopt_long(argc, argv, "re1s:c:w:Vh", longs, NULL)) >= 0;) {
        switch (k) {
        case 'r':
            o.flags |= BERTH_BLOCK_JOBS_RUNNING;
            break;
        case 'e':
            o.flags |= BERTH_BLOCK_JOBS_ENDED;
            break;
        case '1':
            o.once = true;
            break;
        case 's':
            o.socket = optarg;
            break;
        case 'c':
            o.uri = optarg;
            break;
        case 'w':
            if (!take_wait(&o, optarg))
                return EXIT_FAILURE;
            waits = true;
            break;
        case 'V':
            puts(PACKAGE_STRING);
            return EXIT_SUCCESS;
        case 'h':
            usage(stdout);
            return EXIT_SUCCESS;
        default:
            usage(stderr);
            return EXIT_FAILURE;
        }
    }
    if (!take_words(&o, argv + optind, argc - optind, waits)) {
        usage(stderr);
        return EXIT_FAILURE;
    }
    if (!o.disk)
        signal(SIGINT, on_signal);
    Client *c = client_open(o.socket, o.uri, !o.disk);
    int r = c ? (o.disk ? pivot(c, &o) : run(c, &o)) : -1;
    client_close(c);
    return r == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
