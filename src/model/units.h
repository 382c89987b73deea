/* model/units.h - sizes with units, and CPU sets, as XML spells them
 */
#pragma once

#include "model/field.h"

/* <x unit='MiB'>64</x> in KiB, rounded up; default unit KiB.  Attribute values: pass the attribute's text. */
int memory_parse(ParseCtx *c, xmlNode *node, uint64_t *ret_kib);
/* Unit as a factor in bytes; 0: unknown. */
uint64_t unit_factor(const char *unit);
/* "0-3,^2" in normal form ("0-1,3"); NULL when malformed.  Caller frees. */
char *cpuset_normalize(const char *text);
