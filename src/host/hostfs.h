/* host/hostfs.h - small bounded reads of /proc and /sys, for the files of this folder
 *
 * Paths begin with '/' and are taken below a root that tests may move.  Content is never trusted: text beyond the bound or with a NUL
 * is refused, numbers are decimal and complete, lists of cpus stay below their cap.  0 or a negative errno unless said otherwise.
 */
#pragma once

#include "base.h"

#define HOSTFS_SMALL 4096u     /* one value or one line */
#define HOSTFS_MEDIUM 65536u   /* a page of "key: value" lines */

/* For tests, before any thread runs: a directory instead of "/"; NULL: "/" again.  Drops what is cached (topology.c). */
void hostfs_set_root(const char *dir);
/* The path below the root.  Caller frees. */
char *hostfs_path(const char *fmt, ...) PRINTF_LIKE(1, 2);

/* The file's text without trailing white space; -EFBIG beyond `max` bytes, -EBADMSG with a NUL inside.  Caller frees. */
int hostfs_read(char **ret, size_t max, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* As hostfs_read(), but of a longer file its first `max` bytes, up to the end of a line. */
int hostfs_read_head(char **ret, size_t max, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* A file of one line, in one read and without the heap: for what is read by the hundred.  `size` counts the end; -EFBIG when it is all used. */
int hostfs_read_short(char *buf, size_t size, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* A file that holds one decimal number. */
int hostfs_number(unsigned long long *ret, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* The same with a sign allowed, within int. */
int hostfs_int(int *ret, const char *fmt, ...) PRINTF_LIKE(2, 3);
bool hostfs_exists(const char *fmt, ...) PRINTF_LIKE(1, 2);

/* Reads a decimal number at *at and moves *at behind it; false (nothing moved) when there is none or it overflows. */
bool text_number(const char **at, unsigned long long *ret);
/* The number behind `key` ("MemTotal:") in lines of "key value" or "words key value"; false if there is none. */
bool text_field(const char *text, const char *key, unsigned long long *ret);

/* ---- sets of small integers */

#define IDSET_MAX 8192u

typedef struct IdSet {
    uint64_t w[IDSET_MAX / 64];
} IdSet;

static inline bool idset_has(const IdSet *s, unsigned i)
{
    return i < IDSET_MAX && (s->w[i / 64] >> (i % 64) & 1);
}

static inline void idset_add(IdSet *s, unsigned i)
{
    s->w[i / 64] |= UINT64_C(1) << (i % 64);
}

unsigned idset_count(const IdSet *s);
void idset_and(IdSet *s, const IdSet *other);
/* First member >= from, or IDSET_MAX. */
unsigned idset_next(const IdSet *s, unsigned from);
/* "0-3,5": all members below `max`, else -EBADMSG.  Nothing at all is the empty set. */
int idset_parse(const char *text, unsigned max, IdSet *ret);
/* The canonical text of a set.  Caller frees. */
char *idset_format(const IdSet *s);
int hostfs_idset(IdSet *ret, unsigned max, const char *fmt, ...) PRINTF_LIKE(3, 4);

#define IDSET_EACH(i, set) for (unsigned i = idset_next((set), 0); i < IDSET_MAX; i = idset_next((set), i + 1))
