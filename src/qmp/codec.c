/* qmp/codec.c - JSON lines from an untrusted peer
 *
 * Owns:    the unfinished line of one connection
 * Threads: those of its user; no state is shared
 * Errors:  VIR_ERR_INTERNAL_ERROR with what was wrong; never aborts on content
 */
#include "config.h"

#include <string.h>

#include "qmp/codec.h"
#include "util/fault.h"

/* How many bytes of nonsense an error message quotes. */
#define QUOTE_MAX  40
#define FIRST_LINE 1024u /* bytes the line starts with */

void qmp_codec_init(QmpCodec *q, size_t max_line, unsigned max_depth)
{
    *q = (QmpCodec){.max_line = max_line, .max_depth = max_depth, };
}

void qmp_codec_done(QmpCodec *q)
{
    g_clear_pointer(&q->line, g_free);
}

/* Follows nesting, strings and the number of values over some bytes.  What limit is passed, or NULL. */
static const char *scan(struct QmpScan *sc, unsigned max_depth, const char *p, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        char ch = p[i];
        if (sc->in_string) {
            if (sc->escaped)
                sc->escaped = false;
            else if (ch == '\\')
                sc->escaped = true;
            else if (ch == '"')
                sc->in_string = false;
            continue;
        }
        if (ch == '"')
            sc->in_string = true;
        else if ((ch == '}' || ch == ']') && sc->depth)
            sc->depth--;
        else if ((ch == '{' || ch == '[') && ++sc->depth > max_depth)
            return "levels of nesting";
        if ((ch == '{' || ch == '[' || ch == ',') && ++sc->values > QMP_MAX_VALUES)
            return "values";
    }
    return NULL;
}

/* Printable rendering of the start of some bytes, for messages. */
static char *quote(const char *p, size_t len)
{
    g_autofree char *head = g_strndup(p, MIN(len, QUOTE_MAX));
    return g_strescape(head, NULL);
}

static bool number_starts(const char *text, size_t i)
{
    return g_ascii_isdigit(text[i]) && (i == 0 || !strchr("0123456789.eE+-", text[i - 1]));
}

/* A copy of the text in which unsigned integers beyond INT64_MAX are written as the negative number of the same bits. */
static char *fold_unsigned(const char *text, size_t len, size_t *ret_len)
{
    GString *out = g_string_sized_new(len + 8);
    struct QmpScan sc = {0};
    for (size_t i = 0; i < len; i++) {
        if (!sc.in_string && number_starts(text, i)) {
            size_t end = i;
            while (end < len && strchr("0123456789.eE+-", text[end]) && text[end])
                end++;
            g_autofree char *word = g_strndup(text + i, end - i);
            guint64 value;
            if (g_ascii_string_to_unsigned(word, 10, 0, G_MAXUINT64, &value, NULL) && value > G_MAXINT64)
                g_string_append_printf(out, "%" G_GINT64_FORMAT, (gint64)value);
            else
                g_string_append(out, word);
            i = end - 1;
            continue;
        }
        scan(&sc, UINT32_MAX, text + i, 1);
        g_string_append_c(out, text[i]);
    }
    *ret_len = out->len;
    return g_string_free(out, FALSE);
}

json_t *qmp_json_parse(const char *text, size_t len, unsigned max_depth, Err *err)
{
    struct QmpScan sc = {0};
    const char *too_many = scan(&sc, max_depth, text, len);
    if (too_many) {
        err_set(err, VIR_ERR_INTERNAL_ERROR, "JSON with too many %s", too_many);
        return NULL;
    }
    json_error_t je;
    json_t *msg = json_loadb(text, len, JSON_ALLOW_NUL, &je);
    if (!msg && json_error_code(&je) == json_error_numeric_overflow) {
        size_t folded_len;
        g_autofree char *folded = fold_unsigned(text, len, &folded_len);
        msg = json_loadb(folded, folded_len, JSON_ALLOW_NUL, &je);
    }
    if (!msg) {
        g_autofree char *head = quote(text, len);
        err_set(err, VIR_ERR_INTERNAL_ERROR, "cannot parse JSON '%s': %s", head, je.text);
    }
    return msg;
}

static bool is_blank(const char *p, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (!strchr(" \t\r", p[i]) || !p[i])
            return false;
    }
    return true;
}

/* Adds to the unfinished line.  0, or -1: no memory. */
static int keep(QmpCodec *q, const char *data, size_t n)
{
    if (q->len + n > q->cap) {
        size_t cap = MAX(MIN(MAX(q->cap * 2, q->len + n), q->max_line), FIRST_LINE);
        char *more = FAULT("qmp-line") ? NULL : g_try_realloc(q->line, cap);
        if (!more)
            return -1;
        q->line = more;
        q->cap = cap;
    }
    if (n)
        memcpy(q->line + q->len, data, n);
    q->len += n;
    return 0;
}

int qmp_codec_feed(QmpCodec *q, const char *data, size_t len, QmpMessageFunc fn, void *userdata, Err *err)
{
    while (len) {
        const char *nl = memchr(data, '\n', len);
        size_t part = nl ? (size_t)(nl - data) : len;
        if (q->len + part > q->max_line)
            return err_set(err, VIR_ERR_INTERNAL_ERROR, "JSON line longer than %zu bytes", q->max_line);
        const char *too_many = scan(&q->scan, q->max_depth, data, part);
        if (too_many)
            return err_set(err, VIR_ERR_INTERNAL_ERROR, "JSON line with too many %s", too_many);
        if (keep(q, data, part) < 0)
            return err_set(err, VIR_ERR_NO_MEMORY, "a line of %zu bytes from QEMU", q->len + part);
        if (!nl)
            return 0;
        data += part + 1;
        len -= part + 1;
        q->scan = (struct QmpScan){0};
        json_t *msg = NULL;
        bool blank = is_blank(q->line, q->len);
        if (!blank)
            msg = qmp_json_parse(q->line, q->len, q->max_depth, err);
        q->len = 0;
        if (blank)
            continue;
        if (!msg)
            return -1;
        bool more = fn(userdata, msg);
        json_decref(msg);
        if (!more)
            return 0;
    }
    return 0;
}
