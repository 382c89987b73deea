/* store/defs_private.h - the inside of a DefsStore; for the defs*.c files only
 */
#pragma once

#include "store/defs.h"
#include "store/defs_index.h"
#include "util/dirsync.h"

#define DEFS_SUFFIX ".xml"
/* What a file of ours begins with. */
#define DEFS_HEADER "<!--\nWritten by the daemon, "

struct DefsStore {
    char *dir;
    DefsIndex *index;
    DirSync sync; /* definitions written at the same time share it */
    DefsMove move; /* NULL: nothing else has the name of a machine */
    void *move_data;
};
