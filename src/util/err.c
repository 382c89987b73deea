/* util/err.c - the one error object
 *
 * Owns:    setting, wrapping, moving and rendering an Err; not the fixed words of each code (err_text.c)
 * Threads: an Err belongs to one thread at a time
 */
#include "config.h"

#include <string.h>

#include "util/err.h"

static char *vformat(const char *fmt, va_list ap) __attribute__((format(printf, 1, 0)));

static char *vformat(const char *fmt, va_list ap)
{
    return g_strdup_vprintf(fmt, ap);
}

/* True when the caller may fill `err` in; a second error on one object is a bug of ours that must not hide the first. */
static bool err_begin(Err *err)
{
    if (!err)
        return false;
    if (err->code != VIR_ERR_OK) {
#ifdef ENABLE_FAULTS
        g_error("error set twice; first: %s", err->detail);
#endif
        return false;
    }
    return true;
}

int err_set_full(Err *err, int domain, int code, int os_errno, const char *fmt, ...)
{
    if (!err_begin(err))
        return -1;
    va_list ap;
    va_start(ap, fmt);
    err->detail = vformat(fmt, ap);
    va_end(ap);
    err->code = code;
    err->domain = domain;
    err->level = VIR_ERR_ERROR;
    err->os_errno = os_errno;
    return -1;
}

int err_set_bare(Err *err, int domain, int code, const char *fmt, ...)
{
    if (!err_begin(err))
        return -1;
    va_list ap;
    va_start(ap, fmt);
    err->detail = vformat(fmt, ap);
    va_end(ap);
    err->code = code;
    err->domain = domain;
    err->level = VIR_ERR_ERROR;
    err->bare = true;
    return -1;
}

/* What an operator can do about it, where the number alone says that. */
static const char *errno_hint(int errnum)
{
    switch (errnum) {
    case ENOSPC:
        return "make room on its file system";
    case EDQUOT:
        return "make room, or raise the quota";
    case EROFS:
        return "its file system must be mounted read-write";
    case EMFILE:
    case ENFILE:
        return "the limit of open files must be raised: LimitNOFILE= of the service";
    default:
        return NULL;
    }
}

int err_set_system(Err *err, int domain, int errnum, const char *fmt, ...)
{
    if (!err_begin(err))
        return -1;
    va_list ap;
    va_start(ap, fmt);
    g_autofree char *what = vformat(fmt, ap);
    va_end(ap);
    err->detail = g_strdup_printf("%s: %s", what, g_strerror(errnum));
    err->code = VIR_ERR_SYSTEM_ERROR;
    err->domain = domain;
    err->level = VIR_ERR_ERROR;
    err->os_errno = errnum;
    err->hint = g_strdup(errno_hint(errnum));
    return -1;
}

int err_wrap(Err *err, const char *fmt, ...)
{
    if (!err_is_set(err))
        return -1;
    va_list ap;
    va_start(ap, fmt);
    g_autofree char *context = vformat(fmt, ap);
    va_end(ap);
    g_autofree char *old = err->detail;
    err->detail = g_strdup_printf("%s: %s", context, old);
    return -1;
}

int err_hint(Err *err, const char *fmt, ...)
{
    if (!err_is_set(err) || err->hint)
        return -1;
    va_list ap;
    va_start(ap, fmt);
    err->hint = vformat(fmt, ap);
    va_end(ap);
    return -1;
}

void err_set_object(Err *err, const char *object)
{
    if (err_is_set(err) && !err->object)
        err->object = g_strdup(object);
}

void err_set_phase(Err *err, const char *phase)
{
    if (err_is_set(err) && !err->phase)
        err->phase = g_strdup(phase);
}

void err_clear(Err *err)
{
    if (!err)
        return;
    g_free(err->detail);
    g_free(err->hint);
    g_free(err->object);
    g_free(err->phase);
    *err = ERR_INIT;
}

void err_move(Err *dest, Err *src)
{
    if (dest && !err_is_set(dest)) {
        *dest = *src;
        *src = ERR_INIT;
    } else {
        err_clear(src);
    }
}

char *err_message(const Err *err)
{
    const char *tmpl = err->bare ? "%s" : err_code_template(err->code, err->detail != NULL);
    GString *s = g_string_new(NULL);
    const char *slot = strstr(tmpl, "%s");
    if (slot && err->detail) {
        g_string_append_len(s, tmpl, slot - tmpl);
        g_string_append(s, err->detail);
        g_string_append(s, slot + 2);
    } else {
        g_string_append(s, tmpl);
    }
    if (err->hint)
        g_string_append_printf(s, " (%s)", err->hint);
    return g_string_free(s, FALSE);
}
