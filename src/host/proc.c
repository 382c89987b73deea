/* host/proc.c - what a process uses, from /proc
 *
 * Owns:    nothing
 * Threads: any
 * Locks:   none
 * Errors:  negative errno
 */
#include "config.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "util/file.h"
#include "host/hostfs.h"
#include "host/proc.h"

/* Positions in /proc/PID/stat as proc(5) counts them; the name in parentheses may hold anything, so counting starts
 * behind it. */
enum {
    STAT_STATE = 3,
    STAT_UTIME = 14,
    STAT_STIME = 15,
    STAT_START_TIME = 22,
    STAT_RSS = 24,
    STAT_PROCESSOR = 39,
};

#define BOOT_ID       "/proc/sys/kernel/random/boot_id"
#define BOOT_ID_BYTES 64u

const char *host_boot_id(void)
{
    static char *known; /* once for all */
    char *id = g_atomic_pointer_get(&known);
    if (id)
        return id;
    g_autofree char *text = NULL;
    size_t len;
    if (file_read(BOOT_ID, BOOT_ID_BYTES, &text, &len) < 0 || !*g_strchomp(text))
        return NULL;
    if (g_atomic_pointer_compare_and_exchange(&known, NULL, text))
        return g_steal_pointer(&text);
    return g_atomic_pointer_get(&known);
}

static int no_process(int r)
{
    return r == -ENOENT || r == -ENOTDIR ? -ESRCH : r;
}

/* One number of the text of a stat file. */
static int stat_field(const char *text, int field, unsigned long long *ret)
{
    const char *at = strrchr(text, ')');
    if (!at)
        return -EBADMSG;
    at++;
    for (int i = STAT_STATE; i <= field; i++) {
        if (*at != ' ')
            return -EBADMSG;
        at++;
        if (i < field)
            at += strcspn(at, " ");
    }
    if (!text_number(&at, ret) || (*at && *at != ' '))
        return -EBADMSG;
    return 0;
}

static unsigned long long ticks_to_ns(unsigned long long ticks)
{
    long hz = sysconf(_SC_CLK_TCK);
    unsigned long long tick = 1000000000ULL / (hz > 0 ? (unsigned long long)hz : 100);
    return ticks > ULLONG_MAX / 4 / tick ? ULLONG_MAX / 4 : ticks * tick;
}

#define LINE_SIZE 1024u /* a stat line has 52 numbers and a name of 64 bytes at most */

static int read_stat(pid_t pid, pid_t tid, char text[LINE_SIZE])
{
    if (pid <= 0 || tid < 0)
        return -ESRCH;
    if (tid)
        return no_process(hostfs_read_short(text, LINE_SIZE, "/proc/%d/task/%d/stat", (int)pid, (int)tid));
    return no_process(hostfs_read_short(text, LINE_SIZE, "/proc/%d/stat", (int)pid));
}

static int cpu_of(const char *text, HostCpuTime *ret)
{
    unsigned long long user, sys;
    int r = stat_field(text, STAT_UTIME, &user);
    if (r < 0 || (r = stat_field(text, STAT_STIME, &sys)) < 0)
        return r;
    ret->user_ns = ticks_to_ns(user);
    ret->system_ns = ticks_to_ns(sys);
    ret->total_ns = ret->user_ns + ret->system_ns;
    return 0;
}

static int rss_of(const char *text, unsigned long long *ret)
{
    unsigned long long pages, page_kib = (unsigned long long)sysconf(_SC_PAGESIZE) / 1024;
    int r = stat_field(text, STAT_RSS, &pages);
    if (r < 0)
        return r;
    if (pages > ULLONG_MAX / page_kib)
        return -EBADMSG;
    *ret = pages * page_kib;
    return 0;
}

int host_process_cpu(pid_t pid, HostCpuTime *ret)
{
    char text[LINE_SIZE];
    int r = read_stat(pid, 0, text);
    return r < 0 ? r : cpu_of(text, ret);
}

int host_process_usage(pid_t pid, HostCpuTime *ret_cpu, unsigned long long *ret_rss_kib)
{
    char text[LINE_SIZE];
    HostCpuTime cpu;
    int r = read_stat(pid, 0, text);
    if (r < 0 || (r = cpu_of(text, &cpu)) < 0 || (r = rss_of(text, ret_rss_kib)) < 0)
        return r;
    *ret_cpu = cpu;
    return 0;
}

bool host_process_can_answer(pid_t pid)
{
    char text[LINE_SIZE];
    /* the main thread's own file: the kernel need not add up all threads for it */
    if (read_stat(pid, pid, text) < 0)
        return true;
    const char *at = strrchr(text, ')');
    return !at || at[1] != ' ' || strchr("RSI", at[2]);
}

int host_thread_stat(pid_t pid, pid_t tid, unsigned long long *ret_ns, int *ret_cpu)
{
    char text[LINE_SIZE];
    unsigned long long user, sys, cpu;
    if (tid <= 0)
        return -ESRCH;
    int r = read_stat(pid, tid, text);
    if (r < 0 || (r = stat_field(text, STAT_UTIME, &user)) < 0 || (r = stat_field(text, STAT_STIME, &sys)) < 0 ||
        (r = stat_field(text, STAT_PROCESSOR, &cpu)) < 0)
        return r;
    if (cpu > INT_MAX)
        return -EBADMSG;
    *ret_ns = ticks_to_ns(user) + ticks_to_ns(sys);
    *ret_cpu = (int)cpu;
    return 0;
}

int host_thread_sched(pid_t pid, pid_t tid, unsigned long long *ret_run_ns, unsigned long long *ret_delay_ns)
{
    char text[LINE_SIZE];
    unsigned long long run, wait;
    if (pid <= 0 || tid <= 0)
        return -ESRCH;
    int r = no_process(hostfs_read_short(text, sizeof(text), "/proc/%d/task/%d/schedstat", (int)pid, (int)tid));
    if (r < 0)
        return r;
    const char *at = text;
    if (!text_number(&at, &run) || *at++ != ' ' || !text_number(&at, &wait))
        return -EBADMSG;
    if (run == 0) /* a thread that exists has run: nobody counts */
        return -ENOTSUP;
    *ret_run_ns = run;
    *ret_delay_ns = wait;
    return 0;
}

int host_process_rss_kib(pid_t pid, unsigned long long *ret)
{
    char text[LINE_SIZE];
    int r = read_stat(pid, 0, text);
    return r < 0 ? r : rss_of(text, ret);
}

int host_process_start_time(pid_t pid, unsigned long long *ret)
{
    char text[LINE_SIZE];
    int r = read_stat(pid, 0, text);
    return r < 0 ? r : stat_field(text, STAT_START_TIME, ret);
}
