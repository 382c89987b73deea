/* tests/fuzz/fuzz.h - what a fuzz target defines
 *
 * Built with --enable-fuzz, a target is a libFuzzer program.  Otherwise replay.c drives it: the files named on the command line, then
 * the target's own seeds, each also cut short and with single words changed.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* The code under test on one input.  Aborts on a broken promise; refusing the input is no failure.  Returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Seed number i for replay.c, in malloc'd memory; NULL: there are no more. */
uint8_t *fuzz_seed(unsigned i, size_t *ret_size);
