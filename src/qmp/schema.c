/* qmp/schema.c - QEMU's own description of its QMP interface
 *
 * Owns:    QmpSchema: entries by name (members, variants and element types refer to entries by name)
 * Threads: immutable once made
 * Errors:  VIR_ERR_INTERNAL_ERROR naming the path
 */
#include "config.h"

#include <string.h>

#include "qmp/schema.h"

/* Types of QEMU's schema nest less than this; a bound because the entries come from outside. */
#define SCHEMA_MAX_DEPTH 64u

struct QmpSchema {
    json_t *entries;    /* the array; keeps the rest alive */
    GHashTable *by_name; /* name -> entry (borrowed) */
};

static const char *str_of(json_t *obj, const char *key)
{
    return json_string_value(json_object_get(obj, key));
}

QmpSchema *qmp_schema_new(json_t *answer, Err *err)
{
    if (!json_is_array(answer) || json_array_size(answer) == 0) {
        err_set(err, VIR_ERR_INTERNAL_ERROR, "QEMU's QMP schema is not a list");
        return NULL;
    }
    QmpSchema *s = g_new0(QmpSchema, 1);
    s->entries = json_incref(answer);
    s->by_name = g_hash_table_new(g_str_hash, g_str_equal);
    size_t i;
    json_t *entry;
    json_array_foreach (answer, i, entry) {
        const char *name = str_of(entry, "name");
        if (!name || !str_of(entry, "meta-type")) {
            err_set(err, VIR_ERR_INTERNAL_ERROR, "QEMU's QMP schema has an entry without name or type");
            return qmp_schema_free(s);
        }
        /* Spelled-out insertion: the key is the entry's own string, alive as long as the array. */
        g_hash_table_insert(s->by_name, (void *)(uintptr_t)name, entry);
    }
    return s;
}

void *qmp_schema_free(QmpSchema *s)
{
    if (!s)
        return NULL;
    g_hash_table_unref(s->by_name);
    json_decref(s->entries);
    g_free(s);
    return NULL;
}

static json_t *entry_of(const QmpSchema *s, const char *name)
{
    return name ? g_hash_table_lookup(s->by_name, name) : NULL;
}

static bool meta_is(json_t *entry, const char *meta)
{
    return g_strcmp0(str_of(entry, "meta-type"), meta) == 0;
}

/* Looks through arrays. */
static json_t *element_of(const QmpSchema *s, json_t *entry)
{
    for (unsigned i = 0; i < SCHEMA_MAX_DEPTH && meta_is(entry, "array"); i++)
        entry = entry_of(s, str_of(entry, "element-type"));
    return entry;
}

/* The element of an array of objects whose `key` is `value`. */
static json_t *find_in(json_t *array, const char *key, const char *value)
{
    size_t i;
    json_t *el;
    json_array_foreach (array, i, el) {
        if (g_strcmp0(str_of(el, key), value) == 0)
            return el;
    }
    return NULL;
}

static json_t *member_of(const QmpSchema *s, json_t *object, const char *name)
{
    json_t *m = find_in(json_object_get(object, "members"), "name", name);
    return m ? entry_of(s, str_of(m, "type")) : NULL;
}

static bool enum_has(json_t *entry, const char *value)
{
    size_t i;
    json_t *el;
    json_array_foreach (json_object_get(entry, "values"), i, el) {
        if (g_strcmp0(json_string_value(el), value) == 0)
            return true;
    }
    return false;
}

/* Value of an enumeration, branch of a union, or alternative that is an enumeration with it. */
static bool entry_has_value(const QmpSchema *s, json_t *entry, const char *value)
{
    if (meta_is(entry, "enum"))
        return enum_has(entry, value);
    if (meta_is(entry, "object")) {
        const char *tag = str_of(entry, "tag");
        return tag && enum_has(member_of(s, entry, tag), value);
    }
    size_t i;
    json_t *el;
    json_array_foreach (json_object_get(entry, "members"), i, el) {
        json_t *alt = entry_of(s, str_of(el, "type"));
        if (alt && meta_is(alt, "enum") && enum_has(alt, value))
            return true;
    }
    return false;
}

bool qmp_schema_has(const QmpSchema *s, const char *path)
{
    g_auto(GStrv) parts = g_strsplit(path, "/", -1);
    bool of_return = parts[0] && g_str_has_suffix(parts[0], "->");
    if (of_return)
        parts[0][strlen(parts[0]) - 2] = '\0';
    json_t *entry = parts[0] ? entry_of(s, parts[0]) : NULL;
    if (!entry || (!meta_is(entry, "command") && !meta_is(entry, "event")))
        return false;
    if (!parts[1])
        return true;
    entry = entry_of(s, str_of(entry, of_return ? "ret-type" : "arg-type"));
    for (unsigned i = 1; parts[i] && entry; i++) {
        char *part = parts[i];
        entry = element_of(s, entry);
        char *eq = strchr(part, '=');
        if (eq)
            *eq = '\0';
        const char *value = eq ? eq + 1 : NULL;
        if (part[0] == '+') {
            if (!value || g_strcmp0(str_of(entry, "tag"), part + 1) != 0 || !entry_has_value(s, entry, value))
                return false;
            json_t *v = find_in(json_object_get(entry, "variants"), "case", value);
            if (!v)
                return !parts[i + 1]; /* a branch without members of its own */
            entry = entry_of(s, str_of(v, "type"));
            continue;
        }
        entry = element_of(s, member_of(s, entry, part));
        if (value && (!entry || !entry_has_value(s, entry, value)))
            return false;
    }
    return entry != NULL;
}

/* ---- checking values */

typedef struct Check {
    const QmpSchema *s;
    GString *path;
    unsigned depth;
    Err *err;
} Check;

