/* util/conf.c - configuration files described by rows
 *
 * Owns:    the syntax, the conversion of values by row, comparison and freeing of what rows describe
 * Threads: any; no state
 * Errors:  VIR_ERR_CONF_SYNTAX for what does not parse or is out of bounds, VIR_ERR_CONFIG_UNSUPPORTED for what is refused by name;
 *          both start "FILE:LINE: "
 */
#include "config.h"

#include <inttypes.h>
#include <errno.h>
#include <string.h>

#define ERR_FROM VIR_FROM_CONF
#include "util/conf.h"
#include "util/file.h"

/* Position in the text and what errors need. */
typedef struct Scanner {
    const char *at, *end;
    const char *file;
    unsigned line;
    Err *err;
} Scanner;

typedef enum { VALUE_NUMBER, VALUE_TEXT, VALUE_LIST } ValueKind;

static const char *const value_kind_names[] = {"a number", "a string", "a list"};

typedef struct Value {
    ValueKind kind;
    int64_t number;
    char *text;
    GPtrArray *items; /* of char *, owned */
} Value;

static void value_done(Value *v)
{
    g_free(v->text);
    if (v->items)
        g_ptr_array_unref(v->items);
    *v = (Value){0};
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Value, value_done)

static int fail(Scanner *s, int code, const char *fmt, ...) PRINTF_LIKE(3, 4);

static int fail(Scanner *s, int code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    g_autofree char *what = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    return err_set(s->err, code, "%s:%u: %s", s->file, s->line, what);
}

/* ---- syntax ---------------------------------------------------------------------------------------------- */

static void skip_blanks(Scanner *s)
{
    while (s->at < s->end && (*s->at == ' ' || *s->at == '\t' || *s->at == '\r'))
        s->at++;
}

/* Blanks, line ends and comments: between the items of a list, and between entries. */
static void skip_lines(Scanner *s)
{
    for (;;) {
        skip_blanks(s);
        if (s->at < s->end && *s->at == '#') {
            while (s->at < s->end && *s->at != '\n')
                s->at++;
        } else if (s->at < s->end && *s->at == '\n') {
            s->at++;
            s->line++;
        } else {
            return;
        }
    }
}

static bool starts_with(const Scanner *s, const char *word)
{
    size_t n = strlen(word);
    return (size_t)(s->end - s->at) >= n && memcmp(s->at, word, n) == 0;
}

static int scan_string(Scanner *s, char **ret)
{
    if (starts_with(s, "\"\"\"")) {
        const char *from = s->at + 3;
        unsigned line = s->line;
        for (const char *p = from; s->end - p >= 3; p++) {
            if (memcmp(p, "\"\"\"", 3) == 0) {
                *ret = g_strndup(from, (size_t)(p - from));
                s->at = p + 3;
                s->line = line;
                return 0;
            }
            if (*p == '\n')
                line++;
        }
        return fail(s, VIR_ERR_CONF_SYNTAX, "the string that starts with \"\"\" has no end");
    }
    char quote = *s->at;
    const char *from = s->at + 1, *p = from;
    while (p < s->end && *p != quote && *p != '\n')
        p++;
    if (p == s->end || *p == '\n')
        return fail(s, VIR_ERR_CONF_SYNTAX, "the string has no closing %c on its line", quote);
    *ret = g_strndup(from, (size_t)(p - from));
    s->at = p + 1;
    return 0;
}

static int scan_number(Scanner *s, int64_t *ret)
{
    bool negative = *s->at == '-';
    const char *from = s->at;
    if (*s->at == '-' || *s->at == '+')
        s->at++;
    int64_t n = 0;
    bool any = false;
    for (; s->at < s->end && g_ascii_isdigit(*s->at); s->at++) {
        any = true;
        if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, *s->at - '0', &n))
            return fail(s, VIR_ERR_CONF_SYNTAX, "the number %.24s is too large", from);
    }
    if (!any)
        return fail(s, VIR_ERR_CONF_SYNTAX, "digits expected after '%c'", *from);
    *ret = negative ? -n : n;
    return 0;
}

static bool at_quote(const Scanner *s)
{
    return s->at < s->end && (*s->at == '"' || *s->at == '\'');
}

