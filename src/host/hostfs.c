/* host/hostfs.c - small bounded reads of /proc and /sys
 *
 * Owns:    the root that paths are taken below ("/" but in tests)
 * Threads: any; the root is set before there are any
 * Locks:   none
 * Errors:  negative errno
 *
 * The files of /proc and /sys report no size, or a wrong one, so all reads go to the end of file with a bound.
 */
#include "config.h"

#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "util/fd.h"
#include "host/hostfs.h"
#include "host/private.h"

static char *root; /* NULL: "/" */

void hostfs_set_root(const char *dir)
{
    g_free(root);
    root = g_strdup(dir);
    topology_forget();
}

static char *path_of(const char *fmt, va_list ap) __attribute__((format(printf, 1, 0)));

static char *path_of(const char *fmt, va_list ap)
{
    char *path = g_strdup_vprintf(fmt, ap);
    if (!root)
        return path;
    char *full = g_strconcat(root, path, NULL);
    g_free(path);
    return full;
}

char *hostfs_path(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *path = path_of(fmt, ap);
    va_end(ap);
    return path;
}

/* Reads to the end or to max bytes; *ret_more: there was more. */
static int read_some(const char *path, size_t max, char **ret, size_t *ret_len, bool *ret_more)
{
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return -errno;
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode))
        return -EINVAL;
    size_t size = MIN(max, HOSTFS_SMALL), len = 0;
    g_autofree char *buf = g_malloc(size + 2);
    for (;;) {
        /* one byte more than allowed tells a full file from one that is too long */
        ssize_t n = read(fd, buf + len, size + 1 - len);
        if (n < 0) {
            if (errno == EINTR)
                continue;
            return -errno;
        }
        if (n == 0)
            break;
        len += (size_t)n;
        if (len > max)
            break;
        if (len > size) {
            size = MIN(max, size * 2);
            buf = g_realloc(buf, size + 2);
        }
    }
    *ret_more = len > max;
    if (*ret_more)
        len = max;
    buf[len] = '\0';
    *ret = g_steal_pointer(&buf);
    *ret_len = len;
    return 0;
}

static int read_text(char **ret, size_t max, bool head, const char *path)
{
    g_autofree char *text = NULL;
    size_t len = 0;
    bool more = false;
    int r = read_some(path, max, &text, &len, &more);
    if (r < 0)
        return r;
    if (more && !head)
        return -EFBIG;
    if (memchr(text, '\0', len))
        return -EBADMSG;
    if (more) {
        char *nl = strrchr(text, '\n');
        if (nl)
            *nl = '\0';
    }
    *ret = g_strchomp(g_steal_pointer(&text));
    return 0;
}

#define PATH_FROM_ARGS(path, fmt)                                                                                      \
    va_list ap;                                                                                                        \
    va_start(ap, fmt);                                                                                                 \
    g_autofree char *path = path_of(fmt, ap);                                                                          \
    va_end(ap)

int hostfs_read(char **ret, size_t max, const char *fmt, ...)
{
    PATH_FROM_ARGS(path, fmt);
    return read_text(ret, max, false, path);
}

int hostfs_read_head(char **ret, size_t max, const char *fmt, ...)
{
    PATH_FROM_ARGS(path, fmt);
    return read_text(ret, max, true, path);
}

int hostfs_read_short(char *buf, size_t size, const char *fmt, ...)
{
    char path[PATH_MAX];
    size_t at = root ? g_strlcpy(path, root, sizeof(path)) : 0;
    if (at >= sizeof(path))
        return -ENAMETOOLONG;
    va_list ap;
    va_start(ap, fmt);
    int len = vsnprintf(path + at, sizeof(path) - at, fmt, ap);
    va_end(ap);
    if (len < 0 || (size_t)len >= sizeof(path) - at)
        return -ENAMETOOLONG;
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return -errno;
    ssize_t n;
    do
        n = read(fd, buf, size);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    if ((size_t)n == size)
        return -EFBIG;
    if (memchr(buf, '\0', (size_t)n))
        return -EBADMSG;
    buf[n] = '\0';
    g_strchomp(buf);
    return 0;
}

