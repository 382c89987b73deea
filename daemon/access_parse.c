/* daemon/access_parse.c - reading Berth's own rules
 *
 * Owns:    the language of rule files
 * Threads: any; account names are looked up, which may wait: at start and on a reload only
 * Errors:  VIR_ERR_CONF_SYNTAX "FILE:LINE: what is wrong; what is allowed"
 *
 *   rule   = ("allow" | "deny") who+ "to" permission+ ["on" object+]
 *   who    = "anyone" | "user" NAME | "group" NAME | "sasl" PATTERN | "dn" PATTERN      all must hold
 *   object = "name" PATTERN | "uuid" PATTERN                                            all must hold
 *   permission = OBJECT ":" PERMISSION | OBJECT ":*" | "*"
 *
 * Words are separated by blanks or commas, may stand in double quotes, and # starts a comment.  One rule a line.
 */
#include "config.h"

#include <errno.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>

#define ERR_FROM VIR_FROM_CONF
#include "daemon/access_rules_private.h"
#include "util/account.h"
#include "util/file.h"

#define FILE_MAX_BYTES (1u << 20)
#define RULES_MAX 10000u
#define FILES_MAX 1000u
#define WORDS_MAX 256u /* of one rule */
#define WORD_MAX 1024u /* bytes of one word */

typedef struct Reader {
    AccessRules *out;
    const char *file;
    unsigned line;
    GPtrArray *words; /* char* of the line */
    unsigned next;
    AccessNote *note;
    void *note_arg;
    Err *err;
} Reader;

static void rule_free(void *arg)
{
    Rule *r = arg;
    for (unsigned i = 0; i < r->n_terms; i++)
        g_free(r->terms[i].pattern);
    g_free(r->terms);
    g_free(r->name);
    g_free(r->uuid);
    g_free(r);
}

static AccessRules *rules_new(void)
{
    AccessRules *r = g_new0(AccessRules, 1);
    r->refs = 1;
    r->rules = g_ptr_array_new_with_free_func(rule_free);
    r->files = g_ptr_array_new_with_free_func(g_free);
    return r;
}

static int PRINTF_LIKE(2, 3) wrong(Reader *r, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    g_autofree char *text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    return err_set(r->err, VIR_ERR_CONF_SYNTAX, "%s:%u: %s", r->file, r->line, text);
}

static void PRINTF_LIKE(2, 3) remark(Reader *r, const char *fmt, ...)
{
    if (!r->note)
        return;
    va_list ap;
    va_start(ap, fmt);
    g_autofree char *text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    g_autofree char *whole = g_strdup_printf("%s:%u: %s", r->file, r->line, text);
    r->note(whole, r->note_arg);
}

/* ---- words ----------------------------------------------------------------------------------------------------------------- */

/* Cuts a line into words.  Quotes keep blanks and commas; there is no escape, a word cannot hold a quote. */
static int cut(Reader *r, const char *s, size_t len)
{
    const char *end = s + len;
    g_ptr_array_set_size(r->words, 0);
    r->next = 0;
    while (s < end) {
        if (*s == ' ' || *s == '\t' || *s == ',' || *s == '\r') {
            s++;
            continue;
        }
        if (*s == '#')
            break;
        const char *from = s;
        size_t n;
        if (*s == '"') {
            from++;
            const char *quote = memchr(from, '"', (size_t)(end - from));
            if (!quote)
                return wrong(r, "a quote is not closed on its line");
            n = (size_t)(quote - from);
            s = quote + 1;
            if (s < end && !strchr(" \t,\r#", *s))
                return wrong(r, "a blank is missing behind \"%.*s\"", (int)MIN(n, 64), from);
        } else {
            while (s < end && !strchr(" \t,\r#\"", *s))
                s++;
            n = (size_t)(s - from);
            if (s < end && *s == '"')
                return wrong(r, "a quote stands in the middle of a word");
        }
        if (n > WORD_MAX)
            return wrong(r, "a word has %zu bytes, at most %u are allowed", n, WORD_MAX);
        if (r->words->len == WORDS_MAX)
            return wrong(r, "a rule has at most %u words; use two rules", WORDS_MAX);
        if (!g_utf8_validate(from, (gssize)n, NULL))
            return wrong(r, "this is not UTF-8 text");
        g_ptr_array_add(r->words, g_strndup(from, n));
    }
    return 0;
}