static int scan_list(Scanner *s, GPtrArray **ret)
{
    g_autoptr(GPtrArray) items = g_ptr_array_new_with_free_func(g_free);
    s->at++;
    for (;;) {
        skip_lines(s);
        if (s->at < s->end && *s->at == ']')
            break;
        if (!at_quote(s))
            return fail(s, VIR_ERR_CONF_SYNTAX, "a string or ] expected in the list");
        if (items->len >= CONF_MAX_ITEMS)
            return fail(s, VIR_ERR_CONF_SYNTAX, "the list has more than %u entries", CONF_MAX_ITEMS);
        char *item = NULL;
        if (scan_string(s, &item) < 0)
            return -1;
        g_ptr_array_add(items, item);
        skip_lines(s);
        if (s->at < s->end && *s->at == ',')
            s->at++;
        else if (s->at >= s->end || *s->at != ']')
            return fail(s, VIR_ERR_CONF_SYNTAX, "a comma or ] expected in the list");
    }
    s->at++;
    *ret = g_steal_pointer(&items);
    return 0;
}

static int scan_value(Scanner *s, Value *ret)
{
    skip_blanks(s);
    if (at_quote(s)) {
        ret->kind = VALUE_TEXT;
        return scan_string(s, &ret->text);
    }
    if (s->at < s->end && *s->at == '[') {
        ret->kind = VALUE_LIST;
        return scan_list(s, &ret->items);
    }
    if (s->at < s->end && (g_ascii_isdigit(*s->at) || *s->at == '-' || *s->at == '+')) {
        ret->kind = VALUE_NUMBER;
        return scan_number(s, &ret->number);
    }
    return fail(s, VIR_ERR_CONF_SYNTAX, "a value is expected here: a number, a \"string\" or a [ \"list\", \"of\", \"strings\" ]");
}

/* ---- values by row --------------------------------------------------------------------------------------- */

static char *words_text(const char *const *words)
{
    return g_strjoinv(", ", (char **)(uintptr_t)words);
}

static int fail_word(Scanner *s, const ConfKey *k, const char *word)
{
    g_autofree char *allowed = words_text(k->words);
    return fail(s, k->refusal ? VIR_ERR_CONFIG_UNSUPPORTED : VIR_ERR_CONF_SYNTAX, "%s: \"%s\" is not accepted%s%s; allowed: %s",
                k->name, word, k->refusal ? ", " : "", k->refusal ? k->refusal : "", *allowed ? allowed : "an empty list");
}

static int expect(Scanner *s, const ConfKey *k, const Value *v, ValueKind kind, const char *what)
{
    if (v->kind == kind)
        return 0;
    return fail(s, VIR_ERR_CONF_SYNTAX, "%s takes %s, not %s", k->name, what, value_kind_names[v->kind]);
}

static bool word_allowed(const ConfKey *k, const char *word)
{
    return !k->words || g_strv_contains(k->words, word);
}

static int store_int(Scanner *s, const ConfKey *k, const Value *v, int *slot)
{
    int64_t min = k->min, max = k->max;
    if (!min && !max) {
        min = INT32_MIN;
        max = INT32_MAX;
    }
    if (expect(s, k, v, VALUE_NUMBER, "a number") < 0)
        return -1;
    if (v->number < min || v->number > max)
        return fail(s, VIR_ERR_CONF_SYNTAX, "%s is %" PRId64 ", must be from %" PRId64 " to %" PRId64, k->name, v->number, min,
                    max);
    *slot = (int)v->number;
    return 0;
}

static int store_bool(Scanner *s, const ConfKey *k, const Value *v, bool *slot)
{
    if (expect(s, k, v, VALUE_NUMBER, "0 or 1") < 0)
        return -1;
    if (v->number != 0 && v->number != 1)
        return fail(s, VIR_ERR_CONF_SYNTAX, "%s takes 0 or 1, not %" PRId64, k->name, v->number);
    *slot = v->number == 1;
    return 0;
}

