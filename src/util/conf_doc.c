/* util/conf_doc.c - sample file and man page from the rows of a configuration
 *
 * Owns:    how a row reads to people; not what it means (conf.c)
 * Threads: any; no state
 */
#include "config.h"

#include <inttypes.h>
#include <string.h>

#include "util/conf.h"

#define SAMPLE_WIDTH 78

/* Appends `text` broken at blanks, each line after `prefix`. */
static void wrap(GString *out, const char *prefix, const char *text)
{
    size_t column = 0;
    g_auto(GStrv) words = g_strsplit(text, " ", -1);
    for (char **w = words; *w; w++) {
        size_t len = strlen(*w);
        if (column && column + 1 + len > SAMPLE_WIDTH) {
            g_string_append_c(out, '\n');
            column = 0;
        }
        if (!column) {
            g_string_append(out, prefix);
            column = strlen(prefix);
        } else {
            g_string_append_c(out, ' ');
            column++;
        }
        g_string_append(out, *w);
        column += len;
    }
    g_string_append_c(out, '\n');
}

/* "0 or 1", "from 5 to 10", "one of: a, b"; NULL where nothing is to be said. */
static char *bounds_text(const ConfKey *k)
{
    if (k->flags & CONF_FIXED)
        return g_strdup_printf("Only %s is accepted: %s.", k->preset ? k->preset : "an empty value", k->refusal);
    if (k->words) {
        g_autofree char *words = g_strjoinv(", ", (char **)(uintptr_t)k->words);
        return g_strdup_printf("Allowed: %s.", *words ? words : "an empty list");
    }
    if (k->type == CONF_BOOL)
        return g_strdup("0 or 1.");
    if (k->type == CONF_INT && (k->min || k->max))
        return g_strdup_printf("From %" PRId64 " to %" PRId64 ".", k->min, k->max);
    if (k->type == CONF_SIZE)
        return g_strdup("A number of bytes, or \"unlimited\".");
    return NULL;
}

static const char *shown_value(const ConfKey *k)
{
    if (k->example)
        return k->example;
    if (k->preset)
        return k->preset;
    switch (k->type) {
    case CONF_STRING:
        return "\"\"";
    case CONF_LIST:
        return "[ ]";
    default:
        return "0";
    }
}

static char *reload_text(const ConfKey *k)
{
    if (k->flags & CONF_INERT)
        return g_strdup_printf("No effect yet: %s.", k->refusal);
    return g_strdup(k->flags & CONF_RELOAD ? "Applied on reload." : "Needs a restart.");
}

char *conf_sample(const ConfKey *keys, const char *intro)
{
    GString *out = g_string_new(NULL);
    g_auto(GStrv) paragraphs = g_strsplit(intro, "\n", -1);
    for (char **p = paragraphs; *p; p++) {
        if (**p)
            wrap(out, "# ", *p);
        else
            g_string_append(out, "#\n");
    }
    for (const ConfKey *k = keys; k->name; k++) {
        if (k->heading)
            g_string_append_printf(out, "\n#\n# ---- %s ----\n#\n", k->heading);
        g_string_append_c(out, '\n');
        if (k->type == CONF_REFUSED || k->type == CONF_IGNORED) {
            g_autofree char *line = g_strdup_printf("%s: %s: %s", k->name,
                                                    k->type == CONF_REFUSED ? "refused" : "accepted without effect", k->text);
            wrap(out, "# ", line);
            continue;
        }
        wrap(out, "# ", k->text);
        g_autofree char *bounds = bounds_text(k);
        g_autofree char *reload = reload_text(k);
        g_autofree char *more = g_strdup_printf("%s%s%s", bounds ? bounds : "", bounds ? " " : "", reload);
        wrap(out, "# ", more);
        if (!k->preset)
            g_string_append(out, "# Not set by default.\n");
        g_string_append_printf(out, "#%s = %s\n", k->name, shown_value(k));
    }
    return g_string_free(out, FALSE);
}

/* Text for mdoc: no line may start with a control character, backslashes are escaped; one sentence a line. */
static void man_text(GString *out, const char *text)
{
    bool line_start = true;
    for (const char *p = text; *p; p++) {
        if (line_start && (*p == '.' || *p == '\''))
            g_string_append(out, "\\&");
        line_start = false;
        if (*p == '\\') {
            g_string_append(out, "\\e");
        } else if (*p == '.' && p[1] == ' ' && g_ascii_isupper(p[2])) {
            g_string_append(out, ".\n");
            p++;
            line_start = true;
        } else {
            g_string_append_c(out, *p);
        }
    }
    g_string_append_c(out, '\n');
}

char *conf_man(const ConfKey *keys)
{
    GString *out = g_string_new(NULL);
    bool open = false;
    for (const ConfKey *k = keys; k->name; k++) {
        if (k->heading || !open) {
            g_string_append_printf(out, "%s.Ss %s\n.Bl -tag -width Ds\n", open ? ".El\n" : "", k->heading ? k->heading : "Keys");
            open = true;
        }
        g_string_append_printf(out, ".It Ic %s", k->name);
        if (k->type == CONF_REFUSED || k->type == CONF_IGNORED) {
            g_string_append_printf(out, "\n%s\n", k->type == CONF_REFUSED ? "Refused:" : "Accepted without effect:");
            man_text(out, k->text);
            continue;
        }
        if (k->preset) {
            g_string_append(out, " No = ");
            for (const char *p = k->preset; *p; p++) {
                if (*p == '"')
                    g_string_append(out, "\\(dq");
                else
                    g_string_append_c(out, *p);
            }
        }
        g_string_append_c(out, '\n');
        man_text(out, k->text);
        g_autofree char *bounds = bounds_text(k);
        if (bounds)
            man_text(out, bounds);
        g_autofree char *reload = reload_text(k);
        man_text(out, reload);
    }
    if (open)
        g_string_append(out, ".El\n");
    return g_string_free(out, FALSE);
}