static const char *peek(const Reader *r)
{
    return r->next < r->words->len ? r->words->pdata[r->next] : NULL;
}

static bool take(Reader *r, const char *word)
{
    const char *w = peek(r);
    if (!w || strcmp(w, word) != 0)
        return false;
    r->next++;
    return true;
}

/* The word behind a keyword. */
static const char *value_of(Reader *r, const char *keyword)
{
    const char *w = peek(r);
    if (!w || !*w) {
        wrong(r, "\"%s\" wants a value behind it", keyword);
        return NULL;
    }
    r->next++;
    return w;
}

/* ---- who ------------------------------------------------------------------------------------------------------------------- */

/* 1 found, 0 no such account, -1 the accounts cannot be asked. */
static int find_id(Reader *r, TermKind kind, const char *name, uint32_t *ret)
{
    char *end;
    errno = 0;
    guint64 n = g_ascii_strtoull(name, &end, 10);
    if (g_ascii_isdigit(*name) && !*end) {
        if (errno || n >= UINT32_MAX)
            return wrong(r, "%s is no account's number", name);
        *ret = (uint32_t)n;
        return 1;
    }
    g_autofree char *buf = g_malloc(65536);
    struct passwd pw, *user = NULL;
    bool group = false;
    int e = kind == TERM_USER ? getpwnam_r(name, &pw, buf, 65536, &user) : account_find_group(name, ret, &group);
    if (user)
        *ret = user->pw_uid;
    else if (!group && e != 0 && e != ENOENT && e != ESRCH && e != EBADF && e != EPERM)
        return wrong(r, "looking up %s %s: %s", kind == TERM_USER ? "user" : "group", name, g_strerror(e));
    return user || group;
}

/* One term; 1 found, 0 there is none, -1. */
static int read_term(Reader *r, const Rule *rule, RuleTerm *t)
{
    static const char *const words[TERM_MAX] = {"anyone", "user", "group", "sasl", "dn"};
    for (t->kind = 0; t->kind < TERM_MAX; t->kind++)
        if (take(r, words[t->kind]))
            break;
    if (t->kind == TERM_MAX)
        return 0;
    if (t->kind == TERM_ANYONE)
        return 1;
    const char *value = value_of(r, words[t->kind]);
    if (!value)
        return -1;
    if (t->kind == TERM_SASL || t->kind == TERM_DN) {
        t->pattern = g_strdup(value);
        return 1;
    }
    int found = find_id(r, t->kind, value, &t->id);
    if (found < 0)
        return -1;
    t->known = found;
    /* A name that is not found makes a rule that fits nobody.  That is safe for one that allows, and not for one that refuses. */
    if (!found && !rule->allow)
        return wrong(r, "there is no %s %s, so this refuses nobody; correct the name or remove the rule", words[t->kind], value);
    if (!found)
        remark(r, "there is no %s %s: the rule fits nobody", words[t->kind], value);
    return 1;
}

static int read_who(Reader *r, Rule *rule)
{
    for (;;) {
        RuleTerm t = {0};
        int got = read_term(r, rule, &t);
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        rule->terms = g_renew(RuleTerm, rule->terms, rule->n_terms + 1);
        rule->terms[rule->n_terms++] = t;
    }
    if (rule->n_terms == 0 || !take(r, "to"))
        return wrong(r, "%s%s%s is not understood; allowed here: anyone, user NAME, group NAME, sasl PATTERN, dn PATTERN%s",
                     peek(r) ? "\"" : "", peek(r) ? peek(r) : "the end of the line", peek(r) ? "\"" : "",
                     rule->n_terms ? ", and then \"to\"" : "");
    return 0;
}

/* ---- what ------------------------------------------------------------------------------------------------------------------ */

static void add_perm(Rule *rule, Perm p)
{
    rule->perms[p / 64] |= UINT64_C(1) << (p % 64);
}

