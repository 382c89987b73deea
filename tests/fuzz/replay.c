/* tests/fuzz/replay.c - runs a fuzz target without a fuzzer: its files, its seeds and simple changes of them, and documents changed
 *
 * Owns:    main() of the targets in `make check`; with arguments, only the files these name are run
 * Threads: one
 * Locks:   none
 * Errors:  a file that cannot be read ends the run with status 1; the target aborts on what it finds
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base.h"
#include "fuzz.h"

/* Values that upset length fields and tags: nothing, one, just past small bounds, signs, all ones. */
static const uint32_t words[] = {0, 1, 17, 65, 16385, 262145, 8388609, 0x7fffffff, 0x80000000, 0xfffffffc, 0xffffffff};

/* A copy of the right length, so that AddressSanitizer sees a read past the end. */
static void run(const uint8_t *data, size_t size)
{
    g_autofree uint8_t *copy = size ? g_memdup2(data, size) : NULL;
    LLVMFuzzerTestOneInput(copy, size);
}

static void run_file(const char *name, const uint8_t *data, size_t size, void *arg)
{
    run(data, size);
}

static void run_changed(uint8_t *data, size_t size)
{
    run(data, size);
    for (size_t n = 0; n < size; n++)
        run(data, n);
    for (size_t at = 0; at + sizeof(uint32_t) <= size; at += 2) {
        uint8_t saved[sizeof(uint32_t)];
        memcpy(saved, data + at, sizeof(saved));
        for (size_t w = 0; w < N_ELEMENTS(words); w++) {
            uint32_t be = g_htonl(words[w]);
            memcpy(data + at, &be, sizeof(be));
            run(data, size);
        }
        memcpy(data + at, saved, sizeof(saved));
    }
}

static unsigned run_documents(void)
{
    unsigned n = 0;
    for (const char *const *name = fuzz_documents; name && *name; name++) {
        g_autofree char *path = g_build_filename(TEST_SRCDIR, *name, NULL), *data = NULL;
        size_t size, changed_size;
        if (!g_file_get_contents(path, &data, &size, NULL))
            fuzz_check(false, path);
        unsigned changes = fuzz_xml_changes((uint8_t *)data, size);
        for (unsigned i = 0; i < changes; i++, n++) {
            g_autofree uint8_t *changed = fuzz_xml_changed((uint8_t *)data, size, i, &changed_size);
            run(changed, changed_size);
        }
    }
    return n;
}

int main(int argc, char **argv)
{
    unsigned seeds = 0;
    size_t size;
    uint8_t *seed;

    for (int i = 1; i < argc; i++) {
        g_autofree char *data = NULL;
        g_autoptr(GError) error = NULL;
        if (!g_file_get_contents(argv[i], &data, &size, &error)) {
            fprintf(stderr, "%s\n", error->message);
            return EXIT_FAILURE;
        }
        run((const uint8_t *)data, size);
    }
    if (argc > 1)
        return EXIT_SUCCESS;
    unsigned files = fuzz_each_file(run_file, NULL);
    while ((seed = fuzz_seed(seeds, &size))) {
        run_changed(seed, size);
        free(seed);
        seeds++;
    }
    unsigned changes = run_documents();
    printf("%u files, %u seeds, %u changed documents\n", files, seeds, changes);
    return EXIT_SUCCESS;
}
