/* util/mem.h - zeroed memory for what lives no longer than a call
 *
 * glibc's calloc() takes nothing from the cache of the thread, where free() has just put a block of that size: it goes to the heap with its lock, and
 * what is freed then passes through the heap's lists.  That was a sixth of a small call.  malloc() takes it from there.
 */
#pragma once

#include <string.h>

#include <glib.h>

/* As g_malloc0(); freed by g_free(). */
static inline void *mem_alloc0(size_t size)
{
    void *p = g_malloc(size);
    return p ? memset(p, 0, size) : NULL;
}

#define mem_new0(T) ((T *)mem_alloc0(sizeof(T)))
