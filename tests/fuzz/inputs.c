/* tests/fuzz/inputs.c - the inputs a target comes with
 *
 * Owns:    reading the files of fuzz_dirs
 * Threads: one
 * Locks:   none
 * Errors:  a directory or file that cannot be read ends the program with status 1
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base.h"
#include "fuzz.h"

static int by_name(gconstpointer a, gconstpointer b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static G_NORETURN void give_up(const char *words)
{
    fprintf(stderr, "%s\n", words);
    exit(EXIT_FAILURE);
}

static GPtrArray *files_of(const char *dir)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *at = g_build_filename(TEST_SRCDIR, dir, NULL);
    GDir *d = g_dir_open(at, 0, &error);
    if (!d)
        give_up(error->message);
    GPtrArray *files = g_ptr_array_new_with_free_func(g_free);
    for (const char *name; (name = g_dir_read_name(d));) {
        char *path = g_build_filename(at, name, NULL);
        if (g_file_test(path, G_FILE_TEST_IS_REGULAR))
            g_ptr_array_add(files, path);
        else
            g_free(path);
    }
    g_dir_close(d);
    g_ptr_array_sort(files, by_name);
    return files;
}

unsigned fuzz_each_file(FuzzInputFn *fn, void *arg)
{
    unsigned n = 0;
    for (const char *const *dir = fuzz_dirs; *dir; dir++) {
        g_autoptr(GPtrArray) files = files_of(*dir);
        for (unsigned i = 0; i < files->len; i++, n++) {
            g_autofree char *data = NULL;
            g_autoptr(GError) error = NULL;
            size_t size;
            if (!g_file_get_contents(files->pdata[i], &data, &size, &error))
                give_up(error->message);
            fn(files->pdata[i], (const uint8_t *)data, size, arg);
        }
    }
    return n;
}

uint8_t *fuzz_text_seed(const char *text, size_t *ret_size)
{
    *ret_size = strlen(text);
    return g_memdup2(text, *ret_size);
}

void fuzz_check(int ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "broken: %s\n", what);
        abort();
    }
}
