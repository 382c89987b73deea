/* tests/fuzz/fuzz.h - what a fuzz target defines
 *
 * Built with --enable-fuzz, a target is a libFuzzer program (`make fuzz` runs them, run.sh).  Otherwise replay.c drives it in `make check`:
 * the files of its directories, then the target's own seeds, each also cut short and with single words changed.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* The code under test on one input.  Aborts on a broken promise; refusing the input is no failure.  Returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Seed number i, in malloc'd memory; NULL: there are no more.  Small, as each is run thousands of times with changes. */
uint8_t *fuzz_seed(unsigned i, size_t *ret_size);
/* Directories, below the source tree, of files that are inputs as they are; ended by NULL. */
extern const char *const fuzz_dirs[];
/* Documents, below the source tree, that replay.c runs with each change of mutate_xml.c; ended by NULL.  Only targets that link that file have it. */
extern const char *const fuzz_documents[] __attribute__((weak));

/* ---- inputs.c ---------------------------------------------------------------------------------------------------------------- */

typedef void FuzzInputFn(const char *name, const uint8_t *data, size_t size, void *arg);

/* Calls fn for each file of fuzz_dirs, in order of their names; returns how many there were.  What cannot be read ends the program. */
unsigned fuzz_each_file(FuzzInputFn *fn, void *arg);
/* A text as a seed. */
uint8_t *fuzz_text_seed(const char *text, size_t *ret_size);
/* Ends the program with words when ok is false. */
void fuzz_check(int ok, const char *what);

/* ---- mutate_xml.c ------------------------------------------------------------------------------------------------------------ */

/* How many changes a document has; 0: it is none. */
unsigned fuzz_xml_changes(const uint8_t *data, size_t size) __attribute__((weak));
/* The document with change number i, in malloc'd memory. */
uint8_t *fuzz_xml_changed(const uint8_t *data, size_t size, unsigned i, size_t *ret_size) __attribute__((weak));
