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

bool log_wanted(LogLevel level, const char *area);
void log_write(LogLevel level, const char *area, const char *file, int line, const char *func, const LogField *fields,
               const char *fmt, ...) PRINTF_LIKE(7, 8);
