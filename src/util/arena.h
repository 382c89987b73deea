/* util/arena.h - memory that goes all at once
 *
 * For what one call builds and its reply refers to.  Everything is freed by arena_done(); nothing singly, nothing kept beyond.
 * Belongs to one thread at a time.
 */
#pragma once

#include <stdarg.h>

#include "base.h"

typedef struct ArenaBlock ArenaBlock;

typedef struct Arena {
    ArenaBlock *blocks;
    size_t used, size; /* of the newest block */
} Arena;

/* Zero-filled memory, aligned for any type.  `n * size` must not overflow: aborts (sizes from outside are bounded before). */
void *arena_alloc(Arena *a, size_t n, size_t size);
/* NULL stays NULL. */
char *arena_strdup(Arena *a, const char *s);
void *arena_memdup(Arena *a, const void *p, size_t len);
char *arena_printf(Arena *a, const char *fmt, ...) PRINTF_LIKE(2, 3);
char *arena_vprintf(Arena *a, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
/* Takes a g_malloc'd string over: it is freed with the arena. NULL stays NULL. */
char *arena_take(Arena *a, char *s);
void arena_done(Arena *a);

#define arena_new(a, T) ((T *)arena_alloc((a), 1, sizeof(T)))
#define arena_array(a, T, n) ((T *)arena_alloc((a), (n), sizeof(T)))
