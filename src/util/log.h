/* util/log.h - log lines with fields
 *
 * Each file defines LOG_AREA ("qemu.monitor", "rpc.conn", …) before including this; log_filters match on its prefix.  Lines go to the
 * outputs configured: journal (with fields), stderr, file, syslog.  Layers of util return errors and do not log.
 */
#pragma once

#include "base.h"

/* libvirt's levels, as in libvirtd.conf's log_level. */
typedef enum {
    LOG_LEVEL_DEBUG = 1,
    LOG_LEVEL_INFO = 2,
    LOG_LEVEL_WARNING = 3,
    LOG_LEVEL_ERROR = 4,
} LogLevel;

#ifndef LOG_AREA
#define LOG_AREA "berth"
#endif

typedef struct LogField {
    const char *key;   /* upper case, as the journal wants it: "DOMAIN", "CLIENT", "PROCEDURE", "CODE" */
    const char *value; /* NULL: left out */
} LogField;

#define log_debug(...) log_at(LOG_LEVEL_DEBUG, __VA_ARGS__)
#define log_info(...) log_at(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_warning(...) log_at(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_error(...) log_at(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_at(level, ...) \
    do { \
        if (log_wanted((level), LOG_AREA)) \
            log_write((level), LOG_AREA, __FILE__, __LINE__, __func__, NULL, __VA_ARGS__); \
    } while (0)
/* As log_at, with fields: a LogField array ended by {NULL}. */
#define log_fields(level, fields, ...) \
    do { \
        if (log_wanted((level), LOG_AREA)) \
            log_write((level), LOG_AREA, __FILE__, __LINE__, __func__, (fields), __VA_ARGS__); \
    } while (0)

/* True when a line of this level from this area would go anywhere.  Takes no lock: cheap enough for any path. */
bool log_wanted(LogLevel level, const char *area);
void log_write(LogLevel level, const char *area, const char *file, int line, const char *func, const LogField *fields,
               const char *fmt, ...) PRINTF_LIKE(7, 8);

struct Err;

/* Sets what is logged and where, in libvirt's notation; may be called again at any time (reload, which also reopens files).
 * `filters`: "LEVEL:AREA ..." — AREA is the beginning of an area's name or a pattern with *; the longest that matches decides, else
 * `level`.  `outputs`: "LEVEL:stderr", "LEVEL:file:/PATH", "LEVEL:syslog:NAME", "LEVEL:journald"; an output gets lines of at least its
 * level.  NULL or "": filters none; outputs the journal where there is one and stderr is not a terminal, else stderr.
 * On failure (VIR_ERR_CONF_SYNTAX, VIR_ERR_SYSTEM_ERROR) the old settings stay.  Any thread, one at a time. */
int log_configure(int level, const char *filters, const char *outputs, struct Err *err);
/* The settings in force, in the notation above; caller frees the strings.  NULL: not wanted. */
void log_settings(int *ret_level, char **ret_filters, char **ret_outputs);
/* Closes files and forgets the settings; lines go to stderr from then on.  No other thread may log meanwhile. */
void log_done(void);
