/* tests/fuzz/unpack.c - lays out what a libFuzzer program starts from
 *
 * Owns:    the corpus directory and the dictionary that run.sh hands to libFuzzer
 * Threads: one
 * Locks:   none
 * Errors:  what cannot be written ends the program with status 1
 *
 * With BERTH_FUZZ_UNPACK=DIR in the environment, the target writes all its files and seeds into DIR/corpus, and the words found in those that are
 * text into DIR/dict, and ends.  Names of elements, attributes, values and keys come into the dictionary this way without a list of them.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base.h"
#include "fuzz.h"

#define WORD_MIN 3
#define WORD_MAX 32
#define WORDS_MAX 4000 /* libFuzzer picks one at random: more would make each rare */

typedef struct Unpack {
    const char *dir;
    unsigned n;
    GHashTable *words;
} Unpack;

static void write_file(const char *path, const void *data, size_t size)
{
    g_autoptr(GError) error = NULL;
    if (!g_file_set_contents(path, data, (gssize)size, &error)) {
        fprintf(stderr, "%s\n", error->message);
        exit(EXIT_FAILURE);
    }
}

static bool in_word(char c)
{
    return g_ascii_isalnum(c) || c == '_' || c == '-' || c == '.' || c == ':';
}

static void collect_words(Unpack *u, const char *text, size_t size)
{
    for (size_t at = 0; at < size; at++) {
        size_t from = at;
        while (at < size && in_word(text[at]))
            at++;
        if (at - from >= WORD_MIN && at - from <= WORD_MAX && g_hash_table_size(u->words) < WORDS_MAX)
            g_hash_table_add(u->words, g_strndup(text + from, at - from));
    }
}

static void unpack(const char *name, const uint8_t *data, size_t size, void *arg)
{
    Unpack *u = arg;
    g_autofree char *path = g_strdup_printf("%s/corpus/%04u", u->dir, u->n++);
    write_file(path, data, size);
    if (g_utf8_validate((const char *)data, (gssize)size, NULL))
        collect_words(u, (const char *)data, size);
}

static void unpack_all(const char *dir)
{
    Unpack u = {.dir = dir, .words = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL)};
    g_autofree char *corpus = g_build_filename(dir, "corpus", NULL), *dict = g_build_filename(dir, "dict", NULL);
    g_mkdir_with_parents(corpus, 0755);
    fuzz_each_file(unpack, &u);
    size_t size;
    uint8_t *seed;
    for (unsigned i = 0; (seed = fuzz_seed(i, &size)); i++) {
        unpack(NULL, seed, size, &u);
        free(seed);
    }
    g_autoptr(GString) lines = g_string_new(NULL);
    GHashTableIter it;
    gpointer word;
    g_hash_table_iter_init(&it, u.words);
    while (g_hash_table_iter_next(&it, &word, NULL))
        g_string_append_printf(lines, "\"%s\"\n", (char *)word);
    write_file(dict, lines->str, lines->len);
    g_hash_table_unref(u.words);
}

int LLVMFuzzerInitialize(int *argc, char ***argv);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    const char *dir = g_getenv("BERTH_FUZZ_UNPACK");
    if (dir) {
        unpack_all(dir);
        exit(EXIT_SUCCESS);
    }
    return 0;
}
