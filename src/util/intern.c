/* util/intern.c - strings kept for ever
 *
 * Owns:    nothing: GLib's table of quarks does
 * Threads: any
 * Locks:   one of our own around GLib's: TSan does not see into GLib, and would take each reader of a string for a race with who made it
 */
#include "config.h"

#include <pthread.h>

#include "util/intern.h"

const char *str_intern(const char *text)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&lock);
    const char *kept = g_intern_string(text);
    pthread_mutex_unlock(&lock);
    return kept;
}