static int check_value(Check *k, const char *type, json_t *v);

static int offence(Check *k, const char *what)
{
    return err_set(k->err, VIR_ERR_INTERNAL_ERROR, "%s: %s", k->path->str, what);
}

static int check_builtin(Check *k, json_t *entry, json_t *v)
{
    const char *t = str_of(entry, "json-type");
    bool ok = g_strcmp0(t, "value") == 0 || (g_strcmp0(t, "string") == 0 && json_is_string(v)) ||
              (g_strcmp0(t, "int") == 0 && json_is_integer(v)) || (g_strcmp0(t, "number") == 0 && json_is_number(v)) ||
              (g_strcmp0(t, "boolean") == 0 && json_is_boolean(v)) || (g_strcmp0(t, "null") == 0 && json_is_null(v)) ||
              (g_strcmp0(t, "object") == 0 && json_is_object(v)) || (g_strcmp0(t, "array") == 0 && json_is_array(v));
    if (ok)
        return 0;
    g_autofree char *what = g_strdup_printf("wants %s", t ? t : "something else");
    return offence(k, what);
}

/* Adds the members one object type allows to `known` (name -> member), following the variant its tag selects. */
static int collect_members(Check *k, json_t *entry, json_t *v, GHashTable *known, unsigned depth)
{
    if (depth > SCHEMA_MAX_DEPTH)
        return offence(k, "the schema is circular");
    size_t i;
    json_t *m;
    json_array_foreach (json_object_get(entry, "members"), i, m) {
        const char *name = str_of(m, "name");
        if (!name)
            return offence(k, "has a member without name in the schema");
        g_hash_table_insert(known, (void *)(uintptr_t)name, m);
    }
    const char *tag = str_of(entry, "tag");
    if (!tag)
        return 0;
    const char *chosen = str_of(v, tag);
    if (!chosen && !json_object_get(find_in(json_object_get(entry, "members"), "name", tag), "default"))
        return offence(k, "lacks the member that selects its kind");
    json_t *variant = chosen ? find_in(json_object_get(entry, "variants"), "case", chosen) : NULL;
    json_t *branch = variant ? entry_of(k->s, str_of(variant, "type")) : NULL;
    return branch ? collect_members(k, branch, v, known, depth + 1) : 0;
}

static int check_object(Check *k, json_t *entry, json_t *v, bool open)
{
    if (!json_is_object(v))
        return offence(k, "wants an object");
    g_autoptr(GHashTable) known = g_hash_table_new(g_str_hash, g_str_equal);
    if (collect_members(k, entry, v, known, 0) < 0)
        return -1;
    const char *key;
    json_t *el;
    json_object_foreach (v, key, el) {
        json_t *m = g_hash_table_lookup(known, key);
        size_t len = k->path->len;
        g_string_append_printf(k->path, "/%s", key);
        if (!m && !open)
            return offence(k, "no such member");
        if (m && check_value(k, str_of(m, "type"), el) < 0)
            return -1;
        g_string_truncate(k->path, len);
    }
    GHashTableIter it;
    void *name, *m;
    g_hash_table_iter_init(&it, known);
    while (g_hash_table_iter_next(&it, &name, &m)) {
        if (json_object_get(m, "default") || json_object_get(v, name))
            continue;
        g_autofree char *what = g_strdup_printf("lacks '%s'", (const char *)name);
        return offence(k, what);
    }
    return 0;
}

static int check_alternate(Check *k, json_t *entry, json_t *v)
{
    size_t i;
    json_t *m;
    json_array_foreach (json_object_get(entry, "members"), i, m) {
        g_auto(Err) err = ERR_INIT;
        g_autoptr(GString) path = g_string_new(k->path->str);
        Check sub = {.s = k->s, .path = path, .depth = k->depth, .err = &err};
        if (check_value(&sub, str_of(m, "type"), v) == 0)
            return 0;
    }
    return offence(k, "fits none of the alternatives");
}

static int check_value(Check *k, const char *type, json_t *v)
{
    json_t *entry = entry_of(k->s, type);
    if (!entry || k->depth >= SCHEMA_MAX_DEPTH)
        return offence(k, "has a type that is not in the schema");
    k->depth++;
    int r = 0;
    if (meta_is(entry, "builtin"))
        r = check_builtin(k, entry, v);
    else if (meta_is(entry, "object"))
        r = check_object(k, entry, v, false);
    else if (meta_is(entry, "alternate"))
        r = check_alternate(k, entry, v);
    else if (meta_is(entry, "enum") && (!json_is_string(v) || !enum_has(entry, json_string_value(v))))
        r = offence(k, "is not a value of the enumeration");
    else if (meta_is(entry, "array") && !json_is_array(v))
        r = offence(k, "wants an array");
    else if (meta_is(entry, "array")) {
        for (size_t i = 0; r == 0 && i < json_array_size(v); i++)
            r = check_value(k, str_of(entry, "element-type"), json_array_get(v, i));
    }
    k->depth--;
    return r;
}

int qmp_schema_check(const QmpSchema *s, const char *command, json_t *args, Err *err)
{
    json_t *entry = entry_of(s, command);
    if (!entry || !meta_is(entry, "command"))
        return err_set(err, VIR_ERR_INTERNAL_ERROR, "no QMP command '%s'", command);
    g_autoptr(GString) path = g_string_new(command);
    Check k = {.s = s, .path = path, .err = err};
    json_t *arg_type = entry_of(s, str_of(entry, "arg-type"));
    json_t *empty = args ? NULL : json_object();
    int r = arg_type ? check_object(&k, arg_type, args ? args : empty, strcmp(command, "device_add") == 0) : 0;
    json_decref(empty);
    return r;
}
