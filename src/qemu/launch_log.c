/* qemu/launch_log.c - a guest's log file, and what it says when QEMU ends
 *
 * Owns:    NAME.log: a header per start (time, versions, the whole command line), QEMU's own output, the reason of the end
 * Threads: any that may sleep
 * Errors:  VIR_ERR_SYSTEM_ERROR naming the file
 */
#include "config.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>

#include "qemu/launch_private.h"
#include "util/fd.h"
#include "util/file.h"

#define START_MARK "starting up "
#define WORDS_MAX 2048u /* of QEMU's in an error */

/* "2026-01-31 12:00:00.123+0000" */
static void stamp(char *buf, size_t size)
{
    struct timespec now;
    struct tm tm;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    char seconds[40];
    strftime(seconds, sizeof(seconds), "%Y-%m-%d %H:%M:%S", &tm);
    snprintf(buf, size, "%s.%03d+0000", seconds, (int)(now.tv_nsec / 1000000));
}

int launch_open_log(Launch *l, Err *err)
{
    const char *dir = l->req->dirs->log_dir;
    int r = dir_make(dir, 0700);
    if (r < 0)
        return err_set_errno(err, -r, "cannot make log directory '%s'", dir);
    l->proc.log_path = g_strdup_printf("%s/%s.log", dir, l->def->name);
    l->log_fd = open(l->proc.log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (l->log_fd < 0)
        return err_set_errno(err, errno, "cannot open log '%s'", l->proc.log_path);
    struct utsname host;
    uname(&host);
    char when[64];
    stamp(when, sizeof(when));
    unsigned v = l->req->caps ? qemu_caps_version(l->req->caps) : 0;
    const char *package = l->req->caps ? qemu_caps_package(l->req->caps) : NULL;
    g_autofree char *line = qemu_argv_to_string(l->argv, true);
    g_autofree char *text =
        g_strdup_printf("%s: " START_MARK "berth version: %s, qemu version: %u.%u.%u%s, kernel: %s, hostname: %s\n%s\n", when,
                        PACKAGE_VERSION, v / 1000000, v / 1000 % 1000, v % 1000, package ? package : "", host.release, host.nodename, line);
    r = fd_write_all(l->log_fd, text, strlen(text));
    if (r < 0)
        return err_set_errno(err, -r, "cannot write log '%s'", l->proc.log_path);
    struct stat st;
    l->log_start = fstat(l->log_fd, &st) == 0 ? st.st_size : 0;
    return 0;
}

void launch_log_line(const char *path, const char *fmt, ...)
{
    if (path == NULL)
        return;
    AUTO_CLOSE int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return;
    va_list ap;
    va_start(ap, fmt);
    g_autofree char *text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    char when[64];
    stamp(when, sizeof(when));
    g_autofree char *line = g_strdup_printf("%s: %s\n", when, text);
    fd_write_all(fd, line, strlen(line));
}

char *launch_log_since(const char *path, off_t from, size_t max)
{
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0 || st.st_size <= from)
        return NULL;
    if (st.st_size - from > (off_t)max)
        from = st.st_size - (off_t)max;
    char *text = g_malloc(max + 1);
    ssize_t n = pread(fd, text, max, from);
    if (n <= 0) {
        g_free(text);
        return NULL;
    }
    text[n] = '\0';
    for (char *p = text; p < text + n; p++) {
        if (*p == '\0')
            *p = ' ';
    }
    return g_strchomp(text);
}

char *qemu_log_tail(const char *log_path, size_t max)
{
    g_autofree char *text = launch_log_since(log_path, 0, 65536);
    if (text == NULL)
        return NULL;
    /* behind the newest header: its last line is the first one that does not go on in the next */
    char *from = text;
    for (char *p = strstr(text, START_MARK); p; p = strstr(p + 1, START_MARK))
        from = p;
    if (from != text || g_str_has_prefix(text, START_MARK)) {
        from = strchr(from, '\n'); /* the header's first line, then the command line */
        while (from) {
            char *end = strchr(from + 1, '\n');
            bool goes_on = end && end > from && end[-1] == '\\';
            from = end ? end + 1 : NULL;
            if (!goes_on)
                break;
            from--; /* each turn begins at a newline */
        }
    }
    if (from == NULL || *from == '\0')
        return NULL;
    size_t len = strlen(from);
    return g_strdup(len > max ? from + len - max : from);
}

