/* util/log.c - log lines with fields
 *
 * Owns:    levels, filters and outputs; how a line looks in each
 * Threads: any.  The settings are one immutable object behind an atomic pointer, read without a lock.  Who looks at it is counted; what was
 *          replaced goes, with its files, at the first replacement after which nobody looks: whoever comes later sees the new one.
 * Locks:   settings_lock serialises log_configure(); writers of lines take none, one line is one write()
 * Errors:  log_configure() only; a line that cannot be written is lost.  Journal, syslog and stderr are never waited for:
 *          lines they do not take are counted, and told when they do again.  A text has an end in every output
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#define ERR_FROM VIR_FROM_CONF
#include "util/err.h"
#include "util/fd.h"
/* syslog.h has macros of these names' prefix, not of the names */
#include "util/log.h"
#include "util/log_datagram.h"

#define MAX_FIELDS 32
#define PRINTED_MAX 8192u /* bytes of a text in a line: clients may say megabytes, which a log is not for */

typedef enum { OUTPUT_STDERR, OUTPUT_FILE, OUTPUT_SYSLOG, OUTPUT_JOURNALD, OUTPUT_MAX } OutputKind;

static const char *const output_names[] = {"stderr", "file", "syslog", "journald"};
G_STATIC_ASSERT(N_ELEMENTS(output_names) == OUTPUT_MAX);

static const char *const level_names[] = {"", "debug", "info", "warning", "error"};
static const int syslog_priority[] = {LOG_DEBUG, LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERR};

typedef struct Output {
    OutputKind kind;
    int level;
    char *data; /* path of a file, name for syslog */
    int fd;     /* of a file, ours */
    unsigned lost; /* atomic: lines not taken since it was told */
} Output;

typedef struct Filter {
    int level;
    char *area; /* as written; a pattern when it holds * or ? */
    bool pattern;
} Filter;

typedef struct Settings {
    int level;
    int lowest; /* of level and all filters */
    GArray *filters, *outputs;
    struct Settings *older;
} Settings;

static pthread_mutex_t settings_lock = PTHREAD_MUTEX_INITIALIZER;
static Settings *current; /* atomic; NULL: warnings to stderr */
static int lookers;       /* atomic: threads between enter() and leave() */
static int lowest = LOG_LEVEL_WARNING; /* atomic: of `current`; decides most calls */

static Settings *enter(void)
{
    __atomic_add_fetch(&lookers, 1, __ATOMIC_SEQ_CST);
    return __atomic_load_n(&current, __ATOMIC_SEQ_CST);
}

static void leave(void)
{
    __atomic_sub_fetch(&lookers, 1, __ATOMIC_SEQ_CST);
}

/* ---- settings -------------------------------------------------------------------------------------------- */

static void output_clear(void *p)
{
    Output *o = p;
    g_free(o->data);
    fd_close(&o->fd);
}

static void filter_clear(void *p)
{
    g_free(((Filter *)p)->area);
}

static Settings *settings_new(int level)
{
    Settings *s = g_new0(Settings, 1);
    s->level = s->lowest = level;
    s->filters = g_array_new(FALSE, TRUE, sizeof(Filter));
    g_array_set_clear_func(s->filters, filter_clear);
    s->outputs = g_array_new(FALSE, TRUE, sizeof(Output));
    g_array_set_clear_func(s->outputs, output_clear);
    return s;
}

static void settings_free(Settings *s)
{
    if (!s)
        return;
    g_array_unref(s->filters);
    g_array_unref(s->outputs);
    g_free(s);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Settings, settings_free)

/* The level before the first colon of an entry; *rest is what follows. */
static int parse_level(const char *what, const char *entry, const char **rest, Err *err)
{
    if (entry[0] < '1' || entry[0] > '4' || entry[1] != ':' || !entry[2])
        return err_set(err, VIR_ERR_CONF_SYNTAX, "%s: \"%s\" must start with a level from 1 to 4 and a colon", what, entry);
    *rest = entry + 2;
    return entry[0] - '0';
}