static int store_size(Scanner *s, const ConfKey *k, const Value *v, uint64_t *slot)
{
    if (v->kind == VALUE_TEXT && strcmp(v->text, "unlimited") == 0) {
        *slot = UINT64_MAX;
        return 0;
    }
    if (v->kind != VALUE_NUMBER || v->number < 0)
        return fail(s, VIR_ERR_CONF_SYNTAX, "%s takes a number of bytes or \"unlimited\"", k->name);
    *slot = (uint64_t)v->number;
    return 0;
}

static int store_string(Scanner *s, const ConfKey *k, const Value *v, char **slot)
{
    if (expect(s, k, v, VALUE_TEXT, "a string") < 0)
        return -1;
    if (!word_allowed(k, v->text))
        return fail_word(s, k, v->text);
    g_free(*slot);
    *slot = *v->text ? g_strdup(v->text) : NULL;
    return 0;
}

static int store_list(Scanner *s, const ConfKey *k, const Value *v, char ***slot)
{
    if (v->kind == VALUE_NUMBER)
        return expect(s, k, v, VALUE_LIST, "a list of strings");
    g_autoptr(GPtrArray) out = g_ptr_array_new_with_free_func(g_free);
    if (v->kind == VALUE_TEXT) {
        if (*v->text)
            g_ptr_array_add(out, g_strdup(v->text));
    } else {
        for (unsigned i = 0; i < v->items->len; i++)
            g_ptr_array_add(out, g_strdup(g_ptr_array_index(v->items, i)));
    }
    for (unsigned i = 0; i < out->len; i++)
        if (!word_allowed(k, g_ptr_array_index(out, i)))
            return fail_word(s, k, g_ptr_array_index(out, i));
    g_ptr_array_add(out, NULL);
    g_strfreev(*slot);
    *slot = (char **)g_ptr_array_steal(out, NULL);
    return 0;
}

static int store_enum(Scanner *s, const ConfKey *k, const Value *v, int *slot)
{
    if (expect(s, k, v, VALUE_TEXT, "a string") < 0)
        return -1;
    for (int i = 0; k->words[i]; i++) {
        if (strcmp(k->words[i], v->text) == 0) {
            *slot = i;
            return 0;
        }
    }
    return fail_word(s, k, v->text);
}

static int store_mode(Scanner *s, const ConfKey *k, const Value *v, unsigned *slot)
{
    if (expect(s, k, v, VALUE_TEXT, "permissions as a string, like \"0770\",") < 0)
        return -1;
    unsigned mode = 0;
    size_t len = strlen(v->text);
    for (size_t i = 0; i < len && i < 5; i++)
        mode = mode * 8 + (v->text[i] >= '0' && v->text[i] <= '7' ? (unsigned)(v->text[i] - '0') : 07777u);
    if (len == 0 || len > 4 || mode > 0777)
        return fail(s, VIR_ERR_CONF_SYNTAX, "%s: \"%s\" is not permissions; up to \"0777\" in octal digits", k->name, v->text);
    *slot = mode;
    return 0;
}

/* Names as /etc/services has them; whether there is such a service is seen when the port is opened. */
static bool service_name_is_valid(const char *name)
{
    bool letter = false;
    for (const char *p = name; *p; p++) {
        letter = letter || g_ascii_isalpha(*p);
        if (!g_ascii_isalnum(*p) && *p != '-' && *p != '_' && *p != '.')
            return false;
    }
    return letter && *name != '-' && strlen(name) <= 64;
}

static int store_port(Scanner *s, const ConfKey *k, const Value *v, char **slot)
{
    int64_t port = v->number;
    bool service = v->kind == VALUE_TEXT && service_name_is_valid(v->text);
    if (v->kind == VALUE_TEXT && !service) {
        char *end = NULL;
        port = g_ascii_isdigit(*v->text) ? g_ascii_strtoll(v->text, &end, 10) : -1;
        if (end && *end)
            port = -1;
    }
    if (v->kind == VALUE_LIST || (!service && (port < 1 || port > 65535)))
        return fail(s, VIR_ERR_CONF_SYNTAX, "%s takes a port number from 1 to 65535 or the name of a service", k->name);
    g_free(*slot);
    *slot = service ? g_strdup(v->text) : g_strdup_printf("%d", (int)port);
    return 0;
}