/* ---- explanations ------------------------------------------------------------------------------------------------------------ */

typedef struct Hint {
    const char *needle; /* in QEMU's words */
    const char *hint;
} Hint;

static const Hint hints[] = {
    {"Could not access KVM kernel module", "KVM does not work here: load the kvm module and see /dev/kvm, or use <domain type='qemu'>"},
    {"failed to initialize kvm", "KVM does not work here: load the kvm module and see /dev/kvm, or use <domain type='qemu'>"},
    {"KVM is not supported", "use <domain type='qemu'>"},
    {"Permission denied", "QEMU runs as user %s and is not allowed to use it"},
    {"Address already in use", "another program has that port or socket"},
    {"unsupported machine type", "virsh capabilities lists the machine types of this QEMU"},
    {"unable to find CPU model", "virsh cpu-models lists the CPU models of this QEMU"},
    {"Is another process using the image", "the image is in use by another guest or program"},
    {"Cannot allocate memory", "the host has not enough free memory for this guest"},
    {"cannot set up guest memory", "the host has not enough free memory for this guest"},
    {"No space left on device", NULL},
};

static char *account_name(const Launch *l)
{
    if (!l->change_ids)
        return g_strdup("of the daemon");
    const char *name = l->req->config ? l->req->config->user : NULL;
    return name ? g_strdup(name) : g_strdup_printf("%u", (unsigned)l->uid);
}

static const char *path_of_fdset(const Launch *l, uint64_t set)
{
    for (guint i = 0; l->argv && i < l->argv->fds->len; i++) {
        const ArgvFd *f = &g_array_index(l->argv->fds, ArgvFd, i);
        if (f->fdset >= 0 && (uint64_t)f->fdset == set)
            return f->path;
    }
    return NULL;
}

/* QEMU knows a file by the set its descriptor came in, people by its path. */
static char *with_paths(const Launch *l, const char *words)
{
    static const char name[] = "/dev/fdset/";
    GString *out = g_string_new(NULL);
    for (const char *at; (at = strstr(words, name));) {
        char *end;
        const char *path = path_of_fdset(l, g_ascii_strtoull(at + strlen(name), &end, 10));
        g_string_append_len(out, words, at - words);
        g_string_append_len(out, path ? path : at, path ? -1 : end - at);
        words = end;
    }
    g_string_append(out, words);
    return g_string_free(out, false);
}

void launch_explain_exit(Launch *l, int status, Err *err)
{
    g_autofree char *said = launch_log_since(l->proc.log_path, l->log_start, WORDS_MAX);
    g_autofree char *words = said ? with_paths(l, said) : NULL;
    if (words && words[0])
        err_set(err, VIR_ERR_INTERNAL_ERROR, "process exited while connecting to monitor: %s", words);
    else if (status > 128)
        err_set(err, VIR_ERR_INTERNAL_ERROR, "process exited while connecting to monitor: killed by signal %d", status - 128);
    else
        err_set(err, VIR_ERR_INTERNAL_ERROR, "process exited while connecting to monitor: exit status %d, without a word", status);
    for (unsigned i = 0; words && i < N_ELEMENTS(hints); i++) {
        if (strstr(words, hints[i].needle) == NULL || hints[i].hint == NULL)
            continue;
        g_auto(GStrv) parts = g_strsplit(hints[i].hint, "%s", 2);
        g_autofree char *who = account_name(l);
        err_hint(err, "%s%s%s", parts[0], parts[1] ? who : "", parts[1] ? parts[1] : "");
        return;
    }
}