static int parse_filter(Settings *s, const char *entry, Err *err)
{
    const char *area;
    int level = parse_level("log_filters", entry, &area, err);
    if (level < 0)
        return -1;
    if (*area == '+') /* libvirt's request for stack traces: taken, without them */
        area++;
    Filter f = {.level = level, .area = g_strdup(area), .pattern = strpbrk(area, "*?") != NULL};
    g_array_append_val(s->filters, f);
    s->lowest = MIN(s->lowest, level);
    return 0;
}

static int parse_output(Settings *s, const char *entry, Err *err)
{
    const char *rest;
    Output o = {.fd = -1};
    o.level = parse_level("log_outputs", entry, &rest, err);
    if (o.level < 0)
        return -1;
    g_auto(GStrv) parts = g_strsplit(rest, ":", 2);
    while (o.kind < OUTPUT_MAX && strcmp(parts[0], output_names[o.kind]) != 0)
        o.kind++;
    const char *data = parts[1] && *parts[1] ? parts[1] : NULL;
    switch (o.kind) {
    case OUTPUT_MAX:
        return err_set(err, VIR_ERR_CONF_SYNTAX, "log_outputs: \"%s\" is no output; allowed: stderr, file:/PATH, syslog:NAME, journald",
                       rest);
    case OUTPUT_FILE:
        if (!data || *data != '/')
            return err_set(err, VIR_ERR_CONF_SYNTAX, "log_outputs: \"%s\": file takes an absolute path", rest);
        /* Non-blocking, lest a FIFO without reader hold us here. */
        o.fd = open(data, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0600);
        if (o.fd < 0)
            return err_set_errno(err, errno, "opening the log file '%s'", data);
        break;
    case OUTPUT_SYSLOG:
        if (!data)
            return err_set(err, VIR_ERR_CONF_SYNTAX, "log_outputs: \"%s\": syslog takes a name after a second colon", rest);
        break;
    case OUTPUT_STDERR:
    case OUTPUT_JOURNALD:
        if (data)
            return err_set(err, VIR_ERR_CONF_SYNTAX, "log_outputs: \"%s\": nothing may follow %s", rest, parts[0]);
        if (o.kind == OUTPUT_JOURNALD && access(LOG_JOURNAL_SOCKET, W_OK) < 0)
            return err_set_errno(err, errno, "log_outputs: journald: there is no journal at '%s'", LOG_JOURNAL_SOCKET);
        break;
    }
    o.data = g_strdup(data);
    g_array_append_val(s->outputs, o);
    return 0;
}

static int parse_entries(Settings *s, const char *text, int (*parse)(Settings *, const char *, Err *), Err *err)
{
    g_auto(GStrv) entries = g_strsplit_set(text ? text : "", " \t\n", -1);
    for (char **e = entries; *e; e++)
        if (**e && parse(s, *e, err) < 0)
            return -1;
    return 0;
}

static void free_chain(Settings *s)
{
    while (s) {
        Settings *older = s->older;
        settings_free(s);
        s = older;
    }
}

int log_configure(int level, const char *filters, const char *outputs, Err *err)
{
    if (level < LOG_LEVEL_DEBUG || level > LOG_LEVEL_ERROR)
        return err_set(err, VIR_ERR_CONF_SYNTAX, "log_level is %d, must be from 1 to 4", level);
    g_autoptr(Settings) s = settings_new(level);
    if (parse_entries(s, filters, parse_filter, err) < 0 || parse_entries(s, outputs, parse_output, err) < 0)
        return -1;
    if (s->outputs->len == 0) {
        bool journal = access(LOG_JOURNAL_SOCKET, W_OK) == 0 && !isatty(STDERR_FILENO);
        Output o = {.kind = journal ? OUTPUT_JOURNALD : OUTPUT_STDERR, .level = LOG_LEVEL_DEBUG, .fd = -1};
        g_array_append_val(s->outputs, o);
    }
    pthread_mutex_lock(&settings_lock);
    __atomic_store_n(&lowest, s->lowest, __ATOMIC_RELAXED);
    s->older = current;
    __atomic_store_n(&current, g_steal_pointer(&s), __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&lookers, __ATOMIC_SEQ_CST) == 0)
        free_chain(g_steal_pointer(&current->older));
    pthread_mutex_unlock(&settings_lock);
    return 0;
}

