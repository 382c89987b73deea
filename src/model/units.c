/* model/units.c - sizes with units, and CPU sets, as XML spells them
 *
 * Owns:    the unit words
 * Threads: any
 * Errors:  VIR_ERR_XML_ERROR with the units allowed
 */
#include "config.h"

#include <inttypes.h>
#include <string.h>

#include "base.h"
#include "errors.h"
#define ERR_FROM VIR_FROM_XML
#include "model/units.h"

#define CPUSET_MAX 16384u

uint64_t unit_factor(const char *unit)
{
    static const char letters[] = "KMGTPE";
    if (g_ascii_strcasecmp(unit, "b") == 0 || g_ascii_strcasecmp(unit, "byte") == 0 || g_ascii_strcasecmp(unit, "bytes") == 0)
        return 1;
    const char *at = *unit ? strchr(letters, g_ascii_toupper(unit[0])) : NULL;
    if (!at)
        return 0;
    bool decimal = unit[1] && g_ascii_toupper(unit[1]) == 'B' && !unit[2];
    if (unit[1] && !decimal && g_ascii_strcasecmp(unit + 1, "iB") != 0)
        return 0;
    uint64_t factor = 1;
    for (const char *p = letters; p <= at; p++)
        factor *= decimal ? 1000 : 1024;
    return factor;
}

int memory_parse(ParseCtx *c, xmlNode *node, uint64_t *ret_kib)
{
    g_autofree char *text = node_text(node);
    g_autofree char *unit = node_attr(node, "unit");
    g_strstrip(text);
    uint64_t v = 0, factor = unit ? unit_factor(unit) : 1024;
    if (!factor) {
        g_autofree char *where = node_where(node);
        return err_set_full(c->err, VIR_FROM_NONE, VIR_ERR_INVALID_ARG, 0,
                            "unknown suffix '%s', allowed: b, bytes, KB, KiB, MB, MiB, GB, GiB, TB, TiB, PB, PiB, EB, EiB (%s)",
                            unit, where);
    }
    if (!parse_u64(text, 10, 0, &v))
        return bad_value(c, node, NULL, text, "a number");
    if (v > UINT64_MAX / factor || v * factor > (UINT64_C(1) << 60)) {
        g_autofree char *where = node_where(node);
        return err_set_full(c->err, VIR_FROM_NONE, VIR_ERR_OVERFLOW, 0, "value too large: %s%s%s (%s)", text, unit ? unit : "",
                            "", where);
    }
    *ret_kib = (v * factor + 1023) / 1024;
    return 0;
}

static const char *past_blanks(const char *p)
{
    return p + strspn(p, " \t\r\n");
}

char *cpuset_normalize(const char *text)
{
    g_autofree bool *set = g_new0(bool, CPUSET_MAX);
    for (const char *p = past_blanks(text); *p;) {
        bool not = *p == '^';
        uint64_t first = 0, last;
        p += not;
        size_t n = strspn(p, "0123456789");
        g_autofree char *a = g_strndup(p, n);
        if (!parse_u64(a, 10, CPUSET_MAX - 1, &first))
            return NULL;
        p = past_blanks(p + n);
        last = first;
        if (*p == '-' && !not) {
            p = past_blanks(p + 1);
            n = strspn(p, "0123456789");
            g_autofree char *b = g_strndup(p, n);
            if (!parse_u64(b, 10, CPUSET_MAX - 1, &last) || last < first)
                return NULL;
            p = past_blanks(p + n);
        }
        memset(set + first, !not, last - first + 1);
        if (*p == ',' && *past_blanks(p + 1))
            p = past_blanks(p + 1);
        else if (*p)
            return NULL;
    }
    GString *s = g_string_new(NULL);
    for (unsigned i = 0; i < CPUSET_MAX; i++) {
        if (!set[i])
            continue;
        unsigned end = i;
        while (end + 1 < CPUSET_MAX && set[end + 1])
            end++;
        g_string_append_printf(s, end > i ? "%s%u-%u" : "%s%u", s->len ? "," : "", i, end);
        i = end;
    }
    if (!s->len) {
        g_string_free(s, TRUE);
        return NULL;
    }
    return g_string_free(s, FALSE);
}
