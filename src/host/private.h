/* host/private.h - between the files of this folder only
 */
#pragma once

#include "util/err.h"
#include "host/hostfs.h"

/* Drops the cached topology: the next caller reads it anew. */
void topology_forget(void);
/* For tests: the UUID is found out anew. */
void node_uuid_forget(void);
/* The page sizes in a directory of "hugepages-NkB" entries and before them the base page; ascending.  Returns how many. */
unsigned topology_page_sizes(unsigned ret[], unsigned max, const char *dir);

/* nodestats.c: which cells there are; false: the host has no NUMA, its memory is cell 0. */
bool cells_online(IdSet *ret);
/* Sets the error of a cell beyond the last.  Returns -1. */
int cell_range_error(int start, const IdSet *cells, Err *err);
