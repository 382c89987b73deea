/* model/support.c - the tables as documentation
 *
 * Owns:    the layout of the list of elements and attributes
 * Threads: any
 * Errors:  none
 */
#include "config.h"

#include <string.h>

#include "model/field.h"

#define DEPTH_MAX 8

static bool seen_before(const Table *t, uint32_t i)
{
    for (uint32_t k = 0; k < i; k++) {
        const Field *a = &t->fields[k], *b = &t->fields[i];
        if (a->at != AT_MEMORY && a->at != AT_FORMAT && (a->at == AT_ATTR) == (b->at == AT_ATTR) && strcmp(a->name, b->name) == 0)
            return true;
    }
    return false;
}

static void print_row(FILE *out, const char *path, const Field *f)
{
    bool attr = f->at == AT_ATTR && f->name[0] != '@';
    g_autofree char *words = f->type == T_ENUM && f->words && f->at != AT_MEMORY ? enum_list(f->words, (int)f->max) : NULL;
    const char *what = f->at == AT_REFUSE ? "refused" : f->flags & NO_START ? "refused at the start" : "supported";
    fprintf(out, "| `%s/%s%s` | %s | %s |\n", path, attr ? "@" : "", f->name, what, words ? words : "");
}

static void print_table(FILE *out, const char *path, const Table *t, int depth)
{
    for (uint32_t i = 0; i < t->n; i++) {
        const Field *f = &t->fields[i];
        if ((f->flags & STATUS) || f->at == AT_MEMORY || f->at == AT_FORMAT || f->at == AT_TEXT || seen_before(t, i))
            continue;
        print_row(out, path, f);
        /* A chain of images nests for ever. */
        if (!f->sub || depth >= DEPTH_MAX || f->sub == t)
            continue;
        g_autofree char *below = g_strdup_printf("%s/%s", path, f->name);
        print_table(out, below, f->sub, depth + 1);
    }
}

void model_support_print(FILE *out)
{
    fputs("| element or attribute | | values |\n|---|---|---|\n", out);
    print_table(out, "domain", &domain_table, 0);
    fputs("| `domain/qemu:commandline/qemu:arg/@value` | supported |  |\n"
          "| `domain/qemu:commandline/qemu:env/@name` | supported |  |\n"
          "| `domain/qemu:commandline/qemu:env/@value` | supported |  |\n", out);
}