int hostfs_number(unsigned long long *ret, const char *fmt, ...)
{
    PATH_FROM_ARGS(path, fmt);
    g_autofree char *text = NULL;
    int r = read_text(&text, HOSTFS_SMALL, false, path);
    if (r < 0)
        return r;
    const char *at = text;
    unsigned long long v;
    if (!text_number(&at, &v) || *at)
        return -EBADMSG;
    *ret = v;
    return 0;
}

int hostfs_int(int *ret, const char *fmt, ...)
{
    PATH_FROM_ARGS(path, fmt);
    g_autofree char *text = NULL;
    int r = read_text(&text, HOSTFS_SMALL, false, path);
    if (r < 0)
        return r;
    bool minus = text[0] == '-';
    const char *at = text + minus;
    unsigned long long v;
    if (!text_number(&at, &v) || *at || v > INT_MAX)
        return -EBADMSG;
    *ret = minus ? -(int)v : (int)v;
    return 0;
}

bool hostfs_exists(const char *fmt, ...)
{
    PATH_FROM_ARGS(path, fmt);
    return access(path, F_OK) == 0;
}

bool text_number(const char **at, unsigned long long *ret)
{
    const char *p = *at;
    unsigned long long v = 0;
    if (!g_ascii_isdigit(*p))
        return false;
    for (; g_ascii_isdigit(*p); p++) {
        unsigned digit = (unsigned)(*p - '0');
        if (v > (ULLONG_MAX - digit) / 10)
            return false;
        v = v * 10 + digit;
    }
    *at = p;
    *ret = v;
    return true;
}

bool text_field(const char *text, const char *key, unsigned long long *ret)
{
    size_t len = strlen(key);
    for (const char *p = text; (p = strstr(p, key)); p += len) {
        if (p > text && p[-1] != '\n' && p[-1] != ' ')
            continue; /* the tail of a longer key: "SwapCached:" */
        const char *at = p + len;
        while (*at == ' ' || *at == '\t')
            at++;
        return text_number(&at, ret);
    }
    return false;
}

/* ---- sets ------------------------------------------------------------------------------------ */

unsigned idset_count(const IdSet *s)
{
    unsigned n = 0;
    for (unsigned i = 0; i < N_ELEMENTS(s->w); i++)
        n += (unsigned)__builtin_popcountll(s->w[i]);
    return n;
}

void idset_and(IdSet *s, const IdSet *other)
{
    for (unsigned i = 0; i < N_ELEMENTS(s->w); i++)
        s->w[i] &= other->w[i];
}

unsigned idset_next(const IdSet *s, unsigned from)
{
    for (unsigned i = from / 64; i < N_ELEMENTS(s->w); i++) {
        uint64_t w = s->w[i];
        if (i == from / 64)
            w &= ~UINT64_C(0) << (from % 64);
        if (w)
            return i * 64 + (unsigned)__builtin_ctzll(w);
    }
    return IDSET_MAX;
}

int idset_parse(const char *text, unsigned max, IdSet *ret)
{
    IdSet s = {0};
    const char *at = text;
    max = MIN(max, IDSET_MAX);
    while (*at) {
        unsigned long long first, last;
        if (!text_number(&at, &first))
            return -EBADMSG;
        last = first;
        if (*at == '-') {
            at++;
            if (!text_number(&at, &last))
                return -EBADMSG;
        }
        if (last < first || last >= max)
            return -EBADMSG;
        for (unsigned long long i = first; i <= last; i++)
            idset_add(&s, (unsigned)i);
        if (*at == ',' && at[1])
            at++;
        else if (*at)
            return -EBADMSG;
    }
    *ret = s;
    return 0;
}

char *idset_format(const IdSet *s)
{
    GString *out = g_string_new(NULL);
    IDSET_EACH(first, s)
    {
        unsigned last = first;
        while (idset_has(s, last + 1))
            last++;
        g_string_append_printf(out, "%s%u", out->len ? "," : "", first);
        if (last > first)
            g_string_append_printf(out, "-%u", last);
        first = last;
    }
    return g_string_free(out, FALSE);
}

int hostfs_idset(IdSet *ret, unsigned max, const char *fmt, ...)
{
    PATH_FROM_ARGS(path, fmt);
    g_autofree char *text = NULL;
    /* "0,2,4,…" up to 8190: five characters each */
    int r = read_text(&text, HOSTFS_MEDIUM, false, path);
    return r < 0 ? r : idset_parse(text, max, ret);
}
