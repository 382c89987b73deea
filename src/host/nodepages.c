/* host/nodepages.c - pages of every size, free ones and the pools of huge ones
 *
 * Owns:    nothing; every call reads the kernel's present numbers
 * Threads: any; node_alloc_pages() may take long, the kernel moves memory about to make huge pages
 * Locks:   none.  Two who add to a pool at once may lose one's share, as with any writer of the kernel's file
 * Errors:  Err
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define ERR_FROM VIR_FROM_NONE
#include "util/fd.h"
#include "host/hostfs.h"
#include "host/node.h"
#include "host/private.h"

/* Where the pools of a cell, or of the whole host, are; NULL with err set if there is no such cell.  Caller frees. */
static char *pools_dir(int cell, Err *err)
{
    IdSet cells;
    bool numa = cells_online(&cells);
    if (cell == NODE_ALL)
        return g_strdup("/sys/kernel/mm/hugepages");
    if (cell < 0 || !idset_has(&cells, (unsigned)cell)) {
        cell_range_error(cell, &cells, err);
        return NULL;
    }
    return numa ? g_strdup_printf("/sys/devices/system/node/node%d/hugepages", cell)
                : g_strdup("/sys/kernel/mm/hugepages");
}

/* The base page is 0, huge ones are more; -1 with err set for a size the cell does not have. */
static int find_size(const char *dir, unsigned size_kib, int cell, Err *err)
{
    unsigned sizes[NODE_MAX_PAGE_SIZES];
    unsigned n = topology_page_sizes(sizes, N_ELEMENTS(sizes), dir);
    for (unsigned i = 0; i < n; i++) {
        if (sizes[i] == size_kib)
            return (int)i;
    }
    if (cell == NODE_ALL)
        return err_set(err, VIR_ERR_OPERATION_FAILED, "page size %u is not available on this host", size_kib);
    return err_set(err, VIR_ERR_OPERATION_FAILED, "page size %u is not available on node %d", size_kib, cell);
}

static int free_kib(int cell, unsigned long long *ret, Err *err)
{
    if (cell == NODE_ALL) {
        unsigned long long bytes;
        if (node_free_memory(&bytes, err) < 0)
            return -1;
        *ret = bytes / 1024;
        return 0;
    }
    NodeMemoryStats s;
    if (node_memory_stats(cell, &s, err) < 0)
        return -1;
    *ret = s.free;
    return 0;
}

int node_free_pages(unsigned size_kib, int cell, unsigned long long *ret, Err *err)
{
    unsigned long long v;
    g_autofree char *dir = pools_dir(cell, err);
    if (!dir)
        return -1;
    int i = find_size(dir, size_kib, cell, err);
    if (i < 0)
        return -1;
    if (i == 0) {
        if (free_kib(cell, &v, err) < 0)
            return -1;
        *ret = v / size_kib;
        return 0;
    }
    int r = hostfs_number(&v, "%s/hugepages-%ukB/free_hugepages", dir, size_kib);
    if (r < 0)
        return err_set_errno(err, -r, "cannot read the free pages of %u KiB", size_kib);
    *ret = v;
    return 0;
}

int node_alloc_pages(unsigned size_kib, int cell, unsigned long long count, bool add, Err *err)
{
    g_autofree char *dir = pools_dir(cell, err);
    if (!dir)
        return -1;
    int i = find_size(dir, size_kib, cell, err);
    if (i < 0)
        return -1;
    if (i == 0)
        return err_set(err, VIR_ERR_OPERATION_INVALID, "pages of %u KiB are the base pages: there is no pool of them",
                       size_kib);
    unsigned long long now, want = count;
    int r = hostfs_number(&now, "%s/hugepages-%ukB/nr_hugepages", dir, size_kib);
    if (r < 0)
        return err_set_errno(err, -r, "cannot read the pool of %u KiB pages", size_kib);
    if (add && __builtin_add_overflow(now, count, &want))
        return err_set(err, VIR_ERR_OVERFLOW, "%llu more pages of %u KiB than %llu", count, size_kib, now);
    g_autofree char *path = hostfs_path("%s/hugepages-%ukB/nr_hugepages", dir, size_kib);
    g_autofree char *text = g_strdup_printf("%llu", want);
    AUTO_CLOSE int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC | O_NONBLOCK);
    r = fd < 0 ? -errno : fd_write_all(fd, text, strlen(text));
    if (r < 0)
        return err_set_errno(err, -r, "cannot set the pool of %u KiB pages to %llu", size_kib, want);
    /* the kernel takes any number and makes as many as it can */
    r = hostfs_number(&now, "%s/hugepages-%ukB/nr_hugepages", dir, size_kib);
    if (r < 0)
        return err_set_errno(err, -r, "cannot read the pool of %u KiB pages", size_kib);
    if (now < want)
        return err_set(err, VIR_ERR_OPERATION_FAILED,
                       "the pool of %u KiB pages is now %llu, not %llu: no more could be made", size_kib, now, want);
    return 0;
}