/* Names for an error: the permissions of `object`, or the kinds of object when it is NULL. */
static char *names_of(const char *object)
{
    g_autoptr(GString) s = g_string_new("*");
    const char *last = "";
    for (Perm p = PERM_NONE + 1; p < PERM_MAX; p++) {
        const PermInfo *info = perm_info(p);
        if (object ? strcmp(info->object, object) == 0 : strcmp(info->object, last) != 0)
            g_string_append_printf(s, ", %s", object ? info->permission : info->object);
        last = info->object;
    }
    return g_string_free(g_steal_pointer(&s), FALSE);
}

static bool same_word(const char *a, const char *b)
{
    while (*a && (*a == *b || (*a == '-' && *b == '_')))
        a++, b++;
    return !*a && !*b;
}

static int read_perm(Reader *r, Rule *rule, const char *word)
{
    if (strcmp(word, "*") == 0) {
        for (Perm p = PERM_NONE + 1; p < PERM_MAX; p++)
            add_perm(rule, p);
        return 0;
    }
    const char *colon = strchr(word, ':');
    if (!colon)
        return wrong(r, "\"%s\" is no permission; it is OBJECT:PERMISSION, OBJECT:* or *", word);
    g_autofree char *object = g_strndup(word, (gsize)(colon - word));
    bool any = strcmp(colon + 1, "*") == 0, known = false, found = false;
    g_strdelimit(object, "-", '_');
    for (Perm p = PERM_NONE + 1; p < PERM_MAX; p++) {
        const PermInfo *info = perm_info(p);
        if (strcmp(info->object, object) != 0)
            continue;
        known = true;
        if (any || same_word(colon + 1, info->permission)) {
            add_perm(rule, p);
            found = true;
        }
    }
    if (found)
        return 0;
    g_autofree char *names = names_of(known ? object : NULL);
    if (!known)
        return wrong(r, "\"%s\" is no kind of object; allowed: %s", object, names);
    return wrong(r, "\"%s\" is no permission of %s; allowed: %s", colon + 1, object, names);
}

static void drop_connect(Rule *rule)
{
    for (Perm p = PERM_NONE + 1; p < PERM_MAX; p++)
        if (strcmp(perm_info(p)->object, "connect") == 0)
            rule->perms[p / 64] &= ~(UINT64_C(1) << (p % 64));
}

static int read_what(Reader *r, Rule *rule)
{
    bool host = false;
    unsigned n = 0;
    for (const char *w; (w = peek(r)) && strcmp(w, "on") != 0; n++) {
        if (read_perm(r, rule, w) < 0)
            return -1;
        host = host || g_str_has_prefix(w, "connect:");
        r->next++;
    }
    if (n == 0)
        return wrong(r, "behind \"to\" comes at least one permission: OBJECT:PERMISSION, OBJECT:* or *");
    if (!peek(r))
        return 0;
    take(r, "on");
    while (peek(r)) {
        bool name = take(r, "name");
        if (!name && !take(r, "uuid"))
            return wrong(r, "\"%s\" is not understood; allowed here: name PATTERN, uuid PATTERN", peek(r));
        const char *value = value_of(r, name ? "name" : "uuid");
        if (!value)
            return -1;
        char **slot = name ? &rule->name : &rule->uuid;
        if (*slot)
            return wrong(r, "\"%s\" stands here twice; use two rules", name ? "name" : "uuid");
        *slot = name ? g_strdup(value) : g_ascii_strdown(value, -1);
        if (!name && strspn(*slot, "0123456789abcdef-*?") != strlen(*slot))
            return wrong(r, "\"%s\" can be no UUID; hexadecimal digits, dashes, * and ? are allowed", value);
    }
    if (!rule->name && !rule->uuid)
        return wrong(r, "behind \"on\" comes name PATTERN or uuid PATTERN");
    if (host)
        return wrong(r, "a permission of connect concerns the whole host and cannot be limited with \"on\"; use two rules");
    drop_connect(rule); /* what * brought */
    return 0;
}

/* ---- lines and files ------------------------------------------------------------------------------------------------------- */

