/* host/linkstat.c - counters of network interfaces
 *
 * Owns:    nothing
 * Source:  /proc/net/dev: "name: 8 numbers received, 8 sent"
 */
#include "config.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "host/linkstat.h"
#include "util/fd.h"

#define MAX_BYTES (16u << 20)

static bool parse_line(const char *line, LinkStats *st)
{
    uint64_t skip;
    *st = (LinkStats){0};
    return sscanf(line,
                  " %31[^: ]: %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64
                  " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64,
                  st->name, &st->rx_bytes, &st->rx_packets, &st->rx_errs, &st->rx_drop, &skip, &skip, &skip, &skip, &st->tx_bytes,
                  &st->tx_packets, &st->tx_errs, &st->tx_drop) == 13;
}

GArray *host_link_stats(void)
{
    AUTO_CLOSE int fd = open("/proc/thread-self/net/dev", O_RDONLY | O_CLOEXEC);
    g_autofree char *text = NULL;
    if (fd < 0 || fd_read_all(fd, MAX_BYTES, &text, NULL) < 0)
        return NULL;
    GArray *all = g_array_new(FALSE, FALSE, sizeof(LinkStats));
    for (char *line = text; line; line = strchr(line, '\n')) {
        LinkStats st;
        if (*line == '\n')
            line++;
        if (parse_line(line, &st))
            g_array_append_val(all, st);
    }
    return all;
}

const LinkStats *link_stats_find(const GArray *all, const char *name)
{
    for (unsigned i = 0; all && name && i < all->len; i++) {
        const LinkStats *st = &g_array_index(all, LinkStats, i);
        if (strcmp(st->name, name) == 0)
            return st;
    }
    return NULL;
}
