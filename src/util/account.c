/* util/account.c - the account database
 *
 * Owns:    how much memory an entry may take
 * Threads: any that may sleep: names may be looked up far away
 * Errors:  positive errno
 */
#include "config.h"

#include <errno.h>
#include <grp.h>

#include "util/account.h"

#define FIRST_BYTES 16384u
#define MOST_BYTES  (16u << 20) /* a group has all names of its members in its entry */

int account_find_group(const char *name, gid_t *ret, bool *ret_found)
{
    int r = ERANGE;
    struct group gr, *found = NULL;
    for (size_t size = FIRST_BYTES; r == ERANGE && size <= MOST_BYTES; size *= 4) {
        g_autofree char *buf = g_malloc(size);
        do {
            r = getgrnam_r(name, &gr, buf, size, &found);
        } while (r == EINTR);
    }
    *ret_found = found != NULL;
    if (found)
        *ret = gr.gr_gid;
    return r;
}
