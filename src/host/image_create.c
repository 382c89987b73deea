/* host/image_create.c - overlays: new images that begin as what another one holds
 *
 * Owns:    the argument vectors of qemu-img
 * Threads: workers (children are waited for)
 * Errors:  VIR_ERR_INTERNAL_ERROR with what the program said; VIR_ERR_OPERATION_TIMEOUT
 */
#include "config.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#define LOG_AREA "host.image"
#include "host/image.h"
#include "host/image_create.h"
#include "util/log.h"
#include "util/spawn.h"

#define QEMU_IMG "/usr/bin/qemu-img"
#define REMOVE_MS 10000u

int image_find(const char *path, Deadline d, ImageFound *ret, Err *err)
{
    ImageWant want = {.path = path, .open_flags = O_RDONLY | O_NONBLOCK, .fmt = IMAGE_FMT_RAW, .flags = IMAGE_WANT_OPTIONAL};
    g_auto(Err) own = ERR_INIT;
    g_autoptr(ImageSet) set = image_open(&want, 1, d, &own);
    *ret = (ImageFound){0};
    if (!set) {
        if (own.code == VIR_ERR_OPERATION_TIMEOUT || !own.os_errno) {
            err_move(err, &own);
            return -1;
        }
        ret->exists = own.os_errno != ENOENT && own.os_errno != ENOTDIR;
        ret->error = own.os_errno == ENOENT ? 0 : own.os_errno;
        return 0;
    }
    const ImageNode *n = image_set_node(set, 0, 0);
    if (!n || n->error == ENOENT)
        return 0;
    *ret = (ImageFound){.exists = true, .is_block = n->is_block, .is_empty = n->file_size == 0, .error = n->error};
    return 0;
}

static int run(const char *const *argv, Deadline d, Err *err)
{
    SpawnOpts o = {.argv = argv, .fd_in = -1, .fd_out = -1, .fd_err = -1, .die_with_parent = true, .no_new_privs = true};
    g_autofree char *out = NULL;
    return spawn_run(&o, d, 4096, &out, err);
}

int image_create_overlay(const char *path, const char *fmt, const char *backing, const char *backing_fmt, uint64_t size, Deadline d,
                         Err *err)
{
    ImageFound before;
    if (image_find(path, d, &before, err) < 0)
        return -1;
    g_autofree char *bytes = size ? g_strdup_printf("%" PRIu64, size) : NULL;
    const char *argv[16];
    unsigned n = 0;
    argv[n++] = QEMU_IMG;
    argv[n++] = "create";
    argv[n++] = "-q";
    if (size)
        argv[n++] = "-u"; /* the image below is a guest's: it cannot be opened, and need not be */
    argv[n++] = "-f";
    argv[n++] = fmt;
    argv[n++] = "-F";
    argv[n++] = backing_fmt;
    argv[n++] = "-b";
    argv[n++] = backing;
    argv[n++] = "--";
    argv[n++] = path;
    if (bytes)
        argv[n++] = bytes;
    argv[n] = NULL;
    if (run(argv, d, err) == 0)
        return 0;
    if (!before.exists) {
        g_auto(Err) own = ERR_INIT;
        if (image_remove(path, deadline_in_ms(REMOVE_MS), &own) < 0)
            log_warning("what a failed qemu-img left stays behind: %s", own.detail);
    }
    return -1;
}
