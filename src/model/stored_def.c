/* model/stored_def.c - a definition at rest: its text, and what is asked about it all the time
 *
 * Owns:    the text; nothing points into it
 * Threads: any; immutable, references are atomic
 * Errors:  those of reading; a text that was accepted once is read ever after
 */
#include "config.h"

#include <string.h>

#include "base.h"
#include "errors.h"
#define ERR_FROM VIR_FROM_DOMAIN
#include "model/stored_def.h"
#include "util/err.h"
#include "util/intern.h"

DefNumbers domain_def_numbers(const DomainDef *d)
{
    return (DefNumbers){.max_memory_kib = d->max_memory_kib,
                        .cur_memory_kib = d->cur_memory_kib,
                        .max_vcpus = d->max_vcpus,
                        .cur_vcpus = d->cur_vcpus,
                        .os_type = d->os.type ? str_intern(d->os.type) : NULL}; /* clients can say "hvm" only */
}

StoredDef *stored_def_from_text(const char *text, size_t len, const DefNumbers *numbers, const uint8_t uuid[UUID_LEN], bool plain)
{
    StoredDef *s = g_malloc(offsetof(StoredDef, text) + len + 1);
    s->refs = 1;
    s->len = (uint32_t)len;
    s->numbers = *numbers;
    memcpy(s->uuid, uuid, UUID_LEN);
    s->plain = plain;
    memcpy(s->text, text, len);
    s->text[len] = '\0';
    return s;
}

StoredDef *stored_def_new(const DomainDef *d)
{
    g_autofree char *text = domain_def_format(d, FORMAT_INACTIVE | FORMAT_SECURE);
    g_autofree char *shown = domain_def_format(d, 0);
    DefNumbers numbers = domain_def_numbers(d);
    return stored_def_from_text(text, strlen(text), &numbers, d->uuid, strcmp(text, shown) == 0);
}

StoredDef *stored_def_ref(const StoredDef *s)
{
    union {
        const StoredDef *in;
        StoredDef *out;
    } p = {.in = s};
    g_atomic_int_inc(&p.out->refs);
    return p.out;
}

void stored_def_unref(StoredDef *s)
{
    if (s && g_atomic_int_dec_and_test(&s->refs))
        g_free(s);
}

DomainDef *domain_def_parse_stored(const char *text, Err *err)
{
    g_autoptr(DomainDef) d = domain_def_parse(text, PARSE_INACTIVE | PARSE_OWN, NULL, err);
    return d && domain_def_check_whole(d, err) == 0 ? g_steal_pointer(&d) : NULL;
}

DomainDef *stored_def_parse(const StoredDef *s, Err *err)
{
    DomainDef *d = domain_def_parse(s->text, PARSE_INACTIVE | PARSE_OWN, NULL, err);
    if (!d)
        err_wrap(err, "the definition as it is stored cannot be read");
    return d;
}

bool stored_def_equal(const StoredDef *a, const StoredDef *b)
{
    return a == b || (a->len == b->len && memcmp(a->text, b->text, a->len) == 0);
}

/* The text anew from the tree (taken); `s` itself when it is the same. */
static StoredDef *anew(const StoredDef *s, DomainDef *tree)
{
    g_autoptr(DomainDef) d = tree;
    if (!d)
        return NULL;
    g_autofree char *text = domain_def_format(d, FORMAT_INACTIVE | FORMAT_SECURE);
    return strcmp(text, s->text) == 0 ? stored_def_ref(s) : stored_def_new(d);
}

StoredDef *stored_def_reread(const StoredDef *s, Err *err)
{
    return anew(s, domain_def_parse_stored(s->text, err));
}

StoredDef *stored_def_for_file(const StoredDef *s, bool *ret_fixed, Err *err)
{
    StoredDef *file = stored_def_reread(s, err);
    if (!file)
        return NULL;
    g_autoptr(StoredDef) again = file == s ? stored_def_ref(file) : stored_def_reread(file, NULL);
    *ret_fixed = again == file;
    return file;
}

StoredDef *stored_def_resort(const StoredDef *s, Err *err)
{
    DomainDef *d = stored_def_parse(s, err);
    if (d)
        domain_def_resort(d);
    return anew(s, d);
}

char *stored_def_format(const StoredDef *s, FormatFlags flags, Err *err)
{
    bool is_text = (s->plain || flags == (FORMAT_INACTIVE | FORMAT_SECURE)) && !(flags & (FORMAT_MIGRATABLE | FORMAT_STATUS));
    if (is_text)
        return g_memdup2(s->text, (gsize)s->len + 1);
    g_autoptr(DomainDef) d = stored_def_parse(s, err);
    return d ? domain_def_format(d, flags) : NULL;
}
