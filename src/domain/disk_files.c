/* domain/disk_files.c - what the images of disks take and hold, for machines QEMU cannot be asked about
 *
 * Owns:    nothing
 * Threads: workers (the child that opens the images is waited for)
 * Errors:  those of host/image.h
 */
#include "config.h"

#include <fcntl.h>

#include "domain/disk_files.h"
#include "domain/fd_groups.h"
#include "qemu/image_chain.h"

static ImageWant want_of(const DiskDef *disk)
{
    return (ImageWant){.path = disk->src->path,
                       .open_flags = O_RDONLY,
                       .fmt = qemu_image_fmt(disk->src->format),
                       .flags = IMAGE_WANT_PROBE};
}

static DiskFile numbers_of(const ImageNode *n)
{
    return (DiskFile){.capacity = n->header.virtual_size, .allocation = n->allocated, .physical = n->file_size};
}

int disk_file_read(Domain *dom, const DiskDef *disk, Deadline d, DiskFile *ret, Err *err)
{
    if (disk->src->type == STORAGE_NETWORK)
        return err_set(err, VIR_ERR_OPERATION_UNSUPPORTED, "the size of disk '%s', which is on the network, is known while the guest runs only",
                       disk->dst);
    ImageWant w = want_of(disk);
    const char *name = disk->src->fdgroup;
    g_autoptr(FdGroup) group = name ? domain_fd_group(dom, name) : NULL;
    if (name) {
        w.flags |= IMAGE_WANT_FD;
        w.fd = group ? fd_group_pick(group, O_RDONLY) : -1;
        if (group && w.fd < 0)
            w.fd = fd_group_pick(group, O_RDWR);
        if (w.fd < 0)
            return err_set(err, VIR_ERR_INVALID_ARG, "file descriptor group '%s' was not associated with the domain", name);
    }
    g_autoptr(ImageSet) set = image_open(&w, 1, d, err);
    if (!set)
        return -1;
    *ret = numbers_of(image_set_node(set, 0, 0));
    return 0;
}

GHashTable *disk_files_read(const GPtrArray *disks, Deadline d)
{
    GHashTable *found = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    g_autoptr(GArray) wants = g_array_new(FALSE, FALSE, sizeof(ImageWant));
    g_autoptr(GPtrArray) of = g_ptr_array_new(); /* the disk of each want */
    for (unsigned i = 0; i < disks->len; i++) {
        DiskDef *disk = disks->pdata[i];
        if (!disk->src->path || disk->src->fdgroup || disk->src->type == STORAGE_NETWORK)
            continue;
        ImageWant w = want_of(disk);
        g_array_append_val(wants, w);
        g_ptr_array_add(of, disk);
    }
    for (unsigned at = 0; at < wants->len && !deadline_passed(d); at += IMAGE_MAX_WANTS) {
        const ImageWant *w = &g_array_index(wants, ImageWant, at);
        g_autoptr(ImageSet) set = image_look(w, MIN(wants->len - at, IMAGE_MAX_WANTS), d);
        for (unsigned k = 0; k < set->nodes->len; k++) {
            const ImageNode *n = set->nodes->pdata[k];
            DiskFile f = numbers_of(n);
            g_hash_table_insert(found, of->pdata[at + n->want], g_memdup2(&f, sizeof(f)));
        }
    }
    return found;
}