static int store(Scanner *s, const ConfKey *k, const Value *v, void *object)
{
    void *slot = (char *)object + k->offset;
    switch (k->type) {
    case CONF_BOOL:
        return store_bool(s, k, v, slot);
    case CONF_INT:
        return store_int(s, k, v, slot);
    case CONF_SIZE:
        return store_size(s, k, v, slot);
    case CONF_STRING:
        return store_string(s, k, v, slot);
    case CONF_LIST:
        return store_list(s, k, v, slot);
    case CONF_ENUM:
        return store_enum(s, k, v, slot);
    case CONF_MODE:
        return store_mode(s, k, v, slot);
    case CONF_PORT:
        return store_port(s, k, v, slot);
    case CONF_REFUSED:
    case CONF_IGNORED:
        break;
    }
    return 0;
}

/* True when the values of one row are the same in both objects. */
static bool same(const ConfKey *k, const void *a, const void *b)
{
    const void *x = (const char *)a + k->offset, *y = (const char *)b + k->offset;
    switch (k->type) {
    case CONF_BOOL:
        return *(const bool *)x == *(const bool *)y;
    case CONF_INT:
    case CONF_ENUM:
    case CONF_MODE:
        return *(const int *)x == *(const int *)y;
    case CONF_SIZE:
        return *(const uint64_t *)x == *(const uint64_t *)y;
    case CONF_STRING:
    case CONF_PORT:
        return g_strcmp0(*(char *const *)x, *(char *const *)y) == 0;
    case CONF_LIST: {
        const char *const *p = *(const char *const *const *)x, *const *q = *(const char *const *const *)y;
        return p && q ? g_strv_equal(p, q) : p == q;
    }
    case CONF_REFUSED:
    case CONF_IGNORED:
        break;
    }
    return true;
}

static void free_row(const ConfKey *k, void *object)
{
    void *slot = (char *)object + k->offset;
    if (k->type == CONF_STRING || k->type == CONF_PORT)
        g_clear_pointer((char **)slot, g_free);
    else if (k->type == CONF_LIST)
        g_clear_pointer((char ***)slot, g_strfreev);
}

static void set_preset(const ConfKey *k, void *object)
{
    g_auto(Err) err = ERR_INIT;
    g_auto(Value) v = {0};
    Scanner s = {k->preset, k->preset + strlen(k->preset), k->name, 1, &err};
    if (scan_value(&s, &v) < 0 || store(&s, k, &v, object) < 0)
        g_error("the preset of %s does not parse: %s", k->name, err.detail); /* a bug in our rows */
}

/* Compares what was just stored with what the preset gives, in the same slot of a scratch object. */
static bool is_preset(const ConfKey *k, const void *object)
{
    union {
        uint64_t number;
        void *pointer;
        char bytes[sizeof(uint64_t)];
    } slot = {0};
    ConfKey moved = *k;
    moved.offset = 0;
    if (k->preset)
        set_preset(&moved, &slot);
    bool equal = same(&moved, &slot, (const char *)object + k->offset);
    free_row(&moved, &slot);
    return equal;
}

/* ---- keys ------------------------------------------------------------------------------------------------ */

/* Edit distance, bounded: names are short. */
static unsigned distance(const char *a, const char *b)
{
    enum { MAX = 64 };
    unsigned row[MAX + 1];
    size_t la = MIN(strlen(a), (size_t)MAX), lb = MIN(strlen(b), (size_t)MAX);
    for (size_t j = 0; j <= lb; j++)
        row[j] = (unsigned)j;
    for (size_t i = 1; i <= la; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= lb; j++) {
            unsigned up = row[j];
            unsigned change = diagonal + (a[i - 1] != b[j - 1]);
            row[j] = MIN(change, MIN(up, row[j - 1]) + 1);
            diagonal = up;
        }
    }
    return row[lb];
}

static const char *nearest_key(const ConfKey *keys, const char *name)
{
    const char *best = NULL;
    unsigned best_distance = UINT32_MAX;
    for (const ConfKey *k = keys; k->name; k++) {
        unsigned d = distance(k->name, name);
        if (d < best_distance) {
            best_distance = d;
            best = k->name;
        }
    }
    return best;
}

