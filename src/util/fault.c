/* util/fault.c - points where a test can make things go wrong
 *
 * Owns:    the mapping of the test's control file; which point fires
 * Threads: any, and children between clone and exec: system calls and atomics only, no allocation, no lock of ours
 * Locks:   a spin word in the shared mapping, around the list of points seen; held for a search of a short list
 * Errors:  none; without a usable file no point fires
 *
 * The file is a struct shared with the test.  In RECORD mode each point passed is noted once, with how often; in INJECT mode the points
 * whose name matches the pattern are counted, and the Nth (or all from the Nth on) fires.
 */
#include "config.h"

#ifdef ENABLE_FAULTS

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "util/fault.h"

#define MAGIC      0x544c4642u
#define NAME_SIZE  252
#define ENTRIES    2048
#define RANDOM_LEN 6 /* what mkostemp fills in */

enum { MODE_OFF, MODE_RECORD, MODE_INJECT };

typedef struct Seen {
    uint32_t count;
    char name[NAME_SIZE];
} Seen;

/* tests/lib/faults.py knows this layout. */
typedef struct Control {
    uint32_t magic;
    _Atomic uint32_t mode;
    uint32_t nth, persistent, action;
    int32_t error; /* 0: what is usual for the call */
    int32_t daemon_pid, qemu_pid, newest_child;
    _Atomic uint32_t matches, fired;
    atomic_flag busy;
    uint8_t pad[3];
    uint32_t n_seen;
    uint32_t reserved[3];
    char pattern[192];
    char fired_name[256];
    Seen seen[ENTRIES];
} Control;

static Control *ctl;
static __thread bool stopped; /* this thread has stopped QEMU: its next command will not be answered */

__attribute__((constructor)) static void fault_setup(void)
{
    const char *path = getenv("BERTH_FAULTS");
    if (!path)
        return;
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0);
    if (fd < 0)
        return;
    Control *c = mmap(NULL, sizeof(Control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    syscall(SYS_close, fd);
    if (c == MAP_FAILED || c->magic != MAGIC)
        return;
    c->daemon_pid = getpid();
    ctl = c;
}

/* '*' is any text. */
static bool matches(const char *pattern, const char *s)
{
    const char *star = NULL, *back = NULL;
    while (*s) {
        if (*pattern == '*') {
            star = pattern++;
            back = s;
        } else if (*pattern == *s) {
            pattern++;
            s++;
        } else if (star) {
            pattern = star + 1;
            s = ++back;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return *pattern == '\0';
}

static bool is_alnum(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/* "KIND:DETAIL" without what differs from run to run: numbers, and the random end of a temporary. */
static void make_name(char *out, const char *kind, const char *detail)
{
    size_t n = 0;
    for (const char *p = kind; *p && n < NAME_SIZE - 2; p++)
        out[n++] = *p;
    if (detail)
        out[n++] = ':';
    size_t len = detail ? strlen(detail) : 0;
    const char *slash = detail ? strrchr(detail, '/') : NULL;
    bool temp = slash && slash[1] == '.' && len > RANDOM_LEN + 1 && detail[len - RANDOM_LEN - 1] == '.';
    for (size_t i = len - RANDOM_LEN; temp && i < len; i++)
        temp = is_alnum(detail[i]) || detail[i] == 'X';
    for (size_t i = 0; i < (temp ? len - RANDOM_LEN : len) && n < NAME_SIZE - 2; i++) {
        bool digit = detail[i] >= '0' && detail[i] <= '9';
        if (digit && n > 0 && out[n - 1] == '#')
            continue;
        out[n++] = digit ? '#' : detail[i];
    }
    if (temp)
        out[n++] = '~';
    out[n] = '\0';
}

static void record(const char *name)
{
    while (atomic_flag_test_and_set(&ctl->busy))
        ;
    uint32_t i = 0;
    while (i < ctl->n_seen && strcmp(ctl->seen[i].name, name) != 0)
        i++;
    if (i < ENTRIES) {
        if (i == ctl->n_seen) {
            memcpy(ctl->seen[i].name, name, strlen(name) + 1);
            ctl->seen[i].count = 0;
            ctl->n_seen++;
        }
        ctl->seen[i].count++;
    }
    atomic_flag_clear(&ctl->busy);
}

static void signal_qemu(int sig)
{
    int pid = ctl->qemu_pid ? ctl->qemu_pid : ctl->newest_child;
    if (pid > 1)
        syscall(SYS_kill, pid, sig);
}

/* Whether this passage fires. */
static bool fires(const char *name)
{
    if (!matches(ctl->pattern, name))
        return false;
    uint32_t nr = atomic_fetch_add(&ctl->matches, 1) + 1;
    if (ctl->persistent ? nr < ctl->nth : nr != ctl->nth)
        return false;
    if (atomic_fetch_add(&ctl->fired, 1) == 0)
        memcpy(ctl->fired_name, name, strlen(name) + 1);
    return true;
}

int fault_point(const char *kind, const char *detail, int usual)
{
    uint32_t mode = ctl ? atomic_load(&ctl->mode) : MODE_OFF;
    if (mode == MODE_OFF)
        return 0;
    int before = errno;
    char name[NAME_SIZE];
    make_name(name, kind, detail);
    int error = 0;
    if (mode == MODE_RECORD) {
        record(name);
    } else if (fires(name)) {
        switch (ctl->action) {
        case FAULT_KILL_DAEMON:
            /* by pid: in a child that has yet to exec it is the daemon that dies, and the child goes on */
            syscall(SYS_kill, ctl->daemon_pid, SIGKILL);
            break;
        case FAULT_KILL_QEMU:
        case FAULT_CLOSE:
            signal_qemu(SIGKILL);
            break;
        case FAULT_STOP_QEMU:
            signal_qemu(SIGSTOP);
            stopped = true;
            break;
        default:
            error = ctl->error ? ctl->error : usual;
        }
    }
    errno = before;
    return error;
}

int fault_point_fd(const char *kind, int fd, int usual)
{
    if (!ctl || atomic_load(&ctl->mode) == MODE_OFF)
        return 0;
    int before = errno;
    char link[40], target[NAME_SIZE];
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    long n = syscall(SYS_readlinkat, AT_FDCWD, link, target, sizeof(target) - 1);
    errno = before;
    target[n > 0 ? n : 0] = '\0';
    /* counters in the kernel: their reads and writes do not fail in life */
    if (strncmp(target, "anon_inode:", 11) == 0 || strncmp(target, "pipe:", 5) == 0)
        return 0;
    return fault_point(kind, target, usual);
}

int fault_qmp(const char *command, int *ret_close, int *ret_stopped)
{
    if (!ctl || atomic_load(&ctl->mode) == MODE_OFF)
        return 0;
    *ret_stopped = stopped;
    stopped = false;
    char name[NAME_SIZE];
    make_name(name, "qmp", command);
    if (atomic_load(&ctl->mode) == MODE_RECORD || (ctl->action != FAULT_CLOSE && ctl->action != FAULT_STOP_QEMU))
        return fault_point("qmp", command, EIO);
    if (!fires(name))
        return 0;
    if (ctl->action == FAULT_STOP_QEMU) {
        signal_qemu(SIGSTOP);
        *ret_stopped = 1;
        return 0;
    }
    *ret_close = 1;
    return EPIPE;
}

void fault_child(int pid)
{
    if (ctl)
        ctl->newest_child = pid;
}

#endif
