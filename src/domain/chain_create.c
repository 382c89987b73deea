/* domain/chain_create.c - images made for a running machine
 *
 * Owns:    what qemu-img is told
 * Threads: workers; sleeps for children
 * Locks:   the domain's, released meanwhile
 * Errors:  VIR_ERR_CONFIG_UNSUPPORTED for a file that must not be overwritten, else the children's
 *
 * qemu-img gets the file as a descriptor: what was looked at is what is written.  It never opens the backing image, which the guest has locked;
 * hence the size comes from the caller.
 */
#include "config.h"

#include <fcntl.h>
#include <inttypes.h>

#define LOG_AREA "domain.chain"
#include "util/log.h"
#include "domain/chain.h"
#include "domain/private.h"
#include "qemu/image_chain.h"
#include "util/fd.h"
#include "util/spawn.h"

#define CREATE_MS 30000u
#define REMOVE_MS 5000u
#define TARGET_FD 3

static ImageSet *open_file(const StorageSource *src, int flags, Deadline end, Err *err)
{
    ImageWant w = {.path = src->path, .open_flags = O_RDWR | flags, .fmt = IMAGE_FMT_RAW};
    return image_open(&w, 1, end, err);
}

/* A device is there or not; it is nothing we make. */
static ImageSet *open_device(const StorageSource *src, const ChainCreate *how, Deadline end, Err *err)
{
    g_autoptr(ImageSet) set = open_file(src, 0, end, err);
    if (!set) {
        if (err->os_errno == ENOENT)
            err_wrap(err, "missing destination file for disk %s: %s", how->dst, src->path);
        return NULL;
    }
    if (image_set_node(set, 0, 0)->is_block)
        return g_steal_pointer(&set);
    err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "blockdev flag requested for disk %s, but file '%s' is not a block device", how->dst, src->path);
    return NULL;
}

/* The file, new or empty or a block device. */
static ImageSet *open_target(const StorageSource *src, const ChainCreate *how, Deadline end, bool *ret_made, Err *err)
{
    g_auto(Err) first = ERR_INIT;
    if (src->type == STORAGE_BLOCK)
        return open_device(src, how, end, err);
    ImageSet *set = open_file(src, O_CREAT | O_EXCL, end, &first);
    *ret_made = set != NULL;
    if (set)
        return set;
    if (first.os_errno != EEXIST) {
        err_move(err, &first);
        return NULL;
    }
    g_autoptr(ImageSet) old = open_file(src, 0, end, err);
    if (!old)
        return NULL;
    const ImageNode *n = image_set_node(old, 0, 0);
    if (n->is_block || n->file_size == 0)
        return g_steal_pointer(&old);
    err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "%s file for disk %s already exists and is not a block device: %s", how->what, how->dst,
            src->path);
    err_hint(err, "remove it, choose another name, or tell to reuse it as it is");
    return NULL;
}

static int run_qemu_img(const StorageSource *src, const ChainCreate *how, int fd, Deadline end, Err *err)
{
    g_autofree char *program = g_find_program_in_path("qemu-img");
    if (!program)
        return err_set(err, VIR_ERR_OPERATION_FAILED, "qemu-img is not installed (not found in PATH)");
    g_autofree char *target = fd < 0 ? qemu_backing_name(src) : g_strdup_printf("/dev/fd/%d", TARGET_FD);
    g_autofree char *below = how->backing ? qemu_backing_name(how->backing) : NULL;
    g_autofree char *size = g_strdup_printf("%" PRIu64, how->size);
    g_autofree char *cluster = g_strdup_printf("cluster_size=%u", how->cluster_size);
    const StorageSource *b = how->backing;
    const char *argv[16];
    unsigned n = 0;
    argv[n++] = program;
    argv[n++] = "create";
    argv[n++] = "-q";
    argv[n++] = "-f";
    argv[n++] = image_fmt_names[qemu_image_fmt(src->format)];
    if (how->cluster_size && src->format == STORAGE_FORMAT_QCOW2) {
        argv[n++] = "-o";
        argv[n++] = cluster;
    }
    if (b) {
        argv[n++] = "-u";
        argv[n++] = "-b";
        argv[n++] = how->backing_name ? how->backing_name : below;
        argv[n++] = "-F";
        argv[n++] = image_fmt_names[qemu_image_fmt(b->format)];
    }
    argv[n++] = target;
    argv[n++] = size;
    argv[n] = NULL;
    SpawnFd pass = {fd, TARGET_FD};
    SpawnOpts o = {.argv = argv, .fd_in = -1, .fds = &pass, .n_fds = fd >= 0, .die_with_parent = true, .no_new_privs = true};
    return spawn_run(&o, end, 65536, NULL, err);
}

static int create(const StorageSource *src, const ChainCreate *how, bool *ret_made, Err *err)
{
    Deadline end = deadline_in_ms(CREATE_MS);
    *ret_made = false;
    if (src->type == STORAGE_NETWORK)
        return run_qemu_img(src, how, -1, end, err) < 0 ? err_wrap(err, "creating an image in export '%s'", src->path) : 0;
    g_autoptr(ImageSet) set = open_target(src, how, end, ret_made, err);
    if (!set)
        return -1;
    if (run_qemu_img(src, how, image_set_node(set, 0, 0)->fd, end, err) == 0)
        return 0;
    g_auto(Err) undo = ERR_INIT;
    if (*ret_made && image_remove(src->path, deadline_in_ms(REMOVE_MS), &undo) < 0)
        log_warning("%s", undo.detail);
    return err_wrap(err, "creating image '%s'", src->path);
}

int chain_create(Domain *d, const StorageSource *src, const ChainCreate *how, bool *ret_made, Err *err)
{
    domain_assert_locked(d);
    job_assert_held(d);
    bool known = src->type == STORAGE_FILE || src->type == STORAGE_BLOCK || src->type == STORAGE_NETWORK;
    if (!known || !src->path || src->fdgroup)
        return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "creating an image that is no file or block device of this host by its path");
    if (src->format != STORAGE_FORMAT_RAW && src->format != STORAGE_FORMAT_QCOW2 && src->format != STORAGE_FORMAT_QED)
        return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "creating images of format '%s', allowed: raw, qcow2, qed",
                       enum_word(storage_format_names, STORAGE_FORMAT_MAX, (int)src->format));
    if (how->backing && src->format == STORAGE_FORMAT_RAW)
        return err_set(err, VIR_ERR_CONFIG_UNSUPPORTED, "a raw image cannot have a backing image");
    bool made = false;
    uint64_t life = domain_leave(d);
    int r = create(src, how, &made, err);
    g_auto(Err) ended = ERR_INIT;
    if (domain_enter(d, life, &ended) < 0 && r == 0) {
        if (made)
            chain_unmake(d, src);
        err_move(err, &ended);
        return -1;
    }
    if (r == 0)
        *ret_made = made;
    return r;
}

void chain_unmake(Domain *d, const StorageSource *src)
{
    g_auto(Err) err = ERR_INIT, ended = ERR_INIT;
    uint64_t life = domain_leave(d);
    if (image_remove(src->path, deadline_in_ms(REMOVE_MS), &err) < 0)
        log_warning("%s", err.detail);
    domain_enter(d, life, &ended); /* who calls this undoes things: the end of the machine is no news */
}
