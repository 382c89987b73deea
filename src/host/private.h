/* host/private.h - between the files of this folder only
 */
#pragma once

/* Drops the cached topology: the next caller reads it anew. */
void topology_forget(void);
/* For tests: the UUID is found out anew. */
void node_uuid_forget(void);
/* The page sizes in a directory of "hugepages-NkB" entries and before them the base page; ascending.  Returns how many. */
unsigned topology_page_sizes(unsigned ret[], unsigned max, const char *dir);