static int read_rule(Reader *r)
{
    bool allow = take(r, "allow");
    if (!allow && !take(r, "deny"))
        return wrong(r, "\"%s\" begins no rule; allowed: allow, deny", peek(r));
    if (r->out->rules->len == RULES_MAX)
        return wrong(r, "there are more than %u rules", RULES_MAX);
    Rule *rule = g_new0(Rule, 1);
    rule->allow = allow;
    rule->file = r->file;
    rule->line = r->line;
    g_ptr_array_add(r->out->rules, rule);
    return read_who(r, rule) < 0 || read_what(r, rule) < 0 ? -1 : 0;
}

static int read_text(Reader *r, const char *name, const char *text, size_t len)
{
    char *file = g_strdup(name);
    g_ptr_array_add(r->out->files, file);
    r->file = file;
    r->line = 0;
    if (memchr(text, 0, len))
        return err_set(r->err, VIR_ERR_CONF_SYNTAX, "%s: this is no text file", name);
    for (const char *end = text + len; text < end;) {
        const char *nl = memchr(text, '\n', (size_t)(end - text));
        size_t n = nl ? (size_t)(nl - text) : (size_t)(end - text);
        r->line++;
        if (cut(r, text, n) < 0 || (r->words->len && read_rule(r) < 0))
            return -1;
        text += n + 1;
        if (!nl)
            break;
    }
    return 0;
}

static int read_file(Reader *r, const char *path)
{
    g_autofree char *text = NULL;
    size_t len;
    struct stat sb;
    if (stat(path, &sb) == 0 && sb.st_mode & 022)
        return err_set(r->err, VIR_ERR_CONF_SYNTAX, "%s: others than its owner may write to it (mode %04o); chmod go-w makes it fit for rules",
                       path, sb.st_mode & 07777u);
    int e = file_read(path, FILE_MAX_BYTES, &text, &len);
    if (e < 0)
        return err_set_errno(r->err, -e, "reading the access rules %s", path);
    return read_text(r, path, text, len);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int read_dir(Reader *r, const char *path)
{
    g_autoptr(GError) gerr = NULL;
    GDir *dir = g_dir_open(path, 0, &gerr);
    if (!dir)
        return err_set(r->err, VIR_ERR_CONF_SYNTAX, "reading the access rules: %s", gerr->message);
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    for (const char *n; (n = g_dir_read_name(dir)) && names->len <= FILES_MAX;) {
        if (g_str_has_suffix(n, ".rules") && *n != '.')
            g_ptr_array_add(names, g_strdup(n));
        else if (*n != '.' && r->note) {
            g_autofree char *text = g_strdup_printf("%s/%s: not read, names of rule files end in .rules", path, n);
            r->note(text, r->note_arg);
        }
    }
    g_dir_close(dir);
    if (names->len > FILES_MAX)
        return err_set(r->err, VIR_ERR_CONF_SYNTAX, "%s: more than %u rule files", path, FILES_MAX);
    g_ptr_array_sort(names, by_name);
    for (unsigned i = 0; i < names->len; i++) {
        g_autofree char *file = g_build_filename(path, names->pdata[i], NULL);
        if (read_file(r, file) < 0)
            return -1;
    }
    return 0;
}

static AccessRules *finish(Reader *r, int result)
{
    g_ptr_array_unref(r->words);
    return result < 0 ? access_rules_unref(r->out) : r->out;
}

static Reader reader_for(AccessNote *note, void *arg, Err *err)
{
    return (Reader){.out = rules_new(), .words = g_ptr_array_new_with_free_func(g_free), .note = note, .note_arg = arg, .err = err};
}

AccessRules *access_rules_parse(const char *name, const char *text, size_t len, AccessNote *note, void *arg, Err *err)
{
    Reader r = reader_for(note, arg, err);
    return finish(&r, read_text(&r, name, text, len));
}

AccessRules *access_rules_load(const char *path, AccessNote *note, void *arg, Err *err)
{
    Reader r = reader_for(note, arg, err);
    struct stat sb;
    int result = 0;
    if (stat(path, &sb) == 0)
        result = S_ISDIR(sb.st_mode) ? read_dir(&r, path) : read_file(&r, path);
    else if (errno != ENOENT)
        result = err_set_errno(err, errno, "reading the access rules %s", path);
    return finish(&r, result);
}