static int parse_entry(Scanner *s, const ConfKey *keys, void *object, ConfNote *note, void *arg)
{
    const char *from = s->at;
    while (s->at < s->end && (g_ascii_isalnum(*s->at) || *s->at == '_' || *s->at == '.' || *s->at == '-'))
        s->at++;
    g_autofree char *name = g_strndup(from, MIN((size_t)(s->at - from), 80u));
    if (!*name)
        return fail(s, VIR_ERR_CONF_SYNTAX, "the name of a key is expected at the start of the line");
    skip_blanks(s);
    if (s->at == s->end || *s->at != '=')
        return fail(s, VIR_ERR_CONF_SYNTAX, "= expected after \"%s\"", name);
    s->at++;
    unsigned line = s->line;
    g_auto(Value) v = {0};
    if (scan_value(s, &v) < 0)
        return -1;
    skip_blanks(s);
    if (s->at < s->end && *s->at != '\n' && *s->at != '#')
        return fail(s, VIR_ERR_CONF_SYNTAX, "nothing may follow the value of %s on its line", name);

    Scanner at_key = *s; /* errors about the value name the line of its key */
    at_key.line = line;
    const ConfKey *k = keys;
    while (k->name && strcmp(k->name, name) != 0)
        k++;
    if (!k->name)
        return fail(&at_key, VIR_ERR_CONF_SYNTAX, "there is no key \"%s\"; the nearest is \"%s\"", name, nearest_key(keys, name));
    if (k->type == CONF_REFUSED)
        return fail(&at_key, VIR_ERR_CONFIG_UNSUPPORTED, "%s is not supported: %s", name, k->text);
    if (k->type == CONF_IGNORED) {
        if (note) {
            g_autofree char *why = g_strdup_printf("%s has no effect: %s", name, k->text);
            note(s->file, line, why, arg);
        }
        return 0;
    }
    if (store(&at_key, k, &v, object) < 0)
        return -1;
    if (!(k->flags & (CONF_FIXED | CONF_INERT)) || is_preset(k, object))
        return 0;
    if (k->flags & CONF_FIXED)
        return fail(&at_key, VIR_ERR_CONFIG_UNSUPPORTED, "%s: only %s is accepted, %s", name, k->preset ? k->preset : "nothing",
                    k->refusal);
    if (note) {
        g_autofree char *why = g_strdup_printf("%s has no effect yet: %s", name, k->refusal);
        note(s->file, line, why, arg);
    }
    return 0;
}

void conf_defaults(const ConfKey *keys, void *object)
{
    for (const ConfKey *k = keys; k->name; k++)
        if (k->preset && k->type != CONF_REFUSED && k->type != CONF_IGNORED)
            set_preset(k, object);
}

int conf_parse(const ConfKey *keys, void *object, const char *name, const char *text, size_t len, ConfNote *note, void *arg,
               Err *err)
{
    Scanner s = {text, text + len, name, 1, err};
    if (len > CONF_MAX_BYTES)
        return fail(&s, VIR_ERR_CONF_SYNTAX, "the file is larger than %u bytes", CONF_MAX_BYTES);
    if (memchr(text, 0, len))
        return fail(&s, VIR_ERR_CONF_SYNTAX, "the file holds a NUL byte");
    for (;;) {
        skip_lines(&s);
        if (s.at == s.end)
            return 0;
        if (parse_entry(&s, keys, object, note, arg) < 0)
            return -1;
    }
}

int conf_load(const ConfKey *keys, void *object, const char *path, ConfNote *note, void *arg, Err *err)
{
    g_autofree char *text = NULL;
    size_t len = 0;
    int r = file_read(path, CONF_MAX_BYTES, &text, &len);
    if (r == -ENOENT)
        return 0;
    if (r < 0)
        return err_set_errno(err, -r, "reading the configuration '%s'", path);
    return conf_parse(keys, object, path, text, len, note, arg, err);
}

void conf_free(const ConfKey *keys, void *object)
{
    for (const ConfKey *k = keys; k->name; k++)
        free_row(k, object);
}

const ConfKey *conf_next_change(const ConfKey *keys, const void *a, const void *b, unsigned *pos)
{
    while (keys[*pos].name) {
        const ConfKey *k = &keys[(*pos)++];
        if (!same(k, a, b))
            return k;
    }
    return NULL;
}
