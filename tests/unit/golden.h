/* unit/golden.h - the golden definitions of tests/golden/argv and what tests of the QEMU layer share
 */
#pragma once

#include <stdio.h>
#include <string.h>

#include "model/domain_def.h"
#include "qemu/caps.h"

#define GOLDEN_QEMU "/usr/bin/qemu-system-x86_64"

static inline int golden_compare(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Names of all "*.xml" in the folder, without the suffix, sorted; NULL-ended.  Caller frees with g_strfreev. */
static inline char **golden_names(void)
{
    GPtrArray *a = g_ptr_array_new();
    g_autoptr(GDir) d = g_dir_open(GOLDEN_DIR, 0, NULL);
    const char *n;
    while (d && (n = g_dir_read_name(d))) {
        if (g_str_has_suffix(n, ".xml"))
            g_ptr_array_add(a, g_strndup(n, strlen(n) - 4));
    }
    g_ptr_array_sort(a, golden_compare);
    g_ptr_array_add(a, NULL);
    return (char **)g_ptr_array_free(a, FALSE);
}

static inline char *golden_read(const char *name, const char *suffix)
{
    g_autofree char *path = g_strdup_printf("%s/%s%s", GOLDEN_DIR, name, suffix);
    char *text = NULL;
    g_file_get_contents(path, &text, NULL, NULL);
    return text;
}
