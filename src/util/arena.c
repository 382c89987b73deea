/* util/arena.c - memory that goes all at once
 *
 * Owns:    a list of blocks; an allocation larger than a quarter block gets a block of its own
 */
#include "config.h"

#include <string.h>

#include "util/arena.h"

#define BLOCK_SIZE 4096u
#define ALIGN 16u
#define SHORT_TEXT 128u /* printed without an allocation of its own */

struct ArenaBlock {
    ArenaBlock *next;
    void *taken; /* g_malloc'd memory owned by the arena, or NULL */
    max_align_t data[];
};

/* A block of its own size behind the newest one, so that the newest's rest stays in use. */
static ArenaBlock *block_behind(Arena *a, size_t size)
{
    ArenaBlock *b = g_malloc(sizeof(ArenaBlock) + size);
    b->taken = NULL;
    if (a->blocks) {
        b->next = a->blocks->next;
        a->blocks->next = b;
    } else {
        b->next = NULL;
        a->blocks = b;
        a->used = a->size = 0;
    }
    return b;
}

static ArenaBlock *block_push(Arena *a, size_t size)
{
    ArenaBlock *b = g_malloc(sizeof(ArenaBlock) + size);
    b->taken = NULL;
    b->next = a->blocks;
    a->blocks = b;
    return b;
}

void *arena_alloc(Arena *a, size_t n, size_t size)
{
    size_t len;
    if (__builtin_mul_overflow(n, size, &len) || len > SIZE_MAX / 2)
        g_error("arena: size overflow");
    len = (len + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    if (len > BLOCK_SIZE / 4)
        return memset(block_behind(a, len)->data, 0, len);
    if (!a->blocks || a->size - a->used < len) {
        block_push(a, BLOCK_SIZE);
        a->used = 0;
        a->size = BLOCK_SIZE;
    }
    void *p = (char *)a->blocks->data + a->used;
    a->used += len;
    return memset(p, 0, len);
}

void *arena_memdup(Arena *a, const void *p, size_t len)
{
    void *r = arena_alloc(a, len, 1);
    if (len)
        memcpy(r, p, len);
    return r;
}

char *arena_strdup(Arena *a, const char *s)
{
    return s ? arena_memdup(a, s, strlen(s) + 1) : NULL;
}

char *arena_take(Arena *a, char *s)
{
    if (!s)
        return NULL;
    block_behind(a, 0)->taken = s;
    return s;
}

char *arena_vprintf(Arena *a, const char *fmt, va_list ap)
{
    char buf[SHORT_TEXT];
    va_list again;
    va_copy(again, ap);
    int n = g_vsnprintf(buf, sizeof(buf), fmt, ap);
    char *s = n >= 0 && (size_t)n < sizeof(buf) ? arena_memdup(a, buf, (size_t)n + 1) : arena_take(a, g_strdup_vprintf(fmt, again));
    va_end(again);
    return s;
}

char *arena_printf(Arena *a, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *s = arena_vprintf(a, fmt, ap);
    va_end(ap);
    return s;
}

void arena_done(Arena *a)
{
    ArenaBlock *b = a->blocks;
    while (b) {
        ArenaBlock *next = b->next;
        g_free(b->taken);
        g_free(b);
        b = next;
    }
    *a = (Arena){0};
}