void log_settings(int *ret_level, char **ret_filters, char **ret_outputs)
{
    pthread_mutex_lock(&settings_lock); /* nothing goes meanwhile */
    const Settings *s = current;
    if (ret_level)
        *ret_level = s ? s->level : LOG_LEVEL_WARNING;
    if (ret_filters) {
        GString *out = g_string_new(NULL);
        for (unsigned i = 0; s && i < s->filters->len; i++) {
            const Filter *f = &g_array_index(s->filters, Filter, i);
            g_string_append_printf(out, "%s%d:%s", i ? " " : "", f->level, f->area);
        }
        *ret_filters = g_string_free(out, FALSE);
    }
    if (ret_outputs) {
        GString *out = g_string_new(NULL);
        for (unsigned i = 0; s && i < s->outputs->len; i++) {
            const Output *o = &g_array_index(s->outputs, Output, i);
            g_string_append_printf(out, "%s%d:%s%s%s", i ? " " : "", o->level, output_names[o->kind], o->data ? ":" : "",
                                   o->data ? o->data : "");
        }
        *ret_outputs = g_string_free(out, FALSE);
    }
    pthread_mutex_unlock(&settings_lock);
}

void log_done(void)
{
    pthread_mutex_lock(&settings_lock);
    Settings *s = current;
    __atomic_store_n(&current, NULL, __ATOMIC_SEQ_CST);
    __atomic_store_n(&lowest, LOG_LEVEL_WARNING, __ATOMIC_RELAXED);
    free_chain(s);
    pthread_mutex_unlock(&settings_lock);
}

/* ---- which lines ----------------------------------------------------------------------------------------- */

static bool filter_matches(const Filter *f, const char *area)
{
    return f->pattern ? fnmatch(f->area, area, 0) == 0 : g_str_has_prefix(area, f->area);
}

static int threshold_of(const Settings *s, const char *area)
{
    int threshold = s->level;
    size_t best = 0;
    for (unsigned i = 0; i < s->filters->len; i++) {
        const Filter *f = &g_array_index(s->filters, Filter, i);
        size_t length = strlen(f->area);
        if (length >= best && filter_matches(f, area)) {
            best = length;
            threshold = f->level;
        }
    }
    return threshold;
}

bool log_wanted(LogLevel level, const char *area)
{
    if ((int)level < __atomic_load_n(&lowest, __ATOMIC_RELAXED))
        return false;
    const Settings *s = enter();
    bool wanted = !s || (int)level >= threshold_of(s, area);
    leave();
    return wanted;
}

/* ---- lines ----------------------------------------------------------------------------------------------- */

/* Appends text with control characters made visible: what a guest or client says must not forge a line.  What is too long is cut. */
static void append_printable(GString *out, const char *text)
{
    const gsize full = out->len + PRINTED_MAX;
    for (const char *p = text; *p; p++) {
        if (out->len >= full && ((unsigned char)*p & 0xc0) != 0x80) { /* not within a character */
            g_string_append_printf(out, "... (%zu bytes more)", strlen(p));
            return;
        }
        if (*p == '\n')
            g_string_append(out, p[1] ? "\\n" : "");
        else if ((unsigned char)*p < 0x20 || *p == 0x7f)
            g_string_append_printf(out, "\\x%02x", (unsigned char)*p);
        else
            g_string_append_c(out, *p);
    }
}

/* "2026-11-22T19:28:35.123456Z 4711 warning qmp.client: text [DOMAIN=vm CODE=38]\n"; head: without the time and thread. */
static char *format_line(LogLevel level, const char *area, const LogField *fields, const char *text, bool head)
{
    GString *out = g_string_new(NULL);
    if (head) {
        struct timespec now;
        struct tm tm;
        char stamp[32];
        clock_gettime(CLOCK_REALTIME, &now);
        gmtime_r(&now.tv_sec, &tm);
        strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &tm);
        g_string_append_printf(out, "%s.%06ldZ %ld ", stamp, now.tv_nsec / 1000, (long)syscall(SYS_gettid));
    }
    g_string_append_printf(out, "%s %s: ", level_names[level], area);
    append_printable(out, text);
    const char *before = " [";
    for (const LogField *f = fields; f && f->key; f++) {
        if (!f->value)
            continue;
        g_string_append_printf(out, "%s%s=", before, f->key);
        append_printable(out, f->value);
        before = " ";
    }
    g_string_append(out, *before == ' ' && !before[1] ? "]\n" : "\n");
    return g_string_free(out, FALSE);
}

