/* util/log.c - log lines with fields
 *
 * Owns:    the level and where lines go
 * Threads: any
 */
#include "config.h"

#include <stdio.h>
#include <unistd.h>

#include "util/log.h"

static const char *const level_names[] = {"", "debug", "info", "warning", "error"};
static int threshold = LOG_LEVEL_WARNING;

bool log_wanted(LogLevel level, const char *area)
{
    return (int)level >= threshold;
}

void log_write(LogLevel level, const char *area, const char *file, int line, const char *func, const LogField *fields,
               const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    g_autofree char *text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    g_autofree char *whole = g_strdup_printf("%s: %s: %s\n", level_names[level], area, text);
    fputs(whole, stderr);
}