static bool write_journal(LogLevel level, const char *area, const char *file, int line, const char *func, const LogField *fields,
                          const char *text)
{
    char priority[12], number[12];
    g_snprintf(priority, sizeof(priority), "%d", syslog_priority[level]);
    g_snprintf(number, sizeof(number), "%d", line);
    LogEntryField v[MAX_FIELDS] = {{"", "MESSAGE", text},    {"", "PRIORITY", priority}, {"", "SYSLOG_IDENTIFIER", "berthd"},
                                   {"", "BERTH_AREA", area}, {"", "CODE_FILE", file},    {"", "CODE_LINE", number},
                                   {"", "CODE_FUNC", func}};
    size_t n = 7;
    for (const LogField *f = fields; f && f->key && n < MAX_FIELDS; f++)
        if (f->value)
            v[n++] = (LogEntryField){"BERTH_", f->key, f->value};
    return log_journal_send(v, n);
}

static void write_line(int fd, const char *line)
{
    ssize_t r;
    do
        r = write(fd, line, strlen(line));
    while (r < 0 && errno == EINTR);
}

/* A pipe or a journal's stream behind it that nobody reads is full some day.  What it then takes without a wait is a page. */
static bool write_stderr(const char *line)
{
    struct pollfd p = {STDERR_FILENO, POLLOUT, 0};
    if (poll(&p, 1, 0) == 0)
        return false;
    g_autofree char *cut = g_strndup(line, PIPE_BUF);
    if (strlen(cut) == PIPE_BUF)
        cut[PIPE_BUF - 1] = '\n';
    write_line(STDERR_FILENO, cut);
    return true;
}

/* A line, as far as one of its forms can be made of it. */
typedef struct Line {
    LogLevel level;
    const char *area, *file, *func, *text;
    int number;
    const LogField *fields;
} Line;

/* False: the output did not take it. */
static bool write_to(const Output *o, const Line *l, const char *whole)
{
    switch (o->kind) {
    case OUTPUT_STDERR:
        return write_stderr(whole);
    case OUTPUT_FILE:
        write_line(o->fd, whole);
        return true;
    case OUTPUT_SYSLOG: {
        g_autofree char *plain = format_line(l->level, l->area, l->fields, l->text, false);
        return log_syslog_send(syslog_priority[l->level], o->data, plain);
    }
    case OUTPUT_JOURNALD:
        return write_journal(l->level, l->area, l->file, l->number, l->func, l->fields, l->text);
    case OUTPUT_MAX:
        break;
    }
    return true;
}

/* Once an output takes lines again it hears how many it has missed. */
static void tell_lost(Output *o)
{
    unsigned lost = __atomic_exchange_n(&o->lost, 0, __ATOMIC_RELAXED);
    if (lost == 0)
        return;
    g_autofree char *text = g_strdup_printf("%u log lines were lost: %s did not take them", lost, output_names[o->kind]);
    Line l = {LOG_LEVEL_WARNING, "util.log", __FILE__, __func__, text, __LINE__, NULL};
    g_autofree char *whole = format_line(l.level, l.area, NULL, text, true);
    if (!write_to(o, &l, whole))
        __atomic_add_fetch(&o->lost, lost, __ATOMIC_RELAXED);
}

void log_write(LogLevel level, const char *area, const char *file, int line, const char *func, const LogField *fields, const char *fmt,
               ...)
{
    int saved = errno;
    va_list ap;
    va_start(ap, fmt);
    g_autofree char *text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    g_autofree char *whole = format_line(level, area, fields, text, true);
    Line l = {level, area, file, func, text, line, fields};
    const Settings *s = enter();
    if (!s)
        write_line(STDERR_FILENO, whole);
    for (unsigned i = 0; s && i < s->outputs->len; i++) {
        Output *o = &g_array_index(s->outputs, Output, i);
        if ((int)level < o->level)
            continue;
        if (write_to(o, &l, whole))
            tell_lost(o);
        else
            __atomic_add_fetch(&o->lost, 1, __ATOMIC_RELAXED);
    }
    leave();
    errno = saved;
}
